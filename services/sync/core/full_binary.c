#include "services/sync/core/binary.h"
#include "services/sync/core/update_parts.h"

// A full state's last part in the binary encoding: names, memories, and the update that says
// everything else, all of one tick.

static const struct sync_sighting *sighting_at(const struct sync_core *core,
                                               const struct sync_view *view, size_t i)
{
    return &core->sightings.items[view->sight.items[i]];
}

// The first update behind the reset: ticks are counted from 0 there.
static void put_names(struct mm_buf *out, const struct sync_core *core,
                      const struct sync_view *view)
{
    size_t at = sync_full_begin(out);
    mm_buf_byte(out, SYNC_BINARY_UPDATE | SYNC_BINARY_TICK | SYNC_BINARY_MORE);
    mm_buf_byte(out, SYNC_BINARY_EMPIRES);
    mm_buf_varint(out, core->mirror.tick);
    mm_buf_varint(out, view->names_told);
    for (size_t i = 0; i < view->names_told; i++)
        sync_binary_empire(out, sync_full_empire(core, view, i));
    sync_full_end(out, at);
}

static void put_memories(struct mm_buf *out, const struct sync_core *core,
                         const struct sync_view *view)
{
    for (size_t i = 0; i < view->memories.items.count; i++) {
        size_t at = sync_full_begin(out);
        sync_binary_entity_snapshot(out, &core->mirror, view, &view->memories.items.items[i]);
        sync_full_end(out, at);
    }
}

static void put_appeared(struct mm_buf *out, const struct sync_core *core,
                         const struct sync_view *view)
{
    mm_buf_varint(out, view->sight.count);
    for (size_t i = 0; i < view->sight.count; i++) {
        const struct sync_sighting *sighting = sighting_at(core, view, i);
        const struct sync_entity *entity = &core->mirror.entities[sighting->slot];
        sync_binary_appeared_head(out, view, entity, sighting->number);
        sync_binary_appeared_body(out, &core->mirror, entity,
                                  sync_encoder_audience(core, view, sighting->slot));
    }
}

static void collect_visible(struct sync_runs *runs, const struct sync_view *view)
{
    for (size_t t = 0; t < view->hexes.tiles.count; t++) {
        const struct sync_tile *tile = view->hexes.tiles.items[t];
        for (unsigned cell = 0; cell < SYNC_TILE_CELLS; cell++) {
            unsigned state = sync_tile_state(tile, cell);
            struct sync_hex_news hex = {
                .q = tile->q + (int32_t)(cell % SYNC_TILE_SIDE),
                .r = tile->r + (int32_t)(cell / SYNC_TILE_SIDE),
                .state = (uint8_t)state,
            };
            if (state == MMORTS__FRAME__VISIBILITY__VISIBILITY_VISIBLE)
                sync_runs_add(runs, &hex, 1);
        }
    }
}

static void put_holding(struct mm_buf *out, const struct sync_stock *stock,
                        const struct sync_holding *holding)
{
    if (holding->amounts.count > 0)
        mm_buf_varint(out, holding->amounts.count);
    for (size_t i = 0; i < holding->amounts.count; i++) {
        sync_binary_text(out, stock->items.items[holding->amounts.items[i].item]);
        mm_buf_zigzag(out, holding->amounts.items[i].amount);
    }
    if (holding->jobs.count > 0)
        mm_buf_varint(out, holding->jobs.count);
    for (size_t i = 0; i < holding->jobs.count; i++) {
        struct sync_job job = holding->jobs.items[i];
        job.event = MMORTS__FRAME__JOB_EVENT__JOB_EVENT_STARTED;
        sync_binary_job(out, &job);
    }
}

void sync_full_binary_state(const struct sync_core *core, const struct sync_view *view,
                            const struct sync_holding *holding, struct mm_buf *out)
{
    struct sync_runs runs;
    sync_runs_init(&runs);
    collect_visible(&runs, view);
    put_names(out, core, view);
    put_memories(out, core, view);
    unsigned flags = SYNC_BINARY_UPDATE | SYNC_BINARY_MORE | SYNC_BINARY_TICK;
    flags |= view->sight.count > 0 ? SYNC_BINARY_APPEARED : 0u;
    flags |= runs.items.count > 0 ? SYNC_BINARY_VISION : 0u;
    unsigned more = SYNC_BINARY_FULL;
    more |= holding->amounts.count > 0 ? SYNC_BINARY_RESOURCES : 0u;
    more |= holding->jobs.count > 0 ? SYNC_BINARY_JOBS : 0u;
    size_t at = sync_full_begin(out);
    mm_buf_byte(out, (uint8_t)flags);
    mm_buf_byte(out, (uint8_t)more);
    mm_buf_varint(out, 0); // the tick of the names
    if (view->sight.count > 0)
        put_appeared(out, core, view);
    if (runs.items.count > 0)
        sync_binary_vision(out, &runs, view);
    put_holding(out, &core->stock, holding);
    sync_full_end(out, at);
    if (runs.failed)
        out->err = MM_RESOURCE_EXHAUSTED;
    sync_runs_free(&runs);
}
