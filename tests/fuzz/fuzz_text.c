// The text parsers of libcommon/base: whatever bytes come, they stay inside them and accept only
// what prints back the same.
#include "libcommon/base/base64url.h"
#include "libcommon/base/buf_json.h"
#include "libcommon/base/check.h"
#include "libcommon/base/hash.h"
#include "libcommon/base/id.h"
#include "libcommon/base/name.h"
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

// What is written reads back, and there is one spelling of everything.
static void round_trips(const uint8_t *data, size_t len)
{
    static char text[2 * 4096 + 1];
    static uint8_t back[4096];
    size_t n = len < sizeof back ? len : sizeof back, back_len;
    size_t chars = mm_base64url_encode(data, n, text);
    MM_CHECK(mm_base64url_decode(text, chars, back, sizeof back, &back_len) == MM_OK);
    MM_CHECK(back_len == n && (n == 0 || memcmp(back, data, n) == 0));
    if (mm_base64url_decode((const char *)data, n, back, sizeof back, &back_len) == MM_OK) {
        chars = mm_base64url_encode(back, back_len, text);
        MM_CHECK(chars == n && (n == 0 || memcmp(text, data, n) == 0));
    }
    mm_hex_encode(data, n, text);
    MM_CHECK(mm_hex_decode(text, 2 * n, back, n) == MM_OK);
    MM_CHECK(n == 0 || memcmp(back, data, n) == 0);
    if (mm_name_valid((const char *)data, n, 20))
        MM_CHECK(mm_utf8_count((const char *)data, n) <= 20);
}

// The hash of something is the same in one piece and in two, and ids lead back to their serials.
static void hashes(const uint8_t *data, size_t len)
{
    uint64_t seed = len > 0 ? data[0] : 0, serial;
    struct mm_hash hash;
    mm_hash_init(&hash, seed);
    mm_hash_update(&hash, data, len / 3);
    mm_hash_update(&hash, data + len / 3, len - len / 3);
    MM_CHECK(mm_hash_digest(&hash) == mm_hash64(data, len, seed));
    struct mm_id_key key;
    mm_id_key_init(&key, data, len);
    if (len >= sizeof serial) {
        memcpy(&serial, data, sizeof serial);
        MM_CHECK(mm_id_to_serial(&key, mm_id_from_serial(&key, serial)) == serial);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const char *text = (const char *)data;
    integers(text, len);
    ids(text, len);
    utf8(text, len);
    varints(data, len);
    round_trips(data, len);
    hashes(data, len);
    uint8_t bytes[16];
    size_t out = len / 2 < sizeof bytes ? len / 2 : sizeof bytes;
    if (mm_hex_decode(text, len, bytes, out) == MM_OK)
        MM_CHECK(len == 2 * out);
    mm_str_trim(&text, &len);
    return 0;
}
