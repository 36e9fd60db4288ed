// Attack, defence and death, on an open map where the two empires' soldiers are set side by side.

#include "services/world/core/state.h"
#include "tests/support/world_fixture.h"
#include "tests/support/world_mirror.h"
#include "tests/support/world_orders.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REASON(name) MMORTS__WORLD__COMMAND_REASON__COMMAND_##name

// Far from both homes, and within one empty stretch.
enum { FIELD_Q = 20, FIELD_R = -6 };

struct arena {
    struct world_rules *rules;
    struct world *world;
    struct fixture_inputs inputs;
    uint64_t seq[3];
    unsigned spawned;
};

static void open_arena(struct arena *a)
{
    memset(a, 0, sizeof *a);
    a->rules = fixture_open_rules();
}

static void begin(struct arena *a)
{
    a->world = fixture_world(a->rules, 5);
    fixture_inputs_init(&a->inputs, 64);
    fixture_found(a->world, 2);
}

static void close_arena(struct arena *a)
{
    char problem[128] = "";
    cr_expect_eq(world_verify(a->world, problem, sizeof problem), MM_OK, "%s", problem);
    cr_expect_eq(world_state_hash(a->world), world_state_hash_full(a->world));
    fixture_inputs_free(&a->inputs);
    world_free(a->world);
    free(a->rules);
}

static uint64_t put(struct arena *a, const char *type, uint32_t empire, int32_t q, int32_t r)
{
    char key[16];
    snprintf(key, sizeof key, "%u", ++a->spawned);
    fixture_inputs_clear(&a->inputs);
    fixture_spawn(&a->inputs, key, type, empire, 1, FIELD_Q + q, FIELD_R + r);
    fixture_step(a->world, &a->inputs);
    cr_assert_eq(a->inputs.results[0].err, MM_OK);
    return a->inputs.results[0].entities[0];
}

static uint32_t attack(struct arena *a, uint32_t player, uint64_t unit, uint64_t target)
{
    fixture_inputs_clear(&a->inputs);
    fixture_attack(&a->inputs, player, ++a->seq[player], &unit, 1, target, false);
    fixture_step(a->world, &a->inputs);
    a->seq[player] -= !a->inputs.results[0].applied;
    return a->inputs.results[0].reason;
}

static struct world_entity_view look_at(const struct arena *a, uint64_t id)
{
    struct world_entity_view view = {0};
    world_find_entity(a->world, id, &view);
    return view;
}

static bool lives(const struct arena *a, uint64_t id)
{
    return look_at(a, id).id == id;
}

static struct world_type *type(struct arena *a, const char *name)
{
    return &a->rules->types[world_rules_type(a->rules, name)];
}

// Runs until it is gone; the tick count, or the limit.
static unsigned until_dead(struct arena *a, uint64_t id, unsigned limit)
{
    unsigned ticks = 0;
    for (; ticks < limit && lives(a, id); ticks++)
        fixture_run(a->world, 1);
    return ticks;
}

Test(combat, a_strike_takes_attack_less_defence_every_cooldown)
{
    struct arena a;
    open_arena(&a);
    type(&a, "soldier")->attack = 30;
    type(&a, "soldier")->attack_cooldown_ticks = 10;
    type(&a, "worker")->defence = 20;
    type(&a, "worker")->health_max = 45;
    begin(&a);
    uint64_t victim = put(&a, "worker", 2, 1, 0), soldier = put(&a, "soldier", 1, 0, 0);
    cr_assert_eq(attack(&a, 1, soldier, victim), REASON(OK));
    // It struck in the tick of the order.
    cr_expect_eq(look_at(&a, victim).health, 35);
    cr_expect_eq(look_at(&a, soldier).activity, MMORTS__FRAME__ACTIVITY__ACTIVITY_ATTACKING);
    fixture_run(a.world, 9);
    cr_expect_eq(look_at(&a, victim).health, 35);
    fixture_run(a.world, 1);
    cr_expect_eq(look_at(&a, victim).health, 25);
    cr_expect_eq(until_dead(&a, victim, 100), 30);
    fixture_run(a.world, 2);
    cr_expect_eq(look_at(&a, soldier).activity, MMORTS__FRAME__ACTIVITY__ACTIVITY_IDLE);
    cr_expect_eq(a.world->ecs.columns[WORLD_FIGHT].row_count, 0);
    cr_expect_eq(a.world->ecs.columns[WORLD_ORDERS].row_count, 0);
    close_arena(&a);
}

Test(combat, at_least_one_comes_through)
{
    struct arena a;
    open_arena(&a);
    type(&a, "worker")->defence = 1000;
    begin(&a);
    uint64_t victim = put(&a, "worker", 2, 1, 0), soldier = put(&a, "soldier", 1, 0, 0);
    cr_assert_eq(attack(&a, 1, soldier, victim), REASON(OK));
    cr_expect_eq(look_at(&a, victim).health, 49);
    close_arena(&a);
}

// Soldiers that strike in the same tick do so at once: both fall.
Test(combat, who_is_first_in_the_tables_has_no_advantage)
{
    struct arena a;
    open_arena(&a);
    type(&a, "soldier")->attack = 1000;
    type(&a, "soldier")->sight_hexes = 0;
    begin(&a);
    put(&a, "scout", 1, 0, 2);
    put(&a, "scout", 2, 1, 2);
    uint64_t one = put(&a, "soldier", 1, 0, 0), two = put(&a, "soldier", 2, 1, 0);
    fixture_inputs_clear(&a.inputs);
    fixture_attack(&a.inputs, 1, 1, &one, 1, two, false);
    fixture_attack(&a.inputs, 2, 1, &two, 1, one, false);
    fixture_step(a.world, &a.inputs);
    cr_assert(a.inputs.results[0].applied && a.inputs.results[1].applied);
    cr_expect(!lives(&a, one) && !lives(&a, two));
    cr_expect_eq(a.world->events.count, 4, "two strikes and two deaths, not %zu",
                 a.world->events.count);
    close_arena(&a);
}

Test(combat, frames_tell_of_strikes_health_and_death)
{
    struct arena a;
    open_arena(&a);
    type(&a, "soldier")->attack = 26;
    begin(&a);
    uint64_t victim = put(&a, "worker", 2, 1, 0), soldier = put(&a, "soldier", 1, 0, 0);
    uint32_t victim_slot = look_at(&a, victim).slot, slot = look_at(&a, soldier).slot;
    struct mm_arena *memory = mm_arena_new(1 << 16, 1 << 26);
    cr_assert_eq(attack(&a, 1, soldier, victim), REASON(OK));
    const Mmorts__Frame__TickFrame *frame = world_frame(a.world, memory);
    cr_assert(frame->events && frame->events->n_kind == 1);
    cr_expect(frame->events->kind[0] == MMORTS__FRAME__EVENT_KIND__EVENT_ATTACK &&
              frame->events->entity[0] == slot && frame->events->other[0] == victim_slot &&
              frame->events->value[0] == 26);
    struct mirror *mirror = mirror_new();
    mirror_apply(mirror, world_snapshot_frame(a.world, memory));
    cr_expect_eq(mirror->entities[victim_slot].attributes[1], 24, "its health");
    for (unsigned i = 0; i < 16; i++) {
        fixture_run(a.world, 1);
        frame = world_frame(a.world, memory);
        mirror_apply(mirror, frame);
    }
    cr_assert(frame->events && frame->events->n_kind == 2 && frame->n_despawned == 1);
    cr_expect(frame->events->kind[1] == MMORTS__FRAME__EVENT_KIND__EVENT_DEATH &&
              frame->events->entity[1] == victim_slot && frame->events->other[1] == slot);
    cr_expect_eq(frame->despawned[0], victim_slot);
    cr_expect_not(mirror->entities[victim_slot].alive);
    mirror_free(mirror);
    mm_arena_free(memory);
    close_arena(&a);
}

Test(combat, idle_soldiers_take_the_nearest_enemy_and_go_home)
{
    struct arena a;
    open_arena(&a);
    begin(&a);
    uint64_t far_off = put(&a, "worker", 2, 5, 0), near = put(&a, "worker", 2, -3, 0);
    uint64_t soldier = put(&a, "soldier", 1, 0, 0);
    struct hex_axial post = look_at(&a, soldier).at;
    fixture_run(a.world, 60);
    cr_expect_lt(look_at(&a, near).health, 50);
    cr_expect_eq(look_at(&a, far_off).health, 50);
    cr_assert_lt(until_dead(&a, near, 500), 500);
    cr_assert_lt(until_dead(&a, far_off, 500), 500);
    fixture_run(a.world, 200);
    cr_expect(hex_equal(look_at(&a, soldier).at, post));
    cr_expect_eq(look_at(&a, soldier).activity, MMORTS__FRAME__ACTIVITY__ACTIVITY_IDLE);
    close_arena(&a);
}

Test(combat, without_guard_only_orders_lead_to_fights)
{
    struct arena a;
    open_arena(&a);
    a.rules->combat.guard = 0;
    begin(&a);
    uint64_t worker = put(&a, "worker", 2, 2, 0), soldier = put(&a, "soldier", 1, 0, 0);
    fixture_run(a.world, 60);
    cr_expect_eq(look_at(&a, worker).health, 50);
    cr_assert_eq(attack(&a, 1, soldier, worker), REASON(OK));
    cr_expect_lt(until_dead(&a, worker, 300), 300);
    close_arena(&a);
}

// Whom it was not told to attack it follows only so far.
Test(combat, the_leash_holds)
{
    struct arena a;
    open_arena(&a);
    a.rules->combat.leash_hexes = 3;
    type(&a, "scout")->health_max = 100000;
    type(&a, "scout")->ticks_per_hex = 8;
    begin(&a);
    uint64_t soldier = put(&a, "soldier", 1, 0, 0), scout = put(&a, "scout", 2, 3, 0);
    struct hex_axial post = look_at(&a, soldier).at;
    fixture_inputs_clear(&a.inputs);
    fixture_move(&a.inputs, 2, 1, &scout, 1, FIELD_Q + 20, FIELD_R, false);
    fixture_step(a.world, &a.inputs);
    int32_t farthest = 0;
    for (unsigned i = 0; i < 500; i++) {
        fixture_run(a.world, 1);
        int32_t away = hex_distance(look_at(&a, soldier).at, post);
        farthest = away > farthest ? away : farthest;
    }
    cr_expect(farthest >= 2 && farthest <= 5, "it went %d hexes", farthest);
    cr_expect(hex_equal(look_at(&a, soldier).at, post));
    close_arena(&a);
}

// An order has no leash, and ends when nobody sees the target any more.
Test(combat, an_ordered_chase_ends_out_of_sight)
{
    struct arena a;
    open_arena(&a);
    type(&a, "scout")->health_max = 100000;
    type(&a, "scout")->ticks_per_hex = 6;
    a.rules->combat.leash_hexes = 2;
    begin(&a);
    uint64_t soldier = put(&a, "soldier", 1, 0, 0), scout = put(&a, "scout", 2, 3, 0);
    struct hex_axial post = look_at(&a, soldier).at;
    cr_assert_eq(attack(&a, 1, soldier, scout), REASON(OK));
    fixture_inputs_clear(&a.inputs);
    fixture_move(&a.inputs, 2, 1, &scout, 1, FIELD_Q + 24, FIELD_R, false);
    fixture_step(a.world, &a.inputs);
    fixture_run(a.world, 50);
    cr_expect_gt(hex_distance(look_at(&a, soldier).at, post), 3);
    fixture_run(a.world, 200);
    cr_expect_eq(look_at(&a, soldier).activity, MMORTS__FRAME__ACTIVITY__ACTIVITY_IDLE);
    cr_expect_eq(a.world->ecs.columns[WORLD_FIGHT].row_count, 0);
    cr_expect_eq(a.world->ecs.columns[WORLD_ORDERS].row_count, 0);
    close_arena(&a);
}

Test(combat, an_attack_move_fights_and_goes_on)
{
    struct arena a;
    open_arena(&a);
    begin(&a);
    uint64_t soldier = put(&a, "soldier", 1, 0, 0), plain = put(&a, "soldier", 1, 0, 4);
    uint64_t worker = put(&a, "worker", 2, 8, 0);
    fixture_inputs_clear(&a.inputs);
    fixture_attack_move(&a.inputs, 1, 1, &soldier, 1, FIELD_Q + 16, FIELD_R, false);
    fixture_step(a.world, &a.inputs);
    cr_assert_eq(a.inputs.results[0].reason, REASON(OK));
    cr_assert_lt(until_dead(&a, worker, 400), 400);
    fixture_run(a.world, 150);
    cr_expect_eq(look_at(&a, soldier).at.q, FIELD_Q + 16);
    // A plain move looks at nobody.
    worker = put(&a, "worker", 2, 8, 4);
    fixture_inputs_clear(&a.inputs);
    fixture_move(&a.inputs, 1, 2, &plain, 1, FIELD_Q + 16, FIELD_R + 4, false);
    fixture_step(a.world, &a.inputs);
    fixture_run(a.world, 150);
    cr_expect_eq(look_at(&a, worker).health, 50);
    cr_expect_eq(look_at(&a, plain).at.q, FIELD_Q + 16);
    close_arena(&a);
}

Test(combat, buildings_fall_and_leave_their_hex)
{
    struct arena a;
    open_arena(&a);
    type(&a, "soldier")->attack = 200;
    begin(&a);
    uint64_t barracks = put(&a, "barracks", 2, 3, 0), soldier = put(&a, "soldier", 1, 0, 0);
    uint32_t cell = world_map_cell(&a.world->map, look_at(&a, barracks).at);
    cr_expect_eq(a.world->grid.cells[cell].blockers, 1);
    cr_assert_eq(attack(&a, 1, soldier, barracks), REASON(OK));
    cr_assert_lt(until_dead(&a, barracks, 600), 600);
    cr_expect_eq(a.world->grid.cells[cell].blockers, 0);
    cr_expect_eq(world_grid_first(&a.world->grid, cell), 0);
    close_arena(&a);
}

// A range of several hexes is used: it stands off, and nobody who cannot reach it strikes back.
Test(combat, range_is_used)
{
    struct arena a;
    open_arena(&a);
    type(&a, "soldier")->attack_range_hexes = 4;
    begin(&a);
    uint64_t worker = put(&a, "worker", 2, 5, 0), soldier = put(&a, "soldier", 1, 0, 0);
    cr_assert_eq(attack(&a, 1, soldier, worker), REASON(OK));
    fixture_run(a.world, 40);
    cr_expect_lt(look_at(&a, worker).health, 50);
    cr_expect_eq(hex_distance(look_at(&a, soldier).at, look_at(&a, worker).at), 4);
    close_arena(&a);
}

// What a player does not see gets the answer of what never was, and refusals leave no trace.
Test(combat, targets_are_no_oracle)
{
    struct arena a;
    open_arena(&a);
    begin(&a);
    uint64_t soldier = put(&a, "soldier", 1, 0, 0), worker = put(&a, "worker", 1, 0, 1);
    uint64_t hidden = put(&a, "worker", 2, 6, 0), mine = 0, gone = put(&a, "worker", 2, 2, 0);
    uint64_t seen = put(&a, "barracks", 2, 4, 0), node = put(&a, "gold_mine", 0, 0, 3);
    fixture_units(a.world, 1, "settlement", &mine, 1);
    fixture_inputs_clear(&a.inputs);
    fixture_despawn(&a.inputs, gone);
    fixture_step(a.world, &a.inputs);
    const uint64_t unknown[] = {hidden, gone, 0, 1, UINT64_MAX};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        cr_expect_eq(attack(&a, 1, soldier, unknown[i]), REASON(UNKNOWN_TARGET), "case %zu", i);
        cr_expect_str_eq(a.inputs.results[0].message, "there is no such target in sight");
    }
    cr_expect_eq(attack(&a, 1, soldier, mine), REASON(INVALID));
    cr_expect_eq(attack(&a, 1, soldier, node), REASON(INVALID));
    cr_expect_eq(attack(&a, 1, worker, seen), REASON(CANNOT));
    cr_expect_eq(attack(&a, 2, soldier, seen), REASON(UNKNOWN_UNIT));
    fixture_inputs_clear(&a.inputs);
    fixture_attack(&a.inputs, 1, ++a.seq[1], &soldier, 1, seen, false)->attack = NULL;
    fixture_step(a.world, &a.inputs);
    cr_expect_eq(a.inputs.results[0].reason, REASON(INVALID));
    cr_expect_eq(attack(&a, 1, soldier, seen), REASON(OK));
    for (int i = 0; i < WORLD_ORDERS_MAX; i++) {
        fixture_inputs_clear(&a.inputs);
        fixture_attack(&a.inputs, 1, ++a.seq[1], &soldier, 1, seen, true);
        fixture_step(a.world, &a.inputs);
    }
    cr_expect_eq(a.inputs.results[0].reason, REASON(QUEUE_FULL));
    close_arena(&a);
}

// Only a detector shows the stealthed: to others they are no target, and no enemy.
Test(combat, the_stealthed_are_not_there)
{
    struct arena a;
    open_arena(&a);
    type(&a, "worker")->flags = MMORTS__FRAME__TYPE_FLAG__TYPE_FLAG_STEALTH;
    type(&a, "scout")->sight_type = MMORTS__FRAME__SIGHT_TYPE__SIGHT_DETECTOR;
    begin(&a);
    uint64_t soldier = put(&a, "soldier", 1, 0, 0), spy = put(&a, "worker", 2, 1, 0);
    fixture_run(a.world, 30);
    cr_expect_eq(look_at(&a, spy).health, 50);
    cr_expect_eq(attack(&a, 1, soldier, spy), REASON(UNKNOWN_TARGET));
    put(&a, "scout", 1, 0, 2);
    cr_expect_eq(attack(&a, 1, soldier, spy), REASON(OK));
    cr_expect_lt(look_at(&a, spy).health, 50);
    close_arena(&a);
}

// Orders to go for somebody who dies meanwhile come to nothing, and the next one follows.
Test(combat, orders_to_the_dead_end)
{
    struct arena a;
    open_arena(&a);
    begin(&a);
    uint64_t worker = put(&a, "worker", 2, 3, 0), soldier = put(&a, "soldier", 1, 0, 0);
    cr_assert_eq(attack(&a, 1, soldier, worker), REASON(OK));
    fixture_inputs_clear(&a.inputs);
    fixture_attack(&a.inputs, 1, ++a.seq[1], &soldier, 1, worker, true);
    fixture_move(&a.inputs, 1, ++a.seq[1], &soldier, 1, FIELD_Q, FIELD_R + 5, true);
    fixture_despawn(&a.inputs, worker);
    fixture_step(a.world, &a.inputs);
    // Its slot has another tenant before anybody looks.
    put(&a, "worker", 2, -4, 3);
    fixture_run(a.world, 120);
    cr_expect_eq(look_at(&a, soldier).at.r, FIELD_R + 5);
    close_arena(&a);
}

static size_t fill(struct arena *a, uint32_t empire, int32_t q, uint64_t *out)
{
    char key[16];
    snprintf(key, sizeof key, "army %u", empire);
    fixture_inputs_clear(&a->inputs);
    fixture_spawn(&a->inputs, key, "soldier", empire, 30, FIELD_Q + q, FIELD_R);
    fixture_step(a->world, &a->inputs);
    memcpy(out, a->inputs.results[0].entities, 30 * sizeof *out);
    return 30;
}

// Two armies meet: there is an end, and nobody who is left waits for something.
Test(combat, a_battle_ends, .timeout = 300)
{
    struct arena a;
    open_arena(&a);
    begin(&a);
    uint64_t one[30], two[30];
    fill(&a, 1, -8, one);
    fill(&a, 2, 8, two);
    fixture_inputs_clear(&a.inputs);
    fixture_attack_move(&a.inputs, 1, 1, one, 30, FIELD_Q + 8, FIELD_R, false);
    fixture_attack_move(&a.inputs, 2, 1, two, 30, FIELD_Q - 8, FIELD_R, false);
    fixture_step(a.world, &a.inputs);
    unsigned ticks = 0, left[2] = {30, 30};
    for (; ticks < 4000 && left[0] > 0 && left[1] > 0; ticks++) {
        fixture_run(a.world, 1);
        left[0] = left[1] = 0;
        for (int i = 0; i < 30; i++) {
            left[0] += lives(&a, one[i]);
            left[1] += lives(&a, two[i]);
        }
    }
    cr_expect_lt(ticks, 4000, "%u against %u are left", left[0], left[1]);
    fixture_run(a.world, 600);
    cr_expect_eq(a.world->ecs.columns[WORLD_FIGHT].row_count, 0);
    cr_expect_eq(world_mover_count(a.world), 0);
    close_arena(&a);
}

// --- veterans -----------------------------------------------------------------------------------

static const struct world_stats *stats_of(const struct arena *a, uint64_t id)
{
    return world_stats_of(a->world, look_at(a, id).slot);
}

// The rank that the last tick's frame (or a snapshot) tells of it, -1 if none.
static int32_t rank_told(const struct arena *a, uint32_t slot, bool snapshot)
{
    struct mm_arena *memory = mm_arena_new(1 << 16, 1 << 26);
    Mmorts__Frame__TickFrame *frame =
        snapshot ? world_snapshot_frame(a->world, memory) : world_frame(a->world, memory);
    int32_t rank = -1;
    for (size_t c = 0; c < frame->n_columns; c++)
        for (size_t i = 0; i < frame->columns[c]->n_entity; i++)
            if (frame->columns[c]->attribute == MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_RANK &&
                frame->columns[c]->entity[i] == slot)
                rank = frame->columns[c]->value[i];
    mm_arena_free(memory);
    return rank;
}

// Kills victims of the other empire that are put beside it, one after the other.
static void kill_some(struct arena *a, uint64_t soldier, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        uint64_t victim = put(a, "worker", 2, 1, 0);
        cr_assert_eq(attack(a, 1, soldier, victim), REASON(OK));
        cr_assert_lt(until_dead(a, victim, 200), 200u);
    }
}

Test(combat, kills_make_a_veteran_who_strikes_harder_and_is_told_of)
{
    struct arena a;
    open_arena(&a);
    type(&a, "soldier")->attack = 50;
    type(&a, "soldier")->defence = 4;
    type(&a, "soldier")->attack_cooldown_ticks = 2;
    type(&a, "worker")->health_max = 50;
    type(&a, "worker")->defence = 0;
    a.rules->combat.rank_count = 2;
    a.rules->combat.ranks[0] = (struct world_rank){2, 120, 150};
    a.rules->combat.ranks[1] = (struct world_rank){3, 200, 200};
    begin(&a);
    uint64_t soldier = put(&a, "soldier", 1, 0, 0), recruit = put(&a, "soldier", 1, 0, 1);
    uint32_t slot = look_at(&a, soldier).slot,
             both = world_shared_references(&a.world->stats, slot);
    cr_expect_geq(both, 2u, "soldiers share what they can do");
    kill_some(&a, soldier, 1);
    cr_expect_eq(stats_of(&a, soldier)->attack, 50);
    cr_expect_eq(rank_told(&a, slot, false), -1);
    kill_some(&a, soldier, 1);
    cr_expect_eq(stats_of(&a, soldier)->attack, 60);
    cr_expect_eq(stats_of(&a, soldier)->defence, 6);
    cr_expect_eq(world_shared_references(&a.world->stats, slot), 1);
    cr_expect_eq(stats_of(&a, recruit)->attack, 50, "of the others nothing changed");
    cr_expect_eq(rank_told(&a, slot, false), 1);
    fixture_run(a.world, 1);
    cr_expect_eq(rank_told(&a, slot, false), -1);
    cr_expect_eq(rank_told(&a, slot, true), 1);

    // It strikes with what it has become.
    uint64_t victim = put(&a, "settlement", 2, 1, 0);
    int32_t health = look_at(&a, victim).health;
    cr_assert_eq(attack(&a, 1, soldier, victim), REASON(OK));
    cr_expect_eq(look_at(&a, victim).health,
                 health - 60 + (int32_t)type(&a, "settlement")->defence);

    // What is saved and loaded is the same, and other rules make of its kills what they say.
    struct mm_buf bytes;
    mm_buf_init(&bytes, WORLD_SAVE_BYTES_MAX);
    world_save(a.world, &bytes);
    struct world *loaded;
    cr_assert_eq(world_load(bytes.data, bytes.len, &loaded), MM_OK);
    cr_expect_eq(world_stats_of(loaded, slot)->attack, 60);
    world_free(loaded);
    mm_buf_free(&bytes);
    char problem[128];
    a.rules->combat.ranks[1].kills = 9;
    a.rules->combat.ranks[0] = (struct world_rank){1, 300, 100};
    cr_assert_eq(world_change_rules(a.world, a.rules, problem, sizeof problem), MM_OK);
    cr_expect_eq(stats_of(&a, soldier)->attack, 150);
    a.rules->combat.rank_count = 0;
    cr_assert_eq(world_change_rules(a.world, a.rules, problem, sizeof problem), MM_OK);
    cr_expect_eq(stats_of(&a, soldier)->attack, 50);
    cr_expect_geq(world_shared_references(&a.world->stats, slot), both - 1);
    close_arena(&a);
}

// All strikes of a tick fall at once: a rank earned in it counts from the next on, for whoever
// stands first in the tables as for whoever stands last.
Test(combat, a_rank_counts_from_the_next_tick_on)
{
    struct arena a;
    open_arena(&a);
    type(&a, "soldier")->attack = 20;
    type(&a, "soldier")->defence = 10;
    type(&a, "worker")->health_max = 1;
    a.rules->combat.guard = 0;
    a.rules->combat.rank_count = 1;
    a.rules->combat.ranks[0] = (struct world_rank){1, 100, 200};
    begin(&a);
    uint64_t hero = put(&a, "soldier", 1, 0, 0), victim = put(&a, "worker", 2, 1, 0);
    uint64_t enemy = put(&a, "soldier", 2, 0, 1);
    int32_t health = look_at(&a, hero).health;
    fixture_inputs_clear(&a.inputs);
    fixture_attack(&a.inputs, 1, ++a.seq[1], &hero, 1, victim, false);
    fixture_attack(&a.inputs, 2, ++a.seq[2], &enemy, 1, hero, false);
    fixture_step(a.world, &a.inputs);
    cr_expect_not(lives(&a, victim));
    cr_expect_eq(look_at(&a, hero).health, health - 10, "struck before it had the rank");
    cr_expect_eq(stats_of(&a, hero)->defence, 20);
    close_arena(&a);
}

static const struct world_result *ally(struct arena *a, uint64_t first, uint64_t second)
{
    fixture_inputs_clear(&a->inputs);
    fixture_set_alliances(&a->inputs, (const uint32_t[]){1, 2}, (const uint64_t[]){first, second},
                          2);
    fixture_step(a->world, &a->inputs);
    cr_assert_eq(a->inputs.results[0].err, MM_OK);
    return &a->inputs.results[0];
}

Test(combat, allies_do_not_fight)
{
    struct arena a;
    open_arena(&a);
    begin(&a);
    cr_expect(ally(&a, 77, 77)->applied);
    cr_expect_not(ally(&a, 77, 77)->applied, "without effect: not for the journal");
    uint64_t mine = put(&a, "soldier", 1, 0, 0), theirs = put(&a, "soldier", 2, 1, 0);
    fixture_run(a.world, 100);
    int32_t health = (int32_t)type(&a, "soldier")->health_max;
    cr_expect_eq(look_at(&a, mine).health, health);
    cr_expect_eq(look_at(&a, theirs).health, health);
    cr_expect_eq(attack(&a, 1, mine, theirs), REASON(INVALID), "not when told to, either");

    ally(&a, 77, 78); // of different alliances: enemies
    fixture_run(a.world, 60);
    cr_expect(look_at(&a, mine).health < health || look_at(&a, theirs).health < health);
    int32_t left = look_at(&a, mine).health + look_at(&a, theirs).health;
    ally(&a, 78, 78); // in the midst of it
    left = look_at(&a, mine).health + look_at(&a, theirs).health;
    fixture_run(a.world, 100);
    cr_expect_eq(look_at(&a, mine).health + look_at(&a, theirs).health, left);
    cr_expect_eq(look_at(&a, mine).activity, MMORTS__FRAME__ACTIVITY__ACTIVITY_IDLE);
    ally(&a, 0, 0); // nobody is allied with who is in none
    fixture_run(a.world, 60);
    cr_expect(!lives(&a, mine) || !lives(&a, theirs) ||
              look_at(&a, mine).health + look_at(&a, theirs).health < left);
    close_arena(&a);
}

Test(combat, alliances_are_saved_and_refused_as_a_whole)
{
    struct arena a;
    open_arena(&a);
    begin(&a);
    uint64_t before = world_state_hash(a.world);
    ally(&a, 5, 5);
    fixture_inputs_clear(&a.inputs);
    fixture_set_alliances(&a.inputs, (const uint32_t[]){1, 3}, (const uint64_t[]){6, 6}, 2);
    fixture_step(a.world, &a.inputs);
    cr_expect_eq(a.inputs.results[0].err, MM_INVALID_ARGUMENT);
    cr_expect(world_allied(a.world, 1, 2));
    cr_expect_not(world_allied(a.world, 1, 0));
    cr_expect_neq(world_state_hash(a.world), before);
    struct mm_buf saved;
    mm_buf_init(&saved, SIZE_MAX / 2);
    world_save(a.world, &saved);
    struct world *again = NULL;
    cr_assert_eq(world_load(saved.data, saved.len, &again), MM_OK);
    cr_expect_eq(world_state_hash(again), world_state_hash(a.world));
    cr_expect(world_allied(again, 1, 2));
    world_free(again);
    mm_buf_free(&saved);
    close_arena(&a);
}

// As the game's own files have it: nobody hides from a champion, no one whom it fights stands long,
// and the catalogue tells everybody that it is a hero.
Test(combat, a_hero_is_told_as_one_finds_the_hidden_and_fights)
{
    struct arena a;
    open_arena(&a);
    type(&a, "worker")->flags = MMORTS__FRAME__TYPE_FLAG__TYPE_FLAG_STEALTH;
    int champion = world_rules_type(a.rules, "champion");
    cr_assert_geq(champion, 0);
    cr_assert_eq(a.rules->types[champion].flags, MMORTS__FRAME__TYPE_FLAG__TYPE_FLAG_HERO);
    begin(&a);
    uint64_t spy = put(&a, "worker", 2, 3, 0), soldier = put(&a, "soldier", 1, 0, 0);
    fixture_run(a.world, 30);
    cr_assert_eq(attack(&a, 1, soldier, spy), REASON(UNKNOWN_TARGET));
    uint64_t hero = put(&a, "champion", 1, 0, 1);
    fixture_run(a.world, 200);
    cr_assert_eq(world_slot_of_id(a.world, spy), WORLD_SLOT_NONE, "the hidden one was not found");
    struct world_entity_view view;
    cr_assert(world_find_entity(a.world, hero, &view));
    cr_assert_eq(view.health, 600);
    close_arena(&a);
}
