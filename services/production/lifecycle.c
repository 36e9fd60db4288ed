#include "libcommon/base/check.h"
#include "libcommon/base/log.h"
#include "services/production/app.h"

static void book_fault(void *arg, const char *text)
{
    mm_config_fail(arg, "recipes.path", "%s", text);
}

void production_check(struct mm_config *config, void *state)
{
    struct production_app *app = state;
    const char *path = mm_config_resolve(config, app->settings.recipes_path);
    if (production_book_load(&app->book, path, book_fault, config) != MM_OK)
        app->book = (struct production_book){0};
}

void production_release(void *state)
{
    struct production_app *app = state;
    production_book_free(&app->book);
}

static double core_jobs(void *ctx)
{
    const struct production_app *app = ctx;
    return app->core ? (double)production_job_count(app->core) : 0;
}

static double outbox_waiting(void *ctx)
{
    const struct production_app *app = ctx;
    return (double)app->outbox.count;
}

static void add_metrics(struct production_app *app)
{
    struct mm_metrics *metrics = mm_service_metrics(app->service);
    const char *jobs = "mmorts_production_jobs_total";
    const char *help = "Jobs by what became of them, durable ones only.";
    app->jobs_started = mm_metrics_counter(metrics, jobs, help, MM_LABELS("event", "started"));
    app->jobs_completed = mm_metrics_counter(metrics, jobs, help, MM_LABELS("event", "completed"));
    app->jobs_failed = mm_metrics_counter(metrics, jobs, help, MM_LABELS("event", "failed"));
    app->jobs_cancelled = mm_metrics_counter(metrics, jobs, help, MM_LABELS("event", "cancelled"));
    app->spawns = mm_metrics_counter(metrics, "mmorts_production_spawns_total",
                                     "Spawns that world answered.", MM_LABELS("result", "ok"));
    app->spawns_refused =
        mm_metrics_counter(metrics, "mmorts_production_spawns_total", "Spawns that world answered.",
                           MM_LABELS("result", "refused"));
    app->flushes = mm_metrics_counter(metrics, "mmorts_production_transactions_total",
                                      "Transactions, failed ones included.", NULL);
    app->flushes_failed = mm_metrics_counter(metrics, "mmorts_production_transactions_failed_total",
                                             "Transactions that were not committed.", NULL);
    app->flush_latency = mm_metrics_latency(metrics, "mmorts_production_transaction_seconds",
                                            "From the change to its commit.", NULL);
    mm_metrics_gauge_fn(metrics, "mmorts_production_jobs", "Open jobs.", NULL, core_jobs, app);
    mm_metrics_gauge_fn(metrics, "mmorts_production_outbox", "Spawns that world has not answered.",
                        NULL, outbox_waiting, app);
}

enum mm_err production_start_service(struct mm_service *service, void *state)
{
    struct production_app *app = state;
    app->service = service;
    app->loop = mm_service_loop(service);
    app->session = mm_service_session(service);
    production_store_open(app);
    production_held_open(app);
    production_outbox_open(app);
    add_metrics(app);
    app->loaded_condition = mm_service_condition_add(service, "state loaded");
    app->feed_condition = mm_service_condition_add(service, "tick stream live");
    enum mm_err err = production_publish_restart(app);
    if (err == MM_OK)
        err = production_feed_open(app);
    if (err != MM_OK)
        return err;
    production_rpc_register(app);
    production_store_load(app);
    return MM_OK;
}

void production_drain_service(struct mm_service *service, void *state)
{
    struct production_app *app = state;
    app->is_draining = true;
    production_held_run(app);
    if (!app->write && app->core && app->pending.changes.count > 0)
        production_store_flush(app);
    else if (!app->write)
        mm_service_drained(service);
}

void production_stop_service(struct mm_service *service, void *state)
{
    (void)service;
    struct production_app *app = state;
    production_held_close(app);
    production_feed_close(app);
    production_outbox_close(app);
    production_store_stop(app);
}
