#ifndef MM_IO_DB_H
#define MM_IO_DB_H

#include "libcommon/base/err.h"
#include "libcommon/io/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// MariaDB off the loop. A pool has a few worker threads, each with a connection of its own; the
// loop submits jobs, a worker runs the job's function, the loop gets the completion. What a job
// may do with its connection is declared in db_conn.h.

struct mm_db;
struct mm_db_conn;

typedef void (*mm_db_state_fn)(bool is_up, void *arg);

struct mm_db_options {
    const char *host;
    uint16_t port;
    const char *user;
    const char *password;
    const char *database;          // created when missing; letters, digits and _ only
    uint32_t workers;              // threads and connections; default 4, at most MM_DB_WORKERS_MAX
    uint32_t background_workers;   // of these, for background jobs alone; default 0
    uint32_t jobs_max;             // jobs waiting, running or not yet completed; default 1024
    uint32_t connect_timeout_ms;   // default 2000
    uint32_t io_timeout_ms;        // one read or write on the socket; default 10000
    uint32_t statement_timeout_ms; // the server gives up on a statement; default 10000
    uint32_t lock_wait_s;          // wait for a row lock before ABORTED; default 5
    uint32_t backoff_min_ms;       // between attempts to connect; default 50
    uint32_t backoff_max_ms;       // doubled up to this; default 1000
    mm_db_state_fn on_state;       // called on the loop when is_up changes; may be NULL
    void *on_state_arg;
};
#define MM_DB_WORKERS_MAX 32

// Starts the pool; the server need not be there, the workers keep trying. Strings are copied.
// INVALID_ARGUMENT: a bad option (name of the database, too many workers, none of them for jobs
// that are not background).
MM_MUST_USE enum mm_err mm_db_create(struct mm_loop *loop, const struct mm_db_options *options,
                                     struct mm_db **out);

// Stops the pool: no new jobs; waits up to drain_ms for those accepted; cancels the rest (waiting
// ones are not run, running ones have their connection cut) with MM_CANCELLED. All callbacks have
// been called when it returns. Blocks the loop: at the end of a service only, after draining by
// mm_db_outstanding. NULL is allowed.
void mm_db_destroy(struct mm_db *db, uint32_t drain_ms);

// Whether at least one worker has a connection. The last known state: a server that died since
// the last look is noticed within half a second.
bool mm_db_is_up(const struct mm_db *db);

// Jobs accepted whose callback has not yet been called.
uint32_t mm_db_outstanding(const struct mm_db *db);

struct mm_db_stats {
    uint64_t jobs_done;
    uint64_t jobs_failed;  // done with anything but MM_OK
    uint64_t jobs_refused; // submit said RESOURCE_EXHAUSTED
    uint64_t jobs_expired; // deadline passed, before or while running
    uint64_t connects;
    uint64_t connects_failed;
    uint64_t wait_max_ns; // longest time in the queue since the last call with reset
    uint64_t run_max_ns;  // longest work since then
    uint32_t waiting, running;
};
void mm_db_stats(struct mm_db *db, struct mm_db_stats *out, bool reset_max);

// Runs on a worker thread. Touches only arg and the connection. The result goes to done.
// A transaction left open is rolled back, result sets left open are closed.
typedef enum mm_err (*mm_db_work_fn)(struct mm_db_conn *conn, void *arg);

// Runs on the loop. What work returned, or, if it did not run or was cut short: UNAVAILABLE (no
// connection), DEADLINE_EXCEEDED, ABORTED (an earlier job of its lane failed), CANCELLED.
// UNAVAILABLE and DEADLINE_EXCEEDED leave open whether a commit under way has happened: write so
// that a repetition does no harm.
typedef void (*mm_db_done_fn)(enum mm_err err, void *arg);

struct mm_db_job {
    mm_db_work_fn work;
    mm_db_done_fn done; // may be NULL
    void *arg;          // the worker's until done is called
    // 0, or a key: jobs of the same lane run one after another in the order of submission, and
    // complete in that order.
    uint64_t lane;
    // When this job fails, every job of its lane that was submitted before this job's done has
    // been called fails with MM_ABORTED, without running: a journal gets no gaps.
    bool breaks_lane;
    uint32_t deadline_ms; // from submission; 0 = 10000. Cuts a running job off too.
    // Nobody waits for it: it is run by background workers, which stand back for everybody else
    // (libcommon/base/thread.h), and keeps no other job from a worker. Without such workers it is a
    // job like others. What it locks in the database others do wait for: let that be short.
    bool background;
};

// Loop thread. Copies the job. RESOURCE_EXHAUSTED: jobs_max reached; CANCELLED: the pool is being
// destroyed; done is then never called. Otherwise done is called exactly once, never before
// mm_db_submit has returned.
MM_MUST_USE enum mm_err mm_db_submit(struct mm_db *db, const struct mm_db_job *job);

#endif
