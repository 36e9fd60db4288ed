// The rules of services/vision/README.md one by one, each on an empty stage with a story that can
// be read. (That they hold together, in every tick of large random worlds, test_oracle.c shows.)

#include "tests/support/vision_stage.h"

#include <criterion/criterion.h>

#define SHROUD  MMORTS__FRAME__VISIBILITY__VISIBILITY_SHROUD
#define FOG     MMORTS__FRAME__VISIBILITY__VISIBILITY_FOG
#define VISIBLE MMORTS__FRAME__VISIBILITY__VISIBILITY_VISIBLE
#define SET(stage, id, attribute, value)                                                           \
    stage_set(stage, id, MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_##attribute, value)

enum { ADA = 1, BOB = 2, EVE = 3 };
enum { EYES = 10, OTHER_EYES, THING = 20, SECOND, THIRD, FOURTH }; // ids

// Of what an empire was told in the last tick: nothing but these, of that entity.
#define TOLD_OF(stage, empire, id, ...)                                                            \
    do {                                                                                           \
        struct stage_told is_ = stage_told_of(stage, empire, id);                                  \
        struct stage_told want_ = {__VA_ARGS__};                                                   \
        cr_assert_eq(is_.entered, want_.entered, "entered %u", is_.entered);                       \
        cr_assert_eq(is_.left, want_.left, "left %u", is_.left);                                   \
        cr_assert_eq(is_.remembered, want_.remembered, "remembered %u", is_.remembered);           \
        cr_assert_eq(is_.forgotten, want_.forgotten, "forgotten %u", is_.forgotten);               \
    } while (0)

static void told_nothing(const struct stage *stage, uint32_t empire)
{
    struct stage_told told = stage_told(stage, empire);
    cr_assert_eq(told.hexes + told.entered + told.left + told.remembered + told.forgotten, 0,
                 "tick %d: hexes %u entered %u left %u remembered %u forgotten %u",
                 (int)stage_now(stage), told.hexes, told.entered, told.left, told.remembered,
                 told.forgotten);
}

// --- who sees --------------------------------------------------------------------------------

Test(vision_rules, an_observer_sees_while_its_flag_is_set)
{
    struct stage *stage = stage_new(NULL);
    stage_put(stage, EYES, STAGE_SCOUT, ADA, 0, 0);
    stage_put(stage, THING, STAGE_SOLDIER, BOB, 3, 0);
    stage_put(stage, SECOND, STAGE_SOLDIER, BOB, 4, 0);
    stage_tick(stage);
    cr_expect(stage_sees(stage, ADA, THING));
    cr_expect_not(stage_sees(stage, ADA, SECOND), "a hex beyond its range");
    SET(stage, EYES, SIGHT_ENABLED, 0);
    stage_tick(stage);
    TOLD_OF(stage, ADA, THING, .left = 1);
    cr_expect_eq(stage_hex(stage, ADA, 3, 0), FOG);
    cr_expect_eq(stage_hex(stage, ADA, 0, 0), FOG, "not even where it stands");
    cr_expect(stage_sees(stage, ADA, EYES), "what one owns is in sight");
    stage_move(stage, EYES, 10, 0);
    stage_tick(stage);
    cr_expect_eq(stage_hex(stage, ADA, 10, 0), SHROUD);
    SET(stage, EYES, SIGHT_ENABLED, 1);
    stage_tick(stage);
    cr_expect_eq(stage_hex(stage, ADA, 10, 0), VISIBLE);
    cr_expect_eq(stage_hex(stage, ADA, 3, 0), FOG);
    SET(stage, EYES, SIGHT_HEXES, 7);
    stage_tick(stage);
    TOLD_OF(stage, ADA, THING, .entered = 1);
    stage_free(stage);
}

Test(vision_rules, moves_count_in_every_tenth_tick_and_all_else_at_once)
{
    struct vision_options options = vision_options_default();
    options.update_interval_ticks = 10;
    struct stage *stage = stage_new(&options);
    stage_put(stage, EYES, STAGE_SCOUT, ADA, 0, 0);
    stage_put(stage, THING, STAGE_SOLDIER, BOB, 4, 0);
    stage_tick(stage);
    cr_expect_eq(stage_hex(stage, ADA, 3, 0), VISIBLE, "that it appears counts at once");
    stage_move(stage, EYES, 20, 0);
    stage_tick(stage);
    stage_move(stage, THING, 3, 0);
    stage_tick(stage);
    TOLD_OF(stage, ADA, THING, .entered = 1);
    while (stage_now(stage) < 9) {
        cr_assert_eq(stage_hex(stage, ADA, 0, 0), VISIBLE);
        cr_assert_eq(stage_hex(stage, ADA, 20, 0), SHROUD);
        stage_tick(stage);
    }
    stage_tick(stage);
    cr_expect_eq(stage_now(stage), 10);
    TOLD_OF(stage, ADA, THING, .left = 1);
    cr_expect_eq(stage_hex(stage, ADA, 20, 0), VISIBLE);
    SET(stage, EYES, SIGHT_HEXES, 5); // how far it sees is as where it stands
    stage_tick(stage);
    cr_expect_eq(stage_hex(stage, ADA, 25, 0), SHROUD);
    SET(stage, EYES, SIGHT_ENABLED, 0);
    stage_tick(stage);
    cr_expect_eq(stage_hex(stage, ADA, 20, 0), FOG, "that it ceases to see counts at once");
    SET(stage, EYES, SIGHT_ENABLED, 1);
    while (stage_now(stage) < 20)
        stage_tick(stage);
    cr_expect_eq(stage_hex(stage, ADA, 25, 0), VISIBLE);
    stage_remove(stage, EYES);
    stage_tick(stage);
    cr_expect_eq(stage_hex(stage, ADA, 20, 0), FOG, "and that it ends");
    stage_free(stage);
}

Test(vision_rules, who_is_stealthed_is_shown_to_detectors_in_range)
{
    struct stage *stage = stage_new(NULL);
    stage_put(stage, EYES, STAGE_SCOUT, ADA, 0, 0);
    stage_put(stage, OTHER_EYES, STAGE_DETECTOR, ADA, 10, 0);
    stage_put(stage, THING, STAGE_SPY, BOB, 2, 0);
    stage_tick(stage);
    cr_expect_eq(stage_hex(stage, ADA, 2, 0), VISIBLE);
    cr_expect_not(stage_sees(stage, ADA, THING));
    cr_expect(stage_sees(stage, BOB, THING), "its owner sees it");
    stage_move(stage, OTHER_EYES, 5, 0); // 3 hexes away
    stage_tick(stage);
    TOLD_OF(stage, ADA, THING, .entered = 1);
    stage_move(stage, OTHER_EYES, 6, 0);
    stage_tick(stage);
    TOLD_OF(stage, ADA, THING, .left = 1);
    SET(stage, THING, STEALTHED, 0);
    stage_tick(stage);
    TOLD_OF(stage, ADA, THING, .entered = 1);
    SET(stage, THING, STEALTHED, 1);
    stage_tick(stage);
    TOLD_OF(stage, ADA, THING, .left = 1);
    SET(stage, EYES, SIGHT_TYPE, MMORTS__FRAME__SIGHT_TYPE__SIGHT_DETECTOR);
    stage_tick(stage);
    TOLD_OF(stage, ADA, THING, .entered = 1);
    stage_free(stage);
}

Test(vision_rules, a_step_is_counted_as_one_and_what_stands_costs_nothing)
{
    struct stage *stage = stage_new(NULL);
    struct vision_stats before, after;
    for (uint64_t id = 100; id < 120; id++)
        stage_put(stage, id, STAGE_SCOUT, ADA, (int32_t)id - 110, 5);
    stage_put(stage, EYES, STAGE_SCOUT, ADA, 0, 0);
    stage_tick(stage);
    vision_stats(stage_core(stage), &before);
    cr_expect_eq(before.discs, 21);
    stage_ticks(stage, 50);
    vision_stats(stage_core(stage), &after);
    cr_expect_eq(after.steps + after.discs, before.steps + before.discs, "nobody has moved");
    stage_move(stage, EYES, 1, 0);
    stage_tick(stage);
    vision_stats(stage_core(stage), &after);
    cr_expect_eq(after.steps, before.steps + 1);
    cr_expect_eq(after.discs, before.discs);
    stage_move(stage, EYES, 9, 0); // no step: one disc goes, another comes
    stage_tick(stage);
    vision_stats(stage_core(stage), &after);
    cr_expect_eq(after.steps, before.steps + 1);
    cr_expect_eq(after.discs, before.discs + 2);
    stage_free(stage);
}

// --- what comes and goes ---------------------------------------------------------------------

Test(vision_rules, fog_that_moves_over_what_stands_still)
{
    struct stage *stage = stage_new(NULL);
    stage_put(stage, EYES, STAGE_SCOUT, ADA, 0, 0);
    stage_put(stage, THING, STAGE_SOLDIER, BOB, 3, 0);
    stage_tick(stage);
    TOLD_OF(stage, ADA, THING, .entered = 1);
    stage_tick(stage);
    told_nothing(stage, ADA);
    stage_move(stage, EYES, -1, 0);
    stage_tick(stage);
    TOLD_OF(stage, ADA, THING, .left = 1);
    stage_move(stage, EYES, 0, 0);
    stage_tick(stage);
    TOLD_OF(stage, ADA, THING, .entered = 1);
    stage_move(stage, EYES, 6, 0); // past it: in sight before and after
    stage_tick(stage);
    TOLD_OF(stage, ADA, THING, 0);
    stage_move(stage, THING, 7, 0); // likewise
    stage_tick(stage);
    told_nothing(stage, ADA);
    stage_free(stage);
}

Test(vision_rules, what_changes_hands_takes_its_sight_along)
{
    struct stage *stage = stage_new(NULL);
    stage_put(stage, EYES, STAGE_SCOUT, ADA, 0, 0);
    stage_put(stage, THING, STAGE_SOLDIER, EVE, 2, 0);
    stage_tick(stage);
    SET(stage, EYES, OWNER, BOB);
    stage_tick(stage);
    TOLD_OF(stage, ADA, THING, .left = 1);
    TOLD_OF(stage, ADA, EYES, .left = 1);
    TOLD_OF(stage, BOB, THING, .entered = 1);
    TOLD_OF(stage, BOB, EYES, .entered = 1);
    cr_expect_eq(stage_hex(stage, ADA, 1, 0), FOG);
    cr_expect_eq(stage_hex(stage, BOB, 1, 0), VISIBLE);
    SET(stage, THING, OWNER, ADA);
    stage_tick(stage);
    TOLD_OF(stage, ADA, THING, .entered = 1);
    TOLD_OF(stage, EVE, THING, .left = 1);
    TOLD_OF(stage, BOB, THING, 0);
    cr_expect(stage_sees(stage, BOB, THING));
    stage_free(stage);
}

Test(vision_rules, it_leaves_and_changes_unseen_and_is_as_before_when_it_comes_back)
{
    struct stage *stage = stage_new(NULL);
    stage_put(stage, EYES, STAGE_SCOUT, ADA, 0, 0);
    stage_put(stage, THING, STAGE_HUT, BOB, 3, 0);
    stage_tick(stage);
    stage_move(stage, EYES, -5, 0);
    stage_tick(stage);
    TOLD_OF(stage, ADA, THING, .left = 1, .remembered = 1);
    SET(stage, THING, HEALTH, 40);
    stage_tick(stage);
    told_nothing(stage, ADA);
    cr_expect_eq(stage_recalls(stage, ADA, THING), STAGE_HEALTH);
    SET(stage, THING, HEALTH, STAGE_HEALTH);
    stage_tick(stage);
    told_nothing(stage, ADA);
    // Whoever reads this must take all of its values anew, whether or not they are as they were.
    stage_move(stage, EYES, 0, 0);
    stage_tick(stage);
    TOLD_OF(stage, ADA, THING, .entered = 1);
    cr_expect_eq(stage_recalls(stage, ADA, THING), 0);
    // The same within one tick, and what it does in the tick in which it leaves is not seen.
    stage_move(stage, EYES, -5, 0);
    SET(stage, THING, HEALTH, 30);
    stage_tick(stage);
    TOLD_OF(stage, ADA, THING, .left = 1, .remembered = 1);
    cr_expect_eq(stage_recalls(stage, ADA, THING), STAGE_HEALTH);
    stage_move(stage, EYES, 0, 0);
    SET(stage, THING, HEALTH, STAGE_HEALTH);
    stage_tick(stage);
    TOLD_OF(stage, ADA, THING, .entered = 1);
    SET(stage, THING, HEALTH, 60);
    stage_tick(stage);
    stage_move(stage, EYES, -5, 0);
    stage_tick(stage);
    cr_expect_eq(stage_recalls(stage, ADA, THING), 60);
    stage_free(stage);
}

Test(vision_rules, an_end_in_sight_is_told_and_one_out_of_sight_is_not)
{
    struct stage *stage = stage_new(NULL);
    stage_put(stage, EYES, STAGE_SCOUT, ADA, 0, 0);
    stage_put(stage, THING, STAGE_HUT, BOB, 2, 0);
    stage_put(stage, SECOND, STAGE_HUT, BOB, 20, 0);
    stage_tick(stage);
    stage_remove(stage, THING);
    stage_remove(stage, SECOND);
    stage_tick(stage);
    TOLD_OF(stage, ADA, THING, .left = 1);
    TOLD_OF(stage, ADA, SECOND, 0);
    TOLD_OF(stage, BOB, SECOND, .left = 1);
    cr_expect_eq(stage_recalls(stage, ADA, THING), 0);
    cr_expect_eq(stage_recalls(stage, BOB, SECOND), 0);
    // Fog covers the place in the very tick: the end was not seen.
    stage_put(stage, THIRD, STAGE_HUT, BOB, 3, 0);
    stage_tick(stage);
    stage_move(stage, EYES, -5, 0);
    stage_remove(stage, THIRD);
    stage_tick(stage);
    TOLD_OF(stage, ADA, THIRD, .left = 1, .remembered = 1);
    stage_free(stage);
}

// --- what is lent ----------------------------------------------------------------------------

Test(vision_rules, sharing_is_one_way_or_mutual_and_stops_at_any_time)
{
    struct stage *stage = stage_new(NULL);
    struct vision *core = stage_core(stage);
    stage_put(stage, EYES, STAGE_SCOUT, ADA, 0, 0);
    stage_put(stage, OTHER_EYES, STAGE_SCOUT, BOB, 20, 0);
    stage_put(stage, THING, STAGE_SOLDIER, EVE, 2, 0);
    stage_tick(stage);
    uint64_t now = stage_now(stage);
    cr_assert_eq(vision_share(core, ADA, BOB, now + 3), MM_OK);
    stage_ticks(stage, 2);
    cr_expect_not(stage_sees(stage, BOB, THING), "not before its tick");
    stage_tick(stage);
    TOLD_OF(stage, BOB, THING, .entered = 1);
    cr_expect_eq(stage_hex(stage, BOB, 1, 0), VISIBLE);
    cr_expect_eq(stage_hex(stage, ADA, 20, 0), SHROUD, "one way");
    cr_assert_eq(vision_share(core, BOB, EVE, 0), MM_OK);
    stage_tick(stage);
    cr_expect_eq(stage_hex(stage, EVE, 20, 0), VISIBLE);
    cr_expect_eq(stage_hex(stage, EVE, 1, 0), SHROUD, "what is borrowed is not lent on");
    cr_assert_eq(vision_share(core, BOB, ADA, 0), MM_OK);
    stage_tick(stage);
    cr_expect_eq(stage_hex(stage, ADA, 20, 0), VISIBLE);
    cr_assert_eq(vision_unshare(core, ADA, BOB, 0), MM_OK);
    stage_tick(stage);
    TOLD_OF(stage, BOB, THING, .left = 1);
    cr_expect_eq(stage_hex(stage, BOB, 1, 0), FOG);
    cr_expect_eq(stage_hex(stage, ADA, 20, 0), VISIBLE, "the other way stays");
    cr_assert_eq(vision_unshare(core, ADA, BOB, 0), MM_NOT_FOUND);
    // Ended before it began: never.
    cr_assert_eq(vision_share(core, ADA, BOB, stage_now(stage) + 5), MM_OK);
    cr_assert_eq(vision_unshare(core, ADA, BOB, stage_now(stage) + 2), MM_OK);
    for (int i = 0; i < 10; i++) {
        stage_tick(stage);
        told_nothing(stage, BOB);
    }
    // Ended in the middle of a walk, in the same tick as a step.
    cr_assert_eq(vision_share(core, ADA, BOB, 0), MM_OK);
    for (int32_t q = 1; q <= 5; q++) {
        stage_move(stage, EYES, q, 0);
        stage_tick(stage);
        cr_assert_eq(stage_hex(stage, BOB, q, 0), VISIBLE);
    }
    cr_assert_eq(vision_unshare(core, ADA, BOB, 0), MM_OK);
    stage_move(stage, EYES, 6, 0);
    stage_tick(stage);
    cr_expect_eq(stage_hex(stage, BOB, 5, 0), FOG);
    cr_expect_eq(stage_hex(stage, BOB, 9, 0), SHROUD, "what it came to see in that tick");
    stage_free(stage);
}

Test(vision_rules, allies_lend_all_or_what_their_shared_observers_see)
{
    for (int all = 0; all <= 1; all++) {
        struct vision_options options = vision_options_default();
        options.alliances_share = all;
        struct stage *stage = stage_new(&options);
        struct vision *core = stage_core(stage);
        stage_put(stage, EYES, STAGE_SCOUT, ADA, 0, 0);
        stage_put(stage, OTHER_EYES, STAGE_BEACON, ADA, 20, 0);
        cr_assert_eq(vision_ally(core, 7, ADA, 0), MM_OK);
        cr_assert_eq(vision_ally(core, 7, BOB, 0), MM_OK);
        stage_tick(stage);
        cr_expect_eq(stage_hex(stage, BOB, 0, 0), all ? VISIBLE : SHROUD);
        cr_expect_eq(stage_hex(stage, BOB, 20, 0), VISIBLE);
        cr_expect_eq(stage_hex(stage, EVE, 20, 0), SHROUD, "who is no member");
        cr_assert_eq(vision_unally(core, 7, BOB, 0), MM_OK);
        stage_tick(stage);
        cr_expect_eq(stage_hex(stage, BOB, 0, 0), all ? FOG : SHROUD);
        cr_expect_eq(stage_hex(stage, BOB, 20, 0), FOG);
        stage_free(stage);
    }
}

// --- what is remembered ----------------------------------------------------------------------

// Everything is shown to Ada once and left behind.
static void show_and_leave(struct stage *stage)
{
    stage_put(stage, EYES, STAGE_SCOUT, ADA, 0, 0);
    stage_tick(stage);
    stage_move(stage, EYES, -20, 0);
    stage_tick(stage);
}

Test(vision_rules, each_kind_is_remembered_as_long_as_the_policy_says)
{
    struct vision_options options = vision_options_default();
    options.memory.building_ticks = 50;
    options.memory.hero_ticks = 80;
    struct stage *stage = stage_new(&options);
    stage_put(stage, 1, STAGE_SOLDIER, BOB, 1, 0);
    stage_put(stage, 2, STAGE_HUT, BOB, 0, 1);
    stage_put(stage, 3, STAGE_TOWN, BOB, 2, 0);
    stage_put(stage, 4, STAGE_HERO, BOB, 0, 2);
    stage_put(stage, 5, STAGE_MACHINE, BOB, 1, 1);
    stage_put(stage, 6, STAGE_BEAST, 0, -1, 0);
    show_and_leave(stage);
    uint64_t left = stage_now(stage);
    cr_expect_eq(stage_told(stage, ADA).left, 6);
    cr_expect_eq(stage_told(stage, ADA).remembered, 5);
    cr_expect_eq(stage_recalls(stage, ADA, 1), 0, "soldiers come and go");
    while (stage_now(stage) < left + 600) {
        stage_tick(stage);
        uint64_t since = stage_now(stage) - left;
        TOLD_OF(stage, ADA, 2, .forgotten = since == 50);
        TOLD_OF(stage, ADA, 4, .forgotten = since == 80);
        cr_assert_eq(stage_recalls(stage, ADA, 2) != 0, since < 50);
        cr_assert_eq(stage_recalls(stage, ADA, 4) != 0, since < 80);
        cr_assert_eq(stage_told(stage, ADA).forgotten, since == 50 || since == 80);
    }
    cr_expect(stage_recalls(stage, ADA, 3) && stage_recalls(stage, ADA, 5) &&
              stage_recalls(stage, ADA, 6));
    stage_free(stage);
}

Test(vision_rules, each_kind_can_be_left_out)
{
    struct vision_options options = vision_options_default();
    for (int i = 0; i < 5; i++) {
        options.memory.buildings = i != 0;
        options.memory.npcs = i != 1;
        options.memory.heroes = i != 2;
        options.memory.endgame = i != 3;
        options.memory.enabled = i != 4;
        struct stage *stage = stage_new(&options);
        stage_put(stage, 1, STAGE_TOWN, BOB, 2, 0);
        stage_put(stage, 2, STAGE_BEAST, 0, -1, 0);
        stage_put(stage, 3, STAGE_HERO, BOB, 0, 2);
        stage_put(stage, 4, STAGE_MACHINE, BOB, 1, 1);
        show_and_leave(stage);
        for (int kind = 0; kind < 4; kind++)
            cr_expect_eq(stage_recalls(stage, ADA, (uint64_t)kind + 1) != 0, kind != i && i != 4,
                         "kind %d without %d", kind, i);
        stage_free(stage);
    }
}

Test(vision_rules, what_is_seen_again_is_remembered_no_more)
{
    struct stage *stage = stage_new(NULL);
    stage_put(stage, THING, STAGE_BEAST, 0, 2, 0);
    show_and_leave(stage);
    cr_expect_eq(stage_recalls(stage, ADA, THING), STAGE_HEALTH);
    stage_move(stage, THING, -20, 1); // it comes to her, and stays where she does not remember it
    stage_tick(stage);
    TOLD_OF(stage, ADA, THING, .entered = 1); // which says that the memory has ended
    cr_expect_eq(stage_recalls(stage, ADA, THING), 0);
    stage_move(stage, EYES, 0, 0); // nothing is left at the old place
    stage_tick(stage);
    TOLD_OF(stage, ADA, THING, .left = 1, .remembered = 1);
    cr_expect_eq(stage_recalls(stage, ADA, THING), STAGE_HEALTH);
    stage_free(stage);
}

Test(vision_rules, a_destroyed_building_is_remembered_until_its_place_is_seen_again)
{
    struct vision_options options = vision_options_default();
    options.memory.per_empire_max = 2;
    struct stage *stage = stage_new(&options);
    stage_put(stage, THING, STAGE_TOWN, BOB, 0, 0);
    stage_put(stage, SECOND, STAGE_TOWN, BOB, 3, 0);
    show_and_leave(stage);
    stage_remove(stage, THING);
    stage_tick(stage);
    told_nothing(stage, ADA);
    for (int i = 0; i < 500; i++) {
        stage_tick(stage);
        told_nothing(stage, ADA);
        cr_assert_eq(stage_recalls(stage, ADA, THING), STAGE_HEALTH);
    }
    // Another takes its slot, and its place: neither is told.
    stage_put(stage, THIRD, STAGE_SOLDIER, BOB, 0, 0);
    stage_tick(stage);
    told_nothing(stage, ADA);
    // At the limit the dead one gives way no sooner than the living: both were seen last in the
    // same tick, so the lower id goes.
    stage_put(stage, FOURTH, STAGE_TOWN, BOB, -20, 1);
    stage_tick(stage);
    stage_move(stage, EYES, -30, 0);
    stage_tick(stage);
    TOLD_OF(stage, ADA, THING, .forgotten = THING < SECOND);
    cr_expect_eq(stage_recalls(stage, ADA, SECOND), STAGE_HEALTH);
    // And one that is not at the limit goes when its place is seen, not a hex before.
    stage_remove(stage, SECOND);
    stage_tick(stage);
    told_nothing(stage, ADA);
    stage_move(stage, EYES, -1, 0); // (3, 0) is 4 away
    stage_tick(stage);
    TOLD_OF(stage, ADA, SECOND, 0);
    cr_expect_eq(stage_recalls(stage, ADA, SECOND), STAGE_HEALTH);
    stage_move(stage, EYES, 0, 0);
    stage_tick(stage);
    TOLD_OF(stage, ADA, SECOND, .forgotten = 1);
    cr_expect_eq(stage_recalls(stage, ADA, SECOND), 0);
    stage_free(stage);
}

// Which gives way at the limit, of four that are there in pairs: Ada comes to the first two places,
// then to the others.
static uint64_t gives_way(const enum stage_type types[3])
{
    struct vision_options options = vision_options_default();
    options.memory.per_empire_max = 2;
    options.memory.building_ticks = 500;
    options.memory.hero_ticks = 300;
    struct stage *stage = stage_new(&options);
    stage_put(stage, EYES, STAGE_SCOUT, ADA, -20, 0);
    for (uint64_t i = 0; i < 3; i++)
        stage_put(stage, i + 1, types[i], BOB, 10 * (int32_t)i - 10, 0);
    stage_tick(stage);
    for (int32_t i = 0; i < 3; i++) {
        stage_move(stage, EYES, 10 * i - 10, 1);
        stage_tick(stage);
    }
    cr_assert_eq(stage_told(stage, ADA).forgotten, 0);
    stage_move(stage, EYES, -20, 0);
    stage_tick(stage);
    uint64_t gone = 0;
    for (uint64_t id = 1; id <= 3; id++) {
        if (stage_recalls(stage, ADA, id) == 0) {
            cr_expect_eq(gone, 0, "one gives way, no more");
            gone = id;
        }
    }
    // The one that has just come is told of and at once forgotten, or not told of at all.
    cr_expect_eq(stage_told(stage, ADA).forgotten, gone != 3 || stage_told(stage, ADA).remembered);
    stage_free(stage);
    return gone;
}

Test(vision_rules, the_limit_takes_timed_memories_first_then_the_oldest)
{
    // Seen in the order of their ids.
    cr_expect_eq(gives_way((enum stage_type[]){STAGE_TOWN, STAGE_TOWN, STAGE_TOWN}), 1);
    cr_expect_eq(gives_way((enum stage_type[]){STAGE_TOWN, STAGE_HUT, STAGE_TOWN}), 2);
    cr_expect_eq(gives_way((enum stage_type[]){STAGE_TOWN, STAGE_TOWN, STAGE_HUT}), 3);
    cr_expect_eq(gives_way((enum stage_type[]){STAGE_HUT, STAGE_HERO, STAGE_TOWN}), 2,
                 "the hero expires before the hut that was seen first");
    cr_expect_eq(gives_way((enum stage_type[]){STAGE_HERO, STAGE_HUT, STAGE_HUT}), 1);
}

// Nobody else's memories count.
Test(vision_rules, the_limit_is_each_empires_own)
{
    struct vision_options options = vision_options_default();
    options.memory.per_empire_max = 1;
    struct stage *stage = stage_new(&options);
    stage_put(stage, EYES, STAGE_SCOUT, ADA, 0, 0);
    stage_put(stage, OTHER_EYES, STAGE_SCOUT, EVE, 10, 0);
    stage_put(stage, THING, STAGE_TOWN, BOB, 0, 1);
    stage_put(stage, SECOND, STAGE_TOWN, BOB, 10, 1);
    stage_tick(stage);
    stage_move(stage, EYES, 0, -10);
    stage_move(stage, OTHER_EYES, 10, -10);
    stage_tick(stage);
    cr_expect(stage_recalls(stage, ADA, THING));
    cr_expect(stage_recalls(stage, EVE, SECOND));
    struct vision_stats stats;
    vision_stats(stage_core(stage), &stats);
    cr_expect_eq(stats.evicted, 0);
    stage_free(stage);
}
