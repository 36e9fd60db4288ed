#ifndef SYNC_ANSWERS_H
#define SYNC_ANSWERS_H

#include "gen/social.pb-c.h"
#include "services/sync/app.h"

// What clients hear of their commands. For route.c, orders.c and errands.c.

// One call on its way for one command; the client may be gone when the answer comes.
struct sync_errand {
    struct sync_app *app;
    uint64_t connection;
    uint64_t seq;
    uint64_t received_ns;
};
// NULL when out of memory.
struct sync_errand *sync_errand_new(struct sync_client *client, uint64_t seq);
// Answers: with a failed call's word, else with an error (word), else with the acknowledgement. The
// errand is gone; the client it was for, or NULL.
struct sync_client *sync_errand_end(struct sync_errand *errand, enum mm_err err, const char *word,
                                    const char *message, uint32_t retry_after_ms, uint64_t job);

// Counts an answer.
void sync_answered(struct sync_app *app, uint64_t received_ns, bool ok);
// The client a late answer is for, its count of unanswered commands taken down; NULL if it is gone.
struct sync_client *sync_answer_to(struct sync_app *app, uint64_t connection);
// job: 0 for none.
void sync_send_ack(struct sync_client *client, uint64_t seq, uint64_t tick, uint64_t job);
// What a failed call means to a player: the protocol's word, and a sentence. Static strings.
const char *sync_failure_word(enum mm_err err);
const char *sync_failure_message(enum mm_err err);
// An error for a command that was sent nowhere.
void sync_refuse_command(struct sync_client *client, const char *code, const char *message,
                         uint64_t seq);

// The client's player as social knows players; the strings are the client's.
void sync_member_of(struct sync_client *client, Mmorts__Social__Member *out);
// orders.c: passes an order on to world.
void sync_route_order(struct sync_client *client, struct sync_command *command);
// groups.c: passes what a player does with groups on to social.
void sync_route_group(struct sync_client *client, struct sync_command *command);
// mail.c: passes what a player does with mail on to social.
void sync_route_mail(struct sync_client *client, struct sync_command *command);
// Passes a train or cancel on to production, a chat message to social.
void sync_route_job(struct sync_client *client, struct sync_command *command);
void sync_route_chat(struct sync_client *client, struct sync_command *command);

#endif
