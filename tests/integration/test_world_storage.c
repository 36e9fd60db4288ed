// What world has stored: who may write it, what is done when it is damaged, what is kept, and how
// it comes under other rules.

#include "services/world/shell.h"
#include "tests/support/world_rig.h"
#include <criterion/criterion.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

// Another byte than was there, in every part of a snapshot after the first one; so many parts.
static void damage_snapshots(const struct world_rig *rig, uint64_t parts)
{
    rig_sql(rig,
            "UPDATE snapshot_parts SET data = INSERT(data, 200, 1, "
            "CHAR(255 - ORD(SUBSTRING(data, 200, 1)))) WHERE tick > 0",
            parts);
}

// --- two of them --------------------------------------------------------------------------------

Test(world_storage, a_second_process_takes_over_and_the_first_ends, .timeout = 300)
{
    struct world_rig rig;
    rig_open(&rig, NULL, NULL);
    rig_start(&rig);
    Mmorts__World__JoinReply home;
    rig_join_seen(&rig, 9, &home);
    uint16_t port;
    struct test_process *rival = rig_rival(&rig, &port);
    cr_assert(test_process_wait_ready(rival, port, TEST_PATIENCE_MS));
    // A write of the first is refused; so is its reserving of further ticks.
    Mmorts__World__CommandResult result;
    uint64_t units[16];
    size_t count = rig_units(&rig, 1, units, 16);
    enum mm_err err = rig_move(&rig, 9, 1, units, count, 4, 4, &result);
    cr_assert_neq(err, MM_OK, "a process without the session acknowledged a command");
    int status = test_process_wait(rig.process, TEST_PATIENCE_MS);
    cr_assert(WIFEXITED(status));
    cr_assert_eq(WEXITSTATUS(status), WORLD_EXIT_FENCED);
    test_process_free(rig.process);
    rig.process = NULL;
    cr_assert(test_process_running(rival));
    cr_assert_eq(test_process_stop(rival), 0);
    test_process_free(rival);
    rig_start(&rig);
    rig_join_seen(&rig, 9, &home);
    cr_assert(!home.founded);
    cr_assert_eq(home.last_client_seq, 0);
    rig_close(&rig);
}

Test(world_storage, old_snapshots_and_their_journal_go, .timeout = 300)
{
    enum { MOVES_MAX = 1000 };
    static const char *const settings[] = {"MMORTS_TEST_SNAPSHOTS=100ms", NULL};
    static const char snapshots[] = "mmorts_world_snapshots_total";
    struct world_rig rig;
    rig_open(&rig, NULL, NULL);
    rig.settings = settings;
    rig_start(&rig);
    Mmorts__World__JoinReply home;
    rig_join_seen(&rig, 9, &home);
    uint64_t units[16], ticks[MOVES_MAX], seq = 0;
    size_t count = rig_units(&rig, 1, units, 16);
    // Whoever writes snapshots stands back, on a busy machine for long: until more have been begun
    // since the first move than are kept.
    double enough = 0;
    while (seq < MOVES_MAX && (seq < 30 || rig_metric(&rig, snapshots) < enough)) {
        Mmorts__World__CommandResult result;
        seq++;
        cr_assert_eq(rig_move(&rig, 9, seq, units, count, (int32_t)seq % 7, 4, &result), MM_OK);
        ticks[seq - 1] = result.tick;
        if (seq == 1)
            enough = rig_metric(&rig, snapshots) + 4;
        rig_turn(&rig, 30);
    }
    rig_stop(&rig);
    cr_assert_eq(rig_count_sql(&rig, "SELECT COUNT(*) FROM snapshots"), 3);
    cr_assert_eq(rig_count_sql(&rig, "SELECT COUNT(DISTINCT tick) FROM snapshot_parts"), 3);
    uint64_t oldest = rig_count_sql(&rig, "SELECT MIN(tick) FROM snapshots"), rows = 0;
    for (uint64_t i = 0; i < seq; i++)
        rows += ticks[i] > oldest;
    cr_assert_gt(oldest, ticks[0]);
    cr_assert_eq(rig_count_sql(&rig, "SELECT COUNT(*) FROM journal"), rows);
    cr_assert_eq(rig_count_sql(&rig, "SELECT COUNT(*) FROM journal WHERE tick <= "
                                     "(SELECT MIN(tick) FROM snapshots)"),
                 0);
    rig_start(&rig);
    rig_join_seen(&rig, 9, &home);
    cr_assert_eq(home.last_client_seq, seq);
    rig_close(&rig);
}

// Long before the interval is over: as soon as replaying what is behind the last snapshot would
// take too long.
Test(world_storage, a_snapshot_is_taken_before_a_restart_would_take_too_long, .timeout = 600)
{
    static const char *const settings[] = {"MMORTS_TEST_REPLAY=1ms", "MMORTS_TEST_SNAPSHOTS=3600s",
                                           NULL};
    struct world_rig rig;
    rig_open(&rig, NULL, NULL);
    rig.settings = settings;
    rig_start(&rig);
    Mmorts__World__JoinReply home;
    rig_join_seen(&rig, 9, &home);
    // Between two there are three times as long as one takes. What a tick takes is much where the
    // process stood still in it: then it is the next snapshot behind which there is little.
    static const char *const names[] = {"mmorts_world_snapshots_total",
                                        "mmorts_world_replay_seconds"};
    double taken_and_behind[2] = {0, 0};
    int64_t end = test_now_ms() + 4 * TEST_PATIENCE_MS;
    for (uint64_t player = 10; taken_and_behind[0] < 3 || taken_and_behind[1] >= 1; player++) {
        cr_assert_lt(test_now_ms(), end, "%g snapshots, %g s behind the last", taken_and_behind[0],
                     taken_and_behind[1]);
        rig_join_seen(&rig, player, &home);
        rig_metrics(&rig, names, taken_and_behind, 2);
    }
    uint64_t newest = rig_count_sql(&rig, "SELECT MAX(tick) FROM snapshots");
    cr_assert_gt(newest, 0);
    rig_kill(&rig);
    rig_start(&rig);
    char *log = test_process_log(rig.process), line[64];
    snprintf(line, sizeof line, "snapshot_tick=%llu ", (unsigned long long)newest);
    cr_assert(strstr(log, line) || rig_count_sql(&rig, "SELECT MAX(tick) FROM snapshots") > newest,
              "%s is not in\n%s", line, log);
    free(log);
    rig_close(&rig);
}

// --- other rules --------------------------------------------------------------------------------

static char *read_text(const char *path)
{
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file, "%s", path);
    char *text = calloc(1, 65536);
    cr_assert_lt(fread(text, 1, 65535, file), 65535);
    fclose(file);
    return text;
}

// Writes `text` with `old` replaced by `new` wherever it stands.
static void write_replaced(const char *path, const char *text, const char *old, const char *new)
{
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file, "%s", path);
    for (const char *at; (at = strstr(text, old)) != NULL; text = at + strlen(old)) {
        fwrite(text, 1, (size_t)(at - text), file);
        fputs(new, file);
    }
    fputs(text, file);
    fclose(file);
}

Test(world_storage, a_session_goes_on_under_other_rules, .timeout = 300)
{
    struct world_rig rig;
    rig_open(&rig, NULL, NULL);
    rig_start(&rig);
    Mmorts__World__JoinReply home;
    rig_join_seen(&rig, 9, &home);
    uint64_t units[16], scout = 0;
    size_t count = rig_units(&rig, 1, units, 16);
    Mmorts__World__CommandResult result;
    cr_assert_eq(rig_move(&rig, 9, 1, units, count, 9, 0, &result), MM_OK);
    for (size_t i = 0; i < rig.mirror->entity_end; i++)
        if (rig.mirror->entities[i].alive && rig.mirror->entities[i].type == 2)
            scout = rig.mirror->entities[i].id;
    // Not even an orderly end: the journal must be replayed under the rules it was written under.
    rig_kill(&rig);
    char types_path[128], config_path[128], types_setting[PATH_MAX + 32];
    snprintf(types_path, sizeof types_path, "%s/types.yaml", rig.dir);
    snprintf(config_path, sizeof config_path, "%s/world.yaml", rig.dir);
    char *types = read_text("services/world/game/types.yaml");
    write_replaced(types_path, types, "types:\n",
                   "types:\n  troll: {kind: npc, health: 9, sight: 2, ticks_per_hex: 6}\n");
    free(types);
    char *here = realpath("services/world", NULL);
    cr_assert_not_null(here);
    char *config = read_text(rig.config);
    write_replaced(config_path, config, "../../services/world", here);
    free(config);
    config = read_text(config_path);
    snprintf(types_setting, sizeof types_setting, "%s/game/types.yaml", here);
    free(here);
    write_replaced(config_path, config, types_setting, types_path);
    free(config);
    snprintf(rig.config, sizeof rig.config, "%s", config_path);
    rig_start(&rig);
    rig_join_seen(&rig, 9, &home);
    cr_assert_eq(home.last_client_seq, 1);
    Mmorts__World__GetEntityRequest look = MMORTS__WORLD__GET_ENTITY_REQUEST__INIT;
    look.session = "main";
    look.entity = scout;
    ProtobufCMessage *reply;
    cr_assert_eq(rig_call(&rig, "GetEntity", &look.base, RIG_CALL_MS, &reply), MM_OK);
    cr_assert_str_eq(((const Mmorts__World__GetEntityReply *)(const void *)reply)->type, "scout");
    rig_free_reply(reply);
    Mmorts__World__SpawnReply *spawned;
    cr_assert_eq(rig_spawn(&rig, "w", "troll", 0, 2, 3, 3, &spawned), MM_OK);
    rig_free_reply(spawned);
    // And again by a crash: the journal since then is of the new rules.
    rig_kill(&rig);
    rig_start(&rig);
    cr_assert_eq(rig_spawn(&rig, "w", "troll", 0, 2, 3, 3, &spawned), MM_OK);
    cr_assert(spawned->repeated_key);
    rig_free_reply(spawned);
    char *replayed;
    rig_replay(&rig, NULL, 0, &replayed);
    cr_assert(strstr(replayed, "the rules of the game change here"), "%s", replayed);
    free(replayed);
    rig_stop(&rig);
    // Every snapshot of the new rules is damaged: the journal leads from before the change, under
    // the old rules, through it.
    uint64_t ours = rig_count_sql(&rig, "SELECT COUNT(*) FROM snapshot_parts WHERE tick > 0");
    cr_assert_geq(ours, 1);
    damage_snapshots(&rig, ours);
    rig_start(&rig);
    char *log = test_process_log(rig.process);
    cr_assert(strstr(log, "snapshot_tick=0 "), "%s", log);
    free(log);
    rig_join_seen(&rig, 9, &home);
    cr_assert_eq(home.last_client_seq, 1);
    cr_assert_eq(rig_spawn(&rig, "w", "troll", 0, 2, 3, 3, &spawned), MM_OK);
    cr_assert(spawned->repeated_key);
    rig_free_reply(spawned);
    rig_replay(&rig, (const char *const[]){"--audit", "10", NULL}, 4, &replayed);
    cr_assert(strstr(replayed, "REPLAYED"), "%s", replayed);
    free(replayed);
    rig_close(&rig);
}

// The row that brings the rules is damaged, and so is every snapshot after it: no guesses are made.
Test(world_storage, damaged_rules_are_refused, .timeout = 300)
{
    struct world_rig rig;
    rig_open(&rig, NULL, NULL);
    rig_start(&rig);
    Mmorts__World__JoinReply home;
    rig_join_seen(&rig, 9, &home);
    rig_kill(&rig);
    // `rules` is field 2 of JournalEntry: four bytes that are none.
    rig_sql(&rig, "UPDATE journal SET inputs = CONCAT(inputs, X'120401020304')", 1);
    rig_refused(&rig, WORLD_EXIT_UNSOUND);
    rig_sql(&rig, "UPDATE journal SET inputs = LEFT(inputs, LENGTH(inputs) - 6)", 1);
    rig_start(&rig);
    rig_join_seen(&rig, 9, &home);
    cr_assert(!home.founded);
    rig_close(&rig);
}

// --- the replay tool ----------------------------------------------------------------------------

// It looks at a session while that runs, and the session does not notice.
Test(world_storage, a_running_session_is_listed_exported_and_replayed, .timeout = 300)
{
    struct world_rig rig;
    rig_open(&rig, NULL, NULL);
    rig_start(&rig);
    Mmorts__World__JoinReply home;
    cr_assert(rig_until_tick(&rig, 1, TEST_PATIENCE_MS)); // from here on each tick's hash is seen
    rig_join_seen(&rig, 9, &home);
    char *text, directory[128];
    rig_replay(&rig, (const char *const[]){"--list", "--inputs", NULL}, 0, &text);
    cr_assert(strstr(text, "snapshot tick 0 epoch 1 "), "%s", text);
    cr_assert(strstr(text, "inputs 1\n    {\"join\":{"), "%s", text);
    free(text);
    snprintf(directory, sizeof directory, "%s/record", rig.dir);
    rig_replay(&rig, (const char *const[]){"--export", directory, NULL}, 0, NULL);
    rig_replay(&rig, (const char *const[]){"--export", directory, NULL}, 2, NULL);
    rig_replay(&rig, (const char *const[]){"--hashes", "1", NULL}, 0, &text);
    char line[64];
    snprintf(line, sizeof line, "%llu %016llx\n", (unsigned long long)home.tick,
             (unsigned long long)rig_hash_seen(&rig, home.tick));
    cr_assert(strstr(text, line), "%s is not in\n%s", line, text);
    free(text);
    const char *const from[] = {"mmorts-replay", "--from", directory, NULL};
    struct test_process *process = test_process_start(from, NULL);
    cr_assert_eq(test_process_wait(process, TEST_PATIENCE_MS), 0);
    test_process_free(process);
    rig_replay(&rig, (const char *const[]){"--session", "elsewhere", NULL}, 3, &text);
    cr_assert(strstr(text, "NOT_FOUND: no session elsewhere"), "%s", text);
    free(text);
    rig_replay(&rig, (const char *const[]){"--snapshot", "77", NULL}, 2, NULL);
    // Still the only writer, and still running.
    cr_assert_eq(rig_count_sql(&rig, "SELECT epoch FROM sessions"), 1);
    cr_assert(rig_until_tick(&rig, rig.last_tick + 5, TEST_PATIENCE_MS));
    rig_close(&rig);
}

// --- damaged storage ----------------------------------------------------------------------------

Test(world_storage, a_damaged_snapshot_gives_way_to_the_one_before, .timeout = 300)
{
    struct world_rig rig;
    rig_open(&rig, NULL, NULL);
    rig_start(&rig);
    Mmorts__World__JoinReply home;
    rig_join_seen(&rig, 9, &home);
    Mmorts__World__CommandResult result;
    uint64_t units[16];
    size_t count = rig_units(&rig, 1, units, 16);
    cr_assert_eq(rig_move(&rig, 9, 1, units, count, 9, 0, &result), MM_OK);
    cr_assert(rig_until_tick(&rig, result.tick + 30, TEST_PATIENCE_MS));
    rig_stop(&rig);
    uint64_t stopped_at = rig.last_tick;
    // The newest of two is damaged: the first one, of tick 0, and the journal lead there as well.
    damage_snapshots(&rig, 1);
    char *replayed;
    rig_replay(&rig, NULL, 4, &replayed);
    cr_assert(strstr(replayed, "is not sound: DATA_LOSS"), "%s", replayed);
    cr_assert(strstr(replayed, "REPLAYED"), "%s", replayed);
    free(replayed);
    rig_start(&rig);
    char *log = test_process_log(rig.process);
    cr_assert(strstr(log, "snapshots_refused=1"), "%s", log);
    free(log);
    rig_join_seen(&rig, 9, &home);
    cr_assert(!home.founded);
    cr_assert_eq(home.last_client_seq, 1);
    cr_assert_gt(rig.last_tick, stopped_at);
    rig_stop(&rig);

    // It comes to what was there before the damage, and a snapshot of it is sound again.
    rig_replay(&rig, (const char *const[]){"--audit", "10", NULL}, 4, &replayed);
    cr_assert(strstr(replayed, "1 snapshots as recorded, 1 snapshots not sound"), "%s", replayed);
    free(replayed);

    // All damaged: it does not begin anew, it refuses to start, and says so by its status.
    rig_sql(&rig, "DELETE FROM snapshot_parts WHERE part = 0", 3);
    rig_refused(&rig, WORLD_EXIT_UNSOUND);
    rig_close(&rig);
}

Test(world_storage, a_journal_that_leads_elsewhere_is_refused, .timeout = 300)
{
    struct world_rig rig;
    rig_open(&rig, NULL, NULL);
    rig_start(&rig);
    Mmorts__World__JoinReply home;
    rig_join_seen(&rig, 9, &home);
    rig_kill(&rig);
    rig_sql(&rig, "UPDATE journal SET state_hash = state_hash ^ 1", 1);
    rig_refused(&rig, WORLD_EXIT_UNSOUND);
    char *replayed;
    rig_replay(&rig, NULL, 1, &replayed);
    cr_assert(strstr(replayed, "DIVERGED at tick"), "%s", replayed);
    cr_assert(strstr(replayed, "{\"join\":{"), "%s", replayed);
    free(replayed);
    rig_sql(&rig, "UPDATE journal SET state_hash = state_hash ^ 1", 1);
    rig_start(&rig);
    rig_join_seen(&rig, 9, &home);
    cr_assert(!home.founded);
    rig_close(&rig);
}
