#include "libcommon/base/check.h"
#include "libcommon/base/prefetch.h"
#include "services/sync/core/binary.h"
#include "services/sync/core/update_parts.h"

#include <stdlib.h>
#include <string.h>

// Updates in the binary encoding. What all who see a change are told of it is encoded once in a
// step (a body); of a client's own there is the entity's number. That is too little to be worth a
// slice: a message is put together in `draft` and is one slice of the encoder's buffer. Most
// changes are an entity's step to the next hex: its number and the direction, one byte, of which
// the mirror knows all (`stepped`).

// --- bodies --------------------------------------------------------------------------------------

static struct sync_body *body_of(struct sync_encoder *encoder, uint32_t slot,
                                 enum sync_fragment_kind kind)
{
    return &encoder->bodies[(size_t)slot * SYNC_FRAGMENTS + kind];
}

static void note(struct sync_encoder *encoder, struct sync_body *body, size_t offset)
{
    size_t len = encoder->buf.len - offset;
    MM_CHECK(len <= UINT16_MAX);
    *body = (struct sync_body){encoder->step, (uint16_t)len, offset};
    encoder->fragments_made++;
}

static const struct sync_body *appeared_body(struct sync_encoder *encoder, struct sync_core *core,
                                             uint32_t slot, enum sync_audience audience)
{
    struct sync_body *body =
        body_of(encoder, slot, audience == SYNC_OWNER ? SYNC_APPEARED_OWNER : SYNC_APPEARED_PUBLIC);
    if (body->step == encoder->step) {
        encoder->fragments_shared++;
        return body;
    }
    size_t offset = encoder->buf.len;
    sync_binary_appeared_body(&encoder->buf, &core->mirror, &core->mirror.entities[slot], audience);
    note(encoder, body, offset);
    return body;
}

// *scratch holds a body that nobody else can use.
static const struct sync_body *changed_body(struct sync_encoder *encoder, struct sync_core *core,
                                            const struct sync_change *change,
                                            enum sync_audience audience, struct sync_body *scratch)
{
    enum sync_fragment_kind kind =
        audience == SYNC_OWNER ? SYNC_CHANGED_OWNER : SYNC_CHANGED_PUBLIC;
    struct sync_body *body = body_of(encoder, change->slot, kind);
    bool shared = change->followed &&
                  change->mask == sync_encoder_usual_mask(&core->mirror, change->slot, kind);
    if (!shared)
        body = scratch;
    else if (body->step == encoder->step) {
        encoder->fragments_shared++;
        return body;
    }
    size_t offset = encoder->buf.len;
    sync_binary_changed_body(&encoder->buf, &core->mirror, change->slot, change->mask, audience,
                             change->followed);
    note(encoder, body, offset);
    return body;
}

static void put_body(struct sync_encoder *encoder, const struct sync_body *body)
{
    // Without memory there may be no body; the buffer's error tells.
    if (encoder->buf.err == MM_OK)
        mm_buf_append(&encoder->draft, encoder->buf.data + body->offset, body->len);
}

// --- parts ---------------------------------------------------------------------------------------

// The flags are known when the parts are there: the head is made room for and filled in last.
struct head {
    size_t at;
    unsigned flags, more;
};

static struct head begin_update(struct sync_encoder *encoder, const struct sync_core *core,
                                uint64_t told_tick, unsigned more)
{
    struct mm_buf *draft = &encoder->draft;
    more |= encoder->deferred > 0 ? SYNC_BINARY_DEFERRED : 0u;
    struct head head = {.at = draft->len, .flags = SYNC_BINARY_UPDATE, .more = more};
    mm_buf_byte(draft, 0);
    if (more != 0) {
        head.flags |= SYNC_BINARY_MORE;
        mm_buf_byte(draft, (uint8_t)more);
    }
    if (core->mirror.tick != told_tick + 1) {
        head.flags |= SYNC_BINARY_TICK;
        mm_buf_varint(draft, core->mirror.tick - told_tick);
    }
    if (encoder->deferred > 0)
        mm_buf_varint(draft, encoder->deferred);
    return head;
}

// Makes the draft a message.
static bool end_message(struct sync_encoder *encoder)
{
    static const uint8_t headroom[SYNC_HEADROOM_BYTES];
    mm_buf_append(&encoder->buf, headroom, sizeof headroom);
    size_t offset = encoder->buf.len;
    mm_buf_append(&encoder->buf, encoder->draft.data, encoder->draft.len);
    return encoder->draft.err == MM_OK && encoder->buf.err == MM_OK &&
           sync_encoder_begin_message(encoder) &&
           sync_encoder_add_slice(encoder, offset, encoder->buf.len - offset);
}

static bool end_update(struct sync_encoder *encoder, const struct head *head)
{
    if (encoder->draft.err == MM_OK)
        encoder->draft.data[head->at] = (uint8_t)head->flags;
    return end_message(encoder);
}

// The names that are not told yet go to the encoder's buffer; how many.
static uint32_t collect_names(struct sync_encoder *encoder, const struct sync_core *core,
                              const struct sync_view *view)
{
    uint32_t count = 0;
    for (const struct sync_empire *e; (e = sync_encoder_next_name(encoder, core, view)) != NULL;) {
        sync_binary_empire(&encoder->buf, e);
        count++;
    }
    return count;
}

static int by_number(const void *a, const void *b)
{
    const struct sync_gone *left = a, *right = b;
    return left->number < right->number ? -1 : left->number > right->number;
}

static void put_gone(struct mm_buf *draft, struct sync_delta *delta)
{
    size_t count = delta->gone.count, numbers = 0;
    // What has no number sorts last.
    qsort(delta->gone.items, count, sizeof *delta->gone.items, by_number);
    while (numbers < count && delta->gone.items[numbers].number != SYNC_NONE)
        numbers++;
    mm_buf_varint(draft, 2 * numbers + (numbers < count));
    uint32_t next = 0;
    for (size_t i = 0; i < numbers; i++) {
        mm_buf_varint(draft, delta->gone.items[i].number - next);
        next = delta->gone.items[i].number + 1;
    }
    if (numbers == count)
        return;
    mm_buf_varint(draft, count - numbers);
    for (size_t i = numbers; i < count; i++) {
        mm_buf_byte(draft, (uint8_t)delta->gone.items[i].kind);
        mm_buf_u64le(draft, delta->gone.items[i].id);
    }
}

static void put_appeared(struct sync_encoder *encoder, struct sync_core *core,
                         struct sync_view *view)
{
    const struct sync_delta *delta = encoder->delta;
    mm_buf_varint(&encoder->draft, delta->appeared.count);
    for (size_t i = 0; i < delta->appeared.count; i++) {
        const struct sync_appearance *appearance = &delta->appeared.items[i];
        sync_binary_appeared_head(&encoder->draft, view, &core->mirror.entities[appearance->slot],
                                  appearance->number);
        put_body(encoder, appeared_body(encoder, core, appearance->slot,
                                        sync_encoder_audience(core, view, appearance->slot)));
    }
}

static bool put_vision(struct sync_encoder *encoder, const struct sync_view *view)
{
    const struct sync_delta *delta = encoder->delta;
    sync_runs_clear(&encoder->runs);
    sync_runs_add(&encoder->runs, delta->hexes.items, delta->hexes.count);
    sync_binary_vision(&encoder->draft, &encoder->runs, view);
    return !encoder->runs.failed;
}

// How many of the events can be shown; they are in the encoder's buffer then.
static size_t collect_events(struct sync_encoder *encoder, const struct sync_core *core,
                             const struct sync_view *view)
{
    size_t shown = 0;
    for (size_t i = 0; core->frame && i < encoder->delta->events.count; i++) {
        const struct sync_event_news *news = &encoder->delta->events.items[i];
        const Mmorts__Frame__EventColumns *events = core->frame->events;
        uint32_t other =
            news->alone ? SYNC_NONE : sync_core_number(core, view, events->other[news->event]);
        shown += sync_binary_event(&encoder->buf, &core->mirror, events, news, other);
    }
    return shown;
}

static size_t untold_amounts(const struct sync_holding *holding)
{
    size_t count = 0;
    for (size_t i = 0; i < holding->amounts.count; i++) {
        const struct sync_amount *amount = &holding->amounts.items[i];
        count += !amount->told || amount->told_amount != amount->amount;
    }
    return count;
}

static void put_holding(struct mm_buf *draft, const struct sync_stock *stock,
                        const struct sync_holding *holding, size_t untold)
{
    if (untold > 0)
        mm_buf_varint(draft, untold);
    for (size_t i = 0; i < holding->amounts.count; i++) {
        const struct sync_amount *amount = &holding->amounts.items[i];
        if (amount->told && amount->told_amount == amount->amount)
            continue;
        sync_binary_text(draft, stock->items.items[amount->item]);
        mm_buf_zigzag(draft, amount->amount);
    }
    if (holding->events.count > 0)
        mm_buf_varint(draft, holding->events.count);
    for (size_t i = 0; i < holding->events.count; i++)
        sync_binary_job(draft, &holding->events.items[i]);
}

// Few as a rule, and all but in order: entities are numbered as they appear.
static void sort_changes(struct sync_change *changes, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct sync_change change = changes[i];
        size_t at = i;
        while (at > 0 && changes[at - 1].number > change.number) {
            changes[at] = changes[at - 1];
            at--;
        }
        changes[at] = change;
    }
}

static int by_change_number(const void *a, const void *b)
{
    const struct sync_change *left = a, *right = b;
    return (int)left->number - (int)right->number;
}

void sync_encode_ask(const struct sync_encoder *encoder, const struct sync_core *core,
                     const struct sync_view *view)
{
    enum { ASKED_MAX = 32 };
    const struct sync_mirror *mirror = &core->mirror;
    size_t count = view->delta.changed.count < ASKED_MAX ? view->delta.changed.count : ASKED_MAX;
    for (size_t i = 0; i < count; i++) {
        const struct sync_change *change = &view->delta.changed.items[i];
        uint32_t slot = change->slot;
        mm_prefetch(&mirror->stepped[slot]);
        if (change->followed && change->mask == SYNC_DIRTY_PLACE)
            continue; // a step, as a rule
        mm_prefetch_block(&mirror->entities[slot], sizeof *mirror->entities);
        mm_prefetch(&mirror->before[slot]);
        mm_prefetch(&mirror->dirty[slot]);
        if (slot < encoder->body_slots)
            mm_prefetch_write(&encoder->bodies[(size_t)slot * SYNC_FRAGMENTS]);
    }
    mm_prefetch(view->holding);
}

// gap: the numbers between the one before and this one's.
static void put_change(struct sync_encoder *encoder, struct sync_core *core, struct sync_view *view,
                       const struct sync_change *change, uint32_t gap)
{
    struct mm_buf *draft = &encoder->draft;
    unsigned direction = SYNC_BINARY_FIELDS;
    if (change->followed)
        direction = sync_binary_step(&core->mirror, change->slot, change->mask);
    if (direction != SYNC_BINARY_FIELDS) {
        sync_binary_change_head(draft, gap, direction);
        return;
    }
    struct sync_body scratch;
    const struct sync_body *body = changed_body(
        encoder, core, change, sync_encoder_audience(core, view, change->slot), &scratch);
    if (change->mask & SYNC_DIRTY_OWNER) {
        sync_binary_change_head(draft, gap, SYNC_BINARY_OWNER_FIELDS);
        mm_buf_varint(draft, sync_view_named(view, core->mirror.entities[change->slot].owner));
    } else {
        sync_binary_change_head(draft, gap, SYNC_BINARY_FIELDS);
    }
    put_body(encoder, body);
}

static void put_changed(struct sync_encoder *encoder, struct sync_core *core,
                        struct sync_view *view)
{
    enum { INSERTED_MAX = 64 }; // beyond, moving them one by one would take too long
    struct sync_change *changes = encoder->delta->changed.items;
    size_t count = encoder->delta->changed.count;
    if (count <= INSERTED_MAX)
        sort_changes(changes, count);
    else
        qsort(changes, count, sizeof *changes, by_change_number);
    uint32_t next = 0;
    for (size_t i = 0; i < count; i++) {
        put_change(encoder, core, view, &changes[i], changes[i].number - next);
        next = changes[i].number + 1u;
    }
}

// --- messages ------------------------------------------------------------------------------------

// What goes before the update: names of the owners of what is remembered, and that itself.
static bool add_cached(struct sync_encoder *encoder, struct sync_core *core, struct sync_view *view,
                       uint64_t *told_tick)
{
    const struct sync_delta *delta = encoder->delta;
    size_t from = encoder->buf.len;
    uint32_t names = delta->cached.count > 0 ? collect_names(encoder, core, view) : 0;
    if (names > 0 && encoder->buf.err == MM_OK) {
        mm_buf_reset(&encoder->draft);
        struct head head = begin_update(encoder, core, *told_tick, SYNC_BINARY_EMPIRES);
        mm_buf_varint(&encoder->draft, names);
        mm_buf_append(&encoder->draft, encoder->buf.data + from, encoder->buf.len - from);
        *told_tick = core->mirror.tick;
        if (!end_update(encoder, &head))
            return false;
    }
    for (size_t i = 0; i < delta->cached.count; i++) {
        const struct sync_cached_news *news = &delta->cached.items[i];
        mm_buf_reset(&encoder->draft);
        if (news->was_in_sight)
            sync_binary_entity_cached(&encoder->draft, news);
        else
            sync_binary_entity_snapshot(&encoder->draft, &core->mirror, view, &news->memory);
        if (!end_message(encoder))
            return false;
    }
    return true;
}

bool sync_encoder_add_binary(struct sync_encoder *encoder, struct sync_core *core,
                             struct sync_view *view, const struct sync_holding *holding,
                             uint64_t told_tick)
{
    struct sync_delta *delta = encoder->delta;
    if (!add_cached(encoder, core, view, &told_tick))
        return false;
    size_t from = encoder->buf.len;
    uint32_t names = collect_names(encoder, core, view);
    size_t names_len = encoder->buf.len - from;
    size_t events = collect_events(encoder, core, view);
    size_t events_from = from + names_len, events_len = encoder->buf.len - events_from;
    size_t untold = holding->dirty ? untold_amounts(holding) : 0;
    bool jobs = holding->dirty && holding->events.count > 0;
    if (encoder->buf.err != MM_OK)
        return false;
    unsigned more = (names > 0 ? SYNC_BINARY_EMPIRES : 0u) |
                    (untold > 0 ? SYNC_BINARY_RESOURCES : 0u) | (jobs ? SYNC_BINARY_JOBS : 0u);
    struct mm_buf *draft = &encoder->draft;
    mm_buf_reset(draft);
    struct head head = begin_update(encoder, core, told_tick, more);
    head.flags |= (delta->gone.count > 0 ? SYNC_BINARY_GONE : 0u) |
                  (delta->appeared.count > 0 ? SYNC_BINARY_APPEARED : 0u) |
                  (delta->hexes.count > 0 ? SYNC_BINARY_VISION : 0u) |
                  (events > 0 ? SYNC_BINARY_EVENTS : 0u);
    if (names > 0) {
        mm_buf_varint(draft, names);
        mm_buf_append(draft, encoder->buf.data + from, names_len);
    }
    if (delta->gone.count > 0)
        put_gone(draft, delta);
    if (delta->appeared.count > 0)
        put_appeared(encoder, core, view);
    if (delta->hexes.count > 0 && !put_vision(encoder, view))
        return false;
    if (events > 0) {
        mm_buf_varint(draft, events);
        mm_buf_append(draft, encoder->buf.data + events_from, events_len);
    }
    if (holding->dirty)
        put_holding(draft, &core->stock, holding, untold);
    put_changed(encoder, core, view);
    return end_update(encoder, &head);
}

bool sync_encoder_add_binary_idle(struct sync_encoder *encoder, struct sync_core *core,
                                  uint64_t told_tick)
{
    mm_buf_reset(&encoder->draft);
    struct head head = begin_update(encoder, core, told_tick, 0);
    return end_update(encoder, &head);
}
