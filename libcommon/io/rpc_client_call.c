#include <stdio.h>
#include <string.h>

#include "gen/rpc.pb-c.h"
#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/clock.h"
#include "libcommon/base/str.h"
#include "libcommon/io/pb.h"
#include "libcommon/io/rpc_client_internal.h"
#include "libcommon/io/rpc_envelope.h"

// One call: its attempts, and what comes of them.

enum { BACKOFF_MIN_MS = 20, BACKOFF_MAX_MS = 320 };

// --- nng's threads ----------------------------------------------------------------------------

static nng_duration time_left_ms(const struct mm_rpc_slot *slot)
{
    uint64_t now = mm_clock_ns();
    if (now >= slot->deadline_ns)
        return 0;
    return (nng_duration)((slot->deadline_ns - now + 999999) / 1000000);
}

static void on_sent(void *arg)
{
    struct mm_rpc_slot *slot = arg;
    int rv = nng_aio_result(slot->send_aio);
    if (rv == 0) {
        nng_aio_set_timeout(slot->receive_aio, time_left_ms(slot));
        nng_ctx_recv(slot->context, slot->receive_aio);
        return;
    }
    nng_msg_free(nng_aio_get_msg(slot->send_aio));
    slot->rv = rv;
    slot->reply_msg = NULL;
    mm_loop_post_task(slot->client->loop, &slot->done);
}

static void on_received(void *arg)
{
    struct mm_rpc_slot *slot = arg;
    slot->rv = nng_aio_result(slot->receive_aio);
    slot->reply_msg = slot->rv == 0 ? nng_aio_get_msg(slot->receive_aio) : NULL;
    mm_loop_post_task(slot->client->loop, &slot->done);
}

// --- the outcome ------------------------------------------------------------------------------

static void free_slot(struct mm_rpc_slot *slot)
{
    struct mm_rpc_client *client = slot->client;
    mm_free(slot->body);
    slot->body = NULL;
    slot->state = SLOT_FREE;
    slot->generation++;
    slot->next = client->free_slots;
    client->free_slots = slot;
    client->calls--;
}

// Frees the slot before the callback, which may make another call or close the client.
static void deliver(struct mm_rpc_slot *slot, const struct mm_rpc_result *result)
{
    mm_rpc_callback_fn callback = slot->callback;
    void *arg = slot->arg;
    const struct mm_rpc_hooks *hooks = &slot->client->options.hooks;
    if (hooks->called)
        hooks->called(hooks->arg, slot->service->name, slot->method->name, result->code,
                      mm_clock_ns() - slot->started_ns);
    free_slot(slot);
    callback(arg, result);
}

static void deliver_error(struct mm_rpc_slot *slot, enum mm_err code, const char *message)
{
    struct mm_rpc_result result = {.code = code, .message = message, .attempts = slot->attempts};
    deliver(slot, &result);
}

static void deliver_timeout(struct mm_rpc_slot *slot)
{
    char message[64];
    snprintf(message, sizeof message, "no answer within %u ms", slot->deadline_ms);
    deliver_error(slot, MM_DEADLINE_EXCEEDED, message);
}

static char *copy_span(struct mm_span span)
{
    char *copy = mm_malloc(span.len + 1);
    if (copy) {
        if (span.len > 0)
            memcpy(copy, span.data, span.len);
        copy[span.len] = '\0';
    }
    return copy;
}

static void deliver_failure(struct mm_rpc_slot *slot, const struct mm_rpc_reply_view *view)
{
    char message[MM_RPC_MESSAGE_LEN_MAX + 1];
    mm_str_copy_n(message, sizeof message, (const char *)view->message.data, view->message.len);
    char *texts[2 * MM_RPC_DETAILS_MAX];
    struct mm_rpc_result result = {
        .code = view->code < MM_ERR_COUNT ? (enum mm_err)view->code : MM_UNKNOWN,
        .message = message,
        .attempts = slot->attempts,
        .detail_keys = (const char *const *)texts,
        .detail_values = (const char *const *)texts + MM_RPC_DETAILS_MAX};
    size_t count = 0;
    while (count < view->details_count) {
        char *key = copy_span(view->detail_keys[count]);
        char *value = copy_span(view->detail_values[count]);
        if (!key || !value) {
            mm_free(key);
            mm_free(value);
            break;
        }
        texts[count] = key;
        texts[MM_RPC_DETAILS_MAX + count++] = value;
    }
    result.details_count = count;
    deliver(slot, &result);
    for (size_t i = 0; i < count; i++) {
        mm_free(texts[i]);
        mm_free(texts[MM_RPC_DETAILS_MAX + i]);
    }
}

static bool try_again(struct mm_rpc_slot *slot)
{
    if (!slot->idempotent)
        return false;
    uint64_t wait_ns = MM_LOOP_MS(slot->backoff_ms);
    if (mm_clock_ns() + wait_ns >= slot->deadline_ns)
        return false;
    slot->state = SLOT_BACKOFF;
    mm_loop_timer_start(slot->client->loop, &slot->backoff, wait_ns, 0);
    if (slot->backoff_ms < BACKOFF_MAX_MS)
        slot->backoff_ms *= 2;
    return true;
}

static void handle_reply(struct mm_rpc_slot *slot, nng_msg *msg)
{
    struct mm_rpc_reply_view view;
    if (!mm_rpc_reply_read(nng_msg_body(msg), nng_msg_len(msg), &view)) {
        deliver_error(slot, MM_INTERNAL, "the answer is not a reply envelope");
    } else if (view.code != MM_OK) {
        if (view.code != MM_UNAVAILABLE || !try_again(slot))
            deliver_failure(slot, &view);
    } else {
        ProtobufCMessage *reply;
        enum mm_err err = mm_pb_unpack(slot->method->output, NULL, view.body.data, view.body.len,
                                       SIZE_MAX, &reply);
        if (err != MM_OK) {
            deliver_error(slot, MM_INTERNAL, "the answer's body cannot be understood");
        } else {
            struct mm_rpc_result result = {
                .code = MM_OK, .message = "", .reply = reply, .attempts = slot->attempts};
            deliver(slot, &result);
            protobuf_c_message_free_unpacked(reply, NULL);
        }
    }
    nng_msg_free(msg);
}

static void on_done(struct mm_loop *loop, void *arg)
{
    (void)loop;
    struct mm_rpc_slot *slot = arg;
    nng_msg *msg = slot->reply_msg;
    slot->reply_msg = NULL;
    if (slot->state == SLOT_CANCELLED) {
        if (msg)
            nng_msg_free(msg);
        free_slot(slot);
        return;
    }
    MM_CHECK(slot->state == SLOT_SENT);
    if (msg) {
        handle_reply(slot, msg);
        return;
    }
    if (slot->rv == NNG_ETIMEDOUT || mm_clock_ns() >= slot->deadline_ns) {
        deliver_timeout(slot);
        return;
    }
    if (try_again(slot))
        return;
    enum mm_err err = mm_nng_err(slot->rv);
    if (err == MM_CANCELLED) // by connection_lost below
        err = MM_UNAVAILABLE;
    deliver_error(slot, err, "the connection was lost");
}

// --- sending ----------------------------------------------------------------------------------

// One attempt. body_message is packed, or slot->body sent, when it is NULL.
static enum mm_err send_attempt(struct mm_rpc_slot *slot, const ProtobufCMessage *body_message)
{
    struct mm_rpc_client *client = slot->client;
    char method[MM_RPC_METHOD_LEN_MAX + 1], traceparent[MM_TRACEPARENT_CHARS + 1];
    snprintf(method, sizeof method, "%s/%s", slot->service->name, slot->method->name);
    mm_trace_format(&slot->trace, traceparent);
    nng_duration left_ms = time_left_ms(slot);

    Mmorts__Rpc__Caller caller = MMORTS__RPC__CALLER__INIT;
    caller.service = client->service;
    caller.instance = client->instance;
    caller.player_id = slot->player_id;
    caller.permissions = slot->permissions;
    Mmorts__Rpc__Request head = MMORTS__RPC__REQUEST__INIT;
    head.method = method;
    head.deadline_ms = left_ms > 0 ? (uint32_t)left_ms : 1;
    head.request_id = (ProtobufCBinaryData){MM_RPC_REQUEST_ID_LEN, slot->request_id.bytes};
    head.traceparent = traceparent;
    head.caller = &caller;
    struct mm_envelope envelope = {.head = &head.base,
                                   .body_field = 6,
                                   .body_message = body_message,
                                   .body = {slot->body, slot->body_len}};
    nng_msg *msg;
    enum mm_err err = mm_envelope_to_msg(&envelope, client->options.request_bytes_max, &msg);
    if (err != MM_OK)
        return err;
    slot->attempts++;
    slot->state = SLOT_SENT;
    nng_aio_set_msg(slot->send_aio, msg);
    nng_aio_set_timeout(slot->send_aio, left_ms);
    nng_ctx_send(slot->context, slot->send_aio);
    return MM_OK;
}

static void on_backoff(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop;
    (void)timer;
    struct mm_rpc_slot *slot = arg;
    enum mm_err err = send_attempt(slot, NULL);
    if (err != MM_OK)
        deliver_error(slot, err, "cannot send");
}

static struct mm_rpc_slot *take_slot(struct mm_rpc_client *client)
{
    struct mm_rpc_slot *slot = client->free_slots;
    if (!slot)
        return NULL;
    // Contexts are opened as they are first needed: most clients never use many.
    if (!slot->has_context) {
        if (nng_ctx_open(&slot->context, client->socket) != 0)
            return NULL;
        slot->has_context = true;
    }
    if (!slot->send_aio && nng_aio_alloc(&slot->send_aio, on_sent, slot) != 0)
        return NULL;
    if (!slot->receive_aio && nng_aio_alloc(&slot->receive_aio, on_received, slot) != 0)
        return NULL;
    client->free_slots = slot->next;
    slot->next = NULL;
    client->calls++;
    return slot;
}

static void fill_slot(struct mm_rpc_slot *slot, const struct mm_rpc_call_options *options)
{
    slot->started_ns = mm_clock_ns();
    slot->deadline_ms = options->deadline_ms;
    slot->deadline_ns = slot->started_ns + MM_LOOP_MS(options->deadline_ms);
    slot->attempts = 0;
    slot->backoff_ms = BACKOFF_MIN_MS;
    slot->idempotent = options->idempotent;
    slot->wait_for_connection = options->wait_for_connection;
    if (options->request_id)
        slot->request_id = *options->request_id;
    else
        mm_random_bytes(slot->request_id.bytes, sizeof slot->request_id.bytes);
    slot->trace = mm_trace_child(options->trace);
    slot->player_id = options->caller ? options->caller->player_id : 0;
    slot->permissions = options->caller ? options->caller->permissions : 0;
}

enum mm_err mm_rpc_call(struct mm_rpc_client *client, const ProtobufCServiceDescriptor *service,
                        const char *method, const ProtobufCMessage *request,
                        const struct mm_rpc_call_options *options, mm_rpc_callback_fn callback,
                        void *arg, mm_rpc_handle *handle_out)
{
    int index = mm_rpc_method_index(service, method);
    if (index < 0 || request->descriptor != service->methods[index].input ||
        strlen(service->name) + strlen(method) + 1 > MM_RPC_METHOD_LEN_MAX ||
        options->deadline_ms == 0 || options->deadline_ms > MM_RPC_DEADLINE_MS_MAX)
        return MM_INVALID_ARGUMENT;
    if (!options->wait_for_connection && !mm_rpc_client_connected(client))
        return MM_UNAVAILABLE;
    struct mm_rpc_slot *slot = take_slot(client);
    if (!slot)
        return MM_RESOURCE_EXHAUSTED;
    fill_slot(slot, options);
    slot->service = service;
    slot->method = &service->methods[index];
    slot->callback = callback;
    slot->arg = arg;
    slot->body = NULL;
    slot->body_len = 0;
    enum mm_err err = MM_OK;
    if (slot->idempotent)
        err = mm_pb_pack(request, client->options.request_bytes_max, &slot->body, &slot->body_len);
    if (err == MM_OK)
        err = send_attempt(slot, slot->idempotent ? NULL : request);
    if (err != MM_OK) {
        free_slot(slot);
        return err;
    }
    if (handle_out)
        *handle_out = ((uint64_t)slot->generation << 32) | ((uint32_t)(slot - client->slots) + 1);
    return MM_OK;
}

void mm_rpc_cancel(struct mm_rpc_client *client, mm_rpc_handle handle)
{
    uint32_t index = (uint32_t)handle - 1;
    if (index >= client->options.calls_max)
        return;
    struct mm_rpc_slot *slot = &client->slots[index];
    if (slot->generation != (uint32_t)(handle >> 32))
        return;
    if (slot->state == SLOT_BACKOFF) {
        mm_loop_timer_stop(client->loop, &slot->backoff);
        free_slot(slot);
    } else if (slot->state == SLOT_SENT) {
        slot->state = SLOT_CANCELLED;
        nng_aio_cancel(slot->send_aio);
        nng_aio_cancel(slot->receive_aio);
    }
}

// --- the slots --------------------------------------------------------------------------------

enum mm_err mm_rpc_slots_open(struct mm_rpc_client *client)
{
    client->slots = mm_calloc(client->options.calls_max, sizeof *client->slots);
    if (!client->slots)
        return MM_RESOURCE_EXHAUSTED;
    for (uint32_t i = client->options.calls_max; i-- > 0;) {
        struct mm_rpc_slot *slot = &client->slots[i];
        slot->client = client;
        slot->next = client->free_slots;
        client->free_slots = slot;
        mm_loop_task_init(&slot->done, on_done, slot);
        mm_loop_timer_init(&slot->backoff, on_backoff, slot);
    }
    return MM_OK;
}

void mm_rpc_slots_close(struct mm_rpc_client *client)
{
    for (uint32_t i = 0; i < client->options.calls_max; i++) {
        struct mm_rpc_slot *slot = &client->slots[i];
        // The send aio first: its callback may start the other one.
        if (slot->send_aio) {
            nng_aio_stop(slot->send_aio);
            nng_aio_free(slot->send_aio);
        }
        if (slot->receive_aio) {
            nng_aio_stop(slot->receive_aio);
            nng_aio_free(slot->receive_aio);
        }
        mm_loop_post_cancel(client->loop, &slot->done);
        if (slot->reply_msg)
            nng_msg_free(slot->reply_msg);
        mm_free(slot->body);
    }
    mm_free(client->slots);
}

// Requests that nng still holds would wait for the next connection: those told not to wait come
// back. Those already sent are ended by nng itself.
void mm_rpc_slots_disconnected(struct mm_rpc_client *client)
{
    for (uint32_t i = 0; i < client->options.calls_max; i++) {
        struct mm_rpc_slot *slot = &client->slots[i];
        if (slot->state == SLOT_SENT && !slot->wait_for_connection)
            nng_aio_cancel(slot->send_aio);
    }
}
