#ifndef SYNC_DEFLATE_H
#define SYNC_DEFLATE_H

#include "libcommon/base/buf.h"
#include "libcommon/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// permessage-deflate (RFC 7692). Neither side ever takes its context from one message to the next:
// that is agreed in every handshake. So one compressor and one decompressor serve all connections,
// a connection costs no memory for it, and what is said to many is compressed once.

#define SYNC_DEFLATE_BYTES_MIN      512u // shorter messages are sent as they are
#define SYNC_DEFLATE_RESPONSE_BYTES 128

// What a handshake agreed on.
struct sync_deflate_terms {
    bool on;
    uint8_t window_bits; // at most, of what the server sends: 9..15
};

// Reads Sec-WebSocket-Extensions (NULL: there is none) and takes the first offer that can be met.
// terms->on tells whether there was one; `response` is what the answer must say then.
void sync_deflate_negotiate(const char *offers, struct sync_deflate_terms *terms,
                            char response[SYNC_DEFLATE_RESPONSE_BYTES]);

struct sync_deflate;

// NULL when out of memory.
struct sync_deflate *sync_deflate_new(void);
void sync_deflate_free(struct sync_deflate *deflate);

// The message as it goes into a frame with RSV1 set, valid until the next call; NULL: it is better
// sent as it is (it is short, or would not get shorter, or memory ran out). The same message twice
// in a row is compressed once.
const struct mm_buf *sync_deflate_message(struct sync_deflate *deflate, unsigned window_bits,
                                          const void *data, size_t len);

// Decompresses a message into out, which has room for out_bytes_max + 1. RESOURCE_EXHAUSTED: it
// would be longer than out_bytes_max, and no more than that was decompressed. DATA_LOSS: it is not
// deflate.
enum mm_err MM_MUST_USE sync_deflate_inflate(struct sync_deflate *deflate, const uint8_t *data,
                                             size_t len, uint8_t *out, size_t out_bytes_max,
                                             size_t *len_out);

// Bytes given to sync_deflate_message that it compressed, and what became of them.
uint64_t sync_deflate_bytes_in(const struct sync_deflate *deflate);
uint64_t sync_deflate_bytes_out(const struct sync_deflate *deflate);

#endif
