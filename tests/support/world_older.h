#ifndef TESTS_SUPPORT_WORLD_OLDER_H
#define TESTS_SUPPORT_WORLD_OLDER_H

#include "libcommon/base/buf.h"
#include "services/world/core/world.h"

// Saves a world as an older version of the simulation would have, with what that version knows of
// it: the saved state of this version without what came since (the list in core/save.h). Any
// version from WORLD_SAVE_OLDEST on; others are this version's layout with that number.
void older_save(const struct world *world, uint32_t version, struct mm_buf *out);

#endif
