// The pool's jobs: the queue, the lanes, and what waits for its callback. No threads and no clock
// here; the caller holds the pool's mutex.

#include "libcommon/io/db_pool_internal.h"

static void list_append(struct db_list *list, struct db_job *job)
{
    job->next = NULL;
    job->previous = list->last;
    if (list->last)
        list->last->next = job;
    else
        list->first = job;
    list->last = job;
    list->count++;
}

static void list_remove(struct db_list *list, struct db_job *job)
{
    if (job->previous)
        job->previous->next = job->next;
    else
        list->first = job->next;
    if (job->next)
        job->next->previous = job->previous;
    else
        list->last = job->previous;
    job->next = job->previous = NULL;
    list->count--;
}

uint32_t db_queue_ready(const struct mm_db *db)
{
    uint32_t count = 0;
    for (int kind = 0; kind < DB_KINDS; kind++)
        count += db->ready[kind].count;
    return count;
}

static void job_done(struct mm_db *db, struct db_job *job, enum mm_err result)
{
    job->state = DB_JOB_DONE;
    job->result = result;
    job->worker = NULL;
    db->stats.jobs_done++;
    if (result != MM_OK)
        db->stats.jobs_failed++;
    if (result == MM_DEADLINE_EXCEEDED)
        db->stats.jobs_expired++;
    list_append(&db->done, job);
    mm_loop_post_task(db->loop, &db->deliver_task);
    if (db_queue_ready(db) == 0 && db->waiting == 0 && db->running == 0)
        pthread_cond_broadcast(&db->idle);
}

static void job_ready(struct mm_db *db, struct db_job *job)
{
    job->state = DB_JOB_READY;
    list_append(&db->ready[job->kind], job);
    pthread_cond_signal(&db->work[job->kind]);
}

static struct db_lane *lane_get(struct mm_db *db, uint64_t key)
{
    uint64_t index;
    if (mm_idmap_get(db->lane_by_key, key, &index))
        return &db->lanes[index];
    struct db_lane *lane = db->free_lanes;
    MM_CHECK(lane); // there are as many as jobs
    // The map was made with room for all of them.
    MM_CHECK(mm_idmap_set(db->lane_by_key, key, (uint64_t)(lane - db->lanes)) == MM_OK);
    db->free_lanes = lane->next_free;
    *lane = (struct db_lane){.key = key};
    return lane;
}

static void lane_release_if_idle(struct mm_db *db, struct db_lane *lane)
{
    if (lane->busy || lane->broken_by || lane->waiting.count > 0)
        return;
    MM_CHECK(mm_idmap_remove(db->lane_by_key, lane->key, NULL));
    lane->next_free = db->free_lanes;
    db->free_lanes = lane;
}

// The job that held the lane has ended: breaks the lane if it must, else lets the next one go. The
// job itself is already in `done`, so that what follows completes after it.
static void lane_advance(struct mm_db *db, struct db_lane *lane, const struct db_job *ended,
                         bool breaks)
{
    lane->busy = false;
    if (breaks) {
        lane->broken_by = ended;
        while (lane->waiting.first) {
            struct db_job *job = lane->waiting.first;
            list_remove(&lane->waiting, job);
            db->waiting--;
            job_done(db, job, MM_ABORTED);
        }
    } else if (lane->waiting.first) {
        struct db_job *job = lane->waiting.first;
        list_remove(&lane->waiting, job);
        db->waiting--;
        lane->busy = true;
        job_ready(db, job);
    }
    lane_release_if_idle(db, lane);
}

enum mm_err db_queue_add(struct mm_db *db, const struct mm_db_job *spec, uint64_t now_ns,
                         struct db_job **out)
{
    struct db_job *job = db->free_jobs;
    if (!job) {
        db->stats.jobs_refused++;
        return MM_RESOURCE_EXHAUSTED;
    }
    db->free_jobs = job->next;
    db->outstanding++;
    job->spec = *spec;
    job->submitted_ns = now_ns;
    job->cut = MM_OK;
    job->kind =
        spec->background && db->config.background_workers > 0 ? DB_BACKGROUND : DB_FOREGROUND;
    job->next = job->previous = NULL;
    job->lane = spec->lane ? lane_get(db, spec->lane) : NULL;
    *out = job;
    if (!job->lane) {
        job_ready(db, job);
    } else if (job->lane->broken_by) {
        job_done(db, job, MM_ABORTED);
    } else if (job->lane->busy) {
        job->state = DB_JOB_WAITING;
        list_append(&job->lane->waiting, job);
        db->waiting++;
    } else {
        job->lane->busy = true;
        job_ready(db, job);
    }
    return MM_OK;
}

struct db_job *db_queue_take(struct mm_db *db, struct db_worker *worker, uint64_t now_ns)
{
    struct db_list *ready = &db->ready[worker->kind];
    struct db_job *job = ready->first;
    if (!job)
        return NULL;
    list_remove(ready, job);
    job->state = DB_JOB_RUNNING;
    job->worker = worker;
    db->running++;
    uint64_t waited_ns = now_ns - job->submitted_ns;
    if (waited_ns > db->stats.wait_max_ns)
        db->stats.wait_max_ns = waited_ns;
    return job;
}

void db_queue_finish(struct mm_db *db, struct db_job *job, enum mm_err result)
{
    MM_CHECK(job->state == DB_JOB_RUNNING);
    // A job that was cut off but had just succeeded has succeeded.
    if (result != MM_OK && job->cut != MM_OK)
        result = job->cut;
    db->running--;
    struct db_lane *lane = job->lane;
    job_done(db, job, result);
    if (lane)
        lane_advance(db, lane, job, result != MM_OK && job->spec.breaks_lane);
}

void db_queue_drop(struct mm_db *db, struct db_job *job, enum mm_err result)
{
    struct db_lane *lane = job->lane;
    if (job->state == DB_JOB_READY) {
        list_remove(&db->ready[job->kind], job);
        job_done(db, job, result);
        if (lane)
            lane_advance(db, lane, job, job->spec.breaks_lane);
    } else if (job->state == DB_JOB_WAITING) {
        // Jobs of a lane complete in their order: this one only loses its right to run.
        job->cut = result;
    }
}

bool db_queue_deliver(struct mm_db *db, struct mm_db_job *out, enum mm_err *result)
{
    struct db_job *job = db->done.first;
    if (!job)
        return false;
    list_remove(&db->done, job);
    *out = job->spec;
    *result = job->result;
    if (job->lane && job->lane->broken_by == job) {
        job->lane->broken_by = NULL;
        lane_release_if_idle(db, job->lane);
    }
    job->state = DB_JOB_FREE;
    job->lane = NULL;
    job->next = db->free_jobs;
    db->free_jobs = job;
    db->outstanding--;
    return true;
}

void db_queue_cancel_all(struct mm_db *db)
{
    for (uint32_t i = 0; i < db->config.jobs_max; i++)
        if (db->jobs[i].state == DB_JOB_WAITING)
            db->jobs[i].cut = MM_CANCELLED;
    // Each that is dropped makes the next of its lane ready, of whatever kind; it is marked
    // already.
    while (db_queue_ready(db) > 0)
        for (int kind = 0; kind < DB_KINDS; kind++)
            if (db->ready[kind].first)
                db_queue_drop(db, db->ready[kind].first, MM_CANCELLED);
}
