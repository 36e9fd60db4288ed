#ifndef MM_IO_RPC_CLIENT_H
#define MM_IO_RPC_CLIENT_H

#include "libcommon/io/rpc.h"

struct mm_loop;
struct mm_rpc_client;

// Calls methods of one peer over nng REQ. Everything here is for the loop's thread; callbacks run
// on it. The connection is made and remade in the background (every 50 to 200 ms).
//
//     Mmorts__World__JoinRequest request = MMORTS__WORLD__JOIN_REQUEST__INIT;
//     struct mm_rpc_call_options options = {.deadline_ms = 1000, .idempotent = true};
//     enum mm_err err = mm_rpc_call(client, &mmorts__world__world__descriptor, "Join",
//                                   &request.base, &options, on_joined, self, NULL);
//
//     static void on_joined(void *arg, const struct mm_rpc_result *result)
//     {
//         if (result->code != MM_OK) { ... result->message ... return; }
//         const Mmorts__World__JoinReply *reply = (const void *)result->reply;
//     }

#define MM_RPC_CLIENT_CALLS_DEFAULT 256

struct mm_rpc_client_options {
    const char *service; // our name, told to the peer with every call
    const char *instance;
    uint32_t calls_max;       // outstanding at most. 0 = MM_RPC_CLIENT_CALLS_DEFAULT
    size_t request_bytes_max; // 0 = MM_RPC_REQUEST_BYTES_MAX
    size_t reply_bytes_max;   // 0 = MM_RPC_REPLY_BYTES_MAX
    struct mm_rpc_tls tls;
    struct mm_rpc_hooks hooks;
};

struct mm_rpc_result {
    enum mm_err code;              // MM_OK: reply is there
    const char *message;           // never NULL; "" when OK
    const ProtobufCMessage *reply; // of the method's reply type; the library's, valid during the
                                   // callback; NULL unless OK
    uint32_t attempts;             // how often the request was sent
    size_t details_count;
    const char *const *detail_keys; // borrowed like reply
    const char *const *detail_values;
};
typedef void (*mm_rpc_callback_fn)(void *arg, const struct mm_rpc_result *result);

struct mm_rpc_call_options {
    uint32_t deadline_ms;     // required: 1..MM_RPC_DEADLINE_MS_MAX
    bool idempotent;          // may be sent again, with the same id, after a lost connection or an
                              // UNAVAILABLE, within the deadline
    bool wait_for_connection; // without a connection wait for one (within the deadline) instead of
                              // failing at once
    const struct mm_rpc_request_id *request_id; // NULL = a fresh random one
    const struct mm_rpc_caller *caller; // on whose behalf (player_id, permissions); NULL = our own
    const struct mm_trace *trace;       // parent span; NULL = none
};

// Identifies an outstanding call; never 0.
typedef uint64_t mm_rpc_handle;

// Begins to connect to an nng address. *out is closed by mm_rpc_client_close, before the loop is.
// options may be NULL. MM_INVALID_ARGUMENT: not an address.
MM_MUST_USE enum mm_err mm_rpc_client_open(struct mm_loop *loop, const char *url,
                                           const struct mm_rpc_client_options *options,
                                           struct mm_rpc_client **out);

// Closes the connection; callbacks of outstanding calls are never called.
void mm_rpc_client_close(struct mm_rpc_client *client);

// Whether a connection is there now.
bool mm_rpc_client_connected(const struct mm_rpc_client *client);

// Told, on the loop, when a connection comes or goes; at once if one is there already. fn may be
// NULL (none). One watcher a client.
void mm_rpc_client_watch(struct mm_rpc_client *client, void (*fn)(void *arg, bool connected),
                         void *arg);

// Outstanding calls now.
uint32_t mm_rpc_client_calls(const struct mm_rpc_client *client);

// Sends a call. request is packed before this returns. If it returns an error the callback is never
// called; otherwise it is called exactly once, never from within this function, unless the call
// is cancelled or the client closed. handle_out may be NULL.
// Calls are begun there in the order in which they were made here, as long as the connection lasts;
// one that is tried again comes behind what was called meanwhile.
// MM_RESOURCE_EXHAUSTED: calls_max are outstanding, or the request is too large.
// MM_UNAVAILABLE: no connection and not told to wait.
// MM_INVALID_ARGUMENT: no deadline, no such method, or request is of another type.
MM_MUST_USE enum mm_err mm_rpc_call(struct mm_rpc_client *client,
                                    const ProtobufCServiceDescriptor *service, const char *method,
                                    const ProtobufCMessage *request,
                                    const struct mm_rpc_call_options *options,
                                    mm_rpc_callback_fn callback, void *arg,
                                    mm_rpc_handle *handle_out);

// Forgets an outstanding call: its callback is never called. The server may still carry it out.
// Nothing happens when it is no longer outstanding.
void mm_rpc_cancel(struct mm_rpc_client *client, mm_rpc_handle handle);

#endif
