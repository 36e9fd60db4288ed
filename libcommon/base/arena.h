#ifndef MM_BASE_ARENA_H
#define MM_BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

// A chunked bump allocator: many allocations, one release. Chunks are kept by a reset, so that a
// steady load stops allocating from the system. Not thread-safe.
struct mm_arena;

// bytes_max bounds what all chunks together may take; chunk_bytes (at least 256) is the usual
// chunk. NULL when out of memory.
struct mm_arena *mm_arena_new(size_t chunk_bytes, size_t bytes_max);
void mm_arena_free(struct mm_arena *arena);

// Memory aligned for any type, valid until reset or free; not zeroed. NULL at the limit or when out
// of memory. Zero bytes give a valid pointer.
void *mm_arena_alloc(struct mm_arena *arena, size_t bytes);
// The same, zeroed, for an array; NULL also when count * bytes_each overflows.
void *mm_arena_calloc(struct mm_arena *arena, size_t count, size_t bytes_each);
// Copies with a NUL added; NULL as above.
char *mm_arena_strndup(struct mm_arena *arena, const char *text, size_t len);
void *mm_arena_memdup(struct mm_arena *arena, const void *data, size_t len);

// Forgets every allocation, keeps the chunks.
void mm_arena_reset(struct mm_arena *arena);

size_t mm_arena_used_bytes(const struct mm_arena *arena);
// The most that was ever in use at once; never reset.
size_t mm_arena_high_water_bytes(const struct mm_arena *arena);
// What the arena has taken from the system.
size_t mm_arena_reserved_bytes(const struct mm_arena *arena);

#endif
