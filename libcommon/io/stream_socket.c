#include "libcommon/io/stream_socket.h"

#include <nng/protocol/pubsub0/sub.h>
#include <stdatomic.h>
#include <stdint.h>

#include "gen/stream.pb-c.h"
#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/io/loop.h"
#include "libcommon/io/nng_close.h"
#include "libcommon/io/rpc_envelope.h"
#include "libcommon/io/stream_publisher.h"

enum {
    RECONNECT_MIN_MS = 50,
    RECONNECT_MAX_MS = 200,
    RECEIVE_MESSAGES = 8, // unread before the oldest drops: rather a gap than old messages
};

struct mm_stream_socket {
    struct mm_loop *loop;
    nng_socket socket;
    nng_aio *aio;      // receives the next message; its callback only posts
    nng_msg *live_msg; // which came, between the callback and the loop
    struct mm_loop_task received, pipe_changed;
    atomic_int pipe;   // id of the connection that is there; 0 = none
    int followed_pipe; // the one last told of
    bool closed;       // but given up on: nng is stuck
    void *arg;
    void (*on_message)(void *arg, nng_msg *msg);
    void (*on_connection)(void *arg, bool connected);
};

static void on_aio(void *arg) // nng's thread
{
    struct mm_stream_socket *self = arg;
    int rv = nng_aio_result(self->aio);
    self->live_msg = rv == 0 ? nng_aio_get_msg(self->aio) : NULL;
    if (rv != NNG_ECLOSED && rv != NNG_ECANCELED)
        mm_loop_post_task(self->loop, &self->received);
}

static void on_received(struct mm_loop *loop, void *arg)
{
    (void)loop;
    struct mm_stream_socket *self = arg;
    if (self->closed)
        return;
    nng_msg *msg = self->live_msg;
    self->live_msg = NULL;
    nng_recv_aio(self->socket, self->aio);
    if (msg)
        self->on_message(self->arg, msg);
}

static void on_pipe(nng_pipe pipe, nng_pipe_ev event, void *arg) // nng's thread
{
    struct mm_stream_socket *self = arg;
    int id = nng_pipe_id(pipe);
    if (event == NNG_PIPE_EV_ADD_POST)
        atomic_store(&self->pipe, id);
    else // only the end of the connection that is there counts
        atomic_compare_exchange_strong(&self->pipe, &id, 0);
    mm_loop_post_task(self->loop, &self->pipe_changed);
}

static void on_pipe_changed(struct mm_loop *loop, void *arg)
{
    (void)loop;
    struct mm_stream_socket *self = arg;
    int pipe = atomic_load(&self->pipe);
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
    int rv;
    nng_socket socket = self->socket;
    if ((rv = nng_socket_set_int(socket, NNG_OPT_RECVBUF, RECEIVE_MESSAGES)) != 0 ||
        (rv = nng_socket_set_ms(socket, NNG_OPT_RECONNMINT, RECONNECT_MIN_MS)) != 0 ||
        (rv = nng_socket_set_ms(socket, NNG_OPT_RECONNMAXT, RECONNECT_MAX_MS)) != 0 ||
        (rv = nng_socket_set_size(socket, NNG_OPT_RECVMAXSZ, MM_RPC_REPLY_BYTES_MAX)) != 0 ||
        (rv = nng_aio_alloc(&self->aio, on_aio, self)) != 0 ||
        (rv = nng_pipe_notify(socket, NNG_PIPE_EV_ADD_POST, on_pipe, self)) != 0 ||
        (rv = nng_pipe_notify(socket, NNG_PIPE_EV_REM_POST, on_pipe, self)) != 0)
        return mm_nng_err(rv);
    nng_aio_set_timeout(self->aio, NNG_DURATION_INFINITE);
    enum mm_err err = subscribe(self, options->stream, options->session);
    if (err == MM_OK)
        err = mm_nng_dial(socket, url, options->tls);
    if (err == MM_OK)
        nng_recv_aio(socket, self->aio);
    return err;
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
    self->arg = options->arg;
    self->on_message = options->on_message;
    self->on_connection = options->on_connection;
    mm_loop_task_init(&self->received, on_received, self);
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
    if (!mm_nng_close(self->socket))
        return; // nng may still touch it
    if (self->aio) {
        nng_aio_stop(self->aio);
        nng_aio_free(self->aio);
    }
    if (self->live_msg)
        nng_msg_free(self->live_msg);
    mm_loop_post_cancel(self->loop, &self->received);
    mm_loop_post_cancel(self->loop, &self->pipe_changed);
    mm_free(self);
}
