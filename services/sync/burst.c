#include "services/sync/burst.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

// The kernel's side is io_uring(7), used by its two system calls: the queues are memory that is
// shared with it. We write requests and move the submission queue's tail; the kernel answers each
// and moves the completion queue's tail. Sends carry MSG_DONTWAIT, so each is over at once.

struct queue {
    unsigned *head, *tail, *mask;
};

struct message {
    void *arg;
    size_t offset, len;
    int result;
};

struct sync_burst {
    int ring;
    void *memory; // both queues
    size_t memory_bytes;
    struct queue submissions, completions;
    unsigned *submission_order; // which request is at a place of the queue
    struct io_uring_sqe *requests;
    size_t requests_bytes;
    struct io_uring_cqe *answers;

    struct message messages[SYNC_BURST_SENDS_MAX];
    size_t count;
    size_t used;     // of data
    size_t reserved; // behind that
    bool flushing;
    uint8_t *data;
};

static size_t max_of(size_t a, size_t b)
{
    return a > b ? a : b;
}

static bool map_queues(struct sync_burst *burst, const struct io_uring_params *params)
{
    // One mapping for both queues, since Linux 5.4; older ones do without bursts.
    if (!(params->features & IORING_FEAT_SINGLE_MMAP))
        return false;
    size_t submissions = params->sq_off.array + params->sq_entries * sizeof(unsigned);
    size_t completions = params->cq_off.cqes + params->cq_entries * sizeof(struct io_uring_cqe);
    burst->memory_bytes = max_of(submissions, completions);
    burst->requests_bytes = params->sq_entries * sizeof *burst->requests;
    int flags = MAP_SHARED | MAP_POPULATE, access = PROT_READ | PROT_WRITE;
    void *memory = mmap(NULL, burst->memory_bytes, access, flags, burst->ring, IORING_OFF_SQ_RING);
    if (memory == MAP_FAILED)
        return false;
    burst->memory = memory;
    void *requests = mmap(NULL, burst->requests_bytes, access, flags, burst->ring, IORING_OFF_SQES);
    if (requests == MAP_FAILED)
        return false;
    burst->requests = requests;
    uint8_t *base = memory;
    burst->submissions =
        (struct queue){(void *)(base + params->sq_off.head), (void *)(base + params->sq_off.tail),
                       (void *)(base + params->sq_off.ring_mask)};
    burst->completions =
        (struct queue){(void *)(base + params->cq_off.head), (void *)(base + params->cq_off.tail),
                       (void *)(base + params->cq_off.ring_mask)};
    burst->submission_order = (void *)(base + params->sq_off.array);
    burst->answers = (void *)(base + params->cq_off.cqes);
    return true;
}

struct sync_burst *sync_burst_new(void)
{
    struct io_uring_params params;
    memset(&params, 0, sizeof params);
    struct sync_burst *burst = mm_calloc(1, sizeof *burst);
    if (!burst)
        return NULL;
    burst->data = mm_malloc(SYNC_BURST_BYTES);
    burst->ring = (int)syscall(SYS_io_uring_setup, SYNC_BURST_SENDS_MAX, &params);
    if (!burst->data || burst->ring < 0 || !map_queues(burst, &params)) {
        sync_burst_free(burst);
        return NULL;
    }
    return burst;
}

void sync_burst_free(struct sync_burst *burst)
{
    if (!burst)
        return;
    if (burst->requests)
        (void)munmap(burst->requests, burst->requests_bytes);
    if (burst->memory)
        (void)munmap(burst->memory, burst->memory_bytes);
    if (burst->ring >= 0)
        (void)close(burst->ring);
    mm_free(burst->data);
    mm_free(burst);
}

uint8_t *sync_burst_reserve(struct sync_burst *burst, size_t bytes)
{
    MM_CHECK(!burst->flushing);
    if (burst->count == SYNC_BURST_SENDS_MAX || bytes > SYNC_BURST_BYTES - burst->used)
        return NULL;
    burst->reserved = bytes;
    return burst->data + burst->used;
}

void sync_burst_add(struct sync_burst *burst, int fd, size_t len, void *arg)
{
    MM_CHECK(len <= burst->reserved);
    unsigned tail = *burst->submissions.tail, at = tail & *burst->submissions.mask;
    struct io_uring_sqe *request = &burst->requests[at];
    memset(request, 0, sizeof *request);
    request->opcode = IORING_OP_SEND;
    request->fd = fd;
    request->addr = (uint64_t)(uintptr_t)(burst->data + burst->used);
    request->len = (uint32_t)len;
    request->msg_flags = MSG_NOSIGNAL | MSG_DONTWAIT;
    request->user_data = burst->count;
    burst->submission_order[at] = at;
    // The kernel must see the request before it sees that there is one.
    __atomic_store_n(burst->submissions.tail, tail + 1, __ATOMIC_RELEASE);
    burst->messages[burst->count++] = (struct message){arg, burst->used, len, -ECANCELED};
    burst->used += len;
    burst->reserved = 0;
}

size_t sync_burst_count(const struct sync_burst *burst)
{
    return burst->count;
}

static size_t take_answers(struct sync_burst *burst)
{
    unsigned head = *burst->completions.head;
    unsigned tail = __atomic_load_n(burst->completions.tail, __ATOMIC_ACQUIRE);
    size_t taken = 0;
    for (; head != tail; head++, taken++) {
        const struct io_uring_cqe *answer = &burst->answers[head & *burst->completions.mask];
        MM_CHECK(answer->user_data < burst->count);
        burst->messages[answer->user_data].result = answer->res;
    }
    __atomic_store_n(burst->completions.head, head, __ATOMIC_RELEASE);
    return taken;
}

// All requests are submitted and answered when this returns: the kernel holds none of our memory.
static void submit_all(struct sync_burst *burst)
{
    size_t answered = 0, left = burst->count;
    while (answered < burst->count) {
        long n = syscall(SYS_io_uring_enter, burst->ring, (unsigned)left,
                         (unsigned)(burst->count - answered), IORING_ENTER_GETEVENTS, NULL, 0);
        // Short of memory the kernel takes fewer at once; whatever else is our own fault.
        MM_CHECK(n >= 0 || errno == EINTR || errno == EAGAIN || errno == EBUSY);
        left -= n > 0 ? (size_t)n : 0;
        answered += take_answers(burst);
    }
}

void sync_burst_flush(struct sync_burst *burst, sync_burst_done_fn done)
{
    if (burst->count == 0)
        return;
    submit_all(burst);
    burst->flushing = true;
    for (size_t i = 0; i < burst->count; i++) {
        const struct message *message = &burst->messages[i];
        done(message->arg, message->result, burst->data + message->offset, message->len);
    }
    burst->flushing = false;
    burst->count = 0;
    burst->used = 0;
}
