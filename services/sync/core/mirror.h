#ifndef SYNC_CORE_MIRROR_H
#define SYNC_CORE_MIRROR_H

#include "gen/frame.pb-c.h"
#include "libcommon/base/err.h"
#include "libcommon/base/idmap.h"
#include "libcommon/base/progress.h"
#include "libcommon/base/vec.h"
#include "services/sync/core/catalogue.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// What world's tick frames say there is: entities by slot, empires by number, the catalogue.
// Knows nothing of who may see what.

#define SYNC_ENTITIES_MAX (UINT32_C(1) << 20) // highest slot + 1
#define SYNC_EMPIRES_MAX  (UINT32_C(1) << 16) // highest empire number + 1
#define SYNC_NAME_MAX     64                  // bytes of an empire's name; longer is refused

// What of an entity changed in a tick. The first four are in every client's `changed`; owner-only
// ones reach the entity's owner alone.
enum sync_dirty {
    SYNC_DIRTY_PLACE = 1 << 0,
    SYNC_DIRTY_HEALTH = 1 << 1,
    SYNC_DIRTY_OWNER = 1 << 2,
    SYNC_DIRTY_ACTIVITY = 1 << 3,
    SYNC_DIRTY_PROGRESS = 1 << 4,
    SYNC_DIRTY_AMOUNT = 1 << 5,  // or the rank: what holds an amount has none
    SYNC_DIRTY_CARRIED = 1 << 6, // owner only
    SYNC_DIRTY_TARGET = 1 << 7,  // owner only
};
#define SYNC_DIRTY_OWNER_ONLY (SYNC_DIRTY_CARRIED | SYNC_DIRTY_TARGET)
#define SYNC_DIRTY_PUBLIC     (0xff & ~SYNC_DIRTY_OWNER_ONLY)

// One entity; also what a client has been told of it.
struct sync_entity {
    uint64_t id; // 0: the slot is free
    uint32_t type;
    uint32_t owner; // empire number; 0 = nobody
    int32_t q, r;
    int32_t health;
    int32_t amount;
    int32_t carried;
    int32_t target_q, target_r; // of a building: its rally point
    bool rallies;               // it has one
    uint16_t progress;          // permille
    uint8_t activity;
    uint8_t rank; // what its kills have made of it
    bool alive;
};

struct sync_place {
    int32_t q, r;
};

struct sync_empire {
    uint64_t id; // 0: no such empire
    uint64_t player_id;
    int32_t home_q, home_r;
    char *name;
};

struct sync_departed {
    uint32_t slot;
    uint64_t id;
};

struct sync_mirror {
    uint64_t tick;  // of the last frame applied
    uint32_t state; // enum Mmorts__Frame__SessionState
    bool loaded;    // a snapshot has been applied

    struct sync_catalogue catalogue;
    struct sync_entity *entities; // by slot, [0, slot_count)
    uint8_t *dirty;               // by slot: enum sync_dirty of this tick
    struct sync_place *before;    // by slot: where it was, if SYNC_DIRTY_PLACE is set
    uint8_t *stepped;             // by slot, likewise: in which direction (hex.h) its hex lies from
                                  // there; HEX_DIRECTIONS: it is not a neighbour
    uint32_t slot_count;          // slots allocated
    uint32_t entity_count;        // alive
    struct mm_idmap *slot_of_id;  // those alive, and those that departed in this tick

    struct sync_empire *empires; // by number, [0, empire_count)
    uint32_t empire_count;
    bool empires_changed; // in this tick

    // Slots with a dirty mask, and the entities that were despawned in this tick: their slots keep
    // their content until the next frame.
    struct {
        MM_VEC(uint32_t);
    } changed;
    struct {
        MM_VEC(struct sync_departed);
    } departed;

    struct mm_progress *progress; // told of the progress of long frames; NULL: nobody is
};

// RESOURCE_EXHAUSTED: out of memory.
enum mm_err MM_MUST_USE sync_mirror_init(struct sync_mirror *mirror);
void sync_mirror_free(struct sync_mirror *mirror);

// Applies a frame whole or not at all. A snapshot replaces everything; another frame must be for
// the tick after the mirror's. DATA_LOSS: the frame contradicts itself or what is known (the caller
// asks for a snapshot). RESOURCE_EXHAUSTED: a bound above, or memory: the mirror is then unusable
// until a snapshot is applied (`loaded` is false).
enum mm_err MM_MUST_USE sync_mirror_apply(struct sync_mirror *mirror,
                                          const Mmorts__Frame__TickFrame *frame);

// The slot of a live entity, or of one that departed in this tick; 0 if there is none.
uint32_t sync_mirror_slot(const struct sync_mirror *mirror, uint64_t id);

// NULL if there is no such empire.
const struct sync_empire *sync_mirror_empire(const struct sync_mirror *mirror, uint32_t number);

// Whether it has a target to be shown: where it is going, or sends those trained there.
bool sync_entity_has_target(const struct sync_entity *e);

// Whether its rank is told where its amount is.
bool sync_entity_has_rank(const struct sync_mirror *mirror, const struct sync_entity *e);

// What of an entity that is alive differs from what is remembered of it as `told`, as a mask of
// enum sync_dirty.
uint8_t sync_entity_diff(const struct sync_entity *told, const struct sync_entity *now);

#endif
