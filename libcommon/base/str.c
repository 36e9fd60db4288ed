#include "libcommon/base/str.h"

#include "libcommon/base/check.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

bool mm_str_copy_n(char *dst, size_t dst_bytes, const char *src, size_t len)
{
    MM_CHECK(dst_bytes > 0);
    bool fits = len < dst_bytes;
    size_t copied = fits ? len : dst_bytes - 1;
    if (copied > 0)
        memcpy(dst, src, copied);
    dst[copied] = '\0';
    return fits;
}

bool mm_str_copy(char *dst, size_t dst_bytes, const char *src)
{
    return mm_str_copy_n(dst, dst_bytes, src, strlen(src));
}

bool mm_str_equal(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

bool mm_str_starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool mm_str_equal_secret(const void *a, size_t a_len, const void *b, size_t b_len)
{
    if (a_len != b_len)
        return false;
    const volatile uint8_t *x = a, *y = b;
    uint8_t difference = 0;
    for (size_t i = 0; i < a_len; i++)
        difference = (uint8_t)(difference | (x[i] ^ y[i]));
    return difference == 0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

// Digits only, no superfluous leading zero. MM_OUT_OF_RANGE if they exceed uint64.
static enum mm_err parse_digits(const char *text, size_t len, uint64_t *out)
{
    if (len == 0 || (len > 1 && text[0] == '0'))
        return MM_INVALID_ARGUMENT;
    for (size_t i = 0; i < len; i++)
        if (!is_digit(text[i]))
            return MM_INVALID_ARGUMENT;
    uint64_t value = 0;
    for (size_t i = 0; i < len; i++) {
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(text[i] - '0'), &value))
            return MM_OUT_OF_RANGE;
    }
    *out = value;
    return MM_OK;
}

enum mm_err mm_str_parse_u64(const char *text, size_t len, uint64_t min, uint64_t max,
                             uint64_t *out)
{
    uint64_t value;
    enum mm_err err = parse_digits(text, len, &value);
    if (err != MM_OK)
        return err;
    if (value < min || value > max)
        return MM_OUT_OF_RANGE;
    *out = value;
    return MM_OK;
}

enum mm_err mm_str_parse_i64(const char *text, size_t len, int64_t min, int64_t max, int64_t *out)
{
    bool negative = len > 0 && text[0] == '-';
    uint64_t magnitude;
    enum mm_err err = parse_digits(text + negative, len - negative, &magnitude);
    if (err != MM_OK)
        return err;
    if (negative && magnitude == 0)
        return MM_INVALID_ARGUMENT;
    if (magnitude > (uint64_t)INT64_MAX + negative)
        return MM_OUT_OF_RANGE;
    int64_t value = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    if (value < min || value > max)
        return MM_OUT_OF_RANGE;
    *out = value;
    return MM_OK;
}

// RFC 8259 section 6: number = [ minus ] int [ frac ] [ exp ].
static bool is_json_number(const char *text, size_t len)
{
    size_t i = 0;
    if (i < len && text[i] == '-')
        i++;
    if (i == len || !is_digit(text[i]))
        return false;
    if (text[i] == '0')
        i++;
    else
        while (i < len && is_digit(text[i]))
            i++;
    if (i < len && text[i] == '.') {
        if (++i == len || !is_digit(text[i]))
            return false;
        while (i < len && is_digit(text[i]))
            i++;
    }
    if (i < len && (text[i] == 'e' || text[i] == 'E')) {
        i++;
        if (i < len && (text[i] == '+' || text[i] == '-'))
            i++;
        if (i == len || !is_digit(text[i]))
            return false;
        while (i < len && is_digit(text[i]))
            i++;
    }
    return i == len;
}

enum mm_err mm_str_parse_double(const char *text, size_t len, double min, double max, double *out)
{
    char copy[128];
    if (!is_json_number(text, len))
        return MM_INVALID_ARGUMENT;
    if (len >= sizeof copy)
        return MM_OUT_OF_RANGE;
    memcpy(copy, text, len);
    copy[len] = '\0';
    // Programs here never call setlocale(), so strtod's decimal point is a point.
    double value = strtod(copy, NULL);
    if (!isfinite(value) || value < min || value > max)
        return MM_OUT_OF_RANGE;
    *out = value;
    return MM_OK;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

void mm_str_trim(const char **text, size_t *len)
{
    while (*len > 0 && is_space((*text)[0])) {
        ++*text;
        --*len;
    }
    while (*len > 0 && is_space((*text)[*len - 1]))
        --*len;
}

// The table of well-formed sequences: Unicode 15, table 3-7.
size_t mm_utf8_sequence(const uint8_t *data, size_t len)
{
    uint8_t lead = data[0];
    if (lead < 0x80)
        return 1;
    size_t bytes = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (lead < 0xc2 || lead > 0xf4 || len < bytes)
        return 0;
    uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (data[1] < low || data[1] > high)
        return 0;
    for (size_t i = 2; i < bytes; i++)
        if ((data[i] & 0xc0) != 0x80)
            return 0;
    return bytes;
}

size_t mm_utf8_count(const void *data, size_t len)
{
    const uint8_t *bytes = data;
    size_t count = 0;
    for (size_t i = 0; i < len; count++) {
        size_t sequence = mm_utf8_sequence(bytes + i, len - i);
        if (sequence == 0)
            return SIZE_MAX;
        i += sequence;
    }
    return count;
}

bool mm_utf8_valid(const void *data, size_t len)
{
    return mm_utf8_count(data, len) != SIZE_MAX;
}

void mm_hex_encode(const void *data, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *bytes = data;
    for (size_t i = 0; i < len; i++) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    *out = '\0';
}

static int hex_value(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

enum mm_err mm_hex_decode(const char *text, size_t text_len, uint8_t *out, size_t out_bytes)
{
    if (text_len % 2 != 0 || text_len / 2 != out_bytes)
        return MM_INVALID_ARGUMENT;
    for (size_t i = 0; i < out_bytes; i++) {
        int high = hex_value(text[2 * i]), low = hex_value(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return MM_INVALID_ARGUMENT;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return MM_OK;
}
