#ifndef SYNC_ADDRESSES_H
#define SYNC_ADDRESSES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Network addresses that players connect from, also through proxies. Pure functions.

// Of IPv6, or of IPv4 as ::ffff:a.b.c.d.
struct sync_address {
    uint8_t bytes[16];
};

// A number, "192.0.2.1" or "2001:db8::1", without port or brackets. False: it is none.
bool sync_address_parse(const char *text, size_t len, struct sync_address *out);

// What limits count as one: an address of IPv4, or the network of 64 bits that an address of IPv6
// is in (RFC 6177: a customer has at least that).
uint64_t sync_address_key(const struct sync_address *address);

struct sync_network {
    struct sync_address address;
    unsigned bits; // of the address that are the network's
};

// "10.0.0.0/8", "2001:db8::/32" or a single address. False: it is none, or has bits beyond its own.
bool sync_network_parse(const char *text, struct sync_network *out);
bool sync_network_has(const struct sync_network *network, const struct sync_address *address);

// Who has sent a request: its peer, unless that is one of the proxies. Each of them has put the
// address that it was reached from at the end of `forwarded` (X-Forwarded-For: addresses with
// commas between them; NULL: none), so that is read from the end for as long as proxies go. What
// stands before is the client's own word and not believed.
struct sync_address sync_address_behind(struct sync_address peer, const char *forwarded,
                                        const struct sync_network *proxies, size_t proxy_count);

#endif
