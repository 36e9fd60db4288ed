#ifndef SYNC_CORE_ONCE_H
#define SYNC_CORE_ONCE_H

#include <stdbool.h>
#include <stdint.h>

// Numbered things that may arrive twice and out of order, but hardly ever far out of order: each is
// taken once. (The window of RFC 4303, section 3.4.3.) All zero: nothing was taken yet.
struct sync_once {
    uint64_t top;   // the greatest number that was taken
    uint64_t taken; // bit n: top - n was taken
};

// Numbers begin at 1. False: it was taken before, or is too old to know.
static inline bool sync_once_take(struct sync_once *once, uint64_t number)
{
    if (number > once->top) {
        uint64_t up = number - once->top;
        once->taken = up < 64 ? once->taken << up | 1 : 1;
        once->top = number;
        return true;
    }
    uint64_t back = once->top - number;
    if (back >= 64 || once->taken >> back & 1)
        return false;
    once->taken |= UINT64_C(1) << back;
    return true;
}

// The same for numbers that may be far out of order, where to take one twice is better than never:
// one that is too old to know is taken.
enum { SYNC_SEEN_NUMBERS = 4096 };

struct sync_seen {
    uint64_t top;
    uint64_t
        taken[SYNC_SEEN_NUMBERS / 64]; // bit n mod SYNC_SEEN_NUMBERS: of the last ones up to top
};

static inline bool sync_seen_take(struct sync_seen *seen, uint64_t number)
{
    if (number <= seen->top && seen->top - number >= SYNC_SEEN_NUMBERS)
        return true;
    uint64_t up = number > seen->top ? number - seen->top : 0;
    for (uint64_t n = 0; n < up && n < SYNC_SEEN_NUMBERS; n++)
        seen->taken[(number - n) / 64 % (SYNC_SEEN_NUMBERS / 64)] &=
            ~(UINT64_C(1) << (number - n) % 64);
    seen->top += up;
    uint64_t *word = &seen->taken[number / 64 % (SYNC_SEEN_NUMBERS / 64)];
    uint64_t bit = UINT64_C(1) << number % 64;
    bool fresh = (*word & bit) == 0;
    *word |= bit;
    return fresh;
}

#endif
