// The real process on a real MariaDB: calls, orderly restarts, pauses, stalls.

#include "gen/auth.pb-c.h"
#include "libcommon/hex/hex.h"
#include "services/world/core/world.h"
#include "tests/support/world_rig.h"
#include <criterion/criterion.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Test(world, join_move_and_restart_by_sigterm, .timeout = 300)
{
    struct world_rig rig;
    rig_open(&rig, NULL, NULL);
    rig_start(&rig);
    Mmorts__World__JoinReply first, again;
    rig_join_seen(&rig, 77, &first);
    cr_assert(first.founded);
    cr_assert_eq(first.empire, 1);
    rig_join_seen(&rig, 77, &again);
    cr_assert(!again.founded);
    cr_assert_eq(again.empire_id, first.empire_id);
    uint64_t units[16];
    size_t count = rig_units(&rig, 1, units, 16);
    cr_assert_eq(count, 6, "1 scout, 2 workers, 3 soldiers; not %zu", count);
    Mmorts__World__CommandResult result;
    cr_assert_eq(rig_move(&rig, 77, 1, units, count, first.home_q + 10, first.home_r, &result),
                 MM_OK);
    cr_assert_eq(result.reason, MMORTS__WORLD__COMMAND_REASON__COMMAND_OK);
    cr_assert(rig_until_tick(&rig, result.tick + 40, TEST_PATIENCE_MS));
    rig_stop(&rig);
    uint64_t stopped_at = rig_ended_at(&rig);

    // Nothing is lost and no time skipped by an orderly restart.
    rig_start(&rig);
    char *log = test_process_log(rig.process), said[64];
    snprintf(said, sizeof said, "session runs\" session=main tick=%" PRIu64 " ", stopped_at);
    cr_assert(strstr(log, said) && strstr(log, "rows_replayed=0 ticks_forwarded=0"),
              "%s is not in\n%s", said, log);
    free(log);
    cr_assert(rig_until_tick(&rig, stopped_at + 10, TEST_PATIENCE_MS));
    cr_assert_geq(rig.snapshots, 2);
    Mmorts__World__SessionInfo info;
    char reason[32];
    cr_assert_eq(rig_session(&rig, &info, reason, sizeof reason), MM_OK);
    cr_assert_eq(info.empires, 1);
    Mmorts__World__CommandResult repeated;
    cr_assert_eq(rig_move(&rig, 77, 1, units, count, 0, 0, &repeated), MM_OK);
    cr_assert_eq(repeated.reason, MMORTS__WORLD__COMMAND_REASON__COMMAND_OK);
    cr_assert_eq(repeated.tick, result.tick, "a repeated command was carried out again");
    // The march goes on, and ends where it was sent.
    cr_assert(rig_until_still(&rig, 1, TEST_PATIENCE_MS));
    const struct hex_axial target = {first.home_q + 10, first.home_r};
    for (size_t i = 0; i < rig.mirror->entity_end; i++) {
        const struct mirror_entity *e = &rig.mirror->entities[i];
        if (e->alive && e->owner == 1 && e->type >= 2)
            cr_assert_leq(hex_distance((struct hex_axial){e->q, e->r}, target), 3);
    }
    rig_close(&rig);
}

Test(world, calls_are_checked, .timeout = 300)
{
    struct world_rig rig;
    rig_open(&rig, NULL, NULL);
    rig_start(&rig);
    Mmorts__World__JoinReply home;
    rig_join_seen(&rig, 5, &home);
    ProtobufCMessage *reply;
    Mmorts__World__JoinRequest other = MMORTS__WORLD__JOIN_REQUEST__INIT;
    other.session = "elsewhere";
    other.player_id = 5;
    cr_assert_eq(rig_call(&rig, "Join", &other.base, RIG_CALL_MS, &reply), MM_NOT_FOUND);
    Mmorts__World__SpawnReply *spawned;
    cr_assert_eq(rig_spawn(&rig, "k", "dragon", 1, 1, 0, 0, &spawned), MM_INVALID_ARGUMENT);
    cr_assert_eq(rig_spawn(&rig, "k", "soldier", 9, 1, 0, 0, &spawned), MM_INVALID_ARGUMENT);
    cr_assert_eq(rig_spawn(&rig, "k", "soldier", 1, 1, 9999, 0, &spawned), MM_OUT_OF_RANGE);
    cr_assert_eq(rig_spawn(&rig, "k", "soldier", 1, 2, home.home_q, home.home_r, &spawned), MM_OK);
    cr_assert_eq(spawned->n_entities, 2);
    uint64_t id = spawned->entities[0];
    rig_free_reply(spawned);

    Mmorts__World__GetEntityRequest look = MMORTS__WORLD__GET_ENTITY_REQUEST__INIT;
    look.session = "main";
    look.entity = id;
    cr_assert_eq(rig_call(&rig, "GetEntity", &look.base, RIG_CALL_MS, &reply), MM_OK);
    const Mmorts__World__GetEntityReply *entity = (const void *)reply;
    cr_assert_str_eq(entity->type, "soldier");
    cr_assert_eq(entity->owner, 1);
    cr_assert_eq(entity->health, 120);
    rig_free_reply(reply);
    Mmorts__World__DespawnRequest despawn = MMORTS__WORLD__DESPAWN_REQUEST__INIT;
    despawn.session = "main";
    despawn.entity = id;
    cr_assert_eq(rig_call(&rig, "Despawn", &despawn.base, RIG_CALL_MS, &reply), MM_OK);
    rig_free_reply(reply);
    cr_assert_eq(rig_call(&rig, "Despawn", &despawn.base, RIG_CALL_MS, &reply), MM_NOT_FOUND);
    cr_assert_eq(rig_call(&rig, "GetEntity", &look.base, RIG_CALL_MS, &reply), MM_NOT_FOUND);

    Mmorts__World__Hex hex = MMORTS__WORLD__HEX__INIT, *hexes[] = {&hex, &hex};
    Mmorts__World__GetChunksRequest chunks = MMORTS__WORLD__GET_CHUNKS_REQUEST__INIT;
    chunks.session = "main";
    chunks.n_chunks = 2;
    chunks.chunks = hexes;
    cr_assert_eq(rig_call(&rig, "GetChunks", &chunks.base, RIG_CALL_MS, &reply), MM_OK);
    const Mmorts__World__GetChunksReply *map = (const void *)reply;
    cr_assert_eq(map->chunks->n_q, 1);
    cr_assert_eq(map->chunks->cells.len, 271);
    cr_assert(map->chunks->n_version == 1 && map->n_unchanged == 0 && map->catalogue);
    uint64_t known[2] = {map->chunks->version[0], 0};
    chunks.known_catalogue = map->catalogue_version;
    rig_free_reply(reply);
    // What the asker has as it is, is not sent again: not even when the map grew elsewhere. What is
    // nowhere is left out.
    rig_join_seen(&rig, 6, &home);
    Mmorts__World__Hex beside = {.base = hex.base, .q = 19, .r = -9};
    Mmorts__World__Hex nowhere = {.base = hex.base, .q = 20000, .r = 0};
    Mmorts__World__Hex *three[] = {&hex, &nowhere, &beside};
    chunks.chunks = three;
    chunks.n_chunks = chunks.n_known = 3;
    chunks.known = (uint64_t[]){known[0], 7, 7};
    cr_assert_eq(rig_call(&rig, "GetChunks", &chunks.base, RIG_CALL_MS, &reply), MM_OK);
    map = (const void *)reply;
    cr_assert(map->n_unchanged == 1 && map->unchanged[0] == 0);
    cr_assert(map->chunks->n_q == 1 && map->chunks->q[0] == 19 && map->chunks->r[0] == -9);
    cr_assert(map->chunks->version[0] != known[0] && map->chunks->version[0] != 7);
    cr_assert(!map->catalogue && map->catalogue_version == chunks.known_catalogue);
    rig_free_reply(reply);
    chunks.known_catalogue++;
    chunks.n_known = 2;
    cr_assert_eq(rig_call(&rig, "GetChunks", &chunks.base, RIG_CALL_MS, &reply),
                 MM_INVALID_ARGUMENT);
    chunks.n_known = 0;
    cr_assert_eq(rig_call(&rig, "GetChunks", &chunks.base, RIG_CALL_MS, &reply), MM_OK);
    map = (const void *)reply;
    cr_assert(map->n_unchanged == 0 && map->chunks->n_q == 2 && map->catalogue);
    rig_free_reply(reply);
    Mmorts__World__Hex *many[257];
    for (size_t i = 0; i < 257; i++)
        many[i] = &hex;
    chunks.chunks = many;
    chunks.n_chunks = 257;
    cr_assert_eq(rig_call(&rig, "GetChunks", &chunks.base, RIG_CALL_MS, &reply),
                 MM_INVALID_ARGUMENT);
    rig_close(&rig);
}

// Over HTTP whoever has no permission to operate gets to know of sessions, and no more.
Test(world, calls_need_the_permission_to_operate, .timeout = 300)
{
    struct world_rig rig;
    char *text = NULL;
    rig_open(&rig, NULL, NULL);
    rig_start(&rig);
    cr_assert_eq(test_http_get(rig.http_port, "/rpc", TEST_PATIENCE_MS, &text), 200);
    const ProtobufCServiceDescriptor *world = &mmorts__world__world__descriptor;
    for (unsigned i = 0; i < world->n_methods; i++) {
        const char *name = world->methods[i].name;
        bool open = strcmp(name, "GetSession") == 0 || strcmp(name, "ListSessions") == 0;
        char path[64], wanted[64];
        snprintf(path, sizeof path, "\"/rpc/World/%s\"", name);
        if (open)
            snprintf(wanted, sizeof wanted, "\"access\":\"public\"");
        else
            snprintf(wanted, sizeof wanted, "\"access\":\"permission\",\"permission\":\"%d\"",
                     MMORTS__AUTH__PERMISSION__PERMISSION_OPERATE);
        const char *method = strstr(text, path);
        cr_assert_not_null(method, "%s", name);
        const char *access = strstr(method, "\"access\"");
        cr_assert(access && strncmp(access, wanted, strlen(wanted)) == 0, "%s: %.60s", name,
                  access);
    }
    free(text);
    rig_close(&rig);
}

Test(world, a_paused_session_stands_still_and_stays_paused, .timeout = 300)
{
    struct world_rig rig;
    rig_open(&rig, NULL, NULL);
    rig_start(&rig);
    Mmorts__World__JoinReply home;
    rig_join_seen(&rig, 5, &home);
    uint64_t units[16];
    size_t count = rig_units(&rig, 1, units, 16);
    Mmorts__World__PauseSessionRequest pause = MMORTS__WORLD__PAUSE_SESSION_REQUEST__INIT;
    pause.session = "main";
    ProtobufCMessage *reply;
    cr_assert_eq(rig_call(&rig, "PauseSession", &pause.base, RIG_CALL_MS, &reply), MM_OK);
    const Mmorts__World__SessionInfo *info = (const void *)reply;
    cr_assert_eq(info->state, MMORTS__FRAME__SESSION_STATE__SESSION_STATE_PAUSED);
    cr_assert_str_eq(info->reason, "operator");
    uint64_t tick = info->tick;
    rig_free_reply(reply);
    cr_assert(rig_until_tick(&rig, tick, TEST_PATIENCE_MS));
    cr_assert_eq(rig.mirror->state, MMORTS__FRAME__SESSION_STATE__SESSION_STATE_PAUSED);
    Mmorts__World__CommandResult result;
    cr_assert_eq(rig_move(&rig, 5, 1, units, count, 5, 5, &result), MM_OK);
    cr_assert_eq(result.reason, MMORTS__WORLD__COMMAND_REASON__COMMAND_PAUSED);
    rig_stop(&rig);
    rig_start(&rig);
    Mmorts__World__SessionInfo after;
    char reason[32];
    cr_assert_eq(rig_session(&rig, &after, reason, sizeof reason), MM_OK);
    cr_assert_eq(after.state, MMORTS__FRAME__SESSION_STATE__SESSION_STATE_PAUSED);
    cr_assert_eq(after.tick, tick + 1, "only the refused command made a tick");
    Mmorts__World__ResumeSessionRequest resume = MMORTS__WORLD__RESUME_SESSION_REQUEST__INIT;
    resume.session = "main";
    cr_assert_eq(rig_call(&rig, "ResumeSession", &resume.base, RIG_CALL_MS, &reply), MM_OK);
    rig_free_reply(reply);
    cr_assert(rig_until_tick(&rig, tick + 20, TEST_PATIENCE_MS));
    cr_assert_eq(rig_move(&rig, 5, 1, units, count, 5, 5, &result), MM_OK);
    cr_assert_eq(result.reason, MMORTS__WORLD__COMMAND_REASON__COMMAND_OK);
    rig_close(&rig);
}

// --- time ---------------------------------------------------------------------------------------

Test(world, a_stall_is_caught_up_within_a_bound, .timeout = 300)
{
    struct world_rig rig;
    rig_open(&rig, NULL, NULL);
    rig_start(&rig);
    cr_assert(rig_until_tick(&rig, 10, TEST_PATIENCE_MS));
    static const char *const names[] = {"mmorts_world_ticks_dropped_total",
                                        "mmorts_world_ticks_total"};
    double before[2], after[2];
    rig_metrics(&rig, names, before, 2);
    test_process_signal(rig.process, SIGSTOP);
    rig_turn(&rig, 1500);
    test_process_signal(rig.process, SIGCONT);
    // Thirty ticks are due: five are made up for, the rest of the time is lost.
    int64_t end = test_now_ms() + TEST_PATIENCE_MS;
    do {
        cr_assert_lt(test_now_ms(), end, "no ticks were left out");
        rig_turn(&rig, 10);
        rig_metrics(&rig, names, after, 2);
    } while (after[0] < before[0] + 10);
    cr_assert(rig_until_tick(&rig, (uint64_t)after[1] + 10, TEST_PATIENCE_MS));
    rig_close(&rig);
}

// What Prometheus' histogram_quantile would read from the buckets, in seconds; negative if it
// cannot be read: there is nothing, or it lies beyond the last bound.
static double system_quantile(const struct world_rig *rig, const char *system, double quantile)
{
    static const char *const bounds[] = {"2e-06",  "5e-06",  "1e-05",  "2e-05", "5e-05",
                                         "0.0001", "0.0002", "0.0005", "0.001", "0.002",
                                         "0.005",  "0.01",   "0.02",   "0.05",  "0.1"};
    char name[128];
    snprintf(name, sizeof name, "mmorts_world_system_seconds_count{system=\"%s\"}", system);
    double count = rig_metric(rig, name), below = 0, from = 0;
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0] && count > 0; i++) {
        snprintf(name, sizeof name, "mmorts_world_system_seconds_bucket{system=\"%s\",le=\"%s\"}",
                 system, bounds[i]);
        double now = rig_metric(rig, name), to = strtod(bounds[i], NULL);
        cr_assert_geq(now, below, "%s is missing, or falls", name);
        if (now >= quantile * count)
            return from + (to - from) * (quantile * count - below) / (now - below);
        below = now;
        from = to;
    }
    return -1;
}

Test(world, every_systems_time_is_told_and_threads_are_as_configured, .timeout = 300)
{
    struct world_rig rig;
    rig_open(&rig, NULL, NULL);
    rig.settings = (const char *const[]){"MMORTS_TEST_THREADS=3", NULL};
    rig_start(&rig);
    Mmorts__World__JoinReply home;
    rig_join_seen(&rig, 1, &home);
    cr_assert_eq(rig_metric(&rig, "mmorts_world_threads"), 3);
    cr_assert(rig_until_tick(&rig, rig.last_tick + 40, TEST_PATIENCE_MS));
    for (size_t i = 0; i < world_system_count(); i++) {
        // A test machine that is busy with others may well hold up many ticks of the forty.
        double p10 = system_quantile(&rig, world_system_name(i), 0.1);
        cr_assert_gt(p10, 0, "the p10 of %s cannot be read", world_system_name(i));
    }
    rig_close(&rig);
}

// The mean time from when ticks were due until they were published, of at least so many in which
// nobody asks for anything: no row makes them wait.
static double quiet_ticks(struct world_rig *rig, uint64_t ticks)
{
    static const char *const names[] = {"mmorts_world_publish_seconds_sum",
                                        "mmorts_world_publish_seconds_count"};
    double before[2], after[2];
    cr_assert(rig_until_tick(rig, rig->last_tick + 5, TEST_PATIENCE_MS)); // all rows are committed
    rig_metrics(rig, names, before, 2);
    cr_assert(before[0] >= 0 && before[1] > 0);
    int64_t end = test_now_ms() + TEST_PATIENCE_MS;
    do {
        cr_assert_lt(test_now_ms(), end, "there are no ticks");
        rig_turn(rig, 50);
        rig_metrics(rig, names, after, 2);
    } while (after[1] - before[1] < (double)ticks);
    return (after[0] - before[0]) / (after[1] - before[1]);
}

Test(world, ticks_without_a_row_come_as_late_as_those_with_one, .timeout = 300)
{
    enum { JOINS = 24, QUIET = 40 };
    struct world_rig rig;
    rig_open(&rig, NULL, NULL);
    rig_start(&rig);
    Mmorts__World__JoinReply home;
    for (uint64_t player = 1; player <= JOINS; player++)
        rig_join_seen(&rig, player, &home);
    // Commits take a millisecond and more, so most of these moved the phase up.
    double phase = rig_metric(&rig, "mmorts_world_publish_phase_seconds");
    cr_assert(phase > 0 && phase <= 0.015, "%g", phase);
    // Figures are of whole microseconds.
    double waited = quiet_ticks(&rig, QUIET);
    cr_assert_geq(waited, phase - 1e-6, "%g s a tick, phase %g s", waited, phase);
    rig_close(&rig);
}

Test(world, ticks_come_as_soon_as_they_may_where_the_operator_wants_that, .timeout = 300)
{
    struct world_rig rig;
    rig_open(&rig, NULL, NULL);
    rig.settings = (const char *const[]){"MMORTS_TEST_EVEN=0ms", NULL};
    rig_start(&rig);
    Mmorts__World__JoinReply home;
    for (uint64_t player = 1; player <= 3; player++)
        rig_join_seen(&rig, player, &home);
    cr_assert_eq(rig_metric(&rig, "mmorts_world_publish_phase_seconds"), 0);
    cr_assert_gt(rig_metric(&rig, "mmorts_world_journal_rows_total"), 0);
    rig_close(&rig);
}
