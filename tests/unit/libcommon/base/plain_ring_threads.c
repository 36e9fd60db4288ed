// The rings under real threads; also run with SANITIZE=thread.
#include "libcommon/base/ring.h"
#include <pthread.h>
#include <sched.h>
#include <stdio.h>

enum { ITEMS = 200000, PRODUCERS = 4 };

static unsigned passed, failed;

static void expect(bool condition, const char *what)
{
    if (condition) {
        passed++;
    } else {
        failed++;
        printf("FAILED: %s\n", what);
    }
}

// Two words that must arrive together: a torn copy shows.
struct item {
    uint64_t producer;
    uint64_t serial;
    uint64_t check;
};

static struct item make_item(uint64_t producer, uint64_t serial)
{
    return (struct item){producer, serial, ~(producer << 32 ^ serial)};
}

static bool is_whole(const struct item *item)
{
    return item->check == ~(item->producer << 32 ^ item->serial);
}

static void *ring_producer(void *arg)
{
    struct mm_ring *ring = arg;
    for (uint64_t i = 0; i < ITEMS; i++) {
        struct item item = make_item(0, i);
        while (!mm_ring_push(ring, &item))
            sched_yield();
    }
    return NULL;
}

static void test_ring(void)
{
    struct mm_ring *ring = mm_ring_new(sizeof(struct item), 64);
    pthread_t thread;
    pthread_create(&thread, NULL, ring_producer, ring);
    bool in_order = true, whole = true;
    for (uint64_t i = 0; i < ITEMS;) {
        struct item item;
        if (!mm_ring_pop(ring, &item)) {
            sched_yield();
            continue;
        }
        in_order &= item.serial == i++;
        whole &= is_whole(&item);
    }
    pthread_join(thread, NULL);
    expect(in_order, "ring: items arrive in order, none lost, none twice");
    expect(whole, "ring: no item is torn");
    expect(mm_ring_count(ring) == 0, "ring: nothing is left");
    mm_ring_free(ring);
}

struct producer {
    struct mm_mpsc *ring;
    uint64_t number;
};

static void *mpsc_producer(void *arg)
{
    const struct producer *producer = arg;
    for (uint64_t i = 0; i < ITEMS / PRODUCERS; i++) {
        struct item item = make_item(producer->number, i);
        while (!mm_mpsc_push(producer->ring, &item))
            sched_yield();
    }
    return NULL;
}

static void test_mpsc(void)
{
    struct mm_mpsc *ring = mm_mpsc_new(sizeof(struct item), 64);
    pthread_t threads[PRODUCERS];
    struct producer producers[PRODUCERS];
    for (uint64_t i = 0; i < PRODUCERS; i++) {
        producers[i] = (struct producer){ring, i};
        pthread_create(&threads[i], NULL, mpsc_producer, &producers[i]);
    }
    uint64_t next[PRODUCERS] = {0};
    bool in_order = true, whole = true;
    for (int got = 0; got < ITEMS;) {
        struct item item;
        if (!mm_mpsc_pop(ring, &item)) {
            sched_yield();
            continue;
        }
        got++;
        whole &= is_whole(&item) && item.producer < PRODUCERS;
        in_order &= whole && item.serial == next[item.producer]++;
    }
    for (int i = 0; i < PRODUCERS; i++)
        pthread_join(threads[i], NULL);
    expect(in_order, "mpsc: each producer's items arrive in order, none lost, none twice");
    expect(whole, "mpsc: no item is torn");
    expect(mm_mpsc_count(ring) == 0, "mpsc: nothing is left");
    mm_mpsc_free(ring);
}

int main(void)
{
    test_ring();
    test_mpsc();
    printf("%u passed, %u failed\n", passed, failed);
    return failed > 0;
}
