#ifndef SYNC_CORE_BINARY_H
#define SYNC_CORE_BINARY_H

#include "libcommon/base/buf.h"
#include "libcommon/hex/hex.h"
#include "services/sync/core/core.h"
#include "services/sync/core/encode.h"
#include "services/sync/core/runs.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The pieces of the client protocol's binary encoding (docs/client-protocol.md, "The binary
// encoding", which says what each byte means). What differs from client to client (numbers, owners,
// coordinates relative to an origin) is apart from what all of them share (bodies).

enum sync_binary_type {
    SYNC_BINARY_EXPLORED = 0x01,
    SYNC_BINARY_SNAPSHOT = 0x02,
    SYNC_BINARY_CACHED = 0x03,
    SYNC_BINARY_ACK = 0x04,
    SYNC_BINARY_PONG = 0x05,
    SYNC_BINARY_RESUMED = 0x06,
    SYNC_BINARY_ROSTER = 0x07,
    SYNC_BINARY_PLAYERS = 0x08,
    SYNC_BINARY_UPDATE = 0x80, // and the flags below
};

enum sync_binary_flag {
    SYNC_BINARY_TICK = 0x01,
    SYNC_BINARY_GONE = 0x02,
    SYNC_BINARY_APPEARED = 0x04,
    SYNC_BINARY_VISION = 0x08,
    SYNC_BINARY_EVENTS = 0x10,
    SYNC_BINARY_MORE = 0x40,
};

enum sync_binary_more {
    SYNC_BINARY_FULL = 0x01,
    SYNC_BINARY_EMPIRES = 0x02,
    SYNC_BINARY_RESOURCES = 0x04,
    SYNC_BINARY_JOBS = 0x08,
    SYNC_BINARY_DEFERRED = 0x10,
};

// What the low bits of a change say; below: the direction of the one step that is all of it.
#define SYNC_BINARY_FIELDS       6u
#define SYNC_BINARY_OWNER_FIELDS 7u
#define SYNC_BINARY_GAP_LONG     31u // from there on a varint follows

void sync_binary_text(struct mm_buf *buf, const char *text);

// Shared: the part of `appeared` behind the place.
void sync_binary_appeared_body(struct mm_buf *buf, const struct sync_mirror *mirror,
                               const struct sync_entity *entity, enum sync_audience audience);
// Shared: the fields in mask, which is not only a step. `followed`: the client knows the place of
// the tick before, so that the way from there is enough.
void sync_binary_changed_body(struct mm_buf *buf, const struct sync_mirror *mirror, uint32_t slot,
                              unsigned mask, enum sync_audience audience, bool followed);
// The direction if the mask says that a step to a neighbour is all that changed, else
// SYNC_BINARY_FIELDS.
static inline unsigned sync_binary_step(const struct sync_mirror *mirror, uint32_t slot,
                                        unsigned mask)
{
    unsigned direction = mask == SYNC_DIRTY_PLACE ? mirror->stepped[slot] : HEX_DIRECTIONS;
    return direction < HEX_DIRECTIONS ? direction : SYNC_BINARY_FIELDS;
}

// A client's: number, owner's place among its empires, hex.
void sync_binary_appeared_head(struct mm_buf *buf, const struct sync_view *view,
                               const struct sync_entity *entity, uint32_t number);
// The first byte of a change and the rest of the number, `gap` being the difference. For most
// changes this is all; hence it stands here.
static inline void sync_binary_change_head(struct mm_buf *buf, uint32_t gap, unsigned what)
{
    bool is_long = gap >= SYNC_BINARY_GAP_LONG;
    mm_buf_byte(buf, (uint8_t)((is_long ? SYNC_BINARY_GAP_LONG : gap) << 3 | what));
    if (is_long)
        mm_buf_varint(buf, gap - SYNC_BINARY_GAP_LONG);
}

// An element of `empires`, `events`, `jobs`.
void sync_binary_empire(struct mm_buf *buf, const struct sync_empire *empire);
// False if the event cannot be shown. other: the other entity's number, or SYNC_NONE.
bool sync_binary_event(struct mm_buf *buf, const struct sync_mirror *mirror,
                       const Mmorts__Frame__EventColumns *events,
                       const struct sync_event_news *news, uint32_t other);
void sync_binary_job(struct mm_buf *buf, const struct sync_job *job);

// The part `vision`: runs made of the hexes, from the origin on.
void sync_binary_vision(struct mm_buf *buf, const struct sync_runs *runs,
                        const struct sync_view *view);

// Whole messages.
void sync_binary_entity_snapshot(struct mm_buf *buf, const struct sync_mirror *mirror,
                                 const struct sync_view *view, const struct sync_memory *memory);
void sync_binary_entity_cached(struct mm_buf *buf, const struct sync_cached_news *news);
void sync_binary_ack(struct mm_buf *buf, uint64_t seq, uint64_t tick, uint64_t job);
void sync_binary_pong(struct mm_buf *buf, int64_t timestamp, uint64_t tick);

// Of `explored_hexes`: the beginning (reset: the view's origin follows), and a tile; *q and *r are
// the column and row of the tile before (0 at first).
void sync_binary_explored_head(struct mm_buf *buf, const struct sync_view *view, bool reset);
void sync_binary_tile(struct mm_buf *buf, const struct sync_tile *tile, int32_t *column,
                      int32_t *row);

#endif
