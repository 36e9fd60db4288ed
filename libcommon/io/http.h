#ifndef MM_IO_HTTP_H
#define MM_IO_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/base/buf.h"
#include "libcommon/base/err.h"

struct mm_loop;
struct mm_http_server;
struct mm_http_request;
struct mm_http_upgrade;

// An HTTP/1.1 server (libmicrohttpd) that runs inside the loop, without threads. Everything here is
// for the loop's thread.

#define MM_HTTP_ROUTES_MAX               64
#define MM_HTTP_CONNECTIONS_DEFAULT      256
#define MM_HTTP_BODY_BYTES_DEFAULT       ((size_t)1 << 20)
#define MM_HTTP_DISCARD_TIMES            8
#define MM_HTTP_IDLE_S_DEFAULT           30
#define MM_HTTP_CONNECTION_BYTES_DEFAULT 16384 // request line and headers must fit: else 431 or 413
#define MM_HTTP_HEADERS_MAX              16    // added to one response

enum mm_http_method { // bits, so that a route can take several
    MM_HTTP_GET = 1,  // HEAD too: the body is left out by the server
    MM_HTTP_POST = 2,
    MM_HTTP_PUT = 4,
    MM_HTTP_DELETE = 8,
    MM_HTTP_OPTIONS = 16,
};

struct mm_http_options {
    const char *listen; // "127.0.0.1:7112", "[::1]:7112", ":8080" = all addresses; port 0 = any
    uint32_t connections_max; // more are refused. 0 = default
    // A longer request body is answered 413: up to MM_HTTP_DISCARD_TIMES as long, after it has been
    // read and dropped (an answer amid the body is lost on clients that are still sending); longer
    // ones at once, or, without a length in their headers, cut off. 0 = default
    size_t body_bytes_max;
    uint32_t idle_s; // a connection silent that long is closed. 0 = default
    // A request must be there whole so long after the connection was made or the last answer was
    // given, however busily its bytes trickle in; else the connection is cut. 0 = no such limit
    uint32_t request_s;
    uint32_t connections_per_address; // more are refused. 0 = no such limit
    size_t connection_bytes;          // memory for one connection's headers. 0 = default
    uint32_t backlog;                 // of the listening socket. 0 = 511
    bool reuse_port; // several processes listen at the address (SO_REUSEPORT): each gets its share
    // PEM files, the chain from the server's own certificate on, and its key: then this is HTTPS
    // and nothing else, of TLS 1.2 or later. NULL or "": plain HTTP
    const char *tls_certificate, *tls_key;
    int tls_send_buffer_bytes; // the kernel's, of each connection's outer socket. 0 = default
};

// Opens and listens. *out is closed by mm_http_server_close, before the loop is.
// MM_INVALID_ARGUMENT: not an address, or TLS files that cannot be used. MM_UNAVAILABLE: in use.
MM_MUST_USE enum mm_err mm_http_server_open(struct mm_loop *loop,
                                            const struct mm_http_options *options,
                                            struct mm_http_server **out);

// Closes. Requests still waiting for their handler's answer are cut off; their handles die:
// mm_http_on_gone callbacks are called first. Upgraded sockets must be closed before.
void mm_http_server_close(struct mm_http_server *server);

// Reads the TLS files anew, for connections to come; on an error (MM_INVALID_ARGUMENT) the old ones
// stay. Does nothing without TLS.
MM_MUST_USE enum mm_err mm_http_server_reload(struct mm_http_server *server);

// Stops listening: the address is free for others, who get the next connections. Those there go on.
void mm_http_server_drain(struct mm_http_server *server);

uint16_t mm_http_server_port(const struct mm_http_server *server);
uint32_t mm_http_server_connections(const struct mm_http_server *server);

// Answers exactly once, now or later: mm_http_reply*, mm_http_reply_error or mm_http_upgrade.
typedef void (*mm_http_handler_fn)(struct mm_http_request *request, void *arg);

// Routes `path` ("/healthz") or, when it ends in "/", everything below it ("/rpc/"). The longest
// match wins; "/" takes the rest. Unrouted paths are 404, other methods 405. At most
// MM_HTTP_ROUTES_MAX. path is copied.
void mm_http_route(struct mm_http_server *server, unsigned methods, const char *path,
                   mm_http_handler_fn handler, void *arg);

// --- the request; all borrowed until the answer ------------------------------------------------

enum mm_http_method mm_http_request_method(const struct mm_http_request *request);
const char *mm_http_request_path(const struct mm_http_request *request); // decoded, without query
const char *mm_http_request_header(const struct mm_http_request *request,
                                   const char *name); // or NULL
// What all headers of that name say, in their order, with ", " between them (RFC 9110,
// section 5.3).
void mm_http_request_header_all(const struct mm_http_request *request, const char *name,
                                struct mm_buf *out);
const char *mm_http_request_query(const struct mm_http_request *request,
                                  const char *name); // or NULL
const uint8_t *mm_http_request_body(const struct mm_http_request *request, size_t *len_out);
// Numeric address of the peer ("127.0.0.1").
const char *mm_http_request_peer(const struct mm_http_request *request);

// Told when the client went away, or the server closes, before the answer; the request must not
// be answered afterwards.
void mm_http_on_gone(struct mm_http_request *request, void (*fn)(void *arg), void *arg);

// --- the answer --------------------------------------------------------------------------------

// Adds a header to the answer; both copied. At most MM_HTTP_HEADERS_MAX; more are dropped.
void mm_http_add_header(struct mm_http_request *request, const char *name, const char *value);

// body is copied. content_type may be NULL when len is 0.
void mm_http_reply(struct mm_http_request *request, int status, const char *content_type,
                   const void *body, size_t len);
// Takes `body`, which is from malloc.
void mm_http_reply_take(struct mm_http_request *request, int status, const char *content_type,
                        void *body, size_t len);
// {"code": "NOT_FOUND", "message": …} with the code's HTTP status.
void mm_http_reply_error(struct mm_http_request *request, enum mm_err code, const char *message);

// --- WebSocket ---------------------------------------------------------------------------------

// Whether the request is a WebSocket handshake of version 13 (RFC 6455, section 4.2.1); key_out
// (NULL allowed) gets the value of Sec-WebSocket-Accept.
bool mm_http_is_websocket(const struct mm_http_request *request, char key_out[29]);

// The socket is the callee's now: non-blocking, TCP_NODELAY set, not in any epoll set. extra
// (borrowed during the call) are bytes the client sent behind its handshake: handle them first. End
// with mm_http_upgrade_close(upgrade), never close(fd).
typedef void (*mm_http_upgraded_fn)(void *arg, int fd, struct mm_http_upgrade *upgrade,
                                    const uint8_t *extra, size_t extra_len);

// Answers 101 with the handshake's headers; subprotocol (NULL = none) is what we chose of the
// offered. mm_http_add_header adds further headers. The request must be mm_http_is_websocket. `fn`
// is called once the response went out; if the client is gone before, with fd -1 and upgrade NULL.
void mm_http_upgrade_websocket(struct mm_http_request *request, const char *subprotocol,
                               mm_http_upgraded_fn fn, void *arg);

// Closes the upgraded socket; fd and upgrade are dead after this.
void mm_http_upgrade_close(struct mm_http_upgrade *upgrade);

// --- files -------------------------------------------------------------------------------------

struct mm_http_files;

// Serves the regular files below `directory` at `prefix` (ends in "/"; "/" for all): index.html for
// the directory itself, ETag and 304, `no-cache` (always asked again, answered 304), nosniff and
// the given Content-Security-Policy (NULL = "default-src 'self'"). Never follows a path or a link
// out of the directory. Free with mm_http_files_close after the server. MM_NOT_FOUND: no such
// directory.
MM_MUST_USE enum mm_err mm_http_route_files(struct mm_http_server *server, const char *prefix,
                                            const char *directory, const char *content_policy,
                                            struct mm_http_files **out);
void mm_http_files_close(struct mm_http_files *files);

#endif
