#ifndef MM_SERVICE_WATCHDOG_H
#define MM_SERVICE_WATCHDOG_H

#include "libcommon/base/err.h"

#include <stdbool.h>
#include <stdint.h>

// A thread that notices when the loop no longer turns. A loop that is stuck cannot tell anybody,
// and a supervisor restarts only what has died: so the watchdog says where it hung and aborts.

struct mm_watchdog;

// A number that changes at least every half second while the watched thread lives. Called on the
// watchdog's thread.
typedef uint64_t (*mm_watchdog_heartbeat_fn)(const void *ctx);

// Starts a thread that watches the calling one: a stall is a heartbeat that stands still for
// stall_ms (at least 4). With `abort_on_stall` the stuck thread prints its stack and the process
// ends with SIGABRT; without, every stall is logged once. `complaint` is what the log says then
// ("event loop is stuck"), a string that stays. RESOURCE_EXHAUSTED: no thread.
enum mm_err mm_watchdog_start(const char *complaint, int64_t stall_ms, bool abort_on_stall,
                              mm_watchdog_heartbeat_fn heartbeat, const void *ctx,
                              struct mm_watchdog **out) MM_MUST_USE;

// How many stalls it has seen (those survived). Any thread.
uint64_t mm_watchdog_stalls(struct mm_watchdog *watchdog);

// Stops and joins the thread. NULL is allowed.
void mm_watchdog_stop(struct mm_watchdog *watchdog);

#endif
