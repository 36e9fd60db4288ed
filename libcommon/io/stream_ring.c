#include "libcommon/io/stream_ring.h"

#include "libcommon/base/alloc.h"

enum mm_err mm_stream_ring_init(struct mm_stream_ring *ring, uint32_t messages_max,
                                size_t bytes_max)
{
    *ring = (struct mm_stream_ring){.held = mm_calloc(messages_max, sizeof *ring->held),
                                    .capacity = messages_max,
                                    .oldest = 1,
                                    .bytes_max = bytes_max};
    return ring->held ? MM_OK : MM_RESOURCE_EXHAUSTED;
}

struct mm_stream_held *mm_stream_ring_at(const struct mm_stream_ring *ring, uint64_t seq)
{
    return &ring->held[(seq - 1) % ring->capacity];
}

static void drop_oldest(struct mm_stream_ring *ring)
{
    struct mm_stream_held *held = mm_stream_ring_at(ring, ring->oldest++);
    ring->bytes -= held->len;
    mm_free(held->body);
    held->body = NULL;
}

void mm_stream_ring_push(struct mm_stream_ring *ring, uint8_t *body, size_t len, uint64_t tick)
{
    if (ring->newest + 1 - ring->oldest == ring->capacity)
        drop_oldest(ring);
    ring->newest++;
    *mm_stream_ring_at(ring, ring->newest) =
        (struct mm_stream_held){.body = body, .len = len, .tick = tick};
    ring->bytes += len;
    while (ring->bytes > ring->bytes_max)
        drop_oldest(ring);
}

void mm_stream_ring_free(struct mm_stream_ring *ring)
{
    while (ring->held && ring->oldest <= ring->newest)
        drop_oldest(ring);
    mm_free(ring->held);
}
