#include "services/world/rules_yaml_internal.h"

// game/map.yaml: how a session's map is made.

#define DISTANCE_MAX 32

static const struct world_yaml_word generators[] = {
    {"blank", WORLD_GENERATOR_BLANK},
    {"noise", WORLD_GENERATOR_NOISE},
};

static void read_noise(struct mm_yaml_node *node, struct world_rules *rules)
{
    struct world_map_rules *map = &rules->map;
    map->wavelength_hexes = world_yaml_u32(node, "wavelength", 1000, map->wavelength_hexes);
    map->octaves = world_yaml_u32(node, "octaves", 6, map->octaves);
    struct mm_yaml_node *bands = mm_yaml_get_list(node, "bands");
    for (size_t i = 0; i < mm_yaml_count(bands); i++) {
        struct mm_yaml_node *item = mm_yaml_at(bands, i);
        if (map->band_count == WORLD_BANDS_MAX) {
            mm_yaml_fail(item, "more than %d bands", WORLD_BANDS_MAX);
            break;
        }
        struct world_band *band = &map->bands[map->band_count++];
        band->terrain = world_yaml_terrain(item, "terrain", rules);
        band->height_from = world_yaml_u32(item, "height_from", 1000, 0);
        band->height_below = world_yaml_u32(item, "height_below", 1000, 1000);
        band->moisture_from = world_yaml_u32(item, "moisture_from", 1000, 0);
        band->moisture_below = world_yaml_u32(item, "moisture_below", 1000, 1000);
        mm_yaml_end(item);
    }
    mm_yaml_end(node);
}

static void read_distance(struct mm_yaml_node *item, struct world_home_node *node)
{
    struct mm_yaml_node *range = mm_yaml_get_list(item, "distance");
    int64_t from = 1, to = 1;
    if (mm_yaml_count(range) != 2) {
        mm_yaml_fail(world_yaml_at_key(item, "distance"), "distance must be [from, to]");
    } else if (mm_yaml_as_int(mm_yaml_at(range, 0), 1, DISTANCE_MAX, &from) &&
               mm_yaml_as_int(mm_yaml_at(range, 1), 1, DISTANCE_MAX, &to) && from > to) {
        mm_yaml_fail(range, "distance ends before it begins");
    }
    node->distance_from = (uint32_t)from;
    node->distance_to = (uint32_t)to;
}

static void read_nodes(struct mm_yaml_node *node, struct world_rules *rules)
{
    struct world_map_rules *map = &rules->map;
    struct mm_yaml_node *list = mm_yaml_get_list(node, "home");
    for (size_t i = 0; i < mm_yaml_count(list); i++) {
        struct mm_yaml_node *item = mm_yaml_at(list, i);
        if (map->home_node_count == WORLD_NODE_RULES_MAX) {
            mm_yaml_fail(item, "more than %d lines of home nodes", WORLD_NODE_RULES_MAX);
            break;
        }
        struct world_home_node *home = &map->home_nodes[map->home_node_count++];
        home->type = world_yaml_type(item, "type", rules);
        home->count = (uint32_t)mm_yaml_need_int(item, "count", 0, 64);
        read_distance(item, home);
        mm_yaml_end(item);
    }
    list = mm_yaml_get_list(node, "scatter");
    for (size_t i = 0; i < mm_yaml_count(list); i++) {
        struct mm_yaml_node *item = mm_yaml_at(list, i);
        if (map->scatter_count == WORLD_NODE_RULES_MAX) {
            mm_yaml_fail(item, "more than %d lines of scattered nodes", WORLD_NODE_RULES_MAX);
            break;
        }
        struct world_scatter *scatter = &map->scatter[map->scatter_count++];
        scatter->type = world_yaml_type(item, "type", rules);
        scatter->terrain = world_yaml_terrain(item, "terrain", rules);
        scatter->per_myriad = (uint32_t)mm_yaml_need_int(item, "per_myriad", 0, 10000);
        mm_yaml_end(item);
    }
    mm_yaml_end(node);
}

// {type: count, ...}, all together at most WORLD_CAMP_GUARDS_MAX.
static void read_guards(struct mm_yaml_node *guards, const struct world_rules *rules,
                        struct world_camp_rules *camp)
{
    for (size_t i = 0; i < mm_yaml_count(guards); i++) {
        struct mm_yaml_node *node = mm_yaml_at(guards, i);
        int type = world_rules_type(rules, mm_yaml_key_at(guards, i));
        int64_t count = 0;
        if (!mm_yaml_as_int(node, 1, WORLD_CAMP_GUARDS_MAX, &count))
            continue;
        if (type < 0)
            mm_yaml_fail(node, "there is no type '%s'", mm_yaml_key_at(guards, i));
        else if (camp->guard_count + count > WORLD_CAMP_GUARDS_MAX)
            mm_yaml_fail(node, "more than %d guards of one camp", WORLD_CAMP_GUARDS_MAX);
        else
            while (count-- > 0)
                camp->guards[camp->guard_count++] = (uint32_t)type;
    }
}

static void read_camps(struct mm_yaml_node *node, struct world_rules *rules)
{
    struct world_map_rules *map = &rules->map;
    map->camp_distance_chunks = world_yaml_u32(node, "distance", 16, map->camp_distance_chunks);
    struct mm_yaml_node *kinds_list = mm_yaml_get_list(node, "kinds");
    for (size_t i = 0; i < mm_yaml_count(kinds_list); i++) {
        struct mm_yaml_node *item = mm_yaml_at(kinds_list, i);
        if (map->camp_count == WORLD_CAMP_RULES_MAX) {
            mm_yaml_fail(item, "more than %d kinds of camps", WORLD_CAMP_RULES_MAX);
            break;
        }
        struct world_camp_rules *camp = &map->camps[map->camp_count++];
        camp->lair = world_yaml_type(item, "lair", rules);
        camp->per_myriad = (uint32_t)mm_yaml_need_int(item, "per_myriad", 0, 10000);
        camp->roam_hexes = (uint32_t)mm_yaml_need_int(item, "roam", 1, WORLD_WANDER_RADIUS_MAX);
        camp->respawn_ticks = (uint32_t)mm_yaml_need_int(item, "respawn", 1, 1000000);
        read_guards(mm_yaml_get_map(item, "guards"), rules, camp);
        mm_yaml_end(item);
    }
    mm_yaml_end(node);
}

void world_rules_read_map(struct mm_yaml *doc, struct world_rules *rules)
{
    struct world_map_rules *map = &rules->map;
    struct mm_yaml_node *root = mm_yaml_root(doc);
    map->generator = WORLD_YAML_WORD(root, "generator", generators, "noise");
    map->chunk_radius = world_yaml_u32(root, "chunk_radius", 32, map->chunk_radius);
    map->open_terrain = world_yaml_terrain(root, "open_terrain", rules);
    read_noise(mm_yaml_get_map(root, "noise"), rules);
    struct mm_yaml_node *homes = mm_yaml_get_map(root, "homes");
    map->home_spacing_chunks = world_yaml_u32(homes, "spacing", 16, map->home_spacing_chunks);
    map->home_grow_chunks = world_yaml_u32(homes, "grow", 16, map->home_grow_chunks);
    map->clearing_hexes = world_yaml_u32(homes, "clearing", 32, map->clearing_hexes);
    map->road_width_hexes = world_yaml_u32(homes, "road_width", 4, map->road_width_hexes);
    mm_yaml_end(homes);
    read_nodes(mm_yaml_get_map(root, "nodes"), rules);
    read_camps(mm_yaml_get_map(root, "camps"), rules);
    map->explored_chunks_max =
        world_yaml_u32(root, "explored_max", WORLD_CHUNKS_MAX, map->explored_chunks_max);
    mm_yaml_end(root);
}
