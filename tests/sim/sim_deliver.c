#include "tests/sim/sim_internal.h"

#include <stdlib.h>
#include <string.h>

// What sync tells its clients, as services/sync/updates.c, fulls.c and owing.c do it: deltas to
// those who keep up, several of a player's in one message, a part of them to those who may not be
// sent more, the difference to those who were away or did not read, full states to all others.

enum { IDLE_TICKS = 20, ROUND_MS = 50 };

static const struct sync_priorities priorities = {{5, 15, 40}};

// --- budgets -------------------------------------------------------------------------------------

static uint64_t now_ms(const struct sim *sim)
{
    return sim->round * ROUND_MS;
}

static uint32_t rate_of(const struct sim *sim, const struct sim_client *client)
{
    return sim->calm ? 100 * client->bytes_per_second : client->bytes_per_second;
}

static int64_t bytes_left(const struct sim *sim, struct sim_client *client)
{
    return sync_budget_left(&client->budget, rate_of(sim, client), client->bytes_carried,
                            client->sent, now_ms(sim));
}

static void owing_begin(const struct sim *sim, struct sim_client *client)
{
    if (!client->overflowed)
        client->budget = sync_budget_full(client->bytes_carried, client->sent, now_ms(sim));
    client->overflowed = false;
}

void sim_owing_forget(struct sim_client *client)
{
    sync_backlog_free(client->backlog);
    client->backlog = NULL;
}

static size_t owing_left(const struct sim_client *client)
{
    return client->backlog ? sync_backlog_left(client->backlog) : 0;
}

static bool takes_all(const struct sim *sim, struct sim_client *client,
                      const struct sync_delta *delta)
{
    if (client->bytes_per_second == 0)
        return true;
    int64_t left = bytes_left(sim, client);
    return !client->backlog && (sync_delta_bytes_most(delta) <= left ||
                                sync_delta_bytes(delta, client->encoding) <= left);
}

static bool encode_part(struct sim *sim, struct sim_client *client, struct sync_view *view)
{
    struct sim_sync *sync = &sim->sync;
    struct sync_take take = {client->encoding, client->budget.level_milli / 1000, &priorities,
                             NULL};
    if (!client->backlog)
        client->backlog = sync_backlog_new();
    bool ok = !view->delta.full && client->backlog &&
              sync_backlog_merge(client->backlog, &sync->core, &view->delta);
    if (ok)
        sync_backlog_take(client->backlog, &sync->core, view, &take, &sync->part);
    size_t left = ok ? sync_backlog_left(client->backlog) : 0;
    ok = ok && sync_encode_part(&sync->encoder, &sync->core, view, &sync->part, left,
                                client->encoding, client->updated_tick);
    if (!ok)
        client->overflowed = !view->delta.full;
    sim->report->deferrals += left > 0;
    if (!ok || left == 0 || sim->options.fault == SIM_FAULT_OWED_FORGOTTEN)
        sim_owing_forget(client);
    return ok;
}

// --- updates -------------------------------------------------------------------------------------

// It has been told everything once, and takes every update.
static bool follows(const struct sim_client *client)
{
    return client->state == SIM_PLAYING && !client->behind && !client->full.active;
}

static void updated(const struct sim *sim, struct sim_client *client)
{
    client->updated_tick = sim->sync.core.mirror.tick;
    if (owing_left(client) == 0)
        client->settled_tick = client->updated_tick;
}

static void take_encoded(struct sim *sim, struct sim_client *client)
{
    const struct sync_encoder *e = &sim->sync.encoder;
    if (e->messages.count == 0)
        return;
    if (client->blocked > 0) {
        client->behind = true; // its socket is full: none of this goes out
        sim_owing_forget(client);
        return;
    }
    for (size_t m = 0; m < e->messages.count && !sim_failed(sim); m++)
        sim_wire_message(sim, client, &e->messages.items[m]);
    updated(sim, client);
}

// And takes all of this one.
static bool follows_in(const struct sim_client *client, enum sync_encoding encoding)
{
    return follows(client) && client->encoding == encoding && !client->parted;
}

// Of several clients who are told in one binary message, but were not told the same tick last, each
// is led to this one. The tick they were told last; *any: there are some.
static uint64_t align(struct sim *sim, const struct sim_seat *seat, enum sync_encoding encoding,
                      bool *any)
{
    struct sim_sync *sync = &sim->sync;
    uint64_t told_tick = 0;
    bool same = true;
    *any = false;
    for (struct sim_client *c = sim_seat_next(sim, seat, NULL); c;
         c = sim_seat_next(sim, seat, c)) {
        if (!follows_in(c, encoding))
            continue;
        same &= !*any || c->updated_tick == told_tick;
        told_tick = c->updated_tick;
        *any = true;
    }
    if (same || encoding == SYNC_JSON || sim->options.fault == SIM_FAULT_NOT_ALIGNED)
        return told_tick;
    *any = false;
    for (struct sim_client *c = sim_seat_next(sim, seat, NULL); c;
         c = sim_seat_next(sim, seat, c)) {
        if (!follows_in(c, encoding))
            continue;
        c->trail.aligned = true;
        sim->report->aligned++;
        if (sync_encode_idle(&sync->encoder, &sync->core, 0, encoding, c->updated_tick))
            take_encoded(sim, c);
        if (!sim->calm && sim_chance(sim, 5000)) // just before what it was led there for
            sim_sync_break(sim, c, 1);
        *any |= follows_in(c, encoding);
    }
    return sync->core.mirror.tick;
}

// The same delta for all of a seat's clients in one encoding. False: they need a full state.
static bool deliver_shared(struct sim *sim, const struct sim_seat *seat,
                           enum sync_encoding encoding)
{
    struct sim_sync *sync = &sim->sync;
    bool any = false;
    uint64_t told_tick = align(sim, seat, encoding, &any);
    if (!any)
        return true;
    if (!sync_encode_delta(&sync->encoder, &sync->core, seat->view, encoding, told_tick))
        return false;
    for (struct sim_client *c = sim_seat_next(sim, seat, NULL); c; c = sim_seat_next(sim, seat, c))
        if (follows_in(c, encoding))
            take_encoded(sim, c);
    return true;
}

static void deliver_part(struct sim *sim, struct sim_client *client, struct sync_view *view)
{
    if (encode_part(sim, client, view))
        take_encoded(sim, client);
    else
        client->full = (struct sync_full){.active = true};
}

static void deliver_to_several(struct sim *sim, const struct sim_seat *seat)
{
    struct sim_client *c;
    unsigned told = 0;
    for (c = sim_seat_next(sim, seat, NULL); c; c = sim_seat_next(sim, seat, c)) {
        c->parted = follows(c) && !takes_all(sim, c, &seat->view->delta);
        told += follows(c);
    }
    sim->report->beside += told > 1;
    bool ok = deliver_shared(sim, seat, SYNC_BINARY) && deliver_shared(sim, seat, SYNC_JSON);
    bool any = false;
    for (c = sim_seat_next(sim, seat, NULL); c; c = sim_seat_next(sim, seat, c)) {
        if (!ok)
            c->full = (struct sync_full){.active = true};
        else if (c->parted && follows(c))
            deliver_part(sim, c, seat->view);
        any |= follows(c);
    }
    if (ok && any)
        sync_encode_told(&sim->sync.core, seat->view);
}

static void deliver_view(struct sim *sim, struct sync_view *view)
{
    const struct sim_seat *seat = view->user;
    struct sim_client *client = sim_seat_next(sim, seat, NULL);
    struct sim_sync *sync = &sim->sync;
    if (!client || view->state != SYNC_VIEW_LIVE)
        return;
    if (sim_seat_next(sim, seat, client)) {
        deliver_to_several(sim, seat);
        return;
    }
    if (!follows(client))
        return;
    if (!takes_all(sim, client, &view->delta)) {
        deliver_part(sim, client, view);
        if (follows(client))
            sync_encode_told(&sync->core, view);
    } else if (sync_encode_view(&sync->encoder, &sync->core, view, client->encoding,
                                client->updated_tick)) {
        take_encoded(sim, client);
    } else {
        client->full = (struct sync_full){.active = true};
    }
}

static void deliver_idle(struct sim *sim, struct sim_client *client)
{
    struct sim_sync *sync = &sim->sync;
    if (follows(client) && sync->core.mirror.tick >= client->updated_tick + IDLE_TICKS &&
        sync_encode_idle(&sync->encoder, &sync->core, owing_left(client), client->encoding,
                         client->updated_tick))
        take_encoded(sim, client);
}

static bool others_follow(struct sim *sim, const struct sim_client *client)
{
    const struct sim_seat *seat = sim_seat_of(sim, client);
    for (const struct sim_client *c = sim_seat_next(sim, seat, NULL); c;
         c = sim_seat_next(sim, seat, c))
        if (c != client && follows(c))
            return sim->options.fault != SIM_FAULT_OTHERS_FORGOTTEN;
    return false;
}

static void deliver_full(struct sim *sim, struct sim_client *client)
{
    struct sync_core *core = &sim->sync.core;
    struct mm_buf *out = &sim->sync.out;
    const struct sim_seat *seat = sim_seat_of(sim, client);
    sim_owing_forget(client);
    client->trail.first_tick = 0; // what it knew no longer counts
    client->full.beside = others_follow(sim, client);
    mm_buf_reset(out);
    size_t bytes = 2000 + sim_below(sim, 30000);
    if (sync_encode_full(core, seat->view, client->encoding, &client->full, bytes, out) != MM_OK) {
        sim_fail(sim, "sync cannot encode a full state");
        return;
    }
    for (size_t at = 0; at < out->len && !sim_failed(sim);) {
        uint32_t len;
        memcpy(&len, out->data + at, 4);
        sim_wire_bytes(sim, client, out->data + at + 4, len);
        at += 4 + (size_t)len;
    }
    if (client->full.active)
        return;
    sim->report->fulls++;
    owing_begin(sim, client);
    sim_trail_told_all(sim, client);
    updated(sim, client);
}

// --- going on where one stopped ------------------------------------------------------------------

static void play(struct sim *sim, struct sim_client *client)
{
    client->state = SIM_PLAYING;
    client->resuming = sim_trail_resume(sim, client);
    client->full = (struct sync_full){.active = !client->resuming};
    client->behind = client->catch_up = client->overflowed = false;
    sim->report->resumed += client->resuming;
    sim->report->resumed_binary += client->resuming && client->encoding == SYNC_BINARY;
    sim->report->not_resumed += !client->resuming && client->player.token != 0;
    sim->report->resumed_beside += client->resuming && others_follow(sim, client);
    if (!client->resuming) {
        client->trail = (struct sim_trail){.secret = ++sim->calls};
        client->updated_tick = 0;
    }
    if (sim_wire_arrives(client))
        sim_player_welcome(&client->player, client->trail.secret, client->resuming);
}

static void deliver_difference(struct sim *sim, struct sim_client *client)
{
    struct sim_sync *sync = &sim->sync;
    bool beside = others_follow(sim, client);
    if (client->resuming)
        owing_begin(sim, client);
    client->resuming = client->catch_up = false;
    client->full.active = false;
    sim_wire_bytes(sim, client, sync->out.data, sync->out.len);
    if (sync_resume_encode(&sync->encoder, &sync->core, sim_seat_of(sim, client)->view,
                           client->encoding, beside, &sync->news))
        take_encoded(sim, client);
    else
        client->full = (struct sync_full){.active = true};
}

// --- against the truth ---------------------------------------------------------------------------

static void compare(struct sim *sim, struct sim_client *client)
{
    const struct sim_player *player = &client->player;
    const struct sim_moment *moment = sim_moment(sim, sim->sync.core.mirror.tick);
    uint64_t epoch = sim_seat_of(sim, client)->view->epoch;
    if (player->last_tick != client->updated_tick)
        sim_fail(sim, "a player is at tick %llu, and was told of tick %llu",
                 (unsigned long long)player->last_tick, (unsigned long long)client->updated_tick);
    // Vision forgot in a crash what this view, of its former life, still shows.
    if (epoch >= sim->lineage_of_epoch.count ||
        (moment->lineage && sim->lineage_of_epoch.items[epoch] != moment->lineage))
        return;
    if (moment->tick != sim->sync.core.mirror.tick || !moment->lineage) {
        sim_fail(sim, "a player is shown tick %llu, which vision has not seen",
                 (unsigned long long)sim->sync.core.mirror.tick);
        return;
    }
    if (owing_left(client) > 0) {
        sim_player_compare_part(sim, player, moment, owing_left(client));
        return;
    }
    sim_player_compare(sim, player, moment);
    sim->report->compared_binary += client->encoding == SYNC_BINARY;
    sim->report->compared_parted += sim->parts;
    sim->report->compared_beside += others_follow(sim, client);
    const struct sync_holding *holding = sync_stock_holding(&sim->sync.core.stock, player->empire);
    if (holding && !holding->dirty && sim->sync.stock_epoch)
        sim_player_compare_stock(sim, player);
}

static void deliver_client(struct sim *sim, struct sim_client *client)
{
    const struct sync_view *view = sim_seat_of(sim, client)->view;
    if (!view || view->state != SYNC_VIEW_LIVE)
        return;
    deliver_idle(sim, client);
    if (client->state == SIM_LOOKING && sim->sync.core.mirror.tick >= client->tick_min)
        play(sim, client);
    if (client->state != SIM_PLAYING)
        return;
    if (client->behind && client->blocked == 0) {
        client->behind = false;
        client->catch_up = true;
        client->full = (struct sync_full){.active = true};
    }
    if (client->resuming || (client->catch_up && sim_trail_catch_up(sim, client)))
        deliver_difference(sim, client);
    client->catch_up = false;
    if (client->full.active && client->blocked == 0 &&
        (!client->overflowed || bytes_left(sim, client) > 0))
        deliver_full(sim, client);
    if (follows(client) && client->blocked == 0 && !client->breaking && !sim_failed(sim))
        compare(sim, client);
}

// Everything again; not while it is being told already.
void sim_deliver_again(struct sim *sim, struct sim_client *client)
{
    if (!follows(client))
        return;
    client->full = (struct sync_full){.active = true};
    sim->report->agains++;
    deliver_client(sim, client);
}

// --- a step --------------------------------------------------------------------------------------

// News of production go out with the next tick, and what is owed with every tick.
static void touch(struct sim *sim)
{
    struct sync_core *core = &sim->sync.core;
    for (size_t i = 0; i < core->views.count; i++) {
        struct sync_view *view = core->views.items[i];
        if (!view || view->state != SYNC_VIEW_LIVE)
            continue;
        const struct sync_holding *holding = sync_stock_holding(&core->stock, view->empire);
        bool owed = false;
        for (const struct sim_client *c = sim_seat_next(sim, view->user, NULL); c;
             c = sim_seat_next(sim, view->user, c))
            owed |= c->backlog != NULL;
        if ((holding && holding->dirty) || owed)
            sync_core_touch(core, view);
    }
}

void sim_deliver_step(struct sim *sim)
{
    struct sync_core *core = &sim->sync.core;
    touch(sim);
    for (size_t i = 0; i < core->touched.count && !sim_failed(sim); i++)
        deliver_view(sim, core->touched.items[i]);
    for (size_t i = 0; i < SIM_CLIENTS && !sim_failed(sim); i++)
        deliver_client(sim, &sim->clients[i]);
}
