// From the start of world's process to the first tick that a reader of its stream sees, with
// 100,000 entities, a quarter of them on the march: after SIGTERM (a snapshot and nothing behind
// it), after kill -9 (a snapshot and some seconds of journal), and after a kill -9 just before the
// next snapshot (as much behind the last one as ever). The baseline loads the same state from
// memory: what any restart must at least do.

#include "libcommon/base/check.h"
#include "libcommon/io/db_conn.h"
#include "services/world/store.h"
#include "tests/support/bench.h"
#include "tests/support/world_fixture.h"
#include "tests/support/world_rig.h"

enum { ENTITIES = 100000, RUNS = 3, PLAY_TICKS = 100, WAIT_MS = 60000, PLAYER = 7 };
#define MOST_BEHIND_S 1.9 // of the 2 s after which a snapshot is taken

// Puts the state in the place of what the session has stored.
static void store(const struct world_rig *rig, const struct mm_buf *bytes,
                  const struct world *world, uint64_t epoch)
{
    struct mm_db_options options = {
        .host = rig->mariadb.host,
        .port = rig->mariadb.port,
        .user = rig->mariadb.user,
        .password = rig->mariadb.password,
        .database = rig->database,
    };
    struct mm_db_conn *conn;
    MM_CHECK(mm_db_conn_open(&options, &conn) == MM_OK);
    MM_CHECK(world_store_save(conn, "main", epoch, world_tick(world), world_state_hash(world),
                              bytes->data, bytes->len, 3, true, NULL) == MM_OK);
    mm_db_conn_close(conn);
}

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

// Plays until a restart has as much to replay as it ever will, or the interval is over.
static void play_to_the_most(struct world_rig *rig, uint64_t player, double *behind_s)
{
    uint64_t from = rig->last_tick;
    double behind = 0;
    for (; behind < MOST_BEHIND_S && rig->last_tick < from + 1200; *behind_s = behind) {
        Mmorts__World__JoinReply home;
        rig_join_seen(rig, player + rig->last_tick % 3, &home);
        behind = rig_metric(rig, "mmorts_world_replay_seconds");
    }
}

int main(void)
{
    struct bench *bench = bench_open("restart", "100,000 entities, 25,000 of them sent 200 hexes; "
                                                "median of 3 restarts of the process");
    struct world_rig rig;
    rig_open(&rig, NULL, NULL);
    rig_start(&rig);
    rig_until_tick(&rig, 5, WAIT_MS);
    rig_stop(&rig);
    struct world *world = fixture_crowd(ENTITIES, rig.last_tick + 400);
    struct mm_buf bytes;
    mm_buf_init(&bytes, WORLD_SAVE_BYTES_MAX);
    world_save(world, &bytes);
    MM_CHECK(bytes.err == MM_OK);
    store(&rig, &bytes, world, 1);
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
    double behind_s = 0, worst;
    start_ms(&rig);
    uint64_t from = rig.last_tick;
    play_to_the_most(&rig, PLAYER + 90000, &behind_s);
    from = rig.last_tick - from;
    rig_kill(&rig);
    worst = start_ms(&rig);
    bench_figure(bench, "world.restart.entities", world_entity_count(world), "entities");
    bench_figure(bench, "world.restart.movers", world_mover_count(world), "entities");
    bench_figure(bench, "world.restart.state_mb", (double)bytes.len / 1e6, "MB");
    bench_figure(bench, "world.restart.journal_ticks", play_ticks, "ticks");
    bench_compare(bench, "world.restart_ms.100k", bench_median(orderly, RUNS), baseline, "ms");
    bench_compare(bench, "world.restart_after_kill_ms.100k", bench_median(crashed, RUNS), baseline,
                  "ms");
    bench_figure(bench, "world.restart.most_behind_ticks", (double)from, "ticks");
    bench_figure(bench, "world.restart.most_behind_s", behind_s, "s");
    bench_compare(bench, "world.restart_at_worst_ms.100k", worst, baseline, "ms");
    mm_buf_free(&bytes);
    world_free(world);
    rig_close(&rig);
    return bench_close(bench);
}
