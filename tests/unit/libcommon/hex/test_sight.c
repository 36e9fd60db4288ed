#include "libcommon/hex/sight.h"

#include "libcommon/base/rng.h"
#include <criterion/criterion.h>

enum { SIDE = 64 };

static uint8_t costs[SIDE][SIDE];

static uint32_t cost_at(const void *ctx, struct hex_axial at)
{
    (void)ctx;
    cr_assert(at.q > -SIDE / 2 && at.q < SIDE / 2 && at.r > -SIDE / 2 && at.r < SIDE / 2);
    return costs[at.q + SIDE / 2][at.r + SIDE / 2];
}

static void scatter(struct mm_rng *rng)
{
    for (int q = 0; q < SIDE; q++)
        for (int r = 0; r < SIDE; r++) {
            uint64_t roll = mm_rng_below(rng, 10);
            costs[q][r] = roll < 2 ? 1 : roll < 3 ? 32 : 0;
        }
}

static void put(int32_t q, int32_t r, uint8_t cost)
{
    costs[q + SIDE / 2][r + SIDE / 2] = cost;
}

static bool sees(int32_t range, int32_t q, int32_t r)
{
    return hex_sight_reaches((struct hex_axial){0, 0}, range, (struct hex_axial){q, r}, cost_at,
                             NULL);
}

Test(sight, costs_between_add_to_the_distance)
{
    cr_expect(sees(4, 4, 0) && !sees(3, 4, 0));
    put(2, 0, 1);
    cr_expect(!sees(4, 4, 0) && sees(5, 4, 0) && sees(2, 2, 0), "what hides is itself seen");
    put(0, 0, 32);
    put(4, 0, 32);
    cr_expect(sees(5, 4, 0), "the ends do not count");
    put(2, 0, 32);
    cr_expect(!sees(32, 4, 0));
    cr_expect(sees(0, 0, 0) && !sees(33, 33, 0) && !sees(33, 1, 0), "ranges end at 32");
}

Test(sight, along_a_border_the_better_side_counts)
{
    // (1, 1) lies behind the border of (1, 0) and (0, 1).
    put(1, 0, 32);
    cr_expect(sees(2, 1, 1));
    put(0, 1, 32);
    cr_expect(!sees(2, 1, 1));
    put(1, 0, 0);
    cr_expect(sees(2, 1, 1));
}

Test(sight, whoever_sees_is_seen_by_an_equal_range)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 1);
    scatter(&rng);
    size_t seen = 0, hidden = 0;
    for (int i = 0; i < 100000; i++) {
        struct hex_axial a = {(int32_t)mm_rng_below(&rng, 21) - 10,
                              (int32_t)mm_rng_below(&rng, 21) - 10};
        struct hex_axial b = {(int32_t)mm_rng_below(&rng, 21) - 10,
                              (int32_t)mm_rng_below(&rng, 21) - 10};
        int32_t range = (int32_t)mm_rng_below(&rng, 15);
        bool there = hex_sight_reaches(a, range, b, cost_at, NULL);
        cr_assert_eq(there, hex_sight_reaches(b, range, a, cost_at, NULL));
        cr_assert(!there || hex_sight_reaches(a, range + 1, b, cost_at, NULL));
        seen += there;
        hidden += !there && hex_distance(a, b) <= range;
    }
    cr_expect(seen > 1000 && hidden > 1000);
}

Test(sight, the_table_says_what_single_lines_say)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 2);
    scatter(&rng);
    for (int32_t radius = 0; radius <= 16; radius++) {
        struct hex_sight_lines lines;
        struct hex_offsets disc = hex_disc_offsets(radius);
        cr_assert_eq(hex_sight_lines_init(&lines, radius), MM_OK);
        cr_assert_eq(lines.count, disc.count);
        uint32_t around[33 * 33] = {0};
        for (size_t i = 0; i < disc.count; i++)
            around[hex_sight_place(radius, disc.items[i])] = cost_at(NULL, disc.items[i]);
        for (size_t i = 0; i < disc.count; i++) {
            bool there = false;
            for (size_t line = i * HEX_SIGHT_SIDES; line < (i + 1) * HEX_SIGHT_SIDES; line++) {
                uint32_t sum = (uint32_t)hex_length(disc.items[i]);
                for (uint32_t k = lines.first[line]; k < lines.first[line + 1]; k++)
                    sum += around[lines.between[k]];
                there |= sum <= (uint32_t)radius;
            }
            cr_assert_eq(there, sees(radius, disc.items[i].q, disc.items[i].r));
        }
        hex_sight_lines_free(&lines);
    }
    struct hex_sight_lines none;
    cr_expect_eq(hex_sight_lines_init(&none, HEX_SIGHT_RADIUS_MAX + 1), MM_INVALID_ARGUMENT);
    cr_expect_eq(hex_sight_lines_init(&none, -1), MM_INVALID_ARGUMENT);
}
