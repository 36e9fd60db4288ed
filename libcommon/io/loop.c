#include "libcommon/io/loop.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/clock.h"
#include "libcommon/io/loop_internal.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

// What one fd table growth allows at least; the table never shrinks (nofile bounds it).
#define LOOP_FDS_MIN 64

static _Thread_local const struct mm_loop *loop_current;

void loop_check_thread(const struct mm_loop *loop)
{
    if (atomic_load_explicit(&loop->running, memory_order_relaxed))
        MM_CHECK(loop_current == loop);
}

void loop_callback_done(struct mm_loop *loop)
{
    uint64_t now_ns = mm_clock_ns();
    uint64_t took_ns = now_ns - loop->now_ns;
    if (took_ns > loop->stats.callback_max_ns)
        loop->stats.callback_max_ns = took_ns;
    loop->now_ns = now_ns;
    (void)mm_progress_step(&loop->progress);
}

// --- file descriptors --------------------------------------------------------------------------

static uint32_t epoll_mask(unsigned events)
{
    return (events & MM_LOOP_READ ? (uint32_t)EPOLLIN | EPOLLRDHUP : 0u) |
           (events & MM_LOOP_WRITE ? (uint32_t)EPOLLOUT : 0u);
}

static enum mm_err fd_table_reserve(struct mm_loop *loop, int fd)
{
    if ((size_t)fd < loop->fd_capacity)
        return MM_OK;
    size_t capacity = loop->fd_capacity ? loop->fd_capacity : LOOP_FDS_MIN;
    while (capacity <= (size_t)fd)
        capacity *= 2;
    struct loop_fd *fds = mm_realloc(loop->fds, capacity * sizeof *fds);
    if (!fds)
        return MM_RESOURCE_EXHAUSTED;
    memset(fds + loop->fd_capacity, 0, (capacity - loop->fd_capacity) * sizeof *fds);
    loop->fds = fds;
    loop->fd_capacity = capacity;
    return MM_OK;
}

// Brings the kernel's view to `events`: 0 is kept out of epoll, which would report hang-ups.
static enum mm_err fd_apply(struct mm_loop *loop, int fd, struct loop_fd *entry, unsigned events)
{
    struct epoll_event event = {.events = epoll_mask(events)};
    event.data.u64 = (uint64_t)entry->generation << 32 | (uint32_t)fd;
    int operation = events == 0 ? EPOLL_CTL_DEL : entry->in_epoll ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (operation == EPOLL_CTL_DEL && !entry->in_epoll)
        return MM_OK;
    if (epoll_ctl(loop->epoll_fd, operation, fd, &event) != 0)
        return errno == ENOMEM || errno == ENOSPC ? MM_RESOURCE_EXHAUSTED : MM_INVALID_ARGUMENT;
    entry->in_epoll = events != 0;
    return MM_OK;
}

enum mm_err mm_loop_fd_add(struct mm_loop *loop, int fd, unsigned events, mm_loop_fd_fn fn,
                           void *arg)
{
    loop_check_thread(loop);
    MM_CHECK(fd >= 0 && fn);
    enum mm_err err = fd_table_reserve(loop, fd);
    if (err != MM_OK)
        return err;
    struct loop_fd *entry = &loop->fds[fd];
    MM_CHECK(!entry->used);
    entry->generation++;
    err = fd_apply(loop, fd, entry, events);
    if (err != MM_OK)
        return err;
    entry->fn = fn;
    entry->arg = arg;
    entry->events = (uint8_t)events;
    entry->used = true;
    return MM_OK;
}

enum mm_err mm_loop_fd_set(struct mm_loop *loop, int fd, unsigned events)
{
    loop_check_thread(loop);
    MM_CHECK(fd >= 0 && (size_t)fd < loop->fd_capacity && loop->fds[fd].used);
    struct loop_fd *entry = &loop->fds[fd];
    if (entry->events == events)
        return MM_OK;
    enum mm_err err = fd_apply(loop, fd, entry, events);
    if (err == MM_OK)
        entry->events = (uint8_t)events;
    return err;
}

void mm_loop_fd_remove(struct mm_loop *loop, int fd)
{
    loop_check_thread(loop);
    if (fd < 0 || (size_t)fd >= loop->fd_capacity || !loop->fds[fd].used)
        return;
    struct loop_fd *entry = &loop->fds[fd];
    if (entry->in_epoll)
        (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, fd, &(struct epoll_event){0});
    // The generation stays and grows with the next registration of this number, so events of this
    // one that are already fetched find no match.
    *entry = (struct loop_fd){.generation = entry->generation};
}

static void fd_dispatch(struct mm_loop *loop, const struct epoll_event *event)
{
    uint32_t fd = (uint32_t)event->data.u64;
    const struct loop_fd *entry = &loop->fds[fd];
    if (!entry->used || entry->generation != (uint32_t)(event->data.u64 >> 32))
        return;
    unsigned ready = (event->events & (EPOLLIN | EPOLLRDHUP) ? MM_LOOP_READ : 0u) |
                     (event->events & EPOLLOUT ? MM_LOOP_WRITE : 0u);
    if (event->events & (EPOLLERR | EPOLLHUP))
        ready = MM_LOOP_READ | MM_LOOP_WRITE;
    ready &= entry->events; // an earlier callback of this turn may have asked for less
    if (ready == 0)
        return;
    entry->fn(loop, (int)fd, ready, entry->arg);
    loop->stats.fd_events++;
    loop_callback_done(loop);
}

// --- signals -----------------------------------------------------------------------------------

static void signals_read(struct mm_loop *loop, int fd, unsigned events, void *arg)
{
    (void)events;
    (void)arg;
    struct signalfd_siginfo info;
    while (read(fd, &info, sizeof info) == (ssize_t)sizeof info) {
        const struct loop_signal *handler = &loop->signals[info.ssi_signo % LOOP_SIGNALS_MAX];
        if (handler->fn)
            handler->fn(loop, (int)info.ssi_signo, handler->arg);
    }
}

enum mm_err mm_loop_signal(struct mm_loop *loop, int signal_number, mm_loop_signal_fn fn, void *arg)
{
    loop_check_thread(loop);
    MM_CHECK(signal_number > 0 && signal_number < LOOP_SIGNALS_MAX && fn);
    sigset_t set;
    sigemptyset(&set);
    for (int number = 1; number < LOOP_SIGNALS_MAX; number++)
        if (loop->signals[number].fn || number == signal_number)
            sigaddset(&set, number);
    if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
        return MM_INVALID_ARGUMENT;
    int fd = signalfd(loop->signal_fd, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0)
        return MM_RESOURCE_EXHAUSTED;
    if (loop->signal_fd < 0) {
        enum mm_err err = mm_loop_fd_add(loop, fd, MM_LOOP_READ, signals_read, NULL);
        if (err != MM_OK) {
            close(fd);
            return err;
        }
        loop->signal_fd = fd;
    }
    loop->signals[signal_number] = (struct loop_signal){fn, arg};
    return MM_OK;
}

// --- the turn ----------------------------------------------------------------------------------

static uint64_t sleep_ns(const struct mm_loop *loop, uint64_t sleep_max_ns)
{
    if (!loop_list_is_empty(&loop->deferred) || loop->posts_left ||
        atomic_load_explicit(&loop->stop, memory_order_relaxed))
        return 0;
    if (!loop->timer_root)
        return sleep_max_ns;
    uint64_t now_ns = mm_clock_ns();
    uint64_t deadline_ns = loop->timer_root->deadline_ns;
    if (deadline_ns <= now_ns)
        return 0;
    return deadline_ns - now_ns < sleep_max_ns ? deadline_ns - now_ns : sleep_max_ns;
}

static int events_wait(struct mm_loop *loop, uint64_t timeout_ns)
{
    static _Atomic bool without_nanoseconds; // kernels before 5.11 lack epoll_pwait2
    int count;
    if (!atomic_load_explicit(&without_nanoseconds, memory_order_relaxed)) {
        struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / 1000000000u),
                                   .tv_nsec = (long)(timeout_ns % 1000000000u)};
        count = epoll_pwait2(loop->epoll_fd, loop->events, (int)loop->options.events_per_turn_max,
                             &timeout, NULL);
        if (count >= 0 || errno == EINTR)
            return count < 0 ? 0 : count;
        atomic_store_explicit(&without_nanoseconds, true, memory_order_relaxed);
    }
    int timeout_ms = (int)((timeout_ns + 999999u) / 1000000u);
    count = epoll_wait(loop->epoll_fd, loop->events, (int)loop->options.events_per_turn_max,
                       timeout_ms);
    MM_CHECK(count >= 0 || errno == EINTR);
    return count < 0 ? 0 : count;
}

static void deferred_run(struct mm_loop *loop)
{
    if (loop_list_is_empty(&loop->deferred))
        return;
    // Taken out as a whole: what is deferred meanwhile belongs to the next turn. A cancelled task
    // unlinks itself from whichever list it is in.
    struct mm_loop_task now;
    loop_list_init(&now);
    now.next = loop->deferred.next;
    now.previous = loop->deferred.previous;
    now.next->previous = now.previous->next = &now;
    loop_list_init(&loop->deferred);
    while (!loop_list_is_empty(&now)) {
        struct mm_loop_task *task = now.next;
        loop_list_unlink(task);
        atomic_store_explicit(&task->queued, false, memory_order_relaxed);
        task->fn(loop, task->arg);
        loop->stats.deferred++;
        loop_callback_done(loop);
    }
}

// One turn. Timers come first, so that a tick waits for no more than one turn's worth of fds;
// deferred tasks come last, so that they see everything the turn has brought.
static void loop_turn(struct mm_loop *loop, uint64_t sleep_max_ns)
{
    int count = events_wait(loop, sleep_ns(loop, sleep_max_ns));
    uint64_t begin_ns = loop->now_ns = mm_clock_ns();
    (void)mm_progress_step(&loop->progress);

    loop_timers_run(loop);
    for (int i = 0; i < count; i++)
        fd_dispatch(loop, &loop->events[i]);
    loop_posts_run(loop);
    deferred_run(loop);

    uint64_t took_ns = loop->now_ns - begin_ns;
    loop->stats.turns++;
    loop->stats.busy_ns += took_ns;
    loop->stats.turn_last_ns = took_ns;
    if (took_ns > loop->stats.turn_max_ns)
        loop->stats.turn_max_ns = took_ns;
}

// Enters and leaves the state in which only this thread may touch the loop.
static void loop_enter(struct mm_loop *loop)
{
    MM_CHECK(!atomic_load_explicit(&loop->running, memory_order_relaxed));
    loop_current = loop;
    atomic_store_explicit(&loop->running, true, memory_order_relaxed);
}

static void loop_leave(struct mm_loop *loop)
{
    atomic_store_explicit(&loop->running, false, memory_order_relaxed);
    loop_current = NULL;
}

void mm_loop_run(struct mm_loop *loop)
{
    loop_enter(loop);
    while (!atomic_load_explicit(&loop->stop, memory_order_relaxed))
        loop_turn(loop, MM_LOOP_MS(MM_LOOP_SLEEP_MAX_MS));
    atomic_store_explicit(&loop->stop, false, memory_order_relaxed);
    loop_leave(loop);
}

bool mm_loop_run_until(struct mm_loop *loop, const bool *done, uint32_t timeout_ms)
{
    uint64_t end_ns = mm_clock_ns() + MM_LOOP_MS(timeout_ms);
    loop_enter(loop);
    uint64_t now_ns = mm_clock_ns(), sleep_max_ns = MM_LOOP_MS(MM_LOOP_SLEEP_MAX_MS);
    // Who got the processor so late that the time is over has its turn all the same.
    for (bool late = false; !late && !*done; late = now_ns >= end_ns) {
        if (atomic_load_explicit(&loop->stop, memory_order_relaxed))
            break;
        uint64_t left_ns = now_ns < end_ns ? end_ns - now_ns : 0;
        loop_turn(loop, left_ns < sleep_max_ns ? left_ns : sleep_max_ns);
        now_ns = mm_clock_ns();
    }
    loop_leave(loop);
    return *done;
}

void mm_loop_stop(struct mm_loop *loop)
{
    atomic_store_explicit(&loop->stop, true, memory_order_relaxed);
    loop_wake(loop);
}

uint64_t mm_loop_now_ns(const struct mm_loop *loop)
{
    return loop->now_ns;
}

void mm_loop_stats(const struct mm_loop *loop, struct mm_loop_stats *out)
{
    *out = loop->stats;
    out->posts_refused = atomic_load_explicit(&loop->posts_refused, memory_order_relaxed);
}

void mm_loop_stats_reset_max(struct mm_loop *loop)
{
    loop->stats.turn_max_ns = 0;
    loop->stats.callback_max_ns = 0;
    loop->stats.timer_late_max_ns = 0;
}

uint64_t mm_loop_heartbeat(const struct mm_loop *loop)
{
    return mm_progress_steps(&loop->progress);
}

struct mm_progress *mm_loop_progress(struct mm_loop *loop)
{
    return &loop->progress;
}

// --- life --------------------------------------------------------------------------------------

// Posts are emptied in every turn; the fd is only there to end the sleep.
static void wake_ready(struct mm_loop *loop, int fd, unsigned events, void *arg)
{
    (void)loop;
    (void)fd;
    (void)events;
    (void)arg;
}

enum mm_err mm_loop_create(const struct mm_loop_options *options, struct mm_loop **out)
{
    *out = NULL;
    struct mm_loop *loop = mm_calloc(1, sizeof *loop);
    if (!loop)
        return MM_RESOURCE_EXHAUSTED;
    loop->options = options ? *options : (struct mm_loop_options){0};
    if (loop->options.events_per_turn_max == 0)
        loop->options.events_per_turn_max = 1024;
    if (loop->options.posts_max == 0)
        loop->options.posts_max = 4096;
    if (loop->options.posts_per_turn_max == 0)
        loop->options.posts_per_turn_max = 4096;
    loop_list_init(&loop->deferred);
    loop_list_init(&loop->posted);
    loop->signal_fd = -1;
    loop->now_ns = mm_clock_ns();
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    loop->events = mm_calloc(loop->options.events_per_turn_max, sizeof *loop->events);
    loop->post_ring = mm_mpsc_new(sizeof(struct loop_post), loop->options.posts_max);
    if (loop->epoll_fd < 0 || loop->wake_fd < 0 || !loop->events || !loop->post_ring ||
        mm_loop_fd_add(loop, loop->wake_fd, MM_LOOP_READ, wake_ready, NULL) != MM_OK) {
        mm_loop_destroy(loop);
        return MM_RESOURCE_EXHAUSTED;
    }
    *out = loop;
    return MM_OK;
}

void mm_loop_destroy(struct mm_loop *loop)
{
    if (!loop)
        return;
    if (loop->signal_fd >= 0)
        close(loop->signal_fd);
    if (loop->wake_fd >= 0)
        close(loop->wake_fd);
    if (loop->epoll_fd >= 0)
        close(loop->epoll_fd);
    mm_mpsc_free(loop->post_ring);
    mm_free(loop->events);
    mm_free(loop->fds);
    mm_free(loop);
}
