// What other threads may do to a loop; written without Criterion so that it runs under
// ThreadSanitizer.

#include "libcommon/base/clock.h"
#include "libcommon/io/loop.h"
#include "tests/support/plain.h"
#include "tests/support/process.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#define PRODUCERS 3
#define POSTS     30000

struct producer {
    struct mm_loop *loop;
    pthread_t thread;
    uint64_t next_to_send; // producer's
    uint64_t next_to_see;  // loop's
    bool in_order;
    struct mm_loop_task task;
    uint64_t published; // written before each post of the task
    uint64_t task_saw;
    uint64_t task_runs;
};

struct item {
    struct producer *producer;
    uint64_t number;
};

static struct item items[PRODUCERS][POSTS];
static uint64_t seen_total;

static void item_seen(struct mm_loop *loop, void *arg)
{
    struct item *item = arg;
    struct producer *producer = item->producer;
    if (item->number != producer->next_to_see)
        producer->in_order = false;
    producer->next_to_see++;
    if (++seen_total == (uint64_t)PRODUCERS * POSTS)
        mm_loop_stop(loop);
}

static void *post_items(void *arg)
{
    struct producer *producer = arg;
    for (uint64_t i = 0; i < POSTS; i++) {
        struct item *item = &items[producer->next_to_send / POSTS][i];
        *item = (struct item){producer, i};
        while (mm_loop_post(producer->loop, item_seen, item) != MM_OK)
            sched_yield();
    }
    return NULL;
}

static void test_posts(void)
{
    struct mm_loop *loop;
    struct mm_loop_options options = {.posts_max = 64};
    if (mm_loop_create(&options, &loop) != MM_OK)
        exit(1);
    struct producer producers[PRODUCERS] = {0};
    for (size_t i = 0; i < PRODUCERS; i++) {
        producers[i] = (struct producer){.loop = loop, .in_order = true};
        producers[i].next_to_send = i * POSTS;
        pthread_create(&producers[i].thread, NULL, post_items, &producers[i]);
    }
    mm_loop_run(loop);
    for (size_t i = 0; i < PRODUCERS; i++) {
        pthread_join(producers[i].thread, NULL);
        EXPECT_THAT(producers[i].in_order, "posts of one thread run in its order");
        EXPECT_THAT(producers[i].next_to_see == POSTS, "every accepted post runs exactly once");
    }
    mm_loop_destroy(loop);
}

static pthread_mutex_t published_mutex = PTHREAD_MUTEX_INITIALIZER;

static void task_seen(struct mm_loop *loop, void *arg)
{
    struct producer *producer = arg;
    producer->task_runs++;
    pthread_mutex_lock(&published_mutex);
    producer->task_saw = producer->published;
    pthread_mutex_unlock(&published_mutex);
    bool all = true;
    struct producer *first = producer - producer->next_to_send;
    for (size_t i = 0; i < PRODUCERS; i++)
        all = all && first[i].task_saw == POSTS;
    if (all)
        mm_loop_stop(loop);
}

static void *post_task(void *arg)
{
    struct producer *producer = arg;
    for (uint64_t i = 1; i <= POSTS; i++) {
        pthread_mutex_lock(&published_mutex);
        producer->published = i;
        pthread_mutex_unlock(&published_mutex);
        mm_loop_post_task(producer->loop, &producer->task);
    }
    return NULL;
}

// A task posted while it still waits is not run twice, but the last post is never lost: the loop
// ends only if each producer's final value was seen by a run.
static void test_tasks(void)
{
    struct mm_loop *loop;
    if (mm_loop_create(NULL, &loop) != MM_OK)
        exit(1);
    static struct producer producers[PRODUCERS];
    for (size_t i = 0; i < PRODUCERS; i++) {
        producers[i] = (struct producer){.loop = loop, .next_to_send = i};
        mm_loop_task_init(&producers[i].task, task_seen, &producers[i]);
        pthread_create(&producers[i].thread, NULL, post_task, &producers[i]);
    }
    mm_loop_run(loop);
    for (size_t i = 0; i < PRODUCERS; i++) {
        pthread_join(producers[i].thread, NULL);
        EXPECT_THAT(producers[i].task_saw == POSTS, "the last post of a task is seen");
        EXPECT_THAT(producers[i].task_runs <= POSTS, "a task runs at most once a post");
        mm_loop_post_cancel(loop, &producers[i].task);
    }
    mm_loop_destroy(loop);
}

// The plain hand-over: what the poster wrote before it posted may be read without any lock.
struct parcel {
    struct mm_loop_task task;
    uint64_t value;
    pthread_t thread;
    struct mm_loop *loop;
};

static void parcel_open(struct mm_loop *loop, void *arg)
{
    struct parcel *parcel = arg;
    EXPECT_THAT(parcel->value == 42, "a task sees what was written before its post");
    mm_loop_stop(loop);
}

static void *parcel_send(void *arg)
{
    struct parcel *parcel = arg;
    parcel->value = 42;
    mm_loop_post_task(parcel->loop, &parcel->task);
    return NULL;
}

static void test_hand_over(void)
{
    struct parcel parcel = {0};
    if (mm_loop_create(NULL, &parcel.loop) != MM_OK)
        exit(1);
    mm_loop_task_init(&parcel.task, parcel_open, &parcel);
    pthread_create(&parcel.thread, NULL, parcel_send, &parcel);
    mm_loop_run(parcel.loop);
    pthread_join(parcel.thread, NULL);
    mm_loop_destroy(parcel.loop);
}

static void *run_loop(void *arg)
{
    mm_loop_run(arg);
    return NULL;
}

// Told to stop while it sleeps; how long that took.
static uint64_t stop_a_sleeping_loop(void)
{
    struct mm_loop *loop;
    if (mm_loop_create(NULL, &loop) != MM_OK)
        exit(1);
    uint64_t before = mm_loop_heartbeat(loop);
    pthread_t thread;
    pthread_create(&thread, NULL, run_loop, loop);
    uint64_t end_ms = mm_clock_ms() + TEST_PATIENCE_MS;
    while (mm_loop_heartbeat(loop) < before + 2 && mm_clock_ms() < end_ms)
        sched_yield();
    EXPECT_THAT(mm_loop_heartbeat(loop) >= before + 2, "an idle loop's heart beats");
    uint64_t stop_ms = mm_clock_ms();
    mm_loop_stop(loop);
    pthread_join(thread, NULL);
    mm_loop_destroy(loop);
    return mm_clock_ms() - stop_ms;
}

// The loop has just woken when it is told: it would sleep for its whole time. Once in a while a
// busy machine lets it lie as long.
static void test_heartbeat_and_stop(void)
{
    uint64_t shortest_ms = UINT64_MAX;
    for (int i = 0; i < 20 && shortest_ms >= MM_LOOP_SLEEP_MAX_MS / 2; i++) {
        uint64_t took_ms = stop_a_sleeping_loop();
        if (took_ms < shortest_ms)
            shortest_ms = took_ms;
    }
    EXPECT_THAT(shortest_ms < MM_LOOP_SLEEP_MAX_MS / 2, "stop ends the sleep");
}

int main(void)
{
    test_posts();
    test_tasks();
    test_hand_over();
    test_heartbeat_and_stop();
    return plain_finish();
}
