#include "services/world/shell.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/clock.h"
#include "libcommon/base/log.h"
#include <inttypes.h>
#include <protobuf-c/protobuf-c.h>
#include <string.h>

// Time: 20 ticks a second on the loop's absolute timer.

static bool may_simulate(const struct world_shell *shell)
{
    return shell->pending_count < shell->pending_capacity &&
           world_tick(shell->world) + 1 <= shell->tick_reserved;
}

const char *world_ticker_waits(const struct world_shell *shell)
{
    if (!may_simulate(shell))
        return "database";
    return world_is_paused(shell->world) ? "operator" : "";
}

struct world_pending *world_pending_newest(struct world_shell *shell)
{
    size_t last = (shell->pending_first + shell->pending_count - 1) % shell->pending_capacity;
    return shell->pending_count > 0 ? &shell->pending[last] : NULL;
}

// --- one tick -----------------------------------------------------------------------------------

// On the thread that runs the system, or a part of it; several may at once.
static void time_system(void *ctx, size_t system, const char *name, bool begins)
{
    static _Thread_local uint64_t began_ns;
    (void)name;
    struct world_shell *shell = ctx;
    uint64_t now = mm_clock_ns();
    if (begins)
        began_ns = now;
    else // never 0, which says that it did not run
        atomic_fetch_add(&shell->system_spent_ns[system], now - began_ns + 1);
}

// A system's time in a tick is that of all its parts together.
static void tell_system_times(struct world_shell *shell)
{
    for (size_t i = 0; i < world_system_count(); i++) {
        uint64_t spent_ns = atomic_exchange(&shell->system_spent_ns[i], 0);
        if (spent_ns > 0)
            mm_metrics_observe(shell->figures.system_seconds[i], spent_ns / 1000);
    }
}

static size_t gather_inputs(struct world_shell *shell)
{
    size_t count = 0;
    for (struct world_call *call = shell->calls; call; call = call->next)
        for (size_t i = 0; i < call->asked_count; i++)
            shell->inputs[count++] = &call->asked[i].input;
    world_inputs_sort(shell->inputs, count);
    return count;
}

// Results live in the tick's arena; calls are answered later.
static void hand_out(struct world_shell *shell, const struct world_result *results, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ((struct world_asked *)(uintptr_t)shell->inputs[i])->result = results[i];
    for (struct world_call *call = shell->calls; call; call = call->next) {
        struct world_result *result = &call->asked[0].result;
        if (call->asked_count != 1 || result->entity_count == 0)
            continue;
        call->entities = mm_malloc(result->entity_count * sizeof *call->entities);
        MM_CHECK(call->entities);
        memcpy(call->entities, result->entities, result->entity_count * sizeof *call->entities);
        result->entities = call->entities;
    }
}

static void pack_into(struct mm_buf *out, const ProtobufCMessage *message)
{
    mm_buf_reset(out);
    size_t size = protobuf_c_message_get_packed_size(message);
    MM_CHECK(mm_buf_reserve(out, size));
    out->len = protobuf_c_message_pack(message, out->data);
}

// Only what changed something is worth remembering; the rest changes nothing when it is missing.
static void write_row(struct world_shell *shell, struct world_pending *pending,
                      const struct world_result *results, size_t count)
{
    Mmorts__World__JournalEntry entry = MMORTS__WORLD__JOURNAL_ENTRY__INIT;
    entry.inputs = mm_arena_calloc(shell->tick_arena, count + 1, sizeof *entry.inputs);
    MM_CHECK(entry.inputs);
    for (size_t i = 0; i < count; i++)
        if (results[i].applied)
            entry.inputs[entry.n_inputs++] = (world_input *)(uintptr_t)shell->inputs[i];
    pending->journaled = entry.n_inputs > 0;
    if (pending->journaled)
        pack_into(&pending->row, &entry.base);
}

static void count_inputs(struct world_shell *shell, const struct world_result *results,
                         size_t count)
{
    mm_counter_add(shell->figures.inputs_total, count);
    for (size_t i = 0; i < count; i++)
        if ((shell->inputs[i]->input_case == MMORTS__WORLD__INPUT__INPUT_COMMAND &&
             results[i].bill == 0) ||
            shell->inputs[i]->input_case == MMORTS__WORLD__INPUT__INPUT_SETTLEMENT)
            world_figures_command(shell, results[i].reason);
}

static void make_tick(struct world_shell *shell, uint64_t due_ns)
{
    uint64_t began = mm_clock_ns();
    mm_arena_reset(shell->tick_arena);
    size_t count = gather_inputs(shell);
    struct world_result *results = mm_arena_calloc(shell->tick_arena, count + 1, sizeof *results);
    MM_CHECK(results);
    uint64_t stepping = mm_clock_ns();
    world_step(shell->world, shell->inputs, count, shell->tick_arena, results);
    shell->made_ns += mm_clock_ns() - stepping;
    world_saves_follow(shell, false);
    tell_system_times(shell);

    shell->pending_count++;
    struct world_pending *pending = world_pending_newest(shell);
    pending->tick = world_tick(shell->world);
    pending->due_ns = due_ns;
    pending->state_hash = world_state_hash(shell->world);
    pending->waiters = NULL;
    pending->bill_floor = world_bill_floor(shell->world);
    pending->bill_next = world_bill_next(shell->world);
    write_row(shell, pending, results, count);
    hand_out(shell, results, count);
    count_inputs(shell, results, count);
    world_bills_stepped(shell); // some calls may end with it, and so their inputs
    pending->calls = shell->calls;
    shell->calls = NULL;
    shell->calls_tail = &shell->calls;
    shell->call_count = 0;
    shell->asked_count = 0;

    Mmorts__Frame__TickFrame *frame = world_frame(shell->world, shell->tick_arena);
    MM_CHECK(frame);
    pack_into(&pending->frame, &frame->base);
    mm_metrics_observe(shell->figures.frame_bytes, pending->frame.len);
    mm_counter_add(shell->figures.ticks_total, 1);
    mm_metrics_observe(shell->figures.tick_seconds, (mm_clock_ns() - began) / 1000);
}

// --- when ---------------------------------------------------------------------------------------

static void on_tick(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop;
    struct world_shell *shell = arg;
    uint64_t due = timer->expirations;
    uint64_t now = mm_clock_ns(), scheduled = timer->deadline_ns - due * timer->period_ns;
    mm_metrics_observe(shell->figures.lateness_seconds,
                       now > scheduled ? (now - scheduled) / 1000 : 0);
    uint64_t most = due < WORLD_CATCH_UP_TICKS_MAX ? due : WORLD_CATCH_UP_TICKS_MAX, made = 0;
    for (; made < most && may_simulate(shell); made++) {
        if (world_is_paused(shell->world) && !shell->calls)
            break;
        make_tick(shell, scheduled + made * timer->period_ns);
    }
    if (!world_is_paused(shell->world) && made < due)
        mm_counter_add(shell->figures.ticks_dropped, due - made);
    mm_service_condition_set(shell->service, shell->running_condition, may_simulate(shell));
    world_journal_kick(shell);
    world_publish_ready(shell);
    world_saves_follow(shell, true);
}

void world_ticker_start(struct world_shell *shell)
{
    world_set_system_hook(shell->world, time_system, shell);
    mm_loop_timer_init(&shell->tick_timer, on_tick, shell);
    mm_loop_timer_start(shell->loop, &shell->tick_timer, 0, MM_LOOP_MS(WORLD_TICK_MS));
}

void world_ticker_stop(struct world_shell *shell)
{
    mm_loop_timer_stop(shell->loop, &shell->tick_timer);
}

// --- calls --------------------------------------------------------------------------------------

static bool has_room(const struct world_shell *shell, const struct world_call *call)
{
    return shell->call_count + shell->bills.waiting_count < WORLD_CALLS_MAX &&
           shell->asked_count + call->asked_count <= WORLD_INPUTS_MAX;
}

bool world_ticker_offer(struct world_shell *shell, struct world_call *call)
{
    if (shell->stopping || !world_journal_available(shell) || !has_room(shell, call))
        return false;
    shell->call_count++;
    shell->asked_count += call->asked_count;
    *shell->calls_tail = call;
    shell->calls_tail = &call->next;
    return true;
}

void world_ticker_take(struct world_shell *shell, struct world_call *call)
{
    if (!shell->world || shell->stopping)
        world_call_refuse(call, MM_UNAVAILABLE, "the session is not running");
    else if (!world_journal_available(shell))
        world_call_refuse(call, MM_UNAVAILABLE, "the database is away");
    else if (!world_ticker_offer(shell, call))
        world_call_refuse(call, MM_RESOURCE_EXHAUSTED, "too many calls are waiting");
}
