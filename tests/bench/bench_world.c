// A tick of the world with 1k, 10k and 100k entities, a quarter of which make a step in every
// tick. The baseline does no more than the same number of steps over plain arrays: what any
// simulation of these entities must at least do.

#include "libcommon/base/check.h"
#include "services/world/core/state.h"
#include "tests/support/bench.h"
#include "tests/support/world_fixture.h"
#include <protobuf-c/protobuf-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WARM_TICKS = 30, RUNS = 120, MARCH_HEXES = 100, GROUP_UNITS = 100 };

// --- the scenario -------------------------------------------------------------------------------

// Units on every other row, each with room to march along its row; every fourth marches to and
// fro. Every hex costs one tick, so that a quarter of all entities moves in every tick.
static struct world_rules *bench_rules(void)
{
    struct world_rules *rules = fixture_open_rules();
    int soldier = world_rules_type(rules, "soldier");
    rules->types[soldier].ticks_per_hex = 1;
    rules->movement.path_nodes_per_tick = 100000000;
    rules->commands.per_second = rules->commands.burst = 10000;
    rules->map.home_grow_chunks = 1;
    return rules;
}

static void grow_map(struct world *world, uint32_t entities)
{
    int32_t radius = 1;
    while (hex_disc_count(radius) * world->map.tiling.cells < (size_t)entities * 6)
        radius++;
    MM_CHECK(world_reserve_entities(world, entities + 1024) == MM_OK);
    MM_CHECK(world_grow(world, (struct hex_chunk){0, 0}, radius) == MM_OK);
}

static uint32_t settle_units(struct world *world, uint32_t entities, uint32_t *marchers)
{
    uint32_t made = 0, marching = 0;
    int soldier = world_rules_type(&world->rules, "soldier");
    for (int32_t r = -900; r <= 900 && made < entities; r++)
        for (int32_t q = -900; q <= 900 && made < entities; q++) {
            uint32_t cell = world_map_cell(&world->map, (struct hex_axial){q, r});
            // Marchers have the even rows to themselves: one in 26 hexes, a lane of 25 before it.
            bool marcher = r % 2 == 0 && (q + r / 2) % 10 == 0 && marching < entities / 4;
            bool stander = r % 2 != 0 && q % 2 == 0 && made - marching < entities - entities / 4;
            if (cell == WORLD_CELL_NONE || !(marcher || stander) ||
                !world_cell_free(world, cell, WORLD_ON_UNIT))
                continue;
            uint32_t slot = world_entity_create(world, (uint32_t)soldier, 1, cell);
            if (marcher)
                marchers[marching++] = slot;
            made++;
        }
    MM_CHECK(made == entities && marching == entities / 4);
    return marching;
}

// Six steps east and six back, again and again: given to the core directly, as the orders system
// would after a command.
static void send(struct world *world, uint32_t slot, int32_t by)
{
    const struct world_place *place = WORLD_GET(&world->ecs, WORLD_PLACE, world_place, slot);
    struct hex_axial goal = {place->q + by, place->r};
    if (world_map_cell(&world->map, goal) == WORLD_CELL_NONE)
        goal.q = place->q - by;
    if (world_map_cell(&world->map, goal) != WORLD_CELL_NONE)
        world_order_begin(world, slot, WORLD_ORDER_MOVE, goal);
}

struct times {
    double step_ms[RUNS], frame_ms[RUNS], baseline_ms[RUNS];
    double frame_bytes, moved;
};

static double ms_since(uint64_t began_ns)
{
    return (double)(bench_now_ns() - began_ns) / 1e6;
}

// --- the baseline -------------------------------------------------------------------------------

struct plain {
    int32_t *q, *r;
    uint32_t *due;
    uint32_t count;
};

static double plain_tick(struct plain *plain, uint32_t tick)
{
    uint64_t began = bench_now_ns();
    for (uint32_t i = 0; i < plain->count; i++) {
        if (plain->due[i] > tick)
            continue;
        plain->q[i] += tick % 12 < 6 ? 1 : -1;
        plain->due[i] = tick + 1;
    }
    return ms_since(began);
}

// --- measuring ----------------------------------------------------------------------------------

static void measure(struct world *world, const uint32_t *marchers, uint32_t marching,
                    struct plain *plain, struct times *times)
{
    struct mm_arena *arena = mm_arena_new(1 << 20, (size_t)1 << 30);
    uint8_t *packed = malloc((size_t)64 << 20);
    uint64_t moved = 0, bytes = 0;
    for (uint32_t i = 0; i < WARM_TICKS + RUNS; i++) {
        // Orders outside of the measured time: planning has a figure of its own.
        for (uint32_t m = 0; m < marching; m++)
            if (!WORLD_GET(&world->ecs, WORLD_MOVER, world_mover, marchers[m]))
                send(world, marchers[m], i / 8 % 2 ? -8 : 8);
        world_system_plan(world);
        world_ecs_settle(&world->ecs); // as a step would have
        mm_arena_reset(arena);
        uint64_t began = bench_now_ns();
        world_step(world, NULL, 0, arena, NULL);
        double step_ms = ms_since(began);
        began = bench_now_ns();
        Mmorts__Frame__TickFrame *frame = world_frame(world, arena);
        size_t size = protobuf_c_message_pack(&frame->base, packed);
        double frame_ms = ms_since(began);
        double baseline_ms = plain_tick(plain, i);
        if (i < WARM_TICKS)
            continue;
        times->step_ms[i - WARM_TICKS] = step_ms;
        times->frame_ms[i - WARM_TICKS] = frame_ms;
        times->baseline_ms[i - WARM_TICKS] = baseline_ms;
        moved += frame->moved ? frame->moved->n_entity : 0;
        bytes += size;
    }
    times->moved = (double)moved / RUNS;
    times->frame_bytes = (double)bytes / RUNS;
    MM_CHECK(world_state_hash(world) == world_state_hash_full(world));
    free(packed);
    mm_arena_free(arena);
}

// Names as world.tick_ms.1k.
static void figure(struct bench *bench, const char *what, const char *size, double value,
                   const char *unit)
{
    char name[64];
    snprintf(name, sizeof name, "world.%s.%s", what, size);
    bench_figure(bench, name, value, unit);
}

static void saved_state(struct bench *bench, const struct world *world, const char *size)
{
    struct mm_buf bytes;
    mm_buf_init(&bytes, WORLD_SAVE_BYTES_MAX);
    uint64_t began = bench_now_ns();
    world_save(world, &bytes);
    figure(bench, "save_ms", size, ms_since(began), "ms");
    figure(bench, "save_bytes_per_entity", size,
           (double)bytes.len / (double)world_entity_count(world), "bytes");
    struct world *loaded;
    began = bench_now_ns();
    MM_CHECK(world_load(bytes.data, bytes.len, &loaded) == MM_OK);
    figure(bench, "load_ms", size, ms_since(began), "ms");
    MM_CHECK(world_state_hash(loaded) == world_state_hash(world));
    world_free(loaded);
    mm_buf_free(&bytes);
}

static void run(struct bench *bench, const char *size, uint32_t entities)
{
    struct world_rules *rules = bench_rules();
    struct world *world = fixture_world(rules, 1);
    fixture_found(world, 1);
    grow_map(world, entities);
    uint32_t *marchers = calloc(entities, sizeof *marchers);
    uint32_t marching = settle_units(world, entities, marchers);
    struct plain plain = {.q = calloc(entities, 4),
                          .r = calloc(entities, 4),
                          .due = calloc(entities, 4),
                          .count = entities};
    for (uint32_t i = marching; i < entities; i++)
        plain.due[i] = UINT32_MAX;
    struct times *times = calloc(1, sizeof *times);
    measure(world, marchers, marching, &plain, times);
    char name[64];
    snprintf(name, sizeof name, "world.tick_ms.%s", size);
    double p99 = bench_percentile(times->step_ms, RUNS, 99);
    bench_compare(bench, name, bench_median(times->step_ms, RUNS),
                  bench_median(times->baseline_ms, RUNS), "ms");
    figure(bench, "tick_p99_ms", size, p99, "ms");
    figure(bench, "frame_ms", size, bench_median(times->frame_ms, RUNS), "ms");
    figure(bench, "frame_bytes", size, times->frame_bytes, "bytes");
    figure(bench, "moved_per_tick", size, times->moved, "entities");
    if (times->moved > 0)
        figure(bench, "bytes_per_moved_entity", size, times->frame_bytes / times->moved, "bytes");
    saved_state(bench, world, size);
    free(times);
    free(plain.q);
    free(plain.r);
    free(plain.due);
    free(marchers);
    free(rules);
    world_free(world);
}

// A hundred units sent across the map at once, through noise terrain.
static void paths(struct bench *bench)
{
    struct world_rules *rules = fixture_rules();
    rules->movement.path_nodes_per_tick = 100000000;
    struct world *world = fixture_world(rules, 7);
    fixture_found(world, 7);
    struct fixture_inputs inputs;
    fixture_inputs_init(&inputs, 4);
    fixture_spawn(&inputs, "army", "soldier", 1, GROUP_UNITS, 0, 0);
    fixture_step(world, &inputs);
    uint64_t units[GROUP_UNITS];
    MM_CHECK(inputs.results[0].entity_count == GROUP_UNITS);
    memcpy(units, inputs.results[0].entities, sizeof units);
    double runs[15];
    for (int i = 0; i < 15; i++) {
        fixture_inputs_clear(&inputs);
        fixture_move(&inputs, 1, (uint64_t)i + 1, units, GROUP_UNITS, i % 2 ? -27 : 27,
                     i % 2 ? -30 : 30, false);
        uint64_t began = bench_now_ns();
        fixture_step(world, &inputs);
        runs[i] = ms_since(began);
        MM_CHECK(inputs.results[0].reason == MMORTS__WORLD__COMMAND_REASON__COMMAND_OK);
        fixture_run(world, 3);
    }
    bench_figure(bench, "world.order_100_units_ms", bench_median(runs, 15), "ms");
    fixture_inputs_free(&inputs);
    world_free(world);
    free(rules);
}

int main(void)
{
    struct bench *bench =
        bench_open("world", "one tick with 1k, 10k, 100k units, 25% of which make a step; "
                            "baseline: the same steps over plain arrays");
    run(bench, "1k", 1000);
    run(bench, "10k", 10000);
    run(bench, "100k", 100000);
    paths(bench);
    return bench_close(bench);
}
