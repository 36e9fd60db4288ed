#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>

#include "libcommon/base/alloc.h"
#include "libcommon/base/str.h"
#include "libcommon/io/nng_close.h"
#include "libcommon/io/rpc_client_internal.h"
#include "libcommon/io/rpc_envelope.h"

// The connection to a peer: opened, watched and closed.

enum { RECONNECT_MIN_MS = 50, RECONNECT_MAX_MS = 200 };

bool mm_rpc_client_connected(const struct mm_rpc_client *client)
{
    return mm_nng_pipe_there(&client->pipe) != 0;
}

static void on_pipe(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    struct mm_rpc_client *client = arg;
    mm_nng_pipe_note(&client->pipe, pipe, event);
    mm_loop_post_task(client->loop, &client->pipe_changed);
}

static void on_pipe_changed(struct mm_loop *loop, void *arg)
{
    (void)loop;
    struct mm_rpc_client *client = arg;
    bool connected = mm_rpc_client_connected(client);
    if (!connected)
        mm_rpc_slots_disconnected(client);
    if (connected == client->connected)
        return;
    client->connected = connected;
    if (client->watcher)
        client->watcher(client->watcher_arg, connected);
}

void mm_rpc_client_watch(struct mm_rpc_client *client, void (*fn)(void *arg, bool connected),
                         void *arg)
{
    client->watcher = fn;
    client->watcher_arg = arg;
    if (fn && client->connected)
        fn(arg, true);
}

uint32_t mm_rpc_client_calls(const struct mm_rpc_client *client)
{
    return client->calls;
}

static enum mm_err open_socket(struct mm_rpc_client *client, const char *url)
{
    int rv = nng_req0_open(&client->socket);
    if (rv != 0)
        return mm_nng_err(rv);
    nng_socket socket = client->socket;
    // nng must never repeat a request by itself: whether that is safe, only the contract knows.
    if ((rv = nng_socket_set_ms(socket, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE)) != 0 ||
        (rv = nng_socket_set_ms(socket, NNG_OPT_RECONNMINT, RECONNECT_MIN_MS)) != 0 ||
        (rv = nng_socket_set_ms(socket, NNG_OPT_RECONNMAXT, RECONNECT_MAX_MS)) != 0 ||
        (rv = nng_socket_set_size(socket, NNG_OPT_RECVMAXSZ, client->options.reply_bytes_max)) !=
            0 ||
        (rv = nng_pipe_notify(socket, NNG_PIPE_EV_ADD_POST, on_pipe, client)) != 0 ||
        (rv = nng_pipe_notify(socket, NNG_PIPE_EV_REM_POST, on_pipe, client)) != 0) {
        nng_close(socket);
        return mm_nng_err(rv);
    }
    enum mm_err err = mm_nng_dial(socket, url, &client->options.tls);
    if (err != MM_OK)
        nng_close(socket);
    return err;
}

enum mm_err mm_rpc_client_open(struct mm_loop *loop, const char *url,
                               const struct mm_rpc_client_options *options,
                               struct mm_rpc_client **out)
{
    *out = NULL;
    struct mm_rpc_client *client = mm_calloc(1, sizeof *client);
    if (!client)
        return MM_RESOURCE_EXHAUSTED;
    client->loop = loop;
    if (options)
        client->options = *options;
    if (client->options.calls_max == 0)
        client->options.calls_max = MM_RPC_CLIENT_CALLS_DEFAULT;
    if (client->options.request_bytes_max == 0)
        client->options.request_bytes_max = MM_RPC_REQUEST_BYTES_MAX;
    if (client->options.reply_bytes_max == 0)
        client->options.reply_bytes_max = MM_RPC_REPLY_BYTES_MAX;
    const char *service = client->options.service, *instance = client->options.instance;
    enum mm_err err = MM_OK;
    if (!mm_str_copy(client->service, sizeof client->service, service ? service : "") ||
        !mm_str_copy(client->instance, sizeof client->instance, instance ? instance : ""))
        err = MM_INVALID_ARGUMENT;
    mm_loop_task_init(&client->pipe_changed, on_pipe_changed, client);
    if (err == MM_OK)
        err = mm_rpc_slots_open(client);
    if (err == MM_OK)
        err = open_socket(client, url);
    if (err != MM_OK) {
        mm_free(client->slots);
        mm_free(client);
        return err;
    }
    *out = client;
    return MM_OK;
}

void mm_rpc_client_close(struct mm_rpc_client *client)
{
    if (!client)
        return;
    for (uint32_t i = 0; i < client->options.calls_max; i++)
        mm_loop_timer_stop(client->loop, &client->slots[i].backoff);
    if (!mm_nng_close(client->socket))
        return;
    mm_rpc_slots_close(client);
    mm_loop_post_cancel(client->loop, &client->pipe_changed);
    mm_free(client);
}
