#ifndef MM_TESTS_SUPPORT_PROCESS_H
#define MM_TESTS_SUPPORT_PROCESS_H

// Programs, ports and directories for tests. Nothing outlives the test: what is still running
// at exit is killed and reaped, a child gets SIGKILL when the thread that started it dies, and
// temporary directories are removed. A harness that cannot do its work prints why and aborts,
// which fails the test; so there is no error to check. Call from one thread.

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

// How long to wait for what must come: far longer than it takes on a machine that is slow and
// busy with others besides. A wait that ends sooner makes a test that fails by chance.
enum { TEST_PATIENCE_MS = 60000 };
// For the start of a program that makes tables first: each is several writes that a disk must have.
enum { TEST_TABLES_MS = 3 * TEST_PATIENCE_MS };

struct test_process;

// Prints the message to stderr and aborts.
__attribute__((noreturn, format(printf, 1, 2))) void test_fail(const char *format, ...);

// A TCP port of 127.0.0.1, below the ephemeral range, that nobody listened on a moment ago, and
// that no test on this machine is given while this process runs.
uint16_t test_port_free(void);

// The first of so many in a row, at most 128.
uint16_t test_ports_free(unsigned count);

// A new empty directory with a short absolute path (fit for ipc:// sockets), removed with all
// that is in it at exit. The string is the caller's to free.
char *test_dir_make(void);

// Milliseconds of the monotonic clock, for deadlines.
int64_t test_now_ms(void);

// The path of a built program: "mmorts-world" -> "<build directory>/bin/mmorts-world". A name with
// a slash, or one that is not built (then searched in PATH), is returned as it is. The caller
// frees.
char *test_binary_path(const char *name);

// Starts argv[0] (looked up by test_binary_path) with the arguments after it. Both arrays end with
// NULL and are not kept; `env` holds NAME=value strings that replace or join this process's
// environment, and may be NULL. stdout and stderr go to a log file of its own.
struct test_process *test_process_start(const char *const *argv, const char *const *env);

pid_t test_process_pid(const struct test_process *process);

// The log so far, NUL-terminated. The caller frees.
char *test_process_log(const struct test_process *process);

// Waits until the log contains `text`, the program ends, or the time is over. True if it does.
__attribute__((warn_unused_result)) bool test_process_wait_log(struct test_process *process,
                                                               const char *text, int timeout_ms);

// Waits until GET http://127.0.0.1:<port>/readyz answers 200, the program ends, or the time is
// over. True if it did.
__attribute__((warn_unused_result)) bool test_process_wait_ready(struct test_process *process,
                                                                 uint16_t port, int timeout_ms);

// True while the program runs (one that ended is reaped by the way).
bool test_process_running(struct test_process *process);

// What the process has used of the processors so far, all its threads together.
int64_t test_process_cpu_ms(const struct test_process *process);

void test_process_signal(struct test_process *process, int signal);

// Waits for the program's end and returns its status as waitpid() gives it. At the deadline it is
// killed (SIGKILL), reaped, its log shown on stderr, and -1 returned.
int test_process_wait(struct test_process *process, int timeout_ms);

// SIGTERM, TEST_PATIENCE_MS to end, then as test_process_wait.
int test_process_stop(struct test_process *process);

// SIGKILL and reap.
void test_process_kill(struct test_process *process);

// Kills it if it still runs and releases the handle. NULL is allowed.
void test_process_free(struct test_process *process);

// GET http://127.0.0.1:<port><path>: the status code, or -1 if there is no answer within the time.
// With `body` not NULL, *body is the answer's body (NUL-terminated, the caller frees) or NULL.
int test_http_get(uint16_t port, const char *path, int timeout_ms, char **body);

#endif
