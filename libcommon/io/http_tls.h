#ifndef MM_IO_HTTP_TLS_H
#define MM_IO_HTTP_TLS_H

#include "libcommon/base/err.h"
#include "libcommon/io/loop.h"

#include <microhttpd.h>
#include <stdint.h>

// The TLS side of an HTTP server (OpenSSL, TLS 1.2 and later), within io only. It listens itself;
// once a connection's handshake is done, the server is given one end of a socket pair and
// everything is carried between the two. So whoever holds the server's end, a WebSocket above all,
// sees a plain socket with the pressure of the real one.
//
// A tunnel keeps at most MM_HTTP_TLS_CARRY_BYTES each way, and nothing at all while both ends keep
// up.

#define MM_HTTP_TLS_CARRY_BYTES      16384
#define MM_HTTP_TLS_SEND_BUFFER      131072 // bytes, the kernel's, if nobody says otherwise
#define MM_HTTP_TLS_HANDSHAKES_MAX   256    // under way; beyond, connections wait to be accepted
#define MM_HTTP_TLS_HANDSHAKES_EACH  32     // of one address; beyond, they are closed
#define MM_HTTP_TLS_HANDSHAKE_MS     5000
#define MM_HTTP_TLS_LINGER_MS        5000 // for the other end, once one is closed
#define MM_HTTP_TLS_ACCEPTS_PER_TURN 16

struct mm_http_tls;

// Takes over the listening socket `fd` if it succeeds. certificate: PEM file, the chain from the
// server's own on; key: PEM file; send_buffer: bytes that the kernel keeps for a peer who does not
// read, 0: MM_HTTP_TLS_SEND_BUFFER. INVALID_ARGUMENT: the files cannot be used (the log says why).
MM_MUST_USE enum mm_err mm_http_tls_open(struct mm_loop *loop, int fd, const char *certificate,
                                         const char *key, int send_buffer,
                                         struct mm_http_tls **out);
// Connections whose handshake is done go to this daemon from now on; `soon` lets it run.
void mm_http_tls_serve(struct mm_http_tls *tls, struct MHD_Daemon *daemon, void (*soon)(void *arg),
                       void *arg);
// Reads the files anew for connections to come. On an error the old ones stay.
MM_MUST_USE enum mm_err mm_http_tls_reload(struct mm_http_tls *tls);
// Accepts no more; those there go on.
void mm_http_tls_drain(struct mm_http_tls *tls);
// Closes everything; after the daemon.
void mm_http_tls_close(struct mm_http_tls *tls);

#endif
