#ifndef MM_IO_REDIS_CONN_H
#define MM_IO_REDIS_CONN_H

// One connection to Redis that keeps itself alive: looks up, connects, authenticates, and begins
// again with back-off when anything fails. redis.c and redis_subscribe.c put meaning on top.

#include "libcommon/base/buf.h"
#include "libcommon/io/redis.h"
#include "libcommon/io/resolve.h"

// The options with defaults filled in and strings of its own.
struct redis_config {
    char host[256];
    char password[513];
    uint16_t port;
    uint32_t connect_timeout_ms;
    uint32_t command_timeout_ms;
    uint32_t commands_max;
    size_t send_bytes_max;
    uint32_t subscriptions_max;
    uint32_t backoff_min_ms;
    uint32_t backoff_max_ms;
};

enum redis_conn_state {
    REDIS_CONN_OFF,     // not started, or closed for good
    REDIS_CONN_WAITING, // for the back-off to pass
    REDIS_CONN_RESOLVING,
    REDIS_CONN_CONNECTING,
    REDIS_CONN_GREETING, // AUTH and PING are out
    REDIS_CONN_UP,
};

struct redis_conn_events {
    void (*up)(void *owner);
    void (*down)(void *owner); // only after up; sending is refused already
    // A reply or pushed message, borrowed. The owner must not stop the connection in it, but may
    // call redis_conn_fail.
    void (*reply)(void *owner, const redisReply *reply);
};

struct redis_conn {
    struct mm_loop *loop;
    const struct redis_config *config;
    const struct redis_conn_events *events;
    void *owner;
    const char *name; // for logs

    enum redis_conn_state state;
    int fd;
    struct mm_resolve *resolve;
    uint32_t attempts; // picks one of several addresses
    uint32_t backoff_ms;
    unsigned greetings_left;
    struct mm_loop_timer timer; // back-off, then the connect time-out
    struct mm_loop_task flush_task;
    redisReader *reader;
    bool in_reply;     // inside events->reply
    bool fail_pending; // redis_conn_fail was called there
    struct mm_buf out;
    size_t out_sent;
    uint64_t connects, connects_failed;
};

void redis_conn_init(struct redis_conn *conn, struct mm_loop *loop,
                     const struct redis_config *config, const struct redis_conn_events *events,
                     void *owner, const char *name);
void redis_conn_start(struct redis_conn *conn);
// Closes for good, without `down`.
void redis_conn_stop(struct redis_conn *conn);
// Queues bytes; they go out at the end of the turn. UNAVAILABLE, RESOURCE_EXHAUSTED.
MM_MUST_USE enum mm_err redis_conn_send(struct redis_conn *conn, const void *data, size_t size);
// The owner gives this connection up (time-out, nonsense): closes and begins anew.
void redis_conn_fail(struct redis_conn *conn, const char *why);

#endif
