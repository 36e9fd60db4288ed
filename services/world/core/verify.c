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

static void verify_orders(struct verifier *v, uint32_t slot)
{
    const struct world_ecs *ecs = &v->world->ecs;
    const struct world_orders *orders = WORLD_GET(ecs, WORLD_ORDERS, world_orders, slot);
    const struct world_mover *mover = WORLD_GET(ecs, WORLD_MOVER, world_mover, slot);
    const struct world_route *route = WORLD_GET(ecs, WORLD_ROUTE, world_route, slot);
    if ((mover == NULL) != (route == NULL) || (mover && !orders))
        fail(v, slot, "orders, mover and route do not go together");
    if (orders) {
        if (orders->count < 1 || orders->count > WORLD_ORDERS_MAX || orders->begun > 1)
            fail(v, slot, "orders are out of range");
        for (int i = 0; i < WORLD_ORDERS_MAX; i++) {
            struct hex_axial at = {orders->list[i].q, orders->list[i].r};
            uint32_t kind = i < orders->count ? WORLD_ORDER_MOVE : WORLD_ORDER_NONE;
            if (orders->list[i].kind != kind)
                fail(v, slot, "an order is of an unknown kind");
            else if (i < orders->count && world_map_cell(&v->world->map, at) == WORLD_CELL_NONE)
                fail(v, slot, "an order leads off the map");
        }
    }
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
    verify_orders(v, slot);
    verify_route(v, slot);
}

static void verify_grid(struct verifier *v)
{
    const struct world *world = v->world;
    uint32_t entities = 0;
    for (uint32_t cell = 0; cell < world_map_cell_count(&world->map); cell++) {
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

enum mm_err world_verify(const struct world *world, char *problem, size_t problem_bytes)
{
    struct verifier verifier = {world, problem, problem_bytes, false};
    for (uint32_t slot = world_ecs_next(&world->ecs, 0);
         slot != WORLD_SLOT_NONE && !verifier.failed; slot = world_ecs_next(&world->ecs, slot))
        verify_entity(&verifier, slot);
    if (!verifier.failed)
        verify_grid(&verifier);
    return verifier.failed ? MM_DATA_LOSS : MM_OK;
}
