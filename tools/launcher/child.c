#include "tools/launcher/child.h"

#include "libcommon/base/check.h"
#include "libcommon/base/clock.h"
#include "libcommon/base/str.h"
#include "tools/launcher/files.h"
#include "tools/launcher/ports.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

// Status that every program of ours ends with when its settings are wrong: no restart helps.
enum { EXIT_BAD_SETTINGS = 2 };

static const char *const state_names[] = {"idle",     "starting", "ready", "waiting",
                                          "stopping", "stopped",  "failed"};

const char *child_state_name(enum child_state state)
{
    return state_names[state];
}

bool child_runs(const struct child *child)
{
    return child->pid > 0;
}

void child_clear(struct child *child)
{
    for (unsigned k = 0; k < child->argc; k++)
        free(child->argv[k]);
    free(child->log_path);
    free((char *)(uintptr_t)child->rpc);
    if (child->optional)
        free((char *)(uintptr_t)child->name);
    *child = (struct child){.optional = true, .state = CHILD_STOPPED};
}

static void change(struct child *child, enum child_state state)
{
    child->state = state;
    child->on_change(child, child->on_change_arg);
}

// Between fork and exec only what is async-signal-safe.
__attribute__((noreturn)) static void become(const struct child *child, pid_t parent, int log_fd)
{
    // Own group: the terminal's Ctrl-C reaches the launcher alone, which then stops all in order.
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127); // the launcher died before the line above
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int null_fd = open("/dev/null", O_RDONLY);
    dup2(null_fd, STDIN_FILENO);
    dup2(log_fd, STDOUT_FILENO);
    dup2(log_fd, STDERR_FILENO);
    execve(child->argv[0], child->argv, child->env);
    const char *reason = strerror(errno);
    ssize_t ignored = write(STDERR_FILENO, reason, strlen(reason));
    (void)ignored;
    _exit(127);
}

static void on_ready(void *arg)
{
    struct child *child = arg;
    if (child->state != CHILD_STARTING)
        return;
    child->ready_after_ms = (mm_clock_ns() - child->started_ns) / 1000000;
    change(child, CHILD_READY);
}

void child_start(struct child *child)
{
    MM_CHECK(child->pid == 0);
    pid_t parent = getpid(), pid = -1;
    int log_fd = open(child->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log_fd >= 0)
        pid = fork();
    if (pid == 0)
        become(child, parent, log_fd);
    child->start_error = pid < 0 ? errno : 0;
    if (log_fd >= 0)
        close(log_fd);
    if (pid < 0) {
        change(child, CHILD_FAILED);
        return;
    }
    child->pid = pid;
    child->started_ns = mm_clock_ns();
    change(child, CHILD_STARTING);
    probe_start(&child->probe, &child->target, on_ready, child);
}

static void on_timer(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop;
    (void)timer;
    struct child *child = arg;
    if (child->state == CHILD_WAITING)
        child_start(child);
    else if (child->state == CHILD_STOPPING) {
        printf("  %-11s does not end within %.0f s and is killed\n", child->name,
               (double)child->stopping_ms / 1000);
        child_kill(child);
    }
}

void child_init(struct child *child, struct mm_loop *loop, child_change_fn on_change, void *arg)
{
    child->loop = loop;
    child->on_change = on_change;
    child->on_change_arg = arg;
    mm_loop_timer_init(&child->timer, on_timer, child);
    probe_init(&child->probe, loop);
}

void child_stop(struct child *child)
{
    mm_loop_timer_stop(child->loop, &child->timer);
    probe_stop(&child->probe);
    if (!child_runs(child)) {
        if (child->state != CHILD_FAILED)
            change(child, CHILD_STOPPED);
        return;
    }
    // MariaDB, for one, hangs for good if it is told to end while it reads its --init-file.
    bool early = child->state == CHILD_STARTING && child->stop_ms > CHILD_STOP_UNREADY_MS;
    child->stopping_ms = early ? CHILD_STOP_UNREADY_MS : child->stop_ms;
    kill(child->pid, SIGTERM);
    mm_loop_timer_start(child->loop, &child->timer, MM_LOOP_MS(child->stopping_ms), 0);
    change(child, CHILD_STOPPING);
}

void child_kill(struct child *child)
{
    // The whole group: a program may have started others.
    if (child_runs(child))
        kill(-child->pid, SIGKILL);
}

// How many of the remembered deaths are recent.
static uint32_t recent_deaths(const struct child *child, uint64_t now_ns)
{
    uint32_t recent = 0;
    uint32_t known = child->deaths < CHILD_DEATHS_MAX ? child->deaths : CHILD_DEATHS_MAX;
    for (uint32_t i = 0; i < known; i++)
        recent += now_ns - child->deaths_ns[i] < MM_LOOP_MS(CHILD_DEATHS_WITHIN_MS);
    return recent;
}

void child_ended(struct child *child, int status)
{
    child->pid = 0;
    child->last_status = status;
    probe_stop(&child->probe);
    mm_loop_timer_stop(child->loop, &child->timer);
    if (child->state == CHILD_STOPPING) {
        change(child, CHILD_STOPPED);
        return;
    }
    uint64_t now_ns = mm_clock_ns();
    child->deaths_ns[child->deaths++ % CHILD_DEATHS_MAX] = now_ns;
    uint32_t recent = recent_deaths(child, now_ns);
    bool hopeless = WIFEXITED(status) &&
                    (WEXITSTATUS(status) == EXIT_BAD_SETTINGS || WEXITSTATUS(status) == 127);
    if (hopeless || recent >= CHILD_DEATHS_MAX) {
        change(child, CHILD_FAILED);
        return;
    }
    // At once after the first death, then 100, 200, 400 ms.
    uint64_t delay_ms = recent <= 1 ? 0 : 50ULL << (recent - 1);
    child->restarts++;
    change(child, CHILD_WAITING);
    if (child->state == CHILD_WAITING)
        mm_loop_timer_start(child->loop, &child->timer, MM_LOOP_MS(delay_ms), 0);
}

void child_trim_log(const struct child *child)
{
    int fd = open(child->log_path, O_RDWR | O_CLOEXEC);
    struct stat status;
    if (fd >= 0 && fstat(fd, &status) == 0 && status.st_size > CHILD_LOG_BYTES_MAX) {
        char *old_path = launcher_text("%s.1", child->log_path);
        int old = open(old_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        off_t offset = 0;
        while (old >= 0 && offset < status.st_size &&
               sendfile(old, fd, &offset, (size_t)(status.st_size - offset)) > 0)
            ;
        if (old >= 0)
            close(old);
        // The child writes with O_APPEND: it goes on at the new end.
        if (ftruncate(fd, 0) != 0)
            fprintf(stderr, "mmorts-launcher: cannot cut %s: %s\n", child->log_path,
                    strerror(errno));
        free(old_path);
    }
    if (fd >= 0)
        close(fd);
}

bool child_lacks_port(const struct child *child)
{
    return !child_runs(child) && child->target.kind != PROBE_NONE &&
           !ports_can_listen(child->target.port) && errno == EADDRINUSE;
}

void child_describe_end(const struct child *child, char *out, unsigned out_bytes)
{
    int status = child->last_status;
    if (child->start_error != 0)
        snprintf(out, out_bytes, "not started: %s", strerror(child->start_error));
    else if (WIFSIGNALED(status))
        snprintf(out, out_bytes, "killed by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(out, out_bytes, "exit status %d", WEXITSTATUS(status));
}
