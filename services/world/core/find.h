#ifndef WORLD_CORE_FIND_H
#define WORLD_CORE_FIND_H

#include "services/world/core/grid.h"
#include "services/world/core/world.h"

// Who stands where, by kind and owner: queries over the grid (grid.h). They read WORLD_IDENTITY.

enum { WORLD_FIND_LINE_MAX = 1024 }; // hexes of a line; what lies beyond is not looked at

struct world_wanted {
    uint32_t kinds; // bit per Mmorts__Frame__Kind; 0: any
    uint32_t owner; // empire, 0: nobody's
    bool of_owner;  // false: anybody's
};

// Each calls fn for every entity that is wanted, until it returns false.

// Within `radius` hexes. The order is that of world_grid_in_range.
void world_find_in_disc(const struct world *world, struct hex_axial center, int32_t radius,
                        const struct world_wanted *wanted, world_grid_fn fn, void *ctx);
// On the straight line from a to b, both ends included; by hex from a on, then slot.
void world_find_on_line(const struct world *world, struct hex_axial a, struct hex_axial b,
                        const struct world_wanted *wanted, world_grid_fn fn, void *ctx);
// Between two corners: q and r each from the lesser to the greater, both included. By chunk, then
// hex, then slot.
void world_find_in_area(const struct world *world, struct hex_axial a, struct hex_axial b,
                        const struct world_wanted *wanted, world_grid_fn fn, void *ctx);

// The nearest that fits (fits NULL: whoever is wanted); of several the one on the hex that comes
// first on its ring (hex_ring), of those the lowest slot. WORLD_SLOT_NONE: none within radius.
uint32_t world_find_nearest(const struct world *world, struct hex_axial center, int32_t radius,
                            const struct world_wanted *wanted, world_grid_fn fits, void *ctx);

#endif
