#ifndef MM_IO_PB_H
#define MM_IO_PB_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/base/err.h"

struct mm_arena;
struct mm_progress;

// Protobuf helpers: every unpack is size-capped, every pack tells its size.

// An allocator that takes from `arena` and never frees; the messages die with the arena. Lives as
// long as the arena.
ProtobufCAllocator mm_pb_arena_allocator(struct mm_arena *arena);

// An allocator for unpacking what is large: it takes from `arena`, or from malloc if that is NULL,
// and tells `progress` of each piece that it gives, which is one for every column of a frame. What
// is given up fails as if out of memory. Lives as long as `watched`.
struct mm_pb_watched {
    struct mm_arena *arena;
    struct mm_progress *progress;
};
ProtobufCAllocator mm_pb_watched_allocator(struct mm_pb_watched *watched);

// Unpacks at most `bytes_max` bytes (a longer input is refused before anything is allocated).
// *out belongs to the caller: protobuf_c_message_free_unpacked(*out, allocator) unless the
// allocator is an arena's. allocator may be NULL (malloc).
// MM_RESOURCE_EXHAUSTED: longer than bytes_max. MM_INVALID_ARGUMENT: not such a message, or a
// string field holds bytes that are not UTF-8.
MM_MUST_USE enum mm_err mm_pb_unpack(const ProtobufCMessageDescriptor *descriptor,
                                     ProtobufCAllocator *allocator, const void *bytes, size_t len,
                                     size_t bytes_max, ProtobufCMessage **out);

// Packs into fresh memory (*out from mm_malloc, caller frees; never NULL, even for an empty
// message). MM_RESOURCE_EXHAUSTED when larger than bytes_max, or out of memory.
MM_MUST_USE enum mm_err mm_pb_pack(const ProtobufCMessage *message, size_t bytes_max, uint8_t **out,
                                   size_t *len_out);

// Whether every string in the message is valid UTF-8 (protobuf-c does not look).
bool mm_pb_strings_valid(const ProtobufCMessage *message);

#endif
