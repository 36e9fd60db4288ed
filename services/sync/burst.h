#ifndef SYNC_BURST_H
#define SYNC_BURST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Many small sends in one system call (io_uring): a tick has a message for each of thousands of
// sockets, and entering the kernel for each costs a quarter of the whole. Used by one thread.
//
// Where the kernel has no io_uring, or a container's profile forbids it, there is no burst, and who
// wants to send uses sendmsg.

#define SYNC_BURST_SENDS_MAX 512
#define SYNC_BURST_BYTES     ((size_t)512 << 10) // of all messages between two flushes

struct sync_burst;

// NULL: there is no io_uring for us, or no memory.
struct sync_burst *sync_burst_new(void);
void sync_burst_free(struct sync_burst *burst);

// Room for one more message of at most `bytes`, to be written and then added. NULL when there is
// none: flush, and ask again; what does not fit then is longer than SYNC_BURST_BYTES.
uint8_t *sync_burst_reserve(struct sync_burst *burst, size_t bytes);

// The first `len` bytes of what was reserved last go to `fd` at the next flush. Until then the
// socket must stay open, and nothing else be sent on it.
void sync_burst_add(struct sync_burst *burst, int fd, size_t len, void *arg);

// What became of a message: how many bytes the socket took, -EAGAIN (none: it is full) or another
// negative errno. `data` is valid during the call.
typedef void (*sync_burst_done_fn)(void *arg, int result, const uint8_t *data, size_t len);

// Sends what was added, without ever waiting for a peer, and tells of each message in the order in
// which they were added. `done` must not add messages.
void sync_burst_flush(struct sync_burst *burst, sync_burst_done_fn done);

// Messages that wait for the flush.
size_t sync_burst_count(const struct sync_burst *burst);

#endif
