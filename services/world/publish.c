#include "services/world/shell.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/clock.h"
#include "libcommon/base/hash.h"
#include "libcommon/base/log.h"
#include "libcommon/io/pb.h"
#include <inttypes.h>

// Publication: in tick order, at even distances, and never before the tick's row is committed.
// Whoever looks at the state meanwhile is told when it has become public.

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

void world_publish_give_up(struct world_shell *shell)
{
    mm_loop_timer_stop(shell->loop, &shell->publish_timer);
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

static void tell_snapshot(struct world_shell *shell, struct world_waiter *waiter, uint64_t seq)
{
    (void)shell;
    if (seq == 0 && shell->pending_count > 0)
        mm_stream_snapshot_fail(waiter->subject, MM_UNAVAILABLE, "the session is ending");
    else
        mm_stream_snapshot_reply_bytes(waiter->subject, seq, waiter->tick, waiter->content,
                                       waiter->content_len);
}

// The state as it is now, told when its tick is published: never newer than that, never older.
static void on_snapshot(void *arg, struct mm_stream_snapshot *snapshot, const uint8_t *filter,
                        size_t filter_len)
{
    (void)filter;
    (void)filter_len;
    struct world_shell *shell = arg;
    mm_arena_reset(shell->tick_arena);
    Mmorts__Frame__TickFrame *frame = world_snapshot_frame(shell->world, shell->tick_arena);
    struct world_waiter waiter = {.tell = tell_snapshot, .subject = snapshot};
    uint8_t *bytes = NULL;
    enum mm_err err =
        frame ? mm_pb_pack(&frame->base, MM_RPC_REPLY_BYTES_MAX, &bytes, &waiter.content_len)
              : MM_RESOURCE_EXHAUSTED;
    if (err != MM_OK) {
        mm_stream_snapshot_fail(snapshot, err, "the snapshot is too large");
        return;
    }
    waiter.content = bytes;
    world_publish_wait(shell, &waiter);
}

enum mm_err world_publish_open(struct world_shell *shell)
{
    // Epochs of different databases must differ too: a reader may have known another one.
    mm_loop_timer_init(&shell->publish_timer, on_time, shell);
    uint64_t epoch = mm_mix64(mm_mix64(world_seed(shell->world)) ^ shell->epoch);
    struct mm_stream_publisher_options options = {
        .stream = "tick",
        .session = mm_service_session(shell->service),
        .epoch = epoch ? epoch : 1,
        .snapshot = on_snapshot,
        .arg = shell,
    };
    return mm_stream_publisher_open(mm_service_stream_hub(shell->service), &options,
                                    &shell->publisher);
}
