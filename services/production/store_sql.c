#include "services/production/store_sql.h"

#include <inttypes.h>
#include <string.h>

#include "libcommon/base/alloc.h"
#include "libcommon/base/log.h"
#include "libcommon/base/seq.h"
#include "libcommon/base/str.h"

// --- writing -----------------------------------------------------------------------------------

static enum mm_err check_owner(struct mm_db_conn *conn, const char *session, uint64_t epoch)
{
    struct mm_db_rows *rows;
    enum mm_err err = mm_db_query_one(conn, "SELECT epoch FROM owners WHERE session = ? FOR UPDATE",
                                      MM_DB_ARGS(mm_db_str(session)), &rows);
    if (err != MM_OK)
        return err == MM_NOT_FOUND ? MM_FAILED_PRECONDITION : err;
    uint64_t stored = mm_db_get_u64(rows, 0);
    err = mm_db_end(rows);
    if (err != MM_OK)
        return err;
    return stored == epoch ? MM_OK : MM_FAILED_PRECONDITION;
}

static enum mm_err write_stock(struct mm_db_conn *conn, const struct production_sql_batch *batch,
                               const struct production_change *change)
{
    const char *item = batch->book->items[change->item];
    enum mm_err err =
        mm_db_exec(conn,
                   "INSERT INTO inventories (session, empire, item, amount) VALUES (?, ?, ?, ?) "
                   "ON DUPLICATE KEY UPDATE amount = VALUES(amount)",
                   MM_DB_ARGS(mm_db_str(batch->session), mm_db_u64(change->empire), mm_db_str(item),
                              mm_db_i64(change->amount)),
                   NULL);
    if (err != MM_OK)
        return err;
    return mm_db_exec(conn,
                      "INSERT INTO ledger (session, empire, item, delta, cause, tick) "
                      "VALUES (?, ?, ?, ?, ?, ?)",
                      MM_DB_ARGS(mm_db_str(batch->session), mm_db_u64(change->empire),
                                 mm_db_str(item), mm_db_i64(change->delta),
                                 mm_db_str(change->cause), mm_db_u64(batch->tick)),
                      NULL);
}

static enum mm_err write_job(struct mm_db_conn *conn, const struct production_sql_batch *batch,
                             const struct production_job *job)
{
    return mm_db_exec(
        conn,
        "INSERT INTO jobs (session, job_id, empire, building, recipe, start_tick, end_tick, "
        "cycles_left, cycles_completed, accept_order) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
        "ON DUPLICATE KEY UPDATE start_tick = VALUES(start_tick), end_tick = VALUES(end_tick), "
        "cycles_left = VALUES(cycles_left), cycles_completed = VALUES(cycles_completed)",
        MM_DB_ARGS(mm_db_str(batch->session), mm_db_u64(job->id), mm_db_u64(job->empire),
                   mm_db_u64(job->building), mm_db_str(batch->book->recipes[job->recipe].name),
                   mm_db_u64(job->start_tick), mm_db_u64(job->end_tick),
                   mm_db_u64(job->cycles_left), mm_db_u64(job->cycles_completed),
                   mm_db_u64(job->order)),
        NULL);
}

static enum mm_err write_spawn(struct mm_db_conn *conn, const char *session,
                               const struct production_spawn *spawn)
{
    return mm_db_exec(conn,
                      "INSERT INTO outbox (session, spawn_key, unit, recipe, amount, building, "
                      "empire) VALUES (?, ?, ?, ?, ?, ?, ?)",
                      MM_DB_ARGS(mm_db_str(session), mm_db_str(spawn->key), mm_db_str(spawn->unit),
                                 mm_db_str(spawn->recipe), mm_db_u64(spawn->count),
                                 mm_db_u64(spawn->building), mm_db_u64(spawn->empire)),
                      NULL);
}

static enum mm_err forget_answers(struct mm_db_conn *conn, const char *session, uint64_t player_id,
                                  uint64_t from_seq, uint64_t to_seq)
{
    return mm_db_exec(
        conn,
        "DELETE FROM answered WHERE session = ? AND player_id = ? AND client_seq BETWEEN ? AND ?",
        MM_DB_ARGS(mm_db_str(session), mm_db_u64(player_id), mm_db_u64(from_seq),
                   mm_db_u64(to_seq)),
        NULL);
}

static enum mm_err write_answered(struct mm_db_conn *conn, const char *session,
                                  const struct production_change *change)
{
    enum mm_err err = mm_db_exec(
        conn, "INSERT INTO answered (session, player_id, client_seq, job_id) VALUES (?, ?, ?, ?)",
        MM_DB_ARGS(mm_db_str(session), mm_db_u64(change->player_id), mm_db_u64(change->client_seq),
                   mm_db_u64(change->answer_job)),
        NULL);
    // Of its own range what lies too far back, of one that gave way everything.
    if (err == MM_OK && change->client_seq > PRODUCTION_SEQ_WINDOW)
        err = forget_answers(conn, session, change->player_id,
                             mm_seq_range_begin(mm_seq_range(change->client_seq)),
                             change->client_seq - PRODUCTION_SEQ_WINDOW);
    if (err == MM_OK && change->forgets)
        err = forget_answers(conn, session, change->player_id,
                             mm_seq_range_begin(change->forgotten_range),
                             mm_seq_range_begin(change->forgotten_range + 1) - 1);
    return err;
}

static enum mm_err write_bill_floor(struct mm_db_conn *conn, const char *session, uint64_t floor)
{
    enum mm_err err = mm_db_exec(conn,
                                 "INSERT INTO bill_floors (session, floor) VALUES (?, ?) "
                                 "ON DUPLICATE KEY UPDATE floor = VALUES(floor)",
                                 MM_DB_ARGS(mm_db_str(session), mm_db_u64(floor)), NULL);
    if (err != MM_OK)
        return err;
    return mm_db_exec(conn, "DELETE FROM bills WHERE session = ? AND bill < ?",
                      MM_DB_ARGS(mm_db_str(session), mm_db_u64(floor)), NULL);
}

static enum mm_err write_change(struct mm_db_conn *conn, const struct production_sql_batch *batch,
                                const struct production_change *change)
{
    switch (change->kind) {
    case PRODUCTION_CHANGE_EMPIRE:
        return mm_db_exec(conn, "INSERT INTO empires (session, empire) VALUES (?, ?)",
                          MM_DB_ARGS(mm_db_str(batch->session), mm_db_u64(change->empire)), NULL);
    case PRODUCTION_CHANGE_STOCK:
        return write_stock(conn, batch, change);
    case PRODUCTION_CHANGE_JOB:
        return write_job(conn, batch, &change->job);
    case PRODUCTION_CHANGE_NO_JOB:
        return mm_db_exec(conn, "DELETE FROM jobs WHERE session = ? AND job_id = ?",
                          MM_DB_ARGS(mm_db_str(batch->session), mm_db_u64(change->job.id)), NULL);
    case PRODUCTION_CHANGE_SPAWN:
        return write_spawn(conn, batch->session, &change->spawn);
    case PRODUCTION_CHANGE_SPAWNED:
        return mm_db_exec(conn, "DELETE FROM outbox WHERE session = ? AND spawn_key = ?",
                          MM_DB_ARGS(mm_db_str(batch->session), mm_db_str(change->spawn.key)),
                          NULL);
    case PRODUCTION_CHANGE_DEPOSIT:
        return mm_db_exec(conn,
                          "INSERT INTO deposits (session, empire, resource, total) "
                          "VALUES (?, ?, ?, ?) ON DUPLICATE KEY UPDATE total = VALUES(total)",
                          MM_DB_ARGS(mm_db_str(batch->session), mm_db_u64(change->empire),
                                     mm_db_str(change->resource), mm_db_i64(change->amount)),
                          NULL);
    case PRODUCTION_CHANGE_ANSWERED:
        return write_answered(conn, batch->session, change);
    case PRODUCTION_CHANGE_BILL:
        return mm_db_exec(conn, "INSERT INTO bills (session, bill, paid) VALUES (?, ?, ?)",
                          MM_DB_ARGS(mm_db_str(batch->session), mm_db_u64(change->bill),
                                     mm_db_i64(change->amount)),
                          NULL);
    case PRODUCTION_CHANGE_BILL_FLOOR:
        return write_bill_floor(conn, batch->session, change->bill);
    case PRODUCTION_CHANGE_EVENT:
        return MM_OK;
    }
    return MM_INTERNAL;
}

static enum mm_err write_transaction(struct mm_db_conn *conn, void *arg)
{
    const struct production_sql_batch *batch = arg;
    enum mm_err err = check_owner(conn, batch->session, batch->owner_epoch);
    for (size_t i = 0; err == MM_OK && i < batch->change_count; i++)
        err = write_change(conn, batch, &batch->changes[i]);
    for (size_t i = 0; err == MM_OK && i < batch->grant_count; i++)
        err = mm_db_exec(conn, "INSERT INTO granted (session, grant_key) VALUES (?, ?)",
                         MM_DB_ARGS(mm_db_str(batch->session),
                                    mm_db_blob(batch->grants[i].bytes, batch->grants[i].len)),
                         NULL);
    return err;
}

enum mm_err production_sql_write(struct mm_db_conn *conn, const struct production_sql_batch *batch)
{
    return mm_db_transaction(conn, write_transaction, (void *)(uintptr_t)batch);
}

// --- loading -----------------------------------------------------------------------------------

static enum mm_err take_over(struct mm_db_conn *conn, const char *session, uint64_t *epoch_out)
{
    enum mm_err err = mm_db_exec(conn,
                                 "INSERT INTO owners (session, epoch) VALUES (?, 1) "
                                 "ON DUPLICATE KEY UPDATE epoch = epoch + 1",
                                 MM_DB_ARGS(mm_db_str(session)), NULL);
    struct mm_db_rows *rows;
    if (err == MM_OK)
        err = mm_db_query_one(conn, "SELECT epoch FROM owners WHERE session = ?",
                              MM_DB_ARGS(mm_db_str(session)), &rows);
    if (err != MM_OK)
        return err;
    *epoch_out = mm_db_get_u64(rows, 0);
    return mm_db_end(rows);
}

struct load_context {
    struct mm_db_conn *conn;
    const char *session;
    const struct production_book *book;
    struct production_sql_loaded *out;
};

// Runs a query of the session and hands each row to `take`; its first error ends the reading.
static enum mm_err each_row(const struct load_context *load, const char *sql,
                            enum mm_err (*take)(const struct load_context *, struct mm_db_rows *))
{
    struct mm_db_rows *rows;
    enum mm_err err = mm_db_query(load->conn, sql, MM_DB_ARGS(mm_db_str(load->session)), &rows);
    if (err != MM_OK)
        return err;
    while (err == MM_OK && mm_db_next(rows))
        err = take(load, rows);
    enum mm_err end = mm_db_end(rows);
    return err != MM_OK ? err : end;
}

static enum mm_err take_empire(const struct load_context *load, struct mm_db_rows *rows)
{
    return production_restore_empire(load->out->core, mm_db_get_u32(rows, 0));
}

static enum mm_err take_stock(const struct load_context *load, struct mm_db_rows *rows)
{
    const char *name = mm_db_get_bytes(rows, 1).data;
    int item = production_book_item(load->book, name);
    if (item < 0) {
        MM_LOG_WARN("stock of an item that is no longer in the book is kept aside", "item=%s",
                    name);
        return MM_OK;
    }
    return production_restore_stock(load->out->core, mm_db_get_u32(rows, 0), (uint16_t)item,
                                    mm_db_get_i64(rows, 2));
}

static enum mm_err take_deposit(const struct load_context *load, struct mm_db_rows *rows)
{
    return production_restore_deposit(load->out->core, mm_db_get_u32(rows, 0),
                                      mm_db_get_bytes(rows, 1).data, mm_db_get_u64(rows, 2));
}

static enum mm_err take_job(const struct load_context *load, struct mm_db_rows *rows)
{
    const char *name = mm_db_get_bytes(rows, 3).data;
    int recipe = production_book_recipe(load->book, name);
    struct production_job job = {
        .id = mm_db_get_u64(rows, 0),
        .empire = mm_db_get_u32(rows, 1),
        .building = mm_db_get_u64(rows, 2),
        .recipe = (uint32_t)recipe,
        .start_tick = mm_db_get_u64(rows, 4),
        .end_tick = mm_db_get_u64(rows, 5),
        .cycles_left = mm_db_get_u32(rows, 6),
        .cycles_completed = mm_db_get_u32(rows, 7),
        .order = mm_db_get_u64(rows, 8),
    };
    if (recipe < 0) {
        MM_LOG_WARN("job of a recipe that is no longer in the book is kept aside",
                    "job=%016" PRIx64 " recipe=%s", job.id, name);
        return MM_OK;
    }
    return production_restore_job(load->out->core, &job);
}

static enum mm_err take_spawn(const struct load_context *load, struct mm_db_rows *rows)
{
    struct production_spawn spawn = {
        .count = mm_db_get_u32(rows, 3),
        .building = mm_db_get_u64(rows, 4),
        .empire = mm_db_get_u32(rows, 5),
    };
    bool fits = mm_str_copy(spawn.key, sizeof spawn.key, mm_db_get_bytes(rows, 0).data) &&
                mm_str_copy(spawn.unit, sizeof spawn.unit, mm_db_get_bytes(rows, 1).data) &&
                mm_str_copy(spawn.recipe, sizeof spawn.recipe, mm_db_get_bytes(rows, 2).data);
    if (!fits)
        return MM_DATA_LOSS;
    return mm_vec_push(&load->out->spawns, spawn) ? MM_OK : MM_RESOURCE_EXHAUSTED;
}

static enum mm_err take_answer(const struct load_context *load, struct mm_db_rows *rows)
{
    return production_restore_answer(load->out->core, mm_db_get_u64(rows, 0),
                                     mm_db_get_u64(rows, 1), mm_db_get_u64(rows, 2));
}

static enum mm_err take_bill(const struct load_context *load, struct mm_db_rows *rows)
{
    return production_restore_bill(load->out->core, mm_db_get_u64(rows, 0),
                                   mm_db_get_u64(rows, 1) != 0);
}

static enum mm_err take_bill_floor(const struct load_context *load, struct mm_db_rows *rows)
{
    production_restore_bill_floor(load->out->core, mm_db_get_u64(rows, 0));
    return MM_OK;
}

static enum mm_err take_granted(const struct load_context *load, struct mm_db_rows *rows)
{
    struct mm_db_bytes key = mm_db_get_bytes(rows, 0);
    return mm_strmap_set_n(load->out->granted, key.data, key.size, 1);
}

static enum mm_err load_transaction(struct mm_db_conn *conn, void *arg)
{
    struct load_context *load = arg;
    load->conn = conn;
    struct production_sql_loaded *out = load->out;
    production_sql_loaded_free(out);
    mm_vec_init(&out->spawns, PRODUCTION_SPAWNS_MAX);
    out->core = production_new(load->book, out->seed);
    out->granted = mm_strmap_new(PRODUCTION_GRANTS_MAX);
    if (!out->core || !out->granted)
        return MM_RESOURCE_EXHAUSTED;

    enum mm_err err = take_over(conn, load->session, &out->owner_epoch);
    if (err == MM_OK)
        err = each_row(load, "SELECT empire FROM empires WHERE session = ? ORDER BY empire",
                       take_empire);
    if (err == MM_OK)
        err = each_row(load, "SELECT empire, item, amount FROM inventories WHERE session = ?",
                       take_stock);
    if (err == MM_OK)
        err = each_row(load, "SELECT empire, resource, total FROM deposits WHERE session = ?",
                       take_deposit);
    if (err == MM_OK)
        err = each_row(load, "SELECT bill, paid FROM bills WHERE session = ?", take_bill);
    if (err == MM_OK)
        err = each_row(load, "SELECT floor FROM bill_floors WHERE session = ?", take_bill_floor);
    if (err == MM_OK)
        err = each_row(load,
                       "SELECT job_id, empire, building, recipe, start_tick, end_tick, "
                       "cycles_left, cycles_completed, accept_order FROM jobs WHERE session = ? "
                       "ORDER BY accept_order",
                       take_job);
    if (err == MM_OK)
        err = each_row(load,
                       "SELECT spawn_key, unit, recipe, amount, building, empire FROM outbox "
                       "WHERE session = ? ORDER BY spawn_key",
                       take_spawn);
    if (err == MM_OK)
        err = each_row(load,
                       "SELECT player_id, client_seq, job_id FROM answered WHERE session = ? "
                       "ORDER BY player_id, client_seq",
                       take_answer);
    if (err == MM_OK)
        err = mm_db_exec(conn,
                         "DELETE FROM granted WHERE session = ? AND granted_at < "
                         "CURRENT_TIMESTAMP - INTERVAL 30 DAY",
                         MM_DB_ARGS(mm_db_str(load->session)), NULL);
    if (err == MM_OK)
        err = each_row(load, "SELECT grant_key FROM granted WHERE session = ?", take_granted);
    return err == MM_INVALID_ARGUMENT ? MM_DATA_LOSS : err;
}

enum mm_err production_sql_load(struct mm_db_conn *conn, const char *session,
                                const struct production_book *book,
                                struct production_sql_loaded *out)
{
    struct load_context load = {.session = session, .book = book, .out = out};
    return mm_db_transaction(conn, load_transaction, &load);
}

void production_sql_loaded_free(struct production_sql_loaded *loaded)
{
    production_free(loaded->core);
    mm_strmap_free(loaded->granted);
    mm_vec_free(&loaded->spawns);
    loaded->core = NULL;
    loaded->granted = NULL;
}
