#ifndef SYNC_CORE_FOLD_H
#define SYNC_CORE_FOLD_H

#include "services/sync/core/core.h"

#include <stdbool.h>
#include <stdint.h>

// Several ticks told as one, for a process that cannot keep up: each tick is stepped, but clients
// are told once, what is true after the last of them of all that changed. So the work for each
// client falls with what has piled up, and nobody is told everything anew.
//
//     until = core->mirror.tick + sync_core_waiting(core)    several: they are folded
//     while ((step = sync_core_step(core)) == SYNC_STEP_DELTAS)
//         if (core->mirror.tick < until) sync_fold_hold(core)     what stays touched is told now
//         else sync_fold_release(core)                            everybody is told
//         for each view in core->touched: encode sync_fold_delta(core, view, news), send it
//     if the steps ended before `until`: sync_fold_release(core), and the same once more
//
// What changed meanwhile is read from the views' logs (history.h), in which every step has noted it
// anyway: holding costs a view nothing, and telling it a look at its log. Nothing but
// sync_core_step comes between holding and releasing, of all that changes views.

// Takes the views touched in this step out of core->touched, to be told together with later ones.
// There stay those that have to be told now: where the log does not go on from the tick before or
// would soon be too short, and where something ended or was completed, because such an event names
// what is there now.
void sync_fold_hold(struct sync_core *core);

// Puts those that are held back into core->touched.
void sync_fold_release(struct sync_core *core);

// What the clients of a live view in core->touched are to be told: its delta, or, if it was held,
// what changed since then, which is put into *news. Of the events in ticks that were held nothing
// is told. NULL: the log does not reach back, or out of memory; they need everything.
struct sync_delta *sync_fold_delta(struct sync_core *core, struct sync_view *view,
                                   struct sync_delta *news);

// The view is going to be closed.
void sync_fold_forget(struct sync_core *core, const struct sync_view *view);

#endif
