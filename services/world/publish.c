#include "services/world/shell.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/clock.h"
#include "libcommon/base/hash.h"
#include "libcommon/base/log.h"
#include "libcommon/io/pb.h"
#include <inttypes.h>
#include <string.h>

// Publication: in tick order, at even distances, and never before the tick's row is committed.
// Whoever looks at the state meanwhile is told when it has become public.

// After a picture there is none for four times as long as it took: they take a fifth of the loop's
// time at most; but for no longer than that.
enum { PICTURE_REST = 4, PICTURE_REST_MS_MAX = 5000 };

// A minute of ticks; or, where 100,000 move in every tick, 18 s, in which a reader that was killed
// has to be back to lose nothing.
#define RING_BYTES_MAX ((size_t)256 << 20)

static void free_waiter(struct world_waiter *waiter)
{
    mm_free(waiter->content);
    mm_free(waiter);
}

static bool ready(const struct world_shell *shell, const struct world_pending *pending)
{
    return !pending->journaled || pending->tick <= shell->committed_tick;
}

static void publish_one(struct world_shell *shell, uint64_t now_ns)
{
    struct world_pending *pending = &shell->pending[shell->pending_first];
    MM_CHECK(pending->tick == shell->published_tick + 1);
    mm_metrics_observe(shell->figures.publish_seconds, (now_ns - pending->due_ns) / 1000);
    uint64_t seq = mm_stream_publish_bytes(shell->publisher, pending->tick, pending->frame.data,
                                           pending->frame.len);
    shell->published_tick = pending->tick;
    shell->published_hash = pending->state_hash;
    shell->bills.floor = pending->bill_floor;
    shell->bills.next = pending->bill_next;
    struct world_call *calls = pending->calls;
    struct world_waiter *waiters = pending->waiters;
    pending->calls = NULL;
    pending->waiters = NULL;
    shell->pending_first = (shell->pending_first + 1) % shell->pending_capacity;
    shell->pending_count--;
    while (calls) {
        struct world_call *call = calls;
        calls = call->next;
        call->answer(shell, call);
        world_call_free(call);
    }
    while (waiters) {
        struct world_waiter *waiter = waiters;
        waiters = waiter->next;
        waiter->tell(shell, waiter, seq);
        free_waiter(waiter);
    }
}

static void on_time(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop;
    (void)timer;
    world_publish_ready(arg);
}

void world_publish_ready(struct world_shell *shell)
{
    uint64_t now_ns = mm_clock_ns();
    while (shell->pending_count > 0) {
        const struct world_pending *oldest = &shell->pending[shell->pending_first];
        if (!ready(shell, oldest))
            break;
        uint64_t at_ns = shell->stopping ? 0 : oldest->due_ns + shell->phase.ns;
        if (now_ns < at_ns) {
            mm_loop_timer_start_at(shell->loop, &shell->publish_timer, at_ns, 0);
            break;
        }
        publish_one(shell, now_ns);
    }
    world_bills_ask(shell);
    world_saves_kick(shell);
}

void world_publish_committed(struct world_shell *shell, uint64_t tick)
{
    uint64_t now_ns = mm_clock_ns();
    for (size_t i = 0; i < shell->pending_count; i++) {
        const struct world_pending *pending =
            &shell->pending[(shell->pending_first + i) % shell->pending_capacity];
        if (pending->journaled && pending->tick > shell->committed_tick && pending->tick <= tick)
            world_phase_learn(&shell->phase,
                              now_ns > pending->due_ns ? now_ns - pending->due_ns : 0,
                              MM_LOOP_MS((uint64_t)shell->settings.even_ms));
    }
    shell->committed_tick = tick;
}

void world_publish_wait(struct world_shell *shell, const struct world_waiter *waiter)
{
    struct world_pending *newest = world_pending_newest(shell);
    struct world_waiter *copy = mm_malloc(sizeof *copy);
    MM_CHECK(copy);
    *copy = *waiter;
    copy->tick = world_tick(shell->world);
    if (newest) {
        copy->next = newest->waiters;
        newest->waiters = copy;
    } else {
        copy->tell(shell, copy, mm_stream_publisher_seq(shell->publisher));
        free_waiter(copy);
    }
}

static void fail_asked(struct world_shell *shell, enum mm_err err, const char *message)
{
    for (size_t i = 0; i < shell->pictures.asked_count; i++)
        mm_stream_snapshot_fail(shell->pictures.asked[i], err, message);
    shell->pictures.asked_count = 0;
}

void world_publish_give_up(struct world_shell *shell)
{
    mm_loop_timer_stop(shell->loop, &shell->publish_timer);
    mm_loop_timer_stop(shell->loop, &shell->pictures.timer);
    fail_asked(shell, MM_UNAVAILABLE, "the session is ending");
    while (shell->calls) {
        struct world_call *call = shell->calls;
        shell->calls = call->next;
        world_call_refuse(call, MM_UNAVAILABLE, "the session is ending");
    }
    shell->calls_tail = &shell->calls;
    for (size_t i = 0; i < shell->pending_count; i++) {
        struct world_pending *pending =
            &shell->pending[(shell->pending_first + i) % shell->pending_capacity];
        while (pending->calls) {
            struct world_call *call = pending->calls;
            pending->calls = call->next;
            world_call_refuse(call, MM_UNAVAILABLE, "the session is ending");
        }
        while (pending->waiters) {
            struct world_waiter *waiter = pending->waiters;
            pending->waiters = waiter->next;
            waiter->tell(shell, waiter, 0);
            free_waiter(waiter);
        }
    }
}

// --- snapshots of the stream --------------------------------------------------------------------

// One picture for all who asked meanwhile.
struct picture {
    size_t count;
    struct mm_stream_snapshot *subjects[MM_STREAM_SNAPSHOTS_MAX];
};

static void tell_snapshot(struct world_shell *shell, struct world_waiter *waiter, uint64_t seq)
{
    struct picture *picture = waiter->subject;
    for (size_t i = 0; i < picture->count; i++) {
        if (seq == 0 && shell->pending_count > 0)
            mm_stream_snapshot_fail(picture->subjects[i], MM_UNAVAILABLE, "the session is ending");
        else
            mm_stream_snapshot_reply_bytes(picture->subjects[i], seq, waiter->tick, waiter->content,
                                           waiter->content_len);
        (void)mm_progress_step(mm_loop_progress(shell->loop));
    }
    mm_free(picture);
}

// The state as it is now, told when its tick is published: never newer than that, never older.
static enum mm_err take_picture(struct world_shell *shell)
{
    struct picture *picture = mm_calloc(1, sizeof *picture);
    mm_arena_reset(shell->tick_arena);
    Mmorts__Frame__TickFrame *frame =
        picture ? world_snapshot_frame(shell->world, shell->tick_arena) : NULL;
    struct world_waiter waiter = {.tell = tell_snapshot, .subject = picture};
    uint8_t *bytes = NULL;
    enum mm_err err =
        frame ? mm_pb_pack(&frame->base, MM_RPC_REPLY_BYTES_MAX, &bytes, &waiter.content_len)
              : MM_RESOURCE_EXHAUSTED;
    if (err != MM_OK) {
        mm_free(picture);
        return err;
    }
    (void)mm_progress_step(mm_loop_progress(shell->loop));
    picture->count = shell->pictures.asked_count;
    memcpy(picture->subjects, shell->pictures.asked, sizeof picture->subjects);
    shell->pictures.asked_count = 0;
    waiter.content = bytes;
    world_publish_wait(shell, &waiter);
    return MM_OK;
}

static void on_picture(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop;
    (void)timer;
    struct world_shell *shell = arg;
    uint64_t began_ns = mm_clock_ns();
    if (take_picture(shell) != MM_OK)
        fail_asked(shell, MM_RESOURCE_EXHAUSTED, "the snapshot is too large");
    uint64_t end_ns = mm_clock_ns();
    uint64_t rest_ns = PICTURE_REST * (end_ns - began_ns),
             most_ns = MM_LOOP_MS(PICTURE_REST_MS_MAX);
    shell->pictures.next_ns = end_ns + (rest_ns < most_ns ? rest_ns : most_ns);
    mm_metrics_observe(shell->figures.picture_seconds, (end_ns - began_ns) / 1000);
}

// In a large world a picture takes as long as several ticks. So who asks soon after one waits a
// little, with everybody who does: when all readers come at once, as after a restart, it is made
// once or twice and not for each.
static void on_snapshot(void *arg, struct mm_stream_snapshot *snapshot, const uint8_t *filter,
                        size_t filter_len)
{
    (void)filter;
    (void)filter_len;
    struct world_shell *shell = arg;
    MM_CHECK(shell->pictures.asked_count < MM_STREAM_SNAPSHOTS_MAX); // the publisher has no more
    shell->pictures.asked[shell->pictures.asked_count++] = snapshot;
    if (!shell->pictures.timer.active)
        mm_loop_timer_start_at(shell->loop, &shell->pictures.timer, shell->pictures.next_ns, 0);
}

enum mm_err world_publish_open(struct world_shell *shell)
{
    // Epochs of different databases must differ too: a reader may have known another one.
    mm_loop_timer_init(&shell->publish_timer, on_time, shell);
    mm_loop_timer_init(&shell->pictures.timer, on_picture, shell);
    uint64_t epoch = mm_mix64(mm_mix64(world_seed(shell->world)) ^ shell->epoch);
    struct mm_stream_publisher_options options = {
        .stream = "tick",
        .session = mm_service_session(shell->service),
        .epoch = epoch ? epoch : 1,
        .ring_bytes_max = RING_BYTES_MAX,
        .snapshot = on_snapshot,
        .arg = shell,
    };
    return mm_stream_publisher_open(mm_service_stream_hub(shell->service), &options,
                                    &shell->publisher);
}
