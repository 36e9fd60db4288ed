#include "libcommon/base/alloc.h"
#include "libcommon/base/bitset.h"
#include "libcommon/base/rng.h"
#include "libcommon/hex/overlay.h"
#include <criterion/criterion.h>
#include <string.h>

struct fixture {
    struct hex_overlay_shape shape;
    struct hex_overlay overlay;
    void *body, *scratch;
    uint16_t costs[HEX_OVERLAY_CELLS_MAX];
};

static void fixture_open(struct fixture *f, int32_t radius)
{
    struct hex_tiling tiling;
    cr_assert_eq(hex_tiling_init(&tiling, radius), MM_OK);
    cr_assert_eq(hex_overlay_shape_init(&f->shape, &tiling), MM_OK);
    f->body = mm_calloc_aligned(64, hex_overlay_body_bytes(&f->shape));
    hex_overlay_place(&f->shape, &f->overlay, f->body);
    f->scratch = mm_calloc_aligned(16, hex_overlay_scratch_bytes(&f->shape));
}

static void fixture_close(struct fixture *f)
{
    mm_free(f->scratch);
    mm_free(f->body);
    hex_overlay_shape_free(&f->shape);
}

static void fixture_fill(struct fixture *f, struct mm_rng *rng, uint64_t dead_percent,
                         uint64_t cost_max)
{
    for (uint32_t cell = 0; cell < f->shape.tiling.cells; cell++)
        f->costs[cell] =
            mm_rng_chance(rng, dead_percent, 100) ? 0 : (uint16_t)(1 + mm_rng_below(rng, cost_max));
    hex_overlay_set_costs(&f->shape, f->costs, &f->overlay);
    hex_overlay_build(&f->shape, f->scratch, &f->overlay);
}

// The oracle: Bellman-Ford from one cell, by coordinates alone.
static void all_costs(const struct fixture *f, uint32_t from, uint32_t *dist)
{
    const struct hex_tiling *tiling = &f->shape.tiling;
    memset(dist, 0xff, tiling->cells * sizeof *dist);
    dist[from] = 0;
    for (bool changed = true; changed;) {
        changed = false;
        for (uint32_t cell = 0; cell < tiling->cells; cell++) {
            if (dist[cell] == UINT32_MAX)
                continue;
            for (unsigned d = 0; d < HEX_DIRECTIONS; d++) {
                struct hex_axial at = hex_neighbor(tiling->offsets[cell], d);
                if (hex_length(at) > tiling->radius)
                    continue;
                uint32_t next = hex_disc_index(at, tiling->radius);
                if (f->costs[next] && dist[cell] + f->costs[next] < dist[next]) {
                    dist[next] = dist[cell] + f->costs[next];
                    changed = true;
                }
            }
        }
    }
}

Test(overlay, distances_and_hops_equal_an_exhaustive_search)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 1);
    unsigned ways = 0, none = 0;
    for (int32_t radius = 1; radius <= HEX_OVERLAY_RADIUS_MAX; radius++) {
        struct fixture f;
        fixture_open(&f, radius);
        cr_assert_eq(f.shape.node_count, 6 * (uint32_t)radius);
        for (uint64_t dead = 0; dead <= 60; dead += 12) {
            fixture_fill(&f, &rng, dead, dead % 24 ? 3 : 100);
            for (uint32_t cell = 0; cell < f.shape.tiling.cells; cell++) {
                uint32_t dist[HEX_OVERLAY_CELLS_MAX];
                all_costs(&f, cell, dist);
                for (uint32_t node = 0; node < f.shape.node_count; node++) {
                    uint32_t wanted = dist[f.shape.node_cell[node]];
                    int32_t cost = hex_overlay_distance(&f.shape, &f.overlay, cell, node);
                    cr_assert_eq(cost, wanted == UINT32_MAX ? -1 : (int32_t)wanted);
                    if (f.shape.cell_node[cell] == 0xff)
                        continue;
                    int16_t row =
                        hex_overlay_row(&f.shape, &f.overlay, f.shape.cell_node[cell])[node];
                    cr_assert_eq(row, wanted == UINT32_MAX ? HEX_OVERLAY_FAR : (int16_t)wanted);
                    wanted == UINT32_MAX ? none++ : ways++;
                }
            }
        }
        fixture_close(&f);
    }
    cr_assert(ways > 10000 && none > 10000);
}

Test(overlay, open_ground_is_crossed_along_the_straight_line)
{
    struct fixture f;
    fixture_open(&f, 9);
    for (uint32_t cell = 0; cell < f.shape.tiling.cells; cell++)
        f.costs[cell] = 7;
    hex_overlay_set_costs(&f.shape, f.costs, &f.overlay);
    hex_overlay_build(&f.shape, f.scratch, &f.overlay);
    for (uint32_t cell = 0; cell < f.shape.tiling.cells; cell++)
        for (uint32_t node = 0; node < f.shape.node_count; node++) {
            struct hex_axial at = f.shape.tiling.offsets[cell], to = f.shape.node_offset[node];
            cr_assert_eq(hex_overlay_distance(&f.shape, &f.overlay, cell, node),
                         7 * hex_distance(at, to));
            struct hex_axial line[2];
            if (hex_line(at, to, line, 2) > 1)
                cr_assert(hex_equal(
                    hex_neighbor(at, hex_overlay_hop(&f.shape, &f.overlay, node, cell)), line[1]));
        }
    fixture_close(&f);
}

Test(overlay, edges_are_the_tilings_signatures_and_stitch_alike)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 2);
    for (int32_t radius = 1; radius <= HEX_OVERLAY_RADIUS_MAX; radius++) {
        struct fixture f;
        fixture_open(&f, radius);
        const struct hex_tiling *tiling = &f.shape.tiling;
        for (int round = 0; round < 40; round++) {
            uint64_t open[2][MM_BITSET_WORDS(HEX_OVERLAY_CELLS_MAX)] = {{0}}, bits[2];
            for (int i = 0; i < 2; i++) {
                fixture_fill(&f, &rng, 60 + mm_rng_below(&rng, 35), 9);
                for (uint32_t cell = 0; cell < tiling->cells; cell++)
                    if (f.costs[cell])
                        mm_bitset_set(open[i], cell);
                bits[i] = f.overlay.open;
            }
            for (unsigned side = 0; side < HEX_DIRECTIONS; side++) {
                uint64_t theirs = hex_edge_signature(tiling, open[1], side);
                cr_assert_eq(hex_overlay_signature(&f.shape, f.overlay.open, side), theirs);
                bool connects =
                    hex_edge_connects(tiling, hex_edge_signature(tiling, open[0], side),
                                      hex_edge_signature(tiling, open[1], hex_opposite(side)));
                uint64_t touched = hex_overlay_touched(&f.shape, bits[0], side);
                cr_assert_eq((touched & bits[1]) != 0, connects);
                // Cell by cell: exactly those next to an open one.
                struct hex_chunk there = hex_chunk_neighbor((struct hex_chunk){0, 0}, side);
                for (uint32_t node = 0; node < f.shape.node_count; node++) {
                    struct hex_axial at =
                        hex_add(hex_chunk_center(tiling, there), f.shape.node_offset[node]);
                    bool wanted = false;
                    for (unsigned d = 0; d < HEX_DIRECTIONS; d++) {
                        struct hex_axial next = hex_neighbor(at, d);
                        wanted |= hex_length(next) <= radius &&
                                  mm_bitset_get(open[0], hex_disc_index(next, radius));
                    }
                    cr_assert_eq(touched >> node & 1, wanted);
                }
            }
        }
        fixture_close(&f);
    }
}

Test(overlay, bounds)
{
    struct hex_tiling tiling;
    struct hex_overlay_shape shape;
    cr_assert_eq(hex_tiling_init(&tiling, HEX_OVERLAY_RADIUS_MAX + 1), MM_OK);
    cr_assert_eq(hex_overlay_shape_init(&shape, &tiling), MM_INVALID_ARGUMENT);
    cr_assert_eq(hex_tiling_init(&tiling, 9), MM_OK);
    mm_alloc_fail_after(0);
    cr_assert_eq(hex_overlay_shape_init(&shape, &tiling), MM_RESOURCE_EXHAUSTED);
    mm_alloc_fail_after(-1);
    hex_overlay_shape_free(&shape);
    // What costs more than 15 bits hold is no way: a winding corridor of 600 a step.
    struct fixture f;
    fixture_open(&f, 9);
    memset(f.costs, 0, sizeof f.costs);
    uint32_t steps = 0;
    for (int32_t r = -9; r <= 9; r++)
        for (int32_t q = -9; q <= 9; q++) {
            struct hex_axial at = {q, r};
            if (hex_length(at) > 9)
                continue;
            // Every other row, joined at alternating ends.
            bool left = q == (r < 0 ? -9 - r : -9), right = q == (r < 0 ? 9 : 9 - r);
            bool open = r % 2 != 0 || ((r / 2 & 1) ? left : right);
            if (open && r > -9 && r < 9)
                f.costs[hex_disc_index(at, 9)] = 600, steps++;
        }
    hex_overlay_set_costs(&f.shape, f.costs, &f.overlay);
    hex_overlay_build(&f.shape, f.scratch, &f.overlay);
    cr_assert_gt(steps * 600, (uint32_t)HEX_OVERLAY_FAR);
    uint32_t far = 0;
    for (uint32_t i = 0; i < f.shape.node_count; i++)
        for (uint32_t j = 0; j < f.shape.node_count; j++)
            far += hex_overlay_row(&f.shape, &f.overlay, i)[j] == HEX_OVERLAY_FAR &&
                   (f.overlay.open >> i & 1) && (f.overlay.open >> j & 1);
    cr_assert_gt(far, 0);
    cr_assert_lt(f.overlay.far, HEX_OVERLAY_FAR);
    fixture_close(&f);
}
