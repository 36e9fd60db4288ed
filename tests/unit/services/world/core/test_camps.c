// Neutral camps: where they are, who guards them, what killing brings; and land for explorers.

#include "services/world/core/mapgen.h"
#include "services/world/core/state.h"
#include "tests/support/world_fixture.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

struct wild {
    struct world_rules *rules;
    struct world *world;
    struct fixture_inputs inputs;
    struct hex_axial home;
    unsigned spawned;
};

// Open land with one kind of camp in every chunk that is far enough from the homes.
static void open_rules(struct wild *w)
{
    *w = (struct wild){.rules = fixture_wild_rules()};
    w->rules->map.generator = WORLD_GENERATOR_BLANK;
    w->rules->map.scatter_count = 0;
    w->rules->map.camp_count = 1;
    w->rules->map.camps[0].per_myriad = 10000;
    w->rules->map.camps[0].respawn_ticks = 60;
    w->rules->map.explored_chunks_max = 0;
}

static void begin(struct wild *w)
{
    w->world = fixture_world(w->rules, 7);
    fixture_inputs_init(&w->inputs, 8);
    fixture_found(w->world, 1);
    struct world_empire_view view;
    world_empire(w->world, 1, &view);
    w->home = view.home;
}

static void end(struct wild *w)
{
    char problem[128] = "";
    cr_expect_eq(world_verify(w->world, problem, sizeof problem), MM_OK, "%s", problem);
    cr_expect_eq(world_state_hash(w->world), world_state_hash_full(w->world));
    fixture_inputs_free(&w->inputs);
    world_free(w->world);
    free(w->rules);
}

static uint32_t type(const struct wild *w, const char *name)
{
    return (uint32_t)world_rules_type(w->rules, name);
}

static unsigned count_of(const struct wild *w, const char *name)
{
    struct world_entity_view view;
    uint32_t cursor = 0;
    unsigned count = 0;
    while (world_next_entity(w->world, &cursor, &view))
        count += view.type == type(w, name);
    return count;
}

// The n-th entity of that type.
static struct world_entity_view find(const struct wild *w, const char *name, unsigned n)
{
    struct world_entity_view view = {0};
    uint32_t cursor = 0;
    while (world_next_entity(w->world, &cursor, &view))
        if (view.type == type(w, name) && n-- == 0)
            return view;
    cr_assert_fail("there are not so many of %s", name);
    return view;
}

static void put(struct wild *w, const char *name, unsigned count, struct hex_axial at)
{
    char key[16];
    snprintf(key, sizeof key, "%u", ++w->spawned);
    fixture_inputs_clear(&w->inputs);
    fixture_spawn(&w->inputs, key, name, 1, count, at.q, at.r);
    fixture_step(w->world, &w->inputs);
    cr_assert_eq(w->inputs.results[0].err, MM_OK, "%s", w->inputs.results[0].message);
}

static uint64_t won(const struct wild *w, const char *name)
{
    const struct world_empire_row *row = &w->world->empires.items[0];
    for (uint32_t i = 0; i < row->deposit_count; i++)
        if (row->deposits[i].type == type(w, name))
            return row->deposits[i].total;
    return 0;
}

static bool lives(const struct wild *w, uint64_t id)
{
    struct world_entity_view view;
    return world_find_entity(w->world, id, &view);
}

Test(camps, stand_where_the_rules_say_and_are_guarded)
{
    struct wild w;
    open_rules(&w);
    begin(&w);
    fixture_run(w.world, 40);
    unsigned dens = count_of(&w, "wolf_den"), far = 0;
    for (uint32_t chunk = 0; chunk < world_chunk_count(w.world); chunk++) {
        uint64_t roll;
        far += world_mapgen_camp(w.rules, 7, w.world->map.chunks[chunk], &roll) == 0;
    }
    cr_assert_gt(dens, 0);
    cr_assert_eq(dens, far, "%u dens in %u chunks", dens, far);
    cr_assert_eq(count_of(&w, "wolf"), 3 * dens);
    for (unsigned i = 0; i < dens; i++) {
        struct hex_axial at = find(&w, "wolf_den", i).at;
        // Two chunks off: not one of the home's chunk or of its neighbours.
        cr_expect_gt(hex_distance(at, w.home), 2 * 9);
    }
    end(&w);
}

Test(camps, guards_stay_about_their_lair)
{
    struct wild w;
    open_rules(&w);
    begin(&w);
    fixture_run(w.world, 40);
    bool moved = false;
    for (unsigned i = 0; i < 400; i++) {
        struct hex_axial before = find(&w, "wolf", 0).at;
        fixture_run(w.world, 1);
        struct world_entity_view wolf = find(&w, "wolf", 0);
        moved |= !hex_equal(before, wolf.at);
        int32_t nearest = INT32_MAX;
        for (unsigned d = 0; d < count_of(&w, "wolf_den"); d++) {
            int32_t distance = hex_distance(find(&w, "wolf_den", d).at, wolf.at);
            nearest = distance < nearest ? distance : nearest;
        }
        cr_assert_leq(nearest, 4);
    }
    cr_assert(moved);
    end(&w);
}

Test(camps, guards_set_upon_whom_they_see_and_let_go_who_leaves)
{
    struct wild w;
    open_rules(&w);
    w.rules->types[type(&w, "worker")].health_max = 100000;
    begin(&w);
    fixture_run(w.world, 40);
    struct hex_axial den = find(&w, "wolf_den", 0).at;
    put(&w, "worker", 1, (struct hex_axial){den.q + 3, den.r});
    uint64_t workers[8];
    size_t count = fixture_units(w.world, 1, "worker", workers, 8);
    uint64_t visitor = workers[count - 1];
    struct world_entity_view view;
    world_find_entity(w.world, visitor, &view);
    int32_t whole = view.health;
    fixture_run(w.world, 200);
    world_find_entity(w.world, visitor, &view);
    cr_assert_lt(view.health, whole);
    // It runs; they follow no farther than their leash, and are back about their den in the end.
    fixture_inputs_clear(&w.inputs);
    fixture_move(&w.inputs, 1, 1, &visitor, 1, w.home.q, w.home.r, false);
    fixture_step(w.world, &w.inputs);
    fixture_run(w.world, 1200);
    for (unsigned i = 0; i < count_of(&w, "wolf"); i++) {
        int32_t nearest = INT32_MAX;
        for (unsigned d = 0; d < count_of(&w, "wolf_den"); d++) {
            int32_t distance = hex_distance(find(&w, "wolf_den", d).at, find(&w, "wolf", i).at);
            nearest = distance < nearest ? distance : nearest;
        }
        cr_expect_leq(nearest, 4, "wolf %u is %d hexes from any den", i, nearest);
    }
    cr_assert(lives(&w, visitor));
    end(&w);
}

Test(camps, what_is_killed_pays_and_comes_again_until_the_lair_falls)
{
    struct wild w;
    open_rules(&w);
    w.rules->types[type(&w, "soldier")].attack = 1000;
    begin(&w);
    fixture_run(w.world, 40);
    unsigned dens = count_of(&w, "wolf_den");
    struct world_entity_view den = find(&w, "wolf_den", 0);
    put(&w, "soldier", 4, (struct hex_axial){den.at.q + 2, den.at.r});
    for (unsigned i = 0; i < 2000 && lives(&w, den.id); i++)
        fixture_run(w.world, 1);
    // Soldiers at rest take the lair for an enemy too.
    cr_assert_not(lives(&w, den.id));
    cr_assert_geq(won(&w, "wolf"), 15 * 3);
    cr_assert_eq(won(&w, "wolf") % 15, 0);
    cr_assert_eq(won(&w, "wolf_den"), 60);
    cr_assert_eq(count_of(&w, "wolf_den"), dens - 1);
    fixture_run(w.world, 300);
    unsigned left = count_of(&w, "wolf");
    fixture_run(w.world, 300);
    cr_assert_eq(count_of(&w, "wolf"), left, "they come although their den is gone");
    end(&w);
}

Test(camps, a_killed_guard_is_back_after_its_time)
{
    struct wild w;
    open_rules(&w);
    begin(&w);
    fixture_run(w.world, 40);
    unsigned wolves = count_of(&w, "wolf");
    fixture_inputs_clear(&w.inputs);
    fixture_despawn(&w.inputs, find(&w, "wolf", 0).id);
    fixture_step(w.world, &w.inputs);
    cr_assert_eq(count_of(&w, "wolf"), wolves - 1);
    fixture_run(w.world, 59);
    cr_assert_eq(count_of(&w, "wolf"), wolves - 1);
    fixture_run(w.world, 41);
    cr_assert_eq(count_of(&w, "wolf"), wolves);
    cr_assert_eq(won(&w, "wolf"), 0, "nobody killed it");
    end(&w);
}

Test(camps, nobody_gathers_from_a_creature)
{
    struct wild w;
    open_rules(&w);
    begin(&w);
    fixture_run(w.world, 40);
    struct world_entity_view den = find(&w, "wolf_den", 0);
    put(&w, "worker", 1, (struct hex_axial){den.at.q + 1, den.at.r});
    uint64_t workers[8];
    size_t count = fixture_units(w.world, 1, "worker", workers, 8);
    fixture_inputs_clear(&w.inputs);
    fixture_gather(&w.inputs, 1, 1, &workers[count - 1], 1, den.id, false);
    fixture_step(w.world, &w.inputs);
    cr_assert_not(w.inputs.results[0].applied);
    end(&w);
}

// --- exploring -----------------------------------------------------------------------------------

static void walk_out(struct wild *w, unsigned ticks)
{
    uint64_t scout;
    cr_assert_eq(fixture_units(w->world, 1, "scout", &scout, 1), 1);
    for (uint64_t seq = 1; seq <= ticks / 100; seq++) {
        struct world_entity_view view;
        world_find_entity(w->world, scout, &view);
        // As far out as there is land.
        struct hex_axial goal = view.at;
        while (world_map_cell(&w->world->map, (struct hex_axial){goal.q + 1, goal.r}) !=
               WORLD_CELL_NONE)
            goal.q++;
        fixture_inputs_clear(&w->inputs);
        fixture_move(&w->inputs, 1, seq, &scout, 1, goal.q, goal.r, false);
        fixture_step(w->world, &w->inputs);
        cr_assert(w->inputs.results[0].applied, "%s", w->inputs.results[0].message);
        fixture_run(w->world, 99);
    }
}

Test(camps, the_map_grows_around_explorers)
{
    struct wild w;
    open_rules(&w);
    w.rules->map.explored_chunks_max = 400;
    fixture_peace(w.rules);
    begin(&w);
    uint32_t before = world_chunk_count(w.world);
    walk_out(&w, 2000);
    uint64_t scout;
    fixture_units(w.world, 1, "scout", &scout, 1);
    struct world_entity_view view;
    world_find_entity(w.world, scout, &view);
    cr_assert_gt(world_chunk_count(w.world), before);
    cr_assert_gt(hex_distance(view.at, w.home), 100);
    // All it sees is land.
    int32_t sight = (int32_t)w.rules->types[type(&w, "scout")].sight_hexes;
    for (uint64_t i = 0; i < hex_disc_count(sight); i++)
        cr_assert_neq(world_map_cell(&w.world->map, hex_add(view.at, hex_spiral(i))),
                      WORLD_CELL_NONE);
    end(&w);
}

Test(camps, exploring_ends_where_the_rules_say)
{
    struct wild w;
    open_rules(&w);
    w.rules->map.explored_chunks_max = 40;
    fixture_peace(w.rules);
    begin(&w);
    walk_out(&w, 2000);
    cr_assert_leq(world_chunk_count(w.world), 40);
    end(&w);
}
