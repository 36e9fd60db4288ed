// The course of one verification:
//
//   token     signature and claims, from the cache or computed; an unknown signature first asks the
//             login server for a new key (key.c), and goes on when that has settled
//   Redis     is one of the token's spellings revoked, is the player banned?
//   database  only if the player joins, or seems banned: the ban's text, or the visit recorded
//
// If Redis or the database cannot answer, nobody is let in.

#include "services/auth/auth.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/clock.h"
#include "libcommon/base/str.h"
#include "libcommon/io/db.h"
#include "libcommon/io/db_conn.h"
#include "libcommon/io/redis.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { MESSAGE_CHARS_MAX = 700 };

struct auth_verification {
    struct auth *auth;
    struct auth_verification *next, **link;
    auth_verdict_fn fn;
    void *arg;
    uint64_t started_ns;
    enum auth_occasion occasion;
    bool waits_for_key, asked_again;
    bool seems_banned; // Redis says so; the database knows
    bool is_banned;
    int64_t now_ms; // Unix time at the database's turn
    struct auth_claims claims;
    char token_hash[AUTH_HASH_CHARS + 1];
    char message[MESSAGE_CHARS_MAX];
    size_t token_chars;
    char token[AUTH_TOKEN_CHARS_MAX + 1];
};

void auth_hash_hex(const char *text, size_t bytes, char out[AUTH_HASH_CHARS + 1])
{
    uint8_t hash[SHA256_DIGEST_LENGTH];
    SHA256((const uint8_t *)text, bytes, hash);
    mm_hex_encode(hash, sizeof hash, out);
}

// --- the end -------------------------------------------------------------------------------------

static void release(struct auth_verification *work)
{
    *work->link = work->next;
    if (work->next != NULL) {
        work->next->link = work->link;
    }
    work->auth->verification_count--;
    mm_free(work);
}

static void finish(struct auth_verification *work, enum mm_err err, auth_reason reason,
                   const char *message)
{
    struct auth *auth = work->auth;
    if (err == MM_OK) {
        mm_counter_add(auth->by_reason[reason], 1);
    } else {
        mm_counter_add(auth->unavailable, 1);
    }
    mm_metrics_observe(auth->latency, (mm_clock_ns() - work->started_ns) / 1000);
    struct auth_verdict verdict = {
        .err = err,
        .reason = reason,
        .message = message,
        .claims = work->claims.user_id > 0 ? &work->claims : NULL,
        .token_hash = work->token_hash,
    };
    work->fn(auth, work->arg, &verdict);
    release(work);
}

static void finish_reason(struct auth_verification *work, auth_reason reason)
{
    finish(work, MM_OK, reason, auth_reason_message(reason));
}

static void finish_unavailable(struct auth_verification *work, const char *message)
{
    finish(work, MM_UNAVAILABLE, AUTH_REASON(OK), message);
}

// --- database ------------------------------------------------------------------------------------

static enum mm_err look_up_ban(struct mm_db_conn *conn, struct auth_verification *work)
{
    struct mm_db_rows *rows;
    enum mm_err err = mm_db_query_one(
        conn,
        "SELECT until_ms, reason FROM bans WHERE player_id = ? AND (until_ms = 0 OR until_ms > ?)",
        MM_DB_ARGS(mm_db_i64(work->claims.user_id), mm_db_i64(work->now_ms)), &rows);
    if (err == MM_NOT_FOUND) {
        return MM_OK;
    }
    if (err != MM_OK) {
        return err;
    }
    work->is_banned = true;
    int64_t until_ms = mm_db_get_i64(rows, 0);
    char until[MM_CLOCK_TEXT_BYTES + 8] = "";
    if (until_ms != 0) {
        char text[MM_CLOCK_TEXT_BYTES];
        mm_clock_format(until_ms, text);
        snprintf(until, sizeof until, " until %s", text);
    }
    const char *reason = mm_db_get_bytes(rows, 1).data;
    snprintf(work->message, sizeof work->message, "the account is banned%s%s%s", until,
             reason[0] == '\0' ? "" : ": ", reason);
    return mm_db_end(rows);
}

static enum mm_err record_visit(struct mm_db_conn *conn, const struct auth_verification *work)
{
    const struct auth_claims *claims = &work->claims;
    return mm_db_exec(
        conn,
        "INSERT INTO players (player_id, username, email, user_type, auth_method, permissions,"
        " activated, first_seen_ms, last_seen_ms, visits) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1)"
        " ON DUPLICATE KEY UPDATE username = VALUES(username), email = VALUES(email),"
        " user_type = VALUES(user_type), auth_method = VALUES(auth_method),"
        " permissions = VALUES(permissions), activated = VALUES(activated),"
        " last_seen_ms = VALUES(last_seen_ms), visits = visits + 1",
        MM_DB_ARGS(mm_db_i64(claims->user_id), mm_db_str(claims->username),
                   mm_db_str(claims->email), mm_db_str(claims->user_type),
                   mm_db_str(claims->auth_method), mm_db_i64(claims->permissions),
                   mm_db_i64(claims->activated), mm_db_i64(work->now_ms), mm_db_i64(work->now_ms)),
        NULL);
}

static enum mm_err ask_database(struct mm_db_conn *conn, void *arg)
{
    struct auth_verification *work = arg;
    work->is_banned = false;
    enum mm_err err = look_up_ban(conn, work);
    return err == MM_OK && !work->is_banned && work->occasion == AUTH_JOINING
               ? record_visit(conn, work)
               : err;
}

static void on_database(enum mm_err err, void *arg)
{
    struct auth_verification *work = arg;
    if (err != MM_OK) {
        finish_unavailable(work, "the players' database cannot be reached");
        return;
    }
    if (work->is_banned) {
        finish(work, MM_OK, AUTH_REASON(BANNED), work->message);
        return;
    }
    if (work->seems_banned) {
        // Lifted, or over: Redis did not hear of it.
        char key[AUTH_REDIS_KEY_CHARS_MAX];
        auth_banned_key((uint64_t)work->claims.user_id, key);
        (void)!mm_redis_command(mm_service_redis(work->auth->service), NULL, NULL, "DEL %s", key);
    }
    finish_reason(work, AUTH_REASON(OK));
}

static void go_to_database(struct auth_verification *work)
{
    work->now_ms = mm_clock_wall_ms();
    struct mm_db_job job = {
        .work = ask_database,
        .done = on_database,
        .arg = work,
        .deadline_ms = AUTH_DB_DEADLINE_MS,
    };
    if (mm_db_submit(mm_service_db(work->auth->service), &job) != MM_OK) {
        finish_unavailable(work, "the players' database cannot be reached");
    }
}

// --- Redis ---------------------------------------------------------------------------------------

static bool is_nil(const redisReply *reply, size_t index)
{
    return reply->element[index]->type == REDIS_REPLY_NIL;
}

static void on_redis(enum mm_err err, const redisReply *reply, void *arg)
{
    struct auth_verification *work = arg;
    // The answer counts only if Redis knew all there is to know when it gave it.
    if (err != MM_OK || reply->type != REDIS_REPLY_ARRAY || reply->elements != 3 ||
        !work->auth->revocations.is_filled) {
        finish_unavailable(work, "revocations cannot be checked");
        return;
    }
    if (!is_nil(reply, 0) || !is_nil(reply, 1)) {
        finish_reason(work, AUTH_REASON(REVOKED));
        return;
    }
    work->seems_banned = !is_nil(reply, 2);
    if (work->occasion == AUTH_JOINING || work->seems_banned) {
        go_to_database(work);
    } else {
        finish_reason(work, AUTH_REASON(OK));
    }
}

static void go_to_redis(struct auth_verification *work)
{
    struct auth *auth = work->auth;
    char canonical[AUTH_TOKEN_CHARS_MAX + 1];
    char twin[AUTH_TOKEN_CHARS_MAX + 1];
    MM_CHECK(auth_token_spellings(work->token, work->token_chars, canonical, twin));
    auth_hash_hex(canonical, work->token_chars, work->token_hash);
    char twin_hash[AUTH_HASH_CHARS + 1];
    auth_hash_hex(twin, work->token_chars, twin_hash);
    char keys[3][AUTH_REDIS_KEY_CHARS_MAX];
    auth_revoked_key(work->token_hash, keys[0]);
    auth_revoked_key(twin_hash, keys[1]);
    auth_banned_key((uint64_t)work->claims.user_id, keys[2]);
    if (!auth->revocations.is_filled ||
        mm_redis_command(mm_service_redis(auth->service), on_redis, work, "MGET %s %s %s", keys[0],
                         keys[1], keys[2]) != MM_OK) {
        finish_unavailable(work, "revocations cannot be checked");
    }
}

// --- token ---------------------------------------------------------------------------------------

static struct auth_cached *cache_slot(struct auth *auth, const uint8_t *hash)
{
    return &auth->cache[((size_t)hash[0] | (size_t)hash[1] << 8) % AUTH_CACHE_ENTRIES];
}

// Signature and claims, by the cache if it has them.
static auth_reason judge(struct auth_verification *work)
{
    struct auth *auth = work->auth;
    uint8_t hash[SHA256_DIGEST_LENGTH];
    SHA256((const uint8_t *)work->token, work->token_chars, hash);
    struct auth_cached *cached = cache_slot(auth, hash);
    if (cached->until_ms > mm_clock_ms() && memcmp(cached->hash, hash, sizeof hash) == 0) {
        mm_counter_add(auth->cache_hits, 1);
        work->claims = cached->claims;
        return auth_claims_judge(&work->claims, &auth->rules, mm_clock_wall_ms());
    }
    mm_counter_add(auth->cache_misses, 1);
    auth_reason reason = auth_token_verify(work->token, work->token_chars, &auth->rules,
                                           mm_clock_wall_ms(), auth_key_check, auth, &work->claims);
    if (reason == AUTH_REASON(OK)) {
        memcpy(cached->hash, hash, sizeof hash);
        cached->until_ms = mm_clock_ms() + (uint64_t)auth->settings.cache_ms;
        cached->claims = work->claims;
    }
    return reason;
}

static void go_on(struct auth_verification *work)
{
    struct auth *auth = work->auth;
    if (auth->key.key == NULL) {
        if (work->asked_again || !auth_key_ask_again(auth)) {
            finish_unavailable(work, "the login server's key is not known yet");
            return;
        }
        work->asked_again = true;
        work->waits_for_key = true;
        return;
    }
    auth_reason reason = judge(work);
    if (reason == AUTH_REASON(BAD_SIGNATURE) && !work->asked_again && auth_key_ask_again(auth)) {
        work->asked_again = true;
        work->waits_for_key = true;
        return;
    }
    bool stays = reason == AUTH_REASON(EXPIRED) && work->occasion == AUTH_STAYING;
    if (reason == AUTH_REASON(OK) || stays) {
        go_to_redis(work);
    } else {
        finish_reason(work, reason);
    }
}

void auth_verify(struct auth *auth, const char *token, enum auth_occasion occasion,
                 auth_verdict_fn fn, void *arg)
{
    struct auth_verdict refused = {.message = "too many tokens are being checked",
                                   .err = MM_RESOURCE_EXHAUSTED,
                                   .token_hash = ""};
    size_t chars = strlen(token);
    if (chars > AUTH_TOKEN_CHARS_MAX) {
        refused.err = MM_OK;
        refused.reason = AUTH_REASON(MALFORMED_TOKEN);
        refused.message = auth_reason_message(refused.reason);
        mm_counter_add(auth->by_reason[refused.reason], 1);
        fn(auth, arg, &refused);
        return;
    }
    struct auth_verification *work =
        auth->verification_count < AUTH_VERIFICATIONS_MAX ? mm_calloc(1, sizeof *work) : NULL;
    if (work == NULL) {
        mm_counter_add(auth->unavailable, 1);
        fn(auth, arg, &refused);
        return;
    }
    work->auth = auth;
    work->fn = fn;
    work->arg = arg;
    work->occasion = occasion;
    work->started_ns = mm_clock_ns();
    work->token_chars = chars;
    memcpy(work->token, token, chars + 1);
    work->next = auth->verifications;
    work->link = &auth->verifications;
    if (work->next != NULL) {
        work->next->link = &work->next;
    }
    auth->verifications = work;
    auth->verification_count++;
    go_on(work);
}

void auth_verify_key_settled(struct auth *auth)
{
    // Each step frees at most the one it looks at, and starts no new one.
    struct auth_verification *next;
    for (struct auth_verification *work = auth->verifications; work != NULL; work = next) {
        next = work->next;
        if (work->waits_for_key) {
            work->waits_for_key = false;
            go_on(work);
        }
    }
}

void auth_verify_forget(struct auth *auth)
{
    memset(auth->cache, 0, AUTH_CACHE_ENTRIES * sizeof *auth->cache);
}

void auth_verify_stop(struct auth *auth)
{
    while (auth->verifications != NULL) {
        finish(auth->verifications, MM_CANCELLED, AUTH_REASON(OK), "shutting down");
    }
}

// --- bearer tokens of this service's own gateway -------------------------------------------------

static void on_bearer(struct auth *auth, void *arg, const struct auth_verdict *verdict)
{
    (void)auth;
    struct mm_http_authorisation *authorisation = arg;
    if (verdict->err != MM_OK) {
        mm_http_authorise(authorisation, MM_UNAVAILABLE, verdict->message, 0, 0);
    } else if (verdict->reason != AUTH_REASON(OK)) {
        enum mm_err err =
            verdict->reason == AUTH_REASON(BANNED) ? MM_PERMISSION_DENIED : MM_UNAUTHENTICATED;
        mm_http_authorise(authorisation, err, verdict->message, 0, 0);
    } else {
        mm_http_authorise(authorisation, MM_OK, "", (uint64_t)verdict->claims->user_id,
                          (uint64_t)verdict->claims->permissions);
    }
}

void auth_verify_bearer(void *auth, struct mm_http_authorisation *authorisation, const char *bearer)
{
    auth_verify(auth, bearer, AUTH_LOOKING, on_bearer, authorisation);
}
