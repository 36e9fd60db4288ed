#include "libcommon/base/alloc.h"
#include "libcommon/base/log.h"
#include "services/vision/app.h"

#include <inttypes.h>
#include <string.h>

// Ticks that wait until it is known whether a change of sharing that counts from them on is
// durable (stamp.c). They wait here, copied, in the order in which they came, for hold_max at most:
// as long as they do, readers are told nothing.

enum { HELD_MAX = 512 }; // far more than come within hold_max, unless a replay brings them

size_t vision_held(const struct vision_app *app)
{
    return app->held.count;
}

static bool keep(struct vision_app *app, const struct mm_stream_message *message, bool is_snapshot)
{
    uint8_t *body = mm_malloc(message->body_len + 1);
    struct vision_held held = {.message = *message, .is_snapshot = is_snapshot};
    held.message.body = body;
    if (!body || !mm_vec_push(&app->held, held)) {
        mm_free(body);
        return false;
    }
    memcpy(body, message->body, message->body_len);
    return true;
}

// The first of those that wait are gone.
static void drop(struct vision_app *app, size_t count)
{
    for (size_t i = 0; i < count; i++)
        mm_free((void *)(uintptr_t)app->held.items[i].message.body);
    app->held.count -= count;
    if (app->held.count > 0)
        memmove(app->held.items, app->held.items + count,
                app->held.count * sizeof *app->held.items);
    else
        mm_loop_timer_stop(app->loop, &app->held.timer);
}

void vision_hold_end(struct vision_app *app)
{
    size_t count = 0;
    for (; count < app->held.count; count++) {
        const struct vision_held *held = &app->held.items[count];
        if (!vision_stamps_pass(app, held->message.tick))
            break;
        vision_feed_take(app, &held->message, held->is_snapshot);
    }
    drop(app, count);
}

static void give_up(struct vision_app *app)
{
    mm_counter_add(app->held.given_up, 1);
    vision_stamps_give_way(app);
    vision_hold_end(app);
}

static void on_timer(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop, (void)timer;
    struct vision_app *app = arg;
    give_up(app);
    if (vision_held(app) > 0) // for another claim
        mm_loop_timer_start(app->loop, timer, MM_LOOP_MS((uint64_t)app->settings.hold_max_ms), 0);
}

bool vision_hold(struct vision_app *app, const struct mm_stream_message *message, bool is_snapshot)
{
    bool passes = vision_stamps_pass(app, message->tick);
    if (vision_held(app) == 0 && passes)
        return false;
    if (vision_held(app) == 0) {
        mm_counter_add(app->held.holds, 1);
        mm_loop_timer_start(app->loop, &app->held.timer,
                            MM_LOOP_MS((uint64_t)app->settings.hold_max_ms), 0);
    }
    if (keep(app, message, is_snapshot))
        return true;
    MM_LOG_WARN("no room for ticks that wait", "tick=%" PRIu64 " waiting=%zu", message->tick,
                vision_held(app));
    do
        give_up(app);
    while (vision_held(app) > 0 || !vision_stamps_pass(app, message->tick));
    return false;
}

void vision_hold_open(struct vision_app *app)
{
    mm_vec_init(&app->held, HELD_MAX);
    mm_loop_timer_init(&app->held.timer, on_timer, app);
    struct mm_metrics *metrics = mm_service_metrics(app->service);
    app->held.holds = mm_metrics_counter(
        metrics, "mmorts_vision_holds_total",
        "Times ticks waited to know whether a change of sharing is durable.", NULL);
    app->held.given_up = mm_metrics_counter(metrics, "mmorts_vision_holds_given_up_total",
                                            "Times that took longer than store.hold_max.", NULL);
}

void vision_hold_close(struct vision_app *app)
{
    drop(app, app->held.count);
    mm_vec_free(&app->held);
}
