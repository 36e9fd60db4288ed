#ifndef VISION_CORE_SETTLE_H
#define VISION_CORE_SETTLE_H

#include "services/vision/core/state.h"

// From counters to hexes told, flips and explored bits; and the end of the tick.

// Of what is dirty from place `first` on, the empire's own; it is not to be counted again in this
// tick. An empire that borrows waits for vision_settle().
void vision_settle_empire(struct vision *vision, uint32_t empire, size_t first);
void vision_settle(struct vision *vision); // everything that is dirty
void vision_settle_finish(struct vision *vision);
void vision_active_planes_put(struct vision *vision, struct vision_active *active);
void vision_view_release(struct vision *vision, struct vision_view *view);

#endif
