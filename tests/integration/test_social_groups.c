// Groups with two instances of the social service on one MariaDB and one Redis of their own.

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/io/db_conn.h"
#include "tests/support/db_options.h"
#include "tests/support/process.h"
#include "tests/support/servers.h"
#include "tests/support/social.h"
#include "tests/support/social_listener.h"

#define REASON(name) MMORTS__SOCIAL__GROUP_REASON__GROUP_##name
#define ACTION(name) MMORTS__SOCIAL__GROUP_ACTION__GROUP_##name
#define EVENT(name)  MMORTS__SOCIAL__GROUP_EVENT_KIND__GROUP_##name
#define ROLE(name)   MMORTS__SOCIAL__GROUP_ROLE__GROUP_ROLE_##name

static struct test_service *first, *second;
static struct test_listener *listener;
static uint64_t last_seq;

static struct test_service *start(void)
{
    return test_social_start("MMORTS_SOCIAL_GROUP_PENDING=1h");
}

static void set_up(void)
{
    test_social_servers_start();
    first = start();
    second = start();
    listener = test_listener_open(test_social_redis());
}

static void tear_down(void)
{
    test_listener_close(listener);
    test_service_free(first);
    test_service_free(second);
    test_social_servers_free();
}

TestSuite(social_groups, .init = set_up, .fini = tear_down, .timeout = 300);

// Answers the group's id; 0 unless GROUP_OK.
static uint64_t create(struct test_service *service, uint64_t actor, const char *name,
                       Mmorts__Social__GroupPolicy policy, Mmorts__Social__GroupReason want)
{
    Mmorts__Social__Member m = test_social_member(actor);
    Mmorts__Social__CreateGroupRequest request = MMORTS__SOCIAL__CREATE_GROUP_REQUEST__INIT;
    request.session = (char *)"main";
    request.actor = &m;
    request.kind = (char *)"clan";
    request.name = (char *)(uintptr_t)name;
    request.tag = (char *)"TAG";
    request.policy = policy;
    Mmorts__Social__GroupReply *reply = NULL;
    cr_assert_eq(test_social_call(service, "CreateGroup", &request, &reply), MM_OK);
    cr_assert_eq(reply->reason, want, "%s", reply->message);
    uint64_t id = reply->group ? reply->group->id : 0;
    mmorts__social__group_reply__free_unpacked(reply, NULL);
    return id;
}

static enum mm_err try_act(struct test_service *service, uint64_t group, uint64_t actor,
                           Mmorts__Social__GroupAction action, uint64_t target,
                           Mmorts__Social__GroupReply **reply)
{
    Mmorts__Social__Member a = test_social_member(actor), t = test_social_member(target);
    Mmorts__Social__ActOnGroupRequest request = MMORTS__SOCIAL__ACT_ON_GROUP_REQUEST__INIT;
    request.session = (char *)"main";
    request.actor = &a;
    request.group_id = group;
    request.action = action;
    request.target = target ? &t : NULL;
    request.role = ROLE(OFFICER);
    return test_social_call(service, "ActOnGroup", &request, reply);
}

static void act(struct test_service *service, uint64_t group, uint64_t actor,
                Mmorts__Social__GroupAction action, uint64_t target,
                Mmorts__Social__GroupReason want)
{
    Mmorts__Social__GroupReply *reply = NULL;
    cr_assert_eq(try_act(service, group, actor, action, target, &reply), MM_OK);
    cr_assert_eq(reply->reason, want, "action %d: %s", (int)action, reply->message);
    mmorts__social__group_reply__free_unpacked(reply, NULL);
}

// The next event is that one, is numbered next, and is for so many players.
static void expect_event(Mmorts__Social__GroupEventKind kind, uint64_t player_id, size_t told)
{
    Mmorts__Social__Event *event = test_listener_next(listener, TEST_PATIENCE_MS);
    cr_assert(event != NULL, "no event");
    cr_assert_eq(event->event_case, MMORTS__SOCIAL__EVENT__EVENT_GROUP);
    cr_expect_eq(event->group->kind, kind, "%d, not %d", (int)event->group->kind, (int)kind);
    cr_expect_eq(event->group->player->player_id, player_id);
    cr_expect_eq(event->group->seq, ++last_seq);
    static uint64_t last_mark;
    cr_expect_neq(event->group->mark, 0);
    cr_expect_neq(event->group->mark, last_mark, "each has its own");
    last_mark = event->group->mark;
    cr_expect_eq(event->group->n_to_players, told, "%zu are told, not %zu",
                 event->group->n_to_players, told);
    cr_expect_str_eq(event->group->group_kind, "clan");
    mmorts__social__event__free_unpacked(event, NULL);
}

static void expect_silence(void)
{
    cr_assert(test_listener_is_silent(listener));
}

static size_t count_memberships(struct test_service *service, uint64_t *seq_out)
{
    Mmorts__Social__ListMembershipsRequest request = MMORTS__SOCIAL__LIST_MEMBERSHIPS_REQUEST__INIT;
    request.session = (char *)"main";
    request.kind = (char *)"clan";
    Mmorts__Social__ListMembershipsReply *reply = NULL;
    cr_assert_eq(test_social_call(service, "ListMemberships", &request, &reply), MM_OK);
    cr_assert_eq(reply->n_group_id, reply->n_player_id);
    size_t count = reply->n_group_id;
    if (seq_out)
        *seq_out = reply->seq;
    mmorts__social__list_memberships_reply__free_unpacked(reply, NULL);
    return count;
}

Test(social_groups, from_founding_to_disbanding_over_two_instances)
{
    last_seq = 0;
    uint64_t id =
        create(first, 1, "The Lot", MMORTS__SOCIAL__GROUP_POLICY__GROUP_INVITE_ONLY, REASON(OK));
    expect_event(EVENT(CREATED), 1, 1);
    cr_expect_eq(create(second, 1, "The Lot", 0, REASON(OK)), id, "the same request again");
    (void)create(second, 1, "Another", 0, REASON(IN_ANOTHER));
    (void)create(second, 2, "the lot", 0, REASON(NAME_TAKEN));
    (void)create(second, 2, "no", 0, REASON(INVALID_NAME));
    expect_silence();
    act(second, id, 1, ACTION(INVITE), 2, REASON(OK));
    expect_event(EVENT(INVITED), 2, 2);
    act(first, id, 3, ACTION(JOIN), 0, REASON(NOT_OPEN));
    act(first, id, 2, ACTION(JOIN), 0, REASON(OK));
    expect_event(EVENT(JOINED), 2, 2);
    act(second, id, 2, ACTION(JOIN), 0, REASON(OK));
    act(second, id, 2, ACTION(INVITE), 3, REASON(FORBIDDEN));
    act(second, id, 1, ACTION(SET_ROLE), 2, REASON(OK));
    expect_event(EVENT(ROLE_SET), 2, 2);
    act(second, id, 2, ACTION(INVITE), 3, REASON(OK));
    expect_event(EVENT(INVITED), 3, 3);
    act(second, id, 3, ACTION(DECLINE), 0, REASON(OK));
    expect_event(EVENT(DECLINED), 3, 3);
    cr_expect_eq(count_memberships(first, NULL), 2);
    act(second, id, 1, ACTION(LEAVE), 0, REASON(OK));
    expect_event(EVENT(LEFT), 1, 2);
    expect_event(EVENT(ROLE_SET), 2, 2);
    act(first, id, 2, ACTION(DISBAND), 0, REASON(OK));
    expect_event(EVENT(DISBANDED), 2, 1);
    act(second, id, 2, ACTION(LEAVE), 0, REASON(NOT_FOUND));
    uint64_t seq = 0;
    cr_expect_eq(count_memberships(second, &seq), 0);
    cr_expect_eq(seq, last_seq);
    (void)create(first, 2, "THE LOT", 0, REASON(OK));
}

static size_t count_invitations(struct test_service *service, uint64_t player_id)
{
    Mmorts__Social__GetPlayerGroupsRequest request =
        MMORTS__SOCIAL__GET_PLAYER_GROUPS_REQUEST__INIT;
    request.session = (char *)"main";
    request.player_id = player_id;
    Mmorts__Social__GetPlayerGroupsReply *reply = NULL;
    cr_assert_eq(test_social_call(service, "GetPlayerGroups", &request, &reply), MM_OK);
    size_t count = reply->n_invited;
    mmorts__social__get_player_groups_reply__free_unpacked(reply, NULL);
    return count;
}

// Each end of an invitation or application is told to whom it was for.
Test(social_groups, who_waits_for_an_answer_hears_that_there_will_be_none)
{
    last_seq = 0;
    uint64_t id =
        create(first, 1, "Group one", MMORTS__SOCIAL__GROUP_POLICY__GROUP_APPLY, REASON(OK));
    expect_event(EVENT(CREATED), 1, 1);
    act(second, id, 1, ACTION(INVITE), 2, REASON(OK));
    expect_event(EVENT(INVITED), 2, 2);
    act(first, id, 3, ACTION(JOIN), 0, REASON(OK));
    expect_event(EVENT(APPLIED), 3, 2);
    act(second, id, 1, ACTION(REFUSE), 2, REASON(OK));
    expect_event(EVENT(DECLINED), 2, 2);
    act(second, id, 1, ACTION(INVITE), 2, REASON(OK));
    expect_event(EVENT(INVITED), 2, 2);
    act(first, id, 1, ACTION(DISBAND), 0, REASON(OK));
    expect_event(EVENT(DISBANDED), 1, 3);
    cr_expect_eq(count_invitations(second, 2), 0);
    // The last one who leaves disbands it.
    id =
        create(second, 1, "Group two", MMORTS__SOCIAL__GROUP_POLICY__GROUP_INVITE_ONLY, REASON(OK));
    expect_event(EVENT(CREATED), 1, 1);
    act(first, id, 1, ACTION(INVITE), 2, REASON(OK));
    expect_event(EVENT(INVITED), 2, 2);
    act(second, id, 1, ACTION(LEAVE), 0, REASON(OK));
    expect_event(EVENT(DISBANDED), 1, 2);
}

Test(social_groups, an_invitation_ends_with_its_time)
{
    last_seq = 0;
    uint64_t id =
        create(first, 1, "Group one", MMORTS__SOCIAL__GROUP_POLICY__GROUP_INVITE_ONLY, REASON(OK));
    expect_event(EVENT(CREATED), 1, 1);
    act(first, id, 1, ACTION(INVITE), 2, REASON(OK));
    expect_event(EVENT(INVITED), 2, 2);
    struct test_service *hasty = test_social_start("MMORTS_SOCIAL_GROUP_PENDING=1s");
    act(hasty, id, 1, ACTION(INVITE), 3, REASON(OK));
    act(hasty, id, 1, ACTION(INVITE), 4, REASON(OK));
    uint64_t invited[5] = {0}, void_since[5] = {0}; // the events' numbers
    for (int i = 0; i < 4; i++) {
        Mmorts__Social__Event *event = test_listener_next(listener, TEST_PATIENCE_MS);
        cr_assert(event && event->event_case == MMORTS__SOCIAL__EVENT__EVENT_GROUP);
        uint64_t player = event->group->player->player_id;
        cr_assert(player == 3 || player == 4);
        cr_expect_eq(event->group->n_to_players, 2);
        bool ended = event->group->kind == EVENT(DECLINED);
        cr_assert(ended || event->group->kind == EVENT(INVITED));
        cr_expect_eq(event->group->by_player, ended ? 0 : 1);
        *(ended ? &void_since[player] : &invited[player]) = event->group->seq;
        mmorts__social__event__free_unpacked(event, NULL);
    }
    for (int player = 3; player <= 4; player++) {
        cr_assert_gt(invited[player], last_seq);
        cr_assert_gt(void_since[player], invited[player]);
    }
    cr_expect_eq(count_invitations(second, 3), 0);
    cr_expect_eq(count_invitations(second, 2), 1);
    act(second, id, 3, ACTION(JOIN), 0, REASON(NOT_OPEN));
    test_service_free(hasty);
    expect_silence();
}

static void run_sql(const char *sql)
{
    struct mm_db_conn *db;
    struct mm_db_options options =
        test_db_options(test_server_address(test_social_mariadb()), "mmorts_social");
    cr_assert_eq(mm_db_conn_open(&options, &db), MM_OK);
    cr_assert_eq(mm_db_exec(db, sql, MM_DB_NO_ARGS, NULL), MM_OK, "%s", mm_db_error_text(db));
    mm_db_conn_close(db);
}

// Whichever of the two has the lower number.
Test(social_groups, a_group_that_cannot_be_changed_holds_up_no_others_time)
{
    last_seq = 0;
    struct test_service *hasty = test_social_start("MMORTS_SOCIAL_GROUP_PENDING=1s");
    uint64_t ids[3];
    static const char *const names[] = {"Group one", "Group two", "Group three"};
    run_sql("CREATE TRIGGER held BEFORE DELETE ON group_pending FOR EACH ROW "
            "IF OLD.player_id = 12 THEN SIGNAL SQLSTATE '45000'; END IF");
    for (uint64_t i = 0; i < 3; i++) {
        ids[i] = create(first, i + 1, names[i], MMORTS__SOCIAL__GROUP_POLICY__GROUP_INVITE_ONLY,
                        REASON(OK));
        expect_event(EVENT(CREATED), i + 1, 1);
    }
    // The one that cannot be changed is the second by number, and its time is the first to end.
    uint64_t low = ids[0] < ids[1] ? ids[0] : ids[1], high = ids[0] < ids[1] ? ids[1] : ids[0];
    uint64_t middle = ids[2] < low ? low : ids[2] > high ? high : ids[2];
    bool ended[3] = {false};
    for (int turn = 0; turn < 2; turn++)
        for (uint64_t i = 0; i < 3; i++)
            if ((ids[i] == middle) == (turn == 0))
                act(hasty, ids[i], i + 1, ACTION(INVITE), ids[i] == middle ? 12 : 20 + i,
                    REASON(OK));
    for (int i = 0; i < 5; i++) {
        Mmorts__Social__Event *event = test_listener_next(listener, TEST_PATIENCE_MS);
        cr_assert(event && event->event_case == MMORTS__SOCIAL__EVENT__EVENT_GROUP);
        uint64_t player = event->group->player->player_id;
        if (event->group->kind == EVENT(DECLINED)) {
            cr_assert(player >= 20 && player <= 22 && !ended[player - 20]);
            ended[player - 20] = true;
        }
        mmorts__social__event__free_unpacked(event, NULL);
    }
    cr_expect_eq(ended[0] + ended[1] + ended[2], 2);
    expect_silence();
    run_sql("DROP TRIGGER held");
    last_seq += 5;
    expect_event(EVENT(DECLINED), 12, 2);
    test_service_free(hasty);
    expect_silence();
}

Test(social_groups, a_player_is_in_one_group_of_a_kind_also_when_asked_twice_at_once)
{
    uint64_t one =
        create(first, 1, "Group one", MMORTS__SOCIAL__GROUP_POLICY__GROUP_OPEN, REASON(OK));
    uint64_t two =
        create(second, 2, "Group two", MMORTS__SOCIAL__GROUP_POLICY__GROUP_OPEN, REASON(OK));
    act(first, one, 3, ACTION(JOIN), 0, REASON(OK));
    act(second, two, 3, ACTION(JOIN), 0, REASON(IN_ANOTHER));
    act(second, two, 1, ACTION(JOIN), 0, REASON(IN_ANOTHER));
    act(first, one, 3, ACTION(LEAVE), 0, REASON(OK));
    act(second, two, 3, ACTION(JOIN), 0, REASON(OK));
    cr_expect_eq(count_memberships(first, NULL), 3);
}

Test(social_groups, lists)
{
    uint64_t one =
        create(first, 1, "Group one", MMORTS__SOCIAL__GROUP_POLICY__GROUP_APPLY, REASON(OK));
    (void)create(first, 2, "Group two", MMORTS__SOCIAL__GROUP_POLICY__GROUP_OPEN, REASON(OK));
    act(second, one, 3, ACTION(JOIN), 0, REASON(OK));
    Mmorts__Social__GetPlayerGroupsRequest request =
        MMORTS__SOCIAL__GET_PLAYER_GROUPS_REQUEST__INIT;
    request.session = (char *)"main";
    request.player_id = 3;
    Mmorts__Social__GetPlayerGroupsReply *mine = NULL;
    cr_assert_eq(test_social_call(second, "GetPlayerGroups", &request, &mine), MM_OK);
    cr_assert_eq(mine->n_groups, 0);
    cr_assert_eq(mine->n_invited, 1);
    cr_expect_eq(mine->invited[0]->id, one);
    cr_expect_eq(mine->invited[0]->n_members, 0);
    cr_assert_eq(mine->invited[0]->n_pending, 1);
    cr_expect(mine->invited[0]->pending[0]->application);
    mmorts__social__get_player_groups_reply__free_unpacked(mine, NULL);

    Mmorts__Social__ListGroupsRequest list = MMORTS__SOCIAL__LIST_GROUPS_REQUEST__INIT;
    list.session = (char *)"main";
    list.kind = (char *)"clan";
    list.limit = 1;
    size_t listed = 0;
    for (size_t pages = 0; pages < 3; pages++) {
        Mmorts__Social__ListGroupsReply *reply = NULL;
        cr_assert_eq(test_social_call(first, "ListGroups", &list, &reply), MM_OK);
        for (size_t i = 0; i < reply->n_groups; i++, listed++) {
            cr_expect_gt(reply->groups[i]->id, list.after_id);
            cr_expect_eq(reply->groups[i]->n_members, 0);
            cr_expect_eq(reply->groups[i]->n_pending, 0, "who applied is nobody's business");
            cr_expect_eq(reply->groups[i]->member_count, 1);
            list.after_id = reply->groups[i]->id;
        }
        mmorts__social__list_groups_reply__free_unpacked(reply, NULL);
    }
    cr_expect_eq(listed, 2);
    list.limit = 201;
    cr_expect_eq(test_social_call(first, "ListGroups", &list, NULL), MM_INVALID_ARGUMENT);
    list.limit = 1;
    list.kind = (char *)"";
    cr_expect_eq(test_social_call(first, "ListGroups", &list, NULL), MM_INVALID_ARGUMENT);
}

static struct test_pending *begin_saying(uint64_t from, uint64_t group, const char *text)
{
    Mmorts__Social__Member m = test_social_member(from);
    Mmorts__Social__SendChatRequest request = MMORTS__SOCIAL__SEND_CHAT_REQUEST__INIT;
    request.session = (char *)"main";
    request.from = &m;
    request.scope = MMORTS__SOCIAL__CHAT_SCOPE__CHAT_GROUP;
    request.to_group = group;
    request.message = (char *)(uintptr_t)text;
    return test_call_begin(second, &mmorts__social__social__descriptor, "SendChat", &request.base);
}

static Mmorts__Social__ChatReason end_saying(struct test_pending *pending)
{
    ProtobufCMessage *message = NULL;
    cr_assert_eq(test_call_end(pending, &message), MM_OK);
    Mmorts__Social__SendChatReply *reply = (void *)message;
    Mmorts__Social__ChatReason reason = reply->reason;
    mmorts__social__send_chat_reply__free_unpacked(reply, NULL);
    return reason;
}

static Mmorts__Social__ChatReason say(uint64_t from, uint64_t group)
{
    return end_saying(begin_saying(from, group, "hello, all"));
}

Test(social_groups, what_a_member_says_is_for_the_members)
{
    last_seq = 0;
    uint64_t id =
        create(first, 1, "Group one", MMORTS__SOCIAL__GROUP_POLICY__GROUP_OPEN, REASON(OK));
    expect_event(EVENT(CREATED), 1, 1);
    act(first, id, 2, ACTION(JOIN), 0, REASON(OK));
    expect_event(EVENT(JOINED), 2, 2);
    cr_expect_eq(say(3, id), MMORTS__SOCIAL__CHAT_REASON__CHAT_UNKNOWN_RECIPIENT);
    cr_expect_eq(say(1, id + 1), MMORTS__SOCIAL__CHAT_REASON__CHAT_UNKNOWN_RECIPIENT);
    expect_silence();
    cr_expect_eq(say(2, id), MMORTS__SOCIAL__CHAT_REASON__CHAT_OK);
    Mmorts__Social__Event *event = test_listener_next(listener, TEST_PATIENCE_MS);
    cr_assert(event && event->event_case == MMORTS__SOCIAL__EVENT__EVENT_CHAT);
    cr_expect_eq(event->chat->to_group, id);
    cr_expect_eq(event->chat->n_to_players, 2);
    mmorts__social__event__free_unpacked(event, NULL);
}

static Mmorts__Social__Event *next_chat(void)
{
    for (;;) {
        Mmorts__Social__Event *event = test_listener_next(listener, TEST_PATIENCE_MS);
        cr_assert(event != NULL, "no event");
        if (event->event_case == MMORTS__SOCIAL__EVENT__EVENT_CHAT)
            return event;
        mmorts__social__event__free_unpacked(event, NULL);
    }
}

Test(social_groups, what_each_says_first_is_heard_first)
{
    enum { SPEAKERS = 12, LINES = 5 }; // as many lines as one may say at once
    struct test_pending *pending[SPEAKERS][LINES];
    int heard[SPEAKERS + 1] = {0};
    uint64_t id =
        create(first, 1, "Group one", MMORTS__SOCIAL__GROUP_POLICY__GROUP_OPEN, REASON(OK));
    for (uint64_t player = 2; player <= SPEAKERS; player++)
        act(first, id, player, ACTION(JOIN), 0, REASON(OK));
    for (uint64_t player = 1; player <= SPEAKERS; player++)
        for (int line = 0; line < LINES; line++) {
            char text[2] = {(char)('0' + line), '\0'};
            pending[player - 1][line] = begin_saying(player, id, text);
        }
    for (int i = 0; i < SPEAKERS * LINES; i++) {
        cr_expect_eq(end_saying(pending[i / LINES][i % LINES]),
                     MMORTS__SOCIAL__CHAT_REASON__CHAT_OK);
        Mmorts__Social__Event *event = next_chat();
        uint64_t player = event->chat->from->player_id;
        cr_assert(player >= 1 && player <= SPEAKERS);
        cr_expect_eq(event->chat->message[0] - '0', heard[player]++, "player %d said %s",
                     (int)player, event->chat->message);
        mmorts__social__event__free_unpacked(event, NULL);
    }
}

Test(social_groups, what_was_answered_outlives_every_process)
{
    uint64_t id =
        create(first, 1, "Group one", MMORTS__SOCIAL__GROUP_POLICY__GROUP_OPEN, REASON(OK));
    act(second, id, 2, ACTION(JOIN), 0, REASON(OK));
    test_process_kill(test_service_process(first));
    test_process_kill(test_service_process(second));
    test_server_kill(test_social_mariadb());
    test_server_restart(test_social_mariadb());
    test_service_free(first);
    test_service_free(second);
    first = start();
    second = start();
    cr_expect_eq(count_memberships(first, NULL), 2);
    act(second, id, 2, ACTION(LEAVE), 0, REASON(OK));
}

Test(social_groups, events_that_redis_did_not_take_are_published_later)
{
    last_seq = 0;
    uint64_t id =
        create(first, 1, "Group one", MMORTS__SOCIAL__GROUP_POLICY__GROUP_OPEN, REASON(OK));
    expect_event(EVENT(CREATED), 1, 1);
    test_server_stop(test_social_redis());
    act(second, id, 2, ACTION(JOIN), 0, REASON(OK));
    test_social_redis_return(listener, (struct test_service *const[]){first, second, NULL});
    expect_event(EVENT(JOINED), 2, 2);
    act(second, id, 2, ACTION(LEAVE), 0, REASON(OK));
    expect_event(EVENT(LEFT), 2, 2);
    expect_silence();
}

Test(social_groups, without_the_database_nothing_is_changed_and_chat_goes_on)
{
    uint64_t id =
        create(first, 1, "Group one", MMORTS__SOCIAL__GROUP_POLICY__GROUP_OPEN, REASON(OK));
    test_server_stop(test_social_mariadb());
    cr_expect_eq(try_act(first, id, 2, ACTION(JOIN), 0, NULL), MM_UNAVAILABLE);
    Mmorts__Social__Member m = test_social_member(1);
    Mmorts__Social__SendChatRequest request = MMORTS__SOCIAL__SEND_CHAT_REQUEST__INIT;
    request.session = (char *)"main";
    request.from = &m;
    request.message = (char *)"anybody there?";
    cr_expect_eq(test_social_call(first, "SendChat", &request, NULL), MM_OK);
    test_server_restart(test_social_mariadb());
    test_service_wait_ready(first, TEST_PATIENCE_MS);
    cr_expect_eq(count_memberships(first, NULL), 1);
    act(first, id, 2, ACTION(JOIN), 0, REASON(OK));
}

Test(social_groups, malformed_requests_are_typed_errors)
{
    Mmorts__Social__CreateGroupRequest request = MMORTS__SOCIAL__CREATE_GROUP_REQUEST__INIT;
    request.session = (char *)"main";
    request.kind = (char *)"clan";
    request.name = (char *)"A name";
    cr_expect_eq(test_social_call(first, "CreateGroup", &request, NULL), MM_INVALID_ARGUMENT,
                 "no actor");
    request.session = (char *)"other";
    cr_expect_eq(test_social_call(first, "CreateGroup", &request, NULL), MM_NOT_FOUND);
    act(first, 12345, 1, ACTION(JOIN), 0, REASON(NOT_FOUND));
    uint64_t id =
        create(first, 1, "Group one", MMORTS__SOCIAL__GROUP_POLICY__GROUP_OPEN, REASON(OK));
    act(first, id, 1, (Mmorts__Social__GroupAction)99, 0, REASON(INVALID));
    (void)create(first, 2, "Group two", (Mmorts__Social__GroupPolicy)9, REASON(INVALID));
    cr_expect_eq(count_memberships(first, NULL), 1);
}
