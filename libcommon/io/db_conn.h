#ifndef MM_IO_DB_CONN_H
#define MM_IO_DB_CONN_H

#include "libcommon/base/err.h"
#include "libcommon/io/db.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

// What a job does with its connection. A connection belongs to one thread at a time and blocks it:
// never use it on a loop's thread.
//
//   struct mm_db_rows *rows;
//   err = mm_db_query(conn, "SELECT id, name FROM players WHERE empire = ?",
//                     MM_DB_ARGS(mm_db_u64(empire)), &rows);
//   if (err != MM_OK)
//       return err;
//   while (mm_db_next(rows)) {
//       uint64_t id = mm_db_get_u64(rows, 0);
//       struct mm_db_bytes name = mm_db_get_bytes(rows, 1);
//       ...
//   }
//   err = mm_db_end(rows);
//
// Every session is: READ COMMITTED (each statement sees what is committed; gap locks, which make
// inserts of unrelated rows dead-lock, are hardly ever taken; a read that a write depends on says
// FOR UPDATE, or the write carries its condition in WHERE), utf8mb4 binary collation for
// comparisons without own collation, time zone UTC, strict sql_mode (nothing is cut or rounded
// silently), autocommit.
//
// Errors: ALREADY_EXISTS (duplicate key), ABORTED (dead-lock or lock wait: the transaction is to
// be repeated from its beginning), UNAVAILABLE (connection lost; connection is unusable until the
// job ends), FAILED_PRECONDITION (foreign key or CHECK), INVALID_ARGUMENT or OUT_OF_RANGE (value
// does not fit its column), DEADLINE_EXCEEDED (statement time), PERMISSION_DENIED,
// RESOURCE_EXHAUSTED (packet or disk), INTERNAL (the statement itself is wrong).

// Opens a connection outside of any pool, for tools and tests; takes the options' addresses and
// timeouts, creates the database when missing. Blocks up to connect_timeout_ms.
MM_MUST_USE enum mm_err mm_db_conn_open(const struct mm_db_options *options,
                                        struct mm_db_conn **out);
void mm_db_conn_close(struct mm_db_conn *conn);

// The last error's text and MariaDB error number (0 = none), for logs. Valid until the next call.
const char *mm_db_error_text(const struct mm_db_conn *conn);
unsigned mm_db_error_number(const struct mm_db_conn *conn);

// --- arguments for the ? of a statement --------------------------------------------------------

enum mm_db_kind { MM_DB_NULL, MM_DB_I64, MM_DB_U64, MM_DB_F64, MM_DB_STR, MM_DB_BLOB };

// Strings and blobs are borrowed for the call.
struct mm_db_arg {
    enum mm_db_kind kind;
    union {
        int64_t i64;
        uint64_t u64;
        double f64;
        struct {
            const void *data;
            size_t size;
        } bytes;
    } as;
};

static inline struct mm_db_arg mm_db_null(void)
{
    return (struct mm_db_arg){.kind = MM_DB_NULL};
}

static inline struct mm_db_arg mm_db_i64(int64_t value)
{
    return (struct mm_db_arg){.kind = MM_DB_I64, .as.i64 = value};
}

static inline struct mm_db_arg mm_db_u64(uint64_t value)
{
    return (struct mm_db_arg){.kind = MM_DB_U64, .as.u64 = value};
}

static inline struct mm_db_arg mm_db_f64(double value)
{
    return (struct mm_db_arg){.kind = MM_DB_F64, .as.f64 = value};
}

// A NULL pointer is SQL NULL.
static inline struct mm_db_arg mm_db_str(const char *text)
{
    if (!text)
        return mm_db_null();
    return (struct mm_db_arg){.kind = MM_DB_STR, .as.bytes = {text, strlen(text)}};
}

static inline struct mm_db_arg mm_db_str_n(const char *text, size_t size)
{
    return (struct mm_db_arg){.kind = MM_DB_STR, .as.bytes = {text, size}};
}

static inline struct mm_db_arg mm_db_blob(const void *data, size_t size)
{
    return (struct mm_db_arg){.kind = MM_DB_BLOB, .as.bytes = {data, size}};
}

// The two parameters (args, arg_count) in one: MM_DB_ARGS(mm_db_u64(1), mm_db_str("a")).
#define MM_DB_ARGS(...)                                                                            \
    (const struct mm_db_arg[]){__VA_ARGS__},                                                       \
        sizeof((const struct mm_db_arg[]){__VA_ARGS__}) / sizeof(struct mm_db_arg)
#define MM_DB_NO_ARGS NULL, 0

// --- statements --------------------------------------------------------------------------------

struct mm_db_result {
    uint64_t affected_rows;
    uint64_t insert_id; // last AUTO_INCREMENT value
};

// Runs one statement that gives no rows. Statements are prepared once per connection and kept by
// their text (the MM_DB_STATEMENTS_MAX last used): put values in arguments, not into the text.
// result may be NULL.
MM_MUST_USE enum mm_err mm_db_exec(struct mm_db_conn *conn, const char *sql,
                                   const struct mm_db_arg *args, size_t arg_count,
                                   struct mm_db_result *result);
#define MM_DB_STATEMENTS_MAX 64

// Runs statement text as it is, without preparing: for the few things that cannot be prepared.
MM_MUST_USE enum mm_err mm_db_exec_text(struct mm_db_conn *conn, const char *sql, size_t size);

// Inserts row_count rows of column_count values (args: row after row) in few round trips.
// head is "INSERT INTO t (a, b)" (or REPLACE, INSERT IGNORE), tail is NULL or an ON DUPLICATE KEY
// clause. All or nothing: in the open transaction, or in one of its own.
MM_MUST_USE enum mm_err mm_db_insert_rows(struct mm_db_conn *conn, const char *head,
                                          const char *tail, size_t column_count,
                                          const struct mm_db_arg *args, size_t row_count);

// --- rows --------------------------------------------------------------------------------------

struct mm_db_rows;

// Runs a statement that gives rows and fetches them all to this side (say LIMIT where a table
// grows). End with mm_db_end. Other statements may run meanwhile, the same text may not.
MM_MUST_USE enum mm_err mm_db_query(struct mm_db_conn *conn, const char *sql,
                                    const struct mm_db_arg *args, size_t arg_count,
                                    struct mm_db_rows **out);

// As mm_db_query, and steps to the first row. NOT_FOUND, and nothing to end, if there is none.
MM_MUST_USE enum mm_err mm_db_query_one(struct mm_db_conn *conn, const char *sql,
                                        const struct mm_db_arg *args, size_t arg_count,
                                        struct mm_db_rows **out);

// Steps to the next row; false at the end and on an error, which mm_db_end tells.
bool mm_db_next(struct mm_db_rows *rows);

// Closes the rows. The first error met since the query: of the connection, OUT_OF_RANGE if a
// number did not fit the getter, INVALID_ARGUMENT if a text was read as a number.
MM_MUST_USE enum mm_err mm_db_end(struct mm_db_rows *rows);

uint64_t mm_db_row_count(const struct mm_db_rows *rows);

// Columns of the current row, from 0. SQL NULL reads as 0, or as data NULL with size 0. A column
// that does not exist is a bug.
bool mm_db_get_is_null(struct mm_db_rows *rows, unsigned column);
int64_t mm_db_get_i64(struct mm_db_rows *rows, unsigned column);
uint64_t mm_db_get_u64(struct mm_db_rows *rows, unsigned column);
int32_t mm_db_get_i32(struct mm_db_rows *rows, unsigned column);
uint32_t mm_db_get_u32(struct mm_db_rows *rows, unsigned column);
double mm_db_get_f64(struct mm_db_rows *rows, unsigned column);

// Text or blob of any size; data ends with a 0 byte that size does not count. Valid until the
// next mm_db_next or mm_db_end.
struct mm_db_bytes {
    const char *data;
    size_t size;
};
struct mm_db_bytes mm_db_get_bytes(struct mm_db_rows *rows, unsigned column);

// --- transactions ------------------------------------------------------------------------------

MM_MUST_USE enum mm_err mm_db_begin(struct mm_db_conn *conn);
MM_MUST_USE enum mm_err mm_db_commit(struct mm_db_conn *conn);
void mm_db_rollback(struct mm_db_conn *conn);

// Runs work between begin and commit; any error rolls back. ABORTED is tried again, up to
// MM_DB_TRANSACTION_TRIES times in all: work must bear being run again from its beginning.
MM_MUST_USE enum mm_err mm_db_transaction(struct mm_db_conn *conn, mm_db_work_fn work, void *arg);
#define MM_DB_TRANSACTION_TRIES 4

#endif
