#include "libcommon/io/trace.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "libcommon/base/check.h"
#include "libcommon/base/str.h"

void mm_random_bytes(void *out, size_t len)
{
    uint8_t *at = out;
    while (len > 0) {
        ssize_t got = getrandom(at, len, 0);
        if (got < 0) {
            MM_CHECK(errno == EINTR);
            continue;
        }
        at += got;
        len -= (size_t)got;
    }
}

static bool all_zero(const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

static bool lower_hex(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        bool digit = text[i] >= '0' && text[i] <= '9';
        bool letter = text[i] >= 'a' && text[i] <= 'f';
        if (!digit && !letter)
            return false;
    }
    return true;
}

static bool parse(const char *text, struct mm_trace *out)
{
    size_t len = strnlen(text, MM_TRACEPARENT_CHARS + 1);
    if (len < MM_TRACEPARENT_CHARS || text[2] != '-' || text[35] != '-' || text[52] != '-')
        return false;
    if (!lower_hex(text, 2) || !lower_hex(text + 3, 32) || !lower_hex(text + 36, 16) ||
        !lower_hex(text + 53, 2))
        return false;
    if (memcmp(text, "ff", 2) == 0)
        return false;
    // Version 00 ends here; a later version may go on after another dash.
    if (len > MM_TRACEPARENT_CHARS &&
        (memcmp(text, "00", 2) == 0 || text[MM_TRACEPARENT_CHARS] != '-'))
        return false;
    if (mm_hex_decode(text + 3, 32, out->trace_id, 16) != MM_OK ||
        mm_hex_decode(text + 36, 16, out->span_id, 8) != MM_OK ||
        mm_hex_decode(text + 53, 2, &out->flags, 1) != MM_OK)
        return false;
    return !all_zero(out->trace_id, 16) && !all_zero(out->span_id, 8);
}

bool mm_trace_parse(const char *text, struct mm_trace *out)
{
    if (text && parse(text, out))
        return true;
    *out = (struct mm_trace){0};
    return false;
}

struct mm_trace mm_trace_new(bool sampled)
{
    struct mm_trace trace = {.flags = sampled ? 1 : 0};
    do {
        mm_random_bytes(trace.trace_id, sizeof trace.trace_id);
        mm_random_bytes(trace.span_id, sizeof trace.span_id);
    } while (!mm_trace_valid(&trace));
    return trace;
}

struct mm_trace mm_trace_child(const struct mm_trace *parent)
{
    if (!parent || all_zero(parent->trace_id, sizeof parent->trace_id))
        return mm_trace_new(false);
    struct mm_trace child = *parent;
    do
        mm_random_bytes(child.span_id, sizeof child.span_id);
    while (all_zero(child.span_id, sizeof child.span_id));
    return child;
}

bool mm_trace_valid(const struct mm_trace *trace)
{
    return !all_zero(trace->trace_id, sizeof trace->trace_id) &&
           !all_zero(trace->span_id, sizeof trace->span_id);
}

void mm_trace_format(const struct mm_trace *trace, char out[MM_TRACEPARENT_CHARS + 1])
{
    memcpy(out, "00-", 3);
    mm_hex_encode(trace->trace_id, 16, out + 3);
    out[35] = '-';
    mm_hex_encode(trace->span_id, 8, out + 36);
    out[52] = '-';
    mm_hex_encode(&trace->flags, 1, out + 53);
}
