#include <string.h>

#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/clock.h"
#include "libcommon/base/str.h"
#include "libcommon/io/db_conn.h"
#include "services/social/app.h"

// Questions about groups: a database job each.

enum { GROUPS_LISTED_MAX = 200, GROUPS_OF_PLAYER_MAX = 100 };

// --- groups as messages ------------------------------------------------------------------------

static char *copy_text(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = mm_malloc(size);
    MM_CHECK(copy);
    memcpy(copy, text, size);
    return copy;
}

static void *zeroed(size_t count, size_t size)
{
    void *memory = mm_calloc(count, size);
    MM_CHECK(memory);
    return memory;
}

static Mmorts__Social__Member *new_member(const struct social_group_player *player)
{
    Mmorts__Social__Member *member = zeroed(1, sizeof *member);
    mmorts__social__member__init(member);
    member->player_id = player->id;
    member->username = copy_text(player->username);
    member->display_id = copy_text(player->display_id);
    return member;
}

Mmorts__Social__Group *social_group_message_new(const struct social_app *app,
                                                const struct social_group *group, bool with_members,
                                                uint64_t for_player)
{
    Mmorts__Social__Group *message = zeroed(1, sizeof *message);
    mmorts__social__group__init(message);
    message->id = group->id;
    message->kind = copy_text(group->kind);
    message->name = copy_text(group->name);
    message->tag = copy_text(group->tag);
    message->policy = group->policy;
    message->members_max = (uint32_t)app->settings.group_members_max;
    message->member_count = (uint32_t)group->members.count;
    message->members = zeroed(group->members.count + 1, sizeof(void *));
    for (size_t i = 0; with_members && i < group->members.count; i++) {
        const struct social_group_member *from = &group->members.items[i];
        Mmorts__Social__GroupMember *to = zeroed(1, sizeof *to);
        mmorts__social__group_member__init(to);
        to->member = new_member(&from->player);
        to->role = from->role;
        to->joined_ms = from->joined_ms;
        message->members[message->n_members++] = to;
    }
    message->pending = zeroed(group->pending.count + 1, sizeof(void *));
    int64_t now_ms = mm_clock_wall_ms();
    for (size_t i = 0; i < group->pending.count; i++) {
        const struct social_group_pending *from = &group->pending.items[i];
        if ((for_player != 0 && from->player.id != for_player) || from->expires_ms <= now_ms)
            continue;
        Mmorts__Social__GroupPending *to = zeroed(1, sizeof *to);
        mmorts__social__group_pending__init(to);
        to->member = new_member(&from->player);
        to->application = from->application;
        to->by_player = from->by_player;
        to->expires_ms = from->expires_ms;
        message->pending[message->n_pending++] = to;
    }
    return message;
}

void social_group_message_free(Mmorts__Social__Group *message)
{
    if (message)
        mmorts__social__group__free_unpacked(message, NULL);
}

// --- jobs ------------------------------------------------------------------------------------

// One question. `groups` are loaded with all that belongs to them.
struct question {
    struct social_app *app;
    struct mm_rpc_call *call;
    void (*answer)(struct question *question);
    const Mmorts__Social__SendChatRequest *chat; // lives as long as the call
    char kind[SOCIAL_GROUP_KIND_BYTES];
    uint64_t id; // of a group or player
    uint32_t limit;
    struct {
        MM_VEC(struct social_group);
    } groups;
    uint64_t seq;
    struct {
        MM_VEC(uint64_t);
    } group_ids, player_ids;
};

static void question_free(struct question *question)
{
    for (size_t i = 0; i < question->groups.count; i++)
        social_group_free(&question->groups.items[i]);
    mm_vec_free(&question->groups);
    mm_vec_free(&question->group_ids);
    mm_vec_free(&question->player_ids);
    mm_free(question);
}

static void question_done(enum mm_err err, void *arg)
{
    struct question *question = arg;
    if (err == MM_OK)
        question->answer(question);
    else
        social_fail_db(question->app, question->call, err);
    question_free(question);
}

static struct question *question_new(struct social_app *app, struct mm_rpc_call *call,
                                     void (*answer)(struct question *question))
{
    struct question *question = zeroed(1, sizeof *question);
    question->app = app;
    question->call = call;
    question->answer = answer;
    mm_vec_init(&question->groups, GROUPS_LISTED_MAX + GROUPS_OF_PLAYER_MAX);
    mm_vec_init(&question->group_ids, UINT32_MAX / 16);
    mm_vec_init(&question->player_ids, UINT32_MAX / 16);
    return question;
}

// lane: see mm_db_job.
static void ask(struct question *question, mm_db_work_fn work, uint64_t lane)
{
    struct mm_db_job job = {.work = work, .done = question_done, .arg = question, .lane = lane};
    enum mm_err err = mm_db_submit(question->app->db, &job);
    if (err != MM_OK)
        question_done(err, question);
}

// Loads one more; one that was disbanded a moment ago is left out.
static enum mm_err load_group(struct mm_db_conn *conn, struct question *question, uint64_t id)
{
    struct social_group group;
    social_group_init(&group);
    enum mm_err err = social_sql_group(conn, question->app->session, id, &group);
    if (err == MM_OK && !mm_vec_push(&question->groups, group))
        err = MM_RESOURCE_EXHAUSTED;
    if (err != MM_OK)
        social_group_free(&group);
    return err == MM_NOT_FOUND ? MM_OK : err;
}

static enum mm_err load_groups(struct mm_db_conn *conn, struct question *question)
{
    enum mm_err err = MM_OK;
    for (size_t i = 0; err == MM_OK && i < question->group_ids.count; i++)
        err = load_group(conn, question, question->group_ids.items[i]);
    return err;
}

static enum mm_err find_ids(struct mm_db_conn *conn, struct question *question, const char *sql,
                            const struct mm_db_arg *args, size_t arg_count)
{
    struct mm_db_rows *rows;
    enum mm_err err = mm_db_query(conn, sql, args, arg_count, &rows);
    if (err != MM_OK)
        return err;
    bool room = true;
    while (room && mm_db_next(rows))
        room = mm_vec_push(&question->group_ids, mm_db_get_u64(rows, 0));
    err = mm_db_end(rows);
    return err == MM_OK && !room ? MM_RESOURCE_EXHAUSTED : err;
}

// --- one group, and its chat -------------------------------------------------------------------

static enum mm_err one_group_work(struct mm_db_conn *conn, void *arg)
{
    struct question *question = arg;
    return load_group(conn, question, question->id);
}

static void answer_group(struct question *question)
{
    Mmorts__Social__GetGroupReply reply = MMORTS__SOCIAL__GET_GROUP_REPLY__INIT;
    if (question->groups.count > 0)
        reply.group = social_group_message_new(question->app, &question->groups.items[0], true, 0);
    mm_rpc_reply(question->call, &reply.base);
    social_group_message_free(reply.group);
}

void social_get_group(struct social_app *app, struct mm_rpc_call *call,
                      const Mmorts__Social__GetGroupRequest *input)
{
    struct question *question = question_new(app, call, answer_group);
    question->id = input->group_id;
    ask(question, one_group_work, 0);
}

static void answer_chat(struct question *question)
{
    size_t count = question->groups.count > 0 ? question->groups.items[0].members.count : 0;
    uint64_t *players = zeroed(count + 1, sizeof *players);
    for (size_t i = 0; i < count; i++)
        players[i] = question->groups.items[0].members.items[i].player.id;
    social_send_chat_to(question->app, question->call, question->chat, players, count);
    mm_free(players);
}

void social_chat_to_group(struct social_app *app, struct mm_rpc_call *call,
                          const Mmorts__Social__SendChatRequest *input)
{
    struct question *question = question_new(app, call, answer_chat);
    question->id = input->to_group;
    question->chat = input;
    // One lane for each speaker: what is said first is heard first.
    ask(question, one_group_work, input->from->player_id);
}

// --- lists -------------------------------------------------------------------------------------

static enum mm_err list_work(struct mm_db_conn *conn, void *arg)
{
    struct question *question = arg;
    enum mm_err err = find_ids(
        conn, question,
        "SELECT id FROM player_groups WHERE session = ? AND kind = ? AND id > ? ORDER BY id "
        "LIMIT ?",
        MM_DB_ARGS(mm_db_str(question->app->session), mm_db_str(question->kind),
                   mm_db_u64(question->id), mm_db_u64(question->limit)));
    return err == MM_OK ? load_groups(conn, question) : err;
}

static void answer_list(struct question *question)
{
    Mmorts__Social__ListGroupsReply reply = MMORTS__SOCIAL__LIST_GROUPS_REPLY__INIT;
    reply.groups = zeroed(question->groups.count + 1, sizeof(void *));
    for (size_t i = 0; i < question->groups.count; i++)
        reply.groups[reply.n_groups++] =
            social_group_message_new(question->app, &question->groups.items[i], false, UINT64_MAX);
    mm_rpc_reply(question->call, &reply.base);
    for (size_t i = 0; i < reply.n_groups; i++)
        social_group_message_free(reply.groups[i]);
    mm_free(reply.groups);
}

void social_list_groups(struct social_app *app, struct mm_rpc_call *call,
                        const Mmorts__Social__ListGroupsRequest *input)
{
    struct question *question = question_new(app, call, answer_list);
    question->id = input->after_id;
    question->limit = input->limit;
    if (input->limit >= 1 && input->limit <= GROUPS_LISTED_MAX && input->kind[0] != '\0' &&
        mm_str_copy(question->kind, sizeof question->kind, input->kind)) {
        ask(question, list_work, 0);
        return;
    }
    mm_rpc_fail(call, MM_INVALID_ARGUMENT, "a kind, and a limit of 1 to %d", GROUPS_LISTED_MAX);
    question_free(question);
}

static enum mm_err player_work(struct mm_db_conn *conn, void *arg)
{
    struct question *question = arg;
    enum mm_err err =
        find_ids(conn, question,
                 "SELECT group_id FROM group_members WHERE session = ? AND player_id = ? "
                 "UNION SELECT group_id FROM group_pending WHERE session = ? AND player_id = ? "
                 "AND expires_ms > ? LIMIT ?",
                 MM_DB_ARGS(mm_db_str(question->app->session), mm_db_u64(question->id),
                            mm_db_str(question->app->session), mm_db_u64(question->id),
                            mm_db_i64(mm_clock_wall_ms()), mm_db_u64(GROUPS_OF_PLAYER_MAX)));
    return err == MM_OK ? load_groups(conn, question) : err;
}

static void answer_player(struct question *question)
{
    Mmorts__Social__GetPlayerGroupsReply reply = MMORTS__SOCIAL__GET_PLAYER_GROUPS_REPLY__INIT;
    reply.groups = zeroed(question->groups.count + 1, sizeof(void *));
    reply.invited = zeroed(question->groups.count + 1, sizeof(void *));
    for (size_t i = 0; i < question->groups.count; i++) {
        const struct social_group *group = &question->groups.items[i];
        if (social_group_member_find(group, question->id))
            reply.groups[reply.n_groups++] =
                social_group_message_new(question->app, group, true, 0);
        else if (social_group_pending_find(group, question->id))
            reply.invited[reply.n_invited++] =
                social_group_message_new(question->app, group, false, question->id);
    }
    mm_rpc_reply(question->call, &reply.base);
    for (size_t i = 0; i < reply.n_groups; i++)
        social_group_message_free(reply.groups[i]);
    for (size_t i = 0; i < reply.n_invited; i++)
        social_group_message_free(reply.invited[i]);
    mm_free(reply.groups);
    mm_free(reply.invited);
}

void social_get_player_groups(struct social_app *app, struct mm_rpc_call *call,
                              const Mmorts__Social__GetPlayerGroupsRequest *input)
{
    struct question *question = question_new(app, call, answer_player);
    question->id = input->player_id;
    ask(question, player_work, 0);
}

// --- memberships -------------------------------------------------------------------------------

static enum mm_err memberships(struct mm_db_conn *conn, void *arg)
{
    struct question *question = arg;
    mm_vec_clear(&question->group_ids);
    mm_vec_clear(&question->player_ids);
    enum mm_err err = social_sql_lock(conn, question->app->session, &question->seq);
    struct mm_db_rows *rows;
    if (err == MM_OK)
        err = mm_db_query(conn,
                          "SELECT group_id, player_id FROM group_members "
                          "WHERE session = ? AND kind = ? ORDER BY group_id, player_id",
                          MM_DB_ARGS(mm_db_str(question->app->session), mm_db_str(question->kind)),
                          &rows);
    if (err != MM_OK)
        return err;
    bool room = true;
    while (room && mm_db_next(rows))
        room = mm_vec_push(&question->group_ids, mm_db_get_u64(rows, 0)) &&
               mm_vec_push(&question->player_ids, mm_db_get_u64(rows, 1));
    err = mm_db_end(rows);
    return err == MM_OK && !room ? MM_RESOURCE_EXHAUSTED : err;
}

static enum mm_err memberships_work(struct mm_db_conn *conn, void *arg)
{
    return mm_db_transaction(conn, memberships, arg);
}

static void answer_memberships(struct question *question)
{
    Mmorts__Social__ListMembershipsReply reply = MMORTS__SOCIAL__LIST_MEMBERSHIPS_REPLY__INIT;
    reply.seq = question->seq;
    reply.n_group_id = question->group_ids.count;
    reply.group_id = question->group_ids.items;
    reply.n_player_id = question->player_ids.count;
    reply.player_id = question->player_ids.items;
    mm_rpc_reply(question->call, &reply.base);
}

void social_list_memberships(struct social_app *app, struct mm_rpc_call *call,
                             const Mmorts__Social__ListMembershipsRequest *input)
{
    struct question *question = question_new(app, call, answer_memberships);
    if (input->kind[0] != '\0' && mm_str_copy(question->kind, sizeof question->kind, input->kind)) {
        ask(question, memberships_work, 0);
        return;
    }
    mm_rpc_fail(call, MM_INVALID_ARGUMENT, "a kind is needed");
    question_free(question);
}
