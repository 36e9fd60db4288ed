#ifndef SYNC_CORE_HEXES_H
#define SYNC_CORE_HEXES_H

#include "libcommon/base/err.h"
#include "libcommon/base/idmap.h"
#include "libcommon/base/prefetch.h"
#include "libcommon/base/vec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// What one empire knows of the map: for every hex its visibility and, once seen, its terrain. Kept
// in square tiles of axial coordinates, about 1.4 bytes a hex.

#define SYNC_TILE_SIDE  16
#define SYNC_TILES_NEAR 4 // squared
#define SYNC_TILE_CELLS 256
#define SYNC_TILES_MAX  65536 // per empire: 16 million hexes

struct sync_tile {
    int32_t q, r; // of its first cell
    uint64_t visible[SYNC_TILE_CELLS / 64];
    uint64_t seen[SYNC_TILE_CELLS / 64]; // cells with a terrain: most changes look at no more
    uint64_t explored_at; // tick in which a hex of it was seen for the first time, the latest
    uint32_t explored;    // cells with a terrain
    uint8_t terrain[SYNC_TILE_CELLS]; // terrain + 1; 0 = never seen
};

struct sync_hexes {
    struct mm_idmap *index; // tile coordinates -> position in tiles
    struct {
        MM_VEC(struct sync_tile *);
    } tiles; // in the order in which they were met; never shrinks
    // Looked up last of those whose column and row have the same remainders. What an empire is told
    // of lies about its units, and goes to and fro between a few tiles.
    struct sync_tile *near[SYNC_TILES_NEAR * SYNC_TILES_NEAR];
    uint32_t explored;
    uint32_t visible;
};

enum sync_hex_change {
    SYNC_HEX_SAME,
    SYNC_HEX_CHANGED,
    SYNC_HEX_FIRST_SEEN, // changed, and its terrain is news
    SYNC_HEX_FAILED,     // out of bounds or of memory; nothing changed
};

enum mm_err MM_MUST_USE sync_hexes_init(struct sync_hexes *hexes);
void sync_hexes_free(struct sync_hexes *hexes);

// The hex's state (enum Mmorts__Frame__Visibility); terrain_out (may be NULL) gets terrain + 1, or
// 0 where it was never seen.
unsigned sync_hexes_get(const struct sync_hexes *hexes, int32_t q, int32_t r, uint8_t *terrain_out);

// Sets the state. terrain is terrain + 1, or 0 to keep what is known; a hex that was never seen and
// is given without a terrain fails, because it could not be shown.
enum sync_hex_change sync_hexes_set(struct sync_hexes *hexes, int32_t q, int32_t r, unsigned state,
                                    uint8_t terrain, uint64_t tick);

// The same for a hex that came into sight or left it, as nearly all do, if it lies in that tile
// (may be NULL) and was seen before; otherwise false, and nothing was done. *changed: it was not so
// yet.
static inline bool sync_hexes_turn(struct sync_hexes *hexes, struct sync_tile *tile, int32_t q,
                                   int32_t r, bool visible, bool *changed)
{
    // A tile's own coordinates have these bits clear.
    if (!tile || (uint32_t)((q ^ tile->q) | (r ^ tile->r)) >= SYNC_TILE_SIDE)
        return false;
    unsigned cell = (unsigned)(r - tile->r) * SYNC_TILE_SIDE + (unsigned)(q - tile->q);
    uint64_t bit = UINT64_C(1) << cell % 64, *word = &tile->visible[cell / 64];
    if (!(tile->seen[cell / 64] & bit))
        return false;
    *changed = ((*word & bit) != 0) != visible;
    if (*changed) {
        *word ^= bit;
        hexes->visible += visible ? 1u : UINT32_MAX;
    }
    return true;
}

// The tile in which the hex lies, if it was looked up lately; NULL: perhaps there is one.
static inline struct sync_tile *sync_hexes_near(const struct sync_hexes *hexes, int32_t q,
                                                int32_t r)
{
    unsigned column = (unsigned)q / SYNC_TILE_SIDE % SYNC_TILES_NEAR;
    unsigned row = (unsigned)r / SYNC_TILE_SIDE % SYNC_TILES_NEAR;
    struct sync_tile *tile = hexes->near[row * SYNC_TILES_NEAR + column];
    bool there = tile && (uint32_t)((q ^ tile->q) | (r ^ tile->r)) < SYNC_TILE_SIDE;
    return there ? tile : NULL;
}

// Asks for the tile in which the hex lies, if it was looked up lately (prefetch.h).
static inline void sync_hexes_ask(const struct sync_hexes *hexes, int32_t q, int32_t r)
{
    unsigned column = (unsigned)q / SYNC_TILE_SIDE % SYNC_TILES_NEAR;
    unsigned row = (unsigned)r / SYNC_TILE_SIDE % SYNC_TILES_NEAR;
    const struct sync_tile *tile = hexes->near[row * SYNC_TILES_NEAR + column];
    if (tile)
        mm_prefetch_block(tile, offsetof(struct sync_tile, explored_at));
}

// Whether there is a tile for the hex (in which it may still be unseen).
bool sync_hexes_tile(const struct sync_hexes *hexes, int32_t q, int32_t r);

// State of cell i (0..SYNC_TILE_CELLS-1) of a tile; its hex is (q + i % SIDE, r + i / SIDE).
unsigned sync_tile_state(const struct sync_tile *tile, unsigned cell);

#endif
