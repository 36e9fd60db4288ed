#ifndef MM_SERVICE_WATCHDOG_H
#define MM_SERVICE_WATCHDOG_H

#include "libcommon/base/err.h"

#include <stdbool.h>
#include <stdint.h>

// A thread that notices when the loop no longer turns. A loop that is stuck cannot tell anybody,
// and a supervisor restarts only what has died: so the watchdog says where it hung and aborts.

struct mm_watchdog;

// Starts the thread. It watches the calling thread, which has to call mm_watchdog_beat() at least
// every stall_ms / 4. With `abort_on_stall` the stuck thread gets SIGABRT (so the core shows where
// it hung); without, every stall is logged once. RESOURCE_EXHAUSTED if no thread can be had.
enum mm_err mm_watchdog_start(int64_t stall_ms, bool abort_on_stall,
                              struct mm_watchdog **out) MM_MUST_USE;

// The loop lives. Watched thread only.
void mm_watchdog_beat(struct mm_watchdog *watchdog);

// What the loop is about to do, for the log; a string with static storage. Watched thread only.
void mm_watchdog_note(struct mm_watchdog *watchdog, const char *what);

// How many stalls it has seen (those survived). Any thread.
uint64_t mm_watchdog_stalls(struct mm_watchdog *watchdog);

// Stops and joins the thread. NULL is allowed.
void mm_watchdog_stop(struct mm_watchdog *watchdog);

#endif
