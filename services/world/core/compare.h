#ifndef WORLD_CORE_COMPARE_H
#define WORLD_CORE_COMPARE_H

#include "services/world/core/world.h"

// Tells in words where two states differ: for a person who looks for a fault, after their hashes
// said that they do.

// One difference: "entity 17 unit_..., mover.due: 40 and 41". Lives during the call.
typedef void (*world_difference_fn)(void *ctx, const char *difference);

// Calls tell for at most `told_max` differences, first those of the session, then the map, players,
// spawn keys and entities in slot order. Returns how many there are: 0 if and only if the states
// are equal.
size_t world_compare(const struct world *a, const struct world *b, size_t told_max,
                     world_difference_fn tell, void *ctx);

#endif
