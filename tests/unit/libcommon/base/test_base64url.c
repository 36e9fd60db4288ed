// Base64url against the vectors of RFC 4648, section 10, and: every text that decodes encodes back
// to itself, so no byte string has two texts.

#include "libcommon/base/base64url.h"
#include "libcommon/base/name.h"
#include "libcommon/base/rng.h"

#include <criterion/criterion.h>
#include <string.h>

Test(base64url, known_vectors)
{
    static const struct {
        const char *plain, *text;
    } vectors[] = {
        {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},          {"foo", "Zm9v"},
        {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}, {"\xfb\xff\xbf", "-_-_"}};
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        char text[16];
        size_t len = strlen(vectors[i].plain);
        cr_expect(mm_base64url_encode(vectors[i].plain, len, text) == mm_base64url_chars(len));
        cr_expect_str_eq(text, vectors[i].text);
        uint8_t back[16];
        size_t back_len;
        cr_expect(mm_base64url_decode(text, strlen(text), back, sizeof back, &back_len) == MM_OK);
        cr_expect(back_len == len && memcmp(back, vectors[i].plain, len) == 0);
    }
}

Test(base64url, refuses_every_other_spelling)
{
    static const char *const texts[] = {"Zg==",  "Zg=",  "Zh",   "Zm9",    "Z",     "Zm9vY",
                                        "Zm 9v", "Zm+v", "Zm/v", "Zm9v\n", "Zm9v=", "\xc3\xbcm9v"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        uint8_t out[16];
        size_t len;
        cr_expect(mm_base64url_decode(texts[i], strlen(texts[i]), out, sizeof out, &len) ==
                      MM_INVALID_ARGUMENT,
                  "%s", texts[i]);
    }
    uint8_t out[2];
    size_t len;
    cr_expect(mm_base64url_decode("Zm9v", 4, out, sizeof out, &len) == MM_OUT_OF_RANGE);
}

Test(base64url, what_decodes_encodes_back_to_itself)
{
    static const char letters[] = "AQgwBRhxCSiyZ09-_=+/";
    struct mm_rng rng;
    mm_rng_seed(&rng, 7);
    int decoded = 0;
    for (int round = 0; round < 200000; round++) {
        char text[9];
        size_t chars = (size_t)mm_rng_below(&rng, 9);
        for (size_t i = 0; i < chars; i++) {
            text[i] = letters[mm_rng_below(&rng, sizeof letters - 1)];
        }
        uint8_t bytes[8];
        size_t len;
        if (mm_base64url_decode(text, chars, bytes, sizeof bytes, &len) == MM_OK) {
            char again[16];
            decoded++;
            cr_assert(mm_base64url_encode(bytes, len, again) == chars);
            cr_assert(memcmp(again, text, chars) == 0);
        }
    }
    cr_expect(decoded > 10000);
}

Test(name, accepts_names_and_refuses_tricks)
{
    static const char *const good[] = {
        "a", "Ann", "Jörg Müller", "李小龍", "x y", "🐉 drake", "12345678901234567890123456789012"};
    static const char *const bad[] = {"",
                                      " a",
                                      "a ",
                                      "a\nb",
                                      "a\tb",
                                      "a\x7f",
                                      "\xc2\x80",
                                      "a\xe2\x80\xae"
                                      "b",
                                      "\xe2\x80\x8b",
                                      "a\xef\xbb\xbf",
                                      "\xff",
                                      "\xc0\xaf",
                                      "a\xed\xa0\x80",
                                      "123456789012345678901234567890123",
                                      "\xe2\x81\xa6"
                                      "a",
                                      "\xf3\xa0\x80\x81"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        cr_expect(mm_name_valid(good[i], strlen(good[i]), 32), "%s", good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_expect(!mm_name_valid(bad[i], strlen(bad[i]), 32), "number %zu", i);
    }
    cr_expect(!mm_name_valid("a\0b", 3, 32));
}
