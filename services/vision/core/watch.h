#ifndef VISION_CORE_WATCH_H
#define VISION_CORE_WATCH_H

#include "services/vision/core/state.h"

// Who has which entity in sight.

void vision_watch_changes(struct vision *vision);
void vision_watch_flips(struct vision *vision);
// The empire's place among the entity's viewers; false: it is none.
bool vision_viewer_find(const struct vision_entity *entity, uint32_t empire, size_t *place_out);
// The entity is seen by nobody, and has no room for more than few.
void vision_viewers_free(struct vision *vision, struct vision_entity *entity);

#endif
