#include "services/sync/core/hexes.h"

#include "gen/frame.pb-c.h"
#include "libcommon/base/alloc.h"
#include "libcommon/base/bitset.h"
#include "libcommon/hex/hex.h"

#include <string.h>

enum mm_err sync_hexes_init(struct sync_hexes *hexes)
{
    memset(hexes, 0, sizeof *hexes);
    mm_vec_init(&hexes->tiles, SYNC_TILES_MAX);
    hexes->index = mm_idmap_new(SYNC_TILES_MAX);
    return hexes->index ? MM_OK : MM_RESOURCE_EXHAUSTED;
}

void sync_hexes_free(struct sync_hexes *hexes)
{
    for (size_t i = 0; i < hexes->tiles.count; i++)
        mm_free(hexes->tiles.items[i]);
    mm_vec_free(&hexes->tiles);
    mm_idmap_free(hexes->index);
    memset(hexes, 0, sizeof *hexes);
}

// Rounds down to the tile's first coordinate, below zero too.
static int32_t tile_start(int32_t coordinate)
{
    return coordinate & ~(SYNC_TILE_SIDE - 1);
}

static unsigned cell_of(int32_t q, int32_t r)
{
    return (unsigned)(r & (SYNC_TILE_SIDE - 1)) * SYNC_TILE_SIDE +
           (unsigned)(q & (SYNC_TILE_SIDE - 1));
}

static struct sync_tile *find(const struct sync_hexes *hexes, int32_t q, int32_t r)
{
    uint64_t key = hex_pack((struct hex_axial){tile_start(q), tile_start(r)});
    uint64_t at = 0;
    return mm_idmap_get(hexes->index, key, &at) ? hexes->tiles.items[at] : NULL;
}

bool sync_hexes_tile(const struct sync_hexes *hexes, int32_t q, int32_t r)
{
    return find(hexes, q, r) != NULL;
}

// Tiles stay where they are, so that the last ones may be remembered.
static struct sync_tile *find_again(struct sync_hexes *hexes, int32_t q, int32_t r)
{
    struct sync_tile *tile = sync_hexes_near(hexes, q, r);
    if (tile || !(tile = find(hexes, q, r)))
        return tile;
    unsigned column = (unsigned)q / SYNC_TILE_SIDE % SYNC_TILES_NEAR;
    unsigned row = (unsigned)r / SYNC_TILE_SIDE % SYNC_TILES_NEAR;
    hexes->near[row * SYNC_TILES_NEAR + column] = tile;
    return tile;
}

static struct sync_tile *find_or_add(struct sync_hexes *hexes, int32_t q, int32_t r)
{
    struct sync_tile *tile = find_again(hexes, q, r);
    if (tile)
        return tile;
    if (!mm_vec_reserve(&hexes->tiles, hexes->tiles.count + 1))
        return NULL;
    tile = mm_calloc(1, sizeof *tile);
    if (!tile)
        return NULL;
    tile->q = tile_start(q);
    tile->r = tile_start(r);
    uint64_t key = hex_pack((struct hex_axial){tile->q, tile->r});
    if (mm_idmap_set(hexes->index, key, hexes->tiles.count) != MM_OK) {
        mm_free(tile);
        return NULL;
    }
    hexes->tiles.items[hexes->tiles.count++] = tile;
    return tile;
}

unsigned sync_tile_state(const struct sync_tile *tile, unsigned cell)
{
    if (tile->terrain[cell] == 0)
        return MMORTS__FRAME__VISIBILITY__VISIBILITY_SHROUD;
    return mm_bitset_get(tile->visible, cell) ? MMORTS__FRAME__VISIBILITY__VISIBILITY_VISIBLE
                                              : MMORTS__FRAME__VISIBILITY__VISIBILITY_FOG;
}

unsigned sync_hexes_get(const struct sync_hexes *hexes, int32_t q, int32_t r, uint8_t *terrain_out)
{
    const struct sync_tile *tile = find(hexes, q, r);
    unsigned cell = cell_of(q, r);
    if (terrain_out)
        *terrain_out = tile ? tile->terrain[cell] : 0;
    return tile ? sync_tile_state(tile, cell) : MMORTS__FRAME__VISIBILITY__VISIBILITY_SHROUD;
}

enum sync_hex_change sync_hexes_set(struct sync_hexes *hexes, int32_t q, int32_t r, unsigned state,
                                    uint8_t terrain, uint64_t tick)
{
    if (!hex_in_bounds((struct hex_axial){q, r}) ||
        state > MMORTS__FRAME__VISIBILITY__VISIBILITY_VISIBLE)
        return SYNC_HEX_FAILED;
    bool shroud = state == MMORTS__FRAME__VISIBILITY__VISIBILITY_SHROUD;
    struct sync_tile *tile = shroud ? find_again(hexes, q, r) : find_or_add(hexes, q, r);
    if (!tile)
        return shroud ? SYNC_HEX_SAME : SYNC_HEX_FAILED;
    unsigned cell = cell_of(q, r);
    unsigned before = sync_tile_state(tile, cell);
    uint8_t terrain_before = tile->terrain[cell];
    if (!shroud && terrain_before == 0 && terrain == 0)
        return SYNC_HEX_FAILED;

    hexes->visible -= before == MMORTS__FRAME__VISIBILITY__VISIBILITY_VISIBLE;
    hexes->visible += state == MMORTS__FRAME__VISIBILITY__VISIBILITY_VISIBLE;
    if (state == MMORTS__FRAME__VISIBILITY__VISIBILITY_VISIBLE)
        mm_bitset_set(tile->visible, cell);
    else
        mm_bitset_clear(tile->visible, cell);
    if (shroud) {
        tile->terrain[cell] = 0;
        mm_bitset_clear(tile->seen, cell);
    } else if (terrain != 0) {
        tile->terrain[cell] = terrain;
        mm_bitset_set(tile->seen, cell);
    }
    uint32_t was = terrain_before != 0, is = tile->terrain[cell] != 0;
    tile->explored += is - was;
    hexes->explored += is - was;
    if (tile->terrain[cell] != terrain_before && !shroud) {
        tile->explored_at = tick;
        return SYNC_HEX_FIRST_SEEN;
    }
    return state != before ? SYNC_HEX_CHANGED : SYNC_HEX_SAME;
}
