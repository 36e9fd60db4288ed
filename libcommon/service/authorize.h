#ifndef MM_SERVICE_AUTHORIZE_H
#define MM_SERVICE_AUTHORIZE_H

#include "libcommon/base/err.h"

#include <stdint.h>

struct mm_http_authorisation;
struct mm_rpc_client;

// Bearer tokens of the HTTP gateway: who they belong to is asked of the auth service, and believed
// for a few seconds. A token that auth refuses is asked about again each time. What a caller may
// do is decided by the gateway from the method's policy. Loop thread.

struct mm_authorizer;

enum {
    MM_AUTHORIZER_TTL_MS = 3000,      // how long a revoked token may still pass here
    MM_AUTHORIZER_ENTRIES_MAX = 1024, // tokens remembered, by their hash; newer ones replace older
    MM_AUTHORIZER_WAITING_MAX = 256,  // questions under way; beyond it UNAVAILABLE
    MM_AUTHORIZER_TOKEN_BYTES_MAX = 4096,
};

// `auth` is a client of the auth service; it must outlive the authorizer.
enum mm_err mm_authorizer_open(struct mm_rpc_client *auth, struct mm_authorizer **out) MM_MUST_USE;

// Answers those who wait with CANCELLED. Close before the gateway and its HTTP server. NULL is
// allowed.
void mm_authorizer_close(struct mm_authorizer *authorizer);

// A mm_http_authorise_fn; `authorizer` is its arg.
void mm_authorizer_ask(void *authorizer, struct mm_http_authorisation *authorisation,
                       const char *bearer);

#endif
