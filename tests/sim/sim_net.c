#include "tests/sim/sim_internal.h"

#include <stdlib.h>
#include <string.h>

// The network: calls and streams between the nodes, late, lost, twice, out of order, or cut; and
// above it the readers of streams, which keep what libcommon/io/stream_reader.h promises: every
// message once and in order, from a gap on by Replay, past the ring by a snapshot.

enum { CALL_ROUNDS = 40, SILENCE_ROUNDS = 12, REPLAY_MESSAGES = 24 };

struct sim_bytes *sim_bytes_new(const void *data, size_t len)
{
    struct sim_bytes *bytes = malloc(sizeof *bytes + len);
    if (!bytes)
        abort();
    bytes->references = 1;
    bytes->len = len;
    if (data)
        memcpy(bytes->data, data, len);
    return bytes;
}

struct sim_bytes *sim_bytes_of(const ProtobufCMessage *message)
{
    struct sim_bytes *bytes = sim_bytes_new(NULL, protobuf_c_message_get_packed_size(message));
    protobuf_c_message_pack(message, bytes->data);
    return bytes;
}

struct sim_bytes *sim_bytes_hold(struct sim_bytes *bytes)
{
    if (bytes)
        bytes->references++;
    return bytes;
}

void sim_bytes_drop(struct sim_bytes *bytes)
{
    if (bytes && --bytes->references == 0)
        free(bytes);
}

// --- messages ------------------------------------------------------------------------------------

uint32_t sim_life(const struct sim *sim, enum sim_node node)
{
    const uint32_t lives[SIM_NODES] = {sim->world.life, sim->vision.life, sim->sync.life,
                                       sim->production.life};
    return lives[node];
}

static bool is_up(const struct sim *sim, enum sim_node node)
{
    const bool up[SIM_NODES] = {sim->world.up, sim->vision.up, sim->sync.up, sim->production.up};
    return up[node];
}

static void post(struct sim *sim, struct sim_message message)
{
    uint64_t delay = sim->calm ? 0 : sim_below(sim, sim->weather.delay_max + 1);
    if (delay > 0 && sim_chance(sim, 5000))
        delay = 0;
    delay += message.late_rounds;
    struct sim_mail *mail = &sim->wheel[(sim->round + delay) % SIM_WHEEL];
    if (!mm_vec_push(mail, message))
        abort();
    // Out of order: two of a round change places.
    if (!sim->calm && delay > 0 && mail->count > 1 && sim_chance(sim, 2000)) {
        size_t other = sim_below(sim, mail->count - 1);
        struct sim_message last = mail->items[mail->count - 1];
        mail->items[mail->count - 1] = mail->items[other];
        mail->items[other] = last;
    }
}

// Takes message.bytes.
void sim_send(struct sim *sim, struct sim_message message)
{
    message.from_life = sim_life(sim, message.from);
    message.to_life = sim_life(sim, message.to);
    bool lost = sim->cut_until[message.from][message.to] > sim->round ||
                (!sim->calm && sim_chance(sim, sim->weather.loss));
    if (lost || !is_up(sim, message.to)) {
        sim->report->lost++;
        sim_bytes_drop(message.bytes);
        return;
    }
    if (!sim->calm && sim_chance(sim, sim->weather.doubled)) {
        sim->report->doubled++;
        sim_bytes_hold(message.bytes);
        post(sim, message);
    }
    post(sim, message);
}

static void hand_over(struct sim *sim, const struct sim_message *message)
{
    if (message->to_life != sim_life(sim, message->to) || !is_up(sim, message->to))
        return;
    switch (message->kind) {
    case SIM_STREAM_MESSAGE:
        sim_reader_take(sim, message);
        break;
    case SIM_REPLAY:
        sim_replay_asked(sim, message);
        break;
    case SIM_REPLAY_REPLY:
    case SIM_SNAPSHOT_REPLY:
        sim_reader_catch_up_reply(sim, message);
        break;
    default:
        if (message->to == SIM_WORLD)
            sim_world_take(sim, message);
        else if (message->to == SIM_VISION)
            sim_vision_take(sim, message);
        else if (message->to == SIM_PRODUCTION)
            sim_production_take(sim, message);
        else
            sim_sync_take(sim, message);
        break;
    }
}

void sim_deliver_due(struct sim *sim)
{
    struct sim_mail *mail = &sim->wheel[sim->round % SIM_WHEEL];
    for (size_t i = 0; i < mail->count && !sim_failed(sim); i++) {
        struct sim_message message = mail->items[i];
        mail->items[i].bytes = NULL;
        hand_over(sim, &message);
        sim_bytes_drop(message.bytes);
    }
    for (size_t i = 0; i < mail->count; i++)
        sim_bytes_drop(mail->items[i].bytes);
    mm_vec_clear(mail);
}

void sim_mail_free(struct sim *sim)
{
    for (size_t w = 0; w < SIM_WHEEL; w++) {
        for (size_t i = 0; i < sim->wheel[w].count; i++)
            sim_bytes_drop(sim->wheel[w].items[i].bytes);
        mm_vec_free(&sim->wheel[w]);
    }
}

// --- publishers ----------------------------------------------------------------------------------

static const enum sim_node publisher_node[SIM_STREAMS] = {SIM_WORLD, SIM_VISION, SIM_PRODUCTION};

void sim_publisher_clear(struct sim_publisher *publisher)
{
    for (size_t i = 0; i < SIM_RING; i++)
        sim_bytes_drop(publisher->ring[i].bytes);
    *publisher = (struct sim_publisher){0};
}

void sim_publisher_close(struct sim *sim, enum sim_stream stream)
{
    sim_publisher_clear(&sim->publishers[stream]);
}

void sim_publisher_open(struct sim *sim, enum sim_stream stream, uint64_t epoch)
{
    sim_publisher_close(sim, stream);
    sim->publishers[stream].epoch = epoch;
}

// Takes the bytes.
void sim_publisher_push(struct sim_publisher *publisher, uint64_t tick, struct sim_bytes *bytes)
{
    uint64_t seq = ++publisher->seq;
    struct sim_published *place = &publisher->ring[seq % SIM_RING];
    sim_bytes_drop(place->bytes);
    *place = (struct sim_published){seq, tick, bytes};
}

// Takes the bytes.
void sim_publish(struct sim *sim, enum sim_stream stream, uint64_t tick, struct sim_bytes *bytes)
{
    struct sim_publisher *publisher = &sim->publishers[stream];
    sim_publisher_push(publisher, tick, bytes);
    for (uint32_t reader = 0; reader < SIM_READERS; reader++) {
        if (!sim->readers[reader].open || sim->readers[reader].stream != stream)
            continue;
        sim_send(sim, (struct sim_message){.kind = SIM_STREAM_MESSAGE,
                                           .from = publisher_node[stream],
                                           .to = sim->readers[reader].node,
                                           .stream = stream,
                                           .reader = reader,
                                           .epoch = publisher->epoch,
                                           .seq = publisher->seq,
                                           .tick = tick,
                                           .bytes = sim_bytes_hold(bytes)});
    }
}

uint64_t sim_publisher_oldest(const struct sim_publisher *publisher)
{
    return publisher->seq > SIM_RING ? publisher->seq - SIM_RING + 1 : 1;
}

// A replayed message within an answer: this head, then its body.
struct replayed {
    uint64_t seq, tick, len;
};

struct sim_bytes *sim_replay_pack(const struct sim_publisher *publisher, uint64_t from)
{
    uint64_t to = from + REPLAY_MESSAGES - 1;
    if (to > publisher->seq)
        to = publisher->seq;
    size_t len = 0;
    for (uint64_t seq = from; seq <= to; seq++)
        len += sizeof(struct replayed) + publisher->ring[seq % SIM_RING].bytes->len;
    struct sim_bytes *bytes = sim_bytes_new(NULL, len);
    uint8_t *at = bytes->data;
    for (uint64_t seq = from; seq <= to; seq++) {
        const struct sim_published *held = &publisher->ring[seq % SIM_RING];
        struct replayed head = {held->seq, held->tick, held->bytes->len};
        memcpy(at, &head, sizeof head);
        memcpy(at + sizeof head, held->bytes->data, held->bytes->len);
        at += sizeof head + held->bytes->len;
    }
    return bytes;
}

size_t sim_replay_next(const struct sim_bytes *packed, size_t at, struct sim_message *out)
{
    struct replayed head;
    memcpy(&head, packed->data + at, sizeof head);
    at += sizeof head;
    out->seq = head.seq;
    out->tick = head.tick;
    out->bytes = sim_bytes_new(packed->data + at, head.len);
    return at + head.len;
}

void sim_replay_asked(struct sim *sim, const struct sim_message *message)
{
    struct sim_publisher *publisher = &sim->publishers[message->stream];
    if (publisher->epoch == 0)
        return; // not open yet: the call fails by its deadline
    struct sim_message reply = {.kind = SIM_REPLAY_REPLY,
                                .from = message->to,
                                .to = message->from,
                                .stream = message->stream,
                                .reader = message->reader,
                                .call = message->call,
                                .epoch = publisher->epoch,
                                .a = sim_publisher_oldest(publisher),
                                .b = publisher->seq};
    reply.flag = message->epoch != publisher->epoch || message->seq < reply.a;
    if (!reply.flag)
        reply.bytes = sim_replay_pack(publisher, message->seq);
    sim_send(sim, reply);
}

// --- readers -------------------------------------------------------------------------------------

static void drop_buffer(struct sim_reader *reader)
{
    for (size_t i = 0; i < reader->buffered; i++)
        sim_bytes_drop(reader->buffer[i].bytes);
    reader->buffered = 0;
}

void sim_reader_open(struct sim *sim, enum sim_reader_name name, uint64_t epoch, uint64_t seq)
{
    static const struct sim_reader shapes[SIM_READERS] = {
        [SIM_VISION_TICKS] = {.node = SIM_VISION, .stream = SIM_TICKS},
        [SIM_SYNC_TICKS] = {.node = SIM_SYNC, .stream = SIM_TICKS},
        [SIM_SYNC_VISIONS] = {.node = SIM_SYNC, .stream = SIM_VISIONS},
        [SIM_PRODUCTION_TICKS] = {.node = SIM_PRODUCTION, .stream = SIM_TICKS},
        [SIM_SYNC_PRODUCTIONS] = {.node = SIM_SYNC, .stream = SIM_PRODUCTIONS},
    };
    sim_reader_close(sim, name);
    sim->readers[name] = shapes[name];
    sim->readers[name].open = true;
    sim->readers[name].catching_up = true;
    sim->readers[name].wants_snapshot = epoch == 0;
    sim->readers[name].epoch = epoch;
    sim->readers[name].seq = seq;
    sim->readers[name].heard = sim->round;
}

void sim_reader_close(struct sim *sim, enum sim_reader_name name)
{
    drop_buffer(&sim->readers[name]);
    sim->readers[name].open = false;
}

void sim_reader_restart(struct sim *sim, enum sim_reader_name name)
{
    struct sim_reader *reader = &sim->readers[name];
    reader->epoch = 0;
    reader->catching_up = reader->wants_snapshot = true;
    reader->call = 0;
}

static void hand_on(struct sim *sim, uint32_t name, const struct sim_message *message,
                    bool snapshot)
{
    switch (name) {
    case SIM_VISION_TICKS:
        sim_vision_frame(sim, message, snapshot);
        break;
    case SIM_SYNC_TICKS:
        sim_sync_tick(sim, message, snapshot);
        break;
    case SIM_SYNC_VISIONS:
        sim_sync_vision(sim, message);
        break;
    case SIM_PRODUCTION_TICKS:
        sim_production_frame(sim, message);
        break;
    default:
        sim_sync_production(sim, message);
        break;
    }
}

static void deliver(struct sim *sim, uint32_t name, const struct sim_message *message)
{
    struct sim_reader *reader = &sim->readers[name];
    reader->epoch = message->epoch;
    reader->seq = message->seq;
    hand_on(sim, name, message, false);
}

static void ask(struct sim *sim, uint32_t name)
{
    struct sim_reader *reader = &sim->readers[name];
    bool snapshot = reader->wants_snapshot && name != SIM_SYNC_VISIONS;
    reader->call = ++sim->calls;
    reader->call_until = sim->round + CALL_ROUNDS;
    reader->heard = sim->round;
    sim_send(sim, (struct sim_message){.kind = snapshot ? SIM_SNAPSHOT : SIM_REPLAY,
                                       .from = reader->node,
                                       .to = publisher_node[reader->stream],
                                       .stream = reader->stream,
                                       .reader = name,
                                       .call = reader->call,
                                       .epoch = reader->epoch,
                                       .seq = reader->seq + 1});
}

// Delivers what the buffer holds of the reader's own epoch; what does not follow on is a reason to
// catch up again.
static void drain(struct sim *sim, uint32_t name)
{
    struct sim_reader *reader = &sim->readers[name];
    bool moved = true;
    while (moved && reader->open && !reader->catching_up) {
        moved = false;
        for (size_t i = 0; i < reader->buffered; i++) {
            struct sim_message message = reader->buffer[i];
            bool mine = message.epoch == reader->epoch;
            if (mine && message.seq > reader->seq + 1)
                continue;
            reader->buffer[i] = reader->buffer[--reader->buffered];
            if (mine && message.seq == reader->seq + 1)
                deliver(sim, name, &message);
            sim_bytes_drop(message.bytes);
            moved = true;
            break;
        }
    }
    if (reader->buffered > 0 && !reader->catching_up)
        reader->catching_up = true;
}

static void caught_up(struct sim *sim, uint32_t name)
{
    struct sim_reader *reader = &sim->readers[name];
    reader->catching_up = false;
    reader->wants_snapshot = false;
    if (name == SIM_VISION_TICKS)
        sim_vision_live(sim);
    drain(sim, name);
}

void sim_reader_take(struct sim *sim, const struct sim_message *message)
{
    struct sim_reader *reader = &sim->readers[message->reader];
    if (!reader->open)
        return;
    reader->heard = sim->round;
    bool mine = message->epoch == reader->epoch;
    if (mine && message->seq <= reader->seq)
        return;
    if (!reader->catching_up && mine && message->seq == reader->seq + 1) {
        deliver(sim, message->reader, message);
        drain(sim, message->reader);
        return;
    }
    if (reader->buffered < SIM_READER_BUFFER) {
        reader->buffer[reader->buffered++] = *message;
        sim_bytes_hold(message->bytes);
    }
    reader->catching_up = true;
}

// The planted bug: the frame's place is there, what it says is not.
static void empty_frame(struct sim_message *message)
{
    Mmorts__Frame__VisionFrame empty = MMORTS__FRAME__VISION_FRAME__INIT;
    empty.tick = message->tick;
    sim_bytes_drop(message->bytes);
    message->bytes = sim_bytes_of(&empty.base);
}

static void replay(struct sim *sim, const struct sim_message *reply)
{
    struct sim_reader *reader = &sim->readers[reply->reader];
    unsigned count = 0;
    for (size_t at = 0; reader->open && at < reply->bytes->len; count++) {
        struct sim_message message = {.epoch = reply->epoch};
        at = sim_replay_next(reply->bytes, at, &message);
        if (sim->options.fault == SIM_FAULT_LOST_REPLAY_FRAME && count == 1 &&
            reply->reader == SIM_SYNC_VISIONS)
            empty_frame(&message);
        if (message.seq == reader->seq + 1)
            deliver(sim, reply->reader, &message);
        sim_bytes_drop(message.bytes);
    }
    sim->report->replays += count > 0;
    if (reader->open && reader->epoch == reply->epoch && reader->seq >= reply->b)
        caught_up(sim, reply->reader);
}

void sim_reader_catch_up_reply(struct sim *sim, const struct sim_message *reply)
{
    struct sim_reader *reader = &sim->readers[reply->reader];
    if (!reader->open || reader->call != reply->call)
        return;
    reader->call = 0;
    reader->heard = sim->round;
    if (reply->kind == SIM_SNAPSHOT_REPLY) {
        sim->report->snapshots++;
        reader->epoch = reply->epoch;
        reader->seq = reply->seq;
        reader->wants_snapshot = false;
        hand_on(sim, reply->reader, reply, true);
        return; // and once more, for what was published meanwhile
    }
    if (!reply->flag) {
        replay(sim, reply);
    } else if (reply->reader == SIM_SYNC_VISIONS) {
        // No snapshots: at the newest to begin with, else on from the oldest that is held.
        bool begins = reader->epoch == 0;
        reader->epoch = reply->epoch;
        reader->seq = begins ? reply->b : reply->a - 1;
        if (begins)
            caught_up(sim, reply->reader);
    } else {
        reader->wants_snapshot = true;
    }
}

void sim_readers_tick(struct sim *sim)
{
    for (uint32_t name = 0; name < SIM_READERS; name++) {
        struct sim_reader *reader = &sim->readers[name];
        if (!reader->open)
            continue;
        if (reader->call && sim->round >= reader->call_until)
            reader->call = 0;
        if (!reader->catching_up && sim->round >= reader->heard + SILENCE_ROUNDS)
            reader->catching_up = true; // perhaps the last message of all was lost
        if (reader->catching_up && !reader->call)
            ask(sim, name);
    }
}
