#ifndef SYNC_CORE_SHARED_CLOCK_H
#define SYNC_CORE_SHARED_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

// A clock that all processes share, as one of them knows it: told in an answer, it was read at some
// moment between the question and the answer. So by this process's monotonic clock, which is never
// set, it is known as exactly as half of the quickest question took (F. Cristian, Probabilistic
// clock synchronization, 1989). All zero: not known yet. Times in us.
struct sync_shared_clock {
    bool known;
    uint64_t at_us;   // when it was told last that counted, by the monotonic clock
    int64_t ahead_us; // of the monotonic clock
    uint64_t error_us;
};

// How far from the truth it may be if the two clocks drift apart by 200 us in a second at most:
// that is assumed and not measured, and does not hold while one is set, or corrected faster (NTP
// slews by up to 500 us in a second). Then it is wrong until an answer comes that contradicts it.
static inline uint64_t sync_shared_clock_error(const struct sync_shared_clock *clock,
                                               uint64_t now_us)
{
    uint64_t age_us = now_us > clock->at_us ? now_us - clock->at_us : 0;
    return clock->error_us + age_us / 5000;
}

// It was `told` after the question went out and before the answer was read.
static inline void sync_shared_clock_learn(struct sync_shared_clock *clock, uint64_t asked_us,
                                           uint64_t heard_us, uint64_t told_us)
{
    uint64_t error_us = (heard_us - asked_us) / 2 + 1;
    int64_t ahead_us = (int64_t)(told_us - (asked_us + (heard_us - asked_us) / 2));
    uint64_t error_now_us = sync_shared_clock_error(clock, heard_us);
    int64_t apart_us =
        ahead_us > clock->ahead_us ? ahead_us - clock->ahead_us : clock->ahead_us - ahead_us;
    // What is known better already stays, unless both cannot be true: it was set, or is another.
    if (clock->known && error_us >= error_now_us && (uint64_t)apart_us <= error_us + error_now_us)
        return;
    *clock = (struct sync_shared_clock){
        .known = true, .at_us = heard_us, .ahead_us = ahead_us, .error_us = error_us};
}

// What it showed at a moment of the monotonic clock; 0: it is not known.
static inline uint64_t sync_shared_clock_at(const struct sync_shared_clock *clock, uint64_t us)
{
    return clock->known ? us + (uint64_t)clock->ahead_us : 0;
}

#endif
