#include "libcommon/base/varint.h"

size_t mm_varint_write(uint8_t out[MM_VARINT_BYTES_MAX], uint64_t value)
{
    size_t len = 0;
    while (value >= 0x80) {
        out[len++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    out[len++] = (uint8_t)value;
    return len;
}

size_t mm_varint_read(const uint8_t *data, size_t len, uint64_t *value_out)
{
    uint64_t value = 0;
    for (size_t i = 0; i < len && i < MM_VARINT_BYTES_MAX; i++) {
        // The tenth byte has one bit left to give.
        if (i == MM_VARINT_BYTES_MAX - 1 && data[i] > 1)
            return 0;
        value |= (uint64_t)(data[i] & 0x7f) << (7 * i);
        if (data[i] < 0x80) {
            *value_out = value;
            return i + 1;
        }
    }
    return 0;
}
