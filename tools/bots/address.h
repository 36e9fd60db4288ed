#ifndef BOTS_ADDRESS_H
#define BOTS_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>

// A server named by a URL without user, query or fragment: "http://host:port/path".
struct address {
    char authority[128]; // host:port, for the Host header
    char path[128];      // "/" if the URL has none
    struct sockaddr_in socket;
};

// Parses and resolves (blocking: once, at the start). False after a message on stderr if the scheme
// is another one, the URL is malformed or the host is unknown.
bool address_parse(const char *url, const char *scheme, struct address *out);

// Begins to connect: a non-blocking socket that becomes writable when it is done, or -1.
int address_connect(const struct address *address);

#endif
