#ifndef TESTS_SUPPORT_ECHO_H
#define TESTS_SUPPORT_ECHO_H

#include <stdint.h>

#include "libcommon/io/rpc_server.h"
#include "libcommon/io/stream_publisher.h"

struct mm_loop;
struct echo_delayed;

// The service of echo.proto, for tests of the RPC and of its clients in other languages.

#define ECHO_PERMISSION_SECRET   4u
#define ECHO_PERMISSION_OPERATOR 128u

enum { ECHO_DELAYED_MAX = 1024 }; // answers that can be pending at once

struct echo {
    struct mm_loop *loop;
    uint64_t executions;                   // of all methods
    struct mm_stream_publisher *publisher; // for PublishTo; may be NULL
    uint64_t published;
    struct echo_delayed *held; // calls that wait for others to be carried out
    uint64_t newest;           // the greatest value that came,
    uint64_t overtaken;        // and how many came behind a greater one
};

// Registers the service; echo must outlive the server.
void echo_register(struct echo *echo, struct mm_loop *loop, struct mm_rpc_server *server);

// Answers the calls that are held (EchoRequest.after), each after its own delay.
void echo_release(struct echo *echo);

// Publishes `count` EchoRequests on the publisher: value 1, 2, 3 ... in publishing order, tick
// likewise.
void echo_publish(struct echo *echo, uint64_t count);

// A snapshot callback for the publisher (arg: struct echo): an EchoRequest with value = published
// and text = the filter.
void echo_snapshot(void *arg, struct mm_stream_snapshot *snapshot, const uint8_t *filter,
                   size_t filter_len);

#endif
