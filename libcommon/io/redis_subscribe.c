// Subscriptions on a connection of their own. Redis answers SUBSCRIBE and UNSUBSCRIBE in the order
// in which they were sent, so counting both tells which answer belongs to which request: a channel
// that was left and entered again is not taken for subscribed by the answer to the first entry.

#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/clock.h"
#include "libcommon/io/redis_internal.h"

#include <string.h>

static struct redis_subscription *find(struct mm_redis *redis, const char *channel, size_t size)
{
    uint64_t index;
    if (!mm_strmap_get_n(redis->subscriptions.by_channel, channel, size, &index))
        return NULL;
    return &redis->subscriptions.places[index];
}

static void tell(const struct redis_subscription *subscription, enum mm_redis_event event,
                 const char *data, size_t size)
{
    struct mm_redis_message message = {subscription->channel, data, size};
    subscription->fn(event, &message, subscription->arg);
}

// False when the connection gives up.
static bool request_send(struct mm_redis *redis, const char *verb, const char *channel)
{
    struct redis_subscriptions *subscriptions = &redis->subscriptions;
    if (subscriptions->conn.state != REDIS_CONN_UP)
        return true; // what is wanted is sent when it comes up
    const char *argv[] = {verb, channel};
    char *bytes = NULL;
    int size = redisFormatCommandArgv(&bytes, 2, argv, NULL);
    enum mm_err err = size > 0 ? redis_conn_send(&subscriptions->conn, bytes, (size_t)size)
                               : MM_RESOURCE_EXHAUSTED;
    if (size > 0)
        redisFreeCommand(bytes);
    if (err == MM_OK) {
        subscriptions->sent++;
        return true;
    }
    // A new connection starts from what is wanted, so nothing is forgotten.
    redis_conn_fail(&subscriptions->conn, "request cannot be sent");
    return false;
}

static bool subscribe_send(struct mm_redis *redis, struct redis_subscription *subscription)
{
    bool sent = request_send(redis, "SUBSCRIBE", subscription->channel);
    subscription->serial = redis->subscriptions.sent;
    return sent;
}

// --- events of the connection ------------------------------------------------------------------

static void subscriptions_up(void *owner)
{
    struct mm_redis *redis = owner;
    struct redis_subscriptions *subscriptions = &redis->subscriptions;
    subscriptions->sent = subscriptions->answered = 0;
    subscriptions->ping_ns = 0;
    for (uint32_t i = 0; i < redis->config.subscriptions_max; i++)
        if (subscriptions->places[i].channel && !subscribe_send(redis, &subscriptions->places[i]))
            return;
}

static void subscriptions_down(void *owner)
{
    struct mm_redis *redis = owner;
    for (uint32_t i = 0; i < redis->config.subscriptions_max; i++) {
        struct redis_subscription *subscription = &redis->subscriptions.places[i];
        if (!subscription->channel || !subscription->confirmed)
            continue;
        subscription->confirmed = false;
        tell(subscription, MM_REDIS_INTERRUPTED, NULL, 0);
    }
}

static bool text_is(const redisReply *reply, const char *text)
{
    return (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS) &&
           strcmp(reply->str, text) == 0;
}

static void push_take(struct mm_redis *redis, const redisReply *kind, const redisReply *channel,
                      const redisReply *data)
{
    struct redis_subscriptions *subscriptions = &redis->subscriptions;
    // UNSUBSCRIBE of a channel that nobody had names no channel.
    struct redis_subscription *subscription =
        channel->type == REDIS_REPLY_STRING ? find(redis, channel->str, channel->len) : NULL;
    if (text_is(kind, "message")) {
        redis->stats.messages++;
        if (subscription && subscription->confirmed && data->type == REDIS_REPLY_STRING)
            tell(subscription, MM_REDIS_MESSAGE, data->str, data->len);
    } else if (text_is(kind, "subscribe")) {
        subscriptions->answered++;
        if (!subscription || subscription->serial != subscriptions->answered)
            return;
        subscription->confirmed = true;
        tell(subscription, MM_REDIS_SUBSCRIBED, NULL, 0);
    } else if (text_is(kind, "unsubscribe")) {
        subscriptions->answered++;
    }
}

static void subscriptions_reply(void *owner, const redisReply *reply)
{
    struct mm_redis *redis = owner;
    // PING is answered with ["pong", ""] while there are subscriptions, else with +PONG.
    bool is_pair = reply->type == REDIS_REPLY_ARRAY && reply->elements == 2;
    if (text_is(reply, "PONG") || (is_pair && text_is(reply->element[0], "pong")))
        redis->subscriptions.ping_ns = 0;
    else if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 3)
        push_take(redis, reply->element[0], reply->element[1], reply->element[2]);
    else
        redis_conn_fail(&redis->subscriptions.conn, "unexpected reply");
}

const struct redis_conn_events redis_subscribe_events = {subscriptions_up, subscriptions_down,
                                                         subscriptions_reply};

void redis_subscriptions_keepalive(struct mm_redis *redis)
{
    struct redis_subscriptions *subscriptions = &redis->subscriptions;
    if (subscriptions->conn.state != REDIS_CONN_UP)
        return;
    uint64_t now_ns = mm_clock_ns();
    if (subscriptions->ping_ns == 0) {
        static const char ping[] = "*1\r\n$4\r\nPING\r\n";
        if (redis_conn_send(&subscriptions->conn, ping, sizeof ping - 1) == MM_OK)
            subscriptions->ping_ns = now_ns;
        subscriptions->ping_overdue = false;
    } else if (now_ns - subscriptions->ping_ns <= MM_LOOP_MS(redis->config.command_timeout_ms)) {
        return;
    } else if (!subscriptions->ping_overdue) {
        subscriptions->ping_overdue = true;
        mm_loop_timer_start(redis->loop, &redis->keepalive_timer, MM_LOOP_MS(REDIS_LAST_LOOK_MS),
                            MM_LOOP_MS(REDIS_KEEPALIVE_MS));
    } else {
        redis_conn_fail(&subscriptions->conn, "no sign of life");
    }
}

// --- what the caller wants ---------------------------------------------------------------------

enum mm_err mm_redis_subscribe(struct mm_redis *redis, const char *channel, mm_redis_message_fn fn,
                               void *arg)
{
    struct redis_subscriptions *subscriptions = &redis->subscriptions;
    MM_CHECK(fn && subscriptions->places);
    if (redis->closing)
        return MM_CANCELLED;
    if (mm_strmap_get(subscriptions->by_channel, channel, NULL))
        return MM_ALREADY_EXISTS;
    uint32_t index = 0;
    while (index < redis->config.subscriptions_max && subscriptions->places[index].channel)
        index++;
    if (index == redis->config.subscriptions_max)
        return MM_RESOURCE_EXHAUSTED;
    char *copy = mm_strdup(channel);
    if (!copy || mm_strmap_set(subscriptions->by_channel, channel, index) != MM_OK) {
        mm_free(copy);
        return MM_RESOURCE_EXHAUSTED;
    }
    struct redis_subscription *subscription = &subscriptions->places[index];
    *subscription = (struct redis_subscription){.channel = copy, .fn = fn, .arg = arg};
    if (subscriptions->conn.state == REDIS_CONN_OFF)
        redis_conn_start(&subscriptions->conn);
    else
        (void)subscribe_send(redis, subscription);
    return MM_OK;
}

void mm_redis_unsubscribe(struct mm_redis *redis, const char *channel)
{
    struct redis_subscription *subscription = find(redis, channel, strlen(channel));
    if (!subscription)
        return;
    char *gone = subscription->channel;
    *subscription = (struct redis_subscription){0};
    (void)mm_strmap_remove(redis->subscriptions.by_channel, gone, NULL);
    (void)request_send(redis, "UNSUBSCRIBE", gone);
    mm_free(gone);
}
