#ifndef MM_IO_JSON_PB_INTERNAL_H
#define MM_IO_JSON_PB_INTERNAL_H

#include "libcommon/io/json_pb.h"

// For json_pb_write.c and json_pb_read.c only.

// Whether the field is a map: to protobuf-c it is a repeated message, which protoc named after it.
bool mm_json_is_map(const ProtobufCMessageDescriptor *message,
                    const ProtobufCFieldDescriptor *field);

// Bytes of one value of the type in a message's C struct.
size_t mm_json_value_size(ProtobufCType type);

#endif
