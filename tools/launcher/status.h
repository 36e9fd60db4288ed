#ifndef LAUNCHER_STATUS_H
#define LAUNCHER_STATUS_H

#include "tools/launcher/plan.h"

// Writes the status file: one JSON object
//   {"state":"starting|ready|degraded|stopping|stopped|failed","pid":N,"url":"http://...",
//    "login_url":"http://...","data":DIR,
//    "processes":{"world":{"state":"ready","pid":N,"port":N,"rpc":"ipc://...","restarts":N,
//                          "log":FILE},...}}
// pid is 0 while a process does not run. Whoever reads it sees a whole file.
void status_write(const struct plan *plan, const char *path, const char *state);

#endif
