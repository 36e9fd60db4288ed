#ifndef VISION_CORE_STATE_H
#define VISION_CORE_STATE_H

#include "libcommon/base/idmap.h"
#include "libcommon/base/pool.h"
#include "libcommon/base/prefetch.h"
#include "libcommon/base/progress.h"
#include "libcommon/hex/sight.h"
#include "services/vision/core/bounds.h"
#include "services/vision/core/chunk.h"
#include "services/vision/core/empire.h"
#include "services/vision/core/entity.h"
#include "services/vision/core/fault.h"
#include "services/vision/core/footprint.h"
#include "services/vision/core/memory.h"
#include "services/vision/core/output.h"
#include "services/vision/core/vision.h"

// The core's state, and the picture of it:
//
//   entity --stands on--> chunk cell          chunk --watchers--> actives (empires that see some
//     |                                          |                 cell of it); per cell one bit
//     |                                          |                 for each watcher that sees it
//     +--viewers: empires that have it in sight  |
//                                              view (empire, chunk): explored bits, for ever
//   observer: an entity with a seat                +-- active: counters and bits, while anything
//     = a disc counted in its empire's views           of the chunk is visible to the empire
//
// Within a tick everything is brought to the tick's end (mirror, counters), while what may have
// changed is noted (changes, dirty actives); each noted thing is compared with what was told last
// (visible bits, viewers) and the differences are the tick's frame. Nothing depends on the order in
// which changes of one tick are applied. Moves, counters and visible bits are an empire's own and
// are done at its turn, unless it borrows sight; viewers concern all and are compared after that.

struct vision {
    struct vision_options options;
    struct hex_tiling tiling;
    uint32_t words; // of a chunk's bitset
    uint64_t tick;
    uint64_t previous_tick; // of the frame before
    uint32_t round;         // frames applied: what happened in this one is stamped with it
    bool live;
    bool quiet;       // the frame is a snapshot: what follows from it is not told
    bool exhausted;   // memory or a limit ran out in this frame
    bool whole_discs; // benchmark only: never use step differences
    bool discs_anew;  // benchmark only: every tick joins all discs of all observers
    char refusal[VISION_REFUSAL_BYTES];
    uint64_t checks; // frames looked through

    struct vision_type *types;
    uint32_t type_count;
    uint32_t terrain_count;

    struct vision_entity *entities; // by slot; [0] is unused
    uint32_t entity_capacity;
    uint32_t entity_count;
    struct mm_idmap *entity_by_id;

    struct vision_empire **empires; // by number; NULL: never heard of
    uint32_t empire_capacity;
    uint32_t empire_count;

    struct {
        MM_VEC(struct vision_chunk);
    } chunks;
    struct mm_idmap *chunk_by_at;
    uint32_t chunks_known;

    struct {
        MM_VEC(struct vision_alliance);
    } alliances; // one without members is used again
    struct mm_idmap *alliance_by_id;

    struct mm_idmap *view_by_key; // empire << 32 | chunk -> struct vision_view *
    struct mm_pool *view_pool;
    struct mm_pool *active_pool;
    struct mm_pool *plane_pool;
    struct mm_pool *seldom_pool;
    struct vision_footprint *footprints[VISION_SIGHT_HEXES_MAX + 1];

    // World's rules of sight, as its catalogue tells them.
    bool fog_lifted;
    bool terrain_blocks;

    // lines.c: terrain that shortens sight
    uint8_t sight_costs[UINT8_MAX + 1];                       // by terrain
    struct hex_sight_lines lines[VISION_SIGHT_HEXES_MAX + 1]; // made at first use
    uint8_t line_costs[VISION_GRID_PLACES];                   // scratch of a look around
    bool line_seen[VISION_GRID_PLACES];                       // what it found
    struct {
        MM_VEC(uint32_t);
    } lifted; // observers that are counted anew because chunks changed

    struct {
        MM_VEC(struct vision_change);
    } changes;
    // The changes by the owner they had: an empire's are settled at once, while what they touch is
    // in the processor's cache, where all that is touched in a tick has no room.
    struct {
        MM_VEC(struct vision_ordered);
    } order, order_scratch;
    // Observers that moved since the last tick in which that counts.
    struct {
        MM_VEC(uint32_t);
    } postponed;
    struct {
        MM_VEC(struct vision_active *);
    } dirty; // counted and not settled
    struct {
        MM_VEC(struct vision_active *);
    } vacated; // nothing is visible any more
    struct {
        MM_VEC(struct vision_flip);
    } flips;
    struct {
        MM_VEC(struct vision_parting);
    } partings;
    struct {
        MM_VEC(struct vision_share_order);
    } share_orders;
    struct mm_idmap *order_by_subject; // hash -> 1 + place of the last
    // Borrowers whose lenders by order are others than when that was last asked for; last 0: none.
    uint32_t lent_first, lent_last;
    struct {
        MM_VEC(struct vision_viewer);
    } sightings; // scratch: an entity's viewers now

    struct vision_memory_slot *memories; // [0] is unused
    uint32_t memory_capacity;
    uint32_t memory_free;
    uint32_t memory_next; // first slot never used
    struct mm_heap *expiries;

    struct vision_view *unsaved_first, *unsaved_last;
    uint32_t unsaved_views;
    uint32_t unsaved_memory_first, unsaved_memory_last;
    uint32_t unsaved_memories;
    struct {
        MM_VEC(struct vision_forgotten);
    } unsaved_forgotten;
    struct {
        bool holds;    // rows were loaded, and their tick is still to come
        uint64_t tick; // that they are of
        bool all;      // they are all that there was then
        struct {
            MM_VEC(struct vision_loaded_row);
        } rows;
    } loaded;

    struct vision_output output;
    struct vision_stats stats;
    uint64_t held_bytes;          // of blocks outside pools and vectors
    uint8_t *frame_marks;         // per slot, scratch of the frame check
    struct mm_progress *progress; // NULL: nobody waits
};

// In a pass over what may be a million rows, for each: what is given up ends as if memory had.
static inline void vision_pass_row(struct vision *vision, size_t row)
{
    if (!mm_progress_row(vision->progress, row))
        vision->exhausted = true;
}

static inline struct vision_empire *vision_empire_find(const struct vision *vision, uint32_t number)
{
    return number < vision->empire_capacity ? vision->empires[number] : NULL;
}

// Since when the viewer at that place has it in sight, if that matters.
static inline uint64_t vision_first_seen(const struct vision *vision,
                                         const struct vision_entity *entity, size_t place)
{
    return entity->first_seen ? entity->first_seen[place] : vision->previous_tick;
}

// Asks for an entity's cache lines some iterations before they are needed.
static inline void vision_entity_prefetch(const struct vision *vision, uint32_t slot)
{
    mm_prefetch_block(&vision->entities[slot], sizeof vision->entities[slot]);
}

#endif
