#include "services/world/core/state.h"

#include <stdio.h>

struct verifier {
    const struct world *world;
    char *problem;
    size_t problem_bytes;
    bool failed;
};

static void fail(struct verifier *verifier, uint32_t slot, const char *what)
{
    if (!verifier->failed)
        snprintf(verifier->problem, verifier->problem_bytes, "slot %u: %s", slot, what);
    verifier->failed = true;
}

static bool yields(const struct world *world, uint32_t type)
{
    return type < world->rules.type_count && world_type_is_node(&world->rules.types[type]);
}

// Of somebody who lives, or lived.
static bool handle_sound(const struct world *world, uint64_t handle)
{
    uint32_t slot = (uint32_t)handle;
    return slot > 0 && slot < world->ecs.slot_end && handle >> 32 <= world->ecs.generations[slot];
}

static void verify_gather(struct verifier *v, uint32_t slot, const struct world_orders *orders)
{
    const struct world *world = v->world;
    const struct world_gather *gather = WORLD_GET(&world->ecs, WORLD_GATHER, world_gather, slot);
    const struct world_cargo *cargo = WORLD_GET(&world->ecs, WORLD_CARGO, world_cargo, slot);
    bool told = orders && orders->begun && orders->list[0].kind == WORLD_ORDER_GATHER;
    if (told != (gather != NULL))
        fail(v, slot, "it gathers without the order, or has the order and does not gather");
    else if (gather && (!yields(world, gather->type) || !handle_sound(world, gather->node) ||
                        gather->phase < WORLD_GATHER_TO_NODE ||
                        gather->phase > WORLD_GATHER_TO_HOME || gather->last > 1))
        fail(v, slot, "its gathering is out of range");
    else if (cargo && (cargo->amount < 0 || !yields(world, cargo->type)))
        fail(v, slot, "what it carries is out of range");
    const struct world_identity *identity =
        WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, slot);
    if (gather && (identity->owner == 0 || world->rules.types[identity->type].ticks_per_hex == 0))
        fail(v, slot, "it gathers and is nobody's, or cannot move");
}

static bool sight_sound(const struct world_sight *sight)
{
    bool any = (sight->own & (WORLD_OWN_HEXES | WORLD_OWN_TYPE | WORLD_OWN_STEALTH)) != 0;
    return sight->own <= (WORLD_OWN_EVER | 7) && (!any || (sight->own & WORLD_OWN_EVER) != 0) &&
           sight->hexes <= ((sight->own & WORLD_OWN_HEXES) != 0 ? WORLD_SIGHT_HEXES_MAX : 0) &&
           sight->type <= ((sight->own & WORLD_OWN_TYPE) != 0
                               ? MMORTS__FRAME__SIGHT_TYPE__SIGHT_DETECTOR
                               : MMORTS__FRAME__SIGHT_TYPE__SIGHT_NORMAL) &&
           sight->stealthed <= ((sight->own & WORLD_OWN_STEALTH) != 0);
}

static void verify_work(struct verifier *v, uint32_t slot, const struct world_orders *orders)
{
    const struct world *world = v->world;
    const struct world_work *work = WORLD_GET(&world->ecs, WORLD_WORK, world_work, slot);
    const struct world_site *site = WORLD_GET(&world->ecs, WORLD_SITE, world_site, slot);
    const struct world_sight *sight = WORLD_GET(&world->ecs, WORLD_SIGHT, world_sight, slot);
    const struct world_rally *rally = WORLD_GET(&world->ecs, WORLD_RALLY, world_rally, slot);
    const struct world_identity *identity =
        WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, slot);
    bool is_building = identity->kind == MMORTS__FRAME__KIND__KIND_BUILDING;
    bool told = orders && orders->begun && orders->list[0].kind == WORLD_ORDER_BUILD;
    if (told != (work != NULL))
        fail(v, slot, "it builds without the order, or has the order and does not build");
    else if (work && (!handle_sound(world, work->target) || work->phase < WORLD_WORK_TO_SITE ||
                      work->phase > WORLD_WORK_AT_SITE ||
                      world->rules.types[identity->type].ticks_per_hex == 0))
        fail(v, slot, "its work is out of range");
    else if (site && (!is_building || site->needed == 0 || site->work > site->needed))
        fail(v, slot, "it is under construction and cannot be, or its work is out of range");
    else if ((sight && sight->off > (WORLD_BLIND_SITE | WORLD_BLIND_ORDERED)) ||
             world_site_open(site) != (sight && (sight->off & WORLD_BLIND_SITE) != 0))
        fail(v, slot, "it sees before it is complete, or does not see after that");
    else if (sight && !sight_sound(sight))
        fail(v, slot, "its sight is out of range");
    else if (rally && (!is_building || (rally->node != 0 && (!handle_sound(world, rally->node) ||
                                                             !yields(world, rally->type)))))
        fail(v, slot, "its rally point is none");
    struct hex_axial at = rally ? (struct hex_axial){rally->q, rally->r} : (struct hex_axial){0, 0};
    if (rally && world_map_cell(&world->map, at) == WORLD_CELL_NONE)
        fail(v, slot, "its rally point is off the map");
}

static void verify_fight(struct verifier *v, uint32_t slot, const struct world_orders *orders)
{
    const struct world_fight *fight = WORLD_GET(&v->world->ecs, WORLD_FIGHT, world_fight, slot);
    bool told = orders && orders->begun && orders->list[0].kind == WORLD_ORDER_ATTACK;
    if (told != (fight && fight->ordered))
        fail(v, slot, "it fights without the order, or has the order and does not fight");
    if (!fight)
        return;
    struct hex_axial anchor = {fight->anchor_q, fight->anchor_r};
    if (!handle_sound(v->world, fight->target) || fight->ordered > 1 ||
        world_map_cell(&v->world->map, anchor) == WORLD_CELL_NONE)
        fail(v, slot, "its fight is out of range");
}

static bool names_target(const struct world_order *order)
{
    return order->kind == WORLD_ORDER_ATTACK || order->kind == WORLD_ORDER_GATHER ||
           order->kind == WORLD_ORDER_BUILD;
}

static void verify_orders(struct verifier *v, uint32_t slot)
{
    const struct world_ecs *ecs = &v->world->ecs;
    const struct world_orders *orders = WORLD_GET(ecs, WORLD_ORDERS, world_orders, slot);
    const struct world_mover *mover = WORLD_GET(ecs, WORLD_MOVER, world_mover, slot);
    const struct world_route *route = WORLD_GET(ecs, WORLD_ROUTE, world_route, slot);
    if ((mover == NULL) != (route == NULL) ||
        (mover && !orders && !WORLD_GET(ecs, WORLD_FIGHT, world_fight, slot)))
        fail(v, slot, "orders, mover and route do not go together");
    if (orders) {
        if (orders->count < 1 || orders->count > WORLD_ORDERS_MAX || orders->begun > 1)
            fail(v, slot, "orders are out of range");
        for (int i = 0; i < WORLD_ORDERS_MAX; i++) {
            const struct world_order *order = &orders->list[i];
            struct hex_axial at = {order->q, order->r};
            bool given = i < orders->count;
            if ((order->kind != WORLD_ORDER_NONE) != given || order->kind >= WORLD_ORDER_KINDS)
                fail(v, slot, "an order is of an unknown kind");
            else if (given && world_map_cell(&v->world->map, at) == WORLD_CELL_NONE)
                fail(v, slot, "an order leads off the map");
            else if (order->kind == WORLD_ORDER_GATHER && !yields(v->world, order->type))
                fail(v, slot, "an order is to gather what nothing yields");
            else if (order->kind == WORLD_ORDER_WANDER &&
                     (order->type < 1 || order->type > WORLD_WANDER_RADIUS_MAX))
                fail(v, slot, "an order is to wander nowhere");
            else if (names_target(order) && !handle_sound(v->world, order->target))
                fail(v, slot, "an order names whom there never was");
        }
    }
    verify_fight(v, slot, orders);
    verify_gather(v, slot, orders);
    verify_work(v, slot, orders);
    if (!mover || v->failed)
        return;
    if (mover->phase < WORLD_MOVE_WAITING_FOR_PATH || mover->phase > WORLD_MOVE_ARRIVED ||
        mover->since > v->world->tick || route->steps > WORLD_ROUTE_STEPS_MAX)
        fail(v, slot, "the mover is out of range");
    else if (mover->phase == WORLD_MOVE_WAITING_FOR_PATH && mover->due >= v->world->ticket_next)
        fail(v, slot, "it waits for a path with a ticket that was never given");
    else if (mover->phase == WORLD_MOVE_WALKING && mover->next >= route->steps)
        fail(v, slot, "it walks without a step to take");
    struct hex_axial goal = {route->goal_q, route->goal_r};
    if (world_map_cell(&v->world->map, goal) == WORLD_CELL_NONE)
        fail(v, slot, "its goal is off the map");
    const struct world_identity *identity = WORLD_GET(ecs, WORLD_IDENTITY, world_identity, slot);
    if (v->world->rules.types[identity->type].ticks_per_hex == 0)
        fail(v, slot, "its type cannot move");
}

// Walks the route as the mover will: every step must lead to a hex of the map.
static void verify_route(struct verifier *v, uint32_t slot)
{
    const struct world_ecs *ecs = &v->world->ecs;
    const struct world_mover *mover = WORLD_GET(ecs, WORLD_MOVER, world_mover, slot);
    const struct world_route *route = WORLD_GET(ecs, WORLD_ROUTE, world_route, slot);
    if (v->failed || !mover || mover->phase != WORLD_MOVE_WALKING)
        return;
    uint32_t cell = WORLD_GET(ecs, WORLD_PLACE, world_place, slot)->cell;
    for (uint32_t i = mover->next; i < route->steps; i++) {
        unsigned direction = world_route_direction(route, i);
        cell = direction < HEX_DIRECTIONS ? world_map_step(&v->world->map, cell, direction)
                                          : WORLD_CELL_NONE;
        if (cell == WORLD_CELL_NONE) {
            fail(v, slot, "its route leads off the map");
            return;
        }
    }
    struct hex_axial goal = {route->goal_q, route->goal_r};
    if (route->complete && cell != world_map_cell(&v->world->map, goal))
        fail(v, slot, "its route does not end at its goal");
}

static void verify_entity(struct verifier *v, uint32_t slot)
{
    const struct world *world = v->world;
    const struct world_identity *identity =
        WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, slot);
    const struct world_place *place = WORLD_GET(&world->ecs, WORLD_PLACE, world_place, slot);
    struct hex_axial at = {place->q, place->r};
    uint64_t known;
    if (world_map_cell(&world->map, at) != place->cell)
        fail(v, slot, "its cell is not that of its hex");
    else if (!world_map_passable(&world->map, place->cell))
        fail(v, slot, "it stands where nothing can stand");
    else if (!mm_idmap_get(world->slot_of_serial, identity->serial, &known) || known != slot)
        fail(v, slot, "it cannot be found by its serial");
    if (v->failed)
        return;
    uint32_t other = world_grid_first(&world->grid, place->cell);
    while (other != 0 && other != slot)
        other = world_grid_next(&world->grid, other);
    if (other == 0)
        fail(v, slot, "it is not in the grid where it stands");
    if (WORLD_GET(&world->ecs, WORLD_ACTIVITY, world_activity, slot)->value >
        MMORTS__FRAME__ACTIVITY__ACTIVITY_REPAIRING)
        fail(v, slot, "its activity is unknown");
    const struct world_amount *amount = WORLD_GET(&world->ecs, WORLD_AMOUNT, world_amount, slot);
    if ((amount != NULL) != (identity->kind == MMORTS__FRAME__KIND__KIND_RESOURCE) ||
        (amount && amount->value < 0))
        fail(v, slot, "it is a resource without an amount, or the other way round");
    const struct world_veteran *veteran =
        WORLD_GET(&world->ecs, WORLD_VETERAN, world_veteran, slot);
    if (veteran &&
        (veteran->kills < 1 || veteran->rank != world_rank_of_kills(&world->rules, veteran->kills)))
        fail(v, slot, "its rank is not what its kills are worth");
    else if (!world_stats_sound(world, slot))
        fail(v, slot, "what it can do is not what its type and rank say");
    if (WORLD_GET(&world->ecs, WORLD_CAMP, world_camp, slot) && !world_camp_sound(world, slot))
        fail(v, slot, "its camp is out of range");
    if (WORLD_GET(&world->ecs, WORLD_HEALTH, world_health, slot)->value < 1)
        fail(v, slot, "it is dead and still there");
    if (WORLD_GET(&world->ecs, WORLD_ORDERS, world_orders, slot) &&
        world->rules.types[identity->type].ticks_per_hex == 0)
        fail(v, slot, "it has orders and cannot move");
    verify_orders(v, slot);
    verify_route(v, slot);
}

static void verify_sides(struct verifier *v)
{
    const struct world *world = v->world;
    for (uint32_t chunk = 0; chunk < world->map.chunk_count; chunk++) {
        const struct world_side *side = &world->sides.chunks[chunk];
        (void)mm_progress_row(world->progress, chunk);
        uint32_t same = 0, others = 0, first = chunk * world->map.tiling.cells;
        for (uint32_t cell = first; cell < first + world->map.tiling.cells; cell++)
            for (uint32_t slot = world_grid_first(&world->grid, cell); slot != 0;
                 slot = world_grid_next(&world->grid, slot)) {
                const struct world_identity *identity =
                    WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, slot);
                if (identity->kind == MMORTS__FRAME__KIND__KIND_RESOURCE)
                    continue;
                same += identity->owner == side->owner;
                others += identity->owner != side->owner;
            }
        if (same != side->same || others != side->others)
            fail(v, first, "the counts of sides in its chunk are wrong");
    }
}

static void verify_grid(struct verifier *v)
{
    const struct world *world = v->world;
    uint32_t entities = 0;
    for (uint32_t cell = 0; cell < world_map_cell_count(&world->map); cell++) {
        (void)mm_progress_row(world->progress, cell);
        uint32_t units = 0, blockers = 0, last = 0;
        for (uint32_t slot = world_grid_first(&world->grid, cell); slot != 0;
             slot = world_grid_next(&world->grid, slot), entities++) {
            if (slot <= last || !world_ecs_alive(&world->ecs, slot) ||
                WORLD_GET(&world->ecs, WORLD_PLACE, world_place, slot)->cell != cell) {
                fail(v, slot, "the grid lists it out of order or where it is not");
                return;
            }
            last = slot;
            unsigned counts_as = world_counts_as(
                world, WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, slot)->type);
            units += (counts_as & WORLD_ON_UNIT) != 0;
            blockers += (counts_as & WORLD_ON_BLOCKER) != 0;
        }
        if (units != world->grid.cells[cell].units || blockers != world->grid.cells[cell].blockers)
            fail(v, last, "the counts of its hex are wrong");
        if (units > world->rules.movement.units_per_hex || blockers > 1 || (units && blockers))
            fail(v, last, "too many stand on its hex");
    }
    if (entities != world->ecs.alive_count)
        fail(v, 0, "the grid does not hold everybody");
}

static void verify_sights(struct verifier *v)
{
    const struct world *world = v->world;
    uint32_t own[WORLD_SIGHT_HEXES_MAX + 1] = {0};
    for (uint32_t slot = world_ecs_next(&world->ecs, 0); slot != WORLD_SLOT_NONE;
         slot = world_ecs_next(&world->ecs, slot)) {
        const struct world_sight *sight = WORLD_GET(&world->ecs, WORLD_SIGHT, world_sight, slot);
        if (sight && (sight->own & WORLD_OWN_HEXES) != 0)
            own[sight->hexes]++;
    }
    if (memcmp(own, world->sight_own, sizeof own) != 0)
        fail(v, 0, "how far those see who do not see as their types is counted wrong");
}

static void verify_shares(struct verifier *v)
{
    const struct world *world = v->world;
    size_t at = 0;
    for (size_t e = 0; e < world->empires.count; e++) {
        uint32_t lenders = 0;
        for (; at < world->shares.count && world->shares.items[at] >> 32 == e + 1; at++) {
            lenders++;
            if (at > 0 && world->shares.items[at] <= world->shares.items[at - 1])
                fail(v, 0, "who lends sight is not in order");
        }
        if (lenders != world->empires.items[e].lenders)
            fail(v, 0, "how many lend an empire sight is counted wrong");
    }
    if (at != world->shares.count)
        fail(v, 0, "sight is lent to nobody");
}

enum mm_err world_verify(const struct world *world, char *problem, size_t problem_bytes)
{
    struct verifier verifier = {world, problem, problem_bytes, false};
    for (uint32_t slot = world_ecs_next(&world->ecs, 0);
         slot != WORLD_SLOT_NONE && !verifier.failed; slot = world_ecs_next(&world->ecs, slot))
        if (mm_progress_row(world->progress, slot))
            verify_entity(&verifier, slot);
        else
            fail(&verifier, slot, "it is no longer wanted");
    if (!verifier.failed)
        verify_grid(&verifier);
    if (!verifier.failed)
        verify_sides(&verifier);
    if (!verifier.failed)
        verify_sights(&verifier);
    if (!verifier.failed)
        verify_shares(&verifier);
    return verifier.failed ? MM_DATA_LOSS : MM_OK;
}
