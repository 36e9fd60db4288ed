#include "services/social/core/mail.h"

#include "services/social/core/text.h"

#define REASON(name) MMORTS__SOCIAL__MAIL_REASON__MAIL_##name

static Mmorts__Social__MailReason text_reason(enum social_text judged)
{
    static const Mmorts__Social__MailReason reasons[] = {
        [SOCIAL_TEXT_OK] = REASON(OK),
        [SOCIAL_TEXT_INVALID] = REASON(INVALID_TEXT),
        [SOCIAL_TEXT_EMPTY] = REASON(EMPTY),
        [SOCIAL_TEXT_TOO_LONG] = REASON(TOO_LONG),
    };
    return reasons[judged];
}

Mmorts__Social__MailReason social_mail_check(const char **subject, size_t *subject_len,
                                             const char **body, size_t *body_len,
                                             size_t body_characters_max)
{
    Mmorts__Social__MailReason reason =
        text_reason(social_text_check(subject, subject_len, SOCIAL_MAIL_SUBJECT_CHARACTERS_MAX));
    return reason != REASON(OK)
               ? reason
               : text_reason(social_text_check_lines(body, body_len, body_characters_max));
}

uint32_t social_mail_wait(size_t count, int64_t oldest_ms, int64_t now_ms, size_t limit,
                          int64_t window_ms)
{
    if (count < limit)
        return 0;
    int64_t wait = oldest_ms + window_ms - now_ms;
    // A clock that was set back must not shut anybody out for longer than a window.
    return (uint32_t)(wait < 1 ? 1 : wait > window_ms ? window_ms : wait);
}

enum social_mail_room social_mailbox_take(struct social_mailbox *box, uint32_t total_max)
{
    bool evicts = box->total >= total_max;
    if (evicts && box->unread >= box->total)
        return SOCIAL_MAIL_NO_ROOM;
    box->last_number++;
    box->version++;
    box->unread++;
    box->total += evicts ? 0 : 1;
    return evicts ? SOCIAL_MAIL_ROOM_EVICTS : SOCIAL_MAIL_ROOM;
}

void social_mailbox_read(struct social_mailbox *box)
{
    box->version++;
    box->unread -= box->unread > 0 ? 1 : 0;
}

void social_mailbox_drop(struct social_mailbox *box, bool was_read)
{
    box->version++;
    box->total -= box->total > 0 ? 1 : 0;
    box->unread -= !was_read && box->unread > 0 ? 1 : 0;
}

Mmorts__Social__MailReason social_mail_choose(const struct social_mail_candidate *candidates,
                                              size_t count, uint64_t *id_out)
{
    size_t exact = 0;
    for (size_t i = 0; i < count; i++) {
        if (count == 1 || candidates[i].exact)
            *id_out = candidates[i].id;
        exact += candidates[i].exact;
    }
    if (count == 0)
        return REASON(UNKNOWN_RECIPIENT);
    return count == 1 || exact == 1 ? REASON(OK) : REASON(AMBIGUOUS_RECIPIENT);
}

const char *social_mail_message(Mmorts__Social__MailReason reason)
{
    static const char *const messages[] = {
        "",
        "There is nobody of that name to write to.",
        "Several players have that name.",
        "A mail needs a subject and a text.",
        "The subject or the text is too long.",
        "The mail has characters that cannot be sent.",
        "You are writing too fast.",
        "The mailbox is full of mail that was not read yet.",
        "You are no member of that group.",
        "This was sent already, with other words.",
    };
    return (unsigned)reason < sizeof messages / sizeof *messages ? messages[reason] : "";
}
