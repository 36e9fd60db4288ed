#include "tools/bots/game.h"

#include "libcommon/base/str.h"
#include <string.h>

enum { RESOURCES_MAX = 64 };

bool game_init(struct game *game)
{
    memset(game, 0, sizeof *game);
    mm_vec_init(&game->own, GAME_OWN_MAX);
    mm_vec_init(&game->seen, GAME_SEEN_MAX);
    game->others = mm_strmap_new(GAME_OTHERS_MAX);
    game->explored = mm_idmap_new(GAME_EXPLORED_MAX);
    game->resources = mm_strmap_new(RESOURCES_MAX);
    return game->others && game->explored && game->resources;
}

void game_free(struct game *game)
{
    mm_vec_free(&game->own);
    mm_vec_free(&game->seen);
    mm_strmap_free(game->others);
    mm_idmap_free(game->explored);
    mm_strmap_free(game->resources);
    json_decref(game->recipes);
    json_decref(game->types);
    memset(game, 0, sizeof *game);
}

// --- reading -------------------------------------------------------------------------------------

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static bool hex_of(const json_t *value, struct hex_axial *out)
{
    const json_t *q = json_array_get(value, 0), *r = json_array_get(value, 1);
    if (!json_is_integer(q) || !json_is_integer(r))
        return false;
    out->q = (int32_t)json_integer_value(q);
    out->r = (int32_t)json_integer_value(r);
    return hex_in_bounds(*out);
}

static void remember_explored(struct game *game, const json_t *hex)
{
    struct hex_axial at;
    // When the memory is full the bot may go somewhere twice; no more than that.
    if (!hex_of(hex, &at) || mm_idmap_set(game->explored, hex_pack(at), 1) != MM_OK)
        return;
}

// --- session -------------------------------------------------------------------------------------

void game_on_session_status(struct game *game, const json_t *payload)
{
    game->running = mm_str_equal(text_of(payload, "state"), "running");
}

void game_on_welcome(struct game *game, const json_t *message)
{
    const json_t *payload = json_object_get(message, "payload");
    mm_vec_clear(&game->own);
    mm_vec_clear(&game->seen);
    mm_strmap_clear(game->others);
    mm_idmap_clear(game->explored);
    mm_strmap_clear(game->resources);
    game->full = false;
    mm_str_copy(game->empire, sizeof game->empire, text_of(payload, "empire_id"));
    if (!hex_of(json_object_get(payload, "home"), &game->home))
        game->home = (struct hex_axial){0, 0};
    game_on_session_status(game, json_object_get(payload, "session_status"));
}

void game_on_map(struct game *game, json_t *message)
{
    json_t *recipes = json_object_get(message, "recipes");
    if (!json_is_array(recipes))
        return;
    json_decref(game->recipes);
    game->recipes = json_incref(recipes);
    json_t *types = json_object_get(message, "types");
    json_decref(game->types);
    game->types = json_incref(types);
}

void game_on_explored(struct game *game, const json_t *message)
{
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(message, "hexes"), i, entry)
    {
        remember_explored(game, json_object_get(entry, "hex"));
    }
}

// --- updates -------------------------------------------------------------------------------------

static struct game_own *find_own(struct game *game, const char *id)
{
    for (size_t i = 0; i < game->own.count; i++)
        if (strcmp(game->own.items[i].id, id) == 0)
            return &game->own.items[i];
    return NULL;
}

static void read_own(struct game_own *own, const json_t *entity)
{
    hex_of(json_object_get(entity, "pos"), &own->at);
    const json_t *activity = json_object_get(json_object_get(entity, "data"), "activity");
    if (json_is_string(activity))
        own->idle = mm_str_equal(json_string_value(activity), "idle");
}

static struct game_seen *find_seen(struct game *game, const char *id)
{
    for (size_t i = 0; i < game->seen.count; i++)
        if (strcmp(game->seen.items[i].id, id) == 0)
            return &game->seen.items[i];
    return NULL;
}

// Beyond the limit it is merely not known where they are.
static void remember_seen(struct game *game, const json_t *entity)
{
    const char *id = text_of(entity, "id");
    struct game_seen fresh = {
        .is_resource = mm_str_equal(text_of(entity, "kind"), "resource"),
    };
    if (!fresh.is_resource && *text_of(entity, "owner") == '\0')
        return;
    struct game_seen *seen = find_seen(game, id);
    if (!seen) {
        if (!mm_str_copy(fresh.id, sizeof fresh.id, id) || !mm_vec_push(&game->seen, fresh))
            return;
        seen = &game->seen.items[game->seen.count - 1];
    }
    hex_of(json_object_get(entity, "pos"), &seen->at);
}

static void appeared(struct game *game, const json_t *entity)
{
    const char *id = text_of(entity, "id");
    if (*game->empire == '\0' || !mm_str_equal(text_of(entity, "owner"), game->empire)) {
        remember_seen(game, entity);
        // Beyond the limit an entity is merely not known: a `changed` of it then proves nothing,
        // see game_on_update.
        if (mm_strmap_set(game->others, id, 1) != MM_OK)
            return;
        return;
    }
    struct game_own *own = find_own(game, id);
    if (!own) {
        struct game_own fresh = {.idle = true};
        if (!mm_str_copy(fresh.id, sizeof fresh.id, id) || !mm_vec_push(&game->own, fresh))
            return;
        own = &game->own.items[game->own.count - 1];
    }
    mm_str_copy(own->type, sizeof own->type, text_of(entity, "type"));
    own->is_building = mm_str_equal(text_of(entity, "kind"), "building");
    read_own(own, entity);
}

static void disappeared(struct game *game, const char *id)
{
    mm_strmap_remove(game->others, id, NULL);
    struct game_own *own = find_own(game, id);
    if (own)
        mm_vec_remove_swap(&game->own, (size_t)(own - game->own.items));
    struct game_seen *seen = find_seen(game, id);
    if (seen)
        mm_vec_remove_swap(&game->seen, (size_t)(seen - game->seen.items));
}

static void read_resources(struct game *game, const json_t *resources)
{
    const char *name;
    json_t *amount;
    json_object_foreach((json_t *)resources, name, amount)
    {
        json_int_t value = json_integer_value(amount);
        if (mm_strmap_set(game->resources, name, value > 0 ? (uint64_t)value : 0) != MM_OK)
            return;
    }
}

struct game_faults game_on_update(struct game *game, const json_t *message)
{
    struct game_faults faults = {.tick_back = false};
    json_int_t tick = json_integer_value(json_object_get(message, "tick"));
    faults.tick_back = tick < 0 || (uint64_t)tick < game->tick;
    game->tick = (uint64_t)tick;
    if (json_is_true(json_object_get(message, "full")))
        game->full = true;
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(message, "disappeared"), i, entry)
    {
        disappeared(game, json_is_string(entry) ? json_string_value(entry) : "");
    }
    json_array_foreach(json_object_get(message, "appeared"), i, entry)
    {
        appeared(game, entry);
    }
    json_array_foreach(json_object_get(message, "changed"), i, entry)
    {
        const char *id = text_of(entry, "id");
        struct game_own *own = find_own(game, id);
        struct game_seen *seen = own ? NULL : find_seen(game, id);
        if (seen)
            hex_of(json_object_get(entry, "pos"), &seen->at);
        if (own)
            read_own(own, entry);
        else if (mm_strmap_count(game->others) < GAME_OTHERS_MAX &&
                 game->own.count < GAME_OWN_MAX && !mm_strmap_get(game->others, id, NULL))
            faults.changed_unknown = true;
    }
    json_array_foreach(json_object_get(message, "vision"), i, entry)
    {
        remember_explored(game, json_object_get(entry, "hex"));
    }
    read_resources(game, json_object_get(message, "resources"));
    return faults;
}

const struct game_seen *game_nearest(const struct game *game, bool is_resource,
                                     struct hex_axial about, int32_t radius)
{
    const struct game_seen *best = NULL;
    for (size_t i = 0; i < game->seen.count; i++) {
        const struct game_seen *seen = &game->seen.items[i];
        int32_t distance = hex_distance(seen->at, about);
        if (seen->is_resource != is_resource || distance > radius)
            continue;
        best = seen;
        radius = distance - 1;
    }
    return best;
}

uint64_t game_resource(const struct game *game, const char *name)
{
    uint64_t amount = 0;
    mm_strmap_get(game->resources, name, &amount);
    return amount;
}
