#include "services/world/core/state.h"

#include "libcommon/hex/sight.h"

// Who sees what, by the rule by which vision shows things to players. Vision counts what all see;
// here single questions are answered from where the entities stand.

static uint32_t cost_at(const void *ctx, struct hex_axial at)
{
    const struct world *world = ctx;
    uint32_t cell = world_map_cell(&world->map, at);
    return cell == WORLD_CELL_NONE ? 0 : world->rules.terrains[world->map.terrain[cell]].sight_cost;
}

// Whether an entity's sight reaches a hex.
static bool reaches(const struct world *world, uint32_t slot, struct hex_axial to)
{
    int32_t range = (int32_t)world_stats_of(world, slot)->sight_hexes;
    const struct world_place *place = WORLD_GET(&world->ecs, WORLD_PLACE, world_place, slot);
    struct hex_axial from = {place->q, place->r};
    return range > 0 && hex_distance(from, to) <= range && !world_is_blind(world, slot) &&
           (!world->terrain_hides || hex_sight_reaches(from, range, to, cost_at, world));
}

static bool is_stealthed(const struct world *world, uint32_t slot)
{
    return (world_stats_of(world, slot)->flags & MMORTS__FRAME__TYPE_FLAG__TYPE_FLAG_STEALTH) != 0;
}

static bool detects(const struct world *world, uint32_t slot)
{
    return world_stats_of(world, slot)->sight_type == MMORTS__FRAME__SIGHT_TYPE__SIGHT_DETECTOR;
}

bool world_sees(const struct world *world, uint32_t slot, uint32_t other)
{
    const struct world_place *place = WORLD_GET(&world->ecs, WORLD_PLACE, world_place, other);
    return reaches(world, slot, (struct hex_axial){place->q, place->r}) &&
           (!is_stealthed(world, other) || detects(world, slot));
}

struct looking {
    const struct world *world;
    uint32_t empire, target;
    struct hex_axial at;
    bool seen;
};

static bool look(void *ctx, uint32_t slot, uint32_t cell)
{
    struct looking *looking = ctx;
    (void)cell;
    const struct world_identity *identity =
        WORLD_GET(&looking->world->ecs, WORLD_IDENTITY, world_identity, slot);
    looking->seen =
        identity->owner == looking->empire && world_sees(looking->world, slot, looking->target);
    return !looking->seen;
}

bool world_empire_sees(const struct world *world, uint32_t empire, uint32_t slot)
{
    const struct world_identity *identity =
        WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, slot);
    const struct world_place *place = WORLD_GET(&world->ecs, WORLD_PLACE, world_place, slot);
    if (identity->owner == empire || (!world->rules.sight.fog_of_war && !is_stealthed(world, slot)))
        return true;
    struct looking looking = {.world = world, .empire = empire, .target = slot};
    world_grid_in_range(&world->grid, &world->map, (struct hex_axial){place->q, place->r},
                        world->sight_max, look, &looking);
    return looking.seen;
}

static bool look_at_hex(void *ctx, uint32_t slot, uint32_t cell)
{
    struct looking *looking = ctx;
    (void)cell;
    const struct world *world = looking->world;
    const struct world_identity *identity =
        WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, slot);
    looking->seen = identity->owner == looking->empire && reaches(world, slot, looking->at);
    return !looking->seen;
}

bool world_empire_sees_hex(const struct world *world, uint32_t empire, struct hex_axial at)
{
    if (world_map_cell(&world->map, at) == WORLD_CELL_NONE)
        return false;
    if (!world->rules.sight.fog_of_war)
        return true;
    struct looking looking = {.world = world, .empire = empire, .at = at};
    world_grid_in_range(&world->grid, &world->map, at, world->sight_max, look_at_hex, &looking);
    return looking.seen;
}
