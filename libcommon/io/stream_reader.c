#include "libcommon/io/stream_reader.h"

#include <string.h>

#include "gen/stream.pb-c.h"
#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/log.h"
#include "libcommon/base/str.h"
#include "libcommon/io/loop.h"
#include "libcommon/io/rpc_client.h"
#include "libcommon/io/rpc_envelope.h"
#include "libcommon/io/stream_buffer.h"
#include "libcommon/io/stream_publisher.h"
#include "libcommon/io/stream_socket.h"

// What a reader does:
//
//   DOWN --connected--> CATCHING_UP --the newest applied--> LIVE --gap, new epoch--> CATCHING_UP
//     ^--------------------connection lost-----------------------'
//
// Catching up is a series of calls, one at a time: Replay from the position (again while more is
// there), or Snapshot and then Replay. Live messages wait in the buffer meanwhile and are applied
// afterwards, those the calls brought already being skipped by their seq.

enum {
    RETRY_MIN_MS = 50,
    RETRY_MAX_MS = 1000,
    CALL_DEADLINE_MS = 5000,
    SNAPSHOT_DEADLINE_MS = 60000,
};

enum asking {
    ASKING_NOTHING,
    ASKING_REPLAY,
    ASKING_SNAPSHOT,
    ASKING_PROBE, // live, but silent: is there anything newer?
};

struct mm_stream_reader {
    struct mm_loop *loop;
    struct mm_rpc_client *rpc;
    struct mm_stream_reader_options options;
    char stream[MM_STREAM_NAME_LEN_MAX + 1], session[MM_STREAM_NAME_LEN_MAX + 1];
    uint8_t *filter;

    struct mm_stream_socket *socket;
    enum mm_stream_state state;
    struct mm_stream_position position;
    bool started; // the position means something (not so at first, without snapshots)
    enum asking asking;
    mm_rpc_handle call;
    struct mm_loop_timer retry, silence;
    uint32_t retry_ms;

    struct mm_stream_buffer buffer; // live messages while catching up

    unsigned in_callback; // closing waits until the callback returns
    bool closed;
    struct mm_stream_reader_counts counts;
};

static void catch_up(struct mm_stream_reader *reader);

// --- telling the owner --------------------------------------------------------------------------

static void destroy(struct mm_stream_reader *reader);

static void enter(struct mm_stream_reader *reader)
{
    reader->in_callback++;
}

// False: the owner has closed the reader meanwhile, and it is gone.
static bool leave(struct mm_stream_reader *reader)
{
    reader->in_callback--;
    if (!reader->closed)
        return true;
    if (reader->in_callback == 0)
        destroy(reader);
    return false;
}

static void set_state(struct mm_stream_reader *reader, enum mm_stream_state state)
{
    if (reader->state == state)
        return;
    reader->state = state;
    if (reader->options.on_state)
        reader->options.on_state(reader->options.arg, state);
}

static void deliver(struct mm_stream_reader *reader, uint64_t seq, uint64_t tick,
                    const uint8_t *body, size_t len)
{
    reader->position.seq = seq;
    reader->counts.messages++;
    reader->counts.bytes += len;
    struct mm_stream_message message = {
        .epoch = reader->position.epoch, .seq = seq, .tick = tick, .body = body, .body_len = len};
    reader->options.on_message(reader->options.arg, &message);
}

// --- live messages ------------------------------------------------------------------------------

enum verdict { APPLIED, OLD, GAP };

// Applies the message if it is the next one; takes it in any case but GAP.
static enum verdict apply(struct mm_stream_reader *reader, nng_msg *msg)
{
    struct mm_stream_message_view view;
    if (!mm_stream_message_read(nng_msg_body(msg), nng_msg_len(msg), &view)) {
        MM_LOG_WARN("stream message cannot be understood", "stream=%s", reader->stream);
        nng_msg_free(msg);
        return OLD;
    }
    if (view.epoch != reader->position.epoch || view.seq > reader->position.seq + 1)
        return GAP;
    bool next = view.seq == reader->position.seq + 1;
    if (next)
        deliver(reader, view.seq, view.tick, view.body.data, view.body.len);
    nng_msg_free(msg);
    return next ? APPLIED : OLD;
}

static void note_gap(struct mm_stream_reader *reader, nng_msg *msg)
{
    struct mm_stream_message_view view;
    if (mm_stream_message_read(nng_msg_body(msg), nng_msg_len(msg), &view) &&
        view.epoch == reader->position.epoch)
        reader->counts.gaps++;
}

static void arm_silence(struct mm_stream_reader *reader)
{
    mm_loop_timer_start(reader->loop, &reader->silence, MM_LOOP_MS(reader->options.silence_ms), 0);
}

static void keep(struct mm_stream_reader *reader, nng_msg *msg)
{
    reader->counts.buffer_overflows += mm_stream_buffer_push(&reader->buffer, msg);
}

static void on_live_message(struct mm_stream_reader *reader, nng_msg *msg)
{
    if (reader->state != MM_STREAM_LIVE) {
        if (reader->state == MM_STREAM_CATCHING_UP)
            keep(reader, msg);
        else
            nng_msg_free(msg);
        return;
    }
    arm_silence(reader);
    if (apply(reader, msg) != GAP || reader->closed)
        return;
    note_gap(reader, msg);
    keep(reader, msg);
    catch_up(reader);
}

// Everything the calls could bring is applied: now what waited. A hole in it starts over.
static void go_live(struct mm_stream_reader *reader)
{
    nng_msg *msg;
    while ((msg = mm_stream_buffer_pop(&reader->buffer)) != NULL) {
        if (apply(reader, msg) == GAP) {
            note_gap(reader, msg);
            // A message of a foreign epoch is not kept: if it is of the past, it would never fit.
            nng_msg_free(msg);
            catch_up(reader);
            return;
        }
        if (reader->closed || reader->asking != ASKING_NOTHING ||
            reader->state != MM_STREAM_CATCHING_UP)
            return; // the owner has closed or restarted
    }
    reader->retry_ms = RETRY_MIN_MS;
    arm_silence(reader);
    set_state(reader, MM_STREAM_LIVE);
}

// --- catching up --------------------------------------------------------------------------------

static void try_later(struct mm_stream_reader *reader)
{
    mm_loop_timer_start(reader->loop, &reader->retry, MM_LOOP_MS(reader->retry_ms), 0);
    reader->retry_ms = reader->retry_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : reader->retry_ms * 2;
}

static void ask(struct mm_stream_reader *reader, enum asking what);

// Nothing to replay from: a snapshot, or, for a reader that wants none, a place to go on from.
static void start_over(struct mm_stream_reader *reader, const Mmorts__Stream__ReplayReply *reply)
{
    if (!reader->options.without_snapshot) {
        ask(reader, ASKING_SNAPSHOT);
        return;
    }
    reader->position.epoch = reply->epoch;
    reader->position.seq = reader->started ? reply->oldest_seq - 1 : reply->newest_seq;
    reader->started = true;
    ask(reader, ASKING_REPLAY);
}

static void take_replay(struct mm_stream_reader *reader, const Mmorts__Stream__ReplayReply *reply)
{
    reader->counts.replays++;
    if (reader->position.epoch != 0 && reply->epoch != reader->position.epoch)
        reader->counts.epochs++;
    if (reply->epoch == 0 || reply->epoch != reader->position.epoch || reply->snapshot_needed) {
        start_over(reader, reply);
        return;
    }
    for (size_t i = 0; i < reply->n_messages; i++) {
        const Mmorts__Stream__StreamMessage *message = reply->messages[i];
        if (message->seq <= reader->position.seq)
            continue;
        if (message->seq != reader->position.seq + 1)
            break; // not as promised: ask again from where we are
        deliver(reader, message->seq, message->tick, message->body.data, message->body.len);
        if (reader->closed || reader->asking != ASKING_NOTHING ||
            reader->state != MM_STREAM_CATCHING_UP)
            return; // the owner has closed or restarted
    }
    if (reader->position.seq >= reply->newest_seq)
        go_live(reader);
    else if (reply->n_messages == 0)
        try_later(reader);
    else
        ask(reader, ASKING_REPLAY);
}

static void take_snapshot(struct mm_stream_reader *reader,
                          const Mmorts__Stream__SnapshotReply *reply)
{
    reader->counts.snapshots++;
    reader->position = (struct mm_stream_position){.epoch = reply->epoch, .seq = reply->seq};
    reader->started = true;
    struct mm_stream_message snapshot = {.epoch = reply->epoch,
                                         .seq = reply->seq,
                                         .tick = reply->tick,
                                         .body = reply->body.data,
                                         .body_len = reply->body.len};
    reader->options.on_snapshot(reader->options.arg, &snapshot);
    if (!reader->closed && reader->asking == ASKING_NOTHING &&
        reader->state == MM_STREAM_CATCHING_UP)
        ask(reader, ASKING_REPLAY);
}

// The answer of a call made while live: anything newer, or another epoch, and we catch up.
static void take_probe(struct mm_stream_reader *reader, const Mmorts__Stream__ReplayReply *reply)
{
    reader->counts.replays++;
    if (reply->epoch == reader->position.epoch && reply->newest_seq <= reader->position.seq) {
        arm_silence(reader);
        return;
    }
    if (reply->epoch == reader->position.epoch)
        reader->counts.gaps++;
    catch_up(reader);
}

static void on_answer(void *arg, const struct mm_rpc_result *result)
{
    struct mm_stream_reader *reader = arg;
    enum asking asked = reader->asking;
    reader->asking = ASKING_NOTHING;
    reader->call = 0;
    enter(reader);
    if (result->code != MM_OK) {
        MM_LOG_WARN("stream reader cannot catch up", "stream=%s code=%s reason=%s", reader->stream,
                    mm_err_name(result->code), result->message);
        if (asked == ASKING_PROBE)
            arm_silence(reader);
        else
            try_later(reader);
    } else if (asked == ASKING_REPLAY) {
        take_replay(reader, (const Mmorts__Stream__ReplayReply *)(const void *)result->reply);
    } else if (asked == ASKING_SNAPSHOT) {
        take_snapshot(reader, (const Mmorts__Stream__SnapshotReply *)(const void *)result->reply);
    } else {
        take_probe(reader, (const Mmorts__Stream__ReplayReply *)(const void *)result->reply);
    }
    leave(reader);
}

static void ask(struct mm_stream_reader *reader, enum asking what)
{
    MM_CHECK(reader->asking == ASKING_NOTHING);
    struct mm_rpc_call_options options = {.deadline_ms = reader->options.call_deadline_ms,
                                          .idempotent = true,
                                          .wait_for_connection = true};
    Mmorts__Stream__ReplayRequest replay = MMORTS__STREAM__REPLAY_REQUEST__INIT;
    Mmorts__Stream__SnapshotRequest snapshot = MMORTS__STREAM__SNAPSHOT_REQUEST__INIT;
    const char *method = "Replay";
    const ProtobufCMessage *request = &replay.base;
    if (what == ASKING_SNAPSHOT) {
        method = "Snapshot";
        request = &snapshot.base;
        options.deadline_ms = reader->options.snapshot_deadline_ms;
        snapshot.stream = reader->stream;
        snapshot.session = reader->session;
        snapshot.filter = (ProtobufCBinaryData){reader->options.filter_len, reader->filter};
    } else {
        replay.stream = reader->stream;
        replay.session = reader->session;
        replay.epoch = reader->position.epoch;
        replay.from_seq = reader->position.seq + 1;
    }
    reader->asking = what;
    enum mm_err err = mm_rpc_call(reader->rpc, &mmorts__stream__stream__descriptor, method, request,
                                  &options, on_answer, reader, &reader->call);
    if (err != MM_OK) {
        reader->asking = ASKING_NOTHING;
        if (what == ASKING_PROBE)
            arm_silence(reader);
        else
            try_later(reader);
    }
}

static void stop_asking(struct mm_stream_reader *reader)
{
    mm_loop_timer_stop(reader->loop, &reader->retry);
    if (reader->asking != ASKING_NOTHING)
        mm_rpc_cancel(reader->rpc, reader->call);
    reader->asking = ASKING_NOTHING;
}

static void catch_up(struct mm_stream_reader *reader)
{
    stop_asking(reader);
    mm_loop_timer_stop(reader->loop, &reader->silence);
    set_state(reader, MM_STREAM_CATCHING_UP);
    if (reader->closed || reader->asking != ASKING_NOTHING)
        return;
    // With nowhere to go on from, Replay would only say so.
    bool snapshot = reader->position.epoch == 0 && !reader->options.without_snapshot;
    ask(reader, snapshot ? ASKING_SNAPSHOT : ASKING_REPLAY);
}

static void on_retry(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop;
    (void)timer;
    struct mm_stream_reader *reader = arg;
    enter(reader);
    if (reader->state == MM_STREAM_CATCHING_UP)
        catch_up(reader);
    leave(reader);
}

// Silence may be that of a publisher with nothing to say, or a lost last message.
static void on_silence(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop;
    (void)timer;
    struct mm_stream_reader *reader = arg;
    if (reader->state == MM_STREAM_LIVE && reader->asking == ASKING_NOTHING)
        ask(reader, ASKING_PROBE);
}

// --- the socket ---------------------------------------------------------------------------------

static void on_message(void *arg, nng_msg *msg)
{
    struct mm_stream_reader *reader = arg;
    enter(reader);
    on_live_message(reader, msg);
    leave(reader);
}

static void on_connection(void *arg, bool connected)
{
    struct mm_stream_reader *reader = arg;
    enter(reader);
    stop_asking(reader);
    mm_loop_timer_stop(reader->loop, &reader->silence);
    mm_stream_buffer_clear(&reader->buffer);
    if (connected) {
        reader->retry_ms = RETRY_MIN_MS;
        catch_up(reader);
    } else {
        set_state(reader, MM_STREAM_DOWN);
    }
    leave(reader);
}

// --- opening and closing ------------------------------------------------------------------------

static bool copy_options(struct mm_stream_reader *reader,
                         const struct mm_stream_reader_options *options)
{
    reader->options = *options;
    if (reader->options.silence_ms == 0)
        reader->options.silence_ms = MM_STREAM_READER_SILENCE_MS;
    if (reader->options.call_deadline_ms == 0)
        reader->options.call_deadline_ms = CALL_DEADLINE_MS;
    if (reader->options.snapshot_deadline_ms == 0)
        reader->options.snapshot_deadline_ms = SNAPSHOT_DEADLINE_MS;
    reader->position = options->from;
    reader->started = options->from.epoch != 0;
    if (options->filter_len > 0) {
        reader->filter = mm_malloc(options->filter_len);
        if (!reader->filter)
            return false;
        memcpy(reader->filter, options->filter, options->filter_len);
    }
    return options->stream[0] != '\0' && options->session[0] != '\0' &&
           mm_str_copy(reader->stream, sizeof reader->stream, options->stream) &&
           mm_str_copy(reader->session, sizeof reader->session, options->session);
}

enum mm_err mm_stream_reader_open(struct mm_loop *loop, const char *url, struct mm_rpc_client *rpc,
                                  const struct mm_stream_reader_options *options,
                                  struct mm_stream_reader **out)
{
    *out = NULL;
    MM_CHECK(options->on_message && (options->on_snapshot || options->without_snapshot));
    struct mm_stream_reader *reader = mm_calloc(1, sizeof *reader);
    if (!reader)
        return MM_RESOURCE_EXHAUSTED;
    reader->loop = loop;
    reader->rpc = rpc;
    reader->retry_ms = RETRY_MIN_MS;
    mm_loop_timer_init(&reader->retry, on_retry, reader);
    mm_loop_timer_init(&reader->silence, on_silence, reader);
    if (!copy_options(reader, options)) {
        destroy(reader);
        return MM_INVALID_ARGUMENT;
    }
    const struct mm_stream_socket_options socket = {.stream = reader->stream,
                                                    .session = reader->session,
                                                    .tls = &reader->options.tls,
                                                    .arg = reader,
                                                    .on_message = on_message,
                                                    .on_connection = on_connection};
    enum mm_err err = mm_stream_socket_open(loop, url, &socket, &reader->socket);
    if (err != MM_OK) {
        destroy(reader);
        return err;
    }
    *out = reader;
    return MM_OK;
}

static void destroy(struct mm_stream_reader *reader)
{
    stop_asking(reader);
    mm_loop_timer_stop(reader->loop, &reader->silence);
    mm_stream_buffer_clear(&reader->buffer);
    mm_stream_socket_close(reader->socket);
    mm_free(reader->filter);
    mm_free(reader);
}

void mm_stream_reader_close(struct mm_stream_reader *reader)
{
    if (!reader)
        return;
    reader->closed = true;
    if (reader->in_callback == 0)
        destroy(reader);
}

enum mm_stream_state mm_stream_reader_state(const struct mm_stream_reader *reader)
{
    return reader->state;
}

struct mm_stream_position mm_stream_reader_position(const struct mm_stream_reader *reader)
{
    return reader->position;
}

void mm_stream_reader_restart(struct mm_stream_reader *reader)
{
    reader->position = (struct mm_stream_position){0};
    if (reader->state != MM_STREAM_DOWN)
        catch_up(reader);
}

struct mm_stream_reader_counts mm_stream_reader_counts(const struct mm_stream_reader *reader)
{
    return reader->counts;
}
