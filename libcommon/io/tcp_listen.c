#include "libcommon/io/tcp_listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libcommon/base/log.h"
#include "libcommon/base/str.h"

enum { BACKLOG_DEFAULT = 511 };

enum mm_err mm_tcp_listen(const char *address, uint32_t backlog, bool reuse_port, int *fd_out)
{
    char host[256];
    const char *colon = strrchr(address, ':');
    uint64_t port = 0;
    if (!colon || mm_str_parse_u64(colon + 1, strlen(colon + 1), 0, 65535, &port) != MM_OK ||
        !mm_str_copy_n(host, sizeof host, address, (size_t)(colon - address)))
        return MM_INVALID_ARGUMENT;
    char *name = host;
    size_t len = strlen(host);
    if (len >= 2 && host[0] == '[' && host[len - 1] == ']') {
        host[len - 1] = '\0';
        name = host + 1;
    }
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    if (getaddrinfo(*name ? name : NULL, colon + 1, &hints, &found) != 0)
        return MM_INVALID_ARGUMENT;
    int one = 1;
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool is_listening =
        fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
        (!reuse_port || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) == 0) &&
        bind(fd, found->ai_addr, found->ai_addrlen) == 0 &&
        listen(fd, backlog ? (int)backlog : BACKLOG_DEFAULT) == 0;
    freeaddrinfo(found);
    if (!is_listening) {
        MM_LOG_ERROR("cannot listen", "address=%s error=%s", address, strerror(errno));
        if (fd >= 0)
            close(fd);
        return MM_UNAVAILABLE;
    }
    *fd_out = fd;
    return MM_OK;
}

uint16_t mm_tcp_port(int fd)
{
    // An IPv4 address fits in, and its port lies in the same place.
    struct sockaddr_in6 bound = {0};
    socklen_t bytes = sizeof bound;
    if (getsockname(fd, (struct sockaddr *)&bound, &bytes) != 0)
        return 0;
    return ntohs(bound.sin6_port);
}
