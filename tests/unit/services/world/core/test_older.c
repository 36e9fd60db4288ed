// States that versions of the simulation before this one saved: read as states of this one.

#include "services/world/core/save.h"
#include "services/world/core/state.h"
#include "tests/support/world_older.h"
#include "tests/support/world_orders.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

// With something of everything that a version added.
static struct world *full_world(void)
{
    struct world_rules *rules = fixture_open_rules();
    for (int kind = 0; kind < WORLD_COMMAND_KINDS; kind++)
        rules->commands.cooldown_ticks[kind] = 3 + (uint32_t)kind;
    rules->sight.fog_of_war = 0;
    rules->sight.terrain_blocks = 1;
    struct world *world = fixture_world(rules, 2);
    struct fixture_inputs inputs;
    fixture_inputs_init(&inputs, 8);
    fixture_found(world, 2);
    uint64_t units[8], worker;
    size_t count = fixture_units(world, 1, "soldier", units, 8);
    cr_assert_eq(fixture_units(world, 1, "worker", &worker, 1), 1);
    struct world_empire_view home;
    cr_assert(world_empire(world, 1, &home));
    fixture_move(&inputs, 1, 1, units, count, home.home.q + 30, home.home.r, false);
    fixture_build(&inputs, 1, 2, &worker, 1, "tower", home.home.q + 3, home.home.r, false);
    Mmorts__World__SetEntityRequest *set = fixture_set_entity(&inputs, "own", units[0], 2);
    set->changes[0]->change_case = MMORTS__WORLD__ENTITY_CHANGE__CHANGE_SIGHT_HEXES;
    set->changes[0]->sight_hexes = 2;
    set->changes[1]->change_case = MMORTS__WORLD__ENTITY_CHANGE__CHANGE_SIGHT_ENABLED;
    const uint32_t shares[][2] = {{1, 2}, {2, 1}};
    fixture_set_sharing(&inputs, 1, UINT32_MAX, shares, 2,
                        MMORTS__WORLD__ALLIES_LEND__ALLIES_LEND_ALL);
    fixture_step(world, &inputs);
    for (size_t i = 0; i < inputs.count; i++)
        cr_assert(inputs.results[i].applied, "%s", inputs.results[i].message);
    fixture_run(world, 30);
    fixture_inputs_free(&inputs);
    free(rules);
    return world;
}

// The world as a version knew it, and as this one goes on from there.
static struct world *known_to(const struct world *world, uint32_t version)
{
    struct mm_buf bytes;
    struct world *copy;
    mm_buf_init(&bytes, WORLD_SAVE_BYTES_MAX);
    world_save(world, &bytes);
    cr_assert_eq(world_load(bytes.data, bytes.len, &copy), MM_OK);
    mm_buf_free(&bytes);
    for (size_t i = 0; i < copy->players.count && version < 9; i++)
        memset(copy->players.items[i].taken_tick, 0, sizeof copy->players.items[i].taken_tick);
    if (version < 9)
        memset(copy->rules.commands.cooldown_ticks, 0, sizeof copy->rules.commands.cooldown_ticks);
    if (version < 10)
        copy->rules.sight = (struct world_sight_rules){.fog_of_war = 1};
    if (version < 11)
        memset(copy->grid.charted, 0, MM_BITSET_WORDS(copy->map.chunk_count) * 8);
    for (uint32_t slot = world_ecs_next(&copy->ecs, 0); slot != WORLD_SLOT_NONE && version < 12;
         slot = world_ecs_next(&copy->ecs, slot)) {
        struct world_sight *sight =
            (struct world_sight *)(uintptr_t)WORLD_GET(&copy->ecs, WORLD_SIGHT, world_sight, slot);
        if (sight)
            *sight = (struct world_sight){.off = sight->off};
    }
    if (version < 13) {
        mm_vec_clear(&copy->shares);
        copy->allies_lend = 0;
    }
    world_derive(copy);
    return copy;
}

Test(older, what_a_version_knew_is_there_and_the_rest_as_if_never_used, .timeout = 300)
{
    struct world *world = full_world();
    uint64_t before = 0;
    for (uint32_t version = WORLD_SAVE_OLDEST; version < WORLD_SAVE_VERSION; version++) {
        struct mm_buf bytes;
        mm_buf_init(&bytes, WORLD_SAVE_BYTES_MAX);
        older_save(world, version, &bytes);
        cr_assert_eq(world_saved_version(bytes.data, bytes.len), version);
        struct world *loaded, *expected = known_to(world, version);
        uint64_t saved_hash = 0;
        cr_assert_eq(world_load(bytes.data, bytes.len, &loaded), MM_UNIMPLEMENTED);
        cr_assert_eq(world_load_older(bytes.data, bytes.len, &loaded, &saved_hash), MM_OK, "%u",
                     version);
        cr_assert_eq(saved_hash, world_state_hash(world));
        cr_assert_eq(world_state_hash(loaded), world_state_hash_full(loaded));
        cr_assert_eq(world_state_hash(loaded), world_state_hash_full(expected), "version %u",
                     version);
        if (version <= 13)
            cr_assert_neq(world_state_hash(loaded), before, "version %u added nothing", version);
        before = world_state_hash(loaded);
        char problem[128] = "";
        fixture_run(loaded, 100);
        cr_assert_eq(world_verify(loaded, problem, sizeof problem), MM_OK, "%s", problem);
        world_free(expected);
        world_free(loaded);
        mm_buf_free(&bytes);
    }
    // What came after version 13 are rules of simulation alone.
    cr_assert_eq(world_state_hash(world), before);
    world_free(world);
}

Test(older, other_versions_are_told_apart_and_damage_is_noticed, .timeout = 300)
{
    struct world *world = full_world(), *loaded;
    uint64_t hash;
    static const uint32_t others[] = {
        0, 1, WORLD_SAVE_OLDEST - 1, WORLD_SAVE_VERSION, WORLD_SAVE_VERSION + 1, UINT32_MAX};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        struct mm_buf bytes;
        mm_buf_init(&bytes, WORLD_SAVE_BYTES_MAX);
        older_save(world, others[i], &bytes);
        cr_assert_neq(world_load_older(bytes.data, bytes.len, &loaded, &hash), MM_OK);
        cr_assert_null(loaded);
        mm_buf_free(&bytes);
    }
    struct mm_buf bytes;
    mm_buf_init(&bytes, WORLD_SAVE_BYTES_MAX);
    older_save(world, WORLD_SAVE_OLDEST, &bytes);
    for (size_t len = 0; len < bytes.len; len += len < 600 ? 1 : 997) {
        cr_assert_neq(world_load_older(bytes.data, len, &loaded, &hash), MM_OK, "%zu", len);
        cr_assert_null(loaded);
    }
    for (size_t at = 8; at < bytes.len; at += at < 600 ? 7 : 1999) {
        bytes.data[at] ^= 16;
        cr_assert_eq(world_load_older(bytes.data, bytes.len, &loaded, &hash), MM_DATA_LOSS, "%zu",
                     at);
        bytes.data[at] ^= 16;
    }
    cr_assert_eq(world_load_older(bytes.data, bytes.len, &loaded, &hash), MM_OK);
    world_free(loaded);
    mm_buf_free(&bytes);
    world_free(world);
}
