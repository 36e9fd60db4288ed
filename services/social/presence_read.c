#include <stdlib.h>

#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/io/pb.h"
#include "services/social/presence.h"

static void list_done(enum mm_err err, const redisReply *reply, void *arg)
{
    struct social_presence_call *self = arg;
    if (err != MM_OK || reply->type != REDIS_REPLY_ARRAY) {
        social_fail(self->app, self->call, err == MM_OK ? MM_INTERNAL : err);
        mm_free(self);
        return;
    }
    Mmorts__Social__ListOnlineReply answer = MMORTS__SOCIAL__LIST_ONLINE_REPLY__INIT;
    size_t count = reply->elements > 0 ? reply->elements - 1 : 0;
    answer.online = count > 0 || reply->elements > 0 ? (uint32_t)reply->element[0]->integer : 0;
    answer.members = mm_calloc(count + 1, sizeof *answer.members);
    MM_CHECK(answer.members);
    for (size_t i = 0; i < count; i++) {
        const redisReply *item = reply->element[i + 1];
        ProtobufCMessage *member = NULL;
        if (item->type == REDIS_REPLY_STRING &&
            mm_pb_unpack(&mmorts__social__member__descriptor, NULL, item->str, item->len,
                         MM_RPC_REQUEST_BYTES_MAX, &member) == MM_OK)
            answer.members[answer.n_members++] = (Mmorts__Social__Member *)member;
    }
    mm_rpc_reply(self->call, &answer.base);
    for (size_t i = 0; i < answer.n_members; i++)
        mmorts__social__member__free_unpacked(answer.members[i], NULL);
    mm_free(answer.members);
    mm_free(self);
}

void social_list_online(struct social_app *app, struct mm_rpc_call *call,
                        const Mmorts__Social__ListOnlineRequest *input)
{
    if (input->limit == 0 || input->limit > SOCIAL_LIST_MAX) {
        mm_rpc_fail(call, MM_INVALID_ARGUMENT, "limit must be 1 to %d", SOCIAL_LIST_MAX);
        return;
    }
    struct social_args args;
    social_args_init(&args);
    social_presence_keys(&args, app);
    social_args_number(&args, input->limit);
    social_presence_run(social_presence_call_new(app, call), &social_presence_list, &args,
                        list_done);
}

static void presence_done(enum mm_err err, const redisReply *reply, void *arg)
{
    struct social_presence_call *self = arg;
    if (err != MM_OK) {
        social_fail(self->app, self->call, err);
    } else {
        Mmorts__Social__GetPresenceReply answer = MMORTS__SOCIAL__GET_PRESENCE_REPLY__INIT;
        if (reply->type == REDIS_REPLY_STRING) {
            answer.presence = MMORTS__SOCIAL__PRESENCE__PRESENCE_IN_GAME;
            answer.since_ms = strtoll(reply->str, NULL, 10);
        }
        mm_rpc_reply(self->call, &answer.base);
    }
    mm_free(self);
}

void social_get_presence(struct social_app *app, struct mm_rpc_call *call,
                         const Mmorts__Social__GetPresenceRequest *input)
{
    char key[SOCIAL_KEY_BYTES];
    social_key(app, "since", key);
    struct social_presence_call *self = social_presence_call_new(app, call);
    enum mm_err err = mm_redis_command(app->redis, presence_done, self, "HGET %s %llu", key,
                                       (unsigned long long)input->player_id);
    if (err != MM_OK) {
        social_fail(app, call, err);
        mm_free(self);
    }
}
