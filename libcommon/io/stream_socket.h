#ifndef MM_IO_STREAM_SOCKET_H
#define MM_IO_STREAM_SOCKET_H

#include <nng/nng.h>
#include <stdbool.h>

#include "libcommon/base/err.h"
#include "libcommon/io/rpc.h"

struct mm_loop;
struct mm_stream_socket;

// For stream_reader.c: the SUB socket of one stream and session. It says what comes and when the
// connection comes or goes, and knows nothing of what the messages hold. Everything here is for the
// loop's thread; the callbacks run on it and may close the socket.

struct mm_stream_socket_options {
    const char *stream, *session; // not kept; at most MM_STREAM_NAME_LEN_MAX
    const struct mm_rpc_tls *tls; // not kept
    void *arg;
    void (*on_message)(void *arg, nng_msg *msg); // which is the callee's now
    // Another connection is there than the last time (the old one may have gone in between), or
    // none.
    void (*on_connection)(void *arg, bool connected);
};

// Begins to connect. MM_INVALID_ARGUMENT: not an address.
MM_MUST_USE enum mm_err mm_stream_socket_open(struct mm_loop *loop, const char *url,
                                              const struct mm_stream_socket_options *options,
                                              struct mm_stream_socket **out);

// No callback comes any more. May be NULL.
void mm_stream_socket_close(struct mm_stream_socket *self);

#endif
