#include "tests/sim/sim_internal.h"

#include "libcommon/base/hash.h"
#include "libcommon/base/id.h"

#include <stdlib.h>
#include <string.h>

// Sync: its core, and a shell that does what services/sync does: seats, views asked of vision,
// deltas to those who keep up, full states to those who come or could not.

enum { CALL_ROUNDS = 60, RETRY_ROUNDS = 1, IDLE_TICKS = 20 };

static struct sim_client *client_of(struct sim *sim, uint64_t player_id)
{
    return &sim->clients[player_id - 1];
}

// --- delivery ------------------------------------------------------------------------------------

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

// Bugs between sync and its client, planted in the text itself. True if the message is to be lost.
static bool spoil(struct sim *sim, struct sim_client *client, char *text)
{
    char *at = NULL;
    switch (sim->options.fault) {
    case SIM_FAULT_UPDATE_DROPPED:
        return sim_chance(sim, 20);
    case SIM_FAULT_TICK_GOES_BACK:
        at = strstr(text, "\"tick\":");
        if (at && client->player.tick > 200 && sim_chance(sim, 50))
            at[7] = '1';
        return false;
    case SIM_FAULT_OWNER_ONLY_LEAKED:
        if (strstr(text, "\"appeared\":"))
            leak_carried(sim, client, text);
        return false;
    case SIM_FAULT_UNEXPLORED_HEX_TOLD:
        at = strstr(text, "\"vision\":[{\"hex\":[");
        if (at && !sim->fault_done && client->player.tick > 100) {
            // The first hex of the list becomes its neighbour.
            char *digit = at + 18 + (at[18] == '-');
            digit[0] = digit[0] == '9' ? '8' : (char)(digit[0] + 1);
            sim->fault_done = true;
        }
        return false;
    default:
        return false;
    }
}

static void take(struct sim *sim, struct sim_client *client, char *text, size_t len)
{
    text[len] = '\0';
    if (spoil(sim, client, text))
        return;
    if (sim->options.fault != SIM_FAULT_NONE)
        len = strlen(text);
    sim->report->digest = mm_hash64(text, len, sim->report->digest);
    sim_player_take(sim, &client->player, text, len);
}

// The text of one message, with room for what a planted bug adds.
static char *room(size_t len)
{
    static char *text;
    static size_t capacity;
    if (len + SPOIL_ROOM > capacity) {
        capacity = 2 * len + 4096;
        text = realloc(text, capacity);
        if (!text)
            abort();
    }
    return text;
}

static void take_encoded(struct sim *sim, struct sim_client *client)
{
    const struct sync_encoder *e = &sim->sync.encoder;
    for (size_t m = 0; m < e->messages.count && !sim_failed(sim); m++) {
        const struct sync_message *message = &e->messages.items[m];
        char *text = room(message->bytes);
        size_t len = 0;
        for (size_t i = 0; i < message->slice_count; i++) {
            const struct sync_slice *slice = &e->slices.items[message->slice + i];
            memcpy(text + len, e->buf.data + slice->offset, slice->len);
            len += slice->len;
        }
        take(sim, client, text, len);
    }
    if (e->messages.count > 0)
        client->updated_tick = sim->sync.core.mirror.tick;
}

static void deliver_view(struct sim *sim, struct sync_view *view)
{
    struct sim_client *client = view->user;
    if (!client || view->state != SYNC_VIEW_LIVE || client->state != SIM_PLAYING ||
        client->full.active)
        return;
    if (client->blocked > 0 ||
        !sync_encode_view(&sim->sync.encoder, &sim->sync.core, view, SYNC_JSON, 0)) {
        client->full = (struct sync_full){.active = true};
        return;
    }
    take_encoded(sim, client);
}

static void deliver_idle(struct sim *sim, struct sim_client *client)
{
    if (client->full.active || client->blocked > 0 ||
        sim->sync.core.mirror.tick < client->updated_tick + IDLE_TICKS)
        return;
    if (sync_encode_idle(&sim->sync.encoder, &sim->sync.core, 0, SYNC_JSON, 0))
        take_encoded(sim, client);
}

static void deliver_full(struct sim *sim, struct sim_client *client)
{
    struct mm_buf *out = &sim->sync.out;
    mm_buf_reset(out);
    size_t bytes = 2000 + sim_below(sim, 30000);
    if (sync_encode_full(&sim->sync.core, client->view, SYNC_JSON, &client->full, bytes, out) !=
        MM_OK) {
        sim_fail(sim, "sync cannot encode a full state");
        return;
    }
    for (size_t at = 0; at < out->len && !sim_failed(sim);) {
        uint32_t len;
        memcpy(&len, out->data + at, 4);
        char *text = room(len);
        memcpy(text, out->data + at + 4, len);
        take(sim, client, text, len);
        at += 4 + (size_t)len;
    }
    if (!client->full.active) {
        sim->report->fulls++;
        client->updated_tick = sim->sync.core.mirror.tick;
    }
}

static void compare(struct sim *sim, struct sim_client *client)
{
    const struct sim_moment *moment = sim_moment(sim, sim->sync.core.mirror.tick);
    uint64_t epoch = client->view->epoch;
    // Vision forgot in a crash what this view, of its former life, still shows.
    if (epoch >= sim->lineage_of_epoch.count ||
        (moment->lineage && sim->lineage_of_epoch.items[epoch] != moment->lineage))
        return;
    if (moment->tick != sim->sync.core.mirror.tick || !moment->lineage) {
        sim_fail(sim, "a player is shown tick %llu, which vision has not seen",
                 (unsigned long long)sim->sync.core.mirror.tick);
        return;
    }
    sim_player_compare(sim, &client->player, moment);
    const struct sync_holding *holding =
        sync_stock_holding(&sim->sync.core.stock, client->player.empire);
    if (holding && !holding->dirty && sim->sync.stock_epoch)
        sim_player_compare_stock(sim, &client->player);
}

static void deliver_client(struct sim *sim, struct sim_client *client)
{
    if (!client->view || client->view->state != SYNC_VIEW_LIVE)
        return;
    if (client->state == SIM_LOOKING && sim->sync.core.mirror.tick >= client->tick_min) {
        client->state = SIM_PLAYING;
        client->full = (struct sync_full){.active = true};
        sim_player_reset(&client->player); // `welcome`
    }
    if (client->state != SIM_PLAYING)
        return;
    deliver_idle(sim, client);
    if (client->full.active && client->blocked == 0)
        deliver_full(sim, client);
    if (!client->full.active && client->blocked == 0 && !sim_failed(sim))
        compare(sim, client);
}

// News of production go out with the next tick.
static void touch_dirty(struct sim *sim)
{
    struct sync_core *core = &sim->sync.core;
    for (size_t i = 0; i < core->views.count; i++) {
        struct sync_view *view = core->views.items[i];
        if (!view || view->state != SYNC_VIEW_LIVE)
            continue;
        const struct sync_holding *holding = sync_stock_holding(&core->stock, view->empire);
        if (holding && holding->dirty)
            sync_core_touch(core, view);
    }
}

void sim_sync_deliver(struct sim *sim)
{
    struct sync_core *core = &sim->sync.core;
    enum sync_step step;
    while (sim->sync.up && !sim_failed(sim) && (step = sync_core_step(core)) != SYNC_STEP_NONE) {
        if (step == SYNC_STEP_FAILED) {
            sim_fail(sim, "sync's core failed");
            return;
        }
        touch_dirty(sim);
        for (size_t i = 0; i < core->touched.count && !sim_failed(sim); i++)
            deliver_view(sim, core->touched.items[i]);
        for (size_t i = 0; i < SIM_EMPIRES && !sim_failed(sim); i++)
            deliver_client(sim, &sim->clients[i]);
    }
    if (core->rewound)
        sim_fail(sim, "world went back behind tick %llu", (unsigned long long)core->told_tick);
    if (core->counts.odd_entities > 0)
        sim_fail(sim, "vision spoke of entities that are not there, or not in sight");
    if (core->world_snapshot_wanted && !sim->readers[SIM_SYNC_TICKS].catching_up) {
        core->world_snapshot_wanted = false;
        sim_fail(sim, "sync refused a tick frame, at tick %llu",
                 (unsigned long long)core->mirror.tick);
    }
}

// --- streams -------------------------------------------------------------------------------------

void sim_sync_tick(struct sim *sim, const struct sim_message *message, bool snapshot)
{
    Mmorts__Frame__TickFrame *frame =
        mmorts__frame__tick_frame__unpack(NULL, message->bytes->len, message->bytes->data);
    if (sim->options.fault == SIM_FAULT_DESPAWN_DROPPED && frame->n_despawned > 0)
        frame->n_despawned--;
    if (!snapshot)
        sync_core_push_tick(&sim->sync.core, frame);
    else if (sync_core_world_snapshot(&sim->sync.core, frame) != MM_OK)
        sim_fail(sim, "sync refused a snapshot");
}

void sim_sync_vision(struct sim *sim, const struct sim_message *message)
{
    sync_core_push_vision(
        &sim->sync.core, message->epoch,
        mmorts__frame__vision_frame__unpack(NULL, message->bytes->len, message->bytes->data));
}

void sim_sync_production(struct sim *sim, const struct sim_message *message)
{
    Mmorts__Frame__ProductionFrame *frame =
        mmorts__frame__production_frame__unpack(NULL, message->bytes->len, message->bytes->data);
    if (sync_stock_apply(&sim->sync.core.stock, frame) != MM_OK)
        sim_fail(sim, "sync refused a production frame");
    mmorts__frame__production_frame__free_unpacked(frame, NULL);
    sim->sync.stock_epoch = message->epoch;
    sim->sync.stock_seq = message->seq;
}

// --- seats ---------------------------------------------------------------------------------------

static void leave(struct sim *sim, struct sim_client *client)
{
    struct sync_holding *holding =
        client->view ? sync_stock_holding(&sim->sync.core.stock, client->view->empire) : NULL;
    if (holding)
        sync_holding_unwatch(holding);
    if (client->view)
        sync_core_view_close(&sim->sync.core, client->view);
    client->view = NULL;
    client->view_call = 0;
    client->life++;
    client->state = SIM_OFFLINE;
}

static void join(struct sim *sim, struct sim_client *client)
{
    client->state = SIM_JOINING;
    client->call_until = sim->round + CALL_ROUNDS;
    client->life++;
    sim_send(sim, (struct sim_message){.kind = SIM_JOIN,
                                       .from = SIM_SYNC,
                                       .to = SIM_WORLD,
                                       .a = (uint64_t)(client - sim->clients) + 1,
                                       .tick = client->life});
}

static void joined(struct sim *sim, const struct sim_message *reply)
{
    struct sim_client *client = client_of(sim, reply->a);
    if (client->state != SIM_JOINING || client->life != reply->tick)
        return;
    client->player.empire = (uint32_t)reply->b;
    client->tick_min = client->player.tick; // `last_tick`
    if (client->next_seq <= reply->seq)
        client->next_seq = reply->seq + 1;
    client->view = sync_core_view_open(&sim->sync.core, client->player.empire);
    client->view->user = client;
    client->state = SIM_LOOKING;
    client->view_retry = sim->round;
    sim->report->joins++;
}

static void ask_view(struct sim *sim, struct sim_client *client)
{
    if (client->view_call && sim->round >= client->view_until) {
        client->view_call = 0;
        client->view_retry = sim->round + RETRY_ROUNDS;
    }
    if (!client->view || client->view->state != SYNC_VIEW_WAITING || client->view_call ||
        sim->round < client->view_retry || !sim->sync.core.mirror.loaded)
        return;
    client->view_call = ++sim->calls;
    client->view_until = sim->round + CALL_ROUNDS;
    sim_send(sim, (struct sim_message){.kind = SIM_GET_VIEW,
                                       .from = SIM_SYNC,
                                       .to = SIM_VISION,
                                       .call = client->view_call,
                                       .a = client->player.empire});
}

static void got_view(struct sim *sim, const struct sim_message *reply)
{
    for (size_t i = 0; i < SIM_EMPIRES; i++) {
        struct sim_client *client = &sim->clients[i];
        if (client->view_call == 0 || client->view_call != reply->call)
            continue;
        client->view_call = 0;
        client->view_retry = sim->round + RETRY_ROUNDS;
        if (!reply->flag || client->view->state != SYNC_VIEW_WAITING)
            return;
        Mmorts__Frame__VisionFrame *view =
            mmorts__frame__vision_frame__unpack(NULL, reply->bytes->len, reply->bytes->data);
        enum mm_err err = sync_core_view_load(&sim->sync.core, client->view, reply->epoch, view);
        if (err != MM_OK && err != MM_OUT_OF_RANGE)
            sim_fail(sim, "sync refused a view: %s", mm_err_name(err));
        mmorts__frame__vision_frame__free_unpacked(view, NULL);
        return;
    }
}

void sim_sync_take(struct sim *sim, const struct sim_message *message)
{
    if (message->kind == SIM_JOIN_REPLY)
        joined(sim, message);
    else if (message->kind == SIM_GET_VIEW_REPLY)
        got_view(sim, message);
}

// --- life ----------------------------------------------------------------------------------------

static void client_round(struct sim *sim, struct sim_client *client)
{
    const struct sim_weather *w = &sim->weather;
    if (client->state == SIM_OFFLINE) {
        if (sim->round >= client->offline_until)
            join(sim, client);
        return;
    }
    if (client->state == SIM_JOINING && sim->round >= client->call_until)
        leave(sim, client); // "unavailable"; it tries again
    if (client->blocked > 0)
        client->blocked = sim->calm ? 0 : client->blocked - 1;
    else if (!sim->calm && sim_chance(sim, w->slow))
        client->blocked = (unsigned)sim_below(sim, 40);
    if (!sim->calm && sim_chance(sim, w->reconnect)) {
        leave(sim, client);
        client->offline_until = sim->round + sim_below(sim, 80);
    }
    ask_view(sim, client);
}

void sim_sync_round(struct sim *sim)
{
    if (!sim->sync.up) {
        if (sim->round >= sim->sync.up_at)
            sim_sync_start(sim);
        return;
    }
    for (size_t i = 0; i < SIM_EMPIRES; i++)
        client_round(sim, &sim->clients[i]);
}

void sim_sync_start(struct sim *sim)
{
    if (sync_core_init(&sim->sync.core) != MM_OK)
        abort();
    sync_encoder_init(&sim->sync.encoder);
    mm_buf_init(&sim->sync.out, SYNC_FULL_BYTES_MAX);
    sim->sync.up = true;
    sim_reader_open(sim, SIM_SYNC_TICKS, 0, 0);
    sim_reader_open(sim, SIM_SYNC_VISIONS, 0, 0);
    sim_reader_open(sim, SIM_SYNC_PRODUCTIONS, 0, 0);
}

static void stop(struct sim *sim)
{
    if (!sim->sync.up)
        return;
    for (size_t i = 0; i < SIM_EMPIRES; i++)
        leave(sim, &sim->clients[i]);
    sync_core_free(&sim->sync.core);
    sync_encoder_free(&sim->sync.encoder);
    mm_buf_free(&sim->sync.out);
    sim_reader_close(sim, SIM_SYNC_TICKS);
    sim_reader_close(sim, SIM_SYNC_VISIONS);
    sim_reader_close(sim, SIM_SYNC_PRODUCTIONS);
    sim->sync.stock_epoch = 0;
    sim->sync.up = false;
    sim->sync.life++;
}

void sim_sync_crash(struct sim *sim)
{
    if (!sim->sync.up)
        return;
    sim_tell(sim, "sync dies at tick %llu", (unsigned long long)sim->sync.core.mirror.tick);
    stop(sim);
    sim->sync.up_at = sim->round + 1 + sim_below(sim, 40);
    sim->report->sync_crashes++;
}

void sim_sync_init(struct sim *sim)
{
    for (size_t i = 0; i < SIM_EMPIRES; i++) {
        sim->clients[i].next_seq = 1;
        sim->clients[i].offline_until = i < 2 ? 0 : sim_below(sim, 300);
    }
    sim_sync_start(sim);
}

void sim_sync_free(struct sim *sim)
{
    stop(sim);
}
