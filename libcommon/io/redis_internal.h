#ifndef MM_IO_REDIS_INTERNAL_H
#define MM_IO_REDIS_INTERNAL_H

// Shared by redis.c, redis_command.c and redis_subscribe.c; nobody else includes this.

#include "libcommon/base/strmap.h"
#include "libcommon/io/redis_conn.h"

enum {
    // A quiet connection is asked for a sign of life this often: an idle one to a server that hangs
    // or has vanished without a word would look healthy for ever.
    REDIS_KEEPALIVE_MS = 2000,
    // What is overdue gets this much more before it is given up. If it was the loop that stood
    // still, or the whole machine, the reply has come long ago and is only to be read, or comes
    // now.
    REDIS_LAST_LOOK_MS = 100,
};

struct redis_command {
    mm_redis_reply_fn fn;
    void *arg;
    uint64_t sent_ns;
    // Of EVALSHA: the same as EVAL, sent if the server does not know the script. hiredis memory.
    char *fallback;
    size_t fallback_size;
    struct mm_redis_script *script; // NULL: no script's
};

struct redis_subscription {
    char *channel; // NULL: this place is free
    mm_redis_message_fn fn;
    void *arg;
    uint64_t serial; // of the SUBSCRIBE that was sent last; see redis_subscribe.c
    bool confirmed;
};

struct redis_subscriptions {
    struct redis_conn conn;
    struct redis_subscription *places; // config.subscriptions_max of them
    struct mm_strmap *by_channel;      // channel -> index of its place
    uint64_t sent;                     // SUBSCRIBE and UNSUBSCRIBE on this connection
    uint64_t answered;
    uint64_t ping_ns;  // when the PING without answer was sent; 0 = none
    bool ping_overdue; // and its last look is still to come
};

struct mm_redis {
    struct mm_loop *loop;
    struct redis_config config;
    mm_redis_state_fn on_state;
    void *on_state_arg;
    struct mm_redis_stats stats;
    bool closing; // mm_redis_destroy is at work: its callbacks must start nothing new

    struct redis_conn conn;
    uint64_t connection; // which one of the process, from 1 on; 0: none yet
    // Ring of the commands without reply, oldest at `first`.
    struct redis_command *commands;
    uint32_t first;
    uint32_t count;
    struct mm_loop_timer command_timer;
    uint64_t overdue_ns; // the sent_ns of the command that is overdue, until its last look; or 0

    struct redis_subscriptions subscriptions;
    struct mm_loop_timer keepalive_timer;
};

// redis_command.c
extern const struct redis_conn_events redis_command_events;
void redis_commands_init(struct mm_redis *redis);
void redis_commands_keepalive(struct mm_redis *redis);
// Calls back every command without reply. The connection takes no new ones.
void redis_commands_end(struct mm_redis *redis, enum mm_err err);
enum mm_err redis_error_class(const redisReply *reply);

// redis_subscribe.c
extern const struct redis_conn_events redis_subscribe_events;
void redis_subscriptions_keepalive(struct mm_redis *redis);

#endif
