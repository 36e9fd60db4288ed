#include "services/social/core/text.h"

#include <stdbool.h>
#include <stdint.h>

#include "libcommon/base/str.h"

static uint32_t decode(const uint8_t *bytes, size_t length)
{
    if (length == 1)
        return bytes[0];
    uint32_t code = bytes[0] & (0x7fu >> length);
    for (size_t i = 1; i < length; i++)
        code = code << 6 | (bytes[i] & 0x3fu);
    return code;
}

// Characters that would let a message pose as something else: controls, line breaks, and the marks
// that turn the direction of the text around them (Unicode TR36, 3.3).
static bool is_forbidden(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x2028 || code == 0x2029 ||
           (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069) ||
           code == 0xfeff;
}

static enum social_text check(const char **text, size_t *len, size_t characters_max, bool lines)
{
    mm_str_trim(text, len);
    const uint8_t *bytes = (const uint8_t *)*text;
    size_t characters = 0;
    for (size_t at = 0; at < *len; characters++) {
        size_t length = mm_utf8_sequence(bytes + at, *len - at);
        bool breaks = lines && bytes[at] == '\n';
        if (length == 0 || (!breaks && is_forbidden(decode(bytes + at, length))))
            return SOCIAL_TEXT_INVALID;
        at += length;
    }
    if (characters == 0)
        return SOCIAL_TEXT_EMPTY;
    return characters > characters_max ? SOCIAL_TEXT_TOO_LONG : SOCIAL_TEXT_OK;
}

enum social_text social_text_check(const char **text, size_t *len, size_t characters_max)
{
    return check(text, len, characters_max, false);
}

enum social_text social_text_check_lines(const char **text, size_t *len, size_t characters_max)
{
    return check(text, len, characters_max, true);
}
