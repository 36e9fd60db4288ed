#include "libcommon/base/base64url.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

size_t mm_base64url_encode(const void *data, size_t len, char *out)
{
    const uint8_t *in = data;
    char *at = out;
    uint32_t bits = 0;
    unsigned bit_count = 0;
    for (size_t i = 0; i < len; i++) {
        bits = bits << 8 | in[i];
        bit_count += 8;
        while (bit_count >= 6) {
            bit_count -= 6;
            *at++ = alphabet[bits >> bit_count & 63];
        }
    }
    if (bit_count > 0) {
        *at++ = alphabet[bits << (6 - bit_count) & 63];
    }
    *at = '\0';
    return (size_t)(at - out);
}

// The character's value, or -1.
static int digit_value(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

enum mm_err mm_base64url_decode(const char *text, size_t text_len, uint8_t *out, size_t out_bytes,
                                size_t *len_out)
{
    if (text_len % 4 == 1) {
        return MM_INVALID_ARGUMENT;
    }
    size_t len = text_len / 4 * 3 + (text_len % 4 == 0 ? 0 : text_len % 4 - 1);
    if (len > out_bytes) {
        return MM_OUT_OF_RANGE;
    }
    uint32_t bits = 0;
    unsigned bit_count = 0;
    size_t at = 0;
    for (size_t i = 0; i < text_len; i++) {
        int value = digit_value(text[i]);
        if (value < 0) {
            return MM_INVALID_ARGUMENT;
        }
        bits = bits << 6 | (uint32_t)value;
        bit_count += 6;
        if (bit_count >= 8) {
            bit_count -= 8;
            out[at++] = (uint8_t)(bits >> bit_count);
        }
    }
    if ((bits & ((1u << bit_count) - 1)) != 0) {
        return MM_INVALID_ARGUMENT;
    }
    *len_out = len;
    return MM_OK;
}
