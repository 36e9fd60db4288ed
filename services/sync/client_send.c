#include <string.h>
#include <sys/socket.h>

#include "libcommon/base/buf_json.h"
#include "services/sync/app.h"
#include "services/sync/client_parts.h"

// What a client is sent, but for updates and full states: messages to it alone, at once, and those
// to everybody, which wait for company. And what becomes of it as its socket takes them.

bool sync_client_sent(struct sync_client *client, enum sync_sent sent)
{
    if (sent != SYNC_BROKEN)
        return true;
    sync_client_kill(client, "send failed");
    return false;
}

void sync_client_watch(struct sync_client *client)
{
    if (client->state == SYNC_CLIENT_DEAD)
        return;
    unsigned events = MM_LOOP_READ;
    if (sync_outbox_waiting(&client->outbox) == 0) {
        client->waiting_ns = 0;
    } else {
        events |= MM_LOOP_WRITE;
        if (client->waiting_ns == 0)
            client->waiting_ns = mm_loop_now_ns(client->app->loop);
    }
    if (mm_loop_fd_set(client->app->loop, client->fd, events) != MM_OK)
        sync_client_kill(client, "cannot be watched");
}

static size_t control_limit(const struct sync_client *client)
{
    // While a full state is on its way the outbox may hold far more than updates ever could.
    size_t waiting = sync_outbox_waiting(&client->outbox);
    size_t usual = (size_t)client->app->settings.send_waiting_bytes + SYNC_CONTROL_BYTES_MAX;
    bool is_full = client->full.active || waiting > usual;
    return is_full ? client->outbox.buf.bytes_max : usual;
}

void sync_client_send_frame(struct sync_client *client, enum sync_ws_opcode opcode,
                            const void *data, size_t len, bool important)
{
    if (client->state == SYNC_CLIENT_DEAD || client->state == SYNC_CLIENT_CLOSING)
        return;
    enum sync_sent sent = sync_outbox_send_frame(&client->outbox, client->fd, opcode, data, len,
                                                 control_limit(client));
    if (sent == SYNC_FULL && important)
        sent = SYNC_BROKEN;
    if (sync_client_sent(client, sent))
        sync_client_watch(client);
}

void sync_client_send(struct sync_client *client, const struct mm_buf *message)
{
    if (message->err == MM_OK)
        sync_client_send_frame(client, SYNC_WS_TEXT, message->data, message->len, true);
}

void sync_client_send_binary(struct sync_client *client, const struct mm_buf *message)
{
    if (message->err == MM_OK)
        sync_client_send_frame(client, SYNC_WS_BINARY, message->data, message->len, true);
}

void sync_client_ping(struct sync_client *client, const char *text)
{
    sync_client_send_frame(client, SYNC_WS_PING, text, strlen(text), false);
}

// One system call for each word to each of thousands of players would hold up the game.
static bool hold(struct sync_client *client, enum sync_ws_opcode opcode,
                 const struct mm_buf *message)
{
    struct sync_app *app = client->app;
    if (message->err != MM_OK || client->state >= SYNC_CLIENT_CLOSING)
        return false;
    enum sync_sent sent = sync_outbox_keep_frame(&client->outbox, opcode, message->data,
                                                 message->len, control_limit(client));
    if (!sync_client_sent(client, sent))
        return false;
    if (sent == SYNC_FULL) {
        client->missed++;
        mm_counter_add(app->metrics.missed, 1);
        return false;
    }
    client->held = true;
    app->holding = true;
    if (!app->talk.active)
        mm_loop_timer_start(app->loop, &app->talk, MM_LOOP_MS(SYNC_TALK_MS), 0);
    return true;
}

bool sync_client_hold(struct sync_client *client, const struct mm_buf *message)
{
    return hold(client, SYNC_WS_TEXT, message);
}

bool sync_client_hold_binary(struct sync_client *client, const struct mm_buf *message)
{
    return hold(client, SYNC_WS_BINARY, message);
}

// The socket has taken all that waited for it, whoever flushed it.
static void on_drained(struct sync_client *client)
{
    if (client->state == SYNC_CLIENT_CLOSING) {
        // All is said, the close frame too; the peer answers and closes.
        (void)shutdown(client->fd, SHUT_WR);
    } else if (client->behind) {
        client->behind = false;
        client->catch_up = true;
        sync_fulls_want(client);
        sync_deliver_soon(client->app);
    } else if (client->full.active) {
        sync_deliver_soon(client->app);
    }
}

void sync_client_flush(struct sync_client *client)
{
    size_t waiting = sync_outbox_waiting(&client->outbox);
    if (!sync_client_sent(client, sync_outbox_flush(&client->outbox, client->fd)))
        return;
    if (sync_outbox_waiting(&client->outbox) < waiting)
        sync_probe_reads(&client->probe);
    sync_client_watch(client);
    if (client->state != SYNC_CLIENT_DEAD && sync_outbox_waiting(&client->outbox) == 0)
        on_drained(client);
}

void sync_clients_release(struct sync_app *app)
{
    if (!app->holding)
        return;
    app->holding = false;
    mm_loop_timer_stop(app->loop, &app->talk);
    for (size_t i = app->clients.count; i-- > 0;) {
        struct sync_client *client = i < app->clients.count ? app->clients.items[i] : NULL;
        if (!client || !client->held)
            continue;
        client->held = false;
        sync_client_flush(client);
    }
}

void sync_client_error(struct sync_client *client, const char *code, const char *message,
                       uint64_t seq, uint32_t retry_after_ms)
{
    struct mm_buf *out = &client->app->scratch;
    mm_buf_reset(out);
    MM_BUF_LIT(out, "{\"type\":\"error\",\"payload\":{\"code\":");
    mm_buf_json_cstr(out, code);
    MM_BUF_LIT(out, ",\"message\":");
    mm_buf_json_cstr(out, message);
    if (seq) {
        MM_BUF_LIT(out, ",\"seq\":");
        mm_buf_dec_u64(out, seq);
    }
    if (retry_after_ms) {
        MM_BUF_LIT(out, ",\"retry_after_ms\":");
        mm_buf_dec_u64(out, retry_after_ms);
    }
    MM_BUF_LIT(out, "}}");
    sync_client_send(client, out);
}
