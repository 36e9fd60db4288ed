#include "libcommon/base/bitset.h"
#include "libcommon/base/rng.h"
#include "libcommon/hex/chunk.h"
#include <criterion/criterion.h>
#include <string.h>

Test(chunk, radius_is_checked)
{
    struct hex_tiling tiling;
    cr_assert_eq(hex_tiling_init(&tiling, 0), MM_INVALID_ARGUMENT);
    cr_assert_eq(hex_tiling_init(&tiling, -1), MM_INVALID_ARGUMENT);
    cr_assert_eq(hex_tiling_init(&tiling, HEX_CHUNK_RADIUS_MAX + 1), MM_INVALID_ARGUMENT);
    cr_assert_eq(hex_tiling_init(&tiling, HEX_CHUNK_RADIUS_DEFAULT), MM_OK);
    cr_assert_eq(tiling.cells, 271);
}

// Paints the chunks cell by cell over a square and looks at what the painting shows: every hex is
// painted exactly once, and by the chunk that hex_chunk_of names.
Test(chunk, chunks_tile_without_overlap_or_gap)
{
    enum { HALF = 140, SIDE = 2 * HALF + 1, LATTICE = 140 };
    static uint64_t painter[SIDE][SIDE];
    for (int32_t radius = 1; radius <= 12; radius++) {
        struct hex_tiling tiling;
        cr_assert_eq(hex_tiling_init(&tiling, radius), MM_OK);
        memset(painter, 0, sizeof painter);
        size_t painted = 0;
        for (int32_t a = -LATTICE; a <= LATTICE; a++) {
            for (int32_t b = -LATTICE; b <= LATTICE; b++) {
                struct hex_chunk chunk = {a, b};
                struct hex_axial c = hex_chunk_center(&tiling, chunk);
                if (abs(c.q) > HALF + radius || abs(c.r) > HALF + radius)
                    continue;
                for (uint32_t cell = 0; cell < tiling.cells; cell++) {
                    struct hex_axial at = hex_chunk_hex(&tiling, chunk, cell);
                    if (abs(at.q) > HALF || abs(at.r) > HALF)
                        continue;
                    uint64_t *pixel = &painter[at.r + HALF][at.q + HALF];
                    cr_assert_eq(*pixel, 0, "two chunks of radius %d overlap", radius);
                    *pixel = hex_chunk_pack(chunk);
                    painted++;
                    struct hex_chunk found;
                    cr_assert_eq(hex_chunk_cell(&tiling, at, &found), cell);
                    cr_assert(hex_chunk_equal(found, chunk));
                }
            }
        }
        cr_assert_eq(painted, (size_t)SIDE * SIDE, "chunks of radius %d leave gaps", radius);
    }
}

Test(chunk, far_hexes_find_their_chunk)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 1);
    for (int32_t radius = 1; radius <= HEX_CHUNK_RADIUS_MAX; radius++) {
        struct hex_tiling tiling;
        cr_assert_eq(hex_tiling_init(&tiling, radius), MM_OK);
        for (int i = 0; i < 3000; i++) {
            struct hex_axial at = {(int32_t)mm_rng_between(&rng, -HEX_COORD_MAX, HEX_COORD_MAX),
                                   (int32_t)mm_rng_between(&rng, -HEX_COORD_MAX, HEX_COORD_MAX)};
            struct hex_chunk chunk;
            uint32_t cell = hex_chunk_cell(&tiling, at, &chunk);
            cr_assert_lt(cell, tiling.cells);
            cr_assert_leq(hex_distance(at, hex_chunk_center(&tiling, chunk)), radius);
            cr_assert(hex_equal(hex_chunk_hex(&tiling, chunk, cell), at));
            cr_assert(hex_chunk_equal(hex_chunk_unpack(hex_chunk_pack(chunk)), chunk));
        }
    }
}

Test(chunk, neighbors_touch_and_a_pocket_is_seven)
{
    struct hex_tiling tiling;
    for (int32_t radius = 1; radius <= 12; radius++) {
        cr_assert_eq(hex_tiling_init(&tiling, radius), MM_OK);
        struct hex_chunk pocket[HEX_POCKET_CHUNKS];
        hex_chunk_pocket((struct hex_chunk){-3, 8}, pocket);
        cr_assert(hex_chunk_equal(pocket[0], (struct hex_chunk){-3, 8}));
        for (unsigned d = 0; d < HEX_DIRECTIONS; d++) {
            cr_assert_eq(hex_chunk_distance(pocket[0], pocket[1 + d]), 1);
            cr_assert(
                hex_chunk_equal(hex_chunk_neighbor(pocket[1 + d], hex_opposite(d)), pocket[0]));
            cr_assert_eq(hex_distance(hex_chunk_center(&tiling, pocket[0]),
                                      hex_chunk_center(&tiling, pocket[1 + d])),
                         2 * radius + 1);
        }
    }
}

// Whether two chunks with these cells are connected, by looking at all pairs of neighbouring hexes.
static bool connected_by_looking(const struct hex_tiling *tiling, const uint64_t *mine,
                                 const uint64_t *theirs, unsigned side)
{
    struct hex_chunk home = {5, -2};
    for (uint32_t cell = 0; cell < tiling->cells; cell++) {
        if (!mm_bitset_get(mine, cell))
            continue;
        for (unsigned d = 0; d < HEX_DIRECTIONS; d++) {
            struct hex_chunk other;
            struct hex_axial next = hex_neighbor(hex_chunk_hex(tiling, home, cell), d);
            uint32_t next_cell = hex_chunk_cell(tiling, next, &other);
            if (hex_chunk_equal(other, hex_chunk_neighbor(home, side)) &&
                mm_bitset_get(theirs, next_cell))
                return true;
        }
    }
    return false;
}

Test(chunk, edge_signatures_tell_whether_chunks_connect)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 2);
    unsigned yes = 0, no = 0;
    for (int i = 0; i < 600; i++) {
        struct hex_tiling tiling;
        cr_assert_eq(hex_tiling_init(&tiling, (int32_t)mm_rng_between(&rng, 1, 12)), MM_OK);
        // From nearly empty to rather full, so that both answers occur.
        uint64_t of = (uint64_t)mm_rng_between(&rng, 2, 12);
        uint64_t mine[MM_BITSET_WORDS(469)] = {0}, theirs[MM_BITSET_WORDS(469)] = {0};
        for (uint32_t cell = 0; cell < tiling.cells; cell++) {
            if (mm_rng_chance(&rng, 1, of))
                mm_bitset_set(mine, cell);
            if (mm_rng_chance(&rng, 1, of))
                mm_bitset_set(theirs, cell);
        }
        for (unsigned side = 0; side < HEX_DIRECTIONS; side++) {
            uint64_t a = hex_edge_signature(&tiling, mine, side);
            uint64_t b = hex_edge_signature(&tiling, theirs, hex_opposite(side));
            bool wanted = connected_by_looking(&tiling, mine, theirs, side);
            cr_assert_eq(hex_edge_connects(&tiling, a, b), wanted);
            yes += wanted;
            no += !wanted;
        }
    }
    cr_assert(yes > 100 && no > 100);
}

Test(chunk, sides_share_their_corners)
{
    struct hex_tiling tiling;
    cr_assert_eq(hex_tiling_init(&tiling, 9), MM_OK);
    for (unsigned side = 0; side < HEX_DIRECTIONS; side++)
        cr_assert_eq(hex_edge_cell(&tiling, side, 9),
                     hex_edge_cell(&tiling, (side + 1) % HEX_DIRECTIONS, 0));
}
