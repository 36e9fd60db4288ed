#ifndef SOCIAL_APP_H
#define SOCIAL_APP_H

#include <stdint.h>

#include "gen/social.pb-c.h"
#include "libcommon/io/db.h"
#include "libcommon/io/loop.h"
#include "libcommon/io/redis.h"
#include "libcommon/io/rpc_server.h"
#include "libcommon/service/metrics.h"
#include "libcommon/service/service.h"
#include "services/social/core/group.h"
#include "services/social/outbox.h"

// The shell's state. What social knows lies in Redis and, of groups, in MariaDB, so that any number
// of instances serve together and one that dies takes nothing with it. Presence and chat: every
// operation is one Lua script that looks, changes and publishes in one step, so an event is told
// exactly when the change happened. Groups: a change and its events are one transaction; the events
// are published when it is committed, by whoever is alive.

enum {
    SOCIAL_HEARTBEAT_MEMBERS_MAX = 20000,
    SOCIAL_LIST_MAX = 10000,
    SOCIAL_SWEEP_MAX = 500, // leases ended in one sweep; the rest follows in the next
    SOCIAL_USERNAME_BYTES_MAX = 128,
    SOCIAL_INSTANCE_BYTES_MAX = 128,
    SOCIAL_SILENT_MS_MAX = 600000,
};

struct social_settings {
    int64_t chat_characters_max;
    int64_t chat_messages; // per chat_window_ms
    int64_t chat_window_ms;
    int64_t lease_ms;
    int64_t sweep_ms;
    int64_t group_members_max;
    int64_t group_pending_max;
    int64_t group_pending_ms;
    int64_t mail_characters_max;
    int64_t mail_messages; // per mail_window_ms
    int64_t mail_window_ms;
    int64_t mail_box_max;
    int64_t mail_retention_ms;
};

struct social_app {
    struct social_settings settings;
    struct mm_service *service;
    struct mm_loop *loop;
    struct mm_redis *redis;
    struct mm_db *db;
    struct social_outbox_state outboxes[SOCIAL_OUTBOXES];
    const char *session;
    struct mm_loop_timer sweep;
    struct mm_counter *joined, *left, *chats, *chats_refused, *announcements, *redis_errors;
    struct mm_counter *group_changes, *group_refused;
    struct mm_counter *mail_sent, *mail_refused, *mail_delivered, *mail_expired;
    struct social_players *players; // whom it has seen
    bool expiry_busy;
    uint64_t expiry_at_ms; // when mail that is too old is looked for next (monotonic)
    bool groups_busy;
    uint64_t groups_after; // the group behind which they are looked for
    uint64_t groups_at_ms; // when invitations that are void are looked for next (monotonic)
};

// lifecycle.c
enum mm_err social_start_service(struct mm_service *service, void *state) MM_MUST_USE;
void social_stop_service(struct mm_service *service, void *state);

// presence.c: who is online. Each answers the call, now or later.
void social_set_online(struct social_app *app, struct mm_rpc_call *call,
                       const Mmorts__Social__SetOnlineRequest *input);
void social_set_offline(struct social_app *app, struct mm_rpc_call *call,
                        const Mmorts__Social__SetOfflineRequest *input);
void social_heartbeat(struct social_app *app, struct mm_rpc_call *call,
                      const Mmorts__Social__HeartbeatRequest *input);
void social_list_online(struct social_app *app, struct mm_rpc_call *call,
                        const Mmorts__Social__ListOnlineRequest *input);
void social_get_presence(struct social_app *app, struct mm_rpc_call *call,
                         const Mmorts__Social__GetPresenceRequest *input);
// Ends the leases that ran out.
void social_sweep(struct social_app *app);

// chat.c
void social_send_chat(struct social_app *app, struct mm_rpc_call *call,
                      const Mmorts__Social__SendChatRequest *input);
void social_announce(struct social_app *app, struct mm_rpc_call *call,
                     const Mmorts__Social__AnnounceRequest *input);

// Goes on with a group's message once it is known whom it is for.
void social_send_chat_to(struct social_app *app, struct mm_rpc_call *call,
                         const Mmorts__Social__SendChatRequest *input, const uint64_t *players,
                         size_t count);

// groups_sql.c: jobs on a database worker's thread.

// One change of a group on its way.
struct social_group_job {
    struct social_app *app; // on the worker: only the session's name
    struct mm_rpc_call *call;
    struct social_group_limits limits;
    struct social_group_action action;
    uint64_t group_id; // also the new one's
    bool creates;
    bool expires;           // voids what was not answered in time, of the next group that has such
    uint64_t expires_after; // behind this one
    char kind[64], name[256], tag[64]; // as they were asked for
    // What came of it.
    Mmorts__Social__GroupReason reason;
    struct social_group group;
    struct {
        MM_VEC(struct social_group_member);
    } before; // the members until now
    struct {
        MM_VEC(uint64_t);
    } waited; // those who waited for an answer until now
    struct social_group_changes changes;
    struct social_event events[SOCIAL_GROUP_CHANGES_MAX];
    size_t event_count;
};

// Frees what came of it.
void social_group_job_clear(struct social_group_job *job);
// Does it, in a transaction of its own; arg is the job.
enum mm_err social_sql_change(struct mm_db_conn *conn, void *arg) MM_MUST_USE;
// Finds the next group where somebody was not answered in time, and voids that; the job's group_id
// says which one it was, or is to be tried again if it failed. 0: there is none.
enum mm_err social_sql_expire(struct mm_db_conn *conn, void *arg) MM_MUST_USE;
// The group with members and pending ones; MM_NOT_FOUND. `out` was initialised.
enum mm_err social_sql_group(struct mm_db_conn *conn, const char *session, uint64_t id,
                             struct social_group *out) MM_MUST_USE;
// Locks the session's groups for the transaction; the number of the last event.
enum mm_err social_sql_lock(struct mm_db_conn *conn, const char *session,
                            uint64_t *seq_out) MM_MUST_USE;

// groups.c
void social_create_group(struct social_app *app, struct mm_rpc_call *call,
                         const Mmorts__Social__CreateGroupRequest *input);
void social_act_on_group(struct social_app *app, struct mm_rpc_call *call,
                         const Mmorts__Social__ActOnGroupRequest *input);
// Voids invitations and applications that were not answered in time, and tells whom it concerns.
void social_groups_sweep(struct social_app *app);
bool social_member_is_sound(const Mmorts__Social__Member *member);

// groups_read.c
void social_get_group(struct social_app *app, struct mm_rpc_call *call,
                      const Mmorts__Social__GetGroupRequest *input);
void social_list_groups(struct social_app *app, struct mm_rpc_call *call,
                        const Mmorts__Social__ListGroupsRequest *input);
void social_get_player_groups(struct social_app *app, struct mm_rpc_call *call,
                              const Mmorts__Social__GetPlayerGroupsRequest *input);
void social_list_memberships(struct social_app *app, struct mm_rpc_call *call,
                             const Mmorts__Social__ListMembershipsRequest *input);
// Finds the members and goes on with social_send_chat_to.
void social_chat_to_group(struct social_app *app, struct mm_rpc_call *call,
                          const Mmorts__Social__SendChatRequest *input);

// A group as a message, in memory of its own; NULL when there is none. `for_player` 0: with all who
// wait, else only that one's entry.
Mmorts__Social__Group *social_group_message_new(const struct social_app *app,
                                                const struct social_group *group, bool with_members,
                                                uint64_t for_player);
void social_group_message_free(Mmorts__Social__Group *message);

// players.c: whom the session has seen. Written behind: what MariaDB does not take is written at
// the next heartbeat.
enum mm_err social_players_open(struct social_app *app) MM_MUST_USE;
void social_players_close(struct social_app *app);
// The members are here now.
void social_players_see(struct social_app *app, Mmorts__Social__Member *const *members,
                        size_t count);

// mail.c: each answers the call, later.
void social_send_mail(struct social_app *app, struct mm_rpc_call *call,
                      const Mmorts__Social__SendMailRequest *input);
void social_send_group_mail(struct social_app *app, struct mm_rpc_call *call,
                            const Mmorts__Social__SendGroupMailRequest *input);
void social_get_inbox(struct social_app *app, struct mm_rpc_call *call,
                      const Mmorts__Social__GetInboxRequest *input);
void social_read_mail(struct social_app *app, struct mm_rpc_call *call,
                      const Mmorts__Social__ReadMailRequest *input);
void social_delete_mail(struct social_app *app, struct mm_rpc_call *call,
                        const Mmorts__Social__DeleteMailRequest *input);
// Deletes mail that is too old.
void social_mail_sweep(struct social_app *app);

// rpc.c
void social_rpc_register(struct social_app *app);

// keys.c: the Redis keys of a session, and arguments for scripts.
enum {
    SOCIAL_KEY_BYTES = 128,
    SOCIAL_KEYS_MAX = 11,
    SOCIAL_ARGS_MAX = 512,
    SOCIAL_NUMBER_BYTES = 24
};
void social_key(const struct social_app *app, const char *what, char out[SOCIAL_KEY_BYTES]);

// A script's arguments: keys first. Bytes given are borrowed until it is sent.
struct social_args {
    const char *items[SOCIAL_ARGS_MAX];
    size_t sizes[SOCIAL_ARGS_MAX];
    size_t count;
    size_t key_count;
    char keys[SOCIAL_KEYS_MAX][SOCIAL_KEY_BYTES];
    char numbers[16][SOCIAL_NUMBER_BYTES];
    size_t number_count;
};
void social_args_init(struct social_args *args);
void social_args_key(struct social_args *args, const struct social_app *app, const char *what);
void social_args_bytes(struct social_args *args, const void *data, size_t size);
void social_args_str(struct social_args *args, const char *text);
void social_args_number(struct social_args *args, int64_t number);
// Fails the call for a database error.
void social_fail_db(struct social_app *app, struct mm_rpc_call *call, enum mm_err err);
// Fails the call for a Redis error.
void social_fail(struct social_app *app, struct mm_rpc_call *call, enum mm_err err);

#endif
