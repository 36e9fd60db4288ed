// A worker: takes jobs, keeps its connection alive, gives up on a server that is away.

#include "libcommon/base/clock.h"
#include "libcommon/base/log.h"
#include "libcommon/base/thread.h"
#include "libcommon/io/db_pool_internal.h"

// An idle worker looks at its connection this often.
#define IDLE_LOOK_MS 250
// ... and asks the server for a sign of life when it has heard nothing for this long.
#define IDLE_PING_MS 5000

void db_workers_wake(struct mm_db *db)
{
    for (int kind = 0; kind < DB_KINDS; kind++)
        pthread_cond_broadcast(&db->work[kind]);
}

// Brings this worker's part of is_up to what the connection is. Mutex not held.
static void worker_report(struct db_worker *worker, bool is_up)
{
    struct mm_db *db = worker->db;
    if (worker->counted_up == is_up)
        return;
    worker->counted_up = is_up;
    if (is_up) {
        atomic_fetch_add(&db->connected, 1);
    } else {
        atomic_fetch_sub(&db->connected, 1);
        // Whatever cut this connection has probably cut the others: have them look.
        pthread_mutex_lock(&db->mutex);
        db_workers_wake(db);
        pthread_mutex_unlock(&db->mutex);
    }
    mm_loop_post_task(db->loop, &db->state_task);
}

static void worker_disconnect(struct db_worker *worker)
{
    db_conn_disconnect(&worker->conn);
    worker_report(worker, false);
}

// One attempt, unless the last one of any worker failed a moment ago.
static enum mm_err worker_connect(struct db_worker *worker)
{
    struct mm_db *db = worker->db;
    pthread_mutex_lock(&db->mutex);
    uint64_t retry_ns = db->retry_ns, connects = db->stats.connects;
    bool too_early = mm_clock_ns() < retry_ns || db->quit;
    pthread_mutex_unlock(&db->mutex);
    if (too_early)
        return MM_UNAVAILABLE;
    enum mm_err err = db_conn_connect(&worker->conn);
    pthread_mutex_lock(&db->mutex);
    uint32_t backoff_ms = 0;
    if (err == MM_OK) {
        db->stats.connects++;
        db->backoff_ms = 0;
        db->retry_ns = 0;
    } else {
        db->stats.connects_failed++;
        // Workers that failed side by side count as one failure.
        if (db->retry_ns == retry_ns)
            db->backoff_ms = db->backoff_ms ? db->backoff_ms * 2 : db->config.backoff_min_ms;
        if (db->backoff_ms > db->config.backoff_max_ms)
            db->backoff_ms = db->config.backoff_max_ms;
        backoff_ms = db->backoff_ms;
        // Where another has connected meanwhile, this one only looked too early: the server is
        // there, and whoever has no connection yet tries at once.
        if (db->stats.connects == connects)
            db->retry_ns = mm_clock_ns() + MM_LOOP_MS(backoff_ms);
        else
            db->backoff_ms = backoff_ms = 0;
    }
    pthread_mutex_unlock(&db->mutex);
    if (err != MM_OK) {
        MM_LOG_WARN("mariadb connection failed", "host=%s port=%u number=%u error=%s retry_ms=%u",
                    db->config.host, db->config.port, worker->conn.error_number,
                    worker->conn.error_text, backoff_ms);
        return err;
    }
    worker->used_ns = mm_clock_ns();
    worker_report(worker, true);
    return MM_OK;
}

static enum mm_err worker_ensure_connected(struct db_worker *worker)
{
    if (worker->conn.mysql) {
        if (!worker->conn.broken && !db_conn_is_stale(&worker->conn))
            return MM_OK;
        worker_disconnect(worker);
    }
    return worker_connect(worker);
}

// Mutex not held.
static enum mm_err worker_work(struct db_worker *worker, struct db_job *job)
{
    struct mm_db *db = worker->db;
    enum mm_err err = worker_ensure_connected(worker);
    if (err != MM_OK)
        return err;
    // Connecting may have taken the job's time, or the pool's.
    pthread_mutex_lock(&db->mutex);
    enum mm_err cut = job->cut;
    pthread_mutex_unlock(&db->mutex);
    if (cut != MM_OK)
        return cut;
    err = job->spec.work(&worker->conn, job->spec.arg);
    db_conn_tidy(&worker->conn);
    if (worker->conn.broken)
        worker_disconnect(worker);
    else
        worker->used_ns = mm_clock_ns();
    return err;
}

// Mutex not held.
static void worker_idle_look(struct db_worker *worker)
{
    if (worker_ensure_connected(worker) != MM_OK)
        return;
    uint64_t now_ns = mm_clock_ns();
    if (now_ns - worker->used_ns < MM_LOOP_MS(IDLE_PING_MS))
        return;
    if (mysql_ping(worker->conn.mysql) != 0) {
        worker->conn.broken = true;
        worker_disconnect(worker);
    }
    worker->used_ns = now_ns;
}

// Mutex held. Sleeps until there may be something to do.
static void worker_sleep(struct db_worker *worker)
{
    struct mm_db *db = worker->db;
    uint64_t wake_ns = mm_clock_ns() + MM_LOOP_MS(IDLE_LOOK_MS);
    if (!worker->counted_up && db->retry_ns < wake_ns)
        wake_ns = db->retry_ns;
    struct timespec until = {.tv_sec = (time_t)(wake_ns / 1000000000u),
                             .tv_nsec = (long)(wake_ns % 1000000000u)};
    (void)pthread_cond_timedwait(&db->work[worker->kind], &db->mutex, &until);
}

void *db_worker_run(void *arg)
{
    struct db_worker *worker = arg;
    struct mm_db *db = worker->db;
    if (worker->kind == DB_BACKGROUND)
        mm_thread_stand_back();
    mysql_thread_init();
    worker_idle_look(worker); // connects before the first job asks for it
    pthread_mutex_lock(&db->mutex);
    while (!db->quit) {
        uint64_t begin_ns = mm_clock_ns();
        struct db_job *job = db_queue_take(db, worker, begin_ns);
        if (!job) {
            worker_sleep(worker);
            if (db->quit || db->ready[worker->kind].first)
                continue;
            pthread_mutex_unlock(&db->mutex);
            worker_idle_look(worker);
            pthread_mutex_lock(&db->mutex);
            continue;
        }
        enum mm_err err = job->cut; // its deadline passed while it waited in its lane
        if (err == MM_OK) {
            pthread_mutex_unlock(&db->mutex);
            err = worker_work(worker, job);
            pthread_mutex_lock(&db->mutex);
        }
        uint64_t took_ns = mm_clock_ns() - begin_ns;
        if (took_ns > db->stats.run_max_ns)
            db->stats.run_max_ns = took_ns;
        db_queue_finish(db, job, err);
    }
    pthread_mutex_unlock(&db->mutex);
    db_conn_disconnect(&worker->conn);
    mysql_thread_end();
    return NULL;
}
