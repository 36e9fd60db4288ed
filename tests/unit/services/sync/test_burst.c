#include "services/sync/burst.h"

#include "tests/support/refuse_syscall.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAIRS = 600, SMALL_BUFFER = 4096 };

static struct sync_burst *burst;
static int ours[PAIRS], theirs[PAIRS], results[PAIRS];
static size_t told; // how many messages' ends we heard of
static char order[PAIRS + 1];

static void connect_pair(int i)
{
    int pair[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    ours[i] = pair[0];
    theirs[i] = pair[1];
}

static void begin(void)
{
    burst = sync_burst_new();
    if (!burst)
        cr_skip_test("no io_uring here");
    told = 0;
}

static void finish(void)
{
    sync_burst_free(burst);
}

TestSuite(burst, .init = begin, .fini = finish);

static void done(void *arg, int result, const uint8_t *data, size_t len)
{
    int i = (int)((int *)arg - ours);
    results[i] = result;
    order[told++] = (char)data[0];
    cr_assert(len > 0);
}

static void add(int i, const void *data, size_t len)
{
    uint8_t *room = sync_burst_reserve(burst, len + 10); // less may be used than was asked for
    cr_assert(room);
    memcpy(room, data, len);
    sync_burst_add(burst, ours[i], len, &ours[i]);
}

static size_t receive(int i, char *out, size_t bytes)
{
    ssize_t n = recv(theirs[i], out, bytes, MSG_DONTWAIT);
    return n > 0 ? (size_t)n : 0;
}

Test(burst, every_socket_gets_its_own)
{
    char text[32], got[32];
    for (int i = 0; i < 200; i++) {
        connect_pair(i);
        int len = snprintf(text, sizeof text, "%c for socket %d", 'a' + i % 26, i);
        add(i, text, (size_t)len);
    }
    cr_assert_eq(sync_burst_count(burst), 200u);
    cr_assert_eq(receive(0, got, sizeof got), 0u, "nothing goes before the flush");
    sync_burst_flush(burst, done);
    cr_assert(told == 200 && sync_burst_count(burst) == 0);
    for (int i = 0; i < 200; i++) {
        int len = snprintf(text, sizeof text, "%c for socket %d", 'a' + i % 26, i);
        cr_assert_eq(results[i], len);
        cr_assert_eq(order[i], 'a' + i % 26);
        cr_assert_eq(receive(i, got, sizeof got), (size_t)len);
        cr_assert_eq(memcmp(got, text, (size_t)len), 0);
    }
}

Test(burst, again_and_again)
{
    char got[8];
    connect_pair(0);
    for (int round = 0; round < 2000; round++) {
        add(0, &round, sizeof round);
        sync_burst_flush(burst, done);
        told = 0;
        cr_assert_eq(results[0], (int)sizeof round);
        cr_assert_eq(receive(0, got, sizeof got), sizeof round);
        cr_assert_eq(memcmp(got, &round, sizeof round), 0);
    }
    sync_burst_flush(burst, done);
    cr_assert_eq(told, 0u, "nothing was added");
}

Test(burst, a_full_socket_says_how_much_it_took)
{
    static uint8_t much[400 << 10];
    int bytes = SMALL_BUFFER;
    connect_pair(0);
    connect_pair(1);
    cr_assert_eq(setsockopt(ours[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes), 0);
    add(0, much, sizeof much);
    add(1, "x", 1);
    sync_burst_flush(burst, done);
    cr_assert(results[0] > 0 && results[0] < (int)sizeof much, "%d", results[0]);
    cr_assert_eq(results[1], 1, "the next one is served all the same");
    add(0, much, sizeof much);
    sync_burst_flush(burst, done);
    cr_assert_eq(results[0], -EAGAIN);
}

Test(burst, a_dead_socket_is_told_and_harms_nobody)
{
    connect_pair(0);
    connect_pair(1);
    close(theirs[0]);
    add(0, "a", 1);
    add(1, "b", 1);
    sync_burst_flush(burst, done);
    cr_assert(results[0] == -EPIPE && results[1] == 1);
}

Test(burst, there_is_an_end_to_what_it_holds)
{
    connect_pair(0);
    for (int i = 0; i < SYNC_BURST_SENDS_MAX; i++)
        add(0, "x", 1);
    cr_assert_null(sync_burst_reserve(burst, 1), "so many sends");
    sync_burst_flush(burst, done);
    cr_assert_eq(told, (size_t)SYNC_BURST_SENDS_MAX);
    cr_assert_null(sync_burst_reserve(burst, SYNC_BURST_BYTES + 1));
    cr_assert(sync_burst_reserve(burst, SYNC_BURST_BYTES));
    sync_burst_add(burst, ours[0], SYNC_BURST_BYTES, &ours[0]);
    cr_assert_null(sync_burst_reserve(burst, 1), "so many bytes");
}

Test(no_burst, where_io_uring_is_refused)
{
    refuse_syscall(SYS_io_uring_setup, EPERM);
    cr_assert_null(sync_burst_new());
}
