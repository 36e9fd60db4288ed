#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/base/alloc.h"
#include "libcommon/base/str.h"
#include "libcommon/io/http_internal.h"

// A request from its first header to its end: libmicrohttpd calls mm_http_request_step for each of
// its parts. A handler that answers later has its connection suspended until then.

static bool parse_method(const char *text, enum mm_http_method *out)
{
    static const struct {
        const char *name;
        enum mm_http_method method;
    } methods[] = {{"GET", MM_HTTP_GET}, {"HEAD", MM_HTTP_GET},      {"POST", MM_HTTP_POST},
                   {"PUT", MM_HTTP_PUT}, {"DELETE", MM_HTTP_DELETE}, {"OPTIONS", MM_HTTP_OPTIONS}};
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        if (strcmp(methods[i].name, text) == 0) {
            *out = methods[i].method;
            return true;
        }
    }
    return false;
}

static void format_peer(struct MHD_Connection *connection, char *out, size_t out_bytes)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    out[0] = '\0';
    if (!info || !info->client_addr)
        return;
    if (info->client_addr->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const void *)info->client_addr;
        inet_ntop(AF_INET, &v4->sin_addr, out, (socklen_t)out_bytes);
    } else if (info->client_addr->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const void *)info->client_addr;
        inet_ntop(AF_INET6, &v6->sin6_addr, out, (socklen_t)out_bytes);
    }
}

static struct mm_http_request *request_new(struct mm_http_server *server,
                                           struct MHD_Connection *connection, const char *path,
                                           const char *version)
{
    struct mm_http_request *request = mm_calloc(1, sizeof *request);
    char *path_copy = mm_strdup(path);
    if (!request || !path_copy) {
        mm_free(request);
        mm_free(path_copy);
        return NULL;
    }
    request->server = server;
    request->connection = connection;
    request->path = path_copy;
    request->is_http11 = strcmp(version, MHD_HTTP_VERSION_1_1) == 0;
    mm_buf_init(&request->body, server->body_bytes_max);
    format_peer(connection, request->peer, sizeof request->peer);
    request->next = server->requests;
    request->link = &server->requests;
    if (request->next)
        request->next->link = &request->next;
    server->requests = request;
    return request;
}

static void request_free(struct mm_http_request *request)
{
    *request->link = request->next;
    if (request->next)
        request->next->link = request->link;
    for (size_t i = 0; i < request->header_count; i++) {
        mm_free(request->headers[i].name);
        mm_free(request->headers[i].value);
    }
    if (request->response)
        MHD_destroy_response(request->response);
    mm_buf_free(&request->body);
    mm_free(request->path);
    mm_free(request);
}

// The longest route that fits; *is_path_known tells 405 from 404.
static const struct mm_http_route_entry *find_route(const struct mm_http_request *request,
                                                    unsigned *methods_out)
{
    const struct mm_http_server *server = request->server;
    const struct mm_http_route_entry *best = NULL;
    size_t best_len = 0;
    *methods_out = 0;
    for (size_t i = 0; i < server->route_count; i++) {
        const struct mm_http_route_entry *route = &server->routes[i];
        bool fits = route->is_prefix ? strncmp(request->path, route->path, route->path_len) == 0
                                     : strcmp(request->path, route->path) == 0;
        size_t len = route->path_len + (route->is_prefix ? 0 : 1); // exact beats prefix
        if (!fits || len < best_len)
            continue;
        if (len > best_len) {
            best_len = len;
            best = NULL;
            *methods_out = 0;
        }
        *methods_out |= route->methods;
        if (route->methods & request->method)
            best = route;
    }
    return best;
}

static void reply_wrong_method(struct mm_http_request *request, unsigned methods)
{
    char allow[64] = "";
    static const char *const names[] = {"GET, HEAD", "POST", "PUT", "DELETE", "OPTIONS"};
    size_t len = 0;
    for (unsigned i = 0; i < 5; i++)
        if (methods & 1u << i)
            len += (size_t)snprintf(allow + len, sizeof allow - len, "%s%s", len ? ", " : "",
                                    names[i]);
    static const char body[] =
        "{\"code\":\"UNIMPLEMENTED\",\"message\":\"this path does not take that method\"}\n";
    mm_http_add_header(request, "Allow", allow);
    mm_http_reply(request, 405, "application/json", body, sizeof body - 1);
}

static void dispatch(struct mm_http_request *request)
{
    unsigned methods = 0;
    const struct mm_http_route_entry *route = find_route(request, &methods);
    request->state = MM_HTTP_HANDLING;
    if (route)
        route->handler(request, route->arg);
    else if (methods != 0)
        reply_wrong_method(request, methods);
    else
        mm_http_reply_error(request, MM_NOT_FOUND, "there is nothing at this path");
}

static enum MHD_Result queue_answer(struct mm_http_request *request)
{
    for (size_t i = 0; i < request->header_count; i++)
        MHD_add_response_header(request->response, request->headers[i].name,
                                request->headers[i].value);
    enum MHD_Result result =
        MHD_queue_response(request->connection, request->status, request->response);
    MHD_destroy_response(request->response);
    request->response = NULL;
    request->state = MM_HTTP_QUEUED;
    return result;
}

static enum MHD_Result refuse_long_body(struct mm_http_request *request)
{
    static const char body[] =
        "{\"code\":\"RESOURCE_EXHAUSTED\",\"message\":\"the request body is too long\"}\n";
    request->state = MM_HTTP_HANDLING;
    mm_http_add_header(request, "Connection", "close");
    mm_http_reply(request, 413, "application/json", body, sizeof body - 1);
    return queue_answer(request);
}

// The first call for a request: its headers are there.
static enum MHD_Result begin(struct mm_http_server *server, struct MHD_Connection *connection,
                             const char *path, const char *method, const char *version,
                             void **request_out)
{
    struct mm_http_request *request = request_new(server, connection, path, version);
    if (!request)
        return MHD_NO;
    *request_out = request;
    if (!parse_method(method, &request->method)) {
        request->state = MM_HTTP_HANDLING;
        mm_http_reply_error(request, MM_UNIMPLEMENTED, "this method is not known here");
        return queue_answer(request);
    }
    const char *length = mm_http_request_header(request, "Content-Length");
    uint64_t bytes = 0;
    if (length && (mm_str_parse_u64(length, strlen(length), 0, UINT64_MAX, &bytes) != MM_OK ||
                   bytes > server->body_bytes_max)) {
        request->state = MM_HTTP_DROPPING;
        // Who waits for our consent (curl does, with long bodies) has sent nothing yet.
        if (bytes / MM_HTTP_DISCARD_TIMES > server->body_bytes_max || bytes == 0 ||
            mm_http_request_header(request, "Expect"))
            return refuse_long_body(request);
    }
    return MHD_YES;
}

// More of the body. It is kept, or, beyond the limit, dropped up to a further limit.
static enum MHD_Result take_body(struct mm_http_request *request, const char *part, size_t bytes)
{
    size_t most = request->server->body_bytes_max;
    if (request->state == MM_HTTP_READING && bytes <= most - request->body.len) {
        mm_buf_append(&request->body, part, bytes);
        return request->body.err == MM_OK ? MHD_YES : MHD_NO;
    }
    request->state = MM_HTTP_DROPPING;
    request->body_dropped += bytes;
    return request->body_dropped / MM_HTTP_DISCARD_TIMES > most ? MHD_NO : MHD_YES;
}

enum MHD_Result mm_http_request_step(void *server, struct MHD_Connection *connection,
                                     const char *path, const char *method, const char *version,
                                     const char *upload, size_t *upload_bytes, void **request_slot)
{
    struct mm_http_request *request = *request_slot;
    if (!request)
        return begin(server, connection, path, method, version, request_slot);
    switch (request->state) {
    case MM_HTTP_READING:
    case MM_HTTP_DROPPING:
        if (*upload_bytes > 0) {
            enum MHD_Result result = take_body(request, upload, *upload_bytes);
            *upload_bytes = 0;
            return result;
        }
        if (request->state == MM_HTTP_DROPPING)
            return refuse_long_body(request);
        mm_http_conn_waits(server, connection, false);
        dispatch(request);
        if (request->state == MM_HTTP_ANSWERED)
            return queue_answer(request);
        request->state = MM_HTTP_WAITING;
        MHD_suspend_connection(connection);
        return MHD_YES;
    case MM_HTTP_ANSWERED:
        return queue_answer(request);
    case MM_HTTP_CUT:
        return MHD_NO;
    case MM_HTTP_HANDLING:
    case MM_HTTP_WAITING:
    case MM_HTTP_QUEUED:
        break;
    }
    *upload_bytes = 0;
    return MHD_YES;
}

static void request_gone(struct mm_http_request *request)
{
    void (*gone)(void *) = request->gone;
    request->gone = NULL;
    if (gone)
        gone(request->gone_arg);
}

void mm_http_request_completed(void *server, struct MHD_Connection *connection, void **request_slot,
                               enum MHD_RequestTerminationCode reason)
{
    (void)reason;
    struct mm_http_request *request = *request_slot;
    if (!request)
        return;
    if (!request->upgrade)
        mm_http_conn_waits(server, connection, true);
    *request_slot = NULL;
    if (request->state == MM_HTTP_WAITING)
        request_gone(request);
    struct mm_http_upgrade *upgrade = request->upgrade;
    if (upgrade && !upgrade->handle) { // the client left before the 101 could be sent
        upgrade->fn(upgrade->arg, -1, NULL, NULL, 0);
        mm_free(upgrade);
    }
    request_free(request);
}

void mm_http_requests_cut(struct mm_http_server *server)
{
    for (struct mm_http_request *request = server->requests; request; request = request->next) {
        if (request->state != MM_HTTP_WAITING)
            continue;
        request_gone(request);
        request->state = MM_HTTP_CUT;
        MHD_resume_connection(request->connection);
    }
}

// --- what handlers ask -----------------------------------------------------------------------

enum mm_http_method mm_http_request_method(const struct mm_http_request *request)
{
    return request->method;
}

const char *mm_http_request_path(const struct mm_http_request *request)
{
    return request->path;
}

const char *mm_http_request_header(const struct mm_http_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

struct all_values {
    const char *name;
    struct mm_buf *out;
};

static enum MHD_Result add_value(void *arg, enum MHD_ValueKind kind, const char *name,
                                 const char *value)
{
    (void)kind;
    const struct all_values *all = arg;
    if (strcasecmp(name, all->name) != 0)
        return MHD_YES;
    if (all->out->len > 0)
        mm_buf_str(all->out, ", ");
    mm_buf_str(all->out, value ? value : "");
    return MHD_YES;
}

void mm_http_request_header_all(const struct mm_http_request *request, const char *name,
                                struct mm_buf *out)
{
    struct all_values all = {name, out};
    MHD_get_connection_values(request->connection, MHD_HEADER_KIND, add_value, &all);
}

const char *mm_http_request_query(const struct mm_http_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name);
}

const uint8_t *mm_http_request_body(const struct mm_http_request *request, size_t *len_out)
{
    *len_out = request->body.len;
    return request->body.data ? request->body.data : (const uint8_t *)"";
}

const char *mm_http_request_peer(const struct mm_http_request *request)
{
    return request->peer;
}

void mm_http_on_gone(struct mm_http_request *request, void (*fn)(void *arg), void *arg)
{
    request->gone = fn;
    request->gone_arg = arg;
}
