#include "services/world/rules_where.h"

#include "libcommon/base/str.h"
#include <stdio.h>
#include <string.h>

// The node at the end of a path of keys, "nodes.home[2].type"; a number counts the pairs of a map
// too. Without one, *nearest is the last on the way that is there.
static struct mm_yaml_node *follow(struct mm_yaml_node *node, const char *path, size_t len,
                                   struct mm_yaml_node **nearest)
{
    size_t at = 0;
    *nearest = node;
    while (node && at < len) {
        char step[sizeof((struct world_rules_fault){0}).keys];
        // A name out of the file may hold what stands between keys here.
        (void)snprintf(step, sizeof step, "%.*s", (int)(len - at), path + at);
        struct mm_yaml_node *whole = mm_yaml_find(node, step);
        if (whole)
            return *nearest = whole;
        size_t end = at;
        while (end < len && path[end] != '.' && path[end] != '[' && path[end] != ']')
            end++;
        (void)snprintf(step, sizeof step, "%.*s", (int)(end - at), path + at);
        if (end < len && path[end] == ']') {
            uint64_t index = 0;
            bool sound = mm_str_parse_u64(step, strlen(step), 0, UINT32_MAX, &index) == MM_OK;
            node = sound ? mm_yaml_at(node, index) : NULL;
            end++;
        } else {
            node = mm_yaml_find(node, step);
        }
        if (node)
            *nearest = node;
        at = end < len && path[end] != ']' ? end + 1 : end;
    }
    return node;
}

void world_rules_fail_where(struct mm_yaml *doc, const struct world_rules_fault *fault)
{
    struct mm_yaml_node *in, *nearest, *found = NULL;
    follow(mm_yaml_root(doc), fault->in, strlen(fault->in), &in);
    nearest = in;
    for (const char *keys = fault->keys; !found && *keys;) {
        size_t len = strcspn(keys, "|");
        struct mm_yaml_node *near;
        found = follow(in, keys, len, &near);
        if (nearest == in)
            nearest = near;
        keys += len + (keys[len] == '|');
    }
    mm_yaml_fail(found ? found : nearest, "%s", fault->text);
}
