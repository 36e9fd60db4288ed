#include "tests/support/social_listener.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>

#include "libcommon/base/hash.h"
#include "tests/support/process.h"

enum { SILENCE_MS = 300, TOLD_MAX = 1000 };

struct test_listener {
    const struct test_server *redis;
    redisContext *context;
    // Of the events that may come again, which say with a number of their own what they are.
    uint64_t told[TOLD_MAX];
    size_t told_count;
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

// The next that is published, whether it was before or not; *hash is of its bytes.
static Mmorts__Social__Event *next_published(struct test_listener *listener, int timeout_ms,
                                             uint64_t *hash)
{
    redisReply *reply = NULL;
    struct timeval timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000};
    redisSetTimeout(listener->context, timeout);
    if (redisGetReply(listener->context, (void **)&reply) != REDIS_OK)
        return NULL;
    const redisReply *message = reply->element[2];
    *hash = mm_hash64(message->str, message->len, 0);
    Mmorts__Social__Event *event =
        mmorts__social__event__unpack(NULL, message->len, (const uint8_t *)message->str);
    freeReplyObject(reply);
    if (!event)
        test_fail("an event that cannot be read");
    return event;
}

static bool was_told(struct test_listener *listener, uint64_t hash)
{
    for (size_t i = 0; i < listener->told_count; i++)
        if (listener->told[i] == hash)
            return true;
    if (listener->told_count == TOLD_MAX)
        test_fail("more than %d events", TOLD_MAX);
    listener->told[listener->told_count++] = hash;
    return false;
}

Mmorts__Social__Event *test_listener_next(struct test_listener *listener, int timeout_ms)
{
    Mmorts__Social__Event *event;
    uint64_t hash;
    while ((event = next_published(listener, timeout_ms, &hash)) != NULL) {
        bool may_repeat = event->event_case == MMORTS__SOCIAL__EVENT__EVENT_GROUP ||
                          event->event_case == MMORTS__SOCIAL__EVENT__EVENT_MAIL;
        if (!may_repeat || !was_told(listener, hash))
            break;
        mmorts__social__event__free_unpacked(event, NULL);
    }
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
