#include "libcommon/io/http_rpc.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "libcommon/base/alloc.h"
#include "libcommon/base/buf.h"
#include "libcommon/base/buf_json.h"
#include "libcommon/base/check.h"
#include "libcommon/base/str.h"
#include "libcommon/io/http_rpc_describe.h"
#include "libcommon/io/json_pb.h"
#include "libcommon/io/pb.h"

enum { DEADLINE_MS_DEFAULT = 10000 };

struct mm_http_rpc {
    struct mm_http_server *http;
    struct mm_rpc_server *rpc;
    struct mm_http_rpc_options options;
};

// One POST, from its arrival to its answer. It also is the authorisation that is asked for.
struct mm_http_authorisation {
    struct mm_http_rpc *gateway;
    struct mm_http_request *request; // NULL once the client is gone
    const ProtobufCServiceDescriptor *service;
    const ProtobufCMethodDescriptor *method;
    const struct mm_rpc_policy *policy; // may be NULL
    bool packed;                        // application/protobuf, not JSON
    uint32_t deadline_ms;
    struct mm_rpc_request_id request_id;
    struct mm_trace trace;
    struct mm_rpc_caller caller;
};

typedef struct mm_http_authorisation posted;

static void on_gone(void *arg)
{
    posted *post = arg;
    post->request = NULL;
}

// --- answers ------------------------------------------------------------------------------------

static void reply_error(struct mm_http_request *request, const struct mm_rpc_answer *answer)
{
    struct mm_buf body;
    mm_buf_init(&body, 65536);
    MM_BUF_LIT(&body, "{\"code\":");
    mm_buf_json_cstr(&body, mm_err_name(answer->code));
    MM_BUF_LIT(&body, ",\"message\":");
    mm_buf_json_cstr(&body, answer->message);
    MM_BUF_LIT(&body, ",\"details\":{");
    for (size_t i = 0; i < answer->details_count; i++) {
        if (i > 0)
            mm_buf_byte(&body, ',');
        mm_buf_json_cstr(&body, answer->detail_keys[i]);
        mm_buf_byte(&body, ':');
        mm_buf_json_cstr(&body, answer->detail_values[i]);
    }
    MM_BUF_LIT(&body, "}}\n");
    if (answer->code == MM_UNAUTHENTICATED)
        mm_http_add_header(request, "WWW-Authenticate", "Bearer");
    mm_http_add_header(request, "Cache-Control", "no-store");
    if (body.err == MM_OK)
        mm_http_reply(request, mm_err_http_status(answer->code), "application/json", body.data,
                      body.len);
    else
        mm_http_reply_error(request, answer->code, "");
    mm_buf_free(&body);
}

static void refuse(struct mm_http_request *request, enum mm_err code, const char *message)
{
    struct mm_rpc_answer answer = {.code = code, .message = message};
    reply_error(request, &answer);
}

static void reply_json(posted *post, const struct mm_rpc_answer *answer)
{
    ProtobufCMessage *reply;
    struct mm_buf text;
    mm_buf_init(&text, 2 * MM_RPC_REPLY_BYTES_MAX);
    enum mm_err err =
        mm_pb_unpack(post->method->output, NULL, answer->body, answer->body_len, SIZE_MAX, &reply);
    if (err == MM_OK) {
        err = mm_json_from_pb(reply, NULL, &text);
        protobuf_c_message_free_unpacked(reply, NULL);
    }
    if (err != MM_OK) {
        refuse(post->request, err == MM_RESOURCE_EXHAUSTED ? err : MM_INTERNAL,
               "the reply cannot be written as JSON");
        mm_buf_free(&text);
        return;
    }
    size_t len;
    uint8_t *bytes = mm_buf_detach(&text, &len);
    mm_http_add_header(post->request, "Cache-Control", "no-store");
    mm_http_reply_take(post->request, 200, "application/json", bytes, len);
}

static void on_answer(void *arg, const struct mm_rpc_answer *answer)
{
    posted *post = arg;
    if (!post->request) {
        // Nobody is there to be told.
    } else if (answer->code != MM_OK) {
        reply_error(post->request, answer);
    } else if (post->packed) {
        mm_http_add_header(post->request, "Cache-Control", "no-store");
        mm_http_reply(post->request, 200, "application/protobuf", answer->body, answer->body_len);
    } else {
        reply_json(post, answer);
    }
    mm_free(post);
}

// --- carrying it out ----------------------------------------------------------------------------

static void refuse_and_free(posted *post, enum mm_err code, const char *message)
{
    if (post->request)
        refuse(post->request, code, message);
    mm_free(post);
}

static void dispatch(posted *post)
{
    size_t len;
    const uint8_t *body = mm_http_request_body(post->request, &len);
    uint8_t *packed = NULL;
    if (!post->packed) {
        char problem[256];
        ProtobufCMessage *message;
        enum mm_err err = mm_json_to_pb(post->method->input, (const char *)body, len, NULL,
                                        &message, problem, sizeof problem);
        if (err == MM_OK) {
            err = mm_pb_pack(message, MM_RPC_REQUEST_BYTES_MAX, &packed, &len);
            protobuf_c_message_free_unpacked(message, NULL);
            mm_str_copy(problem, sizeof problem, "the request is too large");
        }
        if (err != MM_OK) {
            refuse_and_free(post, err, problem);
            return;
        }
        body = packed;
    }
    struct mm_rpc_local_call call = {.service = post->service->name,
                                     .method = post->method->name,
                                     .body = body,
                                     .body_len = len,
                                     .deadline_ms = post->deadline_ms,
                                     .request_id = post->request_id,
                                     .trace = post->trace,
                                     .caller = post->caller};
    mm_rpc_server_dispatch(post->gateway->rpc, &call, on_answer, post);
    mm_free(packed);
}

static bool may_call(const posted *post, uint64_t permissions)
{
    const struct mm_rpc_policy *policy = post->policy;
    uint64_t needed = policy ? policy->permission : post->gateway->options.operator_permission;
    if (!policy && needed == 0) // nobody is the operator
        return false;
    return needed == MM_RPC_ANY_PLAYER || (permissions & needed) == needed;
}

void mm_http_authorise(struct mm_http_authorisation *post, enum mm_err err, const char *message,
                       uint64_t player_id, uint64_t permissions)
{
    if (!post->request) {
        mm_free(post);
    } else if (err != MM_OK) {
        refuse_and_free(post, err, message);
    } else if (!may_call(post, permissions)) {
        refuse_and_free(post, MM_PERMISSION_DENIED, "this needs a permission you do not have");
    } else {
        post->caller.player_id = player_id;
        post->caller.permissions = permissions;
        dispatch(post);
    }
}

// --- reading the request ------------------------------------------------------------------------

// "/rpc/World/Join" or "/rpc/mmorts.world.World/Join".
static bool find_method(posted *post, const char *path)
{
    char service[MM_RPC_METHOD_LEN_MAX + 1];
    const char *name = path + strlen("/rpc/");
    const char *slash = strchr(name, '/');
    return slash && mm_str_copy_n(service, sizeof service, name, (size_t)(slash - name)) &&
           mm_rpc_server_find(post->gateway->rpc, service, slash + 1, &post->service, &post->method,
                              &post->policy);
}

static bool media_type_is(const char *header, const char *type)
{
    size_t len = strlen(type);
    return strncasecmp(header, type, len) == 0 &&
           (header[len] == '\0' || header[len] == ';' || header[len] == ' ');
}

// NULL, or what is wrong with the headers.
static const char *read_headers(posted *post)
{
    const char *type = mm_http_request_header(post->request, "Content-Type");
    if (type && (media_type_is(type, "application/protobuf") ||
                 media_type_is(type, "application/x-protobuf")))
        post->packed = true;
    else if (type && !media_type_is(type, "application/json"))
        return "Content-Type must be application/json or application/protobuf";
    const char *deadline = mm_http_request_header(post->request, "X-Deadline-Ms");
    uint64_t deadline_ms = DEADLINE_MS_DEFAULT;
    if (deadline && mm_str_parse_u64(deadline, strlen(deadline), 1, MM_RPC_DEADLINE_MS_MAX,
                                     &deadline_ms) != MM_OK)
        return "X-Deadline-Ms must be 1..3600000";
    post->deadline_ms = (uint32_t)deadline_ms;
    const char *id = mm_http_request_header(post->request, "X-Request-Id");
    if (id && mm_hex_decode(id, strlen(id), post->request_id.bytes, MM_RPC_REQUEST_ID_LEN) != MM_OK)
        return "X-Request-Id must be 32 hexadecimal digits";
    mm_trace_parse(mm_http_request_header(post->request, "traceparent"), &post->trace);
    return NULL;
}

static void handle_post(struct mm_http_request *request, void *arg)
{
    struct mm_http_rpc *gateway = arg;
    posted *post = mm_calloc(1, sizeof *post);
    if (!post) {
        refuse(request, MM_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    post->gateway = gateway;
    post->request = request;
    post->caller.over_http = true;
    if (!find_method(post, mm_http_request_path(request))) {
        refuse_and_free(post, MM_UNIMPLEMENTED, "no such method; GET /rpc lists them");
        return;
    }
    const char *problem = read_headers(post);
    if (problem) {
        refuse_and_free(post, MM_INVALID_ARGUMENT, problem);
        return;
    }
    const char *authorization = mm_http_request_header(request, "Authorization");
    mm_http_on_gone(request, on_gone, post);
    if (!authorization) {
        if (post->policy && post->policy->permission == MM_RPC_PUBLIC)
            dispatch(post);
        else
            refuse_and_free(post, MM_UNAUTHENTICATED, "a bearer token is needed");
    } else if (strncasecmp(authorization, "Bearer ", 7) != 0 || !gateway->options.authorise) {
        refuse_and_free(post, MM_UNAUTHENTICATED, "a bearer token is needed");
    } else {
        gateway->options.authorise(gateway->options.arg, post, authorization + 7);
    }
}

static void handle_describe(struct mm_http_request *request, void *arg)
{
    struct mm_http_rpc *gateway = arg;
    struct mm_buf text;
    mm_buf_init(&text, (size_t)4 << 20);
    mm_http_rpc_describe(gateway->rpc, &text);
    if (text.err != MM_OK) {
        mm_http_reply_error(request, text.err, "the description is too large");
    } else {
        mm_http_add_header(request, "Cache-Control", "no-cache");
        mm_http_reply(request, 200, "application/json", text.data, text.len);
    }
    mm_buf_free(&text);
}

enum mm_err mm_http_rpc_open(struct mm_http_server *http, struct mm_rpc_server *rpc,
                             const struct mm_http_rpc_options *options, struct mm_http_rpc **out)
{
    *out = NULL;
    struct mm_http_rpc *gateway = mm_calloc(1, sizeof *gateway);
    if (!gateway)
        return MM_RESOURCE_EXHAUSTED;
    gateway->http = http;
    gateway->rpc = rpc;
    if (options)
        gateway->options = *options;
    mm_http_route(http, MM_HTTP_GET, "/rpc", handle_describe, gateway);
    mm_http_route(http, MM_HTTP_POST, "/rpc/", handle_post, gateway);
    *out = gateway;
    return MM_OK;
}

void mm_http_rpc_close(struct mm_http_rpc *gateway)
{
    mm_free(gateway);
}
