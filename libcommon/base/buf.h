#ifndef MM_BASE_BUF_H
#define MM_BASE_BUF_H

#include "libcommon/base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

// A growable byte buffer with a maximum chosen when it is made. Errors stick: after the first
// failure nothing more is appended, so a writer checks once, at the end. Not thread-safe.
struct mm_buf {
    uint8_t *data;    // owned; NULL while nothing was appended
    size_t len;       // bytes in use
    size_t capacity;  // bytes allocated
    size_t bytes_max; // len never exceeds this
    enum mm_err err;  // MM_RESOURCE_EXHAUSTED once an append did not fit or memory ran out
};

// Allocates nothing yet.
void mm_buf_init(struct mm_buf *buf, size_t bytes_max);
// Releases the memory; the buffer may be initialised again.
void mm_buf_free(struct mm_buf *buf);
// Empties and clears the error; keeps the memory.
void mm_buf_reset(struct mm_buf *buf);
// Cuts to len, which must not exceed the present length.
void mm_buf_truncate(struct mm_buf *buf, size_t len);
// Removes the first `count` bytes (count <= len), moving the rest down.
void mm_buf_consume(struct mm_buf *buf, size_t count);

// Makes room for `bytes` more: false (and the sticky error) if that is not allowed.
bool mm_buf_reserve_slow(struct mm_buf *buf, size_t bytes);
static inline bool mm_buf_reserve(struct mm_buf *buf, size_t bytes)
{
    if (buf->err == MM_OK && bytes <= buf->capacity - buf->len)
        return true;
    return mm_buf_reserve_slow(buf, bytes);
}

static inline void mm_buf_append(struct mm_buf *buf, const void *data, size_t len)
{
    if (len > 0 && mm_buf_reserve(buf, len)) {
        memcpy(buf->data + buf->len, data, len);
        buf->len += len;
    }
}

static inline void mm_buf_byte(struct mm_buf *buf, uint8_t byte)
{
    if (mm_buf_reserve(buf, 1))
        buf->data[buf->len++] = byte;
}

static inline void mm_buf_str(struct mm_buf *buf, const char *text)
{
    mm_buf_append(buf, text, strlen(text));
}

// Appends a string literal without counting it at run time.
#define MM_BUF_LIT(buf, literal) mm_buf_append((buf), "" literal, sizeof(literal) - 1)

void mm_buf_printf(struct mm_buf *buf, const char *fmt, ...) MM_PRINTF(2, 3);

// Decimal text.
void mm_buf_dec_u64(struct mm_buf *buf, uint64_t value);
void mm_buf_dec_i64(struct mm_buf *buf, int64_t value);
// Lower-case hexadecimal of bytes.
void mm_buf_hex(struct mm_buf *buf, const void *data, size_t len);

// Little-endian binary.
void mm_buf_u16le(struct mm_buf *buf, uint16_t value);
void mm_buf_u32le(struct mm_buf *buf, uint32_t value);
void mm_buf_u64le(struct mm_buf *buf, uint64_t value);
// Protobuf varint, and its zigzag form for signed values (libcommon/base/varint.h).
void mm_buf_varint(struct mm_buf *buf, uint64_t value);
void mm_buf_zigzag(struct mm_buf *buf, int64_t value);

// The content as a C string (a NUL is written behind it, not counted in len); NULL if the buffer
// has failed or cannot grow by one byte.
const char *mm_buf_cstr(struct mm_buf *buf);

// Hands the memory over to the caller (release with mm_free) and empties the buffer.
uint8_t *mm_buf_detach(struct mm_buf *buf, size_t *len_out);

#endif
