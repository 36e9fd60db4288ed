#ifndef MM_BASE_ID_H
#define MM_BASE_ID_H

#include "libcommon/base/err.h"
#include <stddef.h>
#include <stdint.h>

// Opaque public ids. A serial number goes through a keyed permutation of 64 bits (a Feistel network
// of six rounds), so that ids are unique and stable but say nothing of how many exist or in what
// order they came. Not encryption of secrets: it hides counts from players, no more.

struct mm_id_key {
    uint64_t round[6];
};

void mm_id_key_init(struct mm_id_key *key, const void *secret, size_t secret_bytes);

// serial -> public id and back. Bijective: every uint64 is a valid input of both.
uint64_t mm_id_from_serial(const struct mm_id_key *key, uint64_t serial);
uint64_t mm_id_to_serial(const struct mm_id_key *key, uint64_t id);

// Text form: prefix ("unit_") and 13 characters of Crockford's base32 in lower case, most
// significant first (https://www.crockford.com/base32.html). Every id has exactly one text.
enum { MM_ID_DIGITS = 13, MM_ID_PREFIX_MAX = 18, MM_ID_TEXT_BYTES = 32 };

// Prefix of at most MM_ID_PREFIX_MAX characters. Returns the length without the NUL.
size_t mm_id_format(char out[MM_ID_TEXT_BYTES], const char *prefix, uint64_t id);

// The whole text must be prefix and digits, lower case, in range; else MM_INVALID_ARGUMENT.
enum mm_err MM_MUST_USE mm_id_parse(const char *text, size_t len, const char *prefix,
                                    uint64_t *id_out);

#endif
