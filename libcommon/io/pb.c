#include "libcommon/io/pb.h"

#include <stdlib.h>
#include <string.h>

#include "libcommon/base/alloc.h"
#include "libcommon/base/arena.h"
#include "libcommon/base/check.h"
#include "libcommon/base/progress.h"
#include "libcommon/base/str.h"

static void *arena_alloc(void *arena, size_t size)
{
    return mm_arena_alloc(arena, size);
}

static void arena_free(void *arena, void *memory)
{
    (void)arena;
    (void)memory;
}

ProtobufCAllocator mm_pb_arena_allocator(struct mm_arena *arena)
{
    return (ProtobufCAllocator){arena_alloc, arena_free, arena};
}

static void *watched_alloc(void *data, size_t size)
{
    const struct mm_pb_watched *watched = data;
    if (!mm_progress_step(watched->progress))
        return NULL;
    return watched->arena ? mm_arena_alloc(watched->arena, size) : malloc(size);
}

static void watched_free(void *data, void *memory)
{
    const struct mm_pb_watched *watched = data;
    if (!watched->arena)
        free(memory);
}

ProtobufCAllocator mm_pb_watched_allocator(struct mm_pb_watched *watched)
{
    return (ProtobufCAllocator){watched_alloc, watched_free, watched};
}

static const void *member(const ProtobufCMessage *message, unsigned offset)
{
    return (const uint8_t *)message + offset;
}

static bool string_valid(const char *text)
{
    return text == NULL || mm_utf8_valid(text, strlen(text));
}

static bool field_valid(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    const void *value = member(message, field->offset);
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        size_t count = *(const size_t *)member(message, field->quantifier_offset);
        for (size_t i = 0; i < count; i++) {
            bool valid = field->type == PROTOBUF_C_TYPE_STRING
                             ? string_valid((*(char *const *const *)value)[i])
                             : mm_pb_strings_valid((*(ProtobufCMessage *const *const *)value)[i]);
            if (!valid)
                return false;
        }
        return true;
    }
    if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF &&
        *(const uint32_t *)member(message, field->quantifier_offset) != field->id)
        return true;
    if (field->type == PROTOBUF_C_TYPE_STRING)
        return string_valid(*(const char *const *)value);
    const ProtobufCMessage *child = *(const ProtobufCMessage *const *)value;
    return child == NULL || mm_pb_strings_valid(child);
}

bool mm_pb_strings_valid(const ProtobufCMessage *message)
{
    const ProtobufCMessageDescriptor *descriptor = message->descriptor;
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
        if (field->type != PROTOBUF_C_TYPE_STRING && field->type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        if (!field_valid(message, field))
            return false;
    }
    return true;
}

enum mm_err mm_pb_unpack(const ProtobufCMessageDescriptor *descriptor,
                         ProtobufCAllocator *allocator, const void *bytes, size_t len,
                         size_t bytes_max, ProtobufCMessage **out)
{
    *out = NULL;
    if (len > bytes_max)
        return MM_RESOURCE_EXHAUSTED;
    ProtobufCMessage *message = protobuf_c_message_unpack(descriptor, allocator, len, bytes);
    if (!message)
        return MM_INVALID_ARGUMENT;
    if (!mm_pb_strings_valid(message)) {
        protobuf_c_message_free_unpacked(message, allocator);
        return MM_INVALID_ARGUMENT;
    }
    *out = message;
    return MM_OK;
}

enum mm_err mm_pb_pack(const ProtobufCMessage *message, size_t bytes_max, uint8_t **out,
                       size_t *len_out)
{
    *out = NULL;
    *len_out = 0;
    size_t len = protobuf_c_message_get_packed_size(message);
    if (len > bytes_max)
        return MM_RESOURCE_EXHAUSTED;
    uint8_t *bytes = mm_malloc(len ? len : 1);
    if (!bytes)
        return MM_RESOURCE_EXHAUSTED;
    MM_CHECK(protobuf_c_message_pack(message, bytes) == len);
    *out = bytes;
    *len_out = len;
    return MM_OK;
}
