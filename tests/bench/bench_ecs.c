// What the choices of the world's entity store rest on: how entities of a query are found (sparse
// sets with queries cached as bits, against probing, and against archetypes: a table for each
// combination of components), what it costs to add and remove components, and what a second thread
// saves where work is divided.

#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/rng.h"
#include "services/world/core/state.h"
#include "services/world/pool.h"
#include "tests/support/bench.h"
#include "tests/support/world_fixture.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ENTITIES = 1000000, WITH = 100000, CHANGED = 10000, RUNS = 31 };

static double cpu_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

// --- archetypes ---------------------------------------------------------------------------------

// Two tables are enough: entities at rest and entities under way, who have three components more.
// A table's rows are in the order in which they came, last into the gap.
enum { COLUMNS = 7, COLUMNS_AT_REST = 4 };
static const enum world_component_id column_of[COLUMNS] = {
    WORLD_IDENTITY, WORLD_PLACE, WORLD_HEALTH, WORLD_ACTIVITY,
    WORLD_MOVER,    WORLD_ROUTE, WORLD_ORDERS,
};

struct table {
    uint32_t columns, count;
    uint8_t *rows[COLUMNS];
    uint32_t *slot_of_row;
};

struct archetypes {
    struct table rest, way;
    uint32_t *row_of_slot;
};

static void table_init(struct table *table, uint32_t columns)
{
    *table = (struct table){.columns = columns};
    for (uint32_t c = 0; c < columns; c++)
        table->rows[c] = calloc(ENTITIES + 1, world_components[column_of[c]].bytes);
    table->slot_of_row = calloc(ENTITIES + 1, sizeof *table->slot_of_row);
}

static void table_free(struct table *table)
{
    for (uint32_t c = 0; c < table->columns; c++)
        free(table->rows[c]);
    free(table->slot_of_row);
}

static void archetypes_init(struct archetypes *all)
{
    table_init(&all->rest, COLUMNS_AT_REST);
    table_init(&all->way, COLUMNS);
    all->row_of_slot = calloc(ENTITIES + 1, sizeof *all->row_of_slot);
    for (uint32_t slot = 1; slot <= ENTITIES; slot++) {
        all->row_of_slot[slot] = all->rest.count;
        all->rest.slot_of_row[all->rest.count++] = slot;
    }
}

static void archetypes_free(struct archetypes *all)
{
    table_free(&all->rest);
    table_free(&all->way);
    free(all->row_of_slot);
}

static void change_table(struct archetypes *all, uint32_t slot, struct table *from,
                         struct table *to)
{
    uint32_t row = all->row_of_slot[slot], last = --from->count, new_row = to->count++;
    for (uint32_t c = 0; c < COLUMNS; c++) {
        size_t bytes = world_components[column_of[c]].bytes;
        if (c < to->columns && c < from->columns)
            memcpy(to->rows[c] + new_row * bytes, from->rows[c] + row * bytes, bytes);
        else if (c < to->columns)
            memset(to->rows[c] + new_row * bytes, 0, bytes);
        if (c < from->columns && row != last)
            memcpy(from->rows[c] + row * bytes, from->rows[c] + last * bytes, bytes);
    }
    from->slot_of_row[row] = from->slot_of_row[last];
    all->row_of_slot[from->slot_of_row[row]] = row;
    to->slot_of_row[new_row] = slot;
    all->row_of_slot[slot] = new_row;
}

// --- the same entities in both ------------------------------------------------------------------

struct both {
    struct world_ecs ecs;
    struct archetypes archetypes;
    uint32_t *slots; // shuffled; the first WITH are under way
};

static void add_all(struct world_ecs *ecs, uint32_t slot)
{
    world_ecs_add(ecs, WORLD_MOVER, slot);
    world_ecs_add(ecs, WORLD_ROUTE, slot);
    world_ecs_add(ecs, WORLD_ORDERS, slot);
}

static void remove_all(struct world_ecs *ecs, uint32_t slot)
{
    world_ecs_remove(ecs, WORLD_MOVER, slot);
    world_ecs_remove(ecs, WORLD_ROUTE, slot);
    world_ecs_remove(ecs, WORLD_ORDERS, slot);
}

static void both_init(struct both *both)
{
    MM_CHECK(world_ecs_init(&both->ecs, ENTITIES) == MM_OK);
    MM_CHECK(world_ecs_reserve(&both->ecs, ENTITIES) == MM_OK);
    archetypes_init(&both->archetypes);
    both->slots = calloc(ENTITIES, sizeof *both->slots);
    struct mm_rng rng;
    mm_rng_seed(&rng, 4);
    for (uint32_t i = 0; i < ENTITIES; i++) {
        uint32_t j = (uint32_t)mm_rng_below(&rng, i + 1);
        both->slots[i] = both->slots[j];
        both->slots[j] = world_ecs_spawn(&both->ecs);
    }
    for (uint32_t i = 0; i < WITH; i++) {
        add_all(&both->ecs, both->slots[i]);
        change_table(&both->archetypes, both->slots[i], &both->archetypes.rest,
                     &both->archetypes.way);
    }
    world_ecs_begin(&both->ecs);
    world_ecs_refresh(&both->ecs);
}

static void both_free(struct both *both)
{
    world_ecs_free(&both->ecs);
    archetypes_free(&both->archetypes);
    free(both->slots);
}

// --- going through a query ----------------------------------------------------------------------

// All of them sum what a system looks at first; those that go in slot order also sum the order, so
// that it is seen to be the same.
struct sums {
    uint64_t due, order;
};

static void look(struct sums *sums, uint32_t slot, const struct world_mover *mover,
                 const struct world_place *place)
{
    sums->due += mover->due + place->cell;
    sums->order = sums->order * 31 + slot;
}

static struct sums by_cached_bits(struct both *both)
{
    struct sums sums = {0, 0};
    const uint64_t *bits = world_ecs_query(&both->ecs, WORLD_QUERY_ORDERED);
    size_t end = both->ecs.slot_end;
    for (size_t slot = mm_bitset_next(bits, end, 0); slot < end;
         slot = mm_bitset_next(bits, end, slot + 1))
        look(&sums, (uint32_t)slot, WORLD_GET(&both->ecs, WORLD_MOVER, world_mover, slot),
             WORLD_GET(&both->ecs, WORLD_PLACE, world_place, slot));
    return sums;
}

static struct sums by_probing(struct both *both)
{
    struct sums sums = {0, 0};
    for (uint32_t slot = world_ecs_next(&both->ecs, 0); slot != WORLD_SLOT_NONE;
         slot = world_ecs_next(&both->ecs, slot)) {
        const struct world_mover *mover = WORLD_GET(&both->ecs, WORLD_MOVER, world_mover, slot);
        if (mover && WORLD_GET(&both->ecs, WORLD_ORDERS, world_orders, slot) &&
            !WORLD_GET(&both->ecs, WORLD_FIGHT, world_fight, slot))
            look(&sums, slot, mover, WORLD_GET(&both->ecs, WORLD_PLACE, world_place, slot));
    }
    return sums;
}

static struct sums by_table(struct both *both)
{
    struct sums sums = {0, 0};
    const struct table *table = &both->archetypes.way;
    const struct world_mover *movers = (const void *)table->rows[4];
    const struct world_place *places = (const void *)table->rows[1];
    for (uint32_t row = 0; row < table->count; row++)
        look(&sums, table->slot_of_row[row], &movers[row], &places[row]);
    return sums;
}

// As determinism needs it: rows are where history put them.
static struct sums by_table_in_order(struct both *both)
{
    static uint64_t bits[ENTITIES / 64 + 2];
    struct sums sums = {0, 0};
    const struct table *table = &both->archetypes.way;
    const struct world_mover *movers = (const void *)table->rows[4];
    const struct world_place *places = (const void *)table->rows[1];
    for (uint32_t row = 0; row < table->count; row++)
        mm_bitset_set(bits, table->slot_of_row[row]);
    for (size_t slot = mm_bitset_next(bits, ENTITIES + 1, 0); slot <= ENTITIES;
         slot = mm_bitset_next(bits, ENTITIES + 1, slot + 1)) {
        uint32_t row = both->archetypes.row_of_slot[slot];
        mm_bitset_clear(bits, slot);
        look(&sums, (uint32_t)slot, &movers[row], &places[row]);
    }
    return sums;
}

static void queries(struct bench *bench, struct both *both)
{
    static const struct {
        const char *name;
        struct sums (*run)(struct both *both);
    } ways[] = {
        {"ecs.query_ms.cached_bits", by_cached_bits},
        {"ecs.query_ms.probing", by_probing},
        {"ecs.query_ms.archetype_unordered", by_table},
        {"ecs.query_ms.archetype_in_slot_order", by_table_in_order},
    };
    enum { WAYS = sizeof ways / sizeof ways[0] };
    double ms[WAYS][RUNS];
    for (int run = 0; run < RUNS; run++) {
        struct sums sums[WAYS];
        for (int w = 0; w < WAYS; w++) {
            double began = cpu_ms();
            sums[w] = ways[w].run(both);
            ms[w][run] = cpu_ms() - began;
            MM_CHECK(sums[w].due == sums[0].due);
        }
        MM_CHECK(sums[1].order == sums[0].order && sums[3].order == sums[0].order);
        MM_CHECK(sums[2].order != sums[0].order);
    }
    for (int w = 0; w < WAYS; w++)
        bench_figure(bench, ways[w].name, bench_median(ms[w], RUNS), "ms");
}

// --- adding and removing ------------------------------------------------------------------------

// Some set out and as many arrive, in no order; the queries are brought up to date.
static void changes(struct bench *bench, struct both *both)
{
    double sparse[RUNS], archetype[RUNS];
    for (int run = 0; run < RUNS; run++) {
        const uint32_t *leave = both->slots + run * CHANGED % WITH, *come = both->slots + WITH;
        come += (size_t)run * CHANGED;
        double began = cpu_ms();
        for (uint32_t i = 0; i < CHANGED; i++) {
            add_all(&both->ecs, come[i]);
            remove_all(&both->ecs, come[i]);
            remove_all(&both->ecs, leave[i]);
            add_all(&both->ecs, leave[i]);
        }
        world_ecs_refresh(&both->ecs);
        sparse[run] = cpu_ms() - began;
        struct archetypes *all = &both->archetypes;
        began = cpu_ms();
        for (uint32_t i = 0; i < CHANGED; i++) {
            change_table(all, come[i], &all->rest, &all->way);
            change_table(all, come[i], &all->way, &all->rest);
            change_table(all, leave[i], &all->way, &all->rest);
            change_table(all, leave[i], &all->rest, &all->way);
        }
        archetype[run] = cpu_ms() - began;
        world_ecs_settle(&both->ecs);
        world_ecs_begin(&both->ecs);
    }
    bench_compare(bench, "ecs.set_out_and_arrive_10k_ms", bench_median(sparse, RUNS),
                  bench_median(archetype, RUNS), "ms");
}

// --- looking out for enemies --------------------------------------------------------------------

enum { SOLDIERS = 40000 };

// Two empires' soldiers in alternate stripes, just out of each other's sight: everybody looks and
// nobody finds.
static struct world *stripes(void)
{
    struct world_rules *rules = fixture_open_rules();
    int soldier = world_rules_type(rules, "soldier");
    struct world *world = fixture_world(rules, 1);
    int32_t gap = (int32_t)rules->types[soldier].sight_hexes + 1;
    fixture_found(world, 2);
    MM_CHECK(world_reserve_entities(world, SOLDIERS + 1024) == MM_OK);
    MM_CHECK(world_grow(world, (struct hex_chunk){0, 0}, 22) == MM_OK);
    MM_CHECK(world_reserve_entities(world, SOLDIERS + 1024) == MM_OK);
    uint32_t made = 0;
    for (uint32_t cell = 0; cell < world_map_cell_count(&world->map) && made < SOLDIERS; cell++) {
        struct hex_axial at = world_map_hex(&world->map, cell);
        bool near_home = false;
        for (size_t e = 0; e < world->empires.count; e++)
            near_home = near_home || hex_distance(at, world->empires.items[e].home) < 30;
        if (at.r % gap != 0 || near_home || !world_cell_free(world, cell, WORLD_ON_UNIT))
            continue;
        uint32_t owner = at.r / gap % 2 == 0 ? 1 : 2;
        world_entity_create(world, (uint32_t)soldier, owner, cell);
        made++;
    }
    MM_CHECK(made == SOLDIERS);
    world_ecs_settle(&world->ecs);
    world_ecs_begin(&world->ecs);
    free(rules);
    return world;
}

// Time on the wall, in which the other work of the machine is too: so what is told is how long the
// quick ones took.
static double tick_wall_ms(struct world *world, struct mm_arena *arena)
{
    double runs[RUNS];
    for (int run = 0; run < RUNS; run++) {
        uint64_t began = bench_now_ns();
        for (int tick = 0; tick < 10; tick++) // in which every chunk is looked over
            world_step(world, NULL, 0, arena, NULL);
        runs[run] = (double)(bench_now_ns() - began) / 1e7;
    }
    return bench_percentile(runs, RUNS, 10);
}

static void threads(struct bench *bench)
{
    struct world *world = stripes();
    struct mm_arena *arena = mm_arena_new(1 << 16, (size_t)1 << 30);
    double alone = tick_wall_ms(world, arena);
    for (uint32_t count = 2; count <= 4; count += 2) {
        struct world_pool *pool;
        char name[64];
        MM_CHECK(world_pool_open(count, &pool) == MM_OK);
        struct world_workers workers = world_pool_workers(pool);
        world_set_workers(world, &workers);
        snprintf(name, sizeof name, "ecs.watch_wall_ms.threads_%u", count);
        bench_compare(bench, name, tick_wall_ms(world, arena), alone, "ms");
        world_set_workers(world, NULL);
        world_pool_close(pool);
    }
    MM_CHECK(world->events.count == 0 && world_mover_count(world) == 0);
    MM_CHECK(world_state_hash(world) == world_state_hash_full(world));
    mm_arena_free(arena);
    world_free(world);
}

int main(void)
{
    struct bench *bench = bench_open(
        "ecs", "1M entities of which 100k, in no order, have three components more: to go "
               "through them, to add and remove; 40k soldiers on the look-out, on threads");
    struct both both;
    both_init(&both);
    queries(bench, &both);
    changes(bench, &both);
    both_free(&both);
    threads(bench);
    return bench_close(bench);
}
