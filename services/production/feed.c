#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/idmap.h"
#include "libcommon/base/log.h"
#include "libcommon/base/progress.h"
#include "libcommon/base/str.h"
#include "libcommon/io/pb.h"
#include "services/production/app.h"

// World's tick stream, read for six things: the time, whether it stands still, which empires there
// are, what their workers brought home, what they were given back for buildings, and which
// buildings stand where. Everything is state, not events, so a snapshot after a gap of any length
// leads to the same place as every frame of it would have.

enum {
    FRAME_BYTES_MAX = 64 << 20,
    FRAME_ARENA_CHUNK_BYTES = 1 << 20,
    FRAME_ARENA_BYTES_MAX = 512 << 20,
    PROGRESS_COMPLETE = 1000,
    TYPES_MAX = 4096,
    BUILDINGS_MAX = 1 << 21,
};

static struct production_feed_building *find_slot(struct production_feed *feed, uint32_t slot)
{
    uint64_t index = 0;
    if (!mm_idmap_get(feed->building_by_slot, slot, &index))
        return NULL;
    return &feed->buildings.items[index];
}

// Tells the core of a building that works: complete and somebody's.
static void announce(struct production_app *app, const struct production_feed_building *building)
{
    if (building->progress_permille >= PROGRESS_COMPLETE && building->owner != 0)
        production_building_set(app->core, building->id, building->owner,
                                app->feed.types.items[building->type].name);
}

static bool frame_is_sound(const struct production_app *app, const Mmorts__Frame__TickFrame *frame)
{
    const Mmorts__Frame__SpawnColumns *spawned = frame->spawned;
    size_t types = app->feed.types.count;
    if (frame->catalogue && frame->catalogue->types) {
        types = frame->catalogue->types->n_name;
        if (frame->catalogue->types->n_kind != types || types > TYPES_MAX)
            return false;
        if (frame->catalogue->types->n_yields != 0 && frame->catalogue->types->n_yields != types)
            return false;
    }
    if (spawned) {
        size_t count = spawned->n_entity;
        if (spawned->n_id != count || spawned->n_type != count || spawned->n_owner != count)
            return false;
        for (size_t i = 0; i < count; i++)
            if (spawned->type[i] >= types)
                return false;
    }
    const Mmorts__Frame__DepositColumns *deposits = frame->deposits;
    if (deposits) {
        size_t count = deposits->n_empire;
        if (deposits->n_type != count || deposits->n_total != count)
            return false;
        for (size_t i = 0; i < count; i++)
            if (deposits->type[i] >= types)
                return false;
    }
    const Mmorts__Frame__RefundColumns *refunds = frame->refunds;
    size_t items = frame->catalogue ? frame->catalogue->n_items : app->feed.items.count;
    if (refunds) {
        size_t count = refunds->n_empire;
        if (refunds->n_item != count || refunds->n_total != count)
            return false;
        for (size_t i = 0; i < count; i++)
            if (refunds->item[i] >= items)
                return false;
    }
    if (items > PRODUCTION_ITEMS_MAX)
        return false;
    for (size_t i = 0; i < frame->n_columns; i++)
        if (frame->columns[i]->n_entity != frame->columns[i]->n_value)
            return false;
    return true;
}

static void apply_catalogue(struct production_app *app, const Mmorts__Frame__TypeColumns *types)
{
    struct production_feed *feed = &app->feed;
    mm_vec_clear(&feed->types);
    for (size_t i = 0; i < types->n_name; i++) {
        struct production_feed_type type = {
            .is_building = types->kind[i] == MMORTS__FRAME__KIND__KIND_BUILDING,
            .item = -1,
        };
        const char *yields = types->n_yields > 0 ? types->yields[i] : "";
        if (*yields) {
            type.item = production_book_item(&app->book, yields);
            if (type.item < 0)
                MM_LOG_WARN("what is gathered is no item of the book; it is not counted",
                            "type=%s item=%s", types->name[i], yields);
        }
        mm_str_copy(type.name, sizeof type.name, types->name[i]);
        MM_CHECK(mm_vec_push(&feed->types, type));
    }
}

static void apply_items(struct production_app *app, const Mmorts__Frame__Catalogue *catalogue)
{
    mm_vec_clear(&app->feed.items);
    for (size_t i = 0; i < catalogue->n_items; i++) {
        int item = production_book_item(&app->book, catalogue->items[i]);
        MM_CHECK(mm_vec_push(&app->feed.items, item));
    }
}

// Totals like those of deposits, each under a name that is no type of resource.
static void apply_refunds(struct production_app *app, const Mmorts__Frame__RefundColumns *refunds)
{
    for (size_t i = 0; refunds && i < refunds->n_empire; i++) {
        int item = app->feed.items.items[refunds->item[i]];
        if (item < 0)
            continue; // it was never paid either
        char name[PRODUCTION_NAME_BYTES];
        snprintf(name, sizeof name, "refund/%.50s", app->book.items[item]);
        production_deposit(app->core, refunds->empire[i], name, (uint16_t)item, refunds->total[i],
                           &app->pending.changes);
    }
}

static void apply_deposits(struct production_app *app,
                           const Mmorts__Frame__DepositColumns *deposits)
{
    for (size_t i = 0; deposits && i < deposits->n_empire; i++) {
        const struct production_feed_type *type = &app->feed.types.items[deposits->type[i]];
        if (type->item >= 0)
            production_deposit(app->core, deposits->empire[i], type->name, (uint16_t)type->item,
                               deposits->total[i], &app->pending.changes);
    }
}

static void apply_despawned(struct production_app *app, const Mmorts__Frame__TickFrame *frame)
{
    struct production_feed *feed = &app->feed;
    for (size_t i = 0; i < frame->n_despawned; i++) {
        uint64_t index = 0;
        if (!mm_idmap_remove(feed->building_by_slot, frame->despawned[i], &index))
            continue;
        production_building_remove(app->core, feed->buildings.items[index].id,
                                   &app->pending.changes);
        mm_vec_remove_swap(&feed->buildings, index);
        if (index < feed->buildings.count)
            *mm_idmap_find(feed->building_by_slot, feed->buildings.items[index].slot) = index;
    }
}

static void apply_spawned(struct production_app *app, const Mmorts__Frame__SpawnColumns *spawned)
{
    struct production_feed *feed = &app->feed;
    for (size_t i = 0; spawned && i < spawned->n_entity; i++) {
        (void)mm_progress_row(mm_loop_progress(app->loop), i);
        if (!feed->types.items[spawned->type[i]].is_building)
            continue;
        struct production_feed_building building = {
            .slot = spawned->entity[i],
            .owner = spawned->owner[i],
            .type = spawned->type[i],
            .progress_permille = PROGRESS_COMPLETE,
            .id = spawned->id[i],
        };
        size_t index = feed->buildings.count;
        if (!mm_vec_push(&feed->buildings, building)) {
            MM_LOG_ERROR("more buildings than can be followed", "max=%d", BUILDINGS_MAX);
        } else if (mm_idmap_set(feed->building_by_slot, building.slot, index) != MM_OK) {
            feed->buildings.count--;
            MM_LOG_ERROR("more buildings than can be followed", "max=%d", BUILDINGS_MAX);
        }
    }
}

static void apply_column(struct production_app *app, const Mmorts__Frame__AttributeColumn *column)
{
    bool is_owner = column->attribute == MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_OWNER;
    bool is_progress = column->attribute == MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_PROGRESS;
    for (size_t i = 0; (is_owner || is_progress) && i < column->n_entity; i++) {
        (void)mm_progress_row(mm_loop_progress(app->loop), i);
        struct production_feed_building *building = find_slot(&app->feed, column->entity[i]);
        if (!building)
            continue;
        if (is_progress) {
            building->progress_permille = column->value[i];
        } else if (building->owner != (uint32_t)column->value[i]) {
            // The former owner's jobs end with its ownership.
            production_building_remove(app->core, building->id, &app->pending.changes);
            building->owner = (uint32_t)column->value[i];
        }
        announce(app, building);
    }
}

static void set_live(struct production_app *app, bool is_live)
{
    app->feed.is_live = is_live && app->feed.behind_tick == 0;
    mm_service_condition_set(app->service, app->feed_condition, app->feed.is_live);
    production_held_run(app);
}

// After an hour away there may be more to do than fits into a transaction, or into memory. Until it
// is done world's frames are passed over.
static void fall_behind(struct production_app *app, uint64_t tick)
{
    if (app->feed.behind_tick == 0)
        MM_LOG_INFO("there is much to catch up with", "from_tick=%" PRIu64 " to_tick=%" PRIu64,
                    production_tick(app->core), tick);
    app->feed.behind_tick = tick;
    set_live(app, false);
}

void production_feed_go_on(struct production_app *app)
{
    struct production_feed *feed = &app->feed;
    if (feed->behind_tick == 0 || !app->core || app->is_draining)
        return;
    if (production_advance_some(app->core, feed->behind_tick,
                                app->pending.changes.count + (size_t)app->settings.catch_up_changes,
                                &app->pending.changes)) {
        MM_LOG_INFO("caught up", "tick=%" PRIu64, feed->behind_tick);
        // A new snapshot tells of what came meanwhile, and completes this.
        feed->behind_tick = 0;
        production_feed_restart(app);
    }
    production_store_flush(app);
}

enum mm_err production_feed_apply(struct production_app *app, const Mmorts__Frame__TickFrame *frame)
{
    struct production_feed *feed = &app->feed;
    if (!frame_is_sound(app, frame))
        return MM_INVALID_ARGUMENT;
    if (frame->snapshot) {
        mm_idmap_clear(feed->building_by_slot);
        mm_vec_clear(&feed->buildings);
        production_buildings_clear(app->core);
    }
    if (frame->catalogue && frame->catalogue->types)
        apply_catalogue(app, frame->catalogue->types);
    if (frame->catalogue)
        apply_items(app, frame->catalogue);
    production_pause(app->core,
                     frame->state != MMORTS__FRAME__SESSION_STATE__SESSION_STATE_RUNNING);
    for (size_t i = 0; frame->empires && i < frame->empires->n_empire; i++)
        if (production_found(app->core, frame->empires->empire[i], &app->pending.changes) != MM_OK)
            MM_LOG_ERROR("no room for another inventory", "empire=%u", frame->empires->empire[i]);
    apply_deposits(app, frame->deposits);
    apply_refunds(app, frame->refunds);
    apply_despawned(app, frame);
    size_t first_new = feed->buildings.count;
    apply_spawned(app, frame->spawned);
    for (size_t i = 0; i < frame->n_columns; i++)
        apply_column(app, frame->columns[i]);
    // Only now is it known whether the new ones are complete.
    for (size_t i = first_new; i < feed->buildings.count; i++) {
        announce(app, &feed->buildings.items[i]);
        (void)mm_progress_row(mm_loop_progress(app->loop), i);
    }
    // Jobs that ended while this process was away are due at their own ticks, before anything that
    // waits behind them starts.
    if (!production_advance_some(app->core, frame->tick,
                                 app->pending.changes.count +
                                     (size_t)app->settings.catch_up_changes,
                                 &app->pending.changes))
        fall_behind(app, frame->tick);
    else if (frame->snapshot)
        production_buildings_complete(app->core, &app->pending.changes);
    if (app->pending.changes.count > 0)
        production_store_flush(app);
    production_held_run(app);
    return MM_OK;
}

// --- the reader --------------------------------------------------------------------------------

static void on_frame(void *arg, const struct mm_stream_message *message)
{
    struct production_app *app = arg;
    struct production_feed *feed = &app->feed;
    if (!app->core || feed->behind_tick != 0) // being loaded, or behind: a snapshot follows
        return;
    struct mm_pb_watched watched = {feed->frame_arena, mm_loop_progress(app->loop)};
    ProtobufCAllocator allocator = mm_pb_watched_allocator(&watched);
    ProtobufCMessage *unpacked = NULL;
    enum mm_err err = mm_pb_unpack(&mmorts__frame__tick_frame__descriptor, &allocator,
                                   message->body, message->body_len, FRAME_BYTES_MAX, &unpacked);
    if (err == MM_OK)
        err = production_feed_apply(app, (const Mmorts__Frame__TickFrame *)unpacked);
    mm_arena_reset(feed->frame_arena);
    if (err != MM_OK) {
        MM_LOG_ERROR("a tick frame makes no sense; asking for a snapshot", "tick=%lu error=%s",
                     (unsigned long)message->tick, mm_err_name(err));
        mm_stream_reader_restart(feed->reader);
    }
}

static void on_state(void *arg, enum mm_stream_state state)
{
    struct production_app *app = arg;
    set_live(app, state == MM_STREAM_LIVE);
    MM_LOG_INFO("tick stream", "state=%s",
                state == MM_STREAM_LIVE   ? "live"
                : state == MM_STREAM_DOWN ? "down"
                                          : "catching up");
}

enum mm_err production_feed_open(struct production_app *app)
{
    struct production_feed *feed = &app->feed;
    mm_vec_init(&feed->types, TYPES_MAX);
    mm_vec_init(&feed->items, PRODUCTION_ITEMS_MAX);
    mm_vec_init(&feed->buildings, BUILDINGS_MAX);
    feed->building_by_slot = mm_idmap_new(BUILDINGS_MAX);
    feed->frame_arena = mm_arena_new(FRAME_ARENA_CHUNK_BYTES, FRAME_ARENA_BYTES_MAX);
    if (!feed->building_by_slot || !feed->frame_arena)
        return MM_RESOURCE_EXHAUSTED;
    struct mm_stream_reader_options options = {
        .stream = "tick",
        .session = app->session,
        .tls = mm_service_tls(app->service),
        .arg = app,
        .on_message = on_frame,
        .on_snapshot = on_frame,
        .on_state = on_state,
    };
    return mm_stream_reader_open(app->loop, mm_service_stream_peer(app->service, "world"),
                                 mm_service_peer(app->service, "world"), &options, &feed->reader);
}

void production_feed_restart(struct production_app *app)
{
    app->feed.behind_tick = 0;
    if (app->feed.reader)
        mm_stream_reader_restart(app->feed.reader);
}

void production_feed_close(struct production_app *app)
{
    struct production_feed *feed = &app->feed;
    if (feed->reader)
        mm_stream_reader_close(feed->reader);
    feed->reader = NULL;
    mm_arena_free(feed->frame_arena);
    mm_idmap_free(feed->building_by_slot);
    mm_vec_free(&feed->types);
    mm_vec_free(&feed->items);
    mm_vec_free(&feed->buildings);
}
