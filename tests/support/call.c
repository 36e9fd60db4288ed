#include "tests/support/call.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/io/loop.h"
#include "libcommon/io/pb.h"
#include "tests/support/process.h"

enum { CALL_DEADLINE_MS = TEST_PATIENCE_MS, ENV_MAX = 40 };

struct test_service {
    char name[32];
    char rpc_url[256];
    uint16_t http_port;
    struct test_process *process;
    struct mm_loop *loop;
    struct mm_rpc_client *client;
};

struct test_service *test_service_launch_with(const char *name, const char *config,
                                              const char *directory, const char *const *env)
{
    struct test_service *service = calloc(1, sizeof *service);
    if (!service)
        test_fail("out of memory");
    char upper[32] = "", program[64];
    char own[3][300];
    const char *all[ENV_MAX + 1] = {own[0], own[1], own[2]};
    size_t count = 3;
    snprintf(service->name, sizeof service->name, "%s", name);
    for (size_t i = 0; name[i] && i + 1 < sizeof upper; i++)
        upper[i] = (char)toupper((unsigned char)name[i]);
    service->http_port = test_port_free();
    snprintf(service->rpc_url, sizeof service->rpc_url, "ipc://%s/%s.rpc", directory, name);
    snprintf(own[0], sizeof own[0], "MMORTS_%s_RPC=%s", upper, service->rpc_url);
    snprintf(own[1], sizeof own[1], "MMORTS_%s_HTTP=127.0.0.1:%u", upper, service->http_port);
    snprintf(own[2], sizeof own[2], "MMORTS_%s_STREAM=ipc://%s/%s.stream", upper, directory, name);
    for (size_t i = 0; env && env[i]; i++) {
        if (count == ENV_MAX)
            test_fail("more than %d variables", ENV_MAX);
        all[count++] = env[i];
    }
    snprintf(program, sizeof program, "mmorts-%s", name);
    const char *const argv[] = {program, "--config", config, NULL};
    service->process = test_process_start(argv, all);
    if (mm_loop_create(NULL, &service->loop) != MM_OK ||
        mm_rpc_client_open(service->loop, service->rpc_url, NULL, &service->client) != MM_OK)
        test_fail("no client for %s", name);
    return service;
}

struct test_service *test_service_launch(const char *name, const char *directory,
                                         const char *const *env)
{
    char config[128];
    snprintf(config, sizeof config, "services/%s/%s.yaml", name, name);
    return test_service_launch_with(name, config, directory, env);
}

void test_service_wait_ready(struct test_service *service, int timeout_ms)
{
    if (test_process_wait_ready(service->process, service->http_port, timeout_ms))
        return;
    char *log = test_process_log(service->process);
    test_fail("%s was not ready within %d ms; its log:\n%s", service->name, timeout_ms, log);
}

struct test_service *test_service_start(const char *name, const char *directory,
                                        const char *const *env)
{
    struct test_service *service = test_service_launch(name, directory, env);
    test_service_wait_ready(service, TEST_TABLES_MS);
    return service;
}

struct test_process *test_service_process(struct test_service *service)
{
    return service->process;
}

uint16_t test_service_http_port(const struct test_service *service)
{
    return service->http_port;
}

void test_service_free(struct test_service *service)
{
    if (!service)
        return;
    mm_rpc_client_close(service->client);
    mm_loop_destroy(service->loop);
    test_process_free(service->process);
    free(service);
}

struct test_pending {
    struct test_service *service;
    bool is_done;
    enum mm_err err;
    ProtobufCMessage *reply;
};

static void on_reply(void *arg, const struct mm_rpc_result *result)
{
    struct test_pending *waiting = arg;
    waiting->err = result->code;
    waiting->is_done = true;
    if (result->code != MM_OK)
        return;
    // The library's reply dies with this callback.
    uint8_t *bytes = NULL;
    size_t len = 0;
    if (mm_pb_pack(result->reply, MM_RPC_REPLY_BYTES_MAX, &bytes, &len) != MM_OK ||
        mm_pb_unpack(result->reply->descriptor, NULL, bytes, len, MM_RPC_REPLY_BYTES_MAX,
                     &waiting->reply) != MM_OK)
        test_fail("a reply that cannot be copied");
    free(bytes);
}

struct test_pending *test_call_begin(struct test_service *service,
                                     const ProtobufCServiceDescriptor *descriptor,
                                     const char *method, const ProtobufCMessage *request)
{
    struct test_pending *pending = calloc(1, sizeof *pending);
    struct mm_rpc_call_options options = {.deadline_ms = CALL_DEADLINE_MS,
                                          .wait_for_connection = true};
    if (!pending)
        test_fail("out of memory");
    pending->service = service;
    pending->err = mm_rpc_call(service->client, descriptor, method, request, &options, on_reply,
                               pending, NULL);
    pending->is_done = pending->err != MM_OK;
    return pending;
}

enum mm_err test_call_end(struct test_pending *pending, ProtobufCMessage **reply_out)
{
    if (!pending->is_done &&
        !mm_loop_run_until(pending->service->loop, &pending->is_done, 2 * CALL_DEADLINE_MS))
        test_fail("a call was never answered");
    if (reply_out)
        *reply_out = pending->reply;
    else if (pending->reply)
        protobuf_c_message_free_unpacked(pending->reply, NULL);
    enum mm_err err = pending->err;
    free(pending);
    return err;
}

enum mm_err test_call(struct test_service *service, const ProtobufCServiceDescriptor *descriptor,
                      const char *method, const ProtobufCMessage *request,
                      ProtobufCMessage **reply_out)
{
    return test_call_end(test_call_begin(service, descriptor, method, request), reply_out);
}
