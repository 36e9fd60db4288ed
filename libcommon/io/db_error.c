// What a MariaDB error number means to us, and the last error of a connection. Numbers:
// mysqld_error.h (server), errmsg.h (client).

#include "libcommon/base/str.h"
#include "libcommon/io/db_internal.h"

#include <errmsg.h>
#include <mysqld_error.h>

bool db_error_is_lost(unsigned number)
{
    switch (number) {
    case CR_CONNECTION_ERROR:
    case CR_CONN_HOST_ERROR:
    case CR_IPSOCK_ERROR:
    case CR_UNKNOWN_HOST:
    case CR_SERVER_GONE_ERROR:
    case CR_SERVER_HANDSHAKE_ERR:
    case CR_SERVER_LOST:
    case CR_SERVER_LOST_EXTENDED:
    case CR_SSL_CONNECTION_ERROR:
    case CR_MALFORMED_PACKET:
    case CR_COMMANDS_OUT_OF_SYNC: // the stream is in an unknown state: never go on with it
    case ER_SERVER_SHUTDOWN:
    case ER_CONNECTION_KILLED:
    case ER_NET_READ_INTERRUPTED:
    case ER_NET_READ_ERROR:
    case ER_NET_ERROR_ON_WRITE:
    case ER_NET_WRITE_INTERRUPTED:
        return true;
    default:
        return false;
    }
}

enum mm_err db_error_class(unsigned number)
{
    if (db_error_is_lost(number))
        return MM_UNAVAILABLE;
    switch (number) {
    case ER_LOCK_DEADLOCK:
    case ER_LOCK_WAIT_TIMEOUT:
    case ER_CHECKREAD: // record has changed since last read
        return MM_ABORTED;
    case ER_CON_COUNT_ERROR:
    case ER_TOO_MANY_USER_CONNECTIONS:
    case ER_USER_LIMIT_REACHED:
    case ER_OPTION_PREVENTS_STATEMENT: // read-only server
        return MM_UNAVAILABLE;
    case ER_DUP_ENTRY:
    case ER_DUP_ENTRY_WITH_KEY_NAME:
    case ER_DUP_KEY:
    case ER_DUP_UNIQUE:
    case ER_TABLE_EXISTS_ERROR:
    case ER_DB_CREATE_EXISTS:
        return MM_ALREADY_EXISTS;
    case ER_ROW_IS_REFERENCED:
    case ER_ROW_IS_REFERENCED_2:
    case ER_NO_REFERENCED_ROW:
    case ER_NO_REFERENCED_ROW_2:
    case ER_CONSTRAINT_FAILED:
    case ER_SIGNAL_EXCEPTION:
        return MM_FAILED_PRECONDITION;
    case ER_WARN_DATA_OUT_OF_RANGE:
    case ER_DATA_OUT_OF_RANGE:
        return MM_OUT_OF_RANGE;
    case ER_DATA_TOO_LONG:
    case ER_BAD_NULL_ERROR:
    case ER_TRUNCATED_WRONG_VALUE:
    case ER_TRUNCATED_WRONG_VALUE_FOR_FIELD:
    case ER_NO_DEFAULT_FOR_FIELD:
    case WARN_DATA_TRUNCATED:
        return MM_INVALID_ARGUMENT;
    case ER_STATEMENT_TIMEOUT:
        return MM_DEADLINE_EXCEEDED;
    case ER_QUERY_INTERRUPTED:
        return MM_CANCELLED;
    case ER_ACCESS_DENIED_ERROR:
    case ER_DBACCESS_DENIED_ERROR:
    case ER_TABLEACCESS_DENIED_ERROR:
    case ER_COLUMNACCESS_DENIED_ERROR:
    case ER_SPECIFIC_ACCESS_DENIED_ERROR:
        return MM_PERMISSION_DENIED;
    case ER_NET_PACKET_TOO_LARGE:
    case CR_NET_PACKET_TOO_LARGE:
    case CR_OUT_OF_MEMORY:
    case ER_OUTOFMEMORY:
    case ER_OUT_OF_RESOURCES:
    case ER_DISK_FULL:
    case ER_RECORD_FILE_FULL:
    case ER_LOCK_TABLE_FULL:
    case ER_MAX_PREPARED_STMT_COUNT_REACHED:
        return MM_RESOURCE_EXHAUSTED;
    default:
        return MM_INTERNAL;
    }
}

enum mm_err db_conn_fail(struct mm_db_conn *conn, unsigned number, const char *text)
{
    conn->error_number = number;
    (void)mm_str_copy(conn->error_text, sizeof conn->error_text, text);
    if (db_error_is_lost(number))
        conn->broken = true;
    return db_error_class(number);
}

enum mm_err db_conn_fail_own(struct mm_db_conn *conn, enum mm_err err, const char *text)
{
    conn->error_number = 0;
    (void)mm_str_copy(conn->error_text, sizeof conn->error_text, text);
    return err;
}
