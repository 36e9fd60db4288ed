#include "tests/support/echo_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/base/str.h"
#include "libcommon/io/http_rpc.h"
#include "libcommon/io/loop.h"
#include "libcommon/io/rpc_server.h"
#include "libcommon/io/stream_publisher.h"
#include "tests/support/echo.h"
#include "tests/support/process.h"

static void must(enum mm_err err, const char *what)
{
    if (err != MM_OK)
        test_fail("%s: %s", what, mm_err_name(err));
}

// A token's check that takes a moment, as a real one does.
struct question {
    struct mm_loop_timer timer;
    struct mm_http_authorisation *authorisation;
    char bearer[64];
};

static void answer_question(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop;
    (void)timer;
    static const struct {
        const char *prefix;
        uint64_t permissions;
    } kinds[] = {{"player-", 0},
                 {"secret-", ECHO_PERMISSION_SECRET},
                 {"operator-", ECHO_PERMISSION_OPERATOR}};
    struct question *question = arg;
    struct mm_http_authorisation *authorisation = question->authorisation;
    char bearer[64];
    memcpy(bearer, question->bearer, sizeof bearer);
    free(question);
    if (strcmp(bearer, "away") == 0) {
        mm_http_authorise(authorisation, MM_UNAVAILABLE, "cannot ask now", 0, 0);
        return;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (!mm_str_starts_with(bearer, kinds[i].prefix))
            continue;
        uint64_t id = strtoull(bearer + strlen(kinds[i].prefix), NULL, 10);
        mm_http_authorise(authorisation, MM_OK, "", id, kinds[i].permissions);
        return;
    }
    mm_http_authorise(authorisation, MM_UNAUTHENTICATED, "no such token", 0, 0);
}

static void authorise(void *arg, struct mm_http_authorisation *authorisation, const char *bearer)
{
    struct question *question = calloc(1, sizeof *question);
    if (!question)
        test_fail("out of memory");
    question->authorisation = authorisation;
    (void)mm_str_copy(question->bearer, sizeof question->bearer, bearer);
    mm_loop_timer_init(&question->timer, answer_question, question);
    mm_loop_timer_start(arg, &question->timer, MM_LOOP_MS(2), 0);
}

static void open_stream(struct mm_loop *loop, struct mm_rpc_server *server, struct echo *echo,
                        const char *url, uint64_t epoch, uint32_t ring_messages)
{
    struct mm_stream_hub *hub;
    must(mm_stream_hub_open(loop, server, url, NULL, &hub), url);
    struct mm_stream_publisher_options options = {.stream = "echo",
                                                  .session = "main",
                                                  .epoch = epoch,
                                                  .ring_messages_max = ring_messages,
                                                  .snapshot = echo_snapshot,
                                                  .arg = echo};
    must(mm_stream_publisher_open(hub, &options, &echo->publisher), "publisher");
}

static unsigned open_http(struct mm_loop *loop, struct mm_rpc_server *server, const char *address)
{
    struct mm_http_server *http;
    struct mm_http_rpc *gateway;
    struct mm_http_options options = {.listen = address};
    must(mm_http_server_open(loop, &options, &http), address);
    struct mm_http_rpc_options gateway_options = {
        .authorise = authorise, .arg = loop, .operator_permission = ECHO_PERMISSION_OPERATOR};
    must(mm_http_rpc_open(http, server, &gateway_options, &gateway), "gateway");
    return mm_http_server_port(http);
}

int echo_server_main(int argc, char **argv)
{
    static struct echo echo;
    struct mm_loop *loop;
    struct mm_rpc_server *server;
    const char *stream = NULL, *http = NULL;
    uint64_t epoch = 0;
    uint32_t ring = 0;
    must(mm_loop_create(NULL, &loop), "loop");
    must(mm_rpc_server_open(loop, NULL, &server), "server");
    echo_register(&echo, loop, server);
    for (int i = 0; i < argc; i++) {
        if (mm_str_starts_with(argv[i], "stream="))
            stream = argv[i] + strlen("stream=");
        else if (mm_str_starts_with(argv[i], "epoch="))
            epoch = strtoull(argv[i] + strlen("epoch="), NULL, 10);
        else if (mm_str_starts_with(argv[i], "ring="))
            ring = (uint32_t)strtoul(argv[i] + strlen("ring="), NULL, 10);
        else if (mm_str_starts_with(argv[i], "http="))
            http = argv[i] + strlen("http=");
    }
    if (stream)
        open_stream(loop, server, &echo, stream, epoch, ring);
    unsigned port = http ? open_http(loop, server, http) : 0;
    for (int i = 0; i < argc; i++)
        if (strstr(argv[i], "://") && !mm_str_starts_with(argv[i], "stream="))
            must(mm_rpc_server_listen(server, argv[i]), argv[i]);
    printf("serving %u\n", port);
    fflush(stdout);
    mm_loop_run(loop);
    return 0;
}
