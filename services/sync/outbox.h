#ifndef SYNC_OUTBOX_H
#define SYNC_OUTBOX_H

#include "libcommon/base/buf.h"
#include "services/sync/burst.h"
#include "services/sync/core/update.h"
#include "services/sync/deflate.h"
#include "services/sync/ws.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// What a client's socket has not taken yet. It normally holds nothing: messages go straight from
// the encoder's buffer to the kernel. What a full socket refuses is copied here, within bounds; the
// caller decides what happens to a client for whom there is no room.

#define SYNC_OUTBOX_KEEP_BYTES 16384 // memory kept while empty

struct sync_outbox {
    struct mm_buf buf;
    size_t sent;                  // bytes at the front of buf that are gone already
    uint64_t bytes_total;         // given to the kernel
    uint64_t frames_total;        // accepted
    struct sync_deflate *deflate; // NULL: nothing is compressed
    unsigned window_bits;
    bool deflate_updates; // updates too, not only what is long and rare
};

enum sync_sent {
    SYNC_SENT,   // accepted: sent, or kept
    SYNC_FULL,   // not accepted: it would exceed the bound; nothing was sent
    SYNC_BROKEN, // the connection is dead
};

void sync_outbox_init(struct sync_outbox *outbox, size_t bytes_max);
void sync_outbox_free(struct sync_outbox *outbox);
// From now on long messages are compressed (deflate.h), updates only if `updates`. Borrowed.
void sync_outbox_deflate(struct sync_outbox *outbox, struct sync_deflate *deflate,
                         unsigned window_bits, bool updates);

// Bytes waiting.
size_t sync_outbox_waiting(const struct sync_outbox *outbox);

// Sends messages as text or binary frames, as they are encoded; `limit` bounds what may wait
// afterwards.
enum sync_sent sync_outbox_send_messages(struct sync_outbox *outbox, int fd,
                                         struct sync_encoder *encoder, size_t limit);

// Whether sending them would compress one of them.
bool sync_outbox_packs(const struct sync_outbox *outbox, const struct sync_encoder *encoder);

// The same by way of a burst, without compression: `arg` is its. Only while nothing waits. False:
// the burst has no room for them, nothing was done.
bool sync_outbox_add_messages(struct sync_outbox *outbox, struct sync_burst *burst, int fd,
                              const struct sync_encoder *encoder, void *arg);
// What became of them (sync_burst_done_fn): keeps what the socket did not take.
enum sync_sent sync_outbox_added(struct sync_outbox *outbox, int result, const uint8_t *data,
                                 size_t len);

// Sends one frame of any kind.
enum sync_sent sync_outbox_send_frame(struct sync_outbox *outbox, int fd,
                                      enum sync_ws_opcode opcode, const void *payload, size_t len,
                                      size_t limit);

// Keeps one frame without sending it: it goes with whatever is sent next. SYNC_FULL, SYNC_BROKEN
// (out of memory) or SYNC_SENT.
enum sync_sent sync_outbox_keep_frame(struct sync_outbox *outbox, enum sync_ws_opcode opcode,
                                      const void *payload, size_t len, size_t limit);

// Puts messages with their length in front (sync_encode_full) behind what waits, and sends.
enum sync_sent sync_outbox_send_full(struct sync_outbox *outbox, int fd, enum sync_ws_opcode opcode,
                                     const struct mm_buf *messages);

// The socket takes more. SYNC_BROKEN or SYNC_SENT.
enum sync_sent sync_outbox_flush(struct sync_outbox *outbox, int fd);

#endif
