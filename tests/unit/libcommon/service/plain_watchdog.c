// The watchdog with real threads: it leaves a living loop alone, counts a stall once, and ends a
// process whose loop is stuck with SIGABRT and a stack on stderr.

#include "libcommon/base/clock.h"
#include "libcommon/base/log.h"
#include "libcommon/service/watchdog.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int passed, failed;

static void expect(bool good, const char *what)
{
    printf("%s: %s\n", good ? "ok" : "FAILED", what);
    good ? passed++ : failed++;
}

static uint64_t read_beat(const void *ctx)
{
    return atomic_load((const atomic_uint_fast64_t *)ctx);
}

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static void beat_until(atomic_uint_fast64_t *beat, uint64_t ms)
{
    uint64_t end = mm_clock_ms() + ms;
    while (mm_clock_ms() < end) {
        atomic_fetch_add(beat, 1);
        sleep_ms(5);
    }
}

static void test_counts(void)
{
    atomic_uint_fast64_t beat = 0;
    struct mm_watchdog *watchdog = NULL;
    if (mm_watchdog_start(200, false, read_beat, &beat, &watchdog) != MM_OK) {
        expect(false, "starts");
        return;
    }
    beat_until(&beat, 600);
    expect(mm_watchdog_stalls(watchdog) == 0, "a beating loop is left alone");
    uint64_t deadline = mm_clock_ms() + 10000;
    while (mm_watchdog_stalls(watchdog) == 0 && mm_clock_ms() < deadline) {
        sleep_ms(20);
    }
    expect(mm_watchdog_stalls(watchdog) == 1, "a silent loop is a stall");
    sleep_ms(600);
    expect(mm_watchdog_stalls(watchdog) == 1, "which is counted once");
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
        if (mm_watchdog_start(200, true, read_beat, &beat, &watchdog) != MM_OK) {
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
    test_counts();
    static char text[16384];
    int status = run_stuck_child(text, sizeof text);
    expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "a stuck process ends with SIGABRT");
    expect(strstr(text, "event loop is stuck") != NULL, "says so");
    expect(strstr(text, "pause") != NULL || strstr(text, "libc") != NULL, "and shows the stack");
    printf("%d passed, %d failed\n", passed, failed);
    return failed == 0 ? 0 : 1;
}
