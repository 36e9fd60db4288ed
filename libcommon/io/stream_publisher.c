#include "libcommon/io/stream_publisher.h"

#include <nng/nng.h>
#include <nng/protocol/pubsub0/pub.h>
#include <string.h>

#include "gen/stream.pb-c.h"
#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/log.h"
#include "libcommon/base/str.h"
#include "libcommon/io/loop.h"
#include "libcommon/io/nng_close.h"
#include "libcommon/io/pb.h"
#include "libcommon/io/rpc_envelope.h"
#include "libcommon/io/rpc_server.h"
#include "libcommon/io/stream_ring.h"

// A Replay call that waits for the message after the newest.
struct wait {
    struct mm_stream_publisher *publisher;
    struct wait *next, **link; // what points to it
    struct mm_rpc_call *call;
    struct mm_loop_timer timer;
    uint32_t max_bytes;
};

struct mm_stream_publisher {
    struct mm_stream_hub *hub;
    char stream[MM_STREAM_NAME_LEN_MAX + 1], session[MM_STREAM_NAME_LEN_MAX + 1];
    uint64_t epoch;
    struct mm_stream_ring ring;
    mm_stream_snapshot_fn snapshot;
    void *arg;
    struct mm_stream_snapshot *snapshots; // being made
    uint32_t snapshots_count;
    struct wait *waits;
    bool replay_only;
    uint64_t replays;
};

// Lives until the owner of the state answers, even if the publisher goes before.
struct mm_stream_snapshot {
    struct mm_stream_publisher *publisher; // NULL once the publisher is closed
    struct mm_rpc_call *call;
    struct mm_stream_snapshot *next;
};

struct mm_stream_hub {
    struct mm_loop *loop;
    nng_socket socket;
    struct mm_stream_publisher *publishers[MM_STREAM_PUBLISHERS_MAX];
    size_t publishers_count;
    uint32_t waits_count;
    bool draining;
    uint16_t port;
};

// --- publishing ---------------------------------------------------------------------------------

enum mm_err mm_stream_publisher_open(struct mm_stream_hub *hub,
                                     const struct mm_stream_publisher_options *options,
                                     struct mm_stream_publisher **out)
{
    *out = NULL;
    if (hub->publishers_count == MM_STREAM_PUBLISHERS_MAX)
        return MM_RESOURCE_EXHAUSTED;
    for (size_t i = 0; i < hub->publishers_count; i++)
        if (strcmp(hub->publishers[i]->stream, options->stream) == 0 &&
            strcmp(hub->publishers[i]->session, options->session) == 0)
            return MM_ALREADY_EXISTS;
    struct mm_stream_publisher *publisher = mm_calloc(1, sizeof *publisher);
    if (!publisher)
        return MM_RESOURCE_EXHAUSTED;
    bool named = options->stream[0] != '\0' && options->session[0] != '\0' &&
                 mm_str_copy(publisher->stream, sizeof publisher->stream, options->stream) &&
                 mm_str_copy(publisher->session, sizeof publisher->session, options->session);
    enum mm_err err = MM_INVALID_ARGUMENT;
    if (named)
        err = mm_stream_ring_init(&publisher->ring,
                                  options->ring_messages_max ? options->ring_messages_max
                                                             : MM_STREAM_RING_MESSAGES_DEFAULT,
                                  options->ring_bytes_max ? options->ring_bytes_max
                                                          : MM_STREAM_RING_BYTES_DEFAULT);
    if (err != MM_OK) {
        mm_free(publisher);
        return err;
    }
    publisher->hub = hub;
    publisher->epoch = options->epoch;
    while (publisher->epoch == 0)
        mm_random_bytes(&publisher->epoch, sizeof publisher->epoch);
    publisher->replay_only = options->replay_only;
    publisher->snapshot = options->snapshot;
    publisher->arg = options->arg;
    hub->publishers[hub->publishers_count++] = publisher;
    *out = publisher;
    return MM_OK;
}

static void answer_waits(struct mm_stream_publisher *publisher);

static void send_to_readers(struct mm_stream_publisher *publisher, uint64_t seq, uint64_t tick,
                            const uint8_t *body, size_t len)
{
    Mmorts__Stream__StreamMessage head = MMORTS__STREAM__STREAM_MESSAGE__INIT;
    head.stream = publisher->stream;
    head.session = publisher->session;
    head.epoch = publisher->epoch;
    head.seq = seq;
    head.tick = tick;
    struct mm_envelope envelope = {.head = &head.base, .body_field = 6, .body = {body, len}};
    nng_msg *msg;
    // A message that cannot be sent is a gap to the readers: they fetch it from the ring.
    if (mm_envelope_to_msg(&envelope, SIZE_MAX, &msg) == MM_OK &&
        nng_sendmsg(publisher->hub->socket, msg, NNG_FLAG_NONBLOCK) != 0)
        nng_msg_free(msg);
}

// Takes body, which has been packed into memory from mm_malloc.
static uint64_t publish(struct mm_stream_publisher *publisher, uint64_t tick, uint8_t *body,
                        size_t len)
{
    MM_CHECK(len <= MM_RPC_REPLY_BYTES_MAX / 2); // Replay must be able to carry it
    uint64_t seq = publisher->ring.newest + 1;
    if (!publisher->replay_only)
        send_to_readers(publisher, seq, tick, body, len);
    mm_stream_ring_push(&publisher->ring, body, len, tick);
    answer_waits(publisher);
    return seq;
}

uint64_t mm_stream_publish(struct mm_stream_publisher *publisher, uint64_t tick,
                           const ProtobufCMessage *body)
{
    uint8_t *bytes;
    size_t len;
    MM_CHECK(mm_pb_pack(body, SIZE_MAX, &bytes, &len) == MM_OK);
    return publish(publisher, tick, bytes, len);
}

uint64_t mm_stream_publish_bytes(struct mm_stream_publisher *publisher, uint64_t tick,
                                 const uint8_t *body, size_t len)
{
    uint8_t *copy = mm_malloc(len ? len : 1);
    MM_CHECK(copy != NULL);
    if (len > 0)
        memcpy(copy, body, len);
    return publish(publisher, tick, copy, len);
}

uint64_t mm_stream_publisher_epoch(const struct mm_stream_publisher *publisher)
{
    return publisher->epoch;
}

uint64_t mm_stream_publisher_seq(const struct mm_stream_publisher *publisher)
{
    return publisher->ring.newest;
}

uint64_t mm_stream_publisher_replays(const struct mm_stream_publisher *publisher)
{
    return publisher->replays;
}

static struct mm_rpc_call *end_wait(struct wait *wait);

void mm_stream_publisher_close(struct mm_stream_publisher *publisher)
{
    if (!publisher)
        return;
    struct mm_stream_hub *hub = publisher->hub;
    for (size_t i = 0; i < hub->publishers_count; i++) {
        if (hub->publishers[i] == publisher) {
            hub->publishers[i] = hub->publishers[--hub->publishers_count];
            break;
        }
    }
    for (struct mm_stream_snapshot *at = publisher->snapshots; at; at = at->next) {
        mm_rpc_fail(at->call, MM_UNAVAILABLE, "the stream is closed");
        at->publisher = NULL;
    }
    while (publisher->waits)
        mm_rpc_fail(end_wait(publisher->waits), MM_UNAVAILABLE, "the stream is closed");
    mm_stream_ring_free(&publisher->ring);
    mm_free(publisher);
}

// --- the Stream service -------------------------------------------------------------------------

static struct mm_stream_publisher *find(struct mm_rpc_call *call, const char *stream,
                                        const char *session)
{
    struct mm_stream_hub *hub = mm_rpc_call_context(call);
    for (size_t i = 0; i < hub->publishers_count; i++)
        if (strcmp(hub->publishers[i]->stream, stream) == 0 &&
            strcmp(hub->publishers[i]->session, session) == 0)
            return hub->publishers[i];
    mm_rpc_fail(call, MM_NOT_FOUND, "no stream %s of session %s here", stream, session);
    return NULL;
}

// Fills reply with the messages from `from` on; how many. At least one, then as many as fit.
static size_t gather(const struct mm_stream_ring *ring, uint64_t from, size_t bytes_max,
                     Mmorts__Stream__StreamMessage *messages, Mmorts__Stream__StreamMessage **list)
{
    size_t count = 0, bytes = 0;
    for (uint64_t seq = from; seq <= ring->newest; seq++, count++) {
        const struct mm_stream_held *held = mm_stream_ring_at(ring, seq);
        if (count > 0 && bytes + held->len > bytes_max)
            break;
        bytes += held->len;
        mmorts__stream__stream_message__init(&messages[count]);
        messages[count].seq = seq;
        messages[count].tick = held->tick;
        messages[count].body = (ProtobufCBinaryData){held->len, held->body};
        list[count] = &messages[count];
    }
    return count;
}

static Mmorts__Stream__ReplayReply reply_of(const struct mm_stream_publisher *publisher)
{
    Mmorts__Stream__ReplayReply reply = MMORTS__STREAM__REPLAY_REPLY__INIT;
    reply.epoch = publisher->epoch;
    reply.oldest_seq = publisher->ring.oldest;
    reply.newest_seq = publisher->ring.newest;
    return reply;
}

// Answers with what is there from `from` on, which is held or the next to be published.
static void answer(const struct mm_stream_publisher *publisher, struct mm_rpc_call *call,
                   uint64_t from, uint32_t max_bytes)
{
    const struct mm_stream_ring *ring = &publisher->ring;
    Mmorts__Stream__ReplayReply reply = reply_of(publisher);
    size_t bytes_max = max_bytes == 0 || max_bytes > MM_STREAM_REPLAY_BYTES_MAX
                           ? MM_STREAM_REPLAY_BYTES_MAX
                           : max_bytes;
    size_t count = (size_t)(ring->newest + 1 - from);
    Mmorts__Stream__StreamMessage *messages = mm_calloc(count + 1, sizeof *messages);
    Mmorts__Stream__StreamMessage **list = mm_calloc(count + 1, sizeof *list);
    if (messages && list) {
        reply.n_messages = gather(ring, from, bytes_max, messages, list);
        reply.messages = list;
        mm_rpc_reply(call, &reply.base);
    } else {
        mm_rpc_fail(call, MM_RESOURCE_EXHAUSTED, "out of memory");
    }
    mm_free(messages);
    mm_free(list);
}

// Takes the wait off its publisher and frees it; its call, to be answered.
static struct mm_rpc_call *end_wait(struct wait *wait)
{
    struct mm_stream_hub *hub = wait->publisher->hub;
    struct mm_rpc_call *call = wait->call;
    mm_loop_timer_stop(hub->loop, &wait->timer);
    *wait->link = wait->next;
    if (wait->next)
        wait->next->link = wait->link;
    hub->waits_count--;
    mm_free(wait);
    return call;
}

// What waits is answered with what there is: the message that was just published (or, if that is
// larger than the ring, nothing: the next call is told that it is gone).
static void answer_waits(struct mm_stream_publisher *publisher)
{
    const struct mm_stream_ring *ring = &publisher->ring;
    uint64_t from = ring->oldest > ring->newest ? ring->newest + 1 : ring->newest;
    while (publisher->waits) {
        uint32_t max_bytes = publisher->waits->max_bytes;
        answer(publisher, end_wait(publisher->waits), from, max_bytes);
    }
}

static void on_wait_over(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop;
    (void)timer;
    struct wait *wait = arg;
    const struct mm_stream_publisher *publisher = wait->publisher;
    answer(publisher, end_wait(wait), publisher->ring.newest + 1, 0);
}

// False: it is to be answered at once.
static bool begin_wait(struct mm_stream_publisher *publisher, struct mm_rpc_call *call,
                       const Mmorts__Stream__ReplayRequest *input)
{
    struct mm_stream_hub *hub = publisher->hub;
    uint64_t wait_ms =
        input->wait_ms < MM_STREAM_WAIT_MS_MAX ? input->wait_ms : MM_STREAM_WAIT_MS_MAX;
    uint64_t most_ms = (uint64_t)mm_rpc_call_deadline_left_ms(call) * 3 / 4;
    wait_ms = wait_ms < most_ms ? wait_ms : most_ms;
    if (wait_ms == 0 || hub->draining || hub->waits_count == MM_STREAM_WAITS_MAX)
        return false;
    struct wait *wait = mm_calloc(1, sizeof *wait);
    if (!wait)
        return false;
    *wait = (struct wait){.publisher = publisher,
                          .next = publisher->waits,
                          .link = &publisher->waits,
                          .call = call,
                          .max_bytes = input->max_bytes};
    if (wait->next)
        wait->next->link = &wait->next;
    publisher->waits = wait;
    hub->waits_count++;
    mm_loop_timer_init(&wait->timer, on_wait_over, wait);
    mm_loop_timer_start(hub->loop, &wait->timer, MM_LOOP_MS(wait_ms), 0);
    return true;
}

static void stream_rpc_replay(Mmorts__Stream__Stream_Service *service,
                              const Mmorts__Stream__ReplayRequest *input,
                              Mmorts__Stream__ReplayReply_Closure closure, void *closure_data)
{
    (void)service;
    (void)closure;
    struct mm_rpc_call *call = closure_data;
    struct mm_stream_publisher *publisher = find(call, input->stream, input->session);
    if (!publisher)
        return;
    publisher->replays++;
    const struct mm_stream_ring *ring = &publisher->ring;
    if (input->epoch != publisher->epoch || input->from_seq < ring->oldest ||
        input->from_seq > ring->newest + 1) {
        Mmorts__Stream__ReplayReply reply = reply_of(publisher);
        reply.snapshot_needed = true;
        mm_rpc_reply(call, &reply.base);
        return;
    }
    if (input->from_seq == ring->newest + 1 && begin_wait(publisher, call, input))
        return;
    answer(publisher, call, input->from_seq, input->max_bytes);
}

static void stream_rpc_snapshot(Mmorts__Stream__Stream_Service *service,
                                const Mmorts__Stream__SnapshotRequest *input,
                                Mmorts__Stream__SnapshotReply_Closure closure, void *closure_data)
{
    (void)service;
    (void)closure;
    struct mm_rpc_call *call = closure_data;
    struct mm_stream_publisher *publisher = find(call, input->stream, input->session);
    if (!publisher)
        return;
    if (!publisher->snapshot) {
        mm_rpc_fail(call, MM_UNIMPLEMENTED, "stream %s has no snapshots", publisher->stream);
        return;
    }
    struct mm_stream_snapshot *snapshot = NULL;
    if (publisher->snapshots_count < MM_STREAM_SNAPSHOTS_MAX)
        snapshot = mm_calloc(1, sizeof *snapshot);
    if (!snapshot) {
        mm_rpc_fail(call, MM_RESOURCE_EXHAUSTED, "too many snapshots are being made");
        return;
    }
    snapshot->publisher = publisher;
    snapshot->call = call;
    snapshot->next = publisher->snapshots;
    publisher->snapshots = snapshot;
    publisher->snapshots_count++;
    publisher->snapshot(publisher->arg, snapshot, input->filter.data, input->filter.len);
}

static Mmorts__Stream__Stream_Service stream_service = MMORTS__STREAM__STREAM__INIT(stream_rpc_);

// Takes the snapshot off its publisher and frees it; its call, or NULL when that was answered
// already.
static struct mm_rpc_call *end_snapshot(struct mm_stream_snapshot *snapshot)
{
    struct mm_stream_publisher *publisher = snapshot->publisher;
    struct mm_rpc_call *call = snapshot->call;
    if (publisher) {
        struct mm_stream_snapshot **at = &publisher->snapshots;
        while (*at != snapshot)
            at = &(*at)->next;
        *at = snapshot->next;
        publisher->snapshots_count--;
    }
    mm_free(snapshot);
    return publisher ? call : NULL;
}

void mm_stream_snapshot_reply_bytes(struct mm_stream_snapshot *snapshot, uint64_t seq,
                                    uint64_t tick, const uint8_t *body, size_t len)
{
    Mmorts__Stream__SnapshotReply reply = MMORTS__STREAM__SNAPSHOT_REPLY__INIT;
    if (snapshot->publisher) {
        MM_CHECK(seq <= snapshot->publisher->ring.newest);
        reply.epoch = snapshot->publisher->epoch;
    }
    reply.seq = seq;
    reply.tick = tick;
    reply.body = (ProtobufCBinaryData){len, (uint8_t *)(uintptr_t)body}; // only read
    struct mm_rpc_call *call = end_snapshot(snapshot);
    if (call)
        mm_rpc_reply(call, &reply.base);
}

void mm_stream_snapshot_reply(struct mm_stream_snapshot *snapshot, uint64_t seq, uint64_t tick,
                              const ProtobufCMessage *body)
{
    uint8_t *bytes;
    size_t len;
    if (mm_pb_pack(body, MM_RPC_REPLY_BYTES_MAX, &bytes, &len) != MM_OK) {
        mm_stream_snapshot_fail(snapshot, MM_RESOURCE_EXHAUSTED, "the snapshot is too large");
        return;
    }
    mm_stream_snapshot_reply_bytes(snapshot, seq, tick, bytes, len);
    mm_free(bytes);
}

void mm_stream_snapshot_fail(struct mm_stream_snapshot *snapshot, enum mm_err code,
                             const char *message)
{
    struct mm_rpc_call *call = end_snapshot(snapshot);
    if (call)
        mm_rpc_fail(call, code, "%s", message);
}

// --- the hub ------------------------------------------------------------------------------------

enum mm_err mm_stream_hub_open(struct mm_loop *loop, struct mm_rpc_server *rpc, const char *url,
                               const struct mm_rpc_tls *tls, struct mm_stream_hub **out)
{
    *out = NULL;
    struct mm_stream_hub *hub = mm_calloc(1, sizeof *hub);
    if (!hub)
        return MM_RESOURCE_EXHAUSTED;
    hub->loop = loop;
    int rv = nng_pub0_open(&hub->socket);
    if (rv != 0) {
        mm_free(hub);
        return mm_nng_err(rv);
    }
    // Few: a slow reader is better served by a gap and a catch-up than by old messages.
    rv = nng_socket_set_int(hub->socket, NNG_OPT_SENDBUF, MM_STREAM_SEND_MESSAGES_DEFAULT);
    enum mm_err err = rv == 0 ? mm_nng_listen(hub->socket, url, tls, &hub->port) : mm_nng_err(rv);
    if (err != MM_OK) {
        mm_nng_close(hub->socket);
        mm_free(hub);
        return err;
    }
    mm_rpc_server_register(rpc, &stream_service.base, hub, NULL, 0);
    *out = hub;
    return MM_OK;
}

void mm_stream_hub_drain(struct mm_stream_hub *hub)
{
    hub->draining = true;
    for (size_t i = 0; i < hub->publishers_count; i++) {
        struct mm_stream_publisher *publisher = hub->publishers[i];
        while (publisher->waits)
            answer(publisher, end_wait(publisher->waits), publisher->ring.newest + 1, 0);
    }
}

uint16_t mm_stream_hub_port(const struct mm_stream_hub *hub)
{
    return hub->port;
}

void mm_stream_hub_close(struct mm_stream_hub *hub)
{
    if (!hub)
        return;
    while (hub->publishers_count > 0)
        mm_stream_publisher_close(hub->publishers[0]);
    mm_nng_close(hub->socket);
    mm_free(hub);
}
