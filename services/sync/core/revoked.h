#ifndef SYNC_CORE_REVOKED_H
#define SYNC_CORE_REVOKED_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

// What auth revoked lately. A token may be found good, and be revoked before the answer comes: the
// event finds nobody then. So whoever asked looks here whether it was meant, and asks again. All
// zero: nothing was revoked.

#define SYNC_REVOKED_KEPT       64
#define SYNC_REVOKED_HASH_BYTES 65

struct sync_revocation {
    uint64_t player_id;                       // whose tokens all are; 0: nobody's
    char token_hash[SYNC_REVOKED_HASH_BYTES]; // of this token; "": of none
};

struct sync_revoked {
    uint64_t heard; // how many there were
    struct sync_revocation last[SYNC_REVOKED_KEPT];
};

static inline bool sync_revocation_means(const struct sync_revocation *revocation,
                                         uint64_t player_id, const char *token_hash)
{
    return (revocation->player_id != 0 && revocation->player_id == player_id) ||
           (revocation->token_hash[0] != '\0' && strcmp(revocation->token_hash, token_hash) == 0);
}

static inline void sync_revoked_hear(struct sync_revoked *revoked,
                                     const struct sync_revocation *revocation)
{
    revoked->last[revoked->heard++ % SYNC_REVOKED_KEPT] = *revocation;
}

// Whether the player or the token was meant by one that was heard after so many. True also when
// there were too many to know.
static inline bool sync_revoked_since(const struct sync_revoked *revoked, uint64_t heard,
                                      uint64_t player_id, const char *token_hash)
{
    if (revoked->heard - heard > SYNC_REVOKED_KEPT)
        return true;
    for (; heard < revoked->heard; heard++)
        if (sync_revocation_means(&revoked->last[heard % SYNC_REVOKED_KEPT], player_id, token_hash))
            return true;
    return false;
}

#endif
