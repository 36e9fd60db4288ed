#ifndef SYNC_ROOMS_H
#define SYNC_ROOMS_H

#include "gen/world.pb-c.h"
#include "services/sync/app.h"

// Sessions other than the service's own, each in a room that is opened when the first player asks
// for it and closed when nobody has been in it for a while.

// The room of a session whose processes are at `place`; opened if need be. NULL: no room for one
// more, or it cannot be opened (logged).
struct sync_app *sync_room_of(struct sync_app *lobby, const char *session,
                              const Mmorts__World__FindSessionReply *place);

// Closes those that nobody needs.
void sync_rooms_sweep(struct sync_app *lobby);
void sync_rooms_close(struct sync_app *lobby);

// Goes through the lobby and then its rooms, from *cursor 0 on; NULL at the end.
struct sync_app *sync_rooms_next(struct sync_app *lobby, size_t *cursor);
// Connections in all of them.
size_t sync_rooms_clients(struct sync_app *lobby);

#endif
