#include "services/world/rules_yaml_internal.h"

#include "libcommon/base/str.h"

// game/types.yaml: what there is in the game, and its rules.

// The same of two keys that contradict each other: the first, if it is there.
static struct mm_yaml_node *one_of(struct mm_yaml_node *map, const char *key, const char *other)
{
    struct mm_yaml_node *node = mm_yaml_find(map, key);
    return node ? node : world_yaml_at_key(map, other);
}

static const struct world_yaml_word kinds[] = {
    {"unit", MMORTS__FRAME__KIND__KIND_UNIT},
    {"building", MMORTS__FRAME__KIND__KIND_BUILDING},
    {"resource", MMORTS__FRAME__KIND__KIND_RESOURCE},
    {"npc", MMORTS__FRAME__KIND__KIND_NPC},
};
static const struct world_yaml_word sight_types[] = {
    {"normal", MMORTS__FRAME__SIGHT_TYPE__SIGHT_NORMAL},
    {"shared", MMORTS__FRAME__SIGHT_TYPE__SIGHT_SHARED},
    {"detector", MMORTS__FRAME__SIGHT_TYPE__SIGHT_DETECTOR},
};
static const struct world_yaml_word type_flags[] = {
    {"hero", MMORTS__FRAME__TYPE_FLAG__TYPE_FLAG_HERO},
    {"endgame", MMORTS__FRAME__TYPE_FLAG__TYPE_FLAG_ENDGAME},
    {"settlement", MMORTS__FRAME__TYPE_FLAG__TYPE_FLAG_SETTLEMENT},
    {"stealth", MMORTS__FRAME__TYPE_FLAG__TYPE_FLAG_STEALTH},
};

static void copy_name(struct mm_yaml_node *at, const char *name, char out[WORLD_NAME_BYTES])
{
    if (!mm_str_copy(out, WORLD_NAME_BYTES, name))
        mm_yaml_fail(at, "the name '%s' is longer than %d characters", name, WORLD_NAME_BYTES - 1);
    else if (!world_rules_name_sound(name))
        mm_yaml_fail(at, "the name '%s' is not of a-z, 0-9 and _", name);
}

static void read_terrains(struct mm_yaml_node *list, struct world_rules *rules)
{
    for (size_t i = 0; i < mm_yaml_count(list); i++) {
        struct mm_yaml_node *node = mm_yaml_at(list, i);
        if (rules->terrain_count == WORLD_TERRAINS_MAX) {
            mm_yaml_fail(node, "more than %d terrains", WORLD_TERRAINS_MAX);
            return;
        }
        if (world_rules_terrain(rules, mm_yaml_key_at(list, i)) >= 0)
            mm_yaml_fail(node, "terrain %s is there anyway", mm_yaml_key_at(list, i));
        struct world_terrain *terrain = &rules->terrains[rules->terrain_count++];
        copy_name(node, mm_yaml_key_at(list, i), terrain->name);
        terrain->move_cost_percent = (uint32_t)mm_yaml_need_int(node, "move_cost", 0, 255);
        terrain->sight_cost = world_yaml_u32(node, "sight_cost", 32, 0);
        mm_yaml_end(node);
    }
}

static uint32_t read_flags(struct mm_yaml_node *node)
{
    uint32_t flags = 0;
    struct mm_yaml_node *list = mm_yaml_get_list(node, "flags");
    for (size_t i = 0; i < mm_yaml_count(list); i++) {
        const char *text = "";
        struct mm_yaml_node *item = mm_yaml_at(list, i);
        if (!mm_yaml_as_string(item, &text))
            continue;
        uint32_t flag = 0;
        for (size_t f = 0; f < sizeof type_flags / sizeof type_flags[0]; f++)
            if (mm_str_equal(type_flags[f].text, text))
                flag = type_flags[f].value;
        if (flag == 0)
            mm_yaml_fail(item, "unknown flag '%s'", text);
        flags |= flag;
    }
    return flags;
}

// Of a worker, {amount, ticks, carry}.
static void read_gathering(struct mm_yaml_node *node, const char *name, struct world_type *type)
{
    struct mm_yaml_node *gather = mm_yaml_get_map(node, "gather");
    if (!gather)
        return;
    type->gather_amount = (uint32_t)mm_yaml_need_int(gather, "amount", 1, 1000000);
    type->gather_ticks = (uint32_t)mm_yaml_need_int(gather, "ticks", 1, 10000);
    type->carry = (uint32_t)mm_yaml_need_int(gather, "carry", 1, 1000000);
    if (type->carry < type->gather_amount)
        mm_yaml_fail(one_of(gather, "carry", "amount"), "%s cannot carry what it gathers at once",
                     name);
    if (type->ticks_per_hex == 0)
        mm_yaml_fail(gather, "%s does not move, so it cannot gather", name);
    mm_yaml_end(gather);
}

// Of a building, {ticks, cost: {item: amount}}.
static void read_building(struct mm_yaml_node *node, const char *name, struct world_rules *rules,
                          struct world_type *type)
{
    struct mm_yaml_node *build = mm_yaml_get_map(node, "build");
    if (!build)
        return;
    type->build_ticks = (uint32_t)mm_yaml_need_int(build, "ticks", 1, 1000000);
    if (type->kind != MMORTS__FRAME__KIND__KIND_BUILDING || !type->blocks)
        mm_yaml_fail(build, "%s is no building that blocks its hex, so it cannot be built", name);
    struct mm_yaml_node *cost = mm_yaml_get_map(build, "cost");
    for (size_t i = 0; i < mm_yaml_count(cost); i++) {
        const char *item_name = mm_yaml_key_at(cost, i);
        struct mm_yaml_node *amount_node = mm_yaml_at(cost, i);
        int64_t amount = 0;
        int item = world_rules_item(rules, item_name);
        if (!mm_yaml_as_int(amount_node, 1, 1000000000, &amount))
            continue;
        if (item < 0 && rules->item_count == WORLD_ITEMS_MAX) {
            mm_yaml_fail(amount_node, "costs are of more than %d items", WORLD_ITEMS_MAX);
            continue;
        }
        if (item < 0) {
            item = (int)rules->item_count++;
            copy_name(amount_node, item_name, rules->items[item]);
        }
        type->cost[item] = (uint32_t)amount;
    }
    mm_yaml_end(build);
}

static void read_type(struct mm_yaml_node *node, const char *name, struct world_rules *rules,
                      struct world_type *type)
{
    copy_name(node, name, type->name);
    type->kind = WORLD_YAML_WORD(node, "kind", kinds, NULL);
    bool walks =
        type->kind == MMORTS__FRAME__KIND__KIND_UNIT || type->kind == MMORTS__FRAME__KIND__KIND_NPC;
    type->health_max = (uint32_t)mm_yaml_need_int(node, "health", 1, 1000000);
    type->sight_hexes = world_yaml_u32(node, "sight", 32, 0);
    type->sight_type = WORLD_YAML_WORD(node, "sight_type", sight_types, "normal");
    type->ticks_per_hex = world_yaml_u32(node, "ticks_per_hex", 10000, 0);
    type->amount = world_yaml_u32(node, "amount", 1000000000, 0);
    type->flags = read_flags(node);
    type->blocks = mm_yaml_get_bool(node, "blocks", !walks);
    const char *yields = mm_yaml_get_string(node, "yields", "");
    if (*yields)
        copy_name(mm_yaml_find(node, "yields"), yields, type->yields);
    if (*yields && type->kind != MMORTS__FRAME__KIND__KIND_RESOURCE &&
        type->kind != MMORTS__FRAME__KIND__KIND_NPC)
        mm_yaml_fail(mm_yaml_find(node, "yields"), "%s is no resource or npc, so it yields nothing",
                     name);
    read_gathering(node, name, type);
    read_building(node, name, rules, type);
    type->attack = world_yaml_u32(node, "attack", 1000000, 0);
    type->defence = world_yaml_u32(node, "defence", 1000000, 0);
    // Both belong to an attack and mean nothing without one.
    bool fights = type->attack > 0;
    if (fights || mm_yaml_find(node, "attack_range"))
        type->attack_range_hexes =
            (uint32_t)mm_yaml_need_int(node, "attack_range", 1, WORLD_ATTACK_RANGE_MAX);
    if (fights || mm_yaml_find(node, "attack_cooldown"))
        type->attack_cooldown_ticks = (uint32_t)mm_yaml_need_int(node, "attack_cooldown", 1, 10000);
    if (!fights && type->attack_range_hexes + type->attack_cooldown_ticks > 0)
        mm_yaml_fail(one_of(node, "attack_range", "attack_cooldown"),
                     "%s has no attack for its attack_range or attack_cooldown", name);
    if (fights && type->kind == MMORTS__FRAME__KIND__KIND_RESOURCE)
        mm_yaml_fail(one_of(node, "attack", "kind"), "%s is a resource, so it cannot attack", name);
    if (type->blocks && type->ticks_per_hex > 0)
        mm_yaml_fail(one_of(node, "blocks", "ticks_per_hex"), "%s moves, so it cannot block", name);
}

// What a worker builds: types that may stand behind it in the file.
static void read_builds(struct mm_yaml_node *node, struct world_rules *rules,
                        struct world_type *type)
{
    struct mm_yaml_node *list = mm_yaml_get_list(node, "builds");
    for (size_t i = 0; i < mm_yaml_count(list); i++) {
        struct mm_yaml_node *item = mm_yaml_at(list, i);
        const char *name = "";
        if (!mm_yaml_as_string(item, &name))
            continue;
        int built = world_rules_type(rules, name);
        if (built < 0 || rules->types[built].build_ticks == 0)
            mm_yaml_fail(item, "there is no type '%s' that is built", name);
        else
            type->builds[built / 32] |= UINT32_C(1) << (built % 32);
    }
    if (mm_yaml_count(list) > 0 && type->ticks_per_hex == 0)
        mm_yaml_fail(list, "%s does not move, so it cannot build", type->name);
    mm_yaml_end(node);
}

static void read_types(struct mm_yaml_node *list, struct world_rules *rules)
{
    for (size_t i = 0; i < mm_yaml_count(list); i++) {
        struct mm_yaml_node *node = mm_yaml_at(list, i);
        if (rules->type_count == WORLD_TYPES_MAX) {
            mm_yaml_fail(node, "more than %d types", WORLD_TYPES_MAX);
            return;
        }
        read_type(node, mm_yaml_key_at(list, i), rules, &rules->types[rules->type_count++]);
    }
    for (size_t i = 0; i < mm_yaml_count(list); i++)
        read_builds(mm_yaml_at(list, i), rules, &rules->types[i]);
}

static void read_start(struct mm_yaml_node *list, struct world_rules *rules)
{
    for (size_t i = 0; i < mm_yaml_count(list); i++) {
        struct mm_yaml_node *node = mm_yaml_at(list, i);
        if (rules->start_count == WORLD_START_KINDS_MAX) {
            mm_yaml_fail(node, "more than %d lines of start", WORLD_START_KINDS_MAX);
            return;
        }
        struct world_start *start = &rules->start[rules->start_count++];
        start->type = world_yaml_type(node, "type", rules);
        start->count = (uint32_t)mm_yaml_need_int(node, "count", 0, 64);
        mm_yaml_end(node);
    }
}

static void read_ranks(struct mm_yaml_node *list, struct world_combat_rules *combat)
{
    for (size_t i = 0; i < mm_yaml_count(list); i++) {
        struct mm_yaml_node *node = mm_yaml_at(list, i);
        if (combat->rank_count == WORLD_RANKS_MAX) {
            mm_yaml_fail(node, "more than %d ranks", WORLD_RANKS_MAX);
            return;
        }
        struct world_rank *rank = &combat->ranks[combat->rank_count++];
        rank->kills = (uint32_t)mm_yaml_need_int(node, "kills", 1, 1000000);
        rank->attack_percent = (uint32_t)mm_yaml_need_int(node, "attack", 100, 1000);
        rank->defence_percent = (uint32_t)mm_yaml_need_int(node, "defence", 100, 1000);
        if (i > 0 && rank->kills <= combat->ranks[i - 1].kills)
            mm_yaml_fail(world_yaml_at_key(node, "kills"),
                         "a rank must take more kills than the one before");
        mm_yaml_end(node);
    }
}

// {command: ticks, ...} of how long after one of a kind the next one is refused.
static void read_cooldowns(struct mm_yaml_node *map, struct world_command_rules *commands)
{
    for (size_t i = 0; i < mm_yaml_count(map); i++) {
        struct mm_yaml_node *node = mm_yaml_at(map, i);
        int64_t ticks = 0;
        uint32_t kind = 0;
        while (kind < WORLD_COMMAND_KINDS &&
               !mm_str_equal(world_command_names[kind], mm_yaml_key_at(map, i)))
            kind++;
        if (kind == WORLD_COMMAND_KINDS)
            mm_yaml_fail(node, "there is no command '%s'", mm_yaml_key_at(map, i));
        else if (mm_yaml_as_int(node, 0, WORLD_COOLDOWN_MAX, &ticks))
            commands->cooldown_ticks[kind] = (uint32_t)ticks;
    }
}

void world_rules_read_types(struct mm_yaml *doc, struct world_rules *rules)
{
    struct mm_yaml_node *root = mm_yaml_root(doc);
    read_terrains(mm_yaml_get_map(root, "terrains"), rules);
    read_types(mm_yaml_get_map(root, "types"), rules);
    read_start(mm_yaml_get_list(root, "start"), rules);
    struct world_movement_rules *movement = &rules->movement;
    struct mm_yaml_node *node = mm_yaml_get_map(root, "movement");
    movement->units_per_hex = world_yaml_u32(node, "units_per_hex", WORLD_STACK_MAX, 1);
    movement->path_nodes_per_tick =
        world_yaml_u32(node, "path_nodes_per_tick", 100000000, movement->path_nodes_per_tick);
    movement->path_nodes_per_search =
        world_yaml_u32(node, "path_nodes_per_search", 65536, movement->path_nodes_per_search);
    movement->patience_ticks = world_yaml_u32(node, "patience", 200, movement->patience_ticks);
    movement->replans_max = world_yaml_u32(node, "replans", 200, movement->replans_max);
    movement->rest_ticks = world_yaml_u32(node, "rest", 1200, movement->rest_ticks);
    mm_yaml_end(node);
    node = mm_yaml_get_map(root, "combat");
    rules->combat.guard = mm_yaml_get_bool(node, "guard", true);
    rules->combat.leash_hexes = world_yaml_u32(node, "leash", 100, rules->combat.leash_hexes);
    read_ranks(mm_yaml_get_list(node, "ranks"), &rules->combat);
    mm_yaml_end(node);
    node = mm_yaml_get_map(root, "sight");
    rules->sight.fog_of_war = mm_yaml_get_bool(node, "fog_of_war", true);
    rules->sight.terrain_blocks = mm_yaml_get_bool(node, "terrain_blocks", false);
    mm_yaml_end(node);
    node = mm_yaml_get_map(root, "construction");
    rules->construction.refund_percent =
        world_yaml_u32(node, "refund", 100, rules->construction.refund_percent);
    mm_yaml_end(node);
    struct world_command_rules *commands = &rules->commands;
    node = mm_yaml_get_map(root, "commands");
    commands->per_second = world_yaml_u32(node, "per_second", 10000, commands->per_second);
    commands->burst = world_yaml_u32(node, "burst", 10000, commands->burst);
    commands->units_max =
        world_yaml_u32(node, "units", WORLD_COMMAND_UNITS_MAX, commands->units_max);
    read_cooldowns(mm_yaml_get_map(node, "cooldown"), commands);
    mm_yaml_end(node);
    rules->spawn_keys_kept =
        world_yaml_u32(root, "spawn_keys_kept", WORLD_SPAWN_KEYS_MAX - 1, rules->spawn_keys_kept);
    rules->entities_max =
        world_yaml_u32(root, "entities_max", WORLD_ENTITIES_MAX, rules->entities_max);
    mm_yaml_end(root);
    if (rules->type_count == 0)
        mm_yaml_fail(world_yaml_at_key(root, "types"), "there must be at least one type");
    if (rules->terrain_count < 2)
        mm_yaml_fail(world_yaml_at_key(root, "terrains"), "there must be at least one terrain");
    if (rules->start_count == 0)
        mm_yaml_fail(world_yaml_at_key(root, "start"), "an empire must start with something");
}
