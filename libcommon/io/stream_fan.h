#ifndef MM_IO_STREAM_FAN_H
#define MM_IO_STREAM_FAN_H

#include <stdint.h>

#include "libcommon/base/err.h"
#include "libcommon/io/rpc_envelope.h"

struct mm_loop;
struct mm_stream_fan;

// For stream_publisher.c: the PUB socket, which sends each message to all who are connected. Never
// waits: whoever does not read fast enough loses the oldest messages that wait for it, at most
// MM_STREAM_SEND_MESSAGES_DEFAULT. Everything here is for the loop's thread.

// Listens. The errors of mm_stream_hub_open.
MM_MUST_USE enum mm_err mm_stream_fan_open(struct mm_loop *loop, const char *url,
                                           const struct mm_rpc_tls *tls,
                                           struct mm_stream_fan **out);
// Ends all connections. May be NULL.
void mm_stream_fan_close(struct mm_stream_fan *fan);

// The TCP port listened at; 0 for other transports.
uint16_t mm_stream_fan_port(const struct mm_stream_fan *fan);

// Borrows the envelope, which need not be measured. Out of memory, nobody gets it.
void mm_stream_fan_send(struct mm_stream_fan *fan, struct mm_envelope *envelope);

#endif
