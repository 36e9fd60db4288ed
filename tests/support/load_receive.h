#ifndef TESTS_SUPPORT_LOAD_RECEIVE_H
#define TESTS_SUPPORT_LOAD_RECEIVE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// How one thread reads thousands of sockets. Each of them stands for a machine of its own, so what
// is taken of it must not hang on when this thread gets round to it, nor cost the sender more than
// a network card would: the kernel stamps what arrives, and who reads sleeps between two looks, so
// that it is woken once for many sockets. This way needs nothing special of the kernel; the other
// is load_ring.h.

// Has the kernel stamp what arrives.
void load_receive_stamped(int fd);

// Clocks, read once for many sockets.
struct load_clock {
    uint64_t now_ns;         // monotonic
    int64_t stamps_ahead_ns; // the clock of stamps, less the monotonic one
};
struct load_clock load_clock_read(void);

// recv() without waiting. *arrived_ns (monotonic): when the last of what was read arrived.
ssize_t load_receive(int fd, void *buf, size_t most, const struct load_clock *clock,
                     uint64_t *arrived_ns);

// Sleeps for LOAD_PAUSE_NS: to be called when all that was there has been read.
#define LOAD_PAUSE_NS UINT64_C(4000000)
void load_receive_pause(void);

#endif
