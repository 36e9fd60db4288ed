// World under kill -9 and without its MariaDB: what was acknowledged is kept, and once.

#include "libcommon/base/rng.h"
#include "libcommon/hex/hex.h"
#include "libcommon/io/loop.h"
#include "libcommon/io/rpc_client.h"
#include "tests/support/world_rig.h"
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// --- kill -9 under load -------------------------------------------------------------------------

enum { LOAD_PLAYERS = 3, LOAD_COMMANDS_MAX = 40000, LOAD_SPAWNS_MAX = 2000, SPAWN_COUNT = 2 };

struct load_command {
    uint64_t player, seq, tick; // tick 0: not acknowledged
};

struct load_spawn {
    char key[32];
    bool acknowledged;
    uint64_t ids[SPAWN_COUNT];
};

struct load {
    struct world_rig *rig;
    struct mm_rng rng;
    struct hex_axial homes[LOAD_PLAYERS + 1];
    uint64_t units[LOAD_PLAYERS + 1][16];
    size_t unit_count[LOAD_PLAYERS + 1];
    uint64_t seq[LOAD_PLAYERS + 1];
    struct load_command commands[LOAD_COMMANDS_MAX];
    size_t command_count;
    struct load_spawn spawns[LOAD_SPAWNS_MAX];
    size_t spawn_count;
    unsigned acknowledged, unacknowledged;
};

static void on_commands(void *arg, const struct mm_rpc_result *result)
{
    struct load_command *command = arg;
    if (result->code != MM_OK)
        return;
    const Mmorts__World__SubmitCommandsReply *reply = (const void *)result->reply;
    if (reply->results[0]->reason == MMORTS__WORLD__COMMAND_REASON__COMMAND_OK)
        command->tick = reply->results[0]->tick;
}

static void on_spawned(void *arg, const struct mm_rpc_result *result)
{
    struct load_spawn *spawn = arg;
    if (result->code != MM_OK)
        return;
    const Mmorts__World__SpawnReply *reply = (const void *)result->reply;
    spawn->acknowledged = true;
    memcpy(spawn->ids, reply->entities, sizeof spawn->ids);
}

// Some node that nobody owns, as the stream shows them; 0: none.
static uint64_t random_node(struct load *load)
{
    const struct mirror *mirror = load->rig->mirror;
    for (unsigned tries = 0; tries < 50 && mirror->entity_end > 0; tries++) {
        const struct mirror_entity *e =
            &mirror->entities[mm_rng_below(&load->rng, mirror->entity_end)];
        if (e->alive && e->owner == 0)
            return e->id;
    }
    return 0;
}

// Every kind of order that world decides by itself.
struct random_order {
    Mmorts__World__Hex hexes[3], *points[3];
    Mmorts__World__MoveOrder move;
    Mmorts__World__AttackMoveOrder attack_move;
    Mmorts__World__PatrolOrder patrol;
    Mmorts__World__WanderOrder wander;
    Mmorts__World__GatherOrder gather;
    Mmorts__World__StopOrder stop;
};

static void give_random_order(struct load *load, uint64_t player, struct random_order *order,
                              Mmorts__World__Command *command)
{
    for (int i = 0; i < 3; i++) {
        mmorts__world__hex__init(&order->hexes[i]);
        order->hexes[i].q = load->homes[player].q + (int32_t)mm_rng_between(&load->rng, -8, 8);
        order->hexes[i].r = load->homes[player].r + (int32_t)mm_rng_between(&load->rng, -8, 8);
        order->points[i] = &order->hexes[i];
    }
    command->queued = mm_rng_chance(&load->rng, 1, 4);
    switch (mm_rng_below(&load->rng, 8)) {
    case 0:
        mmorts__world__attack_move_order__init(&order->attack_move);
        order->attack_move.target = order->points[0];
        command->order_case = MMORTS__WORLD__COMMAND__ORDER_ATTACK_MOVE;
        command->attack_move = &order->attack_move;
        break;
    case 1:
        mmorts__world__patrol_order__init(&order->patrol);
        order->patrol.n_points = mm_rng_below(&load->rng, 3) + 1;
        order->patrol.points = order->points;
        command->order_case = MMORTS__WORLD__COMMAND__ORDER_PATROL;
        command->patrol = &order->patrol;
        break;
    case 2:
        mmorts__world__wander_order__init(&order->wander);
        order->wander.radius_hexes = (uint32_t)mm_rng_below(&load->rng, 8) + 1;
        command->order_case = MMORTS__WORLD__COMMAND__ORDER_WANDER;
        command->wander = &order->wander;
        break;
    case 3:
        mmorts__world__gather_order__init(&order->gather);
        order->gather.node = random_node(load);
        command->order_case = MMORTS__WORLD__COMMAND__ORDER_GATHER;
        command->gather = &order->gather;
        break;
    case 4:
        mmorts__world__stop_order__init(&order->stop);
        command->order_case = MMORTS__WORLD__COMMAND__ORDER_STOP;
        command->stop = &order->stop;
        break;
    default:
        mmorts__world__move_order__init(&order->move);
        order->move.target = order->points[0];
        command->order_case = MMORTS__WORLD__COMMAND__ORDER_MOVE;
        command->move = &order->move;
        break;
    }
}

static void load_command(struct load *load)
{
    uint64_t player = mm_rng_below(&load->rng, LOAD_PLAYERS) + 1;
    struct random_order order;
    Mmorts__World__Command command = MMORTS__WORLD__COMMAND__INIT, *commands[] = {&command};
    command.player_id = player;
    command.client_seq = ++load->seq[player];
    command.n_units = load->unit_count[player];
    command.units = load->units[player];
    give_random_order(load, player, &order, &command);
    Mmorts__World__SubmitCommandsRequest request = MMORTS__WORLD__SUBMIT_COMMANDS_REQUEST__INIT;
    request.session = "main";
    request.n_commands = 1;
    request.commands = commands;
    struct load_command *kept = &load->commands[load->command_count++];
    *kept = (struct load_command){player, command.client_seq, 0};
    struct mm_rpc_call_options options = {.deadline_ms = 2000, .wait_for_connection = true};
    (void)!mm_rpc_call(load->rig->client, &mmorts__world__world__descriptor, "SubmitCommands",
                       &request.base, &options, on_commands, kept, NULL);
}

static void load_spawn(struct load *load)
{
    uint64_t player = mm_rng_below(&load->rng, LOAD_PLAYERS) + 1;
    struct load_spawn *kept = &load->spawns[load->spawn_count];
    *kept = (struct load_spawn){.acknowledged = false};
    snprintf(kept->key, sizeof kept->key, "job-%zu", load->spawn_count++);
    Mmorts__World__Hex place = MMORTS__WORLD__HEX__INIT;
    place.q = load->homes[player].q;
    place.r = load->homes[player].r;
    Mmorts__World__SpawnRequest request = MMORTS__WORLD__SPAWN_REQUEST__INIT;
    request.session = "main";
    request.key.data = (uint8_t *)kept->key;
    request.key.len = strlen(kept->key);
    request.type = "barracks"; // nobody else makes these, so they can be counted
    request.empire = (uint32_t)player;
    request.count = SPAWN_COUNT;
    request.place = &place;
    struct mm_rpc_call_options options = {.deadline_ms = 2000, .wait_for_connection = true};
    (void)!mm_rpc_call(load->rig->client, &mmorts__world__world__descriptor, "Spawn", &request.base,
                       &options, on_spawned, kept, NULL);
}

static void load_run(struct load *load, uint32_t ms)
{
    int64_t end = test_now_ms() + ms;
    while (test_now_ms() < end) {
        for (uint64_t i = mm_rng_below(&load->rng, 3); i > 0; i--)
            if (load->command_count < LOAD_COMMANDS_MAX)
                load_command(load);
        if (mm_rng_chance(&load->rng, 1, 20) && load->spawn_count < LOAD_SPAWNS_MAX)
            load_spawn(load);
        rig_turn(load->rig, 10);
    }
}

// Everything acknowledged so far is there, once.
static void load_check_commands(struct load *load)
{
    for (uint64_t player = 1; player <= LOAD_PLAYERS; player++) {
        uint64_t highest = 0;
        for (size_t i = 0; i < load->command_count; i++)
            if (load->commands[i].player == player && load->commands[i].tick > 0)
                highest = load->commands[i].seq > highest ? load->commands[i].seq : highest;
        Mmorts__World__JoinReply *reply;
        cr_assert_eq(rig_join(load->rig, player, &reply), MM_OK);
        cr_assert(!reply->founded);
        cr_assert_geq(reply->last_client_seq, highest, "an acknowledged command is lost");
        rig_free_reply(reply);
    }
    // The newest ones are repeated: they must be known, with their own tick.
    for (size_t i = load->command_count > 12 ? load->command_count - 12 : 0;
         i < load->command_count; i++) {
        struct load_command *command = &load->commands[i];
        Mmorts__World__CommandResult result;
        cr_assert_eq(rig_move(load->rig, command->player, command->seq,
                              load->units[command->player], load->unit_count[command->player],
                              load->homes[command->player].q, load->homes[command->player].r,
                              &result),
                     MM_OK);
        bool known = result.reason == MMORTS__WORLD__COMMAND_REASON__COMMAND_OK;
        if (command->tick > 0 && known)
            cr_assert_eq(result.tick, command->tick, "a command was carried out twice");
        if (command->tick > 0)
            cr_assert(known || result.reason == MMORTS__WORLD__COMMAND_REASON__COMMAND_REPEATED);
        load->acknowledged += command->tick > 0;
        load->unacknowledged += command->tick == 0;
        if (known)
            command->tick = result.tick;
    }
}

static void load_check_spawns(struct load *load)
{
    uint64_t last = 0;
    for (size_t i = 0; i < load->spawn_count; i++) {
        struct load_spawn *spawn = &load->spawns[i];
        Mmorts__World__SpawnReply *reply;
        cr_assert_eq(rig_spawn(load->rig, spawn->key, "barracks", 1, SPAWN_COUNT, load->homes[1].q,
                               load->homes[1].r, &reply),
                     MM_OK);
        if (spawn->acknowledged) {
            cr_assert(reply->repeated_key, "an acknowledged spawn is lost");
            cr_assert(memcmp(reply->entities, spawn->ids, sizeof spawn->ids) == 0);
        }
        spawn->acknowledged = true;
        memcpy(spawn->ids, reply->entities, sizeof spawn->ids);
        last = reply->tick > last ? reply->tick : last;
        rig_free_reply(reply);
    }
    cr_assert(rig_until_tick(load->rig, last, 5000));
    rig_turn(load->rig, 150);
    size_t barracks = 0;
    for (size_t i = 0; i < load->rig->mirror->entity_end; i++)
        barracks +=
            load->rig->mirror->entities[i].alive && load->rig->mirror->entities[i].type == 1;
    cr_assert_eq(barracks, load->spawn_count * SPAWN_COUNT, "%zu keys, but %zu entities",
                 load->spawn_count, barracks);
}

static void load_init(struct load *load, struct world_rig *rig, uint64_t seed)
{
    memset(load, 0, sizeof *load);
    load->rig = rig;
    mm_rng_seed(&load->rng, seed);
    for (uint64_t player = 1; player <= LOAD_PLAYERS; player++) {
        Mmorts__World__JoinReply reply;
        rig_join_seen(rig, player, &reply);
        load->homes[player] = (struct hex_axial){reply.home_q, reply.home_r};
        load->unit_count[player] = rig_units(rig, reply.empire, load->units[player], 16);
        cr_assert_eq(load->unit_count[player], 6);
    }
}

// --- the hashes that were published
// ---------------------------------------------------------------

// What the reader was shown is what an uninterrupted replay of the journal comes to, tick by tick,
// as far as the journal is still kept.
static void load_check_replay(struct world_rig *rig, unsigned *compared)
{
    char *text;
    rig_replay(rig, (const char *const[]){"--hashes", "1", NULL}, 0, &text);
    for (const char *line = text; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        uint64_t tick, hash;
        if (sscanf(line, "%" SCNu64 " %" SCNx64, &tick, &hash) != 2)
            continue;
        uint64_t seen = rig_hash_seen(rig, tick);
        cr_assert(seen == 0 || seen == hash, "tick %" PRIu64 " was published otherwise", tick);
        *compared += seen != 0;
    }
    free(text);
}

// CI takes as many kills as fit into it; `make soak-world` asks for more, and for another seed.
static uint64_t wish(const char *name, uint64_t fallback)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : fallback;
}

Test(world_crash, kill_9_under_load, .timeout = 3600)
{
    uint64_t kills = wish("MMORTS_SOAK_KILLS", 16), seed = wish("MMORTS_SOAK_SEED", 4711);
    unsigned compared = 0;
    static struct load load;
    static const char *const settings[] = {"MMORTS_TEST_SNAPSHOTS=400ms", NULL};
    struct world_rig rig;
    rig_open(&rig, NULL, NULL);
    rig.settings = settings;
    rig_start(&rig);
    load_init(&load, &rig, seed);
    uint64_t killed = 0;
    for (uint64_t turn = 0; killed < kills; turn++) {
        load_run(&load, 50 + (uint32_t)mm_rng_below(&load.rng, 700));
        uint64_t before = rig.last_tick;
        if (turn % 5 == 4) {
            rig_stop(&rig);
        } else {
            rig_kill(&rig);
            killed++;
        }
        load_check_replay(&rig, &compared);
        rig_start(&rig);
        if (!rig_until_tick(&rig, before + 1, 20000)) {
            rig_show(&rig);
            cr_assert(false, "no tick after restart %" PRIu64, turn);
        }
        load_check_commands(&load);
    }
    load_check_spawns(&load);
    cr_assert_gt(load.acknowledged, 40, "too little was acknowledged to say anything");
    cr_assert_gt(compared, kills * 5, "too few hashes were compared");
    printf("%" PRIu64 " kills, seed %" PRIu64 ": %zu commands, %zu spawns, %" PRIu64
           " ticks; %u published hashes met by replay; nothing lost, nothing rolled back\n",
           kills, seed, load.command_count, load.spawn_count, rig.last_tick, compared);
    rig_close(&rig);
}

// --- MariaDB away -------------------------------------------------------------------------------

Test(world_crash, mariadb_away_pauses_and_recovers, .timeout = 120)
{
    struct test_server *server = test_mariadb_start();
    struct world_rig rig;
    rig_open(&rig, test_server_address(server), NULL);
    rig_start(&rig);
    Mmorts__World__JoinReply home;
    rig_join_seen(&rig, 9, &home);
    uint64_t units[16], seq = 0;
    size_t count = rig_units(&rig, 1, units, 16);
    Mmorts__World__CommandResult result;
    for (int round = 0; round < 2; round++) {
        cr_assert_eq(rig_move(&rig, 9, ++seq, units, count, 4, 4, &result), MM_OK);
        cr_assert_eq(result.reason, MMORTS__WORLD__COMMAND_REASON__COMMAND_OK);
        if (round == 0)
            test_server_stop(server);
        else
            test_server_kill(server);
        // The first refusals may be late: a call that was taken waits for its commit.
        enum mm_err err = MM_OK;
        int64_t end = test_now_ms() + 15000;
        while (err != MM_UNAVAILABLE && test_now_ms() < end)
            err = rig_move(&rig, 9, ++seq, units, count, 5, 5, &result);
        cr_assert_eq(err, MM_UNAVAILABLE, "%s", mm_err_name(err));
        // What was reserved is used up; then time stands still.
        Mmorts__World__SessionInfo info, later;
        char reason[32] = "";
        end = test_now_ms() + 15000;
        do {
            cr_assert_eq(rig_session(&rig, &info, reason, sizeof reason), MM_OK);
            rig_turn(&rig, 400);
            cr_assert_eq(rig_session(&rig, &later, reason, sizeof reason), MM_OK);
        } while (later.tick != info.tick && test_now_ms() < end);
        cr_assert_eq(later.tick, info.tick, "the session did not pause");
        cr_assert_eq(later.state, MMORTS__FRAME__SESSION_STATE__SESSION_STATE_PAUSED);
        cr_assert_str_eq(reason, "database");
        int status = test_http_get(rig.http_port, "/readyz", 2000, NULL);
        cr_assert_eq(status, 503);

        test_server_restart(server);
        cr_assert(rig_until_tick(&rig, later.tick + 20, 20000), "the session did not go on");
        err = MM_UNAVAILABLE;
        end = test_now_ms() + 10000;
        while (err != MM_OK && test_now_ms() < end)
            err = rig_move(&rig, 9, ++seq, units, count, 6, 6, &result);
        cr_assert_eq(err, MM_OK);
        cr_assert_eq(result.reason, MMORTS__WORLD__COMMAND_REASON__COMMAND_OK);
    }
    rig_kill(&rig);
    rig_start(&rig);
    Mmorts__World__JoinReply after;
    rig_join_seen(&rig, 9, &after);
    cr_assert_geq(after.last_client_seq, seq);
    rig_close(&rig);
    test_server_free(server);
}
