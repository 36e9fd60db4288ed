#ifndef MM_IO_TCP_LISTEN_H
#define MM_IO_TCP_LISTEN_H

#include "libcommon/base/err.h"

#include <stdbool.h>
#include <stdint.h>

// A non-blocking socket that listens at HOST:PORT ([HOST] for IPv6; no host: all addresses of the
// machine; port 0: one that is free). Looks the host up, so it may block: for the start of a
// program. backlog: connections not yet accepted, 0 = 511. reuse_port: several processes may listen
// at the same address and share its connections. The caller closes *fd_out.
// MM_INVALID_ARGUMENT: not such an address. MM_UNAVAILABLE: it cannot be listened at (logged).
MM_MUST_USE enum mm_err mm_tcp_listen(const char *address, uint32_t backlog, bool reuse_port,
                                      int *fd_out);

// The port that the socket listens at; 0 if it is none.
uint16_t mm_tcp_port(int fd);

#endif
