#include "libcommon/io/http_rpc_describe.h"

#include "libcommon/base/buf_json.h"
#include "libcommon/io/json_pb.h"

// What GET /rpc answers:
//
//   {"services": [{"name": "mmorts.world.World", "methods": [{"name": "Join", "path":
//   "/rpc/World/Join",
//       "input": "mmorts.world.JoinRequest", "output": ..., "access": "public" | "player" |
//       "permission" | "operator", "permission": "4", "mutating": true, "idempotent": true}]}],
//    "messages": [{"name": ..., "fields": [{"name": ..., "json": ..., "number": 1, "type":
//    "uint32",
//       "repeated": true, "oneof": true, "of": "mmorts.world.Hex"}]}],
//    "enums": [{"name": ..., "values": [{"name": ..., "number": 0}]}]}

enum { TYPES_MAX = 1024 }; // further types are left out

struct types {
    const ProtobufCMessageDescriptor *messages[TYPES_MAX];
    size_t messages_count;
    const ProtobufCEnumDescriptor *enums[TYPES_MAX];
    size_t enums_count;
};

static void add_enum(struct types *types, const ProtobufCEnumDescriptor *type)
{
    for (size_t i = 0; i < types->enums_count; i++)
        if (types->enums[i] == type)
            return;
    if (types->enums_count < TYPES_MAX)
        types->enums[types->enums_count++] = type;
}

static void add_message(struct types *types, const ProtobufCMessageDescriptor *type)
{
    for (size_t i = 0; i < types->messages_count; i++)
        if (types->messages[i] == type)
            return;
    if (types->messages_count < TYPES_MAX)
        types->messages[types->messages_count++] = type;
}

// Messages are added as they are found, so walking the growing list visits all of them.
static void add_what_messages_use(struct types *types)
{
    for (size_t i = 0; i < types->messages_count; i++) {
        const ProtobufCMessageDescriptor *type = types->messages[i];
        for (unsigned f = 0; f < type->n_fields; f++) {
            if (type->fields[f].type == PROTOBUF_C_TYPE_MESSAGE)
                add_message(types, type->fields[f].descriptor);
            else if (type->fields[f].type == PROTOBUF_C_TYPE_ENUM)
                add_enum(types, type->fields[f].descriptor);
        }
    }
}

static void key_and_text(struct mm_buf *out, const char *key, const char *text)
{
    mm_buf_json_key(out, key);
    mm_buf_json_cstr(out, text);
}

static const char *access_of(const struct mm_rpc_policy *policy)
{
    if (!policy)
        return "operator";
    if (policy->permission == MM_RPC_PUBLIC)
        return "public";
    return policy->permission == MM_RPC_ANY_PLAYER ? "player" : "permission";
}

static void write_method(struct mm_buf *out, const struct mm_rpc_server *server,
                         const ProtobufCServiceDescriptor *service,
                         const ProtobufCMethodDescriptor *method)
{
    const struct mm_rpc_policy *policy = NULL;
    mm_rpc_server_find(server, service->name, method->name, NULL, NULL, &policy);
    mm_buf_byte(out, '{');
    key_and_text(out, "name", method->name);
    mm_buf_printf(out, ",\"path\":\"/rpc/%s/%s\",", service->short_name, method->name);
    key_and_text(out, "input", method->input->name);
    mm_buf_byte(out, ',');
    key_and_text(out, "output", method->output->name);
    mm_buf_byte(out, ',');
    key_and_text(out, "access", access_of(policy));
    if (policy && policy->permission != MM_RPC_PUBLIC && policy->permission != MM_RPC_ANY_PLAYER) {
        MM_BUF_LIT(out, ",\"permission\":\"");
        mm_buf_dec_u64(out, policy->permission);
        mm_buf_byte(out, '"');
    }
    MM_BUF_LIT(out, ",\"mutating\":");
    mm_buf_json_bool(out, policy && policy->mutating);
    MM_BUF_LIT(out, ",\"idempotent\":");
    mm_buf_json_bool(out, policy && policy->idempotent);
    mm_buf_byte(out, '}');
}

static const char *type_name(ProtobufCType type)
{
    static const char *const names[] = {
        [PROTOBUF_C_TYPE_INT32] = "int32",       [PROTOBUF_C_TYPE_SINT32] = "sint32",
        [PROTOBUF_C_TYPE_SFIXED32] = "sfixed32", [PROTOBUF_C_TYPE_INT64] = "int64",
        [PROTOBUF_C_TYPE_SINT64] = "sint64",     [PROTOBUF_C_TYPE_SFIXED64] = "sfixed64",
        [PROTOBUF_C_TYPE_UINT32] = "uint32",     [PROTOBUF_C_TYPE_FIXED32] = "fixed32",
        [PROTOBUF_C_TYPE_UINT64] = "uint64",     [PROTOBUF_C_TYPE_FIXED64] = "fixed64",
        [PROTOBUF_C_TYPE_FLOAT] = "float",       [PROTOBUF_C_TYPE_DOUBLE] = "double",
        [PROTOBUF_C_TYPE_BOOL] = "bool",         [PROTOBUF_C_TYPE_ENUM] = "enum",
        [PROTOBUF_C_TYPE_STRING] = "string",     [PROTOBUF_C_TYPE_BYTES] = "bytes",
        [PROTOBUF_C_TYPE_MESSAGE] = "message",
    };
    return (size_t)type < sizeof names / sizeof names[0] ? names[type] : "unknown";
}

static void write_field(struct mm_buf *out, const ProtobufCFieldDescriptor *field)
{
    char json[128];
    mm_json_field_name(field->name, json, sizeof json);
    mm_buf_byte(out, '{');
    key_and_text(out, "name", field->name);
    mm_buf_byte(out, ',');
    key_and_text(out, "json", json);
    mm_buf_printf(out, ",\"number\":%u,", field->id);
    key_and_text(out, "type", type_name(field->type));
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        MM_BUF_LIT(out, ",\"repeated\":true");
    if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
        MM_BUF_LIT(out, ",\"oneof\":true");
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        mm_buf_byte(out, ',');
        key_and_text(out, "of", ((const ProtobufCMessageDescriptor *)field->descriptor)->name);
    } else if (field->type == PROTOBUF_C_TYPE_ENUM) {
        mm_buf_byte(out, ',');
        key_and_text(out, "of", ((const ProtobufCEnumDescriptor *)field->descriptor)->name);
    }
    mm_buf_byte(out, '}');
}

static void write_message(struct mm_buf *out, const ProtobufCMessageDescriptor *type)
{
    mm_buf_byte(out, '{');
    key_and_text(out, "name", type->name);
    MM_BUF_LIT(out, ",\"fields\":[");
    for (unsigned f = 0; f < type->n_fields; f++) {
        if (f > 0)
            mm_buf_byte(out, ',');
        write_field(out, &type->fields[f]);
    }
    MM_BUF_LIT(out, "]}");
}

static void write_enum(struct mm_buf *out, const ProtobufCEnumDescriptor *type)
{
    mm_buf_byte(out, '{');
    key_and_text(out, "name", type->name);
    MM_BUF_LIT(out, ",\"values\":[");
    for (unsigned v = 0; v < type->n_values; v++) {
        mm_buf_str(out, v > 0 ? ",{" : "{");
        key_and_text(out, "name", type->values[v].name);
        mm_buf_printf(out, ",\"number\":%d}", type->values[v].value);
    }
    MM_BUF_LIT(out, "]}");
}

void mm_http_rpc_describe(const struct mm_rpc_server *server, struct mm_buf *out)
{
    struct types types = {.messages_count = 0};
    const ProtobufCServiceDescriptor *service;
    MM_BUF_LIT(out, "{\"services\":[");
    for (size_t i = 0; (service = mm_rpc_server_service(server, i)) != NULL; i++) {
        mm_buf_str(out, i > 0 ? ",{" : "{");
        key_and_text(out, "name", service->name);
        MM_BUF_LIT(out, ",\"methods\":[");
        for (unsigned m = 0; m < service->n_methods; m++) {
            if (m > 0)
                mm_buf_byte(out, ',');
            write_method(out, server, service, &service->methods[m]);
            add_message(&types, service->methods[m].input);
            add_message(&types, service->methods[m].output);
        }
        MM_BUF_LIT(out, "]}");
    }
    add_what_messages_use(&types);
    MM_BUF_LIT(out, "],\"messages\":[");
    for (size_t i = 0; i < types.messages_count; i++) {
        if (i > 0)
            mm_buf_byte(out, ',');
        write_message(out, types.messages[i]);
    }
    MM_BUF_LIT(out, "],\"enums\":[");
    for (size_t i = 0; i < types.enums_count; i++) {
        if (i > 0)
            mm_buf_byte(out, ',');
        write_enum(out, types.enums[i]);
    }
    MM_BUF_LIT(out, "]}\n");
}
