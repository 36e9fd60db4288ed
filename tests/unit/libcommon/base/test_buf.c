#include "libcommon/base/alloc.h"
#include "libcommon/base/buf.h"
#include "libcommon/base/rng.h"
#include "libcommon/base/varint.h"
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>

Test(buf, numbers_print_as_printf_prints_them)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 1);
    struct mm_buf buf;
    mm_buf_init(&buf, 1000);
    for (int i = 0; i < 100000; i++) {
        uint64_t value = mm_rng_u64(&rng) >> mm_rng_below(&rng, 64);
        if (i < 300)
            value = (uint64_t)i - 150;
        char wanted[64];
        snprintf(wanted, sizeof wanted, "%" PRIu64 " %" PRId64, value, (int64_t)value);
        mm_buf_reset(&buf);
        mm_buf_dec_u64(&buf, value);
        mm_buf_byte(&buf, ' ');
        mm_buf_dec_i64(&buf, (int64_t)value);
        cr_assert_str_eq(mm_buf_cstr(&buf), wanted);
    }
    mm_buf_reset(&buf);
    mm_buf_dec_i64(&buf, INT64_MIN);
    cr_assert_str_eq(mm_buf_cstr(&buf), "-9223372036854775808");
    mm_buf_free(&buf);
}

Test(buf, pieces_follow_one_another)
{
    struct mm_buf buf;
    mm_buf_init(&buf, 4096);
    mm_buf_str(&buf, "a");
    MM_BUF_LIT(&buf, "b\0c");
    mm_buf_append(&buf, "xyz", 2);
    mm_buf_append(&buf, NULL, 0);
    mm_buf_hex(&buf, "\x00\xff\x1a", 3);
    mm_buf_printf(&buf, "%s-%d", "p", 7);
    mm_buf_u16le(&buf, 0x0102);
    mm_buf_u32le(&buf, 0x03040506);
    mm_buf_u64le(&buf, UINT64_C(0x0708090a0b0c0d0e));
    const char wanted[] =
        "ab\0cxy00ff1ap-7\x02\x01\x06\x05\x04\x03\x0e\x0d\x0c\x0b\x0a\x09\x08\x07";
    cr_assert_eq(buf.len, sizeof wanted - 1);
    cr_assert_eq(memcmp(buf.data, wanted, buf.len), 0);
    mm_buf_consume(&buf, 4);
    mm_buf_truncate(&buf, 2);
    cr_assert_str_eq(mm_buf_cstr(&buf), "xy");
    size_t len;
    uint8_t *data = mm_buf_detach(&buf, &len);
    cr_assert_eq(len, 2);
    cr_assert_null(buf.data);
    mm_free(data);
    mm_buf_free(&buf);
}

Test(buf, varints_read_back)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 2);
    struct mm_buf buf;
    mm_buf_init(&buf, 64);
    for (int i = 0; i < 10000; i++) {
        uint64_t value = mm_rng_u64(&rng) >> mm_rng_below(&rng, 64), read;
        mm_buf_reset(&buf);
        mm_buf_varint(&buf, value);
        size_t first = mm_varint_read(buf.data, buf.len, &read);
        cr_assert_eq(read, value);
        mm_buf_zigzag(&buf, (int64_t)value);
        cr_assert_eq(mm_varint_read(buf.data + first, buf.len - first, &read), buf.len - first);
        cr_assert_eq(mm_zigzag_decode(read), (int64_t)value);
    }
    mm_buf_free(&buf);
}

Test(buf, the_maximum_is_reached_and_not_passed)
{
    struct mm_buf buf;
    mm_buf_init(&buf, 100);
    for (int i = 0; i < 100; i++)
        mm_buf_byte(&buf, 'x');
    cr_assert_eq(buf.err, MM_OK);
    cr_assert_eq(buf.len, 100);
    mm_buf_byte(&buf, 'y');
    cr_assert_eq(buf.err, MM_RESOURCE_EXHAUSTED);
    cr_assert_eq(buf.len, 100);
    mm_buf_truncate(&buf, 50);
    mm_buf_byte(&buf, 'y');
    cr_assert_eq(buf.len, 50, "the error sticks");
    cr_assert_null(mm_buf_cstr(&buf));
    mm_buf_reset(&buf);
    mm_buf_printf(&buf, "%100d", 1);
    cr_assert_eq(buf.len, 100, "printf's NUL does not count");
    mm_buf_reset(&buf);
    mm_buf_printf(&buf, "%101d", 1);
    cr_assert_eq(buf.err, MM_RESOURCE_EXHAUSTED);
    mm_buf_reset(&buf);
    mm_buf_printf(&buf, "%97d", 1);
    mm_buf_dec_i64(&buf, -123);
    cr_assert_eq(buf.len, 97, "no half number");
    cr_assert_eq(buf.err, MM_RESOURCE_EXHAUSTED);
    mm_buf_free(&buf);
}

Test(buf, long_printf_is_whole)
{
    struct mm_buf buf;
    mm_buf_init(&buf, SIZE_MAX);
    for (int width = 1; width < 2000; width += 37) {
        mm_buf_reset(&buf);
        mm_buf_printf(&buf, "%*d", width, 5);
        cr_assert_eq(buf.len, (size_t)width);
        cr_assert_eq(buf.data[width - 1], '5');
    }
    mm_buf_free(&buf);
}

Test(buf, failing_allocations_stick)
{
    struct mm_buf buf;
    mm_buf_init(&buf, 1 << 20);
    mm_buf_str(&buf, "kept");
    mm_alloc_fail_after(0);
    mm_buf_printf(&buf, "%1000d", 1);
    cr_assert_eq(buf.err, MM_RESOURCE_EXHAUSTED);
    mm_alloc_fail_after(-1);
    cr_assert_eq(buf.len, 4);
    cr_assert_eq(memcmp(buf.data, "kept", 4), 0);
    mm_buf_free(&buf);
}
