#include "services/sync/core/catalogue.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/buf_json.h"
#include "libcommon/base/hash.h"

#include <string.h>

#define NAME_MAX_BYTES 64

const char *sync_kind_name(uint32_t kind)
{
    switch (kind) {
    case MMORTS__FRAME__KIND__KIND_UNIT:
        return "unit";
    case MMORTS__FRAME__KIND__KIND_BUILDING:
        return "building";
    case MMORTS__FRAME__KIND__KIND_RESOURCE:
        return "resource";
    case MMORTS__FRAME__KIND__KIND_NPC:
        return "npc";
    default:
        return "unknown";
    }
}

const char *sync_kind_prefix(uint32_t kind)
{
    switch (kind) {
    case MMORTS__FRAME__KIND__KIND_UNIT:
        return "unit_";
    case MMORTS__FRAME__KIND__KIND_BUILDING:
        return "building_";
    case MMORTS__FRAME__KIND__KIND_RESOURCE:
        return "resource_";
    case MMORTS__FRAME__KIND__KIND_NPC:
        return "npc_";
    default:
        return "entity_";
    }
}

static bool names_valid(char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(names[i]);
        if (len == 0 || len > NAME_MAX_BYTES)
            return false;
    }
    return true;
}

// The columns of what is built: all of them, or (of a world that builds nothing) none.
static bool building_valid(const Mmorts__Frame__Catalogue *message)
{
    const Mmorts__Frame__TypeColumns *types = message->types;
    size_t n = types->n_name, costs = 0, builds = 0;
    if (types->n_build_ticks == 0)
        return types->n_cost_count == 0 && types->n_builds_count == 0;
    if (types->n_build_ticks != n || types->n_cost_count != n || types->n_builds_count != n ||
        types->n_cost_item != types->n_cost_amount)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (types->cost_count[i] > types->n_cost_item || types->builds_count[i] > types->n_builds)
            return false;
        costs += types->cost_count[i];
        builds += types->builds_count[i];
    }
    if (costs != types->n_cost_item || builds != types->n_builds)
        return false;
    for (size_t i = 0; i < costs; i++)
        if (types->cost_item[i] >= message->n_items)
            return false;
    for (size_t i = 0; i < builds; i++)
        if (types->builds[i] >= n)
            return false;
    return names_valid(message->items, message->n_items);
}

bool sync_catalogue_valid(const Mmorts__Frame__Catalogue *message)
{
    const Mmorts__Frame__TypeColumns *types = message->types;
    const Mmorts__Frame__TerrainColumns *terrains = message->terrains;
    if (!types || !terrains)
        return false;
    size_t n = types->n_name;
    if (n > SYNC_TYPES_MAX || types->n_kind != n || types->n_sight_hexes != n ||
        types->n_health_max != n || types->n_ticks_per_hex != n || types->n_flags != n)
        return false;
    size_t m = terrains->n_name;
    if (m > SYNC_TERRAINS_MAX || terrains->n_move_cost_percent != m)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (types->health_max[i] > INT32_MAX)
            return false;
    }
    return building_valid(message) && names_valid(types->name, n) && names_valid(terrains->name, m);
}

static char *quote(const char *name, size_t *len_out)
{
    struct mm_buf buf;
    mm_buf_init(&buf, 8 * NAME_MAX_BYTES);
    mm_buf_json_cstr(&buf, name);
    mm_buf_byte(&buf, 0);
    if (buf.err != MM_OK) {
        mm_buf_free(&buf);
        return NULL;
    }
    size_t bytes = 0;
    char *text = (char *)mm_buf_detach(&buf, &bytes);
    *len_out = bytes - 1;
    return text;
}

// What type i costs, and builds, as members in JSON; the columns' parts before it are passed over.
static char *describe_building(const Mmorts__Frame__Catalogue *message, size_t i, size_t cost,
                               size_t builds)
{
    const Mmorts__Frame__TypeColumns *m = message->types;
    struct mm_buf buf;
    mm_buf_init(&buf, 1 << 20);
    if (m->n_build_ticks > 0 && m->build_ticks[i] > 0) {
        MM_BUF_LIT(&buf, ",\"build_ticks\":");
        mm_buf_dec_u64(&buf, m->build_ticks[i]);
        MM_BUF_LIT(&buf, ",\"cost\":{");
        for (uint32_t c = 0; c < m->cost_count[i]; c++) {
            mm_buf_str(&buf, c ? "," : "");
            mm_buf_json_cstr(&buf, message->items[m->cost_item[cost + c]]);
            mm_buf_byte(&buf, ':');
            mm_buf_dec_u64(&buf, m->cost_amount[cost + c]);
        }
        mm_buf_byte(&buf, '}');
    }
    if (m->n_build_ticks > 0 && m->builds_count[i] > 0) {
        MM_BUF_LIT(&buf, ",\"builds\":[");
        for (uint32_t b = 0; b < m->builds_count[i]; b++) {
            mm_buf_str(&buf, b ? "," : "");
            mm_buf_json_cstr(&buf, m->name[m->builds[builds + b]]);
        }
        mm_buf_byte(&buf, ']');
    }
    mm_buf_byte(&buf, 0);
    size_t bytes = 0;
    char *text = buf.err == MM_OK ? (char *)mm_buf_detach(&buf, &bytes) : NULL;
    mm_buf_free(&buf);
    return text;
}

static bool load_types(struct sync_catalogue *c, const Mmorts__Frame__Catalogue *message)
{
    const Mmorts__Frame__TypeColumns *m = message->types;
    size_t cost = 0, builds = 0;
    c->types = mm_calloc(m->n_name ? m->n_name : 1, sizeof *c->types);
    if (!c->types)
        return false;
    c->type_count = (uint32_t)m->n_name;
    for (size_t i = 0; i < m->n_name; i++) {
        struct sync_type *type = &c->types[i];
        *type = (struct sync_type){
            .name = mm_strdup(m->name[i]),
            .prefix = sync_kind_prefix((uint32_t)m->kind[i]),
            .kind = (uint32_t)m->kind[i],
            .sight_hexes = m->sight_hexes[i],
            .health_max = m->health_max[i],
            .ticks_per_hex = m->ticks_per_hex[i],
            .flags = m->flags[i],
        };
        type->quoted = quote(m->name[i], &type->quoted_len);
        type->builds = m->n_build_ticks > 0 && m->builds_count[i] > 0;
        type->building = describe_building(message, i, cost, builds);
        if (!type->name || !type->quoted || !type->building)
            return false;
        cost += m->n_build_ticks > 0 ? m->cost_count[i] : 0;
        builds += m->n_build_ticks > 0 ? m->builds_count[i] : 0;
    }
    return true;
}

static bool load_terrains(struct sync_catalogue *c, const Mmorts__Frame__TerrainColumns *m)
{
    c->terrains = mm_calloc(m->n_name ? m->n_name : 1, sizeof *c->terrains);
    if (!c->terrains)
        return false;
    c->terrain_count = (uint32_t)m->n_name;
    for (size_t i = 0; i < m->n_name; i++) {
        struct sync_terrain *terrain = &c->terrains[i];
        terrain->name = mm_strdup(m->name[i]);
        terrain->quoted = quote(m->name[i], &terrain->quoted_len);
        terrain->move_cost_percent = m->move_cost_percent[i];
        if (!terrain->name || !terrain->quoted)
            return false;
    }
    return true;
}

static uint64_t hash_of(const struct sync_catalogue *c)
{
    struct mm_hash hash;
    mm_hash_init(&hash, 0);
    for (uint32_t i = 0; i < c->type_count; i++) {
        const struct sync_type *type = &c->types[i];
        mm_hash_update(&hash, type->name, strlen(type->name) + 1);
        mm_hash_u32(&hash, type->kind);
        mm_hash_u32(&hash, type->sight_hexes);
        mm_hash_u32(&hash, type->health_max);
        mm_hash_u32(&hash, type->ticks_per_hex);
        mm_hash_u32(&hash, type->flags);
        mm_hash_update(&hash, type->building, strlen(type->building) + 1);
    }
    for (uint32_t i = 0; i < c->terrain_count; i++) {
        mm_hash_update(&hash, c->terrains[i].name, strlen(c->terrains[i].name) + 1);
        mm_hash_u32(&hash, c->terrains[i].move_cost_percent);
    }
    mm_hash_u32(&hash, c->chunk_radius);
    mm_hash_u32(&hash, c->tick_rate_hz);
    return mm_hash_digest(&hash);
}

enum mm_err sync_catalogue_load(struct sync_catalogue *catalogue,
                                const Mmorts__Frame__Catalogue *message)
{
    struct sync_catalogue fresh = {
        .chunk_radius = message->chunk_radius,
        .tick_rate_hz = message->tick_rate_hz ? message->tick_rate_hz : 20,
    };
    if (!load_types(&fresh, message) || !load_terrains(&fresh, message->terrains)) {
        sync_catalogue_free(&fresh);
        return MM_RESOURCE_EXHAUSTED;
    }
    fresh.hash = hash_of(&fresh);
    sync_catalogue_free(catalogue);
    *catalogue = fresh;
    return MM_OK;
}

void sync_catalogue_free(struct sync_catalogue *catalogue)
{
    for (uint32_t i = 0; catalogue->types && i < catalogue->type_count; i++) {
        mm_free(catalogue->types[i].name);
        mm_free(catalogue->types[i].quoted);
        mm_free(catalogue->types[i].building);
    }
    for (uint32_t i = 0; catalogue->terrains && i < catalogue->terrain_count; i++) {
        mm_free(catalogue->terrains[i].name);
        mm_free(catalogue->terrains[i].quoted);
    }
    mm_free(catalogue->types);
    mm_free(catalogue->terrains);
    memset(catalogue, 0, sizeof *catalogue);
}
