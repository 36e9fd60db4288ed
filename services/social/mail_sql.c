#include <string.h>

#include "libcommon/base/alloc.h"
#include "libcommon/base/str.h"
#include "libcommon/io/db_conn.h"
#include "libcommon/io/pb.h"
#include "services/social/mail.h"

// Sending mail, in MariaDB; everything here runs on a database worker's thread. Rows are locked in
// one order by everybody: the sender, then mailboxes by their players' ids.

#define REASON(name) MMORTS__SOCIAL__MAIL_REASON__MAIL_##name

// --- mailboxes -------------------------------------------------------------------------------

enum mm_err social_sql_mailbox_lock(struct mm_db_conn *conn, const char *session,
                                    uint64_t player_id, bool makes, struct social_mailbox *out)
{
    enum mm_err err = MM_OK;
    // Not INSERT IGNORE: that would take a shared lock first, and two who share it wait for ever.
    if (makes)
        err = mm_db_exec(conn,
                         "INSERT INTO mail_boxes (session, player_id) VALUES (?, ?) "
                         "ON DUPLICATE KEY UPDATE player_id = player_id",
                         MM_DB_ARGS(mm_db_str(session), mm_db_u64(player_id)), NULL);
    struct mm_db_rows *rows;
    if (err == MM_OK)
        err = mm_db_query_one(conn,
                              "SELECT last_number, total, unread, version FROM mail_boxes "
                              "WHERE session = ? AND player_id = ? FOR UPDATE",
                              MM_DB_ARGS(mm_db_str(session), mm_db_u64(player_id)), &rows);
    if (err != MM_OK)
        return err;
    *out = (struct social_mailbox){.last_number = mm_db_get_u64(rows, 0),
                                   .total = mm_db_get_u32(rows, 1),
                                   .unread = mm_db_get_u32(rows, 2),
                                   .version = mm_db_get_u64(rows, 3)};
    return mm_db_end(rows);
}

enum mm_err social_sql_mailbox_store(struct mm_db_conn *conn, const char *session,
                                     uint64_t player_id, const struct social_mailbox *box)
{
    return mm_db_exec(conn,
                      "UPDATE mail_boxes SET last_number = ?, total = ?, unread = ?, version = ? "
                      "WHERE session = ? AND player_id = ?",
                      MM_DB_ARGS(mm_db_u64(box->last_number), mm_db_u64(box->total),
                                 mm_db_u64(box->unread), mm_db_u64(box->version),
                                 mm_db_str(session), mm_db_u64(player_id)),
                      NULL);
}

enum mm_err social_sql_mail_copy_delete(struct mm_db_conn *conn, const char *session,
                                        uint64_t player_id, uint64_t number, uint64_t mail_id)
{
    enum mm_err err = mm_db_exec(
        conn, "DELETE FROM mail_copies WHERE session = ? AND player_id = ? AND number = ?",
        MM_DB_ARGS(mm_db_str(session), mm_db_u64(player_id), mm_db_u64(number)), NULL);
    if (err != MM_OK)
        return err;
    return mm_db_exec(conn, "UPDATE mails SET copies = copies - 1 WHERE id = ?",
                      MM_DB_ARGS(mm_db_u64(mail_id)), NULL);
}

// --- the sender --------------------------------------------------------------------------------

static enum mm_err lock_sender(struct mm_db_conn *conn, const struct social_mail_job *job)
{
    return mm_db_exec(conn,
                      "INSERT INTO mail_senders (session, player_id) VALUES (?, ?) "
                      "ON DUPLICATE KEY UPDATE player_id = player_id",
                      MM_DB_ARGS(mm_db_str(job->app->session), mm_db_u64(job->from.id)), NULL);
}

// Whether the request was carried out before: then the answer is what came of it.
static enum mm_err find_before(struct mm_db_conn *conn, struct social_mail_job *job, bool *out)
{
    struct mm_db_rows *rows;
    *out = false;
    enum mm_err err = mm_db_query_one(
        conn,
        "SELECT to_player, to_name, group_id, subject, body, delivered, full_boxes, sent_ms "
        "FROM mails WHERE session = ? AND from_player = ? AND request_id = ?",
        MM_DB_ARGS(mm_db_str(job->app->session), mm_db_u64(job->from.id),
                   mm_db_u64(job->request_id)),
        &rows);
    if (err != MM_OK)
        return err == MM_NOT_FOUND ? MM_OK : err;
    *out = true;
    bool same = mm_db_get_u64(rows, 0) == job->to_player &&
                mm_str_equal(mm_db_get_bytes(rows, 1).data, job->to_name) &&
                mm_db_get_u64(rows, 2) == job->to_group &&
                mm_str_equal(mm_db_get_bytes(rows, 3).data, job->subject) &&
                mm_str_equal(mm_db_get_bytes(rows, 4).data, job->body);
    job->reason = same ? REASON(OK) : REASON(REPEATED);
    job->again = true;
    job->delivered = same ? mm_db_get_u32(rows, 5) : 0;
    job->full = same ? mm_db_get_u32(rows, 6) : 0;
    job->sent_ms = mm_db_get_i64(rows, 7);
    return mm_db_end(rows);
}

// How long the sender must wait.
static enum mm_err look_at_rate(struct mm_db_conn *conn, struct social_mail_job *job)
{
    const struct social_settings *settings = &job->app->settings;
    struct mm_db_rows *rows;
    enum mm_err err = mm_db_query(
        conn,
        "SELECT sent_ms FROM mails WHERE session = ? AND from_player = ? AND sent_ms > ? "
        "ORDER BY sent_ms DESC LIMIT ?",
        MM_DB_ARGS(mm_db_str(job->app->session), mm_db_u64(job->from.id),
                   mm_db_i64(job->now_ms - settings->mail_window_ms),
                   mm_db_u64((uint64_t)settings->mail_messages)),
        &rows);
    if (err != MM_OK)
        return err;
    size_t count = 0;
    int64_t oldest_ms = 0;
    for (; mm_db_next(rows); count++)
        oldest_ms = mm_db_get_i64(rows, 0);
    job->retry_after_ms = social_mail_wait(
        count, oldest_ms, job->now_ms, (size_t)settings->mail_messages, settings->mail_window_ms);
    if (job->retry_after_ms > 0)
        job->reason = REASON(RATE_LIMITED);
    return mm_db_end(rows);
}

// --- recipients ------------------------------------------------------------------------------

static bool add_recipient(struct social_mail_job *job, uint64_t player_id)
{
    struct social_mail_recipient recipient = {.player_id = player_id};
    if (!mm_vec_push(&job->recipients, recipient))
        return false;
    // By id: a group lists its members in the order of joining.
    size_t at = job->recipients.count - 1;
    for (; at > 0 && job->recipients.items[at - 1].player_id > player_id; at--)
        job->recipients.items[at] = job->recipients.items[at - 1];
    job->recipients.items[at] = recipient;
    return true;
}

static enum mm_err find_members(struct mm_db_conn *conn, struct social_mail_job *job)
{
    struct social_group group;
    social_group_init(&group);
    enum mm_err err = social_sql_group(conn, job->app->session, job->to_group, &group);
    bool room = true;
    if (err == MM_NOT_FOUND || (err == MM_OK && !social_group_member_find(&group, job->from.id))) {
        job->reason = REASON(NOT_MEMBER);
        err = MM_OK;
    } else if (err == MM_OK) {
        (void)mm_str_copy(job->group_name, sizeof job->group_name, group.name);
        for (size_t i = 0; room && i < group.members.count; i++) {
            uint64_t id = group.members.items[i].player.id;
            room = id == job->from.id || add_recipient(job, id);
        }
        job->reason = job->recipients.count > 0 ? REASON(OK) : REASON(UNKNOWN_RECIPIENT);
    }
    social_group_free(&group);
    return err == MM_OK && !room ? MM_RESOURCE_EXHAUSTED : err;
}

static enum mm_err find_player(struct mm_db_conn *conn, struct social_mail_job *job)
{
    enum { CANDIDATES_MAX = 16 }; // of one name; with more it is not clear anyway
    struct social_mail_candidate candidates[CANDIDATES_MAX];
    struct mm_db_rows *rows;
    const char *session = job->app->session;
    enum mm_err err =
        job->to_player
            ? mm_db_query(conn,
                          "SELECT player_id, 1 FROM players WHERE session = ? AND "
                          "player_id = ?",
                          MM_DB_ARGS(mm_db_str(session), mm_db_u64(job->to_player)), &rows)
            : mm_db_query(conn,
                          "SELECT player_id, BINARY username = BINARY ? FROM players "
                          "WHERE session = ? AND username = ? ORDER BY 2 DESC, player_id LIMIT ?",
                          MM_DB_ARGS(mm_db_str(job->to_name), mm_db_str(session),
                                     mm_db_str(job->to_name), mm_db_u64(CANDIDATES_MAX)),
                          &rows);
    if (err != MM_OK)
        return err;
    size_t count = 0;
    for (; count < CANDIDATES_MAX && mm_db_next(rows); count++)
        candidates[count] =
            (struct social_mail_candidate){mm_db_get_u64(rows, 0), mm_db_get_u32(rows, 1) != 0};
    uint64_t id = 0;
    job->reason = social_mail_choose(candidates, count, &id);
    err = mm_db_end(rows);
    if (err == MM_OK && job->reason == REASON(OK) && !add_recipient(job, id))
        err = MM_RESOURCE_EXHAUSTED;
    return err;
}

// --- delivery --------------------------------------------------------------------------------

static enum mm_err evict(struct mm_db_conn *conn, const char *session, uint64_t player_id)
{
    struct mm_db_rows *rows;
    enum mm_err err = mm_db_query_one(conn,
                                      "SELECT number, mail_id FROM mail_copies WHERE session = ? "
                                      "AND player_id = ? AND is_read = 1 ORDER BY number LIMIT 1",
                                      MM_DB_ARGS(mm_db_str(session), mm_db_u64(player_id)), &rows);
    if (err != MM_OK)
        return err == MM_NOT_FOUND ? MM_INTERNAL : err; // the mailbox counts one
    uint64_t number = mm_db_get_u64(rows, 0), mail_id = mm_db_get_u64(rows, 1);
    err = mm_db_end(rows);
    return err == MM_OK ? social_sql_mail_copy_delete(conn, session, player_id, number, mail_id)
                        : err;
}

static enum mm_err deliver(struct mm_db_conn *conn, struct social_mail_job *job, uint64_t mail_id,
                           struct social_mail_recipient *to)
{
    const char *session = job->app->session;
    enum mm_err err = social_sql_mailbox_lock(conn, session, to->player_id, true, &to->box);
    if (err != MM_OK)
        return err;
    enum social_mail_room room =
        social_mailbox_take(&to->box, (uint32_t)job->app->settings.mail_box_max);
    to->delivered = room != SOCIAL_MAIL_NO_ROOM;
    job->delivered += to->delivered;
    job->full += !to->delivered;
    if (!to->delivered)
        return MM_OK;
    if (room == SOCIAL_MAIL_ROOM_EVICTS)
        err = evict(conn, session, to->player_id);
    if (err == MM_OK)
        err = social_sql_mailbox_store(conn, session, to->player_id, &to->box);
    if (err == MM_OK)
        err = mm_db_exec(conn,
                         "INSERT INTO mail_copies (session, player_id, number, mail_id) "
                         "VALUES (?, ?, ?, ?)",
                         MM_DB_ARGS(mm_db_str(session), mm_db_u64(to->player_id),
                                    mm_db_u64(to->box.last_number), mm_db_u64(mail_id)),
                         NULL);
    return err;
}

static enum mm_err insert_mail(struct mm_db_conn *conn, const struct social_mail_job *job,
                               uint64_t *id_out)
{
    struct mm_db_result result;
    enum mm_err err = mm_db_exec(
        conn,
        "INSERT INTO mails (session, from_player, request_id, from_username, from_display_id, "
        "to_player, to_name, group_id, group_name, subject, body, sent_ms) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        MM_DB_ARGS(mm_db_str(job->app->session), mm_db_u64(job->from.id),
                   mm_db_u64(job->request_id), mm_db_str(job->from.username),
                   mm_db_str(job->from.display_id), mm_db_u64(job->to_player),
                   mm_db_str(job->to_name), mm_db_u64(job->to_group), mm_db_str(job->group_name),
                   mm_db_str(job->subject), mm_db_str(job->body), mm_db_i64(job->now_ms)),
        &result);
    *id_out = result.insert_id;
    return err;
}

// The event, packed, for the recipients that the mail was delivered to.
static enum mm_err pack_event(struct social_mail_job *job)
{
    size_t count = job->delivered, at = 0;
    uint64_t *ids = mm_calloc(3 * count, sizeof *ids);
    uint32_t *counts = mm_calloc(2 * count, sizeof *counts);
    if (!ids || !counts) {
        mm_free(ids);
        mm_free(counts);
        return MM_RESOURCE_EXHAUSTED;
    }
    Mmorts__Social__Member from = MMORTS__SOCIAL__MEMBER__INIT;
    from.player_id = job->from.id;
    from.username = job->from.username;
    from.display_id = job->from.display_id;
    Mmorts__Social__MailEvent body = MMORTS__SOCIAL__MAIL_EVENT__INIT;
    body.from = &from;
    body.group_id = job->to_group;
    body.group_name = job->group_name;
    body.subject = job->subject;
    body.timestamp_ms = job->now_ms;
    body.to_players = ids;
    body.numbers = ids + count;
    body.versions = ids + 2 * count;
    body.unread = counts;
    body.total = counts + count;
    for (size_t i = 0; i < job->recipients.count; i++) {
        const struct social_mail_recipient *to = &job->recipients.items[i];
        if (!to->delivered)
            continue;
        body.to_players[at] = to->player_id;
        body.numbers[at] = to->box.last_number;
        body.versions[at] = to->box.version;
        body.unread[at] = to->box.unread;
        body.total[at++] = to->box.total;
    }
    body.n_to_players = body.n_numbers = body.n_versions = body.n_unread = body.n_total = at;
    Mmorts__Social__Event event = MMORTS__SOCIAL__EVENT__INIT;
    event.event_case = MMORTS__SOCIAL__EVENT__EVENT_MAIL;
    event.mail = &body;
    enum mm_err err =
        mm_pb_pack(&event.base, MM_RPC_REQUEST_BYTES_MAX, &job->event.bytes, &job->event.size);
    mm_free(ids);
    mm_free(counts);
    return err;
}

static enum mm_err write_event(struct mm_db_conn *conn, struct social_mail_job *job)
{
    struct mm_db_result result;
    enum mm_err err = pack_event(job);
    if (err == MM_OK)
        err = mm_db_exec(
            conn,
            "INSERT INTO mail_outbox (session, created_ms, event) "
            "VALUES (?, UNIX_TIMESTAMP() * 1000, ?)",
            MM_DB_ARGS(mm_db_str(job->app->session), mm_db_blob(job->event.bytes, job->event.size)),
            &result);
    if (err == MM_OK)
        job->event.id = result.insert_id;
    return err;
}

static enum mm_err deliver_all(struct mm_db_conn *conn, struct social_mail_job *job)
{
    uint64_t mail_id = 0;
    enum mm_err err = insert_mail(conn, job, &mail_id);
    for (size_t i = 0; err == MM_OK && i < job->recipients.count; i++)
        err = deliver(conn, job, mail_id, &job->recipients.items[i]);
    if (err != MM_OK)
        return err;
    if (job->delivered == 0) {
        job->reason = REASON(MAILBOX_FULL);
        return MM_FAILED_PRECONDITION; // so that nothing stays of it
    }
    err =
        mm_db_exec(conn, "UPDATE mails SET delivered = ?, full_boxes = ?, copies = ? WHERE id = ?",
                   MM_DB_ARGS(mm_db_u64(job->delivered), mm_db_u64(job->full),
                              mm_db_u64(job->delivered), mm_db_u64(mail_id)),
                   NULL);
    return err == MM_OK ? write_event(conn, job) : err;
}

// --- whole jobs ------------------------------------------------------------------------------

void social_mail_job_clear(struct social_mail_job *job)
{
    mm_vec_free(&job->recipients);
    mm_free(job->event.bytes);
    job->event = (struct social_event){0};
    job->reason = REASON(OK);
    job->retry_after_ms = job->delivered = job->full = 0;
    job->sent_ms = job->now_ms;
    job->again = false;
}

static enum mm_err send(struct mm_db_conn *conn, void *arg)
{
    struct social_mail_job *job = arg;
    social_mail_job_clear(job);
    mm_vec_init(&job->recipients, SOCIAL_GROUP_MEMBERS_MAX);
    bool before = false;
    enum mm_err err = lock_sender(conn, job);
    if (err == MM_OK)
        err = find_before(conn, job, &before);
    if (err != MM_OK || before)
        return err;
    err = look_at_rate(conn, job);
    if (err == MM_OK && job->reason == REASON(OK))
        err = job->to_group ? find_members(conn, job) : find_player(conn, job);
    return err == MM_OK && job->reason == REASON(OK) ? deliver_all(conn, job) : err;
}

enum mm_err social_sql_mail_send(struct mm_db_conn *conn, void *arg)
{
    struct social_mail_job *job = arg;
    enum mm_err err = mm_db_transaction(conn, send, job);
    return err == MM_FAILED_PRECONDITION && job->reason == REASON(MAILBOX_FULL) ? MM_OK : err;
}
