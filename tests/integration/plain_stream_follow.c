// A stream followed by Replay calls that wait: each message once and in order, nothing on the
// socket, and what becomes of the calls that wait.

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "gen/stream.pb-c.h"
#include "libcommon/io/loop.h"
#include "libcommon/io/rpc_client.h"
#include "libcommon/io/rpc_server.h"
#include "libcommon/io/stream_follower.h"
#include "libcommon/io/stream_publisher.h"
#include "tests/support/plain.h"
#include "tests/support/process.h"

enum { WAIT_MS = 60000 }; // ends what hangs, measures nothing

static void must(enum mm_err err, const char *what)
{
    if (err != MM_OK)
        test_fail("%s: %s", what, mm_err_name(err));
}

static char *dir;

// The publisher's side, which can be restarted.
struct source {
    struct mm_loop *loop;
    struct mm_rpc_server *server;
    struct mm_stream_hub *hub;
    struct mm_stream_publisher *part;
    struct mm_rpc_client *client;
    char rpc_url[160], url[160];
    uint64_t published;
};

static void source_stream(struct source *source, uint64_t epoch)
{
    struct mm_stream_publisher_options options = {.stream = "whole/part",
                                                  .session = "main",
                                                  .epoch = epoch,
                                                  .ring_messages_max = 100,
                                                  .replay_only = true};
    must(mm_stream_publisher_open(source->hub, &options, &source->part), "publisher");
}

static void source_open(struct source *source, struct mm_loop *loop)
{
    static unsigned number;
    *source = (struct source){.loop = loop};
    number++;
    snprintf(source->rpc_url, sizeof source->rpc_url, "ipc://%s/r%u", dir, number);
    snprintf(source->url, sizeof source->url, "ipc://%s/s%u", dir, number);
    must(mm_rpc_server_open(loop, NULL, &source->server), "server");
    must(mm_stream_hub_open(loop, source->server, source->url, NULL, &source->hub), "hub");
    must(mm_rpc_server_listen(source->server, source->rpc_url), "listen");
    must(mm_rpc_client_open(loop, source->rpc_url, NULL, &source->client), "client");
}

static void source_close(struct source *source)
{
    mm_rpc_client_close(source->client);
    mm_stream_hub_close(source->hub);
    mm_rpc_server_close(source->server);
}

// Message n is n bytes long, at most 1000, of tick n.
static void publish(struct source *source, unsigned count)
{
    static const uint8_t body[1000];
    for (unsigned i = 0; i < count; i++) {
        uint64_t n = ++source->published;
        mm_stream_publish_bytes(source->part, n, body, n < sizeof body ? (size_t)n : sizeof body);
    }
}

struct sink {
    struct mm_loop *loop;
    struct mm_stream_follower *follower;
    enum mm_stream_state state, wanted_state;
    uint64_t epoch, seq, tick, messages, unknowns, bytes;
    uint64_t wanted_tick;
    bool wants_state, done, close_at_message, in_order;
};

static void look(struct sink *sink)
{
    sink->done =
        sink->wants_state ? sink->state == sink->wanted_state : sink->tick >= sink->wanted_tick;
}

static void on_message(void *arg, const struct mm_stream_message *message)
{
    struct sink *sink = arg;
    if (sink->messages > 0 && message->epoch == sink->epoch && message->seq != sink->seq + 1)
        sink->in_order = false;
    if (message->body_len != (message->tick < 1000 ? message->tick : 1000))
        sink->in_order = false;
    sink->epoch = message->epoch;
    sink->seq = message->seq;
    sink->tick = message->tick;
    sink->bytes += message->body_len;
    sink->messages++;
    look(sink);
    if (sink->close_at_message) {
        mm_stream_follower_close(sink->follower);
        sink->follower = NULL;
    }
}

static void on_state(void *arg, enum mm_stream_state state)
{
    struct sink *sink = arg;
    sink->state = state;
    look(sink);
}

static void on_unknown(void *arg)
{
    ((struct sink *)arg)->unknowns++;
}

static void sink_open(struct sink *sink, struct source *source, uint32_t wait_ms)
{
    *sink = (struct sink){.loop = source->loop, .in_order = true};
    struct mm_stream_follower_options options = {.stream = "whole/part",
                                                 .session = "main",
                                                 .wait_ms = wait_ms,
                                                 .arg = sink,
                                                 .on_message = on_message,
                                                 .on_state = on_state,
                                                 .on_unknown = on_unknown};
    must(mm_stream_follower_open(source->loop, source->client, &options, &sink->follower),
         "follower");
}

static bool reach(struct sink *sink, uint64_t tick)
{
    sink->wants_state = false;
    sink->wanted_tick = tick;
    look(sink);
    return mm_loop_run_until(sink->loop, &sink->done, WAIT_MS) && sink->in_order;
}

static bool come_to(struct sink *sink, enum mm_stream_state state)
{
    sink->wants_state = true;
    sink->wanted_state = state;
    look(sink);
    return mm_loop_run_until(sink->loop, &sink->done, WAIT_MS);
}

// A Replay call by hand.
struct asked {
    bool done;
    enum mm_err code;
    uint64_t messages, newest;
    bool snapshot_needed;
};

static void on_asked(void *arg, const struct mm_rpc_result *result)
{
    struct asked *asked = arg;
    const Mmorts__Stream__ReplayReply *reply = (const void *)result->reply;
    asked->done = true;
    asked->code = result->code;
    asked->messages = reply ? reply->n_messages : 0;
    asked->newest = reply ? reply->newest_seq : 0;
    asked->snapshot_needed = reply && reply->snapshot_needed;
}

static void ask(struct source *source, struct asked *asked, uint64_t from, uint32_t wait_ms,
                uint32_t deadline_ms)
{
    *asked = (struct asked){0};
    Mmorts__Stream__ReplayRequest request = MMORTS__STREAM__REPLAY_REQUEST__INIT;
    request.stream = (char[]){"whole/part"};
    request.session = (char[]){"main"};
    request.epoch = 5;
    request.from_seq = from;
    request.wait_ms = wait_ms;
    struct mm_rpc_call_options options = {.deadline_ms = deadline_ms, .wait_for_connection = true};
    must(mm_rpc_call(source->client, &mmorts__stream__stream__descriptor, "Replay", &request.base,
                     &options, on_asked, asked, NULL),
         "call");
}

static bool answered(struct source *source, struct asked *asked)
{
    return mm_loop_run_until(source->loop, &asked->done, WAIT_MS);
}

static bool waiting(struct source *source, uint64_t replays)
{
    bool never = false;
    for (int i = 0; i < WAIT_MS / 5 && mm_stream_publisher_replays(source->part) < replays; i++)
        mm_loop_run_until(source->loop, &never, 5);
    return mm_stream_publisher_replays(source->part) >= replays;
}

// --- the tests -------------------------------------------------------------------------------

static void test_live(struct mm_loop *loop)
{
    struct source source;
    struct sink sink;
    source_open(&source, loop);
    source_stream(&source, 5);
    publish(&source, 10);
    sink_open(&sink, &source, 0);
    EXPECT(come_to(&sink, MM_STREAM_LIVE));
    EXPECT(sink.messages == 0); // from now on
    for (uint64_t i = 1; i <= 50; i++) {
        publish(&source, 1);
        EXPECT(reach(&sink, 10 + i));
    }
    // One message an answer, and as many calls; no polling.
    struct mm_stream_follower_counts counts = mm_stream_follower_counts(sink.follower);
    EXPECT(counts.messages == 50 && counts.bytes == sink.bytes && counts.gaps == 0);
    EXPECT(counts.calls <= 50 + 3);
    publish(&source, 60);
    EXPECT(reach(&sink, 120) && sink.messages == 110);
    mm_stream_follower_close(sink.follower);
    source_close(&source);
}

// What is no longer held is passed over; another epoch is told from its beginning.
static void test_gap_and_epoch(struct mm_loop *loop)
{
    struct source source;
    struct sink sink;
    source_open(&source, loop);
    source_stream(&source, 5);
    // The call that waits is not to be over before that for which it waits.
    sink_open(&sink, &source, MM_STREAM_WAIT_MS_MAX);
    EXPECT(come_to(&sink, MM_STREAM_LIVE) && waiting(&source, 2));
    publish(&source, 350);   // the ring holds 100
    EXPECT(reach(&sink, 1)); // the answer that waited holds what was first published
    EXPECT(sink.seq == 1);
    sink.seq = 250;
    EXPECT(reach(&sink, 350));
    EXPECT(sink.messages == 101 && mm_stream_follower_counts(sink.follower).gaps == 1);
    mm_stream_publisher_close(source.part);
    source_stream(&source, 6);
    publish(&source, 3);
    sink.epoch = 6;
    sink.seq = 0;
    EXPECT(reach(&sink, 353) && sink.seq == 3 && sink.messages == 104);
    mm_stream_follower_close(sink.follower);
    source_close(&source);
}

static void test_unknown(struct mm_loop *loop)
{
    struct source source;
    struct sink sink;
    bool never = false;
    source_open(&source, loop);
    sink_open(&sink, &source, 0);
    for (int i = 0; i < WAIT_MS / 5 && sink.unknowns < 3; i++)
        mm_loop_run_until(loop, &never, 5);
    EXPECT(sink.unknowns >= 3 && sink.state == MM_STREAM_DOWN);
    source_stream(&source, 5);
    mm_stream_follower_hurry(sink.follower);
    EXPECT(come_to(&sink, MM_STREAM_LIVE));
    uint64_t unknowns = sink.unknowns;
    publish(&source, 2);
    EXPECT(reach(&sink, 2));
    // Closed under a call that waits.
    mm_stream_publisher_close(source.part);
    EXPECT(come_to(&sink, MM_STREAM_DOWN));
    for (int i = 0; i < WAIT_MS / 5 && sink.unknowns == unknowns; i++)
        mm_loop_run_until(loop, &never, 5);
    EXPECT(sink.unknowns > unknowns);
    mm_stream_follower_close(sink.follower);
    source_close(&source);
}

// Nothing of it goes over the socket, to readers of other streams.
static void test_not_on_the_socket(struct mm_loop *loop)
{
    enum { PAUSE_MS = 60, MESSAGES_MAX = WAIT_MS / PAUSE_MS };
    struct source source;
    struct sink sink;
    source_open(&source, loop);
    source_stream(&source, 5);
    *(&sink) = (struct sink){.loop = loop, .in_order = true};
    struct mm_stream_reader_options options = {.stream = "whole/part",
                                               .session = "main",
                                               .without_snapshot = true,
                                               .silence_ms = WAIT_MS,
                                               .arg = &sink,
                                               .on_message = on_message,
                                               .on_state = on_state};
    struct mm_stream_reader *reader;
    must(mm_stream_reader_open(loop, source.url, source.client, &options, &reader), "reader");
    EXPECT(come_to(&sink, MM_STREAM_LIVE));
    publish(&source, 5);
    // A stream that is on the socket, published afterwards, comes.
    struct mm_stream_publisher *other;
    struct mm_stream_publisher_options whole = {.stream = "whole", .session = "main"};
    must(mm_stream_publisher_open(source.hub, &whole, &other), "publisher");
    struct sink told = {.loop = loop, .in_order = true};
    options.stream = "whole";
    options.arg = &told;
    struct mm_stream_reader *second;
    must(mm_stream_reader_open(loop, source.url, source.client, &options, &second), "reader");
    EXPECT(come_to(&told, MM_STREAM_LIVE));
    // It is live as soon as it has asked, which may be before the publisher knows its connection:
    // what goes by it then is lost, until the next comes.
    static const uint8_t body[MESSAGES_MAX];
    bool never = false;
    uint64_t published = 0;
    while (told.messages == 0 && published < MESSAGES_MAX) {
        published++;
        mm_stream_publish_bytes(other, published, body, published);
        mm_loop_run_until(loop, &never, PAUSE_MS);
    }
    EXPECT(reach(&told, published));
    EXPECT(sink.messages == 0 && told.messages == published);
    mm_stream_reader_close(second);
    mm_stream_reader_close(reader);
    source_close(&source);
}

static void test_how_long_a_call_waits(struct mm_loop *loop)
{
    struct source source;
    source_open(&source, loop);
    source_stream(&source, 5);
    publish(&source, 3);
    struct asked asked, held, late;
    // There is something: at once. Nothing, and no time: at once.
    ask(&source, &asked, 2, 10000, WAIT_MS);
    EXPECT(answered(&source, &asked) && asked.messages == 2);
    ask(&source, &asked, 4, 0, WAIT_MS);
    EXPECT(answered(&source, &asked) && asked.messages == 0 && asked.newest == 3);
    // Nobody waits for what is gone, or for what comes after the next.
    ask(&source, &asked, 5, 10000, WAIT_MS);
    EXPECT(answered(&source, &asked) && asked.snapshot_needed);
    // The time is over, before the caller's is.
    ask(&source, &asked, 4, 30, WAIT_MS);
    EXPECT(answered(&source, &asked) && asked.code == MM_OK && asked.messages == 0);
    // Several wait for the same.
    uint64_t replays = mm_stream_publisher_replays(source.part);
    ask(&source, &asked, 4, 10000, WAIT_MS);
    ask(&source, &held, 4, 10000, WAIT_MS);
    ask(&source, &late, 4, 10000, WAIT_MS);
    EXPECT(waiting(&source, replays + 3) && !asked.done && !held.done && !late.done);
    publish(&source, 1);
    EXPECT(answered(&source, &asked) && answered(&source, &held) && answered(&source, &late));
    EXPECT(asked.messages == 1 && held.messages == 1 && late.messages == 1);
    // The end of the process: what waits is answered, nothing waits any more.
    replays = mm_stream_publisher_replays(source.part);
    ask(&source, &asked, 5, 10000, WAIT_MS);
    EXPECT(waiting(&source, replays + 1) && !asked.done);
    mm_stream_hub_drain(source.hub);
    EXPECT(answered(&source, &asked) && asked.code == MM_OK && asked.messages == 0);
    ask(&source, &asked, 5, 10000, WAIT_MS);
    EXPECT(answered(&source, &asked) && asked.code == MM_OK && asked.messages == 0);
    source_close(&source);
}

// Beyond the bound calls are answered at once, and a follower does not ask without a pause.
static void test_bound_of_waits(struct mm_loop *loop)
{
    struct source source;
    struct sink sink;
    source_open(&source, loop);
    source_stream(&source, 5);
    publish(&source, 1);
    static struct asked asked[MM_STREAM_WAITS_MAX];
    for (size_t i = 0; i < MM_STREAM_WAITS_MAX; i++)
        ask(&source, &asked[i], 2, 10000, WAIT_MS);
    EXPECT(waiting(&source, MM_STREAM_WAITS_MAX));
    struct asked beyond;
    ask(&source, &beyond, 2, 10000, WAIT_MS);
    EXPECT(answered(&source, &beyond) && beyond.messages == 0 && !asked[0].done);
    sink_open(&sink, &source, 10000);
    EXPECT(come_to(&sink, MM_STREAM_LIVE));
    bool never = false;
    mm_loop_run_until(loop, &never, 200);
    EXPECT(mm_stream_follower_counts(sink.follower).calls < 30); // every 20 ms, at most
    publish(&source, 1);
    EXPECT(reach(&sink, 2) && sink.messages == 1);
    for (size_t i = 0; i < MM_STREAM_WAITS_MAX; i++)
        EXPECT(answered(&source, &asked[i]) && asked[i].messages == 1);
    mm_stream_follower_close(sink.follower);
    source_close(&source);
}

static void test_close_in_callback(struct mm_loop *loop)
{
    struct source source;
    struct sink sink;
    source_open(&source, loop);
    source_stream(&source, 5);
    sink_open(&sink, &source, 0);
    EXPECT(come_to(&sink, MM_STREAM_LIVE));
    sink.close_at_message = true;
    publish(&source, 5);
    EXPECT(reach(&sink, 1));
    bool never = false;
    mm_loop_run_until(loop, &never, 20);
    EXPECT(sink.messages == 1 && !sink.follower);
    // And before anything was said; and with a name that is none.
    sink_open(&sink, &source, 0);
    mm_stream_follower_close(sink.follower);
    struct mm_stream_follower_options options = {
        .stream = "", .session = "main", .on_message = on_message};
    EXPECT(mm_stream_follower_open(loop, source.client, &options, &sink.follower) ==
           MM_INVALID_ARGUMENT);
    source_close(&source);
}

// Who would wait for longer than its caller is answered while that one still has a quarter of its
// time. What takes so long goes on beside the others; the time is counted in turns of the loop,
// which are none while the process stands still, and the call comes from within it: nobody gives it
// up.
enum { SHORT_DEADLINE_MS = 8000, COUNT_EVERY_MS = 50 };

struct impatient {
    struct source source;
    struct mm_loop_timer timer;
    unsigned counted; // while nothing was answered
    enum mm_err code;
    bool done, is_empty;
};

static void on_count(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop;
    (void)timer;
    struct impatient *self = arg;
    self->counted += !self->done;
}

static void on_short_deadline(void *arg, const struct mm_rpc_answer *answer)
{
    struct impatient *self = arg;
    Mmorts__Stream__ReplayReply *reply =
        mmorts__stream__replay_reply__unpack(NULL, answer->body_len, answer->body);
    self->done = true;
    self->code = answer->code;
    self->is_empty = reply && reply->epoch == 5 && reply->n_messages == 0;
    mmorts__stream__replay_reply__free_unpacked(reply, NULL);
}

static void begin_short_deadline(struct impatient *self, struct mm_loop *loop)
{
    source_open(&self->source, loop);
    source_stream(&self->source, 5);
    Mmorts__Stream__ReplayRequest request = MMORTS__STREAM__REPLAY_REQUEST__INIT;
    request.stream = (char[]){"whole/part"};
    request.session = (char[]){"main"};
    request.epoch = 5;
    request.from_seq = 1;
    request.wait_ms = MM_STREAM_WAIT_MS_MAX;
    uint8_t body[100];
    size_t len = mmorts__stream__replay_request__pack(&request, body);
    struct mm_rpc_local_call call = {.service = "Stream",
                                     .method = "Replay",
                                     .body = body,
                                     .body_len = len,
                                     .deadline_ms = SHORT_DEADLINE_MS};
    mm_loop_timer_init(&self->timer, on_count, self);
    mm_loop_timer_start(loop, &self->timer, MM_LOOP_MS(COUNT_EVERY_MS), MM_LOOP_MS(COUNT_EVERY_MS));
    mm_rpc_server_dispatch(self->source.server, &call, on_short_deadline, self);
}

static void end_short_deadline(struct impatient *self)
{
    struct mm_loop *loop = self->source.loop;
    EXPECT(mm_loop_run_until(loop, &self->done, WAIT_MS));
    EXPECT(self->code == MM_OK && self->is_empty);
    EXPECT(self->counted < SHORT_DEADLINE_MS / COUNT_EVERY_MS);
    mm_loop_timer_stop(loop, &self->timer);
    source_close(&self->source);
}

int main(void)
{
    dir = test_dir_make();
    struct mm_loop *loop;
    static struct impatient impatient;
    must(mm_loop_create(NULL, &loop), "loop");
    begin_short_deadline(&impatient, loop);
    test_live(loop);
    test_gap_and_epoch(loop);
    test_unknown(loop);
    test_not_on_the_socket(loop);
    test_how_long_a_call_waits(loop);
    test_bound_of_waits(loop);
    test_close_in_callback(loop);
    end_short_deadline(&impatient);
    mm_loop_destroy(loop);
    free(dir);
    return plain_finish();
}
