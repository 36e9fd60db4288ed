#include "tests/sim/sim_internal.h"

#include <stdlib.h>
#include <string.h>

// Sync: its core, and a shell that does what services/sync does: streams, seats, views asked of
// vision, also kept for those who may come back. sim_deliver.c tells the clients.

enum { CALL_ROUNDS = 60, RETRY_ROUNDS = 1, SWEEP_ROUNDS = 5, LOG_BYTES = 16384 };

void sim_sync_deliver(struct sim *sim)
{
    struct sync_core *core = &sim->sync.core;
    enum sync_step step;
    while (sim->sync.up && !sim_failed(sim) && (step = sync_core_step(core)) != SYNC_STEP_NONE) {
        if (step == SYNC_STEP_FAILED) {
            sim_fail(sim, "sync's core failed");
            return;
        }
        sim_deliver_step(sim);
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
    for (size_t i = 0; sim->options.fault == SIM_FAULT_TARGET_NOT_TOLD && i < frame->n_columns; i++)
        if (frame->columns[i]->attribute == MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_TARGET_Q)
            frame->columns[i]->n_entity = frame->columns[i]->n_value = 0;
    if (!snapshot)
        sync_core_push_tick(&sim->sync.core, frame);
    else if (sync_core_world_snapshot(&sim->sync.core, frame) != MM_OK)
        sim_fail(sim, "sync refused a snapshot");
}

// The planted bug: what came back as it had left is taken for something that never left.
static void lose_returned(struct sim *sim, Mmorts__Frame__VisionFrame *frame)
{
    size_t at = 0, kept = 0;
    for (size_t e = 0; e < frame->n_empire && frame->n_entered_count; e++) {
        size_t end = at + frame->entered_count[e];
        frame->entered_count[e] = 0;
        for (; at < end; at++) {
            if (sim_returned_whole(sim, frame->empire[e], frame->entered[at], frame->tick))
                continue;
            frame->entered[kept++] = frame->entered[at];
            frame->entered_count[e]++;
        }
    }
    frame->n_entered = kept;
}

void sim_sync_vision(struct sim *sim, const struct sim_message *message)
{
    Mmorts__Frame__VisionFrame *frame =
        mmorts__frame__vision_frame__unpack(NULL, message->bytes->len, message->bytes->data);
    if (sim->options.fault == SIM_FAULT_RETURN_NOT_TOLD)
        lose_returned(sim, frame);
    sync_core_push_vision(&sim->sync.core, message->epoch, frame);
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

struct sim_client *sim_seat_next(struct sim *sim, const struct sim_seat *seat,
                                 const struct sim_client *previous)
{
    size_t first = (size_t)(seat - sim->seats);
    for (size_t i = previous ? (size_t)(previous - sim->clients) + SIM_EMPIRES : first;
         i < SIM_CLIENTS; i += SIM_EMPIRES)
        if (sim_is_seated(&sim->clients[i]))
            return &sim->clients[i];
    return NULL;
}

static void close_view(struct sim *sim, struct sim_seat *seat)
{
    if (seat->view) {
        sync_core_view_close(&sim->sync.core, seat->view);
        (void)sync_served_change(&sim->sync.serving.served);
    }
    seat->view = NULL;
    seat->view_call = 0;
    seat->trail_count = 0;
}

static void leave(struct sim *sim, struct sim_client *client)
{
    struct sim_seat *seat = sim_seat_of(sim, client);
    bool seated = sim_is_seated(client);
    sim_owing_forget(client);
    if (seated)
        (void)sim_trail_keep(sim, client);
    client->life++;
    client->state = SIM_OFFLINE;
    client->breaking = false;
    if (!seated || sim_seat_next(sim, seat, NULL))
        return;
    struct sync_holding *holding = sync_stock_holding(&sim->sync.core.stock, seat->view->empire);
    if (holding)
        sync_holding_unwatch(holding);
    if (seat->trail_count == 0)
        close_view(sim, seat);
}

// Nobody goes on from a view that is not live.
static void sweep(struct sim *sim, struct sim_seat *seat)
{
    if (!seat->view)
        return;
    sim_trails_expire(sim, seat);
    if (!sim_seat_next(sim, seat, NULL) &&
        (seat->trail_count == 0 || seat->view->state != SYNC_VIEW_LIVE))
        close_view(sim, seat);
}

static void join(struct sim *sim, struct sim_client *client)
{
    client->state = SIM_JOINING;
    client->call_until = sim->round + CALL_ROUNDS;
    client->life++;
    sim_send(sim, (struct sim_message){.kind = SIM_JOIN,
                                       .from = SIM_SYNC,
                                       .to = SIM_WORLD,
                                       .call = (uint64_t)(client - sim->clients),
                                       .a = sim_player_of(sim, client),
                                       .tick = client->life});
}

static void joined(struct sim *sim, const struct sim_message *reply)
{
    struct sim_client *client = &sim->clients[reply->call];
    struct sim_seat *seat = sim_seat_of(sim, client);
    if (client->state != SIM_JOINING || client->life != reply->tick)
        return;
    client->player.empire = (uint32_t)reply->b;
    client->tick_min = client->player.last_tick;
    if (seat->next_seq <= reply->seq)
        seat->next_seq = reply->seq + 1;
    if (!seat->view) {
        seat->view = sync_core_view_open(&sim->sync.core, client->player.empire);
        seat->view->user = seat;
        seat->view_retry = sim->round;
        seat->served_from = sync_served_change(&sim->sync.serving.served);
    }
    sim->report->joins_beside += sim_seat_next(sim, seat, NULL) != NULL;
    client->state = SIM_LOOKING;
    sim->report->joins++;
}

static void ask_view(struct sim *sim, struct sim_seat *seat)
{
    if (seat->view_call && sim->round >= seat->view_until) {
        seat->view_call = 0;
        seat->view_retry = sim->round + RETRY_ROUNDS;
    }
    if (!seat->view || !sim_seat_next(sim, seat, NULL) || seat->view->state != SYNC_VIEW_WAITING ||
        seat->view_call || sim->round < seat->view_retry || !sim->sync.core.mirror.loaded ||
        (sim->parts && sim->options.fault != SIM_FAULT_SET_NOT_AWAITED &&
         !sync_served_has(&sim->sync.serving.served, seat->served_from)))
        return;
    seat->view_call = ++sim->calls;
    seat->view_until = sim->round + CALL_ROUNDS;
    sim_send(sim, (struct sim_message){.kind = SIM_GET_VIEW,
                                       .from = SIM_SYNC,
                                       .to = SIM_VISION,
                                       .call = seat->view_call,
                                       .a = seat->view->empire,
                                       .units = {sim->sync.life, seat->served_from}});
}

static void got_view(struct sim *sim, const struct sim_message *reply)
{
    for (size_t i = 0; i < SIM_EMPIRES; i++) {
        struct sim_seat *seat = &sim->seats[i];
        if (seat->view_call == 0 || seat->view_call != reply->call)
            continue;
        seat->view_call = 0;
        seat->view_retry = sim->round + RETRY_ROUNDS;
        if (!reply->flag || !seat->view || seat->view->state != SYNC_VIEW_WAITING)
            return;
        Mmorts__Frame__VisionFrame *view =
            mmorts__frame__vision_frame__unpack(NULL, reply->bytes->len, reply->bytes->data);
        enum mm_err err = sync_core_view_load(&sim->sync.core, seat->view, reply->epoch, view);
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
    else
        sim_serving_take(sim, message);
    for (size_t i = 0; i < SIM_EMPIRES && message->kind == SIM_SERVE_REPLY; i++)
        ask_view(sim, &sim->seats[i]);
}

// --- life ----------------------------------------------------------------------------------------

// So many messages more, at most, will arrive; sync notices later.
void sim_sync_break(struct sim *sim, struct sim_client *client, uint64_t messages)
{
    if (client->breaking)
        return;
    client->breaking = true;
    client->arrives = sim_chance(sim, 5000) ? 0 : (uint32_t)sim_below(sim, messages);
    client->noticed_at = sim->round + sim_below(sim, 20);
}

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
    if (!sim->calm && sim_chance(sim, w->reconnect))
        sim_sync_break(sim, client, 8);
    if (!sim->calm && client->state == SIM_PLAYING && sim_chance(sim, w->again)) {
        if (sim_chance(sim, 5000))
            sim_sync_break(sim, client, 3);
        sim_deliver_again(sim, client);
    }
    if (client->breaking && sim->round >= client->noticed_at) {
        leave(sim, client);
        client->offline_until = sim->round + sim_below(sim, sim_chance(sim, 3000) ? 300 : 60);
        if (sim_chance(sim, 1000)) // comes back as another program
            client->encoding = client->encoding == SYNC_JSON ? SYNC_BINARY : SYNC_JSON;
    }
}

void sim_sync_round(struct sim *sim)
{
    if (!sim->sync.up) {
        if (sim->round >= sim->sync.up_at)
            sim_sync_start(sim);
        return;
    }
    for (size_t i = 0; i < SIM_EMPIRES && sim->round % SWEEP_ROUNDS == 0; i++)
        sweep(sim, &sim->seats[i]);
    for (size_t i = 0; i < SIM_CLIENTS; i++)
        if (sim->clients[i].exists)
            client_round(sim, &sim->clients[i]);
    for (size_t i = 0; i < SIM_EMPIRES; i++)
        ask_view(sim, &sim->seats[i]);
    sim_serving_round(sim);
}

void sim_sync_start(struct sim *sim)
{
    if (sync_core_init(&sim->sync.core) != MM_OK)
        abort();
    if (sim->resume_ticks > 0)
        sync_core_keep_history(&sim->sync.core, sim->resume_ticks, LOG_BYTES);
    sync_encoder_init(&sim->sync.encoder);
    sync_delta_init(&sim->sync.part);
    sync_delta_init(&sim->sync.news);
    mm_buf_init(&sim->sync.out, SYNC_FULL_BYTES_MAX);
    sim->sync.up = true;
    sim_reader_open(sim, SIM_SYNC_TICKS, 0, 0);
    if (!sim->parts)
        sim_reader_open(sim, SIM_SYNC_VISIONS, 0, 0);
    sim_serving_start(sim);
    sim_reader_open(sim, SIM_SYNC_PRODUCTIONS, 0, 0);
}

static void stop(struct sim *sim)
{
    if (!sim->sync.up)
        return;
    for (size_t i = 0; i < SIM_CLIENTS; i++)
        leave(sim, &sim->clients[i]);
    for (size_t i = 0; i < SIM_EMPIRES; i++)
        close_view(sim, &sim->seats[i]);
    sync_core_free(&sim->sync.core);
    sync_encoder_free(&sim->sync.encoder);
    sync_delta_free(&sim->sync.part);
    sync_delta_free(&sim->sync.news);
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
    for (size_t i = 0; i < SIM_CLIENTS; i++) {
        struct sim_client *client = &sim->clients[i];
        sim_seat_of(sim, client)->next_seq = 1;
        client->exists = i < SIM_EMPIRES || (sim->several && sim_chance(sim, 5000));
        if (!client->exists)
            continue;
        client->offline_until = i < 2 ? 0 : sim_below(sim, 300);
        client->encoding = sim_chance(sim, 5000) ? SYNC_BINARY : SYNC_JSON;
        if (i >= SIM_EMPIRES && sim_chance(sim, 5000)) // the same program twice
            client->encoding = sim->clients[i % SIM_EMPIRES].encoding;
        wire_decoder_init(&client->player.decoder);
        if (sim_chance(sim, 3000)) {
            client->player.has_budget = true;
            client->bytes_per_second = 300 + (uint32_t)sim_below(sim, 5000);
            client->bytes_carried = 200 + (uint32_t)sim_below(sim, 4000);
        }
    }
    sim_sync_start(sim);
}

void sim_sync_free(struct sim *sim)
{
    stop(sim);
    for (size_t i = 0; i < SIM_CLIENTS; i++)
        if (sim->clients[i].exists)
            wire_decoder_free(&sim->clients[i].player.decoder);
}
