#include "services/sync/core/view.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/bitset.h"
#include "services/sync/core/history.h"

#include <string.h>

#define NUMBERS_FIRST 128u // doubles up to SYNC_VIEW_ENTITIES_MAX

void sync_delta_init(struct sync_delta *delta)
{
    mm_vec_init(&delta->appeared, SYNC_VIEW_ENTITIES_MAX);
    mm_vec_init(&delta->changed, SYNC_VIEW_ENTITIES_MAX);
    mm_vec_init(&delta->gone, SYNC_VIEW_ENTITIES_MAX + SYNC_MEMORIES_MAX);
    mm_vec_init(&delta->hexes, (size_t)SYNC_TILES_MAX * SYNC_TILE_CELLS);
    mm_vec_init(&delta->events, SYNC_VIEW_ENTITIES_MAX);
    mm_vec_init(&delta->cached, SYNC_MEMORIES_MAX);
}

void sync_delta_free(struct sync_delta *delta)
{
    mm_vec_free(&delta->appeared);
    mm_vec_free(&delta->changed);
    mm_vec_free(&delta->gone);
    mm_vec_free(&delta->hexes);
    mm_vec_free(&delta->events);
    mm_vec_free(&delta->cached);
}

void sync_delta_clear(struct sync_delta *delta)
{
    mm_vec_clear(&delta->appeared);
    mm_vec_clear(&delta->changed);
    mm_vec_clear(&delta->gone);
    mm_vec_clear(&delta->hexes);
    mm_vec_clear(&delta->events);
    mm_vec_clear(&delta->cached);
    delta->touched = false;
    delta->full = false;
    delta->folded = false;
}

struct sync_view *sync_view_new(uint32_t empire, uint32_t index)
{
    struct sync_view *view = mm_calloc_aligned(SYNC_VIEW_LINE, sizeof *view);
    if (!view)
        return NULL;
    view->empire = empire;
    view->index = index;
    mm_vec_init(&view->sight, SYNC_VIEW_ENTITIES_MAX);
    mm_vec_init(&view->names, SYNC_EMPIRES_MAX);
    mm_vec_init(&view->told, SYNC_VIEW_ENTITIES_MAX);
    mm_vec_init(&view->fresh_slots, SYNC_VIEW_ENTITIES_MAX);
    sync_delta_init(&view->delta);
    sync_history_init(&view->history, 0);
    view->named = mm_idmap_new(SYNC_EMPIRES_MAX);
    if (!view->named || sync_hexes_init(&view->hexes) != MM_OK ||
        sync_memories_init(&view->memories) != MM_OK) {
        sync_view_free(view);
        return NULL;
    }
    return view;
}

void sync_view_free(struct sync_view *view)
{
    if (!view)
        return;
    sync_view_drop_fresh(view);
    sync_hexes_free(&view->hexes);
    sync_memories_free(&view->memories);
    mm_vec_free(&view->sight);
    mm_vec_free(&view->told);
    mm_vec_free(&view->fresh_slots);
    mm_idmap_free(view->named);
    mm_vec_free(&view->names);
    mm_free(view->numbers);
    sync_delta_free(&view->delta);
    sync_history_free(&view->history);
    mm_free(view);
}

void sync_view_drop_fresh(struct sync_view *view)
{
    sync_hexes_free(&view->fresh_hexes);
    sync_memories_free(&view->fresh_memories);
    mm_idmap_free(view->fresh_sight);
    view->fresh_sight = NULL;
    mm_vec_clear(&view->fresh_slots);
    view->fresh_by_id = false;
    if (view->state == SYNC_VIEW_FRESH)
        view->state = SYNC_VIEW_WAITING;
}

uint32_t sync_view_named(const struct sync_view *view, uint32_t empire)
{
    uint64_t place = 0;
    return mm_idmap_get(view->named, empire, &place) ? (uint32_t)place : 0;
}

bool sync_view_set_named(struct sync_view *view, uint32_t empire, uint64_t tick)
{
    if (!mm_vec_reserve(&view->names, view->names.count + 1) ||
        mm_idmap_set(view->named, empire, view->names.count + 1) != MM_OK)
        return false;
    view->names.items[view->names.count++] = (struct sync_named){empire, tick};
    return true;
}

size_t sync_view_named_until(const struct sync_view *view, uint64_t tick)
{
    size_t count = view->names.count; // in the order of ticks, of which the last ones matter
    while (count > 0 && view->names.items[count - 1].tick > tick)
        count--;
    return count;
}

void sync_view_clear_named(struct sync_view *view)
{
    mm_idmap_clear(view->named);
    mm_vec_clear(&view->names);
    view->names_told = 0;
    view->names_epoch++;
}

bool sync_view_take_number(struct sync_view *view, uint32_t *number)
{
    size_t free = mm_bitset_next_clear(view->numbers, view->number_bits, 0);
    if (free == view->number_bits) {
        uint32_t bits = view->number_bits ? 2 * view->number_bits : NUMBERS_FIRST;
        if (view->number_bits == SYNC_VIEW_ENTITIES_MAX)
            return false;
        uint64_t *grown = mm_realloc(view->numbers, MM_BITSET_WORDS(bits) * sizeof *grown);
        if (!grown)
            return false;
        memset(grown + MM_BITSET_WORDS(view->number_bits), 0,
               (MM_BITSET_WORDS(bits) - MM_BITSET_WORDS(view->number_bits)) * sizeof *grown);
        view->numbers = grown;
        view->number_bits = bits;
    }
    mm_bitset_set(view->numbers, free);
    *number = (uint32_t)free;
    return true;
}

void sync_view_give_number(struct sync_view *view, uint32_t number)
{
    mm_bitset_clear(view->numbers, number);
}

void sync_view_keep_number(struct sync_view *view, uint32_t number)
{
    mm_bitset_set(view->numbers, number);
}

void sync_view_clear_numbers(struct sync_view *view)
{
    if (view->number_bits > 0)
        memset(view->numbers, 0, MM_BITSET_WORDS(view->number_bits) * sizeof *view->numbers);
}
