// The text of scalars: ${} expansion, numbers, durations, and the guess at what a mistyped key was
// meant to be.

#include "libcommon/service/yaml_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXPANDED_BYTES_MAX = 64 << 10, NAME_CHARS_MAX = 128 };

static bool is_name_char(char c, bool first)
{
    return c == '_' || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (!first && c >= '0' && c <= '9');
}

struct expansion {
    char *text;
    size_t bytes;
    bool too_long;
};

static void put(struct expansion *out, const char *text, size_t bytes)
{
    if (bytes > EXPANDED_BYTES_MAX - out->bytes) {
        out->too_long = true;
        return;
    }
    memcpy(out->text + out->bytes, text, bytes);
    out->bytes += bytes;
}

// `at` stands behind "${". Puts the variable's value; returns what follows the closing brace, or
// NULL after reporting an error.
static const char *expand_variable(struct mm_yaml *doc, int line, const char *at, const char *end,
                                   struct expansion *out)
{
    const char *name = at;
    while (at < end && is_name_char(*at, at == name)) {
        at++;
    }
    size_t name_chars = (size_t)(at - name);
    const char *close = memchr(at, '}', (size_t)(end - at));
    bool has_default = close != NULL && close - at >= 2 && at[0] == ':' && at[1] == '-';
    if (close == NULL || name_chars == 0 || name_chars > NAME_CHARS_MAX ||
        (close != at && !has_default)) {
        mm_yaml_fail_at(doc, line, "malformed ${...}: expected ${NAME} or ${NAME:-default}");
        return NULL;
    }
    char variable[NAME_CHARS_MAX + 1];
    memcpy(variable, name, name_chars);
    variable[name_chars] = '\0';
    const char *value = getenv(variable);
    if (has_default && (value == NULL || value[0] == '\0')) {
        put(out, at + 2, (size_t)(close - at) - 2);
    } else if (value != NULL) {
        put(out, value, strlen(value));
    } else {
        mm_yaml_fail_at(doc, line, "environment variable %s is not set", variable);
        return NULL;
    }
    return close + 1;
}

const char *mm_yaml_expand(struct mm_yaml *doc, int line, const char *raw, size_t raw_bytes)
{
    if (memchr(raw, '$', raw_bytes) == NULL) {
        return mm_yaml_copy(doc, raw, raw_bytes);
    }
    struct expansion out = {.text = mm_yaml_alloc(doc, EXPANDED_BYTES_MAX + 1)};
    const char *at = raw;
    const char *end = raw + raw_bytes;
    while (at != NULL && at < end) {
        size_t left = (size_t)(end - at);
        if (left >= 3 && memcmp(at, "$${", 3) == 0) {
            put(&out, "${", 2);
            at += 3;
        } else if (left >= 2 && memcmp(at, "${", 2) == 0) {
            at = expand_variable(doc, line, at + 2, end, &out);
        } else {
            put(&out, at, 1);
            at++;
        }
    }
    if (at == NULL) {
        return NULL;
    }
    if (out.too_long) {
        mm_yaml_fail_at(doc, line, "longer than %d bytes after ${} was replaced",
                        EXPANDED_BYTES_MAX);
        return NULL;
    }
    out.text[out.bytes] = '\0';
    return out.text;
}

// --- scalars -------------------------------------------------------------------------------------

bool mm_yaml_scan_int(const char *text, int64_t *out)
{
    bool negative = text[0] == '-';
    const char *at = text + (negative ? 1 : 0);
    if (*at == '\0') {
        return false;
    }
    int64_t value = 0;
    for (; *at != '\0'; at++) {
        // Groups may be parted by an underscore: 1_000_000.
        if (*at == '_' && at > text && at[-1] >= '0' && at[-1] <= '9' && at[1] >= '0' &&
            at[1] <= '9') {
            continue;
        }
        if (*at < '0' || *at > '9') {
            return false;
        }
        int digit = *at - '0';
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, negative ? -digit : digit, &value)) {
            return false;
        }
    }
    *out = value;
    return true;
}

static const struct {
    const char *suffix;
    int64_t ms;
} duration_units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};

enum { DURATION_UNITS = sizeof duration_units / sizeof duration_units[0] };

bool mm_yaml_scan_duration_ms(const char *text, int64_t *out)
{
    if (strcmp(text, "0") == 0) {
        *out = 0;
        return true;
    }
    char number[24];
    size_t digits = strspn(text, "0123456789_");
    if (digits == 0 || digits >= sizeof number) {
        return false;
    }
    memcpy(number, text, digits);
    number[digits] = '\0';
    int64_t value;
    if (!mm_yaml_scan_int(number, &value)) {
        return false;
    }
    for (size_t i = 0; i < DURATION_UNITS; i++) {
        if (strcmp(text + digits, duration_units[i].suffix) == 0) {
            return !__builtin_mul_overflow(value, duration_units[i].ms, out);
        }
    }
    return false;
}

void mm_yaml_write_duration(int64_t ms, char *out, size_t out_bytes)
{
    for (size_t i = 0; i < DURATION_UNITS; i++) {
        if (ms % duration_units[i].ms == 0 && ms != 0) {
            snprintf(out, out_bytes, "%" PRId64 "%s", ms / duration_units[i].ms,
                     duration_units[i].suffix);
            return;
        }
    }
    snprintf(out, out_bytes, "0");
}

// --- suggestions ---------------------------------------------------------------------------------

enum { NEAREST_CHARS_MAX = 64 };

// Edit distance with neighbours swapped as one edit (optimal string alignment); both strings
// at most NEAREST_CHARS_MAX long.
static size_t edit_distance(const char *a, const char *b)
{
    size_t rows[3][NEAREST_CHARS_MAX + 1];
    size_t a_chars = strlen(a);
    size_t b_chars = strlen(b);
    for (size_t j = 0; j <= b_chars; j++) {
        rows[0][j] = j;
    }
    for (size_t i = 1; i <= a_chars; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i + 2) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b_chars; j++) {
            size_t best = above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            best = above[j] + 1 < best ? above[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                size_t swapped = rows[(i + 1) % 3][j - 2] + 1;
                best = swapped < best ? swapped : best;
            }
            row[j] = best;
        }
    }
    return rows[a_chars % 3][b_chars];
}

const char *mm_yaml_nearest(const char *name, const char *const *candidates, size_t count)
{
    if (strlen(name) > NEAREST_CHARS_MAX) {
        return NULL;
    }
    // A third of the letters may be wrong: more than that is another word.
    size_t nearest = strlen(name) / 3 + 2;
    const char *best = NULL;
    for (size_t i = 0; i < count; i++) {
        if (strlen(candidates[i]) > NEAREST_CHARS_MAX) {
            continue;
        }
        size_t distance = edit_distance(name, candidates[i]);
        if (distance < nearest) {
            nearest = distance;
            best = candidates[i];
        }
    }
    return best;
}
