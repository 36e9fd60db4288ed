#include "services/sync/core/binary.h"

#include "libcommon/hex/hex.h"

#include <string.h>

// Offsets of at most this much, in q and in r, take one byte.
#define NEAR_MAX       7
#define NEAR_FAR       0x00
#define NEAR_NULL      0x01
#define GROUP_LONG     15u  // of a group's runs; likewise
#define RUN_SHORT_MAX  21u  // hexes
#define RUN_LONG       252u // a first byte that is not a short run's
#define ACTIVITY_KNOWN 6u
#define FIELD_RANK     0x04u // of a change

void sync_binary_text(struct mm_buf *buf, const char *text)
{
    size_t len = strlen(text);
    mm_buf_varint(buf, len);
    mm_buf_append(buf, text, len);
}

static bool is_near(int64_t dq, int64_t dr)
{
    return dq >= -NEAR_MAX && dq <= NEAR_MAX && dr >= -NEAR_MAX && dr <= NEAR_MAX;
}

static uint8_t near_byte(int64_t dq, int64_t dr)
{
    return (uint8_t)((dq + 8) << 4 | (dr + 8));
}

// A hex by its difference from another.
static void put_near(struct mm_buf *buf, int64_t dq, int64_t dr)
{
    if (is_near(dq, dr)) {
        mm_buf_byte(buf, near_byte(dq, dr));
        return;
    }
    mm_buf_byte(buf, NEAR_FAR);
    mm_buf_zigzag(buf, dq);
    mm_buf_zigzag(buf, dr);
}

static uint8_t activity_of(const struct sync_entity *e)
{
    return e->activity < ACTIVITY_KNOWN ? e->activity : 0;
}

// --- entities ------------------------------------------------------------------------------------

void sync_binary_appeared_head(struct mm_buf *buf, const struct sync_view *view,
                               const struct sync_entity *e, uint32_t number)
{
    mm_buf_varint(buf, number);
    mm_buf_varint(buf, sync_view_named(view, e->owner));
    mm_buf_zigzag(buf, (int64_t)e->q - view->origin_q);
    mm_buf_zigzag(buf, (int64_t)e->r - view->origin_r);
}

void sync_binary_appeared_body(struct mm_buf *buf, const struct sync_mirror *mirror,
                               const struct sync_entity *e, enum sync_audience audience)
{
    const struct sync_type *type = &mirror->catalogue.types[e->type];
    bool own = audience == SYNC_OWNER;
    unsigned flags = 0;
    flags |= activity_of(e) != 0 ? 0x01u : 0;
    flags |= e->health != (int32_t)type->health_max ? 0x02u : 0;
    flags |= e->progress != 1000 ? 0x04u : 0;
    flags |= e->amount != 0 ? 0x08u : 0;
    flags |= own && e->carried != 0 ? 0x10u : 0;
    flags |= own && sync_entity_has_target(e) ? 0x20u : 0;
    flags |= e->rank != 0 && sync_entity_has_rank(mirror, e) ? 0x40u : 0;
    mm_buf_varint(buf, e->type);
    mm_buf_u64le(buf, e->id);
    mm_buf_byte(buf, (uint8_t)flags);
    if (flags & 0x01)
        mm_buf_byte(buf, activity_of(e));
    if (flags & 0x02)
        mm_buf_zigzag(buf, e->health);
    if (flags & 0x04)
        mm_buf_varint(buf, e->progress);
    if (flags & 0x08)
        mm_buf_zigzag(buf, e->amount);
    if (flags & 0x10)
        mm_buf_zigzag(buf, e->carried);
    if (flags & 0x20)
        put_near(buf, (int64_t)e->target_q - e->q, (int64_t)e->target_r - e->r);
    if (flags & 0x40)
        mm_buf_byte(buf, e->rank);
}

static void put_place(struct mm_buf *buf, const struct sync_mirror *mirror, uint32_t slot,
                      bool followed)
{
    const struct sync_entity *e = &mirror->entities[slot];
    const struct sync_place *before = &mirror->before[slot];
    if (followed && is_near((int64_t)e->q - before->q, (int64_t)e->r - before->r)) {
        mm_buf_byte(buf, near_byte(e->q - before->q, e->r - before->r));
        return;
    }
    mm_buf_byte(buf, NEAR_FAR);
    mm_buf_zigzag(buf, e->q);
    mm_buf_zigzag(buf, e->r);
}

void sync_binary_changed_body(struct mm_buf *buf, const struct sync_mirror *mirror, uint32_t slot,
                              unsigned mask, enum sync_audience audience, bool followed)
{
    const struct sync_entity *e = &mirror->entities[slot];
    if (audience == SYNC_PUBLIC)
        mask &= SYNC_DIRTY_PUBLIC;
    else if (mask & SYNC_DIRTY_ACTIVITY)
        mask |= SYNC_DIRTY_TARGET; // shown while moving only, so that it comes and goes with that
    // The owner stands in front of the body: clients number empires differently. Here its bit says
    // that there is a rank.
    mask &= ~(unsigned)SYNC_DIRTY_OWNER;
    unsigned rank = (mask & SYNC_DIRTY_AMOUNT) && sync_entity_has_rank(mirror, e) ? FIELD_RANK : 0;
    mm_buf_byte(buf, (uint8_t)(mask | rank));
    if (mask & SYNC_DIRTY_PLACE)
        put_place(buf, mirror, slot, followed);
    if (mask & SYNC_DIRTY_HEALTH)
        mm_buf_zigzag(buf, e->health);
    if (rank)
        mm_buf_byte(buf, e->rank);
    if (mask & SYNC_DIRTY_ACTIVITY)
        mm_buf_byte(buf, activity_of(e));
    if (mask & SYNC_DIRTY_PROGRESS)
        mm_buf_varint(buf, e->progress);
    if (mask & SYNC_DIRTY_AMOUNT)
        mm_buf_zigzag(buf, e->amount);
    if (mask & SYNC_DIRTY_CARRIED)
        mm_buf_zigzag(buf, e->carried);
    if (!(mask & SYNC_DIRTY_TARGET))
        return;
    if (sync_entity_has_target(e))
        put_near(buf, (int64_t)e->target_q - e->q, (int64_t)e->target_r - e->r);
    else
        mm_buf_byte(buf, NEAR_NULL);
}

// --- the rest of an update -----------------------------------------------------------------------

void sync_binary_empire(struct mm_buf *buf, const struct sync_empire *empire)
{
    mm_buf_u64le(buf, empire->id);
    sync_binary_text(buf, empire->name);
}

bool sync_binary_event(struct mm_buf *buf, const struct sync_mirror *mirror,
                       const Mmorts__Frame__EventColumns *events,
                       const struct sync_event_news *news, uint32_t other)
{
    size_t i = news->event;
    unsigned kind = (unsigned)events->kind[i];
    bool is_deposit = kind == MMORTS__FRAME__EVENT_KIND__EVENT_DEPOSIT;
    if (kind == 0 || kind > MMORTS__FRAME__EVENT_KIND__EVENT_BUILT)
        return false;
    mm_buf_byte(buf,
                (uint8_t)(kind | (news->departed ? 0x10u : 0) | (other != SYNC_NONE ? 0x20u : 0)));
    mm_buf_varint(buf, news->number);
    if (other != SYNC_NONE)
        mm_buf_varint(buf, other);
    if (is_deposit || kind == MMORTS__FRAME__EVENT_KIND__EVENT_ATTACK)
        mm_buf_zigzag(buf, events->value[i]);
    if (is_deposit)
        mm_buf_varint(buf, events->detail[i] < mirror->catalogue.type_count
                               ? (uint64_t)events->detail[i] + 1
                               : 0);
    return true;
}

static uint8_t job_event_code(uint32_t event)
{
    switch (event) {
    case MMORTS__FRAME__JOB_EVENT__JOB_EVENT_PROGRESS:
        return 1;
    case MMORTS__FRAME__JOB_EVENT__JOB_EVENT_COMPLETED:
        return 2;
    case MMORTS__FRAME__JOB_EVENT__JOB_EVENT_FAILED:
        return 3;
    case MMORTS__FRAME__JOB_EVENT__JOB_EVENT_CANCELLED:
        return 4;
    case SYNC_JOB_ENDED:
        return 5;
    default:
        return 0;
    }
}

void sync_binary_job(struct mm_buf *buf, const struct sync_job *job)
{
    mm_buf_byte(buf, job_event_code(job->event));
    mm_buf_u64le(buf, job->id);
    mm_buf_u64le(buf, job->building);
    sync_binary_text(buf, job->recipe);
    mm_buf_varint(buf, job->start_tick);
    mm_buf_varint(buf, job->end_tick);
    mm_buf_varint(buf, job->cycles_completed);
    sync_binary_text(buf, job->reason);
}

// --- vision --------------------------------------------------------------------------------------

static void put_run(struct mm_buf *buf, const struct sync_run *run, bool jump, int32_t last_q,
                    int32_t last_r)
{
    unsigned low = run->direction * 2 + jump;
    if (run->length <= RUN_SHORT_MAX) {
        mm_buf_byte(buf, (uint8_t)((run->length - 1) * 2 * HEX_DIRECTIONS + low));
    } else {
        mm_buf_byte(buf, RUN_LONG);
        mm_buf_byte(buf, (uint8_t)low);
        mm_buf_varint(buf, run->length - RUN_SHORT_MAX - 1);
    }
    if (jump)
        put_near(buf, run->q - last_q, run->r - last_r);
}

// Whether the run goes on where the one before ended, in its own direction. One of a single hex has
// any.
static bool goes_on(struct sync_run *run, int32_t last_q, int32_t last_r)
{
    int direction = hex_direction_between((struct hex_axial){last_q, last_r},
                                          (struct hex_axial){run->q, run->r});
    if (direction < 0 || (run->length > 1 && run->direction != (unsigned)direction))
        return false;
    run->direction = (unsigned)direction;
    return true;
}

static void put_group(struct mm_buf *buf, const struct sync_runs *runs, uint32_t kind, bool more,
                      int32_t *last_q, int32_t *last_r)
{
    uint32_t count = runs->counts[kind];
    bool terrain = kind & SYNC_RUN_TERRAIN, first = true;
    uint32_t low = count - 1 < GROUP_LONG ? count - 1 : GROUP_LONG;
    mm_buf_byte(buf, (uint8_t)((kind & 3u) | (terrain ? 4u : 0) | (more ? 8u : 0) | low << 4));
    if (low == GROUP_LONG)
        mm_buf_varint(buf, count - GROUP_LONG - 1);
    for (size_t i = 0; i < runs->items.count; i++) {
        struct sync_run run = runs->items.items[i];
        if (run.kind != kind)
            continue;
        if (first) {
            mm_buf_zigzag(buf, run.q - *last_q);
            mm_buf_zigzag(buf, run.r - *last_r);
        }
        put_run(buf, &run, !first && !goes_on(&run, *last_q, *last_r), *last_q, *last_r);
        if (terrain)
            mm_buf_append(buf, runs->terrains.items + run.terrain, run.length);
        *last_q = run.last_q;
        *last_r = run.last_r;
        first = false;
    }
}

void sync_binary_vision(struct mm_buf *buf, const struct sync_runs *runs,
                        const struct sync_view *view)
{
    int32_t q = view->origin_q, r = view->origin_r;
    uint32_t left = 0;
    for (uint32_t kind = 0; kind < SYNC_RUN_KINDS; kind++)
        left += runs->counts[kind] > 0;
    for (uint32_t kind = 0; kind < SYNC_RUN_KINDS; kind++) {
        if (runs->counts[kind] > 0)
            put_group(buf, runs, kind, --left > 0, &q, &r);
    }
}

// --- whole messages ------------------------------------------------------------------------------

static uint8_t mode_code(uint32_t mode)
{
    return mode == MMORTS__FRAME__CACHE_MODE__CACHE_TIMED;
}

void sync_binary_entity_snapshot(struct mm_buf *buf, const struct sync_mirror *mirror,
                                 const struct sync_view *view, const struct sync_memory *memory)
{
    bool known = memory->type < mirror->catalogue.type_count;
    mm_buf_byte(buf, SYNC_BINARY_SNAPSHOT);
    mm_buf_varint(buf, known ? (uint64_t)memory->type + 1 : 0);
    mm_buf_u64le(buf, memory->id);
    mm_buf_varint(buf, sync_view_named(view, memory->owner));
    mm_buf_zigzag(buf, (int64_t)memory->q - view->origin_q);
    mm_buf_zigzag(buf, (int64_t)memory->r - view->origin_r);
    mm_buf_byte(buf, mode_code(memory->mode));
    mm_buf_varint(buf, memory->last_seen);
    mm_buf_varint(buf, memory->expires_at);
    mm_buf_zigzag(buf, memory->health);
}

void sync_binary_entity_cached(struct mm_buf *buf, const struct sync_cached_news *news)
{
    mm_buf_byte(buf, SYNC_BINARY_CACHED);
    mm_buf_varint(buf, news->number);
    mm_buf_byte(buf, mode_code(news->memory.mode));
    mm_buf_varint(buf, news->memory.last_seen);
    mm_buf_varint(buf, news->memory.expires_at);
}

void sync_binary_ack(struct mm_buf *buf, uint64_t seq, uint64_t tick, uint64_t job)
{
    mm_buf_byte(buf, SYNC_BINARY_ACK);
    mm_buf_varint(buf, seq);
    mm_buf_varint(buf, tick);
    if (job != 0)
        mm_buf_u64le(buf, job);
}

void sync_binary_pong(struct mm_buf *buf, int64_t timestamp, uint64_t tick)
{
    mm_buf_byte(buf, SYNC_BINARY_PONG);
    mm_buf_zigzag(buf, timestamp);
    mm_buf_varint(buf, tick);
}

// --- explored hexes ------------------------------------------------------------------------------

void sync_binary_explored_head(struct mm_buf *buf, const struct sync_view *view, bool reset)
{
    mm_buf_byte(buf, SYNC_BINARY_EXPLORED);
    mm_buf_byte(buf, reset);
    if (!reset)
        return;
    mm_buf_zigzag(buf, view->origin_q);
    mm_buf_zigzag(buf, view->origin_r);
}

struct palette {
    uint8_t terrains[16];
    uint8_t place[256]; // of each terrain, + 1
    unsigned count;     // may exceed what fits in `terrains`
};

static void collect(struct palette *palette, const struct sync_tile *tile)
{
    memset(palette, 0, sizeof *palette);
    for (unsigned cell = 0; cell < SYNC_TILE_CELLS; cell++) {
        uint8_t terrain = tile->terrain[cell];
        if (terrain == 0 || palette->place[terrain] != 0)
            continue;
        if (palette->count < sizeof palette->terrains)
            palette->terrains[palette->count] = (uint8_t)(terrain - 1);
        palette->count++;
        palette->place[terrain] = (uint8_t)palette->count;
    }
}

static void put_bitmap(struct mm_buf *buf, const struct sync_tile *tile)
{
    uint8_t bits[SYNC_TILE_CELLS / 8] = {0};
    for (unsigned cell = 0; cell < SYNC_TILE_CELLS; cell++)
        bits[cell / 8] |= (uint8_t)((tile->terrain[cell] != 0) << (cell % 8));
    mm_buf_append(buf, bits, sizeof bits);
}

void sync_binary_tile(struct mm_buf *buf, const struct sync_tile *tile, int32_t *column,
                      int32_t *row)
{
    static const unsigned widths[] = {0, 1, 2, 4, 8};
    struct palette palette;
    collect(&palette, tile);
    unsigned code = 0;
    while (code < 4 && palette.count > 1u << widths[code])
        code++;
    int32_t q = tile->q / SYNC_TILE_SIDE, r = tile->r / SYNC_TILE_SIDE;
    mm_buf_zigzag(buf, q - *column);
    mm_buf_zigzag(buf, r - *row);
    *column = q;
    *row = r;
    bool partial = tile->explored != SYNC_TILE_CELLS;
    mm_buf_byte(buf, (uint8_t)(partial | code << 1));
    if (partial)
        put_bitmap(buf, tile);
    if (code >= 1 && code <= 3)
        mm_buf_byte(buf, (uint8_t)palette.count);
    if (code <= 3)
        mm_buf_append(buf, palette.terrains, palette.count);
    if (code == 0)
        return;
    unsigned byte = 0, have = 0;
    for (unsigned cell = 0; cell < SYNC_TILE_CELLS; cell++) {
        uint8_t terrain = tile->terrain[cell];
        if (terrain == 0)
            continue;
        byte |= (code == 4 ? terrain - 1u : palette.place[terrain] - 1u) << have;
        have += widths[code];
        if (have < 8)
            continue;
        mm_buf_byte(buf, (uint8_t)byte);
        byte = have = 0;
    }
    if (have > 0)
        mm_buf_byte(buf, (uint8_t)byte);
}
