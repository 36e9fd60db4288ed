#include "services/vision/core/pace.h"

enum { ROWS_MIN = 64 }; // one statement's

// The part of `rows` that `done` is of `all`, rounded up.
static size_t part(size_t rows, uint64_t done, uint64_t all)
{
    if (done >= all)
        return rows;
    // In thousandths, so that nothing overflows.
    uint64_t thousandths = all >= 1000 ? done / (all / 1000) : done * 1000 / all;
    if (thousandths >= 1000)
        return rows;
    return (size_t)((rows * thousandths + 999) / 1000);
}

size_t vision_pace_due(const struct vision_pace *pace, uint64_t age_ns, uint64_t replay_ns)
{
    size_t due = part(pace->rows, age_ns, pace->length_ns);
    size_t by_replay = pace->replay_ns > 0 ? part(pace->rows, replay_ns, pace->replay_ns) : 0;
    due = by_replay > due ? by_replay : due;
    if (due <= pace->written)
        return 0;
    size_t left = pace->rows - pace->written, more = due - pace->written;
    more = more > ROWS_MIN ? more : ROWS_MIN;
    return more < left ? more : left;
}
