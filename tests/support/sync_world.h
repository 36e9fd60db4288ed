#ifndef TESTS_SUPPORT_SYNC_WORLD_H
#define TESTS_SUPPORT_SYNC_WORLD_H

#include "gen/frame.pb-c.h"
#include "libcommon/base/rng.h"
#include "tests/support/wire_json.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A small random world and what its empires see of it, computed from scratch every tick in the
// plainest way, and the frames that world and vision would publish of it. Independent of sync's
// code: what a client shows is compared with it.

enum {
    SYNC_WORLD_SLOTS = 97,
    SYNC_WORLD_EMPIRES = 5, // numbers 1..5
    SYNC_WORLD_SIDE = 28,   // the map is [-SIDE/2, SIDE/2)²
    SYNC_WORLD_HEXES = SYNC_WORLD_SIDE * SYNC_WORLD_SIDE,
    SYNC_WORLD_HISTORY = 512, // ticks the truth is kept for
};

struct sync_world_entity {
    bool alive;
    uint64_t id;
    uint32_t type, owner;
    int32_t q, r, health, amount, carried, target_q, target_r;
    uint32_t progress, activity, rank;
};

struct sync_world_memory {
    bool known;
    uint64_t id, first_seen, last_seen, expires_at;
    uint32_t type, owner;
    int32_t q, r, health;
};

// What one empire knows after one tick. Memories are kept by slot of a table of their own.
struct sync_world_view {
    bool sees[SYNC_WORLD_SLOTS];
    uint8_t hexes[SYNC_WORLD_HEXES]; // visibility
    struct sync_world_memory memories[SYNC_WORLD_SLOTS];
};

struct sync_world_truth {
    uint64_t tick;
    struct sync_world_entity entities[SYNC_WORLD_SLOTS];
    struct sync_world_view views[SYNC_WORLD_EMPIRES + 1];
};

// What an empire last saw of an entity that is out of its sight.
struct sync_world_absence {
    uint64_t id; // 0: it is none
    uint32_t activity, rank;
    int32_t health;
    bool activity_changed, rank_changed, health_changed; // since, unseen
};

struct sync_world {
    struct mm_rng rng;
    uint64_t next_id;
    struct sync_world_truth now, before;
    struct sync_world_truth *history; // by tick modulo
    bool was_freed[SYNC_WORLD_SLOTS]; // in the last tick: not to be filled yet
    struct sync_world_absence absences[SYNC_WORLD_EMPIRES + 1][SYNC_WORLD_SLOTS];
    bool shifty; // what nobody sees changes all the time, and often back to what it was
    // How often an entity came back into somebody's sight with a value that it had when it left and
    // had not in between.
    size_t returned;
    // Events of the last tick.
    uint32_t event_count;
    struct {
        uint32_t kind, entity, other, detail;
        int32_t value;
    } events[64];
};

struct sync_world *sync_world_new(uint64_t seed);
void sync_world_free(struct sync_world *world);

// One tick; the frames below speak of it. `activity`: how many things happen (10 is lively).
void sync_world_tick(struct sync_world *world, unsigned activity);
// Skips tick numbers without anything happening, as a world that was started again does.
void sync_world_skip(struct sync_world *world, uint64_t ticks);

// The truth after that tick, NULL if it is no longer kept.
const struct sync_world_truth *sync_world_at(const struct sync_world *world, uint64_t tick);

// Fresh frames, the caller's (…__free_unpacked).
Mmorts__Frame__TickFrame *sync_world_frame(const struct sync_world *world);
Mmorts__Frame__TickFrame *sync_world_snapshot(const struct sync_world *world);
Mmorts__Frame__VisionFrame *sync_world_vision(const struct sync_world *world);
Mmorts__Frame__VisionFrame *sync_world_get_view(const struct sync_world *world, uint32_t empire);

static inline size_t sync_world_hex(int32_t q, int32_t r)
{
    return (size_t)((r + SYNC_WORLD_SIDE / 2) * SYNC_WORLD_SIDE + q + SYNC_WORLD_SIDE / 2);
}
uint32_t sync_world_terrain(int32_t q, int32_t r);
extern const char *const sync_world_types[], *const sync_world_terrains[];
uint32_t sync_world_kind(uint32_t type);
uint64_t sync_world_empire_id(uint32_t empire);
// What the message `map` would say of it.
const struct wire_map *sync_world_map(void);

#endif
