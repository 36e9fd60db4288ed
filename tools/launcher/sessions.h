#ifndef LAUNCHER_SESSIONS_H
#define LAUNCHER_SESSIONS_H

#include "libcommon/io/loop.h"
#include "tools/launcher/plan.h"

// Runs what the directory of sessions (World.ListSessions of `main`) wants: for every session that
// is not ended its processes, and for none that is.

struct sessions;

// From now on the directory is looked at again and again. Children it starts are initialised with
// on_change and arg. NULL, after a message: it cannot be (the game runs without it).
struct sessions *sessions_open(struct mm_loop *loop, struct plan *plan, child_change_fn on_change,
                               void *arg);
// Looks no more; children are the plan's.
void sessions_close(struct sessions *sessions); // NULL is allowed
// To be called after the state of a child changed: starts those whose time has come, and frees the
// places of sessions that have ended.
void sessions_step(struct sessions *sessions); // NULL is allowed

#endif
