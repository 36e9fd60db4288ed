#include "tools/launcher/plan.h"

#include "libcommon/base/check.h"
#include "libcommon/base/clock.h"
#include "tools/launcher/database.h"
#include "tools/launcher/ports.h"
#include "tools/launcher/services.h"
#include <errno.h>
#include <libgen.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const sync_names[PLAN_SYNCS_MAX] = {"sync",   "sync-2", "sync-3", "sync-4",
                                                       "sync-5", "sync-6", "sync-7"};

enum {
    STAGE_SERVERS = 0,
    STAGE_BOTS = 5,
    SESSIONS_PORT = 100, // from the base port on
    // A launcher that was killed leaves children that the kernel is still ending: their ports are
    // free in a moment.
    PORTS_PATIENCE_MS = 3000,
    // Room for the launcher's own names in a Unix socket's 108 bytes of path.
    RUN_PATH_MAX = 80,
};

// --- environment ---------------------------------------------------------------------------------

static void env_set(struct plan *plan, const char *name, const char *format, ...) MM_PRINTF(3, 4);

static void env_set(struct plan *plan, const char *name, const char *format, ...)
{
    char value[512];
    va_list args;
    va_start(args, format);
    vsnprintf(value, sizeof value, format, args);
    va_end(args);
    MM_CHECK(plan->env_count < PLAN_ENV_MAX);
    plan->env[plan->env_count++] = launcher_text("%s=%s", name, value);
}

extern char **environ;

// Settings from outside would point the services at other servers. What is no setting of ours
// passes through, and so do those that say how the game is played and how much is logged.
static bool passes(const char *variable)
{
    static const char *const kept[] = {
        "MMORTS_LOG_LEVEL=",        "MMORTS_WORLD_SEED=",           "MMORTS_WORLD_GUARD=",
        "MMORTS_WORLD_FOG_OF_WAR=", "MMORTS_WORLD_TERRAIN_BLOCKS=", "MMORTS_SYNC_CONNECTIONS=",
        "MMORTS_SYNC_BYTES_",       "MMORTS_SYNC_ORIGINS=",         "MMORTS_SYNC_PROXIES=",
        "MMORTS_SYNC_SILENT=",      "MMORTS_SOCIAL_LEASE=",         "MMORTS_SOCIAL_GROUP_PENDING=",
        "MMORTS_SOCIAL_MAIL_",      "MMORTS_REDIS_TIMEOUT="};
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
        if (strncmp(variable, kept[i], strlen(kept[i])) == 0)
            return true;
    return strncmp(variable, "MMORTS_", 7) != 0;
}

static void make_env(struct plan *plan, const struct launcher_options *options)
{
    for (char **at = environ; *at; at++) {
        if (!passes(*at))
            continue;
        if (plan->env_count == PLAN_ENV_MAX - PLAN_ENV_OWN)
            launcher_die("more than %d environment variables", PLAN_ENV_MAX - PLAN_ENV_OWN);
        plan->env[plan->env_count++] = launcher_text("%s", *at);
    }
    for (unsigned i = 0; i < LAUNCHER_SERVICES; i++) {
        char name[64];
        snprintf(name, sizeof name, "MMORTS_%s_RPC", launcher_services[i].upper);
        env_set(plan, name, "ipc://%s/%s.rpc", plan->run, launcher_services[i].name);
        snprintf(name, sizeof name, "MMORTS_%s_HTTP", launcher_services[i].upper);
        env_set(plan, name, "127.0.0.1:%u", options->base_port + 10 * i + 2);
        snprintf(name, sizeof name, "MMORTS_%s_STREAM", launcher_services[i].upper);
        if (launcher_services[i].has_stream)
            env_set(plan, name, "ipc://%s/%s.stream", plan->run, launcher_services[i].name);
    }
    env_set(plan, "MMORTS_SYNC_LISTEN", "127.0.0.1:%u", plan->players_port);
    env_set(plan, "MMORTS_SYNC_REUSE_PORT", "%s", options->syncs > 1 ? "true" : "false");
    env_set(plan, "MMORTS_SYNC_EMPIRES", "%s", options->syncs > 1 ? "served" : "all");
    env_set(plan, "MMORTS_DB_HOST", "127.0.0.1");
    env_set(plan, "MMORTS_DB_PORT", "%u", plan->mariadb_port);
    env_set(plan, "MMORTS_DB_USER", "mmorts");
    env_set(plan, "MMORTS_DB_PASSWORD", "%s", plan->secrets.db_password);
    env_set(plan, "MMORTS_REDIS_HOST", "127.0.0.1");
    env_set(plan, "MMORTS_REDIS_PORT", "%u", plan->redis_port);
    env_set(plan, "MMORTS_REDIS_PASSWORD", "%s", plan->secrets.redis_password);
    env_set(plan, "MMORTS_LOGIN_URL", "http://127.0.0.1:%u", plan->login_port);
}

// --- children ------------------------------------------------------------------------------------

static struct child *add_child(struct plan *plan, const char *name, unsigned stage)
{
    MM_CHECK(plan->child_count < PLAN_CHILDREN_MAX);
    struct child *child = &plan->children[plan->child_count++];
    child->name = name;
    child->stage = stage;
    child->env = plan->env;
    child->log_path = launcher_text("%s/log/%s.log", plan->data, name);
    child->stop_ms = 10000;
    return child;
}

static void add_arg(struct child *child, const char *format, ...) MM_PRINTF(2, 3);

static void add_arg(struct child *child, const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        launcher_die("out of memory");
    va_end(args);
    MM_CHECK(child->argc < CHILD_ARGS_MAX);
    child->argv[child->argc++] = text;
}

static void add_binary(struct plan *plan, struct child *child, const char *name)
{
    add_arg(child, "%s/mmorts-%s", plan->binaries, name);
    if (access(child->argv[0], X_OK) != 0)
        launcher_die("%s is missing; build it with make", child->argv[0]);
}

static void add_servers(struct plan *plan, const struct launcher_options *options)
{
    struct child *mariadb = add_child(plan, "mariadb", STAGE_SERVERS);
    mariadb->target = (struct probe_target){PROBE_MARIADB, plan->mariadb_port, NULL};
    mariadb->stop_ms = 30000;
    char **args =
        database_mariadb_args(plan->data, plan->run, plan->mariadb_port, plan->secrets.db_password);
    for (char **at = args; *at; at++) {
        add_arg(mariadb, "%s", *at);
        free(*at);
    }
    free(args);

    struct child *redis = add_child(plan, "redis", STAGE_SERVERS);
    redis->target = (struct probe_target){PROBE_REDIS, plan->redis_port, NULL};
    char *program = database_find_program("redis-server");
    char *settings =
        database_redis_settings(plan->data, plan->redis_port, plan->secrets.redis_password);
    add_arg(redis, "%s", program);
    add_arg(redis, "%s", settings);
    free(program);
    free(settings);

    struct child *login = add_child(plan, "login", STAGE_SERVERS);
    login->target = (struct probe_target){PROBE_HTTP, plan->login_port, "/api/public-key"};
    add_binary(plan, login, "login");
    add_arg(login, "--listen");
    add_arg(login, "127.0.0.1:%u", plan->login_port);
    add_arg(login, "--data");
    add_arg(login, "%s/login", plan->data);
    add_arg(login, "--operators");
    add_arg(login, "%s", options->operators);
    if (options->test)
        add_arg(login, "--test");
}

static void add_services(struct plan *plan, const struct launcher_options *options)
{
    for (unsigned i = 0; i < LAUNCHER_SERVICES; i++) {
        const char *name = launcher_services[i].name;
        struct child *child = add_child(plan, name, launcher_services[i].stage);
        uint16_t port = (uint16_t)(options->base_port + 10 * i + 2);
        child->target = (struct probe_target){PROBE_HTTP, port, "/readyz"};
        child->rpc = launcher_text("ipc://%s/%s.rpc", plan->run, name);
        add_binary(plan, child, name);
        add_arg(child, "--config");
        add_arg(child, "%s/%s/%s.yaml", plan->services, name, name);
        if (access(child->argv[2], R_OK) != 0)
            launcher_die("cannot read %s: %s", child->argv[2], strerror(errno));
    }
}

static bool is_env(const char *entry, const char *name)
{
    size_t len = strlen(name);
    return strncmp(entry, name, len) == 0 && entry[len] == '=';
}

// Further sync processes share everything with the first but where they are called.
static void add_syncs(struct plan *plan, const struct launcher_options *options)
{
    const struct child *first = plan->children;
    while (strcmp(first->name, "sync") != 0)
        first++;
    for (unsigned n = 1; n < options->syncs; n++) {
        char **env = calloc(plan->env_count + 1, sizeof *env);
        MM_CHECK(env);
        plan->sync_env[n] = env;
        uint16_t port = (uint16_t)(first->target.port + n);
        char *rpc = launcher_text("ipc://%s/sync-%u.rpc", plan->run, n + 1);
        for (unsigned i = 0; i < plan->env_count; i++)
            env[i] = is_env(plan->env[i], "MMORTS_SYNC_RPC")
                         ? launcher_text("MMORTS_SYNC_RPC=%s", rpc)
                     : is_env(plan->env[i], "MMORTS_SYNC_HTTP")
                         ? launcher_text("MMORTS_SYNC_HTTP=127.0.0.1:%u", port)
                         : launcher_text("%s", plan->env[i]);
        struct child *child = add_child(plan, sync_names[n], first->stage);
        child->env = env;
        child->target = (struct probe_target){PROBE_HTTP, port, "/readyz"};
        child->rpc = rpc;
        for (unsigned i = 0; i < first->argc; i++)
            add_arg(child, "%s", first->argv[i]);
    }
}

static void add_bots(struct plan *plan, uint32_t bots)
{
    if (bots == 0)
        return;
    struct child *child = add_child(plan, "bots", STAGE_BOTS);
    child->target = (struct probe_target){.kind = PROBE_NONE};
    add_binary(plan, child, "bots");
    add_arg(child, "--url");
    add_arg(child, "ws://127.0.0.1:%u/ws", plan->players_port);
    add_arg(child, "--login");
    add_arg(child, "http://127.0.0.1:%u", plan->login_port);
    add_arg(child, "-n");
    add_arg(child, "%u", bots);
}

// --- places --------------------------------------------------------------------------------------

static void find_places(struct plan *plan, const struct launcher_options *options)
{
    launcher_make_dirs(options->data);
    plan->data = realpath(options->data, NULL);
    char *program = realpath("/proc/self/exe", NULL);
    if (!plan->data || !program)
        launcher_die("cannot resolve %s: %s", options->data, strerror(errno));
    plan->binaries = launcher_text("%s", dirname(program));
    free(program);
    if (options->services) {
        plan->services = realpath(options->services, NULL);
        if (!plan->services)
            launcher_die("cannot find %s: %s", options->services, strerror(errno));
        return;
    }
    // The source tree is some levels above its build directory.
    char *above = launcher_text("%s", plan->binaries);
    for (int level = 0; level < 6 && !plan->services; level++) {
        char *settings = launcher_text("%s/services/world/world.yaml", above);
        if (launcher_exists(settings))
            plan->services = launcher_text("%s/services", above);
        free(settings);
        char *up = launcher_text("%s/..", above);
        free(above);
        above = up;
    }
    free(above);
    if (!plan->services)
        launcher_die("cannot find the services' settings near %s; name them with --services",
                     plan->binaries);
    char *clean = realpath(plan->services, NULL);
    free(plan->services);
    plan->services = clean;
}

// Unix socket paths are short: a data directory with a long path keeps its sockets elsewhere.
static void make_run_dir(struct plan *plan)
{
    plan->run = launcher_text("%s/run", plan->data);
    if (strlen(plan->run) > RUN_PATH_MAX) {
        free(plan->run);
        plan->run = launcher_text("/tmp/mmorts-run-XXXXXX");
        if (!mkdtemp(plan->run))
            launcher_die("cannot make %s: %s", plan->run, strerror(errno));
        return;
    }
    // Sockets of a launcher that was killed are stale: the lock says that nobody uses them.
    launcher_remove_tree(plan->run);
    launcher_make_dirs(plan->run);
}

void plan_make(struct plan *plan, const struct launcher_options *options)
{
    memset(plan, 0, sizeof *plan);
    find_places(plan, options);
    launcher_lock(plan->data);
    make_run_dir(plan);
    char *log_dir = launcher_text("%s/log", plan->data);
    launcher_make_dirs(log_dir);
    free(log_dir);
    launcher_secrets_load(plan->data, &plan->secrets);
    plan->mariadb_port = (uint16_t)(options->base_port + 6);
    plan->redis_port = (uint16_t)(options->base_port + 7);
    plan->login_port = (uint16_t)(options->base_port + 8);
    plan->players_port = options->players_port;
    plan->sessions_port = (uint16_t)(options->base_port + SESSIONS_PORT);
    make_env(plan, options);
    add_servers(plan, options);
    add_services(plan, options);
    add_syncs(plan, options);
    add_bots(plan, options->bots);
    for (unsigned i = 0; i < plan->child_count; i++)
        child_trim_log(&plan->children[i]);
}

void plan_free(struct plan *plan)
{
    launcher_remove_tree(plan->run);
    for (unsigned i = 0; i < PLAN_SESSIONS_MAX; i++)
        plan_drop_session(&plan->sessions[i]);
    for (unsigned i = 0; i < plan->child_count; i++)
        child_clear(&plan->children[i]);
    for (unsigned i = 0; i < plan->env_count; i++)
        free(plan->env[i]);
    for (unsigned n = 0; n < PLAN_SYNCS_MAX; n++) {
        for (char **at = plan->sync_env[n]; at && *at; at++)
            free(*at);
        free(plan->sync_env[n]);
    }
    free(plan->data);
    free(plan->run);
    free(plan->binaries);
    free(plan->services);
}

void plan_check_ports(const struct plan *plan)
{
    uint64_t deadline_ms = mm_clock_ms() + PORTS_PATIENCE_MS;
    bool good = ports_check("players", plan->players_port, deadline_ms);
    for (unsigned i = 0; i < plan->child_count; i++)
        if (plan->children[i].target.kind != PROBE_NONE)
            good &= ports_check(plan->children[i].name, plan->children[i].target.port, deadline_ms);
    if (!good)
        launcher_die("end the programs that listen there (`ss -ltnp` tells which), or choose other "
                     "ports\n    with --players-port and --base-port, for example\n"
                     "    make play PLAY=\"--players-port 8081 --base-port 7300\"");
}
