#include "services/world/core/frame.h"

#include <string.h>

// --- catalogue -----------------------------------------------------------------------------------

// What is built, for what, and by whom.
static void gather_building(struct world_frame_maker *maker, Mmorts__Frame__TypeColumns *types)
{
    const struct world_rules *rules = &maker->world->rules;
    size_t n = rules->type_count, costs = 0, builds = 0;
    for (size_t i = 0; i < n; i++)
        for (uint32_t j = 0; j < WORLD_TYPES_MAX; j++) {
            costs += j < WORLD_ITEMS_MAX && rules->types[i].cost[j] > 0;
            builds += world_type_builds(&rules->types[i], j);
        }
    WORLD_FRAME_TAKE(maker, types->build_ticks, n);
    WORLD_FRAME_TAKE(maker, types->cost_count, n);
    WORLD_FRAME_TAKE(maker, types->builds_count, n);
    WORLD_FRAME_TAKE(maker, types->cost_item, costs);
    WORLD_FRAME_TAKE(maker, types->cost_amount, costs);
    WORLD_FRAME_TAKE(maker, types->builds, builds);
    if (maker->failed)
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

Mmorts__Frame__Catalogue *world_frame_catalogue(struct world_frame_maker *maker)
{
    const struct world_rules *rules = &maker->world->rules;
    Mmorts__Frame__Catalogue *catalogue = world_frame_take(maker, 1, sizeof *catalogue);
    Mmorts__Frame__TypeColumns *types = world_frame_take(maker, 1, sizeof *types);
    Mmorts__Frame__TerrainColumns *terrains = world_frame_take(maker, 1, sizeof *terrains);
    Mmorts__Frame__SightRules *sight = world_frame_take(maker, 1, sizeof *sight);
    if (maker->failed)
        return NULL;
    mmorts__frame__catalogue__init(catalogue);
    mmorts__frame__sight_rules__init(sight);
    mmorts__frame__type_columns__init(types);
    mmorts__frame__terrain_columns__init(terrains);
    size_t n = rules->type_count, m = rules->terrain_count;
    WORLD_FRAME_TAKE(maker, types->name, n);
    WORLD_FRAME_TAKE(maker, types->kind, n);
    WORLD_FRAME_TAKE(maker, types->sight_hexes, n);
    WORLD_FRAME_TAKE(maker, types->sight_type, n);
    WORLD_FRAME_TAKE(maker, types->health_max, n);
    WORLD_FRAME_TAKE(maker, types->ticks_per_hex, n);
    WORLD_FRAME_TAKE(maker, types->flags, n);
    WORLD_FRAME_TAKE(maker, types->yields, n);
    gather_building(maker, types);
    WORLD_FRAME_TAKE(maker, catalogue->items, rules->item_count);
    WORLD_FRAME_TAKE(maker, terrains->name, m);
    WORLD_FRAME_TAKE(maker, terrains->move_cost_percent, m);
    WORLD_FRAME_TAKE(maker, terrains->sight_cost, m);
    if (maker->failed)
        return NULL;
    types->n_name = types->n_kind = types->n_sight_hexes = types->n_sight_type = n;
    types->n_health_max = types->n_ticks_per_hex = types->n_flags = types->n_yields = n;
    for (size_t i = 0; i < n; i++) {
        const struct world_type *t = &rules->types[i];
        types->name[i] = mm_arena_strndup(maker->arena, t->name, strlen(t->name));
        types->yields[i] = mm_arena_strndup(maker->arena, t->yields, strlen(t->yields));
        maker->failed |= !types->name[i] || !types->yields[i];
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
        terrains->name[i] = mm_arena_strndup(maker->arena, t->name, strlen(t->name));
        maker->failed |= !terrains->name[i];
        terrains->move_cost_percent[i] = t->move_cost_percent;
        terrains->sight_cost[i] = t->sight_cost;
    }
    for (size_t i = 0; i < rules->item_count; i++) {
        catalogue->items[i] =
            mm_arena_strndup(maker->arena, rules->items[i], strlen(rules->items[i]));
        maker->failed |= !catalogue->items[i];
    }
    catalogue->n_items = rules->item_count;
    catalogue->types = types;
    catalogue->terrains = terrains;
    catalogue->chunk_radius = rules->map.chunk_radius;
    catalogue->tick_rate_hz = WORLD_TICK_RATE_HZ;
    catalogue->sight = sight;
    sight->fog_lifted = !rules->sight.fog_of_war;
    sight->terrain_blocks = rules->sight.terrain_blocks != 0;
    return maker->failed ? NULL : catalogue;
}

Mmorts__Frame__Catalogue *world_catalogue(const struct world *world, struct mm_arena *arena)
{
    struct world_frame_maker maker = {.world = world, .arena = arena};
    return world_frame_catalogue(&maker);
}

// --- chunks --------------------------------------------------------------------------------------

Mmorts__Frame__ChunkColumns *world_frame_chunks(struct world_frame_maker *maker,
                                                const uint32_t *chunks, size_t count)
{
    const struct world_map *map = &maker->world->map;
    Mmorts__Frame__ChunkColumns *columns = world_frame_take(maker, 1, sizeof *columns);
    if (maker->failed)
        return NULL;
    mmorts__frame__chunk_columns__init(columns);
    size_t cells = map->tiling.cells;
    WORLD_FRAME_TAKE(maker, columns->q, count);
    WORLD_FRAME_TAKE(maker, columns->r, count);
    WORLD_FRAME_TAKE(maker, columns->version, count);
    WORLD_FRAME_TAKE(maker, columns->cells.data, count * cells);
    if (maker->failed)
        return NULL;
    columns->n_q = columns->n_r = count;
    columns->cells.len = count * cells;
    columns->n_version = count;
    for (size_t i = 0; i < count; i++) {
        struct hex_axial center = hex_chunk_center(&map->tiling, map->chunks[chunks[i]]);
        columns->q[i] = center.q;
        columns->r[i] = center.r;
        columns->version[i] = world_map_version(map, chunks[i]);
        memcpy(columns->cells.data + i * cells, map->terrain + chunks[i] * cells, cells);
    }
    return columns;
}

static bool is_among(const uint32_t *chunks, size_t count, uint32_t chunk)
{
    for (size_t i = 0; i < count; i++)
        if (chunks[i] == chunk)
            return true;
    return false;
}

Mmorts__Frame__ChunkColumns *world_chunk_columns(const struct world *world,
                                                 const struct world_chunk_wish *wishes,
                                                 size_t count, struct mm_arena *arena,
                                                 uint32_t *unchanged, size_t *unchanged_count)
{
    struct world_frame_maker maker = {.world = world, .arena = arena};
    const struct world_map *map = &world->map;
    uint32_t *asked, *changed;
    size_t asked_count = 0, changed_count = 0;
    *unchanged_count = 0;
    WORLD_FRAME_TAKE(&maker, asked, count);
    WORLD_FRAME_TAKE(&maker, changed, count);
    for (size_t i = 0; !maker.failed && i < count; i++) {
        if (!hex_in_bounds(wishes[i].at))
            continue;
        uint32_t chunk = world_map_chunk(map, hex_chunk_of(&map->tiling, wishes[i].at));
        if (chunk == WORLD_CHUNK_NONE || is_among(asked, asked_count, chunk))
            continue;
        asked[asked_count++] = chunk;
        if (wishes[i].known != 0 && wishes[i].known == world_map_version(map, chunk))
            unchanged[(*unchanged_count)++] = (uint32_t)i;
        else
            changed[changed_count++] = chunk;
    }
    return maker.failed ? NULL : world_frame_chunks(&maker, changed, changed_count);
}
