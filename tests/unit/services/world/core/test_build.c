// Buildings: what is asked before one is placed, bills, work, completion, repair, giving up, and
// what must not be learned of the fog.

#include "services/world/core/state.h"
#include "tests/support/world_mirror.h"
#include "tests/support/world_orders.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define REASON(name) MMORTS__WORLD__COMMAND_REASON__COMMAND_##name

struct field {
    struct world_rules *rules;
    struct world *world;
    struct fixture_inputs inputs;
    struct hex_axial home;
    uint64_t seq, workers[4];
};

static struct world_type *type(struct field *f, const char *name)
{
    return &f->rules->types[world_rules_type(f->rules, name)];
}

static void open_field(struct field *f)
{
    memset(f, 0, sizeof *f);
    f->rules = fixture_open_rules();
    for (uint32_t i = 0; i < f->rules->start_count; i++) {
        const char *name = f->rules->types[f->rules->start[i].type].name;
        f->rules->start[i].count = strcmp(name, "worker") == 0       ? 4
                                   : strcmp(name, "settlement") == 0 ? 1
                                                                     : 0;
    }
    f->rules->commands.burst = 1000;
    type(f, "barracks")->build_ticks = 100;
}

static void begin(struct field *f)
{
    f->world = fixture_world(f->rules, 5);
    fixture_inputs_init(&f->inputs, 16);
    fixture_found(f->world, 2);
    struct world_empire_view view;
    world_empire(f->world, 1, &view);
    f->home = view.home;
    cr_assert_eq(fixture_units(f->world, 1, "worker", f->workers, 4), 4);
}

static void close_field(struct field *f)
{
    char problem[128] = "";
    cr_expect_eq(world_verify(f->world, problem, sizeof problem), MM_OK, "%s", problem);
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

static struct world_result build(struct field *f, size_t workers, const char *name, int32_t q,
                                 int32_t r)
{
    fixture_build(&f->inputs, 1, ++f->seq, f->workers, workers, name, f->home.q + q, f->home.r + r,
                  false);
    return step(f);
}

static struct world_result settle(struct field *f, uint64_t bill, bool paid)
{
    fixture_settle(&f->inputs, bill, paid);
    return step(f);
}

// The only building of the type, or 0.
static uint64_t building(struct field *f, const char *name)
{
    uint64_t ids[4] = {0};
    size_t count = fixture_units(f->world, 1, name, ids, 4);
    cr_assert_leq(count, 1);
    return ids[0];
}

static struct world_entity_view view_of(struct field *f, uint64_t id)
{
    struct world_entity_view view = {0};
    cr_assert(world_find_entity(f->world, id, &view));
    return view;
}

static uint64_t begun(struct field *f, size_t workers)
{
    struct world_result asked = build(f, workers, "barracks", 3, 0);
    cr_assert_eq(asked.reason, 0u, "%s", asked.message);
    cr_assert_neq(asked.bill, 0u);
    cr_assert_eq(building(f, "barracks"), 0u, "nothing stands there before it is paid");
    struct world_result paid = settle(f, asked.bill, true);
    cr_assert_eq(paid.reason, 0u, "%s", paid.message);
    return building(f, "barracks");
}

Test(build, a_paid_building_is_there_at_once_and_grows_with_the_work)
{
    struct field f;
    open_field(&f);
    begin(&f);
    uint64_t site = begun(&f, 1);
    cr_assert_neq(site, 0u);
    struct world_entity_view view = view_of(&f, site);
    int32_t last = view.health, full = (int32_t)type(&f, "barracks")->health_max;
    cr_expect_eq(view.progress, 0u);
    cr_expect_eq(last, full / 10);
    uint32_t ticks = 0, working = 0;
    for (; ticks < 400 && view.progress < 1000; ticks++) {
        fixture_run(f.world, 1);
        uint32_t before = view.progress;
        view = view_of(&f, site);
        cr_assert_geq(view.health, last);
        working += view.progress > before;
        last = view.health;
    }
    cr_expect_eq(view.progress, 1000u);
    cr_expect_eq(view.health, full);
    cr_expect_eq(working, 100u, "one worker does one tick of work in a tick: %u", working);
    cr_expect_eq(view_of(&f, f.workers[0]).activity, MMORTS__FRAME__ACTIVITY__ACTIVITY_BUILDING);
    fixture_run(f.world, 2);
    cr_expect_eq(view_of(&f, f.workers[0]).activity, MMORTS__FRAME__ACTIVITY__ACTIVITY_IDLE);
    close_field(&f);
}

static uint32_t ticks_to_build(size_t workers)
{
    struct field f;
    open_field(&f);
    type(&f, "barracks")->build_ticks = 1200;
    begin(&f);
    uint64_t site = begun(&f, workers);
    uint32_t ticks = 0;
    while (view_of(&f, site).progress < 1000 && ticks < 3000) {
        fixture_run(f.world, 1);
        ticks++;
    }
    close_field(&f);
    return ticks;
}

Test(build, several_workers_share_the_work)
{
    uint32_t alone = ticks_to_build(1), together = ticks_to_build(4);
    cr_expect(alone >= 1200 && alone < 1300, "%u", alone);
    cr_expect(together >= 300 && together < 400, "%u", together);
}

Test(build, a_bill_that_is_not_paid_leaves_nothing_and_is_answered_alike_again)
{
    struct field f;
    open_field(&f);
    begin(&f);
    struct world_result asked = build(&f, 1, "barracks", 3, 0);
    cr_assert_neq(asked.bill, 0u);
    // While it is open a repetition waits for the same bill.
    fixture_build(&f.inputs, 1, f.seq, f.workers, 1, "barracks", 0, 0, false);
    cr_expect_eq(step(&f).bill, asked.bill);
    struct world_result refused = settle(&f, asked.bill, false);
    cr_expect_eq(refused.reason, (uint32_t)REASON(CANNOT_AFFORD));
    cr_expect_eq(building(&f, "barracks"), 0u);
    cr_expect_eq(view_of(&f, f.workers[0]).activity, MMORTS__FRAME__ACTIVITY__ACTIVITY_IDLE);
    fixture_build(&f.inputs, 1, f.seq, f.workers, 1, "barracks", 0, 0, false);
    struct world_result again = step(&f);
    cr_expect_eq(again.reason, (uint32_t)REASON(CANNOT_AFFORD));
    cr_expect_eq(again.bill, 0u);
    cr_expect_eq(settle(&f, asked.bill, true).err, MM_NOT_FOUND, "it is settled once");
    cr_expect_eq(building(&f, "barracks"), 0u);
    close_field(&f);
}

static uint64_t refunded(struct field *f, const char *item)
{
    int index = world_rules_item(f->rules, item);
    cr_assert_geq(index, 0);
    return f->world->empires.items[0].refunds[index];
}

Test(build, what_was_paid_and_cannot_be_placed_any_more_is_given_back)
{
    struct field f;
    open_field(&f);
    begin(&f);
    struct world_result asked = build(&f, 1, "barracks", 3, 0);
    put(&f, "gold_mine", 0, 3, 0);
    cr_expect_eq(settle(&f, asked.bill, true).reason, (uint32_t)REASON(OCCUPIED));
    cr_expect_eq(refunded(&f, "wood"), 150u);
    cr_expect_eq(refunded(&f, "stone"), 50u);
    // Too late.
    asked = build(&f, 1, "barracks", 0, 3);
    fixture_run(f.world, WORLD_BILL_TICKS_MAX + 1);
    cr_expect_eq(settle(&f, asked.bill, true).reason, (uint32_t)REASON(EXPIRED));
    cr_expect_eq(refunded(&f, "wood"), 300u);
    // Everybody who was to build it is gone.
    asked = build(&f, 1, "barracks", 0, 3);
    fixture_despawn(&f.inputs, f.workers[0]);
    step(&f);
    cr_expect_eq(settle(&f, asked.bill, true).reason, (uint32_t)REASON(CANNOT));
    cr_expect_eq(refunded(&f, "wood"), 450u);
    cr_expect_eq(building(&f, "barracks"), 0u);
    close_field(&f);
}

Test(build, frames_tell_progress_sight_and_refunds)
{
    struct field f;
    open_field(&f);
    type(&f, "barracks")->build_ticks = 10;
    begin(&f);
    uint64_t site = begun(&f, 1);
    uint32_t slot = view_of(&f, site).slot;
    struct mm_arena *arena = mm_arena_new(1 << 16, 1 << 26);
    bool blind = false, sighted = false, built = false, complete = false;
    for (int i = 0; i < 200; i++) {
        Mmorts__Frame__TickFrame *frame = world_frame(f.world, arena);
        for (size_t c = 0; c < frame->n_columns; c++)
            for (size_t e = 0; e < frame->columns[c]->n_entity; e++) {
                int32_t value = frame->columns[c]->value[e];
                bool sight = frame->columns[c]->attribute ==
                             MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_SIGHT_ENABLED;
                bool progress =
                    frame->columns[c]->attribute == MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_PROGRESS;
                if (frame->columns[c]->entity[e] != slot)
                    continue;
                blind |= sight && value == 0;
                sighted |= blind && sight && value == 1;
                complete |= progress && value == 1000;
            }
        for (size_t e = 0; frame->events && e < frame->events->n_kind; e++)
            built |= frame->events->kind[e] == MMORTS__FRAME__EVENT_KIND__EVENT_BUILT &&
                     frame->events->entity[e] == slot;
        mm_arena_reset(arena);
        fixture_run(f.world, 1);
    }
    cr_expect(blind && sighted && complete && built, "%d %d %d %d", blind, sighted, complete,
              built);
    mm_arena_free(arena);
    close_field(&f);
}

Test(build, refusals_are_typed_and_change_nothing)
{
    struct field f;
    open_field(&f);
    begin(&f);
    uint64_t foe = put(&f, "soldier", 2, 2, -3);
    put(&f, "gold_mine", 0, -3, 0);
    uint64_t soldier = put(&f, "soldier", 1, 0, 2);
    struct world_entity_view at = view_of(&f, foe);
    const struct {
        const char *name;
        int32_t q, r;
        uint64_t unit;
        uint32_t reason;
    } cases[] = {
        {"castle", 3, 0, f.workers[0], REASON(UNKNOWN_TYPE)},
        {"scout", 3, 0, f.workers[0], REASON(UNKNOWN_TYPE)},
        {"", 3, 0, f.workers[0], REASON(UNKNOWN_TYPE)},
        {"barracks", 3, 0, soldier, REASON(CANNOT)},
        {"barracks", 3, 0, foe, REASON(UNKNOWN_UNIT)},
        {"barracks", 100000, 0, f.workers[0], REASON(OUT_OF_MAP)},
        {"barracks", 15, 0, f.workers[0], REASON(NOT_SEEN)},
        {"barracks", -3, 0, f.workers[0], REASON(OCCUPIED)},
        {"barracks", 0, 0, f.workers[0], REASON(OCCUPIED)},
        {"barracks", at.at.q - f.home.q, at.at.r - f.home.r, f.workers[0], REASON(OCCUPIED)},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t bill_next = f.world->bill_next;
        fixture_build(&f.inputs, 1, ++f.seq, &cases[i].unit, 1, cases[i].name,
                      f.home.q + cases[i].q, f.home.r + cases[i].r, false);
        struct world_result result = step(&f);
        cr_expect_eq(result.reason, cases[i].reason, "case %zu: %u %s", i, result.reason,
                     result.message);
        cr_expect_not(result.applied);
        cr_expect_eq(f.world->bill_next, bill_next);
    }
    for (uint32_t i = 0; i < WORLD_BILLS_PER_PLAYER_MAX; i++)
        cr_expect_neq(build(&f, 1, "barracks", 3, 0).bill, 0u);
    cr_expect_eq(build(&f, 1, "barracks", 3, 0).reason, (uint32_t)REASON(QUEUE_FULL));
    close_field(&f);
}

Test(build, units_step_aside_and_who_is_not_shown_does_not_change_the_answer)
{
    struct field f;
    open_field(&f);
    fixture_peace(f.rules);
    type(&f, "scout")->flags |= MMORTS__FRAME__TYPE_FLAG__TYPE_FLAG_STEALTH;
    begin(&f);
    uint64_t hidden = put(&f, "scout", 2, 3, 0);
    struct world_entity_view before = view_of(&f, hidden);
    cr_assert_eq(before.at.q, f.home.q + 3);
    uint64_t site = begun(&f, 1);
    struct world_entity_view after = view_of(&f, hidden), there = view_of(&f, site);
    cr_expect_eq(there.at.q, f.home.q + 3);
    cr_expect_eq(hex_distance(after.at, there.at), 1, "it stepped aside");
    // The empire's own unit does as well.
    uint64_t own = put(&f, "worker", 1, -3, 0);
    struct world_result asked = build(&f, 1, "tower", -3, 0);
    cr_expect_eq(settle(&f, asked.bill, true).reason, 0u);
    cr_expect_eq(hex_distance(view_of(&f, own).at, (struct hex_axial){f.home.q - 3, f.home.r}), 1);
    close_field(&f);
}

Test(build, giving_up_gives_back_what_was_paid_and_only_once)
{
    struct field f;
    open_field(&f);
    f.rules->construction.refund_percent = 50;
    begin(&f);
    uint64_t site = begun(&f, 2);
    fixture_run(f.world, 60);
    fixture_cancel_build(&f.inputs, 2, 1, site);
    cr_expect_eq(step(&f).reason, (uint32_t)REASON(UNKNOWN_TARGET), "it is another's");
    fixture_cancel_build(&f.inputs, 1, ++f.seq, site);
    cr_expect_eq(step(&f).reason, 0u);
    cr_expect_eq(building(&f, "barracks"), 0u);
    cr_expect_eq(refunded(&f, "wood"), 75u);
    fixture_cancel_build(&f.inputs, 1, ++f.seq, site);
    cr_expect_eq(step(&f).reason, (uint32_t)REASON(UNKNOWN_TARGET));
    cr_expect_eq(refunded(&f, "wood"), 75u);
    fixture_run(f.world, 5);
    cr_expect_eq(view_of(&f, f.workers[0]).activity, MMORTS__FRAME__ACTIVITY__ACTIVITY_IDLE);
    uint64_t home = building(&f, "settlement");
    fixture_cancel_build(&f.inputs, 1, ++f.seq, home);
    cr_expect_eq(step(&f).reason, (uint32_t)REASON(INVALID), "it is complete");
    close_field(&f);
}

Test(build, a_site_that_is_destroyed_ends_the_work)
{
    struct field f;
    open_field(&f);
    begin(&f);
    uint64_t site = begun(&f, 2);
    fixture_run(f.world, 40);
    fixture_despawn(&f.inputs, site);
    step(&f);
    fixture_run(f.world, 5);
    cr_expect_eq(view_of(&f, f.workers[0]).activity, MMORTS__FRAME__ACTIVITY__ACTIVITY_IDLE);
    cr_expect_eq(refunded(&f, "wood"), 0u);
    close_field(&f);
}

Test(build, a_site_neither_sees_nor_fights_nor_takes_deposits)
{
    struct field f;
    open_field(&f);
    type(&f, "tower")->build_ticks = 100000;
    type(&f, "settlement")->build_ticks = 50;
    begin(&f);
    struct world_result asked = build(&f, 1, "tower", 0, 5);
    cr_assert_eq(settle(&f, asked.bill, true).reason, 0u);
    uint64_t foe = put(&f, "worker", 2, 0, 7);
    int32_t health = view_of(&f, foe).health;
    fixture_run(f.world, 60);
    cr_expect_eq(view_of(&f, foe).health, health, "a tower that is not complete does not shoot");
    // A place and somebody there whom only the tower could see.
    struct hex_axial far = {f.home.q, f.home.r + 13};
    uint64_t watched = put(&f, "worker", 2, 0, 13);
    uint32_t slot = view_of(&f, watched).slot;
    cr_expect(!world_empire_sees_hex(f.world, 1, far) && !world_empire_sees(f.world, 1, slot));
    uint64_t tower = building(&f, "tower");
    Mmorts__World__SetEntityRequest *set = fixture_set_entity(&f.inputs, "done", tower, 1);
    set->changes[0]->change_case = MMORTS__WORLD__ENTITY_CHANGE__CHANGE_PROGRESS;
    set->changes[0]->progress = 1000;
    cr_assert_eq(step(&f).err, MM_OK);
    cr_expect(world_empire_sees_hex(f.world, 1, far) && world_empire_sees(f.world, 1, slot));
    fixture_run(f.world, 60);
    struct world_entity_view view;
    cr_expect(!world_find_entity(f.world, foe, &view) || view.health < health, "now it does");

    uint32_t first = f.world->empires.items[0].settlements;
    asked = build(&f, 4, "settlement", -4, 0);
    cr_assert_eq(settle(&f, asked.bill, true).reason, 0u);
    cr_expect_eq(f.world->next_settlement[first], 0u, "not a home yet");
    fixture_run(f.world, 200);
    cr_expect_neq(f.world->next_settlement[first], 0u, "a home now");
    close_field(&f);
}

Test(build, repair_makes_damage_good_and_takes_over_sites)
{
    struct field f;
    open_field(&f);
    begin(&f);
    uint64_t home = building(&f, "settlement");
    fixture_repair(&f.inputs, 1, ++f.seq, f.workers, 1, home, false);
    cr_expect_eq(step(&f).reason, (uint32_t)REASON(INVALID), "nothing to repair");
    Mmorts__World__SetEntityRequest *set = fixture_set_entity(&f.inputs, "hurt", home, 1);
    set->changes[0]->change_case = MMORTS__WORLD__ENTITY_CHANGE__CHANGE_HEALTH;
    set->changes[0]->health = 1400;
    cr_assert_eq(step(&f).err, MM_OK);
    fixture_repair(&f.inputs, 1, ++f.seq, f.workers, 2, home, false);
    cr_expect_eq(step(&f).reason, 0u);
    fixture_run(f.world, 30);
    cr_expect_eq(view_of(&f, f.workers[0]).activity, MMORTS__FRAME__ACTIVITY__ACTIVITY_REPAIRING);
    fixture_run(f.world, 200);
    cr_expect_eq(view_of(&f, home).health, 1500);
    cr_expect_eq(view_of(&f, f.workers[0]).activity, MMORTS__FRAME__ACTIVITY__ACTIVITY_IDLE);
    uint64_t site = begun(&f, 1);
    fixture_stop(&f.inputs, 1, ++f.seq, f.workers, 1);
    step(&f);
    fixture_run(f.world, 50);
    cr_expect_eq(view_of(&f, site).progress, 0u);
    fixture_repair(&f.inputs, 1, ++f.seq, f.workers, 4, site, false);
    cr_expect_eq(step(&f).reason, 0u);
    fixture_run(f.world, 200);
    cr_expect_eq(view_of(&f, site).progress, 1000u);
    uint64_t foreign = put(&f, "barracks", 2, 4, 2);
    fixture_repair(&f.inputs, 1, ++f.seq, f.workers, 4, foreign, false);
    cr_expect_eq(step(&f).reason, (uint32_t)REASON(UNKNOWN_TARGET));
    close_field(&f);
}

Test(build, a_state_with_sites_and_open_bills_is_saved_and_goes_on_alike)
{
    struct field f;
    open_field(&f);
    begin(&f);
    begun(&f, 2);
    struct world_result asked = build(&f, 1, "tower", -3, 0);
    fixture_run(f.world, 30);
    struct mm_buf bytes;
    mm_buf_init(&bytes, 1 << 28);
    world_save(f.world, &bytes);
    struct world *copy;
    cr_assert_eq(world_load(bytes.data, bytes.len, &copy), MM_OK);
    fixture_settle(&f.inputs, asked.bill, true);
    fixture_step(copy, &f.inputs);
    cr_expect_eq(f.inputs.results[0].reason, 0u);
    settle(&f, asked.bill, true);
    for (int i = 0; i < 200; i++) {
        fixture_run(f.world, 1);
        fixture_run(copy, 1);
        cr_assert_eq(world_state_hash(f.world), world_state_hash(copy), "tick %d", i);
    }
    world_free(copy);
    mm_buf_free(&bytes);
    close_field(&f);
}

Test(build, a_type_that_costs_nothing_needs_no_bill)
{
    struct field f;
    open_field(&f);
    memset(type(&f, "barracks")->cost, 0, sizeof type(&f, "barracks")->cost);
    begin(&f);
    struct world_result placed = build(&f, 1, "barracks", 3, 0);
    cr_expect_eq(placed.reason, 0u);
    cr_expect_eq(placed.bill, 0u);
    cr_expect_neq(building(&f, "barracks"), 0u);
    close_field(&f);
}

// As many entities as there may be: the order is refused, and taken when there is room again.
Test(build, a_full_session_has_no_room_for_a_building)
{
    struct field f;
    open_field(&f);
    memset(type(&f, "barracks")->cost, 0, sizeof type(&f, "barracks")->cost);
    begin(&f);
    uint64_t soldier = put(&f, "soldier", 2, -8, 4);
    uint32_t most = f.world->ecs.entities_max;
    // Slots that were given back are taken again, so what counts is who lives.
    f.world->ecs.entities_max = f.world->ecs.alive_count;
    struct world_result refused = build(&f, 1, "barracks", 3, 0);
    cr_expect_eq(refused.reason, (uint32_t)REASON(NO_ROOM), "%u %s", refused.reason,
                 refused.message);
    cr_expect(!refused.applied && building(&f, "barracks") == 0);
    fixture_despawn(&f.inputs, soldier);
    (void)step(&f);
    cr_expect_eq(build(&f, 1, "barracks", 3, 0).reason, 0u);
    f.world->ecs.entities_max = most;
    close_field(&f);
}

Test(build, queued_buildings_are_built_one_after_the_other)
{
    struct field f;
    open_field(&f);
    type(&f, "tower")->build_ticks = 60;
    begin(&f);
    begun(&f, 1);
    fixture_build(&f.inputs, 1, ++f.seq, f.workers, 1, "tower", f.home.q, f.home.r + 4, true);
    struct world_result asked = step(&f);
    cr_assert_eq(settle(&f, asked.bill, true).reason, 0u);
    fixture_run(f.world, 60);
    cr_expect_eq(view_of(&f, building(&f, "tower")).progress, 0u);
    fixture_run(f.world, 400);
    cr_expect_eq(view_of(&f, building(&f, "barracks")).progress, 1000u);
    cr_expect_eq(view_of(&f, building(&f, "tower")).progress, 1000u);
    close_field(&f);
}
