#ifndef MM_IO_RPC_SERVER_H
#define MM_IO_RPC_SERVER_H

#include "libcommon/io/rpc.h"

struct mm_loop;
struct mm_rpc_server;
struct mm_rpc_call;

// Serves protobuf services over nng REP. Everything here is for the loop's thread.
//
// A service is the generated struct with its handlers:
//
//     static Mmorts__World__World_Service world_service = MMORTS__WORLD__WORLD__INIT(world_rpc_);
//
//     static void world_rpc_join(Mmorts__World__World_Service *service,
//                                const Mmorts__World__JoinRequest *input,
//                                Mmorts__World__JoinReply_Closure closure, void *closure_data)
//     {
//         struct mm_rpc_call *call = closure_data;
//         struct world *world = mm_rpc_call_context(call);
//         if (...) {
//             mm_rpc_fail(call, MM_NOT_FOUND, "no session %s", input->session);
//             return;
//         }
//         Mmorts__World__JoinReply reply = MMORTS__WORLD__JOIN_REPLY__INIT;
//         closure(&reply, call);
//     }
//
// A handler answers exactly once (a second answer aborts the process), now or later, on the loop's
// thread: closure(&reply, call), mm_rpc_reply(call, &reply.base) or mm_rpc_fail(call, ...).
// `call` and `input` live until the answer, or until the handler returns if that is later. The
// reply is packed before the answer returns and stays the handler's.
//
// Handlers are called in the order in which the calls came on their connection. That is the order
// in which a client made them, but for what it sent again, and what it made after it reconnected.

// What a method is. A method without an entry is neither mutating nor idempotent, and over HTTP
// only the operator may call it.
struct mm_rpc_policy {
    const char *method;  // "Join"; static
    uint64_t permission; // flags a caller over HTTP needs, all of them; or:
    bool mutating;       // a repeated request id is answered from memory, not executed again
    bool idempotent;     // executing twice does no harm (stated in GET /rpc for clients to use)
};

#define MM_RPC_PUBLIC     0u         // permission: nobody needs to say who they are
#define MM_RPC_ANY_PLAYER UINT64_MAX // permission: any valid token

#define MM_RPC_SERVER_CONTEXTS_DEFAULT  64
#define MM_RPC_SERVER_SERVICES_MAX      16
#define MM_RPC_SERVER_LISTEN_MAX        4
#define MM_RPC_REMEMBERED_CALLS_DEFAULT 4096
#define MM_RPC_REMEMBERED_BYTES_DEFAULT ((size_t)8 << 20)

struct mm_rpc_server_options {
    uint32_t contexts;        // calls in flight at most; more wait in the sockets. 0 = default
    size_t request_bytes_max; // 0 = MM_RPC_REQUEST_BYTES_MAX. A larger request is dropped unread
    size_t reply_bytes_max;   // 0 = MM_RPC_REPLY_BYTES_MAX. A larger one becomes RESOURCE_EXHAUSTED
    uint32_t remembered_calls; // answers of mutating calls kept at most. 0 = default
    size_t remembered_bytes;   // and their bytes together. 0 = default
    struct mm_rpc_tls tls;     // for tls+tcp:// addresses
    struct mm_rpc_hooks hooks;
};

// Makes a server; it listens nowhere yet. options may be NULL. *out is closed by
// mm_rpc_server_close, before the loop is.
MM_MUST_USE enum mm_err mm_rpc_server_open(struct mm_loop *loop,
                                           const struct mm_rpc_server_options *options,
                                           struct mm_rpc_server **out);

// Registers a generated service. context is what mm_rpc_call_context gives its handlers; policies
// (count of them) must outlive the server. At most MM_RPC_SERVER_SERVICES_MAX. A policy that names
// no method of the service is a bug and aborts.
void mm_rpc_server_register(struct mm_rpc_server *server, ProtobufCService *service, void *context,
                            const struct mm_rpc_policy *policies, size_t count);

// Listens at an nng address (tcp://, ipc://, tls+tcp://), after all services are registered; at
// most MM_RPC_SERVER_LISTEN_MAX. MM_UNAVAILABLE: address in use or not ours (logged).
MM_MUST_USE enum mm_err mm_rpc_server_listen(struct mm_rpc_server *server, const char *url);

// The TCP port of the last address listened at (for tcp://127.0.0.1:0); 0 for other transports.
uint16_t mm_rpc_server_port(const struct mm_rpc_server *server);

// Stops accepting: calls that arrive from now on are answered UNAVAILABLE, those being carried out
// go on.
void mm_rpc_server_drain(struct mm_rpc_server *server);

// Calls now being carried out (0 = drained).
uint32_t mm_rpc_server_calls_running(const struct mm_rpc_server *server);

// Closes the sockets. Calls still running may be answered afterwards, into the void; their memory
// is freed then. The server itself must not be used again.
void mm_rpc_server_close(struct mm_rpc_server *server);

// --- within a handler, until the answer -------------------------------------------------------

void *mm_rpc_call_context(const struct mm_rpc_call *call);
const struct mm_rpc_caller *mm_rpc_call_caller(const struct mm_rpc_call *call);
const char *mm_rpc_call_service_name(const struct mm_rpc_call *call); // "mmorts.world.World"
const char *mm_rpc_call_method_name(const struct mm_rpc_call *call);  // "Join"
struct mm_rpc_request_id mm_rpc_call_request_id(const struct mm_rpc_call *call);

// Time until the caller gives up, in ms; 0 when it has. Pass it on to calls made on its behalf.
uint32_t mm_rpc_call_deadline_left_ms(const struct mm_rpc_call *call);

// This call's own span; hand it to calls made on its behalf.
const struct mm_trace *mm_rpc_call_trace(const struct mm_rpc_call *call);

// Adds a detail to a failure about to be answered (both copied); beyond MM_RPC_DETAILS_MAX it is
// dropped.
void mm_rpc_call_add_detail(struct mm_rpc_call *call, const char *key, const char *value);

// Answers. reply must be of the method's reply type.
void mm_rpc_reply(struct mm_rpc_call *call, const ProtobufCMessage *reply);

// Answers with an error; code is not MM_OK. UNAVAILABLE, ABORTED, RESOURCE_EXHAUSTED, CANCELLED and
// DEADLINE_EXCEEDED promise that repeating the call is safe: they are not remembered for
// repeated request ids.
void mm_rpc_fail(struct mm_rpc_call *call, enum mm_err code, const char *format, ...)
    MM_PRINTF(3, 4);

// --- for transports other than nng (the HTTP gateway, tests) ----------------------------------

// One answer: body (packed reply, borrowed, empty on failure) or code and message.
struct mm_rpc_answer {
    enum mm_err code;
    const char *message; // never NULL
    const uint8_t *body;
    size_t body_len;
    size_t details_count;
    const char *detail_keys[MM_RPC_DETAILS_MAX];
    const char *detail_values[MM_RPC_DETAILS_MAX];
};
typedef void (*mm_rpc_answer_fn)(void *arg, const struct mm_rpc_answer *answer);

struct mm_rpc_local_call {
    const char *service; // full or short name
    const char *method;
    const uint8_t *body; // packed request, borrowed during the call of dispatch
    size_t body_len;
    uint32_t deadline_ms;
    struct mm_rpc_request_id request_id;
    struct mm_trace trace;
    struct mm_rpc_caller caller;
};

// Carries a call out as if it had come by nng; `answer` is called exactly once, possibly before
// this returns. Bounded by the same number of calls in flight (RESOURCE_EXHAUSTED beyond).
void mm_rpc_server_dispatch(struct mm_rpc_server *server, const struct mm_rpc_local_call *call,
                            mm_rpc_answer_fn answer, void *arg);

// The registered services, for descriptions. Index from 0; NULL past the end.
const ProtobufCServiceDescriptor *mm_rpc_server_service(const struct mm_rpc_server *server,
                                                        size_t index);

// Finds a method by full or short service name. Any out may be NULL. *policy_out is NULL when the
// method has none. False when there is no such method.
bool mm_rpc_server_find(const struct mm_rpc_server *server, const char *service, const char *method,
                        const ProtobufCServiceDescriptor **service_out,
                        const ProtobufCMethodDescriptor **method_out,
                        const struct mm_rpc_policy **policy_out);

#endif
