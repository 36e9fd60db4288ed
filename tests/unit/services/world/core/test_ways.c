// Far ways: over generated land, around what bars them, and the same whatever is in the caches.

#include "libcommon/base/bitset.h"
#include "libcommon/hex/overlay.h"
#include "services/world/core/state.h"
#include "tests/support/world_fixture.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OK MMORTS__WORLD__COMMAND_REASON__COMMAND_OK

struct scene {
    struct world *world;
    struct fixture_inputs inputs;
    uint64_t seq;
};

static void scene_open(struct scene *scene, const struct world_rules *rules, uint64_t seed,
                       int32_t grow)
{
    scene->world = fixture_world(rules, seed);
    scene->seq = 0;
    fixture_inputs_init(&scene->inputs, 64);
    fixture_found(scene->world, 1);
    cr_assert_eq(world_reserve_entities(scene->world, 20000), MM_OK);
    cr_assert_eq(world_grow(scene->world, (struct hex_chunk){0, 0}, grow), MM_OK);
    world_ecs_settle(&scene->world->ecs);
}

static void scene_close(struct scene *scene)
{
    char problem[128];
    cr_assert_eq(world_verify(scene->world, problem, sizeof problem), MM_OK, "%s", problem);
    cr_assert_eq(world_state_hash(scene->world), world_state_hash_full(scene->world));
    fixture_inputs_free(&scene->inputs);
    world_free(scene->world);
}

static uint64_t spawn(struct scene *scene, const char *type, int32_t q, int32_t r)
{
    char key[32];
    snprintf(key, sizeof key, "s%llu", (unsigned long long)++scene->seq);
    fixture_inputs_clear(&scene->inputs);
    fixture_spawn(&scene->inputs, key, type, 1, 1, q, r);
    fixture_step(scene->world, &scene->inputs);
    cr_assert_eq(scene->inputs.results[0].err, MM_OK, "%s", scene->inputs.results[0].message);
    return scene->inputs.results[0].entities[0];
}

static uint32_t march(struct scene *scene, const uint64_t *units, size_t count, int32_t q,
                      int32_t r)
{
    fixture_inputs_clear(&scene->inputs);
    fixture_move(&scene->inputs, 1, ++scene->seq, units, count, q, r, false);
    fixture_step(scene->world, &scene->inputs);
    return scene->inputs.results[0].reason;
}

static struct hex_axial where(const struct scene *scene, uint64_t id)
{
    struct world_entity_view view;
    cr_assert(world_find_entity(scene->world, id, &view));
    return view.at;
}

static unsigned until_still(struct scene *scene, unsigned ticks_max)
{
    unsigned ticks = 0;
    for (; ticks < ticks_max && world_mover_count(scene->world) > 0; ticks++)
        fixture_run(scene->world, 1);
    cr_assert_eq(world_mover_count(scene->world), 0);
    return ticks;
}

// The nearest hex to a place where a unit can stand and to which the home has a way.
static struct hex_axial reachable(const struct world *world, int32_t q, int32_t r)
{
    uint32_t home = world_map_cell(&world->map, (struct hex_axial){4, 0});
    uint32_t cell = world_nearest_free(world, (struct hex_axial){q, r}, WORLD_SPAWN_RADIUS_MAX,
                                       WORLD_ON_UNIT, home);
    cr_assert_neq(cell, WORLD_CELL_NONE);
    return world_map_hex(&world->map, cell);
}

static struct world_way_request asked_for(struct hex_axial from, struct hex_axial to)
{
    return (struct world_way_request){
        .from = from, .to = to, .work_max = 65536, .spend_max = UINT32_MAX, .partial = true};
}

static struct world_way way_of(struct world *world, struct hex_axial from, struct hex_axial to)
{
    struct world_way_request request = asked_for(from, to);
    struct world_way way;
    bool found;
    do
        found = world_way_find(world, &request, &way);
    while (way.later);
    cr_assert(found);
    return way;
}

Test(ways, far_marches_over_generated_land_end_at_their_goals)
{
    struct world_rules *rules = fixture_rules();
    fixture_peace(rules);
    struct scene s;
    scene_open(&s, rules, 3, 9);
    static const struct hex_axial far[] = {{120, 20}, {-110, 150}, {30, -170}, {-150, 10}};
    for (size_t i = 0; i < sizeof far / sizeof far[0]; i++) {
        uint64_t scout = spawn(&s, "scout", 4, 0);
        struct hex_axial goal = reachable(s.world, far[i].q, far[i].r);
        cr_assert_geq(hex_distance(where(&s, scout), goal), 100);
        cr_assert_eq(march(&s, &scout, 1, goal.q, goal.r), OK);
        until_still(&s, 4000);
        cr_assert(hex_equal(where(&s, scout), goal));
    }
    free(rules);
    scene_close(&s);
}

// What stepping onto a hex costs, each looked up for itself.
static uint32_t plain_cost(void *ctx, struct hex_axial at)
{
    const struct world *world = ctx;
    uint32_t cell = world_map_cell(&world->map, at);
    if (cell == WORLD_CELL_NONE || world->grid.cells[cell].blockers > 0)
        return 0;
    return world->move_cost_percent[world->map.terrain[cell]];
}

// Near ways look at all of the straight line's hexes at once, and still tell land from land.
Test(ways, near_ways_are_those_of_a_search_that_looks_at_hexes_one_by_one)
{
    struct scene s;
    struct world_rules *rules = fixture_rules();
    scene_open(&s, rules, 3, 3);
    struct hex_path_workspace *workspace = hex_path_workspace_new(WORLD_PATH_WINDOW_BITS);
    struct mm_rng rng;
    mm_rng_seed(&rng, 1);
    static uint8_t steps[WORLD_SEARCH_STEPS_MAX];
    unsigned open = 0, dearer = 0;
    for (unsigned round = 0; round < 2000; round++) {
        struct hex_path_request request = {
            .from = {(int32_t)mm_rng_below(&rng, 60) - 30, (int32_t)mm_rng_below(&rng, 60) - 30},
            .cost = plain_cost,
            .cost_ctx = s.world,
            .cost_min = s.world->cost_min,
            .nodes_max = 65536,
            .partial = true};
        request.to.q = request.from.q + (int32_t)mm_rng_below(&rng, 31) - 15;
        request.to.r = request.from.r + (int32_t)mm_rng_below(&rng, 31) - 15;
        struct hex_path_result plain;
        cr_assert_eq(hex_path_find(workspace, &request, steps, sizeof steps, &plain), MM_OK);
        struct world_way_request asked = asked_for(request.from, request.to);
        struct world_way way;
        bool found = world_way_find(s.world, &asked, &way);
        cr_assert_eq(found, plain.steps > 0);
        cr_assert(way.steps == plain.steps && way.work == plain.nodes);
        cr_assert_arr_eq(s.world->search_steps, steps, plain.steps);
        open += plain.steps > 0 && plain.cost == (uint64_t)plain.steps * request.cost_min;
        dearer += plain.cost > (uint64_t)plain.steps * request.cost_min;
    }
    cr_assert(open > 200 && dearer > 200, "%u and %u", open, dearer);
    hex_path_workspace_free(workspace);
    free(rules);
    scene_close(&s);
}

Test(ways, what_is_built_on_the_way_is_gone_around)
{
    struct scene s;
    scene_open(&s, NULL, 1, 5);
    struct hex_axial from = {5, 0}, to = {69, 0};
    struct world_way way = way_of(s.world, from, to);
    cr_assert(way.complete && way.steps == 64);
    // A wall across the straight line, after the chunks were looked at.
    for (int r = -12; r <= 12; r++)
        spawn(&s, "barracks", 45, r);
    way = way_of(s.world, from, to);
    cr_assert(way.complete && way.steps > 64);
    struct hex_axial at = from;
    for (uint32_t i = 0; i < way.steps; i++) {
        at = hex_neighbor(at, s.world->search_steps[i]);
        cr_assert_eq(s.world->grid.cells[world_map_cell(&s.world->map, at)].blockers, 0);
    }
    cr_assert(hex_equal(at, to));
    // And walked through again when it is broken.
    uint64_t gone[25];
    size_t count = fixture_units(s.world, 1, "barracks", gone, 25);
    cr_assert_eq(count, 25);
    fixture_inputs_clear(&s.inputs);
    for (size_t i = 0; i < count; i++)
        fixture_despawn(&s.inputs, gone[i]);
    fixture_step(s.world, &s.inputs);
    way = way_of(s.world, from, to);
    cr_assert_eq(way.steps, 64);
    scene_close(&s);
}

Test(ways, a_far_goal_that_is_taken_or_walled_in_is_approached)
{
    struct scene s;
    scene_open(&s, NULL, 1, 5);
    uint64_t scout = spawn(&s, "scout", 5, 0);
    spawn(&s, "barracks", 60, 0);
    cr_assert_eq(march(&s, &scout, 1, 60, 0), OK);
    // It spreads to a free hex next to it. Now one that is barred after the order.
    until_still(&s, 2000);
    cr_assert_eq(hex_distance(where(&s, scout), (struct hex_axial){60, 0}), 1);
    cr_assert_eq(march(&s, &scout, 1, 5, 0), OK);
    spawn(&s, "barracks", 5, 0);
    until_still(&s, 2000);
    cr_assert_eq(hex_distance(where(&s, scout), (struct hex_axial){5, 0}), 1);
    // And one inside of walls.
    cr_assert_eq(march(&s, &scout, 1, 70, 0), OK);
    struct hex_axial ring[12];
    hex_ring((struct hex_axial){70, 0}, 2, ring);
    for (int i = 0; i < 12; i++)
        spawn(&s, "barracks", ring[i].q, ring[i].r);
    until_still(&s, 3000);
    cr_assert_eq(hex_distance(where(&s, scout), (struct hex_axial){70, 0}), 3);
    scene_close(&s);
}

// The way is left where somebody stands in it, and taken again behind: not searched anew.
Test(ways, who_is_barred_by_a_unit_gets_back_onto_its_way)
{
    enum { BARRED = 15, TAIL = 40 };
    struct scene s;
    scene_open(&s, NULL, 1, 5);
    for (int r = -6; r <= 6; r++)
        spawn(&s, "barracks", 45, r);
    uint64_t scout = spawn(&s, "scout", 5, 0);
    cr_assert_eq(march(&s, &scout, 1, 69, 0), OK);
    uint32_t slot = world_slot_of_id(s.world, scout);
    struct world_route before = *WORLD_GET(&s.world->ecs, WORLD_ROUTE, world_route, slot);
    cr_assert(before.complete && before.steps > 64);
    struct hex_axial at = where(&s, scout);
    for (uint32_t i = 0; i < BARRED; i++)
        at = hex_neighbor(at, world_route_direction(&before, i));
    // Nobody's: one of its own would make way.
    uint64_t stranger = fixture_put(s.world, &s.inputs, "worker", 0, at);
    cr_assert(hex_equal(where(&s, stranger), at));
    // So little that a search around the wall would not end.
    uint32_t work = s.world->rules.movement.path_nodes_per_search;
    s.world->rules.movement.path_nodes_per_search = 64;
    unsigned around = 0;
    for (unsigned tick = 0; tick < 800 && world_mover_count(s.world) > 0; tick++) {
        fixture_run(s.world, 1);
        const struct world_mover *mover = WORLD_GET(&s.world->ecs, WORLD_MOVER, world_mover, slot);
        const struct world_route *now = WORLD_GET(&s.world->ecs, WORLD_ROUTE, world_route, slot);
        if (!mover || mover->phase != WORLD_MOVE_WALKING || !memcmp(now, &before, sizeof before))
            continue;
        cr_assert(now->complete && now->steps <= before.steps - (BARRED - 1) + 2);
        for (uint32_t i = 1; i <= TAIL; i++)
            cr_assert_eq(world_route_direction(now, now->steps - i),
                         world_route_direction(&before, before.steps - i));
        around++;
    }
    s.world->rules.movement.path_nodes_per_search = work;
    cr_assert_gt(around, 0);
    cr_assert(hex_equal(where(&s, scout), (struct hex_axial){69, 0}));
    cr_assert(hex_equal(where(&s, stranger), at));
    scene_close(&s);
}

// --- the same whatever is in the caches ----------------------------------------------------------

// One world goes on and on, the other is saved and loaded again and again, so that it has to find
// out everything anew: every tick's hashes are equal.
Test(ways, a_world_loaded_in_between_goes_the_same_ways)
{
    struct world_rules *rules = fixture_rules();
    fixture_peace(rules);
    rules->movement.path_nodes_per_tick = 1500;
    struct scene s, t;
    scene_open(&s, rules, 5, 7);
    uint64_t units[40];
    for (int i = 0; i < 40; i++)
        units[i] = spawn(&s, i % 2 ? "scout" : "soldier", 4 + i % 5, i / 5 - 4);
    t.world = fixture_reload(s.world);
    t.seq = s.seq;
    fixture_inputs_init(&t.inputs, 64);
    struct mm_rng rng;
    mm_rng_seed(&rng, 9);
    uint32_t waited = 0;
    for (int tick = 0; tick < 900; tick++) {
        if (tick % 60 == 0) {
            size_t first = (size_t)mm_rng_below(&rng, 30),
                   count = 1 + (size_t)mm_rng_below(&rng, 10);
            struct hex_axial goal = reachable(s.world, (int32_t)mm_rng_between(&rng, -100, 100),
                                              (int32_t)mm_rng_between(&rng, -30, 30));
            cr_assert_eq(march(&s, units + first, count, goal.q, goal.r), OK);
            cr_assert_eq(march(&t, units + first, count, goal.q, goal.r), OK);
        } else if (tick % 25 == 7) {
            struct hex_axial at = reachable(s.world, (int32_t)mm_rng_between(&rng, -60, 60),
                                            (int32_t)mm_rng_between(&rng, -30, 30));
            spawn(&s, "barracks", at.q, at.r);
            spawn(&t, "barracks", at.q, at.r);
        } else {
            fixture_run(s.world, 1);
            fixture_run(t.world, 1);
        }
        waited += world_paths_waiting(s.world) > 0;
        cr_assert_eq(world_state_hash(t.world), world_state_hash(s.world), "tick %d", tick);
        if (tick % 50 == 3) {
            struct world *loaded = fixture_reload(t.world);
            world_free(t.world);
            t.world = loaded;
        }
    }
    cr_assert_gt(waited, 5, "the budget was never spent");
    scene_close(&t);
    free(rules);
    scene_close(&s);
}

// The units of a group that plan in one tick take less work than each by itself would, and no
// worse ways.
Test(ways, a_group_shares_the_work_of_one_tick)
{
    enum { MEMBERS = 24 };
    struct world_rules *rules = fixture_rules();
    struct scene s;
    scene_open(&s, rules, 3, 9);
    struct hex_axial from[MEMBERS], goal = reachable(s.world, 120, 20);
    uint32_t work[2] = {0};
    for (int i = 0; i < MEMBERS; i++)
        from[i] = reachable(s.world, 4 + i % 6, i / 6);
    // The first time all the chunks are charted, which is not what it is about.
    for (int round = 0; round < 4; round++) {
        int together = round % 2;
        work[together] = 0;
        world_ways_begin(s.world);
        for (int i = 0; i < MEMBERS; i++) {
            struct world_way way = way_of(s.world, from[i], goal);
            cr_assert_gt(way.steps, 0);
            work[together] += way.work;
            if (!together)
                world_ways_begin(s.world);
        }
    }
    cr_assert_lt(work[1] * 2, work[0], "together %u, each by itself %u", work[1], work[0]);
    free(rules);
    scene_close(&s);
}

// --- bounds --------------------------------------------------------------------------------------

Test(ways, ten_thousand_far_orders_at_once_spread_over_ticks)
{
    struct world_rules *rules = fixture_rules();
    fixture_peace(rules);
    struct scene s;
    scene_open(&s, rules, 3, 9);
    int soldier = world_rules_type(rules, "soldier");
    struct hex_axial goal = reachable(s.world, 120, 20);
    uint32_t made = 0;
    for (uint32_t cell = 0; made < 10000 && cell < world_map_cell_count(&s.world->map); cell++) {
        if (!world_cell_free(s.world, cell, WORLD_ON_UNIT) ||
            world_map_region(&s.world->map, cell) !=
                world_map_region(&s.world->map, world_map_cell(&s.world->map, goal)) ||
            hex_distance(world_map_hex(&s.world->map, cell), goal) < 40)
            continue;
        uint32_t slot = world_entity_create(s.world, (uint32_t)soldier, 1, cell);
        world_order_begin(s.world, slot, WORLD_ORDER_MOVE, goal);
        made++;
    }
    cr_assert_eq(made, 10000);
    world_ecs_settle(&s.world->ecs);
    // No chunk is charted. (More of this in test_plan_budget.c.)
    const struct world_movement_rules *movement = &rules->movement;
    uint32_t most = movement->path_nodes_per_tick + WORLD_PLAN_OVERRUN;
    uint32_t waiting = world_paths_waiting(s.world), ticks = 0, charts = 0;
    cr_assert_eq(waiting, 10000);
    for (; world_paths_waiting(s.world) > 0; ticks++) {
        cr_assert_lt(ticks, 10000);
        world_system_plan(s.world);
        uint32_t left = world_paths_waiting(s.world);
        cr_assert_leq(s.world->plan_work, most, "tick %u", ticks);
        cr_assert(left == 0 ||
                      s.world->plan_work + WORLD_CHART_WORK >= movement->path_nodes_per_tick,
                  "tick %u has not spent its budget", ticks);
        cr_assert_leq(left, waiting);
        waiting = left;
        uint32_t now = (uint32_t)mm_bitset_count(s.world->grid.charted, s.world->map.chunk_count);
        cr_assert_geq(s.world->plan_work, (now - charts) * WORLD_CHART_WORK,
                      "tick %u: what it charted did not count", ticks);
        charts = now;
    }
    cr_assert_gt(ticks, 20);
    cr_assert_gt(charts, s.world->map.chunk_count / 2);
    free(rules);
    fixture_inputs_free(&s.inputs);
    world_free(s.world);
}

// What was charted counts once, and again when what bars the chunk has changed.
Test(ways, a_chunk_is_paid_for_once_for_each_change_of_it)
{
    struct world_rules *rules = fixture_open_rules();
    rules->movement.path_nodes_per_search = 65536; // enough to chart all of the way at once
    struct scene s;
    scene_open(&s, rules, 1, 5);
    free(rules);
    struct world_way_request request =
        asked_for((struct hex_axial){5, 0}, (struct hex_axial){69, 0});
    struct world_way first, again, changed;
    cr_assert(world_way_find(s.world, &request, &first));
    uint32_t chunk =
        world_map_cell(&s.world->map, (struct hex_axial){38, 2}) / s.world->map.tiling.cells;
    cr_assert(mm_bitset_get(s.world->grid.charted, chunk));
    world_ways_begin(s.world);
    cr_assert(world_way_find(s.world, &request, &again));
    cr_assert_gt(first.work, again.work + 3 * WORLD_CHART_WORK);
    cr_assert_eq((first.work - again.work) % WORLD_CHART_WORK, 0);
    uint64_t tower = spawn(&s, "tower", 38, 2);
    cr_assert_not(mm_bitset_get(s.world->grid.charted, chunk));
    world_ways_begin(s.world);
    cr_assert(world_way_find(s.world, &request, &changed));
    cr_assert_geq(changed.work, again.work + WORLD_CHART_WORK);
    fixture_inputs_clear(&s.inputs);
    fixture_despawn(&s.inputs, tower);
    fixture_step(s.world, &s.inputs);
    cr_assert_not(mm_bitset_get(s.world->grid.charted, chunk));
    scene_close(&s);
}

// In the midst of charting, and after the rules of terrains have changed.
Test(ways, a_world_loaded_while_it_charts_plans_at_the_same_pace)
{
    struct world_rules *rules = fixture_rules();
    fixture_peace(rules);
    rules->movement.path_nodes_per_search = 1400; // two chunks at a time
    rules->movement.path_nodes_per_tick = 3000;
    struct scene s, t;
    scene_open(&s, rules, 5, 9);
    uint64_t units[12];
    for (int i = 0; i < 12; i++)
        units[i] = spawn(&s, "scout", 4 + i % 4, i / 4 - 1);
    t.world = fixture_reload(s.world);
    t.seq = s.seq;
    fixture_inputs_init(&t.inputs, 64);
    struct hex_axial goal = reachable(s.world, 110, 30);
    cr_assert_eq(march(&s, units, 12, goal.q, goal.r), OK);
    cr_assert_eq(march(&t, units, 12, goal.q, goal.r), OK);
    uint32_t later = 0;
    for (int tick = 0; tick < 120; tick++) {
        uint32_t waiting = world_paths_waiting(s.world);
        fixture_run(s.world, 1);
        fixture_run(t.world, 1);
        later += waiting > 0 && world_paths_waiting(s.world) == waiting;
        cr_assert_eq(world_state_hash(t.world), world_state_hash(s.world), "tick %d", tick);
        if (tick % 3 == 0) {
            struct world *loaded = fixture_reload(t.world);
            world_free(t.world);
            t.world = loaded;
        }
        if (tick != 60)
            continue;
        char problem[128];
        rules->terrains[1].move_cost_percent = 130;
        cr_assert_eq(world_change_rules(s.world, rules, problem, sizeof problem), MM_OK);
        cr_assert_eq(world_change_rules(t.world, rules, problem, sizeof problem), MM_OK);
        cr_assert_eq(mm_bitset_next(s.world->grid.charted, s.world->map.chunk_count, 0),
                     s.world->map.chunk_count, "nothing is charted under other costs");
        cr_assert_eq(march(&s, units, 12, -goal.q / 2, goal.r), OK);
        cr_assert_eq(march(&t, units, 12, -goal.q / 2, goal.r), OK);
    }
    cr_assert_gt(later, 3, "nobody had to wait for chunks to be charted");
    cr_assert_eq(world_paths_waiting(s.world), 0);
    scene_close(&t);
    free(rules);
    scene_close(&s);
}

Test(ways, chunks_too_large_for_overlays_are_searched_hex_by_hex)
{
    struct world_rules *rules = fixture_open_rules();
    rules->map.chunk_radius = HEX_OVERLAY_RADIUS_MAX + 1;
    struct scene s;
    scene_open(&s, rules, 1, 4);
    cr_assert_null(s.world->routes);
    uint64_t scout = spawn(&s, "scout", 5, 0);
    cr_assert_eq(march(&s, &scout, 1, 60, 0), OK);
    until_still(&s, 2000);
    cr_assert(hex_equal(where(&s, scout), (struct hex_axial){60, 0}));
    free(rules);
    scene_close(&s);
}
