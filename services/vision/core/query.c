#include "libcommon/base/alloc.h"
#include "services/vision/core/mirror.h"
#include "services/vision/core/state.h"
#include "services/vision/core/view.h"
#include "services/vision/core/watch.h"

#include <string.h>

// Questions about the state after the last frame.

bool vision_knows_empire(const struct vision *vision, uint32_t number)
{
    const struct vision_empire *empire = vision_empire_find(vision, number);
    return empire && empire->known;
}

uint64_t vision_player_of(const struct vision *vision, uint32_t number)
{
    const struct vision_empire *empire = vision_empire_find(vision, number);
    return empire ? empire->player_id : 0;
}

uint32_t vision_empires_end(const struct vision *vision)
{
    return vision->empire_capacity;
}

Mmorts__Frame__Visibility vision_hex_state(const struct vision *vision, uint32_t empire,
                                           struct hex_axial at)
{
    if (!hex_in_bounds(at))
        return MMORTS__FRAME__VISIBILITY__VISIBILITY_SHROUD;
    struct hex_chunk chunk_at;
    uint32_t cell = hex_chunk_cell(&vision->tiling, at, &chunk_at);
    uint32_t chunk;
    if (!vision_chunk_find(vision, chunk_at, &chunk))
        return MMORTS__FRAME__VISIBILITY__VISIBILITY_SHROUD;
    const struct vision_view *view = vision_view_find(vision, empire, chunk);
    if (vision_view_sees(vision, view, cell))
        return MMORTS__FRAME__VISIBILITY__VISIBILITY_VISIBLE;
    return view && mm_bitset_get(view->explored, cell)
               ? MMORTS__FRAME__VISIBILITY__VISIBILITY_FOG
               : MMORTS__FRAME__VISIBILITY__VISIBILITY_SHROUD;
}

bool vision_sees_entity(const struct vision *vision, uint32_t empire, uint64_t id,
                        struct hex_axial *at_out)
{
    uint64_t slot;
    size_t place;
    if (!mm_idmap_get(vision->entity_by_id, id, &slot) ||
        !vision_viewer_find(&vision->entities[slot], empire, &place))
        return false;
    if (at_out)
        *at_out = vision->entities[slot].at;
    return true;
}

// --- a whole view ----------------------------------------------------------------------------

static size_t count_explored(const struct vision *vision, const struct vision_empire *empire)
{
    size_t count = 0;
    for (const struct vision_view *view = empire->first_view; view; view = view->next_of_empire) {
        if (vision->chunks.items[view->chunk].known)
            count += mm_bitset_count(view->explored, vision->tiling.cells);
    }
    return count;
}

static void list_hexes(const struct vision *vision, const struct vision_empire *empire,
                       Mmorts__Frame__VisionFrame *frame)
{
    size_t cells = vision->tiling.cells;
    size_t n = 0;
    for (const struct vision_view *view = empire->first_view; view; view = view->next_of_empire) {
        const struct vision_chunk *chunk = &vision->chunks.items[view->chunk];
        if (!chunk->known)
            continue;
        for (size_t cell = mm_bitset_next(view->explored, cells, 0); cell < cells;
             cell = mm_bitset_next(view->explored, cells, cell + 1)) {
            struct hex_axial at = hex_chunk_hex(&vision->tiling, chunk->at, (uint32_t)cell);
            frame->hex_q[n] = at.q;
            frame->hex_r[n] = at.r;
            frame->hex_state[n] = vision_view_sees(vision, view, (uint32_t)cell)
                                      ? MMORTS__FRAME__VISIBILITY__VISIBILITY_VISIBLE
                                      : MMORTS__FRAME__VISIBILITY__VISIBILITY_FOG;
            frame->hex_terrain[n] = chunk->cells[cell] + UINT32_C(1);
            n++;
        }
    }
}

// Calls with every entity that the empire has in sight; `out` NULL only counts.
static size_t list_entities(const struct vision *vision, const struct vision_empire *empire,
                            uint32_t *out)
{
    size_t n = 0;
    for (uint32_t slot = empire->first_owned; slot; slot = vision->entities[slot].next_owned) {
        if (out)
            out[n] = slot;
        n++;
    }
    for (size_t i = 0; i < empire->actives.count; i++) {
        const struct vision_active *active = empire->actives.items[i];
        const struct vision_chunk *chunk = &vision->chunks.items[active->view->chunk];
        if (chunk->entities == 0)
            continue;
        const uint64_t *visible = active->bits + (size_t)BITS_VISIBLE * vision->words;
        for (size_t cell = mm_bitset_next(visible, vision->tiling.cells, 0);
             cell < vision->tiling.cells;
             cell = mm_bitset_next(visible, vision->tiling.cells, cell + 1)) {
            uint32_t slot = chunk->first_entity[cell];
            for (; slot; slot = vision->entities[slot].next_in_cell) {
                const struct vision_entity *entity = &vision->entities[slot];
                if (entity->owner == empire->number || !vision_active_sees(vision, active, entity))
                    continue;
                if (out)
                    out[n] = slot;
                n++;
            }
        }
    }
    return n;
}

static bool allocate_view(Mmorts__Frame__VisionFrame *frame, size_t hexes, size_t entities,
                          size_t memories)
{
    Mmorts__Frame__MemoryColumns *m = mm_malloc(sizeof *m);
    frame->remembered = m;
    if (!m)
        return false;
    mmorts__frame__memory_columns__init(m);
    frame->n_empire = frame->n_hex_count = frame->n_entered_count = 1;
    frame->n_left_count = frame->n_remembered_count = frame->n_forgotten_count = 1;
    frame->n_hex_q = frame->n_hex_r = frame->n_hex_state = frame->n_hex_terrain = hexes;
    frame->n_entered = entities;
    m->n_id = m->n_type = m->n_owner = m->n_q = m->n_r = m->n_health = memories;
    m->n_first_seen = m->n_last_seen = m->n_mode = m->n_expires_at = memories;
    return (frame->empire = mm_calloc(1, 4)) && (frame->hex_count = mm_calloc(1, 4)) &&
           (frame->entered_count = mm_calloc(1, 4)) && (frame->left_count = mm_calloc(1, 4)) &&
           (frame->remembered_count = mm_calloc(1, 4)) &&
           (frame->forgotten_count = mm_calloc(1, 4)) && (frame->hex_q = mm_calloc(hexes + 1, 4)) &&
           (frame->hex_r = mm_calloc(hexes + 1, 4)) &&
           (frame->hex_state = mm_calloc(hexes + 1, sizeof *frame->hex_state)) &&
           (frame->hex_terrain = mm_calloc(hexes + 1, 4)) &&
           (frame->entered = mm_calloc(entities + 1, 4)) && (m->id = mm_calloc(memories + 1, 8)) &&
           (m->type = mm_calloc(memories + 1, 4)) && (m->owner = mm_calloc(memories + 1, 4)) &&
           (m->q = mm_calloc(memories + 1, 4)) && (m->r = mm_calloc(memories + 1, 4)) &&
           (m->health = mm_calloc(memories + 1, 4)) &&
           (m->first_seen = mm_calloc(memories + 1, 8)) &&
           (m->last_seen = mm_calloc(memories + 1, 8)) &&
           (m->mode = mm_calloc(memories + 1, sizeof *m->mode)) &&
           (m->expires_at = mm_calloc(memories + 1, 8));
}

enum mm_err vision_view(const struct vision *vision, uint32_t number,
                        Mmorts__Frame__VisionFrame **out)
{
    const struct vision_empire *empire = vision_empire_find(vision, number);
    if (!empire || !empire->known)
        return MM_NOT_FOUND;
    Mmorts__Frame__VisionFrame *frame = mm_malloc(sizeof *frame);
    if (!frame)
        return MM_RESOURCE_EXHAUSTED;
    mmorts__frame__vision_frame__init(frame);
    size_t hexes = count_explored(vision, empire);
    size_t entities = list_entities(vision, empire, NULL);
    if (!allocate_view(frame, hexes, entities, empire->memory_count)) {
        vision_view_free(frame);
        return MM_RESOURCE_EXHAUSTED;
    }
    frame->tick = vision->tick;
    frame->snapshot = 1;
    frame->empire[0] = number;
    frame->hex_count[0] = (uint32_t)hexes;
    frame->entered_count[0] = (uint32_t)entities;
    frame->remembered_count[0] = empire->memory_count;
    list_hexes(vision, empire, frame);
    list_entities(vision, empire, frame->entered);
    size_t row = 0;
    for (uint32_t slot = empire->first_memory; slot; slot = vision->memories[slot].next_in_empire)
        vision_memory_to_columns(frame->remembered, row++, &vision->memories[slot].row);
    *out = frame;
    return MM_OK;
}

void vision_view_free(Mmorts__Frame__VisionFrame *view)
{
    if (!view)
        return;
    Mmorts__Frame__MemoryColumns *m = view->remembered;
    if (m) {
        void *columns[] = {m->id,         m->type,      m->owner, m->q,          m->r, m->health,
                           m->first_seen, m->last_seen, m->mode,  m->expires_at, m};
        for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
            mm_free(columns[i]);
    }
    void *columns[] = {
        view->empire,           view->hex_count,       view->entered_count, view->left_count,
        view->remembered_count, view->forgotten_count, view->hex_q,         view->hex_r,
        view->hex_state,        view->hex_terrain,     view->entered,       view};
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        mm_free(columns[i]);
}
