#include "libcommon/io/rpc.h"

#include <nng/nng.h>
#include <nng/supplemental/tls/tls.h>
#include <string.h>

#include "libcommon/base/log.h"
#include "libcommon/base/str.h"
#include "libcommon/io/address.h"
#include "libcommon/io/nng_close.h"
#include "libcommon/io/rpc_envelope.h"

// What the RPC and stream sockets share of nng.

int mm_rpc_method_index(const ProtobufCServiceDescriptor *service, const char *method)
{
    for (unsigned i = 0; i < service->n_methods; i++)
        if (strcmp(service->methods[i].name, method) == 0)
            return (int)i;
    return -1;
}

enum mm_err mm_nng_err(int rv)
{
    switch (rv) {
    case 0:
        return MM_OK;
    case NNG_ETIMEDOUT:
        return MM_DEADLINE_EXCEEDED;
    case NNG_ECANCELED:
        return MM_CANCELLED;
    case NNG_ENOMEM:
    case NNG_ENOSPC:
    case NNG_ENOFILES:
        return MM_RESOURCE_EXHAUSTED;
    case NNG_EINVAL:
    case NNG_EADDRINVAL:
    case NNG_ENOTSUP:
        return MM_INVALID_ARGUMENT;
    case NNG_ECONNRESET:
    case NNG_ECONNREFUSED:
    case NNG_ECONNABORTED:
    case NNG_ECONNSHUT:
    case NNG_ECLOSED:
    case NNG_EADDRINUSE:
    case NNG_EUNREACHABLE:
    case NNG_ENOENT:
    case NNG_EPERM:
        return MM_UNAVAILABLE;
    default:
        return MM_INTERNAL;
    }
}

// Both sides show a certificate and check the other's.
static int tls_config(nng_tls_mode mode, const struct mm_rpc_tls *tls, nng_tls_config **out)
{
    *out = NULL;
    if (!tls || !tls->ca_file || !tls->cert_key_file)
        return NNG_EINVAL;
    nng_tls_config *config;
    int rv = nng_tls_config_alloc(&config, mode);
    if (rv != 0)
        return rv;
    if ((rv = nng_tls_config_auth_mode(config, NNG_TLS_AUTH_MODE_REQUIRED)) != 0 ||
        (rv = nng_tls_config_ca_file(config, tls->ca_file)) != 0 ||
        (rv = nng_tls_config_cert_key_file(config, tls->cert_key_file, NULL)) != 0) {
        nng_tls_config_free(config);
        return rv;
    }
    *out = config;
    return 0;
}

enum mm_err mm_nng_listen(nng_socket socket, const char *url, const struct mm_rpc_tls *tls,
                          uint16_t *port_out)
{
    mm_nng_guard_sends();
    nng_listener listener;
    nng_tls_config *config = NULL;
    int rv = nng_listener_create(&listener, socket, url);
    if (rv != 0)
        goto failed;
    if (mm_address_is_tls(url) &&
        ((rv = tls_config(NNG_TLS_MODE_SERVER, tls, &config)) != 0 ||
         (rv = nng_listener_set_ptr(listener, NNG_OPT_TLS_CONFIG, config)) != 0))
        goto close_listener;
    // Only the same user may connect to a socket file.
    if (mm_str_starts_with(url, "ipc://") &&
        (rv = nng_listener_set_int(listener, NNG_OPT_IPC_PERMISSIONS, 0600)) != 0)
        goto close_listener;
    if ((rv = nng_listener_start(listener, 0)) != 0)
        goto close_listener;
    int port = 0;
    if (port_out) {
        if (nng_listener_get_int(listener, NNG_OPT_TCP_BOUND_PORT, &port) != 0)
            port = 0;
        *port_out = (uint16_t)port;
    }
    if (config)
        nng_tls_config_free(config);
    return MM_OK;

close_listener:
    nng_listener_close(listener);
    if (config)
        nng_tls_config_free(config);
failed:
    MM_LOG_ERROR("cannot listen", "address=%s reason=%s", url, nng_strerror(rv));
    return mm_nng_err(rv);
}

enum mm_err mm_nng_dial(nng_socket socket, const char *url, const struct mm_rpc_tls *tls)
{
    mm_nng_guard_sends();
    nng_dialer dialer;
    nng_tls_config *config = NULL;
    int rv = nng_dialer_create(&dialer, socket, url);
    if (rv != 0)
        goto failed;
    // nng compares the certificate with a name only if it is told one.
    char name[256];
    if (mm_address_is_tls(url) &&
        ((rv = tls_config(NNG_TLS_MODE_CLIENT, tls, &config)) != 0 ||
         (mm_address_tls_name(url, name, sizeof name) &&
          (rv = nng_tls_config_server_name(config, name)) != 0) ||
         (rv = nng_dialer_set_ptr(dialer, NNG_OPT_TLS_CONFIG, config)) != 0))
        goto close_dialer;
    if ((rv = nng_dialer_start(dialer, NNG_FLAG_NONBLOCK)) != 0)
        goto close_dialer;
    if (config)
        nng_tls_config_free(config);
    return MM_OK;

close_dialer:
    nng_dialer_close(dialer);
    if (config)
        nng_tls_config_free(config);
failed:
    MM_LOG_ERROR("cannot connect", "address=%s reason=%s", url, nng_strerror(rv));
    return mm_nng_err(rv);
}
