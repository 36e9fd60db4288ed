#ifndef MM_IO_DB_POOL_INTERNAL_H
#define MM_IO_DB_POOL_INTERNAL_H

// Shared by db_pool.c, db_queue.c and db_worker.c; nobody else includes this.

#include "libcommon/base/idmap.h"
#include "libcommon/io/db_internal.h"

#include <stdatomic.h>

enum db_job_state {
    DB_JOB_FREE,
    DB_JOB_WAITING, // behind another of its lane
    DB_JOB_READY,   // for the next free worker
    DB_JOB_RUNNING,
    DB_JOB_DONE, // its callback is yet to be called
};

// Who runs a job: workers of its kind alone.
enum db_kind { DB_FOREGROUND, DB_BACKGROUND, DB_KINDS };

struct db_lane;

struct db_job {
    struct mm_db_job spec;
    struct db_job *next, *previous; // in the list that its state names
    struct db_lane *lane;           // NULL if none
    struct mm_loop_timer deadline;  // loop's
    uint64_t submitted_ns;
    enum db_job_state state;
    enum db_kind kind;
    enum mm_err cut; // MM_OK, or why a running job's connection was cut
    enum mm_err result;
    struct db_worker *worker; // while running
};

struct db_list {
    struct db_job *first, *last;
    uint32_t count;
};

// Exists while one of its jobs is ready, running or waiting, or while it is broken.
struct db_lane {
    uint64_t key;
    struct db_list waiting;
    bool busy;                      // one of its jobs is ready or running
    const struct db_job *broken_by; // until that job's done has been called
    struct db_lane *next_free;
};

struct db_worker {
    struct mm_db *db;
    pthread_t thread;
    struct mm_db_conn conn;
    enum db_kind kind;
    bool counted_up;  // this worker's part of mm_db.connected
    uint64_t used_ns; // when the server last answered
};

struct mm_db {
    struct mm_loop *loop;
    struct db_config config;
    mm_db_state_fn on_state;
    void *on_state_arg;
    bool state_told; // the loop's: what on_state was last told

    struct db_worker *workers;
    uint32_t workers_started;

    struct mm_loop_task deliver_task; // posted by workers when `done` gets its first job
    struct mm_loop_task state_task;   // posted by workers when is_up may have changed
    _Atomic uint32_t connected;       // workers with a connection

    pthread_mutex_t mutex; // guards all below
    // A job for workers of the kind is ready, a connection was lost, or stopping.
    pthread_cond_t work[DB_KINDS];
    pthread_cond_t idle;   // no job is ready, waiting or running
    struct db_job *jobs;   // jobs_max of them
    struct db_lane *lanes; // jobs_max of them: a lane exists for at least one job
    struct db_job *free_jobs;
    struct db_lane *free_lanes;
    struct mm_idmap *lane_by_key;
    struct db_list ready[DB_KINDS];
    struct db_list done;
    uint32_t waiting; // jobs in lanes' waiting lists
    uint32_t running;
    uint32_t outstanding;
    bool stopping;     // no new jobs
    bool quit;         // workers end
    uint64_t retry_ns; // no attempt to connect before
    uint32_t backoff_ms;
    struct mm_db_stats stats;
};

// db_queue.c; all with the mutex held.
uint32_t db_queue_ready(const struct mm_db *db); // jobs
enum mm_err db_queue_add(struct mm_db *db, const struct mm_db_job *spec, uint64_t now_ns,
                         struct db_job **out);
struct db_job *db_queue_take(struct mm_db *db, struct db_worker *worker, uint64_t now_ns);
// A running job has ended.
void db_queue_finish(struct mm_db *db, struct db_job *job, enum mm_err result);
// Ends a job that has not begun; does nothing to others.
void db_queue_drop(struct mm_db *db, struct db_job *job, enum mm_err result);
// The next job to be delivered, NULL at the end. It is free again: `*out` is what is left of it.
bool db_queue_deliver(struct mm_db *db, struct mm_db_job *out, enum mm_err *result);
void db_queue_cancel_all(struct mm_db *db);

// db_worker.c
void db_workers_wake(struct mm_db *db);
void *db_worker_run(void *arg);

#endif
