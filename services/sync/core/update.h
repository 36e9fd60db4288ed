#ifndef SYNC_CORE_UPDATE_H
#define SYNC_CORE_UPDATE_H

#include "libcommon/base/buf.h"
#include "libcommon/base/vec.h"
#include "services/sync/core/core.h"
#include "services/sync/core/runs.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Turns deltas into messages. A change is encoded once in a step, however many clients see it;
// a client's messages are lists of slices of one shared buffer.

#define SYNC_STEP_BYTES_MAX ((size_t)256 << 20) // everything encoded in one step
#define SYNC_HEADROOM_BYTES 10u                 // free in front of a binary message, for a header
#define SYNC_SLICES_MAX     1048576             // of one view in one step
#define SYNC_FULL_BYTES_MAX ((size_t)32 << 20)  // one full state's last part
#define SYNC_EXPLORED_BYTES ((size_t)24 << 10)  // an explored_hexes message ends beyond this

struct sync_slice {
    size_t offset, len; // in the encoder's buffer
};

// One message: consecutive slices.
struct sync_message {
    size_t slice, slice_count;
    size_t bytes;
};

// Where a fragment encoded in this step lies.
struct sync_fragment {
    uint32_t step;
    uint32_t len;
    size_t offset; // of the comma before it
};

enum sync_encoding { SYNC_JSON, SYNC_BINARY };

// The same in the binary encoding.
struct sync_body {
    uint32_t step;
    uint16_t len;
    size_t offset;
};

struct sync_encoder {
    struct mm_buf buf;               // of this step; slices are offsets into it
    uint32_t step;                   // the core's step it holds
    size_t head_offset, head_len;    // {"type":"update","tick":…
    struct sync_fragment *fragments; // by slot, four each: changed and appeared, public and owner
    uint32_t fragment_slots;
    struct sync_body *bodies; // by slot, likewise: the binary encoding's
    uint32_t body_slots;
    struct sync_runs runs;
    struct mm_buf draft; // a binary message being made

    // What is encoded now.
    struct sync_delta *delta;
    size_t deferred; // how much of what there is news of is not in it

    // The messages of the view encoded last.
    enum sync_encoding encoding;
    size_t named; // so many of the view's names are known to who gets them, or told in them
    struct {
        MM_VEC(struct sync_slice);
    } slices;
    struct {
        MM_VEC(struct sync_message);
    } messages;

    uint64_t fragments_made, fragments_shared; // how often encoding was saved
};

void sync_encoder_init(struct sync_encoder *encoder);
void sync_encoder_free(struct sync_encoder *encoder);

// Encodes a touched live view's delta (and what its holding has to tell) into encoder->messages;
// none if there is nothing to say. told_tick: of the client's last update. False: memory or a bound
// ran out, or the delta asks for it: the view's clients need a full state.
bool sync_encode_view(struct sync_encoder *encoder, struct sync_core *core, struct sync_view *view,
                      enum sync_encoding encoding, uint64_t told_tick);

// Asks for the memory that encoding that delta in binary needs (prefetch.h): a few views ahead.
void sync_encode_ask(const struct sync_encoder *encoder, const struct sync_core *core,
                     const struct sync_view *view);

// The two halves of it, for a view with several clients: the first may be done once for each
// encoding, and when all of them have it, it counts as told.
bool sync_encode_delta(struct sync_encoder *encoder, struct sync_core *core, struct sync_view *view,
                       enum sync_encoding encoding, uint64_t told_tick);
void sync_encode_told(struct sync_core *core, struct sync_view *view);

// The first half with another delta instead of the view's: of a client that is told only a part of
// it, or later (backlog.h). deferred: of how many entities and hexes there is news that the client
// is not told now; it is told that. Names, resources and jobs are told all the same. The lists of
// the part may be put into another order.
bool sync_encode_part(struct sync_encoder *encoder, struct sync_core *core, struct sync_view *view,
                      struct sync_delta *part, size_t deferred, enum sync_encoding encoding,
                      uint64_t told_tick);

// An update that says only which tick it is, and how much is deferred.
bool sync_encode_idle(struct sync_encoder *encoder, struct sync_core *core, size_t deferred,
                      enum sync_encoding encoding, uint64_t told_tick);

// --- full states ---------------------------------------------------------------------------------

// Where a client stands in receiving everything. The part that may be long, the explored hexes, is
// taken as the connection takes it; the rest is made at once, of one tick.
struct sync_full {
    bool active;
    bool begun;          // the first explored_hexes message was made
    bool beside;         // set by the caller: another client of the view follows it meanwhile
    uint32_t generation; // the view's, when begun
    size_t tile;         // next one
    uint64_t since;      // the tick in which this pass over the tiles began
};

// Appends messages to `out`, each preceded by its length as 4 bytes in native order, until about
// `bytes` are there or everything is told (full->active becomes false). Call once a step, the
// view being live. RESOURCE_EXHAUSTED: it cannot be told within SYNC_FULL_BYTES_MAX or memory.
enum mm_err MM_MUST_USE sync_encode_full(struct sync_core *core, struct sync_view *view,
                                         enum sync_encoding encoding, struct sync_full *full,
                                         size_t bytes, struct mm_buf *out);

#endif
