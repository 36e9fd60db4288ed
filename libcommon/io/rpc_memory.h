#ifndef MM_IO_RPC_MEMORY_H
#define MM_IO_RPC_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/io/rpc.h"

// For libcommon/io only. What an RPC server remembers of mutating calls, so that a repeated request
// id is answered, not executed again. Bounded in number and bytes: the oldest answers leave first;
// calls still running never leave.

struct mm_rpc_memory;
struct mm_rpc_call;

struct mm_rpc_memory_key {
    struct mm_rpc_request_id id;
    const struct mm_rpc_caller *caller; // an id of one caller means nothing to another
    const void *method;                 // the descriptor
    const uint8_t *body;
    size_t body_len;
};

struct mm_rpc_remembered {
    struct mm_rpc_request_id id;
    uint64_t player_id;
    uint64_t service_hash; // of the caller's service name
    const void *method;
    uint64_t body_hash;
    uint64_t map_key;
    uint8_t *reply; // packed Reply; NULL while the first call runs
    size_t reply_len;
    struct mm_rpc_call *waiting;             // head of the repeated calls' list (the server's)
    struct mm_rpc_remembered *older, *newer; // finished entries by age, or the free list (newer)
};

enum mm_rpc_memory_verdict {
    MM_RPC_MEMORY_NEW,      // carry it out, then mm_rpc_memory_keep or _forget
    MM_RPC_MEMORY_RUNNING,  // the first one is under way
    MM_RPC_MEMORY_ANSWERED, // entry->reply is the answer
    MM_RPC_MEMORY_MISMATCH, // the id was used for something else
    MM_RPC_MEMORY_FULL,     // as many running calls as there are entries
};

// calls_max must exceed the number of calls that can run at once. NULL when out of memory.
struct mm_rpc_memory *mm_rpc_memory_new(uint32_t calls_max, size_t bytes_max);
void mm_rpc_memory_free(struct mm_rpc_memory *memory);

// *out is set unless MISMATCH or FULL; it stays valid until the next look-up.
enum mm_rpc_memory_verdict mm_rpc_memory_look_up(struct mm_rpc_memory *memory,
                                                 const struct mm_rpc_memory_key *key,
                                                 struct mm_rpc_remembered **out);

// The call was answered with this packed Reply (from mm_malloc; taken).
void mm_rpc_memory_keep(struct mm_rpc_memory *memory, struct mm_rpc_remembered *entry,
                        uint8_t *reply, size_t len);

// The call did nothing: the id may be tried again.
void mm_rpc_memory_forget(struct mm_rpc_memory *memory, struct mm_rpc_remembered *entry);

// An answer larger than this is not worth keeping.
size_t mm_rpc_memory_reply_bytes_max(const struct mm_rpc_memory *memory);

#endif
