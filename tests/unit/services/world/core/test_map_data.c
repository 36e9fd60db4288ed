#include "services/world/core/state.h"
#include "tests/support/world_fixture.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

// The map as it is given to those who keep it: by chunk, each with a version of its own.

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
