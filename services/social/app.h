#ifndef SOCIAL_APP_H
#define SOCIAL_APP_H

#include <stdint.h>

#include "gen/social.pb-c.h"
#include "libcommon/io/loop.h"
#include "libcommon/io/redis.h"
#include "libcommon/io/rpc_server.h"
#include "libcommon/service/metrics.h"
#include "libcommon/service/service.h"

// The shell's state. What social knows lies in Redis, so that any number of instances serve
// together and one that dies takes nothing with it. Every operation is one Lua script: it looks,
// changes and publishes in one step, so an event is told exactly when the change happened.

enum {
    SOCIAL_HEARTBEAT_MEMBERS_MAX = 20000,
    SOCIAL_LIST_MAX = 10000,
    SOCIAL_SWEEP_MAX = 500, // leases ended in one sweep; the rest follows in the next
    SOCIAL_USERNAME_BYTES_MAX = 128,
    SOCIAL_INSTANCE_BYTES_MAX = 128,
};

struct social_settings {
    int64_t chat_characters_max;
    int64_t chat_messages; // per chat_window_ms
    int64_t chat_window_ms;
    int64_t lease_ms;
    int64_t sweep_ms;
};

struct social_app {
    struct social_settings settings;
    struct mm_service *service;
    struct mm_loop *loop;
    struct mm_redis *redis;
    const char *session;
    struct mm_loop_timer sweep;
    struct mm_counter *joined, *left, *chats, *chats_refused, *announcements, *redis_errors;
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

// rpc.c
void social_rpc_register(struct social_app *app);

// keys.c: the Redis keys of a session, and arguments for scripts.
enum { SOCIAL_KEY_BYTES = 128, SOCIAL_ARGS_MAX = 512, SOCIAL_NUMBER_BYTES = 24 };
void social_key(const struct social_app *app, const char *what, char out[SOCIAL_KEY_BYTES]);

// A script's arguments: keys first. Bytes given are borrowed until it is sent.
struct social_args {
    const char *items[SOCIAL_ARGS_MAX];
    size_t sizes[SOCIAL_ARGS_MAX];
    size_t count;
    size_t key_count;
    char keys[8][SOCIAL_KEY_BYTES];
    char numbers[16][SOCIAL_NUMBER_BYTES];
    size_t number_count;
};
void social_args_init(struct social_args *args);
void social_args_key(struct social_args *args, const struct social_app *app, const char *what);
void social_args_bytes(struct social_args *args, const void *data, size_t size);
void social_args_str(struct social_args *args, const char *text);
void social_args_number(struct social_args *args, int64_t number);
// Fails the call for a Redis error.
void social_fail(struct social_app *app, struct mm_rpc_call *call, enum mm_err err);

#endif
