#include "libcommon/base/log.h"
#include "libcommon/io/db_conn.h"
#include "services/vision/app.h"

#include <inttypes.h>

// One process writes for a session. Each that starts takes the next epoch; all it writes then is in
// transactions that hold this epoch, so a former process can change nothing behind its back.

static enum mm_err take(struct mm_db_conn *conn, void *arg)
{
    struct vision_fence *fence = arg;
    struct mm_db_rows *rows;
    enum mm_err err = mm_db_exec(conn,
                                 "INSERT INTO writers (session, epoch) VALUES (?, 1) "
                                 "ON DUPLICATE KEY UPDATE epoch = epoch + 1",
                                 MM_DB_ARGS(mm_db_str(fence->session)), NULL);
    if (err == MM_OK)
        err = mm_db_query_one(conn, "SELECT epoch FROM writers WHERE session = ?",
                              MM_DB_ARGS(mm_db_str(fence->session)), &rows);
    if (err != MM_OK)
        return err;
    fence->epoch = mm_db_get_u64(rows, 0);
    return mm_db_end(rows);
}

enum mm_err vision_fence_take(struct mm_db_conn *conn, struct vision_fence *fence)
{
    enum mm_err err = mm_db_transaction(conn, take, fence);
    if (err != MM_OK)
        fence->epoch = 0;
    return err;
}

enum mm_err vision_fence_hold(struct mm_db_conn *conn, const struct vision_fence *fence)
{
    struct mm_db_rows *rows;
    enum mm_err err =
        mm_db_query_one(conn, "SELECT epoch FROM writers WHERE session = ? LOCK IN SHARE MODE",
                        MM_DB_ARGS(mm_db_str(fence->session)), &rows);
    if (err == MM_NOT_FOUND)
        return MM_FAILED_PRECONDITION;
    if (err != MM_OK)
        return err;
    uint64_t newest = mm_db_get_u64(rows, 0);
    err = mm_db_end(rows);
    if (err != MM_OK)
        return err;
    return newest == fence->epoch ? MM_OK : MM_FAILED_PRECONDITION;
}

bool vision_fence_lost(struct vision_app *app, enum mm_err err)
{
    if (err != MM_FAILED_PRECONDITION)
        return app->is_fenced;
    if (!app->is_fenced)
        MM_LOG_ERROR("another process has taken this session over; ending",
                     "session=%s epoch=%" PRIu64, app->session, app->fence.epoch);
    app->is_fenced = true;
    // What others would ask for whole views of is the other process's.
    if (app->publisher)
        mm_stream_publisher_close(app->publisher);
    app->publisher = NULL;
    vision_serve_end(app);
    mm_service_condition_set(app->service, app->feed_condition, false);
    mm_service_quit(app->service, VISION_EXIT_FENCED);
    return true;
}
