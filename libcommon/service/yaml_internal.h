#ifndef MM_SERVICE_YAML_INTERNAL_H
#define MM_SERVICE_YAML_INTERNAL_H

#include "libcommon/service/yaml.h"

#include <stdarg.h>

struct mm_yaml_pair {
    const char *key;
    struct mm_yaml_node *value;
    bool asked; // by find() or at(): what was not asked for by the end is unknown
};

struct mm_yaml_node {
    struct mm_yaml *doc;
    enum mm_yaml_kind kind;
    int line;                    // 1-based
    const char *name;            // "mariadb.pool_size", "recipes[2].cost": for messages
    const char *text;            // scalar, after ${} was replaced
    bool quoted;                 // a quoted scalar is a string
    bool empty;                  // a plain scalar with nothing in the file: `key:`
    bool refused;                // its error was reported already: getters fail silently
    struct mm_yaml_node **items; // list
    struct mm_yaml_pair *pairs;  // map
    size_t count, room;
    const char **known; // names the map was asked for, present or not
    size_t known_count, known_room;
};

struct mm_yaml_block; // memory of a document

struct mm_yaml {
    char *name;
    struct mm_yaml_node *root;
    size_t node_count;
    size_t error_count;
    char *errors[MM_YAML_ERRORS_MAX];
    struct mm_yaml_block *blocks;
};

// yaml_doc.c. Zeroed memory that lives as long as the document; ends the process if there is none,
// which at start-up is the honest answer.
void *mm_yaml_alloc(struct mm_yaml *doc, size_t bytes);
char *mm_yaml_copy(struct mm_yaml *doc, const char *text, size_t chars);
char *mm_yaml_text(struct mm_yaml *doc, const char *format, ...) MM_PRINTF(2, 3);

// An array grown to hold at least one more element.
void *mm_yaml_grow(struct mm_yaml *doc, void *array, size_t count, size_t *room, size_t item_bytes);

// Notes an error; line 0: of the document as a whole.
void mm_yaml_fail_at(struct mm_yaml *doc, int line, const char *format, ...) MM_PRINTF(3, 4);

// `raw` with ${NAME} and ${NAME:-default} replaced from the environment, $${ as a plain ${. On an
// error: reported at that line, and NULL.
const char *mm_yaml_expand(struct mm_yaml *doc, int line, const char *raw, size_t raw_bytes);

// The candidate that `name` was probably meant to be, or NULL if none is near.
const char *mm_yaml_nearest(const char *name, const char *const *candidates, size_t count);

// What the node is, in the words of an error message: `a list`, `"abc"`.
const char *mm_yaml_describe(struct mm_yaml_node *node);

// The scalar grammars, without a node. False if `text` is not one (or does not fit 64 bits).
bool mm_yaml_scan_int(const char *text, int64_t *out);
bool mm_yaml_scan_duration_ms(const char *text, int64_t *out);

// Durations as they are written: 90000 -> 90s, 86400000 -> 1d.
void mm_yaml_write_duration(int64_t ms, char *out, size_t out_bytes);

#endif
