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
// The same with whatever is in it.
void *mm_malloc_aligned(size_t alignment, size_t bytes);
void mm_free(void *memory);

// For a process that goes through far more memory in every tick than the processor keeps in mind
// where it lies: from now on what the main thread allocates comes from one stretch of memory that
// is seldom given back, and mm_alloc_ask_huge_pages() asks for huge pages for it, where the system
// has them (transparent_hugepage/enabled is `madvise` or `always`). On the main thread, at the
// start.
void mm_alloc_keep_together(void);
// Asks for huge pages for what that memory has grown by since the last call. Cheap where it has
// not, so that it may be called often: it is best while nobody has written to what is new. Returns
// for how many bytes it has asked in all. On the main thread.
size_t mm_alloc_ask_huge_pages(void);

// Test aid: the calling thread's allocation number `countdown` from now (0 = the very next) and all
// later ones fail. A negative countdown switches the failing mode off.
void mm_alloc_fail_after(int64_t countdown);

#endif
