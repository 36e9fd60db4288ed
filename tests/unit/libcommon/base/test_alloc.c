#include "libcommon/base/alloc.h"
#include <criterion/criterion.h>

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
