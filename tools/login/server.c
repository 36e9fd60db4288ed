#include "tools/login/login.h"

#include "libcommon/base/clock.h"
#include "libcommon/base/log.h"
#include "libcommon/base/name.h"
#include "libcommon/base/str.h"
#include "libcommon/io/http.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

// Any page may ask: the game's page comes from another port, and nothing here is secret.
static void allow_origin(struct mm_http_request *request)
{
    mm_http_add_header(request, "Access-Control-Allow-Origin", "*");
    mm_http_add_header(request, "Cache-Control", "no-store");
}

// Answers a browser's question whether its page may ask. False if it is another request.
static bool answer_options(struct mm_http_request *request)
{
    if (mm_http_request_method(request) != MM_HTTP_OPTIONS) {
        return false;
    }
    allow_origin(request);
    mm_http_add_header(request, "Access-Control-Allow-Methods", "GET, POST, OPTIONS");
    mm_http_add_header(request, "Access-Control-Allow-Headers", "Content-Type");
    mm_http_add_header(request, "Access-Control-Max-Age", "600");
    mm_http_reply(request, 204, NULL, NULL, 0);
    return true;
}

static void refuse(struct mm_http_request *request, enum mm_err err, const char *message)
{
    allow_origin(request);
    mm_http_reply_error(request, err, message);
}

static bool is_operator(const struct login_server *server, const char *name)
{
    size_t chars = strlen(name);
    for (const char *at = server->operators; at != NULL && *at != '\0';) {
        size_t item_chars = strcspn(at, ",");
        if (item_chars == chars && memcmp(at, name, chars) == 0) {
            return true;
        }
        at += item_chars;
        at += *at == ',' ? 1 : 0;
    }
    return false;
}

// --- tokens --------------------------------------------------------------------------------------

// What the token will say; the knobs of --test change it.
struct wish {
    const char *username;
    int64_t expires_in_s, activated, permissions;
    const char *issuer;
};

// False: a knob of the wrong type, or one that is not open.
static bool read_knobs(const struct login_server *server, json_t *body, struct wish *wish)
{
    const char *key;
    json_t *value;
    json_object_foreach(body, key, value)
    {
        if (strcmp(key, "username") == 0 || strcmp(key, "password") == 0) {
            continue; // what the real login server takes
        }
        int64_t *number = strcmp(key, "expires_in") == 0    ? &wish->expires_in_s
                          : strcmp(key, "activated") == 0   ? &wish->activated
                          : strcmp(key, "permissions") == 0 ? &wish->permissions
                                                            : NULL;
        if (!server->test) {
            return false;
        }
        if (number != NULL && json_is_integer(value)) {
            *number = json_integer_value(value);
        } else if (strcmp(key, "issuer") == 0 && json_is_string(value)) {
            wish->issuer = json_string_value(value);
        } else {
            return false;
        }
    }
    return true;
}

static enum mm_err make_token(struct login_server *server, const struct wish *wish, int64_t user_id,
                              char token[LOGIN_TOKEN_CHARS_MAX + 1])
{
    int64_t now_s = mm_clock_wall_ms() / 1000;
    // An expired token was issued before it expired, as a real one would have been.
    int64_t issued_s = wish->expires_in_s > 0 ? now_s : now_s + wish->expires_in_s - 60;
    json_t *claims =
        json_pack("{s:I, s:s, s:s, s:s, s:s, s:I, s:I, s:s, s:I, s:I}", "user_id",
                  (json_int_t)user_id, "email", "", "username", wish->username, "user_type", "user",
                  "auth_method", "password", "permissions", (json_int_t)wish->permissions,
                  "activated", (json_int_t)wish->activated, "iss", wish->issuer, "iat",
                  (json_int_t)issued_s, "exp", (json_int_t)now_s + wish->expires_in_s);
    char *text = claims == NULL ? NULL : json_dumps(claims, JSON_COMPACT);
    json_decref(claims);
    if (text == NULL) {
        return MM_INTERNAL;
    }
    enum mm_err err = login_signer_sign(server->signer, text, token);
    free(text);
    return err;
}

static void log_in(struct login_server *server, struct mm_http_request *request, json_t *body)
{
    struct wish wish = {
        .expires_in_s = LOGIN_TOKEN_LIFE_S,
        .activated = mm_clock_wall_ms() * 1000000,
        .issuer = server->issuer,
    };
    wish.username = json_string_value(json_object_get(body, "username"));
    if (wish.username == NULL ||
        !mm_name_valid(wish.username, strlen(wish.username), LOGIN_NAME_CHARS_MAX)) {
        refuse(request, MM_INVALID_ARGUMENT, "username has to be a name of 1 to 32 characters");
        return;
    }
    wish.permissions = is_operator(server, wish.username) ? LOGIN_PERMISSIONS_OPERATOR : 0;
    if (!read_knobs(server, body, &wish)) {
        refuse(request, MM_INVALID_ARGUMENT, "unknown or mistyped field");
        return;
    }
    int64_t user_id;
    char token[LOGIN_TOKEN_CHARS_MAX + 1];
    enum mm_err err = login_users_id(server->users, wish.username, &user_id);
    if (err == MM_OK) {
        err = make_token(server, &wish, user_id, token);
    }
    if (err != MM_OK) {
        refuse(request, err, "no token can be made now");
        return;
    }
    json_t *answer =
        json_pack("{s:s, s:I, s:s, s:I}", "token", token, "user_id", (json_int_t)user_id,
                  "username", wish.username, "expires_in", (json_int_t)wish.expires_in_s);
    char *text = answer == NULL ? NULL : json_dumps(answer, JSON_COMPACT);
    json_decref(answer);
    if (text == NULL) {
        refuse(request, MM_INTERNAL, "out of memory");
        return;
    }
    MM_LOG_INFO("login", "user_id=%" PRId64 " username=%s", user_id, wish.username);
    allow_origin(request);
    mm_http_reply_take(request, 200, "application/json", text, strlen(text));
}

static void handle_login(struct mm_http_request *request, void *arg)
{
    if (answer_options(request)) {
        return;
    }
    size_t bytes;
    const uint8_t *text = mm_http_request_body(request, &bytes);
    json_t *body =
        bytes == 0 ? NULL : json_loadb((const char *)text, bytes, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(body)) {
        log_in(arg, request, body);
    } else {
        refuse(request, MM_INVALID_ARGUMENT, "the body has to be a JSON object");
    }
    json_decref(body);
}

// --- the rest ------------------------------------------------------------------------------------

static void reply_pem(struct login_server *server, struct mm_http_request *request)
{
    const char *pem = login_signer_public_pem(server->signer);
    allow_origin(request);
    mm_http_reply(request, 200, "application/x-pem-file", pem, strlen(pem));
}

static void handle_public_key(struct mm_http_request *request, void *arg)
{
    if (!answer_options(request)) {
        reply_pem(arg, request);
    }
}

static void handle_rotate(struct mm_http_request *request, void *arg)
{
    struct login_server *server = arg;
    if (login_signer_rotate(server->signer) == MM_OK) {
        reply_pem(server, request);
    } else {
        refuse(request, MM_INTERNAL, "the key cannot be replaced");
    }
}

static void handle_health(struct mm_http_request *request, void *arg)
{
    (void)arg;
    mm_http_reply(request, 200, "text/plain; charset=utf-8", "ok\n", 3);
}

void login_server_add_routes(struct login_server *server, struct mm_http_server *http)
{
    mm_http_route(http, MM_HTTP_POST | MM_HTTP_OPTIONS, "/api/login", handle_login, server);
    mm_http_route(http, MM_HTTP_GET | MM_HTTP_OPTIONS, "/api/public-key", handle_public_key,
                  server);
    mm_http_route(http, MM_HTTP_GET, "/healthz", handle_health, server);
    mm_http_route(http, MM_HTTP_GET, "/readyz", handle_health, server);
    if (server->test) {
        mm_http_route(http, MM_HTTP_POST, "/api/rotate-key", handle_rotate, server);
    }
}
