#include "tools/launcher/launcher.h"

#include "libcommon/base/check.h"
#include "libcommon/base/clock.h"
#include "tools/launcher/plan.h"
#include "tools/launcher/sessions.h"
#include "tools/launcher/status.h"
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

// Stages start in ascending order, each when all of the one before are ready, and stop in
// descending order, each when all of the one above have ended.

enum {
    LOG_TRIM_EVERY_MS = 10000,
    STAGE_LOOK_EVERY_MS = 1000,
    STAGE_TOLD_EVERY_S = 10, // what is still waited for
    SAME_SIGNAL_MS = 500,    // who ends a whole group often tells each program again
};

enum launcher_state { LAUNCHER_STARTING, LAUNCHER_RUNNING, LAUNCHER_STOPPING };

struct launcher {
    struct plan plan;
    const struct launcher_options *options;
    struct mm_loop *loop;
    enum launcher_state state;
    unsigned stage; // being started, or being stopped
    int exit_status;
    uint64_t stopping_ns;             // since when it stops; 0 in the turn in which that began
    struct mm_loop_timer start_timer; // looks how long the stage takes
    uint32_t
        stage_s; // in seconds that the launcher was awake for: where all stand still, so does this
    struct mm_loop_timer trim_timer;
    struct mm_loop_task step_task; // looks where start or stop stand
    struct sessions *sessions;     // from when the game runs until it stops
};

static void say(const char *format, ...) MM_PRINTF(1, 2);
static void on_child_change(struct child *child, void *arg);

static void say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    fflush(stdout);
}

static bool all_ready(const struct launcher *launcher)
{
    for (unsigned i = 0; i < launcher->plan.child_count; i++)
        if (!launcher->plan.children[i].optional && launcher->plan.children[i].state != CHILD_READY)
            return false;
    return true;
}

static void update_status(const struct launcher *launcher)
{
    const char *state = "starting";
    if (launcher->state == LAUNCHER_RUNNING)
        state = all_ready(launcher) ? "ready" : "degraded";
    else if (launcher->state == LAUNCHER_STOPPING)
        state = launcher->exit_status == 0 ? "stopping" : "failed";
    status_write(&launcher->plan, launcher->options->status_file, state);
}

// --- stopping ------------------------------------------------------------------------------------

static void stop(struct launcher *launcher, int exit_status)
{
    if (launcher->state == LAUNCHER_STOPPING)
        return;
    mm_loop_timer_stop(launcher->loop, &launcher->start_timer);
    launcher->state = LAUNCHER_STOPPING;
    launcher->stopping_ns = 0;
    sessions_close(launcher->sessions);
    launcher->sessions = NULL;
    launcher->exit_status = exit_status;
    launcher->stage = PLAN_STAGES;
    say("\nStopping; a second Ctrl-C kills.\n");
    mm_loop_defer(launcher->loop, &launcher->step_task);
}

// Goes down a stage when nothing of the present one and those above runs.
static void step_stop(struct launcher *launcher)
{
    struct plan *plan = &launcher->plan;
    if (launcher->stopping_ns == 0)
        launcher->stopping_ns = mm_clock_ns();
    for (;;) {
        for (unsigned i = 0; i < plan->child_count; i++)
            if (plan->children[i].stage >= launcher->stage && child_runs(&plan->children[i]))
                return;
        if (launcher->stage == 0)
            break;
        launcher->stage--;
        for (unsigned i = 0; i < plan->child_count; i++)
            if (plan->children[i].name && plan->children[i].stage == launcher->stage)
                child_stop(&plan->children[i]);
    }
    mm_loop_stop(launcher->loop);
}

static void on_stop_signal(struct mm_loop *loop, int signal_number, void *arg)
{
    (void)loop;
    (void)signal_number;
    struct launcher *launcher = arg;
    if (launcher->state != LAUNCHER_STOPPING) {
        stop(launcher, 0);
        return;
    }
    // Signals of one turn were sent while nobody listened: how far apart is not known.
    if (launcher->stopping_ns == 0 ||
        mm_clock_ns() - launcher->stopping_ns < MM_LOOP_MS(SAME_SIGNAL_MS))
        return;
    say("Killing.\n");
    for (unsigned i = 0; i < launcher->plan.child_count; i++) {
        if (!launcher->plan.children[i].name)
            continue;
        child_stop(&launcher->plan.children[i]); // that it ends is no death
        child_kill(&launcher->plan.children[i]);
    }
}

// --- starting ------------------------------------------------------------------------------------

static void started(struct launcher *launcher)
{
    launcher->state = LAUNCHER_RUNNING;
    launcher->sessions = sessions_open(launcher->loop, &launcher->plan, on_child_change, launcher);
    mm_loop_timer_stop(launcher->loop, &launcher->start_timer);
    say("\nThe game runs: http://127.0.0.1:%u/\n", launcher->plan.players_port);
    say("Logs are in %s/log. Ctrl-C stops everything; the game goes on from there next time.\n",
        launcher->plan.data);
}

// Starts the stages whose predecessors are ready.
static void step_start(struct launcher *launcher)
{
    struct plan *plan = &launcher->plan;
    while (launcher->stage < PLAN_STAGES && launcher->state == LAUNCHER_STARTING) {
        for (unsigned i = 0; i < plan->child_count; i++)
            if (plan->children[i].stage < launcher->stage && plan->children[i].state != CHILD_READY)
                return;
        for (unsigned i = 0; i < plan->child_count; i++)
            if (plan->children[i].stage == launcher->stage && plan->children[i].state == CHILD_IDLE)
                child_start(&plan->children[i]);
        launcher->stage++;
        launcher->stage_s = 0;
    }
    if (all_ready(launcher))
        started(launcher);
}

static void on_step(struct mm_loop *loop, void *arg)
{
    (void)loop;
    struct launcher *launcher = arg;
    if (launcher->state == LAUNCHER_STARTING)
        step_start(launcher);
    else if (launcher->state == LAUNCHER_STOPPING)
        step_stop(launcher);
    else
        sessions_step(launcher->sessions);
    update_status(launcher);
}

static void give_up(struct launcher *launcher, const struct child *child, const char *reason)
{
    fprintf(stderr, "\nmmorts-launcher: GIVING UP: %s %s\n    its log is %s\n", child->name, reason,
            child->log_path);
    launcher_show_log(child->log_path, true);
    launcher_tell_if_full(launcher->plan.data);
    if (child_lacks_port(child))
        fprintf(stderr,
                "    another program listens at port %u; end it, or choose others with "
                "--base-port and --players-port\n",
                child->target.port);
    stop(launcher, 1);
}

// What keeps the stage from being done, for people.
static void describe_lateness(const struct child *child, char *out, size_t out_bytes)
{
    char end[80];
    child_describe_end(child, end, sizeof end);
    if (child_runs(child))
        snprintf(out, out_bytes, "%s", probe_seen(&child->probe));
    else
        snprintf(out, out_bytes, "it died: %s", end);
}

// Each second of a stage.
static void on_stage_second(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop;
    (void)timer;
    struct launcher *launcher = arg;
    bool over = ++launcher->stage_s >= launcher->options->start_within_s;
    if (launcher->state != LAUNCHER_STARTING ||
        (!over && launcher->stage_s % STAGE_TOLD_EVERY_S != 0))
        return;
    const struct child *late = NULL;
    for (unsigned i = 0; i < launcher->plan.child_count; i++) {
        const struct child *child = &launcher->plan.children[i];
        if (child->state == CHILD_READY || child->state == CHILD_IDLE)
            continue;
        char why[300];
        describe_lateness(child, why, sizeof why);
        say("  %-11s is not ready after %u s: %s\n", child->name, launcher->stage_s, why);
        late = late ? late : child;
    }
    char reason[80];
    snprintf(reason, sizeof reason, "does not become ready within %u s (--start-within)",
             launcher->options->start_within_s);
    if (over && late)
        give_up(launcher, late, reason);
}

// --- children ------------------------------------------------------------------------------------

// The game goes on without it. Its ports were chosen here: if somebody else took one before it
// listened, it ends, and is begun again, with others, when the directory is read again.
static void give_up_session(struct launcher *launcher, const struct child *child, const char *end)
{
    say("  %-11s is given up (%s); its log is %s\n", child->name, end, child->log_path);
    struct plan_session *place = plan_session_of(&launcher->plan, child);
    if (place && child_lacks_port(child)) {
        say("  another program listens at its port %u: the session gets others\n",
            child->target.port);
        place->ending = true;
    }
}

static void on_child_change(struct child *child, void *arg)
{
    struct launcher *launcher = arg;
    char end[80], reason[200];
    child_describe_end(child, end, sizeof end);
    switch (child->state) {
    case CHILD_READY:
        if (child->restarts == 0)
            say("  %-11s ready after %5.1f s\n", child->name, (double)child->ready_after_ms / 1000);
        else
            say("  %-11s is back after %.2f s\n", child->name,
                (double)child->ready_after_ms / 1000);
        break;
    case CHILD_WAITING:
        say("  %-11s died (%s), starting it again\n", child->name, end);
        break;
    case CHILD_FAILED:
        if (child->optional) {
            give_up_session(launcher, child, end);
            break;
        }
        if (child->deaths <= 1)
            snprintf(reason, sizeof reason, "cannot run (%s)", end);
        else
            snprintf(reason, sizeof reason, "died %d times within %d s (last: %s)",
                     CHILD_DEATHS_MAX, CHILD_DEATHS_WITHIN_MS / 1000, end);
        give_up(launcher, child, reason);
        break;
    default:
        break;
    }
    // Not from in here: the caller is still at work on the child.
    mm_loop_defer(launcher->loop, &launcher->step_task);
}

static void on_child_signal(struct mm_loop *loop, int signal_number, void *arg)
{
    (void)loop;
    (void)signal_number;
    struct launcher *launcher = arg;
    int status;
    pid_t pid;
    // One signal may stand for several ends.
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (unsigned i = 0; i < launcher->plan.child_count; i++)
            if (launcher->plan.children[i].pid == pid) {
                child_ended(&launcher->plan.children[i], status);
                break;
            }
}

static void on_trim(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop;
    (void)timer;
    const struct launcher *launcher = arg;
    for (unsigned i = 0; i < launcher->plan.child_count; i++)
        if (launcher->plan.children[i].name)
            child_trim_log(&launcher->plan.children[i]);
}

static void listen_to_signals(struct launcher *launcher)
{
    const int stop_signals[] = {SIGINT, SIGTERM, SIGHUP};
    bool good = mm_loop_signal(launcher->loop, SIGCHLD, on_child_signal, launcher) == MM_OK;
    for (unsigned i = 0; i < sizeof stop_signals / sizeof stop_signals[0]; i++)
        good = good &&
               mm_loop_signal(launcher->loop, stop_signals[i], on_stop_signal, launcher) == MM_OK;
    if (!good)
        launcher_die("cannot listen to signals: %s", strerror(errno));
}

int launcher_run(const struct launcher_options *options)
{
    struct launcher launcher = {.options = options};
    say("mmorts: state is kept in %s\n", options->data);
    plan_make(&launcher.plan, options);
    launcher_tell_if_full(launcher.plan.data);
    plan_check_ports(&launcher.plan);
    if (mm_loop_create(NULL, &launcher.loop) != MM_OK)
        launcher_die("cannot make an event loop: %s", strerror(errno));
    listen_to_signals(&launcher);
    for (unsigned i = 0; i < launcher.plan.child_count; i++)
        child_init(&launcher.plan.children[i], launcher.loop, on_child_change, &launcher);
    mm_loop_task_init(&launcher.step_task, on_step, &launcher);
    mm_loop_timer_init(&launcher.start_timer, on_stage_second, &launcher);
    mm_loop_timer_start(launcher.loop, &launcher.start_timer, MM_LOOP_MS(STAGE_LOOK_EVERY_MS),
                        MM_LOOP_MS(STAGE_LOOK_EVERY_MS));
    mm_loop_timer_init(&launcher.trim_timer, on_trim, &launcher);
    mm_loop_timer_start(launcher.loop, &launcher.trim_timer, MM_LOOP_MS(LOG_TRIM_EVERY_MS),
                        MM_LOOP_MS(LOG_TRIM_EVERY_MS));
    mm_loop_defer(launcher.loop, &launcher.step_task);
    mm_loop_run(launcher.loop);
    mm_loop_timer_stop(launcher.loop, &launcher.trim_timer);
    status_write(&launcher.plan, options->status_file,
                 launcher.exit_status == 0 ? "stopped" : "failed");
    mm_loop_destroy(launcher.loop);
    plan_free(&launcher.plan);
    say("%s\n", launcher.exit_status == 0 ? "Stopped." : "Stopped after a failure.");
    return launcher.exit_status;
}
