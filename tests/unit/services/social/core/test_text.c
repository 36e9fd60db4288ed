#include <criterion/criterion.h>
#include <string.h>

#include "services/social/core/text.h"

static enum social_text judge(const char *text)
{
    size_t len = strlen(text);
    return social_text_check(&text, &len, 5);
}

Test(social_text, plain_messages_pass_and_are_trimmed)
{
    const char *text = " \t hi \n";
    size_t len = strlen(text);
    cr_assert_eq(social_text_check(&text, &len, 5), SOCIAL_TEXT_OK);
    cr_assert_eq(len, 2);
    cr_assert_eq(memcmp(text, "hi", 2), 0);
}

Test(social_text, the_limit_counts_characters_not_bytes)
{
    cr_assert_eq(judge("äöü€😀"), SOCIAL_TEXT_OK);
    cr_assert_eq(judge("äöü€😀x"), SOCIAL_TEXT_TOO_LONG);
    cr_assert_eq(judge("12345"), SOCIAL_TEXT_OK);
    cr_assert_eq(judge("123456"), SOCIAL_TEXT_TOO_LONG);
}

Test(social_text, nothing_is_empty)
{
    cr_assert_eq(judge(""), SOCIAL_TEXT_EMPTY);
    cr_assert_eq(judge(" \t\n "), SOCIAL_TEXT_EMPTY);
}

Test(social_text, disguises_are_refused)
{
    cr_assert_eq(judge("a\nb"), SOCIAL_TEXT_INVALID, "a line break");
    cr_assert_eq(judge("a\x1b[1m"), SOCIAL_TEXT_INVALID, "a terminal escape");
    cr_assert_eq(judge("a\xe2\x80\xae"
                       "b"),
                 SOCIAL_TEXT_INVALID, "right-to-left override");
    cr_assert_eq(judge("a\xc2\x85"), SOCIAL_TEXT_INVALID, "a C1 control");
    cr_assert_eq(judge("\xff\xfe"), SOCIAL_TEXT_INVALID, "not UTF-8");
    cr_assert_eq(judge("\xc0\xaf"), SOCIAL_TEXT_INVALID, "an overlong form");
    cr_assert_eq(judge("\xed\xa0\x80"), SOCIAL_TEXT_INVALID, "a surrogate");
}

Test(social_text, lines_where_they_are_allowed)
{
    const char *text = "\na\n\nb\n";
    size_t len = strlen(text);
    cr_assert_eq(social_text_check_lines(&text, &len, 5), SOCIAL_TEXT_OK);
    cr_assert_eq(len, 4);
    text = "a\rb";
    len = strlen(text);
    cr_assert_eq(social_text_check_lines(&text, &len, 5), SOCIAL_TEXT_INVALID);
}
