#include "libcommon/base/histogram.h"
#include "libcommon/base/rng.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum { N = 5000 };

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

// Against the sorted values: never below the true quantile, and at most 1/32 above.
Test(histogram, quantiles_are_within_a_bucket)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 1);
    static struct mm_histogram histogram;
    static uint64_t values[N];
    for (unsigned spread = 0; spread < 64; spread += 7) {
        mm_histogram_reset(&histogram);
        uint64_t sum = 0;
        for (int i = 0; i < N; i++) {
            values[i] = mm_rng_u64(&rng) >> (spread + mm_rng_below(&rng, 64 - spread));
            sum += values[i];
            mm_histogram_record(&histogram, values[i]);
        }
        qsort(values, N, sizeof values[0], compare);
        cr_assert_eq(histogram.count, N);
        cr_assert_eq(histogram.sum, sum);
        cr_assert_eq(histogram.min, values[0]);
        cr_assert_eq(histogram.max, values[N - 1]);
        for (uint32_t part = 0; part <= 1000000; part += 12500) {
            size_t rank = ((size_t)N * part + 999999) / 1000000;
            uint64_t truth = values[rank > 0 ? rank - 1 : 0];
            uint64_t found = mm_histogram_quantile(&histogram, part);
            cr_assert_geq(found, truth);
            cr_assert_leq(found - truth, truth / 32);
        }
        cr_assert_eq(mm_histogram_count_below(&histogram, UINT64_MAX), N);
    }
}

Test(histogram, small_values_are_exact)
{
    static struct mm_histogram histogram;
    for (uint64_t value = 0; value < 64; value++)
        mm_histogram_record(&histogram, value);
    for (uint64_t value = 0; value < 64; value++)
        cr_assert_eq(mm_histogram_count_below(&histogram, value), value + 1);
    cr_assert_eq(mm_histogram_quantile(&histogram, 500000), 31);
}

Test(histogram, merging_is_recording_all)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 2);
    static struct mm_histogram parts[3], sum, all;
    cr_assert_eq(mm_histogram_quantile(&all, 500000), 0);
    for (int i = 0; i < 3000; i++) {
        uint64_t value = mm_rng_u64(&rng) >> mm_rng_below(&rng, 60);
        mm_histogram_record(&parts[i % 2], value);
        mm_histogram_record(&all, value);
    }
    for (int i = 0; i < 3; i++) // the third is empty
        mm_histogram_merge(&sum, &parts[i]);
    cr_assert_eq(memcmp(&sum, &all, sizeof all), 0);
}
