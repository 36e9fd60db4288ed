#include "tests/support/echo.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gen/echo.pb-c.h"
#include "libcommon/base/check.h"
#include "libcommon/io/loop.h"

// A handler's answer that waits for its time, or for other calls.
struct echo_delayed {
    struct echo *echo;
    struct mm_loop_timer timer;
    struct mm_rpc_call *call;
    const Mmorts__Test__EchoRequest *input;
    struct echo_delayed *next; // among those held
};

static void answer(struct echo *echo, struct mm_rpc_call *call,
                   const Mmorts__Test__EchoRequest *input)
{
    if (input->fail_code != 0) {
        mm_rpc_call_add_detail(call, "asked", "yes");
        mm_rpc_fail(call, (enum mm_err)input->fail_code, "failed as asked: %s", input->text);
        return;
    }
    char traceparent[MM_TRACEPARENT_CHARS + 1];
    mm_trace_format(mm_rpc_call_trace(call), traceparent);
    const struct mm_rpc_caller *caller = mm_rpc_call_caller(call);
    char caller_service[MM_RPC_NAME_LEN_MAX + 1];
    memcpy(caller_service, caller->service, sizeof caller_service);
    Mmorts__Test__EchoReply reply = MMORTS__TEST__ECHO_REPLY__INIT;
    reply.text = input->text;
    reply.value = input->value;
    reply.executions = echo->executions;
    reply.caller_service = caller_service;
    reply.caller_player_id = caller->player_id;
    reply.deadline_left_ms = mm_rpc_call_deadline_left_ms(call);
    reply.traceparent = traceparent;
    reply.process = (int32_t)getpid();
    uint8_t *filler = NULL;
    if (input->reply_bytes > 0) {
        filler = malloc(input->reply_bytes);
        MM_CHECK(filler != NULL);
        memset(filler, 'x', input->reply_bytes);
        reply.data = (ProtobufCBinaryData){input->reply_bytes, filler};
    } else {
        reply.data = input->data;
    }
    mm_rpc_reply(call, &reply.base);
    free(filler);
}

static void on_delayed(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop;
    (void)timer;
    struct echo_delayed *delayed = arg;
    answer(delayed->echo, delayed->call, delayed->input);
    free(delayed);
}

static void start_delay(struct echo_delayed *delayed)
{
    mm_loop_timer_init(&delayed->timer, on_delayed, delayed);
    mm_loop_timer_start(delayed->echo->loop, &delayed->timer, MM_LOOP_MS(delayed->input->delay_ms),
                        0);
}

// Ends the wait of those that are held until so many calls have been carried out.
static void release(struct echo *echo, uint64_t executions)
{
    for (struct echo_delayed **link = &echo->held; *link;) {
        struct echo_delayed *delayed = *link;
        if (delayed->input->after > executions) {
            link = &delayed->next;
            continue;
        }
        *link = delayed->next;
        start_delay(delayed);
    }
}

void echo_release(struct echo *echo)
{
    release(echo, UINT64_MAX);
}

static void serve(const Mmorts__Test__EchoRequest *input, void *closure_data)
{
    struct mm_rpc_call *call = closure_data;
    struct echo *echo = mm_rpc_call_context(call);
    echo->executions++;
    echo->overtaken += input->value < echo->newest;
    if (input->value > echo->newest)
        echo->newest = input->value;
    bool held = input->after > echo->executions;
    if (input->not_from == (int32_t)getpid())
        return;
    if (input->delay_ms == 0 && !held) {
        answer(echo, call, input);
    } else {
        struct echo_delayed *delayed = calloc(1, sizeof *delayed);
        MM_CHECK(delayed != NULL);
        *delayed = (struct echo_delayed){.echo = echo, .call = call, .input = input};
        if (held) {
            delayed->next = echo->held;
            echo->held = delayed;
        } else {
            start_delay(delayed);
        }
    }
    release(echo, echo->executions);
}

#define HANDLER(name)                                                                              \
    static void echo_rpc_##name(Mmorts__Test__Echo_Service *service,                               \
                                const Mmorts__Test__EchoRequest *input,                            \
                                Mmorts__Test__EchoReply_Closure closure, void *closure_data)       \
    {                                                                                              \
        (void)service;                                                                             \
        (void)closure;                                                                             \
        serve(input, closure_data);                                                                \
    }
HANDLER(echo)
HANDLER(add)
HANDLER(secret)
HANDLER(operate)

void echo_publish(struct echo *echo, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        Mmorts__Test__EchoRequest body = MMORTS__TEST__ECHO_REQUEST__INIT;
        body.value = ++echo->published;
        mm_stream_publish(echo->publisher, echo->published, &body.base);
    }
}

void echo_snapshot(void *arg, struct mm_stream_snapshot *snapshot, const uint8_t *filter,
                   size_t filter_len)
{
    struct echo *echo = arg;
    char text[256];
    MM_CHECK(filter_len < sizeof text);
    if (filter_len > 0)
        memcpy(text, filter, filter_len);
    text[filter_len] = '\0';
    Mmorts__Test__EchoRequest body = MMORTS__TEST__ECHO_REQUEST__INIT;
    body.value = echo->published;
    body.text = text;
    mm_stream_snapshot_reply(snapshot, mm_stream_publisher_seq(echo->publisher), echo->published,
                             &body.base);
}

static void echo_rpc_publish_to(Mmorts__Test__Echo_Service *service,
                                const Mmorts__Test__EchoRequest *input,
                                Mmorts__Test__EchoReply_Closure closure, void *closure_data)
{
    (void)service;
    (void)closure;
    struct mm_rpc_call *call = closure_data;
    struct echo *echo = mm_rpc_call_context(call);
    if (!echo->publisher) {
        mm_rpc_fail(call, MM_FAILED_PRECONDITION, "no stream here");
        return;
    }
    echo_publish(echo, input->value);
    answer(echo, call, input);
}

static Mmorts__Test__Echo_Service echo_service = MMORTS__TEST__ECHO__INIT(echo_rpc_);

static const struct mm_rpc_policy policies[] = {
    {.method = "Echo", .permission = MM_RPC_PUBLIC, .idempotent = true},
    {.method = "Add", .permission = MM_RPC_ANY_PLAYER, .mutating = true, .idempotent = true},
    {.method = "Secret", .permission = ECHO_PERMISSION_SECRET},
    {.method = "PublishTo", .permission = MM_RPC_PUBLIC},
};

void echo_register(struct echo *echo, struct mm_loop *loop, struct mm_rpc_server *server)
{
    echo->loop = loop;
    mm_rpc_server_register(server, &echo_service.base, echo, policies,
                           sizeof policies / sizeof policies[0]);
}
