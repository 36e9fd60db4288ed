#include "libcommon/hex/chunk.h"

#include "libcommon/base/bitset.h"
#include "libcommon/base/check.h"

enum mm_err hex_tiling_init(struct hex_tiling *tiling, int32_t radius)
{
    if (radius < 1 || radius > HEX_CHUNK_RADIUS_MAX)
        return MM_INVALID_ARGUMENT;
    struct hex_offsets offsets = hex_disc_offsets(radius);
    tiling->radius = radius;
    tiling->cells = (uint32_t)offsets.count;
    tiling->offsets = offsets.items;
    return MM_OK;
}

struct hex_axial hex_chunk_center(const struct hex_tiling *tiling, struct hex_chunk chunk)
{
    int32_t radius = tiling->radius;
    return (struct hex_axial){chunk.a * (2 * radius + 1) + chunk.b * radius,
                              chunk.b * (radius + 1) - chunk.a * radius};
}

static int64_t floor_div(int64_t n, int64_t d)
{
    return n / d - (n % d != 0 && n < 0);
}

// S. Evers, "Hexagonal tiling of hexagons"
// (https://observablehq.com/@sanderevers/hexagon-tiling-of-an-hexagonal-grid): three skewed floor
// divisions by the chunk's area give three rhombille coordinates, whose differences name the chunk.
struct hex_chunk hex_chunk_of(const struct hex_tiling *tiling, struct hex_axial at)
{
    int64_t area = tiling->cells;
    int64_t shift = 3 * (int64_t)tiling->radius + 2;
    int64_t q = at.q, r = at.r, s = -q - r;
    int64_t x = floor_div(r + shift * q, area);
    int64_t y = floor_div(s + shift * r, area);
    int64_t z = floor_div(q + shift * s, area);
    return (struct hex_chunk){(int32_t)floor_div(1 + x - y, 3), (int32_t)floor_div(1 + y - z, 3)};
}

uint32_t hex_chunk_cell(const struct hex_tiling *tiling, struct hex_axial at,
                        struct hex_chunk *chunk_out)
{
    *chunk_out = hex_chunk_of(tiling, at);
    return hex_disc_index(hex_sub(at, hex_chunk_center(tiling, *chunk_out)), tiling->radius);
}

struct hex_axial hex_chunk_hex(const struct hex_tiling *tiling, struct hex_chunk chunk,
                               uint32_t cell)
{
    MM_CHECK(cell < tiling->cells);
    return hex_add(hex_chunk_center(tiling, chunk), tiling->offsets[cell]);
}

struct hex_chunk hex_chunk_neighbor(struct hex_chunk chunk, unsigned direction)
{
    struct hex_axial d = hex_directions[direction];
    return (struct hex_chunk){chunk.a + d.q, chunk.b + d.r};
}

int32_t hex_chunk_distance(struct hex_chunk x, struct hex_chunk y)
{
    return hex_distance((struct hex_axial){x.a, x.b}, (struct hex_axial){y.a, y.b});
}

void hex_chunk_pocket(struct hex_chunk center, struct hex_chunk out[HEX_POCKET_CHUNKS])
{
    out[0] = center;
    for (unsigned d = 0; d < HEX_DIRECTIONS; d++)
        out[1 + d] = hex_chunk_neighbor(center, d);
}

uint32_t hex_edge_cell(const struct hex_tiling *tiling, unsigned side, uint32_t i)
{
    MM_CHECK(side < HEX_DIRECTIONS && i <= (uint32_t)tiling->radius);
    struct hex_axial corner = hex_scale(hex_directions[side], tiling->radius);
    struct hex_axial along = hex_scale(hex_directions[(side + 2) % HEX_DIRECTIONS], (int32_t)i);
    return hex_disc_index(hex_add(corner, along), tiling->radius);
}

uint64_t hex_edge_signature(const struct hex_tiling *tiling, const uint64_t *cells, unsigned side)
{
    uint64_t signature = 0;
    for (uint32_t i = 0; i <= (uint32_t)tiling->radius; i++)
        if (mm_bitset_get(cells, hex_edge_cell(tiling, side, i)))
            signature |= UINT64_C(1) << i;
    return signature;
}
