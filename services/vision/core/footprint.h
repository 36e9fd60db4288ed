#ifndef VISION_CORE_FOOTPRINT_H
#define VISION_CORE_FOOTPRINT_H

#include "libcommon/hex/chunk.h"
#include "libcommon/hex/hex.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

// What an observer sees, by chunk: tables for each radius and place in a chunk.

// The cells of one shape that lie in one chunk: this head, and then `words` words of the chunk's
// bitset from first_word on; the others are 0. near: 0 = the shape's own chunk, 1..6 = its
// neighbour in direction near - 1, FOOTPRINT_FAR = only (a, b) tells.
struct vision_group {
    int16_t a, b; // chunk relative to the shape's
    uint8_t near;
    uint8_t first_word;
    uint8_t words;
    bool last; // of the shape's groups
};
#define FOOTPRINT_FAR 255

// Shapes of one cell as the observer's place: the disc, and the hexes that enter with a step in
// each direction to this place. They are those that leave with a step back from here.
enum { SHAPE_DISC = 0, SHAPE_RING = 1, SHAPES = SHAPE_RING + HEX_DIRECTIONS };

// A shape's groups lie one behind the other, heads and words: a step reads few cache lines.
struct vision_footprint {
    uint32_t *first; // [cells * SHAPES]: a shape's first group in words
    uint64_t *words;
};

static inline const uint64_t *vision_footprint_shape(const struct vision_footprint *footprint,
                                                     uint32_t cell, unsigned shape)
{
    return footprint->words + footprint->first[cell * SHAPES + shape];
}

// Takes the head of the group at *at; its words are those behind, and the next group behind these.
static inline struct vision_group vision_footprint_group(const uint64_t *at)
{
    struct vision_group group;
    _Static_assert(sizeof group == sizeof *at, "a head is a word");
    memcpy(&group, at, sizeof group);
    return group;
}

// Tables for one radius; NULL when out of memory. Free with vision_footprint_free.
struct vision_footprint *vision_footprint_new(const struct hex_tiling *tiling, int32_t radius);
void vision_footprint_free(struct vision_footprint *footprint);

#endif
