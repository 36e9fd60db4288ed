// Which connection is there, whatever the order in which nng's threads tell of it.

#include "libcommon/io/nng_pipe.h"

#include <criterion/criterion.h>

static struct mm_nng_pipe self;

static void add(uint32_t id)
{
    mm_nng_pipe_note(&self, (nng_pipe){id}, NNG_PIPE_EV_ADD_POST);
}

static void end(uint32_t id)
{
    mm_nng_pipe_note(&self, (nng_pipe){id}, NNG_PIPE_EV_REM_POST);
}

Test(nng_pipe, comes_and_goes)
{
    cr_assert_eq(mm_nng_pipe_there(&self), 0);
    add(7);
    cr_assert_eq(mm_nng_pipe_there(&self), 7);
    end(7);
    cr_assert_eq(mm_nng_pipe_there(&self), 0);
    add(8);
    cr_assert_eq(mm_nng_pipe_there(&self), 8);
}

Test(nng_pipe, one_whose_end_was_told_first_is_not_there)
{
    end(7);
    add(7);
    cr_assert_eq(mm_nng_pipe_there(&self), 0);
    add(8);
    cr_assert_eq(mm_nng_pipe_there(&self), 8);
}

Test(nng_pipe, the_end_of_another_does_not_count)
{
    add(8);
    end(7);
    cr_assert_eq(mm_nng_pipe_there(&self), 8);
}
