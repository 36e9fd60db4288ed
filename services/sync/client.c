#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>

#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/log.h"
#include "libcommon/base/str.h"
#include "services/sync/app.h"
#include "services/sync/client_parts.h"
#include "services/sync/rooms.h"

// --- lists ---------------------------------------------------------------------------------------

static struct sync_client *pointer(const struct mm_idmap *map, uint64_t key)
{
    uint64_t value = 0;
    return mm_idmap_get(map, key, &value) ? (struct sync_client *)(uintptr_t)value : NULL;
}

struct sync_client *sync_client_find(struct sync_app *app, uint64_t connection)
{
    return pointer(app->client_of_connection, connection);
}

// Room among the dead as well, so that dying cannot fail.
static bool reserve_place(struct sync_app *app)
{
    return mm_vec_reserve(&app->clients, app->clients.count + 1) &&
           mm_vec_reserve(&app->dead, app->dead.count + app->clients.count + 1);
}

static void list(struct sync_app *app, struct sync_client *client)
{
    client->at = app->clients.count;
    app->clients.items[app->clients.count++] = client;
}

// The last one takes its place.
static void unlist(struct sync_app *app, const struct sync_client *client)
{
    size_t at = client->at;
    mm_vec_remove_swap(&app->clients, at);
    if (at < app->clients.count)
        app->clients.items[at]->at = at;
}

static bool address_take(struct sync_app *app, uint64_t address)
{
    uint64_t count = 0;
    (void)mm_idmap_get(app->address_counts, address, &count);
    if (count >= (uint64_t)app->settings.clients_per_address)
        return false;
    return mm_idmap_set(app->address_counts, address, count + 1) == MM_OK;
}

static void address_give(struct sync_app *app, uint64_t address)
{
    uint64_t *count = mm_idmap_find(app->address_counts, address);
    if (count && --*count == 0)
        (void)mm_idmap_remove(app->address_counts, address, NULL);
}

// --- the end -------------------------------------------------------------------------------------

static void bury(struct sync_client *client)
{
    struct sync_app *app = client->app;
    if (client->fd >= 0) {
        mm_loop_fd_remove(app->loop, client->fd);
        client->fd = -1;
    }
    if (client->upgrade)
        mm_http_upgrade_close(client->upgrade);
    client->upgrade = NULL;
    app->bytes_out += client->outbox.bytes_total;
    app->messages_out += client->outbox.frames_total;
    sync_outbox_free(&client->outbox);
    sync_ws_free(client->ws);
    if (client->token) {
        explicit_bzero(client->token, strlen(client->token));
        mm_free(client->token);
    }
    mm_free(client);
}

static void bury_dead(struct mm_loop *loop, void *arg)
{
    (void)loop;
    struct sync_app *app = arg;
    while (app->dead.count > 0)
        bury(mm_vec_pop(&app->dead));
}

// Takes the client out of everything but its socket.
static void detach(struct sync_client *client)
{
    struct sync_app *app = client->app;
    if (client->call && client->call_peer)
        mm_rpc_cancel(client->call_peer, client->call);
    client->call = 0;
    if (client->rechecking)
        app->rechecks--;
    client->rechecking = false;
    sync_owing_forget(client);
    sync_presence_leave(client);
}

// Callbacks further up the stack may still hold the client: its memory goes at the turn's end.
static void die(struct sync_client *client)
{
    struct sync_app *app = client->app;
    if (client->state == SYNC_CLIENT_DEAD)
        return;
    if (client->state != SYNC_CLIENT_CLOSING)
        detach(client);
    client->state = SYNC_CLIENT_DEAD;
    mm_loop_fd_remove(app->loop, client->fd);
    (void)mm_idmap_remove(app->client_of_connection, client->connection, NULL);
    if (client->address_counted)
        address_give(app, client->address);
    unlist(app, client);
    bool pushed = mm_vec_push(&app->dead, client); // reserve_place saw to that
    MM_CHECK(pushed);
    if (!app->bury_task.fn)
        mm_loop_task_init(&app->bury_task, bury_dead, app);
    mm_loop_defer(app->loop, &app->bury_task);
}

void sync_client_kill(struct sync_client *client, const char *why)
{
    if (client->state == SYNC_CLIENT_DEAD)
        return;
    MM_LOG_DEBUG("connection ended", "connection=%" PRIu64 " player=%" PRIu64 " why=%s",
                 client->connection, client->player_id, why);
    mm_counter_add(client->app->metrics.kills, 1);
    die(client);
}

// It is not meant to come back, or not as it was.
static bool is_final(uint16_t code)
{
    return code == SYNC_WS_NORMAL || code == SYNC_WS_POLICY || code == 4401 || code == 4403 ||
           code == 4404;
}

void sync_client_close(struct sync_client *client, uint16_t code, const char *word,
                       const char *message)
{
    sync_client_refuse(client, code, word, message, 0);
}

void sync_client_refuse(struct sync_client *client, uint16_t code, const char *word,
                        const char *message, uint32_t retry_after_ms)
{
    struct sync_app *app = client->app;
    if (client->state == SYNC_CLIENT_DEAD || client->state == SYNC_CLIENT_CLOSING)
        return;
    if (word && message)
        sync_client_error(client, word, message, 0, retry_after_ms);
    if (is_final(code))
        client->trail.first_tick = 0;
    uint8_t payload[SYNC_WS_CONTROL_BYTES_MAX] = {(uint8_t)(code >> 8), (uint8_t)code};
    size_t len = word ? strlen(word) : 0;
    if (len > sizeof payload - 2)
        len = sizeof payload - 2;
    memcpy(payload + 2, word ? word : "", len);
    sync_client_send_frame(client, SYNC_WS_CLOSE, payload, code == SYNC_WS_NO_STATUS ? 0 : len + 2,
                           true);
    if (client->state == SYNC_CLIENT_DEAD)
        return;
    MM_LOG_DEBUG("connection closed", "connection=%" PRIu64 " player=%" PRIu64 " code=%u why=%s",
                 client->connection, client->player_id, code, word ? word : "");
    detach(client);
    client->state = SYNC_CLIENT_CLOSING;
    client->deadline_ns = mm_loop_now_ns(app->loop) + MM_LOOP_MS(SYNC_CLOSE_MS);
    // Nothing follows a close frame; the peer sees the end even if it does not know the protocol.
    if (sync_outbox_waiting(&client->outbox) == 0)
        (void)shutdown(client->fd, SHUT_WR);
    sync_client_watch(client);
}

// --- receiving -----------------------------------------------------------------------------------

static bool on_message(void *arg, enum sync_ws_opcode opcode, const uint8_t *data, size_t len,
                       uint16_t code)
{
    struct sync_client *client = arg;
    // What is still on its way when we close is read and ignored: bytes left unread would make the
    // kernel reset the connection, and the peer would never see why it was closed.
    if (client->state == SYNC_CLIENT_CLOSING) {
        if (opcode == SYNC_WS_CLOSE)
            die(client);
        return client->state == SYNC_CLIENT_CLOSING;
    }
    switch (opcode) {
    case SYNC_WS_TEXT:
    case SYNC_WS_BINARY:
        mm_counter_add(client->app->metrics.messages_in, 1);
        sync_route_message(client, opcode, data, len);
        break;
    case SYNC_WS_PING:
        if (sync_route_within_rate(client))
            sync_client_send_frame(client, SYNC_WS_PONG, data, len, true);
        break;
    case SYNC_WS_CLOSE:
        // Answered in kind; then it is over, the peer closes the socket.
        sync_client_close(client, code, NULL, NULL);
        break;
    case SYNC_WS_PONG:
        // That it was heard is enough, but for one that had to answer.
        (void)sync_route_within_rate(client);
        if (len == strlen(SYNC_PROBE_PING) && memcmp(data, SYNC_PROBE_PING, len) == 0)
            sync_probe_answered(&client->probe, sync_probe_patience(client->app));
        break;
    default:
        break;
    }
    return client->state != SYNC_CLIENT_DEAD;
}

static void receive(struct sync_client *client, const uint8_t *data, size_t len)
{
    struct sync_app *app = client->app;
    client->heard_ns = mm_loop_now_ns(app->loop);
    client->pinged_ns = 0;
    sync_probe_heard(&client->probe);
    mm_counter_add(app->metrics.bytes_in, len);
    uint16_t code = sync_ws_receive(client->ws, data, len);
    if (code == 0 || client->state >= SYNC_CLIENT_CLOSING)
        return;
    switch (code) {
    case SYNC_WS_TOO_LARGE:
        sync_client_close(client, code, "too_large",
                          sync_ws_too_many_frames(client->ws)
                              ? "A message has at most 8192 frames."
                              : "A message has at most 4096 bytes.");
        break;
    case SYNC_WS_INVALID_DATA:
        sync_client_close(client, code, "invalid_utf8", NULL);
        break;
    default:
        sync_client_close(client, code, "protocol_error", NULL);
    }
}

static void on_readable(struct sync_client *client)
{
    struct sync_app *app = client->app;
    ssize_t n = recv(client->fd, app->read_buf, SYNC_READ_BYTES, MSG_DONTWAIT);
    if (n > 0)
        receive(client, app->read_buf, (size_t)n);
    else if (n == 0)
        die(client);
    else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
        die(client);
}

static void on_socket(struct mm_loop *loop, int fd, unsigned events, void *arg)
{
    (void)loop;
    (void)fd;
    struct sync_client *client = arg;
    if (events & MM_LOOP_READ)
        on_readable(client);
    if (client->state != SYNC_CLIENT_DEAD && (events & MM_LOOP_WRITE))
        sync_client_flush(client);
}

// --- the beginning -------------------------------------------------------------------------------

static void fill_in(struct sync_client *client, struct sync_handshake *handshake)
{
    const struct sync_settings *settings = &client->app->settings;
    uint64_t now_ns = mm_loop_now_ns(client->app->loop), now_ms = now_ns / 1000000;
    client->token = handshake->token;
    handshake->token = NULL;
    client->tick_min = handshake->tick_min;
    client->position = handshake->position;
    (void)mm_str_copy(client->resume, sizeof client->resume, handshake->resume);
    client->encoding = handshake->encoding;
    (void)mm_str_copy(client->session, sizeof client->session, handshake->session);
    client->address = handshake->address;
    client->address_counted = true;
    client->opened_ns = client->heard_ns = now_ns;
    client->deadline_ns = now_ns + MM_LOOP_MS(settings->login_ms);
    uint32_t rate = (uint32_t)settings->messages_per_second;
    client->messages = sync_bucket_full(rate, 2 * rate, now_ms);
    rate = (uint32_t)settings->orders_per_second;
    client->orders = sync_bucket_full(rate, 2 * rate, now_ms);
    rate = (uint32_t)settings->trains_per_second;
    client->trains = sync_bucket_full(rate, 4 * rate, now_ms);
    rate = (uint32_t)settings->chats_per_second;
    client->chats = sync_bucket_full(rate, 10 * rate, now_ms);
    if (handshake->deflate.on)
        sync_ws_inflate(client->ws, client->app->deflate);
    sync_outbox_init(&client->outbox, SYNC_FULL_BYTES_MAX + SYNC_CONTROL_BYTES_MAX +
                                          2 * (size_t)settings->send_waiting_bytes);
    if (handshake->deflate.on)
        sync_outbox_deflate(&client->outbox, client->app->deflate, handshake->deflate.window_bits,
                            strcmp(settings->compression, "all") == 0);
}

static struct sync_client *make(struct sync_app *app, struct sync_handshake *handshake, int fd,
                                struct mm_http_upgrade *upgrade)
{
    struct sync_client *client = mm_calloc(1, sizeof *client);
    if (!client)
        return NULL;
    client->app = app;
    client->fd = fd;
    client->ws = sync_ws_new(on_message, client);
    client->connection = ++app->next_connection;
    bool ok = client->ws && reserve_place(app) &&
              mm_idmap_set(app->client_of_connection, client->connection,
                           (uint64_t)(uintptr_t)client) == MM_OK;
    if (ok && mm_loop_fd_add(app->loop, fd, MM_LOOP_READ, on_socket, client) != MM_OK) {
        (void)mm_idmap_remove(app->client_of_connection, client->connection, NULL);
        ok = false;
    }
    if (!ok) {
        sync_ws_free(client->ws);
        mm_free(client);
        return NULL;
    }
    client->upgrade = upgrade;
    fill_in(client, handshake);
    list(app, client);
    return client;
}

bool sync_client_move(struct sync_client *client, struct sync_app *to)
{
    struct sync_app *from = client->app;
    if (!reserve_place(to) || mm_idmap_set(to->client_of_connection, client->connection,
                                           (uint64_t)(uintptr_t)client) != MM_OK)
        return false;
    (void)mm_idmap_remove(from->client_of_connection, client->connection, NULL);
    unlist(from, client);
    client->app = to;
    list(to, client);
    return true;
}

void sync_client_accept(struct sync_handshake *handshake, int fd, struct mm_http_upgrade *upgrade,
                        const uint8_t *extra, size_t extra_len)
{
    struct sync_app *app = handshake->app;
    const struct sync_settings *settings = &app->settings;
    bool address_ok = address_take(app, handshake->address);
    // A kernel buffer of a known size: a client that does not read is noticed, and costs so much.
    int bytes = (int)settings->send_buffer_bytes;
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    struct sync_client *client =
        app->clients.count < (size_t)settings->clients_max + SYNC_REFUSED_CLIENTS_MAX
            ? make(app, handshake, fd, upgrade)
            : NULL;
    if (!client) {
        if (address_ok)
            address_give(app, handshake->address);
        mm_http_upgrade_close(upgrade);
        return;
    }
    if (!address_ok) {
        // It was not counted, so it must not be taken off when it ends.
        client->address_counted = false;
        sync_client_close(client, 4429, "server_full", "Too many connections from this address.");
    } else if (app->draining) {
        sync_client_close(client, SYNC_WS_RESTART, "restart", NULL);
    } else if (sync_rooms_clients(app) > (size_t)settings->clients_max) {
        sync_client_close(client, 4429, "server_full", "The server is full; try again later.");
    }
    if (client->state >= SYNC_CLIENT_CLOSING) {
        mm_counter_add(app->metrics.refused, 1);
        return;
    }
    sync_join_advance(client);
    if (client->state < SYNC_CLIENT_CLOSING && extra_len > 0)
        receive(client, extra, extra_len);
}

// --- deadlines -----------------------------------------------------------------------------------

static void sweep(struct sync_client *client, uint64_t now_ns)
{
    const struct sync_settings *settings = &client->app->settings;
    switch (client->state) {
    case SYNC_CLIENT_DEAD:
        return;
    case SYNC_CLIENT_CLOSING:
        if (now_ns >= client->deadline_ns)
            sync_client_kill(client, "close unanswered");
        return;
    case SYNC_CLIENT_VERIFYING:
    case SYNC_CLIENT_FINDING:
    case SYNC_CLIENT_JOINING:
    case SYNC_CLIENT_CLAIMING:
    case SYNC_CLIENT_LOOKING:
        if (now_ns >= client->deadline_ns)
            sync_client_close(client, SYNC_WS_TRY_LATER, "unavailable",
                              "The game cannot be entered now; try again.");
        else
            sync_join_advance(client);
        return;
    case SYNC_CLIENT_PLAYING:
        break;
    }
    if (client->waiting_ns != 0 && now_ns - client->waiting_ns >= MM_LOOP_MS(settings->behind_ms)) {
        sync_client_kill(client, "too slow");
        return;
    }
    if (client->missed && !client->behind && !client->full.active &&
        sync_outbox_waiting(&client->outbox) == 0)
        sync_talk_missed(client);
    if (sync_probe_sweep(&client->probe, sync_probe_patience(client->app))) {
        sync_client_kill(client, "silent, and its player is here again");
        return;
    }
    uint64_t silent_ns = now_ns - client->heard_ns;
    if (silent_ns >= MM_LOOP_MS(settings->idle_ms)) {
        sync_client_kill(client, "silent");
    } else if (silent_ns >= MM_LOOP_MS(settings->ping_ms) && client->pinged_ns == 0) {
        client->pinged_ns = now_ns;
        sync_client_ping(client, "mmorts");
    }
}

void sync_clients_sweep(struct sync_app *app)
{
    uint64_t now_ns = mm_loop_now_ns(app->loop);
    // Backwards: the last one takes the place of one that dies.
    for (size_t i = app->clients.count; i-- > 0;) {
        if (i < app->clients.count)
            sweep(app->clients.items[i], now_ns);
    }
}

void sync_clients_free(struct sync_app *app)
{
    while (app->clients.count > 0)
        die(app->clients.items[app->clients.count - 1]);
    bury_dead(app->loop, app);
    if (app->bury_task.fn)
        mm_loop_defer_cancel(app->loop, &app->bury_task);
    mm_vec_free(&app->clients);
    mm_vec_free(&app->dead);
    mm_vec_free(&app->owing);
    sync_delta_free(&app->part);
}
