// tls+tcp:// addresses: both sides show a certificate, and whoever has none of ours gets nowhere.

#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <nng/supplemental/tls/tls.h>
#include <stdlib.h>
#include <string.h>

#include "gen/echo.pb-c.h"
#include "libcommon/io/loop.h"
#include "libcommon/io/rpc_client.h"
#include "libcommon/io/rpc_server.h"
#include "libcommon/io/stream_publisher.h"
#include "libcommon/io/stream_reader.h"
#include "tests/support/certificate.h"
#include "tests/support/echo.h"
#include "tests/support/plain.h"
#include "tests/support/process.h"

static void must(enum mm_err err, const char *what)
{
    if (err != MM_OK)
        test_fail("%s: %s", what, mm_err_name(err));
}

struct paths {
    char ca[200], pem[200];
};

static struct mm_rpc_tls tls_of(struct paths *paths, const char *dir, const char *ca,
                                const char *certificate)
{
    snprintf(paths->ca, sizeof paths->ca, "%s/%s-ca.pem", dir, ca);
    snprintf(paths->pem, sizeof paths->pem, "%s/%s.pem", dir, certificate);
    return (struct mm_rpc_tls){.ca_file = paths->ca, .cert_key_file = paths->pem};
}

struct outcome {
    bool done;
    enum mm_err code;
};

static void on_result(void *arg, const struct mm_rpc_result *result)
{
    struct outcome *outcome = arg;
    outcome->done = true;
    outcome->code = result->code;
}

// The code of one call with these files, waiting so long for a connection.
static enum mm_err call_within(struct mm_loop *loop, const char *url, struct mm_rpc_tls tls,
                               uint32_t deadline_ms)
{
    struct mm_rpc_client *client;
    struct mm_rpc_client_options client_options = {.tls = tls};
    must(mm_rpc_client_open(loop, url, &client_options, &client), "client");
    Mmorts__Test__EchoRequest request = MMORTS__TEST__ECHO_REQUEST__INIT;
    struct mm_rpc_call_options options = {.deadline_ms = deadline_ms, .wait_for_connection = true};
    struct outcome outcome = {0};
    must(mm_rpc_call(client, &mmorts__test__echo__descriptor, "Echo", &request.base, &options,
                     on_result, &outcome, NULL),
         "call");
    EXPECT(mm_loop_run_until(loop, &outcome.done, TEST_PATIENCE_MS));
    mm_rpc_client_close(client);
    return outcome.code;
}

static void on_message(void *arg, const struct mm_stream_message *message)
{
    *(bool *)arg = message->seq == 1;
}

// Messages go over TLS too.
static void check_stream(struct mm_loop *loop, const char *rpc_url, const char *url,
                         struct mm_rpc_tls tls, struct echo *echo)
{
    struct mm_rpc_client *client;
    struct mm_stream_reader *reader;
    struct mm_rpc_client_options client_options = {.tls = tls};
    bool arrived = false, never = false;
    must(mm_rpc_client_open(loop, rpc_url, &client_options, &client), "client");
    struct mm_stream_reader_options options = {.stream = "echo",
                                               .session = "main",
                                               .without_snapshot = true,
                                               .tls = tls,
                                               .arg = &arrived,
                                               .on_message = on_message};
    must(mm_stream_reader_open(loop, url, client, &options, &reader), "reader");
    for (int i = 0; i < TEST_PATIENCE_MS / 10 && mm_stream_reader_state(reader) != MM_STREAM_LIVE;
         i++)
        mm_loop_run_until(loop, &never, 10);
    EXPECT(mm_stream_reader_state(reader) == MM_STREAM_LIVE);
    echo_publish(echo, 1);
    EXPECT(mm_loop_run_until(loop, &arrived, TEST_PATIENCE_MS));
    mm_loop_run_until(loop, &never, 20);
    mm_stream_reader_close(reader);
    mm_rpc_client_close(client);
}

int main(void)
{
    char *dir = test_dir_make();
    test_certificate_make(dir, "ours");
    test_certificate_make(dir, "theirs");
    struct paths paths[4];
    struct mm_rpc_tls ours = tls_of(&paths[0], dir, "ours", "ours");
    struct mm_rpc_tls stranger = tls_of(&paths[1], dir, "ours", "theirs");
    struct mm_rpc_tls wary = tls_of(&paths[2], dir, "theirs", "ours");
    struct mm_rpc_tls missing = tls_of(&paths[3], dir, "nobody", "nobody");

    struct mm_loop *loop;
    struct mm_rpc_server *server;
    struct mm_stream_hub *hub;
    struct mm_rpc_client *client;
    static struct echo echo;
    char url[64], stream_url[64], plain_url[64];
    unsigned port = test_port_free();
    snprintf(url, sizeof url, "tls+tcp://127.0.0.1:%u", port);
    snprintf(plain_url, sizeof plain_url, "tcp://127.0.0.1:%u", port);
    snprintf(stream_url, sizeof stream_url, "tls+tcp://127.0.0.1:%u", (unsigned)test_port_free());
    must(mm_loop_create(NULL, &loop), "loop");
    struct mm_rpc_server_options server_options = {.tls = ours};
    must(mm_rpc_server_open(loop, &server_options, &server), "server");
    echo_register(&echo, loop, server);
    must(mm_stream_hub_open(loop, server, stream_url, &ours, &hub), "hub");
    struct mm_stream_publisher_options stream = {.stream = "echo", .session = "main"};
    must(mm_stream_publisher_open(hub, &stream, &echo.publisher), "publisher");
    must(mm_rpc_server_listen(server, url), "listen");

    EXPECT(call_within(loop, url, ours, TEST_PATIENCE_MS / 2) == MM_OK);
    check_stream(loop, url, stream_url, ours, &echo);
    // Not signed by the authority the server believes.
    EXPECT(call_within(loop, url, stranger, 1500) == MM_DEADLINE_EXCEEDED);
    // Does not believe the server's authority.
    EXPECT(call_within(loop, url, wary, 1500) == MM_DEADLINE_EXCEEDED);
    // No TLS at all.
    EXPECT(call_within(loop, plain_url, (struct mm_rpc_tls){0}, 1500) == MM_DEADLINE_EXCEEDED);
    EXPECT(echo.executions == 1);
    // Without its files it is refused at once.
    struct mm_rpc_client_options no_files = {.tls = missing};
    EXPECT(mm_rpc_client_open(loop, url, &no_files, &client) != MM_OK);
    EXPECT(mm_rpc_client_open(loop, url, NULL, &client) == MM_INVALID_ARGUMENT);
    EXPECT(call_within(loop, url, ours, TEST_PATIENCE_MS / 2) == MM_OK);

    mm_stream_hub_close(hub);
    mm_rpc_server_close(server);
    mm_loop_destroy(loop);
    free(dir);
    return plain_finish();
}
