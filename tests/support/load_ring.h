#ifndef TESTS_SUPPORT_LOAD_RING_H
#define TESTS_SUPPORT_LOAD_RING_H

#include "tests/support/load_receive.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Reads thousands of sockets with one system call a look, by io_uring(7): a socket is given to the
// ring once, and what arrives there is received, with its stamp, when somebody looks. Of one
// thread. The kernel does nothing between two looks, nor does it wake anybody.

struct load_ring;

// NULL: this kernel has not got what it takes (Linux 6.1), or does not let us.
struct load_ring *load_ring_new(void);
// Before this no socket that was given to the ring is really closed; shutdown() ends it.
void load_ring_free(struct load_ring *ring);

// From the next look on, what arrives at the socket is told under this tag, with load_receive's
// stamps (load_receive_stamped).
void load_ring_read(struct load_ring *ring, int fd, uint64_t tag);
// Has it not read any more. What was received before is told yet, and then that it is over. What is
// short of memory may also be over, any time, and is to be given anew.
void load_ring_cease(struct load_ring *ring, uint64_t tag);

struct load_arrival {
    uint64_t tag;
    const uint8_t *data; // until the next look
    size_t len;          // 0: nothing was received
    int64_t stamp_ns;    // realtime: when the last of it arrived; 0: not known
    bool ended;          // by the other side, or
    int error;           // an errno
    bool over;           // nothing more is told under this tag, unless the socket is given anew
};

enum { LOAD_RING_LOOK = 512 };

// Waits until something is there for LOAD_RING_LOOK tellings, or the time is over, whichever comes
// first, and puts what is there to *arrivals; returns how many.
size_t load_ring_look(struct load_ring *ring, uint64_t wait_ns,
                      struct load_arrival arrivals[LOAD_RING_LOOK]);

#endif
