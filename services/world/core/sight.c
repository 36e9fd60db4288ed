#include "services/world/core/state.h"

#include "libcommon/hex/sight.h"

// Who sees what, by the rule by which vision shows things to players: an empire by its own eyes and
// by those that are lent to it (sharing.c). Vision counts what all see; here single questions are
// answered from where the entities stand.

static uint32_t cost_at(const void *ctx, struct hex_axial at)
{
    const struct world *world = ctx;
    uint32_t cell = world_map_cell(&world->map, at);
    return cell == WORLD_CELL_NONE ? 0 : world->rules.terrains[world->map.terrain[cell]].sight_cost;
}

// --- an entity's own -----------------------------------------------------------------------------

// Few have a sight of their own: all others are as their types.
static const struct world_sight *own_sight(const struct world *world, uint32_t slot, uint8_t what)
{
    const struct world_sight *sight = WORLD_GET(&world->ecs, WORLD_SIGHT, world_sight, slot);
    return sight && (sight->own & what) != 0 ? sight : NULL;
}

uint32_t world_sight_hexes(const struct world *world, uint32_t slot)
{
    const struct world_sight *own = own_sight(world, slot, WORLD_OWN_HEXES);
    return own ? own->hexes : world_stats_of(world, slot)->sight_hexes;
}

uint32_t world_sight_type(const struct world *world, uint32_t slot)
{
    const struct world_sight *own = own_sight(world, slot, WORLD_OWN_TYPE);
    return own ? own->type : world_stats_of(world, slot)->sight_type;
}

bool world_is_stealthed(const struct world *world, uint32_t slot)
{
    const struct world_sight *own = own_sight(world, slot, WORLD_OWN_STEALTH);
    return own ? own->stealthed != 0
               : (world_stats_of(world, slot)->flags &
                  MMORTS__FRAME__TYPE_FLAG__TYPE_FLAG_STEALTH) != 0;
}

static void count(struct world *world, uint32_t slot, uint32_t by)
{
    const struct world_sight *own = own_sight(world, slot, WORLD_OWN_HEXES);
    // A state that is being loaded is verified only when all of it is there.
    if (own && own->hexes <= WORLD_SIGHT_HEXES_MAX)
        world->sight_own[own->hexes] += by;
}

void world_sight_enter(struct world *world, uint32_t slot)
{
    count(world, slot, 1);
}

void world_sight_leave(struct world *world, uint32_t slot)
{
    count(world, slot, UINT32_MAX); // one less
}

// Who sees farther than before may come to see land that is not there yet.
static void explore(struct world *world, uint32_t slot)
{
    const struct world_place *place = WORLD_GET(&world->ecs, WORLD_PLACE, world_place, slot);
    if (WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, slot)->owner != 0)
        world_explore_chunk(world, place->cell / world->map.tiling.cells);
}

void world_sight_set(struct world *world, uint32_t slot, uint8_t what, uint32_t value)
{
    world_sight_leave(world, slot);
    struct world_sight *sight = world_ecs_add(&world->ecs, WORLD_SIGHT, slot);
    sight->own |= (uint8_t)(what | WORLD_OWN_EVER);
    if (what == WORLD_OWN_HEXES)
        sight->hexes = (uint8_t)value;
    else if (what == WORLD_OWN_TYPE)
        sight->type = (uint8_t)value;
    else
        sight->stealthed = value != 0;
    world_sight_enter(world, slot);
    explore(world, slot);
}

void world_sight_as_type(struct world *world, uint32_t slot)
{
    const struct world_sight *sight = WORLD_GET(&world->ecs, WORLD_SIGHT, world_sight, slot);
    if (!sight || sight->own == 0)
        return;
    world_sight_leave(world, slot);
    *WORLD_TOUCH(&world->ecs, WORLD_SIGHT, world_sight, slot) =
        (struct world_sight){.off = sight->off, .own = WORLD_OWN_EVER};
    explore(world, slot);
}

static int32_t farthest(const struct world *world, int32_t least)
{
    for (int32_t hexes = WORLD_SIGHT_HEXES_MAX; hexes > least; hexes--)
        if (world->sight_own[hexes] > 0)
            return hexes;
    return least;
}

int32_t world_sight_max(const struct world *world)
{
    return farthest(world, world->sight_max);
}

int32_t world_alert_max(const struct world *world)
{
    int32_t far = farthest(world, world->alert_max);
    return far < WORLD_ALERT_HEXES_MAX ? far : WORLD_ALERT_HEXES_MAX;
}

// --- who sees whom -------------------------------------------------------------------------------

// Whether an entity's sight reaches a hex.
static bool reaches(const struct world *world, uint32_t slot, struct hex_axial to)
{
    int32_t range = (int32_t)world_sight_hexes(world, slot);
    const struct world_place *place = WORLD_GET(&world->ecs, WORLD_PLACE, world_place, slot);
    struct hex_axial from = {place->q, place->r};
    return range > 0 && hex_distance(from, to) <= range && !world_is_blind(world, slot) &&
           (!world->terrain_hides || hex_sight_reaches(from, range, to, cost_at, world));
}

static bool detects(const struct world *world, uint32_t slot)
{
    return world_sight_type(world, slot) == MMORTS__FRAME__SIGHT_TYPE__SIGHT_DETECTOR;
}

bool world_sees(const struct world *world, uint32_t slot, uint32_t other)
{
    const struct world_place *place = WORLD_GET(&world->ecs, WORLD_PLACE, world_place, other);
    return reaches(world, slot, (struct hex_axial){place->q, place->r}) &&
           (!world_is_stealthed(world, other) || detects(world, slot));
}

struct looking {
    const struct world *world;
    uint32_t empire, target;
    struct hex_axial at;
    bool borrows; // eyes of others may be among those it sees by
    bool seen;
};

// Whether the empire sees by an entity's eyes.
static inline bool looks_for(const struct looking *looking, uint32_t slot)
{
    uint32_t owner = WORLD_GET(&looking->world->ecs, WORLD_IDENTITY, world_identity, slot)->owner;
    return owner == looking->empire ||
           (looking->borrows && world_lends(looking->world, slot, looking->empire));
}

static bool look(void *ctx, uint32_t slot, uint32_t cell)
{
    struct looking *looking = ctx;
    (void)cell;
    looking->seen = looks_for(looking, slot) && world_sees(looking->world, slot, looking->target);
    return !looking->seen;
}

bool world_empire_sees(const struct world *world, uint32_t empire, uint32_t slot)
{
    const struct world_identity *identity =
        WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, slot);
    const struct world_place *place = WORLD_GET(&world->ecs, WORLD_PLACE, world_place, slot);
    if (identity->owner == empire ||
        (!world->rules.sight.fog_of_war && !world_is_stealthed(world, slot)))
        return true;
    struct looking looking = {
        .world = world, .empire = empire, .target = slot, .borrows = world_borrows(world, empire)};
    world_grid_in_range(&world->grid, &world->map, (struct hex_axial){place->q, place->r},
                        world_sight_max(world), look, &looking);
    return looking.seen;
}

static bool look_at_hex(void *ctx, uint32_t slot, uint32_t cell)
{
    struct looking *looking = ctx;
    (void)cell;
    looking->seen = looks_for(looking, slot) && reaches(looking->world, slot, looking->at);
    return !looking->seen;
}

bool world_empire_sees_hex(const struct world *world, uint32_t empire, struct hex_axial at)
{
    if (world_map_cell(&world->map, at) == WORLD_CELL_NONE)
        return false;
    if (!world->rules.sight.fog_of_war)
        return true;
    struct looking looking = {
        .world = world, .empire = empire, .at = at, .borrows = world_borrows(world, empire)};
    world_grid_in_range(&world->grid, &world->map, at, world_sight_max(world), look_at_hex,
                        &looking);
    return looking.seen;
}
