// Every command that is refused says why and leaves the state exactly as it was.

#include "libcommon/base/seq.h"
#include "services/world/core/world.h"
#include "tests/support/world_fixture.h"
#include <criterion/criterion.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REASON(name) MMORTS__WORLD__COMMAND_REASON__COMMAND_##name

// Two worlds that are equal: one gets the command, the other an empty tick.
struct pair {
    struct world *world, *twin;
    struct fixture_inputs inputs;
    uint64_t mine[16], theirs[16], settlement;
    size_t count;
};

static void pair_open(struct pair *pair, const struct world_rules *rules)
{
    pair->world = fixture_world(rules, 3);
    pair->twin = fixture_world(rules, 3);
    fixture_inputs_init(&pair->inputs, 128);
    fixture_found(pair->world, 2);
    fixture_found(pair->twin, 2);
    pair->count = fixture_units(pair->world, 1, NULL, pair->mine, 16);
    cr_assert_eq(pair->count, 6);
    cr_assert_eq(fixture_units(pair->world, 2, NULL, pair->theirs, 16), 6);
    cr_assert_eq(fixture_units(pair->world, 1, "settlement", &pair->settlement, 1), 1);
}

static void pair_close(struct pair *pair)
{
    fixture_inputs_free(&pair->inputs);
    world_free(pair->twin);
    world_free(pair->world);
}

// Steps with what is in inputs; expects it to be refused with that reason, without a trace.
static void refused(struct pair *pair, uint32_t reason, int line)
{
    fixture_step(pair->world, &pair->inputs);
    fixture_run(pair->twin, 1);
    for (size_t i = 0; i < pair->inputs.count; i++) {
        const struct world_result *result = &pair->inputs.results[i];
        cr_assert_eq(result->reason, reason, "line %d: reason %u (%s)", line, result->reason,
                     result->message);
        cr_assert_str_not_empty(result->message, "line %d", line);
        cr_assert(!result->applied, "line %d", line);
    }
    cr_assert_eq(world_state_hash(pair->world), world_state_hash(pair->twin), "line %d", line);
    fixture_inputs_clear(&pair->inputs);
}
#define REFUSED(pair, reason) refused((pair), REASON(reason), __LINE__)

Test(commands, each_has_its_reason)
{
    struct pair p;
    pair_open(&p, NULL);
    struct fixture_inputs *in = &p.inputs;
    fixture_move(in, 99, 1, p.mine, 1, 5, 5, false);
    REFUSED(&p, NO_EMPIRE);
    fixture_move(in, 1, 0, p.mine, 1, 5, 5, false);
    REFUSED(&p, INVALID);
    fixture_move(in, 1, 1, p.mine, 0, 5, 5, false);
    REFUSED(&p, NO_UNITS);
    uint64_t crowd[300];
    for (int i = 0; i < 300; i++)
        crowd[i] = p.mine[0] + (uint64_t)i;
    fixture_move(in, 1, 1, crowd, 300, 5, 5, false);
    REFUSED(&p, NO_UNITS);
    fixture_move(in, 1, 1, p.theirs, 3, 5, 5, false);
    REFUSED(&p, UNKNOWN_UNIT);
    const uint64_t nonsense[] = {0, 1, UINT64_MAX};
    fixture_move(in, 1, 1, nonsense, 3, 5, 5, false);
    REFUSED(&p, UNKNOWN_UNIT);
    const uint64_t twice[] = {p.mine[0], p.mine[1], p.mine[0]};
    fixture_move(in, 1, 1, twice, 3, 5, 5, false);
    REFUSED(&p, INVALID);
    fixture_move(in, 1, 1, &p.settlement, 1, 5, 5, false);
    REFUSED(&p, CANNOT);
    fixture_move(in, 1, 1, p.mine, 1, 5, 5, false)->move->target = NULL;
    REFUSED(&p, INVALID);
    fixture_command(in, 1, 1, p.mine, 1);
    REFUSED(&p, INVALID);
    pair_close(&p);
}

Test(commands, coordinates_off_the_map_and_beyond_all_bounds)
{
    struct pair p;
    pair_open(&p, NULL);
    const int32_t far[][2] = {{500, 0},
                              {0, -500},
                              {INT32_MAX, 0},
                              {INT32_MIN, 0},
                              {0, INT32_MIN},
                              {INT32_MAX, INT32_MAX},
                              {INT32_MIN, INT32_MIN},
                              {1 << 24, 1 << 24},
                              {-(1 << 24), 0}};
    for (size_t i = 0; i < sizeof far / sizeof far[0]; i++) {
        fixture_move(&p.inputs, 1, 1, p.mine, 2, far[i][0], far[i][1], i % 2);
        REFUSED(&p, OUT_OF_MAP);
    }
    pair_close(&p);
}

Test(commands, orders_without_their_content)
{
    struct pair p;
    pair_open(&p, NULL);
    for (int order = MMORTS__WORLD__COMMAND__ORDER_BUILD;
         order <= MMORTS__WORLD__COMMAND__ORDER_CANCEL_BUILD; order++) {
        fixture_command(&p.inputs, 1, 1, p.mine, 1)->order_case =
            (Mmorts__World__Command__OrderCase)order;
        if (order == MMORTS__WORLD__COMMAND__ORDER_REPAIR ||
            order == MMORTS__WORLD__COMMAND__ORDER_CANCEL_BUILD)
            REFUSED(&p, UNKNOWN_TARGET);
        else
            REFUSED(&p, INVALID);
    }
    fixture_command(&p.inputs, 1, 1, p.mine, 1)->order_case = (Mmorts__World__Command__OrderCase)99;
    REFUSED(&p, UNSUPPORTED);
    pair_close(&p);
}

// Sets what the command orders; every part of it is sound.
static void order(Mmorts__World__Command *command, Mmorts__World__Command__OrderCase which)
{
    static Mmorts__World__Hex hex = MMORTS__WORLD__HEX__INIT, *points[] = {&hex};
    static Mmorts__World__MoveOrder move = MMORTS__WORLD__MOVE_ORDER__INIT;
    static Mmorts__World__StopOrder stop = MMORTS__WORLD__STOP_ORDER__INIT;
    static Mmorts__World__AttackOrder attack = MMORTS__WORLD__ATTACK_ORDER__INIT;
    static Mmorts__World__AttackMoveOrder attack_move = MMORTS__WORLD__ATTACK_MOVE_ORDER__INIT;
    static Mmorts__World__PatrolOrder patrol = MMORTS__WORLD__PATROL_ORDER__INIT;
    static Mmorts__World__WanderOrder wander = MMORTS__WORLD__WANDER_ORDER__INIT;
    static Mmorts__World__GatherOrder gather = MMORTS__WORLD__GATHER_ORDER__INIT;
    static Mmorts__World__BuildOrder build = MMORTS__WORLD__BUILD_ORDER__INIT;
    static Mmorts__World__RepairOrder repair = MMORTS__WORLD__REPAIR_ORDER__INIT;
    static Mmorts__World__RallyOrder rally = MMORTS__WORLD__RALLY_ORDER__INIT;
    hex.q = hex.r = 5;
    move.target = attack_move.target = build.place = rally.target = &hex;
    patrol.points = points;
    patrol.n_points = 1;
    wander.radius_hexes = 4;
    build.building = (char *)(uintptr_t) "barracks";
    command->order_case = which;
    switch (which) {
    case MMORTS__WORLD__COMMAND__ORDER_MOVE:
        command->move = &move;
        break;
    case MMORTS__WORLD__COMMAND__ORDER_STOP:
        command->stop = &stop;
        break;
    case MMORTS__WORLD__COMMAND__ORDER_ATTACK:
        command->attack = &attack;
        break;
    case MMORTS__WORLD__COMMAND__ORDER_ATTACK_MOVE:
        command->attack_move = &attack_move;
        break;
    case MMORTS__WORLD__COMMAND__ORDER_PATROL:
        command->patrol = &patrol;
        break;
    case MMORTS__WORLD__COMMAND__ORDER_WANDER:
        command->wander = &wander;
        break;
    case MMORTS__WORLD__COMMAND__ORDER_GATHER:
        command->gather = &gather;
        break;
    case MMORTS__WORLD__COMMAND__ORDER_BUILD:
        command->build = &build;
        break;
    case MMORTS__WORLD__COMMAND__ORDER_REPAIR:
        command->repair = &repair;
        break;
    case MMORTS__WORLD__COMMAND__ORDER_RALLY:
        command->rally = &rally;
        break;
    default:
        cr_assert_fail("order %d", (int)which);
    }
}

Test(commands, every_order_is_refused_alike_for_units_that_cannot_get_it)
{
    struct pair p;
    pair_open(&p, NULL);
    const uint64_t nonsense[] = {0, 1, UINT64_MAX};
    struct fixture_inputs *in = &p.inputs;
    for (int which = MMORTS__WORLD__COMMAND__ORDER_MOVE;
         which <= MMORTS__WORLD__COMMAND__ORDER_RALLY; which++) {
        for (int queued = 0; queued < 2; queued++) {
            const struct {
                uint64_t player, seq;
                const uint64_t *units;
                size_t count;
                uint32_t reason;
            } cases[] = {
                {99, 1, p.mine, 1, REASON(NO_EMPIRE)},
                {1, 0, p.mine, 1, REASON(INVALID)},
                {1, 1, p.mine, 0, REASON(NO_UNITS)},
                {1, 1, p.theirs, 1, REASON(UNKNOWN_UNIT)},
                {1, 1, nonsense, 3, REASON(UNKNOWN_UNIT)},
            };
            for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                Mmorts__World__Command *command = fixture_command(in, cases[i].player, cases[i].seq,
                                                                  cases[i].units, cases[i].count);
                order(command, (Mmorts__World__Command__OrderCase)which);
                command->queued = queued;
                refused(&p, cases[i].reason, __LINE__ + which * 1000);
            }
        }
        // What does not move gets no order but a rally point.
        if (which != MMORTS__WORLD__COMMAND__ORDER_RALLY) {
            order(fixture_command(in, 1, 1, &p.settlement, 1),
                  (Mmorts__World__Command__OrderCase)which);
            REFUSED(&p, CANNOT);
        }
    }
    pair_close(&p);
}

Test(commands, the_dead_and_the_drowned)
{
    struct world_rules *rules = fixture_open_rules();
    struct pair p;
    pair_open(&p, rules);
    for (int i = 0; i < 2; i++) {
        struct world *world = i ? p.twin : p.world;
        fixture_inputs_clear(&p.inputs);
        fixture_despawn(&p.inputs, p.mine[0]);
        fixture_step(world, &p.inputs);
        cr_assert(p.inputs.results[0].applied);
    }
    fixture_inputs_clear(&p.inputs);
    fixture_move(&p.inputs, 1, 1, p.mine, 1, 5, 5, false);
    REFUSED(&p, UNKNOWN_UNIT);
    // A group that lost a member still marches.
    fixture_move(&p.inputs, 1, 1, p.mine, 3, 5, 5, false);
    fixture_step(p.world, &p.inputs);
    cr_assert_eq(p.inputs.results[0].reason, REASON(OK));
    pair_close(&p);
    free(rules);
}

Test(commands, a_sequence_number_is_carried_out_once)
{
    struct pair p;
    pair_open(&p, NULL);
    uint64_t ticks[101];
    for (uint64_t seq = 1; seq <= 100; seq++) {
        fixture_inputs_clear(&p.inputs);
        fixture_move(&p.inputs, 1, seq, p.mine, 1, (int32_t)seq % 9, 4, false);
        for (int i = 0; i < 2; i++) {
            fixture_step(i ? p.twin : p.world, &p.inputs);
            cr_assert_eq(p.inputs.results[0].reason, REASON(OK));
            ticks[seq] = p.inputs.results[0].tick;
        }
    }
    for (uint64_t seq = 1; seq <= 100; seq++) {
        fixture_inputs_clear(&p.inputs);
        fixture_move(&p.inputs, 1, seq, p.mine, 1, 0, -5, false);
        if (seq <= 100 - WORLD_RESULTS_KEPT) {
            REFUSED(&p, REPEATED);
            continue;
        }
        fixture_step(p.world, &p.inputs);
        fixture_run(p.twin, 1);
        cr_assert_eq(p.inputs.results[0].reason, REASON(OK));
        cr_assert_eq(p.inputs.results[0].tick, ticks[seq]);
        cr_assert(!p.inputs.results[0].applied);
        cr_assert_eq(world_state_hash(p.world), world_state_hash(p.twin));
    }
    // Out of order within a tick: taken in the order of the sequence, so both count.
    fixture_inputs_clear(&p.inputs);
    fixture_move(&p.inputs, 1, 112, p.mine, 1, 3, 3, false);
    fixture_move(&p.inputs, 1, 111, p.mine, 1, -3, 3, false);
    fixture_step(p.world, &p.inputs);
    cr_assert(p.inputs.results[0].applied && p.inputs.results[1].applied);
    cr_assert_eq(p.inputs.items[0]->command->client_seq, 111);
    struct world_empire_view view;
    cr_assert(world_empire_of_player(p.world, 1, &view));
    cr_assert_eq(view.last_client_seq, 112);
    pair_close(&p);
}

// One order under a number; whether it was carried out now.
static bool move_under(struct pair *p, uint64_t seq, uint32_t wanted)
{
    fixture_inputs_clear(&p->inputs);
    fixture_move(&p->inputs, 1, seq, p->mine, 1, (int32_t)(seq % 7), 4, false);
    fixture_step(p->world, &p->inputs);
    cr_assert_eq(p->inputs.results[0].reason, wanted, "%llu: %u", (unsigned long long)seq,
                 p->inputs.results[0].reason);
    return p->inputs.results[0].applied;
}

Test(commands, connections_of_a_player_do_not_disturb_each_other)
{
    struct pair p;
    pair_open(&p, NULL);
    uint64_t low = mm_seq_range_begin(1000), high = mm_seq_range_begin(2000);
    // One gives far more orders than are remembered; the other's lower numbers are new all the
    // same.
    cr_assert(move_under(&p, low + 1, REASON(OK)));
    for (uint64_t i = 1; i <= 2 * WORLD_RESULTS_KEPT; i++)
        cr_assert(move_under(&p, high + i, REASON(OK)));
    cr_assert(!move_under(&p, low + 1, REASON(OK)), "carried out once");
    cr_assert(move_under(&p, low + 2, REASON(OK)));
    cr_assert(!move_under(&p, high + 2 * WORLD_RESULTS_KEPT, REASON(OK)));
    cr_assert(!move_under(&p, high + 1, REASON(REPEATED)), "too far back in its own range");
    struct world_empire_view view;
    cr_assert(world_empire_of_player(p.world, 1, &view));
    cr_assert_eq(view.last_client_seq, high + 2 * WORLD_RESULTS_KEPT);
    // Many that came and went leave the one in use alone, and room for its results.
    for (uint64_t range = 1; range <= 200; range++) {
        cr_assert(move_under(&p, mm_seq_range_begin(3000 + range), REASON(OK)));
        cr_assert(move_under(&p, low + 2 + range, REASON(OK)));
        cr_assert(!move_under(&p, low + 2 + range, REASON(OK)));
        if (range > 1)
            cr_assert(!move_under(&p, low + 1 + range, REASON(OK)));
    }
    for (uint64_t i = 1; i < WORLD_RESULTS_KEPT; i++)
        cr_assert(move_under(&p, low + 300 + i, REASON(OK)));
    for (uint64_t i = 1 + WORLD_SEQ_RANGES_MAX; i < WORLD_RESULTS_KEPT; i++)
        cr_assert(!move_under(&p, low + 300 + i, REASON(OK)), "%llu", (unsigned long long)i);
    cr_assert(!move_under(&p, mm_seq_range_begin(3200), REASON(OK)), "one of the last ranges");
    pair_close(&p);
}

Test(commands, a_flood_is_limited_and_dries_up)
{
    struct world_rules *rules = fixture_open_rules();
    rules->commands.per_second = 20;
    rules->commands.burst = 30;
    struct pair p;
    pair_open(&p, rules);
    unsigned taken = 0, limited = 0;
    uint64_t seq = 0;
    for (int tick = 0; tick < 20; tick++) {
        fixture_inputs_clear(&p.inputs);
        for (int i = 0; i < 20; i++)
            fixture_move(&p.inputs, 1, ++seq, p.mine, 1, i % 8, 3, false);
        fixture_step(p.world, &p.inputs);
        for (size_t i = 0; i < p.inputs.count; i++) {
            taken += p.inputs.results[i].applied;
            limited += p.inputs.results[i].reason == REASON(RATE_LIMITED);
        }
    }
    cr_assert_eq(taken, 30 + 19, "the burst, and one a tick after the first: not %u", taken);
    cr_assert_eq(taken + limited, 400);
    fixture_run(p.world, 40);
    fixture_inputs_clear(&p.inputs);
    for (int i = 0; i < 30; i++)
        fixture_move(&p.inputs, 1, ++seq, p.mine, 1, i % 8, 3, false);
    fixture_step(p.world, &p.inputs);
    for (size_t i = 0; i < p.inputs.count; i++)
        cr_assert(p.inputs.results[i].applied, "two seconds later the allowance is full again");
    pair_close(&p);
    free(rules);
}

Test(commands, a_paused_session_takes_no_orders_but_players)
{
    struct pair p;
    pair_open(&p, NULL);
    for (int i = 0; i < 2; i++) {
        fixture_inputs_clear(&p.inputs);
        fixture_pause(&p.inputs, true);
        fixture_step(i ? p.twin : p.world, &p.inputs);
    }
    fixture_inputs_clear(&p.inputs);
    fixture_move(&p.inputs, 1, 1, p.mine, 1, 5, 5, false);
    REFUSED(&p, PAUSED);
    fixture_join(&p.inputs, 3, "late");
    fixture_step(p.world, &p.inputs);
    cr_assert(p.inputs.results[0].founded);
    pair_close(&p);
}

// A hex with nothing to stand on as far as a group spreads around it.
static bool desolate(const struct world *world, struct hex_axial at)
{
    if (world_terrain_at(world, at) < 0)
        return false;
    struct hex_axial disc[3 * WORLD_SPREAD_RADIUS_MAX * (WORLD_SPREAD_RADIUS_MAX + 1) + 1];
    size_t count = hex_disc(at, WORLD_SPREAD_RADIUS_MAX, disc);
    for (size_t i = 0; i < count; i++)
        if (world_terrain_at(world, disc[i]) > 0)
            return false;
    return true;
}

Test(commands, ground_without_a_way)
{
    struct world_rules *rules = fixture_open_rules();
    rules->map.generator = WORLD_GENERATOR_NOISE;
    rules->map.band_count = 1;
    rules->map.bands[0] = (struct world_band){.height_below = 1000, .moisture_below = 1000};
    rules->map.road_width_hexes = 0;
    struct pair p;
    pair_open(&p, rules);
    unsigned found = 0;
    for (int32_t r = -60; r <= 60; r++)
        for (int32_t q = -60; q <= 60; q++)
            if (found < 3 && desolate(p.world, (struct hex_axial){q, r})) {
                found++;
                fixture_move(&p.inputs, 1, 1, p.mine, 2, q, r, false);
                REFUSED(&p, UNREACHABLE);
            }
    cr_assert_eq(found, 3);
    // Beside it there is land: they go as near as they can.
    fixture_move(&p.inputs, 1, 1, p.mine, 2, 8, 3, false);
    fixture_step(p.world, &p.inputs);
    cr_assert_eq(world_terrain_at(p.world, (struct hex_axial){8, 3}), 0);
    cr_assert_eq(p.inputs.results[0].reason, REASON(OK));
    pair_close(&p);
    free(rules);
}

// --- spawns -------------------------------------------------------------------------------------

static const struct world_result *spawn(struct pair *p, const char *key, const char *type,
                                        uint32_t empire, uint32_t count, int32_t q, int32_t r)
{
    fixture_inputs_clear(&p->inputs);
    fixture_spawn(&p->inputs, key, type, empire, count, q, r);
    fixture_step(p->world, &p->inputs);
    return &p->inputs.results[0];
}

Test(spawns, once_per_key)
{
    struct pair p;
    pair_open(&p, NULL);
    const struct world_result *first = spawn(&p, "job 1", "soldier", 1, 3, 10, 0);
    cr_assert_eq(first->err, MM_OK);
    cr_assert_eq(first->entity_count, 3);
    uint64_t ids[3], tick = first->tick;
    memcpy(ids, first->entities, sizeof ids);
    uint32_t count = world_entity_count(p.world);
    const struct world_result *again = spawn(&p, "job 1", "worker", 2, 1, 0, 0);
    cr_assert(again->repeated_key && !again->applied);
    cr_assert_eq(again->entity_count, 3);
    cr_assert(memcmp(again->entities, ids, sizeof ids) == 0);
    cr_assert_eq(again->tick, tick);
    cr_assert_eq(world_entity_count(p.world), count);
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < i; j++)
            cr_assert_neq(ids[i], ids[j]);
    pair_close(&p);
}

Test(spawns, refusals_leave_no_trace_and_may_be_tried_again)
{
    struct pair p;
    pair_open(&p, NULL);
    const struct {
        const char *key, *type;
        uint32_t empire, count;
        int32_t q, r;
        enum mm_err err;
    } cases[] = {
        {"", "soldier", 1, 1, 0, 0, MM_INVALID_ARGUMENT},
        {"0123456789012345678901234567890123456789012345678901234567890123x", "soldier", 1, 1, 0, 0,
         MM_INVALID_ARGUMENT},
        {"k", "dragon", 1, 1, 0, 0, MM_INVALID_ARGUMENT},
        {"k", "", 1, 1, 0, 0, MM_INVALID_ARGUMENT},
        {"k", "soldier", 3, 1, 0, 0, MM_INVALID_ARGUMENT},
        {"k", "soldier", 1, 0, 0, 0, MM_INVALID_ARGUMENT},
        {"k", "soldier", 1, 101, 0, 0, MM_INVALID_ARGUMENT},
        {"k", "soldier", 1, 1, INT32_MIN, INT32_MAX, MM_OUT_OF_RANGE},
        {"k", "soldier", 1, 1, 3000, 3000, MM_OUT_OF_RANGE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct world_result *result = spawn(&p, cases[i].key, cases[i].type, cases[i].empire,
                                                  cases[i].count, cases[i].q, cases[i].r);
        fixture_run(p.twin, 1);
        cr_assert_eq(result->err, cases[i].err, "case %zu: %s", i, mm_err_name(result->err));
        cr_assert(!result->applied);
        cr_assert_eq(world_state_hash(p.world), world_state_hash(p.twin), "case %zu", i);
    }
    cr_assert_eq(spawn(&p, "k", "soldier", 1, 100, 0, 0)->err, MM_OK);
    pair_close(&p);
}

Test(spawns, beside_a_building_and_when_it_is_gone)
{
    struct pair p;
    pair_open(&p, NULL);
    fixture_inputs_clear(&p.inputs);
    fixture_spawn(&p.inputs, "a", "soldier", 1, 1, 0, 0);
    Mmorts__World__SpawnRequest *request =
        ((Mmorts__World__Input *)(uintptr_t)p.inputs.items[0])->spawn;
    request->beside = p.settlement;
    request->place = NULL;
    fixture_step(p.world, &p.inputs);
    cr_assert_eq(p.inputs.results[0].err, MM_OK);
    struct world_entity_view unit, home;
    cr_assert(world_find_entity(p.world, p.inputs.results[0].entities[0], &unit));
    cr_assert(world_find_entity(p.world, p.settlement, &home));
    cr_assert_leq(hex_distance(unit.at, home.at), 2);
    request->beside = 4711;
    request->key.data = (uint8_t *)"b";
    fixture_step(p.world, &p.inputs);
    cr_assert_eq(p.inputs.results[0].err, MM_NOT_FOUND);
    pair_close(&p);
}

Test(spawns, a_full_world_says_so)
{
    struct world_rules *rules = fixture_open_rules();
    // Founding reserves room for as many nodes as there are new hexes.
    rules->entities_max = 8000;
    struct pair p;
    pair_open(&p, rules);
    enum mm_err err = MM_OK;
    int made = 0;
    for (; err == MM_OK && made < 200; made++) {
        char key[16];
        snprintf(key, sizeof key, "%d", made);
        err = spawn(&p, key, "soldier", 1, 100, 0, 0)->err;
    }
    cr_assert_eq(err, MM_RESOURCE_EXHAUSTED);
    cr_assert_leq(world_entity_count(p.world), 8000);
    fixture_inputs_clear(&p.inputs);
    fixture_join(&p.inputs, 3, "one too many");
    fixture_step(p.world, &p.inputs);
    cr_assert(p.inputs.results[0].err == MM_OK || p.inputs.results[0].err == MM_RESOURCE_EXHAUSTED);
    char problem[128];
    cr_assert_eq(world_verify(p.world, problem, sizeof problem), MM_OK, "%s", problem);
    pair_close(&p);
    free(rules);
}

// --- empires ------------------------------------------------------------------------------------

Test(empires, homes_are_apart_connected_and_equally_rich)
{
    struct world_rules *rules = fixture_rules();
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct world *world = fixture_world(rules, seed);
        fixture_found(world, 12);
        struct world_empire_view homes[12];
        for (uint32_t i = 0; i < 12; i++)
            cr_assert(world_empire(world, i + 1, &homes[i]));
        for (uint32_t i = 0; i < 12; i++) {
            int nearest = 1000;
            for (uint32_t j = 0; j < 12; j++)
                if (i != j && hex_distance(homes[i].home, homes[j].home) < nearest)
                    nearest = hex_distance(homes[i].home, homes[j].home);
            cr_assert_eq(nearest, 57, "spacing 3 chunks of radius 9: not %d", nearest);
            uint64_t units[16];
            cr_assert_eq(fixture_units(world, i + 1, NULL, units, 16), 6);
            cr_assert_eq(fixture_units(world, i + 1, "settlement", units, 16), 1);
            struct world_entity_view view;
            uint32_t cursor = 0;
            int gold = 0, wood = 0;
            while (world_next_entity(world, &cursor, &view)) {
                bool near = hex_distance(view.at, homes[i].home) <= 8;
                gold += near && (int)view.type == world_rules_type(rules, "gold_mine");
                wood += near && (int)view.type == world_rules_type(rules, "woodland");
            }
            cr_assert_geq(gold, 2, "seed %llu empire %u: %d gold mines", (unsigned long long)seed,
                          i + 1, gold);
            cr_assert_geq(wood, 6, "seed %llu empire %u: %d woodlands", (unsigned long long)seed,
                          i + 1, wood);
        }
        world_free(world);
    }
    free(rules);
}

// The road between two homes is walked from end to end.
Test(empires, a_scout_reaches_its_neighbour, .timeout = 300)
{
    struct world_rules *rules = fixture_rules();
    fixture_peace(rules); // the neighbour's soldiers are no part of this
    for (uint64_t seed = 41; seed <= 46; seed++) {
        struct world *world = fixture_world(rules, seed);
        fixture_found(world, 7);
        struct fixture_inputs inputs;
        fixture_inputs_init(&inputs, 8);
        for (uint32_t e = 2; e <= 7; e++) {
            struct world_empire_view mine, first;
            uint64_t scout;
            cr_assert(world_empire(world, e, &mine) && world_empire(world, 1, &first));
            cr_assert_eq(fixture_units(world, e, "scout", &scout, 1), 1);
            fixture_inputs_clear(&inputs);
            fixture_move(&inputs, e, 1, &scout, 1, first.home.q, first.home.r, false);
            fixture_step(world, &inputs);
            cr_assert_eq(inputs.results[0].reason, REASON(OK));
        }
        for (int i = 0; i < 2000 && world_mover_count(world) > 0; i++)
            fixture_run(world, 1);
        for (uint32_t e = 2; e <= 7; e++) {
            uint64_t scout;
            struct world_entity_view view;
            cr_assert_eq(fixture_units(world, e, "scout", &scout, 1), 1);
            cr_assert(world_find_entity(world, scout, &view));
            int32_t left = hex_distance(view.at, (struct hex_axial){0, 0});
            cr_assert_leq(left, 6, "seed %llu: the scout of %u stopped %d hexes away",
                          (unsigned long long)seed, e, left);
        }
        fixture_inputs_free(&inputs);
        world_free(world);
    }
    free(rules);
}

Test(empires, names_are_cut_at_a_character)
{
    struct world *world = fixture_world(NULL, 1);
    struct fixture_inputs inputs;
    fixture_inputs_init(&inputs, 4);
    char name[200] = "";
    for (int i = 0; i < 40; i++)
        strncat(name, "\u00e4\u20ac", sizeof name - strlen(name) - 1);
    fixture_join(&inputs, 1, name);
    fixture_step(world, &inputs);
    struct world_empire_view view;
    cr_assert(world_empire(world, 1, &view));
    cr_assert_eq(strlen(view.name), 62, "12 pairs of 5 bytes and one of 2; not %zu",
                 strlen(view.name));
    fixture_inputs_clear(&inputs);
    fixture_join(&inputs, 0, "nobody");
    fixture_step(world, &inputs);
    cr_assert_eq(inputs.results[0].err, MM_INVALID_ARGUMENT);
    fixture_inputs_free(&inputs);
    world_free(world);
}
