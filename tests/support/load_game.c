#include "tests/support/load_game.h"

#include "libcommon/base/check.h"
#include "libcommon/base/clock.h"
#include "tests/support/bench.h"
#include "tests/support/load_game_internal.h"
#include "tests/support/process.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READY_MS = 120000, PORTS = 60, FILES_BESIDE_SOCKETS = 400 };

#define TOKEN_LIFE_S 86400

// --- settings ------------------------------------------------------------------------------------

static char *read_text(const char *path)
{
    FILE *file = fopen(path, "r");
    char *text = NULL;
    size_t bytes = 0;
    if (!file || getdelim(&text, &bytes, '\0', file) < 0)
        test_fail("cannot read %s: %s", path, strerror(errno));
    (void)fclose(file);
    return text;
}

// Copies a settings file with one setting's value replaced. A setting that is not there any more
// fails the harness, so that no figure is taken of other settings than it says.
static void copy_with(const char *from, const char *to, const char *const (*changes)[2],
                      const char *const (*more)[2])
{
    char *text = read_text(from);
    for (const char *const(*change)[2] = changes;; change++) {
        if (!(*change)[0] && more) { // the first list is done
            change = more;
            more = NULL;
        }
        if (!(*change)[0])
            break;
        const char *setting = (*change)[0], *value = (*change)[1];
        char *at = strstr(text, setting);
        if (!at)
            test_fail("%s has no `%s`", from, setting);
        char *rest = at + strlen(setting) + strcspn(at + strlen(setting), " \n"), *joined = NULL;
        *at = '\0';
        MM_CHECK(asprintf(&joined, "%s%s%s%s", text, setting, value, rest) > 0);
        free(text);
        text = joined;
    }
    FILE *file = fopen(to, "w");
    if (!file || fputs(text, file) < 0 || fclose(file) != 0)
        test_fail("cannot write %s", to);
    free(text);
}

static void link_to(const char *from, const char *to)
{
    char *target = realpath(from, NULL);
    if (!target || symlink(target, to) != 0)
        test_fail("cannot link %s to %s: %s", to, from, strerror(errno));
    free(target);
}

// The services' own settings, but for world's game and the numbers of clients.
static void make_settings(const struct load_game *game, const char *directory)
{
    static const char *const services[] = {"auth",       "world",  "vision", "sync",
                                           "production", "social", NULL};
    char from[PATH_MAX], to[PATH_MAX], seed[24];
    (void)snprintf(seed, sizeof seed, "%" PRIu64, game->seed);
    const char *const world[][2] = {{"seed: ", seed}, {NULL, NULL}};
    const char *const sync[][2] = {{"clients_max: ", "20000"},
                                   {"clients_per_address: ", "20000"},
                                   {"compression: ", "all"},
                                   {NULL, NULL}};
    MM_CHECK(mkdir(directory, 0755) == 0);
    for (int i = 0; services[i]; i++) {
        (void)snprintf(to, sizeof to, "%s/%s", directory, services[i]);
        (void)snprintf(from, sizeof from, "services/%s", services[i]);
        MM_CHECK(mkdir(to, 0755) == 0);
        DIR *entries = opendir(from);
        if (!entries)
            test_fail("%s is not here; start this from the repository's top", from);
        for (const struct dirent *entry; (entry = readdir(entries));) {
            if (entry->d_name[0] == '.')
                continue;
            (void)snprintf(from, sizeof from, "services/%s/%s", services[i], entry->d_name);
            (void)snprintf(to, sizeof to, "%s/%s/%s", directory, services[i], entry->d_name);
            if (strcmp(from, "services/world/game") == 0)
                link_to("tests/support/patrol", to);
            else if (strcmp(from, "services/world/world.yaml") == 0)
                copy_with(from, to, world, NULL);
            else if (strcmp(from, "services/sync/sync.yaml") == 0)
                copy_with(from, to, sync, game->sync_settings);
            else
                link_to(from, to);
        }
        (void)closedir(entries);
    }
}

// --- processes -----------------------------------------------------------------------------------

static json_t *status_of(const struct load_game *game)
{
    json_error_t error;
    return json_load_file(game->status_path, 0, &error); // NULL until it is there
}

bool load_game_is_ready(const struct load_game *game)
{
    static const char *const all[] = {"auth",       "world",  "vision", "sync",
                                      "production", "social", "sync-2"};
    size_t count = sizeof all / sizeof *all - (game->syncs < 2);
    json_t *status = status_of(game);
    const char *state = json_string_value(json_object_get(status, "state"));
    bool ready = state && strcmp(state, "ready") == 0;
    for (size_t i = 0; ready && i < count; i++) {
        const json_t *process = json_object_get(json_object_get(status, "processes"), all[i]);
        state = json_string_value(json_object_get(process, "state"));
        ready = state && strcmp(state, "ready") == 0;
    }
    json_decref(status);
    return ready;
}

static void wait_ready(struct load_game *game)
{
    for (int64_t end = test_now_ms() + READY_MS; !load_game_is_ready(game); (void)usleep(10000)) {
        if (!test_process_running(game->launcher) || test_now_ms() > end)
            test_fail("the game is not ready:\n%s", test_process_log(game->launcher));
    }
}

static int number_of(const struct load_game *game, const char *service, const char *what)
{
    json_t *status = status_of(game);
    const json_t *process = json_object_get(json_object_get(status, "processes"), service);
    int number = (int)json_integer_value(json_object_get(process, what));
    json_decref(status);
    return number;
}

static int pid_of(const struct load_game *game, const char *service)
{
    return number_of(game, service, "pid");
}

double load_game_metric(const struct load_game *game, const char *service, const char *name)
{
    char *body = NULL, line[128];
    int port = number_of(game, service, "port");
    int status = test_http_get((uint16_t)port, "/metrics", READY_MS, &body);
    (void)snprintf(line, sizeof line, "\n%s ", name);
    const char *at = status == 200 && body ? strstr(body, line) : NULL;
    if (!at)
        test_fail("%s does not tell %s (%d)", service, name, status);
    double value = strtod(at + strlen(line), NULL);
    free(body);
    return value;
}

void load_game_signal(const struct load_game *game, const char *service, int signal)
{
    int pid = pid_of(game, service);
    MM_CHECK(pid > 1 && kill(pid, signal) == 0);
}

uint64_t load_game_cpu_ns(const struct load_game *game, const char *service)
{
    return bench_cpu_of_pid_ns(pid_of(game, service));
}

uint64_t load_game_rss_bytes(const struct load_game *game, const char *service)
{
    char path[64];
    unsigned long long size = 0, resident = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/statm", pid_of(game, service));
    FILE *file = fopen(path, "r");
    if (!file || fscanf(file, "%llu %llu", &size, &resident) != 2)
        test_fail("cannot read %s", path);
    (void)fclose(file);
    return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

void load_game_kill(struct load_game *game, const char *service)
{
    int pid = pid_of(game, service);
    MM_CHECK(pid > 1 && kill(pid, SIGKILL) == 0);
    // The launcher has noticed when it names another process, or none.
    for (int64_t end = test_now_ms() + READY_MS; pid_of(game, service) == pid; (void)usleep(5000))
        if (test_now_ms() > end)
            test_fail("the launcher does not notice that %s is dead", service);
}

static void start(struct load_game *game)
{
    char data[512], settings[512], base[16], players[16], syncs[16], login[600];
    unsigned port = test_ports_free(PORTS + game->syncs);
    (void)snprintf(data, sizeof data, "%s/play", game->directory);
    (void)snprintf(settings, sizeof settings, "%s/services", game->directory);
    (void)snprintf(game->status_path, sizeof game->status_path, "%s/status.json", game->directory);
    (void)snprintf(base, sizeof base, "%u", port);
    (void)snprintf(players, sizeof players, "%u", port + PORTS);
    (void)snprintf(syncs, sizeof syncs, "%u", game->syncs);
    game->players_port = (uint16_t)(port + PORTS);
    make_settings(game, settings);
    const char *argv[] = {"mmorts-launcher", "--data",      data,  "--services",
                          settings,          "--base-port", base,  "--players-port",
                          players,           "--sync",      syncs, "--status-file",
                          game->status_path, NULL};
    const char *env[] = {"MMORTS_LOG_LEVEL=warn", NULL};
    game->launcher = test_process_start(argv, env);
    wait_ready(game);
    json_t *status = status_of(game);
    const char *rpc = json_string_value(
        json_object_get(json_object_get(json_object_get(status, "processes"), "world"), "rpc"));
    MM_CHECK(rpc && strlen(rpc) > 4);
    (void)snprintf(game->world_rpc, sizeof game->world_rpc, "%s", rpc);
    (void)snprintf(game->world_stream, sizeof game->world_stream, "%.*s.stream",
                   (int)strlen(rpc) - 4, rpc);
    json_decref(status);
    // Tokens are signed here with the stand-in login server's key: thousands of logins would only
    // measure that server.
    (void)snprintf(login, sizeof login, "%s/login", data);
    MM_CHECK(login_signer_open(login, &game->signer) == MM_OK);
}

struct load_game *load_game_start(uint32_t players, uint64_t seed, uint32_t syncs)
{
    return load_game_start_with(players, seed, syncs, NULL);
}

struct load_game *load_game_start_with(uint32_t players, uint64_t seed, uint32_t syncs,
                                       const char *const (*sync)[2])
{
    struct load_game *game = calloc(1, sizeof *game);
    MM_CHECK(game);
    game->directory = test_dir_make();
    game->players = players;
    game->seed = seed;
    game->syncs = syncs;
    game->sync_settings = sync;
    game->empires = calloc(players, sizeof *game->empires);
    MM_CHECK(game->empires);
    start(game);
    load_patrol_begin(game);
    return game;
}

void load_game_stop(struct load_game *game)
{
    (void)test_process_stop(game->launcher);
    test_process_free(game->launcher);
    login_signer_close(game->signer);
    free(game->directory);
    free(game->empires);
    free(game);
}

// --- what others ask for -------------------------------------------------------------------------

uint16_t load_game_port(const struct load_game *game)
{
    return game->players_port;
}

const char *load_game_world_rpc(const struct load_game *game)
{
    return game->world_rpc;
}

const char *load_game_world_stream(const struct load_game *game)
{
    return game->world_stream;
}

uint32_t load_game_empire(const struct load_game *game, uint32_t index)
{
    return game->empires[index];
}

const char *load_game_token(void *arg, uint32_t index)
{
    struct load_game *game = arg;
    char claims[400];
    int64_t now_ms = mm_clock_wall_ms();
    (void)snprintf(claims, sizeof claims,
                   "{\"user_id\":%" PRIu64 ",\"email\":\"\",\"username\":\"patrol%u\","
                   "\"user_type\":\"user\",\"auth_method\":\"password\",\"permissions\":0,"
                   "\"activated\":%" PRId64 ",\"iss\":\"login-server\",\"iat\":%" PRId64
                   ",\"exp\":%" PRId64 "}",
                   LOAD_FIRST_PLAYER + index, index, now_ms * 1000000, now_ms / 1000,
                   now_ms / 1000 + TOKEN_LIFE_S);
    MM_CHECK(login_signer_sign(game->signer, claims, game->token) == MM_OK);
    return game->token;
}

void load_raise_limits(uint32_t sockets)
{
    struct rlimit limit;
    MM_CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = limit.rlim_max;
    MM_CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    if (limit.rlim_cur < (rlim_t)sockets + FILES_BESIDE_SOCKETS)
        test_fail("%u sockets need more than the %llu files that may be open (`ulimit -Hn`)",
                  sockets, (unsigned long long)limit.rlim_cur);
}
