// Revocations and bans as Redis holds them. The database is where they are kept; Redis answers the
// look-ups, and may come back empty. So whenever it comes, it is filled from the database, page by
// page, and until that is done its silence is not believed.

#include "services/auth/auth.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/clock.h"
#include "libcommon/base/log.h"
#include "libcommon/base/str.h"
#include "libcommon/io/db.h"
#include "libcommon/io/db_conn.h"
#include "libcommon/io/redis.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    FILL_ROWS = 1000, // of one page; well below the commands Redis may owe us
    FILL_RETRY_MS = 500,
    PURGE_FIRST_MS = 60000,
    PURGE_EVERY_MS = 3600000,
};

enum fill_stage { FILL_REVOCATIONS, FILL_BANS, FILL_DONE };

// One page: rows from the database, then commands to Redis.
struct auth_fill_page {
    struct auth *auth;
    uint64_t generation;
    enum fill_stage stage;
    char cursor[AUTH_HASH_CHARS + 1];
    int64_t now_ms;
    size_t row_count, replies_pending;
    bool failed;
    struct {
        char name[AUTH_HASH_CHARS + 1]; // token hash in hex, or player id
        int64_t until_ms;               // 0 = for ever
    } rows[FILL_ROWS];
};

void auth_revoked_key(const char *token_hash, char out[AUTH_REDIS_KEY_CHARS_MAX])
{
    snprintf(out, AUTH_REDIS_KEY_CHARS_MAX, "blacklist:%s", token_hash);
}

void auth_banned_key(uint64_t player_id, char out[AUTH_REDIS_KEY_CHARS_MAX])
{
    snprintf(out, AUTH_REDIS_KEY_CHARS_MAX, "banned:%" PRIu64, player_id);
}

static void fill_next_page(struct auth *auth);

static void retry_later(struct auth *auth)
{
    mm_loop_timer_start(mm_service_loop(auth->service), &auth->revocations.retry_timer,
                        MM_LOOP_MS(FILL_RETRY_MS), 0);
}

// --- from the database ---------------------------------------------------------------------------

static enum mm_err load_page(struct mm_db_conn *conn, void *arg)
{
    struct auth_fill_page *page = arg;
    struct mm_db_rows *rows;
    enum mm_err err =
        page->stage == FILL_REVOCATIONS
            ? mm_db_query(conn,
                          "SELECT LOWER(HEX(token_hash)), expires_at_ms FROM revocations"
                          " WHERE token_hash > UNHEX(?) AND expires_at_ms > ?"
                          " ORDER BY token_hash LIMIT 1000",
                          MM_DB_ARGS(mm_db_str(page->cursor), mm_db_i64(page->now_ms)), &rows)
            : mm_db_query(conn,
                          "SELECT CAST(player_id AS CHAR), until_ms FROM bans"
                          " WHERE player_id > CAST(? AS UNSIGNED)"
                          " AND (until_ms = 0 OR until_ms > ?) ORDER BY bans.player_id LIMIT 1000",
                          MM_DB_ARGS(mm_db_str(page->cursor[0] == '\0' ? "0" : page->cursor),
                                     mm_db_i64(page->now_ms)),
                          &rows);
    if (err != MM_OK) {
        return err;
    }
    while (page->row_count < FILL_ROWS && mm_db_next(rows)) {
        (void)mm_str_copy(page->rows[page->row_count].name, sizeof page->rows[0].name,
                          mm_db_get_bytes(rows, 0).data);
        page->rows[page->row_count++].until_ms = mm_db_get_i64(rows, 1);
    }
    return mm_db_end(rows);
}

// --- to Redis ------------------------------------------------------------------------------------

static void end_page(struct auth_fill_page *page)
{
    struct auth *auth = page->auth;
    struct auth_revocations *own = &auth->revocations;
    bool is_current = page->generation == own->fill_generation;
    bool failed = page->failed;
    if (!failed && page->row_count > 0) {
        (void)mm_str_copy(own->fill_cursor, sizeof own->fill_cursor,
                          page->rows[page->row_count - 1].name);
    }
    if (!failed && page->row_count < FILL_ROWS) {
        own->fill_stage = (int)page->stage + 1;
        own->fill_cursor[0] = '\0';
    }
    own->page = NULL;
    mm_free(page);
    if (mm_service_redis(auth->service) == NULL) {
        return; // the service is stopping
    }
    if (!is_current) { // Redis went, and may have come: from the beginning
        own->fill_stage = FILL_REVOCATIONS;
        own->fill_cursor[0] = '\0';
    }
    if (failed) {
        retry_later(auth);
    } else {
        fill_next_page(auth);
    }
}

static void on_set(enum mm_err err, const redisReply *reply, void *arg)
{
    (void)reply;
    struct auth_fill_page *page = arg;
    page->failed = page->failed || err != MM_OK;
    if (--page->replies_pending == 0) {
        end_page(page);
    }
}

static enum mm_err send_row(struct auth_fill_page *page, size_t index)
{
    struct mm_redis *redis = mm_service_redis(page->auth->service);
    char key[AUTH_REDIS_KEY_CHARS_MAX];
    const char *name = page->rows[index].name;
    if (page->stage == FILL_REVOCATIONS) {
        auth_revoked_key(name, key);
    } else {
        snprintf(key, sizeof key, "banned:%s", name);
    }
    int64_t until_ms = page->rows[index].until_ms;
    if (until_ms == 0) {
        return mm_redis_command(redis, on_set, page, "SET %s 1", key);
    }
    return mm_redis_command(redis, on_set, page, "SET %s 1 PXAT %lld", key, (long long)until_ms);
}

static void on_page(enum mm_err err, void *arg)
{
    struct auth_fill_page *page = arg;
    page->failed = err != MM_OK;
    // One reply more than commands, so that the page cannot end while it is being sent.
    page->replies_pending = 1;
    for (size_t i = 0; !page->failed && i < page->row_count; i++) {
        if (mm_service_redis(page->auth->service) == NULL || send_row(page, i) != MM_OK) {
            page->failed = true;
        } else {
            page->replies_pending++;
        }
    }
    if (--page->replies_pending == 0) {
        end_page(page);
    }
}

static void finish_fill(struct auth *auth)
{
    auth->revocations.is_filled = true;
    mm_service_condition_set(auth->service, auth->revocations.condition, true);
    MM_LOG_INFO("revocations and bans are in Redis");
}

static void fill_next_page(struct auth *auth)
{
    struct auth_revocations *own = &auth->revocations;
    if (own->page != NULL || own->is_filled || !mm_redis_is_up(mm_service_redis(auth->service))) {
        return;
    }
    if (own->fill_stage == FILL_DONE) {
        finish_fill(auth);
        return;
    }
    struct auth_fill_page *page = mm_calloc(1, sizeof *page);
    if (page == NULL) {
        retry_later(auth);
        return;
    }
    page->auth = auth;
    page->generation = own->fill_generation;
    page->stage = (enum fill_stage)own->fill_stage;
    page->now_ms = mm_clock_wall_ms();
    (void)mm_str_copy(page->cursor, sizeof page->cursor, own->fill_cursor);
    own->page = page;
    struct mm_db_job job = {
        .work = load_page, .done = on_page, .arg = page, .deadline_ms = AUTH_DB_DEADLINE_MS};
    if (mm_db_submit(mm_service_db(auth->service), &job) != MM_OK) {
        own->page = NULL;
        mm_free(page);
        retry_later(auth);
    }
}

static void on_retry(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop;
    (void)timer;
    fill_next_page(arg);
}

static void on_redis_state(bool is_up, void *arg)
{
    struct auth *auth = arg;
    struct auth_revocations *own = &auth->revocations;
    own->fill_generation++;
    own->is_filled = false;
    mm_service_condition_set(auth->service, own->condition, false);
    if (own->page == NULL) {
        own->fill_stage = FILL_REVOCATIONS;
        own->fill_cursor[0] = '\0';
    }
    if (is_up) {
        fill_next_page(auth);
    }
}

// --- rows that have had their time ---------------------------------------------------------------

static enum mm_err purge_rows(struct mm_db_conn *conn, void *arg)
{
    (void)arg;
    int64_t now_ms = mm_clock_wall_ms();
    enum mm_err err =
        mm_db_exec(conn, "DELETE FROM revocations WHERE expires_at_ms <= ? LIMIT 10000",
                   MM_DB_ARGS(mm_db_i64(now_ms)), NULL);
    return err != MM_OK
               ? err
               : mm_db_exec(conn,
                            "DELETE FROM bans WHERE until_ms <> 0 AND until_ms <= ? LIMIT 10000",
                            MM_DB_ARGS(mm_db_i64(now_ms)), NULL);
}

static void purge(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop;
    (void)timer;
    struct auth *auth = arg;
    struct mm_db_job job = {.work = purge_rows, .deadline_ms = AUTH_DB_DEADLINE_MS};
    if (mm_db_submit(mm_service_db(auth->service), &job) != MM_OK) {
        MM_LOG_WARN("cannot purge old revocations");
    }
}

void auth_revocations_start(struct auth *auth)
{
    struct auth_revocations *own = &auth->revocations;
    struct mm_loop *loop = mm_service_loop(auth->service);
    own->condition = mm_service_condition_add(auth->service, "revocations in Redis");
    mm_loop_timer_init(&own->retry_timer, on_retry, auth);
    mm_loop_timer_init(&own->purge_timer, purge, auth);
    mm_loop_timer_start(loop, &own->purge_timer, MM_LOOP_MS(PURGE_FIRST_MS),
                        MM_LOOP_MS(PURGE_EVERY_MS));
    mm_service_on_redis(auth->service, on_redis_state, auth);
    fill_next_page(auth);
}

void auth_revocations_stop(struct auth *auth)
{
    struct mm_loop *loop = mm_service_loop(auth->service);
    mm_loop_timer_stop(loop, &auth->revocations.retry_timer);
    mm_loop_timer_stop(loop, &auth->revocations.purge_timer);
    MM_CHECK(auth->revocations.page == NULL); // its job and commands have ended with their stores
}
