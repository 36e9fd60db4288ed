#include "services/sync/core/history.h"
#include "services/sync/core/sight.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/bitset.h"
#include "libcommon/base/check.h"

#include <string.h>

// How a view stops being live and becomes live again: what clients know is set against what is true
// now, and the delta is the difference.

void sync_view_freeze(struct sync_core *core, struct sync_view *view)
{
    if (view->state == SYNC_VIEW_FRESH) {
        sync_view_drop_fresh(view);
        core->fresh_count--;
        return;
    }
    if (view->state != SYNC_VIEW_LIVE)
        return;
    // What is in sight would be taken for what clients know.
    MM_CHECK(!mm_bitset_get(core->held.items, view->index));
    mm_vec_clear(&view->told);
    view->has_told = mm_vec_reserve(&view->told, view->sight.count);
    while (view->sight.count > 0) {
        uint32_t sighting = view->sight.items[view->sight.count - 1];
        uint32_t number = core->sightings.items[sighting].number;
        const struct sync_entity *entity =
            &core->mirror.entities[core->sightings.items[sighting].slot];
        if (view->has_told)
            view->told.items[view->told.count++] = (struct sync_told){
                .entity = *entity,
                .kind = core->mirror.catalogue.types[entity->type].kind,
                .type_hash = core->mirror.catalogue.hash,
                .number = number,
            };
        sync_sighting_remove(core, sighting);
        if (view->has_told)
            sync_view_keep_number(view, number); // clients go on calling it that
    }
    view->state = SYNC_VIEW_WAITING;
    core->live_count--;
    core->counts.views_frozen++;
}

static bool push_gone(struct sync_view *view, uint64_t id, uint32_t kind, uint32_t number)
{
    return mm_vec_push(&view->delta.gone, ((struct sync_gone){id, kind, number}));
}

static bool diff_entity(struct sync_core *core, struct sync_view *view, uint32_t slot,
                        const struct sync_told *told)
{
    const struct sync_entity *now = &core->mirror.entities[slot];
    uint16_t number = (uint16_t)sync_core_number(core, view, slot);
    if (!told || told->type_hash != core->mirror.catalogue.hash || told->entity.type != now->type)
        return mm_vec_push(
            &view->delta.appeared,
            ((struct sync_appearance){slot, number,
                                      sync_memories_find(&view->memories, now->id) != NULL}));
    unsigned mask = sync_entity_diff(&told->entity, now);
    if (now->owner != view->empire)
        mask &= SYNC_DIRTY_PUBLIC;
    else if (mask & SYNC_DIRTY_OWNER)
        mask |= SYNC_DIRTY_OWNER_ONLY;
    if (mask == 0)
        return true;
    return mm_vec_push(&view->delta.changed,
                       ((struct sync_change){slot, number, (uint8_t)mask, false}));
}

static bool remembers(const struct sync_memory *memory, const struct sync_told *told)
{
    return memory->q == told->entity.q && memory->r == told->entity.r &&
           memory->owner == told->entity.owner && memory->health == told->entity.health;
}

// Links what is in sight now and compares it with what was told.
static bool diff_sight(struct sync_core *core, struct sync_view *view)
{
    struct mm_idmap *told = mm_idmap_new(view->told.count + 1);
    if (!told)
        return false;
    bool ok = true;
    for (size_t i = 0; ok && i < view->told.count; i++)
        ok = mm_idmap_set(told, view->told.items[i].entity.id, i) == MM_OK;
    size_t cursor = 0;
    uint64_t id = 0;
    while (ok && mm_idmap_next(view->fresh_sight, &cursor, &id, NULL)) {
        uint32_t slot = sync_mirror_slot(&core->mirror, id);
        uint64_t at = 0;
        bool was = mm_idmap_get(told, id, &at);
        const struct sync_told *before = was ? &view->told.items[at] : NULL;
        ok = sync_sighting_add(core, view, slot, before ? before->number : SYNC_NONE) &&
             diff_entity(core, view, slot, before);
    }
    for (size_t i = 0; ok && i < view->told.count; i++) {
        const struct sync_told *entity = &view->told.items[i];
        if (mm_idmap_has(view->fresh_sight, entity->entity.id))
            continue;
        const struct sync_memory *memory =
            sync_memories_find(&view->fresh_memories, entity->entity.id);
        // It may have changed between what was told and when it was last seen.
        bool same = memory && remembers(memory, entity);
        if (memory)
            ok = mm_vec_push(&view->delta.cached,
                             ((struct sync_cached_news){*memory, same, true, entity->number}));
        else
            ok = push_gone(view, entity->entity.id, entity->kind, entity->number);
        sync_view_give_number(view, entity->number);
    }
    // The memories below must know what was in sight.
    for (size_t i = 0; ok && i < view->fresh_memories.items.count; i++) {
        const struct sync_memory *now = &view->fresh_memories.items.items[i];
        const struct sync_memory *before = sync_memories_find(&view->memories, now->id);
        if ((before && sync_memory_equal(before, now)) || mm_idmap_has(told, now->id))
            continue;
        ok = mm_vec_push(&view->delta.cached,
                         ((struct sync_cached_news){*now, false, before != NULL, 0}));
    }
    mm_idmap_free(told);
    return ok;
}

static bool diff_memories(struct sync_core *core, struct sync_view *view)
{
    const struct sync_catalogue *catalogue = &core->mirror.catalogue;
    for (size_t i = 0; i < view->memories.items.count; i++) {
        const struct sync_memory *before = &view->memories.items.items[i];
        if (sync_memories_find(&view->fresh_memories, before->id) ||
            mm_idmap_has(view->fresh_sight, before->id))
            continue;
        uint32_t kind =
            before->type < catalogue->type_count ? catalogue->types[before->type].kind : 0;
        if (!push_gone(view, before->id, kind, SYNC_NONE))
            return false;
    }
    return true;
}

static bool diff_hexes(struct sync_view *view)
{
    const struct sync_hexes *now = &view->fresh_hexes, *before = &view->hexes;
    for (size_t t = 0; t < now->tiles.count; t++) {
        const struct sync_tile *tile = now->tiles.items[t];
        for (unsigned cell = 0; cell < SYNC_TILE_CELLS; cell++) {
            int32_t q = tile->q + (int32_t)(cell % SYNC_TILE_SIDE);
            int32_t r = tile->r + (int32_t)(cell / SYNC_TILE_SIDE);
            unsigned state = sync_tile_state(tile, cell);
            uint8_t terrain = 0;
            if (sync_hexes_get(before, q, r, &terrain) == state && terrain == tile->terrain[cell])
                continue;
            uint8_t news = terrain == tile->terrain[cell] ? 0 : tile->terrain[cell];
            if (!mm_vec_push(&view->delta.hexes,
                             ((struct sync_hex_news){q, r, (uint8_t)state, news})))
                return false;
        }
    }
    for (size_t t = 0; t < before->tiles.count; t++) {
        const struct sync_tile *tile = before->tiles.items[t];
        for (unsigned cell = 0; cell < SYNC_TILE_CELLS; cell++) {
            int32_t q = tile->q + (int32_t)(cell % SYNC_TILE_SIDE);
            int32_t r = tile->r + (int32_t)(cell / SYNC_TILE_SIDE);
            // Only what the first loop did not meet: tiles that are not there any more.
            if (tile->terrain[cell] == 0 || sync_hexes_tile(now, q, r))
                continue;
            if (!mm_vec_push(&view->delta.hexes, ((struct sync_hex_news){q, r, 0, 0})))
                return false;
        }
    }
    return true;
}

// Every entity in sight must be one that the mirror knows to be alive.
static bool resolve(struct sync_core *core, struct sync_view *view)
{
    for (size_t i = 0; !view->fresh_by_id && i < view->fresh_slots.count; i++) {
        uint64_t id = sync_history_id(core, view->fresh_slots.items[i], core->mirror.tick);
        if (id == 0 || mm_idmap_set(view->fresh_sight, id, 0) != MM_OK)
            return false;
    }
    view->fresh_by_id = true;
    size_t cursor = 0;
    uint64_t id = 0;
    while (mm_idmap_next(view->fresh_sight, &cursor, &id, NULL)) {
        uint32_t slot = sync_mirror_slot(&core->mirror, id);
        if (slot == 0 || !core->mirror.entities[slot].alive)
            return false;
    }
    return true;
}

bool sync_view_activate(struct sync_core *core, struct sync_view *view)
{
    if (!resolve(core, view)) {
        core->counts.views_refused++;
        core->fresh_count--;
        sync_view_drop_fresh(view);
        return false;
    }
    sync_core_touch(core, view);
    if (!diff_sight(core, view)) {
        // Without the difference there is still the truth, if the links could be made.
        while (view->sight.count > 0)
            sync_sighting_remove(core, view->sight.items[view->sight.count - 1]);
        sync_view_clear_numbers(view);
        core->fresh_count--;
        core->counts.views_refused++;
        sync_delta_clear(&view->delta);
        view->has_told = false;
        sync_view_drop_fresh(view);
        return false;
    }
    view->delta.full =
        !view->has_told || !diff_memories(core, view) || !diff_hexes(view) || view->delta.full;
    sync_hexes_free(&view->hexes);
    sync_memories_free(&view->memories);
    view->hexes = view->fresh_hexes;
    view->memories = view->fresh_memories;
    memset(&view->fresh_hexes, 0, sizeof view->fresh_hexes);
    memset(&view->fresh_memories, 0, sizeof view->fresh_memories);
    mm_vec_free(&view->told);
    mm_vec_init(&view->told, SYNC_VIEW_ENTITIES_MAX);
    view->has_told = false;
    sync_view_drop_fresh(view);
    view->state = SYNC_VIEW_LIVE;
    if (view->generation++ == 0)
        sync_history_begin_first(&view->history, core->mirror.tick);
    else
        sync_history_begin(&view->history, core->mirror.tick);
    core->fresh_count--;
    core->live_count++;
    return true;
}
