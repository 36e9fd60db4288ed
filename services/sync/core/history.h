#ifndef SYNC_CORE_HISTORY_H
#define SYNC_CORE_HISTORY_H

#include "libcommon/base/buf.h"
#include "libcommon/base/prefetch.h"
#include "libcommon/base/vec.h"
#include "services/sync/core/view.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The delta log of one view: which things changed in each of the last ticks, though not how. Who
// knows the view as it was in one of them gets the difference: what changed since, as it is now. So
// nothing of the past is ever told, and telling a thing twice does no harm.
//
// A tick that changed something is a block of bytes, oldest first:
//
//   u16 ticks since the block before | u16 bytes that follow | u8 parts there are |
//   cached:   count, each: number + 1 or 0, u8 1 if it was known before, u64 id
//   gone:     count, each: number + 1 or 0, u8 kind, u64 id
//   appeared: count, each: 2 × number + 1 if it was known before; then u64 id
//   changed:  count, each: number, u8 mask            (counts and numbers are varints)
//   hexes, and hexes whose terrain is news: count, each: u8 from the hex before (as the binary
//             protocol's `near`), or 0 and zigzag dq, zigzag dr
//
// A tick of a player with twenty units on the move is about 70 bytes.

#define SYNC_HISTORY_BYTES_MAX   (1u << 20) // of one view
#define SYNC_HISTORY_TICKS_MAX   1200u
#define SYNC_HISTORY_BYTES_USUAL 70u // of a tick, see above

struct sync_core;

// Holds at most `bytes_max` bytes, and none before something is recorded.
void sync_history_init(struct sync_history *history, size_t bytes_max);
void sync_history_free(struct sync_history *history);

// Forgets everything up to that tick, in which what clients are told may have begun anew: who says
// that it was told of that tick cannot go on from there.
void sync_history_begin(struct sync_history *history, uint64_t tick);
// The same for a view that nobody was told of before that tick: who was told of it was told all.
void sync_history_begin_first(struct sync_history *history, uint64_t tick);
// Asks for the memory that the next tick's record needs (prefetch.h).
static inline void sync_history_ask(const struct sync_history *history)
{
    const struct mm_buf *buf = &history->buf;
    if (!buf->data)
        return;
    mm_prefetch(buf->data + history->start);
    mm_prefetch_block(buf->data + buf->len, SYNC_HISTORY_BYTES_USUAL);
}
// Adds a tick, newer than all before, and forgets those that lie more than `ticks_max` ticks back
// or do not fit. The view is live, its delta is of this tick.
void sync_history_record(struct sync_history *history, const struct sync_core *core,
                         const struct sync_view *view, unsigned ticks_max);
// Forgets what lies more than `ticks_max` ticks before `tick` and gives back memory that is not
// needed any more.
void sync_history_trim(struct sync_history *history, uint64_t tick, unsigned ticks_max);
size_t sync_history_bytes(const struct sync_history *history); // allocated

// What a client knows of a live view.
struct sync_position {
    uint64_t settled; // it was told everything up to this tick ...
    uint64_t tick;    // ... and some of what changed after it, up to this tick
};

// Whether the log reaches back that far.
bool sync_history_covers(const struct sync_history *history, uint64_t settled);
// And will do so for some more ticks, if they are as those since then, up to `tick`.
bool sync_history_lasts(const struct sync_history *history, uint64_t settled, uint64_t tick,
                        unsigned ticks_max);

// Puts the difference between what such a client knows and what is true now into *out, which is
// emptied first. False: the log does not reach back, or out of memory; the client needs everything.
bool sync_history_since(const struct sync_core *core, const struct sync_view *view,
                        struct sync_position position, struct sync_delta *out);

#endif
