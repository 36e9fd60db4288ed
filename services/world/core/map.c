#include "services/world/core/map.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/bitset.h"
#include "libcommon/base/check.h"
#include "libcommon/base/hash.h"
#include "services/world/core/limits.h"
#include <string.h>

// Chunk coordinates stay within this, so that every hex of every chunk is in hex bounds and the
// directory's rectangle stays small enough to be dense.
#define CHUNK_COORD_MAX 2048

#define WORLD_CHUNK_CELLS_MAX (3 * HEX_CHUNK_RADIUS_MAX * (HEX_CHUNK_RADIUS_MAX + 1) + 1)

static void map_make_steps(struct world_map *map)
{
    struct hex_chunk origin = {0, 0};
    for (uint32_t cell = 0; cell < map->tiling.cells; cell++) {
        struct hex_axial at = hex_chunk_hex(&map->tiling, origin, cell);
        for (unsigned d = 0; d < HEX_DIRECTIONS; d++) {
            struct hex_chunk chunk;
            uint32_t there = hex_chunk_cell(&map->tiling, hex_neighbor(at, d), &chunk);
            unsigned chunk_direction = WORLD_STEP_INSIDE;
            for (unsigned c = 0; c < HEX_DIRECTIONS; c++)
                if (hex_chunk_equal(chunk, hex_chunk_neighbor(origin, c)))
                    chunk_direction = c;
            MM_CHECK(chunk_direction != WORLD_STEP_INSIDE || hex_chunk_equal(chunk, origin));
            map->steps[cell * 6 + d] = chunk_direction << 16 | there;
        }
    }
}

enum mm_err world_map_init(struct world_map *map, int32_t chunk_radius,
                           const uint8_t *move_cost_percent)
{
    memset(map, 0, sizeof *map);
    enum mm_err err = hex_tiling_init(&map->tiling, chunk_radius);
    if (err != MM_OK)
        return err;
    map->move_cost_percent = move_cost_percent;
    map->steps = mm_calloc((size_t)map->tiling.cells * 6, sizeof *map->steps);
    if (!map->steps)
        return MM_RESOURCE_EXHAUSTED;
    map_make_steps(map);
    return MM_OK;
}

void world_map_free(struct world_map *map)
{
    mm_free(map->steps);
    mm_free(map->directory);
    mm_free(map->region);
    mm_free(map->terrain);
    mm_free(map->edges);
    mm_free(map->neighbors);
    mm_free(map->chunks);
    memset(map, 0, sizeof *map);
}

static bool grow(void **memory, size_t count, size_t bytes_each)
{
    void *grown = mm_realloc(*memory, count * bytes_each);
    if (grown)
        *memory = grown;
    return grown != NULL;
}

static bool map_reserve(struct world_map *map, uint32_t chunk_count)
{
    if (chunk_count <= map->chunk_capacity)
        return true;
    uint32_t capacity = map->chunk_capacity ? map->chunk_capacity * 2 : 32;
    size_t cells = (size_t)capacity * map->tiling.cells;
    // A failure in between leaves some arrays larger than they need to be, and nothing else.
    if (!grow((void **)&map->chunks, capacity, sizeof *map->chunks) ||
        !grow((void **)&map->neighbors, capacity, sizeof *map->neighbors) ||
        !grow((void **)&map->edges, capacity, sizeof *map->edges) ||
        !grow((void **)&map->terrain, cells, sizeof *map->terrain) ||
        !grow((void **)&map->region, cells, sizeof *map->region))
        return false;
    map->chunk_capacity = capacity;
    return true;
}

static uint32_t *directory_place(const struct world_map *map, struct hex_chunk chunk)
{
    int32_t x = chunk.a - map->a0;
    int32_t y = chunk.b - map->b0;
    if (x < 0 || y < 0 || x >= map->width || y >= map->height)
        return NULL;
    return &map->directory[(size_t)y * (size_t)map->width + (size_t)x];
}

// Makes the rectangle hold `chunk`, with room to spare on the side that grew.
static bool directory_cover(struct world_map *map, struct hex_chunk chunk)
{
    if (directory_place(map, chunk))
        return true;
    int32_t a0 = map->width ? map->a0 : chunk.a, a1 = map->width ? a0 + map->width : chunk.a + 1;
    int32_t b0 = map->height ? map->b0 : chunk.b;
    int32_t b1 = map->height ? b0 + map->height : chunk.b + 1;
    int32_t spare = 4 + (map->width > map->height ? map->width : map->height) / 2;
    if (chunk.a < a0)
        a0 = chunk.a - spare;
    if (chunk.a >= a1)
        a1 = chunk.a + 1 + spare;
    if (chunk.b < b0)
        b0 = chunk.b - spare;
    if (chunk.b >= b1)
        b1 = chunk.b + 1 + spare;
    size_t width = (size_t)(a1 - a0), height = (size_t)(b1 - b0);
    uint32_t *directory = mm_malloc(width * height * sizeof *directory);
    if (!directory)
        return false;
    memset(directory, 0xff, width * height * sizeof *directory); // WORLD_CHUNK_NONE
    MM_CHECK(map->height == 0 || map->directory);
    for (int32_t y = 0; y < map->height; y++)
        memcpy(directory + (size_t)(map->b0 + y - b0) * width + (size_t)(map->a0 - a0),
               map->directory + (size_t)y * (size_t)map->width,
               (size_t)map->width * sizeof *directory);
    mm_free(map->directory);
    map->directory = directory;
    map->a0 = a0;
    map->b0 = b0;
    map->width = (int32_t)width;
    map->height = (int32_t)height;
    return true;
}

bool world_map_can_hold(struct hex_chunk center, int32_t reach)
{
    int32_t most = CHUNK_COORD_MAX - reach;
    return center.a >= -most && center.a <= most && center.b >= -most && center.b <= most;
}

uint32_t world_map_chunk(const struct world_map *map, struct hex_chunk chunk)
{
    const uint32_t *place = directory_place(map, chunk);
    return place ? *place : WORLD_CHUNK_NONE;
}

uint32_t world_map_cell(const struct world_map *map, struct hex_axial at)
{
    if (!hex_in_bounds(at))
        return WORLD_CELL_NONE;
    struct hex_chunk chunk;
    uint32_t cell = hex_chunk_cell(&map->tiling, at, &chunk);
    uint32_t index = world_map_chunk(map, chunk);
    return index == WORLD_CHUNK_NONE ? WORLD_CELL_NONE : index * map->tiling.cells + cell;
}

struct hex_axial world_map_hex(const struct world_map *map, uint32_t cell)
{
    uint32_t chunk = cell / map->tiling.cells;
    return hex_chunk_hex(&map->tiling, map->chunks[chunk], cell - chunk * map->tiling.cells);
}

// --- regions ------------------------------------------------------------------------------------

// Path halving changes only how fast the next look is, so a const map may do it.
uint32_t world_map_region(const struct world_map *map, uint32_t cell)
{
    uint32_t *parent = map->region;
    while (parent[cell] != cell) {
        parent[cell] = parent[parent[cell]];
        cell = parent[cell];
    }
    return cell;
}

static void region_join(struct world_map *map, uint32_t cell, uint32_t other)
{
    uint32_t a = world_map_region(map, cell), b = world_map_region(map, other);
    // The older cell stays the root: chunks near the middle are joined to most.
    if (a < b)
        map->region[b] = a;
    else
        map->region[a] = b;
}

static void region_join_inside(struct world_map *map, uint32_t chunk)
{
    uint32_t first = chunk * map->tiling.cells;
    for (uint32_t i = 0; i < map->tiling.cells; i++) {
        if (!world_map_passable(map, first + i))
            continue;
        // The other three directions are those of the neighbours.
        for (unsigned d = 0; d < HEX_DIRECTIONS / 2; d++) {
            uint32_t step = map->steps[i * 6 + d];
            if (step >> 16 == WORLD_STEP_INSIDE && world_map_passable(map, first + (step & 0xffff)))
                region_join(map, first + i, first + (step & 0xffff));
        }
    }
}

// Stitches a chunk to a neighbour: where passable cells touch across their border.
static void region_join_across(struct world_map *map, uint32_t chunk, unsigned side)
{
    uint32_t other = map->neighbors[chunk][side];
    if (other == WORLD_CHUNK_NONE)
        return;
    unsigned back = hex_opposite(side);
    uint64_t theirs = map->edges[other][back];
    uint64_t mine = map->edges[chunk][side] & hex_edge_touched(&map->tiling, theirs);
    for (; mine; mine &= mine - 1) {
        uint32_t i = (uint32_t)__builtin_ctzll(mine);
        uint32_t cell = chunk * map->tiling.cells + hex_edge_cell(&map->tiling, side, i);
        uint64_t touched = theirs & hex_edge_touched(&map->tiling, UINT64_C(1) << i);
        for (; touched; touched &= touched - 1)
            region_join(map, cell,
                        other * map->tiling.cells +
                            hex_edge_cell(&map->tiling, back, (uint32_t)__builtin_ctzll(touched)));
    }
}

static void edges_find(struct world_map *map, uint32_t chunk)
{
    uint64_t passable[MM_BITSET_WORDS(WORLD_CHUNK_CELLS_MAX)] = {0};
    for (uint32_t i = 0; i < map->tiling.cells; i++)
        if (world_map_passable(map, chunk * map->tiling.cells + i))
            mm_bitset_set(passable, i);
    for (unsigned side = 0; side < HEX_DIRECTIONS; side++)
        map->edges[chunk][side] = hex_edge_signature(&map->tiling, passable, side);
}

void world_map_rebuild_regions(struct world_map *map)
{
    for (uint32_t cell = 0; cell < world_map_cell_count(map); cell++)
        map->region[cell] = cell;
    for (uint32_t chunk = 0; chunk < map->chunk_count; chunk++) {
        edges_find(map, chunk);
        region_join_inside(map, chunk);
    }
    for (uint32_t chunk = 0; chunk < map->chunk_count; chunk++)
        for (unsigned side = 0; side < HEX_DIRECTIONS / 2; side++)
            region_join_across(map, chunk, side);
}

// --- growing ------------------------------------------------------------------------------------

static uint64_t chunk_hash(const struct world_map *map, uint32_t chunk)
{
    // The index belongs to the state: frames and cells are in the order of the chunks.
    uint64_t seed = mm_mix64(hex_chunk_pack(map->chunks[chunk]) + chunk);
    return mm_hash64(map->terrain + (size_t)chunk * map->tiling.cells, map->tiling.cells, seed);
}

uint64_t world_map_version(const struct world_map *map, uint32_t chunk)
{
    uint64_t version = mm_hash64(map->terrain + (size_t)chunk * map->tiling.cells,
                                 map->tiling.cells, hex_chunk_pack(map->chunks[chunk]));
    return version != 0 ? version : 1;
}

uint64_t world_map_hash_full(const struct world_map *map)
{
    uint64_t sum = 0;
    for (uint32_t chunk = 0; chunk < map->chunk_count; chunk++)
        sum += chunk_hash(map, chunk);
    return sum;
}

enum mm_err world_map_add(struct world_map *map, struct hex_chunk chunk, const uint8_t *terrain)
{
    if (!world_map_can_hold(chunk, 0))
        return MM_OUT_OF_RANGE;
    if (map->chunk_count == WORLD_CHUNKS_MAX || !map_reserve(map, map->chunk_count + 1) ||
        !directory_cover(map, chunk))
        return MM_RESOURCE_EXHAUSTED;
    uint32_t *place = directory_place(map, chunk);
    MM_CHECK(place && *place == WORLD_CHUNK_NONE);
    uint32_t index = map->chunk_count++;
    *place = index;
    map->chunks[index] = chunk;
    for (unsigned d = 0; d < HEX_DIRECTIONS; d++) {
        uint32_t other = world_map_chunk(map, hex_chunk_neighbor(chunk, d));
        map->neighbors[index][d] = other;
        if (other != WORLD_CHUNK_NONE)
            map->neighbors[other][hex_opposite(d)] = index;
    }
    uint32_t first = index * map->tiling.cells;
    memcpy(map->terrain + first, terrain, map->tiling.cells);
    for (uint32_t cell = first; cell < first + map->tiling.cells; cell++)
        map->region[cell] = cell;
    edges_find(map, index);
    region_join_inside(map, index);
    for (unsigned side = 0; side < HEX_DIRECTIONS; side++)
        region_join_across(map, index, side);
    map->hash_sum += chunk_hash(map, index);
    return MM_OK;
}
