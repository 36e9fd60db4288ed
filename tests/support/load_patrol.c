#include "tests/support/load_game_internal.h"

#include "gen/world.pb-c.h"
#include "libcommon/base/check.h"
#include "libcommon/base/rng.h"
#include "libcommon/hex/chunk.h"
#include "tests/support/process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// The scenario `patrol-v1`: every empire has 5 watchers and 15 walkers, who begin at the empire's
// home and wander within 12 hexes of it, a step in 5 ticks, a fifth of them in each tick. Homes lie
// anywhere on the map, which has 817 hexes for each empire. The seed decides where.

enum {
    WATCHERS = 5,
    WALKERS = 15,
    UNITS = WATCHERS + WALKERS,
    RADIUS = 12,       // of the patrols
    STEP_TICKS = 5,    // and so many groups of units
    CHUNK_RADIUS = 16, // as in patrol/map.yaml
    CALLS_MAX = 1000,  // outstanding
    CALL_MS = 60000,
    ORDERS_PER_CALL = 1000,
    TICK_US = 50000,
    ATTEMPTS = 10,
};

struct patrol {
    struct load_game *game;
    struct mm_loop *loop;
    struct mm_rpc_client *world;
    uint32_t outstanding, most;
    bool done; // few enough are outstanding
    uint64_t (*units)[UNITS];
    uint64_t client_seq;
    uint64_t first_tick, last_tick; // in which orders took effect: the first of all, of the group
    bool late;                      // some of the group took effect in others' turn
};

struct asked {
    struct patrol *patrol;
    uint32_t player, from, count; // units
};

// --- calls ---------------------------------------------------------------------------------------

static void wait_until(struct patrol *patrol, uint32_t outstanding)
{
    patrol->most = outstanding;
    patrol->done = patrol->outstanding <= outstanding;
    if (!mm_loop_run_until(patrol->loop, &patrol->done, CALL_MS))
        test_fail("world does not answer");
}

static void ask(struct patrol *patrol, const char *method, const ProtobufCMessage *request,
                mm_rpc_callback_fn answered, struct asked asked)
{
    struct asked *kept = malloc(sizeof *kept);
    struct mm_rpc_call_options options = {.deadline_ms = CALL_MS, .wait_for_connection = true};
    MM_CHECK(kept);
    *kept = asked;
    kept->patrol = patrol;
    wait_until(patrol, CALLS_MAX - 1);
    MM_CHECK(mm_rpc_call(patrol->world, &mmorts__world__world__descriptor, method, request,
                         &options, answered, kept, NULL) == MM_OK);
    patrol->outstanding++;
}

static const void *answer_of(struct asked *asked, const char *what,
                             const struct mm_rpc_result *result)
{
    struct patrol *patrol = asked->patrol;
    if (result->code != MM_OK)
        test_fail("world refuses to %s: %s %s", what, mm_err_name(result->code), result->message);
    patrol->outstanding--;
    patrol->done = patrol->outstanding <= patrol->most;
    return result->reply;
}

// --- empires -------------------------------------------------------------------------------------

static void on_joined(void *arg, const struct mm_rpc_result *result)
{
    struct asked *asked = arg;
    const Mmorts__World__JoinReply *reply = answer_of(asked, "found an empire", result);
    asked->patrol->game->empires[asked->player] = reply->empire;
    free(asked);
}

static void found_empires(struct patrol *patrol)
{
    char name[32];
    for (uint32_t i = 0; i < patrol->game->players; i++) {
        Mmorts__World__JoinRequest request = MMORTS__WORLD__JOIN_REQUEST__INIT;
        (void)snprintf(name, sizeof name, "patrol%u", i);
        request.session = "main";
        request.player_id = LOAD_FIRST_PLAYER + i;
        request.username = name;
        ask(patrol, "Join", &request.base, on_joined, (struct asked){.player = i});
    }
    wait_until(patrol, 0);
}

// --- units ---------------------------------------------------------------------------------------

static void on_spawned(void *arg, const struct mm_rpc_result *result)
{
    struct asked *asked = arg;
    const Mmorts__World__SpawnReply *reply = answer_of(asked, "spawn units", result);
    MM_CHECK(reply->n_entities == asked->count);
    memcpy(&asked->patrol->units[asked->player][asked->from], reply->entities,
           asked->count * sizeof *reply->entities);
    free(asked);
}

static void spawn(struct patrol *patrol, uint32_t player, const char *type, struct hex_axial home,
                  uint32_t from, uint32_t count)
{
    Mmorts__World__SpawnRequest request = MMORTS__WORLD__SPAWN_REQUEST__INIT;
    Mmorts__World__Hex place = MMORTS__WORLD__HEX__INIT;
    char key[64];
    place.q = home.q;
    place.r = home.r;
    int len = snprintf(key, sizeof key, "patrol-%u-%s", player, type);
    request.session = "main";
    request.key = (ProtobufCBinaryData){(size_t)len, (uint8_t *)key};
    request.type = (char *)(uintptr_t)type;
    request.empire = patrol->game->empires[player];
    request.count = count;
    request.place = &place;
    ask(patrol, "Spawn", &request.base, on_spawned,
        (struct asked){.player = player, .from = from, .count = count});
}

// Any hex of the land that the empires' founding has brought into being, all as likely.
static struct hex_axial home_of(struct mm_rng *rng, const struct hex_tiling *tiling,
                                uint32_t players)
{
    struct hex_axial site = hex_spiral(mm_rng_below(rng, players));
    uint32_t cell = (uint32_t)mm_rng_below(rng, tiling->cells);
    return hex_chunk_hex(tiling, (struct hex_chunk){site.q, site.r}, cell);
}

static void spawn_units(struct patrol *patrol)
{
    struct hex_tiling tiling;
    struct mm_rng rng;
    MM_CHECK(hex_tiling_init(&tiling, CHUNK_RADIUS) == MM_OK);
    mm_rng_seed(&rng, patrol->game->seed);
    for (uint32_t i = 0; i < patrol->game->players; i++) {
        struct hex_axial home = home_of(&rng, &tiling, patrol->game->players);
        spawn(patrol, i, "watcher", home, 0, WATCHERS);
        spawn(patrol, i, "walker", home, WATCHERS, WALKERS);
    }
    wait_until(patrol, 0);
}

// --- orders --------------------------------------------------------------------------------------

static uint64_t turn_of(const struct patrol *patrol, uint32_t group)
{
    return (patrol->first_tick + group) % STEP_TICKS;
}

static void on_ordered(void *arg, const struct mm_rpc_result *result)
{
    struct asked *asked = arg;
    const Mmorts__World__SubmitCommandsReply *reply = answer_of(asked, "take orders", result);
    struct patrol *patrol = asked->patrol;
    for (size_t i = 0; i < reply->n_results; i++) {
        const Mmorts__World__CommandResult *taken = reply->results[i];
        if (taken->reason != MMORTS__WORLD__COMMAND_REASON__COMMAND_OK)
            test_fail("world refuses an order: %d %s", (int)taken->reason, taken->message);
        if (patrol->first_tick == 0)
            patrol->first_tick = taken->tick;
        patrol->last_tick = taken->tick;
        patrol->late |= taken->tick % STEP_TICKS != turn_of(patrol, asked->from);
    }
    free(asked);
}

// One group of units of every empire: who is ordered in one tick steps in the same ticks.
static void order_group(struct patrol *patrol, uint32_t group)
{
    static Mmorts__World__Command commands[ORDERS_PER_CALL], *list[ORDERS_PER_CALL];
    static uint64_t units[ORDERS_PER_CALL][UNITS / STEP_TICKS];
    Mmorts__World__WanderOrder wander = MMORTS__WORLD__WANDER_ORDER__INIT;
    wander.radius_hexes = RADIUS;
    patrol->client_seq++;
    patrol->late = false;
    for (uint32_t i = 0; i < patrol->game->players;) {
        Mmorts__World__SubmitCommandsRequest request = MMORTS__WORLD__SUBMIT_COMMANDS_REQUEST__INIT;
        for (; i < patrol->game->players && request.n_commands < ORDERS_PER_CALL; i++) {
            size_t at = request.n_commands++;
            Mmorts__World__Command *command = list[at] = &commands[at];
            mmorts__world__command__init(command);
            for (uint32_t unit = group; unit < UNITS; unit += STEP_TICKS)
                units[at][command->n_units++] = patrol->units[i][unit];
            command->player_id = LOAD_FIRST_PLAYER + i;
            command->client_seq = patrol->client_seq;
            command->units = units[at];
            command->order_case = MMORTS__WORLD__COMMAND__ORDER_WANDER;
            command->wander = &wander;
        }
        request.session = "main";
        request.commands = list;
        ask(patrol, "SubmitCommands", &request.base, on_ordered, (struct asked){.from = group});
    }
    wait_until(patrol, 0);
}

// Each group in its turn: a busy machine may need some attempts.
static void order_in_turn(struct patrol *patrol, uint32_t group)
{
    for (int attempt = 0; attempt < ATTEMPTS && (attempt == 0 || patrol->late); attempt++) {
        uint64_t next = patrol->last_tick + 1, turn = turn_of(patrol, group);
        if (patrol->first_tick > 0)
            (void)usleep((useconds_t)((turn + STEP_TICKS - next % STEP_TICKS) % STEP_TICKS) *
                         TICK_US);
        order_group(patrol, group);
    }
    if (patrol->late)
        printf("not all units of group %u step in its turn\n", group);
}

void load_patrol_begin(struct load_game *game)
{
    struct patrol patrol = {.game = game};
    struct mm_rpc_client_options options = {.service = "bench", .calls_max = CALLS_MAX};
    patrol.units = calloc(game->players, sizeof *patrol.units);
    MM_CHECK(patrol.units);
    MM_CHECK(mm_loop_create(NULL, &patrol.loop) == MM_OK);
    MM_CHECK(mm_rpc_client_open(patrol.loop, game->world_rpc, &options, &patrol.world) == MM_OK);
    found_empires(&patrol);
    spawn_units(&patrol);
    for (uint32_t group = 0; group < STEP_TICKS; group++)
        order_in_turn(&patrol, group);
    mm_rpc_client_close(patrol.world);
    mm_loop_destroy(patrol.loop);
    free(patrol.units);
}
