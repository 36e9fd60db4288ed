#include "libcommon/base/check.h"
#include "tests/support/bench.h"
#include "tests/support/load_clients_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

// How clients connect and end.

enum {
    SOURCES = 16, // addresses 127.0.0.2 and up that clients connect from: each has ports of its own
    COME_BACK_MS = 200,
    NARROW_BYTES = 2304,
};

static void watch_in_epoll(struct load_clients *clients, struct load_client *client, bool watched,
                           uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = client};
    int how = !client->in_epoll ? EPOLL_CTL_ADD : watched ? EPOLL_CTL_MOD : EPOLL_CTL_DEL;
    if (watched || client->in_epoll)
        MM_CHECK(epoll_ctl(clients->epoll, how, client->fd, &event) == 0);
    client->in_epoll = watched;
}

void load_clients_watch(struct load_clients *clients, struct load_client *client)
{
    bool connecting = client->state == LOAD_CONNECTING;
    bool reads = client->state == LOAD_SECURING || client->state == LOAD_SHAKING ||
                 client->state == LOAD_ENTERING ||
                 (client->state == LOAD_PLAYING && !client->stalled && !client->slow_bytes);
    if (connecting || !reads || !clients->ring) {
        // Events are told once: who reads, reads all that there is.
        uint32_t reading = EPOLLIN | EPOLLET | EPOLLRDHUP;
        watch_in_epoll(clients, client, true, connecting ? EPOLLOUT : reads ? reading : 0);
    } else {
        watch_in_epoll(clients, client, false, 0);
    }
    if (!clients->ring)
        return;
    if (reads && !client->in_ring)
        load_ring_read(clients->ring, client->fd, load_client_tag(clients, client));
    else if (!reads && client->in_ring && !client->ceasing)
        load_ring_cease(clients->ring, load_client_tag(clients, client));
    client->ceasing = !reads && client->in_ring;
    client->in_ring |= reads;
}

void load_clients_end(struct load_clients *clients, struct load_client *client)
{
    if (client->state == LOAD_PLAYING)
        clients->playing--;
    else if (client->state != LOAD_CLOSED)
        clients->entering--;
    if (client->in_ring)
        (void)shutdown(client->fd, SHUT_RDWR); // the ring holds the socket until it notices
    if (client->fd >= 0)
        close(client->fd);
    client->fd = -1;
    SSL_free(client->tls);
    client->tls = NULL;
    client->state = LOAD_CLOSED;
    client->part_len = 0;
    client->in_ring = client->ceasing = client->in_epoll = false;
    client->command_ns = client->visible_ns = 0;
    client->closed_ns = bench_now_ns();
}

void load_clients_lose(struct load_clients *clients, struct load_client *client, const char *format,
                       ...)
{
    va_list args;
    va_start(args, format);
    clients->figures.lost++;
    (void)vsnprintf(clients->figures.loss, sizeof clients->figures.loss, format, args);
    va_end(args);
    load_clients_end(clients, client);
    client->wanted = clients->options.come_back;
    clients->wanted_from = 0;
}

static void make_accept(struct load_client *client, const char *key)
{
    char text[96];
    uint8_t sum[EVP_MAX_MD_SIZE];
    int len = snprintf(text, sizeof text, "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
    MM_CHECK(EVP_Digest(text, (size_t)len, sum, NULL, EVP_sha1(), NULL) == 1);
    MM_CHECK(EVP_EncodeBlock((uint8_t *)client->accept, sum, 20) == 28);
}

void load_clients_send(struct load_clients *clients, struct load_client *client, const void *data,
                       size_t len)
{
    // What we send is small: a kernel that does not take it whole is as good as a dead one.
    if (client->tls)
        load_clients_send_sealed(clients, client, data, len);
    else if (send(client->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)len)
        load_clients_lose(clients, client, "cannot send: %s", strerror(errno));
}

// What it asks for when it comes back: to go on, or to begin no earlier than it was.
static void put_query(const struct load_clients *clients, struct load_client *client, char *out,
                      size_t capacity)
{
    const struct load_view *view = &client->view;
    client->resumes =
        !clients->afresh && view->resume[0] && view->complete && client->told_json == client->json;
    if (client->resumes)
        (void)snprintf(out, capacity, "?resume=%s&last_tick=%llu&settled_tick=%llu", view->resume,
                       (unsigned long long)view->told_tick, (unsigned long long)view->settled_tick);
    else if (view->tick)
        (void)snprintf(out, capacity, "?last_tick=%llu", (unsigned long long)view->tick);
}

void load_clients_shake(struct load_clients *clients, struct load_client *client)
{
    uint8_t nonce[16];
    char key[32], request[LOAD_HANDSHAKE_BYTES], query[192] = "";
    MM_CHECK(getrandom(nonce, sizeof nonce, 0) == sizeof nonce);
    MM_CHECK(EVP_EncodeBlock((uint8_t *)key, nonce, sizeof nonce) == 24);
    make_accept(client, key);
    put_query(clients, client, query, sizeof query);
    const char *token =
        clients->options.token(clients->options.arg, (uint32_t)(client - clients->all));
    int len = snprintf(request, sizeof request,
                       "GET /ws%s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUpgrade: websocket\r\n"
                       "Connection: Upgrade\r\nSec-WebSocket-Key: %s\r\n"
                       "Sec-WebSocket-Version: 13\r\n"
                       "%sSec-WebSocket-Protocol: %saccess_token, %s\r\n\r\n",
                       query, clients->options.port, key,
                       client->deflate ? "Sec-WebSocket-Extensions: permessage-deflate; "
                                         "server_no_context_takeover\r\n"
                                       : "",
                       client->json ? "" : "mmorts.bin.v1, ", token);
    MM_CHECK(len > 0 && (size_t)len < sizeof request);
    client->state = LOAD_SHAKING;
    load_clients_watch(clients, client);
    load_clients_send(clients, client, request, (size_t)len);
}

static void begin(struct load_clients *clients, struct load_client *client)
{
    uint32_t index = (uint32_t)(client - clients->all);
    struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET};
    int on = 1;
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (client->fd < 0) {
        fprintf(stderr, "cannot open a socket: %s; see `ulimit -n`\n", strerror(errno));
        abort();
    }
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + index % SOURCES);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(clients->options.port);
    MM_CHECK(setsockopt(client->fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) == 0);
    MM_CHECK(setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0);
    load_receive_stamped(client->fd);
    // Little room in our kernel: what such a client does not read soon waits at the server.
    int narrow = NARROW_BYTES;
    if (load_is_picked(index, clients->options.narrow_every))
        MM_CHECK(setsockopt(client->fd, SOL_SOCKET, SO_RCVBUF, &narrow, sizeof narrow) == 0);
    client->wanted = false;
    client->state = LOAD_CONNECTING;
    client->turn++;
    client->opened_ns = bench_now_ns();
    client->updated_ns = 0;
    clients->entering++;
    load_clients_watch(clients, client);
    if (bind(client->fd, (struct sockaddr *)&from, sizeof from) != 0 ||
        (connect(client->fd, (struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS))
        load_clients_lose(clients, client, "cannot connect: %s", strerror(errno));
}

void load_clients_begin_wanted(struct load_clients *clients, uint64_t now_ns)
{
    uint32_t at = clients->wanted_from;
    for (; at < clients->options.count && clients->entering < clients->options.entering_max; at++) {
        struct load_client *client = &clients->all[at];
        if (!client->wanted || client->state != LOAD_CLOSED)
            continue;
        if (client->closed_ns && client->opened_ns &&
            now_ns - client->closed_ns < (uint64_t)COME_BACK_MS * 1000000)
            return; // those before it have been seen to
        begin(clients, client);
    }
    clients->wanted_from = at;
}

void load_clients_open(struct load_clients *clients, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        clients->all[i].wanted = clients->all[i].state == LOAD_CLOSED;
        clients->all[i].closed_ns = 0;
    }
    if (from < clients->wanted_from)
        clients->wanted_from = from;
}

void load_clients_close(struct load_clients *clients, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        clients->all[i].wanted = false;
        if (clients->all[i].state != LOAD_CLOSED)
            load_clients_end(clients, &clients->all[i]);
    }
}
