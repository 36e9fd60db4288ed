// The tables by which a step touches the hexes that differ, and no others.

#include "libcommon/base/bitset.h"
#include "services/vision/core/footprint.h"

#include <criterion/criterion.h>
#include <stdlib.h>

enum { CHUNK_RADIUS = HEX_CHUNK_RADIUS_DEFAULT, WINDOW = 64 };

struct window {
    unsigned char marks[2 * WINDOW + 1][2 * WINDOW + 1];
};

static unsigned char *mark_of(struct window *window, struct hex_axial at)
{
    cr_assert(abs(at.q) <= WINDOW && abs(at.r) <= WINDOW);
    return &window->marks[at.r + WINDOW][at.q + WINDOW];
}

// Marks every hex of the shape about a cell of chunk (0, 0); how many there are.
static size_t mark_shape(const struct hex_tiling *tiling, const struct vision_footprint *footprint,
                         uint32_t cell, unsigned shape, struct window *window)
{
    const uint64_t *at = vision_footprint_shape(footprint, cell, shape);
    size_t count = 0;
    struct vision_group group;
    do {
        group = vision_footprint_group(at);
        for (unsigned w = 0; w < group.words; w++) {
            for (uint32_t bit = 0; bit < 64; bit++) {
                if (!(at[1 + w] >> bit & 1))
                    continue;
                uint32_t index = (group.first_word + w) * 64 + bit;
                cr_assert_lt(index, tiling->cells);
                struct hex_chunk chunk = {group.a, group.b};
                unsigned char *mark = mark_of(window, hex_chunk_hex(tiling, chunk, index));
                cr_assert_eq(*mark, 0, "a hex twice");
                *mark = 1;
                count++;
            }
        }
        at += 1 + group.words;
    } while (!group.last);
    return count;
}

// From scratch: the hexes within the radius of `here`, but for those within it of `before`.
static void expect(struct window *window, struct hex_axial here, const struct hex_axial *before,
                   int32_t radius)
{
    for (int32_t r = -WINDOW; r <= WINDOW; r++) {
        for (int32_t q = -WINDOW; q <= WINDOW; q++) {
            struct hex_axial at = {q, r};
            bool in = hex_distance(here, at) <= radius &&
                      !(before && hex_distance(*before, at) <= radius);
            cr_assert_eq(*mark_of(window, at), in, "%d,%d", q, r);
        }
    }
}

Test(vision_footprint, a_step_is_the_two_edges_and_a_disc_is_the_disc)
{
    struct hex_tiling tiling;
    cr_assert_eq(hex_tiling_init(&tiling, CHUNK_RADIUS), MM_OK);
    static const int32_t radii[] = {0, 1, 5, 8, 16};
    static struct window window;
    for (size_t i = 0; i < sizeof radii / sizeof *radii; i++) {
        int32_t radius = radii[i];
        struct vision_footprint *footprint = vision_footprint_new(&tiling, radius);
        cr_assert_not_null(footprint);
        for (uint32_t cell = 0; cell < tiling.cells; cell += 1 + cell % 7) {
            struct hex_axial here = hex_chunk_hex(&tiling, (struct hex_chunk){0, 0}, cell);
            window = (struct window){0};
            size_t disc = mark_shape(&tiling, footprint, cell, SHAPE_DISC, &window);
            cr_assert_eq(disc, (size_t)(3 * radius * (radius + 1) + 1));
            expect(&window, here, NULL, radius);
            for (unsigned direction = 0; direction < HEX_DIRECTIONS; direction++) {
                struct hex_axial before = {here.q - hex_directions[direction].q,
                                           here.r - hex_directions[direction].r};
                window = (struct window){0};
                size_t edge = mark_shape(&tiling, footprint, cell, SHAPE_RING + direction, &window);
                // So many enter and as many leave: at range 8 a step is 34, its two discs are 434.
                cr_assert_eq(edge, (size_t)(2 * radius + 1));
                expect(&window, here, &before, radius);
            }
        }
        vision_footprint_free(footprint);
    }
}
