#ifndef MM_BASE_ALLOC_H
#define MM_BASE_ALLOC_H

#include <stddef.h>
#include <stdint.h>

// The allocator of libcommon and the services: malloc with a failing mode for tests.
// Results are released with mm_free() (plain free() is the same thing). NULL when out of memory.
void *mm_malloc(size_t bytes);
void *mm_calloc(size_t count, size_t bytes_each);
void *mm_realloc(void *memory, size_t bytes);
char *mm_strdup(const char *text);
// Zeroed, at a multiple of `alignment` (a power of two, at least sizeof(void *)). For large blocks
// the system is asked for huge pages.
void *mm_calloc_aligned(size_t alignment, size_t bytes);
void mm_free(void *memory);

// Test aid: the calling thread's allocation number `countdown` from now (0 = the very next) and all
// later ones fail. A negative countdown switches the failing mode off.
void mm_alloc_fail_after(int64_t countdown);

#endif
