// Timers: an intrusive pairing heap, so that starting one needs no memory and cannot fail.
// (Source: Fredman, Sedgewick, Sleator, Tarjan, "The pairing heap", 1986.)

#include "libcommon/base/clock.h"
#include "libcommon/io/loop_internal.h"

static bool timer_before(const struct mm_loop_timer *a, const struct mm_loop_timer *b)
{
    if (a->deadline_ns != b->deadline_ns)
        return a->deadline_ns < b->deadline_ns;
    return a->serial < b->serial;
}

// Joins two heaps; both roots have no siblings. `previous` of a first child is its parent.
static struct mm_loop_timer *heap_meld(struct mm_loop_timer *a, struct mm_loop_timer *b)
{
    if (!a)
        return b;
    if (!b)
        return a;
    if (timer_before(b, a)) {
        struct mm_loop_timer *swap = a;
        a = b;
        b = swap;
    }
    b->previous = a;
    b->sibling = a->child;
    if (a->child)
        a->child->previous = b;
    a->child = b;
    return a;
}

// The two passes of the paper, without recursion.
static struct mm_loop_timer *heap_merge_siblings(struct mm_loop_timer *first)
{
    struct mm_loop_timer *pairs = NULL;
    while (first) {
        struct mm_loop_timer *a = first;
        struct mm_loop_timer *b = a->sibling;
        first = b ? b->sibling : NULL;
        a->sibling = a->previous = NULL;
        if (b)
            b->sibling = b->previous = NULL;
        struct mm_loop_timer *pair = heap_meld(a, b);
        pair->sibling = pairs;
        pairs = pair;
    }
    struct mm_loop_timer *root = NULL;
    while (pairs) {
        struct mm_loop_timer *next = pairs->sibling;
        pairs->sibling = NULL;
        root = heap_meld(root, pairs);
        pairs = next;
    }
    return root;
}

static void heap_insert(struct mm_loop *loop, struct mm_loop_timer *timer)
{
    timer->child = timer->sibling = timer->previous = NULL;
    timer->active = true;
    loop->timer_root = heap_meld(loop->timer_root, timer);
}

static void heap_remove(struct mm_loop *loop, struct mm_loop_timer *timer)
{
    struct mm_loop_timer *orphans = heap_merge_siblings(timer->child);
    if (timer == loop->timer_root) {
        loop->timer_root = orphans;
    } else {
        if (timer->previous->child == timer)
            timer->previous->child = timer->sibling;
        else
            timer->previous->sibling = timer->sibling;
        if (timer->sibling)
            timer->sibling->previous = timer->previous;
        loop->timer_root = heap_meld(loop->timer_root, orphans);
    }
    timer->child = timer->sibling = timer->previous = NULL;
    timer->active = false;
}

void mm_loop_timer_init(struct mm_loop_timer *timer, mm_loop_timer_fn fn, void *arg)
{
    *timer = (struct mm_loop_timer){.fn = fn, .arg = arg};
}

void mm_loop_timer_start_at(struct mm_loop *loop, struct mm_loop_timer *timer, uint64_t deadline_ns,
                            uint64_t period_ns)
{
    loop_check_thread(loop);
    MM_CHECK(timer->fn);
    if (timer->active)
        heap_remove(loop, timer);
    timer->deadline_ns = deadline_ns;
    timer->period_ns = period_ns;
    timer->serial = loop->timer_serial++;
    timer->expirations = 0;
    heap_insert(loop, timer);
}

void mm_loop_timer_start(struct mm_loop *loop, struct mm_loop_timer *timer, uint64_t delay_ns,
                         uint64_t period_ns)
{
    // The real now: the turn's own time may lie behind by the length of a long callback.
    mm_loop_timer_start_at(loop, timer, mm_clock_ns() + delay_ns, period_ns);
}

void mm_loop_timer_stop(struct mm_loop *loop, struct mm_loop_timer *timer)
{
    loop_check_thread(loop);
    if (timer->active)
        heap_remove(loop, timer);
}

void loop_timers_run(struct mm_loop *loop)
{
    uint64_t due_ns = loop->now_ns;
    // A timer started by a callback of this pass, even with a deadline in the past, waits for the
    // next turn: a timer that restarts itself cannot keep fds from their turn.
    uint64_t serial_end = loop->timer_serial;
    for (;;) {
        struct mm_loop_timer *timer = loop->timer_root;
        if (!timer || timer->deadline_ns > due_ns || timer->serial >= serial_end)
            return;
        uint64_t late_ns = due_ns - timer->deadline_ns;
        if (late_ns > loop->stats.timer_late_max_ns)
            loop->stats.timer_late_max_ns = late_ns;
        heap_remove(loop, timer);
        timer->expirations = 1;
        if (timer->period_ns > 0) {
            // Re-armed before the call, so that the callback may stop or restart it.
            timer->expirations += late_ns / timer->period_ns;
            timer->deadline_ns += timer->expirations * timer->period_ns;
            heap_insert(loop, timer);
        }
        timer->fn(loop, timer, timer->arg);
        loop->stats.timers++;
        loop_callback_done(loop);
    }
}
