// The sections of settings that every service has.

#include "libcommon/service/service_internal.h"

#include "libcommon/base/check.h"
#include "libcommon/base/str.h"

#include <stdio.h>
#include <string.h>

#define SETTING(member) offsetof(struct mm_service_settings, member)

static const struct mm_config_field common_fields[] = {
    {.path = "session",
     .type = MM_CONFIG_STRING,
     .offset = SETTING(session),
     .fallback = "main",
     .max = 32,
     .help = "id of the game session"},
    {.path = "log.level",
     .type = MM_CONFIG_STRING,
     .offset = SETTING(log_level),
     .fallback = "info",
     .choices = "debug|info|warn|error|off",
     .help = "least level that is logged"},
    {.path = "rpc.tls.ca",
     .type = MM_CONFIG_STRING,
     .offset = SETTING(tls_ca),
     .fallback = "",
     .help = "PEM file of the authority whose peers are believed (for tls+tcp:// addresses)"},
    {.path = "rpc.tls.cert_key",
     .type = MM_CONFIG_STRING,
     .offset = SETTING(tls_cert_key),
     .fallback = "",
     .help = "PEM file with this service's certificate chain and key"},
    {.path = "watchdog.stall",
     .type = MM_CONFIG_DURATION,
     .offset = SETTING(watchdog_stall_ms),
     .fallback = "5s",
     .min = 2000,
     .max = 600000,
     .help = "a loop stuck that long is a stall"},
    {.path = "watchdog.abort",
     .type = MM_CONFIG_BOOL,
     .offset = SETTING(watchdog_abort),
     .fallback = "true",
     .help = "end the process at a stall, so that it is started again"},
    {.path = "drain.timeout",
     .type = MM_CONFIG_DURATION,
     .offset = SETTING(drain_timeout_ms),
     .fallback = "10s",
     .max = 600000,
     .help = "time for finishing work under way before the process ends"},
};

static const struct mm_config_field db_fields[] = {
    {.path = "mariadb.host",
     .type = MM_CONFIG_STRING,
     .offset = SETTING(db_host),
     .fallback = "127.0.0.1",
     .help = "name or address of the server"},
    {.path = "mariadb.port",
     .type = MM_CONFIG_INT,
     .offset = SETTING(db_port),
     .fallback = "7106",
     .min = 1,
     .max = 65535,
     .help = "its port"},
    {.path = "mariadb.user",
     .type = MM_CONFIG_STRING,
     .offset = SETTING(db_user),
     .fallback = "mmorts",
     .help = "account"},
    {.path = "mariadb.password",
     .type = MM_CONFIG_STRING,
     .offset = SETTING(db_password),
     .fallback = "",
     .secret = true,
     .help = "its password"},
    {.path = "mariadb.pool_size",
     .type = MM_CONFIG_INT,
     .offset = SETTING(db_pool_size),
     .fallback = "4",
     .min = 1,
     .max = 32,
     .unit = "connections",
     .help = "connections, each with a thread"},
    {.path = "mariadb.schema",
     .type = MM_CONFIG_STRING,
     .offset = SETTING(db_schema),
     .fallback = "schema",
     .help = "directory of the migrations, relative to this file"},
};

static const struct mm_config_field redis_fields[] = {
    {.path = "redis.host",
     .type = MM_CONFIG_STRING,
     .offset = SETTING(redis_host),
     .fallback = "127.0.0.1",
     .help = "name or address of the server"},
    {.path = "redis.port",
     .type = MM_CONFIG_INT,
     .offset = SETTING(redis_port),
     .fallback = "7107",
     .min = 1,
     .max = 65535,
     .help = "its port"},
    {.path = "redis.password",
     .type = MM_CONFIG_STRING,
     .offset = SETTING(redis_password),
     .fallback = "",
     .secret = true,
     .help = "its password; empty: none"},
    {.path = "redis.timeout",
     .type = MM_CONFIG_DURATION,
     .offset = SETTING(redis_timeout_ms),
     .fallback = "1s",
     .min = 100,
     .max = 600000,
     .help = "without an answer for so long the connection is given up"},
};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

// Ports of the services on one machine: 71S0 RPC, 71S1 streams, 71S2 HTTP.
static unsigned default_port(const char *name)
{
    static const char *const names[] = {"auth", "world", "vision", "sync", "production", "social"};
    for (unsigned i = 0; i < COUNT(names); i++) {
        if (strcmp(names[i], name) == 0) {
            return 7100 + 10 * i;
        }
    }
    return 0;
}

static void declare_link(struct mm_service *service, struct mm_service_link *link,
                         const char *section, const char *name, unsigned port_offset)
{
    unsigned port = default_port(name);
    MM_CHECK(port != 0);
    link->name = name;
    snprintf(link->path, sizeof link->path, "%s.%s", section, name);
    snprintf(link->fallback, sizeof link->fallback, "tcp://127.0.0.1:%u", port + port_offset);
    link->field = (struct mm_config_field){
        .path = link->path,
        .type = MM_CONFIG_STRING,
        .offset = offsetof(struct mm_service_link, url),
        .fallback = link->fallback,
        .help = port_offset == 0 ? "address of that service's RPC" : "address of its stream",
    };
    mm_config_add(service->config, &link->field, 1, link);
}

static bool is_peer(const struct mm_service *service, const char *name)
{
    for (size_t i = 0; i < service->peer_count; i++) {
        if (strcmp(service->peers[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static void declare_links(struct mm_service *service)
{
    const struct mm_service_spec *spec = service->spec;
    for (size_t i = 0; spec->peers != NULL && spec->peers[i] != NULL; i++) {
        MM_CHECK(service->peer_count < MM_SERVICE_PEERS_MAX - 1);
        declare_link(service, &service->peers[service->peer_count++], "peers", spec->peers[i], 0);
    }
    if (spec->authorise == NULL && !is_peer(service, "auth")) {
        declare_link(service, &service->peers[service->peer_count++], "peers", "auth", 0);
    }
    for (size_t i = 0; spec->stream_peers != NULL && spec->stream_peers[i] != NULL; i++) {
        MM_CHECK(service->stream_count < MM_SERVICE_PEERS_MAX);
        declare_link(service, &service->streams[service->stream_count++], "streams",
                     spec->stream_peers[i], 1);
    }
}

static void declare_listen(struct mm_service *service, int index, const char *path, size_t offset,
                           const char *scheme, unsigned port, const char *help)
{
    char *fallback = service->fallbacks[index];
    snprintf(fallback, sizeof service->fallbacks[index], "%s127.0.0.1:%u", scheme, port);
    service->listen_fields[index] = (struct mm_config_field){
        .path = path,
        .type = MM_CONFIG_STRING,
        .offset = offset,
        .fallback = fallback,
        .help = help,
    };
    mm_config_add(service->config, &service->listen_fields[index], 1, &service->settings);
}

void mm_service_declare_settings(struct mm_service *service)
{
    const struct mm_service_spec *spec = service->spec;
    struct mm_config *config = service->config;
    mm_config_add(config, common_fields, 2, &service->settings);
    declare_listen(service, 0, "rpc.listen", SETTING(rpc_listen), "tcp://", spec->port,
                   "address of the RPC: tcp://, ipc:// or tls+tcp://");
    mm_config_add(config, common_fields + 2, COUNT(common_fields) - 2, &service->settings);
    if (spec->uses & MM_SERVICE_STREAM) {
        declare_listen(service, 1, "stream.listen", SETTING(stream_listen), "tcp://",
                       spec->port + 1u, "address of the published streams");
    }
    declare_listen(service, 2, "http.listen", SETTING(http_listen), "", spec->port + 2u,
                   "host:port of the operations endpoint");
    declare_links(service);
    if (spec->uses & MM_SERVICE_DB) {
        mm_config_add(config, db_fields, COUNT(db_fields), &service->settings);
        snprintf(service->fallbacks[3], sizeof service->fallbacks[3], "mmorts_%s", spec->name);
        service->database_field = (struct mm_config_field){
            .path = "mariadb.database",
            .type = MM_CONFIG_STRING,
            .offset = SETTING(db_database),
            .fallback = service->fallbacks[3],
            .max = 64,
            .help = "database; created when missing",
        };
        mm_config_add(config, &service->database_field, 1, &service->settings);
    }
    if (spec->uses & MM_SERVICE_REDIS) {
        mm_config_add(config, redis_fields, COUNT(redis_fields), &service->settings);
    }
    mm_config_add(config, spec->fields, spec->field_count, service->state);
}

struct mm_rpc_tls mm_service_tls(const struct mm_service *service)
{
    const struct mm_service_settings *settings = &service->settings;
    struct mm_rpc_tls tls = {NULL, NULL};
    if (settings->tls_ca[0] != '\0') {
        tls.ca_file = mm_config_resolve(service->config, settings->tls_ca);
    }
    if (settings->tls_cert_key[0] != '\0') {
        tls.cert_key_file = mm_config_resolve(service->config, settings->tls_cert_key);
    }
    return tls;
}
