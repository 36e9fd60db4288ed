#ifndef TESTS_SUPPORT_VISION_FAULTS_H
#define TESTS_SUPPORT_VISION_FAULTS_H

// Vision's core with bugs: the real sources, compiled into the program that includes this, with the
// fault hooks of services/vision/core/fault.h switched on. `planted` says which one.

enum vision_fault {
    FAULT_NONE,
    FAULT_COUNT_UNDERFLOW,         // an observer that leaves is uncounted twice
    FAULT_RING_OFF_BY_ONE,         // a step uncounts the ring within the one that was left
    FAULT_MISSED_LEAVE_UNDER_FOG,  // fog moves over a standing entity, nobody is told
    FAULT_LEAKED_ID_AFTER_DESPAWN, // who could not see it is told of an end
    FAULT_SLOT_KEEPS_VIEWERS,      // a slot's next holder inherits who saw the last one
    FAULT_ALLY_STAYS,              // who left an alliance goes on lending and borrowing
    FAULT_BEACONS_UNLENT,          // allies do not see what beacons see
    FAULT_ONE_SIDED_LINES,         // a line along a border is looked at on one side only
    FAULT_LINES_KEEP_OLD_MAP,      // terrain that appears shortens nobody's sight
    FAULT_STALE_SHARE,             // what was lent stays when sharing ends
    FAULT_SIGHT_TYPE_KEPT,         // who becomes a detector, or no longer is one, sees as before
    FAULT_STEALTH_IGNORED,         // stealthed entities are seen by everybody
    FAULT_MEMORY_KNOWS_TOO_MUCH,   // remembered as it is, not as it was seen
    FAULT_MEMORY_OUTLIVES_REVEAL,  // its place is seen again without it, the memory stays
    FAULT_COUNT,
    FAULT_UNDERFLOW_UNCHECKED, // with any fault: goes on where the core would abort
};
static enum vision_fault planted;
#define VISION_FAULT(name)                                                                         \
    (planted == FAULT_##name ||                                                                    \
     (FAULT_##name == FAULT_UNDERFLOW_UNCHECKED && planted != FAULT_NONE))

// clang-format off
#include "services/vision/core/check.c"
#include "services/vision/core/explain.c"
#include "services/vision/core/count.c"
#include "services/vision/core/footprint.c"
#include "services/vision/core/lines.c"
#include "services/vision/core/memory.c"
#include "services/vision/core/mirror.c"
#include "services/vision/core/order.c"
#include "services/vision/core/output.c"
#include "services/vision/core/page.c"
#include "services/vision/core/query.c"
#include "services/vision/core/save.c"
#include "services/vision/core/settle.c"
#include "services/vision/core/share.c"
#include "services/vision/core/sight.c"
#include "services/vision/core/turn.c"
#include "services/vision/core/view.c"
#include "services/vision/core/vision.c"
#include "services/vision/core/watch.c"
// clang-format on

#endif
