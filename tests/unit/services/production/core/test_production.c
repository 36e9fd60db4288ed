#include <criterion/criterion.h>
#include <string.h>

#include "libcommon/base/alloc.h"
#include "libcommon/base/rng.h"
#include "libcommon/base/seq.h"
#include "services/production/core/production.h"

// A book with every feature: two items, a tool, a chance, a modifier.
enum { GOLD, WOOD, ANVIL, ITEMS };
enum { SOLDIER, SWORD, LUCKY, RECIPES };

static char items[ITEMS][PRODUCTION_NAME_BYTES] = {"gold", "wood", "anvil"};
static int64_t starting_stock[ITEMS] = {500, 300, 0};
static struct production_recipe recipes[RECIPES] = {
    [SOLDIER] = {.name = "train_soldier",
                 .category = "training",
                 .buildings = {"settlement", "barracks"},
                 .building_count = 2,
                 .inputs = {{GOLD, 50}, {WOOD, 15}},
                 .input_count = 2,
                 .outputs = {{.is_unit = true,
                              .unit = "soldier",
                              .amount = 1,
                              .probability_permille = 1000}},
                 .output_count = 1,
                 .duration_ticks = 100},
    [SWORD] = {.name = "forge_sword",
               .category = "crafting",
               .buildings = {"settlement"},
               .building_count = 1,
               .inputs = {{WOOD, 10}},
               .input_count = 1,
               .tools = {{ANVIL, 1}},
               .tool_count = 1,
               .outputs = {{.item = GOLD, .amount = 7, .probability_permille = 1000}},
               .output_count = 1,
               .duration_ticks = 30},
    [LUCKY] = {.name = "prospect",
               .category = "crafting",
               .buildings = {"settlement"},
               .building_count = 1,
               .inputs = {{WOOD, 1}},
               .input_count = 1,
               .outputs = {{.item = GOLD, .amount = 1, .probability_permille = 250}},
               .output_count = 1,
               .duration_ticks = 1},
};

static struct production_book book = {
    .items = items,
    .item_count = ITEMS,
    .recipes = recipes,
    .recipe_count = RECIPES,
    .modifiers = {{"barracks", 900, 1500, 750}, {"barracks", 1000, 1000, 500}},
    .modifier_count = 2,
    .starting_stock = starting_stock,
};

static struct production *core;
static struct production_changes changes;

static void set_up(void)
{
    core = production_new(&book, 7);
    mm_vec_init(&changes, 1 << 20);
    cr_assert(production_found(core, 1, &changes) == MM_OK);
    production_building_set(core, 100, 1, "settlement");
    production_building_set(core, 200, 1, "barracks");
    production_advance(core, 10, &changes);
    mm_vec_clear(&changes);
}

static void tear_down(void)
{
    production_free(core);
    mm_vec_free(&changes);
}

TestSuite(production, .init = set_up, .fini = tear_down);

static enum production_reason order(uint64_t building, const char *recipe, uint32_t cycles,
                                    uint64_t seq, struct production_job *job)
{
    struct production_order o = {.player_id = seq ? 9 : 0,
                                 .client_seq = seq,
                                 .empire = 1,
                                 .building = building,
                                 .recipe = recipe,
                                 .cycles = cycles};
    return production_start(core, &o, &changes, job, NULL);
}

static size_t count_kind(enum production_change_kind kind)
{
    size_t count = 0;
    for (size_t i = 0; i < changes.count; i++)
        count += changes.items[i].kind == kind;
    return count;
}

static const struct production_change *last_event(void)
{
    for (size_t i = changes.count; i > 0; i--)
        if (changes.items[i - 1].kind == PRODUCTION_CHANGE_EVENT)
            return &changes.items[i - 1];
    return NULL;
}

Test(production, inputs_go_at_once_and_the_unit_comes_at_its_tick)
{
    struct production_job job;
    cr_assert_eq(order(100, "train_soldier", 1, 1, &job), PRODUCTION_OK);
    cr_assert_eq(production_stock(core, 1, GOLD), 450);
    cr_assert_eq(production_stock(core, 1, WOOD), 285);
    cr_assert_eq(job.start_tick, 10);
    cr_assert_eq(job.end_tick, 110);

    mm_vec_clear(&changes);
    production_advance(core, 109, &changes);
    cr_assert_eq(changes.count, 0);
    production_advance(core, 110, &changes);
    cr_assert_eq(count_kind(PRODUCTION_CHANGE_SPAWN), 1);
    cr_assert_eq(last_event()->event, PRODUCTION_COMPLETED);
    cr_assert_eq(production_job_count(core), 0);
}

// However often a total is heard, and whatever was missed: each portion is in the stock once.
static enum production_reason pay(uint64_t bill, uint64_t settled_below, int64_t gold, int64_t wood,
                                  bool *paid)
{
    const struct production_amount amounts[] = {{GOLD, gold}, {WOOD, wood}};
    struct production_payment payment = {
        .bill = bill,
        .settled_below = settled_below,
        .empire = 1,
        .amounts = amounts,
        .count = 2,
        .known_items = true,
    };
    const char *missing = NULL;
    *paid = false;
    enum production_reason reason = production_pay(core, &payment, &changes, paid, &missing);
    if (reason == PRODUCTION_OK && !*paid && gold <= 500)
        cr_expect_str_eq(missing, changes.count > 0 ? "wood" : "");
    return reason;
}

Test(production, a_bill_is_decided_once_until_it_is_settled)
{
    bool paid;
    cr_assert(pay(1, 1, 100, 50, &paid) == PRODUCTION_OK && paid);
    cr_expect(production_stock(core, 1, GOLD) == 400 && production_stock(core, 1, WOOD) == 250);
    mm_vec_clear(&changes);
    cr_assert(pay(1, 1, 100, 50, &paid) == PRODUCTION_OK && paid, "asked again");
    cr_expect_eq(changes.count, 0u);
    cr_expect_eq(production_stock(core, 1, GOLD), 400);
    // Not covered: nothing is taken, also of what there is, and it stays refused when there is
    // more.
    cr_assert(pay(2, 1, 10, 251, &paid) == PRODUCTION_OK && !paid);
    cr_expect(production_stock(core, 1, GOLD) == 400 && production_stock(core, 1, WOOD) == 250);
    const struct production_amount more = {WOOD, 100};
    cr_assert_eq(production_grant(core, 1, &more, 1, "gift", &changes), PRODUCTION_OK);
    mm_vec_clear(&changes);
    cr_assert(pay(2, 1, 10, 251, &paid) == PRODUCTION_OK && !paid);
    // Settled: forgotten, and never paid by an answer that comes late.
    cr_assert(pay(3, 3, 10, 10, &paid) == PRODUCTION_OK && paid);
    cr_expect_eq(pay(1, 1, 100, 50, &paid), PRODUCTION_REPEATED);
    cr_expect_eq(pay(2, 1, 10, 10, &paid), PRODUCTION_REPEATED);
    cr_expect_eq(production_stock(core, 1, GOLD), 390);
    cr_expect_eq(pay(0, 0, 1, 1, &paid), PRODUCTION_INVALID);
    cr_expect_eq(pay(4, 5, 1, 1, &paid), PRODUCTION_INVALID);
}

Test(production, bills_are_put_back_with_the_state)
{
    bool paid;
    cr_assert_eq(production_restore_bill(core, 8, true), MM_OK);
    cr_assert_eq(production_restore_bill(core, 9, false), MM_OK);
    cr_assert_eq(production_restore_bill(core, 9, true), MM_INVALID_ARGUMENT);
    production_restore_bill_floor(core, 8);
    cr_assert(pay(8, 8, 100, 50, &paid) == PRODUCTION_OK && paid);
    cr_assert(pay(9, 8, 1, 1, &paid) == PRODUCTION_OK && !paid);
    cr_expect_eq(pay(7, 7, 1, 1, &paid), PRODUCTION_REPEATED);
    cr_expect_eq(production_stock(core, 1, GOLD), 500);
}

Test(production, deposits_count_once)
{
    production_deposit(core, 1, "gold_mine", GOLD, 10, &changes);
    cr_assert_eq(production_stock(core, 1, GOLD), 510);
    cr_assert_eq(count_kind(PRODUCTION_CHANGE_STOCK), 1);
    cr_assert_eq(count_kind(PRODUCTION_CHANGE_DEPOSIT), 1);
    mm_vec_clear(&changes);
    production_deposit(core, 1, "gold_mine", GOLD, 10, &changes);
    production_deposit(core, 1, "gold_mine", GOLD, 4, &changes);
    cr_assert_eq(changes.count, 0, "heard before, or from an older state");
    production_deposit(core, 1, "gold_mine", GOLD, 45, &changes);
    production_deposit(core, 1, "nugget", GOLD, 5, &changes);
    cr_assert_eq(production_stock(core, 1, GOLD), 550, "two types may yield the same");
    cr_assert_str_eq(changes.items[0].cause, "gathered gold_mine");
    cr_assert(changes.items[1].amount == 45 && changes.items[0].delta == 35);
    mm_vec_clear(&changes);
    production_deposit(core, 2, "gold_mine", GOLD, 10, &changes);
    production_deposit(core, 1, "gold_mine", ITEMS, 99, &changes);
    cr_assert_eq(changes.count, 0, "no such empire, no such item");
}

// A process that comes back knows what it had taken from what is stored beside the stock.
Test(production, deposits_after_a_restart)
{
    production_deposit(core, 1, "gold_mine", GOLD, 10, &changes);
    struct production *again = production_new(&book, 8);
    cr_assert_eq(production_restore_empire(again, 1), MM_OK);
    cr_assert_eq(production_restore_stock(again, 1, GOLD, 510), MM_OK);
    cr_assert_eq(production_restore_deposit(again, 1, "gold_mine", 10), MM_OK);
    production_deposit(again, 1, "gold_mine", GOLD, 10, &changes);
    cr_assert_eq(production_stock(again, 1, GOLD), 510);
    production_deposit(again, 1, "gold_mine", GOLD, 12, &changes);
    cr_assert_eq(production_stock(again, 1, GOLD), 512);
    production_free(again);
}

Test(production, modifiers_multiply_costs_round_up_yields_and_times_as_said)
{
    struct production_job job;
    cr_assert_eq(order(200, "train_soldier", 1, 1, &job), PRODUCTION_OK);
    cr_assert_eq(production_stock(core, 1, GOLD), 500 - 45);
    cr_assert_eq(production_stock(core, 1, WOOD), 300 - 14, "13.5 rounds up");
    cr_assert_eq(job.end_tick - job.start_tick, 38, "37.5 rounds up");
    cr_assert_eq(production_cost(1, 1), 1, "a cost is at least 1");
    cr_assert_eq(production_yield(1, 999), 0, "a yield rounds down");
}

Test(production, a_building_does_one_job_at_a_time_in_order)
{
    struct production_job first, second;
    order(100, "train_soldier", 1, 1, &first);
    order(100, "train_soldier", 1, 2, &second);
    cr_assert_eq(second.start_tick, 0);
    cr_assert_eq(last_event()->event, PRODUCTION_STARTED, "who waits is told of too");
    cr_assert_eq(last_event()->job.id, second.id);
    cr_assert_eq(last_event()->job.start_tick, 0);
    cr_assert_eq(production_stock(core, 1, GOLD), 400, "waiting jobs have paid too");
    production_advance(core, 1000, &changes); // catches up over many ticks at once
    cr_assert_eq(count_kind(PRODUCTION_CHANGE_SPAWN), 2);
    cr_assert_eq(last_event()->job.start_tick, 110, "it started when the first one ended");
    cr_assert_eq(last_event()->job.end_tick, 210);
}

Test(production, catches_up_in_pieces_to_the_same_end)
{
    struct production_job first, second;
    order(100, "train_soldier", 0, 1, &first);
    order(100, "train_soldier", 1, 2, &second); // waits behind it
    size_t before = changes.count, pieces = 0;
    while (!production_advance_some(core, 100000, changes.count + 3, &changes)) {
        cr_assert_leq(production_tick(core), 1100);
        cr_assert_lt(++pieces, 100);
    }
    cr_assert_geq(pieces, 10, "%zu changes in %zu pieces", changes.count - before, pieces);
    cr_assert_eq(production_tick(core), 100000);
    cr_assert_eq(count_kind(PRODUCTION_CHANGE_SPAWN), 10, "500 gold make ten");
    cr_assert_eq(last_event()->job.id, second.id);
    cr_assert_eq(last_event()->job.end_tick, 1010, "at the tick at which it would have ended");
    cr_assert_eq(production_stock(core, 1, GOLD), 0);
}

Test(production, repeats_until_inputs_run_out)
{
    struct production_job job;
    cr_assert_eq(order(100, "train_soldier", 0, 1, &job), PRODUCTION_OK);
    production_advance(core, 100000, &changes);
    cr_assert_eq(count_kind(PRODUCTION_CHANGE_SPAWN), 10, "500 gold make ten");
    cr_assert_eq(last_event()->event, PRODUCTION_COMPLETED);
    cr_assert_str_eq(last_event()->reason, "inputs_missing");
    cr_assert_eq(last_event()->job.cycles_completed, 10);
    cr_assert_eq(production_stock(core, 1, GOLD), 0);
}

Test(production, a_number_of_cycles_is_done_back_to_back_and_no_more)
{
    struct production_job job;
    cr_assert_eq(order(100, "train_soldier", 3, 1, &job), PRODUCTION_OK);
    for (uint64_t tick = 11; tick <= 1000; tick++) {
        mm_vec_clear(&changes);
        production_advance(core, tick, &changes);
        bool is_end = tick == 110 || tick == 210 || tick == 310;
        cr_assert_eq(count_kind(PRODUCTION_CHANGE_SPAWN), is_end ? 1 : 0, "at tick %lu",
                     (unsigned long)tick);
        cr_assert_eq(count_kind(PRODUCTION_CHANGE_NO_JOB), tick == 310 ? 1 : 0);
    }
    cr_assert_eq(production_stock(core, 1, GOLD), 350);
}

Test(production, tools_must_be_there_and_stay)
{
    struct production_job job;
    const char *missing = NULL;
    struct production_order o = {
        .empire = 1, .building = 100, .recipe = "forge_sword", .cycles = 1};
    cr_assert_eq(production_start(core, &o, &changes, &job, &missing), PRODUCTION_NOT_ENOUGH);
    cr_assert_str_eq(missing, "anvil");
    struct production_amount anvil = {ANVIL, 1};
    cr_assert_eq(production_grant(core, 1, &anvil, 1, "test", &changes), PRODUCTION_OK);
    cr_assert_eq(production_start(core, &o, &changes, &job, NULL), PRODUCTION_OK);
    production_advance(core, 1000, &changes);
    cr_assert_eq(production_stock(core, 1, ANVIL), 1);
    cr_assert_eq(production_stock(core, 1, GOLD), 507);
}

Test(production, a_chance_is_about_what_it_says)
{
    struct production_job job;
    cr_assert_eq(order(100, "prospect", 0, 1, &job), PRODUCTION_OK);
    production_advance(core, 100000, &changes);
    int64_t found = production_stock(core, 1, GOLD) - 500;
    cr_assert(found > 40 && found < 115, "300 tries at a quarter found %ld", (long)found);
}

Test(production, every_refusal_changes_nothing)
{
    struct production_job job;
    cr_assert(production_found(core, 2, &changes) == MM_OK);
    production_building_set(core, 300, 2, "settlement");
    production_building_set(core, 400, 1, "tower");
    mm_vec_clear(&changes);
    cr_assert_eq(order(100, "no such", 1, 1, &job), PRODUCTION_UNKNOWN_RECIPE);
    cr_assert_eq(order(300, "train_soldier", 1, 1, &job), PRODUCTION_UNKNOWN_BUILDING, "not mine");
    cr_assert_eq(order(999, "train_soldier", 1, 1, &job), PRODUCTION_UNKNOWN_BUILDING);
    cr_assert_eq(order(400, "train_soldier", 1, 1, &job), PRODUCTION_WRONG_BUILDING);
    cr_assert_eq(order(100, "train_soldier", 1001, 1, &job), PRODUCTION_INVALID);
    production_pause(core, true);
    cr_assert_eq(order(100, "train_soldier", 1, 1, &job), PRODUCTION_PAUSED);
    production_pause(core, false);
    struct production_order nobody = {.empire = 77, .building = 100, .recipe = "train_soldier"};
    cr_assert_eq(production_start(core, &nobody, &changes, &job, NULL), PRODUCTION_NO_EMPIRE);
    cr_assert_eq(production_cancel(core, 9, 1, 1, 12345, true, &changes), PRODUCTION_UNKNOWN_JOB);
    struct production_amount take[] = {{GOLD, 5}, {WOOD, -301}};
    cr_assert_eq(production_grant(core, 1, take, 2, "x", &changes), PRODUCTION_NOT_ENOUGH);
    cr_assert_eq(changes.count, 0);
    cr_assert_eq(production_stock(core, 1, GOLD), 500);
    cr_assert_eq(order(100, "train_soldier", 1, 1, &job), PRODUCTION_OK,
                 "a refused sequence number may still be used");
}

Test(production, a_repeated_command_is_carried_out_once)
{
    struct production_job job, again;
    cr_assert_eq(order(100, "train_soldier", 1, 5, &job), PRODUCTION_OK);
    mm_vec_clear(&changes);
    cr_assert_eq(order(100, "train_soldier", 1, 5, &again), PRODUCTION_OK);
    cr_assert_eq(again.id, job.id);
    cr_assert_eq(changes.count, 0);
    cr_assert_eq(order(100, "train_soldier", 1, 3, &again), PRODUCTION_OK, "late, but new");
    cr_assert_neq(again.id, job.id);
    cr_assert_eq(order(100, "train_soldier", 1, 200, &again), PRODUCTION_OK);
    cr_assert_eq(order(100, "train_soldier", 1, 100, &again), PRODUCTION_REPEATED,
                 "too far back to know");
}

// Two connections of a player, each with numbers of its own: what one did says nothing of the
// other.
Test(production, ranges_of_numbers_are_told_apart)
{
    struct production_job job, again;
    uint64_t low = mm_seq_range_begin(1000), high = mm_seq_range_begin(2000);
    cr_assert_eq(order(100, "train_soldier", 1, high + 70, &job), PRODUCTION_OK);
    cr_assert_eq(order(100, "train_soldier", 1, low + 1, &again), PRODUCTION_OK);
    cr_assert_neq(again.id, job.id);
    mm_vec_clear(&changes);
    cr_assert_eq(order(100, "train_soldier", 1, high + 70, &again), PRODUCTION_OK);
    cr_assert_eq(again.id, job.id, "the first one's answer");
    cr_assert_eq(changes.count, 0);
    cr_assert_eq(order(100, "train_soldier", 1, high + 1, &again), PRODUCTION_REPEATED,
                 "too far back in its own range");
    // The range used the longest ago gives way, and its answers go; the other one was used since.
    cr_assert_eq(order(100, "train_soldier", 1, low + 2, &again), PRODUCTION_OK);
    production_cancel(core, 9, low + 3, 1, again.id, true, &changes);
    production_cancel(core, 9, low + 4, 1, job.id, true, &changes);
    uint64_t forgotten = 0;
    for (uint64_t i = 1; i < PRODUCTION_SEQ_RANGES; i++) {
        mm_vec_clear(&changes);
        cr_assert_eq(order(100, "train_soldier", 1, mm_seq_range_begin(3000 + i), &job),
                     PRODUCTION_OK);
        for (size_t k = 0; k < changes.count; k++)
            if (changes.items[k].kind == PRODUCTION_CHANGE_ANSWERED && changes.items[k].forgets)
                forgotten = changes.items[k].forgotten_range;
        production_cancel(core, 9, mm_seq_range_begin(3000 + i) + 1, 1, job.id, true, &changes);
    }
    cr_assert_eq(forgotten, 2000);
    cr_assert_eq(order(100, "train_soldier", 1, low + 2, &again), PRODUCTION_REPEATED,
                 "known still, though its job's id is not");
}

Test(production, cancelling_gives_back_only_when_asked)
{
    struct production_job job;
    order(100, "train_soldier", 1, 1, &job);
    cr_assert_eq(production_cancel(core, 9, 2, 1, job.id, true, &changes), PRODUCTION_OK);
    cr_assert_eq(production_stock(core, 1, GOLD), 500);
    order(100, "train_soldier", 1, 3, &job);
    cr_assert_eq(production_cancel(core, 9, 4, 1, job.id, false, &changes), PRODUCTION_OK);
    cr_assert_eq(production_stock(core, 1, GOLD), 450);
    cr_assert_eq(last_event()->event, PRODUCTION_CANCELLED);
}

Test(production, a_lost_building_fails_its_jobs_and_gives_back)
{
    struct production_job job;
    order(100, "train_soldier", 1, 1, &job);
    order(100, "train_soldier", 1, 2, &job);
    production_building_remove(core, 100, &changes);
    cr_assert_eq(production_stock(core, 1, GOLD), 500);
    cr_assert_eq(production_job_count(core), 0);
    cr_assert_str_eq(last_event()->reason, "building_lost");
    production_advance(core, 5000, &changes);
    cr_assert_eq(count_kind(PRODUCTION_CHANGE_SPAWN), 0);
}

Test(production, the_queue_is_bounded)
{
    struct production_job job;
    for (uint64_t i = 1; i <= PRODUCTION_BUILDING_JOBS_MAX; i++)
        cr_assert_eq(order(100, "train_soldier", 1, i, &job), PRODUCTION_OK);
    cr_assert_eq(order(100, "train_soldier", 1, 99, &job), PRODUCTION_QUEUE_FULL);
}

// --- the changes are the whole truth -------------------------------------------------------------

// What a store would hold: filled from the changes alone, then a second state is built from it.
enum { EMPIRES = 5, JOBS_MAX = 4096 };
struct model {
    bool has_empire[EMPIRES + 1];
    int64_t stock[EMPIRES + 1][ITEMS];
    int64_t ledger[EMPIRES + 1][ITEMS];
    struct production_job jobs[JOBS_MAX];
    size_t job_count;
};

static void model_apply(struct model *model, const struct production_changes *list)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct production_change *change = &list->items[i];
        size_t at = 0;
        switch (change->kind) {
        case PRODUCTION_CHANGE_EMPIRE:
            model->has_empire[change->empire] = true;
            break;
        case PRODUCTION_CHANGE_STOCK:
            model->ledger[change->empire][change->item] += change->delta;
            model->stock[change->empire][change->item] = change->amount;
            cr_assert(change->amount >= 0);
            cr_assert_eq(change->amount, model->ledger[change->empire][change->item],
                         "the ledger adds up");
            break;
        case PRODUCTION_CHANGE_JOB:
        case PRODUCTION_CHANGE_NO_JOB:
            while (at < model->job_count && model->jobs[at].id != change->job.id)
                at++;
            if (change->kind == PRODUCTION_CHANGE_JOB) {
                cr_assert_lt(at, JOBS_MAX);
                model->jobs[at] = change->job;
                model->job_count += at == model->job_count;
            } else {
                cr_assert_lt(at, model->job_count, "a job that ends was there");
                model->jobs[at] = model->jobs[--model->job_count];
            }
            break;
        default:
            break;
        }
    }
}

static void compare_job(void *arg, const struct production_job *job)
{
    struct production_job other;
    cr_assert(production_job_get(arg, job->id, &other));
    cr_assert_eq(job->start_tick, other.start_tick);
    cr_assert_eq(job->end_tick, other.end_tick);
    cr_assert_eq(job->cycles_left, other.cycles_left);
    cr_assert_eq(job->cycles_completed, other.cycles_completed);
}

static void compare_stock(void *arg, uint32_t empire, uint16_t item, int64_t amount)
{
    cr_assert_eq(production_stock(arg, empire, item), amount);
}

static struct production *rebuild(const struct model *model, const uint8_t *exists, uint64_t tick)
{
    struct production *state = production_new(&book, 99);
    struct production_changes none;
    mm_vec_init(&none, 1 << 20);
    for (uint32_t e = 1; e <= EMPIRES; e++)
        if (model->has_empire[e])
            cr_assert(production_restore_empire(state, e) == MM_OK);
    for (uint32_t e = 1; e <= EMPIRES; e++)
        for (uint16_t i = 0; model->has_empire[e] && i < ITEMS; i++)
            cr_assert(production_restore_stock(state, e, i, model->stock[e][i]) == MM_OK);
    for (size_t i = 0; i < model->job_count; i++)
        cr_assert(production_restore_job(state, &model->jobs[i]) == MM_OK);
    for (uint32_t b = 1; b <= 2 * EMPIRES; b++)
        if (exists[b])
            production_building_set(state, b, (b + 1) / 2, b % 2 ? "settlement" : "barracks");
    production_advance(state, tick, &none);
    production_buildings_complete(state, &none);
    cr_assert_eq(none.count, 0, "a restored state has nothing to catch up at its own tick");
    mm_vec_free(&none);
    return state;
}

static void random_step(struct production *state, struct mm_rng *rng, uint8_t *exists,
                        struct production_changes *list)
{
    uint32_t empire = (uint32_t)mm_rng_between(rng, 1, EMPIRES + 1);
    uint32_t b = (uint32_t)mm_rng_between(rng, 1, 2 * EMPIRES);
    struct production_job job;
    switch (mm_rng_below(rng, 8)) {
    case 0:
        if (empire <= EMPIRES)
            cr_assert(production_found(state, empire, list) == MM_OK);
        break;
    case 1:
        if (mm_rng_chance(rng, 1, 4)) {
            production_building_remove(state, b, list);
            exists[b] = 0;
            break;
        }
        // fall through
    case 2:
        production_building_set(state, b, (b + 1) / 2, b % 2 ? "settlement" : "barracks");
        exists[b] = 1;
        break;
    case 3: {
        struct production_amount amount = {(uint16_t)mm_rng_below(rng, ITEMS),
                                           mm_rng_between(rng, -80, 100)};
        (void)production_grant(state, empire, &amount, 1, "random", list);
        break;
    }
    case 4: {
        uint64_t id = 0;
        struct production_job found;
        for (size_t i = list->count; i > 0 && !id; i--)
            if (list->items[i - 1].kind == PRODUCTION_CHANGE_JOB)
                id = list->items[i - 1].job.id;
        if (production_job_get(state, id, &found))
            (void)production_cancel(state, 0, 0, found.empire, id, mm_rng_chance(rng, 1, 2), list);
        break;
    }
    default: {
        struct production_order o = {
            .empire = (b + 1) / 2,
            .building = b,
            .recipe = recipes[mm_rng_below(rng, RECIPES)].name,
            .cycles = (uint32_t)mm_rng_below(rng, 4),
        };
        (void)production_start(state, &o, list, &job, NULL);
    }
    }
}

Test(production, any_history_can_be_restored_from_its_changes)
{
    static struct model model;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct mm_rng rng;
        mm_rng_seed(&rng, seed);
        memset(&model, 0, sizeof model);
        uint8_t exists[2 * EMPIRES + 1] = {0};
        struct production *state = production_new(&book, seed);
        uint64_t tick = 1;
        production_advance(state, tick, &changes);
        for (int step = 0; step < 600; step++) {
            mm_vec_clear(&changes);
            random_step(state, &rng, exists, &changes);
            if (mm_rng_chance(&rng, 1, 3))
                production_advance(state, tick += mm_rng_below(&rng, 60), &changes);
            model_apply(&model, &changes);
            cr_assert_eq(production_job_count(state), model.job_count);
            if (step % 50 != 49)
                continue;
            struct production *copy = rebuild(&model, exists, tick);
            production_each_job(state, 0, compare_job, copy);
            production_each_stock(state, compare_stock, copy);
            cr_assert_eq(production_job_count(copy), production_job_count(state));
            production_free(copy);
        }
        production_free(state);
    }
}
