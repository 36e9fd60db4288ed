#ifndef AUTH_AUTH_H
#define AUTH_AUTH_H

#include "gen/auth.pb-c.h"
#include "libcommon/base/err.h"
#include "libcommon/io/http_rpc.h"
#include "libcommon/io/loop.h"
#include "libcommon/io/redis.h"
#include "libcommon/io/rpc_server.h"
#include "libcommon/service/service.h"
#include "services/auth/core/token.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdbool.h>
#include <stdint.h>

// The auth service's state: one loop thread owns it all.

enum {
    AUTH_PEM_BYTES_MAX = 4096,
    AUTH_URL_CHARS_MAX = 255,
    AUTH_VERIFICATIONS_MAX = 1024, // under way; beyond it RESOURCE_EXHAUSTED
    AUTH_CACHE_ENTRIES = 1024,
    AUTH_DB_DEADLINE_MS = 5000,
    AUTH_HASH_CHARS = 2 * SHA256_DIGEST_LENGTH,
    AUTH_BAN_REASON_CHARS_MAX = 500,
};

#define AUTH_REASON(name) MMORTS__AUTH__VERIFY_REASON__VERIFY_##name

struct auth_settings {
    struct mm_config_strings issuers;
    int64_t leeway_ms;
    int64_t cache_ms;
    const char *login_url;
    const char *key_path;
    int64_t key_refresh_ms;
    int64_t key_retry_ms;
    int64_t key_timeout_ms;
};

struct auth_fetch;        // fetch.h
struct auth_verification; // verify.c

// The login server's key, and how it is kept fresh (key.c).
struct auth_key {
    EVP_PKEY *key; // NULL until one is known
    EVP_MD_CTX *digest;
    char pem[AUTH_PEM_BYTES_MAX + 1];
    int64_t fetched_wall_ms;
    uint64_t next_unscheduled_ms; // monotonic: an unknown signature may not ask before
    struct auth_fetch *fetch;     // under way, or NULL
    struct mm_loop_timer timer;   // the next fetch
    int condition;
    struct mm_counter *fetched, *failed;
};

// A token whose signature and claims were found good a moment ago.
struct auth_cached {
    uint8_t hash[SHA256_DIGEST_LENGTH]; // of the text as it came
    uint64_t until_ms;                  // monotonic; 0 = empty
    struct auth_claims claims;
};

// Revocations and bans in Redis (revocation.c).
struct auth_revocations {
    bool is_filled; // Redis holds what the database holds: its silence means "not revoked"
    uint64_t fill_generation; // grows whenever Redis came or went: an older fill is void
    int fill_stage;           // which table
    char fill_cursor[AUTH_HASH_CHARS + 1]; // last key of the page before
    struct auth_fill_page *page;           // under way, or NULL
    struct mm_loop_timer retry_timer, purge_timer;
    int condition;
};

enum { AUTH_EVENTS_MAX = 512, AUTH_EVENT_BYTES_MAX = 128 };

struct auth_event {
    uint64_t due_ns;
    uint64_t player_id;                   // that is banned; 0: another event
    size_t packed_bytes;                  // 0: told no more
    uint8_t packed[AUTH_EVENT_BYTES_MAX]; // a mmorts.auth.Revoked
};

// Events that will be published a second time (events.c): a ring in the order of their times.
struct auth_events {
    size_t first, count;
    struct mm_loop_timer timer;
    struct auth_event repeats[AUTH_EVENTS_MAX];
};

struct auth {
    struct auth_settings settings;
    struct mm_service *service;
    struct auth_rules rules;
    struct auth_key key;
    struct auth_revocations revocations;
    struct auth_events events;
    struct auth_cached *cache; // AUTH_CACHE_ENTRIES
    struct auth_verification *verifications;
    size_t verification_count;
    struct mm_counter *by_reason[AUTH_REASON(REVOKED) + 1];
    struct mm_counter *unavailable, *cache_hits, *cache_misses;
    struct mm_metrics_histogram *latency;
};

// --- key.c ---------------------------------------------------------------------------------------

// Loads the last key from the database and begins to fetch.
enum mm_err auth_key_start(struct auth *auth) MM_MUST_USE;
void auth_key_stop(struct auth *auth);

// The auth_signature_fn; ctx is the auth. There has to be a key.
enum auth_signature auth_key_check(void *auth, const char *input, size_t input_bytes,
                                   const uint8_t signature[AUTH_TOKEN_SIGNATURE_BYTES]);

// A signature did not fit the key: has the login server a new one? True if a fetch is under way
// now; auth_verify_key_settled() follows. False if the last one is too recent.
bool auth_key_ask_again(struct auth *auth);

// --- verify.c ------------------------------------------------------------------------------------

struct auth_verdict {
    enum mm_err err; // not OK: no decision could be made; `message` says why
    auth_reason reason;
    const char *message;              // never NULL
    const struct auth_claims *claims; // if the token was good but for activation, ban, revocation
    const char *token_hash;           // or ""
};

// Called exactly once, possibly from within auth_verify. Everything is borrowed for the call.
typedef void (*auth_verdict_fn)(struct auth *auth, void *arg, const struct auth_verdict *verdict);

// What a token is shown for.
enum auth_occasion {
    AUTH_LOOKING,
    AUTH_JOINING, // the visit is recorded
    AUTH_STAYING, // it let its player in before, and may have run out since
};

// Decides on a token: signature and claims, then revocation and ban, then records the visit. The
// token is copied.
void auth_verify(struct auth *auth, const char *token, enum auth_occasion occasion,
                 auth_verdict_fn fn, void *arg);

// The key was fetched, or could not be.
void auth_verify_key_settled(struct auth *auth);

// Drops cached signatures (the key has changed).
void auth_verify_forget(struct auth *auth);

// Answers all that wait with CANCELLED.
void auth_verify_stop(struct auth *auth);

// A mm_http_authorise_fn; arg is the auth.
void auth_verify_bearer(void *auth, struct mm_http_authorisation *authorisation,
                        const char *bearer);

// SHA-256 in hex, with a NUL.
void auth_hash_hex(const char *text, size_t bytes, char out[AUTH_HASH_CHARS + 1]);

// --- revocation.c --------------------------------------------------------------------------------

// Fills Redis from the database, now and whenever Redis comes back.
void auth_revocations_start(struct auth *auth);
void auth_revocations_stop(struct auth *auth);

// Redis keys, with a NUL. A revoked token: by the hash of its canonical spelling.
enum { AUTH_REDIS_KEY_CHARS_MAX = 96 };
void auth_revoked_key(const char *token_hash, char out[AUTH_REDIS_KEY_CHARS_MAX]);
void auth_banned_key(uint64_t player_id, char out[AUTH_REDIS_KEY_CHARS_MAX]);

// --- events.c ------------------------------------------------------------------------------------

void auth_events_start(struct auth *auth);
void auth_events_stop(struct auth *auth);

// Tells those who hold live connections, on Redis channel auth.revoked; fn is called when Redis has
// taken it, unless an error is returned.
enum mm_err auth_events_publish(struct auth *auth, const Mmorts__Auth__Revoked *message,
                                mm_redis_reply_fn fn, void *arg) MM_MUST_USE;
// A player's ban was lifted: it is not told again.
void auth_events_forget_bans(struct auth *auth, uint64_t player_id);

// --- rpc.c ---------------------------------------------------------------------------------------

void auth_rpc_register(struct auth *auth);

// --- service.c -----------------------------------------------------------------------------------

extern const struct mm_service_spec auth_service_spec;

#endif
