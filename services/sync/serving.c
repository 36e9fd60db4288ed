#include <inttypes.h>

#include "gen/vision.pb-c.h"
#include "libcommon/base/alloc.h"
#include "libcommon/base/log.h"
#include "libcommon/base/str.h"
#include "services/sync/app.h"

// Where several processes of sync serve one session, each reads only what vision tells of its own
// empires: those that have a view here. The set goes to vision whole, under a revision that grows
// with every change, one call at a time; whatever changes meanwhile goes with the next. A view is
// asked for when vision has the first set with its empire, and vision refuses to give one for a
// stream that does not go on with it. So no view is live without its frames, however calls overtake
// one another.
//
// When vision has forgotten us (it was started again, or we were away for longer than its lease),
// Replay says so: the set is told again, the stream has another epoch, and the core freezes every
// view, as it does with the whole stream.

#define CALL_MS  3000
#define RETRY_MS 50

static void on_unknown(void *arg)
{
    struct sync_app *app = arg;
    app->serving.lost = true;
    sync_deliver_soon(app);
}

enum mm_err sync_serving_open(struct sync_app *app)
{
    const struct sync_app *lobby = app->lobby ? app->lobby : app;
    for (size_t i = 0; i < SYNC_INSTANCE_BYTES; i++) {
        static const char digits[] = "0123456789abcdef";
        app->serving.name[2 * i] = digits[lobby->instance[i] >> 4];
        app->serving.name[2 * i + 1] = digits[lobby->instance[i] & 15];
    }
    char stream[sizeof "vision/" + sizeof app->serving.name];
    (void)snprintf(stream, sizeof stream, "vision/%s", app->serving.name);
    app->serving.revision = 1;
    app->serving.lost = true;
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
    mm_stream_follower_close(app->serving.follower);
    app->serving.follower = NULL;
}

// A set that vision was not told of yet takes up more changes.
static void change(struct sync_app *app)
{
    if (app->serving.sent == app->serving.revision)
        app->serving.revision++;
}

void sync_serving_add(struct sync_app *app, struct sync_seat *seat)
{
    change(app);
    seat->served_from = app->serving.revision;
}

void sync_serving_remove(struct sync_app *app)
{
    change(app);
}

bool sync_serving_knows(const struct sync_app *app, const struct sync_seat *seat)
{
    return !app->serving.follower || app->serving.taken >= seat->served_from;
}

static void on_served(void *arg, const struct mm_rpc_result *result)
{
    struct sync_app *app = arg;
    app->serving.call = 0;
    if (result->code == MM_OK) {
        app->serving.taken = app->serving.sent;
        app->serving.lost = false;
        mm_stream_follower_hurry(app->serving.follower);
    } else {
        if (result->code != MM_UNAVAILABLE && result->code != MM_DEADLINE_EXCEEDED)
            MM_LOG_ERROR("vision does not take which empires are served here",
                         "subscriber=%s code=%s reason=%s", app->serving.name,
                         mm_err_name(result->code), result->message);
        app->serving.lost = true;
        app->serving.retry_ns = mm_loop_now_ns(app->loop) + MM_LOOP_MS(RETRY_MS);
    }
    sync_deliver_soon(app);
}

void sync_serving_tell(struct sync_app *app)
{
    if (!app->serving.follower || app->serving.call ||
        (app->serving.sent == app->serving.revision && !app->serving.lost) ||
        mm_loop_now_ns(app->loop) < app->serving.retry_ns)
        return;
    uint32_t *empires = mm_calloc(app->core.view_count + 1, sizeof *empires);
    if (!empires)
        return; // the next turn tries again
    Mmorts__Vision__ServeRequest request = MMORTS__VISION__SERVE_REQUEST__INIT;
    request.session = (char *)(uintptr_t)app->session;
    request.subscriber = app->serving.name;
    request.revision = app->serving.revision;
    for (uint32_t empire = 1; empire < app->core.empire_count; empire++)
        if (sync_core_view(&app->core, empire))
            empires[request.n_empires++] = empire;
    request.empires = empires;
    struct mm_rpc_call_options options = {.deadline_ms = CALL_MS, .idempotent = true};
    if (mm_rpc_call(app->vision, &mmorts__vision__vision__descriptor, "Serve", &request.base,
                    &options, on_served, app, &app->serving.call) == MM_OK) {
        app->serving.sent = app->serving.revision;
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
