#ifndef MM_SERVICE_SERVICE_INTERNAL_H
#define MM_SERVICE_SERVICE_INTERNAL_H

#include "libcommon/io/loop.h"
#include "libcommon/io/rpc.h"
#include "libcommon/service/service.h"

enum { MM_SERVICE_PEERS_MAX = 8, MM_SERVICE_NAME_CHARS_MAX = 63 };

// The settings every service has.
struct mm_service_settings {
    const char *session;
    const char *log_level;
    const char *rpc_listen, *tls_ca, *tls_cert_key;
    const char *http_listen;
    const char *stream_listen;
    int64_t watchdog_stall_ms;
    bool watchdog_abort;
    int64_t drain_timeout_ms;
    const char *db_host, *db_user, *db_password, *db_database, *db_schema;
    int64_t db_port, db_pool_size;
    const char *redis_host, *redis_password;
    int64_t redis_port, redis_timeout_ms;
};

// A peer, by RPC or by stream; its field is made at run time.
struct mm_service_link {
    const char *name;
    const char *url; // set by the config
    char path[MM_SERVICE_NAME_CHARS_MAX + 1];
    char fallback[MM_SERVICE_NAME_CHARS_MAX + 1];
    struct mm_config_field field;
    struct mm_rpc_client *client; // NULL for a stream
};

struct mm_service_condition {
    char name[MM_SERVICE_NAME_CHARS_MAX + 1];
    bool is_true;
};

enum mm_service_phase {
    MM_SERVICE_STARTING, // waiting for the database
    MM_SERVICE_RUNNING,
    MM_SERVICE_DRAINING,
    MM_SERVICE_STOPPING,
};

// One RPC method seen by the hooks; see service_metrics.c.
enum { MM_SERVICE_METHODS_MAX = 256 };
struct mm_service_method {
    const char *service, *method;
    bool served; // else called
    struct mm_counter *by_code[MM_ERR_COUNT];
    struct mm_metrics_histogram *latency;
};

struct mm_service {
    const struct mm_service_spec *spec;
    struct mm_service_settings settings;
    struct mm_service_link peers[MM_SERVICE_PEERS_MAX];
    struct mm_service_link streams[MM_SERVICE_PEERS_MAX];
    size_t peer_count, stream_count;
    struct mm_config_field database_field; // its default holds the service's name
    struct mm_config_field listen_fields[3];
    char fallbacks[4][MM_SERVICE_NAME_CHARS_MAX + 1];
    char instance[MM_SERVICE_NAME_CHARS_MAX + 1];
    struct mm_config *config;
    void *state;

    enum mm_service_phase phase;
    bool started; // the start hook was called: stop has to be, too
    int exit_status;
    struct mm_service_condition conditions[MM_SERVICE_CONDITIONS_MAX];
    int condition_count;
    int db_condition, redis_condition, started_condition;

    struct mm_loop *loop;
    struct mm_metrics *metrics;
    struct mm_watchdog *watchdog;
    struct mm_http_server *http;
    struct mm_rpc_server *rpc;
    struct mm_http_rpc *gateway;
    struct mm_authorizer *authorizer;
    struct mm_stream_hub *hub;
    struct mm_db *db;
    struct mm_redis *redis;
    bool migrating, migrated;
    void (*on_db)(bool is_up, void *arg);
    void *on_db_arg;
    void (*on_redis)(bool is_up, void *arg);
    void *on_redis_arg;

    struct mm_loop_timer retry_timer; // migrations
    struct mm_loop_timer drain_timer; // looks whether all is drained
    uint64_t drain_deadline_ns;
    bool drained; // the hook said so
    struct mm_loop_task stop_task;

    struct mm_service_method methods[MM_SERVICE_METHODS_MAX];
    size_t method_count;
};

// service_settings.c: declares all fields with the service's config.
void mm_service_declare_settings(struct mm_service *service);

// service_check.c: what the tables of fields cannot say of the settings that every service has.
void mm_service_check_settings(struct mm_service *service);

// service_ops.c: /healthz, /readyz and /metrics.
void mm_service_add_ops(struct mm_service *service);

// service_slice.c: for this thread and those that it will start.
void mm_service_ask_short_slices(void);

// service_metrics.c: what a service tells of its loop, RPC, database and Redis.
void mm_service_add_metrics(struct mm_service *service);
struct mm_rpc_hooks mm_service_rpc_hooks(struct mm_service *service);

// service_parts.c: opens all that a service stands on, and closes it. A failure is logged.
enum mm_err mm_service_open_parts(struct mm_service *service) MM_MUST_USE;
enum mm_err mm_service_open_stores(struct mm_service *service) MM_MUST_USE;
void mm_service_close_stores(struct mm_service *service);
void mm_service_close_parts(struct mm_service *service);

// service.c: from the configured service to the exit status.
int mm_service_run(struct mm_service *service);

// The database was reached or lost.
void mm_service_db_changed(bool is_up, void *service);
void mm_service_redis_changed(bool is_up, void *service);

#endif
