// World under kill -9 and without its MariaDB: what was acknowledged is kept, and once.

#include "libcommon/base/rng.h"
#include "tests/support/soak.h"
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// --- kill -9 under load -------------------------------------------------------------------------

// What the reader was shown is what an uninterrupted replay of the journal comes to, tick by tick,
// as far as the journal is still kept.
static void check_replay(struct world_rig *rig, unsigned *compared)
{
    char *text;
    rig_replay(rig, (const char *const[]){"--hashes", "1", NULL}, 0, &text);
    for (const char *line = text; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        uint64_t tick, hash;
        if (sscanf(line, "%" SCNu64 " %" SCNx64, &tick, &hash) != 2)
            continue;
        uint64_t seen = rig_hash_seen(rig, tick);
        cr_assert(seen == 0 || seen == hash, "tick %" PRIu64 " was published otherwise", tick);
        *compared += seen != 0;
    }
    free(text);
}

// CI takes as many kills as fit into it; `make soak-world` asks for more, and for another seed.
static uint64_t wish(const char *name, uint64_t fallback)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : fallback;
}

Test(world_crash, kill_9_under_load, .timeout = 3600)
{
    uint64_t kills = wish("MMORTS_SOAK_KILLS", 16), seed = wish("MMORTS_SOAK_SEED", 4711);
    unsigned compared = 0;
    struct world_rig rig;
    rig_open(&rig, NULL, NULL);
    const char *const settings[] = {"MMORTS_TEST_SNAPSHOTS=400ms", soak_production(&rig), NULL};
    rig.settings = settings;
    rig_start(&rig);
    struct soak *soak = soak_new(&rig, seed);
    uint64_t killed = 0;
    // On until everything has come up that there is to say something of.
    uint64_t kills_max = kills * 6;
    for (uint64_t turn = 0; killed < kills || (soak_missing(soak) && killed < kills_max); turn++) {
        soak_play(soak, 50 + (uint32_t)mm_rng_below(soak_rng(soak), 700));
        uint64_t before = rig.last_tick;
        if (turn % 5 == 4) {
            rig_stop(&rig);
        } else {
            rig_kill(&rig);
            killed++;
        }
        check_replay(&rig, &compared);
        rig_start(&rig);
        if (!rig_until_tick(&rig, before + 1, TEST_PATIENCE_MS)) {
            rig_show(&rig);
            cr_assert(false, "no tick after restart %" PRIu64, turn);
        }
        soak_check_commands(soak);
    }
    soak_check_spawns(soak);
    soak_check_stock(soak);
    const char *missing = soak_missing(soak);
    cr_assert(!missing, "%s", missing);
    cr_assert_gt(compared, kills * 5, "too few hashes were compared");
    printf("%" PRIu64 " kills, seed %" PRIu64 ": %" PRIu64
           " ticks; %u published hashes met by replay; nothing lost, nothing rolled back\n",
           killed, seed, rig.last_tick, compared);
    soak_print(soak);
    rig_stop(&rig);
    soak_free(soak);
    rig_close(&rig);
}

// --- MariaDB away -------------------------------------------------------------------------------

Test(world_crash, mariadb_away_pauses_and_recovers, .timeout = 300)
{
    struct test_server *server = test_mariadb_start();
    struct world_rig rig;
    rig_open(&rig, test_server_address(server), NULL);
    rig_start(&rig);
    Mmorts__World__JoinReply home;
    rig_join_seen(&rig, 9, &home);
    uint64_t units[16], seq = 0;
    size_t count = rig_units(&rig, 1, units, 16);
    Mmorts__World__CommandResult result;
    for (int round = 0; round < 2; round++) {
        cr_assert_eq(rig_move(&rig, 9, ++seq, units, count, 4, 4, &result), MM_OK);
        cr_assert_eq(result.reason, MMORTS__WORLD__COMMAND_REASON__COMMAND_OK);
        if (round == 0)
            test_server_stop(server);
        else
            test_server_kill(server);
        // The first refusals may be late: a call that was taken waits for its commit.
        enum mm_err err = MM_OK;
        int64_t end = test_now_ms() + TEST_PATIENCE_MS;
        while (err != MM_UNAVAILABLE && test_now_ms() < end)
            err = rig_move(&rig, 9, ++seq, units, count, 5, 5, &result);
        cr_assert_eq(err, MM_UNAVAILABLE, "%s", mm_err_name(err));
        // What was reserved is used up; then time stands still.
        Mmorts__World__SessionInfo info, later;
        char reason[32] = "";
        end = test_now_ms() + TEST_PATIENCE_MS;
        const Mmorts__Frame__SessionState paused =
            MMORTS__FRAME__SESSION_STATE__SESSION_STATE_PAUSED;
        do {
            cr_assert_eq(rig_session(&rig, &info, reason, sizeof reason), MM_OK);
            rig_turn(&rig, 400);
            cr_assert_eq(rig_session(&rig, &later, reason, sizeof reason), MM_OK);
        } while ((later.tick != info.tick || info.state != paused) && test_now_ms() < end);
        cr_assert_eq(later.tick, info.tick, "the session did not pause");
        cr_assert_eq(later.state, paused);
        cr_assert_str_eq(reason, "database");
        int status = test_http_get(rig.http_port, "/readyz", TEST_PATIENCE_MS, NULL);
        cr_assert_eq(status, 503);

        test_server_restart(server);
        cr_assert(rig_until_tick(&rig, later.tick + 20, TEST_PATIENCE_MS),
                  "the session did not go on");
        err = MM_UNAVAILABLE;
        end = test_now_ms() + TEST_PATIENCE_MS;
        while (err != MM_OK && test_now_ms() < end)
            err = rig_move(&rig, 9, ++seq, units, count, 6, 6, &result);
        cr_assert_eq(err, MM_OK);
        cr_assert_eq(result.reason, MMORTS__WORLD__COMMAND_REASON__COMMAND_OK);
    }
    rig_kill(&rig);
    rig_start(&rig);
    Mmorts__World__JoinReply after;
    rig_join_seen(&rig, 9, &after);
    cr_assert_geq(after.last_client_seq, seq);
    rig_close(&rig);
    test_server_free(server);
}
