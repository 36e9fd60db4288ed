#include "services/world/core/rules.h"

#include "libcommon/base/hash.h"
#include "libcommon/base/str.h"
#include "libcommon/hex/chunk.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void world_rules_init(struct world_rules *rules)
{
    memset(rules, 0, sizeof *rules);
    rules->terrain_count = 1;
    mm_str_copy(rules->terrains[0].name, WORLD_NAME_BYTES, "dead");
    rules->spawn_keys_kept = 65536;
    rules->entities_max = 1 << 20;
    rules->map = (struct world_map_rules){
        .generator = WORLD_GENERATOR_BLANK,
        .chunk_radius = HEX_CHUNK_RADIUS_DEFAULT,
        .wavelength_hexes = 14,
        .octaves = 3,
        .home_spacing_chunks = 3,
        .home_grow_chunks = 2,
        .clearing_hexes = 4,
        .road_width_hexes = 1,
        .camp_distance_chunks = 2,
    };
    rules->movement = (struct world_movement_rules){
        .units_per_hex = 1,
        .path_nodes_per_tick = 20000,
        .path_nodes_per_search = 6000,
        .patience_ticks = 12,
        .replans_max = 4,
        .rest_ticks = 20,
    };
    rules->combat = (struct world_combat_rules){.guard = 1, .leash_hexes = 8};
    rules->sight = (struct world_sight_rules){.fog_of_war = 1};
    rules->construction = (struct world_construction_rules){.refund_percent = 100};
    rules->commands = (struct world_command_rules){.per_second = 20, .burst = 60, .units_max = 256};
}

// In the order of the orders of Mmorts__World__Command (commands.c).
const char *const world_command_names[WORLD_COMMAND_KINDS] = {
    "move",   "stop",  "attack", "attack_move", "patrol",       "wander",
    "gather", "build", "repair", "rally",       "cancel_build",
};

// --- checking ------------------------------------------------------------------------------------

struct checker {
    char *problem;
    size_t problem_bytes;
    bool failed;
};

static void MM_PRINTF(3, 4) require(struct checker *checker, bool holds, const char *format, ...)
{
    if (holds || checker->failed)
        return;
    checker->failed = true;
    va_list args;
    va_start(args, format);
    vsnprintf(checker->problem, checker->problem_bytes, format, args);
    va_end(args);
}

static bool name_sound(const char *name)
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

static void check_ranks(struct checker *c, const struct world_combat_rules *combat)
{
    require(c, combat->rank_count <= WORLD_RANKS_MAX, "more than %d ranks", WORLD_RANKS_MAX);
    for (uint32_t i = 0; !c->failed && i < combat->rank_count; i++) {
        const struct world_rank *rank = &combat->ranks[i];
        require(c, rank->kills >= 1 && (i == 0 || rank->kills > combat->ranks[i - 1].kills),
                "rank %u does not take more kills than the one before", i + 1);
        require(c,
                rank->attack_percent >= 100 && rank->attack_percent <= 1000 &&
                    rank->defence_percent >= 100 && rank->defence_percent <= 1000,
                "rank %u has a percentage that is not 100 to 1000", i + 1);
    }
}

static void check_types(struct checker *c, const struct world_rules *rules)
{
    uint32_t yielding = 0;
    for (uint32_t i = 0; i < rules->type_count; i++) {
        const struct world_type *t = &rules->types[i];
        require(c, name_sound(t->name), "type %u: a name is a-z, 0-9 and _, at most 31 of them", i);
        if (c->failed)
            return;
        require(c, world_rules_type(rules, t->name) == (int)i, "type %s is there twice", t->name);
        require(c,
                t->kind >= MMORTS__FRAME__KIND__KIND_UNIT &&
                    t->kind <= MMORTS__FRAME__KIND__KIND_NPC,
                "type %s: unknown kind", t->name);
        require(c, t->sight_hexes <= 32, "type %s: sight is more than 32 hexes", t->name);
        require(c, t->sight_type <= MMORTS__FRAME__SIGHT_TYPE__SIGHT_DETECTOR,
                "type %s: unknown sight type", t->name);
        require(c, t->health_max >= 1 && t->health_max <= 1000000,
                "type %s: health is out of range", t->name);
        require(c, t->ticks_per_hex <= 10000, "type %s: ticks_per_hex is out of range", t->name);
        require(c, t->flags < 16, "type %s: unknown flags", t->name);
        require(c, t->amount <= 1000000000, "type %s: amount is out of range", t->name);
        require(c, t->attack <= 1000000 && t->defence <= 1000000,
                "type %s: attack and defence are at most 1000000", t->name);
        require(c,
                t->attack == 0 ||
                    (t->attack_range_hexes >= 1 && t->attack_range_hexes <= WORLD_ATTACK_RANGE_MAX),
                "type %s: attack_range is not 1 to 12 hexes", t->name);
        require(c,
                t->attack == 0 ||
                    (t->attack_cooldown_ticks >= 1 && t->attack_cooldown_ticks <= 10000),
                "type %s: attack_cooldown is not 1 to 10000 ticks", t->name);
        require(c, t->attack == 0 || t->kind != MMORTS__FRAME__KIND__KIND_RESOURCE,
                "type %s: a resource does not fight", t->name);
        bool may_yield = t->kind == MMORTS__FRAME__KIND__KIND_RESOURCE ||
                         t->kind == MMORTS__FRAME__KIND__KIND_NPC;
        require(c, t->yields[0] == '\0' || (may_yield && name_sound(t->yields)),
                "type %s: yields is the name of an item, of a resource or a creature", t->name);
        yielding += t->yields[0] != '\0';
        require(c,
                t->gather_amount == 0 ||
                    (t->gather_amount <= t->carry && t->carry <= 1000000 && t->gather_ticks >= 1 &&
                     t->gather_ticks <= 10000 && t->ticks_per_hex > 0),
                "type %s: it must move, carry at least gather_amount, and take 1 to 10000 ticks",
                t->name);
        require(c, t->blocks <= 1 && !(t->blocks && t->ticks_per_hex),
                "type %s: what moves cannot block", t->name);
    }
    require(c, yielding <= WORLD_RESOURCES_MAX, "more than %d types yield something",
            WORLD_RESOURCES_MAX);
}

static void check_building(struct checker *c, const struct world_rules *rules)
{
    for (uint32_t i = 0; i < rules->item_count; i++)
        require(c,
                name_sound(rules->items[i]) && world_rules_item(rules, rules->items[i]) == (int)i,
                "item %u: a name is a-z, 0-9 and _, and there once", i);
    for (uint32_t i = 0; !c->failed && i < rules->type_count; i++) {
        const struct world_type *t = &rules->types[i];
        require(c, t->build_ticks <= 1000000, "type %s: build takes at most 1000000 ticks",
                t->name);
        require(c,
                t->build_ticks == 0 || (t->kind == MMORTS__FRAME__KIND__KIND_BUILDING && t->blocks),
                "type %s: only a building that blocks its hex can be built", t->name);
        require(c, t->build_ticks > 0 || world_type_is_free(t),
                "type %s: it is not built, so it has no cost", t->name);
        for (uint32_t item = 0; item < WORLD_ITEMS_MAX; item++)
            require(c, t->cost[item] <= (item < rules->item_count ? 1000000000 : 0),
                    "type %s: a cost is out of range", t->name);
        require(c, !world_type_is_builder(t) || t->ticks_per_hex > 0,
                "type %s: it does not move, so it cannot build", t->name);
        for (uint32_t other = 0; other < WORLD_TYPES_MAX; other++)
            require(c,
                    !world_type_builds(t, other) ||
                        (other < rules->type_count && rules->types[other].build_ticks > 0),
                    "type %s: it builds what is not built", t->name);
    }
}

static void check_terrains(struct checker *c, const struct world_rules *rules)
{
    for (uint32_t i = 0; i < rules->terrain_count; i++) {
        const struct world_terrain *t = &rules->terrains[i];
        require(c, name_sound(t->name), "terrain %u: a name is a-z, 0-9 and _", i);
        if (c->failed)
            return;
        require(c, world_rules_terrain(rules, t->name) == (int)i, "terrain %s is there twice",
                t->name);
        require(c, t->move_cost_percent <= 255, "terrain %s: move_cost above 255", t->name);
        require(c, t->sight_cost <= 32, "terrain %s: sight_cost above 32", t->name);
    }
    require(c, rules->terrains[0].move_cost_percent == 0,
            "terrain 0 is Dead: nothing passes there");
}

static void check_nodes(struct checker *c, const struct world_rules *rules)
{
    const struct world_map_rules *map = &rules->map;
    for (uint32_t i = 0; i < map->band_count; i++)
        require(c,
                map->bands[i].terrain < rules->terrain_count &&
                    map->bands[i].height_below <= 1000 && map->bands[i].moisture_below <= 1000,
                "map band %u is out of range", i);
    for (uint32_t i = 0; i < map->scatter_count; i++)
        require(c,
                map->scatter[i].type < rules->type_count &&
                    map->scatter[i].terrain < rules->terrain_count &&
                    map->scatter[i].per_myriad <= 10000 &&
                    rules->types[map->scatter[i].type].kind == MMORTS__FRAME__KIND__KIND_RESOURCE,
                "scattered node %u is out of range or no resource", i);
    for (uint32_t i = 0; i < map->home_node_count; i++)
        require(c,
                map->home_nodes[i].type < rules->type_count && map->home_nodes[i].count <= 64 &&
                    map->home_nodes[i].distance_from >= 1 &&
                    map->home_nodes[i].distance_from <= map->home_nodes[i].distance_to &&
                    map->home_nodes[i].distance_to <= map->chunk_radius * 2 &&
                    map->home_nodes[i].distance_to <= HEX_DISC_RADIUS_MAX &&
                    rules->types[map->home_nodes[i].type].kind ==
                        MMORTS__FRAME__KIND__KIND_RESOURCE,
                "home node %u is out of range or no resource", i);
}

static void check_camps(struct checker *c, const struct world_rules *rules)
{
    const struct world_map_rules *map = &rules->map;
    require(c, map->camp_distance_chunks >= 1 && map->camp_distance_chunks <= 16,
            "the distance of camps is not 1 to 16 chunks");
    for (uint32_t i = 0; i < map->camp_count; i++) {
        const struct world_camp_rules *camp = &map->camps[i];
        require(c,
                camp->lair < rules->type_count &&
                    rules->types[camp->lair].kind == MMORTS__FRAME__KIND__KIND_NPC &&
                    rules->types[camp->lair].ticks_per_hex == 0,
                "the lair of camp %u is no npc that stays put", i);
        require(c,
                camp->per_myriad <= 10000 && camp->roam_hexes >= 1 &&
                    camp->roam_hexes <= WORLD_WANDER_RADIUS_MAX && camp->respawn_ticks >= 1 &&
                    camp->respawn_ticks <= 1000000 && camp->guard_count <= WORLD_CAMP_GUARDS_MAX,
                "camp %u is out of range", i);
        for (uint32_t g = 0; !c->failed && g < camp->guard_count; g++)
            require(c,
                    camp->guards[g] < rules->type_count &&
                        rules->types[camp->guards[g]].kind == MMORTS__FRAME__KIND__KIND_NPC &&
                        rules->types[camp->guards[g]].ticks_per_hex > 0,
                    "a guard of camp %u is no npc that moves", i);
    }
}

static void check_map(struct checker *c, const struct world_rules *rules)
{
    const struct world_map_rules *map = &rules->map;
    require(c, map->generator <= WORLD_GENERATOR_NOISE, "unknown map generator");
    require(c, map->chunk_radius >= 2 && map->chunk_radius <= 32, "chunk_radius is not 2 to 32");
    require(c,
            map->open_terrain < rules->terrain_count &&
                rules->terrains[map->open_terrain].move_cost_percent > 0,
            "open_terrain cannot be walked on");
    require(c, map->wavelength_hexes >= 2 && map->wavelength_hexes <= 1000,
            "wavelength is not 2 to 1000 hexes");
    require(c, map->octaves >= 1 && map->octaves <= 6, "octaves is not 1 to 6");
    require(c, map->home_spacing_chunks >= 1 && map->home_spacing_chunks <= 16,
            "home spacing is not 1 to 16 chunks");
    // Else neighbouring homes would not touch, and the road between them would have holes.
    require(c,
            map->home_grow_chunks * 2 + 1 >= map->home_spacing_chunks &&
                map->home_grow_chunks >= 1 && map->home_grow_chunks <= 16,
            "home grow must be at least half the spacing, and 1 to 16 chunks");
    require(c, map->clearing_hexes >= 1 && map->clearing_hexes <= map->chunk_radius,
            "clearing is not 1 to chunk_radius hexes");
    require(c, map->road_width_hexes <= 4, "road_width is more than 4 hexes");
    require(c, map->explored_chunks_max <= WORLD_CHUNKS_MAX, "explored_max is more than %d",
            WORLD_CHUNKS_MAX);
}

enum mm_err world_rules_check(const struct world_rules *rules, char *problem, size_t problem_bytes)
{
    struct checker checker = {problem, problem_bytes, false}, *c = &checker;
    const struct world_map_rules *map = &rules->map;
    require(c, rules->type_count >= 1 && rules->type_count <= WORLD_TYPES_MAX,
            "there must be 1 to 512 types");
    require(c, rules->terrain_count >= 2 && rules->terrain_count <= WORLD_TERRAINS_MAX,
            "there must be 2 to 64 terrains");
    require(c, rules->item_count <= WORLD_ITEMS_MAX, "costs are of more than %d items",
            WORLD_ITEMS_MAX);
    require(c, rules->start_count >= 1 && rules->start_count <= WORLD_START_KINDS_MAX,
            "an empire starts with 1 to 16 kinds of entities");
    require(c,
            map->band_count <= WORLD_BANDS_MAX && map->scatter_count <= WORLD_NODE_RULES_MAX &&
                map->home_node_count <= WORLD_NODE_RULES_MAX &&
                map->camp_count <= WORLD_CAMP_RULES_MAX,
            "too many lines in the map's rules");
    if (!c->failed)
        check_types(c, rules);
    if (!c->failed)
        check_building(c, rules);
    if (!c->failed)
        check_terrains(c, rules);
    if (!c->failed)
        check_map(c, rules);
    if (!c->failed)
        check_nodes(c, rules);
    if (!c->failed)
        check_camps(c, rules);
    for (uint32_t i = 0; !c->failed && i < rules->start_count; i++)
        require(c, rules->start[i].type < rules->type_count && rules->start[i].count <= 64,
                "start %u is out of range", i);
    const struct world_movement_rules *movement = &rules->movement;
    require(c, movement->units_per_hex >= 1 && movement->units_per_hex <= WORLD_STACK_MAX,
            "units_per_hex is not 1 to 200");
    require(c,
            movement->path_nodes_per_tick >= 1 && movement->path_nodes_per_search >= 64 &&
                movement->path_nodes_per_search <= 65536,
            "path_nodes are out of range");
    require(c, movement->patience_ticks <= 200 && movement->replans_max <= 200,
            "patience and replans are at most 200");
    require(c, movement->rest_ticks <= 1200, "rest is more than 1200 ticks");
    require(c, rules->construction.refund_percent <= 100, "refund is more than 100 percent");
    require(c, rules->combat.guard <= 1 && rules->combat.leash_hexes <= 100,
            "leash is more than 100 hexes");
    check_ranks(c, &rules->combat);
    require(c, rules->sight.fog_of_war <= 1 && rules->sight.terrain_blocks <= 1,
            "fog_of_war and terrain_blocks are true or false");
    require(c,
            rules->commands.per_second >= 1 && rules->commands.per_second <= 10000 &&
                rules->commands.burst >= 1 && rules->commands.burst <= 10000 &&
                rules->commands.units_max >= 1 &&
                rules->commands.units_max <= WORLD_COMMAND_UNITS_MAX,
            "commands are out of range");
    for (uint32_t i = 0; i < WORLD_COMMAND_KINDS; i++)
        require(c, rules->commands.cooldown_ticks[i] <= WORLD_COOLDOWN_MAX,
                "the cooldown of %s is more than %d ticks", world_command_names[i],
                WORLD_COOLDOWN_MAX);
    require(c, rules->spawn_keys_kept >= 1 && rules->spawn_keys_kept < WORLD_SPAWN_KEYS_MAX,
            "spawn_keys_kept is out of range");
    require(c, rules->entities_max >= 1 && rules->entities_max <= WORLD_ENTITIES_MAX,
            "entities_max is out of range");
    return c->failed ? MM_INVALID_ARGUMENT : MM_OK;
}

// --- looking up ----------------------------------------------------------------------------------

int world_rules_type(const struct world_rules *rules, const char *name)
{
    for (uint32_t i = 0; i < rules->type_count; i++)
        if (mm_str_equal(rules->types[i].name, name))
            return (int)i;
    return -1;
}

int world_rules_terrain(const struct world_rules *rules, const char *name)
{
    for (uint32_t i = 0; i < rules->terrain_count; i++)
        if (mm_str_equal(rules->terrains[i].name, name))
            return (int)i;
    return -1;
}

int world_rules_item(const struct world_rules *rules, const char *name)
{
    for (uint32_t i = 0; i < rules->item_count; i++)
        if (mm_str_equal(rules->items[i], name))
            return (int)i;
    return -1;
}

bool world_type_is_node(const struct world_type *type)
{
    return type->kind == MMORTS__FRAME__KIND__KIND_RESOURCE && type->yields[0] != '\0';
}

bool world_type_builds(const struct world_type *type, uint32_t built)
{
    return (type->builds[built / 32] >> (built % 32) & 1u) != 0;
}

bool world_type_is_builder(const struct world_type *type)
{
    uint32_t any = 0;
    for (size_t i = 0; i < sizeof type->builds / sizeof type->builds[0]; i++)
        any |= type->builds[i];
    return any != 0;
}

bool world_type_is_free(const struct world_type *type)
{
    uint32_t any = 0;
    for (size_t i = 0; i < WORLD_ITEMS_MAX; i++)
        any |= type->cost[i];
    return any == 0;
}

uint32_t world_rules_step_ticks(const struct world_rules *rules, uint32_t type, uint32_t terrain)
{
    uint32_t base = rules->types[type].ticks_per_hex;
    uint32_t cost = rules->terrains[terrain].move_cost_percent;
    if (base == 0 || cost == 0)
        return 0;
    uint32_t ticks = (base * cost + 50) / 100;
    return ticks > 0 ? ticks : 1;
}

// --- as bytes ------------------------------------------------------------------------------------

// Apart from names every member is a uint32_t, so structs go out as arrays of them.
_Static_assert(sizeof(struct world_type) ==
                   2 * WORLD_NAME_BYTES + (16 + WORLD_ITEMS_MAX + WORLD_TYPES_MAX / 32) * 4,
               "uint32_t members only");
_Static_assert(sizeof(struct world_terrain) == WORLD_NAME_BYTES + 2 * 4, "uint32_t members only");
_Static_assert(offsetof(struct world_rules, types) == 6 * 4, "uint32_t members only");
_Static_assert(sizeof(struct world_map_rules) ==
                   15 * 4 + WORLD_BANDS_MAX * 20 + WORLD_NODE_RULES_MAX * 28 +
                       WORLD_CAMP_RULES_MAX * (5 + WORLD_CAMP_GUARDS_MAX) * 4,
               "uint32_t members only");

static void put_numbers(struct mm_buf *out, const void *numbers, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 4) {
        uint32_t value;
        memcpy(&value, (const uint8_t *)numbers + i, 4);
        mm_buf_u32le(out, value);
    }
}

void world_rules_encode(const struct world_rules *rules, struct mm_buf *out)
{
    put_numbers(out, rules, offsetof(struct world_rules, types));
    for (uint32_t i = 0; i < rules->type_count; i++) {
        const struct world_type *t = &rules->types[i];
        mm_buf_append(out, t->name, WORLD_NAME_BYTES);
        mm_buf_append(out, t->yields, WORLD_NAME_BYTES);
        put_numbers(out, &t->kind, sizeof *t - 2 * WORLD_NAME_BYTES);
    }
    for (uint32_t i = 0; i < rules->terrain_count; i++) {
        const struct world_terrain *t = &rules->terrains[i];
        mm_buf_append(out, t->name, WORLD_NAME_BYTES);
        put_numbers(out, &t->move_cost_percent, sizeof *t - WORLD_NAME_BYTES);
    }
    for (uint32_t i = 0; i < rules->item_count; i++)
        mm_buf_append(out, rules->items[i], WORLD_NAME_BYTES);
    put_numbers(out, rules->start, rules->start_count * sizeof rules->start[0]);
    put_numbers(out, &rules->map, sizeof rules->map);
    put_numbers(out, &rules->movement, sizeof rules->movement);
    put_numbers(out, &rules->combat, sizeof rules->combat);
    put_numbers(out, &rules->sight, sizeof rules->sight);
    put_numbers(out, &rules->construction, sizeof rules->construction);
    put_numbers(out, &rules->commands, sizeof rules->commands);
}

struct numbers {
    const uint8_t *data;
    size_t len, at;
    bool failed;
};

static void get_bytes(struct numbers *in, void *out, size_t bytes)
{
    if (in->failed || bytes > in->len - in->at) {
        in->failed = true;
        return;
    }
    memcpy(out, in->data + in->at, bytes);
    in->at += bytes;
}

static void get_numbers(struct numbers *in, void *numbers, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 4) {
        uint8_t b[4] = {0};
        get_bytes(in, b, 4);
        uint32_t value =
            (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
        memcpy((uint8_t *)numbers + i, &value, 4);
    }
}

enum mm_err world_rules_decode(struct world_rules *rules, const uint8_t *data, size_t len,
                               size_t *used)
{
    struct numbers in = {data, len, 0, false};
    memset(rules, 0, sizeof *rules);
    get_numbers(&in, rules, offsetof(struct world_rules, types));
    if (in.failed || rules->type_count > WORLD_TYPES_MAX ||
        rules->terrain_count > WORLD_TERRAINS_MAX || rules->start_count > WORLD_START_KINDS_MAX ||
        rules->item_count > WORLD_ITEMS_MAX)
        return MM_DATA_LOSS;
    for (uint32_t i = 0; i < rules->type_count; i++) {
        get_bytes(&in, rules->types[i].name, WORLD_NAME_BYTES);
        get_bytes(&in, rules->types[i].yields, WORLD_NAME_BYTES);
        get_numbers(&in, &rules->types[i].kind, sizeof rules->types[i] - 2 * WORLD_NAME_BYTES);
    }
    for (uint32_t i = 0; i < rules->terrain_count; i++) {
        get_bytes(&in, rules->terrains[i].name, WORLD_NAME_BYTES);
        get_numbers(&in, &rules->terrains[i].move_cost_percent,
                    sizeof rules->terrains[i] - WORLD_NAME_BYTES);
    }
    for (uint32_t i = 0; i < rules->item_count; i++)
        get_bytes(&in, rules->items[i], WORLD_NAME_BYTES);
    get_numbers(&in, rules->start, rules->start_count * sizeof rules->start[0]);
    get_numbers(&in, &rules->map, sizeof rules->map);
    get_numbers(&in, &rules->movement, sizeof rules->movement);
    get_numbers(&in, &rules->combat, sizeof rules->combat);
    get_numbers(&in, &rules->sight, sizeof rules->sight);
    get_numbers(&in, &rules->construction, sizeof rules->construction);
    get_numbers(&in, &rules->commands, sizeof rules->commands);
    char problem[128];
    if (in.failed || world_rules_check(rules, problem, sizeof problem) != MM_OK)
        return MM_DATA_LOSS;
    *used = in.at;
    return MM_OK;
}

uint64_t world_rules_hash(const struct world_rules *rules)
{
    struct mm_buf bytes;
    mm_buf_init(&bytes, 1 << 20);
    world_rules_encode(rules, &bytes);
    uint64_t hash = mm_hash64(bytes.data, bytes.len, 0);
    mm_buf_free(&bytes);
    return hash;
}
