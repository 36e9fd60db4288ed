#ifndef WORLD_POOL_H
#define WORLD_POOL_H

#include "libcommon/base/err.h"
#include "services/world/core/workers.h"
#include <stdint.h>

// The threads that the shell lends its world: a fixed number, started once, asleep between ticks.
// Needs the core's headers and pthreads and nothing else, so that tests of the core have it too.
struct world_pool;

// `threads` in all, the caller's among them: starts threads - 1, from 0 to WORLD_THREADS_MAX - 1.
// RESOURCE_EXHAUSTED: out of memory or threads. world_pool_close ends them; NULL is allowed.
enum mm_err MM_MUST_USE world_pool_open(uint32_t threads, struct world_pool **out);
void world_pool_close(struct world_pool *pool);

// What is lent; as long as the pool is open, and to one world at a time.
struct world_workers world_pool_workers(struct world_pool *pool);

// In all, the caller's among them.
uint32_t world_pool_threads(const struct world_pool *pool);

// How many threads to take where the settings say 0: one for each core that this process may use,
// but no more than pays.
uint32_t world_pool_threads_default(void);

#endif
