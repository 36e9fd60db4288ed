#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/log.h"
#include "services/vision/app.h"

// What a session left behind, read at the start.

enum { LOAD_DEADLINE_MS = 300000 };

void vision_stored_free(struct vision_stored *stored)
{
    if (!stored)
        return;
    mm_vec_free(&stored->explored);
    mm_vec_free(&stored->bits);
    mm_vec_free(&stored->memories);
    mm_vec_free(&stored->shares);
    mm_vec_free(&stored->allies);
    mm_free(stored->checkpoint);
    vision_free(stored->core);
    if (stored->catalogue)
        mmorts__frame__catalogue__free_unpacked(stored->catalogue, NULL);
    mm_free(stored);
}

struct load {
    struct vision_app *app;
    struct vision_fence fence;
    struct vision_stored *stored;
    bool is_unfit; // for world's chunks
};

static enum mm_err load_work(struct mm_db_conn *conn, void *arg)
{
    struct load *load = arg;
    // Taken first: what is read then is the last that the process before has written.
    enum mm_err err = load->fence.epoch ? MM_OK : vision_fence_take(conn, &load->fence);
    if (err == MM_OK)
        err = vision_sql_load(conn, load->app->session, load->stored);
    if (err != MM_OK)
        return err;
    struct vision_app *app = load->app;
    struct mm_watchdog *watchdog = mm_service_watch_begin(app->service, &app->loading);
    err = vision_begin_checkpoint(&app->settings, load->stored, &app->loading);
    mm_service_watch_end(watchdog);
    load->is_unfit = err == MM_FAILED_PRECONDITION;
    return err;
}

static void load_done(enum mm_err err, void *arg)
{
    struct load *load = arg;
    struct vision_app *app = load->app;
    app->fence = load->fence;
    if (err == MM_OK && !app->is_draining) {
        mm_service_condition_set(app->service, app->loaded_condition, true);
        vision_feed_begin(app, load->stored);
        vision_store_begin(app);
    } else if (load->is_unfit) {
        vision_stored_free(load->stored);
        mm_service_quit(app->service, 1);
    } else {
        if (err != MM_CANCELLED)
            MM_LOG_ERROR("what was saved cannot be loaded; trying again", "error=%s",
                         mm_err_name(err));
        vision_stored_free(load->stored);
        if (!app->is_draining)
            mm_loop_timer_start(app->loop, &app->load_timer,
                                MM_LOOP_MS((uint64_t)app->settings.retry_ms), 0);
    }
    mm_free(load);
}

void vision_load_start(struct vision_app *app)
{
    struct load *load = mm_calloc(1, sizeof *load);
    struct vision_stored *stored = mm_calloc(1, sizeof *stored);
    MM_CHECK(load && stored);
    mm_vec_init(&stored->explored, VISION_LOAD_ROWS_MAX);
    mm_vec_init(&stored->bits, (size_t)VISION_LOAD_ROWS_MAX * 50);
    mm_vec_init(&stored->memories, VISION_LOAD_ROWS_MAX);
    mm_vec_init(&stored->shares, VISION_LOAD_ROWS_MAX);
    mm_vec_init(&stored->allies, VISION_LOAD_ROWS_MAX);
    stored->progress = &app->loading;
    *load = (struct load){.app = app, .fence = app->fence, .stored = stored};
    struct mm_db_job job = {.work = load_work,
                            .done = load_done,
                            .arg = load,
                            .lane = VISION_STORE_LANE,
                            .deadline_ms = LOAD_DEADLINE_MS};
    enum mm_err err = mm_db_submit(mm_service_db(app->service), &job);
    if (err != MM_OK)
        load_done(err, load);
}
