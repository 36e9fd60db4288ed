#include "tools/bots/brain.h"

#include "libcommon/base/str.h"

enum {
    UNITS_WANTED = 12, // no more are trained
    SCOUT_RANGE_MIN = 6,
    SCOUT_RANGE_MAX = 24,
    GUARD_RANGE = 7,        // how far the others stray from home
    TARGET_TRIES = 12,      // places that are looked at for one that is not explored yet
    ORDER_LASTS_MS = 4000,  // a unit is left alone so long, whatever it reports
    ORDER_STALE_MS = 60000, // after that it gets another order even if it says it is busy
    GATHER_RANGE = 12,      // a worker looks so far for something to gather
    ATTACK_RANGE = 10,      // a soldier so far for enemies
    BUILDINGS_WANTED = 4,   // no more are built
    BUILD_RANGE_MIN = 3,    // from home
    BUILD_RANGE_MAX = 6,
    BUILD_PERCENT = 10, // how often a worker that has nothing to do thinks of building
    TRAIN_PERCENT = 25, // how often it is training rather than moving that is thought of
};

static struct hex_axial around(struct mm_rng *rng, struct hex_axial center, int32_t min,
                               int32_t max)
{
    int32_t radius = (int32_t)mm_rng_between(rng, min, max);
    uint64_t count = radius > 0 ? (uint64_t)radius * 6 : 1;
    uint64_t first = radius > 0 ? hex_disc_count(radius - 1) : 0;
    return hex_add(center, hex_spiral(first + mm_rng_below(rng, count)));
}

static bool is_explored(const struct game *game, struct hex_axial at)
{
    return mm_idmap_has(game->explored, hex_pack(at));
}

// A scout looks for the unknown; where all is known it goes anywhere far.
static struct hex_axial choose_target(const struct game *game, struct mm_rng *rng,
                                      const struct game_own *unit)
{
    if (!mm_str_equal(unit->type, "scout"))
        return around(rng, game->home, 0, GUARD_RANGE);
    struct hex_axial target = unit->at;
    for (int i = 0; i < TARGET_TRIES; i++) {
        target = around(rng, unit->at, SCOUT_RANGE_MIN, SCOUT_RANGE_MAX);
        if (!is_explored(game, target))
            break;
    }
    return target;
}

// Workers gather and soldiers attack, if there is something or somebody in sight.
static void choose_work(const struct game *game, const struct game_own *unit,
                        struct brain_decision *decision)
{
    bool is_worker = mm_str_equal(unit->type, "worker");
    if (!is_worker && !mm_str_equal(unit->type, "soldier"))
        return;
    const struct game_seen *seen =
        game_nearest(game, is_worker, unit->at, is_worker ? GATHER_RANGE : ATTACK_RANGE);
    if (!seen)
        return;
    decision->kind = is_worker ? BRAIN_GATHER : BRAIN_ATTACK;
    decision->victim = seen->id;
}

static bool wants_order(const struct game_own *unit, uint64_t now_ms)
{
    uint64_t since = now_ms - unit->ordered_ms;
    return !unit->is_building && ((unit->idle && since > ORDER_LASTS_MS) || since > ORDER_STALE_MS);
}

static bool can_pay(const struct game *game, json_t *inputs)
{
    const char *name;
    json_t *amount;
    json_object_foreach(inputs, name, amount)
    {
        if ((uint64_t)json_integer_value(amount) > game_resource(game, name))
            return false;
    }
    return true;
}

static json_t *type_named(const struct game *game, const char *name)
{
    size_t i;
    json_t *type;
    json_array_foreach(game->types, i, type)
    {
        const char *text = json_string_value(json_object_get(type, "name"));
        if (text && mm_str_equal(text, name))
            return type;
    }
    return NULL;
}

// Something that this unit can build and the stock covers, on a hex near home; where that is taken
// or out of sight, the server says so.
static void choose_building(const struct game *game, struct mm_rng *rng,
                            const struct game_own *unit, struct brain_decision *decision)
{
    json_t *builds = json_object_get(type_named(game, unit->type), "builds");
    size_t kinds = json_array_size(builds), buildings = 0;
    for (size_t i = 0; i < game->own.count; i++)
        buildings += game->own.items[i].is_building;
    if (kinds == 0 || buildings >= BUILDINGS_WANTED || !mm_rng_chance(rng, BUILD_PERCENT, 100))
        return;
    const char *name = json_string_value(json_array_get(builds, (size_t)mm_rng_below(rng, kinds)));
    json_t *type = name ? type_named(game, name) : NULL;
    if (!type || !can_pay(game, json_object_get(type, "cost")))
        return;
    decision->kind = BRAIN_BUILD;
    decision->recipe = name;
    decision->target = around(rng, game->home, BUILD_RANGE_MIN, BUILD_RANGE_MAX);
}

static struct brain_decision decide_move(struct game *game, struct mm_rng *rng, uint64_t now_ms)
{
    struct brain_decision decision = {.kind = BRAIN_NOTHING};
    if (game->own.count == 0)
        return decision;
    // From a random place on, so that all get their turn.
    size_t start = (size_t)mm_rng_below(rng, game->own.count);
    for (size_t i = 0; i < game->own.count; i++) {
        struct game_own *unit = &game->own.items[(start + i) % game->own.count];
        if (!wants_order(unit, now_ms))
            continue;
        unit->ordered_ms = now_ms;
        decision.kind = BRAIN_MOVE;
        decision.entity = unit->id;
        decision.target = choose_target(game, rng, unit);
        choose_work(game, unit, &decision);
        choose_building(game, rng, unit, &decision);
        break;
    }
    return decision;
}

static bool is_made_in(json_t *recipe, const char *building_type)
{
    size_t i;
    json_t *building;
    json_array_foreach(json_object_get(recipe, "buildings"), i, building)
    {
        if (json_is_string(building) && mm_str_equal(json_string_value(building), building_type))
            return true;
    }
    return false;
}

static struct brain_decision decide_train(const struct game *game, struct mm_rng *rng)
{
    struct brain_decision decision = {.kind = BRAIN_NOTHING};
    size_t recipes = json_array_size(game->recipes), units = 0;
    for (size_t i = 0; i < game->own.count; i++)
        units += !game->own.items[i].is_building;
    if (recipes == 0 || units >= UNITS_WANTED)
        return decision;
    json_t *recipe = json_array_get(game->recipes, (size_t)mm_rng_below(rng, recipes));
    const char *name = json_string_value(json_object_get(recipe, "name"));
    if (!name || !json_is_string(json_object_get(recipe, "unit")) ||
        !can_pay(game, json_object_get(recipe, "inputs")))
        return decision;
    for (size_t i = 0; i < game->own.count; i++) {
        const struct game_own *building = &game->own.items[i];
        if (building->is_building && is_made_in(recipe, building->type)) {
            decision.kind = BRAIN_TRAIN;
            decision.entity = building->id;
            decision.recipe = name;
            break;
        }
    }
    return decision;
}

struct brain_decision brain_decide(struct game *game, struct mm_rng *rng, uint64_t now_ms)
{
    if (!game->full || !game->running)
        return (struct brain_decision){.kind = BRAIN_NOTHING};
    if (mm_rng_chance(rng, TRAIN_PERCENT, 100)) {
        struct brain_decision decision = decide_train(game, rng);
        if (decision.kind != BRAIN_NOTHING)
            return decision;
    }
    return decide_move(game, rng, now_ms);
}

const char *brain_say(struct mm_rng *rng)
{
    static const char *const lines[] = {
        "Greetings from the frontier!",
        "My scouts found a fine forest.",
        "Anyone seen stone around here?",
        "Fog, fog, nothing but fog.",
        "Good game so far.",
        "Just passing through, no harm meant.",
        "Training soldiers, for peace of course.",
        "Who lives to the north?",
    };
    return lines[mm_rng_below(rng, sizeof lines / sizeof lines[0])];
}
