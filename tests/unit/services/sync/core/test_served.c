// What vision is told of the empires that are served here, and when: by served.h, call by call.

#include "services/sync/core/core.h"
#include "services/sync/core/served.h"

#include <criterion/criterion.h>

Test(sync_served, vision_is_told_at_once_and_of_each_change_once)
{
    struct sync_served served = sync_served_new();
    cr_expect(sync_served_is_due(&served));
    sync_served_tell(&served);
    cr_expect_not(sync_served_is_due(&served), "a call is under way");
    cr_expect_not(sync_served_has(&served, 1));
    sync_served_told(&served, true);
    cr_expect(sync_served_has(&served, 1) && !sync_served_has(&served, 2));
    cr_expect_not(sync_served_is_due(&served));
    cr_expect_eq(sync_served_change(&served), 2);
    cr_expect_eq(sync_served_change(&served), 2, "not told yet: it takes up more changes");
    cr_expect(sync_served_is_due(&served));
}

Test(sync_served, what_changes_during_a_call_goes_with_the_next)
{
    struct sync_served served = sync_served_new();
    sync_served_tell(&served);
    cr_expect_eq(sync_served_change(&served), 2);
    cr_expect_not(sync_served_is_due(&served));
    sync_served_told(&served, true);
    cr_expect(sync_served_has(&served, 1));
    cr_expect_not(sync_served_has(&served, 2), "what was told did not hold it");
    cr_expect(sync_served_is_due(&served));
    sync_served_tell(&served);
    sync_served_told(&served, true);
    cr_expect(sync_served_has(&served, 2));
}

Test(sync_served, a_call_that_fails_is_made_again_with_the_same_set_or_a_later_one)
{
    struct sync_served served = sync_served_new();
    sync_served_tell(&served);
    sync_served_told(&served, false);
    cr_expect_not(sync_served_has(&served, 1));
    cr_expect(sync_served_is_due(&served) && served.revision == 1);
    sync_served_tell(&served);
    // Perhaps vision took it, and its answer was lost: this set must never be another.
    cr_expect_eq(sync_served_change(&served), 2);
    sync_served_told(&served, false);
    cr_expect(sync_served_is_due(&served) && served.revision == 2);
}

Test(sync_served, a_vision_that_knows_nothing_of_us_is_told_again)
{
    struct sync_served served = sync_served_new();
    sync_served_tell(&served);
    sync_served_told(&served, true);
    sync_served_lose(&served);
    cr_expect(sync_served_is_due(&served) && served.revision == 1);
    sync_served_tell(&served);
    sync_served_told(&served, true);
    cr_expect_not(sync_served_is_due(&served));
}

Test(sync_served, the_set_is_that_of_the_views)
{
    static struct sync_core core;
    uint32_t empires[3];
    cr_assert_eq(sync_core_init(&core), MM_OK);
    cr_expect_eq(sync_core_empires(&core, empires), 0);
    struct sync_view *forty = sync_core_view_open(&core, 40),
                     *three = sync_core_view_open(&core, 3);
    cr_assert(forty && three && sync_core_view_open(&core, 900));
    cr_assert_eq(sync_core_empires(&core, empires), 3);
    cr_expect(empires[0] == 3 && empires[1] == 40 && empires[2] == 900);
    sync_core_view_close(&core, forty);
    cr_assert_eq(sync_core_empires(&core, empires), 2);
    cr_expect(empires[0] == 3 && empires[1] == 900);
    sync_core_free(&core);
}
