#include "libcommon/io/sp.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "libcommon/base/str.h"
#include "libcommon/io/address.h"

#define TCP "tcp://"
#define IPC "ipc://"

enum { BACKLOG = 128, TCP_BUFFER_BYTES = 128 << 10 };

bool mm_sp_address_read(const char *url, struct mm_sp_address *out)
{
    *out = (struct mm_sp_address){.ipc = mm_str_starts_with(url, IPC)};
    if (mm_address_rpc_error(url))
        return false;
    if (out->ipc)
        return mm_str_copy(out->path, sizeof out->path, url + strlen(IPC));
    if (!mm_str_starts_with(url, TCP))
        return false;
    const char *host = url + strlen(TCP), *end = strrchr(host, ':');
    uint64_t port;
    if (mm_str_parse_u64(end + 1, strlen(end + 1), 0, UINT16_MAX, &port) != MM_OK)
        return false;
    out->port = (uint16_t)port;
    if (host[0] == '[') {
        host++;
        end--;
    }
    return mm_str_copy_n(out->host, sizeof out->host, host, (size_t)(end - host));
}

void mm_sp_greeting_write(enum mm_sp_protocol protocol, uint8_t out[MM_SP_GREETING_BYTES])
{
    const uint8_t bytes[MM_SP_GREETING_BYTES] = {0, 'S', 'P', 0, 0, (uint8_t)protocol, 0, 0};
    memcpy(out, bytes, sizeof bytes);
}

bool mm_sp_greeting_is(enum mm_sp_protocol protocol, const uint8_t in[MM_SP_GREETING_BYTES])
{
    uint8_t wanted[MM_SP_GREETING_BYTES];
    mm_sp_greeting_write(protocol, wanted);
    return memcmp(in, wanted, sizeof wanted) == 0;
}

void mm_sp_header_write(bool ipc, uint64_t len, uint8_t out[MM_SP_HEADER_BYTES_MAX])
{
    if (ipc)
        *out++ = 1; // a message
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)(len >> (56 - 8 * i));
}

bool mm_sp_header_read(bool ipc, const uint8_t in[MM_SP_HEADER_BYTES_MAX], uint64_t *len_out)
{
    if (ipc && *in++ != 1)
        return false;
    *len_out = 0;
    for (int i = 0; i < 8; i++)
        *len_out = *len_out << 8 | in[i];
    return true;
}

void mm_sp_bound_buffers(int fd)
{
    int bytes = TCP_BUFFER_BYTES;
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}

// --- listening -----------------------------------------------------------------------------------

// Whether nobody listens at a socket file that is there.
static bool is_left_behind(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool refused = connect(fd, (const struct sockaddr *)address, sizeof *address) != 0 &&
                   errno == ECONNREFUSED;
    close(fd);
    return refused;
}

static bool bind_path(int fd, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path));
    // Before the file is there, so that it never is anybody else's.
    if (fchmod(fd, S_IRUSR | S_IWUSR) != 0)
        return false;
    if (bind(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return true;
    if (errno != EADDRINUSE || !is_left_behind(&address)) {
        errno = EADDRINUSE;
        return false;
    }
    return unlink(path) == 0 && bind(fd, (const struct sockaddr *)&address, sizeof address) == 0;
}

static uint16_t port_of(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in ipv4;
        struct sockaddr_in6 ipv6;
    } address = {0};
    socklen_t size = sizeof address;
    if (getsockname(fd, &address.any, &size) != 0)
        return 0;
    return ntohs(address.any.sa_family == AF_INET6 ? address.ipv6.sin6_port
                                                   : address.ipv4.sin_port);
}

static enum mm_err listen_at(int fd, bool bound, int *fd_out, const char **reason_out)
{
    if (fd >= 0 && bound && listen(fd, BACKLOG) == 0) {
        *fd_out = fd;
        return MM_OK;
    }
    *reason_out = strerrordesc_np(errno);
    if (fd >= 0)
        close(fd);
    return MM_UNAVAILABLE;
}

enum mm_err mm_sp_listen(const struct mm_sp_address *address, int *fd_out, uint16_t *port_out,
                         const char **reason_out)
{
    *fd_out = -1;
    *port_out = 0;
    if (address->ipc) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        return listen_at(fd, fd >= 0 && bind_path(fd, address->path), fd_out, reason_out);
    }
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    char port[8];
    (void)snprintf(port, sizeof port, "%u", address->port);
    // As nng has it, * stands for all addresses of the machine.
    const char *host = strcmp(address->host, "*") == 0 ? NULL : address->host;
    int status = getaddrinfo(host, port, &hints, &list);
    if (status != 0) {
        *reason_out = gai_strerror(status);
        return MM_UNAVAILABLE;
    }
    int on = 1;
    int fd = socket(list->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool bound = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
                 bind(fd, list->ai_addr, list->ai_addrlen) == 0;
    enum mm_err err = listen_at(fd, bound, fd_out, reason_out);
    freeaddrinfo(list);
    if (err == MM_OK)
        *port_out = port_of(*fd_out);
    return err;
}
