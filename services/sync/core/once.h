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

// The same for numbers that may be far out of order and begin anew (whoever counts them was set
// back by a restored or emptied database), where to take one twice is better than never. What has
// the number of another thing has another mark: its maker drew it by lot. Of all that share a place
// only what was taken last is known.
enum { SYNC_SEEN_NUMBERS = 4096 };

struct sync_seen {
    struct {
        uint64_t number, mark;
    } taken[SYNC_SEEN_NUMBERS]; // by number mod SYNC_SEEN_NUMBERS; number 0: none
};

// Numbers begin at 1. A mark of 0 says that the number alone tells.
static inline bool sync_seen_take(struct sync_seen *seen, uint64_t number, uint64_t mark)
{
    uint64_t place = number % SYNC_SEEN_NUMBERS;
    if (seen->taken[place].number == number && seen->taken[place].mark == mark)
        return false;
    seen->taken[place].number = number;
    seen->taken[place].mark = mark;
    return true;
}

#endif
