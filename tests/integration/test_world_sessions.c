// Several sessions: their directory, and that none notices another.

#include "tests/support/world_rig.h"
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// --- the directory ------------------------------------------------------------------------------

static enum mm_err create(struct world_rig *rig, const char *session, const char *key,
                          uint64_t seed, uint32_t max_players, Mmorts__Frame__SessionState *state)
{
    Mmorts__World__CreateSessionRequest request = MMORTS__WORLD__CREATE_SESSION_REQUEST__INIT;
    request.session = (char *)(uintptr_t)session;
    request.key.data = (uint8_t *)(uintptr_t)key;
    request.key.len = strlen(key);
    request.seed = seed;
    request.max_players = max_players;
    Mmorts__World__SessionInfo *info;
    enum mm_err err =
        rig_call(rig, "CreateSession", &request.base, RIG_CALL_MS, (ProtobufCMessage **)&info);
    if (err == MM_OK) {
        cr_assert_str_eq(info->session, session);
        cr_assert_eq(info->max_players, max_players);
        if (state)
            *state = info->state;
        rig_free_reply(info);
    }
    return err;
}

static enum mm_err end(struct world_rig *rig, const char *session)
{
    Mmorts__World__EndSessionRequest request = MMORTS__WORLD__END_SESSION_REQUEST__INIT;
    request.session = (char *)(uintptr_t)session;
    ProtobufCMessage *info;
    enum mm_err err = rig_call(rig, "EndSession", &request.base, RIG_CALL_MS, &info);
    rig_free_reply(info);
    return err;
}

// The state of a session in the list; -1: it is not there. *count: how many are.
static int listed(struct world_rig *rig, const char *session, size_t *count)
{
    Mmorts__World__ListSessionsRequest request = MMORTS__WORLD__LIST_SESSIONS_REQUEST__INIT;
    Mmorts__World__ListSessionsReply *reply;
    cr_assert_eq(
        rig_call(rig, "ListSessions", &request.base, RIG_CALL_MS, (ProtobufCMessage **)&reply),
        MM_OK);
    int state = -1;
    for (size_t i = 0; i < reply->n_sessions; i++)
        if (strcmp(reply->sessions[i]->session, session) == 0)
            state = (int)reply->sessions[i]->state;
    if (count)
        *count = reply->n_sessions;
    rig_free_reply(reply);
    return state;
}

static void until_listed(struct world_rig *rig, const char *session, int state)
{
    int64_t until = test_now_ms() + TEST_PATIENCE_MS;
    while (listed(rig, session, NULL) != state) {
        cr_assert_lt(test_now_ms(), until, "%s is listed as %d, not %d", session,
                     listed(rig, session, NULL), state);
        rig_turn(rig, 50);
    }
}

// Where a session's world is, or why that is not told.
static enum mm_err find(struct world_rig *rig, const char *session, char *rpc, size_t rpc_bytes)
{
    Mmorts__World__FindSessionRequest request = MMORTS__WORLD__FIND_SESSION_REQUEST__INIT;
    request.session = (char *)(uintptr_t)session;
    Mmorts__World__FindSessionReply *reply;
    enum mm_err err =
        rig_call(rig, "FindSession", &request.base, RIG_CALL_MS, (ProtobufCMessage **)&reply);
    if (err == MM_OK) {
        snprintf(rpc, rpc_bytes, "%s", reply->world_rpc);
        rig_free_reply(reply);
    }
    return err;
}

enum {
    RUNNING = MMORTS__FRAME__SESSION_STATE__SESSION_STATE_RUNNING,
    WANTED = MMORTS__FRAME__SESSION_STATE__SESSION_STATE_WANTED,
    AWAY = MMORTS__FRAME__SESSION_STATE__SESSION_STATE_AWAY,
    ENDED = MMORTS__FRAME__SESSION_STATE__SESSION_STATE_ENDED,
};

Test(world_sessions, sessions_are_created_once_and_within_bounds, .timeout = 300)
{
    struct world_rig rig;
    char rpc[128];
    Mmorts__Frame__SessionState state;
    rig_open(&rig, NULL, NULL);
    rig_start(&rig);
    until_listed(&rig, "main", RUNNING);
    const char *const bad[] = {"", "-a", "A", "a b", "a/b", "0123456789012345678901234567890123"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_assert_eq(create(&rig, bad[i], "k", 0, 0, NULL), MM_INVALID_ARGUMENT, "%s", bad[i]);
    cr_assert_eq(create(&rig, "arena", "", 0, 0, NULL), MM_INVALID_ARGUMENT);
    cr_assert_eq(create(&rig, "arena", "k", 0, UINT32_MAX, NULL), MM_INVALID_ARGUMENT);
    // It enters itself when it runs, and answers meanwhile.
    int64_t until = test_now_ms() + TEST_PATIENCE_MS;
    while (rig_count_sql(&rig, "SELECT COUNT(*) FROM directory") == 0)
        cr_assert_lt(test_now_ms(), until, "the directory stays empty");
    cr_assert_eq(rig_count_sql(&rig, "SELECT COUNT(*) FROM directory"), 1);

    cr_assert_eq(create(&rig, "arena", "k1", 77, 2, &state), MM_OK);
    cr_assert_eq(state, WANTED);
    cr_assert_eq(create(&rig, "arena", "k1", 77, 2, &state), MM_OK);
    cr_assert_eq(create(&rig, "arena", "k2", 77, 2, NULL), MM_ALREADY_EXISTS);
    cr_assert_eq(create(&rig, "arena", "k1", 78, 2, NULL), MM_ALREADY_EXISTS);
    cr_assert_eq(create(&rig, "other", "k1", 77, 2, NULL), MM_ALREADY_EXISTS);
    cr_assert_eq(create(&rig, "main", "k3", 0, 0, NULL), MM_ALREADY_EXISTS);
    cr_assert_eq(find(&rig, "arena", rpc, sizeof rpc), MM_FAILED_PRECONDITION);
    cr_assert_eq(find(&rig, "other", rpc, sizeof rpc), MM_NOT_FOUND);
    cr_assert_eq(find(&rig, "main", rpc, sizeof rpc), MM_OK);
    cr_assert(strstr(rpc, rig.dir), "%s", rpc);

    // Four may be wanted, main among them.
    cr_assert_eq(create(&rig, "b", "kb", 0, 0, NULL), MM_OK);
    cr_assert_eq(create(&rig, "c", "kc", 0, 0, NULL), MM_OK);
    cr_assert_eq(create(&rig, "d", "kd", 0, 0, NULL), MM_RESOURCE_EXHAUSTED);
    cr_assert_eq(create(&rig, "c", "kc", 0, 0, NULL), MM_OK);
    cr_assert_eq(end(&rig, "c"), MM_OK);
    cr_assert_eq(end(&rig, "c"), MM_OK);
    cr_assert_eq(listed(&rig, "c", NULL), ENDED);
    cr_assert_eq(end(&rig, "nobody"), MM_NOT_FOUND);
    cr_assert_eq(end(&rig, "main"), MM_FAILED_PRECONDITION);
    cr_assert_eq(create(&rig, "d", "kd", 0, 0, NULL), MM_OK);
    size_t count;
    cr_assert_eq(listed(&rig, "d", &count), WANTED);
    cr_assert_eq(count, 5);
    // All of it is in the database.
    rig_kill(&rig);
    rig_start(&rig);
    until_listed(&rig, "d", WANTED);
    cr_assert_eq(create(&rig, "arena", "k1", 77, 2, NULL), MM_OK);
    rig_close(&rig);
}

// --- two at once --------------------------------------------------------------------------------

static void play(struct world_rig *rig, uint64_t player, uint64_t seq, int32_t q)
{
    uint64_t units[16];
    size_t count = rig_units(rig, 1, units, 16);
    cr_assert_gt(count, 0);
    Mmorts__World__CommandResult result;
    cr_assert_eq(rig_move(rig, player, seq, units, count, q, 4, &result), MM_OK);
    cr_assert_eq(result.reason, MMORTS__WORLD__COMMAND_REASON__COMMAND_OK);
}

static uint64_t tick_in_replay(const struct world_rig *rig, const char *name)
{
    char *text;
    rig_replay(rig, (const char *const[]){"--hashes", "1", NULL}, 0, &text);
    // Every hash that was published is met.
    uint64_t met = 0;
    for (uint64_t tick = 1; tick < rig->hashes_end; tick++) {
        char line[64], start[32];
        snprintf(start, sizeof start, "\n%" PRIu64 " ", tick);
        if (!rig_hash_seen(rig, tick) || !strstr(text, start))
            continue;
        snprintf(line, sizeof line, "\n%" PRIu64 " %016" PRIx64 "\n", tick,
                 rig_hash_seen(rig, tick));
        cr_assert(strstr(text, line), "%s: tick %" PRIu64 " is another", name, tick);
        met++;
    }
    free(text);
    return met;
}

// Until arena, whose process is dead, is listed as away: by what is written it was silent for long,
// which no process is that only stands still for a while. Its last sign of life may come yet.
static void until_away(struct world_rig *main)
{
    int64_t until = test_now_ms() + TEST_PATIENCE_MS;
    while (listed(main, "arena", NULL) != AWAY) {
        cr_assert_lt(test_now_ms(), until, "arena is not away");
        rig_sql(main,
                "UPDATE directory SET seen_at = seen_at - INTERVAL 1 HOUR WHERE session = 'arena'",
                1);
        rig_turn(main, 50);
    }
}

Test(world_sessions, two_at_once_are_killed_and_go_on_each_by_itself, .timeout = 300)
{
    struct world_rig main, arena;
    rig_open(&main, NULL, NULL);
    rig_start(&main);
    cr_assert_eq(create(&main, "arena", "k", 4242, 2, NULL), MM_OK);
    rig_open_beside(&arena, &main, "arena");
    rig_start(&arena);
    until_listed(&main, "arena", RUNNING);
    until_listed(&arena, "main", RUNNING);
    char rpc[128];
    cr_assert_eq(find(&main, "arena", rpc, sizeof rpc), MM_OK);
    cr_assert(strstr(rpc, arena.dir), "%s", rpc);

    // The same player, and the same numbers, in both: two empires that know nothing of each other.
    Mmorts__World__JoinReply in_main, in_arena;
    rig_join_seen(&main, 9, &in_main);
    rig_join_seen(&arena, 9, &in_arena);
    cr_assert(in_main.founded && in_arena.founded);
    cr_assert_neq(in_main.empire_id, in_arena.empire_id);
    play(&main, 9, 1, 4);
    play(&arena, 9, 1, 5);
    Mmorts__World__JoinReply second;
    rig_join_seen(&main, 10, &second);
    rig_join_seen(&main, 11, &second);
    Mmorts__World__SessionInfo info;
    char reason[32];
    cr_assert_eq(rig_session(&arena, &info, reason, sizeof reason), MM_OK);
    cr_assert_eq(info.empires, 1);
    cr_assert_eq(info.max_players, 2);
    cr_assert_eq(arena.mirror->entity_end < main.mirror->entity_end, true);

    // Both are killed; what happened in between in one is nothing to the other.
    rig_kill(&arena);
    until_away(&main);
    cr_assert_eq(find(&main, "arena", rpc, sizeof rpc), MM_FAILED_PRECONDITION);
    play(&main, 9, 2, 6);
    rig_kill(&main);
    rig_start(&arena);
    rig_start(&main);
    until_listed(&main, "arena", RUNNING);
    rig_join_seen(&main, 9, &in_main);
    rig_join_seen(&arena, 9, &in_arena);
    cr_assert(!in_main.founded && !in_arena.founded);
    cr_assert_eq(in_main.last_client_seq, 2);
    cr_assert_eq(in_arena.last_client_seq, 1);

    cr_assert(rig_until_tick(&main, main.last_tick + 20, TEST_PATIENCE_MS));
    cr_assert(rig_until_tick(&arena, arena.last_tick + 20, TEST_PATIENCE_MS));

    // The bound of the one, not of the other.
    Mmorts__World__JoinReply *full;
    rig_join_seen(&arena, 10, &second);
    cr_assert_eq(rig_join(&arena, 11, &full), MM_FAILED_PRECONDITION);
    rig_free_reply(full);
    rig_join_seen(&arena, 10, &second); // who is in stays in
    rig_join_seen(&main, 12, &second);

    cr_assert_gt(tick_in_replay(&main, "main"), 10);
    cr_assert_gt(tick_in_replay(&arena, "arena"), 10);
    cr_assert_eq(rig_count_sql(&main, "SELECT COUNT(DISTINCT session) FROM journal"), 2);
    rig_close(&arena);
    rig_close(&main);
}
