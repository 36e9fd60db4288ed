// The watchdog with real threads: it leaves a living loop alone, counts a stall once, and ends a
// process whose loop is stuck with SIGABRT and a stack on stderr.

#include "libcommon/base/clock.h"
#include "libcommon/base/log.h"
#include "libcommon/service/watchdog.h"
#include "tests/support/plain.h"
#include "tests/support/process.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { STALL_MS = 200 };

static uint64_t read_beat(const void *ctx)
{
    return atomic_load((const atomic_uint_fast64_t *)ctx);
}

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

// The longest time without a beat since `last`: on a busy machine this thread may be held up
// itself.
static void note_silence(uint64_t *longest, uint64_t *last)
{
    uint64_t now = mm_clock_ms();
    if (now - *last > *longest)
        *longest = now - *last;
    *last = now;
}

static struct mm_watchdog *start(atomic_uint_fast64_t *beat)
{
    struct mm_watchdog *watchdog = NULL;
    if (mm_watchdog_start("event loop is stuck", STALL_MS, false, read_beat, beat, &watchdog) !=
        MM_OK)
        test_fail("the watchdog does not start");
    return watchdog;
}

static void test_beating(void)
{
    bool left_alone = false;
    for (int i = 0; i < 50 && !left_alone; i++) {
        atomic_uint_fast64_t beat = 0;
        uint64_t last = mm_clock_ms(), end = last + 3 * STALL_MS, longest = 0;
        struct mm_watchdog *watchdog = start(&beat);
        while (last < end) {
            sleep_ms(5);
            atomic_fetch_add(&beat, 1);
            note_silence(&longest, &last);
        }
        left_alone = mm_watchdog_stalls(watchdog) == 0;
        note_silence(&longest, &last);
        mm_watchdog_stop(watchdog);
        if (!left_alone && longest < STALL_MS / 2) {
            break; // it was not held up, and is complained of all the same
        }
    }
    EXPECT_THAT(left_alone, "a beating loop is left alone");
}

static void test_silent(void)
{
    atomic_uint_fast64_t beat = 0;
    struct mm_watchdog *watchdog = start(&beat);
    uint64_t deadline = mm_clock_ms() + TEST_PATIENCE_MS;
    while (mm_watchdog_stalls(watchdog) == 0 && mm_clock_ms() < deadline) {
        sleep_ms(20);
    }
    EXPECT_THAT(mm_watchdog_stalls(watchdog) == 1, "a silent loop is a stall");
    sleep_ms(3 * STALL_MS);
    EXPECT_THAT(mm_watchdog_stalls(watchdog) == 1, "which is counted once");
    mm_watchdog_stop(watchdog);
}

// The child hangs; returns its wait status, its stderr in `text`.
static int run_stuck_child(char *text, size_t text_bytes)
{
    int pipe_fds[2];
    if (pipe(pipe_fds) != 0) {
        return -1;
    }
    pid_t pid = fork();
    if (pid == 0) {
        dup2(pipe_fds[1], STDERR_FILENO);
        mm_log_init("stuck", MM_LOG_LEVEL_INFO);
        atomic_uint_fast64_t beat = 0;
        struct mm_watchdog *watchdog = NULL;
        if (mm_watchdog_start("event loop is stuck", STALL_MS, true, read_beat, &beat, &watchdog) !=
            MM_OK) {
            _exit(3);
        }
        for (;;) {
            pause();
        }
    }
    close(pipe_fds[1]);
    size_t used = 0;
    ssize_t got;
    while (used + 1 < text_bytes &&
           (got = read(pipe_fds[0], text + used, text_bytes - used - 1)) > 0) {
        used += (size_t)got;
    }
    text[used] = '\0';
    close(pipe_fds[0]);
    int status = 0;
    return waitpid(pid, &status, 0) == pid ? status : -1;
}

int main(void)
{
    test_beating();
    test_silent();
    static char text[16384];
    int status = run_stuck_child(text, sizeof text);
    EXPECT_THAT(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT,
                "a stuck process ends with SIGABRT");
    EXPECT_THAT(strstr(text, "event loop is stuck") != NULL, "says so");
    EXPECT_THAT(strstr(text, "pause") != NULL || strstr(text, "libc") != NULL,
                "and shows the stack");
    return plain_finish();
}
