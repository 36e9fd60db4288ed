#include "libcommon/base/alloc.h"
#include "libcommon/base/log.h"
#include "libcommon/io/trace.h"
#include "services/sync/app.h"
#include "services/sync/rooms.h"
#include "services/sync/sessions.h"

#define SCRATCH_BYTES  ((size_t)4 << 20)
#define SESSIONS_BYTES ((size_t)64 << 10)
#define DRAIN_CHECK_MS 50

// --- timers --------------------------------------------------------------------------------------

static void on_sweep(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)timer;
    struct sync_app *app = arg;
    if (app->settings.huge_pages)
        (void)mm_alloc_ask_huge_pages();
    sync_clients_sweep(app);
    sync_seats_sweep(app);
    sync_trails_trim(app);
    sync_join_recheck(app);
    sync_recipes_ask(app);
    sync_roster_ask(app);
    sync_roster_sweep(app);
    sync_rooms_sweep(app);
    sync_sessions_ask(app);
    sync_route_flush(loop, app);
    sync_deliver_soon(app);
}

static void on_talk(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop;
    (void)timer;
    sync_clients_release(arg);
}

static void on_pace(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop;
    (void)timer;
    sync_deliver_soon(arg);
}

static void on_heartbeat(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop;
    (void)timer;
    if (!sync_presence_heartbeat(arg))
        return;
    sync_groups_ask(arg);
    sync_mail_ask(arg);
}

static void on_beat(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop;
    (void)timer;
    sync_presence_beat(arg);
}

// --- start ---------------------------------------------------------------------------------------

static enum mm_err init_state(struct sync_app *app)
{
    size_t clients_max = (size_t)app->settings.clients_max + SYNC_REFUSED_CLIENTS_MAX;
    mm_vec_init(&app->clients, clients_max);
    mm_vec_init(&app->dead, 2 * clients_max);
    mm_vec_init(&app->owing, clients_max);
    sync_delta_init(&app->part);
    app->priorities = (struct sync_priorities){{(uint32_t)app->settings.band_critical,
                                                (uint32_t)app->settings.band_high,
                                                (uint32_t)app->settings.band_normal}};
    mm_vec_init(&app->waiting, SYNC_COMMANDS_WAITING_MAX);
    mm_vec_init(&app->roster, SYNC_ROSTER_MAX);
    mm_vec_init(&app->roster_meanwhile, SYNC_ROSTER_MAX);
    mm_vec_init(&app->listed, SYNC_ROSTER_TOLD_MAX);
    app->roster_news = sync_bucket_full(SYNC_ROSTER_NEWS, SYNC_ROSTER_NEWS_BURST,
                                        mm_loop_now_ns(app->loop) / 1000000);
    mm_buf_init(&app->full_buf, SYNC_FULL_BYTES_MAX);
    mm_buf_init(&app->scratch, SCRATCH_BYTES);
    mm_buf_init(&app->resumed_buf, SCRATCH_BYTES);
    sync_delta_init(&app->news);
    sync_delta_init(&app->folded);
    mm_buf_init(&app->sessions_json, SESSIONS_BYTES);
    sync_encoder_init(&app->encoder);
    app->burst = sync_burst_new();
    if (!app->burst)
        MM_LOG_INFO("no io_uring: every update is a system call");
    app->client_of_connection = mm_idmap_new(clients_max + 1);
    app->seat_of_player = mm_idmap_new(clients_max + 1);
    app->address_counts = app->lobby ? app->lobby->address_counts : mm_idmap_new(clients_max + 1);
    app->roster_index = mm_idmap_new(SYNC_ROSTER_MAX + 1);
    app->read_buf = mm_malloc(SYNC_READ_BYTES);
    if (!app->client_of_connection || !app->seat_of_player || !app->address_counts ||
        !app->roster_index || !app->read_buf || !(app->deflate = sync_deflate_new()))
        return MM_RESOURCE_EXHAUSTED;
    enum mm_err err = sync_core_init(&app->core);
    app->core.mirror.progress = mm_loop_progress(app->loop);
    sync_core_keep_history(&app->core, (unsigned)app->settings.resume_ticks,
                           (size_t)app->settings.resume_log_bytes);
    return err;
}

enum mm_err sync_app_open(struct sync_app *app)
{
    app->started_ns = app->stepped_ns = mm_loop_now_ns(app->loop);
    mm_loop_task_init(&app->deliver_task, sync_deliver, app);
    mm_loop_task_init(&app->flush_task, sync_route_flush, app);
    mm_loop_timer_init(&app->sweep, on_sweep, app);
    mm_loop_timer_init(&app->heartbeat, on_heartbeat, app);
    mm_loop_timer_init(&app->beat, on_beat, app);
    mm_loop_timer_init(&app->talk, on_talk, app);
    mm_loop_timer_init(&app->pacer, on_pace, app);
    enum mm_err err = init_state(app);
    if (err == MM_OK)
        err = sync_feeds_open(app);
    if (err == MM_OK)
        err = sync_talk_open(app);
    if (err != MM_OK)
        return err;
    mm_loop_timer_start(app->loop, &app->sweep, MM_LOOP_MS(SYNC_SWEEP_MS),
                        MM_LOOP_MS(SYNC_SWEEP_MS));
    uint64_t heartbeat_ns = MM_LOOP_MS(app->settings.heartbeat_ms) / SYNC_HEARTBEAT_PARTS;
    mm_loop_timer_start(app->loop, &app->heartbeat, heartbeat_ns, heartbeat_ns);
    mm_loop_timer_start(app->loop, &app->beat, 0, MM_LOOP_MS(app->settings.beat_ms));
    return MM_OK;
}

enum mm_err sync_start_service(struct mm_service *service, void *state)
{
    struct sync_app *app = state;
    app->service = service;
    app->loop = mm_service_loop(service);
    if (app->settings.huge_pages)
        mm_alloc_keep_together();
    app->session = mm_service_session(service);
    app->auth = mm_service_peer(service, "auth");
    app->world = mm_service_peer(service, "world");
    app->vision = mm_service_peer(service, "vision");
    app->production = mm_service_peer(service, "production");
    app->social = mm_service_peer(service, "social");
    app->world_url = mm_service_stream_peer(service, "world");
    app->vision_url = mm_service_stream_peer(service, "vision");
    app->production_url = mm_service_stream_peer(service, "production");
    mm_random_bytes(app->instance, sizeof app->instance);
    mm_vec_init(&app->rooms, (size_t)app->settings.rooms_max);
    sync_metrics_open(app);
    app->feeds_condition = mm_service_condition_add(service, "streams of world and vision");
    sync_rpc_register(app);
    enum mm_err err = sync_app_open(app);
    return err == MM_OK ? sync_listener_open(app) : err;
}

// --- end -----------------------------------------------------------------------------------------

// Before the close, with what another instance or the next one has to be shown.
static void send_going_away(struct sync_client *client)
{
    struct mm_buf *out = &client->app->scratch;
    if (client->state != SYNC_CLIENT_PLAYING)
        return;
    mm_buf_reset(out);
    MM_BUF_LIT(out, "{\"type\":\"going_away\",\"payload\":{\"reason\":\"restart\"");
    if (client->app->settings.resume_ticks > 0)
        sync_trail_write_token(client, out);
    MM_BUF_LIT(out, "}}");
    sync_client_send(client, out);
}

uint32_t sync_drain(struct sync_app *app)
{
    app->draining = true;
    uint32_t closing = 0;
    if (app->listener)
        mm_http_server_drain(app->listener);
    for (size_t i = app->clients.count; i-- > 0;) {
        if (i >= app->clients.count || app->clients.items[i]->state >= SYNC_CLIENT_CLOSING)
            continue;
        send_going_away(app->clients.items[i]);
        sync_client_close(app->clients.items[i], SYNC_WS_RESTART, "restart", NULL);
        closing++;
    }
    size_t cursor = 1; // its rooms
    for (struct sync_app *room; (room = sync_rooms_next(app, &cursor)) != NULL;)
        closing += sync_drain(room);
    return closing;
}

static void on_drain(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    struct sync_app *app = arg;
    if (sync_rooms_clients(app) > 0)
        return;
    mm_loop_timer_stop(loop, timer);
    mm_service_drained(app->service);
}

void sync_drain_service(struct mm_service *service, void *state)
{
    (void)service;
    struct sync_app *app = state;
    (void)sync_drain(app);
    // The sockets close when the peers have answered; a peer that does not is cut off by the sweep.
    mm_loop_timer_init(&app->drain, on_drain, app);
    mm_loop_timer_start(app->loop, &app->drain, 0, MM_LOOP_MS(DRAIN_CHECK_MS));
}

void sync_app_close(struct sync_app *app)
{
    if (!app->sweep.fn)
        return;
    mm_loop_timer_stop(app->loop, &app->sweep);
    mm_loop_timer_stop(app->loop, &app->heartbeat);
    mm_loop_timer_stop(app->loop, &app->beat);
    mm_loop_timer_stop(app->loop, &app->talk);
    mm_loop_timer_stop(app->loop, &app->pacer);
    sync_feeds_close(app);
    sync_talk_close(app);
    sync_clients_free(app);
    sync_seats_free(app);
    sync_route_free(app);
    mm_loop_defer_cancel(app->loop, &app->deliver_task);
    mm_loop_defer_cancel(app->loop, &app->flush_task);
    sync_core_free(&app->core);
    sync_encoder_free(&app->encoder);
    sync_burst_free(app->burst);
    app->burst = NULL;
    mm_buf_free(&app->full_buf);
    mm_buf_free(&app->scratch);
    mm_buf_free(&app->resumed_buf);
    sync_delta_free(&app->news);
    sync_delta_free(&app->folded);
    mm_buf_free(&app->sessions_json);
    mm_vec_free(&app->roster);
    mm_vec_free(&app->roster_meanwhile);
    mm_vec_free(&app->listed);
    mm_idmap_free(app->client_of_connection);
    mm_idmap_free(app->seat_of_player);
    if (!app->lobby)
        mm_idmap_free(app->address_counts);
    mm_idmap_free(app->roster_index);
    mm_free(app->read_buf);
    sync_deflate_free(app->deflate);
    mm_free(app->recipes_json);
}

void sync_stop_service(struct mm_service *service, void *state)
{
    (void)service;
    struct sync_app *app = state;
    if (!app->loop)
        return;
    if (app->drain.fn)
        mm_loop_timer_stop(app->loop, &app->drain);
    sync_rooms_close(app);
    sync_app_close(app);
    sync_listener_close(app);
}
