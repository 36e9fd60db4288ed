#ifndef MM_BASE_CLOCK_H
#define MM_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

// Never for cores: they get their time as an argument. Any thread.

// Monotonic time since an arbitrary start.
uint64_t mm_clock_ns(void);
uint64_t mm_clock_ms(void);

// Wall clock, milliseconds since 1970-01-01 UTC.
int64_t mm_clock_wall_ms(void);

// CPU time this process has used so far, in nanoseconds.
uint64_t mm_clock_cpu_ns(void);

// Writes wall-clock milliseconds as RFC 3339 UTC with milliseconds
// ("2026-01-31T12:00:00.123Z", 24 characters and a NUL).
enum { MM_CLOCK_TEXT_BYTES = 32 };
void mm_clock_format(int64_t wall_ms, char out[MM_CLOCK_TEXT_BYTES]);

#endif
