#include "services/world/directory.h"

#include "libcommon/io/db_conn.h"
#include <string.h>

bool world_session_name_ok(const char *name)
{
    size_t len = strlen(name);
    if (len == 0 || len > WORLD_SESSION_NAME_MAX || name[0] == '-')
        return false;
    return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

// --- reading ------------------------------------------------------------------------------------

#define COLUMNS                                                                                    \
    "session, seed, max_players, wanted, state, tick, empires, addresses, "                        \
    "COALESCE(GREATEST(TIMESTAMPDIFF(MICROSECOND, seen_at, NOW(3)), 0) DIV 1000, -1)"

static void read_entry(struct mm_db_rows *rows, struct world_entry *out)
{
    memset(out, 0, sizeof *out);
    struct mm_db_bytes name = mm_db_get_bytes(rows, 0), addresses = mm_db_get_bytes(rows, 7);
    if (name.size < sizeof out->session)
        memcpy(out->session, name.data, name.size);
    out->seed = mm_db_get_u64(rows, 1);
    out->max_players = mm_db_get_u32(rows, 2);
    out->wanted = mm_db_get_u32(rows, 3) != 0;
    out->state = mm_db_get_u32(rows, 4);
    out->tick = mm_db_get_u64(rows, 5);
    out->empires = mm_db_get_u32(rows, 6);
    if (addresses.size > 0 && addresses.size <= sizeof out->addresses) {
        memcpy(out->addresses, addresses.data, addresses.size);
        out->addresses_len = addresses.size;
    }
    int64_t seen_ms = mm_db_get_i64(rows, 8);
    out->seen = seen_ms >= 0;
    out->seen_ms = out->seen ? (uint64_t)seen_ms : 0;
}

enum mm_err world_directory_find(struct mm_db_conn *conn, const char *session,
                                 struct world_entry *out)
{
    struct mm_db_rows *rows;
    enum mm_err err = mm_db_query_one(conn, "SELECT " COLUMNS " FROM directory WHERE session = ?",
                                      MM_DB_ARGS(mm_db_str(session)), &rows);
    if (err != MM_OK)
        return err;
    read_entry(rows, out);
    return mm_db_end(rows);
}

enum mm_err world_directory_list(struct mm_db_conn *conn, struct world_entry *out, size_t max,
                                 size_t *count)
{
    *count = 0;
    struct mm_db_rows *rows;
    enum mm_err err =
        mm_db_query(conn, "SELECT " COLUMNS " FROM directory ORDER BY session LIMIT ?",
                    MM_DB_ARGS(mm_db_u64(max)), &rows);
    if (err != MM_OK)
        return err;
    while (*count < max && mm_db_next(rows))
        read_entry(rows, &out[(*count)++]);
    return mm_db_end(rows);
}

// --- writing ------------------------------------------------------------------------------------

struct create {
    const char *session;
    const void *key;
    size_t key_len;
    uint64_t seed;
    uint32_t max_players, wanted_max;
};

// Whoever creates holds the rows of all that are wanted: so two at once cannot be one too many.
static enum mm_err count_wanted(struct mm_db_conn *conn, uint64_t *count)
{
    struct mm_db_rows *rows;
    enum mm_err err = mm_db_query_one(
        conn, "SELECT COUNT(*) FROM directory WHERE wanted FOR UPDATE", MM_DB_NO_ARGS, &rows);
    if (err != MM_OK)
        return err;
    *count = mm_db_get_u64(rows, 0);
    return mm_db_end(rows);
}

// OK: it was created before, by the same request. NOT_FOUND: neither name nor key is taken.
static enum mm_err created_before(struct mm_db_conn *conn, const struct create *create)
{
    struct mm_db_rows *rows;
    enum mm_err err = mm_db_query_one(
        conn,
        "SELECT MAX(session = ? AND create_key <=> ? AND seed = ? AND max_players = ?), COUNT(*) "
        "FROM directory WHERE session = ? OR create_key = ?",
        MM_DB_ARGS(mm_db_str(create->session), mm_db_blob(create->key, create->key_len),
                   mm_db_u64(create->seed), mm_db_u64(create->max_players),
                   mm_db_str(create->session), mm_db_blob(create->key, create->key_len)),
        &rows);
    if (err != MM_OK)
        return err;
    uint64_t count = mm_db_get_u64(rows, 1);
    bool same = count == 1 && mm_db_get_u64(rows, 0) != 0;
    err = mm_db_end(rows);
    if (err != MM_OK)
        return err;
    return count == 0 ? MM_NOT_FOUND : same ? MM_OK : MM_ALREADY_EXISTS;
}

static enum mm_err create_work(struct mm_db_conn *conn, void *arg)
{
    const struct create *create = arg;
    uint64_t wanted = 0;
    enum mm_err err = count_wanted(conn, &wanted);
    if (err == MM_OK)
        err = created_before(conn, create);
    if (err != MM_NOT_FOUND)
        return err;
    if (wanted >= create->wanted_max)
        return MM_RESOURCE_EXHAUSTED;
    return mm_db_exec(
        conn, "INSERT INTO directory (session, create_key, seed, max_players) VALUES (?, ?, ?, ?)",
        MM_DB_ARGS(mm_db_str(create->session), mm_db_blob(create->key, create->key_len),
                   mm_db_u64(create->seed), mm_db_u64(create->max_players)),
        NULL);
}

enum mm_err world_directory_create(struct mm_db_conn *conn, const char *session, const void *key,
                                   size_t key_len, uint64_t seed, uint32_t max_players,
                                   uint32_t wanted_max)
{
    struct create create = {session, key, key_len, seed, max_players, wanted_max};
    return mm_db_transaction(conn, create_work, &create);
}

enum mm_err world_directory_end(struct mm_db_conn *conn, const char *session)
{
    struct mm_db_rows *rows;
    enum mm_err err = mm_db_query_one(conn, "SELECT wanted FROM directory WHERE session = ?",
                                      MM_DB_ARGS(mm_db_str(session)), &rows);
    if (err != MM_OK)
        return err;
    err = mm_db_end(rows);
    if (err != MM_OK)
        return err;
    return mm_db_exec(conn, "UPDATE directory SET wanted = FALSE WHERE session = ?",
                      MM_DB_ARGS(mm_db_str(session)), NULL);
}

enum mm_err world_directory_tell(struct mm_db_conn *conn, const struct world_presence *presence)
{
    return mm_db_exec(
        conn,
        "INSERT INTO directory (session, epoch, state, tick, empires, addresses, seen_at) "
        "VALUES (?, ?, ?, ?, ?, ?, NOW(3)) ON DUPLICATE KEY UPDATE "
        "state = IF(VALUES(epoch) >= epoch, VALUES(state), state), "
        "tick = IF(VALUES(epoch) >= epoch, VALUES(tick), tick), "
        "empires = IF(VALUES(epoch) >= epoch, VALUES(empires), empires), "
        "addresses = IF(VALUES(epoch) >= epoch, VALUES(addresses), addresses), "
        "seen_at = IF(VALUES(epoch) >= epoch, VALUES(seen_at), seen_at), "
        "epoch = GREATEST(epoch, VALUES(epoch))",
        MM_DB_ARGS(mm_db_str(presence->session), mm_db_u64(presence->epoch),
                   mm_db_u64(presence->state), mm_db_u64(presence->tick),
                   mm_db_u64(presence->empires),
                   mm_db_blob(presence->addresses, presence->addresses_len)),
        NULL);
}
