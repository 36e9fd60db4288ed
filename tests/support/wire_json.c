#include "tests/support/wire_json.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct wire_json {
    const struct wire_map *map;
    struct wire_decoder decoder;
    json_t *message;
    char *text;
};

// --- values --------------------------------------------------------------------------------------

static json_t *id_text(const char *kind, uint64_t id)
{
    static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
    char text[64];
    int len = snprintf(text, sizeof text, "%s_", kind);
    for (int i = 12; i >= 0; i--)
        text[len++] = digits[id >> (5 * i) & 31];
    text[len] = '\0';
    return json_string(text);
}

static json_t *integer(uint64_t value)
{
    return json_integer((json_int_t)value);
}

static json_t *hex(int64_t q, int64_t r)
{
    return json_pack("[I, I]", (json_int_t)q, (json_int_t)r);
}

static const struct wire_type *type_of(const struct wire_json *j, uint32_t type)
{
    static const struct wire_type unknown = {"?", "unknown", 0};
    return type < j->map->type_count ? &j->map->types[type] : &unknown;
}

static json_t *terrain_name(const struct wire_json *j, int terrain)
{
    bool known = terrain >= 0 && (uint32_t)terrain < j->map->terrain_count;
    return known ? json_string(j->map->terrains[terrain]) : NULL;
}

static const char *activity_name(unsigned activity)
{
    static const char *const names[] = {"idle",      "moving",   "attacking",
                                        "gathering", "building", "repairing"};
    return names[activity];
}

static json_t *list(struct wire_json *j, const char *key)
{
    json_t *array = json_object_get(j->message, key);
    if (array)
        return array;
    json_object_set_new(j->message, key, json_array());
    return json_object_get(j->message, key);
}

static json_t *entity_id(const struct wire_json *j, const struct wire_entity *e)
{
    return id_text(type_of(j, e->type)->kind, e->id);
}

static json_t *target_of(const struct wire_entity *e)
{
    return e->has_target ? hex(e->target_q, e->target_r) : json_null();
}

// --- messages ------------------------------------------------------------------------------------

static void explored_begin(void *arg, bool reset)
{
    struct wire_json *j = arg;
    json_object_set_new(j->message, "type", json_string("explored_hexes"));
    if (reset)
        json_object_set_new(j->message, "reset", json_true());
    (void)list(j, "hexes");
}

static void explored_hex(void *arg, int32_t q, int32_t r, int terrain)
{
    struct wire_json *j = arg;
    json_array_append_new(list(j, "hexes"), json_pack("{s:o, s:o*}", "hex", hex(q, r), "terrain",
                                                      terrain_name(j, terrain)));
}

static void set_cache(json_t *object, const struct wire_memory *memory)
{
    json_object_set_new(object, "cache_mode", json_string(memory->mode ? "timed" : "permanent"));
    json_object_set_new(object, "last_seen", integer(memory->last_seen));
    json_object_set_new(object, "expires_at", integer(memory->expires_at));
}

static void snapshot(void *arg, const struct wire_memory *memory)
{
    struct wire_json *j = arg;
    const struct wire_type *type = type_of(j, memory->has_type ? memory->type : UINT32_MAX);
    json_t *entity = json_pack("{s:o, s:o, s:b, s:{s:I}}", "id", id_text(type->kind, memory->id),
                               "pos", hex(memory->q, memory->r), "is_stale", 1, "data", "health",
                               (json_int_t)memory->health);
    if (memory->has_type) {
        json_object_set_new(entity, "type", json_string(type->name));
        json_object_set_new(entity, "kind", json_string(type->kind));
    }
    if (memory->owner)
        json_object_set_new(entity, "owner", id_text("empire", memory->owner));
    set_cache(entity, memory);
    json_object_set_new(j->message, "type", json_string("entity_snapshot"));
    json_object_set_new(j->message, "entity", entity);
}

static void cached(void *arg, const struct wire_entity *entity, const struct wire_memory *memory)
{
    struct wire_json *j = arg;
    json_object_set_new(j->message, "type", json_string("entity_cached"));
    json_object_set_new(j->message, "entity_id", entity_id(j, entity));
    set_cache(j->message, memory);
}

static void ack(void *arg, uint64_t seq, uint64_t tick, uint64_t job)
{
    struct wire_json *j = arg;
    json_t *payload = json_pack("{s:o, s:o}", "seq", integer(seq), "tick", integer(tick));
    if (job)
        json_object_set_new(payload, "job", id_text("job", job));
    json_object_set_new(j->message, "type", json_string("ack"));
    json_object_set_new(j->message, "payload", payload);
}

static void pong(void *arg, int64_t timestamp, uint64_t tick)
{
    struct wire_json *j = arg;
    json_object_set_new(j->message, "type", json_string("pong"));
    json_object_set_new(
        j->message, "payload",
        json_pack("{s:I, s:o}", "timestamp", (json_int_t)timestamp, "server_tick", integer(tick)));
}

static void count_players(struct wire_json *j, const char *type, uint64_t count)
{
    json_object_set_new(j->message, "type", json_string(type));
    json_object_set_new(j->message, "payload", json_pack("{s:o}", "player_count", integer(count)));
}

static void roster(void *arg, uint64_t count)
{
    struct wire_json *j = arg;
    count_players(j, "roster", count);
    json_object_set_new(json_object_get(j->message, "payload"), "players", json_array());
}

static void players(void *arg, uint64_t count)
{
    count_players(arg, "players", count);
}

static json_t *player_list(struct wire_json *j, const char *name)
{
    json_t *payload = json_object_get(j->message, "payload");
    json_t *array = json_object_get(payload, "players");
    if (!array)
        array = json_object_get(payload, name);
    if (!array) {
        array = json_array();
        json_object_set_new(payload, name, array);
    }
    return array;
}

static json_t *player_text(uint64_t player_id)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)player_id);
    return json_string(text);
}

static void joined(void *arg, uint64_t player_id, const char *name)
{
    struct wire_json *j = arg;
    json_t *player = json_pack("{s:o, s:s}", "player_id", player_text(player_id), "username", name);
    json_array_append_new(player_list(j, "joined"), player);
}

static void left(void *arg, uint64_t player_id)
{
    struct wire_json *j = arg;
    json_array_append_new(player_list(j, "left"), player_text(player_id));
}

// --- an update's parts ---------------------------------------------------------------------------

static void resumed(void *arg, uint64_t tick)
{
    struct wire_json *j = arg;
    json_object_set_new(j->message, "type", json_string("resumed"));
    json_object_set_new(j->message, "tick", integer(tick));
}

static void update_begin(void *arg, uint64_t tick, bool full)
{
    struct wire_json *j = arg;
    json_object_set_new(j->message, "type", json_string("update"));
    json_object_set_new(j->message, "tick", integer(tick));
    if (j->decoder.deferred > 0)
        json_object_set_new(j->message, "deferred", integer(j->decoder.deferred));
    if (full)
        json_object_set_new(j->message, "full", json_true());
}

static void empire(void *arg, uint64_t id, const char *name)
{
    struct wire_json *j = arg;
    json_array_append_new(list(j, "empires"),
                          json_pack("{s:o, s:s}", "id", id_text("empire", id), "name", name));
}

static void gone_memory(void *arg, unsigned kind, uint64_t id)
{
    static const char *const kinds[] = {"unknown", "unit", "building", "resource", "npc"};
    struct wire_json *j = arg;
    json_array_append_new(list(j, "disappeared"), id_text(kinds[kind < 5 ? kind : 0], id));
}

static void gone_entity(void *arg, const struct wire_entity *entity)
{
    struct wire_json *j = arg;
    json_array_append_new(list(j, "disappeared"), entity_id(j, entity));
}

static void appeared(void *arg, const struct wire_entity *e)
{
    struct wire_json *j = arg;
    const struct wire_type *type = type_of(j, e->type);
    bool is_resource = strcmp(type->kind, "resource") == 0;
    json_t *data = json_object();
    if (!is_resource || e->activity != 0)
        json_object_set_new(data, "activity", json_string(activity_name(e->activity)));
    if (e->progress != 1000)
        json_object_set_new(data, "progress", json_integer(e->progress));
    if (e->amount != 0 || is_resource)
        json_object_set_new(data, "amount", json_integer(e->amount));
    if (e->rank != 0)
        json_object_set_new(data, "rank", json_integer(e->rank));
    if (e->carried != 0)
        json_object_set_new(data, "carried", json_integer(e->carried));
    if (e->has_target)
        json_object_set_new(data, "target", target_of(e));
    json_t *entity =
        json_pack("{s:o, s:s, s:s, s:o, s:I, s:o}", "id", entity_id(j, e), "type", type->name,
                  "kind", type->kind, "pos", hex(e->q, e->r), "health",
                  (json_int_t)(e->has_health ? e->health : type->health), "data", data);
    if (e->owner)
        json_object_set_new(entity, "owner", id_text("empire", e->owner));
    json_array_append_new(list(j, "appeared"), entity);
}

static void seen_hex(void *arg, int32_t q, int32_t r, unsigned state, int terrain)
{
    struct wire_json *j = arg;
    json_array_append_new(list(j, "vision"),
                          json_pack("{s:o, s:i, s:o*}", "hex", hex(q, r), "state", (int)state,
                                    "terrain", terrain_name(j, terrain)));
}

static void event(void *arg, const struct wire_event *e)
{
    static const char *const names[] = {NULL, "attack", "death", "deposit", "built"};
    struct wire_json *j = arg;
    json_t *object = json_pack("{s:s, s:o}", "event", names[e->kind], "entity",
                               id_text(type_of(j, e->entity_type)->kind, e->entity));
    if (e->has_other)
        json_object_set_new(object, "other", id_text(type_of(j, e->other_type)->kind, e->other));
    if (e->kind == 1 || e->kind == 3)
        json_object_set_new(object, "value", json_integer(e->value));
    if (e->kind == 3 && e->resource)
        json_object_set_new(object, "resource", json_string(type_of(j, e->resource - 1)->name));
    json_array_append_new(list(j, "events"), object);
}

static void resource(void *arg, const char *name, int64_t amount)
{
    struct wire_json *j = arg;
    if (!json_object_get(j->message, "resources"))
        json_object_set_new(j->message, "resources", json_object());
    json_object_set_new(json_object_get(j->message, "resources"), name, json_integer(amount));
}

static void job(void *arg, const struct wire_job *w)
{
    static const char *const events[] = {"started", "progress",  "completed",
                                         "failed",  "cancelled", "ended"};
    struct wire_json *j = arg;
    json_t *object =
        json_pack("{s:s, s:o, s:s, s:o, s:o, s:o}", "event", events[w->event], "job",
                  id_text("job", w->job), "recipe", w->recipe, "start_tick", integer(w->start_tick),
                  "end_tick", integer(w->end_tick), "cycles_completed", integer(w->cycles));
    if (w->building)
        json_object_set_new(object, "building", id_text("building", w->building));
    if (w->reason[0])
        json_object_set_new(object, "reason", json_string(w->reason));
    json_array_append_new(list(j, "jobs"), object);
}

static void changed(void *arg, const struct wire_entity *e, unsigned fields)
{
    struct wire_json *j = arg;
    json_t *object = json_object(), *data = json_object();
    json_object_set_new(object, "id", entity_id(j, e));
    if (fields & WIRE_PLACE)
        json_object_set_new(object, "pos", hex(e->q, e->r));
    if (fields & WIRE_OWNER)
        json_object_set_new(object, "owner", e->owner ? id_text("empire", e->owner) : json_null());
    if (fields & WIRE_HEALTH)
        json_object_set_new(object, "health", json_integer(e->health));
    if (fields & WIRE_ACTIVITY)
        json_object_set_new(data, "activity", json_string(activity_name(e->activity)));
    if (fields & WIRE_PROGRESS)
        json_object_set_new(data, "progress", json_integer(e->progress));
    if (fields & WIRE_AMOUNT)
        json_object_set_new(data, "amount", json_integer(e->amount));
    if (fields & WIRE_RANK)
        json_object_set_new(data, "rank", json_integer(e->rank));
    if (fields & WIRE_CARRIED)
        json_object_set_new(data, "carried", json_integer(e->carried));
    if (fields & WIRE_TARGET)
        json_object_set_new(data, "target", target_of(e));
    if (json_object_size(data) > 0)
        json_object_set(object, "data", data);
    json_decref(data);
    json_array_append_new(list(j, "changed"), object);
}

static const struct wire_sink sink = {
    .explored_begin = explored_begin,
    .explored_hex = explored_hex,
    .snapshot = snapshot,
    .cached = cached,
    .ack = ack,
    .pong = pong,
    .resumed = resumed,
    .roster = roster,
    .players = players,
    .joined = joined,
    .left = left,
    .update_begin = update_begin,
    .empire = empire,
    .gone_memory = gone_memory,
    .gone_entity = gone_entity,
    .appeared = appeared,
    .hex = seen_hex,
    .event = event,
    .resource = resource,
    .job = job,
    .changed = changed,
};

// --- all of it -----------------------------------------------------------------------------------

struct wire_json *wire_json_new(const struct wire_map *map)
{
    struct wire_json *json = calloc(1, sizeof *json);
    if (!json)
        abort();
    json->map = map;
    wire_decoder_init(&json->decoder);
    return json;
}

void wire_json_free(struct wire_json *json)
{
    if (!json)
        return;
    wire_decoder_free(&json->decoder);
    free(json->text);
    free(json);
}

const char *wire_json_take(struct wire_json *json, const uint8_t *data, size_t len)
{
    free(json->text);
    json->text = NULL;
    json->message = json_object();
    if (wire_decoder_take(&json->decoder, data, len, &sink, json))
        json->text = json_dumps(json->message, JSON_COMPACT);
    json_decref(json->message);
    json->message = NULL;
    return json->text;
}

const char *wire_json_fault(const struct wire_json *json)
{
    return json->decoder.fault[0] ? json->decoder.fault : NULL;
}
