#include "services/world/core/state.h"

// Who is allied: empires of one alliance do not fight each other. Alliances are made elsewhere;
// the world is told which one each empire belongs to.

bool world_allied(const struct world *world, uint32_t empire, uint32_t other)
{
    if (empire == other)
        return true;
    if (empire == 0 || other == 0)
        return false;
    uint64_t alliance = world->empires.items[empire - 1].alliance;
    return alliance != 0 && alliance == world->empires.items[other - 1].alliance;
}

static const char *fault_of(const struct world *world,
                            const Mmorts__World__SetAlliancesRequest *request)
{
    if (request->n_empire != request->n_alliance)
        return "empire and alliance must have the same length";
    for (size_t i = 0; i < request->n_empire; i++) {
        if (request->empire[i] == 0 || request->empire[i] > world->empires.count)
            return "there is no such empire";
    }
    return NULL;
}

void world_set_alliances(struct world *world, const Mmorts__World__SetAlliancesRequest *request,
                         struct world_result *result)
{
    const char *fault = fault_of(world, request);
    if (fault) {
        world_fail(result, MM_INVALID_ARGUMENT, fault);
        return;
    }
    for (size_t i = 0; i < request->n_empire; i++) {
        uint32_t number = request->empire[i];
        struct world_empire_row *row = &world->empires.items[number - 1];
        if (row->alliance == request->alliance[i])
            continue;
        world->empires_hash -= world_empire_hash(number, row);
        row->alliance = request->alliance[i];
        world->empires_hash += world_empire_hash(number, row);
        result->applied = true;
    }
}
