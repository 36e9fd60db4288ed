#ifndef MM_BASE_SEQ_H
#define MM_BASE_SEQ_H

#include <stdint.h>

// Sequence numbers of players' commands. A player may be connected several times, and every
// connection counts up from a number of its own that world gives it, so far from the others' that
// no number is ever used twice. What was carried out is therefore remembered by range: within one,
// numbers only grow; of different ones, neither is older.

enum { MM_SEQ_RANGE_BITS = 20 };

static inline uint64_t mm_seq_range(uint64_t seq)
{
    return seq >> MM_SEQ_RANGE_BITS;
}

static inline uint64_t mm_seq_range_begin(uint64_t range)
{
    return range << MM_SEQ_RANGE_BITS;
}

#endif
