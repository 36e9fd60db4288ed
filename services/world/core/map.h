#ifndef WORLD_CORE_MAP_H
#define WORLD_CORE_MAP_H

#include "libcommon/base/err.h"
#include "libcommon/hex/chunk.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The map's hexes as flat arrays. A cell number is chunk index * cells per chunk + cell index
// within the chunk; chunk indexes count up as chunks come into being and never change, so a cell
// number stays valid for the life of the map.
#define WORLD_CELL_NONE  UINT32_MAX
#define WORLD_CHUNK_NONE UINT32_MAX

struct world_map {
    struct hex_tiling tiling;
    uint32_t chunk_count;
    uint32_t chunk_capacity;
    struct hex_chunk *chunks;         // by chunk index
    uint32_t (*neighbors)[6];         // by chunk index: chunk index or WORLD_CHUNK_NONE
    uint64_t (*edges)[6];             // by chunk index: signature of each side's passable cells
    uint8_t *terrain;                 // by cell
    uint32_t *region;                 // by cell: parent in a union-find over passable cells
    uint64_t hash_sum;                // sum over chunks of the hash of place and terrains
    const uint8_t *move_cost_percent; // by terrain; the owner's

    // Chunk coordinates -> chunk index, dense over the rectangle [a0, a0+width) x [b0, b0+height).
    uint32_t *directory;
    int32_t a0, b0, width, height;

    uint32_t *steps; // by cell index * 6 + direction: chunk direction << 16 | cell index there
};

// Steps to the same chunk have this as their chunk direction.
#define WORLD_STEP_INSIDE 7u

// move_cost_percent: 64 bytes (WORLD_TERRAINS_MAX) that outlive the map. RESOURCE_EXHAUSTED: out
// of memory; INVALID_ARGUMENT: radius.
enum mm_err MM_MUST_USE world_map_init(struct world_map *map, int32_t chunk_radius,
                                       const uint8_t *move_cost_percent);
void world_map_free(struct world_map *map);

// Adds a chunk that is not there yet; terrain (tiling.cells bytes) is copied. RESOURCE_EXHAUSTED:
// out of memory or WORLD_CHUNKS_MAX; OUT_OF_RANGE: too far out to be addressed.
enum mm_err MM_MUST_USE world_map_add(struct world_map *map, struct hex_chunk chunk,
                                      const uint8_t *terrain);

// Whether all chunks within `reach` chunks of one can be addressed.
bool world_map_can_hold(struct hex_chunk center, int32_t reach);

uint32_t world_map_chunk(const struct world_map *map, struct hex_chunk chunk);

// The cell of a hex; WORLD_CELL_NONE where there is no map, also for hexes out of bounds.
uint32_t world_map_cell(const struct world_map *map, struct hex_axial at);
struct hex_axial world_map_hex(const struct world_map *map, uint32_t cell);

static inline uint32_t world_map_cell_count(const struct world_map *map)
{
    return map->chunk_count * map->tiling.cells;
}

// The neighbouring cell in a direction, or WORLD_CELL_NONE at the map's edge.
static inline uint32_t world_map_step(const struct world_map *map, uint32_t cell,
                                      unsigned direction)
{
    uint32_t chunk = cell / map->tiling.cells;
    uint32_t step = map->steps[(cell - chunk * map->tiling.cells) * 6 + direction];
    if (step >> 16 != WORLD_STEP_INSIDE) {
        chunk = map->neighbors[chunk][step >> 16];
        if (chunk == WORLD_CHUNK_NONE)
            return WORLD_CELL_NONE;
    }
    return chunk * map->tiling.cells + (step & 0xffff);
}

// A place that moves by steps: from neighbour to neighbour, which is much quicker than to look up
// where a hex is. Off the map its cell is WORLD_CELL_NONE, and it may come back.
struct world_walk {
    struct hex_axial at;
    uint32_t cell;
};

static inline void world_walk_step(const struct world_map *map, struct world_walk *walk,
                                   unsigned direction)
{
    walk->at = hex_neighbor(walk->at, direction);
    walk->cell = walk->cell == WORLD_CELL_NONE ? world_map_cell(map, walk->at)
                                               : world_map_step(map, walk->cell, direction);
}

static inline bool world_map_passable(const struct world_map *map, uint32_t cell)
{
    return map->move_cost_percent[map->terrain[cell]] != 0;
}

// Two passable cells have the same region exactly if the terrain lets a unit walk from one to the
// other. The number itself has no meaning.
uint32_t world_map_region(const struct world_map *map, uint32_t cell);

// Of what a chunk holds, and where: other places or terrains, another version; never 0.
uint64_t world_map_version(const struct world_map *map, uint32_t chunk);

// What hash_sum should be.
uint64_t world_map_hash_full(const struct world_map *map);

// The costs changed: finds the regions anew.
void world_map_rebuild_regions(struct world_map *map);

#endif
