#ifndef SYNC_SESSIONS_H
#define SYNC_SESSIONS_H

#include "services/sync/app.h"

// The sessions there are, for players to choose from: GET /sessions.json.

// Asks world for the list when it is time to. The lobby's alone.
void sync_sessions_ask(struct sync_app *app);
void sync_sessions_serve(struct mm_http_request *request, void *app);

#endif
