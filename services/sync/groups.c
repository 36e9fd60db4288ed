#include <inttypes.h>
#include <string.h>

#include "gen/social.pb-c.h"
#include "libcommon/base/alloc.h"
#include "libcommon/base/buf_json.h"
#include "libcommon/base/str.h"
#include "services/sync/answers.h"
#include "services/sync/app.h"
#include "services/sync/core/encode.h"

// Groups: what a player does with them goes to social, what becomes of them comes back as events.
// A client has the whole of its own groups in one message, `groups`: after it joined, and again
// whenever something happened to them.

#define GROUP_KIND "alliance"

enum { GROUPS_CALL_MS = 3000, GROUPS_CALLS_MAX = 32, GROUPS_LISTED = 100 };

// --- what a player does --------------------------------------------------------------------------

static const char *reason_word(Mmorts__Social__GroupReason reason)
{
    static const char *const words[] = {
        NULL,          "unknown_group", "invalid_name",     "name_taken",
        "forbidden",   "in_another",    "group_full",       "not_member",
        "not_pending", "not_open",      "too_many_pending", "invalid",
    };
    return (unsigned)reason < sizeof words / sizeof *words ? words[reason] : "internal";
}

static void answer(struct sync_errand *errand, enum mm_err err, const char *word,
                   const char *message)
{
    struct sync_app *app = errand->app;
    bool done = err == MM_OK && !word;
    struct sync_client *client = sync_errand_end(errand, err, word, message, 0, 0);
    // The event brings the same to all whom it concerns; this one has its answer at once.
    if (client && done)
        client->groups_wanted = true;
    sync_groups_ask(app);
}

static void on_action(void *arg, const struct mm_rpc_result *result)
{
    const Mmorts__Social__GroupReply *reply = (const void *)result->reply;
    if (result->code == MM_OK)
        answer(arg, MM_OK, reason_word(reply->reason), reply->message);
    else
        answer(arg, result->code, NULL, NULL);
}

static void write_group(struct mm_buf *out, const Mmorts__Social__Group *group);

static void on_list(void *arg, const struct mm_rpc_result *result)
{
    struct sync_errand *errand = arg;
    const Mmorts__Social__ListGroupsReply *reply = (const void *)result->reply;
    struct sync_client *client = sync_client_find(errand->app, errand->connection);
    if (result->code == MM_OK && client) {
        struct mm_buf *out = &errand->app->scratch;
        mm_buf_reset(out);
        mm_buf_printf(out, "{\"type\":\"group_list\",\"payload\":{\"seq\":%" PRIu64 ",\"groups\":[",
                      errand->seq);
        for (size_t i = 0; i < reply->n_groups; i++) {
            mm_buf_str(out, i > 0 ? "," : "");
            write_group(out, reply->groups[i]);
        }
        MM_BUF_LIT(out, "]}}");
        sync_client_send(client, out);
    }
    answer(errand, result->code, NULL, NULL);
}

static enum mm_err call_create(struct sync_client *client, struct sync_command *command,
                               const struct mm_rpc_call_options *options,
                               struct sync_errand *errand)
{
    Mmorts__Social__Member actor;
    sync_member_of(client, &actor);
    Mmorts__Social__CreateGroupRequest request = MMORTS__SOCIAL__CREATE_GROUP_REQUEST__INIT;
    request.session = (char *)(uintptr_t)client->app->session;
    request.actor = &actor;
    request.kind = (char *)(uintptr_t)GROUP_KIND;
    request.name = command->group.name;
    request.tag = command->group.tag;
    request.policy = (Mmorts__Social__GroupPolicy)command->group.policy;
    return mm_rpc_call(client->app->social, &mmorts__social__social__descriptor, "CreateGroup",
                       &request.base, options, on_action, errand, NULL);
}

static enum mm_err call_list(struct sync_client *client, struct sync_command *command,
                             const struct mm_rpc_call_options *options, struct sync_errand *errand)
{
    Mmorts__Social__ListGroupsRequest request = MMORTS__SOCIAL__LIST_GROUPS_REQUEST__INIT;
    request.session = (char *)(uintptr_t)client->app->session;
    request.kind = (char *)(uintptr_t)GROUP_KIND;
    request.after_id = command->target;
    request.limit = GROUPS_LISTED;
    return mm_rpc_call(client->app->social, &mmorts__social__social__descriptor, "ListGroups",
                       &request.base, options, on_list, errand, NULL);
}

static enum mm_err call_act(struct sync_client *client, struct sync_command *command,
                            const struct mm_rpc_call_options *options, struct sync_errand *errand)
{
    static const Mmorts__Social__GroupAction actions[] = {
        [SYNC_GROUP_INVITE] = MMORTS__SOCIAL__GROUP_ACTION__GROUP_INVITE,
        [SYNC_GROUP_JOIN] = MMORTS__SOCIAL__GROUP_ACTION__GROUP_JOIN,
        [SYNC_GROUP_DECLINE] = MMORTS__SOCIAL__GROUP_ACTION__GROUP_DECLINE,
        [SYNC_GROUP_REFUSE] = MMORTS__SOCIAL__GROUP_ACTION__GROUP_REFUSE,
        [SYNC_GROUP_LEAVE] = MMORTS__SOCIAL__GROUP_ACTION__GROUP_LEAVE,
        [SYNC_GROUP_KICK] = MMORTS__SOCIAL__GROUP_ACTION__GROUP_KICK,
        [SYNC_GROUP_ROLE] = MMORTS__SOCIAL__GROUP_ACTION__GROUP_SET_ROLE,
        [SYNC_GROUP_DISBAND] = MMORTS__SOCIAL__GROUP_ACTION__GROUP_DISBAND,
        [SYNC_GROUP_POLICY] = MMORTS__SOCIAL__GROUP_ACTION__GROUP_SET_POLICY,
    };
    Mmorts__Social__Member actor, target;
    sync_member_of(client, &actor);
    mmorts__social__member__init(&target);
    target.player_id = command->group.player;
    target.username = (char *)(uintptr_t)sync_roster_name_of(client->app, command->group.player);
    Mmorts__Social__ActOnGroupRequest request = MMORTS__SOCIAL__ACT_ON_GROUP_REQUEST__INIT;
    request.session = (char *)(uintptr_t)client->app->session;
    request.actor = &actor;
    request.group_id = command->target;
    request.action = actions[command->group.action];
    request.target = command->group.player ? &target : NULL;
    request.role = (Mmorts__Social__GroupRole)command->group.role;
    request.policy = (Mmorts__Social__GroupPolicy)command->group.policy;
    return mm_rpc_call(client->app->social, &mmorts__social__social__descriptor, "ActOnGroup",
                       &request.base, options, on_action, errand, NULL);
}

void sync_route_group(struct sync_client *client, struct sync_command *command)
{
    struct sync_app *app = client->app;
    // Who is invited has a name, and names are known of those who are online.
    if (command->group.action == SYNC_GROUP_INVITE &&
        !sync_roster_name_of(app, command->group.player)) {
        sync_refuse_command(client, "unknown_target", "That player is not online.", command->seq);
        return;
    }
    struct sync_errand *errand = sync_errand_new(client, command->seq);
    if (!errand) {
        sync_refuse_command(client, "queue_full", "Too many commands are waiting.", command->seq);
        return;
    }
    struct mm_rpc_call_options options = {.deadline_ms = (uint32_t)app->settings.command_ms,
                                          .idempotent = true};
    enum mm_err err =
        command->group.action == SYNC_GROUP_CREATE ? call_create(client, command, &options, errand)
        : command->group.action == SYNC_GROUP_LIST ? call_list(client, command, &options, errand)
                                                   : call_act(client, command, &options, errand);
    if (err == MM_OK) {
        client->commands++;
        return;
    }
    mm_free(errand);
    sync_refuse_command(client, sync_failure_word(err), sync_failure_message(err), command->seq);
}

// --- what a player's groups are ------------------------------------------------------------------

static const char *const role_words[] = {"none", "member", "officer", "leader"};
static const char *const policy_words[] = {"invite", "apply", "open"};

static const char *role_word(Mmorts__Social__GroupRole role)
{
    return (unsigned)role < 4 ? role_words[role] : role_words[0];
}

static const char *policy_word(Mmorts__Social__GroupPolicy policy)
{
    return (unsigned)policy < 3 ? policy_words[policy] : policy_words[0];
}

static void write_player(struct mm_buf *out, const Mmorts__Social__Member *member)
{
    mm_buf_printf(out,
                  "\"player_id\":\"%" PRIu64 "\",\"username\":", member ? member->player_id : 0);
    mm_buf_json_cstr(out, member ? member->username : "");
}

static void write_name(struct mm_buf *out, uint64_t id, const char *name, const char *tag)
{
    MM_BUF_LIT(out, "\"id\":");
    sync_encode_id(out, "group_", id);
    MM_BUF_LIT(out, ",\"name\":");
    mm_buf_json_cstr(out, name);
    MM_BUF_LIT(out, ",\"tag\":");
    mm_buf_json_cstr(out, tag);
}

static void write_group(struct mm_buf *out, const Mmorts__Social__Group *group)
{
    mm_buf_byte(out, '{');
    write_name(out, group->id, group->name, group->tag);
    mm_buf_printf(out, ",\"policy\":\"%s\",\"member_count\":%" PRIu32 ",\"members_max\":%" PRIu32,
                  policy_word(group->policy), group->member_count, group->members_max);
    for (size_t i = 0; i < group->n_members; i++) {
        mm_buf_str(out, i == 0 ? ",\"members\":[{" : ",{");
        write_player(out, group->members[i]->member);
        mm_buf_printf(out, ",\"role\":\"%s\"}%s", role_word(group->members[i]->role),
                      i + 1 == group->n_members ? "]" : "");
    }
    for (size_t i = 0; i < group->n_pending; i++) {
        mm_buf_str(out, i == 0 ? ",\"pending\":[{" : ",{");
        write_player(out, group->pending[i]->member);
        mm_buf_printf(out, ",\"application\":%s}%s",
                      group->pending[i]->application ? "true" : "false",
                      i + 1 == group->n_pending ? "]" : "");
    }
    mm_buf_byte(out, '}');
}

// Who waits is the officers' business.
static bool is_officer(const Mmorts__Social__Group *group, uint64_t player_id)
{
    for (size_t i = 0; i < group->n_members; i++) {
        if (group->members[i]->member && group->members[i]->member->player_id == player_id)
            return group->members[i]->role >= MMORTS__SOCIAL__GROUP_ROLE__GROUP_ROLE_OFFICER;
    }
    return false;
}

static void send_groups(struct sync_client *client,
                        const Mmorts__Social__GetPlayerGroupsReply *reply)
{
    struct mm_buf *out = &client->app->scratch;
    mm_buf_reset(out);
    MM_BUF_LIT(out, "{\"type\":\"groups\",\"payload\":{\"groups\":[");
    for (size_t i = 0; i < reply->n_groups; i++) {
        mm_buf_str(out, i > 0 ? "," : "");
        Mmorts__Social__Group group = *reply->groups[i];
        if (!is_officer(&group, client->player_id))
            group.n_pending = 0;
        write_group(out, &group);
    }
    MM_BUF_LIT(out, "],\"invited\":[");
    for (size_t i = 0; i < reply->n_invited; i++) {
        mm_buf_str(out, i > 0 ? "," : "");
        write_group(out, reply->invited[i]);
    }
    MM_BUF_LIT(out, "]}}");
    sync_client_send(client, out);
}

struct groups_question {
    struct sync_app *app;
    uint64_t connection;
};

static void on_groups(void *arg, const struct mm_rpc_result *result)
{
    struct groups_question *question = arg;
    struct sync_app *app = question->app;
    struct sync_client *client = sync_client_find(app, question->connection);
    app->groups_calls--;
    if (client)
        client->groups_asked = false;
    if (client && client->state == SYNC_CLIENT_PLAYING) {
        if (result->code == MM_OK)
            send_groups(client, (const void *)result->reply);
        else
            client->groups_wanted = true; // at the next heartbeat
    }
    mm_free(question);
    if (result->code == MM_OK)
        sync_groups_ask(app);
}

static bool ask_for(struct sync_client *client)
{
    struct sync_app *app = client->app;
    struct groups_question *question = mm_malloc(sizeof *question);
    if (!question)
        return false;
    *question = (struct groups_question){app, client->connection};
    Mmorts__Social__GetPlayerGroupsRequest request =
        MMORTS__SOCIAL__GET_PLAYER_GROUPS_REQUEST__INIT;
    request.session = (char *)(uintptr_t)app->session;
    request.player_id = client->player_id;
    struct mm_rpc_call_options options = {.deadline_ms = GROUPS_CALL_MS, .idempotent = true};
    if (mm_rpc_call(app->social, &mmorts__social__social__descriptor, "GetPlayerGroups",
                    &request.base, &options, on_groups, question, NULL) != MM_OK) {
        mm_free(question);
        return false;
    }
    app->groups_calls++;
    client->groups_asked = true;
    client->groups_wanted = false;
    return true;
}

void sync_groups_ask(struct sync_app *app)
{
    for (size_t i = 0; i < app->clients.count && app->groups_calls < GROUPS_CALLS_MAX; i++) {
        struct sync_client *client = app->clients.items[i];
        if (client->groups_wanted && !client->groups_asked && !client->behind &&
            client->state == SYNC_CLIENT_PLAYING && !ask_for(client))
            return;
    }
}

// --- what happens to groups ----------------------------------------------------------------------

static const char *event_word(Mmorts__Social__GroupEventKind kind)
{
    static const char *const words[] = {
        NULL,           "group_created",   "group_joined",  "group_left",    "group_kicked",
        "group_role",   "group_disbanded", "group_invited", "group_applied", "group_declined",
        "group_policy",
    };
    return (unsigned)kind < sizeof words / sizeof *words ? words[kind] : NULL;
}

void sync_groups_event(struct sync_app *app, const Mmorts__Social__GroupEvent *event)
{
    const char *word = event_word(event->kind);
    // One that comes again is no news; but what is true is asked for again, it costs little.
    bool news = sync_seen_take(&app->group_events, event->seq, event->mark);
    if (!word || !event->player || strcmp(event->group_kind, GROUP_KIND) != 0)
        return;
    for (size_t i = 0; i < event->n_to_players; i++) {
        struct sync_client *client = sync_clients_of_player(app, event->to_players[i]);
        if (!client)
            continue;
        struct mm_buf *out = &app->scratch;
        mm_buf_reset(out);
        mm_buf_printf(out, "{\"type\":\"%s\",\"payload\":{\"group\":{", word);
        write_name(out, event->group_id, event->name, event->tag);
        MM_BUF_LIT(out, "},\"player\":{");
        write_player(out, event->player);
        mm_buf_printf(out, "},\"by\":\"%" PRIu64 "\"", event->by_player);
        if (event->kind == MMORTS__SOCIAL__GROUP_EVENT_KIND__GROUP_ROLE_SET)
            mm_buf_printf(out, ",\"role\":\"%s\"", role_word(event->role));
        if (event->kind == MMORTS__SOCIAL__GROUP_EVENT_KIND__GROUP_POLICY_SET)
            mm_buf_printf(out, ",\"policy\":\"%s\"", policy_word(event->policy));
        MM_BUF_LIT(out, "}}");
        for (; client; client = client->beside) {
            if (client->state != SYNC_CLIENT_PLAYING)
                continue;
            if (news)
                sync_client_hold(client, out);
            client->groups_wanted = true;
        }
    }
    sync_groups_ask(app);
}
