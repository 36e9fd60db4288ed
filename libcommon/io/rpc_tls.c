// Whether TLS files will do, found out before anything connects: nng would only say "invalid", and
// starts threads to do so.

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>

#include "libcommon/io/rpc.h"

#define UNREADABLE "cannot be read"

// NULL if the certificate may be shown today.
static const char *dates_error(const X509 *certificate)
{
    if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0)
        return "holds a certificate that is not valid yet";
    if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0)
        return "holds a certificate that has expired";
    return NULL;
}

// A key with a pass phrase would make OpenSSL ask for it at the terminal.
static int no_pass_phrase(char *buffer, int size, int writing, void *arg)
{
    (void)buffer;
    (void)size;
    (void)writing;
    (void)arg;
    return -1;
}

static X509 *read_certificate(FILE *file)
{
    X509 *certificate = PEM_read_X509(file, NULL, no_pass_phrase, NULL);
    ERR_clear_error();
    return certificate;
}

const char *mm_rpc_tls_ca_error(const char *ca_file)
{
    FILE *file = fopen(ca_file, "re");
    if (!file)
        return UNREADABLE;
    X509 *certificate = read_certificate(file);
    fclose(file);
    const char *error = certificate ? dates_error(certificate) : "holds no certificate";
    X509_free(certificate);
    return error;
}

const char *mm_rpc_tls_cert_key_error(const char *cert_key_file)
{
    FILE *file = fopen(cert_key_file, "re");
    if (!file)
        return UNREADABLE;
    X509 *certificate = read_certificate(file);
    rewind(file);
    EVP_PKEY *key = PEM_read_PrivateKey(file, NULL, no_pass_phrase, NULL);
    ERR_clear_error();
    fclose(file);
    const char *error;
    if (!certificate)
        error = "holds no certificate";
    else if (!key)
        error = "holds no private key without a pass phrase";
    else if (X509_check_private_key(certificate, key) != 1)
        error = "holds a private key that is not its first certificate's";
    else
        error = dates_error(certificate);
    ERR_clear_error();
    EVP_PKEY_free(key);
    X509_free(certificate);
    return error;
}
