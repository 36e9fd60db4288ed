#include "libcommon/base/rng.h"
#include "services/vision/core/sight.h"
#include "tests/support/vision_world.h"

#include <criterion/criterion.h>

// Terrain that shortens sight: what must hold of any two hexes.

static struct vision_world *world;
static struct vision *core;

static void set_up(void)
{
    struct vision_world_options options = {.seed = 3,
                                           .empires = 2,
                                           .entities = 20,
                                           .chunk_radius = 5,
                                           .memories_max = 10,
                                           .fog_of_war = true,
                                           .terrain_blocks = true};
    world = vision_world_new(&options);
    struct vision_options core_options = vision_world_core_options(world);
    cr_assert_eq(vision_new(&core_options, &core), MM_OK);
    for (int tick = 0; tick < 100; tick++) {
        const Mmorts__Frame__VisionFrame *out;
        cr_assert_eq(vision_apply(core, vision_world_tick(world, tick == 0, core), &out), MM_OK);
    }
}

static void tear_down(void)
{
    vision_free(core);
    vision_world_free(world);
}

TestSuite(vision_lines, .init = set_up, .fini = tear_down, .timeout = 300);

static struct hex_axial anywhere(struct mm_rng *rng)
{
    return (struct hex_axial){(int32_t)mm_rng_below(rng, 21) - 10,
                              (int32_t)mm_rng_below(rng, 21) - 10};
}

Test(vision_lines, whoever_sees_is_seen_by_an_equal_range)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 1);
    size_t seen = 0, hidden = 0;
    for (int i = 0; i < 200000; i++) {
        struct hex_axial a = anywhere(&rng), b = anywhere(&rng);
        int32_t range = (int32_t)mm_rng_below(&rng, 12);
        bool there = vision_lines_reach(core, a, range, b);
        cr_assert_eq(there, vision_lines_reach(core, b, range, a), "(%d, %d) (%d, %d) at %d", a.q,
                     a.r, b.q, b.r, range);
        bool in_range = hex_distance(a, b) <= range;
        cr_assert(!there || in_range);
        cr_assert(there || !in_range || hex_distance(a, b) > 1, "a neighbour is always seen");
        // Whoever sees farther sees no less.
        cr_assert(!there || vision_lines_reach(core, a, range + 1, b));
        seen += there;
        hidden += in_range && !there;
    }
    cr_expect(seen > 1000 && hidden > 1000, "%zu seen, %zu hidden", seen, hidden);
}

Test(vision_lines, a_look_around_says_of_each_hex_what_its_line_says)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 2);
    for (int i = 0; i < 500; i++) {
        struct hex_axial from = anywhere(&rng);
        int32_t radius = 1 + (int32_t)mm_rng_below(&rng, 8);
        struct hex_chunk chunk;
        uint32_t cell = hex_chunk_cell(&core->tiling, from, &chunk);
        if (!core->footprints[radius])
            core->footprints[radius] = vision_footprint_new(&core->tiling, radius);
        cr_assert(vision_lines_look(core, from, chunk, cell, radius));
        struct hex_offsets disc = hex_disc_offsets(radius);
        for (size_t k = 0; k < disc.count; k++) {
            struct hex_axial to = hex_add(from, disc.items[k]);
            cr_assert_eq(vision_lines_saw(core, from, radius, to),
                         vision_lines_reach(core, from, radius, to));
        }
    }
}
