#include "services/world/shell.h"

#include "gen/production.pb-c.h"
#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/log.h"
#include <inttypes.h>

// Bills: what players ordered that production must take from their stock first.
//
//   command -> tick t opens a bill -> t is durable -> Pay -> what production says is an input of
//   tick u -> u is durable -> the command is answered
//
// Nothing is asked about before it is durable, so no crash forgets a bill that may have been paid;
// production decides each bill once and says the same whenever it is asked again, so after a crash,
// or an answer that got lost, it is simply asked again. Production is told which bills are settled
// as of what is durable: those it may forget.

enum { ASK_DEADLINE_MS = 3000, ASK_AGAIN_MS = 200 };

static struct world_asking *asking_of(struct world_shell *shell, uint64_t number)
{
    for (size_t i = 0; i < WORLD_BILLS_ASKED_MAX; i++)
        if (shell->bills.asked[i].number == number)
            return &shell->bills.asked[i];
    return NULL;
}

static void ask_again_later(struct world_shell *shell)
{
    if (!shell->bills.retry.active && !shell->stopping)
        mm_loop_timer_start(shell->loop, &shell->bills.retry, MM_LOOP_MS(ASK_AGAIN_MS), 0);
}

static void no_answer(struct world_shell *shell, struct world_call *call)
{
    (void)shell;
    (void)call;
}

// Puts what production said among the inputs of the next tick.
static bool settle(struct world_shell *shell, uint64_t number, bool paid)
{
    struct world_call *call = mm_calloc(1, sizeof *call + sizeof call->asked[0]);
    MM_CHECK(call);
    mmorts__world__input__init(&call->asked[0].input);
    mmorts__world__settlement__init(&call->settlement);
    call->settlement.bill = number;
    call->settlement.paid = paid;
    call->asked[0].input.input_case = MMORTS__WORLD__INPUT__INPUT_SETTLEMENT;
    call->asked[0].input.settlement = &call->settlement;
    call->asked_count = 1;
    call->answer = no_answer;
    if (world_ticker_offer(shell, call))
        return true;
    world_call_free(call);
    return false;
}

static void on_paid(void *arg, const struct mm_rpc_result *result)
{
    struct world_asking *asking = arg;
    struct world_shell *shell = asking->shell;
    const Mmorts__Production__PayReply *reply = (const void *)result->reply;
    bool decided = result->code == MM_OK, paid = decided && reply->paid;
    if (result->code == MM_FAILED_PRECONDITION || result->code == MM_INVALID_ARGUMENT ||
        result->code == MM_UNIMPLEMENTED) {
        // Production's records are not of this session, or of a later state of it: it will never
        // decide, and nothing was taken for this state of the world.
        MM_LOG_ERROR("production refuses a bill for good", "bill=%" PRIu64 " err=%s",
                     asking->number, mm_err_name(result->code));
        decided = true;
    }
    asking->answered = decided && settle(shell, asking->number, paid);
    if (!asking->answered) {
        asking->number = 0;
        ask_again_later(shell);
    }
}

static enum mm_err ask(struct world_shell *shell, const struct world_bill_view *bill,
                       struct world_asking *asking)
{
    const struct world_rules *rules = world_rules_of(shell->world);
    Mmorts__Production__Amount amounts[WORLD_ITEMS_MAX], *list[WORLD_ITEMS_MAX];
    Mmorts__Production__PayRequest request = MMORTS__PRODUCTION__PAY_REQUEST__INIT;
    request.session = (char *)(uintptr_t)mm_service_session(shell->service);
    request.bill = bill->number;
    request.settled_below = shell->bills.floor;
    request.empire = bill->empire;
    request.amounts = list;
    for (uint32_t item = 0; item < rules->item_count; item++) {
        if (bill->cost[item] == 0)
            continue;
        Mmorts__Production__Amount *amount = &amounts[request.n_amounts];
        mmorts__production__amount__init(amount);
        amount->item = (char *)(uintptr_t)rules->items[item];
        amount->amount = bill->cost[item];
        list[request.n_amounts++] = amount;
    }
    struct mm_rpc_call_options options = {.deadline_ms = ASK_DEADLINE_MS, .idempotent = true};
    return mm_rpc_call(mm_service_peer(shell->service, "production"),
                       &mmorts__production__production__descriptor, "Pay", &request.base, &options,
                       on_paid, asking, &asking->call);
}

void world_bills_ask(struct world_shell *shell)
{
    struct world_bill_view bill;
    uint64_t cursor = 0;
    while (!shell->stopping && world_next_bill(shell->world, &cursor, &bill) &&
           bill.number < shell->bills.next) {
        struct world_asking *asking = asking_of(shell, 0);
        if (asking_of(shell, bill.number))
            continue;
        if (!asking)
            return; // the next one published, or answered, comes back here
        *asking = (struct world_asking){.shell = shell, .number = bill.number};
        if (ask(shell, &bill, asking) == MM_OK)
            continue;
        asking->number = 0;
        ask_again_later(shell);
        return;
    }
}

static void ask_again(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop;
    (void)timer;
    world_bills_ask(arg);
}

// --- the commands that wait ---------------------------------------------------------------------

static size_t open_bills(const struct world_call *call)
{
    size_t count = 0;
    for (size_t i = 0; i < call->asked_count; i++)
        count += call->asked[i].input.input_case == MMORTS__WORLD__INPUT__INPUT_COMMAND &&
                 call->asked[i].result.bill != 0;
    return count;
}

// Hands a settlement's result to the commands that wait for it; a repeated one waits as well.
static void hand_on(struct world_shell *shell, uint64_t number, const struct world_result *settled)
{
    struct world_asking *asking = asking_of(shell, number);
    if (asking)
        asking->number = 0;
    if (!settled->applied)
        return; // it was settled before
    for (struct world_call *call = shell->bills.waiting; call; call = call->next)
        for (size_t i = 0; i < call->asked_count; i++) {
            struct world_result *result = &call->asked[i].result;
            if (call->asked[i].input.input_case != MMORTS__WORLD__INPUT__INPUT_COMMAND ||
                result->bill != number)
                continue;
            *result = *settled;
            result->bill = 0;
            call->bill_count--;
        }
}

// A call that waits takes up a place that others could be served in. Whether its command will be
// carried out is not known: its caller asks again.
static void give_up(struct world_call *call)
{
    world_call_refuse(call, MM_DEADLINE_EXCEEDED, "production has not decided yet");
}

void world_bills_stepped(struct world_shell *shell)
{
    struct world_call **link = &shell->calls, **waiting = &shell->bills.waiting;
    for (struct world_call *call = shell->calls; call; call = call->next)
        if (call->asked[0].input.input_case == MMORTS__WORLD__INPUT__INPUT_SETTLEMENT)
            hand_on(shell, call->settlement.bill, &call->asked[0].result);
    while (*waiting) {
        struct world_call *call = *waiting;
        bool is_late = mm_rpc_call_deadline_left_ms(call->call) == 0;
        if (call->bill_count > 0 && !is_late) {
            waiting = &call->next;
            continue;
        }
        *waiting = call->next;
        shell->bills.waiting_count--;
        if (call->bill_count > 0) {
            give_up(call); // whoever asked does not wait any more
            continue;
        }
        call->next = shell->calls;
        shell->calls = call;
        if (link == &shell->calls)
            link = &call->next;
    }
    while (*link) {
        struct world_call *call = *link;
        call->bill_count = open_bills(call);
        if (call->bill_count == 0) {
            link = &call->next;
            continue;
        }
        *link = call->next;
        if (shell->bills.waiting_count >= WORLD_BILL_CALLS_MAX) {
            give_up(call);
            continue;
        }
        call->next = shell->bills.waiting;
        shell->bills.waiting = call;
        shell->bills.waiting_count++;
    }
}

void world_bills_start(struct world_shell *shell)
{
    mm_loop_timer_init(&shell->bills.retry, ask_again, shell);
    shell->bills.floor = world_bill_floor(shell->world);
    shell->bills.next = world_bill_next(shell->world);
    world_bills_ask(shell);
}

void world_bills_stop(struct world_shell *shell)
{
    mm_loop_timer_stop(shell->loop, &shell->bills.retry);
    for (size_t i = 0; i < WORLD_BILLS_ASKED_MAX; i++) {
        struct world_asking *asking = &shell->bills.asked[i];
        if (asking->number != 0 && !asking->answered)
            mm_rpc_cancel(mm_service_peer(shell->service, "production"), asking->call);
        asking->number = 0;
    }
    while (shell->bills.waiting) {
        struct world_call *call = shell->bills.waiting;
        shell->bills.waiting = call->next;
        shell->bills.waiting_count--;
        world_call_refuse(call, MM_UNAVAILABLE, "the session is ending");
    }
}
