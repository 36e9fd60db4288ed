#ifndef VISION_CORE_MIRROR_H
#define VISION_CORE_MIRROR_H

#include "services/vision/core/state.h"

// check.c: whether the frame can be applied; on refusal fills vision->refusal.
enum mm_err vision_check_frame(struct vision *vision, const Mmorts__Frame__TickFrame *frame);

// World's state. Failures set vision->exhausted.
//
// All but the moves: those are made at each owner's turn (sight.c), for whose entities and their
// places to be fetched once. Who comes or goes is compared with all who watch afterwards, so that
// it makes no difference who looked before.
void vision_mirror_apply(struct vision *vision, const Mmorts__Frame__TickFrame *frame);
void vision_mirror_move(struct vision *vision, uint32_t slot, struct hex_axial to);
// Asks for the place where an entity stands some moves before it leaves it.
void vision_mirror_prefetch(const struct vision *vision, uint32_t slot);
void vision_mirror_clear(struct vision *vision); // before a snapshot
bool vision_entities_reserve(struct vision *vision, uint32_t slot);
struct vision_empire *vision_empire_get(struct vision *vision, uint32_t number); // makes it
// Index of the chunk, made (not known) if needed; UINT32_MAX when that failed.
uint32_t vision_chunk_get(struct vision *vision, struct hex_chunk at);
bool vision_chunk_find(const struct vision *vision, struct hex_chunk at, uint32_t *index_out);

#endif
