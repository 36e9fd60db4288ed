#include "libcommon/service/known_token.h"

#include <criterion/criterion.h>

static const int64_t wall_ms = INT64_C(1700000000000);
static const uint8_t hash[MM_KNOWN_TOKEN_HASH_BYTES] = {1, 2, 3};

// Found good when it was asked about at 5,000 ms, for 3 s; a day from its end.
static struct mm_known_token known(void)
{
    struct mm_known_token token = {.until_ms = 8000, .expires_wall_ms = wall_ms + 86400000};
    memcpy(token.hash, hash, sizeof hash);
    return token;
}

Test(mm_known_token, is_believed_for_its_time)
{
    struct mm_known_token token = known();
    cr_expect(mm_known_token_holds(&token, hash, 5000, wall_ms));
    cr_expect(mm_known_token_holds(&token, hash, 7999, wall_ms + 2999));
    cr_expect_not(mm_known_token_holds(&token, hash, 8000, wall_ms + 3000));
    static const uint8_t other[MM_KNOWN_TOKEN_HASH_BYTES] = {1, 2, 4};
    cr_expect_not(mm_known_token_holds(&token, other, 5000, wall_ms));
    cr_expect_not(mm_known_token_holds(&(struct mm_known_token){0}, hash, 0, 0));
}

Test(mm_known_token, a_wall_clock_that_is_set_back_prolongs_nothing)
{
    struct mm_known_token token = known();
    cr_expect_not(mm_known_token_holds(&token, hash, 8000, wall_ms - 3600000));
    cr_expect_not(mm_known_token_holds(&token, hash, 8000, 0));
}

Test(mm_known_token, ends_with_the_token_itself)
{
    struct mm_known_token token = known();
    token.expires_wall_ms = wall_ms + 1000;
    cr_expect(mm_known_token_holds(&token, hash, 5999, wall_ms + 999));
    cr_expect_not(mm_known_token_holds(&token, hash, 6000, wall_ms + 1000));
}
