#include "libcommon/base/alloc.h"
#include "libcommon/base/clock.h"
#include "libcommon/io/loop.h"

#include "tests/support/process.h"
#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct mm_loop *loop;
static const bool never;

static void setup(void)
{
    cr_assert_eq(mm_loop_create(NULL, &loop), MM_OK);
}

static void teardown(void)
{
    mm_loop_destroy(loop);
}

TestSuite(loop, .init = setup, .fini = teardown, .timeout = 300);

// Runs turns until nothing has been left to do for a moment.
static void settle(void)
{
    // Several turns, however late the first one is.
    for (int i = 0; i < 4; i++)
        (void)mm_loop_run_until(loop, &never, 5);
}

static void pair_make(int fds[2])
{
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
}

static void byte_send(int fd)
{
    cr_assert_eq(write(fd, "x", 1), 1);
}

// --- fds ---------------------------------------------------------------------------------------

struct fd_probe {
    int calls;
    unsigned events;
    bool done;
};

static void probe_read(struct mm_loop *l, int fd, unsigned events, void *arg)
{
    (void)l;
    struct fd_probe *probe = arg;
    char byte;
    probe->calls++;
    probe->events = events;
    if (events & MM_LOOP_READ)
        cr_assert_geq(read(fd, &byte, 1), 0);
    probe->done = true;
}

Test(loop, fd_reports_what_was_asked_for)
{
    int fds[2];
    pair_make(fds);
    struct fd_probe probe = {0};
    cr_assert_eq(mm_loop_fd_add(loop, fds[0], MM_LOOP_READ, probe_read, &probe), MM_OK);
    settle();
    cr_assert_eq(probe.calls, 0);
    byte_send(fds[1]);
    cr_assert(mm_loop_run_until(loop, &probe.done, TEST_PATIENCE_MS));
    cr_assert_eq(probe.events, MM_LOOP_READ);

    probe.done = false;
    cr_assert_eq(mm_loop_fd_set(loop, fds[0], MM_LOOP_WRITE), MM_OK);
    cr_assert(mm_loop_run_until(loop, &probe.done, TEST_PATIENCE_MS));
    cr_assert_eq(probe.events, MM_LOOP_WRITE);
    mm_loop_fd_remove(loop, fds[0]);
    close(fds[0]);
    close(fds[1]);
}

Test(loop, fd_without_interest_hears_not_even_a_hang_up)
{
    int fds[2];
    pair_make(fds);
    struct fd_probe probe = {0};
    cr_assert_eq(mm_loop_fd_add(loop, fds[0], 0, probe_read, &probe), MM_OK);
    close(fds[1]);
    settle();
    cr_assert_eq(probe.calls, 0);
    struct mm_loop_stats stats;
    mm_loop_stats(loop, &stats);
    cr_assert_lt(stats.turns, 10, "the loop spun %lu turns", (unsigned long)stats.turns);
    cr_assert_eq(mm_loop_fd_set(loop, fds[0], MM_LOOP_READ), MM_OK);
    cr_assert(mm_loop_run_until(loop, &probe.done, TEST_PATIENCE_MS));
    mm_loop_fd_remove(loop, fds[0]);
    close(fds[0]);
}

Test(loop, regular_file_is_refused)
{
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    cr_assert_eq(mm_loop_fd_add(loop, fd, MM_LOOP_READ, probe_read, NULL), MM_INVALID_ARGUMENT);
    // Nothing is left behind: the number can be used by something else.
    close(fd);
    int fds[2];
    pair_make(fds);
    cr_assert_eq(fds[0], fd);
    cr_assert_eq(mm_loop_fd_add(loop, fds[0], MM_LOOP_READ, probe_read, NULL), MM_OK);
    mm_loop_fd_remove(loop, fds[0]);
    close(fds[0]);
    close(fds[1]);
}

// Two fds are ready in one turn; whichever is called first removes and closes the other and puts a
// new socket in its place, which has the same number. Nothing may be called for it.
struct swap_test {
    int fds[2][2];
    int calls;
    int fresh[2];
    struct fd_probe fresh_probe;
};

static void swap_other(struct mm_loop *l, int fd, unsigned events, void *arg)
{
    (void)events;
    struct swap_test *test = arg;
    test->calls++;
    mm_loop_fd_remove(l, fd);
    int other = test->fds[0][0] == fd ? 1 : 0;
    int number = test->fds[other][0];
    mm_loop_fd_remove(l, number);
    close(number);
    pair_make(test->fresh);
    cr_assert_eq(test->fresh[0], number, "the kernel reuses the lowest number");
    cr_assert_eq(mm_loop_fd_add(l, number, MM_LOOP_READ, probe_read, &test->fresh_probe), MM_OK);
}

Test(loop, event_of_a_removed_fd_does_not_reach_its_successor)
{
    struct swap_test test = {0};
    for (int i = 0; i < 2; i++) {
        pair_make(test.fds[i]);
        cr_assert_eq(mm_loop_fd_add(loop, test.fds[i][0], MM_LOOP_READ, swap_other, &test), MM_OK);
        byte_send(test.fds[i][1]);
    }
    settle();
    cr_assert_eq(test.calls, 1);
    cr_assert_eq(test.fresh_probe.calls, 0);
    byte_send(test.fresh[1]);
    cr_assert(mm_loop_run_until(loop, &test.fresh_probe.done, TEST_PATIENCE_MS));
    mm_loop_fd_remove(loop, test.fresh[0]);
}

// --- timers ------------------------------------------------------------------------------------

#define TIMERS 3000

struct order_timer {
    struct mm_loop_timer timer;
    uint64_t deadline_ns;
    size_t start_index;
    bool stopped;
};

static struct order_timer order_timers[TIMERS];
static struct order_timer *fired[TIMERS];
static size_t fired_count;

static void order_fire(struct mm_loop *l, struct mm_loop_timer *timer, void *arg)
{
    (void)l;
    (void)timer;
    cr_assert_lt(fired_count, TIMERS);
    fired[fired_count++] = arg;
}

static int order_compare(const void *a, const void *b)
{
    const struct order_timer *x = *(struct order_timer *const *)a;
    const struct order_timer *y = *(struct order_timer *const *)b;
    if (x->deadline_ns != y->deadline_ns)
        return x->deadline_ns < y->deadline_ns ? -1 : 1;
    return x->start_index < y->start_index ? -1 : 1;
}

// The heap against a sort: many equal deadlines, a third stopped, a third moved.
Test(loop, timers_fire_in_order_of_deadline_then_start)
{
    srand(7);
    uint64_t base_ns = mm_clock_ns() - MM_LOOP_MS(1000);
    size_t start_index = 0;
    for (size_t i = 0; i < TIMERS; i++) {
        struct order_timer *t = &order_timers[i];
        mm_loop_timer_init(&t->timer, order_fire, t);
        t->deadline_ns = base_ns + (uint64_t)(rand() % 500);
        t->start_index = start_index++;
        mm_loop_timer_start_at(loop, &t->timer, t->deadline_ns, 0);
    }
    for (size_t i = 0; i < TIMERS; i++) {
        struct order_timer *t = &order_timers[(size_t)rand() % TIMERS];
        if (rand() % 2) {
            mm_loop_timer_stop(loop, &t->timer);
            t->stopped = true;
        } else {
            t->deadline_ns = base_ns + (uint64_t)(rand() % 500);
            t->start_index = start_index++;
            t->stopped = false;
            mm_loop_timer_start_at(loop, &t->timer, t->deadline_ns, 0);
        }
    }
    struct order_timer *expected[TIMERS];
    size_t expected_count = 0;
    for (size_t i = 0; i < TIMERS; i++)
        if (!order_timers[i].stopped)
            expected[expected_count++] = &order_timers[i];
    qsort(expected, expected_count, sizeof expected[0], order_compare);
    settle();
    cr_assert_eq(fired_count, expected_count);
    for (size_t i = 0; i < expected_count; i++)
        cr_assert_eq(fired[i], expected[i], "position %zu", i);
}

struct periodic {
    uint64_t first_ns;
    uint64_t calls, expirations;
    uint64_t block_ms;
    uint64_t calls_max;
    bool done;
};

static void periodic_fire(struct mm_loop *l, struct mm_loop_timer *timer, void *arg)
{
    struct periodic *p = arg;
    p->calls++;
    p->expirations += timer->expirations;
    cr_assert_eq((timer->deadline_ns - p->first_ns) % MM_LOOP_MS(2), 0, "deadline off the grid");
    cr_assert_eq((timer->deadline_ns - p->first_ns) / MM_LOOP_MS(2), p->expirations);
    cr_assert_geq(mm_clock_ns() + MM_LOOP_MS(2), timer->deadline_ns, "fired early");
    if (p->block_ms) {
        usleep((unsigned)p->block_ms * 1000);
        p->block_ms = 0;
    }
    if (p->calls >= p->calls_max) {
        mm_loop_timer_stop(l, timer);
        p->done = true;
    }
}

Test(loop, periodic_timer_keeps_to_its_grid_and_counts_what_it_missed)
{
    struct periodic p = {.calls_max = 60, .block_ms = 25};
    struct mm_loop_timer timer;
    mm_loop_timer_init(&timer, periodic_fire, &p);
    uint64_t begin_ns = mm_clock_ns();
    p.first_ns = begin_ns + MM_LOOP_MS(2);
    mm_loop_timer_start_at(loop, &timer, p.first_ns, MM_LOOP_MS(2));
    cr_assert(mm_loop_run_until(loop, &p.done, TEST_PATIENCE_MS));
    uint64_t periods = (mm_clock_ns() - begin_ns) / MM_LOOP_MS(2);
    cr_assert_geq(p.expirations, p.calls + 10, "the blocked periods were not counted");
    cr_assert_leq(p.expirations, periods);
    settle();
    cr_assert_eq(p.calls, 60, "fired after it was stopped");
}

struct stop_pair {
    struct mm_loop_timer a, b;
    int calls;
};

static void stop_the_other(struct mm_loop *l, struct mm_loop_timer *timer, void *arg)
{
    struct stop_pair *pair = arg;
    pair->calls++;
    mm_loop_timer_stop(l, timer == &pair->a ? &pair->b : &pair->a);
}

Test(loop, timer_stopped_by_another_of_the_same_turn_does_not_fire)
{
    struct stop_pair pair = {0};
    mm_loop_timer_init(&pair.a, stop_the_other, &pair);
    mm_loop_timer_init(&pair.b, stop_the_other, &pair);
    uint64_t past_ns = mm_clock_ns() - 1;
    mm_loop_timer_start_at(loop, &pair.a, past_ns, 0);
    mm_loop_timer_start_at(loop, &pair.b, past_ns, 0);
    settle();
    cr_assert_eq(pair.calls, 1);
}

static void restart_at_once(struct mm_loop *l, struct mm_loop_timer *timer, void *arg)
{
    ++*(int *)arg;
    mm_loop_timer_start_at(l, timer, 1, 0);
}

Test(loop, timer_that_always_restarts_itself_starves_nobody)
{
    int fds[2], fires = 0;
    pair_make(fds);
    struct fd_probe probe = {0};
    cr_assert_eq(mm_loop_fd_add(loop, fds[0], MM_LOOP_READ, probe_read, &probe), MM_OK);
    struct mm_loop_timer timer;
    mm_loop_timer_init(&timer, restart_at_once, &fires);
    mm_loop_timer_start(loop, &timer, 0, 0);
    byte_send(fds[1]);
    cr_assert(mm_loop_run_until(loop, &probe.done, TEST_PATIENCE_MS));
    cr_assert_lt(fires, 5);
    mm_loop_timer_stop(loop, &timer);
}

// --- tasks and posts ---------------------------------------------------------------------------

static char trail[64];

static void trail_add(struct mm_loop *l, void *arg)
{
    (void)l;
    size_t length = strlen(trail);
    cr_assert_lt(length + 1, sizeof trail);
    trail[length] = *(const char *)arg;
    trail[length + 1] = 0;
}

static struct mm_loop_task task_a, task_b, task_c;
static uint64_t turn_of_a, turn_of_b;

static uint64_t turns_now(void)
{
    struct mm_loop_stats stats;
    mm_loop_stats(loop, &stats);
    return stats.turns;
}

static void defer_b_cancel_c(struct mm_loop *l, void *arg)
{
    turn_of_a = turns_now();
    trail_add(l, arg);
    mm_loop_defer(l, &task_b);
    mm_loop_defer_cancel(l, &task_c);
}

static void note_b(struct mm_loop *l, void *arg)
{
    turn_of_b = turns_now();
    trail_add(l, arg);
}

Test(loop, deferred_tasks_run_once_in_order_and_new_ones_in_the_next_turn)
{
    mm_loop_task_init(&task_a, defer_b_cancel_c, (void *)(uintptr_t) "a");
    mm_loop_task_init(&task_b, note_b, (void *)(uintptr_t) "b");
    mm_loop_task_init(&task_c, trail_add, (void *)(uintptr_t) "c");
    mm_loop_defer(loop, &task_a);
    mm_loop_defer(loop, &task_a);
    mm_loop_defer(loop, &task_c);
    settle();
    cr_assert_str_eq(trail, "ab");
    cr_assert_eq(turn_of_b, turn_of_a + 1);
}

static int posts_run;

static void count_post(struct mm_loop *l, void *arg)
{
    (void)l;
    cr_assert_eq((int)(intptr_t)arg, posts_run, "out of order");
    posts_run++;
}

Test(loop, full_post_ring_refuses_and_the_refused_never_run)
{
    struct mm_loop_options options = {.posts_max = 16, .posts_per_turn_max = 4};
    mm_loop_destroy(loop);
    cr_assert_eq(mm_loop_create(&options, &loop), MM_OK);
    for (intptr_t i = 0; i < 16; i++)
        cr_assert_eq(mm_loop_post(loop, count_post, (void *)i), MM_OK);
    cr_assert_eq(mm_loop_post(loop, count_post, (void *)99), MM_RESOURCE_EXHAUSTED);
    // A task needs no slot.
    mm_loop_task_init(&task_a, trail_add, (void *)(uintptr_t) "t");
    mm_loop_post_task(loop, &task_a);
    settle();
    cr_assert_eq(posts_run, 16);
    cr_assert_str_eq(trail, "t");
    struct mm_loop_stats stats;
    mm_loop_stats(loop, &stats);
    cr_assert_eq(stats.posts_refused, 1);
    cr_assert_geq(stats.turns, 4, "more than posts_per_turn_max ran in a turn");
}

Test(loop, posted_tasks_run_in_order_and_can_be_taken_back)
{
    mm_loop_task_init(&task_a, trail_add, (void *)(uintptr_t) "a");
    mm_loop_task_init(&task_b, trail_add, (void *)(uintptr_t) "b");
    mm_loop_task_init(&task_c, trail_add, (void *)(uintptr_t) "c");
    mm_loop_post_task(loop, &task_c);
    mm_loop_post_task(loop, &task_b);
    mm_loop_post_task(loop, &task_a);
    mm_loop_post_task(loop, &task_c);
    mm_loop_post_cancel(loop, &task_b);
    mm_loop_post_cancel(loop, &task_b);
    settle();
    cr_assert_str_eq(trail, "ca");
    mm_loop_post_task(loop, &task_b);
    settle();
    cr_assert_str_eq(trail, "cab");
}

static void post_myself(struct mm_loop *l, void *arg)
{
    ++*(int *)arg;
    mm_loop_post_task(l, &task_a);
}

Test(loop, task_that_posts_itself_starves_nobody)
{
    int fds[2], runs = 0;
    pair_make(fds);
    struct fd_probe probe = {0};
    cr_assert_eq(mm_loop_fd_add(loop, fds[0], MM_LOOP_READ, probe_read, &probe), MM_OK);
    mm_loop_task_init(&task_a, post_myself, &runs);
    mm_loop_post_task(loop, &task_a);
    byte_send(fds[1]);
    cr_assert(mm_loop_run_until(loop, &probe.done, TEST_PATIENCE_MS));
    cr_assert_lt(runs, 5);
    mm_loop_post_cancel(loop, &task_a);
}

// --- the order of a turn, signals, statistics --------------------------------------------------

static void order_timer_fire(struct mm_loop *l, struct mm_loop_timer *timer, void *arg)
{
    (void)timer;
    trail_add(l, arg);
}

static void order_fd_ready(struct mm_loop *l, int fd, unsigned events, void *arg)
{
    (void)events;
    mm_loop_fd_remove(l, fd);
    trail_add(l, arg);
}

Test(loop, a_turn_is_timers_fds_posts_deferred)
{
    int fds[2];
    pair_make(fds);
    byte_send(fds[1]);
    mm_loop_task_init(&task_a, trail_add, (void *)(uintptr_t) "d");
    mm_loop_defer(loop, &task_a);
    cr_assert_eq(mm_loop_post(loop, trail_add, (void *)(uintptr_t) "p"), MM_OK);
    cr_assert_eq(
        mm_loop_fd_add(loop, fds[0], MM_LOOP_READ, order_fd_ready, (void *)(uintptr_t) "f"), MM_OK);
    struct mm_loop_timer timer;
    mm_loop_timer_init(&timer, order_timer_fire, (void *)(uintptr_t) "t");
    mm_loop_timer_start_at(loop, &timer, 1, 0);
    settle();
    cr_assert_str_eq(trail, "tfpd");
}

static void signal_seen(struct mm_loop *l, int number, void *arg)
{
    (void)l;
    int *sum = arg;
    *sum += number;
}

Test(loop, signals_arrive_on_the_loop)
{
    int sum = 0;
    cr_assert_eq(mm_loop_signal(loop, SIGUSR1, signal_seen, &sum), MM_OK);
    cr_assert_eq(mm_loop_signal(loop, SIGUSR2, signal_seen, &sum), MM_OK);
    raise(SIGUSR1);
    raise(SIGUSR2);
    settle();
    cr_assert_eq(sum, SIGUSR1 + SIGUSR2);
}

static void set_true(struct mm_loop *l, void *arg)
{
    (void)l;
    *(bool *)arg = true;
}

Test(loop, whoever_comes_too_late_has_a_turn)
{
    bool ran = false;
    cr_assert_eq(mm_loop_post(loop, set_true, &ran), MM_OK);
    cr_assert(mm_loop_run_until(loop, &ran, 0));
    bool again = false;
    cr_assert_eq(mm_loop_post(loop, set_true, &again), MM_OK);
    cr_assert(mm_loop_run_until(loop, &ran, 0), "done already");
    cr_assert_not(again, "so there is nothing to turn for");
}

static void sleep_30ms(struct mm_loop *l, void *arg)
{
    (void)l;
    (void)arg;
    usleep(30000);
}

Test(loop, statistics_tell_the_longest_callback)
{
    cr_assert_eq(mm_loop_post(loop, sleep_30ms, NULL), MM_OK);
    settle();
    struct mm_loop_stats stats;
    mm_loop_stats(loop, &stats);
    cr_assert_geq(stats.callback_max_ns, MM_LOOP_MS(30));
    cr_assert_geq(stats.turn_max_ns, MM_LOOP_MS(30));
    cr_assert_geq(stats.busy_ns, MM_LOOP_MS(30));
    mm_loop_stats_reset_max(loop);
    mm_loop_stats(loop, &stats);
    cr_assert_eq(stats.callback_max_ns, 0);
}

static void *stop_after_three_beats(void *beats)
{
    uint64_t before = mm_loop_heartbeat(loop);
    for (int64_t end_ms = test_now_ms() + TEST_PATIENCE_MS; test_now_ms() < end_ms; usleep(1000)) {
        *(uint64_t *)beats = mm_loop_heartbeat(loop) - before;
        if (*(uint64_t *)beats >= 3)
            break;
    }
    mm_loop_stop(loop);
    return NULL;
}

Test(loop, heart_beats_while_idle)
{
    uint64_t beats = 0;
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, stop_after_three_beats, &beats), 0);
    mm_loop_run(loop);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_geq(beats, 3);
}

Test(loop, every_failing_allocation_is_reported)
{
    for (int countdown = 0;; countdown++) {
        struct mm_loop *made = NULL;
        mm_alloc_fail_after(countdown);
        enum mm_err err = mm_loop_create(NULL, &made);
        mm_alloc_fail_after(-1);
        if (err == MM_OK) {
            cr_assert_geq(countdown, 3);
            mm_loop_destroy(made);
            return;
        }
        cr_assert_eq(err, MM_RESOURCE_EXHAUSTED);
        cr_assert_null(made);
    }
}
