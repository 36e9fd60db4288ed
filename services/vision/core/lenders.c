#include "libcommon/base/alloc.h"
#include "services/vision/core/state.h"

#include <stdlib.h>

// Who lends by order, said to somebody else.

struct pairs {
    MM_VEC(uint64_t);
};

static bool add(const struct vision *vision, struct pairs *pairs, uint32_t from, uint32_t to)
{
    return !vision_knows_empire(vision, from) || !vision_knows_empire(vision, to) ||
           mm_vec_push(pairs, (uint64_t)to << 32 | from);
}

static bool add_all(const struct vision *vision, uint32_t first, uint32_t last, struct pairs *pairs)
{
    bool room = true;
    for (uint32_t from = 1; room && from < vision->empire_capacity; from++) {
        const struct vision_empire *lender = vision_empire_find(vision, from);
        for (size_t i = 0; room && lender && i < lender->borrowers.count; i++) {
            const struct vision_relation *relation = &lender->borrowers.items[i];
            if (relation->by_order && relation->to >= first && relation->to <= last)
                room = add(vision, pairs, from, relation->to);
        }
    }
    for (size_t i = 0; room && i < vision->share_orders.count; i++) {
        const struct vision_share_order *order = &vision->share_orders.items[i];
        if (order->alliance == 0 && order->begin && order->to >= first && order->to <= last)
            room = add(vision, pairs, order->from, order->to);
    }
    return room;
}

static int compare_pairs(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

enum mm_err vision_lenders(const struct vision *vision, uint32_t first, uint32_t last,
                           size_t pairs_max, struct vision_lenders *out)
{
    struct pairs pairs;
    mm_vec_init(&pairs, SIZE_MAX / sizeof *pairs.items);
    *out = (struct vision_lenders){.last = last};
    if (!add_all(vision, first, last, &pairs)) {
        mm_vec_free(&pairs);
        return MM_RESOURCE_EXHAUSTED;
    }
    if (pairs.count > 0)
        qsort(pairs.items, pairs.count, sizeof *pairs.items, compare_pairs);
    size_t count = 0;
    for (size_t i = 0; i < pairs.count; i++)
        if (count == 0 || pairs.items[i] != pairs.items[count - 1])
            pairs.items[count++] = pairs.items[i];
    if (count > pairs_max) {
        // The last one that there is room for is perhaps not there as a whole.
        uint64_t beyond = pairs.items[pairs_max] >> 32, one = pairs.items[0] >> 32;
        size_t whole = pairs_max;
        while (whole > 0 && pairs.items[whole - 1] >> 32 == beyond)
            whole--;
        while (whole < count && (whole == 0 || pairs.items[whole] >> 32 == one))
            whole++;
        out->last = (uint32_t)(pairs.items[whole - 1] >> 32);
        count = whole;
    }
    out->pairs = pairs.items;
    out->count = count;
    return MM_OK;
}

bool vision_lenders_news(struct vision *vision, uint32_t *first, uint32_t *last)
{
    *first = vision->lent_first;
    *last = vision->lent_last;
    vision->lent_first = vision->lent_last = 0;
    return *last != 0;
}

uint32_t vision_ordered_lenders(const struct vision *vision, uint32_t to)
{
    const struct vision_empire *borrower = vision_empire_find(vision, to);
    return borrower ? borrower->ordered_lenders : 0;
}
