#ifndef TESTS_SUPPORT_CALL_H
#define TESTS_SUPPORT_CALL_H

#include <protobuf-c/protobuf-c.h>

#include "libcommon/base/err.h"
#include "libcommon/io/rpc_client.h"

// A service under test and a client of it: RPC calls that wait for their answer. Failures of the
// harness abort (process.h).

struct test_service;

// Starts build/bin/mmorts-<name> with services/<name>/<name>.yaml, its RPC (and stream) on ipc://
// sockets in `directory`, the operations endpoint on a free port, and `env` (NAME=value, ended by
// NULL) on top. Waits until it is ready.
struct test_service *test_service_start(const char *name, const char *directory,
                                        const char *const *env);
// The same without waiting for readiness.
struct test_service *test_service_launch(const char *name, const char *directory,
                                         const char *const *env);
// And with settings of the test's own: the path of the file.
struct test_service *test_service_launch_with(const char *name, const char *config,
                                              const char *directory, const char *const *env);
void test_service_wait_ready(struct test_service *service, int timeout_ms);
struct test_process *test_service_process(struct test_service *service);
uint16_t test_service_http_port(const struct test_service *service);

// Kills what still runs and frees it. NULL is allowed.
void test_service_free(struct test_service *service);

// One call, 30 s deadline. *reply_out (may be NULL) is the unpacked reply, the caller's to free, or
// NULL on error. Waits for the connection.
enum mm_err test_call(struct test_service *service, const ProtobufCServiceDescriptor *descriptor,
                      const char *method, const ProtobufCMessage *request,
                      ProtobufCMessage **reply_out);

// The same in two halves, so that several calls are under way at once, or the service is killed in
// between.
struct test_pending;
struct test_pending *test_call_begin(struct test_service *service,
                                     const ProtobufCServiceDescriptor *descriptor,
                                     const char *method, const ProtobufCMessage *request);
enum mm_err test_call_end(struct test_pending *pending, ProtobufCMessage **reply_out);

#endif
