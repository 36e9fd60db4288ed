#include "libcommon/io/http_internal.h"

// libmicrohttpd runs inside the loop: the loop watches its epoll set and its next time-out and
// calls MHD_run.

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

void mm_http_drive_init(struct mm_http_server *server)
{
    mm_loop_timer_init(&server->timer, on_timer, server);
    mm_loop_task_init(&server->run, on_run, server);
}

enum mm_err mm_http_drive_start(struct mm_http_server *server)
{
    server->epoll_fd = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    return mm_loop_fd_add(server->loop, server->epoll_fd, MM_LOOP_READ, on_readable, server);
}

void mm_http_drive_stop(struct mm_http_server *server)
{
    mm_loop_fd_remove(server->loop, server->epoll_fd);
    mm_loop_timer_stop(server->loop, &server->timer);
    mm_loop_defer_cancel(server->loop, &server->run);
}

void mm_http_run_soon(struct mm_http_server *server)
{
    if (!server->is_closing)
        mm_loop_defer(server->loop, &server->run);
}
