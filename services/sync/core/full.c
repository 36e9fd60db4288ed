#include "services/sync/core/update.h"

#include "libcommon/base/buf_json.h"
#include "services/sync/core/binary.h"
#include "services/sync/core/encode.h"
#include "services/sync/core/update_parts.h"

#include <string.h>

// Everything a client has to know, for one that connects or could not follow.

// --- messages with their length in front ---------------------------------------------------------

size_t sync_full_begin(struct mm_buf *out)
{
    size_t at = out->len;
    mm_buf_append(out, "\0\0\0\0", 4);
    return at;
}

void sync_full_end(struct mm_buf *out, size_t at)
{
    if (out->err != MM_OK)
        return;
    uint32_t len = (uint32_t)(out->len - at - 4);
    memcpy(out->data + at, &len, 4);
}

// --- explored hexes ------------------------------------------------------------------------------

struct explored {
    struct mm_buf *out;
    const struct sync_mirror *mirror;
    const struct sync_view *view;
    enum sync_encoding encoding;
    int32_t column, row; // binary: of the tile before
    bool reset;          // the next message is the first of all
    bool open;
    bool any;
    size_t at;
};

static void open_explored(struct explored *e)
{
    if (e->open)
        return;
    e->open = true;
    e->any = false;
    e->at = sync_full_begin(e->out);
    e->column = e->row = 0;
    if (e->encoding == SYNC_BINARY) {
        sync_binary_explored_head(e->out, e->view, e->reset);
        e->reset = false;
        return;
    }
    MM_BUF_LIT(e->out, "{\"type\":\"explored_hexes\"");
    if (e->reset)
        MM_BUF_LIT(e->out, ",\"reset\":true");
    MM_BUF_LIT(e->out, ",\"hexes\":[");
    e->reset = false;
}

static void close_explored(struct explored *e)
{
    if (!e->open)
        return;
    e->open = false;
    if (e->encoding == SYNC_JSON)
        MM_BUF_LIT(e->out, "]}");
    sync_full_end(e->out, e->at);
}

static void put_cells(struct explored *e, const struct sync_tile *tile)
{
    for (unsigned cell = 0; cell < SYNC_TILE_CELLS; cell++) {
        if (tile->terrain[cell] == 0)
            continue;
        if (e->any)
            mm_buf_byte(e->out, ',');
        e->any = true;
        sync_encode_explored(e->out, e->mirror, tile->q + (int32_t)(cell % SYNC_TILE_SIDE),
                             tile->r + (int32_t)(cell / SYNC_TILE_SIDE), tile->terrain[cell]);
    }
}

static void put_tile(struct explored *e, const struct sync_tile *tile)
{
    if (tile->explored == 0)
        return;
    open_explored(e);
    if (e->encoding == SYNC_BINARY)
        sync_binary_tile(e->out, tile, &e->column, &e->row);
    else
        put_cells(e, tile);
    if (e->out->len - e->at > SYNC_EXPLORED_BYTES)
        close_explored(e);
}

// --- the rest, of one tick -----------------------------------------------------------------------

static uint32_t slot_of(const struct sync_core *core, const struct sync_view *view, size_t i)
{
    return core->sightings.items[view->sight.items[i]].slot;
}

// The names begin anew. False when out of memory.
static bool name_all(const struct sync_core *core, struct sync_view *view)
{
    sync_view_clear_named(view);
    bool ok = sync_encoder_name(core, view, view->empire);
    for (size_t i = 0; ok && i < view->memories.items.count; i++)
        ok = sync_encoder_name(core, view, view->memories.items.items[i].owner);
    for (size_t i = 0; ok && i < view->sight.count; i++)
        ok = sync_encoder_name(core, view, core->mirror.entities[slot_of(core, view, i)].owner);
    view->names_told = view->names.count;
    return ok;
}

const struct sync_empire *sync_full_empire(const struct sync_core *core,
                                           const struct sync_view *view, size_t i)
{
    // One that world no longer has keeps its place, or the numbers behind it would be others.
    static char no_name[] = "";
    static const struct sync_empire nobody = {.name = no_name};
    const struct sync_empire *empire =
        sync_mirror_empire(&core->mirror, view->names.items[i].empire);
    return empire ? empire : &nobody;
}

static void put_names(struct mm_buf *out, const struct sync_core *core,
                      const struct sync_view *view)
{
    size_t at = sync_full_begin(out);
    MM_BUF_LIT(out, "{\"type\":\"update\",\"tick\":");
    mm_buf_dec_u64(out, core->mirror.tick);
    MM_BUF_LIT(out, ",\"empires\":[");
    for (size_t i = 0; i < view->names_told; i++) {
        if (i > 0)
            mm_buf_byte(out, ',');
        sync_encode_empire(out, sync_full_empire(core, view, i));
    }
    MM_BUF_LIT(out, "]}");
    sync_full_end(out, at);
}

static void put_visible(struct mm_buf *out, const struct sync_core *core,
                        const struct sync_view *view)
{
    bool any = false;
    for (size_t t = 0; t < view->hexes.tiles.count; t++) {
        const struct sync_tile *tile = view->hexes.tiles.items[t];
        for (unsigned cell = 0; cell < SYNC_TILE_CELLS; cell++) {
            unsigned state = sync_tile_state(tile, cell);
            if (state != MMORTS__FRAME__VISIBILITY__VISIBILITY_VISIBLE)
                continue;
            mm_buf_str(out, any ? "," : ",\"vision\":[");
            any = true;
            sync_encode_hex(out, &core->mirror, tile->q + (int32_t)(cell % SYNC_TILE_SIDE),
                            tile->r + (int32_t)(cell / SYNC_TILE_SIDE), state, 0);
        }
    }
    if (any)
        mm_buf_byte(out, ']');
}

static void put_holding(struct mm_buf *out, const struct sync_stock *stock,
                        const struct sync_holding *holding)
{
    for (size_t i = 0; i < holding->amounts.count; i++) {
        const struct sync_amount *amount = &holding->amounts.items[i];
        mm_buf_str(out, i ? "," : ",\"resources\":{");
        mm_buf_json_cstr(out, stock->items.items[amount->item]);
        mm_buf_byte(out, ':');
        mm_buf_dec_i64(out, amount->amount);
    }
    if (holding->amounts.count > 0)
        mm_buf_byte(out, '}');
    for (size_t i = 0; i < holding->jobs.count; i++) {
        struct sync_job job = holding->jobs.items[i];
        job.event = MMORTS__FRAME__JOB_EVENT__JOB_EVENT_STARTED;
        mm_buf_str(out, i ? "," : ",\"jobs\":[");
        sync_encode_job(out, &job);
    }
    if (holding->jobs.count > 0)
        mm_buf_byte(out, ']');
}

static void put_state(struct mm_buf *out, const struct sync_core *core,
                      const struct sync_view *view, const struct sync_holding *holding)
{
    put_names(out, core, view);
    for (size_t i = 0; i < view->memories.items.count; i++) {
        size_t at = sync_full_begin(out);
        sync_encode_entity_snapshot(out, &core->mirror, &view->memories.items.items[i]);
        sync_full_end(out, at);
    }
    size_t at = sync_full_begin(out);
    MM_BUF_LIT(out, "{\"type\":\"update\",\"tick\":");
    mm_buf_dec_u64(out, core->mirror.tick);
    MM_BUF_LIT(out, ",\"full\":true");
    for (size_t i = 0; i < view->sight.count; i++) {
        const struct sync_entity *entity = &core->mirror.entities[slot_of(core, view, i)];
        mm_buf_str(out, i ? "," : ",\"appeared\":[");
        sync_encode_appeared(out, &core->mirror, entity,
                             entity->owner == view->empire ? SYNC_OWNER : SYNC_PUBLIC);
    }
    if (view->sight.count > 0)
        mm_buf_byte(out, ']');
    put_visible(out, core, view);
    put_holding(out, &core->stock, holding);
    mm_buf_byte(out, '}');
    sync_full_end(out, at);
}

// Coordinates are told by the empire's home: most of what it sees is there.
static void set_origin(const struct sync_core *core, struct sync_view *view)
{
    const struct sync_empire *empire = sync_mirror_empire(&core->mirror, view->empire);
    view->origin_q = empire ? empire->home_q : 0;
    view->origin_r = empire ? empire->home_r : 0;
}

enum mm_err sync_encode_full(struct sync_core *core, struct sync_view *view,
                             enum sync_encoding encoding, struct sync_full *full, size_t bytes,
                             struct mm_buf *out)
{
    struct sync_holding *holding = sync_stock_holding(&core->stock, view->empire);
    if (!holding)
        return MM_RESOURCE_EXHAUSTED;
    struct explored explored = {
        .out = out, .mirror = &core->mirror, .view = view, .encoding = encoding};
    if (!full->begun || full->generation != view->generation) {
        *full = (struct sync_full){
            .active = true,
            .begun = true,
            .beside = full->beside,
            .generation = view->generation,
            .since = core->mirror.tick,
        };
        explored.reset = true;
        set_origin(core, view);
        open_explored(&explored);
    }
    size_t from = out->len;
    while (full->tile < view->hexes.tiles.count && out->len - from < bytes)
        put_tile(&explored, view->hexes.tiles.items[full->tile++]);
    if (full->tile == view->hexes.tiles.count) {
        // What was explored since the pass began may lie in tiles that were told before.
        for (size_t t = 0; t < view->hexes.tiles.count; t++) {
            if (view->hexes.tiles.items[t]->explored_at > full->since)
                put_tile(&explored, view->hexes.tiles.items[t]);
        }
        close_explored(&explored);
        // What the others know is what this one is to know; it hears their news again with them.
        if (!full->beside && !name_all(core, view))
            return MM_RESOURCE_EXHAUSTED;
        if (encoding == SYNC_BINARY)
            sync_full_binary_state(core, view, holding, out);
        else
            put_state(out, core, view, holding);
        if (out->err == MM_OK) {
            if (full->beside)
                sync_holding_told_beside(holding);
            else
                sync_holding_told(holding);
            full->active = false;
        }
    }
    close_explored(&explored);
    return out->err;
}
