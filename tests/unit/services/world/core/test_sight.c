#include "services/vision/core/vision.h"
#include "services/world/core/state.h"
#include "tests/support/world_orders.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

// World decides by itself whom an empire may aim at, vision what it is shown: of the same world
// the two must say the same, of every entity and every hex.

enum { EMPIRES = 4, TICKS = 60 };

enum shown { FOG = 1, TERRAIN = 2, EYES = 4, SHARES = 8, BEACONS = 16 };

struct pair {
    struct world *world;
    struct vision *vision;
    struct fixture_inputs inputs;
    struct mm_arena *frames;
    struct mm_rng rng;
    bool lends[EMPIRES + 1][EMPIRES + 1]; // by borrower and lender, by order
    uint64_t alliance[EMPIRES + 1];
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

static void begin(struct pair *pair, const struct world_rules *rules, unsigned shown, uint64_t seed)
{
    *pair = (struct pair){.world = fixture_world(rules, seed),
                          .frames = mm_arena_new(1 << 20, (size_t)1 << 30)};
    fixture_inputs_init(&pair->inputs, 64);
    struct vision_options options = vision_options_default();
    options.chunk_radius = (int32_t)rules->map.chunk_radius;
    options.alliances_share = (shown & BEACONS) == 0;
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

// Somebody's eyes become others: each in turn, or as its type's.
static void change_eyes(Mmorts__World__EntityChange *change, uint64_t what, uint64_t value)
{
    switch (what) {
    case 0:
        change->change_case = MMORTS__WORLD__ENTITY_CHANGE__CHANGE_SIGHT_HEXES;
        change->sight_hexes = (uint32_t)value % 15;
        break;
    case 1:
        change->change_case = MMORTS__WORLD__ENTITY_CHANGE__CHANGE_STEALTHED;
        change->stealthed = value % 2 != 0;
        break;
    case 2:
        change->change_case = MMORTS__WORLD__ENTITY_CHANGE__CHANGE_SIGHT_TYPE;
        change->sight_type = (Mmorts__Frame__SightType)(value % 3);
        break;
    case 3:
        change->change_case = MMORTS__WORLD__ENTITY_CHANGE__CHANGE_SIGHT_ENABLED;
        change->sight_enabled = value % 2 != 0;
        break;
    default:
        change->change_case = MMORTS__WORLD__ENTITY_CHANGE__CHANGE_SIGHT_AS_TYPE;
        change->sight_as_type = 1;
        break;
    }
}

static void random_eyes(struct pair *pair, unsigned tick)
{
    for (int i = 0; i < 12; i++) {
        char key[32];
        struct world_entity_view view;
        snprintf(key, sizeof key, "eyes %u %d", tick, i);
        uint32_t slot = (uint32_t)below(pair, 2 * world_entity_count(pair->world));
        if (world_entity_at_slot(pair->world, slot, &view) &&
            world_rules_of(pair->world)->types[view.type].kind !=
                MMORTS__FRAME__KIND__KIND_RESOURCE)
            change_eyes(fixture_set_entity(&pair->inputs, key, view.id, 1)->changes[0],
                        (uint64_t)below(pair, 5), (uint64_t)below(pair, 1000));
        else if (world_entity_at_slot(pair->world, slot, &view))
            change_eyes(fixture_set_entity(&pair->inputs, key, view.id, 1)->changes[0], 1,
                        (uint64_t)below(pair, 2));
    }
}

// Who lends whom, and who is allied, changes now and then: told to both as of the next tick, to the
// world as all there is to say of some of the borrowers.
static void random_shares(struct pair *pair, unsigned shown)
{
    uint64_t next = world_tick(pair->world) + 1;
    uint32_t from = (uint32_t)below(pair, EMPIRES) + 1, to = (uint32_t)below(pair, EMPIRES) + 1;
    bool begins = !pair->lends[to][from];
    if (from != to) {
        cr_assert_eq(begins ? vision_share(pair->vision, from, to, next)
                            : vision_unshare(pair->vision, from, to, next),
                     MM_OK);
        pair->lends[to][from] = begins;
    }
    uint32_t pairs[EMPIRES * EMPIRES][2], empires[EMPIRES];
    size_t count = 0;
    for (uint32_t lender = 1; lender <= EMPIRES; lender++) {
        if (!pair->lends[to][lender])
            continue;
        pairs[count][0] = to;
        pairs[count++][1] = lender;
    }
    fixture_set_sharing(&pair->inputs, to, to, pairs, count,
                        (shown & BEACONS) != 0 ? MMORTS__WORLD__ALLIES_LEND__ALLIES_LEND_SHARED
                                               : MMORTS__WORLD__ALLIES_LEND__ALLIES_LEND_ALL);
    uint32_t empire = (uint32_t)below(pair, EMPIRES) + 1;
    uint64_t was = pair->alliance[empire], now = (uint64_t)below(pair, 3);
    if (was != now && was != 0)
        cr_assert_eq(vision_unally(pair->vision, was, empire, next), MM_OK);
    if (was != now && now != 0)
        cr_assert_eq(vision_ally(pair->vision, now, empire, next), MM_OK);
    pair->alliance[empire] = now;
    for (uint32_t i = 0; i < EMPIRES; i++)
        empires[i] = i + 1;
    fixture_set_alliances(&pair->inputs, empires, pair->alliance + 1, EMPIRES);
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

// A state that is saved and loaded sees the same, and goes on the same.
static void reload(struct pair *pair)
{
    char problem[128] = "";
    struct mm_buf bytes;
    struct world *loaded;
    mm_buf_init(&bytes, 1 << 26);
    world_save(pair->world, &bytes);
    cr_assert_eq(world_load(bytes.data, bytes.len, &loaded), MM_OK);
    cr_assert_eq(world_verify(pair->world, problem, sizeof problem), MM_OK, "%s", problem);
    cr_assert_eq(world_state_hash(loaded), world_state_hash_full(pair->world));
    mm_buf_free(&bytes);
    world_free(pair->world);
    pair->world = loaded;
}

static struct agreed play(unsigned shown, uint64_t seed)
{
    struct world_rules *rules = rough_rules((shown & FOG) != 0, (shown & TERRAIN) != 0);
    struct pair pair;
    struct agreed agreed = {0};
    begin(&pair, rules, shown, seed);
    for (unsigned tick = 0; tick < TICKS; tick++) {
        random_inputs(&pair, tick);
        if (shown & EYES)
            random_eyes(&pair, tick);
        if ((shown & SHARES) != 0 && tick % 3 == 0)
            random_shares(&pair, shown);
        fixture_step(pair.world, &pair.inputs);
        tell(&pair, tick % 20 == 19);
        if (tick % 25 == 24)
            reload(&pair);
        compare(&pair, &agreed);
    }
    end(&pair);
    free(rules);
    return agreed;
}

TestSuite(sight, .timeout = 300);

Test(sight, world_and_vision_agree_about_everything)
{
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct agreed open = play(FOG, seed);
        struct agreed rough = play(FOG | TERRAIN, seed);
        cr_expect(rough.seen > 1000 && rough.unseen > 1000 && rough.hexes_seen > 1000);
        cr_expect_lt(rough.hexes_seen, open.hexes_seen * 9 / 10, "terrain hides a good deal");
    }
}

Test(sight, they_agree_when_eyes_change)
{
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct agreed agreed = play(FOG | EYES | (seed % 2 == 0 ? TERRAIN : 0), seed);
        cr_expect(agreed.seen > 1000 && agreed.unseen > 1000 && agreed.hexes_seen > 1000);
    }
}

// What is lent counts as what is seen: all of it, or of allies what those see whose sight is
// shared.
Test(sight, they_agree_about_what_is_lent)
{
    for (uint64_t seed = 1; seed <= 8; seed++) {
        unsigned shown = FOG | EYES | (seed % 2 == 0 ? TERRAIN : 0) | (seed % 4 < 2 ? BEACONS : 0);
        struct agreed alone = play(shown, seed), lent = play(shown | SHARES, seed);
        cr_expect(lent.unseen > 1000);
        cr_expect_gt(lent.hexes_seen, alone.hexes_seen * 11 / 10, "seed %lu: %zu and %zu",
                     (unsigned long)seed, lent.hexes_seen, alone.hexes_seen);
    }
}

// A field of two empires' units on open land, far from homes.
struct field {
    struct world *world;
    struct fixture_inputs inputs;
    uint64_t soldier, prey;
    struct hex_axial at;
    uint32_t changes;
};

static void set_up_field(struct field *f, const struct world_rules *rules, int32_t apart)
{
    struct world_empire_view empire;
    *f = (struct field){.world = fixture_world(rules, 1)};
    fixture_found(f->world, 2);
    fixture_inputs_init(&f->inputs, 8);
    cr_assert(world_empire(f->world, 1, &empire));
    f->at = (struct hex_axial){empire.home.q + 18, empire.home.r};
    fixture_spawn(&f->inputs, "soldier", "soldier", 1, 1, f->at.q, f->at.r);
    fixture_spawn(&f->inputs, "prey", "scout", 2, 1, f->at.q + apart, f->at.r);
    fixture_step(f->world, &f->inputs);
    f->soldier = f->inputs.results[0].entities[0];
    f->prey = f->inputs.results[1].entities[0];
}

static void tear_down_field(struct field *f)
{
    fixture_inputs_free(&f->inputs);
    world_free(f->world);
}

static uint32_t attack(struct field *f)
{
    static uint64_t seq = 1000;
    fixture_inputs_clear(&f->inputs);
    fixture_attack(&f->inputs, 1, ++seq, &f->soldier, 1, f->prey, false);
    fixture_step(f->world, &f->inputs);
    return f->inputs.results[0].reason;
}

static struct world_result set_eyes(struct field *f, uint64_t entity, uint64_t what, uint32_t value)
{
    char key[32];
    snprintf(key, sizeof key, "eyes %u", ++f->changes);
    fixture_inputs_clear(&f->inputs);
    Mmorts__World__EntityChange *change =
        fixture_set_entity(&f->inputs, key, entity, 1)->changes[0];
    change_eyes(change, what, value);
    if (what == 0)
        change->sight_hexes = value;
    if (what == 2)
        change->sight_type = (Mmorts__Frame__SightType)value;
    fixture_step(f->world, &f->inputs);
    return f->inputs.results[0];
}

enum { HEXES, STEALTH, TYPE, ENABLED, AS_TYPE };

Test(sight, what_is_seen_follows_each_ones_own_eyes)
{
    struct field f;
    struct world_rules *rules = fixture_open_rules();
    rules->combat.guard = 0;
    set_up_field(&f, rules, 9);
    const uint32_t unseen = MMORTS__WORLD__COMMAND_REASON__COMMAND_UNKNOWN_TARGET, seen = 0;
    cr_expect_eq(attack(&f), unseen, "9 hexes off, soldiers see 5");
    cr_expect(set_eyes(&f, f.soldier, HEXES, 9).applied);
    cr_expect_eq(attack(&f), seen);
    cr_expect(set_eyes(&f, f.prey, STEALTH, 1).applied);
    cr_expect_eq(attack(&f), unseen);
    cr_expect(set_eyes(&f, f.soldier, TYPE, 2).applied);
    cr_expect_eq(attack(&f), seen, "a detector now");
    cr_expect(set_eyes(&f, f.soldier, ENABLED, 0).applied);
    cr_expect_eq(attack(&f), unseen, "blind");
    cr_expect(set_eyes(&f, f.soldier, ENABLED, 1).applied);
    cr_expect_eq(attack(&f), seen);
    cr_expect(set_eyes(&f, f.soldier, AS_TYPE, 0).applied);
    cr_expect_eq(attack(&f), unseen, "as all soldiers");
    tear_down_field(&f);
    free(rules);
}

Test(sight, wrong_eyes_are_refused_and_change_nothing)
{
    struct field f;
    set_up_field(&f, NULL, 9);
    fixture_inputs_clear(&f.inputs);
    fixture_spawn(&f.inputs, "mine", "gold_mine", 0, 1, f.at.q, f.at.r + 3);
    fixture_step(f.world, &f.inputs);
    uint64_t mine = f.inputs.results[0].entities[0];
    const struct {
        uint64_t entity, what;
        uint32_t value;
    } wrong[] = {{f.soldier, HEXES, 33}, {f.soldier, HEXES, UINT32_MAX},
                 {f.soldier, TYPE, 3},   {f.soldier, TYPE, UINT32_MAX},
                 {mine, HEXES, 3},       {mine, TYPE, 2}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct world_result result = set_eyes(&f, wrong[i].entity, wrong[i].what, wrong[i].value);
        cr_expect_eq(result.err, MM_INVALID_ARGUMENT, "%zu", i);
        cr_expect_not(result.applied);
        cr_expect_eq(world_state_hash(f.world), world_state_hash_full(f.world));
    }
    cr_expect_eq(f.world->ecs.columns[WORLD_SIGHT].row_count, 0u, "nobody has a row for it");
    cr_expect(set_eyes(&f, mine, STEALTH, 1).applied, "a node may be hidden");
    tear_down_field(&f);
}

// Whoever is made to see farther than any type comes upon land, and its enemies upon it.
Test(sight, far_eyes_reach_as_far_as_they_should)
{
    struct field f;
    struct world_rules *rules = fixture_open_rules();
    rules->map.explored_chunks_max = 1000;
    set_up_field(&f, rules, 20);
    uint32_t chunks = world_chunk_count(f.world);
    cr_expect_eq(attack(&f), (uint32_t)MMORTS__WORLD__COMMAND_REASON__COMMAND_UNKNOWN_TARGET);
    cr_expect(set_eyes(&f, f.soldier, HEXES, 32).applied);
    cr_expect_gt(world_chunk_count(f.world), chunks, "land that it might see");
    cr_expect_eq(world_sight_max(f.world), 32);
    cr_expect_eq(attack(&f), 0u);
    fixture_inputs_clear(&f.inputs);
    fixture_despawn(&f.inputs, f.soldier);
    fixture_step(f.world, &f.inputs);
    cr_expect_eq(world_sight_max(f.world), f.world->sight_max, "with it that is over");
    tear_down_field(&f);
    free(rules);
}

Test(sight, they_agree_without_fog)
{
    struct agreed lifted = play(0, 1);
    cr_expect(lifted.hexes_unseen > 0, "off the map");
    cr_expect(lifted.unseen > 100, "stealth hides still");
    lifted = play(TERRAIN | EYES, 2);
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
