#ifndef VISION_CORE_MEMORY_H
#define VISION_CORE_MEMORY_H

#include "libcommon/base/heap.h"
#include "services/vision/core/entity.h"
#include "services/vision/core/vision.h"

#include <stdbool.h>
#include <stdint.h>

// What is remembered of entities out of sight (memory.c), and what gives way at the limit
// (evict.c).

struct vision;
struct vision_empire;

struct vision_memory_slot {
    struct vision_memory row;
    bool used;
    bool unsaved;
    bool told;          // to the empire, in a frame
    bool was_in_sight;  // its place, before the snapshot that is being applied
    bool has_row;       // among those loaded
    uint64_t stored_at; // tick
    uint32_t yield_place;
    uint32_t cell;
    struct vision_view *view;
    uint32_t next_in_view, previous_in_view;
    uint32_t next_in_empire, previous_in_empire;
    uint32_t next_unsaved, previous_unsaved;
    uint32_t next_free;
    mm_heap_handle expiry; // MM_HEAP_NONE: permanent
};

// A memory that was loaded.
struct vision_loaded_row {
    uint32_t empire;
    uint64_t id;
    uint64_t first_seen;
};

// An entity that left an empire's sight and may be remembered.
struct vision_parting {
    struct vision_memory row;
    uint32_t chunk;
    uint32_t cell;
    bool gone;
    bool was_in_sight; // its place, before the snapshot that is being applied
};

// Revealed and expired ones end, then partings are stored.
void vision_memory_end_tick(struct vision *vision, bool snapshot);
// Before a snapshot: notes what is in sight; at the snapshot's end what no longer is, is stored.
void vision_memory_note_all(struct vision *vision, bool resume);
void vision_memory_part(struct vision *vision, const struct vision_entity *entity, uint32_t empire,
                        uint64_t first_seen);
// The entity came into sight: its memory ends. First seen then, or now.
uint64_t vision_memory_meet(struct vision *vision, uint32_t empire, uint64_t id);
uint32_t vision_memory_store(struct vision *vision, const struct vision_memory *row);
bool vision_memory_lasts(const struct vision *vision, uint32_t type, uint64_t *ticks_out);
void vision_memory_queue_save(struct vision *vision, uint32_t slot);
void vision_memory_unqueue_save(struct vision *vision, uint32_t slot);
void vision_memory_forget(struct vision *vision, uint32_t slot);

// --- at the limit, and after a restart (evict.c) -------------------------------------------------

// Down to the limit. At the end of a tick, so that it makes no difference in which order the tick's
// memories were stored.
void vision_memory_evict(struct vision *vision, struct vision_empire *empire);
// A memory of the empire's is stored, or dropped.
void vision_yield_add(struct vision *vision, struct vision_empire *empire, uint32_t slot);
void vision_yield_remove(struct vision *vision, struct vision_empire *empire, uint32_t slot);
bool vision_loaded_add(struct vision *vision, const struct vision_memory *row);
// The tick that the rows are of has been, or is not to come.
void vision_loaded_end(struct vision *vision);

#endif
