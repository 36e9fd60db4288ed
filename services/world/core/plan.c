#include "services/world/core/state.h"

#include <string.h>

void world_mover_start(struct world *world, uint32_t slot, struct hex_axial goal)
{
    bool moving = WORLD_GET(&world->ecs, WORLD_MOVER, world_mover, slot) != NULL;
    struct world_mover *mover = world_ecs_add(&world->ecs, WORLD_MOVER, slot);
    // Who is between two hexes keeps what it has gathered towards the next step.
    if (!moving)
        mover->since = world->tick;
    mover->best = UINT16_MAX;
    mover->replans = 0;
    mover->blocked = 0;
    struct world_route *route = world_ecs_add(&world->ecs, WORLD_ROUTE, slot);
    memset(route, 0, sizeof *route);
    route->goal_q = goal.q;
    route->goal_r = goal.r;
    world_mover_replan(world, slot, false);
}

void world_mover_step(struct world *world, uint32_t slot, unsigned direction)
{
    const struct world_place *place = WORLD_GET(&world->ecs, WORLD_PLACE, world_place, slot);
    struct hex_axial goal = hex_neighbor((struct hex_axial){place->q, place->r}, direction);
    uint32_t cell = world_map_step(&world->map, place->cell, direction);
    MM_CHECK(cell != WORLD_CELL_NONE);
    struct world_mover *mover = world_ecs_add(&world->ecs, WORLD_MOVER, slot);
    *mover = (struct world_mover){
        .since = world->tick,
        .due = world->tick + world_step_ticks(world, slot, cell),
        .best = UINT16_MAX,
        .phase = WORLD_MOVE_WALKING,
    };
    struct world_route *route = world_ecs_add(&world->ecs, WORLD_ROUTE, slot);
    memset(route, 0, sizeof *route);
    route->goal_q = goal.q;
    route->goal_r = goal.r;
    route->steps = 1;
    route->complete = 1;
    route->packed[0] = (uint8_t)direction;
}

void world_mover_stop(struct world *world, uint32_t slot)
{
    world_ecs_remove(&world->ecs, WORLD_MOVER, slot);
    world_ecs_remove(&world->ecs, WORLD_ROUTE, slot);
    // What is seen moving has a target to be told of.
    if (WORLD_GET(&world->ecs, WORLD_ACTIVITY, world_activity, slot)->value ==
        MMORTS__FRAME__ACTIVITY__ACTIVITY_MOVING)
        world_set_activity(world, slot, MMORTS__FRAME__ACTIVITY__ACTIVITY_IDLE);
}

void world_mover_replan(struct world *world, uint32_t slot, bool avoid)
{
    struct world_mover *mover = WORLD_TOUCH(&world->ecs, WORLD_MOVER, world_mover, slot);
    world_ecs_writes(&world->ecs, WORLD_USES_PATHS);
    mover->phase = WORLD_MOVE_WAITING_FOR_PATH;
    mover->due = world->ticket_next++;
    // Who is barred by units keeps its route: it may be possible to get back onto it.
    if (!avoid)
        mover->next = 0;
    mover->blocked = 0;
    mover->avoid = avoid;
    struct world_path_request request = {mover->due, slot};
    MM_CHECK(mm_vec_push(&world->queue, request));
}

uint32_t world_step_ticks(const struct world *world, uint32_t slot, uint32_t cell)
{
    const struct world_identity *identity =
        WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, slot);
    uint32_t ticks =
        world_rules_step_ticks(&world->rules, identity->type, world->map.terrain[cell]);
    return ticks > 0 ? ticks : 1;
}

static void route_set(struct world_route *route, const uint8_t *steps, size_t count)
{
    memset(route->packed, 0, sizeof route->packed);
    for (size_t i = 0; i < count; i++)
        route->packed[i / 2] |= (uint8_t)(steps[i] << (i % 2 * 4));
    route->steps = (uint16_t)count;
}

// Around what is in the way, if that is what it is about, or else all the way to the goal.
static bool find_way(struct world *world, const struct world_mover *mover,
                     const struct world_route *route, struct world_way_request *request,
                     struct world_way *way)
{
    if (!mover->avoid)
        return world_way_find(world, request, way);
    if (world_way_around(world, request, route, mover->next, way))
        return true;
    if (way->later)
        return false;
    uint32_t work = way->work;
    request->spend_max -= work < request->spend_max ? work : request->spend_max;
    bool found = world_way_find(world, request, way);
    way->work += work;
    return found;
}

// What planning may take in one tick.
static uint32_t tick_budget(const struct world *world)
{
    uint32_t budget = world->rules.movement.path_nodes_per_tick;
    return budget > WORLD_PLAN_WORK_MIN ? budget : WORLD_PLAN_WORK_MIN;
}

// What one search may take: of a tick's budget half, so that whoever is first in a tick can look
// for a far way and then for a near one, and has an answer.
static uint32_t search_budget(const struct world *world)
{
    uint32_t half = tick_budget(world) / 2, most = world->rules.movement.path_nodes_per_search;
    return most < half ? most : half;
}

// First: nobody's way was looked for in this tick yet, so all of its budget is there. False:
// nothing is planned yet, see world_way.later. What it took is in way->work.
static bool plan(struct world *world, uint32_t slot, uint32_t spend_max, bool first,
                 struct world_way *way)
{
    const struct world_mover *before = WORLD_GET(&world->ecs, WORLD_MOVER, world_mover, slot);
    const struct world_place *place = WORLD_GET(&world->ecs, WORLD_PLACE, world_place, slot);
    const struct world_route *old = WORLD_GET(&world->ecs, WORLD_ROUTE, world_route, slot);
    struct hex_axial from = {place->q, place->r}, goal = {old->goal_q, old->goal_r};
    int32_t distance = hex_distance(from, goal);
    // Every plan must bring it nearer than it ever was, or is one of a few: so it ends.
    bool nearer = distance < before->best;
    uint32_t replans = nearer ? 0 : before->replans + 1U;
    struct world_way_request request = {
        .from = from,
        .to = goal,
        .work_max = search_budget(world),
        .spend_max = spend_max,
        .last_word = first,
        .avoid = before->avoid != 0,
        .partial = true,
    };
    *way = (struct world_way){0};
    bool found = distance != 0 && replans <= world->rules.movement.replans_max &&
                 find_way(world, before, old, &request, way);
    way->work++;
    if (way->later)
        return false;
    struct world_mover *mover = WORLD_TOUCH(&world->ecs, WORLD_MOVER, world_mover, slot);
    struct world_route *route = WORLD_TOUCH(&world->ecs, WORLD_ROUTE, world_route, slot);
    if (nearer)
        mover->best = (uint16_t)(distance < UINT16_MAX ? distance : UINT16_MAX - 1);
    mover->replans = (uint8_t)replans;
    if (!found) {
        mover->phase = WORLD_MOVE_ARRIVED;
        mover->due = 0;
        return true;
    }
    uint32_t steps = way->steps < WORLD_ROUTE_STEPS_MAX ? way->steps : WORLD_ROUTE_STEPS_MAX;
    route_set(route, world->search_steps, steps);
    route->complete = way->complete && steps == way->steps;
    mover->phase = WORLD_MOVE_WALKING;
    mover->next = 0;
    mover->avoid = 0;
    uint32_t cell = world_map_step(&world->map, place->cell, world->search_steps[0]);
    MM_CHECK(cell != WORLD_CELL_NONE);
    // Possibly now: who was on its way gets new orders in the middle of a step and keeps its pace.
    mover->due = mover->since + world_step_ticks(world, slot, cell);
    return true;
}

// Whether somebody still waits for what was asked.
static bool is_wanted(const struct world *world, const struct world_path_request *request)
{
    const struct world_mover *mover =
        world_ecs_alive(&world->ecs, request->slot)
            ? WORLD_GET(&world->ecs, WORLD_MOVER, world_mover, request->slot)
            : NULL;
    return mover && mover->phase == WORLD_MOVE_WAITING_FOR_PATH && mover->due == request->ticket;
}

// Requests that nobody waits for any more go, once they are more than the others.
static void queue_tidy(struct world *world)
{
    size_t kept = 0, left = world->queue.count - world->queue_head;
    struct world_path_request *items = world->queue.items;
    if (left > 4096 && left / 2 > world_mover_count(world)) {
        for (size_t i = world->queue_head; i < world->queue.count; i++)
            if (is_wanted(world, &items[i]))
                items[kept++] = items[i];
    } else if (left > 0 && world->queue_head > 4096 && world->queue_head > left) {
        memmove(items, items + world->queue_head, left * sizeof *items);
        kept = left;
    } else if (left > 0) {
        return;
    }
    world->queue.count = kept;
    world->queue_head = 0;
}

// First come, first served, as far as this tick's budget goes. A search that comes to its end is
// cut off and begun anew in the next tick, before all others and with all of that tick's budget: so
// no tick takes more, and there are no searches half done to be kept. Who has to wait for chunks to
// be charted is asked again at once, and all behind wait with it.
void world_system_plan(struct world *world)
{
    uint32_t budget = tick_budget(world);
    bool first = true;
    world->plan_work = 0;
    world->plan_cut = false;
    world_ways_begin(world);
    while (world->queue_head < world->queue.count &&
           world->plan_work < world->rules.movement.path_nodes_per_tick) {
        const struct world_path_request *request = &world->queue.items[world->queue_head];
        if (is_wanted(world, request)) {
            struct world_way way;
            bool planned = plan(world, request->slot, budget - world->plan_work, first, &way);
            world->plan_work += way.work;
            first = false;
            world->plan_cut = !planned && way.charts == 0;
            if (world->plan_cut)
                break;
            if (!planned)
                continue;
        }
        world->queue_head++;
    }
    queue_tidy(world);
}
