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
void mm_free(void *memory);

// Test aid: the calling thread's allocation number `countdown` from now (0 = the very next) and all
// later ones fail. A negative countdown switches the failing mode off.
void mm_alloc_fail_after(int64_t countdown);

#endif
