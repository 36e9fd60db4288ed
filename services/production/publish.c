#include <string.h>

#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/log.h"
#include "services/production/app.h"

// The production stream. Stocks are told as amounts, not differences, so hearing one twice (in a
// snapshot and in the frame behind it) does no harm.

static char **item_names(const struct production_book *book)
{
    char **names = mm_calloc(book->item_count + 1, sizeof *names);
    MM_CHECK(names);
    for (size_t i = 0; i < book->item_count; i++)
        names[i] = book->items[i];
    return names;
}

struct frame_builder {
    const struct production_book *book;
    Mmorts__Frame__ProductionFrame frame;
    struct {
        MM_VEC(uint32_t);
    } empires, items;
    struct {
        MM_VEC(int64_t);
    } amounts;
    struct {
        MM_VEC(Mmorts__Frame__JobChange);
    } jobs;
    struct {
        MM_VEC(Mmorts__Frame__JobChange *);
    } job_pointers;
    char **names;
};

static void builder_init(struct frame_builder *builder, const struct production_book *book)
{
    *builder = (struct frame_builder){.book = book};
    mmorts__frame__production_frame__init(&builder->frame);
    size_t stocks_max = (size_t)PRODUCTION_EMPIRES_MAX * PRODUCTION_ITEMS_MAX;
    mm_vec_init(&builder->empires, stocks_max);
    mm_vec_init(&builder->items, stocks_max);
    mm_vec_init(&builder->amounts, stocks_max);
    mm_vec_init(&builder->jobs, PRODUCTION_CHANGES_MAX + PRODUCTION_JOBS_MAX);
    mm_vec_init(&builder->job_pointers, PRODUCTION_CHANGES_MAX + PRODUCTION_JOBS_MAX);
}

static void builder_free(struct frame_builder *builder)
{
    mm_vec_free(&builder->empires);
    mm_vec_free(&builder->items);
    mm_vec_free(&builder->amounts);
    mm_vec_free(&builder->jobs);
    mm_vec_free(&builder->job_pointers);
    mm_free(builder->names);
}

static void add_stock(void *arg, uint32_t empire, uint16_t item, int64_t amount)
{
    struct frame_builder *builder = arg;
    MM_CHECK(mm_vec_push(&builder->empires, empire) && mm_vec_push(&builder->items, item) &&
             mm_vec_push(&builder->amounts, amount));
}

static void add_job_event(struct frame_builder *builder, enum production_event event,
                          const struct production_job *job, const char *reason)
{
    Mmorts__Frame__JobChange change = MMORTS__FRAME__JOB_CHANGE__INIT;
    change.event = (Mmorts__Frame__JobEvent)event;
    change.job_id = job->id;
    change.empire = job->empire;
    change.building_id = job->building;
    change.recipe = builder->book->recipes[job->recipe].name;
    change.start_tick = job->start_tick;
    change.end_tick = job->end_tick;
    change.cycles_completed = job->cycles_completed;
    change.reason = (char *)(uintptr_t)reason;
    MM_CHECK(mm_vec_push(&builder->jobs, change));
}

static void add_job(void *arg, const struct production_job *job)
{
    add_job_event(arg, PRODUCTION_STARTED, job, "");
}

static Mmorts__Frame__ProductionFrame *builder_finish(struct frame_builder *builder)
{
    Mmorts__Frame__ProductionFrame *frame = &builder->frame;
    frame->n_stock_empire = builder->empires.count;
    frame->stock_empire = builder->empires.items;
    frame->n_stock_item = builder->items.count;
    frame->stock_item = builder->items.items;
    frame->n_stock_amount = builder->amounts.count;
    frame->stock_amount = builder->amounts.items;
    for (size_t i = 0; i < builder->jobs.count; i++)
        MM_CHECK(mm_vec_push(&builder->job_pointers, &builder->jobs.items[i]));
    frame->n_jobs = builder->job_pointers.count;
    frame->jobs = builder->job_pointers.items;
    if (builder->empires.count > 0 || frame->snapshot) {
        builder->names = item_names(builder->book);
        frame->n_items = builder->book->item_count;
        frame->items = builder->names;
    }
    return frame;
}

void production_publish_batch(struct production_app *app, const struct production_changes *changes)
{
    struct frame_builder builder;
    builder_init(&builder, &app->book);
    for (size_t i = 0; i < changes->count; i++) {
        const struct production_change *change = &changes->items[i];
        if (change->kind == PRODUCTION_CHANGE_STOCK)
            add_stock(&builder, change->empire, change->item, change->amount);
        else if (change->kind == PRODUCTION_CHANGE_EVENT)
            add_job_event(&builder, change->event, &change->job, change->reason);
    }
    Mmorts__Frame__ProductionFrame *frame = builder_finish(&builder);
    if (frame->n_stock_item > 0 || frame->n_jobs > 0)
        mm_stream_publish(app->publisher, app->core ? production_tick(app->core) : 0, &frame->base);
    builder_free(&builder);
}

static void on_snapshot(void *arg, struct mm_stream_snapshot *snapshot, const uint8_t *filter,
                        size_t filter_len)
{
    (void)filter;
    (void)filter_len;
    struct production_app *app = arg;
    if (!app->core) {
        mm_stream_snapshot_fail(snapshot, MM_UNAVAILABLE, "the state is being loaded");
        return;
    }
    struct frame_builder builder;
    builder_init(&builder, &app->book);
    builder.frame.snapshot = true;
    production_each_stock(app->core, add_stock, &builder);
    production_each_job(app->core, 0, add_job, &builder);
    mm_stream_snapshot_reply(snapshot, mm_stream_publisher_seq(app->publisher),
                             production_tick(app->core), &builder_finish(&builder)->base);
    builder_free(&builder);
}

enum mm_err production_publish_restart(struct production_app *app)
{
    if (app->publisher)
        mm_stream_publisher_close(app->publisher);
    app->publisher = NULL;
    struct mm_stream_publisher_options options = {
        .stream = "production",
        .session = app->session,
        .snapshot = on_snapshot,
        .arg = app,
    };
    return mm_stream_publisher_open(mm_service_stream_hub(app->service), &options, &app->publisher);
}
