#include <inttypes.h>
#include <string.h>

#include "libcommon/base/buf_json.h"
#include "libcommon/base/clock.h"
#include "libcommon/base/log.h"
#include "libcommon/base/prefetch.h"
#include "services/sync/app.h"
#include "services/sync/core/encode.h"
#include "services/sync/core/fold.h"

// The tick's way out: the core is stepped, what changed is encoded once and sent to whom it
// concerns. A client whose socket is full skips updates; when it has drained it is told everything.

void sync_deliver_soon(struct sync_app *app)
{
    mm_loop_defer(app->loop, &app->deliver_task);
}

// --- the session's state -------------------------------------------------------------------------

static bool is_stalled(const struct sync_app *app)
{
    return mm_loop_now_ns(app->loop) - app->stepped_ns >= MM_LOOP_MS(SYNC_STALL_MS);
}

static uint32_t state_now(const struct sync_app *app)
{
    uint32_t state = app->core.mirror.state;
    // Without ticks nothing moves, whoever is to blame.
    if (state == MMORTS__FRAME__SESSION_STATE__SESSION_STATE_RUNNING && is_stalled(app))
        return MMORTS__FRAME__SESSION_STATE__SESSION_STATE_PAUSED;
    return state;
}

static const char *state_name(uint32_t state)
{
    switch (state) {
    case MMORTS__FRAME__SESSION_STATE__SESSION_STATE_RUNNING:
        return "running";
    case MMORTS__FRAME__SESSION_STATE__SESSION_STATE_STOPPING:
        return "stopping";
    default:
        return "paused";
    }
}

void sync_write_status(struct sync_app *app, struct mm_buf *out)
{
    size_t players = sync_roster_count(app);
    uint64_t tick = app->core.mirror.tick;
    uint32_t rate = app->core.mirror.catalogue.tick_rate_hz;
    mm_buf_printf(out,
                  "{\"state\":\"%s\",\"player_count\":%zu,\"max_players\":%" PRId64
                  ",\"server_tick\":%" PRIu64 ",\"uptime\":%" PRIu64 "}",
                  state_name(state_now(app)), players, app->settings.clients_max, tick,
                  rate ? tick / rate : 0);
}

static void write_status_message(struct sync_app *app)
{
    mm_buf_reset(&app->scratch);
    MM_BUF_LIT(&app->scratch, "{\"type\":\"session_status\",\"payload\":");
    sync_write_status(app, &app->scratch);
    mm_buf_byte(&app->scratch, '}');
}

void sync_deliver_status_to(struct sync_client *client)
{
    write_status_message(client->app);
    sync_client_send(client, &client->app->scratch);
}

void sync_deliver_status(struct sync_app *app)
{
    uint32_t state = state_now(app);
    if (state == app->session_state)
        return;
    app->session_state = state;
    write_status_message(app);
    sync_talk_broadcast(app, &app->scratch);
    MM_LOG_INFO("session state", "state=%s tick=%" PRIu64, state_name(state),
                app->core.mirror.tick);
}

// --- updates -------------------------------------------------------------------------------------

static void updated(struct sync_client *client)
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
        updated(client);
    }
    if (!in_burst)
        sync_client_watch(client);
}

// It has been told everything once, and takes every update.
static bool follows(const struct sync_client *client)
{
    return client->state == SYNC_CLIENT_PLAYING && !client->behind && !client->full.active;
}

// And takes all of this one.
static bool follows_in(const struct sync_client *client, enum sync_encoding encoding)
{
    return follows(client) && client->encoding == encoding && !client->parted;
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

static void want_full(struct sync_client *client)
{
    client->full = (struct sync_full){.active = true};
    client->app->fulls_wanted = true;
}

// What the client's budget allows. False: it needs a full state.
static bool deliver_part(struct sync_client *client, struct sync_view *view,
                         const struct sync_delta *delta)
{
    bool ok = sync_owing_encode(client, view, delta);
    if (ok)
        send_messages(client);
    else
        want_full(client);
    return ok;
}

static void deliver_to_several(struct sync_app *app, struct sync_view *view,
                               struct sync_delta *delta, struct sync_client *first)
{
    for (struct sync_client *c = first; c; c = c->beside)
        c->parted = follows(c) && !sync_owing_takes_all(c, delta);
    bool ok = deliver_shared(app, view, delta, first, SYNC_BINARY) &&
              deliver_shared(app, view, delta, first, SYNC_JSON);
    bool any = false;
    for (struct sync_client *c = first; c; c = c->beside) {
        if (!ok)
            want_full(c);
        else if (c->parted && follows(c))
            (void)deliver_part(c, view, delta);
        any |= follows(c);
    }
    if (ok && any)
        sync_encode_told(&app->core, view);
}

// All that follow: what they would have to be told is not known any more.
static void want_fulls(struct sync_client *first)
{
    for (struct sync_client *c = first; c; c = c->beside)
        if (follows(c))
            want_full(c);
}

static void deliver_view(struct sync_app *app, struct sync_view *view)
{
    const struct sync_seat *seat = view->user;
    struct sync_client *client = seat ? seat->clients : NULL;
    if (!client || view->state != SYNC_VIEW_LIVE)
        return;
    if (!client->beside && !follows(client))
        return;
    struct sync_delta *delta = sync_fold_delta(&app->core, view, &app->folded);
    if (!delta) {
        want_fulls(client);
    } else if (client->beside) {
        deliver_to_several(app, view, delta, client);
    } else if (!sync_owing_takes_all(client, delta)) {
        if (deliver_part(client, view, delta) && follows(client))
            sync_encode_told(&app->core, view);
    } else if (sync_encode_part(&app->encoder, &app->core, view, delta, 0, client->encoding,
                                client->updated_tick)) {
        sync_encode_told(&app->core, view);
        send_messages(client);
    } else {
        want_full(client);
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

// It waits for its view, or to be told more than the tick's news.
static bool is_unsettled(const struct sync_client *client)
{
    return client->state == SYNC_CLIENT_LOOKING ||
           (client->state == SYNC_CLIENT_PLAYING &&
            (client->full.active || client->resuming || client->catch_up));
}

// Who was told nothing for long is told the tick. Most clients are told something in every tick:
// a quarter of them is looked at in each, and in one that tells several, those of all of these.
static void deliver_idle(struct sync_app *app)
{
    enum { PARTS = 4 };
    uint64_t tick = app->core.mirror.tick;
    uint64_t passed = tick == app->idle_tick ? 1 : tick - app->idle_tick;
    app->idle_tick = tick;
    for (size_t i = app->clients.count; i-- > 0;) {
        if (i >= app->clients.count || (tick - i) % PARTS >= passed)
            continue;
        struct sync_client *client = app->clients.items[i];
        app->fulls_wanted |= is_unsettled(client);
        if (!follows(client) || tick + PARTS <= client->updated_tick + SYNC_IDLE_TICKS ||
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

static void deliver_touched(struct sync_app *app)
{
    sync_fold_release(&app->core);
    touch_dirty_holdings(app);
    sync_owing_touch(app);
    deliver_views(app);
}

// The tick is told together with those that wait, but for what cannot wait.
static void hold_touched(struct sync_app *app)
{
    mm_counter_add(app->metrics.folded, 1);
    sync_fold_hold(&app->core);
    if (app->core.touched.count > 0)
        deliver_views(app);
}

// --- full states ---------------------------------------------------------------------------------

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
        client->full.beside |= follows(c);
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
            updated(client);
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
        beside |= c != client && follows(c);
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
        want_full(client);
        return;
    }
    send_messages(client);
    flush_burst(app);
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
static void deliver_fulls(struct sync_app *app)
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
        app->fulls_wanted |= is_unsettled(client) || (client->state == SYNC_CLIENT_PLAYING &&
                                                      client->map_version != version);
    }
}

// --- the turn ------------------------------------------------------------------------------------

// The world began anew at an older tick: nothing that clients know has a meaning there.
static void close_all(struct sync_app *app)
{
    MM_LOG_WARN("world went back; clients are sent away", "tick=%" PRIu64, app->core.mirror.tick);
    for (size_t i = app->clients.count; i-- > 0;) {
        if (i < app->clients.count)
            sync_client_close(app->clients.items[i], SYNC_WS_RESTART, "restart", NULL);
    }
    app->core.rewound = false;
    app->core.told_tick = 0;
}

// The next tick is there, and it is too early to tell it.
static bool is_early(struct sync_app *app)
{
    struct sync_core *core = &app->core;
    uint64_t tick = sync_core_next(core, core->mirror.tick);
    if (tick == 0)
        return false;
    uint64_t now_ns = mm_clock_ns();
    if (tick != app->pace.tick) {
        app->tell_ns = sync_pace_take(&app->pace, tick, now_ns, sync_tick_ns(app),
                                      MM_LOOP_MS((uint64_t)app->settings.even_ms));
        mm_metrics_observe(app->metrics.wait_time, (app->tell_ns - now_ns) / 1000);
    }
    if (now_ns >= app->tell_ns || sync_core_next(core, tick) != 0) // we are behind
        return false;
    mm_loop_timer_start_at(app->loop, &app->pacer, app->tell_ns, 0);
    return true;
}

// How many of the ticks that wait are told as one; 0: each is told by itself. One tick more than
// there should be is a hiccup, which clients need not notice; but whoever has just folded some and
// again finds more than one cannot keep up.
static uint64_t ticks_to_fold(struct sync_app *app)
{
    uint64_t waiting = sync_core_waiting(&app->core);
    if (waiting == 0)
        return 0;
    app->folding = waiting >= (app->folding ? SYNC_FOLD_ON_TICKS : SYNC_FOLD_TICKS);
    return app->folding ? waiting : 0;
}

void sync_deliver(struct mm_loop *loop, void *arg)
{
    struct sync_app *app = arg;
    if (app->core.rewound)
        close_all(app);
    bool ticked = false;
    uint64_t fold_until = app->core.mirror.tick + ticks_to_fold(app);
    for (unsigned steps = 0; app->core.mirror.tick < fold_until || !is_early(app); steps++) {
        if (steps == SYNC_STEPS_PER_TURN) {
            sync_deliver_soon(app);
            break;
        }
        uint64_t begin_ns = mm_clock_ns();
        uint64_t tick = app->core.mirror.tick;
        enum sync_step step = sync_core_step(&app->core);
        if (step == SYNC_STEP_FAILED) {
            MM_LOG_ERROR("out of memory for the world");
            mm_service_quit(app->service, 1);
            return;
        }
        uint64_t stepped_ns = mm_clock_ns();
        // A mirror that follows world without vision moves nobody's picture.
        if (app->core.mirror.tick != tick &&
            (app->core.live_count > 0 || app->core.view_count == 0))
            app->stepped_ns = mm_loop_now_ns(loop);
        if (step == SYNC_STEP_NONE) {
            // News of production wait for the next tick, unless there is none.
            if (app->production_dirty &&
                mm_loop_now_ns(loop) - app->stepped_ns >= MM_LOOP_MS(SYNC_NEWS_MS))
                deliver_touched(app);
            break;
        }
        mm_metrics_observe(app->metrics.step_time, (stepped_ns - begin_ns) / 1000);
        ticked = true;
        if (app->core.mirror.tick < fold_until) {
            hold_touched(app);
            continue;
        }
        deliver_touched(app);
        deliver_idle(app);
        mm_metrics_observe(app->metrics.deliver_time, (mm_clock_ns() - stepped_ns) / 1000);
    }
    // The steps may have ended before the last tick that was to be told with the others.
    if (app->core.held_count > 0)
        deliver_touched(app);
    sync_deliver_status(app);
    if (ticked)
        sync_clients_release(app);
    sync_serving_tell(app);
    sync_seats_ask(app);
    sync_feeds_check(app);
    deliver_fulls(app);
}
