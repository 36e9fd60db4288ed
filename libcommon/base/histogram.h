#ifndef MM_BASE_HISTOGRAM_H
#define MM_BASE_HISTOGRAM_H

#include <stdint.h>

// Log-linear buckets over all of uint64: exact below 64, above it 32 buckets per power of two, that
// is within 1/32 (about 3%) of the true value. Fixed size, no allocation. Not thread-safe.
enum {
    MM_HISTOGRAM_SUB_BITS = 5,
    MM_HISTOGRAM_BUCKETS = (64 - MM_HISTOGRAM_SUB_BITS + 1) << MM_HISTOGRAM_SUB_BITS,
};

// Zero-initialised is empty.
struct mm_histogram {
    uint64_t count;
    uint64_t sum;
    uint64_t min; // meaningless while count is 0
    uint64_t max;
    uint64_t buckets[MM_HISTOGRAM_BUCKETS];
};

void mm_histogram_record(struct mm_histogram *histogram, uint64_t value);
// Adds all of `from`.
void mm_histogram_merge(struct mm_histogram *into, const struct mm_histogram *from);
void mm_histogram_reset(struct mm_histogram *histogram);

// The value at or below which the fraction per_million / 1,000,000 of the records lie: the upper
// end of its bucket, but within [min, max]. 0 when empty.
uint64_t mm_histogram_quantile(const struct mm_histogram *histogram, uint32_t per_million);

// How many records are <= value (exact at bucket ends, else counting the value's whole bucket).
uint64_t mm_histogram_count_below(const struct mm_histogram *histogram, uint64_t value);

#endif
