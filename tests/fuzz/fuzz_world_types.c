// The game's data out of hostile YAML: refused with at least one error, or rules that hold and
// that a world can be made of. The first half of an input (up to a zero byte) is types.yaml.

#include "libcommon/base/check.h"
#include "libcommon/service/yaml.h"
#include "services/world/core/world.h"
#include "services/world/rules_yaml.h"
#include <stdlib.h>
#include <string.h>

// Every error has a line, but of a file that holds nothing or is no text.
static void check_errors(struct mm_yaml *doc, const char *name)
{
    for (size_t i = 0; mm_yaml_error(doc, i); i++) {
        const char *error = mm_yaml_error(doc, i);
        MM_CHECK(strncmp(error, name, strlen(name)) == 0);
        const char *rest = error + strlen(name);
        bool has_line = rest[0] == ':' && rest[1] >= '1' && rest[1] <= '9';
        MM_CHECK(has_line || strstr(error, "UTF-8") || mm_yaml_line(mm_yaml_root(doc)) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *zero = size > 0 ? memchr(data, 0, size) : NULL;
    size_t first = zero ? (size_t)(zero - data) : size;
    const char *second = zero ? (const char *)zero + 1 : "";
    size_t second_len = zero ? size - first - 1 : 0;
    struct mm_yaml *types = mm_yaml_parse("types.yaml", (const char *)data, first);
    struct mm_yaml *map = mm_yaml_parse("map.yaml", second, second_len);
    struct world_rules *rules = malloc(sizeof *rules);
    enum mm_err err = world_rules_read(types, map, rules);
    MM_CHECK((err == MM_OK) == (mm_yaml_error_count(types) + mm_yaml_error_count(map) == 0));
    check_errors(types, "types.yaml");
    check_errors(map, "map.yaml");
    if (err == MM_OK) {
        char problem[160];
        MM_CHECK(world_rules_check(rules, problem, sizeof problem) == MM_OK);
        struct mm_buf bytes;
        mm_buf_init(&bytes, 1 << 20);
        world_rules_encode(rules, &bytes);
        struct world_rules *again = malloc(sizeof *again);
        size_t used;
        MM_CHECK(world_rules_decode(again, bytes.data, bytes.len, &used) == MM_OK);
        MM_CHECK(used == bytes.len && world_rules_hash(again) == world_rules_hash(rules));
        struct world_params params = {.rules = rules, .seed = 1};
        struct world *world;
        if (rules->map.chunk_radius <= 9 && world_create(&params, &world) == MM_OK)
            world_free(world);
        free(again);
        mm_buf_free(&bytes);
    }
    free(rules);
    mm_yaml_free(map);
    mm_yaml_free(types);
    return 0;
}
