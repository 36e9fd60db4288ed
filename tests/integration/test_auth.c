// The auth service as a process, with a real MariaDB, Redis and login server: every refusal, key
// rotation, revocations and bans that outlive whatever is killed.

#include "gen/auth.pb-c.h"
#include "libcommon/base/base64url.h"
#include "libcommon/base/clock.h"
#include "libcommon/base/str.h"
#include "libcommon/io/loop.h"
#include "libcommon/io/redis.h"
#include "libcommon/io/rpc_client.h"
#include "tests/support/process.h"
#include "tests/support/servers.h"

#include <criterion/criterion.h>
#include <curl/curl.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define REASON(name) MMORTS__AUTH__VERIFY_REASON__VERIFY_##name

enum { WAIT_MS = TEST_PATIENCE_MS, TOKEN_CHARS = 4096 };

// --- the world around auth -----------------------------------------------------------------------

struct world {
    char *dir;
    char *database;
    struct test_server *redis;
    uint16_t login_port, http_port;
    char rpc_url[PATH_MAX];
    char config_path[PATH_MAX];
    struct test_process *login, *auth;
    struct mm_loop *loop;
    struct mm_rpc_client *client;
    bool asks_once; // takes UNAVAILABLE for an answer
};

static void start_login(struct world *world)
{
    char listen[32];
    char data[PATH_MAX];
    snprintf(listen, sizeof listen, "127.0.0.1:%u", world->login_port);
    snprintf(data, sizeof data, "%s/login", world->dir);
    const char *const argv[] = {"mmorts-login", "--listen",    listen, "--data", data,
                                "--test",       "--operators", "boss", NULL};
    world->login = test_process_start(argv, NULL);
    cr_assert(test_process_wait_ready(world->login, world->login_port, WAIT_MS), "%s",
              test_process_log(world->login));
}

static void write_config(struct world *world)
{
    const struct test_servers *servers = test_servers_get();
    const struct test_address *redis = test_server_address(world->redis);
    char schema[PATH_MAX];
    cr_assert(realpath("services/auth/schema", schema) != NULL);
    FILE *file = fopen(world->config_path, "w");
    cr_assert(file != NULL);
    fprintf(file,
            "rpc: {listen: \"%s\"}\nhttp: {listen: \"127.0.0.1:%u\"}\n"
            "mariadb:\n  host: %s\n  port: %u\n  user: %s\n  password: \"%s\"\n"
            "  database: %s\n  schema: %s\n"
            "redis: {host: %s, port: %u}\n"
            "token: {leeway: 5s, cache: 10s}\n"
            "login_server:\n  url: http://127.0.0.1:%u\n  retry: 100ms\n  timeout: 2s\n",
            world->rpc_url, world->http_port, servers->mariadb.host, servers->mariadb.port,
            servers->mariadb.user, servers->mariadb.password, world->database, schema, redis->host,
            redis->port, world->login_port);
    fclose(file);
}

static void start_auth(struct world *world)
{
    const char *const argv[] = {"mmorts-auth", "--config", world->config_path, NULL};
    world->auth = test_process_start(argv, NULL);
    cr_assert(test_process_wait_ready(world->auth, world->http_port, WAIT_MS), "%s",
              test_process_log(world->auth));
}

static void stop_auth(struct world *world)
{
    int status = test_process_stop(world->auth);
    char *log = test_process_log(world->auth);
    cr_expect(status == 0, "status %d: %s", status, log);
    cr_expect(strstr(log, "Sanitizer") == NULL, "%s", log);
    free(log);
    test_process_free(world->auth);
    world->auth = NULL;
}

static struct world *begin(void)
{
    struct world *world = calloc(1, sizeof *world);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    world->dir = test_dir_make();
    world->database = test_name_unique("auth");
    world->redis = test_redis_start(NULL, false);
    world->login_port = test_port_free();
    world->http_port = test_port_free();
    snprintf(world->rpc_url, sizeof world->rpc_url, "ipc://%s/auth.rpc", world->dir);
    snprintf(world->config_path, sizeof world->config_path, "%s/auth.yaml", world->dir);
    write_config(world);
    start_login(world);
    start_auth(world);
    cr_assert(mm_loop_create(NULL, &world->loop) == MM_OK);
    cr_assert(mm_rpc_client_open(world->loop, world->rpc_url, NULL, &world->client) == MM_OK);
    return world;
}

static void end(struct world *world)
{
    if (world->auth != NULL) {
        stop_auth(world);
    }
    if (world->login != NULL) {
        cr_expect(test_process_stop(world->login) == 0, "%s", test_process_log(world->login));
        test_process_free(world->login);
    }
    mm_rpc_client_close(world->client);
    mm_loop_destroy(world->loop);
    // No nng_fini() here: Criterion itself speaks to its runner through nng.
    test_server_free(world->redis);
    free(world->database);
    free(world->dir);
    free(world);
    curl_global_cleanup();
}

// --- HTTP ----------------------------------------------------------------------------------------

struct response {
    long status;
    char body[16384];
    size_t bytes;
};

static size_t take(char *data, size_t size, size_t count, void *arg)
{
    struct response *response = arg;
    size_t bytes = size * count;
    cr_assert(response->bytes + bytes < sizeof response->body);
    memcpy(response->body + response->bytes, data, bytes);
    response->bytes += bytes;
    response->body[response->bytes] = '\0';
    return bytes;
}

static struct response http_post(uint16_t port, const char *path, const char *bearer,
                                 const char *body)
{
    struct response response = {.status = -1};
    char url[256];
    char header[TOKEN_CHARS + 64];
    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", port, path);
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    if (bearer != NULL) {
        snprintf(header, sizeof header, "Authorization: Bearer %s", bearer);
        headers = curl_slist_append(headers, header);
    }
    CURL *curl = curl_easy_init();
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)WAIT_MS);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &response);
    cr_assert(curl_easy_perform(curl) == CURLE_OK, "%s", url);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &response.status);
    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);
    return response;
}

struct login {
    char token[TOKEN_CHARS];
    uint64_t user_id;
};

// Logs in; `knobs` is more JSON, beginning with a comma, or "".
static struct login log_in(struct world *world, const char *username, const char *knobs)
{
    char body[512];
    snprintf(body, sizeof body, "{\"username\":\"%s\"%s}", username, knobs);
    struct response response = http_post(world->login_port, "/api/login", NULL, body);
    cr_assert(response.status == 200, "%ld %s", response.status, response.body);
    json_t *json = json_loads(response.body, 0, NULL);
    struct login login = {.user_id =
                              (uint64_t)json_integer_value(json_object_get(json, "user_id"))};
    cr_assert(mm_str_copy(login.token, sizeof login.token,
                          json_string_value(json_object_get(json, "token"))));
    json_decref(json);
    return login;
}

// --- RPC -----------------------------------------------------------------------------------------

struct verdict {
    bool done;
    enum mm_err err;
    Mmorts__Auth__VerifyReason reason;
    uint64_t player_id;
    int64_t permissions, expires_at_ms;
    char username[64], message[800], token_hash[65];
    bool has_player;
};

static void on_verify(void *arg, const struct mm_rpc_result *result)
{
    struct verdict *verdict = arg;
    verdict->done = true;
    verdict->err = result->code;
    if (result->code != MM_OK) {
        (void)mm_str_copy(verdict->message, sizeof verdict->message, result->message);
        return;
    }
    const Mmorts__Auth__VerifyReply *reply = (const void *)result->reply;
    verdict->reason = reply->reason;
    verdict->expires_at_ms = reply->expires_at_ms;
    (void)mm_str_copy(verdict->message, sizeof verdict->message, reply->message);
    (void)mm_str_copy(verdict->token_hash, sizeof verdict->token_hash, reply->token_hash);
    verdict->has_player = reply->player != NULL;
    if (reply->player != NULL) {
        verdict->player_id = reply->player->player_id;
        verdict->permissions = reply->player->permissions;
        (void)mm_str_copy(verdict->username, sizeof verdict->username, reply->player->username);
    }
}

// Where a store stands still for some seconds, auth cannot decide and says so: all its methods may
// be called again then, which the client does within the deadline.
static struct mm_rpc_call_options call_options(const struct world *world)
{
    return (struct mm_rpc_call_options){
        .deadline_ms = 30000, .idempotent = !world->asks_once, .wait_for_connection = true};
}

static struct verdict verify(struct world *world, const char *token, bool joining)
{
    struct verdict verdict = {.done = false};
    Mmorts__Auth__VerifyRequest request = MMORTS__AUTH__VERIFY_REQUEST__INIT;
    request.token = (char *)(uintptr_t)token;
    request.joining = joining;
    struct mm_rpc_call_options options = call_options(world);
    cr_assert(mm_rpc_call(world->client, &mmorts__auth__auth__descriptor, "Verify", &request.base,
                          &options, on_verify, &verdict, NULL) == MM_OK);
    cr_assert(mm_loop_run_until(world->loop, &verdict.done, WAIT_MS));
    return verdict;
}

static void expect_reason(struct world *world, const char *token, Mmorts__Auth__VerifyReason reason)
{
    struct verdict verdict = verify(world, token, false);
    cr_expect(verdict.err == MM_OK, "%s: %s", mm_err_name(verdict.err), verdict.message);
    cr_expect(verdict.reason == reason, "got %d, expected %d", (int)verdict.reason, (int)reason);
    cr_expect(verdict.has_player == (reason == REASON(OK)));
    cr_expect(strlen(verdict.message) > 5);
}

struct outcome {
    bool done;
    enum mm_err err;
    Mmorts__Auth__GetPlayerReply *player; // of GetPlayer
};

static void on_outcome(void *arg, const struct mm_rpc_result *result)
{
    struct outcome *outcome = arg;
    outcome->done = true;
    outcome->err = result->code;
    if (result->code == MM_OK &&
        result->reply->descriptor == &mmorts__auth__get_player_reply__descriptor) {
        uint8_t packed[4096];
        size_t bytes = protobuf_c_message_get_packed_size(result->reply);
        cr_assert(bytes <= sizeof packed);
        protobuf_c_message_pack(result->reply, packed);
        outcome->player = mmorts__auth__get_player_reply__unpack(NULL, bytes, packed);
    }
}

static struct outcome call(struct world *world, const char *method, const ProtobufCMessage *request)
{
    struct outcome outcome = {.done = false};
    struct mm_rpc_call_options options = call_options(world);
    cr_assert(mm_rpc_call(world->client, &mmorts__auth__auth__descriptor, method, request, &options,
                          on_outcome, &outcome, NULL) == MM_OK);
    cr_assert(mm_loop_run_until(world->loop, &outcome.done, WAIT_MS));
    return outcome;
}

static enum mm_err revoke(struct world *world, const char *token)
{
    Mmorts__Auth__RevokeRequest request = MMORTS__AUTH__REVOKE_REQUEST__INIT;
    request.token = (char *)(uintptr_t)token;
    return call(world, "Revoke", &request.base).err;
}

static enum mm_err ban(struct world *world, uint64_t player_id, int64_t until_ms,
                       const char *reason)
{
    Mmorts__Auth__BanRequest request = MMORTS__AUTH__BAN_REQUEST__INIT;
    request.player_id = player_id;
    request.until_ms = until_ms;
    request.reason = (char *)(uintptr_t)reason;
    return call(world, "Ban", &request.base).err;
}

static enum mm_err unban(struct world *world, uint64_t player_id)
{
    Mmorts__Auth__UnbanRequest request = MMORTS__AUTH__UNBAN_REQUEST__INIT;
    request.player_id = player_id;
    return call(world, "Unban", &request.base).err;
}

// --- hostile tokens ------------------------------------------------------------------------------

// header.claims of a good token, the header replaced.
static size_t rewrite_header(const char *token, const char *header, char *out)
{
    size_t at = mm_base64url_encode(header, strlen(header), out);
    const char *claims = strchr(token, '.');
    size_t chars = strcspn(claims + 1, ".") + 1;
    memcpy(out + at, claims, chars);
    out[at + chars] = '\0';
    return at + chars;
}

static void hs256_with_public_pem(struct world *world, const char *token, char *out)
{
    char *pem = NULL;
    cr_assert(test_http_get(world->login_port, "/api/public-key", WAIT_MS, &pem) == 200);
    size_t chars = rewrite_header(token, "{\"alg\":\"HS256\",\"typ\":\"JWT\"}", out);
    uint8_t mac[32];
    unsigned mac_bytes = 0;
    HMAC(EVP_sha256(), pem, (int)strlen(pem), (const uint8_t *)out, chars, mac, &mac_bytes);
    out[chars++] = '.';
    mm_base64url_encode(mac, mac_bytes, out + chars);
    free(pem);
}

// The same token with the signature's twin (r, n - s), which is just as valid.
static void respell(const char *token, char *out)
{
    size_t chars = strlen(token);
    uint8_t signature[64];
    size_t bytes;
    cr_assert(mm_base64url_decode(token + chars - 86, 86, signature, 64, &bytes) == MM_OK);
    BIGNUM *n = NULL;
    cr_assert(BN_hex2bn(&n, "FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551") >
              0);
    BIGNUM *s = BN_bin2bn(signature + 32, 32, NULL);
    cr_assert(BN_sub(s, n, s) == 1 && BN_bn2binpad(s, signature + 32, 32) == 32);
    BN_free(n);
    BN_free(s);
    memcpy(out, token, chars - 86);
    mm_base64url_encode(signature, 64, out + chars - 86);
}

static void test_refusals(struct world *world)
{
    struct login ann = log_in(world, "ann", "");
    expect_reason(world, ann.token, REASON(OK));
    expect_reason(world, ann.token, REASON(OK)); // from the cache
    expect_reason(world, log_in(world, "ann", ",\"issuer\":\"other\"").token, REASON(WRONG_ISSUER));
    expect_reason(world, log_in(world, "ann", ",\"expires_in\":-10").token, REASON(EXPIRED));
    expect_reason(world, log_in(world, "ann", ",\"activated\":0").token, REASON(NOT_ACTIVATED));
    expect_reason(world, log_in(world, "ann", ",\"activated\":-1").token, REASON(BANNED));
    expect_reason(world, "", REASON(MALFORMED_TOKEN));
    expect_reason(world, "not a token", REASON(MALFORMED_TOKEN));

    char token[TOKEN_CHARS + 16];
    snprintf(token, sizeof token, "%s=", ann.token);
    expect_reason(world, token, REASON(MALFORMED_TOKEN));
    size_t chars = rewrite_header(ann.token, "{\"alg\":\"none\"}", token);
    memcpy(token + chars, ".", 2);
    expect_reason(world, token, REASON(UNSUPPORTED_ALGORITHM));
    hs256_with_public_pem(world, ann.token, token);
    expect_reason(world, token, REASON(UNSUPPORTED_ALGORITHM));
    // Another's claims under ann's signature.
    struct login bob = log_in(world, "bob", "");
    size_t bob_signature = strlen(bob.token) - 86;
    memcpy(token, bob.token, bob_signature);
    memcpy(token + bob_signature, ann.token + strlen(ann.token) - 86, 87);
    expect_reason(world, token, REASON(BAD_SIGNATURE));
    char huge[6000];
    memset(huge, 'a', sizeof huge - 1);
    huge[sizeof huge - 1] = '\0';
    expect_reason(world, huge, REASON(MALFORMED_TOKEN));
}

static void test_players(struct world *world)
{
    struct login eve = log_in(world, "Eve \xc3\xb6", ",\"permissions\":55");
    Mmorts__Auth__GetPlayerRequest request = MMORTS__AUTH__GET_PLAYER_REQUEST__INIT;
    request.player_id = eve.user_id;
    expect_reason(world, eve.token, REASON(OK));
    cr_expect(call(world, "GetPlayer", &request.base).err == MM_NOT_FOUND, "she has not joined");
    struct verdict verdict = verify(world, eve.token, true);
    cr_expect(verdict.err == MM_OK && verdict.reason == REASON(OK));
    cr_expect(verdict.player_id == eve.user_id && verdict.permissions == 55);
    cr_expect_str_eq(verdict.username, "Eve \xc3\xb6");
    cr_expect(strlen(verdict.token_hash) == 64);
    cr_expect(verdict.expires_at_ms > (int64_t)time(NULL) * 1000);
    struct outcome outcome = call(world, "GetPlayer", &request.base);
    cr_assert(outcome.err == MM_OK);
    cr_expect(outcome.player->player->permissions == 55 && !outcome.player->banned);
    cr_expect_str_eq(outcome.player->player->username, "Eve \xc3\xb6");
    cr_expect(outcome.player->player->first_seen_ms == outcome.player->player->last_seen_ms);
    mmorts__auth__get_player_reply__free_unpacked(outcome.player, NULL);
    // The same name is the same player.
    cr_expect(log_in(world, "Eve \xc3\xb6", "").user_id == eve.user_id);
}

// --- what is published ---------------------------------------------------------------------------

// What was heard, in its order: several events may come at once.
enum { EVENTS_MAX = 4096 };

struct listener {
    bool subscribed, heard;
    Mmorts__Auth__Revoked *events[EVENTS_MAX];
    size_t count, looked_at;
};

static void on_message(enum mm_redis_event event, const struct mm_redis_message *message, void *arg)
{
    struct listener *listener = arg;
    if (event == MM_REDIS_SUBSCRIBED) {
        listener->subscribed = true;
    } else if (event == MM_REDIS_MESSAGE) {
        cr_assert(listener->count < EVENTS_MAX);
        Mmorts__Auth__Revoked *told =
            mmorts__auth__revoked__unpack(NULL, message->size, message->data);
        cr_assert(told != NULL);
        listener->events[listener->count++] = told;
        listener->heard = true;
    }
}

static void forget(struct listener *listener)
{
    for (size_t i = 0; i < listener->count; i++)
        mmorts__auth__revoked__free_unpacked(listener->events[i], NULL);
    listener->count = listener->looked_at = 0;
}

// Waits for an event about that player or token; others (every event comes twice) are passed over.
static void expect_event(struct world *world, struct listener *listener, uint64_t player_id,
                         const char *token_hash, Mmorts__Auth__VerifyReason reason)
{
    int64_t deadline = test_now_ms() + TEST_PATIENCE_MS;
    bool found = false;
    while (!found) {
        int64_t left = deadline - test_now_ms();
        listener->heard = listener->looked_at < listener->count;
        cr_assert(left > 0 && mm_loop_run_until(world->loop, &listener->heard, (uint32_t)left),
                  "no event");
        const Mmorts__Auth__Revoked *event = listener->events[listener->looked_at++];
        found = event->player_id == player_id && strcmp(event->token_hash, token_hash) == 0;
        cr_expect(!found || event->reason == reason);
    }
}

static unsigned count_of(const struct listener *listener, uint64_t player_id)
{
    unsigned count = 0;
    for (size_t i = 0; i < listener->count; i++)
        count += listener->events[i]->player_id == player_id;
    return count;
}

static int64_t in_wall_ms(int64_t ms)
{
    return mm_clock_wall_ms() + ms;
}

static void test_bans(struct world *world, struct listener *listener)
{
    struct login joe = log_in(world, "joe", "");
    struct verdict verdict = verify(world, joe.token, true);
    cr_expect(verdict.err == MM_OK && verdict.reason == REASON(OK));
    cr_expect(ban(world, 0, 0, "x") == MM_INVALID_ARGUMENT);
    cr_expect(ban(world, joe.user_id, 1000, "x") == MM_INVALID_ARGUMENT, "a time in the past");
    cr_assert(ban(world, joe.user_id, 0, "spam") == MM_OK);
    expect_event(world, listener, joe.user_id, "", REASON(BANNED));
    expect_event(world, listener, joe.user_id, "", REASON(BANNED)); // again, for who was joining
    verdict = verify(world, joe.token, true);
    cr_expect(verdict.err == MM_OK && verdict.reason == REASON(BANNED) && !verdict.has_player);
    cr_expect_str_eq(verdict.message, "the account is banned: spam");
    expect_reason(world, log_in(world, "joe", "").token, REASON(BANNED));
    cr_assert(unban(world, joe.user_id) == MM_OK);
    expect_reason(world, joe.token, REASON(OK));

    // A ban with an end: told, and over by itself.
    cr_assert(ban(world, joe.user_id, in_wall_ms(3600000), "") == MM_OK);
    expect_event(world, listener, joe.user_id, "", REASON(BANNED));
    verdict = verify(world, joe.token, false);
    cr_expect(verdict.reason == REASON(BANNED));
    cr_expect(mm_str_starts_with(verdict.message, "the account is banned until 2"), "%s",
              verdict.message);
    // One that comes when its end is in the past already is refused: another, then.
    enum mm_err err = MM_INVALID_ARGUMENT;
    for (int tries = 0; tries < 10 && err == MM_INVALID_ARGUMENT; tries++)
        err = ban(world, joe.user_id, in_wall_ms(3000), "");
    cr_assert(err == MM_OK, "%s", mm_err_name(err));
    int64_t deadline = test_now_ms() + WAIT_MS;
    while (verify(world, joe.token, false).reason == REASON(BANNED) && test_now_ms() < deadline) {
    }
    expect_reason(world, joe.token, REASON(OK));
}

// A ban that is lifted at once is not told a second time: the player may be back by then.
static void test_lifted_ban(struct world *world, struct listener *listener)
{
    enum { QUICK_MS = 250 }; // long before the second time
    struct login max = log_in(world, "max", ""), kim = log_in(world, "kim", "");
    int64_t took_ms = 0;
    for (int tries = 0; tries < 100; tries++) {
        forget(listener);
        int64_t began_ms = test_now_ms();
        cr_assert(ban(world, max.user_id, 0, "by mistake") == MM_OK);
        cr_assert(unban(world, max.user_id) == MM_OK);
        took_ms = test_now_ms() - began_ms;
        // What is told of another's ban a second time comes after all that is told of this one.
        cr_assert(ban(world, kim.user_id, 0, "x") == MM_OK);
        expect_event(world, listener, kim.user_id, "", REASON(BANNED));
        expect_event(world, listener, kim.user_id, "", REASON(BANNED));
        cr_assert(unban(world, kim.user_id) == MM_OK);
        if (took_ms < QUICK_MS)
            break;
    }
    unsigned told = count_of(listener, max.user_id);
    cr_expect(took_ms >= QUICK_MS || told == 1, "told %u times", told);
}

static void test_revocations(struct world *world, struct listener *listener)
{
    struct login kim = log_in(world, "kim", "");
    struct verdict verdict = verify(world, kim.token, false);
    cr_expect(verdict.reason == REASON(OK));
    char twin[TOKEN_CHARS];
    respell(kim.token, twin);
    expect_reason(world, twin, REASON(OK)); // valid, which is why its hash must not be trusted
    cr_expect(revoke(world, "x.y.z") == MM_INVALID_ARGUMENT);
    cr_assert(revoke(world, twin) == MM_OK);
    expect_event(world, listener, 0, verdict.token_hash, REASON(REVOKED));
    expect_reason(world, kim.token, REASON(REVOKED));
    expect_reason(world, twin, REASON(REVOKED));
    expect_reason(world, log_in(world, "kim", ",\"permissions\":1").token, REASON(OK));
}

Test(auth, verdicts, .timeout = 300)
{
    struct world *world = begin();
    static struct listener listener;
    struct mm_redis *redis = NULL;
    const struct test_address *address = test_server_address(world->redis);
    struct mm_redis_options options = {
        .host = address->host, .port = address->port, .command_timeout_ms = WAIT_MS / 2};
    cr_assert(mm_redis_create(world->loop, &options, &redis) == MM_OK);
    cr_assert(mm_redis_subscribe(redis, "auth.revoked", on_message, &listener) == MM_OK);
    cr_assert(mm_loop_run_until(world->loop, &listener.subscribed, WAIT_MS));
    test_refusals(world);
    test_players(world);
    test_bans(world, &listener);
    test_lifted_ban(world, &listener);
    test_revocations(world, &listener);
    mm_redis_destroy(redis);
    forget(&listener);
    // Nothing of a token is in the log.
    char *log = test_process_log(world->auth);
    cr_expect(strstr(log, "eyJ") == NULL);
    free(log);
    end(world);
}

Test(auth, what_was_acknowledged_outlives_restarts, .timeout = 300)
{
    struct world *world = begin();
    struct login kim = log_in(world, "kim", "");
    struct login joe = log_in(world, "joe", "");
    struct login ann = log_in(world, "ann", "");
    cr_assert(revoke(world, kim.token) == MM_OK);
    cr_assert(ban(world, joe.user_id, 0, "spam") == MM_OK);
    stop_auth(world);
    start_auth(world);
    expect_reason(world, kim.token, REASON(REVOKED));
    expect_reason(world, joe.token, REASON(BANNED));
    expect_reason(world, ann.token, REASON(OK));

    // Redis gone: no decision. Redis back, its memory lost: filled again before it is believed.
    test_server_kill(world->redis);
    world->asks_once = true;
    struct verdict verdict;
    int64_t deadline = test_now_ms() + WAIT_MS;
    do {
        verdict = verify(world, ann.token, false);
    } while (verdict.err == MM_OK && test_now_ms() < deadline);
    cr_expect(verdict.err == MM_UNAVAILABLE, "%s", mm_err_name(verdict.err));
    cr_expect(revoke(world, ann.token) == MM_UNAVAILABLE);
    cr_expect(ban(world, ann.user_id, 0, "x") == MM_UNAVAILABLE);
    char *body = NULL;
    cr_expect(test_http_get(world->http_port, "/readyz", WAIT_MS, &body) == 503);
    cr_expect(strstr(body, "\"waiting_for\":[\"redis\",\"revocations in Redis\"]") != NULL, "%s",
              body);
    free(body);
    test_server_restart(world->redis);
    world->asks_once = false;
    deadline = test_now_ms() + WAIT_MS;
    do {
        verdict = verify(world, kim.token, false);
        cr_assert(verdict.err != MM_OK || verdict.reason == REASON(REVOKED));
    } while (verdict.err != MM_OK && test_now_ms() < deadline);
    cr_expect(verdict.err == MM_OK);
    expect_reason(world, joe.token, REASON(BANNED));
    expect_reason(world, ann.token, REASON(OK));
    end(world);
}

Test(auth, keys, .timeout = 300)
{
    struct world *world = begin();
    struct login old = log_in(world, "ann", "");
    expect_reason(world, old.token, REASON(OK));

    // The login server changes its key: tokens it signs now are good, the old are not.
    cr_assert(http_post(world->login_port, "/api/rotate-key", NULL, "").status == 200);
    // (As soon as the limit on fetches lets auth look.)
    struct login new = log_in(world, "ann", "");
    int64_t deadline = test_now_ms() + WAIT_MS;
    while (verify(world, new.token, false).reason != REASON(OK) && test_now_ms() < deadline) {
    }
    expect_reason(world, new.token, REASON(OK));
    expect_reason(world, old.token, REASON(BAD_SIGNATURE));

    // Without the login server all goes on, also after a restart.
    test_process_stop(world->login);
    test_process_free(world->login);
    world->login = NULL;
    expect_reason(world, new.token, REASON(OK));
    expect_reason(world, old.token, REASON(BAD_SIGNATURE));
    stop_auth(world);
    start_auth(world);
    expect_reason(world, new.token, REASON(OK));
    expect_reason(world, old.token, REASON(BAD_SIGNATURE));

    // Its key and its names are where they were.
    start_login(world);
    struct login again = log_in(world, "ann", "");
    cr_expect(again.user_id == new.user_id);
    expect_reason(world, again.token, REASON(OK));
    end(world);
}

// Asked again, as by the RPC client, where a store does not answer now, or not in time.
static struct response http_ask(uint16_t port, const char *path, const char *bearer,
                                const char *body)
{
    int64_t deadline = test_now_ms() + WAIT_MS;
    struct response response;
    do {
        response = http_post(port, path, bearer, body);
    } while ((response.status == 503 || response.status == 504) && test_now_ms() < deadline);
    return response;
}

static void expect_status(uint16_t port, const char *path, const char *bearer, const char *body,
                          long status, const char *part)
{
    struct response response =
        status == 503 ? http_post(port, path, bearer, body) : http_ask(port, path, bearer, body);
    cr_expect(response.status == status && strstr(response.body, part) != NULL, "%s: %ld %s", path,
              response.status, response.body);
}

Test(auth, over_http, .timeout = 300)
{
    struct world *world = begin();
    struct login ann = log_in(world, "ann", "");
    struct login boss = log_in(world, "boss", "");
    char body[TOKEN_CHARS + 64];
    snprintf(body, sizeof body, "{\"token\":\"%s\"}", ann.token);
    expect_status(world->http_port, "/rpc/Auth/Verify", NULL, body, 200, "\"username\":\"ann\"");
    const char *ban_ann = "{\"playerId\":\"1\",\"reason\":\"rude\"}";
    expect_status(world->http_port, "/rpc/Auth/Ban", NULL, ban_ann, 401, "UNAUTHENTICATED");
    expect_status(world->http_port, "/rpc/Auth/Ban", "nonsense", ban_ann, 401, "UNAUTHENTICATED");
    expect_status(world->http_port, "/rpc/Auth/Ban", ann.token, ban_ann, 403, "PERMISSION_DENIED");
    expect_status(world->http_port, "/rpc/Auth/Ban", boss.token, ban_ann, 200, "{}");
    expect_status(world->http_port, "/rpc/Auth/Verify", NULL, body, 200, "VERIFY_BANNED");
    expect_status(world->http_port, "/rpc/Auth/GetPlayer", ann.token, "{\"playerId\":\"1\"}", 403,
                  "banned");
    expect_status(world->http_port, "/rpc/Auth/Revoke", NULL, body, 200, "tokenHash");

    char *metrics = NULL;
    cr_expect(test_http_get(world->http_port, "/metrics", WAIT_MS, &metrics) == 200);
    cr_expect(strstr(metrics, "mmorts_auth_verifications_total{result=\"banned\"} 2\n") != NULL,
              "%s", metrics);
    cr_expect(strstr(metrics, "mmorts_rpc_served_total{service=\"mmorts.auth.Auth\","
                              "method=\"Ban\",code=\"OK\"} 1\n") != NULL,
              "%s", metrics);
    cr_expect(strstr(metrics, "mmorts_db_up 1\n") != NULL);
    free(metrics);
    end(world);
}

// Another service asks auth who a bearer token belongs to, and believes it for a few seconds.
Test(auth, bearer_tokens_of_other_services, .timeout = 300)
{
    struct world *world = begin();
    struct login ann = log_in(world, "ann", "");
    struct login boss = log_in(world, "boss", "");
    uint16_t port = test_port_free();
    const struct test_address *redis = test_server_address(world->redis);
    const struct test_address *db = &test_servers_get()->mariadb;
    char settings[7][PATH_MAX + 32];
    snprintf(settings[0], sizeof settings[0], "MMORTS_AUTH_RPC=%s", world->rpc_url);
    snprintf(settings[1], sizeof settings[1], "MMORTS_SOCIAL_RPC=ipc://%s/social.rpc", world->dir);
    snprintf(settings[2], sizeof settings[2], "MMORTS_SOCIAL_HTTP=127.0.0.1:%u", port);
    snprintf(settings[3], sizeof settings[3], "MMORTS_REDIS_PORT=%u", redis->port);
    snprintf(settings[4], sizeof settings[4], "MMORTS_DB_PORT=%u", db->port);
    snprintf(settings[5], sizeof settings[5], "MMORTS_DB_USER=%s", db->user);
    snprintf(settings[6], sizeof settings[6], "MMORTS_DB_PASSWORD=%s", db->password);
    const char *const env[] = {settings[0], settings[1], settings[2], settings[3],
                               settings[4], settings[5], settings[6], NULL};
    const char *const argv[] = {"mmorts-social", "--config", "services/social/social.yaml", NULL};
    struct test_process *social = test_process_start(argv, env);
    cr_assert(test_process_wait_ready(social, port, WAIT_MS), "%s", test_process_log(social));

    const char *list = "{\"session\":\"main\",\"limit\":10}";
    const char *announce = "{\"session\":\"main\",\"message\":\"hello\"}";
    expect_status(port, "/rpc/Social/ListOnline", NULL, list, 401, "UNAUTHENTICATED");
    expect_status(port, "/rpc/Social/ListOnline", "nonsense", list, 401, "this is not a token");
    expect_status(port, "/rpc/Social/ListOnline", ann.token, list, 200, "{");
    expect_status(port, "/rpc/Social/Announce", ann.token, announce, 403, "PERMISSION_DENIED");
    expect_status(port, "/rpc/Social/Announce", boss.token, announce, 200, "{");

    // A revoked token is believed no longer than the few seconds; a new one is not believed at all.
    cr_assert(revoke(world, ann.token) == MM_OK);
    int64_t revoked_ms = test_now_ms();
    struct response believed;
    while ((believed = http_ask(port, "/rpc/Social/ListOnline", ann.token, list)).status == 200) {
        cr_assert(test_now_ms() - revoked_ms < TEST_PATIENCE_MS);
    }
    cr_expect(believed.status == 401, "%ld %s", believed.status, believed.body);
    expect_status(port, "/rpc/Social/ListOnline", ann.token, list, 401, "revoked");
    stop_auth(world);
    struct login bob = log_in(world, "bob", "");
    expect_status(port, "/rpc/Social/ListOnline", bob.token, list, 503, "UNAVAILABLE");
    start_auth(world);
    expect_status(port, "/rpc/Social/ListOnline", bob.token, list, 200, "{");
    cr_expect(test_process_stop(social) == 0, "%s", test_process_log(social));
    test_process_free(social);
    end(world);
}
