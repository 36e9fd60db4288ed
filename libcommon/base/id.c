#include "libcommon/base/id.h"

#include "libcommon/base/check.h"
#include "libcommon/base/hash.h"
#include <string.h>

enum { ROUNDS = sizeof(((struct mm_id_key *)0)->round) / sizeof(uint64_t) };

void mm_id_key_init(struct mm_id_key *key, const void *secret, size_t secret_bytes)
{
    for (unsigned i = 0; i < ROUNDS; i++)
        key->round[i] = mm_hash64(secret, secret_bytes, i + 1);
}

static uint32_t round_function(uint32_t half, uint64_t key)
{
    return (uint32_t)(mm_mix64(key ^ half) >> 32);
}

uint64_t mm_id_from_serial(const struct mm_id_key *key, uint64_t serial)
{
    uint32_t left = (uint32_t)(serial >> 32), right = (uint32_t)serial;
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint32_t next = left ^ round_function(right, key->round[i]);
        left = right;
        right = next;
    }
    return (uint64_t)left << 32 | right;
}

uint64_t mm_id_to_serial(const struct mm_id_key *key, uint64_t id)
{
    uint32_t left = (uint32_t)(id >> 32), right = (uint32_t)id;
    for (unsigned i = ROUNDS; i-- > 0;) {
        uint32_t previous = right ^ round_function(left, key->round[i]);
        right = left;
        left = previous;
    }
    return (uint64_t)left << 32 | right;
}

static const char base32[] = "0123456789abcdefghjkmnpqrstvwxyz";

size_t mm_id_format(char out[MM_ID_TEXT_BYTES], const char *prefix, uint64_t id)
{
    size_t prefix_len = strlen(prefix);
    MM_CHECK(prefix_len <= MM_ID_PREFIX_MAX);
    memcpy(out, prefix, prefix_len);
    for (unsigned i = 0; i < MM_ID_DIGITS; i++)
        out[prefix_len + i] = base32[(id >> (5 * (MM_ID_DIGITS - 1 - i))) & 31];
    out[prefix_len + MM_ID_DIGITS] = '\0';
    return prefix_len + MM_ID_DIGITS;
}

enum mm_err mm_id_parse(const char *text, size_t len, const char *prefix, uint64_t *id_out)
{
    size_t prefix_len = strlen(prefix);
    if (len != prefix_len + MM_ID_DIGITS || memcmp(text, prefix, prefix_len) != 0)
        return MM_INVALID_ARGUMENT;
    uint64_t id = 0;
    for (unsigned i = 0; i < MM_ID_DIGITS; i++) {
        char c = text[prefix_len + i];
        const char *at = c != '\0' ? strchr(base32, c) : NULL;
        // 13 digits hold 65 bits: the first has room for four only.
        if (!at || (i == 0 && at - base32 > 15))
            return MM_INVALID_ARGUMENT;
        id = id << 5 | (uint64_t)(at - base32);
    }
    *id_out = id;
    return MM_OK;
}
