#ifndef SYNC_CORE_RESUME_H
#define SYNC_CORE_RESUME_H

#include "services/sync/core/history.h"
#include "services/sync/core/update.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// How a client that knows a view as it was some ticks ago is brought to the present tick without
// being told everything: the message `resumed`, then the difference as an ordinary update.

// A client's place in the stream of a view's updates, kept while it is away.
struct sync_place_in_stream {
    struct sync_position position;
    uint32_t generation;  // of the view
    uint32_t names_epoch; // of the view's names
};

// Whether a client that comes back to that place can be told the difference. On a false answer it
// needs everything.
bool sync_resume_possible(const struct sync_core *core, const struct sync_view *view,
                          const struct sync_place_in_stream *place);

// Appends the message `resumed`, and puts the difference into *news. False: everything is needed,
// or would be shorter.
bool sync_resume_begin(const struct sync_core *core, const struct sync_view *view,
                       enum sync_encoding encoding, const struct sync_place_in_stream *place,
                       struct mm_buf *out, struct sync_delta *news);

// Encodes the update that goes with it into encoder->messages, at least one. beside: another client
// follows the view meanwhile, and was told of this tick. False: everything is needed.
bool sync_resume_encode(struct sync_encoder *encoder, struct sync_core *core,
                        struct sync_view *view, enum sync_encoding encoding, bool beside,
                        struct sync_delta *news);

#endif
