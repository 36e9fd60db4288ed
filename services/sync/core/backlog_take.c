#include "libcommon/base/bitset.h"
#include "libcommon/hex/hex.h"
#include "services/sync/core/backlog_parts.h"

#include <string.h>

// What comes first is found with a heap of scores; it is told until the bytes are used up. Bytes
// are reckoned, not counted: the budget (budget.h) counts what was sent, so that an error here is
// made up for by the next update.

#define ANCHOR_TICKS 20 // the empire's places are looked for that often
#define ANCHOR_CELL  8  // of those nearer to each other than that one is enough

// --- bytes ---------------------------------------------------------------------------------------

static int64_t head_bytes(enum sync_encoding encoding)
{
    return encoding == SYNC_JSON ? SYNC_HEAD_BYTES_MOST : SYNC_HEAD_BYTES_BINARY;
}

static int64_t event_bytes(enum sync_encoding encoding)
{
    return encoding == SYNC_JSON ? 100 : 6;
}

static int64_t appeared_bytes(enum sync_encoding encoding)
{
    return encoding == SYNC_JSON ? 200 : 24;
}

static int64_t memory_bytes(enum sync_encoding encoding)
{
    return encoding == SYNC_JSON ? SYNC_PART_BYTES_MOST : 30;
}

static int64_t gone_bytes(enum sync_encoding encoding)
{
    return encoding == SYNC_JSON ? 26 : 9;
}

static int64_t hex_bytes(enum sync_encoding encoding, bool terrain)
{
    if (encoding == SYNC_JSON)
        return terrain ? 50 : 30;
    return terrain ? 3 : 2; // lines of them are less
}

static int64_t changed_bytes(enum sync_encoding encoding, unsigned mask, bool followed)
{
    // By the bits of enum sync_dirty.
    static const uint8_t json[8] = {16, 14, 40, 24, 18, 16, 18, 22};
    static const uint8_t binary[8] = {6, 2, 1, 1, 2, 3, 2, 1};
    if (encoding == SYNC_BINARY && followed && mask == SYNC_DIRTY_PLACE)
        return 1;
    int64_t bytes = encoding == SYNC_JSON ? 34 : 2;
    for (unsigned bit = 0; bit < 8; bit++) {
        if (mask & 1u << bit)
            bytes += encoding == SYNC_JSON ? json[bit] : binary[bit];
    }
    return bytes;
}

int64_t sync_delta_bytes(const struct sync_delta *delta, enum sync_encoding encoding)
{
    int64_t bytes = head_bytes(encoding);
    bytes += (int64_t)delta->appeared.count * appeared_bytes(encoding);
    bytes += (int64_t)delta->gone.count * gone_bytes(encoding);
    bytes += (int64_t)delta->cached.count * memory_bytes(encoding);
    bytes += (int64_t)delta->events.count * event_bytes(encoding);
    for (size_t i = 0; i < delta->changed.count; i++)
        bytes +=
            changed_bytes(encoding, delta->changed.items[i].mask, delta->changed.items[i].followed);
    for (size_t i = 0; i < delta->hexes.count; i++)
        bytes += hex_bytes(encoding, delta->hexes.items[i].terrain != 0);
    return bytes;
}

// --- what comes first ----------------------------------------------------------------------------

static bool is_near_another(const struct sync_backlog *backlog, int32_t q, int32_t r)
{
    for (uint32_t i = 0; i < backlog->anchor_count; i++) {
        const struct sync_place *place = &backlog->anchors[i];
        if (hex_distance((struct hex_axial){q, r}, (struct hex_axial){place->q, place->r}) <
            ANCHOR_CELL)
            return true;
    }
    return false;
}

static void add_anchor(struct sync_backlog *backlog, int32_t q, int32_t r)
{
    if (backlog->anchor_count < SYNC_ANCHORS_MAX && !is_near_another(backlog, q, r))
        backlog->anchors[backlog->anchor_count++] = (struct sync_place){q, r};
}

static void find_anchors(struct sync_backlog *backlog, const struct sync_core *core,
                         const struct sync_view *view)
{
    uint64_t tick = core->mirror.tick;
    if (backlog->anchored_tick != 0 && tick < backlog->anchored_tick + ANCHOR_TICKS)
        return;
    backlog->anchored_tick = tick;
    backlog->anchor_count = 0;
    const struct sync_empire *empire = sync_mirror_empire(&core->mirror, view->empire);
    if (empire)
        add_anchor(backlog, empire->home_q, empire->home_r);
    for (size_t i = 0; i < view->sight.count && backlog->anchor_count < SYNC_ANCHORS_MAX; i++) {
        const struct sync_entity *entity =
            &core->mirror.entities[core->sightings.items[view->sight.items[i]].slot];
        if (entity->owner == view->empire)
            add_anchor(backlog, entity->q, entity->r);
    }
}

enum level { CRITICAL, HIGH, NORMAL, LOW };

static enum level level_at(const uint32_t bands[3], int32_t distance)
{
    if ((uint32_t)distance <= bands[0])
        return CRITICAL;
    if ((uint32_t)distance <= bands[1])
        return HIGH;
    return (uint32_t)distance <= bands[2] ? NORMAL : LOW;
}

static enum level level_of(const struct sync_backlog *backlog, const struct sync_take *take,
                           int32_t q, int32_t r, bool may_be_critical)
{
    const uint32_t *bands = take->priorities->bands;
    int32_t nearest = INT32_MAX;
    for (uint32_t i = 0; i < backlog->anchor_count; i++) {
        const struct sync_place *place = &backlog->anchors[i];
        int32_t distance =
            hex_distance((struct hex_axial){q, r}, (struct hex_axial){place->q, place->r});
        nearest = distance < nearest ? distance : nearest;
    }
    enum level level = level_at(bands, nearest);
    if (take->focus) {
        struct hex_axial focus = {take->focus->q, take->focus->r};
        enum level seen = level_at(bands, hex_distance((struct hex_axial){q, r}, focus));
        level = level < LOW ? level + 1 : LOW;
        level = seen < level ? seen : level;
    }
    return level == CRITICAL && !may_be_critical ? HIGH : level;
}

// Weights are products of the two: SYNC_WEIGHTS is the greatest over the smallest of them.
static const unsigned level_weights[] = {[CRITICAL] = 8, [HIGH] = 4, [NORMAL] = 2, [LOW] = 1};
enum { WEIGHT_FIGHTER = 4, WEIGHT_OTHER = 3, WEIGHT_THING = 2 };
_Static_assert(8 * WEIGHT_FIGHTER == SYNC_WEIGHTS * 1 * WEIGHT_THING, "the bound holds");

static unsigned type_weight(const struct sync_core *core, uint32_t type)
{
    const struct sync_catalogue *catalogue = &core->mirror.catalogue;
    if (type >= catalogue->type_count)
        return WEIGHT_THING;
    switch (catalogue->types[type].kind) {
    case MMORTS__FRAME__KIND__KIND_UNIT:
    case MMORTS__FRAME__KIND__KIND_NPC:
        return catalogue->types[type].builds ? WEIGHT_OTHER : WEIGHT_FIGHTER;
    case MMORTS__FRAME__KIND__KIND_BUILDING:
        return WEIGHT_OTHER;
    default:
        return WEIGHT_THING;
    }
}

// The entity if the view has it in sight; *number is what it is called there.
static const struct sync_entity *in_sight(const struct sync_core *core,
                                          const struct sync_view *view, struct sync_owed *owed,
                                          uint32_t *number)
{
    const struct sync_mirror *mirror = &core->mirror;
    // Worlds that start again may give it another slot.
    if (owed->slot == 0 || owed->slot >= mirror->slot_count ||
        mirror->entities[owed->slot].id != owed->id)
        owed->slot = sync_mirror_slot(mirror, owed->id);
    *number = owed->slot ? sync_core_number(core, view, owed->slot) : SYNC_NONE;
    return *number == SYNC_NONE ? NULL : &mirror->entities[owed->slot];
}

static unsigned weight_of(const struct sync_backlog *backlog, const struct sync_core *core,
                          const struct sync_view *view, const struct sync_take *take,
                          struct sync_owed *owed)
{
    uint32_t number = 0;
    const struct sync_entity *entity = in_sight(core, view, owed, &number);
    if (entity) {
        enum level level = CRITICAL;
        if (entity->owner != view->empire)
            level = level_of(backlog, take, entity->q, entity->r, entity->owner != 0);
        return level_weights[level] * type_weight(core, entity->type);
    }
    const struct sync_memory *memory = sync_memories_find(&view->memories, owed->id);
    if (!memory)
        return level_weights[CRITICAL] * WEIGHT_FIGHTER;
    return level_weights[level_of(backlog, take, memory->q, memory->r, memory->owner != 0)] *
           type_weight(core, memory->type);
}

static void sift_down(uint64_t *heap, size_t count, size_t i)
{
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= count)
            return;
        if (child + 1 < count && heap[child + 1] > heap[child])
            child++;
        if (heap[i] >= heap[child])
            return;
        uint64_t kept = heap[i];
        heap[i] = heap[child];
        heap[child] = kept;
        i = child;
    }
}

static size_t pop(struct sync_backlog *backlog)
{
    uint64_t first = backlog->order.items[0];
    backlog->order.items[0] = mm_vec_pop(&backlog->order);
    sift_down(backlog->order.items, backlog->order.count, 0);
    return UINT32_MAX - (uint32_t)first;
}

// Positions of entities, then of tiles. Of equal scores the first comes first.
static uint64_t order_key(uint64_t weight, uint64_t waited, size_t position)
{
    uint64_t score = weight * (waited + 1);
    return (score < UINT32_MAX ? score : UINT32_MAX) << 32 | (UINT32_MAX - (uint32_t)position);
}

static bool make_order(struct sync_backlog *backlog, const struct sync_core *core,
                       const struct sync_view *view, const struct sync_take *take)
{
    uint64_t tick = core->mirror.tick;
    size_t entities = backlog->entities.count, count = entities + backlog->tiles.count;
    mm_vec_clear(&backlog->order);
    if (!mm_vec_reserve(&backlog->order, count))
        return false;
    uint64_t *order = backlog->order.items;
    for (size_t i = 0; i < entities; i++) {
        struct sync_owed *owed = &backlog->entities.items[i];
        order[i] = order_key(weight_of(backlog, core, view, take, owed), tick - owed->since, i);
    }
    for (size_t i = entities; i < count; i++) {
        const struct sync_owed_tile *tile = &backlog->tiles.items[i - entities];
        enum level level = level_of(backlog, take, tile->q + SYNC_TILE_SIDE / 2,
                                    tile->r + SYNC_TILE_SIDE / 2, true);
        order[i] = order_key(level_weights[level] * (unsigned)WEIGHT_OTHER, tick - tile->since, i);
    }
    backlog->order.count = count;
    for (size_t i = count / 2; i-- > 0;)
        sift_down(order, count, i);
    return true;
}

// --- taking --------------------------------------------------------------------------------------

static void keep(bool pushed, struct sync_delta *out)
{
    if (!pushed)
        out->full = true;
}

// Tells what is true of it; returns about how many bytes that is.
static int64_t tell_entity(struct sync_owed *owed, const struct sync_core *core,
                           const struct sync_view *view, enum sync_encoding encoding,
                           struct sync_delta *out)
{
    owed->told = true;
    uint32_t number = 0;
    const struct sync_entity *entity = in_sight(core, view, owed, &number);
    if (entity && owed->whole) {
        struct sync_appearance appearance = {owed->slot, (uint16_t)number, owed->known};
        keep(mm_vec_push(&out->appeared, appearance), out);
        return appeared_bytes(encoding);
    }
    if (entity) {
        unsigned mask = owed->mask;
        if (entity->owner != view->empire)
            mask &= SYNC_DIRTY_PUBLIC; // it may have been one's own when that changed
        bool followed = owed->followed && owed->since == core->mirror.tick;
        if (mask != 0)
            keep(mm_vec_push(&out->changed, ((struct sync_change){owed->slot, (uint16_t)number,
                                                                  (uint8_t)mask, followed})),
                 out);
        return mask != 0 ? changed_bytes(encoding, mask, followed) : 0;
    }
    const struct sync_memory *memory = sync_memories_find(&view->memories, owed->id);
    if (memory) {
        // By its values, not by the number it had: that may be another's by now.
        struct sync_cached_news news = {*memory, false, owed->known, SYNC_NONE};
        keep(mm_vec_push(&out->cached, news), out);
        return memory_bytes(encoding);
    }
    if (!owed->known)
        return 0;
    keep(mm_vec_push(&out->gone, ((struct sync_gone){owed->id, owed->kind, SYNC_NONE})), out);
    return gone_bytes(encoding);
}

static int64_t tell_tile(struct sync_backlog *backlog, struct sync_owed_tile *tile,
                         const struct sync_view *view, enum sync_encoding encoding, int64_t bytes,
                         struct sync_delta *out)
{
    int64_t used = 0;
    size_t cell = mm_bitset_next(tile->changed, SYNC_TILE_CELLS, 0);
    for (; cell < SYNC_TILE_CELLS && used < bytes;
         cell = mm_bitset_next(tile->changed, SYNC_TILE_CELLS, cell)) {
        int32_t q = tile->q + (int32_t)(cell % SYNC_TILE_SIDE);
        int32_t r = tile->r + (int32_t)(cell / SYNC_TILE_SIDE);
        uint8_t terrain = 0;
        unsigned state = sync_hexes_get(&view->hexes, q, r, &terrain);
        if (!mm_bitset_get(tile->terrain, cell))
            terrain = 0;
        keep(mm_vec_push(&out->hexes, ((struct sync_hex_news){q, r, (uint8_t)state, terrain})),
             out);
        mm_bitset_clear(tile->changed, cell);
        mm_bitset_clear(tile->terrain, cell);
        backlog->hexes--;
        used += hex_bytes(encoding, terrain != 0);
    }
    tile->begun = cell < SYNC_TILE_CELLS;
    if (!tile->begun) {
        memcpy(tile->changed, tile->next, sizeof tile->changed);
        memset(tile->next, 0, sizeof tile->next);
        tile->since = tile->next_since;
    }
    return used;
}

static void drop_told(struct sync_backlog *backlog)
{
    for (size_t i = backlog->entities.count; i-- > 0;) {
        if (backlog->entities.items[i].told)
            sync_backlog_drop_entity(backlog, i);
    }
    for (size_t i = backlog->tiles.count; i-- > 0;) {
        const struct sync_owed_tile *tile = &backlog->tiles.items[i];
        if (mm_bitset_next(tile->changed, SYNC_TILE_CELLS, 0) == SYNC_TILE_CELLS)
            sync_backlog_drop_tile(backlog, i);
    }
}

// Whether the client knows the entity in that slot by the number that the view gave it.
static bool is_known(const struct sync_backlog *backlog, const struct sync_core *core,
                     uint32_t slot)
{
    const struct sync_owed *owed = sync_backlog_find(backlog, core->mirror.entities[slot].id);
    return !owed || (owed->known && !owed->whole);
}

static bool is_own_event(const struct sync_core *core, const struct sync_view *view,
                         const struct sync_event_news *news)
{
    uint32_t slot = core->frame->events->entity[news->event];
    return core->mirror.entities[slot].owner == view->empire;
}

static int64_t own_event_bytes(const struct sync_backlog *backlog, const struct sync_core *core,
                               const struct sync_view *view, enum sync_encoding encoding)
{
    int64_t bytes = 0;
    for (size_t i = 0; i < backlog->events.count; i++) {
        if (is_own_event(core, view, &backlog->events.items[i]))
            bytes += event_bytes(encoding);
    }
    return bytes;
}

// Events of this step, the empire's own or the others, while there are bytes; they cannot wait.
static void tell_events(const struct sync_backlog *backlog, const struct sync_core *core,
                        const struct sync_view *view, bool own, enum sync_encoding encoding,
                        int64_t bytes, struct sync_delta *out)
{
    int64_t used = 0;
    for (size_t i = 0; i < backlog->events.count && used < bytes; i++) {
        struct sync_event_news news = backlog->events.items[i];
        const Mmorts__Frame__EventColumns *events = core->frame->events;
        uint32_t slot = events->entity[news.event], other = events->other[news.event];
        if (is_own_event(core, view, &news) != own ||
            (!news.departed && !is_known(backlog, core, slot)))
            continue;
        news.alone = other < core->mirror.slot_count && !is_known(backlog, core, other);
        keep(mm_vec_push(&out->events, news), out);
        used += event_bytes(encoding);
    }
}

void sync_backlog_take(struct sync_backlog *backlog, const struct sync_core *core,
                       const struct sync_view *view, const struct sync_take *take,
                       struct sync_delta *out)
{
    sync_delta_clear(out);
    if (backlog->step != core->step)
        mm_vec_clear(&backlog->events);
    int64_t bytes = take->bytes - head_bytes(take->encoding);
    if (take->bytes < SYNC_TAKE_HEADS * head_bytes(take->encoding))
        return;
    find_anchors(backlog, core, view);
    if (!make_order(backlog, core, view, take)) {
        out->full = true;
        return;
    }
    int64_t reserved = own_event_bytes(backlog, core, view, take->encoding);
    if (reserved > bytes / 2)
        reserved = bytes / 2; // the rest must get on, too
    bytes -= reserved;
    size_t entities = backlog->entities.count;
    while (bytes > 0 && backlog->order.count > 0) {
        size_t at = pop(backlog);
        if (at < entities)
            bytes -= tell_entity(&backlog->entities.items[at], core, view, take->encoding, out);
        else
            bytes -= tell_tile(backlog, &backlog->tiles.items[at - entities], view, take->encoding,
                               bytes, out);
    }
    drop_told(backlog);
    tell_events(backlog, core, view, true, take->encoding, reserved, out);
    tell_events(backlog, core, view, false, take->encoding, bytes, out);
    mm_vec_clear(&backlog->events);
}
