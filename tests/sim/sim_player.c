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

void sim_player_reset(struct sim_player *player)
{
    player->named = 0;
    memset(player->visible, 0, sizeof player->visible);
    memset(player->explored, 0, sizeof player->explored);
    player->entity_count = player->memory_count = player->job_count = 0;
    for (size_t i = 0; i < SIM_ITEMS; i++)
        player->stock[i] = -1;
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

static struct sim_known *find(struct sim_known *list, uint32_t count, uint64_t id)
{
    for (uint32_t i = 0; i < count; i++)
        if (list[i].id == id)
            return &list[i];
    return NULL;
}

static bool drop(struct sim_known *list, uint32_t *count, uint64_t id)
{
    struct sim_known *known = find(list, *count, id);
    if (known)
        *known = list[--*count];
    return known != NULL;
}

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
    struct sim_player *p = r->player;
    unsigned kind = 0;
    struct sim_known known = {.id = read_id(r, sim_json_get(&json, object, "id"), &kind),
                              .progress = 1000};
    known.type = read_type(r, object, kind);
    known.owner = named_owner(r, sim_json_get(&json, object, "owner"));
    read_hex(r, sim_json_get(&json, object, "pos"), &known.q, &known.r);
    known.health = read_int(r, object, "health", -1);
    read_data(r, sim_json_get(&json, object, "data"), &known);
    if (find(p->entities, p->entity_count, known.id))
        FAIL(r, "an entity appears that is in sight");
    (void)drop(p->memories, &p->memory_count, known.id);
    if (p->entity_count == SIM_ENTITIES)
        FAIL(r, "more entities than there are");
    else
        p->entities[p->entity_count++] = known;
}

static void changed(struct reading *r, uint32_t object)
{
    struct sim_player *p = r->player;
    unsigned kind = 0;
    uint64_t id = read_id(r, sim_json_get(&json, object, "id"), &kind);
    struct sim_known *known = find(p->entities, p->entity_count, id);
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
    struct sim_player *p = r->player;
    unsigned kind = 0;
    uint64_t id = read_id(r, node, &kind);
    if (!drop(p->entities, &p->entity_count, id) && !drop(p->memories, &p->memory_count, id))
        FAIL(r, "an entity disappears that it did not know");
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
    struct sim_player *p = r->player;
    int32_t q = 0, at_r = 0;
    read_hex(r, sim_json_get(&json, object, "hex"), &q, &at_r);
    check_terrain(r, object, q, at_r);
    int32_t state = read_int(r, object, "state", -1);
    if (r->bad || state < 0 || state > 2) {
        FAIL(r, "a hex's state that is none");
        return;
    }
    uint64_t bit = UINT64_C(1) << (q + SIM_HALF);
    uint64_t *known = &p->explored[at_r + SIM_HALF], *visible = &p->visible[at_r + SIM_HALF];
    bool with_terrain = sim_json_get(&json, object, "terrain") != 0;
    if (with_terrain == ((*known & bit) != 0) && state != 0)
        FAIL(r, "the terrain of (%d, %d) %s", q, at_r, with_terrain ? "twice" : "never");
    *known = state == 0 ? *known & ~bit : *known | bit;
    *visible = state == 2 ? *visible | bit : *visible & ~bit;
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
    struct sim_player *p = r->player;
    uint32_t event = sim_json_get(&json, object, "event"),
             node = sim_json_get(&json, object, "job");
    uint64_t id = 0;
    uint32_t at = 0;
    if (!event || !node ||
        mm_id_parse(json.text + json.nodes[node].from, json.nodes[node].len, "job_", &id) !=
            MM_OK) {
        FAIL(r, "a job without event or id");
        return;
    }
    while (at < p->job_count && p->jobs[at] != id)
        at++;
    bool open = sim_json_is(&json, event, "started") || sim_json_is(&json, event, "progress");
    if (open && at == p->job_count && p->job_count < SIM_JOBS)
        p->jobs[p->job_count++] = id;
    if (!open && at < p->job_count)
        p->jobs[at] = p->jobs[--p->job_count];
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
    static const char *const keys[] = {"type",    "tick",        "full",   "empires",   "appeared",
                                       "changed", "disappeared", "vision", "resources", "jobs"};
    for (uint32_t i = message + 1; i < sim_json_end(&json, message);
         i = sim_json_end(&json, i + 1)) {
        bool known = false;
        for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
            known |= sim_json_is(&json, i, keys[k]);
        if (!known)
            FAIL(r, "%.*s, of which nothing is known here", (int)json.nodes[i].len,
                 json.text + json.nodes[i].from);
    }
    uint64_t tick = read_tick(r, message, "tick");
    if (tick < r->player->tick)
        FAIL(r, "tick %llu after %llu", (unsigned long long)tick,
             (unsigned long long)r->player->tick);
    r->player->tick = tick;
    each(r, message, "empires", name);
    each(r, message, "appeared", appeared);
    each(r, message, "changed", changed);
    each(r, message, "disappeared", disappeared);
    each(r, message, "vision", hex_news);
    resources(r, message);
    each(r, message, "jobs", job);
}

static void remember(struct reading *r, struct sim_known known, uint32_t object)
{
    struct sim_player *p = r->player;
    known.last_seen = read_tick(r, object, "last_seen");
    known.expires_at = read_tick(r, object, "expires_at");
    uint32_t mode = sim_json_get(&json, object, "cache_mode");
    if (!mode || !sim_json_is(&json, mode, known.expires_at ? "timed" : "permanent"))
        FAIL(r, "a memory whose mode and expiry disagree");
    (void)drop(p->memories, &p->memory_count, known.id);
    if (p->memory_count == SIM_MEMORIES)
        FAIL(r, "more memories than there can be");
    else
        p->memories[p->memory_count++] = known;
}

static void cached(struct reading *r, uint32_t message)
{
    struct sim_player *p = r->player;
    unsigned kind = 0;
    uint64_t id = read_id(r, sim_json_get(&json, message, "entity_id"), &kind);
    struct sim_known *known = find(p->entities, p->entity_count, id);
    if (!known) {
        FAIL(r, "an entity is remembered that was not in sight");
        return;
    }
    remember(r, *known, message);
    (void)drop(p->entities, &p->entity_count, id);
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
    (void)drop(r->player->entities, &r->player->entity_count, known.id);
    remember(r, known, object);
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
