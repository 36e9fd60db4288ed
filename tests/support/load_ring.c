#include "tests/support/load_ring.h"

#include "libcommon/base/check.h"
#include "libcommon/io/uring.h"

#include <errno.h>
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
    struct mm_uring io;
    uint8_t *buffers;
    struct io_uring_buf_ring *free_buffers;
    uint16_t free_tail;
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
    ring->buffers = zeroed_pages((size_t)BUFFERS * BUFFER_BYTES);
    ring->free_buffers = zeroed_pages(BUFFERS * sizeof(struct io_uring_buf));
    if (!ring->buffers || !ring->free_buffers)
        return false;
    struct io_uring_buf_reg reg = {.ring_addr = (uint64_t)(uintptr_t)ring->free_buffers,
                                   .ring_entries = BUFFERS};
    if (syscall(SYS_io_uring_register, ring->io.fd, IORING_REGISTER_PBUF_RING, &reg, 1) != 0)
        return false;
    for (unsigned i = 0; i < BUFFERS; i++)
        free_buffer(ring, (uint16_t)i);
    publish_free(ring);
    return true;
}

struct load_ring *load_ring_new(void)
{
    const struct mm_uring_options options = {
        .requests = REQUESTS,
        .answers = ANSWERS,
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
        .features = IORING_FEAT_EXT_ARG | IORING_FEAT_NODROP,
    };
    struct load_ring *ring = calloc(1, sizeof *ring);
    MM_CHECK(ring);
    ring->shape.msg_controllen = CONTROL_BYTES;
    if (mm_uring_open(&ring->io, &options) == MM_OK && give_buffers(ring))
        return ring;
    load_ring_free(ring);
    return NULL;
}

void load_ring_free(struct load_ring *ring)
{
    if (!ring)
        return;
    mm_uring_close(&ring->io);
    if (ring->buffers)
        (void)munmap(ring->buffers, (size_t)BUFFERS * BUFFER_BYTES);
    if (ring->free_buffers)
        (void)munmap(ring->free_buffers, BUFFERS * sizeof(struct io_uring_buf));
    free(ring);
}

// --- requests ------------------------------------------------------------------------------------

static struct io_uring_sqe *request(struct load_ring *ring, unsigned opcode, uint64_t tag)
{
    struct io_uring_sqe *sqe;
    while ((sqe = mm_uring_request(&ring->io)) == NULL)
        mm_uring_submit(&ring->io, 0);
    sqe->opcode = (uint8_t)opcode;
    sqe->user_data = tag;
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
    mm_uring_submit_for(&ring->io, LOAD_RING_LOOK, wait_ns);
    unsigned ready = mm_uring_ready(&ring->io), looked = 0;
    size_t count = 0;
    for (; looked < ready && count < LOAD_RING_LOOK; looked++) {
        const struct io_uring_cqe *answer = mm_uring_answer(&ring->io, looked);
        if (answer->user_data != TAG_NONE)
            take_answer(ring, answer, &arrivals[count++]);
    }
    mm_uring_take(&ring->io, looked);
    return count;
}
