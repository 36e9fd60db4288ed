#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/base/alloc.h"
#include "libcommon/base/buf_json.h"
#include "libcommon/base/log.h"
#include "libcommon/base/str.h"
#include "services/sync/app.h"
#include "services/sync/sessions.h"

// The players' port: the handshake at /ws, the web client at /, and what it needs to know.

// Connections that are not (yet) players': handshakes, files of the web client.
#define PLAIN_CONNECTIONS_MAX 512
#define PLAIN_PER_ADDRESS_MAX 64
#define IDLE_S                15
#define HEADER_BYTES          16384 // a token travels in a header

// What the page may do: nothing but its own files, and sockets and logins elsewhere.
#define CONTENT_POLICY                                                                             \
    "default-src 'self'; connect-src 'self' ws: wss: http: https:; img-src 'self' data:; "         \
    "style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"

// --- the token -----------------------------------------------------------------------------------

static char *copy_token(const char *text, size_t len)
{
    // A longer one is no token of ours; auth would only say the same.
    if (len == 0 || len > SYNC_TOKEN_BYTES_MAX)
        return NULL;
    char *copy = mm_malloc(len + 1);
    if (copy) {
        memcpy(copy, text, len);
        copy[len] = '\0';
    }
    return copy;
}

// What Sec-WebSocket-Protocol asks for.
struct protocols {
    const char *selected; // what the answer must select, or NULL
    enum sync_encoding encoding;
    const char *token; // what stands behind `access_token`
    size_t token_len;
};

static bool item_is(const char *item, size_t len, const char *name)
{
    return len == strlen(name) && memcmp(item, name, len) == 0;
}

static struct protocols read_protocols(const char *list)
{
    static const struct {
        const char *name;
        enum sync_encoding encoding;
    } known[] = {{"mmorts.bin.v1", SYNC_BINARY}, {"mmorts.json.v1", SYNC_JSON}};
    struct protocols protocols = {.encoding = SYNC_JSON};
    bool encoding_selected = false, token_follows = false;
    while (list && *list) {
        const char *end = strchr(list, ',');
        const char *item = list;
        size_t len = end ? (size_t)(end - list) : strlen(list);
        list = end ? end + 1 : NULL;
        mm_str_trim(&item, &len);
        if (token_follows) {
            // Whatever it looks like: it is never a protocol, and never echoed.
            protocols.token = item;
            protocols.token_len = len;
            token_follows = false;
            continue;
        }
        token_follows = item_is(item, len, "access_token") && !protocols.token;
        if (token_follows && !protocols.selected)
            protocols.selected = "access_token";
        for (size_t i = 0; i < sizeof known / sizeof *known && !encoding_selected; i++) {
            if (!item_is(item, len, known[i].name))
                continue;
            protocols.selected = known[i].name;
            protocols.encoding = known[i].encoding;
            encoding_selected = true;
        }
    }
    return protocols;
}

static char *token_of(const struct mm_http_request *request, const struct protocols *protocols)
{
    if (protocols->token_len > 0)
        return copy_token(protocols->token, protocols->token_len);
    const char *header = mm_http_request_header(request, "Authorization");
    if (header && strncasecmp(header, "Bearer ", 7) == 0) {
        const char *token = header + 7;
        size_t len = strlen(token);
        mm_str_trim(&token, &len);
        return copy_token(token, len);
    }
    const char *token = mm_http_request_query(request, "token");
    return token ? copy_token(token, strlen(token)) : NULL;
}

// --- the handshake -------------------------------------------------------------------------------

// Without a list every origin may connect: the token, not the cookie jar, says who it is.
static bool origin_allowed(const struct sync_app *app, const struct mm_http_request *request)
{
    const char *origin = mm_http_request_header(request, "Origin");
    if (app->settings.origins.count == 0 || !origin)
        return true;
    for (size_t i = 0; i < app->settings.origins.count; i++) {
        if (mm_str_equal(app->settings.origins.items[i], origin))
            return true;
    }
    return false;
}

// The address that counts for the request's limits.
static uint64_t address_of(const struct sync_app *app, const struct mm_http_request *request)
{
    const char *peer = mm_http_request_peer(request);
    struct sync_address address = {0};
    (void)!sync_address_parse(peer, strlen(peer), &address);
    if (app->proxies.count > 0) {
        struct mm_buf forwarded;
        mm_buf_init(&forwarded, HEADER_BYTES);
        mm_http_request_header_all(request, "X-Forwarded-For", &forwarded);
        address = sync_address_behind(address, mm_buf_cstr(&forwarded), app->proxies.items,
                                      app->proxies.count);
        mm_buf_free(&forwarded);
    }
    return sync_address_key(&address);
}

// Whether the address may have one more handshake; if not, it is told when.
static bool may_shake_hands(struct sync_app *app, struct mm_http_request *request, uint64_t address)
{
    uint32_t retry_ms;
    if (sync_rates_take(app->handshakes, address, mm_loop_now_ns(app->loop) / 1000000, &retry_ms))
        return true;
    char seconds[24];
    (void)snprintf(seconds, sizeof seconds, "%" PRIu32, (retry_ms + 999) / 1000);
    mm_http_add_header(request, "Retry-After", seconds);
    mm_http_reply_error(request, MM_RESOURCE_EXHAUSTED,
                        "too many connections were opened from this address lately");
    mm_counter_add(app->metrics.refused, 1);
    return false;
}

static void on_upgraded(void *arg, int fd, struct mm_http_upgrade *upgrade, const uint8_t *extra,
                        size_t extra_len)
{
    struct sync_handshake *handshake = arg;
    if (fd >= 0)
        sync_client_accept(handshake, fd, upgrade, extra, extra_len);
    if (handshake->token) {
        explicit_bzero(handshake->token, strlen(handshake->token));
        mm_free(handshake->token);
    }
    mm_free(handshake);
}

static void on_handshake(struct mm_http_request *request, void *arg)
{
    struct sync_app *app = arg;
    if (!mm_http_is_websocket(request, NULL)) {
        mm_http_add_header(request, "Upgrade", "websocket");
        mm_http_add_header(request, "Sec-WebSocket-Version", "13");
        mm_http_reply(request, 426, "text/plain; charset=utf-8",
                      "This is a WebSocket of version 13.\n", 35);
        return;
    }
    if (!origin_allowed(app, request)) {
        mm_http_reply_error(request, MM_PERMISSION_DENIED, "this origin may not connect");
        return;
    }
    uint64_t address = address_of(app, request);
    if (!may_shake_hands(app, request, address))
        return;
    struct sync_handshake *handshake = mm_calloc(1, sizeof *handshake);
    if (!handshake) {
        mm_http_reply_error(request, MM_UNAVAILABLE, "out of memory");
        return;
    }
    // Both headers may come in several lines (RFC 6455, sections 9.1 and 11.3.4).
    struct mm_buf offered, extensions;
    mm_buf_init(&offered, HEADER_BYTES);
    mm_buf_init(&extensions, HEADER_BYTES);
    mm_http_request_header_all(request, "Sec-WebSocket-Protocol", &offered);
    mm_http_request_header_all(request, "Sec-WebSocket-Extensions", &extensions);
    struct protocols protocols = read_protocols(mm_buf_cstr(&offered));
    handshake->app = app;
    handshake->encoding = protocols.encoding;
    handshake->token = token_of(request, &protocols);
    const char *session = mm_http_request_query(request, "session");
    if (!mm_str_copy(handshake->session, sizeof handshake->session,
                     session && *session ? session : app->session))
        handshake->session[0] = '\0'; // longer than any session's name: none of ours
    const char *tick = mm_http_request_query(request, "last_tick");
    // A tick that is not one is as good as none.
    if (tick)
        (void)!mm_str_parse_u64(tick, strlen(tick), 0, INT64_MAX, &handshake->tick_min);
    handshake->position = (struct sync_position){handshake->tick_min, handshake->tick_min};
    tick = mm_http_request_query(request, "settled_tick");
    if (tick)
        (void)!mm_str_parse_u64(tick, strlen(tick), 0, handshake->tick_min,
                                &handshake->position.settled);
    const char *resume = mm_http_request_query(request, "resume");
    if (resume && !mm_str_copy(handshake->resume, sizeof handshake->resume, resume))
        (void)mm_str_copy(handshake->resume, sizeof handshake->resume,
                          "-"); // too long: none of ours
    handshake->address = address;
    char extension[SYNC_DEFLATE_RESPONSE_BYTES];
    if (strcmp(app->settings.compression, "off") != 0)
        sync_deflate_negotiate(mm_buf_cstr(&extensions), &handshake->deflate, extension);
    if (handshake->deflate.on)
        mm_http_add_header(request, "Sec-WebSocket-Extensions", extension);
    mm_http_upgrade_websocket(request, protocols.selected, on_upgraded, handshake);
    if (offered.data)
        explicit_bzero(offered.data, offered.len); // there is a token in it
    mm_buf_free(&offered);
    mm_buf_free(&extensions);
}

// --- the page ------------------------------------------------------------------------------------

static void on_config(struct mm_http_request *request, void *arg)
{
    struct sync_app *app = arg;
    struct mm_buf out;
    mm_buf_init(&out, 4096);
    MM_BUF_LIT(&out, "{\"login_url\":");
    mm_buf_json_cstr(&out, app->settings.login_url);
    MM_BUF_LIT(&out, ",\"ws_path\":\"/ws\",\"session\":");
    mm_buf_json_cstr(&out, app->session);
    mm_buf_printf(&out, ",\"max_players\":%" PRId64 ",\"message_bytes_max\":%d}",
                  app->settings.clients_max, SYNC_WS_MESSAGE_BYTES_MAX);
    mm_http_add_header(request, "Cache-Control", "no-store");
    mm_http_reply(request, 200, "application/json", out.data, out.len);
    mm_buf_free(&out);
}

static const char *tls_file(const struct sync_app *app, const char *name)
{
    return name[0] ? mm_config_resolve(mm_service_config(app->service), name) : NULL;
}

// Certificates run out: the new one takes over without a restart.
void sync_reload_service(struct mm_service *service, void *state)
{
    (void)service;
    struct sync_app *app = state;
    if (app->settings.tls_certificate[0] && app->listener &&
        mm_http_server_reload(app->listener) == MM_OK)
        MM_LOG_INFO("the certificate was read anew", "file=%s", app->settings.tls_certificate);
}

static enum mm_err open_limits(struct sync_app *app)
{
    const struct sync_settings *settings = &app->settings;
    mm_vec_init(&app->proxies, settings->proxies.count);
    for (size_t i = 0; i < settings->proxies.count; i++) {
        struct sync_network network;
        if (sync_network_parse(settings->proxies.items[i], &network) && // as sync_check saw
            !mm_vec_push(&app->proxies, network))
            return MM_RESOURCE_EXHAUSTED;
    }
    app->handshakes = sync_rates_new(&(struct sync_rates_options){
        .per_minute = (uint32_t)settings->handshakes_per_second * 60,
        .burst = (uint32_t)(settings->clients_per_address + settings->handshakes_per_second),
        .keys_max = SYNC_RATES_KEYS_MAX,
    });
    app->logins = sync_rates_new(&(struct sync_rates_options){
        .per_minute = (uint32_t)settings->logins_per_minute,
        .burst = settings->logins_per_minute ? (uint32_t)settings->logins_per_minute : 1,
        .keys_max = SYNC_RATES_KEYS_MAX,
    });
    return app->handshakes && app->logins ? MM_OK : MM_RESOURCE_EXHAUSTED;
}

enum mm_err sync_listener_open(struct sync_app *app)
{
    enum mm_err err = open_limits(app);
    if (err != MM_OK)
        return err;
    struct mm_http_options options = {
        .listen = app->settings.listen,
        .connections_max =
            (uint32_t)app->settings.clients_max + SYNC_REFUSED_CLIENTS_MAX + PLAIN_CONNECTIONS_MAX,
        .body_bytes_max = 1024,
        .idle_s = IDLE_S,
        .request_s = IDLE_S,
        // Behind a proxy all have its address.
        .connections_per_address =
            app->proxies.count > 0
                ? 0
                : (uint32_t)app->settings.clients_per_address + PLAIN_PER_ADDRESS_MAX,
        .connection_bytes = HEADER_BYTES,
        .backlog = 4096,
        .reuse_port = app->settings.reuse_port,
        .tls_certificate = tls_file(app, app->settings.tls_certificate),
        .tls_key = tls_file(app, app->settings.tls_key),
        .tls_send_buffer_bytes = (int)app->settings.send_buffer_bytes,
    };
    err = mm_http_server_open(app->loop, &options, &app->listener);
    if (err != MM_OK) {
        MM_LOG_ERROR("cannot listen for players", "address=%s code=%s", app->settings.listen,
                     mm_err_name(err));
        return err;
    }
    mm_http_route(app->listener, MM_HTTP_GET, "/ws", on_handshake, app);
    mm_http_route(app->listener, MM_HTTP_GET, "/config.json", on_config, app);
    mm_http_route(app->listener, MM_HTTP_GET, "/sessions.json", sync_sessions_serve, app);
    if (app->settings.web_dir[0]) {
        const char *directory =
            mm_config_resolve(mm_service_config(app->service), app->settings.web_dir);
        err = mm_http_route_files(app->listener, "/", directory, CONTENT_POLICY, &app->files);
        if (err == MM_NOT_FOUND) {
            MM_LOG_WARN("no web client to serve", "directory=%s", directory);
            err = MM_OK;
        }
    }
    if (err == MM_OK)
        MM_LOG_INFO("players may connect", "address=%s port=%u tls=%s", app->settings.listen,
                    mm_http_server_port(app->listener),
                    app->settings.tls_certificate[0] ? "yes" : "no");
    return err;
}

void sync_listener_close(struct sync_app *app)
{
    if (app->listener)
        mm_http_server_close(app->listener);
    if (app->files)
        mm_http_files_close(app->files);
    app->listener = NULL;
    app->files = NULL;
    mm_vec_free(&app->proxies);
    sync_rates_free(app->handshakes);
    sync_rates_free(app->logins);
    app->handshakes = app->logins = NULL;
}
