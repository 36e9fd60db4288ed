#include "libcommon/base/alloc.h"
#include "services/vision/core/mirror.h"
#include "services/vision/core/state.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

// A frame is believed only after it was looked through from end to end: what is applied cannot
// fail half way over a contradiction, and a frame that is refused has changed nothing.

// What a slot is while the frame is looked through (vision->frame_marks).
enum { MARK_NONE = 0, MARK_DESPAWNED, MARK_SPAWNED };

__attribute__((format(printf, 2, 3))) static enum mm_err refuse(struct vision *vision,
                                                                const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(vision->refusal, sizeof vision->refusal, format, args);
    va_end(args);
    return MM_INVALID_ARGUMENT;
}

static enum mm_err check_catalogue(struct vision *vision, const Mmorts__Frame__Catalogue *catalogue)
{
    const Mmorts__Frame__TypeColumns *types = catalogue->types;
    const Mmorts__Frame__TerrainColumns *terrains = catalogue->terrains;
    if (!types || !terrains)
        return refuse(vision, "catalogue without types or terrains");
    size_t n = types->n_name;
    if (n > VISION_TYPES_MAX)
        return refuse(vision, "catalogue of %zu types", n);
    if (types->n_kind != n || types->n_sight_hexes != n || types->n_sight_type != n ||
        types->n_health_max != n || types->n_ticks_per_hex != n || types->n_flags != n)
        return refuse(vision, "catalogue: type columns of unequal length");
    if (terrains->n_name == 0 || terrains->n_name > 255 ||
        terrains->n_move_cost_percent != terrains->n_name ||
        terrains->n_sight_cost != terrains->n_name)
        return refuse(vision, "catalogue: terrain columns of unequal length");
    if (catalogue->chunk_radius != (uint32_t)vision->tiling.radius)
        return refuse(vision, "chunk radius %" PRIu32 ", here it is %d", catalogue->chunk_radius,
                      vision->tiling.radius);
    for (size_t i = 0; i < n; i++) {
        if (types->sight_hexes[i] > VISION_SIGHT_HEXES_MAX || types->health_max[i] > INT32_MAX)
            return refuse(vision, "type %zu: sight or health out of range", i);
    }
    return MM_OK;
}

static enum mm_err check_empires(struct vision *vision, const Mmorts__Frame__EmpireColumns *empires)
{
    size_t n = empires->n_empire;
    if (empires->n_id != n || empires->n_player_id != n || empires->n_name != n ||
        empires->n_home_q != n || empires->n_home_r != n)
        return refuse(vision, "empire columns of unequal length");
    for (size_t i = 0; i < n; i++) {
        if (empires->empire[i] == 0 || empires->empire[i] > vision->options.empires_max)
            return refuse(vision, "empire number %" PRIu32, empires->empire[i]);
        struct vision_empire *empire = vision_empire_get(vision, empires->empire[i]);
        if (!empire)
            return MM_RESOURCE_EXHAUSTED;
        empire->told_in_check = vision->checks;
    }
    return MM_OK;
}

static enum mm_err check_chunks(struct vision *vision, const Mmorts__Frame__ChunkColumns *chunks,
                                uint32_t terrain_count)
{
    size_t n = chunks->n_q;
    if (chunks->n_r != n || chunks->cells.len / vision->tiling.cells != n ||
        chunks->cells.len % vision->tiling.cells != 0)
        return refuse(vision, "chunk columns of unequal length");
    for (size_t i = 0; i < n; i++) {
        struct hex_axial at = {chunks->q[i], chunks->r[i]};
        if (!hex_in_bounds(at) ||
            !hex_equal(at, hex_chunk_center(&vision->tiling, hex_chunk_of(&vision->tiling, at))))
            return refuse(vision, "(%d, %d) is no chunk's centre", at.q, at.r);
    }
    for (size_t i = 0; i < chunks->cells.len; i++) {
        if (chunks->cells.data[i] >= terrain_count)
            return refuse(vision, "terrain %u of %" PRIu32, chunks->cells.data[i], terrain_count);
    }
    return MM_OK;
}

// --- entities --------------------------------------------------------------------------------

struct entity_check {
    bool snapshot; // slots are empty to begin with
    uint32_t type_count;
};

static bool slot_in_range(const struct vision *vision, uint32_t slot)
{
    return slot != 0 && slot <= vision->options.entities_max;
}

static bool slot_was_alive(const struct vision *vision, const struct entity_check *check,
                           uint32_t slot)
{
    return !check->snapshot && slot < vision->entity_capacity && vision->entities[slot].alive;
}

// Alive at the end of the frame, as far as it was looked through.
static bool slot_is_alive(const struct vision *vision, const struct entity_check *check,
                          uint32_t slot)
{
    if (!slot_in_range(vision, slot) || slot >= vision->entity_capacity)
        return false;
    if (vision->frame_marks[slot] != MARK_NONE)
        return vision->frame_marks[slot] == MARK_SPAWNED;
    return slot_was_alive(vision, check, slot);
}

static bool owner_exists(const struct vision *vision, const struct entity_check *check,
                         uint32_t owner)
{
    if (owner == 0)
        return true;
    const struct vision_empire *empire = vision_empire_find(vision, owner);
    return empire &&
           (empire->told_in_check == vision->checks || (!check->snapshot && empire->known));
}

static enum mm_err check_despawned(struct vision *vision, const struct entity_check *check,
                                   const Mmorts__Frame__TickFrame *frame)
{
    for (size_t i = 0; i < frame->n_despawned; i++) {
        uint32_t slot = frame->despawned[i];
        if (!slot_is_alive(vision, check, slot))
            return refuse(vision, "despawned entity %" PRIu32 " is not there", slot);
        vision->frame_marks[slot] = MARK_DESPAWNED;
    }
    return MM_OK;
}

static enum mm_err check_spawned(struct vision *vision, const struct entity_check *check,
                                 const Mmorts__Frame__SpawnColumns *spawned)
{
    size_t n = spawned->n_entity;
    if (spawned->n_id != n || spawned->n_type != n || spawned->n_owner != n || spawned->n_q != n ||
        spawned->n_r != n)
        return refuse(vision, "spawn columns of unequal length");
    uint32_t last = 0; // of a snapshot's: the tables grow once
    for (size_t i = 0; check->snapshot && i < n; i++)
        last = spawned->entity[i] > last ? spawned->entity[i] : last;
    if (last != 0 && slot_in_range(vision, last) && !vision_entities_reserve(vision, last))
        return MM_RESOURCE_EXHAUSTED;
    for (size_t i = 0; i < n; i++) {
        (void)mm_progress_row(vision->progress, i);
        uint32_t slot = spawned->entity[i];
        if (!slot_in_range(vision, slot))
            return refuse(vision, "entity index %" PRIu32, slot);
        if (!vision_entities_reserve(vision, slot))
            return MM_RESOURCE_EXHAUSTED;
        if (vision->frame_marks[slot] != MARK_NONE || slot_was_alive(vision, check, slot))
            return refuse(vision, "spawned into slot %" PRIu32 " that is taken", slot);
        if (spawned->type[i] >= check->type_count)
            return refuse(vision, "type %" PRIu32 " of %" PRIu32, spawned->type[i],
                          check->type_count);
        if (!hex_in_bounds((struct hex_axial){spawned->q[i], spawned->r[i]}))
            return refuse(vision, "entity %" PRIu32 " spawned out of the world", slot);
        if (!owner_exists(vision, check, spawned->owner[i]))
            return refuse(vision, "owner %" PRIu32 " is no empire", spawned->owner[i]);
        vision->frame_marks[slot] = MARK_SPAWNED;
    }
    return MM_OK;
}

static enum mm_err check_moved(struct vision *vision, const struct entity_check *check,
                               const Mmorts__Frame__PositionColumns *moved)
{
    if (moved->n_q != moved->n_entity || moved->n_r != moved->n_entity)
        return refuse(vision, "position columns of unequal length");
    for (size_t i = 0; i < moved->n_entity; i++) {
        if (!slot_is_alive(vision, check, moved->entity[i]))
            return refuse(vision, "moved entity %" PRIu32 " is not there", moved->entity[i]);
        if (!hex_in_bounds((struct hex_axial){moved->q[i], moved->r[i]}))
            return refuse(vision, "entity %" PRIu32 " moved out of the world", moved->entity[i]);
    }
    return MM_OK;
}

static enum mm_err check_column(struct vision *vision, const struct entity_check *check,
                                const Mmorts__Frame__AttributeColumn *column)
{
    if (column->n_value != column->n_entity)
        return refuse(vision, "attribute %d: columns of unequal length", (int)column->attribute);
    for (size_t i = 0; i < column->n_entity; i++) {
        (void)mm_progress_row(vision->progress, i);
        if (!slot_is_alive(vision, check, column->entity[i]))
            return refuse(vision, "attribute %d of entity %" PRIu32 " that is not there",
                          (int)column->attribute, column->entity[i]);
        int32_t value = column->value[i];
        if (column->attribute == MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_OWNER &&
            (value < 0 || !owner_exists(vision, check, (uint32_t)value)))
            return refuse(vision, "owner %d is no empire", value);
        if (column->attribute == MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_SIGHT_HEXES &&
            (value < 0 || value > VISION_SIGHT_HEXES_MAX))
            return refuse(vision, "entity %" PRIu32 " with a sight of %d hexes", column->entity[i],
                          value);
        if (column->attribute == MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_SIGHT_TYPE &&
            (value < 0 || value > MMORTS__FRAME__SIGHT_TYPE__SIGHT_DETECTOR))
            return refuse(vision, "entity %" PRIu32 " with a sight of type %d", column->entity[i],
                          value);
    }
    return MM_OK;
}

static enum mm_err check_entities(struct vision *vision, const Mmorts__Frame__TickFrame *frame)
{
    struct entity_check check = {
        .snapshot = frame->snapshot,
        .type_count =
            frame->catalogue ? (uint32_t)frame->catalogue->types->n_name : vision->type_count,
    };
    enum mm_err err = check_despawned(vision, &check, frame);
    if (err == MM_OK && frame->spawned)
        err = check_spawned(vision, &check, frame->spawned);
    if (err == MM_OK && frame->moved)
        err = check_moved(vision, &check, frame->moved);
    for (size_t i = 0; err == MM_OK && i < frame->n_columns; i++)
        err = check_column(vision, &check, frame->columns[i]);

    // The marks are wiped where they were made: the frame's own lists name every such slot.
    for (size_t i = 0; i < frame->n_despawned; i++) {
        if (frame->despawned[i] < vision->entity_capacity)
            vision->frame_marks[frame->despawned[i]] = MARK_NONE;
    }
    for (size_t i = 0; frame->spawned && i < frame->spawned->n_entity; i++) {
        if (frame->spawned->entity[i] < vision->entity_capacity)
            vision->frame_marks[frame->spawned->entity[i]] = MARK_NONE;
    }
    return err;
}

enum mm_err vision_check_frame(struct vision *vision, const Mmorts__Frame__TickFrame *frame)
{
    vision->refusal[0] = '\0';
    vision->checks++;
    if (!frame->snapshot && !vision->live)
        return MM_FAILED_PRECONDITION;
    if (frame->snapshot && (!frame->catalogue || frame->n_despawned > 0))
        return refuse(vision, "a snapshot without catalogue, or with despawned entities");
    if (!frame->snapshot && frame->catalogue)
        return refuse(vision, "a catalogue outside a snapshot");
    if (!frame->snapshot && frame->tick <= vision->tick)
        return refuse(vision, "tick %" PRIu64 " after tick %" PRIu64, frame->tick, vision->tick);
    enum mm_err err = MM_OK;
    if (frame->catalogue)
        err = check_catalogue(vision, frame->catalogue);
    if (err == MM_OK && frame->empires)
        err = check_empires(vision, frame->empires);
    if (err == MM_OK && frame->chunks) {
        uint32_t terrains =
            frame->catalogue ? (uint32_t)frame->catalogue->terrains->n_name : vision->terrain_count;
        err = check_chunks(vision, frame->chunks, terrains);
    }
    return err == MM_OK ? check_entities(vision, frame) : err;
}
