#include "services/sync/core/backlog.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/bitset.h"
#include "libcommon/hex/hex.h"
#include "services/sync/core/backlog_parts.h"

struct sync_backlog *sync_backlog_new(void)
{
    struct sync_backlog *backlog = mm_calloc(1, sizeof *backlog);
    if (!backlog)
        return NULL;
    mm_vec_init(&backlog->entities, SYNC_BACKLOG_ENTITIES_MAX);
    mm_vec_init(&backlog->tiles, SYNC_BACKLOG_TILES_MAX);
    mm_vec_init(&backlog->events, SYNC_BACKLOG_EVENTS_MAX);
    mm_vec_init(&backlog->order, SYNC_BACKLOG_ENTITIES_MAX + SYNC_BACKLOG_TILES_MAX);
    backlog->entity_at = mm_idmap_new(SYNC_BACKLOG_ENTITIES_MAX);
    backlog->tile_at = mm_idmap_new(SYNC_BACKLOG_TILES_MAX);
    if (!backlog->entity_at || !backlog->tile_at) {
        sync_backlog_free(backlog);
        return NULL;
    }
    return backlog;
}

void sync_backlog_free(struct sync_backlog *backlog)
{
    if (!backlog)
        return;
    mm_vec_free(&backlog->entities);
    mm_vec_free(&backlog->tiles);
    mm_vec_free(&backlog->events);
    mm_vec_free(&backlog->order);
    mm_idmap_free(backlog->entity_at);
    mm_idmap_free(backlog->tile_at);
    mm_free(backlog);
}

size_t sync_backlog_left(const struct sync_backlog *backlog)
{
    return backlog->entities.count + backlog->hexes;
}

size_t sync_backlog_bytes(const struct sync_backlog *backlog)
{
    // A map keeps key and value, and is at most half full when it has just grown.
    const size_t map_entry = 4 * sizeof(uint64_t);
    return sizeof *backlog + backlog->entities.capacity * sizeof *backlog->entities.items +
           backlog->tiles.capacity * sizeof *backlog->tiles.items +
           backlog->events.capacity * sizeof *backlog->events.items +
           backlog->order.capacity * sizeof *backlog->order.items +
           (backlog->entities.capacity + backlog->tiles.capacity) * map_entry;
}

// --- entities ------------------------------------------------------------------------------------

struct sync_owed *sync_backlog_find(const struct sync_backlog *backlog, uint64_t id)
{
    uint64_t at = 0;
    return mm_idmap_get(backlog->entity_at, id, &at) ? &backlog->entities.items[at] : NULL;
}

void sync_backlog_drop_entity(struct sync_backlog *backlog, size_t i)
{
    (void)mm_idmap_remove(backlog->entity_at, backlog->entities.items[i].id, NULL);
    mm_vec_remove_swap(&backlog->entities, i);
    if (i < backlog->entities.count)
        *mm_idmap_find(backlog->entity_at, backlog->entities.items[i].id) = i;
}

// What is owed of it; *added: nothing was until now. NULL at the bound or out of memory.
static struct sync_owed *owe(struct sync_backlog *backlog, uint64_t id, uint64_t tick, bool *added)
{
    struct sync_owed *owed = sync_backlog_find(backlog, id);
    *added = !owed;
    if (owed)
        return owed;
    size_t at = backlog->entities.count;
    if (mm_idmap_set(backlog->entity_at, id, at) != MM_OK)
        return NULL;
    if (!mm_vec_push(&backlog->entities, ((struct sync_owed){.id = id, .since = tick}))) {
        (void)mm_idmap_remove(backlog->entity_at, id, NULL);
        return NULL;
    }
    return &backlog->entities.items[at];
}

bool sync_backlog_add_appeared(struct sync_backlog *backlog, uint64_t id, bool known, uint64_t tick)
{
    bool added = false;
    struct sync_owed *owed = owe(backlog, id, tick, &added);
    if (!owed)
        return false;
    if (added)
        owed->known = known;
    owed->whole = true;
    owed->followed = false;
    owed->mask = 0;
    return true;
}

bool sync_backlog_add_changed(struct sync_backlog *backlog, uint64_t id, unsigned mask,
                              uint64_t tick)
{
    bool added = false;
    struct sync_owed *owed = owe(backlog, id, tick, &added);
    if (!owed)
        return false;
    if (added)
        owed->known = true;
    owed->followed = false;
    owed->mask |= (uint8_t)mask;
    return true;
}

bool sync_backlog_add_left(struct sync_backlog *backlog, uint64_t id, uint32_t kind, bool known,
                           uint64_t tick)
{
    bool added = false;
    struct sync_owed *owed = owe(backlog, id, tick, &added);
    if (!owed)
        return false;
    if (added)
        owed->known = known;
    owed->kind = (uint8_t)kind;
    owed->whole = false;
    owed->followed = false;
    owed->mask = 0;
    return true;
}

// --- hexes ---------------------------------------------------------------------------------------

static uint64_t tile_key(int32_t q, int32_t r)
{
    return hex_pack((struct hex_axial){q & ~(SYNC_TILE_SIDE - 1), r & ~(SYNC_TILE_SIDE - 1)});
}

bool sync_backlog_add_hex(struct sync_backlog *backlog, int32_t q, int32_t r, bool terrain,
                          uint64_t tick)
{
    uint64_t key = tile_key(q, r), at = 0;
    if (!mm_idmap_get(backlog->tile_at, key, &at)) {
        at = backlog->tiles.count;
        if (!mm_vec_reserve(&backlog->tiles, at + 1) ||
            mm_idmap_set(backlog->tile_at, key, at) != MM_OK)
            return false;
        struct hex_axial first = hex_unpack(key);
        backlog->tiles.items[backlog->tiles.count++] =
            (struct sync_owed_tile){.q = first.q, .r = first.r, .since = tick};
    }
    struct sync_owed_tile *tile = &backlog->tiles.items[at];
    size_t cell = (size_t)(r - tile->r) * SYNC_TILE_SIDE + (size_t)(q - tile->q);
    bool is_next = tile->begun && !mm_bitset_get(tile->changed, cell);
    if (is_next && mm_bitset_next(tile->next, SYNC_TILE_CELLS, 0) == SYNC_TILE_CELLS)
        tile->next_since = tick;
    backlog->hexes += mm_bitset_add(is_next ? tile->next : tile->changed, cell);
    if (terrain)
        mm_bitset_set(tile->terrain, cell);
    return true;
}

void sync_backlog_drop_tile(struct sync_backlog *backlog, size_t i)
{
    (void)mm_idmap_remove(backlog->tile_at,
                          tile_key(backlog->tiles.items[i].q, backlog->tiles.items[i].r), NULL);
    mm_vec_remove_swap(&backlog->tiles, i);
    if (i < backlog->tiles.count)
        *mm_idmap_find(backlog->tile_at,
                       tile_key(backlog->tiles.items[i].q, backlog->tiles.items[i].r)) = i;
}

// --- a step's delta ------------------------------------------------------------------------------

static uint64_t id_at(const struct sync_core *core, uint32_t slot)
{
    return core->mirror.entities[slot].id;
}

// An event of what departed names it as it was before this step: the client must have known it
// then. Of the others it is seen when the rest is told.
static void merge_events(struct sync_backlog *backlog, const struct sync_core *core,
                         const struct sync_delta *delta)
{
    if (backlog->step != core->step)
        mm_vec_clear(&backlog->events);
    backlog->step = core->step;
    for (size_t i = 0; core->frame && i < delta->events.count; i++) {
        const struct sync_event_news *news = &delta->events.items[i];
        const struct sync_owed *owed =
            sync_backlog_find(backlog, id_at(core, core->frame->events->entity[news->event]));
        if (news->departed && owed && (owed->whole || !owed->known))
            continue;
        // An event that does not fit is not shown: it leaves no state behind.
        (void)mm_vec_push(&backlog->events, *news);
    }
}

static bool merge_left(struct sync_backlog *backlog, const struct sync_core *core,
                       const struct sync_delta *delta)
{
    const struct sync_catalogue *catalogue = &core->mirror.catalogue;
    uint64_t tick = core->mirror.tick;
    for (size_t i = 0; i < delta->cached.count; i++) {
        const struct sync_cached_news *news = &delta->cached.items[i];
        uint32_t type = news->memory.type;
        uint32_t kind = type < catalogue->type_count ? catalogue->types[type].kind : 0;
        if (!sync_backlog_add_left(backlog, news->memory.id, kind, news->known, tick))
            return false;
    }
    for (size_t i = 0; i < delta->gone.count; i++) {
        const struct sync_gone *gone = &delta->gone.items[i];
        if (!sync_backlog_add_left(backlog, gone->id, gone->kind, true, tick))
            return false;
        struct sync_owed *owed = sync_backlog_find(backlog, gone->id);
        if (!owed->known) // it came and went without the client
            sync_backlog_drop_entity(backlog, (size_t)(owed - backlog->entities.items));
    }
    return true;
}

static bool merge_sight(struct sync_backlog *backlog, const struct sync_core *core,
                        const struct sync_delta *delta)
{
    uint64_t tick = core->mirror.tick;
    for (size_t i = 0; i < delta->appeared.count; i++) {
        const struct sync_appearance *appearance = &delta->appeared.items[i];
        if (!sync_backlog_add_appeared(backlog, id_at(core, appearance->slot), appearance->known,
                                       tick))
            return false;
    }
    for (size_t i = 0; i < delta->changed.count; i++) {
        const struct sync_change *change = &delta->changed.items[i];
        bool added = false;
        struct sync_owed *owed = owe(backlog, id_at(core, change->slot), tick, &added);
        if (!owed)
            return false;
        owed->slot = change->slot;
        owed->mask |= change->mask;
        owed->followed = added && change->followed;
        owed->known |= added;
    }
    return true;
}

bool sync_backlog_merge(struct sync_backlog *backlog, const struct sync_core *core,
                        const struct sync_delta *delta)
{
    if (delta->full)
        return false;
    merge_events(backlog, core, delta);
    if (!merge_left(backlog, core, delta) || !merge_sight(backlog, core, delta))
        return false;
    for (size_t i = 0; i < delta->hexes.count; i++) {
        const struct sync_hex_news *hex = &delta->hexes.items[i];
        if (!sync_backlog_add_hex(backlog, hex->q, hex->r, hex->terrain != 0, core->mirror.tick))
            return false;
    }
    return true;
}
