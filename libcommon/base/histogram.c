#include "libcommon/base/histogram.h"

#include <string.h>

enum { SUB = 1 << MM_HISTOGRAM_SUB_BITS };

// Values below 2 * SUB have a bucket each; above, the top SUB_BITS + 1 bits choose it.
static unsigned bucket_of(uint64_t value)
{
    if (value < 2 * SUB)
        return (unsigned)value;
    unsigned shift = 63 - (unsigned)__builtin_clzll(value) - MM_HISTOGRAM_SUB_BITS;
    return shift * SUB + (unsigned)(value >> shift);
}

// The largest value of a bucket.
static uint64_t bucket_end(unsigned bucket)
{
    if (bucket < 2 * SUB)
        return bucket;
    unsigned shift = bucket / SUB - 1;
    uint64_t start = (uint64_t)(bucket - shift * SUB) << shift;
    return start + ((UINT64_C(1) << shift) - 1);
}

void mm_histogram_record(struct mm_histogram *histogram, uint64_t value)
{
    if (histogram->count == 0 || value < histogram->min)
        histogram->min = value;
    if (histogram->count == 0 || value > histogram->max)
        histogram->max = value;
    histogram->count++;
    histogram->sum += value;
    histogram->buckets[bucket_of(value)]++;
}

void mm_histogram_merge(struct mm_histogram *into, const struct mm_histogram *from)
{
    if (from->count == 0)
        return;
    if (into->count == 0 || from->min < into->min)
        into->min = from->min;
    if (into->count == 0 || from->max > into->max)
        into->max = from->max;
    into->count += from->count;
    into->sum += from->sum;
    for (unsigned i = 0; i < MM_HISTOGRAM_BUCKETS; i++)
        into->buckets[i] += from->buckets[i];
}

void mm_histogram_reset(struct mm_histogram *histogram)
{
    memset(histogram, 0, sizeof *histogram);
}

uint64_t mm_histogram_quantile(const struct mm_histogram *histogram, uint32_t per_million)
{
    if (histogram->count == 0)
        return 0;
    if (per_million > 1000000)
        per_million = 1000000;
    // ceil(count * fraction), without overflow; the first record is rank 1.
    uint64_t count = histogram->count;
    uint64_t rank =
        count / 1000000 * per_million + (count % 1000000 * per_million + 999999) / 1000000;
    if (rank == 0)
        rank = 1;
    uint64_t seen = 0;
    uint64_t end = histogram->max;
    for (unsigned i = 0; i < MM_HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen >= rank) {
            end = bucket_end(i);
            break;
        }
    }
    if (end < histogram->min)
        return histogram->min;
    return end < histogram->max ? end : histogram->max;
}

uint64_t mm_histogram_count_below(const struct mm_histogram *histogram, uint64_t value)
{
    uint64_t count = 0;
    unsigned last = bucket_of(value);
    for (unsigned i = 0; i <= last; i++)
        count += histogram->buckets[i];
    return count;
}
