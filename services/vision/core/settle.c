#include "services/vision/core/internal.h"

#include <string.h>

// The counters stand as the tick leaves them: what is visible now is compared, 64 cells at a time,
// with what was told last.

static uint64_t seen_word(const struct vision_active *active, enum vision_sense sense, uint32_t w)
{
    return vision_plane_word(active->planes[sense][SOURCE_OWN], w) |
           vision_plane_word(active->planes[sense][SOURCE_LENT], w);
}

static void settle_seen_by(struct vision_chunk *chunk, uint32_t watcher, uint32_t w,
                           uint64_t changed, uint64_t sees)
{
    for (; changed != 0; changed &= changed - 1) {
        uint32_t bit = (uint32_t)__builtin_ctzll(changed);
        vision_seen_set(chunk, w * 64 + bit, watcher, sees >> bit & 1);
    }
}

// Cells whose flip concerns somebody: an entity that stands there, or a memory of one.
static void note_flips(struct vision *vision, struct vision_view *view, uint32_t w,
                       uint64_t flipped, uint64_t revealed)
{
    const struct vision_chunk *chunk = &vision->chunks.items[view->chunk];
    uint64_t concerned = chunk->occupied ? flipped & chunk->occupied[w] : 0;
    if (view->first_memory)
        concerned |= revealed;
    for (; concerned != 0; concerned &= concerned - 1) {
        uint32_t bit = (uint32_t)__builtin_ctzll(concerned);
        struct vision_flip flip = {
            .view = view, .cell = w * 64 + bit, .revealed = revealed >> bit & 1};
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

static void settle_view(struct vision *vision, struct vision_view *view)
{
    struct vision_active *active = view->active;
    struct vision_chunk *chunk = &vision->chunks.items[view->chunk];
    uint64_t *visible = vision_bits(vision, active, BITS_VISIBLE);
    uint64_t *detected = vision_bits(vision, active, BITS_DETECTED);
    uint32_t told = 0, gained = 0, discovered = 0;
    for (uint32_t w = 0; chunk->known && w < vision->words; w++) {
        uint64_t sees = seen_word(active, SENSE_SIGHT, w);
        uint64_t detects = seen_word(active, SENSE_DETECT, w);
        uint64_t changed = sees ^ visible[w];
        uint64_t flipped = changed | (detects ^ detected[w]);
        if (flipped == 0)
            continue;
        uint64_t fresh = sees & ~view->explored[w];
        visible[w] = sees;
        detected[w] = detects;
        view->explored[w] |= fresh;
        vision_bits(vision, active, BITS_CHANGED)[w] = changed;
        vision_bits(vision, active, BITS_DISCOVERED)[w] = fresh;
        told += (uint32_t)__builtin_popcountll(changed);
        gained += (uint32_t)__builtin_popcountll(changed & sees);
        discovered += (uint32_t)__builtin_popcountll(fresh);
        settle_seen_by(chunk, active->watcher, w, changed, sees);
        note_flips(vision, view, w, flipped, changed & sees);
    }
    if (told == 0 || !vision_output_view(vision, view->empire))
        return;
    active->told = told;
    vision->stats.visible_hexes += gained;
    vision->stats.visible_hexes -= told - gained;
    explore(vision, view, discovered);
}

static void prefetch_active(const struct vision *vision, const struct vision_active *active)
{
    if (!active)
        return;
    const char *bits = (const char *)active->bits;
    __builtin_prefetch(active->planes[SENSE_SIGHT][SOURCE_OWN]);
    for (size_t line = 0; line < vision->words * sizeof(uint64_t); line += 64) {
        __builtin_prefetch(bits + BITS_VISIBLE * vision->words * sizeof(uint64_t) + line, 1);
        __builtin_prefetch(bits + BITS_CHANGED * vision->words * sizeof(uint64_t) + line, 1);
    }
}

void vision_settle(struct vision *vision)
{
    enum { AHEAD = 6 };
    struct vision_view *const *views = vision->dirty_views.items;
    for (size_t i = 0; i < vision->dirty_views.count && !vision->exhausted; i++) {
        if (i + 2 * AHEAD < vision->dirty_views.count)
            __builtin_prefetch(views[i + 2 * AHEAD], 1);
        if (i + AHEAD < vision->dirty_views.count)
            prefetch_active(vision, views[i + AHEAD]->active);
        if (vision->dirty_views.items[i]->active)
            settle_view(vision, vision->dirty_views.items[i]);
    }
}

// --- the end of the tick ---------------------------------------------------------------------

static void remove_watcher(struct vision *vision, const struct vision_active *active)
{
    struct vision_chunk *chunk = &vision->chunks.items[active->view->chunk];
    if (active->watcher >= chunk->watchers.count)
        return;
    chunk->watchers.items[active->watcher].active = NULL;
    while (chunk->watchers.count > 0 && !chunk->watchers.items[chunk->watchers.count - 1].active)
        chunk->watchers.count--;
}

void vision_view_planes_put(struct vision *vision, struct vision_active *active)
{
    for (unsigned sense = 0; sense < SENSES; sense++) {
        for (unsigned source = 0; source < SOURCES; source++)
            vision_plane_put(vision, active->planes[sense][source]);
    }
}

void vision_view_release(struct vision *vision, struct vision_view *view)
{
    struct vision_active *active = view->active;
    struct vision_empire *empire = vision->empires[view->empire];
    vision_view_planes_put(vision, active);
    remove_watcher(vision, active);
    struct vision_active *last = empire->actives.items[empire->actives.count - 1];
    empire->actives.items[active->place_in_empire] = last;
    last->place_in_empire = active->place_in_empire;
    empire->actives.count--;
    view->active = NULL;
    mm_pool_put(vision->active_pool, active);
    vision->stats.views_active--;
}

// Gives back planes without counts; true if none is left.
static bool planes_empty(struct vision *vision, struct vision_active *active)
{
    bool empty = true;
    for (unsigned sense = 0; sense < SENSES; sense++) {
        for (unsigned source = 0; source < SOURCES; source++) {
            struct vision_plane **plane = &active->planes[sense][source];
            if (*plane && (*plane)->nonzero == 0) {
                vision_plane_put(vision, *plane);
                *plane = NULL;
            }
            empty &= *plane == NULL;
        }
    }
    return empty;
}

void vision_settle_finish(struct vision *vision)
{
    enum { AHEAD = 8 };
    for (size_t i = 0; i < vision->dirty_views.count; i++) {
        if (i + 2 * AHEAD < vision->dirty_views.count)
            __builtin_prefetch(vision->dirty_views.items[i + 2 * AHEAD], 1);
        if (i + AHEAD < vision->dirty_views.count)
            prefetch_active(vision, vision->dirty_views.items[i + AHEAD]->active);
        struct vision_view *view = vision->dirty_views.items[i];
        struct vision_active *active = view->active;
        view->dirty = false;
        if (!active)
            continue;
        if (active->told > 0) {
            uint64_t *changed = vision_bits(vision, active, BITS_CHANGED);
            memset(changed, 0, 2 * (size_t)vision->words * sizeof *changed);
            active->told = 0;
        }
        if (!planes_empty(vision, active))
            continue;
        vision_view_release(vision, view);
        if (view->first_seen != 0) {
            view->last_seen = vision->previous_tick;
            vision_view_mark_unsaved(vision, view);
        }
    }
    mm_vec_clear(&vision->dirty_views);
    mm_vec_clear(&vision->flips);
    for (size_t i = 0; i < vision->changes.count; i++) {
        if (i + AHEAD < vision->changes.count)
            __builtin_prefetch(&vision->entities[vision->changes.items[i + AHEAD].entity].change,
                               1);
        vision->entities[vision->changes.items[i].entity].change = 0;
    }
    mm_vec_clear(&vision->changes);
}
