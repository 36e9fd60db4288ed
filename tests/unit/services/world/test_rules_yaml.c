// The game's data: errors name file and line, and nothing wrong gets through.

#include "libcommon/service/yaml.h"
#include "services/world/rules_yaml.h"
#include "tests/support/world_fixture.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char types_text[] = "terrains:\n"
                                 "  plains: {move_cost: 100}\n"
                                 "types:\n"
                                 "  home: {kind: building, health: 10, sight: 3}\n"
                                 "  unit: {kind: unit, health: 10, ticks_per_hex: 5, builds: "
                                 "[hut]}\n"
                                 "  hut: {kind: building, health: 10, build: {ticks: 9, cost: "
                                 "{wood: 300, clay: 2}}}\n"
                                 "start:\n"
                                 "  - {type: home, count: 1}\n";
static const char map_text[] = "generator: blank\n"
                               "open_terrain: plains\n";

static enum mm_err read_text(const char *types_source, const char *map_source,
                             struct world_rules *rules, char *first_error, size_t bytes)
{
    struct mm_yaml *types = mm_yaml_parse("types.yaml", types_source, strlen(types_source));
    struct mm_yaml *map = mm_yaml_parse("map.yaml", map_source, strlen(map_source));
    enum mm_err err = world_rules_read(types, map, rules);
    const char *error = mm_yaml_error(types, 0) ? mm_yaml_error(types, 0) : mm_yaml_error(map, 0);
    snprintf(first_error, bytes, "%s", error ? error : "");
    mm_yaml_free(types);
    mm_yaml_free(map);
    return err;
}

Test(rules_yaml, the_games_own_files)
{
    struct world_rules *rules = fixture_rules();
    const char *const types[] = {"settlement", "barracks",  "scout",   "worker",
                                 "soldier",    "gold_mine", "woodland"};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        cr_assert_geq(world_rules_type(rules, types[i]), 0, "%s", types[i]);
    cr_assert_eq(world_rules_terrain(rules, "dead"), 0);
    cr_assert_eq(rules->map.chunk_radius, 9);
    cr_assert_eq(rules->start[0].type, (uint32_t)world_rules_type(rules, "settlement"));
    free(rules);
}

Test(rules_yaml, small_ones_with_defaults)
{
    struct world_rules *rules = malloc(sizeof *rules);
    char error[256];
    cr_assert_eq(read_text(types_text, map_text, rules, error, sizeof error), MM_OK, "%s", error);
    cr_assert_eq(rules->terrain_count, 2);
    cr_assert(rules->types[0].blocks && !rules->types[1].blocks);
    cr_assert_eq(rules->movement.units_per_hex, 1);
    // What is built may stand behind who builds it; amounts are not cut to a byte.
    cr_assert(world_type_builds(&rules->types[1], 2) && !world_type_builds(&rules->types[1], 0));
    cr_assert(rules->types[2].build_ticks == 9 && rules->item_count == 2);
    cr_assert_str_eq(rules->items[0], "wood");
    cr_assert(rules->types[2].cost[0] == 300 && rules->types[2].cost[1] == 2);
    cr_assert_eq(rules->construction.refund_percent, 100);
    free(rules);
}

Test(rules_yaml, cooldowns_are_by_the_names_of_commands)
{
    static const char *const names[] = {"move",   "stop",   "attack",      "attack_move",
                                        "patrol", "wander", "gather",      "build",
                                        "repair", "rally",  "cancel_build"};
    struct world_rules *rules = malloc(sizeof *rules);
    char error[256], types[1024];
    cr_assert_eq(sizeof names / sizeof names[0], WORLD_COMMAND_KINDS);
    for (int kind = 0; kind < WORLD_COMMAND_KINDS; kind++) {
        snprintf(types, sizeof types, "%scommands: {cooldown: {%s: 12000}}\n", types_text,
                 names[kind]);
        cr_assert_eq(read_text(types, map_text, rules, error, sizeof error), MM_OK, "%s", error);
        for (int other = 0; other < WORLD_COMMAND_KINDS; other++)
            cr_assert_eq(rules->commands.cooldown_ticks[other], kind == other ? 12000u : 0u);
    }
    free(rules);
}

// `old` is replaced by `new` in one of the files; the error must begin with `where`.
static void wrong(int line, const char *old, const char *new, const char *where, const char *what)
{
    char types[1024], map[1024], error[256];
    snprintf(types, sizeof types, "%s", types_text);
    snprintf(map, sizeof map, "%s", map_text);
    char *target = strstr(types, old) ? types : map, *at = strstr(target, old);
    cr_assert_not_null(at);
    char rest[1024];
    snprintf(rest, sizeof rest, "%s", at + strlen(old));
    snprintf(at, (size_t)(target + 1024 - at), "%s%s", new, rest);
    struct world_rules *rules = malloc(sizeof *rules);
    cr_assert_eq(read_text(types, map, rules, error, sizeof error), MM_INVALID_ARGUMENT,
                 "line %d: accepted", line);
    cr_assert(strncmp(error, where, strlen(where)) == 0 && strstr(error, what),
              "line %d: the error is '%s'", line, error);
    free(rules);
}
#define WRONG(old, new, where, what) wrong(__LINE__, old, new, where, what)

Test(rules_yaml, errors_name_file_and_line)
{
    WRONG("kind: unit", "kind: fish", "types.yaml:5:", "fish");
    WRONG("[hut]", "[hall]", "types.yaml:5:", "hall");
    WRONG("[hut]", "[home]", "types.yaml:5:", "home");
    WRONG("ticks: 9", "ticks: 0", "types.yaml:6:", "ticks");
    WRONG("wood: 300", "wood: 0", "types.yaml:6:", "wood");
    WRONG("wood: 300", "wood: much", "types.yaml:6:", "wood");
    WRONG("wood: 300, clay: 2", "a: 1, b: 1, c: 1, d: 1, e: 1, f: 1, g: 1, h: 1, i: 1",
          "types.yaml:6:", "more than 8 items");
    WRONG("hut: {kind: building", "hut: {kind: resource", "types.yaml:6:", "cannot be built");
    WRONG("ticks_per_hex: 5, ", "", "types.yaml:5:", "cannot build");
    WRONG("start:", "construction: {refund: 101}\nstart:", "types.yaml:7:", "refund");
    WRONG("start:", "commands: {cooldown: {dance: 3}}\nstart:", "types.yaml:7:", "'dance'");
    WRONG("start:", "commands:\n  cooldown:\n    move: 12001\nstart:", "types.yaml:9:", "move");
    WRONG("start:", "commands: {cooldown: 4}\nstart:", "types.yaml:7:", "cooldown");
    WRONG("health: 10, sight", "health: 0, sight", "types.yaml:4:", "");
    WRONG("health: 10, ticks", "helth: 10, ticks", "types.yaml:5:", "");
    WRONG("ticks_per_hex: 5", "ticks_per_hex: fast", "types.yaml:5:", "");
    WRONG("ticks_per_hex: 5", "ticks_per_hex: 5, blocks: true", "types.yaml:5:", "block");
    WRONG("ticks_per_hex: 5", "flags: [flying]", "types.yaml:5:", "flying");
    WRONG("type: home", "type: castle", "types.yaml:8:", "castle");
    WRONG("move_cost: 100", "move_cost: 300", "types.yaml:2:", "");
    WRONG("  unit:", "  home:", "types.yaml:5:", "");
    WRONG("ticks_per_hex: 5", "ticks_per_hex: 5, attack: 3", "types.yaml:5:", "attack_range");
    WRONG("ticks_per_hex: 5", "attack: 3, attack_range: 1", "types.yaml:5:", "attack_cooldown");
    WRONG("ticks_per_hex: 5", "attack: 3, attack_range: 13, attack_cooldown: 9",
          "types.yaml:5:", "");
    WRONG("ticks_per_hex: 5", "attack_range: 2", "types.yaml:5:", "has no attack");
    WRONG("ticks_per_hex: 5", "defence: -1", "types.yaml:5:", "");
    WRONG("ticks_per_hex: 5", "ticks_per_hex: 5, yields: gold", "types.yaml:5:", "no resource");
    WRONG("ticks_per_hex: 5", "ticks_per_hex: 5, gather: {amount: 3, ticks: 9, carry: 2}",
          "types.yaml:5:", "carry");
    WRONG("ticks_per_hex: 5", "ticks_per_hex: 5, gather: {amount: 3, carry: 3}",
          "types.yaml:5:", "ticks");
    WRONG("ticks_per_hex: 5", "gather: {amount: 1, ticks: 9, carry: 2}",
          "types.yaml:5:", "does not move");
    WRONG("start:\n", "combat: {leash: 101}\nstart:\n", "types.yaml:7:", "");
    WRONG("start:\n", "combat: {ranks: [{kills: 2, attack: 110}]}\nstart:\n",
          "types.yaml:7:", "defence");
    WRONG("start:\n", "combat: {ranks: [{kills: 2, attack: 99, defence: 100}]}\nstart:\n",
          "types.yaml:7:", "");
    WRONG("start:\n",
          "combat:\n  ranks:\n  - {kills: 2, attack: 110, defence: 100}\n"
          "  - {kills: 2, attack: 120, defence: 100}\nstart:\n",
          "types.yaml:10:", "more kills");
    WRONG("open_terrain: plains", "open_terrain: moss", "map.yaml:2:", "moss");
    WRONG("generator: blank", "generator: fractal", "map.yaml:1:", "fractal");
    WRONG("generator: blank", "generator: blank\nspeed: 3", "map.yaml:2:", "speed");
    // What only the whole can tell.
    WRONG("open_terrain: plains", "open_terrain: dead", "map.yaml:2:", "open_terrain");
    WRONG("generator: blank", "generator: blank\nhomes: {spacing: 9, grow: 1}",
          "map.yaml:2:", "grow");
}
