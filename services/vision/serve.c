#include "libcommon/base/alloc.h"
#include "libcommon/base/log.h"
#include "services/vision/app.h"
#include "services/vision/core/subscribers.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

// Parts of the vision stream, for readers that serve some of the empires. Each is a stream of its
// own, with epoch, seq and ring, read by Replay calls that wait: over the socket every reader would
// get everybody's. The set changes between two frames, by a revision that only grows; so a view
// asked for with a revision is continued by what follows its place in the stream.
//
//   Serve -> subscriber (core/subscribers.h: a set of empires; equal ones are encoded once)
//                 |
//                 +-> publisher "vision/<subscriber>"
//
// A part that nobody reads is forgotten after the lease. Nothing here outlives the process: after a
// restart Replay says NOT_FOUND, and the reader calls Serve again.

enum {
    PART_RING_MESSAGES = 256,
    PART_RING_BYTES = 8 << 20,
    LOOKS_A_LEASE = 4,
};

struct vision_serving {
    struct vision_subscribers *subscribers;
    struct mm_loop_timer sweep;
    struct mm_counter *frames, *bytes, *encodings, *expired;
};

static double read_subscriptions(void *ctx)
{
    const struct vision_app *app = ctx;
    return (double)vision_subscribers_count(app->serving->subscribers);
}

static double read_empires(void *ctx)
{
    const struct vision_app *app = ctx;
    return (double)vision_subscribers_empires(app->serving->subscribers);
}

static void add_metrics(struct vision_app *app)
{
    struct vision_serving *serving = app->serving;
    struct mm_metrics *metrics = mm_service_metrics(app->service);
    mm_metrics_gauge_fn(metrics, "mmorts_vision_subscriptions",
                        "Parts of the stream that are made.", NULL, read_subscriptions, app);
    mm_metrics_gauge_fn(metrics, "mmorts_vision_subscribed_empires",
                        "Empires in them, summed over parts.", NULL, read_empires, app);
    serving->frames = mm_metrics_counter(metrics, "mmorts_vision_part_frames_total",
                                         "Frames published in parts of the stream.", NULL);
    serving->bytes =
        mm_metrics_counter(metrics, "mmorts_vision_part_bytes_total", "Bytes of these.", NULL);
    serving->encodings =
        mm_metrics_counter(metrics, "mmorts_vision_part_encodings_total",
                           "Frames encoded for them: equal parts share one.", NULL);
    serving->expired = mm_metrics_counter(metrics, "mmorts_vision_subscriptions_expired_total",
                                          "Subscriptions that nobody read any more.", NULL);
}

// --- subscriptions ---------------------------------------------------------------------------

static void drop(struct vision_serving *serving, struct vision_subscriber *subscriber)
{
    mm_stream_publisher_close(subscriber->stream);
    vision_subscribers_drop(serving->subscribers, subscriber);
}

#define STREAM_NAME_BYTES (sizeof "vision/" + VISION_SUBSCRIBER_BYTES_MAX)

static void write_stream_name(char *out, const char *subscriber)
{
    (void)snprintf(out, STREAM_NAME_BYTES, "vision/%s", subscriber);
}

// Begins the subscriber's stream, again under another epoch if there was one. Its first frame is
// empty and tells the tick that views are of.
static enum mm_err open_stream(const struct vision_app *app, struct vision_subscriber *subscriber)
{
    mm_stream_publisher_close(subscriber->stream);
    subscriber->stream = NULL;
    subscriber->reads_seen = 0;
    char name[STREAM_NAME_BYTES];
    write_stream_name(name, subscriber->name);
    struct mm_stream_publisher_options options = {
        .stream = name,
        .session = app->session,
        .ring_messages_max = PART_RING_MESSAGES,
        .ring_bytes_max = PART_RING_BYTES,
        .replay_only = true,
    };
    struct mm_stream_publisher *publisher;
    enum mm_err err =
        mm_stream_publisher_open(mm_service_stream_hub(app->service), &options, &publisher);
    if (err != MM_OK)
        return err;
    subscriber->stream = publisher;
    Mmorts__Frame__VisionFrame frame = MMORTS__FRAME__VISION_FRAME__INIT;
    frame.tick = vision_tick(app->core);
    mm_stream_publish(publisher, frame.tick, &frame.base);
    return MM_OK;
}

static void on_sweep(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)timer;
    struct vision_app *app = arg;
    struct vision_serving *serving = app->serving;
    for (size_t i = vision_subscribers_count(serving->subscribers); i-- > 0;) {
        struct vision_subscriber *subscriber = vision_subscribers_at(serving->subscribers, i);
        if (vision_subscriber_is_read(subscriber, mm_stream_publisher_replays(subscriber->stream),
                                      mm_loop_now_ns(loop),
                                      MM_LOOP_MS((uint64_t)app->settings.lease_ms)))
            continue;
        MM_LOG_INFO("nobody reads this part of the stream any more", "subscriber=%s",
                    subscriber->name);
        mm_counter_add(serving->expired, 1);
        drop(serving, subscriber);
    }
}

// --- frames ----------------------------------------------------------------------------------

void vision_serve_frame(struct vision_app *app, const Mmorts__Frame__VisionFrame *frame)
{
    struct vision_serving *serving = app->serving;
    for (size_t i = vision_subscribers_count(serving->subscribers); i-- > 0;) {
        struct vision_subscriber *subscriber = vision_subscribers_at(serving->subscribers, i);
        struct vision_cut cut = vision_subscribers_cut(serving->subscribers, subscriber, frame);
        if (!cut.bytes) {
            // Without this frame the reader would be told wrong things: it is to begin anew.
            MM_LOG_ERROR("no memory for a part of the stream", "subscriber=%s", subscriber->name);
            drop(serving, subscriber);
            continue;
        }
        mm_stream_publish_bytes(subscriber->stream, frame->tick, cut.bytes, cut.len);
        mm_counter_add(serving->encodings, cut.fresh);
        mm_counter_add(serving->frames, 1);
        mm_counter_add(serving->bytes, cut.len);
    }
    vision_subscribers_next_frame(serving->subscribers);
}

void vision_serve_restart(struct vision_app *app)
{
    struct vision_serving *serving = app->serving;
    for (size_t i = vision_subscribers_count(serving->subscribers); i-- > 0;) {
        struct vision_subscriber *subscriber = vision_subscribers_at(serving->subscribers, i);
        if (open_stream(app, subscriber) != MM_OK)
            drop(serving, subscriber);
    }
}

void vision_serve_end(struct vision_app *app)
{
    struct vision_serving *serving = app->serving;
    for (size_t i = vision_subscribers_count(serving->subscribers); i-- > 0;)
        drop(serving, vision_subscribers_at(serving->subscribers, i));
}

// --- calls -----------------------------------------------------------------------------------

struct mm_stream_publisher *vision_serve_publisher(struct vision_app *app, const char *subscriber,
                                                   uint64_t revision, uint32_t empire,
                                                   const char **why_out)
{
    const struct vision_subscriber *found = vision_subscribers_for_view(
        app->serving->subscribers, subscriber, revision, empire, why_out);
    return found ? found->stream : NULL;
}

void vision_rpc_serve(Mmorts__Vision__Vision_Service *service,
                      const Mmorts__Vision__ServeRequest *input,
                      Mmorts__Vision__ServeReply_Closure closure, void *closure_data)
{
    (void)service;
    struct mm_rpc_call *call = closure_data;
    struct vision_app *app = vision_rpc_app(call, input->session);
    if (!app)
        return;
    struct vision_subscriber *subscriber;
    char why[VISION_SUBSCRIBER_WHY_BYTES];
    enum mm_err err = vision_subscribers_serve(app->serving->subscribers, input,
                                               mm_loop_now_ns(app->loop), &subscriber, why);
    if (err != MM_OK) {
        mm_rpc_fail(call, err, "%s", why);
        return;
    }
    err = subscriber->stream ? MM_OK : open_stream(app, subscriber);
    if (err != MM_OK) {
        drop(app->serving, subscriber);
        mm_rpc_fail(call, err, "the part's stream cannot be opened");
        return;
    }
    char name[STREAM_NAME_BYTES];
    write_stream_name(name, subscriber->name);
    Mmorts__Vision__ServeReply reply = MMORTS__VISION__SERVE_REPLY__INIT;
    reply.stream = name;
    reply.epoch = mm_stream_publisher_epoch(subscriber->stream);
    reply.seq = mm_stream_publisher_seq(subscriber->stream);
    reply.tick = vision_tick(app->core);
    reply.lease_ms = (uint32_t)app->settings.lease_ms;
    closure(&reply, call);
}

// --- life ------------------------------------------------------------------------------------

enum mm_err vision_serve_open(struct vision_app *app)
{
    struct vision_serving *serving = mm_calloc(1, sizeof *serving);
    if (!serving)
        return MM_RESOURCE_EXHAUSTED;
    serving->subscribers = vision_subscribers_new((size_t)app->settings.subscriptions_max,
                                                  (uint32_t)app->settings.empires_max);
    if (!serving->subscribers) {
        mm_free(serving);
        return MM_RESOURCE_EXHAUSTED;
    }
    app->serving = serving;
    add_metrics(app);
    uint64_t period = MM_LOOP_MS((uint64_t)app->settings.lease_ms) / LOOKS_A_LEASE;
    mm_loop_timer_init(&serving->sweep, on_sweep, app);
    mm_loop_timer_start(app->loop, &serving->sweep, period, period);
    return MM_OK;
}

void vision_serve_close(struct vision_app *app)
{
    struct vision_serving *serving = app->serving;
    if (!serving)
        return;
    vision_serve_end(app);
    mm_loop_timer_stop(app->loop, &serving->sweep);
    vision_subscribers_free(serving->subscribers);
    mm_free(serving);
    app->serving = NULL;
}
