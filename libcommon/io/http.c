#include "libcommon/io/http.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/log.h"
#include "libcommon/base/str.h"
#include "libcommon/io/http_internal.h"
#include "libcommon/io/tcp_listen.h"

// The server as a whole: whom it lets in, its routes, how it begins and ends.

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
    return MHD_start_daemon(flags, 0, on_accept, server, mm_http_request_step, server, //
                            MHD_OPTION_EXTERNAL_LOGGER, on_log, server,                //
                            MHD_OPTION_ARRAY, fd < 0 ? &end : listening,               //
                            MHD_OPTION_CONNECTION_LIMIT,
                            server->connections_max + SPARE_CONNECTIONS, //
                            MHD_OPTION_PER_IP_CONNECTION_LIMIT,
                            options->connections_per_address, //
                            MHD_OPTION_CONNECTION_TIMEOUT,
                            options->idle_s ? options->idle_s : (unsigned)MM_HTTP_IDLE_S_DEFAULT, //
                            MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                            options->connection_bytes ? options->connection_bytes
                                                      : (size_t)MM_HTTP_CONNECTION_BYTES_DEFAULT, //
                            MHD_OPTION_NOTIFY_COMPLETED, mm_http_request_completed, server,       //
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
    enum mm_err err = mm_tcp_listen(options->listen, options->backlog, options->reuse_port, &fd);
    if (err != MM_OK)
        return err;
    struct mm_http_server *server = mm_calloc(1, sizeof *server);
    if (!server) {
        close(fd);
        return MM_RESOURCE_EXHAUSTED;
    }
    server->loop = loop;
    server->port = mm_tcp_port(fd);
    server->body_bytes_max =
        options->body_bytes_max ? options->body_bytes_max : MM_HTTP_BODY_BYTES_DEFAULT;
    server->connections_max =
        options->connections_max ? options->connections_max : MM_HTTP_CONNECTIONS_DEFAULT;
    mm_http_drive_init(server);
    if (options->tls_certificate && options->tls_certificate[0]) {
        err = mm_http_tls_open(loop, fd, options->tls_certificate,
                               options->tls_key ? options->tls_key : "",
                               options->tls_send_buffer_bytes, &server->tls);
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
    err = mm_http_drive_start(server);
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
    mm_http_drive_stop(server);
    mm_loop_timer_stop(server->loop, &server->patience);
    // A suspended connection must be resumed before the daemon may stop.
    mm_http_requests_cut(server);
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
