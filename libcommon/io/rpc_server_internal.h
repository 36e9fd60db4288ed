#ifndef MM_IO_RPC_SERVER_INTERNAL_H
#define MM_IO_RPC_SERVER_INTERNAL_H

#include <nng/nng.h>
#include <pthread.h>

#include "libcommon/io/loop.h"
#include "libcommon/io/rpc_envelope.h"
#include "libcommon/io/rpc_memory.h"
#include "libcommon/io/rpc_server.h"

// For rpc_server.c (sockets, registry) and rpc_call.c (one call from arrival to answer) only.
//
// Each call in flight is a slot with an nng context of its own. The slot goes round between two
// owners:
//
//   nng thread: received ---- mm_loop_post_task ----> loop: handler, answer
//   nng thread: sent, receives again <--------------- nng_ctx_send
//
// Whoever has the slot may touch it; the hand-over orders memory. A slot has one task, so the loop
// can never be overrun. HTTP calls use slots of a second array that have no context.
//
// One slot at a time receives, and the next one begins when what that one got is posted: nng has
// several threads, and what two slots receive at once could reach the loop in either order. So
// calls of one connection are taken up in the order in which they were sent.

enum mm_rpc_call_state {
    CALL_FREE,    // with nng, or in the list of free local slots
    CALL_RUNNING, // taken up on the loop; not answered yet
    CALL_ANSWERED // answered while its handler has not returned
};

struct mm_rpc_registered {
    ProtobufCService *service;
    void *context;
    const struct mm_rpc_policy **policy_of; // by method index; NULL entries for none
};

struct mm_rpc_call {
    struct mm_rpc_server *server;
    enum mm_rpc_call_state state;
    bool in_handler;

    // nng calls
    bool has_context;
    nng_ctx context;
    nng_aio *receive_aio, *send_aio;
    nng_msg *message;  // the request, from its arrival until it is unpacked
    nng_msg *outgoing; // the answer, while the handler has not returned
    struct mm_loop_task arrived;

    // local calls
    mm_rpc_answer_fn answer;
    void *answer_arg;
    struct mm_rpc_call *next; // idle or free, or waiting for the same remembered answer

    uint64_t received_ns, deadline_ns;
    const struct mm_rpc_registered *registered; // NULL: no such method
    const ProtobufCMethodDescriptor *method;
    unsigned method_index;
    struct mm_rpc_caller caller;
    struct mm_rpc_request_id request_id;
    struct mm_trace trace;
    ProtobufCMessage *input;
    struct mm_rpc_remembered *remembered; // set while this call is the first with its id
    size_t details_count;
    char *detail_keys[MM_RPC_DETAILS_MAX], *detail_values[MM_RPC_DETAILS_MAX];
};

struct mm_rpc_server {
    struct mm_loop *loop;
    struct mm_rpc_server_options options; // with defaults filled in
    nng_socket socket;
    bool listening, draining, closed;
    pthread_mutex_t receive_mutex; // guards the next three, for nng's threads
    struct mm_rpc_call *idle;      // slots that could receive
    bool receiving;                // one does
    bool closing;                  // none begins to any more
    uint16_t port;
    struct mm_rpc_registered services[MM_RPC_SERVER_SERVICES_MAX];
    size_t services_count;
    struct mm_rpc_call *calls;       // options.contexts of them, each with a context
    struct mm_rpc_call *local_calls; // as many without
    struct mm_rpc_call *local_free;
    uint32_t running;
    struct mm_rpc_memory *memory;
};

// What arrived, not yet believed.
struct mm_rpc_arrival {
    struct mm_span service, method; // service: full or short name
    const uint8_t *body;
    size_t body_len;
    uint32_t deadline_ms;
};

// Takes the call up: checks, looks into memory, runs the handler. caller, request_id, trace and
// received_ns of the call are set.
void mm_rpc_call_begin(struct mm_rpc_call *call, const struct mm_rpc_arrival *arrival);

// The loop's side of an nng slot: reads the envelope in call->message and begins.
void mm_rpc_call_arrived(struct mm_loop *loop, void *call);

// Finds a service and method by name; NULL if there is none.
const struct mm_rpc_registered *mm_rpc_registry_find(const struct mm_rpc_server *server,
                                                     struct mm_span service, struct mm_span method,
                                                     unsigned *method_index_out);

// Frees the server once it is closed and nothing runs any more.
void mm_rpc_server_release(struct mm_rpc_server *server);

#endif
