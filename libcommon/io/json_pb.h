#ifndef MM_IO_JSON_PB_H
#define MM_IO_JSON_PB_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>

#include "libcommon/base/buf.h"
#include "libcommon/base/err.h"

// JSON <-> protobuf by descriptor, after the proto3 JSON mapping
// (https://protobuf.dev/programming-guides/json/): field names in lowerCamelCase, 64-bit integers
// as strings, bytes as base64, enums by name, default values left out. A map is an object.

enum { MM_JSON_DEPTH_MAX = 32 };

struct mm_json_write_options {
    bool with_defaults; // write fields that hold their default value too
};

// Appends the message to `out`. options may be NULL. Errors stick in out->err
// (MM_RESOURCE_EXHAUSTED: the buffer is full; MM_INVALID_ARGUMENT: nested deeper than
// MM_JSON_DEPTH_MAX) and are returned.
MM_MUST_USE enum mm_err mm_json_from_pb(const ProtobufCMessage *message,
                                        const struct mm_json_write_options *options,
                                        struct mm_buf *out);

struct mm_json_read_options {
    bool ignore_unknown; // skip unknown fields instead of refusing them
};

// Reads a JSON object into a new message: free with protobuf_c_message_free_unpacked(*out, NULL).
// Field names are accepted in lowerCamelCase and as in the .proto. 64-bit integers as strings or
// numbers, enums as names or numbers, null = default. Empty input (len 0) is an empty message.
// MM_INVALID_ARGUMENT: `problem` (may be NULL; size problem_bytes) says where and why, for
// example "unit.hex.q: not a 32-bit integer".
MM_MUST_USE enum mm_err mm_json_to_pb(const ProtobufCMessageDescriptor *descriptor,
                                      const char *text, size_t len,
                                      const struct mm_json_read_options *options,
                                      ProtobufCMessage **out, char *problem, size_t problem_bytes);

// proto field name -> JSON name ("move_orders" -> "moveOrders"); truncates to out_bytes.
void mm_json_field_name(const char *proto_name, char *out, size_t out_bytes);

#endif
