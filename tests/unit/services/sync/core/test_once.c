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
    struct sync_seen seen = {0};
    cr_expect(sync_seen_take(&seen, 17));
    cr_expect_not(sync_seen_take(&seen, 17));
    cr_expect(sync_seen_take(&seen, 17 + SYNC_SEEN_NUMBERS - 1));
    cr_expect_not(sync_seen_take(&seen, 17), "the last one that is known");
    cr_expect(sync_seen_take(&seen, 16), "too old to know");
    cr_expect(sync_seen_take(&seen, 17 + SYNC_SEEN_NUMBERS));
    cr_expect(sync_seen_take(&seen, 17), "rather twice than never");
    cr_expect(sync_seen_take(&seen, UINT64_MAX));
    cr_expect_not(sync_seen_take(&seen, UINT64_MAX));
    cr_expect(sync_seen_take(&seen, UINT64_MAX - 1), "what lay there before is forgotten");
}

Test(sync_seen, as_a_list_would_say)
{
    enum { NUMBERS = 60000, STEPS = 40000 };
    static bool taken[NUMBERS + 1];
    uint64_t top = 0;
    struct sync_seen seen = {0};
    srand(4);
    for (int step = 0; step < STEPS; step++) {
        uint64_t number = (uint64_t)(step + 1 + rand() % (rand() % 50 == 0 ? 6000 : 100));
        bool fresh = !taken[number] || top >= number + SYNC_SEEN_NUMBERS;
        cr_assert_eq(sync_seen_take(&seen, number), fresh, "%d at %d", (int)number, step);
        taken[number] = true;
        top = number > top ? number : top;
    }
}
