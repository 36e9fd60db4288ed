// Sight that is lent: what vision says is taken as a whole or not at all, and whom an empire sees
// by others' eyes it may aim at, and goes after.

#include "services/world/core/state.h"
#include "tests/support/world_orders.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#define REASON(name)   ((uint32_t)MMORTS__WORLD__COMMAND_REASON__COMMAND_##name)
#define LEND_AS_BEFORE MMORTS__WORLD__ALLIES_LEND__ALLIES_LEND_AS_BEFORE
#define LEND_ALL       MMORTS__WORLD__ALLIES_LEND__ALLIES_LEND_ALL
#define LEND_SHARED    MMORTS__WORLD__ALLIES_LEND__ALLIES_LEND_SHARED

enum { EMPIRES = 4 };

// Open land: a soldier of 1, far off a scout of 3, and beside that an eye of 2.
struct field {
    struct world *world;
    struct world_rules *rules;
    struct fixture_inputs inputs;
    struct hex_axial at;
    uint64_t soldier, eye, prey, seq, changes;
};

static void set_up(struct field *f)
{
    struct world_empire_view empire;
    *f = (struct field){.rules = fixture_open_rules()};
    f->rules->combat.guard = 0;
    f->rules->map.explored_chunks_max = 1000;
    f->world = fixture_world(f->rules, 1);
    fixture_found(f->world, EMPIRES);
    fixture_inputs_init(&f->inputs, 64);
    cr_assert(world_empire(f->world, 1, &empire));
    f->at = (struct hex_axial){empire.home.q + 18, empire.home.r};
    f->soldier = fixture_put(f->world, &f->inputs, "soldier", 1, f->at);
    f->prey =
        fixture_put(f->world, &f->inputs, "scout", 3, (struct hex_axial){f->at.q + 10, f->at.r});
    f->eye =
        fixture_put(f->world, &f->inputs, "scout", 2, (struct hex_axial){f->at.q + 12, f->at.r});
}

static void tear_down(struct field *f)
{
    fixture_inputs_free(&f->inputs);
    world_free(f->world);
    free(f->rules);
}

static struct world_result share(struct field *f, uint32_t first, uint32_t last,
                                 const uint32_t (*pairs)[2], size_t count,
                                 Mmorts__World__AlliesLend allies)
{
    fixture_inputs_clear(&f->inputs);
    fixture_set_sharing(&f->inputs, first, last, pairs, count, allies);
    return fixture_step_checked(f->world, &f->inputs);
}

static void lend(struct field *f, uint32_t borrower, uint32_t lender)
{
    struct world_result result = share(f, borrower, borrower, &(uint32_t[2]){borrower, lender},
                                       lender == 0 ? 0 : 1, LEND_AS_BEFORE);
    cr_assert(result.applied);
}

static void ally(struct field *f, uint64_t first, uint64_t second)
{
    fixture_inputs_clear(&f->inputs);
    fixture_set_alliances(&f->inputs, (const uint32_t[]){1, 2}, (const uint64_t[]){first, second},
                          2);
    cr_assert(fixture_step_checked(f->world, &f->inputs).applied);
}

static uint32_t attack(struct field *f)
{
    fixture_inputs_clear(&f->inputs);
    fixture_attack(&f->inputs, 1, ++f->seq, &f->soldier, 1, f->prey, false);
    return fixture_step_checked(f->world, &f->inputs).reason;
}

static struct world_entity_view look_at(const struct field *f, uint64_t id)
{
    struct world_entity_view view = {0};
    cr_assert(world_find_entity(f->world, id, &view));
    return view;
}

static Mmorts__World__EntityChange *change(struct field *f, uint64_t entity)
{
    char key[32];
    snprintf(key, sizeof key, "eyes %lu", (unsigned long)++f->changes);
    fixture_inputs_clear(&f->inputs);
    return fixture_set_entity(&f->inputs, key, entity, 1)->changes[0];
}

static void set_eyes(struct field *f, uint64_t entity, Mmorts__Frame__SightType type)
{
    Mmorts__World__EntityChange *eyes = change(f, entity);
    eyes->change_case = MMORTS__WORLD__ENTITY_CHANGE__CHANGE_SIGHT_TYPE;
    eyes->sight_type = type;
    cr_assert(fixture_step_checked(f->world, &f->inputs).applied);
}

static void hide(struct field *f, uint64_t entity)
{
    Mmorts__World__EntityChange *eyes = change(f, entity);
    eyes->change_case = MMORTS__WORLD__ENTITY_CHANGE__CHANGE_STEALTHED;
    eyes->stealthed = true;
    cr_assert(fixture_step_checked(f->world, &f->inputs).applied);
}

// Puts an entity somewhere else at once.
static void put_at(struct field *f, uint64_t entity, int32_t q)
{
    Mmorts__World__EntityChange *place = change(f, entity);
    place->change_case = MMORTS__WORLD__ENTITY_CHANGE__CHANGE_PLACE;
    place->place = mm_arena_calloc(f->inputs.arena, 1, sizeof *place->place);
    mmorts__world__hex__init(place->place);
    place->place->q = f->at.q + q;
    place->place->r = f->at.r;
    cr_assert(fixture_step_checked(f->world, &f->inputs).applied);
}

TestSuite(sharing, .timeout = 300);

// --- what may be aimed at ------------------------------------------------------------------------

Test(sharing, by_order_until_it_ends_and_one_way_only)
{
    struct field f;
    set_up(&f);
    cr_expect_eq(attack(&f), REASON(UNKNOWN_TARGET), "10 hexes off, soldiers see 5");
    lend(&f, 2, 1);
    cr_expect_eq(attack(&f), REASON(UNKNOWN_TARGET), "lent the other way");
    lend(&f, 1, 4);
    cr_expect_eq(attack(&f), REASON(UNKNOWN_TARGET), "by one who sees nothing there");
    lend(&f, 1, 2);
    cr_expect_eq(attack(&f), 0u);
    cr_expect_eq(look_at(&f, f.soldier).activity, MMORTS__FRAME__ACTIVITY__ACTIVITY_MOVING);
    lend(&f, 1, 0);
    cr_expect_eq(attack(&f), REASON(UNKNOWN_TARGET));
    fixture_run(f.world, 20);
    cr_expect_eq(look_at(&f, f.soldier).activity, MMORTS__FRAME__ACTIVITY__ACTIVITY_IDLE,
                 "nor does it go on after what it does not see any more");
    tear_down(&f);
}

Test(sharing, what_is_borrowed_is_not_lent_on)
{
    struct field f;
    set_up(&f);
    lend(&f, 4, 2);
    lend(&f, 1, 4);
    cr_expect_eq(attack(&f), REASON(UNKNOWN_TARGET));
    lend(&f, 1, 2);
    cr_expect_eq(attack(&f), 0u);
    tear_down(&f);
}

Test(sharing, allies_lend_what_vision_says_they_lend)
{
    struct field f;
    set_up(&f);
    ally(&f, 7, 7);
    cr_expect_eq(attack(&f), REASON(UNKNOWN_TARGET), "nothing was said of what allies lend");
    cr_assert(share(&f, 1, UINT32_MAX, NULL, 0, LEND_SHARED).applied);
    cr_expect_eq(attack(&f), REASON(UNKNOWN_TARGET), "a scout keeps its sight to itself");
    set_eyes(&f, f.eye, MMORTS__FRAME__SIGHT_TYPE__SIGHT_SHARED);
    cr_expect_eq(attack(&f), 0u);
    cr_assert(share(&f, 1, UINT32_MAX, NULL, 0, LEND_ALL).applied);
    set_eyes(&f, f.eye, MMORTS__FRAME__SIGHT_TYPE__SIGHT_NORMAL);
    cr_expect_eq(attack(&f), 0u);
    cr_assert_not(share(&f, 1, UINT32_MAX, NULL, 0, LEND_AS_BEFORE).applied);
    cr_expect_eq(attack(&f), 0u);
    ally(&f, 7, 8);
    cr_expect_eq(attack(&f), REASON(UNKNOWN_TARGET));
    tear_down(&f);
}

// The lender's detectors detect for the borrower; its own hidden units stay hidden.
Test(sharing, what_is_hidden_needs_a_detector_that_is_lent)
{
    struct field f;
    set_up(&f);
    lend(&f, 1, 2);
    hide(&f, f.prey);
    cr_expect_eq(attack(&f), REASON(UNKNOWN_TARGET));
    set_eyes(&f, f.eye, MMORTS__FRAME__SIGHT_TYPE__SIGHT_DETECTOR);
    cr_expect_eq(attack(&f), 0u);
    set_eyes(&f, f.eye, MMORTS__FRAME__SIGHT_TYPE__SIGHT_NORMAL);
    hide(&f, f.eye);
    struct world_entity_view eye = look_at(&f, f.eye);
    cr_expect_not(world_empire_sees(f.world, 1, eye.slot), "a lender's own spy is not shown");
    cr_expect(world_empire_sees_hex(f.world, 1, eye.at));
    tear_down(&f);
}

// Places for buildings as well: who is shown a place may build there.
Test(sharing, places_are_seen_as_targets_are)
{
    struct field f;
    set_up(&f);
    uint64_t worker = fixture_put(f.world, &f.inputs, "worker", 1, f.at);
    struct hex_axial there = {f.at.q + 11, f.at.r - 3};
    fixture_build(&f.inputs, 1, ++f.seq, &worker, 1, "barracks", there.q, there.r, false);
    cr_expect_eq(fixture_step_checked(f.world, &f.inputs).reason, REASON(NOT_SEEN));
    lend(&f, 1, 2);
    fixture_inputs_clear(&f.inputs);
    fixture_build(&f.inputs, 1, ++f.seq, &worker, 1, "barracks", there.q, there.r, false);
    struct world_result result = fixture_step_checked(f.world, &f.inputs);
    cr_expect_eq(result.reason, 0u);
    cr_expect_neq(result.bill, 0u);
    tear_down(&f);
}

// --- whom soldiers go after ----------------------------------------------------------------------

// A hidden enemy beside an idle soldier, and an eye that finds it.
static int32_t lost_to(uint32_t owner, bool detects, bool lent)
{
    struct field f;
    set_up(&f);
    f.rules->combat.guard = 1;
    char problem[128];
    cr_assert_eq(world_change_rules(f.world, f.rules, problem, sizeof problem), MM_OK);
    int32_t full = look_at(&f, f.prey).health;
    hide(&f, f.prey);
    uint64_t finder =
        fixture_put(f.world, &f.inputs, "scout", owner, (struct hex_axial){f.at.q + 3, f.at.r + 2});
    if (detects)
        set_eyes(&f, finder, MMORTS__FRAME__SIGHT_TYPE__SIGHT_DETECTOR);
    // Empire 2 and 1 do not fight each other; that by itself lends nothing.
    ally(&f, 7, 7);
    if (lent)
        lend(&f, 1, 2);
    put_at(&f, f.prey, 2);
    fixture_run(f.world, 60);
    struct world_entity_view view = {0};
    int32_t left = world_find_entity(f.world, f.prey, &view) ? view.health : 0;
    tear_down(&f);
    return full - left;
}

Test(sharing, soldiers_set_upon_whom_their_empire_is_shown)
{
    cr_expect_eq(lost_to(1, false, false), 0, "nobody finds it");
    cr_expect_gt(lost_to(1, true, false), 0, "a detector of their own");
    cr_expect_eq(lost_to(2, true, false), 0, "an ally's, who keeps it to himself");
    cr_expect_gt(lost_to(2, true, true), 0, "an ally's, who lends it");
}

// Strikes follow one another faster than looks: sight that ends, ends them too.
Test(sharing, strikes_end_with_the_sight_of_the_target)
{
    struct field f;
    set_up(&f);
    f.rules->types[world_rules_type(f.rules, "soldier")].attack_cooldown_ticks = 2;
    f.rules->types[world_rules_type(f.rules, "soldier")].attack = 1;
    f.rules->types[world_rules_type(f.rules, "scout")].defence = 5; // 1 a strike
    char problem[128];
    cr_assert_eq(world_change_rules(f.world, f.rules, problem, sizeof problem), MM_OK);
    put_at(&f, f.prey, 1);
    put_at(&f, f.eye, 2);
    set_eyes(&f, f.eye, MMORTS__FRAME__SIGHT_TYPE__SIGHT_DETECTOR);
    hide(&f, f.prey);
    lend(&f, 1, 2);
    cr_assert_eq(attack(&f), 0u);
    int32_t full = look_at(&f, f.prey).health;
    fixture_run(f.world, 12);
    int32_t left = look_at(&f, f.prey).health;
    cr_expect_lt(left, full);
    lend(&f, 1, 0);
    fixture_run(f.world, 40);
    cr_expect_geq(look_at(&f, f.prey).health, left - 1);
    cr_expect_eq(look_at(&f, f.soldier).activity, MMORTS__FRAME__ACTIVITY__ACTIVITY_IDLE);
    tear_down(&f);
}

// --- what vision tells ---------------------------------------------------------------------------

Test(sharing, a_range_is_replaced_and_what_is_so_is_no_change)
{
    struct field f;
    set_up(&f);
    const uint32_t all[][2] = {{1, 2}, {1, 4}, {2, 1}, {3, 2}, {4, 1}, {4, 3}};
    uint64_t bare = world_state_hash(f.world);
    cr_expect(share(&f, 1, UINT32_MAX, all, 6, LEND_AS_BEFORE).applied);
    cr_expect_neq(world_state_hash(f.world), bare);
    cr_expect_eq(f.world->shares.count, 6u);
    cr_expect_not(share(&f, 1, UINT32_MAX, all, 6, LEND_AS_BEFORE).applied);
    cr_expect_not(share(&f, 2, 3, all + 2, 2, LEND_AS_BEFORE).applied);
    cr_expect_not(share(&f, 5, UINT32_MAX, NULL, 0, LEND_AS_BEFORE).applied);
    cr_expect(share(&f, 2, 3, &all[2], 1, LEND_AS_BEFORE).applied, "3 is lent nothing any more");
    cr_expect_eq(f.world->shares.count, 5u);
    cr_expect_not(world_borrows(f.world, 3));
    cr_expect(world_borrows(f.world, 4) && world_borrows(f.world, 1) && world_borrows(f.world, 2));
    cr_expect_not(world_borrows(f.world, 0));
    cr_expect(share(&f, 1, UINT32_MAX, NULL, 0, LEND_AS_BEFORE).applied);
    cr_expect_eq(f.world->shares.count, 0u);
    cr_expect_eq(f.world->shares_hash, 0u, "and leaves no trace");
    tear_down(&f);
}

Test(sharing, nonsense_is_refused_and_changes_nothing)
{
    struct field f, twin;
    set_up(&f);
    set_up(&twin);
    static const struct {
        uint32_t first, last, pairs[3][2], allies;
        size_t count;
    } wrong[] = {
        {0, 4, {{0}}, 0, 0},                          // no range
        {3, 2, {{0}}, 0, 0},                          //
        {0, 0, {{0}}, 0, 0},                          //
        {1, 4, {{1, 2}}, 3, 1},                       // no such way to lend
        {1, 4, {{1, 2}}, UINT32_MAX, 1},              //
        {2, 4, {{1, 2}}, 0, 1},                       // beside the range
        {1, 2, {{1, 2}, {3, 1}}, 0, 2},               //
        {1, 9, {{1, 2}, {5, 1}}, 0, 2},               // no such empire
        {1, 9, {{1, 2}, {2, 5}}, 0, 2},               //
        {1, 9, {{1, 2}, {2, 0}}, 0, 2},               //
        {1, 9, {{1, UINT32_MAX}}, 0, 1},              //
        {1, 9, {{1, 2}, {2, 2}}, 0, 2},               // to itself
        {1, 9, {{1, 2}, {1, 2}}, 0, 2},               // twice
        {1, 9, {{1, 3}, {1, 2}}, 0, 2},               // out of order
        {1, 9, {{1, 2}, {3, 1}, {2, 4}}, LEND_ALL, 3} //
    };
    lend(&f, 1, 4);
    lend(&twin, 1, 4);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct world_result result =
            share(&f, wrong[i].first, wrong[i].last, wrong[i].pairs, wrong[i].count,
                  (Mmorts__World__AlliesLend)wrong[i].allies);
        fixture_run(twin.world, 1);
        cr_expect_eq(result.err, MM_INVALID_ARGUMENT, "%zu", i);
        cr_expect_str_not_empty(result.message);
        cr_expect_not(result.applied);
        cr_expect_eq(world_state_hash(f.world), world_state_hash(twin.world), "%zu", i);
    }
    fixture_inputs_clear(&f.inputs);
    fixture_set_sharing(&f.inputs, 1, 4, (const uint32_t[][2]){{1, 2}}, 1, LEND_AS_BEFORE);
    ((Mmorts__World__SetSharingRequest *)(uintptr_t)f.inputs.items[0]->set_sharing)->n_lender = 0;
    cr_expect_eq(fixture_step_checked(f.world, &f.inputs).err, MM_INVALID_ARGUMENT);
    tear_down(&twin);
    tear_down(&f);
}

// As many as there may be, and one more.
Test(sharing, has_its_bounds)
{
    enum { EMPIRES_MANY = WORLD_LENDERS_MAX + 2 };
    struct world_rules *rules = fixture_open_rules();
    rules->start_count = 1;
    struct world *world = fixture_world(rules, 1);
    struct fixture_inputs inputs;
    fixture_inputs_init(&inputs, EMPIRES_MANY);
    for (uint64_t i = 1; i <= EMPIRES_MANY; i++)
        fixture_join(&inputs, i, "one of many");
    fixture_step(world, &inputs);
    cr_assert_eq(world_empire_count(world), EMPIRES_MANY);
    static uint32_t pairs[WORLD_SHARES_PER_CALL + 1][2];
    for (uint32_t i = 0; i < WORLD_LENDERS_MAX + 1; i++) {
        pairs[i][0] = 1;
        pairs[i][1] = i + 2;
    }
    fixture_inputs_clear(&inputs);
    fixture_set_sharing(&inputs, 1, 1, pairs, WORLD_LENDERS_MAX + 1, LEND_AS_BEFORE);
    cr_expect_eq(fixture_step_checked(world, &inputs).err, MM_INVALID_ARGUMENT);
    fixture_set_sharing(&inputs, 1, 1, pairs, WORLD_LENDERS_MAX, LEND_AS_BEFORE);
    cr_expect(fixture_step_checked(world, &inputs).applied);
    size_t count = 0;
    for (uint32_t borrower = 2; count <= WORLD_SHARES_PER_CALL; borrower++)
        for (uint32_t lender = 1; lender < 9 && count <= WORLD_SHARES_PER_CALL; lender++) {
            if (lender == borrower)
                continue;
            pairs[count][0] = borrower;
            pairs[count++][1] = lender;
        }
    fixture_set_sharing(&inputs, 2, UINT32_MAX, pairs, count, LEND_AS_BEFORE);
    cr_expect_eq(fixture_step_checked(world, &inputs).err, MM_INVALID_ARGUMENT);
    fixture_set_sharing(&inputs, 2, UINT32_MAX, pairs, count - 1, LEND_AS_BEFORE);
    cr_expect(fixture_step_checked(world, &inputs).applied);
    cr_expect_eq(world->shares.count, (size_t)WORLD_LENDERS_MAX + WORLD_SHARES_PER_CALL);
    fixture_inputs_free(&inputs);
    world_free(world);
    free(rules);
}

Test(sharing, is_saved_and_loaded)
{
    struct field f;
    set_up(&f);
    lend(&f, 1, 2);
    cr_assert(share(&f, 2, 4, (const uint32_t[][2]){{3, 1}, {4, 2}}, 2, LEND_SHARED).applied);
    struct mm_buf saved;
    mm_buf_init(&saved, SIZE_MAX / 2);
    world_save(f.world, &saved);
    struct world *again = NULL;
    cr_assert_eq(world_load(saved.data, saved.len, &again), MM_OK);
    cr_expect_eq(world_state_hash(again), world_state_hash(f.world));
    cr_expect_eq(again->shares.count, 3u);
    cr_expect_eq(again->allies_lend, (uint32_t)LEND_SHARED);
    mm_buf_free(&saved);
    world_free(f.world);
    f.world = again;
    cr_expect_eq(attack(&f), 0u);
    tear_down(&f);
}
