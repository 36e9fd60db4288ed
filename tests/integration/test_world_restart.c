// How long a world of 100,000 entities is away when its process dies at the worst moment: just
// before a snapshot would have been taken, with as much to be replayed as ever.

#include "gen/stream.pb-c.h"
#include "libcommon/io/rpc_client.h"
#include "services/world/core/world.h"
#include "tests/support/world_fixture.h"
#include "tests/support/world_rig.h"
#include <criterion/criterion.h>
#include <stdlib.h>

enum {
    ENTITIES = 100000,
    // The promise is 5 s. What a restart costs is counted in CPU time, all threads together: it
    // hardly swings with what else the machine does, and on an idle one it is what passes.
    CPU_MS_MAX = 5000,
    WALL_MS_MAX = 120000, // with the machine to share
    TICKS_MAX = 1200,
    READERS = 8,
};

#define BEHIND_S 0.9 // of the second after which a snapshot is taken

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__ || !defined __OPTIMIZE__
#define SLOWER 8 // instrumented, or not optimised
#elif defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SLOWER 8
#endif
#endif
#ifndef SLOWER
#define SLOWER 1
#endif

// From the start of the process to the first tick that a reader of its stream sees.
static int64_t restart(struct world_rig *rig, int64_t *cpu_ms)
{
    uint64_t before = rig->last_tick;
    int64_t began = test_now_ms();
    rig_start(rig);
    cr_assert(rig_until_tick(rig, before + 1, WALL_MS_MAX * SLOWER));
    *cpu_ms = test_process_cpu_ms(rig->process);
    return test_now_ms() - began;
}

struct asked {
    unsigned answered, sound;
    uint64_t least_tick;
};

static void on_snapshot_reply(void *arg, const struct mm_rpc_result *result)
{
    struct asked *asked = arg;
    asked->answered++;
    const Mmorts__Stream__SnapshotReply *reply = (const void *)result->reply;
    asked->sound +=
        result->code == MM_OK && reply->tick >= asked->least_tick && reply->body.len > ENTITIES;
}

// All readers ask for a snapshot at once, as after a restart. How many were made.
static double ask_together(struct world_rig *rig)
{
    static const char made[] = "mmorts_world_stream_snapshot_seconds_count";
    struct asked asked = {.least_tick = rig->last_tick};
    double before = rig_metric(rig, made);
    Mmorts__Stream__SnapshotRequest request = MMORTS__STREAM__SNAPSHOT_REQUEST__INIT;
    request.stream = (char *)(uintptr_t) "tick";
    request.session = rig->session;
    struct mm_rpc_call_options options = {.deadline_ms = WALL_MS_MAX, .wait_for_connection = true};
    for (int i = 0; i < READERS; i++)
        cr_assert_eq(mm_rpc_call(rig->client, &mmorts__stream__stream__descriptor, "Snapshot",
                                 &request.base, &options, on_snapshot_reply, &asked, NULL),
                     MM_OK);
    int64_t end = test_now_ms() + 2 * WALL_MS_MAX;
    while (asked.answered < READERS && test_now_ms() < end)
        rig_turn(rig, 10);
    cr_assert_eq(asked.sound, READERS, "%u answers, %u sound", asked.answered, asked.sound);
    return rig_metric(rig, made) - before;
}

Test(world_restart, is_back_within_seconds_whenever_it_is_killed, .timeout = 1800)
{
    static const char *const settings[] = {"MMORTS_TEST_REPLAY=1s", NULL};
    struct world_rig rig;
    rig_open(&rig, NULL, NULL);
    rig.settings = settings;
    rig_start(&rig);
    cr_assert(rig_until_tick(&rig, 5, TEST_PATIENCE_MS));
    rig_stop(&rig);
    struct world *world = fixture_crowd(ENTITIES, rig_ended_at(&rig) + 400);
    cr_assert_gt(world_mover_count(world), ENTITIES / 10, "hardly anybody is on the march");
    rig_store(&rig, world);
    world_free(world);
    int64_t cpu_ms, wall_ms = restart(&rig, &cpu_ms);
    cr_log_info("with nothing to replay: %lld ms, CPU %lld ms", (long long)wall_ms,
                (long long)cpu_ms);
    uint64_t from = rig.last_tick;
    double behind = rig_play_behind(&rig, BEHIND_S, TICKS_MAX);
    uint64_t played = rig.last_tick - from;
    rig_kill(&rig);
    wall_ms = restart(&rig, &cpu_ms);
    cr_log_info("%llu ticks played, %.2f s to replay: %lld ms, CPU %lld ms",
                (unsigned long long)played, behind, (long long)wall_ms, (long long)cpu_ms);
    // On a busy machine it takes fewer ticks until there is as much to replay as there may be.
    cr_assert(behind >= BEHIND_S || played >= TICKS_MAX,
              "nothing much happened: %llu ticks, %.2f s to replay", (unsigned long long)played,
              behind);
    cr_assert_lt(cpu_ms, CPU_MS_MAX * SLOWER);
    cr_assert_lt(wall_ms, WALL_MS_MAX * SLOWER);
    // What was replayed is still behind: a snapshot is due at once, or the next restart, and the
    // one after it, would take ever longer.
    int64_t end = test_now_ms() + WALL_MS_MAX * SLOWER;
    while (rig_metric(&rig, "mmorts_world_snapshots_total") < 1) {
        rig_play_behind(&rig, 2 * BEHIND_S, 10);
        cr_assert_lt(test_now_ms(), end, "no snapshot is taken before its interval is over");
    }
    end = test_now_ms() + TEST_PATIENCE_MS;
    // Ticks go on while a snapshot is written: it is the next one that comes below, or some later.
    while (rig_metric(&rig, "mmorts_world_replay_seconds") >= BEHIND_S * SLOWER) {
        rig_turn(&rig, 20);
        cr_assert_lt(test_now_ms(), end, "there is ever more to be replayed");
    }
    // Whoever asks while one is made, or soon after, is told the next one, together with others.
    end = test_now_ms() + WALL_MS_MAX;
    double made;
    while ((made = ask_together(&rig)) >= READERS)
        cr_assert_lt(test_now_ms(), end, "a snapshot for each reader");
    cr_assert_gt(made, 0);
    rig_close(&rig);
}
