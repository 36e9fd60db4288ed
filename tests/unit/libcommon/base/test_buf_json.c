#include "libcommon/base/buf_json.h"
#include "libcommon/base/rng.h"
#include "libcommon/base/str.h"
#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>

static const char *escaped(struct mm_buf *buf, const char *text, size_t len)
{
    mm_buf_reset(buf);
    mm_buf_json_str(buf, text, len);
    return mm_buf_cstr(buf);
}

Test(buf_json, escapes)
{
    struct mm_buf buf;
    mm_buf_init(&buf, 4096);
    cr_assert_str_eq(escaped(&buf, "", 0), "\"\"");
    cr_assert_str_eq(escaped(&buf, "a\"b\\c/", 6), "\"a\\\"b\\\\c/\"");
    cr_assert_str_eq(escaped(&buf, "\n\r\t\b\f\x01\0\x7f", 8),
                     "\"\\n\\r\\t\\b\\f\\u0001\\u0000\\u007f\"");
    cr_assert_str_eq(escaped(&buf, "gr\xc3\xbc\xc3\x9f \xf0\x9f\x8f\xb0", 11),
                     "\"gr\xc3\xbc\xc3\x9f \xf0\x9f\x8f\xb0\"");
    cr_assert_str_eq(escaped(&buf, "\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa", 9),
                     "\"\\u2028\\u2029\xe2\x80\xaa\"");
    cr_assert_str_eq(escaped(&buf, "a\xff\xc3", 3), "\"a\xef\xbf\xbd\xef\xbf\xbd\"");
    mm_buf_free(&buf);
}

// Random bytes must always give text that an independent parser accepts; and what was valid UTF-8
// must come back unchanged.
Test(buf_json, any_bytes_make_valid_json)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 1);
    struct mm_buf buf;
    mm_buf_init(&buf, 4096);
    unsigned valid = 0;
    for (int i = 0; i < 20000; i++) {
        char text[24];
        size_t len = (size_t)mm_rng_below(&rng, sizeof text);
        for (size_t k = 0; k < len; k++)
            text[k] = (char)mm_rng_below(&rng, i % 2 ? 256 : 128);
        const char *json = escaped(&buf, text, len);
        json_t *value = json_loads(json, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        cr_assert(json_is_string(value));
        if (mm_utf8_valid(text, len)) {
            valid++;
            cr_assert_eq(json_string_length(value), len);
            cr_assert_eq(memcmp(json_string_value(value), text, len), 0);
        }
        json_decref(value);
    }
    cr_assert_gt(valid, 5000);
    mm_buf_free(&buf);
}

Test(buf_json, doubles_read_back_exactly)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 2);
    struct mm_buf buf;
    mm_buf_init(&buf, 256);
    for (int i = 0; i < 20000; i++) {
        union {
            uint64_t bits;
            double number;
        } value = {.bits = mm_rng_u64(&rng)};
        mm_buf_reset(&buf);
        mm_buf_json_double(&buf, value.number);
        if (isfinite(value.number))
            cr_assert_eq(strtod(mm_buf_cstr(&buf), NULL), value.number);
        else
            cr_assert_str_eq(mm_buf_cstr(&buf), "null");
    }
    mm_buf_reset(&buf);
    mm_buf_json_double(&buf, 0.1);
    cr_assert_str_eq(mm_buf_cstr(&buf), "0.1");
    mm_buf_free(&buf);
}

Test(buf_json, an_object_in_pieces)
{
    struct mm_buf buf;
    mm_buf_init(&buf, 256);
    mm_buf_byte(&buf, '{');
    mm_buf_json_key(&buf, "a");
    mm_buf_json_u64(&buf, 18446744073709551615U);
    mm_buf_byte(&buf, ',');
    mm_buf_json_key(&buf, "b");
    mm_buf_json_i64(&buf, -5);
    mm_buf_byte(&buf, ',');
    mm_buf_json_key(&buf, "c");
    mm_buf_json_bool(&buf, true);
    mm_buf_byte(&buf, ',');
    mm_buf_json_key(&buf, "d");
    mm_buf_json_cstr(&buf, "x");
    mm_buf_byte(&buf, '}');
    cr_assert_str_eq(mm_buf_cstr(&buf),
                     "{\"a\":18446744073709551615,\"b\":-5,\"c\":true,\"d\":\"x\"}");
    mm_buf_free(&buf);
}
