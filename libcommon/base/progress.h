#ifndef MM_BASE_PROGRESS_H
#define MM_BASE_PROGRESS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// How long work tells those who wait for it that it gets on, and hears from them that it is no
// longer wanted. The work takes a step at least every few milliseconds of its own time; who watches
// it (libcommon/service/watchdog.h) calls it stuck when no step comes for long. So work that takes
// a minute is left alone, and work that hangs is not. Zeroed memory is one that has not begun.
//
// A function that takes one says so of its argument; NULL: nobody waits.
struct mm_progress {
    _Atomic uint64_t steps;
    _Atomic bool given_up;
    _Atomic bool is_waiting; // for somebody else, who has a deadline of his own: that is not stuck
};

enum { MM_PROGRESS_EVERY = 1024 }; // rows of whatever kind between two steps

// The worker's thread. False: the work is to end as soon as it can, with MM_CANCELLED where it
// returns an error.
static inline bool mm_progress_step(struct mm_progress *progress)
{
    if (progress == NULL)
        return true;
    atomic_fetch_add_explicit(&progress->steps, 1, memory_order_relaxed);
    return !atomic_load_explicit(&progress->given_up, memory_order_relaxed);
}

// The same in a loop over many rows, for each of them: a step now and then.
static inline bool mm_progress_row(struct mm_progress *progress, size_t row)
{
    return row % MM_PROGRESS_EVERY != MM_PROGRESS_EVERY - 1 || mm_progress_step(progress);
}

// memset to 0 and memcpy of what is large, with a step for each piece: memory that nobody has used
// yet has to be found by the kernel first, page by page, which may take longer than anything else.
void mm_progress_zero(struct mm_progress *progress, void *to, size_t bytes);
void mm_progress_copy(struct mm_progress *progress, void *to, const void *from, size_t bytes);

// The worker's thread: it waits from here on, for a database's answer, or does so no longer.
static inline void mm_progress_wait(struct mm_progress *progress, bool waits)
{
    if (progress != NULL)
        atomic_store_explicit(&progress->is_waiting, waits, memory_order_relaxed);
}

// Any thread.
static inline void mm_progress_give_up(struct mm_progress *progress)
{
    atomic_store_explicit(&progress->given_up, true, memory_order_relaxed);
}

static inline bool mm_progress_given_up(const struct mm_progress *progress)
{
    return progress != NULL && atomic_load_explicit(&progress->given_up, memory_order_relaxed);
}

// A number that changes with every step. Any thread.
static inline uint64_t mm_progress_steps(const struct mm_progress *progress)
{
    return atomic_load_explicit(&progress->steps, memory_order_relaxed);
}

#endif
