// Opening what a service stands on, and closing it in reverse order.

#include "libcommon/service/service_internal.h"

#include "libcommon/base/check.h"
#include "libcommon/base/clock.h"
#include "libcommon/base/log.h"
#include "libcommon/base/progress.h"
#include "libcommon/io/db.h"
#include "libcommon/io/http.h"
#include "libcommon/io/redis.h"
#include "libcommon/io/rpc_client.h"
#include "libcommon/io/rpc_server.h"
#include "libcommon/io/stream_publisher.h"
#include "libcommon/service/authorize.h"
#include "libcommon/service/watchdog.h"

#include "gen/auth.pb-c.h"

enum { DB_DRAIN_MS = 5000 };

static uint64_t loop_heartbeat(const void *loop)
{
    return mm_loop_heartbeat(loop);
}

// Who waits has a deadline of his own.
static uint64_t work_heartbeat(const void *ctx)
{
    const struct mm_progress *progress = ctx;
    return progress->is_waiting ? mm_clock_ms() : mm_progress_steps(progress);
}

struct mm_watchdog *mm_service_watch_begin(struct mm_service *service, struct mm_progress *progress)
{
    const struct mm_service_settings *settings = &service->settings;
    struct mm_watchdog *watchdog = NULL;
    if (mm_watchdog_start("work is stuck", settings->watchdog_stall_ms, settings->watchdog_abort,
                          work_heartbeat, progress, &watchdog) != MM_OK)
        MM_LOG_WARN("no thread to watch long work; it goes on without");
    return watchdog;
}

void mm_service_watch_end(struct mm_watchdog *watchdog)
{
    mm_watchdog_stop(watchdog);
}

static enum mm_err open_peers(struct mm_service *service)
{
    for (size_t i = 0; i < service->peer_count; i++) {
        struct mm_service_link *peer = &service->peers[i];
        struct mm_rpc_client_options options = {
            .service = service->spec->name,
            .instance = service->instance,
            .tls = mm_service_tls(service),
            .hooks = mm_service_rpc_hooks(service),
        };
        enum mm_err err = mm_rpc_client_open(service->loop, peer->url, &options, &peer->client);
        if (err != MM_OK) {
            MM_LOG_ERROR("cannot make the client of a peer", "peer=%s url=%s err=%s", peer->name,
                         peer->url, mm_err_name(err));
            return err;
        }
    }
    return MM_OK;
}

static enum mm_err open_gateway(struct mm_service *service)
{
    struct mm_http_rpc_options options = {
        .authorise = service->spec->authorise,
        .arg = service->state,
        .operator_permission = MMORTS__AUTH__PERMISSION__PERMISSION_OPERATE,
    };
    if (options.authorise == NULL) {
        enum mm_err err =
            mm_authorizer_open(mm_service_peer(service, "auth"), &service->authorizer);
        if (err != MM_OK) {
            return err;
        }
        options.authorise = mm_authorizer_ask;
        options.arg = service->authorizer;
    }
    return mm_http_rpc_open(service->http, service->rpc, &options, &service->gateway);
}

static enum mm_err open_servers(struct mm_service *service)
{
    const struct mm_service_settings *settings = &service->settings;
    struct mm_http_options http_options = {.listen = settings->http_listen};
    enum mm_err err = mm_http_server_open(service->loop, &http_options, &service->http);
    if (err != MM_OK) {
        MM_LOG_ERROR("cannot listen for HTTP", "listen=%s err=%s", settings->http_listen,
                     mm_err_name(err));
        return err;
    }
    struct mm_rpc_server_options rpc_options = {
        .tls = mm_service_tls(service),
        .hooks = mm_service_rpc_hooks(service),
    };
    err = mm_rpc_server_open(service->loop, &rpc_options, &service->rpc);
    if (err == MM_OK) {
        err = open_peers(service);
    }
    if (err == MM_OK) {
        err = open_gateway(service);
    }
    if (err == MM_OK && (service->spec->uses & MM_SERVICE_STREAM)) {
        struct mm_rpc_tls tls = mm_service_tls(service);
        err = mm_stream_hub_open(service->loop, service->rpc, settings->stream_listen, &tls,
                                 &service->hub);
    }
    if (err != MM_OK) {
        MM_LOG_ERROR("cannot open the servers", "err=%s", mm_err_name(err));
    }
    return err;
}

enum mm_err mm_service_open_parts(struct mm_service *service)
{
    const struct mm_service_settings *settings = &service->settings;
    enum mm_err err = mm_watchdog_start("event loop is stuck", settings->watchdog_stall_ms,
                                        settings->watchdog_abort, loop_heartbeat, service->loop,
                                        &service->watchdog);
    if (err != MM_OK) {
        MM_LOG_ERROR("cannot start the watchdog", "err=%s", mm_err_name(err));
        return err;
    }
    err = open_servers(service);
    if (err != MM_OK) {
        return err;
    }
    mm_service_add_metrics(service);
    mm_service_add_ops(service);
    return MM_OK;
}

enum mm_err mm_service_open_stores(struct mm_service *service)
{
    const struct mm_service_settings *settings = &service->settings;
    if (service->spec->uses & MM_SERVICE_REDIS) {
        struct mm_redis_options options = {
            .host = settings->redis_host,
            .port = (uint16_t)settings->redis_port,
            .password = settings->redis_password,
            .command_timeout_ms = (uint32_t)settings->redis_timeout_ms,
            .on_state = mm_service_redis_changed,
            .on_state_arg = service,
        };
        enum mm_err err = mm_redis_create(service->loop, &options, &service->redis);
        if (err != MM_OK) {
            MM_LOG_ERROR("cannot make the Redis client", "err=%s", mm_err_name(err));
            return err;
        }
    }
    if (service->spec->uses & MM_SERVICE_DB) {
        struct mm_db_options options = {
            .host = settings->db_host,
            .port = (uint16_t)settings->db_port,
            .user = settings->db_user,
            .password = settings->db_password,
            .database = settings->db_database,
            .workers = (uint32_t)settings->db_pool_size,
            .background_workers =
                service->spec->uses & MM_SERVICE_DB_BACKGROUND && settings->db_pool_size > 1,
            .on_state = mm_service_db_changed,
            .on_state_arg = service,
        };
        enum mm_err err = mm_db_create(service->loop, &options, &service->db);
        if (err != MM_OK) {
            MM_LOG_ERROR("cannot make the database pool", "err=%s", mm_err_name(err));
            return err;
        }
    }
    return MM_OK;
}

void mm_service_close_stores(struct mm_service *service)
{
    mm_db_destroy(service->db, DB_DRAIN_MS);
    service->db = NULL;
    mm_redis_destroy(service->redis);
    service->redis = NULL;
}

void mm_service_close_parts(struct mm_service *service)
{
    mm_authorizer_close(service->authorizer);
    if (service->http != NULL) {
        mm_http_server_close(service->http);
    }
    if (service->hub != NULL) {
        mm_stream_hub_close(service->hub);
    }
    if (service->rpc != NULL) {
        mm_rpc_server_close(service->rpc);
    }
    if (service->gateway != NULL) {
        mm_http_rpc_close(service->gateway);
    }
    for (size_t i = 0; i < service->peer_count; i++) {
        if (service->peers[i].client != NULL) {
            mm_rpc_client_close(service->peers[i].client);
        }
    }
    mm_watchdog_stop(service->watchdog);
}
