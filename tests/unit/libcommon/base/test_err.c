#include "libcommon/base/check.h"
#include "libcommon/base/err.h"
#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>

Test(err, names_and_statuses)
{
    for (int i = 0; i < MM_ERR_COUNT; i++) {
        enum mm_err err = (enum mm_err)i;
        cr_assert_eq(mm_err_from_name(mm_err_name(err)), err);
        int status = mm_err_http_status(err);
        cr_assert(err == MM_OK ? status == 200 : status >= 400 && status < 600);
    }
    cr_assert_str_eq(mm_err_name(MM_NOT_FOUND), "NOT_FOUND");
    cr_assert_eq(mm_err_http_status(MM_UNAUTHENTICATED), 401);
    cr_assert_eq(mm_err_http_status(MM_UNAVAILABLE), 503);
    cr_assert_str_eq(mm_err_name((enum mm_err)99), "UNKNOWN");
    cr_assert_str_eq(mm_err_name((enum mm_err) - 1), "UNKNOWN");
    cr_assert_eq(mm_err_http_status((enum mm_err)99), 500);
    cr_assert_eq(mm_err_from_name("nonsense"), MM_UNKNOWN);
}

Test(err, a_failed_check_aborts, .signal = SIGABRT)
{
    MM_CHECK(1 + 1 == 3);
}

Test(err, a_true_check_does_nothing)
{
    MM_CHECK(1 + 1 == 2);
}
