#ifndef TESTS_SUPPORT_LOAD_CANNED_H
#define TESTS_SUPPORT_LOAD_CANNED_H

#include <stddef.h>
#include <stdint.h>

// A server without a game, in a process of its own: whoever connects is told of 33 entities and
// then, when that is asked for, of a step of every fifth of them and of what came into sight and
// went out of it: updates like those of the scenario patrol-v1. So what reads them is tested, and
// measured, by itself.

struct load_canned;

// Waits for so many clients, each of which must ask for the binary encoding. Before each send it
// writes to `sweep` bytes: what the caches hold is then what other processes left of them.
struct load_canned *load_canned_start(uint32_t clients, size_t sweep);
void load_canned_stop(struct load_canned *canned);
uint16_t load_canned_port(const struct load_canned *canned); // on 127.0.0.1

// Has it send so many updates to each client when all are there, 20 at most in a second and
// `together` of them in one send(). Returns at once.
void load_canned_tell(struct load_canned *canned, uint32_t updates, uint32_t together);
// Waits until all that was asked for is sent.
void load_canned_wait(struct load_canned *canned);

// The hash (load_hash) of what a client must show after so many updates.
uint64_t load_canned_hash(uint32_t updates);
enum { LOAD_CANNED_ENTITIES = 33 };

#endif
