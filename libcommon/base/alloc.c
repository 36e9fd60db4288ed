#include "libcommon/base/alloc.h"

#include <malloc.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

// Of x86-64 and arm64; elsewhere nothing is lost but the wish.
#define HUGE_PAGE_BYTES ((size_t)2 << 20)

static _Thread_local int64_t fail_countdown = -1;

void mm_alloc_fail_after(int64_t countdown)
{
    fail_countdown = countdown;
}

static bool must_fail(void)
{
    if (__builtin_expect(fail_countdown < 0, 1))
        return false;
    if (fail_countdown == 0)
        return true;
    fail_countdown--;
    return false;
}

void *mm_malloc(size_t bytes)
{
    return must_fail() ? NULL : malloc(bytes > 0 ? bytes : 1);
}

void *mm_calloc(size_t count, size_t bytes_each)
{
    // calloc checks this too, but a sanitizer's calloc aborts instead of failing.
    size_t bytes;
    if (must_fail() || __builtin_mul_overflow(count, bytes_each, &bytes))
        return NULL;
    return count > 0 && bytes_each > 0 ? calloc(count, bytes_each) : calloc(1, 1);
}

void *mm_realloc(void *memory, size_t bytes)
{
    return must_fail() ? NULL : realloc(memory, bytes > 0 ? bytes : 1);
}

char *mm_strdup(const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = mm_malloc(bytes);
    if (copy)
        memcpy(copy, text, bytes);
    return copy;
}

void *mm_malloc_aligned(size_t alignment, size_t bytes)
{
    void *memory = NULL;
    bool huge = bytes >= HUGE_PAGE_BYTES;
    if (huge && alignment < HUGE_PAGE_BYTES)
        alignment = HUGE_PAGE_BYTES;
    if (must_fail() || posix_memalign(&memory, alignment, bytes > 0 ? bytes : 1) != 0)
        return NULL;
    // Only a wish: without huge pages it is as good, but slower to walk through at random.
    if (huge)
        (void)madvise(memory, bytes & ~(HUGE_PAGE_BYTES - 1), MADV_HUGEPAGE);
    return memory;
}

void *mm_calloc_aligned(size_t alignment, size_t bytes)
{
    void *memory = mm_malloc_aligned(alignment, bytes);
    return memory ? memset(memory, 0, bytes) : NULL;
}

void mm_free(void *memory)
{
    free(memory);
}

// --- one heap on huge pages ----------------------------------------------------------------------

// malloc's heap grows by so much at once, most of which nobody has written to when it is asked
// about; and it gives nothing back below so much free memory at its end.
enum { HEAP_GROWTH_BYTES = 16 << 20, HEAP_SPARE_BYTES = 64 << 20 };
// Larger blocks are mapped each by itself; it is the most that glibc allows.
enum { MAPPED_BYTES_MIN = 32 << 20 };

static uintptr_t asked_from, asked_to; // multiples of huge pages

static uintptr_t whole_pages(uintptr_t at)
{
    return at & ~(uintptr_t)(HUGE_PAGE_BYTES - 1);
}

void mm_alloc_keep_together(void)
{
    // Where malloc is another one these are only wishes, and the heap below stays empty.
    (void)mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES_MIN);
    (void)mallopt(M_TRIM_THRESHOLD, HEAP_SPARE_BYTES);
    (void)mallopt(M_TOP_PAD, HEAP_GROWTH_BYTES);
    asked_from = asked_to = whole_pages((uintptr_t)sbrk(0) + HUGE_PAGE_BYTES - 1);
}

size_t mm_alloc_ask_huge_pages(void)
{
    if (asked_from == 0)
        return 0;
    uintptr_t end = whole_pages((uintptr_t)sbrk(0));
    // What was given back is asked for again when it is there again.
    if (end < asked_to)
        asked_to = end > asked_from ? end : asked_from;
    if (end > asked_to) {
        (void)madvise((void *)asked_to, end - asked_to, MADV_HUGEPAGE);
        asked_to = end;
    }
    return asked_to - asked_from;
}
