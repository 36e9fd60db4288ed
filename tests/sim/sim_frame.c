#include "tests/sim/sim_internal.h"

#include "services/world/core/state.h"

#include <stdlib.h>
#include <string.h>

// World's frames with the simulator's own attributes in them, and the truth: what there is, taken
// from world's state itself, not from what it publishes.

static const Mmorts__Frame__Attribute numbers[SIM_ATTRIBUTES] = {
    [SIM_HEALTH] = MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_HEALTH,
    [SIM_OWNER] = MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_OWNER,
    [SIM_PROGRESS] = MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_PROGRESS,
    [SIM_CARRIED] = MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_CARRIED,
};

enum { PRUNE_TICKS = 8 };

// --- the overlay ---------------------------------------------------------------------------------

static const struct sim_overlay_row *known_row(const struct sim_overlay *overlay, uint64_t id)
{
    for (uint32_t i = 0; i < overlay->count; i++)
        if (overlay->rows[i].id == id)
            return &overlay->rows[i];
    return NULL;
}

static int32_t value_of(const struct sim_overlay_row *row, enum sim_attribute what,
                        int32_t fallback)
{
    return row && row->mask >> what & 1 ? row->value[what] : fallback;
}

static struct sim_overlay_row *row_of(struct sim_overlay *overlay, uint64_t id)
{
    for (uint32_t i = 0; i < overlay->count; i++)
        if (overlay->rows[i].id == id)
            return &overlay->rows[i];
    return NULL;
}

void sim_overlay_apply(struct sim_overlay *overlay, const struct sim_op *ops, uint32_t count,
                       const struct world *core)
{
    struct world_entity_view view;
    // Rows of what is gone do no harm, ids being used once, but for the room they take.
    for (uint32_t i = world_tick(core) % PRUNE_TICKS == 0 ? overlay->count : 0; i-- > 0;)
        if (!world_find_entity(core, overlay->rows[i].id, &view))
            overlay->rows[i] = overlay->rows[--overlay->count];
    for (uint32_t i = 0; i < count; i++) {
        struct sim_overlay_row *row = row_of(overlay, ops[i].id);
        if (!row) {
            if (overlay->count == SIM_ENTITIES)
                abort();
            row = &overlay->rows[overlay->count++];
            *row = (struct sim_overlay_row){.id = ops[i].id};
        }
        row->mask |= 1u << ops[i].attribute;
        row->value[ops[i].attribute] = ops[i].value;
    }
}

// --- frames --------------------------------------------------------------------------------------

static void add(Mmorts__Frame__TickFrame *frame, struct mm_arena *arena, enum sim_attribute what,
                uint32_t slot, int32_t value)
{
    Mmorts__Frame__AttributeColumn *column = NULL;
    for (size_t i = 0; i < frame->n_columns; i++)
        if (frame->columns[i]->attribute == numbers[what])
            column = frame->columns[i];
    if (!column) {
        column = mm_arena_calloc(arena, 1, sizeof *column);
        mmorts__frame__attribute_column__init(column);
        column->attribute = numbers[what];
        Mmorts__Frame__AttributeColumn **columns =
            mm_arena_calloc(arena, frame->n_columns + 1, sizeof *columns);
        for (size_t i = 0; i < frame->n_columns; i++)
            columns[i] = frame->columns[i];
        columns[frame->n_columns++] = column;
        frame->columns = columns;
    }
    for (size_t i = 0; i < column->n_entity; i++) {
        if (column->entity[i] == slot) {
            column->value[i] = value;
            return;
        }
    }
    size_t n = column->n_entity + 1;
    uint32_t *entities = mm_arena_calloc(arena, n, sizeof *entities);
    int32_t *values = mm_arena_calloc(arena, n, sizeof *values);
    for (size_t i = 0; i < n - 1; i++) {
        entities[i] = column->entity[i];
        values[i] = column->value[i];
    }
    entities[n - 1] = slot;
    values[n - 1] = value;
    column->entity = entities;
    column->value = values;
    column->n_entity = column->n_value = n;
}

struct sim_bytes *sim_frame_pack(const struct sim_world *world, const struct sim_op *ops,
                                 uint32_t count, bool snapshot, struct mm_arena *arena)
{
    Mmorts__Frame__TickFrame *frame =
        snapshot ? world_snapshot_frame(world->core, arena) : world_frame(world->core, arena);
    struct world_entity_view view;
    for (uint32_t i = 0; i < count; i++)
        if (world_find_entity(world->core, ops[i].id, &view))
            add(frame, arena, ops[i].attribute, view.slot, ops[i].value);
    for (uint32_t i = 0; snapshot && i < world->overlay.count; i++) {
        const struct sim_overlay_row *row = &world->overlay.rows[i];
        if (!world_find_entity(world->core, row->id, &view))
            continue;
        for (unsigned what = 0; what < SIM_ATTRIBUTES; what++)
            if (row->mask >> what & 1)
                add(frame, arena, (enum sim_attribute)what, view.slot, row->value[what]);
    }
    return sim_bytes_of(&frame->base);
}

// --- the truth -----------------------------------------------------------------------------------

// From the state's row itself, not by the functions that world and its frames go by.
static void take_sight(const struct world_ecs *ecs, const struct sim_type *type,
                       struct sim_entity *out)
{
    static const struct world_sight none;
    const struct world_sight *row = WORLD_GET(ecs, WORLD_SIGHT, world_sight, out->slot);
    const struct world_sight *own = row ? row : &none;
    out->sight_enabled = own->off == 0;
    out->sight = own->own & 1 ? own->hexes : (int32_t)type->sight;
    out->sense = own->own & 2 ? own->type : type->sense;
    out->stealthed = own->own & 4 ? own->stealthed != 0 : (type->flags & 8) != 0;
}

static void take_entity(const struct sim_world *world, const struct world_entity_view *view,
                        struct sim_entity *out)
{
    const struct sim_overlay_row *overlaid = known_row(&world->overlay, view->id);
    const struct sim_type *type = &sim_types[view->type];
    const struct world_ecs *ecs = &world->core->ecs;
    *out = (struct sim_entity){
        .id = view->id,
        .slot = view->slot,
        .type = view->type,
        .q = view->at.q,
        .r = view->at.r,
        .activity = view->activity,
        .owner = (uint32_t)value_of(overlaid, SIM_OWNER, (int32_t)view->owner),
        .health = value_of(overlaid, SIM_HEALTH, view->health),
        .progress = value_of(overlaid, SIM_PROGRESS, 1000),
        .carried = value_of(overlaid, SIM_CARRIED, 0),
    };
    take_sight(ecs, type, out);
    const struct world_amount *amount = WORLD_GET(ecs, WORLD_AMOUNT, world_amount, view->slot);
    const struct world_route *route = WORLD_GET(ecs, WORLD_ROUTE, world_route, view->slot);
    const struct world_veteran *veteran = WORLD_GET(ecs, WORLD_VETERAN, world_veteran, view->slot);
    out->amount = amount ? amount->value : 0;
    out->rank = veteran ? veteran->rank : 0;
    out->target_q = route ? route->goal_q : 0;
    out->target_r = route ? route->goal_r : 0;
}

static void take_map(struct sim *sim, struct sim_moment *moment)
{
    static uint64_t versions; // of all maps of all runs
    const struct world_map *map = &sim->world.core->map;
    sim->map_version = ++versions;
    memset(moment->map, 0, sizeof moment->map);
    for (uint32_t cell = 0; cell < world_map_cell_count(map); cell++) {
        struct hex_axial at = world_map_hex(map, cell);
        if (!sim_on_map(at.q, at.r))
            abort(); // the table is too small for these rules
        moment->map[at.r + SIM_HALF] |= UINT64_C(1) << (at.q + SIM_HALF);
        sim->terrain[at.r + SIM_HALF][at.q + SIM_HALF] = map->terrain[cell];
    }
}

void sim_truth_take(struct sim *sim, struct sim_moment *moment)
{
    const struct sim_world *world = &sim->world;
    moment->tick = world_tick(world->core);
    moment->count = 0;
    moment->lineage = 0;
    struct world_entity_view view;
    uint32_t cursor = 0;
    while (world_next_entity(world->core, &cursor, &view)) {
        if (moment->count == SIM_ENTITIES)
            abort();
        take_entity(world, &view, &moment->entities[moment->count++]);
    }
    if (sim->map_chunks != world_chunk_count(world->core)) {
        take_map(sim, moment);
        sim->map_chunks = world_chunk_count(world->core);
        memcpy(sim->map, moment->map, sizeof sim->map);
    } else {
        memcpy(moment->map, sim->map, sizeof moment->map);
    }
    moment->map_version = sim->map_version;
}
