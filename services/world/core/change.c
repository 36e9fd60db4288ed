#include "services/world/core/state.h"

#include "libcommon/base/alloc.h"
#include <stdio.h>
#include <string.h>

// A running session gets other rules. Types and terrains are renumbered by name.

struct renumbering {
    uint16_t types[WORLD_TYPES_MAX];
    uint8_t terrains[WORLD_TERRAINS_MAX];
    uint8_t items[WORLD_ITEMS_MAX];
};

#define GONE 0xffff

static enum mm_err refuse(char *problem, size_t problem_bytes, const char *what, const char *name)
{
    snprintf(problem, problem_bytes, "%s %s", what, name);
    return MM_FAILED_PRECONDITION;
}

// What was ever gathered keeps its meaning: production counts by these totals.
static enum mm_err renumber_resources(const struct world *world, const struct world_rules *rules,
                                      const struct renumbering *to, char *problem,
                                      size_t problem_bytes)
{
    for (uint32_t i = 0; i < world->rules.type_count; i++) {
        const struct world_type *old = &world->rules.types[i];
        bool kept =
            to->types[i] != GONE && strcmp(rules->types[to->types[i]].yields, old->yields) == 0;
        if (old->yields[0] != '\0' && !kept)
            return refuse(problem, problem_bytes,
                          "a session cannot change what it yields:", old->name);
    }
    return MM_OK;
}

static enum mm_err renumber(const struct world *world, const struct world_rules *rules,
                            struct renumbering *to, char *problem, size_t problem_bytes)
{
    bool terrain_used[WORLD_TERRAINS_MAX] = {false};
    for (uint32_t i = 0; i < world->rules.type_count; i++) {
        int type = world_rules_type(rules, world->rules.types[i].name);
        to->types[i] = type < 0 ? GONE : (uint16_t)type;
    }
    for (uint32_t cell = 0; cell < world_map_cell_count(&world->map); cell++)
        terrain_used[world->map.terrain[cell]] = true;
    for (uint32_t i = 0; i < world->rules.terrain_count; i++) {
        int terrain = world_rules_terrain(rules, world->rules.terrains[i].name);
        if (terrain < 0 && terrain_used[i])
            return refuse(problem, problem_bytes, "the map has terrain",
                          world->rules.terrains[i].name);
        to->terrains[i] = terrain < 0 ? 0 : (uint8_t)terrain;
    }
    for (uint32_t slot = world_ecs_next(&world->ecs, 0); slot != WORLD_SLOT_NONE;
         slot = world_ecs_next(&world->ecs, slot)) {
        const struct world_identity *identity =
            WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, slot);
        const struct world_place *place = WORLD_GET(&world->ecs, WORLD_PLACE, world_place, slot);
        const struct world_type *old = &world->rules.types[identity->type];
        uint16_t type = to->types[identity->type];
        uint8_t terrain = to->terrains[world->map.terrain[place->cell]];
        if (type == GONE)
            return refuse(problem, problem_bytes, "there are entities of type", old->name);
        const struct world_camp *camp = WORLD_GET(&world->ecs, WORLD_CAMP, world_camp, slot);
        for (uint32_t i = 0; camp && i < camp->guard_count; i++)
            if (to->types[camp->type[i]] == GONE ||
                rules->types[to->types[camp->type[i]]].kind != MMORTS__FRAME__KIND__KIND_NPC)
                return refuse(problem, problem_bytes, "there are camps with guards of type",
                              world->rules.types[camp->type[i]].name);
        if (rules->types[type].kind != old->kind || rules->types[type].blocks != old->blocks)
            return refuse(problem, problem_bytes, "there are entities of another kind of",
                          old->name);
        if (rules->terrains[terrain].move_cost_percent == 0)
            return refuse(problem, problem_bytes, "entities stand on what is now impassable",
                          rules->terrains[terrain].name);
    }
    for (size_t i = 0; i < world->bills.count; i++)
        if (to->types[world->bills.items[i].type] == GONE)
            return refuse(problem, problem_bytes, "there are bills for",
                          world->rules.types[world->bills.items[i].type].name);
    for (uint32_t i = 0; i < world->rules.item_count; i++) {
        int item = world_rules_item(rules, world->rules.items[i]);
        if (item < 0)
            return refuse(problem, problem_bytes, "a session cannot forget the item",
                          world->rules.items[i]);
        to->items[i] = (uint8_t)item;
    }
    return renumber_resources(world, rules, to, problem, problem_bytes);
}

// The newest keys stay, numbered anew from 0 by age, so that key n lies at place n % kept again.
static enum mm_err keep_spawn_keys(struct world *world, uint32_t kept)
{
    size_t count = world->spawn_keys.count < kept ? world->spawn_keys.count : kept;
    struct world_spawn_key *keys = mm_malloc((count + 1) * sizeof *keys);
    if (!keys)
        return MM_RESOURCE_EXHAUSTED;
    for (size_t i = 0; i < count; i++) {
        uint64_t number = world->spawns_total - count + i;
        keys[i] = world->spawn_keys.items[number % world->rules.spawn_keys_kept];
    }
    world->spawns_total = count;
    mm_vec_clear(&world->spawn_keys);
    mm_strmap_clear(world->spawn_of_key);
    world->spawn_keys_hash = 0;
    for (size_t i = 0; i < count; i++) {
        MM_CHECK(mm_vec_push(&world->spawn_keys, keys[i]));
        world->spawn_keys_hash += world_spawn_key_hash(&keys[i]);
        MM_CHECK(mm_strmap_set_n(world->spawn_of_key, (const char *)keys[i].bytes, keys[i].len,
                                 i) == MM_OK);
    }
    mm_free(keys);
    return MM_OK;
}

// Whoever was under way looks for its way anew: costs and speeds may be others.
static void start_again(struct world *world)
{
    for (uint32_t slot = world_ecs_next(&world->ecs, 0); slot != WORLD_SLOT_NONE;
         slot = world_ecs_next(&world->ecs, slot)) {
        const struct world_identity *identity =
            WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, slot);
        bool stuck = world->rules.types[identity->type].ticks_per_hex == 0;
        if (stuck && WORLD_GET(&world->ecs, WORLD_ORDERS, world_orders, slot))
            world_orders_clear(world, slot);
        else if (WORLD_GET(&world->ecs, WORLD_MOVER, world_mover, slot))
            world_mover_replan(world, slot, false);
    }
}

static void renumber_amounts(uint32_t *amounts, const struct world *world,
                             const struct renumbering *to)
{
    uint32_t old[WORLD_ITEMS_MAX];
    memcpy(old, amounts, sizeof old);
    memset(amounts, 0, sizeof old);
    for (uint32_t i = 0; i < world->rules.item_count; i++)
        amounts[to->items[i]] = old[i];
}

// Costs that were paid or are to be; before the rules are changed.
static void renumber_costs(struct world *world, const struct renumbering *to)
{
    for (uint32_t slot = world_ecs_next(&world->ecs, 0); slot != WORLD_SLOT_NONE;
         slot = world_ecs_next(&world->ecs, slot)) {
        if (WORLD_GET(&world->ecs, WORLD_SITE, world_site, slot))
            renumber_amounts(WORLD_TOUCH(&world->ecs, WORLD_SITE, world_site, slot)->paid, world,
                             to);
        if (!WORLD_GET(&world->ecs, WORLD_RALLY, world_rally, slot))
            continue;
        struct world_rally *rally = WORLD_TOUCH(&world->ecs, WORLD_RALLY, world_rally, slot);
        rally->type = rally->node != 0 ? to->types[rally->type] : 0;
    }
    world->bills_hash = 0;
    for (size_t i = 0; i < world->bills.count; i++) {
        struct world_bill *bill = &world->bills.items[i];
        bill->type = to->types[bill->type];
        renumber_amounts(bill->cost, world, to);
        world->bills_hash += world_bill_hash(bill);
    }
    for (size_t e = 0; e < world->empires.count; e++) {
        struct world_empire_row *row = &world->empires.items[e];
        uint64_t old[WORLD_ITEMS_MAX];
        memcpy(old, row->refunds, sizeof old);
        world->empires_hash -= world_empire_hash((uint32_t)e + 1, row);
        memset(row->refunds, 0, sizeof old);
        for (uint32_t i = 0; i < world->rules.item_count; i++)
            row->refunds[to->items[i]] = old[i];
        world->empires_hash += world_empire_hash((uint32_t)e + 1, row);
    }
}

static void renumber_camps(struct world *world, const struct renumbering *to)
{
    for (uint32_t slot = world_ecs_next(&world->ecs, 0); slot != WORLD_SLOT_NONE;
         slot = world_ecs_next(&world->ecs, slot)) {
        if (!WORLD_GET(&world->ecs, WORLD_CAMP, world_camp, slot))
            continue;
        struct world_camp *camp = WORLD_TOUCH(&world->ecs, WORLD_CAMP, world_camp, slot);
        for (uint32_t i = 0; i < camp->guard_count; i++)
            camp->type[i] = to->types[camp->type[i]];
    }
}

static void renumber_gathering(struct world *world, const struct renumbering *to)
{
    for (uint32_t slot = world_ecs_next(&world->ecs, 0); slot != WORLD_SLOT_NONE;
         slot = world_ecs_next(&world->ecs, slot)) {
        if (WORLD_GET(&world->ecs, WORLD_CARGO, world_cargo, slot)) {
            struct world_cargo *cargo = WORLD_TOUCH(&world->ecs, WORLD_CARGO, world_cargo, slot);
            cargo->type = to->types[cargo->type];
        }
        if (WORLD_GET(&world->ecs, WORLD_GATHER, world_gather, slot)) {
            struct world_gather *gather =
                WORLD_TOUCH(&world->ecs, WORLD_GATHER, world_gather, slot);
            gather->type = to->types[gather->type];
        }
        if (!WORLD_GET(&world->ecs, WORLD_ORDERS, world_orders, slot))
            continue;
        struct world_orders *orders = WORLD_TOUCH(&world->ecs, WORLD_ORDERS, world_orders, slot);
        for (int i = 0; i < orders->count; i++)
            if (orders->list[i].kind == WORLD_ORDER_GATHER)
                orders->list[i].type = to->types[orders->list[i].type];
    }
    for (size_t e = 0; e < world->empires.count; e++) {
        struct world_empire_row *row = &world->empires.items[e];
        world->empires_hash -= world_empire_hash((uint32_t)e + 1, row);
        for (uint32_t d = 0; d < row->deposit_count; d++)
            row->deposits[d].type = to->types[row->deposits[d].type];
        world->empires_hash += world_empire_hash((uint32_t)e + 1, row);
    }
}

// Types and ranks may be worth something else.
static void renew_stats(struct world *world)
{
    for (uint32_t slot = world_ecs_next(&world->ecs, 0); slot != WORLD_SLOT_NONE;
         slot = world_ecs_next(&world->ecs, slot)) {
        if (WORLD_GET(&world->ecs, WORLD_VETERAN, world_veteran, slot)) {
            struct world_veteran *veteran =
                WORLD_TOUCH(&world->ecs, WORLD_VETERAN, world_veteran, slot);
            veteran->rank = world_rank_of_kills(&world->rules, veteran->kills);
        }
        world_stats_derive(world, slot);
    }
}

enum mm_err world_change_rules(struct world *world, const struct world_rules *rules, char *problem,
                               size_t problem_bytes)
{
    enum mm_err err = world_rules_check(rules, problem, problem_bytes);
    if (err != MM_OK)
        return err;
    if (rules->map.chunk_radius != world->rules.map.chunk_radius)
        return refuse(problem, problem_bytes, "a session cannot change its", "chunk_radius");
    if (rules->map.home_spacing_chunks != world->rules.map.home_spacing_chunks)
        return refuse(problem, problem_bytes, "a session cannot change its", "home spacing");
    if (rules->movement.units_per_hex < world->rules.movement.units_per_hex)
        return refuse(problem, problem_bytes, "a session cannot lower its", "units_per_hex");
    if (rules->entities_max + 1 < world->ecs.slot_end)
        return refuse(problem, problem_bytes, "there are more entities than", "entities_max");
    struct renumbering to = {0};
    err = renumber(world, rules, &to, problem, problem_bytes);
    if (err == MM_OK && rules->spawn_keys_kept != world->rules.spawn_keys_kept)
        err = keep_spawn_keys(world, rules->spawn_keys_kept);
    if (err != MM_OK)
        return err;
    world_ecs_begin(&world->ecs);
    for (uint32_t slot = world_ecs_next(&world->ecs, 0); slot != WORLD_SLOT_NONE;
         slot = world_ecs_next(&world->ecs, slot)) {
        struct world_identity *identity =
            WORLD_TOUCH(&world->ecs, WORLD_IDENTITY, world_identity, slot);
        struct world_health *health = WORLD_TOUCH(&world->ecs, WORLD_HEALTH, world_health, slot);
        identity->type = to.types[identity->type];
        if (health->value > (int32_t)rules->types[identity->type].health_max)
            health->value = (int32_t)rules->types[identity->type].health_max;
    }
    renumber_gathering(world, &to);
    renumber_camps(world, &to);
    renumber_costs(world, &to);
    for (uint32_t cell = 0; cell < world_map_cell_count(&world->map); cell++)
        world->map.terrain[cell] = to.terrains[world->map.terrain[cell]];
    world->map.hash_sum = world_map_hash_full(&world->map);
    world->rules = *rules;
    world->ecs.entities_max = rules->entities_max;
    world_derive(world);
    world_map_rebuild_regions(&world->map);
    world_ways_forget(world);
    renew_stats(world);
    start_again(world);
    world_ecs_settle(&world->ecs);
    world_ecs_begin(&world->ecs);
    return MM_OK;
}
