#include "services/sync/core/stock.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/str.h"

#include <string.h>

enum mm_err sync_stock_init(struct sync_stock *stock)
{
    memset(stock, 0, sizeof *stock);
    mm_vec_init(&stock->items, SYNC_ITEMS_MAX);
    mm_vec_init(&stock->holdings, SYNC_STOCK_EMPIRES_MAX);
    stock->index = mm_idmap_new(SYNC_STOCK_EMPIRES_MAX);
    return stock->index ? MM_OK : MM_RESOURCE_EXHAUSTED;
}

static void free_holding(struct sync_holding *holding)
{
    mm_vec_free(&holding->amounts);
    mm_vec_free(&holding->jobs);
    mm_vec_free(&holding->events);
    mm_free(holding);
}

void sync_stock_free(struct sync_stock *stock)
{
    for (size_t i = 0; i < stock->items.count; i++)
        mm_free(stock->items.items[i]);
    mm_vec_free(&stock->items);
    for (size_t i = 0; i < stock->holdings.count; i++)
        free_holding(stock->holdings.items[i]);
    mm_vec_free(&stock->holdings);
    mm_idmap_free(stock->index);
    memset(stock, 0, sizeof *stock);
}

struct sync_holding *sync_stock_holding(struct sync_stock *stock, uint32_t empire)
{
    uint64_t at = 0;
    if (mm_idmap_get(stock->index, empire, &at))
        return stock->holdings.items[at];
    if (!mm_vec_reserve(&stock->holdings, stock->holdings.count + 1))
        return NULL;
    struct sync_holding *holding = mm_calloc(1, sizeof *holding);
    if (!holding)
        return NULL;
    holding->empire = empire;
    mm_vec_init(&holding->amounts, SYNC_STOCK_ITEMS_MAX);
    mm_vec_init(&holding->jobs, SYNC_JOBS_OPEN_MAX);
    mm_vec_init(&holding->events, SYNC_JOB_EVENTS_MAX);
    if (mm_idmap_set(stock->index, empire, stock->holdings.count) != MM_OK) {
        mm_free(holding);
        return NULL;
    }
    stock->holdings.items[stock->holdings.count++] = holding;
    return holding;
}

// --- amounts -------------------------------------------------------------------------------------

static bool item_index(struct sync_stock *stock, const char *name, uint32_t *out)
{
    for (size_t i = 0; i < stock->items.count; i++) {
        if (strcmp(stock->items.items[i], name) == 0) {
            *out = (uint32_t)i;
            return true;
        }
    }
    char *copy = mm_strdup(name);
    if (!copy || !mm_vec_push(&stock->items, copy)) {
        mm_free(copy);
        return false;
    }
    *out = (uint32_t)stock->items.count - 1;
    return true;
}

static bool set_amount(struct sync_holding *holding, uint32_t item, int64_t amount)
{
    for (size_t i = 0; i < holding->amounts.count; i++) {
        struct sync_amount *entry = &holding->amounts.items[i];
        if (entry->item != item)
            continue;
        entry->amount = amount;
        holding->dirty |= !entry->told || entry->told_amount != amount;
        return true;
    }
    holding->dirty = true;
    return mm_vec_push(&holding->amounts, ((struct sync_amount){.item = item, .amount = amount}));
}

// --- jobs ----------------------------------------------------------------------------------------

static void copy_name(char out[SYNC_JOB_NAME_MAX], const char *name)
{
    // A longer name is cut; nothing but the display depends on it.
    (void)mm_str_copy(out, SYNC_JOB_NAME_MAX, name);
}

static void push_event(struct sync_holding *holding, const struct sync_job *job)
{
    if (!holding->watched)
        return;
    holding->dirty = true;
    // Of two steps of progress only the later matters.
    for (size_t i = holding->events.count; i-- > 0;) {
        struct sync_job *waiting = &holding->events.items[i];
        if (waiting->id != job->id)
            continue;
        if (waiting->event == job->event &&
            job->event == MMORTS__FRAME__JOB_EVENT__JOB_EVENT_PROGRESS) {
            *waiting = *job;
            return;
        }
        break;
    }
    if (!mm_vec_push(&holding->events, *job)) {
        mm_vec_clear(&holding->events);
        holding->lost = true;
    }
}

static bool ends(uint32_t event)
{
    return event == MMORTS__FRAME__JOB_EVENT__JOB_EVENT_COMPLETED ||
           event == MMORTS__FRAME__JOB_EVENT__JOB_EVENT_FAILED ||
           event == MMORTS__FRAME__JOB_EVENT__JOB_EVENT_CANCELLED || event == SYNC_JOB_ENDED;
}

static size_t find_job(const struct sync_holding *holding, uint64_t id)
{
    size_t i = 0;
    while (i < holding->jobs.count && holding->jobs.items[i].id != id)
        i++;
    return i;
}

static void change_job(struct sync_holding *holding, const struct sync_job *job)
{
    size_t at = find_job(holding, job->id);
    if (ends(job->event)) {
        if (at < holding->jobs.count)
            mm_vec_remove_swap(&holding->jobs, at);
    } else if (at < holding->jobs.count) {
        holding->jobs.items[at] = *job;
    } else if (!mm_vec_push(&holding->jobs, *job)) {
        return; // at the bound: not listed, therefore not told either
    }
    push_event(holding, job);
}

static struct sync_job job_of(const Mmorts__Frame__JobChange *change)
{
    struct sync_job job = {
        .id = change->job_id,
        .building = change->building_id,
        .start_tick = change->start_tick,
        .end_tick = change->end_tick,
        .cycles_completed = change->cycles_completed,
        .event = (uint32_t)change->event,
    };
    copy_name(job.recipe, change->recipe);
    copy_name(job.reason, change->reason);
    return job;
}

// The jobs that are open now replace those known; what ended meanwhile becomes an event.
static bool replace_jobs(struct sync_stock *stock, const Mmorts__Frame__ProductionFrame *frame)
{
    struct mm_idmap *open = mm_idmap_new(frame->n_jobs + 1);
    if (!open)
        return false;
    bool ok = true;
    for (size_t i = 0; ok && i < frame->n_jobs; i++)
        ok = mm_idmap_set(open, frame->jobs[i]->job_id, i) == MM_OK;
    for (size_t h = 0; ok && h < stock->holdings.count; h++) {
        struct sync_holding *holding = stock->holdings.items[h];
        for (size_t i = holding->jobs.count; i-- > 0;) {
            struct sync_job job = holding->jobs.items[i];
            if (mm_idmap_has(open, job.id))
                continue;
            job.event = SYNC_JOB_ENDED;
            change_job(holding, &job);
        }
    }
    mm_idmap_free(open);
    return ok;
}

static bool same_job(const struct sync_job *a, const struct sync_job *b)
{
    return a->start_tick == b->start_tick && a->end_tick == b->end_tick &&
           a->cycles_completed == b->cycles_completed;
}

static bool apply_jobs(struct sync_stock *stock, const Mmorts__Frame__ProductionFrame *frame)
{
    if (frame->snapshot && !replace_jobs(stock, frame))
        return false;
    for (size_t i = 0; i < frame->n_jobs; i++) {
        struct sync_job job = job_of(frame->jobs[i]);
        struct sync_holding *holding = sync_stock_holding(stock, frame->jobs[i]->empire);
        if (!holding)
            return false;
        if (frame->snapshot) {
            size_t at = find_job(holding, job.id);
            bool known = at < holding->jobs.count;
            if (known && same_job(&holding->jobs.items[at], &job))
                continue;
            job.event = known ? MMORTS__FRAME__JOB_EVENT__JOB_EVENT_PROGRESS
                              : MMORTS__FRAME__JOB_EVENT__JOB_EVENT_STARTED;
        }
        change_job(holding, &job);
    }
    return true;
}

// --- frames --------------------------------------------------------------------------------------

static bool frame_valid(const Mmorts__Frame__ProductionFrame *frame)
{
    size_t n = frame->n_stock_empire;
    if (frame->n_stock_item != n || frame->n_stock_amount != n || frame->n_items > SYNC_ITEMS_MAX)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (frame->stock_empire[i] == 0 || frame->stock_item[i] >= frame->n_items)
            return false;
    }
    for (size_t i = 0; i < frame->n_jobs; i++) {
        if (frame->jobs[i]->empire == 0 || frame->jobs[i]->job_id == 0)
            return false;
    }
    return true;
}

enum mm_err sync_stock_apply(struct sync_stock *stock, const Mmorts__Frame__ProductionFrame *frame)
{
    if (!frame_valid(frame))
        return MM_DATA_LOSS;
    uint32_t items[SYNC_ITEMS_MAX];
    for (size_t i = 0; i < frame->n_items; i++) {
        if (!item_index(stock, frame->items[i], &items[i]))
            return MM_RESOURCE_EXHAUSTED;
    }
    if (frame->snapshot) {
        // What the snapshot does not name is gone.
        for (size_t h = 0; h < stock->holdings.count; h++) {
            struct sync_holding *holding = stock->holdings.items[h];
            for (size_t i = 0; i < holding->amounts.count; i++) {
                holding->amounts.items[i].amount = 0;
                holding->dirty = true;
            }
        }
    }
    for (size_t i = 0; i < frame->n_stock_empire; i++) {
        struct sync_holding *holding = sync_stock_holding(stock, frame->stock_empire[i]);
        if (!holding || !set_amount(holding, items[frame->stock_item[i]], frame->stock_amount[i]))
            return MM_RESOURCE_EXHAUSTED;
    }
    if (!apply_jobs(stock, frame))
        return MM_RESOURCE_EXHAUSTED;
    stock->loaded |= frame->snapshot;
    return MM_OK;
}

void sync_holding_told(struct sync_holding *holding)
{
    for (size_t i = 0; i < holding->amounts.count; i++) {
        holding->amounts.items[i].told = true;
        holding->amounts.items[i].told_amount = holding->amounts.items[i].amount;
    }
    mm_vec_clear(&holding->events);
    holding->dirty = false;
    holding->lost = false;
    holding->watched = true;
}

void sync_holding_told_beside(struct sync_holding *holding)
{
    for (size_t i = 0; i < holding->amounts.count; i++) {
        struct sync_amount *entry = &holding->amounts.items[i];
        entry->told = entry->told && entry->told_amount == entry->amount;
    }
}

bool sync_holding_tell_again(struct sync_holding *holding)
{
    for (size_t i = 0; i < holding->amounts.count; i++)
        holding->amounts.items[i].told = false;
    for (size_t i = 0; i < holding->jobs.count; i++) {
        struct sync_job job = holding->jobs.items[i];
        job.event = MMORTS__FRAME__JOB_EVENT__JOB_EVENT_STARTED;
        if (!mm_vec_push(&holding->events, job))
            return false;
    }
    holding->watched = true;
    holding->dirty = true;
    return true;
}

void sync_holding_unwatch(struct sync_holding *holding)
{
    for (size_t i = 0; i < holding->amounts.count; i++)
        holding->amounts.items[i].told = false;
    mm_vec_clear(&holding->events);
    holding->dirty = false;
    holding->lost = false;
    holding->watched = false;
}
