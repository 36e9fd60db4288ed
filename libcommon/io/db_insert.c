// Many rows in few round trips. The texts take 64, 32, 16, 8, 4, 2 or 1 rows, so that any number of
// rows needs seven prepared statements, not one for every number.

#include "libcommon/base/buf.h"
#include "libcommon/io/db_internal.h"

#define INSERT_ROWS_MAX   64
#define INSERT_PARAMS_MAX 65535 // of a prepared statement
#define INSERT_TEXT_MAX   (1 << 20)

static size_t args_bytes(const struct mm_db_arg *args, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += args[i].kind == MM_DB_STR || args[i].kind == MM_DB_BLOB
                     ? args[i].as.bytes.size + 12
                     : 11;
    return bytes;
}

// The largest power of two of rows that fits; a single row that does not is left to the statement
// to refuse.
static size_t batch_rows(const struct mm_db_conn *conn, const struct mm_db_arg *args,
                         size_t column_count, size_t row_count)
{
    size_t rows = INSERT_ROWS_MAX;
    while (rows > 1 && (rows > row_count || rows * column_count > INSERT_PARAMS_MAX ||
                        args_bytes(args, rows * column_count) > conn->packet_bytes_max / 2))
        rows /= 2;
    return rows;
}

static enum mm_err batch_insert(struct mm_db_conn *conn, const char *head, const char *tail,
                                size_t column_count, const struct mm_db_arg *args, size_t rows)
{
    struct mm_buf sql;
    mm_buf_init(&sql, INSERT_TEXT_MAX);
    mm_buf_str(&sql, head);
    for (size_t row = 0; row < rows; row++) {
        mm_buf_str(&sql, row == 0 ? " VALUES (?" : ", (?");
        for (size_t column = 1; column < column_count; column++)
            mm_buf_str(&sql, ", ?");
        mm_buf_str(&sql, ")");
    }
    if (tail) {
        mm_buf_str(&sql, " ");
        mm_buf_str(&sql, tail);
    }
    const char *text = mm_buf_cstr(&sql);
    enum mm_err err = text ? mm_db_exec(conn, text, args, rows * column_count, NULL)
                           : db_conn_fail_own(conn, MM_RESOURCE_EXHAUSTED, "statement too long");
    mm_buf_free(&sql);
    return err;
}

enum mm_err mm_db_insert_rows(struct mm_db_conn *conn, const char *head, const char *tail,
                              size_t column_count, const struct mm_db_arg *args, size_t row_count)
{
    MM_CHECK(column_count > 0);
    if (row_count == 0)
        return MM_OK;
    size_t done = 0;
    bool own_transaction = false;
    enum mm_err err = MM_OK;
    while (done < row_count && err == MM_OK) {
        const struct mm_db_arg *rest = args + done * column_count;
        size_t rows = batch_rows(conn, rest, column_count, row_count - done);
        if (rows < row_count && !conn->in_transaction) {
            err = mm_db_begin(conn);
            own_transaction = err == MM_OK;
        }
        if (err == MM_OK)
            err = batch_insert(conn, head, tail, column_count, rest, rows);
        done += rows;
    }
    if (!own_transaction)
        return err;
    if (err == MM_OK)
        return mm_db_commit(conn);
    mm_db_rollback(conn);
    return err;
}
