#ifndef HEX_SIGHT_H
#define HEX_SIGHT_H

#include "libcommon/base/err.h"
#include "libcommon/hex/disc.h"
#include "libcommon/hex/hex.h"

// Sight that terrain shortens: an observer sees a hex within its range if the distance and the
// sight costs of the hexes between the two, together, are within its range as well. A cost as high
// as the range lets nobody see past it.
//
// Between are the hexes that the straight line from centre to centre passes. Where it runs along
// the border of two hexes, or through a corner, it is moved aside a little, to the one side and
// to the other: the better of the two ways counts. Seen from the other end both are the same lines,
// so whoever sees a hex is seen from there by an equal range.
//
// World (whom an empire may aim at) and vision (what it is shown) both ask here, and so agree.

#define HEX_SIGHT_RADIUS_MAX HEX_DISC_RADIUS_MAX
#define HEX_SIGHT_SIDES      2

// What seeing past a hex costs.
typedef uint32_t (*hex_sight_cost_fn)(const void *ctx, struct hex_axial at);

// Whether an observer sees a hex; ranges up to HEX_SIGHT_RADIUS_MAX.
bool hex_sight_reaches(struct hex_axial from, int32_t range, struct hex_axial to,
                       hex_sight_cost_fn cost, const void *ctx);

// The same lines as a table, for those who look all around: line i = offset * HEX_SIGHT_SIDES +
// side leads to the disc's offset (hex_disc_offsets) past between[first[i]] ... between[first[i +
// 1] - 1], places in a grid around the observer (hex_sight_place).
struct hex_sight_lines {
    uint32_t count; // of the disc's offsets
    uint32_t *first;
    uint16_t *between;
};

// RESOURCE_EXHAUSTED: out of memory; INVALID_ARGUMENT: radius.
enum mm_err MM_MUST_USE hex_sight_lines_init(struct hex_sight_lines *lines, int32_t radius);
void hex_sight_lines_free(struct hex_sight_lines *lines);

// The place of an offset in the grid of (2 * radius + 1)^2 around an observer.
static inline uint32_t hex_sight_place(int32_t radius, struct hex_axial offset)
{
    return (uint32_t)((offset.r + radius) * (2 * radius + 1) + offset.q + radius);
}

#endif
