#ifndef MM_IO_DB_INTERNAL_H
#define MM_IO_DB_INTERNAL_H

// Shared by the db_*.c files and migrate.c; nobody else includes this.

#include "libcommon/base/check.h"
#include "libcommon/io/db.h"
#include "libcommon/io/db_conn.h"

#include <mysql.h>
#include <pthread.h>

// The options with defaults filled in and strings of its own.
struct db_config {
    char host[256];
    char user[129];
    char password[257];
    char database[65];
    uint16_t port;
    uint32_t workers, background_workers;
    uint32_t jobs_max;
    uint32_t connect_timeout_ms;
    uint32_t io_timeout_ms;
    uint32_t statement_timeout_ms;
    uint32_t lock_wait_s;
    uint32_t backoff_min_ms;
    uint32_t backoff_max_ms;
};

// INVALID_ARGUMENT: see mm_db_create.
MM_MUST_USE enum mm_err db_config_fill(struct db_config *config,
                                       const struct mm_db_options *options);

// How a column is fetched.
enum db_column_kind { DB_COLUMN_INTEGER, DB_COLUMN_FLOAT, DB_COLUMN_BYTES };

struct db_column {
    enum db_column_kind kind;
    bool is_unsigned;
    bool is_null;
    size_t size; // of the value, which may be larger than what the buffer took
    // Where the client library writes these two. It does so not only when it fetches: binding
    // resets them in some versions (3.3.19), in the middle of a row.
    my_bool bound_is_null;
    unsigned long bound_size;
    union {
        int64_t i64;
        uint64_t u64;
        double f64;
    } number;
    char *bytes; // DB_COLUMN_BYTES; capacity + 1 allocated
    size_t capacity;
};

// A prepared statement, and the rows of its last execution.
struct mm_db_rows {
    struct mm_db_conn *conn;
    char *sql;
    uint64_t hash;
    uint64_t last_used;
    MYSQL_STMT *stmt;
    size_t param_count;
    unsigned column_count;
    MYSQL_BIND *params;
    MYSQL_BIND *binds;
    struct db_column *columns;
    bool open; // between mm_db_query and mm_db_end
    bool on_row;
    enum mm_err err; // the first error since mm_db_query
};

struct mm_db_conn {
    struct db_config config;
    MYSQL *mysql; // NULL while not connected
    bool broken;  // lost: nothing more can be done with it
    bool in_transaction;
    size_t packet_bytes_max; // the server's max_allowed_packet
    struct mm_db_rows *statements[MM_DB_STATEMENTS_MAX];
    uint64_t use_counter;
    unsigned error_number;
    char error_text[256];
    // What db_conn_interrupt, called by another thread, may touch.
    pthread_mutex_t interrupt_mutex;
    int interrupt_fd; // -1 while not connected
};

// db_conn.c
void db_library_init(void); // once per process, before any other thread uses the library
void db_conn_init(struct mm_db_conn *conn, const struct db_config *config);
void db_conn_fini(struct mm_db_conn *conn);
MM_MUST_USE enum mm_err db_conn_connect(struct mm_db_conn *conn);
void db_conn_disconnect(struct mm_db_conn *conn);
// True if the server has closed an idle connection (no round trip).
bool db_conn_is_stale(struct mm_db_conn *conn);
// Any thread: cuts the connection, so that whatever waits on it fails at once.
void db_conn_interrupt(struct mm_db_conn *conn);
// Takes the limits on a statement's duration off, or puts them back.
void db_conn_limits_lift(struct mm_db_conn *conn, bool lift);
// Rolls back and closes what a job has left open.
void db_conn_tidy(struct mm_db_conn *conn);

// db_stmt.c
void db_statements_close(struct mm_db_conn *conn);
void db_statements_end_open(struct mm_db_conn *conn);

// db_rows.c
MM_MUST_USE enum mm_err db_rows_bind(struct mm_db_rows *rows);
void db_rows_close(struct mm_db_rows *rows); // mm_db_end without its result
void db_rows_free(struct mm_db_rows *rows);  // its columns

// db_error.c
enum mm_err db_error_class(unsigned number);
bool db_error_is_lost(unsigned number);
// Keeps the error for mm_db_error_*, notices a lost connection; the error's class.
enum mm_err db_conn_fail(struct mm_db_conn *conn, unsigned number, const char *text);
// An error of our own making: no number.
enum mm_err db_conn_fail_own(struct mm_db_conn *conn, enum mm_err err, const char *text);

#endif
