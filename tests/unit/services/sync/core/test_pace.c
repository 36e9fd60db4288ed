#include "libcommon/base/rng.h"
#include "services/sync/core/pace.h"
#include <criterion/criterion.h>

#define MS     UINT64_C(1000000)
#define PERIOD (50 * MS)
#define MOST   (10 * MS)
#define BEGAN  (1000 * MS)

// Tick t is due at BEGAN + t * PERIOD and comes so much later; returns how much later it is told.
static uint64_t come(struct sync_pace *pace, uint64_t tick, uint64_t after_ns)
{
    uint64_t at_ns = BEGAN + tick * PERIOD;
    uint64_t told_ns = sync_pace_take(pace, tick, at_ns + after_ns, PERIOD, MOST);
    cr_assert_geq(told_ns, at_ns + after_ns);
    cr_assert_leq(told_ns, at_ns + after_ns + MOST);
    return told_ns - at_ns;
}

Test(sync_pace, the_first_tick_is_told_at_once)
{
    struct sync_pace pace = {0};
    cr_assert_eq(come(&pace, 7, 3 * MS), 3 * MS);
}

Test(sync_pace, one_late_tick_in_many_is_seen_and_no_other)
{
    struct sync_pace pace = {0};
    struct mm_rng rng;
    mm_rng_seed(&rng, 1);
    uint64_t last_ns = 0;
    unsigned uneven = 0;
    // Evenly within 4 ms, and one in a hundred 8 ms late.
    for (uint64_t tick = 1; tick <= 22000; tick++) {
        uint64_t after_ns = mm_rng_below(&rng, 4 * MS) + (mm_rng_below(&rng, 100) ? 0 : 8 * MS);
        uint64_t told_ns = come(&pace, tick, after_ns);
        if (tick > 2000)
            uneven += told_ns > last_ns + SYNC_PACE_STEP_NS;
        last_ns = told_ns;
    }
    cr_assert(uneven > 100 && uneven < 300, "%u of 20,000", uneven);
}

Test(sync_pace, even_ticks_wait_for_nothing)
{
    struct sync_pace pace = {0};
    come(&pace, 1, 9 * MS); // as after a hard moment
    uint64_t tick = 2;
    while (come(&pace, tick, 2 * MS) > 2 * MS + SYNC_PACE_STEP_NS)
        cr_assert_leq(++tick, 1200); // a minute at twenty a second
}

Test(sync_pace, a_grid_that_moved_is_found_again)
{
    struct sync_pace pace = {0};
    for (uint64_t tick = 1; tick < 100; tick++)
        come(&pace, tick, MS);
    // World stood still for a second: late from now on, until that is what is usual.
    uint64_t tick = 100;
    for (; tick < 100 + SYNC_PACE_LATE_MAX; tick++)
        cr_assert_eq(come(&pace, tick, 1000 * MS), 1000 * MS);
    come(&pace, tick, 1003 * MS);
    cr_assert_gt(come(&pace, tick + 1, 1000 * MS), 1000 * MS, "the grid is the new one");
    // It has caught up: nobody waits for what used to be usual.
    cr_assert_eq(come(&pace, tick + 2, MS), MS);
    // And ticks that were not seen are no reason to wait.
    cr_assert_leq(come(&pace, tick + 500, MS), MS + SYNC_PACE_STEP_NS);
}

Test(sync_pace, a_world_that_went_back_begins_anew)
{
    struct sync_pace pace = {0};
    for (uint64_t tick = 1000; tick < 1100; tick++)
        come(&pace, tick, MS);
    cr_assert_eq(sync_pace_take(&pace, 50, BEGAN + 1200 * PERIOD, PERIOD, MOST),
                 BEGAN + 1200 * PERIOD);
    cr_assert_eq(pace.tick, 50);
}

Test(sync_pace, with_no_time_to_wait_each_is_told_as_it_comes)
{
    struct sync_pace pace = {0};
    struct mm_rng rng;
    mm_rng_seed(&rng, 2);
    for (uint64_t tick = 1; tick < 1000; tick++) {
        uint64_t now_ns = BEGAN + tick * PERIOD + mm_rng_below(&rng, 20 * MS);
        cr_assert_eq(sync_pace_take(&pace, tick, now_ns, PERIOD, 0), now_ns);
    }
}
