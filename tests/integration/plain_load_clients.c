// The load tool's clients by themselves, before a server of canned updates: what they show, what
// they take for an update's arrival, what they do not claim to know; both ways of reading.

#include "tests/support/bench.h"
#include "tests/support/load_canned.h"
#include "tests/support/load_clients.h"
#include "tests/support/load_ring.h"
#include "tests/support/plain.h"
#include "tests/support/process.h"

#include <stdlib.h>
#include <time.h>

enum {
    CLIENTS = 40,
    PATIENCE_MS = 60000,
    SINGLES = 12,
    PAIRS = 5,
    AT_ONCE = 64, // are more than the ring reads at once
    UNREAD = 3,
    LATE_MS = 300,
    SLOW_BYTES = 2000, // a second
};

struct scene {
    struct load_canned *canned;
    struct load_clients *clients;
    uint32_t told; // updates to each
};

static const char *token(void *arg, uint32_t index)
{
    (void)arg;
    (void)index;
    return "none";
}

static void open_scene(struct scene *scene, bool without_ring)
{
    scene->canned = load_canned_start(CLIENTS, 0);
    struct load_options options = {.port = load_canned_port(scene->canned),
                                   .count = CLIENTS,
                                   .token = token,
                                   .without_ring = without_ring};
    scene->clients = load_clients_new(&options);
    scene->told = 0;
    load_clients_open(scene->clients, 0, CLIENTS);
    if (!load_clients_wait_playing(scene->clients, CLIENTS, PATIENCE_MS))
        test_fail("not all are in: %s", load_clients_figures(scene->clients)->loss);
}

static void tell(struct scene *scene, uint32_t updates, uint32_t together)
{
    load_canned_tell(scene->canned, updates, together);
    scene->told += updates;
}

static bool shows_all(const struct scene *scene, uint32_t index)
{
    const struct load_view *view = load_clients_view(scene->clients, index);
    return view->fault[0] == '\0' && view->tick == scene->told + 1 &&
           view->count == LOAD_CANNED_ENTITIES && view->hash == load_canned_hash(scene->told) &&
           view->log_count == scene->told + 1;
}

static void all_are_told(struct scene *scene)
{
    EXPECT(load_clients_wait_tick(scene->clients, scene->told + 1, PATIENCE_MS));
    uint32_t right = 0;
    for (uint32_t i = 0; i < CLIENTS; i++)
        right += shows_all(scene, i);
    EXPECT(right == CLIENTS);
}

static void tell_and_take(struct scene *scene, uint32_t updates, uint32_t together)
{
    load_clients_reset(scene->clients);
    tell(scene, updates, together);
    all_are_told(scene);
    EXPECT(load_clients_figures(scene->clients)->updates == (uint64_t)CLIENTS * updates);
}

// The first update of all begins the series.
static void intervals_are_known_or_counted(struct scene *scene)
{
    const struct load_figures *figures = load_clients_figures(scene->clients);
    tell_and_take(scene, SINGLES, 1);
    uint64_t known = figures->interval_us.count;
    EXPECT(known + figures->unstamped == (uint64_t)CLIENTS * (SINGLES - 1));
    EXPECT(figures->ticks == (uint64_t)CLIENTS * (SINGLES - 1));
}

// Neither the interval until the first of two nor the one between them is known.
static void updates_read_together_have_no_arrival(struct scene *scene)
{
    const struct load_figures *figures = load_clients_figures(scene->clients);
    tell_and_take(scene, 2 * PAIRS, 2);
    EXPECT(figures->interval_us.count == 0);
    EXPECT(figures->unstamped == (uint64_t)CLIENTS * 2 * PAIRS);
    EXPECT(figures->lag_us.count <= (uint64_t)CLIENTS * PAIRS);
    tell_and_take(scene, AT_ONCE, AT_ONCE);
    EXPECT(figures->unstamped > (uint64_t)CLIENTS * (AT_ONCE - 4));
}

// What arrived while nobody looked: the last one's arrival is known all the same.
static void an_arrival_is_not_the_reading(struct scene *scene)
{
    const struct load_figures *figures = load_clients_figures(scene->clients);
    struct timespec late = {.tv_nsec = LATE_MS * 1000000L};
    load_clients_reset(scene->clients);
    tell(scene, UNREAD, 1);
    load_canned_wait(scene->canned);
    (void)nanosleep(&late, NULL);
    all_are_told(scene);
    EXPECT(figures->unstamped == (uint64_t)CLIENTS * UNREAD);
    EXPECT(figures->lag_us.min >= (uint64_t)LATE_MS * 900);
    tell_and_take(scene, 1, 1);
    EXPECT(figures->interval_us.count == CLIENTS && figures->unstamped == 0);
    EXPECT(figures->interval_us.min >= (uint64_t)LATE_MS * 900);
}

static void who_is_stalled_reads_later(struct scene *scene)
{
    load_clients_stall(scene->clients, 3, true);
    load_clients_slow(scene->clients, 5, SLOW_BYTES);
    load_clients_run(scene->clients, bench_now_ns() + 50 * UINT64_C(1000000));
    tell(scene, UNREAD, 1);
    EXPECT(load_clients_wait_tick(scene->clients, scene->told + 1, PATIENCE_MS));
    EXPECT(!shows_all(scene, 3) && shows_all(scene, 4));
    for (int64_t end = test_now_ms() + PATIENCE_MS; !shows_all(scene, 5) && test_now_ms() < end;)
        load_clients_run(scene->clients, bench_now_ns() + 20 * UINT64_C(1000000));
    EXPECT(shows_all(scene, 5) && !shows_all(scene, 3));
    load_clients_stall(scene->clients, 3, false);
    load_clients_slow(scene->clients, 5, 0);
    all_are_told(scene);
    tell_and_take(scene, UNREAD, 1);
}

static void who_is_cut_off_is_lost(struct scene *scene)
{
    const struct load_figures *figures = load_clients_figures(scene->clients);
    load_canned_stop(scene->canned);
    for (int64_t end = test_now_ms() + PATIENCE_MS; figures->lost < CLIENTS && test_now_ms() < end;)
        load_clients_run(scene->clients, bench_now_ns() + 20 * UINT64_C(1000000));
    EXPECT(figures->lost == CLIENTS && load_clients_playing(scene->clients) == 0);
    load_clients_free(scene->clients);
}

static void play(bool without_ring)
{
    struct scene scene;
    open_scene(&scene, without_ring);
    intervals_are_known_or_counted(&scene);
    updates_read_together_have_no_arrival(&scene);
    an_arrival_is_not_the_reading(&scene);
    who_is_stalled_reads_later(&scene);
    who_is_cut_off_is_lost(&scene);
}

int main(void)
{
    struct load_ring *ring = load_ring_new();
    printf("this kernel %s\n", ring ? "reads by a ring" : "has no ring: both ways are the same");
    load_ring_free(ring);
    play(true);
    play(false);
    return plain_finish();
}
