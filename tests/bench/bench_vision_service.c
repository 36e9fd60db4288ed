// The vision service as a process, with a world made of the scene of tests/support/vision_scene.h
// that ticks 20 times a second, and MariaDB.
//
// Saving: how long after world's tick the vision frame comes while every empire keeps exploring, so
// that all of them are dirty whenever the service saves, beside a time in which nothing is to be
// saved. Restart: 100,000 observers, 20,000 of them on the march and the others towers; kill -9 in
// the midst of that, and the time until the process that follows publishes again and has caught up
// with world.
//
// Every vision frame, and after each part whole views, are compared with a core that was never
// killed (tests/support/vision_rig.h).

#include "libcommon/base/check.h"
#include "tests/support/bench.h"
#include "tests/support/vision_rig.h"

#include <stdio.h>
#include <string.h>

enum {
    MARCH_EVERY_TICKS = 5,
    SAVE_EMPIRES = 1000,
    RESTART_EMPIRES = 1000,
    RESTART_PER_EMPIRE = 100,
};

// --- the two parts -------------------------------------------------------------------------------

static void note_waits(struct bench *bench, struct vision_rig *rig, const char *label,
                       uint64_t from)
{
    char name[64];
    size_t count = rig->seen_tick - from;
    double *waits = rig->waits_ms + from + 1;
    double late = 0;
    for (size_t i = 0; i < count; i++)
        late += waits[i] > VISION_RIG_TICK_MS;
    double p50 = bench_percentile(waits, count, 50), longest = bench_percentile(waits, count, 100);
    snprintf(name, sizeof name, "vision.save.%s.frame_after_tick_p50_ms", label);
    bench_figure(bench, name, p50, "ms");
    snprintf(name, sizeof name, "vision.save.%s.frame_after_tick_longest_ms", label);
    bench_figure(bench, name, longest, "ms");
    snprintf(name, sizeof name, "vision.save.%s.late_ticks", label);
    bench_figure(bench, name, late, "ticks");
}

static void saving(struct bench *bench)
{
    enum { SETTLE_TICKS = 120, MEASURED_TICKS = 200 };
    struct vision_rig rig;
    vision_rig_open(&rig, SAVE_EMPIRES, SCENE_MOVERS);
    vision_rig_play(&rig, SETTLE_TICKS); // until they know what is around their homes
    double rows = vision_rig_metric(&rig, "mmorts_vision_rows_saved_total");
    uint64_t from = rig.seen_tick;
    vision_rig_play(&rig, MEASURED_TICKS);
    double quiet_rows = vision_rig_metric(&rig, "mmorts_vision_rows_saved_total") - rows;
    note_waits(bench, &rig, "quiet", from);
    rig.scene->march_every_ticks = MARCH_EVERY_TICKS;
    vision_rig_play(&rig, SETTLE_TICKS / 2);
    rows = vision_rig_metric(&rig, "mmorts_vision_rows_saved_total");
    double saves = vision_rig_metric(&rig, "mmorts_vision_saves_total");
    double loop_s = vision_rig_metric(&rig, "mmorts_vision_save_loop_seconds_sum");
    from = rig.seen_tick;
    vision_rig_play(&rig, MEASURED_TICKS);
    rows = vision_rig_metric(&rig, "mmorts_vision_rows_saved_total") - rows;
    saves = vision_rig_metric(&rig, "mmorts_vision_saves_total") - saves;
    loop_s = vision_rig_metric(&rig, "mmorts_vision_save_loop_seconds_sum") - loop_s;
    note_waits(bench, &rig, "dirty", from);
    bench_figure(bench, "vision.save.quiet.rows", quiet_rows, "rows");
    bench_figure(bench, "vision.save.dirty.rows", rows, "rows");
    bench_figure(bench, "vision.save.dirty.transactions", saves, "");
    bench_figure(bench, "vision.save.dirty.loop_ms", loop_s * 1e3 / saves, "ms/transaction");
    MM_CHECK(rows > SAVE_EMPIRES); // else nothing was measured
    vision_rig_pause(&rig);
    vision_rig_compare(&rig);
    vision_rig_close(&rig);
}

static void restarting(struct bench *bench)
{
    enum { RUNS = 3, PLAY_TICKS = 60, AFTER_TICKS = 20 };
    double published_ms[RUNS], caught_up_ms[RUNS], cpu_ms[RUNS], replayed[RUNS];
    struct vision_rig rig;
    vision_rig_open(&rig, RESTART_EMPIRES, RESTART_PER_EMPIRE);
    rig.scene->march_every_ticks = MARCH_EVERY_TICKS;
    for (int run = 0; run < RUNS; run++) {
        vision_rig_play(&rig, PLAY_TICKS);
        vision_rig_kill(&rig);
        // Most of what a restart takes, and chance: the last checkpoint may be just made or long
        // ago.
        replayed[run] = (double)(rig.tick - vision_rig_checkpoint_tick(&rig));
        uint64_t began = bench_now_ns(), epoch = rig.epoch;
        vision_rig_launch(&rig);
        vision_rig_until_epoch(&rig, epoch);
        published_ms[run] = (double)(rig.epoch_ns - began) / 1e6;
        cpu_ms[run] = vision_rig_cpu_ms(&rig);
        vision_rig_until_seen(&rig, rig.tick);
        caught_up_ms[run] = (double)(bench_now_ns() - began) / 1e6;
        vision_rig_play(&rig, AFTER_TICKS);
        vision_rig_pause(&rig);
        vision_rig_compare(&rig);
        vision_rig_run(&rig);
    }
    bench_figure(bench, "vision.restart.entities", rig.scene->entities, "entities");
    bench_figure(bench, "vision.restart.replayed_ticks", bench_median(replayed, RUNS), "ticks");
    bench_figure(bench, "vision.restart_ms.100k", bench_median(published_ms, RUNS), "ms");
    bench_figure(bench, "vision.restart_cpu_ms.100k", bench_median(cpu_ms, RUNS), "ms");
    bench_figure(bench, "vision.restart_caught_up_ms.100k", bench_median(caught_up_ms, RUNS), "ms");
    vision_rig_close(&rig);
}

int main(int argc, char **argv)
{
    struct bench *bench =
        bench_open("vision_service", "the vision process under a world of 20 ticks a second: saves "
                                     "of 1,000 empires, restarts with 100,000 entities");
    if (argc < 2 || strcmp(argv[1], "save") == 0)
        saving(bench);
    if (argc < 2 || strcmp(argv[1], "restart") == 0)
        restarting(bench);
    return bench_close(bench);
}
