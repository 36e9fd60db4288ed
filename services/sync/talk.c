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

void sync_talk_broadcast_in(struct sync_app *app, enum sync_encoding encoding,
                            const struct mm_buf *message)
{
    for (size_t i = app->clients.count; i-- > 0;) {
        struct sync_client *client = i < app->clients.count ? app->clients.items[i] : NULL;
        if (!client || client->state != SYNC_CLIENT_PLAYING || client->encoding != encoding)
            continue;
        if (encoding == SYNC_BINARY)
            (void)sync_client_hold_binary(client, message);
        else
            (void)sync_client_hold(client, message);
    }
}

void sync_talk_missed(struct sync_client *client)
{
    struct mm_buf *out = &client->app->scratch;
    mm_buf_reset(out);
    mm_buf_printf(out, "{\"type\":\"missed\",\"payload\":{\"messages\":%" PRIu32 "}}",
                  client->missed);
    client->missed = 0;
    sync_client_send(client, out);
    sync_roster_send(client);
    sync_status_send(client);
}

// --- social's events -----------------------------------------------------------------------------

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
        sync_roster_joined(app, event->joined);
        break;
    case MMORTS__SOCIAL__EVENT__EVENT_LEFT:
        sync_roster_left(app, event->left);
        break;
    case MMORTS__SOCIAL__EVENT__EVENT_CHAT:
        tell_chat(app, event->chat);
        break;
    case MMORTS__SOCIAL__EVENT__EVENT_CLAIMED:
        sync_presence_claimed(app, event->claimed);
        break;
    case MMORTS__SOCIAL__EVENT__EVENT_WANTED:
        sync_presence_probe(app, event->wanted->player_id);
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
        app->roster_again = app->roster_call != 0; // which may be of before
        sync_roster_ask(app);
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

// --- auth's revocations --------------------------------------------------------------------------

static void on_revoked(struct sync_app *app, const struct sync_revocation *revocation,
                       Mmorts__Auth__VerifyReason reason)
{
    for (size_t i = app->clients.count; i-- > 0;) {
        if (i >= app->clients.count)
            continue;
        struct sync_client *client = app->clients.items[i];
        if (sync_revocation_means(revocation, client->player_id, client->token_hash) &&
            client->state < SYNC_CLIENT_CLOSING)
            sync_revoke(client, reason);
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
    const Mmorts__Auth__Revoked *message_body = (const void *)revoked;
    struct sync_revocation revocation = {.player_id = message_body->player_id};
    (void)mm_str_copy(revocation.token_hash, sizeof revocation.token_hash,
                      message_body->token_hash);
    sync_revoked_hear(&app->revoked, &revocation);
    for (struct sync_app *each; (each = sync_rooms_next(app, &cursor)) != NULL;)
        on_revoked(each, &revocation, message_body->reason);
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
