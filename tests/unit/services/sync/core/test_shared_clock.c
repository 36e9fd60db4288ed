#include <criterion/criterion.h>

#include "libcommon/base/rng.h"
#include "services/sync/core/shared_clock.h"

static uint64_t distance(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

Test(sync_shared_clock, is_unknown_until_it_is_told)
{
    struct sync_shared_clock clock = {0};
    cr_expect_eq(sync_shared_clock_at(&clock, 77), 0);
    sync_shared_clock_learn(&clock, 1000, 1000, 5000000);
    cr_expect_eq(sync_shared_clock_at(&clock, 1000), 5000000);
    cr_expect_eq(sync_shared_clock_at(&clock, 900), 4999900, "before it was told as well");
    cr_expect_eq(sync_shared_clock_at(&clock, 2000), 5001000);
}

Test(sync_shared_clock, an_answer_that_took_long_does_not_spoil_it)
{
    struct sync_shared_clock clock = {0};
    const uint64_t ahead = 3600000000;
    sync_shared_clock_learn(&clock, 1000, 1400, ahead + 1100);
    // The process stood still for two seconds before it read the answer.
    sync_shared_clock_learn(&clock, 10000, 2010000, ahead + 10100);
    cr_expect_leq(distance(sync_shared_clock_at(&clock, 3000000), ahead + 3000000), 200);
}

Test(sync_shared_clock, one_that_was_set_is_believed)
{
    struct sync_shared_clock clock = {0};
    sync_shared_clock_learn(&clock, 1000, 1100, 9000000);
    sync_shared_clock_learn(&clock, 2000, 502000, 4000000);
    cr_expect_leq(distance(sync_shared_clock_at(&clock, 252000), 4000000), 1);
    sync_shared_clock_learn(&clock, 600000, 600100, 90000000);
    cr_expect_leq(distance(sync_shared_clock_at(&clock, 600050), 90000000), 1);
}

// Whatever the answers' ways take, and with clocks that drift apart: it is known within its error,
// and that is small as soon as an answer was quick.
Test(sync_shared_clock, is_known_as_exactly_as_it_says)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 9);
    for (int run = 0; run < 200; run++) {
        struct sync_shared_clock clock = {0};
        uint64_t now = mm_rng_below(&rng, 1000000000), start = now;
        const uint64_t ahead = mm_rng_below(&rng, UINT64_C(2000000000000000));
        const int64_t drift = (int64_t)mm_rng_below(&rng, 201) - 100; // us in a second
        uint64_t quickest = UINT64_MAX;
        for (int i = 0; i < 100; i++) {
            now += mm_rng_below(&rng, 2000000);
            uint64_t there = mm_rng_below(&rng, mm_rng_below(&rng, 4) == 0 ? 3000000 : 2000);
            uint64_t back = mm_rng_below(&rng, mm_rng_below(&rng, 4) == 0 ? 3000000 : 2000);
            uint64_t read = now + there;
            int64_t drifted = drift * (int64_t)((read - start) / 1000000);
            sync_shared_clock_learn(&clock, now, read + back, read + ahead + (uint64_t)drifted);
            now = read + back;
            quickest = there + back < quickest ? there + back : quickest;
            drifted = drift * (int64_t)((now - start) / 1000000);
            uint64_t truth = now + ahead + (uint64_t)drifted;
            uint64_t error = sync_shared_clock_error(&clock, now);
            cr_assert_leq(distance(sync_shared_clock_at(&clock, now), truth), error + 200);
            cr_assert_leq(error, quickest / 2 + 1 + (now - start) / 5000);
        }
    }
}
