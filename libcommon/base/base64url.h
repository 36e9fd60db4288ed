#ifndef MM_BASE_BASE64URL_H
#define MM_BASE_BASE64URL_H

#include "libcommon/base/err.h"

#include <stddef.h>
#include <stdint.h>

// Base64 with the URL-safe alphabet and without padding (RFC 4648, section 5; RFC 7515, section 2).

// Characters that len bytes become.
static inline size_t mm_base64url_chars(size_t len)
{
    return len / 3 * 4 + (len % 3 == 0 ? 0 : len % 3 + 1);
}

// Writes mm_base64url_chars(len) characters and a NUL; returns the characters.
size_t mm_base64url_encode(const void *data, size_t len, char *out);

// Canonical text only: no padding, no other characters, unused bits zero; so every byte string has
// exactly one text. MM_INVALID_ARGUMENT otherwise, MM_OUT_OF_RANGE if out_bytes are not enough.
enum mm_err mm_base64url_decode(const char *text, size_t text_len, uint8_t *out, size_t out_bytes,
                                size_t *len_out) MM_MUST_USE;

#endif
