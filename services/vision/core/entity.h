#ifndef VISION_CORE_ENTITY_H
#define VISION_CORE_ENTITY_H

#include "services/vision/core/seen.h"

#include <stdbool.h>
#include <stdint.h>

// Entities, what sees by them and who sees them, and what happened to them in this tick.

struct vision_viewer {
    uint32_t empire;
    uint64_t first_seen;
};

// An observer's disc as it is counted now.
struct vision_seat {
    struct vision_active *active; // where it stands; NULL: nothing is counted
    struct hex_axial at;
    uint16_t cell;
    uint8_t radius;
    bool detects;
    bool beacon;
    bool by_lines; // counted is what terrain lets it see, not the whole disc
};

struct vision_type {
    uint32_t kind;
    int32_t sight_hexes;
    bool detects;
    bool beacon; // SIGHT_SHARED
    int32_t health_max;
    uint32_t flags;
};

// One record, not a column per field: whatever happens to an entity touches most of them. Two cache
// lines; what is asked of entities whose place is revealed or hidden lies in the first.
#define VISION_VIEWERS_FEW 8
struct vision_entity {
    uint64_t id;
    uint32_t next_in_cell;
    uint32_t owner;
    uint32_t change; // 1 + place in vision->changes, 0: unchanged in this tick
    uint32_t cell;
    uint32_t viewer_count;
    uint8_t viewers_log2; // room for 1 << viewers_log2 of them; 0: for VISION_VIEWERS_FEW, within
    bool alive;
    bool stealthed;
    bool lasts; // may be remembered: only then it matters when who saw it first
    // Who has it in sight, its owner included; ascending. Kept by a dead one until the tick's end.
    union {
        uint32_t few[VISION_VIEWERS_FEW];
        uint32_t *many;
    } viewers;

    struct hex_axial at;
    uint32_t chunk;
    uint32_t previous_in_cell;
    uint32_t next_owned, previous_owned;
    int32_t health;
    uint16_t type;
    uint8_t sight_hexes;
    bool sight_enabled : 1;
    bool detects : 1;
    bool beacon : 1;    // SIGHT_SHARED
    bool postponed : 1; // in vision->postponed
    struct vision_seat seat;
    uint64_t *first_seen; // of each viewer, as much room as for them; NULL: not kept
};

static inline const uint32_t *vision_viewers(const struct vision_entity *entity)
{
    return entity->viewers_log2 == 0 ? entity->viewers.few : entity->viewers.many;
}

// An entity that something happened to in this tick, with what it was at the end of the last one.
struct vision_change {
    uint32_t entity;
    bool spawned;
    bool gone;
    bool resight; // its viewers may have changed
    bool foreign; // its owner is another than it was
    uint32_t owner;
    uint32_t chunk;
    uint32_t cell;
    int32_t health;
    struct hex_axial at;
};

// An entity's turn within its owner's: it moves, and what it sees is counted. To be sorted.
struct vision_ordered {
    uint32_t owner;
    uint32_t entity;
    uint32_t moved;  // 1 + place in the frame's moves; 0: what happened to it is applied already
    uint32_t change; // place in vision->changes; ORDERED_UNCHANGED: none, or (so far) only a move
};
#define ORDERED_UNCHANGED UINT32_MAX

#endif
