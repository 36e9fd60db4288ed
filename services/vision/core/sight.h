#ifndef VISION_CORE_SIGHT_H
#define VISION_CORE_SIGHT_H

#include "services/vision/core/state.h"

// What observers see, counted (sight.c); terrain that shortens it (lines.c).

// Counts the entity's disc as it is to be now.
void vision_seat_update(struct vision *vision, struct vision_entity *entity);
// Whether the seat's observer sees the hex, as it is counted now; world must have made the hex.
bool vision_seat_reaches(const struct vision *vision, const struct vision_seat *seat,
                         struct hex_axial at);
// Around a change of chunks: uncounts the observers whose sight may be another afterwards, and
// counts them again.
void vision_sight_lift(struct vision *vision, const Mmorts__Frame__ChunkColumns *chunks);
void vision_sight_lower(struct vision *vision);
// Benchmark only: what everybody sees from nothing, as the union of discs. There are no counts
// then.
void vision_sight_join_discs(struct vision *vision);

// Whether observers that moved are counted anew in this tick.
static inline bool vision_moves_count(const struct vision *vision)
{
    return vision->tick % vision->options.update_interval_ticks == 0;
}

// --- terrain (lines.c) ---------------------------------------------------------------------------

// How many of a chunk's cells have a sight cost.
uint32_t vision_lines_costly_cells(const struct vision *vision, const uint8_t *cells);
// Whether any terrain with a sight cost may lie in the disc. The radius' footprint is there.
bool vision_lines_matter(const struct vision *vision, struct hex_chunk at, uint32_t cell,
                         int32_t radius);
// Looks around from a hex, its chunk and cell; false: out of memory. Then says what was seen, of
// hexes within the radius.
bool vision_lines_look(struct vision *vision, struct hex_axial from, struct hex_chunk at,
                       uint32_t cell, int32_t radius);
bool vision_lines_saw(const struct vision *vision, struct hex_axial from, int32_t radius,
                      struct hex_axial to);
// The same of one hex, from nothing.
bool vision_lines_reach(const struct vision *vision, struct hex_axial from, int32_t radius,
                        struct hex_axial to);

#endif
