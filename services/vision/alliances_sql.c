#include "libcommon/io/db_conn.h"
#include "services/vision/app.h"

// The statements about alliances; on a database worker's thread.

enum mm_err vision_sql_load_alliances(struct mm_db_conn *conn, const char *session,
                                      struct vision_stored *out)
{
    struct mm_db_rows *rows;
    enum mm_err err = mm_db_query(conn,
                                  "SELECT empire, alliance, since_tick, until_tick FROM alliances "
                                  "WHERE session = ? ORDER BY since_tick, until_tick = 0, empire",
                                  MM_DB_ARGS(mm_db_str(session)), &rows);
    if (err != MM_OK)
        return err;
    bool room = true;
    while (room && mm_db_next(rows)) {
        struct vision_stored_ally ally = {mm_db_get_u32(rows, 0), mm_db_get_u64(rows, 1),
                                          mm_db_get_u64(rows, 2), mm_db_get_u64(rows, 3)};
        room = mm_vec_push(&out->allies, ally);
    }
    err = mm_db_end(rows);
    return err == MM_OK && !room ? MM_RESOURCE_EXHAUSTED : err;
}

enum mm_err vision_sql_ally(struct mm_db_conn *conn, const char *session,
                            const struct vision_ally_change *change, uint64_t tick)
{
    enum mm_err err = MM_OK;
    if (change->from != 0)
        err = mm_db_exec(conn,
                         "UPDATE alliances SET until_tick = ? WHERE session = ? AND empire = ? AND "
                         "alliance = ? ORDER BY since_tick DESC LIMIT 1",
                         MM_DB_ARGS(mm_db_u64(tick), mm_db_str(session), mm_db_u64(change->empire),
                                    mm_db_u64(change->from)),
                         NULL);
    if (err != MM_OK || change->to == 0)
        return err;
    struct mm_db_result result;
    err = mm_db_exec(conn,
                     "UPDATE alliances SET since_tick = ? WHERE session = ? AND empire = ? AND "
                     "alliance = ? AND until_tick = 0",
                     MM_DB_ARGS(mm_db_u64(tick), mm_db_str(session), mm_db_u64(change->empire),
                                mm_db_u64(change->to)),
                     &result);
    if (err != MM_OK || result.affected_rows > 0)
        return err;
    return mm_db_exec(conn,
                      "REPLACE INTO alliances (session, empire, alliance, since_tick) "
                      "VALUES (?, ?, ?, ?)",
                      MM_DB_ARGS(mm_db_str(session), mm_db_u64(change->empire),
                                 mm_db_u64(change->to), mm_db_u64(tick)),
                      NULL);
}

enum mm_err vision_sql_prune_alliances(struct mm_db_conn *conn, const char *session, uint64_t tick)
{
    return mm_db_exec(
        conn, "DELETE FROM alliances WHERE session = ? AND until_tick <> 0 AND until_tick <= ?",
        MM_DB_ARGS(mm_db_str(session), mm_db_u64(tick)), NULL);
}
