// The token rules on arbitrary bytes, with a signature check that believes everything: no crash, no
// claim outside its bounds, and both spellings agree on each other.

#include "libcommon/base/base64url.h"
#include "libcommon/base/check.h"
#include "libcommon/base/name.h"
#include "services/auth/core/token.h"

#include <string.h>

static enum auth_signature believe(void *ctx, const char *input, size_t input_bytes,
                                   const uint8_t signature[AUTH_TOKEN_SIGNATURE_BYTES])
{
    (void)ctx;
    (void)signature;
    MM_CHECK(memchr(input, '.', input_bytes) != NULL);
    return AUTH_SIGNATURE_GOOD;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_token(const char *token, size_t size)
{
    static const char *const issuers[] = {"login-server"};
    const struct auth_rules rules = {.issuers = issuers, .issuer_count = 1, .leeway_s = 5};
    struct auth_claims claims;
    auth_reason reason =
        auth_token_verify(token, size, &rules, INT64_C(1800000000000), believe, NULL, &claims);
    if (reason == MMORTS__AUTH__VERIFY_REASON__VERIFY_OK) {
        MM_CHECK(claims.user_id > 0 && claims.activated > 0);
        MM_CHECK(mm_name_valid(claims.username, strlen(claims.username), AUTH_USERNAME_CHARS_MAX));
        MM_CHECK(strcmp(claims.issuer, "login-server") == 0);
    }
    static char canonical[AUTH_TOKEN_CHARS_MAX + 1];
    static char twin[AUTH_TOKEN_CHARS_MAX + 1];
    static char canonical_again[AUTH_TOKEN_CHARS_MAX + 1];
    static char twin_again[AUTH_TOKEN_CHARS_MAX + 1];
    if (auth_token_spellings(token, size, canonical, twin)) {
        MM_CHECK(memcmp(token, canonical, size) == 0 || memcmp(token, twin, size) == 0);
        MM_CHECK(auth_token_spellings(twin, size, canonical_again, twin_again));
        MM_CHECK(strcmp(canonical_again, canonical) == 0 && strcmp(twin_again, twin) == 0);
    }
}

// Text before the first line feed is the header, the rest the claims: so the fuzzer need not invent
// base64 to get inside.
static void try_parts(const char *text, size_t size)
{
    static char token[AUTH_TOKEN_CHARS_MAX + 1];
    const char *line_feed = memchr(text, '\n', size);
    if (line_feed == NULL || size > 2800) {
        return;
    }
    size_t header = (size_t)(line_feed - text);
    size_t at = mm_base64url_encode(text, header, token);
    token[at++] = '.';
    at += mm_base64url_encode(line_feed + 1, size - header - 1, token + at);
    token[at++] = '.';
    uint8_t signature[AUTH_TOKEN_SIGNATURE_BYTES] = {1};
    at += mm_base64url_encode(signature, sizeof signature, token + at);
    try_token(token, at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_token((const char *)data, size);
    try_parts((const char *)data, size);
    return 0;
}
