#include "tests/sim/sim_internal.h"

#include "libcommon/io/pb.h"

#include <stdlib.h>
#include <string.h>

// Production: its core, and a shell that does what services/production does: what an operation
// changed is durable in one transaction before it is published; a process that could not write
// throws its state away and loads what is stored.
//
// The oracle is what all is worth. Both recipes make what their inputs were worth, and every
// cancelled job gives its inputs back: an empire's stock and what its jobs hold (also waiting ones)
// is worth the same for ever, through crashes, lost buildings and repeated commands.

const char *const sim_items[SIM_ITEMS] = {"gold", "tool"};
const char *const sim_recipes[2] = {"forge", "melt"};
enum { CHANGES_MAX = 1 << 16, TOOL_WORTH = 3, GOLD_AT_START = 60 };
#define ALL_WORTH ((int64_t)GOLD_AT_START)

static struct production_book *book(void)
{
    static char items[SIM_ITEMS][PRODUCTION_NAME_BYTES] = {"gold", "tool"};
    static int64_t starting[SIM_ITEMS] = {GOLD_AT_START, 0};
    static struct production_recipe recipes[2] = {
        {.name = "forge",
         .category = "goods",
         .buildings = {"settlement", "hut"},
         .building_count = 2,
         .inputs = {{0, TOOL_WORTH}},
         .input_count = 1,
         .outputs = {{.item = 1, .amount = 1, .probability_permille = 1000}},
         .output_count = 1,
         .duration_ticks = 30},
        {.name = "melt",
         .category = "goods",
         .buildings = {"settlement"},
         .building_count = 1,
         .inputs = {{1, 2}},
         .input_count = 1,
         .outputs = {{.item = 0, .amount = 2 * TOOL_WORTH, .probability_permille = 1000}},
         .output_count = 1,
         .duration_ticks = 17},
    };
    static struct production_book all = {.items = items,
                                         .item_count = SIM_ITEMS,
                                         .recipes = recipes,
                                         .recipe_count = 2,
                                         .starting_stock = starting};
    return &all;
}

// --- what is durable -----------------------------------------------------------------------------

static void store_job(struct sim *sim, const struct production_change *change)
{
    struct sim_production *p = &sim->production;
    size_t i = 0;
    while (i < p->jobs.count && p->jobs.items[i].id != change->job.id)
        i++;
    if (change->kind == PRODUCTION_CHANGE_NO_JOB) {
        if (i < p->jobs.count)
            mm_vec_remove_swap(&p->jobs, i);
    } else if (i < p->jobs.count) {
        p->jobs.items[i] = change->job;
    } else if (sim->options.fault == SIM_FAULT_JOB_NOT_SAVED && sim_chance(sim, 1000)) {
        return;
    } else if (!mm_vec_push(&p->jobs, change->job)) {
        abort();
    }
}

static void store_change(struct sim *sim, const struct production_change *change)
{
    struct sim_production *p = &sim->production;
    switch (change->kind) {
    case PRODUCTION_CHANGE_EMPIRE:
        p->founded[change->empire] = true;
        break;
    case PRODUCTION_CHANGE_STOCK:
        p->stock[change->empire][change->item] += change->delta;
        if (p->stock[change->empire][change->item] != change->amount || change->amount < 0)
            sim_fail(sim, "production: the ledger of empire %u comes to %lld %s, not %lld",
                     change->empire, (long long)p->stock[change->empire][change->item],
                     sim_items[change->item], (long long)change->amount);
        break;
    case PRODUCTION_CHANGE_JOB:
    case PRODUCTION_CHANGE_NO_JOB:
        store_job(sim, change);
        break;
    case PRODUCTION_CHANGE_ANSWERED:
        if (!mm_vec_push(&p->answers, *change))
            abort();
        break;
    case PRODUCTION_CHANGE_EVENT:
        sim->report->jobs += change->event == PRODUCTION_COMPLETED;
        break;
    default:
        sim_fail(sim, "production wants units made, which no recipe does");
        break;
    }
}

static void check_worth(struct sim *sim)
{
    struct sim_production *p = &sim->production;
    for (uint32_t empire = 1; empire <= SIM_EMPIRES; empire++) {
        int64_t worth = p->stock[empire][0] + TOOL_WORTH * p->stock[empire][1];
        for (size_t i = 0; i < p->jobs.count; i++)
            if (p->jobs.items[i].empire == empire)
                worth += p->jobs.items[i].recipe == 0 ? TOOL_WORTH : 2 * TOOL_WORTH;
        if (p->founded[empire] && worth != ALL_WORTH)
            sim_fail(sim, "production: all that empire %u has is worth %lld, not %lld", empire,
                     (long long)worth, (long long)ALL_WORTH);
    }
}

// --- the stream ----------------------------------------------------------------------------------

struct frame {
    Mmorts__Frame__ProductionFrame frame;
    uint32_t empires[64], items[64];
    int64_t amounts[64];
    size_t stocks;
    Mmorts__Frame__JobChange jobs[128], *job_list[128];
    size_t job_count;
};

static void add_stock(void *arg, uint32_t empire, uint16_t item, int64_t amount)
{
    struct frame *f = arg;
    if (f->stocks == 64)
        abort();
    f->empires[f->stocks] = empire;
    f->items[f->stocks] = item;
    f->amounts[f->stocks++] = amount;
}

static void add_event(struct frame *f, unsigned event, const struct production_job *job,
                      const char *reason)
{
    if (f->job_count == 128)
        abort();
    Mmorts__Frame__JobChange *change = &f->jobs[f->job_count];
    mmorts__frame__job_change__init(change);
    change->event = (Mmorts__Frame__JobEvent)event;
    change->job_id = job->id;
    change->empire = job->empire;
    change->building_id = job->building;
    change->recipe = book()->recipes[job->recipe].name;
    change->start_tick = job->start_tick;
    change->end_tick = job->end_tick;
    change->cycles_completed = job->cycles_completed;
    change->reason = (char *)(uintptr_t)reason;
    f->job_list[f->job_count++] = change;
}

static void add_job(void *arg, const struct production_job *job)
{
    add_event(arg, PRODUCTION_STARTED, job, "");
}

static struct sim_bytes *finish(struct frame *f)
{
    char *names[SIM_ITEMS] = {book()->items[0], book()->items[1]};
    f->frame.n_items = SIM_ITEMS;
    f->frame.items = names;
    f->frame.n_stock_empire = f->frame.n_stock_item = f->frame.n_stock_amount = f->stocks;
    f->frame.stock_empire = f->empires;
    f->frame.stock_item = f->items;
    f->frame.stock_amount = f->amounts;
    f->frame.n_jobs = f->job_count;
    f->frame.jobs = f->job_list;
    return sim_bytes_of(&f->frame.base);
}

static void note_moment(struct sim *sim)
{
    struct sim_production *p = &sim->production;
    const struct sim_publisher *publisher = &sim->publishers[SIM_PRODUCTIONS];
    struct sim_stock_moment *moment = &p->history[publisher->seq % SIM_STOCK_HISTORY];
    memset(moment, 0, sizeof *moment);
    moment->epoch = publisher->epoch;
    moment->seq = publisher->seq;
    for (uint32_t empire = 1; empire <= SIM_EMPIRES; empire++)
        memcpy(moment->of[empire].stock, p->stock[empire], sizeof p->stock[empire]);
    for (size_t i = 0; i < p->jobs.count; i++) {
        struct sim_holding *holding = &moment->of[p->jobs.items[i].empire];
        if (holding->job_count == SIM_JOBS)
            abort();
        holding->waits[holding->job_count] = p->jobs.items[i].start_tick == 0;
        holding->jobs[holding->job_count++] = p->jobs.items[i].id;
    }
}

// One transaction, then the frame; a crash may come in between.
static void flush(struct sim *sim)
{
    struct sim_production *p = &sim->production;
    static struct frame f;
    if (p->changes.count == 0)
        return;
    if (sim->store_away_until > sim->round) {
        sim_production_crash(sim);
        return;
    }
    f.stocks = f.job_count = 0;
    mmorts__frame__production_frame__init(&f.frame);
    for (size_t i = 0; i < p->changes.count; i++) {
        const struct production_change *change = &p->changes.items[i];
        store_change(sim, change);
        if (change->kind == PRODUCTION_CHANGE_STOCK)
            add_stock(&f, change->empire, change->item, change->amount);
        else if (change->kind == PRODUCTION_CHANGE_EVENT)
            add_event(&f, change->event, &change->job, change->reason);
    }
    mm_vec_clear(&p->changes);
    check_worth(sim);
    if (!sim->calm && sim_chance(sim, 50)) {
        sim_production_crash(sim);
        return;
    }
    if (f.stocks + f.job_count == 0)
        return;
    sim_publish(sim, SIM_PRODUCTIONS, production_tick(p->core), finish(&f));
    note_moment(sim);
}

// --- world's ticks -------------------------------------------------------------------------------

static void announce(struct sim_production *p, const struct sim_building *building)
{
    if (building->progress >= 1000 && building->owner != 0)
        production_building_set(p->core, building->id, building->owner,
                                sim_types[building->type].name);
}

static struct sim_building *building_of(struct sim_production *p, uint32_t slot)
{
    for (uint32_t i = 0; i < p->building_count; i++)
        if (p->buildings[i].slot == slot)
            return &p->buildings[i];
    return NULL;
}

static void apply_column(struct sim_production *p, const Mmorts__Frame__AttributeColumn *column)
{
    bool owner = column->attribute == MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_OWNER;
    bool progress = column->attribute == MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_PROGRESS;
    for (size_t i = 0; (owner || progress) && i < column->n_entity; i++) {
        struct sim_building *building = building_of(p, column->entity[i]);
        if (!building)
            continue;
        if (progress) {
            building->progress = column->value[i];
        } else if (building->owner != (uint32_t)column->value[i]) {
            production_building_remove(p->core, building->id, &p->changes);
            building->owner = (uint32_t)column->value[i];
        }
        announce(p, building);
    }
}

static void apply_buildings(struct sim_production *p, const Mmorts__Frame__TickFrame *frame)
{
    for (size_t i = 0; i < frame->n_despawned; i++) {
        struct sim_building *building = building_of(p, frame->despawned[i]);
        if (!building)
            continue;
        production_building_remove(p->core, building->id, &p->changes);
        *building = p->buildings[--p->building_count];
    }
    uint32_t first = p->building_count;
    const Mmorts__Frame__SpawnColumns *spawned = frame->spawned;
    for (size_t i = 0; spawned && i < spawned->n_entity; i++) {
        if (sim_types[spawned->type[i]].kind != MMORTS__FRAME__KIND__KIND_BUILDING)
            continue;
        if (p->building_count == SIM_BUILDINGS)
            abort();
        p->buildings[p->building_count++] = (struct sim_building){.slot = spawned->entity[i],
                                                                  .owner = spawned->owner[i],
                                                                  .type = spawned->type[i],
                                                                  .progress = 1000,
                                                                  .id = spawned->id[i]};
    }
    for (size_t i = 0; i < frame->n_columns; i++)
        apply_column(p, frame->columns[i]);
    for (uint32_t i = first; i < p->building_count; i++)
        announce(p, &p->buildings[i]);
}

void sim_production_frame(struct sim *sim, const struct sim_message *message)
{
    struct sim_production *p = &sim->production;
    mm_arena_reset(p->arena);
    ProtobufCAllocator allocator = mm_pb_arena_allocator(p->arena);
    Mmorts__Frame__TickFrame *frame =
        mmorts__frame__tick_frame__unpack(&allocator, message->bytes->len, message->bytes->data);
    if (frame->snapshot) {
        p->building_count = 0;
        production_buildings_clear(p->core);
    }
    production_pause(p->core, frame->state != MMORTS__FRAME__SESSION_STATE__SESSION_STATE_RUNNING);
    for (size_t i = 0; frame->empires && i < frame->empires->n_empire; i++)
        if (production_found(p->core, frame->empires->empire[i], &p->changes) != MM_OK)
            abort();
    apply_buildings(p, frame);
    production_advance(p->core, frame->tick, &p->changes);
    if (frame->snapshot)
        production_buildings_complete(p->core, &p->changes);
    flush(sim);
}

// --- calls ---------------------------------------------------------------------------------------

static void snapshot(struct sim *sim, const struct sim_message *message)
{
    static struct frame f;
    struct sim_production *p = &sim->production;
    const struct sim_publisher *publisher = &sim->publishers[SIM_PRODUCTIONS];
    f.stocks = f.job_count = 0;
    mmorts__frame__production_frame__init(&f.frame);
    f.frame.snapshot = true;
    production_each_stock(p->core, add_stock, &f);
    production_each_job(p->core, 0, add_job, &f);
    sim_send(sim, (struct sim_message){.kind = SIM_SNAPSHOT_REPLY,
                                       .from = SIM_PRODUCTION,
                                       .to = message->from,
                                       .stream = message->stream,
                                       .reader = message->reader,
                                       .call = message->call,
                                       .epoch = publisher->epoch,
                                       .seq = publisher->seq,
                                       .tick = production_tick(p->core),
                                       .bytes = finish(&f)});
}

void sim_production_take(struct sim *sim, const struct sim_message *message)
{
    struct sim_production *p = &sim->production;
    if (message->kind == SIM_SNAPSHOT) {
        snapshot(sim, message);
        return;
    }
    struct production_job job;
    if (message->flag) {
        (void)production_cancel(p->core, message->a, message->b, (uint32_t)message->tick,
                                message->units[0], true, &p->changes);
    } else {
        struct production_order order = {.player_id = message->a,
                                         .client_seq = message->b,
                                         .empire = (uint32_t)message->tick,
                                         .building = message->units[0],
                                         .recipe = sim_recipes[message->q],
                                         .cycles = (uint32_t)message->seq};
        (void)production_start(p->core, &order, &p->changes, &job, NULL);
    }
    flush(sim);
}

// --- life ----------------------------------------------------------------------------------------

static void start(struct sim *sim)
{
    struct sim_production *p = &sim->production;
    p->core = production_new(book(), mm_rng_u64(&sim->rng));
    if (!p->core)
        abort();
    enum mm_err err = MM_OK;
    for (uint32_t empire = 1; empire <= SIM_EMPIRES; empire++) {
        if (p->founded[empire] && err == MM_OK)
            err = production_restore_empire(p->core, empire);
        for (uint16_t item = 0; p->founded[empire] && item < SIM_ITEMS && err == MM_OK; item++)
            err = production_restore_stock(p->core, empire, item, p->stock[empire][item]);
    }
    for (size_t i = 0; i < p->jobs.count && err == MM_OK; i++)
        err = production_restore_job(p->core, &p->jobs.items[i]);
    for (size_t i = 0; i < p->answers.count && err == MM_OK; i++)
        err = production_restore_answer(p->core, p->answers.items[i].player_id,
                                        p->answers.items[i].client_seq,
                                        p->answers.items[i].answer_job);
    if (err != MM_OK)
        sim_fail(sim, "production refused what it had stored: %s", mm_err_name(err));
    p->up = true;
    sim_publisher_open(sim, SIM_PRODUCTIONS, ++p->epochs);
    note_moment(sim);
    sim_reader_open(sim, SIM_PRODUCTION_TICKS, 0, 0);
}

static void stop(struct sim *sim)
{
    struct sim_production *p = &sim->production;
    production_free(p->core);
    p->core = NULL;
    p->building_count = 0;
    mm_vec_clear(&p->changes);
    p->up = false;
    p->life++;
    sim_publisher_close(sim, SIM_PRODUCTIONS);
    sim_reader_close(sim, SIM_PRODUCTION_TICKS);
}

void sim_production_crash(struct sim *sim)
{
    struct sim_production *p = &sim->production;
    if (!p->up)
        return;
    sim_tell(sim, "production dies at tick %llu", (unsigned long long)production_tick(p->core));
    stop(sim);
    p->up_at = sim->round + 1 + sim_below(sim, 40);
    sim->report->production_crashes++;
}

void sim_production_round(struct sim *sim)
{
    struct sim_production *p = &sim->production;
    if (!p->up && sim->round >= p->up_at)
        start(sim);
}

void sim_production_init(struct sim *sim)
{
    struct sim_production *p = &sim->production;
    p->arena = mm_arena_new(1 << 16, 1 << 26);
    if (!p->arena)
        abort();
    mm_vec_init(&p->changes, CHANGES_MAX);
    mm_vec_init(&p->jobs, CHANGES_MAX);
    mm_vec_init(&p->answers, 1 << 20);
    start(sim);
}

void sim_production_free(struct sim *sim)
{
    struct sim_production *p = &sim->production;
    stop(sim);
    mm_vec_free(&p->changes);
    mm_vec_free(&p->jobs);
    mm_vec_free(&p->answers);
    mm_arena_free(p->arena);
}
