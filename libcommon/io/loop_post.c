// How other threads reach the loop, and how the loop defers work to the end of its turn.

#include "libcommon/io/loop_internal.h"

#include <unistd.h>

void mm_loop_task_init(struct mm_loop_task *task, mm_loop_task_fn fn, void *arg)
{
    task->fn = fn;
    task->arg = arg;
    task->next = task->previous = NULL;
    atomic_init(&task->queued, false);
}

void mm_loop_defer(struct mm_loop *loop, struct mm_loop_task *task)
{
    loop_check_thread(loop);
    if (atomic_load_explicit(&task->queued, memory_order_relaxed))
        return;
    atomic_store_explicit(&task->queued, true, memory_order_relaxed);
    loop_list_append(&loop->deferred, task);
}

void mm_loop_defer_cancel(struct mm_loop *loop, struct mm_loop_task *task)
{
    loop_check_thread(loop);
    if (!atomic_load_explicit(&task->queued, memory_order_relaxed))
        return;
    loop_list_unlink(task);
    atomic_store_explicit(&task->queued, false, memory_order_relaxed);
}

// One system call wakes the loop however many post before it gets up: the flag is cleared by the
// loop before it empties the queues, so a post is either seen there or finds the flag clear.
void loop_wake(struct mm_loop *loop)
{
    if (atomic_exchange_explicit(&loop->wake_pending, true, memory_order_acq_rel))
        return;
    uint64_t one = 1;
    // The only failure is a counter near its maximum, which wakes the loop just as well.
    ssize_t written = write(loop->wake_fd, &one, sizeof one);
    (void)written;
}

void mm_loop_post_task(struct mm_loop *loop, struct mm_loop_task *task)
{
    if (atomic_exchange_explicit(&task->queued, true, memory_order_acq_rel))
        return;
    // The loop always takes the whole stack, so a task cannot come back under a pusher (no ABA).
    struct mm_loop_task *head = atomic_load_explicit(&loop->posted_stack, memory_order_relaxed);
    do {
        task->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&loop->posted_stack, &head, task,
                                                    memory_order_release, memory_order_relaxed));
    loop_wake(loop);
}

enum mm_err mm_loop_post(struct mm_loop *loop, mm_loop_task_fn fn, void *arg)
{
    struct loop_post post = {fn, arg};
    if (!mm_mpsc_push(loop->post_ring, &post)) {
        atomic_fetch_add_explicit(&loop->posts_refused, 1, memory_order_relaxed);
        return MM_RESOURCE_EXHAUSTED;
    }
    loop_wake(loop);
    return MM_OK;
}

// Moves what was pushed (newest first) behind what already waits, oldest first.
static void posted_stack_take(struct mm_loop *loop)
{
    if (!atomic_load_explicit(&loop->posted_stack, memory_order_relaxed))
        return;
    struct mm_loop_task *task =
        atomic_exchange_explicit(&loop->posted_stack, NULL, memory_order_acquire);
    struct mm_loop_task *oldest_first = NULL;
    while (task) {
        struct mm_loop_task *next = task->next;
        task->next = oldest_first;
        oldest_first = task;
        task = next;
    }
    while (oldest_first) {
        struct mm_loop_task *next = oldest_first->next;
        loop_list_append(&loop->posted, oldest_first);
        oldest_first = next;
    }
}

void mm_loop_post_cancel(struct mm_loop *loop, struct mm_loop_task *task)
{
    loop_check_thread(loop);
    if (!atomic_load_explicit(&task->queued, memory_order_acquire))
        return;
    posted_stack_take(loop);
    loop_list_unlink(task);
    atomic_store_explicit(&task->queued, false, memory_order_relaxed);
}

static void wake_clear(struct mm_loop *loop)
{
    if (!atomic_load_explicit(&loop->wake_pending, memory_order_relaxed))
        return;
    // Empties the eventfd first: a write that comes between the two finds the flag set by its own
    // poster, and costs one idle turn at most.
    uint64_t count;
    ssize_t got = read(loop->wake_fd, &count, sizeof count);
    (void)got;
    (void)atomic_exchange_explicit(&loop->wake_pending, false, memory_order_acq_rel);
}

void loop_posts_run(struct mm_loop *loop)
{
    wake_clear(loop);
    posted_stack_take(loop);
    uint32_t budget = loop->options.posts_per_turn_max;
    struct loop_post post;
    while (budget > 0 && !loop_list_is_empty(&loop->posted)) {
        struct mm_loop_task *task = loop->posted.next;
        loop_list_unlink(task);
        // From here on it may be posted again. Pairs with the exchange in mm_loop_post_task: what
        // was written before a post that found the task still queued is visible to this run.
        (void)atomic_exchange_explicit(&task->queued, false, memory_order_acq_rel);
        task->fn(loop, task->arg);
        loop->stats.posts++;
        budget--;
        loop_callback_done(loop);
    }
    while (budget > 0 && mm_mpsc_pop(loop->post_ring, &post)) {
        post.fn(loop, post.arg);
        loop->stats.posts++;
        budget--;
        loop_callback_done(loop);
    }
    loop->posts_left = budget == 0;
}
