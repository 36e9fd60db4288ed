#ifndef MM_IO_HTTP_RPC_H
#define MM_IO_HTTP_RPC_H

#include "libcommon/io/http.h"
#include "libcommon/io/rpc_server.h"

struct mm_http_rpc;
struct mm_http_authorisation;

// The RPC methods over HTTP: POST /rpc/<Service>/<Method> with JSON (proto3 mapping) or
// application/protobuf; GET /rpc describes services, methods and messages. Errors are
// {"code", "message", "details"} with the HTTP status of google.rpc.Code.
//
// Headers understood: Authorization: Bearer <token>; X-Request-Id: 32 hex digits, the request id
// (the same in a retry); X-Deadline-Ms, default 10000; traceparent.

// Asked who a token belongs to; answers with mm_http_authorise, now or later, exactly once. bearer
// is borrowed until then; never NULL (without a token the gateway does not ask).
typedef void (*mm_http_authorise_fn)(void *arg, struct mm_http_authorisation *authorisation,
                                     const char *bearer);

struct mm_http_rpc_options {
    mm_http_authorise_fn authorise; // NULL: every token is refused
    void *arg;
    uint64_t operator_permission; // the flags that may call methods without a policy
};

// Adds the routes to `http`. Close after both servers are closed.
MM_MUST_USE enum mm_err mm_http_rpc_open(struct mm_http_server *http, struct mm_rpc_server *rpc,
                                         const struct mm_http_rpc_options *options,
                                         struct mm_http_rpc **out);
void mm_http_rpc_close(struct mm_http_rpc *gateway);

// Answers an authorisation. err MM_OK: player_id and permissions are the token's. Otherwise
// UNAUTHENTICATED, PERMISSION_DENIED or UNAVAILABLE, with a message for the client.
void mm_http_authorise(struct mm_http_authorisation *authorisation, enum mm_err err,
                       const char *message, uint64_t player_id, uint64_t permissions);

#endif
