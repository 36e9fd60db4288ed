// What the tables of fields cannot say of the settings that every service has: that addresses are
// addresses, and that encrypted ones have their certificates. So --check-config tells, and not the
// first connection.

#include "libcommon/service/service_internal.h"

#include "libcommon/io/address.h"

// Whether the address is encrypted.
static bool check_rpc_address(struct mm_service *service, const char *path, const char *url)
{
    const char *error = mm_address_rpc_error(url);
    if (error != NULL) {
        mm_config_fail(service->config, path, "%s, found \"%s\"", error, url);
    }
    return mm_address_is_tls(url);
}

static bool check_links(struct mm_service *service, const struct mm_service_link *links,
                        size_t count)
{
    bool encrypted = false;
    for (size_t i = 0; i < count; i++) {
        encrypted |= check_rpc_address(service, links[i].path, links[i].url);
    }
    return encrypted;
}

static void check_tls(struct mm_service *service)
{
    const struct mm_service_settings *settings = &service->settings;
    const char *missing = settings->tls_ca[0] == '\0'         ? "rpc.tls.ca"
                          : settings->tls_cert_key[0] == '\0' ? "rpc.tls.cert_key"
                                                              : NULL;
    if (missing != NULL) {
        mm_config_fail(service->config, missing, "is needed for tls+tcp:// addresses");
        return;
    }
    struct mm_rpc_tls tls = mm_service_tls(service);
    const char *error = mm_rpc_tls_ca_error(tls.ca_file);
    if (error != NULL) {
        mm_config_fail(service->config, "rpc.tls.ca", "%s %s", tls.ca_file, error);
    }
    error = mm_rpc_tls_cert_key_error(tls.cert_key_file);
    if (error != NULL) {
        mm_config_fail(service->config, "rpc.tls.cert_key", "%s %s", tls.cert_key_file, error);
    }
}

void mm_service_check_settings(struct mm_service *service)
{
    const struct mm_service_settings *settings = &service->settings;
    bool encrypted = check_rpc_address(service, "rpc.listen", settings->rpc_listen);
    if (service->spec->uses & MM_SERVICE_STREAM) {
        encrypted |= check_rpc_address(service, "stream.listen", settings->stream_listen);
    }
    encrypted |= check_links(service, service->peers, service->peer_count);
    encrypted |= check_links(service, service->streams, service->stream_count);
    const char *error = mm_address_listen_error(settings->http_listen);
    if (error != NULL) {
        mm_config_fail(service->config, "http.listen", "%s, found \"%s\"", error,
                       settings->http_listen);
    }
    if (encrypted) {
        check_tls(service);
    }
}
