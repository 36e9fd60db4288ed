// The MariaDB pool's threads against the loop, without Criterion so that it runs under
// ThreadSanitizer: many small jobs in lanes and free, deadlines that pass, cut connections,
// a server that is killed and restarted, destruction with jobs under way.

#include "libcommon/base/clock.h"
#include "libcommon/io/db.h"
#include "libcommon/io/db_conn.h"
#include "tests/support/db_options.h"
#include "tests/support/plain.h"
#include "tests/support/process.h"
#include "tests/support/servers.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define JOBS        3000
#define PATIENCE_MS (5 * TEST_PATIENCE_MS) // for all of them, of which some stand back

struct job {
    uint64_t number;
    uint64_t value; // handed to the worker and back without a lock
    int calls;
    enum mm_err err;
};

static struct job jobs[JOBS];
static int submitted, completed, refused;
static int failed_jobs, late_jobs;
static bool all_done, state_up;
static struct mm_db *db;

static enum mm_err work(struct mm_db_conn *conn, void *arg)
{
    struct job *job = arg;
    struct mm_db_rows *rows;
    if (job->number % 50 == 7) // some are slow, and have a short deadline
        return mm_db_exec(conn, "DO SLEEP(0.2)", MM_DB_NO_ARGS, NULL);
    enum mm_err err =
        mm_db_query_one(conn, "SELECT ? + 1", MM_DB_ARGS(mm_db_u64(job->value)), &rows);
    if (err != MM_OK)
        return err;
    job->value = mm_db_get_u64(rows, 0);
    return mm_db_end(rows);
}

static void submit_more(void);

static void done(enum mm_err err, void *arg)
{
    struct job *job = arg;
    job->calls++;
    job->err = err;
    if (err == MM_OK && job->number % 50 != 7)
        EXPECT_THAT(job->value == job->number + 1, "the worker's result is seen on the loop");
    failed_jobs += err != MM_OK;
    late_jobs += err == MM_DEADLINE_EXCEEDED;
    completed++;
    submit_more();
    all_done = completed == JOBS;
}

// Keeps the queue full.
static void submit_more(void)
{
    while (submitted < JOBS) {
        struct job *job = &jobs[submitted];
        job->number = job->value = (uint64_t)submitted;
        struct mm_db_job spec = {.work = work,
                                 .done = done,
                                 .arg = job,
                                 .lane = job->number % 3 ? job->number % 7 + 1 : 0,
                                 .breaks_lane = job->number % 2 == 0,
                                 .background = job->number % 5 == 0,
                                 .deadline_ms = job->number % 50 == 7 ? 30 : PATIENCE_MS};
        if (mm_db_submit(db, &spec) != MM_OK) {
            refused++;
            return;
        }
        submitted++;
    }
}

static void on_state(bool is_up, void *arg)
{
    (void)arg;
    state_up = is_up;
}

int main(void)
{
    struct test_server *server = test_mariadb_start();
    const struct test_address *address = test_server_address(server);
    struct mm_db_options options = test_db_options(address, "threads");
    options.background_workers = 1;
    options.jobs_max = 64;
    options.on_state = on_state;
    struct mm_loop *loop;
    if (mm_loop_create(NULL, &loop) != MM_OK || mm_db_create(loop, &options, &db) != MM_OK)
        return 1;
    EXPECT_THAT(mm_loop_run_until(loop, &state_up, TEST_PATIENCE_MS), "the pool comes up");
    submit_more();
    EXPECT_THAT(mm_loop_run_until(loop, &all_done, PATIENCE_MS), "all jobs complete");
    for (int i = 0; i < JOBS; i++)
        EXPECT_THAT(jobs[i].calls == 1, "every job is called back once");
    EXPECT_THAT(refused > 0, "the queue was full");
    EXPECT_THAT(late_jobs > 0, "deadlines passed");
    EXPECT_THAT(late_jobs < JOBS / 2, "most jobs were in time");

    // The server dies with the queue full, and comes back.
    submitted = completed = failed_jobs = 0;
    all_done = false;
    submit_more();
    test_server_kill(server);
    EXPECT_THAT(mm_loop_run_until(loop, &all_done, PATIENCE_MS),
                "all jobs complete without a server");
    EXPECT_THAT(failed_jobs > 0, "jobs failed while it was away");
    test_server_restart(server);
    EXPECT_THAT(state_up || mm_loop_run_until(loop, &state_up, TEST_PATIENCE_MS),
                "the pool comes back");

    // Destroyed with the queue full.
    submitted = completed = 0;
    submit_more();
    int accepted = submitted;
    mm_db_destroy(db, 0);
    EXPECT_THAT(completed == accepted, "destroy calls back every accepted job");
    mm_loop_destroy(loop);
    test_server_free(server);
    return plain_finish();
}
