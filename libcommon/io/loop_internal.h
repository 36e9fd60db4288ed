#ifndef MM_IO_LOOP_INTERNAL_H
#define MM_IO_LOOP_INTERNAL_H

// Shared by loop.c, loop_timer.c and loop_post.c; nobody else includes this.

#include "libcommon/base/check.h"
#include "libcommon/base/progress.h"
#include "libcommon/base/ring.h"
#include "libcommon/io/loop.h"

#include <stdatomic.h>

#define LOOP_SIGNALS_MAX 65

struct loop_fd {
    mm_loop_fd_fn fn;
    void *arg;
    uint32_t generation; // tells an event of an earlier registration from one of the present
    uint8_t events;
    bool used;
    bool in_epoll;
};

struct loop_signal {
    mm_loop_signal_fn fn;
    void *arg;
};

struct loop_post {
    mm_loop_task_fn fn;
    void *arg;
};

struct mm_loop {
    int epoll_fd;
    int wake_fd;
    int signal_fd; // -1 until the first mm_loop_signal
    struct mm_loop_options options;

    struct loop_fd *fds; // indexed by fd
    size_t fd_capacity;
    struct epoll_event *events; // events_per_turn_max of them

    struct mm_loop_timer *timer_root;
    uint64_t timer_serial;

    struct mm_loop_task deferred; // sentinel of a circular list

    // Other threads push onto the stack and the ring; the loop moves the stack's tasks, oldest
    // first, to `posted`.
    _Atomic(struct mm_loop_task *) posted_stack;
    struct mm_loop_task posted; // sentinel
    struct mm_mpsc *post_ring;
    bool posts_left; // the last turn stopped at posts_per_turn_max
    _Atomic bool wake_pending;
    _Atomic uint64_t posts_refused;

    struct loop_signal signals[LOOP_SIGNALS_MAX];

    uint64_t now_ns;
    struct mm_loop_stats stats;
    struct mm_progress progress; // its steps are the heartbeat
    _Atomic bool stop;
    _Atomic bool running;
};

// Proves that the caller is the loop's thread (while it runs).
void loop_check_thread(const struct mm_loop *loop);

// Accounts for the callback that has just returned.
void loop_callback_done(struct mm_loop *loop);

// loop_timer.c
void loop_timers_run(struct mm_loop *loop);

// loop_post.c
void loop_posts_run(struct mm_loop *loop);
void loop_wake(struct mm_loop *loop);

static inline void loop_list_init(struct mm_loop_task *sentinel)
{
    sentinel->next = sentinel->previous = sentinel;
}

static inline bool loop_list_is_empty(const struct mm_loop_task *sentinel)
{
    return sentinel->next == sentinel;
}

static inline void loop_list_append(struct mm_loop_task *sentinel, struct mm_loop_task *task)
{
    task->previous = sentinel->previous;
    task->next = sentinel;
    sentinel->previous->next = task;
    sentinel->previous = task;
}

static inline void loop_list_unlink(struct mm_loop_task *task)
{
    task->previous->next = task->next;
    task->next->previous = task->previous;
    task->next = task->previous = NULL;
}

#endif
