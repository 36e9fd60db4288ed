// Prepared statements: kept by their text, one set per connection, gone with it.

#include "libcommon/base/alloc.h"
#include "libcommon/base/hash.h"
#include "libcommon/io/db_internal.h"

#include <errmsg.h>

// Room that a packet needs besides the values themselves.
#define PACKET_OVERHEAD_BYTES 1024

static enum mm_err fail_stmt(struct mm_db_rows *rows)
{
    return db_conn_fail(rows->conn, mysql_stmt_errno(rows->stmt), mysql_stmt_error(rows->stmt));
}

static void statement_free(struct mm_db_rows *rows)
{
    if (rows->stmt)
        mysql_stmt_close(rows->stmt);
    db_rows_free(rows);
    mm_free(rows->params);
    mm_free(rows->sql);
    mm_free(rows);
}

static enum mm_err statement_prepare(struct mm_db_conn *conn, struct mm_db_rows *rows)
{
    rows->stmt = mysql_stmt_init(conn->mysql);
    if (!rows->stmt)
        return db_conn_fail_own(conn, MM_RESOURCE_EXHAUSTED, "out of memory");
    if (mysql_stmt_prepare(rows->stmt, rows->sql, strlen(rows->sql)) != 0)
        return fail_stmt(rows);
    rows->param_count = mysql_stmt_param_count(rows->stmt);
    rows->params = mm_calloc(rows->param_count ? rows->param_count : 1, sizeof *rows->params);
    if (!rows->params)
        return db_conn_fail_own(conn, MM_RESOURCE_EXHAUSTED, "out of memory");
    return MM_OK;
}

static enum mm_err statement_make(struct mm_db_conn *conn, const char *sql, uint64_t hash,
                                  struct mm_db_rows **out)
{
    struct mm_db_rows *rows = mm_calloc(1, sizeof *rows);
    if (!rows)
        return db_conn_fail_own(conn, MM_RESOURCE_EXHAUSTED, "out of memory");
    rows->conn = conn;
    rows->hash = hash;
    rows->sql = mm_strdup(sql);
    enum mm_err err = rows->sql ? statement_prepare(conn, rows)
                                : db_conn_fail_own(conn, MM_RESOURCE_EXHAUSTED, "out of memory");
    if (err != MM_OK) {
        statement_free(rows);
        return err;
    }
    *out = rows;
    return MM_OK;
}

// The statement of that text, prepared if need be in the place of the one not used for longest.
static enum mm_err statement_get(struct mm_db_conn *conn, const char *sql, struct mm_db_rows **out)
{
    uint64_t hash = mm_hash64(sql, strlen(sql), 0);
    struct mm_db_rows **place = NULL;
    for (size_t i = 0; i < MM_DB_STATEMENTS_MAX; i++) {
        struct mm_db_rows **slot = &conn->statements[i];
        if (*slot && (*slot)->hash == hash && strcmp((*slot)->sql, sql) == 0) {
            (*slot)->last_used = ++conn->use_counter;
            *out = *slot;
            return MM_OK;
        }
        if (!*slot) {
            if (!place || *place)
                place = slot;
        } else if (!(*slot)->open &&
                   (!place || (*place && (*place)->last_used > (*slot)->last_used))) {
            place = slot;
        }
    }
    MM_CHECK(place); // as many open results as the cache has places: somebody forgets mm_db_end
    struct mm_db_rows *rows = NULL;
    enum mm_err err = statement_make(conn, sql, hash, &rows);
    if (err != MM_OK)
        return err;
    if (*place)
        statement_free(*place);
    *place = rows;
    rows->last_used = ++conn->use_counter;
    *out = rows;
    return MM_OK;
}

static void statement_forget(struct mm_db_conn *conn, struct mm_db_rows *rows)
{
    for (size_t i = 0; i < MM_DB_STATEMENTS_MAX; i++)
        if (conn->statements[i] == rows)
            conn->statements[i] = NULL;
    statement_free(rows);
}

static size_t param_bind(MYSQL_BIND *param, const struct mm_db_arg *arg)
{
    memset(param, 0, sizeof *param);
    switch (arg->kind) {
    case MM_DB_NULL:
        param->buffer_type = MYSQL_TYPE_NULL;
        return 0;
    case MM_DB_I64:
    case MM_DB_U64:
        param->buffer_type = MYSQL_TYPE_LONGLONG;
        param->is_unsigned = arg->kind == MM_DB_U64;
        break;
    case MM_DB_F64:
        param->buffer_type = MYSQL_TYPE_DOUBLE;
        break;
    case MM_DB_STR:
    case MM_DB_BLOB:
        param->buffer_type = arg->kind == MM_DB_STR ? MYSQL_TYPE_STRING : MYSQL_TYPE_BLOB;
        param->buffer = (void *)(uintptr_t)(arg->as.bytes.data ? arg->as.bytes.data : "");
        param->buffer_length = arg->as.bytes.size;
        return arg->as.bytes.size + 9;
    }
    param->buffer = (void *)(uintptr_t)&arg->as;
    return 8;
}

static enum mm_err params_bind(struct mm_db_rows *rows, const struct mm_db_arg *args,
                               size_t arg_count)
{
    MM_CHECK(arg_count == rows->param_count); // the statement has another number of ?
    if (arg_count == 0)
        return MM_OK;
    size_t bytes = PACKET_OVERHEAD_BYTES + 3 * arg_count;
    for (size_t i = 0; i < arg_count; i++)
        bytes += param_bind(&rows->params[i], &args[i]);
    // Asked here, because the server answers a packet that is too large by closing the connection.
    if (rows->conn->packet_bytes_max > 0 && bytes > rows->conn->packet_bytes_max)
        return db_conn_fail_own(rows->conn, MM_RESOURCE_EXHAUSTED,
                                "the values exceed max_allowed_packet");
    return mysql_stmt_bind_param(rows->stmt, rows->params) == 0 ? MM_OK : fail_stmt(rows);
}

static enum mm_err statement_execute(struct mm_db_conn *conn, const char *sql,
                                     const struct mm_db_arg *args, size_t arg_count,
                                     struct mm_db_rows **out)
{
    if (conn->broken)
        return MM_UNAVAILABLE;
    conn->error_number = 0;
    conn->error_text[0] = 0;
    struct mm_db_rows *rows = NULL;
    enum mm_err err = statement_get(conn, sql, &rows);
    if (err != MM_OK)
        return err;
    MM_CHECK(!rows->open); // the rows of this text are still being read
    err = params_bind(rows, args, arg_count);
    if (err == MM_OK && mysql_stmt_execute(rows->stmt) != 0) {
        err = fail_stmt(rows);
        if (conn->error_number == CR_NEW_STMT_METADATA) {
            // The table got other columns since: the next call prepares the text anew.
            statement_forget(conn, rows);
            err = MM_ABORTED;
        }
    }
    *out = rows;
    return err;
}

enum mm_err mm_db_exec(struct mm_db_conn *conn, const char *sql, const struct mm_db_arg *args,
                       size_t arg_count, struct mm_db_result *result)
{
    struct mm_db_rows *rows;
    enum mm_err err = statement_execute(conn, sql, args, arg_count, &rows);
    if (err != MM_OK)
        return err;
    if (result) {
        result->affected_rows = mysql_stmt_affected_rows(rows->stmt);
        result->insert_id = mysql_stmt_insert_id(rows->stmt);
    }
    if (mysql_stmt_field_count(rows->stmt) == 0)
        return MM_OK;
    // Rows nobody wants; an error of the statement may come as late as with them.
    if (mysql_stmt_store_result(rows->stmt) != 0)
        err = fail_stmt(rows);
    (void)mysql_stmt_free_result(rows->stmt);
    return err;
}

enum mm_err mm_db_query(struct mm_db_conn *conn, const char *sql, const struct mm_db_arg *args,
                        size_t arg_count, struct mm_db_rows **out)
{
    *out = NULL;
    struct mm_db_rows *rows;
    enum mm_err err = statement_execute(conn, sql, args, arg_count, &rows);
    if (err != MM_OK)
        return err;
    MM_CHECK(mysql_stmt_field_count(rows->stmt) > 0); // a statement that gives no rows
    err = db_rows_bind(rows);
    if (err == MM_OK && mysql_stmt_store_result(rows->stmt) != 0)
        err = fail_stmt(rows);
    if (err != MM_OK) {
        (void)mysql_stmt_free_result(rows->stmt);
        return err;
    }
    rows->open = true;
    rows->on_row = false;
    rows->err = MM_OK;
    *out = rows;
    return MM_OK;
}

enum mm_err mm_db_query_one(struct mm_db_conn *conn, const char *sql, const struct mm_db_arg *args,
                            size_t arg_count, struct mm_db_rows **out)
{
    struct mm_db_rows *rows;
    *out = NULL;
    enum mm_err err = mm_db_query(conn, sql, args, arg_count, &rows);
    if (err != MM_OK)
        return err;
    if (!mm_db_next(rows)) {
        err = mm_db_end(rows);
        return err == MM_OK ? MM_NOT_FOUND : err;
    }
    *out = rows;
    return MM_OK;
}

void db_statements_end_open(struct mm_db_conn *conn)
{
    for (size_t i = 0; i < MM_DB_STATEMENTS_MAX; i++)
        if (conn->statements[i] && conn->statements[i]->open)
            db_rows_close(conn->statements[i]);
}

void db_statements_close(struct mm_db_conn *conn)
{
    for (size_t i = 0; i < MM_DB_STATEMENTS_MAX; i++) {
        if (conn->statements[i])
            statement_free(conn->statements[i]);
        conn->statements[i] = NULL;
    }
}
