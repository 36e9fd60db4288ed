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
