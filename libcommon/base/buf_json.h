#ifndef MM_BASE_BUF_JSON_H
#define MM_BASE_BUF_JSON_H

#include "libcommon/base/buf.h"

// JSON pieces appended to a buffer; braces, commas and keys are the caller's literals.

// A quoted string. Quotes, backslashes and control characters are escaped; U+2028 and U+2029 too,
// so that the text is also valid JavaScript. Bytes that are not UTF-8 become U+FFFD: the output is
// always valid.
void mm_buf_json_str(struct mm_buf *buf, const char *text, size_t len);
void mm_buf_json_cstr(struct mm_buf *buf, const char *text);

// `"key":` — key is a literal that needs no escaping.
void mm_buf_json_key(struct mm_buf *buf, const char *key);

static inline void mm_buf_json_u64(struct mm_buf *buf, uint64_t value)
{
    mm_buf_dec_u64(buf, value);
}

static inline void mm_buf_json_i64(struct mm_buf *buf, int64_t value)
{
    mm_buf_dec_i64(buf, value);
}

// Shortest text that reads back as the same double; NaN and infinities become null.
void mm_buf_json_double(struct mm_buf *buf, double value);
void mm_buf_json_bool(struct mm_buf *buf, bool value);

#endif
