// A world that is lent threads does what it does without them: the same states and the same frames,
// byte for byte. Under ThreadSanitizer (SANITIZE=thread) this is also the proof that what runs at
// the same time touches nothing in common.

#include "libcommon/base/alloc.h"
#include "libcommon/base/hash.h"
#include "libcommon/io/pb.h"
#include "services/world/core/state.h"
#include "services/world/pool.h"
#include "tests/support/plain.h"
#include "tests/support/world_recording.h"
#include "tools/replay/source.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#ifdef __SANITIZE_THREAD__
enum { TICKS = 1000 };
#else
enum { TICKS = 1500 };
#endif

// --- the pool ------------------------------------------------------------------------------------

enum { PARTS = 1000 };

struct counting {
    atomic_uint times[PARTS];
    uint64_t squares[PARTS]; // by part: what the caller sees when all have returned
};

static void count_part(void *arg, uint32_t i)
{
    struct counting *counting = arg;
    counting->times[i]++;
    counting->squares[i] = (uint64_t)i * i;
}

static void every_part_is_run_once(uint32_t threads)
{
    struct world_pool *pool;
    if (!EXPECT(world_pool_open(threads, &pool) == MM_OK))
        return;
    struct world_workers workers = world_pool_workers(pool);
    EXPECT(workers.threads == threads);
    struct counting *counting = calloc(1, sizeof *counting);
    for (uint32_t parts = 0; parts <= PARTS; parts = parts * 2 + 1) {
        memset(counting, 0, sizeof *counting);
        workers.run(workers.ctx, count_part, counting, parts);
        bool good = true;
        for (uint32_t i = 0; i < PARTS; i++)
            good = good && counting->times[i] == (i < parts) &&
                   counting->squares[i] == (i < parts ? (uint64_t)i * i : 0);
        EXPECT(good);
    }
    free(counting);
    world_pool_close(pool);
}

// --- play ----------------------------------------------------------------------------------------

struct tick_trace {
    uint64_t hash, frame_hash, strikes;
};

static void trace_tick(struct world *world, struct mm_arena *arena, struct tick_trace *trace)
{
    Mmorts__Frame__TickFrame *frame = world_frame(world, arena);
    uint8_t *bytes = NULL;
    size_t len = 0;
    EXPECT(frame && mm_pb_pack(&frame->base, (size_t)1 << 24, &bytes, &len) == MM_OK);
    trace->hash = world_state_hash(world);
    trace->frame_hash = mm_hash64(bytes, len, 0);
    mm_free(bytes);
    for (size_t i = 0; frame->events && i < frame->events->n_kind; i++)
        trace->strikes += frame->events->kind[i] == MMORTS__FRAME__EVENT_KIND__EVENT_ATTACK;
}

static void play(struct replay_source *source, uint32_t threads, struct tick_trace *traces)
{
    struct world_pool *pool = NULL;
    struct world *world = NULL;
    struct mm_arena *arena = mm_arena_new(1 << 16, (size_t)1 << 30);
    if (!EXPECT(world_pool_open(threads, &pool) == MM_OK) ||
        !EXPECT(replay_source_load(source, 0, &world) == MM_OK))
        return;
    struct world_workers workers = world_pool_workers(pool);
    workers.grain = 1;
    world_set_workers(world, &workers);
    struct replay_row row;
    enum mm_err err = source->seek(source, world_tick(world));
    while (err == MM_OK && (err = source->read_row(source, &row)) == MM_OK) {
        while (world_tick(world) + 1 < row.tick) {
            world_stored_step_empty(world, arena);
            trace_tick(world, arena, &traces[world_tick(world)]);
        }
        mm_arena_reset(arena);
        const Mmorts__World__JournalEntry *entry;
        EXPECT(world_stored_inputs(row.inputs, row.inputs_len, arena, &entry) == MM_OK);
        EXPECT(world_stored_step(world, entry, arena, NULL) == MM_OK);
        EXPECT(world_state_hash(world) == row.state_hash);
        trace_tick(world, arena, &traces[world_tick(world)]);
    }
    EXPECT(world_state_hash(world) == world_state_hash_full(world));
    world_free(world);
    world_pool_close(pool);
    mm_arena_free(arena);
}

static void play_is_the_same(void)
{
    struct recording_wish wish = {
        .seed = 11, .players = 4, .ticks = TICKS, .snapshot_every = TICKS};
    struct replay_source *source = recording_make(&wish);
    struct tick_trace *alone = calloc(TICKS + 1, sizeof *alone);
    struct tick_trace *traces = calloc(TICKS + 1, sizeof *traces);
    play(source, 1, alone);
    uint64_t strikes = 0;
    for (uint32_t tick = 0; tick <= TICKS; tick++)
        strikes += alone[tick].strikes;
    EXPECT(strikes > 10); // there is something to watch for
    for (uint32_t threads = 2; threads <= 4; threads += 2) {
        memset(traces, 0, (TICKS + 1) * sizeof *traces);
        play(source, threads, traces);
        uint32_t tick = 0;
        while (tick <= TICKS && memcmp(&alone[tick], &traces[tick], sizeof alone[tick]) == 0)
            tick++;
        if (!EXPECT(tick == TICKS + 1))
            printf("%u threads: another state or frame in tick %u\n", threads, tick);
    }
    free(traces);
    free(alone);
    replay_source_close(source);
}

int main(void)
{
    for (uint32_t threads = 1; threads <= 8; threads *= 2)
        every_part_is_run_once(threads);
    play_is_the_same();
    return plain_finish();
}
