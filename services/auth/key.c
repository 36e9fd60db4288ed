// The login server's public key: fetched, checked to be EC P-256, kept in the database, and used to
// check ES256 signatures. A key that was good stays in force until the login server shows another.

#include "services/auth/auth.h"
#include "services/auth/fetch.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/clock.h"
#include "libcommon/base/log.h"
#include "libcommon/base/str.h"
#include "libcommon/io/db.h"
#include "libcommon/io/db_conn.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

// --- the key itself ------------------------------------------------------------------------------

// NULL unless the text is the PEM of a point on P-256.
static EVP_PKEY *parse_key(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = bio == NULL ? NULL : PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
    BIO_free(bio);
    if (key == NULL) {
        return NULL;
    }
    char group[32] = "";
    size_t group_chars = 0;
    bool good = EVP_PKEY_get_base_id(key) == EVP_PKEY_EC &&
                EVP_PKEY_get_group_name(key, group, sizeof group, &group_chars) == 1 &&
                strcmp(group, "prime256v1") == 0;
    EVP_PKEY_CTX *ctx = good ? EVP_PKEY_CTX_new(key, NULL) : NULL;
    good = ctx != NULL && EVP_PKEY_public_check(ctx) == 1;
    EVP_PKEY_CTX_free(ctx);
    if (!good) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    return key;
}

// Puts the key into force. False if the text is no such key.
static bool adopt(struct auth *auth, const char *pem, int64_t fetched_wall_ms)
{
    struct auth_key *own = &auth->key;
    if (own->key != NULL && strcmp(pem, own->pem) == 0) {
        own->fetched_wall_ms = fetched_wall_ms;
        return true;
    }
    EVP_PKEY *key = parse_key(pem);
    if (key == NULL || !mm_str_copy(own->pem, sizeof own->pem, pem)) {
        EVP_PKEY_free(key);
        return false;
    }
    EVP_PKEY_free(own->key);
    own->key = key;
    own->fetched_wall_ms = fetched_wall_ms;
    auth_verify_forget(auth);
    mm_service_condition_set(auth->service, own->condition, true);
    MM_LOG_INFO("login server's key is in force");
    return true;
}

// DER of the signature (SEQUENCE of two INTEGERs), at most 72 bytes; 0 on an error.
static size_t encode_der(const uint8_t signature[AUTH_TOKEN_SIGNATURE_BYTES], uint8_t out[80])
{
    ECDSA_SIG *pair = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(signature, 32, NULL);
    BIGNUM *s = BN_bin2bn(signature + 32, 32, NULL);
    if (pair == NULL || r == NULL || s == NULL || ECDSA_SIG_set0(pair, r, s) != 1) {
        BN_free(r);
        BN_free(s);
        ECDSA_SIG_free(pair);
        return 0;
    }
    int bytes = i2d_ECDSA_SIG(pair, NULL);
    uint8_t *at = out;
    bytes = bytes > 0 && bytes <= 80 ? i2d_ECDSA_SIG(pair, &at) : 0;
    ECDSA_SIG_free(pair);
    return bytes > 0 ? (size_t)bytes : 0;
}

enum auth_signature auth_key_check(void *ctx, const char *input, size_t input_bytes,
                                   const uint8_t signature[AUTH_TOKEN_SIGNATURE_BYTES])
{
    struct auth *auth = ctx;
    struct auth_key *own = &auth->key;
    MM_CHECK(own->key != NULL);
    uint8_t der[80];
    size_t der_bytes = encode_der(signature, der);
    EVP_MD_CTX_reset(own->digest);
    bool good =
        der_bytes > 0 &&
        EVP_DigestVerifyInit(own->digest, NULL, EVP_sha256(), NULL, own->key) == 1 &&
        EVP_DigestVerify(own->digest, der, der_bytes, (const uint8_t *)input, input_bytes) == 1;
    return good ? AUTH_SIGNATURE_GOOD : AUTH_SIGNATURE_BAD;
}

// --- the database --------------------------------------------------------------------------------

struct key_row {
    struct auth *auth;
    char url[AUTH_URL_CHARS_MAX + 1];
    char pem[AUTH_PEM_BYTES_MAX + 1];
    int64_t fetched_ms;
};

static struct key_row *make_row(struct auth *auth)
{
    struct key_row *row = mm_calloc(1, sizeof *row);
    MM_CHECK(row != NULL);
    row->auth = auth;
    (void)mm_str_copy(row->url, sizeof row->url, auth->settings.login_url);
    return row;
}

static enum mm_err save_row(struct mm_db_conn *conn, void *arg)
{
    const struct key_row *row = arg;
    return mm_db_exec(
        conn,
        "INSERT INTO login_keys (url, pem, fetched_ms) VALUES (?, ?, ?) "
        "ON DUPLICATE KEY UPDATE pem = VALUES(pem), fetched_ms = VALUES(fetched_ms)",
        MM_DB_ARGS(mm_db_str(row->url), mm_db_str(row->pem), mm_db_i64(row->fetched_ms)), NULL);
}

static void on_saved(enum mm_err err, void *arg)
{
    if (err != MM_OK && err != MM_CANCELLED) {
        MM_LOG_WARN("cannot keep the login server's key", "err=%s", mm_err_name(err));
    }
    mm_free(arg);
}

static void save(struct auth *auth)
{
    struct key_row *row = make_row(auth);
    (void)mm_str_copy(row->pem, sizeof row->pem, auth->key.pem);
    row->fetched_ms = auth->key.fetched_wall_ms;
    struct mm_db_job job = {
        .work = save_row, .done = on_saved, .arg = row, .deadline_ms = AUTH_DB_DEADLINE_MS};
    enum mm_err err = mm_db_submit(mm_service_db(auth->service), &job);
    if (err != MM_OK) {
        on_saved(err, row);
    }
}

static enum mm_err load_row(struct mm_db_conn *conn, void *arg)
{
    struct key_row *row = arg;
    struct mm_db_rows *rows;
    enum mm_err err = mm_db_query_one(conn, "SELECT pem, fetched_ms FROM login_keys WHERE url = ?",
                                      MM_DB_ARGS(mm_db_str(row->url)), &rows);
    if (err != MM_OK) {
        return err;
    }
    (void)mm_str_copy(row->pem, sizeof row->pem, mm_db_get_bytes(rows, 0).data);
    row->fetched_ms = mm_db_get_i64(rows, 1);
    return mm_db_end(rows);
}

static void on_loaded(enum mm_err err, void *arg)
{
    struct key_row *row = arg;
    struct auth *auth = row->auth;
    if (err == MM_OK && auth->key.key == NULL && !adopt(auth, row->pem, row->fetched_ms)) {
        MM_LOG_WARN("the kept key of the login server is damaged");
    } else if (err != MM_OK && err != MM_NOT_FOUND && err != MM_CANCELLED) {
        MM_LOG_WARN("cannot load the login server's key", "err=%s", mm_err_name(err));
    }
    mm_free(row);
}

static void load(struct auth *auth)
{
    struct key_row *row = make_row(auth);
    struct mm_db_job job = {
        .work = load_row, .done = on_loaded, .arg = row, .deadline_ms = AUTH_DB_DEADLINE_MS};
    enum mm_err err = mm_db_submit(mm_service_db(auth->service), &job);
    if (err != MM_OK) {
        on_loaded(err, row);
    }
}

// --- fetching ------------------------------------------------------------------------------------

static void on_fetched(void *arg, enum mm_err err, const char *problem, const char *body,
                       size_t body_bytes)
{
    struct auth *auth = arg;
    struct auth_key *own = &auth->key;
    own->fetch = NULL;
    bool is_text = err == MM_OK && strlen(body) == body_bytes;
    bool changed = is_text && (own->key == NULL || strcmp(own->pem, body) != 0);
    bool good = is_text && adopt(auth, body, mm_clock_wall_ms());
    if (good) {
        mm_counter_add(own->fetched, 1);
        if (changed) {
            save(auth);
        }
    } else {
        mm_counter_add(own->failed, 1);
        MM_LOG_WARN("cannot fetch the login server's key", "err=%s problem=%s have_one=%d",
                    mm_err_name(err), err == MM_OK ? "not the PEM of a P-256 key" : problem,
                    own->key != NULL);
    }
    int64_t next_ms = good ? auth->settings.key_refresh_ms : auth->settings.key_retry_ms;
    mm_loop_timer_start(mm_service_loop(auth->service), &own->timer, MM_LOOP_MS(next_ms), 0);
    auth_verify_key_settled(auth);
}

static void fetch(struct auth *auth)
{
    struct auth_key *own = &auth->key;
    if (own->fetch != NULL) {
        return;
    }
    char url[2 * AUTH_URL_CHARS_MAX];
    snprintf(url, sizeof url, "%s%s", auth->settings.login_url, auth->settings.key_path);
    own->next_unscheduled_ms = mm_clock_ms() + (uint64_t)auth->settings.key_retry_ms;
    struct mm_loop *loop = mm_service_loop(auth->service);
    mm_loop_timer_stop(loop, &own->timer);
    enum mm_err err = auth_fetch_start(loop, url, auth->settings.key_timeout_ms, AUTH_PEM_BYTES_MAX,
                                       on_fetched, auth, &own->fetch);
    if (err != MM_OK) {
        mm_loop_timer_start(loop, &own->timer, MM_LOOP_MS(auth->settings.key_retry_ms), 0);
    }
}

static void on_timer(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop;
    (void)timer;
    fetch(arg);
}

bool auth_key_ask_again(struct auth *auth)
{
    if (auth->key.fetch == NULL && mm_clock_ms() >= auth->key.next_unscheduled_ms) {
        fetch(auth);
    }
    return auth->key.fetch != NULL;
}

static double read_age_seconds(void *ctx)
{
    const struct auth *auth = ctx;
    return auth->key.key == NULL ? -1
                                 : (double)(mm_clock_wall_ms() - auth->key.fetched_wall_ms) / 1000;
}

enum mm_err auth_key_start(struct auth *auth)
{
    struct auth_key *own = &auth->key;
    struct mm_metrics *metrics = mm_service_metrics(auth->service);
    mm_loop_timer_init(&own->timer, on_timer, auth);
    own->digest = EVP_MD_CTX_new();
    if (own->digest == NULL) {
        return MM_RESOURCE_EXHAUSTED;
    }
    own->condition = mm_service_condition_add(auth->service, "login server's key");
    own->fetched =
        mm_metrics_counter(metrics, "mmorts_auth_key_fetches_total",
                           "Fetches of the login server's key.", MM_LABELS("result", "ok"));
    own->failed = mm_metrics_counter(metrics, "mmorts_auth_key_fetches_total", "",
                                     MM_LABELS("result", "failed"));
    mm_metrics_gauge_fn(metrics, "mmorts_auth_key_age_seconds",
                        "Time since the login server last showed its key; -1 without one.", NULL,
                        read_age_seconds, auth);
    load(auth);
    fetch(auth);
    return MM_OK;
}

void auth_key_stop(struct auth *auth)
{
    struct auth_key *own = &auth->key;
    mm_loop_timer_stop(mm_service_loop(auth->service), &own->timer);
    if (own->fetch != NULL) {
        auth_fetch_cancel(own->fetch);
        own->fetch = NULL;
    }
    EVP_PKEY_free(own->key);
    own->key = NULL;
    EVP_MD_CTX_free(own->digest);
    own->digest = NULL;
}
