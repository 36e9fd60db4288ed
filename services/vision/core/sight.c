#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "services/vision/core/internal.h"

#include <string.h>

// Views of (empire, chunk), their counters, and the observers' discs counted in them.

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

// Room for one bit more per cell.
static bool seen_by_reserve(struct vision *vision, struct vision_chunk *chunk, size_t watchers)
{
    uint32_t words = (uint32_t)MM_BITSET_WORDS(watchers);
    if (words <= chunk->seen_words)
        return true;
    size_t cells = vision->tiling.cells;
    uint64_t *grown = mm_calloc(cells * words, sizeof *grown);
    if (!grown)
        return false;
    for (size_t cell = 0; cell < cells && chunk->seen_words > 0; cell++)
        memcpy(grown + cell * words, chunk->seen_by + cell * chunk->seen_words,
               chunk->seen_words * sizeof *grown);
    vision->held_bytes += cells * (words - chunk->seen_words) * sizeof *grown;
    mm_free(chunk->seen_by);
    chunk->seen_by = grown;
    chunk->seen_words = words;
    return true;
}

static bool add_watcher(struct vision *vision, struct vision_active *active)
{
    struct vision_chunk *chunk = &vision->chunks.items[active->view->chunk];
    struct vision_watcher watcher = {.empire = active->view->empire, .active = active};
    size_t slot = 0;
    while (slot < chunk->watchers.count && chunk->watchers.items[slot].active)
        slot++;
    if (!seen_by_reserve(vision, chunk, slot + 1) ||
        (slot == chunk->watchers.count && !mm_vec_push(&chunk->watchers, watcher)))
        return false;
    chunk->watchers.items[slot] = watcher;
    active->watcher = (uint32_t)slot;
    return true;
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
    active->place_in_empire = (uint32_t)empire->actives.count;
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
    vision->stats.views_active++;
    // So that the tick's end looks at it, also if nothing should come to be counted.
    vision_view_mark_dirty(vision, view);
    return active;
}

void vision_view_mark_dirty(struct vision *vision, struct vision_view *view)
{
    if (view->dirty)
        return;
    view->dirty = mm_vec_push(&vision->dirty_views, view);
    vision->exhausted |= !view->dirty;
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

// --- counters --------------------------------------------------------------------------------

static struct vision_plane *plane_get(struct vision *vision, struct vision_active *active,
                                      enum vision_sense sense, enum vision_source source)
{
    struct vision_plane **place = &active->planes[sense][source];
    if (!*place)
        *place = mm_pool_get(vision->plane_pool);
    if (!*place)
        vision->exhausted = true;
    return *place;
}

void vision_plane_put(struct vision *vision, struct vision_plane *plane)
{
    if (plane && plane->excess) {
        vision->held_bytes -= vision->tiling.cells * sizeof *plane->excess;
        mm_free(plane->excess);
    }
    mm_pool_put(vision->plane_pool, plane);
}

// One more observer where a byte's worth of them stand.
static void excess_add(struct vision *vision, struct vision_plane *plane, uint32_t cell)
{
    if (!plane->excess) {
        plane->excess = mm_calloc(vision->tiling.cells, sizeof *plane->excess);
        if (!plane->excess) {
            vision->exhausted = true;
            return;
        }
        vision->held_bytes += vision->tiling.cells * sizeof *plane->excess;
    }
    plane->excess[cell]++;
}

static bool excess_take(struct vision_plane *plane, uint32_t cell)
{
    if (!plane->excess || plane->excess[cell] == 0)
        return false;
    plane->excess[cell]--;
    return true;
}

// The bits follow the counts without a branch: which cells are the first or last of theirs is
// nothing that a processor could foresee.
static uint32_t count_up(struct vision *vision, struct vision_plane *plane, const uint16_t *cells,
                         uint32_t count)
{
    uint8_t *counts = vision_counts(vision, plane);
    uint32_t changed = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t cell = cells[i];
        uint8_t now = counts[cell];
        if (__builtin_expect(now == VISION_COUNT_FULL, 0)) {
            excess_add(vision, plane, cell);
            continue;
        }
        counts[cell] = (uint8_t)(now + 1);
        plane->occupied[cell / 64] |= UINT64_C(1) << (cell % 64);
        changed += now == 0;
    }
    plane->nonzero += changed;
    return changed;
}

static uint32_t count_down(struct vision *vision, struct vision_plane *plane, const uint16_t *cells,
                           uint32_t count)
{
    uint8_t *counts = vision_counts(vision, plane);
    uint32_t changed = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t cell = cells[i];
        if (VISION_FAULT(COUNT_UNDERFLOW) && i == 0 && counts[cell] > 1)
            counts[cell]--;
        if (VISION_FAULT(UNDERFLOW_UNCHECKED) && counts[cell] == 0)
            continue;
        uint8_t now = counts[cell];
        MM_CHECK(now > 0);
        if (__builtin_expect(now == VISION_COUNT_FULL, 0) && excess_take(plane, cell))
            continue;
        counts[cell] = (uint8_t)(now - 1);
        plane->occupied[cell / 64] &= ~((uint64_t)(now == 1) << (cell % 64));
        changed += now == 1;
    }
    plane->nonzero -= changed;
    return changed;
}

// Counts `count` cells of one plane up or down by one.
static void count_cells(struct vision *vision, struct vision_view *view, enum vision_sense sense,
                        enum vision_source source, const uint16_t *cells, uint32_t count, bool up)
{
    struct vision_active *active = vision_view_activate(vision, view);
    struct vision_plane *plane = active ? plane_get(vision, active, sense, source) : NULL;
    if (!plane)
        return;
    uint32_t changed =
        up ? count_up(vision, plane, cells, count) : count_down(vision, plane, cells, count);
    if (changed)
        vision_view_mark_dirty(vision, view);
}

void vision_count_cell(struct vision *vision, struct vision_view *view, enum vision_sense sense,
                       enum vision_source source, uint32_t cell, bool up)
{
    uint16_t one = (uint16_t)cell;
    count_cells(vision, view, sense, source, &one, 1, up);
}

void vision_reveal_chunk(struct vision *vision, uint32_t empire, uint32_t chunk)
{
    struct vision_view *view = vision_view_get(vision, empire, chunk);
    for (uint32_t cell = 0; view && cell < vision->tiling.cells; cell++)
        vision_count_cell(vision, view, SENSE_SIGHT, SOURCE_OWN, cell, true);
}

// --- discs -----------------------------------------------------------------------------------

// The view that a group of cells lies in, seen from the view in which the observer stands.
static struct vision_view *group_view(struct vision *vision, struct vision_view *center,
                                      const struct vision_group *group)
{
    if (group->near == 0)
        return center;
    struct vision_active *active = vision_view_activate(vision, center);
    if (!active)
        return NULL;
    if (group->near != FOOTPRINT_FAR && active->neighbors[group->near - 1])
        return active->neighbors[group->near - 1];
    struct hex_chunk at = vision->chunks.items[center->chunk].at;
    uint32_t chunk = vision_chunk_get(vision, (struct hex_chunk){at.a + group->a, at.b + group->b});
    struct vision_view *view =
        chunk == UINT32_MAX ? NULL : vision_view_get(vision, center->empire, chunk);
    if (group->near != FOOTPRINT_FAR)
        active->neighbors[group->near - 1] = view;
    return view;
}

static void count_shape(struct vision *vision, struct vision_view *center, uint32_t cell,
                        const struct vision_seat *seat, unsigned shape, bool up)
{
    const struct vision_footprint *footprint = vision->footprints[seat->radius];
    uint32_t index = cell * SHAPES + shape;
    for (uint32_t g = footprint->first_group[index]; g < footprint->first_group[index + 1]; g++) {
        const struct vision_group *group = &footprint->groups[g];
        struct vision_view *view = group_view(vision, center, group);
        if (!view)
            return;
        const uint16_t *cells = footprint->cells + group->first;
        count_cells(vision, view, SENSE_SIGHT, SOURCE_OWN, cells, group->count, up);
        if (seat->detects)
            count_cells(vision, view, SENSE_DETECT, SOURCE_OWN, cells, group->count, up);
        if (seat->beacon)
            count_cells(vision, view, SENSE_BEACON, SOURCE_OWN, cells, group->count, up);
    }
}

static bool footprint_ready(struct vision *vision, int32_t radius)
{
    if (!vision->footprints[radius])
        vision->footprints[radius] = vision_footprint_new(&vision->tiling, radius);
    vision->exhausted |= !vision->footprints[radius];
    return vision->footprints[radius] != NULL;
}

static void seat_leave(struct vision *vision, const struct vision_seat *seat)
{
    count_shape(vision, seat->view, seat->cell, seat, SHAPE_DISC, false);
    vision->stats.observers--;
    vision->stats.discs++;
}

static void seat_take(struct vision *vision, struct vision_entity *entity)
{
    const struct vision_type *type = &vision->types[entity->type];
    if (entity->chunk == UINT32_MAX || !footprint_ready(vision, entity->sight_hexes))
        return;
    struct vision_view *view = vision_view_get(vision, entity->owner, entity->chunk);
    if (!view)
        return;
    entity->seat = (struct vision_seat){.view = view,
                                        .cell = entity->cell,
                                        .radius = entity->sight_hexes,
                                        .detects = type->detects,
                                        .beacon = type->beacon,
                                        .at = entity->at};
    count_shape(vision, view, entity->cell, &entity->seat, SHAPE_DISC, true);
    vision->stats.observers++;
    vision->stats.discs++;
}

// One step: what enters is counted before what leaves is uncounted, so that a view in between is
// never empty.
static void seat_step(struct vision *vision, struct vision_entity *entity, unsigned direction)
{
    struct vision_seat *seat = &entity->seat;
    struct vision_view *view = seat->view;
    if (entity->chunk != view->chunk)
        view = entity->chunk == UINT32_MAX ? NULL
                                           : vision_view_get(vision, entity->owner, entity->chunk);
    if (!view)
        return;
    count_shape(vision, view, entity->cell, seat, SHAPE_ENTER + direction, true);
    count_shape(vision, seat->view, seat->cell, seat, SHAPE_LEAVE + direction, false);
    seat->view = view;
    seat->cell = entity->cell;
    seat->at = entity->at;
    vision->stats.steps++;
}

bool vision_seat_reaches(const struct vision *vision, const struct vision_seat *seat,
                         struct hex_axial at)
{
    (void)vision;
    return hex_distance(seat->at, at) <= seat->radius;
}

static bool moves_count(const struct vision *vision)
{
    return vision->tick % vision->options.update_interval_ticks == 0;
}

static void postpone(struct vision *vision, struct vision_entity *entity)
{
    if (entity->postponed)
        return;
    entity->postponed = true;
    vision->exhausted |= !mm_vec_push(&vision->postponed, (uint32_t)(entity - vision->entities));
}

static void seat_update(struct vision *vision, struct vision_entity *entity)
{
    bool wanted =
        entity->alive && entity->owner != 0 && entity->sight_enabled && entity->sight_hexes > 0;
    struct vision_seat old = entity->seat;
    bool stays = old.view && wanted && old.view->empire == entity->owner;
    if (stays && !moves_count(vision)) {
        postpone(vision, entity);
        return;
    }
    if (stays && old.radius == entity->sight_hexes) {
        int32_t distance = hex_distance(old.at, entity->at);
        if (distance == 0)
            return;
        if (distance == 1 && !vision->whole_discs) {
            seat_step(vision, entity, (unsigned)hex_direction_between(old.at, entity->at));
            return;
        }
    }
    entity->seat.view = NULL;
    if (wanted)
        seat_take(vision, entity);
    if (old.view)
        seat_leave(vision, &old);
}

// What the discs of one empire are counted in is asked for in two strides before its turn: first
// what says where it is, then the counters. An empire that is spread wide is left alone, for the
// cost to follow the steps.
enum { ACTIVES_ASKED_MAX = 16 };

static void prefetch_actives(const struct vision *vision, uint32_t owner, bool counters)
{
    const struct vision_empire *empire = vision_empire_find(vision, owner);
    if (!empire || empire->actives.count > ACTIVES_ASKED_MAX)
        return;
    size_t plane_bytes =
        sizeof(struct vision_plane) + vision->words * sizeof(uint64_t) + vision->tiling.cells;
    for (size_t i = 0; i < empire->actives.count; i++) {
        const struct vision_active *active = empire->actives.items[i];
        if (!counters) {
            __builtin_prefetch(active);
            __builtin_prefetch((const char *)active + 64);
            continue;
        }
        __builtin_prefetch(active->view);
        const char *plane = (const char *)active->planes[SENSE_SIGHT][SOURCE_OWN];
        for (size_t line = 0; plane && line < plane_bytes; line += 64)
            __builtin_prefetch(plane + line, 1);
    }
}

void vision_seats_update(struct vision *vision)
{
    enum { AHEAD = 8 };
    const struct vision_change *changes = vision->changes.items;
    const uint32_t *order = vision->order.items;
    size_t count = vision->exhausted ? 0 : vision->changes.count;
    for (size_t i = 0; i < count && !vision->exhausted; i++) {
        for (size_t j = i + AHEAD; j <= i + 2 * AHEAD && j < count; j += AHEAD) {
            uint32_t owner = changes[order[j]].owner;
            if (owner != changes[order[j - 1]].owner)
                prefetch_actives(vision, owner, j == i + AHEAD);
        }
        if (i + AHEAD < count)
            vision_entity_prefetch(vision, changes[order[i + AHEAD]].entity);
        seat_update(vision, &vision->entities[changes[order[i]].entity]);
    }
    if (vision->postponed.count == 0 || !moves_count(vision))
        return;
    for (size_t i = 0; i < vision->postponed.count && !vision->exhausted; i++) {
        struct vision_entity *entity = &vision->entities[vision->postponed.items[i]];
        entity->postponed = false;
        seat_update(vision, entity);
    }
    mm_vec_clear(&vision->postponed);
}

static void clear_counts(struct vision *vision, struct vision_active *active)
{
    for (unsigned sense = 0; sense < SENSES; sense++) {
        struct vision_plane *plane = active->planes[sense][SOURCE_OWN];
        if (!plane)
            continue;
        plane->nonzero = 0;
        memset(plane->occupied, 0, vision->words * sizeof *plane->occupied + vision->tiling.cells);
        if (plane->excess)
            memset(plane->excess, 0, vision->tiling.cells * sizeof *plane->excess);
        vision_view_mark_dirty(vision, active->view);
    }
}

void vision_sight_count_anew(struct vision *vision)
{
    for (uint32_t e = 0; e < vision->empire_capacity; e++) {
        struct vision_empire *empire = vision->empires[e];
        for (size_t i = 0; empire && i < empire->actives.count; i++)
            clear_counts(vision, empire->actives.items[i]);
    }
    vision->stats.observers = 0;
    for (uint32_t slot = 1; slot < vision->entity_capacity && !vision->exhausted; slot++) {
        vision->entities[slot].seat.view = NULL;
        seat_update(vision, &vision->entities[slot]);
    }
}
