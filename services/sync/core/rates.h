#ifndef SYNC_CORE_RATES_H
#define SYNC_CORE_RATES_H

#include "libcommon/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A token bucket for each of many keys, of which only those are remembered that took something
// lately. There is room for a number of keys; what comes beyond shares one bucket, so that nobody
// gets around the rate by coming under ever new names. Time comes in as milliseconds of any clock
// that does not go back.

#define SYNC_RATES_BURST_MAX 70000

struct sync_rates;

struct sync_rates_options {
    uint32_t per_minute; // of one key on average; 0: any number
    uint32_t burst;      // at once; 1 to SYNC_RATES_BURST_MAX
    size_t keys_max;     // at least 1
};

// NULL: out of memory.
struct sync_rates *sync_rates_new(const struct sync_rates_options *options);
void sync_rates_free(struct sync_rates *rates);

// Takes a token of the key's. False: it has none; *retry_after_ms_out is when it has the next.
MM_MUST_USE bool sync_rates_take(struct sync_rates *rates, uint64_t key, uint64_t now_ms,
                                 uint32_t *retry_after_ms_out);

// Keys that are remembered.
size_t sync_rates_keys(const struct sync_rates *rates);

#endif
