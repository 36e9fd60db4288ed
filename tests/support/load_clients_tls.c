#include "libcommon/base/check.h"
#include "tests/support/load_clients_internal.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

// Clients' side of TLS: what the socket brings is put into OpenSSL and taken out in the clear.

void load_clients_trust(struct load_clients *clients)
{
    const char *authority = clients->options.tls_authority;
    if (!authority)
        return;
    clients->tls = SSL_CTX_new(TLS_client_method());
    clients->clear = malloc(LOAD_READ_ONCE);
    MM_CHECK(clients->tls && clients->clear);
    if (SSL_CTX_load_verify_locations(clients->tls, authority, NULL) != 1) {
        fprintf(stderr, "%s: not a certificate\n", authority);
        abort();
    }
    SSL_CTX_set_verify(clients->tls, SSL_VERIFY_PEER, NULL);
    // Thousands of clients would keep buffers that hold nothing.
    (void)SSL_CTX_set_mode(clients->tls, SSL_MODE_RELEASE_BUFFERS);
}

static void lose(struct load_clients *clients, struct load_client *client, const char *what)
{
    char text[64] = "?";
    unsigned long code = ERR_get_error();
    if (code)
        ERR_error_string_n(code, text, sizeof text);
    load_clients_lose(clients, client, "TLS: %s: %s", what, text);
}

// False: it is lost.
static bool send_sealed(struct load_clients *clients, struct load_client *client)
{
    char *sealed;
    BIO *out = SSL_get_wbio(client->tls);
    long len = BIO_get_mem_data(out, &sealed);
    if (len <= 0)
        return true;
    ssize_t sent = send(client->fd, sealed, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent != len) {
        load_clients_lose(clients, client, "cannot send: %s", strerror(errno));
        return false;
    }
    MM_CHECK(BIO_reset(out) == 1);
    return true;
}

static void shake_hands(struct load_clients *clients, struct load_client *client)
{
    int done = SSL_do_handshake(client->tls);
    if (!send_sealed(clients, client))
        return;
    if (done == 1)
        load_clients_shake(clients, client);
    else if (SSL_get_error(client->tls, done) != SSL_ERROR_WANT_READ)
        lose(clients, client, "handshake");
}

void load_clients_secure(struct load_clients *clients, struct load_client *client)
{
    ERR_clear_error();
    client->tls = SSL_new(clients->tls);
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    MM_CHECK(client->tls && in && out);
    SSL_set_bio(client->tls, in, out);
    SSL_set_connect_state(client->tls);
    client->state = LOAD_SECURING;
    load_clients_watch(clients, client);
    shake_hands(clients, client);
}

void load_clients_take_sealed(struct load_clients *clients, struct load_client *client,
                              const uint8_t *data, size_t len)
{
    ERR_clear_error();
    MM_CHECK(BIO_write(SSL_get_rbio(client->tls), data, (int)len) == (int)len);
    if (client->state == LOAD_SECURING)
        shake_hands(clients, client);
    if (client->state <= LOAD_SECURING)
        return;
    // All of it at once: what a read brought together arrived together.
    size_t clear = 0;
    int n;
    while ((n = SSL_read(client->tls, clients->clear + clear, (int)(LOAD_READ_ONCE - clear))) > 0)
        clear += (size_t)n;
    int why = SSL_get_error(client->tls, n);
    if (clear > 0)
        load_clients_take(clients, client, clients->clear, clear);
    if (client->state > LOAD_SECURING && why != SSL_ERROR_WANT_READ)
        lose(clients, client, why == SSL_ERROR_ZERO_RETURN ? "closed" : "broken");
}

void load_clients_send_sealed(struct load_clients *clients, struct load_client *client,
                              const void *data, size_t len)
{
    ERR_clear_error();
    if (SSL_write(client->tls, data, (int)len) != (int)len)
        lose(clients, client, "cannot write");
    else
        (void)send_sealed(clients, client);
}
