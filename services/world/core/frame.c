#include "services/world/core/state.h"

#include <string.h>

// Frames are gathered in two passes over the marks: count, then fill arrays of just that size.
// Everything is in slot order.

typedef Mmorts__Frame__TickFrame tick_frame;

struct gather {
    const struct world *world;
    struct mm_arena *arena;
    bool full; // everything instead of what is marked
    bool failed;
};

static void *take(struct gather *gather, size_t count, size_t bytes_each)
{
    void *memory = gather->failed ? NULL : mm_arena_calloc(gather->arena, count, bytes_each);
    if (!memory)
        gather->failed = true;
    return memory;
}

#define TAKE(gather, array, count) ((array) = take((gather), (count), sizeof *(array)))

// The next slot of which a component belongs into the frame: with `gather->full` everybody who has
// it, else those marked who did not come in this very tick unless `spawned_too`.
static size_t next_slot(const struct gather *gather, enum world_component_id id, size_t from,
                        bool spawned_too)
{
    const struct world_ecs *ecs = &gather->world->ecs;
    const uint64_t *bits = gather->full ? ecs->alive : ecs->columns[id].dirty;
    size_t slot = mm_bitset_next(bits, ecs->slot_end, from);
    while (slot < ecs->slot_end &&
           ((!gather->full && !spawned_too && mm_bitset_get(ecs->spawned, slot)) ||
            !world_ecs_row(ecs, id, (uint32_t)slot)))
        slot = mm_bitset_next(bits, ecs->slot_end, slot + 1);
    return slot;
}

#define EACH_SLOT(gather, id, slot, spawned_too)                                                   \
    for (size_t slot = next_slot((gather), (id), 1, (spawned_too));                                \
         slot < (gather)->world->ecs.slot_end;                                                     \
         slot = next_slot((gather), (id), slot + 1, (spawned_too)))

// --- catalogue, empires, chunks ------------------------------------------------------------------

// What is built, for what, and by whom.
static void gather_building(struct gather *gather, Mmorts__Frame__TypeColumns *types)
{
    const struct world_rules *rules = &gather->world->rules;
    size_t n = rules->type_count, costs = 0, builds = 0;
    for (size_t i = 0; i < n; i++)
        for (uint32_t j = 0; j < WORLD_TYPES_MAX; j++) {
            costs += j < WORLD_ITEMS_MAX && rules->types[i].cost[j] > 0;
            builds += world_type_builds(&rules->types[i], j);
        }
    TAKE(gather, types->build_ticks, n);
    TAKE(gather, types->cost_count, n);
    TAKE(gather, types->builds_count, n);
    TAKE(gather, types->cost_item, costs);
    TAKE(gather, types->cost_amount, costs);
    TAKE(gather, types->builds, builds);
    if (gather->failed)
        return;
    types->n_build_ticks = types->n_cost_count = types->n_builds_count = n;
    for (size_t i = 0; i < n; i++) {
        const struct world_type *t = &rules->types[i];
        types->build_ticks[i] = t->build_ticks;
        for (uint32_t item = 0; item < WORLD_ITEMS_MAX; item++) {
            if (t->cost[item] == 0)
                continue;
            types->cost_count[i]++;
            types->cost_item[types->n_cost_item++] = item;
            types->cost_amount[types->n_cost_amount++] = t->cost[item];
        }
        for (uint32_t j = 0; j < rules->type_count; j++) {
            if (!world_type_builds(t, j))
                continue;
            types->builds_count[i]++;
            types->builds[types->n_builds++] = j;
        }
    }
}

static Mmorts__Frame__Catalogue *gather_catalogue(struct gather *gather)
{
    const struct world_rules *rules = &gather->world->rules;
    Mmorts__Frame__Catalogue *catalogue = take(gather, 1, sizeof *catalogue);
    Mmorts__Frame__TypeColumns *types = take(gather, 1, sizeof *types);
    Mmorts__Frame__TerrainColumns *terrains = take(gather, 1, sizeof *terrains);
    if (gather->failed)
        return NULL;
    mmorts__frame__catalogue__init(catalogue);
    mmorts__frame__type_columns__init(types);
    mmorts__frame__terrain_columns__init(terrains);
    size_t n = rules->type_count, m = rules->terrain_count;
    TAKE(gather, types->name, n);
    TAKE(gather, types->kind, n);
    TAKE(gather, types->sight_hexes, n);
    TAKE(gather, types->sight_type, n);
    TAKE(gather, types->health_max, n);
    TAKE(gather, types->ticks_per_hex, n);
    TAKE(gather, types->flags, n);
    TAKE(gather, types->yields, n);
    gather_building(gather, types);
    TAKE(gather, catalogue->items, rules->item_count);
    TAKE(gather, terrains->name, m);
    TAKE(gather, terrains->move_cost_percent, m);
    TAKE(gather, terrains->sight_cost, m);
    if (gather->failed)
        return NULL;
    types->n_name = types->n_kind = types->n_sight_hexes = types->n_sight_type = n;
    types->n_health_max = types->n_ticks_per_hex = types->n_flags = types->n_yields = n;
    for (size_t i = 0; i < n; i++) {
        const struct world_type *t = &rules->types[i];
        types->name[i] = mm_arena_strndup(gather->arena, t->name, strlen(t->name));
        types->yields[i] = mm_arena_strndup(gather->arena, t->yields, strlen(t->yields));
        gather->failed |= !types->name[i] || !types->yields[i];
        types->kind[i] = (Mmorts__Frame__Kind)t->kind;
        types->sight_hexes[i] = t->sight_hexes;
        types->sight_type[i] = (Mmorts__Frame__SightType)t->sight_type;
        types->health_max[i] = t->health_max;
        types->ticks_per_hex[i] = t->ticks_per_hex;
        types->flags[i] = t->flags;
    }
    terrains->n_name = terrains->n_move_cost_percent = terrains->n_sight_cost = m;
    for (size_t i = 0; i < m; i++) {
        const struct world_terrain *t = &rules->terrains[i];
        terrains->name[i] = mm_arena_strndup(gather->arena, t->name, strlen(t->name));
        gather->failed |= !terrains->name[i];
        terrains->move_cost_percent[i] = t->move_cost_percent;
        terrains->sight_cost[i] = t->sight_cost;
    }
    for (size_t i = 0; i < rules->item_count; i++) {
        catalogue->items[i] =
            mm_arena_strndup(gather->arena, rules->items[i], strlen(rules->items[i]));
        gather->failed |= !catalogue->items[i];
    }
    catalogue->n_items = rules->item_count;
    catalogue->types = types;
    catalogue->terrains = terrains;
    catalogue->chunk_radius = rules->map.chunk_radius;
    catalogue->tick_rate_hz = WORLD_TICK_RATE_HZ;
    return gather->failed ? NULL : catalogue;
}

Mmorts__Frame__Catalogue *world_catalogue(const struct world *world, struct mm_arena *arena)
{
    struct gather gather = {.world = world, .arena = arena};
    return gather_catalogue(&gather);
}

static void gather_empires(struct gather *gather, tick_frame *frame)
{
    const struct world *world = gather->world;
    size_t first = gather->full ? 0 : world->empires_before;
    size_t count = world->empires.count - first;
    if (count == 0 || gather->failed)
        return;
    Mmorts__Frame__EmpireColumns *columns = take(gather, 1, sizeof *columns);
    if (gather->failed)
        return;
    mmorts__frame__empire_columns__init(columns);
    TAKE(gather, columns->empire, count);
    TAKE(gather, columns->id, count);
    TAKE(gather, columns->player_id, count);
    TAKE(gather, columns->name, count);
    TAKE(gather, columns->home_q, count);
    TAKE(gather, columns->home_r, count);
    if (gather->failed)
        return;
    columns->n_empire = columns->n_id = columns->n_player_id = count;
    columns->n_name = columns->n_home_q = columns->n_home_r = count;
    for (size_t i = 0; i < count; i++) {
        struct world_empire_view view;
        MM_CHECK(world_empire(world, (uint32_t)(first + i + 1), &view));
        columns->empire[i] = view.number;
        columns->id[i] = view.id;
        columns->player_id[i] = view.player_id;
        columns->name[i] = mm_arena_strndup(gather->arena, view.name, strlen(view.name));
        gather->failed |= !columns->name[i];
        columns->home_q[i] = view.home.q;
        columns->home_r[i] = view.home.r;
    }
    frame->empires = columns;
}

// chunks[i] are chunk indexes.
static Mmorts__Frame__ChunkColumns *gather_chunks(struct gather *gather, const uint32_t *chunks,
                                                  size_t count)
{
    const struct world_map *map = &gather->world->map;
    Mmorts__Frame__ChunkColumns *columns = take(gather, 1, sizeof *columns);
    if (gather->failed)
        return NULL;
    mmorts__frame__chunk_columns__init(columns);
    size_t cells = map->tiling.cells;
    TAKE(gather, columns->q, count);
    TAKE(gather, columns->r, count);
    TAKE(gather, columns->cells.data, count * cells);
    if (gather->failed)
        return NULL;
    columns->n_q = columns->n_r = count;
    columns->cells.len = count * cells;
    columns->version = map->version;
    for (size_t i = 0; i < count; i++) {
        struct hex_axial center = hex_chunk_center(&map->tiling, map->chunks[chunks[i]]);
        columns->q[i] = center.q;
        columns->r[i] = center.r;
        memcpy(columns->cells.data + i * cells, map->terrain + chunks[i] * cells, cells);
    }
    return columns;
}

static void gather_new_chunks(struct gather *gather, tick_frame *frame)
{
    uint32_t first = gather->full ? 0 : gather->world->chunks_before;
    uint32_t count = gather->world->map.chunk_count - first;
    if (count == 0)
        return;
    uint32_t *chunks;
    TAKE(gather, chunks, count);
    for (uint32_t i = 0; !gather->failed && i < count; i++)
        chunks[i] = first + i;
    if (!gather->failed)
        frame->chunks = gather_chunks(gather, chunks, count);
}

Mmorts__Frame__ChunkColumns *world_chunk_columns(const struct world *world,
                                                 const struct hex_axial *hexes, size_t count,
                                                 struct mm_arena *arena)
{
    struct gather gather = {.world = world, .arena = arena};
    uint32_t *chunks;
    TAKE(&gather, chunks, count);
    size_t found = 0;
    for (size_t i = 0; !gather.failed && i < count; i++) {
        if (!hex_in_bounds(hexes[i]))
            continue;
        uint32_t chunk = world_map_chunk(&world->map, hex_chunk_of(&world->map.tiling, hexes[i]));
        bool known = chunk == WORLD_CHUNK_NONE;
        for (size_t j = 0; j < found; j++)
            known |= chunks[j] == chunk;
        if (!known)
            chunks[found++] = chunk;
    }
    return gather.failed ? NULL : gather_chunks(&gather, chunks, found);
}

// --- entities ------------------------------------------------------------------------------------

static void gather_despawned(struct gather *gather, tick_frame *frame)
{
    const struct world_ecs *ecs = &gather->world->ecs;
    if (gather->full || ecs->despawned.count == 0)
        return;
    TAKE(gather, frame->despawned, ecs->despawned.count);
    if (gather->failed)
        return;
    for (size_t i = 0; i < ecs->despawned.count; i++)
        if (!(ecs->despawned.items[i] & WORLD_NEVER_SEEN))
            frame->despawned[frame->n_despawned++] = ecs->despawned.items[i];
}

static void gather_spawned(struct gather *gather, tick_frame *frame)
{
    const struct world *world = gather->world;
    const uint64_t *bits = gather->full ? world->ecs.alive : world->ecs.spawned;
    size_t end = world->ecs.slot_end, count = mm_bitset_count(bits, end), i = 0;
    if (count == 0)
        return;
    Mmorts__Frame__SpawnColumns *columns = take(gather, 1, sizeof *columns);
    if (gather->failed)
        return;
    mmorts__frame__spawn_columns__init(columns);
    TAKE(gather, columns->entity, count);
    TAKE(gather, columns->id, count);
    TAKE(gather, columns->type, count);
    TAKE(gather, columns->owner, count);
    TAKE(gather, columns->q, count);
    TAKE(gather, columns->r, count);
    if (gather->failed)
        return;
    for (size_t slot = mm_bitset_next(bits, end, 0); slot < end;
         slot = mm_bitset_next(bits, end, slot + 1), i++) {
        struct world_entity_view view;
        MM_CHECK(world_entity_at_slot(world, (uint32_t)slot, &view));
        columns->entity[i] = view.slot;
        columns->id[i] = view.id;
        columns->type[i] = view.type;
        columns->owner[i] = view.owner;
        columns->q[i] = view.at.q;
        columns->r[i] = view.at.r;
    }
    columns->n_entity = columns->n_id = columns->n_type = count;
    columns->n_owner = columns->n_q = columns->n_r = count;
    frame->spawned = columns;
}

static void gather_moved(struct gather *gather, tick_frame *frame)
{
    const struct world_ecs *ecs = &gather->world->ecs;
    size_t most = ecs->columns[WORLD_PLACE].dirty_count, count = 0;
    if (gather->full || most == 0)
        return;
    Mmorts__Frame__PositionColumns *columns = take(gather, 1, sizeof *columns);
    if (gather->failed)
        return;
    mmorts__frame__position_columns__init(columns);
    TAKE(gather, columns->entity, most);
    TAKE(gather, columns->q, most);
    TAKE(gather, columns->r, most);
    if (gather->failed)
        return;
    EACH_SLOT(gather, WORLD_PLACE, slot, false)
    {
        const struct world_place *place = WORLD_GET(ecs, WORLD_PLACE, world_place, slot);
        columns->entity[count] = (uint32_t)slot;
        columns->q[count] = place->q;
        columns->r[count++] = place->r;
    }
    columns->n_entity = columns->n_q = columns->n_r = count;
    if (count > 0)
        frame->moved = columns;
}

// Which component an attribute is in, and what an entity has that was never told otherwise.
struct attribute {
    Mmorts__Frame__Attribute attribute;
    enum world_component_id component;
    int32_t (*value)(const struct world *world, uint32_t slot);
    int32_t (*fallback)(const struct world *world, uint32_t slot);
};

static int32_t value_health(const struct world *world, uint32_t slot)
{
    return WORLD_GET(&world->ecs, WORLD_HEALTH, world_health, slot)->value;
}
static int32_t fallback_health(const struct world *world, uint32_t slot)
{
    const struct world_identity *identity =
        WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, slot);
    return (int32_t)world->rules.types[identity->type].health_max;
}
static int32_t value_owner(const struct world *world, uint32_t slot)
{
    return (int32_t)WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, slot)->owner;
}
static int32_t value_activity(const struct world *world, uint32_t slot)
{
    return WORLD_GET(&world->ecs, WORLD_ACTIVITY, world_activity, slot)->value;
}
static int32_t value_amount(const struct world *world, uint32_t slot)
{
    return WORLD_GET(&world->ecs, WORLD_AMOUNT, world_amount, slot)->value;
}
static int32_t value_target_q(const struct world *world, uint32_t slot)
{
    return WORLD_GET(&world->ecs, WORLD_ROUTE, world_route, slot)->goal_q;
}
static int32_t value_target_r(const struct world *world, uint32_t slot)
{
    return WORLD_GET(&world->ecs, WORLD_ROUTE, world_route, slot)->goal_r;
}

static int32_t value_carried(const struct world *world, uint32_t slot)
{
    return WORLD_GET(&world->ecs, WORLD_CARGO, world_cargo, slot)->amount;
}

static int32_t value_sight(const struct world *world, uint32_t slot)
{
    return !world_is_blind(world, slot);
}
static int32_t fallback_sight(const struct world *world, uint32_t slot)
{
    (void)world;
    (void)slot;
    return 1;
}

static int32_t value_progress(const struct world *world, uint32_t slot)
{
    const struct world_site *site = WORLD_GET(&world->ecs, WORLD_SITE, world_site, slot);
    return world_site_open(site) ? (int32_t)((uint64_t)site->work * 1000 / site->needed) : 1000;
}
static int32_t fallback_progress(const struct world *world, uint32_t slot)
{
    (void)world;
    (void)slot;
    return 1000;
}

static int32_t value_rally_q(const struct world *world, uint32_t slot)
{
    return WORLD_GET(&world->ecs, WORLD_RALLY, world_rally, slot)->q;
}
static int32_t value_rally_r(const struct world *world, uint32_t slot)
{
    return WORLD_GET(&world->ecs, WORLD_RALLY, world_rally, slot)->r;
}

static int32_t value_rank(const struct world *world, uint32_t slot)
{
    return WORLD_GET(&world->ecs, WORLD_VETERAN, world_veteran, slot)->rank;
}

static const struct attribute attributes[] = {
    {MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_HEALTH, WORLD_HEALTH, value_health, fallback_health},
    // The spawn tells whose it is.
    {MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_OWNER, WORLD_IDENTITY, value_owner, value_owner},
    {MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_ACTIVITY, WORLD_ACTIVITY, value_activity, NULL},
    {MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_AMOUNT, WORLD_AMOUNT, value_amount, NULL},
    {MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_CARRIED, WORLD_CARGO, value_carried, NULL},
    {MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_SIGHT_ENABLED, WORLD_SIGHT, value_sight, fallback_sight},
    {MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_PROGRESS, WORLD_SITE, value_progress, fallback_progress},
    {MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_RANK, WORLD_VETERAN, value_rank, NULL},
    // A target has no default: where there is one it is told, be it 0.
    {MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_TARGET_Q, WORLD_ROUTE, value_target_q, NULL},
    {MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_TARGET_R, WORLD_ROUTE, value_target_r, NULL},
    {MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_RALLY_Q, WORLD_RALLY, value_rally_q, NULL},
    {MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_RALLY_R, WORLD_RALLY, value_rally_r, NULL},
};
enum { ATTRIBUTES = sizeof attributes / sizeof attributes[0] };

// Fresh entities, and everybody in a snapshot, are told of only where they differ from the default.
static bool told(const struct gather *gather, const struct attribute *attribute, uint32_t slot,
                 int32_t value)
{
    if (attribute->component == WORLD_ROUTE || attribute->component == WORLD_RALLY)
        return true;
    if (attribute->component == WORLD_VETERAN)
        return value != 0; // a rank is never lost while the session runs
    if (!gather->full && !mm_bitset_get(gather->world->ecs.spawned, slot))
        return true;
    return value != (attribute->fallback ? attribute->fallback(gather->world, slot) : 0);
}

static Mmorts__Frame__AttributeColumn *gather_attribute(struct gather *gather,
                                                        const struct attribute *attribute)
{
    size_t count = 0;
    EACH_SLOT(gather, attribute->component, slot, true)
    {
        int32_t value = attribute->value(gather->world, (uint32_t)slot);
        count += told(gather, attribute, (uint32_t)slot, value);
    }
    if (count == 0)
        return NULL;
    Mmorts__Frame__AttributeColumn *column = take(gather, 1, sizeof *column);
    if (gather->failed)
        return NULL;
    mmorts__frame__attribute_column__init(column);
    column->attribute = attribute->attribute;
    TAKE(gather, column->entity, count);
    TAKE(gather, column->value, count);
    if (gather->failed)
        return NULL;
    EACH_SLOT(gather, attribute->component, slot, true)
    {
        int32_t value = attribute->value(gather->world, (uint32_t)slot);
        if (!told(gather, attribute, (uint32_t)slot, value))
            continue;
        column->entity[column->n_entity++] = (uint32_t)slot;
        column->value[column->n_value++] = value;
    }
    return column;
}

static void gather_attributes(struct gather *gather, tick_frame *frame)
{
    TAKE(gather, frame->columns, ATTRIBUTES);
    for (int i = 0; !gather->failed && i < ATTRIBUTES; i++) {
        Mmorts__Frame__AttributeColumn *column = gather_attribute(gather, &attributes[i]);
        if (column)
            frame->columns[frame->n_columns++] = column;
    }
}

// --- events --------------------------------------------------------------------------------------

static void gather_events(struct gather *gather, tick_frame *frame)
{
    size_t count = gather->world->events.count;
    if (gather->full || count == 0)
        return;
    Mmorts__Frame__EventColumns *columns = take(gather, 1, sizeof *columns);
    if (gather->failed)
        return;
    mmorts__frame__event_columns__init(columns);
    TAKE(gather, columns->kind, count);
    TAKE(gather, columns->entity, count);
    TAKE(gather, columns->other, count);
    TAKE(gather, columns->value, count);
    TAKE(gather, columns->detail, count);
    if (gather->failed)
        return;
    columns->n_kind = columns->n_entity = columns->n_other = count;
    columns->n_value = columns->n_detail = count;
    for (size_t i = 0; i < count; i++) {
        const struct world_event *event = &gather->world->events.items[i];
        columns->kind[i] = (Mmorts__Frame__EventKind)event->kind;
        columns->entity[i] = event->entity;
        columns->other[i] = event->other;
        columns->value[i] = event->value;
        columns->detail[i] = event->detail;
    }
    frame->events = columns;
}

// --- deposits ------------------------------------------------------------------------------------

static void put_deposit(Mmorts__Frame__DepositColumns *columns, const struct world *world,
                        uint32_t empire, uint32_t index)
{
    const struct world_deposit *deposit = &world->empires.items[empire - 1].deposits[index];
    columns->empire[columns->n_empire++] = empire;
    columns->type[columns->n_type++] = deposit->type;
    columns->total[columns->n_total++] = deposit->total;
}

static void gather_deposits(struct gather *gather, tick_frame *frame)
{
    const struct world *world = gather->world;
    size_t count = gather->full ? 0 : world->deposited.count;
    for (size_t i = 0; gather->full && i < world->empires.count; i++)
        count += world->empires.items[i].deposit_count;
    if (count == 0)
        return;
    Mmorts__Frame__DepositColumns *columns = take(gather, 1, sizeof *columns);
    if (gather->failed)
        return;
    mmorts__frame__deposit_columns__init(columns);
    TAKE(gather, columns->empire, count);
    TAKE(gather, columns->type, count);
    TAKE(gather, columns->total, count);
    if (gather->failed)
        return;
    for (size_t i = 0; !gather->full && i < count; i++)
        put_deposit(columns, world, world->deposited.items[i].empire,
                    world->deposited.items[i].index);
    for (uint32_t e = 0; gather->full && e < world->empires.count; e++)
        for (uint32_t d = 0; d < world->empires.items[e].deposit_count; d++)
            put_deposit(columns, world, e + 1, d);
    frame->deposits = columns;
}

// --- refunds, announcements ----------------------------------------------------------------------

static void put_refunds(Mmorts__Frame__RefundColumns *columns, const struct world *world,
                        uint32_t empire)
{
    for (uint32_t item = 0; item < world->rules.item_count; item++) {
        uint64_t total = world->empires.items[empire - 1].refunds[item];
        if (total == 0)
            continue;
        columns->empire[columns->n_empire++] = empire;
        columns->item[columns->n_item++] = item;
        columns->total[columns->n_total++] = total;
    }
}

static void gather_refunds(struct gather *gather, tick_frame *frame)
{
    const struct world *world = gather->world;
    size_t empires = gather->full ? world->empires.count : world->refunded.count;
    size_t most = empires * world->rules.item_count;
    if (most == 0)
        return;
    Mmorts__Frame__RefundColumns *columns = take(gather, 1, sizeof *columns);
    if (gather->failed)
        return;
    mmorts__frame__refund_columns__init(columns);
    TAKE(gather, columns->empire, most);
    TAKE(gather, columns->item, most);
    TAKE(gather, columns->total, most);
    for (size_t i = 0; !gather->failed && i < empires; i++)
        put_refunds(columns, world, gather->full ? (uint32_t)i + 1 : world->refunded.items[i]);
    if (!gather->failed && columns->n_empire > 0)
        frame->refunds = columns;
}

static void gather_announcements(struct gather *gather, tick_frame *frame)
{
    size_t count = gather->full ? 0 : gather->world->announcements.count;
    if (count == 0)
        return;
    TAKE(gather, frame->announcements, count);
    for (size_t i = 0; !gather->failed && i < count; i++) {
        const char *text = gather->world->announcements.items[i].text;
        frame->announcements[i] = mm_arena_strndup(gather->arena, text, strlen(text));
        gather->failed |= !frame->announcements[i];
    }
    frame->n_announcements = count;
}

// --- the whole -----------------------------------------------------------------------------------

static tick_frame *gather_frame(struct gather *gather)
{
    const struct world *world = gather->world;
    tick_frame *frame = take(gather, 1, sizeof *frame);
    if (!frame)
        return NULL;
    mmorts__frame__tick_frame__init(frame);
    frame->tick = world->tick;
    frame->state_hash = world_state_hash(world);
    frame->snapshot = gather->full;
    frame->state = world->paused ? MMORTS__FRAME__SESSION_STATE__SESSION_STATE_PAUSED
                                 : MMORTS__FRAME__SESSION_STATE__SESSION_STATE_RUNNING;
    if (gather->full)
        frame->catalogue = gather_catalogue(gather);
    gather_empires(gather, frame);
    gather_new_chunks(gather, frame);
    gather_despawned(gather, frame);
    gather_spawned(gather, frame);
    gather_moved(gather, frame);
    gather_attributes(gather, frame);
    gather_events(gather, frame);
    gather_deposits(gather, frame);
    gather_refunds(gather, frame);
    gather_announcements(gather, frame);
    return gather->failed ? NULL : frame;
}

Mmorts__Frame__TickFrame *world_frame(const struct world *world, struct mm_arena *arena)
{
    struct gather gather = {.world = world, .arena = arena};
    return gather_frame(&gather);
}

Mmorts__Frame__TickFrame *world_snapshot_frame(const struct world *world, struct mm_arena *arena)
{
    struct gather gather = {.world = world, .arena = arena, .full = true};
    return gather_frame(&gather);
}
