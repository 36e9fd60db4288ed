#include "services/vision/core/view.h"
#include "libcommon/base/alloc.h"
#include "services/vision/core/mirror.h"
#include "services/vision/core/state.h"

// Views of (empire, chunk), and what is active of them.

static uint64_t view_key(uint32_t empire, uint32_t chunk)
{
    return (uint64_t)empire << 32 | chunk;
}

struct vision_view *vision_view_find(const struct vision *vision, uint32_t empire, uint32_t chunk)
{
    uint64_t value;
    if (!mm_idmap_get(vision->view_by_key, view_key(empire, chunk), &value))
        return NULL;
    return (struct vision_view *)(uintptr_t)value;
}

struct vision_view *vision_view_get(struct vision *vision, uint32_t empire_number, uint32_t chunk)
{
    struct vision_view *view = vision_view_find(vision, empire_number, chunk);
    if (view)
        return view;
    struct vision_empire *empire = vision_empire_get(vision, empire_number);
    view = empire ? mm_pool_get(vision->view_pool) : NULL;
    if (!view) {
        vision->exhausted = true;
        return NULL;
    }
    if (mm_idmap_set(vision->view_by_key, view_key(empire_number, chunk),
                     (uint64_t)(uintptr_t)view) != MM_OK) {
        mm_pool_put(vision->view_pool, view);
        vision->exhausted = true;
        return NULL;
    }
    view->empire = empire_number;
    view->chunk = chunk;
    view->next_of_empire = empire->first_view;
    empire->first_view = view;
    vision->stats.views++;
    return view;
}

// Room for one watcher more.
static bool visible_reserve(struct vision *vision, struct vision_chunk *chunk, size_t watchers)
{
    if (watchers <= chunk->visible_stride)
        return true;
    uint32_t stride = chunk->visible_stride ? chunk->visible_stride * 2 : 4;
    uint64_t *grown = mm_calloc((size_t)vision->words * stride, sizeof *grown);
    if (!grown)
        return false;
    for (uint32_t w = 0; w < vision->words && chunk->visible; w++)
        memcpy(grown + (size_t)w * stride, chunk->visible + (size_t)w * chunk->visible_stride,
               chunk->visible_stride * sizeof *grown);
    vision->held_bytes += (size_t)vision->words * (stride - chunk->visible_stride) * sizeof *grown;
    mm_free(chunk->visible);
    chunk->visible = grown;
    chunk->visible_stride = stride;
    return true;
}

static bool add_watcher(struct vision *vision, struct vision_active *active)
{
    struct vision_chunk *chunk = &vision->chunks.items[active->chunk];
    struct vision_watcher watcher = {.empire = active->empire, .active = active};
    size_t slot = 0;
    while (slot < chunk->watchers.count && chunk->watchers.items[slot].active)
        slot++;
    if (!visible_reserve(vision, chunk, slot + 1) ||
        (slot == chunk->watchers.count && !mm_vec_push(&chunk->watchers, watcher)))
        return false;
    chunk->watchers.items[slot] = watcher;
    active->watcher = (uint32_t)slot;
    return true;
}

// The empire's actives of the six chunks around: how a step finds them.
static void link_neighbors(struct vision *vision, struct vision_active *active)
{
    struct hex_chunk at = vision->chunks.items[active->chunk].at;
    for (unsigned direction = 0; direction < HEX_DIRECTIONS; direction++) {
        uint32_t chunk;
        if (!vision_chunk_find(vision, hex_chunk_neighbor(at, direction), &chunk))
            continue;
        const struct vision_view *view = vision_view_find(vision, active->empire, chunk);
        if (!view || !view->active)
            continue;
        active->neighbors[direction] = view->active;
        view->active->neighbors[(direction + 3) % HEX_DIRECTIONS] = active;
    }
}

void vision_active_unlink(struct vision_active *active)
{
    for (unsigned direction = 0; direction < HEX_DIRECTIONS; direction++) {
        if (active->neighbors[direction])
            active->neighbors[direction]->neighbors[(direction + 3) % HEX_DIRECTIONS] = NULL;
    }
}

struct vision_active *vision_view_activate(struct vision *vision, struct vision_view *view)
{
    if (view->active)
        return view->active;
    struct vision_empire *empire = vision->empires[view->empire];
    struct vision_active *active = mm_pool_get(vision->active_pool);
    if (!active) {
        vision->exhausted = true;
        return NULL;
    }
    active->view = view;
    active->empire = view->empire;
    active->chunk = view->chunk;
    memcpy(vision_bits(vision, active, BITS_EXPLORED), view->explored,
           vision->words * sizeof *view->explored);
    if (!mm_vec_push(&empire->actives, active)) {
        mm_pool_put(vision->active_pool, active);
        vision->exhausted = true;
        return NULL;
    }
    if (!add_watcher(vision, active)) {
        empire->actives.count--;
        mm_pool_put(vision->active_pool, active);
        vision->exhausted = true;
        return NULL;
    }
    view->active = active;
    link_neighbors(vision, active);
    vision->stats.views_active++;
    // So that the tick's end looks at it, also if nothing should come to be counted.
    vision_active_mark_dirty(vision, active);
    return active;
}

void vision_active_mark_dirty(struct vision *vision, struct vision_active *active)
{
    if (active->dirty_round == vision->round)
        return;
    active->dirty_round = vision->round;
    vision->exhausted |= !mm_vec_push(&vision->dirty, active);
}

void vision_view_mark_unsaved(struct vision *vision, struct vision_view *view)
{
    if (view->unsaved)
        return;
    view->unsaved = true;
    view->next_unsaved = NULL;
    if (vision->unsaved_last)
        vision->unsaved_last->next_unsaved = view;
    else
        vision->unsaved_first = view;
    vision->unsaved_last = view;
    vision->unsaved_views++;
}
