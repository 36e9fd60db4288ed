#include "tools/launcher/plan.h"

#include "libcommon/base/check.h"
#include "libcommon/base/clock.h"
#include "libcommon/base/str.h"
#include "tools/launcher/database.h"
#include <arpa/inet.h>
#include <errno.h>
#include <libgen.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

// --- services ------------------------------------------------------------------------------------

// In the order of their ports: 7100, 7110, ... A later stage needs the earlier ones to become
// ready.
static const struct {
    const char *name, *upper;
    unsigned stage;
    bool has_stream;
} services[] = {
    {"auth", "AUTH", 1, false},
    {"world", "WORLD", 2, true},
    {"vision", "VISION", 3, true},
    {"sync", "SYNC", 4, false},
    {"production", "PRODUCTION", 2, true},
    {"social", "SOCIAL", 1, false},
};

static const char *const sync_names[PLAN_SYNCS_MAX] = {"sync",   "sync-2", "sync-3", "sync-4",
                                                       "sync-5", "sync-6", "sync-7"};

enum {
    SERVICE_COUNT = sizeof services / sizeof services[0],
    STAGE_SERVERS = 0,
    STAGE_BOTS = 5,
    SESSIONS_PORT = 100, // from the base port on
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
        "MMORTS_LOG_LEVEL=", "MMORTS_WORLD_GUARD=", "MMORTS_WORLD_FOG_OF_WAR=",
        "MMORTS_WORLD_TERRAIN_BLOCKS=", "MMORTS_SOCIAL_MAIL_"};
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
        if (strncmp(variable, kept[i], strlen(kept[i])) == 0)
            return true;
    return strncmp(variable, "MMORTS_", 7) != 0;
}

static void make_env(struct plan *plan, const struct launcher_options *options)
{
    for (char **at = environ; *at; at++)
        if (passes(*at) && plan->env_count < PLAN_ENV_MAX / 2)
            plan->env[plan->env_count++] = launcher_text("%s", *at);
    for (unsigned i = 0; i < SERVICE_COUNT; i++) {
        char name[64];
        snprintf(name, sizeof name, "MMORTS_%s_RPC", services[i].upper);
        env_set(plan, name, "ipc://%s/%s.rpc", plan->run, services[i].name);
        snprintf(name, sizeof name, "MMORTS_%s_HTTP", services[i].upper);
        env_set(plan, name, "127.0.0.1:%u", options->base_port + 10 * i + 2);
        snprintf(name, sizeof name, "MMORTS_%s_STREAM", services[i].upper);
        if (services[i].has_stream)
            env_set(plan, name, "ipc://%s/%s.stream", plan->run, services[i].name);
    }
    env_set(plan, "MMORTS_SYNC_LISTEN", "127.0.0.1:%u", plan->players_port);
    env_set(plan, "MMORTS_SYNC_REUSE_PORT", "%s", options->syncs > 1 ? "true" : "false");
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
    for (unsigned i = 0; i < SERVICE_COUNT; i++) {
        const char *name = services[i].name;
        struct child *child = add_child(plan, name, services[i].stage);
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

static bool can_listen(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    // Connections of an earlier run that linger must not count.
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0)
        launcher_die("cannot make a socket: %s", strerror(errno));
    bool can = bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 1) == 0;
    int error = errno;
    close(fd);
    errno = error;
    return can;
}

// --- further sessions ----------------------------------------------------------------------------

// Auth is for all sessions, and sync opens a room for each.
static bool is_per_session(unsigned service)
{
    return strcmp(services[service].name, "auth") != 0 &&
           strcmp(services[service].name, "sync") != 0;
}

static bool is_overridden(const char *entry)
{
    for (unsigned i = 0; i < SERVICE_COUNT; i++) {
        size_t len = strlen(services[i].upper);
        if (is_per_session(i) && strncmp(entry, "MMORTS_", 7) == 0 &&
            strncmp(entry + 7, services[i].upper, len) == 0 && entry[7 + len] == '_')
            return true;
    }
    return false;
}

static void session_env(const struct plan *plan, struct plan_session *place, unsigned number,
                        const uint16_t *ports)
{
    unsigned count = 0;
    for (unsigned i = 0; i < plan->env_count; i++)
        if (!is_overridden(plan->env[i]))
            place->env[count++] = launcher_text("%s", plan->env[i]);
    place->env[count++] = launcher_text("MMORTS_SESSION=%s", place->session);
    for (unsigned i = 0, k = 0; i < SERVICE_COUNT; i++) {
        if (!is_per_session(i))
            continue;
        const char *name = services[i].name, *upper = services[i].upper;
        // By number: a session's name might not fit a socket's path.
        place->env[count++] =
            launcher_text("MMORTS_%s_RPC=ipc://%s/%u-%s.rpc", upper, plan->run, number, name);
        place->env[count++] = launcher_text("MMORTS_%s_HTTP=127.0.0.1:%u", upper, ports[k++]);
        if (services[i].has_stream)
            place->env[count++] = launcher_text("MMORTS_%s_STREAM=ipc://%s/%u-%s.stream", upper,
                                                plan->run, number, name);
        MM_CHECK(count + 3 < PLAN_ENV_MAX);
    }
}

static bool find_ports(const struct plan *plan, uint16_t *ports)
{
    uint16_t port = plan->sessions_port;
    for (unsigned k = 0; k < PLAN_SESSION_CHILDREN; port++) {
        bool taken = false;
        for (unsigned i = 0; i < plan->child_count; i++)
            taken |= plan->children[i].target.port == port;
        if (port >= 32768)
            return false;
        if (!taken && can_listen(port))
            ports[k++] = port;
    }
    return true;
}

static void session_child(const struct plan *plan, struct plan_session *place, unsigned number,
                          unsigned service, struct child *child, uint16_t port)
{
    const char *name = services[service].name;
    *child = (struct child){
        .name = launcher_text("%s.%s", name, place->session),
        .stage = services[service].stage,
        .env = place->env,
        .log_path = launcher_text("%s/log/%s.%s.log", plan->data, name, place->session),
        .target = {PROBE_HTTP, port, "/readyz"},
        .rpc = launcher_text("ipc://%s/%u-%s.rpc", plan->run, number, name),
        .stop_ms = 10000,
        .optional = true,
    };
    child->argv[child->argc++] = launcher_text("%s/mmorts-%s", plan->binaries, name);
    child->argv[child->argc++] = launcher_text("--config");
    child->argv[child->argc++] = launcher_text("%s/%s/%s.yaml", plan->services, name, name);
}

static void free_child(struct child *child)
{
    for (unsigned k = 0; k < child->argc; k++)
        free(child->argv[k]);
    free(child->log_path);
    free((char *)(uintptr_t)child->rpc);
    if (child->optional)
        free((char *)(uintptr_t)child->name);
    *child = (struct child){.optional = true, .state = CHILD_STOPPED};
}

struct plan_session *plan_add_session(struct plan *plan, const char *session)
{
    unsigned number = 0;
    while (number < PLAN_SESSIONS_MAX && plan->sessions[number].session[0] != '\0')
        number++;
    uint16_t ports[PLAN_SESSION_CHILDREN];
    if (number == PLAN_SESSIONS_MAX || !find_ports(plan, ports))
        return NULL;
    struct plan_session *place = &plan->sessions[number];
    if (!mm_str_copy(place->session, sizeof place->session, session))
        return NULL;
    place->ending = false;
    if (!place->children) {
        MM_CHECK(plan->child_count + PLAN_SESSION_CHILDREN <= PLAN_CHILDREN_MAX);
        place->children = &plan->children[plan->child_count];
        plan->child_count += PLAN_SESSION_CHILDREN;
    }
    session_env(plan, place, number, ports);
    for (unsigned i = 0, k = 0; i < SERVICE_COUNT; i++)
        if (is_per_session(i)) {
            session_child(plan, place, number, i, &place->children[k], ports[k]);
            k++;
        }
    return place;
}

void plan_drop_session(struct plan_session *place)
{
    for (unsigned k = 0; place->children && k < PLAN_SESSION_CHILDREN; k++)
        free_child(&place->children[k]);
    for (unsigned i = 0; place->env[i]; i++)
        free(place->env[i]);
    memset(place->env, 0, sizeof place->env);
    place->session[0] = '\0';
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
        free_child(&plan->children[i]);
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

// --- ports ---------------------------------------------------------------------------------------

// A launcher that was killed leaves children that the kernel is still ending: their ports are free
// in a moment.
enum { PORT_PATIENCE_MS = 3000, PORT_PAUSE_MS = 20 };

static void check_port(const char *use, uint16_t port, const char *option)
{
    uint64_t deadline_ms = mm_clock_ms() + PORT_PATIENCE_MS;
    while (!can_listen(port)) {
        int error = errno;
        if (error != EADDRINUSE || mm_clock_ms() >= deadline_ms)
            launcher_die("port %u, for %s, cannot be used: %s\n"
                         "    end the program that uses it, or choose another with %s",
                         port, use, strerror(error), option);
        poll(NULL, 0, PORT_PAUSE_MS);
    }
}

void plan_check_ports(const struct plan *plan)
{
    check_port("players", plan->players_port, "--players-port");
    for (unsigned i = 0; i < plan->child_count; i++)
        if (plan->children[i].target.kind != PROBE_NONE)
            check_port(plan->children[i].name, plan->children[i].target.port, "--base-port");
}
