#ifndef WORLD_RULES_YAML_H
#define WORLD_RULES_YAML_H

#include "libcommon/base/err.h"
#include "services/world/core/rules.h"
#include <stddef.h>

struct mm_yaml;

// Reads the game's data from two documents (game/types.yaml and game/map.yaml). Every error is kept
// in the document it is in, with file and line. INVALID_ARGUMENT if there was any.
enum mm_err MM_MUST_USE world_rules_read(struct mm_yaml *types, struct mm_yaml *map,
                                         struct world_rules *rules);

// The same from files. report is called with each error ("types.yaml:7: ..."); it may be NULL.
typedef void (*world_rules_report_fn)(void *ctx, const char *error);
enum mm_err MM_MUST_USE world_rules_load(const char *types_path, const char *map_path,
                                         struct world_rules *rules, world_rules_report_fn report,
                                         void *ctx);

#endif
