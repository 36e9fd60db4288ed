#include "tests/support/sync_player.h"

#include "libcommon/base/id.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sync_player {
    uint32_t empire;
    char empire_id[MM_ID_TEXT_BYTES];
    uint64_t tick, position, settled;
    bool resuming;     // the difference follows: what is known may appear again
    json_t *entities;  // id -> what is known of it, in sight
    json_t *memories;  // id -> what is remembered
    json_t *hexes;     // "q,r" -> {state, terrain}
    json_t *names;     // empire id -> name
    json_t *resources; // name -> amount
    json_t *jobs;      // open ones
    json_t *update;    // the last one
    bool late_allowed;
    bool folded; // the next update tells several ticks
    size_t events;
    char fault[512];
};

struct sync_player *sync_player_new(uint32_t empire)
{
    struct sync_player *p = calloc(1, sizeof *p);
    if (!p)
        abort();
    p->empire = empire;
    (void)mm_id_format(p->empire_id, "empire_", sync_world_empire_id(empire));
    p->entities = json_object();
    p->memories = json_object();
    p->hexes = json_object();
    p->names = json_object();
    p->resources = json_object();
    p->jobs = json_object();
    return p;
}

void sync_player_free(struct sync_player *p)
{
    json_decref(p->entities);
    json_decref(p->memories);
    json_decref(p->hexes);
    json_decref(p->names);
    json_decref(p->resources);
    json_decref(p->jobs);
    json_decref(p->update);
    free(p);
}

__attribute__((format(printf, 2, 3))) static void fault(struct sync_player *p, const char *format,
                                                        ...)
{
    if (p->fault[0])
        return;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(p->fault, sizeof p->fault, format, args);
    va_end(args);
}

const char *sync_player_fault(const struct sync_player *p)
{
    return p->fault[0] ? p->fault : NULL;
}

void sync_player_allow_fold(struct sync_player *p, bool fold)
{
    p->folded = fold;
}

void sync_player_allow_late(struct sync_player *p)
{
    p->late_allowed = true;
}

uint64_t sync_player_deferred(const struct sync_player *p)
{
    return (uint64_t)json_integer_value(json_object_get(p->update, "deferred"));
}

uint64_t sync_player_tick(const struct sync_player *p)
{
    return p->tick;
}

uint64_t sync_player_position(const struct sync_player *p)
{
    return p->position;
}

uint64_t sync_player_settled(const struct sync_player *p)
{
    return p->settled;
}

long long sync_player_resource(const struct sync_player *p, const char *name)
{
    const json_t *amount = json_object_get(p->resources, name);
    return amount ? json_integer_value(amount) : -1;
}

size_t sync_player_open_jobs(const struct sync_player *p)
{
    return json_object_size(p->jobs);
}

size_t sync_player_events(const struct sync_player *p)
{
    return p->events;
}

// --- taking messages -----------------------------------------------------------------------------

static const char *id_of(const json_t *entity)
{
    const char *id = json_string_value(json_object_get(entity, "id"));
    return id ? id : "?";
}

static void check_owner(struct sync_player *p, const json_t *entity)
{
    const char *owner = json_string_value(json_object_get(entity, "owner"));
    if (owner && !json_object_get(p->names, owner))
        fault(p, "the owner %s of %s was never named", owner, id_of(entity));
}

static void check_secrets(struct sync_player *p, const json_t *known)
{
    const char *owner = json_string_value(json_object_get(known, "owner"));
    const json_t *data = json_object_get(known, "data");
    bool own = owner && strcmp(owner, p->empire_id) == 0;
    if (!own && (json_object_get(data, "carried") || json_object_get(data, "target")))
        fault(p, "%s is not ours, yet its secrets were told", id_of(known));
}

static void take_explored(struct sync_player *p, const json_t *message)
{
    if (json_is_true(json_object_get(message, "reset"))) {
        json_object_clear(p->entities);
        json_object_clear(p->memories);
        json_object_clear(p->hexes);
        json_object_clear(p->names);
        json_object_clear(p->jobs);
        json_object_clear(p->resources);
    }
    size_t i;
    json_t *hex;
    for (i = 0; i < json_array_size(json_object_get(message, "hexes")); i++) {
        hex = json_array_get(json_object_get(message, "hexes"), i);
        const json_t *at = json_object_get(hex, "hex");
        char key[32];
        (void)snprintf(key, sizeof key, "%lld,%lld", json_integer_value(json_array_get(at, 0)),
                       json_integer_value(json_array_get(at, 1)));
        json_object_set_new(
            p->hexes, key,
            json_pack("{s:i, s:O}", "state", 1, "terrain", json_object_get(hex, "terrain")));
    }
}

static void take_vision(struct sync_player *p, const json_t *vision)
{
    size_t i;
    json_t *hex;
    for (i = 0; i < json_array_size(vision); i++) {
        hex = json_array_get(vision, i);
        const json_t *at = json_object_get(hex, "hex");
        char key[32];
        (void)snprintf(key, sizeof key, "%lld,%lld", json_integer_value(json_array_get(at, 0)),
                       json_integer_value(json_array_get(at, 1)));
        json_t *known = json_object_get(p->hexes, key);
        json_t *terrain = json_object_get(hex, "terrain");
        long long state = json_integer_value(json_object_get(hex, "state"));
        if (state == 0) {
            json_object_del(p->hexes, key);
            continue;
        }
        if (!known && !terrain)
            fault(p, "hex %s is shown without ever a terrain", key);
        if (!p->resuming && known && terrain &&
            json_equal(terrain, json_object_get(known, "terrain")))
            fault(p, "the terrain of hex %s was told twice", key);
        json_t *kept = terrain ? terrain : json_object_get(known, "terrain");
        json_object_set_new(p->hexes, key,
                            json_pack("{s:I, s:O}", "state", (json_int_t)state, "terrain",
                                      kept ? kept : json_null()));
    }
}

static void merge(struct sync_player *p, json_t *known, const json_t *change)
{
    json_t *fields = (json_t *)(uintptr_t)change;
    for (void *at = json_object_iter(fields); at; at = json_object_iter_next(fields, at)) {
        const char *key = json_object_iter_key(at);
        json_t *value = json_object_iter_value(at);
        if (strcmp(key, "data") == 0) {
            json_object_update(json_object_get(known, "data"), value);
        } else if (strcmp(key, "owner") == 0 && json_is_null(value)) {
            json_object_del(known, "owner");
        } else {
            json_object_set(known, key, value);
        }
    }
    const char *owner = json_string_value(json_object_get(known, "owner"));
    if (!owner || strcmp(owner, p->empire_id) != 0) {
        // What it knew of an entity that was its own is no secret; it just no longer holds.
        if (!json_object_get(change, "data"))
            change = NULL;
        json_t *data = json_object_get(change, "data");
        if (json_object_get(data, "carried") || json_object_get(data, "target"))
            fault(p, "%s is not ours, yet its secrets were told", id_of(known));
        json_object_del(json_object_get(known, "data"), "carried");
        json_object_del(json_object_get(known, "data"), "target");
    }
}

static void take_entities(struct sync_player *p, const json_t *update)
{
    size_t i;
    json_t *entity;
    for (i = 0; i < json_array_size(json_object_get(update, "appeared")); i++) {
        entity = json_array_get(json_object_get(update, "appeared"), i);
        check_owner(p, entity);
        check_secrets(p, entity);
        if (!p->late_allowed && !p->resuming && !p->folded &&
            json_object_get(p->entities, id_of(entity)))
            fault(p, "%s appeared though it was in sight", id_of(entity));
        json_object_set(p->entities, id_of(entity), entity);
        json_object_del(p->memories, id_of(entity));
    }
    for (i = 0; i < json_array_size(json_object_get(update, "changed")); i++) {
        entity = json_array_get(json_object_get(update, "changed"), i);
        json_t *known = json_object_get(p->entities, id_of(entity));
        if (!known) {
            fault(p, "%s changed though it is not in sight", id_of(entity));
            continue;
        }
        if (json_object_size(entity) < 2)
            fault(p, "%s changed in nothing", id_of(entity));
        check_owner(p, entity);
        merge(p, known, entity);
    }
    for (i = 0; i < json_array_size(json_object_get(update, "disappeared")); i++) {
        entity = json_array_get(json_object_get(update, "disappeared"), i);
        const char *id = json_string_value(entity);
        if (json_object_del(p->entities, id) != 0 && json_object_del(p->memories, id) != 0 &&
            !p->resuming)
            fault(p, "%s disappeared though it was not known", id);
    }
}

static void take_jobs(struct sync_player *p, const json_t *jobs)
{
    size_t i;
    json_t *job;
    for (i = 0; i < json_array_size(jobs); i++) {
        job = json_array_get(jobs, i);
        const char *event = json_string_value(json_object_get(job, "event"));
        const char *id = json_string_value(json_object_get(job, "job"));
        if (!event || !id)
            fault(p, "a job without event or id");
        else if (strcmp(event, "started") == 0 || strcmp(event, "progress") == 0)
            json_object_set(p->jobs, id, job);
        else
            json_object_del(p->jobs, id);
    }
}

// Events name what was in sight before this update or is after it.
static void take_events(struct sync_player *p, const json_t *events, const json_t *before)
{
    size_t i;
    json_t *event;
    for (i = 0; i < json_array_size(events); i++) {
        event = json_array_get(events, i);
        p->events++;
        static const char *const roles[] = {"entity", "other"};
        for (size_t k = 0; k < 2; k++) {
            const char *id = json_string_value(json_object_get(event, roles[k]));
            if (id && !json_object_get(p->entities, id) && !json_object_get(before, id))
                fault(p, "an event names %s, which is not in sight", id);
        }
    }
}

static void take_tick_and_names(struct sync_player *p, const json_t *message)
{
    uint64_t tick = (uint64_t)json_integer_value(json_object_get(message, "tick"));
    if (tick < p->tick)
        fault(p, "the tick went back from %llu to %llu", (unsigned long long)p->tick,
              (unsigned long long)tick);
    p->tick = tick;
    size_t i;
    json_t *empire;
    for (i = 0; i < json_array_size(json_object_get(message, "empires")); i++) {
        empire = json_array_get(json_object_get(message, "empires"), i);
        json_object_set(p->names, id_of(empire), json_object_get(empire, "name"));
    }
}

// The difference from what is known follows, and all jobs there are.
static void take_resumed(struct sync_player *p, const json_t *message)
{
    take_tick_and_names(p, message);
    json_object_clear(p->jobs);
    p->resuming = true;
}

static void take_update(struct sync_player *p, json_t *update)
{
    json_decref(p->update);
    p->update = json_incref(update);
    take_tick_and_names(p, update);
    json_t *before = json_copy(p->entities);
    take_entities(p, update);
    take_events(p, json_object_get(update, "events"), before);
    json_decref(before);
    take_vision(p, json_object_get(update, "vision"));
    if (json_object_get(update, "resources"))
        json_object_update(p->resources, json_object_get(update, "resources"));
    take_jobs(p, json_object_get(update, "jobs"));
    // One of nothing but names goes before something else.
    if (json_object_size(update) == 3 && json_object_get(update, "empires"))
        return;
    p->position = p->tick;
    if (sync_player_deferred(p) == 0)
        p->settled = p->tick;
    p->resuming = false;
}

static void take_cached(struct sync_player *p, const json_t *message)
{
    const char *id = json_string_value(json_object_get(message, "entity_id"));
    json_t *known = id ? json_object_get(p->entities, id) : NULL;
    if (!known) {
        fault(p, "%s is remembered though it was not in sight", id ? id : "?");
        return;
    }
    json_t *memory = json_deep_copy(known);
    json_object_set(memory, "last_seen", json_object_get(message, "last_seen"));
    json_object_set_new(memory, "stale_health", json_incref(json_object_get(memory, "health")));
    json_object_set_new(p->memories, id, memory);
    json_object_del(p->entities, id);
}

static void take_snapshot(struct sync_player *p, const json_t *entity)
{
    check_owner(p, entity);
    if (!json_is_true(json_object_get(entity, "is_stale")))
        fault(p, "a snapshot of %s that is not stale", id_of(entity));
    json_t *memory = json_deep_copy(entity);
    json_object_set(memory, "stale_health",
                    json_object_get(json_object_get(entity, "data"), "health"));
    json_object_set_new(p->memories, id_of(entity), memory);
    json_object_del(p->entities, id_of(entity));
}

void sync_player_take(struct sync_player *p, const char *text, size_t len)
{
    json_error_t error;
    json_t *message = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
    const char *type = json_string_value(json_object_get(message, "type"));
    if (!message)
        fault(p, "not JSON: %s in %.*s", error.text, (int)(len < 300 ? len : 300), text);
    else if (!type)
        fault(p, "no type");
    else if (strcmp(type, "update") == 0)
        take_update(p, message);
    else if (strcmp(type, "resumed") == 0)
        take_resumed(p, message);
    else if (strcmp(type, "explored_hexes") == 0)
        take_explored(p, message);
    else if (strcmp(type, "entity_cached") == 0)
        take_cached(p, message);
    else if (strcmp(type, "entity_snapshot") == 0)
        take_snapshot(p, json_object_get(message, "entity"));
    else
        fault(p, "unexpected message %s", type);
    json_decref(message);
}

// --- comparing -----------------------------------------------------------------------------------

static const char *prefix_of(uint32_t type)
{
    static const char *const prefixes[] = {"", "unit_", "building_", "resource_"};
    return prefixes[sync_world_kind(type)];
}

static bool owner_is(const json_t *known, uint32_t owner)
{
    const char *told = json_string_value(json_object_get(known, "owner"));
    char id[MM_ID_TEXT_BYTES];
    if (owner == 0)
        return !told;
    (void)mm_id_format(id, "empire_", sync_world_empire_id(owner));
    return told && strcmp(told, id) == 0;
}

static bool hex_is(const json_t *hex, int32_t q, int32_t r)
{
    return json_integer_value(json_array_get(hex, 0)) == q &&
           json_integer_value(json_array_get(hex, 1)) == r;
}

// A number in data, with what it means when it is missing.
static bool number_is(const json_t *data, const char *key, long long missing, long long wanted)
{
    const json_t *value = json_object_get(data, key);
    return (value ? json_integer_value(value) : missing) == wanted;
}

static void compare_entity(struct sync_player *p, const json_t *known,
                           const struct sync_world_entity *e)
{
    static const char *const activities[] = {"idle",      "moving",   "attacking",
                                             "gathering", "building", "repairing"};
    const json_t *data = json_object_get(known, "data");
    const char *type = json_string_value(json_object_get(known, "type"));
    const char *id = id_of(known);
    if (!type || strcmp(type, sync_world_types[e->type]) != 0)
        fault(p, "%s has the wrong type", id);
    if (!hex_is(json_object_get(known, "pos"), e->q, e->r))
        fault(p, "%s is at the wrong place", id);
    if (!owner_is(known, e->owner))
        fault(p, "%s has the wrong owner", id);
    if (json_integer_value(json_object_get(known, "health")) != e->health)
        fault(p, "%s has the wrong health", id);
    const char *activity = json_string_value(json_object_get(data, "activity"));
    if (strcmp(activity ? activity : "idle", activities[e->activity]) != 0)
        fault(p, "%s has the wrong activity", id);
    if (!number_is(data, "progress", 1000, e->progress))
        fault(p, "%s has the wrong progress", id);
    if (!number_is(data, "amount", 0, e->amount))
        fault(p, "%s has the wrong amount", id);
    if (!number_is(data, "rank", 0, e->rank))
        fault(p, "%s has the wrong rank", id);
    if (e->owner != p->empire)
        return;
    if (!number_is(data, "carried", 0, e->carried))
        fault(p, "%s has the wrong load", id);
    const json_t *target = json_object_get(data, "target");
    if (e->activity == 1 && !hex_is(target, e->target_q, e->target_r))
        fault(p, "%s has the wrong target", id);
    if (e->activity != 1 && json_is_array(target))
        fault(p, "%s has a target though it does not move", id);
}

static const struct sync_world_entity *seen_by_id(const struct sync_world_truth *truth,
                                                  uint32_t empire, const char *id)
{
    for (uint32_t s = 1; s < SYNC_WORLD_SLOTS; s++) {
        const struct sync_world_entity *e = &truth->entities[s];
        char text[MM_ID_TEXT_BYTES];
        if (!truth->views[empire].sees[s])
            continue;
        (void)mm_id_format(text, prefix_of(e->type), e->id);
        if (strcmp(text, id) == 0)
            return e;
    }
    return NULL;
}

void sync_player_compare_told(struct sync_player *p, const struct sync_world_truth *truth)
{
    static const char *const parts[] = {"appeared", "changed"};
    for (size_t part = 0; part < 2; part++) {
        const json_t *list = json_object_get(p->update, parts[part]);
        for (size_t i = 0; i < json_array_size(list); i++) {
            const char *id = id_of(json_array_get(list, i));
            const struct sync_world_entity *e = seen_by_id(truth, p->empire, id);
            if (e)
                compare_entity(p, json_object_get(p->entities, id), e);
            else
                fault(p, "%s is told and not in sight", id);
        }
    }
}

static void compare_hexes(struct sync_player *p, const struct sync_world_view *view)
{
    size_t shown = 0;
    for (int32_t r = -SYNC_WORLD_SIDE / 2; r < SYNC_WORLD_SIDE / 2; r++) {
        for (int32_t q = -SYNC_WORLD_SIDE / 2; q < SYNC_WORLD_SIDE / 2; q++) {
            char key[32];
            (void)snprintf(key, sizeof key, "%d,%d", q, r);
            const json_t *known = json_object_get(p->hexes, key);
            unsigned state = view->hexes[sync_world_hex(q, r)];
            const json_t *terrain = json_object_get(known, "terrain");
            if ((unsigned)json_integer_value(json_object_get(known, "state")) != state)
                fault(p, "hex %s is shown in the wrong state (should be %u)", key, state);
            if (known && (!terrain || strcmp(json_string_value(terrain),
                                             sync_world_terrains[sync_world_terrain(q, r)]) != 0))
                fault(p, "hex %s has the wrong terrain", key);
            shown += known != NULL;
        }
    }
    if (shown != json_object_size(p->hexes))
        fault(p, "hexes outside the map are shown");
}

void sync_player_compare(struct sync_player *p, const struct sync_world_truth *truth)
{
    const struct sync_world_view *view = &truth->views[p->empire];
    size_t in_sight = 0, remembered = 0;
    for (uint32_t s = 1; s < SYNC_WORLD_SLOTS; s++) {
        if (!view->sees[s])
            continue;
        char id[MM_ID_TEXT_BYTES];
        const struct sync_world_entity *e = &truth->entities[s];
        (void)mm_id_format(id, prefix_of(e->type), e->id);
        const json_t *known = json_object_get(p->entities, id);
        in_sight++;
        if (known)
            compare_entity(p, known, e);
        else
            fault(p, "%s is in sight and not shown (slot %u)", id, s);
    }
    if (in_sight != json_object_size(p->entities))
        fault(p, "%zu entities are shown, %zu are in sight", json_object_size(p->entities),
              in_sight);
    for (uint32_t i = 0; i < SYNC_WORLD_SLOTS; i++) {
        const struct sync_world_memory *m = &view->memories[i];
        if (!m->known)
            continue;
        char id[MM_ID_TEXT_BYTES];
        (void)mm_id_format(id, prefix_of(m->type), m->id);
        const json_t *known = json_object_get(p->memories, id);
        remembered++;
        if (!known)
            fault(p, "%s is remembered and not shown", id);
        else if (!hex_is(json_object_get(known, "pos"), m->q, m->r) || !owner_is(known, m->owner) ||
                 json_integer_value(json_object_get(known, "stale_health")) != m->health)
            fault(p, "the memory of %s is wrong", id);
    }
    if (remembered != json_object_size(p->memories))
        fault(p, "%zu memories are shown, there are %zu", json_object_size(p->memories),
              remembered);
    compare_hexes(p, view);
}
