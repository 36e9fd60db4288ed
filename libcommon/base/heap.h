#ifndef MM_BASE_HEAP_H
#define MM_BASE_HEAP_H

#include "libcommon/base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A binary min-heap of (key, value). Equal keys come out in the order they were pushed. Entries are
// reached by handle, to be re-keyed or removed. Not thread-safe.
struct mm_heap;

// Names an entry from push until it is popped or removed; then the number may be used again.
typedef uint32_t mm_heap_handle;
#define MM_HEAP_NONE UINT32_MAX

struct mm_heap_entry {
    uint64_t key;
    uint64_t value;
    mm_heap_handle handle;
};

// At most entries_max entries (below 2^31). NULL when out of memory.
struct mm_heap *mm_heap_new(size_t entries_max);
void mm_heap_free(struct mm_heap *heap);

// MM_RESOURCE_EXHAUSTED at the limit or out of memory. handle_out may be NULL.
enum mm_err MM_MUST_USE mm_heap_push(struct mm_heap *heap, uint64_t key, uint64_t value,
                                     mm_heap_handle *handle_out);
// The least entry; false when empty.
bool mm_heap_peek(const struct mm_heap *heap, struct mm_heap_entry *out);
bool mm_heap_pop(struct mm_heap *heap, struct mm_heap_entry *out);
// Pops the least entry only if its key is <= key_max ("everything due by now").
bool mm_heap_pop_due(struct mm_heap *heap, uint64_t key_max, struct mm_heap_entry *out);

// False if the handle names no entry. A changed entry keeps its place among equal keys.
bool mm_heap_remove(struct mm_heap *heap, mm_heap_handle handle);
bool mm_heap_change_key(struct mm_heap *heap, mm_heap_handle handle, uint64_t key);
bool mm_heap_get(const struct mm_heap *heap, mm_heap_handle handle, struct mm_heap_entry *out);

size_t mm_heap_count(const struct mm_heap *heap);
void mm_heap_clear(struct mm_heap *heap);

#endif
