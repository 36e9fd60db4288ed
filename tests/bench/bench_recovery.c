// The real services at full size: how long each is away when it is killed, how long one piece of
// work holds up its loop while it comes back and nobody is told that it is well, and how soon it
// ends if it is told to meanwhile. A million entities of 5,000 empires; or as many thousands, and
// empires, as the arguments say. A service that ends by itself, as by its watchdog, fails it.

#include "libcommon/base/check.h"
#include "libcommon/io/db_conn.h"
#include "tests/support/bench.h"
#include "tests/support/call.h"
#include "tests/support/world_fixture.h"
#include "tests/support/world_rig.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum {
    THOUSANDS = 1000,
    EMPIRES = 5000,
    MOVERS_EVERY = 50,
    WAIT_MS = 300000,
    LOOK_MS = 20,
    LOADING_MS = 300, // since the beginning, when it is told to end
    ENV_MAX = 20,
};

struct stage {
    struct bench *bench;
    struct test_server *mariadb;
    struct world_rig rig;
    char *dir;
    char env[ENV_MAX][200];
    const char *env_list[ENV_MAX + 1];
    struct test_service *vision, *sync, *production;
};

// --- figures of a process ------------------------------------------------------------------------

static double metric(uint16_t port, const char *name)
{
    char *body = NULL, line[128];
    if (test_http_get(port, "/metrics", WAIT_MS, &body) != 200) {
        free(body);
        return -1;
    }
    snprintf(line, sizeof line, "\n%s ", name);
    const char *at = strstr(body, line);
    double value = at ? strtod(at + strlen(line), NULL) : -1;
    free(body);
    return value;
}

// Until it is ready: seconds from now, the longest turn of its loop, and how long it did not answer
// a question about its health at most.
struct coming {
    double ready_s, turn_s, silent_s;
};

static struct coming until_ready(struct test_process *process, uint16_t port)
{
    struct coming coming = {0};
    uint64_t began = bench_now_ns(), answered = 0;
    int64_t end_ms = test_now_ms() + WAIT_MS;
    for (int status = 0; status != 200;) {
        if (!test_process_running(process) || test_now_ms() > end_ms)
            test_fail("it does not come back:\n%s", test_process_log(process));
        uint64_t asked = bench_now_ns();
        if (test_http_get(port, "/healthz", WAIT_MS, NULL) == 200) {
            double silent = (double)(bench_now_ns() - (answered ? answered : asked)) / 1e9;
            coming.silent_s = silent > coming.silent_s ? silent : coming.silent_s;
            answered = bench_now_ns();
        }
        status = test_http_get(port, "/readyz", WAIT_MS, NULL);
        double turn = metric(port, "mmorts_loop_turn_max_seconds");
        coming.turn_s = turn > coming.turn_s ? turn : coming.turn_s;
        poll(NULL, 0, LOOK_MS);
    }
    coming.ready_s = (double)(bench_now_ns() - began) / 1e9;
    return coming;
}

static void tell(struct stage *stage, const char *what, struct coming coming)
{
    char name[96];
    snprintf(name, sizeof name, "recovery.%s.ready_s", what);
    bench_figure(stage->bench, name, coming.ready_s, "s");
    snprintf(name, sizeof name, "recovery.%s.turn_s", what);
    bench_figure(stage->bench, name, coming.turn_s, "s");
    snprintf(name, sizeof name, "recovery.%s.silent_s", what);
    bench_figure(stage->bench, name, coming.silent_s, "s");
    fflush(stdout);
}

// --- the processes -------------------------------------------------------------------------------

static void add_env(struct stage *stage, const char *name, const char *value)
{
    size_t count = 0;
    while (stage->env_list[count])
        count++;
    MM_CHECK(count < ENV_MAX);
    snprintf(stage->env[count], sizeof stage->env[count], "%s=%s", name, value);
    stage->env_list[count] = stage->env[count];
}

static void add_url(struct stage *stage, const char *name, const char *directory, const char *file)
{
    char url[160];
    snprintf(url, sizeof url, "ipc://%s/%s", directory, file);
    add_env(stage, name, url);
}

static void fill_env(struct stage *stage)
{
    const struct test_address *db = test_server_address(stage->mariadb);
    const struct test_address *redis = &test_servers_get()->redis;
    char port[16];
    add_url(stage, "MMORTS_WORLD_RPC", stage->rig.dir, "rpc");
    add_url(stage, "MMORTS_WORLD_STREAM", stage->rig.dir, "stream");
    add_url(stage, "MMORTS_VISION_RPC", stage->dir, "vision.rpc");
    add_url(stage, "MMORTS_VISION_STREAM", stage->dir, "vision.stream");
    add_url(stage, "MMORTS_PRODUCTION_RPC", stage->dir, "production.rpc");
    add_url(stage, "MMORTS_PRODUCTION_STREAM", stage->dir, "production.stream");
    add_url(stage, "MMORTS_SOCIAL_RPC", stage->dir, "social.rpc");
    add_url(stage, "MMORTS_AUTH_RPC", stage->dir, "auth.rpc");
    add_env(stage, "MMORTS_DB_HOST", db->host);
    snprintf(port, sizeof port, "%u", db->port);
    add_env(stage, "MMORTS_DB_PORT", port);
    add_env(stage, "MMORTS_DB_USER", db->user);
    add_env(stage, "MMORTS_DB_PASSWORD", db->password);
    add_env(stage, "MMORTS_REDIS_HOST", redis->host);
    snprintf(port, sizeof port, "%u", redis->port);
    add_env(stage, "MMORTS_REDIS_PORT", port);
    add_env(stage, "MMORTS_REDIS_PASSWORD", redis->password);
    char listen[32];
    snprintf(listen, sizeof listen, "127.0.0.1:%u", test_port_free());
    add_env(stage, "MMORTS_SYNC_LISTEN", listen);
}

static struct coming launch(struct stage *stage, const char *name, struct test_service **service)
{
    *service = test_service_launch(name, stage->dir, stage->env_list);
    return until_ready(test_service_process(*service), test_service_http_port(*service));
}

static void kill_service(struct test_service **service)
{
    test_process_kill(test_service_process(*service));
    test_service_free(*service);
    *service = NULL;
}

// The longest turn of each since it was last asked.
static void tell_turns(struct stage *stage, const char *what)
{
    const struct {
        const char *name;
        uint16_t port;
    } loops[] = {
        {"world", stage->rig.http_port},
        {"vision", stage->vision ? test_service_http_port(stage->vision) : 0},
        {"sync", stage->sync ? test_service_http_port(stage->sync) : 0},
        {"production", stage->production ? test_service_http_port(stage->production) : 0},
    };
    for (size_t i = 0; i < sizeof loops / sizeof *loops; i++) {
        char name[96];
        snprintf(name, sizeof name, "recovery.%s.%s_turn_s", what, loops[i].name);
        if (loops[i].port)
            bench_figure(stage->bench, name, metric(loops[i].port, "mmorts_loop_turn_max_seconds"),
                         "s");
    }
    fflush(stdout);
}

static void until_checkpoint(struct stage *stage)
{
    const struct test_address *address = test_server_address(stage->mariadb);
    struct mm_db_options options = {.host = address->host,
                                    .port = address->port,
                                    .user = address->user,
                                    .password = address->password,
                                    .database = "mmorts_vision"};
    struct mm_db_conn *db;
    int64_t end_ms = test_now_ms() + WAIT_MS;
    MM_CHECK(mm_db_conn_open(&options, &db) == MM_OK);
    for (uint64_t bytes = 0; bytes == 0; poll(NULL, 0, 200)) {
        struct mm_db_rows *rows;
        MM_CHECK(mm_db_query_one(db, "SELECT COALESCE(MAX(bytes), 0) FROM checkpoints",
                                 MM_DB_NO_ARGS, &rows) == MM_OK);
        bytes = mm_db_get_u64(rows, 0);
        MM_CHECK(mm_db_end(rows) == MM_OK);
        if (test_now_ms() > end_ms)
            test_fail("vision makes no checkpoint:\n%s",
                      test_process_log(test_service_process(stage->vision)));
        if (bytes != 0)
            bench_figure(stage->bench, "recovery.checkpoint_mb", (double)bytes / 1e6, "MB");
    }
    mm_db_conn_close(db);
}

// --- the scenario --------------------------------------------------------------------------------

static void store_crowd(struct stage *stage, uint32_t entities, uint32_t empires)
{
    rig_open(&stage->rig, test_server_address(stage->mariadb), "services/world/world.yaml");
    snprintf(stage->rig.database, sizeof stage->rig.database, "mmorts_world");
    rig_start(&stage->rig); // makes the tables
    uint64_t tick = empires + 100;
    rig_stop(&stage->rig);
    struct world *world = fixture_crowds(entities, empires, MOVERS_EVERY, tick);
    bench_figure(stage->bench, "recovery.entities", world_entity_count(world), "entities");
    bench_figure(stage->bench, "recovery.movers", world_mover_count(world), "entities");
    bench_figure(stage->bench, "recovery.state_mb", (double)rig_store(&stage->rig, world) / 1e6,
                 "MB");
    world_free(world);
}

static struct test_process *run_world(struct stage *stage)
{
    const char *const argv[] = {"mmorts-world", "--config", "services/world/world.yaml", NULL};
    char http[64];
    snprintf(http, sizeof http, "MMORTS_WORLD_HTTP=127.0.0.1:%u", stage->rig.http_port);
    const char *env[ENV_MAX + 2];
    size_t count = 0;
    for (; stage->env_list[count]; count++)
        env[count] = stage->env_list[count];
    env[count++] = http;
    env[count] = NULL;
    return test_process_start(argv, env);
}

static void start_world(struct stage *stage, const char *what)
{
    stage->rig.process = run_world(stage);
    tell(stage, what, until_ready(stage->rig.process, stage->rig.http_port));
}

// How long it takes to end when it is told to while it still loads.
static void tell_end(struct stage *stage, const char *what, struct test_process *process)
{
    char name[96];
    MM_CHECK(test_process_wait_log(process, "schema is up to date", WAIT_MS));
    poll(NULL, 0, LOADING_MS);
    MM_CHECK(test_process_running(process));
    uint64_t began = bench_now_ns();
    test_process_signal(process, SIGTERM);
    int status = test_process_wait(process, WAIT_MS);
    if (status != 0)
        test_fail("%s ended with %d:\n%s", what, status, test_process_log(process));
    snprintf(name, sizeof name, "recovery.%s.end_s", what);
    bench_figure(stage->bench, name, (double)(bench_now_ns() - began) / 1e9, "s");
}

static void end_while_loading(struct stage *stage)
{
    rig_kill(&stage->rig);
    stage->rig.process = run_world(stage);
    tell_end(stage, "world_loading", stage->rig.process);
    test_process_free(stage->rig.process);
    stage->rig.process = NULL;
    kill_service(&stage->vision);
    stage->vision = test_service_launch("vision", stage->dir, stage->env_list);
    tell_end(stage, "vision_loading", test_service_process(stage->vision));
    test_service_free(stage->vision);
    stage->vision = NULL;
}

int main(int argc, char **argv)
{
    uint32_t thousands = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : THOUSANDS;
    uint32_t empires = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : EMPIRES;
    static struct stage stage;
    char scenario[160];
    snprintf(scenario, sizeof scenario,
             "%u entities of %u empires, one of %d on the march; every service killed and started",
             thousands * 1000, empires, MOVERS_EVERY);
    stage.bench = bench_open("recovery", scenario);
    // So many soldiers that stand so near to each other would soon be fewer.
    MM_CHECK(setenv("MMORTS_WORLD_GUARD", "false", 1) == 0);
    stage.mariadb = test_mariadb_start();
    stage.dir = test_dir_make();
    store_crowd(&stage, thousands * 1000, empires);
    fill_env(&stage);
    start_world(&stage, "world_loaded");
    tell(&stage, "production_new", launch(&stage, "production", &stage.production));
    tell(&stage, "vision_new", launch(&stage, "vision", &stage.vision));
    tell(&stage, "sync_new", launch(&stage, "sync", &stage.sync));
    tell_turns(&stage, "as_all_came");
    until_checkpoint(&stage);
    tell_turns(&stage, "checkpoint");
    kill_service(&stage.vision);
    tell(&stage, "vision_killed", launch(&stage, "vision", &stage.vision));
    rig_kill(&stage.rig);
    start_world(&stage, "world_killed");
    tell(&stage, "vision_after_world",
         until_ready(test_service_process(stage.vision), test_service_http_port(stage.vision)));
    tell(&stage, "sync_after_world",
         until_ready(test_service_process(stage.sync), test_service_http_port(stage.sync)));
    tell_turns(&stage, "after_world");
    kill_service(&stage.production);
    tell(&stage, "production_killed", launch(&stage, "production", &stage.production));
    kill_service(&stage.sync);
    kill_service(&stage.production);
    end_while_loading(&stage);
    rig_close(&stage.rig);
    test_server_free(stage.mariadb);
    return bench_close(stage.bench);
}
