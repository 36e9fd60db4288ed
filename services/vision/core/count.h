#ifndef VISION_CORE_COUNT_H
#define VISION_CORE_COUNT_H

#include "services/vision/core/state.h"

// Counting who sees what.

// What few actives have, made if it is not there; NULL when out of memory.
struct vision_seldom *vision_active_seldom(struct vision *vision, struct vision_active *active);
void vision_plane_put(struct vision *vision, struct vision_plane *plane); // NULL is allowed
// Counts cells of one plane up or down by one: those whose bits are set in `words` words of the
// chunk's bitset, from word first_word on.
void vision_count_cells(struct vision *vision, struct vision_active *active,
                        enum vision_sense sense, enum vision_source source, uint32_t first_word,
                        const uint64_t *masks, uint32_t words, bool up);
// Without fog: one count everywhere in the chunk for the empire.
void vision_reveal_chunk(struct vision *vision, uint32_t empire, uint32_t chunk);

#endif
