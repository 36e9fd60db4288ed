#include "gen/social.pb-c.h"
#include "gen/world.pb-c.h"
#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/log.h"
#include "libcommon/io/db_conn.h"
#include "libcommon/io/pb.h"
#include "libcommon/io/redis.h"
#include "services/vision/app.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

// Alliances are social's groups of one kind. What social says is wanted (`wanted`: player ->
// group); what is written and ordered from the core is taken over (`taken`: empire -> group). Where
// the two differ the difference is written, then ordered from a tick on, as sharing is; so a
// restart that replays ticks lends what was lent in them, and goes on with what social says by
// then.
//
//   social's list (at the start, when an event is missing, and now and then) -> wanted
//   social's events, by their numbers                                        -> wanted
//   world's empires                                        -> player of empire -> differences
//
//   taken -> world, so that allies do not fight each other
//
// Social and Redis may be away: what was known last stays in effect.

enum {
    LIST_DEADLINE_MS = 5000,
    EVENT_BYTES_MAX = 1 << 20,
    PLAYERS_MAX = 1 << 24,
    CHANGES_MAX = 256, // of one transaction
};

// Empires whose membership is being written.
struct ally_write {
    struct vision_stamped stamped; // first
    size_t count;
    struct vision_ally_change changes[CHANGES_MAX];
};

static uint64_t lookup(const struct mm_idmap *map, uint64_t key)
{
    uint64_t value = 0;
    (void)mm_idmap_get(map, key, &value);
    return value;
}

static bool assign(struct mm_idmap *map, uint64_t key, uint64_t value)
{
    if (value != 0)
        return mm_idmap_set(map, key, value) == MM_OK;
    (void)mm_idmap_remove(map, key, NULL);
    return true;
}

// --- world -----------------------------------------------------------------------------------

static void tell_world(struct vision_app *app);

// Soon, not only when memberships are read anew.
static void retry_later(struct vision_app *app)
{
    mm_loop_timer_start(app->loop, &app->allies.retry_timer,
                        MM_LOOP_MS((uint64_t)app->settings.retry_ms), 0);
}

static void on_told(void *arg, const struct mm_rpc_result *result)
{
    struct vision_app *app = arg;
    app->allies.tell_call = 0;
    if (result->code == MM_OK) {
        tell_world(app); // what has changed while it was being told
        return;
    }
    MM_LOG_WARN("world does not take who is allied; it will be told again", "error=%s",
                mm_err_name(result->code));
    app->allies.untold = true;
    retry_later(app);
}

// All memberships: what world knows already is no change to it.
static void tell_world(struct vision_app *app)
{
    if (!app->allies.untold || app->allies.tell_call || !app->is_live || !app->core)
        return;
    uint32_t end = vision_empires_end(app->core);
    uint32_t *empires = mm_calloc((size_t)end + 1, sizeof *empires);
    uint64_t *alliances = mm_calloc((size_t)end + 1, sizeof *alliances);
    Mmorts__World__SetAlliancesRequest request = MMORTS__WORLD__SET_ALLIANCES_REQUEST__INIT;
    for (uint32_t empire = 1; empires && alliances && empire <= end; empire++) {
        if (!vision_knows_empire(app->core, empire))
            continue;
        empires[request.n_empire] = empire;
        alliances[request.n_empire++] = lookup(app->allies.taken, empire);
    }
    request.session = (char *)(uintptr_t)app->session;
    request.empire = empires;
    request.alliance = alliances;
    request.n_alliance = request.n_empire;
    struct mm_rpc_call_options options = {.deadline_ms = LIST_DEADLINE_MS, .idempotent = true};
    if (request.n_empire > 0 &&
        mm_rpc_call(mm_service_peer(app->service, "world"), &mmorts__world__world__descriptor,
                    "SetAlliances", &request.base, &options, on_told, app,
                    &app->allies.tell_call) == MM_OK) {
        app->allies.untold = false;
    } else {
        app->allies.tell_call = 0;
        retry_later(app);
    }
    mm_free(empires);
    mm_free(alliances);
}

// --- differences -----------------------------------------------------------------------------

static void settle(struct vision_app *app);

static void check_empire(struct vision_app *app, uint32_t empire)
{
    uint64_t player = vision_player_of(app->core, empire);
    if (player == 0 || lookup(app->allies.wanted, player) == lookup(app->allies.taken, empire))
        return;
    if (!mm_vec_push(&app->allies.differing, empire))
        app->allies.check_all = true;
}

static void check_player(struct vision_app *app, uint64_t player)
{
    uint64_t empire = lookup(app->allies.empire_of, player);
    if (empire != 0 && app->core)
        check_empire(app, (uint32_t)empire);
}

static enum mm_err write_changes(struct mm_db_conn *conn, const struct vision_stamped *stamped)
{
    const struct ally_write *write = (const void *)stamped;
    enum mm_err err = MM_OK;
    for (size_t i = 0; err == MM_OK && i < write->count; i++)
        err = vision_sql_ally(conn, stamped->app->session, &write->changes[i], stamped->tick);
    return err;
}

// In the core from the tick on that was written.
static void take_over(struct vision_app *app, const struct vision_ally_change *change,
                      uint64_t tick)
{
    enum mm_err err = MM_OK;
    if (change->from != 0)
        err = vision_unally(app->core, change->from, change->empire, tick);
    if (change->to != 0 && (err == MM_OK || err == MM_NOT_FOUND))
        err = vision_ally(app->core, change->to, change->empire, tick);
    if (err == MM_RESOURCE_EXHAUSTED || !assign(app->allies.taken, change->empire, change->to))
        MM_LOG_ERROR("out of memory; an alliance is as it was until the next start",
                     "empire=%" PRIu32, change->empire);
}

static void write_done(enum mm_err err, struct vision_stamped *stamped)
{
    struct ally_write *write = (void *)stamped;
    struct vision_app *app = stamped->app;
    app->allies.writing = false;
    if (vision_fence_lost(app, err)) {
        mm_free(write);
        return;
    }
    if (err == MM_OK) {
        for (size_t i = 0; i < write->count; i++)
            take_over(app, &write->changes[i], stamped->tick);
        app->allies.untold = true;
        MM_LOG_INFO("alliances changed", "empires=%zu tick=%" PRIu64, write->count, stamped->tick);
    } else if (err != MM_CANCELLED) {
        MM_LOG_ERROR("a change of alliances could not be written; it will be again", "error=%s",
                     mm_err_name(err));
        app->allies.check_all = true;
    }
    mm_free(write);
    tell_world(app);
    if (err == MM_OK)
        settle(app);
    else if (err != MM_CANCELLED)
        retry_later(app);
}

static void fill(struct vision_app *app, struct ally_write *write)
{
    while (app->allies.differing.count > 0 && write->count < CHANGES_MAX) {
        uint32_t empire = mm_vec_pop(&app->allies.differing);
        uint64_t wanted = lookup(app->allies.wanted, vision_player_of(app->core, empire));
        uint64_t taken = lookup(app->allies.taken, empire);
        bool again = wanted == taken;
        for (size_t i = 0; i < write->count && !again; i++)
            again = write->changes[i].empire == empire;
        if (!again)
            write->changes[write->count++] =
                (struct vision_ally_change){.empire = empire, .from = taken, .to = wanted};
    }
}

// Writes what differs, a transaction at a time; not while ticks are replayed, which others have
// seen already.
static void settle(struct vision_app *app)
{
    if (app->allies.writing || app->is_draining || !app->is_live || !app->publisher ||
        !vision_is_live(app->core) || !app->allies.heard)
        return;
    if (app->allies.check_all) {
        app->allies.check_all = false;
        mm_vec_clear(&app->allies.differing);
        for (uint32_t empire = 1; empire <= vision_empires_end(app->core); empire++)
            check_empire(app, empire);
    }
    if (app->allies.differing.count == 0)
        return;
    struct ally_write *write = mm_calloc(1, sizeof *write);
    if (!write) {
        retry_later(app);
        return;
    }
    static const struct vision_stamped_kind kind = {.write = write_changes, .done = write_done};
    write->stamped = (struct vision_stamped){.app = app, .kind = &kind};
    fill(app, write);
    if (write->count == 0) {
        mm_free(write);
        return;
    }
    app->allies.writing = true;
    if (vision_stamps_write(&write->stamped) == MM_OK)
        return;
    app->allies.writing = false;
    app->allies.check_all = true;
    retry_later(app);
    mm_free(write);
}

static void on_retry(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop, (void)timer;
    struct vision_app *app = arg;
    settle(app);
    tell_world(app);
}

void vision_allies_empires(struct vision_app *app, const Mmorts__Frame__EmpireColumns *columns)
{
    if (!app->allies.wanted)
        return;
    for (size_t i = 0; i < columns->n_empire && i < columns->n_player_id; i++) {
        if (columns->player_id[i] == 0)
            continue;
        (void)assign(app->allies.empire_of, columns->player_id[i], columns->empire[i]);
        check_empire(app, columns->empire[i]);
    }
}

void vision_allies_live(struct vision_app *app)
{
    if (app->allies.wanted && (app->allies.differing.count > 0 || app->allies.check_all))
        settle(app);
}

void vision_allies_world(struct vision_app *app)
{
    app->allies.untold = true;
    if (app->allies.wanted)
        tell_world(app);
}

// --- what social says ------------------------------------------------------------------------

// Not only when it is time to read all memberships anew: it may be that something is missing.
static void ask_later(struct vision_app *app)
{
    mm_loop_timer_start(app->loop, &app->allies.reread_timer,
                        MM_LOOP_MS((uint64_t)app->settings.retry_ms), 0);
}

static void on_list(void *arg, const struct mm_rpc_result *result)
{
    struct vision_app *app = arg;
    app->allies.list_call = 0;
    bool again = app->allies.list_again;
    app->allies.list_again = false;
    if (result->code != MM_OK) {
        if (app->allies.list_failures++ == 0)
            MM_LOG_WARN("social does not say who is allied; what was known last stays in effect",
                        "error=%s", mm_err_name(result->code));
        ask_later(app);
        return;
    }
    app->allies.list_failures = 0;
    const Mmorts__Social__ListMembershipsReply *reply = (const void *)result->reply;
    if (reply->n_group_id != reply->n_player_id)
        return;
    mm_idmap_clear(app->allies.wanted);
    for (size_t i = 0; i < reply->n_group_id; i++) {
        if (!assign(app->allies.wanted, reply->player_id[i], reply->group_id[i])) {
            MM_LOG_ERROR("out of memory for who is allied");
            return;
        }
    }
    app->allies.seq = reply->seq;
    app->allies.heard = true;
    app->allies.check_all = true;
    mm_counter_add(app->allies.rereads, 1);
    settle(app);
    if (again)
        vision_allies_ask(app);
}

void vision_allies_ask(struct vision_app *app)
{
    if (app->allies.list_call) {
        app->allies.list_again = true; // what comes may be older than what this is asked for
        return;
    }
    Mmorts__Social__ListMembershipsRequest request = MMORTS__SOCIAL__LIST_MEMBERSHIPS_REQUEST__INIT;
    request.session = (char *)(uintptr_t)app->session;
    request.kind = (char *)(uintptr_t)app->settings.alliance_kind;
    struct mm_rpc_call_options options = {.deadline_ms = LIST_DEADLINE_MS, .idempotent = true};
    if (mm_rpc_call(mm_service_peer(app->service, "social"), &mmorts__social__social__descriptor,
                    "ListMemberships", &request.base, &options, on_list, app,
                    &app->allies.list_call) != MM_OK) {
        app->allies.list_call = 0;
        ask_later(app);
    }
}

static void want(struct vision_app *app, uint64_t player, uint64_t group)
{
    if (!assign(app->allies.wanted, player, group))
        vision_allies_ask(app);
    check_player(app, player);
}

static void disband(struct vision_app *app, uint64_t group)
{
    size_t cursor = 0;
    uint64_t player, of;
    struct {
        MM_VEC(uint64_t);
    } players;
    mm_vec_init(&players, PLAYERS_MAX);
    bool room = true;
    while (room && mm_idmap_next(app->allies.wanted, &cursor, &player, &of))
        room = of != group || mm_vec_push(&players, player);
    for (size_t i = 0; i < players.count; i++)
        want(app, players.items[i], 0);
    mm_vec_free(&players);
    if (!room)
        vision_allies_ask(app);
}

static void on_event(struct vision_app *app, const Mmorts__Social__GroupEvent *event)
{
    if (!app->allies.heard)
        return;
    if (event->seq <= app->allies.seq) {
        // One that comes again, or that the list held already, as a rule; but numbers begin anew
        // when social's database was restored.
        if (!app->allies.doubted)
            ask_later(app);
        app->allies.doubted = true;
        return;
    }
    if (event->seq != app->allies.seq + 1 || app->allies.list_call) {
        vision_allies_ask(app);
        return;
    }
    app->allies.seq = event->seq;
    if (strcmp(event->group_kind, app->settings.alliance_kind) != 0 || !event->player)
        return;
    uint64_t player = event->player->player_id;
    switch ((int)event->kind) {
    case MMORTS__SOCIAL__GROUP_EVENT_KIND__GROUP_CREATED:
    case MMORTS__SOCIAL__GROUP_EVENT_KIND__GROUP_JOINED:
        want(app, player, event->group_id);
        break;
    case MMORTS__SOCIAL__GROUP_EVENT_KIND__GROUP_LEFT:
    case MMORTS__SOCIAL__GROUP_EVENT_KIND__GROUP_KICKED:
        want(app, player, 0);
        break;
    case MMORTS__SOCIAL__GROUP_EVENT_KIND__GROUP_DISBANDED:
        disband(app, event->group_id);
        break;
    default:
        break;
    }
    settle(app);
}

static void on_social(enum mm_redis_event kind, const struct mm_redis_message *message, void *arg)
{
    struct vision_app *app = arg;
    if (kind == MM_REDIS_SUBSCRIBED)
        vision_allies_ask(app);
    if (kind != MM_REDIS_MESSAGE)
        return;
    ProtobufCMessage *unpacked = NULL;
    if (mm_pb_unpack(&mmorts__social__event__descriptor, NULL, message->data, message->size,
                     EVENT_BYTES_MAX, &unpacked) != MM_OK) {
        vision_allies_ask(app);
        return;
    }
    const Mmorts__Social__Event *event = (const void *)unpacked;
    if (event->event_case == MMORTS__SOCIAL__EVENT__EVENT_GROUP)
        on_event(app, event->group);
    protobuf_c_message_free_unpacked(unpacked, NULL);
}

// --- life ------------------------------------------------------------------------------------

static void on_reread(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop, (void)timer;
    struct vision_app *app = arg;
    app->allies.doubted = false;
    // Soon while nothing was heard, seldom for events that Redis lost without being missed.
    uint64_t wait_ms =
        (uint64_t)(app->allies.heard && app->allies.list_failures == 0 && !app->allies.untold
                       ? app->settings.alliance_reread_ms
                       : app->settings.retry_ms);
    mm_loop_timer_start(app->loop, &app->allies.reread_timer, MM_LOOP_MS(wait_ms), 0);
    vision_allies_ask(app);
    tell_world(app);
}

void vision_allies_load(struct vision_app *app, const struct vision_stored *stored)
{
    for (size_t i = 0; app->allies.taken && i < stored->allies.count; i++) {
        const struct vision_stored_ally *ally = &stored->allies.items[i];
        if (ally->empire != 0 && ally->until_tick == 0)
            (void)assign(app->allies.taken, ally->empire, ally->alliance);
    }
}

void vision_allies_known(struct vision_app *app)
{
    if (!app->allies.wanted)
        return;
    for (uint32_t empire = 1; empire <= vision_empires_end(app->core); empire++) {
        uint64_t player = vision_player_of(app->core, empire);
        if (player == 0)
            continue;
        (void)assign(app->allies.empire_of, player, empire);
        check_empire(app, empire);
    }
}

enum mm_err vision_allies_open(struct vision_app *app)
{
    if (app->settings.alliance_kind[0] == '\0')
        return MM_OK;
    app->allies.wanted = mm_idmap_new(PLAYERS_MAX);
    app->allies.empire_of = mm_idmap_new(PLAYERS_MAX);
    app->allies.taken = mm_idmap_new(PLAYERS_MAX);
    mm_vec_init(&app->allies.differing, PLAYERS_MAX);
    if (!app->allies.wanted || !app->allies.empire_of || !app->allies.taken)
        return MM_RESOURCE_EXHAUSTED;
    mm_loop_timer_init(&app->allies.retry_timer, on_retry, app);
    mm_loop_timer_init(&app->allies.reread_timer, on_reread, app);
    mm_loop_timer_start(app->loop, &app->allies.reread_timer, 0, 0);
    char channel[96];
    (void)snprintf(channel, sizeof channel, "social.events.%s", app->session);
    return mm_redis_subscribe(mm_service_redis(app->service), channel, on_social, app);
}

void vision_allies_close(struct vision_app *app)
{
    if (app->settings.alliance_kind[0] == '\0' || !app->allies.wanted)
        return;
    if (app->allies.list_call)
        mm_rpc_cancel(mm_service_peer(app->service, "social"), app->allies.list_call);
    if (app->allies.tell_call)
        mm_rpc_cancel(mm_service_peer(app->service, "world"), app->allies.tell_call);
    mm_loop_timer_stop(app->loop, &app->allies.retry_timer);
    mm_loop_timer_stop(app->loop, &app->allies.reread_timer);
    mm_idmap_free(app->allies.wanted);
    mm_idmap_free(app->allies.empire_of);
    mm_idmap_free(app->allies.taken);
    mm_vec_free(&app->allies.differing);
    app->allies.wanted = NULL;
}
