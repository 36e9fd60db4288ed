#include "services/vision/core/internal.h"

#include <string.h>

// A radix sort: the cost of the tick follows the changes, not the number of empires.

enum { DIGIT_BITS = 11, DIGITS = 1 << DIGIT_BITS };

static void sort_by_digit(const struct vision *vision, const uint32_t *from, uint32_t *to,
                          unsigned shift)
{
    uint32_t places[DIGITS] = {0};
    size_t count = vision->changes.count;
    const struct vision_change *changes = vision->changes.items;
    for (size_t i = 0; i < count; i++)
        places[changes[i].owner >> shift & (DIGITS - 1)]++;
    uint32_t sum = 0;
    for (uint32_t digit = 0; digit < DIGITS; digit++) {
        uint32_t here = places[digit];
        places[digit] = sum;
        sum += here;
    }
    for (size_t i = 0; i < count; i++)
        to[places[changes[from[i]].owner >> shift & (DIGITS - 1)]++] = from[i];
}

void vision_order_changes(struct vision *vision)
{
    enum { SORTED_FROM = 64 }; // fewer fit into the cache in any order
    size_t count = vision->changes.count;
    if (!mm_vec_reserve(&vision->order, count) || !mm_vec_reserve(&vision->order_scratch, count)) {
        vision->exhausted = true;
        return;
    }
    vision->order.count = vision->order_scratch.count = count;
    for (size_t i = 0; i < count; i++)
        vision->order.items[i] = (uint32_t)i;
    if (count < SORTED_FROM)
        return;
    for (unsigned shift = 0; shift < 32 && vision->empire_capacity >> shift != 0;
         shift += DIGIT_BITS) {
        sort_by_digit(vision, vision->order.items, vision->order_scratch.items, shift);
        uint32_t *sorted = vision->order_scratch.items;
        vision->order_scratch.items = vision->order.items;
        vision->order.items = sorted;
    }
}
