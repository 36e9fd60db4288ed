// A service's life, with a service made for it (this program again, started with --toy): what it
// says while it waits, that it drains, that it ends when it must, and with which status.

#include "libcommon/base/progress.h"
#include "libcommon/io/db.h"
#include "libcommon/io/http.h"
#include "libcommon/io/loop.h"
#include "libcommon/service/service.h"
#include "tests/support/process.h"
#include "tests/support/servers.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WAIT_MS = TEST_PATIENCE_MS };

static int passed, failed;

static void expect(bool good, const char *format, ...) MM_PRINTF(2, 3);

static void expect(bool good, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    printf(good ? "ok: " : "FAILED: ");
    vprintf(format, args);
    putchar('\n');
    fflush(stdout);
    va_end(args);
    good ? passed++ : failed++;
}

// --- the service ---------------------------------------------------------------------------------

struct toy {
    const char *on_start; // "ok" or "fail"
    const char *on_drain; // "now", "later" (at GET /drained) or "never"
    struct mm_service *service;
    int gate;
};

static void open_gate(struct mm_http_request *request, void *arg)
{
    struct toy *toy = arg;
    mm_service_condition_set(toy->service, toy->gate, true);
    mm_http_reply(request, 200, "text/plain", "open", 4);
}

static void finish_drain(struct mm_http_request *request, void *arg)
{
    struct toy *toy = arg;
    mm_http_reply(request, 200, "text/plain", "done", 4);
    mm_service_drained(toy->service);
}

static void hang(struct mm_http_request *request, void *arg)
{
    (void)request;
    (void)arg;
    for (;;) {
        pause();
    }
}

static void rest(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

enum { STALL_MS = 2000, LONG_MS = 3 * STALL_MS, STEP_MS = 20 };

static void take_long(struct mm_progress *progress)
{
    for (int i = 0; i < LONG_MS / STEP_MS; i++) {
        rest(STEP_MS);
        (void)mm_progress_step(progress);
    }
}

// Work that holds up the loop for longer than a stall, and gets on.
static void work(struct mm_http_request *request, void *arg)
{
    const struct toy *toy = arg;
    take_long(mm_loop_progress(mm_service_loop(toy->service)));
    mm_http_reply(request, 200, "text/plain", "worked", 6);
}

// Work beside the loop: it gets on for a while, then waits for somebody, and then is stuck.
static void *get_stuck(void *arg)
{
    const struct toy *toy = arg;
    static struct mm_progress progress;
    struct mm_watchdog *watchdog = mm_service_watch_begin(toy->service, &progress);
    take_long(&progress);
    fputs("the work got on\n", stderr);
    mm_progress_wait(&progress, true);
    rest(LONG_MS);
    fputs("the work has waited\n", stderr);
    mm_progress_wait(&progress, false);
    for (;;)
        pause();
    mm_service_watch_end(watchdog);
    return NULL;
}

static void begin_work(struct mm_http_request *request, void *arg)
{
    pthread_t thread;
    bool begun = pthread_create(&thread, NULL, get_stuck, arg) == 0;
    if (begun)
        pthread_detach(thread);
    mm_http_reply(request, begun ? 200 : 500, "text/plain", "begun", 5);
}

static enum mm_err job_work(struct mm_db_conn *conn, void *arg)
{
    (void)conn;
    (void)arg;
    fputs("the job runs\n", stderr);
    rest(2 * STALL_MS);
    return MM_OK;
}

// A job of the database's that takes longer than a stall.
static void begin_job(struct mm_http_request *request, void *arg)
{
    const struct toy *toy = arg;
    struct mm_db_job job = {.work = job_work, .deadline_ms = WAIT_MS};
    bool begun = mm_db_submit(mm_service_db(toy->service), &job) == MM_OK;
    mm_http_reply(request, begun ? 200 : 500, "text/plain", "begun", 5);
}

static void quit(struct mm_http_request *request, void *arg)
{
    struct toy *toy = arg;
    mm_http_reply(request, 200, "text/plain", "bye", 3);
    mm_service_quit(toy->service, 7);
}

static enum mm_err start_toy(struct mm_service *service, void *state)
{
    struct toy *toy = state;
    toy->service = service;
    if (strcmp(toy->on_start, "fail") == 0) {
        return MM_FAILED_PRECONDITION;
    }
    toy->gate = mm_service_condition_add(service, "gate \"of\" gates");
    mm_http_route(mm_service_http(service), MM_HTTP_GET, "/open", open_gate, toy);
    mm_http_route(mm_service_http(service), MM_HTTP_GET, "/drained", finish_drain, toy);
    mm_http_route(mm_service_http(service), MM_HTTP_GET, "/hang", hang, toy);
    mm_http_route(mm_service_http(service), MM_HTTP_GET, "/work", work, toy);
    mm_http_route(mm_service_http(service), MM_HTTP_GET, "/begin_work", begin_work, toy);
    mm_http_route(mm_service_http(service), MM_HTTP_GET, "/begin_job", begin_job, toy);
    mm_http_route(mm_service_http(service), MM_HTTP_GET, "/quit", quit, toy);
    return MM_OK;
}

static void drain_toy(struct mm_service *service, void *state)
{
    const struct toy *toy = state;
    fputs("drain hook\n", stderr);
    if (strcmp(toy->on_drain, "now") == 0) {
        mm_service_drained(service);
    }
}

static void stop_toy(struct mm_service *service, void *state)
{
    (void)state;
    fprintf(stderr, "stop hook, database %s\n", mm_service_db(service) == NULL ? "closed" : "open");
}

static const struct mm_config_field toy_fields[] = {
    {.path = "toy.on_start",
     .type = MM_CONFIG_STRING,
     .offset = offsetof(struct toy, on_start),
     .fallback = "ok",
     .choices = "ok|fail"},
    {.path = "toy.on_drain",
     .type = MM_CONFIG_STRING,
     .offset = offsetof(struct toy, on_drain),
     .fallback = "now",
     .choices = "now|later|never"},
};

static struct mm_service_spec toy_spec = {
    .name = "toy",
    .summary = "made for a test",
    .port = 7900,
    .fields = toy_fields,
    .field_count = 2,
    .state_bytes = sizeof(struct toy),
    .start = start_toy,
    .drain = drain_toy,
    .stop = stop_toy,
};

// --- running it ----------------------------------------------------------------------------------

struct run {
    char *dir;
    uint16_t port;
    struct test_process *process;
};

static char own_path[PATH_MAX];

// Starts the toy with these settings added; `schema` is its first migration, if it uses a database.
static struct run start_run_at(uint16_t port, const char *schema, const char *settings)
{
    struct run run = {.dir = test_dir_make(), .port = port};
    char config[PATH_MAX];
    char path[PATH_MAX];
    snprintf(config, sizeof config, "%s/toy.yaml", run.dir);
    FILE *file = fopen(config, "w");
    if (file == NULL) {
        test_fail("cannot write %s", config);
    }
    fprintf(file, "rpc: {listen: \"ipc://%s/rpc\"}\nhttp: {listen: \"127.0.0.1:%u\"}\n%s", run.dir,
            port, settings);
    fclose(file);
    if (schema != NULL) {
        snprintf(path, sizeof path, "%s/schema", run.dir);
        mkdir(path, 0700);
        snprintf(path, sizeof path, "%s/schema/001_first.sql", run.dir);
        file = fopen(path, "w");
        if (file == NULL) {
            test_fail("cannot write %s", path);
        }
        fputs(schema, file);
        fclose(file);
    }
    const char *const argv[] = {own_path, schema == NULL ? "--toy" : "--toy-with-db", "--config",
                                config, NULL};
    run.process = test_process_start(argv, NULL);
    return run;
}

static struct run start_run(const char *schema, const char *settings)
{
    return start_run_at(test_port_free(), schema, settings);
}

static bool log_has(const struct run *run, const char *text)
{
    char *log = test_process_log(run->process);
    bool has = strstr(log, text) != NULL;
    free(log);
    return has;
}

// Waits until GET path answers with that status and a body that contains `part`.
static void expect_answer(const struct run *run, const char *path, int status, const char *part)
{
    int64_t deadline = test_now_ms() + WAIT_MS;
    int got = -1;
    char *body = NULL;
    bool good = false;
    while (!good && test_now_ms() < deadline && test_process_running(run->process)) {
        free(body);
        body = NULL;
        // Some do what they must not do twice: who is asked is not given up while it runs.
        got = test_http_get(run->port, path, WAIT_MS, &body);
        good = got == status && body != NULL && strstr(body, part) != NULL;
        if (!good) {
            nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
        }
    }
    expect(good, "GET %s answers %d %s", path, status, part);
    if (!good) {
        char *log = test_process_log(run->process);
        printf("instead: %d %s\nits log:\n%s\n", got, body == NULL ? "" : body, log);
        free(log);
    }
    free(body);
}

// The program has to end by itself, without a sanitizer's complaint. Returns its wait status.
static int end_run(struct run *run)
{
    int status = test_process_wait(run->process, WAIT_MS);
    char *log = test_process_log(run->process);
    bool clean = strstr(log, "Sanitizer") == NULL;
    if (!clean) {
        printf("%s\n", log);
    }
    expect(clean, "no sanitizer complains");
    free(log);
    return status;
}

static void free_run(struct run *run)
{
    test_process_free(run->process);
    free(run->dir);
}

static void expect_exit(struct run *run, int code)
{
    int status = end_run(run);
    expect(WIFEXITED(status) && WEXITSTATUS(status) == code, "exit status is %d (wait status %x)",
           code, (unsigned)status);
}

// --- tests ---------------------------------------------------------------------------------------

static const char good_schema[] = "CREATE TABLE IF NOT EXISTS t (n INT);";

static const char *stores(const struct test_address *db, const char *database, const char *more)
{
    static char text[1024];
    snprintf(text, sizeof text,
             "mariadb:\n  host: %s\n  port: %u\n  user: %s\n  password: \"%s\"\n  database: %s\n%s",
             db->host, db->port, db->user, db->password, database, more);
    return text;
}

static void test_waiting_and_draining(struct test_server *server)
{
    test_server_stop(server);
    struct run run = start_run(good_schema, stores(test_server_address(server), "toy",
                                                   "drain: {timeout: 60s}\n"
                                                   "toy: {on_drain: later}\n"));
    expect_answer(&run, "/healthz", 200, "ok");
    expect_answer(&run, "/readyz", 503, "\"waiting_for\":[\"start\",\"mariadb\"]");
    test_server_restart(server);
    expect_answer(&run, "/readyz", 503, "\"waiting_for\":[\"gate \\\"of\\\" gates\"]");
    expect_answer(&run, "/metrics", 200, "\nmmorts_ready 0\n");
    expect_answer(&run, "/open", 200, "open");
    expect_answer(&run, "/readyz", 200, "\"ready\":true,\"draining\":false,\"waiting_for\":[]");
    expect_answer(&run, "/metrics", 200, "\nmmorts_ready 1\n");

    test_process_signal(run.process, SIGTERM);
    expect_answer(&run, "/readyz", 503, "\"ready\":false,\"draining\":true");
    expect(log_has(&run, "drain hook\n"), "the drain hook was called");
    expect(!log_has(&run, "stop hook"), "the stop hook was not, yet");
    expect_answer(&run, "/drained", 200, "done");
    expect_exit(&run, 0);
    expect(log_has(&run, "stop hook, database closed\n"), "it was called last");
    free_run(&run);
}

static void test_database_dies(struct test_server *server)
{
    struct run run = start_run(good_schema, stores(test_server_address(server), "toy", ""));
    expect_answer(&run, "/readyz", 503, "[\"gate \\\"of\\\" gates\"]");
    expect_answer(&run, "/open", 200, "open");
    expect_answer(&run, "/readyz", 200, "");
    test_server_kill(server);
    expect_answer(&run, "/readyz", 503, "\"waiting_for\":[\"mariadb\"]");
    test_server_restart(server);
    expect_answer(&run, "/readyz", 200, "");
    test_process_signal(run.process, SIGINT);
    expect_exit(&run, 0);
    free_run(&run);
}

static void test_broken_schema(const struct test_server *server)
{
    struct run run =
        start_run("CREATE TABEL t (n INT);", stores(test_server_address(server), "broken", ""));
    expect_exit(&run, 1);
    expect(log_has(&run, "cannot migrate"), "and says why");
    free_run(&run);
}

static void test_second_signal(void)
{
    struct run run = start_run(NULL, "drain: {timeout: 60s}\ntoy: {on_drain: never}\n");
    expect_answer(&run, "/open", 200, "open");
    test_process_signal(run.process, SIGTERM);
    expect_answer(&run, "/readyz", 503, "\"draining\":true");
    test_process_signal(run.process, SIGTERM);
    expect_exit(&run, 130);
    free_run(&run);
}

static void test_drain_timeout(void)
{
    struct run run = start_run(NULL, "drain: {timeout: 300ms}\ntoy: {on_drain: never}\n");
    expect_answer(&run, "/open", 200, "open");
    test_process_signal(run.process, SIGTERM);
    expect_exit(&run, 0);
    expect(log_has(&run, "draining took too long"), "it says that it did not wait");
    expect(log_has(&run, "stop hook"), "the stop hook was called");
    free_run(&run);
}

static void test_start_fails(void)
{
    struct run run = start_run(NULL, "toy: {on_start: fail}\n");
    expect_exit(&run, 1);
    expect(log_has(&run, "stop hook"), "what was half made is freed");
    free_run(&run);
}

static void test_addresses_in_use(void)
{
    struct run first = start_run(NULL, "");
    expect_answer(&first, "/open", 200, "open");
    struct run second = start_run_at(first.port, NULL, "");
    expect_exit(&second, 1);
    expect(log_has(&second, "cannot listen for HTTP"), "and says why");
    free_run(&second);
    test_process_signal(first.process, SIGTERM);
    expect_exit(&first, 0);
    free_run(&first);
}

static void test_quit(void)
{
    struct run run = start_run(NULL, "");
    expect_answer(&run, "/quit", 200, "bye");
    expect_exit(&run, 7);
    free_run(&run);
}

static void test_watchdog(void)
{
    struct run run = start_run(NULL, "watchdog: {stall: 2s}\n");
    expect_answer(&run, "/open", 200, "open");
    expect(test_http_get(run.port, "/hang", 500, NULL) == -1, "a stuck loop does not answer");
    int status = end_run(&run);
    expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "SIGABRT ends it (%x)",
           (unsigned)status);
    expect(log_has(&run, "event loop is stuck"), "and it says why");
    free_run(&run);
}

static void test_long_work(void)
{
    struct run run = start_run(NULL, "watchdog: {stall: 2s}\n");
    expect_answer(&run, "/open", 200, "open");
    // Once each: asked again it would work again.
    expect(test_http_get(run.port, "/work", WAIT_MS, NULL) == 200, "long work is left alone");
    expect_answer(&run, "/metrics", 200, "\nmmorts_watchdog_stalls_total 0\n");
    expect(test_http_get(run.port, "/begin_work", WAIT_MS, NULL) == 200, "work beside the loop");
    int status = end_run(&run);
    expect(log_has(&run, "the work got on\nthe work has waited\n"), "only what is stuck is ended");
    expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "by SIGABRT (%x)", (unsigned)status);
    expect(log_has(&run, "work is stuck"), "and it says why");
    free_run(&run);
}

static void test_slow_job_at_the_end(const struct test_server *server)
{
    struct run run = start_run(
        good_schema, stores(test_server_address(server), "toy", "watchdog: {stall: 2s}\n"));
    expect_answer(&run, "/open", 200, "open");
    expect(test_http_get(run.port, "/begin_job", WAIT_MS, NULL) == 200, "a job is given");
    expect(test_process_wait_log(run.process, "the job runs\n", WAIT_MS), "a job runs");
    test_process_signal(run.process, SIGTERM);
    expect_exit(&run, 0);
    free_run(&run);
}

// --- the command line ----------------------------------------------------------------------------

static void expect_check(const char *program, const char *config, int code, const char *output)
{
    const char *const argv[] = {program, "--config", config, "--check-config", NULL};
    struct test_process *process = test_process_start(argv, NULL);
    int status = test_process_wait(process, WAIT_MS);
    char *log = test_process_log(process);
    expect(WIFEXITED(status) && WEXITSTATUS(status) == code && strcmp(log, output) == 0,
           "%s --config %s --check-config: %d, expected %d %s", program, config,
           WEXITSTATUS(status), code, output);
    if (strcmp(log, output) != 0) {
        printf("instead: %s\n", log);
    }
    free(log);
    test_process_free(process);
}

static void test_settings(void)
{
    static const char *const names[] = {"auth", "world", "vision", "sync", "production", "social"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char program[64];
        char config[128];
        snprintf(program, sizeof program, "mmorts-%s", names[i]);
        snprintf(config, sizeof config, "services/%s/%s.yaml", names[i], names[i]);
        expect_check(program, config, 0, "OK\n");
    }
    char *dir = test_dir_make();
    char config[PATH_MAX];
    snprintf(config, sizeof config, "%s/auth.yaml", dir);
    FILE *file = fopen(config, "w");
    if (file == NULL) {
        test_fail("cannot write %s", config);
    }
    fputs("redis:\n  hots: x\n\nmariadb:\n  port: none\n", file);
    fclose(file);
    char expected[3 * PATH_MAX];
    snprintf(expected, sizeof expected,
             "%s:5: mariadb.port: expected a whole number from 1 to 65535, found \"none\"\n"
             "%s:2: unknown key \"redis.hots\"; did you mean \"host\"?\n",
             config, config);
    expect_check("mmorts-auth", config, 2, expected);
    free(dir);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strncmp(argv[1], "--toy", 5) == 0) {
        toy_spec.uses = strcmp(argv[1], "--toy-with-db") == 0 ? MM_SERVICE_DB : 0;
        argv[1] = argv[0];
        return mm_service_main(argc - 1, argv + 1, &toy_spec);
    }
    if (realpath("/proc/self/exe", own_path) == NULL) {
        test_fail("no path of this program");
    }
    test_settings();
    test_second_signal();
    test_drain_timeout();
    test_start_fails();
    test_addresses_in_use();
    test_quit();
    test_watchdog();
    test_long_work();
    struct test_server *server = test_mariadb_start();
    test_waiting_and_draining(server);
    test_database_dies(server);
    test_broken_schema(server);
    test_slow_job_at_the_end(server);
    test_server_free(server);
    printf("%d passed, %d failed\n", passed, failed);
    return failed == 0 ? 0 : 1;
}
