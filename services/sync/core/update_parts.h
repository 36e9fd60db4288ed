#ifndef SYNC_CORE_UPDATE_PARTS_H
#define SYNC_CORE_UPDATE_PARTS_H

#include "services/sync/core/encode.h"
#include "services/sync/core/update.h"

// Within the encoder: what its two encodings share, and the binary one's half of it.

// Four forms of what a step says of an entity.
enum sync_fragment_kind {
    SYNC_CHANGED_PUBLIC,
    SYNC_CHANGED_OWNER,
    SYNC_APPEARED_PUBLIC,
    SYNC_APPEARED_OWNER,
    SYNC_FRAGMENTS,
};

bool sync_encoder_begin_message(struct sync_encoder *encoder);
// Adds a piece of encoder->buf to the message begun last.
bool sync_encoder_add_slice(struct sync_encoder *encoder, size_t offset, size_t len);

static inline enum sync_audience sync_encoder_audience(const struct sync_core *core,
                                                       const struct sync_view *view, uint32_t slot)
{
    return core->mirror.entities[slot].owner == view->empire ? SYNC_OWNER : SYNC_PUBLIC;
}
// Gives an empire that is met a place among the view's names. False when out of memory.
bool sync_encoder_name(const struct sync_core *core, struct sync_view *view, uint32_t empire);
// The same for all whom the delta's entities belong to.
bool sync_encoder_name_delta(const struct sync_core *core, struct sync_view *view,
                             const struct sync_delta *delta);
// The next one that is not told yet; NULL: all are. It counts as told in these messages.
const struct sync_empire *sync_encoder_next_name(struct sync_encoder *encoder,
                                                 const struct sync_core *core,
                                                 const struct sync_view *view);

// The mask that those who followed the entity are told: what is encoded of it can be shared.
static inline unsigned sync_encoder_usual_mask(const struct sync_mirror *mirror, uint32_t slot,
                                               unsigned kind)
{
    unsigned usual = mirror->dirty[slot];
    if (kind == SYNC_CHANGED_PUBLIC)
        usual &= SYNC_DIRTY_PUBLIC;
    else if (usual & SYNC_DIRTY_OWNER)
        usual |= SYNC_DIRTY_OWNER_ONLY;
    return usual;
}

// --- update_binary.c -----------------------------------------------------------------------------

bool sync_encoder_add_binary(struct sync_encoder *encoder, struct sync_core *core,
                             struct sync_view *view, const struct sync_holding *holding,
                             uint64_t told_tick);
bool sync_encoder_add_binary_idle(struct sync_encoder *encoder, struct sync_core *core,
                                  uint64_t told_tick);

// --- full_binary.c -------------------------------------------------------------------------------

// Everything but the explored hexes.
void sync_full_binary_state(const struct sync_core *core, const struct sync_view *view,
                            const struct sync_holding *holding, struct mm_buf *out);

// The i-th of the names that are told.
const struct sync_empire *sync_full_empire(const struct sync_core *core,
                                           const struct sync_view *view, size_t i);

// Messages with their length in front: `at` is what begin gave.
size_t sync_full_begin(struct mm_buf *out);
void sync_full_end(struct mm_buf *out, size_t at);

#endif
