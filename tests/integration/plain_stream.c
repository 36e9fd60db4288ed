// Streams over real nng sockets: what PUB/SUB loses is replayed, what the ring no longer holds
// comes as a snapshot, and nothing is applied twice.

#include <inttypes.h>
#include <nng/nng.h>
#include <nng/protocol/pubsub0/pub.h>
#include <stdlib.h>
#include <string.h>

#include "gen/echo.pb-c.h"
#include "gen/stream.pb-c.h"
#include "libcommon/io/loop.h"
#include "libcommon/io/rpc_client.h"
#include "libcommon/io/rpc_server.h"
#include "libcommon/io/stream_publisher.h"
#include "libcommon/io/stream_reader.h"
#include "tests/support/echo.h"
#include "tests/support/plain.h"
#include "tests/support/process.h"

static void must(enum mm_err err, const char *what)
{
    if (err != MM_OK)
        test_fail("%s: %s", what, mm_err_name(err));
}

// The publisher's side, which can be restarted.
struct source {
    struct mm_loop *loop;
    struct mm_rpc_server *server;
    struct mm_stream_hub *hub;
    struct echo echo;
    char rpc_url[160], url[160];
};

static void source_open(struct source *source, struct mm_loop *loop, uint64_t epoch,
                        uint32_t ring_messages)
{
    source->loop = loop;
    must(mm_rpc_server_open(loop, NULL, &source->server), "server");
    must(mm_stream_hub_open(loop, source->server, source->url, NULL, &source->hub), "hub");
    echo_register(&source->echo, loop, source->server);
    struct mm_stream_publisher_options options = {.stream = "echo",
                                                  .session = "main",
                                                  .epoch = epoch,
                                                  .ring_messages_max = ring_messages,
                                                  .snapshot = echo_snapshot,
                                                  .arg = &source->echo};
    must(mm_stream_publisher_open(source->hub, &options, &source->echo.publisher), "publisher");
    struct mm_stream_publisher *same;
    EXPECT(mm_stream_publisher_open(source->hub, &options, &same) == MM_ALREADY_EXISTS);
    must(mm_rpc_server_listen(source->server, source->rpc_url), "listen");
}

static void source_close(struct source *source)
{
    mm_stream_hub_close(source->hub);
    mm_rpc_server_close(source->server);
}

// A reader that checks what it is given against the contract.
struct sink {
    struct mm_loop *loop;
    struct mm_rpc_client *client;
    struct mm_stream_reader *reader;
    enum mm_stream_state state;
    uint64_t epoch, seq, value; // of the last message or snapshot
    uint64_t wanted;            // done once value reaches it
    bool done;
    uint64_t messages, snapshots;
    char filter[32];
    bool close_at_message, closed;
};

static void sink_message(void *arg, const struct mm_stream_message *message)
{
    struct sink *sink = arg;
    if (message->epoch != sink->epoch || message->seq != sink->seq + 1)
        EXPECT(false && "each message once and in order");
    Mmorts__Test__EchoRequest *body =
        mmorts__test__echo_request__unpack(NULL, message->body_len, message->body);
    if (EXPECT(body != NULL)) {
        EXPECT(body->value == sink->value + 1 || sink->snapshots == 0);
        EXPECT(message->tick == body->value);
        sink->value = body->value;
    }
    mmorts__test__echo_request__free_unpacked(body, NULL);
    sink->seq = message->seq;
    sink->messages++;
    if (sink->wanted > 0)
        sink->done = sink->value >= sink->wanted;
    if (sink->close_at_message) {
        mm_stream_reader_close(sink->reader);
        sink->closed = true;
    }
}

static void sink_snapshot(void *arg, const struct mm_stream_message *snapshot)
{
    struct sink *sink = arg;
    Mmorts__Test__EchoRequest *body =
        mmorts__test__echo_request__unpack(NULL, snapshot->body_len, snapshot->body);
    if (EXPECT(body != NULL)) {
        sink->value = body->value;
        snprintf(sink->filter, sizeof sink->filter, "%s", body->text);
    }
    mmorts__test__echo_request__free_unpacked(body, NULL);
    sink->epoch = snapshot->epoch;
    sink->seq = snapshot->seq;
    sink->snapshots++;
    if (sink->wanted > 0)
        sink->done = sink->value >= sink->wanted;
}

static void sink_state(void *arg, enum mm_stream_state state)
{
    struct sink *sink = arg;
    sink->state = state;
    if (sink->wanted == 0)
        sink->done = state == MM_STREAM_LIVE;
}

static void sink_open(struct sink *sink, struct mm_loop *loop, const struct source *source,
                      struct mm_stream_reader_options options)
{
    *sink = (struct sink){.loop = loop, .epoch = options.from.epoch, .seq = options.from.seq};
    options.stream = "echo";
    options.session = "main";
    options.arg = sink;
    options.on_message = sink_message;
    options.on_snapshot = sink_snapshot;
    options.on_state = sink_state;
    must(mm_rpc_client_open(loop, source->rpc_url, NULL, &sink->client), "client");
    must(mm_stream_reader_open(loop, source->url, sink->client, &options, &sink->reader), "reader");
}

static void sink_close(struct sink *sink)
{
    // A message that arrives in the very moment of closing is not what these tests are about.
    bool never = false;
    mm_loop_run_until(sink->loop, &never, 200);
    if (!sink->closed)
        mm_stream_reader_close(sink->reader);
    mm_rpc_client_close(sink->client);
}

static bool sink_live(struct sink *sink)
{
    sink->wanted = 0;
    sink->done = sink->state == MM_STREAM_LIVE;
    return mm_loop_run_until(sink->loop, &sink->done, TEST_PATIENCE_MS);
}

static bool sink_reach(struct sink *sink, uint64_t value)
{
    sink->wanted = value;
    sink->done = sink->value >= value;
    return mm_loop_run_until(sink->loop, &sink->done, TEST_PATIENCE_MS);
}

#ifdef __SANITIZE_THREAD__
// nng is not instrumented: the reference counts by which it shares one message among its threads
// are not seen, and freeing the last reference looks like a race.
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "race:mm_stream_publish\n";
}
#endif

static char *dir;

static void begin(struct source *source, struct mm_loop **loop, const char *transport)
{
    static unsigned number;
    *source = (struct source){0};
    number++;
    if (strcmp(transport, "ipc") == 0) {
        snprintf(source->rpc_url, sizeof source->rpc_url, "ipc://%s/r%u", dir, number);
        snprintf(source->url, sizeof source->url, "ipc://%s/s%u", dir, number);
    } else {
        snprintf(source->rpc_url, sizeof source->rpc_url, "tcp://127.0.0.1:%u",
                 (unsigned)test_port_free());
        snprintf(source->url, sizeof source->url, "tcp://127.0.0.1:%u", (unsigned)test_port_free());
    }
    must(mm_loop_create(NULL, loop), "loop");
}

static void test_live(const char *transport)
{
    struct source source;
    struct mm_loop *loop;
    begin(&source, &loop, transport);
    source_open(&source, loop, 0, 0);
    echo_publish(&source.echo, 10);
    struct sink sink;
    sink_open(&sink, loop, &source,
              (struct mm_stream_reader_options){.filter = (const uint8_t *)"me", .filter_len = 2});
    EXPECT(sink_live(&sink));
    EXPECT(sink.snapshots == 1 && sink.value == 10 && sink.messages == 0);
    EXPECT(strcmp(sink.filter, "me") == 0);
    for (int i = 0; i < 50; i++) {
        echo_publish(&source.echo, 1);
        EXPECT(sink_reach(&sink, 11 + (uint64_t)i));
    }
    struct mm_stream_reader_counts counts = mm_stream_reader_counts(sink.reader);
    EXPECT(sink.messages == 50 && sink.snapshots == 1 && counts.messages == 50);
    struct mm_stream_position position = mm_stream_reader_position(sink.reader);
    EXPECT(position.epoch == mm_stream_publisher_epoch(source.echo.publisher) &&
           position.seq == 60);
    // Told to start over.
    mm_stream_reader_restart(sink.reader);
    EXPECT(sink_live(&sink) && sink.snapshots == 2 && sink.value == 60);
    sink_close(&sink);
    source_close(&source);
    mm_loop_destroy(loop);
}

// Far more at once than the sockets hold: most is lost on the way and replayed.
static void test_gap(void)
{
    struct source source;
    struct mm_loop *loop;
    begin(&source, &loop, "ipc");
    source_open(&source, loop, 0, 100000);
    struct sink sink;
    sink_open(&sink, loop, &source, (struct mm_stream_reader_options){.silence_ms = 100});
    EXPECT(sink_live(&sink));
    for (int burst = 1; burst <= 5; burst++) {
        echo_publish(&source.echo, 5000);
        EXPECT(sink_reach(&sink, 5000 * (uint64_t)burst));
    }
    struct mm_stream_reader_counts counts = mm_stream_reader_counts(sink.reader);
    EXPECT(sink.messages == 25000 && sink.snapshots == 1 && counts.replays > 0);
    sink_close(&sink);
    source_close(&source);
    mm_loop_destroy(loop);
}

// The same with a ring that is too small: snapshots fill the holes.
static void test_ring_passed(void)
{
    struct source source;
    struct mm_loop *loop;
    begin(&source, &loop, "tcp");
    source_open(&source, loop, 0, 16);
    struct sink sink;
    sink_open(&sink, loop, &source, (struct mm_stream_reader_options){.silence_ms = 100});
    EXPECT(sink_live(&sink));
    // If nng's threads are quick, and all of one burst gets through, then not of a later one.
    uint64_t published = 0;
    for (int bursts = 0; bursts < 50 && sink.snapshots < 2; bursts++) {
        echo_publish(&source.echo, 20000);
        EXPECT(sink_reach(&sink, published += 20000));
    }
    EXPECT(sink.snapshots >= 2 && sink.messages < published);
    echo_publish(&source.echo, 1);
    EXPECT(sink_reach(&sink, published + 1));
    sink_close(&sink);
    source_close(&source);
    mm_loop_destroy(loop);
}

static void test_kept_place(void)
{
    struct source source;
    struct mm_loop *loop;
    begin(&source, &loop, "ipc");
    source_open(&source, loop, 77, 0);
    echo_publish(&source.echo, 100);
    struct sink sink;
    // Goes on where it stopped, without a snapshot.
    sink_open(&sink, loop, &source,
              (struct mm_stream_reader_options){.from = {.epoch = 77, .seq = 40}});
    EXPECT(sink_reach(&sink, 100));
    EXPECT(sink.messages == 60 && sink.snapshots == 0);
    sink_close(&sink);
    // A place of another epoch means nothing.
    sink_open(&sink, loop, &source,
              (struct mm_stream_reader_options){.from = {.epoch = 76, .seq = 40}});
    EXPECT(sink_live(&sink));
    EXPECT(sink.messages == 0 && sink.snapshots == 1 && sink.value == 100);
    EXPECT(mm_stream_reader_counts(sink.reader).epochs == 1);
    sink_close(&sink);
    // Nor does one of the future.
    sink_open(&sink, loop, &source,
              (struct mm_stream_reader_options){.from = {.epoch = 77, .seq = 4000}});
    EXPECT(sink_live(&sink) && sink.snapshots == 1);
    sink_close(&sink);
    source_close(&source);
    mm_loop_destroy(loop);
}

static void test_restarted_publisher(void)
{
    struct source source;
    struct mm_loop *loop;
    begin(&source, &loop, "ipc");
    source_open(&source, loop, 5, 0);
    struct sink sink;
    sink_open(&sink, loop, &source, (struct mm_stream_reader_options){0});
    EXPECT(sink_live(&sink));
    echo_publish(&source.echo, 7);
    EXPECT(sink_reach(&sink, 7));
    bool never = false;
    mm_loop_run_until(loop, &never, 20);
    source_close(&source);
    for (int i = 0; i < TEST_PATIENCE_MS / 10 && sink.state != MM_STREAM_DOWN; i++)
        mm_loop_run_until(loop, &never, 10);
    EXPECT(sink.state == MM_STREAM_DOWN);
    // It remembers what it published, but counts from one again, in a new epoch.
    source_open(&source, loop, 6, 0);
    EXPECT(sink_live(&sink));
    EXPECT(sink.epoch == 6 && sink.seq == 0 && sink.value == 7 && sink.snapshots == 2);
    echo_publish(&source.echo, 3);
    EXPECT(sink_reach(&sink, 10) && sink.seq == 3);
    EXPECT(mm_stream_reader_counts(sink.reader).epochs == 1);
    sink_close(&sink);
    source_close(&source);
    mm_loop_destroy(loop);
}

// A reader without snapshots begins with what is new, and after losing its place goes on from the
// oldest message held.
static void test_without_snapshot(void)
{
    struct source source;
    struct mm_loop *loop;
    begin(&source, &loop, "ipc");
    source_open(&source, loop, 5, 8);
    echo_publish(&source.echo, 20);
    struct sink sink;
    sink_open(&sink, loop, &source, (struct mm_stream_reader_options){.without_snapshot = true});
    EXPECT(mm_loop_run_until(loop, &sink.done, TEST_PATIENCE_MS));
    struct mm_stream_position position = mm_stream_reader_position(sink.reader);
    EXPECT(position.epoch == 5 && position.seq == 20 && sink.messages == 0);
    sink.epoch = 5;
    sink.seq = 20;
    echo_publish(&source.echo, 3);
    EXPECT(sink_reach(&sink, 23) && sink.messages == 3);
    sink_close(&sink);
    sink_open(&sink, loop, &source,
              (struct mm_stream_reader_options){.without_snapshot = true,
                                                .from = {.epoch = 5, .seq = 2}});
    sink.seq = 15; // the ring holds 16..23
    EXPECT(sink_reach(&sink, 23) && sink.messages == 8 && sink.snapshots == 0);
    sink_close(&sink);
    source_close(&source);
    mm_loop_destroy(loop);
}

// Publishes a message without the reader's socket seeing it: only silence can tell.
static void test_lost_last_message(void)
{
    struct source source, hidden;
    struct mm_loop *loop;
    begin(&source, &loop, "ipc");
    source_open(&source, loop, 5, 0);
    hidden = source;
    // The reader listens to a socket that nobody publishes on.
    snprintf(hidden.url, sizeof hidden.url, "ipc://%s/mute", dir);
    nng_socket mute;
    if (nng_pub0_open(&mute) != 0 || nng_listen(mute, hidden.url, NULL, 0) != 0)
        test_fail("mute publisher");
    struct sink sink;
    sink_open(&sink, loop, &hidden, (struct mm_stream_reader_options){.silence_ms = 50});
    EXPECT(sink_live(&sink));
    echo_publish(&source.echo, 4);
    EXPECT(sink_reach(&sink, 4) && sink.messages == 4 && sink.snapshots == 1);
    EXPECT(mm_stream_reader_counts(sink.reader).gaps == 1);
    sink_close(&sink);
    nng_close(mute);
    source_close(&source);
    mm_loop_destroy(loop);
}

static void test_close_in_callback(void)
{
    struct source source;
    struct mm_loop *loop;
    begin(&source, &loop, "ipc");
    source_open(&source, loop, 5, 0);
    struct sink sink;
    sink_open(&sink, loop, &source, (struct mm_stream_reader_options){0});
    EXPECT(sink_live(&sink));
    sink.close_at_message = true;
    echo_publish(&source.echo, 1);
    EXPECT(sink_reach(&sink, 1) && sink.closed);
    sink_close(&sink);
    // And while a replay is being applied.
    echo_publish(&source.echo, 20);
    sink_open(&sink, loop, &source,
              (struct mm_stream_reader_options){.from = {.epoch = 5, .seq = 1}});
    sink.close_at_message = true;
    EXPECT(sink_reach(&sink, 2) && sink.closed);
    bool never = false;
    mm_loop_run_until(loop, &never, 20);
    EXPECT(sink.messages == 1);
    sink_close(&sink);
    source_close(&source);
    mm_loop_destroy(loop);
}

// A reader that is busy for long falls behind, and comes back without a hole.
static void test_slow_reader(void)
{
    struct source source;
    struct mm_loop *loop, *slow_loop;
    begin(&source, &loop, "ipc");
    must(mm_loop_create(NULL, &slow_loop), "loop");
    source_open(&source, loop, 5, 0);
    struct sink sink;
    sink_open(&sink, slow_loop, &source, (struct mm_stream_reader_options){.silence_ms = 50});
    bool never = false;
    for (int i = 0; i < TEST_PATIENCE_MS / 10 && sink.state != MM_STREAM_LIVE; i++) {
        mm_loop_run_until(loop, &never, 5);
        mm_loop_run_until(slow_loop, &never, 5);
    }
    EXPECT(sink.state == MM_STREAM_LIVE);
    // 1000 messages while the reader does not run at all. Where nng's threads hardly run meanwhile
    // either, nothing is lost: then once more.
    uint64_t published = 0;
    for (int bursts = 0; bursts < 20 && mm_stream_reader_counts(sink.reader).gaps == 0; bursts++) {
        for (int i = 0; i < 10; i++) {
            echo_publish(&source.echo, 100);
            mm_loop_run_until(loop, &never, 2);
        }
        sink.wanted = published += 1000;
        sink.done = false;
        for (int i = 0; i < TEST_PATIENCE_MS / 10 && !sink.done; i++) {
            mm_loop_run_until(loop, &never, 5);
            mm_loop_run_until(slow_loop, &never, 5);
        }
        EXPECT(sink.value == published);
    }
    EXPECT(sink.messages == published && sink.snapshots == 1);
    EXPECT(mm_stream_reader_counts(sink.reader).gaps >= 1);
    mm_loop_run_until(loop, &never, 50);
    sink_close(&sink);
    source_close(&source);
    mm_loop_destroy(slow_loop);
    mm_loop_destroy(loop);
}

int main(void)
{
    dir = test_dir_make();
    test_live("ipc");
    test_live("tcp");
    test_gap();
    test_ring_passed();
    test_kept_place();
    test_restarted_publisher();
    test_without_snapshot();
    test_lost_last_message();
    test_close_in_callback();
    test_slow_reader();
    free(dir);
    return plain_finish();
}
