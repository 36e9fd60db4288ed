// Still pictures of a running world. That they are what world_save() writes, whatever is played
// meanwhile, is shown by test_property.c.

#include "libcommon/base/alloc.h"
#include "services/world/core/cut.h"
#include "services/world/core/state.h"
#include "tests/support/world_fixture.h"
#include <criterion/criterion.h>
#include <string.h>

static struct world *busy_world(void)
{
    struct world *world = fixture_world(NULL, 2);
    struct fixture_inputs inputs;
    fixture_inputs_init(&inputs, 8);
    fixture_found(world, 3);
    uint64_t units[8];
    size_t count = fixture_units(world, 1, NULL, units, 8);
    fixture_move(&inputs, 1, 1, units, count, 20, -5, false);
    fixture_spawn(&inputs, "key", "soldier", 2, 3, 0, 10);
    fixture_step(world, &inputs);
    fixture_inputs_free(&inputs);
    return world;
}

static void take(struct world_cut *cut, struct world *world)
{
    bool whole;
    world_cut_begin(cut, world);
    cr_assert_eq(world_cut_follow(cut, world, SIZE_MAX, &whole), MM_OK);
    cr_assert(whole);
}

static enum mm_err saved(struct world_cut *cut, const struct world *world)
{
    struct mm_buf still, bytes;
    mm_buf_init(&still, WORLD_SAVE_BYTES_MAX);
    mm_buf_init(&bytes, WORLD_SAVE_BYTES_MAX);
    enum mm_err err = world_cut_save(cut, &still);
    world_save(world, &bytes);
    if (err == MM_OK)
        cr_assert(still.len == bytes.len && memcmp(still.data, bytes.data, bytes.len) == 0);
    mm_buf_free(&bytes);
    mm_buf_free(&still);
    return err;
}

// Once whole, the picture stays what it is, whatever becomes of the world: even its end.
Test(cut, it_does_not_hang_on_the_world)
{
    struct world *world = busy_world(), *loaded;
    struct world_cut *cut = world_cut_new();
    take(cut, world);
    uint64_t hash = world_state_hash(world);
    fixture_run(world, 50);
    cr_assert_neq(world_state_hash(world), hash);
    world_free(world);
    struct mm_buf bytes;
    mm_buf_init(&bytes, WORLD_SAVE_BYTES_MAX);
    cr_assert_eq(world_cut_save(cut, &bytes), MM_OK);
    cr_assert_eq(world_load(bytes.data, bytes.len, &loaded), MM_OK);
    cr_assert_eq(world_state_hash(loaded), hash);
    cr_assert_eq(world_cut_state_hash(cut), hash);
    world_free(loaded);
    mm_buf_free(&bytes);
    world_cut_free(cut);
}

// A picture that a tick's changes did not get into is noticed, and not written.
Test(cut, a_row_that_was_changed_without_a_mark_is_noticed)
{
    struct world *world = busy_world();
    struct world_cut *cut = world_cut_new();
    take(cut, world);
    cr_assert_eq(saved(cut, world), MM_OK);
    uint64_t units[1];
    cr_assert_eq(fixture_units(world, 1, "scout", units, 1), 1);
    uint32_t slot = world_slot_of_id(world, units[0]);
    struct world_health *health = WORLD_GET(&world->ecs, WORLD_HEALTH, world_health, slot);
    health->value++;
    take(cut, world);
    cr_assert_eq(saved(cut, world), MM_DATA_LOSS);
    health->value--;
    take(cut, world);
    cr_assert_eq(saved(cut, world), MM_OK);
    world->players.items[0].last_client_seq++;
    take(cut, world);
    cr_assert_eq(saved(cut, world), MM_DATA_LOSS);
    world_cut_free(cut);
    world_free(world);
}

// Every allocation fails in turn: an error, and another try succeeds.
Test(cut, out_of_memory)
{
    struct world *world = busy_world();
    enum mm_err err = MM_RESOURCE_EXHAUSTED;
    int failures = 0;
    for (int64_t countdown = 0; err != MM_OK && countdown < 200; countdown++) {
        struct world_cut *cut = world_cut_new();
        bool whole = false;
        struct mm_buf bytes;
        mm_buf_init(&bytes, WORLD_SAVE_BYTES_MAX);
        world_cut_begin(cut, world);
        mm_alloc_fail_after(countdown);
        err = world_cut_follow(cut, world, SIZE_MAX, &whole);
        if (err == MM_OK)
            err = world_cut_save(cut, &bytes);
        mm_alloc_fail_after(-1);
        failures += err == MM_RESOURCE_EXHAUSTED;
        cr_assert(err == MM_OK || err == MM_RESOURCE_EXHAUSTED);
        if (!whole)
            take(cut, world);
        cr_assert_eq(saved(cut, world), MM_OK);
        mm_buf_free(&bytes);
        world_cut_free(cut);
    }
    cr_assert_eq(err, MM_OK);
    cr_assert_gt(failures, 10);
    world_free(world);
}
