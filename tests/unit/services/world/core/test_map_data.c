#include "services/world/core/state.h"
#include "tests/support/world_fixture.h"

#include "libcommon/base/rng.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

// The map as it is given to those who keep it: by chunk, each with a version of its own; and how
// its chunks are stitched together.

enum { CHUNKS_MAX = 256 };

struct fetched {
    struct mm_arena *arena;
    Mmorts__Frame__ChunkColumns *chunks;
    uint32_t unchanged[CHUNKS_MAX];
    size_t unchanged_count;
};

static struct fetched fetch(const struct world *world, const struct world_chunk_wish *wishes,
                            size_t count)
{
    struct fetched fetched = {.arena = mm_arena_new(1 << 20, (size_t)1 << 28)};
    fetched.chunks = world_chunk_columns(world, wishes, count, fetched.arena, fetched.unchanged,
                                         &fetched.unchanged_count);
    cr_assert(fetched.chunks && fetched.chunks->n_version == fetched.chunks->n_q);
    return fetched;
}

static size_t all_chunks(const struct world *world, struct world_chunk_wish *wishes)
{
    size_t count = world_chunk_count(world);
    cr_assert_leq(count, CHUNKS_MAX);
    for (uint32_t i = 0; i < count; i++)
        wishes[i] = (struct world_chunk_wish){
            hex_chunk_center(&world->map.tiling, world->map.chunks[i]), 0};
    return count;
}

// Asks for everything and keeps the versions.
static size_t learn(const struct world *world, struct world_chunk_wish *wishes)
{
    size_t count = all_chunks(world, wishes);
    struct fetched fetched = fetch(world, wishes, count);
    cr_assert_eq(fetched.chunks->n_q, count);
    for (size_t i = 0; i < count; i++) {
        wishes[i].known = fetched.chunks->version[i];
        cr_assert_neq(wishes[i].known, 0u);
        for (size_t j = 0; j < i; j++)
            cr_assert_neq(wishes[i].known, wishes[j].known, "no two chunks have the same");
    }
    mm_arena_free(fetched.arena);
    return count;
}

static size_t changed(const struct world *world, const struct world_chunk_wish *wishes,
                      size_t count)
{
    struct fetched fetched = fetch(world, wishes, count);
    size_t changes = fetched.chunks->n_q;
    cr_assert_eq(fetched.unchanged_count, count - changes);
    mm_arena_free(fetched.arena);
    return changes;
}

Test(map_data, what_is_known_is_not_sent_again_and_what_is_not_there_is_left_out)
{
    struct world_chunk_wish wishes[CHUNKS_MAX];
    struct world *world = fixture_world(NULL, 1);
    size_t count = learn(world, wishes);
    cr_expect_eq(changed(world, wishes, count), 0u);
    wishes[3].known++;
    wishes[5].known = 0;
    cr_expect_eq(changed(world, wishes, count), 2u);
    // Another hex of a chunk that was asked for before, a hex off the map and one out of bounds.
    struct world_chunk_wish odd[] = {
        {{0, 0}, 0}, {{1, 0}, wishes[0].known}, {{9000, 0}, 0}, {{INT32_MAX, INT32_MIN}, 7}};
    struct fetched fetched = fetch(world, odd, 4);
    cr_expect(fetched.chunks->n_q == 1 && fetched.unchanged_count == 0);
    mm_arena_free(fetched.arena);
    // What came since is sent, and nothing else.
    fixture_found(world, 2);
    struct world_chunk_wish now[CHUNKS_MAX];
    size_t more = all_chunks(world, now);
    cr_assert_gt(more, count);
    learn(world, wishes);
    for (size_t i = 0; i < count; i++)
        now[i].known = wishes[i].known;
    cr_expect_eq(changed(world, now, more), more - count);
    world_free(world);
}

Test(map_data, versions_stay_across_a_restart)
{
    struct world_chunk_wish wishes[CHUNKS_MAX];
    struct world_rules *rules = fixture_rules();
    struct world *world = fixture_world(rules, 3), *loaded;
    fixture_found(world, 2);
    size_t count = learn(world, wishes);
    struct mm_buf bytes;
    mm_buf_init(&bytes, 1 << 26);
    world_save(world, &bytes);
    cr_assert_eq(world_load(bytes.data, bytes.len, &loaded), MM_OK);
    cr_expect_eq(changed(loaded, wishes, count), 0u);
    cr_expect_eq(world_catalogue_version(loaded), world_catalogue_version(world));
    mm_buf_free(&bytes);
    world_free(loaded);
    world_free(world);
    free(rules);
}

// Terrains are renumbered by other rules: exactly the chunks that hold one of them are others.
Test(map_data, renumbered_terrains_are_another_version)
{
    struct world_chunk_wish wishes[CHUNKS_MAX];
    struct world_rules *rules = fixture_rules();
    struct world *world = fixture_world(rules, 3);
    fixture_found(world, 2);
    size_t count = learn(world, wishes), wanted = 0;
    uint64_t catalogue = world_catalogue_version(world);
    uint32_t a = 1, b = (uint32_t)world_rules_terrain(rules, "lake");
    for (uint32_t chunk = 0; chunk < count; chunk++) {
        const uint8_t *cells = world->map.terrain + (size_t)chunk * world->map.tiling.cells;
        wanted += memchr(cells, (int)a, world->map.tiling.cells) ||
                  memchr(cells, (int)b, world->map.tiling.cells);
    }
    struct world_terrain kept = rules->terrains[a];
    rules->terrains[a] = rules->terrains[b];
    rules->terrains[b] = kept;
    struct world_map_rules *map = &rules->map;
    map->open_terrain = map->open_terrain == a ? b : map->open_terrain;
    for (uint32_t i = 0; i < map->band_count; i++)
        map->bands[i].terrain = map->bands[i].terrain == a   ? b
                                : map->bands[i].terrain == b ? a
                                                             : map->bands[i].terrain;
    char problem[128] = "";
    cr_assert_eq(world_change_rules(world, rules, problem, sizeof problem), MM_OK, "%s", problem);
    cr_expect_gt(wanted, 0u);
    cr_expect_eq(changed(world, wishes, count), wanted);
    cr_expect_neq(world_catalogue_version(world), catalogue);
    world_free(world);
    free(rules);
}

// Fills label[cell] with the lowest cell that there is a way to; by going from cell to cell.
static void flood(const struct world_map *map, uint32_t *label)
{
    uint32_t cells = world_map_cell_count(map);
    uint32_t *stack = malloc(((size_t)cells + 1) * sizeof *stack);
    memset(label, 0xff, cells * sizeof *label);
    for (uint32_t from = 0; from < cells; from++) {
        uint32_t depth = 0;
        if (label[from] != UINT32_MAX || !world_map_passable(map, from))
            continue;
        label[from] = from;
        stack[depth++] = from;
        while (depth > 0) {
            uint32_t cell = stack[--depth];
            for (unsigned d = 0; d < HEX_DIRECTIONS; d++) {
                uint32_t next = world_map_step(map, cell, d);
                if (next == WORLD_CELL_NONE || label[next] != UINT32_MAX ||
                    !world_map_passable(map, next))
                    continue;
                label[next] = from;
                stack[depth++] = next;
            }
        }
    }
    free(stack);
}

static size_t compare_regions(const struct world_map *map, uint32_t *label)
{
    size_t regions = 0;
    flood(map, label);
    for (uint32_t cell = 0; cell < world_map_cell_count(map); cell++) {
        if (!world_map_passable(map, cell))
            continue;
        cr_assert_eq(world_map_region(map, cell), world_map_region(map, label[cell]));
        regions += label[cell] == cell;
        // And no two floods are one region: the root of a region lies in its flood.
        cr_assert_eq(label[world_map_region(map, cell)], label[cell]);
    }
    return regions;
}

Test(map_data, chunks_are_stitched_where_passable_cells_touch, .timeout = 300)
{
    static const int32_t radii[] = {2, 3, 9, 10, 32};
    uint8_t costs[WORLD_TERRAINS_MAX] = {0, 100, 0};
    struct mm_rng rng;
    mm_rng_seed(&rng, 4);
    for (size_t k = 0; k < sizeof radii / sizeof radii[0]; k++) {
        struct world_map map;
        cr_assert_eq(world_map_init(&map, radii[k], costs), MM_OK);
        uint8_t *terrain = malloc(map.tiling.cells);
        // In no order, so that chunks come alone, beside others and between them.
        for (int i = 0; i < 60; i++) {
            struct hex_axial at = hex_spiral(mm_rng_below(&rng, 60));
            struct hex_chunk chunk = {at.q, at.r};
            if (world_map_chunk(&map, chunk) != WORLD_CHUNK_NONE)
                continue;
            for (uint32_t cell = 0; cell < map.tiling.cells; cell++)
                terrain[cell] = (uint8_t)mm_rng_below(&rng, 3);
            cr_assert_eq(world_map_add(&map, chunk, terrain), MM_OK);
        }
        uint32_t *label = malloc(world_map_cell_count(&map) * sizeof *label);
        size_t regions = compare_regions(&map, label);
        cr_expect_gt(regions, 5u);
        costs[2] = 50; // opens much
        world_map_rebuild_regions(&map);
        cr_expect_lt(compare_regions(&map, label), regions);
        costs[2] = 0;
        free(label);
        free(terrain);
        world_map_free(&map);
    }
}
