#include "libcommon/base/alloc.h"
#include "libcommon/base/vec.h"
#include <criterion/criterion.h>

struct numbers {
    MM_VEC(uint16_t);
};

Test(vec, grows_to_its_maximum)
{
    struct numbers numbers;
    mm_vec_init(&numbers, 1000);
    for (uint16_t i = 0; i < 1000; i++)
        cr_assert(mm_vec_push(&numbers, i));
    cr_assert(!mm_vec_push(&numbers, 1000));
    cr_assert_eq(numbers.count, 1000);
    for (uint16_t i = 0; i < 1000; i++)
        cr_assert_eq(numbers.items[i], i);
    mm_vec_remove_swap(&numbers, 0);
    cr_assert_eq(numbers.items[0], 999);
    cr_assert_eq(mm_vec_pop(&numbers), 998);
    cr_assert_eq(numbers.count, 998);
    mm_vec_clear(&numbers);
    cr_assert_eq(numbers.count, 0);
    mm_vec_free(&numbers);
    cr_assert_null(numbers.items);
}

Test(vec, reserve_and_failing_allocations)
{
    struct numbers numbers;
    mm_vec_init(&numbers, SIZE_MAX);
    cr_assert(!mm_vec_reserve(&numbers, SIZE_MAX / 2 + 1), "the bytes would overflow");
    cr_assert(mm_vec_reserve(&numbers, 10));
    for (uint16_t i = 0; i < 16; i++)
        cr_assert(mm_vec_push(&numbers, i));
    mm_alloc_fail_after(0);
    cr_assert(!mm_vec_push(&numbers, 16));
    mm_alloc_fail_after(-1);
    cr_assert_eq(numbers.count, 16);
    cr_assert_eq(numbers.items[15], 15);
    mm_vec_free(&numbers);
}
