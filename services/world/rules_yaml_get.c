#include "libcommon/base/str.h"
#include "services/world/rules_yaml_internal.h"

uint32_t world_yaml_u32(struct mm_yaml_node *map, const char *key, int64_t max, uint32_t fallback)
{
    return (uint32_t)mm_yaml_get_int(map, key, 0, max, fallback);
}

struct mm_yaml_node *world_yaml_at_key(struct mm_yaml_node *map, const char *key)
{
    struct mm_yaml_node *node = mm_yaml_find(map, key);
    return node ? node : map;
}

uint32_t world_yaml_word(struct mm_yaml_node *map, const char *key,
                         const struct world_yaml_word *words, size_t count, const char *fallback)
{
    const char *text =
        fallback ? mm_yaml_get_string(map, key, fallback) : mm_yaml_need_string(map, key);
    for (size_t i = 0; i < count; i++)
        if (mm_str_equal(words[i].text, text))
            return words[i].value;
    if (*text) {
        mm_yaml_fail(world_yaml_at_key(map, key), "unknown %s '%s'", key, text);
    }
    return 0;
}

uint32_t world_yaml_type(struct mm_yaml_node *node, const char *key,
                         const struct world_rules *rules)
{
    const char *name = mm_yaml_need_string(node, key);
    int type = world_rules_type(rules, name);
    if (type < 0 && *name)
        mm_yaml_fail(mm_yaml_find(node, key), "there is no type '%s'", name);
    return type < 0 ? 0 : (uint32_t)type;
}

uint32_t world_yaml_terrain(struct mm_yaml_node *node, const char *key,
                            const struct world_rules *rules)
{
    const char *name = mm_yaml_need_string(node, key);
    int terrain = world_rules_terrain(rules, name);
    if (terrain < 0 && *name)
        mm_yaml_fail(mm_yaml_find(node, key), "there is no terrain '%s'", name);
    return terrain < 0 ? 0 : (uint32_t)terrain;
}
