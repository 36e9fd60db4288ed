#ifndef VISION_CORE_PACE_H
#define VISION_CORE_PACE_H

#include <stddef.h>
#include <stdint.h>

// How saves are spread. What is unsaved at a round's start is written in the course of the round,
// evenly: written all at once it would take, for as long, cores from everybody's ticks.
struct vision_pace {
    size_t rows;        // unsaved at the round's start
    size_t written;     // of these, the oldest first
    uint64_t length_ns; // of the round
    uint64_t replay_ns; // it is over as well when so much more would be to be replayed; 0: not
};

// How many more of its rows are due when the round is so old and there is so much to be replayed.
// A few are written as soon as any is due: each transaction has a price of its own.
size_t vision_pace_due(const struct vision_pace *pace, uint64_t age_ns, uint64_t replay_ns);

#endif
