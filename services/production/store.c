#include "services/production/app.h"

#include <string.h>
#include <sys/random.h>

#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/clock.h"
#include "libcommon/base/log.h"
#include "libcommon/io/db.h"
#include "services/production/store_sql.h"

// All writes of a session go through one lane of the pool: they happen in the order of the changes.
enum { STORE_LANE = 1, STORE_DEADLINE_MS = 10000, STORE_LOAD_DEADLINE_MS = 120000 };

struct production_write {
    struct production_app *app;
    struct production_batch batch;
    uint64_t owner_epoch;
    uint64_t tick;
    uint64_t started_ns;
};

void production_batch_init(struct production_batch *batch)
{
    mm_vec_init(&batch->changes, PRODUCTION_CHANGES_MAX);
    mm_vec_init(&batch->acks, PRODUCTION_ACKS_MAX);
    mm_vec_init(&batch->grants, PRODUCTION_ACKS_MAX);
}

void production_batch_free(struct production_batch *batch)
{
    mm_vec_free(&batch->changes);
    mm_vec_free(&batch->acks);
    mm_vec_free(&batch->grants);
}

static void fail_acks(struct production_batch *batch, enum mm_err err, const char *message)
{
    for (size_t i = 0; i < batch->acks.count; i++)
        mm_rpc_fail(batch->acks.items[i].call, err, "%s", message);
    mm_vec_clear(&batch->acks);
    mm_vec_clear(&batch->changes);
    mm_vec_clear(&batch->grants);
}

// --- writing -----------------------------------------------------------------------------------

static enum mm_err write_work(struct mm_db_conn *conn, void *arg)
{
    struct production_write *write = arg;
    struct production_sql_batch sql = {
        .session = write->app->session,
        .book = &write->app->book,
        .owner_epoch = write->owner_epoch,
        .tick = write->tick,
        .changes = write->batch.changes.items,
        .change_count = write->batch.changes.count,
        .grants = write->batch.grants.items,
        .grant_count = write->batch.grants.count,
    };
    return production_sql_write(conn, &sql);
}

static void count_events(struct production_app *app, const struct production_changes *changes)
{
    for (size_t i = 0; i < changes->count; i++) {
        if (changes->items[i].kind != PRODUCTION_CHANGE_EVENT)
            continue;
        switch (changes->items[i].event) {
        case PRODUCTION_STARTED: // twice for a job that had to wait
            mm_counter_add(app->jobs_started, changes->items[i].job.start_tick != 0);
            break;
        case PRODUCTION_COMPLETED:
            mm_counter_add(app->jobs_completed, 1);
            break;
        case PRODUCTION_FAILED:
            mm_counter_add(app->jobs_failed, 1);
            break;
        case PRODUCTION_CANCELLED:
            mm_counter_add(app->jobs_cancelled, 1);
            break;
        case PRODUCTION_PROGRESS:
            break;
        }
    }
}

static void write_done(enum mm_err err, void *arg)
{
    struct production_write *write = arg;
    struct production_app *app = write->app;
    app->write = NULL;
    mm_metrics_observe(app->flush_latency, (mm_clock_ns() - write->started_ns) / 1000);
    mm_counter_add(app->flushes, 1);
    if (err == MM_OK) {
        count_events(app, &write->batch.changes);
        for (size_t i = 0; i < write->batch.acks.count; i++)
            production_rpc_answer(app, &write->batch.acks.items[i]);
        production_publish_batch(app, &write->batch.changes);
        for (size_t i = 0; i < write->batch.changes.count; i++)
            if (write->batch.changes.items[i].kind == PRODUCTION_CHANGE_SPAWN)
                production_outbox_add(app, &write->batch.changes.items[i].spawn);
        if (app->pending.changes.count > 0 || app->pending.acks.count > 0)
            production_store_flush(app);
        production_feed_go_on(app);
    } else {
        mm_counter_add(app->flushes_failed, 1);
        MM_LOG_ERROR("changes could not be written", "error=%s changes=%zu calls=%zu",
                     mm_err_name(err), write->batch.changes.count, write->batch.acks.count);
        fail_acks(&write->batch, MM_UNAVAILABLE, "the database is away; nothing was changed");
        if (err == MM_FAILED_PRECONDITION) {
            MM_LOG_ERROR("another process owns this session's production; stopping");
            mm_service_quit(app->service, PRODUCTION_EXIT_FENCED);
        } else {
            production_store_abandon(app, MM_UNAVAILABLE,
                                     "the database is away; nothing was changed");
        }
    }
    production_batch_free(&write->batch);
    mm_free(write);
    if (app->is_draining && app->pending.changes.count == 0 && app->pending.acks.count == 0)
        mm_service_drained(app->service);
}

static void flush_task(struct mm_loop *loop, void *arg)
{
    (void)loop;
    struct production_app *app = arg;
    if (app->write || !app->core ||
        (app->pending.changes.count == 0 && app->pending.acks.count == 0))
        return;
    struct production_write *write = mm_calloc(1, sizeof *write);
    MM_CHECK(write);
    write->app = app;
    write->batch = app->pending;
    write->owner_epoch = app->owner_epoch;
    write->tick = production_tick(app->core);
    write->started_ns = mm_clock_ns();
    production_batch_init(&app->pending);
    app->write = write;
    struct mm_db_job job = {
        .work = write_work,
        .done = write_done,
        .arg = write,
        .lane = STORE_LANE,
        .deadline_ms = STORE_DEADLINE_MS,
    };
    enum mm_err err = mm_db_submit(mm_service_db(app->service), &job);
    if (err != MM_OK)
        write_done(err == MM_CANCELLED ? MM_UNAVAILABLE : err, write);
}

void production_store_flush(struct production_app *app)
{
    if (!app->write)
        mm_loop_defer(app->loop, &app->flush);
}

// --- loading -----------------------------------------------------------------------------------

struct store_load {
    struct production_app *app;
    struct production_sql_loaded loaded;
};

static enum mm_err load_work(struct mm_db_conn *conn, void *arg)
{
    struct store_load *load = arg;
    return production_sql_load(conn, load->app->session, &load->app->book, &load->loaded);
}

static void load_done(enum mm_err err, void *arg)
{
    struct store_load *load = arg;
    struct production_app *app = load->app;
    struct production_sql_loaded *loaded = &load->loaded;
    app->is_loading = false;
    if (err != MM_OK) {
        if (err == MM_DATA_LOSS)
            MM_LOG_ERROR("the stored state contradicts itself", "session=%s", app->session);
        else
            MM_LOG_WARN("state not loaded yet", "error=%s", mm_err_name(err));
        production_sql_loaded_free(loaded);
        mm_free(load);
        mm_loop_timer_start(app->loop, &app->reload, MM_LOOP_MS(app->settings.retry_ms), 0);
        return;
    }
    app->core = loaded->core;
    app->owner_epoch = loaded->owner_epoch;
    mm_strmap_free(app->granted);
    app->granted = loaded->granted;
    loaded->core = NULL;
    loaded->granted = NULL;
    for (size_t i = 0; i < loaded->spawns.count; i++)
        production_outbox_add(app, &loaded->spawns.items[i]);
    MM_LOG_INFO("state loaded", "session=%s jobs=%zu spawns=%zu epoch=%lu", app->session,
                production_job_count(app->core), loaded->spawns.count,
                (unsigned long)app->owner_epoch);
    production_sql_loaded_free(loaded);
    mm_free(load);
    if (production_publish_restart(app) != MM_OK) {
        MM_LOG_ERROR("the stream cannot be opened again");
        mm_service_quit(app->service, 1);
    }
    production_feed_restart(app);
    // Last: what was read of the stream before counts no more, so that it is not ready by that.
    mm_service_condition_set(app->service, app->loaded_condition, true);
}

void production_store_load(struct production_app *app)
{
    if (app->is_loading || app->core)
        return;
    struct store_load *load = mm_calloc(1, sizeof *load);
    MM_CHECK(load);
    load->app = app;
    MM_CHECK(getrandom(&load->loaded.seed, sizeof load->loaded.seed, 0) ==
             (ssize_t)sizeof load->loaded.seed);
    struct mm_db_job job = {
        .work = load_work,
        .done = load_done,
        .arg = load,
        .lane = STORE_LANE,
        .deadline_ms = STORE_LOAD_DEADLINE_MS,
    };
    app->is_loading = true;
    enum mm_err err = mm_db_submit(mm_service_db(app->service), &job);
    if (err != MM_OK)
        load_done(err, load);
}

void production_store_abandon(struct production_app *app, enum mm_err err, const char *message)
{
    fail_acks(&app->pending, err, message);
    production_free(app->core);
    app->core = NULL;
    production_held_run(app);
    production_outbox_clear(app);
    mm_service_condition_set(app->service, app->loaded_condition, false);
    if (!app->is_draining)
        mm_loop_timer_start(app->loop, &app->reload, MM_LOOP_MS(app->settings.retry_ms), 0);
}

void production_store_stop(struct production_app *app)
{
    mm_loop_timer_stop(app->loop, &app->reload);
    mm_loop_defer_cancel(app->loop, &app->flush);
    fail_acks(&app->pending, MM_UNAVAILABLE, "the service is stopping");
    production_batch_free(&app->pending);
    production_free(app->core);
    app->core = NULL;
    mm_strmap_free(app->granted);
    app->granted = NULL;
}

static void reload_timer(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop;
    (void)timer;
    production_store_load(arg);
}

void production_store_open(struct production_app *app)
{
    production_batch_init(&app->pending);
    mm_loop_task_init(&app->flush, flush_task, app);
    mm_loop_timer_init(&app->reload, reload_timer, app);
}
