#include "tests/support/process.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    POLL_PAUSE_MS = 5,
    HTTP_TRY_MS = 1000,
    PORT_FIRST = 20000, // below Linux's ephemeral range, which starts at 32768
    PORT_LAST = 31999,
    PORT_TRIES = 1000,
    PORTS_AT_ONCE_MAX = 128,
    DIRS_MAX = 64,
    BASE_BYTES_MAX = 48, // of TMPDIR
    READ_ROOM = 4096,
    LOG_KEPT_BYTES = 4000,
};

struct test_process {
    pid_t pid;
    bool running;
    int status;
    char *name;
    char *log_path;
    struct test_process *next; // in the list of all, for the end of this process
};

static struct test_process *all_processes;
static char *all_dirs[DIRS_MAX];
static size_t all_dirs_count;
static pid_t owner_pid; // a forked child inherits the lists, but not the duty to clean up

void test_fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("test harness: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    abort();
}

int64_t test_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void pause_ms(int ms)
{
    (void)poll(NULL, 0, ms);
}

static void report_sanitizer(const char *log_path);

// Services that a launcher runs write logs of their own below its directory, and who died of what a
// sanitizer found runs again a moment later.
static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
    (void)info;
    const char *ending = strstr(path + walk->base, ".log");
    bool is_log = ending && (strcmp(ending, ".log") == 0 || strcmp(ending, ".log.1") == 0);
    if (kind == FTW_F && is_log && access(path, R_OK) == 0)
        report_sanitizer(path);
    (void)remove(path);
    return 0;
}

static void clean_up(void)
{
    if (getpid() != owner_pid)
        return;
    while (all_processes)
        test_process_free(all_processes);
    for (size_t i = 0; i < all_dirs_count; i++) {
        nftw(all_dirs[i], remove_entry, 16, FTW_DEPTH | FTW_PHYS);
        free(all_dirs[i]);
    }
    all_dirs_count = 0;
}

// A forked test (Criterion runs each in a process of its own) starts with lists of its own.
static void own_the_lists(void)
{
    if (owner_pid == getpid())
        return;
    owner_pid = getpid();
    all_processes = NULL;
    all_dirs_count = 0;
    if (atexit(clean_up) != 0)
        test_fail("atexit");
}

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
}

// Takes the name that stands for a port until this process ends: whoever gets the port may not
// listen yet, or stop for a while, and meanwhile no other test on this machine, of those that
// Criterion runs side by side either, is to be given it. Answers the socket of that name (which
// servers.mjs knows too), or -1 if it is taken.
static int claim_port(uint16_t port)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    char text[32];
    int len = snprintf(text, sizeof text, "mmorts-test-port-%u", port);
    memset(name.sun_path + 1, '.', sizeof name.sun_path - 1);
    memcpy(name.sun_path + 1, text, (size_t)len);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        test_fail("socket: %s", strerror(errno));
    if (bind(fd, (struct sockaddr *)&name, sizeof name) == 0)
        return fd;
    close(fd);
    return -1;
}

// The claim of a port that nobody listens on, or -1.
static int claim_if_free(uint16_t port)
{
    int claim = claim_port(port);
    if (claim < 0)
        return -1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        test_fail("socket: %s", strerror(errno));
    struct sockaddr_in address = loopback(port);
    int result = bind(fd, (struct sockaddr *)&address, sizeof address);
    close(fd);
    if (result == 0)
        return claim;
    close(claim);
    return -1;
}

uint16_t test_ports_free(unsigned count)
{
    int claims[PORTS_AT_ONCE_MAX];
    if (count == 0 || count > PORTS_AT_ONCE_MAX)
        test_fail("%u ports at once", count);
    for (int i = 0; i < PORT_TRIES; i++) {
        uint16_t number;
        if (getrandom(&number, sizeof number, 0) != sizeof number)
            test_fail("getrandom: %s", strerror(errno));
        uint16_t port = (uint16_t)(PORT_FIRST + number % (PORT_LAST - PORT_FIRST + 2 - (int)count));
        unsigned claimed = 0;
        while (claimed < count &&
               (claims[claimed] = claim_if_free((uint16_t)(port + claimed))) >= 0)
            claimed++;
        if (claimed == count)
            return port; // the claims stay open
        while (claimed > 0)
            close(claims[--claimed]);
    }
    test_fail("no free ports between %d and %d", PORT_FIRST, PORT_LAST);
}

uint16_t test_port_free(void)
{
    return test_ports_free(1);
}

char *test_dir_make(void)
{
    own_the_lists();
    if (all_dirs_count == DIRS_MAX)
        test_fail("more than %d temporary directories", DIRS_MAX);
    const char *base = getenv("TMPDIR");
    char *path;
    // Below a long one the names of sockets would not fit into 107 bytes.
    bool fits = base && *base && strlen(base) <= BASE_BYTES_MAX;
    if (asprintf(&path, "%s/mmt-XXXXXX", fits ? base : "/tmp") < 0 || !mkdtemp(path))
        test_fail("temporary directory: %s", strerror(errno));
    all_dirs[all_dirs_count++] = path;
    char *copy = strdup(path);
    if (!copy)
        test_fail("out of memory");
    return copy;
}

char *test_binary_path(const char *name)
{
    const char *build = getenv("B");
    char *path;
    if (asprintf(&path, "%s/bin/%s", build && *build ? build : "build", name) < 0)
        test_fail("out of memory");
    if (strchr(name, '/') == NULL && access(path, X_OK) == 0)
        return path;
    free(path);
    path = strdup(name);
    if (!path)
        test_fail("out of memory");
    return path;
}

// In the child: never returns.
static void run_child(const char *path, const char *const *argv, const char *const *env, int log_fd,
                      pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127);
    for (size_t i = 0; env && env[i]; i++)
        putenv((char *)(uintptr_t)env[i]);
    int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    dup2(null_fd, STDIN_FILENO);
    dup2(log_fd, STDOUT_FILENO);
    dup2(log_fd, STDERR_FILENO);
    // execvp does not change the strings; its prototype is older than const.
    execvp(path, (char *const *)(uintptr_t)argv);
    fprintf(stderr, "%s: %s\n", path, strerror(errno));
    _exit(127);
}

struct test_process *test_process_start(const char *const *argv, const char *const *env)
{
    own_the_lists();
    struct test_process *process = calloc(1, sizeof *process);
    char *dir = test_dir_make();
    const char *slash = strrchr(argv[0], '/');
    if (!process || !(process->name = strdup(slash ? slash + 1 : argv[0])) ||
        asprintf(&process->log_path, "%s/%s.log", dir, process->name) < 0)
        test_fail("out of memory");
    free(dir);
    int log_fd = open(process->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log_fd < 0)
        test_fail("%s: %s", process->log_path, strerror(errno));

    char *path = test_binary_path(argv[0]);
    pid_t parent = getpid();
    process->pid = fork();
    if (process->pid < 0)
        test_fail("fork: %s", strerror(errno));
    if (process->pid == 0)
        run_child(path, argv, env, log_fd, parent);
    free(path);
    close(log_fd);
    process->running = true;
    process->next = all_processes;
    all_processes = process;
    return process;
}

pid_t test_process_pid(const struct test_process *process)
{
    return process->pid;
}

static char *read_all(int fd)
{
    char *text = NULL;
    size_t size = 0;
    size_t capacity = 0;
    for (;;) {
        if (capacity - size < READ_ROOM) {
            capacity = capacity * 2 + 2 * READ_ROOM;
            char *larger = realloc(text, capacity);
            if (!larger)
                test_fail("out of memory");
            text = larger;
        }
        ssize_t count = read(fd, text + size, capacity - size - 1);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            break;
        size += (size_t)count;
    }
    text[size] = '\0';
    return text;
}

static char *read_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        test_fail("%s: %s", path, strerror(errno));
    char *text = read_all(fd);
    close(fd);
    return text;
}

char *test_process_log(const struct test_process *process)
{
    return read_file(process->log_path);
}

bool test_process_running(struct test_process *process)
{
    if (process->running && waitpid(process->pid, &process->status, WNOHANG) == process->pid)
        process->running = false;
    return process->running;
}

static bool log_contains(const struct test_process *process, const char *text)
{
    char *log = test_process_log(process);
    bool found = strstr(log, text) != NULL;
    free(log);
    return found;
}

static void show_log(const struct test_process *process, const char *why)
{
    char *log = test_process_log(process);
    fprintf(stderr, "--- %s (%s), its log:\n%s---\n", process->name, why, log);
    free(log);
}

bool test_process_wait_log(struct test_process *process, const char *text, int timeout_ms)
{
    int64_t deadline_ms = test_now_ms() + timeout_ms;
    for (;;) {
        // Asked before the log is read: what it wrote last is then in the log.
        bool running = test_process_running(process);
        if (log_contains(process, text))
            return true;
        if (!running || test_now_ms() >= deadline_ms) {
            show_log(process, running ? "did not say it in time" : "ended");
            return false;
        }
        pause_ms(POLL_PAUSE_MS);
    }
}

bool test_process_wait_ready(struct test_process *process, uint16_t port, int timeout_ms)
{
    int64_t deadline_ms = test_now_ms() + timeout_ms;
    for (;;) {
        bool running = test_process_running(process);
        if (running && test_http_get(port, "/readyz", HTTP_TRY_MS, NULL) == 200)
            return true;
        if (!running || test_now_ms() >= deadline_ms) {
            show_log(process, running ? "not ready in time" : "ended");
            return false;
        }
        pause_ms(POLL_PAUSE_MS);
    }
}

int64_t test_process_cpu_ms(const struct test_process *process)
{
    clockid_t clock;
    struct timespec used;
    if (clock_getcpuclockid(process->pid, &clock) != 0 || clock_gettime(clock, &used) != 0)
        test_fail("the CPU time of a process cannot be read");
    return (int64_t)used.tv_sec * 1000 + used.tv_nsec / 1000000;
}

void test_process_signal(struct test_process *process, int signal)
{
    if (test_process_running(process) && kill(process->pid, signal) != 0)
        test_fail("kill %s: %s", process->name, strerror(errno));
}

static bool wait_end(struct test_process *process, int timeout_ms)
{
    int64_t deadline_ms = test_now_ms() + timeout_ms;
    while (test_process_running(process)) {
        if (test_now_ms() >= deadline_ms)
            return false;
        pause_ms(POLL_PAUSE_MS);
    }
    return true;
}

int test_process_wait(struct test_process *process, int timeout_ms)
{
    if (wait_end(process, timeout_ms))
        return process->status;
    test_process_kill(process);
    show_log(process, "did not end in time");
    return -1;
}

int test_process_stop(struct test_process *process)
{
    test_process_signal(process, SIGTERM);
    return test_process_wait(process, TEST_PATIENCE_MS);
}

void test_process_kill(struct test_process *process)
{
    test_process_signal(process, SIGKILL);
    if (!wait_end(process, TEST_PATIENCE_MS))
        test_fail("%s survived SIGKILL", process->name);
}

// What a sanitizer found in a program must fail the test: tests/run.sh looks for this line.
static void report_sanitizer(const char *log_path)
{
    static const char *const marks[] = {"Sanitizer: ", ": runtime error: "};
    char *log = read_file(log_path);
    bool found = false;
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
        found = found || strstr(log, marks[i]);
    if (found)
        fprintf(stderr, "\ntest harness: a sanitizer's report in %s:\n%s---\n", log_path, log);
    free(log);
}

// tests/run.sh shows it if the test fails.
static void keep_end_of_log(const struct test_process *process)
{
    const char *path = getenv("MM_TEST_LOGS");
    FILE *file = path && *path ? fopen(path, "a") : NULL;
    if (!file)
        return;
    char *log = test_process_log(process);
    size_t len = strlen(log);
    const char *end = len > LOG_KEPT_BYTES ? log + len - LOG_KEPT_BYTES : log;
    fprintf(file, "--- the end of the log of %s, process %d:\n%s\n", process->name, process->pid,
            end);
    free(log);
    fclose(file);
}

// The log and its directory, so that a long test may start any number of programs.
static void remove_log(const struct test_process *process)
{
    size_t dir_len = (size_t)(strrchr(process->log_path, '/') - process->log_path);
    unlink(process->log_path);
    for (size_t i = 0; i < all_dirs_count; i++) {
        if (strlen(all_dirs[i]) != dir_len || memcmp(all_dirs[i], process->log_path, dir_len) != 0)
            continue;
        rmdir(all_dirs[i]);
        free(all_dirs[i]);
        all_dirs[i] = all_dirs[--all_dirs_count];
        break;
    }
}

void test_process_free(struct test_process *process)
{
    if (!process)
        return;
    test_process_kill(process);
    report_sanitizer(process->log_path);
    keep_end_of_log(process);
    for (struct test_process **link = &all_processes; *link; link = &(*link)->next) {
        if (*link == process) {
            *link = process->next;
            break;
        }
    }
    remove_log(process);
    free(process->name);
    free(process->log_path);
    free(process);
}

// A connected socket whose reads and writes end at the time-out, or -1.
static int connect_loopback(uint16_t port, int timeout_ms)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    struct timeval limit = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    struct sockaddr_in address = loopback(port);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}

int test_http_get(uint16_t port, const char *path, int timeout_ms, char **body)
{
    if (body)
        *body = NULL;
    int fd = connect_loopback(port, timeout_ms);
    if (fd < 0)
        return -1;
    // HTTP/1.0: the server closes when it has said everything.
    char *question, *answer = NULL;
    int len = asprintf(&question, "GET %s HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n", path);
    if (len < 0)
        test_fail("out of memory");
    if (send(fd, question, (size_t)len, MSG_NOSIGNAL) == len)
        answer = read_all(fd);
    free(question);
    close(fd);
    int status = -1;
    if (!answer || sscanf(answer, "HTTP/1.%*1d %3d ", &status) != 1)
        status = -1;
    char *start = answer ? strstr(answer, "\r\n\r\n") : NULL;
    if (body && status > 0 && start)
        *body = strdup(start + 4);
    free(answer);
    return status;
}
