#ifndef AUTH_CORE_TOKEN_H
#define AUTH_CORE_TOKEN_H

#include "gen/auth.pb-c.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The rules by which a token (JWT in JWS compact form, RFC 7515 and 7519) is believed. Pure: the
// signature check and the time come in as arguments. Nothing here allocates.

enum {
    AUTH_TOKEN_CHARS_MAX = 4096,
    AUTH_TOKEN_HEADER_BYTES_MAX = 512,
    AUTH_TOKEN_PAYLOAD_BYTES_MAX = 3072,
    AUTH_TOKEN_SIGNATURE_BYTES = 64, // r and s, big-endian (RFC 7518, section 3.4)
    AUTH_USERNAME_CHARS_MAX = 32,
    AUTH_USERNAME_BYTES_MAX = 4 * AUTH_USERNAME_CHARS_MAX,
    AUTH_EMAIL_BYTES_MAX = 254,
    AUTH_WORD_BYTES_MAX = 32, // user_type, auth_method
    AUTH_ISSUER_BYTES_MAX = 255,
};

typedef Mmorts__Auth__VerifyReason auth_reason;

struct auth_claims {
    int64_t user_id;     // > 0
    int64_t permissions; // bits
    int64_t activated;   // 0 not yet, -1 banned, > 0 since when (nanoseconds)
    int64_t issued_at_s, expires_at_s;
    int64_t not_before_s; // 0 if the token does not say
    char username[AUTH_USERNAME_BYTES_MAX + 1];
    char email[AUTH_EMAIL_BYTES_MAX + 1];      // "" if the token has none
    char user_type[AUTH_WORD_BYTES_MAX + 1];   // or this
    char auth_method[AUTH_WORD_BYTES_MAX + 1]; // or this
    char issuer[AUTH_ISSUER_BYTES_MAX + 1];
};

struct auth_rules {
    const char *const *issuers;
    size_t issuer_count;
    int64_t leeway_s; // clocks may differ by that
};

enum auth_signature { AUTH_SIGNATURE_GOOD, AUTH_SIGNATURE_BAD };

// Checks the signature of `input` with the one key and the one algorithm (ES256) that are ours to
// choose.
typedef enum auth_signature (*auth_signature_fn)(
    void *ctx, const char *input, size_t input_bytes,
    const uint8_t signature[AUTH_TOKEN_SIGNATURE_BYTES]);

// Decides all that can be decided from the token alone, in this order: form, algorithm, signature,
// claims, issuer, times, activation. Nothing of a token's content is believed before its signature.
// claims_out is filled if the signature is good and the claims are well-formed (whatever the
// verdict on them). `now_ms` is Unix time.
auth_reason auth_token_verify(const char *token, size_t token_chars, const struct auth_rules *rules,
                              int64_t now_ms, auth_signature_fn check, void *check_ctx,
                              struct auth_claims *claims_out);

// The last part of it: claims already believed, judged again at a later time.
auth_reason auth_claims_judge(const struct auth_claims *claims, const struct auth_rules *rules,
                              int64_t now_ms);

// One sentence for a person, without content of the token.
const char *auth_reason_message(auth_reason reason);

// The texts under which a verified token can be revoked. A signature (r, s) has a twin (r, n - s)
// that is just as valid, so a token can be respelled without the key: revocations name the spelling
// with the smaller s (`canonical`), and both are looked up. Each needs AUTH_TOKEN_CHARS_MAX + 1
// bytes; both have token_chars characters. False if the text is not of a token's form.
bool auth_token_spellings(const char *token, size_t token_chars, char *canonical, char *twin);

#endif
