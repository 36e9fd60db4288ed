#include <inttypes.h>
#include <string.h>

#include "gen/world.pb-c.h"
#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "services/sync/answers.h"
#include "services/sync/app.h"
#include "services/sync/core/binary.h"

// Commands on their way to the services, and the answers back. World's commands that come in one
// turn of the loop travel in one call; each is answered by itself, with `ack` or `error`, to the
// connection it came from, if that is still there.

// --- world ---------------------------------------------------------------------------------------

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

static void on_orders(void *arg, const struct mm_rpc_result *result)
{
    struct sync_batch *batch = arg;
    struct sync_app *app = batch->app;
    const Mmorts__World__SubmitCommandsReply *reply = (const void *)result->reply;
    enum mm_err err = result->code;
    if (err == MM_OK && reply->n_results != batch->count)
        err = MM_INTERNAL;
    for (size_t i = 0; i < batch->count; i++) {
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
    app->batches--;
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

static void drop_waiting(struct sync_app *app, size_t count)
{
    app->waiting.count -= count;
    if (count > 0)
        memmove(app->waiting.items, app->waiting.items + count,
                app->waiting.count * sizeof *app->waiting.items);
}

// Sends the first `count` waiting commands; if the call cannot be made, they are answered.
static void send_batch(struct sync_app *app, size_t count)
{
    struct sync_batch *batch = mm_calloc(1, sizeof *batch);
    struct order_message *messages = mm_calloc(count, sizeof *messages);
    Mmorts__World__Command **commands = mm_calloc(count, sizeof *commands);
    enum mm_err err = MM_RESOURCE_EXHAUSTED;
    if (!batch || !messages || !commands)
        goto done;
    batch->app = app;
    batch->count = count;
    for (size_t i = 0; i < count; i++) {
        struct sync_pending *pending = app->waiting.items[i];
        batch->items[i].connection = pending->connection;
        batch->items[i].seq = pending->command.seq;
        batch->items[i].received_ns = pending->received_ns;
        fill_order(&messages[i], pending);
        commands[i] = &messages[i].command;
    }
    Mmorts__World__SubmitCommandsRequest request = MMORTS__WORLD__SUBMIT_COMMANDS_REQUEST__INIT;
    request.session = (char *)(uintptr_t)app->session;
    request.n_commands = count;
    request.commands = commands;
    struct mm_rpc_call_options options = {.deadline_ms = (uint32_t)app->settings.command_ms,
                                          .idempotent = true};
    err = mm_rpc_call(app->world, &mmorts__world__world__descriptor, "SubmitCommands",
                      &request.base, &options, on_orders, batch, NULL);
done:
    mm_free(messages);
    mm_free(commands);
    if (err == MM_OK) {
        app->batches++;
    } else {
        for (size_t i = 0; batch && i < batch->count; i++)
            refuse_order(batch, i, sync_failure_word(err), sync_failure_message(err), 0);
        mm_free(batch);
    }
    for (size_t i = 0; i < count; i++)
        mm_free(app->waiting.items[i]);
    drop_waiting(app, count);
}

// Answers the commands that have waited so long that nobody counts on them any more.
static void expire(struct sync_app *app)
{
    uint64_t now_ns = mm_loop_now_ns(app->loop);
    size_t count = 0;
    while (count < app->waiting.count && now_ns - app->waiting.items[count]->received_ns >=
                                             MM_LOOP_MS(app->settings.command_ms)) {
        struct sync_pending *pending = app->waiting.items[count++];
        struct sync_client *client = sync_answer_to(app, pending->connection);
        sync_answered(app, pending->received_ns, false);
        if (client)
            sync_client_error(client, sync_failure_word(MM_DEADLINE_EXCEEDED),
                              sync_failure_message(MM_DEADLINE_EXCEEDED), pending->command.seq, 0);
        mm_free(pending);
    }
    drop_waiting(app, count);
}

// How many of the waiting commands go into the next call. A building is answered only when it is
// paid; nobody else's answer is to wait for that, so it travels alone.
static size_t batch_size(const struct sync_app *app)
{
    size_t count = 0;
    while (count < app->waiting.count && count < SYNC_BATCH_COMMANDS_MAX &&
           app->waiting.items[count]->command.type != SYNC_COMMAND_BUILD)
        count++;
    return count > 0 ? count : 1;
}

void sync_route_flush(struct mm_loop *loop, void *arg)
{
    (void)loop;
    struct sync_app *app = arg;
    expire(app);
    while (app->waiting.count > 0 && app->batches < SYNC_BATCHES_MAX)
        send_batch(app, batch_size(app));
}

void sync_route_free(struct sync_app *app)
{
    for (size_t i = 0; i < app->waiting.count; i++)
        mm_free(app->waiting.items[i]);
    mm_vec_free(&app->waiting);
}

static void route_order(struct sync_client *client, const struct sync_command *command)
{
    struct sync_app *app = client->app;
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
    client->commands++;
    mm_loop_defer(app->loop, &app->flush_task);
}

// --- messages ------------------------------------------------------------------------------------

static void answer_ping(struct sync_client *client, int64_t timestamp)
{
    struct mm_buf *out = &client->app->scratch;
    mm_buf_reset(out);
    if (client->encoding == SYNC_BINARY) {
        sync_binary_pong(out, timestamp, client->app->core.mirror.tick);
        sync_client_send_binary(client, out);
        return;
    }
    mm_buf_printf(out,
                  "{\"type\":\"pong\",\"payload\":{\"timestamp\":%" PRId64
                  ",\"server_tick\":%" PRIu64 "}}",
                  timestamp, client->app->core.mirror.tick);
    sync_client_send(client, out);
}

static bool has_room(struct sync_client *client, uint64_t seq)
{
    if (client->commands < SYNC_COMMANDS_PER_CLIENT_MAX)
        return true;
    sync_refuse_command(client, "queue_full", "Too many commands are unanswered.", seq);
    return false;
}

static void route_limited(struct sync_client *client, struct sync_bucket *bucket, uint64_t now_ms,
                          struct sync_command *command,
                          void (*route)(struct sync_client *, struct sync_command *))
{
    if (!has_room(client, command->seq))
        return;
    if (!sync_bucket_take(bucket, now_ms)) {
        mm_counter_add(client->app->metrics.rate_limited, 1);
        sync_refuse_command(client, "rate_limited", "Too many commands of this kind; slow down.",
                            command->seq);
        return;
    }
    route(client, command);
}

static void route_order_limited(struct sync_client *client, struct sync_command *command)
{
    route_order(client, command);
}

static void route(struct sync_client *client, struct sync_command *command, uint64_t now_ms)
{
    switch (command->type) {
    case SYNC_COMMAND_PING:
        answer_ping(client, command->timestamp);
        break;
    case SYNC_COMMAND_LEAVE:
        sync_client_close(client, SYNC_WS_NORMAL, "leave", NULL);
        break;
    case SYNC_COMMAND_JOIN:
        // Everything again; not while it is being told already.
        if (!client->full.active && !client->behind)
            client->full = (struct sync_full){.active = true};
        sync_deliver_soon(client->app);
        break;
    case SYNC_COMMAND_FOCUS:
        client->focused = command->has_focus;
        client->focus = (struct sync_place){command->q, command->r};
        break;
    case SYNC_COMMAND_CHAT:
        route_limited(client, &client->chats, now_ms, command, sync_route_chat);
        break;
    case SYNC_COMMAND_GROUP:
        route_limited(client, &client->trains, now_ms, command, sync_route_group);
        break;
    case SYNC_COMMAND_MAIL:
        route_limited(client, &client->trains, now_ms, command, sync_route_mail);
        break;
    case SYNC_COMMAND_TRAIN:
    case SYNC_COMMAND_CANCEL:
        route_limited(client, &client->trains, now_ms, command, sync_route_job);
        break;
    default:
        route_limited(client, &client->orders, now_ms, command, route_order_limited);
    }
}

// Whether one more message is within the rate. Who goes on regardless is sent away.
static bool within_rate(struct sync_client *client, uint64_t now_ms)
{
    if (sync_bucket_take(&client->messages, now_ms)) {
        // The excess fades as slowly as it grew: who sends at twice the rate is not forgiven.
        if (client->excess > 0 && --client->excess == 0)
            client->told_rate_limited = false;
        return true;
    }
    mm_counter_add(client->app->metrics.rate_limited, 1);
    if (++client->excess > SYNC_EXCESS_MAX) {
        sync_client_close(client, 4429, "rate_limited", "Far too many messages.");
    } else if (!client->told_rate_limited) {
        client->told_rate_limited = true;
        sync_client_error(client, "rate_limited", "Too many messages; slow down.", 0, 0);
    }
    return false;
}

static bool parse(const struct sync_client *client, enum sync_ws_opcode opcode, const uint8_t *data,
                  size_t len, struct sync_command *command, struct sync_command_error *error)
{
    if (opcode == SYNC_WS_TEXT)
        return sync_command_parse(data, len, command, error);
    if (client->encoding == SYNC_BINARY)
        return sync_command_parse_binary(data, len, command, error);
    *error = (struct sync_command_error){.code = "binary_unsupported",
                                         .message = "Messages are JSON text."};
    return false;
}

void sync_route_message(struct sync_client *client, enum sync_ws_opcode opcode, const uint8_t *data,
                        size_t len)
{
    uint64_t now_ms = mm_loop_now_ns(client->app->loop) / 1000000;
    if (!within_rate(client, now_ms))
        return;
    struct sync_command command;
    struct sync_command_error error;
    if (!parse(client, opcode, data, len, &command, &error)) {
        sync_client_error(client, error.code, error.message, error.has_seq ? error.seq : 0, 0);
    } else if (client->state == SYNC_CLIENT_PLAYING || command.type == SYNC_COMMAND_PING ||
               command.type == SYNC_COMMAND_LEAVE) {
        route(client, &command, now_ms);
    } else if (command.type != SYNC_COMMAND_JOIN) {
        sync_client_error(client, "unavailable", "The game has not begun yet.", command.seq, 0);
    }
}
