#include "libcommon/base/alloc.h"
#include "libcommon/io/db_conn.h"
#include "libcommon/service/yaml.h"
#include "services/world/store.h"
#include "tools/replay/source.h"
#include <stdio.h>
#include <string.h>

struct db_source {
    struct replay_source base;
    struct mm_db_conn *conn;
    struct mm_db_rows *rows; // of the journal, NULL: none are fetched
    uint64_t cursor;         // the tick of the last row given
};

// --- settings -----------------------------------------------------------------------------------

// A longer value is an error: it must not be cut and lead somewhere else.
static void take(struct mm_yaml_node *map, const char *key, const char *fallback, char *out,
                 size_t out_bytes)
{
    const char *text = mm_yaml_get_string(map, key, fallback);
    if (strlen(text) >= out_bytes)
        mm_yaml_fail(mm_yaml_find(map, key), "%s: longer than %zu characters", key, out_bytes - 1);
    else
        snprintf(out, out_bytes, "%s", text);
}

// What else stands in the file is the service's matter, and checked by it.
enum mm_err replay_settings_load(const char *path, struct replay_settings *out)
{
    memset(out, 0, sizeof *out);
    struct mm_yaml *doc = mm_yaml_load(path);
    struct mm_yaml_node *root = mm_yaml_root(doc), *db = mm_yaml_get_map(root, "mariadb");
    take(root, "session", "main", out->session, sizeof out->session);
    take(db, "host", "127.0.0.1", out->host, sizeof out->host);
    take(db, "user", "mmorts", out->user, sizeof out->user);
    take(db, "password", "", out->password, sizeof out->password);
    take(db, "database", "mmorts_world", out->database, sizeof out->database);
    out->port = (uint16_t)mm_yaml_get_int(db, "port", 1, 65535, 7106);
    size_t errors = mm_yaml_error_count(doc);
    for (size_t i = 0; i < errors && mm_yaml_error(doc, i); i++)
        fprintf(stderr, "mmorts-replay: %s\n", mm_yaml_error(doc, i));
    mm_yaml_free(doc);
    return errors == 0 ? MM_OK : MM_INVALID_ARGUMENT;
}

// --- reading ------------------------------------------------------------------------------------

static enum mm_err failed(struct db_source *source, enum mm_err err)
{
    snprintf(source->base.problem, sizeof source->base.problem, "MariaDB: %s",
             mm_db_error_text(source->conn));
    return err;
}

static enum mm_err read_snapshot(struct replay_source *base, size_t index, uint8_t **out)
{
    struct db_source *source = (struct db_source *)base;
    enum mm_err err =
        world_store_snapshot_bytes(source->conn, base->session, &base->snapshots[index], out);
    return err == MM_OK || err == MM_DATA_LOSS ? err : failed(source, err);
}

static enum mm_err drop_rows(struct db_source *source)
{
    enum mm_err err = source->rows ? mm_db_end(source->rows) : MM_OK;
    source->rows = NULL;
    return err;
}

static enum mm_err seek(struct replay_source *base, uint64_t after_tick)
{
    struct db_source *source = (struct db_source *)base;
    source->cursor = after_tick;
    return drop_rows(source);
}

static enum mm_err read_row(struct replay_source *base, struct replay_row *out)
{
    struct db_source *source = (struct db_source *)base;
    if (source->rows && !mm_db_next(source->rows)) {
        enum mm_err err = drop_rows(source);
        if (err != MM_OK)
            return failed(source, err);
    }
    if (!source->rows) {
        enum mm_err err = mm_db_query_one(
            source->conn,
            "SELECT tick, epoch, state_hash, inputs FROM journal WHERE session = ? "
            "AND tick > ? ORDER BY tick LIMIT 500",
            MM_DB_ARGS(mm_db_str(base->session), mm_db_u64(source->cursor)), &source->rows);
        if (err != MM_OK) {
            source->rows = NULL;
            return err == MM_NOT_FOUND ? err : failed(source, err);
        }
    }
    struct mm_db_bytes inputs = mm_db_get_bytes(source->rows, 3);
    *out = (struct replay_row){
        .tick = mm_db_get_u64(source->rows, 0),
        .epoch = mm_db_get_u64(source->rows, 1),
        .state_hash = mm_db_get_u64(source->rows, 2),
        .inputs = (const uint8_t *)inputs.data,
        .inputs_len = inputs.size,
    };
    source->cursor = out->tick;
    return MM_OK;
}

// --- opening ------------------------------------------------------------------------------------

static void close_source(struct replay_source *base)
{
    struct db_source *source = (struct db_source *)base;
    (void)!drop_rows(source);
    if (source->conn) {
        mm_db_rollback(source->conn);
        mm_db_conn_close(source->conn);
    }
    mm_free(base->snapshots);
    mm_free(source);
}

// Whoever looks at a record has time: a server that stands still for a while is waited for.
enum { PATIENCE_MS = 60000 };

// Opening a connection makes a database that is missing: so that is asked for first.
static enum mm_err connect_to(const struct replay_settings *settings, struct mm_db_conn **out,
                              char *problem)
{
    struct mm_db_options options = {
        .host = settings->host,
        .port = settings->port,
        .user = settings->user,
        .password = settings->password,
        .database = "information_schema",
        .connect_timeout_ms = PATIENCE_MS,
        .statement_timeout_ms = PATIENCE_MS,
        .io_timeout_ms = PATIENCE_MS,
    };
    *out = NULL;
    struct mm_db_conn *conn;
    enum mm_err err = mm_db_conn_open(&options, &conn);
    if (err != MM_OK) {
        snprintf(problem, REPLAY_PROBLEM_BYTES, "no connection to MariaDB at %s:%u as %s",
                 settings->host, settings->port, settings->user);
        return err;
    }
    struct mm_db_rows *rows;
    err = mm_db_query_one(conn, "SELECT schema_name FROM schemata WHERE schema_name = ?",
                          MM_DB_ARGS(mm_db_str(settings->database)), &rows);
    if (err == MM_OK)
        err = mm_db_end(rows);
    mm_db_conn_close(conn);
    if (err != MM_OK) {
        snprintf(problem, REPLAY_PROBLEM_BYTES, "no database %s at %s:%u", settings->database,
                 settings->host, settings->port);
        return err;
    }
    options.database = settings->database;
    err = mm_db_conn_open(&options, out);
    if (err != MM_OK)
        snprintf(problem, REPLAY_PROBLEM_BYTES, "cannot open the database %s", settings->database);
    return err;
}

// The server itself refuses whatever would write, and shows all of one moment.
static enum mm_err begin_reading(struct mm_db_conn *conn)
{
    static const char level[] = "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ";
    static const char begin[] = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY";
    enum mm_err err = mm_db_exec_text(conn, level, sizeof level - 1);
    return err == MM_OK ? mm_db_exec_text(conn, begin, sizeof begin - 1) : err;
}

static enum mm_err read_session(struct db_source *source)
{
    struct replay_source *base = &source->base;
    struct mm_db_rows *rows;
    enum mm_err err =
        mm_db_query_one(source->conn, "SELECT epoch, tick_reserved FROM sessions WHERE session = ?",
                        MM_DB_ARGS(mm_db_str(base->session)), &rows);
    if (err != MM_OK)
        return err;
    base->epoch = mm_db_get_u64(rows, 0);
    base->tick_reserved = mm_db_get_u64(rows, 1);
    err = mm_db_end(rows);
    if (err == MM_OK)
        err = mm_db_query_one(source->conn,
                              "SELECT COUNT(*), COALESCE(MAX(tick), 0) FROM journal "
                              "WHERE session = ?",
                              MM_DB_ARGS(mm_db_str(base->session)), &rows);
    if (err != MM_OK)
        return err;
    base->row_count = mm_db_get_u64(rows, 0);
    base->last_row_tick = mm_db_get_u64(rows, 1);
    return mm_db_end(rows);
}

static enum mm_err read_snapshots(struct db_source *source)
{
    struct replay_source *base = &source->base;
    struct world_stored_snapshot *list = mm_calloc(REPLAY_SNAPSHOTS_MAX, sizeof *list);
    if (!list)
        return MM_RESOURCE_EXHAUSTED;
    base->snapshots = list;
    enum mm_err err = world_store_snapshots(source->conn, base->session, list, REPLAY_SNAPSHOTS_MAX,
                                            &base->snapshot_count);
    for (size_t i = 0, j = base->snapshot_count; err == MM_OK && i + 1 < j; i++) {
        struct world_stored_snapshot swap = list[i];
        list[i] = list[--j];
        list[j] = swap;
    }
    return err;
}

enum mm_err replay_source_db(const struct replay_settings *settings, struct replay_source **out,
                             char *problem)
{
    *out = NULL;
    struct db_source *source = mm_calloc(1, sizeof *source);
    if (!source)
        return MM_RESOURCE_EXHAUSTED;
    struct replay_source *base = &source->base;
    snprintf(base->session, sizeof base->session, "%s", settings->session);
    base->read_snapshot = read_snapshot;
    base->read_row = read_row;
    base->seek = seek;
    base->close = close_source;
    enum mm_err err = connect_to(settings, &source->conn, problem);
    if (err == MM_OK) {
        err = begin_reading(source->conn);
        if (err == MM_OK)
            err = read_session(source);
        if (err == MM_OK)
            err = read_snapshots(source);
        if (err == MM_NOT_FOUND)
            snprintf(problem, REPLAY_PROBLEM_BYTES, "no session %s in the database %s",
                     settings->session, settings->database);
        else if (err != MM_OK)
            snprintf(problem, REPLAY_PROBLEM_BYTES, "MariaDB: %s", mm_db_error_text(source->conn));
    }
    if (err != MM_OK)
        close_source(base);
    else
        *out = base;
    return err;
}
