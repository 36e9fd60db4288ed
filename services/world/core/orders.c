#include "services/world/core/state.h"

#include <string.h>

// What it is in the middle of, other than walking.
static void drop_task(struct world *world, uint32_t slot)
{
    world_ecs_remove(&world->ecs, WORLD_FIGHT, slot);
    world_ecs_remove(&world->ecs, WORLD_GATHER, slot);
}

bool world_order_give(struct world *world, uint32_t slot, const struct world_order *order,
                      bool queued)
{
    struct world_orders *orders = world_ecs_add(&world->ecs, WORLD_ORDERS, slot);
    if (!queued) {
        memset(orders, 0, sizeof *orders);
        drop_task(world, slot);
    } else if (orders->count == WORLD_ORDERS_MAX) {
        return false;
    }
    orders->list[orders->count++] = *order;
    return true;
}

void world_order_begin(struct world *world, uint32_t slot, enum world_order_kind kind,
                       struct hex_axial goal)
{
    struct world_orders *orders = world_ecs_add(&world->ecs, WORLD_ORDERS, slot);
    memset(orders, 0, sizeof *orders);
    orders->list[0] = (struct world_order){.kind = (uint8_t)kind, .q = goal.q, .r = goal.r};
    orders->count = 1;
    orders->begun = 1;
    world_mover_start(world, slot, goal);
    world_set_activity(world, slot, MMORTS__FRAME__ACTIVITY__ACTIVITY_MOVING);
}

void world_orders_clear(struct world *world, uint32_t slot)
{
    world_ecs_remove(&world->ecs, WORLD_ORDERS, slot);
    drop_task(world, slot);
    world_mover_stop(world, slot);
    world_set_activity(world, slot, MMORTS__FRAME__ACTIVITY__ACTIVITY_IDLE);
}

void world_set_activity(struct world *world, uint32_t slot, uint32_t activity)
{
    const struct world_activity *now = WORLD_GET(&world->ecs, WORLD_ACTIVITY, world_activity, slot);
    if (now->value != activity)
        WORLD_TOUCH(&world->ecs, WORLD_ACTIVITY, world_activity, slot)->value = (uint8_t)activity;
}

static void next_order(struct world *world, uint32_t slot, struct world_orders *orders)
{
    drop_task(world, slot);
    if (orders->begun) {
        orders->count--;
        memmove(&orders->list[0], &orders->list[1], orders->count * sizeof orders->list[0]);
        memset(&orders->list[orders->count], 0, sizeof orders->list[0]);
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
    if (orders->list[0].kind == WORLD_ORDER_ATTACK) {
        world_fight_begin(world, slot, orders->list[0].target, true);
        return;
    }
    if (orders->list[0].kind == WORLD_ORDER_GATHER) {
        world_gather_begin(world, slot, orders->list[0].target, orders->list[0].type);
        return;
    }
    world_mover_start(world, slot, (struct hex_axial){orders->list[0].q, orders->list[0].r});
    world_set_activity(world, slot, MMORTS__FRAME__ACTIVITY__ACTIVITY_MOVING);
}

void world_order_done(struct world *world, uint32_t slot)
{
    next_order(world, slot, WORLD_TOUCH(&world->ecs, WORLD_ORDERS, world_orders, slot));
}

// Whether the first order is over. Who fights or gathers on an order, or meanwhile, says so itself.
static bool order_over(const struct world *world, uint32_t slot)
{
    const struct world_orders *orders = WORLD_GET(&world->ecs, WORLD_ORDERS, world_orders, slot);
    const struct world_mover *mover = WORLD_GET(&world->ecs, WORLD_MOVER, world_mover, slot);
    if (!orders)
        return false; // it goes after somebody by itself
    if (!orders->begun)
        return true;
    if (WORLD_GET(&world->ecs, WORLD_FIGHT, world_fight, slot) ||
        WORLD_GET(&world->ecs, WORLD_GATHER, world_gather, slot))
        return false;
    return !mover || mover->phase == WORLD_MOVE_ARRIVED;
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
    for (size_t slot = mm_bitset_next(world->due, end, 0); slot < end;
         slot = mm_bitset_next(world->due, end, slot + 1)) {
        mm_bitset_clear(world->due, slot);
        if (order_over(world, (uint32_t)slot))
            world_order_done(world, (uint32_t)slot);
    }
}
