#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/io/http_internal.h"

// The WebSocket handshake (RFC 6455, section 4.2) and the hand-over of its socket.

#define WEBSOCKET_GUID      "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define WEBSOCKET_KEY_CHARS 24 // base64 of 16 bytes
#define HEADER_BYTES_MAX    ((size_t)64 << 10)

// Whether a comma separated header, which may come in several lines, has the token, in any case.
static bool has_token(const struct mm_http_request *request, const char *name, const char *token)
{
    struct mm_buf all;
    mm_buf_init(&all, HEADER_BYTES_MAX);
    mm_http_request_header_all(request, name, &all);
    const char *header = mm_buf_cstr(&all);
    size_t len = strlen(token);
    bool has = false;
    while (header && *header && !has) {
        header += strspn(header, " \t,");
        size_t word = strcspn(header, ",");
        size_t trimmed = word;
        while (trimmed > 0 && (header[trimmed - 1] == ' ' || header[trimmed - 1] == '\t'))
            trimmed--;
        has = trimmed == len && strncasecmp(header, token, len) == 0;
        header += word;
    }
    mm_buf_free(&all);
    return has;
}

static bool is_key(const char *key)
{
    unsigned char decoded[WEBSOCKET_KEY_CHARS];
    // 16 bytes end in two '='; EVP counts the padding as bytes.
    return key && strlen(key) == WEBSOCKET_KEY_CHARS && strcmp(key + 22, "==") == 0 &&
           EVP_DecodeBlock(decoded, (const unsigned char *)key, WEBSOCKET_KEY_CHARS) == 18;
}

bool mm_http_is_websocket(const struct mm_http_request *request, char key_out[29])
{
    const char *key = mm_http_request_header(request, "Sec-WebSocket-Key");
    const char *version = mm_http_request_header(request, "Sec-WebSocket-Version");
    if (request->method != MM_HTTP_GET || !request->is_http11 || !is_key(key) || !version ||
        strcmp(version, "13") != 0 || !has_token(request, "Upgrade", "websocket") ||
        !has_token(request, "Connection", "upgrade"))
        return false;
    if (!key_out)
        return true;
    char joined[WEBSOCKET_KEY_CHARS + sizeof WEBSOCKET_GUID];
    memcpy(joined, key, WEBSOCKET_KEY_CHARS);
    memcpy(joined + WEBSOCKET_KEY_CHARS, WEBSOCKET_GUID, sizeof WEBSOCKET_GUID);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned digest_bytes = 0;
    MM_CHECK(EVP_Digest(joined, sizeof joined - 1, digest, &digest_bytes, EVP_sha1(), NULL) == 1);
    EVP_EncodeBlock((unsigned char *)key_out, digest, (int)digest_bytes);
    return true;
}

static void on_upgraded(void *arg, struct MHD_Connection *connection, void *request_arg,
                        const char *extra, size_t extra_bytes, MHD_socket fd,
                        struct MHD_UpgradeResponseHandle *handle)
{
    (void)connection;
    struct mm_http_upgrade *upgrade = arg;
    // From now on it dies with mm_http_upgrade_close, before the request does.
    ((struct mm_http_request *)request_arg)->upgrade = NULL;
    int one = 1;
    upgrade->handle = handle;
    int flags = fcntl(fd, F_GETFL);
    MM_CHECK(flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0);
    // Fails on a socket whose peer has gone; the first read will tell.
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    upgrade->fn(upgrade->arg, fd, upgrade, (const uint8_t *)extra, extra_bytes);
}

void mm_http_upgrade_websocket(struct mm_http_request *request, const char *subprotocol,
                               mm_http_upgraded_fn fn, void *arg)
{
    char accept[29];
    MM_CHECK(mm_http_is_websocket(request, accept));
    struct mm_http_upgrade *upgrade = mm_calloc(1, sizeof *upgrade);
    MM_CHECK(upgrade);
    *upgrade = (struct mm_http_upgrade){.server = request->server, .fn = fn, .arg = arg};
    request->upgrade = upgrade;
    mm_http_add_header(request, MHD_HTTP_HEADER_UPGRADE, "websocket");
    mm_http_add_header(request, "Sec-WebSocket-Accept", accept);
    if (subprotocol)
        mm_http_add_header(request, "Sec-WebSocket-Protocol", subprotocol);
    mm_http_answer(request, MHD_HTTP_SWITCHING_PROTOCOLS,
                   MHD_create_response_for_upgrade(on_upgraded, upgrade));
}

void mm_http_upgrade_close(struct mm_http_upgrade *upgrade)
{
    struct mm_http_server *server = upgrade->server;
    MHD_upgrade_action(upgrade->handle, MHD_UPGRADE_ACTION_CLOSE);
    mm_free(upgrade);
    mm_http_run_soon(server);
}
