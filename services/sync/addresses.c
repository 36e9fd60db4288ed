#include "services/sync/addresses.h"

#include "libcommon/base/str.h"

#include <arpa/inet.h>
#include <string.h>

enum { TEXT_BYTES = INET6_ADDRSTRLEN, BITS = 128, BITS_BEFORE_IPV4 = 96 };

static const uint8_t ipv4_prefix[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static bool is_ipv4(const struct sync_address *address)
{
    return memcmp(address->bytes, ipv4_prefix, sizeof ipv4_prefix) == 0;
}

bool sync_address_parse(const char *text, size_t len, struct sync_address *out)
{
    char copy[TEXT_BYTES];
    if (len >= sizeof copy || memchr(text, '\0', len))
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    struct sync_address address;
    if (inet_pton(AF_INET6, copy, address.bytes) != 1) {
        memcpy(address.bytes, ipv4_prefix, sizeof ipv4_prefix);
        if (inet_pton(AF_INET, copy, address.bytes + sizeof ipv4_prefix) != 1)
            return false;
    }
    *out = address;
    return true;
}

uint64_t sync_address_key(const struct sync_address *address)
{
    // The network of IPv6 that an address of IPv4 would be taken for is reserved (RFC 4291).
    size_t from = is_ipv4(address) ? 8 : 0;
    uint64_t key = 0;
    for (size_t i = from; i < from + 8; i++)
        key = key << 8 | address->bytes[i];
    return key;
}

static bool bit(const struct sync_address *address, unsigned at)
{
    return address->bytes[at / 8] >> (7 - at % 8) & 1;
}

bool sync_network_parse(const char *text, struct sync_network *out)
{
    const char *slash = strchr(text, '/');
    size_t len = slash ? (size_t)(slash - text) : strlen(text);
    if (!sync_address_parse(text, len, &out->address))
        return false;
    out->bits = BITS;
    if (!slash)
        return true;
    unsigned before = memchr(text, ':', len) ? 0 : BITS_BEFORE_IPV4;
    uint64_t bits = 0;
    if (mm_str_parse_u64(slash + 1, strlen(slash + 1), 0, BITS - before, &bits) != MM_OK)
        return false;
    out->bits = before + (unsigned)bits;
    for (unsigned at = out->bits; at < BITS; at++)
        if (bit(&out->address, at))
            return false;
    return true;
}

bool sync_network_has(const struct sync_network *network, const struct sync_address *address)
{
    for (unsigned at = 0; at < network->bits; at++)
        if (bit(&network->address, at) != bit(address, at))
            return false;
    return true;
}

static bool is_proxy(const struct sync_address *address, const struct sync_network *proxies,
                     size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (sync_network_has(&proxies[i], address))
            return true;
    return false;
}

struct sync_address sync_address_behind(struct sync_address peer, const char *forwarded,
                                        const struct sync_network *proxies, size_t proxy_count)
{
    size_t len = forwarded ? strlen(forwarded) : 0;
    while (len > 0 && is_proxy(&peer, proxies, proxy_count)) {
        size_t begin = len;
        while (begin > 0 && forwarded[begin - 1] != ',')
            begin--;
        const char *item = forwarded + begin;
        size_t item_len = len - begin;
        mm_str_trim(&item, &item_len);
        if (!sync_address_parse(item, item_len, &peer))
            break;
        len = begin > 0 ? begin - 1 : 0;
    }
    return peer;
}
