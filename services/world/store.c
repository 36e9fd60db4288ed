#include "services/world/store.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/hash.h"
#include "libcommon/base/log.h"
#include "libcommon/io/db_conn.h"
#include <inttypes.h>
#include <string.h>
#include <zstd.h>

enum {
    PART_BYTES = 4 << 20,  // of a snapshot; well within max_allowed_packet
    PRUNE_ROWS = 2000,     // journal rows deleted by one statement
    ROWS_PER_COMMIT = 256, // as many as fit the arguments of one insert
    ZSTD_LEVEL = 1,
};

// --- the epoch ----------------------------------------------------------------------------------

// Within a transaction: the session is ours, and stays so until its end. The lock is shared: only a
// process that takes the session over asks for more, and so waits for what is under way.
static enum mm_err hold_epoch(struct mm_db_conn *conn, const char *session, uint64_t epoch)
{
    struct mm_db_rows *rows;
    enum mm_err err =
        mm_db_query_one(conn, "SELECT epoch FROM sessions WHERE session = ? LOCK IN SHARE MODE",
                        MM_DB_ARGS(mm_db_str(session)), &rows);
    if (err == MM_NOT_FOUND)
        return MM_FAILED_PRECONDITION;
    if (err != MM_OK)
        return err;
    uint64_t newest = mm_db_get_u64(rows, 0);
    err = mm_db_end(rows);
    if (err != MM_OK)
        return err;
    return newest == epoch ? MM_OK : MM_FAILED_PRECONDITION;
}

// --- journal ------------------------------------------------------------------------------------

struct commit {
    const char *session;
    uint64_t epoch;
    const struct world_journal_row *rows;
    size_t row_count;
    uint64_t tick_reserved;
};

static enum mm_err commit_work(struct mm_db_conn *conn, void *arg)
{
    const struct commit *commit = arg;
    enum mm_err err = hold_epoch(conn, commit->session, commit->epoch);
    struct mm_db_arg args[ROWS_PER_COMMIT * 5];
    for (size_t first = 0; err == MM_OK && first < commit->row_count; first += ROWS_PER_COMMIT) {
        size_t count = commit->row_count - first;
        if (count > ROWS_PER_COMMIT)
            count = ROWS_PER_COMMIT;
        for (size_t i = 0; i < count; i++) {
            const struct world_journal_row *row = &commit->rows[first + i];
            args[i * 5] = mm_db_str(commit->session);
            args[i * 5 + 1] = mm_db_u64(row->tick);
            args[i * 5 + 2] = mm_db_u64(commit->epoch);
            args[i * 5 + 3] = mm_db_u64(row->state_hash);
            args[i * 5 + 4] = mm_db_blob(row->inputs, row->inputs_len);
        }
        // A row that is there already is ours, from a commit whose answer was lost: nobody else
        // may write while the epoch is ours.
        err = mm_db_insert_rows(conn,
                                "INSERT INTO journal (session, tick, epoch, state_hash, inputs)",
                                "ON DUPLICATE KEY UPDATE epoch = VALUES(epoch)", 5, args, count);
    }
    if (err == MM_OK && commit->tick_reserved != 0)
        err = mm_db_exec(conn,
                         "UPDATE sessions SET tick_reserved = GREATEST(tick_reserved, ?) "
                         "WHERE session = ? AND epoch = ?",
                         MM_DB_ARGS(mm_db_u64(commit->tick_reserved), mm_db_str(commit->session),
                                    mm_db_u64(commit->epoch)),
                         NULL);
    return err;
}

enum mm_err world_store_commit(struct mm_db_conn *conn, const char *session, uint64_t epoch,
                               const struct world_journal_row *rows, size_t row_count,
                               uint64_t tick_reserved)
{
    struct commit commit = {session, epoch, rows, row_count, tick_reserved};
    return mm_db_transaction(conn, commit_work, &commit);
}

// --- snapshots ----------------------------------------------------------------------------------

struct save {
    const char *session;
    uint64_t epoch, tick, state_hash;
    size_t raw_bytes, stored_bytes;
    uint64_t checksum;
    uint32_t parts;
    bool final;
};

static enum mm_err write_parts(struct mm_db_conn *conn, const struct save *save,
                               const uint8_t *data)
{
    for (uint32_t part = 0; part < save->parts; part++) {
        size_t at = (size_t)part * PART_BYTES, len = save->stored_bytes - at;
        enum mm_err err = mm_db_exec(
            conn,
            "INSERT INTO snapshot_parts (session, tick, epoch, part, data) VALUES (?, ?, ?, ?, ?) "
            "ON DUPLICATE KEY UPDATE data = VALUES(data)",
            MM_DB_ARGS(mm_db_str(save->session), mm_db_u64(save->tick), mm_db_u64(save->epoch),
                       mm_db_u64(part), mm_db_blob(data + at, len > PART_BYTES ? PART_BYTES : len)),
            NULL);
        if (err != MM_OK)
            return err;
    }
    return MM_OK;
}

static enum mm_err save_work(struct mm_db_conn *conn, void *arg)
{
    const struct save *save = arg;
    enum mm_err err = hold_epoch(conn, save->session, save->epoch);
    if (err == MM_OK)
        err = mm_db_exec(conn,
                         "INSERT INTO snapshots (session, tick, epoch, state_hash, raw_bytes, "
                         "stored_bytes, checksum, parts) VALUES (?, ?, ?, ?, ?, ?, ?, ?) "
                         "ON DUPLICATE KEY UPDATE created_at = CURRENT_TIMESTAMP(3)",
                         MM_DB_ARGS(mm_db_str(save->session), mm_db_u64(save->tick),
                                    mm_db_u64(save->epoch), mm_db_u64(save->state_hash),
                                    mm_db_u64(save->raw_bytes), mm_db_u64(save->stored_bytes),
                                    mm_db_u64(save->checksum), mm_db_u64(save->parts)),
                         NULL);
    if (err == MM_OK && save->final)
        err = mm_db_exec(
            conn, "UPDATE sessions SET tick_reserved = ? WHERE session = ? AND epoch = ?",
            MM_DB_ARGS(mm_db_u64(save->tick), mm_db_str(save->session), mm_db_u64(save->epoch)),
            NULL);
    return err;
}

// Everything behind the oldest snapshot that is kept is no longer needed by anybody.
static enum mm_err prune(struct mm_db_conn *conn, const char *session, unsigned keep)
{
    struct mm_db_rows *rows;
    enum mm_err err = mm_db_query_one(
        conn, "SELECT tick FROM snapshots WHERE session = ? ORDER BY tick DESC LIMIT 1 OFFSET ?",
        MM_DB_ARGS(mm_db_str(session), mm_db_u64(keep - 1)), &rows);
    if (err != MM_OK)
        return err == MM_NOT_FOUND ? MM_OK : err;
    uint64_t oldest = mm_db_get_u64(rows, 0);
    err = mm_db_end(rows);
    if (err == MM_OK)
        err = mm_db_exec(conn, "DELETE FROM snapshots WHERE session = ? AND tick < ?",
                         MM_DB_ARGS(mm_db_str(session), mm_db_u64(oldest)), NULL);
    if (err == MM_OK)
        err = mm_db_exec(conn, "DELETE FROM snapshot_parts WHERE session = ? AND tick < ?",
                         MM_DB_ARGS(mm_db_str(session), mm_db_u64(oldest)), NULL);
    struct mm_db_result result = {.affected_rows = PRUNE_ROWS};
    while (err == MM_OK && result.affected_rows == PRUNE_ROWS)
        err = mm_db_exec(conn, "DELETE FROM journal WHERE session = ? AND tick <= ? LIMIT ?",
                         MM_DB_ARGS(mm_db_str(session), mm_db_u64(oldest), mm_db_u64(PRUNE_ROWS)),
                         &result);
    return err;
}

enum mm_err world_store_save(struct mm_db_conn *conn, const char *session, uint64_t epoch,
                             uint64_t tick, uint64_t state_hash, const uint8_t *data, size_t len,
                             unsigned keep, bool final, uint64_t *stored_bytes)
{
    size_t bound = ZSTD_compressBound(len);
    uint8_t *stored = mm_malloc(bound);
    if (!stored)
        return MM_RESOURCE_EXHAUSTED;
    size_t size = ZSTD_compress(stored, bound, data, len, ZSTD_LEVEL);
    if (ZSTD_isError(size)) {
        mm_free(stored);
        return MM_INTERNAL;
    }
    struct save save = {
        .session = session,
        .epoch = epoch,
        .tick = tick,
        .state_hash = state_hash,
        .raw_bytes = len,
        .stored_bytes = size,
        .checksum = mm_hash64(stored, size, tick),
        .parts = (uint32_t)((size + PART_BYTES - 1) / PART_BYTES),
        .final = final,
    };
    enum mm_err err = write_parts(conn, &save, stored);
    mm_free(stored);
    if (err == MM_OK)
        err = mm_db_transaction(conn, save_work, &save);
    if (err == MM_OK && stored_bytes)
        *stored_bytes = size;
    if (err != MM_OK)
        return err;
    // The state is safe. What could not be deleted now will be the next time.
    enum mm_err pruned = prune(conn, session, keep);
    if (pruned != MM_OK)
        MM_LOG_WARN("cannot prune the journal", "err=%s text=%s", mm_err_name(pruned),
                    mm_db_error_text(conn));
    return MM_OK;
}

// --- reading ------------------------------------------------------------------------------------

enum mm_err world_store_snapshots(struct mm_db_conn *conn, const char *session,
                                  struct world_stored_snapshot *out, size_t max, size_t *count)
{
    *count = 0;
    struct mm_db_rows *rows;
    enum mm_err err = mm_db_query(
        conn,
        "SELECT tick, epoch, state_hash, raw_bytes, stored_bytes, checksum, parts FROM snapshots "
        "WHERE session = ? ORDER BY tick DESC, epoch DESC LIMIT ?",
        MM_DB_ARGS(mm_db_str(session), mm_db_u64(max)), &rows);
    if (err != MM_OK)
        return err;
    while (*count < max && mm_db_next(rows))
        out[(*count)++] = (struct world_stored_snapshot){
            mm_db_get_u64(rows, 0), mm_db_get_u64(rows, 1), mm_db_get_u64(rows, 2),
            mm_db_get_u64(rows, 3), mm_db_get_u64(rows, 4), mm_db_get_u64(rows, 5),
            mm_db_get_u32(rows, 6)};
    return mm_db_end(rows);
}

enum mm_err world_store_snapshot_bytes(struct mm_db_conn *conn, const char *session,
                                       const struct world_stored_snapshot *snapshot, uint8_t **out)
{
    *out = NULL;
    if (snapshot->stored_bytes > WORLD_SAVE_BYTES_MAX)
        return MM_DATA_LOSS;
    uint8_t *data = mm_malloc(snapshot->stored_bytes + 1);
    if (!data)
        return MM_RESOURCE_EXHAUSTED;
    size_t at = 0;
    enum mm_err err = MM_OK;
    for (uint32_t part = 0; err == MM_OK && part < snapshot->parts; part++) {
        struct mm_db_rows *rows;
        err = mm_db_query_one(conn,
                              "SELECT data FROM snapshot_parts WHERE session = ? AND tick = ? AND "
                              "epoch = ? AND part = ?",
                              MM_DB_ARGS(mm_db_str(session), mm_db_u64(snapshot->tick),
                                         mm_db_u64(snapshot->epoch), mm_db_u64(part)),
                              &rows);
        if (err == MM_NOT_FOUND)
            err = MM_DATA_LOSS;
        if (err != MM_OK)
            break;
        struct mm_db_bytes bytes = mm_db_get_bytes(rows, 0);
        bool fits = bytes.size <= snapshot->stored_bytes - at;
        if (fits && bytes.size > 0) {
            memcpy(data + at, bytes.data, bytes.size);
            at += bytes.size;
        }
        err = mm_db_end(rows);
        if (err == MM_OK && !fits)
            err = MM_DATA_LOSS;
    }
    if (err == MM_OK && at != snapshot->stored_bytes)
        err = MM_DATA_LOSS;
    if (err == MM_OK)
        *out = data;
    else
        mm_free(data);
    return err;
}
