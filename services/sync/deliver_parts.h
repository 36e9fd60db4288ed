#ifndef SYNC_DELIVER_PARTS_H
#define SYNC_DELIVER_PARTS_H

#include "services/sync/app.h"

// Within the tick's way out: the turn (deliver.c), the news that it tells (updates.c) and what is
// told beyond these (fulls.c).

// It has been told everything once, and takes every update.
static inline bool sync_client_follows(const struct sync_client *client)
{
    return client->state == SYNC_CLIENT_PLAYING && !client->behind && !client->full.active;
}

// It waits for its view, or to be told more than the tick's news.
static inline bool sync_client_is_unsettled(const struct sync_client *client)
{
    return client->state == SYNC_CLIENT_LOOKING ||
           (client->state == SYNC_CLIENT_PLAYING &&
            (client->full.active || client->resuming || client->catch_up));
}

// --- updates.c -----------------------------------------------------------------------------------

// Tells the news of the core's step, and of those that were held, to all clients that follow.
void sync_updates_tell(struct sync_app *app);
// The step is told together with those that wait, but for what cannot wait.
void sync_updates_hold(struct sync_app *app);
// Who was told nothing for long is told the tick.
void sync_updates_tell_idle(struct sync_app *app);
// Sends to one client what the encoder holds.
void sync_updates_send(struct sync_client *client);
// It was told all that it is told of this tick.
void sync_updates_told(struct sync_client *client);

// --- fulls.c -------------------------------------------------------------------------------------

// Tells everything to those who wait for it, as far as sockets and this turn allow.
void sync_fulls_tell(struct sync_app *app);

#endif
