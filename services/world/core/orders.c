#include "services/world/core/state.h"

#include "libcommon/base/hash.h"
#include "libcommon/base/prefetch.h"
#include <string.h>

void world_task_drop(struct world *world, uint32_t slot)
{
    world_ecs_remove(&world->ecs, WORLD_FIGHT, slot);
    world_ecs_remove(&world->ecs, WORLD_GATHER, slot);
    world_ecs_remove(&world->ecs, WORLD_WORK, slot);
}

bool world_order_give(struct world *world, uint32_t slot, const struct world_order *order,
                      bool queued)
{
    struct world_orders *orders = world_ecs_add(&world->ecs, WORLD_ORDERS, slot);
    if (!queued) {
        memset(orders, 0, sizeof *orders);
        world_task_drop(world, slot);
    } else if (orders->count == WORLD_ORDERS_MAX) {
        return false;
    }
    orders->list[orders->count++] = *order;
    return true;
}

static void take_up(struct world *world, uint32_t slot, enum world_order_kind kind,
                    struct hex_axial goal)
{
    struct world_orders *orders = world_ecs_add(&world->ecs, WORLD_ORDERS, slot);
    memset(orders, 0, sizeof *orders);
    orders->list[0] = (struct world_order){.kind = (uint8_t)kind, .q = goal.q, .r = goal.r};
    orders->count = 1;
    orders->begun = 1;
    world_set_activity(world, slot, MMORTS__FRAME__ACTIVITY__ACTIVITY_MOVING);
}

void world_order_begin(struct world *world, uint32_t slot, enum world_order_kind kind,
                       struct hex_axial goal)
{
    take_up(world, slot, kind, goal);
    world_mover_start(world, slot, goal);
}

void world_order_step(struct world *world, uint32_t slot, unsigned direction)
{
    const struct world_place *place = WORLD_GET(&world->ecs, WORLD_PLACE, world_place, slot);
    // As watchful under way as it was.
    take_up(world, slot, world->rules.combat.guard ? WORLD_ORDER_ATTACK_MOVE : WORLD_ORDER_MOVE,
            hex_neighbor((struct hex_axial){place->q, place->r}, direction));
    world_mover_step(world, slot, direction);
}

void world_orders_clear(struct world *world, uint32_t slot)
{
    world_ecs_remove(&world->ecs, WORLD_ORDERS, slot);
    world_task_drop(world, slot);
    world_mover_stop(world, slot);
    world_set_activity(world, slot, MMORTS__FRAME__ACTIVITY__ACTIVITY_IDLE);
}

void world_set_activity(struct world *world, uint32_t slot, uint32_t activity)
{
    const struct world_activity *now = WORLD_GET(&world->ecs, WORLD_ACTIVITY, world_activity, slot);
    if (now->value != activity)
        WORLD_TOUCH(&world->ecs, WORLD_ACTIVITY, world_activity, slot)->value = (uint8_t)activity;
}

// --- orders that do not end by themselves --------------------------------------------------------

// Whether the present order, which is done, is to be taken up again: a patrol while nothing but
// patrols waits behind it, wandering while nothing waits.
static bool comes_again(const struct world_orders *orders)
{
    if (orders->list[0].kind == WORLD_ORDER_WANDER)
        return orders->count == 1;
    bool again = orders->list[0].kind == WORLD_ORDER_PATROL;
    for (uint8_t i = 1; i < orders->count; i++)
        again = again && orders->list[i].kind == WORLD_ORDER_PATROL;
    return again;
}

static uint64_t roll(const struct world *world, uint32_t slot, uint64_t salt)
{
    const struct world_identity *identity =
        WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, slot);
    return mm_mix64(mm_mix64(world->seed ^ identity->serial) + salt);
}

// Where a try to find a goal leads; false if that is not within the radius.
static bool wander_try(const struct world *world, uint32_t slot, const struct world_order *order,
                       uint64_t try, struct hex_axial *goal_out)
{
    int32_t radius = order->type;
    uint64_t chance = roll(world, slot, world->tick * 8 + try);
    uint32_t span = 2 * (uint32_t)radius + 1;
    struct hex_axial center = {order->q, order->r};
    *goal_out = (struct hex_axial){center.q + (int32_t)((chance & 0xffff) % span) - radius,
                                   center.r + (int32_t)((chance >> 16 & 0xffff) % span) - radius};
    return hex_distance(center, *goal_out) <= radius;
}

enum { WANDER_TRIES = 8 };

// Some hex within the radius that it can walk to; where it is, if a few tries find none.
static struct hex_axial wander_goal(const struct world *world, uint32_t slot,
                                    const struct world_order *order)
{
    const struct world_place *place = WORLD_GET(&world->ecs, WORLD_PLACE, world_place, slot);
    uint32_t region = world_map_region(&world->map, place->cell);
    for (uint64_t try = 0; try < WANDER_TRIES; try++) {
        struct hex_axial goal;
        if (!wander_try(world, slot, order, try, &goal))
            continue;
        uint32_t cell = world_map_cell(&world->map, goal);
        if (cell != WORLD_CELL_NONE && world_cell_free(world, cell, WORLD_ON_UNIT) &&
            world_map_region(&world->map, cell) == region)
            return goal;
    }
    return (struct hex_axial){place->q, place->r};
}

// How long it stays at the end of a leg. It also bounds what one costs that cannot get anywhere:
// with rules that give no rest, it looks for a way in every tick.
static uint64_t rest_of(const struct world *world, uint32_t slot, const struct world_order *order,
                        const struct world_mover *mover)
{
    uint64_t rest = world->rules.movement.rest_ticks;
    if (order->kind == WORLD_ORDER_WANDER && rest > 0)
        return rest + roll(world, slot, mover->since) % (3 * rest);
    return order->kind == WORLD_ORDER_PATROL ? rest : 0;
}

// --- one after the other -------------------------------------------------------------------------

static void begin_order(struct world *world, uint32_t slot, const struct world_order *order)
{
    struct hex_axial goal = {order->q, order->r};
    switch (order->kind) {
    case WORLD_ORDER_ATTACK:
        world_fight_begin(world, slot, order->target, true);
        return;
    case WORLD_ORDER_GATHER:
        world_gather_begin(world, slot, order->target, order->type);
        return;
    case WORLD_ORDER_BUILD:
        world_work_begin(world, slot, order->target);
        return;
    case WORLD_ORDER_WANDER:
        goal = wander_goal(world, slot, order);
        break;
    default:
        break;
    }
    world_mover_start(world, slot, goal);
    // Its rest at the end counts from here, should it never make a step.
    if (order->kind == WORLD_ORDER_PATROL || order->kind == WORLD_ORDER_WANDER)
        WORLD_TOUCH(&world->ecs, WORLD_MOVER, world_mover, slot)->since = world->tick;
    world_set_activity(world, slot, MMORTS__FRAME__ACTIVITY__ACTIVITY_MOVING);
}

static void next_order(struct world *world, uint32_t slot, struct world_orders *orders)
{
    world_task_drop(world, slot);
    if (orders->begun) {
        struct world_order done = orders->list[0];
        bool again = comes_again(orders);
        orders->count--;
        memmove(&orders->list[0], &orders->list[1], orders->count * sizeof orders->list[0]);
        memset(&orders->list[orders->count], 0, sizeof orders->list[0]);
        if (again)
            orders->list[orders->count++] = done;
        orders->begun = 0;
    }
    if (orders->count == 0) {
        world_ecs_defer_remove(&world->ecs, WORLD_ORDERS, slot);
        world_ecs_defer_remove(&world->ecs, WORLD_MOVER, slot);
        world_ecs_defer_remove(&world->ecs, WORLD_ROUTE, slot);
        world_set_activity(world, slot, MMORTS__FRAME__ACTIVITY__ACTIVITY_IDLE);
        return;
    }
    orders->begun = 1;
    begin_order(world, slot, &orders->list[0]);
}

void world_order_done(struct world *world, uint32_t slot)
{
    next_order(world, slot, WORLD_TOUCH(&world->ecs, WORLD_ORDERS, world_orders, slot));
}

// Whether the first order is over. Who fights, gathers or builds on an order, or meanwhile, says so
// itself.
static bool order_over(const struct world *world, uint32_t slot)
{
    const struct world_orders *orders = WORLD_GET(&world->ecs, WORLD_ORDERS, world_orders, slot);
    const struct world_mover *mover = WORLD_GET(&world->ecs, WORLD_MOVER, world_mover, slot);
    if (!orders)
        return false; // it goes after somebody by itself
    if (!orders->begun)
        return true;
    if (WORLD_GET(&world->ecs, WORLD_FIGHT, world_fight, slot) ||
        WORLD_GET(&world->ecs, WORLD_GATHER, world_gather, slot) ||
        WORLD_GET(&world->ecs, WORLD_WORK, world_work, slot))
        return false;
    if (!mover)
        return true;
    return mover->phase == WORLD_MOVE_ARRIVED &&
           world->tick - mover->since >= rest_of(world, slot, &orders->list[0], mover);
}

// As with steps (move.c): who is done lies anywhere in memory, and so does where it goes next. What
// a batch will need is asked for before its first is looked at.
enum { ORDERS_BATCH = 32 };

static void fetch_orders(const struct world_ecs *ecs, const uint32_t *slots, unsigned count)
{
    static const enum world_component_id rows[] = {WORLD_ORDERS, WORLD_MOVER, WORLD_ROUTE};
    for (unsigned i = 0; i < count; i++) {
        for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
            const struct world_column *column = &ecs->columns[rows[k]];
            uint32_t row = column->row_of_slot[slots[i]];
            if (row != 0)
                mm_prefetch_write(column->rows + (size_t)(row - 1) * column->row_bytes);
        }
        mm_prefetch(WORLD_GET(ecs, WORLD_PLACE, world_place, slots[i]));
        mm_prefetch(WORLD_GET(ecs, WORLD_IDENTITY, world_identity, slots[i]));
    }
}

// Those who wander: where they are, and the hex that the first try leads to.
static void fetch_goals(const struct world *world, const uint32_t *slots, unsigned count)
{
    const struct world_map *map = &world->map;
    for (unsigned i = 0; i < count; i++) {
        const struct world_orders *orders =
            WORLD_GET(&world->ecs, WORLD_ORDERS, world_orders, slots[i]);
        if (!orders || orders->count == 0 || orders->list[0].kind != WORLD_ORDER_WANDER)
            continue;
        struct hex_axial goal;
        uint64_t try = 0;
        while (try < WANDER_TRIES && !wander_try(world, slots[i], &orders->list[0], try, &goal))
            try++;
        uint32_t cell = try < WANDER_TRIES ? world_map_cell(map, goal) : WORLD_CELL_NONE;
        mm_prefetch(&map->region[WORLD_GET(&world->ecs, WORLD_PLACE, world_place, slots[i])->cell]);
        if (cell == WORLD_CELL_NONE)
            continue;
        mm_prefetch(&map->terrain[cell]);
        mm_prefetch(&map->region[cell]);
        mm_prefetch(&world->grid.cells[cell]);
    }
}

// Units that were given orders in this tick (their orders are marked), or whose mover says that
// the present order is done, take up the next one.
void world_system_orders(struct world *world)
{
    const struct world_column *movers = &world->ecs.columns[WORLD_MOVER];
    for (uint32_t row = 0; row < movers->row_count; row++) {
        const struct world_mover *mover =
            (const void *)(movers->rows + (size_t)row * movers->row_bytes);
        if (mover->phase == WORLD_MOVE_ARRIVED)
            mm_bitset_set(world->due, movers->slot_of_row[row]);
    }
    const struct world_column *column = &world->ecs.columns[WORLD_ORDERS];
    size_t end = world->ecs.slot_end, words = MM_BITSET_WORDS(end);
    if (column->dirty_count > 0)
        for (size_t word = 0; word < words; word++)
            world->due[word] |= column->dirty[word];
    uint32_t slots[ORDERS_BATCH];
    for (size_t slot = mm_bitset_next(world->due, end, 0); slot < end;) {
        unsigned count = 0;
        for (; slot < end && count < ORDERS_BATCH;
             slot = mm_bitset_next(world->due, end, slot + 1)) {
            mm_bitset_clear(world->due, slot);
            slots[count++] = (uint32_t)slot;
        }
        fetch_orders(&world->ecs, slots, count);
        fetch_goals(world, slots, count);
        for (unsigned i = 0; i < count; i++)
            if (order_over(world, slots[i]))
                world_order_done(world, slots[i]);
    }
}
