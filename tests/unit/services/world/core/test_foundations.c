// What the simulation stands on: entities, schedule, map and grid.

#include "services/world/core/find.h"
#include "services/world/core/mapgen.h"
#include "services/world/core/state.h"
#include "tests/support/world_fixture.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

// --- entities -----------------------------------------------------------------------------------

Test(ecs, slots_are_lowest_first_and_rest_for_a_tick)
{
    struct world_ecs ecs;
    cr_assert_eq(world_ecs_init(&ecs, 100), MM_OK);
    cr_assert_eq(world_ecs_reserve(&ecs, 10), MM_OK);
    for (uint32_t i = 1; i <= 5; i++)
        cr_assert_eq(world_ecs_spawn(&ecs), i);
    world_ecs_begin(&ecs);
    struct world_entity second = world_ecs_entity(&ecs, 2);
    world_ecs_despawn(&ecs, 4);
    world_ecs_despawn(&ecs, 2);
    cr_assert_eq(world_ecs_slot(&ecs, second), WORLD_SLOT_NONE);
    cr_assert_eq(world_ecs_reserve(&ecs, 10), MM_OK);
    cr_assert_eq(world_ecs_spawn(&ecs), 6, "a slot was used again in the tick it was freed");
    world_ecs_begin(&ecs);
    cr_assert_eq(world_ecs_spawn(&ecs), 2);
    cr_assert_eq(world_ecs_spawn(&ecs), 4);
    cr_assert_eq(world_ecs_spawn(&ecs), 7);
    cr_assert_eq(world_ecs_slot(&ecs, second), WORLD_SLOT_NONE, "the new tenant is another");
    cr_assert_eq(world_ecs_slot(&ecs, world_ecs_entity(&ecs, 2)), 2);
    cr_assert_eq(ecs.alive_count, 7);
    world_ecs_free(&ecs);
}

Test(ecs, room_has_a_limit)
{
    struct world_ecs ecs;
    cr_assert_eq(world_ecs_init(&ecs, 3), MM_OK);
    cr_assert_eq(world_ecs_reserve(&ecs, 4), MM_RESOURCE_EXHAUSTED);
    cr_assert_eq(world_ecs_reserve(&ecs, 3), MM_OK);
    for (int i = 0; i < 3; i++)
        world_ecs_spawn(&ecs);
    cr_assert_eq(world_ecs_reserve(&ecs, 1), MM_RESOURCE_EXHAUSTED);
    world_ecs_begin(&ecs);
    world_ecs_despawn(&ecs, 1);
    cr_assert_eq(world_ecs_reserve(&ecs, 1), MM_RESOURCE_EXHAUSTED, "its slot still rests");
    world_ecs_begin(&ecs);
    cr_assert_eq(world_ecs_reserve(&ecs, 1), MM_OK);
    world_ecs_free(&ecs);
}

static void settle_in_parts(struct world_ecs *ecs)
{
    uint64_t sums[WORLD_COMPONENTS];
    size_t words = MM_BITSET_WORDS(ecs->slot_end);
    for (size_t word = 0; word < words; word += 2) {
        world_ecs_settle_words(ecs, word, word + 2 < words ? word + 2 : words, sums);
        for (int id = 0; id < WORLD_COMPONENTS; id++)
            ecs->columns[id].hash_sum += sums[id];
    }
}

// Random additions, removals, changes and deaths against a plain model.
Test(ecs, sparse_components_against_a_model)
{
    enum { SLOTS = 300 };
    struct world_ecs ecs;
    bool alive[SLOTS] = {false}, has[SLOTS] = {false};
    bool works[SLOTS] = {false}, fights[SLOTS] = {false};
    int32_t value[SLOTS] = {0};
    struct mm_rng rng;
    mm_rng_seed(&rng, 5);
    cr_assert_eq(world_ecs_init(&ecs, SLOTS - 1), MM_OK);
    for (int round = 0; round < 20000; round++) {
        uint32_t slot = (uint32_t)mm_rng_between(&rng, 1, SLOTS - 1);
        switch (mm_rng_below(&rng, 9)) {
        case 6:
            if (alive[slot]) {
                if (!works[slot])
                    world_ecs_add(&ecs, WORLD_GATHER, slot);
                else
                    world_ecs_remove(&ecs, WORLD_GATHER, slot);
                works[slot] = !works[slot];
            }
            break;
        case 7:
            if (alive[slot]) {
                world_ecs_add(&ecs, WORLD_FIGHT, slot);
                fights[slot] = true;
            }
            break;
        case 8:
            if (alive[slot]) {
                world_ecs_defer_remove(&ecs, WORLD_FIGHT, slot);
                cr_assert_eq(WORLD_GET(&ecs, WORLD_FIGHT, world_fight, slot) != NULL, fights[slot]);
                world_ecs_flush_removals(&ecs);
                fights[slot] = false;
            }
            break;
        case 0:
            if (world_ecs_reserve(&ecs, 1) == MM_OK) {
                slot = world_ecs_spawn(&ecs);
                cr_assert(slot < SLOTS && !alive[slot]);
                alive[slot] = true;
                has[slot] = works[slot] = fights[slot] = false;
            }
            break;
        case 1:
            if (alive[slot] && mm_rng_chance(&rng, 1, 2)) {
                world_ecs_despawn(&ecs, slot);
                alive[slot] = false;
            }
            break;
        case 2:
            if (alive[slot]) {
                struct world_amount *amount = world_ecs_add(&ecs, WORLD_AMOUNT, slot);
                cr_assert_eq(amount->value, has[slot] ? value[slot] : 0);
                amount->value = value[slot] = (int32_t)mm_rng_u64(&rng);
                has[slot] = true;
            }
            break;
        case 3:
            if (alive[slot]) {
                world_ecs_remove(&ecs, WORLD_AMOUNT, slot);
                has[slot] = false;
            }
            break;
        case 4:
            if (mm_rng_chance(&rng, 1, 5)) {
                world_ecs_settle(&ecs);
                world_ecs_begin(&ecs);
            }
            break;
        default:
            cr_assert_eq(world_ecs_alive(&ecs, slot), alive[slot]);
            if (alive[slot]) {
                const struct world_amount *amount =
                    WORLD_GET(&ecs, WORLD_AMOUNT, world_amount, slot);
                cr_assert_eq(amount != NULL, has[slot]);
                cr_assert(!amount || amount->value == value[slot]);
            }
            break;
        }
        if (round % 100 == 0) {
            world_ecs_refresh(&ecs);
            const uint64_t *all = world_ecs_query(&ecs, WORLD_QUERY_GATHERING);
            const uint64_t *idle = world_ecs_query(&ecs, WORLD_QUERY_IDLE);
            uint32_t count[2] = {0, 0};
            for (uint32_t s = 1; s < ecs.slot_end; s++) {
                cr_assert_eq(mm_bitset_get(all, s), alive[s] && works[s]);
                cr_assert_eq(mm_bitset_get(idle, s), alive[s] && !fights[s]);
                count[0] += mm_bitset_get(all, s);
                count[1] += mm_bitset_get(idle, s);
            }
            cr_assert_eq(count[0], world_ecs_query_count(&ecs, WORLD_QUERY_GATHERING));
            cr_assert_eq(count[1], world_ecs_query_count(&ecs, WORLD_QUERY_IDLE));
        }
        if (round % 500 == 0) {
            if (round % 1000 == 0)
                world_ecs_settle(&ecs);
            else
                settle_in_parts(&ecs);
            cr_assert_eq(world_ecs_hash(&ecs), world_ecs_hash_full(&ecs), "round %d", round);
        }
    }
    world_ecs_free(&ecs);
}

Test(ecs, every_field_of_every_component_is_hashed)
{
    for (int id = 0; id < WORLD_COMPONENTS; id++) {
        const struct world_component *component = &world_components[id];
        uint8_t *row = calloc(1, component->bytes), *seen = calloc(1, component->bytes);
        uint64_t empty = world_component_hash((enum world_component_id)id, 1, row);
        cr_assert_neq(empty, world_component_hash((enum world_component_id)id, 2, row));
        for (unsigned f = 0; f < component->field_count; f++) {
            const struct world_field *field = &component->fields[f];
            size_t bytes = field->raw ? field->raw : field->bytes;
            for (unsigned i = 0; i < field->count; i++)
                for (size_t b = 0; b < bytes; b++) {
                    size_t at = field->offset + (size_t)i * field->stride + b;
                    cr_assert_lt(at, component->bytes);
                    cr_assert(!seen[at], "%s.%s overlaps", component->name, field->name);
                    seen[at] = 1;
                    row[at] ^= 1;
                    cr_assert_neq(world_component_hash((enum world_component_id)id, 1, row), empty,
                                  "%s.%s", component->name, field->name);
                    row[at] ^= 1;
                }
        }
        // What no field covers must be padding or spare.
        size_t uncovered = 0;
        for (size_t i = 0; i < component->bytes; i++)
            uncovered += !seen[i];
        cr_assert_leq(uncovered, id == WORLD_ORDERS ? 6 + 7 * WORLD_ORDERS_MAX : 7, "%s: %zu",
                      component->name, uncovered);
        free(seen);
        free(row);
    }
}

// --- schedule -----------------------------------------------------------------------------------

static void run_nothing(struct world *world)
{
    (void)world;
}

Test(schedule, conflicts_are_refused)
{
    char problem[128];
    struct world_system a = {.name = "a", .run = run_nothing, .writes = 1, .every = 1};
    struct world_system b = {.name = "b", .run = run_nothing, .reads = 1, .every = 1};
    struct world_system pair[2] = {a, b};
    cr_assert_eq(world_schedule_check(pair, 2, problem, sizeof problem), MM_FAILED_PRECONDITION);
    cr_assert(strstr(problem, "conflicts"), "%s", problem);
    pair[1].stage = 1; // one after the other: no conflict
    cr_assert_eq(world_schedule_check(pair, 2, problem, sizeof problem), MM_OK);
    pair[0].stage = 2;
    cr_assert_eq(world_schedule_check(pair, 2, problem, sizeof problem), MM_FAILED_PRECONDITION);
    pair[0] = a;
    pair[1] = b;
    pair[1].reads = 2;
    cr_assert_eq(world_schedule_check(pair, 2, problem, sizeof problem), MM_OK);
    pair[1].writes = 1;
    cr_assert_eq(world_schedule_check(pair, 2, problem, sizeof problem), MM_FAILED_PRECONDITION);
    pair[1] = a;
    cr_assert_eq(world_schedule_check(pair, 2, problem, sizeof problem), MM_FAILED_PRECONDITION);
    a.every = 3;
    a.offset = 3;
    cr_assert_eq(world_schedule_check(&a, 1, problem, sizeof problem), MM_FAILED_PRECONDITION);
    cr_assert_eq(world_schedule_check(world_systems, world_systems_count, problem, sizeof problem),
                 MM_OK, "%s", problem);
}

static unsigned ran[3];
static uint32_t ran_at[20];
static void run_first(struct world *world)
{
    ran_at[ran[0]++] = (uint32_t)world->tick;
    world_ecs_defer_despawn(&world->ecs, world_ecs_next(&world->ecs, 0));
    ran[2] = world->ecs.alive_count;
}
static void run_second(struct world *world)
{
    cr_assert_eq(world->ecs.alive_count, ran[2] - 1, "put off changes come at the stage's end");
    ran[1]++;
}

Test(schedule, periods_offsets_and_stages)
{
    struct world *world = fixture_world(NULL, 1);
    fixture_found(world, 1);
    const struct world_system systems[] = {
        {.name = "first",
         .run = run_first,
         .writes = WORLD_BIT(WORLD_USES_LIVES),
         .every = 5,
         .offset = 2},
        {.name = "second", .run = run_second, .stage = 1, .every = 5, .offset = 2},
    };
    for (world->tick = 0; world->tick < 20; world->tick++)
        world_schedule_run(world, systems, 2);
    static const uint32_t wanted[] = {2, 7, 12, 17};
    cr_assert_eq(ran[0], 4);
    cr_assert_arr_eq(ran_at, wanted, sizeof wanted);
    cr_assert_eq(ran[1], 4);
    world_free(world);
}

static void write_undeclared(struct world *world)
{
    WORLD_TOUCH(&world->ecs, WORLD_HEALTH, world_health, world_ecs_next(&world->ecs, 0))->value = 1;
}

Test(schedule, writing_what_was_not_declared_ends_the_process, .signal = 6)
{
    struct world *world = fixture_world(NULL, 1);
    fixture_found(world, 1);
    const struct world_system system = {
        .name = "liar", .run = write_undeclared, .writes = WORLD_BIT(WORLD_PLACE), .every = 1};
    world_schedule_run(world, &system, 1);
}

static void read_undeclared(struct world *world)
{
    (void)WORLD_GET(&world->ecs, WORLD_HEALTH, world_health, world_ecs_next(&world->ecs, 0));
}

Test(schedule, reading_what_was_not_declared_ends_the_process, .signal = 6)
{
    struct world *world = fixture_world(NULL, 1);
    fixture_found(world, 1);
    const struct world_system system = {
        .name = "liar", .run = read_undeclared, .reads = WORLD_BIT(WORLD_PLACE), .every = 1};
    world_schedule_run(world, &system, 1);
}

static void ask_undeclared(struct world *world)
{
    (void)world_ecs_query(&world->ecs, WORLD_QUERY_IDLE);
}

Test(schedule, a_query_over_what_was_not_declared_ends_the_process, .signal = 6)
{
    struct world *world = fixture_world(NULL, 1);
    const struct world_system system = {
        .name = "liar", .run = ask_undeclared, .reads = WORLD_BIT(WORLD_FIGHT), .every = 1};
    world_schedule_run(world, &system, 1);
}

// Workers that do what real ones are allowed to do: the last part first.
static void run_backwards(void *ctx, void (*part)(void *arg, uint32_t i), void *arg, uint32_t parts)
{
    *(unsigned *)ctx += parts;
    while (parts > 0)
        part(arg, --parts);
}

static unsigned part_runs[5], beside_runs, hooked[2];
static uint32_t divide_in_five(struct world *world)
{
    (void)world;
    return 5;
}
static void run_part(struct world *world, uint32_t part)
{
    cr_assert_eq(world_parts(world, 1000000, 1), 1, "what runs beside others is not divided again");
    part_runs[part]++;
}
static void run_beside(struct world *world)
{
    (void)world;
    beside_runs++;
}
static void count_hook(void *ctx, size_t system, const char *name, bool begins)
{
    (void)ctx;
    (void)name;
    hooked[system] += begins;
}

Test(schedule, what_is_divided_runs_beside_the_others_of_its_stage)
{
    char problem[128];
    struct world *world = fixture_world(NULL, 1);
    struct world_system systems[] = {
        {.name = "divided",
         .divide = divide_in_five,
         .run_part = run_part,
         .writes = 1,
         .every = 2},
        {.name = "beside", .run = run_beside, .writes = 2, .every = 1},
    };
    cr_assert_eq(world_schedule_check(systems, 2, problem, sizeof problem), MM_OK, "%s", problem);
    unsigned lent = 0;
    struct world_workers workers = {.threads = 2, .run = run_backwards, .ctx = &lent};
    world_set_system_hook(world, count_hook, NULL);
    for (world->tick = 0; world->tick < 8; world->tick++) {
        world_set_workers(world, world->tick < 4 ? &workers : NULL);
        world_schedule_run(world, systems, 2);
    }
    for (int part = 0; part < 5; part++)
        cr_assert_eq(part_runs[part], 4);
    cr_assert_eq(beside_runs, 8);
    cr_assert_eq(hooked[0], 20);
    cr_assert_eq(hooked[1], 8);
    cr_assert_eq(lent, 2 * 6, "two ticks with both; alone, and without workers, nothing is lent");
    world_free(world);
    systems[0].run = run_beside;
    cr_assert_eq(world_schedule_check(systems, 2, problem, sizeof problem), MM_FAILED_PRECONDITION);
    systems[0].run = NULL;
    systems[0].divide = NULL;
    cr_assert_eq(world_schedule_check(systems, 2, problem, sizeof problem), MM_FAILED_PRECONDITION);
}

// --- map ----------------------------------------------------------------------------------------

Test(map, cells_hexes_and_steps_agree)
{
    struct world_rules *rules = fixture_rules();
    struct world *world = fixture_world(rules, 9);
    fixture_found(world, 3);
    const struct world_map *map = &world->map;
    cr_assert_eq(map->hash_sum, world_map_hash_full(map));
    for (uint32_t cell = 0; cell < world_map_cell_count(map); cell++) {
        struct hex_axial at = world_map_hex(map, cell);
        cr_assert_eq(world_map_cell(map, at), cell);
        for (unsigned d = 0; d < HEX_DIRECTIONS; d++)
            cr_assert_eq(world_map_step(map, cell, d), world_map_cell(map, hex_neighbor(at, d)));
    }
    world_free(world);
    free(rules);
}

// Rings about every hex, on the map, at its edge and beyond.
Test(map, walks_lead_where_lookups_do)
{
    struct world *world = fixture_world(NULL, 9);
    const struct world_map *map = &world->map;
    struct hex_axial ring[6 * 8];
    for (uint32_t cell = 0; cell < world_map_cell_count(map); cell += 3) {
        struct world_walk walk = {world_map_hex(map, cell), cell};
        struct hex_axial center = walk.at;
        for (int32_t radius = 1; radius <= 8; radius++) {
            world_walk_step(map, &walk, 0);
            size_t count = hex_ring(center, radius, ring), i = 0;
            for (unsigned side = 0; side < HEX_DIRECTIONS; side++)
                for (int32_t step = 0; step < radius; step++, i++) {
                    cr_assert(hex_equal(walk.at, ring[i]));
                    cr_assert_eq(walk.cell, world_map_cell(map, ring[i]));
                    world_walk_step(map, &walk, (side + 2) % HEX_DIRECTIONS);
                }
            cr_assert_eq(i, count);
        }
    }
    world_free(world);
}

// Regions against a flood fill from the first home.
Test(map, regions_against_a_flood)
{
    struct world_rules *rules = fixture_rules();
    struct world *world = fixture_world(rules, 10);
    fixture_found(world, 7);
    const struct world_map *map = &world->map;
    uint32_t cells = world_map_cell_count(map);
    bool *reached = calloc(cells, 1);
    uint32_t *stack = calloc(cells, sizeof *stack);
    uint32_t start = world_map_cell(map, (struct hex_axial){0, 0}), depth = 0, count = 0;
    reached[start] = true;
    stack[depth++] = start;
    while (depth > 0) {
        uint32_t cell = stack[--depth];
        count++;
        for (unsigned d = 0; d < HEX_DIRECTIONS; d++) {
            uint32_t next = world_map_step(map, cell, d);
            if (next != WORLD_CELL_NONE && !reached[next] && world_map_passable(map, next)) {
                reached[next] = true;
                stack[depth++] = next;
            }
        }
    }
    for (uint32_t cell = 0; cell < cells; cell++)
        if (world_map_passable(map, cell))
            cr_assert_eq(reached[cell],
                         world_map_region(map, cell) == world_map_region(map, start));
    cr_assert_gt(count, cells / 2);
    for (uint32_t e = 0; e < 7; e++)
        cr_assert(reached[world_map_cell(map, world->empires.items[e].home)]);
    free(stack);
    free(reached);
    world_free(world);
    free(rules);
}

Test(map, a_chunk_is_the_same_whenever_it_comes)
{
    struct world_rules *rules = fixture_rules();
    struct world *a = fixture_world(rules, 12), *b = fixture_world(rules, 12);
    fixture_found(a, 7);
    cr_assert_eq(world_reserve_entities(b, 100000), MM_OK);
    cr_assert_eq(world_grow(b, (struct hex_chunk){3, -3}, 2), MM_OK);
    cr_assert_eq(world_grow(b, (struct hex_chunk){0, 0}, 4), MM_OK);
    unsigned compared = 0, kinds = 0;
    for (int32_t r = -90; r <= 90; r++)
        for (int32_t q = -90; q <= 90; q++) {
            int one = world_terrain_at(a, (struct hex_axial){q, r});
            int two = world_terrain_at(b, (struct hex_axial){q, r});
            if (one < 0 || two < 0)
                continue;
            cr_assert_eq(one, two);
            kinds |= 1u << one;
            compared++;
        }
    cr_assert_gt(compared, 10000);
    cr_assert_eq(kinds, 0x1f, "dead, plains, forest, hills and lake: not %x", kinds);
    world_free(a);
    world_free(b);
    free(rules);
}

// --- grid ---------------------------------------------------------------------------------------

struct found {
    const struct world *world;
    uint32_t slots[4096];
    size_t count, stop_after;
};

static bool on_found(void *ctx, uint32_t slot, uint32_t cell)
{
    struct found *found = ctx;
    cr_assert_eq(WORLD_GET(&found->world->ecs, WORLD_PLACE, world_place, slot)->cell, cell);
    found->slots[found->count++] = slot;
    return found->count < found->stop_after;
}

static int compare_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

Test(grid, range_queries_against_looking_at_everybody)
{
    struct world_rules *rules = fixture_rules();
    struct world *world = fixture_world(rules, 14);
    fixture_found(world, 7);
    struct mm_rng rng;
    mm_rng_seed(&rng, 3);
    static struct found found;
    size_t total = 0;
    for (int i = 0; i < 500; i++) {
        struct hex_axial center = {(int32_t)mm_rng_between(&rng, -80, 80),
                                   (int32_t)mm_rng_between(&rng, -80, 80)};
        int32_t radius = (int32_t)mm_rng_below(&rng, i % 10 == 0 ? 120 : 25);
        found = (struct found){.world = world, .stop_after = SIZE_MAX};
        world_grid_in_range(&world->grid, &world->map, center, radius, on_found, &found);
        qsort(found.slots, found.count, sizeof found.slots[0], compare_u32);
        size_t expected = 0;
        struct world_entity_view view;
        uint32_t cursor = 0;
        while (world_next_entity(world, &cursor, &view))
            if (hex_distance(view.at, center) <= radius) {
                cr_assert_lt(expected, found.count, "entity %u was not found", view.slot);
                cr_assert_eq(found.slots[expected++], view.slot);
            }
        cr_assert_eq(expected, found.count);
        total += expected;
    }
    cr_assert_gt(total, 1000);
    found = (struct found){.world = world, .stop_after = 3};
    world_grid_in_range(&world->grid, &world->map, (struct hex_axial){0, 0}, 50, on_found, &found);
    cr_assert_eq(found.count, 3);
    world_free(world);
    free(rules);
}

struct bounds {
    struct hex_axial a, b;
    int32_t radius;
};

static bool in_disc(const struct bounds *bounds, struct hex_axial at)
{
    return hex_distance(at, bounds->a) <= bounds->radius;
}
static bool on_line(const struct bounds *bounds, struct hex_axial at)
{
    struct hex_axial line[256];
    size_t count = hex_line(bounds->a, bounds->b, line, 256);
    for (size_t i = 0; i < count; i++)
        if (hex_equal(line[i], at))
            return true;
    return false;
}
static bool in_area(const struct bounds *bounds, struct hex_axial at)
{
    return at.q >= bounds->a.q && at.q <= bounds->b.q && at.r >= bounds->a.r && at.r <= bounds->b.r;
}

// Who was found is who lies there and is wanted; how many that are.
static size_t compare_found(struct found *found, const struct world_wanted *wanted,
                            bool (*lies)(const struct bounds *, struct hex_axial),
                            const struct bounds *bounds)
{
    qsort(found->slots, found->count, sizeof found->slots[0], compare_u32);
    struct world_entity_view view;
    uint32_t cursor = 0;
    size_t expected = 0;
    while (world_next_entity(found->world, &cursor, &view)) {
        uint32_t kind =
            WORLD_GET(&found->world->ecs, WORLD_IDENTITY, world_identity, view.slot)->kind;
        if (!lies(bounds, view.at) || (wanted->kinds && !(wanted->kinds >> kind & 1)) ||
            (wanted->of_owner && view.owner != wanted->owner))
            continue;
        cr_assert_lt(expected, found->count, "entity %u was not found", view.slot);
        cr_assert_eq(found->slots[expected++], view.slot);
    }
    cr_assert_eq(expected, found->count);
    return expected;
}

// The first on the rings about a hex, as hex_ring has them.
static uint32_t nearest_by_rings(const struct world *world, const struct bounds *bounds,
                                 const struct world_wanted *wanted)
{
    static struct found found;
    struct hex_axial ring[6 * 32];
    for (int32_t radius = 0; radius <= bounds->radius; radius++) {
        size_t count = hex_ring(bounds->a, radius, ring);
        for (size_t i = 0; i < count; i++) {
            found = (struct found){.world = world, .stop_after = 1};
            world_find_in_disc(world, ring[i], 0, wanted, on_found, &found);
            if (found.count > 0)
                return found.slots[0];
        }
    }
    return WORLD_SLOT_NONE;
}

static struct bounds random_bounds(struct mm_rng *rng)
{
    int32_t at[4];
    for (int i = 0; i < 4; i++)
        at[i] = (int32_t)mm_rng_between(rng, -60, 60);
    return (struct bounds){{at[0], at[1]}, {at[2], at[3]}, (int32_t)mm_rng_below(rng, 25)};
}

Test(grid, queries_by_kind_and_owner_against_looking_at_everybody)
{
    struct world_rules *rules = fixture_rules();
    struct world *world = fixture_world(rules, 14);
    fixture_found(world, 7);
    struct mm_rng rng;
    mm_rng_seed(&rng, 5);
    static struct found found;
    size_t discs = 0, lines = 0, areas = 0, near = 0;
    for (int i = 0; i < 400; i++) {
        struct bounds at = random_bounds(&rng);
        struct bounds area = {
            {at.a.q < at.b.q ? at.a.q : at.b.q, at.a.r < at.b.r ? at.a.r : at.b.r},
            {at.a.q < at.b.q ? at.b.q : at.a.q, at.a.r < at.b.r ? at.b.r : at.a.r},
            0};
        struct world_wanted wanted = {.kinds = (uint32_t)mm_rng_below(&rng, 32) & 30,
                                      .owner = (uint32_t)mm_rng_below(&rng, 8),
                                      .of_owner = mm_rng_chance(&rng, 1, 3)};
        found = (struct found){.world = world, .stop_after = SIZE_MAX};
        world_find_in_disc(world, at.a, at.radius, &wanted, on_found, &found);
        discs += compare_found(&found, &wanted, in_disc, &at);
        found.count = 0;
        world_find_on_line(world, at.a, at.b, &wanted, on_found, &found);
        lines += compare_found(&found, &wanted, on_line, &at);
        found.count = 0;
        world_find_in_area(world, at.a, at.b, &wanted, on_found, &found);
        areas += compare_found(&found, &wanted, in_area, &area);
        uint32_t slot = world_find_nearest(world, at.a, at.radius, &wanted, NULL, NULL);
        cr_assert_eq(slot, nearest_by_rings(world, &at, &wanted));
        near += slot != WORLD_SLOT_NONE;
    }
    cr_assert(discs > 300 && lines > 30 && areas > 300 && near > 50, "%zu %zu %zu %zu", discs,
              lines, areas, near);
    found = (struct found){.world = world, .stop_after = 2};
    const struct world_wanted any = {0};
    world_find_in_area(world, (struct hex_axial){INT32_MIN, INT32_MIN},
                       (struct hex_axial){INT32_MAX, INT32_MAX}, &any, on_found, &found);
    cr_assert_eq(found.count, 2);
    world_free(world);
    free(rules);
}
