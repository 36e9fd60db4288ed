#ifndef SYNC_CORE_HISTORY_BLOCK_H
#define SYNC_CORE_HISTORY_BLOCK_H

#include "libcommon/base/varint.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

// Within the delta log: a block's head. What is in a block is drawn in history.h; it stands there
// in the order cached, gone, appeared, changed, hexes, explored.

enum sync_block_part {
    SYNC_BLOCK_CHANGED = 0x01,
    SYNC_BLOCK_APPEARED = 0x02,
    SYNC_BLOCK_GONE = 0x04,
    SYNC_BLOCK_CACHED = 0x08,
    SYNC_BLOCK_HEXES = 0x10,
    SYNC_BLOCK_EXPLORED = 0x20,
};

struct sync_block {
    uint16_t ticks;      // since the block before
    size_t bytes;        // of the whole block
    const uint8_t *body; // its parts
};

static inline void sync_block_head(uint8_t *at, uint16_t ticks, uint16_t body_bytes)
{
    memcpy(at, &ticks, 2);
    memcpy(at + 2, &body_bytes, 2);
}

static inline void sync_block_open(struct sync_block *block, const uint8_t *at)
{
    uint16_t body_bytes;
    memcpy(&block->ticks, at, 2);
    memcpy(&body_bytes, at + 2, 2);
    block->bytes = 4 + (size_t)body_bytes;
    block->body = at + 4;
}

#endif
