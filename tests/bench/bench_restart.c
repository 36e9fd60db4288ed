// From the start of world's process to the first tick that a reader of its stream sees, with
// 100,000 entities, a quarter of them on the march: after SIGTERM (a snapshot and nothing behind
// it) and after kill -9 (a snapshot and some seconds of journal). The baseline loads the same
// state from memory: what any restart must at least do.

#include "libcommon/base/check.h"
#include "libcommon/io/db_conn.h"
#include "services/world/core/state.h"
#include "services/world/store.h"
#include "tests/support/bench.h"
#include "tests/support/world_fixture.h"
#include "tests/support/world_rig.h"
#include <stdlib.h>
#include <string.h>

enum { ENTITIES = 100000, RUNS = 3, PLAY_TICKS = 100, WAIT_MS = 60000, PLAYER = 7 };

// A world of the game's own rules with one empire and its crowd, at the given tick.
static struct world *crowded_world(uint64_t tick)
{
    struct world_rules *rules = fixture_rules();
    struct world *world = fixture_world(rules, 12345);
    int soldier = world_rules_type(rules, "soldier");
    fixture_found(world, 1);
    int32_t radius = 1;
    while (hex_disc_count(radius) * world->map.tiling.cells < (size_t)ENTITIES * 6)
        radius++;
    MM_CHECK(world_reserve_entities(world, ENTITIES + 4096) == MM_OK);
    MM_CHECK(world_grow(world, (struct hex_chunk){0, 0}, radius) == MM_OK);
    world_ecs_settle(&world->ecs);
    world_ecs_begin(&world->ecs);
    uint32_t made = world_entity_count(world), cells = world_map_cell_count(&world->map);
    MM_CHECK(world_reserve_entities(world, ENTITIES + 4096) == MM_OK);
    for (uint32_t cell = 0; cell < cells && made < ENTITIES; cell += 2) {
        if (!world_cell_free(world, cell, WORLD_ON_UNIT))
            continue;
        uint32_t slot = world_entity_create(world, (uint32_t)soldier, 1, cell);
        const struct world_place *at = WORLD_GET(&world->ecs, WORLD_PLACE, world_place, slot);
        struct hex_axial goal = {at->q + 200, at->r};
        if (made++ % 4 == 0 && world_map_cell(&world->map, goal) != WORLD_CELL_NONE)
            world_order_begin(world, slot, WORLD_ORDER_MOVE, goal);
    }
    MM_CHECK(made >= ENTITIES);
    world_ecs_settle(&world->ecs);
    while (world_tick(world) < tick)
        fixture_run(world, 1);
    MM_CHECK(world_state_hash(world) == world_state_hash_full(world));
    free(rules);
    return world;
}

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

int main(void)
{
    struct bench *bench = bench_open("restart", "100,000 entities, 25,000 of them sent 200 hexes; "
                                                "median of 3 restarts of the process");
    struct world_rig rig;
    rig_open(&rig, NULL, NULL);
    rig_start(&rig);
    rig_until_tick(&rig, 5, WAIT_MS);
    rig_stop(&rig);
    struct world *world = crowded_world(rig.last_tick + 400);
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
    bench_figure(bench, "world.restart.entities", world_entity_count(world), "entities");
    bench_figure(bench, "world.restart.movers", world_mover_count(world), "entities");
    bench_figure(bench, "world.restart.state_mb", (double)bytes.len / 1e6, "MB");
    bench_figure(bench, "world.restart.journal_ticks", play_ticks, "ticks");
    bench_compare(bench, "world.restart_ms.100k", bench_median(orderly, RUNS), baseline, "ms");
    bench_compare(bench, "world.restart_after_kill_ms.100k", bench_median(crashed, RUNS), baseline,
                  "ms");
    mm_buf_free(&bytes);
    world_free(world);
    rig_close(&rig);
    return bench_close(bench);
}
