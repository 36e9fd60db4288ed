#include "libcommon/base/clock.h"
#include "libcommon/base/log.h"
#include "libcommon/io/db_conn.h"
#include "services/vision/app.h"

#include <inttypes.h>

// Changes of who lends sight to whom. Each counts from a tick on that is written with it, because a
// restart replays ticks and must lend from that tick on what was lent from it when the tick was
// live, no earlier and no later. The tick must therefore still be to come when the write turns out
// to be durable, however long that takes:
//
//   a transaction is begun with a tick some way ahead
//   -> all its statements are done, with whatever they had to wait for
//   -> the tick is too near: the transaction is repeated with one further ahead
//   -> else it is claimed: no tick from there on is applied until the commit is known
//   -> commit -> the core is told, the claim ends
//
// So only a commit can hold up ticks, and only one that takes longer than what is left up to the
// claimed tick. If it is not known whether the commit has happened (the connection broke), the
// same is written again until it is. After settings.hold_max_ms ticks go on all the same; what was
// written is then brought to a later tick as soon as the database lets us. Only if the process is
// killed between the two a replay lends from a tick that nobody was shown it from.
//
// One change at a time, in the order in which they were asked for: so at its turn the database says
// what the core says, and what is written is the difference between that and what is wanted.

enum {
    DELAY_TICKS = 4,       // from asking to taking effect
    DELAY_TIMES = 4,       // longer with each repetition
    DELAY_TICKS_MAX = 256, // but not beyond
    AHEAD_TICKS_MIN = 2,   // when the commit is begun: one tick passes before any is held up
    WAITING_MAX = 4096,
    DEADLINE_MS = 10000,
};

// --- on the database worker's thread ---------------------------------------------------------

static void choose_tick(struct vision_stamps *stamps, struct vision_stamped *change)
{
    pthread_mutex_lock(&stamps->mutex);
    if (!change->in_doubt || stamps->claimed == 0) {
        stamps->claimed = 0;
        uint64_t tick = stamps->tick + change->delay_ticks;
        change->tick = tick > stamps->last ? tick : stamps->last;
    }
    pthread_mutex_unlock(&stamps->mutex);
    if (change->delay_ticks < DELAY_TICKS_MAX)
        change->delay_ticks *= DELAY_TIMES;
}

// False: it is too late for that tick.
static bool claim_tick(struct vision_stamps *stamps, const struct vision_stamped *change)
{
    pthread_mutex_lock(&stamps->mutex);
    bool is_claimed = stamps->claimed != 0 || change->tick >= stamps->tick + AHEAD_TICKS_MIN;
    if (is_claimed)
        stamps->claimed = stamps->last = change->tick;
    pthread_mutex_unlock(&stamps->mutex);
    return is_claimed;
}

static enum mm_err write_stamped(struct mm_db_conn *conn, void *arg)
{
    struct vision_stamped *change = arg;
    change->is_at_commit = change->in_doubt; // if this is a repetition, what was before is undone
    choose_tick(&change->app->stamps, change);
    enum mm_err err = vision_fence_hold(conn, &change->app->fence);
    if (err == MM_OK)
        err = change->kind->write(conn, change);
    if (err != MM_OK)
        return err;
    if (!claim_tick(&change->app->stamps, change))
        return MM_ABORTED;
    change->is_at_commit = true;
    return MM_OK;
}

static enum mm_err write_work(struct mm_db_conn *conn, void *arg)
{
    return mm_db_transaction(conn, write_stamped, arg);
}

// --- on the loop -----------------------------------------------------------------------------

static uint64_t end_claim(struct vision_stamps *stamps)
{
    pthread_mutex_lock(&stamps->mutex);
    uint64_t claimed = stamps->claimed;
    stamps->claimed = 0;
    pthread_mutex_unlock(&stamps->mutex);
    return claimed;
}

static bool is_claimed(struct vision_stamps *stamps)
{
    pthread_mutex_lock(&stamps->mutex);
    bool claimed = stamps->claimed != 0;
    pthread_mutex_unlock(&stamps->mutex);
    return claimed;
}

static struct vision_stamped *pop(struct vision_stamps *stamps)
{
    struct vision_stamped *change = stamps->first;
    stamps->first = change->next;
    if (!stamps->first)
        stamps->newest = NULL;
    stamps->waiting--;
    return change;
}

// Whoever asked waits for the answer no longer than for one job of the database.
static uint32_t left_ms(const struct vision_stamped *change)
{
    uint64_t passed_ms = (mm_clock_ns() - change->asked_ns) / 1000000;
    return passed_ms < DEADLINE_MS ? (uint32_t)(DEADLINE_MS - passed_ms) : 0;
}

static void on_written(enum mm_err err, void *arg);

static enum mm_err submit(struct vision_stamped *change)
{
    uint32_t deadline_ms = change->in_doubt ? DEADLINE_MS : left_ms(change);
    struct mm_db_job job = {
        .work = write_work, .done = on_written, .arg = change, .deadline_ms = deadline_ms};
    if (deadline_ms == 0)
        return MM_UNAVAILABLE;
    change->delay_ticks = DELAY_TICKS;
    return mm_db_submit(mm_service_db(change->app->service), &job);
}

// The first of those that wait, unless one is being written.
static void write_next(struct vision_app *app)
{
    struct vision_stamps *stamps = &app->stamps;
    while (stamps->first && !stamps->is_busy) {
        struct vision_stamped *change = stamps->first;
        stamps->is_busy = true;
        enum mm_err err = change->kind->prepare ? change->kind->prepare(change) : MM_OK;
        if (err == MM_OK)
            err = submit(change);
        if (err == MM_OK)
            return;
        (void)pop(stamps);
        stamps->is_busy = false;
        change->kind->done(err, change);
    }
}

static void try_again(struct vision_app *app, bool soon)
{
    uint64_t ms = soon ? 0 : (uint64_t)app->settings.retry_ms;
    mm_loop_timer_start(app->loop, &app->stamps.retry_timer, MM_LOOP_MS(ms), 0);
}

static void on_written(enum mm_err err, void *arg)
{
    struct vision_stamped *change = arg;
    struct vision_app *app = change->app;
    bool is_late = err == MM_OK && !is_claimed(&app->stamps);
    bool is_unknown = change->is_at_commit && err != MM_OK && err != MM_FAILED_PRECONDITION &&
                      err != MM_CANCELLED;
    if (is_late || is_unknown) {
        if (!change->in_doubt)
            MM_LOG_WARN("whether a change of sharing is written in time is not known; it will be "
                        "again",
                        "tick=%" PRIu64 " error=%s", change->tick, mm_err_name(err));
        change->in_doubt = true;
        try_again(app, is_late);
        return;
    }
    (void)end_claim(&app->stamps);
    (void)pop(&app->stamps);
    app->stamps.is_busy = false;
    change->kind->done(err, change);
    write_next(app);
    vision_hold_end(app);
}

// Behind one that is in doubt nobody waits longer than for one that fails.
static void refuse_expired(struct vision_stamps *stamps)
{
    struct vision_stamped *before = stamps->first;
    while (before->next) {
        struct vision_stamped *change = before->next;
        if (left_ms(change) > 0) {
            before = change;
            continue;
        }
        before->next = change->next;
        if (!before->next)
            stamps->newest = before;
        stamps->waiting--;
        change->kind->done(MM_UNAVAILABLE, change);
    }
}

static void on_retry(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop, (void)timer;
    struct vision_app *app = arg;
    refuse_expired(&app->stamps);
    enum mm_err err = submit(app->stamps.first);
    if (err == MM_CANCELLED)
        on_written(err, app->stamps.first);
    else if (err != MM_OK)
        try_again(app, false);
}

enum mm_err vision_stamps_write(struct vision_stamped *change)
{
    struct vision_app *app = change->app;
    if (app->stamps.waiting >= WAITING_MAX)
        return MM_RESOURCE_EXHAUSTED;
    change->asked_ns = mm_clock_ns();
    change->next = NULL;
    change->in_doubt = change->is_at_commit = false;
    if (app->stamps.newest)
        app->stamps.newest->next = change;
    else
        app->stamps.first = change;
    app->stamps.newest = change;
    app->stamps.waiting++;
    write_next(app);
    return MM_OK;
}

bool vision_stamps_pass(struct vision_app *app, uint64_t tick)
{
    struct vision_stamps *stamps = &app->stamps;
    pthread_mutex_lock(&stamps->mutex);
    bool passes = stamps->claimed == 0 || tick < stamps->claimed;
    if (tick > stamps->tick)
        stamps->tick = tick;
    pthread_mutex_unlock(&stamps->mutex);
    return passes;
}

void vision_stamps_give_way(struct vision_app *app)
{
    uint64_t tick = end_claim(&app->stamps);
    MM_LOG_ERROR("the database does not say whether a change of sharing is written; ticks go on "
                 "without it",
                 "tick=%" PRIu64, tick);
}

void vision_stamps_open(struct vision_app *app)
{
    pthread_mutex_init(&app->stamps.mutex, NULL);
    mm_loop_timer_init(&app->stamps.retry_timer, on_retry, app);
}

void vision_stamps_close(struct vision_app *app)
{
    mm_loop_timer_stop(app->loop, &app->stamps.retry_timer);
    app->stamps.is_busy = true;
    while (app->stamps.first) {
        struct vision_stamped *change = pop(&app->stamps);
        change->kind->done(MM_CANCELLED, change);
    }
    pthread_mutex_destroy(&app->stamps.mutex);
}
