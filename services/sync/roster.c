#include <inttypes.h>

#include "gen/social.pb-c.h"
#include "libcommon/base/buf_json.h"
#include "libcommon/base/str.h"
#include "services/sync/app.h"

// Who is online in the session, as social says, and what clients are told of it. One message to
// each player for each who comes or goes is the square of their number when thousands come at once:
// so many a second are told by name, and what is beyond is told together, once a second. A list has
// a bound too; with more players than that it is a part of them, and the count tells.

#define CALL_MS 3000

static void write_player(struct mm_buf *out, uint64_t player_id, const char *username)
{
    mm_buf_printf(out, "{\"player_id\":\"%" PRIu64 "\",\"username\":", player_id);
    mm_buf_json_cstr(out, username);
    mm_buf_byte(out, '}');
}

static bool roster_has(const struct sync_app *app, uint64_t player_id)
{
    return mm_idmap_has(app->roster_index, player_id);
}

static void roster_add(struct sync_app *app, uint64_t player_id, const char *username)
{
    // Beyond the bound the list is incomplete; the count in the status tells.
    if (roster_has(app, player_id) || app->roster.count == SYNC_ROSTER_MAX ||
        mm_idmap_set(app->roster_index, player_id, app->roster.count) != MM_OK)
        return;
    struct sync_online online = {.player_id = player_id};
    (void)mm_str_copy(online.username, sizeof online.username, username);
    if (!mm_vec_push(&app->roster, online))
        (void)mm_idmap_remove(app->roster_index, player_id, NULL);
}

static void roster_remove(struct sync_app *app, uint64_t player_id)
{
    uint64_t at = 0;
    if (!mm_idmap_remove(app->roster_index, player_id, &at))
        return;
    mm_vec_remove_swap(&app->roster, at);
    if (at < app->roster.count)
        *mm_idmap_find(app->roster_index, app->roster.items[at].player_id) = at;
}

const char *sync_roster_name_of(struct sync_app *app, uint64_t player_id)
{
    uint64_t at = 0;
    if (mm_idmap_get(app->roster_index, player_id, &at))
        return app->roster.items[at].username;
    const struct sync_client *client = sync_clients_of_player(app, player_id);
    while (client && client->state != SYNC_CLIENT_PLAYING)
        client = client->beside;
    return client ? client->username : NULL;
}

size_t sync_roster_count(const struct sync_app *app)
{
    // Who plays here is here, whatever social knows at the moment.
    size_t players = mm_idmap_count(app->seat_of_player);
    return players > app->roster.count ? players : app->roster.count;
}

void sync_roster_write(struct sync_app *app, struct mm_buf *out)
{
    size_t told = 0;
    mm_buf_printf(out, "{\"type\":\"roster\",\"payload\":{\"player_count\":%zu,\"players\":[",
                  sync_roster_count(app));
    for (size_t i = 0; i < app->roster.count && told < SYNC_ROSTER_TOLD_MAX; i++) {
        mm_buf_str(out, told++ ? "," : "");
        write_player(out, app->roster.items[i].player_id, app->roster.items[i].username);
    }
    for (size_t i = 0; i < app->clients.count && told < SYNC_ROSTER_TOLD_MAX; i++) {
        const struct sync_client *client = app->clients.items[i];
        if (client->state != SYNC_CLIENT_PLAYING || roster_has(app, client->player_id) ||
            client->seat->clients != client)
            continue;
        mm_buf_str(out, told++ ? "," : "");
        write_player(out, client->player_id, client->username);
    }
    MM_BUF_LIT(out, "]}}");
}

static void tell_roster(struct sync_app *app)
{
    mm_buf_reset(&app->scratch);
    sync_roster_write(app, &app->scratch);
    sync_talk_broadcast(app, &app->scratch);
    app->roster_untold = false;
}

static void on_roster(void *arg, const struct mm_rpc_result *result)
{
    struct sync_app *app = arg;
    app->roster_call = 0;
    if (result->code != MM_OK)
        return; // still wanted
    const Mmorts__Social__ListOnlineReply *reply = (const void *)result->reply;
    app->roster_wanted = false;
    mm_vec_clear(&app->roster);
    mm_idmap_clear(app->roster_index);
    for (size_t i = 0; i < reply->n_members; i++)
        roster_add(app, reply->members[i]->player_id, reply->members[i]->username);
    tell_roster(app);
}

void sync_roster_ask(struct sync_app *app)
{
    if (!app->roster_wanted || app->roster_call)
        return;
    Mmorts__Social__ListOnlineRequest request = MMORTS__SOCIAL__LIST_ONLINE_REQUEST__INIT;
    request.session = (char *)(uintptr_t)app->session;
    request.limit = SYNC_ROSTER_MAX;
    struct mm_rpc_call_options options = {.deadline_ms = CALL_MS, .idempotent = true};
    if (mm_rpc_call(app->social, &mmorts__social__social__descriptor, "ListOnline", &request.base,
                    &options, on_roster, app, &app->roster_call) != MM_OK)
        app->roster_call = 0;
}

// --- who comes and goes --------------------------------------------------------------------------

static void tell(struct sync_app *app, const char *type, const Mmorts__Social__Member *member)
{
    uint64_t now_ns = mm_loop_now_ns(app->loop);
    // Once something was left out, only the list sets it right: what comes before it is in it.
    if (app->roster_untold || !sync_bucket_take(&app->roster_news, now_ns / 1000000)) {
        app->roster_untold = true;
        app->roster_changed_ns = now_ns;
        return;
    }
    mm_buf_reset(&app->scratch);
    mm_buf_printf(&app->scratch, "{\"type\":\"%s\",\"payload\":", type);
    write_player(&app->scratch, member->player_id, member->username);
    mm_buf_byte(&app->scratch, '}');
    sync_talk_broadcast(app, &app->scratch);
}

void sync_roster_joined(struct sync_app *app, const Mmorts__Social__Member *member)
{
    roster_add(app, member->player_id, member->username);
    tell(app, "player_joined", member);
}

void sync_roster_left(struct sync_app *app, const Mmorts__Social__Member *member)
{
    roster_remove(app, member->player_id);
    tell(app, "player_left", member);
}

void sync_roster_sweep(struct sync_app *app)
{
    uint64_t now_ns = mm_loop_now_ns(app->loop);
    if (!app->roster_untold || now_ns - app->roster_told_ns < MM_LOOP_MS(SYNC_ROSTER_MS))
        return;
    app->roster_told_ns = now_ns;
    // A long list waits until nobody comes or goes any more; until then the count is enough.
    if (sync_roster_count(app) <= SYNC_ROSTER_TOLD_MAX ||
        now_ns - app->roster_changed_ns >= MM_LOOP_MS(SYNC_ROSTER_CALM_MS)) {
        tell_roster(app);
        return;
    }
    mm_buf_reset(&app->scratch);
    mm_buf_printf(&app->scratch, "{\"type\":\"players\",\"payload\":{\"player_count\":%zu}}",
                  sync_roster_count(app));
    sync_talk_broadcast(app, &app->scratch);
}
