#include "libcommon/base/clock.h"
#include "libcommon/base/prefetch.h"
#include "services/sync/app.h"
#include "services/sync/core/encode.h"
#include "services/sync/core/fold.h"
#include "services/sync/deliver_parts.h"

// A tick's news to the clients whom they concern: encoded once for a view, and gathered so that few
// system calls send them. All that is done for each client in each tick is in this file, for the
// compiler to see it together.

void sync_updates_told(struct sync_client *client)
{
    struct sync_app *app = client->app;
    uint64_t now_ns = app->flushed_ns;
    if (client->updated_ns)
        mm_metrics_observe_alone(app->metrics.update_interval,
                                 (now_ns - client->updated_ns) / 1000);
    client->updated_ns = now_ns;
    client->updated_tick = app->core.mirror.tick;
    if (sync_owing_left(client) == 0)
        client->settled_tick = client->updated_tick;
}

// --- bursts: the tick's messages to all clients, in few system calls -----------------------------

static void on_burst(void *arg, int result, const uint8_t *data, size_t len)
{
    struct sync_client *client = arg;
    if (result == (int)len) {
        client->outbox.bytes_total += len; // as nearly always: nothing else to look at
    } else if (client->state != SYNC_CLIENT_DEAD &&
               sync_client_sent(client, sync_outbox_added(&client->outbox, result, data, len))) {
        sync_client_watch(client);
    }
}

static void flush_burst(struct sync_app *app)
{
    if (app->burst)
        sync_burst_flush(app->burst, on_burst);
    app->flushed_ns = mm_clock_ns();
}

// True: what the encoder holds goes with the burst.
static bool add_to_burst(struct sync_client *client)
{
    struct sync_app *app = client->app;
    if (!app->burst || sync_outbox_waiting(&client->outbox) > 0 ||
        sync_outbox_packs(&client->outbox, &app->encoder))
        return false;
    for (int round = 0; round < 2; round++) {
        if (sync_outbox_add_messages(&client->outbox, app->burst, client->fd, &app->encoder,
                                     client))
            return true;
        flush_burst(app);
    }
    return false;
}

// Sends what the encoder holds; the caller flushes the burst before anything else is done.
static void send_messages(struct sync_client *client)
{
    struct sync_app *app = client->app;
    if (app->encoder.messages.count == 0)
        return;
    bool in_burst = add_to_burst(client);
    enum sync_sent sent = SYNC_SENT;
    if (!in_burst)
        sent = sync_outbox_send_messages(&client->outbox, client->fd, &app->encoder,
                                         (size_t)app->settings.send_waiting_bytes);
    if (!sync_client_sent(client, sent))
        return;
    if (sent == SYNC_FULL) {
        client->behind = true;
        sync_owing_forget(client);
        mm_counter_add(app->metrics.behinds, 1);
    } else {
        size_t bytes = 0;
        for (size_t i = 0; i < app->encoder.messages.count; i++)
            bytes += app->encoder.messages.items[i].bytes;
        mm_metrics_observe_alone(app->metrics.update_bytes, bytes);
        sync_updates_told(client);
    }
    if (!in_burst)
        sync_client_watch(client);
}

void sync_updates_send(struct sync_client *client)
{
    send_messages(client);
    flush_burst(client->app);
}

// --- one view ------------------------------------------------------------------------------------

// And takes all of this one.
static bool follows_in(const struct sync_client *client, enum sync_encoding encoding)
{
    return sync_client_follows(client) && client->encoding == encoding && !client->parted;
}

// Binary updates count ticks from the one before. Of several clients who are not at the same tick,
// each is led to this one, so that one message fits all. The tick they were told last; *any: there
// are some.
static uint64_t align(struct sync_app *app, struct sync_client *first, enum sync_encoding encoding,
                      bool *any)
{
    uint64_t told_tick = 0;
    bool same = true;
    *any = false;
    for (const struct sync_client *c = first; c; c = c->beside) {
        if (!follows_in(c, encoding))
            continue;
        same &= !*any || c->updated_tick == told_tick;
        told_tick = c->updated_tick;
        *any = true;
    }
    if (same || encoding == SYNC_JSON)
        return told_tick;
    *any = false;
    for (struct sync_client *c = first; c; c = c->beside) {
        if (!follows_in(c, encoding))
            continue;
        c->trail.aligned = true;
        if (sync_encode_idle(&app->encoder, &app->core, 0, encoding, c->updated_tick))
            send_messages(c);
        *any |= follows_in(c, encoding);
    }
    return app->core.mirror.tick;
}

// What was held is told to each by itself, from the tick it is at: led to this one first, and cut
// off there, it would say that it knows what it was not told.
static bool deliver_folded(struct sync_app *app, struct sync_view *view, struct sync_delta *delta,
                           struct sync_client *first, enum sync_encoding encoding)
{
    bool ok = true;
    for (struct sync_client *c = first; c && ok; c = c->beside) {
        if (!follows_in(c, encoding))
            continue;
        ok = sync_encode_part(&app->encoder, &app->core, view, delta, 0, encoding, c->updated_tick);
        if (ok)
            send_messages(c);
    }
    return ok;
}

// The same delta for all of a seat's clients in one encoding. False: they need a full state. While
// one of them follows, the seat and the view are there, whoever dies of a message.
static bool deliver_shared(struct sync_app *app, struct sync_view *view, struct sync_delta *delta,
                           struct sync_client *first, enum sync_encoding encoding)
{
    if (delta != &view->delta)
        return deliver_folded(app, view, delta, first, encoding);
    bool any = false;
    uint64_t told_tick = align(app, first, encoding, &any);
    if (!any)
        return true;
    if (!sync_encode_part(&app->encoder, &app->core, view, delta, 0, encoding, told_tick))
        return false;
    for (struct sync_client *c = first; c; c = c->beside)
        if (follows_in(c, encoding))
            send_messages(c);
    return true;
}

// What the client's budget allows. False: it needs a full state.
static bool deliver_part(struct sync_client *client, struct sync_view *view,
                         const struct sync_delta *delta)
{
    bool ok = sync_owing_encode(client, view, delta);
    if (ok)
        send_messages(client);
    else
        sync_fulls_want(client);
    return ok;
}

static void deliver_to_several(struct sync_app *app, struct sync_view *view,
                               struct sync_delta *delta, struct sync_client *first)
{
    for (struct sync_client *c = first; c; c = c->beside)
        c->parted = sync_client_follows(c) && !sync_owing_takes_all(c, delta);
    bool ok = deliver_shared(app, view, delta, first, SYNC_BINARY) &&
              deliver_shared(app, view, delta, first, SYNC_JSON);
    bool any = false;
    for (struct sync_client *c = first; c; c = c->beside) {
        if (!ok)
            sync_fulls_want(c);
        else if (c->parted && sync_client_follows(c))
            (void)deliver_part(c, view, delta);
        any |= sync_client_follows(c);
    }
    if (ok && any)
        sync_encode_told(&app->core, view);
}

// All that follow: what they would have to be told is not known any more.
static void want_fulls(struct sync_client *first)
{
    for (struct sync_client *c = first; c; c = c->beside)
        if (sync_client_follows(c))
            sync_fulls_want(c);
}

static void deliver_view(struct sync_app *app, struct sync_view *view)
{
    const struct sync_seat *seat = view->user;
    struct sync_client *client = seat ? seat->clients : NULL;
    if (!client || view->state != SYNC_VIEW_LIVE)
        return;
    if (!client->beside && !sync_client_follows(client))
        return;
    struct sync_delta *delta = sync_fold_delta(&app->core, view, &app->folded);
    if (!delta) {
        want_fulls(client);
    } else if (client->beside) {
        deliver_to_several(app, view, delta, client);
    } else if (!sync_owing_takes_all(client, delta)) {
        if (deliver_part(client, view, delta) && sync_client_follows(client))
            sync_encode_told(&app->core, view);
    } else if (sync_encode_part(&app->encoder, &app->core, view, delta, 0, client->encoding,
                                client->updated_tick)) {
        sync_encode_told(&app->core, view);
        send_messages(client);
    } else {
        sync_fulls_want(client);
    }
}

static void touch_dirty_holdings(struct sync_app *app)
{
    if (!app->production_dirty)
        return;
    app->production_dirty = false;
    for (size_t i = 0; i < app->core.views.count; i++) {
        struct sync_view *view = app->core.views.items[i];
        if (!view || view->state != SYNC_VIEW_LIVE)
            continue;
        const struct sync_holding *holding = sync_core_holding(&app->core, view);
        if (holding && holding->dirty)
            sync_core_touch(&app->core, view);
    }
}

// Who was told nothing for long is told the tick. Most clients are told something in every tick:
// a quarter of them is looked at in each, and in one that tells several, those of all of these.
void sync_updates_tell_idle(struct sync_app *app)
{
    enum { PARTS = 4 };
    uint64_t tick = app->core.mirror.tick;
    uint64_t passed = tick == app->idle_tick ? 1 : tick - app->idle_tick;
    app->idle_tick = tick;
    for (size_t i = app->clients.count; i-- > 0;) {
        if (i >= app->clients.count || (tick - i) % PARTS >= passed)
            continue;
        struct sync_client *client = app->clients.items[i];
        app->fulls_wanted |= sync_client_is_unsettled(client);
        if (!sync_client_follows(client) ||
            tick + PARTS <= client->updated_tick + SYNC_IDLE_TICKS ||
            client->seat->view->state != SYNC_VIEW_LIVE)
            continue;
        if (sync_encode_idle(&app->encoder, &app->core, sync_owing_left(client), client->encoding,
                             client->updated_tick))
            send_messages(client);
    }
    flush_burst(app);
}

// Of thousands of views, seats and clients nothing is in the caches when its turn comes: each is
// asked for some turns ahead, one link after the other.
static void ask_ahead(const struct sync_app *app, size_t i)
{
    enum { VIEW = 12, SEAT = 8, CLIENT = 4 };
    struct sync_view *const *touched = app->core.touched.items;
    if (i >= VIEW)
        sync_view_ask(touched[i - VIEW]);
    if (i >= SEAT) {
        mm_prefetch(touched[i - SEAT]->user);
        sync_delta_ask(&touched[i - SEAT]->delta);
    }
    if (i < CLIENT)
        return;
    const struct sync_seat *seat = touched[i - CLIENT]->user;
    if (seat && seat->clients)
        mm_prefetch_block(seat->clients, SYNC_CLIENT_HOT_BYTES);
    sync_encode_ask(&app->encoder, &app->core, touched[i - CLIENT]);
}

static void deliver_views(struct sync_app *app)
{
    app->flushed_ns = mm_clock_ns();
    sync_core_order_touched(&app->core);
    // Backwards: a client that dies takes its view out of the list, and the last one moves up.
    for (size_t i = app->core.touched.count; i-- > 0;) {
        if (i >= app->core.touched.count)
            continue;
        ask_ahead(app, i);
        deliver_view(app, app->core.touched.items[i]);
    }
    flush_burst(app);
}

void sync_updates_tell(struct sync_app *app)
{
    sync_fold_release(&app->core);
    touch_dirty_holdings(app);
    sync_owing_touch(app);
    deliver_views(app);
}

// The tick is told together with those that wait, but for what cannot wait.
void sync_updates_hold(struct sync_app *app)
{
    mm_counter_add(app->metrics.folded, 1);
    sync_fold_hold(&app->core);
    if (app->core.touched.count > 0)
        deliver_views(app);
}
