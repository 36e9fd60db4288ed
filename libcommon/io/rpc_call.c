#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "gen/rpc.pb-c.h"
#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/clock.h"
#include "libcommon/base/log.h"
#include "libcommon/base/str.h"
#include "libcommon/io/pb.h"
#include "libcommon/io/rpc_server_internal.h"

// One call on the server, from its arrival on the loop to its answer.

// --- what a handler may ask --------------------------------------------------------------------

void *mm_rpc_call_context(const struct mm_rpc_call *call)
{
    return call->registered->context;
}

const struct mm_rpc_caller *mm_rpc_call_caller(const struct mm_rpc_call *call)
{
    return &call->caller;
}

const char *mm_rpc_call_service_name(const struct mm_rpc_call *call)
{
    return call->registered->service->descriptor->name;
}

const char *mm_rpc_call_method_name(const struct mm_rpc_call *call)
{
    return call->method->name;
}

struct mm_rpc_request_id mm_rpc_call_request_id(const struct mm_rpc_call *call)
{
    return call->request_id;
}

uint32_t mm_rpc_call_deadline_left_ms(const struct mm_rpc_call *call)
{
    uint64_t now = mm_clock_ns();
    return now >= call->deadline_ns ? 0 : (uint32_t)((call->deadline_ns - now) / 1000000);
}

const struct mm_trace *mm_rpc_call_trace(const struct mm_rpc_call *call)
{
    return &call->trace;
}

void mm_rpc_call_add_detail(struct mm_rpc_call *call, const char *key, const char *value)
{
    if (call->details_count == MM_RPC_DETAILS_MAX)
        return;
    char *key_copy = mm_strdup(key);
    char *value_copy = mm_strdup(value);
    if (!key_copy || !value_copy) {
        mm_free(key_copy);
        mm_free(value_copy);
        return;
    }
    call->detail_keys[call->details_count] = key_copy;
    call->detail_values[call->details_count++] = value_copy;
}

// --- the answer's way out ----------------------------------------------------------------------

// What is answered: reply, or (when it is NULL) code and message, or a packed envelope.
struct outcome {
    enum mm_err code;
    const char *message;
    const ProtobufCMessage *reply;
};

static void clear(struct mm_rpc_call *call)
{
    protobuf_c_message_free_unpacked(call->input, NULL);
    call->input = NULL;
    for (size_t i = 0; i < call->details_count; i++) {
        mm_free(call->detail_keys[i]);
        mm_free(call->detail_values[i]);
    }
    call->details_count = 0;
    call->state = CALL_FREE;
}

// Ends the loop's time with the slot: sends the answer of an nng call, frees a local slot. While
// the handler runs this waits for its return, since it may still look at its input.
static void hand_back(struct mm_rpc_call *call, nng_msg *msg)
{
    struct mm_rpc_server *server = call->server;
    if (call->in_handler) {
        call->outgoing = msg;
        return;
    }
    clear(call);
    server->running--;
    if (!call->has_context) {
        call->next = server->local_free;
        server->local_free = call;
    } else if (server->closed) {
        nng_msg_free(msg);
    } else {
        nng_aio_set_msg(call->send_aio, msg);
        nng_ctx_send(call->context, call->send_aio);
    }
    mm_rpc_server_release(server);
}

static void report(const struct mm_rpc_call *call, enum mm_err code)
{
    const struct mm_rpc_hooks *hooks = &call->server->options.hooks;
    if (hooks->served)
        hooks->served(hooks->arg, call->method ? mm_rpc_call_service_name(call) : "",
                      call->method ? call->method->name : "", code,
                      mm_clock_ns() - call->received_ns);
}

static struct mm_envelope envelope_of(const struct mm_rpc_call *call, const struct outcome *outcome,
                                      Mmorts__Rpc__Reply *head, Mmorts__Rpc__Detail *details,
                                      Mmorts__Rpc__Detail **detail_list)
{
    mmorts__rpc__reply__init(head);
    head->code = (Mmorts__Rpc__Code)outcome->code;
    head->message = (char *)(uintptr_t)outcome->message; // only read
    if (outcome->code != MM_OK) {
        for (size_t i = 0; i < call->details_count; i++) {
            mmorts__rpc__detail__init(&details[i]);
            details[i].key = call->detail_keys[i];
            details[i].value = call->detail_values[i];
            detail_list[i] = &details[i];
        }
        head->n_details = call->details_count;
        head->details = detail_list;
    }
    return (struct mm_envelope){
        .head = &head->base, .body_field = 4, .body_message = outcome->reply};
}

static void answer_local(struct mm_rpc_call *call, const struct mm_rpc_answer *answer)
{
    mm_rpc_answer_fn fn = call->answer;
    void *arg = call->answer_arg;
    fn(arg, answer);
    hand_back(call, NULL);
}

static void send_local(struct mm_rpc_call *call, const struct outcome *outcome)
{
    struct mm_rpc_answer answer = {.code = outcome->code, .message = outcome->message};
    uint8_t *body = NULL;
    if (outcome->reply) {
        if (mm_pb_pack(outcome->reply, call->server->options.reply_bytes_max, &body,
                       &answer.body_len) != MM_OK) {
            answer.code = MM_RESOURCE_EXHAUSTED;
            answer.message = "the reply is too large";
        }
        answer.body = body;
    } else {
        answer.details_count = call->details_count;
        for (size_t i = 0; i < call->details_count; i++) {
            answer.detail_keys[i] = call->detail_keys[i];
            answer.detail_values[i] = call->detail_values[i];
        }
    }
    report(call, answer.code);
    answer_local(call, &answer);
    mm_free(body);
}

static void send_nng(struct mm_rpc_call *call, const struct outcome *outcome)
{
    Mmorts__Rpc__Reply head;
    Mmorts__Rpc__Detail details[MM_RPC_DETAILS_MAX], *detail_list[MM_RPC_DETAILS_MAX];
    struct mm_envelope envelope = envelope_of(call, outcome, &head, details, detail_list);
    nng_msg *msg;
    struct outcome too_large = {.code = MM_RESOURCE_EXHAUSTED, .message = "the reply is too large"};
    if (mm_envelope_to_msg(&envelope, call->server->options.reply_bytes_max, &msg) != MM_OK) {
        outcome = &too_large;
        envelope = envelope_of(call, outcome, &head, details, detail_list);
        MM_CHECK(mm_envelope_to_msg(&envelope, SIZE_MAX, &msg) == MM_OK);
    }
    report(call, outcome->code);
    hand_back(call, msg);
}

// Answers from a packed envelope: the remembered reply of a call with the same id.
static void send_packed(struct mm_rpc_call *call, const uint8_t *bytes, size_t len)
{
    struct mm_rpc_reply_view view;
    MM_CHECK(mm_rpc_reply_read(bytes, len, &view)); // we packed it ourselves
    report(call, (enum mm_err)view.code);
    if (call->has_context) {
        nng_msg *msg;
        MM_CHECK(nng_msg_alloc(&msg, len) == 0);
        memcpy(nng_msg_body(msg), bytes, len);
        hand_back(call, msg);
        return;
    }
    char message[MM_RPC_MESSAGE_LEN_MAX + 1];
    mm_str_copy_n(message, sizeof message, (const char *)view.message.data, view.message.len);
    struct mm_rpc_answer answer = {.code = (enum mm_err)view.code,
                                   .message = message,
                                   .body = view.body.data,
                                   .body_len = view.body.len};
    answer_local(call, &answer);
}

// These promise that nothing was done, so a repetition is carried out.
static bool is_repeatable(enum mm_err code)
{
    return code == MM_UNAVAILABLE || code == MM_ABORTED || code == MM_RESOURCE_EXHAUSTED ||
           code == MM_CANCELLED || code == MM_DEADLINE_EXCEEDED;
}

static void send_outcome(struct mm_rpc_call *call, const struct outcome *outcome)
{
    if (call->has_context)
        send_nng(call, outcome);
    else
        send_local(call, outcome);
}

// Answers a call whose id is remembered, and those that wait for the same answer.
static void settle(struct mm_rpc_call *call, const struct outcome *outcome)
{
    struct mm_rpc_remembered *entry = call->remembered;
    struct mm_rpc_memory *memory = call->server->memory;
    struct mm_rpc_call *waiting = entry->waiting;
    entry->waiting = NULL;
    call->remembered = NULL;

    uint8_t *packed = NULL;
    Mmorts__Rpc__Reply head;
    Mmorts__Rpc__Detail details[MM_RPC_DETAILS_MAX], *detail_list[MM_RPC_DETAILS_MAX];
    struct mm_envelope envelope = envelope_of(call, outcome, &head, details, detail_list);
    mm_envelope_measure(&envelope);
    struct outcome kept_short = {.code = MM_FAILED_PRECONDITION,
                                 .message = "done before; the answer was too large to keep"};
    if (envelope.len > mm_rpc_memory_reply_bytes_max(memory)) {
        struct mm_envelope stand_in = envelope_of(call, &kept_short, &head, details, detail_list);
        mm_envelope_measure(&stand_in);
        packed = mm_malloc(stand_in.len);
        MM_CHECK(packed != NULL);
        mm_envelope_write(&stand_in, packed);
        envelope.len = stand_in.len;
    } else {
        packed = mm_malloc(envelope.len + 1);
        MM_CHECK(packed != NULL); // without it the id would be carried out twice
        mm_envelope_write(&envelope, packed);
    }
    size_t packed_len = envelope.len;
    while (waiting) {
        struct mm_rpc_call *next = waiting->next;
        waiting->next = NULL;
        send_packed(waiting, packed, packed_len);
        waiting = next;
    }
    if (is_repeatable(outcome->code)) {
        mm_rpc_memory_forget(memory, entry);
        mm_free(packed);
    } else {
        mm_rpc_memory_keep(memory, entry, packed, packed_len);
    }
    send_outcome(call, outcome);
}

static void finish(struct mm_rpc_call *call, const struct outcome *outcome)
{
    MM_CHECK(call->state == CALL_RUNNING); // answered twice
    call->state = CALL_ANSWERED;
    if (call->remembered)
        settle(call, outcome);
    else
        send_outcome(call, outcome);
}

void mm_rpc_reply(struct mm_rpc_call *call, const ProtobufCMessage *reply)
{
    if (!reply) { // protobuf-c's way of saying that it failed
        mm_rpc_fail(call, MM_INTERNAL, "no answer");
        return;
    }
    MM_CHECK(reply->descriptor == call->method->output);
    struct outcome outcome = {.code = MM_OK, .message = "", .reply = reply};
    finish(call, &outcome);
}

static void reply_closure(const ProtobufCMessage *reply, void *call)
{
    mm_rpc_reply(call, reply);
}

void mm_rpc_fail(struct mm_rpc_call *call, enum mm_err code, const char *format, ...)
{
    MM_CHECK(code > MM_OK && code < MM_ERR_COUNT);
    char message[MM_RPC_MESSAGE_LEN_MAX + 1];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (len < 0)
        message[0] = '\0';
    // A cut in the middle of a character, or foreign bytes, would make the envelope invalid.
    size_t at = 0, total = strlen(message);
    while (at < total) {
        size_t step = mm_utf8_sequence((const uint8_t *)message + at, total - at);
        if (step == 0)
            message[at] = '?';
        at += step ? step : 1;
    }
    if (code == MM_INTERNAL || code == MM_UNKNOWN || code == MM_DATA_LOSS)
        MM_LOG_ERROR("call failed", "method=%s/%s code=%s reason=%s",
                     call->method ? mm_rpc_call_service_name(call) : "",
                     call->method ? call->method->name : "", mm_err_name(code), message);
    struct outcome outcome = {.code = code, .message = message};
    finish(call, &outcome);
}

// --- the way in --------------------------------------------------------------------------------

// True: this call is to be carried out. False: it has been answered, or waits for the answer to the
// first call with its id.
static bool first_with_its_id(struct mm_rpc_call *call, const struct mm_rpc_arrival *arrival)
{
    static const struct mm_rpc_request_id none;
    const struct mm_rpc_policy *policy = call->registered->policy_of[call->method_index];
    if (!policy || !policy->mutating || memcmp(&call->request_id, &none, sizeof none) == 0)
        return true;
    struct mm_rpc_memory_key key = {.id = call->request_id,
                                    .caller = &call->caller,
                                    .method = call->method,
                                    .body = arrival->body,
                                    .body_len = arrival->body_len};
    struct mm_rpc_remembered *entry;
    switch (mm_rpc_memory_look_up(call->server->memory, &key, &entry)) {
    case MM_RPC_MEMORY_NEW:
        call->remembered = entry;
        return true;
    case MM_RPC_MEMORY_RUNNING:
        call->next = entry->waiting;
        entry->waiting = call;
        return false;
    case MM_RPC_MEMORY_ANSWERED:
        call->state = CALL_ANSWERED;
        send_packed(call, entry->reply, entry->reply_len);
        return false;
    case MM_RPC_MEMORY_MISMATCH:
        mm_rpc_fail(call, MM_INVALID_ARGUMENT, "request id was used for another call");
        return false;
    case MM_RPC_MEMORY_FULL:
        break;
    }
    mm_rpc_fail(call, MM_RESOURCE_EXHAUSTED, "too many calls in flight");
    return false;
}

static void run_handler(struct mm_rpc_call *call)
{
    ProtobufCService *service = call->registered->service;
    char trace_id[2 * sizeof call->trace.trace_id + 1];
    mm_hex_encode(call->trace.trace_id, sizeof call->trace.trace_id, trace_id);
    call->in_handler = true;
    mm_log_set_trace(trace_id);
    service->invoke(service, call->method_index, call->input, reply_closure, call);
    mm_log_set_trace(NULL);
    call->in_handler = false;
    if (call->state == CALL_ANSWERED)
        hand_back(call, call->outgoing);
}

void mm_rpc_call_begin(struct mm_rpc_call *call, const struct mm_rpc_arrival *arrival)
{
    struct mm_rpc_server *server = call->server;
    server->running++;
    call->state = CALL_RUNNING;
    call->method = NULL;
    call->deadline_ns = call->received_ns + (uint64_t)arrival->deadline_ms * 1000000;
    call->registered =
        mm_rpc_registry_find(server, arrival->service, arrival->method, &call->method_index);
    if (call->registered)
        call->method = &call->registered->service->descriptor->methods[call->method_index];

    if (server->draining) {
        mm_rpc_fail(call, MM_UNAVAILABLE, "shutting down");
    } else if (!call->registered) {
        mm_rpc_fail(call, MM_UNIMPLEMENTED, "no method %.*s/%.*s", (int)arrival->service.len,
                    (const char *)arrival->service.data, (int)arrival->method.len,
                    (const char *)arrival->method.data);
    } else if (arrival->deadline_ms == 0 || arrival->deadline_ms > MM_RPC_DEADLINE_MS_MAX) {
        mm_rpc_fail(call, MM_INVALID_ARGUMENT, "deadline_ms must be 1..%u", MM_RPC_DEADLINE_MS_MAX);
    } else if (mm_clock_ns() >= call->deadline_ns) {
        mm_rpc_fail(call, MM_DEADLINE_EXCEEDED, "the deadline passed before the call was begun");
    } else if (first_with_its_id(call, arrival)) {
        enum mm_err err = mm_pb_unpack(call->method->input, NULL, arrival->body, arrival->body_len,
                                       server->options.request_bytes_max, &call->input);
        if (err != MM_OK)
            mm_rpc_fail(call, err, "the body is not a %s", call->method->input->name);
        else
            run_handler(call);
    }
}

// --- nng calls ---------------------------------------------------------------------------------

static bool copy_name(char out[MM_RPC_NAME_LEN_MAX + 1], struct mm_span name)
{
    return mm_str_copy_n(out, MM_RPC_NAME_LEN_MAX + 1, (const char *)name.data, name.len);
}

// Fills the call from the envelope; a message why that cannot be, or NULL.
static const char *read_request(struct mm_rpc_call *call, const struct mm_rpc_request_view *view,
                                struct mm_rpc_arrival *arrival)
{
    call->request_id = (struct mm_rpc_request_id){0};
    call->caller =
        (struct mm_rpc_caller){.player_id = view->player_id, .permissions = view->permissions};
    char traceparent[MM_TRACEPARENT_CHARS + 1];
    struct mm_trace parent = {0};
    if (mm_str_copy_n(traceparent, sizeof traceparent, (const char *)view->traceparent.data,
                      view->traceparent.len))
        mm_trace_parse(traceparent, &parent);
    call->trace = mm_trace_child(&parent);

    if (view->method.len > MM_RPC_METHOD_LEN_MAX ||
        !mm_utf8_valid(view->method.data, view->method.len))
        return "method is not a name";
    if (view->request_id.len != 0 && view->request_id.len != MM_RPC_REQUEST_ID_LEN)
        return "request_id must have 16 bytes";
    if (!copy_name(call->caller.service, view->service) ||
        !copy_name(call->caller.instance, view->instance))
        return "the caller's name is too long";
    if (view->request_id.len != 0)
        memcpy(call->request_id.bytes, view->request_id.data, MM_RPC_REQUEST_ID_LEN);
    const uint8_t *slash =
        view->method.len ? memchr(view->method.data, '/', view->method.len) : NULL;
    if (!slash)
        return "method must be service/method";
    size_t service_len = (size_t)(slash - view->method.data);
    *arrival = (struct mm_rpc_arrival){
        .service = {view->method.data, service_len},
        .method = {slash + 1, view->method.len - service_len - 1},
        .body = view->body.data,
        .body_len = view->body.len,
        .deadline_ms = view->deadline_ms,
    };
    return NULL;
}

void mm_rpc_call_arrived(struct mm_loop *loop, void *arg)
{
    (void)loop;
    struct mm_rpc_call *call = arg;
    nng_msg *msg = call->message;
    call->message = NULL;
    struct mm_rpc_request_view view;
    struct mm_rpc_arrival arrival;
    const char *problem = "not a request envelope";
    if (mm_rpc_request_read(nng_msg_body(msg), nng_msg_len(msg), &view))
        problem = read_request(call, &view, &arrival);
    if (problem) {
        call->server->running++;
        call->state = CALL_RUNNING;
        call->method = NULL;
        mm_rpc_fail(call, MM_INVALID_ARGUMENT, "%s", problem);
    } else {
        mm_rpc_call_begin(call, &arrival);
    }
    nng_msg_free(msg);
}
