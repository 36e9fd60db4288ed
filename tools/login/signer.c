#include "tools/login/login.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/base64url.h"
#include "libcommon/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PEM_BYTES_MAX = 1024, SIGNATURE_BYTES = 64 };

struct login_signer {
    EVP_PKEY *key;
    char path[4096];
    char public_pem[PEM_BYTES_MAX];
};

static bool write_public_pem(struct login_signer *signer)
{
    BIO *bio = BIO_new(BIO_s_mem());
    bool good = bio != NULL && PEM_write_bio_PUBKEY(bio, signer->key) == 1;
    int bytes = good ? BIO_read(bio, signer->public_pem, PEM_BYTES_MAX - 1) : 0;
    BIO_free(bio);
    if (bytes <= 0) {
        return false;
    }
    signer->public_pem[bytes] = '\0';
    return true;
}

// Written beside and renamed, so that there is never half a key.
static bool save_key(const struct login_signer *signer, const EVP_PKEY *key)
{
    char path[sizeof signer->path + 8];
    snprintf(path, sizeof path, "%s.new", signer->path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    if (file == NULL) {
        if (fd >= 0) {
            close(fd);
        }
        return false;
    }
    bool good = PEM_write_PKCS8PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1 &&
                fflush(file) == 0 && fsync(fd) == 0;
    good = fclose(file) == 0 && good;
    return good && rename(path, signer->path) == 0;
}

enum mm_err login_signer_rotate(struct login_signer *signer)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    if (key == NULL || !save_key(signer, key)) {
        MM_LOG_ERROR("cannot make a key", "path=%s problem=%s", signer->path, strerror(errno));
        EVP_PKEY_free(key);
        return MM_INTERNAL;
    }
    EVP_PKEY_free(signer->key);
    signer->key = key;
    return write_public_pem(signer) ? MM_OK : MM_INTERNAL;
}

enum mm_err login_signer_open(const char *directory, struct login_signer **out)
{
    struct login_signer *signer = mm_calloc(1, sizeof *signer);
    if (signer == NULL || snprintf(signer->path, sizeof signer->path, "%s/key.pem", directory) >=
                              (int)sizeof signer->path) {
        mm_free(signer);
        return MM_INTERNAL;
    }
    enum mm_err err = MM_INTERNAL;
    FILE *file = fopen(signer->path, "re");
    if (file == NULL && errno == ENOENT) {
        err = login_signer_rotate(signer);
    } else if (file != NULL) {
        signer->key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
        err = signer->key != NULL && write_public_pem(signer) ? MM_OK : MM_INTERNAL;
    }
    if (file != NULL) {
        fclose(file);
    }
    if (err != MM_OK) {
        MM_LOG_ERROR("cannot load the key", "path=%s", signer->path);
        login_signer_close(signer);
        return err;
    }
    *out = signer;
    return MM_OK;
}

void login_signer_close(struct login_signer *signer)
{
    if (signer != NULL) {
        EVP_PKEY_free(signer->key);
        mm_free(signer);
    }
}

const char *login_signer_public_pem(const struct login_signer *signer)
{
    return signer->public_pem;
}

// DER to r and s as 32 bytes each (RFC 7518, section 3.4).
static bool to_jose(const uint8_t *der, size_t der_bytes, uint8_t out[SIGNATURE_BYTES])
{
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)der_bytes);
    bool good = pair != NULL && BN_bn2binpad(ECDSA_SIG_get0_r(pair), out, 32) == 32 &&
                BN_bn2binpad(ECDSA_SIG_get0_s(pair), out + 32, 32) == 32;
    ECDSA_SIG_free(pair);
    return good;
}

static bool sign(struct login_signer *signer, const char *input, size_t input_bytes,
                 uint8_t out[SIGNATURE_BYTES])
{
    uint8_t der[80];
    size_t der_bytes = sizeof der;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = ctx != NULL &&
                EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, signer->key) == 1 &&
                EVP_DigestSign(ctx, der, &der_bytes, (const uint8_t *)input, input_bytes) == 1;
    EVP_MD_CTX_free(ctx);
    return good && to_jose(der, der_bytes, out);
}

enum mm_err login_signer_sign(struct login_signer *signer, const char *claims,
                              char out[LOGIN_TOKEN_CHARS_MAX + 1])
{
    static const char header[] = "{\"alg\":\"ES256\",\"typ\":\"JWT\"}";
    size_t claims_bytes = strlen(claims);
    size_t chars = mm_base64url_chars(sizeof header - 1) + mm_base64url_chars(claims_bytes) +
                   mm_base64url_chars(SIGNATURE_BYTES) + 2;
    if (chars > LOGIN_TOKEN_CHARS_MAX) {
        return MM_RESOURCE_EXHAUSTED;
    }
    size_t at = mm_base64url_encode(header, sizeof header - 1, out);
    out[at++] = '.';
    at += mm_base64url_encode(claims, claims_bytes, out + at);
    uint8_t signature[SIGNATURE_BYTES];
    if (!sign(signer, out, at, signature)) {
        return MM_INTERNAL;
    }
    out[at++] = '.';
    mm_base64url_encode(signature, sizeof signature, out + at);
    return MM_OK;
}
