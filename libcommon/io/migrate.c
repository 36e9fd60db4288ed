#include "libcommon/io/migrate.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/hash.h"
#include "libcommon/base/log.h"
#include "libcommon/io/db_internal.h"
#include "libcommon/io/migrate_files.h"
#include "libcommon/io/migrate_split.h"

#include <stdio.h>

#define LOCK_WAIT_S 30

// GET_LOCK names are the server's, not the database's: the name carries the database's hash.
static void lock_name(const struct mm_db_conn *conn, char *out, size_t out_bytes)
{
    const char *database = conn->config.database;
    (void)snprintf(out, out_bytes, "schema_migrations_%016llx",
                   (unsigned long long)mm_hash64(database, strlen(database), 0));
}

// In steps of a second, so that neither the statement's nor the socket's limit cuts the wait.
static enum mm_err lock_take(struct mm_db_conn *conn)
{
    char name[64];
    lock_name(conn, name, sizeof name);
    for (int second = 0; second < LOCK_WAIT_S; second++) {
        struct mm_db_rows *rows;
        enum mm_err err =
            mm_db_query_one(conn, "SELECT GET_LOCK(?, 1)", MM_DB_ARGS(mm_db_str(name)), &rows);
        if (err != MM_OK)
            return err;
        bool taken = mm_db_get_i64(rows, 0) == 1;
        err = mm_db_end(rows);
        if (err != MM_OK || taken)
            return err;
    }
    return MM_ABORTED;
}

static void lock_release(struct mm_db_conn *conn)
{
    char name[64];
    lock_name(conn, name, sizeof name);
    // If this fails the connection is lost, and the lock with it.
    enum mm_err err = mm_db_exec(conn, "DO RELEASE_LOCK(?)", MM_DB_ARGS(mm_db_str(name)), NULL);
    (void)err;
}

static enum mm_err applied_check(struct mm_db_conn *conn, const struct migrate_files *files,
                                 struct mm_migrate_report *report)
{
    struct mm_db_rows *rows;
    enum mm_err err =
        mm_db_query(conn, "SELECT number, name, sha256 FROM schema_migrations ORDER BY number",
                    MM_DB_NO_ARGS, &rows);
    if (err != MM_OK)
        return err;
    const char *problem = NULL;
    char name[256] = "";
    while (!problem && mm_db_next(rows)) {
        uint32_t number = mm_db_get_u32(rows, 0);
        (void)snprintf(name, sizeof name, "%s", mm_db_get_bytes(rows, 1).data);
        if (number != report->version + 1)
            problem = "its predecessor is not recorded";
        else if (number > files->count || strcmp(files->files[number - 1].name, name) != 0)
            problem = "was applied, but is not in the directory";
        else if (strcmp(files->files[number - 1].sha256_hex, mm_db_get_bytes(rows, 2).data) != 0)
            problem = "was changed after it was applied";
        else
            report->version = number;
    }
    err = mm_db_end(rows);
    if (err == MM_OK && problem) {
        (void)snprintf(report->message, sizeof report->message, "%s: %s", name, problem);
        err = MM_FAILED_PRECONDITION;
    }
    return err;
}

static enum mm_err file_apply(struct mm_db_conn *conn, const struct migrate_file *file,
                              struct mm_migrate_report *report)
{
    struct mm_migrate_split split = {file->text, file->size, 0};
    for (unsigned index = 1;; index++) {
        const char *statement;
        size_t size;
        enum mm_err err = mm_migrate_split_next(&split, &statement, &size);
        if (err == MM_OK && !statement)
            break;
        if (err == MM_OK)
            err = mm_db_exec_text(conn, statement, size);
        else
            (void)db_conn_fail_own(conn, err, "a string or comment is not closed");
        if (err != MM_OK) {
            (void)snprintf(report->message, sizeof report->message, "%s, statement %u: %s",
                           file->name, index, mm_db_error_text(conn));
            return err;
        }
    }
    enum mm_err err = mm_db_exec(
        conn, "INSERT INTO schema_migrations (number, name, sha256) VALUES (?, ?, ?)",
        MM_DB_ARGS(mm_db_u64(file->number), mm_db_str(file->name), mm_db_str(file->sha256_hex)),
        NULL);
    if (err != MM_OK)
        return err;
    report->applied++;
    report->version = file->number;
    MM_LOG_INFO("migration applied", "database=%s file=%s", conn->config.database, file->name);
    return MM_OK;
}

static enum mm_err apply_locked(struct mm_db_conn *conn, const struct migrate_files *files,
                                struct mm_migrate_report *report)
{
    enum mm_err err =
        mm_db_exec(conn,
                   "CREATE TABLE IF NOT EXISTS schema_migrations ("
                   "number INT UNSIGNED NOT NULL PRIMARY KEY, name VARCHAR(255) NOT NULL, "
                   "sha256 CHAR(64) NOT NULL, "
                   "applied_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3)) ENGINE=InnoDB",
                   MM_DB_NO_ARGS, NULL);
    if (err == MM_OK)
        err = applied_check(conn, files, report);
    while (err == MM_OK && report->version < files->count)
        err = file_apply(conn, &files->files[report->version], report);
    return err;
}

enum mm_err mm_migrate_run(struct mm_db_conn *conn, const char *directory,
                           struct mm_migrate_report *report)
{
    struct mm_migrate_report own;
    if (!report)
        report = &own;
    *report = (struct mm_migrate_report){0};
    struct migrate_files files;
    enum mm_err err =
        migrate_files_read(directory, &files, report->message, sizeof report->message);
    if (err != MM_OK)
        return err;
    // Altering a large table may take its time; the job's deadline is the limit.
    db_conn_limits_lift(conn, true);
    err = lock_take(conn);
    if (err == MM_OK) {
        err = apply_locked(conn, &files, report);
        lock_release(conn);
    }
    if (err != MM_OK && report->message[0] == 0)
        (void)snprintf(report->message, sizeof report->message, "%s: %s", mm_err_name(err),
                       mm_db_error_text(conn));
    db_conn_limits_lift(conn, false);
    migrate_files_free(&files);
    return err;
}

// --- as a job of the pool ----------------------------------------------------------------------

struct migrate_job {
    mm_migrate_done_fn done;
    void *arg;
    struct mm_migrate_report report;
    char directory[]; // 0-terminated
};

static enum mm_err job_work(struct mm_db_conn *conn, void *arg)
{
    struct migrate_job *job = arg;
    return mm_migrate_run(conn, job->directory, &job->report);
}

static void job_done(enum mm_err err, void *arg)
{
    struct migrate_job *job = arg;
    if (err != MM_OK && job->report.message[0] == 0)
        (void)snprintf(job->report.message, sizeof job->report.message, "%s", mm_err_name(err));
    job->done(err, &job->report, job->arg);
    mm_free(job);
}

enum mm_err mm_migrate_submit(struct mm_db *db, const char *directory, mm_migrate_done_fn done,
                              void *arg)
{
    size_t size = strlen(directory) + 1;
    struct migrate_job *job = mm_calloc(1, sizeof *job + size);
    if (!job)
        return MM_RESOURCE_EXHAUSTED;
    job->done = done;
    job->arg = arg;
    memcpy(job->directory, directory, size);
    struct mm_db_job spec = {
        .work = job_work, .done = job_done, .arg = job, .deadline_ms = MM_MIGRATE_DEADLINE_MS};
    enum mm_err err = mm_db_submit(db, &spec);
    if (err != MM_OK)
        mm_free(job);
    return err;
}
