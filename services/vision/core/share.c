#include "services/vision/core/share.h"
#include "libcommon/base/check.h"
#include "libcommon/base/hash.h"
#include "services/vision/core/count.h"
#include "services/vision/core/mirror.h"
#include "services/vision/core/state.h"
#include "services/vision/core/view.h"

#include <string.h>

// Sharing: an empire that borrows sees a hex if it sees it itself or a lender does by its own sight
// (what is borrowed is not lent on). Only where a lender's own sight begins or ends is the borrower
// touched: it counts lenders, not their observers.
//
// An empire lends to another because it was ordered to, or because both are members of an alliance,
// or of several. The relation counts the reasons; what is lent changes only with the first and the
// last of them.

static size_t relation_place(const struct vision_empire *lender, uint32_t to)
{
    size_t low = 0, high = lender->borrowers.count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (lender->borrowers.items[middle].to < to)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct vision_relation *vision_relation_find(const struct vision *vision, uint32_t from,
                                                   uint32_t to)
{
    const struct vision_empire *lender = vision_empire_find(vision, from);
    if (!lender)
        return NULL;
    size_t place = relation_place(lender, to);
    bool found = place < lender->borrowers.count && lender->borrowers.items[place].to == to;
    return found ? &lender->borrowers.items[place] : NULL;
}

static size_t member_place(const struct vision_alliance *alliance, uint32_t empire)
{
    size_t low = 0, high = alliance->members.count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (alliance->members.items[middle] < empire)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool vision_is_member(const struct vision_alliance *alliance, uint32_t empire)
{
    size_t place = member_place(alliance, empire);
    return place < alliance->members.count && alliance->members.items[place] == empire;
}

static struct vision_alliance *find_alliance(const struct vision *vision, uint64_t id)
{
    uint64_t index;
    return mm_idmap_get(vision->alliance_by_id, id, &index) ? &vision->alliances.items[index]
                                                            : NULL;
}

// --- orders ----------------------------------------------------------------------------------

static bool same_subject(const struct vision_share_order *x, const struct vision_share_order *y)
{
    return x->alliance == y->alliance && x->from == y->from && x->to == y->to;
}

static uint64_t subject_hash(const struct vision_share_order *order)
{
    return mm_mix64(order->alliance ^ mm_mix64((uint64_t)order->from << 32 | order->to));
}

// The last order about the subject that is still to be carried out, or NULL.
static const struct vision_share_order *last_order(const struct vision *vision,
                                                   const struct vision_share_order *subject)
{
    uint64_t place = 0;
    if (!mm_idmap_get(vision->order_by_subject, subject_hash(subject), &place))
        return NULL;
    while (place != 0 && !same_subject(&vision->share_orders.items[place - 1], subject))
        place = vision->share_orders.items[place - 1].earlier;
    return place != 0 ? &vision->share_orders.items[place - 1] : NULL;
}

// Notes where the order at that place is found.
static bool index_order(struct vision *vision, size_t place)
{
    struct vision_share_order *order = &vision->share_orders.items[place];
    uint64_t hash = subject_hash(order), earlier = 0;
    if (!mm_idmap_get(vision->order_by_subject, hash, &earlier))
        earlier = 0;
    order->earlier = (size_t)earlier;
    return mm_idmap_set(vision->order_by_subject, hash, place + 1) == MM_OK;
}

// What the last order about the subject says; `now` if there is none.
static bool as_ordered(const struct vision *vision, const struct vision_share_order *subject,
                       bool now)
{
    const struct vision_share_order *last = last_order(vision, subject);
    return last ? last->begin : now;
}

bool vision_shares(const struct vision *vision, uint32_t from, uint32_t to)
{
    const struct vision_relation *relation = vision_relation_find(vision, from, to);
    struct vision_share_order subject = {.from = from, .to = to};
    return as_ordered(vision, &subject, relation && relation->by_order);
}

bool vision_is_ally(const struct vision *vision, uint64_t id, uint32_t empire)
{
    const struct vision_alliance *alliance = find_alliance(vision, id);
    struct vision_share_order subject = {.alliance = id, .from = empire};
    return as_ordered(vision, &subject, alliance && vision_is_member(alliance, empire));
}

// Who lends to the borrower by order is another question from now on.
static void note_lenders(struct vision *vision, uint32_t borrower)
{
    if (vision->lent_last == 0 || borrower < vision->lent_first)
        vision->lent_first = borrower;
    if (borrower > vision->lent_last)
        vision->lent_last = borrower;
}

static enum mm_err add_order(struct vision *vision, struct vision_share_order order)
{
    // Two orders about the same subject keep their order, whatever their ticks.
    const struct vision_share_order *earlier = last_order(vision, &order);
    if (earlier && earlier->at_tick > order.at_tick)
        order.at_tick = earlier->at_tick;
    if (!mm_vec_push(&vision->share_orders, order))
        return MM_RESOURCE_EXHAUSTED;
    if (!index_order(vision, vision->share_orders.count - 1)) {
        vision->share_orders.count--;
        return MM_RESOURCE_EXHAUSTED;
    }
    struct vision_empire *borrower =
        order.alliance == 0 ? vision_empire_get(vision, order.to) : NULL;
    if (borrower)
        borrower->ordered_lenders += order.begin ? 1 : UINT32_MAX;
    if (borrower && order.begin)
        note_lenders(vision, order.to);
    return MM_OK;
}

enum mm_err vision_share(struct vision *vision, uint32_t from, uint32_t to, uint64_t at_tick)
{
    if (from == 0 || to == 0 || from == to || from > vision->options.empires_max ||
        to > vision->options.empires_max)
        return MM_INVALID_ARGUMENT;
    if (vision_shares(vision, from, to))
        return MM_OK;
    return add_order(vision, (struct vision_share_order){
                                 .from = from, .to = to, .at_tick = at_tick, .begin = true});
}

enum mm_err vision_unshare(struct vision *vision, uint32_t from, uint32_t to, uint64_t at_tick)
{
    if (!vision_shares(vision, from, to))
        return MM_NOT_FOUND;
    return add_order(vision,
                     (struct vision_share_order){.from = from, .to = to, .at_tick = at_tick});
}

enum mm_err vision_ally(struct vision *vision, uint64_t alliance, uint32_t empire, uint64_t at_tick)
{
    if (alliance == 0 || empire == 0 || empire > vision->options.empires_max)
        return MM_INVALID_ARGUMENT;
    if (vision_is_ally(vision, alliance, empire))
        return MM_OK;
    return add_order(vision,
                     (struct vision_share_order){
                         .alliance = alliance, .from = empire, .at_tick = at_tick, .begin = true});
}

enum mm_err vision_unally(struct vision *vision, uint64_t alliance, uint32_t empire,
                          uint64_t at_tick)
{
    if (!vision_is_ally(vision, alliance, empire))
        return MM_NOT_FOUND;
    return add_order(vision, (struct vision_share_order){
                                 .alliance = alliance, .from = empire, .at_tick = at_tick});
}

// --- what is lent ----------------------------------------------------------------------------

static const enum vision_seldom_bits own_bits[SENSES] = {SELDOM_OWN_VISIBLE, SELDOM_OWN_DETECTED,
                                                         SELDOM_OWN_BEACON};

static bool is_lent(enum vision_lends lends, enum vision_sense sense)
{
    if (VISION_FAULT(BEACONS_UNLENT) && lends == LENDS_BEACONS)
        return false;
    return sense == SENSE_BEACON ? lends == LENDS_BEACONS : lends == LENDS_ALL;
}

// What the borrower has of it: what a beacon sees, it sees.
static enum vision_sense sense_lent(enum vision_sense sense)
{
    return sense == SENSE_BEACON ? SENSE_SIGHT : sense;
}

static struct vision_active *borrowers_active(struct vision *vision, uint32_t empire,
                                              uint32_t chunk)
{
    struct vision_view *view = vision_view_get(vision, empire, chunk);
    return view ? vision_view_activate(vision, view) : NULL;
}

// The lender's own sight in one active view as of the last settling, counted for one borrower.
static void lend_view(struct vision *vision, struct vision_active *active,
                      const struct vision_relation *relation, bool up)
{
    for (unsigned sense = 0; sense < SENSES; sense++) {
        if (!is_lent(relation->lends, (enum vision_sense)sense))
            continue;
        const uint64_t *bits =
            active->seldom ? vision_seldom_bits(vision, active->seldom, own_bits[sense]) : NULL;
        struct vision_active *lent = NULL;
        for (uint32_t w = 0; bits && w < vision->words; w++) {
            if (bits[w] == 0)
                continue;
            if (!lent)
                lent = borrowers_active(vision, relation->to, active->chunk);
            if (!lent)
                return;
            vision_count_cells(vision, lent, sense_lent((enum vision_sense)sense), SOURCE_LENT, w,
                               &bits[w], 1, up);
        }
    }
}

static void lend_all_views(struct vision *vision, const struct vision_empire *lender,
                           const struct vision_relation *relation, bool up)
{
    for (size_t i = 0; i < lender->actives.count; i++)
        lend_view(vision, lender->actives.items[i], relation, up);
}

// An empire that begins to lend has its own sight noted from here on.
static void note_own_sight(struct vision *vision, struct vision_empire *lender)
{
    for (size_t i = 0; i < lender->actives.count; i++) {
        struct vision_active *active = lender->actives.items[i];
        struct vision_seldom *seldom = vision_active_seldom(vision, active);
        for (unsigned sense = 0; seldom && sense < SENSES; sense++) {
            const struct vision_plane *plane =
                vision_active_plane(vision, active, (enum vision_sense)sense, SOURCE_OWN);
            uint64_t *bits = vision_seldom_bits(vision, seldom, own_bits[sense]);
            for (uint32_t w = 0; w < vision->words; w++)
                bits[w] = vision_plane_word(plane, w);
        }
    }
}

// The relation at that place, made if it is not there; NULL when out of memory.
static struct vision_relation *relation_make(struct vision *vision, struct vision_empire *lender,
                                             size_t place, uint32_t to)
{
    struct vision_relation relation = {.to = to};
    if (place < lender->borrowers.count && lender->borrowers.items[place].to == to)
        return &lender->borrowers.items[place];
    if (lender->borrowers.count == 0)
        note_own_sight(vision, lender);
    if (!mm_vec_push(&lender->borrowers, relation)) {
        vision->exhausted = true;
        return NULL;
    }
    memmove(&lender->borrowers.items[place + 1], &lender->borrowers.items[place],
            (lender->borrowers.count - 1 - place) * sizeof relation);
    lender->borrowers.items[place] = relation;
    vision->empires[to]->lenders++;
    return &lender->borrowers.items[place];
}

// One reason more or less for `from` to lend to `to`.
static void relate(struct vision *vision, uint32_t from, uint32_t to, bool by_alliance, bool begin)
{
    struct vision_empire *lender = vision_empire_get(vision, from);
    if (!lender || !vision_empire_get(vision, to))
        return;
    size_t place = relation_place(lender, to);
    struct vision_relation *relation = relation_make(vision, lender, place, to);
    if (!relation)
        return;
    if (by_alliance)
        relation->alliances += begin ? 1 : UINT32_MAX;
    else
        relation->by_order = begin;
    if (!by_alliance && !begin)
        note_lenders(vision, to);
    struct vision_relation before = *relation;
    bool allied = relation->alliances > 0;
    relation->lends = relation->by_order || (allied && vision->options.alliances_share) ? LENDS_ALL
                      : allied ? LENDS_BEACONS
                               : LENDS_NOTHING;
    struct vision_relation now = *relation;
    if (now.alliances == 0 && !now.by_order) {
        lender->borrowers.count--;
        vision->empires[to]->lenders--;
        memmove(relation, relation + 1,
                (lender->borrowers.count - place) * sizeof *lender->borrowers.items);
    }
    if (now.lends == before.lends)
        return;
    // What is gained is counted before what is lost is uncounted, so that nothing in between is
    // empty.
    lend_all_views(vision, lender, &now, true);
    if (!VISION_FAULT(STALE_SHARE))
        lend_all_views(vision, lender, &before, false);
}

// --- alliances -------------------------------------------------------------------------------

static struct vision_alliance *alliance_get(struct vision *vision, uint64_t id)
{
    struct vision_alliance *known = find_alliance(vision, id);
    if (known)
        return known;
    size_t index = 0;
    MM_CHECK(vision->alliances.items || vision->alliances.count == 0);
    while (index < vision->alliances.count && vision->alliances.items[index].id != 0)
        index++;
    struct vision_alliance made = {0};
    mm_vec_init(&made.members, vision->options.empires_max);
    if ((index == vision->alliances.count && !mm_vec_push(&vision->alliances, made)) ||
        mm_idmap_set(vision->alliance_by_id, id, index) != MM_OK) {
        vision->exhausted = true;
        return NULL;
    }
    vision->alliances.items[index].id = id;
    return &vision->alliances.items[index];
}

static void join_alliance(struct vision *vision, uint64_t id, uint32_t empire)
{
    struct vision_alliance *alliance = alliance_get(vision, id);
    if (!alliance || !vision_empire_get(vision, empire) || vision_is_member(alliance, empire))
        return;
    for (size_t i = 0; i < alliance->members.count; i++) {
        relate(vision, empire, alliance->members.items[i], true, true);
        relate(vision, alliance->members.items[i], empire, true, true);
    }
    size_t place = member_place(alliance, empire);
    if (!mm_vec_push(&alliance->members, empire)) {
        vision->exhausted = true;
        return;
    }
    memmove(&alliance->members.items[place + 1], &alliance->members.items[place],
            (alliance->members.count - 1 - place) * sizeof *alliance->members.items);
    alliance->members.items[place] = empire;
}

static void leave_alliance(struct vision *vision, uint64_t id, uint32_t empire)
{
    struct vision_alliance *alliance = find_alliance(vision, id);
    if (!alliance || !vision_is_member(alliance, empire))
        return;
    size_t place = member_place(alliance, empire);
    alliance->members.count--;
    memmove(&alliance->members.items[place], &alliance->members.items[place + 1],
            (alliance->members.count - place) * sizeof *alliance->members.items);
    for (size_t i = 0; i < alliance->members.count && !VISION_FAULT(ALLY_STAYS); i++) {
        relate(vision, empire, alliance->members.items[i], true, false);
        relate(vision, alliance->members.items[i], empire, true, false);
    }
    if (alliance->members.count > 0)
        return;
    mm_idmap_remove(vision->alliance_by_id, id, NULL);
    alliance->id = 0;
}

void vision_alliances_free(struct vision *vision)
{
    for (size_t i = 0; i < vision->alliances.count; i++)
        mm_vec_free(&vision->alliances.items[i].members);
    mm_vec_free(&vision->alliances);
    mm_idmap_free(vision->alliance_by_id);
}

void vision_share_apply_orders(struct vision *vision)
{
    size_t kept = 0;
    for (size_t i = 0; i < vision->share_orders.count; i++) {
        struct vision_share_order order = vision->share_orders.items[i];
        if (order.at_tick > vision->tick || vision->exhausted)
            vision->share_orders.items[kept++] = order;
        else if (order.alliance == 0)
            relate(vision, order.from, order.to, false, order.begin);
        else if (order.begin)
            join_alliance(vision, order.alliance, order.from);
        else
            leave_alliance(vision, order.alliance, order.from);
    }
    if (kept == vision->share_orders.count)
        return;
    vision->share_orders.count = kept;
    mm_idmap_clear(vision->order_by_subject);
    for (size_t i = 0; i < kept; i++)
        vision->exhausted |= !index_order(vision, i);
}

// --- a tick ----------------------------------------------------------------------------------

// Counts up or down for all borrowers what the lender gained or lost in one word of a view.
static void lend_word(struct vision *vision, const struct vision_empire *lender, uint32_t chunk,
                      enum vision_sense sense, uint32_t word, uint64_t gained, uint64_t lost)
{
    for (size_t b = 0; b < lender->borrowers.count; b++) {
        const struct vision_relation *relation = &lender->borrowers.items[b];
        if (!is_lent(relation->lends, sense))
            continue;
        struct vision_active *lent = borrowers_active(vision, relation->to, chunk);
        if (!lent)
            return;
        if (gained)
            vision_count_cells(vision, lent, sense_lent(sense), SOURCE_LENT, word, &gained, 1,
                               true);
        if (lost)
            vision_count_cells(vision, lent, sense_lent(sense), SOURCE_LENT, word, &lost, 1, false);
    }
}

void vision_share_pass_on(struct vision *vision, const struct vision_empire *lender,
                          struct vision_active *active)
{
    struct vision_seldom *seldom = vision_active_seldom(vision, active);
    for (unsigned sense = 0; seldom && sense < SENSES; sense++) {
        const struct vision_plane *plane =
            vision_active_plane(vision, active, (enum vision_sense)sense, SOURCE_OWN);
        uint64_t *bits = vision_seldom_bits(vision, seldom, own_bits[sense]);
        for (uint32_t w = 0; w < vision->words; w++) {
            uint64_t now = vision_plane_word(plane, w);
            uint64_t before = bits[w];
            bits[w] = now;
            if (now != before)
                lend_word(vision, lender, active->chunk, (enum vision_sense)sense, w, now & ~before,
                          before & ~now);
        }
    }
}

void vision_share_settle(struct vision *vision)
{
    // Borrowers' views join the list while it is walked; what they gain is lent, so they lend
    // nothing on.
    for (size_t i = 0; i < vision->dirty.count && !vision->exhausted; i++) {
        struct vision_active *active = vision->dirty.items[i];
        const struct vision_empire *empire = vision->empires[active->empire];
        if (empire->borrowers.count > 0)
            vision_share_pass_on(vision, empire, active);
    }
}
