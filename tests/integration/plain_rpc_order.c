// Calls of one client come to the server's handlers in the order in which they were made, whatever
// the threads of nng's make of them. Without the care that rpc_server_internal.h tells of, one call
// in some hundreds overtakes another here.

#include <stdlib.h>

#include "gen/echo.pb-c.h"
#include "libcommon/io/loop.h"
#include "libcommon/io/rpc_client.h"
#include "libcommon/io/rpc_server.h"
#include "tests/support/echo.h"
#include "tests/support/plain.h"
#include "tests/support/process.h"

enum { OUTSTANDING = 100, CALLS = 10000 };

struct caller {
    struct mm_rpc_client *client;
    uint64_t made, answered;
    bool connected, done;
};

static void must(enum mm_err err, const char *what)
{
    if (err != MM_OK)
        test_fail("%s: %s", what, mm_err_name(err));
}

static void on_connection(void *arg, bool connected)
{
    ((struct caller *)arg)->connected = connected;
}

static void on_reply(void *arg, const struct mm_rpc_result *result);

static void call_again(struct caller *caller)
{
    Mmorts__Test__EchoRequest request = MMORTS__TEST__ECHO_REQUEST__INIT;
    request.value = ++caller->made;
    struct mm_rpc_call_options options = {.deadline_ms = TEST_PATIENCE_MS};
    must(mm_rpc_call(caller->client, &mmorts__test__echo__descriptor, "Echo", &request.base,
                     &options, on_reply, caller, NULL),
         "call");
}

static void on_reply(void *arg, const struct mm_rpc_result *result)
{
    struct caller *caller = arg;
    must(result->code, result->message);
    if (caller->made < CALLS)
        call_again(caller);
    caller->done = ++caller->answered == CALLS;
}

// With so few contexts that most calls wait in the socket, and with more than there are calls.
static void test_order(const char *url, uint32_t contexts)
{
    struct mm_loop *loop;
    struct mm_rpc_server *server;
    struct mm_rpc_server_options options = {.contexts = contexts};
    struct echo echo = {0};
    struct caller caller = {0};
    char tcp_url[64];
    must(mm_loop_create(NULL, &loop), "loop");
    must(mm_rpc_server_open(loop, &options, &server), "server");
    echo_register(&echo, loop, server);
    must(mm_rpc_server_listen(server, url), "listen");
    if (mm_rpc_server_port(server) != 0) {
        snprintf(tcp_url, sizeof tcp_url, "tcp://127.0.0.1:%u",
                 (unsigned)mm_rpc_server_port(server));
        url = tcp_url;
    }
    must(mm_rpc_client_open(loop, url, NULL, &caller.client), "client");
    mm_rpc_client_watch(caller.client, on_connection, &caller);
    EXPECT(mm_loop_run_until(loop, &caller.connected, TEST_PATIENCE_MS));
    for (size_t i = 0; i < OUTSTANDING; i++)
        call_again(&caller);
    EXPECT(mm_loop_run_until(loop, &caller.done, TEST_PATIENCE_MS));
    EXPECT(echo.executions == CALLS && echo.newest == CALLS);
    EXPECT(echo.overtaken == 0);
    mm_rpc_client_close(caller.client);
    mm_rpc_server_close(server);
    mm_loop_destroy(loop);
}

int main(void)
{
    char *dir = test_dir_make();
    char url[160];
    snprintf(url, sizeof url, "ipc://%s/rpc", dir);
    test_order(url, 2 * OUTSTANDING);
    test_order(url, 2);
    test_order("tcp://127.0.0.1:0", 2 * OUTSTANDING);
    free(dir);
    return plain_finish();
}
