// Typed access to the nodes of a YAML document. See yaml.h.

#include "libcommon/service/yaml_internal.h"

#include "libcommon/base/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { SHOWN_CHARS_MAX = 40 };

const char *mm_yaml_describe(struct mm_yaml_node *node)
{
    if (node->kind == MM_YAML_LIST) {
        return "a list";
    }
    if (node->kind == MM_YAML_MAP) {
        return "a map";
    }
    if (node->empty) {
        return "nothing";
    }
    bool is_long = strlen(node->text) > SHOWN_CHARS_MAX;
    return mm_yaml_text(node->doc, "%s\"%.*s%s\"", node->quoted ? "the text " : "", SHOWN_CHARS_MAX,
                        node->text, is_long ? "..." : "");
}

// --- shape ---------------------------------------------------------------------------------------

enum mm_yaml_kind mm_yaml_kind(const struct mm_yaml_node *node)
{
    return node == NULL ? MM_YAML_MAP : node->kind;
}

int mm_yaml_line(const struct mm_yaml_node *node)
{
    return node == NULL ? 0 : node->line;
}

size_t mm_yaml_count(const struct mm_yaml_node *node)
{
    return node == NULL ? 0 : node->count;
}

struct mm_yaml_node *mm_yaml_at(struct mm_yaml_node *node, size_t index)
{
    if (node == NULL || index >= node->count) {
        return NULL;
    }
    if (node->kind == MM_YAML_LIST) {
        return node->items[index];
    }
    node->pairs[index].asked = true;
    return node->pairs[index].value;
}

const char *mm_yaml_key_at(const struct mm_yaml_node *map, size_t index)
{
    return map != NULL && map->kind == MM_YAML_MAP && index < map->count ? map->pairs[index].key
                                                                         : NULL;
}

static void remember_known(struct mm_yaml_node *map, const char *key)
{
    for (size_t i = 0; i < map->known_count; i++) {
        if (strcmp(map->known[i], key) == 0) {
            return;
        }
    }
    map->known =
        mm_yaml_grow(map->doc, map->known, map->known_count, &map->known_room, sizeof *map->known);
    map->known[map->known_count++] = mm_yaml_copy(map->doc, key, strlen(key));
}

struct mm_yaml_node *mm_yaml_find(struct mm_yaml_node *map, const char *key)
{
    if (map == NULL || map->kind != MM_YAML_MAP) {
        return NULL;
    }
    remember_known(map, key);
    for (size_t i = 0; i < map->count; i++) {
        if (strcmp(map->pairs[i].key, key) == 0) {
            map->pairs[i].asked = true;
            return map->pairs[i].value;
        }
    }
    return NULL;
}

void mm_yaml_end(struct mm_yaml_node *map)
{
    if (map == NULL) {
        return;
    }
    if (map->kind != MM_YAML_MAP) {
        mm_yaml_fail(map, "%s: expected a map, found %s", map->name, mm_yaml_describe(map));
        return;
    }
    for (size_t i = 0; i < map->count; i++) {
        const struct mm_yaml_pair *pair = &map->pairs[i];
        if (pair->asked) {
            continue;
        }
        const char *near = mm_yaml_nearest(pair->key, map->known, map->known_count);
        if (near != NULL) {
            mm_yaml_fail(pair->value, "unknown key \"%s\"; did you mean \"%s\"?", pair->value->name,
                         near);
        } else {
            mm_yaml_fail(pair->value, "unknown key \"%s\"", pair->value->name);
        }
    }
}

// --- scalars -------------------------------------------------------------------------------------

bool mm_yaml_as_string(struct mm_yaml_node *node, const char **out)
{
    if (node->refused) {
        return false;
    }
    if (node->kind != MM_YAML_SCALAR || node->empty) {
        mm_yaml_fail(node, "%s: expected a text, found %s", node->name, mm_yaml_describe(node));
        return false;
    }
    *out = node->text;
    return true;
}

bool mm_yaml_as_int(struct mm_yaml_node *node, int64_t min, int64_t max, int64_t *out)
{
    if (node->refused) {
        return false;
    }
    int64_t value;
    if (node->kind != MM_YAML_SCALAR || node->quoted || !mm_yaml_scan_int(node->text, &value)) {
        mm_yaml_fail(node, "%s: expected a whole number from %" PRId64 " to %" PRId64 ", found %s",
                     node->name, min, max, mm_yaml_describe(node));
        return false;
    }
    if (value < min || value > max) {
        mm_yaml_fail(node, "%s: %" PRId64 " is out of range, expected %" PRId64 " to %" PRId64,
                     node->name, value, min, max);
        return false;
    }
    *out = value;
    return true;
}

bool mm_yaml_as_bool(struct mm_yaml_node *node, bool *out)
{
    if (node->refused) {
        return false;
    }
    bool plain = node->kind == MM_YAML_SCALAR && !node->quoted;
    if (plain && strcmp(node->text, "true") == 0) {
        *out = true;
    } else if (plain && strcmp(node->text, "false") == 0) {
        *out = false;
    } else {
        mm_yaml_fail(node, "%s: expected true or false, found %s", node->name,
                     mm_yaml_describe(node));
        return false;
    }
    return true;
}

bool mm_yaml_as_duration_ms(struct mm_yaml_node *node, int64_t min_ms, int64_t max_ms,
                            int64_t *out_ms)
{
    if (node->refused) {
        return false;
    }
    int64_t value;
    if (node->kind != MM_YAML_SCALAR || node->quoted ||
        !mm_yaml_scan_duration_ms(node->text, &value)) {
        mm_yaml_fail(node, "%s: expected a duration such as 250ms, 10s, 5m, 2h or 7d, found %s",
                     node->name, mm_yaml_describe(node));
        return false;
    }
    if (value < min_ms || value > max_ms) {
        char min_text[32];
        char max_text[32];
        mm_yaml_write_duration(min_ms, min_text, sizeof min_text);
        mm_yaml_write_duration(max_ms, max_text, sizeof max_text);
        mm_yaml_fail(node, "%s: %s is out of range, expected %s to %s", node->name, node->text,
                     min_text, max_text);
        return false;
    }
    *out_ms = value;
    return true;
}

// Digits of "12.75" as 12750 for scale 1000. False if it is not such a number, or has a digit
// below the scale, or does not fit.
static bool scan_fixed(const char *text, int64_t scale, int64_t *out)
{
    const char *point = strchr(text, '.');
    char whole[24];
    size_t whole_chars = point == NULL ? strlen(text) : (size_t)(point - text);
    if (whole_chars >= sizeof whole) {
        return false;
    }
    memcpy(whole, text, whole_chars);
    whole[whole_chars] = '\0';
    int64_t value;
    if (!mm_yaml_scan_int(whole, &value) || __builtin_mul_overflow(value, scale, &value)) {
        return false;
    }
    if (point == NULL) {
        *out = value;
        return true;
    }
    const char *digit = point + 1;
    if (*digit == '\0') {
        return false;
    }
    bool negative = text[0] == '-';
    for (int64_t weight = scale / 10; *digit != '\0'; digit++, weight /= 10) {
        if (*digit < '0' || *digit > '9' || (weight == 0 && *digit != '0')) {
            return false;
        }
        int64_t part = (*digit - '0') * weight;
        if (__builtin_add_overflow(value, negative ? -part : part, &value)) {
            return false;
        }
    }
    *out = value;
    return true;
}

static void write_fixed(int64_t value, int64_t scale, char *out, size_t out_bytes)
{
    int digits = 0;
    for (int64_t s = scale; s > 1; s /= 10) {
        digits++;
    }
    uint64_t size = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    uint64_t unit = (uint64_t)scale;
    int chars = snprintf(out, out_bytes, "%s%" PRIu64 ".%0*" PRIu64, value < 0 ? "-" : "",
                         size / unit, digits, size % unit);
    // 1.500 reads better as 1.5, and 2.000 as 2.
    while (chars > 0 && chars < (int)out_bytes && out[chars - 1] == '0' && digits-- > 0) {
        out[--chars] = '\0';
    }
    if (chars > 0 && chars < (int)out_bytes && out[chars - 1] == '.') {
        out[chars - 1] = '\0';
    }
}

bool mm_yaml_as_fixed(struct mm_yaml_node *node, int64_t scale, int64_t min, int64_t max,
                      int64_t *out)
{
    MM_CHECK(scale >= 1);
    if (node->refused) {
        return false;
    }
    char min_text[40];
    char max_text[40];
    write_fixed(min, scale, min_text, sizeof min_text);
    write_fixed(max, scale, max_text, sizeof max_text);
    int64_t value;
    if (node->kind != MM_YAML_SCALAR || node->quoted || !scan_fixed(node->text, scale, &value)) {
        mm_yaml_fail(node,
                     "%s: expected a number from %s to %s in steps of 1/%" PRId64 ", found %s",
                     node->name, min_text, max_text, scale, mm_yaml_describe(node));
        return false;
    }
    if (value < min || value > max) {
        mm_yaml_fail(node, "%s: %s is out of range, expected %s to %s", node->name, node->text,
                     min_text, max_text);
        return false;
    }
    *out = value;
    return true;
}

// --- by key --------------------------------------------------------------------------------------

static void fail_missing(struct mm_yaml_node *map, const char *key)
{
    if (map == NULL) {
        return; // the map itself was reported, or is optional
    }
    const char *dot = map->name[0] == '\0' ? "" : ".";
    mm_yaml_fail(map, "%s%s%s is missing", map->name, dot, key);
}

const char *mm_yaml_get_string(struct mm_yaml_node *map, const char *key, const char *fallback)
{
    struct mm_yaml_node *node = mm_yaml_find(map, key);
    const char *value;
    return node != NULL && mm_yaml_as_string(node, &value) ? value : fallback;
}

int64_t mm_yaml_get_int(struct mm_yaml_node *map, const char *key, int64_t min, int64_t max,
                        int64_t fallback)
{
    struct mm_yaml_node *node = mm_yaml_find(map, key);
    int64_t value;
    return node != NULL && mm_yaml_as_int(node, min, max, &value) ? value : fallback;
}

bool mm_yaml_get_bool(struct mm_yaml_node *map, const char *key, bool fallback)
{
    struct mm_yaml_node *node = mm_yaml_find(map, key);
    bool value;
    return node != NULL && mm_yaml_as_bool(node, &value) ? value : fallback;
}

int64_t mm_yaml_get_duration_ms(struct mm_yaml_node *map, const char *key, int64_t min_ms,
                                int64_t max_ms, int64_t fallback_ms)
{
    struct mm_yaml_node *node = mm_yaml_find(map, key);
    int64_t value;
    return node != NULL && mm_yaml_as_duration_ms(node, min_ms, max_ms, &value) ? value
                                                                                : fallback_ms;
}

int64_t mm_yaml_get_fixed(struct mm_yaml_node *map, const char *key, int64_t scale, int64_t min,
                          int64_t max, int64_t fallback)
{
    struct mm_yaml_node *node = mm_yaml_find(map, key);
    int64_t value;
    return node != NULL && mm_yaml_as_fixed(node, scale, min, max, &value) ? value : fallback;
}

const char *mm_yaml_need_string(struct mm_yaml_node *map, const char *key)
{
    if (mm_yaml_find(map, key) == NULL) {
        fail_missing(map, key);
    }
    return mm_yaml_get_string(map, key, "");
}

int64_t mm_yaml_need_int(struct mm_yaml_node *map, const char *key, int64_t min, int64_t max)
{
    if (mm_yaml_find(map, key) == NULL) {
        fail_missing(map, key);
    }
    return mm_yaml_get_int(map, key, min, max, min);
}

int64_t mm_yaml_need_duration_ms(struct mm_yaml_node *map, const char *key, int64_t min_ms,
                                 int64_t max_ms)
{
    if (mm_yaml_find(map, key) == NULL) {
        fail_missing(map, key);
    }
    return mm_yaml_get_duration_ms(map, key, min_ms, max_ms, min_ms);
}

static struct mm_yaml_node *get_kind(struct mm_yaml_node *map, const char *key,
                                     enum mm_yaml_kind kind)
{
    struct mm_yaml_node *node = mm_yaml_find(map, key);
    if (node == NULL || node->kind == kind) {
        return node;
    }
    mm_yaml_fail(node, "%s: expected %s, found %s", node->name,
                 kind == MM_YAML_LIST ? "a list" : "a map", mm_yaml_describe(node));
    return NULL;
}

struct mm_yaml_node *mm_yaml_get_list(struct mm_yaml_node *map, const char *key)
{
    return get_kind(map, key, MM_YAML_LIST);
}

struct mm_yaml_node *mm_yaml_get_map(struct mm_yaml_node *map, const char *key)
{
    return get_kind(map, key, MM_YAML_MAP);
}
