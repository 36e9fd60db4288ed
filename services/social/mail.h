#ifndef SOCIAL_MAIL_H
#define SOCIAL_MAIL_H

#include "libcommon/base/vec.h"
#include "services/social/app.h"
#include "services/social/core/mail.h"

// Mail's database jobs. Everything declared here but the structs runs on a database worker's
// thread, each function in a transaction of its own; arg is the job. A job may be run again from
// its beginning.

enum {
    SOCIAL_MAIL_LISTED_MAX = 50,  // in one answer
    SOCIAL_MAIL_DELETED_MAX = 50, // by one call
    SOCIAL_MAIL_EXPIRED_MAX = 50, // in one sweep
};

struct social_mail_recipient {
    uint64_t player_id;
    bool delivered;
    struct social_mailbox box; // afterwards
};

// A mail on its way.
struct social_mail_job {
    struct social_app *app; // on the worker: only the session's name and the settings
    struct mm_rpc_call *call;
    struct social_group_player from;
    uint64_t request_id;
    uint64_t to_player;
    uint64_t to_group;
    char to_name[SOCIAL_GROUP_PLAYER_BYTES];
    char *subject, *body; // owned
    int64_t now_ms;
    // What came of it.
    Mmorts__Social__MailReason reason;
    uint32_t retry_after_ms, delivered, full;
    int64_t sent_ms;
    bool again; // it was sent before
    char group_name[SOCIAL_GROUP_NAME_BYTES];
    struct {
        MM_VEC(struct social_mail_recipient);
    } recipients; // by id
    struct social_event event;
};
enum mm_err social_sql_mail_send(struct mm_db_conn *conn, void *arg) MM_MUST_USE;
// Frees what came of it.
void social_mail_job_clear(struct social_mail_job *job);

struct social_mail_row {
    uint64_t number;
    bool read;
    struct social_group_player from;
    uint64_t group_id;
    char group_name[SOCIAL_GROUP_NAME_BYTES];
    char *subject, *body; // owned; NULL: not asked for
    int64_t sent_ms;
};

// Looking at a mailbox, or changing it.
struct social_mailbox_job {
    struct social_app *app;
    struct mm_rpc_call *call;
    uint64_t player_id;
    uint64_t number; // to be read; or: only lower ones are listed
    uint32_t limit;
    uint64_t numbers[SOCIAL_MAIL_DELETED_MAX]; // to be deleted
    size_t number_count;
    // What came of it.
    struct social_mailbox box;
    bool changed, more;
    uint32_t deleted;
    struct social_mail_row rows[SOCIAL_MAIL_LISTED_MAX];
    size_t row_count;
};
enum mm_err social_sql_mail_list(struct mm_db_conn *conn, void *arg) MM_MUST_USE;
enum mm_err social_sql_mail_read(struct mm_db_conn *conn, void *arg) MM_MUST_USE;
enum mm_err social_sql_mail_delete(struct mm_db_conn *conn, void *arg) MM_MUST_USE;
void social_mailbox_job_clear(struct social_mailbox_job *job);

// Deletes what is older than before_ms, and what lies in no mailbox and is older than
// orphans_before_ms; some of it, `deleted` says how many.
struct social_mail_expiry {
    struct social_app *app;
    int64_t before_ms, orphans_before_ms;
    uint32_t deleted;
};
enum mm_err social_sql_mail_expire(struct mm_db_conn *conn, void *arg) MM_MUST_USE;

// For both files of SQL: a player's mailbox, locked for the transaction (a new one, if need be),
// and as it is to be. NOT_FOUND of a mailbox that is not to be made.
enum mm_err social_sql_mailbox_lock(struct mm_db_conn *conn, const char *session,
                                    uint64_t player_id, bool makes,
                                    struct social_mailbox *out) MM_MUST_USE;
enum mm_err social_sql_mailbox_store(struct mm_db_conn *conn, const char *session,
                                     uint64_t player_id,
                                     const struct social_mailbox *box) MM_MUST_USE;
// Takes a copy out of a mailbox; the box is not touched.
enum mm_err social_sql_mail_copy_delete(struct mm_db_conn *conn, const char *session,
                                        uint64_t player_id, uint64_t number,
                                        uint64_t mail_id) MM_MUST_USE;

#endif
