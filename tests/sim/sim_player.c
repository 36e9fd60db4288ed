#include "tests/sim/sim_internal.h"

#include "libcommon/base/id.h"
#include "tests/sim/sim_json.h"

#include <stdlib.h>
#include <string.h>

// A player's program, written from docs/client-protocol.md: reads every message and keeps what it
// says. What the protocol does not allow is a failure at once.

static struct sim_json json;

struct reading {
    struct sim *sim;
    struct sim_player *player;
    bool bad;
};

#define FAIL(reading, ...)                                                                         \
    ((reading)->bad = true, sim_fail((reading)->sim, "a player was told: " __VA_ARGS__))

// --- what a player knows, however it was told ----------------------------------------------------

#define PROTOCOL(sim, ...) sim_fail((sim), "a player was told: " __VA_ARGS__)

void sim_player_reset(struct sim_player *player)
{
    player->named = 0;
    memset(player->visible, 0, sizeof player->visible);
    memset(player->explored, 0, sizeof player->explored);
    player->entity_count = player->memory_count = player->job_count = 0;
    for (size_t i = 0; i < SIM_ITEMS; i++)
        player->stock[i] = -1;
    player->complete = player->resuming = false;
}

void sim_player_welcome(struct sim_player *player, uint64_t token, bool resumed)
{
    player->token = token;
    if (resumed)
        return;
    sim_player_reset(player);
    wire_decoder_free(&player->decoder);
    wire_decoder_init(&player->decoder);
}

void sim_player_resumed(struct sim_player *player)
{
    player->resuming = true;
    player->job_count = 0;
    for (size_t i = 0; i < SIM_ITEMS; i++)
        player->stock[i] = -1;
}

struct sim_known *sim_player_find(struct sim_known *list, uint32_t count, uint64_t id)
{
    for (uint32_t i = 0; i < count; i++)
        if (list[i].id == id)
            return &list[i];
    return NULL;
}

bool sim_player_drop(struct sim_known *list, uint32_t *count, uint64_t id)
{
    struct sim_known *known = sim_player_find(list, *count, id);
    if (known)
        *known = list[--*count];
    return known != NULL;
}

void sim_player_appeared(struct sim *sim, struct sim_player *p, struct sim_known known)
{
    // What was deferred, or is told to who was away, may be in sight already.
    if (sim_player_drop(p->entities, &p->entity_count, known.id) && !p->resuming && !p->has_budget)
        PROTOCOL(sim, "an entity appears that is in sight");
    (void)sim_player_drop(p->memories, &p->memory_count, known.id);
    if (p->entity_count == SIM_ENTITIES)
        PROTOCOL(sim, "more entities than there are");
    else
        p->entities[p->entity_count++] = known;
}

void sim_player_disappeared(struct sim *sim, struct sim_player *p, uint64_t id)
{
    if (!sim_player_drop(p->entities, &p->entity_count, id) &&
        !sim_player_drop(p->memories, &p->memory_count, id) && !p->resuming && !p->has_budget)
        PROTOCOL(sim, "an entity disappears that it did not know");
}

void sim_player_remember(struct sim *sim, struct sim_player *p, struct sim_known known,
                         bool was_in_sight)
{
    bool dropped = sim_player_drop(p->entities, &p->entity_count, known.id);
    if (was_in_sight && !dropped)
        PROTOCOL(sim, "an entity is remembered that was not in sight");
    (void)sim_player_drop(p->memories, &p->memory_count, known.id);
    if (p->memory_count == SIM_MEMORIES)
        PROTOCOL(sim, "more memories than there can be");
    else
        p->memories[p->memory_count++] = known;
}

void sim_player_hex(struct sim *sim, struct sim_player *p, int32_t q, int32_t at_r, uint32_t state,
                    bool with_terrain)
{
    uint64_t bit = UINT64_C(1) << (q + SIM_HALF);
    uint64_t *known = &p->explored[at_r + SIM_HALF], *visible = &p->visible[at_r + SIM_HALF];
    // Who was away may have been told of it; and what is forgotten and explored anew before it was
    // told is news twice.
    bool again = with_terrain && (*known & bit) && (p->resuming || p->has_budget);
    if (with_terrain == ((*known & bit) != 0) && state != 0 && !again)
        PROTOCOL(sim, "the terrain of (%d, %d) %s", q, at_r, with_terrain ? "twice" : "never");
    *known = state == 0 ? *known & ~bit : *known | bit;
    *visible = state == 2 ? *visible | bit : *visible & ~bit;
}

void sim_player_job(struct sim_player *p, uint64_t id, bool open)
{
    uint32_t at = 0;
    while (at < p->job_count && p->jobs[at] != id)
        at++;
    if (open && at == p->job_count && p->job_count < SIM_JOBS)
        p->jobs[p->job_count++] = id;
    if (!open && at < p->job_count)
        p->jobs[at] = p->jobs[--p->job_count];
}

void sim_player_update(struct sim *sim, struct sim_player *p, uint64_t tick)
{
    if (tick < p->tick)
        PROTOCOL(sim, "tick %llu after %llu", (unsigned long long)tick,
                 (unsigned long long)p->tick);
    p->tick = tick;
}

void sim_player_updated(struct sim_player *p, bool full, bool only_names, uint64_t deferred)
{
    if (only_names)
        return;
    p->complete |= full;
    p->resuming = false;
    p->last_tick = p->tick;
    if (deferred == 0)
        p->settled_tick = p->tick;
}

// --- values --------------------------------------------------------------------------------------

static const char *const kinds[] = {"unknown", "unit", "building", "resource", "npc"};

// The id and, by its prefix, the kind.
static uint64_t read_id(struct reading *r, uint32_t node, unsigned *kind_out)
{
    static const char *const prefixes[] = {"", "unit_", "building_", "resource_", "npc_"};
    const struct sim_json_node *n = &json.nodes[node];
    uint64_t id = 0;
    for (unsigned kind = 1; kind < 5 && node; kind++) {
        *kind_out = kind;
        if (n->kind == '"' &&
            mm_id_parse(json.text + n->from, n->len, prefixes[kind], &id) == MM_OK)
            return id;
    }
    FAIL(r, "an id that is none");
    return 0;
}

// 0 for nobody.
static uint32_t read_owner(struct reading *r, uint32_t node)
{
    if (node == 0 || json.nodes[node].kind == 'n')
        return 0;
    const struct sim_json_node *n = &json.nodes[node];
    uint64_t id;
    if (n->kind == '"' && mm_id_parse(json.text + n->from, n->len, "empire_", &id) == MM_OK) {
        for (uint32_t empire = 1; empire <= SIM_EMPIRES; empire++)
            if (r->sim->empire_ids[empire] == id)
                return empire;
    }
    FAIL(r, "an owner that does not exist");
    return 0;
}

static uint32_t named_owner(struct reading *r, uint32_t node)
{
    uint32_t owner = read_owner(r, node);
    if (owner && !(r->player->named >> owner & 1))
        FAIL(r, "an owner (empire %u) that was never named", owner);
    return owner;
}

static void read_hex(struct reading *r, uint32_t node, int32_t *q, int32_t *at_r)
{
    if (node == 0 || json.nodes[node].kind != '[' || json.nodes[node].next != node + 3) {
        FAIL(r, "a place that is none");
        return;
    }
    *q = (int32_t)sim_json_int(&json, node + 1, 0, &r->bad);
    *at_r = (int32_t)sim_json_int(&json, node + 2, 0, &r->bad);
    if (!sim_on_map(*q, *at_r))
        FAIL(r, "a place (%d, %d) far off the map", *q, *at_r);
}

static uint32_t read_type(struct reading *r, uint32_t object, unsigned kind)
{
    uint32_t name = sim_json_get(&json, object, "type");
    uint32_t kind_node = sim_json_get(&json, object, "kind");
    for (uint32_t type = 0; name && kind_node && type < SIM_TYPES; type++)
        if (sim_json_is(&json, name, sim_types[type].name) && sim_types[type].kind == kind &&
            sim_json_is(&json, kind_node, kinds[kind]))
            return type;
    FAIL(r, "an entity of a type or kind that it is not");
    return 0;
}

static int32_t read_int(struct reading *r, uint32_t object, const char *key, int32_t fallback)
{
    bool bad = false;
    int64_t number = sim_json_int(&json, sim_json_get(&json, object, key), fallback, &bad);
    if (bad)
        FAIL(r, "%s is no number", key);
    return (int32_t)number;
}

static uint64_t read_tick(struct reading *r, uint32_t object, const char *key)
{
    bool bad = false;
    int64_t number = sim_json_int(&json, sim_json_get(&json, object, key), 0, &bad);
    if (bad || number < 0)
        FAIL(r, "%s is no tick", key);
    return (uint64_t)number;
}

// --- entities ------------------------------------------------------------------------------------

static void read_data(struct reading *r, uint32_t data, struct sim_known *known)
{
    static const char *const activities[] = {"idle",      "moving",   "attacking",
                                             "gathering", "building", "repairing"};
    if (data == 0)
        return;
    uint32_t activity = sim_json_get(&json, data, "activity");
    for (uint32_t i = 0; activity && i < 6; i++)
        if (sim_json_is(&json, activity, activities[i]))
            known->activity = i;
    known->progress = read_int(r, data, "progress", known->progress);
    known->amount = read_int(r, data, "amount", known->amount);
    known->rank = read_int(r, data, "rank", known->rank);
    uint32_t carried = sim_json_get(&json, data, "carried");
    uint32_t target = sim_json_get(&json, data, "target");
    if ((carried || target) && known->owner != r->player->empire)
        FAIL(r, "what only the owner of an entity may know");
    known->carried = read_int(r, data, "carried", known->carried);
    if (!target)
        return;
    known->has_target = json.nodes[target].kind != 'n';
    if (known->has_target)
        read_hex(r, target, &known->target_q, &known->target_r);
}

static void appeared(struct reading *r, uint32_t object)
{
    unsigned kind = 0;
    struct sim_known known = {.id = read_id(r, sim_json_get(&json, object, "id"), &kind),
                              .progress = 1000};
    known.type = read_type(r, object, kind);
    known.owner = named_owner(r, sim_json_get(&json, object, "owner"));
    read_hex(r, sim_json_get(&json, object, "pos"), &known.q, &known.r);
    known.health = read_int(r, object, "health", -1);
    read_data(r, sim_json_get(&json, object, "data"), &known);
    sim_player_appeared(r->sim, r->player, known);
}

static void changed(struct reading *r, uint32_t object)
{
    struct sim_player *p = r->player;
    unsigned kind = 0;
    uint64_t id = read_id(r, sim_json_get(&json, object, "id"), &kind);
    struct sim_known *known = sim_player_find(p->entities, p->entity_count, id);
    if (!known) {
        FAIL(r, "an entity changes that is not in sight");
        return;
    }
    uint32_t owner = sim_json_get(&json, object, "owner"), pos = sim_json_get(&json, object, "pos");
    if (owner)
        known->owner = named_owner(r, owner);
    if (pos)
        read_hex(r, pos, &known->q, &known->r);
    known->health = read_int(r, object, "health", known->health);
    read_data(r, sim_json_get(&json, object, "data"), known);
    if (known->owner != p->empire) {
        // What it knew of an entity of its own no longer holds.
        known->carried = 0;
        known->has_target = false;
    }
}

static void disappeared(struct reading *r, uint32_t node)
{
    unsigned kind = 0;
    sim_player_disappeared(r->sim, r->player, read_id(r, node, &kind));
}

// --- hexes ---------------------------------------------------------------------------------------

static void check_terrain(struct reading *r, uint32_t object, int32_t q, int32_t at_r)
{
    uint32_t terrain = sim_json_get(&json, object, "terrain");
    if (r->bad || !terrain)
        return;
    unsigned truth = r->sim->terrain[at_r + SIM_HALF][q + SIM_HALF];
    if (!sim_json_is(&json, terrain, sim_terrains[truth]))
        FAIL(r, "the wrong terrain of (%d, %d)", q, at_r);
}

static void explored(struct reading *r, uint32_t message)
{
    uint32_t reset = sim_json_get(&json, message, "reset");
    if (reset && json.nodes[reset].kind == 't')
        sim_player_reset(r->player);
    uint32_t list = sim_json_get(&json, message, "hexes");
    for (uint32_t i = list + 1; list && i < sim_json_end(&json, list) && !r->bad;
         i = sim_json_end(&json, i)) {
        int32_t q = 0, at_r = 0;
        read_hex(r, sim_json_get(&json, i, "hex"), &q, &at_r);
        if (!sim_json_get(&json, i, "terrain"))
            FAIL(r, "an explored hex without a terrain");
        check_terrain(r, i, q, at_r);
        if (!r->bad)
            r->player->explored[at_r + SIM_HALF] |= UINT64_C(1) << (q + SIM_HALF);
    }
}

static void hex_news(struct reading *r, uint32_t object)
{
    int32_t q = 0, at_r = 0;
    read_hex(r, sim_json_get(&json, object, "hex"), &q, &at_r);
    check_terrain(r, object, q, at_r);
    int32_t state = read_int(r, object, "state", -1);
    if (r->bad || state < 0 || state > 2) {
        FAIL(r, "a hex's state that is none");
        return;
    }
    sim_player_hex(r->sim, r->player, q, at_r, (uint32_t)state,
                   sim_json_get(&json, object, "terrain") != 0);
}

// --- production ----------------------------------------------------------------------------------

static void resources(struct reading *r, uint32_t message)
{
    uint32_t object = sim_json_get(&json, message, "resources");
    for (size_t i = 0; object && i < SIM_ITEMS; i++)
        r->player->stock[i] = sim_json_int(&json, sim_json_get(&json, object, sim_items[i]),
                                           r->player->stock[i], &r->bad);
}

static void job(struct reading *r, uint32_t object)
{
    uint32_t event = sim_json_get(&json, object, "event"),
             node = sim_json_get(&json, object, "job");
    uint64_t id = 0;
    if (!event || !node ||
        mm_id_parse(json.text + json.nodes[node].from, json.nodes[node].len, "job_", &id) !=
            MM_OK) {
        FAIL(r, "a job without event or id");
        return;
    }
    sim_player_job(r->player, id,
                   sim_json_is(&json, event, "started") || sim_json_is(&json, event, "progress"));
}

// --- messages ------------------------------------------------------------------------------------

static void each(struct reading *r, uint32_t message, const char *key,
                 void (*take)(struct reading *r, uint32_t node))
{
    uint32_t list = sim_json_get(&json, message, key);
    for (uint32_t i = list + 1; list && i < sim_json_end(&json, list) && !r->bad;
         i = sim_json_end(&json, i))
        take(r, i);
}

static void name(struct reading *r, uint32_t object)
{
    r->player->named |= UINT64_C(1) << read_owner(r, sim_json_get(&json, object, "id"));
}

static void update(struct reading *r, uint32_t message)
{
    static const char *const keys[] = {"type",      "tick",    "full",        "empires",
                                       "appeared",  "changed", "disappeared", "vision",
                                       "resources", "jobs",    "deferred"};
    bool only_names = sim_json_get(&json, message, "empires") != 0;
    for (uint32_t i = message + 1; i < sim_json_end(&json, message);
         i = sim_json_end(&json, i + 1)) {
        size_t k = 0;
        while (k < sizeof keys / sizeof *keys && !sim_json_is(&json, i, keys[k]))
            k++;
        if (k == sizeof keys / sizeof *keys)
            FAIL(r, "%.*s, of which nothing is known here", (int)json.nodes[i].len,
                 json.text + json.nodes[i].from);
        only_names &= k < 2 || k == 3;
    }
    sim_player_update(r->sim, r->player, read_tick(r, message, "tick"));
    each(r, message, "empires", name);
    each(r, message, "appeared", appeared);
    each(r, message, "changed", changed);
    each(r, message, "disappeared", disappeared);
    each(r, message, "vision", hex_news);
    resources(r, message);
    each(r, message, "jobs", job);
    sim_player_updated(r->player, sim_json_get(&json, message, "full") != 0, only_names,
                       read_tick(r, message, "deferred"));
}

static void resumed(struct reading *r, uint32_t message)
{
    sim_player_update(r->sim, r->player, read_tick(r, message, "tick"));
    sim_player_resumed(r->player);
    each(r, message, "empires", name);
}

static struct sim_known read_cache(struct reading *r, struct sim_known known, uint32_t object)
{
    known.last_seen = read_tick(r, object, "last_seen");
    known.expires_at = read_tick(r, object, "expires_at");
    uint32_t mode = sim_json_get(&json, object, "cache_mode");
    if (!mode || !sim_json_is(&json, mode, known.expires_at ? "timed" : "permanent"))
        FAIL(r, "a memory whose mode and expiry disagree");
    return known;
}

static void cached(struct reading *r, uint32_t message)
{
    struct sim_player *p = r->player;
    unsigned kind = 0;
    uint64_t id = read_id(r, sim_json_get(&json, message, "entity_id"), &kind);
    const struct sim_known *known = sim_player_find(p->entities, p->entity_count, id);
    if (known)
        sim_player_remember(r->sim, p, read_cache(r, *known, message), true);
    else
        FAIL(r, "an entity is remembered that was not in sight");
}

static void snapshot(struct reading *r, uint32_t message)
{
    uint32_t object = sim_json_get(&json, message, "entity");
    unsigned kind = 0;
    struct sim_known known = {.id = read_id(r, sim_json_get(&json, object, "id"), &kind)};
    known.type = read_type(r, object, kind);
    known.owner = named_owner(r, sim_json_get(&json, object, "owner"));
    read_hex(r, sim_json_get(&json, object, "pos"), &known.q, &known.r);
    known.health = read_int(r, sim_json_get(&json, object, "data"), "health", -1);
    uint32_t stale = sim_json_get(&json, object, "is_stale");
    if (!stale || json.nodes[stale].kind != 't')
        FAIL(r, "a snapshot that is not stale");
    sim_player_remember(r->sim, r->player, read_cache(r, known, object), false);
}

void sim_player_take(struct sim *sim, struct sim_player *player, const char *text, size_t len)
{
    struct reading r = {sim, player, false};
    if (!sim_json_read(&json, text, len)) {
        FAIL(&r, "what is not JSON: %.*s", (int)(len < 200 ? len : 200), text);
        return;
    }
    uint32_t type = sim_json_get(&json, 0, "type");
    if (type && sim_json_is(&json, type, "update"))
        update(&r, 0);
    else if (type && sim_json_is(&json, type, "explored_hexes"))
        explored(&r, 0);
    else if (type && sim_json_is(&json, type, "resumed"))
        resumed(&r, 0);
    else if (type && sim_json_is(&json, type, "entity_cached"))
        cached(&r, 0);
    else if (type && sim_json_is(&json, type, "entity_snapshot"))
        snapshot(&r, 0);
    else
        FAIL(&r, "a message of unknown type: %.*s", (int)(len < 200 ? len : 200), text);
    if (r.bad)
        sim_fail(sim, "a player was told something unreadable: %.*s", (int)(len < 200 ? len : 200),
                 text);
}
