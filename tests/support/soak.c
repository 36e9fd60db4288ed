#include "tests/support/soak.h"

#include "libcommon/base/rng.h"
#include "libcommon/hex/hex.h"
#include "libcommon/io/rpc_client.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PLAYERS = 3,
    COMMANDS_MAX = 40000,
    SPAWNS_MAX = 2000,
    SPAWN_COUNT = 2,
    UNITS_MAX = 16,
    REACH_HEXES = 8, // of orders about the home
    SITES_OPEN = 2,  // more of a player's are not begun at a time
    ORDERS = MMORTS__WORLD__COMMAND__ORDER_CANCEL_BUILD + 1,
};

// By their places in services/world/game/types.yaml.
enum { SETTLEMENT = 0, BARRACKS = 1, SCOUT = 2, WORKER = 3, SOLDIER = 4, TOWER = 7 };

static const struct {
    const char *item;
    uint64_t amount;
} tower_cost[] = {{"stone", 60}, {"wood", 40}};

struct command {
    struct soak *soak;
    uint64_t player, seq, tick; // tick 0: not acknowledged
    int order;                  // order_case
};

struct spawn {
    char key[32];
    const char *type;
    bool acknowledged;
    uint64_t ids[SPAWN_COUNT];
};

struct soak {
    struct world_rig *rig;
    struct payer *payer;
    struct mm_rng rng;
    struct hex_axial homes[PLAYERS + 1];
    uint32_t empires[PLAYERS + 1];
    uint64_t seq[PLAYERS + 1];
    struct command commands[COMMANDS_MAX];
    size_t command_count;
    struct spawn spawns[SPAWNS_MAX];
    size_t spawn_count, barracks_count;
    unsigned accepted[ORDERS];
    unsigned acknowledged, unacknowledged, shared;
};

struct mm_rng *soak_rng(struct soak *soak)
{
    return &soak->rng;
}

// --- what the stream shows ----------------------------------------------------------------------

static bool is_unit(const struct mirror_entity *entity)
{
    return entity->type >= SCOUT && entity->type <= SOLDIER;
}
static bool is_building(const struct mirror_entity *entity)
{
    return entity->type == SETTLEMENT || entity->type == BARRACKS || entity->type == TOWER;
}
static bool is_site(const struct mirror_entity *entity)
{
    return entity->attributes[MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_PROGRESS] < 1000;
}
static bool is_open_site(const struct mirror_entity *entity)
{
    return is_building(entity) && is_site(entity);
}
static bool is_hurt(const struct mirror_entity *entity)
{
    return is_building(entity) &&
           (is_site(entity) ||
            entity->attributes[MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_HEALTH] < 500);
}
static bool is_worker(const struct mirror_entity *entity)
{
    return entity->type == WORKER;
}
static bool is_node(const struct mirror_entity *entity)
{
    return entity->type > SOLDIER && entity->type < TOWER;
}

// Ids of an empire's entities (0: nobody's) that `fits`, at most UNITS_MAX.
static size_t entities_of(const struct soak *soak, uint32_t empire,
                          bool (*fits)(const struct mirror_entity *), uint64_t *out)
{
    const struct mirror *mirror = soak->rig->mirror;
    size_t count = 0;
    for (size_t i = 0; i < mirror->entity_end && count < UNITS_MAX; i++)
        if (mirror->entities[i].alive && mirror->entities[i].owner == empire &&
            fits(&mirror->entities[i]))
            out[count++] = mirror->entities[i].id;
    return count;
}

static uint64_t any_of(struct soak *soak, uint32_t empire,
                       bool (*fits)(const struct mirror_entity *))
{
    uint64_t ids[UNITS_MAX];
    size_t count = entities_of(soak, empire, fits, ids);
    return count > 0 ? ids[mm_rng_below(&soak->rng, count)] : 0;
}

// Somebody else's unit within sight of the home, or any node as something that is no target.
static uint64_t enemy_near(struct soak *soak, uint64_t player)
{
    const struct mirror *mirror = soak->rig->mirror;
    uint64_t found = 0;
    for (size_t i = 0; i < mirror->entity_end; i++) {
        const struct mirror_entity *entity = &mirror->entities[i];
        if (entity->alive && entity->owner != 0 && entity->owner != soak->empires[player] &&
            is_unit(entity) &&
            hex_distance(soak->homes[player], (struct hex_axial){entity->q, entity->r}) <= 6)
            found = entity->id;
    }
    return found ? found : any_of(soak, 0, is_node);
}

// The node nearest to the home; now and then any, seen or not.
static uint64_t node_near(struct soak *soak, uint64_t player)
{
    if (mm_rng_chance(&soak->rng, 1, 4))
        return any_of(soak, 0, is_node);
    const struct mirror *mirror = soak->rig->mirror;
    int32_t nearest = INT32_MAX;
    uint64_t found = 0;
    for (size_t i = 0; i < mirror->entity_end; i++) {
        const struct mirror_entity *entity = &mirror->entities[i];
        int32_t away = hex_distance(soak->homes[player], (struct hex_axial){entity->q, entity->r});
        if (!entity->alive || entity->owner != 0 || !is_node(entity) || away >= nearest)
            continue;
        nearest = away;
        found = entity->id;
    }
    return found;
}

// --- orders -------------------------------------------------------------------------------------

struct order {
    uint64_t units[UNITS_MAX];
    Mmorts__World__Hex hexes[3], *points[3];
    Mmorts__World__MoveOrder move;
    Mmorts__World__StopOrder stop;
    Mmorts__World__AttackOrder attack;
    Mmorts__World__AttackMoveOrder attack_move;
    Mmorts__World__PatrolOrder patrol;
    Mmorts__World__WanderOrder wander;
    Mmorts__World__GatherOrder gather;
    Mmorts__World__BuildOrder build;
    Mmorts__World__RepairOrder repair;
    Mmorts__World__RallyOrder rally;
    Mmorts__World__CancelBuildOrder cancel_build;
};

#define PUT(kind, CASE)                                                                            \
    (mmorts__world__##kind##_order__init(&order->kind), command->order_case = (CASE),              \
     command->kind = &order->kind)

// Those who move about. The first worker is left to build.
static void units_that_move(struct soak *soak, uint64_t player, struct order *order,
                            Mmorts__World__Command *command)
{
    uint64_t worker[UNITS_MAX], all[UNITS_MAX];
    size_t workers = entities_of(soak, soak->empires[player], is_worker, worker);
    size_t count = entities_of(soak, soak->empires[player], is_unit, all);
    command->n_units = 0;
    for (size_t i = 0; i < count; i++)
        if (workers == 0 || all[i] != worker[0])
            order->units[command->n_units++] = all[i];
}

static void give_marching_order(struct soak *soak, uint64_t player, struct order *order,
                                Mmorts__World__Command *command)
{
    units_that_move(soak, player, order, command);
    command->queued = mm_rng_chance(&soak->rng, 1, 4);
    switch (mm_rng_below(&soak->rng, 8)) {
    case 0:
        PUT(attack_move, MMORTS__WORLD__COMMAND__ORDER_ATTACK_MOVE);
        order->attack_move.target = order->points[0];
        break;
    case 1:
        PUT(patrol, MMORTS__WORLD__COMMAND__ORDER_PATROL);
        order->patrol.n_points = mm_rng_below(&soak->rng, 3) + 1;
        order->patrol.points = order->points;
        break;
    case 2:
        PUT(wander, MMORTS__WORLD__COMMAND__ORDER_WANDER);
        order->wander.radius_hexes = (uint32_t)mm_rng_below(&soak->rng, 8) + 1;
        break;
    case 3:
        PUT(gather, MMORTS__WORLD__COMMAND__ORDER_GATHER);
        order->gather.node = node_near(soak, player);
        break;
    case 4:
        PUT(stop, MMORTS__WORLD__COMMAND__ORDER_STOP);
        break;
    case 5:
        PUT(attack, MMORTS__WORLD__COMMAND__ORDER_ATTACK);
        order->attack.target = enemy_near(soak, player);
        break;
    default:
        PUT(move, MMORTS__WORLD__COMMAND__ORDER_MOVE);
        order->move.target = order->points[0];
        break;
    }
}

static void give_building_order(struct soak *soak, uint64_t player, struct order *order,
                                Mmorts__World__Command *command)
{
    uint32_t empire = soak->empires[player];
    uint64_t sites[UNITS_MAX];
    size_t open = entities_of(soak, empire, is_open_site, sites);
    command->n_units = entities_of(soak, empire, is_worker, order->units) > 0;
    switch (mm_rng_below(&soak->rng, 8)) {
    case 0:
        PUT(cancel_build, MMORTS__WORLD__COMMAND__ORDER_CANCEL_BUILD);
        order->cancel_build.building = open > 0 && mm_rng_chance(&soak->rng, 3, 4)
                                           ? sites[0]
                                           : any_of(soak, empire, is_building);
        command->n_units = 0;
        break;
    case 1:
    case 2:
        PUT(rally, MMORTS__WORLD__COMMAND__ORDER_RALLY);
        command->n_units = entities_of(soak, empire, is_building, order->units);
        order->rally.target = order->points[0];
        break;
    case 3:
    case 4:
        PUT(repair, MMORTS__WORLD__COMMAND__ORDER_REPAIR);
        order->repair.target = any_of(soak, empire, is_hurt);
        break;
    default:
        if (open >= SITES_OPEN) {
            PUT(repair, MMORTS__WORLD__COMMAND__ORDER_REPAIR);
            order->repair.target = sites[0];
            break;
        }
        PUT(build, MMORTS__WORLD__COMMAND__ORDER_BUILD);
        order->build.building = "tower";
        order->build.place = order->points[0];
        break;
    }
}

static void on_commands(void *arg, const struct mm_rpc_result *result)
{
    struct command *command = arg;
    if (result->code != MM_OK)
        return;
    const Mmorts__World__SubmitCommandsReply *reply = (const void *)result->reply;
    if (reply->results[0]->reason != MMORTS__WORLD__COMMAND_REASON__COMMAND_OK)
        return;
    command->tick = reply->results[0]->tick;
    command->soak->accepted[command->order]++;
}

static int32_t about(struct soak *soak, int32_t home)
{
    return home + (int32_t)mm_rng_between(&soak->rng, -REACH_HEXES, REACH_HEXES);
}

static void give_order(struct soak *soak)
{
    uint64_t player = mm_rng_below(&soak->rng, PLAYERS) + 1;
    struct order order;
    Mmorts__World__Command command = MMORTS__WORLD__COMMAND__INIT, *commands[] = {&command};
    for (int i = 0; i < 3; i++) {
        mmorts__world__hex__init(&order.hexes[i]);
        order.hexes[i].q = about(soak, soak->homes[player].q);
        order.hexes[i].r = about(soak, soak->homes[player].r);
        order.points[i] = &order.hexes[i];
    }
    command.player_id = player;
    command.client_seq = ++soak->seq[player];
    command.units = order.units;
    if (mm_rng_chance(&soak->rng, 1, 4))
        give_building_order(soak, player, &order, &command);
    else
        give_marching_order(soak, player, &order, &command);
    Mmorts__World__SubmitCommandsRequest request = MMORTS__WORLD__SUBMIT_COMMANDS_REQUEST__INIT;
    request.session = soak->rig->session;
    request.n_commands = 1;
    request.commands = commands;
    struct command *kept = &soak->commands[soak->command_count++];
    *kept = (struct command){soak, player, command.client_seq, 0, (int)command.order_case};
    struct mm_rpc_call_options options = {.deadline_ms = 2000, .wait_for_connection = true};
    (void)!mm_rpc_call(soak->rig->client, &mmorts__world__world__descriptor, "SubmitCommands",
                       &request.base, &options, on_commands, kept, NULL);
}

// --- spawns -------------------------------------------------------------------------------------

static void on_spawned(void *arg, const struct mm_rpc_result *result)
{
    struct spawn *spawn = arg;
    if (result->code != MM_OK)
        return;
    const Mmorts__World__SpawnReply *reply = (const void *)result->reply;
    spawn->acknowledged = true;
    memcpy(spawn->ids, reply->entities, sizeof spawn->ids);
}

// Barracks, which nobody else makes, so they can be counted; or somebody else's scouts, to be
// attacked.
static void spawn(struct soak *soak)
{
    uint64_t player = mm_rng_below(&soak->rng, PLAYERS) + 1;
    bool barracks = mm_rng_chance(&soak->rng, 1, 4);
    struct spawn *kept = &soak->spawns[soak->spawn_count];
    *kept = (struct spawn){.type = barracks ? "barracks" : "scout"};
    snprintf(kept->key, sizeof kept->key, "job-%zu", soak->spawn_count++);
    soak->barracks_count += barracks;
    Mmorts__World__Hex place = MMORTS__WORLD__HEX__INIT;
    place.q = about(soak, soak->homes[player].q);
    place.r = about(soak, soak->homes[player].r);
    Mmorts__World__SpawnRequest request = MMORTS__WORLD__SPAWN_REQUEST__INIT;
    request.session = soak->rig->session;
    request.key.data = (uint8_t *)kept->key;
    request.key.len = strlen(kept->key);
    request.type = (char *)(uintptr_t)kept->type;
    request.empire = soak->empires[barracks ? player : player % PLAYERS + 1];
    request.count = SPAWN_COUNT;
    request.place = &place;
    struct mm_rpc_call_options options = {.deadline_ms = 2000, .wait_for_connection = true};
    (void)!mm_rpc_call(soak->rig->client, &mmorts__world__world__descriptor, "Spawn", &request.base,
                       &options, on_spawned, kept, NULL);
}

// --- lent sight ---------------------------------------------------------------------------------

static void on_shared(void *arg, const struct mm_rpc_result *result)
{
    struct soak *soak = arg;
    soak->shared += result->code == MM_OK;
}

// One of the others lends a player its sight, or nobody does.
static void share(struct soak *soak)
{
    uint64_t player = mm_rng_below(&soak->rng, PLAYERS) + 1;
    uint32_t borrower = soak->empires[player], lender = soak->empires[player % PLAYERS + 1];
    Mmorts__World__SetSharingRequest request = MMORTS__WORLD__SET_SHARING_REQUEST__INIT;
    request.session = soak->rig->session;
    request.first = request.last = borrower;
    request.borrower = &borrower;
    request.lender = &lender;
    request.n_borrower = request.n_lender = mm_rng_below(&soak->rng, 2);
    request.allies = (Mmorts__World__AlliesLend)mm_rng_below(&soak->rng, 3);
    struct mm_rpc_call_options options = {.deadline_ms = 2000, .wait_for_connection = true};
    (void)!mm_rpc_call(soak->rig->client, &mmorts__world__world__descriptor, "SetSharing",
                       &request.base, &options, on_shared, soak, NULL);
}

void soak_play(struct soak *soak, uint32_t ms)
{
    int64_t end = test_now_ms() + ms;
    while (test_now_ms() < end) {
        for (uint64_t i = mm_rng_below(&soak->rng, 3); i > 0; i--)
            if (soak->command_count < COMMANDS_MAX)
                give_order(soak);
        if (mm_rng_chance(&soak->rng, 1, 15) && soak->spawn_count < SPAWNS_MAX)
            spawn(soak);
        if (mm_rng_chance(&soak->rng, 1, 20))
            share(soak);
        rig_turn(soak->rig, 10);
    }
}

// --- checks -------------------------------------------------------------------------------------

// The command repeated, as any order: it must be known, with its own tick.
static void repeat(struct soak *soak, struct command *command)
{
    uint64_t units[UNITS_MAX];
    size_t count = entities_of(soak, soak->empires[command->player], is_unit, units);
    Mmorts__World__CommandResult result;
    enum mm_err err =
        rig_move(soak->rig, command->player, command->seq, units, count,
                 soak->homes[command->player].q, soak->homes[command->player].r, &result);
    bool known = result.reason == MMORTS__WORLD__COMMAND_REASON__COMMAND_OK;
    if (err != MM_OK)
        test_fail("a command cannot be repeated: %s", mm_err_name(err));
    if (command->tick > 0 && known && result.tick != command->tick)
        test_fail("a command of tick %" PRIu64 " was carried out again in tick %" PRIu64,
                  command->tick, result.tick);
    if (command->tick > 0 && !known &&
        result.reason != MMORTS__WORLD__COMMAND_REASON__COMMAND_REPEATED)
        test_fail("a command that was accepted is refused: reason %d", (int)result.reason);
    soak->acknowledged += command->tick > 0;
    soak->unacknowledged += command->tick == 0;
    if (known)
        command->tick = result.tick;
}

void soak_check_commands(struct soak *soak)
{
    for (uint64_t player = 1; player <= PLAYERS; player++) {
        uint64_t highest = 0;
        for (size_t i = 0; i < soak->command_count; i++)
            if (soak->commands[i].player == player && soak->commands[i].tick > 0)
                highest = soak->commands[i].seq > highest ? soak->commands[i].seq : highest;
        Mmorts__World__JoinReply *reply;
        if (rig_join(soak->rig, player, &reply) != MM_OK)
            test_fail("player %" PRIu64 " cannot join", player);
        if (reply->founded || reply->last_client_seq < highest)
            test_fail("an acknowledged command is lost: %" PRIu64 ", known are %" PRIu64, highest,
                      reply->last_client_seq);
        rig_free_reply(reply);
    }
    for (size_t i = soak->command_count > 12 ? soak->command_count - 12 : 0;
         i < soak->command_count; i++)
        repeat(soak, &soak->commands[i]);
}

void soak_check_spawns(struct soak *soak)
{
    uint64_t last = 0;
    for (size_t i = 0; i < soak->spawn_count; i++) {
        struct spawn *spawn = &soak->spawns[i];
        Mmorts__World__SpawnReply *reply;
        enum mm_err err = rig_spawn(soak->rig, spawn->key, spawn->type, soak->empires[1],
                                    SPAWN_COUNT, soak->homes[1].q, soak->homes[1].r, &reply);
        if (err != MM_OK)
            test_fail("spawn %s cannot be repeated: %s", spawn->key, mm_err_name(err));
        if (spawn->acknowledged && !reply->repeated_key)
            test_fail("an acknowledged spawn is lost: %s", spawn->key);
        if (spawn->acknowledged && memcmp(reply->entities, spawn->ids, sizeof spawn->ids) != 0)
            test_fail("spawn %s is of other entities than before", spawn->key);
        spawn->acknowledged = true;
        memcpy(spawn->ids, reply->entities, sizeof spawn->ids);
        last = reply->tick > last ? reply->tick : last;
        rig_free_reply(reply);
    }
    if (!rig_until_tick(soak->rig, last, TEST_PATIENCE_MS))
        test_fail("the tick of a spawn was never seen");
    rig_turn(soak->rig, 150);
    size_t barracks = 0;
    for (size_t i = 0; i < soak->rig->mirror->entity_end; i++)
        barracks +=
            soak->rig->mirror->entities[i].alive && soak->rig->mirror->entities[i].type == BARRACKS;
    if (barracks != soak->barracks_count * SPAWN_COUNT)
        test_fail("%zu keys, but %zu barracks", soak->barracks_count, barracks);
}

// The first empire and item that do not balance, in words; false: all do.
static bool unbalanced(const struct soak *soak, char *text, size_t bytes)
{
    const struct mirror *mirror = soak->rig->mirror;
    for (uint64_t player = 1; player <= PLAYERS; player++) {
        uint32_t empire = soak->empires[player];
        uint64_t towers = 0;
        for (size_t i = 0; i < mirror->entity_end; i++)
            towers += mirror->entities[i].alive && mirror->entities[i].type == TOWER &&
                      mirror->entities[i].owner == empire;
        for (size_t i = 0; i < sizeof tower_cost / sizeof tower_cost[0]; i++) {
            uint64_t paid = payer_paid(soak->payer, empire, tower_cost[i].item);
            uint64_t back = mirror_refunded(mirror, empire, tower_cost[i].item);
            if (paid - back == towers * tower_cost[i].amount)
                continue;
            snprintf(text, bytes,
                     "empire %" PRIu32 " paid %" PRIu64 " %s and got back %" PRIu64 ", for %" PRIu64
                     " towers of %" PRIu64,
                     empire, paid, tower_cost[i].item, back, towers, tower_cost[i].amount);
            return true;
        }
    }
    return false;
}

void soak_check_stock(struct soak *soak)
{
    char text[160] = "";
    rig_turn(soak->rig, 4000); // longer than world waits for an answer: no bill is open any more
    for (int64_t end = test_now_ms() + TEST_PATIENCE_MS; unbalanced(soak, text, sizeof text);) {
        if (test_now_ms() > end)
            test_fail("%s", text);
        rig_turn(soak->rig, 200);
    }
}

const char *soak_missing(const struct soak *soak)
{
    static char text[200];
    for (int order = MMORTS__WORLD__COMMAND__ORDER_MOVE; order < ORDERS; order++) {
        if (soak->accepted[order] > 0)
            continue;
        snprintf(text, sizeof text, "no order of kind %d was ever accepted", order);
        return text;
    }
    if (soak->shared == 0)
        return "nobody lent anybody sight";
    if (soak->acknowledged >= 40 && payer_bills(soak->payer, true) >= 3 &&
        payer_bills(soak->payer, false) > 0 && payer_lost(soak->payer) > 0)
        return NULL;
    snprintf(text, sizeof text,
             "too little happened to say anything: %u acknowledged, %zu bills paid, %zu refused, "
             "%zu answers lost",
             soak->acknowledged, payer_bills(soak->payer, true), payer_bills(soak->payer, false),
             payer_lost(soak->payer));
    return text;
}

void soak_print(const struct soak *soak)
{
    printf("%zu commands, %zu spawns, %u times sight lent or not, %zu bills paid and %zu refused; "
           "accepted, by kind:",
           soak->command_count, soak->spawn_count, soak->shared, payer_bills(soak->payer, true),
           payer_bills(soak->payer, false));
    for (int order = MMORTS__WORLD__COMMAND__ORDER_MOVE; order < ORDERS; order++)
        printf(" %u", soak->accepted[order]);
    printf("\n");
}

// --- beginning and end --------------------------------------------------------------------------

static void production_url(const struct world_rig *rig, char *out, size_t bytes)
{
    snprintf(out, bytes, "ipc://%s/production", rig->dir);
}

const char *soak_production(const struct world_rig *rig)
{
    static char setting[160];
    char url[128];
    production_url(rig, url, sizeof url);
    snprintf(setting, sizeof setting, "MMORTS_PRODUCTION_RPC=%s", url);
    return setting;
}

struct soak *soak_new(struct world_rig *rig, uint64_t seed)
{
    struct soak *soak = calloc(1, sizeof *soak);
    if (!soak)
        test_fail("out of memory");
    soak->rig = rig;
    mm_rng_seed(&soak->rng, seed);
    char url[128];
    production_url(rig, url, sizeof url);
    soak->payer = payer_open(rig->loop, url, seed);
    for (uint64_t player = 1; player <= PLAYERS; player++) {
        Mmorts__World__JoinReply reply;
        rig_join_seen(rig, player, &reply);
        soak->homes[player] = (struct hex_axial){reply.home_q, reply.home_r};
        soak->empires[player] = reply.empire;
    }
    return soak;
}

void soak_free(struct soak *soak)
{
    payer_close(soak->payer);
    free(soak);
}
