#ifndef SYNC_CORE_PROBE_H
#define SYNC_CORE_PROBE_H

#include <stdbool.h>
#include <stdint.h>

// Whether a connection that keeps its player's next one out still lives: its line may have broken
// without a word. When somebody wants its place it is pinged, and when then nothing is heard of it
// for `patience` sweeps, it is silent. Sweeps are counted, not time: a process that was held up
// has not listened meanwhile. All zero: nobody has wanted the place.
struct sync_probe {
    bool asked;
    uint32_t silent; // sweeps since it was asked
    uint32_t lives;  // sweeps for which its last answer holds
};

enum sync_probe_says {
    SYNC_PROBE_ASK,   // nothing is known: ping it now
    SYNC_PROBE_WAIT,  // it was pinged and may still answer
    SYNC_PROBE_LIVES, // it has answered lately
};

// Somebody wants its place.
static inline enum sync_probe_says sync_probe_want(struct sync_probe *probe)
{
    if (probe->asked)
        return SYNC_PROBE_WAIT;
    if (probe->lives > 0)
        return SYNC_PROBE_LIVES;
    *probe = (struct sync_probe){.asked = true};
    return SYNC_PROBE_ASK;
}

// Sweeps until it is silent, if nothing is heard.
static inline uint32_t sync_probe_left(const struct sync_probe *probe, uint32_t patience)
{
    return probe->silent < patience ? patience - probe->silent : 0;
}

// Bytes came from it. They may have been on their way when its line broke: so it is not taken for
// dead, but who comes again makes it be asked anew.
static inline void sync_probe_heard(struct sync_probe *probe)
{
    probe->asked = false;
}

// It answered the ping. That holds for long enough that whoever made it be asked, and comes again
// when told to, hears of it.
static inline void sync_probe_answered(struct sync_probe *probe, uint32_t patience)
{
    *probe = (struct sync_probe){.lives = 2 * patience};
}

// It took some of what waited before the ping: it reads, and has not come to the ping yet.
static inline void sync_probe_reads(struct sync_probe *probe)
{
    probe->silent = 0;
}

// To be called at each sweep. True: it is silent.
static inline bool sync_probe_sweep(struct sync_probe *probe, uint32_t patience)
{
    if (probe->asked)
        return ++probe->silent >= patience;
    if (probe->lives > 0)
        probe->lives--;
    return false;
}

#endif
