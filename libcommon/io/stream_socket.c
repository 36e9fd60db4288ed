#include "libcommon/io/stream_socket.h"

#include <nng/protocol/pubsub0/sub.h>
#include <stdint.h>

#include "gen/stream.pb-c.h"
#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/io/loop.h"
#include "libcommon/io/nng_close.h"
#include "libcommon/io/nng_pipe.h"
#include "libcommon/io/rpc_envelope.h"
#include "libcommon/io/stream_publisher.h"

enum {
    RECONNECT_MIN_MS = 50,
    RECONNECT_MAX_MS = 200,
    RECEIVE_MESSAGES = 9, // unread before the oldest drops: rather a gap than old messages
};

struct mm_stream_socket {
    struct mm_loop *loop;
    nng_socket socket;
    int readable; // nng's descriptor, which says that messages are there; -1: not watched
    nng_aio *aio; // takes what is there and never waits
    struct mm_loop_task pipe_changed;
    struct mm_nng_pipe pipe;
    int followed_pipe; // the one last told of
    bool closed;       // but given up on: nng is stuck
    bool handing;      // messages are handed over: closing waits until that is done
    void *arg;
    void (*on_message)(void *arg, nng_msg *msg);
    void (*on_connection)(void *arg, bool connected);
};

static void end(struct mm_stream_socket *self)
{
    if (self->readable >= 0)
        mm_loop_fd_remove(self->loop, self->readable);
    if (!mm_nng_close(self->socket))
        return; // nng may still touch it
    if (self->aio)
        nng_aio_free(self->aio);
    mm_loop_post_cancel(self->loop, &self->pipe_changed);
    mm_free(self);
}

// NULL: none is there. What nng_recvmsg does, which makes an aio for each call.
static nng_msg *take_message(struct mm_stream_socket *self)
{
    nng_recv_aio(self->socket, self->aio);
    nng_aio_wait(self->aio);
    return nng_aio_result(self->aio) == 0 ? nng_aio_get_msg(self->aio) : NULL;
}

// Watching nng's descriptor saves a turn of one of its threads for each message, which an aio's
// callback would take.
static void on_readable(struct mm_loop *loop, int fd, unsigned events, void *arg)
{
    (void)loop;
    (void)fd;
    (void)events;
    struct mm_stream_socket *self = arg;
    // All that is there, so that whoever is behind knows by how much.
    nng_msg *messages[RECEIVE_MESSAGES];
    size_t count = 0;
    while (count < RECEIVE_MESSAGES && (messages[count] = take_message(self)) != NULL)
        count++;
    self->handing = true;
    for (size_t i = 0; i < count; i++) {
        if (self->closed)
            nng_msg_free(messages[i]);
        else
            self->on_message(self->arg, messages[i]);
    }
    self->handing = false;
    if (self->closed)
        end(self);
}

static void on_pipe(nng_pipe pipe, nng_pipe_ev event, void *arg) // nng's thread
{
    struct mm_stream_socket *self = arg;
    mm_nng_pipe_note(&self->pipe, pipe, event);
    mm_loop_post_task(self->loop, &self->pipe_changed);
}

static void on_pipe_changed(struct mm_loop *loop, void *arg)
{
    (void)loop;
    struct mm_stream_socket *self = arg;
    int pipe = mm_nng_pipe_there(&self->pipe);
    if (self->closed || pipe == self->followed_pipe)
        return;
    self->followed_pipe = pipe;
    self->on_connection(self->arg, pipe != 0);
}

// The bytes every message of this stream and session begins with (see proto/stream.proto).
static enum mm_err subscribe(struct mm_stream_socket *self, const char *stream, const char *session)
{
    uint8_t topic[2 * (MM_STREAM_NAME_LEN_MAX + 2)];
    Mmorts__Stream__StreamMessage head = MMORTS__STREAM__STREAM_MESSAGE__INIT;
    head.stream = (char *)(uintptr_t)stream;
    head.session = (char *)(uintptr_t)session;
    size_t len = mmorts__stream__stream_message__get_packed_size(&head);
    MM_CHECK(len <= sizeof topic);
    mmorts__stream__stream_message__pack(&head, topic);
    return mm_nng_err(nng_socket_set(self->socket, NNG_OPT_SUB_SUBSCRIBE, topic, len));
}

static enum mm_err connect_socket(struct mm_stream_socket *self, const char *url,
                                  const struct mm_stream_socket_options *options)
{
    int rv, readable = -1;
    nng_socket socket = self->socket;
    if ((rv = nng_socket_set_int(socket, NNG_OPT_RECVBUF, RECEIVE_MESSAGES)) != 0 ||
        (rv = nng_socket_set_ms(socket, NNG_OPT_RECONNMINT, RECONNECT_MIN_MS)) != 0 ||
        (rv = nng_socket_set_ms(socket, NNG_OPT_RECONNMAXT, RECONNECT_MAX_MS)) != 0 ||
        (rv = nng_socket_set_size(socket, NNG_OPT_RECVMAXSZ, MM_RPC_REPLY_BYTES_MAX)) != 0 ||
        (rv = nng_aio_alloc(&self->aio, NULL, NULL)) != 0 ||
        (rv = nng_socket_get_int(socket, NNG_OPT_RECVFD, &readable)) != 0 ||
        (rv = nng_pipe_notify(socket, NNG_PIPE_EV_ADD_POST, on_pipe, self)) != 0 ||
        (rv = nng_pipe_notify(socket, NNG_PIPE_EV_REM_POST, on_pipe, self)) != 0)
        return mm_nng_err(rv);
    nng_aio_set_timeout(self->aio, NNG_DURATION_ZERO);
    enum mm_err err = mm_loop_fd_add(self->loop, readable, MM_LOOP_READ, on_readable, self);
    if (err != MM_OK)
        return err;
    self->readable = readable;
    err = subscribe(self, options->stream, options->session);
    return err == MM_OK ? mm_nng_dial(socket, url, options->tls) : err;
}

enum mm_err mm_stream_socket_open(struct mm_loop *loop, const char *url,
                                  const struct mm_stream_socket_options *options,
                                  struct mm_stream_socket **out)
{
    *out = NULL;
    struct mm_stream_socket *self = mm_calloc(1, sizeof *self);
    if (!self)
        return MM_RESOURCE_EXHAUSTED;
    self->loop = loop;
    self->readable = -1;
    self->arg = options->arg;
    self->on_message = options->on_message;
    self->on_connection = options->on_connection;
    mm_loop_task_init(&self->pipe_changed, on_pipe_changed, self);
    int rv = nng_sub0_open(&self->socket);
    if (rv != 0) {
        mm_free(self);
        return mm_nng_err(rv);
    }
    enum mm_err err = connect_socket(self, url, options);
    if (err != MM_OK) {
        mm_stream_socket_close(self);
        return err;
    }
    *out = self;
    return MM_OK;
}

void mm_stream_socket_close(struct mm_stream_socket *self)
{
    if (!self)
        return;
    self->closed = true;
    if (!self->handing)
        end(self);
}
