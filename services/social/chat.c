#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/clock.h"
#include "libcommon/base/log.h"
#include "libcommon/io/pb.h"
#include "services/social/app.h"
#include "services/social/core/text.h"

// Counts the sender's messages within the last window (a sliding log: never more than the limit in
// any window), looks whether a private message's recipient is online, and publishes.
// KEYS: rate of the sender, count (presence). ARGV: channel, now, window, limit, event, recipient
// or "". Returns {0} published, {1, wait} over the limit, {2} recipient offline.
static struct mm_redis_script chat_script = {
    .source = "local now, window = tonumber(ARGV[2]), tonumber(ARGV[3])\n"
              "redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - window)\n"
              "if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[4]) then\n"
              "  local oldest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')\n"
              "  return {1, math.max(1, tonumber(oldest[2]) + window - now)}\n"
              "end\n"
              "if ARGV[6] ~= '' and redis.call('HEXISTS', KEYS[2], ARGV[6]) == 0 then\n"
              "  return {2, 0}\n"
              "end\n"
              "local n = redis.call('INCR', KEYS[3])\n"
              "redis.call('ZADD', KEYS[1], now, n)\n"
              "redis.call('PEXPIRE', KEYS[1], window)\n"
              "redis.call('PUBLISH', ARGV[1], ARGV[5])\n"
              "return {0, 0}\n",
};

struct chat_call {
    struct social_app *app;
    struct mm_rpc_call *call;
    int64_t timestamp_ms;
};

static void answer_chat(struct mm_rpc_call *call, Mmorts__Social__ChatReason reason,
                        const char *message, uint32_t retry_after_ms, int64_t timestamp_ms)
{
    Mmorts__Social__SendChatReply reply = MMORTS__SOCIAL__SEND_CHAT_REPLY__INIT;
    reply.reason = reason;
    reply.message = (char *)(uintptr_t)message;
    reply.retry_after_ms = retry_after_ms;
    reply.timestamp_ms = timestamp_ms;
    mm_rpc_reply(call, &reply.base);
}

static void refuse(struct social_app *app, struct mm_rpc_call *call,
                   Mmorts__Social__ChatReason reason, const char *message, uint32_t retry_after_ms)
{
    mm_counter_add(app->chats_refused, 1);
    answer_chat(call, reason, message, retry_after_ms, 0);
}

static void chat_done(enum mm_err err, const redisReply *reply, void *arg)
{
    struct chat_call *self = arg;
    if (err != MM_OK || reply->type != REDIS_REPLY_ARRAY || reply->elements != 2) {
        social_fail(self->app, self->call, err == MM_OK ? MM_INTERNAL : err);
        mm_free(self);
        return;
    }
    switch (reply->element[0]->integer) {
    case 0:
        mm_counter_add(self->app->chats, 1);
        answer_chat(self->call, MMORTS__SOCIAL__CHAT_REASON__CHAT_OK, "", 0, self->timestamp_ms);
        break;
    case 1:
        refuse(self->app, self->call, MMORTS__SOCIAL__CHAT_REASON__CHAT_RATE_LIMITED,
               "You are writing too fast.", (uint32_t)reply->element[1]->integer);
        break;
    default:
        refuse(self->app, self->call, MMORTS__SOCIAL__CHAT_REASON__CHAT_NOT_ONLINE,
               "That player is not online.", 0);
    }
    mm_free(self);
}

// The text as a string of its own, checked; NULL if the call has been answered with a refusal.
static char *checked_text(struct social_app *app, struct mm_rpc_call *call, const char *message)
{
    const char *text = message;
    size_t len = strlen(message);
    switch (social_text_check(&text, &len, (size_t)app->settings.chat_characters_max)) {
    case SOCIAL_TEXT_OK: {
        char *copy = mm_malloc(len + 1);
        MM_CHECK(copy);
        memcpy(copy, text, len);
        copy[len] = '\0';
        return copy;
    }
    case SOCIAL_TEXT_INVALID:
        refuse(app, call, MMORTS__SOCIAL__CHAT_REASON__CHAT_INVALID_TEXT,
               "The message has characters that cannot be sent.", 0);
        return NULL;
    case SOCIAL_TEXT_EMPTY:
        refuse(app, call, MMORTS__SOCIAL__CHAT_REASON__CHAT_EMPTY, "The message is empty.", 0);
        return NULL;
    case SOCIAL_TEXT_TOO_LONG:
        refuse(app, call, MMORTS__SOCIAL__CHAT_REASON__CHAT_TOO_LONG, "The message is too long.",
               0);
        return NULL;
    }
    return NULL;
}

void social_send_chat(struct social_app *app, struct mm_rpc_call *call,
                      const Mmorts__Social__SendChatRequest *input)
{
    bool is_private = input->scope == MMORTS__SOCIAL__CHAT_SCOPE__CHAT_PRIVATE;
    bool is_group = input->scope == MMORTS__SOCIAL__CHAT_SCOPE__CHAT_GROUP;
    if (!input->from || input->from->player_id == 0 || input->from->username[0] == '\0' ||
        is_private != (input->to_player != 0) || is_group != (input->to_group != 0)) {
        mm_rpc_fail(call, MM_INVALID_ARGUMENT,
                    "a sender is needed, to_player for a private message only, and to_group for "
                    "a group's only");
        return;
    }
    if (is_group)
        social_chat_to_group(app, call, input);
    else
        social_send_chat_to(app, call, input, NULL, 0);
}

void social_send_chat_to(struct social_app *app, struct mm_rpc_call *call,
                         const Mmorts__Social__SendChatRequest *input, const uint64_t *players,
                         size_t count)
{
    bool is_group = input->scope == MMORTS__SOCIAL__CHAT_SCOPE__CHAT_GROUP;
    bool is_member = !is_group;
    for (size_t i = 0; i < count; i++)
        is_member |= players[i] == input->from->player_id;
    if (!is_member) {
        refuse(app, call, MMORTS__SOCIAL__CHAT_REASON__CHAT_UNKNOWN_RECIPIENT,
               "You are no member of that group.", 0);
        return;
    }
    char *text = checked_text(app, call, input->message);
    if (!text)
        return;
    struct chat_call *self = mm_malloc(sizeof *self);
    MM_CHECK(self);
    *self = (struct chat_call){app, call, mm_clock_wall_ms()};

    Mmorts__Social__Event event = MMORTS__SOCIAL__EVENT__INIT;
    Mmorts__Social__Chat chat = MMORTS__SOCIAL__CHAT__INIT;
    chat.scope = input->scope;
    chat.from = input->from;
    chat.to_player = input->to_player;
    chat.to_group = input->to_group;
    chat.to_players = (uint64_t *)(uintptr_t)players;
    chat.n_to_players = count;
    chat.message = text;
    chat.timestamp_ms = self->timestamp_ms;
    event.event_case = MMORTS__SOCIAL__EVENT__EVENT_CHAT;
    event.chat = &chat;
    uint8_t *packed = NULL;
    size_t packed_len = 0;
    MM_CHECK(mm_pb_pack(&event.base, MM_RPC_REQUEST_BYTES_MAX, &packed, &packed_len) == MM_OK);

    struct social_args args;
    char rate[64], channel[SOCIAL_KEY_BYTES], recipient[SOCIAL_NUMBER_BYTES] = "";
    snprintf(rate, sizeof rate, "rate:%" PRIu64, input->from->player_id);
    snprintf(channel, sizeof channel, "social.events.%s", app->session);
    if (input->scope == MMORTS__SOCIAL__CHAT_SCOPE__CHAT_PRIVATE)
        snprintf(recipient, sizeof recipient, "%" PRIu64, input->to_player);
    social_args_init(&args);
    social_args_key(&args, app, rate);
    social_args_key(&args, app, "count");
    social_args_key(&args, app, "chats");
    social_args_str(&args, channel);
    social_args_number(&args, self->timestamp_ms);
    social_args_number(&args, app->settings.chat_window_ms);
    social_args_number(&args, app->settings.chat_messages);
    social_args_bytes(&args, packed, packed_len);
    social_args_str(&args, recipient);
    enum mm_err err = mm_redis_eval(app->redis, &chat_script, chat_done, self, args.key_count,
                                    args.count, args.items, args.sizes);
    if (err != MM_OK) {
        social_fail(app, call, err);
        mm_free(self);
    }
    mm_free(packed);
    mm_free(text);
}

static void announce_done(enum mm_err err, const redisReply *reply, void *arg)
{
    (void)reply;
    struct chat_call *self = arg;
    if (err != MM_OK) {
        social_fail(self->app, self->call, err);
    } else {
        mm_counter_add(self->app->announcements, 1);
        Mmorts__Social__AnnounceReply answer = MMORTS__SOCIAL__ANNOUNCE_REPLY__INIT;
        mm_rpc_reply(self->call, &answer.base);
    }
    mm_free(self);
}

void social_announce(struct social_app *app, struct mm_rpc_call *call,
                     const Mmorts__Social__AnnounceRequest *input)
{
    const char *text = input->message;
    size_t len = strlen(text);
    if (social_text_check(&text, &len, (size_t)app->settings.chat_characters_max) !=
        SOCIAL_TEXT_OK) {
        mm_rpc_fail(call, MM_INVALID_ARGUMENT, "a message of 1 to %d printable characters",
                    (int)app->settings.chat_characters_max);
        return;
    }
    struct chat_call *self = mm_malloc(sizeof *self);
    MM_CHECK(self);
    *self = (struct chat_call){app, call, mm_clock_wall_ms()};
    Mmorts__Social__Event event = MMORTS__SOCIAL__EVENT__INIT;
    Mmorts__Social__Announcement announcement = MMORTS__SOCIAL__ANNOUNCEMENT__INIT;
    announcement.message = input->message;
    announcement.timestamp_ms = self->timestamp_ms;
    event.event_case = MMORTS__SOCIAL__EVENT__EVENT_ANNOUNCEMENT;
    event.announcement = &announcement;
    uint8_t *packed = NULL;
    size_t packed_len = 0;
    MM_CHECK(mm_pb_pack(&event.base, MM_RPC_REQUEST_BYTES_MAX, &packed, &packed_len) == MM_OK);
    enum mm_err err =
        mm_redis_command(app->redis, announce_done, self, "PUBLISH social.events.%s %b",
                         app->session, packed, packed_len);
    mm_free(packed);
    if (err != MM_OK) {
        social_fail(app, call, err);
        mm_free(self);
    }
}
