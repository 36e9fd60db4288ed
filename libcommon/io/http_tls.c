#include "libcommon/io/http_tls.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libcommon/base/alloc.h"
#include "libcommon/base/log.h"
#include "libcommon/io/http_tls_carry.h"

#define SWEEP_MS 250
// Of TLS 1.2 those that RFC 9325 recommends: forward secrecy, and authenticated encryption. Those
// of TLS 1.3 are all of that kind.
#define CIPHERS_1_2 "ECDHE+AESGCM:ECDHE+CHACHA20"

// A connection: its handshake, then what is carried between it and the server.
struct tunnel {
    struct mm_http_tls *tls;
    struct tunnel *next, **link;
    // inner: our end of a socket pair; -1 while the handshake is under way.
    struct mm_http_tls_carry carry;
    struct sockaddr_storage address;
    socklen_t address_bytes;
    uint64_t deadline_ns; // of the handshake, or of what is left after one end closed; 0: none
};

struct mm_http_tls {
    struct mm_loop *loop;
    int fd;
    SSL_CTX *context;
    char *certificate, *key;
    int send_buffer; // bytes
    struct MHD_Daemon *daemon;
    void (*soon)(void *arg);
    void *arg;
    struct tunnel *tunnels;
    uint32_t handshakes;
    bool paused, draining; // not accepting
    struct mm_loop_timer sweep;
    uint8_t scratch[MM_HTTP_TLS_CARRY_BYTES];
};

// --- certificates --------------------------------------------------------------------------------

static void log_failure(const char *what, const char *file)
{
    char text[160] = "?";
    unsigned long code = ERR_get_error();
    if (code)
        ERR_error_string_n(code, text, sizeof text);
    ERR_clear_error();
    MM_LOG_ERROR("TLS cannot be set up", "what=%s file=%s error=%s", what, file, text);
}

// Of what a client offers this server speaks HTTP/1.1 alone.
static int select_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                           const unsigned char *in, unsigned in_len, void *arg)
{
    static const unsigned char own[] = "\x08http/1.1";
    (void)ssl;
    (void)arg;
    unsigned char *selected = NULL;
    if (SSL_select_next_proto(&selected, out_len, own, sizeof own - 1, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *out = selected;
    return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *load(const char *certificate, const char *key)
{
    ERR_clear_error();
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    // The first three fail by how the machine has set up OpenSSL, for no file of ours.
    const char *failed = NULL, *file = "";
    if (!context)
        failed = "library";
    else if (SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1)
        failed = "version";
    else if (SSL_CTX_set_cipher_list(context, CIPHERS_1_2) != 1)
        failed = "ciphers";
    else if (SSL_CTX_use_certificate_chain_file(context, certificate) != 1) {
        failed = "certificate";
        file = certificate;
    } else if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1 ||
               SSL_CTX_check_private_key(context) != 1) {
        failed = "key";
        file = key;
    }
    if (failed) {
        log_failure(failed, file);
        SSL_CTX_free(context);
        return NULL;
    }
    // A renegotiation could be asked for without end, and an idle connection need hold no buffers.
    (void)SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                           SSL_OP_CIPHER_SERVER_PREFERENCE);
    (void)SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                        SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                        SSL_MODE_RELEASE_BUFFERS);
    // What resumes a session travels in the client's ticket: nothing is kept for who may come back.
    (void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_alpn_select_cb(context, select_protocol, NULL);
    return context;
}

enum mm_err mm_http_tls_reload(struct mm_http_tls *tls)
{
    SSL_CTX *context = load(tls->certificate, tls->key);
    if (!context)
        return MM_INVALID_ARGUMENT;
    SSL_CTX_free(tls->context); // connections hold on to theirs
    tls->context = context;
    return MM_OK;
}

// --- a tunnel's end ------------------------------------------------------------------------------

static void watch_listener(struct mm_http_tls *tls)
{
    bool pause = tls->handshakes >= MM_HTTP_TLS_HANDSHAKES_MAX || tls->draining || !tls->daemon;
    if (tls->fd >= 0 && pause != tls->paused &&
        mm_loop_fd_set(tls->loop, tls->fd, pause ? 0 : MM_LOOP_READ) == MM_OK)
        tls->paused = pause;
}

static void destroy(struct tunnel *tunnel)
{
    struct mm_http_tls *tls = tunnel->tls;
    *tunnel->link = tunnel->next;
    if (tunnel->next)
        tunnel->next->link = tunnel->link;
    mm_loop_fd_remove(tls->loop, tunnel->carry.fd);
    close(tunnel->carry.fd);
    if (tunnel->carry.inner >= 0) {
        mm_loop_fd_remove(tls->loop, tunnel->carry.inner);
        close(tunnel->carry.inner);
    } else {
        tls->handshakes--;
    }
    mm_http_tls_carry_free(&tunnel->carry);
    mm_free(tunnel);
    watch_listener(tls);
}

// --- carrying ------------------------------------------------------------------------------------

static bool watch(struct tunnel *tunnel)
{
    unsigned peer, inner;
    mm_http_tls_carry_wants(&tunnel->carry, &peer, &inner);
    return mm_loop_fd_set(tunnel->tls->loop, tunnel->carry.fd, peer) == MM_OK &&
           mm_loop_fd_set(tunnel->tls->loop, tunnel->carry.inner, inner) == MM_OK;
}

static void pump(struct tunnel *tunnel, unsigned ready)
{
    if (!mm_http_tls_carry_on(&tunnel->carry, ready, tunnel->tls->scratch) || !watch(tunnel)) {
        destroy(tunnel);
        return;
    }
    if (tunnel->deadline_ns == 0 && (tunnel->carry.in.ended || tunnel->carry.out.ended))
        tunnel->deadline_ns = mm_loop_now_ns(tunnel->tls->loop) + MM_LOOP_MS(MM_HTTP_TLS_LINGER_MS);
}

static void on_tunnel(struct mm_loop *loop, int fd, unsigned events, void *arg)
{
    (void)loop;
    (void)events;
    struct tunnel *tunnel = arg;
    pump(tunnel, fd == tunnel->carry.inner ? MM_HTTP_TLS_INNER : MM_HTTP_TLS_PEER);
}

// --- the handshake -------------------------------------------------------------------------------

// Hands the other end to the HTTP server, as if the peer had connected to it. False: it has no
// room.
static bool hand_over(struct tunnel *tunnel)
{
    struct mm_http_tls *tls = tunnel->tls;
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0)
        return false;
    if (mm_loop_fd_add(tls->loop, pair[0], MM_LOOP_READ, on_tunnel, tunnel) != MM_OK) {
        close(pair[0]);
        close(pair[1]);
        return false;
    }
    tunnel->carry.inner = pair[0];
    tunnel->deadline_ns = 0;
    tls->handshakes--;
    // The daemon closes it also when it refuses it.
    if (MHD_add_connection(tls->daemon, pair[1], (const struct sockaddr *)&tunnel->address,
                           tunnel->address_bytes) != MHD_YES)
        return false;
    tls->soon(tls->arg);
    watch_listener(tls);
    return true;
}

static void on_handshake(struct mm_loop *loop, int fd, unsigned events, void *arg)
{
    (void)events;
    struct tunnel *tunnel = arg;
    if (tunnel->carry.inner >= 0) {
        pump(tunnel, MM_HTTP_TLS_PEER);
        return;
    }
    ERR_clear_error();
    tunnel->carry.ssl_wants_write = false;
    enum mm_http_tls_moved moved =
        mm_http_tls_result(&tunnel->carry, SSL_accept(tunnel->carry.ssl));
    if (moved == MM_HTTP_TLS_BLOCKED) {
        if (mm_loop_fd_set(loop, fd,
                           tunnel->carry.ssl_wants_write ? MM_LOOP_WRITE : MM_LOOP_READ) == MM_OK)
            return;
        moved = MM_HTTP_TLS_BROKEN;
    }
    if (moved == MM_HTTP_TLS_MOVED && hand_over(tunnel))
        pump(tunnel, MM_HTTP_TLS_PEER | MM_HTTP_TLS_INNER);
    else
        destroy(tunnel);
}

static bool same_address(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    if (a->ss_family != b->ss_family)
        return false;
    if (a->ss_family == AF_INET)
        return ((const struct sockaddr_in *)a)->sin_addr.s_addr ==
               ((const struct sockaddr_in *)b)->sin_addr.s_addr;
    return a->ss_family == AF_INET6 &&
           memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr,
                  &((const struct sockaddr_in6 *)b)->sin6_addr, sizeof(struct in6_addr)) == 0;
}

static uint32_t handshakes_of(const struct mm_http_tls *tls, const struct sockaddr_storage *address)
{
    uint32_t count = 0, left = tls->handshakes;
    // New ones stand in front: behind the last that is under way there is nothing to count.
    for (const struct tunnel *t = tls->tunnels; t && left > 0; t = t->next) {
        if (t->carry.inner >= 0)
            continue;
        left--;
        count += same_address(&t->address, address);
    }
    return count;
}

static void begin(struct mm_http_tls *tls, int fd, const struct sockaddr_storage *address,
                  socklen_t address_bytes)
{
    struct tunnel *tunnel = mm_calloc(1, sizeof *tunnel);
    SSL *ssl = tunnel ? SSL_new(tls->context) : NULL;
    int one = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &tls->send_buffer, sizeof tls->send_buffer);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (!ssl || SSL_set_fd(ssl, fd) != 1 ||
        mm_loop_fd_add(tls->loop, fd, MM_LOOP_READ, on_handshake, tunnel) != MM_OK) {
        SSL_free(ssl);
        mm_free(tunnel);
        close(fd);
        return;
    }
    *tunnel = (struct tunnel){
        .tls = tls,
        .next = tls->tunnels,
        .link = &tls->tunnels,
        .carry = {.ssl = ssl, .fd = fd, .inner = -1},
        .address = *address,
        .address_bytes = address_bytes,
        .deadline_ns = mm_loop_now_ns(tls->loop) + MM_LOOP_MS(MM_HTTP_TLS_HANDSHAKE_MS),
    };
    if (tunnel->next)
        tunnel->next->link = &tunnel->next;
    tls->tunnels = tunnel;
    tls->handshakes++;
}

static void on_connection(struct mm_loop *loop, int listener, unsigned events, void *arg)
{
    (void)loop;
    (void)events;
    struct mm_http_tls *tls = arg;
    for (unsigned i = 0; i < MM_HTTP_TLS_ACCEPTS_PER_TURN; i++) {
        struct sockaddr_storage address = {0};
        socklen_t bytes = sizeof address;
        if (tls->handshakes >= MM_HTTP_TLS_HANDSHAKES_MAX)
            break;
        int fd =
            accept4(listener, (struct sockaddr *)&address, &bytes, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            break;
        if (handshakes_of(tls, &address) >= MM_HTTP_TLS_HANDSHAKES_EACH)
            close(fd);
        else
            begin(tls, fd, &address, bytes);
    }
    watch_listener(tls);
}

static void on_sweep(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)timer;
    struct mm_http_tls *tls = arg;
    uint64_t now_ns = mm_loop_now_ns(loop);
    for (struct tunnel *tunnel = tls->tunnels, *next = NULL; tunnel; tunnel = next) {
        next = tunnel->next;
        if (tunnel->deadline_ns != 0 && now_ns >= tunnel->deadline_ns)
            destroy(tunnel);
    }
}

// --- opening and closing -------------------------------------------------------------------------

enum mm_err mm_http_tls_open(struct mm_loop *loop, int fd, const char *certificate, const char *key,
                             int send_buffer, struct mm_http_tls **out)
{
    struct mm_http_tls *tls = mm_calloc(1, sizeof *tls);
    if (!tls)
        return MM_RESOURCE_EXHAUSTED;
    *tls = (struct mm_http_tls){.loop = loop, .fd = fd, .paused = true};
    tls->send_buffer = send_buffer ? send_buffer : MM_HTTP_TLS_SEND_BUFFER;
    tls->certificate = mm_strdup(certificate);
    tls->key = mm_strdup(key);
    enum mm_err err = tls->certificate && tls->key ? MM_OK : MM_RESOURCE_EXHAUSTED;
    if (err == MM_OK)
        err = mm_http_tls_reload(tls);
    if (err == MM_OK)
        err = mm_loop_fd_add(loop, fd, 0, on_connection, tls);
    if (err != MM_OK) {
        SSL_CTX_free(tls->context);
        mm_free(tls->certificate);
        mm_free(tls->key);
        mm_free(tls);
        return err;
    }
    mm_loop_timer_init(&tls->sweep, on_sweep, tls);
    mm_loop_timer_start(loop, &tls->sweep, MM_LOOP_MS(SWEEP_MS), MM_LOOP_MS(SWEEP_MS));
    *out = tls;
    return MM_OK;
}

void mm_http_tls_serve(struct mm_http_tls *tls, struct MHD_Daemon *daemon, void (*soon)(void *arg),
                       void *arg)
{
    tls->daemon = daemon;
    tls->soon = soon;
    tls->arg = arg;
    watch_listener(tls);
}

static void stop_listening(struct mm_http_tls *tls)
{
    tls->draining = true;
    if (tls->fd < 0)
        return;
    mm_loop_fd_remove(tls->loop, tls->fd);
    close(tls->fd);
    tls->fd = -1;
}

void mm_http_tls_drain(struct mm_http_tls *tls)
{
    stop_listening(tls);
}

void mm_http_tls_close(struct mm_http_tls *tls)
{
    if (!tls)
        return;
    stop_listening(tls);
    while (tls->tunnels)
        destroy(tls->tunnels);
    mm_loop_timer_stop(tls->loop, &tls->sweep);
    SSL_CTX_free(tls->context);
    mm_free(tls->certificate);
    mm_free(tls->key);
    mm_free(tls);
}
