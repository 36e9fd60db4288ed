#ifndef VISION_CORE_BOUNDS_H
#define VISION_CORE_BOUNDS_H

#include "libcommon/base/bitset.h"
#include "libcommon/hex/chunk.h"
#include "libcommon/hex/hex.h"

// How much of anything there may be at once.

#define VISION_SIGHT_HEXES_MAX HEX_DISC_RADIUS_MAX
// A chunk's bitset at most.
#define VISION_CHUNK_WORDS_MAX                                                                     \
    MM_BITSET_WORDS(3 * HEX_CHUNK_RADIUS_MAX * (HEX_CHUNK_RADIUS_MAX + 1) + 1)
// A square around an observer's widest disc.
#define VISION_GRID_PLACES   ((2 * VISION_SIGHT_HEXES_MAX + 1) * (2 * VISION_SIGHT_HEXES_MAX + 1))
#define VISION_TYPES_MAX     4096
#define VISION_REFUSAL_BYTES 160

#endif
