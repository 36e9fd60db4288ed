#ifndef WORLD_PHASE_H
#define WORLD_PHASE_H

#include <stdint.h>

// When ticks are published. One that took an input has to wait for its row's commit, one that did
// not need not; told as soon as they may be, ticks would reach the players at uneven distances. So
// each is told so long after it was due as commits take, but for the slowest in a hundred: who gave
// an order waits no longer for that, and the others' ticks come as evenly as they are made.
//
// The phase follows a quantile: a commit that came too late for it moves it up, any other one down,
// by steps that outweigh each other when one in WORLD_PHASE_IN is late. A step is so small that
// nobody notices it.

#define WORLD_PHASE_STEP_NS UINT64_C(256000)
#define WORLD_PHASE_IN      128u

struct world_phase {
    uint64_t ns; // from when a tick is due until it is published
};

// A row was committed so long after its tick had been due. The phase stays within most_ns.
static inline void world_phase_learn(struct world_phase *phase, uint64_t took_ns, uint64_t most_ns)
{
    const uint64_t down_ns = WORLD_PHASE_STEP_NS / WORLD_PHASE_IN;
    if (took_ns > phase->ns)
        phase->ns += WORLD_PHASE_STEP_NS;
    else
        phase->ns -= phase->ns < down_ns ? phase->ns : down_ns;
    if (phase->ns > most_ns)
        phase->ns = most_ns;
}

#endif
