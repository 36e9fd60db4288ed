#include <inttypes.h>

#include "services/sync/answers.h"
#include "services/sync/app.h"
#include "services/sync/core/binary.h"

// Messages of clients: which service each is for, and whether it comes at a rate that is allowed.
// Orders go to world (orders.c), the rest to the others (errands.c, groups.c, mail.c).

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
            sync_fulls_want(client);
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
        route_limited(client, &client->orders, now_ms, command, sync_route_order);
    }
}

bool sync_route_within_rate(struct sync_client *client)
{
    if (sync_bucket_take(&client->messages, mm_loop_now_ns(client->app->loop) / 1000000)) {
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
    if (!sync_route_within_rate(client))
        return;
    uint64_t now_ms = mm_loop_now_ns(client->app->loop) / 1000000;
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
