#ifndef HEX_CHUNK_H
#define HEX_CHUNK_H

#include "libcommon/base/err.h"
#include "libcommon/hex/disc.h"
#include "libcommon/hex/hex.h"

// The tessellation of the plane into hexagonal chunks of radius R. Chunk (a, b) has its centre at
// a * (2R+1, -R) + b * (R, R+1) and holds the 3R(R+1)+1 hexes within R of it; chunks neither
// overlap nor leave a gap. Chunk coordinates are axial themselves: the six neighbours of a chunk
// lie in the six hex directions of (a, b).
#define HEX_CHUNK_RADIUS_DEFAULT 9
#define HEX_CHUNK_RADIUS_MAX     HEX_DISC_RADIUS_MAX
#define HEX_POCKET_CHUNKS        7

// A chunk's lattice coordinates. A type of its own, so that it is not taken for a hex.
struct hex_chunk {
    int32_t a;
    int32_t b;
};

struct hex_tiling {
    int32_t radius;
    uint32_t cells;                  // per chunk: 3R(R+1)+1
    const struct hex_axial *offsets; // cell index -> offset from the centre, row order
};

// MM_INVALID_ARGUMENT unless 1 <= radius <= HEX_CHUNK_RADIUS_MAX.
enum mm_err MM_MUST_USE hex_tiling_init(struct hex_tiling *tiling, int32_t radius);

static inline bool hex_chunk_equal(struct hex_chunk x, struct hex_chunk y)
{
    return x.a == y.a && x.b == y.b;
}

struct hex_axial hex_chunk_center(const struct hex_tiling *tiling, struct hex_chunk chunk);

// The chunk that holds a hex; O(1), no search.
struct hex_chunk hex_chunk_of(const struct hex_tiling *tiling, struct hex_axial at);

// A hex as chunk and cell index (0..cells-1, the row order of hex_disc), and back.
uint32_t hex_chunk_cell(const struct hex_tiling *tiling, struct hex_axial at,
                        struct hex_chunk *chunk_out);
struct hex_axial hex_chunk_hex(const struct hex_tiling *tiling, struct hex_chunk chunk,
                               uint32_t cell);

struct hex_chunk hex_chunk_neighbor(struct hex_chunk chunk, unsigned direction);
int32_t hex_chunk_distance(struct hex_chunk x, struct hex_chunk y);

// A chunk and its six neighbours in direction order, the centre first.
void hex_chunk_pocket(struct hex_chunk center, struct hex_chunk out[HEX_POCKET_CHUNKS]);

// A chunk's coordinates as one number, and back; orders by (b, a).
static inline uint64_t hex_chunk_pack(struct hex_chunk chunk)
{
    return hex_pack((struct hex_axial){chunk.a, chunk.b});
}

static inline struct hex_chunk hex_chunk_unpack(uint64_t key)
{
    struct hex_axial h = hex_unpack(key);
    return (struct hex_chunk){h.q, h.r};
}

// --- edge signatures -----------------------------------------------------------------------------

// Side d of a chunk is the R+1 border cells that face the neighbour chunk in direction d, numbered
// counter-clockwise from the corner in direction d; the last is the corner of the next side.

// Cell index of border cell i (0..R) of a side.
uint32_t hex_edge_cell(const struct hex_tiling *tiling, unsigned side, uint32_t i);

// A side's signature has one bit per border cell: bit i is set if the cell's bit in `cells` (a
// bitset of tiling->cells bits, libcommon/base/bitset.h) is. Chunks are stitched together by the
// signatures of what can be walked on, and ways are pruned by them (overlay.h holds a chunk's six
// in one word).
uint64_t hex_edge_signature(const struct hex_tiling *tiling, const uint64_t *cells, unsigned side);

// The signature of those cells of the neighbour's side d+3 that touch any of the cells of a chunk's
// side d with signature `mine`.
static inline uint64_t hex_edge_touched(const struct hex_tiling *tiling, uint64_t mine)
{
    // Both sides count counter-clockwise about their own centre, so against one another: cell i
    // touches the neighbour's cells R - i and, but for the last, R - i - 1.
    uint32_t radius = (uint32_t)tiling->radius;
    uint64_t theirs = 0;
    for (uint32_t i = 0; i <= radius; i++)
        theirs |= (mine >> i & 1) << (radius - i);
    return theirs | theirs >> 1;
}

// Whether a step exists across the border between a chunk's side d with signature `mine` and its
// neighbour's side d+3 with signature `theirs`.
static inline bool hex_edge_connects(const struct hex_tiling *tiling, uint64_t mine,
                                     uint64_t theirs)
{
    return (hex_edge_touched(tiling, mine) & theirs) != 0;
}

#endif
