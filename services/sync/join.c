#include <inttypes.h>
#include <string.h>

#include "gen/auth.pb-c.h"
#include "gen/world.pb-c.h"
#include "libcommon/base/buf_json.h"
#include "libcommon/base/id.h"
#include "libcommon/base/log.h"
#include "libcommon/base/str.h"
#include "services/sync/app.h"
#include "services/sync/core/encode.h"
#include "services/sync/rooms.h"

#define CALL_MS 5000

// --- refusals ------------------------------------------------------------------------------------

struct refusal {
    const char *word;
    uint16_t code;
    const char *message;
};

static struct refusal refusal_of(Mmorts__Auth__VerifyReason reason)
{
    switch (reason) {
    case MMORTS__AUTH__VERIFY_REASON__VERIFY_UNSUPPORTED_ALGORITHM:
        return (struct refusal){"unsupported_algorithm", 4401, "The token must be signed ES256."};
    case MMORTS__AUTH__VERIFY_REASON__VERIFY_BAD_SIGNATURE:
        return (struct refusal){"bad_signature", 4401, "The token's signature is not valid."};
    case MMORTS__AUTH__VERIFY_REASON__VERIFY_WRONG_ISSUER:
        return (struct refusal){"wrong_issuer", 4401, "The token is of another issuer."};
    case MMORTS__AUTH__VERIFY_REASON__VERIFY_EXPIRED:
        return (struct refusal){"expired", 4401, "The token has expired; log in again."};
    case MMORTS__AUTH__VERIFY_REASON__VERIFY_NOT_YET_VALID:
        return (struct refusal){"not_yet_valid", 4401, "The token is not valid yet."};
    case MMORTS__AUTH__VERIFY_REASON__VERIFY_INVALID_CLAIMS:
        return (struct refusal){"invalid_claims", 4401, "A claim is missing or wrong."};
    case MMORTS__AUTH__VERIFY_REASON__VERIFY_NOT_ACTIVATED:
        return (struct refusal){"not_activated", 4403, "The account is not activated."};
    case MMORTS__AUTH__VERIFY_REASON__VERIFY_BANNED:
        return (struct refusal){"banned", 4403, "The account is banned."};
    case MMORTS__AUTH__VERIFY_REASON__VERIFY_REVOKED:
        return (struct refusal){"revoked", 4403, "The token was revoked."};
    default:
        return (struct refusal){"malformed_token", 4401, "The token is not a JWT."};
    }
}

static void refuse(struct sync_client *client, Mmorts__Auth__VerifyReason reason)
{
    struct refusal refusal = refusal_of(reason);
    mm_counter_add(client->app->metrics.refused, 1);
    sync_client_close(client, refusal.code, refusal.word, refusal.message);
}

void sync_revoke(struct sync_client *client, Mmorts__Auth__VerifyReason reason)
{
    if (reason != MMORTS__AUTH__VERIFY_REASON__VERIFY_BANNED)
        reason = MMORTS__AUTH__VERIFY_REASON__VERIFY_REVOKED;
    refuse(client, reason);
}

static void away(struct sync_client *client)
{
    mm_counter_add(client->app->metrics.refused, 1);
    sync_client_close(client, SYNC_WS_TRY_LATER, "unavailable",
                      "A service that is needed is away; try again.");
}

// Starts a call; without room for one more the sweep tries again.
static void call(struct sync_client *client, struct mm_rpc_client *peer,
                 const ProtobufCServiceDescriptor *service, const char *method,
                 const ProtobufCMessage *request, mm_rpc_callback_fn done)
{
    struct mm_rpc_call_options options = {
        .deadline_ms = CALL_MS, .idempotent = true, .wait_for_connection = true};
    client->call_peer = peer;
    enum mm_err err =
        mm_rpc_call(peer, service, method, request, &options, done, client, &client->call);
    if (err == MM_OK)
        return;
    client->call = 0;
    if (err != MM_RESOURCE_EXHAUSTED)
        away(client);
}

// --- auth ----------------------------------------------------------------------------------------

static void on_verified(void *arg, const struct mm_rpc_result *result)
{
    struct sync_client *client = arg;
    client->call = 0;
    if (result->code != MM_OK) {
        away(client);
        return;
    }
    const Mmorts__Auth__VerifyReply *reply = (const void *)result->reply;
    if (reply->reason != MMORTS__AUTH__VERIFY_REASON__VERIFY_OK || !reply->player) {
        refuse(client, reply->reason);
        return;
    }
    if (sync_revoked_since(&client->app->revoked, client->revoked_heard, reply->player->player_id,
                           reply->token_hash)) {
        sync_join_advance(client); // what was true when auth looked may not be any more
        return;
    }
    client->player_id = reply->player->player_id;
    client->permissions = (uint64_t)reply->player->permissions;
    uint32_t retry_ms;
    if (!sync_rates_take(client->app->logins, client->player_id,
                         mm_loop_now_ns(client->app->loop) / 1000000, &retry_ms)) {
        mm_counter_add(client->app->metrics.refused, 1);
        sync_client_refuse(client, 4429, "rate_limited", "You come in too often; try again later.",
                           retry_ms);
        return;
    }
    (void)mm_str_copy(client->username, sizeof client->username, reply->player->username);
    (void)mm_str_copy(client->token_hash, sizeof client->token_hash, reply->token_hash);
    client->state = mm_str_equal(client->session, client->app->session) ? SYNC_CLIENT_JOINING
                                                                        : SYNC_CLIENT_FINDING;
    sync_join_advance(client);
}

static void verify(struct sync_client *client, bool joining, mm_rpc_callback_fn done)
{
    Mmorts__Auth__VerifyRequest request = MMORTS__AUTH__VERIFY_REQUEST__INIT;
    request.token = client->token;
    request.joining = joining;
    call(client, client->app->auth, &mmorts__auth__auth__descriptor, "Verify", &request.base, done);
}

// --- again, after revocations may have been missed -----------------------------------------------

static void on_rechecked(void *arg, const struct mm_rpc_result *result)
{
    struct sync_client *client = arg;
    client->call = 0;
    client->rechecking = false;
    client->app->rechecks--;
    if (result->code != MM_OK) {
        client->recheck = true; // nobody could decide: ask again
        return;
    }
    const Mmorts__Auth__VerifyReply *reply = (const void *)result->reply;
    // A token may run out while its player plays on; what counts is what was done to it.
    if (reply->reason == MMORTS__AUTH__VERIFY_REASON__VERIFY_REVOKED ||
        reply->reason == MMORTS__AUTH__VERIFY_REASON__VERIFY_BANNED)
        sync_revoke(client, reply->reason);
}

void sync_join_recheck(struct sync_app *app)
{
    for (size_t i = 0; i < app->clients.count && app->rechecks < SYNC_RECHECKS_MAX; i++) {
        struct sync_client *client = app->clients.items[i];
        if (!client->recheck || client->state != SYNC_CLIENT_PLAYING || client->call)
            continue;
        Mmorts__Auth__VerifyRequest request = MMORTS__AUTH__VERIFY_REQUEST__INIT;
        request.token = client->token;
        request.entered = true;
        struct mm_rpc_call_options options = {.deadline_ms = CALL_MS, .idempotent = true};
        client->call_peer = app->auth;
        if (mm_rpc_call(app->auth, &mmorts__auth__auth__descriptor, "Verify", &request.base,
                        &options, on_rechecked, client, &client->call) != MM_OK) {
            client->call = 0;
            return; // auth is away or busy: the next sweep goes on
        }
        client->recheck = false;
        client->rechecking = true;
        app->rechecks++;
    }
}

// --- another session -----------------------------------------------------------------------------

static void unknown_session(struct sync_client *client)
{
    mm_counter_add(client->app->metrics.refused, 1);
    sync_client_close(client, 4404, "unknown_session", "There is no such session.");
}

static void on_found(void *arg, const struct mm_rpc_result *result)
{
    struct sync_client *client = arg;
    client->call = 0;
    if (result->code == MM_NOT_FOUND) {
        unknown_session(client);
        return;
    }
    if (result->code == MM_FAILED_PRECONDITION) {
        mm_counter_add(client->app->metrics.refused, 1);
        sync_client_close(client, SYNC_WS_TRY_LATER, "session_away",
                          "The session is not running now; try again.");
        return;
    }
    if (result->code != MM_OK) {
        away(client);
        return;
    }
    struct sync_app *room = sync_room_of(client->app, client->session, (const void *)result->reply);
    if (!room || !sync_client_move(client, room)) {
        mm_counter_add(client->app->metrics.refused, 1);
        sync_client_close(client, 4429, "server_full", "The server is full; try again later.");
        return;
    }
    client->state = SYNC_CLIENT_JOINING;
    sync_join_advance(client);
}

static void find(struct sync_client *client)
{
    Mmorts__World__FindSessionRequest request = MMORTS__WORLD__FIND_SESSION_REQUEST__INIT;
    request.session = client->session;
    call(client, client->app->world, &mmorts__world__world__descriptor, "FindSession",
         &request.base, on_found);
}

// --- world ---------------------------------------------------------------------------------------

static void on_joined(void *arg, const struct mm_rpc_result *result)
{
    struct sync_client *client = arg;
    struct sync_app *app = client->app;
    client->call = 0;
    if (result->code == MM_NOT_FOUND) {
        unknown_session(client);
        return;
    }
    if (result->code == MM_FAILED_PRECONDITION) {
        mm_counter_add(app->metrics.refused, 1);
        sync_client_close(client, 4429, "session_full", "The session has all its players.");
        return;
    }
    if (result->code != MM_OK) {
        MM_LOG_WARN("world refused a player", "player=%" PRIu64 " code=%s reason=%s",
                    client->player_id, mm_err_name(result->code), result->message);
        away(client);
        return;
    }
    const Mmorts__World__JoinReply *reply = (const void *)result->reply;
    client->empire = reply->empire;
    client->empire_id = reply->empire_id;
    (void)mm_id_format(client->display_id, "empire_", reply->empire_id);
    client->home_q = reply->home_q;
    client->home_r = reply->home_r;
    client->next_seq = reply->next_client_seq;
    sync_presence_enter(client);
}

static void join(struct sync_client *client)
{
    Mmorts__World__JoinRequest request = MMORTS__WORLD__JOIN_REQUEST__INIT;
    request.session = (char *)(uintptr_t)client->app->session;
    request.player_id = client->player_id;
    request.username = client->username;
    call(client, client->app->world, &mmorts__world__world__descriptor, "Join", &request.base,
         on_joined);
}

void sync_join_advance(struct sync_client *client)
{
    if (client->call)
        return;
    switch (client->state) {
    case SYNC_CLIENT_VERIFYING:
        if (!client->token) {
            mm_counter_add(client->app->metrics.refused, 1);
            sync_client_close(client, 4401, "missing_token", "A token is needed to enter.");
        } else if (client->session[0] == '\0') {
            unknown_session(client);
        } else {
            client->revoked_heard = client->app->revoked.heard;
            verify(client, true, on_verified);
        }
        break;
    case SYNC_CLIENT_FINDING:
        find(client);
        break;
    case SYNC_CLIENT_JOINING:
        join(client);
        break;
    default:
        break; // LOOKING: the core says when
    }
}

// --- the game ------------------------------------------------------------------------------------

static void send_welcome(struct sync_client *client, enum sync_resume_result result)
{
    struct mm_buf *out = &client->app->scratch;
    mm_buf_reset(out);
    mm_buf_printf(out, "{\"type\":\"welcome\",\"payload\":{\"player_id\":\"%" PRIu64 "\"",
                  client->player_id);
    MM_BUF_LIT(out, ",\"username\":");
    mm_buf_json_cstr(out, client->username);
    MM_BUF_LIT(out, ",\"session_id\":");
    mm_buf_json_cstr(out, client->app->session);
    MM_BUF_LIT(out, ",\"empire_id\":");
    sync_encode_id(out, "empire_", client->empire_id);
    mm_buf_printf(out, ",\"home\":[%" PRId32 ",%" PRId32 "],\"next_seq\":%" PRIu64, client->home_q,
                  client->home_r, client->next_seq);
    MM_BUF_LIT(out, ",\"session_status\":");
    sync_status_write(client->app, out);
    if (client->app->settings.resume_ticks > 0)
        sync_trail_write_token(client, out);
    if (client->resume[0] && result == SYNC_RESUMED)
        MM_BUF_LIT(out, ",\"resumed\":true");
    else if (client->resume[0])
        mm_buf_printf(out, ",\"resumed\":false,\"reason\":\"%s\"", sync_resume_words[result]);
    MM_BUF_LIT(out, "}}");
    sync_client_send(client, out);
}

void sync_join_play(struct sync_client *client)
{
    struct sync_app *app = client->app;
    client->state = SYNC_CLIENT_PLAYING;
    sync_trail_new(client);
    enum sync_resume_result result = SYNC_RESUME_UNKNOWN;
    if (client->resume[0])
        result = sync_trail_resume(client);
    client->resuming = result == SYNC_RESUMED;
    client->full = (struct sync_full){.active = !client->resuming};
    mm_counter_add(app->metrics.joins, 1);
    mm_metrics_observe(app->metrics.join_latency,
                       (mm_loop_now_ns(app->loop) - client->opened_ns) / 1000);
    send_welcome(client, result);
    sync_roster_send(client);
    client->groups_wanted = client->mail.wanted = true;
    sync_groups_ask(app);
    sync_mail_ask(app);
}
