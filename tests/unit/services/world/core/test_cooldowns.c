// How soon a player may command again: by kind, counted in ticks, part of the state.

#include "services/world/core/state.h"
#include "tests/support/world_orders.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define REASON(name) MMORTS__WORLD__COMMAND_REASON__COMMAND_##name

enum { COOLDOWN = 10 };

// A world with a twin that gets the same but what is refused.
struct pair {
    struct world_rules *rules;
    struct world *world, *twin;
    struct fixture_inputs inputs;
    uint64_t mine[2], theirs, seq;
    struct hex_axial home;
};

static void set_cooldown(struct world_rules *rules, const char *name, uint32_t ticks)
{
    for (int kind = 0; kind < WORLD_COMMAND_KINDS; kind++)
        if (strcmp(world_command_names[kind], name) == 0)
            rules->commands.cooldown_ticks[kind] = ticks;
}

static void pair_open(struct pair *p)
{
    *p = (struct pair){.rules = fixture_open_rules()};
    set_cooldown(p->rules, "move", COOLDOWN);
    set_cooldown(p->rules, "build", COOLDOWN);
    p->world = fixture_world(p->rules, 3);
    p->twin = fixture_world(p->rules, 3);
    fixture_inputs_init(&p->inputs, 16);
    fixture_found(p->world, 2);
    fixture_found(p->twin, 2);
    cr_assert_eq(fixture_units(p->world, 1, "worker", p->mine, 2), 2);
    cr_assert_geq(fixture_units(p->world, 2, "worker", &p->theirs, 1), 1);
    struct world_empire_view view;
    cr_assert(world_empire(p->world, 1, &view));
    p->home = view.home;
}

static void pair_close(struct pair *p)
{
    fixture_inputs_free(&p->inputs);
    world_free(p->twin);
    world_free(p->world);
    free(p->rules);
}

static struct world_result taken(struct pair *p, int line)
{
    fixture_step(p->twin, &p->inputs);
    fixture_step(p->world, &p->inputs);
    struct world_result result = p->inputs.results[0];
    cr_assert(result.applied && result.reason == REASON(OK), "line %d: %s", line, result.message);
    cr_assert_eq(result.retry_after_ticks, 0u, "line %d", line);
    cr_assert_eq(world_state_hash(p->world), world_state_hash(p->twin), "line %d", line);
    fixture_inputs_clear(&p->inputs);
    return result;
}
#define TAKEN(p) taken((p), __LINE__)

static void refused(struct pair *p, uint32_t reason, uint32_t retry_after_ticks, int line)
{
    fixture_step(p->world, &p->inputs);
    fixture_run(p->twin, 1);
    struct world_result result = p->inputs.results[0];
    cr_assert(!result.applied && result.reason == reason, "line %d: reason %u (%s)", line,
              result.reason, result.message);
    cr_assert_str_not_empty(result.message, "line %d", line);
    cr_assert_eq(result.retry_after_ticks, retry_after_ticks, "line %d: after %u", line,
                 result.retry_after_ticks);
    cr_assert_eq(world_state_hash(p->world), world_state_hash(p->twin), "line %d", line);
    fixture_inputs_clear(&p->inputs);
}
#define REFUSED(p, reason, retry) refused((p), REASON(reason), (retry), __LINE__)

static void run(struct pair *p, unsigned ticks)
{
    fixture_run(p->world, ticks);
    fixture_run(p->twin, ticks);
}

static void move(struct pair *p, uint64_t seq)
{
    fixture_move(&p->inputs, 1, seq, p->mine, 1, p->home.q + 5, p->home.r, false);
}

static void build(struct pair *p, uint64_t seq, int32_t q)
{
    fixture_build(&p->inputs, 1, seq, p->mine, 2, "tower", p->home.q + q, p->home.r, false);
}

Test(cooldowns, too_soon_is_refused_without_a_trace_and_told_when)
{
    struct pair p;
    pair_open(&p);
    move(&p, 1);
    TAKEN(&p);
    for (uint32_t left = COOLDOWN - 1; left > 0; left--) {
        move(&p, 2);
        REFUSED(&p, COOLDOWN, left);
    }
    // Refused so often, and under the same number: it is taken now.
    move(&p, 2);
    TAKEN(&p);
    move(&p, 3);
    REFUSED(&p, COOLDOWN, COOLDOWN - 1);
    pair_close(&p);
}

Test(cooldowns, one_kind_does_not_hold_up_another_nor_a_player_another)
{
    struct pair p;
    pair_open(&p);
    move(&p, 1);
    TAKEN(&p);
    fixture_stop(&p.inputs, 1, 2, p.mine, 1);
    TAKEN(&p);
    fixture_attack_move(&p.inputs, 1, 3, p.mine, 1, p.home.q, p.home.r + 4, false);
    TAKEN(&p);
    fixture_stop(&p.inputs, 1, 4, p.mine, 1);
    TAKEN(&p);
    struct world_empire_view view;
    cr_assert(world_empire(p.world, 2, &view));
    fixture_move(&p.inputs, 2, 1, &p.theirs, 1, view.home.q + 4, view.home.r, false);
    TAKEN(&p);
    pair_close(&p);
}

Test(cooldowns, two_in_one_tick)
{
    struct pair p;
    pair_open(&p);
    move(&p, 1);
    move(&p, 2);
    fixture_step(p.world, &p.inputs);
    cr_assert(p.inputs.results[0].applied && !p.inputs.results[1].applied);
    cr_assert_eq(p.inputs.results[1].reason, REASON(COOLDOWN));
    cr_assert_eq(p.inputs.results[1].retry_after_ticks, COOLDOWN);
    pair_close(&p);
}

Test(cooldowns, what_is_refused_does_not_count)
{
    struct pair p;
    pair_open(&p);
    fixture_move(&p.inputs, 1, 1, p.mine, 1, 1 << 25, 0, false);
    REFUSED(&p, OUT_OF_MAP, 0);
    fixture_move(&p.inputs, 1, 1, &p.theirs, 1, p.home.q, p.home.r, false);
    REFUSED(&p, UNKNOWN_UNIT, 0);
    move(&p, 1);
    TAKEN(&p);
    pair_close(&p);
}

Test(cooldowns, a_repetition_is_answered_as_before)
{
    struct pair p;
    pair_open(&p);
    move(&p, 1);
    uint64_t tick = TAKEN(&p).tick;
    for (int i = 0; i < COOLDOWN + 2; i++) {
        move(&p, 1);
        fixture_step(p.world, &p.inputs);
        fixture_run(p.twin, 1);
        struct world_result result = p.inputs.results[0];
        cr_assert(result.reason == REASON(OK) && !result.applied && result.tick == tick);
        cr_assert_eq(world_state_hash(p.world), world_state_hash(p.twin));
        fixture_inputs_clear(&p.inputs);
    }
    move(&p, 2);
    TAKEN(&p);
    pair_close(&p);
}

Test(cooldowns, are_part_of_what_is_saved)
{
    struct pair p;
    pair_open(&p);
    move(&p, 1);
    TAKEN(&p);
    run(&p, 3);
    struct mm_buf bytes;
    mm_buf_init(&bytes, 1 << 26);
    world_save(p.world, &bytes);
    world_free(p.world);
    cr_assert_eq(world_load(bytes.data, bytes.len, &p.world), MM_OK);
    mm_buf_free(&bytes);
    cr_assert_eq(world_state_hash(p.world), world_state_hash(p.twin));
    cr_assert_eq(world_state_hash(p.world), world_state_hash_full(p.world));
    move(&p, 2);
    REFUSED(&p, COOLDOWN, COOLDOWN - 4);
    run(&p, COOLDOWN - 5);
    move(&p, 2);
    TAKEN(&p);
    pair_close(&p);
}

Test(cooldowns, every_kind_counts_in_the_hash)
{
    struct pair p;
    pair_open(&p);
    for (int kind = 0; kind < WORLD_COMMAND_KINDS; kind++) {
        p.world->players.items[0].taken_tick[kind]++;
        cr_assert_neq(world_state_hash_full(p.world), world_state_hash(p.world), "%d", kind);
        p.world->players.items[0].taken_tick[kind]--;
    }
    cr_assert_eq(world_state_hash_full(p.world), world_state_hash(p.world));
    pair_close(&p);
}

Test(cooldowns, new_rules_hold_for_what_was_commanded_before)
{
    struct pair p;
    pair_open(&p);
    move(&p, 1);
    TAKEN(&p);
    char problem[128];
    set_cooldown(p.rules, "move", 100);
    cr_assert_eq(world_change_rules(p.world, p.rules, problem, sizeof problem), MM_OK);
    cr_assert_eq(world_change_rules(p.twin, p.rules, problem, sizeof problem), MM_OK);
    run(&p, COOLDOWN);
    move(&p, 2);
    REFUSED(&p, COOLDOWN, 100 - COOLDOWN - 1);
    set_cooldown(p.rules, "move", 0);
    cr_assert_eq(world_change_rules(p.world, p.rules, problem, sizeof problem), MM_OK);
    cr_assert_eq(world_change_rules(p.twin, p.rules, problem, sizeof problem), MM_OK);
    move(&p, 2);
    TAKEN(&p);
    move(&p, 3);
    TAKEN(&p);
    pair_close(&p);
}

Test(cooldowns, a_building_that_came_to_nothing_does_not_count)
{
    struct pair p;
    pair_open(&p);
    build(&p, 1, 3);
    uint64_t bill = TAKEN(&p).bill;
    cr_assert_neq(bill, 0u);
    build(&p, 2, -3);
    REFUSED(&p, COOLDOWN, COOLDOWN - 1); // not decided yet
    for (int i = 0; i < 2; i++) {
        fixture_settle(&p.inputs, bill, false);
        fixture_step(i ? p.twin : p.world, &p.inputs);
        cr_assert_eq(p.inputs.results[0].reason, REASON(CANNOT_AFFORD));
        fixture_inputs_clear(&p.inputs);
    }
    cr_assert_eq(world_state_hash(p.world), world_state_hash_full(p.world));
    build(&p, 2, -3);
    bill = TAKEN(&p).bill;
    for (int i = 0; i < 2; i++) {
        fixture_settle(&p.inputs, bill, true);
        fixture_step(i ? p.twin : p.world, &p.inputs);
        cr_assert_eq(p.inputs.results[0].reason, REASON(OK), "%s", p.inputs.results[0].message);
        fixture_inputs_clear(&p.inputs);
    }
    build(&p, 3, 4);
    REFUSED(&p, COOLDOWN, COOLDOWN - 2);
    pair_close(&p);
}

// One that was refused long after must not free the one that was taken since.
Test(cooldowns, only_the_last_building_is_given_back)
{
    struct pair p;
    pair_open(&p);
    build(&p, 1, 3);
    uint64_t bill = TAKEN(&p).bill;
    run(&p, COOLDOWN - 1);
    build(&p, 2, -3);
    TAKEN(&p);
    for (int i = 0; i < 2; i++) {
        fixture_settle(&p.inputs, bill, false);
        fixture_step(i ? p.twin : p.world, &p.inputs);
        fixture_inputs_clear(&p.inputs);
    }
    build(&p, 3, 4);
    REFUSED(&p, COOLDOWN, COOLDOWN - 2);
    pair_close(&p);
}

Test(cooldowns, servers_are_exempt)
{
    struct pair p;
    pair_open(&p);
    for (int kind = 0; kind < WORLD_COMMAND_KINDS; kind++)
        p.rules->commands.cooldown_ticks[kind] = WORLD_COOLDOWN_MAX;
    char problem[128];
    cr_assert_eq(world_change_rules(p.world, p.rules, problem, sizeof problem), MM_OK);
    for (int i = 0; i < 3; i++) {
        char key[2] = {(char)('a' + i), 0}, more[3] = {'x', (char)('a' + i), 0};
        fixture_spawn(&p.inputs, key, "soldier", 1, 1, p.home.q + 2, p.home.r);
        fixture_announce(&p.inputs, more, "again");
        fixture_step(p.world, &p.inputs);
        cr_assert(p.inputs.results[0].applied && p.inputs.results[1].applied);
        uint64_t id = p.inputs.results[0].entities[0];
        fixture_inputs_clear(&p.inputs);
        fixture_despawn(&p.inputs, id);
        fixture_step(p.world, &p.inputs);
        cr_assert(p.inputs.results[0].applied);
        fixture_inputs_clear(&p.inputs);
    }
    pair_close(&p);
}

Test(cooldowns, a_flood_is_told_when_it_may_go_on)
{
    struct pair p;
    pair_open(&p);
    p.rules->commands.per_second = 3; // one in 6 2/3 ticks
    p.rules->commands.burst = 1;
    char problem[128];
    cr_assert_eq(world_change_rules(p.world, p.rules, problem, sizeof problem), MM_OK);
    cr_assert_eq(world_change_rules(p.twin, p.rules, problem, sizeof problem), MM_OK);
    fixture_stop(&p.inputs, 1, 1, p.mine, 1);
    TAKEN(&p);
    for (uint32_t left = 6; left > 0; left--) {
        fixture_stop(&p.inputs, 1, 2, p.mine, 1);
        REFUSED(&p, RATE_LIMITED, left);
    }
    fixture_stop(&p.inputs, 1, 2, p.mine, 1);
    TAKEN(&p);
    pair_close(&p);
}

Test(cooldowns, are_at_most_ten_minutes)
{
    struct world_rules *rules = fixture_open_rules();
    char problem[128];
    for (int kind = 0; kind < WORLD_COMMAND_KINDS; kind++) {
        rules->commands.cooldown_ticks[kind] = WORLD_COOLDOWN_MAX;
        cr_assert_eq(world_rules_check(rules, problem, sizeof problem), MM_OK);
        rules->commands.cooldown_ticks[kind]++;
        cr_assert_eq(world_rules_check(rules, problem, sizeof problem), MM_INVALID_ARGUMENT);
        cr_assert_not_null(strstr(problem, world_command_names[kind]), "%s", problem);
        rules->commands.cooldown_ticks[kind] = 0;
    }
    free(rules);
}
