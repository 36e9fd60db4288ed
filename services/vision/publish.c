#include "libcommon/base/check.h"
#include "libcommon/base/log.h"
#include "libcommon/io/pb.h"
#include "services/vision/app.h"

// The vision stream: one frame for every tick frame, also an empty one. Its epoch changes whenever
// frames do not follow on what was published before (a restart, a snapshot after a gap): a reader
// that sees a new epoch asks GetView for the empires that it serves.

enum { FILTER_BYTES_MAX = 64 << 10 };

// A snapshot is made for named empires: that of all of them would be as large as the service.
static void on_snapshot(void *arg, struct mm_stream_snapshot *snapshot, const uint8_t *filter,
                        size_t filter_len)
{
    struct vision_app *app = arg;
    ProtobufCMessage *unpacked = NULL;
    enum mm_err err = mm_pb_unpack(&mmorts__vision__get_view_request__descriptor, NULL, filter,
                                   filter_len, FILTER_BYTES_MAX, &unpacked);
    const Mmorts__Vision__GetViewRequest *request = (const void *)unpacked;
    if (err != MM_OK || request->empire == 0) {
        if (unpacked)
            protobuf_c_message_free_unpacked(unpacked, NULL);
        mm_stream_snapshot_fail(snapshot, MM_INVALID_ARGUMENT,
                                "the filter must be a GetViewRequest that names an empire");
        return;
    }
    Mmorts__Frame__VisionFrame *view = NULL;
    err = app->core && vision_is_live(app->core) ? vision_view(app->core, request->empire, &view)
                                                 : MM_UNAVAILABLE;
    protobuf_c_message_free_unpacked(unpacked, NULL);
    if (err != MM_OK) {
        mm_stream_snapshot_fail(snapshot, err, "no view of that empire");
        return;
    }
    mm_stream_snapshot_reply(snapshot, mm_stream_publisher_seq(app->publisher),
                             vision_tick(app->core), &view->base);
    vision_view_free(view);
}

enum mm_err vision_publish_restart(struct vision_app *app)
{
    if (app->publisher)
        mm_stream_publisher_close(app->publisher);
    app->publisher = NULL;
    struct mm_stream_publisher_options options = {
        .stream = "vision",
        .session = app->session,
        .snapshot = on_snapshot,
        .arg = app,
    };
    enum mm_err err =
        mm_stream_publisher_open(mm_service_stream_hub(app->service), &options, &app->publisher);
    if (err != MM_OK)
        return err;
    vision_serve_restart(app);
    // The tick that views are of from here on, so that a reader can join it with world's.
    Mmorts__Frame__VisionFrame frame = MMORTS__FRAME__VISION_FRAME__INIT;
    frame.tick = vision_tick(app->core);
    mm_stream_publish(app->publisher, frame.tick, &frame.base);
    return MM_OK;
}

void vision_publish_frame(struct vision_app *app, const Mmorts__Frame__VisionFrame *frame)
{
    mm_stream_publish(app->publisher, frame->tick, &frame->base);
    vision_serve_frame(app, frame);
}
