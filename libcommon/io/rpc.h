#ifndef MM_IO_RPC_H
#define MM_IO_RPC_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/base/err.h"
#include "libcommon/io/trace.h"

// What the RPC server, the client and the HTTP gateway share. docs/rpc.md is the protocol.

#define MM_RPC_REQUEST_BYTES_MAX ((size_t)1 << 20)  // default cap of a request on the wire
#define MM_RPC_REPLY_BYTES_MAX   ((size_t)64 << 20) // default cap of a reply on the wire
#define MM_RPC_DEADLINE_MS_MAX   3600000u           // an hour: a longer deadline is refused
#define MM_RPC_METHOD_LEN_MAX    127
#define MM_RPC_MESSAGE_LEN_MAX   511 // of an error's text; longer is cut
#define MM_RPC_REQUEST_ID_LEN    16
#define MM_RPC_NAME_LEN_MAX      63 // of a caller's service and instance; longer is refused
#define MM_RPC_DETAILS_MAX       16

struct mm_rpc_request_id {
    uint8_t bytes[MM_RPC_REQUEST_ID_LEN]; // all zero = none: such a call is never deduplicated
};

struct mm_rpc_caller {
    char service[MM_RPC_NAME_LEN_MAX + 1]; // "" for a player or a foreign tool
    char instance[MM_RPC_NAME_LEN_MAX + 1];
    uint64_t player_id;   // 0 = none
    uint64_t permissions; // permission flags, as auth issued them
    bool over_http;       // came through the HTTP gateway: service and instance are empty then
};

// Files of a mutual TLS set-up, for tls+tcp:// addresses. Both NULL for other addresses.
struct mm_rpc_tls {
    const char *ca_file;       // PEM: whom we believe
    const char *cert_key_file; // PEM: our certificate chain and key
};

// What is wrong with a file, as a static text that follows its name ("holds no certificate"); NULL
// if it will do now. Callable from any thread; reads the file.
const char *mm_rpc_tls_ca_error(const char *ca_file);
const char *mm_rpc_tls_cert_key_error(const char *cert_key_file);

// Told of each finished call, on the loop's thread; for metrics. Either function may be NULL.
// service and method are static strings of the descriptors; "" and "" for unknown methods.
struct mm_rpc_hooks {
    void *arg;
    void (*served)(void *arg, const char *service, const char *method, enum mm_err code,
                   uint64_t duration_ns);
    void (*called)(void *arg, const char *service, const char *method, enum mm_err code,
                   uint64_t duration_ns);
};

// Index of the method in the service's descriptor, or -1.
int mm_rpc_method_index(const ProtobufCServiceDescriptor *service, const char *method);

#endif
