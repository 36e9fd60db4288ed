#include "libcommon/io/http_tls_carry.h"

#include <errno.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/socket.h>

#include "libcommon/base/alloc.h"
#include "libcommon/io/http_tls.h"

#define ROUNDS_PER_TURN 8 // then others get their turn

enum mm_http_tls_moved mm_http_tls_result(struct mm_http_tls_carry *carry, int n)
{
    switch (SSL_get_error(carry->ssl, n)) {
    case SSL_ERROR_NONE:
        return MM_HTTP_TLS_MOVED;
    case SSL_ERROR_WANT_READ:
        return MM_HTTP_TLS_BLOCKED;
    case SSL_ERROR_WANT_WRITE:
        carry->ssl_wants_write = true;
        return MM_HTTP_TLS_BLOCKED;
    case SSL_ERROR_ZERO_RETURN:
        return MM_HTTP_TLS_ENDED;
    default:
        ERR_clear_error();
        return MM_HTTP_TLS_BROKEN;
    }
}

static enum mm_http_tls_moved read_peer(struct mm_http_tls_carry *carry, uint8_t *bytes,
                                        size_t *len)
{
    ERR_clear_error();
    int n = SSL_read(carry->ssl, bytes, MM_HTTP_TLS_CARRY_BYTES);
    *len = n > 0 ? (size_t)n : 0;
    return mm_http_tls_result(carry, n);
}

static enum mm_http_tls_moved write_peer(struct mm_http_tls_carry *carry, const uint8_t *bytes,
                                         size_t *len)
{
    ERR_clear_error();
    int n = SSL_write(carry->ssl, bytes, (int)*len);
    *len = n > 0 ? (size_t)n : 0;
    return mm_http_tls_result(carry, n);
}

static enum mm_http_tls_moved plain_result(ssize_t n, size_t *len)
{
    *len = n > 0 ? (size_t)n : 0;
    if (n > 0)
        return MM_HTTP_TLS_MOVED;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return MM_HTTP_TLS_BLOCKED;
    return n == 0 ? MM_HTTP_TLS_ENDED : MM_HTTP_TLS_BROKEN;
}

static enum mm_http_tls_moved read_inner(struct mm_http_tls_carry *carry, uint8_t *bytes,
                                         size_t *len)
{
    return plain_result(recv(carry->inner, bytes, MM_HTTP_TLS_CARRY_BYTES, MSG_DONTWAIT), len);
}

static enum mm_http_tls_moved write_inner(struct mm_http_tls_carry *carry, const uint8_t *bytes,
                                          size_t *len)
{
    return plain_result(send(carry->inner, bytes, *len, MSG_DONTWAIT | MSG_NOSIGNAL), len);
}

// Keeps what its reader did not take. False when out of memory.
static bool keep(struct mm_http_tls_way *way, const uint8_t *bytes, size_t len)
{
    if (len == 0)
        return true;
    way->bytes = mm_malloc(MM_HTTP_TLS_CARRY_BYTES);
    if (!way->bytes)
        return false;
    memcpy(way->bytes, bytes, len);
    way->at = 0;
    way->len = len;
    return true;
}

// Writes all it can; false: broken.
static bool write_some(struct mm_http_tls_carry *carry, bool inward, const uint8_t *bytes,
                       size_t len, size_t *written)
{
    *written = 0;
    while (*written < len) {
        size_t n = len - *written;
        enum mm_http_tls_moved moved = inward ? write_inner(carry, bytes + *written, &n)
                                              : write_peer(carry, bytes + *written, &n);
        if (moved == MM_HTTP_TLS_BROKEN || moved == MM_HTTP_TLS_ENDED)
            return false;
        if (moved == MM_HTTP_TLS_BLOCKED)
            return true;
        *written += n;
    }
    return true;
}

// Tells the reader that nothing more comes; way->shut: it was told. False: broken.
static bool shut(struct mm_http_tls_carry *carry, struct mm_http_tls_way *way, bool inward)
{
    if (!inward) {
        ERR_clear_error();
        int n = SSL_shutdown(carry->ssl);
        if (n < 0) // to be asked again when its socket takes something
            return mm_http_tls_result(carry, n) == MM_HTTP_TLS_BLOCKED;
    }
    way->shut = true;
    return shutdown(inward ? carry->inner : carry->fd, SHUT_WR) == 0;
}

// One step of one direction; false: it is of no use any more.
static bool step(struct mm_http_tls_carry *carry, struct mm_http_tls_way *way, bool inward,
                 uint8_t *scratch, bool *progress)
{
    if (way->bytes) {
        size_t written = 0;
        if (!write_some(carry, inward, way->bytes + way->at, way->len - way->at, &written))
            return false;
        way->at += written;
        *progress |= written > 0;
        if (way->at < way->len)
            return true;
        mm_free(way->bytes);
        way->bytes = NULL;
    }
    if (way->ended)
        return way->shut || shut(carry, way, inward);
    size_t len = 0, written = 0;
    switch (inward ? read_peer(carry, scratch, &len) : read_inner(carry, scratch, &len)) {
    case MM_HTTP_TLS_MOVED:
        // Less than was asked for is all there is: asking again would be in vain, nearly always.
        *progress |= inward || len == MM_HTTP_TLS_CARRY_BYTES;
        return write_some(carry, inward, scratch, len, &written) &&
               keep(way, scratch + written, len - written);
    case MM_HTTP_TLS_BLOCKED:
        return true;
    case MM_HTTP_TLS_ENDED: // nothing else wakes us for this way: its reader is told at once
        way->ended = true;
        return shut(carry, way, inward);
    default:
        return false;
    }
}

bool mm_http_tls_carry_on(struct mm_http_tls_carry *carry, unsigned ready, uint8_t *scratch)
{
    bool alive = true, progress = true;
    // Updates go one way: who has nothing to say is not asked for each of them.
    bool all = carry->ssl_wants_write;
    bool in = all || ready & MM_HTTP_TLS_PEER || carry->in.bytes;
    bool out = all || ready & MM_HTTP_TLS_INNER || carry->out.bytes;
    carry->ssl_wants_write = false;
    // What TLS has read already wakes nobody: it is asked until it has no more, or the next turn
    // goes on with what is ready to be written.
    for (unsigned round = 0; alive && progress && round < ROUNDS_PER_TURN; round++) {
        progress = false;
        alive = (!in || step(carry, &carry->in, true, scratch, &progress)) &&
                (!out || step(carry, &carry->out, false, scratch, &progress));
    }
    bool over = carry->in.shut && carry->out.shut && !carry->ssl_wants_write;
    if (alive && !over && progress && SSL_pending(carry->ssl) > 0)
        carry->ssl_wants_write = true; // writable it is, as a rule: so it is woken at once
    return alive && !over;
}

void mm_http_tls_carry_wants(const struct mm_http_tls_carry *carry, unsigned *fd_events,
                             unsigned *inner_events)
{
    *fd_events = *inner_events = 0;
    if (!carry->in.bytes && !carry->in.ended)
        *fd_events |= MM_LOOP_READ;
    if (carry->out.bytes || carry->ssl_wants_write)
        *fd_events |= MM_LOOP_WRITE;
    if (!carry->out.bytes && !carry->out.ended)
        *inner_events |= MM_LOOP_READ;
    if (carry->in.bytes)
        *inner_events |= MM_LOOP_WRITE;
}

void mm_http_tls_carry_free(struct mm_http_tls_carry *carry)
{
    SSL_free(carry->ssl);
    mm_free(carry->in.bytes);
    mm_free(carry->out.bytes);
}
