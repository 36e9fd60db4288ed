#ifndef MM_BASE_IDMAP_H
#define MM_BASE_IDMAP_H

#include "libcommon/base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A hash map from uint64 to uint64 (any key and value, 0 included). Open addressing, linear
// probing, no tombstones. Not thread-safe.
struct mm_idmap;

// At most entries_max entries (below 2^31). NULL when out of memory.
struct mm_idmap *mm_idmap_new(size_t entries_max);
void mm_idmap_free(struct mm_idmap *map);

// Inserts or replaces. MM_RESOURCE_EXHAUSTED at the limit or out of memory (the map is unchanged).
enum mm_err MM_MUST_USE mm_idmap_set(struct mm_idmap *map, uint64_t key, uint64_t value);
// False if the key is absent; value_out may be NULL.
bool mm_idmap_get(const struct mm_idmap *map, uint64_t key, uint64_t *value_out);
// The place of the key's value, to be changed in place; NULL if absent. Valid until the map
// changes.
uint64_t *mm_idmap_find(struct mm_idmap *map, uint64_t key);
// False if the key was absent; value_out (the removed value) may be NULL.
bool mm_idmap_remove(struct mm_idmap *map, uint64_t key, uint64_t *value_out);
// Asks for the memory in which the key is looked up (prefetch.h): some time before that.
void mm_idmap_ask(const struct mm_idmap *map, uint64_t key);
bool mm_idmap_has(const struct mm_idmap *map, uint64_t key);
size_t mm_idmap_count(const struct mm_idmap *map);
void mm_idmap_clear(struct mm_idmap *map);

// Makes room for `entries` entries, so that inserting up to there cannot fail.
enum mm_err MM_MUST_USE mm_idmap_reserve(struct mm_idmap *map, size_t entries);

// Visits every entry: start with *cursor = 0; false at the end. The order has no meaning, but is a
// function of the operations so far: the same history gives the same order on every machine. The
// map must not change in between. key_out and value_out may be NULL.
bool mm_idmap_next(const struct mm_idmap *map, size_t *cursor, uint64_t *key_out,
                   uint64_t *value_out);

#endif
