#include "libcommon/io/address.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>
#include <sys/un.h>

#include "libcommon/base/err.h"
#include "libcommon/base/str.h"

#define TCP "tcp://"
#define TLS "tls+tcp://"
#define IPC "ipc://"

enum { HOST_CHARS_MAX = 253 }; // RFC 1035, section 2.3.4

// The end of the host in HOST:PORT, or NULL if the text is not that. IPv6 addresses have brackets.
static const char *host_end(const char *text)
{
    const char *colon = strrchr(text, ':');
    uint64_t port;
    if (!colon || mm_str_parse_u64(colon + 1, strlen(colon + 1), 0, 65535, &port) != MM_OK ||
        colon - text > HOST_CHARS_MAX)
        return NULL;
    size_t len = (size_t)(colon - text);
    if (len >= 2 && text[0] == '[')
        return text[len - 1] == ']' ? colon : NULL;
    for (const char *at = text; at < colon; at++)
        if (*at == ':' || *at == '/' || *at == ' ')
            return NULL;
    return colon;
}

const char *mm_address_rpc_error(const char *url)
{
    if (mm_str_starts_with(url, IPC)) {
        size_t len = strlen(url) - strlen(IPC);
        if (len == 0)
            return "must name a socket file after ipc://";
        return len < sizeof((struct sockaddr_un *)0)->sun_path
                   ? NULL
                   : "must name a socket file by at most 107 characters";
    }
    const char *host = mm_str_starts_with(url, TCP)   ? url + strlen(TCP)
                       : mm_str_starts_with(url, TLS) ? url + strlen(TLS)
                                                      : NULL;
    const char *end = host ? host_end(host) : NULL;
    return end && end > host ? NULL : "must be tcp://HOST:PORT, tls+tcp://HOST:PORT or ipc://PATH";
}

const char *mm_address_listen_error(const char *text)
{
    return host_end(text) ? NULL : "must be HOST:PORT";
}

bool mm_address_is_tls(const char *url)
{
    return mm_str_starts_with(url, TLS);
}

bool mm_address_tls_name(const char *url, char *name, size_t name_bytes)
{
    if (!mm_address_is_tls(url) || mm_address_rpc_error(url))
        return false;
    const char *host = url + strlen(TLS);
    struct in_addr ipv4;
    return host[0] != '[' &&
           mm_str_copy_n(name, name_bytes, host, (size_t)(host_end(host) - host)) &&
           inet_pton(AF_INET, name, &ipv4) != 1;
}
