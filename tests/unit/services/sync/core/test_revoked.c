#include <criterion/criterion.h>

#include "services/sync/core/revoked.h"

static struct sync_revocation of(uint64_t player_id, const char *hash)
{
    struct sync_revocation one = {.player_id = player_id};
    memcpy(one.token_hash, hash, strlen(hash) + 1);
    return one;
}

Test(sync_revoked, means_a_player_or_a_token)
{
    struct sync_revocation ban = of(7, ""), token = of(0, "aa");
    cr_expect(sync_revocation_means(&ban, 7, "aa"));
    cr_expect_not(sync_revocation_means(&ban, 8, "aa"));
    cr_expect_not(sync_revocation_means(&ban, 0, ""), "who is not known yet");
    cr_expect(sync_revocation_means(&token, 7, "aa"));
    cr_expect_not(sync_revocation_means(&token, 7, "ab"));
    cr_expect_not(sync_revocation_means(&token, 0, ""));
}

Test(sync_revoked, what_was_heard_since)
{
    static struct sync_revoked revoked;
    struct sync_revocation ban = of(7, ""), other = of(1, "bb");
    cr_expect_not(sync_revoked_since(&revoked, 0, 7, "aa"));
    sync_revoked_hear(&revoked, &ban);
    cr_expect(sync_revoked_since(&revoked, 0, 7, "aa"));
    cr_expect_not(sync_revoked_since(&revoked, 0, 8, "aa"));
    cr_expect_not(sync_revoked_since(&revoked, 1, 7, "aa"), "asked after it");
    for (int i = 1; i < SYNC_REVOKED_KEPT; i++)
        sync_revoked_hear(&revoked, &other);
    cr_expect(sync_revoked_since(&revoked, 0, 7, "aa"), "the oldest that is kept");
    cr_expect_not(sync_revoked_since(&revoked, 0, 8, "aa"));
    cr_expect_not(sync_revoked_since(&revoked, 1, 7, "aa"));
    sync_revoked_hear(&revoked, &other);
    cr_expect(sync_revoked_since(&revoked, 0, 8, "aa"), "there were too many to know");
    cr_expect_not(sync_revoked_since(&revoked, 1, 8, "aa"));
    cr_expect(sync_revoked_since(&revoked, 1, 8, "bb"));
}
