#include "libcommon/base/arena.h"

#include "libcommon/base/alloc.h"
#include <stdalign.h>
#include <string.h>

struct chunk {
    struct chunk *next;
    size_t bytes; // usable, behind this header
};

enum { ALIGN = alignof(max_align_t) };

_Static_assert(sizeof(struct chunk) % ALIGN == 0, "the first object of a chunk must be aligned");

struct mm_arena {
    size_t chunk_bytes;
    size_t bytes_max;
    size_t reserved_bytes;
    size_t used_bytes;
    size_t high_water_bytes;
    struct chunk *first;
    struct chunk *current; // objects are cut from here; chunks behind it are free
    size_t offset;         // next free byte in current
};

struct mm_arena *mm_arena_new(size_t chunk_bytes, size_t bytes_max)
{
    struct mm_arena *arena = mm_calloc(1, sizeof *arena);
    if (!arena)
        return NULL;
    arena->chunk_bytes = chunk_bytes < 256 ? 256 : chunk_bytes;
    arena->bytes_max = bytes_max;
    return arena;
}

void mm_arena_free(struct mm_arena *arena)
{
    if (!arena)
        return;
    for (struct chunk *chunk = arena->first, *next; chunk; chunk = next) {
        next = chunk->next;
        mm_free(chunk);
    }
    mm_free(arena);
}

// Puts a chunk with room for `bytes` behind the current one and makes it current: a kept one if the
// next fits, else a new one.
static int advance(struct mm_arena *arena, size_t bytes)
{
    struct chunk **link = arena->current ? &arena->current->next : &arena->first;
    if (*link && (*link)->bytes >= bytes) {
        arena->current = *link;
        arena->offset = 0;
        return 1;
    }
    size_t left = arena->bytes_max - arena->reserved_bytes;
    if (left < sizeof(struct chunk) || bytes > left - sizeof(struct chunk))
        return 0;
    size_t usable = arena->chunk_bytes > bytes ? arena->chunk_bytes : bytes;
    if (usable > left - sizeof(struct chunk))
        usable = bytes;
    struct chunk *chunk = mm_malloc(sizeof *chunk + usable);
    if (!chunk)
        return 0;
    chunk->bytes = usable;
    chunk->next = *link;
    *link = chunk;
    arena->reserved_bytes += sizeof *chunk + usable;
    arena->current = chunk;
    arena->offset = 0;
    return 1;
}

void *mm_arena_alloc(struct mm_arena *arena, size_t bytes)
{
    if (bytes > arena->bytes_max)
        return NULL;
    size_t rounded = (bytes + ALIGN - 1) / ALIGN * ALIGN;
    if (rounded == 0)
        rounded = ALIGN;
    if (!arena->current || rounded > arena->current->bytes - arena->offset)
        if (!advance(arena, rounded))
            return NULL;
    uint8_t *start = (uint8_t *)(arena->current + 1) + arena->offset;
    arena->offset += rounded;
    // A chunk's size need not be a multiple of the alignment.
    if (arena->offset > arena->current->bytes)
        arena->offset = arena->current->bytes;
    arena->used_bytes += rounded;
    if (arena->used_bytes > arena->high_water_bytes)
        arena->high_water_bytes = arena->used_bytes;
    return start;
}

void *mm_arena_calloc(struct mm_arena *arena, size_t count, size_t bytes_each)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, bytes_each, &bytes))
        return NULL;
    void *memory = mm_arena_alloc(arena, bytes);
    if (memory)
        memset(memory, 0, bytes);
    return memory;
}

char *mm_arena_strndup(struct mm_arena *arena, const char *text, size_t len)
{
    char *copy = len < SIZE_MAX ? mm_arena_alloc(arena, len + 1) : NULL;
    if (!copy)
        return NULL;
    if (len > 0)
        memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

void *mm_arena_memdup(struct mm_arena *arena, const void *data, size_t len)
{
    void *copy = mm_arena_alloc(arena, len);
    if (copy && len > 0)
        memcpy(copy, data, len);
    return copy;
}

void mm_arena_reset(struct mm_arena *arena)
{
    arena->current = NULL;
    arena->offset = 0;
    arena->used_bytes = 0;
}

size_t mm_arena_used_bytes(const struct mm_arena *arena)
{
    return arena->used_bytes;
}

size_t mm_arena_high_water_bytes(const struct mm_arena *arena)
{
    return arena->high_water_bytes;
}

size_t mm_arena_reserved_bytes(const struct mm_arena *arena)
{
    return arena->reserved_bytes;
}
