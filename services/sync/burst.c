#include "services/sync/burst.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"

#include <errno.h>
#include <liburing.h>
#include <sys/socket.h>

// A request for each message. Sends carry MSG_DONTWAIT, so each is over at once.

struct message {
    void *arg;
    size_t offset, len;
    int result;
};

struct sync_burst {
    struct io_uring ring;
    bool has_ring;
    struct message messages[SYNC_BURST_SENDS_MAX];
    size_t count;
    size_t used;     // of data
    size_t reserved; // behind that
    bool flushing;
    uint8_t *data;
};

struct sync_burst *sync_burst_new(void)
{
    struct sync_burst *burst = mm_calloc(1, sizeof *burst);
    if (!burst)
        return NULL;
    burst->has_ring = io_uring_queue_init(SYNC_BURST_SENDS_MAX, &burst->ring, 0) == 0;
    burst->data = mm_malloc(SYNC_BURST_BYTES);
    if (!burst->has_ring || !burst->data) {
        sync_burst_free(burst);
        return NULL;
    }
    return burst;
}

void sync_burst_free(struct sync_burst *burst)
{
    if (!burst)
        return;
    if (burst->has_ring)
        io_uring_queue_exit(&burst->ring);
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
    struct io_uring_sqe *request = io_uring_get_sqe(&burst->ring);
    MM_CHECK(request); // the ring has room for as many messages as we have
    io_uring_prep_send(request, fd, burst->data + burst->used, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    io_uring_sqe_set_data64(request, burst->count);
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
    const struct io_uring_cqe *answer;
    unsigned head, taken = 0;
    io_uring_for_each_cqe(&burst->ring, head, answer)
    {
        MM_CHECK(answer->user_data < burst->count);
        burst->messages[answer->user_data].result = answer->res;
        taken++;
    }
    io_uring_cq_advance(&burst->ring, taken);
    return taken;
}

// All requests are submitted and answered when this returns: the kernel holds none of our memory.
static void submit_all(struct sync_burst *burst)
{
    for (size_t answered = 0; answered < burst->count; answered += take_answers(burst)) {
        int n = io_uring_submit_and_wait(&burst->ring, (unsigned)(burst->count - answered));
        // A signal, or a kernel that is short of memory, ends it early; whatever else is our fault.
        MM_CHECK(n >= 0 || n == -EINTR || n == -EAGAIN || n == -EBUSY);
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
