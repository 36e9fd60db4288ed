#include "libcommon/base/rng.h"
#include "services/world/phase.h"
#include <criterion/criterion.h>

#define MS UINT64_C(1000000)

static uint64_t jump(struct world_phase *phase, uint64_t took_ns)
{
    uint64_t before = phase->ns;
    world_phase_learn(phase, took_ns, 15 * MS);
    return before > phase->ns ? before - phase->ns : phase->ns - before;
}

Test(world_phase, settles_where_one_commit_in_a_hundred_is_late)
{
    struct world_phase phase = {0};
    struct mm_rng rng;
    mm_rng_seed(&rng, 1);
    // Evenly between 2 and 6 ms.
    for (int i = 0; i < 5000; i++)
        world_phase_learn(&phase, 2 * MS + mm_rng_below(&rng, 4 * MS), 15 * MS);
    unsigned late = 0;
    for (int i = 0; i < 20000; i++) {
        uint64_t took_ns = 2 * MS + mm_rng_below(&rng, 4 * MS);
        late += took_ns > phase.ns;
        world_phase_learn(&phase, took_ns, 15 * MS);
        cr_assert(phase.ns > 5 * MS && phase.ns < 6 * MS + WORLD_PHASE_STEP_NS);
    }
    cr_assert(late > 100 && late < 220, "%u of 20,000", late);
}

Test(world_phase, moves_by_steps_that_nobody_notices)
{
    struct world_phase phase = {0};
    for (int i = 0; i < 200; i++)
        cr_assert_leq(jump(&phase, i % 7 == 0 ? 9000 * MS : 3 * MS), WORLD_PHASE_STEP_NS);
    cr_assert_gt(phase.ns, 3 * MS - WORLD_PHASE_STEP_NS);
}

Test(world_phase, comes_down_again_where_the_disk_has_become_faster)
{
    struct world_phase phase = {12 * MS};
    int commits = 0;
    for (; phase.ns > MS; commits++)
        cr_assert_leq(jump(&phase, MS / 2), WORLD_PHASE_STEP_NS / WORLD_PHASE_IN);
    cr_assert_leq(commits, 6000); // five minutes at twenty a second
}

Test(world_phase, stays_within_the_operators_bound)
{
    struct world_phase phase = {0};
    for (int i = 0; i < 1000; i++)
        world_phase_learn(&phase, 40 * MS, 15 * MS);
    cr_assert_eq(phase.ns, 15 * MS);
    world_phase_learn(&phase, 40 * MS, 4 * MS);
    cr_assert_eq(phase.ns, 4 * MS);
    world_phase_learn(&phase, 40 * MS, 0);
    cr_assert_eq(phase.ns, 0);
    world_phase_learn(&phase, 0, 0);
    cr_assert_eq(phase.ns, 0, "never below");
}
