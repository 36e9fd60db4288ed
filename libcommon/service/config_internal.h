#ifndef MM_SERVICE_CONFIG_INTERNAL_H
#define MM_SERVICE_CONFIG_INTERNAL_H

#include "libcommon/service/config.h"

// A field of a table with where its value goes and where it came from.
struct mm_config_entry {
    const struct mm_config_field *field;
    void *value;               // the member of the settings
    struct mm_yaml_node *node; // in the file; NULL if the fallback is in force
};

struct mm_config {
    struct mm_yaml *doc;
    struct mm_config_entry *entries;
    size_t entry_count;
    char *directory;
};

#endif
