#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/clock.h"
#include "libcommon/base/log.h"
#include "libcommon/io/db_conn.h"
#include "libcommon/io/pb.h"
#include "services/vision/app.h"

#include <inttypes.h>

// What must outlive the process: exploration, memories, sharing. Written behind, in rounds: what is
// unsaved at a round's start is written, oldest first and evenly, in its course (core/pace.h). So
// everything is durable after three rounds at most, which is save_interval: one may be cut short by
// another, once.
//
// Between two saves a kill loses nothing either, as long as world lives: every checkpoint_interval
// the mirror of world is taken at a round's start, with its place in the tick stream, and written
// with the last of the round's rows. A restart replays from there. For the checkpoint must not be
// ahead of the rows; that rows are ahead of it the core can do with.
//
// Transactions start behind a tick: then the loop has nothing to do until the next.

enum {
    STORE_DEADLINE_MS = 30000,
    STORE_ROWS_MS_MAX = 600000, // added to it: a millisecond for each row
    STORE_RETRY_MS = 2000,      // after a failure
    STORE_SLOW_MS = 250,
    ROUNDS = 3,        // in save_interval
    STEP_MS = 250,     // between transactions that nothing hurries
    STEPS_MIN = 4,     // in a round
    MEMORIES_FEW = 64, // they wait for explored rows, or the next round
    MEMORIES_WAIT_MS = 2000,
};

// One transaction on its way.
struct vision_write {
    struct vision_app *app;
    struct vision_save save;
    uint32_t chunk_radius;
    uint64_t started_ns;
    uint64_t tick;                             // that the rows are of
    bool hurry, all;                           // all: no row was left
    const Mmorts__Frame__Catalogue *catalogue; // stays until this is done
    bool last; // that a checkpoint was to go with; it is missing if it could not be taken
    struct vision_taken_checkpoint checkpoint;
};

// --- checkpoints -----------------------------------------------------------------------------

// What writes and checkpoints borrow is kept until there are none.
static void free_retired(struct vision_app *app)
{
    while (!app->write && !app->saving.checkpoint.frame && app->retired.count > 0)
        mmorts__frame__catalogue__free_unpacked(mm_vec_pop(&app->retired), NULL);
}

void vision_store_set_catalogue(struct vision_app *app, Mmorts__Frame__Catalogue *catalogue)
{
    bool in_use = app->write || app->saving.checkpoint.frame;
    if (app->catalogue && !(in_use && mm_vec_push(&app->retired, app->catalogue))) {
        // Nobody else has it; or (out of memory) it is better lost than pulled away.
        if (!in_use)
            mmorts__frame__catalogue__free_unpacked(app->catalogue, NULL);
    }
    app->catalogue = catalogue;
}

// The mirror of world at this moment; there is none if that fails.
static void take_checkpoint(struct vision_app *app)
{
    struct vision_taken_checkpoint *checkpoint = &app->saving.checkpoint;
    app->replay_ns = 0; // else it would be due again at once, and no round come to its end
    if (!app->reader || vision_checkpoint(app->core, &checkpoint->frame) != MM_OK) {
        checkpoint->frame = NULL;
        return;
    }
    checkpoint->frame->catalogue = app->catalogue;
    checkpoint->position = app->applied;
    checkpoint->tick = vision_tick(app->core);
}

// The catalogue in it is borrowed and not freed with it.
static void drop_checkpoint(struct vision_app *app)
{
    vision_checkpoint_free(app->saving.checkpoint.frame);
    app->saving.checkpoint = (struct vision_taken_checkpoint){0};
    free_retired(app);
}

static uint64_t round_ms(const struct vision_app *app)
{
    return (uint64_t)app->settings.save_interval_ms / ROUNDS;
}

static uint64_t step_ms(const struct vision_app *app)
{
    uint64_t step = round_ms(app) / STEPS_MIN;
    return step < STEP_MS ? step + 1 : STEP_MS;
}

static bool checkpoint_due(const struct vision_app *app, uint64_t now_ns)
{
    return app->final_checkpoint || now_ns >= app->checkpoint_at_ns;
}

// A restart would take it again to replay what came since: by the time that the checkpoint taken
// now is written it will be all of replay_max.
static uint64_t replay_part_ns(const struct vision_app *app)
{
    return MM_LOOP_MS((uint64_t)app->settings.replay_max_ms) / 3;
}

static bool replay_due(const struct vision_app *app)
{
    return !app->saving.checkpoint.frame && app->replay_ns >= 2 * replay_part_ns(app);
}

// --- writing ---------------------------------------------------------------------------------

// Packing takes a while in a large world, so it is done here, on the worker.
static enum mm_err write_checkpoint(struct mm_db_conn *conn, const struct vision_write *write)
{
    uint8_t *bytes;
    size_t size;
    enum mm_err err = vision_checkpoint_pack(write->checkpoint.frame, &bytes, &size);
    if (err != MM_OK) {
        MM_LOG_WARN("the checkpoint is too large; none is written", "error=%s", mm_err_name(err));
        return MM_OK;
    }
    struct vision_sql_checkpoint checkpoint = {
        .session = write->app->session,
        .position = write->checkpoint.position,
        .tick = write->checkpoint.tick,
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
    return err == MM_OK && write->checkpoint.frame ? write_checkpoint(conn, write) : err;
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

static void step(struct vision_app *app);

static void write_succeeded(struct vision_app *app, const struct vision_write *write)
{
    mm_counter_add(app->saves, 1);
    mm_counter_add(app->rows_saved, rows_of(write));
    if (write->last)
        app->final_checkpoint = false;
    if (write->last && write->hurry)
        app->checkpoint_at_ns =
            mm_clock_ns() + MM_LOOP_MS((uint64_t)app->settings.checkpoint_interval_ms);
}

// What was to be written is unsaved again, and a new round begins with all that is.
static void write_failed(struct vision_app *app, struct vision_write *write, enum mm_err err)
{
    mm_counter_add(app->saves_failed, 1);
    MM_LOG_ERROR("what was explored and remembered could not be written; it will be again",
                 "error=%s rows=%zu", mm_err_name(err), rows_of(write));
    vision_save_return(app->core, &write->save);
    if (write->last || app->saving.checkpoint.frame)
        app->checkpoint_at_ns = 0;
    drop_checkpoint(app);
    app->saving.pace = (struct vision_pace){0};
    app->saving.hurry |= write->hurry;
    app->saving.not_before_ns = mm_clock_ns() + MM_LOOP_MS(STORE_RETRY_MS);
}

static void free_write(struct vision_write *write)
{
    vision_save_free(&write->save);
    vision_checkpoint_free(write->checkpoint.frame);
    mm_free(write);
}

static void write_done(enum mm_err err, void *arg)
{
    struct vision_write *write = arg;
    struct vision_app *app = write->app;
    app->write = NULL;
    uint64_t took_ns = mm_clock_ns() - write->started_ns, half_ns = app->saving.took_ns / 2;
    app->saving.took_ns = took_ns > half_ns ? took_ns : half_ns;
    mm_metrics_observe(app->save_seconds, took_ns / 1000);
    if (err == MM_OK)
        write_succeeded(app, write);
    else if (err != MM_FAILED_PRECONDITION)
        write_failed(app, write, err);
    free_write(write);
    free_retired(app);
    if (vision_fence_lost(app, err)) {
        mm_service_drained(app->service);
        return;
    }
    bool finished = app->is_draining && !app->final_checkpoint;
    if (err == MM_OK && !finished && app->saving.hurry)
        step(app);
    if (app->is_draining && !app->write) {
        if (!finished && err != MM_CANCELLED)
            mm_loop_timer_start(app->loop, &app->save_timer,
                                MM_LOOP_MS((uint64_t)app->settings.retry_ms), 0);
        else
            mm_service_drained(app->service);
    }
}

static void submit(struct vision_app *app, struct vision_write *write)
{
    struct mm_db_job job = {.work = write_work,
                            .done = write_done,
                            .arg = write,
                            .lane = VISION_STORE_LANE,
                            .deadline_ms = deadline_of(write),
                            // The end of the process waits for the last ones. And where standing
                            // back makes them slow, a restart would soon have too much to replay.
                            .background = !app->is_draining &&
                                          app->saving.took_ns < MM_LOOP_MS(STORE_SLOW_MS)};
    app->write = write;
    mm_metrics_observe(app->save_loop_seconds, (mm_clock_ns() - write->started_ns) / 1000);
    if (mm_db_submit(mm_service_db(app->service), &job) != MM_OK) {
        app->write = NULL;
        write_failed(app, write, MM_RESOURCE_EXHAUSTED);
        free_write(write);
    }
}

// All that is remembered, and so many explored rows. `last`: of a round with a checkpoint.
static void start_write(struct vision_app *app, size_t explored, bool last)
{
    uint64_t started_ns = mm_clock_ns();
    size_t others = vision_save_pending(app->core) - vision_save_pending_explored(app->core);
    struct vision_write *write = mm_calloc(1, sizeof *write);
    if (!write || vision_save_take(app->core, others + explored, &write->save) != MM_OK) {
        MM_LOG_ERROR("no memory for saving; it will be tried again");
        mm_free(write);
        return;
    }
    write->app = app;
    write->catalogue = app->catalogue;
    write->chunk_radius = app->catalogue->chunk_radius;
    write->started_ns = started_ns;
    write->tick = vision_tick(app->core);
    write->hurry = app->saving.hurry;
    write->all = vision_save_pending(app->core) == 0;
    write->last = last;
    app->saving.wrote_ns = started_ns;
    app->saving.pace.written += write->save.explored_count;
    if (write->hurry && write->all) {
        // The rows of now: so may the checkpoint be.
        app->saving.hurry = false;
        write->last = checkpoint_due(app, started_ns);
        if (write->last)
            take_checkpoint(app);
    }
    if (write->last) {
        write->checkpoint = app->saving.checkpoint;
        app->saving.checkpoint = (struct vision_taken_checkpoint){0};
    }
    submit(app, write);
}

// What is written at once is no longer for a round.
static void write_in_hurry(struct vision_app *app)
{
    if (app->saving.checkpoint.frame)
        app->checkpoint_at_ns = 0;
    drop_checkpoint(app);
    app->saving.pace = (struct vision_pace){.length_ns = app->saving.pace.length_ns};
    if (vision_save_pending(app->core) == 0 && !checkpoint_due(app, mm_clock_ns())) {
        app->saving.hurry = false;
        return;
    }
    start_write(app, VISION_SAVE_ROWS_MAX, false);
}

static void begin_round(struct vision_app *app, uint64_t now_ns)
{
    app->saving.began_ns = now_ns;
    app->saving.pace = (struct vision_pace){
        .rows = vision_save_pending_explored(app->core),
        .length_ns = MM_LOOP_MS(round_ms(app)),
    };
    if (!checkpoint_due(app, now_ns) && !replay_due(app))
        return;
    take_checkpoint(app);
    if (!app->saving.checkpoint.frame)
        return;
    app->saving.pace.replay_ns = replay_part_ns(app);
    app->checkpoint_at_ns = now_ns + MM_LOOP_MS((uint64_t)app->settings.checkpoint_interval_ms);
}

static void step(struct vision_app *app)
{
    if (app->write || app->is_fenced || !app->core || !app->catalogue ||
        !vision_is_live(app->core) || vision_is_replaying(app->core))
        return;
    uint64_t now_ns = mm_clock_ns();
    app->saving.stepped_ns = now_ns;
    if (now_ns < app->saving.not_before_ns && !app->is_draining)
        return;
    if (app->saving.hurry) {
        write_in_hurry(app);
        return;
    }
    const struct vision_pace *pace = &app->saving.pace;
    bool is_open = pace->written < pace->rows || app->saving.checkpoint.frame;
    bool begins =
        replay_due(app) || (!is_open && now_ns >= app->saving.began_ns + MM_LOOP_MS(round_ms(app)));
    if (begins)
        begin_round(app, now_ns);
    size_t rows = vision_pace_due(pace, now_ns - app->saving.began_ns, app->replay_ns);
    bool last = app->saving.checkpoint.frame && rows == pace->rows - pace->written;
    last = last && rows <= VISION_SAVE_ROWS_MAX;
    rows = rows < VISION_SAVE_ROWS_MAX ? rows : VISION_SAVE_ROWS_MAX;
    size_t others = vision_save_pending(app->core) - vision_save_pending_explored(app->core);
    // Every transaction holds all that is remembered, much of which soon is no more: where that is
    // most of it, fewer are less work.
    bool waits = others > MEMORIES_FEW + rows &&
                 now_ns - app->saving.wrote_ns < MM_LOOP_MS(MEMORIES_WAIT_MS);
    if (last || ((rows > 0 || others > MEMORIES_FEW || (others > 0 && begins)) && !waits))
        start_write(app, rows, last);
}

void vision_store_applied(struct vision_app *app, uint64_t took_ns)
{
    app->replay_ns += took_ns;
    uint64_t step_ns = MM_LOOP_MS(step_ms(app));
    if (mm_clock_ns() - app->saving.stepped_ns >= step_ns)
        step(app);
}

void vision_store_save(struct vision_app *app, bool checkpoint)
{
    if (checkpoint)
        app->checkpoint_at_ns = 0;
    app->saving.hurry = true;
    app->saving.not_before_ns = 0;
    step(app); // if a write is under way, it goes on with this when it is done
}

// For when no ticks come.
static void on_save_timer(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop, (void)timer;
    struct vision_app *app = arg;
    if (app->is_draining || mm_clock_ns() - app->saving.stepped_ns >= MM_LOOP_MS(2 * step_ms(app)))
        step(app);
}

// --- life ------------------------------------------------------------------------------------

static void on_load_timer(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop, (void)timer;
    vision_load_start(arg);
}

void vision_store_begin(struct vision_app *app)
{
    app->saving.began_ns = app->saving.stepped_ns = mm_clock_ns();
    app->saving.took_ns = MM_LOOP_MS(2 * STORE_SLOW_MS); // until it is known
    uint64_t interval = MM_LOOP_MS(step_ms(app));
    mm_loop_timer_start(app->loop, &app->save_timer, interval, interval);
}

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
    app->saving.hurry = true;
    step(app);
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
    drop_checkpoint(app);
    mm_vec_free(&app->retired);
}
