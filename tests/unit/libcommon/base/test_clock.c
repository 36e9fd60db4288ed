#include "libcommon/base/clock.h"
#include <criterion/criterion.h>
#include <time.h>

Test(clock, monotonic_time_advances)
{
    uint64_t before = mm_clock_ns();
    uint64_t before_ms = mm_clock_ms();
    struct timespec nap = {.tv_nsec = 2000000};
    nanosleep(&nap, NULL);
    cr_assert_geq(mm_clock_ns() - before, 2000000);
    cr_assert_geq(mm_clock_ms(), before_ms + 1);
    uint64_t cpu = mm_clock_cpu_ns();
    while (mm_clock_cpu_ns() == cpu)
        ;
    int64_t first = (int64_t)time(NULL), wall = mm_clock_wall_ms() / 1000;
    cr_assert_geq(wall, first - 1);
    cr_assert_leq(wall, (int64_t)time(NULL) + 1);
}

Test(clock, format)
{
    char text[MM_CLOCK_TEXT_BYTES];
    mm_clock_format(0, text);
    cr_assert_str_eq(text, "1970-01-01T00:00:00.000Z");
    mm_clock_format(INT64_C(951782399999), text);
    cr_assert_str_eq(text, "2000-02-28T23:59:59.999Z");
    mm_clock_format(-5, text);
    cr_assert_str_eq(text, "1970-01-01T00:00:00.000Z");
    mm_clock_format(INT64_MAX, text);
    cr_assert_str_eq(text, "9999-12-31T23:59:59.999Z");
}
