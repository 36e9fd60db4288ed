#include "services/sync/core/view.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/bitset.h"

#include <string.h>

static void init_delta(struct sync_delta *delta)
{
    mm_vec_init(&delta->appeared, SYNC_VIEW_ENTITIES_MAX);
    mm_vec_init(&delta->changed, SYNC_VIEW_ENTITIES_MAX);
    mm_vec_init(&delta->gone, SYNC_VIEW_ENTITIES_MAX + SYNC_MEMORIES_MAX);
    mm_vec_init(&delta->hexes, (size_t)SYNC_TILES_MAX * SYNC_TILE_CELLS);
    mm_vec_init(&delta->events, SYNC_VIEW_ENTITIES_MAX);
    mm_vec_init(&delta->cached, SYNC_MEMORIES_MAX);
}

static void free_delta(struct sync_delta *delta)
{
    mm_vec_free(&delta->appeared);
    mm_vec_free(&delta->changed);
    mm_vec_free(&delta->gone);
    mm_vec_free(&delta->hexes);
    mm_vec_free(&delta->events);
    mm_vec_free(&delta->cached);
}

struct sync_view *sync_view_new(uint32_t empire, uint32_t index)
{
    struct sync_view *view = mm_calloc(1, sizeof *view);
    if (!view)
        return NULL;
    view->empire = empire;
    view->index = index;
    mm_vec_init(&view->sight, SYNC_VIEW_ENTITIES_MAX);
    mm_vec_init(&view->told, SYNC_VIEW_ENTITIES_MAX);
    mm_vec_init(&view->fresh_slots, SYNC_VIEW_ENTITIES_MAX);
    init_delta(&view->delta);
    if (sync_hexes_init(&view->hexes) != MM_OK || sync_memories_init(&view->memories) != MM_OK) {
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
    mm_free(view->named);
    free_delta(&view->delta);
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

void sync_view_clear_delta(struct sync_view *view)
{
    struct sync_delta *delta = &view->delta;
    mm_vec_clear(&delta->appeared);
    mm_vec_clear(&delta->changed);
    mm_vec_clear(&delta->gone);
    mm_vec_clear(&delta->hexes);
    mm_vec_clear(&delta->events);
    mm_vec_clear(&delta->cached);
    delta->touched = false;
    delta->full = false;
}

bool sync_view_is_named(const struct sync_view *view, uint32_t empire)
{
    return empire < view->named_bits && mm_bitset_get(view->named, empire);
}

void sync_view_set_named(struct sync_view *view, uint32_t empire)
{
    if (empire >= view->named_bits) {
        uint32_t bits = (empire / 256 + 1) * 256;
        uint64_t *grown = mm_realloc(view->named, MM_BITSET_WORDS(bits) * sizeof *grown);
        if (!grown)
            return;
        memset(grown + MM_BITSET_WORDS(view->named_bits), 0,
               (MM_BITSET_WORDS(bits) - MM_BITSET_WORDS(view->named_bits)) * sizeof *grown);
        view->named = grown;
        view->named_bits = bits;
    }
    mm_bitset_set(view->named, empire);
}

void sync_view_clear_named(struct sync_view *view)
{
    if (view->named_bits > 0)
        memset(view->named, 0, MM_BITSET_WORDS(view->named_bits) * sizeof *view->named);
}
