#include "tests/support/vision_rig.h"

#include "gen/vision.pb-c.h"
#include "libcommon/base/check.h"
#include "libcommon/base/hash.h"
#include "libcommon/io/db_conn.h"
#include "libcommon/io/pb.h"
#include "tests/support/bench.h"
#include "tests/support/call.h"
#include "tests/support/db_options.h"
#include "tests/support/process.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WAIT_MS = 240000, // ends what hangs
    VIEWS_COMPARED = 200,
    FRAME_BYTES_MAX = 64 << 20,
    RING_BYTES = 256 << 20,
    LEAD_MAX = 100, // ticks; several times what a restart takes on a quiet machine
};

static void must(enum mm_err err, const char *what)
{
    if (err != MM_OK)
        test_fail("%s: %s", what, mm_err_name(err));
}

// --- what a frame says, whatever the order within an empire --------------------------------------

static uint64_t mixed(uint64_t a, uint64_t b, uint64_t c)
{
    return mm_mix64(a ^ mm_mix64(b ^ mm_mix64(c)));
}

static uint64_t digest_of(const Mmorts__Frame__VisionFrame *frame)
{
    uint64_t sum = 0;
    size_t hex = 0, entered = 0, left = 0, remembered = 0;
    for (size_t e = 0; e < frame->n_empire; e++) {
        uint64_t key = frame->tick << 20 ^ frame->empire[e];
        for (size_t end = hex + frame->hex_count[e]; hex < end; hex++)
            sum += mixed(key, hex_pack((struct hex_axial){frame->hex_q[hex], frame->hex_r[hex]}),
                         (uint64_t)frame->hex_state[hex] << 8 | frame->hex_terrain[hex]);
        for (size_t end = entered + frame->entered_count[e]; entered < end; entered++)
            sum += mixed(key, frame->entered[entered], 1);
        for (size_t end = left + frame->left_count[e]; left < end; left++)
            sum += mixed(key, frame->left[left], 2);
        for (size_t end = remembered + frame->remembered_count[e]; remembered < end; remembered++)
            sum += mixed(key, frame->remembered->id[remembered],
                         frame->remembered->last_seen[remembered] << 8 | 3);
    }
    return sum;
}

// --- world ---------------------------------------------------------------------------------------

static void on_world_snapshot(void *arg, struct mm_stream_snapshot *snapshot, const uint8_t *filter,
                              size_t filter_len)
{
    struct vision_rig *rig = arg;
    (void)filter, (void)filter_len;
    scene_snapshot(rig->scene, rig->tick);
    mm_stream_snapshot_reply(snapshot, mm_stream_publisher_seq(rig->ticks), rig->tick,
                             &rig->scene->snapshot.base);
}

static void on_tick_timer(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop, (void)timer;
    struct vision_rig *rig = arg;
    const Mmorts__Frame__VisionFrame *out;
    // World does not run away from a vision that is instrumented, or gets little of the processor:
    // it would never be caught up with.
    if (rig->tick >= rig->seen_tick + LEAD_MAX)
        return;
    rig->tick++;
    MM_CHECK(rig->tick < VISION_RIG_TICKS_MAX);
    scene_move(rig->scene, rig->tick);
    must(vision_apply(rig->core, &rig->scene->delta, &out), "apply");
    rig->digests[rig->tick] = digest_of(out);
    rig->published_ns[rig->tick] = bench_now_ns();
    mm_stream_publish(rig->ticks, rig->tick, &rig->scene->delta.base);
}

void vision_rig_run(struct vision_rig *rig)
{
    mm_loop_timer_start(rig->loop, &rig->timer, MM_LOOP_MS(VISION_RIG_TICK_MS),
                        MM_LOOP_MS(VISION_RIG_TICK_MS));
}

void vision_rig_pause(struct vision_rig *rig)
{
    mm_loop_timer_stop(rig->loop, &rig->timer);
}

// --- the vision stream ---------------------------------------------------------------------------

static void on_vision(void *arg, const struct mm_stream_message *message)
{
    struct vision_rig *rig = arg;
    ProtobufCMessage *unpacked;
    must(mm_pb_unpack(&mmorts__frame__vision_frame__descriptor, NULL, message->body,
                      message->body_len, FRAME_BYTES_MAX, &unpacked),
         "a vision frame");
    const Mmorts__Frame__VisionFrame *frame = (const void *)unpacked;
    if (message->epoch != rig->epoch) {
        rig->epoch = message->epoch;
        rig->epoch_ns = bench_now_ns();
    }
    // An epoch's first frame may be empty: whole views are of its tick.
    if (frame->n_empire > 0 && digest_of(frame) != rig->digests[frame->tick])
        test_fail("the frame of tick %" PRIu64 " is not what it must be", frame->tick);
    if (rig->seen_tick + 1 < frame->tick)
        rig->missed += frame->tick - rig->seen_tick - 1;
    rig->seen_tick = frame->tick;
    if (rig->published_ns[frame->tick] != 0)
        rig->waits_ms[frame->tick] =
            (double)(bench_now_ns() - rig->published_ns[frame->tick]) / 1e6;
    rig->reached |= rig->seen_tick >= rig->until_tick;
    protobuf_c_message_free_unpacked(unpacked, NULL);
}

void vision_rig_until_seen(struct vision_rig *rig, uint64_t tick)
{
    rig->until_tick = tick;
    rig->reached = rig->seen_tick >= tick;
    if (!mm_loop_run_until(rig->loop, &rig->reached, WAIT_MS))
        test_fail("no vision frame of tick %" PRIu64 ":\n%s", tick,
                  test_process_log(test_service_process(rig->service)));
}

// Until vision publishes under another epoch than that.
void vision_rig_until_epoch(struct vision_rig *rig, uint64_t epoch)
{
    int64_t deadline_ms = test_now_ms() + WAIT_MS;
    for (bool never = false; rig->epoch == epoch; mm_loop_run_until(rig->loop, &never, 10)) {
        if (test_now_ms() > deadline_ms)
            test_fail("vision does not publish:\n%s",
                      test_process_log(test_service_process(rig->service)));
    }
}

uint64_t vision_rig_checkpoint_tick(struct vision_rig *rig)
{
    struct mm_db_options options =
        test_db_options(test_server_address(rig->mariadb), "mmorts_vision");
    struct mm_db_conn *db;
    struct mm_db_rows *rows;
    must(mm_db_conn_open(&options, &db), "connection");
    must(
        mm_db_query_one(db, "SELECT COALESCE(MAX(tick), 0) FROM checkpoints", MM_DB_NO_ARGS, &rows),
        "checkpoints");
    uint64_t tick = mm_db_get_u64(rows, 0);
    must(mm_db_end(rows), "checkpoints");
    mm_db_conn_close(db);
    return tick;
}

void vision_rig_until_checkpoint(struct vision_rig *rig)
{
    int64_t deadline_ms = test_now_ms() + WAIT_MS;
    for (bool never = false; vision_rig_checkpoint_tick(rig) == 0;
         mm_loop_run_until(rig->loop, &never, VISION_RIG_TICK_MS)) {
        if (test_now_ms() > deadline_ms)
            test_fail("no checkpoint is made");
    }
}

// World is to pause meanwhile.
void vision_rig_compare(struct vision_rig *rig)
{
    vision_rig_until_seen(rig, rig->tick);
    uint32_t step = rig->scene->empires / VIEWS_COMPARED;
    for (uint32_t empire = 1; empire <= rig->scene->empires; empire += step) {
        Mmorts__Vision__GetViewRequest request = MMORTS__VISION__GET_VIEW_REQUEST__INIT;
        request.session = (char *)(uintptr_t) "main";
        request.empire = empire;
        ProtobufCMessage *reply;
        must(test_call(rig->service, &mmorts__vision__vision__descriptor, "GetView", &request.base,
                       &reply),
             "GetView");
        const Mmorts__Vision__GetViewReply *answer = (const void *)reply;
        Mmorts__Frame__VisionFrame *expected;
        must(vision_view(rig->core, empire, &expected), "view");
        if (answer->view->tick != rig->tick || answer->view->n_hex_q != expected->n_hex_q ||
            digest_of(answer->view) != digest_of(expected))
            test_fail("the view of empire %" PRIu32 " in tick %" PRIu64 " is wrong: %zu hexes, "
                      "not %zu; vision has begun anew %g times",
                      empire, rig->tick, answer->view->n_hex_q, expected->n_hex_q,
                      vision_rig_metric(rig, "mmorts_vision_resyncs_total"));
        vision_view_free(expected);
        protobuf_c_message_free_unpacked(reply, NULL);
    }
}

// --- the process ---------------------------------------------------------------------------------

void vision_rig_launch(struct vision_rig *rig)
{
    const struct test_address *db = test_server_address(rig->mariadb);
    char text[8][200];
    const char *env[9] = {0};
    snprintf(text[0], sizeof text[0], "MMORTS_WORLD_RPC=ipc://%s/world.rpc", rig->dir);
    snprintf(text[1], sizeof text[1], "MMORTS_WORLD_STREAM=ipc://%s/world.stream", rig->dir);
    snprintf(text[2], sizeof text[2], "MMORTS_DB_HOST=%s", db->host);
    snprintf(text[3], sizeof text[3], "MMORTS_DB_PORT=%u", db->port);
    snprintf(text[4], sizeof text[4], "MMORTS_DB_USER=%s", db->user);
    snprintf(text[5], sizeof text[5], "MMORTS_DB_PASSWORD=%s", db->password);
    snprintf(text[6], sizeof text[6], "MMORTS_SOCIAL_RPC=ipc://%s/social", rig->dir);
    snprintf(text[7], sizeof text[7], "MMORTS_AUTH_RPC=ipc://%s/auth", rig->dir);
    for (size_t i = 0; i < 8; i++)
        env[i] = text[i];
    rig->service =
        test_service_launch_with("vision", "tests/support/vision_rig.yaml", rig->dir, env);
}

double vision_rig_metric(struct vision_rig *rig, const char *name)
{
    char *body;
    if (test_http_get(test_service_http_port(rig->service), "/metrics", WAIT_MS, &body) != 200)
        test_fail("no metrics");
    char line[128];
    snprintf(line, sizeof line, "\n%s ", name);
    const char *at = strstr(body, line);
    double value = at ? strtod(at + strlen(line), NULL) : 0;
    free(body);
    return value;
}

void vision_rig_open(struct vision_rig *rig, uint32_t empires, uint32_t per_empire)
{
    char url[256];
    memset(rig, 0, sizeof *rig);
    rig->dir = test_dir_make();
    rig->mariadb = test_mariadb_start();
    rig->scene = scene_new(empires, per_empire);
    rig->tick = 1;
    struct vision_options options = vision_options_default();
    const Mmorts__Frame__VisionFrame *out;
    must(vision_new(&options, &rig->core), "core");
    must(vision_apply(rig->core, &rig->scene->snapshot, &out), "snapshot");
    must(mm_loop_create(NULL, &rig->loop), "loop");
    must(mm_rpc_server_open(rig->loop, NULL, &rig->server), "server");
    snprintf(url, sizeof url, "ipc://%s/world.stream", rig->dir);
    must(mm_stream_hub_open(rig->loop, rig->server, url, NULL, &rig->hub), "hub");
    struct mm_stream_publisher_options publishing = {.stream = "tick",
                                                     .session = "main",
                                                     .ring_bytes_max = RING_BYTES,
                                                     .snapshot = on_world_snapshot,
                                                     .arg = rig};
    must(mm_stream_publisher_open(rig->hub, &publishing, &rig->ticks), "publisher");
    snprintf(url, sizeof url, "ipc://%s/world.rpc", rig->dir);
    must(mm_rpc_server_listen(rig->server, url), "listen");
    mm_loop_timer_init(&rig->timer, on_tick_timer, rig);
    vision_rig_launch(rig);
    snprintf(url, sizeof url, "ipc://%s/vision.rpc", rig->dir);
    must(mm_rpc_client_open(rig->loop, url, NULL, &rig->client), "client");
    snprintf(url, sizeof url, "ipc://%s/vision.stream", rig->dir);
    struct mm_stream_reader_options reading = {.stream = "vision",
                                               .session = "main",
                                               .without_snapshot = true,
                                               .silence_ms = 100,
                                               .arg = rig,
                                               .on_message = on_vision};
    must(mm_stream_reader_open(rig->loop, url, rig->client, &reading, &rig->reader), "reader");
    // Both cores begin at the same tick: what was explored before one of them was there it cannot
    // know.
    int64_t deadline_ms = test_now_ms() + WAIT_MS;
    uint16_t port = test_service_http_port(rig->service);
    for (bool never = false; test_http_get(port, "/readyz", 1000, NULL) != 200;
         mm_loop_run_until(rig->loop, &never, VISION_RIG_TICK_MS))
        MM_CHECK(test_now_ms() < deadline_ms);
    vision_rig_run(rig);
    vision_rig_until_epoch(rig, 0);
}

void vision_rig_close(struct vision_rig *rig)
{
    mm_stream_reader_close(rig->reader);
    mm_rpc_client_close(rig->client);
    test_service_free(rig->service);
    mm_stream_hub_close(rig->hub);
    mm_rpc_server_close(rig->server);
    mm_loop_destroy(rig->loop);
    test_server_free(rig->mariadb);
    vision_free(rig->core);
    scene_free(rig->scene);
    free(rig->dir);
}

void vision_rig_play(struct vision_rig *rig, uint64_t ticks)
{
    vision_rig_until_seen(rig, rig->tick + ticks);
}

void vision_rig_kill(struct vision_rig *rig)
{
    test_process_kill(test_service_process(rig->service));
    test_service_free(rig->service);
}

double vision_rig_cpu_ms(const struct vision_rig *rig)
{
    int pid = test_process_pid(test_service_process(rig->service));
    return (double)bench_cpu_of_pid_ns(pid) / 1e6;
}
