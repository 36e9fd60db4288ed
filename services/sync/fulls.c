#include <string.h>

#include "services/sync/app.h"
#include "services/sync/core/encode.h"
#include "services/sync/deliver_parts.h"

// What clients are told beyond a tick's news: the map, everything that they may know (a full state,
// in pieces), or all that they missed.

void sync_fulls_want(struct sync_client *client)
{
    client->full = (struct sync_full){.active = true};
    client->app->fulls_wanted = true;
}

static uint64_t map_version(const struct sync_app *app)
{
    return app->map_version + app->core.mirror.catalogue.hash;
}

static void send_map(struct sync_client *client)
{
    struct sync_app *app = client->app;
    mm_buf_reset(&app->scratch);
    const char *recipes = app->recipes_json ? app->recipes_json : "[]";
    sync_encode_map(&app->scratch, &app->core.mirror, recipes, strlen(recipes));
    client->map_version = map_version(app);
    sync_client_send(client, &app->scratch);
}

static size_t deliver_full(struct sync_client *client)
{
    struct sync_app *app = client->app;
    if (!client->full.begun)
        mm_counter_add(app->metrics.fulls, 1);
    sync_owing_forget(client);
    client->trail.first_tick = 0; // what it knew no longer counts
    client->full.beside = false;
    for (const struct sync_client *c = client->seat->clients; c; c = c->beside)
        client->full.beside |= sync_client_follows(c);
    mm_buf_reset(&app->full_buf);
    enum mm_err err = sync_encode_full(&app->core, client->seat->view, client->encoding,
                                       &client->full, SYNC_FULL_CHUNK_BYTES, &app->full_buf);
    if (err != MM_OK) {
        sync_client_close(client, SYNC_WS_INTERNAL, "internal",
                          "The game's state does not fit into a message.");
        return 0;
    }
    enum sync_ws_opcode opcode = client->encoding == SYNC_BINARY ? SYNC_WS_BINARY : SYNC_WS_TEXT;
    enum sync_sent sent =
        sync_outbox_send_full(&client->outbox, client->fd, opcode, &app->full_buf);
    if (sync_client_sent(client, sent)) {
        if (!client->full.active) {
            client->updated_ns = 0; // a full state begins a new series of intervals
            sync_owing_begin(client);
            sync_trail_told_all(client);
            sync_updates_told(client);
        }
        sync_client_watch(client);
    }
    return app->full_buf.len;
}

// Tells the client what it missed, which was put into app->resumed_buf and app->news.
static void deliver_difference(struct sync_client *client)
{
    struct sync_app *app = client->app;
    struct sync_view *view = client->seat->view;
    bool beside = false;
    for (const struct sync_client *c = client->seat->clients; c; c = c->beside)
        beside |= c != client && sync_client_follows(c);
    if (client->resuming)
        sync_owing_begin(client);
    client->resuming = client->catch_up = false;
    client->full.active = false;
    client->updated_ns = 0; // a new series of intervals
    if (client->encoding == SYNC_BINARY)
        sync_client_send_binary(client, &app->resumed_buf);
    else
        sync_client_send(client, &app->resumed_buf);
    if (client->state != SYNC_CLIENT_PLAYING)
        return;
    if (!sync_resume_encode(&app->encoder, &app->core, view, client->encoding, beside,
                            &app->news)) {
        sync_fulls_want(client);
        return;
    }
    sync_updates_send(client);
    // Too much even so: everything can be told in pieces.
    if (client->behind)
        client->trail.first_tick = 0;
}

// What one client waits for beyond the tick's news; how many bytes of a full state it was told.
static size_t deliver_wanted(struct sync_client *client, size_t bytes_most)
{
    struct sync_app *app = client->app;
    if (client->state == SYNC_CLIENT_LOOKING && client->seat->view->state == SYNC_VIEW_LIVE &&
        app->core.mirror.tick >= client->tick_min)
        sync_join_play(client);
    if (client->state != SYNC_CLIENT_PLAYING || client->seat->view->state != SYNC_VIEW_LIVE)
        return 0;
    if (client->map_version != map_version(app))
        send_map(client);
    if (client->state != SYNC_CLIENT_PLAYING)
        return 0;
    if (client->resuming || (client->catch_up && sync_trail_catch_up(client))) {
        deliver_difference(client);
        return 0;
    }
    client->catch_up = false;
    if (!client->full.active || sync_outbox_waiting(&client->outbox) > 0 ||
        !sync_owing_may_begin(client))
        return 0;
    size_t bytes = bytes_most > 0 ? deliver_full(client) : 0;
    if (client->state == SYNC_CLIENT_PLAYING && client->full.active &&
        sync_outbox_waiting(&client->outbox) == 0)
        sync_deliver_soon(app); // the next part of it
    return bytes;
}

// Tells everything to those who wait for it, as far as sockets and this turn allow. All clients are
// looked at only when there is a reason to: of thousands nothing is in the caches.
void sync_fulls_tell(struct sync_app *app)
{
    uint64_t version = map_version(app);
    if (!app->fulls_wanted && app->map_delivered == version)
        return;
    app->fulls_wanted = false;
    app->map_delivered = version;
    size_t left = SYNC_FULL_BYTES_PER_TURN;
    for (size_t i = app->clients.count; i-- > 0;) {
        if (i >= app->clients.count)
            continue;
        struct sync_client *client = app->clients.items[i];
        size_t bytes = deliver_wanted(client, left);
        left -= bytes < left ? bytes : left;
        // Who plays without its view waits for that, with an old map perhaps.
        app->fulls_wanted |=
            sync_client_is_unsettled(client) ||
            (client->state == SYNC_CLIENT_PLAYING && client->map_version != version);
    }
}
