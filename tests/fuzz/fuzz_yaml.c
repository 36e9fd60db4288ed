// The YAML reader on arbitrary text, some of it made of words: no crash, and a document is either
// whole or says why not.

#include "libcommon/base/check.h"
#include "libcommon/service/yaml.h"
#include "tests/fuzz/input.h"

#include <string.h>

static void walk(struct mm_yaml_node *node, int depth)
{
    MM_CHECK(depth <= MM_YAML_DEPTH_MAX + 1 && mm_yaml_line(node) >= 0);
    for (size_t i = 0; i < mm_yaml_count(node); i++) {
        walk(mm_yaml_at(node, i), depth + 1);
    }
    const char *text;
    int64_t number;
    bool flag;
    (void)mm_yaml_as_string(node, &text);
    if (mm_yaml_as_int(node, -100, 100, &number)) {
        MM_CHECK(number >= -100 && number <= 100);
    }
    if (mm_yaml_as_duration_ms(node, 0, 1000, &number)) {
        MM_CHECK(number >= 0 && number <= 1000);
    }
    if (mm_yaml_as_fixed(node, 1000, -5000, 5000, &number)) {
        MM_CHECK(number >= -5000 && number <= 5000);
    }
    (void)mm_yaml_as_bool(node, &flag);
}

// As a service reads its settings: by name, and at the end there must be nothing more.
static void read_settings(struct mm_yaml_node *map)
{
    const char *text = mm_yaml_get_string(map, "listen", "here");
    MM_CHECK(text != NULL);
    int64_t number = mm_yaml_get_int(map, "size", 1, 9, 5);
    MM_CHECK(number >= 1 && number <= 9);
    number = mm_yaml_need_duration_ms(map, "timeout", 0, 60000);
    MM_CHECK(number >= 0 && number <= 60000);
    (void)mm_yaml_get_bool(map, "on", true);
    struct mm_yaml_node *list = mm_yaml_get_list(map, "list"), *inner = mm_yaml_get_map(map, "map");
    for (size_t i = 0; i < mm_yaml_count(list); i++)
        walk(mm_yaml_at(list, i), 2);
    for (size_t i = 0; i < mm_yaml_count(inner); i++) {
        const char *key = mm_yaml_key_at(inner, i);
        MM_CHECK(key != NULL && mm_yaml_find(inner, key) != NULL);
    }
    mm_yaml_end(map);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const words[] = {
        "listen: ", "size: ", "timeout: ", "on: ",      "list: ",         "map: ",
        "\n  ",     "\n  - ", "a: 1",      "\n",        "${A:-b}",        "${HOME}",
        "10s",      "1.5h",   "true",      "size: 5\n", "timeout: 10s\n", "&a ",
        "*a",       "<<: ",   "!!str ",    "|\n  ",     "{a: 1, b: [2]}", "\"\\x41\"",
        "---\n"};
    static char text[1 << 16];
    size_t len = fuzz_words(data, size, words, sizeof words / sizeof words[0], text, sizeof text);
    struct mm_yaml *doc = mm_yaml_parse("f", text, len);
    struct mm_yaml_node *root = mm_yaml_root(doc);
    MM_CHECK(root != NULL && mm_yaml_kind(root) == MM_YAML_MAP);
    read_settings(root); // first: what walk has looked at is no longer unknown
    walk(root, 0);
    for (size_t i = 0; i < mm_yaml_error_count(doc) && i < MM_YAML_ERRORS_MAX; i++) {
        MM_CHECK(strncmp(mm_yaml_error(doc, i), "f:", 2) == 0);
    }
    mm_yaml_free(doc);
    return 0;
}
