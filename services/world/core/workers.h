#ifndef WORLD_CORE_WORKERS_H
#define WORLD_CORE_WORKERS_H

#include <stdint.h>

// Threads that whoever steps a world lends it. The core starts none itself; it divides its work
// into parts that do not depend on one another and puts their results together in the order of
// the parts, so that a state never depends on how many threads there are, or which was faster.
struct world_workers {
    // How many parts run at the same time, the calling thread's among them; from 1 to
    // WORLD_THREADS_MAX.
    uint32_t threads;
    // From how many items on a piece of work is divided; 0: from where it pays. Tests make it 1,
    // so that small worlds are divided too.
    uint32_t grain;
    // Calls part(arg, i) once for every i below `parts`, in any order, each on any thread, and
    // returns when all have returned. What parts wrote is then visible to the caller. Called from
    // the thread that steps the world, never from within a part.
    void (*run)(void *ctx, void (*part)(void *arg, uint32_t i), void *arg, uint32_t parts);
    void *ctx;
};

#endif
