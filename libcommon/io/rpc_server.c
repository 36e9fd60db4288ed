#include "libcommon/io/rpc_server.h"

#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <string.h>

#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/clock.h"
#include "libcommon/base/log.h"
#include "libcommon/base/str.h"
#include "libcommon/io/nng_close.h"
#include "libcommon/io/rpc_server_internal.h"

// A peer that does not read its answer for this long does not get it.
enum { SEND_TIMEOUT_MS = 10000 };

// --- nng's threads ----------------------------------------------------------------------------

// `got`: a slot has received, and what it got is posted. `idle`: a slot that could receive. Either
// may be missing. If none receives now, one begins to.
static void receive_next(struct mm_rpc_server *server, bool got, struct mm_rpc_call *idle)
{
    pthread_mutex_lock(&server->receive_mutex);
    if (got)
        server->receiving = false;
    if (idle) {
        idle->next = server->idle;
        server->idle = idle;
    }
    struct mm_rpc_call *call = server->idle;
    if (call && !server->receiving && !server->closing) {
        server->idle = call->next;
        call->next = NULL;
        server->receiving = true;
        // Never calls back by itself, only from a thread of nng's. Outside the mutex it could come
        // after the closing has freed what it needs.
        nng_ctx_recv(call->context, call->receive_aio);
    }
    pthread_mutex_unlock(&server->receive_mutex);
}

static void on_received(void *arg)
{
    struct mm_rpc_call *call = arg;
    int rv = nng_aio_result(call->receive_aio);
    if (rv == NNG_ECLOSED || rv == NNG_ECANCELED)
        return;
    struct mm_rpc_server *server = call->server;
    if (rv != 0) {
        receive_next(server, true, call);
        return;
    }
    call->message = nng_aio_get_msg(call->receive_aio);
    call->received_ns = mm_clock_ns();
    mm_loop_post_task(server->loop, &call->arrived);
    receive_next(server, true, NULL);
}

static void on_sent(void *arg)
{
    struct mm_rpc_call *call = arg;
    if (nng_aio_result(call->send_aio) != 0) // the caller is gone
        nng_msg_free(nng_aio_get_msg(call->send_aio));
    receive_next(call->server, false, call);
}

// --- opening ----------------------------------------------------------------------------------

static enum mm_err open_contexts(struct mm_rpc_server *server)
{
    for (uint32_t i = 0; i < server->options.contexts; i++) {
        struct mm_rpc_call *call = &server->calls[i];
        int rv = nng_ctx_open(&call->context, server->socket);
        if (rv != 0)
            return mm_nng_err(rv);
        call->has_context = true;
        mm_loop_task_init(&call->arrived, mm_rpc_call_arrived, call);
        if ((rv = nng_aio_alloc(&call->receive_aio, on_received, call)) != 0 ||
            (rv = nng_aio_alloc(&call->send_aio, on_sent, call)) != 0)
            return mm_nng_err(rv);
        nng_aio_set_timeout(call->receive_aio, NNG_DURATION_INFINITE);
        nng_aio_set_timeout(call->send_aio, SEND_TIMEOUT_MS);
    }
    return MM_OK;
}

static void fill_options(struct mm_rpc_server_options *options)
{
    if (options->contexts == 0)
        options->contexts = MM_RPC_SERVER_CONTEXTS_DEFAULT;
    if (options->request_bytes_max == 0)
        options->request_bytes_max = MM_RPC_REQUEST_BYTES_MAX;
    if (options->reply_bytes_max == 0)
        options->reply_bytes_max = MM_RPC_REPLY_BYTES_MAX;
    if (options->remembered_calls == 0)
        options->remembered_calls = MM_RPC_REMEMBERED_CALLS_DEFAULT;
    // Every running call may need an entry that cannot leave.
    if (options->remembered_calls < 2 * options->contexts + 1)
        options->remembered_calls = 2 * options->contexts + 1;
    if (options->remembered_bytes == 0)
        options->remembered_bytes = MM_RPC_REMEMBERED_BYTES_DEFAULT;
}

enum mm_err mm_rpc_server_open(struct mm_loop *loop, const struct mm_rpc_server_options *options,
                               struct mm_rpc_server **out)
{
    *out = NULL;
    struct mm_rpc_server *server = mm_calloc(1, sizeof *server);
    if (!server)
        return MM_RESOURCE_EXHAUSTED;
    server->loop = loop;
    if (options)
        server->options = *options;
    fill_options(&server->options);
    uint32_t contexts = server->options.contexts;
    enum mm_err err = MM_RESOURCE_EXHAUSTED;

    int rv = nng_rep0_open(&server->socket);
    if (rv != 0) {
        mm_free(server);
        return mm_nng_err(rv);
    }
    MM_CHECK(pthread_mutex_init(&server->receive_mutex, NULL) == 0);
    server->calls = mm_calloc(contexts, sizeof *server->calls);
    server->local_calls = mm_calloc(contexts, sizeof *server->local_calls);
    server->memory =
        mm_rpc_memory_new(server->options.remembered_calls, server->options.remembered_bytes);
    if (!server->calls || !server->local_calls || !server->memory)
        goto failed;
    for (uint32_t i = 0; i < contexts; i++) {
        server->calls[i].server = server;
        server->local_calls[i].server = server;
        server->local_calls[i].next = server->local_free;
        server->local_free = &server->local_calls[i];
    }
    rv = nng_socket_set_size(server->socket, NNG_OPT_RECVMAXSZ, server->options.request_bytes_max);
    err = rv == 0 ? open_contexts(server) : mm_nng_err(rv);
    if (err != MM_OK)
        goto failed;
    *out = server;
    return MM_OK;

failed:
    mm_rpc_server_close(server);
    return err;
}

void mm_rpc_server_register(struct mm_rpc_server *server, ProtobufCService *service, void *context,
                            const struct mm_rpc_policy *policies, size_t count)
{
    const ProtobufCServiceDescriptor *descriptor = service->descriptor;
    MM_CHECK(server->services_count < MM_RPC_SERVER_SERVICES_MAX);
    MM_CHECK(!server->listening);
    struct mm_rpc_registered *registered = &server->services[server->services_count];
    *registered = (struct mm_rpc_registered){.service = service, .context = context};
    registered->policy_of = mm_calloc(descriptor->n_methods, sizeof *registered->policy_of);
    MM_CHECK(registered->policy_of != NULL || descriptor->n_methods == 0);
    for (size_t i = 0; i < count; i++) {
        int index = mm_rpc_method_index(descriptor, policies[i].method);
        MM_CHECK(index >= 0); // a policy for a method that does not exist
        registered->policy_of[index] = &policies[i];
    }
    server->services_count++;
}

enum mm_err mm_rpc_server_listen(struct mm_rpc_server *server, const char *url)
{
    enum mm_err err = mm_nng_listen(server->socket, url, &server->options.tls, &server->port);
    if (err != MM_OK)
        return err;
    if (!server->listening) {
        server->listening = true;
        for (uint32_t i = 0; i < server->options.contexts; i++)
            receive_next(server, false, &server->calls[i]);
    }
    return MM_OK;
}

uint16_t mm_rpc_server_port(const struct mm_rpc_server *server)
{
    return server->port;
}

void mm_rpc_server_drain(struct mm_rpc_server *server)
{
    server->draining = true;
}

uint32_t mm_rpc_server_calls_running(const struct mm_rpc_server *server)
{
    return server->running;
}

// --- closing ----------------------------------------------------------------------------------

void mm_rpc_server_close(struct mm_rpc_server *server)
{
    if (!server)
        return;
    pthread_mutex_lock(&server->receive_mutex);
    server->closing = true;
    pthread_mutex_unlock(&server->receive_mutex);
    // Answers already given are let out first; afterwards every context comes back with ECLOSED.
    for (uint32_t i = 0; server->calls && i < server->options.contexts; i++)
        if (server->calls[i].send_aio)
            nng_aio_wait(server->calls[i].send_aio);
    if (!mm_nng_close(server->socket))
        return;
    for (uint32_t i = 0; server->calls && i < server->options.contexts; i++) {
        struct mm_rpc_call *call = &server->calls[i];
        if (call->receive_aio) {
            nng_aio_stop(call->receive_aio);
            nng_aio_free(call->receive_aio);
        }
        if (call->send_aio) {
            nng_aio_stop(call->send_aio);
            nng_aio_free(call->send_aio);
        }
        if (call->has_context)
            mm_loop_post_cancel(server->loop, &call->arrived);
        if (call->message)
            nng_msg_free(call->message);
        call->message = NULL;
        call->receive_aio = call->send_aio = NULL;
    }
    server->closed = true;
    mm_rpc_server_release(server);
}

void mm_rpc_server_release(struct mm_rpc_server *server)
{
    if (!server->closed || server->running > 0)
        return;
    for (size_t i = 0; i < server->services_count; i++)
        mm_free(server->services[i].policy_of);
    mm_rpc_memory_free(server->memory);
    pthread_mutex_destroy(&server->receive_mutex);
    mm_free(server->calls);
    mm_free(server->local_calls);
    mm_free(server);
}

// --- the registry -----------------------------------------------------------------------------

static bool span_is(struct mm_span span, const char *text)
{
    return strlen(text) == span.len && memcmp(span.data, text, span.len) == 0;
}

const struct mm_rpc_registered *mm_rpc_registry_find(const struct mm_rpc_server *server,
                                                     struct mm_span service, struct mm_span method,
                                                     unsigned *method_index_out)
{
    for (size_t i = 0; i < server->services_count; i++) {
        const ProtobufCServiceDescriptor *descriptor = server->services[i].service->descriptor;
        if (!span_is(service, descriptor->name) && !span_is(service, descriptor->short_name))
            continue;
        for (unsigned m = 0; m < descriptor->n_methods; m++) {
            if (span_is(method, descriptor->methods[m].name)) {
                *method_index_out = m;
                return &server->services[i];
            }
        }
    }
    return NULL;
}

const ProtobufCServiceDescriptor *mm_rpc_server_service(const struct mm_rpc_server *server,
                                                        size_t index)
{
    return index < server->services_count ? server->services[index].service->descriptor : NULL;
}

static struct mm_span span_of(const char *text)
{
    return (struct mm_span){(const uint8_t *)text, strlen(text)};
}

bool mm_rpc_server_find(const struct mm_rpc_server *server, const char *service, const char *method,
                        const ProtobufCServiceDescriptor **service_out,
                        const ProtobufCMethodDescriptor **method_out,
                        const struct mm_rpc_policy **policy_out)
{
    unsigned index;
    const struct mm_rpc_registered *found =
        mm_rpc_registry_find(server, span_of(service), span_of(method), &index);
    if (!found)
        return false;
    if (service_out)
        *service_out = found->service->descriptor;
    if (method_out)
        *method_out = &found->service->descriptor->methods[index];
    if (policy_out)
        *policy_out = found->policy_of[index];
    return true;
}

// --- calls from within the process ------------------------------------------------------------

void mm_rpc_server_dispatch(struct mm_rpc_server *server, const struct mm_rpc_local_call *local,
                            mm_rpc_answer_fn answer, void *arg)
{
    struct mm_rpc_call *call = server->local_free;
    if (!call) {
        struct mm_rpc_answer busy = {.code = MM_RESOURCE_EXHAUSTED,
                                     .message = "too many calls in flight"};
        answer(arg, &busy);
        return;
    }
    server->local_free = call->next;
    call->next = NULL;
    call->answer = answer;
    call->answer_arg = arg;
    call->received_ns = mm_clock_ns();
    call->caller = local->caller;
    call->request_id = local->request_id;
    call->trace = mm_trace_child(&local->trace);
    struct mm_rpc_arrival arrival = {.service = span_of(local->service),
                                     .method = span_of(local->method),
                                     .body = local->body,
                                     .body_len = local->body_len,
                                     .deadline_ms = local->deadline_ms};
    mm_rpc_call_begin(call, &arrival);
}
