#ifndef VISION_CORE_CHUNK_H
#define VISION_CORE_CHUNK_H

#include "libcommon/base/vec.h"
#include "libcommon/hex/chunk.h"
#include "services/vision/core/seen.h"

#include <stdbool.h>
#include <stdint.h>

// A chunk of the map: its cells, what stands there, and who sees any of it.

struct vision_watcher {
    uint32_t empire;
    struct vision_active *active; // NULL: the slot is free
};

struct vision_chunk {
    struct hex_chunk at;
    bool known; // world has made it: there are cells
    uint8_t *cells;
    uint32_t costly_cells;  // whose terrain has a sight cost; only with terrain_blocks
    uint32_t *first_entity; // per cell, 0 = none; NULL until something stands in the chunk
    uint64_t *occupied;     // a bit for each cell where something stands; made with first_entity
    uint32_t entities;
    struct {
        MM_VEC(struct vision_watcher);
    } watchers;
    // What each watcher sees: the w-th word of watcher i's BITS_VISIBLE, again, at
    // visible[w * visible_stride + i]. So those who see a hex are found side by side.
    uint64_t *visible;
    uint32_t visible_stride;
};

#endif
