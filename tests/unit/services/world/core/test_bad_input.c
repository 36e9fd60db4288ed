// Every kind of command with every kind of fault, and every command of servers: the one reason it
// must be refused with, and a state that is to the bit what it would be without it. What is spoiled
// is a command that is accepted as it is, so that the fault alone is what it is refused for.

#include "services/world/core/state.h"
#include "tests/support/world_orders.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind {
    MOVE,
    STOP,
    ATTACK,
    ATTACK_MOVE,
    PATROL,
    WANDER,
    GATHER,
    BUILD,
    REPAIR,
    RALLY,
    CANCEL,
    KINDS
};
_Static_assert(KINDS == (int)WORLD_COMMAND_KINDS, "every kind of command");
static const char *const kind_names[KINDS] = {"move",   "stop",   "attack",      "attack_move",
                                              "patrol", "wander", "gather",      "build",
                                              "repair", "rally",  "cancel_build"};

struct scene {
    struct world_rules *rules;
    struct world *world, *twin;
    struct fixture_inputs inputs;
    struct hex_axial home, away; // of empire 1; and where nobody sees
    uint64_t settlement, soldiers[2], worker, scout, tower, site, mine;
    uint64_t enemy, enemy_tower;        // in sight
    uint64_t hidden_enemy, hidden_mine; // not in sight
    uint64_t lost_soldier, lost_worker; // on an island
    uint64_t dead, dead_enemy, dead_building, dead_mine;
    uint64_t seq;
};

// --- the scene -----------------------------------------------------------------------------------

static uint64_t put(struct scene *s, const char *type, uint32_t empire, int32_t q, int32_t r)
{
    return fixture_put(s->world, &s->inputs, type, empire,
                       (struct hex_axial){s->home.q + q, s->home.r + r});
}

static uint64_t put_dead(struct scene *s, const char *type, uint32_t empire)
{
    uint64_t id = put(s, type, empire, 3, 3);
    fixture_despawn(&s->inputs, id);
    cr_assert(fixture_step_checked(s->world, &s->inputs).applied);
    return id;
}

// Water all around a place.
static void make_island(struct scene *s, struct hex_axial center)
{
    struct hex_axial ring[6 * 3];
    size_t count = hex_ring(center, 3, ring);
    for (size_t i = 0; i < count; i++) {
        uint32_t cell = world_map_cell(&s->world->map, ring[i]);
        cr_assert_neq(cell, WORLD_CELL_NONE);
        s->world->map.terrain[cell] = 0;
    }
    s->world->map.hash_sum = world_map_hash_full(&s->world->map);
    world_map_rebuild_regions(&s->world->map);
    world_ways_forget(s->world);
}

static void put_site(struct scene *s)
{
    fixture_build(&s->inputs, 1, ++s->seq, &s->worker, 1, "barracks", s->home.q - 3, s->home.r,
                  false);
    uint64_t bill = fixture_step_checked(s->world, &s->inputs).bill;
    fixture_settle(&s->inputs, bill, true);
    cr_assert(fixture_step_checked(s->world, &s->inputs).applied);
    fixture_stop(&s->inputs, 1, ++s->seq, &s->worker, 1);
    cr_assert(fixture_step_checked(s->world, &s->inputs).applied);
    cr_assert_eq(fixture_units(s->world, 1, "barracks", &s->site, 1), 1);
}

static void damage(struct scene *s, uint64_t entity)
{
    Mmorts__World__EntityChange *change =
        fixture_set_entity(&s->inputs, "damage", entity, 1)->changes[0];
    change->change_case = MMORTS__WORLD__ENTITY_CHANGE__CHANGE_HEALTH;
    change->health = 10;
    cr_assert(fixture_step_checked(s->world, &s->inputs).applied);
}

static struct world *copy_of(const struct world *world)
{
    struct mm_buf bytes;
    struct world *copy;
    mm_buf_init(&bytes, WORLD_SAVE_BYTES_MAX);
    world_save(world, &bytes);
    cr_assert_eq(world_load(bytes.data, bytes.len, &copy), MM_OK);
    mm_buf_free(&bytes);
    return copy;
}

static void set_up(struct scene *s, uint32_t cooldown_ticks)
{
    struct world_empire_view empire;
    *s = (struct scene){.rules = fixture_open_rules()};
    s->rules->combat.guard = 0;
    s->rules->commands.per_second = 1;
    s->rules->commands.burst = 200;
    for (int kind = 0; kind < WORLD_COMMAND_KINDS; kind++)
        s->rules->commands.cooldown_ticks[kind] = cooldown_ticks;
    s->world = fixture_world(s->rules, 1);
    fixture_inputs_init(&s->inputs, 256);
    fixture_found(s->world, 2);
    cr_assert(world_empire(s->world, 1, &empire));
    s->home = empire.home;
    cr_assert(world_empire(s->world, 2, &empire));
    s->away = (struct hex_axial){s->home.q + 18, s->home.r};
    cr_assert_eq(fixture_units(s->world, 1, "settlement", &s->settlement, 1), 1);
    cr_assert_eq(fixture_units(s->world, 1, "scout", &s->scout, 1), 1);
    cr_assert_geq(fixture_units(s->world, 1, "soldier", s->soldiers, 2), 2);
    cr_assert_geq(fixture_units(s->world, 1, "worker", &s->worker, 1), 1);
    cr_assert_eq(fixture_units(s->world, 2, "scout", &s->hidden_enemy, 1), 1);
    s->mine = put(s, "gold_mine", 0, 0, 5);
    s->tower = put(s, "tower", 1, 0, -4);
    s->enemy = put(s, "scout", 2, 4, 1);
    s->enemy_tower = put(s, "tower", 2, 2, 4);
    s->hidden_mine = put(s, "gold_mine", 0, 18, 3);
    s->dead = put_dead(s, "soldier", 1);
    s->dead_enemy = put_dead(s, "scout", 2);
    s->dead_building = put_dead(s, "barracks", 1);
    s->dead_mine = put_dead(s, "gold_mine", 0);
    put_site(s);
    damage(s, s->tower);
    s->lost_soldier = put(s, "soldier", 1, -18, 0);
    s->lost_worker = put(s, "worker", 1, -19, 0);
    make_island(s, (struct hex_axial){s->home.q - 18, s->home.r});
    fixture_run(s->world, 400); // cooldowns of the above are over, and everybody stands
    s->twin = copy_of(s->world);
}

static void tear_down(struct scene *s)
{
    fixture_inputs_free(&s->inputs);
    world_free(s->twin);
    world_free(s->world);
    free(s->rules);
}

// --- commands that are accepted ------------------------------------------------------------------

static Mmorts__World__Command *good(struct scene *s, enum kind kind, uint64_t seq, bool queued)
{
    struct fixture_inputs *in = &s->inputs;
    struct hex_axial to = {s->home.q + 5, s->home.r - 3};
    const int32_t points[] = {to.q, to.r, s->home.q - 4, s->home.r + 2};
    switch (kind) {
    case MOVE:
        return fixture_move(in, 1, seq, s->soldiers, 2, to.q, to.r, queued);
    case STOP:
        fixture_stop(in, 1, seq, s->soldiers, 2);
        break;
    case ATTACK:
        return fixture_attack(in, 1, seq, s->soldiers, 2, s->enemy, queued);
    case ATTACK_MOVE:
        return fixture_attack_move(in, 1, seq, s->soldiers, 2, to.q, to.r, queued);
    case PATROL:
        return fixture_patrol(in, 1, seq, s->soldiers, 2, points, 2, queued);
    case WANDER:
        return fixture_wander(in, 1, seq, s->soldiers, 2, 4, queued);
    case GATHER:
        return fixture_gather(in, 1, seq, &s->worker, 1, s->mine, queued);
    case BUILD:
        return fixture_build(in, 1, seq, &s->worker, 1, "tower", to.q, to.r, queued);
    case REPAIR:
        return fixture_repair(in, 1, seq, &s->worker, 1, s->tower, queued);
    case RALLY:
        return fixture_rally(in, 1, seq, &s->settlement, 1, to.q, to.r);
    default:
        return fixture_cancel_build(in, 1, seq, s->site);
    }
    Mmorts__World__Command *stop = in->items[in->count - 1]->command;
    stop->queued = queued;
    return stop;
}

// --- faults --------------------------------------------------------------------------------------

static void name_units(struct scene *s, Mmorts__World__Command *command, const uint64_t *units,
                       size_t count)
{
    command->units = mm_arena_calloc(s->inputs.arena, count + 1, sizeof *command->units);
    memcpy(command->units, units, count * sizeof *units);
    command->n_units = count;
}

// The one the command is about: its units, or what is given up.
static void name_one(struct scene *s, enum kind kind, Mmorts__World__Command *command, uint64_t id)
{
    if (kind == CANCEL)
        command->cancel_build->building = id;
    else
        name_units(s, command, &id, 1);
}

static void set_target(enum kind kind, Mmorts__World__Command *command, uint64_t id)
{
    if (kind == ATTACK)
        command->attack->target = id;
    else if (kind == GATHER)
        command->gather->node = id;
    else if (kind == REPAIR)
        command->repair->target = id;
    else if (kind == CANCEL)
        command->cancel_build->building = id;
}

static Mmorts__World__Hex **place_of(enum kind kind, Mmorts__World__Command *command)
{
    switch (kind) {
    case MOVE:
        return &command->move->target;
    case ATTACK_MOVE:
        return &command->attack_move->target;
    case PATROL:
        return &command->patrol->points[1];
    case BUILD:
        return &command->build->place;
    default:
        return &command->rally->target;
    }
}

static void set_place(enum kind kind, Mmorts__World__Command *command, int32_t q, int32_t r)
{
    Mmorts__World__Hex *place = *place_of(kind, command);
    place->q = q;
    place->r = r;
}

typedef void spoil(struct scene *s, enum kind kind, Mmorts__World__Command *command, int variant);

static void no_player(struct scene *s, enum kind kind, Mmorts__World__Command *command, int variant)
{
    (void)s, (void)kind;
    static const uint64_t players[] = {99, 0, UINT64_MAX};
    command->player_id = players[variant % 3];
}

static void no_number(struct scene *s, enum kind kind, Mmorts__World__Command *command, int variant)
{
    (void)s, (void)kind, (void)variant;
    command->client_seq = 0;
}

static void no_units(struct scene *s, enum kind kind, Mmorts__World__Command *command, int variant)
{
    (void)s, (void)kind, (void)variant;
    command->n_units = 0;
}

static void too_many_units(struct scene *s, enum kind kind, Mmorts__World__Command *command,
                           int variant)
{
    (void)kind;
    uint64_t units[WORLD_COMMAND_UNITS_MAX * 2];
    size_t count = variant == 0 ? WORLD_COMMAND_UNITS_MAX + 1 : WORLD_COMMAND_UNITS_MAX * 2;
    for (size_t i = 0; i < count; i++)
        units[i] = i == 0 ? s->worker : s->worker + i;
    name_units(s, command, units, count);
}

static void not_mine(struct scene *s, enum kind kind, Mmorts__World__Command *command, int variant)
{
    (void)variant;
    name_one(s, kind, command, kind == RALLY || kind == CANCEL ? s->enemy_tower : s->enemy);
}

static void dead(struct scene *s, enum kind kind, Mmorts__World__Command *command, int variant)
{
    (void)variant;
    name_one(s, kind, command, kind == RALLY || kind == CANCEL ? s->dead_building : s->dead);
}

static void never_was(struct scene *s, enum kind kind, Mmorts__World__Command *command, int variant)
{
    static const uint64_t ids[] = {0, 1, UINT64_MAX};
    name_one(s, kind, command, ids[variant % 3]);
}

static void named_twice(struct scene *s, enum kind kind, Mmorts__World__Command *command,
                        int variant)
{
    (void)kind;
    (void)variant;
    const uint64_t twice[] = {command->units[0], s->dead, command->units[0]};
    name_units(s, command, twice, 3);
}

static void another_class(struct scene *s, enum kind kind, Mmorts__World__Command *command,
                          int variant)
{
    (void)variant;
    name_one(s, kind, command, kind == RALLY || kind == CANCEL ? s->worker : s->settlement);
}

static void unable(struct scene *s, enum kind kind, Mmorts__World__Command *command, int variant)
{
    (void)variant;
    name_one(s, kind, command, kind == ATTACK ? s->scout : s->soldiers[0]);
}

static void off_the_map(struct scene *s, enum kind kind, Mmorts__World__Command *command,
                        int variant)
{
    static const int32_t far[][2] = {{3000, 0},
                                     {0, -3000},
                                     {1 << 24, 1 << 24},
                                     {INT32_MAX, INT32_MIN},
                                     {INT32_MIN, INT32_MIN},
                                     {INT32_MAX, INT32_MAX}};
    (void)s;
    set_place(kind, command, far[variant % 6][0], far[variant % 6][1]);
}

static void no_content(struct scene *s, enum kind kind, Mmorts__World__Command *command,
                       int variant)
{
    (void)s, (void)kind, (void)variant;
    command->move = NULL; // one member of a union with all others
}

static void no_place(struct scene *s, enum kind kind, Mmorts__World__Command *command, int variant)
{
    (void)s, (void)variant;
    if (kind == PATROL)
        command->patrol->n_points = 0;
    else
        *place_of(kind, command) = NULL;
}

// Numbers and names beyond their bounds.
static void overflowing(struct scene *s, enum kind kind, Mmorts__World__Command *command,
                        int variant)
{
    static const uint32_t radii[] = {0, WORLD_WANDER_RADIUS_MAX + 1, UINT32_MAX};
    if (kind == WANDER) {
        command->wander->radius_hexes = radii[variant % 3];
    } else if (kind == PATROL) {
        size_t count = WORLD_ORDERS_MAX + 1;
        Mmorts__World__Hex **points = mm_arena_calloc(s->inputs.arena, count, sizeof *points);
        for (size_t i = 0; i < count; i++)
            points[i] = command->patrol->points[0];
        command->patrol->points = points;
        command->patrol->n_points = count;
    } else {
        char *name = mm_arena_calloc(s->inputs.arena, 10000, 1);
        memset(name, 'x', variant == 0 ? 0 : variant == 1 ? WORLD_NAME_BYTES : 9999);
        command->build->building = name;
    }
}

static void no_target(struct scene *s, enum kind kind, Mmorts__World__Command *command, int variant)
{
    static const uint64_t ids[] = {0, 1, UINT64_MAX};
    (void)s;
    set_target(kind, command, ids[variant % 3]);
}

static void dead_target(struct scene *s, enum kind kind, Mmorts__World__Command *command,
                        int variant)
{
    (void)variant;
    set_target(kind, command,
               kind == ATTACK   ? s->dead_enemy
               : kind == GATHER ? s->dead_mine
                                : s->dead_building);
}

static void unseen(struct scene *s, enum kind kind, Mmorts__World__Command *command, int variant)
{
    (void)variant;
    if (kind == BUILD)
        set_place(kind, command, s->away.q, s->away.r);
    else
        set_target(kind, command, kind == ATTACK ? s->hidden_enemy : s->hidden_mine);
}

static void whose_target(struct scene *s, enum kind kind, Mmorts__World__Command *command,
                         int variant)
{
    set_target(kind, command,
               kind != ATTACK ? s->enemy_tower
               : variant == 0 ? s->soldiers[0]
                              : s->settlement);
}

static void what_target(struct scene *s, enum kind kind, Mmorts__World__Command *command,
                        int variant)
{
    static char soldier[] = "soldier", mine[] = "gold_mine", dragon[] = "dragon";
    char *const types[] = {soldier, mine, dragon};
    if (kind == BUILD)
        command->build->building = types[variant % 3];
    else
        set_target(kind, command,
                   kind == ATTACK   ? s->mine
                   : kind == GATHER ? s->enemy
                                    : s->soldiers[0]);
}

static void nothing_to_do(struct scene *s, enum kind kind, Mmorts__World__Command *command,
                          int variant)
{
    (void)variant;
    set_target(kind, command, s->settlement);
}

static void no_way(struct scene *s, enum kind kind, Mmorts__World__Command *command, int variant)
{
    (void)variant;
    bool works = kind == GATHER || kind == BUILD || kind == REPAIR;
    name_one(s, kind, command, works ? s->lost_worker : s->lost_soldier);
}

static void occupied(struct scene *s, enum kind kind, Mmorts__World__Command *command, int variant)
{
    // Where a tower stands, and somebody else's scout.
    set_place(kind, command, s->home.q + (variant == 0 ? 0 : 4),
              s->home.r + (variant == 0 ? -4 : 1));
}

static void unknown_order(struct scene *s, enum kind kind, Mmorts__World__Command *command,
                          int variant)
{
    static const int orders[] = {9, 21, 99, INT32_MAX, INT32_MIN};
    (void)s, (void)kind;
    command->order_case = (Mmorts__World__Command__OrderCase)orders[variant % 5];
}

static void no_order(struct scene *s, enum kind kind, Mmorts__World__Command *command, int variant)
{
    (void)s, (void)kind, (void)variant;
    command->order_case = MMORTS__WORLD__COMMAND__ORDER__NOT_SET;
}

// --- the table -----------------------------------------------------------------------------------

// The columns are the kinds in their order; a fault that a kind cannot have is __.
#define R(name) MMORTS__WORLD__COMMAND_REASON__COMMAND_##name
#define ALL(reason)                                                                                \
    {                                                                                              \
        reason, reason, reason, reason, reason, reason, reason, reason, reason, reason, reason     \
    }
enum {
    __ = 999,
    NEMP = R(NO_EMPIRE),
    NUNI = R(NO_UNITS),
    UUNI = R(UNKNOWN_UNIT),
    CANT = R(CANNOT),
    OMAP = R(OUT_OF_MAP),
    NWAY = R(UNREACHABLE),
    UTAR = R(UNKNOWN_TARGET),
    FULL = R(QUEUE_FULL),
    INVA = R(INVALID),
    OCCU = R(OCCUPIED),
    NSEE = R(NOT_SEEN),
    UTYP = R(UNKNOWN_TYPE),
};

static const struct fault {
    const char *name;
    spoil *spoil;
    int variants;
    uint32_t reasons[KINDS];
} faults[] = {
    // clang-format off
    //                                      move  stop  attac a_mov patro wande gathe build repai rally cance
    {"no such player",  no_player,      3, ALL(NEMP)},
    {"no number",       no_number,      1, ALL(INVA)},
    {"no units",        no_units,       1, {NUNI, NUNI, NUNI, NUNI, NUNI, NUNI, NUNI, NUNI, NUNI, NUNI, __}},
    {"too many units",  too_many_units, 2, {NUNI, NUNI, NUNI, NUNI, NUNI, NUNI, NUNI, NUNI, NUNI, NUNI, __}},
    {"not mine",        not_mine,       1, {UUNI, UUNI, UUNI, UUNI, UUNI, UUNI, UUNI, UUNI, UUNI, UUNI, UTAR}},
    {"dead",            dead,           1, {UUNI, UUNI, UUNI, UUNI, UUNI, UUNI, UUNI, UUNI, UUNI, UUNI, UTAR}},
    {"never was",       never_was,      3, {UUNI, UUNI, UUNI, UUNI, UUNI, UUNI, UUNI, UUNI, UUNI, UUNI, UTAR}},
    {"named twice",     named_twice,    1, {INVA, INVA, INVA, INVA, INVA, INVA, INVA, INVA, INVA, INVA, __}},
    {"another class",   another_class,  1, {CANT, CANT, CANT, CANT, CANT, CANT, CANT, CANT, CANT, UUNI, UTAR}},
    {"unable",          unable,         1, {__,   __,   CANT, __,   __,   __,   CANT, CANT, CANT, __,   __}},
    {"off the map",     off_the_map,    6, {OMAP, __,   __,   OMAP, OMAP, __,   __,   OMAP, __,   OMAP, __}},
    {"no content",      no_content,     1, {INVA, __,   INVA, INVA, INVA, INVA, INVA, INVA, UTAR, INVA, UTAR}},
    {"no place",        no_place,       1, {INVA, __,   __,   INVA, INVA, __,   __,   INVA, __,   INVA, __}},
    {"overflowing",     overflowing,    3, {__,   __,   __,   __,   INVA, INVA, __,   UTYP, __,   __,   __}},
    {"no target",       no_target,      3, {__,   __,   UTAR, __,   __,   __,   UTAR, __,   UTAR, __,   UTAR}},
    {"dead target",     dead_target,    1, {__,   __,   UTAR, __,   __,   __,   UTAR, __,   UTAR, __,   UTAR}},
    {"unseen",          unseen,         1, {__,   __,   UTAR, __,   __,   __,   UTAR, NSEE, __,   __,   __}},
    {"whose target",    whose_target,   2, {__,   __,   INVA, __,   __,   __,   __,   __,   UTAR, __,   UTAR}},
    {"what target",     what_target,    3, {__,   __,   INVA, __,   __,   __,   INVA, UTYP, UTAR, __,   UTAR}},
    {"nothing to do",   nothing_to_do,  1, {__,   __,   __,   __,   __,   __,   __,   __,   INVA, __,   INVA}},
    {"no way",          no_way,         1, {NWAY, __,   NWAY, NWAY, NWAY, __,   NWAY, NWAY, NWAY, __,   __}},
    {"occupied",        occupied,       2, {__,   __,   __,   __,   __,   __,   __,   OCCU, __,   __,   __}},
    {"unknown order",   unknown_order,  5, ALL(R(UNSUPPORTED))},
    {"no order",        no_order,       1, ALL(INVA)},
    // clang-format on
};

// Steps the world with what is in the inputs, and its twin without; it must be refused.
static void refused(struct scene *s, uint32_t reason, bool retry, const char *fault,
                    const char *kind, int variant)
{
    fixture_step(s->world, &s->inputs);
    fixture_run(s->twin, 1);
    const struct world_result *result = &s->inputs.results[s->inputs.count - 1];
    cr_assert_eq(result->reason, reason, "%s, %s, %d: reason %u (%s) instead of %u", kind, fault,
                 variant, result->reason, result->message, reason);
    cr_assert_str_not_empty(result->message, "%s, %s", kind, fault);
    cr_assert_not(result->applied, "%s, %s", kind, fault);
    cr_assert_eq(result->retry_after_ticks > 0, retry, "%s, %s", kind, fault);
    cr_assert_eq(result->bill, 0u);
    cr_assert_eq(world_state_hash(s->world), world_state_hash(s->twin), "%s, %s", kind, fault);
    cr_assert_eq(world_state_hash(s->world), world_state_hash_full(s->world), "%s, %s", kind,
                 fault);
    fixture_inputs_clear(&s->inputs);
}

// Both worlds take what is in the inputs; all of it must be accepted.
static void accepted(struct scene *s, const char *what)
{
    for (int i = 0; i < 2; i++) {
        fixture_step(i == 0 ? s->world : s->twin, &s->inputs);
        for (size_t j = 0; j < s->inputs.count; j++)
            cr_assert(s->inputs.results[j].applied, "%s: input %zu: %u %s", what, j,
                      s->inputs.results[j].reason, s->inputs.results[j].message);
    }
    fixture_inputs_clear(&s->inputs);
}

TestSuite(bad_input, .timeout = 300);

Test(bad_input, every_command_is_accepted_as_long_as_nothing_is_wrong_with_it)
{
    for (int kind = 0; kind < KINDS; kind++)
        for (int queued = 0; queued < 2; queued++) {
            struct scene s;
            set_up(&s, 0);
            good(&s, (enum kind)kind, ++s.seq, queued);
            accepted(&s, kind_names[kind]);
            tear_down(&s);
        }
}

Test(bad_input, every_fault_of_every_command_has_its_reason_and_leaves_no_trace)
{
    struct scene s;
    size_t tried = 0;
    set_up(&s, 0);
    for (size_t f = 0; f < sizeof faults / sizeof faults[0]; f++)
        for (int kind = 0; kind < KINDS; kind++)
            for (int queued = 0; queued < 2 && faults[f].reasons[kind] != __; queued++)
                for (int variant = 0; variant < faults[f].variants; variant++, tried++) {
                    Mmorts__World__Command *command = good(&s, (enum kind)kind, s.seq + 1, queued);
                    faults[f].spoil(&s, (enum kind)kind, command, variant);
                    refused(&s, faults[f].reasons[kind], false, faults[f].name, kind_names[kind],
                            variant);
                }
    cr_expect_gt(tried, 500u);
    // None of them used up anything: the number is still new.
    good(&s, MOVE, ++s.seq, false);
    accepted(&s, "after all of them");
    tear_down(&s);
}

// --- the hour is wrong ---------------------------------------------------------------------------

static void refused_all(struct scene *s, uint64_t seq, uint32_t reason, bool retry,
                        const char *fault)
{
    for (int kind = 0; kind < KINDS; kind++)
        for (int queued = 0; queued < 2; queued++) {
            good(s, (enum kind)kind, seq, queued);
            refused(s, reason, retry, fault, kind_names[kind], 0);
        }
}

Test(bad_input, while_the_session_is_paused)
{
    struct scene s;
    set_up(&s, 0);
    fixture_pause(&s.inputs, true);
    accepted(&s, "pause");
    refused_all(&s, s.seq + 1, R(PAUSED), false, "paused");
    tear_down(&s);
}

// Long ago, or never but passed over: nobody knows any more what came of it.
Test(bad_input, repeated_or_out_of_order)
{
    struct scene s;
    set_up(&s, 0);
    s.seq += 10; // those between are passed over
    for (int i = 0; i < WORLD_RESULTS_KEPT + 5; i++) {
        good(&s, MOVE, ++s.seq, false);
        accepted(&s, "move");
    }
    refused_all(&s, 1, R(REPEATED), false, "long ago");
    refused_all(&s, 5, R(REPEATED), false, "passed over");
    // What is remembered has its first result, whatever it orders now.
    for (int kind = 0; kind < KINDS; kind++) {
        good(&s, (enum kind)kind, s.seq, false);
        fixture_step(s.world, &s.inputs);
        fixture_run(s.twin, 1);
        cr_expect_eq(s.inputs.results[0].reason, (uint32_t)R(OK));
        cr_expect_not(s.inputs.results[0].applied);
        cr_expect_eq(world_state_hash(s.world), world_state_hash(s.twin));
        fixture_inputs_clear(&s.inputs);
    }
    tear_down(&s);
}

Test(bad_input, too_many)
{
    struct scene s;
    set_up(&s, 0);
    for (int i = 0; i < 200; i++)
        good(&s, MOVE, ++s.seq, false);
    accepted(&s, "the burst");
    for (int kind = 0; kind < KINDS; kind++) {
        // One a second is given back.
        good(&s, (enum kind)kind, s.seq + 1, kind % 2 != 0);
        refused(&s, R(RATE_LIMITED), true, "too many", kind_names[kind], 0);
    }
    tear_down(&s);
}

Test(bad_input, too_soon)
{
    struct scene s;
    set_up(&s, 300);
    for (int kind = 0; kind < KINDS; kind++) {
        good(&s, (enum kind)kind, ++s.seq, false);
        accepted(&s, kind_names[kind]);
    }
    refused_all(&s, s.seq + 1, R(COOLDOWN), true, "too soon");
    tear_down(&s);
}

Test(bad_input, behind_a_full_list_of_orders)
{
    static const uint32_t reasons[KINDS] = {FULL, __,   FULL, FULL, FULL, FULL,
                                            FULL, FULL, FULL, __,   __};
    struct scene s;
    set_up(&s, 0);
    for (int i = 0; i < WORLD_ORDERS_MAX; i++) {
        const uint64_t all[] = {s.soldiers[0], s.soldiers[1], s.worker};
        fixture_move(&s.inputs, 1, ++s.seq, all, 3, s.home.q + 40 * (i % 2 ? 1 : -1) / 4,
                     s.home.r + 8, true);
    }
    accepted(&s, "waypoints");
    for (int kind = 0; kind < KINDS; kind++) {
        if (reasons[kind] == __)
            continue;
        good(&s, (enum kind)kind, s.seq + 1, true);
        refused(&s, reasons[kind], false, "full", kind_names[kind], 0);
    }
    good(&s, MOVE, ++s.seq, false);
    accepted(&s, "instead of all those");
    tear_down(&s);
}

Test(bad_input, behind_too_many_bills)
{
    struct scene s;
    set_up(&s, 0);
    for (int i = 0; i < WORLD_BILLS_PER_PLAYER_MAX; i++) {
        Mmorts__World__Command *build = good(&s, BUILD, ++s.seq, false);
        build->build->place->r += i % 4;
        build->build->place->q -= i / 4;
        accepted(&s, "build");
    }
    for (int queued = 0; queued < 2; queued++) {
        good(&s, BUILD, s.seq + 1, queued)->build->place->q -= 2;
        refused(&s, R(QUEUE_FULL), false, "bills", "build", queued);
    }
    tear_down(&s);
}

// --- of servers ----------------------------------------------------------------------------------

static void server_refused(struct scene *s, enum mm_err err, const char *what)
{
    fixture_step(s->world, &s->inputs);
    fixture_run(s->twin, 1);
    const struct world_result *result = &s->inputs.results[0];
    cr_assert_eq(result->err, err, "%s: %s (%s)", what, mm_err_name(result->err), result->message);
    cr_assert_eq(err != MM_OK, result->message[0] != 0, "%s", what);
    cr_assert_not(result->applied, "%s", what);
    cr_assert_eq(world_state_hash(s->world), world_state_hash(s->twin), "%s", what);
    cr_assert_eq(world_state_hash(s->world), world_state_hash_full(s->world), "%s", what);
    fixture_inputs_clear(&s->inputs);
}

Test(bad_input, spawns)
{
    struct scene s;
    set_up(&s, 0);
    char long_key[WORLD_SPAWN_KEY_BYTES_MAX + 2] = "";
    memset(long_key, 'k', WORLD_SPAWN_KEY_BYTES_MAX + 1);
    const struct {
        const char *key, *type;
        uint32_t empire, count;
        int32_t q, r;
        enum mm_err err;
    } wrong[] = {
        {"", "soldier", 1, 1, 0, 5, MM_INVALID_ARGUMENT},
        {long_key, "soldier", 1, 1, 0, 5, MM_INVALID_ARGUMENT},
        {"k", "dragon", 1, 1, 0, 5, MM_INVALID_ARGUMENT},
        {"k", "", 1, 1, 0, 5, MM_INVALID_ARGUMENT},
        {"k", "soldier", 9, 1, 0, 5, MM_INVALID_ARGUMENT},
        {"k", "soldier", UINT32_MAX, 1, 0, 5, MM_INVALID_ARGUMENT},
        {"k", "soldier", 1, 0, 0, 5, MM_INVALID_ARGUMENT},
        {"k", "soldier", 1, WORLD_SPAWN_COUNT_MAX + 1, 0, 5, MM_INVALID_ARGUMENT},
        {"k", "soldier", 1, UINT32_MAX, 0, 5, MM_INVALID_ARGUMENT},
        {"k", "soldier", 1, 1, 5000, 0, MM_OUT_OF_RANGE},
        {"k", "soldier", 1, 1, INT32_MAX, INT32_MIN, MM_OUT_OF_RANGE},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char what[16];
        snprintf(what, sizeof what, "spawn %zu", i);
        fixture_spawn(&s.inputs, wrong[i].key, wrong[i].type, wrong[i].empire, wrong[i].count,
                      wrong[i].q, wrong[i].r);
        server_refused(&s, wrong[i].err, what);
    }
    fixture_spawn_beside(&s.inputs, "k", "soldier", 1, 1, s.dead_building);
    server_refused(&s, MM_NOT_FOUND, "beside one that is gone");
    tear_down(&s);
}

Test(bad_input, other_commands_of_servers)
{
    struct scene s;
    set_up(&s, 0);
    static const uint64_t nobody[] = {0, 1, UINT64_MAX};
    for (int i = 0; i < 3; i++) {
        fixture_despawn(&s.inputs, nobody[i]);
        server_refused(&s, MM_NOT_FOUND, "despawn");
        fixture_set_entity(&s.inputs, "k", nobody[i], 1)->changes[0]->change_case =
            MMORTS__WORLD__ENTITY_CHANGE__CHANGE_STEALTHED;
        server_refused(&s, MM_NOT_FOUND, "set");
    }
    fixture_despawn(&s.inputs, s.dead);
    server_refused(&s, MM_NOT_FOUND, "despawn of the dead");
    fixture_join(&s.inputs, 0, "nobody");
    server_refused(&s, MM_INVALID_ARGUMENT, "join");
    fixture_settle(&s.inputs, 77, true);
    server_refused(&s, MM_NOT_FOUND, "a bill that never was");
    fixture_pause(&s.inputs, false);
    server_refused(&s, MM_OK, "resuming what is not paused");
    fixture_set_alliances(&s.inputs, (const uint32_t[]){1, 9}, (const uint64_t[]){5, 5}, 2);
    server_refused(&s, MM_INVALID_ARGUMENT, "alliances");
    fixture_set_sharing(&s.inputs, 2, 1, NULL, 0, MMORTS__WORLD__ALLIES_LEND__ALLIES_LEND_ALL);
    server_refused(&s, MM_INVALID_ARGUMENT, "sharing");
    char *text = mm_arena_calloc(s.inputs.arena, WORLD_ANNOUNCEMENT_BYTES_MAX + 2, 1);
    memset(text, 'x', WORLD_ANNOUNCEMENT_BYTES_MAX + 1);
    fixture_announce(&s.inputs, "k", text);
    server_refused(&s, MM_INVALID_ARGUMENT, "a long announcement");
    fixture_announce(&s.inputs, "k", "");
    server_refused(&s, MM_INVALID_ARGUMENT, "an empty one");
    fixture_announce(&s.inputs, "", "hear");
    server_refused(&s, MM_INVALID_ARGUMENT, "one without a key");
    fixture_set_entity(&s.inputs, "k", s.worker, 0);
    server_refused(&s, MM_INVALID_ARGUMENT, "no changes");
    fixture_set_entity(&s.inputs, "k", s.worker, WORLD_CHANGES_MAX + 1);
    server_refused(&s, MM_INVALID_ARGUMENT, "too many changes");
    tear_down(&s);
}
