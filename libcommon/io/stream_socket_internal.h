#ifndef MM_IO_STREAM_SOCKET_INTERNAL_H
#define MM_IO_STREAM_SOCKET_INTERNAL_H

#include "libcommon/io/stream_publisher.h"
#include "libcommon/io/stream_socket.h"

// The two kinds of socket behind stream_socket.h. Errors, threads and callbacks are as there.

struct mm_stream_topic {
    uint8_t bytes[2 * (MM_STREAM_NAME_LEN_MAX + 2)];
    size_t len;
};

// stream_socket_tls.c: by nng, for addresses that are encrypted (it takes all others as well).
struct mm_stream_socket_tls;
MM_MUST_USE enum mm_err mm_stream_socket_tls_open(struct mm_loop *loop, const char *url,
                                                  const struct mm_stream_socket_options *options,
                                                  const struct mm_stream_topic *topic,
                                                  struct mm_stream_socket_tls **out);
void mm_stream_socket_tls_close(struct mm_stream_socket_tls *self);

// stream_socket_plain.c: read by the loop itself.
struct mm_stream_socket_plain;
MM_MUST_USE enum mm_err mm_stream_socket_plain_open(struct mm_loop *loop, const char *url,
                                                    const struct mm_stream_socket_options *options,
                                                    const struct mm_stream_topic *topic,
                                                    struct mm_stream_socket_plain **out);
void mm_stream_socket_plain_close(struct mm_stream_socket_plain *self);

#endif
