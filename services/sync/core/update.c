#include "services/sync/core/update.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/buf_json.h"
#include "services/sync/core/encode.h"
#include "services/sync/core/update_parts.h"

#include <string.h>

void sync_encoder_init(struct sync_encoder *encoder)
{
    memset(encoder, 0, sizeof *encoder);
    mm_buf_init(&encoder->buf, SYNC_STEP_BYTES_MAX);
    mm_buf_init(&encoder->draft, SYNC_STEP_BYTES_MAX);
    sync_runs_init(&encoder->runs);
    mm_vec_init(&encoder->slices, SYNC_SLICES_MAX);
    mm_vec_init(&encoder->messages, SYNC_SLICES_MAX);
}

void sync_encoder_free(struct sync_encoder *encoder)
{
    mm_buf_free(&encoder->buf);
    mm_buf_free(&encoder->draft);
    sync_runs_free(&encoder->runs);
    mm_free(encoder->fragments);
    mm_free(encoder->bodies);
    mm_vec_free(&encoder->slices);
    mm_vec_free(&encoder->messages);
}

// --- slices --------------------------------------------------------------------------------------

bool sync_encoder_add_slice(struct sync_encoder *encoder, size_t offset, size_t len)
{
    if (len == 0)
        return true;
    struct sync_message *message = &encoder->messages.items[encoder->messages.count - 1];
    message->bytes += len;
    if (message->slice_count > 0) {
        struct sync_slice *last = &encoder->slices.items[encoder->slices.count - 1];
        if (last->offset + last->len == offset) {
            last->len += len;
            return true;
        }
    }
    message->slice_count++;
    return mm_vec_push(&encoder->slices, ((struct sync_slice){offset, len}));
}

// Whatever was appended to the buffer since `from` belongs to the message.
static bool add_since(struct sync_encoder *encoder, size_t from)
{
    return sync_encoder_add_slice(encoder, from, encoder->buf.len - from);
}

bool sync_encoder_begin_message(struct sync_encoder *encoder)
{
    return mm_vec_push(&encoder->messages, ((struct sync_message){.slice = encoder->slices.count}));
}

// --- fragments -----------------------------------------------------------------------------------

// Room for every kind of record of each slot there is, new ones zeroed.
static bool grow_table(void **table, uint32_t *table_slots, uint32_t slots, size_t record_bytes)
{
    if (*table_slots >= slots)
        return true;
    size_t before = (size_t)*table_slots * SYNC_FRAGMENTS * record_bytes;
    size_t after = (size_t)slots * SYNC_FRAGMENTS * record_bytes;
    uint8_t *grown = mm_realloc(*table, after);
    if (!grown)
        return false;
    memset(grown + before, 0, after - before);
    *table = grown;
    *table_slots = slots;
    return true;
}

static bool begin_step(struct sync_encoder *encoder, struct sync_core *core, size_t deferred,
                       enum sync_encoding encoding)
{
    encoder->deferred = deferred;
    mm_vec_clear(&encoder->slices);
    mm_vec_clear(&encoder->messages);
    encoder->encoding = encoding;
    uint32_t slots = core->mirror.slot_count;
    bool ok = encoding == SYNC_JSON
                  ? grow_table((void **)&encoder->fragments, &encoder->fragment_slots, slots,
                               sizeof *encoder->fragments)
                  : grow_table((void **)&encoder->bodies, &encoder->body_slots, slots,
                               sizeof *encoder->bodies);
    if (!ok)
        return false;
    if (encoder->step == core->step)
        return encoder->buf.err == MM_OK;
    encoder->step = core->step;
    mm_buf_reset(&encoder->buf);
    MM_BUF_LIT(&encoder->buf, "{\"type\":\"update\",\"tick\":");
    mm_buf_dec_u64(&encoder->buf, core->mirror.tick);
    encoder->head_offset = 0;
    encoder->head_len = encoder->buf.len;
    return encoder->buf.err == MM_OK;
}

static void encode_fragment(struct sync_encoder *encoder, struct sync_core *core, uint32_t slot,
                            enum sync_fragment_kind kind, unsigned mask)
{
    const struct sync_entity *entity = &core->mirror.entities[slot];
    enum sync_audience audience =
        kind == SYNC_CHANGED_OWNER || kind == SYNC_APPEARED_OWNER ? SYNC_OWNER : SYNC_PUBLIC;
    mm_buf_byte(&encoder->buf, ',');
    if (kind == SYNC_APPEARED_PUBLIC || kind == SYNC_APPEARED_OWNER)
        sync_encode_appeared(&encoder->buf, &core->mirror, entity, audience);
    else
        sync_encode_changed(&encoder->buf, &core->mirror, entity, mask, audience);
}

// Adds an entity's fragment, made now or earlier in this step. `first`: without its comma.
static bool add_fragment(struct sync_encoder *encoder, struct sync_core *core, uint32_t slot,
                         enum sync_fragment_kind kind, unsigned mask, bool first)
{
    struct sync_fragment *fragment = &encoder->fragments[(size_t)slot * SYNC_FRAGMENTS + kind];
    bool shared =
        kind >= SYNC_APPEARED_PUBLIC || mask == sync_encoder_usual_mask(&core->mirror, slot, kind);
    size_t offset = encoder->buf.len, len = 0;
    if (shared && fragment->step == encoder->step && fragment->len > 0) {
        offset = fragment->offset;
        len = fragment->len;
        encoder->fragments_shared++;
    } else {
        encode_fragment(encoder, core, slot, kind, mask);
        len = encoder->buf.len - offset;
        encoder->fragments_made++;
        if (shared && len <= UINT32_MAX)
            *fragment = (struct sync_fragment){encoder->step, (uint32_t)len, offset};
    }
    return sync_encoder_add_slice(encoder, offset + first, len - first);
}

// Begins the message with what all updates begin with.
static bool begin_update(struct sync_encoder *encoder)
{
    if (!sync_encoder_begin_message(encoder) ||
        !sync_encoder_add_slice(encoder, encoder->head_offset, encoder->head_len))
        return false;
    if (encoder->deferred == 0)
        return true;
    size_t from = encoder->buf.len;
    MM_BUF_LIT(&encoder->buf, ",\"deferred\":");
    mm_buf_dec_u64(&encoder->buf, encoder->deferred);
    return add_since(encoder, from);
}

// --- an update's parts ---------------------------------------------------------------------------

bool sync_encoder_name(const struct sync_core *core, struct sync_view *view, uint32_t empire)
{
    return !sync_mirror_empire(&core->mirror, empire) || sync_view_named(view, empire) ||
           sync_view_set_named(view, empire, core->mirror.tick);
}

// Names are known to all clients of a view in one order, whatever else of its delta they are told.
bool sync_encoder_name_delta(const struct sync_core *core, struct sync_view *view,
                             const struct sync_delta *delta)
{
    bool ok = true;
    for (size_t i = 0; ok && i < delta->cached.count; i++)
        ok = sync_encoder_name(core, view, delta->cached.items[i].memory.owner);
    for (size_t i = 0; ok && i < delta->appeared.count; i++)
        ok = sync_encoder_name(core, view,
                               core->mirror.entities[delta->appeared.items[i].slot].owner);
    for (size_t i = 0; ok && i < delta->changed.count; i++) {
        const struct sync_change *change = &delta->changed.items[i];
        if (change->mask & SYNC_DIRTY_OWNER)
            ok = sync_encoder_name(core, view, core->mirror.entities[change->slot].owner);
    }
    return ok;
}

const struct sync_empire *sync_encoder_next_name(struct sync_encoder *encoder,
                                                 const struct sync_core *core,
                                                 const struct sync_view *view)
{
    if (encoder->named >= view->names.count)
        return NULL;
    return sync_full_empire(core, view, encoder->named++);
}

// Those that are not told yet, as a member of the message. False: there are none.
static bool put_names(struct sync_encoder *encoder, const struct sync_core *core,
                      const struct sync_view *view)
{
    bool any = false;
    for (const struct sync_empire *e; (e = sync_encoder_next_name(encoder, core, view)) != NULL;) {
        mm_buf_str(&encoder->buf, any ? "," : ",\"empires\":[");
        any = true;
        sync_encode_empire(&encoder->buf, e);
    }
    if (any)
        mm_buf_byte(&encoder->buf, ']');
    return any;
}

static bool add_empires(struct sync_encoder *encoder, struct sync_core *core,
                        struct sync_view *view)
{
    size_t from = encoder->buf.len;
    (void)put_names(encoder, core, view);
    return add_since(encoder, from);
}

static bool add_entities(struct sync_encoder *encoder, struct sync_core *core,
                         struct sync_view *view)
{
    const struct sync_delta *delta = encoder->delta;
    size_t from = encoder->buf.len;
    bool ok = true;
    if (delta->appeared.count > 0)
        MM_BUF_LIT(&encoder->buf, ",\"appeared\":[");
    ok = add_since(encoder, from);
    for (size_t i = 0; ok && i < delta->appeared.count; i++) {
        uint32_t slot = delta->appeared.items[i].slot;
        enum sync_fragment_kind kind = sync_encoder_audience(core, view, slot) == SYNC_OWNER
                                           ? SYNC_APPEARED_OWNER
                                           : SYNC_APPEARED_PUBLIC;
        ok = add_fragment(encoder, core, slot, kind, 0, i == 0);
    }
    from = encoder->buf.len;
    if (delta->appeared.count > 0)
        mm_buf_byte(&encoder->buf, ']');
    if (delta->changed.count > 0)
        MM_BUF_LIT(&encoder->buf, ",\"changed\":[");
    ok = ok && add_since(encoder, from);
    for (size_t i = 0; ok && i < delta->changed.count; i++) {
        const struct sync_change *change = &delta->changed.items[i];
        enum sync_fragment_kind kind = sync_encoder_audience(core, view, change->slot) == SYNC_OWNER
                                           ? SYNC_CHANGED_OWNER
                                           : SYNC_CHANGED_PUBLIC;
        ok = add_fragment(encoder, core, change->slot, kind, change->mask, i == 0);
    }
    if (delta->changed.count > 0) {
        from = encoder->buf.len;
        mm_buf_byte(&encoder->buf, ']');
        ok = ok && add_since(encoder, from);
    }
    return ok;
}

static bool add_private(struct sync_encoder *encoder, struct sync_core *core,
                        struct sync_view *view)
{
    struct mm_buf *buf = &encoder->buf;
    const struct sync_delta *delta = encoder->delta;
    size_t from = buf->len;
    for (size_t i = 0; i < delta->gone.count; i++) {
        mm_buf_str(buf, i ? "," : ",\"disappeared\":[");
        sync_encode_id(buf, sync_kind_prefix(delta->gone.items[i].kind), delta->gone.items[i].id);
    }
    if (delta->gone.count > 0)
        mm_buf_byte(buf, ']');
    for (size_t i = 0; i < delta->hexes.count; i++) {
        const struct sync_hex_news *hex = &delta->hexes.items[i];
        mm_buf_str(buf, i ? "," : ",\"vision\":[");
        sync_encode_hex(buf, &core->mirror, hex->q, hex->r, hex->state, hex->terrain);
    }
    if (delta->hexes.count > 0)
        mm_buf_byte(buf, ']');
    bool any = false;
    for (size_t i = 0; core->frame && i < delta->events.count; i++) {
        const Mmorts__Frame__EventColumns *events = core->frame->events;
        size_t event = delta->events.items[i].event;
        size_t before = buf->len;
        mm_buf_str(buf, any ? "," : ",\"events\":[");
        bool with_other =
            !delta->events.items[i].alone && sync_core_sees(core, view, events->other[event]);
        if (sync_encode_event(buf, &core->mirror, events, event, with_other))
            any = true;
        else
            mm_buf_truncate(buf, before);
    }
    if (any)
        mm_buf_byte(buf, ']');
    return add_since(encoder, from);
}

static void add_holding(struct mm_buf *buf, const struct sync_stock *stock,
                        const struct sync_holding *holding)
{
    bool any = false;
    for (size_t i = 0; i < holding->amounts.count; i++) {
        const struct sync_amount *amount = &holding->amounts.items[i];
        if (amount->told && amount->told_amount == amount->amount)
            continue;
        mm_buf_str(buf, any ? "," : ",\"resources\":{");
        any = true;
        mm_buf_json_cstr(buf, stock->items.items[amount->item]);
        mm_buf_byte(buf, ':');
        mm_buf_dec_i64(buf, amount->amount);
    }
    if (any)
        mm_buf_byte(buf, '}');
    for (size_t i = 0; i < holding->events.count; i++) {
        mm_buf_str(buf, i ? "," : ",\"jobs\":[");
        sync_encode_job(buf, &holding->events.items[i]);
    }
    if (holding->events.count > 0)
        mm_buf_byte(buf, ']');
}

// An update of nothing but names, for the owners of what is remembered.
static bool add_names(struct sync_encoder *encoder, struct sync_core *core, struct sync_view *view)
{
    size_t from = encoder->buf.len;
    if (encoder->delta->cached.count == 0 || !put_names(encoder, core, view))
        return true;
    size_t len = encoder->buf.len - from;
    if (!begin_update(encoder) || !sync_encoder_add_slice(encoder, from, len))
        return false;
    from = encoder->buf.len;
    mm_buf_byte(&encoder->buf, '}');
    return add_since(encoder, from);
}

// Messages that go before the update: what left sight and is remembered.
static bool add_cached(struct sync_encoder *encoder, const struct sync_core *core)
{
    for (size_t i = 0; i < encoder->delta->cached.count; i++) {
        const struct sync_cached_news *news = &encoder->delta->cached.items[i];
        size_t from = encoder->buf.len;
        if (!sync_encoder_begin_message(encoder))
            return false;
        if (news->was_in_sight)
            sync_encode_entity_cached(&encoder->buf, &core->mirror, &news->memory);
        else
            sync_encode_entity_snapshot(&encoder->buf, &core->mirror, &news->memory);
        if (!add_since(encoder, from))
            return false;
    }
    return true;
}

bool sync_encode_part(struct sync_encoder *encoder, struct sync_core *core, struct sync_view *view,
                      struct sync_delta *part, size_t deferred, enum sync_encoding encoding,
                      uint64_t told_tick)
{
    const struct sync_holding *holding = sync_core_holding(core, view);
    if (!begin_step(encoder, core, deferred, encoding) || part->full || !holding || holding->lost ||
        !sync_encoder_name_delta(core, view, &view->delta))
        return false;
    encoder->delta = part;
    encoder->named = view->names_told;
    if (part->appeared.count + part->changed.count + part->gone.count + part->hexes.count +
                part->events.count + part->cached.count ==
            0 &&
        !holding->dirty && view->names_told == view->names.count)
        return true;
    if (encoding == SYNC_BINARY)
        return sync_encoder_add_binary(encoder, core, view, holding, told_tick);
    if (!add_names(encoder, core, view) || !add_cached(encoder, core) || !begin_update(encoder) ||
        !add_empires(encoder, core, view) || !add_entities(encoder, core, view) ||
        !add_private(encoder, core, view))
        return false;
    size_t from = encoder->buf.len;
    if (holding->dirty)
        add_holding(&encoder->buf, &core->stock, holding);
    mm_buf_byte(&encoder->buf, '}');
    return add_since(encoder, from) && encoder->buf.err == MM_OK;
}

void sync_encode_told(struct sync_core *core, struct sync_view *view)
{
    struct sync_holding *holding = sync_core_holding(core, view);
    if (holding && holding->dirty)
        sync_holding_told(holding);
    view->names_told = view->names.count;
}

bool sync_encode_delta(struct sync_encoder *encoder, struct sync_core *core, struct sync_view *view,
                       enum sync_encoding encoding, uint64_t told_tick)
{
    return sync_encode_part(encoder, core, view, &view->delta, 0, encoding, told_tick);
}

bool sync_encode_view(struct sync_encoder *encoder, struct sync_core *core, struct sync_view *view,
                      enum sync_encoding encoding, uint64_t told_tick)
{
    if (!sync_encode_delta(encoder, core, view, encoding, told_tick))
        return false;
    sync_encode_told(core, view);
    return true;
}

bool sync_encode_idle(struct sync_encoder *encoder, struct sync_core *core, size_t deferred,
                      enum sync_encoding encoding, uint64_t told_tick)
{
    if (!begin_step(encoder, core, deferred, encoding))
        return false;
    if (encoding == SYNC_BINARY)
        return sync_encoder_add_binary_idle(encoder, core, told_tick);
    if (!begin_update(encoder))
        return false;
    size_t from = encoder->buf.len;
    mm_buf_byte(&encoder->buf, '}');
    return add_since(encoder, from) && encoder->buf.err == MM_OK;
}
