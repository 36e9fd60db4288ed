#include "services/social/mail.h"

#include <inttypes.h>
#include <string.h>

#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/clock.h"
#include "libcommon/base/log.h"
#include "libcommon/base/str.h"
#include "libcommon/io/pb.h"

// Mail: one database job for each call, answered when it is committed; then its event goes out.

#define REASON(name) MMORTS__SOCIAL__MAIL_REASON__MAIL_##name

enum {
    EXPIRY_EVERY_MS = 10000,
    ORPHANS_KEPT_MS = 86400000, // a repetition that comes later than that is sent as new
};

// --- sending -----------------------------------------------------------------------------------

static void send_free(struct social_mail_job *job)
{
    social_mail_job_clear(job);
    mm_free(job->subject);
    mm_free(job->body);
    mm_free(job);
}

static void answer_send(struct social_mail_job *job)
{
    Mmorts__Social__SendMailReply reply = MMORTS__SOCIAL__SEND_MAIL_REPLY__INIT;
    reply.reason = job->reason;
    reply.message = (char *)(uintptr_t)social_mail_message(job->reason);
    reply.retry_after_ms = job->retry_after_ms;
    reply.delivered = job->delivered;
    reply.full = job->full;
    reply.timestamp_ms = job->reason == REASON(OK) ? job->sent_ms : 0;
    struct social_app *app = job->app;
    mm_counter_add(job->reason == REASON(OK) ? app->mail_sent : app->mail_refused, 1);
    if (!job->again)
        mm_counter_add(app->mail_delivered, job->delivered);
    mm_rpc_reply(job->call, &reply.base);
}

static void send_done(enum mm_err err, void *arg)
{
    struct social_mail_job *job = arg;
    if (err == MM_OK)
        answer_send(job);
    else
        social_fail_db(job->app, job->call, err);
    if (err == MM_OK && job->event.bytes)
        social_outbox_publish(job->app, SOCIAL_OUTBOX_MAIL, &job->event, 1);
    send_free(job);
}

static char *copy_text(const char *text, size_t len)
{
    char *copy = mm_malloc(len + 1);
    MM_CHECK(copy);
    memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

// A job with its sender and texts; NULL if the call has been answered.
static struct social_mail_job *send_new(struct social_app *app, struct mm_rpc_call *call,
                                        const Mmorts__Social__Member *from, uint64_t request_id,
                                        const char *subject, const char *body)
{
    struct social_mail_job *job = mm_calloc(1, sizeof *job);
    MM_CHECK(job);
    job->app = app;
    job->call = call;
    job->request_id = request_id;
    job->now_ms = mm_clock_wall_ms();
    if (request_id == 0 || !social_member_is_sound(from)) {
        mm_rpc_fail(call, MM_INVALID_ARGUMENT,
                    "a request_id is needed, and a sender with a player_id and a username");
        mm_free(job);
        return NULL;
    }
    job->from.id = from->player_id;
    MM_CHECK(mm_str_copy(job->from.username, sizeof job->from.username, from->username) &&
             mm_str_copy(job->from.display_id, sizeof job->from.display_id, from->display_id));
    size_t subject_len = strlen(subject), body_len = strlen(body);
    job->reason = social_mail_check(&subject, &subject_len, &body, &body_len,
                                    (size_t)app->settings.mail_characters_max);
    if (job->reason != REASON(OK)) {
        answer_send(job);
        mm_free(job);
        return NULL;
    }
    job->subject = copy_text(subject, subject_len);
    job->body = copy_text(body, body_len);
    return job;
}

static void submit_send(struct social_mail_job *job)
{
    // One lane for each sender: what is written first comes first.
    struct mm_db_job work = {
        .work = social_sql_mail_send, .done = send_done, .arg = job, .lane = job->from.id};
    enum mm_err err = mm_db_submit(job->app->db, &work);
    if (err != MM_OK)
        send_done(err, job);
}

void social_send_mail(struct social_app *app, struct mm_rpc_call *call,
                      const Mmorts__Social__SendMailRequest *input)
{
    if ((input->to_player != 0) == (input->to_name[0] != '\0')) {
        mm_rpc_fail(call, MM_INVALID_ARGUMENT, "either to_player or to_name is needed");
        return;
    }
    struct social_mail_job *job =
        send_new(app, call, input->from, input->request_id, input->subject, input->body);
    if (!job)
        return;
    job->to_player = input->to_player;
    if (mm_str_copy(job->to_name, sizeof job->to_name, input->to_name)) {
        submit_send(job);
        return;
    }
    job->reason = REASON(UNKNOWN_RECIPIENT); // nobody can be called so
    answer_send(job);
    send_free(job);
}

void social_send_group_mail(struct social_app *app, struct mm_rpc_call *call,
                            const Mmorts__Social__SendGroupMailRequest *input)
{
    if (input->to_group == 0) {
        mm_rpc_fail(call, MM_INVALID_ARGUMENT, "to_group is needed");
        return;
    }
    struct social_mail_job *job =
        send_new(app, call, input->from, input->request_id, input->subject, input->body);
    if (!job)
        return;
    job->to_group = input->to_group;
    submit_send(job);
}

// --- mailboxes ---------------------------------------------------------------------------------

// Messages that point into a job, for as long as they are packed.
struct mail_messages {
    Mmorts__Social__Mailbox box;
    Mmorts__Social__Mail mails[SOCIAL_MAIL_LISTED_MAX];
    Mmorts__Social__Mail *list[SOCIAL_MAIL_LISTED_MAX];
    Mmorts__Social__Member from[SOCIAL_MAIL_LISTED_MAX];
};

static void fill_box(Mmorts__Social__Mailbox *message, const struct social_mailbox *box)
{
    mmorts__social__mailbox__init(message);
    message->unread = box->unread;
    message->total = box->total;
    message->version = box->version;
}

static struct mail_messages *messages_new(struct social_mailbox_job *job)
{
    struct mail_messages *messages = mm_calloc(1, sizeof *messages);
    MM_CHECK(messages);
    fill_box(&messages->box, &job->box);
    for (size_t i = 0; i < job->row_count; i++) {
        struct social_mail_row *row = &job->rows[i];
        Mmorts__Social__Member *from = &messages->from[i];
        mmorts__social__member__init(from);
        from->player_id = row->from.id;
        from->username = row->from.username;
        from->display_id = row->from.display_id;
        Mmorts__Social__Mail *mail = messages->list[i] = &messages->mails[i];
        mmorts__social__mail__init(mail);
        mail->number = row->number;
        mail->from = from;
        mail->group_id = row->group_id;
        mail->group_name = row->group_name;
        mail->subject = row->subject;
        mail->body = row->body ? row->body : mail->body;
        mail->timestamp_ms = row->sent_ms;
        mail->read = row->read;
    }
    return messages;
}

// Tells all of the player's connections. Nothing is kept of it: whoever misses it hears the same
// with the next mail, or asks.
static void publish_box(struct social_mailbox_job *job)
{
    Mmorts__Social__Mailbox box;
    fill_box(&box, &job->box);
    Mmorts__Social__MailboxEvent body = MMORTS__SOCIAL__MAILBOX_EVENT__INIT;
    body.player_id = job->player_id;
    body.mailbox = &box;
    Mmorts__Social__Event event = MMORTS__SOCIAL__EVENT__INIT;
    event.event_case = MMORTS__SOCIAL__EVENT__EVENT_MAILBOX;
    event.mailbox = &body;
    uint8_t *bytes = NULL;
    size_t size = 0;
    MM_CHECK(mm_pb_pack(&event.base, MM_RPC_REQUEST_BYTES_MAX, &bytes, &size) == MM_OK);
    if (mm_redis_command(job->app->redis, NULL, NULL, "PUBLISH social.events.%s %b",
                         job->app->session, bytes, size) != MM_OK)
        mm_counter_add(job->app->redis_errors, 1);
    mm_free(bytes);
}

static void box_free(struct social_mailbox_job *job)
{
    social_mailbox_job_clear(job);
    mm_free(job);
}

static struct social_mailbox_job *box_new(struct social_app *app, struct mm_rpc_call *call,
                                          uint64_t player_id)
{
    struct social_mailbox_job *job = mm_calloc(1, sizeof *job);
    MM_CHECK(job);
    job->app = app;
    job->call = call;
    job->player_id = player_id;
    return job;
}

static void submit_box(struct social_mailbox_job *job, mm_db_work_fn work, mm_db_done_fn done)
{
    // One lane for each player: a list that is asked for after a deletion is one without.
    struct mm_db_job db_job = {.work = work, .done = done, .arg = job, .lane = job->player_id};
    enum mm_err err = mm_db_submit(job->app->db, &db_job);
    if (err != MM_OK)
        done(err, job);
}

static void list_done(enum mm_err err, void *arg)
{
    struct social_mailbox_job *job = arg;
    if (err != MM_OK) {
        social_fail_db(job->app, job->call, err);
    } else {
        struct mail_messages *messages = messages_new(job);
        Mmorts__Social__GetInboxReply reply = MMORTS__SOCIAL__GET_INBOX_REPLY__INIT;
        reply.mailbox = &messages->box;
        reply.n_mails = job->row_count;
        reply.mails = messages->list;
        reply.more = job->more;
        mm_rpc_reply(job->call, &reply.base);
        mm_free(messages);
    }
    box_free(job);
}

void social_get_inbox(struct social_app *app, struct mm_rpc_call *call,
                      const Mmorts__Social__GetInboxRequest *input)
{
    if (input->player_id == 0 || input->limit > SOCIAL_MAIL_LISTED_MAX) {
        mm_rpc_fail(call, MM_INVALID_ARGUMENT, "a player_id is needed, and a limit of at most %d",
                    SOCIAL_MAIL_LISTED_MAX);
        return;
    }
    struct social_mailbox_job *job = box_new(app, call, input->player_id);
    job->number = input->before;
    job->limit = input->limit;
    submit_box(job, social_sql_mail_list, list_done);
}

static void read_done(enum mm_err err, void *arg)
{
    struct social_mailbox_job *job = arg;
    if (err != MM_OK) {
        social_fail_db(job->app, job->call, err);
    } else {
        struct mail_messages *messages = messages_new(job);
        Mmorts__Social__ReadMailReply reply = MMORTS__SOCIAL__READ_MAIL_REPLY__INIT;
        reply.mailbox = &messages->box;
        reply.mail = job->row_count > 0 ? messages->list[0] : NULL;
        mm_rpc_reply(job->call, &reply.base);
        mm_free(messages);
        if (job->changed)
            publish_box(job);
    }
    box_free(job);
}

void social_read_mail(struct social_app *app, struct mm_rpc_call *call,
                      const Mmorts__Social__ReadMailRequest *input)
{
    if (input->player_id == 0 || input->number == 0) {
        mm_rpc_fail(call, MM_INVALID_ARGUMENT, "a player_id and a number are needed");
        return;
    }
    struct social_mailbox_job *job = box_new(app, call, input->player_id);
    job->number = input->number;
    submit_box(job, social_sql_mail_read, read_done);
}

static void delete_done(enum mm_err err, void *arg)
{
    struct social_mailbox_job *job = arg;
    if (err != MM_OK) {
        social_fail_db(job->app, job->call, err);
    } else {
        Mmorts__Social__Mailbox box;
        fill_box(&box, &job->box);
        Mmorts__Social__DeleteMailReply reply = MMORTS__SOCIAL__DELETE_MAIL_REPLY__INIT;
        reply.deleted = job->deleted;
        reply.mailbox = &box;
        mm_rpc_reply(job->call, &reply.base);
        if (job->changed)
            publish_box(job);
    }
    box_free(job);
}

void social_delete_mail(struct social_app *app, struct mm_rpc_call *call,
                        const Mmorts__Social__DeleteMailRequest *input)
{
    if (input->player_id == 0 || input->n_numbers == 0 ||
        input->n_numbers > SOCIAL_MAIL_DELETED_MAX) {
        mm_rpc_fail(call, MM_INVALID_ARGUMENT, "a player_id and 1 to %d numbers are needed",
                    SOCIAL_MAIL_DELETED_MAX);
        return;
    }
    struct social_mailbox_job *job = box_new(app, call, input->player_id);
    job->number_count = input->n_numbers;
    memcpy(job->numbers, input->numbers, input->n_numbers * sizeof *job->numbers);
    submit_box(job, social_sql_mail_delete, delete_done);
}

// --- what is too old ---------------------------------------------------------------------------

static void expiry_done(enum mm_err err, void *arg)
{
    struct social_mail_expiry *expiry = arg;
    struct social_app *app = expiry->app;
    app->expiry_busy = false;
    mm_counter_add(app->mail_expired, expiry->deleted);
    if (err == MM_OK && expiry->deleted >= SOCIAL_MAIL_EXPIRED_MAX)
        app->expiry_at_ms = 0; // there is more
    mm_free(expiry);
}

void social_mail_sweep(struct social_app *app)
{
    int64_t wall_ms = mm_clock_wall_ms(), retention_ms = app->settings.mail_retention_ms;
    uint64_t now_ms = mm_clock_ms();
    if (app->expiry_busy || now_ms < app->expiry_at_ms || !mm_db_is_up(app->db))
        return;
    struct social_mail_expiry *expiry = mm_calloc(1, sizeof *expiry);
    if (!expiry)
        return;
    *expiry = (struct social_mail_expiry){.app = app,
                                          .before_ms = wall_ms - retention_ms,
                                          .orphans_before_ms = wall_ms - ORPHANS_KEPT_MS};
    app->expiry_at_ms =
        now_ms + (uint64_t)(retention_ms < EXPIRY_EVERY_MS ? retention_ms : EXPIRY_EVERY_MS);
    struct mm_db_job job = {.work = social_sql_mail_expire, .done = expiry_done, .arg = expiry};
    app->expiry_busy = mm_db_submit(app->db, &job) == MM_OK;
    if (!app->expiry_busy)
        mm_free(expiry);
}
