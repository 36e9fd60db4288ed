#include "libcommon/base/buf.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/str.h"
#include "libcommon/base/varint.h"
#include <stdarg.h>
#include <stdio.h>

enum { CAPACITY_FIRST = 64 };

void mm_buf_init(struct mm_buf *buf, size_t bytes_max)
{
    *buf = (struct mm_buf){.bytes_max = bytes_max};
}

void mm_buf_free(struct mm_buf *buf)
{
    mm_free(buf->data);
    *buf = (struct mm_buf){.bytes_max = buf->bytes_max};
}

void mm_buf_reset(struct mm_buf *buf)
{
    buf->len = 0;
    buf->err = MM_OK;
}

void mm_buf_truncate(struct mm_buf *buf, size_t len)
{
    MM_CHECK(len <= buf->len);
    buf->len = len;
}

void mm_buf_consume(struct mm_buf *buf, size_t count)
{
    MM_CHECK(count <= buf->len);
    if (count > 0 && count < buf->len)
        memmove(buf->data, buf->data + count, buf->len - count);
    buf->len -= count;
}

bool mm_buf_reserve_slow(struct mm_buf *buf, size_t bytes)
{
    if (buf->err != MM_OK)
        return false;
    if (bytes <= buf->capacity - buf->len)
        return true;
    if (bytes > buf->bytes_max - buf->len) {
        buf->err = MM_RESOURCE_EXHAUSTED;
        return false;
    }
    size_t wanted = buf->len + bytes;
    size_t capacity = buf->capacity < CAPACITY_FIRST ? CAPACITY_FIRST : buf->capacity;
    while (capacity < wanted && capacity <= buf->bytes_max / 2)
        capacity *= 2;
    if (capacity < wanted || capacity > buf->bytes_max)
        capacity = buf->bytes_max;
    uint8_t *data = mm_realloc(buf->data, capacity);
    if (!data) {
        buf->err = MM_RESOURCE_EXHAUSTED;
        return false;
    }
    buf->data = data;
    buf->capacity = capacity;
    return true;
}

void mm_buf_printf(struct mm_buf *buf, const char *fmt, ...)
{
    if (buf->err != MM_OK)
        return;
    va_list args;
    va_start(args, fmt);
    va_list again;
    va_copy(again, args);
    size_t room = buf->capacity - buf->len;
    int wanted = vsnprintf(room > 0 ? (char *)buf->data + buf->len : NULL, room, fmt, args);
    va_end(args);
    if (wanted < 0) {
        buf->err = MM_INTERNAL;
    } else if ((size_t)wanted < room) {
        buf->len += (size_t)wanted;
    } else {
        // vsnprintf wants a byte for its NUL, which the limit must not count.
        char small[512];
        char *text = (size_t)wanted < sizeof small ? small : mm_malloc((size_t)wanted + 1);
        if (!text) {
            buf->err = MM_RESOURCE_EXHAUSTED;
        } else {
            vsnprintf(text, (size_t)wanted + 1, fmt, again);
            mm_buf_append(buf, text, (size_t)wanted);
            if (text != small)
                mm_free(text);
        }
    }
    va_end(again);
}

static const char digit_pairs[] = "00010203040506070809101112131415161718192021222324"
                                  "25262728293031323334353637383940414243444546474849"
                                  "50515253545556575859606162636465666768697071727374"
                                  "75767778798081828384858687888990919293949596979899";

void mm_buf_dec_u64(struct mm_buf *buf, uint64_t value)
{
    char text[20];
    size_t at = sizeof text;
    while (value >= 100) {
        at -= 2;
        memcpy(text + at, digit_pairs + value % 100 * 2, 2);
        value /= 100;
    }
    if (value >= 10) {
        at -= 2;
        memcpy(text + at, digit_pairs + value * 2, 2);
    } else {
        text[--at] = (char)('0' + value);
    }
    mm_buf_append(buf, text + at, sizeof text - at);
}

void mm_buf_dec_i64(struct mm_buf *buf, int64_t value)
{
    uint64_t magnitude = (uint64_t)value;
    if (value < 0) {
        // One reservation for sign and digits: a number is never appended by half.
        if (!mm_buf_reserve(buf, 1))
            return;
        size_t start = buf->len;
        buf->data[buf->len++] = '-';
        magnitude = 0 - magnitude;
        mm_buf_dec_u64(buf, magnitude);
        if (buf->err != MM_OK)
            buf->len = start;
        return;
    }
    mm_buf_dec_u64(buf, magnitude);
}

void mm_buf_hex(struct mm_buf *buf, const void *data, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    if (len > SIZE_MAX / 2) {
        buf->err = MM_RESOURCE_EXHAUSTED;
        return;
    }
    if (!mm_buf_reserve(buf, len * 2))
        return;
    const uint8_t *bytes = data;
    for (size_t i = 0; i < len; i++) {
        buf->data[buf->len++] = (uint8_t)digits[bytes[i] >> 4];
        buf->data[buf->len++] = (uint8_t)digits[bytes[i] & 15];
    }
}

static void little_endian(struct mm_buf *buf, uint64_t value, size_t bytes)
{
    if (!mm_buf_reserve(buf, bytes))
        return;
    for (size_t i = 0; i < bytes; i++)
        buf->data[buf->len++] = (uint8_t)(value >> (8 * i));
}

void mm_buf_u16le(struct mm_buf *buf, uint16_t value)
{
    little_endian(buf, value, 2);
}

void mm_buf_u32le(struct mm_buf *buf, uint32_t value)
{
    little_endian(buf, value, 4);
}

void mm_buf_u64le(struct mm_buf *buf, uint64_t value)
{
    little_endian(buf, value, 8);
}

void mm_buf_varint(struct mm_buf *buf, uint64_t value)
{
    uint8_t bytes[MM_VARINT_BYTES_MAX];
    mm_buf_append(buf, bytes, mm_varint_write(bytes, value));
}

void mm_buf_zigzag(struct mm_buf *buf, int64_t value)
{
    mm_buf_varint(buf, mm_zigzag_encode(value));
}

const char *mm_buf_cstr(struct mm_buf *buf)
{
    if (!mm_buf_reserve(buf, 1))
        return NULL;
    buf->data[buf->len] = '\0';
    return (const char *)buf->data;
}

uint8_t *mm_buf_detach(struct mm_buf *buf, size_t *len_out)
{
    uint8_t *data = buf->data;
    *len_out = buf->len;
    *buf = (struct mm_buf){.bytes_max = buf->bytes_max};
    return data;
}
