// The envelope readers against the generated code. Where both accept the bytes they see the same;
// and what the generated code packs is always accepted. (Ours is stricter: no field number 0.)

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gen/rpc.pb-c.h"
#include "gen/stream.pb-c.h"
#include "libcommon/base/check.h"
#include "libcommon/io/pb.h"
#include "libcommon/io/rpc_envelope.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same_bytes(struct mm_span span, ProtobufCBinaryData bytes)
{
    MM_CHECK(span.len == bytes.len);
    MM_CHECK(span.len == 0 || memcmp(span.data, bytes.data, span.len) == 0);
}

// A generated string ends at its first NUL.
static void same_text(struct mm_span span, const char *text)
{
    size_t len = strlen(text);
    MM_CHECK(span.len >= len && (len == 0 || memcmp(span.data, text, len) == 0));
    MM_CHECK(span.len == len || span.data[len] == '\0');
}

static bool check_request(const uint8_t *data, size_t size, const Mmorts__Rpc__Request *request)
{
    struct mm_rpc_request_view view;
    if (!mm_rpc_request_read(data, size, &view))
        return false;
    same_text(view.method, request->method);
    MM_CHECK(view.deadline_ms == request->deadline_ms);
    same_bytes(view.request_id, request->request_id);
    same_text(view.traceparent, request->traceparent);
    same_bytes(view.body, request->body);
    return true;
}

static bool check_reply(const uint8_t *data, size_t size, const Mmorts__Rpc__Reply *reply)
{
    struct mm_rpc_reply_view view;
    if (!mm_rpc_reply_read(data, size, &view))
        return false;
    MM_CHECK(view.code == (uint32_t)reply->code);
    same_text(view.message, reply->message);
    same_bytes(view.body, reply->body);
    MM_CHECK(view.details_count ==
             (reply->n_details < MM_RPC_DETAILS_MAX ? reply->n_details : MM_RPC_DETAILS_MAX));
    for (size_t i = 0; i < view.details_count; i++) {
        same_text(view.detail_keys[i], reply->details[i]->key);
        same_text(view.detail_values[i], reply->details[i]->value);
    }
    return true;
}

static bool check_message(const uint8_t *data, size_t size,
                          const Mmorts__Stream__StreamMessage *message)
{
    struct mm_stream_message_view view;
    if (!mm_stream_message_read(data, size, &view))
        return false;
    same_text(view.stream, message->stream);
    same_text(view.session, message->session);
    MM_CHECK(view.epoch == message->epoch && view.seq == message->seq);
    MM_CHECK(view.tick == message->tick);
    same_bytes(view.body, message->body);
    return true;
}

// Whether nothing unknown is kept, which would be packed again as it came.
static bool known_request(const Mmorts__Rpc__Request *request)
{
    return request->base.n_unknown_fields == 0 &&
           (!request->caller || request->caller->base.n_unknown_fields == 0);
}

static bool known_reply(const Mmorts__Rpc__Reply *reply)
{
    for (size_t i = 0; i < reply->n_details; i++)
        if (reply->details[i]->base.n_unknown_fields > 0)
            return false;
    return reply->base.n_unknown_fields == 0;
}

static bool known_message(const Mmorts__Stream__StreamMessage *message)
{
    return message->base.n_unknown_fields == 0;
}

// What the writer makes of a head and a body is what the generated code would have packed.
static void check_writer(Mmorts__Rpc__Request *request)
{
    ProtobufCBinaryData body = request->body;
    nng_msg *msg;
    request->body = (ProtobufCBinaryData){0};
    struct mm_envelope envelope = {
        .head = &request->base, .body_field = 6, .body = {body.data, body.len}};
    MM_CHECK(mm_envelope_to_msg(&envelope, 1 << 24, &msg) == MM_OK);
    struct mm_rpc_request_view view;
    MM_CHECK(mm_rpc_request_read(nng_msg_body(msg), nng_msg_len(msg), &view));
    same_text(view.method, request->method);
    same_bytes(view.body, body);
    size_t len = nng_msg_len(msg);
    nng_msg_free(msg);
    if (len > 0)
        MM_CHECK(mm_envelope_to_msg(&envelope, len - 1, &msg) == MM_RESOURCE_EXHAUSTED);
    request->body = body;
}

static void check_request_writer(const uint8_t *data, size_t size)
{
    Mmorts__Rpc__Request *request = (Mmorts__Rpc__Request *)protobuf_c_message_unpack(
        &mmorts__rpc__request__descriptor, NULL, size, data);
    if (request && known_request(request))
        check_writer(request);
    if (request)
        protobuf_c_message_free_unpacked(&request->base, NULL);
}

// Unpacks with the generated code, then checks the bytes given and the bytes it packs.
#define CHECK_WITH(what, type, descriptor)                                                         \
    do {                                                                                           \
        type *message = (type *)protobuf_c_message_unpack(&descriptor, NULL, size, data);          \
        uint8_t *packed;                                                                           \
        size_t len;                                                                                \
        if (!message)                                                                              \
            break;                                                                                 \
        (void)check_##what(data, size, message);                                                   \
        if (known_##what(message)) {                                                               \
            MM_CHECK(mm_pb_pack(&message->base, 1 << 24, &packed, &len) == MM_OK);                 \
            MM_CHECK(check_##what(packed, len, message));                                          \
            free(packed);                                                                          \
        }                                                                                          \
        protobuf_c_message_free_unpacked(&message->base, NULL);                                    \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CHECK_WITH(request, Mmorts__Rpc__Request, mmorts__rpc__request__descriptor);
    check_request_writer(data, size);
    CHECK_WITH(reply, Mmorts__Rpc__Reply, mmorts__rpc__reply__descriptor);
    CHECK_WITH(message, Mmorts__Stream__StreamMessage, mmorts__stream__stream_message__descriptor);
    return 0;
}
