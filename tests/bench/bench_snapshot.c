// What a snapshot costs the ticks during which it is taken: the state is copied in pieces after
// each of them (services/world/core/cut.h), as the shell does, and written by another thread. The
// baseline is to encode the whole state between two ticks.

#include "libcommon/base/check.h"
#include "services/world/core/cut.h"
#include "services/world/core/world.h"
#include "tests/support/bench.h"
#include "tests/support/world_fixture.h"
#include <stdio.h>
#include <string.h>

enum { RUNS = 5, PIECE_BYTES = 256 << 10, TICKS_BETWEEN = 5, PLAN_TICKS = 300 };
#define PIECES_MS 1.5 // as COPY_US_PER_TICK of services/world/saves.c

static double ms_since(uint64_t began_ns)
{
    return (double)(bench_now_ns() - began_ns) / 1e6;
}

struct taken {
    double longest_ms, sum_ms, ticks, tick_ms;
};

static struct taken take(struct world_cut *cut, struct world *world)
{
    struct taken taken = {0};
    bool whole = false;
    for (world_cut_begin(cut, world); !whole; taken.ticks++) {
        uint64_t began = bench_now_ns();
        MM_CHECK(world_cut_follow(cut, world, 0, &whole) == MM_OK);
        while (!whole && ms_since(began) < PIECES_MS)
            MM_CHECK(world_cut_follow(cut, world, PIECE_BYTES, &whole) == MM_OK);
        double ms = ms_since(began);
        taken.sum_ms += ms;
        taken.longest_ms = ms > taken.longest_ms ? ms : taken.longest_ms;
        if (whole)
            continue;
        began = bench_now_ns();
        fixture_run(world, 1);
        ms = ms_since(began);
        taken.tick_ms = ms > taken.tick_ms ? ms : taken.tick_ms;
    }
    return taken;
}

static void measure(struct bench *bench, uint32_t entities, const char *label)
{
    struct world *world = fixture_crowd(entities, PLAN_TICKS);
    struct world_cut *cut = world_cut_new();
    struct mm_buf bytes, still;
    mm_buf_init(&bytes, WORLD_SAVE_BYTES_MAX);
    mm_buf_init(&still, WORLD_SAVE_BYTES_MAX);
    double whole_ms[RUNS], longest_ms[RUNS], sum_ms[RUNS], ticks[RUNS], tick_ms[RUNS];
    for (int i = 0; i < RUNS; i++) {
        struct taken taken = take(cut, world);
        longest_ms[i] = taken.longest_ms;
        sum_ms[i] = taken.sum_ms;
        ticks[i] = taken.ticks;
        tick_ms[i] = taken.tick_ms;
        mm_buf_reset(&bytes);
        uint64_t began = bench_now_ns();
        world_save(world, &bytes);
        whole_ms[i] = ms_since(began);
        mm_buf_reset(&still);
        MM_CHECK(world_cut_save(cut, &still) == MM_OK);
        MM_CHECK(still.len == bytes.len && memcmp(still.data, bytes.data, bytes.len) == 0);
        fixture_run(world, TICKS_BETWEEN);
    }
    char name[64];
    snprintf(name, sizeof name, "world.snapshot_longest_ms.%s", label);
    bench_compare(bench, name, bench_median(longest_ms, RUNS), bench_median(whole_ms, RUNS), "ms");
    snprintf(name, sizeof name, "world.snapshot_loop_ms.%s", label);
    bench_figure(bench, name, bench_median(sum_ms, RUNS), "ms");
    snprintf(name, sizeof name, "world.snapshot_ticks.%s", label);
    bench_figure(bench, name, bench_median(ticks, RUNS), "ticks");
    snprintf(name, sizeof name, "world.snapshot_movers.%s", label);
    bench_figure(bench, name, world_mover_count(world), "units");
    snprintf(name, sizeof name, "world.snapshot_tick_ms.%s", label);
    bench_figure(bench, name, bench_median(tick_ms, RUNS), "ms");
    mm_buf_free(&still);
    mm_buf_free(&bytes);
    world_cut_free(cut);
    world_free(world);
}

int main(void)
{
    struct bench *bench =
        bench_open("snapshot", "a quarter of the soldiers on the march; the longest stretch a "
                               "snapshot takes from one tick, beside encoding it in one go; "
                               "median of 5 snapshots");
    measure(bench, 10000, "10k");
    measure(bench, 100000, "100k");
    measure(bench, 1000000, "1m");
    return bench_close(bench);
}
