#ifndef SOCIAL_CORE_MAIL_H
#define SOCIAL_CORE_MAIL_H

#include "gen/social.pb-c.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// What may be written, and what becomes of a mailbox. Pure.

enum {
    SOCIAL_MAIL_SUBJECT_CHARACTERS_MAX = 80,
    SOCIAL_MAIL_BODY_CHARACTERS_MAX = 4000, // whatever the settings say
    SOCIAL_MAIL_SENDS_MAX = 1000,           // of one player in a window, likewise
};

// A player's mail as a whole. Every change makes the version greater by one.
struct social_mailbox {
    uint64_t last_number; // of the newest mail there ever was
    uint32_t total, unread;
    uint64_t version;
};

// Judges a mail's texts and narrows them to what is without the white space around.
Mmorts__Social__MailReason social_mail_check(const char **subject, size_t *subject_len,
                                             const char **body, size_t *body_len,
                                             size_t body_characters_max);

// How long a sender must wait, in ms (0: not at all), who has sent `count` mails since
// now_ms - window_ms, the first of them at oldest_ms, and may send `limit` in any window.
uint32_t social_mail_wait(size_t count, int64_t oldest_ms, int64_t now_ms, size_t limit,
                          int64_t window_ms);

// How one more mail comes into a mailbox that holds at most total_max.
enum social_mail_room {
    SOCIAL_MAIL_ROOM,
    SOCIAL_MAIL_ROOM_EVICTS, // the oldest mail that was read goes for it
    SOCIAL_MAIL_NO_ROOM,     // nothing but unread mail; the mailbox is unchanged
};
enum social_mail_room social_mailbox_take(struct social_mailbox *box, uint32_t total_max);
// A mail that was unread was read.
void social_mailbox_read(struct social_mailbox *box);
// A mail goes.
void social_mailbox_drop(struct social_mailbox *box, bool was_read);

// Of players whose name is, in whatever case, the one that was written: the only one, or else the
// only one that is written just so. Sets *id_out with MAIL_OK.
struct social_mail_candidate {
    uint64_t id;
    bool exact;
};
Mmorts__Social__MailReason social_mail_choose(const struct social_mail_candidate *candidates,
                                              size_t count, uint64_t *id_out);

// A sentence for people.
const char *social_mail_message(Mmorts__Social__MailReason reason);

#endif
