// The cores of world, vision and sync alone in the scenario `patrol-v1` (docs/performance.md), in
// one process and without services around them: what a tick costs each, from world's step to the
// messages for all clients. For a profiler, and to tell what the processes cost beside it
// (bench_sync). Once as the ticks follow on each other, and once with the caches emptied before
// every part of a tick, as they are where five other processes work between two ticks. The hashes
// at the end are of world's state and of all messages: a change that only saves time keeps them.
//
//     bench_patrol [PLAYERS [TICKS]]

#include "libcommon/base/check.h"
#include "libcommon/io/pb.h"
#include "services/sync/core/core.h"
#include "services/sync/core/update.h"
#include "services/vision/core/vision.h"
#include "services/world/core/state.h"
#include "services/world/rules_yaml.h"
#include "tests/support/bench.h"
#include "tests/support/world_fixture.h"

#include <protobuf-c/protobuf-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PLAYERS = 500,
    TICKS = 200,
    TICKS_MAX = 10000,
    WARM_TICKS = 100,
    WATCHERS = 5,
    UNITS = 20,
    RADIUS = 12,
    STEP_TICKS = 5,
    CHUNK_RADIUS = 16, // as in patrol/map.yaml
    FOREIGN_BYTES = 16 << 20,
    EPOCH = 7,
    HISTORY_TICKS = 200, // as sync's configuration has it
    HISTORY_BYTES = 16384,
};

enum part { STEP, FRAME, UNPACK, APPLY, PACK, SYNC_UNPACK, SYNC_STEP, SYNC_ENCODE, PARTS };
static const char *const part_names[PARTS] = {"world.step",   "world.frame", "vision.unpack",
                                              "vision.apply", "vision.pack", "sync.unpack",
                                              "sync.step",    "sync.encode"};

struct run {
    struct world *world;
    struct vision *vision;
    struct mm_arena *world_arena, *vision_arena;
    uint8_t *frame, *view; // packed
    size_t frame_len, view_len;
    struct sync_core sync;
    struct sync_encoder encoder;
    struct mm_buf sent; // all messages of a tick
    uint64_t sent_hash;
    bool cold;
    double ms[PARTS][TICKS_MAX], world_ms[TICKS_MAX], vision_ms[TICKS_MAX], sync_ms[TICKS_MAX];
};

// --- the scenario --------------------------------------------------------------------------------

static struct world *new_world(void)
{
    static struct world_rules rules;
    if (world_rules_load("tests/support/patrol/types.yaml", "tests/support/patrol/map.yaml", &rules,
                         NULL, NULL) != MM_OK) {
        fprintf(stderr, "bench_patrol: run it from the repository's top\n");
        exit(2);
    }
    return fixture_world(&rules, 1);
}

static void spawn(struct fixture_inputs *inputs, const char *type, uint32_t empire, uint32_t count,
                  struct hex_axial home)
{
    char key[32];
    (void)snprintf(key, sizeof key, "%u-%s", empire, type);
    fixture_spawn(inputs, key, type, empire, count, home.q, home.r);
}

static void populate(struct world *world, uint32_t players)
{
    struct fixture_inputs inputs;
    struct hex_tiling tiling;
    struct mm_rng rng;
    MM_CHECK(hex_tiling_init(&tiling, CHUNK_RADIUS) == MM_OK);
    mm_rng_seed(&rng, 1);
    fixture_found(world, players);
    fixture_inputs_init(&inputs, players);
    for (uint32_t empire = 1; empire <= players; empire++) {
        struct hex_axial site = hex_spiral(mm_rng_below(&rng, players));
        struct hex_axial home = hex_chunk_hex(&tiling, (struct hex_chunk){site.q, site.r},
                                              (uint32_t)mm_rng_below(&rng, tiling.cells));
        spawn(&inputs, "watcher", empire, WATCHERS, home);
        spawn(&inputs, "walker", empire, UNITS - WATCHERS, home);
        fixture_step(world, &inputs);
        MM_CHECK(inputs.results[0].entity_count > 0 && inputs.results[1].entity_count > 0);
        fixture_inputs_clear(&inputs);
    }
    // A fifth of each empire's units sets out in each of five ticks.
    static Mmorts__World__WanderOrder wander = MMORTS__WORLD__WANDER_ORDER__INIT;
    wander.radius_hexes = RADIUS;
    for (uint32_t group = 0; group < STEP_TICKS; group++) {
        for (uint32_t empire = 1; empire <= players; empire++) {
            uint64_t units[UNITS], some[UNITS];
            size_t count = 0;
            MM_CHECK(fixture_units(world, empire, NULL, units, UNITS) == UNITS);
            for (uint32_t i = group; i < UNITS; i += STEP_TICKS)
                some[count++] = units[i];
            Mmorts__World__Command *command =
                fixture_command(&inputs, empire, group + 1, some, count);
            command->order_case = MMORTS__WORLD__COMMAND__ORDER_WANDER;
            command->wander = &wander;
        }
        fixture_step(world, &inputs);
        for (size_t i = 0; i < inputs.count; i++)
            MM_CHECK(inputs.results[i].applied);
        fixture_inputs_clear(&inputs);
    }
    fixture_inputs_free(&inputs);
}

// --- a tick --------------------------------------------------------------------------------------

static double done(uint64_t *began_ns)
{
    uint64_t now_ns = bench_cpu_ns(), took_ns = now_ns - *began_ns;
    *began_ns = now_ns;
    return (double)took_ns / 1e6;
}

// What other processes do to the caches.
static uint64_t begin(const struct run *run)
{
    static uint8_t foreign[FOREIGN_BYTES];
    for (size_t i = 0; run->cold && i < sizeof foreign; i += 64)
        foreign[i]++;
    return bench_cpu_ns();
}

static Mmorts__Frame__TickFrame *unpack(struct run *run, size_t size)
{
    ProtobufCAllocator allocator = mm_pb_arena_allocator(run->vision_arena);
    ProtobufCMessage *unpacked = NULL;
    mm_arena_reset(run->vision_arena);
    MM_CHECK(mm_pb_unpack(&mmorts__frame__tick_frame__descriptor, &allocator, run->frame, size,
                          FOREIGN_BYTES, &unpacked) == MM_OK);
    return (Mmorts__Frame__TickFrame *)unpacked;
}

static void follow(struct run *run, const Mmorts__Frame__TickFrame *frame,
                   const Mmorts__Frame__VisionFrame **out)
{
    enum mm_err err = vision_apply(run->vision, frame, out);
    if (err != MM_OK) {
        fprintf(stderr, "%s: %s\n", mm_err_name(err), vision_refusal(run->vision));
        exit(1);
    }
}

// --- sync ----------------------------------------------------------------------------------------

static void *copy_message(const ProtobufCMessage *message)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = malloc(len + 1);
    MM_CHECK(bytes);
    (void)protobuf_c_message_pack(message, bytes);
    ProtobufCMessage *copy = protobuf_c_message_unpack(message->descriptor, NULL, len, bytes);
    MM_CHECK(copy);
    free(bytes);
    return copy;
}

static void open_sync(struct run *run, uint32_t players)
{
    MM_CHECK(sync_core_init(&run->sync) == MM_OK);
    sync_core_keep_history(&run->sync, HISTORY_TICKS, HISTORY_BYTES);
    sync_encoder_init(&run->encoder);
    mm_buf_init(&run->sent, FOREIGN_BYTES);
    const Mmorts__Frame__TickFrame *frame = world_snapshot_frame(run->world, run->world_arena);
    MM_CHECK(frame && sync_core_world_snapshot(&run->sync, copy_message(&frame->base)) == MM_OK);
    for (uint32_t empire = 1; empire <= players; empire++) {
        Mmorts__Frame__VisionFrame *seen = NULL;
        struct sync_view *view = sync_core_view_open(&run->sync, empire);
        MM_CHECK(view && vision_view(run->vision, empire, &seen) == MM_OK);
        MM_CHECK(sync_core_view_load(&run->sync, view, EPOCH, seen) == MM_OK);
        vision_view_free(seen);
    }
    MM_CHECK(sync_core_step(&run->sync) == SYNC_STEP_DELTAS && run->sync.live_count == players);
}

static void close_sync(struct run *run)
{
    mm_buf_free(&run->sent);
    sync_encoder_free(&run->encoder);
    sync_core_free(&run->sync);
}

static void encode_all(struct run *run)
{
    struct sync_core *core = &run->sync;
    struct sync_encoder *encoder = &run->encoder;
    mm_buf_reset(&run->sent);
    sync_core_order_touched(core);
    for (size_t i = core->touched.count; i-- > 0;) {
        if (i >= 9)
            sync_view_ask(core->touched.items[i - 9]);
        if (i >= 6)
            sync_delta_ask(&core->touched.items[i - 6]->delta);
        if (i >= 3)
            sync_encode_ask(encoder, core, core->touched.items[i - 3]);
        MM_CHECK(sync_encode_view(encoder, core, core->touched.items[i], SYNC_BINARY,
                                  core->mirror.tick - 1));
        for (size_t s = 0; s < encoder->slices.count; s++)
            mm_buf_append(&run->sent, encoder->buf.data + encoder->slices.items[s].offset,
                          encoder->slices.items[s].len);
    }
    MM_CHECK(run->sent.err == MM_OK);
}

static void tick_sync(struct run *run, double ms[PARTS])
{
    uint64_t began = begin(run);
    Mmorts__Frame__TickFrame *frame =
        mmorts__frame__tick_frame__unpack(NULL, run->frame_len, run->frame);
    Mmorts__Frame__VisionFrame *seen =
        mmorts__frame__vision_frame__unpack(NULL, run->view_len, run->view);
    MM_CHECK(frame && seen);
    sync_core_push_tick(&run->sync, frame);
    sync_core_push_vision(&run->sync, EPOCH, seen);
    ms[SYNC_UNPACK] = done(&began);
    MM_CHECK(sync_core_step(&run->sync) == SYNC_STEP_DELTAS);
    ms[SYNC_STEP] = done(&began);
    encode_all(run);
    ms[SYNC_ENCODE] = done(&began);
    for (size_t i = 0; i < run->sent.len; i++)
        run->sent_hash = (run->sent_hash ^ run->sent.data[i]) * UINT64_C(0x100000001b3);
}

// --- all three -----------------------------------------------------------------------------------

static void tick(struct run *run, double ms[PARTS])
{
    const Mmorts__Frame__VisionFrame *view;
    uint64_t began = begin(run);
    mm_arena_reset(run->world_arena);
    world_step(run->world, NULL, 0, run->world_arena, NULL);
    ms[STEP] = done(&began);
    Mmorts__Frame__TickFrame *frame = world_frame(run->world, run->world_arena);
    MM_CHECK(frame && protobuf_c_message_get_packed_size(&frame->base) <= FOREIGN_BYTES);
    run->frame_len = protobuf_c_message_pack(&frame->base, run->frame);
    ms[FRAME] = done(&began);
    began = begin(run);
    frame = unpack(run, run->frame_len);
    ms[UNPACK] = done(&began);
    follow(run, frame, &view);
    ms[APPLY] = done(&began);
    MM_CHECK(protobuf_c_message_get_packed_size(&view->base) <= FOREIGN_BYTES);
    run->view_len = protobuf_c_message_pack(&view->base, run->view);
    ms[PACK] = done(&began);
    tick_sync(run, ms);
}

static void measure(struct run *run, struct bench *bench, bool cold, uint32_t ticks)
{
    char name[64];
    run->cold = cold;
    for (uint32_t i = 0; i < ticks; i++) {
        double ms[PARTS];
        tick(run, ms);
        for (int part = 0; part < PARTS; part++)
            run->ms[part][i] = ms[part];
        run->world_ms[i] = ms[STEP] + ms[FRAME];
        run->vision_ms[i] = ms[UNPACK] + ms[APPLY] + ms[PACK];
        run->sync_ms[i] = ms[SYNC_UNPACK] + ms[SYNC_STEP] + ms[SYNC_ENCODE];
    }
    const char *how = cold ? "cold_ms" : "ms";
    for (int part = 0; part < PARTS; part++) {
        (void)snprintf(name, sizeof name, "patrol.%s.%s", part_names[part], how);
        bench_figure(bench, name, bench_median(run->ms[part], ticks), "ms");
    }
    (void)snprintf(name, sizeof name, "patrol.world.%s", how);
    bench_figure(bench, name, bench_median(run->world_ms, ticks), "ms");
    (void)snprintf(name, sizeof name, "patrol.vision.%s", how);
    bench_figure(bench, name, bench_median(run->vision_ms, ticks), "ms");
    (void)snprintf(name, sizeof name, "patrol.sync.%s", how);
    bench_figure(bench, name, bench_median(run->sync_ms, ticks), "ms");
}

int main(int argc, char **argv)
{
    uint32_t players = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : PLAYERS;
    uint32_t ticks = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : TICKS;
    if (players < 1 || players > 20000 || ticks < 1 || ticks > TICKS_MAX) {
        fprintf(stderr, "usage: bench_patrol [PLAYERS [TICKS]]\n");
        return 2;
    }
    static struct run run;
    struct bench *bench = bench_open(
        "patrol", "patrol-v1: empires of 5 watchers (sight 8) and 15 walkers, a fifth of all "
                  "steps in a tick; world's, vision's and sync's cores alone, CPU time of a tick");
    run.world_arena = mm_arena_new(1 << 20, (size_t)1 << 30);
    run.vision_arena = mm_arena_new(1 << 20, (size_t)1 << 30);
    run.frame = malloc(FOREIGN_BYTES);
    run.view = malloc(FOREIGN_BYTES);
    MM_CHECK(run.world_arena && run.vision_arena && run.frame && run.view);
    run.world = new_world();
    populate(run.world, players);
    struct vision_options options = vision_options_default();
    options.chunk_radius = CHUNK_RADIUS;
    MM_CHECK(vision_new(&options, &run.vision) == MM_OK);
    const Mmorts__Frame__VisionFrame *none;
    follow(&run, world_snapshot_frame(run.world, run.world_arena), &none);
    open_sync(&run, players);
    double ms[PARTS];
    for (uint32_t i = 0; i < WARM_TICKS; i++)
        tick(&run, ms);
    measure(&run, bench, false, ticks);
    measure(&run, bench, true, ticks);
    MM_CHECK(world_state_hash(run.world) == world_state_hash_full(run.world));
    printf("state %016llx\n", (unsigned long long)world_state_hash(run.world));
    printf("messages %016llx\n", (unsigned long long)run.sent_hash);
    close_sync(&run);
    vision_free(run.vision);
    world_free(run.world);
    free(run.view);
    free(run.frame);
    mm_arena_free(run.vision_arena);
    mm_arena_free(run.world_arena);
    return bench_close(bench);
}
