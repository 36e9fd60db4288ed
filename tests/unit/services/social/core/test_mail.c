#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "services/social/core/mail.h"

#define REASON(name) MMORTS__SOCIAL__MAIL_REASON__MAIL_##name

static Mmorts__Social__MailReason judge(const char *subject, const char *body)
{
    size_t subject_len = strlen(subject), body_len = strlen(body);
    return social_mail_check(&subject, &subject_len, &body, &body_len, 10);
}

Test(social_mail, texts)
{
    char subject[82];
    memset(subject, 's', 81);
    subject[81] = '\0';
    cr_expect_eq(judge(subject, "body"), REASON(TOO_LONG));
    subject[80] = '\0';
    cr_expect_eq(judge(subject, "body"), REASON(OK));
    cr_expect_eq(judge("subject", "0123456789"), REASON(OK));
    cr_expect_eq(judge("subject", "0123456789x"), REASON(TOO_LONG));
    cr_expect_eq(judge("subject", "one\n\ntwo"), REASON(OK));
    cr_expect_eq(judge("sub\nject", "body"), REASON(INVALID_TEXT), "one line");
    cr_expect_eq(judge("subject", "bo\tdy"), REASON(INVALID_TEXT));
    cr_expect_eq(judge("subject", "bo\rdy"), REASON(INVALID_TEXT));
    cr_expect_eq(judge("subject", "\xe2\x80\xae"
                                  "ydob"),
                 REASON(INVALID_TEXT));
    cr_expect_eq(judge("\xff", "body"), REASON(INVALID_TEXT));
    cr_expect_eq(judge(" ", "body"), REASON(EMPTY));
    cr_expect_eq(judge("subject", " \n "), REASON(EMPTY));
    const char *s = " subject ", *b = "\n\nbody\n";
    size_t s_len = strlen(s), b_len = strlen(b);
    cr_expect_eq(social_mail_check(&s, &s_len, &b, &b_len, 10), REASON(OK));
    cr_expect(s_len == 7 && memcmp(s, "subject", 7) == 0);
    cr_expect(b_len == 4 && memcmp(b, "body", 4) == 0);
}

Test(social_mail, who_has_sent_enough_waits)
{
    cr_expect_eq(social_mail_wait(0, 0, 5000, 2, 1000), 0);
    cr_expect_eq(social_mail_wait(1, 4900, 5000, 2, 1000), 0);
    cr_expect_eq(social_mail_wait(2, 4900, 5000, 2, 1000), 900);
    cr_expect_eq(social_mail_wait(2, 4000, 5000, 2, 1000), 1, "never 0 when it is refused");
    cr_expect_eq(social_mail_wait(2, 99000, 5000, 2, 1000), 1000, "a clock was set back");
}

Test(social_mail, a_name_must_say_who_is_meant)
{
    uint64_t id = 0;
    const struct social_mail_candidate none_exact[] = {{7, false}, {8, false}};
    const struct social_mail_candidate one_exact[] = {{7, false}, {8, true}, {9, false}};
    const struct social_mail_candidate two_exact[] = {{7, true}, {8, true}};
    cr_expect_eq(social_mail_choose(NULL, 0, &id), REASON(UNKNOWN_RECIPIENT));
    cr_expect_eq(social_mail_choose(none_exact, 1, &id), REASON(OK));
    cr_expect_eq(id, 7);
    cr_expect_eq(social_mail_choose(none_exact, 2, &id), REASON(AMBIGUOUS_RECIPIENT));
    cr_expect_eq(social_mail_choose(one_exact, 3, &id), REASON(OK));
    cr_expect_eq(id, 8);
    cr_expect_eq(social_mail_choose(two_exact, 2, &id), REASON(AMBIGUOUS_RECIPIENT));
}

// Whatever happens to a mailbox, it counts as an independent list of its mail does.
Test(social_mail, a_mailbox_counts_right_whatever_happens)
{
    enum { MAX = 7, STEPS = 20000 };
    bool is_read[MAX];
    size_t count = 0;
    struct social_mailbox box = {0};
    uint64_t taken = 0;
    srand(7);
    for (int step = 0; step < STEPS; step++) {
        uint64_t version = box.version;
        size_t unread = 0, at = count > 0 ? (size_t)rand() % count : 0;
        for (size_t i = 0; i < count; i++)
            unread += !is_read[i];
        switch (rand() % 4) {
        case 0:
        case 1: {
            enum social_mail_room room = social_mailbox_take(&box, MAX);
            cr_assert_eq(room, count < MAX    ? SOCIAL_MAIL_ROOM
                               : unread < MAX ? SOCIAL_MAIL_ROOM_EVICTS
                                              : SOCIAL_MAIL_NO_ROOM);
            if (room == SOCIAL_MAIL_NO_ROOM) {
                cr_assert_eq(box.version, version);
                break;
            }
            cr_assert_eq(box.version, version + 1);
            if (room == SOCIAL_MAIL_ROOM_EVICTS) {
                size_t oldest = 0;
                while (!is_read[oldest])
                    oldest++;
                memmove(is_read + oldest, is_read + oldest + 1, --count - oldest);
            }
            is_read[count++] = false;
            taken++;
            break;
        }
        case 2:
            if (count == 0 || is_read[at])
                break;
            is_read[at] = true;
            social_mailbox_read(&box);
            cr_assert_eq(box.version, version + 1);
            break;
        default:
            if (count == 0)
                break;
            social_mailbox_drop(&box, is_read[at]);
            memmove(is_read + at, is_read + at + 1, --count - at);
            cr_assert_eq(box.version, version + 1);
        }
        unread = 0;
        for (size_t i = 0; i < count; i++)
            unread += !is_read[i];
        cr_assert_eq(box.total, count);
        cr_assert_eq(box.unread, unread);
        cr_assert_eq(box.last_number, taken);
    }
}

Test(social_mail, every_refusal_has_words)
{
    for (int reason = REASON(UNKNOWN_RECIPIENT); reason <= REASON(REPEATED); reason++)
        cr_expect_gt(strlen(social_mail_message((Mmorts__Social__MailReason)reason)), 10);
    cr_expect_str_eq(social_mail_message((Mmorts__Social__MailReason)99), "");
}
