#include "libcommon/io/stream_fan.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <nng/nng.h>
#include <nng/protocol/pubsub0/pub.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/log.h"
#include "libcommon/io/address.h"
#include "libcommon/io/loop.h"
#include "libcommon/io/nng_close.h"
#include "libcommon/io/sp.h"
#include "libcommon/io/stream_publisher.h"

enum {
    READERS_MAX = 256, // further ones are turned away
    ACCEPTS_PER_TURN = 16,
    GREET_MS = 10000,                            // for a reader to say what it is
    ACCEPT_RETRY_MS = 100,                       // when there are no file descriptors left
    QUEUE = MM_STREAM_SEND_MESSAGES_DEFAULT + 1, // one may be under way
};

// A message as it goes out, shared by all who have not got all of it.
struct frame {
    uint32_t references;
    size_t len; // with header
    uint8_t bytes[];
};

struct reader {
    struct mm_stream_fan *fan;
    struct reader *next, **link; // what points to it
    int fd;
    bool greeted;
    uint8_t greeting[MM_SP_GREETING_BYTES];
    size_t greeting_len;
    struct mm_loop_timer deadline; // of the greeting
    struct frame *queue[QUEUE];    // the oldest first
    uint32_t queued;
    size_t sent; // of the first
};

struct mm_stream_fan {
    struct mm_loop *loop;
    bool by_nng; // encrypted; else all of what follows but `port` is used
    nng_socket socket;
    uint16_t port;
    struct mm_sp_address address;
    int fd; // listens; -1: not yet
    struct mm_loop_timer accept_retry;
    struct reader *readers;
    uint32_t reader_count;
};

// --- readers -------------------------------------------------------------------------------------

static void frame_release(struct frame *frame)
{
    if (--frame->references == 0)
        mm_free(frame);
}

static void reader_end(struct reader *reader)
{
    struct mm_stream_fan *fan = reader->fan;
    mm_loop_timer_stop(fan->loop, &reader->deadline);
    mm_loop_fd_remove(fan->loop, reader->fd);
    close(reader->fd);
    for (uint32_t i = 0; i < reader->queued; i++)
        frame_release(reader->queue[i]);
    *reader->link = reader->next;
    if (reader->next)
        reader->next->link = reader->link;
    fan->reader_count--;
    mm_free(reader);
}

static void dequeue(struct reader *reader, uint32_t i)
{
    frame_release(reader->queue[i]);
    reader->queued--;
    memmove(&reader->queue[i], &reader->queue[i + 1],
            (reader->queued - i) * sizeof reader->queue[0]);
}

// Sends what the socket takes now. May end the reader.
static void flush(struct reader *reader)
{
    while (reader->queued > 0) {
        const struct frame *frame = reader->queue[0];
        ssize_t sent = send(reader->fd, frame->bytes + reader->sent, frame->len - reader->sent,
                            MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && (errno == EAGAIN || errno == ENOBUFS))
            break;
        if (sent < 0) {
            reader_end(reader);
            return;
        }
        reader->sent += (size_t)sent;
        if (reader->sent == frame->len) {
            dequeue(reader, 0);
            reader->sent = 0;
        }
    }
    unsigned events = MM_LOOP_READ | (reader->queued > 0 ? (unsigned)MM_LOOP_WRITE : 0U);
    if (mm_loop_fd_set(reader->fan->loop, reader->fd, events) != MM_OK)
        reader_end(reader);
}

static void enqueue(struct reader *reader, struct frame *frame)
{
    // One that was begun must be ended.
    if (reader->queued == QUEUE)
        dequeue(reader, reader->sent > 0 ? 1 : 0);
    frame->references++;
    reader->queue[reader->queued++] = frame;
    if (reader->queued == 1)
        flush(reader);
}

// Readers only say what they are; then all there is to be read is the end. False: it is not one.
static bool take_greeting(struct reader *reader)
{
    ssize_t got = recv(reader->fd, reader->greeting + reader->greeting_len,
                       sizeof reader->greeting - reader->greeting_len, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (got <= 0)
        return false;
    reader->greeting_len += (size_t)got;
    if (reader->greeting_len < sizeof reader->greeting)
        return true;
    reader->greeted = mm_sp_greeting_is(MM_SP_SUBSCRIBE, reader->greeting);
    mm_loop_timer_stop(reader->fan->loop, &reader->deadline);
    return reader->greeted;
}

static bool is_there(const struct reader *reader)
{
    uint8_t byte;
    ssize_t got = recv(reader->fd, &byte, sizeof byte, MSG_DONTWAIT);
    return got < 0 && (errno == EAGAIN || errno == EINTR);
}

static void on_reader(struct mm_loop *loop, int fd, unsigned events, void *arg)
{
    (void)loop, (void)fd;
    struct reader *reader = arg;
    if (events & MM_LOOP_READ && !(reader->greeted ? is_there(reader) : take_greeting(reader)))
        reader_end(reader);
    else if (events & MM_LOOP_WRITE)
        flush(reader);
}

static void on_deadline(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop, (void)timer;
    reader_end(arg);
}

// Takes fd.
static void reader_begin(struct mm_stream_fan *fan, int fd)
{
    uint8_t greeting[MM_SP_GREETING_BYTES];
    int on = 1;
    mm_sp_greeting_write(MM_SP_PUBLISH, greeting);
    struct reader *reader = fan->reader_count < READERS_MAX ? mm_calloc(1, sizeof *reader) : NULL;
    if (!fan->address.ipc) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        mm_sp_bound_buffers(fd);
    }
    if (!reader ||
        send(fd, greeting, sizeof greeting, MSG_NOSIGNAL | MSG_DONTWAIT) !=
            (ssize_t)sizeof greeting ||
        mm_loop_fd_add(fan->loop, fd, MM_LOOP_READ, on_reader, reader) != MM_OK) {
        mm_free(reader);
        close(fd);
        return;
    }
    reader->fan = fan;
    reader->fd = fd;
    reader->link = &fan->readers;
    reader->next = fan->readers;
    if (reader->next)
        reader->next->link = &reader->next;
    fan->readers = reader;
    fan->reader_count++;
    mm_loop_timer_init(&reader->deadline, on_deadline, reader);
    mm_loop_timer_start(fan->loop, &reader->deadline, MM_LOOP_MS(GREET_MS), 0);
}

static void on_listener(struct mm_loop *loop, int fd, unsigned events, void *arg)
{
    (void)events;
    struct mm_stream_fan *fan = arg;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        struct sockaddr_storage peer;
        socklen_t size = sizeof peer;
        int accepted = accept4(fd, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (accepted >= 0) {
            reader_begin(fan, accepted);
            continue;
        }
        // Who waits would wake the loop again at once.
        bool later = errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
        if (later && mm_loop_fd_set(loop, fd, 0) == MM_OK)
            mm_loop_timer_start(loop, &fan->accept_retry, MM_LOOP_MS(ACCEPT_RETRY_MS), 0);
        return;
    }
}

static void on_accept_retry(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    struct mm_stream_fan *fan = arg;
    if (mm_loop_fd_set(loop, fan->fd, MM_LOOP_READ) != MM_OK)
        mm_loop_timer_start(loop, timer, MM_LOOP_MS(ACCEPT_RETRY_MS), 0);
}

// --- opening and closing -------------------------------------------------------------------------

static enum mm_err open_plain(struct mm_stream_fan *fan, const char *url)
{
    const char *reason;
    if (!mm_sp_address_read(url, &fan->address))
        return MM_INVALID_ARGUMENT;
    enum mm_err err = mm_sp_listen(&fan->address, &fan->fd, &fan->port, &reason);
    if (err != MM_OK) {
        MM_LOG_ERROR("cannot listen", "address=%s reason=%s", url, reason);
        return err;
    }
    return mm_loop_fd_add(fan->loop, fan->fd, MM_LOOP_READ, on_listener, fan);
}

static enum mm_err open_by_nng(struct mm_stream_fan *fan, const char *url,
                               const struct mm_rpc_tls *tls)
{
    int rv = nng_pub0_open(&fan->socket);
    if (rv != 0)
        return mm_nng_err(rv);
    fan->by_nng = true;
    // Few: a slow reader is better served by a gap and a catch-up than by old messages.
    rv = nng_socket_set_int(fan->socket, NNG_OPT_SENDBUF, MM_STREAM_SEND_MESSAGES_DEFAULT);
    return rv == 0 ? mm_nng_listen(fan->socket, url, tls, &fan->port) : mm_nng_err(rv);
}

enum mm_err mm_stream_fan_open(struct mm_loop *loop, const char *url, const struct mm_rpc_tls *tls,
                               struct mm_stream_fan **out)
{
    *out = NULL;
    struct mm_stream_fan *fan = mm_calloc(1, sizeof *fan);
    if (!fan)
        return MM_RESOURCE_EXHAUSTED;
    fan->loop = loop;
    fan->fd = -1;
    mm_loop_timer_init(&fan->accept_retry, on_accept_retry, fan);
    enum mm_err err = mm_address_is_tls(url) ? open_by_nng(fan, url, tls) : open_plain(fan, url);
    if (err != MM_OK) {
        mm_stream_fan_close(fan);
        return err;
    }
    *out = fan;
    return MM_OK;
}

void mm_stream_fan_close(struct mm_stream_fan *fan)
{
    if (!fan)
        return;
    while (fan->readers)
        reader_end(fan->readers);
    mm_loop_timer_stop(fan->loop, &fan->accept_retry);
    if (fan->fd >= 0) {
        mm_loop_fd_remove(fan->loop, fan->fd);
        close(fan->fd);
        if (fan->address.ipc)
            unlink(fan->address.path);
    }
    if (fan->by_nng)
        mm_nng_close(fan->socket);
    mm_free(fan);
}

uint16_t mm_stream_fan_port(const struct mm_stream_fan *fan)
{
    return fan->port;
}

// --- sending -------------------------------------------------------------------------------------

static void send_by_nng(struct mm_stream_fan *fan, struct mm_envelope *envelope)
{
    nng_msg *msg;
    if (mm_envelope_to_msg(envelope, SIZE_MAX, &msg) == MM_OK &&
        nng_sendmsg(fan->socket, msg, NNG_FLAG_NONBLOCK) != 0)
        nng_msg_free(msg);
}

void mm_stream_fan_send(struct mm_stream_fan *fan, struct mm_envelope *envelope)
{
    if (fan->by_nng) {
        send_by_nng(fan, envelope);
        return;
    }
    if (!fan->readers)
        return;
    mm_envelope_measure(envelope);
    size_t header = mm_sp_header_bytes(fan->address.ipc);
    struct frame *frame = mm_malloc(sizeof *frame + header + envelope->len);
    if (!frame)
        return;
    frame->references = 1; // ours
    frame->len = header + envelope->len;
    mm_sp_header_write(fan->address.ipc, envelope->len, frame->bytes);
    mm_envelope_write(envelope, frame->bytes + header);
    for (struct reader *reader = fan->readers, *next; reader; reader = next) {
        next = reader->next; // sending may find that it is gone
        if (reader->greeted)
            enqueue(reader, frame);
    }
    frame_release(frame);
}
