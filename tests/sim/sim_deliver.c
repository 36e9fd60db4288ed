#include "tests/sim/sim_internal.h"

#include "libcommon/base/hash.h"
#include "libcommon/base/id.h"

#include <stdlib.h>
#include <string.h>

// What sync tells its clients, as services/sync/deliver.c, owing.c and trails.c do it: deltas to
// those who keep up, a part of them to those who may not be sent more, the difference to those who
// were away or did not read, full states to all others. And the wire to the client, which may break
// between any two messages.

enum { IDLE_TICKS = 20, ROUND_MS = 50 };

static const struct sync_priorities priorities = {{5, 15, 40}};

// --- the wire ------------------------------------------------------------------------------------

enum { SPOIL_ROOM = 64 };

// Planted bug: the first stranger's unit in the text is shown with what it carries.
static void leak_carried(struct sim *sim, const struct sim_client *client, char *text)
{
    char own[MM_ID_TEXT_BYTES];
    (void)mm_id_format(own, "empire_", sim->empire_ids[client->player.empire]);
    for (char *at = strstr(text, "\"owner\":\"empire_"); at;
         at = strstr(at + 1, "\"owner\":\"empire_")) {
        char *data = strstr(at, "\"data\":{");
        if (strncmp(at + 9, own, strlen(own)) == 0 || !data)
            continue;
        static const char secret[] = "\"carried\":7,";
        memmove(data + 8 + strlen(secret), data + 8, strlen(data + 8) + 1);
        memcpy(data + 8, secret, strlen(secret));
        return;
    }
}

// Bugs between sync and its client, planted in the text itself.
static void spoil_text(struct sim *sim, struct sim_client *client, char *text)
{
    char *at = NULL;
    switch (sim->options.fault) {
    case SIM_FAULT_TICK_GOES_BACK:
        at = strstr(text, "\"tick\":");
        if (at && client->player.tick > 200 && sim_chance(sim, 50))
            at[7] = '1';
        break;
    case SIM_FAULT_OWNER_ONLY_LEAKED:
        if (strstr(text, "\"appeared\":"))
            leak_carried(sim, client, text);
        break;
    case SIM_FAULT_UNEXPLORED_HEX_TOLD:
        at = strstr(text, "\"vision\":[{\"hex\":[");
        if (at && !sim->fault_done && client->player.tick > 100) {
            // The first hex of the list becomes its neighbour.
            char *digit = at + 18 + (at[18] == '-');
            digit[0] = digit[0] == '9' ? '8' : (char)(digit[0] + 1);
            sim->fault_done = true;
        }
        break;
    default:
        break;
    }
}

// And in a binary message. An update of nothing but changes in the tick after the last one begins
// with 0x80, then the first change's number and step.
static void spoil_bytes(struct sim *sim, uint8_t *data, size_t len)
{
    if (len < 2 || data[0] != 0x80 || (data[1] & 7) > 5 || !sim_chance(sim, 100))
        return;
    if (sim->options.fault == SIM_FAULT_STEP_ASTRAY)
        data[1] = (uint8_t)((data[1] & ~7) | ((data[1] & 7) + 1) % 6);
    else if (sim->options.fault == SIM_FAULT_NUMBER_OFF_BY_ONE && data[1] >> 3 < 30)
        data[1] = (uint8_t)(data[1] + 8);
}

// Whether the next message still gets through.
static bool arrives(struct sim_client *client)
{
    if (!client->breaking)
        return true;
    if (client->arrives == 0)
        return false;
    client->arrives--;
    return true;
}

static void take(struct sim *sim, struct sim_client *client, uint8_t *data, size_t len)
{
    client->sent += len;
    if (!arrives(client) || (sim->options.fault == SIM_FAULT_UPDATE_DROPPED && sim_chance(sim, 20)))
        return;
    if (client->encoding == SYNC_BINARY) {
        spoil_bytes(sim, data, len);
        sim->report->digest = mm_hash64(data, len, sim->report->digest);
        sim_player_take_binary(sim, &client->player, data, len);
        if (sim->options.fault == SIM_FAULT_STEP_TWICE && data[0] == 0x80 && sim_chance(sim, 100))
            sim_player_take_binary(sim, &client->player, data, len);
        return;
    }
    char *text = (char *)data;
    text[len] = '\0';
    spoil_text(sim, client, text);
    if (sim->options.fault != SIM_FAULT_NONE)
        len = strlen(text);
    sim->report->digest = mm_hash64(text, len, sim->report->digest);
    sim_player_take(sim, &client->player, text, len);
}

// One message, with room for what a planted bug adds.
static uint8_t *room(size_t len)
{
    static uint8_t *data;
    static size_t capacity;
    if (len + SPOIL_ROOM > capacity) {
        capacity = 2 * len + 4096;
        data = realloc(data, capacity);
        if (!data)
            abort();
    }
    return data;
}

static void take_copy(struct sim *sim, struct sim_client *client, const void *data, size_t len)
{
    uint8_t *copy = room(len);
    memcpy(copy, data, len);
    take(sim, client, copy, len);
}

static void take_message(struct sim *sim, struct sim_client *client,
                         const struct sync_message *message)
{
    const struct sync_encoder *e = &sim->sync.encoder;
    uint8_t *data = room(message->bytes);
    size_t len = 0;
    for (size_t i = 0; i < message->slice_count; i++) {
        const struct sync_slice *slice = &e->slices.items[message->slice + i];
        memcpy(data + len, e->buf.data + slice->offset, slice->len);
        len += slice->len;
    }
    take(sim, client, data, len);
}

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
        take_message(sim, client, &e->messages.items[m]);
    updated(sim, client);
}

static void deliver_view(struct sim *sim, struct sync_view *view)
{
    struct sim_client *client = view->user;
    struct sim_sync *sync = &sim->sync;
    if (!client || view->state != SYNC_VIEW_LIVE || !follows(client))
        return;
    bool ok = false;
    if (takes_all(sim, client, &view->delta)) {
        ok = sync_encode_view(&sync->encoder, &sync->core, view, client->encoding,
                              client->updated_tick);
    } else {
        ok = encode_part(sim, client, view);
        if (ok)
            sync_encode_told(&sync->core, view);
    }
    if (ok)
        take_encoded(sim, client);
    else
        client->full = (struct sync_full){.active = true};
}

static void deliver_idle(struct sim *sim, struct sim_client *client)
{
    struct sim_sync *sync = &sim->sync;
    if (follows(client) && sync->core.mirror.tick >= client->updated_tick + IDLE_TICKS &&
        sync_encode_idle(&sync->encoder, &sync->core, owing_left(client), client->encoding,
                         client->updated_tick))
        take_encoded(sim, client);
}

static void deliver_full(struct sim *sim, struct sim_client *client)
{
    struct sync_core *core = &sim->sync.core;
    struct mm_buf *out = &sim->sync.out;
    sim_owing_forget(client);
    client->trail.first_tick = 0; // what it knew no longer counts
    mm_buf_reset(out);
    size_t bytes = 2000 + sim_below(sim, 30000);
    if (sync_encode_full(core, client->view, client->encoding, &client->full, bytes, out) !=
        MM_OK) {
        sim_fail(sim, "sync cannot encode a full state");
        return;
    }
    for (size_t at = 0; at < out->len && !sim_failed(sim);) {
        uint32_t len;
        memcpy(&len, out->data + at, 4);
        take_copy(sim, client, out->data + at + 4, len);
        at += 4 + (size_t)len;
    }
    if (client->full.active)
        return;
    sim->report->fulls++;
    owing_begin(sim, client);
    // Who knows this tick from before may have received nothing of this.
    uint64_t tick = core->mirror.tick;
    bool known = client->updated_tick >= tick || client->tick_min >= tick;
    client->trail.first_tick =
        known && sim->options.fault != SIM_FAULT_RESUMED_BEFORE_FULL ? tick + 1 : tick;
    updated(sim, client);
    client->trail.generation = client->view->generation;
    client->trail.names_epoch = client->view->names_epoch;
}

// --- going on where one stopped ------------------------------------------------------------------

// Puts what is to be told into sync.out and sync.news.
static bool prepare(struct sim *sim, struct sim_client *client, struct sync_position position)
{
    struct sim_sync *sync = &sim->sync;
    if (sim->options.fault == SIM_FAULT_RESUMED_TOO_LATE && position.tick < sync->core.mirror.tick)
        position.settled = ++position.tick;
    struct sync_place_in_stream place = {position, client->trail.generation,
                                         client->trail.names_epoch};
    mm_buf_reset(&sync->out);
    return sync_resume_possible(&sync->core, client->view, &place) &&
           sync_resume_begin(&sync->core, client->view, client->encoding, &place, &sync->out,
                             &sync->news);
}

static bool catch_up(struct sim *sim, struct sim_client *client)
{
    if (sim->resume_ticks == 0 || client->trail.first_tick == 0)
        return false;
    client->trail.generation = client->view->generation;
    bool caught_up =
        prepare(sim, client, (struct sync_position){client->settled_tick, client->updated_tick});
    sim->report->catch_ups += caught_up;
    return caught_up;
}

// Whether what the client says of itself is a place from which it can go on.
static bool goes_on(struct sim *sim, struct sim_client *client)
{
    const struct sim_player *player = &client->player;
    struct sync_position position = {player->settled_tick, player->last_tick};
    return sim->resume_ticks > 0 && client->trail.kept && player->token == client->trail.secret &&
           player->complete && position.tick >= client->trail.first_tick &&
           position.tick <= client->trail.told_tick && client->trail.encoding == client->encoding &&
           prepare(sim, client, position);
}

static void play(struct sim *sim, struct sim_client *client)
{
    client->state = SIM_PLAYING;
    client->resuming = goes_on(sim, client);
    client->full = (struct sync_full){.active = !client->resuming};
    client->behind = client->catch_up = client->overflowed = false;
    sim->report->resumed += client->resuming;
    sim->report->resumed_binary += client->resuming && client->encoding == SYNC_BINARY;
    sim->report->not_resumed += !client->resuming && client->player.token != 0;
    if (client->resuming) {
        client->settled_tick = client->player.settled_tick;
        client->updated_tick = client->player.last_tick;
    } else {
        client->trail = (struct sim_trail){.secret = ++sim->calls};
        client->updated_tick = 0;
    }
    client->trail.kept = false;
    if (arrives(client))
        sim_player_welcome(&client->player, client->trail.secret, client->resuming);
}

static void deliver_difference(struct sim *sim, struct sim_client *client)
{
    struct sim_sync *sync = &sim->sync;
    if (client->resuming)
        owing_begin(sim, client);
    client->resuming = client->catch_up = false;
    client->full.active = false;
    take_copy(sim, client, sync->out.data, sync->out.len);
    if (sync_resume_encode(&sync->encoder, &sync->core, client->view, client->encoding, false,
                           &sync->news))
        take_encoded(sim, client);
    else
        client->full = (struct sync_full){.active = true};
}

// --- against the truth ---------------------------------------------------------------------------

static void compare(struct sim *sim, struct sim_client *client)
{
    const struct sim_player *player = &client->player;
    const struct sim_moment *moment = sim_moment(sim, sim->sync.core.mirror.tick);
    uint64_t epoch = client->view->epoch;
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
    const struct sync_holding *holding = sync_stock_holding(&sim->sync.core.stock, player->empire);
    if (holding && !holding->dirty && sim->sync.stock_epoch)
        sim_player_compare_stock(sim, player);
}

static void deliver_client(struct sim *sim, struct sim_client *client)
{
    if (!client->view || client->view->state != SYNC_VIEW_LIVE)
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
    if (client->resuming || (client->catch_up && catch_up(sim, client)))
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
        const struct sim_client *client = view->user;
        if ((holding && holding->dirty) || (client && client->backlog))
            sync_core_touch(core, view);
    }
}

void sim_deliver_step(struct sim *sim)
{
    struct sync_core *core = &sim->sync.core;
    touch(sim);
    for (size_t i = 0; i < core->touched.count && !sim_failed(sim); i++)
        deliver_view(sim, core->touched.items[i]);
    for (size_t i = 0; i < SIM_EMPIRES && !sim_failed(sim); i++)
        deliver_client(sim, &sim->clients[i]);
}
