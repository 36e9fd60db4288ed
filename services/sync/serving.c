#include <inttypes.h>

#include "gen/vision.pb-c.h"
#include "libcommon/base/alloc.h"
#include "libcommon/base/log.h"
#include "libcommon/base/str.h"
#include "services/sync/app.h"

// Where several processes of sync serve one session, each reads only what vision tells of its own
// empires: those that have a view here. What is told when, and why that suffices: core/served.h.

#define CALL_MS  3000
#define RETRY_MS 50

static void on_unknown(void *arg)
{
    struct sync_app *app = arg;
    sync_served_lose(&app->serving.served);
    sync_deliver_soon(app);
}

enum mm_err sync_serving_open(struct sync_app *app)
{
    const struct sync_app *lobby = app->lobby ? app->lobby : app;
    mm_hex_encode(lobby->instance, SYNC_INSTANCE_BYTES, app->serving.name);
    char stream[sizeof "vision/" + sizeof app->serving.name];
    (void)snprintf(stream, sizeof stream, "vision/%s", app->serving.name);
    app->serving.served = sync_served_new();
    struct mm_stream_follower_options options = {
        .stream = stream,
        .session = app->session,
        .arg = app,
        .on_message = sync_feeds_vision,
        .on_state = sync_feeds_state,
        .on_unknown = on_unknown,
    };
    return mm_stream_follower_open(app->loop, app->vision, &options, &app->serving.follower);
}

void sync_serving_close(struct sync_app *app)
{
    if (app->serving.call)
        mm_rpc_cancel(app->vision, app->serving.call);
    app->serving.call = 0;
    app->serving.served.telling = false;
    mm_stream_follower_close(app->serving.follower);
    app->serving.follower = NULL;
}

void sync_serving_add(struct sync_app *app, struct sync_seat *seat)
{
    seat->served_from = sync_served_change(&app->serving.served);
}

void sync_serving_remove(struct sync_app *app)
{
    (void)sync_served_change(&app->serving.served);
}

bool sync_serving_knows(const struct sync_app *app, const struct sync_seat *seat)
{
    return !app->serving.follower || sync_served_has(&app->serving.served, seat->served_from);
}

static void on_served(void *arg, const struct mm_rpc_result *result)
{
    struct sync_app *app = arg;
    app->serving.call = 0;
    sync_served_told(&app->serving.served, result->code == MM_OK);
    if (result->code == MM_OK) {
        mm_stream_follower_hurry(app->serving.follower);
    } else {
        if (result->code != MM_UNAVAILABLE && result->code != MM_DEADLINE_EXCEEDED)
            MM_LOG_ERROR("vision does not take which empires are served here",
                         "subscriber=%s code=%s reason=%s", app->serving.name,
                         mm_err_name(result->code), result->message);
        app->serving.retry_ns = mm_loop_now_ns(app->loop) + MM_LOOP_MS(RETRY_MS);
    }
    sync_deliver_soon(app);
}

void sync_serving_tell(struct sync_app *app)
{
    if (!app->serving.follower || !sync_served_is_due(&app->serving.served) ||
        mm_loop_now_ns(app->loop) < app->serving.retry_ns)
        return;
    uint32_t *empires = mm_calloc(app->core.view_count + 1, sizeof *empires);
    if (!empires)
        return; // the next turn tries again
    Mmorts__Vision__ServeRequest request = MMORTS__VISION__SERVE_REQUEST__INIT;
    request.session = (char *)(uintptr_t)app->session;
    request.subscriber = app->serving.name;
    request.revision = app->serving.served.revision;
    request.n_empires = sync_core_empires(&app->core, empires);
    request.empires = empires;
    struct mm_rpc_call_options options = {.deadline_ms = CALL_MS, .idempotent = true};
    if (mm_rpc_call(app->vision, &mmorts__vision__vision__descriptor, "Serve", &request.base,
                    &options, on_served, app, &app->serving.call) == MM_OK) {
        sync_served_tell(&app->serving.served);
    } else {
        app->serving.call = 0;
        app->serving.retry_ns = mm_loop_now_ns(app->loop) + MM_LOOP_MS(RETRY_MS);
    }
    mm_free(empires);
}

uint32_t sync_serving_calls(const struct sync_app *app)
{
    return app->serving.follower && mm_stream_follower_is_asking(app->serving.follower) ? 1 : 0;
}
