#include "tests/support/world_recording.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/hash.h"
#include "libcommon/io/pb.h"
#include "tests/support/process.h"
#include "tests/support/world_orders.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

enum { INPUTS_MAX = 64, UNITS_MAX = 256, SNAPSHOTS_MAX = 64 };

struct recording {
    struct replay_source base;
    struct recording_row *rows;
    uint8_t *snapshots[SNAPSHOTS_MAX];
    size_t next;
};

struct player {
    struct mm_rng rng;
    struct world *world;
    struct fixture_inputs inputs;
    unsigned players;
    uint64_t seq[RECORDING_PLAYERS_MAX + 2];
    uint64_t spawns;
};

// --- playing ------------------------------------------------------------------------------------

static struct hex_axial random_hex(struct player *player)
{
    struct world_empire_view view = {0};
    world_empire(player->world, (uint32_t)mm_rng_between(&player->rng, 1, player->players), &view);
    int32_t reach = mm_rng_chance(&player->rng, 1, 5) ? 50 : 12;
    return (struct hex_axial){view.home.q + (int32_t)mm_rng_between(&player->rng, -reach, reach),
                              view.home.r + (int32_t)mm_rng_between(&player->rng, -reach, reach)};
}

static uint64_t random_entity(struct player *player)
{
    struct world_entity_view view = {.id = 12345};
    world_entity_at_slot(player->world, (uint32_t)mm_rng_below(&player->rng, 500), &view);
    return view.id;
}

static void *message(struct player *player, const ProtobufCMessageDescriptor *type)
{
    ProtobufCMessage *made = mm_arena_calloc(player->inputs.arena, 1, type->sizeof_message);
    protobuf_c_message_init(type, made);
    return made;
}

static Mmorts__World__Hex *hex_message(struct player *player)
{
    struct hex_axial at = random_hex(player);
    Mmorts__World__Hex *hex = message(player, &mmorts__world__hex__descriptor);
    hex->q = at.q;
    hex->r = at.r;
    return hex;
}

// Orders of every kind; those that this world does not know are refused and leave no trace.
static void give_order(struct player *player, Mmorts__World__Command *command)
{
    switch (mm_rng_below(&player->rng, 6)) {
    case 0:
        command->order_case = MMORTS__WORLD__COMMAND__ORDER_ATTACK;
        command->attack = message(player, &mmorts__world__attack_order__descriptor);
        command->attack->target = random_entity(player);
        break;
    case 1:
        command->order_case = MMORTS__WORLD__COMMAND__ORDER_ATTACK_MOVE;
        command->attack_move = message(player, &mmorts__world__attack_move_order__descriptor);
        command->attack_move->target = hex_message(player);
        break;
    case 2:
        command->order_case = MMORTS__WORLD__COMMAND__ORDER_GATHER;
        command->gather = message(player, &mmorts__world__gather_order__descriptor);
        command->gather->node = random_entity(player);
        break;
    case 3:
        command->order_case = MMORTS__WORLD__COMMAND__ORDER_BUILD;
        command->build = message(player, &mmorts__world__build_order__descriptor);
        command->build->building = mm_arena_strndup(player->inputs.arena, "barracks", 8);
        command->build->place = hex_message(player);
        break;
    case 4:
        command->order_case = MMORTS__WORLD__COMMAND__ORDER_WANDER;
        command->wander = message(player, &mmorts__world__wander_order__descriptor);
        command->wander->radius_hexes = (uint32_t)mm_rng_between(&player->rng, 1, 8);
        break;
    default:
        command->order_case = MMORTS__WORLD__COMMAND__ORDER_REPAIR;
        command->repair = message(player, &mmorts__world__repair_order__descriptor);
        command->repair->target = random_entity(player);
        break;
    }
}

// One of the empire's, complete or not.
static uint64_t own_building(struct player *player, uint32_t number)
{
    struct world_entity_view view;
    uint64_t best = 0;
    for (uint32_t cursor = 0; world_next_entity(player->world, &cursor, &view);)
        if (world_rules_of(player->world)->types[view.type].build_ticks > 0 &&
            view.owner == number && (best == 0 || mm_rng_chance(&player->rng, 1, 2)))
            best = view.id;
    return best;
}

static void order_building(struct player *player, uint32_t number, uint64_t seq,
                           const uint64_t *units, size_t count)
{
    struct fixture_inputs *inputs = &player->inputs;
    struct world_empire_view home = {0};
    world_empire(player->world, number, &home);
    uint64_t building = own_building(player, number);
    int32_t q = home.home.q + (int32_t)mm_rng_between(&player->rng, -6, 6);
    int32_t r = home.home.r + (int32_t)mm_rng_between(&player->rng, -6, 6);
    switch (mm_rng_below(&player->rng, 8)) {
    case 0:
        fixture_cancel_build(inputs, number, seq, building);
        break;
    case 1:
        fixture_rally(inputs, number, seq, &building, 1, q, r);
        break;
    case 2:
        fixture_repair(inputs, number, seq, units, count, building, false);
        break;
    default:
        fixture_build(inputs, number, seq, units, count,
                      mm_rng_chance(&player->rng, 1, 2) ? "tower" : "barracks", q, r,
                      mm_rng_chance(&player->rng, 1, 3));
        break;
    }
}

static void of_servers(struct player *player)
{
    struct world_bill_view bill;
    for (uint64_t cursor = 0; world_next_bill(player->world, &cursor, &bill);)
        if (player->inputs.count + 4 < player->inputs.capacity && mm_rng_chance(&player->rng, 1, 3))
            fixture_settle(&player->inputs, bill.number, mm_rng_chance(&player->rng, 7, 8));
    if (!mm_rng_chance(&player->rng, 1, 40))
        return;
    char key[32];
    snprintf(key, sizeof key, "set-%llu", (unsigned long long)++player->spawns);
    Mmorts__World__SetEntityRequest *set =
        fixture_set_entity(&player->inputs, key, random_entity(player), 4);
    set->changes[0]->change_case = MMORTS__WORLD__ENTITY_CHANGE__CHANGE_PLACE;
    set->changes[0]->place = hex_message(player);
    set->changes[1]->change_case = MMORTS__WORLD__ENTITY_CHANGE__CHANGE_SIGHT_ENABLED;
    set->changes[1]->sight_enabled = mm_rng_chance(&player->rng, 1, 2);
    set->changes[2]->change_case = MMORTS__WORLD__ENTITY_CHANGE__CHANGE_STEALTHED;
    set->changes[2]->stealthed = mm_rng_chance(&player->rng, 1, 2);
    set->changes[3]->change_case = MMORTS__WORLD__ENTITY_CHANGE__CHANGE_SIGHT_TYPE;
    set->changes[3]->sight_type = (Mmorts__Frame__SightType)mm_rng_below(&player->rng, 3);
    if (mm_rng_chance(&player->rng, 1, 2)) {
        set->changes[3]->change_case = MMORTS__WORLD__ENTITY_CHANGE__CHANGE_SIGHT_HEXES;
        set->changes[3]->sight_hexes = (uint32_t)mm_rng_below(&player->rng, 33);
    }
    fixture_announce(&player->inputs, "once", "the first time only");
}

static void random_command(struct player *player)
{
    uint32_t number = (uint32_t)mm_rng_between(&player->rng, 1, player->players);
    uint64_t own[UNITS_MAX], units[UNITS_MAX];
    size_t count = fixture_units(player->world, number, NULL, own, UNITS_MAX), taken = 0;
    for (size_t i = 0; i < count; i++)
        if (mm_rng_chance(&player->rng, 1, 2))
            units[taken++] = own[i];
    uint64_t seq = ++player->seq[number];
    struct hex_axial to = random_hex(player);
    struct fixture_inputs *inputs = &player->inputs;
    switch (mm_rng_below(&player->rng, 8)) {
    case 0:
        fixture_stop(inputs, number, seq, units, taken);
        break;
    case 6:
        order_building(player, number, seq, units, taken);
        break;
    case 7: {
        const int32_t points[] = {to.q, to.r, to.q + 4, to.r - 2};
        fixture_patrol(inputs, number, seq, units, taken, points,
                       mm_rng_chance(&player->rng, 1, 2) ? 1 : 2,
                       mm_rng_chance(&player->rng, 1, 3));
        break;
    }
    case 1:
        give_order(player, fixture_command(inputs, number, seq, units, taken));
        break;
    default:
        fixture_move(inputs, number, seq, units, taken, to.q, to.r,
                     mm_rng_chance(&player->rng, 1, 3));
        break;
    }
}

static void random_inputs(struct player *player, unsigned tick)
{
    struct fixture_inputs *inputs = &player->inputs;
    fixture_inputs_clear(inputs);
    if (tick <= player->players) {
        fixture_join(inputs, tick, "somebody");
        return;
    }
    uint64_t commands =
        mm_rng_chance(&player->rng, 1, 2) ? mm_rng_below(&player->rng, 2 * player->players) : 0;
    for (uint64_t i = 0; i < commands; i++)
        random_command(player);
    of_servers(player);
    if (mm_rng_chance(&player->rng, 1, 30)) {
        static const char *const types[] = {"soldier", "worker", "scout", "barracks"};
        char key[32];
        snprintf(key, sizeof key, "spawn-%llu", (unsigned long long)++player->spawns);
        struct hex_axial at = random_hex(player);
        fixture_spawn(inputs, key, types[mm_rng_below(&player->rng, 4)],
                      (uint32_t)mm_rng_between(&player->rng, 1, player->players),
                      (uint32_t)mm_rng_between(&player->rng, 1, 6), at.q, at.r);
    }
    if (mm_rng_chance(&player->rng, 1, 60))
        fixture_despawn(inputs, random_entity(player));
    if (mm_rng_chance(&player->rng, 1, 80))
        fixture_random_sharing(inputs, &player->rng, player->players);
    if (world_is_paused(player->world) ? mm_rng_chance(&player->rng, 1, 3)
                                       : mm_rng_chance(&player->rng, 1, 400))
        fixture_pause(inputs, !world_is_paused(player->world));
}

// --- recording ----------------------------------------------------------------------------------

static void take_row(struct recording *recording, const struct player *player)
{
    world_input *applied[INPUTS_MAX];
    Mmorts__World__JournalEntry entry = MMORTS__WORLD__JOURNAL_ENTRY__INIT;
    entry.inputs = applied;
    for (size_t i = 0; i < player->inputs.count; i++)
        if (player->inputs.results[i].applied)
            applied[entry.n_inputs++] = (world_input *)(uintptr_t)player->inputs.items[i];
    if (entry.n_inputs == 0)
        return;
    struct recording_row *row = &recording->rows[recording->base.row_count++];
    row->tick = recording->base.last_row_tick = world_tick(player->world);
    row->state_hash = world_state_hash(player->world);
    if (mm_pb_pack(&entry.base, 1 << 24, &row->inputs, &row->inputs_len) != MM_OK)
        test_fail("a journal row cannot be packed");
}

static void take_snapshot(struct recording *recording, const struct world *world)
{
    struct replay_source *base = &recording->base;
    struct mm_buf raw;
    mm_buf_init(&raw, WORLD_SAVE_BYTES_MAX);
    world_save(world, &raw);
    size_t bound = ZSTD_compressBound(raw.len), index = base->snapshot_count++;
    uint8_t *stored = mm_malloc(bound);
    size_t size = ZSTD_compress(stored, bound, raw.data, raw.len, 1);
    if (raw.err != MM_OK || ZSTD_isError(size) || index >= SNAPSHOTS_MAX)
        test_fail("no snapshot can be taken");
    recording->snapshots[index] = stored;
    base->snapshots[index] = (struct world_stored_snapshot){
        .tick = world_tick(world),
        .epoch = 1,
        .state_hash = world_state_hash(world),
        .raw_bytes = raw.len,
        .stored_bytes = size,
        .checksum = mm_hash64(stored, size, world_tick(world)),
        .parts = 1,
    };
    mm_buf_free(&raw);
}

// --- the source ---------------------------------------------------------------------------------

static enum mm_err read_snapshot(struct replay_source *base, size_t index, uint8_t **out)
{
    struct recording *recording = (struct recording *)base;
    size_t bytes = base->snapshots[index].stored_bytes;
    *out = mm_malloc(bytes + 1);
    memcpy(*out, recording->snapshots[index], bytes);
    return MM_OK;
}

static enum mm_err seek(struct replay_source *base, uint64_t after_tick)
{
    struct recording *recording = (struct recording *)base;
    recording->next = 0;
    while (recording->next < base->row_count && recording->rows[recording->next].tick <= after_tick)
        recording->next++;
    return MM_OK;
}

static enum mm_err read_row(struct replay_source *base, struct replay_row *out)
{
    struct recording *recording = (struct recording *)base;
    if (recording->next == base->row_count)
        return MM_NOT_FOUND;
    const struct recording_row *row = &recording->rows[recording->next++];
    *out = (struct replay_row){row->tick, 1, row->state_hash, row->inputs, row->inputs_len};
    return MM_OK;
}

static void close_source(struct replay_source *base)
{
    struct recording *recording = (struct recording *)base;
    for (size_t i = 0; i < base->snapshot_count; i++)
        mm_free(recording->snapshots[i]);
    for (size_t i = 0; i < base->row_count; i++)
        mm_free(recording->rows[i].inputs);
    free(recording->rows);
    free(base->snapshots);
    free(recording);
}

struct recording_row *recording_rows(struct replay_source *source)
{
    return ((struct recording *)source)->rows;
}

uint8_t *recording_snapshot_bytes(struct replay_source *source, size_t index)
{
    return ((struct recording *)source)->snapshots[index];
}

void recording_replace_snapshot(struct replay_source *source, size_t index, uint8_t *bytes)
{
    struct recording *recording = (struct recording *)source;
    mm_free(recording->snapshots[index]);
    recording->snapshots[index] = bytes;
}

struct replay_source *recording_make(const struct recording_wish *wish)
{
    struct recording *recording = calloc(1, sizeof *recording);
    struct replay_source *base = &recording->base;
    *base = (struct replay_source){.session = "main",
                                   .epoch = 1,
                                   .tick_reserved = wish->ticks,
                                   .read_snapshot = read_snapshot,
                                   .read_row = read_row,
                                   .seek = seek,
                                   .close = close_source};
    base->snapshots = calloc(SNAPSHOTS_MAX, sizeof *base->snapshots);
    recording->rows = calloc(wish->ticks + 1, sizeof *recording->rows);
    struct world_rules *own = wish->rules ? NULL : fixture_wild_rules();
    struct player player = {.world = fixture_world(wish->rules ? wish->rules : own, wish->seed),
                            .players = wish->players};
    mm_rng_seed(&player.rng, wish->seed);
    fixture_inputs_init(&player.inputs, INPUTS_MAX);
    take_snapshot(recording, player.world);
    for (unsigned tick = 1; tick <= wish->ticks; tick++) {
        random_inputs(&player, tick);
        fixture_step(player.world, &player.inputs);
        take_row(recording, &player);
        if (tick % wish->snapshot_every == 0)
            take_snapshot(recording, player.world);
    }
    fixture_inputs_free(&player.inputs);
    world_free(player.world);
    free(own);
    return base;
}
