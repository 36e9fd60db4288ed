#ifndef HEX_HEX_H
#define HEX_HEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Axial coordinates, pointy-top hexagons; the third cube coordinate is s = -q - r.
// (Source: https://www.redblobgames.com/grids/hexagons/.) Integers only; coordinates are valid
// within
// +-HEX_COORD_MAX, so that no sum or product used here overflows.
struct hex_axial {
    int32_t q;
    int32_t r;
};

#define HEX_COORD_MAX  (INT32_C(1) << 24)
#define HEX_DIRECTIONS 6

// Direction order: (+1,0) (+1,-1) (0,-1) (-1,0) (-1,+1) (0,+1). The opposite of d is (d + 3) % 6.
extern const struct hex_axial hex_directions[HEX_DIRECTIONS];

static inline bool hex_equal(struct hex_axial a, struct hex_axial b)
{
    return a.q == b.q && a.r == b.r;
}

static inline struct hex_axial hex_add(struct hex_axial a, struct hex_axial b)
{
    return (struct hex_axial){a.q + b.q, a.r + b.r};
}

static inline struct hex_axial hex_sub(struct hex_axial a, struct hex_axial b)
{
    return (struct hex_axial){a.q - b.q, a.r - b.r};
}

static inline struct hex_axial hex_scale(struct hex_axial a, int32_t factor)
{
    return (struct hex_axial){a.q * factor, a.r * factor};
}

static inline struct hex_axial hex_neighbor(struct hex_axial a, unsigned direction)
{
    return hex_add(a, hex_directions[direction]);
}

static inline unsigned hex_opposite(unsigned direction)
{
    return direction < 3 ? direction + 3 : direction - 3;
}

static inline int32_t hex_abs_(int32_t x)
{
    return x < 0 ? -x : x;
}

// Steps from the origin.
static inline int32_t hex_length(struct hex_axial a)
{
    return (hex_abs_(a.q) + hex_abs_(a.r) + hex_abs_(a.q + a.r)) / 2;
}

static inline int32_t hex_distance(struct hex_axial a, struct hex_axial b)
{
    return hex_length(hex_sub(a, b));
}

static inline bool hex_in_bounds(struct hex_axial a)
{
    return a.q >= -HEX_COORD_MAX && a.q <= HEX_COORD_MAX && a.r >= -HEX_COORD_MAX &&
           a.r <= HEX_COORD_MAX;
}

// A coordinate pair as one number, and back. Ordering the numbers orders by (r, q).
static inline uint64_t hex_pack(struct hex_axial a)
{
    return (uint64_t)((uint32_t)a.r ^ UINT32_C(0x80000000)) << 32 |
           ((uint32_t)a.q ^ UINT32_C(0x80000000));
}

static inline struct hex_axial hex_unpack(uint64_t key)
{
    return (struct hex_axial){(int32_t)((uint32_t)key ^ UINT32_C(0x80000000)),
                              (int32_t)((uint32_t)(key >> 32) ^ UINT32_C(0x80000000))};
}

// The direction of the step from a to b, or -1 if they are not neighbours.
int hex_direction_between(struct hex_axial a, struct hex_axial b);

// The direction whose 60-degree sector holds b as seen from a; 0 if a equals b. On the line between
// two sectors the lower direction wins.
unsigned hex_direction_towards(struct hex_axial a, struct hex_axial b);

// a turned about the origin by steps * 60 degrees counter-clockwise (direction d becomes d +
// steps).
struct hex_axial hex_rotate(struct hex_axial a, unsigned steps);

// --- shapes --------------------------------------------------------------------------------------

// 6 * radius hexes, 1 for radius 0.
static inline size_t hex_ring_count(int32_t radius)
{
    return radius == 0 ? 1 : (size_t)radius * 6;
}

// 3R(R+1)+1 hexes.
static inline size_t hex_disc_count(int32_t radius)
{
    return 3 * (size_t)radius * ((size_t)radius + 1) + 1;
}

// The hexes at exactly `radius` from the centre, counter-clockwise from direction 0. This is also
// the edge of the disc. out holds hex_ring_count(radius). Returns that count.
size_t hex_ring(struct hex_axial center, int32_t radius, struct hex_axial *out);

// The hexes within `radius`, by rows: r ascending, then q ascending (the order of hex_disc_index).
// out holds hex_disc_count(radius). Returns that count.
size_t hex_disc(struct hex_axial center, int32_t radius, struct hex_axial *out);

// The place of an offset in its disc's row order, 0..3R(R+1); hex_length(offset) must be <= radius.
uint32_t hex_disc_index(struct hex_axial offset, int32_t radius);

// The hexes on the straight line from a to b, both included: hex_distance(a, b) + 1 of them. Where
// the line runs exactly between two hexes, it takes the one on the same side whichever end it
// starts from: the line from b to a is the same hexes in reverse. Exact integer arithmetic.
// Writes at most out_max and returns the full count. The ends are at most 2^20 apart.
size_t hex_line(struct hex_axial a, struct hex_axial b, struct hex_axial *out, size_t out_max);

// The spiral: a bijection of 0, 1, 2, ... to hexes, ring by ring outwards from the origin.
struct hex_axial hex_spiral(uint64_t index);
uint64_t hex_spiral_index(struct hex_axial a);

#endif
