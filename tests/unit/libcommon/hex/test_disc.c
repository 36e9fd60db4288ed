#include "libcommon/hex/disc.h"
#include <criterion/criterion.h>

static bool in_disc(struct hex_axial center, int32_t radius, struct hex_axial at)
{
    return hex_distance(center, at) <= radius;
}

Test(disc, tables_hold_every_offset_once)
{
    for (int32_t radius = 0; radius <= HEX_DISC_RADIUS_MAX; radius++) {
        struct hex_offsets disc = hex_disc_offsets(radius);
        cr_assert_eq(disc.count, 3 * (size_t)radius * ((size_t)radius + 1) + 1);
        for (size_t i = 0; i < disc.count; i++) {
            cr_assert_leq(hex_length(disc.items[i]), radius);
            cr_assert_eq(hex_disc_index(disc.items[i], radius), i);
        }
    }
}

// Against the set difference of the two discs, for every radius and direction.
Test(disc, steps_enter_and_leave_the_set_difference)
{
    const struct hex_axial old = {4, -9};
    for (int32_t radius = 0; radius <= HEX_DISC_RADIUS_MAX; radius++) {
        for (unsigned d = 0; d < HEX_DIRECTIONS; d++) {
            struct hex_axial new = hex_neighbor(old, d);
            struct hex_offsets enter = hex_disc_enter(radius, d);
            struct hex_offsets leave = hex_disc_leave(radius, d);
            cr_assert_eq(enter.count, 2 * (size_t)radius + 1);
            cr_assert_eq(leave.count, 2 * (size_t)radius + 1);
            for (size_t i = 0; i < enter.count; i++) {
                struct hex_axial at = hex_add(new, enter.items[i]);
                cr_assert(in_disc(new, radius, at) && !in_disc(old, radius, at));
                at = hex_add(old, leave.items[i]);
                cr_assert(in_disc(old, radius, at) && !in_disc(new, radius, at));
                for (size_t k = 0; k < i; k++) {
                    cr_assert(!hex_equal(enter.items[i], enter.items[k]));
                    cr_assert(!hex_equal(leave.items[i], leave.items[k]));
                }
            }
            // All of them: the difference has just that many members.
            size_t wanted = 0;
            struct hex_offsets disc = hex_disc_offsets(radius);
            for (size_t i = 0; i < disc.count; i++)
                wanted += !in_disc(old, radius, hex_add(new, disc.items[i]));
            cr_assert_eq(enter.count, wanted);
        }
    }
}
