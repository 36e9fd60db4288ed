#ifndef SYNC_CORE_VISION_FRAME_H
#define SYNC_CORE_VISION_FRAME_H

#include "gen/frame.pb-c.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The nested groups of a vision frame, found without scanning: for empire number e of the frame,
// starts[e * SYNC_GROUPS + g] is the index of its first entry in group g; one more row ends the
// last one.

enum sync_group {
    SYNC_GROUP_HEXES,
    SYNC_GROUP_ENTERED,
    SYNC_GROUP_LEFT,
    SYNC_GROUP_REMEMBERED,
    SYNC_GROUP_FORGOTTEN,
    SYNC_GROUPS,
};

struct sync_range {
    size_t from, to;
};

// Checks that every column has the length the counts demand and that empires ascend; makes the
// starts (mm_free). NULL if the frame contradicts itself or memory is out.
uint32_t *sync_vision_starts(const Mmorts__Frame__VisionFrame *frame);

static inline struct sync_range sync_vision_range(const uint32_t *starts, size_t empire,
                                                  enum sync_group group)
{
    return (struct sync_range){starts[empire * SYNC_GROUPS + group],
                               starts[(empire + 1) * SYNC_GROUPS + group]};
}

// Position of an empire in the frame, or false if it is not in it.
bool sync_vision_find(const Mmorts__Frame__VisionFrame *frame, uint32_t empire, size_t *at_out);

#endif
