#ifndef MM_BASE_VARINT_H
#define MM_BASE_VARINT_H

#include <stddef.h>
#include <stdint.h>

// Base-128 varints and zigzag as in protobuf (https://protobuf.dev/programming-guides/encoding/).
enum { MM_VARINT_BYTES_MAX = 10 };

static inline uint64_t mm_zigzag_encode(int64_t value)
{
    return ((uint64_t)value << 1) ^ (value < 0 ? UINT64_MAX : 0);
}

static inline int64_t mm_zigzag_decode(uint64_t value)
{
    return (int64_t)((value >> 1) ^ (~(value & 1) + 1));
}

// Returns the number of bytes written (1..10).
size_t mm_varint_write(uint8_t out[MM_VARINT_BYTES_MAX], uint64_t value);
// Returns the number of bytes read, or 0 if the input ends early or is longer than a uint64.
size_t mm_varint_read(const uint8_t *data, size_t len, uint64_t *value_out);

#endif
