#include "services/sync/core/sight.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "services/sync/core/vision_frame.h"

#include <string.h>

// --- sightings -----------------------------------------------------------------------------------

uint32_t sync_sighting_find(const struct sync_core *core, const struct sync_view *view,
                            uint32_t slot)
{
    if (slot >= core->sighting_head_count)
        return SYNC_NONE;
    uint32_t i = core->sighting_head[slot];
    while (i != SYNC_NONE && core->sightings.items[i].view != view->index)
        i = core->sightings.items[i].next;
    return i;
}

bool sync_core_sees(const struct sync_core *core, const struct sync_view *view, uint32_t slot)
{
    return sync_sighting_find(core, view, slot) != SYNC_NONE;
}

uint32_t sync_core_number(const struct sync_core *core, const struct sync_view *view, uint32_t slot)
{
    uint32_t sighting = sync_sighting_find(core, view, slot);
    return sighting == SYNC_NONE ? SYNC_NONE : core->sightings.items[sighting].number;
}

static bool grow_heads(struct sync_core *core, uint32_t slot)
{
    if (slot < core->sighting_head_count)
        return true;
    uint32_t count = core->mirror.slot_count;
    MM_CHECK(slot < count);
    uint32_t *heads = mm_realloc(core->sighting_head, count * sizeof *heads);
    if (!heads)
        return false;
    for (uint32_t i = core->sighting_head_count; i < count; i++)
        heads[i] = SYNC_NONE;
    core->sighting_head = heads;
    core->sighting_head_count = count;
    return true;
}

bool sync_sighting_add(struct sync_core *core, struct sync_view *view, uint32_t slot,
                       uint32_t number)
{
    if (!grow_heads(core, slot) || !mm_vec_reserve(&view->sight, view->sight.count + 1))
        return false;
    uint32_t i = core->sighting_free;
    if (i == SYNC_NONE && !mm_vec_reserve(&core->sightings, core->sightings.count + 1))
        return false;
    if (number == SYNC_NONE && !sync_view_take_number(view, &number))
        return false;
    if (i != SYNC_NONE)
        core->sighting_free = core->sightings.items[i].next;
    else
        i = (uint32_t)core->sightings.count++;
    uint32_t head = core->sighting_head[slot];
    core->sightings.items[i] = (struct sync_sighting){
        .view = view->index,
        .slot = slot,
        .next = head,
        .previous = SYNC_NONE,
        .at = (uint32_t)view->sight.count,
        .since = core->step,
        .number = (uint16_t)number,
    };
    if (head != SYNC_NONE)
        core->sightings.items[head].previous = i;
    core->sighting_head[slot] = i;
    view->sight.items[view->sight.count++] = i;
    return true;
}

void sync_sighting_remove(struct sync_core *core, uint32_t sighting)
{
    struct sync_sighting *all = core->sightings.items;
    struct sync_sighting *s = &all[sighting];
    struct sync_view *view = core->views.items[s->view];
    if (s->previous == SYNC_NONE)
        core->sighting_head[s->slot] = s->next;
    else
        all[s->previous].next = s->next;
    if (s->next != SYNC_NONE)
        all[s->next].previous = s->previous;
    sync_view_give_number(view, s->number);
    uint32_t at = s->at;
    mm_vec_remove_swap(&view->sight, at);
    if (at < view->sight.count)
        all[view->sight.items[at]].at = at;
    s->next = core->sighting_free;
    core->sighting_free = sighting;
}

// --- a live view ---------------------------------------------------------------------------------

static uint32_t kind_of(const struct sync_core *core, uint32_t type)
{
    const struct sync_catalogue *catalogue = &core->mirror.catalogue;
    return type < catalogue->type_count ? catalogue->types[type].kind : 0;
}

static void push_gone(struct sync_view *view, uint64_t id, uint32_t kind, uint32_t number)
{
    if (!mm_vec_push(&view->delta.gone, ((struct sync_gone){id, kind, number})))
        view->delta.full = true;
}

static void apply_memories(struct sync_core *core, struct sync_view *view,
                           const struct sync_tick_entry *entry, size_t at)
{
    const Mmorts__Frame__VisionFrame *f = entry->vision;
    struct sync_range range = sync_vision_range(entry->starts, at, SYNC_GROUP_FORGOTTEN);
    for (size_t i = range.from; i < range.to; i++) {
        struct sync_memory was;
        if (sync_memories_remove(&view->memories, f->forgotten[i], &was))
            push_gone(view, was.id, kind_of(core, was.type), SYNC_NONE);
    }
    range = sync_vision_range(entry->starts, at, SYNC_GROUP_REMEMBERED);
    for (size_t i = range.from; i < range.to; i++) {
        struct sync_cached_news news = {.memory = sync_memory_at(f->remembered, i)};
        uint32_t slot = sync_mirror_slot(&core->mirror, news.memory.id);
        uint32_t sighting = slot != 0 ? sync_sighting_find(core, view, slot) : SYNC_NONE;
        news.was_in_sight = sighting != SYNC_NONE;
        if (news.was_in_sight)
            news.number = core->sightings.items[sighting].number;
        news.known =
            news.was_in_sight || sync_memories_find(&view->memories, news.memory.id) != NULL;
        if (!sync_memories_set(&view->memories, &news.memory) ||
            !mm_vec_push(&view->delta.cached, news))
            view->delta.full = true;
    }
}

static void apply_left(struct sync_core *core, struct sync_view *view,
                       const struct sync_tick_entry *entry, size_t at)
{
    struct sync_range range = sync_vision_range(entry->starts, at, SYNC_GROUP_LEFT);
    for (size_t i = range.from; i < range.to; i++) {
        uint64_t id = entry->vision->left[i];
        uint32_t slot = sync_mirror_slot(&core->mirror, id);
        uint32_t sighting = slot ? sync_sighting_find(core, view, slot) : SYNC_NONE;
        if (sighting == SYNC_NONE) {
            core->counts.odd_entities++;
            continue;
        }
        uint32_t number = core->sightings.items[sighting].number;
        sync_sighting_remove(core, sighting);
        if (!sync_memories_find(&view->memories, id))
            push_gone(view, id, kind_of(core, core->mirror.entities[slot].type), number);
    }
}

// An entity that leaves and comes back in one tick is not gone. True: it was among those.
static bool take_back_gone(struct sync_view *view, uint64_t id)
{
    for (size_t i = 0; i < view->delta.gone.count; i++) {
        if (view->delta.gone.items[i].id == id) {
            mm_vec_remove_swap(&view->delta.gone, i);
            return true;
        }
    }
    return false;
}

static void apply_entered(struct sync_core *core, struct sync_view *view,
                          const struct sync_tick_entry *entry, size_t at)
{
    struct sync_range range = sync_vision_range(entry->starts, at, SYNC_GROUP_ENTERED);
    for (size_t i = range.from; i < range.to; i++) {
        uint32_t slot = entry->vision->entered[i];
        if (slot == 0 || slot >= core->mirror.slot_count || !core->mirror.entities[slot].alive ||
            sync_core_sees(core, view, slot)) {
            core->counts.odd_entities++;
            continue;
        }
        uint64_t id = core->mirror.entities[slot].id;
        bool known = sync_memories_remove(&view->memories, id, NULL);
        known |= take_back_gone(view, id);
        if (!sync_sighting_add(core, view, slot, SYNC_NONE) ||
            !mm_vec_push(&view->delta.appeared,
                         ((struct sync_appearance){
                             slot, (uint16_t)sync_core_number(core, view, slot), known})))
            view->delta.full = true;
    }
}

// True: it is news. *first_seen: its terrain is too.
static bool set_hex(struct sync_core *core, struct sync_view *view,
                    const struct sync_tick_entry *entry, size_t i, uint8_t *first_seen)
{
    const Mmorts__Frame__VisionFrame *f = entry->vision;
    uint8_t terrain = f->hex_terrain[i] <= SYNC_TERRAINS_MAX ? (uint8_t)f->hex_terrain[i] : 0;
    enum sync_hex_change change = sync_hexes_set(&view->hexes, f->hex_q[i], f->hex_r[i],
                                                 (unsigned)f->hex_state[i], terrain, entry->tick);
    if (change == SYNC_HEX_FAILED)
        core->counts.odd_entities++;
    if (change == SYNC_HEX_FIRST_SEEN)
        *first_seen = terrain;
    return change == SYNC_HEX_CHANGED || change == SYNC_HEX_FIRST_SEEN;
}

static void apply_hexes(struct sync_core *core, struct sync_view *view,
                        const struct sync_tick_entry *entry, size_t at)
{
    const Mmorts__Frame__VisionFrame *f = entry->vision;
    struct sync_range range = sync_vision_range(entry->starts, at, SYNC_GROUP_HEXES);
    if (range.from == range.to)
        return;
    bool room = mm_vec_reserve(&view->delta.hexes, view->delta.hexes.count + range.to - range.from);
    if (!room)
        view->delta.full = true;
    struct sync_hex_news *news = view->delta.hexes.items + view->delta.hexes.count;
    struct sync_tile *tile = NULL; // of the hex before
    for (size_t i = range.from; i < range.to; i++) {
        int32_t q = f->hex_q[i], r = f->hex_r[i];
        unsigned state = (unsigned)f->hex_state[i];
        bool visible = state == MMORTS__FRAME__VISIBILITY__VISIBILITY_VISIBLE;
        bool turns = f->hex_terrain[i] == 0 &&
                     (visible || state == MMORTS__FRAME__VISIBILITY__VISIBILITY_FOG);
        bool changed = false;
        uint8_t first_seen = 0;
        if (!turns || !sync_hexes_turn(&view->hexes, tile, q, r, visible, &changed)) {
            tile = sync_hexes_near(&view->hexes, q, r);
            if (!turns || !sync_hexes_turn(&view->hexes, tile, q, r, visible, &changed))
                changed = set_hex(core, view, entry, i, &first_seen);
        }
        if (changed && room)
            *news++ = (struct sync_hex_news){q, r, (uint8_t)state, first_seen};
    }
    if (room)
        view->delta.hexes.count = (size_t)(news - view->delta.hexes.items);
}

void sync_sight_apply_live(struct sync_core *core, struct sync_view *view,
                           const struct sync_tick_entry *entry, size_t at)
{
    sync_core_touch(core, view);
    // Memories come before departures, so that a departure knows whether it is remembered. The two
    // do not otherwise meet: what is in sight is not a memory.
    apply_memories(core, view, entry, at);
    apply_left(core, view, entry, at);
    apply_entered(core, view, entry, at);
    apply_hexes(core, view, entry, at);
}

// --- a fresh view --------------------------------------------------------------------------------

uint64_t sync_history_id(const struct sync_core *core, uint32_t slot, uint64_t tick)
{
    for (uint64_t t = tick + 1; t <= core->mirror.tick; t++) {
        const struct sync_tick_entry *entry = &core->ring[t % SYNC_HISTORY_TICKS];
        if (entry->tick != t || !entry->mirrored)
            return 0;
        for (size_t i = 0; i < entry->departed.count; i++) {
            if (entry->departed.items[i].slot == slot)
                return entry->departed.items[i].id;
        }
    }
    if (slot == 0 || slot >= core->mirror.slot_count || !core->mirror.entities[slot].alive)
        return 0;
    return core->mirror.entities[slot].id;
}

void sync_sight_apply_fresh(struct sync_core *core, struct sync_view *view,
                            const struct sync_tick_entry *entry)
{
    view->tick = entry->tick;
    const Mmorts__Frame__VisionFrame *f = entry->vision;
    size_t at = 0;
    if (!sync_vision_find(f, view->empire, &at))
        return;
    bool ok = true;
    struct sync_range range = sync_vision_range(entry->starts, at, SYNC_GROUP_FORGOTTEN);
    for (size_t i = range.from; i < range.to; i++)
        (void)sync_memories_remove(&view->fresh_memories, f->forgotten[i], NULL);
    range = sync_vision_range(entry->starts, at, SYNC_GROUP_LEFT);
    for (size_t i = range.from; i < range.to; i++)
        (void)mm_idmap_remove(view->fresh_sight, f->left[i], NULL);
    range = sync_vision_range(entry->starts, at, SYNC_GROUP_REMEMBERED);
    for (size_t i = range.from; i < range.to; i++) {
        struct sync_memory memory = sync_memory_at(f->remembered, i);
        ok &= sync_memories_set(&view->fresh_memories, &memory);
    }
    range = sync_vision_range(entry->starts, at, SYNC_GROUP_ENTERED);
    for (size_t i = range.from; i < range.to; i++) {
        uint64_t id = sync_history_id(core, f->entered[i], entry->tick);
        ok &= id != 0 && mm_idmap_set(view->fresh_sight, id, 0) == MM_OK;
        (void)sync_memories_remove(&view->fresh_memories, id, NULL);
    }
    range = sync_vision_range(entry->starts, at, SYNC_GROUP_HEXES);
    for (size_t i = range.from; i < range.to; i++) {
        uint32_t terrain = f->hex_terrain[i] <= SYNC_TERRAINS_MAX ? f->hex_terrain[i] : 0;
        if (sync_hexes_set(&view->fresh_hexes, f->hex_q[i], f->hex_r[i], (unsigned)f->hex_state[i],
                           (uint8_t)terrain, entry->tick) == SYNC_HEX_FAILED)
            core->counts.odd_entities++;
    }
    if (!ok)
        core->counts.odd_entities++;
}
