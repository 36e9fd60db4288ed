#include "services/sync/core/rates.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/idmap.h"

// A bucket is a value of the map: how much is missing in it, in parts of a token (PARTS make one,
// so that per_minute parts come back each millisecond), and the low half of the time it was looked
// at. One in which nothing is missing is as good as none, and forgotten before it is so old that
// the half is not enough.

enum {
    PARTS = 60000,
    FORGET_AT = 1024,       // keys; from then on whenever they have doubled,
    FORGET_EVERY_MS = 1000, // at most so often
    FORGET_LATEST_MS = 3600000,
};

struct sync_rates {
    struct sync_rates_options options;
    struct mm_idmap *buckets;
    size_t forget_at;
    uint64_t forgot_ms;
    uint64_t others; // the bucket of all for whom there is no room
};

static uint64_t pack(uint64_t missing, uint64_t now_ms)
{
    return missing << 32 | (uint32_t)now_ms;
}

// What is missing by now.
static uint64_t missing_now(const struct sync_rates *rates, uint64_t bucket, uint64_t now_ms)
{
    uint64_t missing = bucket >> 32;
    uint64_t back = (uint64_t)((uint32_t)now_ms - (uint32_t)bucket) * rates->options.per_minute;
    return back < missing ? missing - back : 0;
}

struct sync_rates *sync_rates_new(const struct sync_rates_options *options)
{
    MM_CHECK(options->keys_max > 0 && options->burst > 0 && options->burst <= SYNC_RATES_BURST_MAX);
    struct sync_rates *rates = mm_calloc(1, sizeof *rates);
    if (!rates)
        return NULL;
    rates->options = *options;
    rates->forget_at = FORGET_AT;
    rates->buckets = mm_idmap_new(options->keys_max);
    if (rates->buckets)
        return rates;
    mm_free(rates);
    return NULL;
}

void sync_rates_free(struct sync_rates *rates)
{
    if (!rates)
        return;
    mm_idmap_free(rates->buckets);
    mm_free(rates);
}

// Leaves out the full ones. Without memory for that all stay.
static void forget(struct sync_rates *rates, uint64_t now_ms)
{
    struct mm_idmap *kept = mm_idmap_new(rates->options.keys_max);
    if (!kept)
        return;
    size_t cursor = 0;
    uint64_t key, bucket;
    while (mm_idmap_next(rates->buckets, &cursor, &key, &bucket)) {
        uint64_t missing = missing_now(rates, bucket, now_ms);
        if (missing > 0 && mm_idmap_set(kept, key, pack(missing, now_ms)) != MM_OK) {
            mm_idmap_free(kept);
            return;
        }
    }
    mm_idmap_free(rates->buckets);
    rates->buckets = kept;
    rates->others = pack(missing_now(rates, rates->others, now_ms), now_ms);
    size_t twice = 2 * mm_idmap_count(kept);
    rates->forget_at = twice > FORGET_AT ? twice : FORGET_AT;
    rates->forgot_ms = now_ms;
}

static bool is_time_to_forget(const struct sync_rates *rates, uint64_t now_ms)
{
    size_t count = mm_idmap_count(rates->buckets);
    bool many = count >= rates->forget_at || count >= rates->options.keys_max;
    return now_ms - rates->forgot_ms >= (many ? FORGET_EVERY_MS : FORGET_LATEST_MS);
}

static bool take(const struct sync_rates *rates, uint64_t *bucket, uint64_t now_ms,
                 uint32_t *retry_after_ms_out)
{
    uint64_t missing = missing_now(rates, *bucket, now_ms);
    uint64_t most = (uint64_t)(rates->options.burst - 1) * PARTS; // for one more to be there
    if (missing > most) {
        uint32_t rate = rates->options.per_minute;
        *retry_after_ms_out = (uint32_t)((missing - most + rate - 1) / rate);
        return false;
    }
    *bucket = pack(missing + PARTS, now_ms);
    return true;
}

bool sync_rates_take(struct sync_rates *rates, uint64_t key, uint64_t now_ms,
                     uint32_t *retry_after_ms_out)
{
    *retry_after_ms_out = 0;
    if (rates->options.per_minute == 0)
        return true;
    if (is_time_to_forget(rates, now_ms))
        forget(rates, now_ms);
    uint64_t *known = mm_idmap_find(rates->buckets, key);
    if (known)
        return take(rates, known, now_ms, retry_after_ms_out);
    uint64_t fresh = pack(0, now_ms);
    bool taken = take(rates, &fresh, now_ms, retry_after_ms_out);
    if (mm_idmap_set(rates->buckets, key, fresh) == MM_OK)
        return taken;
    return take(rates, &rates->others, now_ms, retry_after_ms_out);
}

size_t sync_rates_keys(const struct sync_rates *rates)
{
    return mm_idmap_count(rates->buckets);
}
