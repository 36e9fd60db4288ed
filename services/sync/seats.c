#include <inttypes.h>

#include "gen/vision.pb-c.h"
#include "libcommon/base/alloc.h"
#include "libcommon/base/log.h"
#include "services/sync/app.h"

// Who plays which empire, on one connection or several that share its view.
//
// Vision is asked for a view when somebody takes a seat, and again whenever the core has frozen it.

#define CALL_MS  3000
#define RETRY_MS 50

struct sync_client *sync_clients_of_player(struct sync_app *app, uint64_t player_id)
{
    uint64_t seat = 0;
    return mm_idmap_get(app->seat_of_player, player_id, &seat)
               ? ((const struct sync_seat *)(uintptr_t)seat)->clients
               : NULL;
}

static struct sync_seat *seat_new(struct sync_app *app, const struct sync_client *client)
{
    struct sync_view *view = sync_core_view_open(&app->core, client->empire);
    struct sync_seat *seat = view ? mm_calloc(1, sizeof *seat) : NULL;
    if (seat) {
        mm_vec_init(&seat->trails, SYNC_TRAILS_MAX);
        seat->app = app;
        seat->view = view;
        view->user = seat;
        sync_serving_add(app, seat);
        return seat;
    }
    if (view)
        sync_core_view_close(&app->core, view);
    return NULL;
}

static void seat_free(struct sync_seat *seat)
{
    struct sync_app *app = seat->app;
    if (seat->call) {
        mm_rpc_cancel(app->vision, seat->call);
        app->view_calls--;
    }
    sync_core_view_close(&app->core, seat->view);
    sync_serving_remove(app);
    mm_vec_free(&seat->trails);
    mm_free(seat);
}

bool sync_seat_take(struct sync_client *client)
{
    struct sync_app *app = client->app;
    const struct sync_view *view = sync_core_view(&app->core, client->empire);
    struct sync_seat *seat = view ? view->user : seat_new(app, client);
    if (!seat)
        return false;
    if (!seat->clients) {
        if (mm_idmap_set(app->seat_of_player, client->player_id, (uint64_t)(uintptr_t)seat) !=
            MM_OK) {
            if (!view)
                seat_free(seat);
            return false;
        }
        app->seats_kept -= view != NULL;
    }
    client->seat = seat;
    client->beside = seat->clients;
    seat->clients = client;
    return true;
}

void sync_seat_leave(struct sync_client *client)
{
    struct sync_seat *seat = client->seat;
    if (!seat)
        return;
    struct sync_app *app = seat->app;
    bool kept = sync_trail_keep(client);
    struct sync_client **link = &seat->clients;
    while (*link != client)
        link = &(*link)->beside;
    *link = client->beside;
    client->seat = NULL;
    if (seat->clients)
        return;
    seat->said_connection = 0; // whoever sits here next says its own
    (void)mm_idmap_remove(app->seat_of_player, client->player_id, NULL);
    struct sync_holding *holding = sync_stock_holding(&app->core.stock, seat->view->empire);
    if (holding)
        sync_holding_unwatch(holding);
    if ((kept || seat->trails.count > 0) && sync_trails_may_wait(app))
        app->seats_kept++;
    else
        seat_free(seat);
}

void sync_seats_sweep(struct sync_app *app)
{
    uint64_t now_ns = mm_loop_now_ns(app->loop);
    for (size_t i = 0; i < app->core.views.count; i++) {
        struct sync_view *view = app->core.views.items[i];
        struct sync_seat *seat = view ? view->user : NULL;
        if (!seat)
            continue;
        sync_trails_expire(seat, now_ns);
        // A view that is not live would have to be asked for anew: nobody goes on from there.
        if (!seat->clients && (seat->trails.count == 0 || view->state != SYNC_VIEW_LIVE)) {
            app->seats_kept--;
            seat_free(seat);
        }
    }
}

void sync_seats_free(struct sync_app *app)
{
    for (size_t i = 0; i < app->core.views.count; i++) {
        struct sync_view *view = app->core.views.items[i];
        if (view && view->user)
            seat_free(view->user);
    }
    app->seats_kept = 0;
}

static void on_view(void *arg, const struct mm_rpc_result *result)
{
    struct sync_seat *seat = arg;
    struct sync_app *app = seat->app;
    seat->call = 0;
    app->view_calls--;
    seat->retry_ns = mm_loop_now_ns(app->loop) + MM_LOOP_MS(RETRY_MS);
    enum mm_err err = result->code;
    if (err == MM_OK && seat->view->state == SYNC_VIEW_WAITING) {
        const Mmorts__Vision__GetViewReply *reply = (const void *)result->reply;
        err = reply->view ? sync_core_view_load(&app->core, seat->view, reply->epoch, reply->view)
                          : MM_DATA_LOSS;
    }
    if (err != MM_OK && err != MM_OUT_OF_RANGE)
        MM_LOG_WARN("no view from vision", "empire=%" PRIu32 " code=%s reason=%s",
                    seat->view->empire, mm_err_name(err), result->message);
    sync_deliver_soon(app);
}

void sync_seats_ask(struct sync_app *app)
{
    if (app->core.live_count + app->core.fresh_count == app->core.view_count)
        return; // as nearly always: no view waits
    uint64_t now_ns = mm_loop_now_ns(app->loop);
    for (size_t i = 0; i < app->core.views.count; i++) {
        struct sync_view *view = app->core.views.items[i];
        struct sync_seat *seat = view ? view->user : NULL;
        if (!seat || !seat->clients || view->state != SYNC_VIEW_WAITING || seat->call ||
            now_ns < seat->retry_ns || !sync_serving_knows(app, seat))
            continue;
        if (app->view_calls >= SYNC_VIEW_CALLS_MAX || !app->core.mirror.loaded)
            return;
        Mmorts__Vision__GetViewRequest request = MMORTS__VISION__GET_VIEW_REQUEST__INIT;
        request.session = (char *)(uintptr_t)app->session;
        request.empire = view->empire;
        if (app->serving.follower) {
            request.subscriber = app->serving.name;
            request.revision = seat->served_from;
        }
        struct mm_rpc_call_options options = {.deadline_ms = CALL_MS, .idempotent = true};
        enum mm_err err = mm_rpc_call(app->vision, &mmorts__vision__vision__descriptor, "GetView",
                                      &request.base, &options, on_view, seat, &seat->call);
        if (err == MM_OK) {
            app->view_calls++;
        } else {
            seat->call = 0;
            seat->retry_ns = now_ns + MM_LOOP_MS(RETRY_MS);
        }
    }
}
