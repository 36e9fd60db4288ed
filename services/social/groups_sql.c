#include <string.h>

#include "libcommon/base/alloc.h"
#include "libcommon/base/str.h"
#include "libcommon/io/db_conn.h"
#include "libcommon/io/pb.h"
#include "libcommon/io/trace.h"
#include "services/social/app.h"

// Groups in MariaDB; everything here runs on a database worker's thread.

#define REASON(name) MMORTS__SOCIAL__GROUP_REASON__GROUP_##name
#define EVENT(name)  MMORTS__SOCIAL__GROUP_EVENT_KIND__GROUP_##name

// --- reading ---------------------------------------------------------------------------------

static void read_player(struct mm_db_rows *rows, unsigned column, struct social_group_player *out)
{
    out->id = mm_db_get_u64(rows, column);
    (void)mm_str_copy(out->username, sizeof out->username, mm_db_get_bytes(rows, column + 1).data);
    (void)mm_str_copy(out->display_id, sizeof out->display_id,
                      mm_db_get_bytes(rows, column + 2).data);
}

static enum mm_err load_members(struct mm_db_conn *conn, struct social_group *group)
{
    struct mm_db_rows *rows;
    enum mm_err err = mm_db_query(conn,
                                  "SELECT player_id, username, display_id, role, joined_ms "
                                  "FROM group_members WHERE group_id = ? "
                                  "ORDER BY joined_ms, player_id",
                                  MM_DB_ARGS(mm_db_u64(group->id)), &rows);
    if (err != MM_OK)
        return err;
    bool room = true;
    while (room && mm_db_next(rows)) {
        struct social_group_member member = {.role = mm_db_get_u32(rows, 3),
                                             .joined_ms = mm_db_get_i64(rows, 4)};
        read_player(rows, 0, &member.player);
        room = mm_vec_push(&group->members, member);
    }
    err = mm_db_end(rows);
    return err == MM_OK && !room ? MM_RESOURCE_EXHAUSTED : err;
}

static enum mm_err load_pending(struct mm_db_conn *conn, struct social_group *group)
{
    struct mm_db_rows *rows;
    enum mm_err err =
        mm_db_query(conn,
                    "SELECT player_id, username, display_id, is_application, by_player, expires_ms "
                    "FROM group_pending WHERE group_id = ? ORDER BY expires_ms, player_id",
                    MM_DB_ARGS(mm_db_u64(group->id)), &rows);
    if (err != MM_OK)
        return err;
    bool room = true;
    while (room && mm_db_next(rows)) {
        struct social_group_pending pending = {.application = mm_db_get_u32(rows, 3) != 0,
                                               .by_player = mm_db_get_u64(rows, 4),
                                               .expires_ms = mm_db_get_i64(rows, 5)};
        read_player(rows, 0, &pending.player);
        room = mm_vec_push(&group->pending, pending);
    }
    err = mm_db_end(rows);
    return err == MM_OK && !room ? MM_RESOURCE_EXHAUSTED : err;
}

enum mm_err social_sql_group(struct mm_db_conn *conn, const char *session, uint64_t id,
                             struct social_group *out)
{
    struct mm_db_rows *rows;
    enum mm_err err = mm_db_query_one(
        conn, "SELECT kind, name, tag, policy FROM player_groups WHERE id = ? AND session = ?",
        MM_DB_ARGS(mm_db_u64(id), mm_db_str(session)), &rows);
    if (err != MM_OK)
        return err;
    out->id = id;
    (void)mm_str_copy(out->kind, sizeof out->kind, mm_db_get_bytes(rows, 0).data);
    (void)mm_str_copy(out->name, sizeof out->name, mm_db_get_bytes(rows, 1).data);
    (void)mm_str_copy(out->tag, sizeof out->tag, mm_db_get_bytes(rows, 2).data);
    out->policy = mm_db_get_u32(rows, 3);
    err = mm_db_end(rows);
    if (err == MM_OK)
        err = load_members(conn, out);
    return err == MM_OK ? load_pending(conn, out) : err;
}

// The group of the kind that the player is a member of; 0: none.
static enum mm_err find_membership(struct mm_db_conn *conn, const char *session, const char *kind,
                                   uint64_t player_id, uint64_t *out)
{
    struct mm_db_rows *rows;
    *out = 0;
    enum mm_err err = mm_db_query_one(
        conn, "SELECT group_id FROM group_members WHERE session = ? AND kind = ? AND player_id = ?",
        MM_DB_ARGS(mm_db_str(session), mm_db_str(kind), mm_db_u64(player_id)), &rows);
    if (err == MM_NOT_FOUND)
        return MM_OK;
    if (err != MM_OK)
        return err;
    *out = mm_db_get_u64(rows, 0);
    return mm_db_end(rows);
}

// --- one change ------------------------------------------------------------------------------

enum mm_err social_sql_lock(struct mm_db_conn *conn, const char *session, uint64_t *seq_out)
{
    enum mm_err err = mm_db_exec(conn, "INSERT IGNORE INTO group_sequences (session) VALUES (?)",
                                 MM_DB_ARGS(mm_db_str(session)), NULL);
    struct mm_db_rows *rows;
    if (err == MM_OK)
        err = mm_db_query_one(conn, "SELECT seq FROM group_sequences WHERE session = ? FOR UPDATE",
                              MM_DB_ARGS(mm_db_str(session)), &rows);
    if (err != MM_OK)
        return err;
    *seq_out = mm_db_get_u64(rows, 0);
    return mm_db_end(rows);
}

static enum mm_err insert_member(struct mm_db_conn *conn, const struct social_group_job *job,
                                 const struct social_group_change *change)
{
    return mm_db_exec(conn,
                      "INSERT INTO group_members (group_id, player_id, session, kind, username, "
                      "display_id, role, joined_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                      MM_DB_ARGS(mm_db_u64(job->group.id), mm_db_u64(change->player.id),
                                 mm_db_str(job->app->session), mm_db_str(job->group.kind),
                                 mm_db_str(change->player.username),
                                 mm_db_str(change->player.display_id), mm_db_u64(change->role),
                                 mm_db_i64(job->action.now_ms)),
                      NULL);
}

static enum mm_err delete_row(struct mm_db_conn *conn, const char *sql, uint64_t group_id,
                              uint64_t player_id)
{
    return mm_db_exec(conn, sql, MM_DB_ARGS(mm_db_u64(group_id), mm_db_u64(player_id)), NULL);
}

static enum mm_err insert_pending(struct mm_db_conn *conn, const struct social_group_job *job,
                                  const struct social_group_change *change)
{
    return mm_db_exec(
        conn,
        "REPLACE INTO group_pending (group_id, player_id, session, username, display_id, "
        "is_application, by_player, expires_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        MM_DB_ARGS(mm_db_u64(job->group.id), mm_db_u64(change->player.id),
                   mm_db_str(job->app->session), mm_db_str(change->player.username),
                   mm_db_str(change->player.display_id), mm_db_u64(change->kind == EVENT(APPLIED)),
                   mm_db_u64(job->action.actor.id), mm_db_i64(change->expires_ms)),
        NULL);
}

static enum mm_err insert_group(struct mm_db_conn *conn, const struct social_group_job *job)
{
    return mm_db_exec(conn,
                      "INSERT INTO player_groups (id, session, kind, name, tag, policy, "
                      "created_ms) VALUES (?, ?, ?, ?, ?, ?, ?)",
                      MM_DB_ARGS(mm_db_u64(job->group.id), mm_db_str(job->app->session),
                                 mm_db_str(job->group.kind), mm_db_str(job->group.name),
                                 mm_db_str(job->group.tag), mm_db_u64(job->group.policy),
                                 mm_db_i64(job->action.now_ms)),
                      NULL);
}

static enum mm_err write_change(struct mm_db_conn *conn, const struct social_group_job *job,
                                const struct social_group_change *change)
{
    static const char delete_member[] =
        "DELETE FROM group_members WHERE group_id = ? AND player_id = ?";
    static const char delete_pending[] =
        "DELETE FROM group_pending WHERE group_id = ? AND player_id = ?";
    uint64_t id = job->group.id;
    enum mm_err err = MM_OK;
    switch (change->kind) {
    case EVENT(CREATED):
        err = insert_group(conn, job);
        return err == MM_OK ? insert_member(conn, job, change) : err;
    case EVENT(JOINED):
        err = insert_member(conn, job, change);
        return err == MM_OK ? delete_row(conn, delete_pending, id, change->player.id) : err;
    case EVENT(LEFT):
    case EVENT(KICKED):
        return delete_row(conn, delete_member, id, change->player.id);
    case EVENT(ROLE_SET):
        return mm_db_exec(
            conn, "UPDATE group_members SET role = ? WHERE group_id = ? AND player_id = ?",
            MM_DB_ARGS(mm_db_u64(change->role), mm_db_u64(id), mm_db_u64(change->player.id)), NULL);
    case EVENT(DISBANDED):
        return mm_db_exec(conn, "DELETE FROM player_groups WHERE id = ?", MM_DB_ARGS(mm_db_u64(id)),
                          NULL);
    case EVENT(INVITED):
    case EVENT(APPLIED):
        return insert_pending(conn, job, change);
    case EVENT(DECLINED):
        return delete_row(conn, delete_pending, id, change->player.id);
    case EVENT(POLICY_SET):
        return mm_db_exec(conn, "UPDATE player_groups SET policy = ? WHERE id = ?",
                          MM_DB_ARGS(mm_db_u64(job->group.policy), mm_db_u64(id)), NULL);
    default:
        return MM_INTERNAL;
    }
}

// --- events ----------------------------------------------------------------------------------

// An event that ends all waiting is for those who waited, too: the latest, of so many that it can
// still be read by whoever bounds it.
enum { WAITED_TOLD_MAX = 2000 };

// Who is to hear of it, into `out`: room for all members, WAITED_TOLD_MAX and one more.
static size_t whom_to_tell(const struct social_group_job *job,
                           const struct social_group_change *change, uint64_t *out)
{
    size_t count = 0;
    bool told = false;
    for (size_t i = 0; i < job->before.count; i++) {
        const struct social_group_member *member = &job->before.items[i];
        bool is_player = member->player.id == change->player.id;
        if (!is_player && !social_group_is_told(change->kind, member))
            continue;
        told |= is_player;
        out[count++] = member->player.id;
    }
    if (!told)
        out[count++] = change->player.id;
    size_t from = job->waited.count > WAITED_TOLD_MAX ? job->waited.count - WAITED_TOLD_MAX : 0;
    for (size_t i = from; i < job->waited.count && social_group_ends_waiting(change->kind); i++)
        out[count++] = job->waited.items[i];
    return count;
}

static bool pack_event(struct social_group_job *job, const struct social_group_change *change,
                       uint64_t seq)
{
    Mmorts__Social__Member player = MMORTS__SOCIAL__MEMBER__INIT;
    player.player_id = change->player.id;
    player.username = (char *)(uintptr_t)change->player.username;
    player.display_id = (char *)(uintptr_t)change->player.display_id;
    Mmorts__Social__GroupEvent body = MMORTS__SOCIAL__GROUP_EVENT__INIT;
    body.seq = seq;
    body.kind = change->kind;
    body.group_id = job->group.id;
    body.group_kind = job->group.kind;
    body.name = job->group.name;
    body.tag = job->group.tag;
    body.player = &player;
    body.by_player = job->action.actor.id;
    body.role = change->role;
    body.policy = job->group.policy;
    mm_random_bytes(&body.mark, sizeof body.mark);
    body.to_players = mm_calloc(job->before.count + WAITED_TOLD_MAX + 1, sizeof *body.to_players);
    if (!body.to_players)
        return false;
    body.n_to_players = whom_to_tell(job, change, body.to_players);
    Mmorts__Social__Event event = MMORTS__SOCIAL__EVENT__INIT;
    event.event_case = MMORTS__SOCIAL__EVENT__EVENT_GROUP;
    event.group = &body;
    struct social_event packed = {.id = seq};
    bool ok =
        mm_pb_pack(&event.base, MM_RPC_REQUEST_BYTES_MAX, &packed.bytes, &packed.size) == MM_OK;
    mm_free(body.to_players);
    if (ok)
        job->events[job->event_count++] = packed;
    return ok;
}

static enum mm_err write_changes(struct mm_db_conn *conn, struct social_group_job *job,
                                 uint64_t seq)
{
    for (size_t i = 0; i < job->changes.count; i++) {
        const struct social_group_change *change = &job->changes.items[i];
        enum mm_err err = write_change(conn, job, change);
        if (err == MM_OK && !pack_event(job, change, ++seq))
            err = MM_RESOURCE_EXHAUSTED;
        if (err == MM_OK) {
            const struct social_event *event = &job->events[job->event_count - 1];
            err = mm_db_exec(conn,
                             "INSERT INTO group_outbox (session, seq, created_ms, event) "
                             "VALUES (?, ?, UNIX_TIMESTAMP() * 1000, ?)",
                             MM_DB_ARGS(mm_db_str(job->app->session), mm_db_u64(seq),
                                        mm_db_blob(event->bytes, event->size)),
                             NULL);
        }
        if (err != MM_OK)
            return err;
    }
    if (job->changes.count == 0)
        return MM_OK;
    return mm_db_exec(conn, "UPDATE group_sequences SET seq = ? WHERE session = ?",
                      MM_DB_ARGS(mm_db_u64(seq), mm_db_str(job->app->session)), NULL);
}

// --- whole jobs ------------------------------------------------------------------------------

void social_group_job_clear(struct social_group_job *job)
{
    social_group_free(&job->group);
    mm_vec_free(&job->before);
    mm_vec_free(&job->waited);
    for (size_t i = 0; i < job->event_count; i++)
        mm_free(job->events[i].bytes);
    job->event_count = 0;
    job->changes.count = 0;
}

// Who belongs to it until now, whatever becomes of them.
static bool copy_people(struct social_group_job *job)
{
    mm_vec_init(&job->before, SOCIAL_GROUP_MEMBERS_MAX);
    mm_vec_init(&job->waited, SOCIAL_GROUP_PENDING_EVER_MAX);
    for (size_t i = 0; i < job->group.members.count; i++) {
        if (!mm_vec_push(&job->before, job->group.members.items[i]))
            return false;
    }
    for (size_t i = 0; i < job->group.pending.count; i++) {
        if (!mm_vec_push(&job->waited, job->group.pending.items[i].player.id))
            return false;
    }
    return true;
}

// The player leads a group of that kind and name already: created by the same request before.
static enum mm_err create_again(struct mm_db_conn *conn, struct social_group_job *job, uint64_t id)
{
    struct social_group known;
    social_group_init(&known);
    enum mm_err err = social_sql_group(conn, job->app->session, id, &known);
    const struct social_group_member *leader =
        err == MM_OK ? social_group_member_find(&known, job->action.actor.id) : NULL;
    bool same = leader && leader->role == MMORTS__SOCIAL__GROUP_ROLE__GROUP_ROLE_LEADER &&
                strcmp(known.name, job->group.name) == 0;
    job->reason = same ? REASON(OK) : REASON(IN_ANOTHER);
    if (same) {
        social_group_free(&job->group);
        job->group = known;
    } else {
        social_group_free(&known);
    }
    return err;
}

static enum mm_err create(struct mm_db_conn *conn, struct social_group_job *job, uint64_t seq)
{
    job->group.id = job->group_id;
    job->reason = social_group_name(&job->group, job->kind, job->name, job->tag);
    job->group.policy = job->action.policy;
    if (job->reason != REASON(OK))
        return MM_OK;
    uint64_t member_of = 0;
    enum mm_err err =
        find_membership(conn, job->app->session, job->group.kind, job->action.actor.id, &member_of);
    if (err != MM_OK)
        return err;
    if (member_of != 0)
        return create_again(conn, job, member_of);
    struct social_group_member leader = {.player = job->action.actor,
                                         .role = MMORTS__SOCIAL__GROUP_ROLE__GROUP_ROLE_LEADER,
                                         .joined_ms = job->action.now_ms};
    if (!mm_vec_push(&job->group.members, leader) || !copy_people(job))
        return MM_RESOURCE_EXHAUSTED;
    job->changes.items[0] = (struct social_group_change){
        .kind = EVENT(CREATED), .player = leader.player, .role = leader.role};
    job->changes.count = 1;
    err = write_changes(conn, job, seq);
    if (err == MM_ALREADY_EXISTS) { // the statement's work is undone, the transaction goes on
        job->reason = REASON(NAME_TAKEN);
        return MM_ALREADY_EXISTS;
    }
    return err;
}

static enum mm_err act(struct mm_db_conn *conn, struct social_group_job *job, uint64_t seq)
{
    const char *session = job->app->session;
    enum mm_err err = social_sql_group(conn, session, job->group_id, &job->group);
    if (err == MM_NOT_FOUND) {
        job->reason = REASON(NOT_FOUND);
        return MM_OK;
    }
    if (err != MM_OK)
        return err;
    bool invites = job->action.action == MMORTS__SOCIAL__GROUP_ACTION__GROUP_INVITE;
    err = find_membership(conn, session, job->group.kind,
                          invites ? job->action.target.id : job->action.actor.id,
                          &job->action.member_of);
    if (err != MM_OK)
        return err;
    if (!copy_people(job))
        return MM_RESOURCE_EXHAUSTED;
    job->reason = social_group_act(&job->group, &job->limits, &job->action, &job->changes);
    return job->reason == REASON(OK) ? write_changes(conn, job, seq) : MM_OK;
}

static enum mm_err expire(struct mm_db_conn *conn, struct social_group_job *job, uint64_t seq)
{
    enum mm_err err = social_sql_group(conn, job->app->session, job->group_id, &job->group);
    if (err != MM_OK)
        return err == MM_NOT_FOUND ? MM_OK : err; // disbanded meanwhile
    if (!copy_people(job))
        return MM_RESOURCE_EXHAUSTED;
    social_group_expire(&job->group, job->action.now_ms, &job->changes);
    return write_changes(conn, job, seq);
}

static enum mm_err change_group(struct mm_db_conn *conn, void *arg)
{
    struct social_group_job *job = arg;
    social_group_job_clear(job); // a transaction may be tried again
    social_group_init(&job->group);
    job->reason = REASON(OK);
    uint64_t seq = 0;
    enum mm_err err = social_sql_lock(conn, job->app->session, &seq);
    if (err != MM_OK)
        return err;
    if (job->expires)
        return expire(conn, job, seq);
    return job->creates ? create(conn, job, seq) : act(conn, job, seq);
}

enum mm_err social_sql_change(struct mm_db_conn *conn, void *arg)
{
    struct social_group_job *job = arg;
    enum mm_err err = mm_db_transaction(conn, change_group, job);
    if (err == MM_ALREADY_EXISTS && job->reason == REASON(NAME_TAKEN))
        err = MM_OK; // rolled back: nothing was changed
    return err;
}

enum mm_err social_sql_expire(struct mm_db_conn *conn, void *arg)
{
    struct social_group_job *job = arg;
    struct mm_db_rows *rows;
    enum mm_err err =
        mm_db_query_one(conn,
                        "SELECT group_id FROM group_pending WHERE session = ? AND "
                        "expires_ms <= ? AND group_id > ? ORDER BY group_id LIMIT 1",
                        MM_DB_ARGS(mm_db_str(job->app->session), mm_db_i64(job->action.now_ms),
                                   mm_db_u64(job->expires_after)),
                        &rows);
    if (err != MM_OK)
        return err == MM_NOT_FOUND ? MM_OK : err;
    job->group_id = mm_db_get_u64(rows, 0);
    err = mm_db_end(rows);
    return err == MM_OK ? mm_db_transaction(conn, change_group, job) : err;
}
