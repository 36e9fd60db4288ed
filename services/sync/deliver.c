#include <inttypes.h>

#include "libcommon/base/clock.h"
#include "libcommon/base/log.h"
#include "services/sync/app.h"
#include "services/sync/deliver_parts.h"

// A turn of the tick's way out: the core is stepped as far as it can be, and when, and each step's
// news go to whom they concern (updates.c). Then come those who wait for more than news (fulls.c).

void sync_deliver_soon(struct sync_app *app)
{
    mm_loop_defer(app->loop, &app->deliver_task);
}

// The world began anew at an older tick: nothing that clients know has a meaning there.
static void close_all(struct sync_app *app)
{
    MM_LOG_WARN("world went back; clients are sent away", "tick=%" PRIu64, app->core.mirror.tick);
    for (size_t i = app->clients.count; i-- > 0;) {
        if (i < app->clients.count)
            sync_client_close(app->clients.items[i], SYNC_WS_RESTART, "restart", NULL);
    }
    app->core.rewound = false;
    app->core.told_tick = 0;
}

// The next tick is there, and it is too early to tell it.
static bool is_early(struct sync_app *app)
{
    struct sync_core *core = &app->core;
    uint64_t tick = sync_core_next(core, core->mirror.tick);
    if (tick == 0)
        return false;
    uint64_t now_ns = mm_clock_ns();
    if (tick != app->pace.tick) {
        app->tell_ns = sync_pace_take(&app->pace, tick, now_ns, sync_tick_ns(app),
                                      MM_LOOP_MS((uint64_t)app->settings.even_ms));
        mm_metrics_observe(app->metrics.wait_time, (app->tell_ns - now_ns) / 1000);
    }
    if (now_ns >= app->tell_ns || sync_core_next(core, tick) != 0) // we are behind
        return false;
    mm_loop_timer_start_at(app->loop, &app->pacer, app->tell_ns, 0);
    return true;
}

// How many of the ticks that wait are told as one; 0: each is told by itself. One tick more than
// there should be is a hiccup, which clients need not notice; but whoever has just folded some and
// again finds more than one cannot keep up.
static uint64_t ticks_to_fold(struct sync_app *app)
{
    uint64_t waiting = sync_core_waiting(&app->core);
    if (waiting == 0)
        return 0;
    app->folding = waiting >= (app->folding ? SYNC_FOLD_ON_TICKS : SYNC_FOLD_TICKS);
    return app->folding ? waiting : 0;
}

void sync_deliver(struct mm_loop *loop, void *arg)
{
    struct sync_app *app = arg;
    if (app->core.rewound)
        close_all(app);
    bool ticked = false;
    uint64_t fold_until = app->core.mirror.tick + ticks_to_fold(app);
    for (unsigned steps = 0; app->core.mirror.tick < fold_until || !is_early(app); steps++) {
        if (steps == SYNC_STEPS_PER_TURN) {
            sync_deliver_soon(app);
            break;
        }
        uint64_t begin_ns = mm_clock_ns();
        uint64_t tick = app->core.mirror.tick;
        enum sync_step step = sync_core_step(&app->core);
        if (step == SYNC_STEP_FAILED) {
            MM_LOG_ERROR("out of memory for the world");
            mm_service_quit(app->service, 1);
            return;
        }
        uint64_t stepped_ns = mm_clock_ns();
        // A mirror that follows world without vision moves nobody's picture.
        if (app->core.mirror.tick != tick &&
            (app->core.live_count > 0 || app->core.view_count == 0))
            app->stepped_ns = mm_loop_now_ns(loop);
        if (step == SYNC_STEP_NONE) {
            // News of production wait for the next tick, unless there is none.
            if (app->production_dirty &&
                mm_loop_now_ns(loop) - app->stepped_ns >= MM_LOOP_MS(SYNC_NEWS_MS))
                sync_updates_tell(app);
            break;
        }
        mm_metrics_observe(app->metrics.step_time, (stepped_ns - begin_ns) / 1000);
        ticked = true;
        if (app->core.mirror.tick < fold_until) {
            sync_updates_hold(app);
            continue;
        }
        sync_updates_tell(app);
        sync_updates_tell_idle(app);
        mm_metrics_observe(app->metrics.deliver_time, (mm_clock_ns() - stepped_ns) / 1000);
    }
    // The steps may have ended before the last tick that was to be told with the others.
    if (app->core.held_count > 0)
        sync_updates_tell(app);
    sync_status_tell(app);
    if (ticked)
        sync_clients_release(app);
    sync_serving_tell(app);
    sync_seats_ask(app);
    sync_feeds_check(app);
    sync_fulls_tell(app);
}
