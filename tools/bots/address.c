#include "tools/bots/address.h"

#include "libcommon/base/str.h"
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static bool resolve(const char *host, uint16_t port, struct sockaddr_in *out)
{
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    if (getaddrinfo(host, NULL, &hints, &found) != 0 || !found)
        return false;
    memcpy(out, found->ai_addr, sizeof *out);
    out->sin_port = htons(port);
    freeaddrinfo(found);
    return true;
}

bool address_parse(const char *url, const char *scheme, struct address *out)
{
    char prefix[16];
    snprintf(prefix, sizeof prefix, "%s://", scheme);
    char host[128];
    uint64_t port = 80;
    bool good = mm_str_starts_with(url, prefix);
    if (good) {
        const char *authority = url + strlen(prefix);
        size_t len = strcspn(authority, "/");
        const char *path = authority[len] ? authority + len : "/";
        size_t host_len = strcspn(authority, "/:");
        good = host_len > 0 && strcspn(path, "?#@ \r\n") == strlen(path) &&
               mm_str_copy_n(out->authority, sizeof out->authority, authority, len) &&
               mm_str_copy_n(host, sizeof host, authority, host_len) &&
               mm_str_copy(out->path, sizeof out->path, path);
        if (good && host_len < len)
            good = mm_str_parse_u64(authority + host_len + 1, len - host_len - 1, 1, UINT16_MAX,
                                    &port) == MM_OK;
    }
    if (!good) {
        fprintf(stderr, "mmorts-bots: '%s' is not a %shost:port/path URL\n", url, prefix);
        return false;
    }
    if (!resolve(host, (uint16_t)port, &out->socket)) {
        fprintf(stderr, "mmorts-bots: unknown host '%s'\n", host);
        return false;
    }
    return true;
}

int address_connect(const struct address *address)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, (const struct sockaddr *)&address->socket, sizeof address->socket) != 0 &&
        errno != EINPROGRESS) {
        close(fd);
        return -1;
    }
    return fd;
}
