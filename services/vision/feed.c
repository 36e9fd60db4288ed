#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/clock.h"
#include "libcommon/base/log.h"
#include "libcommon/io/pb.h"
#include "services/vision/app.h"

#include <inttypes.h>
#include <string.h>

// World's tick stream into the core, and what the core makes of each tick out to the vision stream.

enum {
    FRAME_ARENA_CHUNK_BYTES = 1 << 20,
    FRAME_ARENA_BYTES_MAX = 1 << 30,
};

// --- the core comes to life ------------------------------------------------------------------

// The core that was made of what was saved, which goes.
static void take_core(struct vision_app *app)
{
    struct vision_stored *stored = app->stored;
    app->core = stored->core;
    stored->core = NULL;
    vision_set_progress(app->core, mm_loop_progress(app->loop));
    if (stored->catalogue)
        vision_store_set_catalogue(app, stored->catalogue);
    stored->catalogue = NULL;
    vision_allies_load(app, stored);
    vision_stored_free(stored);
    app->stored = NULL;
    if (vision_is_live(app->core))
        vision_allies_known(app);
}

// Makes the core for the world whose snapshot this is.
static enum mm_err make_core(struct vision_app *app, const Mmorts__Frame__TickFrame *frame)
{
    enum mm_err err = vision_begin_core(&app->settings, app->stored, frame->catalogue,
                                        mm_loop_progress(app->loop));
    if (err == MM_FAILED_PRECONDITION)
        mm_service_quit(app->service, 1);
    if (err == MM_OK)
        take_core(app);
    return err;
}

// Whether type numbers mean what they meant.
static bool same_types(const Mmorts__Frame__Catalogue *x, const Mmorts__Frame__Catalogue *y)
{
    if (!y || !y->types || x->types->n_name != y->types->n_name)
        return false;
    for (size_t i = 0; i < x->types->n_name; i++) {
        if (strcmp(x->types->name[i], y->types->name[i]) != 0)
            return false;
    }
    return true;
}

// --- frames ----------------------------------------------------------------------------------

static enum mm_err apply(struct vision_app *app, const Mmorts__Frame__TickFrame *frame,
                         const Mmorts__Frame__VisionFrame **out)
{
    if (!app->core) {
        enum mm_err err = frame->snapshot ? make_core(app, frame) : MM_FAILED_PRECONDITION;
        if (err != MM_OK)
            return err;
    } else if (frame->snapshot && app->catalogue && !same_types(app->catalogue, frame->catalogue)) {
        MM_LOG_WARN("world's types are others than before; starting anew");
        mm_service_quit(app->service, 1);
        return MM_FAILED_PRECONDITION;
    }
    uint64_t started_ns = mm_clock_ns();
    enum mm_err err = vision_apply(app->core, frame, out);
    mm_metrics_observe(app->tick_seconds, (mm_clock_ns() - started_ns) / 1000);
    Mmorts__Frame__Catalogue *catalogue;
    if (err == MM_OK && frame->snapshot) {
        err = vision_catalogue_copy(frame->catalogue, &catalogue);
        if (err == MM_OK)
            vision_store_set_catalogue(app, catalogue);
    }
    if (err == MM_OK && frame->empires)
        vision_allies_empires(app, frame->empires);
    return err;
}

static enum mm_err apply_bytes(struct vision_app *app, const uint8_t *bytes, size_t size,
                               const Mmorts__Frame__VisionFrame **out)
{
    struct mm_pb_watched watched = {app->frame_arena, mm_loop_progress(app->loop)};
    ProtobufCAllocator allocator = mm_pb_watched_allocator(&watched);
    ProtobufCMessage *unpacked = NULL;
    enum mm_err err = mm_pb_unpack(&mmorts__frame__tick_frame__descriptor, &allocator, bytes, size,
                                   VISION_FRAME_BYTES_MAX, &unpacked);
    if (err == MM_OK)
        err = apply(app, (const Mmorts__Frame__TickFrame *)unpacked, out);
    mm_arena_reset(app->frame_arena);
    return err;
}

static void update_ready(struct vision_app *app)
{
    bool live = app->is_live && app->core && vision_is_live(app->core);
    if (live && !app->publisher && !app->is_fenced && vision_publish_restart(app) != MM_OK) {
        MM_LOG_ERROR("the vision stream cannot be opened");
        mm_service_quit(app->service, 1);
    }
    mm_service_condition_set(app->service, app->feed_condition, live && app->publisher);
}

// What came makes no sense: everything from the beginning, after a little while.
static void refuse(struct vision_app *app, uint64_t tick, enum mm_err err)
{
    mm_counter_add(app->frames_refused, 1);
    MM_LOG_ERROR("a tick frame was refused; asking for a snapshot",
                 "tick=%" PRIu64 " error=%s reason=%s", tick, mm_err_name(err),
                 app->core ? vision_refusal(app->core) : "");
    mm_loop_timer_start(app->loop, &app->restart_timer,
                        MM_LOOP_MS((uint64_t)app->settings.retry_ms), 0);
}

static void on_restart_timer(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop, (void)timer;
    struct vision_app *app = arg;
    if (app->reader)
        mm_stream_reader_restart(app->reader);
}

static void take_frame(struct vision_app *app, const struct mm_stream_message *message)
{
    const Mmorts__Frame__VisionFrame *out = NULL;
    uint64_t started_ns = mm_clock_ns();
    enum mm_err err = apply_bytes(app, message->body, message->body_len, &out);
    if (err != MM_OK) {
        refuse(app, message->tick, err);
        return;
    }
    app->applied = (struct mm_stream_position){message->epoch, message->seq};
    uint64_t took_ns = mm_clock_ns() - started_ns;
    mm_counter_add(app->frames, 1);
    if (app->publisher)
        vision_publish_frame(app, out);
    update_ready(app);
    vision_allies_live(app);
    vision_lends_tell(app);
    vision_store_applied(app, took_ns);
}

static void take_snapshot(struct vision_app *app, const struct mm_stream_message *message)
{
    const Mmorts__Frame__VisionFrame *out = NULL;
    enum mm_err err = apply_bytes(app, message->body, message->body_len, &out);
    if (err != MM_OK) {
        refuse(app, message->tick, err);
        return;
    }
    app->applied = (struct mm_stream_position){message->epoch, message->seq};
    mm_counter_add(app->resyncs, 1);
    MM_LOG_INFO("begun anew from world's snapshot", "tick=%" PRIu64, vision_tick(app->core));
    // What follows does not follow on what was published.
    if (app->publisher && vision_publish_restart(app) != MM_OK)
        mm_service_quit(app->service, 1);
    // The last checkpoint leads nowhere any more: world's ring begins at this snapshot.
    vision_store_save(app, true);
    update_ready(app);
    vision_allies_live(app);
    vision_lends_tell(app);
}

void vision_feed_take(struct vision_app *app, const struct mm_stream_message *message,
                      bool is_snapshot)
{
    if (app->restart_timer.active || app->is_fenced)
        return;
    if (is_snapshot)
        take_snapshot(app, message);
    else
        take_frame(app, message);
}

static void on_frame(void *arg, const struct mm_stream_message *message)
{
    if (!vision_hold(arg, message, false))
        vision_feed_take(arg, message, false);
}

static void on_snapshot(void *arg, const struct mm_stream_message *message)
{
    if (!vision_hold(arg, message, true))
        vision_feed_take(arg, message, true);
}

static void on_state(void *arg, enum mm_stream_state state)
{
    struct vision_app *app = arg;
    app->is_live = state == MM_STREAM_LIVE;
    MM_LOG_INFO("tick stream", "state=%s tick=%" PRIu64,
                state == MM_STREAM_LIVE   ? "live"
                : state == MM_STREAM_DOWN ? "down"
                                          : "catching up",
                app->core ? vision_tick(app->core) : 0);
    // If world is gone its ring is too, and with it what a restart could replay.
    if (state == MM_STREAM_DOWN)
        vision_store_save(app, false);
    update_ready(app);
    if (app->is_live) {
        vision_allies_world(app);
        vision_lends_world(app);
    }
}

// --- begin and end ---------------------------------------------------------------------------

void vision_feed_begin(struct vision_app *app, struct vision_stored *stored)
{
    app->stored = stored;
    mm_loop_timer_init(&app->restart_timer, on_restart_timer, app);
    app->frame_arena = mm_arena_new(FRAME_ARENA_CHUNK_BYTES, FRAME_ARENA_BYTES_MAX);
    MM_CHECK(app->frame_arena);
    if (stored->core) {
        if (vision_is_live(stored->core))
            app->applied = stored->position;
        take_core(app);
        (void)vision_stamps_pass(app, vision_tick(app->core));
    }
    struct mm_stream_reader_options options = {
        .stream = "tick",
        .session = app->session,
        .from = app->applied,
        .tls = mm_service_tls(app->service),
        .arg = app,
        .on_message = on_frame,
        .on_snapshot = on_snapshot,
        .on_state = on_state,
    };
    if (mm_stream_reader_open(app->loop, mm_service_stream_peer(app->service, "world"),
                              mm_service_peer(app->service, "world"), &options,
                              &app->reader) != MM_OK) {
        MM_LOG_ERROR("streams.world is not an address");
        mm_service_quit(app->service, 1);
    }
}

void vision_feed_close(struct vision_app *app)
{
    if (app->reader)
        mm_stream_reader_close(app->reader);
    app->reader = NULL;
    if (app->restart_timer.active)
        mm_loop_timer_stop(app->loop, &app->restart_timer);
    vision_hold_close(app);
    mm_arena_free(app->frame_arena);
    app->frame_arena = NULL;
}
