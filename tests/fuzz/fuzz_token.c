// The token rules on arbitrary bytes, with a signature check that believes everything: no crash, no
// claim outside its bounds, and both spellings agree on each other.

#include "libcommon/base/base64url.h"
#include "libcommon/base/check.h"
#include "libcommon/base/name.h"
#include "services/auth/core/token.h"
#include "tests/fuzz/input.h"

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
        MM_CHECK(claims.expires_at_s > 1800000000 - 5 && claims.not_before_s <= 1800000000 + 5);
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

static void try_text(const char *header, size_t header_len, const char *claims, size_t claims_len)
{
    static char token[AUTH_TOKEN_CHARS_MAX + 1];
    if (header_len + claims_len > 2800)
        return;
    size_t at = mm_base64url_encode(header, header_len, token);
    token[at++] = '.';
    at += mm_base64url_encode(claims, claims_len, token + at);
    token[at++] = '.';
    uint8_t signature[AUTH_TOKEN_SIGNATURE_BYTES] = {1};
    at += mm_base64url_encode(signature, sizeof signature, token + at);
    try_token(token, at);
}

// Text before the first line feed is the header, the rest the claims: so the fuzzer need not invent
// base64 to get inside. Without one the header is as it should be, and the claims are made of
// words, one of which is all that is needed.
static void try_parts(const uint8_t *data, size_t size)
{
    static const char header[] = "{\"alg\":\"ES256\",\"typ\":\"JWT\"}";
    static const char *const words[] = {
        ("{\"user_id\":7,\"username\":\"ann\",\"permissions\":3,\"activated\":1,"
         "\"iss\":\"login-server\",\"iat\":1799999000,\"exp\":1800009000"),
        "\"user_id\":",
        "\"username\":",
        "\"permissions\":",
        "\"activated\":",
        "\"iss\":",
        "\"iat\":",
        "\"exp\":",
        "\"nbf\":",
        "\"email\":",
        "\"user_type\":",
        "\"auth_method\":",
        "\"login-server\"",
        "1799999000",
        "1800009000",
        "9223372036854775807",
        "-9223372036854775808",
        "-1",
        "0",
        "\"\\u0000\"",
        "\"\\ud83d\\ude00\"",
        "null",
        "true",
        "{\"a\":[1,2.5e3]}",
        "\"user\\u005fid\":",
    };
    static char text[4096];
    const uint8_t *line_feed = memchr(data, '\n', size);
    if (line_feed != NULL) {
        size_t header_len = (size_t)(line_feed - data);
        try_text((const char *)data, header_len, (const char *)line_feed + 1,
                 size - header_len - 1);
        return;
    }
    size_t len = fuzz_words(data, size, words, sizeof words / sizeof words[0], text, sizeof text);
    try_text(header, sizeof header - 1, text, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_token((const char *)data, size);
    try_parts(data, size);
    return 0;
}
