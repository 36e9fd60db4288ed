#include "libcommon/base/rng.h"
#include "libcommon/base/str.h"
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

Test(str, copy_is_bounded_and_terminated)
{
    char dst[4] = "zzz";
    cr_assert(mm_str_copy(dst, sizeof dst, "abc"));
    cr_assert_str_eq(dst, "abc");
    cr_assert(!mm_str_copy(dst, sizeof dst, "defg"));
    cr_assert_str_eq(dst, "def");
    cr_assert(mm_str_copy_n(dst, sizeof dst, "xyz", 1));
    cr_assert_str_eq(dst, "x");
    cr_assert(!mm_str_copy(dst, 1, "a"));
    cr_assert_str_eq(dst, "");
}

Test(str, comparisons)
{
    cr_assert(mm_str_equal("a", "a") && !mm_str_equal("a", "b"));
    cr_assert(mm_str_starts_with("unit_1", "unit_") && !mm_str_starts_with("un", "unit_"));
    cr_assert(mm_str_equal_secret("abc", 3, "abc", 3));
    cr_assert(!mm_str_equal_secret("abc", 3, "abd", 3));
    cr_assert(!mm_str_equal_secret("abc", 3, "abcd", 4));
    cr_assert(mm_str_equal_secret("", 0, "", 0));
}

static enum mm_err signed_of(const char *text, int64_t *out)
{
    return mm_str_parse_i64(text, strlen(text), INT64_MIN, INT64_MAX, out);
}

Test(str, integers_round_trip)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 1);
    for (int i = 0; i < 20000; i++) {
        uint64_t value = mm_rng_u64(&rng) >> mm_rng_below(&rng, 64), u;
        int64_t s;
        char text[32];
        int len = snprintf(text, sizeof text, "%" PRIu64, value);
        cr_assert_eq(mm_str_parse_u64(text, (size_t)len, 0, UINT64_MAX, &u), MM_OK);
        cr_assert_eq(u, value);
        snprintf(text, sizeof text, "%" PRId64, (int64_t)value);
        cr_assert_eq(signed_of(text, &s), MM_OK);
        cr_assert_eq(s, (int64_t)value);
    }
}

Test(str, integers_are_strict)
{
    static const char *const bad[] = {"",    "-",   "+1",  " 1",  "1 ",  "01", "-0",
                                      "--1", "0x1", "1.0", "1e3", "1,0", "a",  "-01"};
    int64_t s = 7;
    uint64_t u = 7;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_eq(signed_of(bad[i], &s), MM_INVALID_ARGUMENT, "%s", bad[i]);
        cr_assert_eq(mm_str_parse_u64(bad[i], strlen(bad[i]), 0, 9, &u), MM_INVALID_ARGUMENT);
    }
    cr_assert_eq(mm_str_parse_u64("-1", 2, 0, 9, &u), MM_INVALID_ARGUMENT);
    cr_assert_eq(signed_of("9223372036854775808", &s), MM_OUT_OF_RANGE);
    cr_assert_eq(signed_of("-9223372036854775809", &s), MM_OUT_OF_RANGE);
    cr_assert_eq(signed_of("99999999999999999999", &s), MM_OUT_OF_RANGE);
    cr_assert_eq(mm_str_parse_u64("18446744073709551616", 20, 0, UINT64_MAX, &u), MM_OUT_OF_RANGE);
    cr_assert_eq(mm_str_parse_u64("10", 2, 0, 9, &u), MM_OUT_OF_RANGE);
    cr_assert_eq(mm_str_parse_i64("-3", 2, -2, 9, &s), MM_OUT_OF_RANGE);
    cr_assert_eq(mm_str_parse_u64("1", 1, 2, 9, &u), MM_OUT_OF_RANGE);
    cr_assert(s == 7 && u == 7, "a failure changes nothing");
    cr_assert_eq(mm_str_parse_u64("123", 2, 0, 99, &u), MM_OK);
    cr_assert_eq(u, 12, "no byte beyond the length is read");
    cr_assert_eq(signed_of("-9223372036854775808", &s), MM_OK);
    cr_assert_eq(s, INT64_MIN);
}

Test(str, doubles_are_json_numbers)
{
    static const char *const bad[] = {"",    "-",   ".5",  "5.",  "1e",       "+1", "01",
                                      "nan", "inf", "0x1", "1e+", "Infinity", "1 ", "1.e3"};
    double d = 7;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_assert_eq(mm_str_parse_double(bad[i], strlen(bad[i]), -1e300, 1e300, &d),
                     MM_INVALID_ARGUMENT, "%s", bad[i]);
    cr_assert_eq(mm_str_parse_double("1e999", 5, -1e308, 1e308, &d), MM_OUT_OF_RANGE);
    cr_assert_eq(mm_str_parse_double("2", 1, 0, 1, &d), MM_OUT_OF_RANGE);
    cr_assert_eq(mm_str_parse_double("-12.5e-1", 8, -2, 1, &d), MM_OK);
    cr_assert_eq(d, -1.25);
}

Test(str, trim)
{
    const char *text = " \t a b\r\n";
    size_t len = strlen(text);
    mm_str_trim(&text, &len);
    cr_assert_eq(len, 3);
    cr_assert_eq(memcmp(text, "a b", 3), 0);
    text = " \n ";
    len = 3;
    mm_str_trim(&text, &len);
    cr_assert_eq(len, 0);
}

// Every sequence of one to four bytes from a set of telling bytes, against the definition: decode
// the bits, then ask whether encoding that code point gives the same bytes.
static size_t encode(uint32_t c, uint8_t out[4])
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, c >>= 6)
        out[i] = (uint8_t)(0x80 | (c & 0x3f));
    out[0] = (uint8_t)((n == 2 ? 0xc0 : n == 3 ? 0xe0 : 0xf0) | c);
    return n;
}

Test(str, utf8_accepts_exactly_what_encodes_a_code_point)
{
    uint8_t bytes[4];
    for (uint32_t c = 0; c <= 0x10ffff; c++) {
        size_t n = encode(c, bytes);
        bool surrogate = c >= 0xd800 && c <= 0xdfff;
        cr_assert_eq(mm_utf8_sequence(bytes, n), surrogate ? 0 : n);
        if (n > 1)
            cr_assert_eq(mm_utf8_sequence(bytes, n - 1), 0, "cut short");
    }
    // Conversely: whatever is accepted encodes a code point, in its shortest form.
    static const uint8_t telling[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf,
                                      0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee,
                                      0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xf8, 0xfc, 0xff};
    enum { T = sizeof telling };
    for (unsigned i = 0; i < T * T * T * T; i++) {
        for (unsigned k = 0, rest = i; k < 4; k++, rest /= T)
            bytes[k] = telling[rest % T];
        size_t n = mm_utf8_sequence(bytes, 4);
        if (n == 0)
            continue;
        uint32_t c = n == 1 ? bytes[0] : bytes[0] & (0x7fU >> n);
        for (size_t k = 1; k < n; k++)
            c = c << 6 | (bytes[k] & 0x3f);
        uint8_t again[4];
        cr_assert_eq(encode(c, again), n);
        cr_assert_eq(memcmp(again, bytes, n), 0);
        cr_assert(c <= 0x10ffff && !(c >= 0xd800 && c <= 0xdfff));
    }
}

Test(str, utf8_counts_code_points)
{
    cr_assert_eq(mm_utf8_count("", 0), 0);
    cr_assert_eq(mm_utf8_count("a\xc3\xbc\xe2\x82\xac\xf0\x9f\x8f\xb0", 10), 4);
    cr_assert_eq(mm_utf8_count("a\xc3", 2), SIZE_MAX);
    cr_assert(mm_utf8_valid("abc", 3) && !mm_utf8_valid("\x80", 1));
}

Test(str, hex_round_trips)
{
    uint8_t bytes[256], back[256];
    char text[513];
    for (int i = 0; i < 256; i++)
        bytes[i] = (uint8_t)i;
    mm_hex_encode(bytes, 256, text);
    cr_assert_eq(strlen(text), 512);
    cr_assert_eq(mm_hex_decode(text, 512, back, 256), MM_OK);
    cr_assert_eq(memcmp(bytes, back, 256), 0);
    cr_assert_eq(mm_hex_decode("aBfF", 4, back, 2), MM_OK);
    cr_assert(back[0] == 0xab && back[1] == 0xff);
    cr_assert_eq(mm_hex_decode("abc", 3, back, 1), MM_INVALID_ARGUMENT);
    cr_assert_eq(mm_hex_decode("ag", 2, back, 1), MM_INVALID_ARGUMENT);
    cr_assert_eq(mm_hex_decode("abcd", 4, back, 1), MM_INVALID_ARGUMENT);
}
