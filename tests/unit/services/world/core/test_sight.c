#include "services/vision/core/vision.h"
#include "services/world/core/state.h"
#include "tests/support/world_orders.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

// World decides by itself whom an empire may aim at, vision what it is shown: of the same world
// the two must say the same, of every entity and every hex.

enum { EMPIRES = 3, TICKS = 60 };

struct pair {
    struct world *world;
    struct vision *vision;
    struct fixture_inputs inputs;
    struct mm_arena *frames;
    struct mm_rng rng;
};

static void tell(struct pair *pair, bool snapshot)
{
    const Mmorts__Frame__VisionFrame *out;
    mm_arena_reset(pair->frames);
    cr_assert_eq(vision_apply(pair->vision,
                              snapshot ? world_snapshot_frame(pair->world, pair->frames)
                                       : world_frame(pair->world, pair->frames),
                              &out),
                 MM_OK, "%s", vision_refusal(pair->vision));
}

static void begin(struct pair *pair, const struct world_rules *rules, uint64_t seed)
{
    *pair = (struct pair){.world = fixture_world(rules, seed),
                          .frames = mm_arena_new(1 << 20, (size_t)1 << 30)};
    fixture_inputs_init(&pair->inputs, 64);
    struct vision_options options = vision_options_default();
    options.chunk_radius = (int32_t)rules->map.chunk_radius;
    cr_assert_eq(vision_new(&options, &pair->vision), MM_OK);
    mm_rng_seed(&pair->rng, seed);
    fixture_found(pair->world, EMPIRES);
    tell(pair, true);
}

static void end(struct pair *pair)
{
    fixture_inputs_free(&pair->inputs);
    mm_arena_free(pair->frames);
    vision_free(pair->vision);
    world_free(pair->world);
}

static int32_t below(struct pair *pair, uint64_t n)
{
    return (int32_t)mm_rng_below(&pair->rng, n);
}

// Rules in which much hides: rough land, spies and those who find them.
static struct world_rules *rough_rules(bool fog, bool terrain)
{
    struct world_rules *rules = fixture_rules();
    fixture_peace(rules);
    rules->sight.fog_of_war = fog;
    rules->sight.terrain_blocks = terrain;
    rules->map.wavelength_hexes = 4;
    rules->map.clearing_hexes = 1;
    rules->map.road_width_hexes = 0;
    rules->terrains[world_rules_terrain(rules, "hills")].sight_cost = 32;
    rules->types[world_rules_type(rules, "worker")].flags |=
        MMORTS__FRAME__TYPE_FLAG__TYPE_FLAG_STEALTH;
    return rules;
}

static void random_inputs(struct pair *pair, unsigned tick)
{
    static const char *const types[] = {"scout", "worker", "soldier", "champion", "wolf", "tower"};
    fixture_inputs_clear(&pair->inputs);
    for (int i = 0; i < 3; i++) {
        char key[32];
        snprintf(key, sizeof key, "%u %d", tick, i);
        int type = below(pair, 6);
        fixture_spawn(&pair->inputs, key, types[type],
                      type == 4 ? 0 : (uint32_t)below(pair, EMPIRES) + 1, 1, below(pair, 60) - 30,
                      below(pair, 60) - 30);
    }
    uint32_t empire = (uint32_t)below(pair, EMPIRES) + 1;
    uint64_t units[64];
    size_t count = fixture_units(pair->world, empire, NULL, units, 64);
    fixture_move(&pair->inputs, empire, tick + 1, units, count, below(pair, 60) - 30,
                 below(pair, 60) - 30, false);
}

struct agreed {
    size_t seen, unseen, hexes_seen, hexes_unseen;
};

static void compare(struct pair *pair, struct agreed *agreed)
{
    struct world_entity_view view;
    for (uint32_t empire = 1; empire <= EMPIRES; empire++) {
        uint32_t cursor = 0;
        while (world_next_entity(pair->world, &cursor, &view)) {
            bool shown = vision_sees_entity(pair->vision, empire, view.id, NULL);
            cr_assert_eq(world_empire_sees(pair->world, empire, view.slot), shown,
                         "tick %lu: empire %u, entity %u at (%d, %d), shown %d",
                         (unsigned long)world_tick(pair->world), empire, view.slot, view.at.q,
                         view.at.r, shown);
            agreed->seen += shown;
            agreed->unseen += !shown;
        }
        for (int i = 0; i < 500; i++) {
            struct hex_axial at = {below(pair, 80) - 40, below(pair, 80) - 40};
            bool shown = vision_hex_state(pair->vision, empire, at) ==
                         MMORTS__FRAME__VISIBILITY__VISIBILITY_VISIBLE;
            cr_assert_eq(world_empire_sees_hex(pair->world, empire, at), shown);
            agreed->hexes_seen += shown;
            agreed->hexes_unseen += !shown;
        }
    }
}

static struct agreed play(bool fog, bool terrain, uint64_t seed)
{
    struct world_rules *rules = rough_rules(fog, terrain);
    struct pair pair;
    struct agreed agreed = {0};
    begin(&pair, rules, seed);
    for (unsigned tick = 0; tick < TICKS; tick++) {
        random_inputs(&pair, tick);
        fixture_step(pair.world, &pair.inputs);
        tell(&pair, tick % 20 == 19);
        compare(&pair, &agreed);
    }
    end(&pair);
    free(rules);
    return agreed;
}

TestSuite(sight, .timeout = 120);

Test(sight, world_and_vision_agree_about_everything)
{
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct agreed open = play(true, false, seed), rough = play(true, true, seed);
        cr_expect(rough.seen > 1000 && rough.unseen > 1000 && rough.hexes_seen > 1000);
        cr_expect_lt(rough.hexes_seen, open.hexes_seen * 9 / 10, "terrain hides a good deal");
    }
}

Test(sight, they_agree_without_fog)
{
    struct agreed lifted = play(false, false, 1);
    cr_expect(lifted.hexes_unseen > 0, "off the map");
    cr_expect(lifted.unseen > 100, "stealth hides still");
    lifted = play(false, true, 2);
    cr_expect(lifted.unseen > 100);
}

// A hill between a soldier and a scout, on open land.
Test(sight, who_stands_behind_what_hides_is_no_target)
{
    struct world_rules *rules = fixture_open_rules();
    int hills = world_rules_terrain(rules, "hills");
    rules->sight.terrain_blocks = 1;
    rules->terrains[hills].sight_cost = 32;
    struct world *world = fixture_world(rules, 1);
    fixture_found(world, 2);
    struct fixture_inputs inputs;
    fixture_inputs_init(&inputs, 8);
    struct world_empire_view empire;
    cr_assert(world_empire(world, 1, &empire));
    // Out of the settlement's and the others' sight.
    struct hex_axial at = {empire.home.q + 18, empire.home.r};
    fixture_spawn(&inputs, "soldier", "soldier", 1, 1, at.q, at.r);
    fixture_spawn(&inputs, "prey", "scout", 2, 1, at.q + 4, at.r);
    fixture_step(world, &inputs);
    uint64_t soldier = inputs.results[0].entities[0], prey = inputs.results[1].entities[0];
    struct world_entity_view view;
    cr_assert(world_find_entity(world, prey, &view) && view.at.q == at.q + 4 && view.at.r == at.r);
    uint32_t hill = world_map_cell(&world->map, (struct hex_axial){at.q + 2, at.r});
    uint8_t plains = world->map.terrain[hill];

    world->map.terrain[hill] = (uint8_t)hills;
    fixture_inputs_clear(&inputs);
    fixture_attack(&inputs, 1, 1, &soldier, 1, prey, false);
    fixture_step(world, &inputs);
    cr_expect_eq(inputs.results[0].reason, MMORTS__WORLD__COMMAND_REASON__COMMAND_UNKNOWN_TARGET);
    cr_expect_not(inputs.results[0].applied);
    fixture_run(world, 40);
    cr_assert(world_find_entity(world, soldier, &view));
    cr_expect_eq(view.activity, MMORTS__FRAME__ACTIVITY__ACTIVITY_IDLE, "nor does it guard there");

    world->map.terrain[hill] = plains;
    fixture_inputs_clear(&inputs);
    fixture_attack(&inputs, 1, 1, &soldier, 1, prey, false);
    fixture_step(world, &inputs);
    cr_expect_eq(inputs.results[0].reason, MMORTS__WORLD__COMMAND_REASON__COMMAND_OK);
    fixture_inputs_free(&inputs);
    world_free(world);
    free(rules);
}
