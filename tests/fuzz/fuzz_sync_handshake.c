// Arbitrary requests to the players' port, over a real socket, whole or in two parts: no crash,
// what answers is HTTP, a switch of protocols is followed by whole frames of ours and nothing else,
// the token never comes back, and no socket or client is left over. A byte of the input that stands
// for a word of the handshake becomes that word, others are themselves.

#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/log.h"
#include "libcommon/io/http.h"
#include "services/sync/app.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    REQUEST_BYTES_MAX = 24000,
    ANSWER_BYTES_MAX = 65536,
    TURNS = 3,
    GONE_TURNS = 20000, // of a millisecond
    CLIENTS = 64,
};

#define TOKEN  "s3cr3t-t0ken"
#define RESUME "0123456789abcdef0123456789abcdef0123456789abcdef"

static const char *const words[] = {
    "GET /ws HTTP/1.1\r\n",
    "GET /ws?token=" TOKEN "&session=main&last_tick=7 HTTP/1.1\r\n",
    "Host: game.example\r\n",
    "Connection: Upgrade\r\nUpgrade: websocket\r\n",
    "Connection: ",
    "Upgrade: ",
    "Sec-WebSocket-Version: 13\r\n",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    "Sec-WebSocket-Protocol: ",
    "mmorts.bin.v1",
    "\r\n",
    ", ",
    "access_token, " TOKEN,
    "\n",
    "X-Forwarded-For: 10.1.2.3, 192.0.2.1\r\n",
    "Sec-WebSocket-Extensions: permessage-deflate; ",
    "server_max_window_bits=10",
    "client_no_context_takeover",
    "Origin: https://game.example\r\n",
    "Authorization: Bearer " TOKEN "\r\n",
    "POST /ws HTTP/1.1\r\nContent-Length: 5\r\n\r\n",
    "GET /config.json HTTP/1.1\r\n",
    "keep-alive, Upgrade\r\n",
    "GET /ws?token=" TOKEN "&resume=" RESUME "&last_tick=9&settled_tick=7 HTTP/1.1\r\n",
    "GET /ws?resume=" RESUME,
    "&resume=",
    "&last_tick=18446744073709551615",
    "&settled_tick=",
    "&session=",
    " HTTP/1.1\r\n",
};

// --- the server: about to stop, so who gets through the handshake is told to come back -----------

static struct sync_app app;
static struct mm_counter counter; // all there are

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    static const char *const origins[] = {"https://game.example"};
    static const char *const proxies[] = {"127.0.0.1", "2001:db8::/32", "10.0.0.0/8"};
    mm_log_init("fuzz", MM_LOG_LEVEL_ERROR);
    app.settings = (struct sync_settings){
        .listen = "127.0.0.1:0",
        .web_dir = "",
        .login_url = "",
        .origins = {.items = origins, .count = 1},
        .proxies = {.items = proxies, .count = 3},
        .compression = "all",
        .tls_certificate = "",
        .tls_key = "",
        .clients_max = CLIENTS,
        .clients_per_address = CLIENTS,
        .send_waiting_bytes = 65536,
        .send_buffer_bytes = 131072,
    };
    app.session = "main";
    app.draining = true;
    struct sync_metrics *metrics = &app.metrics;
    metrics->refused = metrics->kills = metrics->messages_in = metrics->bytes_in = &counter;
    metrics->rate_limited = metrics->joins = metrics->replaced = &counter;
    mm_vec_init(&app.clients, CLIENTS);
    mm_vec_init(&app.dead, 2 * CLIENTS);
    mm_vec_init(&app.rooms, 1);
    mm_buf_init(&app.scratch, 65536);
    app.client_of_connection = mm_idmap_new(CLIENTS);
    app.seat_of_player = mm_idmap_new(CLIENTS);
    app.address_counts = mm_idmap_new(CLIENTS);
    app.read_buf = mm_malloc(SYNC_READ_BYTES);
    app.deflate = sync_deflate_new();
    MM_CHECK(app.client_of_connection && app.seat_of_player && app.address_counts);
    MM_CHECK(app.read_buf && app.deflate);
    enum mm_err err = mm_loop_create(NULL, &app.loop);
    MM_CHECK(err == MM_OK);
    err = sync_listener_open(&app);
    MM_CHECK(err == MM_OK);
    return 0;
}

// --- the client ----------------------------------------------------------------------------------

struct peer {
    int fd;
    const uint8_t *rest; // of the request, sent at the server's next turn
    size_t rest_len;
    uint8_t answer[ANSWER_BYTES_MAX];
    size_t answer_len;
    bool done;
};

static void send_rest(struct peer *peer)
{
    if (peer->rest_len > 0)
        (void)!send(peer->fd, peer->rest, peer->rest_len, MSG_NOSIGNAL);
    peer->rest_len = 0;
    (void)shutdown(peer->fd, SHUT_WR); // whatever the request lacks will not come
    (void)mm_loop_fd_set(app.loop, peer->fd, MM_LOOP_READ);
}

static void on_peer(struct mm_loop *loop, int fd, unsigned events, void *arg)
{
    (void)loop;
    struct peer *peer = arg;
    if (events & MM_LOOP_WRITE)
        send_rest(peer);
    if (!(events & MM_LOOP_READ))
        return;
    ssize_t got;
    do {
        MM_CHECK(peer->answer_len < sizeof peer->answer);
        got = recv(fd, peer->answer + peer->answer_len, sizeof peer->answer - peer->answer_len, 0);
        if (got > 0)
            peer->answer_len += (size_t)got;
    } while (got > 0);
    peer->done = got == 0 || errno != EAGAIN;
}

static void exchange(struct peer *peer, const uint8_t *request, size_t len, size_t first)
{
    *peer = (struct peer){.rest = request + first, .rest_len = len - first};
    peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(mm_http_server_port(app.listener)),
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    // Thousands of connections a second: none may wait for its port's last packets.
    struct linger linger = {.l_onoff = 1};
    (void)setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    int failed = connect(peer->fd, (struct sockaddr *)&address, sizeof address);
    MM_CHECK(!failed);
    if (first > 0)
        (void)!send(peer->fd, request, first, MSG_NOSIGNAL);
    int flags = fcntl(peer->fd, F_SETFL, O_NONBLOCK);
    MM_CHECK(flags == 0);
    enum mm_err err =
        mm_loop_fd_add(app.loop, peer->fd, MM_LOOP_READ | MM_LOOP_WRITE, on_peer, peer);
    MM_CHECK(err == MM_OK);
    // An incomplete request is waited for much longer than we stay.
    for (int turn = 0; turn < TURNS && !peer->done; turn++)
        (void)mm_loop_run_until(app.loop, &peer->done, 1);
    mm_loop_fd_remove(app.loop, peer->fd);
    close(peer->fd);
}

// --- what must hold ------------------------------------------------------------------------------

static void check_frames(const uint8_t *at, size_t len)
{
    bool closed = false;
    while (len > 0) {
        MM_CHECK(len >= 2 && !closed);
        unsigned opcode = at[0] & 0x0f;
        size_t head = 2, body = at[1];
        MM_CHECK((at[0] & 0x80) && body < 127); // in one piece, not masked, no long ones here
        if (body == 126) {
            MM_CHECK(len >= 4);
            body = (size_t)at[2] << 8 | at[3];
            head = 4;
        }
        MM_CHECK(opcode == SYNC_WS_TEXT || opcode == SYNC_WS_CLOSE);
        MM_CHECK(len >= head + body);
        closed = opcode == SYNC_WS_CLOSE;
        at += head + body;
        len -= head + body;
    }
    MM_CHECK(closed);
}

static void check_answer(const struct peer *peer)
{
    const uint8_t *answer = peer->answer;
    size_t len = peer->answer_len;
    if (len == 0)
        return; // cut off: the request never was whole
    MM_CHECK(len > 12 && memcmp(answer, "HTTP/1.", 7) == 0);
    MM_CHECK(!memmem(answer, len, TOKEN, strlen(TOKEN)));
    if (memcmp(answer + 9, "101", 3) != 0)
        return;
    const uint8_t *body = memmem(answer, len, "\r\n\r\n", 4);
    MM_CHECK(body && memmem(answer, (size_t)(body - answer), "Sec-WebSocket-Accept: ", 22));
    body += 4;
    if (!peer->done)
        return; // on a busy machine
    check_frames(body, len - (size_t)(body - answer));
}

// The input as a token to go on with: only 48 digits whose last 32 are the other's secret are one.
static void check_resume(const uint8_t *data, size_t size)
{
    static struct sync_client client, other;
    static const uint8_t secret[SYNC_SECRET_BYTES] = {0xcd, 0xef, 0x01, 0x23, 0x45, 0x67,
                                                      0x89, 0xab, 0xcd, 0xef, 0x01, 0x23,
                                                      0x45, 0x67, 0x89, 0xab};
    // Most of a sound token, so that the last digits count, too.
    static const char sound[] = "0123456789abcdefcdef0123456789abcdef0123456789ab";
    size_t kept = data[0] % sizeof sound, len = kept;
    memcpy(client.resume, sound, kept);
    for (size_t i = 1; i < size && len < sizeof client.resume - 1 && data[i]; i++)
        client.resume[len++] = (char)data[i];
    client.resume[len] = '\0';
    memcpy(other.trail.secret, secret, sizeof secret);
    other.trail.first_tick = 1;
    bool digits = len == 48 && strspn(client.resume, "0123456789abcdef") == 48;
    bool same = digits && memcmp(client.resume + 16, sound + 16, 32) == 0;
    MM_CHECK(sync_trail_goes_on(&client, &other) == same);
}

// A byte of the input as what it stands for; nothing if there is no room.
static size_t append(uint8_t *out, size_t room, uint8_t byte)
{
    bool is_word = byte >= 0x80 && byte - 0x80u < sizeof words / sizeof *words;
    const char *text = is_word ? words[byte - 0x80u] : (const char *)&byte;
    size_t len = is_word ? strlen(text) : 1;
    if (len > room)
        return 0;
    memcpy(out, text, len);
    return len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t request[REQUEST_BYTES_MAX];
    static struct peer peer;
    if (size < 2)
        return 0;
    check_resume(data, size);
    size_t len = 0, cut = data[0];
    if (data[0] & 1) { // everything that must be there: what follows decides the rest
        static const uint8_t whole[] = {0x81, 0x82, 0x83, 0x86, 0x87};
        for (size_t i = 0; i < sizeof whole; i++)
            len += append(request + len, sizeof request - len, whole[i]);
    }
    for (size_t i = 1; i < size; i++)
        len += append(request + len, sizeof request - len, data[i]);
    if (data[0] & 2)
        len += append(request + len, sizeof request - len, 0x8a);
    exchange(&peer, request, len, cut < len ? cut : len);
    check_answer(&peer);
    // The server notices that the peer is gone, in this turn or the next; or much later, where the
    // kernel has no time to carry that from one socket to the other.
    static bool never;
    for (int turns = 0; turns < GONE_TURNS && app.clients.count > 0; turns++)
        (void)mm_loop_run_until(app.loop, &never, 1);
    MM_CHECK(app.clients.count == 0);
    return 0;
}
