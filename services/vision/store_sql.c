#include "libcommon/base/alloc.h"
#include "libcommon/base/bitset.h"
#include "libcommon/base/hash.h"
#include "libcommon/base/str.h"
#include "libcommon/io/db_conn.h"
#include "services/vision/app.h"

#include <string.h>

// The statements; everything here runs on a database worker's thread.

#define EXPLORED_CELL_BYTES_MAX 400

// --- loading ---------------------------------------------------------------------------------

static enum mm_err load_session(struct mm_db_conn *conn, const char *session,
                                struct vision_stored *out)
{
    struct mm_db_rows *rows;
    enum mm_err err = mm_db_query_one(
        conn, "SELECT chunk_radius, saved_tick, saved_all FROM sessions WHERE session = ?",
        MM_DB_ARGS(mm_db_str(session)), &rows);
    if (err == MM_NOT_FOUND)
        return MM_OK;
    if (err != MM_OK)
        return err;
    out->chunk_radius = mm_db_get_u32(rows, 0);
    out->tick = mm_db_get_u64(rows, 1);
    out->all = mm_db_get_u64(rows, 2) != 0;
    err = mm_db_end(rows);
    if (err == MM_OK && (out->chunk_radius == 0 || out->chunk_radius > HEX_CHUNK_RADIUS_MAX))
        err = MM_DATA_LOSS;
    if (err == MM_OK)
        out->words = (uint32_t)MM_BITSET_WORDS(hex_disc_count((int32_t)out->chunk_radius));
    return err;
}

// In slices, so that no answer of the server grows with the session's age.
enum { EXPLORED_SLICE_ROWS = 20000 };

static bool add_explored(struct vision_stored *out, struct mm_db_rows *rows)
{
    struct vision_explored row = {
        .empire = mm_db_get_u32(rows, 0),
        .chunk = {mm_db_get_i32(rows, 1), mm_db_get_i32(rows, 2)},
        .first_seen = mm_db_get_u64(rows, 3),
        .last_seen = mm_db_get_u64(rows, 4),
    };
    struct mm_db_bytes cells = mm_db_get_bytes(rows, 5);
    if (!mm_vec_push(&out->explored, row) ||
        !mm_vec_reserve(&out->bits, out->bits.count + out->words))
        return false;
    uint64_t *words = out->bits.items + out->bits.count;
    memset(words, 0, out->words * sizeof *words);
    size_t bits = hex_disc_count((int32_t)out->chunk_radius);
    for (size_t bit = 0; bit < bits && bit / 8 < cells.size; bit++) {
        if ((unsigned char)cells.data[bit / 8] >> (bit % 8) & 1)
            mm_bitset_set(words, bit);
    }
    out->bits.count += out->words;
    return true;
}

static enum mm_err load_explored(struct mm_db_conn *conn, const char *session,
                                 struct vision_stored *out)
{
    struct vision_explored last = {0};
    last.chunk.a = last.chunk.b = INT32_MIN;
    for (;;) {
        struct mm_db_rows *rows;
        enum mm_err err = mm_db_query(
            conn,
            "SELECT empire, chunk_a, chunk_b, first_seen, last_seen, cells FROM explored "
            "WHERE session = ? AND (empire > ? OR (empire = ? AND (chunk_a > ? OR (chunk_a = ? "
            "AND chunk_b > ?)))) ORDER BY empire, chunk_a, chunk_b LIMIT ?",
            MM_DB_ARGS(mm_db_str(session), mm_db_u64(last.empire), mm_db_u64(last.empire),
                       mm_db_i64(last.chunk.a), mm_db_i64(last.chunk.a), mm_db_i64(last.chunk.b),
                       mm_db_u64(EXPLORED_SLICE_ROWS)),
            &rows);
        if (err != MM_OK)
            return err;
        bool room = true;
        size_t count = 0;
        for (; room && mm_db_next(rows); count++)
            room = mm_progress_row(out->progress, count) && add_explored(out, rows);
        err = mm_db_end(rows);
        if (err != MM_OK)
            return err;
        if (!room)
            return MM_RESOURCE_EXHAUSTED;
        if (count < EXPLORED_SLICE_ROWS)
            return MM_OK;
        last = out->explored.items[out->explored.count - 1];
    }
}

static enum mm_err load_memories(struct mm_db_conn *conn, const char *session,
                                 struct vision_stored *out)
{
    struct mm_db_rows *rows;
    enum mm_err err = mm_db_query(
        conn,
        "SELECT empire, entity, type, owner, q, r, health, first_seen, last_seen, expires_at "
        "FROM remembered WHERE session = ? ORDER BY empire, last_seen, entity",
        MM_DB_ARGS(mm_db_str(session)), &rows);
    if (err != MM_OK)
        return err;
    bool room = true;
    while (room && mm_db_next(rows)) {
        struct vision_stored_memory memory = {
            .row = {.empire = mm_db_get_u32(rows, 0),
                    .id = mm_db_get_u64(rows, 1),
                    .owner = mm_db_get_u32(rows, 3),
                    .at = {mm_db_get_i32(rows, 4), mm_db_get_i32(rows, 5)},
                    .health = mm_db_get_i32(rows, 6),
                    .first_seen = mm_db_get_u64(rows, 7),
                    .last_seen = mm_db_get_u64(rows, 8),
                    .expires_at = mm_db_get_u64(rows, 9)},
        };
        mm_str_copy(memory.type, sizeof memory.type, mm_db_get_bytes(rows, 2).data);
        room = mm_progress_row(out->progress, out->memories.count) &&
               mm_vec_push(&out->memories, memory);
    }
    err = mm_db_end(rows);
    return err == MM_OK && !room ? MM_RESOURCE_EXHAUSTED : err;
}

static enum mm_err load_shares(struct mm_db_conn *conn, const char *session,
                               struct vision_stored *out)
{
    struct mm_db_rows *rows;
    enum mm_err err = mm_db_query(conn,
                                  "SELECT from_empire, to_empire, since_tick, until_tick "
                                  "FROM sharing WHERE session = ? "
                                  "ORDER BY since_tick, from_empire, to_empire",
                                  MM_DB_ARGS(mm_db_str(session)), &rows);
    if (err != MM_OK)
        return err;
    bool room = true;
    while (room && mm_db_next(rows)) {
        struct vision_stored_share share = {mm_db_get_u32(rows, 0), mm_db_get_u32(rows, 1),
                                            mm_db_get_u64(rows, 2), mm_db_get_u64(rows, 3)};
        room = mm_vec_push(&out->shares, share);
    }
    err = mm_db_end(rows);
    return err == MM_OK && !room ? MM_RESOURCE_EXHAUSTED : err;
}

static enum mm_err load_parts(struct mm_db_conn *conn, const char *session,
                              struct vision_stored *out)
{
    struct mm_db_rows *rows;
    enum mm_err err =
        mm_db_query(conn, "SELECT data FROM checkpoint_parts WHERE session = ? ORDER BY part",
                    MM_DB_ARGS(mm_db_str(session)), &rows);
    if (err != MM_OK)
        return err;
    size_t at = 0;
    while (mm_db_next(rows)) {
        struct mm_db_bytes part = mm_db_get_bytes(rows, 0);
        if (part.size > out->checkpoint_bytes - at)
            break;
        memcpy(out->checkpoint + at, part.data, part.size);
        at += part.size;
    }
    err = mm_db_end(rows);
    return err == MM_OK && at != out->checkpoint_bytes ? MM_DATA_LOSS : err;
}

// A checkpoint that cannot be read is none: it only saves work and the last moments.
static enum mm_err load_checkpoint(struct mm_db_conn *conn, const char *session,
                                   struct vision_stored *out)
{
    struct mm_db_rows *rows;
    enum mm_err err = mm_db_query_one(
        conn, "SELECT epoch, seq, bytes, checksum FROM checkpoints WHERE session = ?",
        MM_DB_ARGS(mm_db_str(session)), &rows);
    if (err == MM_NOT_FOUND)
        return MM_OK;
    if (err != MM_OK)
        return err;
    out->position.epoch = mm_db_get_u64(rows, 0);
    out->position.seq = mm_db_get_u64(rows, 1);
    uint64_t bytes = mm_db_get_u64(rows, 2);
    uint64_t checksum = mm_db_get_u64(rows, 3);
    err = mm_db_end(rows);
    if (err != MM_OK)
        return err;
    out->checkpoint_bytes = bytes <= VISION_CHECKPOINT_BYTES_MAX ? (size_t)bytes : 0;
    out->checkpoint = out->checkpoint_bytes ? mm_malloc(out->checkpoint_bytes) : NULL;
    if (!out->checkpoint)
        return MM_OK;
    err = load_parts(conn, session, out);
    if (err == MM_OK && mm_hash64(out->checkpoint, out->checkpoint_bytes, 0) != checksum)
        err = MM_DATA_LOSS;
    if (err == MM_OK)
        err = vision_checkpoint_unfold(&out->checkpoint, &out->checkpoint_bytes);
    if (err == MM_DATA_LOSS) {
        mm_free(out->checkpoint);
        out->checkpoint = NULL;
        return MM_OK;
    }
    return err;
}

enum mm_err vision_sql_load(struct mm_db_conn *conn, const char *session, struct vision_stored *out)
{
    enum mm_err err = load_session(conn, session, out);
    if (err != MM_OK || out->chunk_radius == 0)
        return err;
    err = load_explored(conn, session, out);
    if (err == MM_OK)
        err = load_memories(conn, session, out);
    if (err == MM_OK)
        err = load_shares(conn, session, out);
    if (err == MM_OK)
        err = vision_sql_load_alliances(conn, session, out);
    if (err == MM_OK)
        err = load_checkpoint(conn, session, out);
    return err;
}

// --- writing ---------------------------------------------------------------------------------

static enum mm_err write_forgotten(struct mm_db_conn *conn, const struct vision_sql_write *write)
{
    const struct vision_save *save = write->save;
    enum mm_err err = MM_OK;
    for (size_t i = 0; err == MM_OK && i < save->forgotten_count; i++)
        err = mm_db_exec(conn,
                         "DELETE FROM remembered WHERE session = ? AND empire = ? AND entity = ?",
                         MM_DB_ARGS(mm_db_str(write->session), mm_db_u64(save->forgotten[i].empire),
                                    mm_db_u64(save->forgotten[i].id)),
                         NULL);
    return err;
}

static enum mm_err write_memories(struct mm_db_conn *conn, const struct vision_sql_write *write,
                                  const struct vision_memory *rows, size_t count)
{
    enum { COLUMNS = 11 };
    struct mm_db_arg *args = mm_calloc(count * COLUMNS, sizeof *args);
    if (!args)
        return MM_RESOURCE_EXHAUSTED;
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        const struct vision_memory *row = &rows[i];
        if (row->type >= write->type_count)
            continue;
        struct mm_db_arg values[COLUMNS] = {
            mm_db_str(write->session),  mm_db_u64(row->empire),
            mm_db_u64(row->id),         mm_db_str(write->type_names[row->type]),
            mm_db_u64(row->owner),      mm_db_i64(row->at.q),
            mm_db_i64(row->at.r),       mm_db_i64(row->health),
            mm_db_u64(row->first_seen), mm_db_u64(row->last_seen),
            mm_db_u64(row->expires_at),
        };
        memcpy(args + n++ * COLUMNS, values, sizeof values);
    }
    enum mm_err err = n == 0 ? MM_OK
                             : mm_db_insert_rows(conn,
                                                 "REPLACE INTO remembered (session, empire, "
                                                 "entity, type, owner, q, r, health, first_seen, "
                                                 "last_seen, expires_at)",
                                                 NULL, COLUMNS, args, n);
    mm_free(args);
    return err;
}

static enum mm_err write_explored(struct mm_db_conn *conn, const struct vision_sql_write *write)
{
    enum { COLUMNS = 7 };
    const struct vision_save *save = write->save;
    size_t bits = hex_disc_count((int32_t)write->chunk_radius);
    size_t bytes = (bits + 7) / 8, words = MM_BITSET_WORDS(bits);
    struct mm_db_arg *args = mm_calloc(save->explored_count * COLUMNS, sizeof *args);
    uint8_t *cells = mm_calloc(save->explored_count, bytes);
    enum mm_err err = args && cells ? MM_OK : MM_RESOURCE_EXHAUSTED;
    for (size_t i = 0; err == MM_OK && i < save->explored_count; i++) {
        const struct vision_explored *row = &save->explored[i];
        uint8_t *packed = cells + i * bytes;
        for (size_t k = 0; k < bytes && k / 8 < words; k++)
            packed[k] = (uint8_t)(row->cells[k / 8] >> (8 * (k % 8)));
        struct mm_db_arg values[COLUMNS] = {
            mm_db_str(write->session), mm_db_u64(row->empire),     mm_db_i64(row->chunk.a),
            mm_db_i64(row->chunk.b),   mm_db_u64(row->first_seen), mm_db_u64(row->last_seen),
            mm_db_blob(packed, bytes),
        };
        memcpy(args + i * COLUMNS, values, sizeof values);
    }
    if (err == MM_OK)
        err = mm_db_insert_rows(conn,
                                "REPLACE INTO explored (session, empire, chunk_a, chunk_b, "
                                "first_seen, last_seen, cells)",
                                NULL, COLUMNS, args, save->explored_count);
    mm_free(args);
    mm_free(cells);
    return err;
}

enum mm_err vision_sql_write(struct mm_db_conn *conn, const struct vision_sql_write *write)
{
    enum mm_err err =
        mm_db_exec(conn,
                   "INSERT INTO sessions (session, chunk_radius, saved_tick, saved_all) "
                   "VALUES (?, ?, ?, ?) ON DUPLICATE KEY UPDATE "
                   "saved_tick = VALUES(saved_tick), saved_all = VALUES(saved_all)",
                   MM_DB_ARGS(mm_db_str(write->session), mm_db_u64(write->chunk_radius),
                              mm_db_u64(write->tick), mm_db_u64(1)),
                   NULL);
    if (err == MM_OK)
        err = write_forgotten(conn, write);
    const struct vision_save *save = write->save;
    for (size_t at = 0; err == MM_OK && at < save->memory_count; at += VISION_SAVE_ROWS_MAX) {
        size_t left = save->memory_count - at;
        err = write_memories(conn, write, save->memories + at,
                             left < VISION_SAVE_ROWS_MAX ? left : VISION_SAVE_ROWS_MAX);
    }
    if (err == MM_OK && write->save->explored_count > 0)
        err = write_explored(conn, write);
    return err;
}

enum mm_err vision_sql_checkpoint(struct mm_db_conn *conn,
                                  const struct vision_sql_checkpoint *checkpoint)
{
    const char *session = checkpoint->session;
    enum mm_err err = mm_db_exec(
        conn, "DELETE FROM sharing WHERE session = ? AND until_tick <> 0 AND until_tick <= ?",
        MM_DB_ARGS(mm_db_str(session), mm_db_u64(checkpoint->tick)), NULL);
    if (err == MM_OK)
        err = vision_sql_prune_alliances(conn, session, checkpoint->tick);
    if (err == MM_OK)
        err = mm_db_exec(conn, "DELETE FROM checkpoint_parts WHERE session = ?",
                         MM_DB_ARGS(mm_db_str(session)), NULL);
    uint64_t part = 0;
    for (size_t at = 0; err == MM_OK && at < checkpoint->size; part++) {
        size_t size = checkpoint->size - at;
        if (size > VISION_CHECKPOINT_PART_BYTES)
            size = VISION_CHECKPOINT_PART_BYTES;
        err =
            mm_db_exec(conn, "INSERT INTO checkpoint_parts (session, part, data) VALUES (?, ?, ?)",
                       MM_DB_ARGS(mm_db_str(session), mm_db_u64(part),
                                  mm_db_blob(checkpoint->bytes + at, size)),
                       NULL);
        at += size;
    }
    if (err != MM_OK)
        return err;
    return mm_db_exec(conn,
                      "REPLACE INTO checkpoints (session, epoch, seq, tick, bytes, checksum) "
                      "VALUES (?, ?, ?, ?, ?, ?)",
                      MM_DB_ARGS(mm_db_str(session), mm_db_u64(checkpoint->position.epoch),
                                 mm_db_u64(checkpoint->position.seq), mm_db_u64(checkpoint->tick),
                                 mm_db_u64(checkpoint->size),
                                 mm_db_u64(mm_hash64(checkpoint->bytes, checkpoint->size, 0))),
                      NULL);
}

enum mm_err vision_sql_share(struct mm_db_conn *conn, const char *session, uint32_t from,
                             uint32_t to, uint64_t tick, bool begin)
{
    struct mm_db_result result;
    if (!begin)
        return mm_db_exec(
            conn,
            "UPDATE sharing SET until_tick = ? WHERE session = ? AND "
            "from_empire = ? AND to_empire = ? ORDER BY since_tick DESC LIMIT 1",
            MM_DB_ARGS(mm_db_u64(tick), mm_db_str(session), mm_db_u64(from), mm_db_u64(to)), NULL);
    enum mm_err err = mm_db_exec(
        conn,
        "UPDATE sharing SET since_tick = ? WHERE session = ? AND "
        "from_empire = ? AND to_empire = ? AND until_tick = 0",
        MM_DB_ARGS(mm_db_u64(tick), mm_db_str(session), mm_db_u64(from), mm_db_u64(to)), &result);
    if (err != MM_OK || result.affected_rows > 0)
        return err;
    return mm_db_exec(
        conn,
        "REPLACE INTO sharing (session, from_empire, to_empire, since_tick) "
        "VALUES (?, ?, ?, ?)",
        MM_DB_ARGS(mm_db_str(session), mm_db_u64(from), mm_db_u64(to), mm_db_u64(tick)), NULL);
}
