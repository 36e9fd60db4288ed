#ifndef MM_SERVICE_CONFIG_H
#define MM_SERVICE_CONFIG_H

#include "libcommon/base/err.h"
#include "libcommon/service/yaml.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

// A program's settings: tables of fields, filled from one YAML file.
//
//     struct world_settings { int64_t tick_ms; char *map_kind; };
//     static const struct mm_config_field world_fields[] = {
//         {.path = "tick.period", .type = MM_CONFIG_DURATION, .offset = offsetof(..., tick_ms),
//          .fallback = "50ms", .min = 10, .max = 1000, .help = "length of a tick"},
//         {.path = "map.kind", .type = MM_CONFIG_STRING, .offset = offsetof(..., map_kind),
//          .fallback = "noise", .choices = "blank|noise", .help = "map generator"},
//     };

enum mm_config_type {
    MM_CONFIG_STRING,   // const char *; belongs to the config; never NULL
    MM_CONFIG_INT,      // int64_t, within min..max
    MM_CONFIG_BOOL,     // bool
    MM_CONFIG_DURATION, // int64_t milliseconds, within min..max; written 250ms, 10s, 5m, 2h, 7d
    // struct mm_config_strings: a list, or a scalar with commas between (blanks around a text are
    // no part of it; an empty scalar is an empty list), as the fallback is
    MM_CONFIG_STRINGS,
    MM_CONFIG_SECTION, // struct mm_yaml_node *: a map or list the caller reads itself; may be NULL
};

struct mm_config_strings {
    const char *const *items;
    size_t count;
};

struct mm_config_field {
    const char *path; // "mariadb.pool_size": sections and key, lower case
    enum mm_config_type type;
    size_t offset;        // of the member in the settings struct
    const char *fallback; // value if the file has none, as it would be written; NULL = required
    int64_t min, max;     // INT and DURATION (in ms); STRING: max is its length, 0 = 1024
    const char *unit;     // of an INT, for help: "bytes", "hexes"
    const char *choices;  // STRING: "blank|noise", or NULL for any
    bool secret;          // never printed
    const char *help;     // one line
};

struct mm_config;

struct mm_config *mm_config_new(void);
void mm_config_free(struct mm_config *config); // strings and sections of the settings die with it

// Adds a table whose members lie in `settings`. Both must outlive the config. A path that is there
// already is a bug.
void mm_config_add(struct mm_config *config, const struct mm_config_field *fields, size_t count,
                   void *settings);

// Reads the file into the settings. INVALID_ARGUMENT if there was any error; see mm_config_error.
enum mm_err mm_config_load(struct mm_config *config, const char *path) MM_MUST_USE;
enum mm_err mm_config_parse(struct mm_config *config, const char *name, const char *text,
                            size_t text_bytes) MM_MUST_USE;

size_t mm_config_error_count(const struct mm_config *config);
const char *mm_config_error(const struct mm_config *config, size_t index);

// An error of the service's own checks, at the line where the field was set (or without a line
// if it was not).
void mm_config_fail(struct mm_config *config, const char *path, const char *format, ...)
    MM_PRINTF(3, 4);

// The file's directory ("." if it has none); relative paths in settings start there.
const char *mm_config_directory(const struct mm_config *config);

// `name` itself if absolute, else below the file's directory. The string belongs to the config.
const char *mm_config_resolve(struct mm_config *config, const char *name);

// The effective values as YAML, secrets masked.
void mm_config_print(const struct mm_config *config, FILE *out);

// Every setting with type, unit, range, default and help, one a line.
void mm_config_print_help(const struct mm_config *config, FILE *out);

#endif
