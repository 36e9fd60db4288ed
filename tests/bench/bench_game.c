// The whole game as `make play` runs it, with 50 computer players who really play: CPU seconds per
// second of the game for each service, what the players get, and how long their orders take.
// BENCH_ARGS="PLAYERS SECONDS" for other sizes.

#include "libcommon/base/check.h"
#include "tests/support/bench.h"
#include "tests/support/process.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { START_MS = 120000, SETTLE_S = 4, PORTS = 60 };

static const char *const services[] = {"auth", "world", "vision", "sync", "production", "social"};
enum { SERVICES = 6 };

struct game {
    char *directory;
    char status_path[512], report_path[512];
    struct test_process *launcher;
    int pids[SERVICES];
    char url[128], login_url[128];
};

static json_t *status_of(const struct game *game)
{
    json_error_t error;
    return json_load_file(game->status_path, 0, &error); // NULL until it is there
}

static bool is_ready(const struct game *game)
{
    json_t *status = status_of(game);
    const char *state = json_string_value(json_object_get(status, "state"));
    bool ready = state && strcmp(state, "ready") == 0;
    json_decref(status);
    return ready;
}

static void start(struct game *game)
{
    game->directory = test_dir_make();
    (void)snprintf(game->status_path, sizeof game->status_path, "%s/status.json", game->directory);
    (void)snprintf(game->report_path, sizeof game->report_path, "%s/report.json", game->directory);
    char data[512], base[16], players[16];
    unsigned port = test_ports_free(PORTS + 1);
    (void)snprintf(data, sizeof data, "%s/play", game->directory);
    (void)snprintf(base, sizeof base, "%u", port);
    (void)snprintf(players, sizeof players, "%u", port + PORTS);
    const char *argv[] = {
        "mmorts-launcher", "--data",          data, "--base-port", base, "--players-port", players,
        "--status-file",   game->status_path, NULL};
    game->launcher = test_process_start(argv, NULL);
    for (int64_t end = test_now_ms() + START_MS; !is_ready(game); usleep(50000)) {
        if (!test_process_running(game->launcher) || test_now_ms() > end)
            test_fail("the game does not start:\n%s", test_process_log(game->launcher));
    }
    json_t *status = status_of(game);
    const json_t *processes = json_object_get(status, "processes");
    for (int i = 0; i < SERVICES; i++)
        game->pids[i] = (int)json_integer_value(
            json_object_get(json_object_get(processes, services[i]), "pid"));
    (void)snprintf(game->login_url, sizeof game->login_url, "%s",
                   json_string_value(json_object_get(status, "login_url")));
    (void)snprintf(game->url, sizeof game->url, "ws://127.0.0.1:%s/ws", players);
    json_decref(status);
}

static struct test_process *start_players(struct game *game, unsigned players, unsigned seconds)
{
    char count[16], duration[16];
    (void)snprintf(count, sizeof count, "%u", players);
    (void)snprintf(duration, sizeof duration, "%u", seconds);
    const char *argv[] = {"mmorts-bots",     "-n",      count,     "--seconds",     duration,
                          "--url",           game->url, "--login", game->login_url, "--report",
                          game->report_path, NULL};
    return test_process_start(argv, NULL);
}

static double number(const json_t *object, const char *group, const char *name)
{
    if (group)
        object = json_object_get(object, group);
    return json_number_value(json_object_get(object, name));
}

static void figures(struct bench *bench, struct game *game, const uint64_t *cpu_ns, double seconds,
                    unsigned played_s)
{
    char name[64];
    double total = 0;
    for (int i = 0; i < SERVICES; i++) {
        double cpu = (double)cpu_ns[i] / 1e9 / seconds;
        total += cpu;
        (void)snprintf(name, sizeof name, "cpu.%s", services[i]);
        bench_figure(bench, name, cpu, "s/s");
    }
    bench_figure(bench, "cpu.all", total, "s/s");
    json_error_t error;
    json_t *report = json_load_file(game->report_path, 0, &error);
    MM_CHECK(report);
    // The players hold the game to its promises while they play.
    MM_CHECK(number(report, NULL, "ticks_back") == 0 && number(report, NULL, "malformed") == 0 &&
             number(report, NULL, "unknown_changes") == 0);
    bench_figure(bench, "updates", number(report, NULL, "updates") / played_s, "1/s");
    bench_figure(bench, "bytes", number(report, NULL, "bytes_in") / played_s, "bytes/s");
    bench_figure(bench, "commands", number(report, NULL, "commands") / played_s, "1/s");
    bench_figure(bench, "ack_p50", number(report, "ack_us", "p50") / 1000, "ms");
    bench_figure(bench, "ack_p99", number(report, "ack_us", "p99") / 1000, "ms");
    bench_figure(bench, "ping_p50", number(report, "ping_us", "p50") / 1000, "ms");
    json_decref(report);
}

int main(int argc, char **argv)
{
    unsigned players = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 50;
    unsigned seconds = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 14;
    char scenario[160];
    (void)snprintf(scenario, sizeof scenario,
                   "the whole game on this machine, %u computer players, measured for %u s from "
                   "%d s after they came",
                   players, seconds - SETTLE_S - 1, SETTLE_S);
    struct bench *bench = bench_open("game", scenario);
    struct game *game = calloc(1, sizeof *game);
    MM_CHECK(game && seconds > SETTLE_S + 1);
    start(game);
    struct test_process *bots = start_players(game, players, seconds);
    (void)sleep(SETTLE_S);
    uint64_t cpu_ns[SERVICES], begin_ns = bench_now_ns();
    for (int i = 0; i < SERVICES; i++)
        cpu_ns[i] = bench_cpu_of_pid_ns(game->pids[i]);
    (void)sleep(seconds - SETTLE_S - 1);
    double measured_s = (double)(bench_now_ns() - begin_ns) / 1e9;
    for (int i = 0; i < SERVICES; i++)
        cpu_ns[i] = bench_cpu_of_pid_ns(game->pids[i]) - cpu_ns[i];
    int status = test_process_wait(bots, 30000);
    if (status != 0)
        test_fail("the players found a fault:\n%s", test_process_log(bots));
    figures(bench, game, cpu_ns, measured_s, seconds);
    test_process_free(bots);
    (void)test_process_stop(game->launcher);
    test_process_free(game->launcher);
    free(game->directory);
    free(game);
    return bench_close(bench);
}
