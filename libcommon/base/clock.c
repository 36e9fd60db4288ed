#include "libcommon/base/clock.h"

#include <stdio.h>
#include <time.h>

static uint64_t read_ns(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

uint64_t mm_clock_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

uint64_t mm_clock_ms(void)
{
    return read_ns(CLOCK_MONOTONIC) / 1000000;
}

int64_t mm_clock_wall_ms(void)
{
    return (int64_t)(read_ns(CLOCK_REALTIME) / 1000000);
}

uint64_t mm_clock_cpu_ns(void)
{
    return read_ns(CLOCK_PROCESS_CPUTIME_ID);
}

void mm_clock_format(int64_t wall_ms, char out[MM_CLOCK_TEXT_BYTES])
{
    // Years beyond four digits would not fit the documented form.
    const int64_t year_10000_ms = INT64_C(253402300800000);
    if (wall_ms < 0)
        wall_ms = 0;
    if (wall_ms >= year_10000_ms)
        wall_ms = year_10000_ms - 1;
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    size_t len = strftime(out, MM_CLOCK_TEXT_BYTES, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + len, MM_CLOCK_TEXT_BYTES - len, ".%03uZ", (unsigned)(wall_ms % 1000));
}
