#ifndef MM_IO_MIGRATE_H
#define MM_IO_MIGRATE_H

#include "libcommon/base/err.h"
#include "libcommon/io/db.h"
#include "libcommon/io/db_conn.h"

// Brings a database to the schema of a directory: its files NNN_name.sql (three digits from 001,
// no number missing or double) are run in order, each once; table schema_migrations remembers
// number, name and SHA-256. Under GET_LOCK, so any number of processes may try at once.
//
// MariaDB commits DDL statement by statement: a file that fails in its middle stays half done and
// unrecorded. Write one change per file, and so that it can run again (IF NOT EXISTS).
// DELIMITER (stored programs) is not supported.

struct mm_migrate_report {
    unsigned applied;  // files run now
    unsigned version;  // number of the last file applied, now or before
    char message[512]; // what is wrong, for the operator; empty on success
};

// On a worker thread, or on a connection of one's own. report may be NULL.
// FAILED_PRECONDITION: an applied file was changed or is missing, or the directory's numbering is
// broken (nothing is run). NOT_FOUND: no such directory. INVALID_ARGUMENT: a statement is
// malformed (an unclosed string). ABORTED: the lock was not free within 30 s, try again.
// Otherwise the failing statement's error.
MM_MUST_USE enum mm_err mm_migrate_run(struct mm_db_conn *conn, const char *directory,
                                       struct mm_migrate_report *report);

typedef void (*mm_migrate_done_fn)(enum mm_err err, const struct mm_migrate_report *report,
                                   void *arg);

// Loop thread: the same as a job of the pool. directory is copied. Tries once: a
// caller whose database may come up late calls again on UNAVAILABLE (see mm_db_options.on_state).
MM_MUST_USE enum mm_err mm_migrate_submit(struct mm_db *db, const char *directory,
                                          mm_migrate_done_fn done, void *arg);
#define MM_MIGRATE_DEADLINE_MS 600000

#endif
