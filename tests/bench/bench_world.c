// A tick of the world: 1k, 10k and 100k entities of which a quarter makes a step in every tick, and
// 1M of which a tenth does; entities lie in no order in memory, as after long play. The baseline
// does no more than the same number of steps over plain arrays: what any simulation of these
// entities must at least do. Then what goes with a tick: the frame, the memory, a loop over two
// components beside the same loop over plain arrays, what a second thread saves, and far ways.

#include "libcommon/base/check.h"
#include "libcommon/io/loop.h"
#include "libcommon/io/rpc_server.h"
#include "libcommon/io/stream_publisher.h"
#include "services/world/core/state.h"
#include "services/world/pool.h"
#include "tests/support/ways_bench.h"
#include "tests/support/world_fixture.h"
#include <malloc.h>
#include <nng/nng.h>
#include <nng/protocol/pubsub0/sub.h>
#include <protobuf-c/protobuf-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { WARM_TICKS = 24, RUNS = 120, RUNS_LARGE = 40, GROUP_UNITS = 100, THREADS = 2 };

// CPU time of this thread, so that what else the machine does is not counted; where several
// threads work it is the time on the wall, and how long the quick ones took.
static uint64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static double ms_since(uint64_t began_cpu_ns)
{
    return (double)(cpu_ns() - began_cpu_ns) / 1e6;
}

// Names as world.tick_ms.1k.
static void figure(struct bench *bench, const char *what, const char *size, double value,
                   const char *unit)
{
    char name[64];
    snprintf(name, sizeof name, "world.%s.%s", what, size);
    bench_figure(bench, name, value, unit);
}

// --- the scenario -------------------------------------------------------------------------------

struct scenario {
    const char *size;
    uint32_t entities, marching; // marching of them to and fro
    uint32_t runs;
    struct world *world;
    uint32_t *marchers; // slots
    size_t bytes_before;
};

// Every hex costs one tick. Marchers rest for one tick in nine: there are so many more of them.
static struct world_rules *bench_rules(void)
{
    struct world_rules *rules = fixture_open_rules();
    int soldier = world_rules_type(rules, "soldier");
    rules->types[soldier].ticks_per_hex = 1;
    rules->movement.path_nodes_per_tick = 100000000;
    rules->commands.per_second = rules->commands.burst = 10000;
    rules->map.home_grow_chunks = 1;
    rules->entities_max = WORLD_ENTITIES_MAX;
    return rules;
}

static size_t bytes_in_use(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static void grow_map(struct scenario *scenario)
{
    struct world *world = scenario->world;
    int32_t radius = 1;
    while (hex_disc_count(radius) * world->map.tiling.cells < (size_t)scenario->entities * 6)
        radius++;
    MM_CHECK(world_grow(world, (struct hex_chunk){0, 0}, radius) == MM_OK);
    scenario->bytes_before = bytes_in_use();
    MM_CHECK(world_reserve_entities(world, scenario->entities + 1024) == MM_OK);
}

static void shuffle(uint32_t *items, uint32_t count)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 17);
    for (uint32_t i = count; i > 1; i--) {
        uint32_t j = (uint32_t)mm_rng_below(&rng, i), item = items[i - 1];
        items[i - 1] = items[j];
        items[j] = item;
    }
}

// Marchers have the even rows to themselves, each a lane of its own; who stands, stands between.
static void settle_units(struct scenario *scenario)
{
    struct world *world = scenario->world;
    uint32_t *cells = calloc(scenario->entities, sizeof *cells), marchers = 0, standers = 0;
    uint32_t standing = scenario->entities - scenario->marching;
    for (uint32_t cell = 0; cell < world_map_cell_count(&world->map); cell++) {
        struct hex_axial at = world_map_hex(&world->map, cell);
        bool marcher = at.r % 2 == 0 && (at.q + at.r / 2) % 10 == 0;
        if (!world_cell_free(world, cell, WORLD_ON_UNIT))
            continue;
        if (marcher && marchers < scenario->marching)
            cells[marchers++] = cell;
        else if (at.r % 2 != 0 && at.q % 2 == 0 && standers < standing)
            cells[scenario->marching + standers++] = cell;
    }
    MM_CHECK(marchers == scenario->marching && standers == standing);
    shuffle(cells, scenario->entities);
    int soldier = world_rules_type(&world->rules, "soldier");
    scenario->marchers = calloc(scenario->marching, sizeof *scenario->marchers);
    marchers = 0;
    for (uint32_t i = 0; i < scenario->entities; i++) {
        uint32_t slot = world_entity_create(world, (uint32_t)soldier, 1, cells[i]);
        if (world_map_hex(&world->map, cells[i]).r % 2 == 0)
            scenario->marchers[marchers++] = slot;
    }
    free(cells);
}

static void scenario_open(struct scenario *scenario)
{
    struct world_rules *rules = bench_rules();
    scenario->world = fixture_world(rules, 1);
    free(rules);
    fixture_found(scenario->world, 1);
    grow_map(scenario);
    settle_units(scenario);
}

static void scenario_close(struct scenario *scenario)
{
    free(scenario->marchers);
    world_free(scenario->world);
}

// Eight steps east or west: given to the core directly, as the orders system would after a command.
static void send(struct world *world, uint32_t slot, int32_t by)
{
    const struct world_place *place = WORLD_GET(&world->ecs, WORLD_PLACE, world_place, slot);
    struct hex_axial goal = {place->q + by, place->r};
    if (world_map_cell(&world->map, goal) == WORLD_CELL_NONE)
        goal.q = place->q - by;
    if (world_map_cell(&world->map, goal) != WORLD_CELL_NONE)
        world_order_begin(world, slot, WORLD_ORDER_MOVE, goal);
}

// Who has arrived sets out again. Not measured: planning has figures of its own (bench-path).
static void send_all(struct scenario *scenario, uint32_t tick)
{
    struct world *world = scenario->world;
    for (uint32_t m = 0; m < scenario->marching; m++)
        if (!WORLD_GET(&world->ecs, WORLD_MOVER, world_mover, scenario->marchers[m]))
            send(world, scenario->marchers[m], tick / 9 % 2 ? -8 : 8);
    world_system_plan(world);
    world_ecs_settle(&world->ecs); // as a step would have
}

// --- the baseline -------------------------------------------------------------------------------

struct plain {
    int32_t *q, *r;
    uint32_t *due;
    uint32_t count;
};

static void plain_open(struct plain *plain, const struct scenario *scenario)
{
    uint32_t n = scenario->entities;
    *plain = (struct plain){calloc(n, 4), calloc(n, 4), calloc(n, 4), n};
    for (uint32_t i = 0; i < n; i++)
        plain->due[i] = i % n < scenario->marching ? 0 : UINT32_MAX;
    shuffle(plain->due, n);
}

static double plain_tick(struct plain *plain, uint32_t tick)
{
    uint64_t began = cpu_ns();
    for (uint32_t i = 0; i < plain->count; i++) {
        if (plain->due[i] > tick)
            continue;
        plain->q[i] += tick % 12 < 6 ? 1 : -1;
        plain->due[i] = tick + 1;
    }
    return ms_since(began);
}

static void plain_close(struct plain *plain)
{
    free(plain->q);
    free(plain->r);
    free(plain->due);
}

// --- a stream that somebody reads ---------------------------------------------------------------

struct stream {
    struct mm_loop *loop;
    struct mm_rpc_server *rpc;
    struct mm_stream_hub *hub;
    struct mm_stream_publisher *publisher;
    nng_socket reader;
    char path[64];
};

static void no_snapshot(void *arg, struct mm_stream_snapshot *snapshot, const uint8_t *filter,
                        size_t filter_len)
{
    (void)arg;
    (void)filter;
    (void)filter_len;
    mm_stream_snapshot_fail(snapshot, MM_UNIMPLEMENTED, "not here");
}

static void stream_open(struct stream *stream)
{
    char url[80];
    snprintf(stream->path, sizeof stream->path, "/tmp/bench-world-%d", (int)getpid());
    snprintf(url, sizeof url, "ipc://%s", stream->path);
    struct mm_stream_publisher_options options = {
        .stream = "tick", .session = "main", .snapshot = no_snapshot};
    MM_CHECK(mm_loop_create(NULL, &stream->loop) == MM_OK);
    MM_CHECK(mm_rpc_server_open(stream->loop, NULL, &stream->rpc) == MM_OK);
    MM_CHECK(mm_stream_hub_open(stream->loop, stream->rpc, url, NULL, &stream->hub) == MM_OK);
    MM_CHECK(mm_stream_publisher_open(stream->hub, &options, &stream->publisher) == MM_OK);
    MM_CHECK(nng_sub0_open(&stream->reader) == 0);
    MM_CHECK(nng_socket_set(stream->reader, NNG_OPT_SUB_SUBSCRIBE, "", 0) == 0);
    MM_CHECK(nng_dial(stream->reader, url, NULL, 0) == 0);
}

static void stream_close(struct stream *stream)
{
    nng_close(stream->reader);
    mm_stream_hub_close(stream->hub);
    mm_rpc_server_close(stream->rpc);
    mm_loop_destroy(stream->loop);
    unlink(stream->path);
}

// --- measuring ----------------------------------------------------------------------------------

struct times {
    double step_ms[RUNS], wall_ms[RUNS], frame_ms[RUNS], baseline_ms[RUNS], copy_ms[RUNS];
    double frame_bytes, moved;
};

// Encodes and publishes, as the shell does. What it is compared with: the same bytes copied twice,
// into the ring and into the message.
static double publish(struct world *world, struct stream *stream, struct mm_arena *arena,
                      uint8_t *packed, size_t *size, size_t *moved)
{
    uint64_t began = cpu_ns();
    Mmorts__Frame__TickFrame *frame = world_frame(world, arena);
    *size = protobuf_c_message_pack(&frame->base, packed);
    mm_stream_publish_bytes(stream->publisher, world_tick(world), packed, *size);
    double took = ms_since(began);
    *moved = frame->moved ? frame->moved->n_entity : 0;
    return took;
}

static double copy_twice(const uint8_t *packed, size_t size, uint8_t *to)
{
    uint64_t began = cpu_ns();
    memcpy(to, packed, size);
    __asm__ volatile("" ::"r"(to) : "memory");
    memcpy(to + size, packed, size);
    __asm__ volatile("" ::"r"(to) : "memory");
    return ms_since(began);
}

static void measure(struct scenario *scenario, struct stream *stream, struct times *times)
{
    struct world *world = scenario->world;
    struct mm_arena *arena = mm_arena_new(1 << 20, (size_t)1 << 30);
    uint8_t *packed = malloc((size_t)64 << 20);
    struct plain plain;
    plain_open(&plain, scenario);
    memset(times, 0, sizeof *times);
    for (uint32_t i = 0; i < WARM_TICKS + scenario->runs; i++) {
        send_all(scenario, i);
        mm_arena_reset(arena);
        uint64_t began = cpu_ns(), began_wall = bench_now_ns();
        world_step(world, NULL, 0, arena, NULL);
        double step_ms = ms_since(began);
        double wall_ms = (double)(bench_now_ns() - began_wall) / 1e6;
        size_t size, moved;
        double frame_ms = publish(world, stream, arena, packed, &size, &moved);
        double copy_ms = copy_twice(packed, size, packed + size);
        double baseline_ms = plain_tick(&plain, i);
        if (i < WARM_TICKS)
            continue;
        times->step_ms[i - WARM_TICKS] = step_ms;
        times->wall_ms[i - WARM_TICKS] = wall_ms;
        times->frame_ms[i - WARM_TICKS] = frame_ms;
        times->copy_ms[i - WARM_TICKS] = copy_ms;
        times->baseline_ms[i - WARM_TICKS] = baseline_ms;
        times->moved += (double)moved / scenario->runs;
        times->frame_bytes += (double)size / scenario->runs;
    }
    MM_CHECK(world_state_hash(world) == world_state_hash_full(world));
    plain_close(&plain);
    free(packed);
    mm_arena_free(arena);
}

static void saved_state(struct bench *bench, const struct world *world, const char *size)
{
    struct mm_buf bytes;
    mm_buf_init(&bytes, WORLD_SAVE_BYTES_MAX);
    uint64_t began = cpu_ns();
    world_save(world, &bytes);
    figure(bench, "save_ms", size, ms_since(began), "ms");
    figure(bench, "save_bytes_per_entity", size,
           (double)bytes.len / (double)world_entity_count(world), "bytes");
    struct world *loaded;
    began = cpu_ns();
    MM_CHECK(world_load(bytes.data, bytes.len, &loaded) == MM_OK);
    figure(bench, "load_ms", size, ms_since(began), "ms");
    MM_CHECK(world_state_hash(loaded) == world_state_hash(world));
    world_free(loaded);
    mm_buf_free(&bytes);
}

// The same ticks on two threads: less time, not less work.
static void with_threads(struct bench *bench, struct scenario *scenario, struct stream *stream,
                         struct times *times)
{
    struct world_pool *pool;
    char what[32];
    MM_CHECK(world_pool_open(THREADS, &pool) == MM_OK);
    struct world_workers workers = world_pool_workers(pool);
    world_set_workers(scenario->world, &workers);
    measure(scenario, stream, times);
    snprintf(what, sizeof what, "tick_wall_ms.threads_%d", THREADS);
    figure(bench, what, scenario->size, bench_percentile(times->wall_ms, scenario->runs, 10), "ms");
    world_set_workers(scenario->world, NULL);
    world_pool_close(pool);
}

static void run(struct bench *bench, struct stream *stream, const char *size, uint32_t entities,
                uint32_t steps, uint32_t runs)
{
    struct scenario scenario = {
        .size = size, .entities = entities, .marching = steps * 9 / 8, .runs = runs};
    struct times *times = calloc(1, sizeof *times);
    char name[64];
    scenario_open(&scenario);
    send_all(&scenario, 0);
    size_t bytes = bytes_in_use() - scenario.bytes_before;
    measure(&scenario, stream, times);
    snprintf(name, sizeof name, "world.tick_ms.%s", size);
    double p99 = bench_percentile(times->step_ms, runs, 99);
    bench_compare(bench, name, bench_median(times->step_ms, runs),
                  bench_median(times->baseline_ms, runs), "ms");
    figure(bench, "tick_p99_ms", size, p99, "ms");
    figure(bench, "moved_per_tick", size, times->moved, "entities");
    snprintf(name, sizeof name, "world.frame_ms.%s", size);
    double frame_ms = bench_median(times->frame_ms, runs);
    double copy_ms = bench_median(times->copy_ms, runs);
    bench_compare(bench, name, frame_ms, copy_ms, "ms");
    if (entities == 100000)
        bench_compare(bench, "world.frame_ms", frame_ms, copy_ms, "ms");
    figure(bench, "frame_bytes_per_moved", size, times->frame_bytes / times->moved, "bytes");
    figure(bench, "bytes_per_entity", size, (double)bytes / entities, "bytes");
    figure(bench, "tick_wall_ms.threads_1", size, bench_percentile(times->wall_ms, runs, 10), "ms");
    with_threads(bench, &scenario, stream, times);
    saved_state(bench, scenario.world, size);
    free(times);
    scenario_close(&scenario);
}

// --- a loop over two components -----------------------------------------------------------------

enum { LOOP_ENTITIES = 1000000, LOOP_RUNS = 31 };

static int64_t loop_runs(const struct world_ecs *ecs)
{
    int64_t sum = 0;
    const struct world_place *places = (const void *)ecs->columns[WORLD_PLACE].rows;
    const struct world_health *healths = (const void *)ecs->columns[WORLD_HEALTH].rows;
    for (uint32_t first, end = 0; world_ecs_next_run(ecs, &first, &end);)
        for (uint32_t slot = first; slot < end; slot++)
            sum += (int64_t)places[slot].q * healths[slot].value;
    return sum;
}

static int64_t loop_get(const struct world_ecs *ecs)
{
    int64_t sum = 0;
    for (uint32_t slot = world_ecs_next(ecs, 0); slot != 0; slot = world_ecs_next(ecs, slot))
        sum += (int64_t)WORLD_GET(ecs, WORLD_PLACE, world_place, slot)->q *
               WORLD_GET(ecs, WORLD_HEALTH, world_health, slot)->value;
    return sum;
}

static int64_t loop_plain(const struct world_place *places, const struct world_health *healths)
{
    int64_t sum = 0;
    for (uint32_t i = 0; i < LOOP_ENTITIES; i++)
        sum += (int64_t)places[i].q * healths[i].value;
    return sum;
}

// A million living entities, after every `one_in`th died; the plain arrays hold the living alone.
static void iterate(struct bench *bench, const char *name, uint32_t one_in)
{
    struct world_ecs ecs;
    MM_CHECK(world_ecs_init(&ecs, WORLD_ENTITIES_MAX) == MM_OK);
    MM_CHECK(world_ecs_reserve(&ecs, LOOP_ENTITIES + LOOP_ENTITIES / one_in * 2) == MM_OK);
    struct world_place *places = calloc(LOOP_ENTITIES, sizeof *places);
    struct world_health *healths = calloc(LOOP_ENTITIES, sizeof *healths);
    struct mm_rng rng;
    mm_rng_seed(&rng, 3);
    for (int32_t count = 0; count < LOOP_ENTITIES;) {
        uint32_t slot = world_ecs_spawn(&ecs);
        if (mm_rng_chance(&rng, 1, one_in)) {
            world_ecs_despawn(&ecs, slot);
            continue;
        }
        places[count].q = WORLD_TOUCH(&ecs, WORLD_PLACE, world_place, slot)->q = count;
        healths[count++].value = WORLD_TOUCH(&ecs, WORLD_HEALTH, world_health, slot)->value = 7;
    }
    double runs[LOOP_RUNS], gets[LOOP_RUNS], plain[LOOP_RUNS];
    for (int i = 0; i < LOOP_RUNS; i++) {
        uint64_t began = cpu_ns();
        int64_t a = loop_runs(&ecs);
        runs[i] = ms_since(began);
        began = cpu_ns();
        int64_t b = loop_plain(places, healths);
        plain[i] = ms_since(began);
        began = cpu_ns();
        int64_t c = loop_get(&ecs);
        gets[i] = ms_since(began);
        MM_CHECK(a == b && b == c);
    }
    double baseline = bench_median(plain, LOOP_RUNS);
    char one_by_one[64];
    snprintf(one_by_one, sizeof one_by_one, "%s_one_by_one", name);
    bench_compare(bench, name, bench_median(runs, LOOP_RUNS), baseline, "ms");
    bench_compare(bench, one_by_one, bench_median(gets, LOOP_RUNS), baseline, "ms");
    free(places);
    free(healths);
    world_ecs_free(&ecs);
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
        uint64_t began = cpu_ns();
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

int main(int argc, char **argv)
{
    static const struct {
        const char *size;
        uint32_t entities, steps, runs;
    } sizes[] = {
        {"1k", 1000, 250, RUNS},
        {"10k", 10000, 2500, RUNS},
        {"100k", 100000, 25000, RUNS},
        {"1m", 1000000, 100000, RUNS_LARGE},
    };
    struct bench *bench =
        bench_open("world", "one tick with 1k, 10k, 100k units of which 25% make a step, and with "
                            "1M of which 100k do; baseline: the same steps over plain arrays");
    struct stream stream = {0};
    stream_open(&stream);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        if (argc < 2 || strcmp(argv[1], sizes[i].size) == 0)
            run(bench, &stream, sizes[i].size, sizes[i].entities, sizes[i].steps, sizes[i].runs);
    stream_close(&stream);
    if (argc < 2) {
        iterate(bench, "world.iterate", LOOP_ENTITIES);
        iterate(bench, "world.iterate_1_in_50_dead", 50);
        paths(bench);
    }
    if (argc < 2 || strcmp(argv[1], "ways") == 0)
        ways_bench_long(bench);
    return bench_close(bench);
}
