#include "libcommon/base/alloc.h"
#include "libcommon/base/ring.h"
#include "libcommon/base/rng.h"
#include <criterion/criterion.h>

// Both kinds against a plain queue of numbers: what comes out is what went in, in order. Threads
// are in plain_ring_threads.c.
Test(ring, is_a_bounded_queue)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 1);
    struct mm_ring *ring = mm_ring_new(sizeof(uint64_t), 10);
    cr_assert_eq(mm_ring_capacity(ring), 16);
    uint64_t in = 0, out = 0;
    unsigned full = 0, empty = 0;
    for (int i = 0; i < 50000; i++) {
        uint64_t value;
        if (mm_rng_chance(&rng, i % 1000 < 500 ? 6 : 4, 10)) {
            bool pushed = mm_ring_push(ring, &in);
            cr_assert_eq(pushed, in - out < 16);
            in += pushed;
            full += !pushed;
        } else {
            const uint64_t *peeked = mm_ring_peek(ring);
            cr_assert_eq(peeked != NULL, out < in);
            if (peeked)
                cr_assert_eq(*peeked, out);
            bool popped = mm_ring_pop(ring, &value);
            cr_assert_eq(popped, out < in);
            if (popped)
                cr_assert_eq(value, out++);
            empty += !popped;
        }
        cr_assert_eq(mm_ring_count(ring), in - out);
    }
    cr_assert(full > 0 && empty > 0);
    mm_ring_free(ring);
}

Test(ring, mpsc_is_a_bounded_queue)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 2);
    // Three bytes: items need no particular size.
    struct mm_mpsc *ring = mm_mpsc_new(3, 2);
    cr_assert_eq(mm_mpsc_capacity(ring), 2);
    uint64_t in = 0, out = 0;
    for (int i = 0; i < 50000; i++) {
        uint8_t item[3];
        if (mm_rng_chance(&rng, 1, 2)) {
            for (int k = 0; k < 3; k++)
                item[k] = (uint8_t)(in + (uint64_t)k);
            bool pushed = mm_mpsc_push(ring, item);
            cr_assert_eq(pushed, in - out < 2);
            in += pushed;
        } else if (mm_mpsc_pop(ring, item)) {
            for (int k = 0; k < 3; k++)
                cr_assert_eq(item[k], (uint8_t)(out + (uint64_t)k));
            out++;
        } else {
            cr_assert_eq(in, out);
        }
        cr_assert_eq(mm_mpsc_count(ring), in - out);
    }
    mm_mpsc_free(ring);
}

Test(ring, impossible_sizes_and_failing_allocations)
{
    cr_assert_null(mm_ring_new(0, 8));
    cr_assert_null(mm_ring_new(SIZE_MAX / 4, 8));
    cr_assert_null(mm_mpsc_new(0, 8));
    cr_assert_null(mm_mpsc_new(SIZE_MAX / 8, 8));
    for (int64_t n = 0; n < 2; n++) {
        mm_alloc_fail_after(n);
        struct mm_ring *ring = mm_ring_new(8, 8);
        mm_alloc_fail_after(n);
        struct mm_mpsc *mpsc = mm_mpsc_new(8, 8);
        mm_alloc_fail_after(-1);
        cr_assert(!ring && !mpsc);
    }
    mm_ring_free(NULL);
    mm_mpsc_free(NULL);
}
