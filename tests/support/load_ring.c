#include "tests/support/load_ring.h"

#include "libcommon/base/check.h"

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

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
    struct io_uring io;
    bool has_io;
    uint8_t *buffers;
    struct io_uring_buf_ring *free_buffers;
    uint16_t told[LOAD_RING_LOOK]; // buffers that the caller has
    unsigned told_count;
    struct msghdr shape;
};

static void *zeroed_pages(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    return memory;
}

// Makes a buffer one of those that the kernel may fill, the i-th since that was published.
static void free_buffer(struct load_ring *ring, uint16_t buffer, unsigned i)
{
    io_uring_buf_ring_add(ring->free_buffers, ring->buffers + (size_t)buffer * BUFFER_BYTES,
                          BUFFER_BYTES, buffer, io_uring_buf_ring_mask(BUFFERS), (int)i);
}

static bool give_buffers(struct load_ring *ring)
{
    ring->buffers = zeroed_pages((size_t)BUFFERS * BUFFER_BYTES);
    ring->free_buffers = zeroed_pages(BUFFERS * sizeof(struct io_uring_buf));
    if (!ring->buffers || !ring->free_buffers)
        return false;
    struct io_uring_buf_reg reg = {.ring_addr = (uint64_t)(uintptr_t)ring->free_buffers,
                                   .ring_entries = BUFFERS};
    if (io_uring_register_buf_ring(&ring->io, &reg, 0) != 0)
        return false;
    io_uring_buf_ring_init(ring->free_buffers);
    for (unsigned i = 0; i < BUFFERS; i++)
        free_buffer(ring, (uint16_t)i, i);
    io_uring_buf_ring_advance(ring->free_buffers, BUFFERS);
    return true;
}

static bool open_io(struct load_ring *ring)
{
    const unsigned features = IORING_FEAT_EXT_ARG | IORING_FEAT_NODROP;
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
        .cq_entries = ANSWERS,
    };
    ring->has_io = io_uring_queue_init_params(REQUESTS, &ring->io, &params) == 0;
    return ring->has_io && (params.features & features) == features;
}

struct load_ring *load_ring_new(void)
{
    struct load_ring *ring = calloc(1, sizeof *ring);
    MM_CHECK(ring);
    ring->shape.msg_controllen = CONTROL_BYTES;
    if (open_io(ring) && give_buffers(ring))
        return ring;
    load_ring_free(ring);
    return NULL;
}

void load_ring_free(struct load_ring *ring)
{
    if (!ring)
        return;
    if (ring->has_io)
        io_uring_queue_exit(&ring->io);
    if (ring->buffers)
        (void)munmap(ring->buffers, (size_t)BUFFERS * BUFFER_BYTES);
    if (ring->free_buffers)
        (void)munmap(ring->free_buffers, BUFFERS * sizeof(struct io_uring_buf));
    free(ring);
}

// --- requests ------------------------------------------------------------------------------------

// A signal, or a kernel that is short of memory, ends a call early, with requests left for the next
// one; whatever else is our own fault.
static void check_call(int result)
{
    MM_CHECK(result >= 0 || result == -ETIME || result == -EINTR || result == -EAGAIN ||
             result == -EBUSY);
}

static struct io_uring_sqe *request(struct load_ring *ring)
{
    struct io_uring_sqe *sqe;
    while ((sqe = io_uring_get_sqe(&ring->io)) == NULL)
        check_call(io_uring_submit_and_get_events(&ring->io));
    return sqe;
}

void load_ring_read(struct load_ring *ring, int fd, uint64_t tag)
{
    struct io_uring_sqe *sqe = request(ring);
    io_uring_prep_recvmsg_multishot(sqe, fd, &ring->shape, 0);
    io_uring_sqe_set_flags(sqe, IOSQE_BUFFER_SELECT);
    io_uring_sqe_set_data64(sqe, tag);
}

void load_ring_cease(struct load_ring *ring, uint64_t tag)
{
    struct io_uring_sqe *sqe = request(ring);
    io_uring_prep_cancel64(sqe, tag, 0);
    io_uring_sqe_set_data64(sqe, TAG_NONE);
}

// --- answers -------------------------------------------------------------------------------------

static int64_t stamp_of(const struct cmsghdr *control)
{
    struct timespec stamp;
    if (!control || control->cmsg_level != SOL_SOCKET || control->cmsg_type != SO_TIMESTAMPNS ||
        control->cmsg_len < CMSG_LEN(sizeof stamp))
        return 0;
    memcpy(&stamp, CMSG_DATA(control), sizeof stamp);
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
        uint8_t *at = ring->buffers + (size_t)buffer * BUFFER_BYTES;
        struct io_uring_recvmsg_out *out = io_uring_recvmsg_validate(at, answer->res, &ring->shape);
        if (out) {
            arrival->stamp_ns = stamp_of(io_uring_recvmsg_cmsg_firsthdr(out, &ring->shape));
            arrival->data = io_uring_recvmsg_payload(out, &ring->shape);
            arrival->len = out->payloadlen;
        }
    }
    if (answer->res < 0)
        arrival->error = answer->res == -ENOBUFS || answer->res == -ECANCELED ? 0 : -answer->res;
    else
        arrival->ended = arrival->len == 0;
}

static void wait_for_answers(struct load_ring *ring, unsigned least, uint64_t wait_ns)
{
    struct __kernel_timespec wait = {(int64_t)(wait_ns / 1000000000),
                                     (int64_t)(wait_ns % 1000000000)};
    struct io_uring_cqe *first;
    check_call(io_uring_submit_and_wait_timeout(&ring->io, &first, least, &wait, NULL));
}

size_t load_ring_look(struct load_ring *ring, uint64_t wait_ns,
                      struct load_arrival arrivals[LOAD_RING_LOOK])
{
    for (unsigned i = 0; i < ring->told_count; i++)
        free_buffer(ring, ring->told[i], i);
    io_uring_buf_ring_advance(ring->free_buffers, (int)ring->told_count);
    ring->told_count = 0;
    wait_for_answers(ring, LOAD_RING_LOOK, wait_ns);
    const struct io_uring_cqe *answer;
    unsigned head, looked = 0;
    size_t count = 0;
    io_uring_for_each_cqe(&ring->io, head, answer)
    {
        if (count == LOAD_RING_LOOK)
            break;
        looked++;
        if (answer->user_data != TAG_NONE)
            take_answer(ring, answer, &arrivals[count++]);
    }
    io_uring_cq_advance(&ring->io, looked);
    return count;
}
