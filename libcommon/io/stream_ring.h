#ifndef MM_IO_STREAM_RING_H
#define MM_IO_STREAM_RING_H

#include <stddef.h>
#include <stdint.h>

#include "libcommon/base/err.h"

// The last messages of a stream, bounded in number and in bytes: the oldest leave. Used by one
// thread.

struct mm_stream_held {
    uint8_t *body; // packed
    size_t len;
    uint64_t tick;
};

// Message seq is there for oldest <= seq <= newest; none is when oldest == newest + 1.
struct mm_stream_ring {
    struct mm_stream_held *held;
    uint32_t capacity;
    uint64_t oldest, newest;
    size_t bytes, bytes_max;
};

// Empty; the first message will be 1. MM_RESOURCE_EXHAUSTED: memory.
MM_MUST_USE enum mm_err mm_stream_ring_init(struct mm_stream_ring *ring, uint32_t messages_max,
                                            size_t bytes_max);
void mm_stream_ring_free(struct mm_stream_ring *ring);

// A message that is there.
struct mm_stream_held *mm_stream_ring_at(const struct mm_stream_ring *ring, uint64_t seq);

// Takes body (from mm_malloc) as message newest + 1. Where it does not fit, the oldest leave; a
// message larger than the whole ring leaves too.
void mm_stream_ring_push(struct mm_stream_ring *ring, uint8_t *body, size_t len, uint64_t tick);

#endif
