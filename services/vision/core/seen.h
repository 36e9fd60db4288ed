#ifndef VISION_CORE_SEEN_H
#define VISION_CORE_SEEN_H

#include "services/vision/core/bounds.h"

#include <stdbool.h>
#include <stdint.h>

// What an empire sees of a chunk, as data: counters in planes, and bits.

// SENSE_BEACON counts only the observers of SIGHT_SHARED types: what allies see of an empire that
// does not lend them everything. It is lent as sight and has no lent plane of its own.
enum vision_sense { SENSE_SIGHT, SENSE_DETECT, SENSE_BEACON, SENSES };
enum vision_source { SOURCE_OWN, SOURCE_LENT, SOURCES };

// Counts are bits of 64 cells side by side: so 64 counters are added to at once, and those of a
// chunk lie in three cache lines. A count is its bits' number, and VISION_COUNT_FULL times its
// count in the next plane; that is not 0 only where the bits are not all 0, so that they tell what
// is counted at all.
#ifndef VISION_COUNT_BITS // tests compile the core with less
#define VISION_COUNT_BITS 4
#endif
#define VISION_COUNT_FULL ((1U << VISION_COUNT_BITS) - 1)

// How many observers (own) or lending empires (lent) see each cell.
struct vision_plane {
    struct vision_plane *next; // NULL: all 0
    uint64_t digits[]
                   [VISION_COUNT_BITS]; // of each word's cells the lowest bits, the next ones, ...
};

enum vision_bits {
    BITS_VISIBLE,  // as told in the last frame: by own or lent sight
    BITS_EXPLORED, // as the view's
    BITS_CHANGED,  // BITS_VISIBLE became another, if dirty_round is this one
    BITS_COUNT
};
enum vision_seldom_bits {
    SELDOM_DETECTED, // as BITS_VISIBLE for the second sense
    // Of the own planes alone; kept only while the empire lends its sight.
    SELDOM_OWN_VISIBLE,
    SELDOM_OWN_DETECTED,
    SELDOM_OWN_BEACON,
    SELDOM_COUNT
};

struct vision_view;

// What few actives have.
struct vision_seldom {
    struct vision_plane *planes[SENSES][SOURCES]; // NULL: all zero; own sight's is the active's
    uint64_t bits[];                              // SELDOM_COUNT bitsets of vision->words words
};

// An empire's view of a chunk while anything of it is visible. At the default chunk radius this is,
// with its pool's header, six cache lines: nearly all that a step touches.
struct vision_active {
    struct vision_view *view;
    struct vision_seldom *seldom; // NULL: nothing of it
    // The same empire's in the six neighbour chunks, both ways; NULL: not active.
    struct vision_active *neighbors[HEX_DIRECTIONS];
    uint32_t empire;
    uint32_t chunk;
    uint32_t watcher;     // slot in the chunk's watchers
    uint32_t dirty_round; // == vision->round: counted in this tick
    uint64_t bits[];      // BITS_COUNT bitsets of vision->words words, then the plane of own sight
};

struct vision_view {
    uint32_t empire;
    uint32_t chunk;
    struct vision_active *active; // NULL: nothing visible
    struct vision_view *next_of_empire;
    struct vision_view *next_unsaved;
    uint32_t first_memory; // whose place is in this chunk; 0 = none
    bool unsaved;          // in the unsaved queue
    uint64_t first_seen;
    uint64_t last_seen; // when the last visible cell was lost; meaningless while active
    uint64_t explored[];
};

// A cell that an empire began or ceased to see (or to detect) in this tick.
struct vision_flip {
    struct vision_active *active;
    uint32_t cell;
    bool revealed; // visible now and not before
};

#endif
