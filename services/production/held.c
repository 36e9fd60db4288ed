#include "services/production/app.h"

// A client learns of a building from world's frames by way of sync, production by a stream of its
// own: either may be first. So an order says up to where the game was seen, and waits here until
// that much has come. It comes in order behind those that wait already, for whoever orders never
// says less than before.

enum { EXPIRY_MS = 100 };

static bool may_come(const struct production_app *app)
{
    return app->core && app->feed.is_live && !app->is_draining;
}

void production_held_run(struct production_app *app)
{
    struct production_held *held = &app->held;
    size_t kept = 0;
    for (size_t i = 0; i < held->calls.count; i++) {
        struct production_held_call one = held->calls.items[i];
        if (mm_rpc_call_deadline_left_ms(one.call) == 0)
            mm_rpc_fail(one.call, MM_DEADLINE_EXCEEDED, "the tick that was seen has not come");
        else if (may_come(app) && one.input->seen_tick > production_tick(app->core))
            held->calls.items[kept++] = one;
        else
            production_rpc_start(app, one.call, one.input);
    }
    held->calls.count = kept;
    if (kept == 0)
        mm_loop_timer_stop(app->loop, &held->expiry);
}

void production_held_add(struct production_app *app, struct mm_rpc_call *call,
                         const Mmorts__Production__StartJobRequest *input)
{
    struct production_held *held = &app->held;
    struct production_held_call one = {call, input};
    if (!mm_vec_push(&held->calls, one)) {
        mm_rpc_fail(call, MM_RESOURCE_EXHAUSTED, "%d calls are waiting for a tick",
                    PRODUCTION_HELD_MAX);
        return;
    }
    if (!held->expiry.active)
        mm_loop_timer_start(app->loop, &held->expiry, MM_LOOP_MS(EXPIRY_MS), MM_LOOP_MS(EXPIRY_MS));
}

// Also while no tick comes nobody is kept waiting in vain.
static void on_expiry(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop;
    (void)timer;
    production_held_run(arg);
}

void production_held_open(struct production_app *app)
{
    mm_vec_init(&app->held.calls, PRODUCTION_HELD_MAX);
    mm_loop_timer_init(&app->held.expiry, on_expiry, app);
}

void production_held_close(struct production_app *app)
{
    app->is_draining = true;
    production_held_run(app);
    mm_vec_free(&app->held.calls);
}
