#ifndef LAUNCHER_CHILD_H
#define LAUNCHER_CHILD_H

#include "libcommon/io/loop.h"
#include "tools/launcher/probe.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

// One program that the launcher keeps running.

enum {
    CHILD_ARGS_MAX = 32,
    // So many deaths within this time are too many.
    CHILD_DEATHS_MAX = 5,
    CHILD_DEATHS_WITHIN_MS = 30000,
    // What is not ready has done nothing yet that it would have to end in good order.
    CHILD_STOP_UNREADY_MS = 5000,
    // A log is cut when it has grown so large; the previous one is kept beside it.
    CHILD_LOG_BYTES_MAX = 16 << 20,
};

enum child_state {
    CHILD_IDLE,     // not started yet
    CHILD_STARTING, // runs, not ready yet
    CHILD_READY,
    CHILD_WAITING, // died, will be started again after a moment
    CHILD_STOPPING,
    CHILD_STOPPED, // ended, as it should
    CHILD_FAILED,  // given up
};

struct child;

// Told of every change of state.
typedef void (*child_change_fn)(struct child *child, void *arg);

struct child {
    // What it is: set by the plan. Strings are owned by the plan and live as long as the launcher.
    const char *name;
    unsigned stage; // started after, and stopped before, all of lower stages are ready
    char *argv[CHILD_ARGS_MAX + 1];
    unsigned argc;
    char *const *env;
    char *log_path;
    struct probe_target target;
    const char *rpc;  // address, or NULL
    uint32_t stop_ms; // how long it may take to end after SIGTERM
    bool optional;    // of a further session: the game runs without it

    // What it does.
    struct mm_loop *loop;
    child_change_fn on_change;
    void *on_change_arg;
    enum child_state state;
    pid_t pid;       // 0: none
    int last_status; // as waitpid gives it
    int start_error; // errno of why there is no process, or 0
    uint64_t started_ns;
    uint64_t ready_after_ms; // of the last start
    uint32_t stopping_ms;    // how long it may take at this stop
    uint32_t restarts;
    uint64_t deaths_ns[CHILD_DEATHS_MAX]; // the latest, in a ring
    uint32_t deaths;
    struct mm_loop_timer timer; // restart, or the deadline of a stop
    struct probe probe;
};

void child_init(struct child *child, struct mm_loop *loop, child_change_fn on_change, void *arg);
// Without a process for it: CHILD_FAILED.
void child_start(struct child *child);
// SIGTERM now, SIGKILL after stop_ms, or after CHILD_STOP_UNREADY_MS if it was not ready.
void child_stop(struct child *child);
void child_kill(struct child *child);
// To be called when waitpid has reported the end of child->pid.
void child_ended(struct child *child, int status);
// True while a process exists.
bool child_runs(const struct child *child);
// Frees what the plan has given it (the name only of an optional one). What is left is stopped and
// counts for nothing. It must not run.
void child_clear(struct child *child);
// Copies the log aside and empties it when it is too large.
void child_trim_log(const struct child *child);
const char *child_state_name(enum child_state state);
// Why it ended, or could not be started: "killed by signal 9 (Killed)", "exit status 1".
void child_describe_end(const struct child *child, char *out, unsigned out_bytes);
// Has not come as far as is asked of it, because another program listens at its port.
bool child_lacks_port(const struct child *child);

#endif
