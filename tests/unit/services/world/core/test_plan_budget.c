// The budget of a tick's planning holds on land made to break it: labyrinths, islands, goals that
// nobody can get to; and it is spent in the same way by a world that was killed and loaded.

#include "libcommon/base/bitset.h"
#include "libcommon/base/rng.h"
#include "libcommon/hex/route.h"
#include "services/world/core/state.h"
#include "tests/support/world_fixture.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum { ORDERS = 10000, GROWN = 9 };

static struct world *land_open(const struct world_rules *rules)
{
    struct world *world = fixture_world(rules, 3);
    fixture_found(world, 1);
    cr_assert_eq(world_reserve_entities(world, 80000), MM_OK);
    cr_assert_eq(world_grow(world, (struct hex_chunk){0, 0}, GROWN), MM_OK);
    return world;
}

static void wall(struct world *world, uint32_t cell)
{
    static const char *const type = "barracks";
    if (world_cell_free(world, cell, WORLD_ON_BLOCKER))
        world_entity_create(world, (uint32_t)world_rules_type(&world->rules, type), 1, cell);
}

// Nearly every other hex is a wall: what hangs together is a labyrinth of crooked lanes with no end
// of blind alleys, and beside it are thousands of islands, from single hexes to whole chunks.
static void labyrinth(struct world *world)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 11);
    for (uint32_t cell = 0; cell < world_map_cell_count(&world->map); cell++)
        if (mm_rng_below(&rng, 100) < 46)
            wall(world, cell);
}

// Walls across the whole land with one gap each, now at this end and now at the other: from one
// side to the other it is a hundred times as far as it looks.
static void meander(struct world *world)
{
    for (uint32_t cell = 0; cell < world_map_cell_count(&world->map); cell++) {
        struct hex_axial at = world_map_hex(&world->map, cell);
        int32_t row = at.r + 4096, across = 2 * at.q + at.r;
        bool gap = row % 8 == 0 ? across > 180 && across < 190 : across < -180 && across > -190;
        if (row % 4 == 0 && !gap)
            wall(world, cell);
    }
}

// Everybody is ordered far away in the same tick, to places that are drawn by lot: walls, islands,
// the other side.
static uint32_t order_all(struct world *world, uint32_t orders)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 12);
    uint32_t soldier = (uint32_t)world_rules_type(&world->rules, "soldier");
    uint32_t cells = world_map_cell_count(&world->map), made = 0;
    for (uint32_t tries = 0; made < orders && tries < 100 * orders; tries++) {
        uint32_t from = (uint32_t)mm_rng_below(&rng, cells);
        uint32_t to = (uint32_t)mm_rng_below(&rng, cells);
        struct hex_axial goal = world_map_hex(&world->map, to);
        if (!world_cell_free(world, from, WORLD_ON_UNIT) ||
            hex_distance(world_map_hex(&world->map, from), goal) < 40)
            continue;
        uint32_t slot = world_entity_create(world, soldier, 1, from);
        world_order_begin(world, slot, WORLD_ORDER_MOVE, goal);
        made++;
    }
    world_ecs_settle(&world->ecs);
    return made;
}

struct spent {
    uint32_t ticks, cut; // of those, how many cut a search off
    uint64_t builds;
};

// Plans tick after tick until nobody waits, and holds each against the budget: what it counted,
// and the overlays that it really built.
static struct spent plan_all(struct world *world)
{
    const struct world_movement_rules *movement = &world->rules.movement;
    uint32_t budget = movement->path_nodes_per_tick;
    struct spent spent = {0};
    while (world_paths_waiting(world) > 0) {
        uint64_t builds = hex_route_builds(world->routes);
        uint32_t waiting = world_paths_waiting(world);
        cr_assert_lt(spent.ticks++, 100000, "%u are still waiting", waiting);
        world_system_plan(world);
        world->tick++;
        builds = hex_route_builds(world->routes) - builds;
        spent.builds += builds;
        spent.cut += world->plan_cut;
        cr_assert_leq(world->plan_work, budget + WORLD_PLAN_OVERRUN, "tick %u", spent.ticks);
        cr_assert_geq(world->plan_work, builds * WORLD_CHART_WORK, "it built what did not count");
        // What is too little for another chunk is left over.
        cr_assert(world_paths_waiting(world) == 0 || world->plan_work + WORLD_CHART_WORK >= budget,
                  "tick %u has not spent its budget", spent.ticks);
        cr_assert_leq(mm_bitset_count(world->grid.charted, world->map.chunk_count),
                      WORLD_CHARTED_MAX);
    }
    return spent;
}

static void bounded_on(void (*build)(struct world *), uint32_t per_tick, uint32_t per_search)
{
    struct world_rules *rules = fixture_open_rules();
    fixture_peace(rules);
    rules->movement.path_nodes_per_tick = per_tick;
    rules->movement.path_nodes_per_search = per_search;
    struct world *world = land_open(rules);
    build(world);
    cr_assert_eq(order_all(world, ORDERS), ORDERS);
    struct spent spent = plan_all(world);
    cr_assert_gt(spent.ticks, 50);
    cr_assert_gt(spent.cut, spent.ticks / 4, "nothing was ever cut off at the end of a tick");
    cr_assert_gt(spent.builds, 100);
    free(rules);
    world_free(world);
}

Test(plan_budget, ten_thousand_orders_in_a_labyrinth)
{
    bounded_on(labyrinth, 20000, 6000);
}

Test(plan_budget, ten_thousand_orders_along_a_meander)
{
    bounded_on(meander, 20000, 6000);
}

// A tick's budget that is less than what rules allow one search: no search takes more than half.
Test(plan_budget, a_search_gets_no_more_than_a_tick_has)
{
    bounded_on(labyrinth, 3000, 65536);
}

// The least there is: whoever is first gets on all the same, and takes no more than is promised.
Test(plan_budget, the_least_budget_still_plans)
{
    struct world_rules *rules = fixture_open_rules();
    fixture_peace(rules);
    rules->movement.path_nodes_per_tick = 1;
    struct world *world = land_open(rules);
    labyrinth(world);
    order_all(world, 200);
    for (uint32_t ticks = 0; world_paths_waiting(world) > 0; ticks++) {
        cr_assert_lt(ticks, 4000);
        world_system_plan(world);
        cr_assert_leq(world->plan_work, WORLD_PLAN_WORK_MIN + WORLD_PLAN_OVERRUN);
        cr_assert_gt(world->plan_work, 0);
    }
    free(rules);
    world_free(world);
}

// Who has the last word takes what there is; everybody else is put off. Not so if it had to pay for
// charts: then it comes farther the next time.
Test(plan_budget, the_last_word_is_an_answer)
{
    struct world_rules *rules = fixture_open_rules();
    struct world *world = land_open(rules);
    meander(world);
    struct world_way_request near = {.from = {10, 2},
                                     .to = {10, 6},
                                     .work_max = 6000,
                                     .spend_max = 100,
                                     .partial = true},
                             far = near;
    far.to = (struct hex_axial){60, 6};
    far.spend_max = 1100;
    struct world_way way;
    cr_assert_not(world_way_find(world, &near, &way));
    cr_assert(way.later && way.charts == 0 && way.work == 100);
    near.last_word = true;
    (void)world_way_find(world, &near, &way);
    cr_assert(!way.later && way.work == 100);
    far.last_word = true;
    world_ways_begin(world);
    cr_assert_not(world_way_find(world, &far, &way));
    cr_assert(way.later && way.charts == 2 && way.work <= 1100 + WORLD_PLAN_OVERRUN);
    free(rules);
    world_free(world);
}

// One goes on, the other is killed again and again, most often while a search is cut off: hash for
// hash the same. Once loaded and warm it builds nothing that it does not count.
Test(plan_budget, a_search_cut_off_survives_a_kill)
{
    struct world_rules *rules = fixture_open_rules();
    fixture_peace(rules);
    rules->movement.path_nodes_per_tick = 4000;
    rules->movement.path_nodes_per_search = 2000;
    struct world *world = land_open(rules);
    labyrinth(world);
    cr_assert_eq(order_all(world, 400), 400);
    struct world *other = fixture_reload(world);
    uint32_t killed_amid = 0;
    for (uint32_t tick = 0; tick < 150; tick++) {
        if (tick % 3 == 0) {
            struct world *loaded = fixture_reload(other);
            killed_amid += other->plan_cut;
            world_free(other);
            other = loaded;
            world_warm(other);
        }
        uint64_t builds = hex_route_builds(other->routes);
        fixture_run(world, 1);
        fixture_run(other, 1);
        cr_assert_eq(world_state_hash(other), world_state_hash(world), "tick %u", tick);
        cr_assert_eq(other->plan_work, world->plan_work);
        builds = hex_route_builds(other->routes) - builds;
        cr_assert_geq(other->plan_work, builds * WORLD_CHART_WORK, "it was not warm");
    }
    cr_assert_gt(killed_amid, 10);
    cr_assert_eq(world_state_hash(world), world_state_hash_full(world));
    free(rules);
    world_free(other);
    world_free(world);
}

// Orders that replace each other leave requests behind that nobody waits for: behind others that
// take their time they do not pile up.
Test(plan_budget, requests_withdrawn_do_not_pile_up)
{
    struct world_rules *rules = fixture_open_rules();
    fixture_peace(rules);
    rules->movement.path_nodes_per_tick = 1000;
    struct world *world = land_open(rules);
    labyrinth(world);
    cr_assert_eq(order_all(world, 2000), 2000);
    uint32_t most = 0;
    uint32_t last = world->ecs.slot_end - 1;
    for (uint32_t tick = 0; tick < 60; tick++) {
        for (uint32_t i = 0; i < 500; i++)
            world_mover_replan(world, last - i, false);
        world_system_plan(world);
        uint32_t waiting = world_paths_waiting(world);
        most = waiting > most ? waiting : most;
    }
    cr_assert_gt(most, 2000);
    cr_assert_leq(most, 4096 + 2 * 2000);
    free(rules);
    world_free(world);
}
