#include "tests/support/social_listener.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>

#include "tests/support/process.h"

enum { SILENCE_MS = 300 };

struct test_listener {
    const struct test_server *redis;
    redisContext *context;
};

void test_listener_reopen(struct test_listener *listener)
{
    const struct test_address *address = test_server_address(listener->redis);
    if (listener->context)
        redisFree(listener->context);
    listener->context = redisConnect(address->host, address->port);
    redisReply *reply = redisCommand(listener->context, "SUBSCRIBE social.events.main");
    if (!reply)
        test_fail("cannot subscribe to social's events");
    freeReplyObject(reply);
}

struct test_listener *test_listener_open(const struct test_server *redis)
{
    struct test_listener *listener = calloc(1, sizeof *listener);
    if (!listener)
        test_fail("out of memory");
    listener->redis = redis;
    test_listener_reopen(listener);
    return listener;
}

void test_listener_close(struct test_listener *listener)
{
    if (!listener)
        return;
    redisFree(listener->context);
    free(listener);
}

Mmorts__Social__Event *test_listener_next(struct test_listener *listener, int timeout_ms)
{
    redisReply *reply = NULL;
    struct timeval timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000};
    redisSetTimeout(listener->context, timeout);
    if (redisGetReply(listener->context, (void **)&reply) != REDIS_OK)
        return NULL;
    Mmorts__Social__Event *event = mmorts__social__event__unpack(
        NULL, reply->element[2]->len, (const uint8_t *)reply->element[2]->str);
    freeReplyObject(reply);
    if (!event)
        test_fail("an event that cannot be read");
    return event;
}

bool test_listener_is_silent(struct test_listener *listener)
{
    Mmorts__Social__Event *event = test_listener_next(listener, SILENCE_MS);
    if (event) {
        mmorts__social__event__free_unpacked(event, NULL);
        return false;
    }
    test_listener_reopen(listener); // a time-out spoils a hiredis context
    return true;
}
