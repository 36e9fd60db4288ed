#include "services/vision/core/internal.h"

#include <string.h>

// Sharing: an empire that borrows sees a hex if it sees it itself or a lender does by its own sight
// (what is borrowed is not lent on). Only where a lender's own sight begins or ends is the borrower
// touched: it counts lenders, not their observers.

static size_t borrower_place(const struct vision_empire *lender, uint32_t to)
{
    size_t i = 0;
    while (i < lender->borrowers.count && lender->borrowers.items[i] < to)
        i++;
    return i;
}

bool vision_shares(const struct vision *vision, uint32_t from, uint32_t to)
{
    bool shares = false;
    const struct vision_empire *lender = vision_empire_find(vision, from);
    if (lender) {
        size_t i = borrower_place(lender, to);
        shares = i < lender->borrowers.count && lender->borrowers.items[i] == to;
    }
    for (size_t i = 0; i < vision->share_orders.count; i++) {
        const struct vision_share_order *order = &vision->share_orders.items[i];
        if (order->from == from && order->to == to)
            shares = order->begin;
    }
    return shares;
}

static enum mm_err add_order(struct vision *vision, uint32_t from, uint32_t to, uint64_t at_tick,
                             bool begin)
{
    // Two orders about the same pair keep their order, whatever their ticks.
    for (size_t i = 0; i < vision->share_orders.count; i++) {
        const struct vision_share_order *earlier = &vision->share_orders.items[i];
        if (earlier->from == from && earlier->to == to && earlier->at_tick > at_tick)
            at_tick = earlier->at_tick;
    }
    struct vision_share_order order = {.from = from, .to = to, .at_tick = at_tick, .begin = begin};
    return mm_vec_push(&vision->share_orders, order) ? MM_OK : MM_RESOURCE_EXHAUSTED;
}

enum mm_err vision_share(struct vision *vision, uint32_t from, uint32_t to, uint64_t at_tick)
{
    if (from == 0 || to == 0 || from == to || from > vision->options.empires_max ||
        to > vision->options.empires_max)
        return MM_INVALID_ARGUMENT;
    if (vision_shares(vision, from, to))
        return MM_OK;
    return add_order(vision, from, to, at_tick, true);
}

enum mm_err vision_unshare(struct vision *vision, uint32_t from, uint32_t to, uint64_t at_tick)
{
    if (!vision_shares(vision, from, to))
        return MM_NOT_FOUND;
    return add_order(vision, from, to, at_tick, false);
}

// --- what is lent ----------------------------------------------------------------------------

static const enum vision_bits own_bits[SENSES] = {BITS_OWN_VISIBLE, BITS_OWN_DETECTED};

// The lender's own sight in one active view as of the last settling, counted for one borrower.
static void lend_view(struct vision *vision, struct vision_active *active, uint32_t to, bool up)
{
    for (unsigned sense = 0; sense < SENSES; sense++) {
        const uint64_t *bits = vision_bits(vision, active, own_bits[sense]);
        struct vision_view *view = NULL;
        for (size_t cell = mm_bitset_next(bits, vision->tiling.cells, 0);
             cell < vision->tiling.cells;
             cell = mm_bitset_next(bits, vision->tiling.cells, cell + 1)) {
            if (!view)
                view = vision_view_get(vision, to, active->view->chunk);
            if (!view)
                return;
            vision_count_cell(vision, view, (enum vision_sense)sense, SOURCE_LENT, (uint32_t)cell,
                              up);
        }
    }
}

// An empire that begins to lend has its own sight noted from here on.
static void note_own_sight(struct vision *vision, struct vision_empire *lender)
{
    for (size_t i = 0; i < lender->actives.count; i++) {
        struct vision_active *active = lender->actives.items[i];
        for (unsigned sense = 0; sense < SENSES; sense++) {
            uint64_t *bits = vision_bits(vision, active, own_bits[sense]);
            for (uint32_t w = 0; w < vision->words; w++)
                bits[w] = vision_plane_word(active->planes[sense][SOURCE_OWN], w);
        }
    }
}

static void begin_share(struct vision *vision, uint32_t from, uint32_t to)
{
    struct vision_empire *lender = vision_empire_get(vision, from);
    if (!lender || !vision_empire_get(vision, to))
        return;
    size_t place = borrower_place(lender, to);
    if (place < lender->borrowers.count && lender->borrowers.items[place] == to)
        return;
    if (lender->borrowers.count == 0)
        note_own_sight(vision, lender);
    if (!mm_vec_push(&lender->borrowers, to)) {
        vision->exhausted = true;
        return;
    }
    memmove(&lender->borrowers.items[place + 1], &lender->borrowers.items[place],
            (lender->borrowers.count - 1 - place) * sizeof *lender->borrowers.items);
    lender->borrowers.items[place] = to;
    for (size_t i = 0; i < lender->actives.count; i++)
        lend_view(vision, lender->actives.items[i], to, true);
}

static void end_share(struct vision *vision, uint32_t from, uint32_t to)
{
    struct vision_empire *lender = vision_empire_find(vision, from);
    if (!lender)
        return;
    size_t place = borrower_place(lender, to);
    if (place == lender->borrowers.count || lender->borrowers.items[place] != to)
        return;
    lender->borrowers.count--;
    memmove(&lender->borrowers.items[place], &lender->borrowers.items[place + 1],
            (lender->borrowers.count - place) * sizeof *lender->borrowers.items);
    if (VISION_FAULT(STALE_SHARE))
        return;
    for (size_t i = 0; i < lender->actives.count; i++)
        lend_view(vision, lender->actives.items[i], to, false);
}

void vision_share_apply_orders(struct vision *vision)
{
    size_t kept = 0;
    for (size_t i = 0; i < vision->share_orders.count; i++) {
        struct vision_share_order order = vision->share_orders.items[i];
        if (order.at_tick > vision->tick || vision->exhausted)
            vision->share_orders.items[kept++] = order;
        else if (order.begin)
            begin_share(vision, order.from, order.to);
        else
            end_share(vision, order.from, order.to);
    }
    vision->share_orders.count = kept;
}

// Counts up or down for all borrowers what the lender gained or lost in one word of a view.
static void lend_word(struct vision *vision, const struct vision_empire *lender, uint32_t chunk,
                      enum vision_sense sense, uint32_t word, uint64_t changed, uint64_t now)
{
    for (size_t b = 0; b < lender->borrowers.count; b++) {
        struct vision_view *lent = vision_view_get(vision, lender->borrowers.items[b], chunk);
        if (!lent)
            return;
        for (uint64_t rest = changed; rest != 0; rest &= rest - 1) {
            uint32_t bit = (uint32_t)__builtin_ctzll(rest);
            vision_count_cell(vision, lent, sense, SOURCE_LENT, word * 64 + bit, now >> bit & 1);
        }
    }
}

// What the lender's own sight of one view gained and lost since the last settling.
static void settle_lender(struct vision *vision, const struct vision_empire *lender,
                          const struct vision_view *view)
{
    struct vision_active *active = view->active;
    for (unsigned sense = 0; sense < SENSES; sense++) {
        uint64_t *bits = vision_bits(vision, active, own_bits[sense]);
        for (uint32_t w = 0; w < vision->words; w++) {
            uint64_t now = vision_plane_word(active->planes[sense][SOURCE_OWN], w);
            uint64_t changed = now ^ bits[w];
            bits[w] = now;
            if (changed)
                lend_word(vision, lender, view->chunk, (enum vision_sense)sense, w, changed, now);
        }
    }
}

void vision_share_settle(struct vision *vision)
{
    // Borrowers' views join the list while it is walked; what they gain is lent, so they lend
    // nothing on.
    for (size_t i = 0; i < vision->dirty_views.count && !vision->exhausted; i++) {
        struct vision_view *view = vision->dirty_views.items[i];
        struct vision_empire *empire = vision->empires[view->empire];
        if (view->active && empire->borrowers.count > 0)
            settle_lender(vision, empire, view);
    }
}
