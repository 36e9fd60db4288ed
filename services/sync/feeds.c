#include <inttypes.h>
#include <string.h>

#include "gen/production.pb-c.h"
#include "libcommon/base/alloc.h"
#include "libcommon/base/buf_json.h"
#include "libcommon/base/clock.h"
#include "libcommon/base/log.h"
#include "libcommon/base/str.h"
#include "libcommon/io/pb.h"
#include "services/sync/app.h"

// The streams of world, vision and production, and production's recipes.

#define FRAME_BYTES_MAX   ((size_t)64 << 20)
#define RECIPES_BYTES_MAX ((size_t)256 << 10)
#define CALL_MS           5000

static ProtobufCMessage *unpack(struct sync_app *app, const ProtobufCMessageDescriptor *descriptor,
                                const struct mm_stream_message *message)
{
    ProtobufCMessage *frame = NULL;
    struct mm_pb_watched watched = {NULL, mm_loop_progress(app->loop)}; // a snapshot takes long
    ProtobufCAllocator allocator = mm_pb_watched_allocator(&watched);
    enum mm_err err = mm_pb_unpack(descriptor, &allocator, message->body, message->body_len,
                                   FRAME_BYTES_MAX, &frame);
    if (err == MM_OK)
        return frame;
    MM_LOG_ERROR("a frame cannot be read", "type=%s tick=%" PRIu64 " code=%s", descriptor->name,
                 message->tick, mm_err_name(err));
    return NULL;
}

// --- world ---------------------------------------------------------------------------------------

static void on_tick(void *arg, const struct mm_stream_message *message)
{
    struct sync_app *app = arg;
    Mmorts__Frame__TickFrame *frame =
        (void *)unpack(app, &mmorts__frame__tick_frame__descriptor, message);
    for (size_t i = 0; frame && i < frame->n_announcements; i++)
        sync_talk_announce(app, frame->announcements[i], mm_clock_wall_ms());
    if (frame)
        sync_core_push_tick(&app->core, frame);
    else
        app->core.world_snapshot_wanted = true;
    sync_deliver_soon(app);
}

static void on_tick_snapshot(void *arg, const struct mm_stream_message *message)
{
    struct sync_app *app = arg;
    Mmorts__Frame__TickFrame *frame =
        (void *)unpack(app, &mmorts__frame__tick_frame__descriptor, message);
    app->core.world_snapshot_wanted = false;
    if (!frame) {
        app->core.world_snapshot_wanted = true;
    } else if (sync_core_world_snapshot(&app->core, frame) != MM_OK) {
        MM_LOG_ERROR("out of memory for the world");
        mm_service_quit(app->service, 1);
    }
    app->stepped_ns = mm_loop_now_ns(app->loop);
    MM_LOG_INFO("world snapshot", "tick=%" PRIu64 " entities=%" PRIu32, app->core.mirror.tick,
                app->core.mirror.entity_count);
    sync_deliver_soon(app);
}

void sync_feeds_state(void *arg, enum mm_stream_state state)
{
    (void)state;
    struct sync_app *app = arg;
    enum mm_stream_state vision = app->serving.follower
                                      ? mm_stream_follower_state(app->serving.follower)
                                      : mm_stream_reader_state(app->vision_reader);
    bool live =
        mm_stream_reader_state(app->world_reader) == MM_STREAM_LIVE && vision == MM_STREAM_LIVE;
    if (app->feeds_condition >= 0)
        mm_service_condition_set(app->service, app->feeds_condition, live);
}

// --- vision --------------------------------------------------------------------------------------

void sync_feeds_vision(void *arg, const struct mm_stream_message *message)
{
    struct sync_app *app = arg;
    Mmorts__Frame__VisionFrame *frame =
        (void *)unpack(app, &mmorts__frame__vision_frame__descriptor, message);
    // A frame that cannot be read leaves a hole; the views that needed it are asked for again.
    if (frame)
        sync_core_push_vision(&app->core, message->epoch, frame);
    sync_deliver_soon(app);
}

// --- production ----------------------------------------------------------------------------------

static void on_production(void *arg, const struct mm_stream_message *message)
{
    struct sync_app *app = arg;
    Mmorts__Frame__ProductionFrame *frame =
        (void *)unpack(app, &mmorts__frame__production_frame__descriptor, message);
    enum mm_err err = frame ? sync_stock_apply(&app->core.stock, frame) : MM_DATA_LOSS;
    if (frame)
        mmorts__frame__production_frame__free_unpacked(frame, NULL);
    if (err != MM_OK)
        MM_LOG_ERROR("a production frame cannot be used", "code=%s", mm_err_name(err));
    app->production_dirty = true;
    sync_deliver_soon(app);
}

static void write_amounts(struct mm_buf *out, Mmorts__Production__Amount *const *amounts,
                          size_t count)
{
    mm_buf_byte(out, '{');
    for (size_t i = 0; i < count; i++) {
        if (i)
            mm_buf_byte(out, ',');
        mm_buf_json_cstr(out, amounts[i]->item);
        mm_buf_byte(out, ':');
        mm_buf_dec_i64(out, amounts[i]->amount);
    }
    mm_buf_byte(out, '}');
}

static void write_recipe(struct mm_buf *out, const Mmorts__Production__Recipe *recipe)
{
    MM_BUF_LIT(out, "{\"name\":");
    mm_buf_json_cstr(out, recipe->name);
    MM_BUF_LIT(out, ",\"category\":");
    mm_buf_json_cstr(out, recipe->category);
    MM_BUF_LIT(out, ",\"buildings\":[");
    for (size_t i = 0; i < recipe->n_buildings; i++) {
        if (i)
            mm_buf_byte(out, ',');
        mm_buf_json_cstr(out, recipe->buildings[i]);
    }
    MM_BUF_LIT(out, "],\"inputs\":");
    write_amounts(out, recipe->inputs, recipe->n_inputs);
    MM_BUF_LIT(out, ",\"tools\":");
    write_amounts(out, recipe->tools, recipe->n_tools);
    const char *unit = NULL;
    MM_BUF_LIT(out, ",\"outputs\":{");
    bool any = false;
    for (size_t i = 0; i < recipe->n_outputs; i++) {
        const Mmorts__Production__Output *output = recipe->outputs[i];
        if (output->unit[0] && !unit)
            unit = output->unit;
        if (!output->item[0])
            continue;
        mm_buf_str(out, any ? "," : "");
        any = true;
        mm_buf_json_cstr(out, output->item);
        mm_buf_byte(out, ':');
        mm_buf_dec_u64(out, output->amount);
    }
    mm_buf_byte(out, '}');
    if (unit) {
        MM_BUF_LIT(out, ",\"unit\":");
        mm_buf_json_cstr(out, unit);
    }
    MM_BUF_LIT(out, ",\"duration_ticks\":");
    mm_buf_dec_u64(out, recipe->duration_ticks);
    mm_buf_byte(out, '}');
}

static void on_recipes(void *arg, const struct mm_rpc_result *result)
{
    struct sync_app *app = arg;
    app->recipes_call = 0;
    if (result->code != MM_OK)
        return; // still wanted: the sweep asks again
    const Mmorts__Production__ListRecipesReply *reply = (const void *)result->reply;
    struct mm_buf out;
    mm_buf_init(&out, RECIPES_BYTES_MAX);
    mm_buf_byte(&out, '[');
    for (size_t i = 0; i < reply->n_recipes; i++) {
        if (i)
            mm_buf_byte(&out, ',');
        write_recipe(&out, reply->recipes[i]);
    }
    mm_buf_byte(&out, ']');
    const char *json = mm_buf_cstr(&out);
    if (!json) {
        MM_LOG_ERROR("too many recipes to show");
    } else if (!app->recipes_json || strcmp(app->recipes_json, json) != 0) {
        mm_free(app->recipes_json);
        app->recipes_json = mm_strdup(json);
        app->map_version++;
    }
    mm_buf_free(&out);
    app->recipes_wanted = false;
    sync_deliver_soon(app);
}

void sync_recipes_ask(struct sync_app *app)
{
    if (!app->recipes_wanted || app->recipes_call)
        return;
    Mmorts__Production__ListRecipesRequest request = MMORTS__PRODUCTION__LIST_RECIPES_REQUEST__INIT;
    struct mm_rpc_call_options options = {.deadline_ms = CALL_MS, .idempotent = true};
    if (mm_rpc_call(app->production, &mmorts__production__production__descriptor, "ListRecipes",
                    &request.base, &options, on_recipes, app, &app->recipes_call) != MM_OK)
        app->recipes_call = 0;
}

static void on_production_state(void *arg, enum mm_stream_state state)
{
    struct sync_app *app = arg;
    // Production may have been started again with other recipes.
    if (state == MM_STREAM_LIVE)
        app->recipes_wanted = true;
}

// --- all of them ---------------------------------------------------------------------------------

void sync_feeds_check(struct sync_app *app)
{
    if (app->core.world_snapshot_wanted && app->world_reader &&
        mm_stream_reader_state(app->world_reader) == MM_STREAM_LIVE) {
        app->core.world_snapshot_wanted = false;
        MM_LOG_WARN("a tick frame does not fit; asking for a snapshot", "tick=%" PRIu64,
                    app->core.mirror.tick);
        mm_stream_reader_restart(app->world_reader);
    }
}

enum mm_err sync_feeds_open(struct sync_app *app)
{
    struct mm_stream_reader_options options = {
        .stream = "tick",
        .session = app->session,
        .tls = mm_service_tls(app->service),
        .arg = app,
        .on_message = on_tick,
        .on_snapshot = on_tick_snapshot,
        .on_state = sync_feeds_state,
    };
    enum mm_err err =
        mm_stream_reader_open(app->loop, app->world_url, app->world, &options, &app->world_reader);
    if (err != MM_OK)
        return err;
    // Vision's own snapshot would hold every empire there is: the views that are needed are asked
    // for one by one, the stream only continues them.
    options.stream = "vision";
    options.without_snapshot = true;
    options.on_message = sync_feeds_vision;
    options.on_snapshot = NULL;
    err = mm_str_equal(app->settings.empires, "served")
              ? sync_serving_open(app)
              : mm_stream_reader_open(app->loop, app->vision_url, app->vision, &options,
                                      &app->vision_reader);
    if (err != MM_OK)
        return err;
    options.stream = "production";
    options.without_snapshot = false;
    options.on_message = on_production;
    options.on_snapshot = on_production;
    options.on_state = on_production_state;
    app->recipes_wanted = true;
    return mm_stream_reader_open(app->loop, app->production_url, app->production, &options,
                                 &app->production_reader);
}

void sync_feeds_close(struct sync_app *app)
{
    if (app->world_reader)
        mm_stream_reader_close(app->world_reader);
    if (app->vision_reader)
        mm_stream_reader_close(app->vision_reader);
    sync_serving_close(app);
    if (app->production_reader)
        mm_stream_reader_close(app->production_reader);
    app->world_reader = app->vision_reader = app->production_reader = NULL;
}
