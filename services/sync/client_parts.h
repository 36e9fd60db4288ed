#ifndef SYNC_CLIENT_PARTS_H
#define SYNC_CLIENT_PARTS_H

#include "services/sync/app.h"

// Within a client: its life (client.c) and what it is sent (client_send.c).

// Room in an outbox beyond what updates may use, for errors, answers and talk.
#define SYNC_CONTROL_BYTES_MAX ((size_t)96 << 10)

// Whom an important frame finds without room is killed; another frame is left out.
void sync_client_send_frame(struct sync_client *client, enum sync_ws_opcode opcode,
                            const void *data, size_t len, bool important);
// Its socket takes what waits for it.
void sync_client_flush(struct sync_client *client);

#endif
