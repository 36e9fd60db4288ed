#ifndef SYNC_CORE_PACE_H
#define SYNC_CORE_PACE_H

#include <stdint.h>

// When ticks are told. Now and then one comes late: a commit of world's took longer, or the machine
// had something else to do. Told as they come, ticks would reach the players at uneven distances.
// So each is told at even distances, which are those by which all but one in SYNC_PACE_IN are
// there: a late one is told at once, and moves those after it back by a step, any other one moves
// them forward, by steps that outweigh each other. A step is so small that nobody notices it.
//
// All zero: no tick has come yet.
struct sync_pace {
    uint64_t tick;   // that came last
    uint64_t due_ns; // when it was to be told
    uint32_t late;   // how many in a row have come late
};

#define SYNC_PACE_STEP_NS  UINT64_C(512000)
#define SYNC_PACE_IN       64u
#define SYNC_PACE_LATE_MAX 20u // so many late ones in a row begin a new count

// A tick has come, period_ns after the one before it if all is well. Returns when to tell it: not
// before now_ns and at most most_ns later.
static inline uint64_t sync_pace_take(struct sync_pace *pace, uint64_t tick, uint64_t now_ns,
                                      uint64_t period_ns, uint64_t most_ns)
{
    uint64_t due_ns = pace->due_ns + (tick - pace->tick) * period_ns;
    pace->late = now_ns > due_ns ? pace->late + 1 : 0;
    if (pace->due_ns == 0 || tick <= pace->tick || due_ns > now_ns + most_ns ||
        pace->late == SYNC_PACE_LATE_MAX) {
        *pace = (struct sync_pace){tick, now_ns, 0};
        return now_ns;
    }
    pace->tick = tick;
    if (pace->late > 0) {
        pace->due_ns = due_ns + SYNC_PACE_STEP_NS;
        return now_ns;
    }
    pace->due_ns = due_ns - SYNC_PACE_STEP_NS / SYNC_PACE_IN;
    return due_ns;
}

#endif
