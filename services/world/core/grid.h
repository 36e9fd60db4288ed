#ifndef WORLD_CORE_GRID_H
#define WORLD_CORE_GRID_H

#include "libcommon/base/err.h"
#include "libcommon/base/progress.h"
#include "services/world/core/map.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Who stands where: the entities of every cell, as lists in slot order, so that what a query says
// does not depend on the order in which they came. Systems find their neighbours only here.

enum { WORLD_ON_UNIT = 1, WORLD_ON_BLOCKER = 2 }; // what an entity counts as on its hex

// All that is asked of a hex together, in one place of memory.
struct world_grid_cell {
    uint32_t head;    // first slot, 0 = none
    uint8_t units;    // how many units stand there
    uint8_t blockers; // how many entities let nobody pass
    uint16_t spare;
};

struct world_grid {
    uint32_t cell_capacity;
    uint32_t slot_capacity;
    uint32_t chunk_capacity;
    struct world_grid_cell *cells; // by cell
    uint32_t *next;                // by slot
    uint32_t *in_chunk;            // by chunk: how many entities
    uint32_t *barred_version;      // by chunk: counts up when who lets nobody pass comes or goes
    // Bit by chunk: what far ways need to know of it as it is now has been worked out, and was
    // taken from a tick's budget. Part of the state, unlike what was worked out (ways.c).
    uint64_t *charted;
    struct mm_progress *progress; // world_set_progress
};

void world_grid_init(struct world_grid *grid);
void world_grid_free(struct world_grid *grid);

// Room for the map's chunks and for slots below slot_end. RESOURCE_EXHAUSTED: out of memory.
enum mm_err MM_MUST_USE world_grid_reserve(struct world_grid *grid, const struct world_map *map,
                                           uint32_t slot_end);

void world_grid_insert(struct world_grid *grid, const struct world_map *map, uint32_t cell,
                       uint32_t slot, unsigned counts_as);
void world_grid_remove(struct world_grid *grid, const struct world_map *map, uint32_t cell,
                       uint32_t slot, unsigned counts_as);

// The slots of a cell in ascending order; 0 at the end.
static inline uint32_t world_grid_first(const struct world_grid *grid, uint32_t cell)
{
    return grid->cells[cell].head;
}
static inline uint32_t world_grid_next(const struct world_grid *grid, uint32_t slot)
{
    return grid->next[slot];
}

// Calls fn for every entity within `radius` hexes of the centre, until it returns false. The order
// is by chunk, then hex, then slot.
typedef bool (*world_grid_fn)(void *ctx, uint32_t slot, uint32_t cell);
void world_grid_in_range(const struct world_grid *grid, const struct world_map *map,
                         struct hex_axial center, int32_t radius, world_grid_fn fn, void *ctx);

#endif
