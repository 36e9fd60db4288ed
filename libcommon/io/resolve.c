#include "libcommon/io/resolve.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/str.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

struct mm_resolve {
    struct mm_loop *loop;
    mm_resolve_fn fn;
    void *arg;
    struct mm_loop_task task;
    char host[256];
    char port[8];
    enum mm_err err;
    struct mm_resolve_result result;
    // The thread may outlive the loop: it posts only under the mutex and only while not cancelled.
    pthread_mutex_t mutex;
    bool cancelled;
    _Atomic unsigned references; // the loop's side and the thread
};

static void release(struct mm_resolve *resolve)
{
    if (atomic_fetch_sub(&resolve->references, 1) > 1)
        return;
    pthread_mutex_destroy(&resolve->mutex);
    mm_free(resolve);
}

static enum mm_err look_up(struct mm_resolve *resolve, int flags)
{
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    int status = getaddrinfo(resolve->host, resolve->port, &hints, &list);
    if (status != 0)
        return status == EAI_AGAIN || status == EAI_FAIL || status == EAI_SYSTEM ? MM_UNAVAILABLE
                                                                                 : MM_NOT_FOUND;
    struct mm_resolve_result *result = &resolve->result;
    for (const struct addrinfo *a = list; a && result->count < MM_RESOLVE_ADDRESSES_MAX;
         a = a->ai_next) {
        memcpy(&result->addresses[result->count].address, a->ai_addr, a->ai_addrlen);
        result->addresses[result->count].size = a->ai_addrlen;
        result->count++;
    }
    freeaddrinfo(list);
    return result->count > 0 ? MM_OK : MM_NOT_FOUND;
}

static void *look_up_thread(void *arg)
{
    struct mm_resolve *resolve = arg;
    resolve->err = look_up(resolve, 0);
    pthread_mutex_lock(&resolve->mutex);
    if (!resolve->cancelled)
        mm_loop_post_task(resolve->loop, &resolve->task);
    pthread_mutex_unlock(&resolve->mutex);
    release(resolve);
    return NULL;
}

static void deliver(struct mm_loop *loop, void *arg)
{
    (void)loop;
    struct mm_resolve *resolve = arg;
    resolve->fn(resolve->err, resolve->err == MM_OK ? &resolve->result : NULL, resolve->arg);
    release(resolve);
}

static enum mm_err thread_start(struct mm_resolve *resolve)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    atomic_store(&resolve->references, 2);
    pthread_t thread;
    int status = pthread_create(&thread, &attributes, look_up_thread, resolve);
    pthread_attr_destroy(&attributes);
    if (status == 0)
        return MM_OK;
    atomic_store(&resolve->references, 1);
    return MM_RESOURCE_EXHAUSTED;
}

enum mm_err mm_resolve_start(struct mm_loop *loop, const char *host, uint16_t port,
                             mm_resolve_fn fn, void *arg, struct mm_resolve **out)
{
    *out = NULL;
    struct mm_resolve *resolve = mm_calloc(1, sizeof *resolve);
    if (!resolve)
        return MM_RESOURCE_EXHAUSTED;
    resolve->loop = loop;
    resolve->fn = fn;
    resolve->arg = arg;
    pthread_mutex_init(&resolve->mutex, NULL);
    mm_loop_task_init(&resolve->task, deliver, resolve);
    atomic_init(&resolve->references, 1);
    bool fits = mm_str_copy(resolve->host, sizeof resolve->host, host);
    (void)snprintf(resolve->port, sizeof resolve->port, "%u", port);
    resolve->err = fits ? look_up(resolve, AI_NUMERICHOST) : MM_NOT_FOUND;
    enum mm_err err = MM_OK;
    if (resolve->err == MM_OK || !fits)
        mm_loop_post_task(loop, &resolve->task);
    else
        err = thread_start(resolve);
    if (err != MM_OK) {
        release(resolve);
        return err;
    }
    *out = resolve;
    return MM_OK;
}

void mm_resolve_cancel(struct mm_resolve *resolve)
{
    if (!resolve)
        return;
    pthread_mutex_lock(&resolve->mutex);
    resolve->cancelled = true;
    pthread_mutex_unlock(&resolve->mutex);
    mm_loop_post_cancel(resolve->loop, &resolve->task);
    release(resolve);
}
