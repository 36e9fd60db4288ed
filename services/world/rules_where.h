#ifndef WORLD_RULES_WHERE_H
#define WORLD_RULES_WHERE_H

#include "libcommon/service/yaml.h"
#include "services/world/core/rules.h"

// Adds a fault of the rules as a whole to the document of its file, at the line of the key that
// says it; if that is not there, of the nearest thing around it that is.
void world_rules_fail_where(struct mm_yaml *doc, const struct world_rules_fault *fault);

#endif
