#include "services/sync/core/stock.h"

#include <criterion/criterion.h>
#include <string.h>

// What production tells becomes amounts and job events, once each, also across a gap.

static struct sync_stock stock;

static void setup(void)
{
    cr_assert_eq(sync_stock_init(&stock), MM_OK);
}

static void teardown(void)
{
    sync_stock_free(&stock);
}

TestSuite(sync_stock, .init = setup, .fini = teardown);

struct job {
    uint64_t id;
    unsigned event;
    uint64_t end;
};

// A frame for empire 7: amounts of gold (item 0) and wood (1), -1 = not in it, and jobs.
static enum mm_err apply(bool snapshot, int64_t gold, int64_t wood, const struct job *jobs,
                         size_t job_count)
{
    char *items[] = {"gold", "wood"};
    uint32_t empire[2], item[2];
    int64_t amount[2];
    Mmorts__Frame__ProductionFrame frame = MMORTS__FRAME__PRODUCTION_FRAME__INIT;
    frame.snapshot = snapshot;
    frame.n_items = 2;
    frame.items = items;
    const int64_t amounts[] = {gold, wood};
    for (uint32_t i = 0; i < 2; i++) {
        if (amounts[i] < 0)
            continue;
        empire[frame.n_stock_empire] = 7;
        item[frame.n_stock_empire] = i;
        amount[frame.n_stock_empire++] = amounts[i];
    }
    frame.n_stock_item = frame.n_stock_amount = frame.n_stock_empire;
    frame.stock_empire = empire;
    frame.stock_item = item;
    frame.stock_amount = amount;
    Mmorts__Frame__JobChange changes[8], *pointers[8];
    for (size_t i = 0; i < job_count; i++) {
        mmorts__frame__job_change__init(&changes[i]);
        changes[i].event = (Mmorts__Frame__JobEvent)jobs[i].event;
        changes[i].job_id = jobs[i].id;
        changes[i].empire = 7;
        changes[i].recipe = "train_soldier";
        changes[i].end_tick = jobs[i].end;
        pointers[i] = &changes[i];
    }
    frame.n_jobs = job_count;
    frame.jobs = pointers;
    return sync_stock_apply(&stock, &frame);
}

static struct sync_holding *holding(void)
{
    return sync_stock_holding(&stock, 7);
}

static int64_t amount_of(const char *name)
{
    for (size_t i = 0; i < holding()->amounts.count; i++) {
        const struct sync_amount *amount = &holding()->amounts.items[i];
        if (strcmp(stock.items.items[amount->item], name) == 0)
            return amount->amount;
    }
    return -1;
}

Test(sync_stock, amounts_are_states)
{
    cr_assert_eq(apply(true, 500, 30, NULL, 0), MM_OK);
    cr_expect(holding()->dirty && amount_of("gold") == 500 && amount_of("wood") == 30);
    sync_holding_told(holding());
    cr_assert_eq(apply(false, 500, -1, NULL, 0), MM_OK);
    cr_expect_not(holding()->dirty, "nothing is news");
    cr_assert_eq(apply(false, 450, -1, NULL, 0), MM_OK);
    cr_assert_eq(apply(false, 400, -1, NULL, 0), MM_OK);
    cr_expect(holding()->dirty && amount_of("gold") == 400 && amount_of("wood") == 30);
}

// Whoever comes beside another client is told what it is now, the other with the next update; and
// that must reach both if it changes back before.
Test(sync_stock, what_one_of_several_was_told_is_not_taken_back_in_silence)
{
    cr_assert_eq(apply(true, 51, 4, NULL, 0), MM_OK);
    struct sync_holding *holding = sync_stock_holding(&stock, 7);
    sync_holding_told(holding);
    cr_assert_eq(apply(false, 45, -1, NULL, 0), MM_OK);
    sync_holding_told_beside(holding);
    cr_assert_eq(apply(false, 51, -1, NULL, 0), MM_OK);
    cr_expect(holding->dirty);
    cr_expect_not(holding->amounts.items[0].told, "one of them was told 45");
    cr_expect(holding->amounts.items[1].told, "nothing is new to either of them");
    sync_holding_told(holding);
    cr_expect(holding->amounts.items[0].told && holding->amounts.items[0].told_amount == 51);
}

Test(sync_stock, a_snapshot_says_what_is_gone)
{
    cr_assert_eq(apply(true, 500, 30, NULL, 0), MM_OK);
    sync_holding_told(holding());
    cr_assert_eq(apply(true, 500, -1, NULL, 0), MM_OK);
    cr_expect(amount_of("gold") == 500 && amount_of("wood") == 0);
}

Test(sync_stock, jobs_are_told_to_who_watches)
{
    cr_assert_eq(apply(false, -1, -1, (struct job[]){{1, 1, 10}, {2, 1, 20}}, 2), MM_OK);
    cr_expect_eq(holding()->jobs.count, 2);
    cr_expect_eq(holding()->events.count, 0, "nobody watches");
    sync_holding_told(holding());
    cr_assert_eq(apply(false, -1, -1, (struct job[]){{1, 2, 11}, {1, 2, 12}, {2, 3, 20}}, 3),
                 MM_OK);
    cr_assert_eq(holding()->events.count, 2, "steps of progress are merged");
    cr_expect_eq(holding()->events.items[0].end_tick, 12);
    cr_expect_eq(holding()->events.items[1].event, 3);
    cr_expect_eq(holding()->jobs.count, 1);
    sync_holding_unwatch(holding());
    cr_expect(holding()->events.count == 0 && !holding()->dirty);
}

Test(sync_stock, a_gap_becomes_events)
{
    cr_assert_eq(apply(false, -1, -1, (struct job[]){{1, 1, 10}, {2, 1, 20}, {3, 1, 30}}, 3),
                 MM_OK);
    sync_holding_told(holding());
    // Job 1 is as it was, 2 went on, 3 is over, 4 is new.
    cr_assert_eq(apply(true, -1, -1, (struct job[]){{1, 1, 10}, {2, 1, 25}, {4, 1, 40}}, 3), MM_OK);
    cr_assert_eq(holding()->events.count, 3);
    const struct sync_job *events = holding()->events.items;
    cr_expect(events[0].id == 3 && events[0].event == SYNC_JOB_ENDED);
    cr_expect(events[1].id == 2 && events[1].event == 2 && events[1].end_tick == 25);
    cr_expect(events[2].id == 4 && events[2].event == 1);
    cr_expect_eq(holding()->jobs.count, 3);
}

Test(sync_stock, events_without_bound_become_a_full_state)
{
    sync_holding_told(holding());
    for (uint64_t i = 1; i <= SYNC_JOB_EVENTS_MAX + 1; i++) {
        cr_assert_eq(apply(false, -1, -1, (struct job[]){{i, 1, 0}, {i, 3, 0}}, 2), MM_OK);
        if (holding()->lost)
            break;
    }
    cr_expect(holding()->lost);
    sync_holding_told(holding());
    cr_expect(!holding()->lost && holding()->events.count == 0);
}

Test(sync_stock, nonsense_is_refused_whole)
{
    cr_assert_eq(apply(true, 500, -1, NULL, 0), MM_OK);
    char *items[] = {"gold"};
    uint32_t empire[] = {7}, item[] = {1};
    int64_t amount[] = {5};
    Mmorts__Frame__ProductionFrame frame = MMORTS__FRAME__PRODUCTION_FRAME__INIT;
    frame.n_items = 1;
    frame.items = items;
    frame.n_stock_empire = frame.n_stock_item = frame.n_stock_amount = 1;
    frame.stock_empire = empire;
    frame.stock_item = item; // an item that the frame does not name
    frame.stock_amount = amount;
    cr_expect_eq(sync_stock_apply(&stock, &frame), MM_DATA_LOSS);
    item[0] = 0;
    empire[0] = 0; // nobody's
    cr_expect_eq(sync_stock_apply(&stock, &frame), MM_DATA_LOSS);
    frame.n_stock_amount = 0; // a column that is too short
    empire[0] = 7;
    cr_expect_eq(sync_stock_apply(&stock, &frame), MM_DATA_LOSS);
    cr_expect_eq(amount_of("gold"), 500);
}
