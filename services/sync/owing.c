#include "services/sync/app.h"

// Clients that may not be sent all there is to tell: each has a budget of bytes. One within it gets
// its view's deltas whole, and all there is to do for it is to look at the budget. What another is
// not told now is owed to it (core/backlog.h) and told in later updates.

static uint64_t bytes_sent(const struct sync_client *client)
{
    return client->outbox.bytes_total + sync_outbox_waiting(&client->outbox);
}

static int64_t bytes_left(struct sync_client *client)
{
    const struct sync_app *app = client->app;
    return sync_budget_left(&client->budget, (uint32_t)app->settings.bytes_per_second,
                            (uint32_t)app->settings.bytes_carried, bytes_sent(client),
                            mm_loop_now_ns(app->loop) / 1000000);
}

void sync_owing_begin(struct sync_client *client)
{
    const struct sync_app *app = client->app;
    if (!client->overflowed)
        client->budget = sync_budget_full((uint32_t)app->settings.bytes_carried, bytes_sent(client),
                                          mm_loop_now_ns(app->loop) / 1000000);
    client->overflowed = false;
}

bool sync_owing_may_begin(struct sync_client *client)
{
    return !client->overflowed || bytes_left(client) > 0;
}

bool sync_owing_takes_all(struct sync_client *client, const struct sync_delta *delta)
{
    if (client->app->settings.bytes_per_second == 0)
        return true;
    int64_t left = bytes_left(client);
    return !client->backlog && (sync_delta_bytes_most(delta) <= left ||
                                sync_delta_bytes(delta, client->encoding) <= left);
}

size_t sync_owing_left(const struct sync_client *client)
{
    return client->backlog ? sync_backlog_left(client->backlog) : 0;
}

void sync_owing_forget(struct sync_client *client)
{
    struct sync_app *app = client->app;
    if (!client->backlog)
        return;
    sync_backlog_free(client->backlog);
    client->backlog = NULL;
    for (size_t i = 0; i < app->owing.count; i++) {
        if (app->owing.items[i] == client) {
            mm_vec_remove_swap(&app->owing, i);
            return;
        }
    }
}

static bool begin_owing(struct sync_client *client)
{
    struct sync_app *app = client->app;
    if (!mm_vec_reserve(&app->owing, app->owing.count + 1))
        return false;
    client->backlog = sync_backlog_new();
    if (!client->backlog)
        return false;
    app->owing.items[app->owing.count++] = client;
    mm_counter_add(app->metrics.throttled, 1);
    return true;
}

bool sync_owing_encode(struct sync_client *client, struct sync_view *view,
                       const struct sync_delta *delta)
{
    struct sync_app *app = client->app;
    struct sync_take take = {client->encoding, client->budget.level_milli / 1000, &app->priorities,
                             client->focused ? &client->focus : NULL};
    bool ok = !delta->full && (client->backlog || begin_owing(client)) &&
              sync_backlog_merge(client->backlog, &app->core, delta);
    if (ok)
        sync_backlog_take(client->backlog, &app->core, view, &take, &app->part);
    size_t left = ok ? sync_backlog_left(client->backlog) : 0;
    ok = ok && sync_encode_part(&app->encoder, &app->core, view, &app->part, left, client->encoding,
                                client->updated_tick);
    if (!ok) {
        // A full state takes no more than the backlog would have; it, too, is paid for.
        client->overflowed = !delta->full;
        mm_counter_add(app->metrics.overflows, client->overflowed);
    }
    if (!ok || left == 0)
        sync_owing_forget(client);
    else
        mm_counter_add(app->metrics.deferred, left);
    return ok;
}

void sync_owing_touch(struct sync_app *app)
{
    for (size_t i = 0; i < app->owing.count; i++) {
        struct sync_view *view = app->owing.items[i]->seat->view;
        if (view->state == SYNC_VIEW_LIVE)
            sync_core_touch(&app->core, view);
    }
}
