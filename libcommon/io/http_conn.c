#include <sys/socket.h>

#include "libcommon/base/alloc.h"
#include "libcommon/io/http_internal.h"

// libmicrohttpd's time-out starts anew with every byte, so whoever sends a byte now and then could
// hold all connections there are. Here the time runs until a request is there whole. Who is late is
// cut off at the next look: where the loop has stood still, or the machine, a request that came in
// time waits to be read.

static void cut_slow(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)timer;
    const struct mm_http_server *server = arg;
    uint64_t now_ns = mm_loop_now_ns(loop);
    for (struct mm_http_conn *conn = server->conns; conn; conn = conn->next) {
        if (conn->waiting_ns == 0 || now_ns - conn->waiting_ns < server->request_ns)
            continue;
        // libmicrohttpd owns the socket; it finds it dead and closes it.
        if (conn->is_late)
            (void)shutdown(conn->fd, SHUT_RDWR);
        conn->is_late = true;
    }
}

void mm_http_conn_watch(struct mm_http_server *server, uint32_t request_s)
{
    mm_loop_timer_init(&server->patience, cut_slow, server);
    server->request_ns = (uint64_t)request_s * 1000000000;
    if (request_s > 0)
        mm_loop_timer_start(server->loop, &server->patience, MM_LOOP_MS(500), MM_LOOP_MS(500));
}

void mm_http_conn_open(struct mm_http_server *server, struct MHD_Connection *connection,
                       void **slot)
{
    *slot = NULL;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct mm_http_conn *conn = server->request_ns && info ? mm_calloc(1, sizeof *conn) : NULL;
    if (!conn)
        return; // out of memory: libmicrohttpd's own time-out has to do
    conn->fd = info->connect_fd;
    conn->waiting_ns = mm_loop_now_ns(server->loop);
    conn->next = server->conns;
    conn->link = &server->conns;
    if (conn->next)
        conn->next->link = &conn->next;
    server->conns = conn;
    *slot = conn;
}

void mm_http_conn_close(void **slot)
{
    struct mm_http_conn *conn = *slot;
    *slot = NULL;
    if (!conn)
        return;
    *conn->link = conn->next;
    if (conn->next)
        conn->next->link = conn->link;
    mm_free(conn);
}

void mm_http_conn_waits(struct mm_http_server *server, struct MHD_Connection *connection,
                        bool is_waiting)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct mm_http_conn *conn = info ? info->socket_context : NULL;
    if (!conn)
        return;
    conn->waiting_ns = is_waiting ? mm_loop_now_ns(server->loop) : 0;
    conn->is_late = false;
}
