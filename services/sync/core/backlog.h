#ifndef SYNC_CORE_BACKLOG_H
#define SYNC_CORE_BACKLOG_H

#include "services/sync/core/core.h"
#include "services/sync/core/update.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// What one client still has to be told: the difference between what it knows and what its view
// says. Kept only for clients whose deltas do not go out whole, as for one that would take more
// bytes than it may.
//
// It holds no values and no queue, but which entities and hexes there is news of: what is told of
// them is what is true when it is told. However often something changes meanwhile, it is told once;
// what appears and goes before it was told is not told at all. Each entity and each tile of hexes
// is in it at most once.
//
// Who is told first: every entity and tile has a weight by whose it is, how near and what (below),
// and comes in the order of weight x ticks waited. Weights differ by a factor of at most
// SYNC_WEIGHTS, so nothing waits for ever: be N how much there is news of at most, and M the ticks
// in which the bytes given to sync_backlog_take are enough to tell N things, then nothing waits
// longer than (SYNC_WEIGHTS + 1) x M ticks. (If something waited longer than M, then in the last M
// ticks something else was told twice, which at its second time had waited less than M and
// yet came first: so the one that waits had waited less than SYNC_WEIGHTS x M before.) A tile is
// one thing, told when all is told of it that was news when it was begun.

#define SYNC_BACKLOG_ENTITIES_MAX 8192
#define SYNC_BACKLOG_TILES_MAX    1024 // of SYNC_TILE_CELLS hexes
#define SYNC_BACKLOG_EVENTS_MAX   256  // of a tick; further ones are not shown
#define SYNC_PART_BYTES_MOST      260  // of an update, for one of its entities, hexes, events
#define SYNC_HEAD_BYTES_MOST      56   // and for the rest of it
#define SYNC_HEAD_BYTES_BINARY    8
#define SYNC_TAKE_HEADS           4 // bytes for so many heads are waited for, or all would go there
#define SYNC_WEIGHTS              16 // the greatest weight, over the smallest

// How what is near comes before what is far.
struct sync_priorities {
    // Hexes from the nearest of the empire's own entities or its home. Up to the first: critical,
    // if it is another empire's or land, else high; to the second high; to the third normal; else
    // low. The empire's own entities, and what is to disappear, are always critical. Where a player
    // says where it looks, these are distances from there, and what is near to its own as well is
    // at most one step lower than that alone would make it.
    uint32_t bands[3];
};

struct sync_backlog;

// NULL when out of memory.
struct sync_backlog *sync_backlog_new(void);
void sync_backlog_free(struct sync_backlog *backlog);

// How many entities and hexes there is news of.
size_t sync_backlog_left(const struct sync_backlog *backlog);
// Bytes of memory it takes.
size_t sync_backlog_bytes(const struct sync_backlog *backlog);

// --- news coming in; false: a bound or memory ran out, the client needs the full state -----------

// Adds what a step has to tell (a view's delta, or a part of one). Deltas are added in their order,
// in the step in which they arise. Its events wait until the end of the step and no longer.
bool MM_MUST_USE sync_backlog_merge(struct sync_backlog *backlog, const struct sync_core *core,
                                    const struct sync_delta *delta);

// The same piece by piece, for deltas that were kept for later: by ids, because slots and numbers
// are others' by then. What is true of them is looked up when they are told.
//
// It came into sight. known: the client remembers it.
bool MM_MUST_USE sync_backlog_add_appeared(struct sync_backlog *backlog, uint64_t id, bool known,
                                           uint64_t tick);
// It changed, in the fields of mask (enum sync_dirty), while the client knew it to be in sight.
bool MM_MUST_USE sync_backlog_add_changed(struct sync_backlog *backlog, uint64_t id, unsigned mask,
                                          uint64_t tick);
// It left sight, or what was remembered of it is other or nothing now. known: the client knew it.
// kind: for its public id.
bool MM_MUST_USE sync_backlog_add_left(struct sync_backlog *backlog, uint64_t id, uint32_t kind,
                                       bool known, uint64_t tick);
bool MM_MUST_USE sync_backlog_add_hex(struct sync_backlog *backlog, int32_t q, int32_t r,
                                      bool terrain, uint64_t tick);

// --- and out -------------------------------------------------------------------------------------

// About how many bytes it takes to tell a delta, and surely no more than the second says, which is
// found without looking at its parts.
int64_t sync_delta_bytes(const struct sync_delta *delta, enum sync_encoding encoding);
static inline int64_t sync_delta_bytes_most(const struct sync_delta *delta)
{
    size_t parts = delta->appeared.count + delta->changed.count + delta->gone.count +
                   delta->hexes.count + delta->events.count + delta->cached.count;
    return (int64_t)parts * SYNC_PART_BYTES_MOST + SYNC_HEAD_BYTES_MOST;
}

struct sync_take {
    enum sync_encoding encoding; // in which it will be told
    int64_t bytes;               // that this may take, about
    const struct sync_priorities *priorities;
    const struct sync_place *focus; // where the player looks; NULL: it did not say
};

// Moves what comes first into *out (emptied before), as much as fits; something if there are bytes
// for SYNC_TAKE_HEADS updates' heads, else nothing. The view is live. out->full: memory ran out.
void sync_backlog_take(struct sync_backlog *backlog, const struct sync_core *core,
                       const struct sync_view *view, const struct sync_take *take,
                       struct sync_delta *out);

#endif
