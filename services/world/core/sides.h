#ifndef WORLD_CORE_SIDES_H
#define WORLD_CORE_SIDES_H

#include "libcommon/base/err.h"
#include "services/world/core/map.h"
#include <stdbool.h>
#include <stdint.h>

// Whose entities are in a chunk, as far as is needed to know at once that there is nobody to fight:
// one owner is counted by itself, all others together. Derived from where everybody is; which owner
// is the one counted depends on the history, so nothing but the sparing of a search may hang on it.

struct world_side {
    uint32_t owner;  // the one counted in `same`
    uint32_t same;   // entities of this owner, resource nodes left out
    uint32_t others; // of any other
};

struct world_sides {
    struct world_side *chunks; // by chunk
    uint32_t chunk_capacity;
};

void world_sides_free(struct world_sides *sides);
// Room for the map's chunks. RESOURCE_EXHAUSTED: out of memory.
enum mm_err MM_MUST_USE world_sides_reserve(struct world_sides *sides, const struct world_map *map);

void world_sides_add(struct world_sides *sides, uint32_t chunk, uint32_t owner);
void world_sides_remove(struct world_sides *sides, uint32_t chunk, uint32_t owner);

// Whether entities of two owners may be within `radius` hexes of one another, one of them in the
// chunk. False only if there are none.
bool world_sides_meet(const struct world_sides *sides, const struct world_map *map, uint32_t chunk,
                      int32_t radius);

#endif
