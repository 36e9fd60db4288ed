#include <string.h>

#include "gen/world.pb-c.h"
#include "libcommon/base/alloc.h"
#include "services/sync/answers.h"
#include "services/sync/app.h"

// Orders on their way to world, and the answers back. Those of all clients that come in one turn of
// the loop travel in one call; each is answered by itself, with `ack` or `error`, to the connection
// it came from, if that is still there.

static const char *world_word(Mmorts__World__CommandReason reason)
{
    static const char *const words[] = {
        NULL,
        "repeated",
        "unavailable",
        "no_units",
        "unknown_unit",
        "cannot",
        "out_of_map",
        "unreachable",
        "unknown_target",
        "queue_full",
        "rate_limited",
        "cooldown",
        "paused",
        "invalid",
        "occupied",
        "unsupported",
        "not_seen",
        "unknown_building_type",
        "cannot_afford",
        "expired",
        "no_room",
    };
    return (unsigned)reason < sizeof words / sizeof *words ? words[reason] : "internal";
}

static void refuse_order(struct sync_batch *batch, size_t i, const char *code, const char *message,
                         uint32_t retry_after_ms)
{
    struct sync_app *app = batch->app;
    sync_answered(app, batch->items[i].received_ns, false);
    struct sync_client *client = sync_answer_to(app, batch->items[i].connection);
    if (client)
        sync_client_error(client, code, message[0] ? message : "The order cannot be carried out.",
                          batch->items[i].seq, retry_after_ms);
}

static void acknowledge_order(struct sync_batch *batch, size_t i, uint64_t tick)
{
    struct sync_app *app = batch->app;
    sync_answered(app, batch->items[i].received_ns, true);
    struct sync_client *client = sync_answer_to(app, batch->items[i].connection);
    if (client)
        sync_send_ack(client, batch->items[i].seq, tick, 0);
}

static void fail_waiting(struct sync_app *app);

static void on_orders(void *arg, const struct mm_rpc_result *result)
{
    struct sync_batch *batch = arg;
    struct sync_app *app = batch->app;
    const Mmorts__World__SubmitCommandsReply *reply = (const void *)result->reply;
    enum mm_err err = result->code;
    if (err == MM_OK && reply->n_results != batch->count)
        err = MM_INTERNAL;
    for (size_t i = 0; i < batch->count; i++) {
        struct sync_client *client = sync_client_find(app, batch->items[i].connection);
        if (client && !batch->is_build)
            client->ordered--;
        if (err != MM_OK) {
            refuse_order(batch, i, sync_failure_word(err), sync_failure_message(err), 0);
            continue;
        }
        const Mmorts__World__CommandResult *one = reply->results[i];
        const char *word = world_word(one->reason);
        if (word)
            refuse_order(batch, i, word, one->message, one->retry_after_ms);
        else
            acknowledge_order(batch, i, one->tick);
    }
    if (batch->is_build)
        app->builds--;
    else
        app->batches--;
    if (err != MM_OK && !batch->is_build)
        fail_waiting(app);
    mm_free(batch);
    if (app->waiting.count > 0)
        mm_loop_defer(app->loop, &app->flush_task);
}

// Protobuf messages of one batch; they point into the pending commands.
struct order_message {
    Mmorts__World__Command command;
    Mmorts__World__Hex hex;
    union {
        Mmorts__World__MoveOrder move;
        Mmorts__World__StopOrder stop;
        Mmorts__World__AttackOrder attack;
        Mmorts__World__AttackMoveOrder attack_move;
        Mmorts__World__GatherOrder gather;
        Mmorts__World__BuildOrder build;
        Mmorts__World__RepairOrder repair;
        Mmorts__World__CancelBuildOrder cancel_build;
        Mmorts__World__PatrolOrder patrol;
        Mmorts__World__WanderOrder wander;
        Mmorts__World__RallyOrder rally;
    } order;
    Mmorts__World__Hex points[SYNC_COMMAND_POINTS_MAX];
    Mmorts__World__Hex *point_list[SYNC_COMMAND_POINTS_MAX];
};

static void fill_patrol(struct order_message *m, const struct sync_command *c)
{
    mmorts__world__patrol_order__init(&m->order.patrol);
    m->order.patrol.n_points = c->point_count;
    m->order.patrol.points = m->point_list;
    for (size_t i = 0; i < c->point_count; i++) {
        mmorts__world__hex__init(&m->points[i]);
        m->points[i].q = c->points[i].q;
        m->points[i].r = c->points[i].r;
        m->point_list[i] = &m->points[i];
    }
    m->command.order_case = MMORTS__WORLD__COMMAND__ORDER_PATROL;
    m->command.patrol = &m->order.patrol;
}

// Orders about buildings, and wandering.
static void fill_other_order(struct order_message *m, struct sync_command *c)
{
    switch (c->type) {
    case SYNC_COMMAND_BUILD:
        mmorts__world__build_order__init(&m->order.build);
        m->order.build.building = c->recipe;
        m->order.build.place = &m->hex;
        m->command.order_case = MMORTS__WORLD__COMMAND__ORDER_BUILD;
        m->command.build = &m->order.build;
        break;
    case SYNC_COMMAND_REPAIR:
        mmorts__world__repair_order__init(&m->order.repair);
        m->order.repair.target = c->target;
        m->command.order_case = MMORTS__WORLD__COMMAND__ORDER_REPAIR;
        m->command.repair = &m->order.repair;
        break;
    case SYNC_COMMAND_CANCEL_BUILD:
        mmorts__world__cancel_build_order__init(&m->order.cancel_build);
        m->order.cancel_build.building = c->target;
        m->command.order_case = MMORTS__WORLD__COMMAND__ORDER_CANCEL_BUILD;
        m->command.cancel_build = &m->order.cancel_build;
        break;
    case SYNC_COMMAND_RALLY:
        mmorts__world__rally_order__init(&m->order.rally);
        m->order.rally.target = &m->hex;
        m->command.order_case = MMORTS__WORLD__COMMAND__ORDER_RALLY;
        m->command.rally = &m->order.rally;
        break;
    default:
        mmorts__world__wander_order__init(&m->order.wander);
        m->order.wander.radius_hexes = c->radius;
        m->command.order_case = MMORTS__WORLD__COMMAND__ORDER_WANDER;
        m->command.wander = &m->order.wander;
    }
}

static void fill_order(struct order_message *m, struct sync_pending *pending)
{
    struct sync_command *c = &pending->command;
    mmorts__world__command__init(&m->command);
    mmorts__world__hex__init(&m->hex);
    m->command.player_id = pending->player_id;
    m->command.client_seq = c->seq;
    m->command.queued = c->queued;
    m->command.n_units = c->unit_count;
    m->command.units = c->units;
    m->hex.q = c->q;
    m->hex.r = c->r;
    switch (c->type) {
    case SYNC_COMMAND_MOVE:
        mmorts__world__move_order__init(&m->order.move);
        m->order.move.target = &m->hex;
        m->command.order_case = MMORTS__WORLD__COMMAND__ORDER_MOVE;
        m->command.move = &m->order.move;
        break;
    case SYNC_COMMAND_ATTACK:
        mmorts__world__attack_order__init(&m->order.attack);
        m->order.attack.target = c->target;
        m->command.order_case = MMORTS__WORLD__COMMAND__ORDER_ATTACK;
        m->command.attack = &m->order.attack;
        break;
    case SYNC_COMMAND_ATTACK_MOVE:
        mmorts__world__attack_move_order__init(&m->order.attack_move);
        m->order.attack_move.target = &m->hex;
        m->command.order_case = MMORTS__WORLD__COMMAND__ORDER_ATTACK_MOVE;
        m->command.attack_move = &m->order.attack_move;
        break;
    case SYNC_COMMAND_GATHER:
        mmorts__world__gather_order__init(&m->order.gather);
        m->order.gather.node = c->target;
        m->command.order_case = MMORTS__WORLD__COMMAND__ORDER_GATHER;
        m->command.gather = &m->order.gather;
        break;
    case SYNC_COMMAND_PATROL:
        fill_patrol(m, c);
        break;
    case SYNC_COMMAND_BUILD:
    case SYNC_COMMAND_REPAIR:
    case SYNC_COMMAND_CANCEL_BUILD:
    case SYNC_COMMAND_RALLY:
    case SYNC_COMMAND_WANDER:
        fill_other_order(m, c);
        break;
    default:
        mmorts__world__stop_order__init(&m->order.stop);
        m->command.order_case = MMORTS__WORLD__COMMAND__ORDER_STOP;
        m->command.stop = &m->order.stop;
    }
}

static bool is_build(const struct sync_pending *pending)
{
    return pending->command.type == SYNC_COMMAND_BUILD;
}

// A batch of these commands; NULL when out of memory.
static struct sync_batch *batch_new(struct sync_app *app, struct sync_pending *const *commands,
                                    size_t count)
{
    struct sync_batch *batch = mm_calloc(1, sizeof *batch);
    if (!batch)
        return NULL;
    batch->app = app;
    batch->count = count;
    batch->is_build = is_build(commands[0]);
    for (size_t i = 0; i < count; i++) {
        batch->items[i].connection = commands[i]->connection;
        batch->items[i].seq = commands[i]->command.seq;
        batch->items[i].received_ns = commands[i]->received_ns;
    }
    return batch;
}

static enum mm_err submit(struct sync_app *app, struct sync_batch *batch,
                          struct sync_pending *const *from)
{
    struct order_message *messages = mm_calloc(batch->count, sizeof *messages);
    Mmorts__World__Command **commands = mm_calloc(batch->count, sizeof *commands);
    enum mm_err err = MM_RESOURCE_EXHAUSTED;
    if (messages && commands) {
        for (size_t i = 0; i < batch->count; i++) {
            fill_order(&messages[i], from[i]);
            commands[i] = &messages[i].command;
        }
        Mmorts__World__SubmitCommandsRequest request = MMORTS__WORLD__SUBMIT_COMMANDS_REQUEST__INIT;
        request.session = (char *)(uintptr_t)app->session;
        request.n_commands = batch->count;
        request.commands = commands;
        struct mm_rpc_call_options options = {.deadline_ms = (uint32_t)app->settings.command_ms,
                                              .idempotent = true};
        err = mm_rpc_call(app->world, &mmorts__world__world__descriptor, "SubmitCommands",
                          &request.base, &options, on_orders, batch, NULL);
    }
    mm_free(messages);
    mm_free(commands);
    return err;
}

static void refuse_pending(struct sync_app *app, const struct sync_pending *pending,
                           const char *code, const char *message)
{
    struct sync_client *client = sync_answer_to(app, pending->connection);
    sync_answered(app, pending->received_ns, false);
    if (client)
        sync_client_error(client, code, message, pending->command.seq, 0);
    app->builds -= is_build(pending);
}

// Sends the commands, which are gone then; if the call cannot be made, they are answered.
static void send_batch(struct sync_app *app, struct sync_pending *const *commands, size_t count)
{
    struct sync_batch *batch = batch_new(app, commands, count);
    enum mm_err err = batch ? submit(app, batch, commands) : MM_RESOURCE_EXHAUSTED;
    bool orders = !is_build(commands[0]);
    if (err == MM_OK)
        app->batches += orders;
    else
        mm_free(batch);
    for (size_t i = 0; i < count; i++) {
        struct sync_client *client = sync_client_find(app, commands[i]->connection);
        if (err != MM_OK)
            refuse_pending(app, commands[i], sync_failure_word(err), sync_failure_message(err));
        else if (client)
            client->ordered += orders;
        mm_free(commands[i]);
    }
}

// --- what waits ----------------------------------------------------------------------------------

static void drop_waiting(struct sync_app *app, size_t count)
{
    app->waiting.count -= count;
    if (count > 0)
        memmove(app->waiting.items, app->waiting.items + count,
                app->waiting.count * sizeof *app->waiting.items);
}

// Answers the first `count`. They went nowhere, so it is known that nothing came of them.
static void refuse_waiting(struct sync_app *app, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        refuse_pending(app, app->waiting.items[i], "queue_full",
                       "The game does not keep up; try again.");
        mm_free(app->waiting.items[i]);
    }
    drop_waiting(app, count);
}

// World does not answer. What waits behind must not be carried out in place of what was asked for
// before, of which nobody knows: that will be asked for again first.
static void fail_waiting(struct sync_app *app)
{
    refuse_waiting(app, app->waiting.count);
}

// Answers the commands that have waited so long that nobody counts on them any more.
static void expire(struct sync_app *app)
{
    uint64_t now_ns = mm_loop_now_ns(app->loop);
    size_t count = 0;
    while (count < app->waiting.count &&
           now_ns - app->waiting.items[count]->received_ns >= MM_LOOP_MS(app->settings.command_ms))
        count++;
    refuse_waiting(app, count);
}

// A client's commands arrive in the order in which it gave them: calls may overtake each other, so
// it has some in one of them at a time. A building is answered only when it is paid. Nobody's
// answer is to wait for that, so it travels alone, its client's next commands do not wait for it,
// and however many do, the others' calls go on.
struct gathering {
    struct sync_pending *commands[SYNC_BATCH_COMMANDS_MAX];
    size_t count;
};

// Sends the command, or makes it part of the gathering. False: it stays, and what its client sent
// behind it.
static bool take(struct sync_app *app, struct gathering *next, struct sync_pending *pending)
{
    struct sync_client *client = sync_client_find(app, pending->connection);
    if (client && (client->ordered > 0 || client->stays == app->pass))
        return false;
    if (is_build(pending)) {
        if (client && client->goes == app->pass)
            return false; // behind its orders
        send_batch(app, &pending, 1);
        return true;
    }
    if (app->batches == SYNC_BATCHES_MAX)
        return false;
    next->commands[next->count++] = pending;
    if (client)
        client->goes = app->pass;
    return true;
}

static void send_gathered(struct sync_app *app, struct gathering *next)
{
    if (next->count > 0)
        send_batch(app, next->commands, next->count);
    next->count = 0;
}

void sync_route_flush(struct mm_loop *loop, void *arg)
{
    (void)loop;
    struct sync_app *app = arg;
    struct gathering next = {.count = 0};
    expire(app);
    if (app->batches == SYNC_BATCHES_MAX && app->builds == 0)
        return;
    app->pass++;
    size_t stay = 0;
    for (size_t i = 0; i < app->waiting.count; i++) {
        struct sync_pending *pending = app->waiting.items[i];
        if (take(app, &next, pending)) {
            if (next.count == SYNC_BATCH_COMMANDS_MAX)
                send_gathered(app, &next);
            continue;
        }
        struct sync_client *client = sync_client_find(app, pending->connection);
        if (client)
            client->stays = app->pass;
        app->waiting.items[stay++] = pending;
    }
    app->waiting.count = stay;
    send_gathered(app, &next);
}

void sync_route_free(struct sync_app *app)
{
    for (size_t i = 0; i < app->waiting.count; i++)
        mm_free(app->waiting.items[i]);
    mm_vec_free(&app->waiting);
}

void sync_route_order(struct sync_client *client, struct sync_command *command)
{
    struct sync_app *app = client->app;
    if (command->type == SYNC_COMMAND_BUILD && app->builds >= SYNC_BUILDS_MAX) {
        sync_refuse_command(client, "queue_full", "Too many buildings wait to be paid.",
                            command->seq);
        return;
    }
    struct sync_pending *pending = mm_malloc(sizeof *pending);
    if (!pending || !mm_vec_push(&app->waiting, pending)) {
        mm_free(pending);
        sync_refuse_command(client, "queue_full", "Too many commands are waiting.", command->seq);
        return;
    }
    *pending = (struct sync_pending){
        .connection = client->connection,
        .command = *command,
        .player_id = client->player_id,
        .received_ns = mm_loop_now_ns(app->loop),
    };
    app->builds += is_build(pending);
    client->commands++;
    mm_loop_defer(app->loop, &app->flush_task);
}
