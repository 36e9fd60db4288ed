#include "tests/support/load_canned.h"

#include "libcommon/base/check.h"
#include "tests/support/bench.h"
#include "tests/support/load_view.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TICK_NS UINT64_C(50000000)

enum { FRAME_BYTES = 80, TOGETHER_MAX = 64, TEXT_BYTES = 8192, GROUPS = 5, DIRECTIONS = 6 };

struct order {
    uint32_t updates, together;
};

struct load_canned {
    pid_t server;
    uint16_t port;
    int orders, answers;
    unsigned unanswered;
};

// --- what is told: docs/client-protocol.md, the binary encoding ----------------------------------

static const int32_t steps[DIRECTIONS][2] = {{1, 0}, {1, -1}, {0, -1}, {-1, 0}, {-1, 1}, {0, 1}};

static uint64_t id_of(uint32_t number)
{
    return UINT64_C(0x9e3779b97f4a7c15) * (number + 1);
}

// In update `n`, from 0, the entities step whose number is that of its group; each goes round a
// hexagon.
static uint32_t direction_of(uint32_t n, uint32_t number)
{
    return (n / GROUPS + number) % DIRECTIONS;
}

uint64_t load_canned_hash(uint32_t updates)
{
    uint64_t hash = 0;
    for (uint32_t number = 0; number < LOAD_CANNED_ENTITIES; number++) {
        int32_t q = (int32_t)number, r = 0;
        for (uint32_t n = number % GROUPS; n < updates; n += GROUPS) {
            q += steps[direction_of(n, number)][0];
            r += steps[direction_of(n, number)][1];
        }
        hash += load_hash(id_of(number), q, r);
    }
    return hash;
}

static size_t put_frame(uint8_t *out, const uint8_t *payload, size_t len)
{
    size_t head = len < 126 ? 2 : 4;
    out[0] = 0x82;
    out[1] = (uint8_t)(len < 126 ? len : 126);
    if (len >= 126) {
        out[2] = (uint8_t)(len >> 8);
        out[3] = (uint8_t)len;
    }
    memcpy(out + head, payload, len);
    return head + len;
}

// The origin is (0, 0), all entities stand in the row of it and belong to nobody.
static size_t put_all(uint8_t *out)
{
    static const uint8_t explored[] = {0x01, 0x01, 0x00, 0x00};
    static const uint8_t begin[] = {0x80 | 0x40 | 0x04, 0x01, LOAD_CANNED_ENTITIES};
    uint8_t payload[sizeof begin + (size_t)LOAD_CANNED_ENTITIES * 14], *at = payload;
    size_t len = put_frame(out, explored, sizeof explored);
    memcpy(at, begin, sizeof begin);
    at += sizeof begin;
    for (uint32_t number = 0; number < LOAD_CANNED_ENTITIES; number++) {
        *at++ = (uint8_t)number;
        *at++ = 0;                     // owner
        *at++ = (uint8_t)(2 * number); // q, zigzag
        *at++ = 0;                     // r
        *at++ = 1;                     // type
        for (unsigned i = 0; i < 8; i++)
            *at++ = (uint8_t)(id_of(number) >> (8 * i));
        *at++ = 0; // flags
    }
    return len + put_frame(out + len, payload, (size_t)(at - payload));
}

// One tick later than the one before: two groups of hexes, and the steps.
static size_t put_update(uint8_t *out, uint32_t n)
{
    enum { JUMP = 1, LONG = 5 * 12 };
    uint8_t payload[FRAME_BYTES], *at = payload;
    *at++ = 0x80 | 0x08;
    for (unsigned group = 0; group < 2; group++) {
        *at++ = (uint8_t)(2 << 4 | (group == 0 ? 8 | 2 : 1)); // three runs
        *at++ = (uint8_t)(n % 100);
        *at++ = (uint8_t)(n / 3 % 100);
        *at++ = LONG;
        *at++ = LONG + 2 + JUMP;
        *at++ = 0x9a;
        *at++ = LONG + 4;
    }
    for (uint32_t number = n % GROUPS; number < LOAD_CANNED_ENTITIES; number += GROUPS) {
        uint32_t gap = number < GROUPS ? number : GROUPS - 1;
        *at++ = (uint8_t)(gap << 3 | direction_of(n, number));
    }
    return put_frame(out, payload, (size_t)(at - payload));
}

// --- the other process ---------------------------------------------------------------------------

static void send_whole(int fd, const void *data, size_t len)
{
    MM_CHECK(send(fd, data, len, MSG_NOSIGNAL) == (ssize_t)len);
}

static void shake(int fd)
{
    char text[TEXT_BYTES + 1], joined[96], accept[32];
    uint8_t sum[EVP_MAX_MD_SIZE], all[1024];
    size_t len = 0;
    for (const char *end = NULL; !end; end = strstr(text, "\r\n\r\n")) {
        ssize_t n = recv(fd, text + len, TEXT_BYTES - len, 0);
        MM_CHECK(n > 0);
        len += (size_t)n;
        text[len] = '\0';
    }
    const char *key = strstr(text, "Sec-WebSocket-Key: ");
    MM_CHECK(key && strstr(text, "mmorts.bin.v1"));
    int n = snprintf(joined, sizeof joined, "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key + 19);
    MM_CHECK(EVP_Digest(joined, (size_t)n, sum, NULL, EVP_sha1(), NULL) == 1);
    MM_CHECK(EVP_EncodeBlock((uint8_t *)accept, sum, 20) == 28);
    n = snprintf(text, sizeof text,
                 "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: mmorts.bin.v1\r\n\r\n",
                 accept);
    send_whole(fd, text, (size_t)n);
    send_whole(fd, all, put_all(all));
}

static void wait_until(uint64_t ns)
{
    struct timespec when = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL) == EINTR) {
    }
}

// Carries out what is asked for through the pipe, until that ends.
static _Noreturn void serve(int listener, uint32_t clients, size_t sweep, int orders, int answers)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    int *sockets = calloc(clients, sizeof *sockets), on = 1;
    uint8_t *swept = malloc(sweep + 1);
    MM_CHECK(sockets && swept);
    for (uint32_t i = 0; i < clients; i++) {
        sockets[i] = accept(listener, NULL, NULL);
        MM_CHECK(sockets[i] >= 0);
        MM_CHECK(setsockopt(sockets[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0);
        shake(sockets[i]);
    }
    uint8_t data[TOGETHER_MAX * FRAME_BYTES];
    uint32_t n = 0;
    struct order order;
    while (read(orders, &order, sizeof order) == sizeof order) {
        uint64_t next_ns = bench_now_ns();
        for (uint32_t end = n + order.updates; n < end;) {
            size_t len = 0;
            for (uint32_t i = 0; i < order.together && n < end; i++)
                len += put_update(data + len, n++);
            memset(swept, (int)n, sweep);
            wait_until(next_ns);
            next_ns += TICK_NS;
            for (uint32_t i = 0; i < clients; i++)
                send_whole(sockets[i], data, len);
        }
        MM_CHECK(write(answers, &order, sizeof order) == sizeof order);
    }
    _exit(0);
}

// --- this process --------------------------------------------------------------------------------

struct load_canned *load_canned_start(uint32_t clients, size_t sweep)
{
    struct load_canned *canned = calloc(1, sizeof *canned);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof address;
    int orders[2], answers[2], listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    MM_CHECK(canned && pipe(orders) == 0 && pipe(answers) == 0);
    MM_CHECK(bind(listener, (struct sockaddr *)&address, len) == 0 && listen(listener, 512) == 0);
    MM_CHECK(getsockname(listener, (struct sockaddr *)&address, &len) == 0);
    canned->port = ntohs(address.sin_port);
    canned->server = fork();
    MM_CHECK(canned->server >= 0);
    if (canned->server == 0) {
        close(orders[1]); // so that the end of it is seen here
        serve(listener, clients, sweep, orders[0], answers[1]);
    }
    close(listener);
    close(orders[0]);
    close(answers[1]);
    canned->orders = orders[1];
    canned->answers = answers[0];
    return canned;
}

uint16_t load_canned_port(const struct load_canned *canned)
{
    return canned->port;
}

void load_canned_tell(struct load_canned *canned, uint32_t updates, uint32_t together)
{
    struct order order = {updates, together};
    MM_CHECK(together > 0 && together <= TOGETHER_MAX);
    MM_CHECK(write(canned->orders, &order, sizeof order) == sizeof order);
    canned->unanswered++;
}

void load_canned_wait(struct load_canned *canned)
{
    struct order order;
    for (; canned->unanswered > 0; canned->unanswered--)
        MM_CHECK(read(canned->answers, &order, sizeof order) == sizeof order);
}

void load_canned_stop(struct load_canned *canned)
{
    int status = 0;
    MM_CHECK(kill(canned->server, SIGKILL) == 0);
    MM_CHECK(waitpid(canned->server, &status, 0) == canned->server);
    close(canned->orders);
    close(canned->answers);
    free(canned);
}
