#include "services/world/core/rules.h"

#include "libcommon/hex/chunk.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

// Whether rules hold together. The first thing that does not is told with the place of the key in
// the files that it stands in; core knows no files, but the names of their keys are its own.

struct checker {
    struct world_rules_fault *fault;
    enum world_rules_file file;
    const char
        *list; // a list or map of the file whose element `index` is looked at; NULL: the file
    uint32_t index;
    bool failed;
};

static void look_at(struct checker *c, enum world_rules_file file)
{
    c->file = file;
    c->list = NULL;
}

static void look_into(struct checker *c, enum world_rules_file file, const char *list,
                      uint32_t index)
{
    c->file = file;
    c->list = list;
    c->index = index;
}

// keys: see struct world_rules_fault.
static void MM_PRINTF(4, 5)
    require(struct checker *c, bool holds, const char *keys, const char *format, ...)
{
    if (holds || c->failed)
        return;
    struct world_rules_fault *fault = c->fault;
    c->failed = true;
    fault->file = c->file;
    fault->in[0] = '\0';
    if (c->list)
        snprintf(fault->in, sizeof fault->in, "%s[%u]", c->list, c->index);
    snprintf(fault->keys, sizeof fault->keys, "%s", keys);
    va_list args;
    va_start(args, format);
    vsnprintf(fault->text, sizeof fault->text, format, args);
    va_end(args);
}

bool world_rules_name_sound(const char *name)
{
    size_t len = strnlen(name, WORLD_NAME_BYTES);
    if (len == 0 || len == WORLD_NAME_BYTES)
        return false;
    for (size_t i = 0; i < len; i++) {
        bool fine = (name[i] >= 'a' && name[i] <= 'z') || name[i] == '_' ||
                    (i > 0 && name[i] >= '0' && name[i] <= '9');
        if (!fine)
            return false;
    }
    return true;
}

// --- types.yaml ----------------------------------------------------------------------------------

static void check_terrains(struct checker *c, const struct world_rules *rules)
{
    require(c, rules->terrains[0].move_cost_percent == 0, "",
            "terrain 0 is Dead: nothing passes there");
    // The one that is always there is not in the file.
    for (uint32_t i = 1; !c->failed && i < rules->terrain_count; i++) {
        const struct world_terrain *t = &rules->terrains[i];
        look_into(c, WORLD_RULES_TYPES, "terrains", i - 1);
        require(c, world_rules_name_sound(t->name), "", "terrain %u: a name is a-z, 0-9 and _", i);
        if (c->failed)
            return;
        require(c, world_rules_terrain(rules, t->name) == (int)i, "", "terrain %s is there twice",
                t->name);
        require(c, t->move_cost_percent <= 255, "move_cost", "terrain %s: move_cost above 255",
                t->name);
        require(c, t->sight_cost <= 32, "sight_cost", "terrain %s: sight_cost above 32", t->name);
    }
}

static void check_fighter(struct checker *c, const struct world_type *t)
{
    require(c, t->attack <= 1000000, "attack", "type %s: attack is at most 1000000", t->name);
    require(c, t->defence <= 1000000, "defence", "type %s: defence is at most 1000000", t->name);
    require(c,
            t->attack == 0 ||
                (t->attack_range_hexes >= 1 && t->attack_range_hexes <= WORLD_ATTACK_RANGE_MAX),
            "attack_range", "type %s: attack_range is not 1 to 12 hexes", t->name);
    require(c,
            t->attack == 0 || (t->attack_cooldown_ticks >= 1 && t->attack_cooldown_ticks <= 10000),
            "attack_cooldown", "type %s: attack_cooldown is not 1 to 10000 ticks", t->name);
    require(c, t->attack == 0 || t->kind != MMORTS__FRAME__KIND__KIND_RESOURCE, "attack",
            "type %s: a resource does not fight", t->name);
}

static void check_type(struct checker *c, const struct world_type *t)
{
    require(c,
            t->kind >= MMORTS__FRAME__KIND__KIND_UNIT && t->kind <= MMORTS__FRAME__KIND__KIND_NPC,
            "kind", "type %s: unknown kind", t->name);
    require(c, t->sight_hexes <= 32, "sight", "type %s: sight is more than 32 hexes", t->name);
    require(c, t->sight_type <= MMORTS__FRAME__SIGHT_TYPE__SIGHT_DETECTOR, "sight_type",
            "type %s: unknown sight type", t->name);
    require(c, t->health_max >= 1 && t->health_max <= 1000000, "health",
            "type %s: health is out of range", t->name);
    require(c, t->ticks_per_hex <= 10000, "ticks_per_hex", "type %s: ticks_per_hex is out of range",
            t->name);
    require(c, t->flags < 16, "flags", "type %s: unknown flags", t->name);
    require(c, t->amount <= 1000000000, "amount", "type %s: amount is out of range", t->name);
    check_fighter(c, t);
    bool may_yield =
        t->kind == MMORTS__FRAME__KIND__KIND_RESOURCE || t->kind == MMORTS__FRAME__KIND__KIND_NPC;
    require(c, t->yields[0] == '\0' || (may_yield && world_rules_name_sound(t->yields)), "yields",
            "type %s: yields is the name of an item, of a resource or a creature", t->name);
    require(c,
            t->gather_amount == 0 ||
                (t->gather_amount <= t->carry && t->carry <= 1000000 && t->gather_ticks >= 1 &&
                 t->gather_ticks <= 10000 && t->ticks_per_hex > 0),
            "gather",
            "type %s: it must move, carry at least gather_amount, and take 1 to 10000 ticks",
            t->name);
    require(c, t->blocks <= 1 && !(t->blocks && t->ticks_per_hex), "blocks|ticks_per_hex",
            "type %s: what moves cannot block", t->name);
}

static void check_types(struct checker *c, const struct world_rules *rules)
{
    uint32_t yielding = 0;
    for (uint32_t i = 0; i < rules->type_count; i++) {
        const struct world_type *t = &rules->types[i];
        look_into(c, WORLD_RULES_TYPES, "types", i);
        require(c, world_rules_name_sound(t->name), "",
                "type %u: a name is a-z, 0-9 and _, at most 31 of them", i);
        if (c->failed)
            return;
        require(c, world_rules_type(rules, t->name) == (int)i, "", "type %s is there twice",
                t->name);
        check_type(c, t);
        yielding += t->yields[0] != '\0';
        require(c, yielding <= WORLD_RESOURCES_MAX, "yields", "more than %d types yield something",
                WORLD_RESOURCES_MAX);
    }
}

static void check_items(struct checker *c, const struct world_rules *rules)
{
    for (uint32_t i = 0; i < rules->item_count; i++) {
        uint32_t type = 0; // the first that costs it
        while (type + 1 < rules->type_count && rules->types[type].cost[i] == 0)
            type++;
        char keys[WORLD_NAME_BYTES + 16];
        snprintf(keys, sizeof keys, "build.cost.%.*s", WORLD_NAME_BYTES - 1, rules->items[i]);
        look_into(c, WORLD_RULES_TYPES, "types", type);
        require(c,
                world_rules_name_sound(rules->items[i]) &&
                    world_rules_item(rules, rules->items[i]) == (int)i,
                keys, "item %u: a name is a-z, 0-9 and _, and there once", i);
    }
}

static void check_building(struct checker *c, const struct world_rules *rules)
{
    check_items(c, rules);
    for (uint32_t i = 0; !c->failed && i < rules->type_count; i++) {
        const struct world_type *t = &rules->types[i];
        look_into(c, WORLD_RULES_TYPES, "types", i);
        require(c, t->build_ticks <= 1000000, "build.ticks",
                "type %s: build takes at most 1000000 ticks", t->name);
        require(c,
                t->build_ticks == 0 || (t->kind == MMORTS__FRAME__KIND__KIND_BUILDING && t->blocks),
                "build", "type %s: only a building that blocks its hex can be built", t->name);
        require(c, t->build_ticks > 0 || world_type_is_free(t), "build.cost",
                "type %s: it is not built, so it has no cost", t->name);
        for (uint32_t item = 0; item < WORLD_ITEMS_MAX; item++)
            require(c, t->cost[item] <= (item < rules->item_count ? 1000000000 : 0), "build.cost",
                    "type %s: a cost is out of range", t->name);
        require(c, !world_type_is_builder(t) || t->ticks_per_hex > 0, "builds",
                "type %s: it does not move, so it cannot build", t->name);
        for (uint32_t other = 0; other < WORLD_TYPES_MAX; other++)
            require(c,
                    !world_type_builds(t, other) ||
                        (other < rules->type_count && rules->types[other].build_ticks > 0),
                    "builds", "type %s: it builds what is not built", t->name);
    }
}

static void check_ranks(struct checker *c, const struct world_combat_rules *combat)
{
    require(c, combat->rank_count <= WORLD_RANKS_MAX, "combat.ranks", "more than %d ranks",
            WORLD_RANKS_MAX);
    for (uint32_t i = 0; !c->failed && i < combat->rank_count; i++) {
        const struct world_rank *rank = &combat->ranks[i];
        look_into(c, WORLD_RULES_TYPES, "combat.ranks", i);
        require(c, rank->kills >= 1 && (i == 0 || rank->kills > combat->ranks[i - 1].kills),
                "kills", "rank %u does not take more kills than the one before", i + 1);
        require(c, rank->attack_percent >= 100 && rank->attack_percent <= 1000, "attack",
                "rank %u has an attack that is not 100 to 1000 percent", i + 1);
        require(c, rank->defence_percent >= 100 && rank->defence_percent <= 1000, "defence",
                "rank %u has a defence that is not 100 to 1000 percent", i + 1);
    }
}

static void check_movement(struct checker *c, const struct world_movement_rules *movement)
{
    require(c, movement->units_per_hex >= 1 && movement->units_per_hex <= WORLD_STACK_MAX,
            "movement.units_per_hex", "units_per_hex is not 1 to 200");
    require(c, movement->path_nodes_per_tick >= 1, "movement.path_nodes_per_tick",
            "path_nodes_per_tick is not at least 1");
    require(c, movement->path_nodes_per_search >= 64 && movement->path_nodes_per_search <= 65536,
            "movement.path_nodes_per_search", "path_nodes_per_search is not 64 to 65536");
    require(c, movement->patience_ticks <= 200, "movement.patience", "patience is at most 200");
    require(c, movement->replans_max <= 200, "movement.replans", "replans are at most 200");
    require(c, movement->rest_ticks <= 1200, "movement.rest", "rest is more than 1200 ticks");
}

static void check_commands(struct checker *c, const struct world_command_rules *commands)
{
    require(c, commands->per_second >= 1 && commands->per_second <= 10000, "commands.per_second",
            "per_second is not 1 to 10000 commands");
    require(c, commands->burst >= 1 && commands->burst <= 10000, "commands.burst",
            "burst is not 1 to 10000 commands");
    require(c, commands->units_max >= 1 && commands->units_max <= WORLD_COMMAND_UNITS_MAX,
            "commands.units", "units is not 1 to %d", WORLD_COMMAND_UNITS_MAX);
    for (uint32_t i = 0; i < WORLD_COMMAND_KINDS; i++) {
        char keys[64];
        snprintf(keys, sizeof keys, "commands.cooldown.%s", world_command_names[i]);
        require(c, commands->cooldown_ticks[i] <= WORLD_COOLDOWN_MAX, keys,
                "the cooldown of %s is more than %d ticks", world_command_names[i],
                WORLD_COOLDOWN_MAX);
    }
}

static void check_counts(struct checker *c, const struct world_rules *rules)
{
    look_at(c, WORLD_RULES_TYPES);
    require(c, rules->type_count >= 1 && rules->type_count <= WORLD_TYPES_MAX, "types",
            "there must be 1 to 512 types");
    require(c, rules->terrain_count >= 2 && rules->terrain_count <= WORLD_TERRAINS_MAX, "terrains",
            "there must be 1 to 63 terrains");
    require(c, rules->item_count <= WORLD_ITEMS_MAX, "types", "costs are of more than %d items",
            WORLD_ITEMS_MAX);
    require(c, rules->start_count >= 1 && rules->start_count <= WORLD_START_KINDS_MAX, "start",
            "an empire starts with 1 to 16 kinds of entities");
    look_at(c, WORLD_RULES_MAP);
    require(c, rules->map.band_count <= WORLD_BANDS_MAX, "noise.bands", "more than %d bands",
            WORLD_BANDS_MAX);
    require(c, rules->map.scatter_count <= WORLD_NODE_RULES_MAX, "nodes.scatter",
            "more than %d lines of scattered nodes", WORLD_NODE_RULES_MAX);
    require(c, rules->map.home_node_count <= WORLD_NODE_RULES_MAX, "nodes.home",
            "more than %d lines of home nodes", WORLD_NODE_RULES_MAX);
    require(c, rules->map.camp_count <= WORLD_CAMP_RULES_MAX, "camps.kinds",
            "more than %d kinds of camps", WORLD_CAMP_RULES_MAX);
}

// What is neither of types nor of terrains.
static void check_rest(struct checker *c, const struct world_rules *rules)
{
    for (uint32_t i = 0; i < rules->start_count; i++) {
        look_into(c, WORLD_RULES_TYPES, "start", i);
        require(c, rules->start[i].type < rules->type_count, "type",
                "start %u: there is no such type", i);
        require(c, rules->start[i].count <= 64, "count", "start %u: count is more than 64", i);
    }
    look_at(c, WORLD_RULES_TYPES);
    check_movement(c, &rules->movement);
    require(c, rules->construction.refund_percent <= 100, "construction.refund",
            "refund is more than 100 percent");
    require(c, rules->combat.guard <= 1, "combat.guard", "guard is neither true nor false");
    require(c, rules->combat.leash_hexes <= 100, "combat.leash", "leash is more than 100 hexes");
    require(c, rules->sight.fog_of_war <= 1, "sight.fog_of_war",
            "fog_of_war is neither true nor false");
    require(c, rules->sight.terrain_blocks <= 1, "sight.terrain_blocks",
            "terrain_blocks is neither true nor false");
    check_commands(c, &rules->commands);
    require(c, rules->spawn_keys_kept >= 1 && rules->spawn_keys_kept < WORLD_SPAWN_KEYS_MAX,
            "spawn_keys_kept", "spawn_keys_kept is not 1 to %d", WORLD_SPAWN_KEYS_MAX - 1);
    require(c, rules->entities_max >= 1 && rules->entities_max <= WORLD_ENTITIES_MAX,
            "entities_max", "entities_max is not 1 to %u", WORLD_ENTITIES_MAX);
    check_ranks(c, &rules->combat);
}

// --- map.yaml ------------------------------------------------------------------------------------

static void check_bands(struct checker *c, const struct world_rules *rules)
{
    for (uint32_t i = 0; i < rules->map.band_count; i++) {
        const struct world_band *band = &rules->map.bands[i];
        look_into(c, WORLD_RULES_MAP, "noise.bands", i);
        require(c, band->terrain < rules->terrain_count, "terrain",
                "band %u: there is no such terrain", i);
        require(c, band->height_below <= 1000, "height_below",
                "band %u: height_below is above 1000", i);
        require(c, band->moisture_below <= 1000, "moisture_below",
                "band %u: moisture_below is above 1000", i);
    }
}

static bool is_resource(const struct world_rules *rules, uint32_t type)
{
    return type < rules->type_count &&
           rules->types[type].kind == MMORTS__FRAME__KIND__KIND_RESOURCE;
}

static void check_nodes(struct checker *c, const struct world_rules *rules)
{
    const struct world_map_rules *map = &rules->map;
    for (uint32_t i = 0; i < map->scatter_count; i++) {
        const struct world_scatter *scatter = &map->scatter[i];
        look_into(c, WORLD_RULES_MAP, "nodes.scatter", i);
        require(c, is_resource(rules, scatter->type), "type", "scattered node %u is no resource",
                i);
        require(c, scatter->terrain < rules->terrain_count, "terrain",
                "scattered node %u: there is no such terrain", i);
        require(c, scatter->per_myriad <= 10000, "per_myriad",
                "scattered node %u: per_myriad is above 10000", i);
    }
    for (uint32_t i = 0; i < map->home_node_count; i++) {
        const struct world_home_node *node = &map->home_nodes[i];
        look_into(c, WORLD_RULES_MAP, "nodes.home", i);
        require(c, is_resource(rules, node->type), "type", "home node %u is no resource", i);
        require(c, node->count <= 64, "count", "home node %u: count is more than 64", i);
        require(c, node->distance_from >= 1 && node->distance_from <= node->distance_to, "distance",
                "home node %u: distance ends before it begins", i);
        require(c,
                node->distance_to <= map->chunk_radius * 2 &&
                    node->distance_to <= HEX_DISC_RADIUS_MAX,
                "distance", "home node %u is farther away than two chunk_radius", i);
    }
}

static bool is_npc(const struct world_rules *rules, uint32_t type, bool moves)
{
    return type < rules->type_count && rules->types[type].kind == MMORTS__FRAME__KIND__KIND_NPC &&
           (rules->types[type].ticks_per_hex > 0) == moves;
}

static void check_camps(struct checker *c, const struct world_rules *rules)
{
    const struct world_map_rules *map = &rules->map;
    look_at(c, WORLD_RULES_MAP);
    require(c, map->camp_distance_chunks >= 1 && map->camp_distance_chunks <= 16, "camps.distance",
            "the distance of camps is not 1 to 16 chunks");
    for (uint32_t i = 0; i < map->camp_count; i++) {
        const struct world_camp_rules *camp = &map->camps[i];
        look_into(c, WORLD_RULES_MAP, "camps.kinds", i);
        require(c, is_npc(rules, camp->lair, false), "lair",
                "the lair of camp %u is no npc that stays put", i);
        require(c, camp->per_myriad <= 10000, "per_myriad", "camp %u: per_myriad is above 10000",
                i);
        require(c, camp->roam_hexes >= 1 && camp->roam_hexes <= WORLD_WANDER_RADIUS_MAX, "roam",
                "camp %u: roam is not 1 to %d hexes", i, WORLD_WANDER_RADIUS_MAX);
        require(c, camp->respawn_ticks >= 1 && camp->respawn_ticks <= 1000000, "respawn",
                "camp %u: respawn is not 1 to 1000000 ticks", i);
        require(c, camp->guard_count <= WORLD_CAMP_GUARDS_MAX, "guards",
                "camp %u has more than %d guards", i, WORLD_CAMP_GUARDS_MAX);
        for (uint32_t g = 0; !c->failed && g < camp->guard_count; g++) {
            char keys[WORLD_NAME_BYTES + 16];
            snprintf(keys, sizeof keys, "guards.%s",
                     camp->guards[g] < rules->type_count ? rules->types[camp->guards[g]].name : "");
            require(c, is_npc(rules, camp->guards[g], true), keys,
                    "a guard of camp %u is no npc that moves", i);
        }
    }
}

static void check_map(struct checker *c, const struct world_rules *rules)
{
    const struct world_map_rules *map = &rules->map;
    look_at(c, WORLD_RULES_MAP);
    require(c, map->generator <= WORLD_GENERATOR_NOISE, "generator", "unknown map generator");
    require(c, map->chunk_radius >= 2 && map->chunk_radius <= 32, "chunk_radius",
            "chunk_radius is not 2 to 32");
    require(c,
            map->open_terrain < rules->terrain_count &&
                rules->terrains[map->open_terrain].move_cost_percent > 0,
            "open_terrain", "open_terrain cannot be walked on");
    require(c, map->wavelength_hexes >= 2 && map->wavelength_hexes <= 1000, "noise.wavelength",
            "wavelength is not 2 to 1000 hexes");
    require(c, map->octaves >= 1 && map->octaves <= 6, "noise.octaves", "octaves is not 1 to 6");
    require(c, map->home_spacing_chunks >= 1 && map->home_spacing_chunks <= 16, "homes.spacing",
            "home spacing is not 1 to 16 chunks");
    // Else neighbouring homes would not touch, and the road between them would have holes.
    require(c,
            map->home_grow_chunks * 2 + 1 >= map->home_spacing_chunks &&
                map->home_grow_chunks >= 1 && map->home_grow_chunks <= 16,
            "homes.grow|homes.spacing",
            "home grow must be at least half the spacing, and 1 to 16 chunks");
    require(c, map->clearing_hexes >= 1 && map->clearing_hexes <= map->chunk_radius,
            "homes.clearing|chunk_radius", "clearing is not 1 to chunk_radius hexes");
    require(c, map->road_width_hexes <= 4, "homes.road_width", "road_width is more than 4 hexes");
    require(c, map->explored_chunks_max <= WORLD_CHUNKS_MAX, "explored_max",
            "explored_max is more than %d", WORLD_CHUNKS_MAX);
}

// --- both ----------------------------------------------------------------------------------------

enum mm_err world_rules_find_fault(const struct world_rules *rules, struct world_rules_fault *fault)
{
    struct checker checker = {.fault = fault}, *c = &checker;
    check_counts(c, rules);
    // What comes later relies on what was looked at before.
    static void (*const checks[])(struct checker *, const struct world_rules *) = {
        check_types, check_building, check_terrains, check_map,
        check_bands, check_nodes,    check_camps,    check_rest,
    };
    for (size_t i = 0; !c->failed && i < sizeof checks / sizeof checks[0]; i++)
        checks[i](c, rules);
    return c->failed ? MM_INVALID_ARGUMENT : MM_OK;
}

enum mm_err world_rules_check(const struct world_rules *rules, char *problem, size_t problem_bytes)
{
    struct world_rules_fault fault;
    enum mm_err err = world_rules_find_fault(rules, &fault);
    if (err != MM_OK)
        snprintf(problem, problem_bytes, "%s", fault.text);
    return err;
}
