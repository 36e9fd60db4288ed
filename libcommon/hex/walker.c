#include "libcommon/hex/path.h"

void hex_walker_start(struct hex_walker *walker, struct hex_axial from, const uint8_t *steps,
                      uint32_t steps_count)
{
    *walker = (struct hex_walker){.at = from, .steps = steps, .steps_count = steps_count};
}

bool hex_walker_peek(const struct hex_walker *walker, struct hex_axial *next_out)
{
    if (walker->next >= walker->steps_count)
        return false;
    *next_out = hex_neighbor(walker->at, walker->steps[walker->next]);
    return true;
}

enum hex_walk hex_walker_advance(struct hex_walker *walker, uint32_t points,
                                 uint32_t points_per_cost, hex_cost_fn cost, void *cost_ctx)
{
    struct hex_axial next;
    if (!hex_walker_peek(walker, &next)) {
        walker->points = 0;
        return HEX_WALK_DONE;
    }
    uint32_t next_cost = cost(cost_ctx, next);
    if (next_cost == 0) {
        walker->points = 0;
        return HEX_WALK_BLOCKED;
    }
    if (__builtin_add_overflow(walker->points, points, &walker->points))
        walker->points = UINT32_MAX;
    uint64_t price = (uint64_t)next_cost * points_per_cost;
    if (walker->points < price)
        return HEX_WALK_GATHERING;
    walker->points -= (uint32_t)price;
    walker->at = next;
    walker->next++;
    return HEX_WALK_STEPPED;
}
