#ifndef MM_IO_RPC_CLIENT_INTERNAL_H
#define MM_IO_RPC_CLIENT_INTERNAL_H

#include <nng/nng.h>

#include "libcommon/io/loop.h"
#include "libcommon/io/nng_pipe.h"
#include "libcommon/io/rpc_client.h"

// How the RPC client is laid out; for rpc_client*.c only.
//
// Each outstanding call is a slot with an nng context. An attempt goes round once:
//
//   loop: nng_ctx_send --> nng thread: sent, nng_ctx_recv --> received --post_task--> loop
//
// While an attempt is under way the nng thread touches only the aios, `rv` and `reply_msg`.

enum mm_rpc_slot_state {
    SLOT_FREE,
    SLOT_SENT,     // an attempt is under way
    SLOT_BACKOFF,  // waits to try again
    SLOT_CANCELLED // an attempt is under way whose outcome nobody wants
};

struct mm_rpc_slot {
    struct mm_rpc_client *client;
    enum mm_rpc_slot_state state;
    uint32_t generation;      // tells this use of the slot from earlier ones
    struct mm_rpc_slot *next; // free list
    bool has_context;
    nng_ctx context;
    nng_aio *send_aio, *receive_aio;
    struct mm_loop_task done;
    struct mm_loop_timer backoff;
    int rv;
    nng_msg *reply_msg;

    const ProtobufCServiceDescriptor *service;
    const ProtobufCMethodDescriptor *method;
    mm_rpc_callback_fn callback;
    void *arg;
    uint64_t started_ns, deadline_ns;
    uint32_t deadline_ms, attempts, backoff_ms;
    bool idempotent, wait_for_connection;
    struct mm_rpc_request_id request_id;
    struct mm_trace trace;
    uint64_t player_id, permissions;
    uint8_t *body; // packed request, kept for further attempts; NULL unless idempotent
    size_t body_len;
};

struct mm_rpc_client {
    struct mm_loop *loop;
    struct mm_rpc_client_options options; // service and instance point to the copies below
    char service[MM_RPC_NAME_LEN_MAX + 1], instance[MM_RPC_NAME_LEN_MAX + 1];
    nng_socket socket;
    struct mm_nng_pipe pipe;
    struct mm_loop_task pipe_changed;
    bool connected; // as last told to the watcher
    void (*watcher)(void *arg, bool connected);
    void *watcher_arg;
    struct mm_rpc_slot *slots;
    struct mm_rpc_slot *free_slots;
    uint32_t calls;
};

// rpc_client_call.c: the slots of a client. It has none before the first, and its socket is closed
// before the second; the third has calls that must not wait for the next connection come back.
MM_MUST_USE enum mm_err mm_rpc_slots_open(struct mm_rpc_client *client);
void mm_rpc_slots_close(struct mm_rpc_client *client);
void mm_rpc_slots_disconnected(struct mm_rpc_client *client);

#endif
