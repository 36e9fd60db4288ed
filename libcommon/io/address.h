#ifndef MM_IO_ADDRESS_H
#define MM_IO_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

// Addresses as they stand in settings. Pure functions, callable from any thread. What is wrong is a
// static text that follows the setting's name ("must be ..."); NULL if nothing is.

// Of RPC and streams: tcp://HOST:PORT, tls+tcp://HOST:PORT or ipc://PATH, with nothing after it.
// Whether the host exists is not asked.
const char *mm_address_rpc_error(const char *url);

// Of an HTTP server: HOST:PORT, where no host means all addresses of the machine.
const char *mm_address_listen_error(const char *text);

// Whether connections to and from the RPC address are encrypted.
bool mm_address_is_tls(const char *url);

// The name that the certificate of whoever answers at a tls+tcp:// address has to carry. False if
// the host is an IP address, which the certificate need not name, or does not fit.
bool mm_address_tls_name(const char *url, char *name, size_t name_bytes);

#endif
