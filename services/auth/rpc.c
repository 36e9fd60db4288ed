// The Auth service's methods. A change is committed in the database, then put into Redis, then told
// to whoever holds live connections (channel auth.revoked), then acknowledged; every step may be
// repeated, so a caller that got an error just calls again.

#include "services/auth/auth.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/clock.h"
#include "libcommon/base/log.h"
#include "libcommon/base/str.h"
#include "libcommon/io/db.h"
#include "libcommon/io/db_conn.h"
#include "libcommon/io/redis.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static char *text(const char *value)
{
    return (char *)(uintptr_t)value; // protobuf-c's fields are not const; packing does not write
}

// --- Verify --------------------------------------------------------------------------------------

static void on_verdict(struct auth *auth, void *arg, const struct auth_verdict *verdict)
{
    (void)auth;
    struct mm_rpc_call *call = arg;
    if (verdict->err != MM_OK) {
        mm_rpc_fail(call, verdict->err, "%s", verdict->message);
        return;
    }
    Mmorts__Auth__VerifyReply reply = MMORTS__AUTH__VERIFY_REPLY__INIT;
    Mmorts__Auth__Player player = MMORTS__AUTH__PLAYER__INIT;
    reply.reason = verdict->reason;
    reply.message = text(verdict->message);
    reply.token_hash = text(verdict->token_hash);
    if (verdict->claims != NULL && verdict->reason == AUTH_REASON(OK)) {
        const struct auth_claims *claims = verdict->claims;
        player.player_id = (uint64_t)claims->user_id;
        player.username = text(claims->username);
        player.email = text(claims->email);
        player.user_type = text(claims->user_type);
        player.auth_method = text(claims->auth_method);
        player.permissions = claims->permissions;
        player.activated = claims->activated;
        reply.player = &player;
        reply.expires_at_ms = claims->expires_at_s * 1000;
    }
    mm_rpc_reply(call, &reply.base);
}

static void auth_rpc_verify(Mmorts__Auth__Auth_Service *service,
                            const Mmorts__Auth__VerifyRequest *input,
                            Mmorts__Auth__VerifyReply_Closure closure, void *closure_data)
{
    (void)service;
    (void)closure;
    struct mm_rpc_call *call = closure_data;
    enum auth_occasion occasion = input->joining   ? AUTH_JOINING
                                  : input->entered ? AUTH_STAYING
                                                   : AUTH_LOOKING;
    auth_verify(mm_rpc_call_context(call), input->token, occasion, on_verdict, call);
}

// --- changes -------------------------------------------------------------------------------------

// At least: processes that are cut off from Redis ask when they are back.
#define REVOKED_KEPT_MS (INT64_C(60) * 60 * 1000)

enum change_kind { CHANGE_REVOKE, CHANGE_BAN, CHANGE_UNBAN };

struct change {
    enum change_kind kind;
    struct auth *auth;
    struct mm_rpc_call *call;
    int64_t now_ms;
    int64_t until_ms; // of a ban (0 = for ever), or the token's end
    uint64_t player_id, by;
    char token_hash[AUTH_HASH_CHARS + 1];
    char reason[4 * AUTH_BAN_REASON_CHARS_MAX + 1];
};

static void end_change(struct change *change, enum mm_err err)
{
    struct mm_rpc_call *call = change->call;
    if (err != MM_OK) {
        mm_rpc_fail(call, err == MM_CANCELLED ? err : MM_UNAVAILABLE,
                    "the change could not be completed; repeat it");
    } else if (change->kind == CHANGE_REVOKE) {
        MM_LOG_INFO("token revoked", "hash=%s", change->token_hash);
        Mmorts__Auth__RevokeReply reply = MMORTS__AUTH__REVOKE_REPLY__INIT;
        reply.token_hash = change->token_hash;
        mm_rpc_reply(call, &reply.base);
    } else if (change->kind == CHANGE_BAN) {
        MM_LOG_INFO("player banned", "player=%" PRIu64 " until_ms=%" PRId64 " by=%" PRIu64,
                    change->player_id, change->until_ms, change->by);
        Mmorts__Auth__BanReply reply = MMORTS__AUTH__BAN_REPLY__INIT;
        mm_rpc_reply(call, &reply.base);
    } else {
        MM_LOG_INFO("ban lifted", "player=%" PRIu64 " by=%" PRIu64, change->player_id, change->by);
        Mmorts__Auth__UnbanReply reply = MMORTS__AUTH__UNBAN_REPLY__INIT;
        mm_rpc_reply(call, &reply.base);
    }
    mm_free(change);
}

static void on_published(enum mm_err err, const redisReply *reply, void *arg)
{
    (void)reply;
    end_change(arg, err);
}

static void publish(struct change *change)
{
    Mmorts__Auth__Revoked event = MMORTS__AUTH__REVOKED__INIT;
    event.token_hash = change->token_hash;
    event.player_id = change->player_id;
    event.reason = change->kind == CHANGE_BAN ? AUTH_REASON(BANNED) : AUTH_REASON(REVOKED);
    enum mm_err err = auth_events_publish(change->auth, &event, on_published, change);
    if (err != MM_OK) {
        end_change(change, err);
    }
}

static void on_stored(enum mm_err err, const redisReply *reply, void *arg)
{
    (void)reply;
    struct change *change = arg;
    if (err == MM_OK && change->kind == CHANGE_UNBAN) {
        auth_events_forget_bans(change->auth, change->player_id);
    }
    if (err != MM_OK || change->kind == CHANGE_UNBAN) {
        end_change(change, err);
    } else {
        publish(change);
    }
}

static void on_committed(enum mm_err err, void *arg)
{
    struct change *change = arg;
    struct mm_redis *redis = mm_service_redis(change->auth->service);
    if (err != MM_OK || redis == NULL) {
        end_change(change, err != MM_OK ? err : MM_CANCELLED);
        return;
    }
    char key[AUTH_REDIS_KEY_CHARS_MAX];
    if (change->kind == CHANGE_REVOKE) {
        auth_revoked_key(change->token_hash, key);
    } else {
        auth_banned_key(change->player_id, key);
    }
    if (change->kind == CHANGE_UNBAN) {
        err = mm_redis_command(redis, on_stored, change, "DEL %s", key);
    } else if (change->until_ms == 0) {
        err = mm_redis_command(redis, on_stored, change, "SET %s 1", key);
    } else {
        err = mm_redis_command(redis, on_stored, change, "SET %s 1 PXAT %lld", key,
                               (long long)change->until_ms);
    }
    if (err != MM_OK) {
        end_change(change, err);
    }
}

static enum mm_err commit(struct mm_db_conn *conn, void *arg)
{
    const struct change *change = arg;
    switch (change->kind) {
    case CHANGE_REVOKE:
        return mm_db_exec(conn,
                          "INSERT INTO revocations (token_hash, expires_at_ms, revoked_ms)"
                          " VALUES (UNHEX(?), ?, ?) ON DUPLICATE KEY UPDATE"
                          " expires_at_ms = GREATEST(expires_at_ms, VALUES(expires_at_ms))",
                          MM_DB_ARGS(mm_db_str(change->token_hash), mm_db_i64(change->until_ms),
                                     mm_db_i64(change->now_ms)),
                          NULL);
    case CHANGE_BAN:
        return mm_db_exec(conn,
                          "INSERT INTO bans (player_id, until_ms, reason, banned_ms, banned_by)"
                          " VALUES (?, ?, ?, ?, ?) ON DUPLICATE KEY UPDATE"
                          " until_ms = VALUES(until_ms), reason = VALUES(reason),"
                          " banned_ms = VALUES(banned_ms), banned_by = VALUES(banned_by)",
                          MM_DB_ARGS(mm_db_u64(change->player_id), mm_db_i64(change->until_ms),
                                     mm_db_str(change->reason), mm_db_i64(change->now_ms),
                                     mm_db_u64(change->by)),
                          NULL);
    case CHANGE_UNBAN:
        return mm_db_exec(conn, "DELETE FROM bans WHERE player_id = ?",
                          MM_DB_ARGS(mm_db_u64(change->player_id)), NULL);
    }
    return MM_INTERNAL;
}

static struct change *make_change(struct mm_rpc_call *call, enum change_kind kind)
{
    struct change *change = mm_calloc(1, sizeof *change);
    if (change == NULL) {
        mm_rpc_fail(call, MM_RESOURCE_EXHAUSTED, "out of memory");
        return NULL;
    }
    change->kind = kind;
    change->auth = mm_rpc_call_context(call);
    change->call = call;
    change->now_ms = mm_clock_wall_ms();
    change->by = mm_rpc_call_caller(call)->player_id;
    return change;
}

static void begin_change(struct change *change)
{
    struct auth *auth = change->auth;
    // Looked at first, so that a change is not begun whose live connections could not be closed.
    if (!auth->revocations.is_filled) {
        end_change(change, MM_UNAVAILABLE);
        return;
    }
    // One lane for each player's bans: the last one asked for is the one that stays.
    struct mm_db_job job = {
        .work = commit,
        .done = on_committed,
        .arg = change,
        .lane = change->player_id,
        .deadline_ms = AUTH_DB_DEADLINE_MS,
    };
    enum mm_err err = mm_db_submit(mm_service_db(auth->service), &job);
    if (err != MM_OK) {
        end_change(change, err);
    }
}

static void auth_rpc_revoke(Mmorts__Auth__Auth_Service *service,
                            const Mmorts__Auth__RevokeRequest *input,
                            Mmorts__Auth__RevokeReply_Closure closure, void *closure_data)
{
    (void)service;
    (void)closure;
    struct mm_rpc_call *call = closure_data;
    struct auth *auth = mm_rpc_call_context(call);
    if (auth->key.key == NULL) {
        mm_rpc_fail(call, MM_UNAVAILABLE, "the login server's key is not known yet");
        return;
    }
    size_t chars = strlen(input->token);
    int64_t now_ms = mm_clock_wall_ms();
    struct auth_claims claims;
    auth_reason reason =
        auth_token_verify(input->token, chars, &auth->rules, now_ms, auth_key_check, auth, &claims);
    bool is_ours = reason == AUTH_REASON(OK) || reason == AUTH_REASON(EXPIRED) ||
                   reason == AUTH_REASON(NOT_YET_VALID) || reason == AUTH_REASON(NOT_ACTIVATED) ||
                   reason == AUTH_REASON(BANNED);
    if (!is_ours) {
        mm_rpc_fail(call, MM_INVALID_ARGUMENT, "%s", auth_reason_message(reason));
        return;
    }
    char canonical[AUTH_TOKEN_CHARS_MAX + 1];
    char twin[AUTH_TOKEN_CHARS_MAX + 1];
    char token_hash[AUTH_HASH_CHARS + 1];
    (void)auth_token_spellings(input->token, chars, canonical, twin);
    auth_hash_hex(canonical, chars, token_hash);
    struct change *change = make_change(call, CHANGE_REVOKE);
    if (change == NULL) {
        return;
    }
    // It passes until its end and the leeway after it, so it is remembered that long; and for as
    // long as somebody whom it let in may play on without having heard of this.
    change->until_ms = claims.expires_at_s * 1000 + auth->settings.leeway_ms + 1000;
    if (change->until_ms < now_ms + REVOKED_KEPT_MS)
        change->until_ms = now_ms + REVOKED_KEPT_MS;
    (void)mm_str_copy(change->token_hash, sizeof change->token_hash, token_hash);
    begin_change(change);
}

static void auth_rpc_ban(Mmorts__Auth__Auth_Service *service, const Mmorts__Auth__BanRequest *input,
                         Mmorts__Auth__BanReply_Closure closure, void *closure_data)
{
    (void)service;
    (void)closure;
    struct mm_rpc_call *call = closure_data;
    size_t reason_chars = mm_utf8_count(input->reason, strlen(input->reason));
    if (input->player_id == 0 || input->player_id > INT64_MAX) {
        mm_rpc_fail(call, MM_INVALID_ARGUMENT, "player_id is missing or no player's");
    } else if (input->until_ms != 0 && input->until_ms <= mm_clock_wall_ms()) {
        mm_rpc_fail(call, MM_INVALID_ARGUMENT, "until_ms is in the past");
    } else if (reason_chars > AUTH_BAN_REASON_CHARS_MAX) {
        mm_rpc_fail(call, MM_INVALID_ARGUMENT, "reason is longer than %d characters",
                    AUTH_BAN_REASON_CHARS_MAX);
    } else {
        struct change *change = make_change(call, CHANGE_BAN);
        if (change != NULL) {
            change->player_id = input->player_id;
            change->until_ms = input->until_ms;
            (void)mm_str_copy(change->reason, sizeof change->reason, input->reason);
            begin_change(change);
        }
    }
}

static void auth_rpc_unban(Mmorts__Auth__Auth_Service *service,
                           const Mmorts__Auth__UnbanRequest *input,
                           Mmorts__Auth__UnbanReply_Closure closure, void *closure_data)
{
    (void)service;
    (void)closure;
    struct mm_rpc_call *call = closure_data;
    if (input->player_id == 0) {
        mm_rpc_fail(call, MM_INVALID_ARGUMENT, "player_id is missing");
        return;
    }
    struct change *change = make_change(call, CHANGE_UNBAN);
    if (change != NULL) {
        change->player_id = input->player_id;
        begin_change(change);
    }
}

// --- GetPlayer -----------------------------------------------------------------------------------

struct player_query {
    struct mm_rpc_call *call;
    uint64_t player_id;
    int64_t now_ms;
    char username[AUTH_USERNAME_BYTES_MAX + 1];
    char email[AUTH_EMAIL_BYTES_MAX + 1];
    char user_type[AUTH_WORD_BYTES_MAX + 1];
    char auth_method[AUTH_WORD_BYTES_MAX + 1];
    char ban_reason[4 * AUTH_BAN_REASON_CHARS_MAX + 1];
    int64_t permissions, activated, first_seen_ms, last_seen_ms, banned_until_ms;
    bool is_banned;
};

static void copy_column(struct mm_db_rows *rows, unsigned column, char *out, size_t out_bytes)
{
    struct mm_db_bytes bytes = mm_db_get_bytes(rows, column);
    (void)mm_str_copy_n(out, out_bytes, bytes.data == NULL ? "" : bytes.data, bytes.size);
}

static enum mm_err load_player(struct mm_db_conn *conn, void *arg)
{
    struct player_query *query = arg;
    struct mm_db_rows *rows;
    enum mm_err err = mm_db_query_one(
        conn,
        "SELECT username, email, user_type, auth_method, permissions, activated, first_seen_ms,"
        " last_seen_ms, until_ms, reason FROM players LEFT JOIN bans"
        " ON bans.player_id = players.player_id AND (until_ms = 0 OR until_ms > ?)"
        " WHERE players.player_id = ?",
        MM_DB_ARGS(mm_db_i64(query->now_ms), mm_db_u64(query->player_id)), &rows);
    if (err != MM_OK) {
        return err;
    }
    copy_column(rows, 0, query->username, sizeof query->username);
    copy_column(rows, 1, query->email, sizeof query->email);
    copy_column(rows, 2, query->user_type, sizeof query->user_type);
    copy_column(rows, 3, query->auth_method, sizeof query->auth_method);
    query->permissions = mm_db_get_i64(rows, 4);
    query->activated = mm_db_get_i64(rows, 5);
    query->first_seen_ms = mm_db_get_i64(rows, 6);
    query->last_seen_ms = mm_db_get_i64(rows, 7);
    query->is_banned = !mm_db_get_is_null(rows, 8);
    query->banned_until_ms = mm_db_get_i64(rows, 8);
    copy_column(rows, 9, query->ban_reason, sizeof query->ban_reason);
    return mm_db_end(rows);
}

static void on_player(enum mm_err err, void *arg)
{
    struct player_query *query = arg;
    if (err == MM_NOT_FOUND) {
        mm_rpc_fail(query->call, MM_NOT_FOUND, "no player %" PRIu64 " has been here",
                    query->player_id);
    } else if (err != MM_OK) {
        mm_rpc_fail(query->call, MM_UNAVAILABLE, "the players' database cannot be reached");
    } else {
        Mmorts__Auth__Player player = MMORTS__AUTH__PLAYER__INIT;
        player.player_id = query->player_id;
        player.username = query->username;
        player.email = query->email;
        player.user_type = query->user_type;
        player.auth_method = query->auth_method;
        player.permissions = query->permissions;
        player.activated = query->activated;
        player.first_seen_ms = query->first_seen_ms;
        player.last_seen_ms = query->last_seen_ms;
        Mmorts__Auth__GetPlayerReply reply = MMORTS__AUTH__GET_PLAYER_REPLY__INIT;
        reply.player = &player;
        reply.banned = query->is_banned;
        reply.banned_until_ms = query->banned_until_ms;
        reply.ban_reason = query->ban_reason;
        mm_rpc_reply(query->call, &reply.base);
    }
    mm_free(query);
}

static void auth_rpc_get_player(Mmorts__Auth__Auth_Service *service,
                                const Mmorts__Auth__GetPlayerRequest *input,
                                Mmorts__Auth__GetPlayerReply_Closure closure, void *closure_data)
{
    (void)service;
    (void)closure;
    struct mm_rpc_call *call = closure_data;
    struct auth *auth = mm_rpc_call_context(call);
    struct player_query *query = mm_calloc(1, sizeof *query);
    if (query == NULL) {
        mm_rpc_fail(call, MM_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    query->call = call;
    query->player_id = input->player_id;
    query->now_ms = mm_clock_wall_ms();
    struct mm_db_job job = {
        .work = load_player, .done = on_player, .arg = query, .deadline_ms = AUTH_DB_DEADLINE_MS};
    enum mm_err err = mm_db_submit(mm_service_db(auth->service), &job);
    if (err != MM_OK) {
        on_player(err, query);
    }
}

// --- registration --------------------------------------------------------------------------------

void auth_rpc_register(struct auth *auth)
{
    static Mmorts__Auth__Auth_Service service = MMORTS__AUTH__AUTH__INIT(auth_rpc_);
    static const struct mm_rpc_policy policies[] = {
        // Whoever holds a token may ask about it, and may end it.
        {.method = "Verify", .permission = MM_RPC_PUBLIC, .idempotent = true},
        {.method = "Revoke", .permission = MM_RPC_PUBLIC, .mutating = true, .idempotent = true},
        {.method = "Ban",
         .permission = MMORTS__AUTH__PERMISSION__PERMISSION_MODERATE,
         .mutating = true,
         .idempotent = true},
        {.method = "Unban",
         .permission = MMORTS__AUTH__PERMISSION__PERMISSION_MODERATE,
         .mutating = true,
         .idempotent = true},
        {.method = "GetPlayer",
         .permission = MMORTS__AUTH__PERMISSION__PERMISSION_MODERATE |
                       MMORTS__AUTH__PERMISSION__PERMISSION_OPERATE,
         .idempotent = true},
    };
    mm_rpc_server_register(mm_service_rpc_server(auth->service), &service.base, auth, policies,
                           sizeof policies / sizeof policies[0]);
}
