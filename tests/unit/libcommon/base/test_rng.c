#include "libcommon/base/rng.h"
#include <criterion/criterion.h>
#include <string.h>

// splitmix64 from seed 0 gives the published e220a8397b1dcdaf 6e789e6aa1b965f4 ...; xoshiro256**
// from the state 1, 2, 3, 4 gives 11520, 0, 1509978240, 1215971899390074240 (reference
// implementation).
Test(rng, equals_the_reference)
{
    uint64_t state = 0;
    cr_assert_eq(mm_splitmix64(&state), UINT64_C(0xe220a8397b1dcdaf));
    cr_assert_eq(mm_splitmix64(&state), UINT64_C(0x6e789e6aa1b965f4));
    struct mm_rng rng = {{1, 2, 3, 4}};
    const uint64_t wanted[] = {11520, 0, 1509978240, UINT64_C(1215971899390074240)};
    for (int i = 0; i < 4; i++)
        cr_assert_eq(mm_rng_u64(&rng), wanted[i]);
}

Test(rng, bounded_numbers_are_even)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 1);
    unsigned counts[7] = {0};
    for (int i = 0; i < 70000; i++)
        counts[mm_rng_below(&rng, 7)]++;
    for (int i = 0; i < 7; i++)
        cr_assert(counts[i] > 9500 && counts[i] < 10500);
    // A bound just over 2^63 shows a modulo bias at once: the lower half would come twice as often.
    unsigned low = 0;
    uint64_t bound = (UINT64_C(1) << 63) + 1;
    for (int i = 0; i < 10000; i++) {
        uint64_t value = mm_rng_below(&rng, bound);
        cr_assert_lt(value, bound);
        low += value < bound / 2;
    }
    cr_assert(low > 4700 && low < 5300);
}

Test(rng, ranges_and_chances)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 2);
    bool seen[5] = {false};
    for (int i = 0; i < 1000; i++) {
        int64_t value = mm_rng_between(&rng, -2, 2);
        cr_assert(value >= -2 && value <= 2);
        seen[value + 2] = true;
        cr_assert_eq(mm_rng_between(&rng, 9, 9), 9);
        cr_assert(mm_rng_chance(&rng, 1, 1) && !mm_rng_chance(&rng, 0, 1));
        mm_rng_between(&rng, INT64_MIN, INT64_MAX);
    }
    for (int i = 0; i < 5; i++)
        cr_assert(seen[i]);
}

Test(rng, seeds_and_copies_repeat)
{
    struct mm_rng a, b, c;
    mm_rng_seed(&a, 42);
    mm_rng_seed(&b, 42);
    mm_rng_seed(&c, 43);
    unsigned same = 0;
    for (int i = 0; i < 100; i++) {
        uint64_t value = mm_rng_u64(&a);
        cr_assert_eq(value, mm_rng_u64(&b));
        same += value == mm_rng_u64(&c);
    }
    cr_assert_eq(same, 0);
    memcpy(&c, &a, sizeof c);
    cr_assert_eq(mm_rng_u64(&a), mm_rng_u64(&c));
}
