#include "services/world/pool.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "services/world/core/limits.h"
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>

// One piece of work at a time. Whoever is free takes its next part, the caller too: so a thread
// that wakes late, or is not given a core, holds nobody up, and a part is the unit of waiting.
// Parts are few and coarse, so one lock for all is enough.

enum { THREADS_USEFUL = 4 };

struct world_pool {
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    // The present piece: parts next..parts-1 are still to be taken, `running` are being worked at.
    void (*part)(void *arg, uint32_t i);
    void *arg;
    uint32_t next, parts, running;
    bool closing;
    uint32_t started; // of threads
    pthread_t threads[WORLD_THREADS_MAX];
};

// Takes parts until there are none; the lock is held before and after.
static void take_parts(struct world_pool *pool)
{
    while (pool->next < pool->parts) {
        uint32_t i = pool->next++;
        pool->running++;
        pthread_mutex_unlock(&pool->lock);
        pool->part(pool->arg, i);
        pthread_mutex_lock(&pool->lock);
        if (--pool->running == 0 && pool->next == pool->parts)
            pthread_cond_signal(&pool->done);
    }
}

static void *serve(void *arg)
{
    struct world_pool *pool = arg;
    pthread_mutex_lock(&pool->lock);
    while (!pool->closing) {
        take_parts(pool);
        if (!pool->closing)
            pthread_cond_wait(&pool->work, &pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

static void run(void *ctx, void (*part)(void *arg, uint32_t i), void *arg, uint32_t parts)
{
    struct world_pool *pool = ctx;
    pthread_mutex_lock(&pool->lock);
    MM_CHECK(pool->running == 0 && pool->next == pool->parts);
    pool->part = part;
    pool->arg = arg;
    pool->next = 0;
    pool->parts = parts;
    // The caller takes one part itself.
    if (parts > pool->started)
        pthread_cond_broadcast(&pool->work);
    else
        for (uint32_t i = 1; i < parts; i++)
            pthread_cond_signal(&pool->work);
    take_parts(pool);
    while (pool->running > 0)
        pthread_cond_wait(&pool->done, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

enum mm_err world_pool_open(uint32_t threads, struct world_pool **out)
{
    MM_CHECK(threads >= 1 && threads <= WORLD_THREADS_MAX);
    *out = NULL;
    struct world_pool *pool = mm_calloc(1, sizeof *pool);
    if (!pool)
        return MM_RESOURCE_EXHAUSTED;
    MM_CHECK(pthread_mutex_init(&pool->lock, NULL) == 0);
    MM_CHECK(pthread_cond_init(&pool->work, NULL) == 0 &&
             pthread_cond_init(&pool->done, NULL) == 0);
    for (; pool->started + 1 < threads; pool->started++)
        if (pthread_create(&pool->threads[pool->started], NULL, serve, pool) != 0) {
            world_pool_close(pool);
            return MM_RESOURCE_EXHAUSTED;
        }
    *out = pool;
    return MM_OK;
}

void world_pool_close(struct world_pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->closing = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (uint32_t i = 0; i < pool->started; i++)
        pthread_join(pool->threads[i], NULL);
    pthread_cond_destroy(&pool->done);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->lock);
    mm_free(pool);
}

uint32_t world_pool_threads(const struct world_pool *pool)
{
    return pool->started + 1;
}

struct world_workers world_pool_workers(struct world_pool *pool)
{
    return (struct world_workers){.threads = world_pool_threads(pool), .run = run, .ctx = pool};
}

uint32_t world_pool_threads_default(void)
{
    cpu_set_t cores;
    if (sched_getaffinity(0, sizeof cores, &cores) != 0)
        return 1;
    int count = CPU_COUNT(&cores);
    return count < 1 ? 1 : count < THREADS_USEFUL ? (uint32_t)count : THREADS_USEFUL;
}
