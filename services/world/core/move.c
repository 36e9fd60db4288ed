#include "libcommon/base/prefetch.h"
#include "services/world/core/state.h"

// A step is made when it is due: the unit stands on its hex until then and on the next one from
// then on. If the next hex is full it waits its patience, then goes around, and in the end stays.

// So far from a goal that is taken those who stand in the way are taken for the crowd about it.
#define CROWD_RADIUS 4

struct step {
    uint32_t slot;
    struct world_mover *mover;
    struct world_place *place;
    struct world_route *route;
    uint32_t cell; // stepped onto
    unsigned direction;
    bool last; // it is the goal
};

static void stay(struct world_mover *mover)
{
    mover->phase = WORLD_MOVE_ARRIVED;
    mover->due = 0;
}

// After a step: what is next.
static void go_on(struct world *world, uint32_t slot, struct world_mover *mover,
                  const struct world_route *route, uint32_t cell)
{
    mover->since = world->tick;
    mover->blocked = 0;
    mover->next++;
    if (mover->next < route->steps) {
        uint32_t next =
            world_map_step(&world->map, cell, world_route_direction(route, mover->next));
        MM_CHECK(next != WORLD_CELL_NONE);
        mover->due = world->tick + world_step_ticks(world, slot, next);
    } else if (route->complete) {
        stay(mover);
    } else {
        world_mover_replan(world, slot, false);
    }
}

static void step_onto(struct world *world, uint32_t slot, uint32_t cell, unsigned direction)
{
    const struct world_place *place = WORLD_GET(&world->ecs, WORLD_PLACE, world_place, slot);
    struct hex_axial at = hex_neighbor((struct hex_axial){place->q, place->r}, direction);
    world_entity_move(world, slot, cell, at);
    go_on(world, slot, WORLD_TOUCH(&world->ecs, WORLD_MOVER, world_mover, slot),
          WORLD_GET(&world->ecs, WORLD_ROUTE, world_route, slot), cell);
}

// Two units of one empire that are in each other's way change places. Which keeps the number of
// units on each hex.
static bool change_places(struct world *world, const struct step *step)
{
    const struct world_identity *mine =
        WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, step->slot);
    for (uint32_t other = world_grid_first(&world->grid, step->cell); other != 0;
         other = world_grid_next(&world->grid, other)) {
        const struct world_mover *mover = WORLD_GET(&world->ecs, WORLD_MOVER, world_mover, other);
        const struct world_identity *theirs =
            WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, other);
        if (!mover || mover->phase != WORLD_MOVE_WALKING || theirs->owner != mine->owner)
            continue;
        const struct world_route *route = WORLD_GET(&world->ecs, WORLD_ROUTE, world_route, other);
        unsigned back = world_route_direction(route, mover->next);
        if (back != hex_opposite(step->direction))
            continue;
        uint32_t from = step->place->cell;
        step_onto(world, step->slot, step->cell, step->direction);
        step_onto(world, other, from, back);
        return true;
    }
    return false;
}

// The goal is taken by somebody who stands there: the nearest free hex about it will do, or where
// it is already if that is no farther.
static void settle(struct world *world, const struct step *step)
{
    struct hex_axial goal = {step->route->goal_q, step->route->goal_r};
    struct hex_axial at = {step->place->q, step->place->r};
    uint32_t cell =
        world_nearest_free(world, goal, WORLD_SPREAD_RADIUS_MAX, WORLD_ON_UNIT, step->place->cell);
    struct world_mover *mover = WORLD_TOUCH(&world->ecs, WORLD_MOVER, world_mover, step->slot);
    if (cell == WORLD_CELL_NONE || ++mover->replans > world->rules.movement.replans_max ||
        hex_distance(world_map_hex(&world->map, cell), goal) >= hex_distance(at, goal)) {
        stay(mover);
        return;
    }
    struct world_route *route = WORLD_TOUCH(&world->ecs, WORLD_ROUTE, world_route, step->slot);
    struct hex_axial free_hex = world_map_hex(&world->map, cell);
    route->goal_q = free_hex.q;
    route->goal_r = free_hex.r;
    world_mover_replan(world, step->slot, false);
}

// What those who fill the next hex are about.
enum obstacle {
    OBSTACLE_LEAVING,  // it is walking and will be gone
    OBSTACLE_WAITING,  // it has somewhere to go, but waits as well
    OBSTACLE_STANDING, // it stays
};

static enum obstacle obstacle_on(const struct world *world, uint32_t cell)
{
    enum obstacle obstacle = OBSTACLE_STANDING;
    for (uint32_t other = world_grid_first(&world->grid, cell); other != 0;
         other = world_grid_next(&world->grid, other)) {
        const struct world_mover *mover = WORLD_GET(&world->ecs, WORLD_MOVER, world_mover, other);
        if (!mover)
            continue;
        // Between two steps; who is held up itself is due in every tick.
        if (mover->phase == WORLD_MOVE_WALKING && mover->due > world->tick + 1)
            return OBSTACLE_LEAVING;
        obstacle = OBSTACLE_WAITING;
    }
    return obstacle;
}

// Who of those on the cell would make way for a unit of that empire: one that stands there and has
// nothing to do. The lowest slot.
static uint32_t idle_on(const struct world *world, uint32_t cell, uint32_t owner)
{
    for (uint32_t other = world_grid_first(&world->grid, cell); other != 0;
         other = world_grid_next(&world->grid, other)) {
        const struct world_identity *theirs =
            WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, other);
        if (theirs->owner == owner && world->rules.types[theirs->type].ticks_per_hex > 0 &&
            (world_counts_as(world, theirs->type) & WORLD_ON_UNIT) &&
            !WORLD_GET(&world->ecs, WORLD_ORDERS, world_orders, other) &&
            !WORLD_GET(&world->ecs, WORLD_FIGHT, world_fight, other))
            return other;
    }
    return WORLD_SLOT_NONE;
}

// Whether a worker under way would go no farther than that hex, being beside what it is to work on.
static bool works_from(const struct world *world, uint32_t slot, struct hex_axial at)
{
    const struct world_gather *gather = WORLD_GET(&world->ecs, WORLD_GATHER, world_gather, slot);
    const struct world_work *work = WORLD_GET(&world->ecs, WORLD_WORK, world_work, slot);
    uint64_t handle = work ? work->target : 0;
    if (gather && gather->phase == WORLD_GATHER_TO_NODE)
        handle = gather->node;
    uint32_t target = world_ecs_slot_of_handle(&world->ecs, handle);
    if (target == WORLD_SLOT_NONE)
        return false;
    const struct world_place *place = WORLD_GET(&world->ecs, WORLD_PLACE, world_place, target);
    return hex_distance(at, (struct hex_axial){place->q, place->r}) <= 1;
}

// A unit of the same empire that stands idle in the way lets the one that comes pass: they change
// places, and it steps back as soon as there is room. Nobody else has to move for it, and its step
// back, being its last, moves nobody: so this ends. Not for one that does not want to pass: a goal
// that is taken has its crowd about it, and a worker stays where it can work.
static bool make_way(struct world *world, const struct step *step)
{
    struct hex_axial goal = {step->route->goal_q, step->route->goal_r};
    struct hex_axial at = {step->place->q, step->place->r};
    struct hex_axial there = hex_neighbor(at, step->direction);
    uint32_t from = step->place->cell, to = step->cell;
    unsigned direction = step->direction;
    uint32_t owner = WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, step->slot)->owner;
    if (hex_distance(there, goal) <= CROWD_RADIUS &&
        !world_cell_free(world, world_map_cell(&world->map, goal), WORLD_ON_UNIT))
        return false;
    uint32_t idle = idle_on(world, to, owner);
    if (idle == WORLD_SLOT_NONE || works_from(world, step->slot, there))
        return false;
    step_onto(world, step->slot, to, direction);
    world_entity_move(world, idle, from, at);
    world_order_step(world, idle, direction);
    return true;
}

static void wait_behind(struct world *world, const struct step *step)
{
    if (change_places(world, step))
        return;
    enum obstacle obstacle = obstacle_on(world, step->cell);
    if (obstacle == OBSTACLE_STANDING && step->last) {
        settle(world, step);
        return;
    }
    if (obstacle == OBSTACLE_STANDING && make_way(world, step))
        return;
    struct world_mover *mover = WORLD_TOUCH(&world->ecs, WORLD_MOVER, world_mover, step->slot);
    mover->due = world->tick + 1;
    if (obstacle == OBSTACLE_LEAVING)
        return;
    // Not all at once: a knot of equally patient units would tie itself anew.
    if (mover->blocked < world->rules.movement.patience_ticks + step->slot % 4)
        mover->blocked++;
    else if (step->last)
        settle(world, step);
    else
        world_mover_replan(world, step->slot, true);
}

static void move(struct world *world, uint32_t slot)
{
    struct step step = {
        .slot = slot,
        .mover = WORLD_GET(&world->ecs, WORLD_MOVER, world_mover, slot),
        .place = WORLD_GET(&world->ecs, WORLD_PLACE, world_place, slot),
        .route = WORLD_GET(&world->ecs, WORLD_ROUTE, world_route, slot),
    };
    MM_CHECK(step.mover && step.place && step.route);
    // Somebody changed places with it in this very tick.
    if (step.mover->phase != WORLD_MOVE_WALKING || step.mover->due > world->tick)
        return;
    step.direction = world_route_direction(step.route, step.mover->next);
    step.cell = world_map_step(&world->map, step.place->cell, step.direction);
    step.last = step.route->complete && step.mover->next + 1 == step.route->steps;
    if (step.cell == WORLD_CELL_NONE || !world_map_passable(&world->map, step.cell) ||
        world->grid.cells[step.cell].blockers > 0)
        world_mover_replan(world, slot, false);
    else if (world->grid.cells[step.cell].units >= world->rules.movement.units_per_hex)
        wait_behind(world, &step);
    else
        step_onto(world, slot, step.cell, step.direction);
}

// Units that are due lie anywhere in memory, and each of a step's accesses waits for the one before
// it. So what a batch will need is asked for before its first unit is moved: nothing depends on it.
enum { MOVE_BATCH = 32 };

static void fetch_units(const struct world_ecs *ecs, const uint32_t *slots, unsigned count)
{
    const struct world_column *movers = &ecs->columns[WORLD_MOVER];
    const struct world_column *routes = &ecs->columns[WORLD_ROUTE];
    for (unsigned i = 0; i < count; i++) {
        size_t mover = movers->row_of_slot[slots[i]], route = routes->row_of_slot[slots[i]];
        if (mover == 0 || route == 0)
            continue;
        mm_prefetch_write(movers->rows + (mover - 1) * movers->row_bytes);
        mm_prefetch(routes->rows + (route - 1) * routes->row_bytes);
        mm_prefetch_write(WORLD_GET(ecs, WORLD_PLACE, world_place, slots[i]));
        mm_prefetch(WORLD_GET(ecs, WORLD_IDENTITY, world_identity, slots[i]));
    }
}

static void fetch_hexes(const struct world *world, const uint32_t *slots, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const struct world_mover *mover =
            WORLD_GET(&world->ecs, WORLD_MOVER, world_mover, slots[i]);
        const struct world_route *route =
            WORLD_GET(&world->ecs, WORLD_ROUTE, world_route, slots[i]);
        if (!mover || !route || mover->next >= WORLD_ROUTE_STEPS_MAX)
            continue;
        uint32_t from = WORLD_GET(&world->ecs, WORLD_PLACE, world_place, slots[i])->cell;
        unsigned direction = world_route_direction(route, mover->next);
        uint32_t to = direction < HEX_DIRECTIONS ? world_map_step(&world->map, from, direction)
                                                 : WORLD_CELL_NONE;
        mm_prefetch_write(&world->grid.cells[from]);
        if (to == WORLD_CELL_NONE)
            continue;
        mm_prefetch_write(&world->grid.cells[to]);
        mm_prefetch(&world->map.terrain[to]);
        // How long the step after this one takes.
        if (mover->next + 1U < route->steps) {
            direction = world_route_direction(route, mover->next + 1U);
            uint32_t then = direction < HEX_DIRECTIONS ? world_map_step(&world->map, to, direction)
                                                       : WORLD_CELL_NONE;
            if (then != WORLD_CELL_NONE)
                mm_prefetch(&world->map.terrain[then]);
        }
    }
}

void world_system_move(struct world *world)
{
    const struct world_column *movers = &world->ecs.columns[WORLD_MOVER];
    for (uint32_t row = 0; row < movers->row_count; row++) {
        const struct world_mover *mover =
            (const void *)(movers->rows + (size_t)row * movers->row_bytes);
        if (mover->phase == WORLD_MOVE_WALKING && mover->due <= world->tick)
            mm_bitset_set(world->due, movers->slot_of_row[row]);
    }
    // In slot order, whatever the order of the rows.
    size_t end = world->ecs.slot_end;
    uint32_t slots[MOVE_BATCH];
    for (size_t slot = mm_bitset_next(world->due, end, 0); slot < end;) {
        unsigned count = 0;
        for (; slot < end && count < MOVE_BATCH; slot = mm_bitset_next(world->due, end, slot + 1)) {
            mm_bitset_clear(world->due, slot);
            slots[count++] = (uint32_t)slot;
        }
        fetch_units(&world->ecs, slots, count);
        fetch_hexes(world, slots, count);
        for (unsigned i = 0; i < count; i++)
            move(world, slots[i]);
    }
}
