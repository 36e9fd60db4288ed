#ifndef MM_IO_SP_H
#define MM_IO_SP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/base/err.h"

// For libcommon/io only: the wire form of nng's publish and subscribe over TCP and UNIX sockets, as
// the scalability protocols have it (nanomsg, rfc/sp-tcp-mapping-01). nng itself hands a message
// from thread to thread, five times on its way in and twice on its way out, which at twenty small
// frames a second takes more time than all else about them; so what is not encrypted is sent and
// received by the loop itself. Each side can talk to nng's own sockets.
//
//     both, once:  0 'S' 'P' 0 | protocol, 2 bytes | 0 0
//     a message:   UNIX sockets only: 1 | length, 8 bytes | the bytes       (big endian)

#define MM_SP_GREETING_BYTES   8
#define MM_SP_HEADER_BYTES_MAX 9

enum mm_sp_protocol { MM_SP_PUBLISH = 0x20, MM_SP_SUBSCRIBE = 0x21 };

struct mm_sp_address {
    bool ipc;
    char path[108]; // of ipc
    char host[256]; // of tcp; without the brackets of IPv6
    uint16_t port;
};

// False: neither tcp:// nor ipc://, or not an address (see mm_address_rpc_error).
bool mm_sp_address_read(const char *url, struct mm_sp_address *out);

// What the kernel holds of a TCP connection at each end: what waits there is not lost to a reader
// who is slow, but grows old. By itself it would be several MiB.
void mm_sp_bound_buffers(int fd);

// Listens, without blocking from then on. UNAVAILABLE: the address is in use, or of no interface
// here. *reason_out tells why it failed, a static text. Blocks while it looks up a host's name.
// A socket file that nobody listens at any more is replaced; only the same user may connect to one.
enum mm_err MM_MUST_USE mm_sp_listen(const struct mm_sp_address *address, int *fd_out,
                                     uint16_t *port_out, const char **reason_out);

void mm_sp_greeting_write(enum mm_sp_protocol protocol, uint8_t out[MM_SP_GREETING_BYTES]);
bool mm_sp_greeting_is(enum mm_sp_protocol protocol, const uint8_t in[MM_SP_GREETING_BYTES]);

static inline size_t mm_sp_header_bytes(bool ipc)
{
    return ipc ? 9 : 8;
}
void mm_sp_header_write(bool ipc, uint64_t len, uint8_t out[MM_SP_HEADER_BYTES_MAX]);
// False: not a header.
bool mm_sp_header_read(bool ipc, const uint8_t in[MM_SP_HEADER_BYTES_MAX], uint64_t *len_out);

#endif
