// The MariaDB pool and its connections against a real server.

#include "libcommon/base/clock.h"
#include "libcommon/io/db.h"
#include "libcommon/io/db_conn.h"
#include "tests/support/db_options.h"
#include "tests/support/process.h"
#include "tests/support/servers.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static struct mm_loop *loop;
static struct mm_db *db;
static struct test_server *server; // of tests that stop or kill it
static struct mm_db_options options;
static char *database;
static atomic_bool gate_open; // for jobs that hold up their worker
static atomic_int gate_entered;

static void options_for(const struct test_address *address)
{
    database = test_name_unique("db");
    options = test_db_options(address, database);
    options.workers = 3;
}

static void setup_shared(void)
{
    cr_assert_eq(mm_loop_create(NULL, &loop), MM_OK);
    options_for(&test_servers_get()->mariadb);
}

static void setup_own(void)
{
    cr_assert_eq(mm_loop_create(NULL, &loop), MM_OK);
    server = test_mariadb_start();
    options_for(test_server_address(server));
}

static enum mm_err drop_database(struct mm_db_conn *conn, void *arg)
{
    (void)arg;
    char sql[128];
    int size = snprintf(sql, sizeof sql, "DROP DATABASE `%s`", database);
    return mm_db_exec_text(conn, sql, (size_t)size);
}

static void teardown(void)
{
    atomic_store(&gate_open, true); // also after a test that has failed
    mm_db_destroy(db, 0);
    if (!server) {
        struct mm_db_conn *conn;
        cr_assert_eq(mm_db_conn_open(&options, &conn), MM_OK);
        cr_assert_eq(drop_database(conn, NULL), MM_OK);
        mm_db_conn_close(conn);
    }
    test_server_free(server);
    free(database);
    mm_loop_destroy(loop);
}

TestSuite(conn, .init = setup_shared, .fini = teardown, .timeout = 300);
TestSuite(pool, .init = setup_shared, .fini = teardown, .timeout = 300);
TestSuite(pool_outage, .init = setup_own, .fini = teardown, .timeout = 300);

#define EXEC(conn, sql, ...)                                                                       \
    cr_assert_eq(mm_db_exec(conn, sql, __VA_ARGS__, NULL), MM_OK, "%s: %s", sql,                   \
                 mm_db_error_text(conn))

static struct mm_db_conn *conn_open(void)
{
    struct mm_db_conn *conn;
    cr_assert_eq(mm_db_conn_open(&options, &conn), MM_OK);
    return conn;
}

static uint64_t count_rows(struct mm_db_conn *conn, const char *sql)
{
    struct mm_db_rows *rows;
    cr_assert_eq(mm_db_query_one(conn, sql, MM_DB_NO_ARGS, &rows), MM_OK);
    uint64_t count = mm_db_get_u64(rows, 0);
    cr_assert_eq(mm_db_end(rows), MM_OK);
    return count;
}

// --- connections -------------------------------------------------------------------------------

Test(conn, values_of_every_kind_come_back_as_they_went)
{
    struct mm_db_conn *conn = conn_open();
    EXEC(conn,
         "CREATE TABLE v (id INT PRIMARY KEY, i BIGINT, u BIGINT UNSIGNED, f DOUBLE, "
         "s VARCHAR(100), b LONGBLOB, t TINYINT UNSIGNED)",
         MM_DB_NO_ARGS);
    const char *insert = "INSERT INTO v VALUES (?, ?, ?, ?, ?, ?, ?)";
    size_t large_size = 3000000;
    char *large = malloc(large_size);
    for (size_t i = 0; i < large_size; i++)
        large[i] = (char)(i * 31 + i / 251);
    EXEC(conn, insert,
         MM_DB_ARGS(mm_db_i64(1), mm_db_i64(INT64_MIN), mm_db_u64(UINT64_MAX), mm_db_f64(0.1),
                    mm_db_str("h\xc3\xa9xagon \xf0\x9f\x8f\xb0 'quoted'"), mm_db_blob("a\0b", 3),
                    mm_db_u64(255)));
    EXEC(conn, insert,
         MM_DB_ARGS(mm_db_i64(2), mm_db_null(), mm_db_null(), mm_db_null(), mm_db_str(NULL),
                    mm_db_null(), mm_db_null()));
    EXEC(conn, insert,
         MM_DB_ARGS(mm_db_i64(3), mm_db_i64(-1), mm_db_u64(0), mm_db_f64(-1e300), mm_db_str(""),
                    mm_db_blob(large, large_size), mm_db_u64(0)));
    EXEC(conn, insert,
         MM_DB_ARGS(mm_db_i64(4), mm_db_i64(-1), mm_db_u64(0), mm_db_f64(0), mm_db_str("x"),
                    mm_db_blob("", 0), mm_db_u64(0)));

    struct mm_db_rows *rows;
    cr_assert_eq(
        mm_db_query(conn, "SELECT i, u, f, s, b, t FROM v ORDER BY id", MM_DB_NO_ARGS, &rows),
        MM_OK);
    cr_assert_eq(mm_db_row_count(rows), 4);
    cr_assert(mm_db_next(rows));
    cr_assert_eq(mm_db_get_i64(rows, 0), INT64_MIN);
    cr_assert_eq(mm_db_get_u64(rows, 1), UINT64_MAX);
    cr_assert(mm_db_get_f64(rows, 2) == 0.1);
    cr_assert_str_eq(mm_db_get_bytes(rows, 3).data, "h\xc3\xa9xagon \xf0\x9f\x8f\xb0 'quoted'");
    cr_assert_eq(mm_db_get_bytes(rows, 4).size, 3);
    cr_assert_arr_eq(mm_db_get_bytes(rows, 4).data, "a\0b", 3);
    cr_assert_eq(mm_db_get_u32(rows, 5), 255);
    cr_assert(mm_db_next(rows));
    for (unsigned column = 0; column < 6; column++)
        cr_assert(mm_db_get_is_null(rows, column));
    cr_assert_eq(mm_db_get_u64(rows, 1), 0);
    cr_assert_null(mm_db_get_bytes(rows, 4).data);
    cr_assert(mm_db_next(rows));
    cr_assert_eq(mm_db_get_bytes(rows, 3).size, 0);
    cr_assert_eq(mm_db_get_bytes(rows, 4).size, large_size);
    cr_assert_eq(memcmp(mm_db_get_bytes(rows, 4).data, large, large_size), 0);
    cr_assert(mm_db_next(rows));
    cr_assert_eq(mm_db_get_bytes(rows, 4).size, 0);
    cr_assert_not(mm_db_next(rows));
    cr_assert_eq(mm_db_end(rows), MM_OK);
    free(large);
    mm_db_conn_close(conn);
}

Test(conn, getters_refuse_what_does_not_fit)
{
    struct mm_db_conn *conn = conn_open();
    struct mm_db_rows *rows;
    const char *sql = "SELECT -1, 18446744073709551615, 'text', SUM(7), 4294967296";
    struct {
        int getter;
        enum mm_err expected;
    } cases[] = {{0, MM_OUT_OF_RANGE},     {1, MM_OUT_OF_RANGE}, {2, MM_INVALID_ARGUMENT},
                 {3, MM_INVALID_ARGUMENT}, {4, MM_OK},           {5, MM_OUT_OF_RANGE}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cr_assert_eq(mm_db_query_one(conn, sql, MM_DB_NO_ARGS, &rows), MM_OK);
        switch (cases[i].getter) {
        case 0:
            (void)mm_db_get_u64(rows, 0);
            break;
        case 1:
            (void)mm_db_get_i64(rows, 1);
            break;
        case 2:
            (void)mm_db_get_i64(rows, 2);
            break;
        case 3:
            (void)mm_db_get_bytes(rows, 0);
            break;
        case 4:
            cr_assert_eq(mm_db_get_u64(rows, 3), 7, "SUM is a DECIMAL");
            break;
        default:
            (void)mm_db_get_u32(rows, 4);
            break;
        }
        cr_assert_eq(mm_db_end(rows), cases[i].expected, "case %zu", i);
    }
    cr_assert_eq(mm_db_query_one(conn, "SELECT 1 FROM DUAL WHERE 1 = 0", MM_DB_NO_ARGS, &rows),
                 MM_NOT_FOUND);
    mm_db_conn_close(conn);
}

Test(conn, errors_have_their_class)
{
    struct mm_db_conn *conn = conn_open();
    EXEC(conn,
         "CREATE TABLE e (id INT UNSIGNED PRIMARY KEY, name VARCHAR(3) NOT NULL, "
         "parent INT UNSIGNED, CHECK (id < 100), FOREIGN KEY (parent) REFERENCES e (id))",
         MM_DB_NO_ARGS);
    EXEC(conn, "INSERT INTO e VALUES (1, 'a', NULL)", MM_DB_NO_ARGS);
    struct {
        const char *sql;
        enum mm_err expected;
    } cases[] = {
        {"INSERT INTO e VALUES (1, 'b', NULL)", MM_ALREADY_EXISTS},
        {"INSERT INTO e VALUES (200, 'b', NULL)", MM_FAILED_PRECONDITION},
        {"INSERT INTO e VALUES (2, 'b', 77)", MM_FAILED_PRECONDITION},
        {"INSERT INTO e VALUES (2, 'long', NULL)", MM_INVALID_ARGUMENT},
        {"INSERT INTO e VALUES (2, NULL, NULL)", MM_INVALID_ARGUMENT},
        {"INSERT INTO e VALUES (-2, 'b', NULL)", MM_OUT_OF_RANGE},
        {"INSERT INTO nowhere VALUES (1)", MM_INTERNAL},
        {"SELEKT", MM_INTERNAL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum mm_err err = mm_db_exec(conn, cases[i].sql, MM_DB_NO_ARGS, NULL);
        cr_expect_eq(err, cases[i].expected, "%s: %s, %u %s", cases[i].sql, mm_err_name(err),
                     mm_db_error_number(conn), mm_db_error_text(conn));
    }
    // Too large a value is refused here, and the connection lives on.
    size_t size = 64u << 20;
    char *large = calloc(1, size);
    cr_assert_eq(mm_db_exec(conn, "DO LENGTH(?)", MM_DB_ARGS(mm_db_blob(large, size)), NULL),
                 MM_RESOURCE_EXHAUSTED);
    free(large);
    EXEC(conn, "UPDATE e SET name = 'b' WHERE id = 1", MM_DB_NO_ARGS);
    // The limit is told to the server as the connection is made; a short one only now, for what it
    // takes to make one has no bound.
    cr_assert_eq(count_rows(conn, "SELECT CAST(@@max_statement_time * 1000 AS UNSIGNED)"),
                 TEST_PATIENCE_MS);
    EXEC(conn, "SET SESSION max_statement_time = 0.5", MM_DB_NO_ARGS);
    cr_assert_eq(mm_db_exec(conn,
                            "SELECT COUNT(*) FROM seq_1_to_1000000 a, seq_1_to_1000000 b "
                            "WHERE a.seq + b.seq = 0",
                            MM_DB_NO_ARGS, NULL),
                 MM_DEADLINE_EXCEEDED);
    mm_db_conn_close(conn);
}

Test(conn, affected_rows_are_those_that_matched)
{
    struct mm_db_conn *conn = conn_open();
    struct mm_db_result result;
    EXEC(conn, "CREATE TABLE a (id INT PRIMARY KEY AUTO_INCREMENT, v INT)", MM_DB_NO_ARGS);
    cr_assert_eq(mm_db_exec(conn, "INSERT INTO a (v) VALUES (5), (5), (6)", MM_DB_NO_ARGS, &result),
                 MM_OK);
    cr_assert_eq(result.affected_rows, 3);
    cr_assert_eq(result.insert_id, 1);
    cr_assert_eq(mm_db_exec(conn, "UPDATE a SET v = 5 WHERE v = 5", MM_DB_NO_ARGS, &result), MM_OK);
    cr_assert_eq(result.affected_rows, 2);
    mm_db_conn_close(conn);
}

Test(conn, more_statements_than_the_cache_holds)
{
    struct mm_db_conn *conn = conn_open();
    struct mm_db_rows *outer;
    cr_assert_eq(mm_db_query_one(conn, "SELECT 'outer'", MM_DB_NO_ARGS, &outer), MM_OK);
    for (int round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 3 * MM_DB_STATEMENTS_MAX; i++) {
            char sql[64];
            struct mm_db_rows *rows;
            (void)snprintf(sql, sizeof sql, "SELECT %u + ?", i);
            cr_assert_eq(mm_db_query_one(conn, sql, MM_DB_ARGS(mm_db_i64(1000)), &rows), MM_OK);
            cr_assert_eq(mm_db_get_u64(rows, 0), i + 1000);
            cr_assert_eq(mm_db_end(rows), MM_OK);
        }
    }
    cr_assert_str_eq(mm_db_get_bytes(outer, 0).data, "outer", "an open result was thrown out");
    cr_assert_eq(mm_db_end(outer), MM_OK);
    mm_db_conn_close(conn);
}

Test(conn, column_types_may_change_between_two_executions)
{
    struct mm_db_conn *conn = conn_open();
    struct mm_db_rows *rows;
    EXEC(conn, "CREATE TABLE c (a INT)", MM_DB_NO_ARGS);
    EXEC(conn, "INSERT INTO c VALUES (7)", MM_DB_NO_ARGS);
    const char *sql = "SELECT * FROM c";
    cr_assert_eq(mm_db_query_one(conn, sql, MM_DB_NO_ARGS, &rows), MM_OK);
    cr_assert_eq(mm_db_get_i64(rows, 0), 7);
    cr_assert_eq(mm_db_end(rows), MM_OK);
    EXEC(conn, "ALTER TABLE c MODIFY a VARCHAR(10), ADD b BIGINT UNSIGNED DEFAULT 8",
         MM_DB_NO_ARGS);
    // The library cannot take on another number of columns: one ABORTED, then all is well.
    cr_assert_eq(mm_db_query_one(conn, sql, MM_DB_NO_ARGS, &rows), MM_ABORTED, "%s",
                 mm_db_error_text(conn));
    cr_assert_eq(mm_db_query_one(conn, sql, MM_DB_NO_ARGS, &rows), MM_OK);
    cr_assert_str_eq(mm_db_get_bytes(rows, 0).data, "7");
    cr_assert_eq(mm_db_get_u64(rows, 1), 8);
    cr_assert_eq(mm_db_end(rows), MM_OK);
    sql = "SELECT ?";
    cr_assert_eq(mm_db_query_one(conn, sql, MM_DB_ARGS(mm_db_str("text")), &rows), MM_OK);
    cr_assert_str_eq(mm_db_get_bytes(rows, 0).data, "text");
    cr_assert_eq(mm_db_end(rows), MM_OK);
    cr_assert_eq(mm_db_query_one(conn, sql, MM_DB_ARGS(mm_db_i64(-5)), &rows), MM_OK);
    cr_assert_eq(mm_db_get_i64(rows, 0), -5);
    cr_assert_eq(mm_db_end(rows), MM_OK);
    mm_db_conn_close(conn);
}

Test(conn, batches_of_any_length_are_all_or_nothing)
{
    struct mm_db_conn *conn = conn_open();
    EXEC(conn, "CREATE TABLE m (id INT PRIMARY KEY, name VARCHAR(20))", MM_DB_NO_ARGS);
    const size_t counts[] = {0, 1, 2, 63, 64, 65, 127, 1000};
    int64_t next = 0;
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        struct mm_db_arg *args = calloc(2 * counts[c] + 1, sizeof *args);
        for (size_t i = 0; i < counts[c]; i++) {
            args[2 * i] = mm_db_i64(next++);
            args[2 * i + 1] = mm_db_str("name");
        }
        cr_assert_eq(mm_db_insert_rows(conn, "INSERT INTO m (id, name)", NULL, 2, args, counts[c]),
                     MM_OK);
        free(args);
        cr_assert_eq(count_rows(conn, "SELECT COUNT(*) FROM m"), (uint64_t)next);
    }
    // The last of 100 rows collides: none of them may stay.
    struct mm_db_arg args[200];
    for (size_t i = 0; i < 100; i++) {
        args[2 * i] = mm_db_i64(i == 99 ? 0 : next + (int64_t)i);
        args[2 * i + 1] = mm_db_null();
    }
    cr_assert_eq(mm_db_insert_rows(conn, "INSERT INTO m (id, name)", NULL, 2, args, 100),
                 MM_ALREADY_EXISTS);
    cr_assert_eq(count_rows(conn, "SELECT COUNT(*) FROM m"), (uint64_t)next);
    cr_assert_eq(mm_db_insert_rows(conn, "INSERT INTO m (id, name)",
                                   "ON DUPLICATE KEY UPDATE name = VALUES(name)", 2, args, 100),
                 MM_OK);
    cr_assert_eq(count_rows(conn, "SELECT COUNT(*) FROM m"), (uint64_t)next + 99);
    mm_db_conn_close(conn);
}

static enum mm_err insert_then_fail(struct mm_db_conn *conn, void *arg)
{
    int *tries = arg;
    ++*tries;
    EXEC(conn, "INSERT INTO t VALUES (1)", MM_DB_NO_ARGS);
    return *tries < 3 ? MM_ABORTED : MM_FAILED_PRECONDITION;
}

Test(conn, failed_transaction_leaves_nothing_and_aborted_is_tried_again)
{
    struct mm_db_conn *conn = conn_open();
    EXEC(conn, "CREATE TABLE t (id INT PRIMARY KEY)", MM_DB_NO_ARGS);
    int tries = 0;
    cr_assert_eq(mm_db_transaction(conn, insert_then_fail, &tries), MM_FAILED_PRECONDITION);
    cr_assert_eq(tries, 3);
    cr_assert_eq(count_rows(conn, "SELECT COUNT(*) FROM t"), 0);
    mm_db_conn_close(conn);
}

// --- the pool ----------------------------------------------------------------------------------

static void pool_start(void)
{
    cr_assert_eq(mm_db_create(loop, &options, &db), MM_OK);
}

struct outcome {
    bool done;
    int calls;
    enum mm_err err;
};

static void outcome_done(enum mm_err err, void *arg)
{
    struct outcome *outcome = arg;
    outcome->done = true;
    outcome->calls++;
    outcome->err = err;
}

static enum mm_err work_nothing(struct mm_db_conn *conn, void *arg)
{
    (void)arg;
    return mm_db_exec(conn, "DO 1", MM_DB_NO_ARGS, NULL);
}

static enum mm_err run_job_in(enum mm_err (*work)(struct mm_db_conn *, void *),
                              uint32_t deadline_ms)
{
    struct outcome outcome = {0};
    struct mm_db_job job = {
        .work = work, .done = outcome_done, .arg = &outcome, .deadline_ms = deadline_ms};
    cr_assert_eq(mm_db_submit(db, &job), MM_OK);
    cr_assert_not(outcome.done);
    cr_assert(mm_loop_run_until(loop, &outcome.done, TEST_PATIENCE_MS), "the job never completed");
    return outcome.err;
}

static enum mm_err run_job(enum mm_err (*work)(struct mm_db_conn *, void *))
{
    return run_job_in(work, TEST_PATIENCE_MS / 2);
}

static atomic_int deadlock_stage;

// Two of these take the same two rows in opposite order.
struct deadlock {
    struct outcome outcome;
    int first, second;
};

static enum mm_err deadlock_work(struct mm_db_conn *conn, void *arg)
{
    struct deadlock *side = arg;
    const char *sql = "UPDATE d SET v = v + 1 WHERE id = ?";
    enum mm_err err = mm_db_exec(conn, sql, MM_DB_ARGS(mm_db_i64(side->first)), NULL);
    if (err != MM_OK)
        return err;
    atomic_fetch_add(&deadlock_stage, 1);
    // On the first try both hold their first row before either asks for its second.
    uint64_t end_ms = mm_clock_ms() + TEST_PATIENCE_MS / 2;
    while (atomic_load(&deadlock_stage) < 2 && mm_clock_ms() < end_ms)
        ;
    return mm_db_exec(conn, sql, MM_DB_ARGS(mm_db_i64(side->second)), NULL);
}

static enum mm_err deadlock_transaction(struct mm_db_conn *conn, void *arg)
{
    return mm_db_transaction(conn, deadlock_work, arg);
}

static void deadlock_done(enum mm_err err, void *arg)
{
    outcome_done(err, &((struct deadlock *)arg)->outcome);
}

Test(pool, dead_locked_transaction_is_repeated)
{
    struct mm_db_conn *conn = conn_open();
    EXEC(conn, "CREATE TABLE d (id INT PRIMARY KEY, v INT)", MM_DB_NO_ARGS);
    EXEC(conn, "INSERT INTO d VALUES (1, 0), (2, 0)", MM_DB_NO_ARGS);
    pool_start();
    static struct deadlock sides[2] = {{.first = 1, .second = 2}, {.first = 2, .second = 1}};
    for (int i = 0; i < 2; i++) {
        struct mm_db_job job = {.work = deadlock_transaction,
                                .done = deadlock_done,
                                .arg = &sides[i],
                                .deadline_ms = TEST_PATIENCE_MS};
        cr_assert_eq(mm_db_submit(db, &job), MM_OK);
    }
    for (int i = 0; i < 2; i++) {
        cr_assert(mm_loop_run_until(loop, &sides[i].outcome.done, TEST_PATIENCE_MS));
        cr_assert_eq(sides[i].outcome.err, MM_OK);
    }
    cr_assert_geq(atomic_load(&deadlock_stage), 3, "there was no dead-lock to begin with");
    cr_assert_eq(count_rows(conn, "SELECT SUM(v) FROM d"), 4);
    mm_db_conn_close(conn);
}

static enum mm_err work_gate(struct mm_db_conn *conn, void *arg)
{
    (void)conn;
    (void)arg;
    atomic_fetch_add(&gate_entered, 1);
    while (!atomic_load(&gate_open))
        ;
    return MM_OK;
}

Test(pool, full_queue_refuses_and_the_refused_has_no_callback)
{
    options.workers = 1;
    options.jobs_max = 8;
    pool_start();
    struct outcome outcomes[9] = {0};
    struct mm_db_job job = {
        .work = work_gate, .done = outcome_done, .deadline_ms = TEST_PATIENCE_MS};
    for (int i = 0; i < 8; i++) {
        job.arg = &outcomes[i];
        cr_assert_eq(mm_db_submit(db, &job), MM_OK);
    }
    job.arg = &outcomes[8];
    cr_assert_eq(mm_db_submit(db, &job), MM_RESOURCE_EXHAUSTED);
    cr_assert_eq(mm_db_outstanding(db), 8);
    atomic_store(&gate_open, true);
    for (int i = 0; i < 8; i++) {
        cr_assert(mm_loop_run_until(loop, &outcomes[i].done, TEST_PATIENCE_MS));
        cr_assert_eq(outcomes[i].err, MM_OK);
    }
    cr_assert_eq(mm_db_outstanding(db), 0);
    cr_assert_eq(outcomes[8].calls, 0);
    struct mm_db_stats stats;
    mm_db_stats(db, &stats, true);
    cr_assert_eq(stats.jobs_done, 8);
    cr_assert_eq(stats.jobs_refused, 1);
}

// Lanes: every job notes in which order it began and ended; lanes overlap, a lane does not.
#define LANES     5
#define LANE_JOBS 40

struct lane_job {
    int lane, number;
};

static atomic_int lane_inside[LANES];
static atomic_int lane_next[LANES];
static atomic_int lane_faults;
static int lane_completed[LANES];
static int lane_total;
static bool lane_all_done;

static enum mm_err lane_work(struct mm_db_conn *conn, void *arg)
{
    struct lane_job *job = arg;
    if (atomic_fetch_add(&lane_inside[job->lane], 1) != 0)
        atomic_fetch_add(&lane_faults, 1);
    if (atomic_fetch_add(&lane_next[job->lane], 1) != job->number)
        atomic_fetch_add(&lane_faults, 1);
    enum mm_err err =
        mm_db_exec(conn, "DO SLEEP(0.001 * ?)", MM_DB_ARGS(mm_db_i64(job->number % 3)), NULL);
    atomic_fetch_sub(&lane_inside[job->lane], 1);
    return err;
}

static void lane_done(enum mm_err err, void *arg)
{
    struct lane_job *job = arg;
    cr_assert_eq(err, MM_OK);
    cr_assert_eq(lane_completed[job->lane], job->number, "completions out of order");
    lane_completed[job->lane]++;
    lane_all_done = ++lane_total == LANES * LANE_JOBS;
}

Test(pool, lane_runs_in_order_one_after_another)
{
    pool_start();
    static struct lane_job jobs[LANE_JOBS][LANES];
    for (int number = 0; number < LANE_JOBS; number++) {
        for (int lane = 0; lane < LANES; lane++) {
            jobs[number][lane] = (struct lane_job){lane, number};
            struct mm_db_job job = {.work = lane_work,
                                    .done = lane_done,
                                    .arg = &jobs[number][lane],
                                    .lane = (uint64_t)lane + 1,
                                    .deadline_ms = TEST_PATIENCE_MS};
            cr_assert_eq(mm_db_submit(db, &job), MM_OK);
        }
    }
    cr_assert(mm_loop_run_until(loop, &lane_all_done, TEST_PATIENCE_MS));
    cr_assert_eq(atomic_load(&lane_faults), 0);
}

// A broken lane: 1 succeeds, 2 fails, 3 and 4 were submitted before that was known.
struct chain {
    int number;
    enum mm_err result;
    bool ran;
};

static struct chain chain[6];
static int chain_completed;
static bool chain_over;

static enum mm_err chain_work(struct mm_db_conn *conn, void *arg)
{
    struct chain *link = arg;
    link->ran = true;
    return link->number == 2 ? MM_DATA_LOSS : work_nothing(conn, NULL);
}

static void chain_done(enum mm_err err, void *arg);

static void chain_submit(int number)
{
    chain[number].number = number;
    struct mm_db_job job = {.work = chain_work,
                            .done = chain_done,
                            .arg = &chain[number],
                            .lane = 77,
                            .breaks_lane = true,
                            .deadline_ms = TEST_PATIENCE_MS};
    cr_assert_eq(mm_db_submit(db, &job), MM_OK);
}

static void chain_done(enum mm_err err, void *arg)
{
    struct chain *link = arg;
    link->result = err;
    cr_assert_eq(++chain_completed, link->number, "completions out of order");
    if (link->number == 2)
        chain_submit(5); // knows of the failure: runs again
    chain_over = chain_completed == 5;
}

Test(pool, failure_breaks_its_lane_until_it_is_known)
{
    pool_start();
    for (int number = 1; number <= 4; number++)
        chain_submit(number);
    cr_assert(mm_loop_run_until(loop, &chain_over, TEST_PATIENCE_MS));
    cr_assert_eq(chain[1].result, MM_OK);
    cr_assert_eq(chain[2].result, MM_DATA_LOSS);
    cr_assert_eq(chain[3].result, MM_ABORTED);
    cr_assert_eq(chain[4].result, MM_ABORTED);
    cr_assert_not(chain[3].ran || chain[4].ran);
    cr_assert_eq(chain[5].result, MM_OK);
}

Test(pool, job_submitted_between_failure_and_its_callback_does_not_run)
{
    pool_start();
    chain_submit(1);
    chain_submit(2);
    // The worker is through with both, the loop has not been told yet.
    struct mm_db_stats stats;
    do {
        mm_db_stats(db, &stats, false);
    } while (stats.jobs_done < 2);
    chain_submit(3);
    chain_submit(4);
    cr_assert(mm_loop_run_until(loop, &chain_over, TEST_PATIENCE_MS));
    cr_assert_eq(chain[3].result, MM_ABORTED);
    cr_assert_eq(chain[4].result, MM_ABORTED);
    cr_assert_not(chain[3].ran || chain[4].ran);
    cr_assert_eq(chain[5].result, MM_OK);
}

// Longer than any wait of these tests: what ends sooner was cut off.
#define SLEEP_LONG    "DO SLEEP(200)"
#define SLEEP_LONG_MS 200000

static enum mm_err work_sleep_long(struct mm_db_conn *conn, void *arg)
{
    (void)arg;
    return mm_db_exec(conn, SLEEP_LONG, MM_DB_NO_ARGS, NULL);
}

Test(pool, deadline_cuts_off_a_running_job)
{
    options.statement_timeout_ms = SLEEP_LONG_MS;
    pool_start();
    cr_assert_eq(run_job_in(work_sleep_long, 200), MM_DEADLINE_EXCEEDED);
    cr_assert_eq(run_job(work_nothing), MM_OK);
}

Test(pool, deadline_passes_for_a_job_that_waits)
{
    options.workers = 1;
    pool_start();
    struct outcome gate = {0}, waiting = {0};
    struct mm_db_job job = {
        .work = work_gate, .done = outcome_done, .arg = &gate, .deadline_ms = TEST_PATIENCE_MS};
    cr_assert_eq(mm_db_submit(db, &job), MM_OK);
    job = (struct mm_db_job){
        .work = work_nothing, .done = outcome_done, .arg = &waiting, .deadline_ms = 100};
    cr_assert_eq(mm_db_submit(db, &job), MM_OK);
    cr_assert(mm_loop_run_until(loop, &waiting.done, TEST_PATIENCE_MS));
    cr_assert_eq(waiting.err, MM_DEADLINE_EXCEEDED);
    cr_assert_not(gate.done);
    atomic_store(&gate_open, true);
    cr_assert(mm_loop_run_until(loop, &gate.done, TEST_PATIENCE_MS));
    cr_assert_eq(gate.err, MM_OK);
}

static enum mm_err work_leaves_things_open(struct mm_db_conn *conn, void *arg)
{
    (void)arg;
    struct mm_db_rows *rows;
    cr_assert_eq(mm_db_begin(conn), MM_OK);
    EXEC(conn, "INSERT INTO o VALUES (1)", MM_DB_NO_ARGS);
    return mm_db_query(conn, "SELECT 1", MM_DB_NO_ARGS, &rows);
}

Test(pool, what_a_job_leaves_open_is_closed_and_rolled_back)
{
    struct mm_db_conn *conn = conn_open();
    EXEC(conn, "CREATE TABLE o (id INT)", MM_DB_NO_ARGS);
    options.workers = 1;
    pool_start();
    cr_assert_eq(run_job(work_leaves_things_open), MM_OK);
    cr_assert_eq(run_job(work_leaves_things_open), MM_OK);
    cr_assert_eq(count_rows(conn, "SELECT COUNT(*) FROM o"), 0);
    mm_db_conn_close(conn);
}

Test(pool, destroy_waits_for_what_is_quick)
{
    options.workers = 1;
    pool_start();
    struct outcome outcomes[4] = {0};
    for (int i = 0; i < 4; i++) {
        struct mm_db_job job = {.work = work_nothing,
                                .done = outcome_done,
                                .arg = &outcomes[i],
                                .lane = i % 2 ? 5 : 0,
                                .deadline_ms = TEST_PATIENCE_MS};
        cr_assert_eq(mm_db_submit(db, &job), MM_OK);
    }
    uint64_t begin_ms = mm_clock_ms();
    mm_db_destroy(db, 2 * TEST_PATIENCE_MS);
    db = NULL;
    cr_assert_lt(mm_clock_ms() - begin_ms, TEST_PATIENCE_MS, "it waits for nothing");
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(outcomes[i].calls, 1);
        cr_assert_eq(outcomes[i].err, MM_OK, "job %d: %s", i, mm_err_name(outcomes[i].err));
    }
}

Test(pool, destroy_cancels_what_takes_too_long)
{
    options.workers = 1;
    options.statement_timeout_ms = SLEEP_LONG_MS;
    pool_start();
    cr_assert_eq(run_job(work_nothing), MM_OK); // it is connected
    struct outcome outcomes[3] = {0};
    for (int i = 0; i < 3; i++) {
        struct mm_db_job job = {.work = work_sleep_long,
                                .done = outcome_done,
                                .arg = &outcomes[i],
                                .lane = 5,
                                .deadline_ms = TEST_PATIENCE_MS};
        cr_assert_eq(mm_db_submit(db, &job), MM_OK);
    }
    uint64_t begin_ms = mm_clock_ms();
    mm_db_destroy(db, 500);
    db = NULL;
    cr_assert_geq(mm_clock_ms() - begin_ms, 499, "it has its time");
    cr_assert_lt(mm_clock_ms() - begin_ms, TEST_PATIENCE_MS);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(outcomes[i].calls, 1);
        cr_assert_eq(outcomes[i].err, MM_CANCELLED, "job %d: %s", i, mm_err_name(outcomes[i].err));
    }
}

// --- outages -----------------------------------------------------------------------------------

static bool state_is_up, state_is_down;
static int state_changes;

static void on_state(bool is_up, void *arg)
{
    (void)arg;
    state_is_up = is_up;
    state_is_down = !is_up;
    state_changes++;
}

static void pool_start_and_wait(void)
{
    options.on_state = on_state;
    pool_start();
    cr_assert(mm_loop_run_until(loop, &state_is_up, TEST_PATIENCE_MS));
    cr_assert(mm_db_is_up(db));
}

static enum mm_err work_create(struct mm_db_conn *conn, void *arg)
{
    (void)arg;
    return mm_db_exec(conn, "CREATE TABLE IF NOT EXISTS k (id BIGINT PRIMARY KEY) ENGINE=InnoDB",
                      MM_DB_NO_ARGS, NULL);
}

static int64_t next_id;

static enum mm_err work_insert(struct mm_db_conn *conn, void *arg)
{
    (void)arg;
    return mm_db_exec(conn, "INSERT INTO k VALUES (?)", MM_DB_ARGS(mm_db_i64(next_id)), NULL);
}

Test(pool_outage, killed_server_is_noticed_and_found_again)
{
    pool_start_and_wait();
    cr_assert_eq(run_job(work_create), MM_OK);
    for (next_id = 0; next_id < 50; next_id++)
        cr_assert_eq(run_job(work_insert), MM_OK);
    test_server_kill(server);
    // Long before the first sign of life is due: the closed sockets tell.
    cr_assert(mm_loop_run_until(loop, &state_is_down, TEST_PATIENCE_MS));
    cr_assert_not(mm_db_is_up(db));
    // While it is away every job fails, soon and clearly.
    uint64_t begin_ms = mm_clock_ms();
    for (int i = 0; i < 20; i++)
        cr_assert_eq(run_job(work_insert), MM_UNAVAILABLE);
    cr_assert_lt(mm_clock_ms() - begin_ms, TEST_PATIENCE_MS, "each waits for something");
    test_server_restart(server);
    cr_assert(mm_loop_run_until(loop, &state_is_up, TEST_PATIENCE_MS));
    // The same statements, prepared anew on the new connections; nothing committed is lost.
    for (; next_id < 60; next_id++)
        cr_assert_eq(run_job(work_insert), MM_OK);
    struct mm_db_conn *conn = conn_open();
    cr_assert_eq(count_rows(conn, "SELECT COUNT(*) FROM k"), 60);
    mm_db_conn_close(conn);
    cr_assert_eq(state_changes, 3);
}

Test(pool_outage, restart_between_two_jobs_costs_no_more_than_the_back_off)
{
    pool_start_and_wait();
    cr_assert_eq(run_job(work_create), MM_OK);
    cr_assert_eq(run_job(work_insert), MM_OK);
    // Nobody runs the loop meanwhile. The pool may or may not have looked in between; in both cases
    // the next job finds a good connection, or is told UNAVAILABLE within the back-off.
    test_server_restart(server);
    next_id = 1;
    uint64_t end_ms = mm_clock_ms() + TEST_PATIENCE_MS;
    enum mm_err err;
    do {
        err = run_job(work_insert);
    } while (err == MM_UNAVAILABLE && mm_clock_ms() < end_ms);
    cr_assert_eq(err, MM_OK);
}

static bool half_written;

static enum mm_err insert_then_wait(struct mm_db_conn *conn, void *arg)
{
    (void)arg;
    enum mm_err err = mm_db_exec(conn, "INSERT INTO k VALUES (1000), (1001)", MM_DB_NO_ARGS, NULL);
    if (err != MM_OK)
        return err;
    atomic_fetch_add(&gate_entered, 1);
    return mm_db_exec(conn, SLEEP_LONG, MM_DB_NO_ARGS, NULL);
}

static enum mm_err transaction_then_wait(struct mm_db_conn *conn, void *arg)
{
    return mm_db_transaction(conn, insert_then_wait, arg);
}

static void kill_when_entered(struct mm_loop *l, struct mm_loop_timer *timer, void *arg)
{
    (void)arg;
    if (atomic_load(&gate_entered) == 0)
        return;
    mm_loop_timer_stop(l, timer);
    test_server_kill(server);
    half_written = true;
}

Test(pool_outage, kill_in_the_middle_of_a_transaction_leaves_nothing_of_it)
{
    pool_start_and_wait();
    cr_assert_eq(run_job(work_create), MM_OK);
    struct mm_loop_timer timer;
    mm_loop_timer_init(&timer, kill_when_entered, NULL);
    mm_loop_timer_start(loop, &timer, MM_LOOP_MS(5), MM_LOOP_MS(5));
    cr_assert_eq(run_job(transaction_then_wait), MM_UNAVAILABLE);
    cr_assert(half_written);
    test_server_restart(server);
    struct mm_db_conn *conn = conn_open();
    cr_assert_eq(count_rows(conn, "SELECT COUNT(*) FROM k"), 0);
    mm_db_conn_close(conn);
}

Test(pool_outage, server_that_does_not_answer_costs_no_more_than_the_deadline)
{
    options.connect_timeout_ms = 1000;
    options.io_timeout_ms = 10000;
    options.statement_timeout_ms = SLEEP_LONG_MS;
    pool_start_and_wait();
    test_server_signal(server, SIGSTOP);
    for (int i = 0; i < 4; i++) {
        uint64_t begin_ms = mm_clock_ms();
        enum mm_err err = run_job_in(work_nothing, 300);
        cr_assert(err == MM_DEADLINE_EXCEEDED || err == MM_UNAVAILABLE, "%s", mm_err_name(err));
        cr_assert_lt(mm_clock_ms() - begin_ms, TEST_PATIENCE_MS / 4);
    }
    test_server_signal(server, SIGCONT);
    uint64_t end_ms = mm_clock_ms() + TEST_PATIENCE_MS;
    while (run_job(work_nothing) != MM_OK)
        cr_assert_lt(mm_clock_ms(), end_ms, "it did not recover");
}

Test(pool_outage, pool_starts_without_a_server)
{
    test_server_stop(server);
    options.on_state = on_state;
    pool_start();
    cr_assert_eq(run_job(work_nothing), MM_UNAVAILABLE);
    cr_assert_eq(state_changes, 0);
    test_server_restart(server);
    cr_assert(mm_loop_run_until(loop, &state_is_up, TEST_PATIENCE_MS));
    cr_assert_eq(run_job(work_create), MM_OK);
}
