// Patrols, wandering, rally points, and what servers may change.

#include "services/world/core/state.h"
#include "tests/support/world_orders.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REASON(name) MMORTS__WORLD__COMMAND_REASON__COMMAND_##name

struct field {
    struct world_rules *rules;
    struct world *world;
    struct fixture_inputs inputs;
    struct hex_axial home;
    uint64_t seq, spawned, soldier, worker, settlement;
};

static void open_field(struct field *f)
{
    memset(f, 0, sizeof *f);
    f->rules = fixture_open_rules();
    for (uint32_t i = 1; i < f->rules->start_count; i++)
        f->rules->start[i].count =
            strcmp(f->rules->types[f->rules->start[i].type].name, "scout") == 0 ? 0 : 1;
    f->rules->commands.burst = 1000;
    f->world = fixture_world(f->rules, 5);
    fixture_inputs_init(&f->inputs, 16);
    fixture_found(f->world, 2);
    struct world_empire_view view;
    world_empire(f->world, 1, &view);
    f->home = view.home;
    fixture_units(f->world, 1, "soldier", &f->soldier, 1);
    fixture_units(f->world, 1, "worker", &f->worker, 1);
    fixture_units(f->world, 1, "settlement", &f->settlement, 1);
    cr_assert(f->soldier && f->worker && f->settlement);
}

static void close_field(struct field *f)
{
    cr_expect_eq(world_state_hash(f->world), world_state_hash_full(f->world));
    fixture_inputs_free(&f->inputs);
    world_free(f->world);
    free(f->rules);
}

static struct world_result step(struct field *f)
{
    return fixture_step_checked(f->world, &f->inputs);
}

static uint64_t put(struct field *f, const char *name, uint32_t empire, int32_t q, int32_t r)
{
    struct hex_axial at = {f->home.q + q, f->home.r + r};
    return fixture_put(f->world, &f->inputs, name, empire, at);
}

static struct hex_axial at(struct field *f, uint64_t id)
{
    struct world_entity_view view = {0};
    cr_assert(world_find_entity(f->world, id, &view));
    return view.at;
}

static struct hex_axial near_home(struct field *f, int32_t q, int32_t r)
{
    return (struct hex_axial){f->home.q + q, f->home.r + r};
}

// Ticks until it stands there; more than `most`: it never did.
static unsigned ticks_until(struct field *f, uint64_t id, struct hex_axial wanted, unsigned most)
{
    unsigned ticks = 0;
    while (ticks <= most && !hex_equal(at(f, id), wanted)) {
        fixture_run(f->world, 1);
        ticks++;
    }
    return ticks;
}

static struct world_result patrol(struct field *f, const int32_t *points, size_t count, bool queued)
{
    int32_t places[2 * 10];
    for (size_t i = 0; i < count; i++) {
        places[2 * i] = f->home.q + points[2 * i];
        places[2 * i + 1] = f->home.r + points[2 * i + 1];
    }
    fixture_patrol(&f->inputs, 1, ++f->seq, &f->soldier, 1, places, count, queued);
    return step(f);
}

Test(patrol, goes_round_and_round)
{
    struct field f;
    open_field(&f);
    const int32_t points[] = {5, 0, 0, 5, -5, 3};
    cr_assert_eq(patrol(&f, points, 3, false).reason, 0u);
    for (int round = 0; round < 3; round++)
        for (int p = 0; p < 3; p++)
            cr_assert_leq(
                ticks_until(&f, f.soldier, near_home(&f, points[2 * p], points[2 * p + 1]), 300),
                300u, "round %d point %d", round, p);
    close_field(&f);
}

Test(patrol, with_one_point_there_is_the_way_back_and_another_order_ends_it)
{
    struct field f;
    open_field(&f);
    struct hex_axial start = at(&f, f.soldier);
    const int32_t point[] = {6, 0};
    cr_assert_eq(patrol(&f, point, 1, false).reason, 0u);
    cr_assert_leq(ticks_until(&f, f.soldier, near_home(&f, 6, 0), 300), 300u);
    cr_assert_leq(ticks_until(&f, f.soldier, start, 300), 300u);
    fixture_move(&f.inputs, 1, ++f.seq, &f.soldier, 1, f.home.q, f.home.r + 6, true);
    cr_assert_eq(step(&f).reason, 0u);
    cr_assert_leq(ticks_until(&f, f.soldier, near_home(&f, 0, 6), 400), 400u);
    fixture_run(f.world, 200);
    cr_expect(hex_equal(at(&f, f.soldier), near_home(&f, 0, 6)), "the patrol is over");
    close_field(&f);
}

Test(patrol, fights_whom_it_meets_unless_nobody_is_to_guard)
{
    for (uint32_t guard = 0; guard < 2; guard++) {
        struct field f;
        open_field(&f);
        f.world->rules.combat.guard = guard;
        uint64_t foe = put(&f, "worker", 2, 8, 0);
        const int32_t point[] = {12, 0};
        cr_assert_eq(patrol(&f, point, 1, false).reason, 0u);
        fixture_run(f.world, 400);
        struct world_entity_view view;
        bool lives = world_find_entity(f.world, foe, &view) && view.health == 50;
        cr_expect_eq(lives, guard == 0, "guard %u", guard);
        close_field(&f);
    }
}

Test(patrol, refusals)
{
    struct field f;
    open_field(&f);
    const int32_t points[2 * 10] = {1, 0};
    cr_expect_eq(patrol(&f, points, 0, false).reason, (uint32_t)REASON(INVALID));
    cr_expect_eq(patrol(&f, points, 9, false).reason, (uint32_t)REASON(INVALID));
    const int32_t far[] = {1, 0, 100000, 0};
    cr_expect_eq(patrol(&f, far, 2, false).reason, (uint32_t)REASON(OUT_OF_MAP));
    const int32_t seven[] = {3, 0, 0, 3, -3, 0, 0, -3, 3, -3, -3, 3, 4, 0};
    cr_expect_eq(patrol(&f, seven, 7, false).reason, 0u);
    cr_expect_eq(patrol(&f, points, 1, true).reason, (uint32_t)REASON(QUEUE_FULL));
    fixture_patrol(&f.inputs, 1, ++f.seq, &f.settlement, 1, far, 1, false);
    cr_expect_eq(step(&f).reason, (uint32_t)REASON(CANNOT));
    close_field(&f);
}

Test(wander, stays_within_its_radius_and_gets_about)
{
    struct field f;
    open_field(&f);
    struct hex_axial center = at(&f, f.worker), last = center;
    fixture_wander(&f.inputs, 1, ++f.seq, &f.worker, 1, 4, false);
    cr_assert_eq(step(&f).reason, 0u);
    unsigned moves = 0;
    for (int tick = 0; tick < 3000; tick++) {
        fixture_run(f.world, 1);
        struct hex_axial now = at(&f, f.worker);
        // A crowd may push it one aside.
        cr_assert_leq(hex_distance(center, now), 5, "tick %d", tick);
        moves += !hex_equal(now, last);
        last = now;
    }
    cr_expect_gt(moves, 30u);
    fixture_wander(&f.inputs, 1, ++f.seq, &f.worker, 1, 0, false);
    cr_expect_eq(step(&f).reason, (uint32_t)REASON(INVALID));
    fixture_wander(&f.inputs, 1, ++f.seq, &f.worker, 1, 33, false);
    cr_expect_eq(step(&f).reason, (uint32_t)REASON(INVALID));
    close_field(&f);
}

// --- rally points -------------------------------------------------------------------------------

static uint64_t trained(struct field *f, const char *type)
{
    char key[16];
    snprintf(key, sizeof key, "t%llu", (unsigned long long)++f->spawned);
    fixture_spawn_beside(&f->inputs, key, type, 1, 1, f->settlement);
    fixture_step(f->world, &f->inputs);
    uint64_t id = f->inputs.results[0].entities[0];
    fixture_inputs_clear(&f->inputs);
    return id;
}

static uint32_t rally(struct field *f, uint64_t building, int32_t q, int32_t r)
{
    fixture_rally(&f->inputs, 1, ++f->seq, &building, 1, f->home.q + q, f->home.r + r);
    return step(f).reason;
}

Test(rally, who_is_trained_goes_there_and_workers_gather)
{
    struct field f;
    open_field(&f);
    cr_assert_eq(rally(&f, f.settlement, 5, 0), 0u);
    uint64_t soldier = trained(&f, "soldier");
    cr_assert_leq(ticks_until(&f, soldier, near_home(&f, 5, 0), 300), 300u);
    put(&f, "gold_mine", 0, 0, 5);
    cr_assert_eq(rally(&f, f.settlement, 0, 5), 0u);
    uint64_t worker = trained(&f, "worker");
    uint64_t guard = trained(&f, "soldier");
    fixture_run(f.world, 600);
    cr_expect_gt(f.world->empires.items[0].deposits[0].total, 0u, "it gathers");
    cr_expect_leq(hex_distance(at(&f, worker), f.home), 5);
    cr_expect_eq(hex_distance(at(&f, guard), near_home(&f, 0, 5)), 1, "no soldier gathers");
    // Its own hex ends it.
    cr_assert_eq(rally(&f, f.settlement, 0, 0), 0u);
    uint64_t stays = trained(&f, "soldier");
    struct hex_axial there = at(&f, stays);
    fixture_run(f.world, 100);
    cr_expect(hex_equal(at(&f, stays), there));
    close_field(&f);
}

Test(rally, refusals)
{
    struct field f;
    open_field(&f);
    cr_expect_eq(rally(&f, f.soldier, 5, 0), (uint32_t)REASON(UNKNOWN_UNIT));
    cr_expect_eq(rally(&f, 12345, 5, 0), (uint32_t)REASON(UNKNOWN_UNIT));
    cr_expect_eq(rally(&f, f.settlement, 100000, 0), (uint32_t)REASON(OUT_OF_MAP));
    uint64_t theirs = put(&f, "barracks", 2, 3, 0);
    cr_expect_eq(rally(&f, theirs, 5, 0), (uint32_t)REASON(UNKNOWN_UNIT));
    fixture_rally(&f.inputs, 1, ++f.seq, &theirs, 0, f.home.q, f.home.r);
    cr_expect_eq(step(&f).reason, (uint32_t)REASON(NO_UNITS));
    close_field(&f);
}

// --- servers ------------------------------------------------------------------------------------

static Mmorts__World__EntityChange *change(struct field *f, const char *key, uint64_t entity,
                                           Mmorts__World__EntityChange__ChangeCase what)
{
    Mmorts__World__SetEntityRequest *set = fixture_set_entity(&f->inputs, key, entity, 1);
    set->changes[0]->change_case = what;
    return set->changes[0];
}
#define CHANGE(f, key, entity, what)                                                               \
    change((f), (key), (entity), MMORTS__WORLD__ENTITY_CHANGE__CHANGE_##what)

Test(set_entity, each_change_and_once_for_a_key)
{
    struct field f;
    open_field(&f);
    CHANGE(&f, "a", f.soldier, HEALTH)->health = 7;
    struct world_result first = step(&f);
    cr_assert(first.err == MM_OK && first.applied);
    CHANGE(&f, "a", f.soldier, HEALTH)->health = 9;
    struct world_result again = step(&f);
    cr_expect(again.repeated_key && !again.applied && again.tick == first.tick);
    struct world_entity_view view;
    world_find_entity(f.world, f.soldier, &view);
    cr_expect_eq(view.health, 7);

    const int32_t point[] = {6, 0};
    patrol(&f, point, 1, false);
    CHANGE(&f, "b", f.soldier, OWNER)->owner = 2;
    cr_expect_eq(step(&f).err, MM_OK);
    fixture_run(f.world, 100);
    world_find_entity(f.world, f.soldier, &view);
    cr_expect_eq(view.owner, 2u);

    Mmorts__World__Hex hex = MMORTS__WORLD__HEX__INIT;
    hex.q = f.home.q + 9;
    hex.r = f.home.r;
    CHANGE(&f, "c", f.worker, PLACE)->place = &hex;
    cr_expect_eq(step(&f).err, MM_OK);
    cr_expect(hex_equal(at(&f, f.worker), near_home(&f, 9, 0)));

    uint64_t mine = put(&f, "gold_mine", 0, -6, 0);
    CHANGE(&f, "d", mine, AMOUNT)->amount = 3;
    cr_expect_eq(step(&f).err, MM_OK);
    uint32_t slot = world_slot_of_id(f.world, mine);
    cr_expect_eq(WORLD_GET(&f.world->ecs, WORLD_AMOUNT, world_amount, slot)->value, 3);
    close_field(&f);
}

Test(set_entity, who_is_blinded_sees_nothing)
{
    struct field f;
    open_field(&f);
    uint32_t slot = world_slot_of_id(f.world, f.worker);
    struct hex_axial far = near_home(&f, 12, 0);
    uint64_t scout = put(&f, "scout", 1, 12, 0);
    cr_expect(world_empire_sees_hex(f.world, 1, far));
    CHANGE(&f, "a", scout, SIGHT_ENABLED)->sight_enabled = false;
    cr_expect_eq(step(&f).err, MM_OK);
    cr_expect_not(world_empire_sees_hex(f.world, 1, far));
    CHANGE(&f, "b", scout, SIGHT_ENABLED)->sight_enabled = true;
    cr_expect_eq(step(&f).err, MM_OK);
    cr_expect(world_empire_sees_hex(f.world, 1, far));
    cr_expect_neq(slot, 0u);
    close_field(&f);
}

Test(set_entity, a_settlement_that_changes_sides_takes_the_other_sides_deposits)
{
    struct field f;
    open_field(&f);
    CHANGE(&f, "a", f.settlement, OWNER)->owner = 2;
    cr_expect_eq(step(&f).err, MM_OK);
    cr_expect_eq(f.world->empires.items[0].settlements, 0u);
    uint32_t first = f.world->empires.items[1].settlements;
    cr_expect(first != 0 && f.world->next_settlement[first] != 0);
    close_field(&f);
}

Test(set_entity, refusals_change_nothing)
{
    struct field f;
    open_field(&f);
    uint64_t mine = put(&f, "gold_mine", 0, -6, 0);
    uint64_t hash_before = f.world->ecs.generation_sum, keys = f.world->spawns_total;
    Mmorts__World__Hex away = MMORTS__WORLD__HEX__INIT;
    away.q = 1 << 20;
    CHANGE(&f, "x", f.soldier, HEALTH)->health = 0;
    cr_expect_eq(step(&f).err, MM_INVALID_ARGUMENT);
    CHANGE(&f, "x", f.soldier, HEALTH)->health = 121;
    cr_expect_eq(step(&f).err, MM_INVALID_ARGUMENT);
    CHANGE(&f, "x", f.soldier, OWNER)->owner = 3;
    cr_expect_eq(step(&f).err, MM_INVALID_ARGUMENT);
    CHANGE(&f, "x", mine, OWNER)->owner = 1;
    cr_expect_eq(step(&f).err, MM_INVALID_ARGUMENT);
    CHANGE(&f, "x", f.soldier, PLACE)->place = &away;
    cr_expect_eq(step(&f).err, MM_INVALID_ARGUMENT);
    CHANGE(&f, "x", f.soldier, AMOUNT)->amount = 5;
    cr_expect_eq(step(&f).err, MM_INVALID_ARGUMENT);
    CHANGE(&f, "x", mine, AMOUNT)->amount = 0;
    cr_expect_eq(step(&f).err, MM_INVALID_ARGUMENT);
    CHANGE(&f, "x", f.settlement, PROGRESS)->progress = 500;
    cr_expect_eq(step(&f).err, MM_INVALID_ARGUMENT, "it is complete");
    CHANGE(&f, "x", 12345, HEALTH)->health = 5;
    cr_expect_eq(step(&f).err, MM_NOT_FOUND);
    CHANGE(&f, "", f.soldier, HEALTH)->health = 5;
    cr_expect_eq(step(&f).err, MM_INVALID_ARGUMENT);
    fixture_set_entity(&f.inputs, "x", f.soldier, 0);
    cr_expect_eq(step(&f).err, MM_INVALID_ARGUMENT);
    // All or nothing: the second of the two is wrong.
    Mmorts__World__SetEntityRequest *set = fixture_set_entity(&f.inputs, "x", f.soldier, 2);
    set->changes[0]->change_case = MMORTS__WORLD__ENTITY_CHANGE__CHANGE_HEALTH;
    set->changes[0]->health = 5;
    cr_expect_eq(step(&f).err, MM_INVALID_ARGUMENT);
    struct world_entity_view view;
    world_find_entity(f.world, f.soldier, &view);
    cr_expect_eq(view.health, 120);
    cr_expect(f.world->ecs.generation_sum == hash_before && f.world->spawns_total == keys);
    // A spawn's key is no key of a change, and the other way round.
    fixture_spawn(&f.inputs, "came", "scout", 1, 1, f.home.q + 3, f.home.r + 3);
    cr_expect_eq(step(&f).err, MM_OK);
    CHANGE(&f, "came", f.soldier, HEALTH)->health = 5;
    cr_expect_eq(step(&f).err, MM_INVALID_ARGUMENT);
    close_field(&f);
}

Test(announce, is_told_once_in_the_tick_frame_and_never_in_a_snapshot)
{
    struct field f;
    open_field(&f);
    struct mm_arena *arena = mm_arena_new(1 << 16, 1 << 26);
    fixture_announce(&f.inputs, "k", "Hear, h\xc3\xb6rt!");
    cr_expect_eq(step(&f).err, MM_OK);
    Mmorts__Frame__TickFrame *frame = world_frame(f.world, arena);
    cr_assert_eq(frame->n_announcements, 1);
    cr_expect_str_eq(frame->announcements[0], "Hear, h\xc3\xb6rt!");
    cr_expect_eq(world_snapshot_frame(f.world, arena)->n_announcements, 0);
    fixture_announce(&f.inputs, "k", "again");
    cr_expect(step(&f).repeated_key);
    cr_expect_eq(world_frame(f.world, arena)->n_announcements, 0);
    char long_text[WORLD_ANNOUNCEMENT_BYTES_MAX + 2];
    memset(long_text, 'x', sizeof long_text);
    long_text[sizeof long_text - 1] = '\0';
    const char *const bad[] = {"", long_text, "\xff"};
    for (size_t i = 0; i < 3; i++) {
        fixture_announce(&f.inputs, "n", bad[i]);
        cr_expect_eq(step(&f).err, MM_INVALID_ARGUMENT, "%zu", i);
    }
    mm_arena_free(arena);
    close_field(&f);
}
