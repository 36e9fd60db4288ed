#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "gen/auth.pb-c.h"
#include "gen/social.pb-c.h"
#include "libcommon/base/buf_json.h"
#include "libcommon/base/id.h"
#include "libcommon/base/log.h"
#include "libcommon/base/str.h"
#include "libcommon/io/pb.h"
#include "services/sync/app.h"
#include "services/sync/core/encode.h"
#include "services/sync/rooms.h"

// What social and auth tell through Redis, and what social is told of who is here. All of it may
// be away; the game goes on without, and what was missed is asked for afterwards.

#define CALL_MS         3000
#define EVENT_BYTES_MAX 65536 // a mail to a thousand members of a group
#define CHANNEL_BYTES   64

// --- to everybody --------------------------------------------------------------------------------

void sync_talk_broadcast(struct sync_app *app, const struct mm_buf *message)
{
    for (size_t i = app->clients.count; i-- > 0;) {
        if (i < app->clients.count && app->clients.items[i]->state == SYNC_CLIENT_PLAYING)
            sync_client_hold(app->clients.items[i], message);
    }
}

static void write_player(struct mm_buf *out, uint64_t player_id, const char *username)
{
    mm_buf_printf(out, "{\"player_id\":\"%" PRIu64 "\",\"username\":", player_id);
    mm_buf_json_cstr(out, username);
    mm_buf_byte(out, '}');
}

// --- the roster ----------------------------------------------------------------------------------

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

const char *sync_talk_name_of(struct sync_app *app, uint64_t player_id)
{
    uint64_t at = 0;
    if (mm_idmap_get(app->roster_index, player_id, &at))
        return app->roster.items[at].username;
    const struct sync_client *client = sync_clients_of_player(app, player_id);
    while (client && client->state != SYNC_CLIENT_PLAYING)
        client = client->beside;
    return client ? client->username : NULL;
}

void sync_write_roster(struct sync_app *app, struct mm_buf *out)
{
    bool any = false;
    MM_BUF_LIT(out, "{\"type\":\"roster\",\"payload\":{\"players\":[");
    for (size_t i = 0; i < app->roster.count; i++) {
        mm_buf_str(out, any ? "," : "");
        any = true;
        write_player(out, app->roster.items[i].player_id, app->roster.items[i].username);
    }
    // Who plays here is here, whatever social knows at the moment.
    for (size_t i = 0; i < app->clients.count; i++) {
        const struct sync_client *client = app->clients.items[i];
        if (client->state != SYNC_CLIENT_PLAYING || roster_has(app, client->player_id) ||
            client->seat->clients != client)
            continue;
        mm_buf_str(out, any ? "," : "");
        any = true;
        write_player(out, client->player_id, client->username);
    }
    MM_BUF_LIT(out, "]}}");
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
    mm_buf_reset(&app->scratch);
    sync_write_roster(app, &app->scratch);
    sync_talk_broadcast(app, &app->scratch);
}

void sync_talk_roster_ask(struct sync_app *app)
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

// --- social's events -----------------------------------------------------------------------------

static void tell_presence(struct sync_app *app, const char *type,
                          const Mmorts__Social__Member *member)
{
    mm_buf_reset(&app->scratch);
    mm_buf_printf(&app->scratch, "{\"type\":\"%s\",\"payload\":", type);
    write_player(&app->scratch, member->player_id, member->username);
    mm_buf_byte(&app->scratch, '}');
    sync_talk_broadcast(app, &app->scratch);
}

// On all of the player's connections.
static void hold_for_player(struct sync_app *app, uint64_t player_id, const struct mm_buf *message)
{
    for (struct sync_client *c = sync_clients_of_player(app, player_id); c; c = c->beside)
        if (c->state == SYNC_CLIENT_PLAYING)
            sync_client_hold(c, message);
}

static void tell_chat(struct sync_app *app, const Mmorts__Social__Chat *chat)
{
    if (!chat->from)
        return;
    struct mm_buf *out = &app->scratch;
    mm_buf_reset(out);
    mm_buf_printf(out,
                  "{\"type\":\"chat\",\"payload\":{\"player_id\":\"%" PRIu64 "\",\"username\":",
                  chat->from->player_id);
    mm_buf_json_cstr(out, chat->from->username);
    MM_BUF_LIT(out, ",\"message\":");
    mm_buf_json_cstr(out, chat->message);
    if (chat->scope == MMORTS__SOCIAL__CHAT_SCOPE__CHAT_GROUP) {
        MM_BUF_LIT(out, ",\"group\":");
        sync_encode_id(out, "group_", chat->to_group);
    }
    if (chat->scope == MMORTS__SOCIAL__CHAT_SCOPE__CHAT_PRIVATE) {
        mm_buf_printf(out, ",\"to\":\"%" PRIu64 "\"", chat->to_player);
    }
    mm_buf_printf(out, ",\"timestamp\":%" PRId64 "}}", chat->timestamp_ms);
    if (chat->scope == MMORTS__SOCIAL__CHAT_SCOPE__CHAT_GLOBAL) {
        sync_talk_broadcast(app, out);
        return;
    }
    for (size_t i = 0; i < chat->n_to_players; i++)
        hold_for_player(app, chat->to_players[i], out);
    // A private message concerns two players.
    uint64_t ids[] = {chat->to_player, chat->from->player_id};
    for (size_t i = 0; i < 2 && chat->scope == MMORTS__SOCIAL__CHAT_SCOPE__CHAT_PRIVATE; i++) {
        if (i == 0 || ids[0] != ids[1])
            hold_for_player(app, ids[i], out);
    }
}

void sync_talk_announce(struct sync_app *app, const char *text, int64_t timestamp_ms)
{
    struct mm_buf *out = &app->scratch;
    mm_buf_reset(out);
    MM_BUF_LIT(out, "{\"type\":\"announcement\",\"payload\":{\"message\":");
    mm_buf_json_cstr(out, text);
    mm_buf_printf(out, ",\"timestamp\":%" PRId64 "}}", timestamp_ms);
    sync_talk_broadcast(app, out);
}

static void on_event(struct sync_app *app, const Mmorts__Social__Event *event)
{
    switch (event->event_case) {
    case MMORTS__SOCIAL__EVENT__EVENT_JOINED:
        roster_add(app, event->joined->player_id, event->joined->username);
        tell_presence(app, "player_joined", event->joined);
        break;
    case MMORTS__SOCIAL__EVENT__EVENT_LEFT:
        roster_remove(app, event->left->player_id);
        tell_presence(app, "player_left", event->left);
        break;
    case MMORTS__SOCIAL__EVENT__EVENT_CHAT:
        tell_chat(app, event->chat);
        break;
    case MMORTS__SOCIAL__EVENT__EVENT_CLAIMED:
        sync_presence_claimed(app, event->claimed);
        break;
    case MMORTS__SOCIAL__EVENT__EVENT_GROUP:
        sync_groups_event(app, event->group);
        break;
    case MMORTS__SOCIAL__EVENT__EVENT_ANNOUNCEMENT:
        sync_talk_announce(app, event->announcement->message, event->announcement->timestamp_ms);
        break;
    case MMORTS__SOCIAL__EVENT__EVENT_MAIL:
        sync_mail_event(app, event->mail);
        break;
    case MMORTS__SOCIAL__EVENT__EVENT_MAILBOX:
        sync_mail_box_event(app, event->mailbox);
        break;
    default:
        break;
    }
}

static void on_social(enum mm_redis_event kind, const struct mm_redis_message *message, void *arg)
{
    struct sync_app *app = arg;
    if (kind == MM_REDIS_SUBSCRIBED) {
        app->roster_wanted = true;
        sync_talk_roster_ask(app);
        for (size_t i = 0; i < app->clients.count; i++)
            app->clients.items[i]->groups_wanted = app->clients.items[i]->mail.wanted = true;
        sync_groups_ask(app);
        sync_mail_ask(app);
    }
    if (kind != MM_REDIS_MESSAGE)
        return;
    ProtobufCMessage *event = NULL;
    if (mm_pb_unpack(&mmorts__social__event__descriptor, NULL, message->data, message->size,
                     EVENT_BYTES_MAX, &event) != MM_OK) {
        MM_LOG_WARN("an event of social cannot be read", "bytes=%zu", message->size);
        return;
    }
    on_event(app, (const void *)event);
    protobuf_c_message_free_unpacked(event, NULL);
}

// --- auth's revocations
// ----------------------------------------------------------------------------

static void on_revoked(struct sync_app *app, const Mmorts__Auth__Revoked *revoked)
{
    for (size_t i = app->clients.count; i-- > 0;) {
        if (i >= app->clients.count)
            continue;
        struct sync_client *client = app->clients.items[i];
        bool by_token = revoked->token_hash[0] && client->token_hash[0] &&
                        strcmp(revoked->token_hash, client->token_hash) == 0;
        bool by_player = revoked->player_id && client->player_id == revoked->player_id;
        if ((by_token || by_player) && client->state < SYNC_CLIENT_CLOSING)
            sync_revoke(client, revoked->reason);
    }
}

static void on_auth(enum mm_redis_event kind, const struct mm_redis_message *message, void *arg)
{
    struct sync_app *app = arg;
    size_t cursor = 0;
    if (kind == MM_REDIS_SUBSCRIBED) {
        // Something may have been revoked while nobody listened.
        for (struct sync_app *each; (each = sync_rooms_next(app, &cursor)) != NULL;)
            for (size_t i = 0; i < each->clients.count; i++)
                each->clients.items[i]->recheck = true;
    }
    if (kind != MM_REDIS_MESSAGE)
        return;
    ProtobufCMessage *revoked = NULL;
    if (mm_pb_unpack(&mmorts__auth__revoked__descriptor, NULL, message->data, message->size,
                     EVENT_BYTES_MAX, &revoked) != MM_OK) {
        MM_LOG_WARN("a revocation cannot be read", "bytes=%zu", message->size);
        return;
    }
    for (struct sync_app *each; (each = sync_rooms_next(app, &cursor)) != NULL;)
        on_revoked(each, (const void *)revoked);
    protobuf_c_message_free_unpacked(revoked, NULL);
}

// --- open and close ------------------------------------------------------------------------------

enum mm_err sync_talk_open(struct sync_app *app)
{
    struct mm_redis *redis = mm_service_redis(app->service);
    char channel[CHANNEL_BYTES];
    (void)snprintf(channel, sizeof channel, "social.events.%s", app->session);
    enum mm_err err = mm_redis_subscribe(redis, channel, on_social, app);
    // The lobby hears of revocations for all.
    if (err == MM_OK && !app->lobby)
        err = mm_redis_subscribe(redis, "auth.revoked", on_auth, app);
    return err;
}

void sync_talk_close(struct sync_app *app)
{
    struct mm_redis *redis = mm_service_redis(app->service);
    char channel[CHANNEL_BYTES];
    (void)snprintf(channel, sizeof channel, "social.events.%s", app->session);
    if (redis && app->lobby)
        mm_redis_unsubscribe(redis, channel);
}
