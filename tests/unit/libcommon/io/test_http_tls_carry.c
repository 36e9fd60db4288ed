#include "libcommon/io/http_tls_carry.h"

#include "libcommon/io/http_tls.h"
#include "libcommon/io/loop.h"
#include "tests/support/certificate.h"
#include "tests/support/process.h"

#include <criterion/criterion.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

// A peer that speaks TLS, what carries, and a server that does not; all in this thread. What
// carries is asked only for what it wants to be told of, as the loop does.

static SSL_CTX *ours, *theirs;
static struct mm_http_tls_carry carry;
static SSL *peer;
static int peer_fd, server_fd;
static bool over;
static uint8_t scratch[MM_HTTP_TLS_CARRY_BYTES], chunk[MM_HTTP_TLS_CARRY_BYTES];

static void make_contexts(void)
{
    char file[256], *directory = test_dir_make();
    test_certificate_make(directory, "ours");
    (void)snprintf(file, sizeof file, "%s/ours.pem", directory);
    free(directory);
    ours = SSL_CTX_new(TLS_server_method());
    theirs = SSL_CTX_new(TLS_client_method());
    cr_assert(ours && theirs);
    cr_assert_eq(SSL_CTX_use_certificate_file(ours, file, SSL_FILETYPE_PEM), 1);
    cr_assert_eq(SSL_CTX_use_PrivateKey_file(ours, file, SSL_FILETYPE_PEM), 1);
    (void)SSL_CTX_set_mode(ours,
                           SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
}

static void free_contexts(void)
{
    SSL_CTX_free(ours);
    SSL_CTX_free(theirs);
}

static void open_all(void)
{
    int outer[2], inner[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, outer), 0);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, inner), 0);
    carry = (struct mm_http_tls_carry){.ssl = SSL_new(ours), .fd = outer[0], .inner = inner[0]};
    peer = SSL_new(theirs);
    peer_fd = outer[1];
    server_fd = inner[1];
    over = false;
    cr_assert(SSL_set_fd(carry.ssl, carry.fd) && SSL_set_fd(peer, peer_fd));
    bool done = false;
    while (!done) {
        done = SSL_connect(peer) == 1;
        done = SSL_accept(carry.ssl) == 1 && done;
    }
}

static void close_all(void)
{
    close(carry.fd);
    close(carry.inner);
    close(peer_fd);
    if (server_fd >= 0)
        close(server_fd);
    mm_http_tls_carry_free(&carry);
    SSL_free(peer);
}

static bool is_ready(int fd, unsigned wanted)
{
    struct pollfd asked = {.fd = fd,
                           .events = (short)((wanted & MM_LOOP_READ ? POLLIN : 0) |
                                             (wanted & MM_LOOP_WRITE ? POLLOUT : 0))};
    return wanted != 0 && poll(&asked, 1, 0) == 1;
}

// Until nobody has anything more for it to do.
static void carry_all(void)
{
    for (unsigned turn = 0; !over && turn < 100; turn++) {
        unsigned outer, inner, ready = 0;
        mm_http_tls_carry_wants(&carry, &outer, &inner);
        ready |= is_ready(carry.fd, outer) ? MM_HTTP_TLS_PEER : 0u;
        ready |= is_ready(carry.inner, inner) ? MM_HTTP_TLS_INNER : 0u;
        if (ready == 0)
            return;
        over = !mm_http_tls_carry_on(&carry, ready, scratch);
    }
}

// What the peer is told in the end, after all bytes that are there.
static int peer_hears(size_t *bytes)
{
    int n;
    while ((n = SSL_read(peer, chunk, sizeof chunk)) > 0)
        *bytes += (size_t)n;
    return SSL_get_error(peer, n);
}

TestSuite(http_tls_carry, .init = make_contexts, .fini = free_contexts);

Test(http_tls_carry, server_hears_the_end_after_any_number_of_records)
{
    for (size_t records = 0; records <= 20; records++) {
        open_all();
        for (size_t i = 0; i < records; i++)
            cr_assert_eq(SSL_write(peer, "x", 1), 1);
        cr_assert_eq(SSL_shutdown(peer), 0);
        carry_all();
        size_t bytes = 0;
        ssize_t n;
        while ((n = recv(server_fd, chunk, sizeof chunk, 0)) > 0)
            bytes += (size_t)n;
        cr_expect_eq(bytes, records);
        cr_expect_eq(n, 0, "after %zu records the server is told the end", records);
        close_all();
    }
}

Test(http_tls_carry, peer_hears_the_end_after_any_number_of_bytes)
{
    for (size_t chunks = 0; chunks <= 10; chunks++) {
        open_all();
        for (size_t i = 0; i < chunks; i++)
            cr_assert_eq(send(server_fd, chunk, sizeof chunk, 0), (ssize_t)sizeof chunk);
        cr_assert_eq(shutdown(server_fd, SHUT_WR), 0);
        size_t bytes = 0;
        int heard = SSL_ERROR_WANT_READ;
        for (unsigned turn = 0; turn < 20 && heard == SSL_ERROR_WANT_READ; turn++) {
            carry_all();
            heard = peer_hears(&bytes);
        }
        cr_expect_eq(bytes, chunks * sizeof chunk);
        cr_expect_eq(heard, SSL_ERROR_ZERO_RETURN, "after %zu chunks: %d", chunks, heard);
        close_all();
    }
}

// Not one byte more goes to the peer when the end has to be told.
Test(http_tls_carry, peer_whose_socket_is_full_hears_the_end_when_it_reads)
{
    open_all();
    int used = 0, room = 0;
    socklen_t size = sizeof room;
    cr_assert_eq(getsockopt(carry.fd, SOL_SOCKET, SO_SNDBUF, &room, &size), 0);
    size_t sent = 0, bytes = 0;
    while (ioctl(carry.fd, SIOCOUTQ, &used) == 0 && used < room) {
        cr_assert_eq(send(server_fd, "y", 1, 0), 1);
        sent++;
        carry_all();
    }
    cr_assert_null(carry.out.bytes, "all was taken");
    cr_assert_eq(shutdown(server_fd, SHUT_WR), 0);
    carry_all();
    cr_expect_eq(peer_hears(&bytes), SSL_ERROR_WANT_READ, "there was no room for it");
    carry_all();
    cr_expect_eq(peer_hears(&bytes), SSL_ERROR_ZERO_RETURN);
    cr_expect_eq(bytes, sent);
    char byte;
    cr_expect_eq(recv(peer_fd, &byte, 1, 0), 0, "and no byte follows");
    close_all();
}
