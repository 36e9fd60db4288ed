#include "tests/sim/sim_internal.h"

#include "gen/vision.pb-c.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Parts of the vision stream, in the seeds where sync reads only what concerns its own empires: at
// vision's end what services/vision/serve.c does around core/subscribers.h, at sync's what
// services/sync/serving.c does around core/served.h and libcommon/io/stream_follower.h, which asks
// with Replay calls that wait. Each life of sync is a subscriber of its own; those of former lives
// are left to their leases.

enum { LEASE_ROUNDS = 60, LOOK_ROUNDS = 15, SUBSCRIBERS_MAX = 2 };
enum { WAIT_ROUNDS = 20, CALL_ROUNDS = 60, RETRY_ROUNDS_MAX = 6 };

struct sim_part {
    struct sim_publisher publisher;
    uint64_t reads;
    uint64_t revision; // of the frame before
};

// --- at vision -----------------------------------------------------------------------------------

void sim_parts_open(struct sim *sim)
{
    if (!sim->parts)
        return;
    sim->vision.subscribers = vision_subscribers_new(SUBSCRIBERS_MAX, SIM_EMPIRES);
    if (!sim->vision.subscribers)
        abort();
    mm_vec_init(&sim->vision.waiting, 1 << 10);
}

static void drop(struct sim *sim, struct vision_subscriber *subscriber)
{
    struct sim_part *part = subscriber->stream;
    sim_publisher_clear(&part->publisher);
    free(part);
    vision_subscribers_drop(sim->vision.subscribers, subscriber);
}

void sim_parts_close(struct sim *sim)
{
    struct sim_vision *vision = &sim->vision;
    if (!vision->subscribers)
        return;
    while (vision_subscribers_count(vision->subscribers) > 0)
        drop(sim, vision_subscribers_at(vision->subscribers, 0));
    vision_subscribers_free(vision->subscribers);
    vision->subscribers = NULL;
    mm_vec_free(&vision->waiting);
}

static void name_of(uint64_t life, char out[VISION_SUBSCRIBER_BYTES_MAX + 1])
{
    snprintf(out, VISION_SUBSCRIBER_BYTES_MAX + 1, "sync-%llu", (unsigned long long)life);
}

static struct vision_subscriber *find(const struct sim *sim, uint64_t life)
{
    const struct vision_subscribers *all = sim->vision.subscribers;
    char name[VISION_SUBSCRIBER_BYTES_MAX + 1];
    name_of(life, name);
    for (size_t i = 0; i < vision_subscribers_count(all); i++)
        if (strcmp(vision_subscribers_at(all, i)->name, name) == 0)
            return vision_subscribers_at(all, i);
    return NULL;
}

static void push_empty(struct sim_part *part, uint64_t tick)
{
    Mmorts__Frame__VisionFrame frame = MMORTS__FRAME__VISION_FRAME__INIT;
    frame.tick = tick;
    sim_publisher_push(&part->publisher, tick, sim_bytes_of(&frame.base));
}

static void begin_stream(struct sim *sim, struct vision_subscriber *subscriber)
{
    struct sim_part *part = subscriber->stream;
    if (!part)
        subscriber->stream = part = calloc(1, sizeof *part);
    if (!part)
        abort();
    sim_publisher_clear(&part->publisher);
    part->publisher.epoch = sim_vision_epoch(sim);
    part->reads = subscriber->reads_seen = 0;
    push_empty(part, vision_tick(sim->vision.core));
}

static void answer(struct sim *sim, const struct sim_message *call)
{
    const struct vision_subscriber *subscriber = find(sim, call->a);
    struct sim_message reply = {.kind = SIM_FOLLOW_REPLY,
                                .from = SIM_VISION,
                                .to = SIM_SYNC,
                                .call = call->call,
                                .flag = subscriber != NULL};
    if (subscriber) {
        const struct sim_publisher *publisher =
            &((const struct sim_part *)subscriber->stream)->publisher;
        reply.epoch = publisher->epoch;
        reply.a = sim_publisher_oldest(publisher);
        reply.b = publisher->seq;
        if (call->epoch == publisher->epoch && call->seq >= reply.a)
            reply.bytes = sim_replay_pack(publisher, call->seq);
    }
    sim_send(sim, reply);
}

// Those whose time is over, or for whom there is something new.
static void answer_waiting(struct sim *sim)
{
    struct sim_vision *vision = &sim->vision;
    for (size_t i = vision->waiting.count; i-- > 0;) {
        struct sim_message call = vision->waiting.items[i];
        const struct vision_subscriber *subscriber = find(sim, call.a);
        const struct sim_part *part = subscriber ? subscriber->stream : NULL;
        if (part && part->publisher.epoch == call.epoch && part->publisher.seq < call.seq &&
            sim->round < call.tick)
            continue;
        mm_vec_remove_swap(&vision->waiting, i);
        answer(sim, &call);
    }
}

// Replay, by one who waits if there is nothing new yet.
static void follow(struct sim *sim, const struct sim_message *message)
{
    const struct vision_subscriber *subscriber = find(sim, message->a);
    struct sim_part *part = subscriber ? subscriber->stream : NULL;
    if (!part) {
        answer(sim, message);
        return;
    }
    part->reads++;
    struct sim_message call = *message;
    call.tick = sim->round + WAIT_ROUNDS;
    if (part->publisher.epoch != call.epoch || part->publisher.seq >= call.seq)
        answer(sim, &call);
    else if (!mm_vec_push(&sim->vision.waiting, call))
        abort();
}

static void serve(struct sim *sim, const struct sim_message *message)
{
    struct sim_vision *vision = &sim->vision;
    struct sim_message reply = {
        .kind = SIM_SERVE_REPLY, .from = SIM_VISION, .to = SIM_SYNC, .call = message->call};
    Mmorts__Vision__ServeRequest *request =
        mmorts__vision__serve_request__unpack(NULL, message->bytes->len, message->bytes->data);
    struct vision_subscriber *subscriber = find(sim, message->a);
    if (sim->options.fault == SIM_FAULT_OLDER_SET_WINS && subscriber &&
        request->revision < subscriber->revision)
        request->revision = subscriber->revision + 1;
    char why[VISION_SUBSCRIBER_WHY_BYTES];
    if (vision->core && sim->publishers[SIM_VISIONS].epoch) {
        enum mm_err err =
            vision_subscribers_serve(vision->subscribers, request, sim->round, &subscriber, why);
        sim->report->serves += err == MM_OK;
        sim->report->serves_older += err == MM_FAILED_PRECONDITION;
        sim->report->serves_full += err == MM_RESOURCE_EXHAUSTED;
        reply.flag = err == MM_OK;
        if (err == MM_OK && !subscriber->stream)
            begin_stream(sim, subscriber);
        if (err == MM_INVALID_ARGUMENT)
            sim_fail(sim, "vision refused what is served: %s", why);
    }
    mmorts__vision__serve_request__free_unpacked(request, NULL);
    sim_send(sim, reply);
}

void sim_parts_take(struct sim *sim, const struct sim_message *message)
{
    if (message->kind == SIM_SERVE)
        serve(sim, message);
    else if (message->kind == SIM_FOLLOW)
        follow(sim, message);
}

const struct sim_publisher *sim_parts_of_view(struct sim *sim, const struct sim_message *message)
{
    const char *why;
    char name[VISION_SUBSCRIBER_BYTES_MAX + 1];
    name_of(message->units[0], name);
    const struct vision_subscriber *subscriber =
        sim->options.fault == SIM_FAULT_SET_NOT_AWAITED
            ? find(sim, message->units[0])
            : vision_subscribers_for_view(sim->vision.subscribers, name, message->units[1],
                                          (uint32_t)message->a, &why);
    sim->report->views_early += !subscriber;
    return subscriber ? &((const struct sim_part *)subscriber->stream)->publisher : NULL;
}

void sim_parts_restart(struct sim *sim)
{
    struct vision_subscribers *all = sim->vision.subscribers;
    for (size_t i = 0; all && i < vision_subscribers_count(all); i++)
        begin_stream(sim, vision_subscribers_at(all, i));
    if (all)
        answer_waiting(sim);
}

void sim_parts_frame(struct sim *sim, const Mmorts__Frame__VisionFrame *frame)
{
    struct vision_subscribers *all = sim->vision.subscribers;
    if (!all)
        return;
    for (size_t i = 0; i < vision_subscribers_count(all); i++) {
        struct vision_subscriber *subscriber = vision_subscribers_at(all, i);
        struct sim_part *part = subscriber->stream;
        struct vision_cut cut = vision_subscribers_cut(all, subscriber, frame);
        if (!cut.bytes)
            abort();
        sim->report->parts++;
        sim->report->parts_shared += !cut.fresh;
        if (sim->options.fault == SIM_FAULT_SET_IN_EFFECT_LATE &&
            part->revision != subscriber->revision)
            push_empty(part, frame->tick);
        else
            sim_publisher_push(&part->publisher, frame->tick, sim_bytes_new(cut.bytes, cut.len));
        part->revision = subscriber->revision;
    }
    vision_subscribers_next_frame(all);
    answer_waiting(sim);
}

void sim_parts_round(struct sim *sim)
{
    struct vision_subscribers *all = sim->vision.subscribers;
    if (!all)
        return;
    answer_waiting(sim);
    for (size_t i = sim->round % LOOK_ROUNDS ? 0 : vision_subscribers_count(all); i-- > 0;) {
        struct vision_subscriber *subscriber = vision_subscribers_at(all, i);
        const struct sim_part *part = subscriber->stream;
        if (vision_subscriber_is_read(subscriber, part->reads, sim->round, LEASE_ROUNDS))
            continue;
        sim->report->leases++;
        drop(sim, subscriber);
    }
}

// --- at sync -------------------------------------------------------------------------------------

void sim_serving_start(struct sim *sim)
{
    sim->sync.serving = (struct sim_serving){.served = sync_served_new()};
}

static void tell(struct sim *sim)
{
    struct sim_serving *serving = &sim->sync.serving;
    uint32_t empires[SIM_EMPIRES];
    char name[VISION_SUBSCRIBER_BYTES_MAX + 1];
    name_of(sim->sync.life, name);
    Mmorts__Vision__ServeRequest request = MMORTS__VISION__SERVE_REQUEST__INIT;
    request.subscriber = name;
    request.revision = serving->served.revision;
    request.n_empires = sync_core_empires(&sim->sync.core, empires);
    request.empires = empires;
    sync_served_tell(&serving->served);
    serving->tell_call = ++sim->calls;
    serving->tell_until = sim->round + CALL_ROUNDS;
    struct sim_message call = {.kind = SIM_SERVE,
                               .from = SIM_SYNC,
                               .to = SIM_VISION,
                               .call = serving->tell_call,
                               .a = sim->sync.life,
                               .bytes = sim_bytes_of(&request.base)};
    // Now and then it lies somewhere on its way, and is sent again.
    if (!sim->calm && sim_chance(sim, 3000)) {
        struct sim_message late = call;
        late.bytes = sim_bytes_hold(call.bytes);
        late.late_rounds = 1 + (uint32_t)sim_below(sim, 40);
        sim_send(sim, late);
    }
    sim_send(sim, call);
}

static void told(struct sim *sim, bool ok)
{
    struct sim_serving *serving = &sim->sync.serving;
    serving->tell_call = 0;
    sync_served_told(&serving->served, ok);
    if (ok)
        serving->follow_at = sim->round; // the follower hurries
    else
        serving->tell_at = sim->round + 1;
}

static void ask_on(struct sim *sim)
{
    struct sim_serving *serving = &sim->sync.serving;
    serving->follow_call = ++sim->calls;
    serving->follow_until = sim->round + CALL_ROUNDS;
    sim_send(sim, (struct sim_message){.kind = SIM_FOLLOW,
                                       .from = SIM_SYNC,
                                       .to = SIM_VISION,
                                       .call = serving->follow_call,
                                       .a = sim->sync.life,
                                       .epoch = serving->epoch,
                                       .seq = serving->seq + 1});
}

static void ask_later(struct sim *sim)
{
    struct sim_serving *serving = &sim->sync.serving;
    serving->follow_call = 0;
    serving->retry_rounds = serving->retry_rounds ? 2 * serving->retry_rounds : 1;
    if (serving->retry_rounds > RETRY_ROUNDS_MAX)
        serving->retry_rounds = RETRY_ROUNDS_MAX;
    serving->follow_at = sim->round + serving->retry_rounds;
}

static void followed(struct sim *sim, const struct sim_message *reply)
{
    struct sim_serving *serving = &sim->sync.serving;
    if (!reply->flag) {
        sim->report->unknown++;
        sync_served_lose(&serving->served);
        ask_later(sim);
        return;
    }
    serving->retry_rounds = 0;
    if (!reply->bytes) {
        serving->epoch = reply->epoch;
        serving->seq = serving->started ? reply->a - 1 : reply->b;
        serving->started = true;
    }
    for (size_t at = 0; reply->bytes && at < reply->bytes->len;) {
        struct sim_message message = {.epoch = reply->epoch};
        at = sim_replay_next(reply->bytes, at, &message);
        if (message.seq == serving->seq + 1) {
            serving->seq = message.seq;
            sim_sync_vision(sim, &message);
        }
        sim_bytes_drop(message.bytes);
    }
    ask_on(sim);
}

void sim_serving_take(struct sim *sim, const struct sim_message *reply)
{
    const struct sim_serving *serving = &sim->sync.serving;
    if (reply->kind == SIM_SERVE_REPLY && reply->call == serving->tell_call)
        told(sim, reply->flag);
    else if (reply->kind == SIM_FOLLOW_REPLY && reply->call == serving->follow_call)
        followed(sim, reply);
}

void sim_serving_round(struct sim *sim)
{
    struct sim_serving *serving = &sim->sync.serving;
    if (!sim->parts)
        return;
    if (serving->tell_call && sim->round >= serving->tell_until)
        told(sim, false);
    if (sync_served_is_due(&serving->served) && sim->round >= serving->tell_at)
        tell(sim);
    if (serving->follow_call && sim->round >= serving->follow_until)
        ask_later(sim);
    if (!serving->follow_call && sim->round >= serving->follow_at)
        ask_on(sim);
}
