#include "libcommon/base/ring.h"

#include "libcommon/base/alloc.h"
#include <stdalign.h>
#include <stdatomic.h>
#include <string.h>

enum { CACHE_LINE_BYTES = 64 };
static const size_t capacity_max = (size_t)1 << 30;

static size_t round_capacity(size_t capacity)
{
    size_t rounded = 2;
    while (rounded < capacity && rounded < capacity_max)
        rounded *= 2;
    return rounded;
}

// --- single producer, single consumer ------------------------------------------------------------

// head and tail count all items ever popped and pushed. Each side owns one and reads the other's
// only when its remembered copy says full or empty; own cache lines keep the sides apart.
struct mm_ring {
    size_t item_bytes;
    size_t mask;
    uint8_t *items;
    alignas(CACHE_LINE_BYTES) _Atomic size_t tail;
    size_t head_seen;
    alignas(CACHE_LINE_BYTES) _Atomic size_t head;
    size_t tail_seen;
};

struct mm_ring *mm_ring_new(size_t item_bytes, size_t capacity)
{
    capacity = round_capacity(capacity);
    if (item_bytes == 0 || item_bytes > SIZE_MAX / capacity)
        return NULL;
    struct mm_ring *ring = mm_calloc_aligned(CACHE_LINE_BYTES, sizeof *ring);
    if (!ring)
        return NULL;
    ring->item_bytes = item_bytes;
    ring->mask = capacity - 1;
    ring->items = mm_malloc(item_bytes * capacity);
    if (!ring->items) {
        mm_free(ring);
        return NULL;
    }
    return ring;
}

void mm_ring_free(struct mm_ring *ring)
{
    if (!ring)
        return;
    mm_free(ring->items);
    mm_free(ring);
}

bool mm_ring_push(struct mm_ring *ring, const void *item)
{
    size_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    if (tail - ring->head_seen > ring->mask) {
        ring->head_seen = atomic_load_explicit(&ring->head, memory_order_acquire);
        if (tail - ring->head_seen > ring->mask)
            return false;
    }
    memcpy(ring->items + (tail & ring->mask) * ring->item_bytes, item, ring->item_bytes);
    atomic_store_explicit(&ring->tail, tail + 1, memory_order_release);
    return true;
}

void *mm_ring_peek(struct mm_ring *ring)
{
    size_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    if (head == ring->tail_seen) {
        ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
        if (head == ring->tail_seen)
            return NULL;
    }
    return ring->items + (head & ring->mask) * ring->item_bytes;
}

bool mm_ring_pop(struct mm_ring *ring, void *item_out)
{
    const void *item = mm_ring_peek(ring);
    if (!item)
        return false;
    memcpy(item_out, item, ring->item_bytes);
    size_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    atomic_store_explicit(&ring->head, head + 1, memory_order_release);
    return true;
}

size_t mm_ring_count(const struct mm_ring *ring)
{
    // head first: tail only grows, so the difference cannot come out negative.
    size_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
    size_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
    size_t count = tail - head;
    return count <= ring->mask ? count : ring->mask + 1;
}

size_t mm_ring_capacity(const struct mm_ring *ring)
{
    return ring->mask + 1;
}

// --- many producers, single consumer -------------------------------------------------------------

// Each slot carries a sequence number: equal to the position when the slot is free for the push of
// that position, position + 1 when that push is complete, position + capacity after its pop.
struct mm_mpsc {
    size_t item_bytes;
    size_t stride;
    size_t mask;
    uint8_t *slots;
    alignas(CACHE_LINE_BYTES) _Atomic size_t tail;
    alignas(CACHE_LINE_BYTES) _Atomic size_t head;
};

struct slot {
    _Atomic size_t sequence;
    alignas(max_align_t) uint8_t item[];
};

static struct slot *slot_at(const struct mm_mpsc *ring, size_t position)
{
    return (struct slot *)(ring->slots + (position & ring->mask) * ring->stride);
}

struct mm_mpsc *mm_mpsc_new(size_t item_bytes, size_t capacity)
{
    enum { ALIGN = alignof(max_align_t) };
    capacity = round_capacity(capacity);
    if (item_bytes == 0 || item_bytes > SIZE_MAX / capacity / 4)
        return NULL;
    struct mm_mpsc *ring = mm_calloc_aligned(CACHE_LINE_BYTES, sizeof *ring);
    if (!ring)
        return NULL;
    ring->item_bytes = item_bytes;
    ring->stride = sizeof(struct slot) + (item_bytes + ALIGN - 1) / ALIGN * ALIGN;
    ring->mask = capacity - 1;
    ring->slots = mm_calloc(capacity, ring->stride);
    if (!ring->slots) {
        mm_free(ring);
        return NULL;
    }
    for (size_t i = 0; i < capacity; i++)
        atomic_init(&slot_at(ring, i)->sequence, i);
    return ring;
}

void mm_mpsc_free(struct mm_mpsc *ring)
{
    if (!ring)
        return;
    mm_free(ring->slots);
    mm_free(ring);
}

bool mm_mpsc_push(struct mm_mpsc *ring, const void *item)
{
    size_t position = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    for (;;) {
        struct slot *slot = slot_at(ring, position);
        size_t sequence = atomic_load_explicit(&slot->sequence, memory_order_acquire);
        if (sequence == position) {
            if (atomic_compare_exchange_weak_explicit(&ring->tail, &position, position + 1,
                                                      memory_order_relaxed, memory_order_relaxed)) {
                memcpy(slot->item, item, ring->item_bytes);
                atomic_store_explicit(&slot->sequence, position + 1, memory_order_release);
                return true;
            }
        } else if ((ptrdiff_t)(sequence - position) < 0) {
            return false; // the slot still holds the item of one lap ago
        } else {
            position = atomic_load_explicit(&ring->tail, memory_order_relaxed);
        }
    }
}

bool mm_mpsc_pop(struct mm_mpsc *ring, void *item_out)
{
    size_t position = atomic_load_explicit(&ring->head, memory_order_relaxed);
    struct slot *slot = slot_at(ring, position);
    if (atomic_load_explicit(&slot->sequence, memory_order_acquire) != position + 1)
        return false;
    memcpy(item_out, slot->item, ring->item_bytes);
    atomic_store_explicit(&slot->sequence, position + ring->mask + 1, memory_order_release);
    atomic_store_explicit(&ring->head, position + 1, memory_order_release);
    return true;
}

size_t mm_mpsc_count(const struct mm_mpsc *ring)
{
    size_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
    size_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
    size_t count = tail - head;
    return count <= ring->mask ? count : ring->mask + 1;
}

size_t mm_mpsc_capacity(const struct mm_mpsc *ring)
{
    return ring->mask + 1;
}
