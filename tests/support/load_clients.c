#include "tests/support/load_clients.h"

#include "libcommon/base/check.h"
#include "libcommon/base/hash.h"
#include "libcommon/base/id.h"
#include "tests/support/bench.h"
#include "tests/support/load_receive.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

enum {
    READ_BYTES = 4 << 20, // no message is longer
    READ_ONCE = 256 << 10,
    EVENTS = 512,
    ENTERING_DEFAULT = 200,
    SOURCES = 16, // addresses 127.0.0.2 and up that clients connect from: each has ports of its own
    COME_BACK_MS = 200,
    COMMAND_WITHIN_S = 5,
    HANDSHAKE_BYTES = 8192,
    SLOW_PERIOD_MS = 50,
    NARROW_BYTES = 2304,
};

#define TICK_NS UINT64_C(50000000)

enum { OP_TEXT = 1, OP_BINARY = 2, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10, RSV1 = 0x40 };

struct client {
    int fd;
    enum load_state state;
    bool wanted;         // is to be open
    bool stalled;        // is not read
    bool json;           // asked for, or being spoken
    bool told_json;      // in which encoding the picture was told
    bool resumes;        // asked to go on where it had stopped
    bool deflate;        // asks for compression, or has got it
    uint32_t slow_bytes; // read in each SLOW_PERIOD_MS; 0: everything
    uint8_t *part;       // the beginning of a frame
    size_t part_len, part_capacity;
    struct load_view view;
    uint64_t opened_ns, closed_ns, updated_ns, updated_tick; // updated_ns: by the kernel's stamp
    uint64_t next_seq, command_ns;                           // 0: none is unanswered
    uint64_t visible_ns; // since when its effect is awaited; 0: it is not
    char accept[32];
};

struct load_clients {
    struct load_options options;
    struct client *all;
    int epoll;
    bool afresh; // who comes back asks for everything
    uint32_t playing, entering, wanted_from;
    uint32_t slow_count;
    uint64_t slow_ns; // when slow clients read next
    struct load_clock clock;
    uint64_t arrived_ns; // what is being taken
    uint8_t *buf, *inflated;
    z_stream inflater;
    struct load_figures figures;
};

struct load_clients *load_clients_new(const struct load_options *options)
{
    struct load_clients *clients = calloc(1, sizeof *clients);
    MM_CHECK(clients);
    clients->options = *options;
    if (clients->options.entering_max == 0)
        clients->options.entering_max = ENTERING_DEFAULT;
    clients->all = calloc(options->count, sizeof *clients->all);
    clients->buf = malloc(READ_BYTES);
    clients->inflated = malloc(READ_BYTES);
    MM_CHECK(inflateInit2(&clients->inflater, -15) == Z_OK);
    clients->epoll = epoll_create1(EPOLL_CLOEXEC);
    MM_CHECK(clients->all && clients->buf && clients->inflated && clients->epoll >= 0);
    for (uint32_t i = 0; i < options->count; i++) {
        clients->all[i].fd = -1;
        clients->all[i].json = options->mixed && i % 2 == 0;
        clients->all[i].deflate = options->mixed && i % 4 >= 2;
        load_view_init(&clients->all[i].view);
    }
    return clients;
}

// --- opening and closing -------------------------------------------------------------------------

// Events are told once: who reads, reads all that there is.
static void watch(struct load_clients *clients, struct client *client, int how, uint32_t events)
{
    if (events & EPOLLIN)
        events |= EPOLLET | EPOLLRDHUP;
    struct epoll_event event = {.events = events, .data.ptr = client};
    MM_CHECK(epoll_ctl(clients->epoll, how, client->fd, &event) == 0);
}

static void end(struct load_clients *clients, struct client *client)
{
    if (client->state == LOAD_PLAYING)
        clients->playing--;
    else if (client->state != LOAD_CLOSED)
        clients->entering--;
    if (client->fd >= 0)
        close(client->fd);
    client->fd = -1;
    client->state = LOAD_CLOSED;
    client->part_len = 0;
    client->command_ns = client->visible_ns = 0;
    client->closed_ns = bench_now_ns();
}

__attribute__((format(printf, 3, 4))) static void
lose(struct load_clients *clients, struct client *client, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    clients->figures.lost++;
    (void)vsnprintf(clients->figures.loss, sizeof clients->figures.loss, format, args);
    va_end(args);
    end(clients, client);
    client->wanted = clients->options.come_back;
    clients->wanted_from = 0;
}

static void make_accept(struct client *client, const char *key)
{
    char text[96];
    uint8_t sum[EVP_MAX_MD_SIZE];
    int len = snprintf(text, sizeof text, "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
    MM_CHECK(EVP_Digest(text, (size_t)len, sum, NULL, EVP_sha1(), NULL) == 1);
    MM_CHECK(EVP_EncodeBlock((uint8_t *)client->accept, sum, 20) == 28);
}

static void send_all(struct load_clients *clients, struct client *client, const void *data,
                     size_t len)
{
    // What we send is small: a kernel that does not take it whole is as good as a dead one.
    if (send(client->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)len)
        lose(clients, client, "cannot send: %s", strerror(errno));
}

// What it asks for when it comes back: to go on, or to begin no earlier than it was.
static void put_query(const struct load_clients *clients, struct client *client, char *out,
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

static void shake(struct load_clients *clients, struct client *client)
{
    uint8_t nonce[16];
    char key[32], request[HANDSHAKE_BYTES], query[192] = "";
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
    watch(clients, client, EPOLL_CTL_MOD, EPOLLIN);
    send_all(clients, client, request, (size_t)len);
}

static void begin(struct load_clients *clients, struct client *client)
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
    client->opened_ns = bench_now_ns();
    client->updated_ns = 0;
    clients->entering++;
    watch(clients, client, EPOLL_CTL_ADD, EPOLLOUT);
    if (bind(client->fd, (struct sockaddr *)&from, sizeof from) != 0 ||
        (connect(client->fd, (struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS))
        lose(clients, client, "cannot connect: %s", strerror(errno));
}

static void begin_wanted(struct load_clients *clients, uint64_t now_ns)
{
    uint32_t at = clients->wanted_from;
    for (; at < clients->options.count && clients->entering < clients->options.entering_max; at++) {
        struct client *client = &clients->all[at];
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
            end(clients, &clients->all[i]);
    }
}

void load_clients_free(struct load_clients *clients)
{
    load_clients_close(clients, 0, clients->options.count);
    for (uint32_t i = 0; i < clients->options.count; i++) {
        load_view_free(&clients->all[i].view);
        free(clients->all[i].part);
    }
    close(clients->epoll);
    free(clients->all);
    (void)inflateEnd(&clients->inflater);
    free(clients->inflated);
    free(clients->buf);
    free(clients);
}

// --- frames --------------------------------------------------------------------------------------

static void send_frame(struct load_clients *clients, struct client *client, uint8_t opcode,
                       const void *data, size_t len)
{
    uint8_t frame[1024];
    size_t head = len < 126 ? 2 : 4;
    MM_CHECK(len + 8 <= sizeof frame);
    frame[0] = (uint8_t)(0x80 | opcode);
    frame[1] = (uint8_t)(0x80 | (len < 126 ? len : 126));
    if (len >= 126) {
        frame[2] = (uint8_t)(len >> 8);
        frame[3] = (uint8_t)len;
    }
    MM_CHECK(getrandom(frame + head, 4, 0) == 4);
    for (size_t i = 0; i < len; i++)
        frame[head + 4 + i] = ((const uint8_t *)data)[i] ^ frame[head + i % 4];
    send_all(clients, client, frame, head + 4 + len);
}

static void enter(struct load_clients *clients, struct client *client)
{
    struct load_figures *figures = &clients->figures;
    client->state = LOAD_PLAYING;
    clients->entering--;
    clients->playing++;
    figures->entered++;
    mm_histogram_record(&figures->enter_us, (bench_now_ns() - client->opened_ns) / 1000);
    if (client->slow_bytes || client->stalled)
        watch(clients, client, EPOLL_CTL_MOD, 0);
}

static void on_welcome(struct load_clients *clients, struct client *client,
                       const struct load_message *message)
{
    struct load_figures *figures = &clients->figures;
    client->next_seq = message->next_seq;
    client->told_json = client->json;
    if (message->resumed) {
        figures->resumed++;
        figures->json_resumed += client->json;
    } else if (client->resumes) {
        figures->unresumed++;
        figures->forgotten += strcmp(message->code, "unknown") == 0;
        memcpy(figures->unresumed_why, message->code, sizeof figures->unresumed_why);
    }
}

static uint64_t lag_us(const struct load_clients *clients)
{
    uint64_t now_ns = bench_now_ns();
    return now_ns > clients->arrived_ns ? (now_ns - clients->arrived_ns) / 1000 : 0;
}

static void on_update(struct load_clients *clients, struct client *client,
                      const struct load_message *message)
{
    struct load_figures *figures = &clients->figures;
    uint64_t now_ns = clients->arrived_ns;
    figures->updates++;
    figures->entities += message->entities;
    if (message->watched && client->visible_ns) {
        mm_histogram_record(&figures->visible_us, (now_ns - client->visible_ns) / 1000);
        client->visible_ns = 0;
    }
    bool anew = message->full || message->resumed;
    if (anew && client->state == LOAD_ENTERING)
        enter(clients, client);
    if (!message->complete || anew) {
        client->updated_ns = 0; // what tells more than a tick begins a new series of intervals
    } else if (message->tick > client->updated_tick) {
        // Ticks in which nothing changed for the client have no update: their time is taken off.
        uint64_t ticks = message->tick - client->updated_tick;
        uint64_t quiet_ns = (ticks - 1) * TICK_NS, past_ns = now_ns - client->updated_ns;
        if (client->updated_ns) {
            mm_histogram_record(&figures->lag_us, lag_us(clients));
            mm_histogram_record(&figures->interval_us,
                                past_ns > quiet_ns ? (past_ns - quiet_ns) / 1000 : 0);
            figures->ticks += ticks;
        }
        client->updated_ns = now_ns;
    }
    client->updated_tick = message->tick;
}

static void on_answer(struct load_clients *clients, struct client *client,
                      const struct load_message *message)
{
    struct load_figures *figures = &clients->figures;
    if (message->seq == 0 || message->seq + 1 != client->next_seq || client->command_ns == 0)
        return;
    if (message->news == LOAD_NEWS_ACK) {
        mm_histogram_record(&figures->ack_us, (clients->arrived_ns - client->command_ns) / 1000);
    } else {
        figures->refused++;
        memcpy(figures->refusal, message->code, sizeof figures->refusal);
        client->visible_ns = 0;
    }
    client->command_ns = 0;
}

static void on_message(struct load_clients *clients, struct client *client, bool text,
                       const uint8_t *data, size_t len)
{
    struct load_message message = {0};
    clients->figures.messages++;
    // A fault stays with the view; the client goes on, so that all are seen.
    if (text)
        (void)load_view_take_text(&client->view, (const char *)data, len, &message);
    else
        (void)load_view_take_binary(&client->view, data, len, &message);
    if (message.news == LOAD_NEWS_UPDATE)
        on_update(clients, client, &message);
    else if (message.news == LOAD_NEWS_WELCOME)
        on_welcome(clients, client, &message);
    else if (message.news != LOAD_NEWS_OTHER)
        on_answer(clients, client, &message);
}

// RFC 7692: each message by itself, without the four bytes that end it.
static void on_compressed(struct load_clients *clients, struct client *client, bool text,
                          const uint8_t *data, size_t len)
{
    static const uint8_t tail[] = {0, 0, 0xff, 0xff};
    z_stream *z = &clients->inflater;
    MM_CHECK(inflateReset(z) == Z_OK);
    z->next_out = clients->inflated;
    z->avail_out = READ_BYTES;
    z->next_in = (Bytef *)(uintptr_t)data;
    z->avail_in = (uInt)len;
    int end = inflate(z, Z_SYNC_FLUSH);
    z->next_in = (Bytef *)(uintptr_t)tail;
    z->avail_in = sizeof tail;
    if (end == Z_OK || end == Z_BUF_ERROR)
        end = inflate(z, Z_SYNC_FLUSH);
    if ((end != Z_OK && end != Z_BUF_ERROR) || z->avail_in > 0 || z->avail_out == 0)
        lose(clients, client, "what it was sent cannot be inflated: %d", end);
    else
        on_message(clients, client, text, clients->inflated, READ_BYTES - z->avail_out);
}

static void on_frame(struct load_clients *clients, struct client *client, uint8_t head,
                     const uint8_t *data, size_t len)
{
    if (client->deflate && (head & RSV1) && (head & 15) <= OP_BINARY) {
        clients->figures.compressed++;
        on_compressed(clients, client, (head & 15) == OP_TEXT, data, len);
        return;
    }
    switch (head) {
    case 0x80 | OP_TEXT:
        on_message(clients, client, true, data, len);
        break;
    case 0x80 | OP_BINARY:
        on_message(clients, client, false, data, len);
        break;
    case 0x80 | OP_PING:
        send_frame(clients, client, OP_PONG, data, len);
        break;
    case 0x80 | OP_PONG:
        break;
    case 0x80 | OP_CLOSE:
        lose(clients, client, "closed: %d %.*s", len >= 2 ? data[0] << 8 | data[1] : 0,
             len > 2 ? (int)len - 2 : 0, len > 2 ? (const char *)data + 2 : "");
        break;
    default:
        lose(clients, client, "a frame that begins with %02x", head);
    }
}

// Takes whole frames; returns how many bytes.
static size_t take_frames(struct load_clients *clients, struct client *client, const uint8_t *data,
                          size_t len)
{
    size_t at = 0;
    while (client->state >= LOAD_ENTERING && len - at >= 2) {
        const uint8_t *frame = data + at;
        size_t head = frame[1] < 126 ? 2 : frame[1] == 126 ? 4 : 10;
        uint64_t payload = frame[1] & 127;
        if (len - at < head)
            break;
        if (head > 2)
            payload = 0;
        for (size_t i = 2; i < head; i++)
            payload = payload << 8 | frame[i];
        if ((frame[1] & 0x80) || payload > READ_BYTES - READ_ONCE) {
            lose(clients, client, "a masked frame, or one of %llu bytes",
                 (unsigned long long)payload);
            break;
        }
        if (len - at < head + payload)
            break;
        on_frame(clients, client, frame[0], frame + head, (size_t)payload);
        at += head + (size_t)payload;
    }
    return at;
}

// The answer to the handshake; returns its length, 0 if it is not whole.
static size_t take_answer(struct load_clients *clients, struct client *client, const char *data,
                          size_t len)
{
    const char *stop = memmem(data, len, "\r\n\r\n", 4);
    if (!stop) {
        if (len > HANDSHAKE_BYTES)
            lose(clients, client, "an endless handshake");
        return 0;
    }
    size_t answer = (size_t)(stop - data) + 4;
    if (answer < 12 || memcmp(data, "HTTP/1.1 101", 12) != 0 ||
        !memmem(data, answer, client->accept, strlen(client->accept)))
        lose(clients, client, "handshake refused: %.*s", 40, data);
    else if (client->deflate && !memmem(data, answer, "server_no_context_takeover", 26))
        lose(clients, client, "compression refused");
    else
        client->state = LOAD_ENTERING;
    return answer;
}

static void take(struct load_clients *clients, struct client *client, size_t len)
{
    size_t at = 0;
    if (client->state == LOAD_SHAKING)
        at = take_answer(clients, client, (const char *)clients->buf, len);
    at += take_frames(clients, client, clients->buf + at, len - at);
    if (client->state == LOAD_CLOSED)
        return;
    client->part_len = len - at;
    if (client->part_len > client->part_capacity) {
        free(client->part);
        client->part_capacity = client->part_len + 512;
        client->part = malloc(client->part_capacity);
        MM_CHECK(client->part);
    }
    if (client->part_len > 0)
        memcpy(client->part, clients->buf + at, client->part_len);
}

// How many bytes were read.
static size_t on_readable(struct load_clients *clients, struct client *client, size_t most)
{
    if (client->part_len > 0)
        memcpy(clients->buf, client->part, client->part_len);
    ssize_t n = load_receive(client->fd, clients->buf + client->part_len, most, &clients->clock,
                             &clients->arrived_ns);
    if (n > 0) {
        clients->figures.bytes += (uint64_t)n;
        clients->figures.json_bytes += client->json ? (uint64_t)n : 0;
        clients->figures.enter_bytes += client->state < LOAD_PLAYING ? (uint64_t)n : 0;
        take(clients, client, client->part_len + (size_t)n);
        return (size_t)n;
    }
    if (n == 0)
        lose(clients, client, "cut off");
    else if (errno != EAGAIN)
        lose(clients, client, "cannot receive: %s", strerror(errno));
    return 0;
}

// --- the loop ------------------------------------------------------------------------------------

static void on_event(struct load_clients *clients, struct client *client, uint32_t events)
{
    if (client->fd < 0)
        return; // closed by what came before in this turn
    if (client->state == LOAD_CONNECTING) {
        int error = 0;
        socklen_t len = sizeof error;
        (void)getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &len);
        if (error)
            lose(clients, client, "cannot connect: %s", strerror(error));
        else
            shake(clients, client);
    } else {
        bool ended = events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
        size_t n = READ_ONCE;
        while (client->fd >= 0 && (n == READ_ONCE || (ended && n > 0)))
            n = on_readable(clients, client, READ_ONCE);
    }
}

static void read_slow(struct load_clients *clients, uint64_t now_ns)
{
    if (clients->slow_count == 0 || now_ns < clients->slow_ns)
        return;
    clients->slow_ns = now_ns + (uint64_t)SLOW_PERIOD_MS * 1000000;
    for (uint32_t i = 0; i < clients->options.count; i++) {
        struct client *client = &clients->all[i];
        if (client->slow_bytes && client->state == LOAD_PLAYING)
            on_readable(clients, client, client->slow_bytes);
    }
}

static void turn(struct load_clients *clients, int wait_ms)
{
    struct epoll_event events[EVENTS];
    clients->clock = load_clock_read();
    begin_wanted(clients, clients->clock.now_ns);
    read_slow(clients, clients->clock.now_ns);
    int n = epoll_wait(clients->epoll, events, EVENTS, wait_ms < 10 ? wait_ms : 10);
    clients->clock = load_clock_read();
    for (int i = 0; i < n; i++)
        on_event(clients, events[i].data.ptr, events[i].events);
    // Who comes in waits for us at every step.
    if (n > 0 && n < EVENTS && clients->entering == 0)
        load_receive_pause();
}

static int left_ms(uint64_t until_ns)
{
    uint64_t now_ns = bench_now_ns();
    return now_ns >= until_ns ? 0 : (int)((until_ns - now_ns) / 1000000) + 1;
}

void load_clients_run(struct load_clients *clients, uint64_t until_ns)
{
    for (int ms; (ms = left_ms(until_ns)) > 0;)
        turn(clients, ms);
}

bool load_clients_wait_playing(struct load_clients *clients, uint32_t count, int timeout_ms)
{
    uint64_t until_ns = bench_now_ns() + (uint64_t)timeout_ms * 1000000;
    while (clients->playing < count && left_ms(until_ns) > 0)
        turn(clients, left_ms(until_ns));
    return clients->playing >= count;
}

void load_clients_told(const struct load_clients *clients, uint64_t *oldest, uint64_t *newest)
{
    *oldest = UINT64_MAX;
    *newest = 0;
    for (uint32_t i = 0; i < clients->options.count; i++) {
        if (clients->all[i].state != LOAD_PLAYING || clients->all[i].stalled ||
            clients->all[i].slow_bytes)
            continue;
        const struct load_view *view = &clients->all[i].view;
        uint64_t told = view->complete ? view->tick : 0;
        *oldest = told < *oldest ? told : *oldest;
        *newest = told > *newest ? told : *newest;
    }
}

bool load_clients_wait_tick(struct load_clients *clients, uint64_t tick, int timeout_ms)
{
    uint64_t until_ns = bench_now_ns() + (uint64_t)timeout_ms * 1000000;
    for (;;) {
        uint64_t oldest, newest;
        load_clients_told(clients, &oldest, &newest);
        if (oldest >= tick || left_ms(until_ns) == 0)
            return oldest >= tick;
        turn(clients, left_ms(until_ns));
    }
}

void load_clients_speak_json(struct load_clients *clients, uint32_t index, bool json)
{
    clients->all[index].json = json;
}

void load_clients_compress(struct load_clients *clients, uint32_t index, bool compressed)
{
    clients->all[index].deflate = compressed;
}

void load_clients_resume(struct load_clients *clients, bool resume)
{
    clients->afresh = !resume;
}

void load_clients_stall(struct load_clients *clients, uint32_t index, bool stalled)
{
    struct client *client = &clients->all[index];
    if (client->stalled == stalled)
        return;
    client->stalled = stalled;
    client->updated_ns = 0;
    if (client->state >= LOAD_ENTERING && !client->slow_bytes)
        watch(clients, client, EPOLL_CTL_MOD, stalled ? 0 : EPOLLIN);
}

void load_clients_slow(struct load_clients *clients, uint32_t index, uint32_t bytes_per_second)
{
    struct client *client = &clients->all[index];
    clients->slow_count += bytes_per_second > 0;
    clients->slow_count -= client->slow_bytes > 0;
    client->slow_bytes = bytes_per_second / (1000 / SLOW_PERIOD_MS);
    if (client->state >= LOAD_ENTERING)
        watch(clients, client, EPOLL_CTL_MOD, bytes_per_second ? 0 : EPOLLIN);
}

// --- commands ------------------------------------------------------------------------------------

bool load_clients_command(struct load_clients *clients, uint32_t index)
{
    struct client *client = &clients->all[index];
    struct load_view *view = &client->view;
    uint64_t now_ns = bench_now_ns();
    uint64_t limit_ns = (uint64_t)COMMAND_WITHIN_S * 1000000000;
    if (client->state != LOAD_PLAYING || view->own_id == 0 || client->stalled ||
        (client->command_ns && now_ns - client->command_ns < limit_ns))
        return false;
    // To and fro beside where it was first seen, so that each order has another target.
    char text[320], id[MM_ID_TEXT_BYTES];
    view->watch_id = view->own_id;
    view->watch_q = view->own_q + 1 + (int32_t)(client->next_seq % 5);
    view->watch_r = view->own_r;
    (void)mm_id_format(id, "unit_", view->own_id);
    int len = snprintf(text, sizeof text,
                       "{\"type\":\"command\",\"payload\":{\"seq\":%llu,\"command\":\"move\","
                       "\"units\":[\"%s\"],\"target\":[%d,%d]}}",
                       (unsigned long long)client->next_seq++, id, view->watch_q, view->watch_r);
    client->command_ns = client->visible_ns = now_ns;
    clients->figures.commands++;
    send_frame(clients, client, OP_TEXT, text, (size_t)len);
    return true;
}

// --- what was found ------------------------------------------------------------------------------

uint32_t load_clients_playing(const struct load_clients *clients)
{
    return clients->playing;
}

struct load_figures *load_clients_figures(struct load_clients *clients)
{
    return &clients->figures;
}

void load_clients_reset(struct load_clients *clients)
{
    memset(&clients->figures, 0, sizeof clients->figures);
}

struct load_view *load_clients_view(struct load_clients *clients, uint32_t index)
{
    return &clients->all[index].view;
}

const char *load_clients_fault(const struct load_clients *clients, uint32_t *index)
{
    for (uint32_t i = 0; i < clients->options.count; i++) {
        if (!clients->all[i].view.fault[0])
            continue;
        *index = i;
        return clients->all[i].view.fault;
    }
    return NULL;
}

bool load_clients_chat(struct load_clients *clients, uint32_t index, uint32_t count)
{
    enum { LETTERS = 480 };
    struct client *client = &clients->all[index];
    char text[LETTERS + 64];
    if (client->state != LOAD_PLAYING)
        return false;
    int len = snprintf(text, sizeof text, "{\"type\":\"chat\",\"payload\":{\"message\":\"");
    uint64_t bits = 0, seed = (uint64_t)index << 32 | count;
    for (int i = 0; i < LETTERS; i++) {
        if (i % 12 == 0)
            bits = seed = mm_hash64(&seed, sizeof seed, 1);
        text[len++] = (char)('a' + bits % 26);
        bits /= 26;
    }
    len += snprintf(text + len, sizeof text - (size_t)len, "\"}}");
    send_frame(clients, client, OP_TEXT, text, (size_t)len);
    return client->state == LOAD_PLAYING;
}
