#include "services/vision/core/settle.h"
#include "services/vision/core/count.h"
#include "services/vision/core/output.h"
#include "services/vision/core/share.h"
#include "services/vision/core/state.h"
#include "services/vision/core/view.h"

#include <string.h>

// The counters stand as the tick leaves them: what is visible now is compared, 64 cells at a time,
// with what was told last, and the differences are told.

static uint64_t seen_word(const struct vision_seldom *seldom, enum vision_sense sense, uint32_t w)
{
    if (!seldom)
        return 0;
    return vision_plane_word(seldom->planes[sense][SOURCE_OWN], w) |
           vision_plane_word(seldom->planes[sense][SOURCE_LENT], w);
}

// Cells whose flip concerns somebody: an entity that stands there, or a memory of one.
static void note_flips(struct vision *vision, struct vision_active *active, uint32_t w,
                       uint64_t flipped, uint64_t revealed)
{
    const struct vision_chunk *chunk = &vision->chunks.items[active->chunk];
    uint64_t concerned = chunk->occupied ? flipped & chunk->occupied[w] : 0;
    if (revealed && active->view->first_memory)
        concerned |= revealed;
    for (; concerned != 0; concerned &= concerned - 1) {
        uint32_t bit = (uint32_t)__builtin_ctzll(concerned);
        struct vision_flip flip = {
            .active = active, .cell = w * 64 + bit, .revealed = revealed >> bit & 1};
        vision->exhausted |= !mm_vec_push(&vision->flips, flip);
    }
}

static void explore(struct vision *vision, struct vision_view *view, uint32_t discovered)
{
    if (discovered == 0)
        return;
    if (view->first_seen == 0)
        view->first_seen = vision->tick;
    vision->stats.explored_hexes += discovered;
    vision_view_mark_unsaved(vision, view);
}

// The word's changed hexes, into the frame's columns; there is room.
static void tell_word(struct vision *vision, const struct vision_active *active, uint32_t w,
                      uint64_t changed, uint64_t sees, uint64_t fresh)
{
    const struct vision_chunk *chunk = &vision->chunks.items[active->chunk];
    struct hex_axial center = hex_chunk_center(&vision->tiling, chunk->at);
    const struct hex_axial *offsets = vision->tiling.offsets + (size_t)w * 64;
    struct vision_out_hexes *hexes = &vision->output.hexes;
    size_t place = hexes->count;
    for (; changed != 0; changed &= changed - 1, place++) {
        uint32_t bit = (uint32_t)__builtin_ctzll(changed);
        hexes->q[place] = center.q + offsets[bit].q;
        hexes->r[place] = center.r + offsets[bit].r;
        hexes->state[place] = sees >> bit & 1 ? MMORTS__FRAME__VISIBILITY__VISIBILITY_VISIBLE
                                              : MMORTS__FRAME__VISIBILITY__VISIBILITY_FOG;
        hexes->terrain[place] = fresh >> bit & 1 ? chunk->cells[w * 64 + bit] + UINT32_C(1) : 0;
    }
    hexes->count = place;
}

// What became of the second sense in a word of cells; notes what it is now.
static uint64_t settle_detected(const struct vision *vision, struct vision_seldom *seldom,
                                uint32_t w)
{
    if (!seldom)
        return 0;
    uint64_t *detected = vision_seldom_bits(vision, seldom, SELDOM_DETECTED) + w;
    uint64_t detects = seen_word(seldom, SENSE_DETECT, w);
    uint64_t changed = detects ^ *detected;
    *detected = detects;
    return changed;
}

static void settle_word(struct vision *vision, struct vision_active *active, uint32_t w,
                        uint64_t sees)
{
    uint64_t *visible = vision_bits(vision, active, BITS_VISIBLE) + w;
    uint64_t *explored = vision_bits(vision, active, BITS_EXPLORED) + w;
    uint64_t changed = sees ^ *visible;
    uint64_t flipped = changed | settle_detected(vision, active->seldom, w);
    vision_bits(vision, active, BITS_CHANGED)[w] = changed;
    if (flipped == 0)
        return;
    uint64_t fresh = sees & ~*explored;
    *visible = sees;
    if (fresh != 0) {
        *explored |= fresh;
        active->view->explored[w] = *explored;
        explore(vision, active->view, (uint32_t)__builtin_popcountll(fresh));
    }
    vision->stats.visible_hexes += (uint64_t)__builtin_popcountll(changed & sees);
    vision->stats.visible_hexes -= (uint64_t)__builtin_popcountll(changed & ~sees);
    if (!vision->quiet)
        tell_word(vision, active, w, changed, sees, fresh);
    const struct vision_chunk *chunk = &vision->chunks.items[active->chunk];
    chunk->visible[(size_t)w * chunk->visible_stride + active->watcher] = sees;
    note_flips(vision, active, w, flipped, changed & sees);
}

// Gives back a plane that has no counts.
static void put_if_empty(struct vision *vision, struct vision_plane **plane)
{
    for (uint32_t w = 0; *plane && w < vision->words; w++) {
        if (vision_plane_word(*plane, w) != 0)
            return;
    }
    vision_plane_put(vision, *plane);
    *plane = NULL;
}

static void put_empty_planes(struct vision *vision, struct vision_seldom *seldom)
{
    for (unsigned sense = 0; sense < SENSES; sense++) {
        for (unsigned source = 0; source < SOURCES; source++) {
            if (seldom->planes[sense][source])
                put_if_empty(vision, &seldom->planes[sense][source]);
        }
    }
}

static void settle_active(struct vision *vision, struct vision_active *active)
{
    if (!vision->quiet && !vision_output_reserve(vision, vision->tiling.cells))
        return;
    size_t first = vision->output.hexes.count;
    const struct vision_plane *own = vision_own_plane(vision, active);
    bool known = vision->chunks.items[active->chunk].known;
    uint64_t any = 0;
    for (uint32_t w = 0; w < vision->words; w++) {
        uint64_t sees = vision_plane_word(own, w) | seen_word(active->seldom, SENSE_SIGHT, w);
        any |= sees;
        if (known)
            settle_word(vision, active, w, sees);
    }
    if (vision->output.hexes.count > first)
        vision_output_run(vision, active->empire, first);
    if (active->seldom)
        put_empty_planes(vision, active->seldom);
    // Who detects or lends sees too: without sight nothing is counted.
    if (any == 0)
        vision->exhausted |= !mm_vec_push(&vision->vacated, active);
}

void vision_settle_empire(struct vision *vision, uint32_t number, size_t first)
{
    const struct vision_empire *empire = vision_empire_find(vision, number);
    if (!empire || empire->lenders > 0)
        return;
    size_t kept = first;
    for (size_t i = first; i < vision->dirty.count && !vision->exhausted; i++) {
        struct vision_active *active = vision->dirty.items[i];
        if (active->empire != number) { // a borrower's
            vision->dirty.items[kept++] = active;
            continue;
        }
        if (empire->borrowers.count > 0)
            vision_share_pass_on(vision, empire, active);
        settle_active(vision, active);
    }
    vision->dirty.count = kept;
}

static void prefetch_active(const struct vision *vision, const struct vision_active *active)
{
    mm_prefetch_block(active, vision_active_bytes(vision));
}

void vision_settle(struct vision *vision)
{
    enum { AHEAD = 4 };
    for (size_t i = 0; i < vision->dirty.count && !vision->exhausted; i++) {
        if (i + AHEAD < vision->dirty.count)
            prefetch_active(vision, vision->dirty.items[i + AHEAD]);
        settle_active(vision, vision->dirty.items[i]);
        vision_pass_row(vision, i);
    }
}

// --- the end of the tick ---------------------------------------------------------------------

static void remove_watcher(struct vision *vision, const struct vision_active *active)
{
    struct vision_chunk *chunk = &vision->chunks.items[active->chunk];
    if (active->watcher >= chunk->watchers.count)
        return;
    chunk->watchers.items[active->watcher].active = NULL;
    for (uint32_t w = 0; w < vision->words; w++)
        chunk->visible[(size_t)w * chunk->visible_stride + active->watcher] = 0;
    while (chunk->watchers.count > 0 && !chunk->watchers.items[chunk->watchers.count - 1].active)
        chunk->watchers.count--;
}

void vision_active_planes_put(struct vision *vision, struct vision_active *active)
{
    vision_plane_put(vision, vision_own_plane(vision, active)->next);
    vision_own_plane(vision, active)->next = NULL;
    if (!active->seldom)
        return;
    for (unsigned sense = 0; sense < SENSES; sense++) {
        for (unsigned source = 0; source < SOURCES; source++)
            vision_plane_put(vision, active->seldom->planes[sense][source]);
    }
    mm_pool_put(vision->seldom_pool, active->seldom);
    active->seldom = NULL;
}

void vision_view_release(struct vision *vision, struct vision_view *view)
{
    struct vision_active *active = view->active;
    struct vision_empire *empire = vision->empires[view->empire];
    vision_active_planes_put(vision, active);
    vision_active_unlink(active);
    remove_watcher(vision, active);
    size_t place = empire->actives.count - 1;
    while (empire->actives.items[place] != active)
        place--;
    mm_vec_remove_swap(&empire->actives, place);
    view->active = NULL;
    mm_pool_put(vision->active_pool, active);
    vision->stats.views_active--;
}

void vision_settle_finish(struct vision *vision)
{
    enum { AHEAD = 8 };
    for (size_t i = 0; i < vision->vacated.count; i++) {
        struct vision_view *view = vision->vacated.items[i]->view;
        vision_view_release(vision, view);
        if (view->first_seen != 0) {
            view->last_seen = vision->previous_tick;
            vision_view_mark_unsaved(vision, view);
        }
    }
    mm_vec_clear(&vision->vacated);
    mm_vec_clear(&vision->dirty);
    mm_vec_clear(&vision->flips);
    for (size_t i = 0; i < vision->changes.count; i++) {
        if (i + AHEAD < vision->changes.count)
            mm_prefetch_write(&vision->entities[vision->changes.items[i + AHEAD].entity].change);
        vision->entities[vision->changes.items[i].entity].change = 0;
    }
    mm_vec_clear(&vision->changes);
}
