#include "libcommon/io/stream_socket.h"

#include "gen/stream.pb-c.h"
#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/io/address.h"
#include "libcommon/io/stream_publisher.h"
#include "libcommon/io/stream_socket_internal.h"

// Encrypted connections are nng's; all others the loop reads itself (see sp.h).
struct mm_stream_socket {
    struct mm_stream_socket_tls *tls;
    struct mm_stream_socket_plain *plain;
};

// The bytes every message of this stream and session begins with (see proto/stream.proto).
static struct mm_stream_topic topic_of(const struct mm_stream_socket_options *options)
{
    struct mm_stream_topic topic;
    Mmorts__Stream__StreamMessage head = MMORTS__STREAM__STREAM_MESSAGE__INIT;
    head.stream = (char *)(uintptr_t)options->stream;
    head.session = (char *)(uintptr_t)options->session;
    topic.len = mmorts__stream__stream_message__get_packed_size(&head);
    MM_CHECK(topic.len <= sizeof topic.bytes);
    mmorts__stream__stream_message__pack(&head, topic.bytes);
    return topic;
}

enum mm_err mm_stream_socket_open(struct mm_loop *loop, const char *url,
                                  const struct mm_stream_socket_options *options,
                                  struct mm_stream_socket **out)
{
    *out = NULL;
    struct mm_stream_socket *self = mm_calloc(1, sizeof *self);
    if (!self)
        return MM_RESOURCE_EXHAUSTED;
    struct mm_stream_topic topic = topic_of(options);
    enum mm_err err = mm_address_is_tls(url)
                          ? mm_stream_socket_tls_open(loop, url, options, &topic, &self->tls)
                          : mm_stream_socket_plain_open(loop, url, options, &topic, &self->plain);
    if (err != MM_OK) {
        mm_free(self);
        return err;
    }
    *out = self;
    return MM_OK;
}

void mm_stream_socket_close(struct mm_stream_socket *self)
{
    if (!self)
        return;
    mm_stream_socket_tls_close(self->tls);
    mm_stream_socket_plain_close(self->plain);
    mm_free(self);
}
