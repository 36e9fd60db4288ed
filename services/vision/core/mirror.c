#include "services/vision/core/mirror.h"
#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "services/vision/core/count.h"
#include "services/vision/core/memory.h"
#include "services/vision/core/output.h"
#include "services/vision/core/sight.h"
#include "services/vision/core/state.h"
#include "services/vision/core/view.h"
#include "services/vision/core/watch.h"

#include <string.h>

// World's state as its frames tell it. Frames were checked before (check.c).

// --- tables that grow ------------------------------------------------------------------------

// Grows a zero-filled table so that `index` lies in it; doubling, at most index_max + 1 entries.
static bool table_reserve(struct vision *vision, void **table, uint32_t *capacity,
                          size_t item_bytes, uint32_t index, uint32_t index_max)
{
    if (index < *capacity)
        return true;
    if (index > index_max)
        return false;
    enum { LINE_BYTES = 64 };
    uint64_t wanted = *capacity ? *capacity : 64;
    while (wanted <= index)
        wanted *= 2;
    if (wanted > (uint64_t)index_max + 1)
        wanted = (uint64_t)index_max + 1;
    char *grown = mm_malloc_aligned(LINE_BYTES, (size_t)wanted * item_bytes);
    if (!grown)
        return false;
    size_t kept_bytes = (size_t)*capacity * item_bytes;
    if (*table)
        mm_progress_copy(vision->progress, grown, *table, kept_bytes);
    mm_progress_zero(vision->progress, grown + kept_bytes,
                     (size_t)wanted * item_bytes - kept_bytes);
    mm_free(*table);
    vision->held_bytes += ((size_t)wanted - *capacity) * item_bytes;
    *table = grown;
    *capacity = (uint32_t)wanted;
    return true;
}

bool vision_entities_reserve(struct vision *vision, uint32_t slot)
{
    uint32_t marks_capacity = vision->entity_capacity;
    uint32_t capacity = vision->entity_capacity;
    void *marks = vision->frame_marks;
    bool grown = table_reserve(vision, &marks, &marks_capacity, sizeof *vision->frame_marks, slot,
                               vision->options.entities_max);
    vision->frame_marks = marks;
    if (!grown)
        return false;
    void *entities = vision->entities;
    grown = table_reserve(vision, &entities, &capacity, sizeof *vision->entities, slot,
                          vision->options.entities_max);
    vision->entities = entities;
    vision->entity_capacity = capacity;
    return grown;
}

struct vision_empire *vision_empire_get(struct vision *vision, uint32_t number)
{
    struct vision_empire *empire = vision_empire_find(vision, number);
    if (empire)
        return empire;
    void *table = vision->empires;
    bool there =
        number != 0 && table_reserve(vision, &table, &vision->empire_capacity,
                                     sizeof *vision->empires, number, vision->options.empires_max);
    vision->empires = table;
    empire = there ? mm_calloc(1, sizeof *empire) : NULL;
    if (!empire) {
        vision->exhausted = true;
        return NULL;
    }
    vision->held_bytes += sizeof *empire;
    empire->number = number;
    mm_vec_init(&empire->actives, vision->options.chunks_max);
    mm_vec_init(&empire->borrowers, vision->options.empires_max);
    mm_vec_init(&empire->yielding, UINT32_MAX);
    vision->empires[number] = empire;
    vision->empire_count++;
    return empire;
}

bool vision_chunk_find(const struct vision *vision, struct hex_chunk at, uint32_t *index_out)
{
    uint64_t index;
    if (!mm_idmap_get(vision->chunk_by_at, hex_chunk_pack(at), &index))
        return false;
    *index_out = (uint32_t)index;
    return true;
}

uint32_t vision_chunk_get(struct vision *vision, struct hex_chunk at)
{
    uint32_t index;
    if (vision_chunk_find(vision, at, &index))
        return index;
    index = (uint32_t)vision->chunks.count;
    struct vision_chunk chunk = {.at = at};
    mm_vec_init(&chunk.watchers, vision->options.empires_max);
    if (!mm_vec_push(&vision->chunks, chunk)) {
        vision->exhausted = true;
        return UINT32_MAX;
    }
    if (mm_idmap_set(vision->chunk_by_at, hex_chunk_pack(at), index) != MM_OK) {
        vision->chunks.count--;
        vision->exhausted = true;
        return UINT32_MAX;
    }
    return index;
}

// --- entities --------------------------------------------------------------------------------

static void place(struct vision *vision, uint32_t slot, struct hex_axial at)
{
    struct vision_entity *entity = &vision->entities[slot];
    struct hex_chunk chunk_at;
    uint32_t cell = hex_chunk_cell(&vision->tiling, at, &chunk_at);
    // Most moves stay within the chunk.
    bool same = entity->chunk < vision->chunks.count &&
                hex_chunk_equal(vision->chunks.items[entity->chunk].at, chunk_at);
    uint32_t index = same ? entity->chunk : vision_chunk_get(vision, chunk_at);
    entity->at = at;
    entity->chunk = index;
    entity->cell = cell;
    entity->next_in_cell = entity->previous_in_cell = 0;
    if (index == UINT32_MAX)
        return;
    struct vision_chunk *chunk = &vision->chunks.items[index];
    if (!chunk->first_entity) {
        // One block: the lists' heads and, behind them, the bits.
        size_t heads = (vision->tiling.cells + 1) / 2 * sizeof(uint64_t);
        size_t bytes = heads + vision->words * sizeof(uint64_t);
        chunk->first_entity = mm_calloc(1, bytes);
        if (!chunk->first_entity) {
            vision->exhausted = true;
            entity->chunk = UINT32_MAX;
            return;
        }
        chunk->occupied = (uint64_t *)(void *)((char *)chunk->first_entity + heads);
        vision->held_bytes += bytes;
    }
    mm_bitset_set(chunk->occupied, cell);
    entity->next_in_cell = chunk->first_entity[cell];
    if (entity->next_in_cell)
        vision->entities[entity->next_in_cell].previous_in_cell = slot;
    chunk->first_entity[cell] = slot;
    chunk->entities++;
}

static void unplace(struct vision *vision, uint32_t slot)
{
    struct vision_entity *entity = &vision->entities[slot];
    if (entity->chunk == UINT32_MAX)
        return;
    struct vision_chunk *chunk = &vision->chunks.items[entity->chunk];
    if (entity->previous_in_cell)
        vision->entities[entity->previous_in_cell].next_in_cell = entity->next_in_cell;
    else
        chunk->first_entity[entity->cell] = entity->next_in_cell;
    if (chunk->first_entity[entity->cell] == 0)
        mm_bitset_clear(chunk->occupied, entity->cell);
    if (entity->next_in_cell)
        vision->entities[entity->next_in_cell].previous_in_cell = entity->previous_in_cell;
    chunk->entities--;
}

static void own(struct vision *vision, uint32_t slot, uint32_t owner)
{
    struct vision_entity *entity = &vision->entities[slot];
    entity->owner = owner;
    entity->next_owned = entity->previous_owned = 0;
    if (owner == 0)
        return;
    struct vision_empire *empire = vision->empires[owner];
    entity->next_owned = empire->first_owned;
    if (entity->next_owned)
        vision->entities[entity->next_owned].previous_owned = slot;
    empire->first_owned = slot;
}

static void disown(struct vision *vision, uint32_t slot)
{
    struct vision_entity *entity = &vision->entities[slot];
    if (entity->owner == 0)
        return;
    if (entity->previous_owned)
        vision->entities[entity->previous_owned].next_owned = entity->next_owned;
    else
        vision->empires[entity->owner]->first_owned = entity->next_owned;
    if (entity->next_owned)
        vision->entities[entity->next_owned].previous_owned = entity->previous_owned;
}

// The entity's entry among the tick's changes; made, with what it was until now, at the first.
static struct vision_change *change_of(struct vision *vision, uint32_t slot)
{
    struct vision_entity *entity = &vision->entities[slot];
    if (entity->change == 0) {
        struct vision_change change = {.entity = slot,
                                       .owner = entity->owner,
                                       .chunk = entity->chunk,
                                       .cell = entity->cell,
                                       .health = entity->health,
                                       .at = entity->at};
        if (!mm_vec_push(&vision->changes, change)) {
            vision->exhausted = true;
            return NULL;
        }
        entity->change = (uint32_t)vision->changes.count;
    }
    return &vision->changes.items[entity->change - 1];
}

static void despawn(struct vision *vision, uint32_t slot)
{
    struct vision_change *change = change_of(vision, slot);
    if (!change)
        return;
    change->gone = change->resight = true;
    struct vision_entity *entity = &vision->entities[slot];
    unplace(vision, slot);
    disown(vision, slot);
    entity->alive = false;
    vision->entity_count--;
    mm_idmap_remove(vision->entity_by_id, entity->id, NULL);
}

static void spawn(struct vision *vision, const Mmorts__Frame__SpawnColumns *spawned, size_t i)
{
    uint32_t slot = spawned->entity[i];
    struct vision_entity *entity = &vision->entities[slot];
    const struct vision_type *type = &vision->types[spawned->type[i]];
    uint64_t ticks;
    struct vision_entity before = *entity;
    MM_CHECK(VISION_FAULT(SLOT_KEEPS_VIEWERS) || entity->viewer_count == 0);
    MM_CHECK(!entity->seat.active);
    *entity = (struct vision_entity){
        .id = spawned->id[i],
        .type = (uint16_t)spawned->type[i],
        .health = type->health_max,
        .sight_hexes = (uint8_t)type->sight_hexes,
        .alive = true,
        .sight_enabled = true,
        .detects = type->detects,
        .beacon = type->beacon,
        .stealthed = (type->flags & MMORTS__FRAME__TYPE_FLAG__TYPE_FLAG_STEALTH) != 0,
        .lasts = vision_memory_lasts(vision, spawned->type[i], &ticks),
        .viewers_log2 = before.viewers_log2,
        .viewers = before.viewers,
        .viewer_count = VISION_FAULT(SLOT_KEEPS_VIEWERS) ? before.viewer_count : 0,
        .first_seen = before.first_seen,
    };
    vision->entity_count++;
    place(vision, slot, (struct hex_axial){spawned->q[i], spawned->r[i]});
    own(vision, slot, spawned->owner[i]);
    if (mm_idmap_set(vision->entity_by_id, entity->id, slot) != MM_OK)
        vision->exhausted = true;
    struct vision_change *change = change_of(vision, slot);
    if (!change)
        return;
    change->spawned = change->resight = true;
    change->foreign |= change->owner != entity->owner;
}

void vision_mirror_prefetch(const struct vision *vision, uint32_t slot)
{
    enum { LINE_BYTES = 64 };
    const struct vision_entity *entity = &vision->entities[slot];
    if (entity->chunk >= vision->chunks.count)
        return;
    // The rows of cells beside it lie in the lines before and behind.
    const uint32_t *heads = vision->chunks.items[entity->chunk].first_entity;
    uintptr_t at = (uintptr_t)heads + entity->cell * sizeof *heads;
    mm_prefetch_write((const void *)(at - LINE_BYTES));
    mm_prefetch_write((const void *)at);
    mm_prefetch_write((const void *)(at + LINE_BYTES));
}

void vision_mirror_move(struct vision *vision, uint32_t slot, struct hex_axial to)
{
    struct vision_change *change = change_of(vision, slot);
    if (!change || hex_equal(vision->entities[slot].at, to))
        return;
    change->resight = true;
    unplace(vision, slot);
    place(vision, slot, to);
}

static void set_attribute(struct vision *vision, Mmorts__Frame__Attribute attribute, uint32_t slot,
                          int32_t value)
{
    struct vision_entity *entity = &vision->entities[slot];
    struct vision_change *change = change_of(vision, slot);
    if (!change)
        return;
    switch ((int)attribute) {
    case MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_HEALTH:
        entity->health = value;
        break;
    case MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_OWNER:
        disown(vision, slot);
        own(vision, slot, (uint32_t)value);
        change->resight = change->foreign = true;
        break;
    case MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_SIGHT_HEXES:
        entity->sight_hexes = (uint8_t)value;
        break;
    case MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_SIGHT_ENABLED:
        entity->sight_enabled = value != 0;
        break;
    case MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_SIGHT_TYPE:
        entity->detects = value == MMORTS__FRAME__SIGHT_TYPE__SIGHT_DETECTOR;
        entity->beacon = value == MMORTS__FRAME__SIGHT_TYPE__SIGHT_SHARED;
        break;
    case MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_STEALTHED:
        entity->stealthed = value != 0;
        change->resight = true;
        break;
    default:
        break;
    }
}

// Whether vision keeps the attribute at all; the other columns are skipped as a whole.
static bool attribute_matters(Mmorts__Frame__Attribute attribute)
{
    switch ((int)attribute) {
    case MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_HEALTH:
    case MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_OWNER:
    case MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_SIGHT_HEXES:
    case MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_SIGHT_ENABLED:
    case MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_SIGHT_TYPE:
    case MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_STEALTHED:
        return true;
    default:
        return false;
    }
}

// --- catalogue, empires, chunks --------------------------------------------------------------

static void apply_catalogue(struct vision *vision, const Mmorts__Frame__Catalogue *catalogue)
{
    const Mmorts__Frame__TypeColumns *columns = catalogue->types;
    struct vision_type *types = mm_calloc(columns->n_name + 1, sizeof *types);
    if (!types) {
        vision->exhausted = true;
        return;
    }
    for (size_t i = 0; i < columns->n_name; i++) {
        types[i] = (struct vision_type){
            .kind = columns->kind[i],
            .sight_hexes = (int32_t)columns->sight_hexes[i],
            .detects = columns->sight_type[i] == MMORTS__FRAME__SIGHT_TYPE__SIGHT_DETECTOR,
            .beacon = columns->sight_type[i] == MMORTS__FRAME__SIGHT_TYPE__SIGHT_SHARED,
            .health_max = (int32_t)columns->health_max[i],
            .flags = columns->flags[i],
        };
    }
    mm_free(vision->types);
    vision->types = types;
    vision->type_count = (uint32_t)columns->n_name;
    vision->terrain_count = (uint32_t)catalogue->terrains->n_name;
    vision->fog_lifted = catalogue->sight && catalogue->sight->fog_lifted;
    vision->terrain_blocks = catalogue->sight && catalogue->sight->terrain_blocks;
    for (size_t i = 0; i < catalogue->terrains->n_sight_cost; i++) {
        uint32_t cost = catalogue->terrains->sight_cost[i];
        vision->sight_costs[i] = cost < UINT8_MAX ? (uint8_t)cost : UINT8_MAX;
    }
}

static void apply_empires(struct vision *vision, const Mmorts__Frame__EmpireColumns *columns)
{
    for (size_t i = 0; i < columns->n_empire; i++) {
        struct vision_empire *empire = vision_empire_get(vision, columns->empire[i]);
        if (!empire)
            return;
        bool is_new = !empire->known;
        empire->known = true;
        empire->id = columns->id[i];
        empire->player_id = columns->player_id[i];
        for (uint32_t c = 0; is_new && vision->fog_lifted && c < vision->chunks.count; c++)
            vision_reveal_chunk(vision, empire->number, c);
    }
}

// A chunk that appears, or comes again with other cells: whoever sees a cell is told its terrain.
static void apply_chunk(struct vision *vision, struct hex_axial center, const uint8_t *cells)
{
    uint32_t index = vision_chunk_get(vision, hex_chunk_of(&vision->tiling, center));
    if (index == UINT32_MAX)
        return;
    struct vision_chunk *chunk = &vision->chunks.items[index];
    if (!chunk->cells) {
        chunk->cells = mm_malloc(vision->tiling.cells);
        if (!chunk->cells) {
            vision->exhausted = true;
            return;
        }
        vision->held_bytes += vision->tiling.cells;
    }
    bool appears = !chunk->known;
    chunk->known = true;
    vision->chunks_known += appears;
    if (!appears) {
        for (size_t w = 0; w < chunk->watchers.count; w++) {
            struct vision_watcher *watcher = &chunk->watchers.items[w];
            for (uint32_t cell = 0; watcher->active && cell < vision->tiling.cells; cell++) {
                if (cells[cell] != chunk->cells[cell] &&
                    vision_active_bit(vision, watcher->active, BITS_VISIBLE, cell))
                    vision_output_hex(
                        vision, watcher->empire, hex_chunk_hex(&vision->tiling, chunk->at, cell),
                        MMORTS__FRAME__VISIBILITY__VISIBILITY_VISIBLE, cells[cell] + UINT32_C(1));
            }
        }
    }
    memcpy(chunk->cells, cells, vision->tiling.cells);
    if (vision->terrain_blocks)
        chunk->costly_cells = vision_lines_costly_cells(vision, cells);
    if (!appears)
        return;
    // Counters may stand there already: now they count.
    for (size_t w = 0; w < chunk->watchers.count; w++) {
        if (chunk->watchers.items[w].active)
            vision_active_mark_dirty(vision, chunk->watchers.items[w].active);
    }
    for (uint32_t e = 1; vision->fog_lifted && e < vision->empire_capacity; e++) {
        if (vision->empires[e] && vision->empires[e]->known)
            vision_reveal_chunk(vision, e, index);
    }
}

// --- a frame ---------------------------------------------------------------------------------

// Room for everybody at once: tables that grow while a million comes are made anew over and over,
// each time in one long step.
static void reserve_for(struct vision *vision, const Mmorts__Frame__SpawnColumns *spawned)
{
    if (mm_idmap_reserve(vision->entity_by_id, spawned->n_entity) != MM_OK ||
        !mm_vec_reserve(&vision->changes, spawned->n_entity))
        vision->exhausted = true;
    (void)mm_progress_step(vision->progress);
}

void vision_mirror_apply(struct vision *vision, const Mmorts__Frame__TickFrame *frame)
{
    if (frame->snapshot && frame->spawned)
        reserve_for(vision, frame->spawned);
    if (frame->catalogue)
        apply_catalogue(vision, frame->catalogue);
    if (frame->empires && !vision->exhausted)
        apply_empires(vision, frame->empires);
    const Mmorts__Frame__ChunkColumns *chunks = frame->chunks;
    bool lifts = chunks && chunks->n_q > 0 && vision->terrain_blocks;
    if (lifts)
        vision_sight_lift(vision, chunks);
    for (size_t i = 0; chunks && i < chunks->n_q && !vision->exhausted; i++) {
        apply_chunk(vision, (struct hex_axial){chunks->q[i], chunks->r[i]},
                    chunks->cells.data + i * vision->tiling.cells);
        vision_pass_row(vision, i);
    }
    if (lifts)
        vision_sight_lower(vision);
    for (size_t i = 0; i < frame->n_despawned && !vision->exhausted; i++)
        despawn(vision, frame->despawned[i]);
    for (size_t i = 0; frame->spawned && i < frame->spawned->n_entity && !vision->exhausted; i++) {
        spawn(vision, frame->spawned, i);
        vision_pass_row(vision, i);
    }
    for (size_t c = 0; c < frame->n_columns; c++) {
        const Mmorts__Frame__AttributeColumn *column = frame->columns[c];
        if (!attribute_matters(column->attribute))
            continue;
        for (size_t i = 0; i < column->n_entity && !vision->exhausted; i++) {
            set_attribute(vision, column->attribute, column->entity[i], column->value[i]);
            vision_pass_row(vision, i);
        }
    }
}

void vision_mirror_clear(struct vision *vision)
{
    for (uint32_t slot = 0; slot < vision->entity_capacity; slot++) {
        vision_viewers_free(vision, &vision->entities[slot]);
        vision->entities[slot] = (struct vision_entity){0};
        (void)mm_progress_row(vision->progress, slot);
    }
    vision->entity_count = 0;
    mm_idmap_clear(vision->entity_by_id);
    for (size_t i = 0; i < vision->chunks.count; i++) {
        struct vision_chunk *chunk = &vision->chunks.items[i];
        (void)mm_progress_row(vision->progress, i);
        chunk->known = false;
        chunk->entities = 0;
        mm_vec_clear(&chunk->watchers);
        if (chunk->visible)
            memset(chunk->visible, 0,
                   (size_t)vision->words * chunk->visible_stride * sizeof *chunk->visible);
        if (!chunk->first_entity)
            continue;
        memset(chunk->first_entity, 0, vision->tiling.cells * sizeof *chunk->first_entity);
        memset(chunk->occupied, 0, vision->words * sizeof *chunk->occupied);
    }
    vision->chunks_known = 0;
    for (uint32_t e = 0; e < vision->empire_capacity; e++) {
        if (vision->empires[e]) {
            vision->empires[e]->known = false;
            vision->empires[e]->first_owned = 0;
        }
    }
}
