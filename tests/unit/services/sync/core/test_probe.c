// Which connections make way for their player's next one.

#include <criterion/criterion.h>

#include "services/sync/core/probe.h"

enum { PATIENCE = 16 };

Test(sync_probe, who_says_nothing_makes_way_after_so_many_sweeps)
{
    struct sync_probe probe = {0};
    cr_assert_eq(sync_probe_want(&probe), SYNC_PROBE_ASK);
    for (uint32_t sweeps = 1; sweeps < PATIENCE; sweeps++) {
        cr_assert_not(sync_probe_sweep(&probe, PATIENCE), "%u", sweeps);
        cr_expect_eq(sync_probe_want(&probe), SYNC_PROBE_WAIT, "asked once, by however many");
        cr_expect_eq(sync_probe_left(&probe, PATIENCE), PATIENCE - sweeps);
    }
    cr_assert(sync_probe_sweep(&probe, PATIENCE));
    cr_expect(sync_probe_sweep(&probe, PATIENCE), "and stays silent");
    cr_expect_eq(sync_probe_left(&probe, PATIENCE), 0);
}

Test(sync_probe, nobody_is_silent_who_was_not_asked)
{
    struct sync_probe probe = {0};
    for (int sweeps = 0; sweeps < 10 * PATIENCE; sweeps++)
        cr_assert_not(sync_probe_sweep(&probe, PATIENCE));
    cr_expect_eq(sync_probe_want(&probe), SYNC_PROBE_ASK);
}

Test(sync_probe, who_answers_stays_and_that_holds_for_a_while)
{
    struct sync_probe probe = {0};
    (void)sync_probe_want(&probe);
    for (int sweeps = 1; sweeps < PATIENCE; sweeps++)
        cr_assert_not(sync_probe_sweep(&probe, PATIENCE));
    sync_probe_heard(&probe);
    sync_probe_answered(&probe, PATIENCE);
    // Who was told to come again after the time there was to answer finds this known.
    for (int sweeps = 0; sweeps < 2 * PATIENCE; sweeps++) {
        cr_assert_eq(sync_probe_want(&probe), SYNC_PROBE_LIVES, "%d", sweeps);
        cr_assert_not(sync_probe_sweep(&probe, PATIENCE));
    }
    // Its line may have broken since.
    cr_assert_eq(sync_probe_want(&probe), SYNC_PROBE_ASK);
    for (int sweeps = 1; sweeps < PATIENCE; sweeps++)
        cr_assert_not(sync_probe_sweep(&probe, PATIENCE));
    cr_assert(sync_probe_sweep(&probe, PATIENCE));
}

Test(sync_probe, what_is_heard_is_a_sign_of_life_but_no_answer)
{
    struct sync_probe probe = {0};
    (void)sync_probe_want(&probe);
    for (int sweeps = 1; sweeps < PATIENCE; sweeps++)
        (void)sync_probe_sweep(&probe, PATIENCE);
    sync_probe_heard(&probe);
    cr_expect_not(sync_probe_sweep(&probe, PATIENCE));
    cr_assert_eq(sync_probe_want(&probe), SYNC_PROBE_ASK, "asked anew");
    cr_expect_eq(sync_probe_left(&probe, PATIENCE), PATIENCE, "with all the time there is");
    // Whatever comes when nobody has asked is none either.
    sync_probe_heard(&probe);
    sync_probe_heard(&probe);
    cr_expect_eq(sync_probe_want(&probe), SYNC_PROBE_ASK);
}

Test(sync_probe, who_reads_has_time_for_the_ping_from_then_on)
{
    struct sync_probe probe = {0};
    (void)sync_probe_want(&probe);
    for (int sweeps = 0; sweeps < 10 * PATIENCE; sweeps++) {
        cr_assert_not(sync_probe_sweep(&probe, PATIENCE), "%d", sweeps);
        if (sweeps % (PATIENCE - 1) == PATIENCE - 2)
            sync_probe_reads(&probe);
        cr_assert_eq(sync_probe_want(&probe), SYNC_PROBE_WAIT);
    }
}
