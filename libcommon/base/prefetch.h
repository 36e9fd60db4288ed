#ifndef MM_BASE_PREFETCH_H
#define MM_BASE_PREFETCH_H

#include <stddef.h>
#include <stdint.h>

// Asks for memory some time before it is needed. Any address is allowed, also none.
//
// Not __builtin_prefetch alone: gcc takes a function that does nothing else for one without
// effects, and leaves out the calls of it. The empty statement is an effect.

static inline void mm_prefetch(const void *at)
{
    __builtin_prefetch(at);
    __asm__ volatile("");
}

// To be written to.
static inline void mm_prefetch_write(const void *at)
{
    __builtin_prefetch(at, 1);
    __asm__ volatile("");
}

// Every cache line that holds one of the bytes, to be written to.
static inline void mm_prefetch_block(const void *at, size_t bytes)
{
    enum { LINE_BYTES = 64 };
    uintptr_t first = (uintptr_t)at, end = first + bytes;
    for (uintptr_t line = first & ~(uintptr_t)(LINE_BYTES - 1); line < end; line += LINE_BYTES)
        mm_prefetch_write((const void *)line);
}

#endif
