#include "libcommon/io/stream_socket_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "libcommon/base/alloc.h"
#include "libcommon/io/loop.h"
#include "libcommon/io/resolve.h"
#include "libcommon/io/rpc.h"
#include "libcommon/io/sp.h"

enum {
    RECONNECT_MIN_MS = 50,
    RECONNECT_MAX_MS = 200,
    CONNECT_MS = 10000, // until it is connected and greeted; then it is begun anew
    READ_BYTES = 64 << 10,
    READS_PER_TURN = 16, // then the loop's other work has its turn
};

enum state { RESTING, RESOLVING, CONNECTING, GREETING, OPEN };

struct mm_stream_socket_plain {
    struct mm_loop *loop;
    struct mm_stream_topic topic;
    struct mm_sp_address address;
    enum state state;
    int fd; // -1: none
    struct mm_resolve *resolve;
    struct mm_loop_timer timer; // RESTING: the next attempt; until it is OPEN: the end of this one
    uint32_t retry_ms, attempts;
    uint8_t head[MM_SP_HEADER_BYTES_MAX]; // of the greeting or the next message
    size_t head_len;
    nng_msg *msg; // being received
    size_t msg_len;
    bool in_callback, closed; // closed in its callback, it is freed after it
    void *arg;
    void (*on_message)(void *arg, nng_msg *msg);
    void (*on_connection)(void *arg, bool connected);
    uint8_t in[READ_BYTES];
};

static void connection_end(struct mm_stream_socket_plain *self)
{
    mm_resolve_cancel(self->resolve);
    self->resolve = NULL;
    mm_loop_timer_stop(self->loop, &self->timer);
    if (self->fd >= 0) {
        mm_loop_fd_remove(self->loop, self->fd);
        close(self->fd);
    }
    self->fd = -1;
    if (self->msg)
        nng_msg_free(self->msg);
    self->msg = NULL;
    self->head_len = 0;
}

// Callbacks. False: the socket was closed in it, and is no more.

static bool callback_done(struct mm_stream_socket_plain *self)
{
    bool closed = self->closed;
    self->in_callback = false;
    if (closed)
        mm_free(self);
    return !closed;
}

static bool tell_connection(struct mm_stream_socket_plain *self, bool connected)
{
    self->in_callback = true;
    self->on_connection(self->arg, connected);
    return callback_done(self);
}

static bool tell_message(struct mm_stream_socket_plain *self)
{
    nng_msg *msg = self->msg;
    self->msg = NULL;
    if (nng_msg_len(msg) < self->topic.len ||
        memcmp(nng_msg_body(msg), self->topic.bytes, self->topic.len) != 0) {
        nng_msg_free(msg); // of another stream
        return true;
    }
    self->in_callback = true;
    self->on_message(self->arg, msg);
    return callback_done(self);
}

// The connection is no more, or none came about. Returns false, for who is in the midst of reading.
static bool lose(struct mm_stream_socket_plain *self)
{
    bool was_open = self->state == OPEN;
    connection_end(self);
    self->state = RESTING;
    mm_loop_timer_start(self->loop, &self->timer, MM_LOOP_MS(self->retry_ms), 0);
    self->retry_ms =
        2 * self->retry_ms < RECONNECT_MAX_MS ? 2 * self->retry_ms : (uint32_t)RECONNECT_MAX_MS;
    if (was_open)
        (void)tell_connection(self, false);
    return false;
}

// --- reading -------------------------------------------------------------------------------------

static bool take_greeting(struct mm_stream_socket_plain *self)
{
    if (!mm_sp_greeting_is(MM_SP_PUBLISH, self->head))
        return lose(self);
    self->head_len = 0;
    self->state = OPEN;
    self->retry_ms = RECONNECT_MIN_MS;
    mm_loop_timer_stop(self->loop, &self->timer);
    return tell_connection(self, true);
}

static bool take_header(struct mm_stream_socket_plain *self)
{
    uint64_t len;
    self->head_len = 0;
    if (!mm_sp_header_read(self->address.ipc, self->head, &len) || len > MM_RPC_REPLY_BYTES_MAX ||
        nng_msg_alloc(&self->msg, (size_t)len) != 0)
        return lose(self);
    self->msg_len = 0;
    return len > 0 || tell_message(self);
}

// What of the message being received is still to come.
static size_t body_left(const struct mm_stream_socket_plain *self)
{
    return self->msg ? nng_msg_len(self->msg) - self->msg_len : 0;
}

static bool body_came(struct mm_stream_socket_plain *self, size_t len)
{
    self->msg_len += len;
    return body_left(self) > 0 || tell_message(self);
}

// False: stop reading, the connection or the socket itself is gone.
static bool take(struct mm_stream_socket_plain *self, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        bool greeting = self->state == GREETING;
        size_t head_wanted =
            greeting ? MM_SP_GREETING_BYTES : mm_sp_header_bytes(self->address.ipc);
        size_t wanted = self->msg ? body_left(self) : head_wanted - self->head_len;
        size_t taken = len < wanted ? len : wanted;
        const uint8_t *from = bytes;
        bytes += taken;
        len -= taken;
        if (self->msg) {
            memcpy((uint8_t *)nng_msg_body(self->msg) + self->msg_len, from, taken);
            if (!body_came(self, taken))
                return false;
            continue;
        }
        memcpy(self->head + self->head_len, from, taken);
        self->head_len += taken;
        if (self->head_len == head_wanted && !(greeting ? take_greeting(self) : take_header(self)))
            return false;
    }
    return true;
}

static void on_readable(struct mm_stream_socket_plain *self)
{
    for (int i = 0; i < READS_PER_TURN; i++) {
        // What is larger than the buffer goes to where it belongs at once.
        size_t left = body_left(self);
        bool straight = left > sizeof self->in;
        uint8_t *to = straight ? (uint8_t *)nng_msg_body(self->msg) + self->msg_len : self->in;
        size_t room = straight ? left : sizeof self->in;
        ssize_t got = recv(self->fd, to, room, MSG_DONTWAIT);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (got <= 0) {
            (void)lose(self);
            return;
        }
        bool goes_on = straight ? body_came(self, (size_t)got) : take(self, to, (size_t)got);
        if (!goes_on || (size_t)got < room)
            return;
    }
}

// --- connecting ----------------------------------------------------------------------------------

static void greet(struct mm_stream_socket_plain *self)
{
    uint8_t greeting[MM_SP_GREETING_BYTES];
    int error = 0;
    socklen_t size = sizeof error;
    mm_sp_greeting_write(MM_SP_SUBSCRIBE, greeting);
    if (getsockopt(self->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0 ||
        send(self->fd, greeting, sizeof greeting, MSG_NOSIGNAL | MSG_DONTWAIT) !=
            (ssize_t)sizeof greeting ||
        mm_loop_fd_set(self->loop, self->fd, MM_LOOP_READ) != MM_OK) {
        (void)lose(self);
        return;
    }
    self->state = GREETING;
}

static void on_ready(struct mm_loop *loop, int fd, unsigned events, void *arg)
{
    (void)loop, (void)fd, (void)events;
    struct mm_stream_socket_plain *self = arg;
    if (self->state == CONNECTING)
        greet(self);
    else
        on_readable(self);
}

static void connect_to(struct mm_stream_socket_plain *self, const struct sockaddr *address,
                       socklen_t size)
{
    self->state = CONNECTING;
    self->fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (self->fd >= 0 && !self->address.ipc)
        mm_sp_bound_buffers(self->fd);
    if (self->fd < 0 || (connect(self->fd, address, size) != 0 && errno != EINPROGRESS) ||
        mm_loop_fd_add(self->loop, self->fd, MM_LOOP_WRITE, on_ready, self) != MM_OK)
        (void)lose(self);
}

static void on_resolved(enum mm_err err, const struct mm_resolve_result *result, void *arg)
{
    struct mm_stream_socket_plain *self = arg;
    self->resolve = NULL;
    if (err != MM_OK) {
        (void)lose(self);
        return;
    }
    size_t i = self->attempts % result->count; // one after the other
    connect_to(self, (const struct sockaddr *)&result->addresses[i].address,
               result->addresses[i].size);
}

static void attempt(struct mm_stream_socket_plain *self)
{
    self->attempts++;
    mm_loop_timer_start(self->loop, &self->timer, MM_LOOP_MS(CONNECT_MS), 0);
    if (self->address.ipc) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        memcpy(address.sun_path, self->address.path, sizeof address.sun_path);
        connect_to(self, (const struct sockaddr *)&address, sizeof address);
        return;
    }
    self->state = RESOLVING;
    if (mm_resolve_start(self->loop, self->address.host, self->address.port, on_resolved, self,
                         &self->resolve) != MM_OK)
        (void)lose(self);
}

static void on_timer(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop, (void)timer;
    struct mm_stream_socket_plain *self = arg;
    if (self->state == RESTING)
        attempt(self);
    else
        (void)lose(self);
}

// --- opening and closing -------------------------------------------------------------------------

enum mm_err mm_stream_socket_plain_open(struct mm_loop *loop, const char *url,
                                        const struct mm_stream_socket_options *options,
                                        const struct mm_stream_topic *topic,
                                        struct mm_stream_socket_plain **out)
{
    *out = NULL;
    struct mm_stream_socket_plain *self = mm_calloc(1, sizeof *self);
    if (!self)
        return MM_RESOURCE_EXHAUSTED;
    if (!mm_sp_address_read(url, &self->address)) {
        mm_free(self);
        return MM_INVALID_ARGUMENT;
    }
    self->loop = loop;
    self->topic = *topic;
    self->fd = -1;
    self->retry_ms = RECONNECT_MIN_MS;
    self->arg = options->arg;
    self->on_message = options->on_message;
    self->on_connection = options->on_connection;
    mm_loop_timer_init(&self->timer, on_timer, self);
    attempt(self);
    *out = self;
    return MM_OK;
}

void mm_stream_socket_plain_close(struct mm_stream_socket_plain *self)
{
    if (!self)
        return;
    connection_end(self);
    self->closed = true;
    if (!self->in_callback)
        mm_free(self);
}
