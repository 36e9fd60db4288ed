#ifndef MM_SERVICE_KNOWN_TOKEN_H
#define MM_SERVICE_KNOWN_TOKEN_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

// A token that auth has found good, and for how long that is believed. For how long is measured by
// the monotonic clock, from when auth was asked: a wall clock that is set, or an answer that lay
// unread, prolongs nothing. The wall clock says only whether the token has expired meanwhile. All
// zero: an empty slot.

enum { MM_KNOWN_TOKEN_HASH_BYTES = 32 }; // SHA-256

struct mm_known_token {
    uint8_t hash[MM_KNOWN_TOKEN_HASH_BYTES];
    uint64_t until_ms;       // monotonic
    int64_t expires_wall_ms; // the token's own end
    uint64_t player_id;
    uint64_t permissions;
};

static inline bool mm_known_token_holds(const struct mm_known_token *token, const uint8_t *hash,
                                        uint64_t now_ms, int64_t wall_ms)
{
    return token->until_ms > now_ms && token->expires_wall_ms > wall_ms &&
           memcmp(token->hash, hash, sizeof token->hash) == 0;
}

#endif
