#include <criterion/criterion.h>
#include <stdlib.h>

#include "services/sync/core/once.h"

Test(sync_once, each_is_taken_once_in_whatever_order)
{
    struct sync_once once = {0};
    cr_expect(sync_once_take(&once, 17));
    cr_expect_not(sync_once_take(&once, 17));
    cr_expect(sync_once_take(&once, 19));
    cr_expect(sync_once_take(&once, 18));
    cr_expect_not(sync_once_take(&once, 18));
    cr_expect_not(sync_once_take(&once, 17));
    cr_expect(sync_once_take(&once, 16), "older than the first, but never taken");
    cr_expect(sync_once_take(&once, 19 + 63));
    cr_expect_not(sync_once_take(&once, 19), "the last one within the window");
    cr_expect(sync_once_take(&once, 19 + 64));
    cr_expect_not(sync_once_take(&once, 19), "beyond it");
    cr_expect(sync_once_take(&once, UINT64_MAX));
    cr_expect_not(sync_once_take(&once, UINT64_MAX));
}

// Against a plain list of what was taken.
Test(sync_once, as_a_list_would_say)
{
    enum { NUMBERS = 3000, STEPS = 20000 };
    bool taken[NUMBERS + 1] = {false};
    uint64_t top = 0;
    struct sync_once once = {0};
    srand(3);
    for (int step = 0; step < STEPS; step++) {
        uint64_t number = (uint64_t)(step / 8 + 1 + rand() % 100);
        bool fresh = !taken[number] && (number > top || top - number < 64);
        cr_assert_eq(sync_once_take(&once, number), fresh, "%d at %d", (int)number, step);
        taken[number] = true;
        top = number > top ? number : top;
    }
}

Test(sync_seen, each_is_taken_once_as_long_as_it_is_known)
{
    static struct sync_seen seen;
    cr_expect(sync_seen_take(&seen, 17, 0));
    cr_expect_not(sync_seen_take(&seen, 17, 0));
    cr_expect(sync_seen_take(&seen, 17 + SYNC_SEEN_NUMBERS - 1, 5));
    cr_expect_not(sync_seen_take(&seen, 17, 0), "the last one that is known");
    cr_expect(sync_seen_take(&seen, 16, 5), "older than the first, but never taken");
    cr_expect(sync_seen_take(&seen, 17 + SYNC_SEEN_NUMBERS, 5));
    cr_expect(sync_seen_take(&seen, 17, 0), "rather twice than never");
    cr_expect(sync_seen_take(&seen, UINT64_MAX, 5));
    cr_expect_not(sync_seen_take(&seen, UINT64_MAX, 5));
}

// Against a plain list of what was taken.
Test(sync_seen, as_a_list_would_say)
{
    enum { NUMBERS = 60000, STEPS = 40000 };
    static bool taken[NUMBERS + 1];
    static struct sync_seen seen;
    srand(4);
    for (int step = 0; step < STEPS; step++) {
        uint64_t number = (uint64_t)(step + 1 + rand() % (rand() % 50 == 0 ? 6000 : 100));
        bool fresh = !taken[number];
        cr_assert_eq(sync_seen_take(&seen, number, number * 7), fresh, "%d at %d", (int)number,
                     step);
        taken[number] = true;
        for (uint64_t other = number % SYNC_SEEN_NUMBERS; other <= NUMBERS;
             other += SYNC_SEEN_NUMBERS)
            taken[other] &= other == number; // whose place it took
    }
}

// Its database emptied, social counts from 1; restored, from somewhere before.
Test(sync_seen, numbers_that_begin_anew_are_no_repetitions)
{
    static struct sync_seen seen;
    for (uint64_t number = 1; number <= 3000; number++)
        cr_assert(sync_seen_take(&seen, number, number << 32));
    for (uint64_t number = 1; number <= 100; number++) {
        cr_assert(sync_seen_take(&seen, number, number << 32 | 1), "%d", (int)number);
        cr_assert_not(sync_seen_take(&seen, number, number << 32 | 1), "%d again", (int)number);
    }
    cr_expect_not(sync_seen_take(&seen, 3000, UINT64_C(3000) << 32), "one of before, again");
    cr_expect(sync_seen_take(&seen, 2950, 9));
}
