// Mail with two instances of the social service on one MariaDB and one Redis of their own.

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "libcommon/io/db_conn.h"
#include "tests/support/db_options.h"
#include "tests/support/process.h"
#include "tests/support/servers.h"
#include "tests/support/social.h"
#include "tests/support/social_listener.h"

#define REASON(name) MMORTS__SOCIAL__MAIL_REASON__MAIL_##name

static struct test_service *first, *second;
static struct test_listener *listener;
static struct mm_db_conn *db;

static struct test_service *start(void)
{
    return test_social_start("MMORTS_SOCIAL_MAIL_MESSAGES=1000");
}

// A number out of the database, as a reader who knows nothing of the service sees it.
static uint64_t count_rows(const char *sql)
{
    struct mm_db_rows *rows;
    cr_assert_eq(mm_db_query_one(db, sql, MM_DB_NO_ARGS, &rows), MM_OK, "%s: %s", sql,
                 mm_db_error_text(db));
    uint64_t count = mm_db_get_u64(rows, 0);
    cr_assert_eq(mm_db_end(rows), MM_OK);
    return count;
}

static void wait_rows(const char *sql, uint64_t wanted)
{
    int64_t until = test_now_ms() + TEST_PATIENCE_MS;
    while (count_rows(sql) != wanted)
        cr_assert(test_now_ms() < until, "%s stays %d", sql, (int)count_rows(sql));
}

static void open_db(void)
{
    struct mm_db_options options =
        test_db_options(test_server_address(test_social_mariadb()), "mmorts_social");
    cr_assert_eq(mm_db_conn_open(&options, &db), MM_OK);
}

static void come(struct test_service *service, uint64_t player_id, const char *name)
{
    Mmorts__Social__Member m = test_social_member(player_id);
    if (name)
        m.username = (char *)(uintptr_t)name;
    Mmorts__Social__SetOnlineRequest request = MMORTS__SOCIAL__SET_ONLINE_REQUEST__INIT;
    request.session = (char *)"main";
    request.instance = (char *)"sync-1";
    request.member = &m;
    request.connection = player_id;
    cr_assert_eq(test_social_call(service, "SetOnline", &request, NULL), MM_OK);
}

static void set_up(void)
{
    test_social_servers_start();
    first = start();
    second = start();
    open_db();
    for (uint64_t id = 1; id <= 5; id++)
        come(id % 2 ? first : second, id, NULL);
    wait_rows("SELECT COUNT(*) FROM players", 5);
    listener =
        test_listener_open(test_social_redis()); // whoever came has come: only mail is heard of
}

static void tear_down(void)
{
    test_listener_close(listener);
    mm_db_conn_close(db);
    test_service_free(first);
    test_service_free(second);
    test_social_servers_free();
}

TestSuite(social_mail, .init = set_up, .fini = tear_down, .timeout = 300);

// --- calls -------------------------------------------------------------------------------------

struct letter {
    uint64_t from, request, to;
    const char *to_name, *subject, *body;
};

static Mmorts__Social__SendMailRequest request_of(const struct letter *letter,
                                                  Mmorts__Social__Member *from)
{
    *from = test_social_member(letter->from);
    Mmorts__Social__SendMailRequest request = MMORTS__SOCIAL__SEND_MAIL_REQUEST__INIT;
    request.session = (char *)"main";
    request.from = from;
    request.request_id = letter->request;
    request.to_player = letter->to;
    request.to_name = (char *)(uintptr_t)(letter->to_name ? letter->to_name : "");
    request.subject = (char *)(uintptr_t)(letter->subject ? letter->subject : "subject");
    request.body = (char *)(uintptr_t)(letter->body ? letter->body : "body");
    return request;
}

static struct test_pending *begin_call(const char *method, const ProtobufCMessage *request)
{
    return test_call_begin(first, &mmorts__social__social__descriptor, method, request);
}

static enum mm_err try_send(struct test_service *service, struct letter letter,
                            Mmorts__Social__SendMailReply **reply)
{
    Mmorts__Social__Member from;
    Mmorts__Social__SendMailRequest request = request_of(&letter, &from);
    return test_social_call(service, "SendMail", &request, reply);
}

static void send(struct test_service *service, struct letter letter,
                 Mmorts__Social__MailReason want)
{
    Mmorts__Social__SendMailReply *reply = NULL;
    enum mm_err err = try_send(service, letter, &reply);
    cr_assert_eq(err, MM_OK, "%s: %s to '%s'", mm_err_name(err), letter.body, letter.to_name);
    cr_assert_eq(reply->reason, want, "%d, not %d: %s", (int)reply->reason, (int)want,
                 reply->message);
    cr_assert_eq(reply->delivered, want == REASON(OK) ? 1 : 0);
    cr_assert_eq(reply->timestamp_ms > 0, want == REASON(OK));
    mmorts__social__send_mail_reply__free_unpacked(reply, NULL);
}

static Mmorts__Social__GetInboxReply *inbox(struct test_service *service, uint64_t player_id,
                                            uint64_t before, uint32_t limit)
{
    Mmorts__Social__GetInboxRequest request = MMORTS__SOCIAL__GET_INBOX_REQUEST__INIT;
    request.session = (char *)"main";
    request.player_id = player_id;
    request.before = before;
    request.limit = limit;
    Mmorts__Social__GetInboxReply *reply = NULL;
    cr_assert_eq(test_social_call(service, "GetInbox", &request, &reply), MM_OK);
    return reply;
}

static void expect_box(struct test_service *service, uint64_t player_id, uint32_t unread,
                       uint32_t total)
{
    Mmorts__Social__GetInboxReply *reply = inbox(service, player_id, 0, 0);
    cr_expect_eq(reply->n_mails, 0);
    cr_assert_eq(reply->mailbox->unread, unread, "%u unread", reply->mailbox->unread);
    cr_assert_eq(reply->mailbox->total, total, "%u in all", reply->mailbox->total);
    mmorts__social__get_inbox_reply__free_unpacked(reply, NULL);
}

// The text of a mail; the caller frees. NULL: there is none.
static char *read_mail(struct test_service *service, uint64_t player_id, uint64_t number)
{
    Mmorts__Social__ReadMailRequest request = MMORTS__SOCIAL__READ_MAIL_REQUEST__INIT;
    request.session = (char *)"main";
    request.player_id = player_id;
    request.number = number;
    Mmorts__Social__ReadMailReply *reply = NULL;
    cr_assert_eq(test_social_call(service, "ReadMail", &request, &reply), MM_OK);
    char *body = NULL;
    if (reply->mail) {
        cr_expect_eq(reply->mail->number, number);
        cr_expect(reply->mail->read);
        body = strdup(reply->mail->body);
    }
    mmorts__social__read_mail_reply__free_unpacked(reply, NULL);
    return body;
}

static uint32_t delete_mail(struct test_service *service, uint64_t player_id, uint64_t number)
{
    Mmorts__Social__DeleteMailRequest request = MMORTS__SOCIAL__DELETE_MAIL_REQUEST__INIT;
    request.session = (char *)"main";
    request.player_id = player_id;
    request.n_numbers = 1;
    request.numbers = &number;
    Mmorts__Social__DeleteMailReply *reply = NULL;
    cr_assert_eq(test_social_call(service, "DeleteMail", &request, &reply), MM_OK);
    uint32_t deleted = reply->deleted;
    mmorts__social__delete_mail_reply__free_unpacked(reply, NULL);
    return deleted;
}

static void expect_mail_event(uint64_t from, uint64_t to, uint64_t number, uint32_t unread,
                              int timeout_ms)
{
    Mmorts__Social__Event *event = test_listener_next(listener, timeout_ms);
    cr_assert(event != NULL, "no event");
    cr_assert_eq(event->event_case, MMORTS__SOCIAL__EVENT__EVENT_MAIL);
    const Mmorts__Social__MailEvent *mail = event->mail;
    cr_assert(mail->n_to_players == 1 && mail->n_numbers == 1 && mail->n_unread == 1 &&
              mail->n_total == 1 && mail->n_versions == 1);
    cr_expect_eq(mail->from->player_id, from);
    cr_expect_eq(mail->to_players[0], to);
    cr_expect_eq(mail->numbers[0], number);
    cr_expect_eq(mail->unread[0], unread);
    mmorts__social__event__free_unpacked(event, NULL);
}

static void expect_box_event(uint64_t player_id, uint32_t unread, uint32_t total)
{
    Mmorts__Social__Event *event = test_listener_next(listener, TEST_PATIENCE_MS);
    cr_assert(event != NULL, "no event");
    cr_assert_eq(event->event_case, MMORTS__SOCIAL__EVENT__EVENT_MAILBOX);
    cr_expect_eq(event->mailbox->player_id, player_id);
    cr_expect_eq(event->mailbox->mailbox->unread, unread);
    cr_expect_eq(event->mailbox->mailbox->total, total);
    mmorts__social__event__free_unpacked(event, NULL);
}

// --- tests -------------------------------------------------------------------------------------

Test(social_mail, from_writing_to_deleting_over_two_instances)
{
    expect_box(first, 2, 0, 0);
    send(first, (struct letter){.from = 1, .request = 1, .to = 2, .body = " one\ntwo "},
         REASON(OK));
    expect_mail_event(1, 2, 1, 1, TEST_PATIENCE_MS);
    send(second, (struct letter){.from = 1, .request = 2, .to_name = "P2", .subject = "by name"},
         REASON(OK));
    expect_mail_event(1, 2, 2, 2, TEST_PATIENCE_MS);
    expect_box(second, 2, 2, 2);
    expect_box(second, 1, 0, 0);
    char *body = read_mail(second, 2, 1);
    cr_assert(body);
    cr_expect_str_eq(body, "one\ntwo");
    free(body);
    expect_box_event(2, 1, 2);
    free(read_mail(first, 2, 1));
    cr_expect_null(read_mail(first, 1, 1), "another's mail is none");
    cr_expect_null(read_mail(first, 2, 3));
    cr_expect(test_listener_is_silent(listener), "it was read before");
    cr_expect_eq(delete_mail(first, 1, 1), 0, "another's mail is none");
    cr_expect_eq(delete_mail(first, 2, 2), 1);
    expect_box_event(2, 0, 1);
    cr_expect_eq(delete_mail(second, 2, 2), 0);
    cr_expect(test_listener_is_silent(listener));
    Mmorts__Social__GetInboxReply *reply = inbox(first, 2, 0, 10);
    cr_assert_eq(reply->n_mails, 1);
    cr_expect_eq(reply->mails[0]->number, 1);
    cr_expect(reply->mails[0]->read);
    cr_expect_str_eq(reply->mails[0]->from->username, "p1");
    cr_expect_str_eq(reply->mails[0]->body, "", "lists are without texts");
    mmorts__social__get_inbox_reply__free_unpacked(reply, NULL);
}

// A player's actions are begun one behind the other, and end so. Only a few wait for each other at
// a time: what waits for ten seconds is given up, and a disk may take half of one for each.
Test(social_mail, what_is_written_first_comes_first_and_what_is_deleted_is_not_listed)
{
    enum { MAILS = 40, AT_ONCE = 5, ROUNDS = 30 };
    struct test_pending *pending[AT_ONCE];
    char subject[16];
    for (uint64_t i = 0; i < MAILS; i++) {
        Mmorts__Social__Member from;
        snprintf(subject, sizeof subject, "%d", (int)i + 1);
        struct letter letter = {.from = 1, .request = i + 1, .to = 2, .subject = subject};
        Mmorts__Social__SendMailRequest request = request_of(&letter, &from);
        pending[i % AT_ONCE] = begin_call("SendMail", &request.base);
        for (size_t k = 0; i % AT_ONCE == AT_ONCE - 1 && k < AT_ONCE; k++)
            cr_assert_eq(test_call_end(pending[k], NULL), MM_OK);
    }
    Mmorts__Social__GetInboxReply *reply = inbox(first, 2, 0, MAILS);
    cr_assert_eq(reply->n_mails, MAILS);
    for (size_t i = 0; i < MAILS; i++)
        cr_expect_eq(strtoul(reply->mails[i]->subject, NULL, 10), reply->mails[i]->number);
    mmorts__social__get_inbox_reply__free_unpacked(reply, NULL);

    for (uint64_t i = 1; i <= ROUNDS; i++) {
        ProtobufCMessage *listed = NULL;
        Mmorts__Social__DeleteMailRequest deletion = MMORTS__SOCIAL__DELETE_MAIL_REQUEST__INIT;
        deletion.session = (char *)"main";
        deletion.player_id = 2;
        deletion.n_numbers = 1;
        deletion.numbers = &i;
        Mmorts__Social__GetInboxRequest question = MMORTS__SOCIAL__GET_INBOX_REQUEST__INIT;
        question.session = (char *)"main";
        question.player_id = 2;
        pending[0] = begin_call("DeleteMail", &deletion.base);
        pending[1] = begin_call("GetInbox", &question.base);
        cr_assert_eq(test_call_end(pending[0], NULL), MM_OK);
        cr_assert_eq(test_call_end(pending[1], &listed), MM_OK);
        reply = (void *)listed;
        cr_expect_eq(reply->mailbox->total, MAILS - i);
        mmorts__social__get_inbox_reply__free_unpacked(reply, NULL);
    }
}

Test(social_mail, pages_show_every_mail_once_newest_first)
{
    for (uint64_t i = 1; i <= 7; i++)
        send(i % 2 ? first : second, (struct letter){.from = 1, .request = i, .to = 2}, REASON(OK));
    uint64_t before = 0, seen = 0;
    for (bool more = true; more;) {
        Mmorts__Social__GetInboxReply *reply = inbox(first, 2, before, 3);
        for (size_t i = 0; i < reply->n_mails; i++) {
            cr_assert_eq(reply->mails[i]->number, 7 - seen);
            before = reply->mails[i]->number;
            seen++;
        }
        more = reply->more;
        cr_assert_eq(more, seen < 7);
        mmorts__social__get_inbox_reply__free_unpacked(reply, NULL);
    }
    cr_expect_eq(seen, 7);
}

Test(social_mail, what_is_repeated_is_sent_once)
{
    struct letter letter = {.from = 1, .request = 5, .to = 2};
    send(first, letter, REASON(OK));
    expect_mail_event(1, 2, 1, 1, TEST_PATIENCE_MS);
    send(first, letter, REASON(OK));
    send(second, letter, REASON(OK));
    letter.body = "other words";
    send(second, letter, REASON(REPEATED));
    letter.body = NULL;
    letter.to = 3;
    send(second, letter, REASON(REPEATED));
    cr_expect(test_listener_is_silent(listener));
    expect_box(first, 2, 1, 1);
    expect_box(first, 3, 0, 0);
    send(second, (struct letter){.from = 4, .request = 5, .to = 2}, REASON(OK));
    expect_box(first, 2, 2, 2);
    // Also when nobody has it any more.
    cr_expect_eq(delete_mail(first, 2, 1), 1);
    send(second, (struct letter){.from = 1, .request = 5, .to = 2}, REASON(OK));
    expect_box(first, 2, 1, 1);
}

Test(social_mail, a_name_must_say_who_is_meant)
{
    come(first, 11, "Ada");
    come(first, 12, "ADA");
    come(first, 13, "ünal");
    wait_rows("SELECT COUNT(*) FROM players", 8);
    send(first, (struct letter){.from = 1, .request = 1, .to_name = "ada"},
         REASON(AMBIGUOUS_RECIPIENT));
    send(first, (struct letter){.from = 1, .request = 2, .to_name = "ADA"}, REASON(OK));
    expect_box(first, 12, 1, 1);
    send(first, (struct letter){.from = 1, .request = 3, .to_name = "Ünal"}, REASON(OK));
    expect_box(first, 13, 1, 1);
    come(second, 13, "was ünal"); // a new name is known at once, the old one is nobody's
    wait_rows("SELECT COUNT(*) FROM players WHERE username = 'was ünal'", 1);
    send(first, (struct letter){.from = 1, .request = 4, .to_name = "ünal"},
         REASON(UNKNOWN_RECIPIENT));
}

Test(social_mail, bad_mail_is_refused_and_changes_nothing)
{
    char long_text[1002];
    memset(long_text, 'x', 1001);
    long_text[1001] = '\0';
    static const struct {
        struct letter letter;
        Mmorts__Social__MailReason reason;
    } bad[] = {
        {{.to = 99}, REASON(UNKNOWN_RECIPIENT)},
        {{.to_name = "nobody"}, REASON(UNKNOWN_RECIPIENT)},
        {{.to_name = "' OR 1 = 1 --"}, REASON(UNKNOWN_RECIPIENT)},
        {{.to = 2, .subject = "  "}, REASON(EMPTY)},
        {{.to = 2, .body = "\n"}, REASON(EMPTY)},
        {{.to = 2, .subject = "two\nlines"}, REASON(INVALID_TEXT)},
        {{.to = 2, .body = "a\x1b[2J"}, REASON(INVALID_TEXT)},
        {{.to = 2, .body = "\xe2\x80\xae"}, REASON(INVALID_TEXT)},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct letter letter = bad[i].letter;
        letter.from = 1;
        letter.request = i + 1;
        send(first, letter, bad[i].reason);
    }
    send(first, (struct letter){.from = 1, .request = 50, .to = 2, .body = long_text},
         REASON(TOO_LONG));
    cr_expect_eq(count_rows("SELECT COUNT(*) FROM mails"), 0);
    cr_expect(test_listener_is_silent(listener));
    cr_expect_eq(try_send(first, (struct letter){.from = 1, .to = 2}, NULL), MM_INVALID_ARGUMENT,
                 "no request_id");
    cr_expect_eq(try_send(first, (struct letter){.from = 0, .request = 1, .to = 2}, NULL),
                 MM_INVALID_ARGUMENT);
    cr_expect_eq(try_send(first, (struct letter){.from = 1, .request = 1, .to_name = "\xff"}, NULL),
                 MM_INVALID_ARGUMENT, "not UTF-8");
    cr_expect_eq(try_send(first, (struct letter){.from = 1, .request = 1}, NULL),
                 MM_INVALID_ARGUMENT);
    cr_expect_eq(
        try_send(first, (struct letter){.from = 1, .request = 1, .to = 2, .to_name = "p2"}, NULL),
        MM_INVALID_ARGUMENT);
    long_text[1000] = '\0';
    send(first, (struct letter){.from = 1, .request = 50, .to = 2, .body = long_text}, REASON(OK));
}

Test(social_mail, malformed_requests_are_typed_errors)
{
    Mmorts__Social__GetInboxRequest list = MMORTS__SOCIAL__GET_INBOX_REQUEST__INIT;
    list.session = (char *)"main";
    cr_expect_eq(test_social_call(first, "GetInbox", &list, NULL), MM_INVALID_ARGUMENT);
    list.player_id = 1;
    list.limit = 51;
    cr_expect_eq(test_social_call(first, "GetInbox", &list, NULL), MM_INVALID_ARGUMENT);
    list.session = (char *)"other";
    cr_expect_eq(test_social_call(first, "GetInbox", &list, NULL), MM_NOT_FOUND);
    Mmorts__Social__ReadMailRequest read = MMORTS__SOCIAL__READ_MAIL_REQUEST__INIT;
    read.session = (char *)"main";
    read.player_id = 1;
    cr_expect_eq(test_social_call(first, "ReadMail", &read, NULL), MM_INVALID_ARGUMENT);
    Mmorts__Social__DeleteMailRequest drop = MMORTS__SOCIAL__DELETE_MAIL_REQUEST__INIT;
    uint64_t numbers[51] = {0};
    drop.session = (char *)"main";
    drop.player_id = 1;
    cr_expect_eq(test_social_call(first, "DeleteMail", &drop, NULL), MM_INVALID_ARGUMENT);
    drop.numbers = numbers;
    drop.n_numbers = 51;
    cr_expect_eq(test_social_call(first, "DeleteMail", &drop, NULL), MM_INVALID_ARGUMENT);
    Mmorts__Social__SendGroupMailRequest group = MMORTS__SOCIAL__SEND_GROUP_MAIL_REQUEST__INIT;
    Mmorts__Social__Member from = test_social_member(1);
    group.session = (char *)"main";
    group.from = &from;
    group.request_id = 1;
    cr_expect_eq(test_social_call(first, "SendGroupMail", &group, NULL), MM_INVALID_ARGUMENT);
}

Test(social_mail, the_rate_holds_across_instances_and_forgives_repetitions)
{
    test_service_free(second);
    second = test_social_start("MMORTS_SOCIAL_MAIL_MESSAGES=3");
    for (uint64_t i = 1; i <= 3; i++)
        send(i == 2 ? first : second, (struct letter){.from = 1, .request = i, .to = 2},
             REASON(OK));
    Mmorts__Social__SendMailReply *reply = NULL;
    cr_assert_eq(try_send(second, (struct letter){.from = 1, .request = 4, .to = 2}, &reply),
                 MM_OK);
    cr_expect_eq(reply->reason, REASON(RATE_LIMITED));
    cr_expect(reply->retry_after_ms > 0 && reply->retry_after_ms <= 60000);
    mmorts__social__send_mail_reply__free_unpacked(reply, NULL);
    send(second, (struct letter){.from = 1, .request = 3, .to = 2}, REASON(OK));
    send(second, (struct letter){.from = 3, .request = 4, .to = 2}, REASON(OK));
    expect_box(first, 2, 4, 4);
}

Test(social_mail, a_full_mailbox_gives_up_what_was_read_and_nothing_else)
{
    test_service_free(second);
    second = test_social_start("MMORTS_SOCIAL_MAIL_BOX=2");
    send(second, (struct letter){.from = 1, .request = 1, .to = 2, .body = "one"}, REASON(OK));
    send(second, (struct letter){.from = 1, .request = 2, .to = 2, .body = "two"}, REASON(OK));
    send(second, (struct letter){.from = 1, .request = 3, .to = 2}, REASON(MAILBOX_FULL));
    cr_expect_eq(count_rows("SELECT COUNT(*) FROM mails"), 2, "nothing stays of a refused one");
    expect_box(first, 2, 2, 2);
    free(read_mail(first, 2, 2));
    send(second, (struct letter){.from = 1, .request = 3, .to = 2, .body = "three"}, REASON(OK));
    expect_box(first, 2, 2, 2);
    cr_expect_null(read_mail(first, 2, 2), "the one that was read went");
    char *body = read_mail(first, 2, 3);
    cr_expect_str_eq(body, "three");
    free(body);
    cr_expect_eq(count_rows("SELECT copies FROM mails WHERE request_id = 2"), 0);
}

Test(social_mail, what_is_too_old_goes_and_is_no_longer_counted)
{
    send(first, (struct letter){.from = 1, .request = 1, .to = 2}, REASON(OK));
    send(first, (struct letter){.from = 1, .request = 2, .to = 3}, REASON(OK));
    free(read_mail(first, 3, 1));
    test_service_free(second);
    second = test_social_start("MMORTS_SOCIAL_MAIL_RETENTION=1s");
    wait_rows("SELECT COUNT(*) FROM mails", 0);
    cr_expect_eq(count_rows("SELECT COUNT(*) FROM mail_copies"), 0);
    expect_box(first, 2, 0, 0);
    expect_box(first, 3, 0, 0);
}

// --- groups ------------------------------------------------------------------------------------

static uint64_t found_group(uint64_t members)
{
    Mmorts__Social__Member m = test_social_member(1);
    Mmorts__Social__CreateGroupRequest create = MMORTS__SOCIAL__CREATE_GROUP_REQUEST__INIT;
    create.session = (char *)"main";
    create.actor = &m;
    create.kind = (char *)"clan";
    create.name = (char *)"The Lot";
    create.policy = MMORTS__SOCIAL__GROUP_POLICY__GROUP_OPEN;
    Mmorts__Social__GroupReply *reply = NULL;
    cr_assert_eq(test_social_call(first, "CreateGroup", &create, &reply), MM_OK);
    uint64_t id = reply->group->id;
    mmorts__social__group_reply__free_unpacked(reply, NULL);
    for (uint64_t player = members; player >= 2; player--) {
        m = test_social_member(player);
        Mmorts__Social__ActOnGroupRequest act = MMORTS__SOCIAL__ACT_ON_GROUP_REQUEST__INIT;
        act.session = (char *)"main";
        act.actor = &m;
        act.group_id = id;
        act.action = MMORTS__SOCIAL__GROUP_ACTION__GROUP_JOIN;
        cr_assert_eq(test_social_call(first, "ActOnGroup", &act, NULL), MM_OK);
    }
    for (uint64_t told = 0; told < members;) { // by events, which do not concern these tests
        Mmorts__Social__Event *event = test_listener_next(listener, TEST_PATIENCE_MS);
        cr_assert(event && event->event_case == MMORTS__SOCIAL__EVENT__EVENT_GROUP);
        told++;
        mmorts__social__event__free_unpacked(event, NULL);
    }
    return id;
}

static Mmorts__Social__MailReason send_group(struct test_service *service, uint64_t from,
                                             uint64_t request_id, uint64_t group,
                                             uint32_t *delivered, uint32_t *full)
{
    Mmorts__Social__Member m = test_social_member(from);
    Mmorts__Social__SendGroupMailRequest request = MMORTS__SOCIAL__SEND_GROUP_MAIL_REQUEST__INIT;
    request.session = (char *)"main";
    request.from = &m;
    request.request_id = request_id;
    request.to_group = group;
    request.subject = (char *)"to all";
    request.body = (char *)"of us";
    Mmorts__Social__SendMailReply *reply = NULL;
    cr_assert_eq(test_social_call(service, "SendGroupMail", &request, &reply), MM_OK);
    Mmorts__Social__MailReason reason = reply->reason;
    *delivered = reply->delivered;
    *full = reply->full;
    mmorts__social__send_mail_reply__free_unpacked(reply, NULL);
    return reason;
}

Test(social_mail, a_group_gets_it_all_at_once_and_nobody_else)
{
    uint64_t group = found_group(4);
    uint32_t delivered = 0, full = 0;
    cr_assert_eq(send_group(second, 2, 1, group, &delivered, &full), REASON(OK));
    cr_expect_eq(delivered, 3);
    cr_expect_eq(full, 0);
    Mmorts__Social__Event *event = test_listener_next(listener, TEST_PATIENCE_MS);
    cr_assert(event && event->event_case == MMORTS__SOCIAL__EVENT__EVENT_MAIL);
    cr_assert_eq(event->mail->n_to_players, 3);
    cr_expect(event->mail->to_players[0] == 1 && event->mail->to_players[1] == 3 &&
              event->mail->to_players[2] == 4);
    cr_expect_str_eq(event->mail->group_name, "The Lot");
    mmorts__social__event__free_unpacked(event, NULL);
    cr_assert_eq(send_group(first, 2, 1, group, &delivered, &full), REASON(OK), "again");
    cr_expect_eq(delivered, 3);
    cr_expect(test_listener_is_silent(listener));
    for (uint64_t player = 1; player <= 5; player++)
        expect_box(first, player, player == 2 || player == 5 ? 0 : 1,
                   player == 2 || player == 5 ? 0 : 1);
    cr_expect_eq(count_rows("SELECT COUNT(*) FROM mails"), 1, "one text, however many copies");
    cr_expect_eq(send_group(first, 5, 1, group, &delivered, &full), REASON(NOT_MEMBER));
    cr_expect_eq(send_group(first, 1, 1, group + 1, &delivered, &full), REASON(NOT_MEMBER));
}

Test(social_mail, a_full_member_holds_up_no_group)
{
    uint64_t group = found_group(3);
    test_service_free(second);
    second = test_social_start("MMORTS_SOCIAL_MAIL_BOX=1");
    uint32_t delivered = 0, full = 0;
    send(second, (struct letter){.from = 4, .request = 1, .to = 2}, REASON(OK));
    cr_assert_eq(send_group(second, 1, 1, group, &delivered, &full), REASON(OK));
    cr_expect_eq(delivered, 1);
    cr_expect_eq(full, 1);
    expect_box(first, 2, 1, 1);
    expect_box(first, 3, 1, 1);
    cr_assert_eq(send_group(second, 1, 2, group, &delivered, &full), REASON(MAILBOX_FULL));
    cr_expect_eq(delivered, 0);
    cr_expect_eq(count_rows("SELECT COUNT(*) FROM mails"), 2);
}

// --- crossed, killed, away ---------------------------------------------------------------------

Test(social_mail, crossed_mail_over_two_instances_is_all_there_once)
{
    enum { ROUNDS = 40, AT_ONCE = 4 }; // more would wait for each other for too long on a slow disk
    uint64_t group = found_group(4);
    struct test_pending *pending[AT_ONCE][2];
    uint32_t delivered = 0, full = 0;
    for (uint64_t first_round = 0; first_round < ROUNDS; first_round += AT_ONCE) {
        for (uint64_t i = 0; i < AT_ONCE; i++) {
            for (uint64_t side = 0; side < 2; side++) {
                Mmorts__Social__Member from;
                struct letter letter = {
                    .from = 1 + side, .request = (first_round + i) / 2 + 1, .to = 2 - side};
                Mmorts__Social__SendMailRequest request = request_of(&letter, &from);
                pending[i][side] =
                    test_call_begin(side ? first : second, &mmorts__social__social__descriptor,
                                    "SendMail", &request.base);
            }
        }
        for (uint64_t i = first_round / 2; i < (first_round + AT_ONCE) / 2; i++)
            cr_assert_eq(
                send_group(i % 2 ? first : second, 1 + i % 4, 1000 + i, group, &delivered, &full),
                REASON(OK));
        for (size_t i = 0; i < AT_ONCE * 2; i++) {
            Mmorts__Social__SendMailReply *reply = NULL;
            cr_assert_eq(test_call_end(pending[i / 2][i % 2], (ProtobufCMessage **)&reply), MM_OK);
            cr_assert_eq(reply->reason, REASON(OK));
            mmorts__social__send_mail_reply__free_unpacked(reply, NULL);
        }
    }
    // Every request was made twice, on one instance; every group's mail was for the three others.
    expect_box(first, 1, ROUNDS / 2 + ROUNDS / 2 * 3 / 4, ROUNDS / 2 + ROUNDS / 2 * 3 / 4);
    expect_box(first, 2, ROUNDS / 2 + ROUNDS / 2 * 3 / 4, ROUNDS / 2 + ROUNDS / 2 * 3 / 4);
    cr_expect_eq(count_rows("SELECT COUNT(*) FROM mails"), ROUNDS + ROUNDS / 2);
    cr_expect_eq(count_rows("SELECT COUNT(*) FROM mail_boxes b WHERE total <> last_number OR total "
                            "<> (SELECT COUNT(*) FROM mail_copies c WHERE c.player_id = "
                            "b.player_id)"),
                 0);
}

// Stops the thread of a process that answers calls, and it alone: what its other threads have
// begun they end. False where one may not.
static bool stop_main_thread(pid_t pid)
{
    if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) != 0)
        return false;
    int status = 0;
    cr_assert_eq(ptrace(PTRACE_INTERRUPT, pid, NULL, NULL), 0);
    cr_assert_eq(waitpid(pid, &status, __WALL), pid);
    return true;
}

Test(social_mail, killed_between_commit_and_answer_it_was_sent_and_is_sent_once)
{
    struct letter letter = {.from = 1, .request = 7, .to = 2};
    send(first, (struct letter){.from = 1, .request = 6, .to = 3}, REASON(OK));
    expect_mail_event(1, 3, 1, 1, TEST_PATIENCE_MS);
    // A lock of ours holds the job up in MariaDB, until nobody is there to answer any more.
    cr_assert_eq(mm_db_begin(db), MM_OK);
    cr_assert_eq(count_rows("SELECT player_id FROM mail_senders WHERE player_id = 1 FOR UPDATE"),
                 1);
    Mmorts__Social__Member from;
    Mmorts__Social__SendMailRequest request = request_of(&letter, &from);
    struct test_pending *pending =
        test_call_begin(first, &mmorts__social__social__descriptor, "SendMail", &request.base);
    wait_rows("SELECT COUNT(*) FROM information_schema.processlist "
              "WHERE info LIKE 'INSERT INTO mail_senders%'",
              1);
    pid_t pid = test_process_pid(test_service_process(first));
    if (!stop_main_thread(pid)) {
        mm_db_rollback(db);
        test_call_end(pending, NULL);
        cr_skip_test("processes may not be traced here: %s", strerror(errno));
    }
    mm_db_rollback(db);
    wait_rows("SELECT COUNT(*) FROM mails WHERE request_id = 7", 1);
    test_process_kill(test_service_process(first));
    cr_expect_neq(test_call_end(pending, NULL), MM_OK, "nobody answered");
    // Nobody published it either: the other instance does.
    expect_mail_event(1, 2, 1, 1, TEST_PATIENCE_MS);
    send(second, letter, REASON(OK));
    expect_box(second, 2, 1, 1);
    cr_expect_eq(count_rows("SELECT COUNT(*) FROM mails WHERE request_id = 7"), 1);
    wait_rows("SELECT COUNT(*) FROM mail_outbox", 0);
    cr_expect(test_listener_is_silent(listener));
}

Test(social_mail, whenever_it_is_killed_each_mail_is_there_once)
{
    enum { ROUNDS = 6 };
    srand(11);
    for (uint64_t round = 1; round <= ROUNDS; round++) {
        Mmorts__Social__Member from;
        struct letter letter = {.from = 1, .request = round, .to = 2};
        Mmorts__Social__SendMailRequest request = request_of(&letter, &from);
        struct test_pending *pending =
            test_call_begin(first, &mmorts__social__social__descriptor, "SendMail", &request.base);
        int64_t until = test_now_ms() + rand() % 8;
        while (test_now_ms() < until)
            continue;
        test_process_kill(test_service_process(first));
        (void)test_call_end(pending, NULL);
        send(second, letter, REASON(OK));
        test_service_free(first);
        first = start();
        expect_box(first, 2, (uint32_t)round, (uint32_t)round);
    }
}

Test(social_mail, without_the_database_nothing_is_sent_and_nothing_is_lost)
{
    send(first, (struct letter){.from = 1, .request = 1, .to = 2}, REASON(OK));
    test_server_kill(test_social_mariadb());
    cr_expect_eq(try_send(first, (struct letter){.from = 1, .request = 2, .to = 2}, NULL),
                 MM_UNAVAILABLE);
    Mmorts__Social__GetInboxRequest list = MMORTS__SOCIAL__GET_INBOX_REQUEST__INIT;
    list.session = (char *)"main";
    list.player_id = 2;
    cr_expect_eq(test_social_call(second, "GetInbox", &list, NULL), MM_UNAVAILABLE);
    come(second, 6, NULL); // who comes meanwhile is in the game, and can be written to afterwards
    test_server_restart(test_social_mariadb());
    mm_db_conn_close(db);
    open_db();
    test_service_wait_ready(first, TEST_PATIENCE_MS);
    test_service_wait_ready(second, TEST_PATIENCE_MS);
    expect_box(second, 2, 1, 1);
    send(first, (struct letter){.from = 1, .request = 2, .to = 2}, REASON(OK));
    expect_box(second, 2, 2, 2);
    Mmorts__Social__Member m = test_social_member(6), *list_of_one = &m;
    Mmorts__Social__HeartbeatRequest heartbeat = MMORTS__SOCIAL__HEARTBEAT_REQUEST__INIT;
    heartbeat.session = (char *)"main";
    heartbeat.instance = (char *)"sync-1";
    heartbeat.n_members = 1;
    heartbeat.members = &list_of_one;
    cr_assert_eq(test_social_call(second, "Heartbeat", &heartbeat, NULL), MM_OK);
    wait_rows("SELECT COUNT(*) FROM players WHERE player_id = 6", 1);
    send(first, (struct letter){.from = 1, .request = 3, .to = 6}, REASON(OK));
}

Test(social_mail, without_redis_it_is_sent_and_told_later)
{
    test_server_stop(test_social_redis());
    send(first, (struct letter){.from = 1, .request = 1, .to = 2}, REASON(OK));
    expect_box(second, 2, 1, 1);
    test_social_redis_return(listener, (struct test_service *const[]){first, second, NULL});
    expect_mail_event(1, 2, 1, 1, TEST_PATIENCE_MS);
    cr_expect(test_listener_is_silent(listener));
}
