// What is published on Redis when a token is revoked or a player banned.
//
// Each event is sent again a moment later. A player may be joining while it happens: verified
// before the ban, known to sync after the event. The second one finds the connection.

#include "services/auth/auth.h"

#include "libcommon/base/check.h"
#include "libcommon/base/log.h"

enum { REPEAT_MS = 500 };

static const char channel[] = "auth.revoked";

static enum mm_err publish(struct auth *auth, const struct auth_event *event, mm_redis_reply_fn fn,
                           void *arg)
{
    struct mm_redis *redis = mm_service_redis(auth->service);
    return redis == NULL ? MM_CANCELLED
                         : mm_redis_command(redis, fn, arg, "PUBLISH %s %b", channel, event->packed,
                                            event->packed_bytes);
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
        if (events->repeats[events->first].packed_bytes > 0) {
            (void)!publish(auth, &events->repeats[events->first], NULL, NULL);
        }
        events->first = (events->first + 1) % AUTH_EVENTS_MAX;
        events->count--;
    }
    arm(auth);
}

static void repeat_later(struct auth *auth, const struct auth_event *event)
{
    struct auth_events *events = &auth->events;
    if (events->count == AUTH_EVENTS_MAX) {
        MM_LOG_WARN("too many revocations at once; one is published only once");
        return;
    }
    size_t at = (events->first + events->count++) % AUTH_EVENTS_MAX;
    events->repeats[at] = *event;
    events->repeats[at].due_ns =
        mm_loop_now_ns(mm_service_loop(auth->service)) + MM_LOOP_MS(REPEAT_MS);
    if (events->count == 1) {
        arm(auth);
    }
}

enum mm_err auth_events_publish(struct auth *auth, const Mmorts__Auth__Revoked *message,
                                mm_redis_reply_fn fn, void *arg)
{
    struct auth_event event = {
        .player_id = message->player_id,
        .packed_bytes = protobuf_c_message_get_packed_size(&message->base),
    };
    MM_CHECK(event.packed_bytes <= sizeof event.packed); // a hash and two numbers
    protobuf_c_message_pack(&message->base, event.packed);
    enum mm_err err = publish(auth, &event, fn, arg);
    if (err == MM_OK) {
        repeat_later(auth, &event);
    }
    return err;
}

// The second event would send away a player who has come back since.
void auth_events_forget_bans(struct auth *auth, uint64_t player_id)
{
    struct auth_events *events = &auth->events;
    for (size_t i = 0; i < events->count; i++) {
        struct auth_event *event = &events->repeats[(events->first + i) % AUTH_EVENTS_MAX];
        if (event->player_id == player_id) {
            event->packed_bytes = 0;
        }
    }
}

void auth_events_start(struct auth *auth)
{
    mm_loop_timer_init(&auth->events.timer, on_timer, auth);
}

void auth_events_stop(struct auth *auth)
{
    mm_loop_timer_stop(mm_service_loop(auth->service), &auth->events.timer);
}
