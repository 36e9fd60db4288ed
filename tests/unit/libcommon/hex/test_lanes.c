#include "libcommon/base/rng.h"
#include "libcommon/hex/lanes.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

// Each operation against the same on single numbers; test_lanes_plain.c has the other half of
// lanes.h say the same.

static int16_t clamp(int64_t x)
{
    return (int16_t)(x > INT16_MAX ? INT16_MAX : x < INT16_MIN ? INT16_MIN : x);
}

static int16_t random_lane(struct mm_rng *rng)
{
    static const int16_t edges[] = {INT16_MAX, INT16_MAX - 1, 0, 1, -1, INT16_MIN};
    return mm_rng_chance(rng, 1, 3) ? edges[mm_rng_below(rng, 6)]
                                    : (int16_t)mm_rng_between(rng, INT16_MIN, INT16_MAX);
}

Test(lanes, each_lane_by_itself)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 1);
    for (int round = 0; round < 5000; round++) {
        int16_t a[8], b[8], sum[8], least[8], all[8];
        int32_t x[8];
        for (int i = 0; i < 8; i++) {
            a[i] = random_lane(&rng);
            b[i] = mm_rng_chance(&rng, 1, 3) ? a[i] : random_lane(&rng);
            x[i] = mm_rng_chance(&rng, 1, 8)
                       ? INT32_MAX
                       : (int32_t)mm_rng_between(&rng, 0, INT64_C(1) << (8 + i * 2));
        }
        hex_lanes la = hex_lanes_load(a), lb = hex_lanes_load(b);
        hex_lanes_store(sum, hex_lanes_sum(la, lb));
        hex_lanes_store(least, hex_lanes_least(la, lb));
        hex_lanes_store(all, hex_lanes_all(a[3]));
        unsigned less = hex_lanes_bits(hex_lanes_less(la, lb));
        unsigned equal = hex_lanes_bits(hex_lanes_equal(la, lb));
        int32_t base = (int32_t)mm_rng_below(&rng, 40000);
        int16_t relative[8];
        hex_lanes_store(relative, hex_lanes_relative(x, base));
        int16_t chosen[8], reversed[8];
        hex_lanes_store(chosen, hex_lanes_choose(hex_lanes_less(la, lb), lb, la));
        hex_lanes_store(reversed, hex_lanes_reversed(la));
        int32_t written[8];
        memcpy(written, x, sizeof written);
        hex_lanes_write(written, hex_lanes_less(la, lb), lb, base);
        for (int i = 0; i < 8; i++) {
            cr_assert_eq(chosen[i], a[i] < b[i] ? b[i] : a[i]);
            cr_assert_eq(reversed[i], a[7 - i]);
            cr_assert_eq(written[i], a[i] < b[i] ? base + b[i] : x[i]);
            cr_assert_eq(sum[i], clamp((int64_t)a[i] + b[i]));
            cr_assert_eq(least[i], a[i] < b[i] ? a[i] : b[i]);
            cr_assert_eq(all[i], a[3]);
            cr_assert_eq(less >> i & 1, a[i] < b[i]);
            cr_assert_eq(equal >> i & 1, a[i] == b[i]);
            cr_assert_eq(relative[i], clamp((int64_t)x[i] - base));
        }
    }
}
