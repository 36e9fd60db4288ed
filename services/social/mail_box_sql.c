#include <string.h>

#include "libcommon/base/alloc.h"
#include "libcommon/base/str.h"
#include "libcommon/io/db_conn.h"
#include "services/social/mail.h"

// Reading and deleting mail, in MariaDB; everything here runs on a database worker's thread. A
// mailbox is locked while it is looked at: what is told of it was true at one moment.

#define ROW_COLUMNS                                                                                \
    "c.number, c.is_read, m.from_player, m.from_username, m.from_display_id, m.group_id, "         \
    "m.group_name, m.subject, m.sent_ms"

void social_mailbox_job_clear(struct social_mailbox_job *job)
{
    for (size_t i = 0; i < job->row_count; i++) {
        mm_free(job->rows[i].subject);
        mm_free(job->rows[i].body);
    }
    job->row_count = 0;
    job->box = (struct social_mailbox){0};
    job->changed = job->more = false;
    job->deleted = 0;
}

static char *copy_bytes(struct mm_db_bytes bytes)
{
    char *copy = mm_malloc(bytes.size + 1);
    if (!copy)
        return NULL;
    memcpy(copy, bytes.size > 0 ? bytes.data : "", bytes.size);
    copy[bytes.size] = '\0';
    return copy;
}

static bool take_row(struct social_mailbox_job *job, struct mm_db_rows *rows, bool with_body)
{
    struct social_mail_row *row = &job->rows[job->row_count++];
    *row = (struct social_mail_row){.number = mm_db_get_u64(rows, 0),
                                    .read = mm_db_get_u32(rows, 1) != 0,
                                    .from.id = mm_db_get_u64(rows, 2),
                                    .group_id = mm_db_get_u64(rows, 5),
                                    .sent_ms = mm_db_get_i64(rows, 8)};
    (void)mm_str_copy(row->from.username, sizeof row->from.username, mm_db_get_bytes(rows, 3).data);
    (void)mm_str_copy(row->from.display_id, sizeof row->from.display_id,
                      mm_db_get_bytes(rows, 4).data);
    (void)mm_str_copy(row->group_name, sizeof row->group_name, mm_db_get_bytes(rows, 6).data);
    row->subject = copy_bytes(mm_db_get_bytes(rows, 7));
    row->body = with_body ? copy_bytes(mm_db_get_bytes(rows, 9)) : NULL;
    return row->subject && (row->body || !with_body);
}

// The player's mailbox, locked. A player without mail may have none: then it is empty, and
// NOT_FOUND.
static enum mm_err lock(struct mm_db_conn *conn, struct social_mailbox_job *job)
{
    social_mailbox_job_clear(job);
    return social_sql_mailbox_lock(conn, job->app->session, job->player_id, false, &job->box);
}

static enum mm_err list(struct mm_db_conn *conn, void *arg)
{
    struct social_mailbox_job *job = arg;
    enum mm_err err = lock(conn, job);
    if (err != MM_OK || job->limit == 0)
        return err == MM_NOT_FOUND ? MM_OK : err;
    struct mm_db_rows *rows;
    err = mm_db_query(
        conn,
        "SELECT " ROW_COLUMNS " FROM mail_copies c JOIN mails m ON m.id = c.mail_id "
        "WHERE c.session = ? AND c.player_id = ? AND c.number < ? ORDER BY c.number DESC LIMIT ?",
        MM_DB_ARGS(mm_db_str(job->app->session), mm_db_u64(job->player_id),
                   mm_db_u64(job->number ? job->number : UINT64_MAX), mm_db_u64(job->limit + 1)),
        &rows);
    if (err != MM_OK)
        return err;
    bool room = true;
    while (room && mm_db_next(rows)) {
        job->more = job->row_count == job->limit;
        if (job->more)
            break;
        room = take_row(job, rows, false);
    }
    err = mm_db_end(rows);
    return err == MM_OK && !room ? MM_RESOURCE_EXHAUSTED : err;
}

enum mm_err social_sql_mail_list(struct mm_db_conn *conn, void *arg)
{
    return mm_db_transaction(conn, list, arg);
}

static enum mm_err read_one(struct mm_db_conn *conn, void *arg)
{
    struct social_mailbox_job *job = arg;
    enum mm_err err = lock(conn, job);
    struct mm_db_rows *rows;
    if (err == MM_OK)
        err = mm_db_query_one(conn,
                              "SELECT " ROW_COLUMNS ", m.body FROM mail_copies c "
                              "JOIN mails m ON m.id = c.mail_id "
                              "WHERE c.session = ? AND c.player_id = ? AND c.number = ?",
                              MM_DB_ARGS(mm_db_str(job->app->session), mm_db_u64(job->player_id),
                                         mm_db_u64(job->number)),
                              &rows);
    if (err != MM_OK)
        return err == MM_NOT_FOUND ? MM_OK : err;
    bool room = take_row(job, rows, true);
    err = mm_db_end(rows);
    if (err == MM_OK && !room)
        err = MM_RESOURCE_EXHAUSTED;
    if (err != MM_OK || job->rows[0].read)
        return err;
    social_mailbox_read(&job->box);
    job->rows[0].read = job->changed = true;
    err = mm_db_exec(
        conn,
        "UPDATE mail_copies SET is_read = 1 "
        "WHERE session = ? AND player_id = ? AND number = ?",
        MM_DB_ARGS(mm_db_str(job->app->session), mm_db_u64(job->player_id), mm_db_u64(job->number)),
        NULL);
    return err == MM_OK
               ? social_sql_mailbox_store(conn, job->app->session, job->player_id, &job->box)
               : err;
}

enum mm_err social_sql_mail_read(struct mm_db_conn *conn, void *arg)
{
    return mm_db_transaction(conn, read_one, arg);
}

// Takes one mail out of the mailbox, if it is there.
static enum mm_err delete_one(struct mm_db_conn *conn, const char *session, uint64_t player_id,
                              uint64_t number, struct social_mailbox *box, uint32_t *deleted)
{
    struct mm_db_rows *rows;
    enum mm_err err = mm_db_query_one(
        conn,
        "SELECT mail_id, is_read FROM mail_copies WHERE session = ? AND player_id = ? "
        "AND number = ?",
        MM_DB_ARGS(mm_db_str(session), mm_db_u64(player_id), mm_db_u64(number)), &rows);
    if (err != MM_OK)
        return err == MM_NOT_FOUND ? MM_OK : err;
    uint64_t mail_id = mm_db_get_u64(rows, 0);
    bool was_read = mm_db_get_u32(rows, 1) != 0;
    err = mm_db_end(rows);
    if (err == MM_OK)
        err = social_sql_mail_copy_delete(conn, session, player_id, number, mail_id);
    if (err != MM_OK)
        return err;
    social_mailbox_drop(box, was_read);
    ++*deleted;
    return MM_OK;
}

static enum mm_err delete_some(struct mm_db_conn *conn, void *arg)
{
    struct social_mailbox_job *job = arg;
    enum mm_err err = lock(conn, job);
    for (size_t i = 0; err == MM_OK && i < job->number_count; i++)
        err = delete_one(conn, job->app->session, job->player_id, job->numbers[i], &job->box,
                         &job->deleted);
    if (err != MM_OK)
        return err == MM_NOT_FOUND ? MM_OK : err;
    job->changed = job->deleted > 0;
    return job->changed
               ? social_sql_mailbox_store(conn, job->app->session, job->player_id, &job->box)
               : MM_OK;
}

enum mm_err social_sql_mail_delete(struct mm_db_conn *conn, void *arg)
{
    return mm_db_transaction(conn, delete_some, arg);
}

// --- what is too old ---------------------------------------------------------------------------

struct old_mail {
    struct social_app *app;
    uint64_t id;
};

struct old_copy {
    uint64_t player_id, number;
};

// One mail with all its copies, in a transaction.
static enum mm_err expire_one(struct mm_db_conn *conn, void *arg)
{
    const struct old_mail *mail = arg;
    const char *session = mail->app->session;
    struct {
        MM_VEC(struct old_copy);
    } copies;
    mm_vec_init(&copies, SOCIAL_GROUP_MEMBERS_MAX);
    struct mm_db_rows *rows;
    enum mm_err err = mm_db_query(
        conn, "SELECT player_id, number FROM mail_copies WHERE mail_id = ? ORDER BY player_id",
        MM_DB_ARGS(mm_db_u64(mail->id)), &rows);
    if (err != MM_OK)
        return err;
    bool room = true;
    while (room && mm_db_next(rows)) {
        struct old_copy copy = {mm_db_get_u64(rows, 0), mm_db_get_u64(rows, 1)};
        room = mm_vec_push(&copies, copy);
    }
    err = mm_db_end(rows);
    if (err == MM_OK && !room)
        err = MM_RESOURCE_EXHAUSTED;
    for (size_t i = 0; err == MM_OK && i < copies.count; i++) {
        struct social_mailbox box;
        uint32_t deleted = 0;
        uint64_t player_id = copies.items[i].player_id;
        err = social_sql_mailbox_lock(conn, session, player_id, true, &box);
        if (err == MM_OK)
            err = delete_one(conn, session, player_id, copies.items[i].number, &box, &deleted);
        if (err == MM_OK && deleted > 0)
            err = social_sql_mailbox_store(conn, session, player_id, &box);
    }
    mm_vec_free(&copies);
    return err == MM_OK ? mm_db_exec(conn, "DELETE FROM mails WHERE id = ?",
                                     MM_DB_ARGS(mm_db_u64(mail->id)), NULL)
                        : err;
}

static enum mm_err find_old(struct mm_db_conn *conn, const char *session, const char *sql,
                            int64_t before_ms, uint64_t *ids, size_t *count)
{
    struct mm_db_rows *rows;
    enum mm_err err = mm_db_query(
        conn, sql,
        MM_DB_ARGS(mm_db_str(session), mm_db_i64(before_ms), mm_db_u64(SOCIAL_MAIL_EXPIRED_MAX)),
        &rows);
    if (err != MM_OK)
        return err;
    for (size_t i = 0; i < SOCIAL_MAIL_EXPIRED_MAX && mm_db_next(rows); i++)
        ids[(*count)++] = mm_db_get_u64(rows, 0);
    return mm_db_end(rows);
}

enum mm_err social_sql_mail_expire(struct mm_db_conn *conn, void *arg)
{
    struct social_mail_expiry *expiry = arg;
    const char *session = expiry->app->session;
    uint64_t ids[2 * SOCIAL_MAIL_EXPIRED_MAX];
    size_t count = 0;
    enum mm_err err =
        find_old(conn, session,
                 "SELECT id FROM mails WHERE session = ? AND sent_ms < ? ORDER BY sent_ms LIMIT ?",
                 expiry->before_ms, ids, &count);
    if (err == MM_OK)
        err = find_old(conn, session,
                       "SELECT id FROM mails WHERE session = ? AND copies = 0 AND sent_ms < ? "
                       "LIMIT ?",
                       expiry->orphans_before_ms, ids, &count);
    for (size_t i = 0; err == MM_OK && i < count; i++) {
        struct old_mail mail = {expiry->app, ids[i]};
        err = mm_db_transaction(conn, expire_one, &mail);
        expiry->deleted += err == MM_OK;
    }
    return err;
}
