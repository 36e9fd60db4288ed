// The pool as the loop sees it: submit, deliver, deadlines, state, start and end.

#include "libcommon/base/alloc.h"
#include "libcommon/base/clock.h"
#include "libcommon/base/log.h"
#include "libcommon/base/progress.h"
#include "libcommon/io/db_pool_internal.h"

#define JOB_DEADLINE_DEFAULT_MS 10000
#define DRAIN_SLICE_MS          250

static struct db_job *job_of_timer(struct mm_loop_timer *timer)
{
    return (struct db_job *)(void *)((char *)timer - offsetof(struct db_job, deadline));
}

static void deadline_passed(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop;
    struct mm_db *db = arg;
    struct db_job *job = job_of_timer(timer);
    pthread_mutex_lock(&db->mutex);
    if (job->state == DB_JOB_RUNNING) {
        job->cut = MM_DEADLINE_EXCEEDED;
        db_conn_interrupt(&job->worker->conn);
    } else {
        db_queue_drop(db, job, MM_DEADLINE_EXCEEDED);
    }
    pthread_mutex_unlock(&db->mutex);
}

enum mm_err mm_db_submit(struct mm_db *db, const struct mm_db_job *spec)
{
    MM_CHECK(spec->work);
    uint64_t now_ns = mm_clock_ns();
    struct db_job *job = NULL;
    pthread_mutex_lock(&db->mutex);
    enum mm_err err = db->stopping ? MM_CANCELLED : db_queue_add(db, spec, now_ns, &job);
    pthread_mutex_unlock(&db->mutex);
    if (err != MM_OK)
        return err;
    // Only the loop frees jobs and touches their timers, so the job is still there.
    uint32_t deadline_ms = spec->deadline_ms ? spec->deadline_ms : JOB_DEADLINE_DEFAULT_MS;
    mm_loop_timer_start_at(db->loop, &job->deadline, now_ns + MM_LOOP_MS(deadline_ms), 0);
    return MM_OK;
}

// At most jobs_max callbacks: what they submit completes in a later turn.
static void deliver(struct mm_db *db)
{
    pthread_mutex_lock(&db->mutex);
    uint32_t budget = db->done.count;
    while (budget-- > 0) {
        struct mm_db_job spec;
        enum mm_err result;
        mm_loop_timer_stop(db->loop, &db->done.first->deadline);
        MM_CHECK(db_queue_deliver(db, &spec, &result));
        pthread_mutex_unlock(&db->mutex);
        if (spec.done)
            spec.done(result, spec.arg);
        pthread_mutex_lock(&db->mutex);
    }
    if (db->done.count > 0)
        mm_loop_post_task(db->loop, &db->deliver_task);
    pthread_mutex_unlock(&db->mutex);
}

static void deliver_posted(struct mm_loop *loop, void *arg)
{
    (void)loop;
    deliver(arg);
}

static void state_changed(struct mm_loop *loop, void *arg)
{
    (void)loop;
    struct mm_db *db = arg;
    bool is_up = mm_db_is_up(db);
    if (is_up == db->state_told)
        return;
    db->state_told = is_up;
    if (is_up)
        MM_LOG_INFO("mariadb is up", "database=%s", db->config.database);
    else
        MM_LOG_WARN("mariadb is down", "database=%s", db->config.database);
    if (db->on_state)
        db->on_state(is_up, db->on_state_arg);
}

bool mm_db_is_up(const struct mm_db *db)
{
    return atomic_load(&db->connected) > 0;
}

uint32_t mm_db_outstanding(const struct mm_db *db)
{
    // Only the loop, which is the caller, changes it.
    return db->outstanding;
}

void mm_db_stats(struct mm_db *db, struct mm_db_stats *out, bool reset_max)
{
    pthread_mutex_lock(&db->mutex);
    db->stats.waiting = db_queue_ready(db) + db->waiting;
    db->stats.running = db->running;
    *out = db->stats;
    if (reset_max)
        db->stats.wait_max_ns = db->stats.run_max_ns = 0;
    pthread_mutex_unlock(&db->mutex);
}

// --- life --------------------------------------------------------------------------------------

static void pool_free(struct mm_db *db)
{
    for (int kind = 0; kind < DB_KINDS; kind++)
        pthread_cond_destroy(&db->work[kind]);
    pthread_cond_destroy(&db->idle);
    pthread_mutex_destroy(&db->mutex);
    mm_idmap_free(db->lane_by_key);
    mm_free(db->workers);
    mm_free(db->jobs);
    mm_free(db->lanes);
    mm_free(db);
}

static void pool_init_sync(struct mm_db *db)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    for (int kind = 0; kind < DB_KINDS; kind++)
        pthread_cond_init(&db->work[kind], &attributes);
    pthread_cond_init(&db->idle, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&db->mutex, NULL);
    mm_loop_task_init(&db->deliver_task, deliver_posted, db);
    mm_loop_task_init(&db->state_task, state_changed, db);
}

static enum mm_err pool_allocate(struct mm_db *db)
{
    size_t jobs_max = db->config.jobs_max;
    db->workers = mm_calloc(db->config.workers, sizeof *db->workers);
    db->jobs = mm_calloc(jobs_max, sizeof *db->jobs);
    db->lanes = mm_calloc(jobs_max, sizeof *db->lanes);
    db->lane_by_key = mm_idmap_new(jobs_max);
    if (!db->workers || !db->jobs || !db->lanes || !db->lane_by_key)
        return MM_RESOURCE_EXHAUSTED;
    for (size_t i = jobs_max; i-- > 0;) {
        mm_loop_timer_init(&db->jobs[i].deadline, deadline_passed, db);
        db->jobs[i].next = db->free_jobs;
        db->free_jobs = &db->jobs[i];
        db->lanes[i].next_free = db->free_lanes;
        db->free_lanes = &db->lanes[i];
    }
    return mm_idmap_reserve(db->lane_by_key, jobs_max);
}

static enum mm_err workers_start(struct mm_db *db)
{
    for (uint32_t i = 0; i < db->config.workers; i++) {
        struct db_worker *worker = &db->workers[i];
        worker->db = db;
        worker->kind = i < db->config.background_workers ? DB_BACKGROUND : DB_FOREGROUND;
        db_conn_init(&worker->conn, &db->config);
        if (pthread_create(&worker->thread, NULL, db_worker_run, worker) != 0) {
            db_conn_fini(&worker->conn);
            return MM_RESOURCE_EXHAUSTED;
        }
        db->workers_started++;
    }
    return MM_OK;
}

enum mm_err mm_db_create(struct mm_loop *loop, const struct mm_db_options *options,
                         struct mm_db **out)
{
    db_library_init();
    *out = NULL;
    struct mm_db *db = mm_calloc(1, sizeof *db);
    if (!db)
        return MM_RESOURCE_EXHAUSTED;
    enum mm_err err = db_config_fill(&db->config, options);
    db->loop = loop;
    db->on_state = options->on_state;
    db->on_state_arg = options->on_state_arg;
    pool_init_sync(db);
    if (err == MM_OK)
        err = pool_allocate(db);
    if (err != MM_OK) {
        pool_free(db);
        return err;
    }
    err = workers_start(db);
    if (err != MM_OK) {
        mm_db_destroy(db, 0);
        return err;
    }
    *out = db;
    return MM_OK;
}

// Waits until no job is ready, waiting or running. Mutex held. The loop stands still meanwhile, but
// is not stuck.
static void wait_idle(struct mm_db *db, uint32_t drain_ms)
{
    uint64_t end_ns = mm_clock_ns() + MM_LOOP_MS(drain_ms), now_ns;
    while ((db_queue_ready(db) > 0 || db->waiting > 0 || db->running > 0) &&
           (now_ns = mm_clock_ns()) < end_ns) {
        uint64_t slice_ns = MM_LOOP_MS(DRAIN_SLICE_MS);
        uint64_t until_ns = now_ns + (end_ns - now_ns < slice_ns ? end_ns - now_ns : slice_ns);
        struct timespec until = {.tv_sec = (time_t)(until_ns / 1000000000u),
                                 .tv_nsec = (long)(until_ns % 1000000000u)};
        (void)pthread_cond_timedwait(&db->idle, &db->mutex, &until);
        (void)mm_progress_step(mm_loop_progress(db->loop));
    }
}

void mm_db_destroy(struct mm_db *db, uint32_t drain_ms)
{
    if (!db)
        return;
    pthread_mutex_lock(&db->mutex);
    db->stopping = true;
    wait_idle(db, drain_ms);
    db_queue_cancel_all(db);
    for (uint32_t i = 0; i < db->config.jobs_max; i++) {
        struct db_job *job = &db->jobs[i];
        if (job->state != DB_JOB_RUNNING)
            continue;
        job->cut = MM_CANCELLED;
        db_conn_interrupt(&job->worker->conn);
    }
    db->quit = true;
    db_workers_wake(db);
    pthread_mutex_unlock(&db->mutex);
    for (uint32_t i = 0; i < db->workers_started; i++) {
        pthread_join(db->workers[i].thread, NULL);
        db_conn_fini(&db->workers[i].conn);
    }
    // A running job whose lane had others waiting has made the next one ready as it ended.
    pthread_mutex_lock(&db->mutex);
    db_queue_cancel_all(db);
    pthread_mutex_unlock(&db->mutex);
    deliver(db);
    MM_CHECK(db->outstanding == 0);
    mm_loop_post_cancel(db->loop, &db->deliver_task);
    mm_loop_post_cancel(db->loop, &db->state_task);
    pool_free(db);
}
