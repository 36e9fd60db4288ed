#include "services/vision/core/internal.h"

#include <string.h>

// The counters stand as the tick leaves them: what is visible now is compared, dirty cell by dirty
// cell, with what was told last.

static bool plane_sees(const struct vision_active *active, enum vision_sense sense, size_t cell)
{
    const struct vision_plane *own = active->planes[sense][SOURCE_OWN];
    const struct vision_plane *lent = active->planes[sense][SOURCE_LENT];
    return (own && own->count[cell] > 0) || (lent && lent->count[cell] > 0);
}

// True if the bit had another value.
static bool set_bit(uint64_t *bits, size_t cell, bool value)
{
    if (mm_bitset_get(bits, cell) == value)
        return false;
    if (value)
        mm_bitset_set(bits, cell);
    else
        mm_bitset_clear(bits, cell);
    return true;
}

static void tell_hex(struct vision *vision, struct vision_view *view, size_t cell, bool visible)
{
    const struct vision_chunk *chunk = &vision->chunks.items[view->chunk];
    struct hex_axial at = hex_chunk_hex(&vision->tiling, chunk->at, (uint32_t)cell);
    if (!visible) {
        vision->stats.visible_hexes--;
        vision_output_hex(vision, view->empire, at, MMORTS__FRAME__VISIBILITY__VISIBILITY_FOG, 0);
        return;
    }
    vision->stats.visible_hexes++;
    uint32_t terrain = 0;
    if (mm_bitset_add(view->explored, cell)) {
        terrain = chunk->cells[cell] + UINT32_C(1);
        if (view->first_seen == 0)
            view->first_seen = vision->tick;
        vision->stats.explored_hexes++;
        vision_view_mark_unsaved(vision, view);
    }
    vision_output_hex(vision, view->empire, at, MMORTS__FRAME__VISIBILITY__VISIBILITY_VISIBLE,
                      terrain);
}

static void settle_view(struct vision *vision, struct vision_view *view)
{
    struct vision_active *active = view->active;
    struct vision_chunk *chunk = &vision->chunks.items[view->chunk];
    uint64_t *dirty = vision_bits(vision, active, BITS_DIRTY);
    uint64_t *visible = vision_bits(vision, active, BITS_VISIBLE);
    uint64_t *detected = vision_bits(vision, active, BITS_DETECTED);
    size_t cells = vision->tiling.cells;
    for (size_t cell = mm_bitset_next(dirty, cells, 0); cell < cells;
         cell = mm_bitset_next(dirty, cells, cell + 1)) {
        bool sees = chunk->known && plane_sees(active, SENSE_SIGHT, cell);
        bool detects = chunk->known && plane_sees(active, SENSE_DETECT, cell);
        bool sight_changed = set_bit(visible, cell, sees);
        bool sense_changed = set_bit(detected, cell, detects);
        if (sight_changed) {
            vision_seen_set(chunk, cell, active->watcher, sees);
            tell_hex(vision, view, cell, sees);
        }
        if (!sight_changed)
            mm_bitset_clear(dirty, cell);
        if (!sight_changed && !sense_changed)
            continue;
        bool revealed = sight_changed && sees;
        bool stands = chunk->first_entity && chunk->first_entity[cell] != 0;
        if (!stands && !(revealed && view->first_memory))
            continue;
        struct vision_flip flip = {.view = view, .cell = (uint32_t)cell, .revealed = revealed};
        vision->exhausted |= !mm_vec_push(&vision->flips, flip);
    }
}

void vision_settle(struct vision *vision)
{
    for (size_t i = 0; i < vision->dirty_views.count && !vision->exhausted; i++) {
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

void vision_view_release(struct vision *vision, struct vision_view *view)
{
    struct vision_active *active = view->active;
    struct vision_empire *empire = vision->empires[view->empire];
    for (unsigned sense = 0; sense < SENSES; sense++) {
        for (unsigned source = 0; source < SOURCES; source++)
            mm_pool_put(vision->plane_pool, active->planes[sense][source]);
    }
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
                mm_pool_put(vision->plane_pool, *plane);
                *plane = NULL;
            }
            empty &= *plane == NULL;
        }
    }
    return empty;
}

void vision_settle_finish(struct vision *vision)
{
    for (size_t i = 0; i < vision->dirty_views.count; i++) {
        struct vision_view *view = vision->dirty_views.items[i];
        struct vision_active *active = view->active;
        view->dirty = false;
        if (!active)
            continue;
        uint64_t *dirty = vision_bits(vision, active, BITS_DIRTY);
        memset(dirty, 0, vision->words * sizeof *dirty);
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
    for (size_t i = 0; i < vision->changes.count; i++)
        vision->entities[vision->changes.items[i].entity].change = 0;
    mm_vec_clear(&vision->changes);
}
