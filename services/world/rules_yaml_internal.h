#ifndef WORLD_RULES_YAML_INTERNAL_H
#define WORLD_RULES_YAML_INTERNAL_H

#include "libcommon/service/yaml.h"
#include "services/world/core/rules.h"
#include <stddef.h>

// For rules*_yaml.c. Numbers are read within their type's range; what they mean together is checked
// at the end by world_rules_find_fault(), which names the keys that say it. Every fault is added to
// the document, at the line it stands in; what is returned after one is 0.

// rules_types_yaml.c and rules_map_yaml.c: the whole of each document, up to its unknown keys. The
// map names types and terrains, so it comes after them.
void world_rules_read_types(struct mm_yaml *doc, struct world_rules *rules);
void world_rules_read_map(struct mm_yaml *doc, struct world_rules *rules);

// rules_yaml_get.c: what both are read with. A number of 0 to max.
uint32_t world_yaml_u32(struct mm_yaml_node *map, const char *key, int64_t max, uint32_t fallback);

// Where an error of a key stands: there, or at the map that lacks it.
struct mm_yaml_node *world_yaml_at_key(struct mm_yaml_node *map, const char *key);

// One of a list of words. fallback NULL: it must be there.
struct world_yaml_word {
    const char *text;
    uint32_t value;
};
uint32_t world_yaml_word(struct mm_yaml_node *map, const char *key,
                         const struct world_yaml_word *words, size_t count, const char *fallback);
#define WORLD_YAML_WORD(map, key, words, fallback)                                                 \
    world_yaml_word((map), (key), (words), sizeof(words) / sizeof(words)[0], (fallback))

// The number of a type or terrain whose name must be there.
uint32_t world_yaml_type(struct mm_yaml_node *node, const char *key,
                         const struct world_rules *rules);
uint32_t world_yaml_terrain(struct mm_yaml_node *node, const char *key,
                            const struct world_rules *rules);

#endif
