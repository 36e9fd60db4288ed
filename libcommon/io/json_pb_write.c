#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/base/buf_json.h"
#include "libcommon/io/json_pb_internal.h"

static const void *member(const ProtobufCMessage *message, unsigned offset)
{
    return (const uint8_t *)message + offset;
}

// "move_orders" -> "moveOrders", as protoc derives json_name.
void mm_json_field_name(const char *proto_name, char *out, size_t out_bytes)
{
    size_t len = 0;
    bool upper = false;
    for (const char *at = proto_name; *at && len + 1 < out_bytes; at++) {
        if (*at == '_') {
            upper = true;
            continue;
        }
        out[len++] = upper && *at >= 'a' && *at <= 'z' ? (char)(*at - 'a' + 'A') : *at;
        upper = false;
    }
    out[len] = '\0';
}

bool mm_json_is_map(const ProtobufCMessageDescriptor *message,
                    const ProtobufCFieldDescriptor *field)
{
    if (field->type != PROTOBUF_C_TYPE_MESSAGE || field->label != PROTOBUF_C_LABEL_REPEATED)
        return false;
    const ProtobufCMessageDescriptor *entry = field->descriptor;
    if (entry->n_fields != 2 || strcmp(entry->fields[0].name, "key") != 0 ||
        strcmp(entry->fields[1].name, "value") != 0)
        return false;
    // protoc's name: the field's in CamelCase and "Entry", nested in the message.
    char camel[128], full[512];
    mm_json_field_name(field->name, camel, sizeof camel);
    if (camel[0] >= 'a' && camel[0] <= 'z')
        camel[0] = (char)(camel[0] - 'a' + 'A');
    snprintf(full, sizeof full, "%s.%sEntry", message->name, camel);
    return strcmp(full, entry->name) == 0;
}

size_t mm_json_value_size(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    default:
        return 4;
    }
}

// --- values -------------------------------------------------------------------------------------

static void write_base64(struct mm_buf *out, const uint8_t *data, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    mm_buf_byte(out, '"');
    if (!mm_buf_reserve(out, (len + 2) / 3 * 4))
        return;
    uint8_t *at = out->data + out->len;
    for (size_t i = 0; i < len; i += 3) {
        unsigned left = len - i < 3 ? (unsigned)(len - i) : 3;
        uint32_t bits = (uint32_t)data[i] << 16;
        if (left > 1)
            bits |= (uint32_t)data[i + 1] << 8;
        if (left > 2)
            bits |= data[i + 2];
        *at++ = (uint8_t)digits[bits >> 18];
        *at++ = (uint8_t)digits[bits >> 12 & 63];
        *at++ = left > 1 ? (uint8_t)digits[bits >> 6 & 63] : '=';
        *at++ = left > 2 ? (uint8_t)digits[bits & 63] : '=';
    }
    out->len = (size_t)(at - out->data);
    mm_buf_byte(out, '"');
}

// True if it was one of the values JSON has no number for.
static bool write_not_finite(struct mm_buf *out, double value)
{
    if (isnan(value))
        MM_BUF_LIT(out, "\"NaN\"");
    else if (isinf(value))
        mm_buf_str(out, value > 0 ? "\"Infinity\"" : "\"-Infinity\"");
    else
        return false;
    return true;
}

// Its sign would be lost in "-0", which is read as an integer.
static bool write_negative_zero(struct mm_buf *out, double value)
{
    if (value != 0 || !signbit(value))
        return false;
    MM_BUF_LIT(out, "-0.0");
    return true;
}

static void write_float(struct mm_buf *out, float value)
{
    if (write_not_finite(out, (double)value))
        return;
    char text[32];
    if (write_negative_zero(out, (double)value))
        return;
    for (int digits = 6; digits <= 9; digits++) { // the fewest that read back the same
        snprintf(text, sizeof text, "%.*g", digits, (double)value);
        double back = strtod(text, NULL); // as the reader does: a double first
        if (fabs(back) < 0x1.ffffffp127 && (float)back == value)
            break;
    }
    mm_buf_str(out, text);
}

static void write_enum(struct mm_buf *out, const ProtobufCEnumDescriptor *type, int32_t value)
{
    const ProtobufCEnumValue *known = protobuf_c_enum_descriptor_get_value(type, value);
    if (known)
        mm_buf_json_cstr(out, known->name);
    else
        mm_buf_dec_i64(out, value);
}

struct writer {
    struct mm_buf *out;
    bool with_defaults;
    unsigned depth;
};

static void write_message(struct writer *writer, const ProtobufCMessage *message);

static void write_value(struct writer *writer, const ProtobufCFieldDescriptor *field,
                        const void *value)
{
    struct mm_buf *out = writer->out;
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        mm_buf_dec_i64(out, *(const int32_t *)value);
        break;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        mm_buf_dec_u64(out, *(const uint32_t *)value);
        break;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        mm_buf_byte(out, '"');
        mm_buf_dec_i64(out, *(const int64_t *)value);
        mm_buf_byte(out, '"');
        break;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        mm_buf_byte(out, '"');
        mm_buf_dec_u64(out, *(const uint64_t *)value);
        mm_buf_byte(out, '"');
        break;
    case PROTOBUF_C_TYPE_FLOAT:
        write_float(out, *(const float *)value);
        break;
    case PROTOBUF_C_TYPE_DOUBLE:
        if (!write_not_finite(out, *(const double *)value) &&
            !write_negative_zero(out, *(const double *)value))
            mm_buf_json_double(out, *(const double *)value);
        break;
    case PROTOBUF_C_TYPE_BOOL:
        mm_buf_json_bool(out, *(const protobuf_c_boolean *)value != 0);
        break;
    case PROTOBUF_C_TYPE_ENUM:
        write_enum(out, field->descriptor, *(const int32_t *)value);
        break;
    case PROTOBUF_C_TYPE_STRING: {
        const char *text = *(const char *const *)value;
        mm_buf_json_cstr(out, text ? text : "");
        break;
    }
    case PROTOBUF_C_TYPE_BYTES: {
        const ProtobufCBinaryData *bytes = value;
        write_base64(out, bytes->data, bytes->len);
        break;
    }
    case PROTOBUF_C_TYPE_MESSAGE:
        write_message(writer, *(const ProtobufCMessage *const *)value);
        break;
    }
}

// --- fields -------------------------------------------------------------------------------------

static bool is_default(const ProtobufCFieldDescriptor *field, const void *value)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING: {
        const char *text = *(const char *const *)value;
        return text == NULL || text[0] == '\0';
    }
    case PROTOBUF_C_TYPE_BYTES:
        return ((const ProtobufCBinaryData *)value)->len == 0;
    case PROTOBUF_C_TYPE_MESSAGE:
        return *(const void *const *)value == NULL;
    default: {
        // By bits, so that a negative zero is written.
        static const uint8_t zero[8];
        return memcmp(value, zero, mm_json_value_size(field->type)) == 0;
    }
    }
}

static void write_map(struct writer *writer, const ProtobufCFieldDescriptor *field,
                      const ProtobufCMessage *const *entries, size_t count)
{
    struct mm_buf *out = writer->out;
    const ProtobufCMessageDescriptor *entry = field->descriptor;
    mm_buf_byte(out, '{');
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            mm_buf_byte(out, ',');
        const void *key = member(entries[i], entry->fields[0].offset);
        ProtobufCType type = entry->fields[0].type;
        // Keys are strings; 64-bit numbers are written as such anyway.
        bool quote = type != PROTOBUF_C_TYPE_STRING &&
                     (mm_json_value_size(type) != 8 || type == PROTOBUF_C_TYPE_DOUBLE);
        if (quote)
            mm_buf_byte(out, '"');
        write_value(writer, &entry->fields[0], key);
        if (quote)
            mm_buf_byte(out, '"');
        mm_buf_byte(out, ':');
        const ProtobufCFieldDescriptor *value_field = &entry->fields[1];
        const void *value = member(entries[i], value_field->offset);
        if (value_field->type == PROTOBUF_C_TYPE_MESSAGE && is_default(value_field, value))
            MM_BUF_LIT(out, "{}");
        else
            write_value(writer, value_field, value);
    }
    mm_buf_byte(out, '}');
}

static void write_repeated(struct writer *writer, const ProtobufCFieldDescriptor *field,
                           const uint8_t *values, size_t count)
{
    size_t size = mm_json_value_size(field->type);
    mm_buf_byte(writer->out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            mm_buf_byte(writer->out, ',');
        write_value(writer, field, values + i * size);
    }
    mm_buf_byte(writer->out, ']');
}

static bool is_written(const struct writer *writer, const ProtobufCMessage *message,
                       const ProtobufCFieldDescriptor *field)
{
    const void *value = member(message, field->offset);
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return writer->with_defaults || *(const size_t *)member(message, field->quantifier_offset);
    if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
        return *(const uint32_t *)member(message, field->quantifier_offset) == field->id &&
               !(field->type == PROTOBUF_C_TYPE_MESSAGE && is_default(field, value));
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        return !is_default(field, value);
    return writer->with_defaults || !is_default(field, value);
}

static void write_message(struct writer *writer, const ProtobufCMessage *message)
{
    struct mm_buf *out = writer->out;
    const ProtobufCMessageDescriptor *descriptor = message->descriptor;
    if (writer->depth == MM_JSON_DEPTH_MAX) {
        if (out->err == MM_OK)
            out->err = MM_INVALID_ARGUMENT;
        return;
    }
    writer->depth++;
    mm_buf_byte(out, '{');
    bool first = true;
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
        if (!is_written(writer, message, field))
            continue;
        char name[128];
        mm_json_field_name(field->name, name, sizeof name);
        mm_buf_str(out, first ? "\"" : ",\"");
        mm_buf_str(out, name);
        MM_BUF_LIT(out, "\":");
        first = false;
        const void *value = member(message, field->offset);
        if (field->label != PROTOBUF_C_LABEL_REPEATED) {
            write_value(writer, field, value);
            continue;
        }
        size_t count = *(const size_t *)member(message, field->quantifier_offset);
        if (mm_json_is_map(descriptor, field))
            write_map(writer, field, *(const ProtobufCMessage *const *const *)value, count);
        else
            write_repeated(writer, field, *(const uint8_t *const *)value, count);
    }
    mm_buf_byte(out, '}');
    writer->depth--;
}

enum mm_err mm_json_from_pb(const ProtobufCMessage *message,
                            const struct mm_json_write_options *options, struct mm_buf *out)
{
    struct writer writer = {.out = out, .with_defaults = options && options->with_defaults};
    write_message(&writer, message);
    return out->err;
}
