#include "libcommon/base/progress.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

Test(progress, a_step_for_so_many_rows)
{
    static struct mm_progress progress;
    for (size_t row = 0; row < 10 * MM_PROGRESS_EVERY; row++)
        cr_assert(mm_progress_row(&progress, row));
    cr_assert_eq(mm_progress_steps(&progress), 10);
    cr_assert(mm_progress_step(NULL), "nobody waits");
    cr_assert(mm_progress_row(NULL, MM_PROGRESS_EVERY - 1));
}

Test(progress, given_up_is_heard_at_the_next_step)
{
    static struct mm_progress progress;
    cr_assert_not(mm_progress_given_up(&progress));
    mm_progress_give_up(&progress);
    cr_assert(mm_progress_given_up(&progress));
    cr_assert_not(mm_progress_given_up(NULL));
    cr_assert(mm_progress_row(&progress, 0), "not a row with a step");
    cr_assert_not(mm_progress_row(&progress, MM_PROGRESS_EVERY - 1));
    cr_assert_not(mm_progress_step(&progress));
}

Test(progress, large_blocks_in_pieces)
{
    enum { BYTES = (5 << 20) + 12345 };
    static struct mm_progress progress;
    uint8_t *from = malloc(BYTES + 1), *to = malloc(BYTES + 1);
    cr_assert(from && to);
    for (size_t i = 0; i < BYTES; i++)
        from[i] = (uint8_t)(i * 7 + i / 251);
    to[BYTES] = 0xa5;
    mm_progress_copy(&progress, to, from, BYTES);
    cr_assert_eq(memcmp(to, from, BYTES), 0);
    cr_assert_eq(to[BYTES], 0xa5);
    cr_assert_eq(mm_progress_steps(&progress), 6);
    memset(from, 0, BYTES);
    mm_progress_zero(&progress, to, BYTES);
    cr_assert_eq(memcmp(to, from, BYTES), 0);
    cr_assert_eq(to[BYTES], 0xa5);
    cr_assert_eq(mm_progress_steps(&progress), 12);
    mm_progress_zero(NULL, to, 0);
    free(from);
    free(to);
}
