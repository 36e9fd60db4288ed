#ifndef SYNC_CORE_SERVED_H
#define SYNC_CORE_SERVED_H

#include <stdbool.h>
#include <stdint.h>

// Where a process reads only what vision tells of the empires that have a view here: which revision
// of that set vision was told, and is known to have. The set goes whole, one call at a time;
// whatever changes meanwhile goes with the next. A view is asked for when vision has the first set
// with its empire, and vision refuses to give one for a stream that does not go on with it. So no
// view is live without its frames, however calls overtake one another.
struct sync_served {
    uint64_t revision; // of the set as it is now, ...
    uint64_t sent;     // as vision was told last, ...
    uint64_t taken;    // and as it is known to have
    bool lost;         // vision does not know of us (any more)
    bool telling;      // a call is under way
};

static inline struct sync_served sync_served_new(void)
{
    return (struct sync_served){.revision = 1, .lost = true};
}

// A view came or went: the revision of the first set that knows. One that vision was not told of
// yet takes up more changes.
static inline uint64_t sync_served_change(struct sync_served *served)
{
    if (served->sent == served->revision)
        served->revision++;
    return served->revision;
}

// Whether vision is to be told now: the set as it is, as served->revision.
static inline bool sync_served_is_due(const struct sync_served *served)
{
    return !served->telling && (served->sent != served->revision || served->lost);
}

static inline void sync_served_tell(struct sync_served *served)
{
    served->sent = served->revision;
    served->telling = true;
}

// The call has ended.
static inline void sync_served_told(struct sync_served *served, bool ok)
{
    served->telling = false;
    served->lost = !ok;
    if (ok)
        served->taken = served->sent;
}

// Vision has no such stream: it was started again, or we were away for longer than its lease. The
// set is told again, the stream has another epoch, and the core freezes every view.
static inline void sync_served_lose(struct sync_served *served)
{
    served->lost = true;
}

// Whether vision has a set of that revision or a later one.
static inline bool sync_served_has(const struct sync_served *served, uint64_t revision)
{
    return served->taken >= revision;
}

#endif
