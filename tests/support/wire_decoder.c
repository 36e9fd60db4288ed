#include "tests/support/wire_decoder.h"

#include "libcommon/base/prefetch.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct input {
    struct wire_decoder *decoder;
    const struct wire_sink *sink;
    void *arg;
    const uint8_t *data, *end;
};

#define TELL(in, callback, ...)                                                                    \
    do {                                                                                           \
        if ((in)->sink->callback)                                                                  \
            (in)->sink->callback((in)->arg, ##__VA_ARGS__);                                        \
    } while (0)

static const int32_t directions[6][2] = {{1, 0}, {1, -1}, {0, -1}, {-1, 0}, {-1, 1}, {0, 1}};

__attribute__((format(printf, 2, 3))) static bool fault(struct input *in, const char *format, ...)
{
    // The first one counts; what follows from it is of no interest.
    if (in->decoder->fault[0])
        return false;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(in->decoder->fault, sizeof in->decoder->fault, format, args);
    va_end(args);
    return false;
}

static bool failed(const struct input *in)
{
    return in->decoder->fault[0] != '\0';
}

// --- numbers; after a fault they are all 0 -------------------------------------------------------

static size_t left(const struct input *in)
{
    return (size_t)(in->end - in->data);
}

static unsigned u8(struct input *in)
{
    if (left(in) < 1) {
        fault(in, "the message ends early");
        return 0;
    }
    return *in->data++;
}

static uint64_t u64(struct input *in)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < 8; i++)
        value |= (uint64_t)u8(in) << (8 * i);
    return value;
}

static uint64_t varint(struct input *in)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        unsigned byte = u8(in);
        if (shift == 63 && byte > 1)
            break;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return value;
    }
    fault(in, "a varint is too long");
    return 0;
}

static uint64_t bounded(struct input *in, uint64_t max, const char *what)
{
    uint64_t value = varint(in);
    if (value <= max)
        return value;
    fault(in, "%s is %llu, more than %llu", what, (unsigned long long)value,
          (unsigned long long)max);
    return 0;
}

static int64_t zigzag(struct input *in)
{
    uint64_t value = varint(in);
    return value & 1 ? -(int64_t)(value >> 1) - 1 : (int64_t)(value >> 1);
}

// A coordinate, `base` and what is told beyond it.
static int32_t coordinate(struct input *in, int32_t base)
{
    int64_t delta = zigzag(in);
    if (delta < -(INT64_C(1) << 33) || delta > INT64_C(1) << 33 || base + delta < INT32_MIN ||
        base + delta > INT32_MAX) {
        fault(in, "a coordinate is out of all bounds");
        return 0;
    }
    return (int32_t)(base + delta);
}

static void text(struct input *in, char out[WIRE_TEXT_MAX + 1])
{
    size_t len = (size_t)bounded(in, WIRE_TEXT_MAX, "a text's length");
    out[0] = '\0';
    if (len > left(in)) {
        fault(in, "a text ends early");
        return;
    }
    memcpy(out, in->data, len);
    out[len] = '\0';
    in->data += len;
}

// True: *dq and *dr are set. False: a special byte other than 0, or a fault.
static bool near(struct input *in, unsigned *special, int64_t *dq, int64_t *dr)
{
    unsigned byte = u8(in);
    *special = byte;
    if (byte == 0) {
        *dq = zigzag(in);
        *dr = zigzag(in);
        return !failed(in);
    }
    if (byte >> 4 == 0 || (byte & 15) == 0)
        return false;
    *dq = (int)(byte >> 4) - 8;
    *dr = (int)(byte & 15) - 8;
    return true;
}

// --- what is remembered --------------------------------------------------------------------------

static void *grown(void *items, size_t count, size_t bytes)
{
    void *memory = realloc(items, count * bytes);
    if (!memory)
        abort();
    return memory;
}

static struct wire_entity *entity_at(struct input *in, uint64_t number)
{
    struct wire_decoder *d = in->decoder;
    if (number < d->entity_count && d->entities[number].bound)
        return &d->entities[number];
    fault(in, "nothing has the number %llu", (unsigned long long)number);
    return NULL;
}

static struct wire_entity *bind(struct input *in, uint64_t number)
{
    struct wire_decoder *d = in->decoder;
    if (number >= WIRE_NUMBERS_MAX) {
        fault(in, "the number %llu is too great", (unsigned long long)number);
        return NULL;
    }
    if (number >= d->entity_count) {
        uint32_t count = (uint32_t)number + 64;
        d->entities = grown(d->entities, count, sizeof *d->entities);
        memset(d->entities + d->entity_count, 0, (count - d->entity_count) * sizeof *d->entities);
        d->entity_count = count;
    }
    struct wire_entity *entity = &d->entities[number];
    if (entity->bound) {
        if (d->was_count == d->was_capacity) {
            d->was_capacity += 64;
            d->was = grown(d->was, d->was_capacity, sizeof *d->was);
            d->was_number = grown(d->was_number, d->was_capacity, sizeof *d->was_number);
        }
        d->was[d->was_count] = *entity;
        d->was_number[d->was_count++] = (uint32_t)number;
    }
    d->in_sight -= entity->in_sight;
    memset(entity, 0, sizeof *entity);
    entity->bound = true;
    return entity;
}

// As the number was bound before this update.
static const struct wire_entity *entity_before(struct input *in, uint64_t number)
{
    for (uint32_t i = 0; i < in->decoder->was_count; i++) {
        if (in->decoder->was_number[i] == number)
            return &in->decoder->was[i];
    }
    return entity_at(in, number);
}

static uint64_t owner(struct input *in)
{
    uint64_t number = bounded(in, in->decoder->empire_count, "an empire's number");
    return number == 0 || failed(in) ? 0 : in->decoder->empires[number - 1];
}

static void leave_sight(struct wire_decoder *d, struct wire_entity *entity)
{
    d->in_sight -= entity->in_sight;
    entity->in_sight = false;
}

// What is told late to be gone is told by its id.
static void lose_sight(struct wire_decoder *d, uint64_t id)
{
    for (uint32_t i = 0; i < d->entity_count; i++) {
        if (d->entities[i].in_sight && d->entities[i].id == id)
            leave_sight(d, &d->entities[i]);
    }
}

// --- explored hexes ------------------------------------------------------------------------------

static bool reset(struct input *in)
{
    struct wire_decoder *d = in->decoder;
    d->origin_q = coordinate(in, 0);
    d->origin_r = coordinate(in, 0);
    d->tick = 0;
    d->empire_count = 0;
    d->in_sight = 0;
    d->reset_seen = true;
    if (d->entity_count > 0)
        memset(d->entities, 0, d->entity_count * sizeof *d->entities);
    return !failed(in);
}

static bool take_tile(struct input *in, int32_t *column, int32_t *row)
{
    static const unsigned widths[] = {0, 1, 2, 4, 8};
    *column = coordinate(in, *column);
    *row = coordinate(in, *row);
    if (*column < -(1 << 27) || *column >= 1 << 27 || *row < -(1 << 27) || *row >= 1 << 27)
        return fault(in, "a tile is out of all bounds");
    unsigned mode = u8(in), code = mode >> 1;
    uint8_t bitmap[32], palette[256] = {0};
    if (code > 4)
        return fault(in, "a tile's mode is 0x%02x", mode);
    for (unsigned i = 0; i < 32; i++)
        bitmap[i] = mode & 1 ? (uint8_t)u8(in) : 0xff;
    unsigned count = code == 0 ? 1 : code == 4 ? 256 : u8(in);
    if (code < 4 && count > 1u << widths[code])
        return fault(in, "a palette of %u for %u bits", count, widths[code]);
    for (unsigned i = 0; i < count; i++)
        palette[i] = code == 4 ? (uint8_t)i : (uint8_t)u8(in);
    unsigned bits = 0, have = 0;
    for (unsigned i = 0; i < 256 && !failed(in); i++) {
        if (!(bitmap[i / 8] >> i % 8 & 1))
            continue;
        if (have == 0 && code != 0) {
            bits = u8(in);
            have = 8;
        }
        unsigned value = bits & ((1u << widths[code]) - 1);
        bits >>= widths[code];
        have -= widths[code];
        if (value >= count)
            return fault(in, "a palette has no place %u", value);
        TELL(in, explored_hex, *column * 16 + (int32_t)(i % 16), *row * 16 + (int32_t)(i / 16),
             palette[value]);
    }
    return bits == 0 ? !failed(in) : fault(in, "a tile's last byte is not filled with zeros");
}

static bool take_explored(struct input *in)
{
    unsigned flags = u8(in);
    if (flags > 1)
        return fault(in, "explored_hexes has the flags 0x%02x", flags);
    if (flags && !reset(in))
        return false;
    TELL(in, explored_begin, flags);
    int32_t column = 0, row = 0;
    while (left(in) > 0) {
        if (!take_tile(in, &column, &row))
            return false;
    }
    return !failed(in);
}

// --- small messages ------------------------------------------------------------------------------

static void read_cache(struct input *in, struct wire_memory *memory)
{
    memory->mode = u8(in);
    if (memory->mode > 1)
        fault(in, "cache mode %u", memory->mode);
    memory->last_seen = varint(in);
    memory->expires_at = varint(in);
}

static bool take_snapshot(struct input *in)
{
    struct wire_memory memory = {0};
    uint64_t type = bounded(in, UINT32_MAX, "a type");
    memory.has_type = type > 0;
    memory.type = type > 0 ? (uint32_t)type - 1 : 0;
    memory.id = u64(in);
    memory.owner = owner(in);
    memory.q = coordinate(in, in->decoder->origin_q);
    memory.r = coordinate(in, in->decoder->origin_r);
    read_cache(in, &memory);
    memory.health = zigzag(in);
    if (failed(in))
        return false;
    // Who was away is not told by its number that it left sight.
    lose_sight(in->decoder, memory.id);
    TELL(in, snapshot, &memory);
    return true;
}

static bool take_cached(struct input *in)
{
    struct wire_memory memory = {0};
    struct wire_entity *entity = entity_at(in, varint(in));
    read_cache(in, &memory);
    if (failed(in))
        return false;
    leave_sight(in->decoder, entity);
    TELL(in, cached, entity, &memory);
    return true;
}

static bool take_ack(struct input *in)
{
    uint64_t seq = varint(in), tick = varint(in);
    uint64_t job = left(in) > 0 ? u64(in) : 0;
    if (!failed(in))
        TELL(in, ack, seq, tick, job);
    return !failed(in);
}

static bool take_pong(struct input *in)
{
    int64_t timestamp = zigzag(in);
    uint64_t tick = varint(in);
    if (!failed(in))
        TELL(in, pong, timestamp, tick);
    return !failed(in);
}

// --- an update's parts ---------------------------------------------------------------------------

static void take_empires(struct input *in)
{
    struct wire_decoder *d = in->decoder;
    uint64_t count = bounded(in, WIRE_EMPIRES_MAX, "a count");
    for (uint64_t i = 0; i < count && !failed(in); i++) {
        char name[WIRE_TEXT_MAX + 1];
        uint64_t id = u64(in);
        text(in, name);
        if (d->empire_count == d->empire_capacity) {
            d->empire_capacity += 64;
            d->empires = grown(d->empires, d->empire_capacity, sizeof *d->empires);
        }
        d->empires[d->empire_count++] = id;
        if (!failed(in))
            TELL(in, empire, id, name);
    }
}

static void take_gone(struct input *in)
{
    uint64_t head = bounded(in, 4 * (uint64_t)WIRE_NUMBERS_MAX, "a count"), next = 0;
    for (uint64_t i = 0; i < head / 2 && !failed(in); i++) {
        uint64_t number = next + bounded(in, WIRE_NUMBERS_MAX, "a gap");
        struct wire_entity *entity = entity_at(in, number);
        if (!entity)
            return;
        if (!entity->in_sight)
            fault(in, "number %llu is gone, but was not in sight", (unsigned long long)number);
        leave_sight(in->decoder, entity);
        TELL(in, gone_entity, entity);
        next = number + 1;
    }
    uint64_t ids = head & 1 ? bounded(in, UINT32_MAX, "a count") : 0;
    for (uint64_t i = 0; i < ids && !failed(in); i++) {
        unsigned kind = u8(in);
        uint64_t id = u64(in);
        if (failed(in))
            return;
        lose_sight(in->decoder, id);
        TELL(in, gone_memory, kind, id);
    }
}

static void read_target(struct input *in, struct wire_entity *e, bool may_be_null)
{
    unsigned special = 0;
    int64_t dq = 0, dr = 0;
    e->has_target = near(in, &special, &dq, &dr);
    if (!e->has_target && !(may_be_null && special == 1))
        fault(in, "a target is 0x%02x", special);
    e->target_q = (int64_t)((uint64_t)e->q + (uint64_t)dq);
    e->target_r = (int64_t)((uint64_t)e->r + (uint64_t)dr);
}

static unsigned activity(struct input *in)
{
    unsigned value = u8(in);
    if (value > 5)
        fault(in, "activity %u", value);
    return value;
}

static void take_appeared(struct input *in)
{
    uint64_t count = bounded(in, WIRE_NUMBERS_MAX, "a count");
    for (uint64_t i = 0; i < count && !failed(in); i++) {
        struct wire_entity *e = bind(in, varint(in));
        if (!e)
            return;
        e->owner = owner(in);
        e->q = coordinate(in, in->decoder->origin_q);
        e->r = coordinate(in, in->decoder->origin_r);
        e->type = (uint32_t)bounded(in, UINT32_MAX, "a type");
        e->id = u64(in);
        unsigned flags = u8(in);
        if (flags & 0x80)
            fault(in, "an entity's flags are 0x%02x", flags);
        e->activity = flags & 0x01 ? activity(in) : 0;
        e->has_health = flags & 0x02;
        e->health = flags & 0x02 ? zigzag(in) : 0;
        e->progress = flags & 0x04 ? (int64_t)varint(in) : 1000;
        e->amount = flags & 0x08 ? zigzag(in) : 0;
        e->carried = flags & 0x10 ? zigzag(in) : 0;
        if (flags & 0x20)
            read_target(in, e, false);
        e->rank = flags & 0x40 ? u8(in) : 0;
        if (flags & 0x40 && e->rank == 0)
            fault(in, "no rank");
        e->in_sight = true;
        in->decoder->in_sight++;
        if (!failed(in))
            TELL(in, appeared, e);
    }
}

static void take_run(struct input *in, bool first, unsigned group, int32_t *q, int32_t *r)
{
    unsigned head = u8(in), low = head % 12;
    uint64_t length = head / 12 + 1;
    if (head >= 252) {
        low = u8(in);
        length = bounded(in, 1 << 24, "a run's length") + 22;
        if (head > 252 || low > 11)
            fault(in, "a run is 0x%02x 0x%02x", head, low);
    }
    const int32_t *step = directions[low / 2 % 6];
    unsigned special = 0;
    int64_t dq = step[0], dr = step[1];
    if (first && low & 1)
        fault(in, "a group begins with a jump");
    if (low & 1 && !near(in, &special, &dq, &dr))
        fault(in, "a jump is 0x%02x", special);
    if (dq < -(1 << 26) || dq > 1 << 26 || dr < -(1 << 26) || dr > 1 << 26)
        fault(in, "a jump is out of all bounds");
    int64_t at_q = first ? *q : *q + dq, at_r = first ? *r : *r + dr;
    for (uint64_t i = 0; i < length && !failed(in); i++) {
        if (i > 0) {
            at_q += step[0];
            at_r += step[1];
        }
        if (at_q < -(1 << 28) || at_q > 1 << 28 || at_r < -(1 << 28) || at_r > 1 << 28)
            fault(in, "a run is out of all bounds");
        int terrain = group & 4 ? (int)u8(in) : -1;
        if (!failed(in))
            TELL(in, hex, (int32_t)at_q, (int32_t)at_r, group & 3, terrain);
    }
    *q = (int32_t)at_q;
    *r = (int32_t)at_r;
}

static void take_vision(struct input *in)
{
    int32_t q = in->decoder->origin_q, r = in->decoder->origin_r;
    bool more = true;
    while (more && !failed(in)) {
        unsigned group = u8(in);
        uint64_t runs = group >> 4 < 15 ? (group >> 4) + 1 : bounded(in, 1 << 24, "a count") + 16;
        more = group & 8;
        if ((group & 3) == 3)
            fault(in, "a hex has the state 3");
        q = coordinate(in, q);
        r = coordinate(in, r);
        for (uint64_t i = 0; i < runs && !failed(in); i++)
            take_run(in, i == 0, group, &q, &r);
    }
}

static void take_events(struct input *in)
{
    uint64_t count = bounded(in, UINT32_MAX, "a count");
    for (uint64_t i = 0; i < count && !failed(in); i++) {
        unsigned head = u8(in);
        struct wire_event event = {.kind = head & 15, .has_other = head & 0x20};
        if (head & 0xc0 || event.kind < 1 || event.kind > 4)
            fault(in, "an event is 0x%02x", head);
        uint64_t number = varint(in);
        const struct wire_entity *entity =
            head & 0x10 ? entity_before(in, number) : entity_at(in, number);
        const struct wire_entity *other = event.has_other ? entity_at(in, varint(in)) : NULL;
        if (event.kind == 1 || event.kind == 3)
            event.value = zigzag(in);
        if (event.kind == 3)
            event.resource = (uint32_t)bounded(in, UINT32_MAX, "a type");
        if (failed(in))
            return;
        event.entity = entity->id;
        event.entity_type = entity->type;
        event.other = other ? other->id : 0;
        event.other_type = other ? other->type : 0;
        TELL(in, event, &event);
    }
}

static void take_resources(struct input *in)
{
    uint64_t count = bounded(in, UINT32_MAX, "a count");
    for (uint64_t i = 0; i < count && !failed(in); i++) {
        char name[WIRE_TEXT_MAX + 1];
        text(in, name);
        int64_t amount = zigzag(in);
        if (!failed(in))
            TELL(in, resource, name, amount);
    }
}

static void take_jobs(struct input *in)
{
    uint64_t count = bounded(in, UINT32_MAX, "a count");
    for (uint64_t i = 0; i < count && !failed(in); i++) {
        struct wire_job job = {.event = u8(in)};
        if (job.event > 5)
            fault(in, "a job's event is %u", job.event);
        job.job = u64(in);
        job.building = u64(in);
        text(in, job.recipe);
        job.start_tick = varint(in);
        job.end_tick = varint(in);
        job.cycles = varint(in);
        text(in, job.reason);
        if (!failed(in))
            TELL(in, job, &job);
    }
}

static void read_place(struct input *in, struct wire_entity *e)
{
    if (left(in) > 0 && *in->data == 0) {
        (void)u8(in);
        e->q = coordinate(in, 0);
        e->r = coordinate(in, 0);
        return;
    }
    unsigned special = 0;
    int64_t dq = 0, dr = 0;
    if (!near(in, &special, &dq, &dr))
        fault(in, "a place is 0x%02x", special);
    e->q = (int32_t)((uint32_t)e->q + (uint32_t)dq);
    e->r = (int32_t)((uint32_t)e->r + (uint32_t)dr);
}

static unsigned read_fields(struct input *in, struct wire_entity *e)
{
    unsigned fields = u8(in);
    if (fields & WIRE_OWNER) // stands in front, so that its bit has another meaning here
        fields = (fields & ~(unsigned)WIRE_OWNER) | WIRE_RANK;
    if (fields & WIRE_PLACE)
        read_place(in, e);
    if (fields & WIRE_HEALTH) {
        e->has_health = true;
        e->health = zigzag(in);
    }
    if (fields & WIRE_RANK)
        e->rank = u8(in);
    if (fields & WIRE_ACTIVITY)
        e->activity = activity(in);
    if (fields & WIRE_PROGRESS)
        e->progress = (int64_t)varint(in);
    if (fields & WIRE_AMOUNT)
        e->amount = zigzag(in);
    if (fields & WIRE_CARRIED)
        e->carried = zigzag(in);
    if (fields & WIRE_TARGET)
        read_target(in, e, true);
    return fields;
}

// Asks for the entities that make a step, as far as only such are told of: all of them at once, for
// of thousands of decoders none is in a cache.
static void ask_for_steps(const struct input *in)
{
    const struct wire_decoder *d = in->decoder;
    uint64_t number = 0;
    for (const uint8_t *at = in->data; at < in->end && (*at & 7) < 6 && *at >> 3 < 31; at++) {
        number += *at >> 3;
        if (number >= d->entity_count)
            return;
        mm_prefetch_write(&d->entities[number++]);
    }
}

static void take_changed(struct input *in)
{
    uint64_t next = 0;
    ask_for_steps(in);
    while (left(in) > 0 && !failed(in)) {
        unsigned head = u8(in), what = head & 7;
        uint64_t gap = head >> 3;
        if (gap == 31)
            gap += bounded(in, WIRE_NUMBERS_MAX, "a gap");
        struct wire_entity *e = entity_at(in, next + gap);
        if (!e)
            return;
        if (!e->in_sight)
            fault(in, "number %llu changed, but is not in sight", (unsigned long long)(next + gap));
        next += gap + 1;
        unsigned fields = WIRE_PLACE;
        if (what < 6) {
            e->q = (int32_t)((uint32_t)e->q + (uint32_t)directions[what][0]);
            e->r = (int32_t)((uint32_t)e->r + (uint32_t)directions[what][1]);
        } else {
            if (what == 7)
                e->owner = owner(in);
            fields = read_fields(in, e) | (what == 7 ? WIRE_OWNER : 0u);
        }
        if (!failed(in))
            TELL(in, changed, e, fields);
    }
}

// Whoever was named behind the first so many is named again, or not at all.
static bool take_resumed(struct input *in)
{
    struct wire_decoder *d = in->decoder;
    uint64_t tick = varint(in), known = bounded(in, d->empire_count, "an empire's number");
    if (tick < d->tick)
        fault(in, "resumed at an earlier tick");
    if (!d->reset_seen)
        fault(in, "resumed before the first explored_hexes");
    if (failed(in))
        return false;
    d->tick = tick;
    d->empire_count = (uint32_t)known;
    TELL(in, resumed, tick);
    take_empires(in);
    return !failed(in);
}

static void take_joined(struct input *in)
{
    uint64_t count = bounded(in, left(in) / 2, "a count of players");
    for (uint64_t i = 0; i < count && !failed(in); i++) {
        char name[WIRE_TEXT_MAX + 1];
        uint64_t id = varint(in);
        text(in, name);
        if (!failed(in))
            TELL(in, joined, id, name);
    }
}

static bool take_roster(struct input *in)
{
    uint64_t count = varint(in);
    if (failed(in))
        return false;
    TELL(in, roster, count);
    take_joined(in);
    return !failed(in);
}

static bool take_players(struct input *in)
{
    uint64_t count = varint(in);
    if (failed(in))
        return false;
    TELL(in, players, count);
    take_joined(in);
    uint64_t gone = bounded(in, left(in), "a count of players");
    for (uint64_t i = 0; i < gone && !failed(in); i++) {
        uint64_t id = varint(in);
        if (!failed(in))
            TELL(in, left, id);
    }
    return !failed(in);
}

static bool take_update(struct input *in, unsigned flags)
{
    struct wire_decoder *d = in->decoder;
    if (flags & 0x20)
        return fault(in, "an update's flags are 0x%02x", flags);
    if (!d->reset_seen)
        return fault(in, "an update before the first explored_hexes");
    unsigned more = flags & 0x40 ? u8(in) : 0;
    if (more & 0xe0)
        fault(in, "an update's further flags are 0x%02x", more);
    d->tick += flags & 0x01 ? varint(in) : 1;
    d->deferred = more & 0x10 ? varint(in) : 0;
    if (more & 0x10 && d->deferred == 0)
        fault(in, "nothing is deferred");
    d->was_count = 0;
    TELL(in, update_begin, d->tick, more & 0x01);
    if (more & 0x02)
        take_empires(in);
    if (flags & 0x02)
        take_gone(in);
    if (flags & 0x04)
        take_appeared(in);
    if (flags & 0x08)
        take_vision(in);
    if (flags & 0x10)
        take_events(in);
    if (more & 0x04)
        take_resources(in);
    if (more & 0x08)
        take_jobs(in);
    take_changed(in);
    return !failed(in);
}

// --- all of it -----------------------------------------------------------------------------------

void wire_decoder_init(struct wire_decoder *decoder)
{
    memset(decoder, 0, sizeof *decoder);
}

void wire_decoder_free(struct wire_decoder *decoder)
{
    free(decoder->entities);
    free(decoder->empires);
    free(decoder->was);
    free(decoder->was_number);
}

bool wire_decoder_take(struct wire_decoder *decoder, const uint8_t *data, size_t len,
                       const struct wire_sink *sink, void *arg)
{
    struct input in = {decoder, sink, arg, data, data + len};
    unsigned type = u8(&in);
    bool ok = false;
    if (type >= 0x80)
        ok = take_update(&in, type);
    else if (type == 0x01)
        ok = take_explored(&in);
    else if (type == 0x02)
        ok = take_snapshot(&in);
    else if (type == 0x03)
        ok = take_cached(&in);
    else if (type == 0x04)
        ok = take_ack(&in);
    else if (type == 0x05)
        ok = take_pong(&in);
    else if (type == 0x06)
        ok = take_resumed(&in);
    else if (type == 0x07)
        ok = take_roster(&in);
    else if (type == 0x08)
        ok = take_players(&in);
    else
        fault(&in, "there is no message 0x%02x", type);
    if (ok && left(&in) > 0)
        ok = fault(&in, "%zu bytes behind the message's end", left(&in));
    if (ok)
        TELL(&in, end);
    return ok;
}
