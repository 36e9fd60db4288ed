// What is published on Redis when a token is revoked or a player banned.
//
// Each event is sent again a moment later. A player may be joining while it happens: verified
// before the ban, known to sync after the event. The second one finds the connection.

#include "services/auth/auth.h"

#include "libcommon/base/buf.h"
#include "libcommon/base/log.h"
#include "libcommon/base/str.h"
#include "libcommon/io/json_pb.h"

#include <string.h>

enum { REPEAT_MS = 500 };

static const char channel[] = "auth.revoked";

static enum mm_err publish_json(struct auth *auth, const char *json, mm_redis_reply_fn fn,
                                void *arg)
{
    struct mm_redis *redis = mm_service_redis(auth->service);
    return redis == NULL
               ? MM_CANCELLED
               : mm_redis_command(redis, fn, arg, "PUBLISH %s %b", channel, json, strlen(json));
}

static void arm(struct auth *auth)
{
    struct auth_events *events = &auth->events;
    if (events->count > 0) {
        mm_loop_timer_start_at(mm_service_loop(auth->service), &events->timer,
                               events->repeats[events->first].due_ns, 0);
    }
}

static void on_timer(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)timer;
    struct auth *auth = arg;
    struct auth_events *events = &auth->events;
    while (events->count > 0 && events->repeats[events->first].due_ns <= mm_loop_now_ns(loop)) {
        // If it cannot be sent: whoever listened has lost its subscription too, and asks again.
        (void)!publish_json(auth, events->repeats[events->first].json, NULL, NULL);
        events->first = (events->first + 1) % AUTH_EVENTS_MAX;
        events->count--;
    }
    arm(auth);
}

static void repeat_later(struct auth *auth, const char *json)
{
    struct auth_events *events = &auth->events;
    if (events->count == AUTH_EVENTS_MAX) {
        MM_LOG_WARN("too many revocations at once; one is published only once");
        return;
    }
    size_t at = (events->first + events->count++) % AUTH_EVENTS_MAX;
    (void)mm_str_copy(events->repeats[at].json, sizeof events->repeats[at].json, json);
    events->repeats[at].due_ns =
        mm_loop_now_ns(mm_service_loop(auth->service)) + MM_LOOP_MS(REPEAT_MS);
    if (events->count == 1) {
        arm(auth);
    }
}

enum mm_err auth_events_publish(struct auth *auth, const Mmorts__Auth__Revoked *event,
                                mm_redis_reply_fn fn, void *arg)
{
    struct mm_buf buf;
    mm_buf_init(&buf, AUTH_EVENT_BYTES_MAX);
    enum mm_err err = mm_json_from_pb(&event->base, NULL, &buf);
    const char *json = mm_buf_cstr(&buf);
    if (err == MM_OK && json == NULL) {
        err = MM_RESOURCE_EXHAUSTED;
    }
    if (err == MM_OK) {
        err = publish_json(auth, json, fn, arg);
    }
    if (err == MM_OK) {
        repeat_later(auth, json);
    }
    mm_buf_free(&buf);
    return err;
}

void auth_events_start(struct auth *auth)
{
    mm_loop_timer_init(&auth->events.timer, on_timer, auth);
}

void auth_events_stop(struct auth *auth)
{
    mm_loop_timer_stop(mm_service_loop(auth->service), &auth->events.timer);
}
