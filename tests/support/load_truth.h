#ifndef TESTS_SUPPORT_LOAD_TRUTH_H
#define TESTS_SUPPORT_LOAD_TRUTH_H

#include "tests/support/load_view.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// What every player should see, found out the plainest way: world's tick stream is recorded (on a
// thread of its own) while the clients play, and worked through afterwards. At every tick every
// empire's sight is counted anew, by looking at all hexes about all its units; nothing of vision's
// or sync's code is used. The clients' logs are held against that, tick by tick.

struct load_truth;

// Begins to record the session `main` of the world whose sockets are at these nng addresses;
// returns when the first snapshot is there.
struct load_truth *load_truth_start(const char *rpc_url, const char *stream_url);

// The newest tick recorded.
uint64_t load_truth_tick(struct load_truth *truth);

// In these ticks (both included) a service was away: clients may have been told of some later tick
// only. What they were told of these ticks must be true all the same.
void load_truth_excuse(struct load_truth *truth, uint64_t from, uint64_t to);

// A client's log and whose it is.
struct load_witness {
    uint32_t empire;
    const struct load_view *view;
};

struct load_verdict {
    uint64_t checked; // (client, tick) pairs that were held against the truth
    uint64_t missed;  // logged ticks before a snapshot with which the recording had to begin anew
    uint64_t unknown; // others that it has no truth of
    uint64_t wrong;   // pairs that differ, of ticks of which the client was told
    uint64_t late;    // and of others: it was told of several ticks as one
    uint64_t seen;    // entities in sight, all pairs together
    char first[200];  // the first difference
};

// Waits until the recording has come to that tick: what clients were told of may have come to it
// later than to them.
void load_truth_wait(struct load_truth *truth, uint64_t tick, int timeout_ms);

// Stops recording and compares. Clients must not be running.
struct load_verdict load_truth_judge(struct load_truth *truth, const struct load_witness *witnesses,
                                     size_t count);

void load_truth_free(struct load_truth *truth);

#endif
