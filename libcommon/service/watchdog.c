// See watchdog.h. The watchdog's thread reads the heartbeat four times per stall_ms. It holds no
// lock while it looks, so that a stuck thread can never hold it up.

#include "libcommon/service/watchdog.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/clock.h"
#include "libcommon/base/log.h"

#include <execinfo.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { STACK_FRAMES_MAX = 64 };

struct mm_watchdog {
    pthread_t thread;
    pthread_t watched;
    const char *complaint;
    int64_t stall_ms;
    bool abort_on_stall;
    mm_watchdog_heartbeat_fn heartbeat;
    const void *ctx;
    atomic_uint_fast64_t stalls;
    pthread_mutex_t lock; // guards stopping, for the wait
    pthread_cond_t wake;
    bool stopping;
};

// Runs on the stuck thread: its stack is what a developer wants to see. Then the signal's default
// action ends the process.
static void show_stack(int signal_number)
{
    void *frames[STACK_FRAMES_MAX];
    // NOLINTBEGIN(bugprone-signal-handler): glibc's allocate only at their first use, and the
    // process ends here in any case.
    int count = backtrace(frames, STACK_FRAMES_MAX);
    backtrace_symbols_fd(frames, count, STDERR_FILENO);
    // NOLINTEND(bugprone-signal-handler)
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static void report(struct mm_watchdog *watchdog, uint64_t silent_ms)
{
    atomic_fetch_add(&watchdog->stalls, 1);
    MM_LOG_ERROR(watchdog->complaint, "silent_ms=%" PRIu64 " aborting=%d", silent_ms,
                 watchdog->abort_on_stall);
    if (watchdog->abort_on_stall) {
        signal(SIGABRT, show_stack);
        pthread_kill(watchdog->watched, SIGABRT);
        nanosleep(&(struct timespec){.tv_sec = 2}, NULL);
        signal(SIGABRT, SIG_DFL); // the stuck thread takes no signal: end it from here
        abort();
    }
}

// Waits a quarter of stall_ms; true when the watchdog is to stop.
static bool wait_a_while(struct mm_watchdog *watchdog)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t ns = until.tv_nsec + watchdog->stall_ms * (1000000 / 4);
    until.tv_sec += (time_t)(ns / 1000000000);
    until.tv_nsec = (long)(ns % 1000000000);
    pthread_mutex_lock(&watchdog->lock);
    int err = 0;
    while (!watchdog->stopping && err == 0) {
        err = pthread_cond_timedwait(&watchdog->wake, &watchdog->lock, &until);
    }
    bool stopping = watchdog->stopping;
    pthread_mutex_unlock(&watchdog->lock);
    return stopping;
}

static void *watch(void *arg)
{
    struct mm_watchdog *watchdog = arg;
    uint64_t beat = watchdog->heartbeat(watchdog->ctx);
    uint64_t beat_ms = mm_clock_ms(); // when the heartbeat was last seen to change
    uint64_t looked_ms = beat_ms;
    bool reported = false;
    while (!wait_a_while(watchdog)) {
        uint64_t now_ms = mm_clock_ms();
        uint64_t now_beat = watchdog->heartbeat(watchdog->ctx);
        // If this thread itself was held up, the whole process was (stopped, or the machine slept):
        // that is not the loop's fault, so it gets its time again. A stall that was reported stays
        // the same one.
        bool held_up = now_ms - looked_ms > (uint64_t)watchdog->stall_ms / 2;
        looked_ms = now_ms;
        if (now_beat != beat) {
            beat = now_beat;
            beat_ms = now_ms;
            reported = false;
        } else if (held_up) {
            beat_ms = now_ms;
        } else if (!reported && now_ms - beat_ms >= (uint64_t)watchdog->stall_ms) {
            reported = true;
            report(watchdog, now_ms - beat_ms);
        }
    }
    return NULL;
}

enum mm_err mm_watchdog_start(const char *complaint, int64_t stall_ms, bool abort_on_stall,
                              mm_watchdog_heartbeat_fn heartbeat, const void *ctx,
                              struct mm_watchdog **out)
{
    // The first call loads libgcc and allocates, which a signal handler must not.
    void *frame;
    (void)backtrace(&frame, 1);

    struct mm_watchdog *watchdog = mm_calloc(1, sizeof *watchdog);
    if (watchdog == NULL) {
        return MM_RESOURCE_EXHAUSTED;
    }
    watchdog->watched = pthread_self();
    watchdog->complaint = complaint;
    watchdog->stall_ms = stall_ms;
    watchdog->abort_on_stall = abort_on_stall;
    watchdog->heartbeat = heartbeat;
    watchdog->ctx = ctx;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&watchdog->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&watchdog->lock, NULL);

    // Signals of the process are the loop's business: this thread takes none.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int err = pthread_create(&watchdog->thread, NULL, watch, watchdog);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (err != 0) {
        pthread_cond_destroy(&watchdog->wake);
        pthread_mutex_destroy(&watchdog->lock);
        mm_free(watchdog);
        return MM_RESOURCE_EXHAUSTED;
    }
    *out = watchdog;
    return MM_OK;
}

uint64_t mm_watchdog_stalls(struct mm_watchdog *watchdog)
{
    return atomic_load(&watchdog->stalls);
}

void mm_watchdog_stop(struct mm_watchdog *watchdog)
{
    if (watchdog == NULL) {
        return;
    }
    pthread_mutex_lock(&watchdog->lock);
    watchdog->stopping = true;
    pthread_cond_signal(&watchdog->wake);
    pthread_mutex_unlock(&watchdog->lock);
    pthread_join(watchdog->thread, NULL);
    pthread_cond_destroy(&watchdog->wake);
    pthread_mutex_destroy(&watchdog->lock);
    mm_free(watchdog);
}
