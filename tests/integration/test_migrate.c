// Migrations against a real server.

#include "libcommon/io/migrate.h"
#include "tests/support/db_options.h"
#include "tests/support/process.h"
#include "tests/support/servers.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct mm_db_options options;
static char *database;
static char *directory;
static struct mm_db_conn *conn;
static struct mm_migrate_report report;

static void reopen(uint32_t statement_timeout_ms)
{
    mm_db_conn_close(conn);
    options.statement_timeout_ms = statement_timeout_ms;
    cr_assert_eq(mm_db_conn_open(&options, &conn), MM_OK);
}

static void setup(void)
{
    const struct test_address *address = &test_servers_get()->mariadb;
    database = test_name_unique("migrate");
    directory = test_dir_make();
    options = test_db_options(address, database);
    cr_assert_eq(mm_db_conn_open(&options, &conn), MM_OK);
}

static void teardown(void)
{
    char sql[128];
    int size = snprintf(sql, sizeof sql, "DROP DATABASE `%s`", database);
    cr_assert_eq(mm_db_exec_text(conn, sql, (size_t)size), MM_OK);
    mm_db_conn_close(conn);
    free(database);
    free(directory);
}

TestSuite(migrate, .init = setup, .fini = teardown, .timeout = 300);

static void file_write(const char *name, const char *text)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "wb");
    cr_assert_not_null(file);
    cr_assert_eq(fputs(text, file) < 0, 0);
    cr_assert_eq(fclose(file), 0);
}

static void file_remove(const char *name)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    cr_assert_eq(unlink(path), 0);
}

static uint64_t number(const char *sql)
{
    struct mm_db_rows *rows;
    cr_assert_eq(mm_db_query_one(conn, sql, MM_DB_NO_ARGS, &rows), MM_OK, "%s",
                 mm_db_error_text(conn));
    uint64_t value = mm_db_get_u64(rows, 0);
    cr_assert_eq(mm_db_end(rows), MM_OK);
    return value;
}

static void expect_run(enum mm_err expected, unsigned applied, unsigned version)
{
    enum mm_err err = mm_migrate_run(conn, directory, &report);
    cr_assert_eq(err, expected, "%s: %s", mm_err_name(err), report.message);
    cr_assert_eq(report.applied, applied);
    cr_assert_eq(report.version, version);
    cr_assert_eq(report.message[0] == 0, expected == MM_OK, "%s", report.message);
}

Test(migrate, files_are_applied_once_and_in_order)
{
    file_write("001_tables.sql", "-- first; table\nCREATE TABLE a (s VARCHAR(20));\n"
                                 "INSERT INTO a VALUES ('one;two');\n\n");
    file_write("002_more.sql", "ALTER TABLE a ADD b INT NOT NULL DEFAULT 7");
    file_write("README", "is no migration");
    expect_run(MM_OK, 2, 2);
    expect_run(MM_OK, 0, 2);
    file_write("003_rows.sql", "INSERT INTO a VALUES ('x', 1); INSERT INTO a VALUES ('y', 2);");
    expect_run(MM_OK, 1, 3);
    expect_run(MM_OK, 0, 3);
    cr_assert_eq(number("SELECT SUM(b) FROM a"), 10);
    cr_assert_eq(number("SELECT COUNT(*) FROM a WHERE s = 'one;two'"), 1);
    cr_assert_eq(number("SELECT COUNT(*) FROM schema_migrations"), 3);
}

Test(migrate, changed_renamed_or_missing_file_is_refused)
{
    file_write("001_a.sql", "CREATE TABLE a (i INT)");
    file_write("002_b.sql", "CREATE TABLE b (i INT)");
    expect_run(MM_OK, 2, 2);
    file_write("003_c.sql", "CREATE TABLE c (i INT)");
    file_write("001_a.sql", "CREATE TABLE a (i INT) ");
    expect_run(MM_FAILED_PRECONDITION, 0, 0);
    cr_assert(strstr(report.message, "001_a.sql"));
    file_write("001_a.sql", "CREATE TABLE a (i INT)");
    file_remove("002_b.sql");
    file_write("002_other.sql", "CREATE TABLE b (i INT)");
    expect_run(MM_FAILED_PRECONDITION, 0, 1);
    file_remove("002_other.sql");
    file_remove("003_c.sql");
    expect_run(MM_FAILED_PRECONDITION, 0, 1);
    cr_assert(strstr(report.message, "002_b.sql"));
    cr_assert_eq(number("SELECT COUNT(*) FROM information_schema.tables "
                        "WHERE table_schema = DATABASE() AND table_name = 'c'"),
                 0);
}

Test(migrate, broken_numbering_runs_nothing)
{
    file_write("001_a.sql", "CREATE TABLE a (i INT)");
    file_write("003_c.sql", "CREATE TABLE c (i INT)");
    expect_run(MM_FAILED_PRECONDITION, 0, 0);
    file_write("002_b.sql", "CREATE TABLE b (i INT)");
    file_write("002_c.sql", "CREATE TABLE b (i INT)");
    expect_run(MM_FAILED_PRECONDITION, 0, 0);
    file_remove("002_c.sql");
    file_write("4_d.sql", "CREATE TABLE d (i INT)");
    expect_run(MM_FAILED_PRECONDITION, 0, 0);
    file_remove("4_d.sql");
    expect_run(MM_OK, 3, 3);
}

Test(migrate, failing_statement_stops_and_is_named)
{
    file_write("001_a.sql", "CREATE TABLE IF NOT EXISTS a (i INT)");
    file_write("002_b.sql", "INSERT INTO a VALUES (1); INSERT INTO nowhere VALUES (1);");
    file_write("003_c.sql", "INSERT INTO a VALUES (3)");
    expect_run(MM_INTERNAL, 1, 1);
    cr_assert(strstr(report.message, "002_b.sql, statement 2"), "%s", report.message);
    cr_assert_eq(number("SELECT COUNT(*) FROM schema_migrations"), 1);
    // Not applied, so it may be repaired.
    file_write("002_b.sql", "INSERT INTO a VALUES (2)");
    expect_run(MM_OK, 2, 3);
    file_write("004_open.sql", "INSERT INTO a VALUES ('open)");
    expect_run(MM_INVALID_ARGUMENT, 0, 3);
}

Test(migrate, missing_directory_is_told)
{
    free(directory);
    directory = strdup("/nonexistent/schema");
    expect_run(MM_NOT_FOUND, 0, 0);
}

Test(migrate, long_statement_is_not_cut_off_and_the_limit_comes_back)
{
    file_write("001_slow.sql",
               "CREATE TABLE s AS SELECT a.seq FROM seq_1_to_1 a WHERE SLEEP(4.5) = 0");
    reopen(3000);
    expect_run(MM_OK, 1, 1);
    cr_assert_eq(number("SELECT COUNT(*) FROM s"), 1);
    cr_assert_eq(number("SELECT CAST(@@max_statement_time * 1000 AS UNSIGNED)"), 3000);
    reopen(TEST_PATIENCE_MS);
}

// How many files were applied, or 99. The lock may not be free for half a minute where the disk is
// slow: that is told, to be tried again.
static int migrate_patiently(void)
{
    struct mm_db_conn *own;
    unsigned applied = 0;
    if (mm_db_conn_open(&options, &own) != MM_OK)
        return 99;
    enum mm_err err;
    do {
        err = mm_migrate_run(own, directory, &report);
        applied += report.applied;
    } while (err == MM_ABORTED);
    return err == MM_OK ? (int)applied : 99;
}

// Several processes start at once; each file's effect must be there exactly once.
Test(migrate, processes_at_once_apply_each_file_once)
{
    enum { PROCESSES = 4, FILES = 8 };
    file_write("001_a.sql", "CREATE TABLE a (i INT)");
    for (int i = 2; i <= FILES; i++) {
        char name[32], text[64];
        (void)snprintf(name, sizeof name, "%03d_x.sql", i);
        (void)snprintf(text, sizeof text, "INSERT INTO a VALUES (%d); DO SLEEP(0.02)", i);
        file_write(name, text);
    }
    pid_t children[PROCESSES];
    for (int i = 0; i < PROCESSES; i++) {
        children[i] = fork();
        cr_assert_geq(children[i], 0);
        if (children[i] == 0)
            _exit(migrate_patiently());
    }
    int applied = 0;
    for (int i = 0; i < PROCESSES; i++) {
        int status;
        cr_assert_eq(waitpid(children[i], &status, 0), children[i]);
        cr_assert(WIFEXITED(status) && WEXITSTATUS(status) != 99);
        applied += WEXITSTATUS(status);
    }
    cr_assert_eq(applied, FILES);
    cr_assert_eq(number("SELECT COUNT(*) FROM a"), FILES - 1);
}

struct migrated {
    bool done;
    enum mm_err err;
    unsigned applied;
    char message[512];
};

static void migrated(enum mm_err err, const struct mm_migrate_report *result, void *arg)
{
    struct migrated *outcome = arg;
    outcome->done = true;
    outcome->err = err;
    outcome->applied = result->applied;
    (void)snprintf(outcome->message, sizeof outcome->message, "%s", result->message);
}

Test(migrate, as_a_job_of_the_pool_also_when_the_server_comes_late)
{
    struct mm_loop *loop;
    struct mm_db *db;
    struct migrated outcome = {0};
    file_write("001_a.sql", "CREATE TABLE a (i INT)");
    cr_assert_eq(mm_loop_create(NULL, &loop), MM_OK);
    uint16_t port = options.port;
    options.port = test_port_free();
    cr_assert_eq(mm_db_create(loop, &options, &db), MM_OK);
    cr_assert_eq(mm_migrate_submit(db, directory, migrated, &outcome), MM_OK);
    cr_assert(mm_loop_run_until(loop, &outcome.done, TEST_PATIENCE_MS));
    cr_assert_eq(outcome.err, MM_UNAVAILABLE);
    cr_assert_neq(outcome.message[0], 0);
    mm_db_destroy(db, 0);
    options.port = port;
    outcome = (struct migrated){0};
    cr_assert_eq(mm_db_create(loop, &options, &db), MM_OK);
    cr_assert_eq(mm_migrate_submit(db, directory, migrated, &outcome), MM_OK);
    cr_assert(mm_loop_run_until(loop, &outcome.done, TEST_PATIENCE_MS));
    cr_assert_eq(outcome.err, MM_OK, "%s", outcome.message);
    cr_assert_eq(outcome.applied, 1);
    mm_db_destroy(db, 0);
    mm_loop_destroy(loop);
}
