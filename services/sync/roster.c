#include <inttypes.h>

#include "gen/social.pb-c.h"
#include "libcommon/base/buf_json.h"
#include "libcommon/base/str.h"
#include "services/sync/app.h"
#include "services/sync/core/binary.h"

// Who is online in the session, as social says, and what clients are told of it. One message to
// each player for each who comes or goes is the square of their number when thousands come at once.
// So clients know a part of them by name, all the same one (`listed`), and how many there are; so
// many a second are told one by one, and what is beyond is told together, once a second: what
// differs, and not the list again.

#define CALL_MS 3000

static void put_player(struct mm_buf *out, enum sync_encoding encoding, uint64_t player_id,
                       const char *username)
{
    if (encoding == SYNC_BINARY) {
        mm_buf_varint(out, player_id);
        sync_binary_text(out, username);
        return;
    }
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

// The list that was asked for may have been made before or after what is heard now: the last word
// about a player is right in either case.
static void keep_news(struct sync_app *app, const Mmorts__Social__Member *member, bool left)
{
    if (!app->roster_call)
        return;
    struct sync_presence_news news = {.player = {.player_id = member->player_id}, .left = left};
    (void)mm_str_copy(news.player.username, sizeof news.player.username, member->username);
    // Beyond the bound the list is asked for once more.
    if (!mm_vec_push(&app->roster_meanwhile, news))
        app->roster_again = true;
}

static void apply_news(struct sync_app *app)
{
    for (size_t i = 0; i < app->roster_meanwhile.count; i++) {
        const struct sync_presence_news *news = &app->roster_meanwhile.items[i];
        if (news->left)
            roster_remove(app, news->player.player_id);
        else
            roster_add(app, news->player.player_id, news->player.username);
    }
}

static const struct sync_client *playing_here(struct sync_app *app, uint64_t player_id)
{
    const struct sync_client *client = sync_clients_of_player(app, player_id);
    while (client && client->state != SYNC_CLIENT_PLAYING)
        client = client->beside;
    return client;
}

static bool is_online(struct sync_app *app, uint64_t player_id)
{
    return roster_has(app, player_id) || playing_here(app, player_id);
}

const char *sync_roster_name_of(struct sync_app *app, uint64_t player_id)
{
    uint64_t at = 0;
    if (mm_idmap_get(app->roster_index, player_id, &at))
        return app->roster.items[at].username;
    const struct sync_client *client = playing_here(app, player_id);
    return client ? client->username : NULL;
}

size_t sync_roster_count(const struct sync_app *app)
{
    // Who plays here is here, whatever social knows at the moment.
    size_t players = mm_idmap_count(app->seat_of_player);
    return players > app->roster.count ? players : app->roster.count;
}

// --- the list ------------------------------------------------------------------------------------

static struct sync_listed *find_listed(struct sync_app *app, uint64_t player_id)
{
    for (size_t i = 0; i < app->listed.count; i++)
        if (app->listed.items[i].player_id == player_id)
            return &app->listed.items[i];
    return NULL;
}

// NULL: there is no room.
static struct sync_listed *list_player(struct sync_app *app, uint64_t player_id)
{
    struct sync_listed *listed = find_listed(app, player_id);
    if (listed)
        return listed;
    if (app->listed.count == SYNC_ROSTER_TOLD_MAX ||
        !mm_vec_push(&app->listed, ((struct sync_listed){player_id, false})))
        return NULL;
    return &app->listed.items[app->listed.count - 1];
}

// Who plays here is here, whether social knows yet or not.
static void fill_list(struct sync_app *app)
{
    for (size_t i = 0; i < app->roster.count && app->listed.count < SYNC_ROSTER_TOLD_MAX; i++)
        (void)list_player(app, app->roster.items[i].player_id);
    for (size_t i = 0; i < app->clients.count && app->listed.count < SYNC_ROSTER_TOLD_MAX; i++)
        if (app->clients.items[i]->state == SYNC_CLIENT_PLAYING)
            (void)list_player(app, app->clients.items[i]->player_id);
}

void sync_roster_write(struct sync_app *app, enum sync_encoding encoding, struct mm_buf *out)
{
    bool binary = encoding == SYNC_BINARY;
    size_t count = 0, told = 0;
    fill_list(app);
    for (size_t i = 0; i < app->listed.count; i++)
        count += is_online(app, app->listed.items[i].player_id);
    if (binary) {
        mm_buf_byte(out, SYNC_BINARY_ROSTER);
        mm_buf_varint(out, sync_roster_count(app));
        mm_buf_varint(out, count);
    } else {
        mm_buf_printf(out, "{\"type\":\"roster\",\"payload\":{\"player_count\":%zu,\"players\":[",
                      sync_roster_count(app));
    }
    for (size_t i = 0; i < app->listed.count; i++) {
        uint64_t player_id = app->listed.items[i].player_id;
        if (!is_online(app, player_id))
            continue; // has left, and the others are told soon
        mm_buf_str(out, !binary && told++ ? "," : "");
        put_player(out, encoding, player_id, sync_roster_name_of(app, player_id));
    }
    if (!binary)
        MM_BUF_LIT(out, "]}}");
}

void sync_roster_send(struct sync_client *client)
{
    struct mm_buf *out = &client->app->scratch;
    mm_buf_reset(out);
    sync_roster_write(client->app, client->encoding, out);
    if (client->encoding == SYNC_BINARY)
        sync_client_send_binary(client, out);
    else
        sync_client_send(client, out);
}

static void tell_roster(struct sync_app *app)
{
    for (enum sync_encoding encoding = SYNC_JSON; encoding <= SYNC_BINARY; encoding++) {
        mm_buf_reset(&app->scratch);
        sync_roster_write(app, encoding, &app->scratch);
        sync_talk_broadcast_in(app, encoding, &app->scratch);
    }
    for (size_t i = 0; i < app->listed.count; i++)
        app->listed.items[i].heard = true;
    app->roster_untold = false;
}

static void on_roster(void *arg, const struct mm_rpc_result *result)
{
    struct sync_app *app = arg;
    app->roster_call = 0;
    if (result->code != MM_OK)
        return; // still wanted
    const Mmorts__Social__ListOnlineReply *reply = (const void *)result->reply;
    app->roster_wanted = app->roster_again;
    mm_vec_clear(&app->roster);
    mm_idmap_clear(app->roster_index);
    mm_vec_clear(&app->listed);
    for (size_t i = 0; i < reply->n_members; i++)
        roster_add(app, reply->members[i]->player_id, reply->members[i]->username);
    apply_news(app);
    tell_roster(app);
}

void sync_roster_ask(struct sync_app *app)
{
    if (!app->roster_wanted || app->roster_call)
        return;
    mm_vec_clear(&app->roster_meanwhile);
    app->roster_again = false;
    Mmorts__Social__ListOnlineRequest request = MMORTS__SOCIAL__LIST_ONLINE_REQUEST__INIT;
    request.session = (char *)(uintptr_t)app->session;
    request.limit = SYNC_ROSTER_MAX;
    struct mm_rpc_call_options options = {.deadline_ms = CALL_MS, .idempotent = true};
    if (mm_rpc_call(app->social, &mmorts__social__social__descriptor, "ListOnline", &request.base,
                    &options, on_roster, app, &app->roster_call) != MM_OK)
        app->roster_call = 0;
}

// --- who comes and goes --------------------------------------------------------------------------

// Once something was left out, only what comes together sets it right.
static bool tell(struct sync_app *app, const char *type, const Mmorts__Social__Member *member)
{
    uint64_t now_ms = mm_loop_now_ns(app->loop) / 1000000;
    if (app->roster_untold || !sync_bucket_take(&app->roster_news, now_ms)) {
        app->roster_untold = true;
        return false;
    }
    mm_buf_reset(&app->scratch);
    mm_buf_printf(&app->scratch,
                  "{\"type\":\"%s\",\"payload\":{\"player_id\":\"%" PRIu64 "\",\"username\":", type,
                  member->player_id);
    mm_buf_json_cstr(&app->scratch, member->username);
    // Clients cannot reckon it: who had come without a name may be counted already.
    mm_buf_printf(&app->scratch, ",\"player_count\":%zu}}", sync_roster_count(app));
    sync_talk_broadcast(app, &app->scratch);
    return true;
}

void sync_roster_joined(struct sync_app *app, const Mmorts__Social__Member *member)
{
    keep_news(app, member, false);
    roster_add(app, member->player_id, member->username);
    struct sync_listed *listed = list_player(app, member->player_id);
    if (!listed)
        app->roster_untold = true; // one more, of whom only the number is told
    else if (tell(app, "player_joined", member))
        listed->heard = true;
}

void sync_roster_left(struct sync_app *app, const Mmorts__Social__Member *member)
{
    keep_news(app, member, true);
    roster_remove(app, member->player_id);
    struct sync_listed *listed = find_listed(app, member->player_id);
    if (!listed)
        app->roster_untold = true;
    else if (tell(app, "player_left", member)) {
        mm_vec_remove_swap(&app->listed, (size_t)(listed - app->listed.items));
        // Another one takes the place.
        app->roster_untold = app->roster.count > app->listed.count;
    }
}

void sync_roster_gone(struct sync_app *app, uint64_t player_id)
{
    if (!roster_has(app, player_id) && find_listed(app, player_id))
        app->roster_untold = true;
}

// --- what is told together -----------------------------------------------------------------------

// Whom clients are to hear of: social knows them, and not all clients do.
static bool is_news(const struct sync_app *app, const struct sync_listed *listed)
{
    return !listed->heard && roster_has(app, listed->player_id);
}

static void write_news(struct sync_app *app, enum sync_encoding encoding, const uint64_t *left,
                       size_t left_count, struct mm_buf *out)
{
    bool binary = encoding == SYNC_BINARY;
    size_t joined = 0, told = 0;
    for (size_t i = 0; i < app->listed.count; i++)
        joined += is_news(app, &app->listed.items[i]);
    if (binary) {
        mm_buf_byte(out, SYNC_BINARY_PLAYERS);
        mm_buf_varint(out, sync_roster_count(app));
        mm_buf_varint(out, joined);
    } else {
        mm_buf_printf(out, "{\"type\":\"players\",\"payload\":{\"player_count\":%zu%s",
                      sync_roster_count(app), joined > 0 ? ",\"joined\":[" : "");
    }
    for (size_t i = 0; i < app->listed.count; i++) {
        uint64_t player_id = app->listed.items[i].player_id;
        if (!is_news(app, &app->listed.items[i]))
            continue;
        mm_buf_str(out, !binary && told++ ? "," : "");
        put_player(out, encoding, player_id, sync_roster_name_of(app, player_id));
    }
    if (binary)
        mm_buf_varint(out, left_count);
    else
        mm_buf_printf(out, "%s%s", joined > 0 ? "]" : "", left_count > 0 ? ",\"left\":[" : "");
    for (size_t i = 0; i < left_count; i++) {
        if (binary)
            mm_buf_varint(out, left[i]);
        else
            mm_buf_printf(out, "%s\"%" PRIu64 "\"", i ? "," : "", left[i]);
    }
    if (!binary)
        mm_buf_str(out, left_count > 0 ? "]}}" : "}}");
}

void sync_roster_sweep(struct sync_app *app)
{
    uint64_t now_ns = mm_loop_now_ns(app->loop);
    if (!app->roster_untold || now_ns - app->roster_told_ns < MM_LOOP_MS(SYNC_ROSTER_MS))
        return;
    app->roster_told_ns = now_ns;
    app->roster_untold = false;
    uint64_t left[SYNC_ROSTER_TOLD_MAX];
    size_t left_count = 0;
    for (size_t i = app->listed.count; i-- > 0;) {
        if (is_online(app, app->listed.items[i].player_id))
            continue;
        left[left_count++] = app->listed.items[i].player_id;
        mm_vec_remove_swap(&app->listed, i);
    }
    fill_list(app);
    for (enum sync_encoding encoding = SYNC_JSON; encoding <= SYNC_BINARY; encoding++) {
        mm_buf_reset(&app->scratch);
        write_news(app, encoding, left, left_count, &app->scratch);
        sync_talk_broadcast_in(app, encoding, &app->scratch);
    }
    for (size_t i = 0; i < app->listed.count; i++)
        app->listed.items[i].heard |= roster_has(app, app->listed.items[i].player_id);
}
