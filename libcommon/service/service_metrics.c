// What every service tells of itself: loop, RPC, database, Redis.

#include "libcommon/service/service_internal.h"

#include "libcommon/io/db.h"
#include "libcommon/io/redis.h"
#include "libcommon/io/rpc_client.h"
#include "libcommon/io/rpc_server.h"
#include "libcommon/service/watchdog.h"

#include <string.h>

// --- RPC -----------------------------------------------------------------------------------------

// The method's place; NULL when MM_SERVICE_METHODS_MAX are taken. Names are the descriptors' static
// strings, so that comparing the pointers is enough; "" stands for an unknown method.
static struct mm_service_method *find_method(struct mm_service *service, const char *of,
                                             const char *method, bool served)
{
    for (size_t i = 0; i < service->method_count; i++) {
        struct mm_service_method *known = &service->methods[i];
        if (known->method == method && known->service == of && known->served == served) {
            return known;
        }
    }
    if (service->method_count == MM_SERVICE_METHODS_MAX) {
        return NULL;
    }
    struct mm_service_method *added = &service->methods[service->method_count++];
    *added = (struct mm_service_method){.service = of, .method = method, .served = served};
    added->latency = mm_metrics_latency(
        service->metrics, served ? "mmorts_rpc_served_seconds" : "mmorts_rpc_called_seconds",
        served ? "Duration of calls answered." : "Duration of calls made.",
        MM_LABELS("service", of, "method", method));
    return added;
}

static void count_call(struct mm_service *service, const char *of, const char *method, bool served,
                       enum mm_err code, uint64_t duration_ns)
{
    struct mm_service_method *known = find_method(service, of, method, served);
    if (known == NULL) {
        return;
    }
    unsigned index = (unsigned)code < MM_ERR_COUNT ? (unsigned)code : MM_UNKNOWN;
    if (known->by_code[index] == NULL) {
        known->by_code[index] = mm_metrics_counter(
            service->metrics, served ? "mmorts_rpc_served_total" : "mmorts_rpc_called_total",
            served ? "Calls answered, by status." : "Calls made, by status.",
            MM_LABELS("service", of, "method", method, "code", mm_err_name(code)));
    }
    mm_counter_add(known->by_code[index], 1);
    mm_metrics_observe(known->latency, duration_ns / 1000);
}

static void on_served(void *arg, const char *of, const char *method, enum mm_err code,
                      uint64_t duration_ns)
{
    count_call(arg, of, method, true, code, duration_ns);
}

static void on_called(void *arg, const char *of, const char *method, enum mm_err code,
                      uint64_t duration_ns)
{
    count_call(arg, of, method, false, code, duration_ns);
}

struct mm_rpc_hooks mm_service_rpc_hooks(struct mm_service *service)
{
    return (struct mm_rpc_hooks){.arg = service, .served = on_served, .called = on_called};
}

static double read_rpc_running(void *ctx)
{
    const struct mm_service *service = ctx;
    return (double)mm_rpc_server_calls_running(service->rpc);
}

static double read_peer_connected(void *ctx)
{
    const struct mm_service_link *link = ctx;
    return mm_rpc_client_connected(link->client) ? 1 : 0;
}

static double read_peer_calls(void *ctx)
{
    const struct mm_service_link *link = ctx;
    return (double)mm_rpc_client_calls(link->client);
}

static void add_rpc_metrics(struct mm_service *service)
{
    mm_metrics_gauge_fn(service->metrics, "mmorts_rpc_running", "Calls now being carried out.",
                        NULL, read_rpc_running, service);
    for (size_t i = 0; i < service->peer_count; i++) {
        struct mm_service_link *peer = &service->peers[i];
        mm_metrics_gauge_fn(service->metrics, "mmorts_peer_connected",
                            "Whether a connection to the peer is there.",
                            MM_LABELS("peer", peer->name), read_peer_connected, peer);
        mm_metrics_gauge_fn(service->metrics, "mmorts_peer_calls", "Calls to the peer outstanding.",
                            MM_LABELS("peer", peer->name), read_peer_calls, peer);
    }
}

// --- loop ----------------------------------------------------------------------------------------

static struct mm_loop_stats loop_stats(void *ctx)
{
    const struct mm_service *service = ctx;
    struct mm_loop_stats stats;
    mm_loop_stats(service->loop, &stats);
    return stats;
}

static double read_turns(void *ctx)
{
    return (double)loop_stats(ctx).turns;
}

static double read_busy(void *ctx)
{
    return (double)loop_stats(ctx).busy_ns * 1e-9;
}

static double read_turn_max(void *ctx)
{
    return (double)loop_stats(ctx).turn_max_ns * 1e-9;
}

static double read_callback_max(void *ctx)
{
    return (double)loop_stats(ctx).callback_max_ns * 1e-9;
}

static double read_timer_late_max(void *ctx)
{
    return (double)loop_stats(ctx).timer_late_max_ns * 1e-9;
}

static double read_posts_refused(void *ctx)
{
    return (double)loop_stats(ctx).posts_refused;
}

static double read_stalls(void *ctx)
{
    const struct mm_service *service = ctx;
    return (double)mm_watchdog_stalls(service->watchdog);
}

static double read_ready(void *ctx)
{
    return mm_service_is_ready(ctx) ? 1 : 0;
}

static void add_loop_metrics(struct mm_service *service)
{
    struct mm_metrics *metrics = service->metrics;
    mm_metrics_gauge_fn(metrics, "mmorts_ready", "Whether the service is ready.", NULL, read_ready,
                        service);
    mm_metrics_counter_fn(metrics, "mmorts_loop_turns_total", "Turns of the event loop.", NULL,
                          read_turns, service);
    mm_metrics_counter_fn(metrics, "mmorts_loop_busy_seconds_total",
                          "Time the event loop did not sleep.", NULL, read_busy, service);
    mm_metrics_gauge_fn(metrics, "mmorts_loop_turn_max_seconds",
                        "Longest turn since the last scrape.", NULL, read_turn_max, service);
    mm_metrics_gauge_fn(metrics, "mmorts_loop_callback_max_seconds",
                        "Longest callback since the last scrape.", NULL, read_callback_max,
                        service);
    mm_metrics_gauge_fn(metrics, "mmorts_loop_timer_late_max_seconds",
                        "Largest delay of a timer since the last scrape.", NULL,
                        read_timer_late_max, service);
    mm_metrics_counter_fn(metrics, "mmorts_loop_posts_refused_total",
                          "Posts to the loop that found its ring full.", NULL, read_posts_refused,
                          service);
    mm_metrics_counter_fn(metrics, "mmorts_watchdog_stalls_total",
                          "Stalls of the event loop that were survived.", NULL, read_stalls,
                          service);
}

// --- stores --------------------------------------------------------------------------------------

static struct mm_db_stats db_stats(void *ctx)
{
    struct mm_db_stats stats;
    memset(&stats, 0, sizeof stats);
    struct mm_service *service = ctx;
    if (service->db != NULL) {
        mm_db_stats(service->db, &stats, false);
    }
    return stats;
}

static double read_db_up(void *ctx)
{
    const struct mm_service *service = ctx;
    return service->db != NULL && mm_db_is_up(service->db) ? 1 : 0;
}

static double read_db_done(void *ctx)
{
    return (double)db_stats(ctx).jobs_done;
}

static double read_db_failed(void *ctx)
{
    return (double)db_stats(ctx).jobs_failed;
}

static double read_db_refused(void *ctx)
{
    return (double)db_stats(ctx).jobs_refused;
}

static double read_db_waiting(void *ctx)
{
    return (double)db_stats(ctx).waiting;
}

static double read_db_running(void *ctx)
{
    return (double)db_stats(ctx).running;
}

static void add_db_metrics(struct mm_service *service)
{
    struct mm_metrics *metrics = service->metrics;
    mm_metrics_gauge_fn(metrics, "mmorts_db_up", "Whether MariaDB is connected.", NULL, read_db_up,
                        service);
    mm_metrics_counter_fn(metrics, "mmorts_db_jobs_total", "Database jobs done.", NULL,
                          read_db_done, service);
    mm_metrics_counter_fn(metrics, "mmorts_db_jobs_failed_total", "Database jobs that failed.",
                          NULL, read_db_failed, service);
    mm_metrics_counter_fn(metrics, "mmorts_db_jobs_refused_total",
                          "Database jobs refused because too many were waiting.", NULL,
                          read_db_refused, service);
    mm_metrics_gauge_fn(metrics, "mmorts_db_jobs_waiting", "Database jobs waiting.", NULL,
                        read_db_waiting, service);
    mm_metrics_gauge_fn(metrics, "mmorts_db_jobs_running", "Database jobs running.", NULL,
                        read_db_running, service);
}

static struct mm_redis_stats redis_stats(void *ctx)
{
    struct mm_redis_stats stats;
    memset(&stats, 0, sizeof stats);
    struct mm_service *service = ctx;
    if (service->redis != NULL) {
        mm_redis_stats(service->redis, &stats, false);
    }
    return stats;
}

static double read_redis_up(void *ctx)
{
    const struct mm_service *service = ctx;
    return service->redis != NULL && mm_redis_is_up(service->redis) ? 1 : 0;
}

static double read_redis_commands(void *ctx)
{
    return (double)redis_stats(ctx).commands;
}

static double read_redis_failed(void *ctx)
{
    return (double)redis_stats(ctx).commands_failed;
}

static double read_redis_messages(void *ctx)
{
    return (double)redis_stats(ctx).messages;
}

static void add_redis_metrics(struct mm_service *service)
{
    struct mm_metrics *metrics = service->metrics;
    mm_metrics_gauge_fn(metrics, "mmorts_redis_up", "Whether Redis is connected.", NULL,
                        read_redis_up, service);
    mm_metrics_counter_fn(metrics, "mmorts_redis_commands_total", "Redis commands sent.", NULL,
                          read_redis_commands, service);
    mm_metrics_counter_fn(metrics, "mmorts_redis_commands_failed_total",
                          "Redis commands that failed.", NULL, read_redis_failed, service);
    mm_metrics_counter_fn(metrics, "mmorts_redis_messages_total",
                          "Messages received on subscriptions.", NULL, read_redis_messages,
                          service);
}

void mm_service_add_metrics(struct mm_service *service)
{
    mm_metrics_add_process(service->metrics);
    add_loop_metrics(service);
    add_rpc_metrics(service);
    if (service->spec->uses & MM_SERVICE_DB) {
        add_db_metrics(service);
    }
    if (service->spec->uses & MM_SERVICE_REDIS) {
        add_redis_metrics(service);
    }
}
