#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libcommon/base/str.h"
#include "libcommon/io/http.h"
#include "libcommon/io/loop.h"
#include "tests/support/process.h"

// A real server on the loop and a client that is a bare socket, so that anything can be sent.

static struct mm_loop *loop;
static struct mm_http_server *server;
static struct mm_http_request *parked;
static bool was_gone;

static void handle_hello(struct mm_http_request *request, void *arg)
{
    (void)arg;
    const char *name = mm_http_request_query(request, "name");
    char text[64];
    snprintf(text, sizeof text, "hello %s from %s", name ? name : "nobody",
             mm_http_request_peer(request));
    mm_http_reply(request, 200, "text/plain", text, strlen(text));
}

static void handle_echo(struct mm_http_request *request, void *arg)
{
    (void)arg;
    size_t len = 0;
    const uint8_t *body = mm_http_request_body(request, &len);
    mm_http_add_header(request, "X-Path", mm_http_request_path(request));
    mm_http_reply(request, 200, "text/plain", body, len);
}

static void on_gone(void *arg)
{
    (void)arg;
    was_gone = true;
}

static void handle_later(struct mm_http_request *request, void *arg)
{
    (void)arg;
    parked = request;
    mm_http_on_gone(request, on_gone, NULL);
}

static int upgraded_fd;
static struct mm_http_upgrade *upgraded;
static char early[64];

static void on_upgraded(void *arg, int fd, struct mm_http_upgrade *upgrade, const uint8_t *extra,
                        size_t extra_len)
{
    (void)arg;
    upgraded_fd = fd;
    upgraded = upgrade;
    mm_str_copy_n(early, sizeof early, (const char *)extra, extra_len);
}

static void handle_socket(struct mm_http_request *request, void *arg)
{
    (void)arg;
    if (mm_http_is_websocket(request, NULL))
        mm_http_upgrade_websocket(request, "chosen", on_upgraded, NULL);
    else
        mm_http_reply_error(request, MM_INVALID_ARGUMENT, "not a handshake");
}

static void set_up(void)
{
    cr_assert(mm_loop_create(NULL, &loop) == MM_OK);
    struct mm_http_options options = {
        .listen = "127.0.0.1:0", .body_bytes_max = 1000, .connections_max = 4};
    cr_assert(mm_http_server_open(loop, &options, &server) == MM_OK);
    mm_http_route(server, MM_HTTP_GET, "/hello", handle_hello, NULL);
    mm_http_route(server, MM_HTTP_POST, "/echo/", handle_echo, NULL);
    mm_http_route(server, MM_HTTP_GET, "/later", handle_later, NULL);
    mm_http_route(server, MM_HTTP_GET, "/ws", handle_socket, NULL);
}

static void tear_down(void)
{
    mm_http_server_close(server);
    mm_loop_destroy(loop);
}

TestSuite(http, .init = set_up, .fini = tear_down, .timeout = 300);

static int dial(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(mm_http_server_port(server)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    (void)connect(fd, (struct sockaddr *)&address, sizeof address);
    return fd;
}

static void turn(void)
{
    bool never = false;
    mm_loop_run_until(loop, &never, 5);
}

// Turns the loop until that is so, or for as long as it could take.
#define UNTIL(condition)                                                                           \
    for (int64_t end_ms = test_now_ms() + TEST_PATIENCE_MS;                                        \
         !(condition) && test_now_ms() < end_ms; turn())

// As soon as the connection takes it.
static void put(int fd, const char *text)
{
    ssize_t sent = -1;
    UNTIL((sent = send(fd, text, strlen(text), MSG_NOSIGNAL)) >= 0);
    cr_assert_eq(sent, (ssize_t)strlen(text));
}

// Runs the loop until the answer has `expected` in it, or the connection ends.
static const char *answer(int fd, const char *expected)
{
    static char text[65536];
    size_t len = 0;
    for (int64_t end_ms = test_now_ms() + TEST_PATIENCE_MS; test_now_ms() < end_ms;) {
        ssize_t got = read(fd, text + len, sizeof text - 1 - len);
        if (got > 0)
            len += (size_t)got;
        text[len] = '\0';
        bool is_over = got == 0 || (got < 0 && errno != EAGAIN && errno != ENOTCONN);
        if (is_over || (len > 0 && strstr(text, expected)))
            break;
        turn();
    }
    return text;
}

static const char *ask(const char *request, const char *expected)
{
    int fd = dial();
    put(fd, request);
    const char *text = answer(fd, expected);
    close(fd);
    turn();
    return text;
}

#define CONTAINS(text, part) cr_assert(strstr((text), (part)), "no '%s' in: %s", (part), (text))

Test(http, routes_queries_and_peers)
{
    CONTAINS(ask("GET /hello?name=a%20b HTTP/1.1\r\nHost: x\r\n\r\n", "hello a"),
             "hello a b from 127.0.0.1");
}

Test(http, unknown_paths_and_methods_have_their_own_answers)
{
    CONTAINS(ask("GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", "}"), "404");
    const char *text = ask("POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "}");
    CONTAINS(text, "405");
    CONTAINS(text, "Allow: GET, HEAD");
    CONTAINS(ask("BREW /hello HTTP/1.1\r\nHost: x\r\n\r\n", "}"), "501");
}

Test(http, bodies_are_handed_over_whole_and_bounded)
{
    const char *text =
        ask("POST /echo/a/b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12345", "12345");
    CONTAINS(text, "12345");
    CONTAINS(text, "X-Path: /echo/a/b");
    CONTAINS(ask("POST /echo/ HTTP/1.1\r\nHost: x\r\nContent-Length: 8008\r\n\r\n", "}"), "413");
    CONTAINS(ask("POST /echo/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n"
                 "Expect: 100-continue\r\n\r\n",
                 "}"),
             "413");
    CONTAINS(ask("POST /echo/ HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
                 "HTTP/1.1 4"),
             "HTTP/1.1 4");
}

// Sends a body so long, with its length told before or in one chunk.
static const char *ask_with_body(int bytes, bool is_chunked)
{
    char request[12000];
    int len = is_chunked ? snprintf(request, sizeof request,
                                    "POST /echo/ HTTP/1.1\r\nHost: x\r\n"
                                    "Transfer-Encoding: chunked\r\n\r\n%x\r\n%0*d\r\n0\r\n\r\n",
                                    (unsigned)bytes, bytes, 0)
                         : snprintf(request, sizeof request,
                                    "POST /echo/ HTTP/1.1\r\nHost: x\r\n"
                                    "Content-Length: %d\r\n\r\n%0*d",
                                    bytes, bytes, 0);
    cr_assert(len > 0 && (size_t)len < sizeof request);
    return ask(request, "}");
}

// The answer is lost on a client that is cut off while it sends: it is heard out.
Test(http, a_body_over_the_limit_is_read_to_its_end_and_refused)
{
    for (int is_chunked = 0; is_chunked <= 1; is_chunked++) {
        const int lengths[] = {1001, 2000, 7990};
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
            const char *text = ask_with_body(lengths[i], is_chunked != 0);
            CONTAINS(text, "413");
            CONTAINS(text, "the request body is too long");
            CONTAINS(text, "Connection: close");
        }
    }
}

Test(http, a_chunked_body_far_over_the_limit_is_cut_off)
{
    cr_assert(strstr(ask_with_body(10000, true), "HTTP/1.1") == NULL);
    CONTAINS(ask("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n", "hello nobody"), "hello nobody");
}

Test(http, an_answer_may_come_later)
{
    int fd = dial();
    put(fd, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
    UNTIL(parked);
    cr_assert(parked != NULL);
    CONTAINS(ask("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n", "hello nobody"), "hello nobody");
    mm_http_reply(parked, 200, "text/plain", "at last", 7);
    CONTAINS(answer(fd, "at last"), "at last");
    close(fd);
}

Test(http, closing_tells_those_who_have_not_answered)
{
    int fd = dial();
    put(fd, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
    UNTIL(parked);
    mm_http_server_close(server);
    cr_assert(was_gone);
    close(fd);
    struct mm_http_options options = {.listen = "127.0.0.1:0"};
    cr_assert(mm_http_server_open(loop, &options, &server) == MM_OK);
}

Test(http, more_connections_than_allowed_are_closed_at_once)
{
    int fds[4];
    for (int i = 0; i < 4; i++)
        fds[i] = dial();
    UNTIL(mm_http_server_connections(server) == 4);
    cr_assert_eq(mm_http_server_connections(server), 4);
    int fifth = dial();
    cr_assert_eq(strlen(answer(fifth, "x")), 0, "closed without a byte");
    close(fifth);
    for (int i = 0; i < 4; i++)
        close(fds[i]);
}

// Opens the server anew with limits on what a connection may take.
static void reopen(const struct mm_http_options *options)
{
    mm_http_server_close(server);
    cr_assert(mm_http_server_open(loop, options, &server) == MM_OK);
    mm_http_route(server, MM_HTTP_GET, "/hello", handle_hello, NULL);
    mm_http_route(server, MM_HTTP_GET, "/later", handle_later, NULL);
}

// Whether the peer has closed.
static bool is_closed(int fd)
{
    char byte;
    return recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 0;
}

Test(http, a_request_that_trickles_in_is_cut_off)
{
    reopen(&(struct mm_http_options){.listen = "127.0.0.1:0", .request_s = 1});
    int64_t dialled_ms = test_now_ms();
    int slow = dial(), waiting = dial();
    put(waiting, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
    put(slow, "GET /hello HTTP/1.1\r\nX: ");
    for (int64_t end_ms = dialled_ms + TEST_PATIENCE_MS; !is_closed(slow) && test_now_ms() < end_ms;
         turn())
        (void)!send(slow, "y", 1, MSG_NOSIGNAL);
    cr_expect(is_closed(slow), "never silent, and cut off all the same");
    cr_expect_geq(test_now_ms() - dialled_ms, 1000, "not before its time");
    // Whose request is there waits for its answer as long as that takes.
    cr_assert_not_null(parked);
    cr_expect_not(is_closed(waiting));
    mm_http_reply(parked, 200, "text/plain", "at last", 7);
    CONTAINS(answer(waiting, "at last"), "200 OK");
    parked = NULL;
    close(slow);
    close(waiting);
}

// The loop may stand still, or the machine: what has come meanwhile is read all the same.
Test(http, a_request_that_waits_to_be_read_is_in_time)
{
    reopen(&(struct mm_http_options){.listen = "127.0.0.1:0", .request_s = 1});
    int fd = dial();
    UNTIL(mm_http_server_connections(server) == 1);
    put(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    usleep(1600 * 1000);
    CONTAINS(answer(fd, "hello nobody"), "hello nobody");
    close(fd);
}

Test(http, one_address_does_not_get_all_connections)
{
    reopen(&(struct mm_http_options){.listen = "127.0.0.1:0", .connections_per_address = 2});
    int fds[3];
    for (int i = 0; i < 3; i++) {
        fds[i] = dial();
        UNTIL(i == 2 ? is_closed(fds[i]) : mm_http_server_connections(server) > (unsigned)i);
    }
    cr_expect(!is_closed(fds[0]) && !is_closed(fds[1]) && is_closed(fds[2]));
    for (int i = 0; i < 3; i++)
        close(fds[i]);
}

#define HANDSHAKE                                                                                  \
    "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n"     \
    "Sec-WebSocket-Version: 13\r\n"

Test(http, hands_over_a_websocket_with_its_early_bytes)
{
    // The key and its answer are the example of RFC 6455, section 1.3.
    int fd = dial();
    put(fd, HANDSHAKE "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\nearly");
    const char *text = answer(fd, "\r\n\r\n");
    CONTAINS(text, "101");
    CONTAINS(text, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    CONTAINS(text, "Sec-WebSocket-Protocol: chosen");
    UNTIL(upgraded);
    cr_assert_str_eq(early, "early");
    cr_assert(write(upgraded_fd, "raw", 3) == 3);
    CONTAINS(answer(fd, "raw"), "raw");
    mm_http_upgrade_close(upgraded);
    cr_assert_eq(strlen(answer(fd, "never")), 0);
    close(fd);
}

Test(http, refuses_what_is_no_handshake)
{
    CONTAINS(ask(HANDSHAKE "\r\n", "}"), "400");
    CONTAINS(ask(HANDSHAKE "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j\r\n\r\n", "}"), "400");
    CONTAINS(ask("GET /ws HTTP/1.1\r\nHost: x\r\nSec-WebSocket-Version: 13\r\n"
                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                 "}"),
             "400");
}

Test(http, serves_files_and_nothing_outside_of_them)
{
    char *directory = test_dir_make(), path[128];
    snprintf(path, sizeof path, "%s/web", directory);
    cr_assert(mkdir(path, 0700) == 0);
    snprintf(path, sizeof path, "%s/web/index.html", directory);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    cr_assert(write(fd, "<p>front</p>", 12) == 12);
    close(fd);
    snprintf(path, sizeof path, "%s/secret", directory);
    fd = open(path, O_WRONLY | O_CREAT, 0600);
    cr_assert(write(fd, "secret", 6) == 6);
    close(fd);
    char link_path[128];
    snprintf(link_path, sizeof link_path, "%s/web/link", directory);
    cr_assert(symlink(path, link_path) == 0);

    struct mm_http_files *files;
    snprintf(path, sizeof path, "%s/web", directory);
    cr_assert(mm_http_route_files(server, "/", path, NULL, &files) == MM_OK);
    const char *text = ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "front");
    CONTAINS(text, "<p>front</p>");
    CONTAINS(text, "Content-Type: text/html");
    CONTAINS(text, "Content-Security-Policy: default-src 'self'");
    char tag[80] = "";
    cr_assert(sscanf(strstr(text, "ETag: "), "ETag: %79s", tag) == 1);
    char again[256];
    snprintf(again, sizeof again, "GET / HTTP/1.1\r\nHost: x\r\nIf-None-Match: %s\r\n\r\n", tag);
    CONTAINS(ask(again, "304"), "304");
    const char *const outside[] = {"/../secret", "/%2e%2e/secret", "/link",   "/..%2fsecret",
                                   "//secret",   "/.hidden",       "/nothing"};
    for (size_t i = 0; i < sizeof outside / sizeof outside[0]; i++) {
        snprintf(again, sizeof again, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", outside[i]);
        CONTAINS(ask(again, "}"), "404");
    }
    mm_http_server_close(server);
    mm_http_files_close(files);
    struct mm_http_options options = {.listen = "127.0.0.1:0"};
    cr_assert(mm_http_server_open(loop, &options, &server) == MM_OK);
    free(directory);
}
