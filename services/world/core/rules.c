#include "services/world/core/rules.h"

#include "libcommon/base/hash.h"
#include "libcommon/base/str.h"
#include "libcommon/hex/chunk.h"
#include "services/world/core/save.h"
#include <string.h>

static const struct world_sight_rules sight_defaults = {.fog_of_war = 1};

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
    rules->sight = sight_defaults;
    rules->construction = (struct world_construction_rules){.refund_percent = 100};
    rules->commands = (struct world_command_rules){.per_second = 20, .burst = 60, .units_max = 256};
}

// In the order of the orders of Mmorts__World__Command (commands.c).
const char *const world_command_names[WORLD_COMMAND_KINDS] = {
    "move",   "stop",  "attack", "attack_move", "patrol",       "wander",
    "gather", "build", "repair", "rally",       "cancel_build",
};

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
    return world_rules_decode_older(rules, WORLD_SAVE_VERSION, data, len, used);
}

enum mm_err world_rules_decode_older(struct world_rules *rules, uint32_t version,
                                     const uint8_t *data, size_t len, size_t *used)
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
    if (version >= 10)
        get_numbers(&in, &rules->sight, sizeof rules->sight);
    else
        rules->sight = sight_defaults;
    get_numbers(&in, &rules->construction, sizeof rules->construction);
    get_numbers(&in, &rules->commands,
                version >= 9 ? sizeof rules->commands
                             : offsetof(struct world_command_rules, cooldown_ticks));
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
