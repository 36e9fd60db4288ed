#ifndef SYNC_CORE_BUDGET_H
#define SYNC_CORE_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

// How many bytes a client may still be sent: `per_second` on average, and what is not used is kept
// for later up to `carried`. What was sent is counted when it is known, so that the level may fall
// below zero; then nothing more is sent until time has paid for it. In any time T the client is
// sent at most per_second x T + carried, and what one update takes beyond what was left.
struct sync_budget {
    int64_t level_milli; // bytes * 1000
    uint64_t counted;    // of all bytes ever sent to the client, those accounted for
    uint64_t filled_ms;
};

static inline struct sync_budget sync_budget_full(uint32_t carried, uint64_t sent, uint64_t now_ms)
{
    return (struct sync_budget){(int64_t)carried * 1000, sent, now_ms};
}

// What is left now, `sent` being all bytes ever sent to the client. Time comes in as milliseconds
// of any clock that does not go back.
static inline int64_t sync_budget_left(struct sync_budget *budget, uint32_t per_second,
                                       uint32_t carried, uint64_t sent, uint64_t now_ms)
{
    uint64_t passed_ms = now_ms - budget->filled_ms;
    // Beyond an hour the product might overflow; a debt of more is forgiven.
    if (passed_ms > 3600000)
        passed_ms = 3600000;
    budget->level_milli += (int64_t)(passed_ms * per_second);
    if (budget->level_milli > (int64_t)carried * 1000)
        budget->level_milli = (int64_t)carried * 1000;
    budget->level_milli -= (int64_t)(sent - budget->counted) * 1000;
    budget->counted = sent;
    budget->filled_ms = now_ms;
    return budget->level_milli / 1000;
}

#endif
