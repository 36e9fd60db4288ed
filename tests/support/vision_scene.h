#ifndef TESTS_SUPPORT_VISION_SCENE_H
#define TESTS_SUPPORT_VISION_SCENE_H

#include "gen/frame.pb-c.h"
#include "libcommon/base/rng.h"
#include "libcommon/hex/chunk.h"

// World's frames for benchmarks of vision: every empire has SCENE_MOVERS observers with a sight of
// SCENE_SIGHT hexes, who wander within SCENE_WANDER hexes of its home and take a step 4 times a
// second, a fifth of them in each tick; what it has beyond those are towers. Homes are
// SCENE_HOME_SPACING hexes apart, so that neighbours see each other's units. What an empire owns is
// scattered over the entity table, as after long play.
enum {
    SCENE_MOVERS = 20,
    SCENE_STEP_EVERY_TICKS = 5,
    SCENE_SIGHT = 8,
    SCENE_HOME_SPACING = 11,
    SCENE_WANDER = 7,
};

struct scene {
    uint32_t entities;
    uint32_t per_empire;
    uint32_t empires;
    // Homes move one hex in so many ticks, so that everybody goes on exploring; 0: they stay.
    uint32_t march_every_ticks;
    struct mm_rng rng;
    struct hex_axial *home; // per empire
    struct hex_axial *at;   // per entity
    struct hex_tiling tiling;
    Mmorts__Frame__TickFrame snapshot;
    Mmorts__Frame__Catalogue catalogue;
    Mmorts__Frame__TypeColumns types;
    Mmorts__Frame__TerrainColumns terrains;
    Mmorts__Frame__EmpireColumns empire_columns;
    Mmorts__Frame__ChunkColumns chunks;
    Mmorts__Frame__SpawnColumns spawned;
    Mmorts__Frame__TickFrame delta;
    Mmorts__Frame__PositionColumns moved;
};

// Aborts when out of memory.
struct scene *scene_new(uint32_t empires, uint32_t per_empire);
void scene_free(struct scene *scene);
// Makes the tick's moves: they are in scene->delta then.
void scene_move(struct scene *scene, uint64_t tick);
// Brings scene->snapshot to what the moves came to.
void scene_snapshot(struct scene *scene, uint64_t tick);

#endif
