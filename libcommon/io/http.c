#include "libcommon/io/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libcommon/base/alloc.h"
#include "libcommon/base/buf_json.h"
#include "libcommon/base/check.h"
#include "libcommon/base/log.h"
#include "libcommon/base/str.h"
#include "libcommon/io/http_internal.h"

// libmicrohttpd runs inside the loop: the loop watches its epoll set and its next time-out and
// calls MHD_run. A handler that answers later has its connection suspended until then.

// --- driving libmicrohttpd -----------------------------------------------------------------------

static void run(struct mm_http_server *server)
{
    MHD_run(server->daemon);
    MHD_UNSIGNED_LONG_LONG timeout_ms = 0;
    if (MHD_get_timeout(server->daemon, &timeout_ms) != MHD_YES)
        mm_loop_timer_stop(server->loop, &server->timer);
    else if (timeout_ms == 0)
        mm_loop_defer(server->loop, &server->run);
    else
        mm_loop_timer_start(server->loop, &server->timer, MM_LOOP_MS(timeout_ms), 0);
}

static void on_readable(struct mm_loop *loop, int fd, unsigned events, void *arg)
{
    (void)loop;
    (void)fd;
    (void)events;
    run(arg);
}

static void on_timer(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop;
    (void)timer;
    run(arg);
}

static void on_run(struct mm_loop *loop, void *arg)
{
    (void)loop;
    run(arg);
}

void mm_http_run_soon(struct mm_http_server *server)
{
    if (!server->is_closing)
        mm_loop_defer(server->loop, &server->run);
}

// --- requests ------------------------------------------------------------------------------------

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

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_bytes, void **request_slot)
{
    struct mm_http_request *request = *request_slot;
    if (!request)
        return begin(arg, connection, path, method, version, request_slot);
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
        mm_http_conn_waits(arg, connection, false);
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

static void on_completed(void *arg, struct MHD_Connection *connection, void **request_slot,
                         enum MHD_RequestTerminationCode reason)
{
    (void)reason;
    struct mm_http_request *request = *request_slot;
    if (!request)
        return;
    if (!request->upgrade)
        mm_http_conn_waits(arg, connection, true);
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

static void on_connection(void *arg, struct MHD_Connection *connection, void **slot,
                          enum MHD_ConnectionNotificationCode code)
{
    struct mm_http_server *server = arg;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        server->connections++;
        mm_http_conn_open(server, connection, slot);
    } else {
        server->connections--;
        mm_http_conn_close(slot);
    }
}

static enum MHD_Result on_accept(void *arg, const struct sockaddr *address, socklen_t address_bytes)
{
    (void)address;
    (void)address_bytes;
    const struct mm_http_server *server = arg;
    return server->connections < server->connections_max && !server->is_draining ? MHD_YES : MHD_NO;
}

__attribute__((format(printf, 2, 0))) static void on_log(void *arg, const char *format,
                                                         va_list args)
{
    (void)arg;
    char text[256];
    vsnprintf(text, sizeof text, format, args);
    text[strcspn(text, "\r\n")] = '\0';
    MM_LOG_DEBUG("http", "detail=%s", text);
}

// --- opening and closing
// ---------------------------------------------------------------------------

static enum mm_err listen_at(const struct mm_http_options *options, int *fd_out)
{
    char host[256];
    const char *colon = strrchr(options->listen, ':');
    uint64_t port = 0;
    if (!colon || mm_str_parse_u64(colon + 1, strlen(colon + 1), 0, 65535, &port) != MM_OK ||
        !mm_str_copy_n(host, sizeof host, options->listen, (size_t)(colon - options->listen)))
        return MM_INVALID_ARGUMENT;
    char *name = host;
    size_t len = strlen(host);
    if (len >= 2 && host[0] == '[' && host[len - 1] == ']') {
        host[len - 1] = '\0';
        name = host + 1;
    }
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    if (getaddrinfo(*name ? name : NULL, colon + 1, &hints, &found) != 0)
        return MM_INVALID_ARGUMENT;
    int one = 1;
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool is_listening =
        fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
        (!options->reuse_port || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) == 0) &&
        bind(fd, found->ai_addr, found->ai_addrlen) == 0 &&
        listen(fd, options->backlog ? (int)options->backlog : 511) == 0;
    freeaddrinfo(found);
    if (!is_listening) {
        MM_LOG_ERROR("cannot listen", "address=%s error=%s", options->listen, strerror(errno));
        if (fd >= 0)
            close(fd);
        return MM_UNAVAILABLE;
    }
    *fd_out = fd;
    return MM_OK;
}

static uint16_t port_of(int fd)
{
    // An IPv4 address fits in, and its port lies in the same place.
    struct sockaddr_in6 address = {0};
    socklen_t bytes = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &bytes) != 0)
        return 0;
    return ntohs(address.sin6_port);
}

// connections_max is kept by on_accept, which closes what is too much; at libmicrohttpd's own limit
// new connections would hang unanswered.
enum { SPARE_CONNECTIONS = 64 };

// fd -1: it does not listen.
static struct MHD_Daemon *start_daemon(struct mm_http_server *server,
                                       const struct mm_http_options *options, int fd)
{
    unsigned flags =
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_ALLOW_UPGRADE | MHD_USE_ERROR_LOG;
    if (fd < 0)
        flags |= MHD_USE_NO_LISTEN_SOCKET;
    struct MHD_OptionItem end = {MHD_OPTION_END, 0, NULL};
    struct MHD_OptionItem listening[] = {{MHD_OPTION_LISTEN_SOCKET, fd, NULL}, end};
    return MHD_start_daemon(flags, 0, on_accept, server, on_request, server, //
                            MHD_OPTION_EXTERNAL_LOGGER, on_log, server,      //
                            MHD_OPTION_ARRAY, fd < 0 ? &end : listening,     //
                            MHD_OPTION_CONNECTION_LIMIT,
                            server->connections_max + SPARE_CONNECTIONS, //
                            MHD_OPTION_PER_IP_CONNECTION_LIMIT,
                            options->connections_per_address, //
                            MHD_OPTION_CONNECTION_TIMEOUT,
                            options->idle_s ? options->idle_s : (unsigned)MM_HTTP_IDLE_S_DEFAULT, //
                            MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                            options->connection_bytes ? options->connection_bytes
                                                      : (size_t)MM_HTTP_CONNECTION_BYTES_DEFAULT, //
                            MHD_OPTION_NOTIFY_COMPLETED, on_completed, server,                    //
                            MHD_OPTION_NOTIFY_CONNECTION, on_connection, server,                  //
                            MHD_OPTION_END);
}

static void run_soon(void *arg)
{
    mm_http_run_soon(arg);
}

enum mm_err mm_http_server_open(struct mm_loop *loop, const struct mm_http_options *options,
                                struct mm_http_server **out)
{
    int fd = -1;
    enum mm_err err = listen_at(options, &fd);
    if (err != MM_OK)
        return err;
    struct mm_http_server *server = mm_calloc(1, sizeof *server);
    if (!server) {
        close(fd);
        return MM_RESOURCE_EXHAUSTED;
    }
    server->loop = loop;
    server->port = port_of(fd);
    server->body_bytes_max =
        options->body_bytes_max ? options->body_bytes_max : MM_HTTP_BODY_BYTES_DEFAULT;
    server->connections_max =
        options->connections_max ? options->connections_max : MM_HTTP_CONNECTIONS_DEFAULT;
    mm_loop_timer_init(&server->timer, on_timer, server);
    mm_loop_task_init(&server->run, on_run, server);
    if (options->tls_certificate && options->tls_certificate[0]) {
        err = mm_http_tls_open(loop, fd, options->tls_certificate,
                               options->tls_key ? options->tls_key : "", &server->tls);
        if (err != MM_OK) {
            close(fd);
            mm_free(server);
            return err;
        }
        fd = -1; // is its
    }
    server->daemon = start_daemon(server, options, fd);
    if (!server->daemon) {
        if (fd >= 0)
            close(fd);
        mm_http_tls_close(server->tls);
        mm_free(server);
        return MM_UNAVAILABLE;
    }
    if (server->tls)
        mm_http_tls_serve(server->tls, server->daemon, run_soon, server);
    server->epoll_fd = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    err = mm_loop_fd_add(loop, server->epoll_fd, MM_LOOP_READ, on_readable, server);
    if (err != MM_OK) {
        MHD_stop_daemon(server->daemon);
        mm_http_tls_close(server->tls);
        mm_free(server);
        return err;
    }
    mm_http_conn_watch(server, options->request_s);
    *out = server;
    return MM_OK;
}

void mm_http_server_drain(struct mm_http_server *server)
{
    if (server->is_draining)
        return;
    server->is_draining = true;
    if (server->tls) {
        mm_http_tls_drain(server->tls);
        return;
    }
    // Among several who listen at one address, one that has gone deaf would swallow its share.
    MHD_socket fd = MHD_quiesce_daemon(server->daemon);
    if (fd != MHD_INVALID_SOCKET)
        close(fd);
}

enum mm_err mm_http_server_reload(struct mm_http_server *server)
{
    return server->tls ? mm_http_tls_reload(server->tls) : MM_OK;
}

void mm_http_server_close(struct mm_http_server *server)
{
    if (!server)
        return;
    server->is_closing = true;
    mm_loop_fd_remove(server->loop, server->epoll_fd);
    mm_loop_timer_stop(server->loop, &server->timer);
    mm_loop_timer_stop(server->loop, &server->patience);
    mm_loop_defer_cancel(server->loop, &server->run);
    // A suspended connection must be resumed before the daemon may stop.
    for (struct mm_http_request *request = server->requests; request; request = request->next) {
        if (request->state != MM_HTTP_WAITING)
            continue;
        request_gone(request);
        request->state = MM_HTTP_CUT;
        MHD_resume_connection(request->connection);
    }
    MHD_run(server->daemon);
    MHD_stop_daemon(server->daemon);
    mm_http_tls_close(server->tls);
    MM_CHECK(server->requests == NULL);
    mm_free(server);
}

uint16_t mm_http_server_port(const struct mm_http_server *server)
{
    return server->port;
}

uint32_t mm_http_server_connections(const struct mm_http_server *server)
{
    return server->connections;
}

void mm_http_route(struct mm_http_server *server, unsigned methods, const char *path,
                   mm_http_handler_fn handler, void *arg)
{
    MM_CHECK(server->route_count < MM_HTTP_ROUTES_MAX && path[0] == '/');
    struct mm_http_route_entry *route = &server->routes[server->route_count++];
    MM_CHECK(mm_str_copy(route->path, sizeof route->path, path));
    route->path_len = strlen(path);
    route->is_prefix = path[route->path_len - 1] == '/';
    route->methods = methods;
    route->handler = handler;
    route->arg = arg;
}

// --- the request
// -----------------------------------------------------------------------------------

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

// --- the answer
// ------------------------------------------------------------------------------------

void mm_http_add_header(struct mm_http_request *request, const char *name, const char *value)
{
    if (request->header_count == MM_HTTP_HEADERS_MAX)
        return;
    struct mm_http_header header = {mm_strdup(name), mm_strdup(value)};
    MM_CHECK(header.name && header.value);
    request->headers[request->header_count++] = header;
}

void mm_http_answer(struct mm_http_request *request, int status, struct MHD_Response *response)
{
    MM_CHECK(request->state == MM_HTTP_HANDLING || request->state == MM_HTTP_WAITING ||
             request->state == MM_HTTP_READING);
    MM_CHECK(response);
    bool was_waiting = request->state == MM_HTTP_WAITING;
    request->gone = NULL;
    request->status = (unsigned)status;
    request->response = response;
    request->state = MM_HTTP_ANSWERED;
    if (was_waiting) {
        MHD_resume_connection(request->connection);
        mm_http_run_soon(request->server);
    }
}

static void reply_with(struct mm_http_request *request, int status, const char *content_type,
                       void *body, size_t len, enum MHD_ResponseMemoryMode mode)
{
    if (content_type)
        mm_http_add_header(request, "Content-Type", content_type);
    mm_http_add_header(request, "X-Content-Type-Options", "nosniff");
    mm_http_answer(request, status, MHD_create_response_from_buffer(len, body, mode));
}

void mm_http_reply(struct mm_http_request *request, int status, const char *content_type,
                   const void *body, size_t len)
{
    reply_with(request, status, content_type, (void *)(uintptr_t)body, len, MHD_RESPMEM_MUST_COPY);
}

void mm_http_reply_take(struct mm_http_request *request, int status, const char *content_type,
                        void *body, size_t len)
{
    reply_with(request, status, content_type, body, len, MHD_RESPMEM_MUST_FREE);
}

void mm_http_reply_error(struct mm_http_request *request, enum mm_err code, const char *message)
{
    struct mm_buf body;
    mm_buf_init(&body, 64 << 10);
    MM_BUF_LIT(&body, "{\"code\":");
    mm_buf_json_cstr(&body, mm_err_name(code));
    MM_BUF_LIT(&body, ",\"message\":");
    mm_buf_json_cstr(&body, message);
    MM_BUF_LIT(&body, "}\n");
    if (code == MM_UNAUTHENTICATED)
        mm_http_add_header(request, "WWW-Authenticate", "Bearer");
    mm_http_reply(request, mm_err_http_status(code), "application/json", body.data, body.len);
    mm_buf_free(&body);
}
