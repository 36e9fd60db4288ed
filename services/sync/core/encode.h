#ifndef SYNC_CORE_ENCODE_H
#define SYNC_CORE_ENCODE_H

#include "libcommon/base/buf.h"
#include "services/sync/core/core.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The pieces of the client protocol's JSON (docs/client-protocol.md). Each appends one complete
// value; commas between values are the caller's.

// Whether the client is the entity's owner: then it is also told what only owners know.
enum sync_audience { SYNC_PUBLIC, SYNC_OWNER };

// An element of `appeared`: all there is to say.
void sync_encode_appeared(struct mm_buf *buf, const struct sync_mirror *mirror,
                          const struct sync_entity *entity, enum sync_audience audience);
// An element of `changed`: the fields in mask (enum sync_dirty).
void sync_encode_changed(struct mm_buf *buf, const struct sync_mirror *mirror,
                         const struct sync_entity *entity, unsigned mask,
                         enum sync_audience audience);
// A public id as a JSON string.
void sync_encode_id(struct mm_buf *buf, const char *prefix, uint64_t id);
// An element of `vision`. terrain is terrain + 1, or 0 to leave it out.
void sync_encode_hex(struct mm_buf *buf, const struct sync_mirror *mirror, int32_t q, int32_t r,
                     unsigned state, uint8_t terrain);
// An element of `explored_hexes`.
void sync_encode_explored(struct mm_buf *buf, const struct sync_mirror *mirror, int32_t q,
                          int32_t r, uint8_t terrain);
// An element of `empires`.
void sync_encode_empire(struct mm_buf *buf, const struct sync_empire *empire);
// An element of `events`; with_other says whether the client may know of the other entity. False
// if the event cannot be shown.
bool sync_encode_event(struct mm_buf *buf, const struct sync_mirror *mirror,
                       const Mmorts__Frame__EventColumns *events, size_t i, bool with_other);
// An element of `jobs`.
void sync_encode_job(struct mm_buf *buf, const struct sync_job *job);

// Whole messages.
void sync_encode_entity_snapshot(struct mm_buf *buf, const struct sync_mirror *mirror,
                                 const struct sync_memory *memory);
void sync_encode_entity_cached(struct mm_buf *buf, const struct sync_mirror *mirror,
                               const struct sync_memory *memory);
// recipes_json: the value of "recipes", borrowed.
void sync_encode_map(struct mm_buf *buf, const struct sync_mirror *mirror, const char *recipes_json,
                     size_t recipes_len);

#endif
