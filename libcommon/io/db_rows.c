// Reading rows. Integers and floats are fetched as such; everything else as bytes, into a buffer
// per column that grows to the largest value met.

#include "libcommon/base/alloc.h"
#include "libcommon/base/str.h"
#include "libcommon/io/db_internal.h"

#define COLUMN_BYTES_FIRST 256
// A buffer that has grown beyond this is given back at mm_db_end: one large snapshot must not
// stay in memory once per connection.
#define COLUMN_BYTES_KEPT 65536

static enum db_column_kind column_kind(const MYSQL_FIELD *field)
{
    switch (field->type) {
    case MYSQL_TYPE_TINY:
    case MYSQL_TYPE_SHORT:
    case MYSQL_TYPE_INT24:
    case MYSQL_TYPE_LONG:
    case MYSQL_TYPE_LONGLONG:
    case MYSQL_TYPE_YEAR:
        return DB_COLUMN_INTEGER;
    case MYSQL_TYPE_FLOAT:
    case MYSQL_TYPE_DOUBLE:
        return DB_COLUMN_FLOAT;
    default:
        return DB_COLUMN_BYTES;
    }
}

static void column_bind(MYSQL_BIND *bind, struct db_column *column)
{
    memset(bind, 0, sizeof *bind);
    bind->is_null = &column->bound_is_null;
    bind->length = &column->bound_size;
    if (column->kind == DB_COLUMN_BYTES) {
        bind->buffer_type = MYSQL_TYPE_BLOB;
        bind->buffer = column->bytes;
        bind->buffer_length = column->capacity;
    } else {
        bind->buffer_type =
            column->kind == DB_COLUMN_FLOAT ? MYSQL_TYPE_DOUBLE : MYSQL_TYPE_LONGLONG;
        bind->is_unsigned = column->is_unsigned;
        bind->buffer = &column->number;
        bind->buffer_length = sizeof column->number;
    }
}

static bool column_resize(struct db_column *column, size_t capacity)
{
    char *bytes = mm_realloc(column->bytes, capacity + 1);
    if (!bytes)
        return false;
    column->bytes = bytes;
    column->capacity = capacity;
    return true;
}

static bool columns_match(const struct mm_db_rows *rows)
{
    if (rows->column_count != mysql_stmt_field_count(rows->stmt))
        return false;
    for (unsigned i = 0; i < rows->column_count; i++) {
        const MYSQL_FIELD *field = &rows->stmt->fields[i];
        if (rows->columns[i].kind != column_kind(field) ||
            rows->columns[i].is_unsigned != ((field->flags & UNSIGNED_FLAG) != 0))
            return false;
    }
    return true;
}

// Called after each execution: only then the types are certain (those of an expression with a ?
// depend on the argument, and a table may have been altered).
enum mm_err db_rows_bind(struct mm_db_rows *rows)
{
    if (columns_match(rows))
        return MM_OK;
    db_rows_free(rows);
    unsigned column_count = mysql_stmt_field_count(rows->stmt);
    rows->columns = mm_calloc(column_count, sizeof *rows->columns);
    rows->binds = mm_calloc(column_count, sizeof *rows->binds);
    if (!rows->columns || !rows->binds)
        return db_conn_fail_own(rows->conn, MM_RESOURCE_EXHAUSTED, "out of memory");
    rows->column_count = column_count;
    for (unsigned i = 0; i < column_count; i++) {
        struct db_column *column = &rows->columns[i];
        column->kind = column_kind(&rows->stmt->fields[i]);
        column->is_unsigned = (rows->stmt->fields[i].flags & UNSIGNED_FLAG) != 0;
        if (column->kind == DB_COLUMN_BYTES && !column_resize(column, COLUMN_BYTES_FIRST)) {
            db_rows_free(rows);
            return db_conn_fail_own(rows->conn, MM_RESOURCE_EXHAUSTED, "out of memory");
        }
        column_bind(&rows->binds[i], column);
    }
    if (mysql_stmt_bind_result(rows->stmt, rows->binds) != 0)
        return db_conn_fail(rows->conn, mysql_stmt_errno(rows->stmt), mysql_stmt_error(rows->stmt));
    return MM_OK;
}

void db_rows_free(struct mm_db_rows *rows)
{
    for (unsigned i = 0; i < rows->column_count; i++)
        mm_free(rows->columns[i].bytes);
    mm_free(rows->columns);
    mm_free(rows->binds);
    rows->columns = NULL;
    rows->binds = NULL;
    rows->column_count = 0;
}

static void rows_fail(struct mm_db_rows *rows, enum mm_err err)
{
    if (rows->err == MM_OK)
        rows->err = err;
}

// Fetches the values that did not fit into their buffers once more, into larger ones.
static enum mm_err columns_complete(struct mm_db_rows *rows)
{
    bool rebind = false;
    for (unsigned i = 0; i < rows->column_count; i++) {
        struct db_column *column = &rows->columns[i];
        column->is_null = column->bound_is_null;
        column->size = column->bound_size;
        if (column->kind != DB_COLUMN_BYTES || column->is_null)
            continue;
        if (column->size > column->capacity) {
            if (!column_resize(column, column->size))
                return db_conn_fail_own(rows->conn, MM_RESOURCE_EXHAUSTED, "out of memory");
            column_bind(&rows->binds[i], column);
            if (mysql_stmt_fetch_column(rows->stmt, &rows->binds[i], i, 0) != 0)
                return db_conn_fail(rows->conn, mysql_stmt_errno(rows->stmt),
                                    mysql_stmt_error(rows->stmt));
            rebind = true;
        }
        column->bytes[column->size] = 0;
    }
    if (rebind && mysql_stmt_bind_result(rows->stmt, rows->binds) != 0)
        return db_conn_fail(rows->conn, mysql_stmt_errno(rows->stmt), mysql_stmt_error(rows->stmt));
    return MM_OK;
}

bool mm_db_next(struct mm_db_rows *rows)
{
    MM_CHECK(rows->open);
    rows->on_row = false;
    if (rows->err != MM_OK)
        return false;
    int status = mysql_stmt_fetch(rows->stmt);
    if (status == MYSQL_NO_DATA)
        return false;
    if (status != 0 && status != MYSQL_DATA_TRUNCATED) {
        rows_fail(rows, db_conn_fail(rows->conn, mysql_stmt_errno(rows->stmt),
                                     mysql_stmt_error(rows->stmt)));
        return false;
    }
    rows_fail(rows, columns_complete(rows));
    rows->on_row = rows->err == MM_OK;
    return rows->on_row;
}

void db_rows_close(struct mm_db_rows *rows)
{
    MM_CHECK(rows->open);
    rows->open = rows->on_row = false;
    (void)mysql_stmt_free_result(rows->stmt);
    bool rebind = false;
    for (unsigned i = 0; i < rows->column_count; i++) {
        struct db_column *column = &rows->columns[i];
        if (column->capacity > COLUMN_BYTES_KEPT && column_resize(column, COLUMN_BYTES_FIRST)) {
            column_bind(&rows->binds[i], column);
            rebind = true;
        }
    }
    if (rebind && mysql_stmt_bind_result(rows->stmt, rows->binds) != 0)
        rows_fail(rows, MM_INTERNAL);
}

enum mm_err mm_db_end(struct mm_db_rows *rows)
{
    db_rows_close(rows);
    return rows->err;
}

uint64_t mm_db_row_count(const struct mm_db_rows *rows)
{
    return mysql_stmt_num_rows(rows->stmt);
}

static struct db_column *column_get(struct mm_db_rows *rows, unsigned index)
{
    MM_CHECK(rows->on_row && index < rows->column_count);
    return &rows->columns[index];
}

bool mm_db_get_is_null(struct mm_db_rows *rows, unsigned column)
{
    return column_get(rows, column)->is_null;
}

// Text is read as a number when it is one: SUM() of integers comes as DECIMAL, thus as text.
int64_t mm_db_get_i64(struct mm_db_rows *rows, unsigned index)
{
    const struct db_column *column = column_get(rows, index);
    if (column->is_null)
        return 0;
    if (column->kind == DB_COLUMN_INTEGER) {
        if (column->is_unsigned && column->number.u64 > INT64_MAX) {
            rows_fail(rows, MM_OUT_OF_RANGE);
            return 0;
        }
        return column->number.i64;
    }
    int64_t value = 0;
    rows_fail(rows, column->kind == DB_COLUMN_BYTES ? mm_str_parse_i64(column->bytes, column->size,
                                                                       INT64_MIN, INT64_MAX, &value)
                                                    : MM_INVALID_ARGUMENT);
    return value;
}

uint64_t mm_db_get_u64(struct mm_db_rows *rows, unsigned index)
{
    const struct db_column *column = column_get(rows, index);
    if (column->is_null)
        return 0;
    if (column->kind == DB_COLUMN_INTEGER) {
        if (!column->is_unsigned && column->number.i64 < 0) {
            rows_fail(rows, MM_OUT_OF_RANGE);
            return 0;
        }
        return column->number.u64;
    }
    uint64_t value = 0;
    rows_fail(rows, column->kind == DB_COLUMN_BYTES
                        ? mm_str_parse_u64(column->bytes, column->size, 0, UINT64_MAX, &value)
                        : MM_INVALID_ARGUMENT);
    return value;
}

int32_t mm_db_get_i32(struct mm_db_rows *rows, unsigned column)
{
    int64_t value = mm_db_get_i64(rows, column);
    if (value >= INT32_MIN && value <= INT32_MAX)
        return (int32_t)value;
    rows_fail(rows, MM_OUT_OF_RANGE);
    return 0;
}

uint32_t mm_db_get_u32(struct mm_db_rows *rows, unsigned column)
{
    uint64_t value = mm_db_get_u64(rows, column);
    if (value <= UINT32_MAX)
        return (uint32_t)value;
    rows_fail(rows, MM_OUT_OF_RANGE);
    return 0;
}

double mm_db_get_f64(struct mm_db_rows *rows, unsigned index)
{
    const struct db_column *column = column_get(rows, index);
    if (column->is_null)
        return 0;
    switch (column->kind) {
    case DB_COLUMN_FLOAT:
        return column->number.f64;
    case DB_COLUMN_INTEGER:
        return column->is_unsigned ? (double)column->number.u64 : (double)column->number.i64;
    case DB_COLUMN_BYTES:
        break;
    }
    double value = 0;
    rows_fail(rows, mm_str_parse_double(column->bytes, column->size, -1e308, 1e308, &value));
    return value;
}

struct mm_db_bytes mm_db_get_bytes(struct mm_db_rows *rows, unsigned index)
{
    const struct db_column *column = column_get(rows, index);
    if (column->is_null)
        return (struct mm_db_bytes){NULL, 0};
    if (column->kind != DB_COLUMN_BYTES) {
        rows_fail(rows, MM_INVALID_ARGUMENT);
        return (struct mm_db_bytes){NULL, 0};
    }
    return (struct mm_db_bytes){column->bytes, column->size};
}
