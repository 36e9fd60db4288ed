#include "tests/support/world_rig.h"

#include "libcommon/base/buf.h"
#include "libcommon/io/db_conn.h"
#include "libcommon/io/loop.h"
#include "libcommon/io/rpc_client.h"
#include "libcommon/io/stream_reader.h"
#include "services/world/core/save.h"
#include "services/world/core/world.h"
#include "services/world/store.h"
#include "tests/support/db_options.h"
#include "tests/support/world_older.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum { REPLAY_MS = 240000, ENV_MAX = 24, ENV_BYTES = 160 };

static void must(enum mm_err err, const char *what)
{
    if (err != MM_OK)
        test_fail("%s: %s", what, mm_err_name(err));
}

// --- the reader ---------------------------------------------------------------------------------

static void note_hash(struct world_rig *rig)
{
    uint64_t tick = rig->mirror->tick;
    if (tick >= rig->hashes_end) {
        uint64_t end = tick * 2 + 1024;
        rig->hashes = realloc(rig->hashes, end * sizeof *rig->hashes);
        if (!rig->hashes)
            test_fail("out of memory");
        memset(rig->hashes + rig->hashes_end, 0, (end - rig->hashes_end) * sizeof *rig->hashes);
        rig->hashes_end = end;
    }
    rig->hashes[tick] = rig->mirror->state_hash;
}

uint64_t rig_hash_seen(const struct world_rig *rig, uint64_t tick)
{
    return tick < rig->hashes_end ? rig->hashes[tick] : 0;
}

static void on_message(void *arg, const struct mm_stream_message *message)
{
    struct world_rig *rig = arg;
    mirror_apply_bytes(rig->mirror, message->body, message->body_len);
    if (message->tick != rig->mirror->tick || message->tick != rig->last_tick + 1)
        test_fail("tick %" PRIu64 " after %" PRIu64, message->tick, rig->last_tick);
    rig->last_tick = message->tick;
    note_hash(rig);
    rig->frames++;
}

static void on_snapshot(void *arg, const struct mm_stream_message *message)
{
    struct world_rig *rig = arg;
    mirror_apply_bytes(rig->mirror, message->body, message->body_len);
    if (message->tick != rig->mirror->tick || message->tick < rig->last_tick)
        test_fail("the tick went back from %" PRIu64 " to %" PRIu64, rig->last_tick, message->tick);
    rig->last_tick = message->tick;
    note_hash(rig);
    rig->snapshots++;
}

// --- opening and closing ------------------------------------------------------------------------

static void open_rig(struct world_rig *rig, const char *database, const char *config)
{
    char *dir = test_dir_make();
    snprintf(rig->database, sizeof rig->database, "%s", database);
    snprintf(rig->dir, sizeof rig->dir, "%s", dir);
    snprintf(rig->config, sizeof rig->config, "%s",
             config ? config : "tests/support/world_rig.yaml");
    free(dir);
    rig->http_port = test_port_free();
    rig->mirror = mirror_new();
    must(mm_loop_create(NULL, &rig->loop), "loop");
    char url[128];
    snprintf(url, sizeof url, "ipc://%s/rpc", rig->dir);
    struct mm_rpc_client_options options = {.service = "test"};
    must(mm_rpc_client_open(rig->loop, url, &options, &rig->client), "client");
    snprintf(url, sizeof url, "ipc://%s/stream", rig->dir);
    struct mm_stream_reader_options reading = {
        .stream = "tick",
        .session = rig->session,
        .arg = rig,
        .on_message = on_message,
        .on_snapshot = on_snapshot,
        .silence_ms = 300,
    };
    must(mm_stream_reader_open(rig->loop, url, rig->client, &reading, &rig->reader), "reader");
}

void rig_open(struct world_rig *rig, const struct test_address *mariadb, const char *config)
{
    memset(rig, 0, sizeof *rig);
    rig->mariadb = mariadb ? *mariadb : test_servers_get()->mariadb;
    snprintf(rig->session, sizeof rig->session, "main");
    char *name = test_name_unique("mmorts_world");
    open_rig(rig, name, config);
    free(name);
}

void rig_open_beside(struct world_rig *rig, const struct world_rig *other, const char *session)
{
    memset(rig, 0, sizeof *rig);
    rig->mariadb = other->mariadb;
    snprintf(rig->session, sizeof rig->session, "%s", session);
    open_rig(rig, other->database, other->config);
}

// An environment that leads a program to the session's database.
struct rig_env {
    char text[ENV_MAX][ENV_BYTES];
    const char *list[ENV_MAX + 1];
    size_t count;
};

MM_PRINTF(2, 3) static void env_add(struct rig_env *env, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(env->text[env->count], ENV_BYTES, format, args);
    va_end(args);
    env->list[env->count] = env->text[env->count];
    env->list[++env->count] = NULL;
}

static void env_of_database(struct rig_env *env, const struct world_rig *rig)
{
    env->count = 0;
    env_add(env, "MMORTS_DB_HOST=%s", rig->mariadb.host);
    env_add(env, "MMORTS_DB_PORT=%u", rig->mariadb.port);
    env_add(env, "MMORTS_DB_USER=%s", rig->mariadb.user);
    env_add(env, "MMORTS_DB_PASSWORD=%s", rig->mariadb.password);
    env_add(env, "MMORTS_TEST_DATABASE=%s", rig->database);
    env_add(env, "MMORTS_SESSION=%s", rig->session);
}

static struct test_process *start(const struct world_rig *rig, const char *socket,
                                  uint16_t http_port)
{
    struct rig_env env;
    env_of_database(&env, rig);
    env_add(&env, "MMORTS_WORLD_RPC=ipc://%s/%srpc", rig->dir, socket);
    env_add(&env, "MMORTS_WORLD_STREAM=ipc://%s/%sstream", rig->dir, socket);
    env_add(&env, "MMORTS_WORLD_HTTP=127.0.0.1:%u", http_port);
    env_add(&env, "MMORTS_AUTH_RPC=ipc://%s/auth", rig->dir);
    for (size_t i = 0; rig->settings && rig->settings[i] && env.count < ENV_MAX; i++)
        env_add(&env, "%s", rig->settings[i]);
    const char *const argv[] = {"mmorts-world", "--config", rig->config, NULL};
    return test_process_start(argv, env.list);
}

void rig_replay(const struct world_rig *rig, const char *const *arguments, int status,
                char **output)
{
    struct rig_env env;
    env_of_database(&env, rig);
    const char *argv[16] = {"mmorts-replay", "--config", rig->config};
    for (size_t i = 0; arguments && arguments[i] && i < 12; i++)
        argv[3 + i] = arguments[i];
    struct test_process *process = test_process_start(argv, env.list);
    int ended = test_process_wait(process, REPLAY_MS);
    char *log = test_process_log(process);
    if (!WIFEXITED(ended) || WEXITSTATUS(ended) != status)
        test_fail("mmorts-replay ended with %d, not %d:\n%.4000s", WEXITSTATUS(ended), status, log);
    test_process_free(process);
    if (output)
        *output = log;
    else
        free(log);
}

void rig_start(struct world_rig *rig)
{
    rig->process = start(rig, "", rig->http_port);
    if (!test_process_wait_ready(rig->process, rig->http_port, TEST_TABLES_MS)) {
        char *log = test_process_log(rig->process);
        test_fail("world is not ready:\n%s", log);
    }
}

struct test_process *rig_rival(const struct world_rig *rig, uint16_t *http_port)
{
    *http_port = test_port_free();
    return start(rig, "rival-", *http_port);
}

void rig_refused(const struct world_rig *rig, int status)
{
    uint16_t port;
    struct test_process *process = rig_rival(rig, &port);
    int ended = test_process_wait(process, TEST_PATIENCE_MS);
    if (!WIFEXITED(ended) || WEXITSTATUS(ended) != status) {
        char *log = test_process_log(process);
        test_fail("world should have exited with %d, wait status is %d:\n%s", status, ended, log);
    }
    test_process_free(process);
}

void rig_stop(struct world_rig *rig)
{
    int status = test_process_stop(rig->process);
    if (status != 0) {
        char *log = test_process_log(rig->process);
        test_fail("world ended with status %d:\n%s", status, log);
    }
    test_process_free(rig->process);
    rig->process = NULL;
}

void rig_kill(struct world_rig *rig)
{
    test_process_kill(rig->process);
    test_process_free(rig->process);
    rig->process = NULL;
}

void rig_close(struct world_rig *rig)
{
    if (rig->process)
        rig_stop(rig);
    mm_stream_reader_close(rig->reader);
    mm_rpc_client_close(rig->client);
    mm_loop_destroy(rig->loop);
    mirror_free(rig->mirror);
    free(rig->hashes);
}

void rig_show(struct world_rig *rig)
{
    struct mm_stream_reader_counts counts = mm_stream_reader_counts(rig->reader);
    fprintf(stderr,
            "reader: state %d, last tick %" PRIu64 ", messages %" PRIu64 ", gaps %" PRIu64
            ", epochs %" PRIu64 ", replays %" PRIu64 ", snapshots %" PRIu64 "\n",
            (int)mm_stream_reader_state(rig->reader), rig->last_tick, counts.messages, counts.gaps,
            counts.epochs, counts.replays, counts.snapshots);
    char *body = NULL, *log = rig->process ? test_process_log(rig->process) : NULL;
    test_http_get(rig->http_port, "/metrics", 1000, &body);
    const char *tick = body ? strstr(body, "mmorts_world_published_tick ") : NULL;
    fprintf(stderr, "process: %.60s\n%s\n", tick ? tick : "silent", log ? log : "");
    free(log);
    free(body);
}

// --- turning the loop ---------------------------------------------------------------------------

void rig_turn(struct world_rig *rig, uint32_t ms)
{
    bool never = false;
    mm_loop_run_until(rig->loop, &never, ms);
}

bool rig_until_tick(struct world_rig *rig, uint64_t tick, uint32_t timeout_ms)
{
    int64_t end = test_now_ms() + timeout_ms;
    while (rig->last_tick < tick && test_now_ms() < end)
        rig_turn(rig, 10);
    return rig->last_tick >= tick;
}

bool rig_until_still(struct world_rig *rig, uint32_t empire, uint32_t timeout_ms)
{
    int64_t end = test_now_ms() + timeout_ms;
    bool moving = true;
    while (moving && test_now_ms() < end) {
        rig_turn(rig, 20);
        moving = false;
        for (size_t i = 0; i < rig->mirror->entity_end; i++) {
            const struct mirror_entity *e = &rig->mirror->entities[i];
            moving |= e->alive && e->owner == empire &&
                      e->attributes[MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_ACTIVITY] ==
                          MMORTS__FRAME__ACTIVITY__ACTIVITY_MOVING;
        }
    }
    return !moving;
}

struct answer {
    bool done;
    enum mm_err code;
    ProtobufCMessage *reply;
};

// The reply is the library's only during the callback: a copy by way of its bytes.
static void on_answer(void *arg, const struct mm_rpc_result *result)
{
    struct answer *answer = arg;
    answer->done = true;
    answer->code = result->code;
    if (result->code != MM_OK)
        return;
    size_t size = protobuf_c_message_get_packed_size(result->reply);
    uint8_t *bytes = malloc(size + 1);
    protobuf_c_message_pack(result->reply, bytes);
    answer->reply = protobuf_c_message_unpack(result->reply->descriptor, NULL, size, bytes);
    free(bytes);
}

enum mm_err rig_call(struct world_rig *rig, const char *method, const ProtobufCMessage *request,
                     uint32_t deadline_ms, ProtobufCMessage **reply)
{
    struct answer answer = {0};
    struct mm_rpc_call_options options = {.deadline_ms = deadline_ms, .wait_for_connection = true};
    *reply = NULL;
    enum mm_err err = mm_rpc_call(rig->client, &mmorts__world__world__descriptor, method, request,
                                  &options, on_answer, &answer, NULL);
    if (err != MM_OK)
        return err;
    if (!mm_loop_run_until(rig->loop, &answer.done, deadline_ms + 5000))
        test_fail("%s was never answered", method);
    *reply = answer.reply;
    return answer.code;
}

enum mm_err rig_join(struct world_rig *rig, uint64_t player_id, Mmorts__World__JoinReply **reply)
{
    Mmorts__World__JoinRequest request = MMORTS__WORLD__JOIN_REQUEST__INIT;
    request.session = rig->session;
    request.player_id = player_id;
    request.username = "somebody";
    return rig_call(rig, "Join", &request.base, RIG_CALL_MS, (ProtobufCMessage **)reply);
}

enum mm_err rig_move(struct world_rig *rig, uint64_t player_id, uint64_t client_seq,
                     const uint64_t *units, size_t count, int32_t q, int32_t r,
                     Mmorts__World__CommandResult *result)
{
    Mmorts__World__Hex target = MMORTS__WORLD__HEX__INIT;
    target.q = q;
    target.r = r;
    Mmorts__World__MoveOrder move = MMORTS__WORLD__MOVE_ORDER__INIT;
    move.target = &target;
    Mmorts__World__Command command = MMORTS__WORLD__COMMAND__INIT, *commands[] = {&command};
    command.player_id = player_id;
    command.client_seq = client_seq;
    command.n_units = count;
    command.units = (uint64_t *)(uintptr_t)units;
    command.order_case = MMORTS__WORLD__COMMAND__ORDER_MOVE;
    command.move = &move;
    Mmorts__World__SubmitCommandsRequest request = MMORTS__WORLD__SUBMIT_COMMANDS_REQUEST__INIT;
    request.session = rig->session;
    request.n_commands = 1;
    request.commands = commands;
    Mmorts__World__SubmitCommandsReply *reply;
    enum mm_err err =
        rig_call(rig, "SubmitCommands", &request.base, RIG_CALL_MS, (ProtobufCMessage **)&reply);
    mmorts__world__command_result__init(result);
    if (err != MM_OK)
        return err;
    if (reply->n_results != 1)
        test_fail("%zu results for one command", reply->n_results);
    result->reason = reply->results[0]->reason;
    result->tick = reply->results[0]->tick;
    protobuf_c_message_free_unpacked(&reply->base, NULL);
    return MM_OK;
}

enum mm_err rig_spawn(struct world_rig *rig, const char *key, const char *type, uint32_t empire,
                      uint32_t count, int32_t q, int32_t r, Mmorts__World__SpawnReply **reply)
{
    Mmorts__World__Hex place = MMORTS__WORLD__HEX__INIT;
    place.q = q;
    place.r = r;
    Mmorts__World__SpawnRequest request = MMORTS__WORLD__SPAWN_REQUEST__INIT;
    request.session = rig->session;
    request.key.data = (uint8_t *)(uintptr_t)key;
    request.key.len = strlen(key);
    request.type = (char *)(uintptr_t)type;
    request.empire = empire;
    request.count = count;
    request.place = &place;
    return rig_call(rig, "Spawn", &request.base, RIG_CALL_MS, (ProtobufCMessage **)reply);
}

enum mm_err rig_session(struct world_rig *rig, Mmorts__World__SessionInfo *info, char *reason,
                        size_t reason_bytes)
{
    Mmorts__World__GetSessionRequest request = MMORTS__WORLD__GET_SESSION_REQUEST__INIT;
    request.session = rig->session;
    Mmorts__World__SessionInfo *reply;
    enum mm_err err =
        rig_call(rig, "GetSession", &request.base, RIG_CALL_MS, (ProtobufCMessage **)&reply);
    mmorts__world__session_info__init(info);
    if (err != MM_OK)
        return err;
    *info = *reply;
    snprintf(reason, reason_bytes, "%s", reply->reason);
    info->session = info->reason = "";
    protobuf_c_message_free_unpacked(&reply->base, NULL);
    return MM_OK;
}

size_t rig_units(const struct world_rig *rig, uint32_t empire, uint64_t *out, size_t out_max)
{
    size_t count = 0;
    for (size_t i = 0; i < rig->mirror->entity_end && count < out_max; i++) {
        const struct mirror_entity *entity = &rig->mirror->entities[i];
        // scout, worker and soldier are types 2 to 4 of services/world/game/types.yaml.
        if (entity->alive && entity->owner == empire && entity->type >= 2 && entity->type <= 4)
            out[count++] = entity->id;
    }
    return count;
}

void rig_free_reply(void *reply)
{
    if (reply)
        protobuf_c_message_free_unpacked(reply, NULL);
}

void rig_join_seen(struct world_rig *rig, uint64_t player_id, Mmorts__World__JoinReply *out)
{
    Mmorts__World__JoinReply *reply;
    must(rig_join(rig, player_id, &reply), "Join");
    *out = *reply;
    rig_free_reply(reply);
    if (!rig_until_tick(rig, out->tick, TEST_PATIENCE_MS)) {
        rig_show(rig);
        test_fail("the tick of a join was never seen");
    }
}

// --- beside the process -------------------------------------------------------------------------

void rig_metrics(const struct world_rig *rig, const char *const *names, double *values,
                 size_t count)
{
    char *body = NULL, line[96];
    if (test_http_get(rig->http_port, "/metrics", TEST_PATIENCE_MS, &body) != 200)
        test_fail("no metrics");
    for (size_t i = 0; i < count; i++) {
        snprintf(line, sizeof line, "\n%s ", names[i]);
        const char *at = strstr(body, line);
        values[i] = at ? strtod(at + strlen(line), NULL) : -1;
    }
    free(body);
}

double rig_metric(const struct world_rig *rig, const char *name)
{
    double value;
    rig_metrics(rig, &name, &value, 1);
    return value;
}

static struct mm_db_conn *connect_to(const struct world_rig *rig)
{
    struct mm_db_options options = test_db_options(&rig->mariadb, rig->database);
    struct mm_db_conn *conn;
    must(mm_db_conn_open(&options, &conn), "connection");
    return conn;
}

void rig_sql(const struct world_rig *rig, const char *sql, uint64_t rows)
{
    struct mm_db_conn *conn = connect_to(rig);
    struct mm_db_result result = {0};
    if (mm_db_exec(conn, sql, MM_DB_NO_ARGS, &result) != MM_OK || result.affected_rows != rows)
        test_fail("%s: %" PRIu64 " rows, %s", sql, result.affected_rows, mm_db_error_text(conn));
    mm_db_conn_close(conn);
}

uint64_t rig_count_sql(const struct world_rig *rig, const char *sql)
{
    struct mm_db_conn *conn = connect_to(rig);
    struct mm_db_rows *rows;
    if (mm_db_query_one(conn, sql, MM_DB_NO_ARGS, &rows) != MM_OK)
        test_fail("%s: %s", sql, mm_db_error_text(conn));
    uint64_t count = mm_db_get_u64(rows, 0);
    must(mm_db_end(rows), sql);
    mm_db_conn_close(conn);
    return count;
}

uint64_t rig_ended_at(const struct world_rig *rig)
{
    // The end is a snapshot, and nothing is reserved behind it.
    return rig_count_sql(rig, "SELECT s.tick FROM snapshots s JOIN sessions USING (session) "
                              "WHERE s.tick = tick_reserved");
}

size_t rig_store_older(const struct world_rig *rig, const struct world *world, uint32_t version)
{
    struct mm_buf bytes;
    mm_buf_init(&bytes, WORLD_SAVE_BYTES_MAX);
    if (version == WORLD_SAVE_VERSION)
        world_save(world, &bytes);
    else
        older_save(world, version, &bytes);
    must(bytes.err, "saving");
    uint64_t epoch = rig_count_sql(rig, "SELECT epoch FROM sessions");
    struct mm_db_conn *conn = connect_to(rig);
    must(world_store_save(conn, rig->session, epoch, world_tick(world), world_state_hash(world),
                          bytes.data, bytes.len, 3, true, NULL),
         "storing");
    mm_db_conn_close(conn);
    size_t len = bytes.len;
    mm_buf_free(&bytes);
    return len;
}

size_t rig_store(const struct world_rig *rig, const struct world *world)
{
    return rig_store_older(rig, world, WORLD_SAVE_VERSION);
}

double rig_play_behind(struct world_rig *rig, double seconds, uint64_t ticks_max)
{
    enum { FIRST_PLAYER = 90000 };
    uint64_t from = rig->last_tick;
    double behind = 0;
    while (behind < seconds && rig->last_tick < from + ticks_max) {
        Mmorts__World__JoinReply home;
        rig_join_seen(rig, FIRST_PLAYER + rig->last_tick % 3, &home);
        behind = rig_metric(rig, "mmorts_world_replay_seconds");
    }
    return behind;
}
