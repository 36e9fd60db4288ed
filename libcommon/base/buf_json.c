#include "libcommon/base/buf_json.h"

#include "libcommon/base/str.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

// What a byte needs inside a JSON string: 0 nothing, 'u' a \u00XX escape, 'm' a look at the whole
// multi-byte sequence, else the character behind the backslash.
static const char escape_of[256] = {
    ['"'] = '"',  ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r',
    ['\t'] = 't', [0] = 'u',     [1] = 'u',    [2] = 'u',    [3] = 'u',    [4] = 'u',
    [5] = 'u',    [6] = 'u',     [7] = 'u',    [11] = 'u',   [14] = 'u',   [15] = 'u',
    [16] = 'u',   [17] = 'u',    [18] = 'u',   [19] = 'u',   [20] = 'u',   [21] = 'u',
    [22] = 'u',   [23] = 'u',    [24] = 'u',   [25] = 'u',   [26] = 'u',   [27] = 'u',
    [28] = 'u',   [29] = 'u',    [30] = 'u',   [31] = 'u',   [127] = 'u',  [128 ... 255] = 'm',
};

// Appends one byte's or sequence's escaped form; returns the input bytes used.
static size_t append_escaped(struct mm_buf *buf, const uint8_t *at, size_t left)
{
    char kind = escape_of[*at];
    if (kind == 'm') {
        size_t sequence = mm_utf8_sequence(at, left);
        if (sequence == 0) {
            MM_BUF_LIT(buf, "\xef\xbf\xbd");
            return 1;
        }
        if (sequence == 3 && at[0] == 0xe2 && at[1] == 0x80 && (at[2] == 0xa8 || at[2] == 0xa9))
            mm_buf_append(buf, at[2] == 0xa8 ? "\\u2028" : "\\u2029", 6);
        else
            mm_buf_append(buf, at, sequence);
        return sequence;
    }
    if (kind == 'u') {
        MM_BUF_LIT(buf, "\\u00");
        mm_buf_hex(buf, at, 1);
    } else {
        const char escape[2] = {'\\', kind};
        mm_buf_append(buf, escape, 2);
    }
    return 1;
}

void mm_buf_json_str(struct mm_buf *buf, const char *text, size_t len)
{
    const uint8_t *bytes = (const uint8_t *)text;
    mm_buf_byte(buf, '"');
    for (size_t i = 0; i < len && buf->err == MM_OK;) {
        size_t plain = i;
        while (plain < len && escape_of[bytes[plain]] == 0)
            plain++;
        mm_buf_append(buf, bytes + i, plain - i);
        i = plain;
        if (i < len)
            i += append_escaped(buf, bytes + i, len - i);
    }
    mm_buf_byte(buf, '"');
}

void mm_buf_json_cstr(struct mm_buf *buf, const char *text)
{
    mm_buf_json_str(buf, text, strlen(text));
}

void mm_buf_json_key(struct mm_buf *buf, const char *key)
{
    size_t len = strlen(key);
    if (!mm_buf_reserve(buf, len + 3))
        return;
    uint8_t *at = buf->data + buf->len;
    at[0] = '"';
    memcpy(at + 1, key, len);
    at[len + 1] = '"';
    at[len + 2] = ':';
    buf->len += len + 3;
}

void mm_buf_json_double(struct mm_buf *buf, double value)
{
    if (!isfinite(value)) {
        MM_BUF_LIT(buf, "null");
        return;
    }
    char text[40];
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(text, sizeof text, "%.*g", precision, value);
        if (strtod(text, NULL) == value)
            break;
    }
    // A locale may have put a comma.
    for (char *at = text; *at; at++)
        if (*at == ',')
            *at = '.';
    mm_buf_str(buf, text);
}

void mm_buf_json_bool(struct mm_buf *buf, bool value)
{
    if (value)
        MM_BUF_LIT(buf, "true");
    else
        MM_BUF_LIT(buf, "false");
}
