#include "tests/support/load_ring.h"

#include "libcommon/base/check.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

// One request for each socket, which receives again and again ("multishot"), each time into one of
// our buffers: a header, the control message with the stamp, and what came. The kernel finds out
// that there is something to receive as it would for poll(), but receives it only when this thread
// looks (IORING_SETUP_DEFER_TASKRUN).

enum {
    REQUESTS = 256, // on their way to the kernel
    ANSWERS = 4096,
    BUFFERS = 1024,
    BUFFER_BYTES = 2048,
    CONTROL_BYTES = CMSG_SPACE(sizeof(struct timespec)),
};

#define TAG_NONE UINT64_MAX // of requests whose answers say nothing

struct load_ring {
    int fd;
    uint8_t *queues, *buffers;
    size_t queues_bytes;
    struct io_uring_sqe *requests;
    unsigned *requests_tail, *requests_mask, *requests_order;
    unsigned *answers_head, *answers_tail, *answers_mask;
    struct io_uring_cqe *answers;
    struct io_uring_buf_ring *free_buffers;
    unsigned unsubmitted;
    uint16_t free_tail;
    uint16_t told[LOAD_RING_LOOK]; // buffers that the caller has
    unsigned told_count;
    struct msghdr shape;
};

static size_t max_of(size_t a, size_t b)
{
    return a > b ? a : b;
}

static void *mapped(size_t bytes, int fd, off_t offset)
{
    int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED | MAP_POPULATE;
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, fd, offset);
    if (memory == MAP_FAILED)
        return NULL;
    return memory;
}

static bool map_queues(struct load_ring *ring, const struct io_uring_params *params)
{
    const struct io_sqring_offsets *requests = &params->sq_off;
    const struct io_cqring_offsets *answers = &params->cq_off;
    ring->queues_bytes = max_of(requests->array + params->sq_entries * sizeof(unsigned),
                                answers->cqes + params->cq_entries * sizeof(struct io_uring_cqe));
    ring->queues = mapped(ring->queues_bytes, ring->fd, IORING_OFF_SQ_RING);
    ring->requests = mapped(REQUESTS * sizeof *ring->requests, ring->fd, IORING_OFF_SQES);
    if (!ring->queues || !ring->requests)
        return false;
    ring->requests_tail = (void *)(ring->queues + requests->tail);
    ring->requests_mask = (void *)(ring->queues + requests->ring_mask);
    ring->requests_order = (void *)(ring->queues + requests->array);
    ring->answers_head = (void *)(ring->queues + answers->head);
    ring->answers_tail = (void *)(ring->queues + answers->tail);
    ring->answers_mask = (void *)(ring->queues + answers->ring_mask);
    ring->answers = (void *)(ring->queues + answers->cqes);
    return true;
}

static void free_buffer(struct load_ring *ring, uint16_t buffer)
{
    // Field by field: the queue's tail lies in a part of the first entry that is not used.
    struct io_uring_buf *entry = &ring->free_buffers->bufs[ring->free_tail++ & (BUFFERS - 1)];
    entry->addr = (uint64_t)(uintptr_t)(ring->buffers + (size_t)buffer * BUFFER_BYTES);
    entry->len = BUFFER_BYTES;
    entry->bid = buffer;
}

static void publish_free(struct load_ring *ring)
{
    __atomic_store_n(&ring->free_buffers->tail, ring->free_tail, __ATOMIC_RELEASE);
}

static bool give_buffers(struct load_ring *ring)
{
    ring->buffers = mapped((size_t)BUFFERS * BUFFER_BYTES, -1, 0);
    ring->free_buffers = mapped(BUFFERS * sizeof(struct io_uring_buf), -1, 0);
    if (!ring->buffers || !ring->free_buffers)
        return false;
    struct io_uring_buf_reg reg = {.ring_addr = (uint64_t)(uintptr_t)ring->free_buffers,
                                   .ring_entries = BUFFERS};
    if (syscall(SYS_io_uring_register, ring->fd, IORING_REGISTER_PBUF_RING, &reg, 1) != 0)
        return false;
    for (unsigned i = 0; i < BUFFERS; i++)
        free_buffer(ring, (uint16_t)i);
    publish_free(ring);
    return true;
}

struct load_ring *load_ring_new(void)
{
    struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER |
                                              IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
                                     .cq_entries = ANSWERS};
    const unsigned needed = IORING_FEAT_SINGLE_MMAP | IORING_FEAT_EXT_ARG | IORING_FEAT_NODROP;
    struct load_ring *ring = calloc(1, sizeof *ring);
    MM_CHECK(ring);
    ring->shape.msg_controllen = CONTROL_BYTES;
    ring->fd = (int)syscall(SYS_io_uring_setup, REQUESTS, &params);
    if (ring->fd >= 0 && (params.features & needed) == needed && map_queues(ring, &params) &&
        give_buffers(ring))
        return ring;
    load_ring_free(ring);
    return NULL;
}

void load_ring_free(struct load_ring *ring)
{
    if (!ring)
        return;
    if (ring->fd >= 0)
        close(ring->fd);
    if (ring->queues)
        (void)munmap(ring->queues, ring->queues_bytes);
    if (ring->requests)
        (void)munmap(ring->requests, REQUESTS * sizeof *ring->requests);
    if (ring->buffers)
        (void)munmap(ring->buffers, (size_t)BUFFERS * BUFFER_BYTES);
    if (ring->free_buffers)
        (void)munmap(ring->free_buffers, BUFFERS * sizeof(struct io_uring_buf));
    free(ring);
}

// --- requests ------------------------------------------------------------------------------------

static void enter(struct load_ring *ring, unsigned least, uint64_t wait_ns)
{
    struct __kernel_timespec wait = {(int64_t)(wait_ns / 1000000000),
                                     (int64_t)(wait_ns % 1000000000)};
    struct io_uring_getevents_arg arg = {.ts = (uint64_t)(uintptr_t)&wait};
    long n = syscall(SYS_io_uring_enter, ring->fd, ring->unsubmitted, least,
                     IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg, sizeof arg);
    // Short of memory the kernel takes fewer at once; whatever else is our own fault.
    MM_CHECK(n >= 0 || errno == ETIME || errno == EINTR || errno == EAGAIN || errno == EBUSY);
    ring->unsubmitted -= n > 0 ? (unsigned)n : 0;
}

static struct io_uring_sqe *request(struct load_ring *ring, unsigned opcode, uint64_t tag)
{
    while (ring->unsubmitted == REQUESTS)
        enter(ring, 0, 0);
    unsigned tail = *ring->requests_tail, at = tail & *ring->requests_mask;
    struct io_uring_sqe *sqe = &ring->requests[at];
    memset(sqe, 0, sizeof *sqe);
    sqe->opcode = (uint8_t)opcode;
    sqe->user_data = tag;
    ring->requests_order[at] = at;
    // Nobody looks at it before the next io_uring_enter() of ours.
    __atomic_store_n(ring->requests_tail, tail + 1, __ATOMIC_RELEASE);
    ring->unsubmitted++;
    return sqe;
}

void load_ring_read(struct load_ring *ring, int fd, uint64_t tag)
{
    struct io_uring_sqe *sqe = request(ring, IORING_OP_RECVMSG, tag);
    sqe->fd = fd;
    sqe->addr = (uint64_t)(uintptr_t)&ring->shape;
    sqe->len = 1;
    sqe->ioprio = IORING_RECV_MULTISHOT;
    sqe->flags = IOSQE_BUFFER_SELECT;
}

void load_ring_cease(struct load_ring *ring, uint64_t tag)
{
    request(ring, IORING_OP_ASYNC_CANCEL, TAG_NONE)->addr = tag;
}

// --- answers -------------------------------------------------------------------------------------

static int64_t stamp_of(const uint8_t *control, size_t len)
{
    struct cmsghdr head;
    struct timespec stamp;
    if (len < CMSG_LEN(sizeof stamp))
        return 0;
    memcpy(&head, control, sizeof head);
    if (head.cmsg_level != SOL_SOCKET || head.cmsg_type != SO_TIMESTAMPNS)
        return 0;
    memcpy(&stamp, control + CMSG_LEN(0), sizeof stamp);
    return (int64_t)stamp.tv_sec * 1000000000 + stamp.tv_nsec;
}

static void take_answer(struct load_ring *ring, const struct io_uring_cqe *answer,
                        struct load_arrival *arrival)
{
    *arrival = (struct load_arrival){.tag = answer->user_data,
                                     .over = !(answer->flags & IORING_CQE_F_MORE)};
    if (answer->flags & IORING_CQE_F_BUFFER) {
        uint16_t buffer = (uint16_t)(answer->flags >> IORING_CQE_BUFFER_SHIFT);
        ring->told[ring->told_count++] = buffer;
        const uint8_t *at = ring->buffers + (size_t)buffer * BUFFER_BYTES;
        if (answer->res >= 0) {
            struct io_uring_recvmsg_out head;
            memcpy(&head, at, sizeof head);
            arrival->stamp_ns = stamp_of(at + sizeof head, head.controllen);
            arrival->data = at + sizeof head + CONTROL_BYTES;
            arrival->len = head.payloadlen;
        }
    }
    if (answer->res < 0)
        arrival->error = answer->res == -ENOBUFS || answer->res == -ECANCELED ? 0 : -answer->res;
    else
        arrival->ended = arrival->len == 0;
}

size_t load_ring_look(struct load_ring *ring, uint64_t wait_ns,
                      struct load_arrival arrivals[LOAD_RING_LOOK])
{
    while (ring->told_count > 0)
        free_buffer(ring, ring->told[--ring->told_count]);
    publish_free(ring);
    enter(ring, LOAD_RING_LOOK, wait_ns);
    unsigned head = *ring->answers_head;
    unsigned tail = __atomic_load_n(ring->answers_tail, __ATOMIC_ACQUIRE);
    size_t count = 0;
    for (; head != tail && count < LOAD_RING_LOOK; head++) {
        const struct io_uring_cqe *answer = &ring->answers[head & *ring->answers_mask];
        if (answer->user_data != TAG_NONE)
            take_answer(ring, answer, &arrivals[count++]);
    }
    __atomic_store_n(ring->answers_head, head, __ATOMIC_RELEASE);
    return count;
}
