#include "libcommon/io/redis_conn.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/log.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#define READ_BYTES         65536
#define READS_PER_TURN_MAX 16
// More than this of one unfinished reply is nothing that we have asked for.
#define REPLY_BYTES_MAX (64u << 20)

static void conn_close(struct redis_conn *conn, const char *why);
static void conn_attempt(struct redis_conn *conn);

static void out_clear(struct redis_conn *conn)
{
    mm_buf_free(&conn->out);
    mm_buf_init(&conn->out, conn->config->send_bytes_max);
    conn->out_sent = 0;
}

// --- writing -----------------------------------------------------------------------------------

static void conn_watch(struct redis_conn *conn, unsigned events)
{
    if (mm_loop_fd_set(conn->loop, conn->fd, events) != MM_OK)
        conn_close(conn, "cannot be watched");
}

// Everything that this turn has queued goes out with one system call.
static void conn_flush(struct redis_conn *conn)
{
    while (conn->out_sent < conn->out.len) {
        ssize_t sent = send(conn->fd, conn->out.data + conn->out_sent,
                            conn->out.len - conn->out_sent, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            conn_watch(conn, MM_LOOP_READ | MM_LOOP_WRITE);
            return;
        }
        if (sent < 0) {
            conn_close(conn, strerror(errno));
            return;
        }
        conn->out_sent += (size_t)sent;
    }
    mm_buf_reset(&conn->out);
    conn->out_sent = 0;
    conn_watch(conn, MM_LOOP_READ);
}

static void flush_deferred(struct mm_loop *loop, void *arg)
{
    (void)loop;
    struct redis_conn *conn = arg;
    if (conn->state >= REDIS_CONN_GREETING)
        conn_flush(conn);
}

static enum mm_err conn_queue(struct redis_conn *conn, const void *data, size_t size)
{
    if (conn->out_sent > 0 && conn->out.len + size > conn->out.bytes_max) {
        mm_buf_consume(&conn->out, conn->out_sent);
        conn->out_sent = 0;
    }
    if (!mm_buf_reserve(&conn->out, size)) {
        conn->out.err = MM_OK; // only this append is refused, what is queued still goes out
        return MM_RESOURCE_EXHAUSTED;
    }
    mm_buf_append(&conn->out, data, size);
    mm_loop_defer(conn->loop, &conn->flush_task);
    return MM_OK;
}

enum mm_err redis_conn_send(struct redis_conn *conn, const void *data, size_t size)
{
    if (conn->state != REDIS_CONN_UP || conn->fail_pending)
        return MM_UNAVAILABLE;
    return conn_queue(conn, data, size);
}

// --- reading -----------------------------------------------------------------------------------

static void greeting_reply(struct redis_conn *conn, const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_ERROR) {
        // A wrong password, or a server that is still loading its data.
        conn_close(conn, reply->str);
        return;
    }
    if (--conn->greetings_left > 0)
        return;
    mm_loop_timer_stop(conn->loop, &conn->timer);
    conn->state = REDIS_CONN_UP;
    conn->backoff_ms = 0;
    conn->connects++;
    conn->events->up(conn->owner);
}

// Hands on every complete reply that is in the reader. False when the connection was closed.
static bool replies_take(struct redis_conn *conn)
{
    for (;;) {
        void *taken = NULL;
        if (redisReaderGetReply(conn->reader, &taken) != REDIS_OK) {
            conn_close(conn, "protocol error");
            return false;
        }
        if (!taken)
            return true;
        redisReply *reply = taken;
        if (conn->state == REDIS_CONN_UP) {
            conn->in_reply = true;
            conn->events->reply(conn->owner, reply);
            conn->in_reply = false;
        } else {
            greeting_reply(conn, reply);
        }
        freeReplyObject(reply);
        if (conn->fail_pending)
            conn_close(conn, "given up");
        if (conn->state < REDIS_CONN_GREETING)
            return false;
    }
}

static void conn_read(struct redis_conn *conn)
{
    char bytes[READ_BYTES];
    for (int i = 0; i < READS_PER_TURN_MAX; i++) {
        ssize_t got = recv(conn->fd, bytes, sizeof bytes, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (got <= 0) {
            conn_close(conn, got == 0 ? "closed by the server" : strerror(errno));
            return;
        }
        if (redisReaderFeed(conn->reader, bytes, (size_t)got) != REDIS_OK ||
            conn->reader->len > REPLY_BYTES_MAX) {
            conn_close(conn, "reply too large");
            return;
        }
        if (!replies_take(conn) || (size_t)got < sizeof bytes)
            return;
    }
}

// --- connecting --------------------------------------------------------------------------------

static void conn_greet(struct redis_conn *conn)
{
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0) {
        conn_close(conn, strerror(error ? error : errno));
        return;
    }
    conn->state = REDIS_CONN_GREETING;
    conn->greetings_left = 1;
    enum mm_err err = MM_OK;
    if (conn->config->password[0]) {
        char *command = NULL;
        int length = redisFormatCommand(&command, "AUTH %s", conn->config->password);
        err = length > 0 ? conn_queue(conn, command, (size_t)length) : MM_RESOURCE_EXHAUSTED;
        redisFreeCommand(command);
        conn->greetings_left = 2;
    }
    static const char ping[] = "*1\r\n$4\r\nPING\r\n";
    if (err == MM_OK)
        err = conn_queue(conn, ping, sizeof ping - 1);
    if (err != MM_OK)
        conn_close(conn, "out of memory");
    else
        conn_watch(conn, MM_LOOP_READ);
}

static void conn_ready(struct mm_loop *loop, int fd, unsigned events, void *arg)
{
    (void)loop;
    (void)fd;
    struct redis_conn *conn = arg;
    if (conn->state == REDIS_CONN_CONNECTING) {
        conn_greet(conn);
        return;
    }
    if (events & MM_LOOP_WRITE)
        conn_flush(conn);
    if (conn->state >= REDIS_CONN_GREETING && (events & MM_LOOP_READ))
        conn_read(conn);
}

static void conn_connect(enum mm_err err, const struct mm_resolve_result *result, void *arg)
{
    struct redis_conn *conn = arg;
    conn->resolve = NULL;
    if (err != MM_OK) {
        conn_close(conn, "name cannot be looked up");
        return;
    }
    size_t pick = conn->attempts++ % result->count;
    const struct sockaddr *address = (const struct sockaddr *)&result->addresses[pick].address;
    conn->fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (conn->fd < 0) {
        conn_close(conn, strerror(errno));
        return;
    }
    int on = 1;
    (void)setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    conn->reader = redisReaderCreate();
    if (!conn->reader) {
        conn_close(conn, "out of memory");
        return;
    }
    conn->state = REDIS_CONN_CONNECTING;
    if (connect(conn->fd, address, result->addresses[pick].size) != 0 && errno != EINPROGRESS)
        conn_close(conn, strerror(errno));
    else if (mm_loop_fd_add(conn->loop, conn->fd, MM_LOOP_WRITE, conn_ready, conn) != MM_OK)
        conn_close(conn, "cannot be watched");
}

static void timer_fired(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop;
    (void)timer;
    struct redis_conn *conn = arg;
    if (conn->state == REDIS_CONN_WAITING)
        conn_attempt(conn);
    else
        conn_close(conn, "connect time-out");
}

static void conn_attempt(struct redis_conn *conn)
{
    conn->state = REDIS_CONN_RESOLVING;
    mm_loop_timer_start(conn->loop, &conn->timer, MM_LOOP_MS(conn->config->connect_timeout_ms), 0);
    if (mm_resolve_start(conn->loop, conn->config->host, conn->config->port, conn_connect, conn,
                         &conn->resolve) != MM_OK)
        conn_close(conn, "out of memory");
}

// --- life --------------------------------------------------------------------------------------

static void conn_release(struct redis_conn *conn)
{
    mm_resolve_cancel(conn->resolve);
    conn->resolve = NULL;
    mm_loop_timer_stop(conn->loop, &conn->timer);
    mm_loop_defer_cancel(conn->loop, &conn->flush_task);
    if (conn->fd >= 0) {
        mm_loop_fd_remove(conn->loop, conn->fd);
        close(conn->fd);
    }
    conn->fd = -1;
    if (conn->reader)
        redisReaderFree(conn->reader);
    conn->reader = NULL;
    conn->fail_pending = false;
    out_clear(conn);
}

// Ends this attempt or connection and plans the next one.
static void conn_close(struct redis_conn *conn, const char *why)
{
    const struct redis_config *config = conn->config;
    bool was_up = conn->state == REDIS_CONN_UP;
    conn->backoff_ms = conn->backoff_ms ? conn->backoff_ms * 2 : config->backoff_min_ms;
    if (conn->backoff_ms > config->backoff_max_ms)
        conn->backoff_ms = config->backoff_max_ms;
    MM_LOG_WARN("redis connection lost", "connection=%s host=%s port=%u why=%s retry_ms=%u",
                conn->name, config->host, config->port, why, conn->backoff_ms);
    conn_release(conn);
    conn->state = REDIS_CONN_WAITING;
    mm_loop_timer_start(conn->loop, &conn->timer, MM_LOOP_MS(conn->backoff_ms), 0);
    if (was_up)
        conn->events->down(conn->owner);
    else
        conn->connects_failed++;
}

void redis_conn_init(struct redis_conn *conn, struct mm_loop *loop,
                     const struct redis_config *config, const struct redis_conn_events *events,
                     void *owner, const char *name)
{
    *conn = (struct redis_conn){
        .loop = loop, .config = config, .events = events, .owner = owner, .name = name, .fd = -1};
    mm_loop_timer_init(&conn->timer, timer_fired, conn);
    mm_loop_task_init(&conn->flush_task, flush_deferred, conn);
    mm_buf_init(&conn->out, config->send_bytes_max);
}

void redis_conn_start(struct redis_conn *conn)
{
    MM_CHECK(conn->state == REDIS_CONN_OFF);
    conn_attempt(conn);
}

void redis_conn_stop(struct redis_conn *conn)
{
    conn_release(conn);
    conn->state = REDIS_CONN_OFF;
}

void redis_conn_fail(struct redis_conn *conn, const char *why)
{
    if (conn->state != REDIS_CONN_UP)
        return;
    // Inside `reply` the reader is still at work: the close waits for it to return.
    if (conn->in_reply)
        conn->fail_pending = true;
    else
        conn_close(conn, why);
}
