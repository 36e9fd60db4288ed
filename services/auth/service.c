// What the auth service is made of: settings, start and stop.

#include "services/auth/auth.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"

#include <curl/curl.h>
#include <string.h>

#define SETTING(member) offsetof(struct auth, settings.member)

static const struct mm_config_field fields[] = {
    {.path = "token.issuers",
     .type = MM_CONFIG_STRINGS,
     .offset = SETTING(issuers),
     .fallback = "login-server",
     .help = "values of a token's iss that are trusted"},
    {.path = "token.leeway",
     .type = MM_CONFIG_DURATION,
     .offset = SETTING(leeway_ms),
     .fallback = "5s",
     .max = 300000,
     .help = "difference between the login server's clock and ours that is forgiven"},
    {.path = "token.cache",
     .type = MM_CONFIG_DURATION,
     .offset = SETTING(cache_ms),
     .fallback = "10s",
     .max = 60000,
     .help = "how long a signature once found good is not computed again"},
    {.path = "login_server.url",
     .type = MM_CONFIG_STRING,
     .offset = SETTING(login_url),
     .fallback = "http://127.0.0.1:7108",
     .max = AUTH_URL_CHARS_MAX,
     .help = "base URL of the login server"},
    {.path = "login_server.key_path",
     .type = MM_CONFIG_STRING,
     .offset = SETTING(key_path),
     .fallback = "/api/public-key",
     .max = AUTH_URL_CHARS_MAX,
     .help = "path of its public key (PEM)"},
    {.path = "login_server.refresh",
     .type = MM_CONFIG_DURATION,
     .offset = SETTING(key_refresh_ms),
     .fallback = "10m",
     .min = 1000,
     .max = 86400000,
     .help = "how often the key is fetched"},
    {.path = "login_server.retry",
     .type = MM_CONFIG_DURATION,
     .offset = SETTING(key_retry_ms),
     .fallback = "5s",
     .min = 100,
     .max = 600000,
     .help = "at least so long between two fetches, when one failed or a signature is unknown"},
    {.path = "login_server.timeout",
     .type = MM_CONFIG_DURATION,
     .offset = SETTING(key_timeout_ms),
     .fallback = "3s",
     .min = 100,
     .max = 60000,
     .help = "of one fetch"},
};

static void check(struct mm_config *config, void *state)
{
    const struct auth *auth = state;
    const struct auth_settings *settings = &auth->settings;
    if (settings->issuers.count == 0) {
        mm_config_fail(config, "token.issuers", "at least one is needed");
    }
    if (strncmp(settings->login_url, "http://", 7) != 0 &&
        strncmp(settings->login_url, "https://", 8) != 0) {
        mm_config_fail(config, "login_server.url", "has to begin with http:// or https://");
    }
    if (settings->key_path[0] != '/') {
        mm_config_fail(config, "login_server.key_path", "has to begin with /");
    }
}

static void add_metrics(struct auth *auth)
{
    static const char *const names[] = {
        [AUTH_REASON(OK)] = "ok",
        [AUTH_REASON(MALFORMED_TOKEN)] = "malformed_token",
        [AUTH_REASON(UNSUPPORTED_ALGORITHM)] = "unsupported_algorithm",
        [AUTH_REASON(BAD_SIGNATURE)] = "bad_signature",
        [AUTH_REASON(WRONG_ISSUER)] = "wrong_issuer",
        [AUTH_REASON(EXPIRED)] = "expired",
        [AUTH_REASON(NOT_YET_VALID)] = "not_yet_valid",
        [AUTH_REASON(INVALID_CLAIMS)] = "invalid_claims",
        [AUTH_REASON(NOT_ACTIVATED)] = "not_activated",
        [AUTH_REASON(BANNED)] = "banned",
        [AUTH_REASON(REVOKED)] = "revoked",
    };
    struct mm_metrics *metrics = mm_service_metrics(auth->service);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        auth->by_reason[i] =
            mm_metrics_counter(metrics, "mmorts_auth_verifications_total",
                               "Tokens checked, by the result.", MM_LABELS("result", names[i]));
    }
    auth->unavailable = mm_metrics_counter(metrics, "mmorts_auth_verifications_total", "",
                                           MM_LABELS("result", "undecided"));
    auth->cache_hits =
        mm_metrics_counter(metrics, "mmorts_auth_signature_cache_total",
                           "Look-ups in the cache of good signatures.", MM_LABELS("result", "hit"));
    auth->cache_misses = mm_metrics_counter(metrics, "mmorts_auth_signature_cache_total", "",
                                            MM_LABELS("result", "miss"));
    auth->latency = mm_metrics_latency(metrics, "mmorts_auth_verify_seconds",
                                       "Duration of a verification.", NULL);
}

static enum mm_err start(struct mm_service *service, void *state)
{
    struct auth *auth = state;
    auth->service = service;
    auth->rules = (struct auth_rules){
        .issuers = auth->settings.issuers.items,
        .issuer_count = auth->settings.issuers.count,
        .leeway_s = auth->settings.leeway_ms / 1000,
    };
    auth->cache = mm_calloc(AUTH_CACHE_ENTRIES, sizeof *auth->cache);
    if (auth->cache == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return MM_RESOURCE_EXHAUSTED;
    }
    add_metrics(auth);
    auth_rpc_register(auth);
    auth_events_start(auth);
    auth_revocations_start(auth);
    return auth_key_start(auth);
}

static void stop(struct mm_service *service, void *state)
{
    (void)service;
    struct auth *auth = state;
    auth_verify_stop(auth);
    auth_key_stop(auth);
    auth_revocations_stop(auth);
    auth_events_stop(auth);
    mm_free(auth->cache);
    curl_global_cleanup();
}

const struct mm_service_spec auth_service_spec = {
    .name = "auth",
    .summary = "verifies tokens, revokes them, bans players",
    .port = 7100,
    .uses = MM_SERVICE_DB | MM_SERVICE_REDIS,
    .fields = fields,
    .field_count = sizeof fields / sizeof fields[0],
    .state_bytes = sizeof(struct auth),
    .check = check,
    .start = start,
    .stop = stop,
    .authorise = auth_verify_bearer,
};
