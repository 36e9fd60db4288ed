#ifndef TESTS_SUPPORT_VISION_WORLD_H
#define TESTS_SUPPORT_VISION_WORLD_H

#include "services/vision/core/vision.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A random world, an independent computation of what each empire may know of it, and a reader of
// vision frames; to be compared after every tick.
//
// The truth is computed from raw positions, from scratch, tick by tick, in the plainest way: no
// counters, no chunks, no lists of what changed, and no code of the vision core or of libcommon/hex
// but the order of a chunk's cells (which is part of the frames' format).

struct vision_world;

struct vision_world_options {
    uint64_t seed;
    uint32_t empires;
    uint32_t entities; // about so many at a time
    int32_t chunk_radius;
    uint32_t memories_max;
    bool fog_of_war;
    bool beacons_only; // allies lend only what their beacons see
    bool terrain_blocks;
    uint32_t interval; // in ticks, at which moves of observers count; 0 is 1
};

struct vision_world *vision_world_new(const struct vision_world_options *options);
void vision_world_free(struct vision_world *world);

// The core's options that this world goes with.
struct vision_options vision_world_core_options(const struct vision_world *world);

// The next tick: changes the world at random and tells what changed. `snapshot` tells everything
// instead. The frame is the world's, valid until the next call. Sharing is changed in `core`
// directly, in step with the truth.
const Mmorts__Frame__TickFrame *vision_world_tick(struct vision_world *world, bool snapshot,
                                                  struct vision *core);

// The catalogue that the snapshots carry.
Mmorts__Frame__Catalogue *vision_world_catalogue(struct vision_world *world);

// Stops changing who shares with whom.
void vision_world_keep_shares(struct vision_world *world);

// Brings the reader of every empire up to date with a tick's frame, or (NULL, after a snapshot)
// with whole views from the core, and compares everything. Returns how many differences there are;
// the first ones are printed unless quiet.
size_t vision_world_compare(struct vision_world *world, const struct vision *core,
                            const Mmorts__Frame__VisionFrame *frame);

// The core's answers to questions (views, hexes, entities) against the truth.
size_t vision_world_compare_answers(struct vision_world *world, const struct vision *core);

// A new core, loaded from the rows saved last, after a snapshot: what it must remember still.
// Readers and truth then go on from there.
void vision_world_restarted(struct vision_world *world);

void vision_world_set_quiet(struct vision_world *world, bool quiet);
// The first difference found, in words; "" if none.
const char *vision_world_first_difference(const struct vision_world *world);

#endif
