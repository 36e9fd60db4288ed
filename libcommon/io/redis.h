#ifndef MM_IO_REDIS_H
#define MM_IO_REDIS_H

#include "libcommon/base/err.h"
#include "libcommon/io/loop.h"

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Redis on the loop: one connection for commands, one for subscriptions (opened with the first
// subscription). hiredis formats commands and parses replies; the sockets are ours, so that every
// wait has a bound. All functions and callbacks: loop thread.

struct mm_redis;

typedef void (*mm_redis_state_fn)(bool is_up, void *arg);

struct mm_redis_options {
    const char *host; // name or address; names are looked up on a thread of their own
    uint16_t port;
    const char *password;        // NULL or "" = no AUTH
    uint32_t connect_timeout_ms; // look-up, connect and AUTH together; default 2000
    uint32_t command_timeout_ms; // default 1000; the connection is given up 100 ms after it
    uint32_t commands_max;       // commands without reply; default 16384
    size_t send_bytes_max;       // bytes not yet taken by the socket; default 8 MiB
    uint32_t subscriptions_max;  // default 1024
    uint32_t backoff_min_ms;     // between attempts to connect; default 50
    uint32_t backoff_max_ms;     // doubled up to this; default 1000
    mm_redis_state_fn on_state;  // the command connection came up or went down; may be NULL
    void *on_state_arg;
};

// Starts connecting; the server need not be there. Strings are copied.
MM_MUST_USE enum mm_err mm_redis_create(struct mm_loop *loop,
                                        const struct mm_redis_options *options,
                                        struct mm_redis **out);

// Closes. Commands without reply get CANCELLED before it returns. NULL is allowed. Not from within
// one of its own callbacks.
void mm_redis_destroy(struct mm_redis *redis);

// Whether commands are accepted: connected and authenticated.
bool mm_redis_is_up(const struct mm_redis *redis);

struct mm_redis_stats {
    uint64_t commands;
    uint64_t commands_failed; // not MM_OK, refusals not counted
    uint64_t commands_refused;
    uint64_t timeouts;
    uint64_t connects;
    uint64_t connects_failed;
    uint64_t messages; // received on subscriptions
    uint32_t outstanding;
    uint64_t reply_max_ns; // slowest reply since the last call with reset
};
void mm_redis_stats(struct mm_redis *redis, struct mm_redis_stats *out, bool reset_max);

// --- commands ----------------------------------------------------------------------------------

// reply is borrowed for the call; NULL when there is none. err is MM_OK with a reply that is not
// an error; with an error reply (reply->str tells): FAILED_PRECONDITION (WRONGTYPE, EXECABORT),
// UNAUTHENTICATED, PERMISSION_DENIED, NOT_FOUND (NOSCRIPT), RESOURCE_EXHAUSTED (OOM), UNAVAILABLE
// (LOADING, READONLY, BUSY ...), otherwise INTERNAL. Without reply: DEADLINE_EXCEEDED (no reply in
// time; the connection is then made anew), UNAVAILABLE (connection lost: the command may or may
// not have been done), CANCELLED (mm_redis_destroy). Called exactly once for every accepted
// command, in order, never before the call that accepted it has returned.
typedef void (*mm_redis_reply_fn)(enum mm_err err, const redisReply *reply, void *arg);

// Sends a command in hiredis format (%s, %b with pointer and size_t, %d, %lld ...). fn may be NULL.
// UNAVAILABLE: not connected. RESOURCE_EXHAUSTED: commands_max or send_bytes_max reached.
// INVALID_ARGUMENT: a bad format, or a command that would change the connection (SUBSCRIBE ...).
// On any error fn is never called.
MM_MUST_USE enum mm_err mm_redis_command(struct mm_redis *redis, mm_redis_reply_fn fn, void *arg,
                                         const char *format, ...);

// The same from a vector; sizes may be NULL for 0-terminated strings.
MM_MUST_USE enum mm_err mm_redis_command_argv(struct mm_redis *redis, mm_redis_reply_fn fn,
                                              void *arg, size_t argc, const char *const *argv,
                                              const size_t *sizes);

// A Lua script, usually a static variable: {.source = "return redis.call(...)"}. The rest is filled
// in by its use; it must live until its calls are answered.
struct mm_redis_script {
    const char *source;
    char sha1_hex[41];
    uint64_t known_to; // the last connection that has run it
};

// Runs a script: by its source (EVAL) until that was answered on this connection, then by its
// digest (EVALSHA). So it is carried out in its place among all commands. Only if the server was
// made to forget its scripts meanwhile (SCRIPT FLUSH) is the source sent once more, behind later
// commands. The first key_count of argv, at most MM_REDIS_EVAL_ARGS_MAX, are keys.
#define MM_REDIS_EVAL_ARGS_MAX 1024
MM_MUST_USE enum mm_err mm_redis_eval(struct mm_redis *redis, struct mm_redis_script *script,
                                      mm_redis_reply_fn fn, void *arg, size_t key_count,
                                      size_t argc, const char *const *argv, const size_t *sizes);

// --- publish and subscribe ---------------------------------------------------------------------

enum mm_redis_event {
    MM_REDIS_SUBSCRIBED,  // messages from now on are delivered; also after every interruption
    MM_REDIS_MESSAGE,     // channel, data
    MM_REDIS_INTERRUPTED, // the connection was lost: messages may be missed until SUBSCRIBED
};

struct mm_redis_message {
    const char *channel; // 0-terminated; valid until the callback returns or unsubscribes it
    const void *data;    // NULL but for MM_REDIS_MESSAGE
    size_t size;
};

typedef void (*mm_redis_message_fn)(enum mm_redis_event event,
                                    const struct mm_redis_message *message, void *arg);

// Subscribes to a channel and stays subscribed through every reconnect. One callback per channel.
// Redis keeps nothing for a reader that is away: on SUBSCRIBED after INTERRUPTED re-read whatever
// the channel only announces. ALREADY_EXISTS; RESOURCE_EXHAUSTED (subscriptions_max); CANCELLED
// (mm_redis_destroy is at work).
MM_MUST_USE enum mm_err mm_redis_subscribe(struct mm_redis *redis, const char *channel,
                                           mm_redis_message_fn fn, void *arg);

// fn is not called again. Safe inside callbacks. An unknown channel is ignored.
void mm_redis_unsubscribe(struct mm_redis *redis, const char *channel);

#endif
