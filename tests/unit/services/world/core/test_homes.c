// Where empires begin: as far from each other as the rules say, on land as good as anybody's, and
// with a way to everybody.

#include "services/world/core/state.h"
#include "tests/support/world_fixture.h"
#include <criterion/criterion.h>
#include <stdlib.h>

enum { EMPIRES = 37 }; // a home, and three rings of others about it

// Of a type within a distance of a home, that can be got at from there.
static uint32_t nodes_near(const struct world *world, struct hex_axial home, uint32_t region,
                           const struct world_home_node *node)
{
    struct world_entity_view view;
    uint32_t count = 0;
    for (uint32_t cursor = 0; world_next_entity(world, &cursor, &view);) {
        int32_t distance = hex_distance(home, view.at);
        bool reached = false;
        for (unsigned d = 0; d < HEX_DIRECTIONS; d++) {
            uint32_t cell = world_map_cell(&world->map, hex_neighbor(view.at, d));
            reached |= cell != WORLD_CELL_NONE && world_map_passable(&world->map, cell) &&
                       world->grid.cells[cell].blockers == 0 &&
                       world_map_region(&world->map, cell) == region;
        }
        count += view.type == node->type && distance >= (int32_t)node->distance_from &&
                 distance <= (int32_t)node->distance_to && reached;
    }
    return count;
}

static uint32_t region_of(const struct world *world, struct hex_axial at)
{
    return world_map_region(&world->map, world_map_cell(&world->map, at));
}

static void check_home(const struct world *world, uint32_t number, uint32_t region)
{
    const struct world_map_rules *map = &world->rules.map;
    struct world_empire_view empire;
    cr_assert(world_empire(world, number, &empire));
    struct hex_axial disc[3 * 16 * 17 + 1];
    int32_t clearing = (int32_t)map->clearing_hexes;
    cr_assert_leq(clearing, 16);
    hex_disc(empire.home, clearing, disc);
    for (size_t i = 0; i < hex_disc_count(clearing); i++)
        cr_assert_eq(world_terrain_at(world, disc[i]), (int)map->open_terrain,
                     "empire %u: its clearing at (%d, %d)", number, disc[i].q, disc[i].r);
    cr_assert_eq(region_of(world, empire.home), region, "empire %u is cut off", number);
    for (uint32_t i = 0; i < map->home_node_count; i++)
        cr_assert_geq(nodes_near(world, empire.home, region, &map->home_nodes[i]),
                      map->home_nodes[i].count, "empire %u, node %u", number, i);
    for (uint32_t i = 0; i < world->rules.start_count; i++) {
        uint64_t ids[64];
        const struct world_start *start = &world->rules.start[i];
        size_t count = fixture_units(world, number, world->rules.types[start->type].name, ids, 64);
        cr_assert_eq(count, start->count, "empire %u, start %u", number, i);
        for (size_t j = 0; j < count; j++) {
            struct world_entity_view view;
            cr_assert(world_find_entity(world, ids[j], &view));
            cr_assert_leq(hex_distance(view.at, empire.home), clearing, "near its home");
            cr_assert_eq(region_of(world, view.at), region);
        }
    }
}

Test(homes, are_far_apart_alike_and_joined, .timeout = 300)
{
    struct world_rules *rules = fixture_wild_rules();
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct world *world = fixture_world(rules, seed);
        fixture_found(world, EMPIRES);
        struct world_empire_view one, other;
        cr_assert(world_empire(world, 1, &one));
        uint32_t region = region_of(world, one.home);
        // Between the middles of neighbouring chunks.
        int32_t least =
            (int32_t)(rules->map.home_spacing_chunks * (2 * rules->map.chunk_radius + 1));
        for (uint32_t i = 1; i <= EMPIRES; i++) {
            int32_t nearest = INT32_MAX;
            check_home(world, i, region);
            cr_assert(world_empire(world, i, &one));
            for (uint32_t j = 1; j <= EMPIRES; j++) {
                cr_assert(world_empire(world, j, &other));
                int32_t distance = hex_distance(one.home, other.home);
                if (i != j && distance < nearest)
                    nearest = distance;
            }
            cr_assert_eq(nearest, least, "empire %u has its next neighbour %d hexes off", i,
                         nearest);
        }
        world_free(world);
    }
    free(rules);
}
