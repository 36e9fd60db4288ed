#ifndef HEX_DISC_H
#define HEX_DISC_H

#include "libcommon/hex/hex.h"

// Discs as precomputed offset tables, for vision: the hexes that an observer of a given range sees,
// and those that change when it moves by one step.
#define HEX_DISC_RADIUS_MAX 32

struct hex_offsets {
    const struct hex_axial *items; // static storage, never freed
    size_t count;
};

// The offsets of a disc in row order. radius is 0..HEX_DISC_RADIUS_MAX. Tables are built on first
// use; any thread.
struct hex_offsets hex_disc_offsets(int32_t radius);

// Moving from c to c + hex_directions[direction], with n the new centre:
// entering hexes are n + offset for the offsets of hex_disc_enter (relative to the NEW centre),
// leaving hexes are c + offset for those of hex_disc_leave (relative to the OLD centre).
// 2R+1 of each.
struct hex_offsets hex_disc_enter(int32_t radius, unsigned direction);
struct hex_offsets hex_disc_leave(int32_t radius, unsigned direction);

#endif
