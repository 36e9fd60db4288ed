#ifndef VISION_CORE_AUDIENCE_H
#define VISION_CORE_AUDIENCE_H

#include "gen/frame.pb-c.h"
#include "libcommon/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Which empires a reader of the vision stream serves, and what of a frame concerns them. Pure, and
// apart from the rest of the core: frames in, lesser frames out.

// A set of empires; it does not change.
struct vision_audience;

// `empires` ascending, each from 1 to empires_max; any number of them, also none. Free with
// vision_audience_free(). MM_INVALID_ARGUMENT: they are not so. MM_RESOURCE_EXHAUSTED: memory.
enum mm_err MM_MUST_USE vision_audience_new(const uint32_t *empires, size_t count,
                                            uint32_t empires_max, struct vision_audience **out);
void vision_audience_free(struct vision_audience *audience);

bool vision_audience_has(const struct vision_audience *audience, uint32_t empire);
bool vision_audience_equal(const struct vision_audience *x, const struct vision_audience *y);
size_t vision_audience_count(const struct vision_audience *audience);

// Where parts of frames are made; its memory is used again for the next.
struct vision_part;

struct vision_part *vision_part_new(void); // NULL: memory
void vision_part_free(struct vision_part *part);

// What the frame, as vision_apply() gives it, tells of the audience's empires: a frame of the same
// tick and form. Valid until the next call, and for as long as `frame`. Costs a look at each empire
// of the frame, and a copy of the columns of those in the audience. NULL: memory.
const Mmorts__Frame__VisionFrame *vision_part_of(struct vision_part *part,
                                                 const Mmorts__Frame__VisionFrame *frame,
                                                 const struct vision_audience *audience);

#endif
