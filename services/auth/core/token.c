#include "services/auth/core/token.h"

#include "libcommon/base/base64url.h"
#include "libcommon/base/name.h"
#include "services/auth/core/json.h"

#include <string.h>

#define REASON(name) MMORTS__AUTH__VERIFY_REASON__VERIFY_##name

// The last second of the year 9999: later times are mistakes, and sums with them could overflow.
#define TIME_S_MAX INT64_C(253402300799)

struct parts {
    const char *header, *payload, *signature;
    size_t header_chars, payload_chars, signature_chars;
};

static bool split(const char *token, size_t chars, struct parts *out)
{
    if (chars > AUTH_TOKEN_CHARS_MAX) {
        return false;
    }
    const char *first = memchr(token, '.', chars);
    if (first == NULL) {
        return false;
    }
    size_t rest = chars - (size_t)(first + 1 - token);
    const char *second = memchr(first + 1, '.', rest);
    if (second == NULL) {
        return false;
    }
    *out = (struct parts){
        .header = token,
        .header_chars = (size_t)(first - token),
        .payload = first + 1,
        .payload_chars = (size_t)(second - first - 1),
        .signature = second + 1,
        .signature_chars = chars - (size_t)(second + 1 - token),
    };
    return memchr(out->signature, '.', out->signature_chars) == NULL;
}

static bool decode_signature(const struct parts *parts, uint8_t out[AUTH_TOKEN_SIGNATURE_BYTES])
{
    size_t bytes;
    return mm_base64url_decode(parts->signature, parts->signature_chars, out,
                               AUTH_TOKEN_SIGNATURE_BYTES, &bytes) == MM_OK &&
           bytes == AUTH_TOKEN_SIGNATURE_BYTES;
}

static bool key_is(const char *key, size_t key_bytes, const char *name)
{
    return key_bytes == strlen(name) && memcmp(key, name, key_bytes) == 0;
}

static bool text_is(const struct auth_json_value *value, const char *text)
{
    return value->type == AUTH_JSON_STRING && key_is(value->text, value->text_bytes, text);
}

// --- header --------------------------------------------------------------------------------------

struct header {
    int alg_count;
    bool alg_is_es256;
    bool good;
};

static bool read_header_member(void *ctx, const char *key, size_t key_bytes,
                               const struct auth_json_value *value)
{
    struct header *header = ctx;
    if (key_is(key, key_bytes, "alg")) {
        header->alg_count++;
        header->alg_is_es256 = text_is(value, "ES256");
        header->good = header->good && value->type == AUTH_JSON_STRING;
    } else if (key_is(key, key_bytes, "typ")) {
        header->good = header->good && (text_is(value, "JWT") || text_is(value, "jwt"));
    } else if (key_is(key, key_bytes, "crit")) {
        header->good = false; // extensions we do not know have to be understood (RFC 7515, 4.1.11)
    }
    return true;
}

static auth_reason check_header(const struct parts *parts)
{
    uint8_t text[AUTH_TOKEN_HEADER_BYTES_MAX];
    size_t bytes;
    struct header header = {.good = true};
    if (mm_base64url_decode(parts->header, parts->header_chars, text, sizeof text, &bytes) !=
            MM_OK ||
        !auth_json_scan((const char *)text, bytes, read_header_member, &header) || !header.good ||
        header.alg_count != 1) {
        return REASON(MALFORMED_TOKEN);
    }
    return header.alg_is_es256 ? REASON(OK) : REASON(UNSUPPORTED_ALGORITHM);
}

// --- claims --------------------------------------------------------------------------------------

enum claim {
    CLAIM_USER_ID,
    CLAIM_USERNAME,
    CLAIM_PERMISSIONS,
    CLAIM_ACTIVATED,
    CLAIM_ISS,
    CLAIM_IAT,
    CLAIM_EXP,
    CLAIM_REQUIRED_COUNT, // those before are required
    CLAIM_NBF = CLAIM_REQUIRED_COUNT,
    CLAIM_EMAIL,
    CLAIM_USER_TYPE,
    CLAIM_AUTH_METHOD,
    CLAIM_COUNT
};

static const struct {
    const char *name;
    enum auth_json_type type;
    size_t offset;
    size_t bytes_max; // of a string
} claim_table[CLAIM_COUNT] = {
    [CLAIM_USER_ID] = {"user_id", AUTH_JSON_INTEGER, offsetof(struct auth_claims, user_id), 0},
    [CLAIM_USERNAME] = {"username", AUTH_JSON_STRING, offsetof(struct auth_claims, username),
                        AUTH_USERNAME_BYTES_MAX},
    [CLAIM_PERMISSIONS] = {"permissions", AUTH_JSON_INTEGER,
                           offsetof(struct auth_claims, permissions), 0},
    [CLAIM_ACTIVATED] = {"activated", AUTH_JSON_INTEGER, offsetof(struct auth_claims, activated),
                         0},
    [CLAIM_ISS] = {"iss", AUTH_JSON_STRING, offsetof(struct auth_claims, issuer),
                   AUTH_ISSUER_BYTES_MAX},
    [CLAIM_IAT] = {"iat", AUTH_JSON_INTEGER, offsetof(struct auth_claims, issued_at_s), 0},
    [CLAIM_EXP] = {"exp", AUTH_JSON_INTEGER, offsetof(struct auth_claims, expires_at_s), 0},
    [CLAIM_NBF] = {"nbf", AUTH_JSON_INTEGER, offsetof(struct auth_claims, not_before_s), 0},
    [CLAIM_EMAIL] = {"email", AUTH_JSON_STRING, offsetof(struct auth_claims, email),
                     AUTH_EMAIL_BYTES_MAX},
    [CLAIM_USER_TYPE] = {"user_type", AUTH_JSON_STRING, offsetof(struct auth_claims, user_type),
                         AUTH_WORD_BYTES_MAX},
    [CLAIM_AUTH_METHOD] = {"auth_method", AUTH_JSON_STRING,
                           offsetof(struct auth_claims, auth_method), AUTH_WORD_BYTES_MAX},
};

struct claim_reader {
    struct auth_claims *claims;
    uint32_t seen; // bit per claim
    bool good;     // types and sizes so far
};

static bool store_claim(struct claim_reader *reader, int claim, const struct auth_json_value *value)
{
    char *member = (char *)reader->claims + claim_table[claim].offset;
    if (value->type != claim_table[claim].type) {
        return false;
    }
    if (value->type == AUTH_JSON_INTEGER) {
        memcpy(member, &value->integer, sizeof value->integer);
        return true;
    }
    if (value->text_bytes > claim_table[claim].bytes_max ||
        memchr(value->text, '\0', value->text_bytes) != NULL) {
        return false;
    }
    memcpy(member, value->text, value->text_bytes + 1);
    return true;
}

static bool read_claim(void *ctx, const char *key, size_t key_bytes,
                       const struct auth_json_value *value)
{
    struct claim_reader *reader = ctx;
    for (int claim = 0; claim < CLAIM_COUNT; claim++) {
        if (!key_is(key, key_bytes, claim_table[claim].name)) {
            continue;
        }
        // Said twice, a claim could mean one thing here and another elsewhere.
        bool again = (reader->seen & 1u << claim) != 0;
        reader->seen |= 1u << claim;
        reader->good = reader->good && !again && store_claim(reader, claim, value);
        break;
    }
    return true; // to the end: malformed JSON is another verdict than a wrong claim
}

static bool is_time(int64_t time_s)
{
    return time_s > 0 && time_s <= TIME_S_MAX;
}

static auth_reason read_claims(const struct parts *parts, struct auth_claims *out)
{
    uint8_t text[AUTH_TOKEN_PAYLOAD_BYTES_MAX];
    size_t bytes;
    struct claim_reader reader = {.claims = out, .good = true};
    if (mm_base64url_decode(parts->payload, parts->payload_chars, text, sizeof text, &bytes) !=
            MM_OK ||
        !auth_json_scan((const char *)text, bytes, read_claim, &reader)) {
        return REASON(MALFORMED_TOKEN);
    }
    uint32_t required = (1u << CLAIM_REQUIRED_COUNT) - 1;
    bool nbf_is_good = (reader.seen & 1u << CLAIM_NBF) == 0 || is_time(out->not_before_s);
    bool good = reader.good && (reader.seen & required) == required && nbf_is_good &&
                out->user_id > 0 && out->activated >= -1 &&
                mm_name_valid(out->username, strlen(out->username), AUTH_USERNAME_CHARS_MAX) &&
                is_time(out->issued_at_s) && is_time(out->expires_at_s) &&
                out->expires_at_s > out->issued_at_s;
    return good ? REASON(OK) : REASON(INVALID_CLAIMS);
}

// --- verdicts ------------------------------------------------------------------------------------

auth_reason auth_claims_judge(const struct auth_claims *claims, const struct auth_rules *rules,
                              int64_t now_ms)
{
    size_t issuer = 0;
    while (issuer < rules->issuer_count && strcmp(rules->issuers[issuer], claims->issuer) != 0) {
        issuer++;
    }
    int64_t now_s = now_ms / 1000;
    if (issuer == rules->issuer_count) {
        return REASON(WRONG_ISSUER);
    }
    if (now_s >= claims->expires_at_s + rules->leeway_s) {
        return REASON(EXPIRED);
    }
    if (claims->issued_at_s > now_s + rules->leeway_s ||
        claims->not_before_s > now_s + rules->leeway_s) {
        return REASON(NOT_YET_VALID);
    }
    if (claims->activated == -1) {
        return REASON(BANNED);
    }
    return claims->activated == 0 ? REASON(NOT_ACTIVATED) : REASON(OK);
}

auth_reason auth_token_verify(const char *token, size_t token_chars, const struct auth_rules *rules,
                              int64_t now_ms, auth_signature_fn check, void *check_ctx,
                              struct auth_claims *claims_out)
{
    memset(claims_out, 0, sizeof *claims_out);
    struct parts parts;
    if (!split(token, token_chars, &parts)) {
        return REASON(MALFORMED_TOKEN);
    }
    auth_reason reason = check_header(&parts);
    if (reason != REASON(OK)) {
        return reason;
    }
    uint8_t signature[AUTH_TOKEN_SIGNATURE_BYTES];
    if (!decode_signature(&parts, signature)) {
        return REASON(MALFORMED_TOKEN);
    }
    size_t input_chars = parts.header_chars + 1 + parts.payload_chars;
    if (check(check_ctx, token, input_chars, signature) != AUTH_SIGNATURE_GOOD) {
        return REASON(BAD_SIGNATURE);
    }
    reason = read_claims(&parts, claims_out);
    return reason == REASON(OK) ? auth_claims_judge(claims_out, rules, now_ms) : reason;
}

const char *auth_reason_message(auth_reason reason)
{
    switch (reason) {
    case REASON(OK):
        return "the token is valid";
    case REASON(MALFORMED_TOKEN):
        return "this is not a token";
    case REASON(UNSUPPORTED_ALGORITHM):
        return "the token is signed with an algorithm that is not accepted";
    case REASON(BAD_SIGNATURE):
        return "the token's signature is wrong";
    case REASON(WRONG_ISSUER):
        return "the token was issued by somebody who is not trusted here";
    case REASON(EXPIRED):
        return "the token has expired; log in again";
    case REASON(NOT_YET_VALID):
        return "the token is not valid yet";
    case REASON(INVALID_CLAIMS):
        return "the token lacks something, or holds something wrong";
    case REASON(NOT_ACTIVATED):
        return "the account has not been activated";
    case REASON(BANNED):
        return "the account is banned";
    case REASON(REVOKED):
        return "the token was revoked; log in again";
    default:
        return "the token was refused";
    }
}

// --- spellings -----------------------------------------------------------------------------------

// The order n of P-256's group (SEC 2, section 2.4.2), big-endian.
static const uint8_t group_order[32] = {
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51};

static void subtract_from_order(const uint8_t s[32], uint8_t out[32])
{
    int borrow = 0;
    for (int i = 31; i >= 0; i--) {
        int digit = group_order[i] - s[i] - borrow;
        borrow = digit < 0;
        out[i] = (uint8_t)(digit + (borrow ? 256 : 0));
    }
}

bool auth_token_spellings(const char *token, size_t token_chars, char *canonical, char *twin)
{
    struct parts parts;
    uint8_t signature[AUTH_TOKEN_SIGNATURE_BYTES];
    if (!split(token, token_chars, &parts) || !decode_signature(&parts, signature)) {
        return false;
    }
    uint8_t other[AUTH_TOKEN_SIGNATURE_BYTES];
    memcpy(other, signature, 32);
    subtract_from_order(signature + 32, other + 32);
    bool is_smaller = memcmp(signature + 32, other + 32, 32) <= 0;
    size_t input_chars = token_chars - parts.signature_chars;
    memcpy(canonical, token, input_chars);
    memcpy(twin, token, input_chars);
    mm_base64url_encode(is_smaller ? signature : other, sizeof signature, canonical + input_chars);
    mm_base64url_encode(is_smaller ? other : signature, sizeof signature, twin + input_chars);
    return true;
}
