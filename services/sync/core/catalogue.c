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
    return names_valid(types->name, n) && names_valid(terrains->name, m);
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

static bool load_types(struct sync_catalogue *c, const Mmorts__Frame__TypeColumns *m)
{
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
        if (!type->name || !type->quoted)
            return false;
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
    if (!load_types(&fresh, message->types) || !load_terrains(&fresh, message->terrains)) {
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
    }
    for (uint32_t i = 0; catalogue->terrains && i < catalogue->terrain_count; i++) {
        mm_free(catalogue->terrains[i].name);
        mm_free(catalogue->terrains[i].quoted);
    }
    mm_free(catalogue->types);
    mm_free(catalogue->terrains);
    memset(catalogue, 0, sizeof *catalogue);
}
