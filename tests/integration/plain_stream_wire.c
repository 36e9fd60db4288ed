// What streams send and take on the wire, where the loop does it itself: each side against nng's
// own sockets, which speak the same, and against peers who do not keep to it.

#include <errno.h>
#include <nng/nng.h>
#include <nng/protocol/pubsub0/pub.h>
#include <nng/protocol/pubsub0/sub.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "gen/stream.pb-c.h"
#include "libcommon/io/loop.h"
#include "libcommon/io/rpc.h"
#include "libcommon/io/sp.h"
#include "libcommon/io/stream_fan.h"
#include "libcommon/io/stream_socket.h"
#include "tests/support/plain.h"
#include "tests/support/process.h"

enum { LONG_MS = 60000, LARGE = 3 << 20, READERS = 256 };

static char *dir;

static void must(bool ok, const char *what)
{
    if (!ok)
        test_fail("%s", what);
}

static void url_make(char url[160], const char *transport)
{
    static unsigned number;
    if (strcmp(transport, "ipc") == 0)
        snprintf(url, 160, "ipc://%s/w%u", dir, number++);
    else
        snprintf(url, 160, "tcp://127.0.0.1:%u", (unsigned)test_port_free());
}

// A message of len bytes that say their places, with a number.
static struct mm_envelope message(Mmorts__Stream__StreamMessage *head, const char *session,
                                  uint64_t seq, size_t len)
{
    static uint8_t body[LARGE];
    if (body[1] == 0)
        for (size_t i = 0; i < sizeof body; i++)
            body[i] = (uint8_t)(i % 251 + 1);
    mmorts__stream__stream_message__init(head);
    head->stream = (char *)(uintptr_t) "tick";
    head->session = (char *)(uintptr_t)session;
    head->epoch = 7;
    head->seq = seq;
    return (struct mm_envelope){.head = &head->base, .body_field = 6, .body = {body, len}};
}

static bool is_message(const void *bytes, size_t bytes_len, uint64_t seq, size_t len)
{
    struct mm_stream_message_view view;
    if (!mm_stream_message_read(bytes, bytes_len, &view) || view.seq != seq || view.body.len != len)
        return false;
    for (size_t i = 0; i < len; i++)
        if (view.body.data[i] != (uint8_t)(i % 251 + 1))
            return false;
    return true;
}

// --- a reader's socket ---------------------------------------------------------------------------

struct reader {
    struct mm_loop *loop;
    struct mm_stream_socket *socket;
    unsigned connections, losses, messages;
    uint64_t seq; // of the last message
    size_t len;
    bool sound, changed, close_at_message;
};

static void on_message(void *arg, nng_msg *msg)
{
    struct reader *reader = arg;
    struct mm_stream_message_view view;
    reader->sound &= mm_stream_message_read(nng_msg_body(msg), nng_msg_len(msg), &view) &&
                     is_message(nng_msg_body(msg), nng_msg_len(msg), view.seq, view.body.len) &&
                     view.session.len == 4 && memcmp(view.session.data, "main", 4) == 0;
    reader->seq = view.seq;
    reader->len = view.body.len;
    reader->messages++;
    reader->changed = true;
    nng_msg_free(msg);
    if (reader->close_at_message) {
        mm_stream_socket_close(reader->socket);
        reader->socket = NULL;
    }
}

static void on_connection(void *arg, bool connected)
{
    struct reader *reader = arg;
    reader->connections += connected;
    reader->losses += !connected;
    reader->changed = true;
}

static void reader_open(struct reader *reader, struct mm_loop *loop, const char *url)
{
    *reader = (struct reader){.loop = loop, .sound = true};
    struct mm_rpc_tls none = {0};
    struct mm_stream_socket_options options = {.stream = "tick",
                                               .session = "main",
                                               .tls = &none,
                                               .arg = reader,
                                               .on_message = on_message,
                                               .on_connection = on_connection};
    must(mm_stream_socket_open(loop, url, &options, &reader->socket) == MM_OK, "reader");
}

static bool turn(struct reader *reader)
{
    reader->changed = false;
    return mm_loop_run_until(reader->loop, &reader->changed, LONG_MS);
}

static void send_by_nng(nng_socket socket, const char *session, uint64_t seq, size_t len)
{
    Mmorts__Stream__StreamMessage head;
    struct mm_envelope envelope = message(&head, session, seq, len);
    nng_msg *msg;
    must(mm_envelope_to_msg(&envelope, SIZE_MAX, &msg) == MM_OK, "message");
    must(nng_sendmsg(socket, msg, 0) == 0, "send");
}

// Also: what is of another session is not shown; the end is seen, and who comes after it found.
static void test_reads_nng(const char *transport)
{
    static const size_t sizes[] = {0, 1, 100, 65535, 65536, 70000, LARGE};
    char url[160];
    struct mm_loop *loop;
    struct reader reader;
    nng_socket publisher;
    url_make(url, transport);
    must(mm_loop_create(NULL, &loop) == MM_OK, "loop");
    reader_open(&reader, loop, url); // before there is anybody
    for (unsigned life = 1; life <= 2; life++) {
        must(nng_pub0_open(&publisher) == 0 && nng_listen(publisher, url, NULL, 0) == 0, "nng");
        while (reader.connections < life && turn(&reader)) {
        }
        EXPECT(reader.connections == life && reader.losses == life - 1);
        // nng may see the connection a little later than we do.
        unsigned before = reader.messages;
        for (int tries = 0; reader.messages == before && tries < 6000; tries++) {
            send_by_nng(publisher, "main", 1, 5);
            reader.changed = false;
            mm_loop_run_until(loop, &reader.changed, 10);
        }
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            send_by_nng(publisher, "mine", 1000, 3);
            send_by_nng(publisher, "main", 10 + i, sizes[i]);
            while (reader.seq != 10 + i && turn(&reader)) {
            }
            EXPECT(reader.seq == 10 + i && reader.len == sizes[i] && reader.sound);
        }
        nng_close(publisher);
        while (reader.losses < life && turn(&reader)) {
        }
        EXPECT(reader.losses == life);
    }
    mm_stream_socket_close(reader.socket);
    mm_loop_destroy(loop);
}

static void test_closed_at_message(void)
{
    char url[160];
    struct mm_loop *loop;
    struct reader reader;
    struct mm_stream_fan *fan;
    Mmorts__Stream__StreamMessage head;
    url_make(url, "ipc");
    must(mm_loop_create(NULL, &loop) == MM_OK, "loop");
    must(mm_stream_fan_open(loop, url, NULL, &fan) == MM_OK, "fan");
    reader_open(&reader, loop, url);
    reader.close_at_message = true;
    EXPECT(turn(&reader) && reader.connections == 1);
    // Once the publisher has seen it too, several in one go: the first one ends it.
    for (int tries = 0; reader.messages == 0 && tries < 6000; tries++) {
        for (uint64_t seq = 1; seq <= 3; seq++) {
            struct mm_envelope envelope = message(&head, "main", seq, 10);
            mm_stream_fan_send(fan, &envelope);
        }
        reader.changed = false;
        mm_loop_run_until(loop, &reader.changed, 10);
    }
    EXPECT(reader.messages == 1 && reader.sound && reader.losses == 0);
    mm_stream_fan_close(fan);
    mm_loop_destroy(loop);
}

// --- publishers who do not keep to it ------------------------------------------------------------

static int listen_at(const char *url)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", url + strlen("ipc://"));
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    must(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
             listen(fd, 5) == 0,
         "listen");
    return fd;
}

// The next connection, while the loop runs. -1: none comes.
static int accept_while(struct mm_loop *loop, int listener)
{
    struct pollfd ready = {.fd = listener, .events = POLLIN};
    for (int tries = 0; tries < LONG_MS / 10; tries++) {
        bool never = false;
        mm_loop_run_until(loop, &never, 10);
        if (poll(&ready, 1, 0) == 1)
            return accept(listener, NULL, NULL);
    }
    return -1;
}

struct bytes {
    const void *data;
    size_t len;
};
#define BYTES(text) ((struct bytes){text, sizeof(text) - 1})

// Each says what it has to and waits for the reader to go, or goes itself.
static void test_bad_publishers(void)
{
    static const char *const greeting = "\0SP\0\0\x20\0\0";
    const struct {
        struct bytes greeting, rest;
        bool greets, goes;
    } cases[] = {
        {BYTES("HTTP/1.1"), BYTES(""), false, false},
        {BYTES("\0SP\0\0\x21\0\0"), BYTES(""), false, false}, // another reader
        {BYTES("\0SP"), BYTES(""), false, true},
        {{greeting, 8}, BYTES("\2\0\0\0\0\0\0\0\1x"), true, false}, // not a message
        {{greeting, 8}, BYTES("\1\x7f\0\0\0\0\0\0\0xyz"), true, false},
        {{greeting, 8}, BYTES("\1\0\0\0\0\0\0\1\0only the beginning"), true, true},
        {{greeting, 8}, BYTES("\1\0\0\0"), true, true},
    };
    char url[160];
    struct mm_loop *loop;
    struct reader reader;
    url_make(url, "ipc");
    must(mm_loop_create(NULL, &loop) == MM_OK, "loop");
    int listener = listen_at(url);
    reader_open(&reader, loop, url);
    unsigned greeted = 0;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int fd = accept_while(loop, listener);
        must(fd >= 0, "the reader does not come back");
        must(send(fd, cases[i].greeting.data, cases[i].greeting.len, MSG_NOSIGNAL) > 0 &&
                 send(fd, cases[i].rest.data, cases[i].rest.len, MSG_NOSIGNAL) >= 0,
             "send");
        greeted += cases[i].greets;
        if (cases[i].goes) // with what it said read
            while (greeted > reader.connections && turn(&reader)) {
            }
        char heard[64];
        size_t len = 0;
        for (int tries = 0; !cases[i].goes && tries < LONG_MS / 10; tries++) {
            bool never = false;
            ssize_t got = recv(fd, heard + len, sizeof heard - len, MSG_DONTWAIT);
            if (got == 0 || (got < 0 && errno != EAGAIN))
                break;
            len += got > 0 ? (size_t)got : 0;
            mm_loop_run_until(loop, &never, 10);
        }
        EXPECT(cases[i].goes || (len == 8 && memcmp(heard, "\0SP\0\0\x21\0\0", 8) == 0));
        close(fd);
        while (greeted > reader.losses && turn(&reader)) {
        }
        EXPECT(reader.connections == greeted && reader.losses == greeted);
    }
    EXPECT(reader.messages == 0);
    // And after all that it is as good as new.
    int fd = accept_while(loop, listener);
    must(fd >= 0 && send(fd, greeting, 8, MSG_NOSIGNAL) == 8, "send");
    EXPECT(turn(&reader) && reader.connections == greeted + 1);
    mm_stream_socket_close(reader.socket);
    close(fd);
    close(listener);
    mm_loop_destroy(loop);
}

// --- the publisher's socket ----------------------------------------------------------------------

static nng_socket subscriber_open(const char *url)
{
    nng_socket socket;
    must(nng_sub0_open(&socket) == 0 && nng_socket_set(socket, NNG_OPT_SUB_SUBSCRIBE, "", 0) == 0 &&
             nng_socket_set_size(socket, NNG_OPT_RECVMAXSZ, 0) == 0 &&
             nng_dial(socket, url, NULL, NNG_FLAG_NONBLOCK) == 0,
         "subscriber");
    return socket;
}

// The next message, while the loop runs, or NULL.
static nng_msg *next_of_nng(struct mm_loop *loop, nng_socket socket, int tries)
{
    for (; tries > 0; tries--) {
        bool never = false;
        nng_msg *msg;
        if (nng_recvmsg(socket, &msg, NNG_FLAG_NONBLOCK) == 0)
            return msg;
        mm_loop_run_until(loop, &never, 10);
    }
    return NULL;
}

static void test_nng_reads(const char *transport)
{
    static const size_t sizes[] = {0, 1, 70000, LARGE};
    char url[160];
    struct mm_loop *loop;
    struct mm_stream_fan *fan;
    Mmorts__Stream__StreamMessage head;
    url_make(url, transport);
    must(mm_loop_create(NULL, &loop) == MM_OK, "loop");
    must(mm_stream_fan_open(loop, url, NULL, &fan) == MM_OK, "fan");
    EXPECT((mm_stream_fan_port(fan) != 0) == (strcmp(transport, "tcp") == 0));
    nng_socket readers[2] = {subscriber_open(url), subscriber_open(url)};
    for (int r = 0; r < 2; r++) {
        nng_msg *first = NULL;
        for (int tries = 0; !first && tries < 6000; tries++) {
            struct mm_envelope envelope = message(&head, "main", 1, 5);
            mm_stream_fan_send(fan, &envelope);
            first = next_of_nng(loop, readers[r], 1);
        }
        must(first != NULL, "nng hears nothing");
        nng_msg_free(first);
    }
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct mm_envelope envelope = message(&head, "main", 10 + i, sizes[i]);
        mm_stream_fan_send(fan, &envelope);
        for (int r = 0; r < 2; r++) {
            nng_msg *msg;
            bool sound = false;
            while (!sound && (msg = next_of_nng(loop, readers[r], LONG_MS / 10)) != NULL) {
                sound = is_message(nng_msg_body(msg), nng_msg_len(msg), 10 + i, sizes[i]);
                nng_msg_free(msg); // or a first one that came late
            }
            EXPECT(sound);
        }
    }
    nng_close(readers[0]);
    nng_close(readers[1]);
    mm_stream_fan_close(fan);
    mm_loop_destroy(loop);
}

static int connect_raw(const char *url, const char *greeting, size_t len)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", url + strlen("ipc://"));
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    must(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0, "connect");
    must(send(fd, greeting, len, MSG_NOSIGNAL) == (ssize_t)len, "greet");
    return fd;
}

// Reads so many bytes, or until the end, while the loop runs; how many came.
static size_t read_raw(struct mm_loop *loop, int fd, uint8_t *to, size_t len)
{
    size_t have = 0;
    for (int tries = 0; have < len && tries < LONG_MS / 5; tries++) {
        bool never = false;
        ssize_t got = recv(fd, to + have, len - have, MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN))
            return have;
        have += got > 0 ? (size_t)got : 0;
        if (got < 0)
            mm_loop_run_until(loop, &never, 5);
    }
    return have;
}

static bool has_ended(struct mm_loop *loop, int fd)
{
    uint8_t byte[64];
    struct pollfd ended = {.fd = fd, .events = POLLIN};
    while (read_raw(loop, fd, byte, sizeof byte) > 0) {
    }
    return poll(&ended, 1, 0) == 1 && recv(fd, byte, 1, MSG_DONTWAIT) <= 0;
}

static void test_bad_readers(void)
{
    char url[160];
    struct mm_loop *loop;
    struct mm_stream_fan *fan;
    url_make(url, "ipc");
    must(mm_loop_create(NULL, &loop) == MM_OK, "loop");
    must(mm_stream_fan_open(loop, url, NULL, &fan) == MM_OK, "fan");
    int wrong = connect_raw(url, "GET / HT", 8);
    EXPECT(has_ended(loop, wrong));
    int publisher = connect_raw(url, "\0SP\0\0\x20\0\0", 8);
    EXPECT(has_ended(loop, publisher));
    int talker = connect_raw(url, "\0SP\0\0\x21\0\0hello", 13);
    EXPECT(has_ended(loop, talker));
    // As many as there may be, and one.
    int many[READERS + 1];
    for (int i = 0; i <= READERS; i++) {
        bool never = false;
        many[i] = connect_raw(url, "\0SP\0\0\x21\0\0", 8);
        mm_loop_run_until(loop, &never, 1);
    }
    EXPECT(has_ended(loop, many[READERS]));
    uint8_t greeting[8];
    EXPECT(read_raw(loop, many[READERS - 1], greeting, 8) == 8 &&
           memcmp(greeting, "\0SP\0\0\x20\0\0", 8) == 0);
    for (int i = 0; i <= READERS; i++)
        close(many[i]);
    close(wrong);
    close(publisher);
    close(talker);
    mm_stream_fan_close(fan);
    mm_loop_destroy(loop);
}

// Who does not read loses messages from the middle, and none is cut off; others lose nothing.
static void test_slow_reader(void)
{
    enum { COUNT = 60, BODY = 50000 };
    char url[160];
    struct mm_loop *loop;
    struct mm_stream_fan *fan;
    struct reader quick;
    Mmorts__Stream__StreamMessage head;
    url_make(url, "ipc");
    must(mm_loop_create(NULL, &loop) == MM_OK, "loop");
    must(mm_stream_fan_open(loop, url, NULL, &fan) == MM_OK, "fan");
    int slow = connect_raw(url, "\0SP\0\0\x21\0\0", 8);
    reader_open(&quick, loop, url);
    uint8_t *bytes = malloc(LARGE);
    must(bytes && read_raw(loop, slow, bytes, 8) == 8, "greeting");
    EXPECT(quick.connections == 1 || turn(&quick));
    for (int tries = 0; quick.messages == 0 && tries < 6000; tries++) {
        struct mm_envelope envelope = message(&head, "main", 0, 0);
        mm_stream_fan_send(fan, &envelope);
        quick.changed = false;
        mm_loop_run_until(loop, &quick.changed, 10);
    }
    unsigned before = quick.messages;
    for (uint64_t seq = 1; seq <= COUNT; seq++) {
        struct mm_envelope envelope = message(&head, "main", seq, BODY + seq * 7);
        mm_stream_fan_send(fan, &envelope);
        while (quick.seq < seq && turn(&quick)) {
        }
    }
    EXPECT(quick.seq == COUNT && quick.messages >= before + COUNT && quick.sound);
    uint64_t last = 0, missing = 0;
    while (last < COUNT) {
        uint64_t len;
        struct mm_stream_message_view view;
        if (!EXPECT(read_raw(loop, slow, bytes, 9) == 9 && mm_sp_header_read(true, bytes, &len) &&
                    len <= LARGE && read_raw(loop, slow, bytes, (size_t)len) == len &&
                    mm_stream_message_read(bytes, (size_t)len, &view)))
            break;
        if (view.seq == 0)
            continue;
        EXPECT(is_message(bytes, (size_t)len, view.seq, BODY + view.seq * 7) && view.seq > last);
        missing += view.seq - last - 1;
        last = view.seq;
    }
    EXPECT(missing > 0 && last == COUNT);
    free(bytes);
    close(slow);
    mm_stream_socket_close(quick.socket);
    mm_stream_fan_close(fan);
    mm_loop_destroy(loop);
}

// --- addresses -----------------------------------------------------------------------------------

static void test_addresses(void)
{
    char url[160];
    struct mm_loop *loop;
    struct mm_stream_fan *fan, *second;
    struct stat info;
    must(mm_loop_create(NULL, &loop) == MM_OK, "loop");
    url_make(url, "ipc");
    const char *path = url + strlen("ipc://");
    close(listen_at(url)); // a file that nobody listens at
    EXPECT(mm_stream_fan_open(loop, url, NULL, &fan) == MM_OK);
    EXPECT(stat(path, &info) == 0 && (info.st_mode & 0777) == 0600);
    EXPECT(mm_stream_fan_open(loop, url, NULL, &second) == MM_UNAVAILABLE && !second);
    EXPECT(stat(path, &info) == 0);
    mm_stream_fan_close(fan);
    EXPECT(stat(path, &info) != 0);
    EXPECT(mm_stream_fan_open(loop, "tcp://127.0.0.1:0", NULL, &fan) == MM_OK);
    snprintf(url, sizeof url, "tcp://127.0.0.1:%u", mm_stream_fan_port(fan));
    EXPECT(mm_stream_fan_open(loop, url, NULL, &second) == MM_UNAVAILABLE);
    mm_stream_fan_close(fan);
    // At once again, whatever the connections of before.
    EXPECT(mm_stream_fan_open(loop, url, NULL, &fan) == MM_OK);
    mm_stream_fan_close(fan);
    EXPECT(mm_stream_fan_open(loop, "udp://127.0.0.1:1", NULL, &fan) == MM_INVALID_ARGUMENT);
    EXPECT(mm_stream_fan_open(loop, "tcp://*:0", NULL, &fan) == MM_OK);
    mm_stream_fan_close(fan);
    mm_stream_fan_close(NULL);
    struct mm_sp_address address;
    EXPECT(mm_sp_address_read("tcp://[::1]:7", &address) && address.port == 7 && !address.ipc &&
           strcmp(address.host, "::1") == 0);
    EXPECT(mm_sp_address_read("tcp://world:7111", &address) && strcmp(address.host, "world") == 0);
    EXPECT(!mm_sp_address_read("tls+tcp://world:7111", &address));
    mm_loop_destroy(loop);
}

int main(void)
{
    dir = test_dir_make();
    test_reads_nng("ipc");
    test_reads_nng("tcp");
    test_closed_at_message();
    test_bad_publishers();
    test_nng_reads("ipc");
    test_nng_reads("tcp");
    test_bad_readers();
    test_slow_reader();
    test_addresses();
    free(dir);
    return plain_finish();
}
