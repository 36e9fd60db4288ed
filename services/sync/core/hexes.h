#ifndef SYNC_CORE_HEXES_H
#define SYNC_CORE_HEXES_H

#include "libcommon/base/err.h"
#include "libcommon/base/idmap.h"
#include "libcommon/base/vec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// What one empire knows of the map: for every hex its visibility and, once seen, its terrain. Kept
// in square tiles of axial coordinates, about 1.3 bytes a hex.

#define SYNC_TILE_SIDE  16
#define SYNC_TILE_CELLS 256
#define SYNC_TILES_MAX  65536 // per empire: 16 million hexes

struct sync_tile {
    int32_t q, r;         // of its first cell
    uint64_t explored_at; // tick in which a hex of it was seen for the first time, the latest
    uint32_t explored;    // cells with a terrain
    uint64_t visible[SYNC_TILE_CELLS / 64];
    uint8_t terrain[SYNC_TILE_CELLS]; // terrain + 1; 0 = never seen
};

struct sync_hexes {
    struct mm_idmap *index; // tile coordinates -> position in tiles
    struct {
        MM_VEC(struct sync_tile *);
    } tiles;                // in the order in which they were met; never shrinks
    struct sync_tile *last; // looked up last: what is told of hexes comes in clusters
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

// Whether there is a tile for the hex (in which it may still be unseen).
bool sync_hexes_tile(const struct sync_hexes *hexes, int32_t q, int32_t r);

// State of cell i (0..SYNC_TILE_CELLS-1) of a tile; its hex is (q + i % SIDE, r + i / SIDE).
unsigned sync_tile_state(const struct sync_tile *tile, unsigned cell);

#endif
