#include "services/sync/app.h"
#include "services/sync/rooms.h"

static double clients(void *arg)
{
    return (double)sync_rooms_clients(arg);
}

static double rooms(void *arg)
{
    return (double)((const struct sync_app *)arg)->rooms.count;
}

static double players(void *arg)
{
    size_t count = 0, cursor = 0;
    for (struct sync_app *app; (app = sync_rooms_next(arg, &cursor)) != NULL;)
        count += mm_idmap_count(app->seat_of_player);
    return (double)count;
}

static double behind(void *arg)
{
    size_t count = 0, cursor = 0;
    for (const struct sync_app *app; (app = sync_rooms_next(arg, &cursor)) != NULL;)
        for (size_t i = 0; i < app->clients.count; i++)
            count += app->clients.items[i]->behind;
    return (double)count;
}

static double clients_owed(void *arg)
{
    size_t count = 0, cursor = 0;
    for (const struct sync_app *app; (app = sync_rooms_next(arg, &cursor)) != NULL;)
        count += app->owing.count;
    return (double)count;
}

static double owed(void *arg)
{
    size_t count = 0, cursor = 0;
    for (const struct sync_app *app; (app = sync_rooms_next(arg, &cursor)) != NULL;)
        for (size_t i = 0; i < app->owing.count; i++)
            count += sync_backlog_left(app->owing.items[i]->backlog);
    return (double)count;
}

static double owed_bytes(void *arg)
{
    size_t bytes = 0, cursor = 0;
    for (const struct sync_app *app; (app = sync_rooms_next(arg, &cursor)) != NULL;)
        for (size_t i = 0; i < app->owing.count; i++)
            bytes += sync_backlog_bytes(app->owing.items[i]->backlog);
    return (double)bytes;
}

static double waiting_bytes(void *arg)
{
    size_t bytes = 0, cursor = 0;
    for (const struct sync_app *app; (app = sync_rooms_next(arg, &cursor)) != NULL;)
        for (size_t i = 0; i < app->clients.count; i++)
            bytes += sync_outbox_waiting(&app->clients.items[i]->outbox);
    return (double)bytes;
}

static double bytes_out(void *arg)
{
    uint64_t bytes = 0;
    size_t cursor = 0;
    for (const struct sync_app *app; (app = sync_rooms_next(arg, &cursor)) != NULL;) {
        bytes += app->bytes_out;
        for (size_t i = 0; i < app->clients.count; i++)
            bytes += app->clients.items[i]->outbox.bytes_total;
    }
    return (double)bytes;
}

static double messages_out(void *arg)
{
    uint64_t messages = 0;
    size_t cursor = 0;
    for (const struct sync_app *app; (app = sync_rooms_next(arg, &cursor)) != NULL;) {
        messages += app->messages_out;
        for (size_t i = 0; i < app->clients.count; i++)
            messages += app->clients.items[i]->outbox.frames_total;
    }
    return (double)messages;
}

static double tick(void *arg)
{
    const struct sync_app *app = arg;
    return (double)app->core.mirror.tick;
}

static double entities(void *arg)
{
    const struct sync_app *app = arg;
    return (double)app->core.mirror.entity_count;
}

static double views_live(void *arg)
{
    const struct sync_app *app = arg;
    return (double)app->core.live_count;
}

static double log_bytes(void *arg)
{
    size_t bytes = 0, cursor = 0;
    for (const struct sync_app *app; (app = sync_rooms_next(arg, &cursor)) != NULL;)
        for (size_t i = 0; i < app->core.views.count; i++)
            if (app->core.views.items[i])
                bytes += sync_history_bytes(&app->core.views.items[i]->history);
    return (double)bytes;
}

static double seats_kept(void *arg)
{
    size_t count = 0, cursor = 0;
    for (const struct sync_app *app; (app = sync_rooms_next(arg, &cursor)) != NULL;)
        count += app->seats_kept;
    return (double)count;
}

static double shared(void *arg)
{
    const struct sync_app *app = arg;
    return (double)app->encoder.fragments_shared;
}

static double made(void *arg)
{
    const struct sync_app *app = arg;
    return (double)app->encoder.fragments_made;
}

static double resyncs(void *arg)
{
    const struct sync_app *app = arg;
    return (double)app->core.counts.views_frozen;
}

static double odd(void *arg)
{
    const struct sync_app *app = arg;
    return (double)app->core.counts.odd_entities;
}

static double deflate_in(void *arg)
{
    const struct sync_app *app = arg;
    return (double)sync_deflate_bytes_in(app->deflate);
}

static double deflate_out(void *arg)
{
    const struct sync_app *app = arg;
    return (double)sync_deflate_bytes_out(app->deflate);
}

static void add_computed(struct sync_app *app, struct mm_metrics *m)
{
    mm_metrics_gauge_fn(m, "mmorts_sync_clients", "Connections.", NULL, clients, app);
    mm_metrics_gauge_fn(m, "mmorts_sync_rooms", "Sessions served besides the own one.", NULL, rooms,
                        app);
    mm_metrics_gauge_fn(m, "mmorts_sync_players", "Players in the game.", NULL, players, app);
    mm_metrics_gauge_fn(m, "mmorts_sync_clients_behind",
                        "Clients whose socket is full and who will get a full state.", NULL, behind,
                        app);
    mm_metrics_gauge_fn(m, "mmorts_sync_clients_owed",
                        "Clients whose bytes are used up and who are told the rest later.", NULL,
                        clients_owed, app);
    mm_metrics_gauge_fn(m, "mmorts_sync_owed", "Entities and hexes they are still to be told of.",
                        NULL, owed, app);
    mm_metrics_gauge_fn(m, "mmorts_sync_owed_bytes", "Memory of what they are owed.", NULL,
                        owed_bytes, app);
    mm_metrics_gauge_fn(m, "mmorts_sync_waiting_bytes", "Bytes behind full sockets.", NULL,
                        waiting_bytes, app);
    mm_metrics_gauge_fn(m, "mmorts_sync_tick", "The tick clients are at.", NULL, tick, app);
    mm_metrics_gauge_fn(m, "mmorts_sync_entities", "Entities in the mirror.", NULL, entities, app);
    mm_metrics_gauge_fn(m, "mmorts_sync_views_live", "Views that follow tick by tick.", NULL,
                        views_live, app);
    mm_metrics_gauge_fn(m, "mmorts_sync_delta_log_bytes", "Memory of the views' logs.", NULL,
                        log_bytes, app);
    mm_metrics_gauge_fn(m, "mmorts_sync_views_kept", "Views kept for players who may come back.",
                        NULL, seats_kept, app);
    mm_metrics_counter_fn(m, "mmorts_sync_views_frozen_total",
                          "Views that had to be asked for anew.", NULL, resyncs, app);
    mm_metrics_counter_fn(m, "mmorts_sync_inconsistencies_total",
                          "Things vision said that do not fit world's frames.", NULL, odd, app);
    mm_metrics_counter_fn(m, "mmorts_sync_fragments_total", "Changes put into messages.",
                          MM_LABELS("how", "encoded"), made, app);
    mm_metrics_counter_fn(m, "mmorts_sync_fragments_total", "Changes put into messages.",
                          MM_LABELS("how", "shared"), shared, app);
    mm_metrics_counter_fn(m, "mmorts_sync_sent_bytes_total", "Bytes given to players' sockets.",
                          NULL, bytes_out, app);
    mm_metrics_counter_fn(m, "mmorts_sync_sent_messages_total", "Messages sent to players.", NULL,
                          messages_out, app);
    mm_metrics_counter_fn(m, "mmorts_sync_deflate_bytes_total", "Bytes of messages compressed.",
                          MM_LABELS("side", "in"), deflate_in, app);
    mm_metrics_counter_fn(m, "mmorts_sync_deflate_bytes_total", "Bytes of messages compressed.",
                          MM_LABELS("side", "out"), deflate_out, app);
}

void sync_metrics_open(struct sync_app *app)
{
    static const uint64_t interval_us[] = {10000, 25000, 40000,  45000,  50000,  55000,
                                           60000, 75000, 100000, 200000, 500000, 1100000};
    static const uint64_t bytes[] = {64, 128, 256, 512, 1024, 2048, 4096, 16384, 65536};
    struct mm_metrics *m = mm_service_metrics(app->service);
    struct sync_metrics *own = &app->metrics;
    own->joins = mm_metrics_counter(m, "mmorts_sync_joins_total", "Players let in.", NULL);
    own->refused = mm_metrics_counter(m, "mmorts_sync_refused_total", "Connections refused.", NULL);
    own->replaced = mm_metrics_counter(m, "mmorts_sync_replaced_total",
                                       "Connections replaced by a newer one.", NULL);
    own->kills = mm_metrics_counter(m, "mmorts_sync_kills_total",
                                    "Connections ended without a close.", NULL);
    own->messages_in =
        mm_metrics_counter(m, "mmorts_sync_received_messages_total", "Messages of players.", NULL);
    own->bytes_in =
        mm_metrics_counter(m, "mmorts_sync_received_bytes_total", "Bytes of players.", NULL);
    own->rate_limited = mm_metrics_counter(m, "mmorts_sync_rate_limited_total",
                                           "Messages refused for their rate.", NULL);
    for (size_t i = 0; i < SYNC_RESUME_RESULTS; i++)
        own->resumes[i] =
            mm_metrics_counter(m, "mmorts_sync_resumes_total",
                               "Clients that came back with a token, and what became of it.",
                               MM_LABELS("result", sync_resume_words[i]));
    own->caught_up = mm_metrics_counter(m, "mmorts_sync_catch_ups_total",
                                        "Clients whose socket was full and is free again.",
                                        MM_LABELS("result", "difference"));
    own->not_caught_up = mm_metrics_counter(m, "mmorts_sync_catch_ups_total",
                                            "Clients whose socket was full and is free again.",
                                            MM_LABELS("result", "full"));
    own->fulls = mm_metrics_counter(m, "mmorts_sync_full_states_total", "Full states begun.", NULL);
    own->behinds =
        mm_metrics_counter(m, "mmorts_sync_behind_total", "How often a client fell behind.", NULL);
    own->throttled = mm_metrics_counter(m, "mmorts_sync_throttled_total",
                                        "How often a client's bytes were used up.", NULL);
    own->deferred =
        mm_metrics_counter(m, "mmorts_sync_deferred_total",
                           "News of entities and hexes that were not told in their tick.", NULL);
    own->folded = mm_metrics_counter(m, "mmorts_sync_folded_ticks_total",
                                     "Ticks that were told together with later ones.", NULL);
    own->missed = mm_metrics_counter(m, "mmorts_sync_missed_messages_total",
                                     "Chat and news that clients were too slow to take.", NULL);
    own->overflows = mm_metrics_counter(m, "mmorts_sync_backlog_overflows_total",
                                        "Full states for clients that were owed too much.", NULL);
    const char *commands = "mmorts_sync_commands_total", *help = "Commands answered.";
    own->commands_ok = mm_metrics_counter(m, commands, help, MM_LABELS("result", "ok"));
    own->commands_failed = mm_metrics_counter(m, commands, help, MM_LABELS("result", "error"));
    own->join_latency = mm_metrics_latency(m, "mmorts_sync_join_seconds",
                                           "From the connection to the welcome.", NULL);
    own->command_latency =
        mm_metrics_latency(m, "mmorts_sync_command_seconds", "From a command to its answer.", NULL);
    own->wait_time = mm_metrics_latency(
        m, "mmorts_sync_wait_seconds",
        "For how long ticks are kept back, to be told at even distances (updates.even).", NULL);
    own->step_time = mm_metrics_latency(m, "mmorts_sync_step_seconds",
                                        "Applying a tick to the mirror and the views.", NULL);
    own->deliver_time =
        mm_metrics_latency(m, "mmorts_sync_deliver_seconds", "Encoding and sending a tick.", NULL);
    own->update_interval = mm_metrics_histogram(
        m, "mmorts_sync_update_interval_seconds", "Time between two updates of a client.", NULL,
        interval_us, sizeof interval_us / sizeof *interval_us, 1e-6);
    own->update_bytes =
        mm_metrics_histogram(m, "mmorts_sync_update_bytes", "Bytes of a client's update.", NULL,
                             bytes, sizeof bytes / sizeof *bytes, 1);
    add_computed(app, m);
}
