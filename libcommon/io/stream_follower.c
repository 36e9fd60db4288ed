#include "libcommon/io/stream_follower.h"

#include "gen/stream.pb-c.h"
#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/log.h"
#include "libcommon/base/str.h"
#include "libcommon/io/loop.h"
#include "libcommon/io/rpc_client.h"
#include "libcommon/io/stream_publisher.h"

// One call at a time, always: Replay from the position, waiting for news once the newest is known.

enum {
    RETRY_MIN_MS = 20,
    RETRY_MAX_MS = 320,
    CALL_SLACK_MS = 5000, // beyond what the publisher may wait
};

struct mm_stream_follower {
    struct mm_loop *loop;
    struct mm_rpc_client *rpc;
    struct mm_stream_follower_options options;
    char stream[MM_STREAM_NAME_LEN_MAX + 1], session[MM_STREAM_NAME_LEN_MAX + 1];
    enum mm_stream_state state;
    struct mm_stream_position position;
    bool started; // the position means something
    mm_rpc_handle call;
    struct mm_loop_timer retry;
    uint32_t retry_ms;
    uint64_t asked_ns;
    bool in_callback; // closing waits until the callback returns
    bool closed;
    struct mm_stream_follower_counts counts;
};

static void ask(struct mm_stream_follower *follower);

static void destroy(struct mm_stream_follower *follower)
{
    mm_loop_timer_stop(follower->loop, &follower->retry);
    if (follower->call)
        mm_rpc_cancel(follower->rpc, follower->call);
    mm_free(follower);
}

static void set_state(struct mm_stream_follower *follower, enum mm_stream_state state)
{
    if (follower->state == state)
        return;
    follower->state = state;
    if (follower->options.on_state)
        follower->options.on_state(follower->options.arg, state);
}

static void try_later(struct mm_stream_follower *follower)
{
    mm_loop_timer_start(follower->loop, &follower->retry, MM_LOOP_MS(follower->retry_ms), 0);
    follower->retry_ms *= 2;
    if (follower->retry_ms > RETRY_MAX_MS)
        follower->retry_ms = RETRY_MAX_MS;
}

// Where the position stands now, next to the newest.
static void tell_state(struct mm_stream_follower *follower,
                       const Mmorts__Stream__ReplayReply *reply)
{
    set_state(follower,
              follower->position.seq >= reply->newest_seq ? MM_STREAM_LIVE : MM_STREAM_CATCHING_UP);
}

static void take(struct mm_stream_follower *follower, const Mmorts__Stream__ReplayReply *reply)
{
    if (reply->epoch != follower->position.epoch || reply->snapshot_needed) {
        follower->counts.gaps += follower->started;
        follower->position.epoch = reply->epoch;
        follower->position.seq = follower->started ? reply->oldest_seq - 1 : reply->newest_seq;
        follower->started = true;
        tell_state(follower, reply);
        return;
    }
    for (size_t i = 0; i < reply->n_messages && !follower->closed; i++) {
        const Mmorts__Stream__StreamMessage *message = reply->messages[i];
        if (message->seq != follower->position.seq + 1)
            break; // not as promised: asked for again from where we are
        follower->position.seq = message->seq;
        follower->counts.messages++;
        follower->counts.bytes += message->body.len;
        struct mm_stream_message told = {.epoch = reply->epoch,
                                         .seq = message->seq,
                                         .tick = message->tick,
                                         .body = message->body.data,
                                         .body_len = message->body.len};
        follower->options.on_message(follower->options.arg, &told);
    }
    if (!follower->closed)
        tell_state(follower, reply);
}

// Nothing new, and yet at once: the publisher lets no more calls wait.
static bool was_turned_away(const struct mm_stream_follower *follower,
                            const struct mm_rpc_result *result)
{
    const Mmorts__Stream__ReplayReply *reply = (const void *)result->reply;
    return follower->state == MM_STREAM_LIVE && reply->n_messages == 0 && !reply->snapshot_needed &&
           mm_loop_now_ns(follower->loop) - follower->asked_ns <
               MM_LOOP_MS(follower->options.wait_ms / 2);
}

static void on_answer(void *arg, const struct mm_rpc_result *result)
{
    struct mm_stream_follower *follower = arg;
    follower->call = 0;
    follower->in_callback = true;
    if (result->code == MM_OK) {
        follower->counts.calls++;
        follower->retry_ms = RETRY_MIN_MS;
        take(follower, (const Mmorts__Stream__ReplayReply *)(const void *)result->reply);
    } else {
        if (follower->state != MM_STREAM_DOWN)
            MM_LOG_WARN("a stream cannot be followed", "stream=%s code=%s reason=%s",
                        follower->stream, mm_err_name(result->code), result->message);
        set_state(follower, MM_STREAM_DOWN);
        if (!follower->closed && result->code == MM_NOT_FOUND && follower->options.on_unknown)
            follower->options.on_unknown(follower->options.arg);
    }
    follower->in_callback = false;
    if (follower->closed)
        destroy(follower);
    else if (result->code == MM_OK && !was_turned_away(follower, result))
        ask(follower);
    else
        try_later(follower);
}

static void ask(struct mm_stream_follower *follower)
{
    Mmorts__Stream__ReplayRequest request = MMORTS__STREAM__REPLAY_REQUEST__INIT;
    request.stream = follower->stream;
    request.session = follower->session;
    request.epoch = follower->position.epoch;
    request.from_seq = follower->position.seq + 1;
    request.wait_ms = follower->options.wait_ms;
    follower->asked_ns = mm_loop_now_ns(follower->loop);
    // Without a connection it fails at once, so that the owner knows.
    struct mm_rpc_call_options options = {.deadline_ms = follower->options.wait_ms + CALL_SLACK_MS};
    if (mm_rpc_call(follower->rpc, &mmorts__stream__stream__descriptor, "Replay", &request.base,
                    &options, on_answer, follower, &follower->call) == MM_OK)
        return;
    follower->call = 0;
    follower->in_callback = true;
    set_state(follower, MM_STREAM_DOWN);
    follower->in_callback = false;
    if (follower->closed)
        destroy(follower);
    else
        try_later(follower);
}

static void on_retry(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop;
    (void)timer;
    ask(arg);
}

enum mm_err mm_stream_follower_open(struct mm_loop *loop, struct mm_rpc_client *rpc,
                                    const struct mm_stream_follower_options *options,
                                    struct mm_stream_follower **out)
{
    *out = NULL;
    MM_CHECK(options->on_message);
    struct mm_stream_follower *follower = mm_calloc(1, sizeof *follower);
    if (!follower)
        return MM_RESOURCE_EXHAUSTED;
    follower->loop = loop;
    follower->rpc = rpc;
    follower->options = *options;
    if (follower->options.wait_ms == 0)
        follower->options.wait_ms = MM_STREAM_FOLLOWER_WAIT_MS;
    follower->retry_ms = RETRY_MIN_MS;
    if (options->stream[0] == '\0' || options->session[0] == '\0' ||
        !mm_str_copy(follower->stream, sizeof follower->stream, options->stream) ||
        !mm_str_copy(follower->session, sizeof follower->session, options->session)) {
        mm_free(follower);
        return MM_INVALID_ARGUMENT;
    }
    mm_loop_timer_init(&follower->retry, on_retry, follower);
    mm_loop_timer_start(loop, &follower->retry, 0, 0);
    *out = follower;
    return MM_OK;
}

void mm_stream_follower_close(struct mm_stream_follower *follower)
{
    if (!follower)
        return;
    if (follower->in_callback)
        follower->closed = true;
    else
        destroy(follower);
}

enum mm_stream_state mm_stream_follower_state(const struct mm_stream_follower *follower)
{
    return follower->state;
}

bool mm_stream_follower_is_asking(const struct mm_stream_follower *follower)
{
    return follower->call != 0;
}

void mm_stream_follower_hurry(struct mm_stream_follower *follower)
{
    if (follower->retry.active)
        mm_loop_timer_start(follower->loop, &follower->retry, 0, 0);
}

struct mm_stream_follower_counts
mm_stream_follower_counts(const struct mm_stream_follower *follower)
{
    return follower->counts;
}
