#include "libcommon/io/rpc_envelope.h"

#include <string.h>

#include "libcommon/base/check.h"
#include "libcommon/base/varint.h"

// Wire format: https://protobuf.dev/programming-guides/encoding/

enum wire { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

struct field {
    uint32_t number;
    enum wire wire;
    uint64_t value;      // varint, 64 or 32 bits
    struct mm_span span; // bytes
};

// Bytes read, 0 when the input ends early or after ten. Bits beyond the 64th are dropped, as every
// protobuf decoder does (mm_varint_read would refuse them).
static size_t read_varint(const uint8_t *data, size_t len, uint64_t *out)
{
    uint64_t value = 0;
    for (size_t i = 0; i < len && i < MM_VARINT_BYTES_MAX; i++) {
        value |= (uint64_t)(data[i] & 0x7f) << (7 * i);
        if (!(data[i] & 0x80)) {
            *out = value;
            return i + 1;
        }
    }
    return 0;
}

// Reads the next field of *at; false when it is malformed.
static bool next_field(struct mm_span *at, struct field *out)
{
    uint64_t tag;
    size_t used = read_varint(at->data, at->len, &tag);
    if (used == 0 || tag > UINT32_MAX || tag >> 3 == 0)
        return false;
    const uint8_t *data = at->data + used;
    size_t left = at->len - used;
    *out = (struct field){.number = (uint32_t)(tag >> 3), .wire = (enum wire)(tag & 7)};
    switch (out->wire) {
    case WIRE_VARINT:
        used = read_varint(data, left, &out->value);
        if (used == 0)
            return false;
        break;
    case WIRE_64:
        if (left < 8)
            return false;
        for (unsigned i = 0; i < 8; i++)
            out->value |= (uint64_t)data[i] << (8 * i);
        used = 8;
        break;
    case WIRE_32:
        if (left < 4)
            return false;
        for (unsigned i = 0; i < 4; i++)
            out->value |= (uint64_t)data[i] << (8 * i);
        used = 4;
        break;
    case WIRE_BYTES: {
        uint64_t len;
        used = read_varint(data, left, &len);
        if (used == 0 || len > left - used)
            return false;
        out->span = (struct mm_span){data + used, (size_t)len};
        used += (size_t)len;
        break;
    }
    default: // groups do not exist in proto3
        return false;
    }
    at->data = data + used;
    at->len = left - used;
    return true;
}

static bool read_caller(struct mm_span at, struct mm_rpc_request_view *out)
{
    struct field field;
    while (at.len > 0) {
        if (!next_field(&at, &field))
            return false;
        if (field.number < 1 || field.number > 4)
            continue;
        if (field.wire != (field.number <= 2 ? WIRE_BYTES : WIRE_64))
            return false;
        switch (field.number) {
        case 1:
            out->service = field.span;
            break;
        case 2:
            out->instance = field.span;
            break;
        case 3:
            out->player_id = field.value;
            break;
        default:
            out->permissions = field.value;
            break;
        }
    }
    return true;
}

bool mm_rpc_request_read(const void *bytes, size_t len, struct mm_rpc_request_view *out)
{
    *out = (struct mm_rpc_request_view){0};
    struct mm_span at = {bytes, len};
    struct field field;
    while (at.len > 0) {
        if (!next_field(&at, &field))
            return false;
        if (field.number < 1 || field.number > 6)
            continue;
        if (field.wire != (field.number == 2 ? WIRE_VARINT : WIRE_BYTES))
            return false;
        switch (field.number) {
        case 1:
            out->method = field.span;
            break;
        case 2:
            out->deadline_ms = (uint32_t)field.value;
            break;
        case 3:
            out->request_id = field.span;
            break;
        case 4:
            out->traceparent = field.span;
            break;
        case 5:
            if (!read_caller(field.span, out))
                return false;
            break;
        default:
            out->body = field.span;
            break;
        }
    }
    return true;
}

static bool read_detail(struct mm_span at, struct mm_span *key, struct mm_span *value)
{
    struct field field;
    while (at.len > 0) {
        if (!next_field(&at, &field))
            return false;
        if (field.number != 1 && field.number != 2)
            continue;
        if (field.wire != WIRE_BYTES)
            return false;
        *(field.number == 1 ? key : value) = field.span;
    }
    return true;
}

bool mm_rpc_reply_read(const void *bytes, size_t len, struct mm_rpc_reply_view *out)
{
    *out = (struct mm_rpc_reply_view){0};
    struct mm_span at = {bytes, len};
    struct field field;
    while (at.len > 0) {
        if (!next_field(&at, &field))
            return false;
        if (field.number < 1 || field.number > 4)
            continue;
        if (field.wire != (field.number == 1 ? WIRE_VARINT : WIRE_BYTES))
            return false;
        struct mm_span key = {0}, value = {0};
        switch (field.number) {
        case 1:
            out->code = (uint32_t)field.value;
            break;
        case 2:
            out->message = field.span;
            break;
        case 3:
            if (!read_detail(field.span, &key, &value))
                return false;
            if (out->details_count < MM_RPC_DETAILS_MAX) {
                out->detail_keys[out->details_count] = key;
                out->detail_values[out->details_count++] = value;
            }
            break;
        default:
            out->body = field.span;
            break;
        }
    }
    return true;
}

bool mm_stream_message_read(const void *bytes, size_t len, struct mm_stream_message_view *out)
{
    *out = (struct mm_stream_message_view){0};
    struct mm_span at = {bytes, len};
    struct field field;
    while (at.len > 0) {
        if (!next_field(&at, &field))
            return false;
        if (field.number < 1 || field.number > 6)
            continue;
        bool number = field.number >= 3 && field.number <= 5;
        if (field.wire != (number ? WIRE_64 : WIRE_BYTES))
            return false;
        switch (field.number) {
        case 1:
            out->stream = field.span;
            break;
        case 2:
            out->session = field.span;
            break;
        case 3:
            out->epoch = field.value;
            break;
        case 4:
            out->seq = field.value;
            break;
        case 5:
            out->tick = field.value;
            break;
        default:
            out->body = field.span;
            break;
        }
    }
    return true;
}

static size_t varint_len(uint64_t value)
{
    size_t len = 1;
    while (value >>= 7)
        len++;
    return len;
}

void mm_envelope_measure(struct mm_envelope *envelope)
{
    envelope->head_len = protobuf_c_message_get_packed_size(envelope->head);
    envelope->body_len = envelope->body_message
                             ? protobuf_c_message_get_packed_size(envelope->body_message)
                             : envelope->body.len;
    envelope->len = envelope->head_len;
    if (envelope->body_len > 0) // proto3 leaves empty fields out
        envelope->len += 1 + varint_len(envelope->body_len) + envelope->body_len;
}

void mm_envelope_write(const struct mm_envelope *envelope, uint8_t *out)
{
    MM_CHECK(envelope->body_field < 16);
    uint8_t *at = out + protobuf_c_message_pack(envelope->head, out);
    if (envelope->body_len > 0) {
        *at++ = (uint8_t)(envelope->body_field << 3 | WIRE_BYTES);
        at += mm_varint_write(at, envelope->body_len);
        if (envelope->body_message)
            at += protobuf_c_message_pack(envelope->body_message, at);
        else {
            memcpy(at, envelope->body.data, envelope->body.len);
            at += envelope->body.len;
        }
    }
    MM_CHECK(at == out + envelope->len);
}

enum mm_err mm_envelope_to_msg(struct mm_envelope *envelope, size_t bytes_max, nng_msg **out)
{
    *out = NULL;
    mm_envelope_measure(envelope);
    if (envelope->len > bytes_max || nng_msg_alloc(out, envelope->len) != 0)
        return MM_RESOURCE_EXHAUSTED;
    mm_envelope_write(envelope, nng_msg_body(*out));
    return MM_OK;
}
