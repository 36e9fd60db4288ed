// Background jobs of the MariaDB pool: who runs them, and that they keep nobody waiting.

#include "libcommon/io/db.h"
#include "libcommon/io/db_conn.h"
#include "tests/support/db_options.h"
#include "tests/support/process.h"
#include "tests/support/servers.h"

#include <criterion/criterion.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

static struct mm_loop *loop;
static struct mm_db *db;
static struct mm_db_options options;
static char *database;
static atomic_bool gate_open; // for jobs that hold up their worker

static void setup(void)
{
    const struct test_address *address = &test_servers_get()->mariadb;
    cr_assert_eq(mm_loop_create(NULL, &loop), MM_OK);
    database = test_name_unique("db");
    options = test_db_options(address, database);
    options.workers = 3;
    options.background_workers = 1;
}

static void teardown(void)
{
    atomic_store(&gate_open, true); // also after a test that has failed
    mm_db_destroy(db, 0);
    struct mm_db_conn *conn;
    options.workers = options.background_workers = 0;
    cr_assert_eq(mm_db_conn_open(&options, &conn), MM_OK);
    char sql[128];
    int size = snprintf(sql, sizeof sql, "DROP DATABASE `%s`", database);
    cr_assert_eq(mm_db_exec_text(conn, sql, (size_t)size), MM_OK);
    mm_db_conn_close(conn);
    free(database);
    mm_loop_destroy(loop);
}

TestSuite(background, .init = setup, .fini = teardown, .timeout = 300);

// --- jobs ----------------------------------------------------------------------------------------

struct job {
    int policy, nice, order; // as its worker found them
    int calls;
    bool done;
    enum mm_err err;
};

static atomic_int job_order;

static enum mm_err note(struct mm_db_conn *conn, void *arg)
{
    struct job *job = arg;
    job->policy = sched_getscheduler(0);
    job->nice = getpriority(PRIO_PROCESS, 0);
    job->order = atomic_fetch_add(&job_order, 1);
    return mm_db_exec(conn, "DO 1", MM_DB_NO_ARGS, NULL);
}

static enum mm_err note_at_the_gate(struct mm_db_conn *conn, void *arg)
{
    while (!atomic_load(&gate_open))
        sched_yield();
    return note(conn, arg);
}

static enum mm_err sleep_long(struct mm_db_conn *conn, void *arg)
{
    (void)arg;
    return mm_db_exec(conn, "DO SLEEP(200)", MM_DB_NO_ARGS, NULL);
}

static void job_done(enum mm_err err, void *arg)
{
    struct job *job = arg;
    job->err = err;
    job->calls++;
    job->done = true;
}

static void submit(struct job *job, mm_db_work_fn work, bool background, uint64_t lane)
{
    struct mm_db_job spec = {.work = work,
                             .done = job_done,
                             .arg = job,
                             .lane = lane,
                             .background = background,
                             .deadline_ms = 2 * TEST_PATIENCE_MS};
    cr_assert_eq(mm_db_submit(db, &spec), MM_OK);
}

static void wait_for(struct job *job)
{
    cr_assert(mm_loop_run_until(loop, &job->done, TEST_PATIENCE_MS), "the job never completed");
    cr_assert_eq(job->err, MM_OK);
}

static void pool_start(void)
{
    cr_assert_eq(mm_db_create(loop, &options, &db), MM_OK);
}

// --- tests ---------------------------------------------------------------------------------------

Test(background, its_worker_stands_back_and_others_do_not)
{
    // Whatever these tests were started under.
    struct sched_param none = {0};
    cr_assert_eq(sched_setscheduler(0, SCHED_OTHER, &none), 0);
    int policy = SCHED_OTHER, nice = getpriority(PRIO_PROCESS, 0);
    pool_start();
    struct job jobs[12] = {0};
    for (int i = 0; i < 12; i++)
        submit(&jobs[i], note, i % 2, 0);
    for (int i = 0; i < 12; i++) {
        wait_for(&jobs[i]);
        cr_assert_eq(jobs[i].policy, i % 2 ? SCHED_BATCH : policy, "job %d", i);
        cr_assert_eq(jobs[i].nice > nice, i % 2 && nice < 19, "job %d", i);
    }
}

Test(background, without_such_workers_it_is_a_job_like_others)
{
    options.background_workers = 0;
    pool_start();
    struct job job = {0};
    submit(&job, note, true, 0);
    wait_for(&job);
    cr_assert_eq(job.policy, sched_getscheduler(0));
}

Test(background, keeps_no_other_job_from_a_worker)
{
    pool_start();
    struct job behind[8] = {0}, ahead[8] = {0};
    for (int i = 0; i < 8; i++)
        submit(&behind[i], note_at_the_gate, true, 0);
    for (int i = 0; i < 8; i++)
        submit(&ahead[i], note, false, 0);
    for (int i = 0; i < 8; i++)
        wait_for(&ahead[i]);
    cr_assert_not(behind[0].done);
    atomic_store(&gate_open, true);
    for (int i = 0; i < 8; i++)
        wait_for(&behind[i]);
}

Test(background, is_run_while_other_workers_are_busy)
{
    pool_start();
    struct job busy[4] = {0}, job = {0};
    for (int i = 0; i < 4; i++)
        submit(&busy[i], note_at_the_gate, false, 0);
    submit(&job, note, true, 0);
    wait_for(&job);
    cr_assert_not(busy[0].done);
    atomic_store(&gate_open, true);
    for (int i = 0; i < 4; i++)
        wait_for(&busy[i]);
}

Test(background, a_lane_of_both_kinds_keeps_its_order)
{
    enum { JOBS = 60 };
    pool_start();
    static struct job jobs[JOBS];
    for (int i = 0; i < JOBS; i++)
        submit(&jobs[i], note, i % 3 == 0, 5);
    for (int i = 0; i < JOBS; i++) {
        wait_for(&jobs[i]);
        cr_assert_eq(jobs[i].order, i);
    }
}

Test(background, destroy_cancels_a_lane_of_both_kinds)
{
    options.workers = 2;
    options.statement_timeout_ms = 200000;
    pool_start();
    struct job jobs[6] = {0};
    for (int i = 0; i < 6; i++)
        submit(&jobs[i], sleep_long, i % 2 == 0, 5);
    mm_db_destroy(db, 0);
    db = NULL;
    for (int i = 0; i < 6; i++) {
        cr_assert_eq(jobs[i].calls, 1, "job %d", i);
        cr_assert_eq(jobs[i].err, MM_CANCELLED, "job %d: %s", i, mm_err_name(jobs[i].err));
    }
}

Test(background, some_workers_are_left_for_other_jobs)
{
    options.background_workers = options.workers;
    cr_assert_eq(mm_db_create(loop, &options, &db), MM_INVALID_ARGUMENT);
}
