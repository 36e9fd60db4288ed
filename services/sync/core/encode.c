#include "services/sync/core/encode.h"

#include "libcommon/base/buf_json.h"
#include "libcommon/base/id.h"

void sync_encode_id(struct mm_buf *buf, const char *prefix, uint64_t id)
{
    char text[MM_ID_TEXT_BYTES];
    size_t len = mm_id_format(text, prefix, id);
    mm_buf_byte(buf, '"');
    mm_buf_append(buf, text, len);
    mm_buf_byte(buf, '"');
}

static void put_hex(struct mm_buf *buf, int32_t q, int32_t r)
{
    mm_buf_byte(buf, '[');
    mm_buf_dec_i64(buf, q);
    mm_buf_byte(buf, ',');
    mm_buf_dec_i64(buf, r);
    mm_buf_byte(buf, ']');
}

static void put_owner(struct mm_buf *buf, const struct sync_mirror *mirror, uint32_t owner)
{
    const struct sync_empire *empire = sync_mirror_empire(mirror, owner);
    if (empire)
        sync_encode_id(buf, "empire_", empire->id);
    else
        MM_BUF_LIT(buf, "null");
}

static const char *activity_name(unsigned activity)
{
    static const char *const names[] = {"idle",      "moving",   "attacking",
                                        "gathering", "building", "repairing"};
    return activity < sizeof names / sizeof *names ? names[activity] : "idle";
}

// Begins a member of an object that may be empty so far.
static void member(struct mm_buf *buf, bool *first, const char *key)
{
    if (!*first)
        mm_buf_byte(buf, ',');
    *first = false;
    mm_buf_json_key(buf, key);
}

static void put_target(struct mm_buf *buf, const struct sync_entity *e)
{
    if (sync_entity_has_target(e))
        put_hex(buf, e->target_q, e->target_r);
    else
        MM_BUF_LIT(buf, "null");
}

static void put_type(struct mm_buf *buf, const struct sync_type *type)
{
    MM_BUF_LIT(buf, ",\"type\":");
    mm_buf_append(buf, type->quoted, type->quoted_len);
    MM_BUF_LIT(buf, ",\"kind\":\"");
    mm_buf_str(buf, sync_kind_name(type->kind));
    MM_BUF_LIT(buf, "\",\"pos\":");
}

void sync_encode_appeared(struct mm_buf *buf, const struct sync_mirror *mirror,
                          const struct sync_entity *e, enum sync_audience audience)
{
    const struct sync_type *type = &mirror->catalogue.types[e->type];
    MM_BUF_LIT(buf, "{\"id\":");
    sync_encode_id(buf, type->prefix, e->id);
    put_type(buf, type);
    put_hex(buf, e->q, e->r);
    if (sync_mirror_empire(mirror, e->owner)) {
        MM_BUF_LIT(buf, ",\"owner\":");
        put_owner(buf, mirror, e->owner);
    }
    MM_BUF_LIT(buf, ",\"health\":");
    mm_buf_dec_i64(buf, e->health);
    MM_BUF_LIT(buf, ",\"data\":{");
    bool first = true;
    if (type->kind != MMORTS__FRAME__KIND__KIND_RESOURCE ||
        e->activity != MMORTS__FRAME__ACTIVITY__ACTIVITY_IDLE) {
        member(buf, &first, "activity");
        mm_buf_byte(buf, '"');
        mm_buf_str(buf, activity_name(e->activity));
        mm_buf_byte(buf, '"');
    }
    if (e->progress != 1000) {
        member(buf, &first, "progress");
        mm_buf_dec_u64(buf, e->progress);
    }
    if (e->amount != 0 || type->kind == MMORTS__FRAME__KIND__KIND_RESOURCE) {
        member(buf, &first, "amount");
        mm_buf_dec_i64(buf, e->amount);
    }
    if (e->rank != 0 && sync_entity_has_rank(mirror, e)) {
        member(buf, &first, "rank");
        mm_buf_dec_u64(buf, e->rank);
    }
    if (audience == SYNC_OWNER && e->carried != 0) {
        member(buf, &first, "carried");
        mm_buf_dec_i64(buf, e->carried);
    }
    if (audience == SYNC_OWNER && sync_entity_has_target(e)) {
        member(buf, &first, "target");
        put_hex(buf, e->target_q, e->target_r);
    }
    MM_BUF_LIT(buf, "}}");
}

#define IN_DATA                                                                                    \
    (SYNC_DIRTY_ACTIVITY | SYNC_DIRTY_PROGRESS | SYNC_DIRTY_AMOUNT | SYNC_DIRTY_OWNER_ONLY)

static void put_changed_data(struct mm_buf *buf, const struct sync_mirror *mirror,
                             const struct sync_entity *e, unsigned mask,
                             enum sync_audience audience)
{
    bool first = true;
    MM_BUF_LIT(buf, ",\"data\":{");
    if (mask & SYNC_DIRTY_ACTIVITY) {
        member(buf, &first, "activity");
        mm_buf_byte(buf, '"');
        mm_buf_str(buf, activity_name(e->activity));
        mm_buf_byte(buf, '"');
    }
    if (mask & SYNC_DIRTY_PROGRESS) {
        member(buf, &first, "progress");
        mm_buf_dec_u64(buf, e->progress);
    }
    if (mask & SYNC_DIRTY_AMOUNT) {
        member(buf, &first, "amount");
        mm_buf_dec_i64(buf, e->amount);
    }
    if ((mask & SYNC_DIRTY_AMOUNT) && sync_entity_has_rank(mirror, e)) {
        member(buf, &first, "rank");
        mm_buf_dec_u64(buf, e->rank);
    }
    if (audience == SYNC_OWNER && (mask & SYNC_DIRTY_CARRIED)) {
        member(buf, &first, "carried");
        mm_buf_dec_i64(buf, e->carried);
    }
    // A target is shown while moving only, so that it comes and goes with the activity too.
    if (audience == SYNC_OWNER && (mask & (SYNC_DIRTY_TARGET | SYNC_DIRTY_ACTIVITY))) {
        member(buf, &first, "target");
        put_target(buf, e);
    }
    mm_buf_byte(buf, '}');
}

void sync_encode_changed(struct mm_buf *buf, const struct sync_mirror *mirror,
                         const struct sync_entity *e, unsigned mask, enum sync_audience audience)
{
    if (audience == SYNC_PUBLIC)
        mask &= SYNC_DIRTY_PUBLIC;
    MM_BUF_LIT(buf, "{\"id\":");
    sync_encode_id(buf, mirror->catalogue.types[e->type].prefix, e->id);
    if (mask & SYNC_DIRTY_PLACE) {
        MM_BUF_LIT(buf, ",\"pos\":");
        put_hex(buf, e->q, e->r);
    }
    if (mask & SYNC_DIRTY_OWNER) {
        MM_BUF_LIT(buf, ",\"owner\":");
        put_owner(buf, mirror, e->owner);
    }
    if (mask & SYNC_DIRTY_HEALTH) {
        MM_BUF_LIT(buf, ",\"health\":");
        mm_buf_dec_i64(buf, e->health);
    }
    if (mask & IN_DATA)
        put_changed_data(buf, mirror, e, mask, audience);
    mm_buf_byte(buf, '}');
}

static void put_terrain(struct mm_buf *buf, const struct sync_mirror *mirror, uint8_t terrain)
{
    if (terrain == 0 || terrain > mirror->catalogue.terrain_count)
        return;
    const struct sync_terrain *named = &mirror->catalogue.terrains[terrain - 1];
    MM_BUF_LIT(buf, ",\"terrain\":");
    mm_buf_append(buf, named->quoted, named->quoted_len);
}

void sync_encode_hex(struct mm_buf *buf, const struct sync_mirror *mirror, int32_t q, int32_t r,
                     unsigned state, uint8_t terrain)
{
    MM_BUF_LIT(buf, "{\"hex\":");
    put_hex(buf, q, r);
    MM_BUF_LIT(buf, ",\"state\":");
    mm_buf_dec_u64(buf, state);
    put_terrain(buf, mirror, terrain);
    mm_buf_byte(buf, '}');
}

void sync_encode_explored(struct mm_buf *buf, const struct sync_mirror *mirror, int32_t q,
                          int32_t r, uint8_t terrain)
{
    MM_BUF_LIT(buf, "{\"hex\":");
    put_hex(buf, q, r);
    put_terrain(buf, mirror, terrain);
    mm_buf_byte(buf, '}');
}

void sync_encode_empire(struct mm_buf *buf, const struct sync_empire *empire)
{
    MM_BUF_LIT(buf, "{\"id\":");
    sync_encode_id(buf, "empire_", empire->id);
    MM_BUF_LIT(buf, ",\"name\":");
    mm_buf_json_cstr(buf, empire->name);
    mm_buf_byte(buf, '}');
}

// The entity that holds the slot, or held it until this tick.
static const struct sync_entity *entity_at(const struct sync_mirror *mirror, uint32_t slot)
{
    if (slot == 0 || slot >= mirror->slot_count || mirror->entities[slot].id == 0)
        return NULL;
    return &mirror->entities[slot];
}

static void put_entity_id(struct mm_buf *buf, const struct sync_mirror *mirror,
                          const struct sync_entity *e)
{
    sync_encode_id(buf, mirror->catalogue.types[e->type].prefix, e->id);
}

bool sync_encode_event(struct mm_buf *buf, const struct sync_mirror *mirror,
                       const Mmorts__Frame__EventColumns *events, size_t i, bool with_other)
{
    static const char *const names[] = {NULL, "attack", "death", "deposit", "built"};
    unsigned kind = (unsigned)events->kind[i];
    const struct sync_entity *entity = entity_at(mirror, events->entity[i]);
    if (kind == 0 || kind >= sizeof names / sizeof *names || !entity)
        return false;
    MM_BUF_LIT(buf, "{\"event\":\"");
    mm_buf_str(buf, names[kind]);
    MM_BUF_LIT(buf, "\",\"entity\":");
    put_entity_id(buf, mirror, entity);
    const struct sync_entity *other = entity_at(mirror, events->other[i]);
    if (with_other && other) {
        MM_BUF_LIT(buf, ",\"other\":");
        put_entity_id(buf, mirror, other);
    }
    if (kind == MMORTS__FRAME__EVENT_KIND__EVENT_ATTACK ||
        kind == MMORTS__FRAME__EVENT_KIND__EVENT_DEPOSIT) {
        MM_BUF_LIT(buf, ",\"value\":");
        mm_buf_dec_i64(buf, events->value[i]);
    }
    if (kind == MMORTS__FRAME__EVENT_KIND__EVENT_DEPOSIT &&
        events->detail[i] < mirror->catalogue.type_count) {
        const struct sync_type *type = &mirror->catalogue.types[events->detail[i]];
        MM_BUF_LIT(buf, ",\"resource\":");
        mm_buf_append(buf, type->quoted, type->quoted_len);
    }
    mm_buf_byte(buf, '}');
    return true;
}

static const char *job_event_name(uint32_t event)
{
    switch (event) {
    case MMORTS__FRAME__JOB_EVENT__JOB_EVENT_PROGRESS:
        return "progress";
    case MMORTS__FRAME__JOB_EVENT__JOB_EVENT_COMPLETED:
        return "completed";
    case MMORTS__FRAME__JOB_EVENT__JOB_EVENT_FAILED:
        return "failed";
    case MMORTS__FRAME__JOB_EVENT__JOB_EVENT_CANCELLED:
        return "cancelled";
    case SYNC_JOB_ENDED:
        return "ended";
    default:
        return "started";
    }
}

void sync_encode_job(struct mm_buf *buf, const struct sync_job *job)
{
    MM_BUF_LIT(buf, "{\"event\":\"");
    mm_buf_str(buf, job_event_name(job->event));
    MM_BUF_LIT(buf, "\",\"job\":");
    sync_encode_id(buf, "job_", job->id);
    if (job->building != 0) {
        MM_BUF_LIT(buf, ",\"building\":");
        sync_encode_id(buf, sync_kind_prefix(MMORTS__FRAME__KIND__KIND_BUILDING), job->building);
    }
    MM_BUF_LIT(buf, ",\"recipe\":");
    mm_buf_json_cstr(buf, job->recipe);
    MM_BUF_LIT(buf, ",\"start_tick\":");
    mm_buf_dec_u64(buf, job->start_tick);
    MM_BUF_LIT(buf, ",\"end_tick\":");
    mm_buf_dec_u64(buf, job->end_tick);
    MM_BUF_LIT(buf, ",\"cycles_completed\":");
    mm_buf_dec_u64(buf, job->cycles_completed);
    if (job->reason[0]) {
        MM_BUF_LIT(buf, ",\"reason\":");
        mm_buf_json_cstr(buf, job->reason);
    }
    mm_buf_byte(buf, '}');
}

// --- whole messages ------------------------------------------------------------------------------

static const char *mode_name(uint32_t mode)
{
    return mode == MMORTS__FRAME__CACHE_MODE__CACHE_TIMED ? "timed" : "permanent";
}

static const char *memory_prefix(const struct sync_mirror *mirror, const struct sync_memory *memory)
{
    return memory->type < mirror->catalogue.type_count
               ? mirror->catalogue.types[memory->type].prefix
               : sync_kind_prefix(0);
}

static void put_cache(struct mm_buf *buf, const struct sync_memory *memory)
{
    MM_BUF_LIT(buf, ",\"cache_mode\":\"");
    mm_buf_str(buf, mode_name(memory->mode));
    MM_BUF_LIT(buf, "\",\"last_seen\":");
    mm_buf_dec_u64(buf, memory->last_seen);
    MM_BUF_LIT(buf, ",\"expires_at\":");
    mm_buf_dec_u64(buf, memory->expires_at);
}

void sync_encode_entity_snapshot(struct mm_buf *buf, const struct sync_mirror *mirror,
                                 const struct sync_memory *memory)
{
    MM_BUF_LIT(buf, "{\"type\":\"entity_snapshot\",\"entity\":{\"id\":");
    sync_encode_id(buf, memory_prefix(mirror, memory), memory->id);
    if (memory->type < mirror->catalogue.type_count)
        put_type(buf, &mirror->catalogue.types[memory->type]);
    else
        MM_BUF_LIT(buf, ",\"pos\":");
    put_hex(buf, memory->q, memory->r);
    if (sync_mirror_empire(mirror, memory->owner)) {
        MM_BUF_LIT(buf, ",\"owner\":");
        put_owner(buf, mirror, memory->owner);
    }
    MM_BUF_LIT(buf, ",\"is_stale\":true");
    put_cache(buf, memory);
    MM_BUF_LIT(buf, ",\"data\":{\"health\":");
    mm_buf_dec_i64(buf, memory->health);
    MM_BUF_LIT(buf, "}}}");
}

void sync_encode_entity_cached(struct mm_buf *buf, const struct sync_mirror *mirror,
                               const struct sync_memory *memory)
{
    MM_BUF_LIT(buf, "{\"type\":\"entity_cached\",\"entity_id\":");
    sync_encode_id(buf, memory_prefix(mirror, memory), memory->id);
    put_cache(buf, memory);
    mm_buf_byte(buf, '}');
}

void sync_encode_map(struct mm_buf *buf, const struct sync_mirror *mirror, const char *recipes_json,
                     size_t recipes_len)
{
    const struct sync_catalogue *c = &mirror->catalogue;
    MM_BUF_LIT(buf, "{\"type\":\"map\",\"chunk_radius\":");
    mm_buf_dec_u64(buf, c->chunk_radius);
    MM_BUF_LIT(buf, ",\"tick_rate\":");
    mm_buf_dec_u64(buf, c->tick_rate_hz);
    MM_BUF_LIT(buf, ",\"terrains\":[");
    for (uint32_t i = 0; i < c->terrain_count; i++) {
        mm_buf_str(buf, i ? ",{\"name\":" : "{\"name\":");
        mm_buf_append(buf, c->terrains[i].quoted, c->terrains[i].quoted_len);
        MM_BUF_LIT(buf, ",\"cost\":");
        mm_buf_dec_u64(buf, c->terrains[i].move_cost_percent);
        mm_buf_byte(buf, '}');
    }
    MM_BUF_LIT(buf, "],\"types\":[");
    for (uint32_t i = 0; i < c->type_count; i++) {
        const struct sync_type *type = &c->types[i];
        mm_buf_str(buf, i ? ",{\"name\":" : "{\"name\":");
        mm_buf_append(buf, type->quoted, type->quoted_len);
        MM_BUF_LIT(buf, ",\"kind\":\"");
        mm_buf_str(buf, sync_kind_name(type->kind));
        MM_BUF_LIT(buf, "\",\"sight\":");
        mm_buf_dec_u64(buf, type->sight_hexes);
        MM_BUF_LIT(buf, ",\"health\":");
        mm_buf_dec_u64(buf, type->health_max);
        MM_BUF_LIT(buf, ",\"ticks_per_hex\":");
        mm_buf_dec_u64(buf, type->ticks_per_hex);
        mm_buf_str(buf, type->building);
        mm_buf_byte(buf, '}');
    }
    MM_BUF_LIT(buf, "],\"recipes\":");
    mm_buf_append(buf, recipes_json, recipes_len);
    mm_buf_byte(buf, '}');
}
