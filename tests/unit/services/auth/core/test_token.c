// Hostile tokens, one by one, against the rules; the signature check is a stand-in that knows one
// signature, so every verdict here is the core's own.

#include "libcommon/base/base64url.h"
#include "libcommon/base/rng.h"
#include "services/auth/core/json.h"
#include "services/auth/core/token.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REASON(name) MMORTS__AUTH__VERIFY_REASON__VERIFY_##name
#define NOW_S        INT64_C(1800000000)
#define HEADER       "{\"alg\":\"ES256\",\"typ\":\"JWT\"}"

static const char *const issuers[] = {"login-server", "second"};
static const struct auth_rules rules = {.issuers = issuers, .issuer_count = 2, .leeway_s = 5};

// The one good signature: r = 1, 1, 1 ..., s = 2, 2, 2 ...
static void good_signature(uint8_t out[64])
{
    memset(out, 1, 32);
    memset(out + 32, 2, 32);
}

static int checks; // how often the signature was looked at

static enum auth_signature check(void *ctx, const char *input, size_t input_bytes,
                                 const uint8_t signature[AUTH_TOKEN_SIGNATURE_BYTES])
{
    (void)ctx;
    checks++;
    uint8_t good[64];
    good_signature(good);
    // What is signed is header and payload, with the dot and without the signature.
    const char *dot = memchr(input, '.', input_bytes);
    bool whole =
        dot != NULL && memchr(dot + 1, '.', input_bytes - (size_t)(dot + 1 - input)) == NULL;
    return whole && memcmp(signature, good, 64) == 0 ? AUTH_SIGNATURE_GOOD : AUTH_SIGNATURE_BAD;
}

static size_t build(const char *header, const char *claims, char *out)
{
    uint8_t signature[64];
    good_signature(signature);
    size_t at = mm_base64url_encode(header, strlen(header), out);
    out[at++] = '.';
    at += mm_base64url_encode(claims, strlen(claims), out + at);
    out[at++] = '.';
    return at + mm_base64url_encode(signature, sizeof signature, out + at);
}

static auth_reason verify(const char *token, size_t chars, struct auth_claims *claims)
{
    return auth_token_verify(token, chars, &rules, NOW_S * 1000, check, NULL, claims);
}

static auth_reason verify_parts(const char *header, const char *claims)
{
    static char token[3 * AUTH_TOKEN_CHARS_MAX];
    struct auth_claims out;
    size_t chars = build(header, claims, token);
    return verify(token, chars, &out);
}

#define GOOD_CLAIMS                                                                                \
    "{\"user_id\":123,\"email\":\"j@x.org\",\"username\":\"johndoe\",\"user_type\":\"user\","      \
    "\"auth_method\":\"password\",\"permissions\":55,\"activated\":1697123456789000000,"           \
    "\"iss\":\"login-server\",\"iat\":1799999000,\"exp\":1800003600}"

Test(token, a_good_one_is_read_completely)
{
    char token[2048];
    struct auth_claims claims;
    size_t chars = build(HEADER, GOOD_CLAIMS, token);
    cr_assert(verify(token, chars, &claims) == REASON(OK));
    cr_expect(claims.user_id == 123 && claims.permissions == 55);
    cr_expect(claims.activated == INT64_C(1697123456789000000));
    cr_expect(claims.issued_at_s == 1799999000 && claims.expires_at_s == 1800003600);
    cr_expect_str_eq(claims.username, "johndoe");
    cr_expect_str_eq(claims.email, "j@x.org");
    cr_expect_str_eq(claims.user_type, "user");
    cr_expect_str_eq(claims.auth_method, "password");
    cr_expect_str_eq(claims.issuer, "login-server");
}

static const struct {
    const char *header;
    auth_reason reason;
} headers[] = {
    {"{\"alg\":\"ES256\"}", REASON(OK)},
    {" { \"typ\" : \"JWT\" , \"alg\" : \"ES256\" , \"kid\" : [1,{\"a\":null}] } ", REASON(OK)},
    {"{\"alg\":\"none\"}", REASON(UNSUPPORTED_ALGORITHM)},
    {"{\"alg\":\"None\"}", REASON(UNSUPPORTED_ALGORITHM)},
    {"{\"alg\":\"\"}", REASON(UNSUPPORTED_ALGORITHM)},
    {"{\"alg\":\"HS256\"}", REASON(UNSUPPORTED_ALGORITHM)},
    {"{\"alg\":\"HS512\"}", REASON(UNSUPPORTED_ALGORITHM)},
    {"{\"alg\":\"RS256\"}", REASON(UNSUPPORTED_ALGORITHM)},
    {"{\"alg\":\"ES384\"}", REASON(UNSUPPORTED_ALGORITHM)},
    {"{\"alg\":\"es256\"}", REASON(UNSUPPORTED_ALGORITHM)},
    {"{\"alg\":\"ES256 \"}", REASON(UNSUPPORTED_ALGORITHM)},
    {"{\"alg\":\"ES256\\u0000\"}", REASON(UNSUPPORTED_ALGORITHM)},
    {"{\"Alg\":\"ES256\"}", REASON(MALFORMED_TOKEN)},
    {"{\"alg\":\"ES256\",\"alg\":\"none\"}", REASON(MALFORMED_TOKEN)},
    {"{\"alg\":\"none\",\"alg\":\"ES256\"}", REASON(MALFORMED_TOKEN)},
    {"{\"alg\":[\"ES256\"]}", REASON(MALFORMED_TOKEN)},
    {"{\"alg\":null}", REASON(MALFORMED_TOKEN)},
    {"{\"alg\":256}", REASON(MALFORMED_TOKEN)},
    {"{\"alg\":\"ES256\",\"crit\":[\"b64\"],\"b64\":false}", REASON(MALFORMED_TOKEN)},
    {"{\"alg\":\"ES256\",\"typ\":\"JWE\"}", REASON(MALFORMED_TOKEN)},
    {"{\"alg\":\"ES256\",\"typ\":7}", REASON(MALFORMED_TOKEN)},
    {"{\"typ\":\"JWT\"}", REASON(MALFORMED_TOKEN)},
    {"{}", REASON(MALFORMED_TOKEN)},
    {"[]", REASON(MALFORMED_TOKEN)},
    {"\"ES256\"", REASON(MALFORMED_TOKEN)},
    {"", REASON(MALFORMED_TOKEN)},
    {"{\"alg\":\"ES256\"", REASON(MALFORMED_TOKEN)},
    {"{\"alg\":\"ES256\"}x", REASON(MALFORMED_TOKEN)},
    {"{\"alg\":\"ES256\",}", REASON(MALFORMED_TOKEN)},
    {"{\"a\\u006cg\":\"ES256\"}", REASON(OK)}, // the same key, spelled otherwise
};

Test(token, headers)
{
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        checks = 0;
        auth_reason reason = verify_parts(headers[i].header, GOOD_CLAIMS);
        cr_expect(reason == headers[i].reason, "%s: %d", headers[i].header, (int)reason);
        cr_expect(checks == (headers[i].reason == REASON(OK) ? 1 : 0), "%s", headers[i].header);
    }
}

#define WITHOUT_NAME                                                                               \
    "\"permissions\":0,\"activated\":1,\"iss\":\"second\",\"iat\":1,\"exp\":1900000000}"
#define NAMED(json) "{\"user_id\":1,\"username\":" json "," WITHOUT_NAME
#define TIMES(iat, exp)                                                                            \
    "{\"user_id\":1,\"username\":\"a\",\"permissions\":0,\"activated\":1,\"iss\":\"second\","      \
    "\"iat\":" iat ",\"exp\":" exp "}"
#define MEMBER(name, json)                                                                         \
    "{\"user_id\":1,\"username\":\"a\",\"permissions\":0,\"activated\":1,\"iss\":\"second\","      \
    "\"iat\":1,\"exp\":1900000000,\"" name "\":" json "}"
#define ACTIVATED(json)                                                                            \
    "{\"user_id\":1,\"username\":\"a\",\"permissions\":0,\"activated\":" json                      \
    ",\"iss\":\"second\",\"iat\":1,\"exp\":1900000000}"
#define USER_ID(json)                                                                              \
    "{\"user_id\":" json ",\"username\":\"a\",\"permissions\":0,\"activated\":1,"                  \
    "\"iss\":\"second\",\"iat\":1,\"exp\":1900000000}"
#define ISSUER(json)                                                                               \
    "{\"user_id\":1,\"username\":\"a\",\"permissions\":0,\"activated\":1,\"iss\":" json            \
    ",\"iat\":1,\"exp\":1900000000}"

static const struct {
    const char *claims;
    auth_reason reason;
} payloads[] = {
    {NAMED("\"a\""), REASON(OK)},
    {NAMED("\"J\\u00f6rg \\ud83d\\udc09\""), REASON(OK)},
    {NAMED("\"12345678901234567890123456789012\""), REASON(OK)},
    {NAMED("\"123456789012345678901234567890123\""), REASON(INVALID_CLAIMS)},
    {NAMED("\"\""), REASON(INVALID_CLAIMS)},
    {NAMED("\" a\""), REASON(INVALID_CLAIMS)},
    {NAMED("\"a\\nb\""), REASON(INVALID_CLAIMS)},
    {NAMED("\"a\\u0000b\""), REASON(INVALID_CLAIMS)},
    {NAMED("\"a\\u202eb\""), REASON(INVALID_CLAIMS)},
    {NAMED("7"), REASON(INVALID_CLAIMS)},
    {NAMED("null"), REASON(INVALID_CLAIMS)},
    {NAMED("[\"a\"]"), REASON(INVALID_CLAIMS)},
    {NAMED("\"\\ud800\""), REASON(MALFORMED_TOKEN)},
    {NAMED("\"\xff\""), REASON(MALFORMED_TOKEN)},
    {NAMED("\"\xc0\xaf\""), REASON(MALFORMED_TOKEN)},
    {USER_ID("9223372036854775807"), REASON(OK)},
    {USER_ID("9223372036854775808"), REASON(INVALID_CLAIMS)},
    {USER_ID("0"), REASON(INVALID_CLAIMS)},
    {USER_ID("-1"), REASON(INVALID_CLAIMS)},
    {USER_ID("1.0"), REASON(INVALID_CLAIMS)},
    {USER_ID("1e3"), REASON(INVALID_CLAIMS)},
    {USER_ID("\"1\""), REASON(INVALID_CLAIMS)},
    {USER_ID("true"), REASON(INVALID_CLAIMS)},
    {USER_ID("01"), REASON(MALFORMED_TOKEN)},
    {USER_ID("1,\"user_id\":2"), REASON(INVALID_CLAIMS)},
    {USER_ID("1,\"user\\u005fid\":2"), REASON(INVALID_CLAIMS)},
    {ACTIVATED("1"), REASON(OK)},
    {ACTIVATED("0"), REASON(NOT_ACTIVATED)},
    {ACTIVATED("-1"), REASON(BANNED)},
    {ACTIVATED("-2"), REASON(INVALID_CLAIMS)},
    {ACTIVATED("\"1\""), REASON(INVALID_CLAIMS)},
    {ACTIVATED("null"), REASON(INVALID_CLAIMS)},
    {ISSUER("\"login-server\""), REASON(OK)},
    {ISSUER("\"login-server \""), REASON(WRONG_ISSUER)},
    {ISSUER("\"Login-Server\""), REASON(WRONG_ISSUER)},
    {ISSUER("\"\""), REASON(WRONG_ISSUER)},
    {ISSUER("\"login-server\\u0000x\""), REASON(INVALID_CLAIMS)},
    {ISSUER("[\"login-server\"]"), REASON(INVALID_CLAIMS)},
    {TIMES("1799999000", "1800000001"), REASON(OK)},
    {TIMES("1799999000", "1799999996"), REASON(OK)}, // within the leeway
    {TIMES("1799999000", "1799999995"), REASON(EXPIRED)},
    {TIMES("1799999000", "1799999999.5"), REASON(INVALID_CLAIMS)},
    {TIMES("1800000005", "1800000100"), REASON(OK)},
    {TIMES("1800000006", "1800000100"), REASON(NOT_YET_VALID)},
    {TIMES("1800000100", "1800000050"), REASON(INVALID_CLAIMS)},
    {TIMES("0", "1900000000"), REASON(INVALID_CLAIMS)},
    {TIMES("-5", "1900000000"), REASON(INVALID_CLAIMS)},
    {TIMES("1", "9223372036854775807"), REASON(INVALID_CLAIMS)},
    {TIMES("1", "253402300800"), REASON(INVALID_CLAIMS)},
    {TIMES("\"1\"", "1900000000"), REASON(INVALID_CLAIMS)},
    {MEMBER("nbf", "1800000005"), REASON(OK)},
    {MEMBER("nbf", "1800000006"), REASON(NOT_YET_VALID)},
    {MEMBER("nbf", "\"x\""), REASON(INVALID_CLAIMS)},
    {MEMBER("nbf", "-1"), REASON(INVALID_CLAIMS)},
    {MEMBER("email", "7"), REASON(INVALID_CLAIMS)},
    {MEMBER("user_type", "\"123456789012345678901234567890123\""), REASON(INVALID_CLAIMS)},
    {MEMBER("exp", "1900000001"), REASON(INVALID_CLAIMS)},
    {MEMBER("other", "{\"deep\":[[[{}]]]}"), REASON(OK)},
    {MEMBER("other", "[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]"), REASON(MALFORMED_TOKEN)},
    {"{}", REASON(INVALID_CLAIMS)},
    {"", REASON(MALFORMED_TOKEN)},
    {"null", REASON(MALFORMED_TOKEN)},
    {"[" GOOD_CLAIMS "]", REASON(MALFORMED_TOKEN)},
    {GOOD_CLAIMS "{}", REASON(MALFORMED_TOKEN)},
};

Test(token, claims)
{
    for (size_t i = 0; i < sizeof payloads / sizeof payloads[0]; i++) {
        auth_reason reason = verify_parts(HEADER, payloads[i].claims);
        cr_expect(reason == payloads[i].reason, "%s: %d", payloads[i].claims, (int)reason);
    }
}

Test(token, each_required_claim_is_required)
{
    static const char *const names[] = {"user_id", "username", "permissions", "activated",
                                        "iss",     "iat",      "exp"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        json_t *claims = json_loads(GOOD_CLAIMS, 0, NULL);
        cr_assert(json_object_del(claims, names[i]) == 0);
        char *text = json_dumps(claims, JSON_COMPACT);
        cr_expect(verify_parts(HEADER, text) == REASON(INVALID_CLAIMS), "%s", names[i]);
        free(text);
        json_decref(claims);
    }
    static const char *const optional[] = {"email", "user_type", "auth_method"};
    for (size_t i = 0; i < sizeof optional / sizeof optional[0]; i++) {
        json_t *claims = json_loads(GOOD_CLAIMS, 0, NULL);
        cr_assert(json_object_del(claims, optional[i]) == 0);
        char *text = json_dumps(claims, JSON_COMPACT);
        cr_expect(verify_parts(HEADER, text) == REASON(OK), "%s", optional[i]);
        free(text);
        json_decref(claims);
    }
}

Test(token, forms)
{
    char token[2048];
    char other[2200];
    struct auth_claims claims;
    size_t chars = build(HEADER, GOOD_CLAIMS, token);
    const char *dot = strchr(token, '.');
    cr_assert(dot != NULL);
    static const char *const malformed[] = {"", ".", "..", "...", "a.b.c", "Bearer x.y.z"};
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++) {
        cr_expect(verify(malformed[i], strlen(malformed[i]), &claims) == REASON(MALFORMED_TOKEN));
    }
    // One character more or less, padding, white space, a fourth part, another last digit.
    static const char *const tails[] = {"A", "=", "==", " ", "\n", ".", ".x"};
    for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++) {
        int length = snprintf(other, sizeof other, "%s%s", token, tails[i]);
        cr_expect(verify(other, (size_t)length, &claims) == REASON(MALFORMED_TOKEN), "tail '%s'",
                  tails[i]);
    }
    cr_expect(verify(token, chars - 1, &claims) == REASON(MALFORMED_TOKEN));
    memcpy(other, token, chars + 1);
    other[chars - 1]++; // the last digit's unused bits
    cr_expect(verify(other, chars, &claims) == REASON(MALFORMED_TOKEN));
    memcpy(other, token, chars + 1);
    other[chars - 20] = other[chars - 20] == 'A' ? 'B' : 'A';
    cr_expect(verify(other, chars, &claims) == REASON(BAD_SIGNATURE));
    cr_expect(claims.user_id == 0, "nothing is told of a token that is not believed");
    int length = snprintf(other, sizeof other, " %s", token);
    cr_expect(verify(other, (size_t)length, &claims) == REASON(MALFORMED_TOKEN));
    cr_expect(verify(token, strlen(token) - 86, &claims) == REASON(MALFORMED_TOKEN),
              "no signature");
}

Test(token, too_long)
{
    static char padding[AUTH_TOKEN_PAYLOAD_BYTES_MAX];
    static char claims[2 * AUTH_TOKEN_PAYLOAD_BYTES_MAX];
    memset(padding, 'x', sizeof padding - 1);
    snprintf(claims, sizeof claims, "{\"x\":\"%s\"}", padding);
    cr_expect(verify_parts(HEADER, claims) == REASON(MALFORMED_TOKEN));
    static char huge[AUTH_TOKEN_CHARS_MAX + 2];
    memset(huge, 'A', sizeof huge - 1);
    struct auth_claims out;
    cr_expect(verify(huge, sizeof huge - 1, &out) == REASON(MALFORMED_TOKEN));
}

Test(token, verdicts_come_in_order)
{
    // Wrong in every respect: the first that applies is told.
    cr_expect(verify_parts(HEADER, ISSUER("\"x\"")) == REASON(WRONG_ISSUER));
    struct auth_claims claims = {.issued_at_s = 1, .expires_at_s = 2, .activated = -1};
    (void)snprintf(claims.issuer, sizeof claims.issuer, "x");
    cr_expect(auth_claims_judge(&claims, &rules, NOW_S * 1000) == REASON(WRONG_ISSUER));
    (void)snprintf(claims.issuer, sizeof claims.issuer, "second");
    cr_expect(auth_claims_judge(&claims, &rules, NOW_S * 1000) == REASON(EXPIRED));
    claims.expires_at_s = NOW_S + 1;
    cr_expect(auth_claims_judge(&claims, &rules, NOW_S * 1000) == REASON(BANNED));
    for (int reason = 0; reason <= REASON(REVOKED); reason++) {
        cr_expect(strlen(auth_reason_message((auth_reason)reason)) > 10);
    }
}

Test(token, both_spellings_of_a_signature_are_found)
{
    char token[2048];
    char canonical[AUTH_TOKEN_CHARS_MAX + 1];
    char twin[AUTH_TOKEN_CHARS_MAX + 1];
    char canonical2[AUTH_TOKEN_CHARS_MAX + 1];
    char twin2[AUTH_TOKEN_CHARS_MAX + 1];
    size_t chars = build(HEADER, GOOD_CLAIMS, token);
    cr_assert(auth_token_spellings(token, chars, canonical, twin));
    cr_expect_str_eq(canonical, token, "s = 0x0202... is the smaller one");
    cr_expect_str_neq(twin, token);
    cr_expect(strlen(twin) == chars);
    cr_assert(auth_token_spellings(twin, chars, canonical2, twin2));
    cr_expect_str_eq(canonical2, canonical);
    cr_expect_str_eq(twin2, twin);
    // n - 0x0202...02, computed by hand: fd fd fd fc fd fd ...
    uint8_t signature[64];
    size_t bytes;
    cr_assert(mm_base64url_decode(twin + chars - 86, 86, signature, 64, &bytes) == MM_OK);
    static const uint8_t expected[32] = {0xfd, 0xfd, 0xfd, 0xfc, 0xfd, 0xfd, 0xfd, 0xfe,
                                         0xfd, 0xfd, 0xfd, 0xfd, 0xfd, 0xfd, 0xfd, 0xfd,
                                         0xba, 0xe4, 0xf8, 0xab, 0xa5, 0x15, 0x9c, 0x82,
                                         0xf1, 0xb7, 0xc8, 0xc0, 0xfa, 0x61, 0x23, 0x4f};
    cr_expect(memcmp(signature + 32, expected, 32) == 0);
    cr_expect(!auth_token_spellings("a.b.c", 5, canonical, twin));
}

// --- the JSON scanner against jansson ------------------------------------------------------------

struct members {
    json_t *object;
    bool duplicate;
};

static bool collect(void *ctx, const char *key, size_t key_bytes,
                    const struct auth_json_value *value)
{
    struct members *members = ctx;
    json_t *json = value->type == AUTH_JSON_STRING    ? json_stringn(value->text, value->text_bytes)
                   : value->type == AUTH_JSON_INTEGER ? json_integer(value->integer)
                   : value->type == AUTH_JSON_TRUE    ? json_true()
                   : value->type == AUTH_JSON_FALSE   ? json_false()
                                                      : json_null();
    members->duplicate = members->duplicate || strlen(key) != key_bytes;
    json_object_set_new(members->object, key, json);
    return true;
}

// Members that both readers can be compared by: not compounds, not other numbers.
static bool same_members(json_t *ours, json_t *theirs)
{
    const char *key;
    json_t *value;
    json_object_foreach(theirs, key, value)
    {
        json_t *other = json_object_get(ours, key);
        if (other == NULL) {
            return false;
        }
        if ((json_is_string(value) || json_is_integer(value) || json_is_boolean(value)) &&
            !json_is_null(other) && !json_equal(value, other)) {
            return false;
        }
    }
    return true;
}

Test(json, agrees_with_jansson_on_mutated_objects)
{
    static const char *const seeds[] = {
        GOOD_CLAIMS,
        "{\"a\":[1,{\"b\":[]},\"x\"],\"c\":{\"d\":null,\"e\":[true,false]},\"n\":-12,\"f\":1.5e-3}",
        "{\"s\":\"\\u00e9\\ud83d\\udc09\\n\\\"\\\\\\/\",\"t\":\"\xc3\xa9\",\"\":0}"};
    static const char alphabet[] = "{}[]\",:0123456789-+.eE\\untfalsr \t\n\x01\x7f\xc3\xa9\xff";
    struct mm_rng rng;
    mm_rng_seed(&rng, 20260101);
    int accepted = 0;
    int rejected = 0;
    for (int round = 0; round < 60000; round++) {
        char text[600];
        size_t bytes = strlen(seeds[round % 3]);
        memcpy(text, seeds[round % 3], bytes);
        int edits = (int)mm_rng_below(&rng, 4);
        for (int i = 0; i < edits && bytes > 1; i++) {
            size_t at = (size_t)mm_rng_below(&rng, bytes);
            switch (mm_rng_below(&rng, 3)) {
            case 0:
                text[at] = alphabet[mm_rng_below(&rng, sizeof alphabet - 1)];
                break;
            case 1:
                memmove(text + at, text + at + 1, --bytes - at);
                break;
            default:
                memmove(text + at + 1, text + at, bytes++ - at);
                text[at] = alphabet[mm_rng_below(&rng, sizeof alphabet - 1)];
                break;
            }
        }
        struct members members = {.object = json_object()};
        bool ours = auth_json_scan(text, bytes, collect, &members);
        json_error_t error;
        json_t *theirs = json_loadb(text, bytes, JSON_ALLOW_NUL, &error);
        // jansson refuses integers and reals out of range, which for us are other numbers.
        bool range = theirs == NULL && json_error_code(&error) == json_error_numeric_overflow;
        if (!range && !members.duplicate) {
            cr_assert(ours == json_is_object(theirs), "%.*s: %s", (int)bytes, text, error.text);
            if (ours) {
                cr_assert(same_members(members.object, theirs), "%.*s", (int)bytes, text);
            }
        }
        ours ? accepted++ : rejected++;
        json_decref(theirs);
        json_decref(members.object);
    }
    cr_expect(accepted > 5000 && rejected > 5000, "%d accepted, %d rejected", accepted, rejected);
}
