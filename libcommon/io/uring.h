#ifndef MM_IO_URING_H
#define MM_IO_URING_H

#include "libcommon/base/err.h"

#include <linux/io_uring.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

// The kernel's io_uring(7) by its own system calls: two queues in memory that is shared with it.
// Requests are written into the one and handed over together; for each the kernel puts an answer
// into the other, in the order in which they are done. One thread at a time.
//
// What is done for each request stands here, to be inlined; the struct's members are for that, and
// the file descriptor for io_uring_register(2).

struct mm_uring {
    int fd;
    unsigned unsubmitted; // requests that were written and not handed over
    unsigned requests_max, requests_mask, requests_end;
    unsigned answers_mask, answers_begin;
    struct io_uring_sqe *requests;
    const struct io_uring_cqe *answers;
    unsigned *requests_tail, *answers_head; // as far as the kernel knows
    const unsigned *answers_tail;
    void *queues;
    size_t queues_bytes, requests_bytes;
};

struct mm_uring_options {
    unsigned requests; // that wait to be handed over; rounded up to a power of two
    unsigned answers;  // that can wait to be taken; 0: twice as many. What happens beyond: NODROP
    unsigned flags;    // IORING_SETUP_..., but for SQPOLL and larger entries
    unsigned features; // IORING_FEAT_..., without which it is of no use
};

// UNIMPLEMENTED: this kernel has no io_uring, or lacks a feature (one of ours since Linux 5.4).
// PERMISSION_DENIED: it is forbidden, as containers' usual seccomp profiles do. Else
// RESOURCE_EXHAUSTED. To be closed also after an error, where that does nothing.
MM_MUST_USE enum mm_err mm_uring_open(struct mm_uring *ring,
                                      const struct mm_uring_options *options);
// What was handed over and not answered may go on for a while, in memory that it was given.
void mm_uring_close(struct mm_uring *ring);

// One more request, all zeros, to be filled in before it is handed over. NULL: there are as many as
// can be.
static inline struct io_uring_sqe *mm_uring_request(struct mm_uring *ring)
{
    if (ring->unsubmitted == ring->requests_max)
        return NULL;
    ring->unsubmitted++;
    struct io_uring_sqe *request = &ring->requests[ring->requests_end++ & ring->requests_mask];
    memset(request, 0, sizeof *request);
    return request;
}

// Hands all requests over and waits until `least` answers are there. A signal, or a kernel that is
// short of memory, may end that early, with requests left: who needs more calls again.
void mm_uring_submit(struct mm_uring *ring, unsigned least);
// The same, and does not wait longer than that. Needs IORING_FEAT_EXT_ARG.
void mm_uring_submit_for(struct mm_uring *ring, unsigned least, uint64_t wait_ns);

// How many answers are there.
static inline unsigned mm_uring_ready(const struct mm_uring *ring)
{
    return __atomic_load_n(ring->answers_tail, __ATOMIC_ACQUIRE) - ring->answers_begin;
}

// The i-th of them, until it is taken.
static inline const struct io_uring_cqe *mm_uring_answer(const struct mm_uring *ring, unsigned i)
{
    return &ring->answers[(ring->answers_begin + i) & ring->answers_mask];
}

// The first `count` were dealt with: the kernel may have their room.
static inline void mm_uring_take(struct mm_uring *ring, unsigned count)
{
    ring->answers_begin += count;
    __atomic_store_n(ring->answers_head, ring->answers_begin, __ATOMIC_RELEASE);
}

#endif
