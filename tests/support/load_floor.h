#ifndef TESTS_SUPPORT_LOAD_FLOOR_H
#define TESTS_SUPPORT_LOAD_FLOOR_H

#include <stddef.h>
#include <stdint.h>

// The floor beneath a server of many clients: a bare loop in a process of its own that does
// nothing but send(), `bytes` to each of `clients` loopback sockets, `ticks` times at 20 Hz. This
// process reads it all. Returns the sender's CPU seconds per second.
double load_floor(uint32_t clients, size_t bytes, unsigned ticks);

#endif
