// Marching, on open ground where every hex is known.

#include "services/world/core/state.h"
#include "tests/support/world_fixture.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct scene {
    struct world *world;
    struct fixture_inputs inputs;
    uint64_t seq;
};

static void scene_open(struct scene *scene, unsigned empires)
{
    scene->world = fixture_world(NULL, 1);
    scene->seq = 0;
    fixture_inputs_init(&scene->inputs, 64);
    fixture_found(scene->world, empires);
}

static void scene_close(struct scene *scene)
{
    char problem[128];
    cr_assert_eq(world_verify(scene->world, problem, sizeof problem), MM_OK, "%s", problem);
    cr_assert_eq(world_state_hash(scene->world), world_state_hash_full(scene->world));
    fixture_inputs_free(&scene->inputs);
    world_free(scene->world);
}

static uint64_t spawn(struct scene *scene, const char *type, uint32_t empire, int32_t q, int32_t r)
{
    char key[32];
    snprintf(key, sizeof key, "s%llu", (unsigned long long)++scene->seq);
    fixture_inputs_clear(&scene->inputs);
    fixture_spawn(&scene->inputs, key, type, empire, 1, q, r);
    fixture_step(scene->world, &scene->inputs);
    cr_assert_eq(scene->inputs.results[0].err, MM_OK, "%s", scene->inputs.results[0].message);
    return scene->inputs.results[0].entities[0];
}

static uint32_t march(struct scene *scene, uint64_t player, const uint64_t *units, size_t count,
                      int32_t q, int32_t r, bool queued)
{
    fixture_inputs_clear(&scene->inputs);
    fixture_move(&scene->inputs, player, ++scene->seq, units, count, q, r, queued);
    fixture_step(scene->world, &scene->inputs);
    return scene->inputs.results[0].reason;
}

static struct world_entity_view look(const struct scene *scene, uint64_t id)
{
    struct world_entity_view view;
    cr_assert(world_find_entity(scene->world, id, &view));
    return view;
}

static void until_still(struct scene *scene, unsigned ticks_max)
{
    for (unsigned i = 0; i < ticks_max && world_mover_count(scene->world) > 0; i++)
        fixture_run(scene->world, 1);
    cr_assert_eq(world_mover_count(scene->world), 0);
}

#define OK MMORTS__WORLD__COMMAND_REASON__COMMAND_OK

Test(movement, speed_is_the_types_times_the_terrains)
{
    struct scene s;
    scene_open(&s, 1);
    uint64_t scout = spawn(&s, "scout", 1, 10, 0), soldier = spawn(&s, "soldier", 1, 10, 3);
    // A scout takes 5 ticks a hex on plains; its first step is due 5 ticks after the order.
    cr_assert_eq(march(&s, 1, &scout, 1, 15, 0, false), OK);
    cr_assert_eq(look(&s, scout).activity, MMORTS__FRAME__ACTIVITY__ACTIVITY_MOVING);
    fixture_run(s.world, 4);
    cr_assert_eq(look(&s, scout).at.q, 10);
    fixture_run(s.world, 1);
    cr_assert_eq(look(&s, scout).at.q, 11);
    fixture_run(s.world, 20);
    cr_assert_eq(look(&s, scout).at.q, 15);
    fixture_run(s.world, 1);
    cr_assert_eq(look(&s, scout).activity, MMORTS__FRAME__ACTIVITY__ACTIVITY_IDLE);
    // A soldier 8, and on hills (cost 200) 16.
    uint32_t hill = world_map_cell(&s.world->map, (struct hex_axial){11, 3});
    int hills = world_rules_terrain(world_rules_of(s.world), "hills");
    s.world->map.hash_sum -= world_map_hash_full(&s.world->map);
    s.world->map.terrain[hill] = (uint8_t)hills;
    s.world->map.hash_sum += world_map_hash_full(&s.world->map);
    cr_assert_eq(march(&s, 1, &soldier, 1, 11, 3, false), OK);
    fixture_run(s.world, 15);
    cr_assert_eq(look(&s, soldier).at.q, 10);
    fixture_run(s.world, 1);
    cr_assert_eq(look(&s, soldier).at.q, 11);
    scene_close(&s);
}

Test(movement, a_group_spreads_about_its_target)
{
    struct scene s;
    scene_open(&s, 1);
    uint64_t units[7];
    for (int i = 0; i < 7; i++)
        units[i] = spawn(&s, "soldier", 1, 9 + i % 3, -4 + i);
    cr_assert_eq(march(&s, 1, units, 7, 20, -10, false), OK);
    until_still(&s, 1000);
    for (int i = 0; i < 7; i++) {
        struct hex_axial at = look(&s, units[i]).at;
        cr_assert_leq(hex_distance(at, (struct hex_axial){20, -10}), 1,
                      "unit %d is at %d,%d: seven find room within a step", i, at.q, at.r);
    }
    scene_close(&s);
}

Test(movement, two_that_meet_in_a_narrow_pass_change_places_or_go_around)
{
    struct scene s;
    scene_open(&s, 1);
    // A wall of barracks with one gap.
    for (int r = -6; r <= 6; r++)
        if (r != 0)
            spawn(&s, "barracks", 1, 15, r);
    uint64_t west = spawn(&s, "soldier", 1, 12, 0), east = spawn(&s, "soldier", 1, 18, 0);
    cr_assert_eq(march(&s, 1, &west, 1, 19, 0, false), OK);
    cr_assert_eq(march(&s, 1, &east, 1, 11, 0, false), OK);
    until_still(&s, 1000);
    cr_assert_eq(look(&s, west).at.q, 19);
    cr_assert_eq(look(&s, east).at.q, 11);
    scene_close(&s);
}

Test(movement, strangers_who_block_each_other_give_up_in_the_end)
{
    struct scene s;
    scene_open(&s, 2);
    // A tunnel of one hex's width: two rows of walls with both ends open.
    for (int q = 10; q <= 16; q++) {
        spawn(&s, "barracks", 1, q, -1);
        spawn(&s, "barracks", 1, q - 1, 1);
    }
    uint64_t mine = spawn(&s, "soldier", 1, 10, 0), theirs = spawn(&s, "soldier", 2, 14, 0);
    cr_assert_eq(march(&s, 1, &mine, 1, 14, 0, false), OK);
    cr_assert_eq(march(&s, 2, &theirs, 1, 10, 0, false), OK);
    until_still(&s, 2000);
    scene_close(&s);
}

Test(movement, who_is_walled_in_stops_trying)
{
    struct scene s;
    scene_open(&s, 1);
    uint64_t unit = spawn(&s, "soldier", 1, 15, 0);
    struct hex_axial ring[6];
    hex_ring((struct hex_axial){15, 0}, 1, ring);
    for (int i = 0; i < 6; i++)
        spawn(&s, "barracks", 1, ring[i].q, ring[i].r);
    cr_assert_eq(march(&s, 1, &unit, 1, 25, 0, false), OK);
    until_still(&s, 200);
    cr_assert_eq(look(&s, unit).at.q, 15);
    scene_close(&s);
}

Test(movement, waypoints_are_visited_in_order)
{
    struct scene s;
    scene_open(&s, 1);
    uint64_t scout = spawn(&s, "scout", 1, 10, 0);
    cr_assert_eq(march(&s, 1, &scout, 1, 14, 0, false), OK);
    cr_assert_eq(march(&s, 1, &scout, 1, 14, -4, true), OK);
    cr_assert_eq(march(&s, 1, &scout, 1, 10, 0, true), OK);
    bool first = false, second = false;
    for (int i = 0; i < 200; i++) {
        fixture_run(s.world, 1);
        struct hex_axial at = look(&s, scout).at;
        first |= at.q == 14 && at.r == 0;
        second |= first && at.q == 14 && at.r == -4;
    }
    cr_assert(first && second);
    cr_assert_eq(look(&s, scout).at.q, 10);
    cr_assert_eq(world_mover_count(s.world), 0);
    // Eight wait at most, the present one included.
    for (int i = 0; i < WORLD_ORDERS_MAX; i++)
        cr_assert_eq(march(&s, 1, &scout, 1, 20, i, i > 0), OK);
    cr_assert_eq(march(&s, 1, &scout, 1, 20, 9, true),
                 MMORTS__WORLD__COMMAND_REASON__COMMAND_QUEUE_FULL);
    scene_close(&s);
}

Test(movement, orders_given_again_and_again_do_not_hold_a_unit_up)
{
    struct scene s;
    scene_open(&s, 1);
    uint64_t scout = spawn(&s, "scout", 1, 10, 0);
    for (int i = 0; i < 40; i++)
        cr_assert_eq(march(&s, 1, &scout, 1, 25, 0, false), OK);
    int32_t q = look(&s, scout).at.q;
    cr_assert_geq(q, 17, "after 40 ticks it is at %d", q);
    scene_close(&s);
}

Test(movement, stop_stops_at_once)
{
    struct scene s;
    scene_open(&s, 1);
    uint64_t scout = spawn(&s, "scout", 1, 10, 0);
    cr_assert_eq(march(&s, 1, &scout, 1, 25, 0, false), OK);
    fixture_run(s.world, 12);
    struct hex_axial at = look(&s, scout).at;
    fixture_inputs_clear(&s.inputs);
    fixture_stop(&s.inputs, 1, ++s.seq, &scout, 1);
    fixture_step(s.world, &s.inputs);
    fixture_run(s.world, 20);
    cr_assert(hex_equal(look(&s, scout).at, at));
    cr_assert_eq(look(&s, scout).activity, MMORTS__FRAME__ACTIVITY__ACTIVITY_IDLE);
    scene_close(&s);
}

Test(movement, many_orders_in_one_tick_are_planned_over_several)
{
    struct world_rules *rules = fixture_open_rules();
    rules->movement.path_nodes_per_tick = 200;
    struct scene s = {.world = fixture_world(rules, 1)};
    fixture_inputs_init(&s.inputs, 64);
    fixture_found(s.world, 1);
    uint64_t units[60];
    for (int i = 0; i < 60; i++)
        units[i] = spawn(&s, "soldier", 1, 10 + i % 8, -8 + i / 8);
    cr_assert_eq(march(&s, 1, units, 60, -20, 10, false), OK);
    cr_assert_gt(world_paths_waiting(s.world), 20, "all were planned at once");
    uint32_t before = world_paths_waiting(s.world);
    // The first ticks go into charting the chunks between.
    fixture_run(s.world, 20);
    cr_assert_lt(world_paths_waiting(s.world), before);
    until_still(&s, 3000);
    free(rules);
    scene_close(&s);
}

Test(movement, stacking_up_to_the_limit_and_no_further)
{
    struct world_rules *rules = fixture_open_rules();
    rules->movement.units_per_hex = 2;
    struct scene s = {.world = fixture_world(rules, 1)};
    fixture_inputs_init(&s.inputs, 64);
    fixture_found(s.world, 1);
    uint64_t units[4];
    for (int i = 0; i < 4; i++)
        units[i] = spawn(&s, "soldier", 1, 10 + i, 0);
    cr_assert_eq(march(&s, 1, units, 4, 20, 0, false), OK);
    until_still(&s, 1000);
    int on_target = 0;
    for (int i = 0; i < 4; i++)
        on_target += hex_equal(look(&s, units[i]).at, (struct hex_axial){20, 0});
    cr_assert_eq(on_target, 2);
    free(rules);
    scene_close(&s);
}

// How many steps a lone wandering soldier makes in 400 ticks, and that it stays about its hex.
static unsigned steps_of_wandering(uint32_t rest_ticks)
{
    struct world_rules *rules = fixture_open_rules();
    rules->movement.rest_ticks = rest_ticks;
    struct scene scene = {.world = fixture_world(rules, 1)};
    fixture_inputs_init(&scene.inputs, 64);
    fixture_found(scene.world, 1);
    uint64_t scout = spawn(&scene, "scout", 1, 12, 0);
    struct world_entity_view began = look(&scene, scout), last = began;
    Mmorts__World__WanderOrder wander = MMORTS__WORLD__WANDER_ORDER__INIT;
    wander.radius_hexes = 6;
    fixture_inputs_clear(&scene.inputs);
    Mmorts__World__Command *command = fixture_command(&scene.inputs, 1, ++scene.seq, &scout, 1);
    command->order_case = MMORTS__WORLD__COMMAND__ORDER_WANDER;
    command->wander = &wander;
    fixture_step(scene.world, &scene.inputs);
    cr_assert_eq(scene.inputs.results[0].reason, OK);
    unsigned steps = 0;
    for (unsigned t = 0; t < 400; t++) {
        fixture_run(scene.world, 1);
        struct world_entity_view now = look(&scene, scout);
        steps += hex_distance(now.at, last.at) > 0;
        cr_assert(hex_distance(now.at, began.at) <= 6);
        last = now;
    }
    scene_close(&scene);
    free(rules);
    return steps;
}

Test(movement, who_wanders_rests_as_long_as_the_rules_say)
{
    // A step takes 5 ticks.
    unsigned restless = steps_of_wandering(0), usual = steps_of_wandering(20);
    cr_assert(restless >= 60 && restless <= 80, "%u", restless);
    cr_assert(usual > 10 && usual < 60, "%u", usual);
}
