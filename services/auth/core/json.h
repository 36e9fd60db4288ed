#ifndef AUTH_CORE_JSON_H
#define AUTH_CORE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A strict scanner of one flat JSON object (RFC 8259), for token headers and claims: no allocation,
// no floating point, no recursion. Nested values are checked and skipped.

enum {
    AUTH_JSON_DEPTH_MAX = 16,
    AUTH_JSON_STRING_BYTES_MAX = 1024, // of one decoded string
    AUTH_JSON_MEMBERS_MAX = 64,
};

enum auth_json_type {
    AUTH_JSON_STRING,  // text, text_bytes: decoded, valid UTF-8, may hold zero bytes
    AUTH_JSON_INTEGER, // integer: written without fraction or exponent, fits 64 bits
    AUTH_JSON_OTHER_NUMBER,
    AUTH_JSON_TRUE,
    AUTH_JSON_FALSE,
    AUTH_JSON_NULL,
    AUTH_JSON_COMPOUND, // an array or object
};

struct auth_json_value {
    enum auth_json_type type;
    const char *text; // NUL behind it; valid during the call
    size_t text_bytes;
    int64_t integer;
};

// One member of the top object. False stops the scan.
typedef bool (*auth_json_member_fn)(void *ctx, const char *key, size_t key_bytes,
                                    const struct auth_json_value *value);

// Calls fn for every member in order. False if the text is not exactly one JSON object within the
// bounds above, or if fn said so. Members are told before the rest of the text was checked: what
// fn gathered counts only if the result is true.
bool auth_json_scan(const char *text, size_t text_bytes, auth_json_member_fn fn, void *ctx);

#endif
