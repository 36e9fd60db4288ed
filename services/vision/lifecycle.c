#include "libcommon/base/log.h"
#include "services/vision/app.h"

// --- metrics ---------------------------------------------------------------------------------

#define STAT(name)                                                                                 \
    static double read_##name(void *ctx)                                                           \
    {                                                                                              \
        const struct vision_app *app = ctx;                                                        \
        struct vision_stats stats = {0};                                                           \
        if (app->core)                                                                             \
            vision_stats(app->core, &stats);                                                       \
        return (double)stats.name;                                                                 \
    }

STAT(empires)
STAT(alliances)
STAT(allies)
STAT(entities)
STAT(observers)
STAT(views)
STAT(views_active)
STAT(memories)
STAT(explored_hexes)
STAT(visible_hexes)
STAT(sight_pairs)
STAT(steps)
STAT(discs)
STAT(evicted)
STAT(state_bytes)

static double read_tick(void *ctx)
{
    const struct vision_app *app = ctx;
    return app->core ? (double)vision_tick(app->core) : 0;
}

static double read_unsaved(void *ctx)
{
    const struct vision_app *app = ctx;
    return (double)vision_store_unsaved(app);
}

static double read_held(void *ctx)
{
    const struct vision_app *app = ctx;
    return (double)vision_held(app);
}

static void add_gauges(struct vision_app *app, struct mm_metrics *metrics)
{
    static const struct {
        const char *name, *help;
        double (*read)(void *ctx);
    } gauges[] = {
        {"mmorts_vision_tick", "The last tick applied.", read_tick},
        {"mmorts_vision_empires", "Empires known.", read_empires},
        {"mmorts_vision_alliances", "Alliances with members.", read_alliances},
        {"mmorts_vision_allies", "Empires in alliances, summed over these.", read_allies},
        {"mmorts_vision_entities", "Entities of world.", read_entities},
        {"mmorts_vision_observers", "Entities that see.", read_observers},
        {"mmorts_vision_views", "Chunks explored, summed over empires.", read_views},
        {"mmorts_vision_views_active", "Chunks with something visible, summed over empires.",
         read_views_active},
        {"mmorts_vision_memories", "Entities remembered, summed over empires.", read_memories},
        {"mmorts_vision_explored_hexes", "Hexes explored, summed over empires.",
         read_explored_hexes},
        {"mmorts_vision_visible_hexes", "Hexes visible, summed over empires.", read_visible_hexes},
        {"mmorts_vision_sight_pairs", "Pairs of empire and entity in its sight.", read_sight_pairs},
        {"mmorts_vision_state_bytes", "Memory the core holds.", read_state_bytes},
        {"mmorts_vision_unsaved_rows", "Rows that are not written yet.", read_unsaved},
        {"mmorts_vision_ticks_held", "Ticks that wait for a commit.", read_held},
    };
    for (size_t i = 0; i < sizeof gauges / sizeof *gauges; i++)
        mm_metrics_gauge_fn(metrics, gauges[i].name, gauges[i].help, NULL, gauges[i].read, app);
    mm_metrics_counter_fn(metrics, "mmorts_vision_steps_total",
                          "Moves of observers for which only the difference was touched.", NULL,
                          read_steps, app);
    mm_metrics_counter_fn(metrics, "mmorts_vision_discs_total", "Whole discs counted or uncounted.",
                          NULL, read_discs, app);
    mm_metrics_counter_fn(metrics, "mmorts_vision_evicted_total",
                          "Memories that gave way to newer ones.", NULL, read_evicted, app);
}

static void add_metrics(struct vision_app *app)
{
    struct mm_metrics *metrics = mm_service_metrics(app->service);
    app->frames =
        mm_metrics_counter(metrics, "mmorts_vision_frames_total", "Tick frames applied.", NULL);
    app->frames_refused = mm_metrics_counter(metrics, "mmorts_vision_frames_refused_total",
                                             "Tick frames that made no sense.", NULL);
    app->resyncs = mm_metrics_counter(metrics, "mmorts_vision_resyncs_total",
                                      "Times everything began anew from a snapshot.", NULL);
    app->saves =
        mm_metrics_counter(metrics, "mmorts_vision_saves_total", "Transactions written.", NULL);
    app->saves_failed = mm_metrics_counter(metrics, "mmorts_vision_saves_failed_total",
                                           "Transactions that failed; their rows wait.", NULL);
    app->rows_saved =
        mm_metrics_counter(metrics, "mmorts_vision_rows_saved_total", "Rows written.", NULL);
    app->tick_seconds = mm_metrics_latency(metrics, "mmorts_vision_tick_seconds",
                                           "Time the core took for a tick.", NULL);
    app->save_loop_seconds =
        mm_metrics_latency(metrics, "mmorts_vision_save_loop_seconds",
                           "Time that taking a transaction's rows held up the loop.", NULL);
    app->save_seconds =
        mm_metrics_latency(metrics, "mmorts_vision_save_seconds", "Time a transaction took.", NULL);
    app->allies.rereads = mm_metrics_counter(metrics, "mmorts_vision_alliance_rereads_total",
                                             "Times all memberships were read anew.", NULL);
    add_gauges(app, metrics);
}

// --- hooks -----------------------------------------------------------------------------------

enum mm_err vision_start_service(struct mm_service *service, void *state)
{
    struct vision_app *app = state;
    app->service = service;
    app->loop = mm_service_loop(service);
    app->session = mm_service_session(service);
    add_metrics(app);
    app->loaded_condition = mm_service_condition_add(service, "state loaded");
    app->feed_condition = mm_service_condition_add(service, "tick stream live");
    vision_rpc_register(app);
    vision_stamps_open(app);
    vision_hold_open(app);
    enum mm_err err = vision_allies_open(app);
    if (err != MM_OK)
        return err;
    vision_lends_open(app);
    err = vision_serve_open(app);
    if (err != MM_OK)
        return err;
    vision_store_open(app);
    return MM_OK;
}

void vision_drain_service(struct mm_service *service, void *state)
{
    (void)service;
    struct vision_app *app = state;
    app->is_draining = true;
    mm_progress_give_up(&app->loading);
    vision_store_finish(app);
}

void vision_stop_service(struct mm_service *service, void *state)
{
    (void)service;
    struct vision_app *app = state;
    vision_stamps_close(app);
    vision_feed_close(app);
    vision_allies_close(app);
    vision_lends_close(app);
    vision_store_stop(app);
    vision_serve_close(app);
    if (app->publisher)
        mm_stream_publisher_close(app->publisher);
    app->publisher = NULL;
    vision_free(app->core);
    app->core = NULL;
    if (app->catalogue)
        mmorts__frame__catalogue__free_unpacked(app->catalogue, NULL);
    app->catalogue = NULL;
}
