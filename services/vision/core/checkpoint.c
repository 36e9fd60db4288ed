#include "libcommon/base/alloc.h"
#include "services/vision/core/state.h"

#include <string.h>

// The mirror as a frame, so that a restart can go on from it: with the ticks that follow, what was
// explored and remembered since the last save comes about again.

// Attributes that can differ from what a spawn says.
enum {
    COLUMN_HEALTH,
    COLUMN_SIGHT,
    COLUMN_ENABLED,
    COLUMN_STEALTHED,
    COLUMN_SIGHT_TYPE,
    COLUMN_COUNT
};

struct checkpoint {
    Mmorts__Frame__TickFrame frame;
    Mmorts__Frame__EmpireColumns empires;
    Mmorts__Frame__ChunkColumns chunks;
    Mmorts__Frame__SpawnColumns spawned;
    Mmorts__Frame__AttributeColumn columns[COLUMN_COUNT];
    Mmorts__Frame__AttributeColumn *column_list[COLUMN_COUNT];
};

static bool fill_empires(const struct vision *vision, Mmorts__Frame__EmpireColumns *columns)
{
    size_t n = 0;
    for (uint32_t e = 0; e < vision->empire_capacity; e++)
        n += vision->empires[e] && vision->empires[e]->known;
    columns->n_empire = columns->n_id = columns->n_player_id = n;
    columns->n_name = columns->n_home_q = columns->n_home_r = n;
    columns->empire = mm_calloc(n + 1, sizeof *columns->empire);
    columns->id = mm_calloc(n + 1, sizeof *columns->id);
    columns->player_id = mm_calloc(n + 1, sizeof *columns->player_id);
    columns->name = mm_calloc(n + 1, sizeof *columns->name);
    columns->home_q = mm_calloc(n + 1, sizeof *columns->home_q);
    columns->home_r = mm_calloc(n + 1, sizeof *columns->home_r);
    if (!columns->empire || !columns->id || !columns->player_id || !columns->name ||
        !columns->home_q || !columns->home_r)
        return false;
    size_t i = 0;
    for (uint32_t e = 0; e < vision->empire_capacity; e++) {
        if (!vision->empires[e] || !vision->empires[e]->known)
            continue;
        columns->empire[i] = e;
        columns->id[i] = vision->empires[e]->id;
        columns->player_id[i] = vision->empires[e]->player_id;
        columns->name[i++] = (char *)(uintptr_t) "";
    }
    return true;
}

static bool fill_chunks(const struct vision *vision, Mmorts__Frame__ChunkColumns *columns)
{
    size_t cells = vision->tiling.cells;
    columns->n_q = columns->n_r = vision->chunks_known;
    columns->q = mm_calloc(columns->n_q + 1, sizeof *columns->q);
    columns->r = mm_calloc(columns->n_q + 1, sizeof *columns->r);
    columns->cells.len = columns->n_q * cells;
    columns->cells.data = mm_malloc(columns->cells.len + 1);
    if (!columns->q || !columns->r || !columns->cells.data)
        return false;
    size_t n = 0;
    for (size_t c = 0; c < vision->chunks.count; c++) {
        const struct vision_chunk *chunk = &vision->chunks.items[c];
        if (!chunk->known)
            continue;
        struct hex_axial center = hex_chunk_center(&vision->tiling, chunk->at);
        columns->q[n] = center.q;
        columns->r[n] = center.r;
        memcpy(columns->cells.data + n++ * cells, chunk->cells, cells);
    }
    return true;
}

static bool allocate_entities(const struct vision *vision, struct checkpoint *checkpoint)
{
    static const Mmorts__Frame__Attribute attributes[COLUMN_COUNT] = {
        MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_HEALTH,
        MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_SIGHT_HEXES,
        MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_SIGHT_ENABLED,
        MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_STEALTHED,
        MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_SIGHT_TYPE,
    };
    size_t n = vision->entity_count;
    Mmorts__Frame__SpawnColumns *spawned = &checkpoint->spawned;
    spawned->n_entity = spawned->n_id = spawned->n_type = n;
    spawned->n_owner = spawned->n_q = spawned->n_r = n;
    spawned->entity = mm_calloc(n + 1, sizeof *spawned->entity);
    spawned->id = mm_calloc(n + 1, sizeof *spawned->id);
    spawned->type = mm_calloc(n + 1, sizeof *spawned->type);
    spawned->owner = mm_calloc(n + 1, sizeof *spawned->owner);
    spawned->q = mm_calloc(n + 1, sizeof *spawned->q);
    spawned->r = mm_calloc(n + 1, sizeof *spawned->r);
    bool ok = spawned->entity && spawned->id && spawned->type && spawned->owner && spawned->q &&
              spawned->r;
    for (unsigned i = 0; i < COLUMN_COUNT; i++) {
        Mmorts__Frame__AttributeColumn *column = &checkpoint->columns[i];
        column->attribute = attributes[i];
        column->entity = mm_calloc(n + 1, sizeof *column->entity);
        column->value = mm_calloc(n + 1, sizeof *column->value);
        ok = ok && column->entity && column->value;
    }
    return ok;
}

static void add_value(struct checkpoint *checkpoint, unsigned which, uint32_t slot, int32_t value)
{
    Mmorts__Frame__AttributeColumn *column = &checkpoint->columns[which];
    column->entity[column->n_entity++] = slot;
    column->value[column->n_value++] = value;
}

static void fill_entities(const struct vision *vision, struct checkpoint *checkpoint)
{
    Mmorts__Frame__SpawnColumns *spawned = &checkpoint->spawned;
    size_t n = 0;
    for (uint32_t slot = 1; slot < vision->entity_capacity; slot++) {
        const struct vision_entity *entity = &vision->entities[slot];
        (void)mm_progress_row(vision->progress, slot);
        if (!entity->alive)
            continue;
        spawned->entity[n] = slot;
        spawned->id[n] = entity->id;
        spawned->type[n] = entity->type;
        spawned->owner[n] = entity->owner;
        spawned->q[n] = entity->at.q;
        spawned->r[n++] = entity->at.r;
        const struct vision_type *type = &vision->types[entity->type];
        if (entity->health != type->health_max)
            add_value(checkpoint, COLUMN_HEALTH, slot, entity->health);
        if (entity->sight_hexes != type->sight_hexes)
            add_value(checkpoint, COLUMN_SIGHT, slot, entity->sight_hexes);
        if (!entity->sight_enabled)
            add_value(checkpoint, COLUMN_ENABLED, slot, 0);
        bool stealthed = (type->flags & MMORTS__FRAME__TYPE_FLAG__TYPE_FLAG_STEALTH) != 0;
        if (entity->stealthed != stealthed)
            add_value(checkpoint, COLUMN_STEALTHED, slot, entity->stealthed);
        if (entity->detects != type->detects || entity->beacon != type->beacon)
            add_value(checkpoint, COLUMN_SIGHT_TYPE, slot,
                      entity->detects  ? MMORTS__FRAME__SIGHT_TYPE__SIGHT_DETECTOR
                      : entity->beacon ? MMORTS__FRAME__SIGHT_TYPE__SIGHT_SHARED
                                       : MMORTS__FRAME__SIGHT_TYPE__SIGHT_NORMAL);
    }
}

enum mm_err vision_checkpoint(const struct vision *vision, Mmorts__Frame__TickFrame **out)
{
    if (!vision->live)
        return MM_FAILED_PRECONDITION;
    struct checkpoint *checkpoint = mm_calloc(1, sizeof *checkpoint);
    if (!checkpoint)
        return MM_RESOURCE_EXHAUSTED;
    mmorts__frame__tick_frame__init(&checkpoint->frame);
    mmorts__frame__empire_columns__init(&checkpoint->empires);
    mmorts__frame__chunk_columns__init(&checkpoint->chunks);
    mmorts__frame__spawn_columns__init(&checkpoint->spawned);
    for (unsigned i = 0; i < COLUMN_COUNT; i++) {
        mmorts__frame__attribute_column__init(&checkpoint->columns[i]);
        checkpoint->column_list[i] = &checkpoint->columns[i];
    }
    checkpoint->frame.tick = vision->tick;
    checkpoint->frame.snapshot = 1;
    checkpoint->frame.empires = &checkpoint->empires;
    checkpoint->frame.chunks = &checkpoint->chunks;
    checkpoint->frame.spawned = &checkpoint->spawned;
    checkpoint->frame.n_columns = COLUMN_COUNT;
    checkpoint->frame.columns = checkpoint->column_list;
    if (!fill_empires(vision, &checkpoint->empires) || !fill_chunks(vision, &checkpoint->chunks) ||
        !allocate_entities(vision, checkpoint)) {
        vision_checkpoint_free(&checkpoint->frame);
        return MM_RESOURCE_EXHAUSTED;
    }
    fill_entities(vision, checkpoint);
    *out = &checkpoint->frame;
    return MM_OK;
}

void vision_checkpoint_free(Mmorts__Frame__TickFrame *frame)
{
    if (!frame)
        return;
    // The frame is the checkpoint's first member.
    struct checkpoint *checkpoint = (struct checkpoint *)frame;
    Mmorts__Frame__EmpireColumns *e = &checkpoint->empires;
    Mmorts__Frame__ChunkColumns *c = &checkpoint->chunks;
    Mmorts__Frame__SpawnColumns *s = &checkpoint->spawned;
    void *columns[] = {e->empire, e->id,   e->player_id, e->name, e->home_q,
                       e->home_r, c->q,    c->r,         s->id,   c->cells.data,
                       s->entity, s->type, s->owner,     s->q,    s->r};
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        mm_free(columns[i]);
    for (unsigned i = 0; i < COLUMN_COUNT; i++) {
        mm_free(checkpoint->columns[i].entity);
        mm_free(checkpoint->columns[i].value);
    }
    mm_free(checkpoint);
}
