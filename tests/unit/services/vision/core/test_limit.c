// Costs that must not grow with what else there is: giving up a memory at the limit, and ordering
// sight to be lent.

#include "services/vision/core/vision.h"
#include "tests/support/bench.h"
#include "tests/support/vision_scene.h"

#include <criterion/criterion.h>

enum { LIMIT = 64000, BEYOND = 4000, TICK = 1000000 };

// Scattered, each of another age: row i was seen last in tick (i * STEP) % (LIMIT + BEYOND).
enum { STEP = 7919 };

static struct vision_memory row_of(uint32_t i)
{
    uint32_t age = (uint32_t)((uint64_t)i * STEP % (LIMIT + BEYOND));
    return (struct vision_memory){
        .empire = 1,
        .id = i + 1,
        .type = 1,
        .at = {(int32_t)(i % 300) + 200, (int32_t)(i / 300) + 200},
        .health = 1,
        .first_seen = 1,
        .last_seen = age + 1,
    };
}

Test(vision_limit, the_oldest_give_way_without_a_look_at_all_the_others, .timeout = 300)
{
    struct scene *scene = scene_new(1, SCENE_MOVERS);
    struct vision_options options = vision_options_default();
    options.memory.per_empire_max = LIMIT;
    struct vision *core;
    cr_assert_eq(vision_new(&options, &core), MM_OK);
    for (uint32_t i = 0; i < LIMIT + BEYOND; i++) {
        struct vision_memory row = row_of(i);
        cr_assert_eq(vision_load_memory(core, &row), MM_OK);
    }
    const Mmorts__Frame__VisionFrame *out;
    scene->snapshot.tick = TICK;
    uint64_t start = bench_cpu_ns();
    cr_assert_eq(vision_apply(core, &scene->snapshot, &out), MM_OK, "%s", vision_refusal(core));
    uint64_t took_ms = (bench_cpu_ns() - start) / 1000000;
    struct vision_stats stats;
    vision_stats(core, &stats);
    cr_expect_eq(stats.memories, LIMIT);
    cr_expect_eq(stats.evicted, BEYOND);
    struct vision_page page;
    cr_assert_eq(vision_page(core, 1, (struct vision_page_place){.memories = true}, LIMIT, &page),
                 MM_OK);
    cr_expect_eq(page.memory_count, LIMIT);
    for (size_t i = 0; i < page.memory_count; i++)
        cr_assert_gt(page.memories[i].last_seen, BEYOND);
    vision_page_free(&page);
    // Looking through 64,000 for each of 4,000 takes a second and more; this, a few milliseconds.
    cr_expect_lt(took_ms, 250);
    vision_free(core);
    scene_free(scene);
}

Test(vision_limit, an_order_to_share_does_not_look_at_all_others, .timeout = 300)
{
    enum { EMPIRES = 300 };
    struct scene *scene = scene_new(EMPIRES, SCENE_MOVERS);
    struct vision_options options = vision_options_default();
    struct vision *core;
    cr_assert_eq(vision_new(&options, &core), MM_OK);
    // As after a restart: all that was ever shared is ordered before the first frame.
    uint64_t start = bench_cpu_ns();
    for (uint32_t from = 1; from <= EMPIRES; from++) {
        for (uint32_t to = 1; to <= EMPIRES; to++) {
            if (from == to)
                continue;
            cr_assert_eq(vision_share(core, from, to, 5), MM_OK);
            cr_assert_eq(vision_unshare(core, from, to, 3), MM_OK); // not before it began
            cr_assert_not(vision_shares(core, from, to));
        }
    }
    // 180,000 orders, each among all before it: minutes.
    cr_expect_lt((bench_cpu_ns() - start) / 1000000, 1000);
    const Mmorts__Frame__VisionFrame *out;
    cr_assert_eq(vision_apply(core, &scene->snapshot, &out), MM_OK);
    cr_assert_eq(vision_share(core, 1, 2, 2), MM_OK); // behind those that wait: in tick 5
    cr_assert(vision_shares(core, 1, 2));
    struct vision_stats alone, lent;
    vision_stats(core, &alone);
    scene->delta.tick = 4;
    cr_assert_eq(vision_apply(core, &scene->delta, &out), MM_OK);
    vision_stats(core, &lent);
    cr_expect_eq(lent.visible_hexes, alone.visible_hexes);
    scene->delta.tick = 5;
    cr_assert_eq(vision_apply(core, &scene->delta, &out), MM_OK);
    vision_stats(core, &lent);
    cr_expect_gt(lent.visible_hexes, alone.visible_hexes);
    cr_assert(vision_shares(core, 1, 2));
    cr_expect_not(vision_shares(core, 2, 1));
    vision_free(core);
    scene_free(scene);
}
