#include "tests/support/vision_world.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

// The core against the brute-force truth: many random worlds, every tick, every empire.

struct run {
    struct vision_world_options world;
    uint32_t ticks;
    uint32_t snapshot_every; // 0 = only the first
};

static void play(const struct run *run)
{
    struct vision_world *world = vision_world_new(&run->world);
    struct vision_options options = vision_world_core_options(world);
    struct vision *core;
    cr_assert_eq(vision_new(&options, &core), MM_OK);
    for (uint32_t tick = 0; tick < run->ticks; tick++) {
        bool snapshot = tick == 0 || (run->snapshot_every && tick % run->snapshot_every == 0);
        const Mmorts__Frame__TickFrame *frame = vision_world_tick(world, snapshot, core);
        const Mmorts__Frame__VisionFrame *out;
        enum mm_err err = vision_apply(core, frame, &out);
        cr_assert_eq(err, MM_OK, "%s", vision_refusal(core));
        size_t differences = vision_world_compare(world, core, snapshot ? NULL : out);
        if (tick % 40 == 0)
            differences += vision_world_compare_answers(world, core);
        cr_assert_eq(differences, 0, "seed %zu: %s", (size_t)run->world.seed,
                     vision_world_first_difference(world));
    }
    struct vision_stats stats;
    vision_stats(core, &stats);
    cr_assert(stats.steps > run->ticks || run->world.interval > 1 || run->world.terrain_blocks);
    vision_free(core);
    vision_world_free(world);
}

Test(vision_oracle, many_worlds, .timeout = 300)
{
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct run run = {.world = {.seed = seed,
                                    .empires = 2 + (uint32_t)seed % 8,
                                    .entities = 30 + 10 * (uint32_t)seed,
                                    .chunk_radius = 1 + (int32_t)(seed % 7) * 2,
                                    .memories_max = 1000,
                                    .fog_of_war = true},
                          .ticks = 600};
        play(&run);
    }
}

Test(vision_oracle, long_game, .timeout = 300)
{
    struct run run = {.world = {.seed = 77,
                                .empires = 4,
                                .entities = 60,
                                .chunk_radius = 9,
                                .memories_max = 1000,
                                .fog_of_war = true},
                      .ticks = 4000};
    play(&run);
}

Test(vision_oracle, few_memories_each, .timeout = 300)
{
    for (uint64_t seed = 30; seed < 34; seed++) {
        struct run run = {.world = {.seed = seed,
                                    .empires = 3,
                                    .entities = 120,
                                    .chunk_radius = 4,
                                    .memories_max = (uint32_t)(seed - 30) * 2,
                                    .fog_of_war = true},
                          .ticks = 500};
        play(&run);
    }
}

Test(vision_oracle, snapshots_in_between, .timeout = 300)
{
    for (uint64_t seed = 40; seed < 44; seed++) {
        struct run run = {.world = {.seed = seed,
                                    .empires = 5,
                                    .entities = 80,
                                    .chunk_radius = 5,
                                    .memories_max = 1000,
                                    .fog_of_war = true},
                          .ticks = 500,
                          .snapshot_every = 23};
        play(&run);
    }
}

Test(vision_oracle, allies_that_share_their_beacons_only, .timeout = 300)
{
    for (uint64_t seed = 60; seed < 64; seed++) {
        struct run run = {.world = {.seed = seed,
                                    .empires = 5,
                                    .entities = 90,
                                    .chunk_radius = 5,
                                    .memories_max = 1000,
                                    .fog_of_war = true,
                                    .beacons_only = true},
                          .ticks = 500,
                          .snapshot_every = 117};
        play(&run);
    }
}

Test(vision_oracle, moves_count_every_few_ticks, .timeout = 300)
{
    for (uint64_t seed = 70; seed < 74; seed++) {
        struct run run = {.world = {.seed = seed,
                                    .empires = 4,
                                    .entities = 80,
                                    .chunk_radius = 6,
                                    .memories_max = 1000,
                                    .fog_of_war = true,
                                    .interval = 2 + (uint32_t)(seed % 4) * 3},
                          .ticks = 500,
                          .snapshot_every = 101};
        play(&run);
    }
}

Test(vision_oracle, terrain_that_shortens_sight, .timeout = 300)
{
    for (uint64_t seed = 80; seed < 86; seed++) {
        struct run run = {.world = {.seed = seed,
                                    .empires = 4,
                                    .entities = 60,
                                    .chunk_radius = 1 + (int32_t)(seed % 3) * 4,
                                    .memories_max = 1000,
                                    .fog_of_war = true,
                                    .terrain_blocks = true,
                                    .interval = seed % 2 ? 3 : 1},
                          .ticks = 300,
                          .snapshot_every = 83};
        play(&run);
    }
}

Test(vision_oracle, without_fog, .timeout = 300)
{
    struct run run = {.world = {.seed = 50,
                                .empires = 4,
                                .entities = 60,
                                .chunk_radius = 5,
                                .memories_max = 1000,
                                .fog_of_war = false},
                      .ticks = 300,
                      .snapshot_every = 100};
    play(&run);
}

Test(vision_oracle, many_empires, .timeout = 300)
{
    struct run run = {.world = {.seed = 51,
                                .empires = 39,
                                .entities = 250,
                                .chunk_radius = 7,
                                .memories_max = 1000,
                                .fog_of_war = true},
                      .ticks = 200};
    play(&run);
}
