#ifndef SYNC_CORE_BUCKET_H
#define SYNC_CORE_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

// A token bucket: `per_second` on average, `burst` at once. Time comes in as milliseconds of any
// clock that does not go back.
struct sync_bucket {
    uint64_t level_milli; // tokens * 1000
    uint64_t filled_ms;
    uint32_t per_second;
    uint32_t burst;
};

static inline struct sync_bucket sync_bucket_full(uint32_t per_second, uint32_t burst,
                                                  uint64_t now_ms)
{
    return (struct sync_bucket){(uint64_t)burst * 1000, now_ms, per_second, burst};
}

// Takes a token if there is one.
static inline bool sync_bucket_take(struct sync_bucket *bucket, uint64_t now_ms)
{
    uint64_t full = (uint64_t)bucket->burst * 1000;
    uint64_t passed_ms = now_ms - bucket->filled_ms;
    // Beyond an hour the bucket is full whatever the rate: the product cannot overflow.
    if (passed_ms > 3600000)
        passed_ms = 3600000;
    bucket->level_milli += passed_ms * bucket->per_second;
    if (bucket->level_milli > full)
        bucket->level_milli = full;
    bucket->filled_ms = now_ms;
    if (bucket->level_milli < 1000)
        return false;
    bucket->level_milli -= 1000;
    return true;
}

#endif
