// The simulator itself: a seed is a whole world, to the byte, and another seed another one.

#include "tests/sim/sim.h"

#include <criterion/criterion.h>

static struct sim_report run(uint64_t seed, uint32_t ticks)
{
    struct sim_options options = {.seed = seed, .ticks = ticks};
    struct sim_report report;
    cr_expect(sim_run(&options, &report), "%s", report.failure);
    return report;
}

Test(sim, a_seed_replays_to_the_byte, .timeout = 300)
{
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct sim_report first = run(seed, 1500), again = run(seed, 1500);
        cr_expect_eq(first.digest, again.digest, "seed %llu", (unsigned long long)seed);
        cr_expect_eq(first.compared, again.compared);
        cr_expect_eq(first.lost, again.lost);
        cr_expect_neq(first.digest, run(seed + 100, 1500).digest);
    }
}

Test(sim, every_client_is_compared_in_almost_every_tick_of_fair_weather, .timeout = 300)
{
    struct sim_report best = {0};
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct sim_report report = run(seed, 1000);
        if (report.compared > best.compared)
            best = report;
    }
    cr_expect_gt(best.compared, best.ticks * 4, "%llu views in %llu ticks",
                 (unsigned long long)best.compared, (unsigned long long)best.ticks);
    cr_expect_gt(best.entities, best.compared * 3);
}
