// Saved states: damaged ones are refused, whatever is damaged; rules may change in between.

#include "libcommon/base/alloc.h"
#include "services/world/core/save.h"
#include "services/world/core/state.h"
#include "tests/support/world_fixture.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct world *busy_world(const struct world_rules *rules)
{
    struct world *world = fixture_world(rules, 2);
    struct fixture_inputs inputs;
    fixture_inputs_init(&inputs, 8);
    fixture_found(world, 2);
    uint64_t units[8];
    size_t count = fixture_units(world, 1, NULL, units, 8);
    fixture_move(&inputs, 1, 1, units, count, 20, -5, false);
    fixture_spawn(&inputs, "key", "soldier", 2, 3, 0, 10);
    fixture_step(world, &inputs);
    fixture_inputs_clear(&inputs);
    fixture_move(&inputs, 1, 2, units, count, 0, 12, true);
    fixture_step(world, &inputs);
    fixture_run(world, 10);
    fixture_inputs_free(&inputs);
    return world;
}

static struct mm_buf save(const struct world *world)
{
    struct mm_buf bytes;
    mm_buf_init(&bytes, WORLD_SAVE_BYTES_MAX);
    world_save(world, &bytes);
    cr_assert_eq(bytes.err, MM_OK);
    return bytes;
}

Test(save, loading_tells_how_it_gets_on, .timeout = 300)
{
    enum { ENTITIES = 20000 };
    struct world *world = fixture_crowd(ENTITIES, 0), *loaded;
    struct mm_buf bytes = save(world);
    static struct mm_progress progress, given_up;
    cr_assert_eq(world_load_watched(bytes.data, bytes.len, &progress, &loaded), MM_OK);
    cr_assert_eq(world_state_hash(loaded), world_state_hash(world));
    // Each of the passes over everybody: slots, a dozen of fields, places, the look at the whole.
    cr_assert_geq(mm_progress_steps(&progress), 15 * (ENTITIES / MM_PROGRESS_EVERY));
    uint64_t before = mm_progress_steps(&progress);
    struct mm_arena *arena = mm_arena_new(1 << 16, (size_t)1 << 30);
    cr_assert_not_null(world_snapshot_frame(loaded, arena));
    cr_assert_geq(mm_progress_steps(&progress) - before, 20, "a step for each column");
    mm_arena_free(arena);
    world_free(loaded);

    mm_progress_give_up(&given_up);
    cr_assert_eq(world_load_watched(bytes.data, bytes.len, &given_up, &loaded), MM_CANCELLED);
    cr_assert_null(loaded);
    mm_buf_free(&bytes);
    world_free(world);
}

Test(save, every_truncation_is_refused, .timeout = 300)
{
    struct world *world = busy_world(NULL), *loaded;
    struct mm_buf bytes = save(world);
    uint64_t hash;
    for (size_t len = 0; len < bytes.len; len += len < 600 ? 1 : 97) {
        cr_assert_neq(world_load(bytes.data, len, &loaded), MM_OK);
        cr_assert_null(loaded);
        if (len < bytes.len - 8)
            cr_assert_neq(world_load_unchecked(bytes.data, len, &loaded, &hash), MM_OK, "%zu", len);
    }
    mm_buf_free(&bytes);
    world_free(world);
}

Test(save, every_flipped_bit_is_noticed, .timeout = 300)
{
    struct world *world = busy_world(NULL), *loaded;
    struct mm_buf bytes = save(world);
    struct mm_rng rng;
    mm_rng_seed(&rng, 1);
    for (int i = 0; i < 3000; i++) {
        size_t at = i < 200 ? (size_t)i : mm_rng_below(&rng, bytes.len);
        uint8_t bit = (uint8_t)(1u << mm_rng_below(&rng, 8));
        bytes.data[at] ^= bit;
        cr_assert_neq(world_load(bytes.data, bytes.len, &loaded), MM_OK, "byte %zu", at);
        bytes.data[at] ^= bit;
    }
    cr_assert_eq(world_load(bytes.data, bytes.len, &loaded), MM_OK);
    world_free(loaded);
    bytes.data[4]++;
    cr_assert_eq(world_load(bytes.data, bytes.len, &loaded), MM_UNIMPLEMENTED);
    mm_buf_free(&bytes);
    world_free(world);
}

// Behind the checksum: what is accepted all the same is sound and can be played on.
Test(save, what_is_accepted_is_sound, .timeout = 300)
{
    struct world *world = busy_world(NULL), *loaded;
    struct mm_buf bytes = save(world);
    struct mm_rng rng;
    mm_rng_seed(&rng, 7);
    unsigned accepted = 0, refused = 0;
    for (int i = 0; i < 3000; i++) {
        size_t at = mm_rng_below(&rng, bytes.len - 8);
        uint8_t old = bytes.data[at];
        bytes.data[at] = (uint8_t)mm_rng_u64(&rng);
        uint64_t hash;
        char problem[128] = "";
        if (world_load_unchecked(bytes.data, bytes.len - 8, &loaded, &hash) == MM_OK) {
            fixture_run(loaded, 5);
            cr_assert_eq(world_verify(loaded, problem, sizeof problem), MM_OK, "byte %zu: %s", at,
                         problem);
            cr_assert_eq(world_state_hash(loaded), world_state_hash_full(loaded));
            world_free(loaded);
            accepted++;
        } else {
            refused++;
        }
        bytes.data[at] = old;
    }
    cr_assert_gt(accepted, 50);
    cr_assert_gt(refused, 50);
    mm_buf_free(&bytes);
    world_free(world);
}

// Every allocation fails in turn: an error, no leak, no half-made world.
Test(save, out_of_memory_while_loading, .timeout = 300)
{
    struct world *world = busy_world(NULL), *loaded = NULL;
    struct mm_buf bytes = save(world);
    enum mm_err err = MM_RESOURCE_EXHAUSTED;
    int failures = 0;
    for (int64_t countdown = 0; err != MM_OK && countdown < 2000; countdown++) {
        mm_alloc_fail_after(countdown);
        err = world_load(bytes.data, bytes.len, &loaded);
        mm_alloc_fail_after(-1);
        failures += err == MM_RESOURCE_EXHAUSTED;
        cr_assert(err == MM_OK || err == MM_RESOURCE_EXHAUSTED, "%s", mm_err_name(err));
    }
    cr_assert_eq(err, MM_OK);
    cr_assert_gt(failures, 10);
    cr_assert_eq(world_state_hash(loaded), world_state_hash(world));
    world_free(loaded);
    mm_buf_free(&bytes);
    world_free(world);
}

// --- other rules --------------------------------------------------------------------------------

Test(rules, types_keep_their_meaning_by_name)
{
    struct world_rules *rules = fixture_rules();
    struct world *world = busy_world(rules);
    uint64_t scouts[4], after[4];
    cr_assert_eq(fixture_units(world, 1, "scout", scouts, 4), 1);
    // A new first type, and the terrains the other way round.
    memmove(&rules->types[1], &rules->types[0], rules->type_count * sizeof rules->types[0]);
    rules->types[0] = (struct world_type){.name = "troll", .kind = 4, .health_max = 5};
    rules->type_count++;
    for (uint32_t i = 0; i < rules->type_count; i++)
        rules->types[i].builds[0] <<= 1;
    // The items the other way round.
    char wood[WORLD_NAME_BYTES];
    memcpy(wood, rules->items[0], sizeof wood);
    memcpy(rules->items[0], rules->items[1], sizeof wood);
    memcpy(rules->items[1], wood, sizeof wood);
    for (uint32_t i = 0; i < rules->start_count; i++)
        rules->start[i].type++;
    for (uint32_t i = 0; i < rules->map.scatter_count; i++)
        rules->map.scatter[i].type++;
    for (uint32_t i = 0; i < rules->map.home_node_count; i++)
        rules->map.home_nodes[i].type++;
    struct world_terrain plains = rules->terrains[1];
    rules->terrains[1] = rules->terrains[2];
    rules->terrains[2] = plains;
    rules->map.open_terrain = 2;
    rules->spawn_keys_kept = 2;
    int before = world_terrain_at(world, (struct hex_axial){0, 0});
    char problem[128] = "";
    cr_assert_eq(world_change_rules(world, rules, problem, sizeof problem), MM_OK, "%s", problem);
    cr_assert_eq(before, 1);
    cr_assert_eq(world_terrain_at(world, (struct hex_axial){0, 0}), 2);
    cr_assert_eq(fixture_units(world, 1, "scout", after, 4), 1);
    cr_assert_eq(after[0], scouts[0]);
    cr_assert_eq(world_verify(world, problem, sizeof problem), MM_OK, "%s", problem);
    cr_assert_eq(world_state_hash(world), world_state_hash_full(world));
    fixture_run(world, 200);
    struct mm_buf bytes = save(world);
    struct world *loaded;
    cr_assert_eq(world_load(bytes.data, bytes.len, &loaded), MM_OK);
    world_free(loaded);
    mm_buf_free(&bytes);
    world_free(world);
    free(rules);
}

Test(rules, what_is_in_use_cannot_go)
{
    struct world_rules *rules = fixture_rules(), *other = malloc(sizeof *other);
    struct world *world = busy_world(rules);
    uint64_t hash = world_state_hash(world);
    char problem[128];
    *other = *rules;
    memcpy(other->types[world_rules_type(rules, "scout")].name, "skout", 6);
    cr_assert_eq(world_change_rules(world, other, problem, sizeof problem), MM_FAILED_PRECONDITION);
    cr_assert(strstr(problem, "scout"), "%s", problem);
    *other = *rules;
    memcpy(other->terrains[1].name, "prairie", 8);
    cr_assert_eq(world_change_rules(world, other, problem, sizeof problem), MM_FAILED_PRECONDITION);
    *other = *rules;
    other->map.chunk_radius = 8;
    cr_assert_eq(world_change_rules(world, other, problem, sizeof problem), MM_FAILED_PRECONDITION);
    *other = *rules;
    other->entities_max = 10;
    cr_assert_eq(world_change_rules(world, other, problem, sizeof problem), MM_FAILED_PRECONDITION);
    *other = *rules;
    other->types[0].kind = 77;
    cr_assert_eq(world_change_rules(world, other, problem, sizeof problem), MM_INVALID_ARGUMENT);
    cr_assert_eq(world_state_hash(world), hash, "a refused change left a trace");
    world_free(world);
    free(other);
    free(rules);
}

// Keys survive a change of how many are kept, the newest first.
Test(rules, spawn_keys_survive)
{
    struct world_rules *rules = fixture_open_rules();
    rules->spawn_keys_kept = 8;
    struct world *world = fixture_world(rules, 2);
    fixture_found(world, 1);
    struct fixture_inputs inputs;
    fixture_inputs_init(&inputs, 8);
    char key[16], problem[128];
    for (int i = 0; i < 13; i++) {
        fixture_inputs_clear(&inputs);
        snprintf(key, sizeof key, "key %d", i);
        fixture_spawn(&inputs, key, "soldier", 1, 1, 0, 0);
        fixture_step(world, &inputs);
    }
    for (int kept = 6; kept <= 20; kept += 14) {
        rules->spawn_keys_kept = (uint32_t)kept;
        cr_assert_eq(world_change_rules(world, rules, problem, sizeof problem), MM_OK);
        for (int i = 12; i > 12 - 6; i--) {
            fixture_inputs_clear(&inputs);
            snprintf(key, sizeof key, "key %d", i);
            fixture_spawn(&inputs, key, "soldier", 1, 1, 0, 0);
            fixture_step(world, &inputs);
            cr_assert(inputs.results[0].repeated_key, "kept %d: %s is forgotten", kept, key);
        }
    }
    struct mm_buf bytes = save(world);
    struct world *loaded;
    cr_assert_eq(world_load(bytes.data, bytes.len, &loaded), MM_OK);
    world_free(loaded);
    mm_buf_free(&bytes);
    fixture_inputs_free(&inputs);
    world_free(world);
    free(rules);
}

// --- the checker itself -------------------------------------------------------------------------

enum { FAULTS = 26 };

// Breaks one invariant behind everybody's back.
static const char *plant(struct world *world, int fault)
{
    uint64_t unit;
    struct world_entity_view view;
    cr_assert_eq(fixture_units(world, 1, "scout", &unit, 1), 1);
    cr_assert(world_find_entity(world, unit, &view));
    struct world_place *place = WORLD_GET(&world->ecs, WORLD_PLACE, world_place, view.slot);
    struct world_mover *mover = WORLD_GET(&world->ecs, WORLD_MOVER, world_mover, view.slot);
    struct world_route *route = WORLD_GET(&world->ecs, WORLD_ROUTE, world_route, view.slot);
    struct world_orders *orders = WORLD_GET(&world->ecs, WORLD_ORDERS, world_orders, view.slot);
    cr_assert(mover && route && orders && mover->phase == WORLD_MOVE_WALKING);
    uint64_t settlement;
    cr_assert_eq(fixture_units(world, 1, "settlement", &settlement, 1), 1);
    uint32_t home = world_slot_of_id(world, settlement);
    switch (fault) {
    case 0:
        place->q++;
        return "hex and cell differ";
    case 1:
        world->map.terrain[place->cell] = 0;
        return "somebody stands on Dead ground";
    case 2:
        world->grid.cells[place->cell].units++;
        return "a count is wrong";
    case 3:
        world->grid.cells[place->cell].head = 0;
        return "somebody is not in the grid";
    case 4:
        world->rules.movement.units_per_hex = 0;
        return "too many on a hex";
    case 5:
        mover->phase = 9;
        return "an unknown phase";
    case 6:
        mover->next = route->steps;
        return "no step to take";
    case 7:
        route->complete = 1;
        route->goal_q++;
        return "the route ends elsewhere";
    case 8:
        orders->count = 0;
        return "orders without an order";
    case 9:
        mm_idmap_clear(world->slot_of_serial);
        return "nobody can be found";
    case 10:
        ((struct world_fight *)world_ecs_add(&world->ecs, WORLD_FIGHT, view.slot))->target =
            world->ecs.slot_end;
        return "a fight with nobody";
    case 11:
        world_fight_begin(world, view.slot, home, true);
        world_mover_start(world, view.slot, view.at);
        return "a fight on an order that was not given";
    case 12:
        orders->list[0].kind = WORLD_ORDER_ATTACK;
        return "an attack without a fight";
    case 13:
        world->sides.chunks[place->cell / world->map.tiling.cells].same++;
        return "a side is counted wrong";
    case 14:
        world_gather_begin(world, view.slot, home,
                           (uint32_t)world_rules_type(&world->rules, "gold_mine"));
        return "work that was not ordered";
    case 15:
        ((struct world_cargo *)world_ecs_add(&world->ecs, WORLD_CARGO, view.slot))->amount = 1;
        return "a load of nothing that is gathered";
    case 16:
        world_ecs_add(&world->ecs, WORLD_AMOUNT, view.slot);
        return "an amount in a unit";
    case 17:
        WORLD_GET(&world->ecs, WORLD_HEALTH, world_health, home)->value = 0;
        return "a dead building";
    case 18:
        *(struct world_orders *)world_ecs_add(&world->ecs, WORLD_ORDERS, home) = *orders;
        return "a building under orders";
    case 19:
        orders->list[0].kind = WORLD_ORDER_KINDS;
        return "an unknown kind of order";
    case 20:
        ((struct world_veteran *)world_ecs_add(&world->ecs, WORLD_VETERAN, view.slot))->rank = 1;
        return "a rank without kills";
    case 21:
        world_shared_clear(&world->stats, view.slot);
        return "nothing is known of what it can do";
    case 22:
        world->rules.types[world_rules_type(&world->rules, "scout")].defence++;
        return "what it can do is of other rules";
    case 23:
        world->empires.items[0].lenders++;
        return "a lender too many is counted";
    case 24:
        cr_assert(mm_vec_push(&world->shares, UINT64_C(9) << 32 | 1));
        return "a borrower that is no empire";
    default:
        WORLD_GET(&world->ecs, WORLD_ACTIVITY, world_activity, view.slot)->value = 77;
        return "an unknown activity";
    }
}

Test(verify, finds_every_planted_fault)
{
    for (int fault = 0; fault < FAULTS; fault++) {
        struct world *world = busy_world(NULL);
        char problem[128] = "";
        cr_assert_eq(world_verify(world, problem, sizeof problem), MM_OK, "%s", problem);
        const char *what = plant(world, fault);
        cr_assert_eq(world_verify(world, problem, sizeof problem), MM_DATA_LOSS, "not found: %s",
                     what);
        cr_assert_str_not_empty(problem);
        world_free(world);
    }
}

// A change without its mark is what the full hash is there to find.
Test(verify, the_full_hash_finds_an_unmarked_change)
{
    struct world *world = busy_world(NULL);
    uint32_t slot = world_ecs_next(&world->ecs, 0);
    WORLD_GET(&world->ecs, WORLD_HEALTH, world_health, slot)->value--;
    fixture_run(world, 1);
    cr_assert_neq(world_state_hash(world), world_state_hash_full(world));
    world_free(world);
}
