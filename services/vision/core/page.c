#include "libcommon/base/alloc.h"
#include "services/vision/core/mirror.h"
#include "services/vision/core/state.h"

#include <stdlib.h>

// What an empire has explored and remembers, a page at a time.

bool vision_recall(const struct vision *vision, uint32_t number, uint64_t id,
                   struct vision_memory *out)
{
    const struct vision_empire *empire = vision_empire_find(vision, number);
    uint64_t slot;
    if (!empire || !empire->memories || !mm_idmap_get(empire->memories, id, &slot))
        return false;
    *out = vision->memories[slot].row;
    return true;
}

uint8_t vision_terrain(const struct vision *vision, struct hex_axial at)
{
    struct hex_chunk chunk_at;
    uint32_t cell = hex_chunk_cell(&vision->tiling, at, &chunk_at);
    uint32_t chunk;
    if (!vision_chunk_find(vision, chunk_at, &chunk) || !vision->chunks.items[chunk].known)
        return 0;
    return vision->chunks.items[chunk].cells[cell];
}

static bool comes_after(const struct vision_page_place *from, uint64_t key)
{
    return !from->begun || key > from->after;
}

static int by_chunk(const void *x, const void *y)
{
    const struct vision_explored *a = x, *b = y;
    uint64_t p = hex_chunk_pack(a->chunk), q = hex_chunk_pack(b->chunk);
    return p < q ? -1 : p > q;
}

static int by_id(const void *x, const void *y)
{
    const struct vision_memory *a = x, *b = y;
    return a->id < b->id ? -1 : a->id > b->id;
}

// All that come after the place, in order; the caller cuts them off.
static bool list_chunks(const struct vision *vision, const struct vision_empire *empire,
                        const struct vision_page_place *from, struct vision_page *out)
{
    size_t n = 0;
    for (const struct vision_view *view = empire->first_view; view; view = view->next_of_empire)
        n++;
    out->chunks = mm_calloc(n + 1, sizeof *out->chunks);
    if (!out->chunks)
        return false;
    for (const struct vision_view *view = empire->first_view; view; view = view->next_of_empire) {
        const struct vision_chunk *chunk = &vision->chunks.items[view->chunk];
        bool explored =
            mm_bitset_next(view->explored, vision->tiling.cells, 0) < vision->tiling.cells;
        if (!explored || !chunk->known || !comes_after(from, hex_chunk_pack(chunk->at)))
            continue;
        out->chunks[out->chunk_count++] = (struct vision_explored){
            .empire = empire->number,
            .chunk = chunk->at,
            .first_seen = view->first_seen,
            .last_seen = view->active ? vision->tick : view->last_seen,
            .cells = view->explored,
        };
    }
    qsort(out->chunks, out->chunk_count, sizeof *out->chunks, by_chunk);
    return true;
}

static bool list_memories(const struct vision *vision, const struct vision_empire *empire,
                          const struct vision_page_place *from, struct vision_page *out)
{
    out->memories = mm_calloc((size_t)empire->memory_count + 1, sizeof *out->memories);
    if (!out->memories)
        return false;
    for (uint32_t slot = empire->first_memory; slot; slot = vision->memories[slot].next_in_empire) {
        if (comes_after(from, vision->memories[slot].row.id))
            out->memories[out->memory_count++] = vision->memories[slot].row;
    }
    qsort(out->memories, out->memory_count, sizeof *out->memories, by_id);
    return true;
}

enum mm_err vision_page(const struct vision *vision, uint32_t number, struct vision_page_place from,
                        size_t size, struct vision_page *out)
{
    *out = (struct vision_page){0};
    const struct vision_empire *empire = vision_empire_find(vision, number);
    if (!empire || !empire->known)
        return MM_NOT_FOUND;
    bool room = true;
    if (!from.memories) {
        room = list_chunks(vision, empire, &from, out);
        if (out->chunk_count > size) {
            out->chunk_count = size;
            out->more = true;
            out->next = (struct vision_page_place){
                .begun = true, .after = hex_chunk_pack(out->chunks[size - 1].chunk)};
            return MM_OK;
        }
        from = (struct vision_page_place){.memories = true};
        size -= out->chunk_count;
    }
    room = room && list_memories(vision, empire, &from, out);
    if (!room) {
        vision_page_free(out);
        return MM_RESOURCE_EXHAUSTED;
    }
    if (out->memory_count > size) {
        out->memory_count = size;
        out->more = true;
        out->next = from;
        if (size > 0)
            out->next = (struct vision_page_place){
                .memories = true, .begun = true, .after = out->memories[size - 1].id};
    }
    return MM_OK;
}

void vision_page_free(struct vision_page *page)
{
    mm_free(page->chunks);
    mm_free(page->memories);
    *page = (struct vision_page){0};
}
