#ifndef MM_BASE_RING_H
#define MM_BASE_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Bounded queues of fixed-size items, copied in and out. When full, a push is refused: the caller
// decides what that means.

// One producer thread, one consumer thread (they may be the same); lock-free.
struct mm_ring;

// Capacity is rounded up to a power of two (2..2^30). NULL when out of memory.
struct mm_ring *mm_ring_new(size_t item_bytes, size_t capacity);
void mm_ring_free(struct mm_ring *ring);
// Producer. False when full.
bool mm_ring_push(struct mm_ring *ring, const void *item);
// Consumer. False when empty.
bool mm_ring_pop(struct mm_ring *ring, void *item_out);
// Consumer: the oldest item in place, valid until the next pop; NULL when empty.
void *mm_ring_peek(struct mm_ring *ring);
// Any thread; a moment's value.
size_t mm_ring_count(const struct mm_ring *ring);
size_t mm_ring_capacity(const struct mm_ring *ring);

// Any number of producer threads, one consumer thread; lock-free. Used for posting into a loop.
// Items of one producer keep their order. (Source: D. Vyukov, bounded MPMC queue.)
struct mm_mpsc;

struct mm_mpsc *mm_mpsc_new(size_t item_bytes, size_t capacity);
void mm_mpsc_free(struct mm_mpsc *ring);
// Any thread. False when full.
bool mm_mpsc_push(struct mm_mpsc *ring, const void *item);
// Consumer. False when empty (or when the oldest producer has not finished its push yet).
bool mm_mpsc_pop(struct mm_mpsc *ring, void *item_out);
// Any thread; a moment's value, for metrics.
size_t mm_mpsc_count(const struct mm_mpsc *ring);
size_t mm_mpsc_capacity(const struct mm_mpsc *ring);

#endif
