#ifndef MM_IO_LOOP_H
#define MM_IO_LOOP_H

#include "libcommon/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The event loop: one thread owns it and all state that hangs on it. Everything below must be
// called on the loop's thread (before mm_loop_run: on the thread that made it) unless the
// declaration says "any thread". The order of one turn stands in loop_turn() in loop.c:
//
//   sleep -> timers that are due -> ready fds -> posts from other threads -> deferred tasks
//
// Times are CLOCK_MONOTONIC nanoseconds.

struct mm_loop;
struct mm_progress;

struct mm_loop_options {
    uint32_t events_per_turn_max; // ready fds handled in one turn; default 1024
    uint32_t posts_max;           // slots of the mm_loop_post ring, power of two; default 4096
    uint32_t posts_per_turn_max;  // posts run in one turn, the rest wait for the next; default 4096
};

// Makes a loop. options may be NULL; a zero field means its default.
MM_MUST_USE enum mm_err mm_loop_create(const struct mm_loop_options *options, struct mm_loop **out);

// Frees the loop. Fds are not closed, pending timers, tasks and posts are dropped uncalled, so
// whoever owns them must be torn down before. NULL is allowed.
void mm_loop_destroy(struct mm_loop *loop);

// Runs turns until mm_loop_stop. May be called again afterwards.
void mm_loop_run(struct mm_loop *loop);

// Runs turns, one at least, until *done, mm_loop_stop or the time-out; returns *done. For tests and
// tools. Neither this nor mm_loop_run may be called inside a callback.
bool mm_loop_run_until(struct mm_loop *loop, const bool *done, uint32_t timeout_ms);

// Makes mm_loop_run return at the end of the current turn (at once, if it is not running). Any
// thread.
void mm_loop_stop(struct mm_loop *loop);

// The time at which the callback that is running was called. Costs no clock reading.
uint64_t mm_loop_now_ns(const struct mm_loop *loop);

// --- file descriptors -------------------------------------------------------------------------

#define MM_LOOP_READ  1u
#define MM_LOOP_WRITE 2u

// events holds what is ready of what was asked for. An error or hang-up is reported as everything
// that was asked for: the following read or write tells which.
typedef void (*mm_loop_fd_fn)(struct mm_loop *loop, int fd, unsigned events, void *arg);

// Watches fd, level triggered. events: MM_LOOP_READ, MM_LOOP_WRITE, both, or 0 (known, but not
// watched: not even hang-ups are reported). The caller keeps fd and must remove it before closing.
// RESOURCE_EXHAUSTED: no memory or the kernel's limit on watches. INVALID_ARGUMENT: a kind of fd
// that epoll cannot watch (a regular file). Adding an fd twice is a bug.
MM_MUST_USE enum mm_err mm_loop_fd_add(struct mm_loop *loop, int fd, unsigned events,
                                       mm_loop_fd_fn fn, void *arg);

// Changes what is watched for. Same errors as adding; without change it costs no system call.
MM_MUST_USE enum mm_err mm_loop_fd_set(struct mm_loop *loop, int fd, unsigned events);

// Stops watching; fn is not called again, not even for an event already fetched in this turn.
// Safe inside any callback, also for another fd. An fd that is not watched is ignored.
void mm_loop_fd_remove(struct mm_loop *loop, int fd);

// --- timers -----------------------------------------------------------------------------------

struct mm_loop_timer;
typedef void (*mm_loop_timer_fn)(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg);

// Lives in the caller's own structure, so starting a timer cannot fail. Fields are the loop's.
// It must be stopped before its memory goes away.
struct mm_loop_timer {
    mm_loop_timer_fn fn;
    void *arg;
    uint64_t deadline_ns;
    uint64_t period_ns;
    uint64_t serial;      // start order: equal deadlines fire in it
    uint64_t expirations; // see mm_loop_timer_start
    struct mm_loop_timer *child, *sibling, *previous;
    bool active;
};

// Call once, before anything else with this timer.
void mm_loop_timer_init(struct mm_loop_timer *timer, mm_loop_timer_fn fn, void *arg);

// Calls fn once delay_ns from the real now has passed, then, if period_ns is not 0, every
// period_ns after that. Deadlines are absolute (first + k * period): a periodic timer never
// drifts. A loop that was late makes one call, in which timer->expirations tells how many periods
// have passed since the call before (1 when on time). Starting an active timer restarts it.
// Any timer may be started or stopped in any callback, its own included.
void mm_loop_timer_start(struct mm_loop *loop, struct mm_loop_timer *timer, uint64_t delay_ns,
                         uint64_t period_ns);

// The same with an absolute first deadline.
void mm_loop_timer_start_at(struct mm_loop *loop, struct mm_loop_timer *timer, uint64_t deadline_ns,
                            uint64_t period_ns);

// Does nothing if the timer is not active.
void mm_loop_timer_stop(struct mm_loop *loop, struct mm_loop_timer *timer);

#define MM_LOOP_MS(ms) ((uint64_t)(ms)*1000000u)

// --- tasks: deferred to the end of the turn, or posted from other threads ----------------------

struct mm_loop_task;
typedef void (*mm_loop_task_fn)(struct mm_loop *loop, void *arg);

// Lives in the caller's own structure: queueing it cannot fail and needs no memory, so whatever
// has at most one completion under way (an nng context, a pool) can never overflow the loop.
// Fields are the loop's. One task is used either with defer or with post_task, not with both.
struct mm_loop_task {
    mm_loop_task_fn fn;
    void *arg;
    struct mm_loop_task *next, *previous;
    _Atomic bool queued;
};

// Call once, before anything else with this task.
void mm_loop_task_init(struct mm_loop_task *task, mm_loop_task_fn fn, void *arg);

// Runs the task once at the end of this turn; while it waits, further calls do nothing. A task
// deferred by a deferred task runs in the next turn, which then does not sleep.
void mm_loop_defer(struct mm_loop *loop, struct mm_loop_task *task);

// Takes a deferred task back; does nothing if it is not waiting.
void mm_loop_defer_cancel(struct mm_loop *loop, struct mm_loop_task *task);

// Any thread. Has the loop run the task once; while it waits, further calls do nothing (it can be
// posted again from the moment its function begins). Never fails, never blocks. What the poster
// wrote before is visible to the task. Tasks run in the order in which they were posted.
void mm_loop_post_task(struct mm_loop *loop, struct mm_loop_task *task);

// Loop thread. Takes a posted task back, so that its memory may be freed. No other thread may
// still be posting it.
void mm_loop_post_cancel(struct mm_loop *loop, struct mm_loop_task *task);

// Any thread. Has the loop call fn(loop, arg) once, in the order of posting. RESOURCE_EXHAUSTED
// when the ring is full: fn is then never called. A poster that cannot bear this uses a task.
MM_MUST_USE enum mm_err mm_loop_post(struct mm_loop *loop, mm_loop_task_fn fn, void *arg);

// --- signals ----------------------------------------------------------------------------------

typedef void (*mm_loop_signal_fn)(struct mm_loop *loop, int signal_number, void *arg);

// Has fn called on the loop when the process gets the signal. Blocks the signal in the calling
// thread, so call it before other threads are started (they inherit the mask). One function per
// signal; a second call replaces it.
MM_MUST_USE enum mm_err mm_loop_signal(struct mm_loop *loop, int signal_number,
                                       mm_loop_signal_fn fn, void *arg);

// --- what the loop knows of itself -------------------------------------------------------------

struct mm_loop_stats {
    uint64_t turns;
    uint64_t fd_events;
    uint64_t timers;        // timer callbacks
    uint64_t posts;         // posts and posted tasks run
    uint64_t deferred;      // deferred tasks run
    uint64_t posts_refused; // mm_loop_post calls that found the ring full
    uint64_t busy_ns;       // total time in turns, sleep not counted
    uint64_t turn_last_ns;
    uint64_t turn_max_ns;       // longest turn since the last mm_loop_stats_reset_max
    uint64_t callback_max_ns;   // longest single callback since then
    uint64_t timer_late_max_ns; // largest delay of a timer call behind its deadline since then
};

void mm_loop_stats(const struct mm_loop *loop, struct mm_loop_stats *out);
void mm_loop_stats_reset_max(struct mm_loop *loop);

// A counter that grows with every turn and every callback, and at least every MM_LOOP_SLEEP_MAX_MS
// while mm_loop_run is at work, idle or not: if it stands still for much longer, a callback is
// stuck. Any thread.
uint64_t mm_loop_heartbeat(const struct mm_loop *loop);

// That counter, for a callback that has to take long to tell that it gets on: what cannot be
// divided among turns, as a state of which nothing is true before all of it was taken in. Everybody
// else waits meanwhile. Nobody gives it up.
struct mm_progress *mm_loop_progress(struct mm_loop *loop);
#define MM_LOOP_SLEEP_MAX_MS 500

#endif
