#include <stdlib.h>
#include <string.h>

#include "gen/world.pb-c.h"
#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/log.h"
#include "services/production/app.h"

// Spawns that are durable are offered to world until it answers. World knows each key, so an offer
// that was carried out before (the answer got lost, one of us restarted) makes no second unit.

enum { RETRY_MS = 200 };

static void pump(struct production_app *app);

static void delivery_free(struct production_delivery *delivery)
{
    delivery->app->outbox.count--;
    mm_free(delivery);
}

static void enqueue(struct production_outbox *outbox, struct production_delivery *delivery)
{
    delivery->next = NULL;
    *outbox->waiting_tail = delivery;
    outbox->waiting_tail = &delivery->next;
}

static void forget_asked(struct production_outbox *outbox,
                         const struct production_delivery *delivery)
{
    for (size_t i = 0; i < outbox->asked_count; i++) {
        if (outbox->asked[i] == delivery) {
            outbox->asked[i] = outbox->asked[--outbox->asked_count];
            return;
        }
    }
}

static bool is_final(enum mm_err err)
{
    return err == MM_INVALID_ARGUMENT || err == MM_NOT_FOUND || err == MM_FAILED_PRECONDITION ||
           err == MM_OUT_OF_RANGE || err == MM_UNIMPLEMENTED || err == MM_PERMISSION_DENIED;
}

static void on_spawned(void *arg, const struct mm_rpc_result *result)
{
    struct production_delivery *delivery = arg;
    struct production_app *app = delivery->app;
    forget_asked(&app->outbox, delivery);
    if (result->code != MM_OK && !is_final(result->code)) {
        enqueue(&app->outbox, delivery);
        if (!app->outbox.retry.active)
            mm_loop_timer_start(app->loop, &app->outbox.retry, MM_LOOP_MS(RETRY_MS), 0);
        return;
    }
    if (result->code == MM_OK) {
        mm_counter_add(app->spawns, 1);
    } else {
        mm_counter_add(app->spawns_refused, 1);
        MM_LOG_WARN("world refuses a unit; its inputs are given back", "key=%s unit=%s error=%s",
                    delivery->spawn.key, delivery->spawn.unit, mm_err_name(result->code));
        production_spawn_failed(app->core, &delivery->spawn, &app->pending.changes);
    }
    struct production_change spawned = {.kind = PRODUCTION_CHANGE_SPAWNED, .reason = ""};
    spawned.spawn = delivery->spawn;
    MM_CHECK(mm_vec_push(&app->pending.changes, spawned));
    production_store_flush(app);
    delivery_free(delivery);
    pump(app);
}

static enum mm_err offer(struct production_app *app, struct production_delivery *delivery)
{
    struct production_spawn *spawn = &delivery->spawn;
    Mmorts__World__SpawnRequest request = MMORTS__WORLD__SPAWN_REQUEST__INIT;
    request.session = (char *)(uintptr_t)app->session;
    request.key.data = (uint8_t *)spawn->key;
    request.key.len = strlen(spawn->key);
    request.type = spawn->unit;
    request.empire = spawn->empire;
    request.count = spawn->count;
    request.beside = spawn->building;
    struct mm_rpc_call_options options = {
        .deadline_ms = (uint32_t)app->settings.spawn_deadline_ms,
        .idempotent = true,
    };
    return mm_rpc_call(mm_service_peer(app->service, "world"), &mmorts__world__world__descriptor,
                       "Spawn", &request.base, &options, on_spawned, delivery, &delivery->call);
}

static void pump(struct production_app *app)
{
    struct production_outbox *outbox = &app->outbox;
    while (outbox->waiting && outbox->asked_count < PRODUCTION_SPAWNS_INFLIGHT_MAX) {
        struct production_delivery *delivery = outbox->waiting;
        if (offer(app, delivery) != MM_OK) {
            if (!outbox->retry.active)
                mm_loop_timer_start(app->loop, &outbox->retry, MM_LOOP_MS(RETRY_MS), 0);
            return;
        }
        outbox->waiting = delivery->next;
        if (!outbox->waiting)
            outbox->waiting_tail = &outbox->waiting;
        outbox->asked[outbox->asked_count++] = delivery;
    }
}

static void on_retry(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop;
    (void)timer;
    pump(arg);
}

void production_outbox_open(struct production_app *app)
{
    app->outbox.waiting_tail = &app->outbox.waiting;
    mm_loop_timer_init(&app->outbox.retry, on_retry, app);
}

void production_outbox_add(struct production_app *app, const struct production_spawn *spawn)
{
    struct production_delivery *delivery = mm_calloc(1, sizeof *delivery);
    MM_CHECK(delivery);
    delivery->app = app;
    delivery->spawn = *spawn;
    app->outbox.count++;
    enqueue(&app->outbox, delivery);
    pump(app);
}

void production_outbox_clear(struct production_app *app)
{
    struct production_outbox *outbox = &app->outbox;
    for (size_t i = 0; i < outbox->asked_count; i++) {
        // World may carry it out all the same; the key makes the repetition harmless.
        mm_rpc_cancel(mm_service_peer(app->service, "world"), outbox->asked[i]->call);
        delivery_free(outbox->asked[i]);
    }
    outbox->asked_count = 0;
    while (outbox->waiting) {
        struct production_delivery *delivery = outbox->waiting;
        outbox->waiting = delivery->next;
        delivery_free(delivery);
    }
    outbox->waiting_tail = &outbox->waiting;
    mm_loop_timer_stop(app->loop, &outbox->retry);
}

void production_outbox_close(struct production_app *app)
{
    if (app->outbox.waiting_tail)
        production_outbox_clear(app);
}
