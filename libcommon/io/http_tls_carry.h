#ifndef MM_IO_HTTP_TLS_CARRY_H
#define MM_IO_HTTP_TLS_CARRY_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// For http_tls.c: carries bytes both ways between a TLS connection and a socket, as fast as both
// take them, keeping at most MM_HTTP_TLS_CARRY_BYTES of each way. An end of one way is passed on to
// its reader; the other way goes on.

// One direction: bytes that their reader has not taken yet.
struct mm_http_tls_way {
    uint8_t *bytes; // NULL: none; MM_HTTP_TLS_CARRY_BYTES
    size_t at, len;
    bool ended; // nothing more comes in
    bool shut;  // and the reader has been told
};

struct mm_http_tls_carry {
    SSL *ssl;
    int fd;                         // the socket of TLS
    int inner;                      // the other one; -1: not there yet
    bool ssl_wants_write;           // what TLS does now needs its socket to take something
    struct mm_http_tls_way in, out; // in: from TLS to the inner socket
};

enum mm_http_tls_moved {
    MM_HTTP_TLS_MOVED,
    MM_HTTP_TLS_BLOCKED,
    MM_HTTP_TLS_ENDED,
    MM_HTTP_TLS_BROKEN,
};

// What OpenSSL says of a call that returned n; notes in ssl_wants_write what it waits for.
enum mm_http_tls_moved mm_http_tls_result(struct mm_http_tls_carry *carry, int n);

// Which of the two sockets has something, as its watcher (level-triggered) says, or takes
// something again.
enum mm_http_tls_ready {
    MM_HTTP_TLS_PEER = 1,
    MM_HTTP_TLS_INNER = 2,
};

// Moves what can be moved now, within a bound; ready: a sum of mm_http_tls_ready. scratch:
// MM_HTTP_TLS_CARRY_BYTES that nobody else uses meanwhile. False: it is over, or of no use any
// more.
bool mm_http_tls_carry_on(struct mm_http_tls_carry *carry, unsigned ready, uint8_t *scratch);

// What the two sockets have to be watched for from now on (MM_LOOP_READ, MM_LOOP_WRITE).
void mm_http_tls_carry_wants(const struct mm_http_tls_carry *carry, unsigned *fd_events,
                             unsigned *inner_events);

void mm_http_tls_carry_free(struct mm_http_tls_carry *carry);

#endif
