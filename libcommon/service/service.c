// The life of a service; see service.h.

#include "libcommon/service/service.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/log.h"
#include "libcommon/base/progress.h"
#include "libcommon/base/str.h"
#include "libcommon/io/db.h"
#include "libcommon/io/http.h"
#include "libcommon/io/migrate.h"
#include "libcommon/io/redis.h"
#include "libcommon/io/rpc_server.h"
#include "libcommon/io/stream_publisher.h"
#include "libcommon/service/service_internal.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    MIGRATE_RETRY_MS = 500,
    DRAIN_LOOK_MS = 10,
    EXIT_STATUS_FAILED = 1,
    EXIT_STATUS_SECOND_SIGNAL = 130,
};

// --- conditions ----------------------------------------------------------------------------------

int mm_service_condition_add(struct mm_service *service, const char *name)
{
    MM_CHECK(service->condition_count < MM_SERVICE_CONDITIONS_MAX);
    struct mm_service_condition *condition = &service->conditions[service->condition_count];
    (void)mm_str_copy(condition->name, sizeof condition->name, name);
    condition->is_true = false;
    return service->condition_count++;
}

void mm_service_condition_set(struct mm_service *service, int condition, bool is_true)
{
    MM_CHECK(condition >= 0 && condition < service->condition_count);
    if (service->conditions[condition].is_true == is_true) {
        return;
    }
    bool was_ready = mm_service_is_ready(service);
    service->conditions[condition].is_true = is_true;
    bool is_ready = mm_service_is_ready(service);
    if (is_ready && !was_ready) {
        MM_LOG_INFO("ready", "rpc=%s http_port=%u", service->settings.rpc_listen,
                    mm_http_server_port(service->http));
    } else if (was_ready && !is_ready) {
        MM_LOG_WARN("no longer ready", "missing=%s", service->conditions[condition].name);
    }
}

bool mm_service_is_ready(const struct mm_service *service)
{
    for (int i = 0; i < service->condition_count; i++) {
        if (!service->conditions[i].is_true) {
            return false;
        }
    }
    return service->phase == MM_SERVICE_RUNNING;
}

// --- ending --------------------------------------------------------------------------------------

static void stop_now(struct mm_loop *loop, void *arg)
{
    struct mm_service *service = arg;
    service->phase = MM_SERVICE_STOPPING;
    mm_loop_stop(loop);
}

static void look_whether_drained(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)timer;
    struct mm_service *service = arg;
    bool late = mm_loop_now_ns(loop) >= service->drain_deadline_ns;
    if (late) {
        MM_LOG_WARN("draining took too long; stopping", "calls_running=%u hook_done=%d",
                    mm_rpc_server_calls_running(service->rpc), service->drained);
    }
    if (late || (service->drained && mm_rpc_server_calls_running(service->rpc) == 0)) {
        mm_loop_timer_stop(loop, &service->drain_timer);
        mm_loop_defer(loop, &service->stop_task);
    }
}

void mm_service_drained(struct mm_service *service)
{
    service->drained = true;
}

void mm_service_quit(struct mm_service *service, int exit_status)
{
    if (service->phase >= MM_SERVICE_DRAINING) {
        return;
    }
    service->exit_status = exit_status;
    bool was_running = service->phase == MM_SERVICE_RUNNING;
    service->phase = MM_SERVICE_DRAINING;
    if (!was_running) {
        mm_loop_defer(service->loop, &service->stop_task);
        return;
    }
    MM_LOG_INFO("draining", "calls_running=%u", mm_rpc_server_calls_running(service->rpc));
    service->drain_deadline_ns =
        mm_loop_now_ns(service->loop) + MM_LOOP_MS(service->settings.drain_timeout_ms);
    if (service->hub != NULL) {
        mm_stream_hub_drain(service->hub);
    }
    mm_rpc_server_drain(service->rpc);
    mm_loop_timer_start(service->loop, &service->drain_timer, 0, MM_LOOP_MS(DRAIN_LOOK_MS));
    if (service->spec->drain != NULL) {
        service->spec->drain(service, service->state);
    } else {
        service->drained = true;
    }
}

static void on_signal(struct mm_loop *loop, int signal_number, void *arg)
{
    (void)loop;
    struct mm_service *service = arg;
    if (service->phase >= MM_SERVICE_DRAINING) {
        MM_LOG_WARN("second signal; exiting at once", "signal=%d", signal_number);
        _exit(EXIT_STATUS_SECOND_SIGNAL);
    }
    mm_service_quit(service, service->exit_status);
}

// --- starting ------------------------------------------------------------------------------------

static void start_service(struct mm_service *service)
{
    if (service->phase != MM_SERVICE_STARTING) {
        return;
    }
    service->started = true;
    enum mm_err err =
        service->spec->start == NULL ? MM_OK : service->spec->start(service, service->state);
    if (err == MM_OK) {
        err = mm_rpc_server_listen(service->rpc, service->settings.rpc_listen);
    }
    if (err != MM_OK) {
        MM_LOG_ERROR("cannot start", "err=%s", mm_err_name(err));
        mm_service_quit(service, EXIT_STATUS_FAILED);
        return;
    }
    if (service->phase == MM_SERVICE_STARTING) { // the hook may have quit
        service->phase = MM_SERVICE_RUNNING;
        mm_service_condition_set(service, service->started_condition, true);
    }
}

// Whether trying again can help: the server is not there, or busy.
static bool may_recover(enum mm_err err)
{
    return err == MM_UNAVAILABLE || err == MM_DEADLINE_EXCEEDED || err == MM_ABORTED ||
           err == MM_CANCELLED || err == MM_RESOURCE_EXHAUSTED;
}

static void on_migrated(enum mm_err err, const struct mm_migrate_report *report, void *arg)
{
    struct mm_service *service = arg;
    service->migrating = false;
    if (service->phase >= MM_SERVICE_DRAINING) {
        return;
    }
    if (err == MM_OK) {
        service->migrated = true;
        MM_LOG_INFO("schema is up to date", "version=%u applied=%u", report->version,
                    report->applied);
        mm_service_condition_set(service, service->db_condition, mm_db_is_up(service->db));
        start_service(service);
    } else if (may_recover(err)) {
        MM_LOG_WARN("cannot migrate yet", "err=%s message=%s", mm_err_name(err), report->message);
        mm_loop_timer_start(service->loop, &service->retry_timer, MM_LOOP_MS(MIGRATE_RETRY_MS), 0);
    } else {
        MM_LOG_ERROR("cannot migrate", "err=%s message=%s", mm_err_name(err), report->message);
        mm_service_quit(service, EXIT_STATUS_FAILED);
    }
}

static void migrate(struct mm_service *service)
{
    if (service->migrating || service->migrated || service->phase != MM_SERVICE_STARTING) {
        return;
    }
    const char *directory = mm_config_resolve(service->config, service->settings.db_schema);
    service->migrating = true;
    enum mm_err err = mm_migrate_submit(service->db, directory, on_migrated, service);
    if (err != MM_OK) {
        service->migrating = false;
        mm_loop_timer_start(service->loop, &service->retry_timer, MM_LOOP_MS(MIGRATE_RETRY_MS), 0);
    }
}

static void retry_migrate(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop;
    (void)timer;
    migrate(arg);
}

void mm_service_db_changed(bool is_up, void *arg)
{
    struct mm_service *service = arg;
    if (is_up) {
        migrate(service);
    }
    mm_service_condition_set(service, service->db_condition, is_up && service->migrated);
    if (service->on_db != NULL) {
        service->on_db(is_up, service->on_db_arg);
    }
}

void mm_service_redis_changed(bool is_up, void *arg)
{
    struct mm_service *service = arg;
    if (service->redis_condition >= 0)
        mm_service_condition_set(service, service->redis_condition, is_up);
    if (service->on_redis != NULL) {
        service->on_redis(is_up, service->on_redis_arg);
    }
}

static void on_hangup(struct mm_loop *loop, int signal_number, void *arg)
{
    (void)loop;
    (void)signal_number;
    struct mm_service *service = arg;
    if (service->started) {
        service->spec->reload(service, service->state);
    }
}

static void begin(struct mm_loop *loop, void *arg)
{
    (void)loop;
    struct mm_service *service = arg;
    if (!(service->spec->uses & MM_SERVICE_DB)) {
        start_service(service);
    }
}

// --- the run -------------------------------------------------------------------------------------

static enum mm_err open_all(struct mm_service *service)
{
    unsigned uses = service->spec->uses;
    service->started_condition = mm_service_condition_add(service, "start");
    service->db_condition =
        uses & MM_SERVICE_DB ? mm_service_condition_add(service, "mariadb") : -1;
    service->redis_condition = uses & MM_SERVICE_REDIS && !service->spec->redis_optional
                                   ? mm_service_condition_add(service, "redis")
                                   : -1;
    mm_loop_timer_init(&service->retry_timer, retry_migrate, service);
    mm_loop_timer_init(&service->drain_timer, look_whether_drained, service);
    mm_loop_task_init(&service->stop_task, stop_now, service);

    // Signals first: threads started later inherit the mask.
    enum mm_err err = mm_loop_signal(service->loop, SIGTERM, on_signal, service);
    if (err == MM_OK) {
        err = mm_loop_signal(service->loop, SIGINT, on_signal, service);
    }
    if (err == MM_OK && service->spec->reload) {
        err = mm_loop_signal(service->loop, SIGHUP, on_hangup, service);
    }
    if (err == MM_OK) {
        err = mm_service_open_parts(service);
    }
    if (err == MM_OK) {
        err = mm_service_open_stores(service);
    }
    return err;
}

// As many descriptors as the system lets us have: the default soft limit is for programs that still
// use select().
static void raise_fd_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int mm_service_run(struct mm_service *service)
{
    enum mm_log_level level = MM_LOG_LEVEL_INFO;
    MM_CHECK(mm_log_level_parse(service->settings.log_level, &level) == MM_OK);
    mm_log_init(service->spec->name, level);
    signal(SIGPIPE, SIG_IGN);
    raise_fd_limit();
    char host[MM_SERVICE_NAME_CHARS_MAX + 1 - 12] = "localhost";
    (void)gethostname(host, sizeof host - 1);
    snprintf(service->instance, sizeof service->instance, "%s:%d", host, (int)getpid());
    service->metrics = mm_metrics_new();
    if (mm_loop_create(NULL, &service->loop) != MM_OK) {
        MM_LOG_ERROR("cannot make the event loop");
        mm_metrics_free(service->metrics);
        return EXIT_STATUS_FAILED;
    }
    if (open_all(service) == MM_OK) {
        struct mm_loop_task begin_task;
        mm_loop_task_init(&begin_task, begin, service);
        mm_loop_defer(service->loop, &begin_task);
        mm_loop_run(service->loop);
        mm_loop_defer_cancel(service->loop, &begin_task);
    } else {
        service->exit_status = EXIT_STATUS_FAILED;
    }
    service->phase = MM_SERVICE_STOPPING;
    mm_loop_timer_stop(service->loop, &service->retry_timer);
    mm_loop_timer_stop(service->loop, &service->drain_timer);
    mm_loop_defer_cancel(service->loop, &service->stop_task);
    // The loop no longer turns, and its watchdog still watches: each part has its time.
    mm_service_close_stores(service);
    (void)mm_progress_step(mm_loop_progress(service->loop));
    if (service->started && service->spec->stop != NULL) {
        service->spec->stop(service, service->state);
    }
    (void)mm_progress_step(mm_loop_progress(service->loop));
    mm_service_close_parts(service);
    mm_loop_destroy(service->loop);
    mm_metrics_free(service->metrics);
    MM_LOG_INFO("stopped", "status=%d", service->exit_status);
    return service->exit_status;
}

// --- accessors -----------------------------------------------------------------------------------

void *mm_service_state(struct mm_service *service)
{
    return service->state;
}

const char *mm_service_name(const struct mm_service *service)
{
    return service->spec->name;
}

const char *mm_service_instance(const struct mm_service *service)
{
    return service->instance;
}

struct mm_config *mm_service_config(struct mm_service *service)
{
    return service->config;
}

struct mm_loop *mm_service_loop(struct mm_service *service)
{
    return service->loop;
}

struct mm_metrics *mm_service_metrics(struct mm_service *service)
{
    return service->metrics;
}

struct mm_http_server *mm_service_http(struct mm_service *service)
{
    return service->http;
}

struct mm_rpc_server *mm_service_rpc_server(struct mm_service *service)
{
    return service->rpc;
}

struct mm_db *mm_service_db(struct mm_service *service)
{
    return service->db;
}

struct mm_redis *mm_service_redis(struct mm_service *service)
{
    return service->redis;
}

struct mm_stream_hub *mm_service_stream_hub(struct mm_service *service)
{
    return service->hub;
}

static struct mm_service_link *find_link(struct mm_service_link *links, size_t count,
                                         const char *name)
{
    size_t i = 0;
    while (i < count && strcmp(links[i].name, name) != 0) {
        i++;
    }
    MM_CHECK(i < count); // a name the spec does not list
    return &links[i];
}

struct mm_rpc_client *mm_service_peer(struct mm_service *service, const char *name)
{
    return find_link(service->peers, service->peer_count, name)->client;
}

const char *mm_service_stream_peer(struct mm_service *service, const char *name)
{
    return find_link(service->streams, service->stream_count, name)->url;
}

const char *mm_service_session(struct mm_service *service)
{
    return service->settings.session;
}

void mm_service_on_db(struct mm_service *service, void (*fn)(bool is_up, void *arg), void *arg)
{
    service->on_db = fn;
    service->on_db_arg = arg;
}

void mm_service_on_redis(struct mm_service *service, void (*fn)(bool is_up, void *arg), void *arg)
{
    service->on_redis = fn;
    service->on_redis_arg = arg;
}
