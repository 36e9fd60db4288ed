#include "libcommon/io/uring.h"

#include "libcommon/base/check.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static size_t max_of(size_t a, size_t b)
{
    return a > b ? a : b;
}

static void *map(const struct mm_uring *ring, size_t bytes, off_t offset)
{
    void *memory =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring->fd, offset);
    if (memory == MAP_FAILED)
        return NULL;
    return memory;
}

// Both queues are in one mapping (IORING_FEAT_SINGLE_MMAP), the requests in another.
static bool map_queues(struct mm_uring *ring, const struct io_uring_params *params)
{
    const struct io_sqring_offsets *requests = &params->sq_off;
    const struct io_cqring_offsets *answers = &params->cq_off;
    ring->queues_bytes = max_of(requests->array + params->sq_entries * sizeof(unsigned),
                                answers->cqes + params->cq_entries * sizeof(struct io_uring_cqe));
    ring->requests_bytes = params->sq_entries * sizeof *ring->requests;
    ring->queues = map(ring, ring->queues_bytes, IORING_OFF_SQ_RING);
    ring->requests = map(ring, ring->requests_bytes, IORING_OFF_SQES);
    if (!ring->queues || !ring->requests)
        return false;
    uint8_t *base = ring->queues;
    ring->requests_max = params->sq_entries;
    ring->requests_mask = *(const unsigned *)(void *)(base + requests->ring_mask);
    ring->requests_tail = (void *)(base + requests->tail);
    ring->answers_mask = *(const unsigned *)(void *)(base + answers->ring_mask);
    ring->answers_head = (void *)(base + answers->head);
    ring->answers_tail = (void *)(base + answers->tail);
    ring->answers = (void *)(base + answers->cqes);
    // Which request is at a place of the queue: always the one of that number.
    unsigned *order = (void *)(base + requests->array);
    for (unsigned i = 0; i < params->sq_entries; i++)
        order[i] = i;
    return true;
}

static enum mm_err setup_error(int error)
{
    switch (error) {
    case ENOSYS:
    case EINVAL: // flags that this kernel does not know
        return MM_UNIMPLEMENTED;
    case EPERM:
    case EACCES:
        return MM_PERMISSION_DENIED;
    default:
        return MM_RESOURCE_EXHAUSTED;
    }
}

enum mm_err mm_uring_open(struct mm_uring *ring, const struct mm_uring_options *options)
{
    unsigned features = options->features | IORING_FEAT_SINGLE_MMAP;
    struct io_uring_params params = {
        .flags = options->flags | (options->answers > 0 ? IORING_SETUP_CQSIZE : 0),
        .cq_entries = options->answers,
    };
    memset(ring, 0, sizeof *ring);
    ring->fd = (int)syscall(SYS_io_uring_setup, options->requests, &params);
    if (ring->fd < 0)
        return setup_error(errno);
    enum mm_err err = MM_OK;
    if ((params.features & features) != features)
        err = MM_UNIMPLEMENTED;
    else if (!map_queues(ring, &params))
        err = MM_RESOURCE_EXHAUSTED;
    if (err != MM_OK)
        mm_uring_close(ring);
    return err;
}

void mm_uring_close(struct mm_uring *ring)
{
    if (ring->fd >= 0)
        (void)close(ring->fd);
    if (ring->requests)
        (void)munmap(ring->requests, ring->requests_bytes);
    if (ring->queues)
        (void)munmap(ring->queues, ring->queues_bytes);
    memset(ring, 0, sizeof *ring);
    ring->fd = -1;
}

static void enter(struct mm_uring *ring, unsigned least, unsigned flags, const void *arg,
                  size_t arg_bytes)
{
    // The kernel must see the requests before it sees that there are some.
    __atomic_store_n(ring->requests_tail, ring->requests_end, __ATOMIC_RELEASE);
    long n = syscall(SYS_io_uring_enter, ring->fd, ring->unsubmitted, least,
                     IORING_ENTER_GETEVENTS | flags, arg, arg_bytes);
    // Whatever else is our own fault.
    MM_CHECK(n >= 0 || errno == ETIME || errno == EINTR || errno == EAGAIN || errno == EBUSY);
    ring->unsubmitted -= n > 0 ? (unsigned)n : 0;
}

void mm_uring_submit(struct mm_uring *ring, unsigned least)
{
    enter(ring, least, 0, NULL, 0);
}

void mm_uring_submit_for(struct mm_uring *ring, unsigned least, uint64_t wait_ns)
{
    struct __kernel_timespec wait = {(int64_t)(wait_ns / 1000000000),
                                     (int64_t)(wait_ns % 1000000000)};
    struct io_uring_getevents_arg arg = {.ts = (uint64_t)(uintptr_t)&wait};
    enter(ring, least, IORING_ENTER_EXT_ARG, &arg, sizeof arg);
}
