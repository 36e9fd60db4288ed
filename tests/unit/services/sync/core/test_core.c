#include "services/sync/core/backlog.h"
#include "services/sync/core/core.h"
#include "services/sync/core/fold.h"
#include "services/sync/core/resume.h"
#include "services/sync/core/update.h"
#include "tests/support/sync_player.h"
#include "tests/support/sync_world.h"
#include "tests/support/wire_json.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The core between a random world and clients, half of them of the binary encoding, that compare
// all they show with the truth, tick by tick, while frames are late or lost, vision and world start
// again, answers come too early or too late, and sockets are full; or while they may be told but a
// few bytes a tick.

enum {
    QUEUE = 64,
    STALL_ROUNDS = 40,
    SHARED = 2, // so many empires have several clients, who share their view
    BESIDE = 2, // so many beside the first
    CLIENTS = SYNC_WORLD_EMPIRES + SHARED * BESIDE,
};

struct delayed {
    uint64_t due; // round in which it arrives
    void *frame;
    uint64_t epoch;
    bool snapshot;
    uint32_t empire;
};

struct queue {
    struct delayed items[QUEUE];
    size_t count;
};

// How rough the world treats the core; chances are per 1000 rounds.
struct weather {
    unsigned activity;
    unsigned world_delay, vision_delay, answer_delay; // rounds at most
    unsigned vision_lost, vision_epoch, world_restart, slow, rejoin, vision_away;
    unsigned bytes;               // about so many may be told to a client in a tick; 0: everything
    unsigned cut;                 // connections that break
    bool cut_first;               // those of players with one break once, behind the full state
    bool shifty;                  // sync_world.h
    unsigned history_ticks, away; // the log's length; rounds until a broken one comes back
    size_t history_bytes;
    unsigned stall; // that the process stands still for up to STALL_ROUNDS
    bool fold;      // ticks that wait are told as one
};

struct client {
    uint32_t empire;
    enum sync_encoding encoding;
    struct sync_player *player;
    struct wire_json *wire; // binary
    uint64_t told_tick;
    struct sync_view *view;
    struct sync_full full;
    bool asked;
    bool behind;      // skipped updates
    unsigned blocked; // rounds for which its socket is full
    bool budgeted;    // may be told but a few bytes
    struct sync_backlog *backlog;
    unsigned cut_in; // so many messages until its connection breaks; 0: it holds
    bool lost;       // it broke: nothing arrives
    uint64_t back;   // round in which it comes back
    struct sync_place_in_stream place;
    uint64_t first_tick; // since when it follows; 0: it has not been told everything yet
    bool aligned;        // of a tick it may have been told nothing but the number
    uint64_t compared;
};

struct rig {
    struct weather weather;
    struct sync_world *world;
    struct sync_core core;
    struct sync_encoder encoder;
    struct mm_buf out;
    struct queue ticks, visions, answers;
    uint64_t round, epoch, vision_away_until;
    // The first one of each empire, then those beside the first empire's, and so on.
    struct client clients[CLIENTS];
    struct sync_delta part; // of a view's delta, for who is not told all of it
    struct sync_delta news, folded;
    size_t fulls, shared, deferrals;
    size_t folds, folds_lost; // views told of several ticks, or of everything instead
    size_t held, told_early;  // ticks; views that were not held in them
    size_t resumed, needless; // full states though the log reaches back
};

static void push(struct rig *rig, struct queue *queue, void *frame, unsigned delay, uint64_t epoch,
                 bool snapshot, uint32_t empire)
{
    cr_assert(queue->count < QUEUE);
    uint64_t due = rig->round + (delay ? mm_rng_below(&rig->world->rng, delay + 1) : 0);
    // A stream keeps its order, whatever the delays.
    if (queue->count > 0 && queue != &rig->answers && due < queue->items[queue->count - 1].due)
        due = queue->items[queue->count - 1].due;
    queue->items[queue->count++] = (struct delayed){due, frame, epoch, snapshot, empire};
}

static bool pop(struct rig *rig, struct queue *queue, struct delayed *out)
{
    for (size_t i = 0; i < queue->count; i++) {
        if (queue->items[i].due > rig->round)
            continue;
        *out = queue->items[i];
        memmove(&queue->items[i], &queue->items[i + 1],
                (queue->count - i - 1) * sizeof *queue->items);
        queue->count--;
        return true;
    }
    return false;
}

static bool chance(struct rig *rig, unsigned permille)
{
    return mm_rng_chance(&rig->world->rng, permille, 1000);
}

// --- clients -------------------------------------------------------------------------------------

static void check(struct rig *rig, struct client *client)
{
    const char *fault = sync_player_fault(client->player);
    cr_assert_null(fault, "empire %u, round %llu, tick %llu: %s", client->empire,
                   (unsigned long long)rig->round, (unsigned long long)rig->core.mirror.tick,
                   fault ? fault : "");
}

static void take(struct client *client, const uint8_t *data, size_t len)
{
    if (client->cut_in > 0 && --client->cut_in == 0)
        client->lost = true;
    if (client->lost)
        return;
    if (client->encoding == SYNC_JSON) {
        sync_player_take(client->player, (const char *)data, len);
        return;
    }
    const char *text = wire_json_take(client->wire, data, len);
    cr_assert_not_null(text, "empire %u: %s", client->empire, wire_json_fault(client->wire));
    sync_player_take(client->player, text, strlen(text));
}

static void told(struct rig *rig, struct client *client)
{
    uint64_t tick = rig->core.mirror.tick;
    client->told_tick = tick;
    client->place = (struct sync_place_in_stream){
        {tick, tick}, client->view->generation, client->view->names_epoch};
}

static void take_encoded(struct rig *rig, struct client *client)
{
    const struct sync_encoder *e = &rig->encoder;
    for (size_t m = 0; m < e->messages.count; m++) {
        const struct sync_message *message = &e->messages.items[m];
        uint8_t *text = malloc(message->bytes + 1);
        size_t len = 0;
        for (size_t i = 0; i < message->slice_count; i++) {
            const struct sync_slice *slice = &e->slices.items[message->slice + i];
            memcpy(text + len, e->buf.data + slice->offset, slice->len);
            len += slice->len;
        }
        cr_assert_eq(len, message->bytes);
        take(client, text, len);
        free(text);
    }
    if (e->messages.count > 0)
        told(rig, client);
}

static void compare(struct rig *rig, struct client *client)
{
    const struct sync_world_truth *truth = sync_world_at(rig->world, rig->core.mirror.tick);
    cr_assert_not_null(truth);
    sync_player_compare(client->player, truth);
    client->compared++;
    check(rig, client);
}

static size_t client_count(const struct sync_view *view)
{
    return view->empire <= SHARED ? 1 + BESIDE : 1;
}

// The k-th client of the view's empire.
static struct client *beside(struct rig *rig, const struct sync_view *view, size_t k)
{
    size_t at = view->empire - 1;
    return &rig->clients[k == 0 ? at : SYNC_WORLD_EMPIRES + BESIDE * at + k - 1];
}

static void forget_backlog(struct client *client)
{
    sync_backlog_free(client->backlog);
    client->backlog = NULL;
}

// It has been told everything once, and takes every update.
static bool follows(const struct client *client)
{
    return !client->behind && !client->full.active;
}

static bool is_told_all(const struct client *client, enum sync_encoding encoding)
{
    return follows(client) && !client->budgeted && client->encoding == encoding;
}

static bool has_others(struct rig *rig, const struct client *client)
{
    bool any = false;
    for (size_t k = 0; k < client_count(client->view); k++) {
        const struct client *other = beside(rig, client->view, k);
        any |= other != client && follows(other);
    }
    return any;
}

// The client is told what changed since its place, if it can be.
static void resume(struct rig *rig, struct client *client)
{
    client->behind = false;
    forget_backlog(client);
    mm_buf_reset(&rig->out);
    bool possible = client->first_tick != 0 && client->place.position.tick >= client->first_tick &&
                    sync_resume_possible(&rig->core, client->view, &client->place);
    if (!possible || !sync_resume_begin(&rig->core, client->view, client->encoding, &client->place,
                                        &rig->out, &rig->news)) {
        client->full = (struct sync_full){.active = true};
        rig->needless += possible;
        return;
    }
    take(client, rig->out.data, rig->out.len);
    cr_assert(sync_resume_encode(&rig->encoder, &rig->core, client->view, client->encoding,
                                 has_others(rig, client), &rig->news));
    take_encoded(rig, client);
    check(rig, client);
    rig->resumed++;
}

// A connection broke and the server did not notice at once; now the client is there again.
static void come_back(struct rig *rig, struct client *client)
{
    client->lost = false;
    client->full.active = false;
    uint64_t tick = sync_player_position(client->player);
    uint64_t settled = sync_player_settled(client->player);
    if (client->aligned && settled == tick)
        settled--;
    client->place.position = (struct sync_position){settled, tick};
    resume(rig, client);
}

// As the shell does for several clients of a view: encoded once for each encoding, then told.
static bool deliver_encoding(struct rig *rig, struct sync_view *view, struct sync_delta *delta,
                             enum sync_encoding encoding)
{
    size_t takers = 0;
    for (size_t k = 0; k < client_count(view); k++) {
        struct client *client = beside(rig, view, k);
        if (!is_told_all(client, encoding))
            continue;
        takers++;
        if (delta != &view->delta) {
            // What was held is told from where each is.
            cr_assert(sync_encode_part(&rig->encoder, &rig->core, view, delta, 0, encoding,
                                       client->told_tick));
            take_encoded(rig, client);
            check(rig, client);
            continue;
        }
        client->aligned = true;
        // To the same tick first, so that one message fits all.
        cr_assert(sync_encode_idle(&rig->encoder, &rig->core, 0, encoding, client->told_tick));
        take_encoded(rig, client);
    }
    if (takers == 0 || delta != &view->delta)
        return true;
    if (!sync_encode_part(&rig->encoder, &rig->core, view, delta, 0, encoding,
                          rig->core.mirror.tick))
        return false;
    rig->shared += takers > 1;
    for (size_t k = 0; k < client_count(view); k++) {
        struct client *client = beside(rig, view, k);
        if (!is_told_all(client, encoding))
            continue;
        take_encoded(rig, client);
        check(rig, client);
    }
    return true;
}

// What of the delta, and of what was owed before, the client is told now.
static bool deliver_part(struct rig *rig, struct client *client, const struct sync_delta *delta)
{
    static const struct sync_priorities priorities = {{3, 6, 9}};
    if (delta->full)
        return false;
    if (!client->backlog)
        client->backlog = sync_backlog_new();
    cr_assert(sync_backlog_merge(client->backlog, &rig->core, delta));
    // Where a player looks changes nothing of what is true.
    struct sync_place focus = {(int32_t)mm_rng_below(&rig->world->rng, 60) - 30, 0};
    struct sync_take take = {client->encoding,
                             (int64_t)mm_rng_below(&rig->world->rng, 2 * rig->weather.bytes + 1),
                             &priorities, mm_rng_below(&rig->world->rng, 2) ? &focus : NULL};
    sync_backlog_take(client->backlog, &rig->core, client->view, &take, &rig->part);
    cr_assert_not(rig->part.full);
    size_t left = sync_backlog_left(client->backlog);
    rig->deferrals += left > 0;
    if (!sync_encode_part(&rig->encoder, &rig->core, client->view, &rig->part, left,
                          client->encoding, client->told_tick))
        return false;
    bool told = rig->encoder.messages.count > 0;
    uint64_t settled = client->place.position.settled;
    take_encoded(rig, client);
    if (left > 0)
        client->place.position.settled = settled;
    if (told && !client->lost) {
        cr_assert_eq(sync_player_deferred(client->player), left);
        sync_player_compare_told(client->player, sync_world_at(rig->world, rig->core.mirror.tick));
    }
    check(rig, client);
    return true;
}

// What the view's clients are told: of this tick, or of all since it was held.
static struct sync_delta *delta_of(struct rig *rig, struct sync_view *view)
{
    for (size_t k = 0; k < client_count(view); k++)
        sync_player_allow_fold(beside(rig, view, k)->player, view->delta.folded);
    struct sync_delta *delta = sync_fold_delta(&rig->core, view, &rig->folded);
    rig->folds += view->delta.folded && delta;
    rig->folds_lost += !delta;
    return delta;
}

static void deliver_delta(struct rig *rig, struct sync_view *view)
{
    if (view->state != SYNC_VIEW_LIVE)
        return;
    size_t takers = 0;
    struct client *only = NULL;
    for (size_t k = 0; k < client_count(view); k++) {
        struct client *client = beside(rig, view, k);
        client->behind |= client->blocked > 0;
        if (follows(client)) {
            only = client;
            takers++;
        }
    }
    if (takers == 0)
        return;
    struct sync_delta *delta = delta_of(rig, view);
    bool ok = delta;
    if (ok && takers == 1 && !only->budgeted && delta == &view->delta) {
        ok = sync_encode_view(&rig->encoder, &rig->core, view, only->encoding, only->told_tick);
        if (ok)
            take_encoded(rig, only);
        check(rig, only);
    } else if (ok) {
        ok = deliver_encoding(rig, view, delta, SYNC_BINARY) &&
             deliver_encoding(rig, view, delta, SYNC_JSON);
        for (size_t k = 0; k < client_count(view) && ok; k++) {
            struct client *client = beside(rig, view, k);
            if (client->budgeted && follows(client))
                ok = deliver_part(rig, client, delta);
        }
        if (ok)
            sync_encode_told(&rig->core, view);
    }
    for (size_t k = 0; k < client_count(view) && !ok; k++)
        beside(rig, view, k)->full = (struct sync_full){.active = true};
}

static void deliver_full(struct rig *rig, struct client *client)
{
    client->full.beside = has_others(rig, client);
    client->first_tick = 0;
    mm_buf_reset(&rig->out);
    size_t bytes = 500 + mm_rng_below(&rig->world->rng, 20000);
    cr_assert_eq(sync_encode_full(&rig->core, client->view, client->encoding, &client->full, bytes,
                                  &rig->out),
                 MM_OK);
    for (size_t at = 0; at < rig->out.len;) {
        uint32_t len;
        memcpy(&len, rig->out.data + at, 4);
        take(client, rig->out.data + at + 4, len);
        at += 4 + (size_t)len;
    }
    check(rig, client);
    forget_backlog(client);
    if (client->full.active)
        return;
    rig->fulls++;
    told(rig, client);
    client->first_tick = client->told_tick;
    if (rig->weather.cut_first && client_count(client->view) == 1) {
        client->lost = true;
        client->back = rig->round + rig->weather.away;
    }
}

// Nobody is told of the tick but those who cannot wait: they know all of it.
static void hold(struct rig *rig)
{
    rig->held++;
    sync_fold_hold(&rig->core);
    for (size_t i = 0; i < rig->core.touched.count; i++) {
        struct sync_view *view = rig->core.touched.items[i];
        rig->told_early++;
        deliver_delta(rig, view);
        for (size_t k = 0; k < client_count(view); k++) {
            struct client *client = beside(rig, view, k);
            if (view->state == SYNC_VIEW_LIVE && follows(client) && !client->lost &&
                !client->budgeted)
                compare(rig, client);
        }
    }
}

static void deliver(struct rig *rig)
{
    sync_fold_release(&rig->core);
    for (size_t i = 0; i < CLIENTS; i++) {
        struct client *client = &rig->clients[i];
        if (client->backlog && client->view->state == SYNC_VIEW_LIVE)
            sync_core_touch(&rig->core, client->view);
    }
    size_t touched = rig->core.touched.count;
    sync_core_order_touched(&rig->core);
    cr_assert_eq(rig->core.touched.count, touched);
    for (size_t i = 1; i < touched; i++)
        cr_assert_lt(rig->core.touched.items[i - 1]->index, rig->core.touched.items[i]->index);
    for (size_t i = 0; i < rig->core.touched.count; i++)
        deliver_delta(rig, rig->core.touched.items[i]);
    for (size_t i = 0; i < CLIENTS; i++) {
        struct client *client = &rig->clients[i];
        if (!client->view || client->view->state != SYNC_VIEW_LIVE || client->blocked > 0)
            continue;
        if (client->behind && !client->full.active)
            resume(rig, client);
        client->behind = false;
        if (client->lost && rig->round >= client->back)
            come_back(rig, client);
        if (client->full.active)
            deliver_full(rig, client);
        if (!client->full.active && !client->lost &&
            (!client->backlog || sync_backlog_left(client->backlog) == 0))
            compare(rig, client);
    }
}

static void join(struct rig *rig, size_t i)
{
    struct client *client = &rig->clients[i];
    if (client->view) {
        // With an empire's first client all go, and its view with them.
        if (i < SYNC_WORLD_EMPIRES)
            sync_core_view_close(&rig->core, client->view);
        forget_backlog(client);
        sync_player_free(client->player);
        wire_json_free(client->wire);
    }
    size_t empire = i < SYNC_WORLD_EMPIRES ? i : (i - SYNC_WORLD_EMPIRES) / BESIDE;
    *client = (struct client){.empire = (uint32_t)empire + 1, .compared = client->compared};
    client->encoding = i % 2 ? SYNC_BINARY : SYNC_JSON;
    client->wire = wire_json_new(sync_world_map());
    client->player = sync_player_new(client->empire);
    // Of several of one empire one is told everything.
    client->budgeted = rig->weather.bytes > 0 && (i < SYNC_WORLD_EMPIRES || i % 2 == 0);
    if (client->budgeted)
        sync_player_allow_late(client->player);
    client->view = sync_core_view_open(&rig->core, client->empire);
    client->full.active = true;
    for (size_t k = 1; i < SYNC_WORLD_EMPIRES && k < client_count(client->view); k++)
        join(rig, (size_t)(beside(rig, client->view, k) - rig->clients));
}

// --- the network ---------------------------------------------------------------------------------

static void publish(struct rig *rig)
{
    const struct weather *w = &rig->weather;
    if (chance(rig, w->world_restart)) {
        // World was killed: what it had not published is lost with it, the next thing is a
        // snapshot of a later tick. Vision starts from it too, in a new epoch or not.
        sync_world_tick(rig->world, w->activity);
        sync_world_skip(rig->world, 1 + mm_rng_below(&rig->world->rng, 50));
        push(rig, &rig->ticks, sync_world_snapshot(rig->world), w->world_delay, 0, true, 0);
        rig->epoch += mm_rng_below(&rig->world->rng, 2);
        return;
    }
    sync_world_tick(rig->world, w->activity);
    push(rig, &rig->ticks, sync_world_frame(rig->world), w->world_delay, 0, false, 0);
    if (chance(rig, w->vision_away))
        rig->vision_away_until = rig->round + mm_rng_below(&rig->world->rng, 300);
    if (rig->round < rig->vision_away_until) {
        rig->epoch += rig->round + 1 == rig->vision_away_until;
        return;
    }
    if (chance(rig, w->vision_epoch))
        rig->epoch++;
    if (!chance(rig, w->vision_lost))
        push(rig, &rig->visions, sync_world_vision(rig->world), w->vision_delay, rig->epoch, false,
             0);
}

static void ask(struct rig *rig)
{
    if (rig->round < rig->vision_away_until)
        return;
    for (size_t i = 0; i < SYNC_WORLD_EMPIRES; i++) {
        struct client *client = &rig->clients[i];
        if (!client->view || client->view->state != SYNC_VIEW_WAITING || client->asked)
            continue;
        client->asked = true;
        push(rig, &rig->answers, sync_world_get_view(rig->world, client->empire),
             rig->weather.answer_delay, rig->epoch, true, client->empire);
    }
}

static void arrive(struct rig *rig)
{
    struct delayed d;
    while (pop(rig, &rig->ticks, &d)) {
        if (!d.snapshot) {
            sync_core_push_tick(&rig->core, d.frame);
            continue;
        }
        cr_assert_eq(sync_core_world_snapshot(&rig->core, d.frame), MM_OK);
        cr_assert_not(rig->core.rewound);
    }
    cr_assert_not(rig->core.world_snapshot_wanted);
    while (pop(rig, &rig->visions, &d))
        sync_core_push_vision(&rig->core, d.epoch, d.frame);
    while (pop(rig, &rig->answers, &d)) {
        struct client *client = &rig->clients[d.empire - 1];
        client->asked = false;
        if (client->view->state == SYNC_VIEW_WAITING) {
            enum mm_err err = sync_core_view_load(&rig->core, client->view, d.epoch, d.frame);
            cr_assert(err == MM_OK || err == MM_OUT_OF_RANGE, "%s", mm_err_name(err));
        }
        mmorts__frame__vision_frame__free_unpacked(d.frame, NULL);
    }
}

// How often, in all runs of a test, an entity left somebody's sight, changed unseen, went back to
// what it was and came into sight again.
static size_t returned;

static void step(struct rig *rig)
{
    uint64_t waiting = sync_core_waiting(&rig->core), begin = rig->core.mirror.tick;
    uint64_t until = rig->weather.fold ? begin + waiting : 0;
    enum sync_step step;
    while ((step = sync_core_step(&rig->core)) == SYNC_STEP_DELTAS) {
        if (rig->core.mirror.tick < until)
            hold(rig);
        else
            deliver(rig);
    }
    cr_assert_eq(step, SYNC_STEP_NONE);
    cr_assert_geq(rig->core.mirror.tick, begin + waiting);
    cr_assert_eq(rig->core.held_count, 0);
}

// With a log that is long enough nobody is told everything for having been behind, and most are
// told once.
static void check_folds(const struct rig *rig)
{
    size_t views = rig->held * SYNC_WORLD_EMPIRES;
    cr_expect_gt(rig->folds, rig->held / 40, "%zu folds of %zu ticks", rig->folds, rig->held);
    if (rig->weather.history_bytes < SYNC_HISTORY_BYTES_MAX)
        return;
    cr_expect_eq(rig->folds_lost, 0, "%zu folds were lost", rig->folds_lost);
    cr_expect_eq(rig->fulls, CLIENTS, "%zu full states", rig->fulls);
    cr_expect_eq(rig->core.counts.views_frozen, 0);
    cr_expect_lt(rig->told_early, views / 2, "%zu of %zu were not held", rig->told_early, views);
}

static void run(uint64_t seed, struct weather weather, unsigned rounds, size_t wanted)
{
    struct rig *rig = calloc(1, sizeof *rig);
    rig->weather = weather;
    rig->world = sync_world_new(seed);
    rig->world->shifty = weather.shifty;
    rig->epoch = 1;
    cr_assert_eq(sync_core_init(&rig->core), MM_OK);
    sync_core_keep_history(&rig->core, weather.history_ticks, weather.history_bytes);
    sync_delta_init(&rig->news);
    sync_delta_init(&rig->folded);
    sync_encoder_init(&rig->encoder);
    sync_delta_init(&rig->part);
    mm_buf_init(&rig->out, SYNC_FULL_BYTES_MAX);
    cr_assert_eq(sync_core_world_snapshot(&rig->core, sync_world_snapshot(rig->world)), MM_OK);
    for (size_t i = 0; i < SYNC_WORLD_EMPIRES; i++)
        join(rig, i); // and who is beside
    uint64_t stalled_until = 0;
    for (rig->round = 1; rig->round <= rounds; rig->round++) {
        publish(rig);
        if (rig->round < stalled_until)
            continue;
        if (chance(rig, weather.stall))
            stalled_until = rig->round + 1 + mm_rng_below(&rig->world->rng, STALL_ROUNDS);
        ask(rig);
        arrive(rig);
        for (size_t i = 0; i < CLIENTS; i++) {
            struct client *client = &rig->clients[i];
            if (client->blocked > 0)
                client->blocked--;
            else if (chance(rig, weather.slow))
                client->blocked = (unsigned)mm_rng_below(&rig->world->rng, 30);
            if (client->cut_in == 0 && !client->lost && chance(rig, weather.cut)) {
                client->cut_in = 1 + (unsigned)mm_rng_below(&rig->world->rng, 4);
                client->back = rig->round + 1 + mm_rng_below(&rig->world->rng, weather.away);
            }
            if (!client->asked && chance(rig, weather.rejoin))
                join(rig, i);
        }
        step(rig);
    }
    size_t compared = 0;
    for (size_t i = 0; i < CLIENTS; i++) {
        compared += rig->clients[i].compared;
        forget_backlog(&rig->clients[i]);
        sync_player_free(rig->clients[i].player);
        wire_json_free(rig->clients[i].wire);
    }
    if (weather.bytes == 0)
        cr_expect_geq(rig->shared, wanted / 100, "only %zu shared", rig->shared);
    cr_expect_geq(compared, wanted, "only %zu comparisons (%llu frozen, %llu refused)", compared,
                  (unsigned long long)rig->core.counts.views_frozen,
                  (unsigned long long)rig->core.counts.views_refused);
    cr_expect_eq(rig->core.counts.odd_entities, 0);
    cr_expect_eq(rig->deferrals > 0, weather.bytes > 0);
    if (weather.cut_first) {
        cr_expect_eq(rig->fulls, CLIENTS, "%zu full states", rig->fulls);
        cr_expect_eq(rig->resumed, SYNC_WORLD_EMPIRES - SHARED, "%zu resumed", rig->resumed);
    } else if (weather.history_ticks > 0) {
        // A full state where the difference was there is the exception: it would be longer.
        cr_expect(rig->resumed > rounds / 40 || weather.cut + weather.slow == 0, "only %zu resumed",
                  rig->resumed);
        cr_expect_leq(5 * rig->needless, rig->resumed, "%zu of %zu not resumed", rig->needless,
                      rig->resumed);
    } else {
        cr_expect_eq(rig->resumed, 0);
    }
    cr_expect_eq(rig->held > 0, weather.fold);
    if (weather.fold)
        check_folds(rig);
    struct delayed d;
    rig->round += 1000;
    while (pop(rig, &rig->ticks, &d))
        mmorts__frame__tick_frame__free_unpacked(d.frame, NULL);
    while (pop(rig, &rig->visions, &d) || pop(rig, &rig->answers, &d))
        mmorts__frame__vision_frame__free_unpacked(d.frame, NULL);
    sync_core_free(&rig->core);
    sync_encoder_free(&rig->encoder);
    sync_delta_free(&rig->part);
    sync_delta_free(&rig->news);
    sync_delta_free(&rig->folded);
    mm_buf_free(&rig->out);
    returned += rig->world->returned;
    sync_world_free(rig->world);
    free(rig);
}

// Who is told several ticks as one shows the truth of the last one, and nobody is told everything.
Test(sync_core, ticks_that_piled_up_are_told_as_one)
{
    for (uint64_t seed = 100; seed <= 105; seed++)
        run(seed,
            (struct weather){.activity = 6 + 3 * (unsigned)(seed % 3),
                             .stall = 80,
                             .fold = true,
                             .history_ticks = 200,
                             .history_bytes = SYNC_HISTORY_BYTES_MAX},
            600, 5 * 100);
}

Test(sync_core, ticks_are_told_as_one_to_those_who_may_be_told_but_a_few_bytes)
{
    for (uint64_t seed = 110; seed <= 112; seed++)
        run(seed,
            (struct weather){.activity = 12,
                             .stall = 80,
                             .fold = true,
                             .bytes = 200u << seed % 3,
                             .shifty = true,
                             .history_ticks = 200,
                             .history_bytes = 65536},
            400, 1);
}

// The log is too short for what piled up: it is told in time, or everything is.
Test(sync_core, ticks_are_told_as_one_with_short_logs)
{
    run(120,
        (struct weather){
            .activity = 12, .stall = 80, .fold = true, .history_ticks = 9, .history_bytes = 16384},
        400, 5 * 50);
    run(121,
        (struct weather){
            .activity = 30, .stall = 80, .fold = true, .history_ticks = 200, .history_bytes = 1200},
        400, 5 * 50);
}

static const struct weather EVERYTHING = {.activity = 20,
                                          .world_delay = 4,
                                          .vision_delay = 4,
                                          .answer_delay = 6,
                                          .vision_lost = 4,
                                          .vision_epoch = 4,
                                          .world_restart = 4,
                                          .slow = 15,
                                          .rejoin = 3,
                                          .cut = 40,
                                          .away = 30,
                                          .history_ticks = 100,
                                          .history_bytes = 16384};

Test(sync_core, ticks_are_told_as_one_and_everything_at_once)
{
    for (uint64_t seed = 130; seed <= 135; seed++) {
        struct weather weather = EVERYTHING;
        weather.stall = 20;
        weather.fold = true;
        weather.bytes = seed % 2 ? 1000 : 0;
        run(seed, weather, 400, 100);
    }
}

Test(sync_core, fair_weather)
{
    for (uint64_t seed = 1; seed <= 3; seed++)
        run(seed, (struct weather){.activity = 12}, 300, 5 * 298);
}

// An entity that leaves, changes unseen, goes back to what it was and comes again is shown as it
// is: to who follows, to who is told but a part, and to who was away meanwhile.
Test(sync_core, what_changes_unseen_and_back_is_shown_as_it_is)
{
    run(90, (struct weather){.activity = 12, .shifty = true}, 300, 5 * 298);
    cr_expect_gt(returned, 10, "only %zu", returned);
    returned = 0;
    run(91, (struct weather){.activity = 8, .shifty = true, .bytes = 1000}, 300, 1);
    cr_expect_gt(returned, 10, "only %zu", returned);
    returned = 0;
    run(92,
        (struct weather){.activity = 12,
                         .shifty = true,
                         .cut = 60,
                         .away = 30,
                         .history_ticks = 60,
                         .history_bytes = 16384},
        300, 1);
    cr_expect_gt(returned, 10, "only %zu", returned);
}

Test(sync_core, late_frames)
{
    for (uint64_t seed = 10; seed <= 12; seed++)
        run(seed,
            (struct weather){
                .activity = 12, .world_delay = 6, .vision_delay = 6, .answer_delay = 8},
            300, 5 * 150);
}

Test(sync_core, slow_clients_and_reconnects)
{
    for (uint64_t seed = 20; seed <= 22; seed++)
        run(seed, (struct weather){.activity = 12, .answer_delay = 3, .slow = 30, .rejoin = 10},
            300, 5 * 100);
}

Test(sync_core, vision_loses_frames_and_starts_again)
{
    for (uint64_t seed = 30; seed <= 33; seed++)
        run(seed,
            (struct weather){.activity = 12,
                             .vision_delay = 3,
                             .answer_delay = 3,
                             .vision_lost = 15,
                             .vision_epoch = 15},
            400, 5 * 100);
}

Test(sync_core, vision_is_away_for_long)
{
    run(40, (struct weather){.activity = 12, .answer_delay = 3, .vision_away = 8}, 1200, 500);
}

Test(sync_core, world_starts_again)
{
    for (uint64_t seed = 50; seed <= 53; seed++)
        run(seed,
            (struct weather){.activity = 12,
                             .world_delay = 3,
                             .vision_delay = 3,
                             .answer_delay = 4,
                             .world_restart = 15},
            400, 5 * 100);
}

Test(sync_core, everything_at_once)
{
    for (uint64_t seed = 60; seed <= 63; seed++)
        run(seed,
            (struct weather){.activity = 20,
                             .world_delay = 4,
                             .vision_delay = 4,
                             .answer_delay = 6,
                             .vision_lost = 8,
                             .vision_epoch = 8,
                             .world_restart = 8,
                             .slow = 15,
                             .rejoin = 8},
            400, 300);
}

Test(sync_core, few_bytes_a_tick)
{
    // Of much more news than bytes, of about as much, and of less.
    for (uint64_t seed = 70; seed <= 72; seed++)
        run(seed, (struct weather){.activity = 12, .bytes = 50u << seed % 3}, 300, 1);
    for (uint64_t seed = 76; seed <= 77; seed++)
        run(seed, (struct weather){.activity = 6, .bytes = 2000}, 300, 5 * 100);
}

Test(sync_core, few_bytes_a_tick_and_everything_at_once)
{
    for (uint64_t seed = 80; seed <= 83; seed++)
        run(seed,
            (struct weather){.activity = 12,
                             .world_delay = 4,
                             .vision_delay = 4,
                             .answer_delay = 6,
                             .vision_lost = 8,
                             .vision_epoch = 8,
                             .world_restart = 8,
                             .slow = 15,
                             .rejoin = 8,
                             .bytes = 200u << seed % 4},
            300, 100);
}

// Connections break at any message, and nobody notices for a while; whoever comes back names the
// last tick it has.
Test(sync_core, broken_connections_go_on_where_they_stopped)
{
    for (uint64_t seed = 70; seed <= 73; seed++)
        run(seed,
            (struct weather){
                .activity = 20, .cut = 60, .away = 30, .history_ticks = 60, .history_bytes = 16384},
            400, 5 * 150);
}

// The tick in which a view becomes live is one to go on from: whoever was told of it knows it all.
Test(sync_core, who_was_told_nothing_but_the_full_state_goes_on_from_it)
{
    for (uint64_t seed = 60; seed <= 63; seed++)
        run(seed,
            (struct weather){.activity = 20,
                             .answer_delay = seed % 2 ? 0 : 3,
                             .vision_delay = seed % 4 ? 0 : 3,
                             .cut_first = true,
                             .away = 1 + (unsigned)(seed % 3),
                             .history_ticks = 60,
                             .history_bytes = 16384},
            60, 5 * 40);
}

Test(sync_core, full_sockets_go_on_where_they_stopped)
{
    for (uint64_t seed = 74; seed <= 75; seed++)
        run(seed,
            (struct weather){.activity = 20,
                             .slow = 30,
                             .cut = 20,
                             .away = 30,
                             .history_ticks = 60,
                             .history_bytes = 16384},
            400, 5 * 100);
}

// The log is too short in ticks or in bytes for some of them.
Test(sync_core, some_come_back_too_late)
{
    run(80,
        (struct weather){
            .activity = 12, .cut = 60, .away = 30, .history_ticks = 20, .history_bytes = 16384},
        400, 5 * 100);
    run(81,
        (struct weather){
            .activity = 30, .cut = 60, .away = 30, .history_ticks = 60, .history_bytes = 900},
        400, 5 * 100);
}

Test(sync_core, everything_at_once_and_broken_connections)
{
    for (uint64_t seed = 90; seed <= 95; seed++)
        run(seed, EVERYTHING, 400, 200);
}
