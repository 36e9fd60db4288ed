#ifndef MM_BASE_STRMAP_H
#define MM_BASE_STRMAP_H

#include "libcommon/base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A hash map from strings to uint64 or pointers; keys are copied and owned. Hashed with a key drawn
// for the process, so that no peer can choose colliding keys; iteration does not depend on it.
// Not thread-safe.
struct mm_strmap;

// At most entries_max entries. NULL when out of memory.
struct mm_strmap *mm_strmap_new(size_t entries_max);
void mm_strmap_free(struct mm_strmap *map);

// Inserts or replaces. MM_RESOURCE_EXHAUSTED at the limit or out of memory.
enum mm_err MM_MUST_USE mm_strmap_set(struct mm_strmap *map, const char *key, uint64_t value);
enum mm_err MM_MUST_USE mm_strmap_set_n(struct mm_strmap *map, const char *key, size_t key_len,
                                        uint64_t value);
bool mm_strmap_get(const struct mm_strmap *map, const char *key, uint64_t *value_out);
bool mm_strmap_get_n(const struct mm_strmap *map, const char *key, size_t key_len,
                     uint64_t *value_out);
bool mm_strmap_remove(struct mm_strmap *map, const char *key, uint64_t *value_out);
bool mm_strmap_remove_n(struct mm_strmap *map, const char *key, size_t key_len,
                        uint64_t *value_out);
size_t mm_strmap_count(const struct mm_strmap *map);
void mm_strmap_clear(struct mm_strmap *map);

// The same with pointers as values; NULL if absent.
enum mm_err MM_MUST_USE mm_strmap_set_ptr(struct mm_strmap *map, const char *key, void *value);
void *mm_strmap_get_ptr(const struct mm_strmap *map, const char *key);

// Visits the entries in the order they were inserted (a removal moves the last entry into the gap):
// start with *cursor = 0; false at the end. Keys are NUL-terminated and valid until the map
// changes.
bool mm_strmap_next(const struct mm_strmap *map, size_t *cursor, const char **key_out,
                    uint64_t *value_out);

#endif
