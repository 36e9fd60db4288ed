#ifndef MM_BASE_STR_H
#define MM_BASE_STR_H

#include "libcommon/base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Copies src with its NUL into dst of dst_bytes (> 0). False if it did not fit: dst then holds the
// part that did, terminated.
bool mm_str_copy(char *dst, size_t dst_bytes, const char *src);
bool mm_str_copy_n(char *dst, size_t dst_bytes, const char *src, size_t len);

bool mm_str_equal(const char *a, const char *b);
bool mm_str_starts_with(const char *text, const char *prefix);
// Compares without leaking by its duration where they differ. Lengths are not secret.
bool mm_str_equal_secret(const void *a, size_t a_len, const void *b, size_t b_len);

// Strict decimal parsing of the whole text: no spaces, no '+', no empty text, no "-0", no leading
// zeros beyond a single 0. MM_INVALID_ARGUMENT if it is not a number, MM_OUT_OF_RANGE if it is
// outside [min, max]; *out is then unchanged.
enum mm_err MM_MUST_USE mm_str_parse_i64(const char *text, size_t len, int64_t min, int64_t max,
                                         int64_t *out);
enum mm_err MM_MUST_USE mm_str_parse_u64(const char *text, size_t len, uint64_t min, uint64_t max,
                                         uint64_t *out);
// JSON number syntax (locale-independent); never NaN or infinite.
enum mm_err MM_MUST_USE mm_str_parse_double(const char *text, size_t len, double min, double max,
                                            double *out);

// Narrows [*text, *text + *len) by leading and trailing ASCII white space.
void mm_str_trim(const char **text, size_t *len);

// True if the bytes are well-formed UTF-8 (no overlong forms, no surrogates, at most U+10FFFF).
bool mm_utf8_valid(const void *data, size_t len);
// The number of code points, or SIZE_MAX if the bytes are not valid UTF-8.
size_t mm_utf8_count(const void *data, size_t len);
// Length of the well-formed sequence that starts at data (1..4), or 0 if none does. len > 0.
size_t mm_utf8_sequence(const uint8_t *data, size_t len);

// Lower-case hex with a NUL: out must hold 2 * len + 1 bytes.
void mm_hex_encode(const void *data, size_t len, char *out);
// Decodes exactly 2 * out_bytes digits of either case.
enum mm_err MM_MUST_USE mm_hex_decode(const char *text, size_t text_len, uint8_t *out,
                                      size_t out_bytes);

#endif
