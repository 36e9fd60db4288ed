#include "tests/support/vision_stage.h"

#include "libcommon/base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_RADIUS = 5, CHUNKS_MAX = 256, CHANGES_MAX = 32, SIGHTED_TYPES = STAGE_BEACON + 1 };

struct entity {
    bool alive, is_freed; // freed: in the last tick, so its slot is not to be filled yet
    uint64_t id;
};

struct column {
    Mmorts__Frame__AttributeColumn base;
    uint32_t entity;
    int32_t value;
};

struct stage {
    struct vision *core;
    uint64_t tick;
    struct entity entities[STAGE_ENTITIES_MAX + 1]; // by slot, from 1
    // What the next frame tells.
    uint32_t removed[CHANGES_MAX];
    size_t removed_count;
    uint32_t put_slot[CHANGES_MAX], put_type[CHANGES_MAX], put_owner[CHANGES_MAX];
    uint64_t put_id[CHANGES_MAX];
    int32_t put_q[CHANGES_MAX], put_r[CHANGES_MAX];
    size_t put_count;
    uint32_t moved[CHANGES_MAX];
    int32_t moved_q[CHANGES_MAX], moved_r[CHANGES_MAX];
    size_t moved_count;
    struct column columns[CHANGES_MAX];
    size_t column_count;
    // What the last one was answered.
    const Mmorts__Frame__VisionFrame *out;
};

static const Mmorts__Frame__Kind kinds[STAGE_TYPES] = {
    [STAGE_SCOUT] = MMORTS__FRAME__KIND__KIND_UNIT,
    [STAGE_DETECTOR] = MMORTS__FRAME__KIND__KIND_UNIT,
    [STAGE_BEACON] = MMORTS__FRAME__KIND__KIND_UNIT,
    [STAGE_SPY] = MMORTS__FRAME__KIND__KIND_UNIT,
    [STAGE_SOLDIER] = MMORTS__FRAME__KIND__KIND_UNIT,
    [STAGE_HERO] = MMORTS__FRAME__KIND__KIND_UNIT,
    [STAGE_MACHINE] = MMORTS__FRAME__KIND__KIND_UNIT,
    [STAGE_HUT] = MMORTS__FRAME__KIND__KIND_BUILDING,
    [STAGE_TOWN] = MMORTS__FRAME__KIND__KIND_BUILDING,
    [STAGE_BEAST] = MMORTS__FRAME__KIND__KIND_NPC,
};

static const uint32_t flags[STAGE_TYPES] = {
    [STAGE_SPY] = MMORTS__FRAME__TYPE_FLAG__TYPE_FLAG_STEALTH,
    [STAGE_HERO] = MMORTS__FRAME__TYPE_FLAG__TYPE_FLAG_HERO,
    [STAGE_MACHINE] = MMORTS__FRAME__TYPE_FLAG__TYPE_FLAG_ENDGAME,
    [STAGE_TOWN] = MMORTS__FRAME__TYPE_FLAG__TYPE_FLAG_SETTLEMENT,
};

static void apply(struct stage *stage, Mmorts__Frame__TickFrame *frame)
{
    frame->tick = ++stage->tick;
    if (vision_apply(stage->core, frame, &stage->out) != MM_OK) {
        fprintf(stderr, "the stage's frame was refused: %s\n", vision_refusal(stage->core));
        abort();
    }
}

// --- the empty stage -------------------------------------------------------------------------

static Mmorts__Frame__TypeColumns make_types(void)
{
    static char *names[STAGE_TYPES] = {"scout", "detector", "beacon", "spy",  "soldier",
                                       "hero",  "machine",  "hut",    "town", "beast"};
    static uint32_t sight[STAGE_TYPES], health[STAGE_TYPES], pace[STAGE_TYPES];
    static Mmorts__Frame__SightType sight_type[STAGE_TYPES];
    for (unsigned i = 0; i < STAGE_TYPES; i++) {
        sight[i] = i < SIGHTED_TYPES ? STAGE_SIGHT : 0;
        health[i] = STAGE_HEALTH;
    }
    sight_type[STAGE_DETECTOR] = MMORTS__FRAME__SIGHT_TYPE__SIGHT_DETECTOR;
    sight_type[STAGE_BEACON] = MMORTS__FRAME__SIGHT_TYPE__SIGHT_SHARED;
    Mmorts__Frame__TypeColumns types = MMORTS__FRAME__TYPE_COLUMNS__INIT;
    types.n_name = types.n_kind = types.n_sight_hexes = types.n_sight_type = STAGE_TYPES;
    types.n_health_max = types.n_ticks_per_hex = types.n_flags = STAGE_TYPES;
    types.name = names;
    types.kind = (Mmorts__Frame__Kind *)(uintptr_t)kinds;
    types.sight_hexes = sight;
    types.sight_type = sight_type;
    types.health_max = health;
    types.ticks_per_hex = pace;
    types.flags = (uint32_t *)(uintptr_t)flags;
    return types;
}

static Mmorts__Frame__EmpireColumns make_empires(void)
{
    static uint32_t number[STAGE_EMPIRES];
    static uint64_t id[STAGE_EMPIRES];
    static char *names[STAGE_EMPIRES] = {"", "", ""};
    static int32_t home[STAGE_EMPIRES];
    Mmorts__Frame__EmpireColumns empires = MMORTS__FRAME__EMPIRE_COLUMNS__INIT;
    empires.n_empire = empires.n_id = empires.n_player_id = STAGE_EMPIRES;
    empires.n_name = empires.n_home_q = empires.n_home_r = STAGE_EMPIRES;
    for (uint32_t i = 0; i < STAGE_EMPIRES; i++)
        number[i] = (uint32_t)(id[i] = i + 1);
    empires.empire = number;
    empires.id = empires.player_id = id;
    empires.name = names;
    empires.home_q = empires.home_r = home;
    return empires;
}

static Mmorts__Frame__ChunkColumns make_chunks(void)
{
    static int32_t q[CHUNKS_MAX], r[CHUNKS_MAX];
    static uint8_t cells[CHUNKS_MAX * (3 * CHUNK_RADIUS * (CHUNK_RADIUS + 1) + 1)];
    struct hex_tiling tiling;
    MM_CHECK(hex_tiling_init(&tiling, CHUNK_RADIUS) == MM_OK);
    Mmorts__Frame__ChunkColumns chunks = MMORTS__FRAME__CHUNK_COLUMNS__INIT;
    chunks.q = q;
    chunks.r = r;
    enum { REACH = STAGE_MAP_HEXES };
    for (int32_t y = -REACH; y <= REACH; y++) {
        for (int32_t x = -REACH; x <= REACH; x++) {
            struct hex_axial center =
                hex_chunk_center(&tiling, hex_chunk_of(&tiling, (struct hex_axial){x, y}));
            size_t i = 0;
            while (i < chunks.n_q && (q[i] != center.q || r[i] != center.r))
                i++;
            if (i < chunks.n_q)
                continue;
            MM_CHECK(i < CHUNKS_MAX);
            q[i] = center.q;
            r[i] = center.r;
            chunks.n_q = chunks.n_r = i + 1;
        }
    }
    memset(cells, 1, sizeof cells);
    chunks.cells.data = cells;
    chunks.cells.len = chunks.n_q * tiling.cells;
    return chunks;
}

struct stage *stage_new(const struct vision_options *given)
{
    struct stage *stage = calloc(1, sizeof *stage);
    MM_CHECK(stage);
    struct vision_options options = given ? *given : vision_options_default();
    options.chunk_radius = CHUNK_RADIUS;
    MM_CHECK(vision_new(&options, &stage->core) == MM_OK);
    static char *terrains[] = {"dead", "plains"};
    static uint32_t costs[2];
    Mmorts__Frame__TerrainColumns terrain = MMORTS__FRAME__TERRAIN_COLUMNS__INIT;
    terrain.n_name = terrain.n_move_cost_percent = terrain.n_sight_cost = 2;
    terrain.name = terrains;
    terrain.move_cost_percent = terrain.sight_cost = costs;
    Mmorts__Frame__TypeColumns types = make_types();
    Mmorts__Frame__EmpireColumns empires = make_empires();
    Mmorts__Frame__ChunkColumns chunks = make_chunks();
    Mmorts__Frame__Catalogue catalogue = MMORTS__FRAME__CATALOGUE__INIT;
    catalogue.types = &types;
    catalogue.terrains = &terrain;
    catalogue.chunk_radius = CHUNK_RADIUS;
    Mmorts__Frame__TickFrame frame = MMORTS__FRAME__TICK_FRAME__INIT;
    frame.snapshot = true;
    frame.catalogue = &catalogue;
    frame.empires = &empires;
    frame.chunks = &chunks;
    apply(stage, &frame);
    return stage;
}

void stage_free(struct stage *stage)
{
    vision_free(stage->core);
    free(stage);
}

struct vision *stage_core(struct stage *stage)
{
    return stage->core;
}

uint64_t stage_now(const struct stage *stage)
{
    return stage->tick;
}

// --- what happens ----------------------------------------------------------------------------

static uint32_t slot_of(const struct stage *stage, uint64_t id)
{
    uint32_t slot = 1;
    while (slot <= STAGE_ENTITIES_MAX &&
           !(stage->entities[slot].alive && stage->entities[slot].id == id))
        slot++;
    MM_CHECK(slot <= STAGE_ENTITIES_MAX);
    return slot;
}

void stage_put(struct stage *stage, uint64_t id, enum stage_type type, uint32_t owner, int32_t q,
               int32_t r)
{
    uint32_t slot = 1;
    while (stage->entities[slot].alive || stage->entities[slot].is_freed)
        MM_CHECK(++slot <= STAGE_ENTITIES_MAX);
    size_t i = stage->put_count++;
    MM_CHECK(i < CHANGES_MAX);
    stage->entities[slot] = (struct entity){.alive = true, .id = id};
    stage->put_slot[i] = slot;
    stage->put_id[i] = id;
    stage->put_type[i] = type;
    stage->put_owner[i] = owner;
    stage->put_q[i] = q;
    stage->put_r[i] = r;
}

void stage_move(struct stage *stage, uint64_t id, int32_t q, int32_t r)
{
    size_t i = stage->moved_count++;
    MM_CHECK(i < CHANGES_MAX);
    stage->moved[i] = slot_of(stage, id);
    stage->moved_q[i] = q;
    stage->moved_r[i] = r;
}

void stage_set(struct stage *stage, uint64_t id, Mmorts__Frame__Attribute attribute, int32_t value)
{
    size_t i = stage->column_count++;
    MM_CHECK(i < CHANGES_MAX);
    struct column *column = &stage->columns[i];
    mmorts__frame__attribute_column__init(&column->base);
    column->base.attribute = attribute;
    column->entity = slot_of(stage, id);
    column->value = value;
}

void stage_remove(struct stage *stage, uint64_t id)
{
    size_t i = stage->removed_count++;
    MM_CHECK(i < CHANGES_MAX);
    uint32_t slot = slot_of(stage, id);
    stage->entities[slot] = (struct entity){.is_freed = true};
    stage->removed[i] = slot;
}

void stage_tick(struct stage *stage)
{
    Mmorts__Frame__AttributeColumn *columns[CHANGES_MAX];
    for (size_t i = 0; i < stage->column_count; i++) {
        struct column *column = &stage->columns[i];
        column->base.n_entity = column->base.n_value = 1;
        column->base.entity = &column->entity;
        column->base.value = &column->value;
        columns[i] = &column->base;
    }
    Mmorts__Frame__SpawnColumns put = MMORTS__FRAME__SPAWN_COLUMNS__INIT;
    put.n_entity = put.n_id = put.n_type = put.n_owner = put.n_q = put.n_r = stage->put_count;
    put.entity = stage->put_slot;
    put.id = stage->put_id;
    put.type = stage->put_type;
    put.owner = stage->put_owner;
    put.q = stage->put_q;
    put.r = stage->put_r;
    Mmorts__Frame__PositionColumns moved = MMORTS__FRAME__POSITION_COLUMNS__INIT;
    moved.n_entity = moved.n_q = moved.n_r = stage->moved_count;
    moved.entity = stage->moved;
    moved.q = stage->moved_q;
    moved.r = stage->moved_r;
    Mmorts__Frame__TickFrame frame = MMORTS__FRAME__TICK_FRAME__INIT;
    frame.despawned = stage->removed;
    frame.n_despawned = stage->removed_count;
    frame.spawned = stage->put_count > 0 ? &put : NULL;
    frame.moved = stage->moved_count > 0 ? &moved : NULL;
    frame.columns = columns;
    frame.n_columns = stage->column_count;
    uint32_t freed[CHANGES_MAX];
    size_t freed_count = stage->removed_count;
    memcpy(freed, stage->removed, sizeof freed);
    for (uint32_t slot = 1; slot <= STAGE_ENTITIES_MAX; slot++)
        stage->entities[slot].is_freed = false;
    apply(stage, &frame);
    for (size_t i = 0; i < freed_count; i++)
        stage->entities[freed[i]].is_freed = true;
    stage->removed_count = stage->put_count = stage->moved_count = stage->column_count = 0;
}

void stage_ticks(struct stage *stage, unsigned count)
{
    while (count-- > 0)
        stage_tick(stage);
}

// --- what was told ---------------------------------------------------------------------------

struct group {
    size_t from, to;
};

static struct group group_of(const uint32_t *counts, size_t place)
{
    struct group group = {0, 0};
    for (size_t i = 0; i < place; i++)
        group.from += counts[i];
    group.to = group.from + counts[place];
    return group;
}

static unsigned count_ids(const uint64_t *ids, struct group group, uint64_t id)
{
    unsigned count = 0;
    for (size_t i = group.from; i < group.to; i++)
        count += id == 0 || ids[i] == id;
    return count;
}

// Of one entity, or of all (id 0).
static struct stage_told told(const struct stage *stage, uint32_t empire, uint64_t id)
{
    const Mmorts__Frame__VisionFrame *out = stage->out;
    struct stage_told told = {0};
    size_t place = 0;
    while (place < out->n_empire && out->empire[place] != empire)
        place++;
    if (place == out->n_empire)
        return told;
    struct group entered = group_of(out->entered_count, place);
    for (size_t i = entered.from; i < entered.to; i++)
        told.entered += id == 0 || stage->entities[out->entered[i]].id == id;
    told.hexes = id == 0 ? out->hex_count[place] : 0;
    told.left = count_ids(out->left, group_of(out->left_count, place), id);
    if (out->remembered)
        told.remembered =
            count_ids(out->remembered->id, group_of(out->remembered_count, place), id);
    told.forgotten = count_ids(out->forgotten, group_of(out->forgotten_count, place), id);
    return told;
}

struct stage_told stage_told(const struct stage *stage, uint32_t empire)
{
    return told(stage, empire, 0);
}

struct stage_told stage_told_of(const struct stage *stage, uint32_t empire, uint64_t id)
{
    return told(stage, empire, id);
}

bool stage_sees(const struct stage *stage, uint32_t empire, uint64_t id)
{
    return vision_sees_entity(stage->core, empire, id, NULL);
}

int32_t stage_recalls(const struct stage *stage, uint32_t empire, uint64_t id)
{
    struct vision_memory memory;
    return vision_recall(stage->core, empire, id, &memory) ? memory.health : 0;
}

Mmorts__Frame__Visibility stage_hex(const struct stage *stage, uint32_t empire, int32_t q,
                                    int32_t r)
{
    return vision_hex_state(stage->core, empire, (struct hex_axial){q, r});
}
