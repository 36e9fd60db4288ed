// One connection to MariaDB: its session, transactions and end. Blocking; a worker's business.

#include "libcommon/io/db_conn.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/log.h"
#include "libcommon/base/str.h"
#include "libcommon/io/db_internal.h"

#include <ma_pvio.h>
#include <mysqld_error.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

static bool database_name_is_plain(const char *name)
{
    if (name[0] == 0)
        return false;
    for (const char *c = name; *c; c++)
        if (!(*c == '_' || (*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'z') ||
              (*c >= 'A' && *c <= 'Z')))
            return false;
    return true;
}

static uint32_t or_default(uint32_t value, uint32_t default_value)
{
    return value ? value : default_value;
}

enum mm_err db_config_fill(struct db_config *config, const struct mm_db_options *options)
{
    *config = (struct db_config){
        .port = options->port,
        .workers = or_default(options->workers, 4),
        .background_workers = options->background_workers,
        .jobs_max = or_default(options->jobs_max, 1024),
        .connect_timeout_ms = or_default(options->connect_timeout_ms, 2000),
        .io_timeout_ms = or_default(options->io_timeout_ms, 10000),
        .statement_timeout_ms = or_default(options->statement_timeout_ms, 10000),
        .lock_wait_s = or_default(options->lock_wait_s, 5),
        .backoff_min_ms = or_default(options->backoff_min_ms, 50),
        .backoff_max_ms = or_default(options->backoff_max_ms, 1000),
    };
    if (!options->host || !options->user || !options->database || options->port == 0 ||
        config->workers > MM_DB_WORKERS_MAX || config->background_workers >= config->workers ||
        !database_name_is_plain(options->database))
        return MM_INVALID_ARGUMENT;
    const char *password = options->password ? options->password : "";
    if (!mm_str_copy(config->host, sizeof config->host, options->host) ||
        !mm_str_copy(config->user, sizeof config->user, options->user) ||
        !mm_str_copy(config->password, sizeof config->password, password) ||
        !mm_str_copy(config->database, sizeof config->database, options->database))
        return MM_INVALID_ARGUMENT;
    return MM_OK;
}

// --- errors ------------------------------------------------------------------------------------

static enum mm_err fail_mysql(struct mm_db_conn *conn)
{
    return db_conn_fail(conn, mysql_errno(conn->mysql), mysql_error(conn->mysql));
}

const char *mm_db_error_text(const struct mm_db_conn *conn)
{
    return conn->error_text;
}

unsigned mm_db_error_number(const struct mm_db_conn *conn)
{
    return conn->error_number;
}

// --- connecting --------------------------------------------------------------------------------

static void set_timeout_s(MYSQL *mysql, enum mysql_option option, uint32_t timeout_ms)
{
    unsigned timeout_s = (timeout_ms + 999) / 1000;
    mysql_optionsv(mysql, option, &timeout_s);
}

static MYSQL *handle_make(const struct db_config *config)
{
    MYSQL *mysql = mysql_init(NULL);
    if (!mysql)
        return NULL;
    set_timeout_s(mysql, MYSQL_OPT_CONNECT_TIMEOUT, config->connect_timeout_ms);
    // While connecting, the hand-shake's reads and writes have the same limit.
    set_timeout_s(mysql, MYSQL_OPT_READ_TIMEOUT, config->io_timeout_ms);
    set_timeout_s(mysql, MYSQL_OPT_WRITE_TIMEOUT, config->io_timeout_ms);
    unsigned protocol = MYSQL_PROTOCOL_TCP; // "localhost" would mean a unix socket otherwise
    mysql_optionsv(mysql, MYSQL_OPT_PROTOCOL, &protocol);
    mysql_optionsv(mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    unsigned local_infile = 0; // a server must not be able to ask for our files
    mysql_optionsv(mysql, MYSQL_OPT_LOCAL_INFILE, &local_infile);
    my_bool reconnect = 0; // a silent reconnect would lose the transaction and the session
    mysql_optionsv(mysql, MYSQL_OPT_RECONNECT, &reconnect);
    return mysql;
}

// FOUND_ROWS: affected_rows counts the rows that a WHERE matched, also those that already had the
// new values; a conditional UPDATE can then be judged by it.
static bool handle_connect(MYSQL *mysql, const struct db_config *config, const char *database)
{
    return mysql_real_connect(mysql, config->host, config->user, config->password, database,
                              config->port, NULL, CLIENT_FOUND_ROWS) != NULL;
}

static enum mm_err text_printf(struct mm_db_conn *conn, const char *format, ...) MM_PRINTF(2, 3);

static enum mm_err text_printf(struct mm_db_conn *conn, const char *format, ...)
{
    char sql[640];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(sql, sizeof sql, format, args);
    va_end(args);
    MM_CHECK(size > 0 && (size_t)size < sizeof sql);
    return mm_db_exec_text(conn, sql, (size_t)size);
}

static enum mm_err session_prepare(struct mm_db_conn *conn)
{
    enum mm_err err = text_printf(
        conn,
        "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,"
        "ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION', time_zone = '+00:00', "
        "tx_isolation = 'READ-COMMITTED', autocommit = 1, innodb_lock_wait_timeout = %u, "
        "lock_wait_timeout = %u, max_statement_time = %u.%03u, collation_connection = utf8mb4_bin",
        conn->config.lock_wait_s, conn->config.lock_wait_s,
        conn->config.statement_timeout_ms / 1000, conn->config.statement_timeout_ms % 1000);
    if (err != MM_OK)
        return err;
    struct mm_db_rows *rows;
    err = mm_db_query_one(conn, "SELECT @@max_allowed_packet", MM_DB_NO_ARGS, &rows);
    if (err != MM_OK)
        return err;
    conn->packet_bytes_max = mm_db_get_u64(rows, 0);
    return mm_db_end(rows);
}

static enum mm_err connect_and_create(struct mm_db_conn *conn)
{
    const struct db_config *config = &conn->config;
    conn->mysql = handle_make(config);
    if (!conn->mysql)
        return MM_RESOURCE_EXHAUSTED;
    if (handle_connect(conn->mysql, config, config->database))
        return MM_OK;
    enum mm_err err = fail_mysql(conn);
    if (conn->error_number != ER_BAD_DB_ERROR)
        return err;
    mysql_close(conn->mysql);
    conn->mysql = handle_make(config);
    if (!conn->mysql)
        return MM_RESOURCE_EXHAUSTED;
    if (!handle_connect(conn->mysql, config, NULL))
        return fail_mysql(conn);
    err = text_printf(conn,
                      "CREATE DATABASE IF NOT EXISTS `%s` CHARACTER SET utf8mb4 "
                      "COLLATE utf8mb4_bin",
                      config->database);
    if (err == MM_OK && mysql_select_db(conn->mysql, config->database) != 0)
        err = fail_mysql(conn);
    return err;
}

enum mm_err db_conn_connect(struct mm_db_conn *conn)
{
    db_conn_disconnect(conn);
    enum mm_err err = connect_and_create(conn);
    if (err == MM_OK)
        err = session_prepare(conn);
    if (err != MM_OK) {
        db_conn_disconnect(conn);
        // Whatever it was (a refused password, a missing right), there is no connection.
        return MM_UNAVAILABLE;
    }
    pthread_mutex_lock(&conn->interrupt_mutex);
    conn->interrupt_fd = (int)mysql_get_socket(conn->mysql);
    pthread_mutex_unlock(&conn->interrupt_mutex);
    return MM_OK;
}

void db_conn_disconnect(struct mm_db_conn *conn)
{
    pthread_mutex_lock(&conn->interrupt_mutex);
    // A lost connection gets no farewell, which could wait for a time-out.
    if (conn->broken && conn->interrupt_fd >= 0)
        (void)shutdown(conn->interrupt_fd, SHUT_RDWR);
    conn->interrupt_fd = -1;
    pthread_mutex_unlock(&conn->interrupt_mutex);
    db_statements_close(conn);
    if (conn->mysql)
        mysql_close(conn->mysql);
    conn->mysql = NULL;
    conn->broken = false;
    conn->in_transaction = false;
}

void db_conn_interrupt(struct mm_db_conn *conn)
{
    pthread_mutex_lock(&conn->interrupt_mutex);
    if (conn->interrupt_fd >= 0)
        (void)shutdown(conn->interrupt_fd, SHUT_RDWR);
    pthread_mutex_unlock(&conn->interrupt_mutex);
}

void db_conn_limits_lift(struct mm_db_conn *conn, bool lift)
{
    if (conn->broken)
        return;
    // The option only counts while connecting; the transport itself takes a new time-out, in whole
    // seconds (0 = none), at any time.
    MARIADB_PVIO *pvio = conn->mysql->net.pvio;
    (void)pvio->methods->set_timeout(pvio, PVIO_READ_TIMEOUT,
                                     lift ? 0 : (int)((conn->config.io_timeout_ms + 999) / 1000));
    uint32_t timeout_ms = lift ? 0 : conn->config.statement_timeout_ms;
    // A failure means a lost connection, which the next statement tells.
    enum mm_err err = text_printf(conn, "SET SESSION max_statement_time = %u.%03u",
                                  timeout_ms / 1000, timeout_ms % 1000);
    (void)err;
}

bool db_conn_is_stale(struct mm_db_conn *conn)
{
    // A server speaks only when asked: anything to read on an idle connection is its end.
    struct pollfd pfd = {.fd = (int)mysql_get_socket(conn->mysql), .events = POLLIN | POLLRDHUP};
    return poll(&pfd, 1, 0) != 0;
}

void db_conn_init(struct mm_db_conn *conn, const struct db_config *config)
{
    memset(conn, 0, sizeof *conn);
    conn->config = *config;
    conn->interrupt_fd = -1;
    pthread_mutex_init(&conn->interrupt_mutex, NULL);
}

void db_conn_fini(struct mm_db_conn *conn)
{
    db_conn_disconnect(conn);
    pthread_mutex_destroy(&conn->interrupt_mutex);
}

static void library_init_once(void)
{
    MM_CHECK(mysql_library_init(0, NULL, NULL) == 0);
}

void db_library_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, library_init_once);
}

enum mm_err mm_db_conn_open(const struct mm_db_options *options, struct mm_db_conn **out)
{
    db_library_init();
    *out = NULL;
    struct db_config config;
    enum mm_err err = db_config_fill(&config, options);
    if (err != MM_OK)
        return err;
    struct mm_db_conn *conn = mm_malloc(sizeof *conn);
    if (!conn)
        return MM_RESOURCE_EXHAUSTED;
    db_conn_init(conn, &config);
    err = db_conn_connect(conn);
    if (err != MM_OK) {
        MM_LOG_WARN("mariadb connection failed", "host=%s port=%u number=%u error=%s", config.host,
                    config.port, conn->error_number, conn->error_text);
        mm_db_conn_close(conn);
        return err;
    }
    *out = conn;
    return MM_OK;
}

void mm_db_conn_close(struct mm_db_conn *conn)
{
    if (!conn)
        return;
    db_conn_fini(conn);
    mm_free(conn);
}

// --- plain text and transactions ---------------------------------------------------------------

enum mm_err mm_db_exec_text(struct mm_db_conn *conn, const char *sql, size_t size)
{
    if (conn->broken)
        return MM_UNAVAILABLE;
    if (mysql_real_query(conn->mysql, sql, size) != 0)
        return fail_mysql(conn);
    MYSQL_RES *result = mysql_store_result(conn->mysql);
    if (!result && mysql_field_count(conn->mysql) > 0)
        return fail_mysql(conn);
    mysql_free_result(result);
    return MM_OK;
}

#define EXEC_LITERAL(conn, literal) mm_db_exec_text((conn), "" literal, sizeof(literal) - 1)

enum mm_err mm_db_begin(struct mm_db_conn *conn)
{
    MM_CHECK(!conn->in_transaction);
    enum mm_err err = EXEC_LITERAL(conn, "START TRANSACTION");
    conn->in_transaction = err == MM_OK;
    return err;
}

enum mm_err mm_db_commit(struct mm_db_conn *conn)
{
    MM_CHECK(conn->in_transaction);
    enum mm_err err = EXEC_LITERAL(conn, "COMMIT");
    if (err == MM_OK)
        conn->in_transaction = false;
    else
        mm_db_rollback(conn);
    return err;
}

void mm_db_rollback(struct mm_db_conn *conn)
{
    if (!conn->in_transaction)
        return;
    conn->in_transaction = false;
    // The error that led here is the one to be told.
    unsigned number = conn->error_number;
    char text[sizeof conn->error_text];
    memcpy(text, conn->error_text, sizeof text);
    if (EXEC_LITERAL(conn, "ROLLBACK") != MM_OK)
        conn->broken = true; // the server rolls back when the connection ends
    conn->error_number = number;
    memcpy(conn->error_text, text, sizeof text);
}

enum mm_err mm_db_transaction(struct mm_db_conn *conn, mm_db_work_fn work, void *arg)
{
    enum mm_err err = MM_ABORTED;
    for (int tries = 0; tries < MM_DB_TRANSACTION_TRIES && err == MM_ABORTED; tries++) {
        err = mm_db_begin(conn);
        if (err != MM_OK)
            return err;
        err = work(conn, arg);
        MM_CHECK(conn->in_transaction); // work must neither commit nor roll back
        db_statements_end_open(conn);
        if (err == MM_OK)
            err = mm_db_commit(conn);
        else
            mm_db_rollback(conn);
    }
    return err;
}

void db_conn_tidy(struct mm_db_conn *conn)
{
    db_statements_end_open(conn);
    if (conn->in_transaction) {
        MM_LOG_WARN("a job left its transaction open");
        mm_db_rollback(conn);
    }
}
