#include "gen/world.pb-c.h"
#include "libcommon/base/alloc.h"
#include "libcommon/base/log.h"
#include "services/vision/app.h"

#include <string.h>

// World is told who lends whom sight, so that an empire may aim at whatever it is shown: at once
// when it is ordered, and the end when it takes effect, so that nothing is shown that world would
// not let an empire aim at. (Who is allied it is told by alliances.c.)
//
// What is said is all there is to say of a range of borrowers, one call after another: so it does
// not matter whether an earlier call arrived, and repeating what is so already is no change to
// world. Everything is said when world's stream comes to life, after a failure, and every
// alliances.reread, should anybody else have told world something.

enum {
    TELL_DEADLINE_MS = 5000,
    TELL_PAIRS_MAX = 4096, // of one call, as world has it
    TELL_PAUSE_MS = 500,   // after one that failed
};

static void add_range(struct vision_app *app, uint32_t first, uint32_t last)
{
    if (app->lends.last == 0 || first < app->lends.first)
        app->lends.first = first;
    if (last > app->lends.last)
        app->lends.last = last;
}

static void start_timer(struct vision_app *app, int64_t ms)
{
    mm_loop_timer_start(app->loop, &app->lends.timer, MM_LOOP_MS((uint64_t)ms), 0);
}

static void failed(struct vision_app *app, enum mm_err err)
{
    if (!app->lends.failing)
        MM_LOG_WARN("world does not take who lends sight; it will be told again", "error=%s",
                    mm_err_name(err));
    app->lends.failing = true;
    start_timer(app, TELL_PAUSE_MS);
}

static void on_told(void *arg, const struct mm_rpc_result *result)
{
    struct vision_app *app = arg;
    app->lends.call = 0;
    if (result->code != MM_OK) {
        add_range(app, app->lends.saying_first, app->lends.saying_to);
        failed(app, result->code);
        return;
    }
    app->lends.failing = false;
    vision_lends_tell(app);
}

// Says all of borrowers from app->lends.first on that fits into one call, and takes them off.
static enum mm_err say(struct vision_app *app)
{
    struct vision_lenders lenders;
    uint32_t first = app->lends.first, last = app->lends.last;
    enum mm_err err = vision_lenders(app->core, first, last, TELL_PAIRS_MAX, &lenders);
    if (err != MM_OK)
        return err;
    Mmorts__World__SetSharingRequest request = MMORTS__WORLD__SET_SHARING_REQUEST__INIT;
    request.borrower = mm_calloc(lenders.count + 1, sizeof *request.borrower);
    request.lender = mm_calloc(lenders.count + 1, sizeof *request.lender);
    if (!request.borrower || !request.lender)
        err = MM_RESOURCE_EXHAUSTED;
    for (size_t i = 0; err == MM_OK && i < lenders.count; i++) {
        request.borrower[i] = (uint32_t)(lenders.pairs[i] >> 32);
        request.lender[i] = (uint32_t)lenders.pairs[i];
    }
    request.n_borrower = request.n_lender = lenders.count;
    request.session = (char *)(uintptr_t)app->session;
    request.first = first;
    request.last = lenders.last;
    request.allies = app->settings.alliances_share ? MMORTS__WORLD__ALLIES_LEND__ALLIES_LEND_ALL
                                                   : MMORTS__WORLD__ALLIES_LEND__ALLIES_LEND_SHARED;
    struct mm_rpc_call_options options = {.deadline_ms = TELL_DEADLINE_MS, .idempotent = true};
    if (err == MM_OK)
        err = mm_rpc_call(mm_service_peer(app->service, "world"), &mmorts__world__world__descriptor,
                          "SetSharing", &request.base, &options, on_told, app, &app->lends.call);
    if (err == MM_OK) {
        app->lends.saying_first = first;
        app->lends.saying_to = lenders.last;
        app->lends.first = lenders.last + 1;
        if (lenders.last == last)
            app->lends.first = app->lends.last = 0;
    } else {
        app->lends.call = 0;
    }
    mm_free(request.borrower);
    mm_free(request.lender);
    mm_free(lenders.pairs);
    return err;
}

void vision_lends_tell(struct vision_app *app)
{
    uint32_t first, last;
    if (!app->lends.open || !app->core)
        return;
    if (vision_lenders_news(app->core, &first, &last))
        add_range(app, first, last);
    if (app->lends.last == 0 || app->lends.call || app->lends.failing || !app->is_live ||
        !vision_is_live(app->core) || app->is_fenced || app->is_draining)
        return;
    enum mm_err err = say(app);
    if (err != MM_OK)
        failed(app, err);
}

void vision_lends_world(struct vision_app *app)
{
    if (!app->lends.open)
        return;
    add_range(app, 1, UINT32_MAX);
    vision_lends_tell(app);
}

static void on_timer(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop, (void)timer;
    struct vision_app *app = arg;
    app->lends.failing = false;
    start_timer(app, app->settings.alliance_reread_ms);
    vision_lends_world(app);
}

void vision_lends_open(struct vision_app *app)
{
    mm_loop_timer_init(&app->lends.timer, on_timer, app);
    app->lends.open = true;
    start_timer(app, app->settings.alliance_reread_ms);
}

void vision_lends_close(struct vision_app *app)
{
    if (!app->lends.open)
        return;
    if (app->lends.call)
        mm_rpc_cancel(mm_service_peer(app->service, "world"), app->lends.call);
    mm_loop_timer_stop(app->loop, &app->lends.timer);
    app->lends.open = false;
}
