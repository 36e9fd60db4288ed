#include "libcommon/base/alloc.h"
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

Test(alloc, failing_mode_counts_down_and_stays)
{
    mm_alloc_fail_after(2);
    void *first = mm_malloc(10), *second = mm_calloc(1, 10);
    cr_assert(first && second);
    cr_assert_null(mm_malloc(1));
    cr_assert_null(mm_calloc(1, 1));
    cr_assert_null(mm_realloc(first, 20));
    cr_assert_null(mm_strdup("x"));
    cr_assert_null(mm_calloc_aligned(64, 1));
    mm_alloc_fail_after(-1);
    first = mm_realloc(first, 20);
    cr_assert_not_null(first);
    mm_free(first);
    mm_free(second);
}

Test(alloc, nothing_and_too_much)
{
    void *empty = mm_malloc(0), *none = mm_calloc(0, 8);
    cr_assert(empty && none, "zero bytes are memory too, not an error");
    mm_free(empty);
    mm_free(none);
    // Through volatile, or the compiler sees that it cannot work.
    volatile size_t much = SIZE_MAX / 2;
    cr_assert_null(mm_calloc(much, 4));
    mm_free(NULL);
}

Test(alloc, aligned_memory_is_aligned_and_zeroed)
{
    uint8_t *memory = mm_calloc_aligned(64, 200);
    cr_assert_eq((uintptr_t)memory % 64, 0);
    for (int i = 0; i < 200; i++)
        cr_assert_eq(memory[i], 0);
    mm_free(memory);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) // they bring another malloc

// The flags of the mapping with the address, as the system tells them; "": it does not.
static void flags_of(const void *address, char *flags, size_t flags_max)
{
    FILE *file = fopen("/proc/self/smaps", "r");
    char line[512];
    bool there = false;
    flags[0] = '\0';
    while (file && !flags[0] && fgets(line, sizeof line, file)) {
        uint64_t from, to;
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " ", &from, &to) == 2)
            there = from <= (uintptr_t)address && (uintptr_t)address < to;
        else if (there && strncmp(line, "VmFlags:", 8) == 0)
            (void)snprintf(flags, flags_max, "%s", line + 8);
    }
    if (file)
        (void)fclose(file);
}

Test(alloc, huge_pages_are_asked_for_as_the_heap_grows)
{
    enum { BLOCKS = 1500, BLOCK_BYTES = 32 << 10, SOME_BYTES = 30 << 20 };
    static uint8_t *blocks[BLOCKS];
    cr_assert_eq(mm_alloc_ask_huge_pages(), 0, "nobody wants that yet");
    mm_alloc_keep_together();
    cr_assert_eq(mm_alloc_ask_huge_pages(), 0, "the heap has not grown");
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = mm_calloc(1, BLOCK_BYTES);
        cr_assert_not_null(blocks[i]);
        memset(blocks[i], i, BLOCK_BYTES);
    }
    size_t asked = mm_alloc_ask_huge_pages();
    cr_assert_gt(asked, SOME_BYTES);
    cr_assert_eq(mm_alloc_ask_huge_pages(), asked);
    char flags[512];
    flags_of(blocks[BLOCKS / 2], flags, sizeof flags);
    if (flags[0] && access("/sys/kernel/mm/transparent_hugepage/enabled", R_OK) == 0)
        cr_assert_not_null(strstr(flags, " hg"), "%s", flags);
    for (int i = 0; i < BLOCKS; i++)
        for (int at = 0; at < BLOCK_BYTES; at++)
            cr_assert_eq(blocks[i][at], (uint8_t)i);
    for (int i = 0; i < BLOCKS; i++)
        mm_free(blocks[i]);
    // Less is asked for when memory was given back, and all of it again when it is needed again.
    cr_assert_leq(mm_alloc_ask_huge_pages(), asked);
}

#endif
