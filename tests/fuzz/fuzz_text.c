// The text parsers of libcommon/base: whatever bytes come, they stay inside them and accept only
// what prints back the same.
#include "libcommon/base/buf_json.h"
#include "libcommon/base/check.h"
#include "libcommon/base/id.h"
#include "libcommon/base/str.h"
#include "libcommon/base/varint.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void integers(const char *text, size_t len)
{
    char again[32];
    int64_t s;
    uint64_t u;
    if (mm_str_parse_i64(text, len, INT64_MIN, INT64_MAX, &s) == MM_OK) {
        int n = snprintf(again, sizeof again, "%" PRId64, s);
        MM_CHECK((size_t)n == len && memcmp(again, text, len) == 0);
    }
    if (mm_str_parse_u64(text, len, 0, UINT64_MAX, &u) == MM_OK) {
        int n = snprintf(again, sizeof again, "%" PRIu64, u);
        MM_CHECK((size_t)n == len && memcmp(again, text, len) == 0);
    }
    double d;
    if (mm_str_parse_double(text, len, -1e300, 1e300, &d) == MM_OK)
        MM_CHECK(d >= -1e300 && d <= 1e300);
}

static void ids(const char *text, size_t len)
{
    uint64_t id;
    char again[MM_ID_TEXT_BYTES];
    if (mm_id_parse(text, len, "u_", &id) == MM_OK)
        MM_CHECK(mm_id_format(again, "u_", id) == len && memcmp(again, text, len) == 0);
}

static void utf8(const char *text, size_t len)
{
    size_t count = mm_utf8_count(text, len);
    MM_CHECK(count <= len || count == SIZE_MAX);
    struct mm_buf buf;
    mm_buf_init(&buf, 6 * len + 2);
    mm_buf_json_str(&buf, text, len);
    MM_CHECK(buf.err == MM_OK && mm_utf8_valid(buf.data, buf.len));
    for (size_t i = 0; i < buf.len; i++)
        MM_CHECK(buf.data[i] >= ' ');
    mm_buf_free(&buf);
}

static void varints(const uint8_t *data, size_t len)
{
    uint64_t value;
    uint8_t again[MM_VARINT_BYTES_MAX];
    size_t read = mm_varint_read(data, len, &value);
    MM_CHECK(read <= len && read <= MM_VARINT_BYTES_MAX);
    // Superfluous zero groups are allowed, so the shortest form may be shorter.
    if (read > 0)
        MM_CHECK(mm_varint_write(again, value) <= read);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const char *text = (const char *)data;
    integers(text, len);
    ids(text, len);
    utf8(text, len);
    varints(data, len);
    uint8_t bytes[16];
    size_t out = len / 2 < sizeof bytes ? len / 2 : sizeof bytes;
    if (mm_hex_decode(text, len, bytes, out) == MM_OK)
        MM_CHECK(len == 2 * out);
    mm_str_trim(&text, &len);
    return 0;
}
