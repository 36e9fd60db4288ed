#ifndef VISION_CORE_OUTPUT_H
#define VISION_CORE_OUTPUT_H

#include "gen/frame.pb-c.h"
#include "libcommon/base/vec.h"
#include "libcommon/hex/hex.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The frame that is being built: what is told, noted as it is found, then sorted by empire.

struct vision;

// So many of the hexes told are one empire's.
struct vision_out_run {
    uint32_t empire;
    uint32_t first;
    uint32_t count;
};

// Hexes told, in the order in which they were found; most often that of the empires already.
struct vision_out_hexes {
    int32_t *q, *r;
    Mmorts__Frame__Visibility *state;
    uint32_t *terrain;
    size_t count, capacity;
};

struct vision_out_number {
    uint32_t empire;
    uint64_t value;
};

struct vision_output {
    struct vision_out_hexes hexes;
    struct {
        MM_VEC(struct vision_out_run);
    } runs;
    struct {
        MM_VEC(struct vision_out_number);
    } entered, left, forgotten, remembered; // remembered: memory slots
    struct {
        MM_VEC(uint32_t);
    } empires;
    void *columns; // one block that the frame's columns lie in
    size_t columns_bytes;
    Mmorts__Frame__VisionFrame frame;
    Mmorts__Frame__MemoryColumns memories;
};

void vision_output_init(struct vision_output *output);
void vision_output_free(struct vision_output *output);
void vision_output_clear(struct vision *vision);
void vision_output_hex(struct vision *vision, uint32_t empire, struct hex_axial at, uint32_t state,
                       uint32_t terrain);
void vision_output_entered(struct vision *vision, uint32_t empire, uint32_t entity);
void vision_output_left(struct vision *vision, uint32_t empire, uint64_t id);
void vision_output_forgotten(struct vision *vision, uint32_t empire, uint64_t id);
void vision_output_remembered(struct vision *vision, uint32_t empire, uint32_t slot);
// Room for `count` hexes of an empire; false if there is none.
bool vision_output_reserve(struct vision *vision, size_t count);
// Notes that the hexes from place `first` on are the empire's.
void vision_output_run(struct vision *vision, uint32_t empire, size_t first);
// Sorts what was noted by empire into the frame's columns.
const Mmorts__Frame__VisionFrame *vision_output_build(struct vision *vision);

#endif
