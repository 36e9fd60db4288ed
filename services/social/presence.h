#ifndef SOCIAL_PRESENCE_H
#define SOCIAL_PRESENCE_H

#include "services/social/app.h"

// What presence*.c share: who is online, as Redis keeps it, and the scripts that change it in one
// step each. For each session there are
//   leases   sorted set  "player:instance" -> when its lease ends (Unix ms)
//   conns    hash        "player:instance" -> the connection that holds it
//   count    hash        player -> on how many instances it is
//   members  hash        player -> Member, packed
//   left     hash        player -> the Event to publish when it goes, packed
//   since    hash        player -> since when it is online (Unix ms)
//   claims   hash        player -> the number of its last claim
//   claim    number      of the last claim of anybody
//   beats    sorted set  instance -> until when it counts as alive, unless it is heard of (Unix ms)
//   said     sorted set  "player:instance" -> when the instance last said something of it, by its
//                        own clock (Unix us); forgotten after SOCIAL_SAID_MS
//   came     sorted set  player -> when whoever claimed it last came in (Unix us, by Redis's
//                        clock); forgotten likewise
// A player is online as long as count has it.

#define SOCIAL_SAID_MS 60000 // longer than a call may be on its way

// Adds the keys above, in their order.
void social_presence_keys(struct social_args *args, const struct social_app *app);
// Adds the name of the channel that events go to; `channel` lives as long as the arguments.
void social_presence_channel(struct social_args *args, const struct social_app *app,
                             char channel[SOCIAL_KEY_BYTES]);

// What each takes and returns stands in presence_redis.c, above it.
extern struct mm_redis_script social_presence_online, social_presence_claim,
    social_presence_offline, social_presence_beat, social_presence_sweep, social_presence_list;

// What the answer of a script needs.
struct social_presence_call {
    struct social_app *app;
    struct mm_rpc_call *call;
};
struct social_presence_call *social_presence_call_new(struct social_app *app,
                                                      struct mm_rpc_call *call);

// Sends the script; on failure the call is answered and `self` is gone.
void social_presence_run(struct social_presence_call *self, struct mm_redis_script *script,
                         const struct social_args *args, mm_redis_reply_fn done);

// A number of a script's answer; 0 if it is not there.
int64_t social_presence_number(const redisReply *reply, size_t index);

#endif
