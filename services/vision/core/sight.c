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

// --- counters --------------------------------------------------------------------------------

struct vision_seldom *vision_active_seldom(struct vision *vision, struct vision_active *active)
{
    if (!active->seldom)
        active->seldom = mm_pool_get(vision->seldom_pool);
    vision->exhausted |= !active->seldom;
    return active->seldom;
}

static struct vision_plane *plane_get(struct vision *vision, struct vision_active *active,
                                      enum vision_sense sense, enum vision_source source)
{
    if (sense == SENSE_SIGHT && source == SOURCE_OWN)
        return vision_own_plane(vision, active);
    struct vision_seldom *seldom = vision_active_seldom(vision, active);
    if (!seldom)
        return NULL;
    struct vision_plane **place = &seldom->planes[sense][source];
    if (!*place)
        *place = mm_pool_get(vision->plane_pool);
    vision->exhausted |= !*place;
    return *place;
}

void vision_plane_put(struct vision *vision, struct vision_plane *plane)
{
    while (plane) {
        struct vision_plane *next = plane->next;
        mm_pool_put(vision->plane_pool, plane);
        plane = next;
    }
}

static void count_up(struct vision *vision, struct vision_plane *plane, uint32_t first_word,
                     const uint64_t *masks, uint32_t words)
{
    for (uint32_t i = 0; i < words; i++) {
        uint64_t *digits = plane->digits[first_word + i];
        uint64_t carry = masks[i];
        for (unsigned bit = 0; bit < VISION_COUNT_BITS; bit++) {
            uint64_t digit = digits[bit];
            digits[bit] = digit ^ carry;
            carry &= digit;
        }
        if (__builtin_expect(carry == 0, 1))
            continue;
        // They were full and are 0: one, and all that was full goes into the next plane.
        digits[0] |= carry;
        if (!plane->next)
            plane->next = mm_pool_get(vision->plane_pool);
        if (plane->next)
            count_up(vision, plane->next, first_word + i, &carry, 1);
        else
            vision->exhausted = true;
    }
}

static void count_down(struct vision_plane *plane, uint32_t first_word, const uint64_t *masks,
                       uint32_t words)
{
    for (uint32_t i = 0; i < words; i++) {
        uint64_t *digits = plane->digits[first_word + i];
        uint64_t borrow = masks[i], occupied = 0;
        for (unsigned bit = 0; bit < VISION_COUNT_BITS; bit++) {
            uint64_t digit = digits[bit];
            digits[bit] = digit ^ borrow;
            borrow &= ~digit;
            occupied |= digits[bit];
        }
        MM_CHECK(borrow == 0 || VISION_FAULT(UNDERFLOW_UNCHECKED));
        for (unsigned bit = 0; bit < VISION_COUNT_BITS && borrow != 0; bit++)
            digits[bit] &= ~borrow;
        // Those that are 0 and are counted in the next plane: full, and one less there.
        uint64_t more = plane->next ? masks[i] & ~occupied : 0;
        more = more ? more & vision_plane_word(plane->next, first_word + i) : 0;
        if (__builtin_expect(more == 0, 1))
            continue;
        for (unsigned bit = 0; bit < VISION_COUNT_BITS; bit++)
            digits[bit] |= more;
        count_down(plane->next, first_word + i, &more, 1);
    }
}

void vision_count_cells(struct vision *vision, struct vision_active *active,
                        enum vision_sense sense, enum vision_source source, uint32_t first_word,
                        const uint64_t *masks, uint32_t words, bool up)
{
    struct vision_plane *plane = plane_get(vision, active, sense, source);
    if (!plane)
        return;
    vision_active_mark_dirty(vision, active);
    if (up)
        count_up(vision, plane, first_word, masks, words);
    else
        count_down(plane, first_word, masks, words);
    if (VISION_FAULT(COUNT_UNDERFLOW) && !up) {
        uint64_t again = masks[0] & -masks[0] & vision_plane_word(plane, first_word);
        count_down(plane, first_word, &again, 1);
    }
}

void vision_reveal_chunk(struct vision *vision, uint32_t empire, uint32_t chunk)
{
    struct vision_view *view = vision_view_get(vision, empire, chunk);
    struct vision_active *active = view ? vision_view_activate(vision, view) : NULL;
    for (uint32_t w = 0; active && w < vision->words; w++) {
        uint64_t all = w + 1 < vision->words ? UINT64_MAX
                                             : UINT64_MAX >> (63 - (vision->tiling.cells - 1) % 64);
        vision_count_cells(vision, active, SENSE_SIGHT, SOURCE_OWN, w, &all, 1, true);
    }
}

// --- discs -----------------------------------------------------------------------------------

// The view of another chunk that is not active yet, or far away.
static struct vision_active *distant_active(struct vision *vision,
                                            const struct vision_active *center,
                                            const struct vision_group *group)
{
    struct hex_chunk at = vision->chunks.items[center->chunk].at;
    uint32_t chunk = vision_chunk_get(vision, (struct hex_chunk){at.a + group->a, at.b + group->b});
    struct vision_view *view =
        chunk == UINT32_MAX ? NULL : vision_view_get(vision, center->empire, chunk);
    return view ? vision_view_activate(vision, view) : NULL;
}

static void count_group(struct vision *vision, struct vision_active *active,
                        const struct vision_seat *seat, const struct vision_group *group,
                        const uint64_t *masks, bool up)
{
    vision_count_cells(vision, active, SENSE_SIGHT, SOURCE_OWN, group->first_word, masks,
                       group->words, up);
    if (seat->detects)
        vision_count_cells(vision, active, SENSE_DETECT, SOURCE_OWN, group->first_word, masks,
                           group->words, up);
    if (seat->beacon)
        vision_count_cells(vision, active, SENSE_BEACON, SOURCE_OWN, group->first_word, masks,
                           group->words, up);
}

static struct vision_active *group_active(struct vision *vision, struct vision_active *center,
                                          const struct vision_group *group)
{
    if (group->near == 0)
        return center;
    struct vision_active *active =
        group->near != FOOTPRINT_FAR ? center->neighbors[group->near - 1] : NULL;
    return active ? active : distant_active(vision, center, group);
}

static void count_shape(struct vision *vision, struct vision_active *center, uint32_t cell,
                        const struct vision_seat *seat, unsigned shape, bool up)
{
    const uint64_t *at = vision_footprint_shape(vision->footprints[seat->radius], cell, shape);
    for (struct vision_group group = {0}; !group.last; at += group.words) {
        group = vision_footprint_group(at++);
        struct vision_active *active = group_active(vision, center, &group);
        if (!active)
            return;
        count_group(vision, active, seat, &group, at, up);
    }
}

// The disc but for what terrain hides.
static void count_seen(struct vision *vision, const struct vision_seat *seat, bool up)
{
    const struct vision_footprint *footprint = vision->footprints[seat->radius];
    struct hex_chunk center = vision->chunks.items[seat->active->chunk].at;
    if (!vision_lines_look(vision, seat->at, center, seat->cell, seat->radius))
        return;
    const uint64_t *at = vision_footprint_shape(footprint, seat->cell, SHAPE_DISC);
    for (struct vision_group group = {0}; !group.last; at += group.words) {
        group = vision_footprint_group(at++);
        uint64_t masks[VISION_CHUNK_WORDS_MAX];
        struct hex_chunk there = {center.a + group.a, center.b + group.b};
        uint64_t any = 0;
        for (uint32_t w = 0; w < group.words; w++) {
            masks[w] = 0;
            for (uint64_t bits = at[w]; bits; bits &= bits - 1) {
                uint32_t bit = (uint32_t)__builtin_ctzll(bits);
                struct hex_axial hex =
                    hex_chunk_hex(&vision->tiling, there, (group.first_word + w) * 64 + bit);
                if (vision_lines_saw(vision, seat->at, seat->radius, hex))
                    masks[w] |= UINT64_C(1) << bit;
            }
            any |= masks[w];
        }
        struct vision_active *active = any ? group_active(vision, seat->active, &group) : NULL;
        if (active)
            count_group(vision, active, seat, &group, masks, up);
    }
}

static void count_seat(struct vision *vision, const struct vision_seat *seat, bool up)
{
    if (seat->by_lines)
        count_seen(vision, seat, up);
    else
        count_shape(vision, seat->active, seat->cell, seat, SHAPE_DISC, up);
}

static bool footprint_ready(struct vision *vision, int32_t radius)
{
    if (!vision->footprints[radius])
        vision->footprints[radius] = vision_footprint_new(&vision->tiling, radius);
    vision->exhausted |= !vision->footprints[radius];
    return vision->footprints[radius] != NULL;
}

static bool needs_lines(const struct vision *vision, const struct vision_seat *seat)
{
    return vision->options.terrain_blocks &&
           vision_lines_matter(vision, vision->chunks.items[seat->active->chunk].at, seat->cell,
                               seat->radius);
}

static void seat_leave(struct vision *vision, const struct vision_seat *seat)
{
    count_seat(vision, seat, false);
    vision->stats.observers--;
    vision->stats.discs++;
}

static struct vision_active *seat_active(struct vision *vision, const struct vision_entity *entity)
{
    struct vision_view *view =
        entity->chunk == UINT32_MAX ? NULL : vision_view_get(vision, entity->owner, entity->chunk);
    return view ? vision_view_activate(vision, view) : NULL;
}

static void seat_take(struct vision *vision, struct vision_entity *entity)
{
    const struct vision_type *type = &vision->types[entity->type];
    struct vision_active *active =
        footprint_ready(vision, entity->sight_hexes) ? seat_active(vision, entity) : NULL;
    if (!active)
        return;
    entity->seat = (struct vision_seat){.active = active,
                                        .cell = (uint16_t)entity->cell,
                                        .radius = entity->sight_hexes,
                                        .detects = type->detects,
                                        .beacon = type->beacon,
                                        .at = entity->at};
    entity->seat.by_lines = needs_lines(vision, &entity->seat);
    count_seat(vision, &entity->seat, true);
    vision->stats.observers++;
    vision->stats.discs++;
}

// One step: what enters is counted before what leaves is uncounted.
static void seat_step(struct vision *vision, struct vision_entity *entity, unsigned direction)
{
    struct vision_seat *seat = &entity->seat;
    struct vision_active *active = seat->active;
    if (entity->chunk != active->chunk)
        active = seat_active(vision, entity);
    struct vision_seat left = *seat;
    left.radius = (uint8_t)(left.radius - VISION_FAULT(RING_OFF_BY_ONE));
    if (!active || !footprint_ready(vision, left.radius))
        return;
    unsigned back = (direction + 3) % HEX_DIRECTIONS;
    count_shape(vision, active, entity->cell, seat, SHAPE_RING + direction, true);
    count_shape(vision, seat->active, seat->cell, &left, SHAPE_RING + back, false);
    seat->active = active;
    seat->cell = (uint16_t)entity->cell;
    seat->at = entity->at;
    vision->stats.steps++;
}

bool vision_seat_reaches(const struct vision *vision, const struct vision_seat *seat,
                         struct hex_axial at)
{
    return hex_distance(seat->at, at) <= seat->radius &&
           (!vision->options.terrain_blocks ||
            vision_lines_reach(vision, seat->at, seat->radius, at));
}

void vision_sight_lift(struct vision *vision, const Mmorts__Frame__ChunkColumns *chunks)
{
    for (uint32_t slot = 1; slot < vision->entity_capacity && !vision->exhausted; slot++) {
        struct vision_entity *entity = &vision->entities[slot];
        bool near = false;
        for (size_t i = 0; i < chunks->n_q && entity->seat.active && !near; i++)
            near = hex_distance(entity->seat.at, (struct hex_axial){chunks->q[i], chunks->r[i]}) <=
                   entity->seat.radius + vision->tiling.radius;
        if (!near || VISION_FAULT(LINES_KEEP_OLD_MAP))
            continue;
        count_seat(vision, &entity->seat, false);
        vision->exhausted |= !mm_vec_push(&vision->lifted, slot);
    }
}

void vision_sight_lower(struct vision *vision)
{
    for (size_t i = 0; i < vision->lifted.count && !vision->exhausted; i++) {
        struct vision_seat *seat = &vision->entities[vision->lifted.items[i]].seat;
        seat->by_lines = needs_lines(vision, seat);
        count_seat(vision, seat, true);
    }
    mm_vec_clear(&vision->lifted);
}

// Whether a step's difference is not that of whole discs.
static bool lines_at_step(const struct vision *vision, const struct vision_entity *entity)
{
    return vision->options.terrain_blocks &&
           (entity->seat.by_lines || entity->chunk == UINT32_MAX ||
            vision_lines_matter(vision, vision->chunks.items[entity->chunk].at, entity->cell,
                                entity->seat.radius));
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
    if (vision->discs_anew)
        return;
    bool stays = old.active && wanted && old.active->empire == entity->owner;
    if (stays && !vision_moves_count(vision)) {
        postpone(vision, entity);
        return;
    }
    if (stays && old.radius == entity->sight_hexes) {
        int32_t distance = hex_distance(old.at, entity->at);
        if (distance == 0)
            return;
        if (distance == 1 && !vision->whole_discs && !lines_at_step(vision, entity)) {
            seat_step(vision, entity, (unsigned)hex_direction_between(old.at, entity->at));
            return;
        }
    }
    entity->seat.active = NULL;
    if (wanted)
        seat_take(vision, entity);
    if (old.active)
        seat_leave(vision, &old);
}

// --- the tick's changes, empire by empire ----------------------------------------------------

// What the discs of an empire are counted in is asked for in three strides before its turn: first
// where it is, then itself, then what its chunks know. An empire that is spread wide is left alone,
// for the cost to follow the steps.
enum { ACTIVES_ASKED_MAX = 16, LINE_BYTES = 64, TURNS_AHEAD = 3 };

static void ask_for_empire(const struct vision *vision, uint32_t number)
{
    const struct vision_empire *empire = vision_empire_find(vision, number);
    if (empire)
        __builtin_prefetch(empire->actives.items);
}

static void ask_for_actives(const struct vision *vision, uint32_t number)
{
    const struct vision_empire *empire = vision_empire_find(vision, number);
    if (!empire || empire->actives.count > ACTIVES_ASKED_MAX)
        return;
    size_t bytes = vision_active_bytes(vision);
    for (size_t i = 0; i < empire->actives.count; i++) {
        const char *at = (const char *)empire->actives.items[i];
        for (size_t line = 0; line < bytes; line += LINE_BYTES)
            __builtin_prefetch(at + line, 1);
    }
}

static void ask_for_chunks(const struct vision *vision, uint32_t number)
{
    const struct vision_empire *empire = vision_empire_find(vision, number);
    if (!empire || empire->actives.count > ACTIVES_ASKED_MAX)
        return;
    for (size_t i = 0; i < empire->actives.count; i++) {
        struct vision_active *active = empire->actives.items[i];
        __builtin_prefetch(vision->chunks.items[active->chunk].occupied);
        const char *next = (const char *)vision_own_plane(vision, active)->next;
        for (size_t line = 0; next && line < vision_plane_bytes(vision); line += LINE_BYTES)
            __builtin_prefetch(next + line, 1);
    }
}

// The ring that a step away from here leaves, some steps before.
static void ask_for_ring(const struct vision *vision, const struct vision_entity *entity,
                         struct hex_axial to)
{
    const struct vision_seat *seat = &entity->seat;
    if (!seat->active || hex_distance(seat->at, to) != 1)
        return;
    unsigned back = ((unsigned)hex_direction_between(seat->at, to) + 3) % HEX_DIRECTIONS;
    const char *ring = (const char *)vision_footprint_shape(vision->footprints[seat->radius],
                                                            seat->cell, SHAPE_RING + back);
    __builtin_prefetch(ring);
    __builtin_prefetch(ring + LINE_BYTES);
}

static size_t end_of_owner(const struct vision_ordered *order, size_t count, size_t first)
{
    size_t end = first;
    while (end < count && order[end].owner == order[first].owner)
        end++;
    return end;
}

// The turn of those from `first` to `end`, all of one owner.
static void update_owned(struct vision *vision, const Mmorts__Frame__PositionColumns *moved,
                         size_t first, size_t end)
{
    enum { AHEAD = 8, RING_AHEAD = 4 };
    struct vision_ordered *order = vision->order.items;
    for (size_t i = first; i < end && !vision->exhausted; i++) {
        if (i + 2 * AHEAD < vision->order.count)
            vision_entity_prefetch(vision, order[i + 2 * AHEAD].entity);
        if (i + AHEAD < vision->order.count)
            vision_mirror_prefetch(vision, order[i + AHEAD].entity);
        if (i + RING_AHEAD < vision->order.count && order[i + RING_AHEAD].moved != 0) {
            size_t at = order[i + RING_AHEAD].moved - 1;
            ask_for_ring(vision, &vision->entities[order[i + RING_AHEAD].entity],
                         (struct hex_axial){moved->q[at], moved->r[at]});
        }
        struct vision_entity *entity = &vision->entities[order[i].entity];
        if (order[i].moved != 0) {
            size_t at = order[i].moved - 1;
            vision_mirror_move(vision, order[i].entity,
                               (struct hex_axial){moved->q[at], moved->r[at]});
            order[i].change = entity->change - 1;
        }
        bool foreign =
            order[i].change != ORDERED_UNCHANGED && vision->changes.items[order[i].change].foreign;
        if (!foreign)
            seat_update(vision, entity);
    }
}

void vision_seats_update(struct vision *vision, const Mmorts__Frame__PositionColumns *moved)
{
    const struct vision_ordered *order = vision->order.items;
    size_t count = vision->exhausted ? 0 : vision->order.count;
    // What changes hands concerns two empires: before either's turn.
    for (size_t i = 0; i < vision->changes.count && !vision->exhausted; i++) {
        if (vision->changes.items[i].foreign)
            seat_update(vision, &vision->entities[vision->changes.items[i].entity]);
    }
    size_t turns[TURNS_AHEAD + 1] = {0}; // where this empire's turn begins, and the next ones'
    for (size_t i = 0; i < TURNS_AHEAD; i++)
        turns[i + 1] = end_of_owner(order, count, turns[i]);
    while (turns[0] < count && !vision->exhausted) {
        if (turns[3] < count)
            ask_for_empire(vision, order[turns[3]].owner);
        if (turns[2] < count)
            ask_for_actives(vision, order[turns[2]].owner);
        if (turns[1] < count)
            ask_for_chunks(vision, order[turns[1]].owner);
        size_t dirty = vision->dirty.count;
        update_owned(vision, moved, turns[0], turns[1]);
        vision_settle_empire(vision, order[turns[0]].owner, dirty);
        memmove(turns, turns + 1, TURNS_AHEAD * sizeof *turns);
        turns[TURNS_AHEAD] = end_of_owner(order, count, turns[TURNS_AHEAD]);
    }
}

// --- for comparison --------------------------------------------------------------------------

static void join_disc(struct vision *vision, struct vision_entity *entity)
{
    struct vision_active *center = entity->alive && entity->owner != 0 && entity->sight_hexes > 0 &&
                                           footprint_ready(vision, entity->sight_hexes)
                                       ? seat_active(vision, entity)
                                       : NULL;
    if (!center)
        return;
    const uint64_t *at =
        vision_footprint_shape(vision->footprints[entity->sight_hexes], entity->cell, SHAPE_DISC);
    for (struct vision_group group = {0}; !group.last; at += group.words) {
        group = vision_footprint_group(at++);
        struct vision_active *active = group_active(vision, center, &group);
        if (!active)
            return;
        struct vision_plane *plane = vision_own_plane(vision, active);
        for (uint32_t w = 0; w < group.words; w++)
            plane->digits[group.first_word + w][0] |= at[w];
        vision_active_mark_dirty(vision, active);
    }
}

void vision_sight_join_discs(struct vision *vision)
{
    for (uint32_t e = 0; e < vision->empire_capacity && !vision->exhausted; e++) {
        struct vision_empire *empire = vision->empires[e];
        if (!empire)
            continue;
        size_t dirty = vision->dirty.count;
        for (size_t i = 0; i < empire->actives.count; i++) {
            struct vision_plane *plane = vision_own_plane(vision, empire->actives.items[i]);
            memset(plane, 0, vision_plane_bytes(vision));
            vision_active_mark_dirty(vision, empire->actives.items[i]);
        }
        for (uint32_t slot = empire->first_owned; slot; slot = vision->entities[slot].next_owned)
            join_disc(vision, &vision->entities[slot]);
        vision_settle_empire(vision, e, dirty);
    }
}
