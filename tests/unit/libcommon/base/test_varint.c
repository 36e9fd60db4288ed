#include "libcommon/base/varint.h"
#include <criterion/criterion.h>
#include <string.h>

Test(varint, known_encodings)
{
    uint8_t bytes[MM_VARINT_BYTES_MAX];
    uint64_t value;
    cr_assert_eq(mm_varint_write(bytes, 0), 1);
    cr_assert_eq(bytes[0], 0);
    cr_assert_eq(mm_varint_write(bytes, 300), 2);
    cr_assert_eq(memcmp(bytes, "\xac\x02", 2), 0);
    cr_assert_eq(mm_varint_write(bytes, UINT64_MAX), 10);
    cr_assert_eq(mm_varint_read(bytes, 10, &value), 10);
    cr_assert_eq(value, UINT64_MAX);
    const int64_t plain[] = {0, -1, 1, -2, 2147483647, -2147483648, INT64_MAX, INT64_MIN};
    const uint64_t zigzag[] = {0, 1, 2, 3, 4294967294, 4294967295, UINT64_MAX - 1, UINT64_MAX};
    for (int i = 0; i < 8; i++) {
        cr_assert_eq(mm_zigzag_encode(plain[i]), zigzag[i]);
        cr_assert_eq(mm_zigzag_decode(zigzag[i]), plain[i]);
    }
}

Test(varint, broken_input_reads_nothing)
{
    uint64_t value = 7;
    cr_assert_eq(mm_varint_read(NULL, 0, &value), 0);
    cr_assert_eq(mm_varint_read((const uint8_t *)"\x80\x80", 2, &value), 0);
    cr_assert_eq(
        mm_varint_read((const uint8_t *)"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10, &value), 0,
        "65 bits");
    cr_assert_eq(
        mm_varint_read((const uint8_t *)"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 11, &value),
        0, "eleven bytes");
    cr_assert_eq(value, 7);
}
