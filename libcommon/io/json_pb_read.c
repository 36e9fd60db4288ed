#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/base/str.h"
#include "libcommon/io/json_pb_internal.h"

// Messages are built with malloc, as protobuf-c's own allocator does, so that they are freed alike.

enum { PATH_BYTES = 192, FIELDS_MAX = 256 };

struct reader {
    bool ignore_unknown;
    unsigned depth;
    char path[PATH_BYTES]; // where we are: "unit.hexes[3].q"
    size_t path_len;
    char *problem;
    size_t problem_bytes;
};

static MM_PRINTF(2, 3) enum mm_err fail(struct reader *reader, const char *format, ...)
{
    if (reader->problem && reader->problem_bytes > 0) {
        char what[160];
        va_list args;
        va_start(args, format);
        vsnprintf(what, sizeof what, format, args);
        va_end(args);
        snprintf(reader->problem, reader->problem_bytes, "%s%s%s", reader->path,
                 reader->path_len ? ": " : "", what);
    }
    return MM_INVALID_ARGUMENT;
}

// Returns the length to go back to. A path that grows too long is cut.
static MM_PRINTF(2, 3) size_t enter(struct reader *reader, const char *format, ...)
{
    size_t before = reader->path_len;
    va_list args;
    va_start(args, format);
    int len = vsnprintf(reader->path + before, PATH_BYTES - before, format, args);
    va_end(args);
    if (len > 0)
        reader->path_len =
            before + (size_t)len < PATH_BYTES ? before + (size_t)len : PATH_BYTES - 1;
    return before;
}

static void leave(struct reader *reader, size_t before)
{
    reader->path_len = before;
    reader->path[before] = '\0';
}

// --- numbers ------------------------------------------------------------------------------------

static enum mm_err read_signed(struct reader *reader, const json_t *json, int64_t min, int64_t max,
                               int64_t *out)
{
    bool ok = false;
    if (json_is_integer(json)) {
        *out = json_integer_value(json);
        ok = *out >= min && *out <= max;
    } else if (json_is_string(json)) {
        ok = mm_str_parse_i64(json_string_value(json), json_string_length(json), min, max, out) ==
             MM_OK;
    } else if (json_is_real(json)) { // 1e3 and 5.0 are integers; 2^53 is where doubles stop to be
        double value = json_real_value(json);
        ok = value == floor(value) && fabs(value) <= 9007199254740992.0 && value >= (double)min &&
             value <= (double)max;
        if (ok)
            *out = (int64_t)value;
    }
    return ok ? MM_OK : fail(reader, "not a%s integer", max == INT32_MAX ? " 32-bit" : " 64-bit");
}

static enum mm_err read_unsigned(struct reader *reader, const json_t *json, uint64_t max,
                                 uint64_t *out)
{
    if (json_is_string(json)) {
        if (mm_str_parse_u64(json_string_value(json), json_string_length(json), 0, max, out) ==
            MM_OK)
            return MM_OK;
    } else {
        int64_t value = 0;
        int64_t signed_max = max > INT64_MAX ? INT64_MAX : (int64_t)max;
        struct reader quiet = {.problem = NULL};
        if (read_signed(&quiet, json, 0, signed_max, &value) == MM_OK) {
            *out = (uint64_t)value;
            return MM_OK;
        }
    }
    return fail(reader, "not an unsigned %s integer", max == UINT32_MAX ? "32-bit" : "64-bit");
}

static enum mm_err read_double(struct reader *reader, const json_t *json, double *out)
{
    if (json_is_number(json)) {
        *out = json_number_value(json);
        return MM_OK;
    }
    if (json_is_string(json)) {
        const char *text = json_string_value(json);
        if (strcmp(text, "NaN") == 0)
            *out = (double)NAN;
        else if (strcmp(text, "Infinity") == 0)
            *out = (double)INFINITY;
        else if (strcmp(text, "-Infinity") == 0)
            *out = -(double)INFINITY;
        else if (mm_str_parse_double(text, json_string_length(json), -HUGE_VAL, HUGE_VAL, out) !=
                 MM_OK)
            return fail(reader, "not a number");
        return MM_OK;
    }
    return fail(reader, "not a number");
}

static enum mm_err read_enum(struct reader *reader, const json_t *json,
                             const ProtobufCEnumDescriptor *type, int32_t *out)
{
    if (json_is_string(json)) {
        const ProtobufCEnumValue *value =
            protobuf_c_enum_descriptor_get_value_by_name(type, json_string_value(json));
        if (!value)
            return fail(reader, "no such %s", type->short_name);
        *out = value->value;
        return MM_OK;
    }
    int64_t number = 0;
    struct reader quiet = {.problem = NULL};
    if (!json_is_number(json) || read_signed(&quiet, json, INT32_MIN, INT32_MAX, &number) != MM_OK)
        return fail(reader, "not a %s", type->short_name);
    *out = (int32_t)number;
    return MM_OK;
}

// --- strings and bytes --------------------------------------------------------------------------

static enum mm_err read_string(struct reader *reader, const json_t *json, char **out)
{
    if (!json_is_string(json))
        return fail(reader, "not a string");
    char *copy = malloc(json_string_length(json) + 1);
    if (!copy)
        return MM_RESOURCE_EXHAUSTED;
    memcpy(copy, json_string_value(json), json_string_length(json) + 1);
    *out = copy;
    return MM_OK;
}

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

// Standard or URL-safe, padded or not (RFC 4648); bits left over must be zero.
static enum mm_err read_bytes(struct reader *reader, const json_t *json, ProtobufCBinaryData *out)
{
    if (!json_is_string(json))
        return fail(reader, "not a base64 string");
    const char *text = json_string_value(json);
    size_t len = json_string_length(json);
    size_t padding = 0;
    while (padding < 2 && len > 0 && text[len - 1] == '=') {
        padding++;
        len--;
    }
    if (len % 4 == 1 || (padding > 0 && (len + padding) % 4 != 0))
        return fail(reader, "not a base64 string");
    if (len == 0)
        return MM_OK;
    uint8_t *bytes = malloc(len / 4 * 3 + 3);
    if (!bytes)
        return MM_RESOURCE_EXHAUSTED;
    size_t count = 0;
    uint32_t bits = 0;
    unsigned held = 0;
    for (size_t i = 0; i < len; i++) {
        int digit = base64_digit(text[i]);
        if (digit < 0) {
            free(bytes);
            return fail(reader, "not a base64 string");
        }
        bits = (bits << 6 | (uint32_t)digit) & 0xffffff;
        held += 6;
        if (held >= 8) {
            held -= 8;
            bytes[count++] = (uint8_t)(bits >> held);
        }
    }
    if (bits & ((1u << held) - 1)) {
        free(bytes);
        return fail(reader, "not a base64 string");
    }
    *out = (ProtobufCBinaryData){count, bytes};
    return MM_OK;
}

// --- values -------------------------------------------------------------------------------------

static enum mm_err read_message(struct reader *reader, const ProtobufCMessageDescriptor *type,
                                json_t *json, ProtobufCMessage **out);

static enum mm_err read_number(struct reader *reader, const ProtobufCFieldDescriptor *field,
                               const json_t *json, void *out)
{
    int64_t s = 0;
    uint64_t u = 0;
    double d = 0;
    enum mm_err err;
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        err = read_signed(reader, json, INT32_MIN, INT32_MAX, &s);
        *(int32_t *)out = (int32_t)s;
        return err;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        err = read_signed(reader, json, INT64_MIN, INT64_MAX, &s);
        *(int64_t *)out = s;
        return err;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        err = read_unsigned(reader, json, UINT32_MAX, &u);
        *(uint32_t *)out = (uint32_t)u;
        return err;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        err = read_unsigned(reader, json, UINT64_MAX, &u);
        *(uint64_t *)out = u;
        return err;
    case PROTOBUF_C_TYPE_FLOAT:
        err = read_double(reader, json, &d);
        // The conversion rounds to the nearest, so the largest float may be written a little larger
        // than it is; from halfway to what would follow it, the conversion would be undefined.
        if (err == MM_OK && isfinite(d) && fabs(d) >= 0x1.ffffffp127)
            return fail(reader, "out of a float's range");
        *(float *)out = (float)d;
        return err;
    default:
        return read_double(reader, json, out);
    }
}

static enum mm_err read_value(struct reader *reader, const ProtobufCFieldDescriptor *field,
                              json_t *json, void *out)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_BOOL:
        if (!json_is_boolean(json))
            return fail(reader, "not true or false");
        *(protobuf_c_boolean *)out = json_is_true(json);
        return MM_OK;
    case PROTOBUF_C_TYPE_ENUM:
        return read_enum(reader, json, field->descriptor, out);
    case PROTOBUF_C_TYPE_STRING:
        return read_string(reader, json, out);
    case PROTOBUF_C_TYPE_BYTES:
        return read_bytes(reader, json, out);
    case PROTOBUF_C_TYPE_MESSAGE:
        return read_message(reader, field->descriptor, json, out);
    default:
        return read_number(reader, field, json, out);
    }
}

// A map's key comes as a string whatever its type.
static enum mm_err read_key(struct reader *reader, const ProtobufCFieldDescriptor *field,
                            const char *key, void *out)
{
    if (field->type == PROTOBUF_C_TYPE_BOOL) {
        bool yes = strcmp(key, "true") == 0;
        if (!yes && strcmp(key, "false") != 0)
            return fail(reader, "not true or false");
        *(protobuf_c_boolean *)out = yes;
        return MM_OK;
    }
    json_t *text = json_string(key);
    if (!text)
        return fail(reader, "not a key");
    enum mm_err err = read_value(reader, field, text, out);
    json_decref(text);
    return err;
}

static ProtobufCMessage *new_message(const ProtobufCMessageDescriptor *type)
{
    ProtobufCMessage *message = malloc(type->sizeof_message);
    if (message)
        type->message_init(message);
    return message;
}

static void *member(ProtobufCMessage *message, unsigned offset)
{
    return (uint8_t *)message + offset;
}

// --- fields -------------------------------------------------------------------------------------

static enum mm_err read_map(struct reader *reader, const ProtobufCFieldDescriptor *field,
                            json_t *json, ProtobufCMessage *message)
{
    if (!json_is_object(json))
        return fail(reader, "not an object");
    size_t *count = member(message, field->quantifier_offset);
    const ProtobufCMessageDescriptor *type = field->descriptor;
    ProtobufCMessage **entries = calloc(json_object_size(json) + 1, sizeof(void *));
    if (!entries)
        return MM_RESOURCE_EXHAUSTED;
    *(ProtobufCMessage ***)member(message, field->offset) = entries;
    const char *key;
    json_t *value;
    json_object_foreach(json, key, value)
    {
        size_t before = enter(reader, "[\"%.40s\"]", key);
        ProtobufCMessage *entry = new_message(type);
        if (!entry)
            return MM_RESOURCE_EXHAUSTED;
        entries[(*count)++] = entry;
        enum mm_err err =
            read_key(reader, &type->fields[0], key, member(entry, type->fields[0].offset));
        if (err == MM_OK)
            err =
                read_value(reader, &type->fields[1], value, member(entry, type->fields[1].offset));
        if (err != MM_OK)
            return err;
        leave(reader, before);
    }
    return MM_OK;
}

static enum mm_err read_repeated(struct reader *reader, const ProtobufCFieldDescriptor *field,
                                 json_t *json, ProtobufCMessage *message)
{
    if (!json_is_array(json))
        return fail(reader, "not an array");
    if (json_array_size(json) == 0)
        return MM_OK;
    size_t *count = member(message, field->quantifier_offset);
    size_t size = mm_json_value_size(field->type);
    uint8_t *values = calloc(json_array_size(json), size);
    if (!values)
        return MM_RESOURCE_EXHAUSTED;
    *(uint8_t **)member(message, field->offset) = values;
    size_t index;
    json_t *element;
    json_array_foreach(json, index, element)
    {
        size_t before = enter(reader, "[%zu]", index);
        enum mm_err err = read_value(reader, field, element, values + index * size);
        if (err != MM_OK)
            return err; // element index was not made: count stays below it
        *count = index + 1;
        leave(reader, before);
    }
    return MM_OK;
}

static enum mm_err read_field(struct reader *reader, const ProtobufCMessageDescriptor *type,
                              const ProtobufCFieldDescriptor *field, json_t *json,
                              ProtobufCMessage *message)
{
    if (json_is_null(json))
        return MM_OK;
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return mm_json_is_map(type, field) ? read_map(reader, field, json, message)
                                           : read_repeated(reader, field, json, message);
    if (!(field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF))
        return read_value(reader, field, json, member(message, field->offset));
    // The members of a oneof share their memory: the case is set once the value is whole.
    uint32_t *chosen = member(message, field->quantifier_offset);
    if (*chosen != 0)
        return fail(reader, "another choice is given already");
    uint64_t value[2] = {0};
    enum mm_err err = read_value(reader, field, json, value);
    if (err != MM_OK)
        return err;
    memcpy(member(message, field->offset), value, mm_json_value_size(field->type));
    *chosen = field->id;
    return MM_OK;
}

static int find_field(const ProtobufCMessageDescriptor *type, const char *key)
{
    for (unsigned i = 0; i < type->n_fields; i++) {
        char name[128];
        if (strcmp(type->fields[i].name, key) == 0)
            return (int)i;
        mm_json_field_name(type->fields[i].name, name, sizeof name);
        if (strcmp(name, key) == 0)
            return (int)i;
    }
    return -1;
}

static enum mm_err read_fields(struct reader *reader, const ProtobufCMessageDescriptor *type,
                               json_t *json, ProtobufCMessage *message)
{
    bool seen[FIELDS_MAX] = {false};
    const char *key;
    json_t *value;
    json_object_foreach(json, key, value)
    {
        size_t before = enter(reader, "%s%.60s", reader->path_len ? "." : "", key);
        int index = find_field(type, key);
        enum mm_err err = MM_OK;
        if (index < 0 || index >= FIELDS_MAX) {
            if (!reader->ignore_unknown)
                err = fail(reader, "no such field");
        } else if (seen[index]) {
            err = fail(reader, "given twice");
        } else {
            seen[index] = true;
            err = read_field(reader, type, &type->fields[index], value, message);
        }
        if (err != MM_OK)
            return err;
        leave(reader, before);
    }
    return MM_OK;
}

static enum mm_err read_message(struct reader *reader, const ProtobufCMessageDescriptor *type,
                                json_t *json, ProtobufCMessage **out)
{
    if (!json_is_object(json))
        return fail(reader, "not an object");
    if (reader->depth == MM_JSON_DEPTH_MAX)
        return fail(reader, "nested too deeply");
    ProtobufCMessage *message = new_message(type);
    if (!message)
        return MM_RESOURCE_EXHAUSTED;
    reader->depth++;
    enum mm_err err = read_fields(reader, type, json, message);
    reader->depth--;
    if (err != MM_OK) {
        protobuf_c_message_free_unpacked(message, NULL);
        return err;
    }
    *out = message;
    return MM_OK;
}

enum mm_err mm_json_to_pb(const ProtobufCMessageDescriptor *descriptor, const char *text,
                          size_t len, const struct mm_json_read_options *options,
                          ProtobufCMessage **out, char *problem, size_t problem_bytes)
{
    *out = NULL;
    struct reader reader = {.ignore_unknown = options && options->ignore_unknown,
                            .problem = problem,
                            .problem_bytes = problem_bytes};
    json_error_t error;
    json_t *json = len == 0 ? json_object() : json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
    if (!json)
        return len == 0 ? MM_RESOURCE_EXHAUSTED
                        : fail(&reader, "not JSON, line %d column %d: %s", error.line, error.column,
                               error.text);
    enum mm_err err = read_message(&reader, descriptor, json, out);
    json_decref(json);
    return err;
}
