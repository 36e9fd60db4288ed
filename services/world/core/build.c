#include "services/world/core/state.h"

// Buildings that are not complete yet, and those who work on them. Every worker beside a site adds
// a tick of work in every tick; the site's health grows with the work, on top of whatever it has
// lost meanwhile. A complete building that is damaged is worked on in the same way.

// How often a worker under way looks where it is, and one in a crowd whether there is room.
#define LOOK_TICKS 4
// A fresh site has this part of its health.
#define SITE_HEALTH_DIVISOR 10

static const struct world_type *type_of(const struct world *world, uint32_t slot)
{
    const struct world_identity *identity =
        WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, slot);
    return &world->rules.types[identity->type];
}

static struct hex_axial place_of(const struct world *world, uint32_t slot)
{
    const struct world_place *place = WORLD_GET(&world->ecs, WORLD_PLACE, world_place, slot);
    return (struct hex_axial){place->q, place->r};
}

// --- sites ---------------------------------------------------------------------------------------

void world_sight_switch(struct world *world, uint32_t slot, uint8_t bit, bool off)
{
    const struct world_sight *sight = WORLD_GET(&world->ecs, WORLD_SIGHT, world_sight, slot);
    bool is_off = sight && (sight->off & bit) != 0;
    if (is_off == off)
        return;
    struct world_sight *changed = world_ecs_add(&world->ecs, WORLD_SIGHT, slot);
    changed->off = (uint8_t)(off ? changed->off | bit : changed->off & ~bit);
}

static int32_t first_health(const struct world_type *type)
{
    uint32_t health = type->health_max / SITE_HEALTH_DIVISOR;
    return (int32_t)(health > 0 ? health : 1);
}

uint32_t world_site_create(struct world *world, uint32_t type, uint32_t owner, uint32_t cell,
                           const uint32_t *paid)
{
    uint32_t slot = world_entity_create(world, type, owner, cell);
    const struct world_type *t = &world->rules.types[type];
    world_settlement_leave(world, slot);
    struct world_site *site = world_ecs_add(&world->ecs, WORLD_SITE, slot);
    site->needed = t->build_ticks;
    for (int item = 0; item < WORLD_ITEMS_MAX; item++)
        site->paid[item] = paid[item];
    WORLD_TOUCH(&world->ecs, WORLD_HEALTH, world_health, slot)->value = first_health(t);
    world_sight_switch(world, slot, WORLD_BLIND_SITE, true);
    return slot;
}

// What the building's health has gained by so much work.
static int32_t gained(const struct world_type *type, const struct world_site *site, uint32_t work)
{
    uint64_t growth = type->health_max - (uint32_t)first_health(type);
    return (int32_t)(growth * work / site->needed);
}

void world_site_advance(struct world *world, uint32_t slot, uint32_t work)
{
    struct world_site *site = WORLD_TOUCH(&world->ecs, WORLD_SITE, world_site, slot);
    const struct world_type *type = type_of(world, slot);
    uint32_t left = site->needed - site->work, more = work < left ? work : left;
    struct world_health *health = WORLD_TOUCH(&world->ecs, WORLD_HEALTH, world_health, slot);
    health->value += gained(type, site, site->work + more) - gained(type, site, site->work);
    if (health->value > (int32_t)type->health_max)
        health->value = (int32_t)type->health_max;
    site->work += more;
    if (site->work < site->needed)
        return;
    for (int item = 0; item < WORLD_ITEMS_MAX; item++)
        site->paid[item] = 0;
    world_sight_switch(world, slot, WORLD_BLIND_SITE, false);
    world_settlement_enter(world, slot);
    world_tell(world, MMORTS__FRAME__EVENT_KIND__EVENT_BUILT, slot, 0, 0, 0);
}

// --- making room ---------------------------------------------------------------------------------

// Whoever stands elsewhere now looks anew at what it was doing.
static void look_again(struct world *world, uint32_t slot)
{
    if (WORLD_GET(&world->ecs, WORLD_MOVER, world_mover, slot))
        world_mover_replan(world, slot, false);
    if (WORLD_GET(&world->ecs, WORLD_GATHER, world_gather, slot)) {
        struct world_gather *gather = WORLD_TOUCH(&world->ecs, WORLD_GATHER, world_gather, slot);
        if (gather->phase == WORLD_GATHER_DIGGING)
            gather->phase = WORLD_GATHER_TO_NODE;
        gather->due = world->tick + 1;
    }
}

bool world_step_aside(struct world *world, uint32_t cell)
{
    uint32_t slots[WORLD_STACK_MAX], cells[WORLD_STACK_MAX], count = 0, found = 0;
    struct hex_axial at = world_map_hex(&world->map, cell);
    for (uint32_t slot = world_grid_first(&world->grid, cell); slot != 0;
         slot = world_grid_next(&world->grid, slot)) {
        const struct world_identity *identity =
            WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, slot);
        if (world_counts_as(world, identity->type) & WORLD_ON_UNIT)
            slots[count++] = slot;
    }
    // As if the building stood there already, and those before where they go.
    world->grid.cells[cell].blockers++;
    for (; found < count; found++) {
        cells[found] = world_nearest_free(world, at, WORLD_SPAWN_RADIUS_MAX, WORLD_ON_UNIT, cell);
        if (cells[found] == WORLD_CELL_NONE)
            break;
        world->grid.cells[cells[found]].units++;
    }
    for (uint32_t i = 0; i < found; i++)
        world->grid.cells[cells[i]].units--;
    world->grid.cells[cell].blockers--;
    for (uint32_t i = 0; found == count && i < count; i++) {
        world_entity_move(world, slots[i], cells[i], world_map_hex(&world->map, cells[i]));
        look_again(world, slots[i]);
    }
    return found == count;
}

// --- the work ------------------------------------------------------------------------------------

void world_work_begin(struct world *world, uint32_t slot, uint64_t target)
{
    world_mover_stop(world, slot);
    struct world_work *work = world_ecs_add(&world->ecs, WORLD_WORK, slot);
    *work = (struct world_work){
        .target = target,
        .due = world->tick,
        .phase = WORLD_WORK_TO_SITE,
    };
}

static void end_work(struct world *world, uint32_t slot)
{
    world_ecs_remove(&world->ecs, WORLD_WORK, slot);
    world_mover_stop(world, slot);
    world_order_done(world, slot);
}

// Whether there is something left to do for it: still its empire's, and not whole yet.
static bool wants_work(const struct world *world, uint32_t slot, uint32_t target)
{
    const struct world_identity *mine =
        WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, slot);
    const struct world_identity *theirs =
        WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, target);
    int32_t health = WORLD_GET(&world->ecs, WORLD_HEALTH, world_health, target)->value;
    if (mine->owner != theirs->owner || health <= 0)
        return false;
    return !world_is_complete(world, target) ||
           health < (int32_t)world->rules.types[theirs->type].health_max;
}

// Towards a hex beside the target. False: it is no use.
static bool walk(struct world *world, uint32_t slot, struct hex_axial target)
{
    struct world_work *work = WORLD_TOUCH(&world->ecs, WORLD_WORK, world_work, slot);
    work->due = world->tick + LOOK_TICKS;
    work->phase = WORLD_WORK_TO_SITE;
    return world_walk_beside(world, slot, target, &work->tries);
}

// A tick's share of the health that all of the building's work makes.
static void repair(struct world *world, uint32_t target)
{
    const struct world_type *type = type_of(world, target);
    uint64_t ticks = type->build_ticks > 0 ? type->build_ticks : type->health_max;
    uint64_t now = world->tick % ticks, most = type->health_max;
    int32_t share = (int32_t)(most * (now + 1) / ticks - most * now / ticks);
    if (share == 0)
        return;
    struct world_health *health = WORLD_TOUCH(&world->ecs, WORLD_HEALTH, world_health, target);
    health->value += share;
    if (health->value > (int32_t)most)
        health->value = (int32_t)most;
}

static void work_on(struct world *world, uint32_t slot)
{
    const struct world_work *work = WORLD_GET(&world->ecs, WORLD_WORK, world_work, slot);
    uint32_t target = world_ecs_slot_of_handle(&world->ecs, work->target);
    if (target == WORLD_SLOT_NONE || !wants_work(world, slot, target)) {
        end_work(world, slot);
        return;
    }
    struct hex_axial there = place_of(world, target);
    if (hex_distance(place_of(world, slot), there) > 1) {
        if (!walk(world, slot, there))
            end_work(world, slot);
        return;
    }
    if (work->phase != WORLD_WORK_AT_SITE) {
        struct world_work *changed = WORLD_TOUCH(&world->ecs, WORLD_WORK, world_work, slot);
        changed->phase = WORLD_WORK_AT_SITE;
        changed->tries = 0;
        changed->due = 0; // in every tick
        world_mover_stop(world, slot);
    }
    bool complete = world_is_complete(world, target);
    world_set_activity(world, slot,
                       complete ? MMORTS__FRAME__ACTIVITY__ACTIVITY_REPAIRING
                                : MMORTS__FRAME__ACTIVITY__ACTIVITY_BUILDING);
    if (complete)
        repair(world, target);
    else
        world_site_advance(world, target, 1);
}

void world_system_build(struct world *world)
{
    const uint64_t *building = world_ecs_query(&world->ecs, WORLD_QUERY_BUILDING);
    size_t end = world->ecs.slot_end;
    if (world_ecs_query_count(&world->ecs, WORLD_QUERY_BUILDING) == 0)
        return;
    for (size_t slot = mm_bitset_next(building, end, 0); slot < end;
         slot = mm_bitset_next(building, end, slot + 1))
        if (WORLD_GET(&world->ecs, WORLD_WORK, world_work, slot)->due <= world->tick)
            work_on(world, (uint32_t)slot);
}
