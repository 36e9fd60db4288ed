// What a process does with a session that another version of the simulation has stored.

#include "libcommon/base/id.h"
#include "services/world/core/save.h"
#include "services/world/shell.h"
#include "tests/support/world_fixture.h"
#include "tests/support/world_rig.h"
#include <criterion/criterion.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

// A session that was ended cleanly, with one empire, as the given version left it. The world is the
// caller's.
static struct world *left_by(struct world_rig *rig, uint32_t version)
{
    rig_open(rig, NULL, NULL);
    rig_start(rig);
    cr_assert(rig_until_tick(rig, 5, TEST_PATIENCE_MS));
    rig_stop(rig);
    struct world_rules *rules = fixture_wild_rules();
    struct world *world = fixture_world(rules, 4);
    fixture_found(world, 1);
    fixture_run(world, (unsigned)(rig_ended_at(rig) + 100 - world_tick(world)));
    rig_store_older(rig, world, version);
    free(rules);
    return world;
}

// The process must not start; what it says goes to log, which the caller frees.
static char *refused(const struct world_rig *rig)
{
    uint16_t port;
    struct test_process *process = rig_rival(rig, &port);
    int status = test_process_wait(process, TEST_PATIENCE_MS);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == WORLD_EXIT_UNSOUND, "status %x", status);
    char *log = test_process_log(process);
    test_process_free(process);
    return log;
}

Test(world_versions, what_an_older_one_ended_cleanly_goes_on, .timeout = 300)
{
    for (uint32_t version = WORLD_SAVE_OLDEST; version < WORLD_SAVE_VERSION; version++) {
        struct world_rig rig;
        struct world *world = left_by(&rig, version);
        uint64_t tick = world_tick(world), units[8], theirs[8];
        size_t count = fixture_units(world, 1, NULL, theirs, 8);
        rig_start(&rig);
        cr_assert(rig_until_tick(&rig, tick + 1, TEST_PATIENCE_MS));
        cr_assert_eq(rig_units(&rig, 1, units, 8), count);
        cr_assert_eq(memcmp(units, theirs, count * sizeof *units), 0, "other units");
        // It goes on as its own: what was played since is replayed after a crash.
        struct world_empire_view view;
        cr_assert(world_empire(world, 1, &view));
        Mmorts__World__CommandResult result;
        cr_assert_eq(
            rig_move(&rig, view.player_id, 1, units, 1, view.home.q + 3, view.home.r, &result),
            MM_OK);
        cr_assert_eq(result.reason, 0, "%d", result.reason);
        rig_kill(&rig);
        rig_start(&rig);
        Mmorts__World__JoinReply home;
        rig_join_seen(&rig, view.player_id, &home);
        cr_assert_eq(home.last_client_seq, 1u);
        static const char *const nothing[] = {NULL};
        char *output;
        rig_stop(&rig);
        rig_replay(&rig, nothing, 0, &output);
        cr_assert(strstr(output, "is of another version of the simulation"), "%s", output);
        free(output);
        rig_close(&rig);
        world_free(world);
    }
}

Test(world_versions, what_was_not_ended_cleanly_needs_its_own_version, .timeout = 300)
{
    struct world_rig rig;
    struct world *world = left_by(&rig, WORLD_SAVE_VERSION - 1);
    uint64_t tick = world_tick(world);
    char sql[160], said[200];
    snprintf(said, sizeof said,
             "the state of tick %" PRIu64 " was written by version %u of the simulation, this "
             "program is version %u and reads %u and later",
             tick, WORLD_SAVE_VERSION - 1, WORLD_SAVE_VERSION, WORLD_SAVE_OLDEST);
    // Ticks that were reserved may have been seen by players.
    snprintf(sql, sizeof sql, "UPDATE sessions SET tick_reserved = %" PRIu64, tick + 1);
    rig_sql(&rig, sql, 1);
    char *log = refused(&rig);
    cr_assert(strstr(log, said) && strstr(log, "end it with SIGTERM, then start this one"), "%s",
              log);
    free(log);
    // So may a row of the journal.
    snprintf(sql, sizeof sql, "UPDATE sessions SET tick_reserved = %" PRIu64, tick);
    rig_sql(&rig, sql, 1);
    snprintf(sql, sizeof sql,
             "INSERT INTO journal (session, tick, epoch, state_hash, inputs) "
             "SELECT session, %" PRIu64 ", epoch, 1, '' FROM sessions",
             tick + 1);
    rig_sql(&rig, sql, 1);
    log = refused(&rig);
    cr_assert(strstr(log, said) && strstr(log, "not ended cleanly"), "%s", log);
    free(log);
    // Nothing was changed by that: without the row it goes on.
    rig_sql(&rig, "DELETE FROM journal WHERE inputs = ''", 1);
    rig_start(&rig);
    cr_assert(rig_until_tick(&rig, tick + 1, TEST_PATIENCE_MS));
    rig_close(&rig);
    world_free(world);
}

Test(world_versions, those_that_cannot_be_read_are_named, .timeout = 300)
{
    static const struct {
        uint32_t version;
        const char *advice;
    } rows[] = {
        {WORLD_SAVE_OLDEST - 1, "start an older program that still reads it"},
        {WORLD_SAVE_VERSION + 1, "start the newer program that wrote it"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world_rig rig;
        struct world *world = left_by(&rig, rows[i].version);
        char said[100];
        snprintf(said, sizeof said, "was written by version %u of the simulation", rows[i].version);
        char *log = refused(&rig);
        cr_assert(strstr(log, said) && strstr(log, rows[i].advice), "%s", log);
        free(log);
        rig_close(&rig);
        world_free(world);
    }
}
