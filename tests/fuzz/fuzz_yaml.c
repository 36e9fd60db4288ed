// The YAML reader on arbitrary text: no crash, and a document is either whole or says why not.

#include "libcommon/base/check.h"
#include "libcommon/service/yaml.h"

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mm_yaml *doc = mm_yaml_parse("f", (const char *)data, size);
    struct mm_yaml_node *root = mm_yaml_root(doc);
    MM_CHECK(root != NULL && mm_yaml_kind(root) == MM_YAML_MAP);
    walk(root, 0);
    for (size_t i = 0; i < mm_yaml_error_count(doc) && i < MM_YAML_ERRORS_MAX; i++) {
        MM_CHECK(strncmp(mm_yaml_error(doc, i), "f:", 2) == 0);
    }
    mm_yaml_free(doc);
    return 0;
}
