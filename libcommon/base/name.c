#include "libcommon/base/name.h"

#include "libcommon/base/str.h"

static bool is_name_char(uint32_t point)
{
    return point >= 0x20 && !(point >= 0x7f && point <= 0x9f) && point != 0xad && point != 0x061c &&
           point != 0x180e && !(point >= 0x200b && point <= 0x200f) &&
           !(point >= 0x2028 && point <= 0x202e) && !(point >= 0x2060 && point <= 0x206f) &&
           point != 0xfeff && !(point >= 0xfff0 && point <= 0xfffb) &&
           !(point >= 0xe0000 && point <= 0xe0fff);
}

static uint32_t code_point(const uint8_t *at, size_t bytes)
{
    static const uint8_t masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t point = at[0] & masks[bytes];
    for (size_t i = 1; i < bytes; i++) {
        point = point << 6 | (at[i] & 0x3f);
    }
    return point;
}

bool mm_name_valid(const char *name, size_t len, size_t chars_max)
{
    if (len == 0 || name[0] == ' ' || name[len - 1] == ' ') {
        return false;
    }
    size_t chars = 0;
    for (size_t at = 0; at < len; chars++) {
        const uint8_t *bytes = (const uint8_t *)name + at;
        size_t sequence = mm_utf8_sequence(bytes, len - at);
        if (sequence == 0 || chars == chars_max || !is_name_char(code_point(bytes, sequence))) {
            return false;
        }
        at += sequence;
    }
    return true;
}
