#include "services/vision/core/pace.h"

#include <criterion/criterion.h>

#define SECOND UINT64_C(1000000000)

// Writes whatever is due every `step_ns`; the most that was due at once, and when the last was.
struct course {
    size_t most, times;
    uint64_t ended_ns;
};

static struct course run(struct vision_pace pace, uint64_t step_ns, uint64_t replay_a_step)
{
    struct course course = {0};
    uint64_t age = 0, replay = 0;
    while (pace.written < pace.rows) {
        size_t due = vision_pace_due(&pace, age, replay);
        cr_assert_leq(due, pace.rows - pace.written);
        pace.written += due;
        course.most = due > course.most ? due : course.most;
        course.times += due > 0;
        course.ended_ns = age;
        cr_assert_leq(age, pace.length_ns, "the round is over and something is left");
        age += step_ns;
        replay += replay_a_step;
    }
    cr_assert_eq(vision_pace_due(&pace, age, replay), 0);
    return course;
}

Test(pace, many_rows_are_spread_evenly_over_the_round)
{
    struct vision_pace pace = {.rows = 6800, .length_ns = 5 * SECOND};
    struct course course = run(pace, SECOND / 4, 0);
    cr_assert_leq(course.most, 6800 / 20 + 7); // thousandths are rounded up
    cr_assert_geq(course.times, 19);
    cr_assert_leq(course.ended_ns, 5 * SECOND);
}

Test(pace, few_rows_are_one_transaction)
{
    struct vision_pace pace = {.rows = 64, .length_ns = 5 * SECOND};
    cr_assert_eq(vision_pace_due(&pace, 0, 0), 0);
    struct course course = run(pace, SECOND / 4, 0);
    cr_assert_eq(course.times, 1);
}

Test(pace, what_would_be_replayed_hastens_it)
{
    struct vision_pace pace = {.rows = 6800, .length_ns = 5 * SECOND, .replay_ns = SECOND / 3};
    struct course course = run(pace, SECOND / 4, SECOND / 12);
    cr_assert_eq(course.ended_ns, SECOND, "ended at %llu", (unsigned long long)course.ended_ns);
    cr_assert_leq(course.most, 6800 / 4 + 7);
}

Test(pace, a_late_step_makes_up_for_those_missed)
{
    struct vision_pace pace = {.rows = 1000, .written = 100, .length_ns = 10 * SECOND};
    cr_assert_eq(vision_pace_due(&pace, 5 * SECOND, 0), 400);
    cr_assert_eq(vision_pace_due(&pace, 10 * SECOND, 0), 900);
    cr_assert_eq(vision_pace_due(&pace, 1000 * SECOND, 0), 900);
    cr_assert_eq(vision_pace_due(&pace, SECOND, 0), 0);
}

Test(pace, nothing_is_due_of_nothing)
{
    struct vision_pace none = {0};
    cr_assert_eq(vision_pace_due(&none, 0, 0), 0);
    cr_assert_eq(vision_pace_due(&none, UINT64_MAX, UINT64_MAX), 0);
}

Test(pace, huge_numbers_do_not_overflow)
{
    struct vision_pace pace = {.rows = (size_t)1 << 40, .length_ns = UINT64_MAX, .replay_ns = 1};
    cr_assert_eq(vision_pace_due(&pace, UINT64_MAX / 2, 0), ((size_t)1 << 40) / 2);
    pace = (struct vision_pace){.rows = 2000, .length_ns = 999};
    cr_assert_eq(vision_pace_due(&pace, 333, 0), 666);
}
