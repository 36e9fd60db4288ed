#ifndef MM_SERVICE_YAML_H
#define MM_SERVICE_YAML_H

#include "libcommon/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A strict reader for YAML files of settings and game rules (recipes, unit types).
//
// A file is loaded whole into a tree. Scalars have `${NAME}` and `${NAME:-default}` replaced from
// the environment; an unset variable without a default is an error. Anchors, aliases, tags, merge
// keys, several documents and duplicate keys are refused.
//
// Errors do not stop the reading: each is kept in the document as "file:line: what, and what was
// expected", so that one run shows all of them. A getter that fails returns the default; the
// caller checks mm_yaml_error_count() once, at the end. Not thread-safe; used at start-up.
//
//     struct mm_yaml *doc = mm_yaml_load("recipes.yaml");
//     struct mm_yaml_node *recipes = mm_yaml_get_list(mm_yaml_root(doc), "recipes");
//     for (size_t i = 0; i < mm_yaml_count(recipes); i++) {
//         struct mm_yaml_node *recipe = mm_yaml_at(recipes, i);
//         const char *name = mm_yaml_need_string(recipe, "name");
//         int64_t cost = mm_yaml_get_int(recipe, "cost", 1, 1000, 10);
//         mm_yaml_end(recipe);               // a key that was never asked for is an error
//     }
//     mm_yaml_end(mm_yaml_root(doc));
//     if (mm_yaml_error_count(doc) > 0) ...

struct mm_yaml;      // a document with its tree and its errors
struct mm_yaml_node; // belongs to the document; all its strings live as long as that

enum mm_yaml_kind { MM_YAML_SCALAR, MM_YAML_LIST, MM_YAML_MAP };

enum {
    MM_YAML_FILE_BYTES_MAX = 4 << 20,
    MM_YAML_DEPTH_MAX = 32,
    MM_YAML_NODES_MAX = 200000,
    MM_YAML_ERRORS_MAX = 100, // later ones are counted, not kept
};

// Reads a file. Never NULL: a file that cannot be read or parsed gives a document with an empty
// map as its root and the error in it. The caller frees it.
struct mm_yaml *mm_yaml_load(const char *path);

// The same from memory; `name` stands for the file's name in errors.
struct mm_yaml *mm_yaml_parse(const char *name, const char *text, size_t text_bytes);

void mm_yaml_free(struct mm_yaml *doc);

// The top node, always a map. Never NULL.
struct mm_yaml_node *mm_yaml_root(struct mm_yaml *doc);

// The file's name, as it was given.
const char *mm_yaml_name(const struct mm_yaml *doc);

size_t mm_yaml_error_count(const struct mm_yaml *doc);

// The error at index, or NULL past the end (or past MM_YAML_ERRORS_MAX).
const char *mm_yaml_error(const struct mm_yaml *doc, size_t index);

// Adds an error at the node's line, for what only the caller can check ("unknown item 'irn'").
// `node` may be NULL if `doc` is given: then the error has no line.
void mm_yaml_fail(struct mm_yaml_node *node, const char *format, ...) MM_PRINTF(2, 3);
void mm_yaml_fail_document(struct mm_yaml *doc, const char *format, ...) MM_PRINTF(2, 3);

// --- nodes: every function takes NULL for a node that is missing (kind: map, count: 0) -----------

enum mm_yaml_kind mm_yaml_kind(const struct mm_yaml_node *node);
int mm_yaml_line(const struct mm_yaml_node *node);

// Elements of a list, or pairs of a map.
size_t mm_yaml_count(const struct mm_yaml_node *node);

// The element or the value at index, in the order of the file. NULL past the end. In a map it
// marks that key as asked for.
struct mm_yaml_node *mm_yaml_at(struct mm_yaml_node *node, size_t index);

// A map's key at index, or NULL.
const char *mm_yaml_key_at(const struct mm_yaml_node *map, size_t index);

// The value of that key, or NULL (no error) if there is none. Marks the key as known.
struct mm_yaml_node *mm_yaml_find(struct mm_yaml_node *map, const char *key);

// Every key of the map that nobody asked for is an error, with the nearest name that was.
void mm_yaml_end(struct mm_yaml_node *map);

// --- typed access to a node itself ---------------------------------------------------------------
// False, with an error at the node's line, if it is of another kind or out of range. A quoted
// scalar is a string, never a number or a boolean.

bool mm_yaml_as_string(struct mm_yaml_node *node, const char **out);
bool mm_yaml_as_int(struct mm_yaml_node *node, int64_t min, int64_t max, int64_t *out);
bool mm_yaml_as_bool(struct mm_yaml_node *node, bool *out); // true or false, nothing else

// A whole number with a unit: 250ms, 10s, 5m, 2h, 7d. A bare number is an error, except 0.
bool mm_yaml_as_duration_ms(struct mm_yaml_node *node, int64_t min_ms, int64_t max_ms,
                            int64_t *out_ms);

// A decimal fraction as a fixed-point integer: "0.75" with scale 1000 is 750. More digits than
// the scale (a power of ten) can hold is an error, so nothing is rounded silently.
bool mm_yaml_as_fixed(struct mm_yaml_node *node, int64_t scale, int64_t min, int64_t max,
                      int64_t *out);

// --- typed access by key -------------------------------------------------------------------------
// get: the fallback if the key is absent, or (with an error) if it is wrong. need: an error at the
// map's line if absent; then "" or min is returned.

const char *mm_yaml_get_string(struct mm_yaml_node *map, const char *key, const char *fallback);
int64_t mm_yaml_get_int(struct mm_yaml_node *map, const char *key, int64_t min, int64_t max,
                        int64_t fallback);
bool mm_yaml_get_bool(struct mm_yaml_node *map, const char *key, bool fallback);
int64_t mm_yaml_get_duration_ms(struct mm_yaml_node *map, const char *key, int64_t min_ms,
                                int64_t max_ms, int64_t fallback_ms);
int64_t mm_yaml_get_fixed(struct mm_yaml_node *map, const char *key, int64_t scale, int64_t min,
                          int64_t max, int64_t fallback);
const char *mm_yaml_need_string(struct mm_yaml_node *map, const char *key);
int64_t mm_yaml_need_int(struct mm_yaml_node *map, const char *key, int64_t min, int64_t max);
int64_t mm_yaml_need_duration_ms(struct mm_yaml_node *map, const char *key, int64_t min_ms,
                                 int64_t max_ms);

// The list or map of that key; NULL if absent; NULL with an error if it is of another kind.
struct mm_yaml_node *mm_yaml_get_list(struct mm_yaml_node *map, const char *key);
struct mm_yaml_node *mm_yaml_get_map(struct mm_yaml_node *map, const char *key);

#endif
