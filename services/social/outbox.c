#include "services/social/outbox.h"

#include <string.h>

#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/clock.h"
#include "libcommon/base/log.h"
#include "libcommon/io/db_conn.h"
#include "services/social/app.h"

// Whoever dies between a commit and its publication leaves the events in their table, where the
// next sweep of any instance finds them. How old they are is told by the database's clock, in whole
// seconds: those of instances may differ.

static const struct outbox_sql {
    const char *load, *done;
} sqls[SOCIAL_OUTBOXES] = {
    [SOCIAL_OUTBOX_GROUPS] = {"SELECT seq, event FROM group_outbox WHERE session = ? AND "
                              "created_ms < UNIX_TIMESTAMP() * 1000 - ? ORDER BY seq LIMIT ?",
                              "DELETE FROM group_outbox WHERE session = ? AND seq = ?"},
    [SOCIAL_OUTBOX_MAIL] = {"SELECT id, event FROM mail_outbox WHERE session = ? AND "
                            "created_ms < UNIX_TIMESTAMP() * 1000 - ? ORDER BY id LIMIT ?",
                            "DELETE FROM mail_outbox WHERE session = ? AND id = ?"},
};

// --- publishing ------------------------------------------------------------------------------

// Events of one commit (or found in the outbox) on their way through Redis and out of the outbox.
struct publication {
    struct social_app *app;
    enum social_outbox which;
    size_t waiting; // for Redis
    size_t published;
    uint64_t ids[SOCIAL_OUTBOX_MAX];
    bool again; // out of the outbox
};

struct publishing {
    struct publication *publication;
    uint64_t id;
};

static enum mm_err forget_published(struct mm_db_conn *conn, void *arg)
{
    const struct publication *publication = arg;
    enum mm_err err = MM_OK;
    for (size_t i = 0; err == MM_OK && i < publication->published; i++)
        err = mm_db_exec(
            conn, sqls[publication->which].done,
            MM_DB_ARGS(mm_db_str(publication->app->session), mm_db_u64(publication->ids[i])), NULL);
    return err;
}

static void publication_done(enum mm_err err, void *arg)
{
    struct publication *publication = arg;
    if (err != MM_OK && err != MM_CANCELLED)
        MM_LOG_WARN("published events stay in the outbox and go out again", "error=%s",
                    mm_err_name(err));
    if (publication->again)
        publication->app->outboxes[publication->which].busy = false;
    mm_free(publication);
}

static void one_published(struct publication *publication)
{
    if (--publication->waiting > 0)
        return;
    struct social_outbox_state *state = &publication->app->outboxes[publication->which];
    mm_counter_add(publication->again ? state->again : state->events, publication->published);
    struct mm_db_job job = {.work = forget_published, .done = publication_done, .arg = publication};
    struct mm_db *db = mm_service_db(publication->app->service); // NULL: the service is stopping
    enum mm_err err = !db                          ? MM_CANCELLED
                      : publication->published > 0 ? mm_db_submit(db, &job)
                                                   : MM_UNAVAILABLE;
    if (err != MM_OK)
        publication_done(err, publication);
}

static void on_published(enum mm_err err, const redisReply *reply, void *arg)
{
    (void)reply;
    struct publishing *one = arg;
    struct publication *publication = one->publication;
    if (err == MM_OK)
        publication->ids[publication->published++] = one->id;
    mm_free(one);
    one_published(publication);
}

static void publish(struct social_app *app, enum social_outbox which,
                    const struct social_event *events, size_t count, bool again)
{
    struct publication *publication = mm_calloc(1, sizeof *publication);
    MM_CHECK(publication && count <= SOCIAL_OUTBOX_MAX);
    *publication = (struct publication){.app = app, .which = which, .waiting = 1, .again = again};
    for (size_t i = 0; i < count; i++) {
        struct publishing *one = mm_malloc(sizeof *one);
        MM_CHECK(one);
        *one = (struct publishing){publication, events[i].id};
        publication->waiting++;
        if (mm_redis_command(app->redis, on_published, one, "PUBLISH social.events.%s %b",
                             app->session, events[i].bytes, events[i].size) != MM_OK) {
            mm_free(one);
            publication->waiting--;
        }
    }
    one_published(publication);
}

void social_outbox_publish(struct social_app *app, enum social_outbox which,
                           const struct social_event *events, size_t count)
{
    publish(app, which, events, count, false);
}

// --- what was left behind --------------------------------------------------------------------

struct look {
    struct social_app *app;
    enum social_outbox which;
    struct social_event events[SOCIAL_OUTBOX_MAX];
    size_t count;
};

static enum mm_err look_work(struct mm_db_conn *conn, void *arg)
{
    struct look *look = arg;
    struct mm_db_rows *rows;
    enum mm_err err =
        mm_db_query(conn, sqls[look->which].load,
                    MM_DB_ARGS(mm_db_str(look->app->session), mm_db_i64(SOCIAL_OUTBOX_WAIT_MS),
                               mm_db_u64(SOCIAL_OUTBOX_MAX)),
                    &rows);
    if (err != MM_OK)
        return err;
    while (look->count < SOCIAL_OUTBOX_MAX && mm_db_next(rows)) {
        struct mm_db_bytes bytes = mm_db_get_bytes(rows, 1);
        struct social_event event = {
            .id = mm_db_get_u64(rows, 0), .bytes = mm_malloc(bytes.size + 1), .size = bytes.size};
        if (!event.bytes)
            break;
        memcpy(event.bytes, bytes.data, bytes.size);
        look->events[look->count++] = event;
    }
    return mm_db_end(rows);
}

static void look_done(enum mm_err err, void *arg)
{
    struct look *look = arg;
    struct social_outbox_state *state = &look->app->outboxes[look->which];
    state->busy = false;
    if (err == MM_OK && look->count > 0) {
        state->busy = true;
        publish(look->app, look->which, look->events, look->count, true);
    }
    for (size_t i = 0; i < look->count; i++)
        mm_free(look->events[i].bytes);
    mm_free(look);
}

static void sweep(struct social_app *app, enum social_outbox which)
{
    struct social_outbox_state *state = &app->outboxes[which];
    uint64_t now_ms = mm_clock_ms();
    if (state->busy || now_ms < state->at_ms)
        return;
    struct look *look = mm_calloc(1, sizeof *look);
    if (!look)
        return;
    look->app = app;
    look->which = which;
    state->at_ms = now_ms + SOCIAL_OUTBOX_WAIT_MS;
    struct mm_db_job job = {.work = look_work, .done = look_done, .arg = look};
    state->busy = mm_db_submit(app->db, &job) == MM_OK;
    if (!state->busy)
        mm_free(look);
}

void social_outboxes_sweep(struct social_app *app)
{
    if (!mm_redis_is_up(app->redis) || !mm_db_is_up(app->db))
        return;
    for (int which = 0; which < SOCIAL_OUTBOXES; which++)
        sweep(app, (enum social_outbox)which);
}
