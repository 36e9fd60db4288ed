#include "services/vision/core/sight.h"
#include "services/vision/core/count.h"
#include "services/vision/core/footprint.h"
#include "services/vision/core/mirror.h"
#include "services/vision/core/settle.h"
#include "services/vision/core/state.h"
#include "services/vision/core/view.h"

// The observers' discs, as they are counted in their empires' views.

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
    return vision->terrain_blocks &&
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
    struct vision_active *active =
        footprint_ready(vision, entity->sight_hexes) ? seat_active(vision, entity) : NULL;
    if (!active)
        return;
    entity->seat = (struct vision_seat){.active = active,
                                        .cell = (uint16_t)entity->cell,
                                        .radius = entity->sight_hexes,
                                        .detects = entity->detects,
                                        .beacon = entity->beacon,
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
           (!vision->terrain_blocks || vision_lines_reach(vision, seat->at, seat->radius, at));
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
    return vision->terrain_blocks &&
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

void vision_seat_update(struct vision *vision, struct vision_entity *entity)
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
    bool alike = (old.detects == entity->detects && old.beacon == entity->beacon) ||
                 VISION_FAULT(SIGHT_TYPE_KEPT);
    if (stays && old.radius == entity->sight_hexes && alike) {
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
