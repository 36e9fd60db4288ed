// From the start of world's process to the first tick that a reader of its stream sees, with
// 100,000 entities, or as many thousands as the first argument says, a quarter of them on the
// march: after SIGTERM (a snapshot and nothing behind it), after kill -9 (a snapshot and some
// seconds of journal), and after a kill -9 just before the next snapshot (as much behind the last
// one as ever). The baseline loads the same state from memory: what any restart must at least do.

#include "libcommon/base/check.h"
#include "tests/support/bench.h"
#include "tests/support/world_fixture.h"
#include "tests/support/world_rig.h"
#include <stdio.h>
#include <stdlib.h>

enum { ENTITIES = 100000, RUNS = 3, PLAY_TICKS = 100, WAIT_MS = 60000, PLAYER = 7 };
#define MOST_BEHIND_S 0.95 // of the second after which a snapshot is taken

static double start_ms(struct world_rig *rig)
{
    uint64_t before = rig->last_tick, began = bench_now_ns();
    rig_start(rig);
    MM_CHECK(rig_until_tick(rig, before + 1, WAIT_MS));
    return (double)(bench_now_ns() - began) / 1e6;
}

static double load_ms(const struct mm_buf *bytes)
{
    double runs[RUNS];
    for (int i = 0; i < RUNS; i++) {
        struct world *again;
        uint64_t began = bench_now_ns();
        MM_CHECK(world_load(bytes->data, bytes->len, &again) == MM_OK);
        runs[i] = (double)(bench_now_ns() - began) / 1e6;
        world_free(again);
    }
    return bench_median(runs, RUNS);
}

static void compare(struct bench *bench, const char *what, uint32_t thousands, double ours,
                    double baseline)
{
    char name[64];
    snprintf(name, sizeof name, "%s.%uk", what, thousands);
    bench_compare(bench, name, ours, baseline, "ms");
}

int main(int argc, char **argv)
{
    uint32_t thousands = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : ENTITIES / 1000;
    uint32_t entities = thousands * 1000;
    char scenario[128];
    snprintf(scenario, sizeof scenario,
             "%u entities, a quarter of them sent 200 hexes; median of %d restarts of the process",
             entities, RUNS);
    struct bench *bench = bench_open("restart", scenario);
    struct world_rig rig;
    rig_open(&rig, NULL, NULL);
    rig_start(&rig);
    rig_until_tick(&rig, 5, WAIT_MS);
    rig_stop(&rig);
    struct world *world = fixture_crowd(entities, rig.last_tick + 400);
    struct mm_buf bytes;
    mm_buf_init(&bytes, WORLD_SAVE_BYTES_MAX);
    world_save(world, &bytes);
    MM_CHECK(bytes.err == MM_OK);
    rig_store(&rig, world);
    double baseline = load_ms(&bytes), orderly[RUNS], crashed[RUNS], play_ticks = 0;
    for (int i = 0; i < RUNS; i++) {
        orderly[i] = start_ms(&rig);
        uint64_t from = rig.last_tick;
        for (uint64_t seq = 1; rig.last_tick < from + PLAY_TICKS; seq++) {
            Mmorts__World__JoinReply home;
            rig_join_seen(&rig, PLAYER + (uint64_t)i * 1000 + seq % 3, &home);
            rig_turn(&rig, 200);
        }
        play_ticks += (double)(rig.last_tick - from) / RUNS;
        rig_kill(&rig);
        crashed[i] = start_ms(&rig);
        rig_stop(&rig);
    }
    double behind_s, worst;
    start_ms(&rig);
    uint64_t from = rig.last_tick;
    behind_s = rig_play_behind(&rig, MOST_BEHIND_S, 1200);
    from = rig.last_tick - from;
    rig_kill(&rig);
    worst = start_ms(&rig);
    bench_figure(bench, "world.restart.entities", world_entity_count(world), "entities");
    bench_figure(bench, "world.restart.movers", world_mover_count(world), "entities");
    bench_figure(bench, "world.restart.state_mb", (double)bytes.len / 1e6, "MB");
    bench_figure(bench, "world.restart.journal_ticks", play_ticks, "ticks");
    compare(bench, "world.restart_ms", thousands, bench_median(orderly, RUNS), baseline);
    compare(bench, "world.restart_after_kill_ms", thousands, bench_median(crashed, RUNS), baseline);
    bench_figure(bench, "world.restart.most_behind_ticks", (double)from, "ticks");
    bench_figure(bench, "world.restart.most_behind_s", behind_s, "s");
    compare(bench, "world.restart_at_worst_ms", thousands, worst, baseline);
    mm_buf_free(&bytes);
    world_free(world);
    rig_close(&rig);
    return bench_close(bench);
}
