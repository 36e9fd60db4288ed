#include <criterion/criterion.h>
#include <stdlib.h>

#include "services/sync/core/rates.h"

static uint32_t retry_ms;

static bool take(struct sync_rates *rates, uint64_t key, uint64_t now_ms)
{
    return sync_rates_take(rates, key, now_ms, &retry_ms);
}

Test(sync_rates, the_burst_at_once_and_the_rate_thereafter)
{
    struct sync_rates *rates = sync_rates_new(&(struct sync_rates_options){120, 3, 10});
    for (int i = 0; i < 3; i++)
        cr_assert(take(rates, 7, 5000));
    cr_expect_not(take(rates, 7, 5000));
    cr_expect_eq(retry_ms, 500);
    cr_expect(take(rates, 8, 5000), "another key has its own");
    cr_expect_not(take(rates, 7, 5499));
    cr_expect_eq(retry_ms, 1);
    cr_expect(take(rates, 7, 5500));
    cr_expect_not(take(rates, 7, 5500));
    for (int i = 0; i < 3; i++)
        cr_expect(take(rates, 7, 7000), "never more than the burst is saved up");
    cr_expect_not(take(rates, 7, 7000));
    sync_rates_free(rates);
}

Test(sync_rates, no_rate_is_no_limit)
{
    struct sync_rates *rates = sync_rates_new(&(struct sync_rates_options){0, 1, 1});
    for (uint64_t i = 0; i < 1000; i++)
        cr_assert(take(rates, i % 3, 1));
    cr_expect_eq(sync_rates_keys(rates), 0);
    sync_rates_free(rates);
}

Test(sync_rates, who_comes_when_all_places_are_taken_shares_one_bucket)
{
    struct sync_rates *rates = sync_rates_new(&(struct sync_rates_options){60, 2, 4});
    for (uint64_t key = 1; key <= 4; key++)
        cr_assert(take(rates, key, 100000));
    cr_expect(take(rates, 5, 100000));
    cr_expect(take(rates, 6, 100000));
    cr_expect_not(take(rates, 7, 100000), "under whatever name");
    cr_expect(take(rates, 1, 100000), "who is known has its own");
    cr_expect_eq(sync_rates_keys(rates), 4);
    // Keys 2 to 4 are whole again, and make room.
    cr_expect(take(rates, 7, 101001));
    cr_expect(take(rates, 7, 101001));
    cr_expect_not(take(rates, 7, 101001));
    cr_expect_leq(sync_rates_keys(rates), 4);
    sync_rates_free(rates);
}

Test(sync_rates, forgets_whom_it_need_not_know)
{
    struct sync_rates *rates = sync_rates_new(&(struct sync_rates_options){60, 1, 100000});
    for (uint64_t key = 0; key < 50000; key++)
        cr_assert(take(rates, key, key * 10));
    cr_expect_leq(sync_rates_keys(rates), 1200, "%zu", sync_rates_keys(rates));
    sync_rates_free(rates);
}

// Against buckets that are all remembered, in exact fractions.
Test(sync_rates, as_buckets_of_their_own_would_say)
{
    enum { KEYS = 3000, STEPS = 200000, PER_MINUTE = 90, BURST = 5 };
    struct sync_rates *rates =
        sync_rates_new(&(struct sync_rates_options){PER_MINUTE, BURST, KEYS});
    double *level = malloc(KEYS * sizeof *level);
    uint64_t *at = calloc(KEYS, sizeof *at);
    for (int key = 0; key < KEYS; key++)
        level[key] = BURST;
    uint64_t now_ms = UINT32_MAX - 1000000; // the low half of the time comes around on the way
    int refused = 0;
    srand(11);
    for (int step = 0; step < STEPS; step++) {
        now_ms += (uint64_t)(rand() % 1000 ? rand() % 3 : rand() % 100000);
        int key = rand() % 4 ? rand() % 40 : rand() % KEYS;
        level[key] += at[key] ? (double)(now_ms - at[key]) * PER_MINUTE / 60000 : 0;
        level[key] = level[key] > BURST ? BURST : level[key];
        at[key] = now_ms;
        bool expected = level[key] > 1 - 1e-7;
        level[key] -= expected;
        cr_assert_eq(take(rates, (uint64_t)key, now_ms), expected, "key %d at step %d", key, step);
        refused += !expected;
        if (!expected)
            cr_assert_leq((double)retry_ms - (1 - level[key]) * 60000 / PER_MINUTE, 1.0);
    }
    cr_expect_gt(refused, STEPS / 20);
    cr_expect_lt(refused, STEPS);
    sync_rates_free(rates);
    free(level);
    free(at);
}
