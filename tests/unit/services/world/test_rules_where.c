// Whatever is wrong in the game's data is told with its file and the line of the key that says it:
// one row for each check, of one file and of both together.

#include "libcommon/service/yaml.h"
#include "services/world/rules_yaml.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Every key on a line of its own, none twice alike, so that a row can name it.
static const char types_text[] = "# A comment, so that nothing begins on line 1.\n"
                                 "terrains:\n"
                                 "  plains:\n"
                                 "    move_cost: 100\n"
                                 "    sight_cost: 0\n"
                                 "  lake:\n"
                                 "    move_cost: 0\n"
                                 "types:\n"
                                 "  hall:\n"
                                 "    kind: building\n"
                                 "    health: 900\n"
                                 "    flags: [settlement]\n"
                                 "  hut:\n"
                                 "    kind: building\n"
                                 "    health: 30\n"
                                 "    build:\n"
                                 "      ticks: 9\n"
                                 "      cost:\n"
                                 "        wood: 300\n"
                                 "        clay: 2\n"
                                 "  worker:\n"
                                 "    kind: unit\n"
                                 "    health: 20\n"
                                 "    sight: 3\n"
                                 "    ticks_per_hex: 5\n"
                                 "    gather:\n"
                                 "      amount: 2\n"
                                 "      ticks: 20\n"
                                 "      carry: 8\n"
                                 "    builds:\n"
                                 "      - hut\n"
                                 "  soldier:\n"
                                 "    kind: unit\n"
                                 "    health: 40\n"
                                 "    ticks_per_hex: 6\n"
                                 "    attack: 7\n"
                                 "    defence: 1\n"
                                 "    attack_range: 1\n"
                                 "    attack_cooldown: 16\n"
                                 "  mine:\n"
                                 "    kind: resource\n"
                                 "    health: 1\n"
                                 "    amount: 100\n"
                                 "    yields: gold\n"
                                 "  wolf:\n"
                                 "    kind: npc\n"
                                 "    health: 7\n"
                                 "    ticks_per_hex: 8\n"
                                 "  den:\n"
                                 "    kind: npc\n"
                                 "    health: 300\n"
                                 "    blocks: true\n"
                                 "start:\n"
                                 "  - type: hall\n"
                                 "    count: 1\n"
                                 "  - type: soldier\n"
                                 "    count: 2\n"
                                 "movement:\n"
                                 "  units_per_hex: 1\n"
                                 "  path_nodes_per_tick: 20000\n"
                                 "  path_nodes_per_search: 6000\n"
                                 "  patience: 12\n"
                                 "  replans: 4\n"
                                 "  rest: 21\n"
                                 "combat:\n"
                                 "  guard: true\n"
                                 "  leash: 8\n"
                                 "  ranks:\n"
                                 "    - kills: 3\n"
                                 "      attack: 115\n"
                                 "      defence: 110\n"
                                 "    - kills: 10\n"
                                 "      attack: 130\n"
                                 "      defence: 150\n"
                                 "sight:\n"
                                 "  fog_of_war: true\n"
                                 "  terrain_blocks: false\n"
                                 "construction:\n"
                                 "  refund: 99\n"
                                 "commands:\n"
                                 "  per_second: 25\n"
                                 "  burst: 60\n"
                                 "  units: 256\n"
                                 "  cooldown:\n"
                                 "    move: 0\n"
                                 "    wander: 6\n"
                                 "spawn_keys_kept: 65536\n"
                                 "entities_max: 1048576\n";
static const char map_text[] = "# As above.\n"
                               "generator: noise\n"
                               "chunk_radius: 9\n"
                               "explored_max: 20000\n"
                               "open_terrain: plains\n"
                               "noise:\n"
                               "  wavelength: 14\n"
                               "  octaves: 3\n"
                               "  bands:\n"
                               "    - terrain: lake\n"
                               "      height_below: 260\n"
                               "    - terrain: plains\n"
                               "      height_from: 1\n"
                               "      moisture_from: 2\n"
                               "      moisture_below: 990\n"
                               "homes:\n"
                               "  spacing: 3\n"
                               "  grow: 2\n"
                               "  clearing: 5\n"
                               "  road_width: 1\n"
                               "nodes:\n"
                               "  home:\n"
                               "    - type: mine\n"
                               "      count: 1\n"
                               "      distance: [5, 7]\n"
                               "    - type: mine\n"
                               "      count: 3\n"
                               "      distance: [5, 8]\n"
                               "  scatter:\n"
                               "    - type: mine\n"
                               "      terrain: plains\n"
                               "      per_myriad: 900\n"
                               "camps:\n"
                               "  distance: 2\n"
                               "  kinds:\n"
                               "    - lair: den\n"
                               "      per_myriad: 1500\n"
                               "      roam: 4\n"
                               "      respawn: 1200\n"
                               "      guards:\n"
                               "        wolf: 3\n";

enum { TEXT_MAX = 32768 };

static int line_of(const char *text, const char *at)
{
    int line = 1;
    for (; text < at; text++)
        line += *text == '\n';
    return line;
}

// Replaces the first `old` behind the first `after`. Returns where, NULL if it is not there.
static char *replace(char text[TEXT_MAX], const char *after, const char *old, const char *new)
{
    static char rest[TEXT_MAX];
    char *from = strstr(text, after), *at = from ? strstr(from, old) : NULL;
    if (!at)
        return NULL;
    snprintf(rest, sizeof rest, "%s", at + strlen(old));
    snprintf(at, (size_t)(text + TEXT_MAX - at), "%s%s", new, rest);
    return at;
}

static size_t read_both(const char *types_source, const char *map_source, char *error, size_t bytes)
{
    struct mm_yaml *types = mm_yaml_parse("types.yaml", types_source, strlen(types_source));
    struct mm_yaml *map = mm_yaml_parse("map.yaml", map_source, strlen(map_source));
    struct world_rules *rules = malloc(sizeof *rules);
    enum mm_err err = world_rules_read(types, map, rules);
    size_t count = mm_yaml_error_count(types) + mm_yaml_error_count(map);
    const char *first = mm_yaml_error(types, 0) ? mm_yaml_error(types, 0) : mm_yaml_error(map, 0);
    snprintf(error, bytes, "%s", first ? first : "");
    cr_assert_eq(err, count ? MM_INVALID_ARGUMENT : MM_OK);
    free(rules);
    mm_yaml_free(types);
    mm_yaml_free(map);
    return count;
}

struct row {
    const char *after, *old, *new; // the first `old` behind `after` becomes `new`
    const char *key;               // the error stands on its line, the first behind `after`
    const char *says;
};

static void check(const struct row *row, bool in_map)
{
    static char types[TEXT_MAX], map[TEXT_MAX];
    char error[512], where[64];
    snprintf(types, sizeof types, "%s", types_text);
    snprintf(map, sizeof map, "%s", map_text);
    char *text = in_map ? map : types;
    cr_assert_not_null(replace(text, row->after, row->old, row->new), "%s", row->old);
    const char *from = strstr(text, row->after), *key = strstr(from ? from : text, row->key);
    cr_assert_not_null(key, "%s is not there", row->key);
    size_t count = read_both(types, map, error, sizeof error);
    snprintf(where, sizeof where, "%s.yaml:%d: ", in_map ? "map" : "types", line_of(text, key));
    cr_expect_geq(count, 1u, "%s for %s: accepted", row->new, row->old);
    cr_expect(strncmp(error, where, strlen(where)) == 0 && strstr(error, row->says),
              "%s for %s: expected %s...%s, the error is '%s'", row->new, row->old, where,
              row->says, error);
}

static const struct row types_rows[] = {
    // Of one value.
    {"plains:", "move_cost: 100", "move_cost: 256", "move_cost: 256", "255"},
    {"plains:", "    move_cost: 100\n", "", "plains:", "move_cost"},
    {"plains:", "sight_cost: 0", "sight_cost: 33", "sight_cost: 33", "32"},
    {"plains:", "sight_cost", "sight_costs", "sight_costs", "sight_cost"},
    {"hall:", "kind: building", "kind: fish", "kind: fish", "fish"},
    {"hall:", "    kind: building\n", "", "hall:", "kind"},
    {"hall:", "health: 900", "health: 0", "health: 0", "health"},
    {"hall:", "[settlement]", "[settlement, flying]", "flags", "flying"},
    {"worker:", "sight: 3", "sight: 33", "sight: 33", "sight"},
    {"worker:", "sight: 3", "sight_type: psychic", "sight_type", "psychic"},
    {"worker:", "ticks_per_hex: 5", "ticks_per_hex: fast", "ticks_per_hex", "fast"},
    {"worker:", "amount: 2", "amount: 0", "amount: 0", "amount"},
    {"gather:", "ticks: 20", "ticks: 10001", "ticks: 10001", "ticks"},
    {"gather:", "      carry: 8\n", "", "gather:", "carry"},
    {"hut:", "ticks: 9", "ticks: 0", "ticks: 0", "ticks"},
    {"hut:", "wood: 300", "wood: 0", "wood: 0", "wood"},
    {"hut:", "clay: 2", "clay: much", "clay: much", "much"},
    {"soldier:", "attack: 7", "attack: 1000001", "attack: 1000001", "1000000"},
    {"soldier:", "defence: 1", "defence: -1", "defence: -1", "defence"},
    {"soldier:", "attack_range: 1", "attack_range: 13", "attack_range: 13", "12"},
    {"soldier:", "attack_cooldown: 16", "attack_cooldown: 0", "attack_cooldown: 0", "10000"},
    {"mine:", "amount: 100", "amount: 1000000001", "amount: 1000000001", "amount"},
    {"den:", "blocks: true", "blocks: perhaps", "blocks: perhaps", "perhaps"},
    {"start:", "count: 1", "count: 65", "count: 65", "64"},
    {"start:", "    count: 1\n", "", "- type: hall", "count"},
    {"movement:", "units_per_hex: 1", "units_per_hex: 201", "units_per_hex: 201", "200"},
    {"movement:", "patience: 12", "patience: 201", "patience: 201", "200"},
    {"movement:", "replans: 4", "replans: 201", "replans: 201", "200"},
    {"movement:", "rest: 21", "rest: 1201", "rest: 1201", "1200"},
    {"combat:", "guard: true", "guard: maybe", "guard: maybe", "maybe"},
    {"combat:", "leash: 8", "leash: 101", "leash: 101", "100"},
    {"ranks:", "attack: 115", "attack: 99", "attack: 99", "100"},
    {"ranks:", "defence: 150", "defence: 1001", "defence: 1001", "1000"},
    {"sight:", "fog_of_war: true", "fog_of_war: 2", "fog_of_war: 2", "true"},
    {"sight:", "terrain_blocks: false", "terrain_blocks: yes", "terrain_blocks: yes", "true"},
    {"construction:", "refund: 99", "refund: 101", "refund: 101", "100"},
    {"commands:", "per_second: 25", "per_second: 10001", "per_second: 10001", "10000"},
    {"commands:", "burst: 60", "burst: 10001", "burst: 10001", "10000"},
    {"commands:", "units: 256", "units: 257", "units: 257", "256"},
    {"commands:", "move: 0", "move: 12001", "move: 12001", "12000"},
    {"commands:", "wander: 6", "dance: 6", "dance: 6", "dance"},
    {"commands:", "spawn_keys_kept: 65536", "spawn_keys_kept: 1048576", "spawn_keys_kept",
     "1048575"},
    {"commands:", "entities_max: 1048576", "entities_max: 2097153", "entities_max", "2097152"},
    {"commands:", "entities_max", "entity_max", "entity_max", "entities_max"},
    // Of values of one thing together.
    {"gather:", "carry: 8", "carry: 1", "carry: 1", "cannot carry"},
    {"worker:", "ticks_per_hex: 5", "ticks_per_hex: 0", "gather:", "cannot gather"},
    {"hut:", "kind: building", "kind: resource", "build:", "cannot be built"},
    {"hut:", "health: 30", "health: 30\n    blocks: false", "build:", "cannot be built"},
    {"soldier:", "    attack_range: 1\n", "", "soldier:", "attack_range"},
    {"soldier:", "    attack_cooldown: 16\n", "", "soldier:", "attack_cooldown"},
    {"soldier:", "attack: 7", "attack: 0", "attack_range", "no attack"},
    {"soldier:", "kind: unit", "kind: resource\n    blocks: false", "attack: 7", "cannot attack"},
    {"soldier:", "attack: 7", "attack: 7\n    blocks: true", "blocks: true", "cannot block"},
    {"hall:", "health: 900", "health: 900\n    ticks_per_hex: 3", "ticks_per_hex: 3",
     "cannot block"},
    {"worker:", "sight: 3", "yields: milk", "yields: milk", "yields nothing"},
    {"mine:", "yields: gold", "yields: abcdefghijklmnopqrstuvwxyz0123456789", "yields",
     "longer than"},
    {"defence: 110", "kills: 10", "kills: 3", "kills: 3", "more kills"},
    {"den:", "blocks: true", "blocks: true\n    builds:\n      - hut", "builds:", "cannot build"},
    {"builds:", "- hut", "- hall", "- hall", "hall"},
    {"builds:", "- hut", "- castle", "- castle", "castle"},
    {"start:", "type: soldier", "type: dragon", "type: dragon", "dragon"},
    {"- hut", "  soldier:", "  worker:", "  worker:", "duplicate"},
    // Of names and counts.
    {"terrains:", "  lake:", "  Lake:", "  Lake:", "a-z"},
    {"terrains:", "  lake:", "  dead:", "  dead:", "anyway"},
    {"terrains:", "  lake:", "  abcdefghijklmnopqrstuvwxyz0123456789:", "  abc", "longer than"},
    {"types:", "  wolf:", "  grey wolf:", "  grey wolf:", "a-z"},
    {"types:", "  wolf:", "  abcdefghijklmnopqrstuvwxyz0123456789:", "  abc", "longer than"},
    {"hut:", "clay: 2", "wet.clay: 2", "wet.clay: 2", "a-z"},
    {"hut:", "clay: 2", "Clay: 2", "Clay: 2", "a-z"},
    {"mine:", "yields: gold", "yields: Gold", "yields: Gold", "a-z"},
    {"hut:", "clay: 2",
     "a: 1\n        b: 1\n        c: 1\n        d: 1\n        e: 1\n        f: 1\n        g: 1\n"
     "        h: 1\n        i: 1",
     " h: 1", "more than 8 items"},
    // Of the whole.
    {"movement:", "units_per_hex: 1", "units_per_hex: 0", "units_per_hex: 0", "1 to 200"},
    {"movement:", "path_nodes_per_tick: 20000", "path_nodes_per_tick: 0", "path_nodes_per_tick",
     "at least"},
    {"movement:", "path_nodes_per_search: 6000", "path_nodes_per_search: 63",
     "path_nodes_per_search", "64 to 65536"},
    {"commands:", "per_second: 25", "per_second: 0", "per_second: 0", "per_second"},
    {"commands:", "burst: 60", "burst: 0", "burst: 0", "burst"},
    {"commands:", "units: 256", "units: 0", "units: 0", "units"},
    {"commands:", "spawn_keys_kept: 65536", "spawn_keys_kept: 0", "spawn_keys_kept",
     "spawn_keys_kept"},
    {"commands:", "entities_max: 1048576", "entities_max: 0", "entities_max", "entities_max"},
};

static const struct row map_rows[] = {
    // Of one value.
    {"generator", "noise", "chaos", "generator: chaos", "chaos"},
    {"chunk_radius", "chunk_radius: 9", "chunk_radius: 33", "chunk_radius: 33", "32"},
    {"explored_max", "20000", "131073", "explored_max", "131072"},
    {"open_terrain", "plains", "moor", "open_terrain: moor", "moor"},
    {"noise:\n", "wavelength: 14", "wavelength: 1001", "wavelength: 1001", "1000"},
    {"noise:\n", "octaves: 3", "octaves: 7", "octaves: 7", "6"},
    {"bands:", "height_below: 260", "height_below: 1001", "height_below: 1001", "1000"},
    {"bands:", "height_from: 1", "height_from: 1001", "height_from: 1001", "1000"},
    {"bands:", "moisture_from: 2", "moisture_from: -1", "moisture_from: -1", "moisture"},
    {"bands:", "moisture_below: 990", "moisture_below: 1001", "moisture_below: 1001", "1000"},
    {"bands:", "terrain: lake", "terrain: moor", "terrain: moor", "moor"},
    {"homes:", "spacing: 3", "spacing: 17", "spacing: 17", "16"},
    {"homes:", "grow: 2", "grow: 17", "grow: 17", "16"},
    {"homes:", "clearing: 5", "clearing: 33", "clearing: 33", "32"},
    {"homes:", "road_width: 1", "road_width: 5", "road_width: 5", "4"},
    {"  home:", "type: mine", "type: quarry", "type: quarry", "quarry"},
    {"  home:", "count: 3", "count: 65", "count: 65", "64"},
    {"  home:", "distance: [5, 8]", "distance: [5]", "distance: [5]", "[from, to]"},
    {"[5, 7]", "      distance: [5, 8]\n", "", "- type: mine", "[from, to]"},
    {"  home:", "distance: [5, 8]", "distance: [0, 8]", "distance: [0, 8]", "distance"},
    {"scatter:", "terrain: plains", "terrain: moor", "terrain: moor", "moor"},
    {"scatter:", "per_myriad: 900", "per_myriad: 10001", "per_myriad: 10001", "10000"},
    {"scatter:", "type: mine", "type: quarry", "type: quarry", "quarry"},
    {"camps:", "distance: 2", "distance: 17", "distance: 17", "16"},
    {"kinds:", "lair: den", "lair: nest", "lair: nest", "nest"},
    {"kinds:", "per_myriad: 1500", "per_myriad: 10001", "per_myriad: 10001", "10000"},
    {"kinds:", "roam: 4", "roam: 33", "roam: 33", "32"},
    {"kinds:", "respawn: 1200", "respawn: 0", "respawn: 0", "respawn"},
    {"guards:", "wolf: 3", "wolf: 7", "wolf: 7", "6"},
    {"guards:", "wolf: 3", "bear: 3", "bear: 3", "bear"},
    {"camps:", "respawn", "return", "- lair", "respawn"},
    // Of both files together.
    {"chunk_radius", "chunk_radius: 9", "chunk_radius: 1", "chunk_radius: 1", "2 to 32"},
    {"open_terrain", "plains", "dead", "open_terrain: dead", "walked on"},
    {"open_terrain", "plains", "lake", "open_terrain: lake", "walked on"},
    {"noise:\n", "wavelength: 14", "wavelength: 1", "wavelength: 1", "2 to 1000"},
    {"noise:\n", "octaves: 3", "octaves: 0", "octaves: 0", "1 to 6"},
    {"homes:", "spacing: 3", "spacing: 0", "spacing: 0", "1 to 16"},
    {"homes:", "grow: 2", "grow: 0", "grow: 0", "half the spacing"},
    {"homes:", "spacing: 3", "spacing: 6", "grow: 2", "half the spacing"},
    {"homes:", "spacing: 3\n  grow: 2", "spacing: 6", "spacing: 6", "half the spacing"},
    {"homes:", "clearing: 5", "clearing: 10", "clearing: 10", "clearing"},
    {"homes:", "clearing: 5", "clearing: 0", "clearing: 0", "clearing"},
    {"chunk_radius", "chunk_radius: 9", "chunk_radius: 4", "clearing: 5", "clearing"},
    {"  home:", "type: mine", "type: hut", "type: hut", "no resource"},
    {"  home:", "distance: [5, 8]", "distance: [8, 5]", "distance: [8, 5]", "before it begins"},
    {"  home:", "distance: [5, 8]", "distance: [5, 19]", "distance: [5, 19]", "two chunk_radius"},
    {"scatter:", "type: mine", "type: wolf", "type: wolf", "no resource"},
    {"camps:", "distance: 2", "distance: 0", "distance: 0", "1 to 16"},
    {"kinds:", "lair: den", "lair: wolf", "lair: wolf", "stays put"},
    {"kinds:", "lair: den", "lair: hall", "lair: hall", "no npc"},
    {"guards:", "wolf: 3", "wolf: 2\n        den: 1", "den: 1", "moves"},
    {"guards:", "wolf: 3", "wolf: 2\n        soldier: 1", "soldier: 1", "no npc"},
};

Test(rules_where, what_is_right_is_accepted)
{
    char error[512];
    cr_assert_eq(read_both(types_text, map_text, error, sizeof error), 0u, "%s", error);
}

Test(rules_where, in_types)
{
    for (size_t i = 0; i < sizeof types_rows / sizeof types_rows[0]; i++)
        check(&types_rows[i], false);
}

Test(rules_where, in_map)
{
    for (size_t i = 0; i < sizeof map_rows / sizeof map_rows[0]; i++)
        check(&map_rows[i], true);
}

// One more than there may be of something: the error stands at that one.
Test(rules_where, too_many)
{
    static const struct {
        bool in_map;
        const char *last, *format; // behind the last there is
        int more;                  // than there may be, with those there are
        const char *says;
    } rows[] = {
        {false, "    move_cost: 0\n", "  t%d: {move_cost: 9}\n", 64 - 3 + 1,
         "more than 64 terrains"},
        {false, "    blocks: true\n", "  t%d: {kind: unit, health: 1}\n", 512 - 7 + 1,
         "more than 512 types"},
        {false, "    blocks: true\n", "  t%d: {kind: resource, health: 1, yields: x}\n", 16 - 1 + 1,
         "more than 16 types yield"},
        {false, "    count: 2\n", "  - {type: hut, count: %d}\n", 16 - 2 + 1, "more than 16 lines"},
        {false, "      defence: 150\n", "    - {kills: 1%d, attack: 100, defence: 100}\n",
         4 - 2 + 1, "more than 4 ranks"},
        {true, "      moisture_below: 990\n", "    - {terrain: lake, height_from: %d}\n",
         32 - 2 + 1, "more than 32 bands"},
        {true, "      distance: [5, 8]\n", "    - {type: mine, count: %d, distance: [2, 3]}\n",
         16 - 2 + 1, "more than 16 lines of home nodes"},
        {true, "      per_myriad: 900\n", "    - {type: mine, terrain: plains, per_myriad: %d}\n",
         16 - 1 + 1, "more than 16 lines of scattered nodes"},
        {true, "        wolf: 3\n", "    - {lair: den, per_myriad: 1, roam: 1, respawn: %d}\n",
         8 - 1 + 1, "more than 8 kinds of camps"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        static char types[TEXT_MAX], map[TEXT_MAX], lines[TEXT_MAX];
        char error[512], where[64];
        snprintf(types, sizeof types, "%s", types_text);
        snprintf(map, sizeof map, "%s", map_text);
        char *text = rows[i].in_map ? map : types;
        size_t used = (size_t)snprintf(lines, sizeof lines, "%s", rows[i].last);
        // The attribute of a format is not known here; the rows are above.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        for (int n = 1; n <= rows[i].more; n++)
            used += (size_t)snprintf(lines + used, sizeof lines - used, rows[i].format, n);
#pragma GCC diagnostic pop
        char *at = replace(text, "", rows[i].last, lines);
        cr_assert_not_null(at);
        snprintf(where, sizeof where, "%s.yaml:%d: ", rows[i].in_map ? "map" : "types",
                 line_of(text, at) + rows[i].more);
        cr_expect_eq(read_both(types, map, error, sizeof error), 1u, "%s", error);
        cr_expect(strncmp(error, where, strlen(where)) == 0 && strstr(error, rows[i].says),
                  "expected %s...%s, the error is '%s'", where, rows[i].says, error);
    }
}

// What is not there has no line of its own: it is told at what should have it.
Test(rules_where, too_few)
{
    static const char terrains[] = "terrains:\n  plains: {move_cost: 100}\n";
    static const char type[] = "types:\n  hall: {kind: building, health: 1}\n";
    static const char start[] = "start:\n  - {type: hall, count: 1}\n";
    static const char map[] = "open_terrain: plains\n";
    char types[1024], error[512];
    snprintf(types, sizeof types, "%s%s%s", terrains, type, start);
    cr_expect_eq(read_both(types, map, error, sizeof error), 0u, "%s", error);
    snprintf(types, sizeof types, "%stypes: {}\n", terrains);
    cr_expect_eq(read_both(types, map, error, sizeof error), 2u);
    cr_expect_str_eq(error, "types.yaml:3: there must be at least one type");
    snprintf(types, sizeof types, "\n%s", terrains);
    cr_expect_eq(read_both(types, map, error, sizeof error), 2u);
    cr_expect_str_eq(error, "types.yaml:2: there must be at least one type");
    snprintf(types, sizeof types, "%s%sterrains: {}\n", type, start);
    cr_expect_eq(read_both(types, map, error, sizeof error), 1u);
    cr_expect_str_eq(error, "types.yaml:5: there must be at least one terrain");
    snprintf(types, sizeof types, "%s%s\nstart: []\n", terrains, type);
    cr_expect_eq(read_both(types, map, error, sizeof error), 1u);
    cr_expect_str_eq(error, "types.yaml:6: an empire must start with something");
    snprintf(types, sizeof types, "%s%s%s", terrains, type, start);
    cr_expect_eq(read_both(types, "\nchunk_radius: 9\n", error, sizeof error), 1u);
    cr_expect(strncmp(error, "map.yaml:2: ", 12) == 0 && strstr(error, "open_terrain"), "%s",
              error);
    cr_expect_geq(read_both("", map, error, sizeof error), 1u);
    cr_expect_eq(strncmp(error, "types.yaml: ", 12), 0, "%s", error); // an empty file has no line
}
