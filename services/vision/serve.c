#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/log.h"
#include "libcommon/base/str.h"
#include "libcommon/io/pb.h"
#include "services/vision/app.h"
#include "services/vision/core/audience.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

// Parts of the vision stream, for readers that serve some of the empires. Each is a stream of its
// own, with epoch, seq and ring, read by Replay calls that wait: over the socket every reader would
// get everybody's. The set changes between two frames, by a revision that only grows; so a view
// asked for with a revision is continued by what follows its place in the stream.
//
//   Serve -> subscription --> audience (a set of empires; equal ones are one, and encoded once)
//                 |
//                 +-> publisher "vision/<subscriber>"
//
// A part that nobody reads is forgotten after the lease. Nothing here outlives the process: after a
// restart Replay says NOT_FOUND, and the reader calls Serve again.

enum {
    SUBSCRIBER_BYTES_MAX = 32,
    PART_RING_MESSAGES = 256,
    PART_RING_BYTES = 8 << 20,
    LOOKS_A_LEASE = 4,
};

// A set that subscriptions share.
struct audience {
    struct vision_audience *set;
    uint32_t subscriptions;
    uint8_t *packed; // the frame being published, cut for them; NULL: not yet
    size_t packed_bytes;
};

struct subscription {
    char name[SUBSCRIBER_BYTES_MAX + 1];
    uint64_t revision;
    struct audience *audience;
    struct mm_stream_publisher *publisher;
    uint64_t replays_seen;
    uint64_t used_ns;
};

struct vision_serving {
    struct {
        MM_VEC(struct subscription *);
    } subscriptions;
    struct vision_part *part;
    struct mm_loop_timer sweep;
    struct mm_counter *frames, *bytes, *encodings, *expired;
};

static double read_subscriptions(void *ctx)
{
    const struct vision_app *app = ctx;
    return (double)app->serving->subscriptions.count;
}

static double read_empires(void *ctx)
{
    const struct vision_app *app = ctx;
    size_t empires = 0;
    for (size_t i = 0; i < app->serving->subscriptions.count; i++)
        empires += vision_audience_count(app->serving->subscriptions.items[i]->audience->set);
    return (double)empires;
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

// --- audiences -------------------------------------------------------------------------------

// Takes the set.
static struct audience *share_audience(struct vision_serving *serving, struct vision_audience *set)
{
    for (size_t i = 0; i < serving->subscriptions.count; i++) {
        struct audience *audience = serving->subscriptions.items[i]->audience;
        if (!vision_audience_equal(audience->set, set))
            continue;
        vision_audience_free(set);
        audience->subscriptions++;
        return audience;
    }
    struct audience *audience = mm_calloc(1, sizeof *audience);
    if (!audience) {
        vision_audience_free(set);
        return NULL;
    }
    *audience = (struct audience){.set = set, .subscriptions = 1};
    return audience;
}

static void leave_audience(struct audience *audience)
{
    if (--audience->subscriptions > 0)
        return;
    vision_audience_free(audience->set);
    mm_free(audience);
}

// --- subscriptions ---------------------------------------------------------------------------

static bool is_name(const char *name)
{
    size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-");
    return length > 0 && length <= SUBSCRIBER_BYTES_MAX && name[length] == '\0';
}

static struct subscription *find(const struct vision_serving *serving, const char *name)
{
    for (size_t i = 0; i < serving->subscriptions.count; i++)
        if (mm_str_equal(serving->subscriptions.items[i]->name, name))
            return serving->subscriptions.items[i];
    return NULL;
}

static void drop(struct vision_serving *serving, size_t place)
{
    struct subscription *subscription = serving->subscriptions.items[place];
    mm_vec_remove_swap(&serving->subscriptions, place);
    mm_stream_publisher_close(subscription->publisher);
    leave_audience(subscription->audience);
    mm_free(subscription);
}

#define STREAM_NAME_BYTES (sizeof "vision/" + SUBSCRIBER_BYTES_MAX)

static void write_stream_name(char *out, const char *subscriber)
{
    (void)snprintf(out, STREAM_NAME_BYTES, "vision/%s", subscriber);
}

// Begins the subscription's stream, again under another epoch if there was one. Its first frame is
// empty and tells the tick that views are of.
static enum mm_err open_stream(struct vision_app *app, struct subscription *subscription)
{
    mm_stream_publisher_close(subscription->publisher);
    subscription->publisher = NULL;
    subscription->replays_seen = 0;
    char name[STREAM_NAME_BYTES];
    write_stream_name(name, subscription->name);
    struct mm_stream_publisher_options options = {
        .stream = name,
        .session = app->session,
        .ring_messages_max = PART_RING_MESSAGES,
        .ring_bytes_max = PART_RING_BYTES,
        .replay_only = true,
    };
    enum mm_err err = mm_stream_publisher_open(mm_service_stream_hub(app->service), &options,
                                               &subscription->publisher);
    if (err != MM_OK)
        return err;
    Mmorts__Frame__VisionFrame frame = MMORTS__FRAME__VISION_FRAME__INIT;
    frame.tick = vision_tick(app->core);
    mm_stream_publish(subscription->publisher, frame.tick, &frame.base);
    return MM_OK;
}

// Takes the set.
static enum mm_err subscribe(struct vision_app *app, const char *name, struct vision_audience *set,
                             struct subscription **out)
{
    struct vision_serving *serving = app->serving;
    *out = NULL;
    struct subscription *subscription = NULL;
    if (serving->subscriptions.count < (size_t)app->settings.subscriptions_max &&
        mm_vec_reserve(&serving->subscriptions, serving->subscriptions.count + 1))
        subscription = mm_calloc(1, sizeof *subscription);
    if (!subscription) {
        vision_audience_free(set);
        return MM_RESOURCE_EXHAUSTED;
    }
    (void)mm_str_copy(subscription->name, sizeof subscription->name, name);
    subscription->audience = share_audience(serving, set);
    enum mm_err err =
        subscription->audience ? open_stream(app, subscription) : MM_RESOURCE_EXHAUSTED;
    if (err != MM_OK) {
        if (subscription->audience)
            leave_audience(subscription->audience);
        mm_free(subscription);
        return err;
    }
    MM_CHECK(mm_vec_push(&serving->subscriptions, subscription));
    *out = subscription;
    return MM_OK;
}

static void on_sweep(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)timer;
    struct vision_app *app = arg;
    struct vision_serving *serving = app->serving;
    uint64_t now_ns = mm_loop_now_ns(loop);
    for (size_t i = serving->subscriptions.count; i-- > 0;) {
        struct subscription *subscription = serving->subscriptions.items[i];
        uint64_t replays = mm_stream_publisher_replays(subscription->publisher);
        if (replays != subscription->replays_seen)
            subscription->used_ns = now_ns;
        subscription->replays_seen = replays;
        if (now_ns - subscription->used_ns < MM_LOOP_MS((uint64_t)app->settings.lease_ms))
            continue;
        MM_LOG_INFO("nobody reads this part of the stream any more", "subscriber=%s",
                    subscription->name);
        mm_counter_add(serving->expired, 1);
        drop(serving, i);
    }
}

// --- frames ----------------------------------------------------------------------------------

// Cuts the frame for the audience, unless that was done for another subscription.
static bool encode(struct vision_serving *serving, struct audience *audience,
                   const Mmorts__Frame__VisionFrame *frame)
{
    if (audience->packed)
        return true;
    const Mmorts__Frame__VisionFrame *part = vision_part_of(serving->part, frame, audience->set);
    if (!part ||
        mm_pb_pack(&part->base, SIZE_MAX, &audience->packed, &audience->packed_bytes) != MM_OK)
        return false;
    mm_counter_add(serving->encodings, 1);
    return true;
}

void vision_serve_frame(struct vision_app *app, const Mmorts__Frame__VisionFrame *frame)
{
    struct vision_serving *serving = app->serving;
    for (size_t i = serving->subscriptions.count; i-- > 0;) {
        struct subscription *subscription = serving->subscriptions.items[i];
        struct audience *audience = subscription->audience;
        if (!encode(serving, audience, frame)) {
            // Without this frame the reader would be told wrong things: it is to begin anew.
            MM_LOG_ERROR("no memory for a part of the stream", "subscriber=%s", subscription->name);
            drop(serving, i);
            continue;
        }
        mm_stream_publish_bytes(subscription->publisher, frame->tick, audience->packed,
                                audience->packed_bytes);
        mm_counter_add(serving->frames, 1);
        mm_counter_add(serving->bytes, audience->packed_bytes);
    }
    for (size_t i = 0; i < serving->subscriptions.count; i++) {
        struct audience *audience = serving->subscriptions.items[i]->audience;
        mm_free(audience->packed);
        audience->packed = NULL;
    }
}

void vision_serve_restart(struct vision_app *app)
{
    struct vision_serving *serving = app->serving;
    for (size_t i = serving->subscriptions.count; i-- > 0;) {
        if (open_stream(app, serving->subscriptions.items[i]) != MM_OK)
            drop(serving, i);
    }
}

void vision_serve_end(struct vision_app *app)
{
    struct vision_serving *serving = app->serving;
    while (serving->subscriptions.count > 0)
        drop(serving, serving->subscriptions.count - 1);
}

// --- calls -----------------------------------------------------------------------------------

struct mm_stream_publisher *vision_serve_publisher(struct vision_app *app, const char *subscriber,
                                                   uint64_t revision, uint32_t empire,
                                                   const char **why_out)
{
    const struct subscription *subscription = find(app->serving, subscriber);
    *why_out = "there is no such subscriber; call Serve";
    if (!subscription)
        return NULL;
    *why_out = "the set of that revision has not come";
    if (subscription->revision < revision)
        return NULL;
    *why_out = "the subscriber does not serve this empire";
    return vision_audience_has(subscription->audience->set, empire) ? subscription->publisher
                                                                    : NULL;
}

// Replaces the set, or renews the lease of the same. Takes the set.
static enum mm_err change(struct vision_app *app, struct subscription *subscription,
                          uint64_t revision, struct vision_audience *set)
{
    bool same = vision_audience_equal(subscription->audience->set, set);
    if (revision < subscription->revision || (revision == subscription->revision && !same)) {
        vision_audience_free(set);
        return MM_FAILED_PRECONDITION;
    }
    struct audience *audience = share_audience(app->serving, set);
    if (!audience)
        return MM_RESOURCE_EXHAUSTED;
    leave_audience(subscription->audience);
    subscription->audience = audience;
    return MM_OK;
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
    if (!is_name(input->subscriber) || input->revision == 0) {
        mm_rpc_fail(call, MM_INVALID_ARGUMENT,
                    "subscriber: 1 to %d of a-z, 0-9, _ and -; revision: at least 1",
                    SUBSCRIBER_BYTES_MAX);
        return;
    }
    struct vision_audience *set;
    enum mm_err err = vision_audience_new(input->empires, input->n_empires,
                                          (uint32_t)app->settings.empires_max, &set);
    if (err != MM_OK) {
        mm_rpc_fail(call, err, "empires: ascending, from 1 to %" PRId64, app->settings.empires_max);
        return;
    }
    struct subscription *subscription = find(app->serving, input->subscriber);
    err = subscription ? change(app, subscription, input->revision, set)
                       : subscribe(app, input->subscriber, set, &subscription);
    if (err == MM_FAILED_PRECONDITION) {
        mm_rpc_fail(call, err, "there is a set of revision %" PRIu64, subscription->revision);
        return;
    }
    if (err != MM_OK) {
        mm_rpc_fail(call, err, "at most %" PRId64 " subscribers", app->settings.subscriptions_max);
        return;
    }
    subscription->revision = input->revision;
    subscription->used_ns = mm_loop_now_ns(app->loop);
    char name[STREAM_NAME_BYTES];
    write_stream_name(name, subscription->name);
    Mmorts__Vision__ServeReply reply = MMORTS__VISION__SERVE_REPLY__INIT;
    reply.stream = name;
    reply.epoch = mm_stream_publisher_epoch(subscription->publisher);
    reply.seq = mm_stream_publisher_seq(subscription->publisher);
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
    app->serving = serving;
    mm_vec_init(&serving->subscriptions, (size_t)app->settings.subscriptions_max);
    add_metrics(app);
    uint64_t period = MM_LOOP_MS((uint64_t)app->settings.lease_ms) / LOOKS_A_LEASE;
    mm_loop_timer_init(&serving->sweep, on_sweep, app);
    mm_loop_timer_start(app->loop, &serving->sweep, period, period);
    serving->part = vision_part_new();
    return serving->part ? MM_OK : MM_RESOURCE_EXHAUSTED;
}

void vision_serve_close(struct vision_app *app)
{
    struct vision_serving *serving = app->serving;
    if (!serving)
        return;
    vision_serve_end(app);
    mm_loop_timer_stop(app->loop, &serving->sweep);
    mm_vec_free(&serving->subscriptions);
    vision_part_free(serving->part);
    mm_free(serving);
    app->serving = NULL;
}
