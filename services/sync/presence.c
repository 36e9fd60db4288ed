#include <string.h>

#include "gen/social.pb-c.h"
#include "libcommon/base/alloc.h"
#include "libcommon/base/clock.h"
#include "libcommon/base/str.h"
#include "services/sync/app.h"

// Who is here, told to social, and what becomes of a player's other connections: those on this
// instance are in one list (seats.c); of those on others social decides, which sees them all. A
// claim has a number, and the greatest one holds the player: an event tells the others at once, and
// who missed it hears of it with the next heartbeat. While social is away nobody is kept out; what
// it would have said is asked for again with every heartbeat. Where a player who is here keeps
// others out (`refuse`), an instance that social does not hear beating has to be taken for dead:
// one that was only held up loses whom another has claimed meanwhile, by the same numbers. So has a
// connection whose line may have broken without a word: it is pinged (core/probe.h), and who comes
// is told when to come again.

#define CALL_MS          3000
#define CLAIMS_AGAIN_MAX 32 // with one heartbeat

// Calls overtake one another on their way; social goes by when they were made. Between instances,
// whose clocks differ, it goes by when players came, on a clock that its answers tell.
static uint64_t said_us(struct sync_app *app)
{
    uint64_t now_us = (uint64_t)mm_clock_wall_ms() * 1000;
    app->said_us = app->said_us < now_us ? now_us : app->said_us + 1;
    return app->said_us;
}

static bool is_policy(const struct sync_app *app, const char *word)
{
    return strcmp(app->settings.connections, word) == 0;
}

// --- ends ----------------------------------------------------------------------------------------

void sync_presence_probe(struct sync_app *app, uint64_t player_id)
{
    for (struct sync_client *c = sync_clients_of_player(app, player_id); c; c = c->beside)
        if (sync_probe_want(&c->probe) == SYNC_PROBE_ASK)
            sync_client_ping(c, SYNC_PROBE_PING);
}

// After how many ms it is known which of the player's connections here have died; 0: none has.
static uint32_t probe_ms(const struct sync_client *client)
{
    uint32_t sweeps = 0, living = 0;
    for (const struct sync_client *c = sync_clients_of_player(client->app, client->player_id); c;
         c = c->beside) {
        uint32_t left = sync_probe_left(&c->probe, sync_probe_patience(client->app)) + 1;
        living += c->probe.asked ? 0 : 1;
        sweeps = c->probe.asked && left > sweeps ? left : sweeps;
    }
    // Where one may be connected, one that lives is enough to keep others out.
    return is_policy(client->app, "refuse") && living > 0 ? 0 : sweeps * SYNC_SWEEP_MS;
}

// retry_after_ms: when it is known whether who is in the way has died; 0: it lives.
static void refuse_another(struct sync_client *client, uint32_t retry_after_ms)
{
    mm_counter_add(client->app->metrics.refused, 1);
    if (is_policy(client->app, "refuse"))
        sync_client_refuse(client, 4409, "already_connected", "You are connected elsewhere.",
                           retry_after_ms);
    else
        sync_client_refuse(client, 4429, "too_many_connections",
                           "You have as many connections as a player may have.", retry_after_ms);
}

static void replace(struct sync_client *client)
{
    mm_counter_add(client->app->metrics.replaced, 1);
    sync_client_close(client, 4409, "replaced", "You connected again elsewhere.");
}

// --- sitting down --------------------------------------------------------------------------------

static bool may_sit_down(const struct sync_client *client)
{
    int64_t others = 0;
    for (const struct sync_client *c = sync_clients_of_player(client->app, client->player_id); c;
         c = c->beside)
        others += !sync_trail_goes_on(client, c); // which makes way when this one goes on
    return others == 0 || is_policy(client->app, "replace") ||
           (is_policy(client->app, "allow") && others < client->app->settings.connections_max);
}

// False: it was refused, because of those that are here.
static bool let_in(struct sync_client *client)
{
    if (may_sit_down(client))
        return true;
    sync_presence_probe(client->app, client->player_id);
    if (may_sit_down(client))
        return true; // the ping found out that who was in the way is gone
    refuse_another(client, probe_ms(client));
    return false;
}

// False: it was refused.
static bool sit_down(struct sync_client *client)
{
    struct sync_app *app = client->app;
    if (!let_in(client))
        return false;
    if (!sync_seat_take(client)) {
        sync_client_close(client, SYNC_WS_TRY_LATER, "unavailable", "There is no room; try again.");
        return false;
    }
    client->state = SYNC_CLIENT_LOOKING;
    app->fulls_wanted = true;
    if (client->said_online) // before it sat
        client->seat->said_connection = client->connection;
    // The older ones go once the newer one sits: so the seat and its view are kept.
    if (is_policy(app, "replace")) {
        for (struct sync_client *c = client->seat->clients; c; c = c->beside)
            if (c != client)
                replace(c);
    }
    sync_serving_tell(app);
    sync_seats_ask(app);
    sync_deliver_soon(app);
    return true;
}

// --- claims --------------------------------------------------------------------------------------

static void on_claimed(void *arg, const struct mm_rpc_result *result)
{
    struct sync_client *client = arg;
    client->claim_call = 0;
    const Mmorts__Social__SetOnlineReply *reply = (const void *)result->reply;
    if (result->code == MM_OK && reply->refused) {
        client->said_online = false;
        refuse_another(client, reply->retry_after_ms);
        return;
    }
    if (result->code == MM_OK && reply->overtaken) {
        replace(client); // it waited on its way, and the player has come in elsewhere meanwhile
        return;
    }
    if (result->code == MM_OK) {
        client->claimed_ns = mm_loop_now_ns(client->app->loop);
        client->claim = reply->claim;
        if (client->claim != 0 && client->claim < client->overtaken) {
            replace(client);
            return;
        }
    }
    if (client->state == SYNC_CLIENT_CLAIMING)
        (void)sit_down(client);
}

// False: social cannot be asked now.
static bool claim(struct sync_client *client)
{
    struct sync_app *app = client->app;
    Mmorts__Social__Member member = MMORTS__SOCIAL__MEMBER__INIT;
    member.player_id = client->player_id;
    member.username = client->username;
    member.display_id = client->display_id;
    Mmorts__Social__SetOnlineRequest request = MMORTS__SOCIAL__SET_ONLINE_REQUEST__INIT;
    request.session = (char *)(uintptr_t)app->session;
    request.instance = (char *)(uintptr_t)mm_service_instance(app->service);
    request.member = &member;
    request.connection = client->connection;
    request.silent_ms = (uint32_t)app->settings.silent_ms;
    request.said_us = said_us(app);
    request.came_us = sync_shared_clock_at(&app->shared_clock, client->came_us);
    request.claim = is_policy(app, "replace")  ? MMORTS__SOCIAL__CLAIM__CLAIM_NEWEST
                    : is_policy(app, "refuse") ? MMORTS__SOCIAL__CLAIM__CLAIM_ONLY
                                               : MMORTS__SOCIAL__CLAIM__CLAIM_NONE;
    struct mm_rpc_call_options options = {.deadline_ms = CALL_MS, .idempotent = true};
    if (mm_rpc_call(app->social, &mmorts__social__social__descriptor, "SetOnline", &request.base,
                    &options, on_claimed, client, &client->claim_call) != MM_OK) {
        client->claim_call = 0;
        return false;
    }
    client->said_online = true;
    if (client->seat)
        client->seat->said_connection = client->connection;
    return true;
}

void sync_presence_enter(struct sync_client *client)
{
    client->came_us = mm_clock_ns() / 1000;
    if (!is_policy(client->app, "refuse")) {
        if (sit_down(client))
            (void)claim(client);
        return;
    }
    // Only social knows whether the player is on another instance.
    client->state = SYNC_CLIENT_CLAIMING;
    if (let_in(client) && !claim(client))
        (void)sit_down(client);
}

void sync_presence_claimed(struct sync_app *app, const Mmorts__Social__Claimed *claimed)
{
    if (is_policy(app, "allow") ||
        mm_str_equal(claimed->instance, mm_service_instance(app->service)))
        return;
    for (struct sync_client *c = sync_clients_of_player(app, claimed->player_id); c;
         c = c->beside) {
        // Whether a claim that is not answered yet is the later one, its number will tell.
        if (c->claim == 0 && c->overtaken < claimed->claim)
            c->overtaken = claimed->claim;
        if (c->claim != 0 && c->claim < claimed->claim)
            replace(c);
    }
}

// --- leaving -------------------------------------------------------------------------------------

static void ignore(void *arg, const struct mm_rpc_result *result)
{
    (void)arg;
    (void)result; // the lease ends by itself
}

static void say_offline(struct sync_app *app, uint64_t player_id, uint64_t connection)
{
    Mmorts__Social__SetOfflineRequest request = MMORTS__SOCIAL__SET_OFFLINE_REQUEST__INIT;
    request.session = (char *)(uintptr_t)app->session;
    request.instance = (char *)(uintptr_t)mm_service_instance(app->service);
    request.player_id = player_id;
    request.connection = connection;
    request.said_us = said_us(app);
    struct mm_rpc_call_options options = {.deadline_ms = CALL_MS, .idempotent = true};
    (void)!mm_rpc_call(app->social, &mmorts__social__social__descriptor, "SetOffline",
                       &request.base, &options, ignore, app, NULL);
}

void sync_presence_leave(struct sync_client *client)
{
    struct sync_app *app = client->app;
    if (client->claim_call)
        mm_rpc_cancel(app->social, client->claim_call);
    client->claim_call = 0;
    uint64_t said = client->connection;
    if (client->seat && client->seat->said_connection)
        said = client->seat->said_connection;
    bool seated = client->seat != NULL;
    sync_seat_leave(client);
    struct sync_client *other = sync_clients_of_player(app, client->player_id);
    if (!other && client->player_id != 0) // 0: nobody knows who it was
        sync_roster_gone(app, client->player_id);
    if (!other && (seated || client->said_online))
        say_offline(app, client->player_id, said);
    else if (other && !seated && client->said_online && !other->claim_call)
        (void)claim(other); // whose name for the instance's hold this one had taken over
    client->said_online = false;
}

// --- heartbeats ----------------------------------------------------------------------------------

static void on_heartbeat(void *arg, const struct mm_rpc_result *result)
{
    struct sync_app *app = arg;
    const Mmorts__Social__HeartbeatReply *reply = (const void *)result->reply;
    app->heartbeat_call = 0;
    if (result->code != MM_OK)
        return; // the next round says it again
    for (size_t i = 0; i < reply->n_overtaken; i++) {
        for (struct sync_client *c = sync_clients_of_player(app, reply->overtaken[i]); c;
             c = c->beside)
            // One that has claimed since was not meant.
            if (c->claim != 0 && c->claimed_ns < app->heartbeat_ns)
                replace(c);
    }
}

static void send_heartbeat(struct sync_app *app, size_t count, Mmorts__Social__Member **members,
                           uint64_t *claims, mm_rpc_callback_fn done, mm_rpc_handle *call_out)
{
    Mmorts__Social__HeartbeatRequest request = MMORTS__SOCIAL__HEARTBEAT_REQUEST__INIT;
    request.session = (char *)(uintptr_t)app->session;
    request.instance = (char *)(uintptr_t)mm_service_instance(app->service);
    request.n_members = request.n_claims = count;
    request.members = members;
    request.claims = claims;
    request.silent_ms = (uint32_t)app->settings.silent_ms;
    request.said_us = said_us(app);
    struct mm_rpc_call_options options = {.deadline_ms = CALL_MS, .idempotent = true};
    if (mm_rpc_call(app->social, &mmorts__social__social__descriptor, "Heartbeat", &request.base,
                    &options, done, app, call_out) != MM_OK &&
        call_out)
        *call_out = 0;
}

// The clock is read anew: the loop's may be of before the process was held up.
static void on_beat(void *arg, const struct mm_rpc_result *result)
{
    struct sync_app *app = arg;
    const Mmorts__Social__HeartbeatReply *reply = (const void *)result->reply;
    app->beat_call = 0;
    if (result->code == MM_OK && reply->now_us != 0)
        sync_shared_clock_learn(&app->shared_clock, app->beat_us, mm_clock_ns() / 1000,
                                reply->now_us);
}

void sync_presence_beat(struct sync_app *app)
{
    if (app->beat_call) {
        send_heartbeat(app, 0, NULL, NULL, ignore, NULL);
        return;
    }
    app->beat_us = mm_clock_ns() / 1000;
    send_heartbeat(app, 0, NULL, NULL, on_beat, &app->beat_call);
}

// A part of the players: each once in a round, by its newest connection.
static void say_part(struct sync_app *app, unsigned part)
{
    size_t count = 0, again = 0, clients = app->clients.count;
    Mmorts__Social__Member *members = mm_calloc(clients + 1, sizeof *members);
    Mmorts__Social__Member **pointers = mm_calloc(clients + 1, sizeof *pointers);
    uint64_t *claims = mm_calloc(clients + 1, sizeof *claims);
    for (size_t i = 0; members && pointers && claims && i < clients; i++) {
        struct sync_client *client = app->clients.items[i];
        if (client->connection % SYNC_HEARTBEAT_PARTS != part || !client->seat ||
            client->seat->clients != client)
            continue;
        if (client->claimed_ns == 0) {
            if (!client->claim_call && again < CLAIMS_AGAIN_MAX)
                again += claim(client);
            continue;
        }
        Mmorts__Social__Member *member = &members[count];
        mmorts__social__member__init(member);
        member->player_id = client->player_id;
        member->username = client->username;
        member->display_id = client->display_id;
        claims[count] = client->claim;
        pointers[count++] = member;
    }
    if (count > 0) {
        app->heartbeat_ns = mm_loop_now_ns(app->loop);
        send_heartbeat(app, count, pointers, claims, on_heartbeat, &app->heartbeat_call);
    }
    mm_free(members);
    mm_free(pointers);
    mm_free(claims);
}

bool sync_presence_heartbeat(struct sync_app *app)
{
    // One call at a time: what its answer says of a claim depends on when it was sent.
    if (app->heartbeat_call)
        return false;
    say_part(app, app->heartbeat_part);
    app->heartbeat_part = (app->heartbeat_part + 1) % SYNC_HEARTBEAT_PARTS;
    return app->heartbeat_part == 0;
}
