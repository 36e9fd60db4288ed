#include <inttypes.h>
#include <string.h>

#include "libcommon/base/alloc.h"
#include "libcommon/base/log.h"
#include "libcommon/base/str.h"
#include "libcommon/io/address.h"
#include "libcommon/io/trace.h"
#include "services/sync/app.h"
#include "services/sync/rooms.h"
#include "services/sync/sessions.h"

#define SETTING(member) offsetof(struct sync_app, settings.member)
#define SCRATCH_BYTES   ((size_t)4 << 20)
#define SESSIONS_BYTES  ((size_t)64 << 10)
#define DRAIN_CHECK_MS  50

const struct mm_config_field sync_fields[] = {
    {.path = "players.listen",
     .type = MM_CONFIG_STRING,
     .offset = SETTING(listen),
     .fallback = "127.0.0.1:8080",
     .help = "where players connect"},
    {.path = "players.reuse_port",
     .type = MM_CONFIG_BOOL,
     .offset = SETTING(reuse_port),
     .fallback = "false",
     .help = "other sync processes listen there too, each for its share of the players"},
    {.path = "players.web",
     .type = MM_CONFIG_STRING,
     .offset = SETTING(web_dir),
     .fallback = "web",
     .help = "directory of the web client; empty: none is served"},
    {.path = "players.login_url",
     .type = MM_CONFIG_STRING,
     .offset = SETTING(login_url),
     .fallback = "http://127.0.0.1:7108",
     .help = "base URL of the login server, told to the web client"},
    {.path = "vision.empires",
     .type = MM_CONFIG_STRING,
     .offset = SETTING(empires),
     .fallback = "all",
     .choices = "all|served",
     .help = "whose sight is read: everybody's, or that of the empires served here, for where "
             "several sync processes serve the session"},
    {.path = "players.origins",
     .type = MM_CONFIG_STRINGS,
     .offset = SETTING(origins),
     .fallback = "",
     .help = "web origins that may connect, as https://game.example; none named: any"},
    {.path = "players.proxies",
     .type = MM_CONFIG_STRINGS,
     .offset = SETTING(proxies),
     .fallback = "",
     .help = "addresses or networks of the proxies in front, whose X-Forwarded-For says where a "
             "player connects from; none named: every peer is the player's own address"},
    {.path = "players.tls.certificate",
     .type = MM_CONFIG_STRING,
     .offset = SETTING(tls_certificate),
     .fallback = "",
     .help = "PEM file, this server's certificate and those above it; empty: no TLS"},
    {.path = "players.tls.key",
     .type = MM_CONFIG_STRING,
     .offset = SETTING(tls_key),
     .fallback = "",
     .help = "PEM file, the certificate's key"},
    {.path = "players.connections",
     .type = MM_CONFIG_STRING,
     .offset = SETTING(connections),
     .fallback = "replace",
     .choices = "replace|refuse|allow",
     .help = "a player who is connected connects again: the older connection ends, the newer one "
             "is refused, or both play"},
    {.path = "players.connections_max",
     .type = MM_CONFIG_INT,
     .offset = SETTING(connections_max),
     .fallback = "4",
     .min = 1,
     .max = 16,
     .unit = "connections",
     .help = "of one player at once, where several are allowed"},
    {.path = "players.compression",
     .type = MM_CONFIG_STRING,
     .offset = SETTING(compression),
     .fallback = "snapshots",
     .choices = "off|snapshots|all",
     .help = "permessage-deflate for clients that offer it: never, for all but updates, for all"},
    {.path = "limits.clients_max",
     .type = MM_CONFIG_INT,
     .offset = SETTING(clients_max),
     .fallback = "1000",
     .min = 1,
     .max = 20000,
     .unit = "connections",
     .help = "more are told server_full"},
    {.path = "limits.clients_per_address",
     .type = MM_CONFIG_INT,
     .offset = SETTING(clients_per_address),
     .fallback = "1000",
     .min = 1,
     .max = 20000,
     .unit = "connections",
     .help = "from one network address"},
    {.path = "limits.handshakes_per_second",
     .type = MM_CONFIG_INT,
     .offset = SETTING(handshakes_per_second),
     .fallback = "50",
     .min = 0,
     .max = 10000,
     .unit = "handshakes",
     .help = "from one network address, limits.clients_per_address more at once. 0: any number"},
    {.path = "limits.logins_per_minute",
     .type = MM_CONFIG_INT,
     .offset = SETTING(logins_per_minute),
     .fallback = "60",
     .min = 0,
     .max = SYNC_RATES_BURST_MAX,
     .unit = "logins",
     .help = "of one player, as many at once. 0: any number"},
    {.path = "limits.messages_per_second",
     .type = MM_CONFIG_INT,
     .offset = SETTING(messages_per_second),
     .fallback = "50",
     .min = 1,
     .max = 10000,
     .unit = "messages",
     .help = "of one client, twice that at once"},
    {.path = "limits.orders_per_second",
     .type = MM_CONFIG_INT,
     .offset = SETTING(orders_per_second),
     .fallback = "20",
     .min = 1,
     .max = 10000,
     .unit = "commands",
     .help = "move, stop and the like; twice that at once"},
    {.path = "limits.trains_per_second",
     .type = MM_CONFIG_INT,
     .offset = SETTING(trains_per_second),
     .fallback = "5",
     .min = 1,
     .max = 10000,
     .unit = "commands",
     .help = "train and cancel; four times that at once"},
    {.path = "limits.chats_per_second",
     .type = MM_CONFIG_INT,
     .offset = SETTING(chats_per_second),
     .fallback = "2",
     .min = 1,
     .max = 10000,
     .unit = "messages",
     .help = "chat that is passed on to social, ten times that at once; social has its own limit"},
    {.path = "limits.send_waiting",
     .type = MM_CONFIG_INT,
     .offset = SETTING(send_waiting_bytes),
     .fallback = "65536",
     .min = 4096,
     .max = 16 << 20,
     .unit = "bytes",
     .help = "kept behind a full socket before the client skips updates"},
    {.path = "limits.send_buffer",
     .type = MM_CONFIG_INT,
     .offset = SETTING(send_buffer_bytes),
     .fallback = "131072",
     .min = 4096,
     .max = 16 << 20,
     .unit = "bytes",
     .help = "the kernel's buffer of a client's socket"},
    {.path = "limits.bytes_per_second",
     .type = MM_CONFIG_INT,
     .offset = SETTING(bytes_per_second),
     .fallback = "50000",
     .min = 0,
     .max = 1000000000,
     .unit = "bytes",
     .help = "of updates to one client; what is beyond waits, what matters most is told first. "
             "0: any number"},
    {.path = "limits.bytes_carried",
     .type = MM_CONFIG_INT,
     .offset = SETTING(bytes_carried),
     .fallback = "100000",
     .min = 1000,
     .max = 1000000000,
     .unit = "bytes",
     .help = "of those that a client did not use are kept for later, at most"},
    {.path = "priorities.critical",
     .type = MM_CONFIG_INT,
     .offset = SETTING(band_critical),
     .fallback = "5",
     .min = 0,
     .max = 100000,
     .unit = "hexes",
     .help = "so near to what is one's own, others' entities are as important as that"},
    {.path = "priorities.high",
     .type = MM_CONFIG_INT,
     .offset = SETTING(band_high),
     .fallback = "15",
     .min = 0,
     .max = 100000,
     .unit = "hexes",
     .help = "up to here half as important"},
    {.path = "priorities.normal",
     .type = MM_CONFIG_INT,
     .offset = SETTING(band_normal),
     .fallback = "40",
     .min = 0,
     .max = 100000,
     .unit = "hexes",
     .help = "up to here a quarter, beyond an eighth"},
    {.path = "timeouts.behind",
     .type = MM_CONFIG_DURATION,
     .offset = SETTING(behind_ms),
     .fallback = "30s",
     .min = 1000,
     .max = 600000,
     .help = "a client that cannot take what waits for it is cut off"},
    {.path = "timeouts.login",
     .type = MM_CONFIG_DURATION,
     .offset = SETTING(login_ms),
     .fallback = "15s",
     .min = 1000,
     .max = 600000,
     .help = "from the handshake to the welcome"},
    {.path = "timeouts.ping",
     .type = MM_CONFIG_DURATION,
     .offset = SETTING(ping_ms),
     .fallback = "20s",
     .min = 1000,
     .max = 600000,
     .help = "a client silent that long is pinged"},
    {.path = "timeouts.idle",
     .type = MM_CONFIG_DURATION,
     .offset = SETTING(idle_ms),
     .fallback = "45s",
     .min = 2000,
     .max = 600000,
     .help = "a client silent that long is cut off"},
    {.path = "timeouts.command",
     .type = MM_CONFIG_DURATION,
     .offset = SETTING(command_ms),
     .fallback = "3s",
     .min = 100,
     .max = 60000,
     .help = "a command without an answer is answered 'timeout'"},
    {.path = "timeouts.answer",
     .type = MM_CONFIG_DURATION,
     .offset = SETTING(answer_ms),
     .fallback = "4s",
     .min = 1000,
     .max = 600000,
     .help = "a client that keeps another connection of its player out is pinged, and cut off when "
             "it is silent for so long"},
    {.path = "updates.even",
     .type = MM_CONFIG_DURATION,
     .offset = SETTING(even_ms),
     .fallback = "10ms",
     .min = 0,
     .max = 40,
     .help = "ticks wait at most so long to be told as evenly as if none came late; 0: none does"},
    {.path = "presence.heartbeat",
     .type = MM_CONFIG_DURATION,
     .offset = SETTING(heartbeat_ms),
     .fallback = "5s",
     .min = 500,
     .max = 60000,
     .help = "in which social hears of everybody who is here, a tenth at a time"},
    {.path = "presence.beat",
     .type = MM_CONFIG_DURATION,
     .offset = SETTING(beat_ms),
     .fallback = "1s",
     .min = 100,
     .max = 60000,
     .help = "how often social hears that this process lives"},
    {.path = "presence.silent",
     .type = MM_CONFIG_DURATION,
     .offset = SETTING(silent_ms),
     .fallback = "4s",
     .min = 200,
     .max = 600000,
     .help = "a process not heard of for so long keeps no player from another one"},
    {.path = "resume.max_delta_age",
     .type = MM_CONFIG_INT,
     .offset = SETTING(resume_ticks),
     .fallback = "200",
     .min = 0,
     .max = SYNC_HISTORY_TICKS_MAX,
     .unit = "ticks",
     .help = "a client away for no longer is told what it missed, another everything; 0: all are"},
    {.path = "resume.log",
     .type = MM_CONFIG_INT,
     .offset = SETTING(resume_log_bytes),
     .fallback = "16384",
     .min = 1024,
     .max = SYNC_HISTORY_BYTES_MAX,
     .unit = "bytes",
     .help = "the log of one view at most; it reaches back less far then"},
    {.path = "resume.reconcile",
     .type = MM_CONFIG_INT,
     .offset = SETTING(resume_reconcile_ticks),
     .fallback = "100",
     .min = 1,
     .max = 12000,
     .unit = "ticks",
     .help = "each view's log is cut to what may be needed at least that often"},
    {.path = "resume.views_max",
     .type = MM_CONFIG_INT,
     .offset = SETTING(resume_views_max),
     .fallback = "1000",
     .min = 0,
     .max = 20000,
     .unit = "views",
     .help = "kept at once for players who may come back"},
    {.path = "memory.huge_pages",
     .type = MM_CONFIG_BOOL,
     .offset = SETTING(huge_pages),
     .fallback = "true",
     .help = "the system is asked for them where it gives them on request only"},
    {.path = "rooms.max",
     .type = MM_CONFIG_INT,
     .offset = SETTING(rooms_max),
     .fallback = "7",
     .min = 0,
     .max = 100,
     .help = "sessions besides the own one that players may be in at once"},
    {.path = "rooms.idle",
     .type = MM_CONFIG_DURATION,
     .offset = SETTING(room_idle_ms),
     .fallback = "60s",
     .min = 100,
     .max = 3600000,
     .help = "a session's room is closed when nobody was in it for so long"},
};
const size_t sync_field_count = sizeof sync_fields / sizeof *sync_fields;

// As browsers write an origin: what is written another way would match none.
static bool is_origin(const char *text)
{
    const char *host = strstr(text, "://");
    for (const char *at = text; *at != '\0'; at++)
        if (*at <= ' ' || (*at >= 'A' && *at <= 'Z'))
            return false;
    return mm_str_equal(text, "null") || (host && host > text && !strchr(host + 3, '/'));
}

void sync_check(struct mm_config *config, void *state)
{
    const struct sync_app *app = state;
    if (app->settings.idle_ms <= app->settings.ping_ms)
        mm_config_fail(config, "timeouts.idle", "must be longer than timeouts.ping");
    if (app->settings.silent_ms < 2 * app->settings.beat_ms)
        mm_config_fail(config, "presence.silent", "must be at least twice presence.beat");
    if ((app->settings.tls_certificate[0] == '\0') != (app->settings.tls_key[0] == '\0'))
        mm_config_fail(config, "players.tls.certificate", "and players.tls.key go together");
    if (app->settings.band_critical > app->settings.band_high)
        mm_config_fail(config, "priorities.critical", "must not be beyond priorities.high");
    if (app->settings.band_high > app->settings.band_normal)
        mm_config_fail(config, "priorities.high", "must not be beyond priorities.normal");
    for (size_t i = 0; i < app->settings.origins.count; i++)
        if (!is_origin(app->settings.origins.items[i]))
            mm_config_fail(config, "players.origins",
                           "must be origins such as https://game.example, found \"%s\"",
                           app->settings.origins.items[i]);
    struct sync_network network;
    for (size_t i = 0; i < app->settings.proxies.count; i++)
        if (!sync_network_parse(app->settings.proxies.items[i], &network))
            mm_config_fail(config, "players.proxies",
                           "must be addresses or networks such as 10.0.0.0/8, found \"%s\"",
                           app->settings.proxies.items[i]);
    const char *error = mm_address_listen_error(app->settings.listen);
    if (error)
        mm_config_fail(config, "players.listen", "%s, found \"%s\"", error, app->settings.listen);
}

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
