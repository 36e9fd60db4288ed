#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/clock.h"
#include "libcommon/base/log.h"
#include "libcommon/io/db_conn.h"
#include "libcommon/io/pb.h"
#include "services/vision/app.h"

#include <inttypes.h>

// What must outlive the process: exploration, memories, sharing. Written behind: every
// save_interval what changed since, a batch a transaction, one at a time. Between two saves a kill
// loses nothing either, as long as world lives: every checkpoint_interval the mirror of world is
// saved with its place in the tick stream, and a restart replays from there.

enum {
    STORE_LANE = 1,
    STORE_DEADLINE_MS = 30000,
    STORE_ROWS_MS_MAX = 600000, // added to it: a millisecond for each row
    STORE_LOAD_DEADLINE_MS = 300000,
};

// One transaction on its way.
struct vision_write {
    struct vision_app *app;
    struct vision_save save;
    uint32_t chunk_radius;
    uint64_t started_ns;
    struct mm_stream_position position;
    uint64_t tick;                             // that the rows, and the checkpoint, are of
    bool all;                                  // no row was left
    const Mmorts__Frame__Catalogue *catalogue; // stays until this is done
    bool checkpoint_tried;
    Mmorts__Frame__TickFrame *checkpoint; // NULL: none in this write
};

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
    mm_free(stored);
}

// --- writing ---------------------------------------------------------------------------------

static void free_retired(struct vision_app *app)
{
    while (app->retired.count > 0)
        mmorts__frame__catalogue__free_unpacked(mm_vec_pop(&app->retired), NULL);
}

void vision_store_set_catalogue(struct vision_app *app, Mmorts__Frame__Catalogue *catalogue)
{
    if (app->catalogue && !(app->write && mm_vec_push(&app->retired, app->catalogue))) {
        // Nobody else has it; or (out of memory) it is better lost than pulled away.
        if (!app->write)
            mmorts__frame__catalogue__free_unpacked(app->catalogue, NULL);
    }
    app->catalogue = catalogue;
}

// The catalogue in the checkpoint is borrowed and not freed with it.
static void free_write(struct vision_write *write)
{
    vision_checkpoint_free(write->checkpoint);
    mm_free(write);
}

// Packing takes a while in a large world, so it is done here, on the worker.
static enum mm_err write_checkpoint(struct mm_db_conn *conn, const struct vision_write *write)
{
    uint8_t *bytes;
    size_t size;
    enum mm_err err =
        mm_pb_pack(&write->checkpoint->base, VISION_CHECKPOINT_BYTES_MAX, &bytes, &size);
    if (err != MM_OK) {
        MM_LOG_WARN("the checkpoint is too large; none is written", "error=%s", mm_err_name(err));
        return MM_OK;
    }
    struct vision_sql_checkpoint checkpoint = {
        .session = write->app->session,
        .position = write->position,
        .tick = write->tick,
        .bytes = bytes,
        .size = size,
    };
    err = vision_sql_checkpoint(conn, &checkpoint);
    mm_free(bytes);
    return err;
}

static enum mm_err write_rows(struct mm_db_conn *conn, void *arg)
{
    const struct vision_write *write = arg;
    struct vision_sql_write rows = {
        .session = write->app->session,
        .chunk_radius = write->chunk_radius,
        .save = &write->save,
        .tick = write->tick,
        .type_names = write->catalogue->types->name,
        .type_count = write->catalogue->types->n_name,
    };
    enum mm_err err = vision_fence_hold(conn, &write->app->fence);
    if (err == MM_OK)
        err = vision_sql_write(conn, &rows);
    return err == MM_OK && write->checkpoint ? write_checkpoint(conn, write) : err;
}

static enum mm_err write_work(struct mm_db_conn *conn, void *arg)
{
    return mm_db_transaction(conn, write_rows, arg);
}

static size_t rows_of(const struct vision_write *write)
{
    return write->save.explored_count + write->save.memory_count + write->save.forgotten_count;
}

// What is remembered is written in one go, so after a long time without the database this may be
// many rows.
static uint32_t deadline_of(const struct vision_write *write)
{
    size_t rows = rows_of(write);
    return STORE_DEADLINE_MS + (rows < STORE_ROWS_MS_MAX ? (uint32_t)rows : STORE_ROWS_MS_MAX);
}

size_t vision_store_unsaved(const struct vision_app *app)
{
    size_t pending = app->core ? vision_save_pending(app->core) : 0;
    return pending + (app->write ? rows_of(app->write) : 0);
}

static void start_write(struct vision_app *app);

static void write_done(enum mm_err err, void *arg)
{
    struct vision_write *write = arg;
    struct vision_app *app = write->app;
    app->write = NULL;
    mm_metrics_observe(app->save_seconds, (mm_clock_ns() - write->started_ns) / 1000);
    size_t rows = rows_of(write);
    if (err == MM_OK) {
        mm_counter_add(app->saves, 1);
        mm_counter_add(app->rows_saved, rows);
        app->session_saved = true;
        if (write->checkpoint_tried) {
            app->final_checkpoint = false;
            app->checkpoint_at_ns =
                mm_clock_ns() + MM_LOOP_MS((uint64_t)app->settings.checkpoint_interval_ms);
        }
        vision_save_free(&write->save);
    } else if (err == MM_FAILED_PRECONDITION) {
        vision_save_free(&write->save);
    } else {
        mm_counter_add(app->saves_failed, 1);
        MM_LOG_ERROR("what was explored and remembered could not be written; it will be again",
                     "error=%s rows=%zu", mm_err_name(err), rows);
        vision_save_return(app->core, &write->save);
    }
    free_write(write);
    free_retired(app);
    if (vision_fence_lost(app, err)) {
        mm_service_drained(app->service);
        return;
    }
    bool finished = app->is_draining && !app->final_checkpoint;
    bool more = vision_save_pending(app->core) > 0 || app->final_checkpoint ||
                mm_clock_ns() >= app->checkpoint_at_ns;
    if (err == MM_OK && !finished && more)
        start_write(app);
    if (app->is_draining && !app->write) {
        if (!finished && err != MM_CANCELLED)
            mm_loop_timer_start(app->loop, &app->save_timer,
                                MM_LOOP_MS((uint64_t)app->settings.retry_ms), 0);
        else
            mm_service_drained(app->service);
    }
}

// The mirror of world at this moment; leaves it out if that fails.
static void add_checkpoint(struct vision_app *app, struct vision_write *write)
{
    if (!app->reader || vision_checkpoint(app->core, &write->checkpoint) != MM_OK) {
        write->checkpoint = NULL;
        return;
    }
    write->checkpoint->catalogue = app->catalogue;
    write->position = app->applied;
    app->replay_ns = 0;
}

static void start_write(struct vision_app *app)
{
    if (app->write || app->is_fenced || !app->core || !app->catalogue ||
        !vision_is_live(app->core) || vision_is_replaying(app->core))
        return;
    bool checkpoint = app->final_checkpoint || mm_clock_ns() >= app->checkpoint_at_ns;
    if (vision_save_pending(app->core) == 0 && !checkpoint)
        return;
    uint64_t started_ns = mm_clock_ns();
    struct vision_write *write = mm_calloc(1, sizeof *write);
    if (!write || vision_save_take(app->core, VISION_SAVE_ROWS_MAX, &write->save) != MM_OK) {
        MM_LOG_ERROR("no memory for saving; it will be tried again");
        mm_free(write);
        return;
    }
    write->app = app;
    write->catalogue = app->catalogue;
    write->chunk_radius = app->catalogue->chunk_radius;
    write->started_ns = started_ns;
    write->tick = vision_tick(app->core);
    write->all = vision_save_pending(app->core) == 0;
    // Only with the last batch: a checkpoint must not be ahead of the rows.
    write->checkpoint_tried = checkpoint && write->all;
    if (write->checkpoint_tried)
        add_checkpoint(app, write);
    struct mm_db_job job = {.work = write_work,
                            .done = write_done,
                            .arg = write,
                            .lane = STORE_LANE,
                            .deadline_ms = deadline_of(write)};
    app->write = write;
    mm_metrics_observe(app->save_loop_seconds, (mm_clock_ns() - write->started_ns) / 1000);
    if (mm_db_submit(mm_service_db(app->service), &job) != MM_OK) {
        app->write = NULL;
        vision_save_return(app->core, &write->save);
        free_write(write);
    }
}

void vision_store_note_applied(struct vision_app *app, uint64_t took_ns)
{
    uint64_t max_ns = MM_LOOP_MS((uint64_t)app->settings.replay_max_ms);
    bool was_due = app->replay_ns >= max_ns;
    app->replay_ns += took_ns;
    if (!was_due && app->replay_ns >= max_ns)
        vision_store_save(app, true);
}

void vision_store_save(struct vision_app *app, bool checkpoint)
{
    if (checkpoint)
        app->checkpoint_at_ns = 0;
    start_write(app); // if a write is under way, it goes on with this when it is done
}

static void on_save_timer(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop, (void)timer;
    start_write(arg);
}

// --- loading ---------------------------------------------------------------------------------

struct load {
    struct vision_app *app;
    struct vision_fence fence;
    struct vision_stored *stored;
};

static enum mm_err load_work(struct mm_db_conn *conn, void *arg)
{
    struct load *load = arg;
    // Taken first: what is read then is the last that the process before has written.
    enum mm_err err = load->fence.epoch ? MM_OK : vision_fence_take(conn, &load->fence);
    return err == MM_OK ? vision_sql_load(conn, load->app->session, load->stored) : err;
}

static void load_done(enum mm_err err, void *arg)
{
    struct load *load = arg;
    struct vision_app *app = load->app;
    app->fence = load->fence;
    if (err == MM_OK && !app->is_draining) {
        app->session_saved = load->stored->chunk_radius != 0;
        mm_service_condition_set(app->service, app->loaded_condition, true);
        vision_feed_begin(app, load->stored);
        uint64_t interval = MM_LOOP_MS((uint64_t)app->settings.save_interval_ms);
        mm_loop_timer_start(app->loop, &app->save_timer, interval, interval);
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

static void on_load_timer(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop, (void)timer;
    struct vision_app *app = arg;
    struct load *load = mm_calloc(1, sizeof *load);
    struct vision_stored *stored = mm_calloc(1, sizeof *stored);
    MM_CHECK(load && stored);
    mm_vec_init(&stored->explored, VISION_LOAD_ROWS_MAX);
    mm_vec_init(&stored->bits, (size_t)VISION_LOAD_ROWS_MAX * 50);
    mm_vec_init(&stored->memories, VISION_LOAD_ROWS_MAX);
    mm_vec_init(&stored->shares, VISION_LOAD_ROWS_MAX);
    mm_vec_init(&stored->allies, VISION_LOAD_ROWS_MAX);
    *load = (struct load){.app = app, .fence = app->fence, .stored = stored};
    struct mm_db_job job = {.work = load_work,
                            .done = load_done,
                            .arg = load,
                            .lane = STORE_LANE,
                            .deadline_ms = STORE_LOAD_DEADLINE_MS};
    enum mm_err err = mm_db_submit(mm_service_db(app->service), &job);
    if (err != MM_OK)
        load_done(err, load);
}

// --- life ------------------------------------------------------------------------------------

void vision_store_open(struct vision_app *app)
{
    mm_vec_init(&app->retired, VISION_RETIRED_MAX);
    app->fence.session = app->session;
    mm_loop_timer_init(&app->save_timer, on_save_timer, app);
    mm_loop_timer_init(&app->load_timer, on_load_timer, app);
    mm_loop_timer_start(app->loop, &app->load_timer, 0, 0);
}

void vision_store_finish(struct vision_app *app)
{
    mm_loop_timer_stop(app->loop, &app->load_timer);
    mm_loop_timer_stop(app->loop, &app->save_timer);
    app->final_checkpoint = true;
    start_write(app);
    if (!app->write)
        mm_service_drained(app->service);
}

void vision_store_stop(struct vision_app *app)
{
    if (app->load_timer.active)
        mm_loop_timer_stop(app->loop, &app->load_timer);
    if (app->save_timer.active)
        mm_loop_timer_stop(app->loop, &app->save_timer);
    vision_stored_free(app->stored);
    app->stored = NULL;
    free_retired(app);
    mm_vec_free(&app->retired);
}
