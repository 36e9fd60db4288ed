#include "libcommon/base/rng.h"
#include "libcommon/hex/hex.h"
#include <criterion/criterion.h>
#include <stdlib.h>

static struct hex_axial random_hex(struct mm_rng *rng, int32_t within)
{
    return (struct hex_axial){(int32_t)mm_rng_between(rng, -within, within),
                              (int32_t)mm_rng_between(rng, -within, within)};
}

// The cube metric, as its definition has it.
static int32_t distance_by_definition(struct hex_axial a, struct hex_axial b)
{
    int32_t q = abs(a.q - b.q), r = abs(a.r - b.r), s = abs((-a.q - a.r) - (-b.q - b.r));
    return q > r ? (q > s ? q : s) : (r > s ? r : s);
}

Test(hex, directions_are_six_neighbors_in_order)
{
    const struct hex_axial wanted[6] = {{1, 0}, {1, -1}, {0, -1}, {-1, 0}, {-1, 1}, {0, 1}};
    const struct hex_axial origin = {0, 0};
    for (unsigned d = 0; d < 6; d++) {
        cr_assert(hex_equal(hex_directions[d], wanted[d]));
        cr_assert(hex_equal(hex_rotate(wanted[0], d), wanted[d]));
        cr_assert_eq(hex_direction_between(origin, wanted[d]), (int)d);
        cr_assert_eq(hex_opposite(d), (d + 3) % 6);
        cr_assert(hex_equal(hex_neighbor(wanted[d], hex_opposite(d)), origin));
    }
    cr_assert_eq(hex_direction_between(origin, origin), -1);
    cr_assert_eq(hex_direction_between(origin, (struct hex_axial){1, 1}), -1);
}

Test(hex, distance_is_the_cube_metric)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 1);
    for (int i = 0; i < 20000; i++) {
        int32_t within = i % 2 ? 20 : HEX_COORD_MAX;
        struct hex_axial a = random_hex(&rng, within), b = random_hex(&rng, within);
        cr_assert_eq(hex_distance(a, b), distance_by_definition(a, b));
    }
}

Test(hex, pack_round_trips_and_orders_by_row)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 2);
    for (int i = 0; i < 10000; i++) {
        struct hex_axial a = random_hex(&rng, i % 2 ? 3 : INT32_MAX), b = random_hex(&rng, 3);
        cr_assert(hex_equal(hex_unpack(hex_pack(a)), a));
        bool before = a.r != b.r ? a.r < b.r : a.q < b.q;
        cr_assert_eq(hex_pack(a) < hex_pack(b), before);
    }
}

Test(hex, direction_towards_leads_nearer)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 3);
    for (int i = 0; i < 10000; i++) {
        struct hex_axial a = random_hex(&rng, 30), b = random_hex(&rng, 30);
        if (hex_equal(a, b))
            continue;
        unsigned d = hex_direction_towards(a, b);
        cr_assert_eq(hex_distance(hex_neighbor(a, d), b), hex_distance(a, b) - 1);
    }
    for (unsigned d = 0; d < 6; d++)
        cr_assert_eq(hex_direction_towards(
                         (struct hex_axial){5, 5},
                         hex_add((struct hex_axial){5, 5}, hex_scale(hex_directions[d], 1000))),
                     d);
}

Test(hex, rotation_keeps_distances)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 4);
    for (int i = 0; i < 1000; i++) {
        struct hex_axial a = random_hex(&rng, 50);
        for (unsigned steps = 0; steps < 12; steps++)
            cr_assert_eq(hex_length(hex_rotate(a, steps)), hex_length(a));
        cr_assert(hex_equal(hex_rotate(hex_rotate(a, 2), 4), a));
    }
}

Test(hex, ring_and_disc_are_what_the_distance_says)
{
    static struct hex_axial ring[6 * 12], disc[3 * 12 * 13 + 1];
    const struct hex_axial center = {-7, 11};
    for (int32_t radius = 0; radius <= 12; radius++) {
        size_t ring_count = hex_ring(center, radius, ring);
        size_t disc_count = hex_disc(center, radius, disc);
        size_t wanted_ring = 0, wanted_disc = 0;
        for (int32_t r = -14; r <= 14; r++) {
            for (int32_t q = -14; q <= 14; q++) {
                int32_t d = hex_length((struct hex_axial){q, r});
                wanted_ring += d == radius;
                if (d > radius)
                    continue;
                // Rows ascending, then columns: the very order of this loop.
                struct hex_axial at = {center.q + q, center.r + r};
                cr_assert(hex_equal(disc[wanted_disc], at));
                cr_assert_eq(hex_disc_index((struct hex_axial){q, r}, radius), wanted_disc);
                wanted_disc++;
            }
        }
        cr_assert_eq(ring_count, wanted_ring);
        cr_assert_eq(disc_count, wanted_disc);
        cr_assert_eq(hex_ring_count(radius), ring_count);
        cr_assert_eq(hex_disc_count(radius), disc_count);
        for (size_t i = 0; i < ring_count; i++) {
            cr_assert_eq(hex_distance(center, ring[i]), radius);
            if (radius > 0)
                cr_assert_eq(hex_distance(ring[i], ring[(i + 1) % ring_count]), 1,
                             "neighbours on the ring, so all differ");
        }
    }
}

Test(hex, line_is_a_shortest_path_close_to_the_segment_and_symmetric)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 5);
    static struct hex_axial there[512], back[512];
    for (int i = 0; i < 5000; i++) {
        int32_t within = i % 3 == 0 ? 4 : 100;
        struct hex_axial base = random_hex(&rng, i % 2 ? 10 : HEX_COORD_MAX - 100);
        struct hex_axial a = hex_add(base, random_hex(&rng, within));
        struct hex_axial b = hex_add(base, random_hex(&rng, within));
        size_t n = hex_line(a, b, there, 512);
        cr_assert_eq(n, (size_t)hex_distance(a, b) + 1);
        cr_assert_eq(hex_line(b, a, back, 512), n);
        cr_assert(hex_equal(there[0], a) && hex_equal(there[n - 1], b));
        for (size_t k = 0; k < n; k++) {
            cr_assert(hex_equal(there[k], back[n - 1 - k]), "the same hexes from either end");
            if (k > 0)
                cr_assert_eq(hex_distance(there[k - 1], there[k]), 1);
            // The hex holds point k of the segment: no neighbour's centre is nearer to it. Squared
            // Euclidean distance in units of 1/(n-1), exact.
            int64_t steps = n > 1 ? (int64_t)n - 1 : 1;
            int64_t pq = a.q * (steps - (int64_t)k) + b.q * (int64_t)k;
            int64_t pr = a.r * (steps - (int64_t)k) + b.r * (int64_t)k;
            int64_t best = INT64_MAX, own = 0;
            for (int d = -1; d < 6; d++) {
                struct hex_axial h = d < 0 ? there[k] : hex_neighbor(there[k], (unsigned)d);
                int64_t dq = pq - h.q * steps, dr = pr - h.r * steps;
                int64_t square = dq * dq + dr * dr + dq * dr;
                own = d < 0 ? square : own;
                best = square < best ? square : best;
            }
            cr_assert_eq(own, best);
        }
    }
    there[1] = (struct hex_axial){77, 77};
    cr_assert_eq(hex_line((struct hex_axial){0, 0}, (struct hex_axial){5, 0}, there, 1), 6);
    cr_assert_eq(there[1].q, 77, "no more than out_max are written");
}

Test(hex, spiral_is_a_bijection_ring_by_ring)
{
    int32_t length = 0;
    for (uint64_t i = 0; i < 20000; i++) {
        struct hex_axial at = hex_spiral(i);
        cr_assert_eq(hex_spiral_index(at), i);
        cr_assert_geq(hex_length(at), length);
        length = hex_length(at);
    }
    struct hex_axial ring[6 * 9];
    size_t count = hex_ring((struct hex_axial){0, 0}, 9, ring);
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(hex_spiral_index(ring[i]), hex_disc_count(8) + i);
    for (uint64_t far = UINT64_C(500000000000); far < UINT64_C(500000001000); far++)
        cr_assert_eq(hex_spiral_index(hex_spiral(far)), far);
}
