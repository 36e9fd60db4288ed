#include "libcommon/io/nng_close.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "libcommon/base/alloc.h"
#include "libcommon/base/log.h"

enum { PATIENCE_MS = 2000, PATIENCE_WHEN_STUCK_MS = 50, SLICE_MS = 50 };

struct closing {
    nng_socket socket;
    pthread_mutex_t mutex;
    pthread_cond_t ended;
    bool done, abandoned; // whoever sees the other's mark frees
};

static atomic_bool stuck;

static void free_closing(struct closing *closing)
{
    pthread_cond_destroy(&closing->ended);
    pthread_mutex_destroy(&closing->mutex);
    mm_free(closing);
}

static void *close_socket(void *arg)
{
    struct closing *closing = arg;
    nng_close(closing->socket);
    pthread_mutex_lock(&closing->mutex);
    closing->done = true;
    bool abandoned = closing->abandoned;
    pthread_cond_signal(&closing->ended);
    pthread_mutex_unlock(&closing->mutex);
    if (abandoned)
        free_closing(closing);
    return NULL;
}

// The mutex is held.
static void wait_slice(struct closing *closing)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += SLICE_MS * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    while (!closing->done)
        if (pthread_cond_timedwait(&closing->ended, &closing->mutex, &until) == ETIMEDOUT)
            break;
}

// In slices: where the process is stopped, or the machine, however long that takes is one of them,
// and the closing still has all others.
static bool wait_for(struct closing *closing, unsigned patience_ms)
{
    pthread_mutex_lock(&closing->mutex);
    for (unsigned waited_ms = 0; !closing->done && waited_ms < patience_ms; waited_ms += SLICE_MS)
        wait_slice(closing);
    bool done = closing->done;
    closing->abandoned = !done;
    pthread_mutex_unlock(&closing->mutex);
    return done;
}

bool mm_nng_is_stuck(void)
{
    return atomic_load(&stuck);
}

bool mm_nng_close(nng_socket socket)
{
    struct closing *closing = mm_calloc(1, sizeof *closing);
    pthread_condattr_t monotonic;
    pthread_t thread;
    if (!closing) {
        nng_close(socket);
        return true;
    }
    closing->socket = socket;
    pthread_mutex_init(&closing->mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&closing->ended, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (pthread_create(&thread, NULL, close_socket, closing) != 0) {
        free_closing(closing);
        nng_close(socket);
        return true;
    }
    pthread_detach(thread);
    if (wait_for(closing, atomic_load(&stuck) ? PATIENCE_WHEN_STUCK_MS : PATIENCE_MS)) {
        free_closing(closing);
        return true;
    }
    if (!atomic_exchange(&stuck, true))
        MM_LOG_ERROR("a socket does not close; its memory is given up");
    return false;
}
