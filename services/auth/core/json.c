#include "services/auth/core/json.h"

#include "libcommon/base/str.h"

#include <string.h>

struct scanner {
    const char *at, *end;
    char key[AUTH_JSON_STRING_BYTES_MAX + 1];
    char string[AUTH_JSON_STRING_BYTES_MAX + 1];
};

static void skip_space(struct scanner *scanner)
{
    while (scanner->at < scanner->end && (*scanner->at == ' ' || *scanner->at == '\t' ||
                                          *scanner->at == '\n' || *scanner->at == '\r')) {
        scanner->at++;
    }
}

// The next character after white space, or 0 at the end.
static char peek(struct scanner *scanner)
{
    skip_space(scanner);
    return scanner->at < scanner->end ? *scanner->at : '\0';
}

static bool take(struct scanner *scanner, char c)
{
    if (scanner->at < scanner->end && peek(scanner) == c) {
        scanner->at++;
        return true;
    }
    return false;
}

// --- strings -------------------------------------------------------------------------------------

static bool scan_hex4(struct scanner *scanner, uint32_t *out)
{
    if (scanner->end - scanner->at < 4) {
        return false;
    }
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        char c = *scanner->at++;
        uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                         : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a') + 10
                         : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A') + 10
                                                : 16;
        if (digit == 16) {
            return false;
        }
        value = value << 4 | digit;
    }
    *out = value;
    return true;
}

// Behind "\u": the code point, of a surrogate pair both halves.
static bool scan_code_point(struct scanner *scanner, uint32_t *out)
{
    uint32_t high;
    if (!scan_hex4(scanner, &high)) {
        return false;
    }
    if (high < 0xd800 || high > 0xdfff) {
        *out = high;
        return true;
    }
    uint32_t low;
    if (high > 0xdbff || scanner->end - scanner->at < 6 || scanner->at[0] != '\\' ||
        scanner->at[1] != 'u') {
        return false;
    }
    scanner->at += 2;
    if (!scan_hex4(scanner, &low) || low < 0xdc00 || low > 0xdfff) {
        return false;
    }
    *out = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    return true;
}

static size_t encode_utf8(uint32_t point, char out[4])
{
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    if (point < 0x800) {
        out[0] = (char)(0xc0 | point >> 6);
        out[1] = (char)(0x80 | (point & 63));
        return 2;
    }
    if (point < 0x10000) {
        out[0] = (char)(0xe0 | point >> 12);
        out[1] = (char)(0x80 | (point >> 6 & 63));
        out[2] = (char)(0x80 | (point & 63));
        return 3;
    }
    out[0] = (char)(0xf0 | point >> 18);
    out[1] = (char)(0x80 | (point >> 12 & 63));
    out[2] = (char)(0x80 | (point >> 6 & 63));
    out[3] = (char)(0x80 | (point & 63));
    return 4;
}

// One character of a string, behind its backslash; returns its bytes in `out`, 0 on an error.
static size_t scan_escape(struct scanner *scanner, char out[4])
{
    static const char names[] = "\"\\/bfnrt";
    static const char values[] = "\"\\/\b\f\n\r\t";
    if (scanner->at == scanner->end) {
        return 0;
    }
    char c = *scanner->at++;
    if (c == 'u') {
        uint32_t point;
        return scan_code_point(scanner, &point) ? encode_utf8(point, out) : 0;
    }
    const char *name = c == '\0' ? NULL : strchr(names, c);
    if (name == NULL) {
        return 0;
    }
    out[0] = values[name - names];
    return 1;
}

// Decodes a string into `out` (AUTH_JSON_STRING_BYTES_MAX and a NUL).
static bool scan_string(struct scanner *scanner, char *out, size_t *bytes_out)
{
    if (!take(scanner, '"')) {
        return false;
    }
    size_t bytes = 0;
    while (scanner->at < scanner->end && *scanner->at != '"') {
        char piece[4];
        size_t piece_bytes = 1;
        piece[0] = *scanner->at++;
        if ((unsigned char)piece[0] < 0x20) {
            return false;
        }
        if (piece[0] == '\\') {
            piece_bytes = scan_escape(scanner, piece);
        }
        if (piece_bytes == 0 || bytes + piece_bytes > AUTH_JSON_STRING_BYTES_MAX) {
            return false;
        }
        memcpy(out + bytes, piece, piece_bytes);
        bytes += piece_bytes;
    }
    if (scanner->at == scanner->end) {
        return false;
    }
    scanner->at++;
    out[bytes] = '\0';
    *bytes_out = bytes;
    return mm_utf8_valid(out, bytes);
}

// --- numbers and words ---------------------------------------------------------------------------

static size_t scan_digits(struct scanner *scanner)
{
    const char *start = scanner->at;
    while (scanner->at < scanner->end && *scanner->at >= '0' && *scanner->at <= '9') {
        scanner->at++;
    }
    return (size_t)(scanner->at - start);
}

static bool scan_number(struct scanner *scanner, struct auth_json_value *out)
{
    const char *start = scanner->at;
    if (*scanner->at == '-') {
        scanner->at++;
    }
    const char *digits = scanner->at;
    size_t digit_count = scan_digits(scanner);
    if (digit_count == 0 || (digit_count > 1 && *digits == '0')) {
        return false;
    }
    bool whole = true;
    if (scanner->at < scanner->end && *scanner->at == '.') {
        scanner->at++;
        whole = false;
        if (scan_digits(scanner) == 0) {
            return false;
        }
    }
    if (scanner->at < scanner->end && (*scanner->at == 'e' || *scanner->at == 'E')) {
        scanner->at++;
        whole = false;
        if (scanner->at < scanner->end && (*scanner->at == '+' || *scanner->at == '-')) {
            scanner->at++;
        }
        if (scan_digits(scanner) == 0) {
            return false;
        }
    }
    // -0 is no integer to mm_str_parse_i64, and none that a token has a use for.
    bool fits = whole && mm_str_parse_i64(start, (size_t)(scanner->at - start), INT64_MIN,
                                          INT64_MAX, &out->integer) == MM_OK;
    out->type = fits ? AUTH_JSON_INTEGER : AUTH_JSON_OTHER_NUMBER;
    return true;
}

static bool scan_word(struct scanner *scanner, struct auth_json_value *out)
{
    static const struct {
        const char *word;
        enum auth_json_type type;
    } words[] = {{"true", AUTH_JSON_TRUE}, {"false", AUTH_JSON_FALSE}, {"null", AUTH_JSON_NULL}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        size_t chars = strlen(words[i].word);
        if ((size_t)(scanner->end - scanner->at) >= chars &&
            memcmp(scanner->at, words[i].word, chars) == 0) {
            scanner->at += chars;
            out->type = words[i].type;
            return true;
        }
    }
    return false;
}

static bool scan_scalar(struct scanner *scanner, struct auth_json_value *out)
{
    char c = peek(scanner);
    if (c == '"') {
        out->type = AUTH_JSON_STRING;
        out->text = scanner->string;
        return scan_string(scanner, scanner->string, &out->text_bytes);
    }
    if (c == '-' || (c >= '0' && c <= '9')) {
        return scan_number(scanner, out);
    }
    return scan_word(scanner, out);
}

// --- nesting -------------------------------------------------------------------------------------

// In an object: a member's key and colon. In an array: nothing.
static bool scan_inner_key(struct scanner *scanner, char closer)
{
    size_t bytes;
    return closer == ']' || (scan_string(scanner, scanner->string, &bytes) && take(scanner, ':'));
}

// Skips an array or object. An explicit stack of closing brackets stands for the nesting.
static bool skip_compound(struct scanner *scanner)
{
    char closers[AUTH_JSON_DEPTH_MAX];
    size_t depth = 0;
    bool want_value = true; // else a comma or the closing bracket
    do {
        char c = peek(scanner);
        if (want_value && (c == '{' || c == '[')) {
            if (depth == AUTH_JSON_DEPTH_MAX) {
                return false;
            }
            scanner->at++;
            closers[depth++] = c == '{' ? '}' : ']';
            if (take(scanner, closers[depth - 1])) {
                depth--;
                want_value = false;
            } else if (!scan_inner_key(scanner, closers[depth - 1])) {
                return false;
            }
        } else if (want_value) {
            struct auth_json_value ignored;
            if (!scan_scalar(scanner, &ignored)) {
                return false;
            }
            want_value = false;
        } else if (take(scanner, closers[depth - 1])) {
            depth--;
        } else if (take(scanner, ',') && scan_inner_key(scanner, closers[depth - 1])) {
            want_value = true;
        } else {
            return false;
        }
    } while (depth > 0);
    return true;
}

static bool scan_member(struct scanner *scanner, auth_json_member_fn fn, void *ctx)
{
    size_t key_bytes;
    if (!scan_string(scanner, scanner->key, &key_bytes) || !take(scanner, ':')) {
        return false;
    }
    struct auth_json_value value = {.type = AUTH_JSON_COMPOUND, .text = ""};
    char c = peek(scanner);
    bool good = c == '{' || c == '[' ? skip_compound(scanner) : scan_scalar(scanner, &value);
    return good && fn(ctx, scanner->key, key_bytes, &value);
}

bool auth_json_scan(const char *text, size_t text_bytes, auth_json_member_fn fn, void *ctx)
{
    struct scanner scanner = {.at = text, .end = text + text_bytes};
    if (!take(&scanner, '{')) {
        return false;
    }
    if (!take(&scanner, '}')) {
        int members = 0;
        do {
            if (++members > AUTH_JSON_MEMBERS_MAX || !scan_member(&scanner, fn, ctx)) {
                return false;
            }
        } while (take(&scanner, ','));
        if (!take(&scanner, '}')) {
            return false;
        }
    }
    skip_space(&scanner);
    return scanner.at == scanner.end;
}
