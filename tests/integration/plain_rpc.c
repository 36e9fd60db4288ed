// RPC over real nng sockets: client and server in one process, and a server in a process of its own
// that is killed. `plain_rpc --serve …` is that server (see echo_server.h), also for clients in
// other languages.

#include <inttypes.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gen/echo.pb-c.h"
#include "gen/rpc.pb-c.h"
#include "libcommon/base/clock.h"
#include "libcommon/io/loop.h"
#include "libcommon/io/rpc_client.h"
#include "libcommon/io/rpc_server.h"
#include "tests/support/echo.h"
#include "tests/support/echo_server.h"
#include "tests/support/plain.h"
#include "tests/support/process.h"

#define ECHO_SERVICE (&mmorts__test__echo__descriptor)

// A server and a client of it on one loop.
struct pair {
    struct mm_loop *loop;
    struct mm_rpc_server *server;
    struct mm_rpc_client *client;
    struct echo echo;
    char *dir;
    char url[160];
    bool connected;
    uint64_t served_calls, called_calls;
    enum mm_err served_code;
    char served_method[64];
};

static void on_served(void *arg, const char *service, const char *method, enum mm_err code,
                      uint64_t duration_ns)
{
    struct pair *pair = arg;
    (void)service;
    (void)duration_ns;
    pair->served_calls++;
    pair->served_code = code;
    snprintf(pair->served_method, sizeof pair->served_method, "%s", method);
}

static void on_called(void *arg, const char *service, const char *method, enum mm_err code,
                      uint64_t duration_ns)
{
    struct pair *pair = arg;
    (void)service;
    (void)method;
    (void)code;
    (void)duration_ns;
    pair->called_calls++;
}

static void on_connection(void *arg, bool connected)
{
    struct pair *pair = arg;
    pair->connected = connected;
}

static void must(enum mm_err err, const char *what)
{
    if (err != MM_OK)
        test_fail("%s: %s", what, mm_err_name(err));
}

static void pair_open(struct pair *pair, bool tcp, const struct mm_rpc_server_options *server,
                      const struct mm_rpc_client_options *client)
{
    *pair = (struct pair){0};
    pair->dir = test_dir_make();
    struct mm_rpc_server_options server_options = {0};
    struct mm_rpc_client_options client_options = {.service = "tester", .instance = "one"};
    if (server)
        server_options = *server;
    if (client)
        client_options = *client;
    server_options.hooks = (struct mm_rpc_hooks){.arg = pair, .served = on_served};
    client_options.hooks = (struct mm_rpc_hooks){.arg = pair, .called = on_called};
    must(mm_loop_create(NULL, &pair->loop), "loop");
    must(mm_rpc_server_open(pair->loop, &server_options, &pair->server), "server");
    echo_register(&pair->echo, pair->loop, pair->server);
    if (tcp) {
        must(mm_rpc_server_listen(pair->server, "tcp://127.0.0.1:0"), "listen");
        snprintf(pair->url, sizeof pair->url, "tcp://127.0.0.1:%u",
                 (unsigned)mm_rpc_server_port(pair->server));
    } else {
        snprintf(pair->url, sizeof pair->url, "ipc://%s/rpc", pair->dir);
        must(mm_rpc_server_listen(pair->server, pair->url), "listen");
    }
    must(mm_rpc_client_open(pair->loop, pair->url, &client_options, &pair->client), "client");
    mm_rpc_client_watch(pair->client, on_connection, pair);
    EXPECT(mm_loop_run_until(pair->loop, &pair->connected, TEST_PATIENCE_MS));
}

static void pair_close(struct pair *pair)
{
    mm_rpc_client_close(pair->client);
    mm_rpc_server_close(pair->server);
    mm_loop_destroy(pair->loop);
    free(pair->dir);
}

// One call's outcome, copied out of the callback.
struct outcome {
    bool done;
    int times;
    enum mm_err code;
    char message[256];
    uint32_t attempts;
    uint64_t value, executions, player_id;
    uint32_t deadline_left_ms;
    int32_t process;
    size_t data_len;
    char text[64], caller[64], traceparent[64], detail[64];
};

static void on_result(void *arg, const struct mm_rpc_result *result)
{
    struct outcome *outcome = arg;
    outcome->done = true;
    outcome->times++;
    outcome->code = result->code;
    outcome->attempts = result->attempts;
    snprintf(outcome->message, sizeof outcome->message, "%s", result->message);
    if (result->details_count > 0)
        snprintf(outcome->detail, sizeof outcome->detail, "%s=%s", result->detail_keys[0],
                 result->detail_values[0]);
    if (!result->reply)
        return;
    const Mmorts__Test__EchoReply *reply = (const void *)result->reply;
    outcome->value = reply->value;
    outcome->executions = reply->executions;
    outcome->player_id = reply->caller_player_id;
    outcome->deadline_left_ms = reply->deadline_left_ms;
    outcome->process = reply->process;
    outcome->data_len = reply->data.len;
    snprintf(outcome->text, sizeof outcome->text, "%s", reply->text);
    snprintf(outcome->caller, sizeof outcome->caller, "%s", reply->caller_service);
    snprintf(outcome->traceparent, sizeof outcome->traceparent, "%s", reply->traceparent);
}

static enum mm_err call(struct mm_rpc_client *client, const char *method,
                        const Mmorts__Test__EchoRequest *request,
                        const struct mm_rpc_call_options *options, struct outcome *outcome)
{
    *outcome = (struct outcome){0};
    return mm_rpc_call(client, ECHO_SERVICE, method, &request->base, options, on_result, outcome,
                       NULL);
}

// Calls and waits.
static enum mm_err ask(struct pair *pair, const char *method,
                       const Mmorts__Test__EchoRequest *request,
                       const struct mm_rpc_call_options *options, struct outcome *outcome)
{
    enum mm_err err = call(pair->client, method, request, options, outcome);
    if (err == MM_OK)
        EXPECT(mm_loop_run_until(pair->loop, &outcome->done, TEST_PATIENCE_MS));
    return err;
}

static const struct mm_rpc_call_options in_time = {.deadline_ms = TEST_PATIENCE_MS / 2};

static void test_round_trip(bool tcp)
{
    struct pair pair;
    pair_open(&pair, tcp, NULL, NULL);
    Mmorts__Test__EchoRequest request = MMORTS__TEST__ECHO_REQUEST__INIT;
    request.text = (char *)(uintptr_t) "grüße";
    request.value = UINT64_MAX;
    struct mm_trace trace;
    EXPECT(mm_trace_parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", &trace));
    struct mm_rpc_caller caller = {.player_id = 77, .permissions = 5};
    struct mm_rpc_call_options options = {.deadline_ms = 30000, .caller = &caller, .trace = &trace};
    struct outcome outcome;
    EXPECT(ask(&pair, "Echo", &request, &options, &outcome) == MM_OK);
    EXPECT(outcome.code == MM_OK && outcome.times == 1 && outcome.attempts == 1);
    EXPECT(strcmp(outcome.text, "grüße") == 0 && outcome.value == UINT64_MAX);
    EXPECT(strcmp(outcome.caller, "tester") == 0 && outcome.player_id == 77);
    EXPECT(outcome.deadline_left_ms > 1000 && outcome.deadline_left_ms <= 30000);
    // Same trace, another span.
    EXPECT(strncmp(outcome.traceparent, "00-0af7651916cd43dd8448eb211c80319c-", 36) == 0);
    EXPECT(strncmp(outcome.traceparent + 36, "b7ad6b7169203331", 16) != 0);
    EXPECT(pair.served_calls == 1 && pair.called_calls == 1 && pair.served_code == MM_OK);
    EXPECT(strcmp(pair.served_method, "Echo") == 0);
    // An empty message has an empty body.
    Mmorts__Test__EchoRequest empty = MMORTS__TEST__ECHO_REQUEST__INIT;
    EXPECT(ask(&pair, "Echo", &empty, &in_time, &outcome) == MM_OK && outcome.code == MM_OK);
    pair_close(&pair);
}

static void test_concurrent(void)
{
    enum { CALLS = 500 };
    struct pair pair;
    struct mm_rpc_client_options client = {.calls_max = CALLS};
    pair_open(&pair, false, NULL, &client);
    // A call that is not answered before all others are holds nobody up.
    static struct outcome slow, outcomes[CALLS];
    Mmorts__Test__EchoRequest request = MMORTS__TEST__ECHO_REQUEST__INIT;
    request.after = UINT64_MAX;
    EXPECT(call(pair.client, "Echo", &request, &in_time, &slow) == MM_OK);
    request.after = 0;
    for (size_t i = 0; i < CALLS - 1; i++) {
        request.value = i;
        EXPECT(call(pair.client, "Echo", &request, &in_time, &outcomes[i]) == MM_OK);
    }
    // At the bound: refused, and the callback never called.
    EXPECT(call(pair.client, "Echo", &request, &in_time, &outcomes[CALLS - 1]) ==
           MM_RESOURCE_EXHAUSTED);
    for (size_t i = 0; i < CALLS - 1; i++)
        EXPECT(mm_loop_run_until(pair.loop, &outcomes[i].done, TEST_PATIENCE_MS));
    EXPECT(!slow.done);
    echo_release(&pair.echo);
    EXPECT(mm_loop_run_until(pair.loop, &slow.done, TEST_PATIENCE_MS) && slow.code == MM_OK);
    size_t right = 0;
    for (size_t i = 0; i < CALLS - 1; i++)
        right += outcomes[i].times == 1 && outcomes[i].code == MM_OK && outcomes[i].value == i;
    EXPECT(right == CALLS - 1);
    EXPECT(!outcomes[CALLS - 1].done && mm_rpc_client_calls(pair.client) == 0);
    pair_close(&pair);
}

static void test_failures(void)
{
    struct pair pair;
    struct mm_rpc_server_options server = {.reply_bytes_max = 100000};
    pair_open(&pair, true, &server, NULL);
    struct outcome outcome;
    Mmorts__Test__EchoRequest request = MMORTS__TEST__ECHO_REQUEST__INIT;
    for (uint32_t code = MM_CANCELLED; code < MM_ERR_COUNT; code++) {
        request.fail_code = code;
        EXPECT(ask(&pair, "Echo", &request, &in_time, &outcome) == MM_OK);
        EXPECT(outcome.code == (enum mm_err)code &&
               strncmp(outcome.message, "failed as asked", 15) == 0 &&
               strcmp(outcome.detail, "asked=yes") == 0);
    }
    request.fail_code = 0;
    request.reply_bytes = 200000;
    EXPECT(ask(&pair, "Echo", &request, &in_time, &outcome) == MM_OK);
    EXPECT(outcome.code == MM_RESOURCE_EXHAUSTED);
    request.reply_bytes = 90000;
    EXPECT(ask(&pair, "Echo", &request, &in_time, &outcome) == MM_OK);
    EXPECT(outcome.code == MM_OK && outcome.data_len == 90000);

    // Refused before anything is sent.
    static uint8_t big[MM_RPC_REQUEST_BYTES_MAX];
    request.data = (ProtobufCBinaryData){sizeof big, big};
    EXPECT(call(pair.client, "Echo", &request, &in_time, &outcome) == MM_RESOURCE_EXHAUSTED);
    request.data.len = sizeof big - 1000;
    request.reply_bytes = 1;
    EXPECT(ask(&pair, "Echo", &request, &in_time, &outcome) == MM_OK && outcome.code == MM_OK);
    struct mm_rpc_call_options no_deadline = {0};
    EXPECT(call(pair.client, "Echo", &request, &no_deadline, &outcome) == MM_INVALID_ARGUMENT);
    EXPECT(call(pair.client, "Nothing", &request, &in_time, &outcome) == MM_INVALID_ARGUMENT);
    EXPECT(mm_rpc_client_calls(pair.client) == 0);
    pair_close(&pair);
}

static void test_deadlines(void)
{
    struct pair pair;
    pair_open(&pair, false, NULL, NULL);
    struct outcome outcome;
    Mmorts__Test__EchoRequest request = MMORTS__TEST__ECHO_REQUEST__INIT;
    request.after = UINT64_MAX;
    struct mm_rpc_call_options options = {.idempotent = true};
    bool never = false;
    // Long enough for the call to begin; but where the process stands still for as long in that
    // very moment, its time is over before its handler has it: then once more, for longer.
    for (uint32_t ms = 2000; ms <= TEST_PATIENCE_MS / 2 && pair.echo.executions == 0; ms *= 2) {
        uint64_t began = mm_clock_ms(), served = pair.served_calls;
        options.deadline_ms = ms;
        EXPECT(ask(&pair, "Echo", &request, &options, &outcome) == MM_OK);
        EXPECT(mm_clock_ms() - began >= ms - 1);
        EXPECT(outcome.code == MM_DEADLINE_EXCEEDED && outcome.attempts == 1);
        for (int i = 0;
             i < TEST_PATIENCE_MS / 10 && pair.echo.executions == 0 && pair.served_calls == served;
             i++)
            mm_loop_run_until(pair.loop, &never, 10);
    }
    // The answer that comes later goes nowhere, and the slot serves the next call.
    EXPECT(mm_rpc_server_calls_running(pair.server) == 1);
    request.after = 0;
    request.value = 5;
    EXPECT(ask(&pair, "Echo", &request, &in_time, &outcome) == MM_OK && outcome.value == 5);
    echo_release(&pair.echo);
    for (int i = 0; i < TEST_PATIENCE_MS / 10 && mm_rpc_server_calls_running(pair.server) > 0; i++)
        mm_loop_run_until(pair.loop, &never, 10);
    // It arrives before anything is closed, which is what the tests of closing are about.
    mm_loop_run_until(pair.loop, &never, 500);
    EXPECT(mm_rpc_server_calls_running(pair.server) == 0 && outcome.times == 1);
    pair_close(&pair);
}

static void test_expired_before_start(void)
{
    struct pair pair;
    pair_open(&pair, false, NULL, NULL);
    struct outcome outcome;
    Mmorts__Test__EchoRequest request = MMORTS__TEST__ECHO_REQUEST__INIT;
    struct mm_rpc_call_options options = {.deadline_ms = 30};
    bool served = false;
    // nng's threads bring the call while the loop is held up, as by a handler that takes too long.
    // Where they are so slow that it comes afterwards it is carried out, and its caller may even
    // have the answer: then once more, for longer.
    for (useconds_t held_ms = 200; held_ms <= 12800; held_ms *= 2) {
        uint64_t calls = pair.served_calls, executions = pair.echo.executions;
        EXPECT(call(pair.client, "Echo", &request, &options, &outcome) == MM_OK);
        usleep(held_ms * 1000);
        EXPECT(mm_loop_run_until(pair.loop, &outcome.done, TEST_PATIENCE_MS));
        for (int i = 0; i < TEST_PATIENCE_MS / 10 && pair.served_calls == calls; i++)
            mm_loop_run_until(pair.loop, &served, 10);
        EXPECT(pair.served_calls == calls + 1);
        if (pair.echo.executions == executions)
            break;
        EXPECT(pair.served_code == MM_OK);
    }
    EXPECT(pair.served_code == MM_DEADLINE_EXCEEDED && outcome.code == MM_DEADLINE_EXCEEDED);
    mm_loop_run_until(pair.loop, &served, 500); // the answer nobody waits for arrives
    pair_close(&pair);
}

static void test_cancel(void)
{
    struct pair pair;
    pair_open(&pair, false, NULL, NULL);
    struct outcome cancelled = {0}, other;
    Mmorts__Test__EchoRequest request = MMORTS__TEST__ECHO_REQUEST__INIT;
    request.delay_ms = 50;
    mm_rpc_handle handle = 0;
    EXPECT(mm_rpc_call(pair.client, ECHO_SERVICE, "Echo", &request.base, &in_time, on_result,
                       &cancelled, &handle) == MM_OK);
    EXPECT(handle != 0);
    mm_rpc_cancel(pair.client, handle);
    mm_rpc_cancel(pair.client, handle);
    request.delay_ms = 100;
    EXPECT(ask(&pair, "Echo", &request, &in_time, &other) == MM_OK && other.code == MM_OK);
    bool never = false;
    for (int i = 0; i < TEST_PATIENCE_MS / 10 && mm_rpc_client_calls(pair.client) > 0; i++)
        mm_loop_run_until(pair.loop, &never, 10);
    EXPECT(!cancelled.done && mm_rpc_client_calls(pair.client) == 0);
    mm_rpc_cancel(pair.client, handle); // long over
    EXPECT(ask(&pair, "Echo", &request, &in_time, &other) == MM_OK && other.code == MM_OK);
    pair_close(&pair);
}

static void test_repeated_ids(void)
{
    struct pair pair;
    pair_open(&pair, false, NULL, NULL);
    struct outcome first, second, third;
    struct mm_rpc_request_id id = {{1, 2, 3}};
    struct mm_rpc_call_options options = {.deadline_ms = TEST_PATIENCE_MS / 2, .request_id = &id};
    Mmorts__Test__EchoRequest request = MMORTS__TEST__ECHO_REQUEST__INIT;

    // Answered from memory, not carried out again.
    EXPECT(ask(&pair, "Add", &request, &options, &first) == MM_OK && first.executions == 1);
    EXPECT(ask(&pair, "Add", &request, &options, &second) == MM_OK && second.executions == 1);
    EXPECT(pair.echo.executions == 1);
    // What does not mutate is carried out again.
    EXPECT(ask(&pair, "Echo", &request, &options, &second) == MM_OK && second.executions == 2);
    // The id means nothing with another body, or from another player.
    request.value = 9;
    EXPECT(ask(&pair, "Add", &request, &options, &second) == MM_OK);
    EXPECT(second.code == MM_INVALID_ARGUMENT && pair.echo.executions == 2);
    struct mm_rpc_caller caller = {.player_id = 5};
    options.caller = &caller;
    EXPECT(ask(&pair, "Add", &request, &options, &second) == MM_OK && second.executions == 3);
    options.caller = NULL;

    // While the first runs the others wait for its answer.
    id.bytes[0] = 2;
    request.delay_ms = 100;
    EXPECT(call(pair.client, "Add", &request, &options, &first) == MM_OK);
    EXPECT(call(pair.client, "Add", &request, &options, &second) == MM_OK);
    EXPECT(ask(&pair, "Add", &request, &options, &third) == MM_OK);
    EXPECT(mm_loop_run_until(pair.loop, &first.done, TEST_PATIENCE_MS));
    EXPECT(mm_loop_run_until(pair.loop, &second.done, TEST_PATIENCE_MS));
    EXPECT(pair.echo.executions == 4 && first.executions == 4 && second.executions == 4 &&
           third.executions == 4);

    // A failure that says "done nothing" is not remembered, any other is.
    id.bytes[0] = 3;
    request.delay_ms = 0;
    request.fail_code = MM_UNAVAILABLE;
    EXPECT(ask(&pair, "Add", &request, &options, &first) == MM_OK);
    EXPECT(ask(&pair, "Add", &request, &options, &first) == MM_OK);
    EXPECT(pair.echo.executions == 6 && first.code == MM_UNAVAILABLE);
    id.bytes[0] = 4;
    request.fail_code = MM_FAILED_PRECONDITION;
    EXPECT(ask(&pair, "Add", &request, &options, &first) == MM_OK);
    EXPECT(ask(&pair, "Add", &request, &options, &second) == MM_OK);
    EXPECT(pair.echo.executions == 7 && second.code == MM_FAILED_PRECONDITION);
    EXPECT(strcmp(first.message, second.message) == 0);
    pair_close(&pair);
}

static void test_memory_is_bounded(void)
{
    struct pair pair;
    struct mm_rpc_server_options server = {
        .contexts = 2, .remembered_calls = 8, .remembered_bytes = 1 << 20};
    pair_open(&pair, false, &server, NULL);
    struct outcome outcome;
    struct mm_rpc_request_id id = {{0}};
    struct mm_rpc_call_options options = {.deadline_ms = TEST_PATIENCE_MS / 2, .request_id = &id};
    Mmorts__Test__EchoRequest request = MMORTS__TEST__ECHO_REQUEST__INIT;
    for (uint8_t i = 1; i <= 9; i++) {
        id.bytes[0] = i;
        EXPECT(ask(&pair, "Add", &request, &options, &outcome) == MM_OK);
    }
    EXPECT(pair.echo.executions == 9);
    id.bytes[0] = 9; // among the last eight
    EXPECT(ask(&pair, "Add", &request, &options, &outcome) == MM_OK);
    EXPECT(pair.echo.executions == 9);
    id.bytes[0] = 1; // pushed out
    EXPECT(ask(&pair, "Add", &request, &options, &outcome) == MM_OK);
    EXPECT(pair.echo.executions == 10);
    // An answer too large to keep is still not given twice.
    id.bytes[0] = 20;
    request.reply_bytes = 300000;
    EXPECT(ask(&pair, "Add", &request, &options, &outcome) == MM_OK);
    EXPECT(outcome.code == MM_OK && outcome.data_len == 300000);
    EXPECT(ask(&pair, "Add", &request, &options, &outcome) == MM_OK);
    EXPECT(outcome.code == MM_FAILED_PRECONDITION && pair.echo.executions == 11);
    pair_close(&pair);
}

// --- hostile bytes ----------------------------------------------------------------------------

// What a raw REQ socket that sends these bytes gets back; the loop must run meanwhile.
struct raw {
    nng_socket socket;
    nng_aio *aio;
    struct mm_loop_task task;
    struct mm_loop *loop;
    bool sent, done;
    int rv;
    enum mm_err code;
    char message[256];
};

static void on_raw(void *arg)
{
    struct raw *raw = arg;
    mm_loop_post_task(raw->loop, &raw->task);
}

static void raw_step(struct mm_loop *loop, void *arg)
{
    struct raw *raw = arg;
    (void)loop;
    raw->rv = nng_aio_result(raw->aio);
    if (raw->rv == 0 && !raw->sent) {
        raw->sent = true;
        nng_recv_aio(raw->socket, raw->aio);
        return;
    }
    raw->done = true;
    if (raw->rv != 0)
        return;
    nng_msg *msg = nng_aio_get_msg(raw->aio);
    Mmorts__Rpc__Reply *reply =
        mmorts__rpc__reply__unpack(NULL, nng_msg_len(msg), nng_msg_body(msg));
    if (EXPECT(reply != NULL)) {
        raw->code = (enum mm_err)reply->code;
        snprintf(raw->message, sizeof raw->message, "%s", reply->message);
    }
    mmorts__rpc__reply__free_unpacked(reply, NULL);
    nng_msg_free(msg);
}

static void raw_ask_in(struct pair *pair, const void *bytes, size_t len, struct raw *raw,
                       nng_duration timeout_ms)
{
    *raw = (struct raw){.loop = pair->loop};
    mm_loop_task_init(&raw->task, raw_step, raw);
    if (nng_req0_open(&raw->socket) != 0 || nng_dial(raw->socket, pair->url, NULL, 0) != 0 ||
        nng_aio_alloc(&raw->aio, on_raw, raw) != 0)
        test_fail("raw socket");
    nng_aio_set_timeout(raw->aio, timeout_ms);
    nng_msg *msg;
    if (nng_msg_alloc(&msg, 0) != 0 || nng_msg_append(msg, bytes, len) != 0)
        test_fail("raw message");
    nng_aio_set_msg(raw->aio, msg);
    nng_send_aio(raw->socket, raw->aio);
    EXPECT(mm_loop_run_until(pair->loop, &raw->done, TEST_PATIENCE_MS));
    nng_close(raw->socket);
    nng_aio_free(raw->aio);
}

static void raw_ask(struct pair *pair, const void *bytes, size_t len, struct raw *raw)
{
    raw_ask_in(pair, bytes, len, raw, TEST_PATIENCE_MS / 2);
}

static void raw_request(struct pair *pair, const Mmorts__Rpc__Request *request, struct raw *raw)
{
    static uint8_t bytes[4096];
    raw_ask(pair, bytes, mmorts__rpc__request__pack(request, bytes), raw);
}

static void test_hostile(void)
{
    struct pair pair;
    struct mm_rpc_server_options server = {.request_bytes_max = 2000};
    pair_open(&pair, true, &server, NULL);
    struct raw raw;
    raw_ask(&pair, "\xff\xff\xff garbage", 11, &raw);
    EXPECT(raw.done && raw.rv == 0 && raw.code == MM_INVALID_ARGUMENT);
    raw_ask(&pair, "", 0, &raw);
    EXPECT(raw.rv == 0 && raw.code == MM_INVALID_ARGUMENT);

    Mmorts__Rpc__Request request = MMORTS__RPC__REQUEST__INIT;
    char method[] = "mmorts.test.Echo/Echo", unknown[] = "mmorts.test.Echo/Nothing",
         bare[] = "Echo";
    uint8_t not_utf8[] = {0x0a, 1, 0xff};
    request.method = unknown;
    request.deadline_ms = 30000;
    raw_request(&pair, &request, &raw);
    EXPECT(raw.rv == 0 && raw.code == MM_UNIMPLEMENTED);
    request.method = bare;
    raw_request(&pair, &request, &raw);
    EXPECT(raw.rv == 0 && raw.code == MM_INVALID_ARGUMENT);
    request.method = method;
    raw_request(&pair, &request, &raw);
    EXPECT(raw.rv == 0 && raw.code == MM_OK);
    request.body = (ProtobufCBinaryData){sizeof not_utf8, not_utf8};
    raw_request(&pair, &request, &raw);
    EXPECT(raw.rv == 0 && raw.code == MM_INVALID_ARGUMENT);
    request.body.len = 2; // a string that says it is longer than the message
    raw_request(&pair, &request, &raw);
    EXPECT(raw.rv == 0 && raw.code == MM_INVALID_ARGUMENT);
    request.body.len = 0;
    request.deadline_ms = 0;
    raw_request(&pair, &request, &raw);
    EXPECT(raw.rv == 0 && raw.code == MM_INVALID_ARGUMENT);
    request.deadline_ms = MM_RPC_DEADLINE_MS_MAX + 1;
    raw_request(&pair, &request, &raw);
    EXPECT(raw.rv == 0 && raw.code == MM_INVALID_ARGUMENT);
    request.deadline_ms = 30000;
    request.request_id = (ProtobufCBinaryData){3, not_utf8};
    raw_request(&pair, &request, &raw);
    EXPECT(raw.rv == 0 && raw.code == MM_INVALID_ARGUMENT);

    // Oversize: dropped with its connection, without an answer; others are not disturbed.
    static uint8_t big[3000];
    raw_ask_in(&pair, big, sizeof big, &raw, 500);
    EXPECT(raw.rv != 0);
    Mmorts__Test__EchoRequest echo = MMORTS__TEST__ECHO_REQUEST__INIT;
    struct outcome outcome;
    EXPECT(ask(&pair, "Echo", &echo, &in_time, &outcome) == MM_OK && outcome.code == MM_OK);
    pair_close(&pair);
}

// --- a server that dies -----------------------------------------------------------------------

static const char *self;

static struct test_process *start_server(const char *url)
{
    const char *argv[] = {self, "--serve", url, NULL};
    struct test_process *process = test_process_start(argv, NULL);
    EXPECT(test_process_wait_log(process, "serving", TEST_PATIENCE_MS));
    return process;
}

// The end of the connection is noticed.
static bool is_left(struct pair *pair)
{
    bool never = false;
    for (int i = 0; i < TEST_PATIENCE_MS / 10 && pair->connected; i++)
        mm_loop_run_until(pair->loop, &never, 10);
    return !pair->connected;
}

static void test_killed_server(void)
{
    struct mm_loop *loop;
    must(mm_loop_create(NULL, &loop), "loop");
    char *dir = test_dir_make();
    char url[160];
    snprintf(url, sizeof url, "ipc://%s/rpc", dir);
    struct pair pair = {.loop = loop};
    must(mm_rpc_client_open(loop, url, NULL, &pair.client), "client");
    mm_rpc_client_watch(pair.client, on_connection, &pair);
    struct outcome outcome, retried, behind;
    Mmorts__Test__EchoRequest request = MMORTS__TEST__ECHO_REQUEST__INIT;

    // Nobody there: at once, or within the deadline if told to wait.
    EXPECT(call(pair.client, "Echo", &request, &in_time, &outcome) == MM_UNAVAILABLE);
    EXPECT(!outcome.done);
    struct mm_rpc_call_options waiting = {.deadline_ms = 100, .wait_for_connection = true};
    EXPECT(ask(&pair, "Echo", &request, &waiting, &outcome) == MM_OK);
    EXPECT(outcome.code == MM_DEADLINE_EXCEEDED);
    waiting.deadline_ms = TEST_PATIENCE_MS / 2;
    EXPECT(call(pair.client, "Echo", &request, &waiting, &outcome) == MM_OK);
    struct test_process *server = start_server(url);
    EXPECT(mm_loop_run_until(loop, &outcome.done, TEST_PATIENCE_MS) && outcome.code == MM_OK);
    EXPECT(outcome.process == (int32_t)test_process_pid(server));
    // nng tells of a connection only after it has begun to use it.
    EXPECT(mm_loop_run_until(loop, &pair.connected, TEST_PATIENCE_MS));

    // Killed in mid-call: a call that must not be repeated fails, an idempotent one is sent again.
    int32_t first_process = (int32_t)test_process_pid(server);
    request.not_from = first_process;
    struct mm_rpc_call_options idempotent = {.deadline_ms = TEST_PATIENCE_MS, .idempotent = true};
    EXPECT(call(pair.client, "Echo", &request, &in_time, &outcome) == MM_OK);
    EXPECT(call(pair.client, "Echo", &request, &idempotent, &retried) == MM_OK);
    request.not_from = 0;
    uint64_t asked = 0; // until both have been begun there
    do {
        asked++;
        EXPECT(ask(&pair, "Echo", &request, &in_time, &behind) == MM_OK && behind.code == MM_OK);
    } while (behind.executions < 3 + asked && asked < 10000);
    EXPECT(!outcome.done && !retried.done);
    test_process_kill(server);
    test_process_free(server);
    EXPECT(mm_loop_run_until(loop, &outcome.done, TEST_PATIENCE_MS));
    EXPECT(outcome.code == MM_UNAVAILABLE && outcome.attempts == 1 && !retried.done);
    EXPECT(is_left(&pair));
    server = start_server(url);
    EXPECT(mm_loop_run_until(loop, &retried.done, TEST_PATIENCE_MS));
    EXPECT(retried.code == MM_OK && retried.attempts >= 2 && retried.process != first_process);
    EXPECT(mm_loop_run_until(loop, &pair.connected, TEST_PATIENCE_MS));

    // Without a server an idempotent call ends with its deadline.
    test_process_kill(server);
    test_process_free(server);
    EXPECT(is_left(&pair) && !mm_rpc_client_connected(pair.client));
    mm_rpc_client_close(pair.client);
    mm_loop_destroy(loop);
    free(dir);
}

// Closing with calls on their way: callbacks are never called, late answers go into the void.
static void test_close_in_flight(void)
{
    struct pair pair;
    pair_open(&pair, false, NULL, NULL);
    static struct outcome outcomes[20];
    Mmorts__Test__EchoRequest request = MMORTS__TEST__ECHO_REQUEST__INIT;
    request.after = UINT64_MAX;
    for (size_t i = 0; i < 20; i++)
        EXPECT(call(pair.client, "Echo", &request, &in_time, &outcomes[i]) == MM_OK);
    bool never = false;
    for (int i = 0; i < TEST_PATIENCE_MS / 2 && pair.echo.executions < 20; i++)
        mm_loop_run_until(pair.loop, &never, 2);
    EXPECT(pair.echo.executions == 20);
    mm_rpc_client_close(pair.client);
    mm_rpc_server_close(pair.server);
    EXPECT(pair.served_calls == 0);
    echo_release(&pair.echo);
    for (int i = 0; i < TEST_PATIENCE_MS / 10 && pair.served_calls < 20; i++)
        mm_loop_run_until(pair.loop, &never, 10); // the handlers answer here
    for (size_t i = 0; i < 20; i++)
        EXPECT(!outcomes[i].done);
    EXPECT(pair.served_calls == 20);
    mm_loop_destroy(pair.loop);
    free(pair.dir);
}

static void test_drain(void)
{
    struct pair pair;
    pair_open(&pair, false, NULL, NULL);
    struct outcome running, late;
    Mmorts__Test__EchoRequest request = MMORTS__TEST__ECHO_REQUEST__INIT;
    request.after = UINT64_MAX;
    EXPECT(call(pair.client, "Echo", &request, &in_time, &running) == MM_OK);
    bool never = false;
    while (pair.echo.executions == 0)
        mm_loop_run_until(pair.loop, &never, 2);
    mm_rpc_server_drain(pair.server);
    EXPECT(mm_rpc_server_calls_running(pair.server) == 1);
    EXPECT(ask(&pair, "Echo", &request, &in_time, &late) == MM_OK && late.code == MM_UNAVAILABLE);
    EXPECT(!running.done);
    echo_release(&pair.echo);
    EXPECT(mm_loop_run_until(pair.loop, &running.done, TEST_PATIENCE_MS) && running.code == MM_OK);
    EXPECT(mm_rpc_server_calls_running(pair.server) == 0);
    pair_close(&pair);
}

int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], "--serve") == 0)
        return echo_server_main(argc - 2, argv + 2);
    self = argv[0];
    test_round_trip(false);
    test_round_trip(true);
    test_concurrent();
    test_failures();
    test_deadlines();
    test_expired_before_start();
    test_cancel();
    test_repeated_ids();
    test_memory_is_bounded();
    test_hostile();
    test_drain();
    test_close_in_flight();
    test_killed_server();
    return plain_finish();
}
