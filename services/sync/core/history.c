#include "services/sync/core/history.h"

#include "libcommon/base/check.h"
#include "services/sync/core/core.h"
#include "services/sync/core/history_block.h"

#include <string.h>

// Writing the log; history_since.c reads it.

enum { HEAD_BYTES = 4, COUNT_BYTES = 5 };
// Of one entry at most.
enum { CHANGED_BYTES = 4, APPEARED_BYTES = 11, GONE_BYTES = 12, CACHED_BYTES = 12, HEX_BYTES = 11 };

void sync_history_init(struct sync_history *history, size_t bytes_max)
{
    memset(history, 0, sizeof *history);
    mm_buf_init(&history->buf, bytes_max);
    history->floor = UINT64_MAX;
}

void sync_history_free(struct sync_history *history)
{
    mm_buf_free(&history->buf);
}

void sync_history_begin(struct sync_history *history, uint64_t tick)
{
    mm_buf_reset(&history->buf);
    history->start = 0;
    history->first_tick = history->last_tick = tick;
    // Of those that were told of this tick, nobody knows whether it was before or after.
    history->floor = tick + 1;
}

void sync_history_begin_first(struct sync_history *history, uint64_t tick)
{
    sync_history_begin(history, tick);
    history->floor = tick;
}

bool sync_history_covers(const struct sync_history *history, uint64_t settled)
{
    return settled >= history->floor;
}

bool sync_history_lasts(const struct sync_history *history, uint64_t settled, uint64_t tick,
                        unsigned ticks_max)
{
    if (!sync_history_covers(history, settled) || 2 * (tick - settled) >= ticks_max)
        return false;
    // A log that is half empty takes as much again. In one that is not, as many ticks as those
    // since `settled` may be forgotten yet.
    return history->buf.len - history->start <= history->buf.bytes_max / 2 ||
           settled - history->floor > tick - settled;
}

size_t sync_history_bytes(const struct sync_history *history)
{
    return history->buf.capacity;
}

// --- forgetting ----------------------------------------------------------------------------------

static void drop_oldest(struct sync_history *history)
{
    struct sync_block block;
    sync_block_open(&block, history->buf.data + history->start);
    history->floor = history->first_tick;
    history->start += block.bytes;
    if (history->start == history->buf.len) {
        mm_buf_reset(&history->buf);
        history->start = 0;
        history->first_tick = history->last_tick;
        return;
    }
    sync_block_open(&block, history->buf.data + history->start);
    history->first_tick += block.ticks;
}

static void forget_until(struct sync_history *history, uint64_t tick)
{
    while (history->buf.len > history->start && history->first_tick <= tick)
        drop_oldest(history);
    if (history->floor < tick)
        history->floor = tick;
}

static size_t block_bytes_max(const struct sync_delta *delta)
{
    return HEAD_BYTES + 1 + 6 * COUNT_BYTES + delta->changed.count * CHANGED_BYTES +
           delta->appeared.count * APPEARED_BYTES + delta->gone.count * GONE_BYTES +
           delta->cached.count * CACHED_BYTES + delta->hexes.count * HEX_BYTES;
}

// Room at the end of the buffer. False: not within its bounds.
static bool make_room(struct sync_history *history, size_t bytes)
{
    struct mm_buf *buf = &history->buf;
    if (bytes > buf->bytes_max)
        return false;
    while (buf->len - history->start + bytes > buf->bytes_max)
        drop_oldest(history);
    // What is gone from the front is moved over when it is a quarter: each byte moves thrice.
    if (history->start > buf->len / 4 || buf->len + bytes > buf->bytes_max) {
        mm_buf_consume(buf, history->start);
        history->start = 0;
    }
    if (mm_buf_reserve(buf, bytes))
        return true;
    mm_buf_reset(buf);
    return false;
}

void sync_history_trim(struct sync_history *history, uint64_t tick, unsigned ticks_max)
{
    if (tick > ticks_max && history->floor != UINT64_MAX)
        forget_until(history, tick - ticks_max);
    mm_buf_consume(&history->buf, history->start);
    history->start = 0;
    if (history->buf.len > history->buf.capacity / 4)
        return;
    // Without memory for a smaller one the buffer stays as it is.
    struct mm_buf smaller;
    mm_buf_init(&smaller, history->buf.bytes_max);
    mm_buf_append(&smaller, history->buf.data, history->buf.len);
    if (smaller.err == MM_OK) {
        mm_buf_free(&history->buf);
        history->buf = smaller;
    } else {
        mm_buf_free(&smaller);
    }
}

// --- writing -------------------------------------------------------------------------------------

// The room is there; bytes are put down without asking each time.
static uint8_t *put_varint(uint8_t *at, uint64_t value)
{
    while (value >= 128) {
        *at++ = (uint8_t)(value | 128);
        value >>= 7;
    }
    *at++ = (uint8_t)value;
    return at;
}

static uint8_t *put_u64(uint8_t *at, uint64_t value)
{
    memcpy(at, &value, sizeof value);
    return at + sizeof value;
}

static uint8_t *put_changed(uint8_t *at, const struct sync_delta *delta)
{
    at = put_varint(at, delta->changed.count);
    for (size_t i = 0; i < delta->changed.count; i++) {
        at = put_varint(at, delta->changed.items[i].number);
        *at++ = delta->changed.items[i].mask;
    }
    return at;
}

static uint8_t *put_appeared(uint8_t *at, const struct sync_core *core,
                             const struct sync_delta *delta)
{
    at = put_varint(at, delta->appeared.count);
    for (size_t i = 0; i < delta->appeared.count; i++) {
        const struct sync_appearance *appearance = &delta->appeared.items[i];
        at = put_varint(at, 2u * appearance->number + (appearance->known ? 1u : 0u));
        if (appearance->known)
            at = put_u64(at, core->mirror.entities[appearance->slot].id);
    }
    return at;
}

static uint8_t *put_gone(uint8_t *at, const struct sync_delta *delta)
{
    at = put_varint(at, delta->gone.count);
    for (size_t i = 0; i < delta->gone.count; i++) {
        const struct sync_gone *gone = &delta->gone.items[i];
        at = put_varint(at, gone->number == SYNC_NONE ? 0 : gone->number + 1);
        *at++ = (uint8_t)gone->kind;
        at = put_u64(at, gone->id);
    }
    return at;
}

static uint8_t *put_cached(uint8_t *at, const struct sync_delta *delta)
{
    at = put_varint(at, delta->cached.count);
    for (size_t i = 0; i < delta->cached.count; i++) {
        const struct sync_cached_news *news = &delta->cached.items[i];
        at = put_varint(at, news->was_in_sight ? news->number + 1 : 0);
        *at++ = news->known;
        at = put_u64(at, news->memory.id);
    }
    return at;
}

static uint8_t *put_hexes(uint8_t *at, const struct sync_delta *delta, bool with_terrain,
                          size_t count)
{
    int32_t q = 0, r = 0;
    at = put_varint(at, count);
    const struct sync_hex_news *end = delta->hexes.items + delta->hexes.count;
    for (const struct sync_hex_news *hex = delta->hexes.items; hex < end; hex++) {
        if ((hex->terrain != 0) != with_terrain)
            continue;
        int32_t dq = hex->q - q, dr = hex->r - r;
        // Both within 7.
        if ((uint32_t)(dq + 7) < 15 && (uint32_t)(dr + 7) < 15) {
            *at++ = (uint8_t)((dq + 8) << 4 | (dr + 8));
        } else {
            *at++ = 0;
            at = put_varint(at, mm_zigzag_encode(dq));
            at = put_varint(at, mm_zigzag_encode(dr));
        }
        q = hex->q;
        r = hex->r;
    }
    return at;
}

static uint8_t *put_parts(uint8_t *at, const struct sync_core *core, const struct sync_delta *delta)
{
    size_t explored = 0;
    for (size_t i = 0; i < delta->hexes.count; i++)
        explored += delta->hexes.items[i].terrain != 0;
    size_t others = delta->hexes.count - explored;
    uint8_t *parts = at++;
    *parts =
        (uint8_t)((delta->changed.count > 0 ? SYNC_BLOCK_CHANGED : 0u) |
                  (delta->appeared.count > 0 ? SYNC_BLOCK_APPEARED : 0u) |
                  (delta->gone.count > 0 ? SYNC_BLOCK_GONE : 0u) |
                  (delta->cached.count > 0 ? SYNC_BLOCK_CACHED : 0u) |
                  (others > 0 ? SYNC_BLOCK_HEXES : 0u) | (explored > 0 ? SYNC_BLOCK_EXPLORED : 0u));
    // In the order in which they happen within a step: what leaves makes its number free.
    if (*parts & SYNC_BLOCK_CACHED)
        at = put_cached(at, delta);
    if (*parts & SYNC_BLOCK_GONE)
        at = put_gone(at, delta);
    if (*parts & SYNC_BLOCK_APPEARED)
        at = put_appeared(at, core, delta);
    if (*parts & SYNC_BLOCK_CHANGED)
        at = put_changed(at, delta);
    if (*parts & SYNC_BLOCK_HEXES)
        at = put_hexes(at, delta, false, others);
    if (*parts & SYNC_BLOCK_EXPLORED)
        at = put_hexes(at, delta, true, explored);
    return at;
}

void sync_history_record(struct sync_history *history, const struct sync_core *core,
                         const struct sync_view *view, unsigned ticks_max)
{
    const struct sync_delta *delta = &view->delta;
    uint64_t tick = core->mirror.tick;
    if (delta->full) {
        sync_history_begin(history, tick); // it is not all there is to tell
        return;
    }
    size_t most = block_bytes_max(delta);
    if (most == HEAD_BYTES + 1 + 6 * COUNT_BYTES)
        return; // events alone: they leave nothing behind
    if (tick > ticks_max)
        forget_until(history, tick - ticks_max);
    if (!make_room(history, most)) {
        sync_history_begin(history, tick);
        return;
    }
    struct mm_buf *buf = &history->buf;
    bool first = buf->len == history->start;
    uint8_t *head = buf->data + buf->len;
    size_t bytes = (size_t)(put_parts(head + HEAD_BYTES, core, delta) - head);
    MM_CHECK(bytes <= most);
    uint64_t ticks = first ? 0 : tick - history->last_tick;
    if (bytes - HEAD_BYTES > UINT16_MAX || ticks > UINT16_MAX) {
        sync_history_begin(history, tick);
        return;
    }
    sync_block_head(head, (uint16_t)ticks, (uint16_t)(bytes - HEAD_BYTES));
    buf->len += bytes;
    history->last_tick = tick;
    if (first)
        history->first_tick = tick;
}
