#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "services/vision/core/memory.h"
#include "services/vision/core/mirror.h"
#include "services/vision/core/state.h"
#include "services/vision/core/view.h"

#include <string.h>

// What changed and is to be written to the database, and what comes back from there.

size_t vision_save_pending(const struct vision *vision)
{
    return (size_t)vision->unsaved_views + vision->unsaved_memories +
           vision->unsaved_forgotten.count;
}

size_t vision_save_pending_explored(const struct vision *vision)
{
    return vision->unsaved_views;
}

static void take_forgotten(struct vision *vision, struct vision_save *save)
{
    size_t n = save->forgotten_count;
    size_t rest = vision->unsaved_forgotten.count - n;
    memcpy(save->forgotten, vision->unsaved_forgotten.items, n * sizeof *save->forgotten);
    memmove(vision->unsaved_forgotten.items, vision->unsaved_forgotten.items + n,
            rest * sizeof *save->forgotten);
    vision->unsaved_forgotten.count = rest;
}

static void take_explored(struct vision *vision, struct vision_save *save)
{
    for (size_t i = 0; i < save->explored_count; i++) {
        struct vision_view *view = vision->unsaved_first;
        MM_CHECK(view);
        vision->unsaved_first = view->next_unsaved;
        if (!vision->unsaved_first)
            vision->unsaved_last = NULL;
        view->unsaved = false;
        view->next_unsaved = NULL;
        vision->unsaved_views--;
        uint64_t *words = save->words + i * vision->words;
        memcpy(words, view->explored, vision->words * sizeof *words);
        save->explored[i] = (struct vision_explored){
            .empire = view->empire,
            .chunk = vision->chunks.items[view->chunk].at,
            .first_seen = view->first_seen,
            .last_seen = view->active ? vision->tick : view->last_seen,
            .cells = words,
        };
    }
}

enum mm_err vision_save_take(struct vision *vision, size_t rows_max, struct vision_save *out)
{
    *out = (struct vision_save){0};
    // What is remembered is always taken whole: which memories give way at the limit hangs on all
    // there are, so rows of different ticks would lead a restart to others. What is explored only
    // grows, and a replay finds again what has no row yet.
    size_t forgotten = vision->unsaved_forgotten.count, memories = vision->unsaved_memories;
    size_t explored = forgotten + memories < rows_max ? rows_max - forgotten - memories : 0;
    explored = vision->unsaved_views < explored ? vision->unsaved_views : explored;

    struct vision_save save = {
        .forgotten_count = forgotten, .memory_count = memories, .explored_count = explored};
    save.forgotten = mm_calloc(forgotten + 1, sizeof *save.forgotten);
    save.memories = mm_calloc(memories + 1, sizeof *save.memories);
    save.explored = mm_calloc(explored + 1, sizeof *save.explored);
    save.words = mm_calloc(explored * vision->words + 1, sizeof *save.words);
    if (!save.forgotten || !save.memories || !save.explored || !save.words) {
        vision_save_free(&save);
        return MM_RESOURCE_EXHAUSTED;
    }
    if (forgotten > 0)
        take_forgotten(vision, &save);
    for (size_t i = 0; i < memories; i++) {
        uint32_t slot = vision->unsaved_memory_first;
        save.memories[i] = vision->memories[slot].row;
        vision_memory_unqueue_save(vision, slot);
    }
    take_explored(vision, &save);
    *out = save;
    return MM_OK;
}

void vision_save_return(struct vision *vision, struct vision_save *save)
{
    for (size_t i = 0; i < save->explored_count; i++) {
        uint32_t chunk;
        struct vision_view *view = NULL;
        if (vision_chunk_find(vision, save->explored[i].chunk, &chunk))
            view = vision_view_find(vision, save->explored[i].empire, chunk);
        if (view)
            vision_view_mark_unsaved(vision, view);
    }
    for (size_t i = 0; i < save->memory_count; i++) {
        const struct vision_empire *empire = vision_empire_find(vision, save->memories[i].empire);
        uint64_t slot;
        if (empire && empire->memories &&
            mm_idmap_get(empire->memories, save->memories[i].id, &slot))
            vision_memory_queue_save(vision, (uint32_t)slot);
    }
    for (size_t i = 0; i < save->forgotten_count; i++) {
        // Remembered anew since: that row is waiting and will replace the old one.
        const struct vision_empire *empire = vision_empire_find(vision, save->forgotten[i].empire);
        bool lives =
            empire && empire->memories && mm_idmap_has(empire->memories, save->forgotten[i].id);
        if (!lives && !mm_vec_push(&vision->unsaved_forgotten, save->forgotten[i]))
            vision->exhausted = true;
    }
    vision_save_free(save);
}

void vision_save_free(struct vision_save *save)
{
    mm_free(save->forgotten);
    mm_free(save->memories);
    mm_free(save->explored);
    mm_free(save->words);
    *save = (struct vision_save){0};
}

// --- loading ---------------------------------------------------------------------------------

static bool empire_in_range(const struct vision *vision, uint32_t empire)
{
    return empire != 0 && empire <= vision->options.empires_max;
}

enum mm_err vision_load_explored(struct vision *vision, const struct vision_explored *row)
{
    if (!empire_in_range(vision, row->empire) ||
        !hex_in_bounds((struct hex_axial){row->chunk.a, row->chunk.b}) ||
        !hex_in_bounds(hex_chunk_center(&vision->tiling, row->chunk)))
        return MM_INVALID_ARGUMENT;
    uint32_t chunk = vision_chunk_get(vision, row->chunk);
    struct vision_view *view =
        chunk == UINT32_MAX ? NULL : vision_view_get(vision, row->empire, chunk);
    if (!view)
        return MM_RESOURCE_EXHAUSTED;
    size_t cells = vision->tiling.cells;
    for (size_t cell = mm_bitset_next(row->cells, cells, 0); cell < cells;
         cell = mm_bitset_next(row->cells, cells, cell + 1)) {
        if (mm_bitset_add(view->explored, cell))
            vision->stats.explored_hexes++;
    }
    view->first_seen = row->first_seen;
    view->last_seen = row->last_seen;
    return MM_OK;
}
